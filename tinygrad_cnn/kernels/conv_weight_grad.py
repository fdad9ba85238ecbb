"""The weight gradient of a convolution, on the layouts of conv.py.

It runs along the flat axis: one vector accumulator for each of a few filters and taps.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv import layout, pack
from tinygrad_cnn.kernels.geometry import Padding, Pair
from tinygrad_cnn.kernels.tile import INNER_ROWS, INNER_TAPS, LONGEST_CHAIN, copy_run, inner_tile, lanes


@kernel(writes="gw images gradients acc")
def _weight_grad(
    gy: ndarray, x: ndarray, table: ndarray, gw: ndarray, images: ndarray, gradients: ndarray, acc: ndarray,
    groups: int, sh: int, sw: int, top: int, left: int, i_size: int, j_size: int, rows: int, pieces: int, start: int,
    stop: int,
) -> None:  # fmt: skip
    n_size, o_size, oh_size, ow_size = gy.shape
    o_group, depth = gw.shape[1] // groups, gw.shape[2]
    group = (x.shape[1] // groups) * sh * sw * i_size * j_size
    together, flat = gradients.shape[1], gradients.shape[3]
    width = acc.shape[2]
    steps = flat // width
    for piece in range(start, stop):
        first, last = n_size * piece // pieces, n_size * (piece + 1) // pieces
        for n0 in range(first, last, together):
            count = min(together, last - n0)
            for i in range(count):
                pack(x, n0 + i, images[piece, i], sh, sw, top, left, i_size, j_size)
                for o in range(o_size):
                    for oh in range(oh_size):
                        source = (((n0 + i) * o_size + o) * oh_size + oh) * ow_size
                        target = ((piece * together + i) * o_size + o) * flat + oh * j_size
                        copy_run(gy, source, gradients, target, ow_size, gy.dtype.type(0))
            for g in range(groups):
                for o0 in range(0, o_group, rows):
                    o1 = min(o0, o_group - rows)
                    for k in range(0, depth, INNER_TAPS):
                        for s in range(0, steps, LONGEST_CHAIN):
                            acc[piece] = 0
                            for i in range(count):
                                inner_tile(
                                    gradients, ((piece * together + i) * o_size + g * o_group + o1) * flat + s * width,
                                    flat, images, (piece * together + i) * images.shape[2] + g * group + s * width,
                                    table, k, min(LONGEST_CHAIN, steps - s), acc, piece * acc.shape[1] * width, rows,
                                )  # fmt: skip
                            for r in range(o0 - o1, rows):
                                for t in range(min(INNER_TAPS, depth - k)):
                                    total = 0.0
                                    for lane in range(width):
                                        total += acc[piece, r * INNER_TAPS + t, lane]
                                    gw[piece, g * o_group + o1 + r, k + t] += total


def conv2d_weight_grad(
    gy: np.ndarray, x: np.ndarray, w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    """Return gw (O, C/groups, KH, KW): the transpose of `conv2d` in w, applied to gy (N, O, OH, OW).

    Pixels under garbage columns are multiplied by 0: a NaN or infinity of x may spoil more taps than depend on it.
    """
    gy, x = np.ascontiguousarray(gy), np.ascontiguousarray(x)
    (n, c, height, width), (o, _, kh, kw) = x.shape, w_shape
    if not gy.size or not x.size:
        return np.zeros(w_shape, x.dtype)
    plan = layout(c, (height, width), (kh, kw), stride, padding, dilation, groups)
    pitch = plan.phase[1]
    lane = lanes(x.dtype)
    # the flat gradient of an image: rows of the image's pitch, zeros in the garbage columns and up to a whole vector
    steps = -(-((plan.out[0] - 1) * pitch + plan.out[1]) // lane)
    pieces = threads.pieces_of(n)
    image = plan.image
    together = max(1, min(-(-n // pieces), LONGEST_CHAIN // steps, 2**17 // (image + o * steps * lane)))
    rows = -(-(o // groups) // -(-(o // groups) // INNER_ROWS))
    key = x.shape, w_shape, stride, padding, dilation, groups, x.dtype.char
    images = buffers.borrow(("images", key), (pieces, together, image), x.dtype)
    gradients = buffers.borrow(("gradients", key), (pieces, together, o, steps * lane), x.dtype)
    acc = buffers.empty((pieces, INNER_ROWS * INNER_TAPS, lane), x.dtype)
    taps = len(plan.table)
    table = np.concatenate([plan.table, np.repeat(plan.table[-1:], -taps % INNER_TAPS)])
    gw = buffers.zeros((pieces, o, taps), np.float64)
    (top, _), (left, _) = padding
    threads.split(
        _weight_grad, pieces, gy, x, table, gw, images, gradients, acc, groups, *stride, top, left, *plan.phase, rows,
        pieces, work=gy.size * taps // threads.MULTIPLY_ADDS,
    )  # fmt: skip
    buffers.give_back(("images", key), images)
    buffers.give_back(("gradients", key), gradients)
    return gw.sum(0).astype(x.dtype).reshape(w_shape)
