"""Convolution without im2col: offset tables over the flat padded image drive the register tile.

For stride 1 let J be the padded row length. The input of *every* output pixel for one tap (c, p, q) is the flat padded
image shifted by c*plane + p*J + q. So the output is computed in a row pitch of J (the last columns of a row are garbage
and dropped when the row is written out), all loads are contiguous, and nothing is unrolled into columns.

A stride s splits the image into s*s phase images, [a, b] holding the pixels (s*i + a, s*j + b): tap p reads phase
p % s at the row p // s, again with stride 1. The input gradient is the same computation on the padded output gradient,
once for each phase of the input. Dilation only changes offsets, groups only choose channels.

Names: x w b y; gy gx gw; N C H W, O KH KW, OH OW; I J rows and row length of a phase image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import (
    INNER_ROWS,
    INNER_TAPS,
    LONGEST_CHAIN,
    VECTORS,
    copy_run,
    inner_tile,
    lanes,
    outer_tile,
    rows_for,
)


class Layout(NamedTuple):
    """Where the pixels of one padded image lie, split into phases, and the offset of each tap."""

    out: Pair  # OH, OW
    phase: Pair  # I, J
    image: int  # elements of all channels and phases
    table: np.ndarray  # the offset of each tap (c, p, q) of one group
    slack: int  # how far a tile reads beyond the last output


@lru_cache(maxsize=256)
def layout(c: int, image: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Layout:
    """Return the layout of (c, *image) for one geometry."""
    window = Window(kernel, stride, padding, dilation)
    out = window.out_size("conv2d", image)
    (sh, sw), (hp, wp) = stride, window.padded(image)
    i, j = -(-hp // sh), -(-wp // sw)
    cs, ps, qs = np.ogrid[: c // groups, : kernel[0], : kernel[1]]
    h, w = ps * dilation[0], qs * dilation[1]
    table = ((cs * sh + h % sh) * sw + w % sw) * (i * j) + h // sh * j + w // sw
    taps = table.reshape(-1).astype(np.int64)
    return Layout(out, (i, j), c * sh * sw * i * j, taps, 1024)


@device
def _pack(x, n, image, sh, sw, top, left, i_size, j_size):  # type: ignore[no-untyped-def]
    """Copy image n into its padded phase images; what lies between was zero from the start."""
    c_size, h_size, w_size = x.shape[1:]
    for c in range(c_size):
        for h in range(h_size):
            i, a = divmod(h + top, sh)
            if sw == 1:
                at = ((c * sh + a) * i_size + i) * j_size + left
                copy_run(x, ((n * c_size + c) * h_size + h) * w_size, image, at, w_size, x.dtype.type(0))
            else:
                for w in range(w_size):
                    j, b = divmod(w + left, sw)
                    image[(((c * sh + a) * sw + b) * i_size + i) * j_size + j] = x[n, c, h, w]


@device
def _sums(a, a_start, depth, table, table_start, image, at, sums, count, rows, vectors, width):  # type: ignore[no-untyped-def]
    """Fill ``sums`` (block, row, width) with ``count`` outputs at the flat position ``at``; rows overlap at the end."""
    blocks = (count + rows - 1) // rows
    for k in range(0, max(depth, 1), LONGEST_CHAIN):
        chain = min(LONGEST_CHAIN, depth - k)
        for block in range(blocks):
            first = min(block * rows, count - rows)
            outer_tile(
                a, a_start + first * depth + k, depth, 1, image, at, table, table_start + k, chain,
                sums, block * rows * width, width, rows, vectors, k > 0,
            )  # fmt: skip


@kernel(writes="y images sums", reassoc=False)
def _forward(  # type: ignore[no-untyped-def]
    x, w, b, table, y, images, sums, groups, bands, sh, sw, top, left, i_size, j_size, rows, vectors, start, stop
):
    n_size, o_size, oh_size, ow_size = y.shape
    piece = threads.piece_at(start, n_size * bands)
    image, total = images[piece], sums[piece]
    o_group, depth = o_size // groups, w.shape[1]
    group = (x.shape[1] // groups) * sh * sw * i_size * j_size
    width = vectors * (total.shape[0] // ((o_group + rows - 1) // rows * rows) // vectors)
    flat = (oh_size - 1) * j_size + ow_size
    tiles = (flat + width - 1) // width
    packed = -1
    for item in range(start, stop):
        n, band = divmod(item, bands)
        if n != packed:
            _pack(x, n, image, sh, sw, top, left, i_size, j_size)
            packed = n
        for tile in range(tiles * band // bands, tiles * (band + 1) // bands):
            for g in range(groups):
                at = g * group + tile * width
                _sums(w, g * o_group * depth, depth, table, 0, image, at, total, o_group, rows, vectors, width)
                # write the runs of this tile that are real columns
                position = tile * width
                end = min(position + width, flat)
                while position < end:
                    oh, ow = divmod(position, j_size)
                    run = min(j_size - ow, end - position)
                    real = min(run, ow_size - ow)
                    for block in range((o_group + rows - 1) // rows):
                        first = min(block * rows, o_group - rows)
                        for r in range(rows):
                            o = g * o_group + first + r
                            bias = b[o] if b.size else b.dtype.type(0)
                            source = (block * rows + r) * width + position - tile * width
                            target = ((n * o_size + o) * oh_size + oh) * ow_size + ow
                            copy_run(total, source, y, target, real, bias)
                    position += run


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    """Return y (N, O, OH, OW) of images x (N, C, H, W), filters w (O, C/groups, KH, KW) and a bias b (O,) or None."""
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    (n, c, height, width), (o, _, *size) = x.shape, w.shape
    plan = layout(c, (height, width), (size[0], size[1]), stride, padding, dilation, groups)
    y = buffers.empty((n, o, *plan.out), x.dtype)
    if not y.size:
        return y
    b = np.empty(0, x.dtype) if b is None else np.ascontiguousarray(b)
    w = w.reshape(o, -1)
    rows = rows_for(o // groups)
    bands = _bands(n)
    images, sums = _scratch(x.dtype, n * bands, plan.image + plan.slack, o // groups, rows)
    (top, _), (left, _) = padding
    work = y.size * w.shape[1] // 8
    threads.split(
        _forward, n * bands, x, w, b, plan.table, y, images, sums, groups, bands, *stride, top, left, *plan.phase,
        rows, VECTORS[rows], work=work,
    )  # fmt: skip
    return y


def _bands(n: int) -> int:
    """Into how many bands an image is cut, so that few images also make enough pieces for the threads."""
    return -(-threads.PIECES // n) if n < threads.PIECES // 2 else 1


def _scratch(dtype: np.dtype, items: int, image: int, count: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each piece, a zeroed image and room for one tile of every output."""
    pieces = threads.pieces_of(items)
    tile = -(-count // rows) * rows * VECTORS[rows] * lanes(dtype)
    return buffers.zeros((pieces, image), dtype), buffers.empty((pieces, tile), dtype)


# --- the input gradient ------------------------------------------------------------------------------------------


class Phase(NamedTuple):
    """The taps that reach one phase of the input, and which of its rows and columns lie inside the image."""

    taps: tuple[np.ndarray, np.ndarray]  # the p and the q of the taps
    table: np.ndarray
    rows: Pair  # first and last + 1
    columns: Pair


class Adjoint(NamedTuple):
    """How the padded output gradient lies, and its phases."""

    rows: int
    pitch: int
    origin: Pair  # where gy[0, 0] stands
    phases: tuple[tuple[Pair, Phase], ...]


@lru_cache(maxsize=256)
def adjoint(o: int, image: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Adjoint:
    """Return the plan of the input gradient of one group with ``o`` outputs."""
    window = Window(kernel, stride, padding, dilation)
    reach = tuple((kernel[d] - 1) * dilation[d] // stride[d] for d in (0, 1))
    size = tuple(-(-window.padded(image)[d] // stride[d]) for d in (0, 1))
    rows, pitch = size[0] + reach[0], size[1] + reach[1]
    phases = []
    for a in range(stride[0]):
        for b in range(stride[1]):
            taps, inside = [], []
            for d, first in ((0, a), (1, b)):
                steps = np.arange(kernel[d]) * dilation[d]
                taps.append(np.flatnonzero(steps % stride[d] == first))
                before = padding[d][0]
                # the pixel stride*i + first - before lies in the image for these i
                start, stop = -(-(before - first) // stride[d]), -(-(before + image[d] - first) // stride[d])
                inside.append((max(start, 0), stop))
            os, ps, qs = np.ogrid[:o, : len(taps[0]), : len(taps[1])]
            up = reach[0] - taps[0][ps] * dilation[0] // stride[0]
            back = reach[1] - taps[1][qs] * dilation[1] // stride[1]
            table = (os * rows * pitch + up * pitch + back).reshape(-1).astype(np.int64)
            phases.append(((a, b), Phase((taps[0], taps[1]), table, *inside)))
    return Adjoint(rows, pitch, (reach[0], reach[1]), tuple(phases))


@kernel(writes="gx images sums")
def _input_grad(  # type: ignore[no-untyped-def]
    gy, w, table, gx, images, sums, groups, bands, sh, sw, a, b, top, left, origin_h, origin_w, i_size, pitch,
    i_first, i_last, j_first, j_last, rows, vectors, start, stop,
):  # fmt: skip
    n_size, c_size, h_size, w_size = gx.shape
    piece = threads.piece_at(start, n_size * bands)
    image, total = images[piece], sums[piece]
    c_group, depth = c_size // groups, w.shape[1]
    group = (gy.shape[1] // groups) * i_size * pitch
    width = vectors * (total.shape[0] // ((c_group + rows - 1) // rows * rows) // vectors)
    origin = i_first * pitch + j_first
    flat = (i_last - 1) * pitch + j_last - origin
    tiles = (flat + width - 1) // width
    packed = -1
    for item in range(start, stop):
        n, band = divmod(item, bands)
        if n != packed:
            _pack(gy, n, image, 1, 1, origin_h, origin_w, i_size, pitch)
            packed = n
        for tile in range(tiles * band // bands, tiles * (band + 1) // bands):
            for g in range(groups):
                at = g * group + origin + tile * width
                _sums(w, g * c_group * depth, depth, table, 0, image, at, total, c_group, rows, vectors, width)
                position = origin + tile * width
                end = min(position + width, origin + flat)
                while position < end:
                    i, j = divmod(position, pitch)
                    run = min(pitch - j, end - position)
                    skip = max(j_first - j, 0)
                    real = min(run, j_last - j)
                    for block in range((c_group + rows - 1) // rows):
                        first = min(block * rows, c_group - rows)
                        for r in range(rows):
                            c = g * c_group + first + r
                            source = (block * rows + r) * width + position - origin - tile * width
                            h, column = sh * i + a - top, sw * j + b - left
                            if sw == 1:
                                target = ((n * c_size + c) * h_size + h) * w_size + column + skip
                                copy_run(total, source + skip, gx, target, real - skip, gx.dtype.type(0))
                            else:
                                for k in range(skip, real):
                                    gx[n, c, h, column + sw * k] = total[source + k]
                    position += run


def conv2d_input_grad(
    gy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    """Return gx (N, C, H, W): the transpose of `conv2d` in x, applied to gy (N, O, OH, OW).

    Around gy lie zeros: a NaN or infinity of w may also spoil pixels near the border that its tap does not reach.
    """
    gy = np.ascontiguousarray(gy)
    n, c, height, width = x_shape
    o, _, kh, kw = w.shape
    plan = adjoint(o // groups, (height, width), (kh, kw), stride, padding, dilation)
    gx = buffers.empty(x_shape, gy.dtype)
    if not gx.size or not gy.size:
        gx.fill(0)
        return gx
    rows = rows_for(c // groups)
    bands = _bands(n)
    images, sums = _scratch(gy.dtype, n * bands, o * plan.rows * plan.pitch + 1024, c // groups, rows)
    # (groups, O/g, C/g, KH, KW): the taps of a phase, then (C, O/g * taps)
    filters = w.reshape(groups, o // groups, c // groups, kh, kw)
    for (a, b), phase in plan.phases:
        (i_first, i_last), (j_first, j_last) = phase.rows, phase.columns
        if i_first >= i_last or j_first >= j_last:
            continue
        taps = filters[:, :, :, phase.taps[0][:, None], phase.taps[1]]
        mixed = np.ascontiguousarray(taps.transpose(0, 2, 1, 3, 4)).reshape(c, -1)
        work = gx.size // (stride[0] * stride[1]) * mixed.shape[1] // 8
        (top, _), (left, _) = padding
        threads.split(
            _input_grad, n * bands, gy, mixed, phase.table, gx, images, sums, groups, bands, *stride, a, b, top, left,
            *plan.origin, plan.rows, plan.pitch, i_first, i_last, j_first, j_last, rows, VECTORS[rows], work=work,
        )  # fmt: skip
    return gx


# --- the weight gradient -----------------------------------------------------------------------------------------


@kernel(writes="gw images gradients acc")
def _weight_grad(  # type: ignore[no-untyped-def]
    gy, x, table, gw, images, gradients, acc, groups, sh, sw, top, left, i_size, j_size, rows, pieces, start, stop
):
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
                _pack(x, n0 + i, images[piece, i], sh, sw, top, left, i_size, j_size)
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
    image = plan.image + plan.slack
    together = max(1, min(-(-n // pieces), LONGEST_CHAIN // steps, 2**17 // (image + o * steps * lane)))
    rows = -(-(o // groups) // -(-(o // groups) // INNER_ROWS))
    images = buffers.zeros((pieces, together, image), x.dtype)
    gradients = buffers.zeros((pieces, together, o, steps * lane), x.dtype)
    acc = buffers.empty((pieces, INNER_ROWS * INNER_TAPS, lane), x.dtype)
    taps = len(plan.table)
    table = np.concatenate([plan.table, np.repeat(plan.table[-1:], -taps % INNER_TAPS)])
    gw = buffers.zeros((pieces, o, taps), np.float64)
    (top, _), (left, _) = padding
    threads.split(
        _weight_grad, pieces, gy, x, table, gw, images, gradients, acc, groups, *stride, top, left, *plan.phase, rows,
        pieces, work=gy.size * taps // 8,
    )  # fmt: skip
    return gw.sum(0).astype(x.dtype).reshape(w_shape)
