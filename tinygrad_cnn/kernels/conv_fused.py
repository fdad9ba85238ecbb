"""A convolution and what follows it in a network: batch norm of evaluation, ReLU, 2x2 max pooling.

Where the images lie in the lanes of vectors (conv_lanes.py), all of it happens strip by strip in the cache, and only
the last result is written to memory. Elsewhere the kernels run one after the other. The bits are the same.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels import activation, buffers, conv_lanes, conv_pointwise, norm, pool_2x2, winograd
from tinygrad_cnn.kernels.conv import conv2d, goes_in_lanes
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window


def conv2d_fused(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int, *,
    scale: np.ndarray | None = None, shift: np.ndarray | None = None, relu: bool = False, pool: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """Return (y, index): `conv2d`, then ``y * scale + shift`` for each map, ReLU and 2x2 max pooling, as far as asked.

    Scale and shift (O,) come together and are applied in float64. Index (uint8, None without pooling) says where in its
    window each maximum was found: 2 * row + column.
    """
    (n, _, height, width), (o, depth, *size) = x.shape, w.shape
    window = Window((size[0], size[1]), stride, padding, dilation)
    oh, ow = window.out_size("conv2d", (height, width))
    shape = (n, o, oh // 2, ow // 2) if pool else (n, o, oh, ow)
    taps = depth * size[0] * size[1]
    m = winograd.choose(x.dtype, x.shape, w.shape, stride, padding, dilation, groups)
    plain = m or conv_pointwise.pays(window, x.shape, o, groups, x.dtype)
    if 0 not in shape and not plain and goes_in_lanes(x, (o, oh, ow), window, taps):
        y, index = buffers.empty(shape, x.dtype), buffers.empty(shape if pool else (0,), np.uint8)
        a, c = (np.empty(0) if norm is None else np.ascontiguousarray(norm, np.float64) for norm in (scale, shift))
        conv_lanes.convolve(False, x, w, b, y, window, groups, index, a, c, relu)
        return y, index if pool else None
    y = winograd.conv2d(x, w, b, padding, m) if m else conv2d(x, w, b, stride, padding, dilation, groups)
    if scale is not None and shift is not None:
        y = norm.scale_shift(y.reshape(n, o, oh * ow), scale, shift).reshape(y.shape)
    if relu:
        y = activation.relu(y)
    return pool_2x2.maximum(y, (oh // 2, ow // 2)) if pool else (y, None)
