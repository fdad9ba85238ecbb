"""How the units of a map and those of the map before it see each other.

A map is seen as a grid of places: (H, W) for (N, C, H, W), where all channels count as one; for other shapes every
element of a sample is a place. A set of places is a boolean mask over the grid, and a link carries masks both ways:

    back(mask)    the places of the input that the marked units of the result see
    forth(mask)   the units of the result that see any of the marked places

Convolution, pooling and resizing treat rows and columns apart. Two boolean matrices R (OH, H) and C (OW, W) say which
row and which column sees which; then back is R'MC and forth is RMC', in the arithmetic of "or" and "and". Holes of
dilation, borders, ceil_mode and flips are only other matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.tracing import Shape

POINT = Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))  # each unit sees the unit at its own place


def places(shape: Shape) -> Shape:
    """Return the grid of a map's units: (H, W) of images; without the batch, all axes of anything else.

    >>> places((8, 3, 20, 30)), places((8, 10))
    ((20, 30), (10,))
    """
    return shape[2:] if len(shape) == 4 else shape[1:]


def spread(mask: ndarray, shape: Shape) -> ndarray:
    """Return for each element of a map whether its place is marked."""
    return np.broadcast_to(mask[None, None] if len(shape) == 4 else mask, shape)


def gathered(elements: ndarray, shape: Shape) -> ndarray:
    """Return for each place of a map whether any of its elements is marked."""
    return np.asarray(elements.any((0, 1) if len(shape) == 4 else 0)) if shape else elements


class Link:
    """What the units of a result (of shape y) see of an input (of shape x)."""

    window: Window | None = None  # where one window, sliding over the whole map, says it all

    def __init__(self, x: Shape, y: Shape) -> None:
        self.x, self.y = x, y

    @property
    def whole(self) -> bool:
        """Whether every unit sees the whole input."""
        return False

    def back(self, mask: ndarray) -> ndarray:
        """Return the places of the input that these units see."""
        raise NotImplementedError

    def forth(self, mask: ndarray) -> ndarray:
        """Return the units that see any of these places."""
        raise NotImplementedError


class Everything(Link):
    """Every unit sees the whole input."""

    whole = True

    def back(self, mask: ndarray) -> ndarray:
        return np.full(places(self.x), mask.any())

    def forth(self, mask: ndarray) -> ndarray:
        return np.full(places(self.y), mask.any())


class Same(Link):
    """Each unit sees its own place, through broadcasting where the shapes differ."""

    def __init__(self, x: Shape, y: Shape) -> None:
        super().__init__(x, y)
        self.window = POINT if places(x) == places(y) else None

    @property
    def whole(self) -> bool:
        return math.prod(places(self.x)) == 1

    def back(self, mask: ndarray) -> ndarray:
        return mask if self.window else gathered(_summed(spread(mask, self.y), self.x), self.x)

    def forth(self, mask: ndarray) -> ndarray:
        return mask if self.window else gathered(np.broadcast_to(spread(mask, self.x), self.y), self.y)


class Product(Link):
    """Rows and columns apart: ``rows`` (OH, H) and ``columns`` (OW, W) say which sees which."""

    def __init__(self, rows: ndarray, columns: ndarray) -> None:
        super().__init__((1, 1, rows.shape[1], columns.shape[1]), (1, 1, rows.shape[0], columns.shape[0]))
        self.rows, self.columns = (np.asarray(m, np.float32) for m in (rows, columns))  # counted, so that `@` is fast

    @property
    def whole(self) -> bool:
        return bool(self.rows.all() and self.columns.all())

    def back(self, mask: ndarray) -> ndarray:
        return self.rows.T @ mask.astype(np.float32) @ self.columns > 0

    def forth(self, mask: ndarray) -> ndarray:
        return self.rows @ mask.astype(np.float32) @ self.columns.T > 0


class Sliding(Product):
    """A window that slides over images."""

    def __init__(self, window: Window, x: Shape, y: Shape) -> None:
        rows, columns = (
            taps(window.size[i], window.stride[i], window.padding[i][0], window.dilation[i], x[i + 2], y[i + 2])
            for i in (0, 1)
        )
        super().__init__(rows, columns)
        self.window = window


@lru_cache(maxsize=512)
def taps(size: int, stride: int, before: int, dilation: int, length: int, out: int) -> ndarray:
    """Return the matrix (out, length) of a window along one axis: 1 where a unit sees a pixel.

    >>> taps(3, 1, 1, 2, 4, 3)
    array([[0., 1., 0., 1.],
           [1., 0., 1., 0.],
           [0., 1., 0., 1.]], dtype=float32)
    """
    at = np.arange(out)[:, None] * stride + np.arange(size) * dilation - before
    return marked(at, length)


def marked(at: ndarray, length: int) -> ndarray:
    """Return the matrix (out, length) with 1 at the pixels ``at`` (out, K) of each row; others are left out."""
    matrix = np.zeros((len(at), length), np.float32)
    unit, tap = np.nonzero((at >= 0) & (at < length))
    matrix[unit, at[unit, tap]] = 1
    return matrix


class Along(Link):
    """Each unit sees all that stands along some axes with it, and nothing else: sums, softmax, products of matrices."""

    def __init__(self, axes: Sequence[int], x: Shape, y: Shape) -> None:
        super().__init__(x, y)
        self.axes = tuple(sorted(axis % len(x) for axis in axes))

    @property
    def whole(self) -> bool:
        first = len(self.x) - len(places(self.x))
        return all(i in self.axes for i, n in enumerate(self.x) if i >= first and n > 1)

    def back(self, mask: ndarray) -> ndarray:
        kept = tuple(1 if i in self.axes else n for i, n in enumerate(self.x))
        elements = spread(mask, self.y)
        if elements.size == math.prod(kept):  # summed, with its axes kept or not
            elements = elements.reshape(kept)
        else:
            elements = np.asarray(elements.any(self.axes, keepdims=True))
        return gathered(np.broadcast_to(elements, self.x), self.x)

    def forth(self, mask: ndarray) -> ndarray:
        elements = spread(mask, self.x).any(self.axes, keepdims=True)
        if elements.size == math.prod(self.y):
            return gathered(elements.reshape(self.y), self.y)
        return gathered(np.broadcast_to(elements, self.y), self.y)


class Moved(Link):
    """Each element of the result is one of ``numbers`` (K, *y): of the input's places, from 1; 0 is none of them."""

    def __init__(self, numbers: ndarray, x: Shape) -> None:
        super().__init__(x, numbers.shape[1:])
        self.numbers = numbers

    @property
    def whole(self) -> bool:
        return math.prod(places(self.x)) == 1 and bool(self.numbers.any(0).all())

    def back(self, mask: ndarray) -> ndarray:
        seen = np.zeros(math.prod(places(self.x)) + 1, bool)
        seen[self.numbers[:, spread(mask, self.y)]] = True
        return seen[1:].reshape(places(self.x))

    def forth(self, mask: ndarray) -> ndarray:
        table = np.concatenate([[False], mask.ravel()])
        return gathered(table[self.numbers].any(0), self.y)


def numbered(shape: Shape) -> ndarray:
    """Return for each element of a map the number of its place, from 1."""
    grid = places(shape)
    return np.broadcast_to(np.arange(1, math.prod(grid) + 1).reshape(grid), shape)


class Turned(Link):
    """A link the other way round: what scatters sees where it would have gathered."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.y, link.x)
        self.link = link

    def back(self, mask: ndarray) -> ndarray:
        return self.link.forth(mask)

    def forth(self, mask: ndarray) -> ndarray:
        return self.link.back(mask)


class Several(Link):
    """One link for each sample of the result, such as each region of interest; a unit sees what any of them sees."""

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__(links[0].x, links[0].y)
        self.links = links

    def back(self, mask: ndarray) -> ndarray:
        return np.any([link.back(mask) for link in self.links], 0)

    def forth(self, mask: ndarray) -> ndarray:
        return np.any([link.forth(mask) for link in self.links], 0)


def _summed(elements: ndarray, shape: Shape) -> ndarray:
    """Undo broadcasting: mark what went into any marked element."""
    added = tuple(range(elements.ndim - len(shape)))
    repeated = tuple(len(added) + i for i, n in enumerate(shape) if n == 1)
    return np.asarray(elements.any((*added, *repeated), keepdims=True)).reshape(shape)
