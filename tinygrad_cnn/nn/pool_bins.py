"""Pooling layers whose result has one size, whatever the size of the image, and those that undo pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import for_axes, pair, whole
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.pool import checked_window


class AdaptivePool(Module):
    """What adaptive pooling shares: the grid of bins."""

    def __init__(self, output_size: Any) -> None:
        for size in output_size if isinstance(output_size, (tuple, list)) else (output_size,):
            if size is not None:
                whole(type(self).__name__, "output_size", size, 1)
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptivePool):
    """The means of bins that cover a signal, whatever its length; see `functional.adaptive_avg_pool1d`."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(AdaptivePool):
    """The means of a grid of windows that covers the image, whatever its size; see `functional.adaptive_avg_pool2d`.

    Args:
        output_size: (OH, OW) or one int for both; None keeps the size of the image.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.arange(8.0).reshape(1, 1, 2, 4))
    array([[[[3.5]]]])
    """

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(AdaptivePool):
    """The means of a grid of bins that covers a volume, whatever its size; see `functional.adaptive_avg_pool3d`."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPoolNd(AdaptivePool):
    """What adaptive maximum pooling along 1, 2 or 3 axes shares."""

    axes: int

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.axes - 1]
        return pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPoolNd):
    """The maxima of bins that cover a signal; see `AdaptiveMaxPool2d`."""

    axes = 1


class AdaptiveMaxPool2d(AdaptiveMaxPoolNd):
    """The maxima of a grid of bins that covers the image, whatever its size; see `functional.adaptive_max_pool2d`.

    Args:
        output_size: (OH, OW) or one int for both; None keeps the size of the image.
        return_indices: also return where in the plane each maximum stands.

    >>> import numpy as np
    >>> AdaptiveMaxPool2d((1, 2))(np.arange(10.0).reshape(1, 1, 2, 5))
    array([[[[7., 9.]]]])
    """

    axes = 2


class AdaptiveMaxPool3d(AdaptiveMaxPoolNd):
    """The maxima of a grid of bins that covers a volume; see `AdaptiveMaxPool2d`."""

    axes = 3


class MaxUnpoolNd(Module):
    """What max-unpooling along 1, 2 or 3 axes shares."""

    axes: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        window = checked_window(op := type(self).__name__, self.axes, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = (for_axes(op, "window", n, self.axes, 0) for n in window)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.axes - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpoolNd):
    """Put the maxima of a signal back to their places; see `functional.max_unpool2d`."""

    axes = 1


class MaxUnpool2d(MaxUnpoolNd):
    """Put the maxima of an image back to their places; see `functional.max_unpool2d`.

    >>> import numpy as np
    >>> MaxUnpool2d(2)(np.array([[[5.0]]]), np.array([[[1]]]))
    array([[[0., 5.],
            [0., 0.]]])
    """

    axes = 2


class MaxUnpool3d(MaxUnpoolNd):
    """Put the maxima of a volume back to their places; see `functional.max_unpool2d`."""

    axes = 3


class SpatialPyramidPool(Module):
    """Grids of bins of several sizes in one vector: (N, C, H, W) -> (N, C * sum of n*n).

    See `functional.spatial_pyramid_pool`.

    >>> SpatialPyramidPool((1, 2))
    SpatialPyramidPool(levels=(1, 2), mode=max, rule=adaptive)
    """

    def __init__(self, levels: Sequence[int] = (1, 2, 4), mode: str = "max", rule: str = "adaptive") -> None:
        self.levels = tuple(whole("SpatialPyramidPool", "each level", n, 1) for n in levels)
        self.mode, self.rule = mode, rule

    def forward(self, input: Any) -> Any:
        return F.spatial_pyramid_pool(input, self.levels, self.mode, self.rule)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, mode={self.mode}, rule={self.rule}"


class RoIPool(Module):
    """The maxima of a grid of bins in each box; see `functional.roi_pool`.

    >>> RoIPool((7, 7), 1 / 16)
    RoIPool(output_size=(7, 7), spatial_scale=0.0625)
    """

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        pair("RoIPool", "output_size", output_size)
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Any, rois: Any) -> Any:
        return F.roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


class RoIAlign(Module):
    """The means of points in each box, without rounding; see `functional.roi_align`.

    >>> RoIAlign(7, 1 / 16, 2)
    RoIAlign(output_size=7, spatial_scale=0.0625, sampling_ratio=2, aligned=False)
    """

    def __init__(self, output_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool = False) -> None:
        pair("RoIAlign", "output_size", output_size)
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Any, rois: Any) -> Any:
        return F.roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )
