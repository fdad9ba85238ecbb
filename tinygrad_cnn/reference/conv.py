"""Convolution: one sum over patches, read in three directions.

Every output pixel is the inner product of a filter with the patch of the input it sees. The trilinear form

    T(x, w, u) = sum over n, o, i, j of  u[n, o, i, j] * <patch(x, n, o, i, j), w[o]>

is linear in each argument. Its derivative in u is the convolution, in x the input gradient, in w the weight gradient;
so the three functions below visit the same patches and differ in one line.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_cnn.reference.precision import in_float64

Pair = tuple[int, int]
Shape = tuple[int, ...]


@in_float64
def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Cross-correlate images with filters.

        y[n, o, i, j] = b[o] + sum over c, p, q of
                        x[n, g*CG + c, i*SH + p*DH - top, j*SW + q*DW - left] * w[o, c, p, q]

    where CG = C/groups, g = o // (O/groups) is the group of filter o, and x is zero outside of the plane.

    Args:
        x: images (N, C, H, W).
        w: filters (O, C/groups, KH, KW).
        b: one number per filter (O,), or None.
        stride: (SH, SW).
        padding: ((top, bottom), (left, right)) rows and columns of zeros.
        dilation: (DH, DW), the distance between neighbouring taps.
        groups: the number of independent blocks of channels; divides C and O.

    Returns:
        y (N, O, OH, OW), OH = (H + top + bottom - DH*(KH-1) - 1)//SH + 1, OW alike.

    Raises:
        ValueError: if the shapes do not fit.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.ones((1, 1, 2, 2))
    >>> conv2d(x, w, None, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1)
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    y = np.zeros(_output_shape(x.shape, w.shape, stride, padding, dilation, groups))
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    for (n, o, i, j), patch in _patches(x.shape, w.shape, y.shape, stride, padding, dilation, groups):
        y[n, o, i, j] = (padded[patch] * w[o]).sum()
    if b is not None:
        y += b[:, None, None]
    return y


@in_float64
def conv2d_input_grad(
    gy: np.ndarray,
    w: np.ndarray,
    x_shape: Shape,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Return the gradient of `conv2d` for its input: each output pixel adds its filter to the patch it saw.

        gx[patch(n, o, i, j)] += gy[n, o, i, j] * w[o]

    Rows and columns that no window reaches keep the gradient 0.

    >>> gy, w = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
    >>> conv2d_input_grad(gy, w, (1, 1, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), groups=1)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    H, W = x_shape[2:]
    (top, _), (left, _) = padding
    padded = np.pad(np.zeros(x_shape), ((0, 0), (0, 0), *padding))
    for (n, o, i, j), patch in _patches(x_shape, w.shape, gy.shape, stride, padding, dilation, groups):
        padded[patch] += gy[n, o, i, j] * w[o]
    return padded[:, :, top : top + H, left : left + W]


@in_float64
def conv2d_weight_grad(
    gy: np.ndarray,
    x: np.ndarray,
    w_shape: Shape,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Return the gradient of `conv2d` for its filters: each output pixel adds the patch it saw to its filter.

        gw[o] += gy[n, o, i, j] * x[patch(n, o, i, j)]

    >>> gy, x = np.ones((1, 1, 2, 2)), np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d_weight_grad(gy, x, (1, 1, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), groups=1)
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    gw = np.zeros(w_shape)
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    for (n, o, i, j), patch in _patches(x.shape, w_shape, gy.shape, stride, padding, dilation, groups):
        gw[o] += gy[n, o, i, j] * padded[patch]
    return gw


@in_float64
def patch_matrix(x: np.ndarray, size: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair) -> np.ndarray:
    """Lay out the patch of every output pixel as a column ("im2col"), so that convolution is a matrix product.

        columns[n, (c*KH + p)*KW + q, i*OW + j] = x[n, c, i*SH + p*DH - top, j*SW + q*DW - left]
        conv2d(x, w, None, ..., groups=1)       = w.reshape(O, C*KH*KW) @ columns

    An explanation, not a method: the columns hold every input number up to KH*KW times.

    Args:
        x: images (N, C, H, W).
        size: (KH, KW).
        stride: (SH, SW).
        padding: ((top, bottom), (left, right)).
        dilation: (DH, DW).

    Returns:
        The columns (N, C*KH*KW, OH*OW), in the order of `torch.nn.functional.unfold`.

    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> w.reshape(1, 4) @ patch_matrix(x, (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    array([[[ 8., 12., 20., 24.]]])
    """
    N, C = x.shape[:2]
    one_filter = (1, C, *size)
    y_shape = _output_shape(x.shape, one_filter, stride, padding, dilation, groups=1)
    columns = np.zeros((N, C, *size, *y_shape[2:]))
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    for (n, _, i, j), patch in _patches(x.shape, one_filter, y_shape, stride, padding, dilation, groups=1):
        columns[n, :, :, :, i, j] = padded[patch]
    (KH, KW), (OH, OW) = size, y_shape[2:]
    return columns.reshape(N, C * KH * KW, OH * OW)


def _patches(
    x_shape: Shape,
    w_shape: Shape,
    y_shape: Shape,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> Iterator[tuple[tuple[int, ...], tuple[int, slice, slice, slice]]]:
    """Yield every output pixel (n, o, i, j) with the index of the patch that it sees in the padded input."""
    expected = _output_shape(x_shape, w_shape, stride, padding, dilation, groups)
    if y_shape != expected:
        raise ValueError(f"conv2d: input {x_shape} and weight {w_shape} give an output {expected}, gy has {y_shape}")
    O, CG, KH, KW = w_shape
    (SH, SW), (DH, DW) = stride, dilation
    for n, o, i, j in np.ndindex(y_shape):
        group = o // (O // groups)
        channels = slice(group * CG, (group + 1) * CG)
        rows = slice(i * SH, i * SH + DH * (KH - 1) + 1, DH)
        columns = slice(j * SW, j * SW + DW * (KW - 1) + 1, DW)
        yield (n, o, i, j), (n, channels, rows, columns)


def _output_shape(
    x_shape: Shape, w_shape: Shape, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Shape:
    """Return (N, O, OH, OW), or say why these shapes cannot be convolved."""
    N, C, *plane = x_shape
    O, CG, *size = w_shape
    if C != CG * groups or O % groups:
        raise ValueError(
            f"conv2d: weight {w_shape} in {groups} group(s) reads {CG} * {groups} = {CG * groups} channels, "
            f"input {x_shape} has {C}; {groups} must also divide the {O} filters"
        )
    outputs = []
    for L, K, S, (before, after), D in zip(plane, size, stride, padding, dilation, strict=True):
        outputs.append((L + before + after - D * (K - 1) - 1) // S + 1)
        if outputs[-1] < 1:
            raise ValueError(
                f"conv2d: a kernel of {K} taps, dilation {D}, spans {D * (K - 1) + 1} pixels, "
                f"the input has {L} + {before} + {after}; use more padding or a smaller kernel"
            )
    return (N, O, *outputs)
