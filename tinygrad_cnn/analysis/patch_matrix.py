"""A convolution as one product of matrices: every patch of the image in a row, times every filter in a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.conv import checked_geometry


@dataclass
class PatchMatrix:
    """What `patch_matrix` returns: ``patches @ filters + bias`` is the convolution, position by position.

    Attributes:
        patches: (N*OH*OW, C*KH*KW); row (n*OH + i)*OW + j is what the filters see at (i, j) of image n.
        filters: (C*KH*KW, O); column o is filter o, with zeros for the channels of other groups.
        bias: (O,) or None.
        shape: of the convolution's result, (N, O, OH, OW).
    """

    patches: Any
    filters: Any
    bias: Any
    shape: tuple[int, int, int, int]

    def product(self) -> Any:
        """Return the convolution (N, O, OH, OW), as the product of the two matrices."""
        n, o, oh, ow = self.shape
        y = F.matmul(self.patches, self.filters)
        if self.bias is not None:
            y = F.add(y, self.bias)
        return F.permute(F.reshape(y, n, oh, ow, o), 0, 3, 1, 2)

    def row(self, n: int, i: int, j: int) -> int:
        """Return the row of the patch that output (i, j) of image n is computed from."""
        if not all(isinstance(k, int | np.integer) for k in (n, i, j)):
            raise TypeError(f"patch_matrix: an output is named by whole numbers, got {(n, i, j)}")
        _, _, oh, ow = self.shape
        if not (0 <= n < self.shape[0] and 0 <= i < oh and 0 <= j < ow):
            raise IndexError(f"patch_matrix: ({n}, {i}, {j}) is none of {self.shape[0]} x {oh} x {ow} outputs")
        return (n * oh + i) * ow + j

    def __str__(self) -> str:
        n, o, oh, ow = self.shape
        rows, taps = self.patches.shape
        return (
            f"patches ({rows}, {taps}) @ filters ({taps}, {o}) -> ({rows}, {o}): {rows} = {n} images * {oh} * {ow} "
            f"positions, {taps} numbers in a patch; {rows * taps * o:,} multiply-adds"
        )


def patch_matrix(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> PatchMatrix:
    """Write a convolution as a product of two matrices (im2col), to look at: `conv2d` itself does no such thing.

    A pixel stands in up to KH*KW rows, so the matrix of patches is that many times larger than the image; this is why
    the kernels compute from the image where it lies. Gradients flow through the product as through the convolution.

    Args:
        input: (N, C, H, W), array or tensor; the others as in `functional.conv2d`, whose errors are raised.
        weight: (O, C/groups, KH, KW).
        bias: (O,) or None.
        stride: an int or (vertical, horizontal).
        padding: as in `functional.conv2d`.
        dilation: an int or (vertical, horizontal).
        groups: how many groups of channels do not see each other.

    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> matrices = patch_matrix(x, w)
    >>> matrices.patches
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    >>> matrices.product()[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    >>> print(patch_matrix(np.ones((1, 1, 28, 28)), np.ones((6, 1, 5, 5)), padding=2))
    patches (784, 25) @ filters (25, 6) -> (784, 6): 784 = 1 images * 28 * 28 positions, 25 numbers in a patch;
    117,600 multiply-adds
    """
    geometry = checked_geometry(input, weight, bias, stride, padding, dilation, groups, "conv2d")
    (n, _, *image), (o, channels, *size) = input.shape, weight.shape
    columns = F.unfold(input, tuple(size), geometry.dilation, geometry.padding, geometry.stride)
    patches = F.reshape(F.permute(columns, 0, 2, 1), -1, columns.shape[1])  # (N, C*KH*KW, OH*OW) -> rows
    filters = F.reshape(weight, o, -1)
    if groups > 1:  # each filter stands at the channels of its group
        own = np.repeat(np.eye(groups, dtype=bool), o // groups, 0).repeat(channels * size[0] * size[1], 1)
        filters = F.where(own, F.repeat(filters, 1, groups), 0.0)
    axes = zip(image, size, *geometry[:3], strict=True)
    oh, ow = ((h + sum(around) - d * (k - 1) - 1) // s + 1 for h, k, s, around, d in axes)
    return PatchMatrix(patches, F.permute(filters, 1, 0), bias, (n, o, oh, ow))
