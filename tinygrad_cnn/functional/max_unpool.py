"""Max-unpooling: maxima return to the places where max pooling found them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.pool import MaxPoolGather, images, like
from tinygrad_cnn.functional.shape import shape_of
from tinygrad_cnn.kernels import along as kernel
from tinygrad_cnn.kernels.geometry import check_elements, for_axes
from tinygrad_cnn.state import place


class MaxUnpool(Function):
    """Zeros of a shape, with each value of x put at its index in the plane (planes, values); the last one stays."""

    keeps = ("index",)

    def __init__(self, places: ndarray, shape: Any) -> None:
        self.places, self.shape = places, shape

    def forward(self, x: ndarray) -> ndarray:
        y, index = kernel.put(x.reshape(self.places.shape), self.places, math.prod(self.shape[2:]))
        self.index = index.reshape(x.shape)
        return y.reshape(self.shape)

    def grad_x(self, gy: Any) -> Any:
        return MaxPoolGather(self.index, self.shape).apply(gy)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put the maxima of `max_pool1d` back into (N, C, L) or (C, L); see `max_unpool2d`.

    >>> import numpy as np
    >>> max_unpool1d(np.array([[5.0, 7.0]]), np.array([[1, 2]]), 2)
    array([[0., 5., 7., 0.]])
    """
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put maxima back where ``max_pool2d(..., return_indices=True)`` found them; all other pixels are 0.

    Where an index occurs several times (windows overlapped), the last value counts, and it alone has a gradient.
    Source: Zeiler and Fergus (2013), https://arxiv.org/abs/1311.2901.

    Args:
        input: (N, C, OH, OW) or (C, OH, OW).
        indices: integers of the same shape: h*W + w in the result.
        kernel_size: that of the pooling, like ``stride`` (``kernel_size`` where None) and ``padding``.
        stride: the step of the pooling.
        padding: the padding of the pooling.
        output_size: (H, W), or the whole shape of the result; several sizes are pooled to one. Where None,
            H = (OH - 1)*stride - 2*padding + kernel_size.

    Returns:
        (N, C, H, W) or (C, H, W).

    Raises:
        IndexError: an index outside of the result.

    >>> import numpy as np
    >>> y, index = np.array([[[5.0, 7.0]]]), np.array([[[1, 6]]])
    >>> max_unpool2d(y, index, 2)
    array([[[0., 5., 0., 0.],
            [0., 0., 7., 0.]]])
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put the maxima of `max_pool3d` back into (N, C, D, H, W) or (C, D, H, W); see `max_unpool2d`.

    >>> import numpy as np
    >>> max_unpool3d(np.array([[[[9.0]]]]), np.array([[[[5]]]]), 2)
    array([[[[0., 0.],
             [0., 0.]],
    <BLANKLINE>
            [[0., 9.],
             [0., 0.]]]])
    """
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _unpool(
    op: str, axes: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    x = images(op, input, axes)
    index = indices._data if isinstance(indices, Variable) else np.asarray(indices)
    if index.dtype.kind not in "iu":
        raise TypeError(f"{place(op)}: indices must be integers, as max pooling returns them, got {index.dtype}")
    if index.shape != shape_of(input):
        raise ValueError(f"{place(op)}: indices must have the shape of input {shape_of(input)}, got {index.shape}")
    image = _image(op, axes, x.shape[2:], kernel_size, stride, padding, output_size)
    shape = *x.shape[:2], *image
    check_elements(op, shape)
    pixels = int(np.prod(image))
    places, inside = kernel.copied(index, pixels)
    if not inside:
        raise IndexError(
            f"{place(op)}: indices reach from {index.min()} to {index.max()}, an image of {image} has 0 to {pixels - 1}"
        )
    places = places.reshape(math.prod(shape[:2]), math.prod(index.shape[-axes:]))
    return like(input, MaxUnpool(places, shape).apply(x))


def _image(op: str, axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    """Return the size of the image that is put together."""
    sizes = for_axes(op, "kernel_size", kernel_size, axes)
    steps = sizes if stride is None else for_axes(op, "stride", stride, axes)
    around = for_axes(op, "padding", padding, axes, 0)
    usual = tuple((n - 1) * s - 2 * p + k for n, k, s, p in zip(x, sizes, steps, around, strict=True))
    if output_size is None:
        if min(usual) < 1:
            raise ValueError(f"{place(op)}: nothing would be left: (size - 1)*stride - 2*padding + kernel = {usual}")
        return usual
    asked = tuple(output_size)
    image = for_axes(op, "output_size", asked[-axes:] if len(asked) in (axes + 1, axes + 2) else asked, axes)
    if any(abs(n - m) >= s for n, m, s in zip(image, usual, steps, strict=True)):
        raise ValueError(
            f"{place(op)}: output_size must be less than a stride {steps} from (size - 1)*stride - 2*padding + kernel "
            f"= {usual}, got {image}"
        )
    return image
