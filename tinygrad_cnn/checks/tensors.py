"""The cases of operations that rearrange, pick, order and contract; NumPy's functions are the references."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import BILINEAR, Case, Draw, apart, normal

ROWS = np.array([[2, 0, 2, 1], [0, 0, 1, 2]])  # for axis 0 of three: some are picked twice, some never
LAST = np.array([[3, 0], [1, 1], [-1, 2]])


def scattered(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Add v to a copy of x at ROWS, one element after another."""
    y = x.copy()
    for (i, j), row in np.ndenumerate(ROWS):
        y[row, j] += v[i, j]
    return y


def shuffled(x: np.ndarray) -> np.ndarray:
    """Move each pixel by the formula of pixel_shuffle, for 2 x 2 blocks."""
    N, C, H, W = x.shape
    y = np.empty((N, C // 4, 2 * H, 2 * W), x.dtype)
    for c, h, w in np.ndindex(C // 4, 2 * H, 2 * W):
        y[:, c, h, w] = x[:, 4 * c + h % 2 * 2 + w % 2, h // 2, w // 2]
    return y


def norms(p: float) -> Case:
    """Return a case of the p-norm of rows."""
    return Case("norm", lambda x: F.norm(x, p, 1), [apart(3, 4)], reference=lambda x: np.linalg.norm(x, p, 1))


def descending(x: np.ndarray) -> tuple[Any, Any]:
    """Sort distinct numbers from the largest to the smallest along axis 1."""
    return -np.sort(-x, 1), np.argsort(-x, 1)


ARRANGEMENTS = (
    Case("split", lambda x: F.split(x, [1, 3], 1), [normal(3, 4)], BILINEAR, lambda x: tuple(np.split(x, [1], 1))),
    Case("split", lambda x: F.split(x, 2), [normal(5, 2)], BILINEAR, lambda x: tuple(np.split(x, [2, 4]))),
    Case("chunk", lambda x: F.chunk(x, 2, -1), [normal(2, 5)], BILINEAR, lambda x: tuple(np.split(x, [3], 1))),
    Case("repeat", lambda x: F.repeat(x, 2, 1, 3), [normal(3, 2)], BILINEAR, lambda x: np.tile(x, (2, 1, 3))),
    Case("tile", lambda x: F.tile(x, 2), [normal(3, 2)], BILINEAR, lambda x: np.tile(x, 2)),
    Case("flip", lambda x: F.flip(x, 0, 2), [normal(3, 2, 4)], BILINEAR, lambda x: np.flip(x, (0, 2))),
    Case("roll", lambda x: F.roll(x, (1, -2), (0, 1)), [normal(3, 4)], BILINEAR, lambda x: np.roll(x, (1, -2), (0, 1))),
    Case("roll", lambda x: F.roll(x, 3), [normal(2, 4)], BILINEAR, lambda x: np.roll(x, 3)),
    Case("unflatten", lambda x: F.unflatten(x, 1, (2, -1)), [normal(3, 6)], BILINEAR, lambda x: x.reshape(3, 2, 3)),
    Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), [normal(2, 8, 2, 3)], BILINEAR, shuffled),
    Case(
        "pixel_unshuffle",
        lambda x: F.pixel_unshuffle(x, 3),
        [normal(2, 1, 3, 6)],
        BILINEAR,
        lambda x: np.stack([x[:, 0, i // 3 :: 3, i % 3 :: 3] for i in range(9)], 1),
    ),
)

PICKS = (
    Case("gather", lambda x: F.gather(x, 0, ROWS), [normal(3, 5)], BILINEAR, lambda x: x[ROWS, np.arange(4)]),
    Case(
        "scatter_add",
        lambda x, v: F.scatter_add(x, 0, ROWS, v),
        [normal(3, 5), normal(3, 4)],
        BILINEAR,
        scattered,
    ),
    Case(
        "take_along_axis",
        lambda x: F.take_along_axis(x, LAST, 1),
        [normal(3, 4)],
        BILINEAR,
        lambda x: np.take_along_axis(x, LAST, 1),
    ),
    Case("sort", lambda x: F.sort(x, 0), [apart(4, 3)], reference=lambda x: (np.sort(x, 0), np.argsort(x, 0))),
    Case("sort", lambda x: F.sort(x, 1, True), [apart(3, 4)], reference=descending),
    Case("topk", lambda x: F.topk(x, 2), [apart(3, 4)], reference=lambda x: tuple(v[:, :2] for v in descending(x))),
)

SUMS = (
    Case("cumsum", lambda x: F.cumsum(x, 1), [normal(3, 4, 2)], BILINEAR, lambda x: np.cumsum(x, 1)),
    Case(
        "logsumexp",
        lambda x: F.logsumexp(x, (0, 2), True),
        [normal(3, 2, 4)],
        reference=lambda x: np.log(np.exp(x).sum((0, 2), keepdims=True)),
    ),
    Case("norm", F.norm, [normal(3, 4)], reference=np.linalg.norm),
    *map(norms, (0.5, 1, 2, 3, np.inf, -np.inf)),
)


def contraction(equation: str, *shapes: tuple[int, ...]) -> Case:
    """Return a case of einsum, compared with NumPy's."""
    return Case(
        "einsum",
        lambda *operands: F.einsum(equation, *operands),
        [normal(*shape) for shape in shapes],
        BILINEAR,
        lambda *operands: np.einsum(equation, *operands),
    )


PRODUCTS = (
    Case("bmm", F.bmm, [normal(2, 3, 4), normal(2, 4, 5)], BILINEAR, np.matmul),
    contraction("ij,kj->ki", (3, 4), (2, 4)),
    contraction("bhid,bhjd->bhij", (2, 3, 4, 2), (2, 3, 5, 2)),
    contraction("ii->i", (4, 4)),
    contraction("...ii,jk", (2, 3, 3), (2, 4)),
    contraction("a,ab,bc,c->", (2,), (2, 3), (3, 4), (4,)),
    contraction("...ij,...j->i...", (2, 3, 4), (2, 1, 4)[1:]),
    contraction("nchw,c->nhw", (2, 3, 4, 2), (3,)),
    contraction("ij,ij->j", (3, 4), (3, 4)),
)


def between(*shape: int) -> Draw:
    """Draw points of 3 x 4 images, at least a tenth of a pixel from the lines through the centres of pixels."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        cells = rng.integers(-1, [4, 3], shape) + rng.uniform(0.1, 0.9, shape)  # x and y in pixels, some outside
        return (2 * cells + 1) / [4, 3] - 1

    return draw


def resized(mode: str, size: tuple[int, int], align_corners: bool | None = None) -> Case:
    """Return a case of interpolate for images of 4 x 5."""
    return Case(
        "interpolate",
        lambda x: F.interpolate(x, size, None, mode, align_corners),
        [normal(2, 1, 4, 5)],
        BILINEAR,
        lambda x: reference.interpolate(x, size, mode, bool(align_corners)),
    )


def sampled(padding_mode: str, align_corners: bool) -> Case:
    """Return a case of grid_sample for images of 3 x 4."""
    return Case(
        "grid_sample",
        lambda x, grid: F.grid_sample(x, grid, "bilinear", padding_mode, align_corners),
        [normal(2, 3, 3, 4), between(2, 4, 2, 2)],
        reference=lambda x, grid: reference.grid_sample(x, grid, "bilinear", padding_mode, align_corners),
    )


IMAGES = (
    resized("nearest", (3, 8)),
    resized("nearest-exact", (7, 3)),
    resized("bilinear", (7, 3)),
    resized("bilinear", (3, 9), True),
    resized("bicubic", (6, 11)),
    resized("bicubic", (2, 7), True),
    Case(
        "interpolate",
        lambda x: F.interpolate(x, scale_factor=2, mode="linear"),
        [normal(2, 3, 4)],
        BILINEAR,
        lambda x: reference.interpolate(x[:, :, None], (1, 8), "bilinear")[:, :, 0],
    ),
    sampled("zeros", False),
    sampled("border", False),
    sampled("zeros", True),
)

CASES = (*ARRANGEMENTS, *PICKS, *SUMS, *PRODUCTS, *IMAGES)
