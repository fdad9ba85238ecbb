"""Transposed convolution: the input gradient of a convolution, as an operation of its own.

What `conv2d` gathers, this scatters: each pixel of x adds a copy of the filter, scaled by it, to y. So its own
gradient by x is a convolution, and that by w the weight gradient of one. Dumoulin and Visin (2016), "A guide to
convolution arithmetic for deep learning", https://arxiv.org/abs/1603.07285.
"""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.functional.conv import FILTER, IMAGE, Conv2dInputGrad, conv_geometry, reshape_batch
from tinygrad_cnn.functional.conv_nd import depth, plane
from tinygrad_cnn.functional.joining import pad
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import permute, reshape, shape_of
from tinygrad_cnn.functional.unfold import Fold
from tinygrad_cnn.kernels.geometry import AXES, check_elements, for_axes
from tinygrad_cnn.state import place


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of signals: input (N, C, L) or (C, L), weight (C, O/groups, K); see `conv_transpose2d`.

    >>> import numpy as np
    >>> conv_transpose1d(np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0, 3.0]]]), stride=2)
    array([[[ 1.,  2., 13., 20., 30.]]])
    """
    return _transposed("conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of images: what the gradient of `conv2d` does, with stride s an upsampling by s.

        y[n, o, i*s + p*d - P, j*s + q*d - P] += x[n, c, i, j] * w[c, o, p, q]        beginning with b[o]

    Args:
        input: (N, C, H, W) or (C, H, W); float32 or float64.
        weight: (C, O/groups, KH, KW): the filters of a convolution that has O inputs and C outputs.
        bias: (O,) or None.
        stride: the step in y for a step in x: an int or (vertical, horizontal).
        padding: rows and columns of y that are cut off: an int, (vertical, horizontal) or ((top, bottom), (left,
            right)).
        output_padding: more rows at the bottom and columns on the right: a convolution of stride s maps s sizes to one,
            this says which one comes back. Less than the stride or the dilation.
        groups: divides C and O.
        dilation: the distance between the pixels that a filter writes.

    Returns:
        (N, O, OH, OW) or (O, OH, OW); OH = (H - 1)*s - top - bottom + d*(KH - 1) + output_padding + 1.

    Raises:
        ValueError: shapes that do not fit, with the formula and its numbers.
        TypeError: dtypes that differ or are not floats.

    >>> import numpy as np
    >>> x, w = np.ones((8, 16, 7, 7)), np.ones((16, 6, 3, 3))
    >>> conv_transpose2d(x, w, stride=2, padding=1, output_padding=1).shape
    (8, 6, 14, 14)
    """
    return _transposed("conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of volumes: input (N, C, D, H, W), weight (C, O/groups, KD, KH, KW).

    >>> import numpy as np
    >>> conv_transpose3d(np.ones((1, 2, 3, 4, 5)), np.ones((2, 1, 2, 2, 2)), stride=(1, 2, 2)).shape
    (1, 1, 4, 8, 10)
    """
    return _transposed("conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    op: str, x: Any, w: Any, b: Any, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any
) -> Any:
    axes, x_shape, w_shape = int(op[-2]), shape_of(x), shape_of(w)
    if len(x_shape) == axes + 1:
        x = reshape(x, 1, *x_shape)
        return reshape_batch(_transposed(op, x, w, b, stride, padding, output_padding, groups, dilation))
    same_float(op, input=x, weight=w, bias=b)
    letters = IMAGE[axes]
    if len(x_shape) != axes + 2:
        raise ValueError(f"{place(op)}: input must be (N, C, {letters}) or (C, {letters}), got shape {x_shape}")
    if len(w_shape) != axes + 2:
        raise ValueError(f"{place(op)}: weight must be (C, O/groups, {FILTER[axes]}), got shape {w_shape}")
    if isinstance(padding, str):
        raise ValueError(f"{place(op)}: padding must be numbers, got {padding!r}")
    geometry: Any = conv_geometry(op, w_shape[2:], stride, padding, dilation, groups)
    O = w_shape[1] * geometry.groups
    if x_shape[1] != w_shape[0] or w_shape[0] % geometry.groups:
        raise ValueError(
            f"{place(op)}: input {x_shape} has {x_shape[1]} channels, weight {w_shape} expects {w_shape[0]}, its first "
            f"size, which groups={groups} must divide"
        )
    if b is not None and shape_of(b) != (O,):
        raise ValueError(f"{place(op)}: bias must have shape ({O},) for weight {w_shape}, got {shape_of(b)}")
    extra = for_axes(op, "output_padding", output_padding, axes, 0)
    image = _image(op, x_shape[2:], w_shape[2:], extra, geometry)
    check_elements(op, (x_shape[0], max(O, x_shape[1]), *image))
    # Where dilation allows an output_padding of a whole stride, the image has room for more windows: of zeros.
    more = [e // s for e, s in zip(extra, geometry.stride, strict=True)]
    if any(more):
        x = pad(x, [n for m in more[::-1] for n in (0, m)])
    y = (_volumes if axes == 3 else _images)(x, w, geometry, (x_shape[0], O, *image))
    return y if b is None else y + reshape(b, -1, *[1] * axes)


def _image(op: str, x: Any, w: Any, extra: Any, geometry: Any) -> tuple[int, ...]:
    """Return the size of the image for which a convolution of this geometry gives x."""
    found = []
    for axis, n, k, e, s, (before, after), d in zip(AXES[len(x)], x, w, extra, *geometry[:3], strict=True):
        if e >= max(s, d):
            raise ValueError(
                f"{place(op)}: output_padding must be less than stride or dilation, got {e} along the {axis}, where "
                f"stride is {s} and dilation {d}"
            )
        length = (n - 1) * s - before - after + d * (k - 1) + e + 1
        if n < 1 or length < 1:
            raise ValueError(
                f"{place(op)}: nothing would be left: {axis} (size - 1)*stride - padding + dilation*(kernel - 1) + "
                f"output_padding + 1 = ({n} - 1)*{s} - {before} - {after} + {d}*({k} - 1) + {e} + 1 = {length}"
            )
        found.append(length)
    return tuple(found)


def _images(x: Any, w: Any, geometry: Any, y_shape: tuple[int, ...]) -> Any:
    """Scatter images, or signals as images of height 1."""
    lifted = [s if len(s) == 4 else (*s[:2], 1, *s[2:]) for s in (x.shape, w.shape, y_shape)]
    y = Conv2dInputGrad(plane(geometry), lifted[2]).apply(reshape(x, lifted[0]), reshape(w, lifted[1]))
    return reshape(y, y_shape)


def _volumes(x: Any, w: Any, geometry: Any, y_shape: tuple[int, ...]) -> Any:
    """Scatter every slice into KD slices, which are channels, and those into the depth."""
    N, C, D, H, W = x.shape
    _, OG, KD, KH, KW = w.shape
    _, O, _, OH, OW = y_shape
    x = reshape(permute(x, 0, 2, 1, 3, 4), N * D, C, H, W)
    slices = Conv2dInputGrad(plane(geometry), (N * D, O * KD, OH, OW)).apply(x, reshape(w, C, OG * KD, KH, KW))
    columns = reshape(permute(reshape(slices, N, D, O * KD, OH * OW), 0, 2, 1, 3), N, O * KD, D * OH * OW)
    y = Fold(depth(KD, geometry), (N, O, y_shape[2], OH * OW)).apply(columns)
    return reshape(y, y_shape)
