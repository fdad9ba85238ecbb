"""Winograd's convolution: fewer multiplications for 3x3 filters with stride 1, dilated or not, in float32.

A tile of m x m outputs reads a x a inputs, a = m + 2. Instead of 9 m^2 products for each channel and filter it needs
a^2, one for each number of a transformed tile (A, B and G are small constant matrices, see winograd_transform.py):

    Y = A^T [(G g G^T) . (B^T d B)] A          . is element by element; summed over channels before A comes in

m = 2: 36 products become 16, m = 4: 144 become 36. Summed over channels, the element-wise products at each of the a^2
places k are a matrix product of their own, over all tiles t:

    U[k, c, o] = (G g[o, c] G^T)[k]     V[k, t, c] = (B^T d[t, c] B)[k]     M[k] = V[k] @ U[k]     y[t, o] = A^T M A

A block of tiles goes through all three steps before the next one begins, so that V and M stay in the second cache.
The input gradient is the same computation on gy, with turned filters and padding 2*d - p. Only whole tiles are
computed; what hangs over the edge of the output is not written.

A dilation d only moves the pixels of a tile d apart, each way: d tiles side by side are interleaved, so they make a
group whose pixels, read and written, are neighbours. Rows of tiles interleave in the same way.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn import state
from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.geometry import Padding, Pair
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, MOST_ROWS, VECTOR_BYTES, VECTORS, outer_tile
from tinygrad_cnn.kernels.winograd_transform import (
    LANES,
    data2,
    data4,
    filters2,
    filters4,
    outputs2,
    outputs4,
    turn,
)

WIDEST = VECTORS[MOST_ROWS]
ZEROS = np.zeros(LANES, np.float32)
# Tiles in a block: more would not fit the caches, fewer would read the filters too often.
BLOCK = 4 * MOST_ROWS
# What `choose` goes by, measured on Zen 4 compiled for each of its three vector widths (bytes: least channels): with
# fewer channels the transforms cost more than they save. Transforming filters costs as much as so many tiles, and the
# direct path so much more for a multiplication.
LEAST_CHANNELS = {64: 16, 32: 16, 16: 8}
FILTER_TILES = 32
DIRECT = 1.5


def choose(
    dtype: np.dtype, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Padding,
    dilation: Pair, groups: int,
) -> int:  # fmt: skip
    """Return how a convolution and its input gradient are computed: in tiles of 4 x 4 or 2 x 2 outputs, or 0: directly.

    It depends on shapes, dtype and the vector width only, so that the same network has the same bits in every run.
    """
    if w_shape[2:] != (3, 3) or dtype != np.float32 or not state.get_winograd():
        return 0
    if stride != (1, 1) or groups != 1 or min(w_shape[:2]) < LEAST_CHANNELS[VECTOR_BYTES] or dilation[1] > BLOCK:
        return 0
    (dh, dw), n, (oh, ow) = dilation, x_shape[0], _out(x_shape, padding, dilation)
    multiplications = {0: DIRECT * 9 * n * oh * ow}  # for each channel and filter
    for m in (4, 2):
        multiplications[m] = (m + 2) ** 2 * (n * dh * -(-oh // (m * dh)) * dw * -(-ow // (m * dw)) + FILTER_TILES)
    return min(multiplications, key=multiplications.__getitem__)


def _out(x_shape: tuple[int, ...], padding: Padding, dilation: Pair) -> Pair:
    (top, bottom), (left, right) = padding
    return x_shape[2] + top + bottom - 2 * dilation[0], x_shape[3] + left + right - 2 * dilation[1]


@device
def _panel_at(number: int, vectors: int) -> tuple[int, int]:
    """Return the first vector of a panel of filters and how many it has: at most WIDEST, and evenly dealt."""
    panels = (vectors + WIDEST - 1) // WIDEST
    first = vectors * number // panels
    return first, vectors * (number + 1) // panels - first


@kernel(writes="u stages")
def _filters(
    w: ndarray, u: ndarray, stages: ndarray, m: int, o_size: int, o_step: int, c_size: int, c_step: int, turned: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Transform the filters of the panels start..stop: w (elements,) -> u (a*a, panels of (C, width * LANES)).

    The taps of filter o and channel c begin at o * o_step + c * c_step.
    """
    vectors = (o_size + LANES - 1) // LANES
    stage = stages[threads.piece_at(start, (vectors + WIDEST - 1) // WIDEST)]
    place, a = u.shape[1], m + 2
    for panel in range(start, stop):
        first, width = _panel_at(panel, vectors)
        for c in range(c_size):
            for v in range(width):
                for lane in range(LANES):
                    at = min((first + v) * LANES + lane, o_size - 1) * o_step + c * c_step
                    for tap in range(9):
                        stage[tap, lane] = w[at + (8 - tap if turned else tap)]
                at = (first * c_size + c * width + v) * LANES
                if m == 2:
                    filters2(stage, 0, 3 * LANES, LANES, u, at, a * place, place)
                else:
                    filters4(stage, 0, 3 * LANES, LANES, u, at, a * place, place)


@device
def _run_at(group: int, last: int, down: int, across: int, m: int, dh: int, dw: int) -> tuple[int, int, int, int]:
    """Return image, first row and first column of a group, and how many follow in its row, itself included."""
    line, column = divmod(group, across)
    n, row = divmod(line, down)
    return n, row // dh * m * dh + row % dh, column * m * dw, min(across - column, last - group)


@device
def _clear(strip: ndarray, i: int, start: int, stop: int) -> None:
    """Write zeros over a part of a row."""
    for j in range(start, stop):
        for lane in range(LANES):
            strip[i, j, lane] = 0


@device
def _transform_data(
    x: ndarray, strip: ndarray, v: ndarray, m: int, top: int, left: int, dh: int, dw: int, down: int, across: int,
    first: int, last: int,
) -> None:  # fmt: skip
    """Fill v (a*a, tiles, channels) with the groups first..last of x (N, C, H, W), a run of them at a time."""
    c_size, h_size, w_size = x.shape[1:]
    a, pitch, place = m + 2, strip.shape[1], v.shape[1] * v.shape[2]
    group = first
    while group < last:
        n, row, column, run = _run_at(group, last, down, across, m, dh, dw)
        origin, length = column - left, (run * m + 2) * dw
        for c in range(0, c_size, LANES):
            for i in range(a):
                h = row + i * dh - top
                # columns low..high of the strip lie inside the image
                low, high = min(max(-origin, 0), length), max(min(w_size - origin, length), 0)
                if h < 0 or h >= h_size or low >= high:
                    low, high = 0, 0
                _clear(strip, i, 0, low)
                _clear(strip, i, high, length)
                for j in range(low, high, LANES):
                    turn(
                        x, ((n * c_size + c) * h_size + h) * w_size + origin + j, h_size * w_size,
                        min(c_size - c, LANES), min(high - j, LANES), ZEROS, 0, strip, (i * pitch + j) * LANES, LANES,
                    )  # fmt: skip
            for k in range(run):
                for j in range(dw):
                    source, target = (k * m * dw + j) * LANES, ((group - first + k) * dw + j) * v.shape[2] + c
                    if m == 2:
                        data2(strip, source, pitch * LANES, dw * LANES, v, target, a * place, place)
                    else:
                        data4(strip, source, pitch * LANES, dw * LANES, v, target, a * place, place)
        group += run


@device
def _multiply(v: ndarray, u: ndarray, table: ndarray, c_size: int, products: ndarray, tiles: int) -> None:
    """Fill products (a*a, tiles, filters) with v (a*a, tiles, channels) times u, summed over the channels."""
    vectors, c_row, o_row = products.shape[2] // LANES, v.shape[2], products.shape[2]
    for place in range(len(v)):
        for panel in range((vectors + WIDEST - 1) // WIDEST):
            first, width = _panel_at(panel, vectors)
            filters = place * u.shape[1] + first * c_size * LANES
            for c in range(0, c_size, LONGEST_CHAIN):
                for tile in range(0, tiles, MOST_ROWS):
                    row = place * v.shape[1] + tile
                    outer_tile(
                        v, row * c_row + c, c_row, 1, u, filters, table, width * c_size + c,
                        min(c_size - c, LONGEST_CHAIN), products, row * o_row + first * LANES, o_row, MOST_ROWS, width,
                        c > 0,
                    )  # fmt: skip


@device
def _transform_outputs(
    products: ndarray, b: ndarray, strip: ndarray, y: ndarray, m: int, dh: int, dw: int, down: int, across: int,
    first: int, last: int,
) -> None:  # fmt: skip
    """Write the groups first..last of y (N, O, OH, OW), a run of them at a time; b (O,)."""
    o_size, oh_size, ow_size = y.shape[1:]
    a, pitch, place = m + 2, strip.shape[1], products.shape[1] * products.shape[2]
    group = first
    while group < last:
        n, row, column, run = _run_at(group, last, down, across, m, dh, dw)
        length = min(run * m * dw, ow_size - column)
        for o in range(0, o_size, LANES):
            for k in range(run):
                for j in range(dw):
                    source, target = ((group - first + k) * dw + j) * products.shape[2] + o, (k * m * dw + j) * LANES
                    if m == 2:
                        outputs2(products, source, a * place, place, strip, target, pitch * LANES, dw * LANES)
                    else:
                        outputs4(products, source, a * place, place, strip, target, pitch * LANES, dw * LANES)
            for i in range(min(m, (oh_size - row + dh - 1) // dh)):
                for j in range(0, length, LANES):
                    turn(
                        strip, (i * pitch + j) * LANES, LANES, min(length - j, LANES), min(o_size - o, LANES), b, o,
                        y, ((n * o_size + o) * oh_size + row + i * dh) * ow_size + column + j, oh_size * ow_size,
                    )  # fmt: skip
        group += run


@kernel(writes="y strips data products")
def _blocks(
    x: ndarray, u: ndarray, b: ndarray, table: ndarray, y: ndarray, strips: ndarray, data: ndarray, products: ndarray,
    m: int, top: int, left: int, dh: int, dw: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the blocks of tiles start..stop.

    table (WIDEST + 1, C): where channel c begins in a panel of each width. Scratch for each piece: strips (pieces, a,
    pixels, LANES), data (pieces, a*a, tiles, channels), products (pieces, a*a, tiles, filters).
    """
    down, across, size = (y.shape[2] + m * dh - 1) // (m * dh) * dh, (y.shape[3] + m * dw - 1) // (m * dw), BLOCK // dw
    groups = y.shape[0] * down * across
    piece = threads.piece_at(start, (groups + size - 1) // size)
    strip, v, sums = strips[piece], data[piece], products[piece]
    for block in range(start, stop):
        first, last = block * size, min((block + 1) * size, groups)
        _transform_data(x, strip, v, m, top, left, dh, dw, down, across, first, last)
        _multiply(v, u, table, x.shape[1], sums, (last - first) * dw)
        _transform_outputs(sums, b, strip, y, m, dh, dw, down, across, first, last)


def _convolve(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y_shape: tuple[int, ...], corner: Pair, dilation: Pair, m: int,
    turned: bool,
) -> np.ndarray:  # fmt: skip
    """Return y, whose pixel (0, 0) reads the pixels of x from (-top, -left) on, corner being (top, left)."""
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    y = buffers.empty(y_shape, x.dtype)
    if not y.size:
        return y
    c_size, o_size, a = x.shape[1], y.shape[1], m + 2
    vectors = -(-o_size // LANES)
    panels = -(-vectors // WIDEST)
    o_step, c_step = (9, o_size * 9) if turned else (c_size * 9, 9)
    u = buffers.empty((a * a, vectors * LANES * c_size), x.dtype)
    stages = np.empty((threads.pieces_of(panels), 9, LANES), x.dtype)
    threads.split(_filters, panels, w.reshape(-1), u, stages, m, o_size, o_step, c_size, c_step, turned, work=u.size)
    dh, dw = dilation
    down, across = -(-y.shape[2] // (m * dh)) * dh, -(-y.shape[3] // (m * dw))
    blocks = -(-len(y) * down * across // (BLOCK // dw))
    pieces = threads.pieces_of(blocks)
    strips = np.empty((pieces, a, (min(across, BLOCK // dw) * m + 2) * dw, LANES), x.dtype)
    data = buffers.empty((pieces, a * a, BLOCK + 1, -(-c_size // LANES) * LANES), x.dtype)
    products = buffers.empty((pieces, a * a, BLOCK + 1, vectors * LANES), x.dtype)
    b = np.zeros(o_size, x.dtype) if b is None else np.ascontiguousarray(b)
    table = np.arange(WIDEST + 1)[:, None] * np.arange(c_size) * LANES
    work = y.size * c_size * 9 // threads.MULTIPLY_ADDS
    threads.split(_blocks, blocks, x, u, b, table, y, strips, data, products, m, *corner, dh, dw, work=work)
    return y


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, padding: Padding, dilation: Pair, m: int) -> np.ndarray:
    """Return y (N, O, OH, OW) of images x (N, C, H, W), filters w (O, C, 3, 3), a bias b (O,) or None, in m x m tiles.

    A NaN, an infinity or an overflow spoils all of the tiles that it touches.
    """
    y_shape = len(x), len(w), *_out(x.shape, padding, dilation)
    return _convolve(x, w, b, y_shape, (padding[0][0], padding[1][0]), dilation, m, False)


def conv2d_input_grad(
    gy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], padding: Padding, dilation: Pair, m: int
) -> np.ndarray:
    """Return gx (N, C, H, W): the transpose of `conv2d` in x, applied to gy (N, O, OH, OW)."""
    corner = 2 * dilation[0] - padding[0][0], 2 * dilation[1] - padding[1][0]
    return _convolve(gy, w, None, x_shape, corner, dilation, m, True)
