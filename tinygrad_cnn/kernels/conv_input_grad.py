"""The input gradient of a convolution, on the offset tables of conv.py.

It is a convolution of the padded output gradient with turned filters, once for each phase of the input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, conv_lanes, conv_pointwise, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv import SLACK, bands_for, pack, scratch, sums_at
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import (
    VECTORS,
    copy_run,
    rows_for,
)


class Phase(NamedTuple):
    """The taps that reach one phase of the input, and which of its rows and columns lie inside the image."""

    taps: tuple[np.ndarray, np.ndarray]  # the p and the q of the taps
    table: np.ndarray  # over (p, o, q): the taps of one line of the filter lie together
    lines: np.ndarray  # how many rows of gy lie between a line and the first
    rows: Pair  # first and last + 1
    columns: Pair


class Adjoint(NamedTuple):
    """How the padded output gradient lies, and its phases."""

    rows: int
    pitch: int
    origin: Pair  # where gy[0, 0] stands
    phases: tuple[tuple[Pair, Phase], ...]


@lru_cache(maxsize=256)
def adjoint(o: int, image: Pair, filters: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Adjoint:
    """Return the plan of the input gradient of one group with ``o`` outputs."""
    window = Window(filters, stride, padding, dilation)
    reach = tuple((filters[d] - 1) * dilation[d] // stride[d] for d in (0, 1))
    size = tuple(-(-window.padded(image)[d] // stride[d]) for d in (0, 1))
    rows, pitch = size[0] + reach[0], size[1] + reach[1]
    phases = []
    for a in range(stride[0]):
        for b in range(stride[1]):
            taps, inside = [], []
            for d, first in ((0, a), (1, b)):
                steps = np.arange(filters[d]) * dilation[d]
                taps.append(np.flatnonzero(steps % stride[d] == first))
                before = padding[d][0]
                # the pixel stride*i + first - before lies in the image for these i
                start, stop = -(-(before - first) // stride[d]), -(-(before + image[d] - first) // stride[d])
                inside.append((max(start, 0), stop))
            ps, os, qs = np.ogrid[: len(taps[0]), :o, : len(taps[1])]
            lines = (taps[0] * dilation[0] // stride[0]).astype(np.int64)
            up = reach[0] - taps[0][ps] * dilation[0] // stride[0]
            back = reach[1] - taps[1][qs] * dilation[1] // stride[1]
            table = (os * rows * pitch + up * pitch + back).reshape(-1).astype(np.int64)
            phases.append(((a, b), Phase((taps[0], taps[1]), table, lines, *inside)))
    return Adjoint(rows, pitch, (reach[0], reach[1]), tuple(phases))


@kernel(writes="gx images sums")
def _input_grad(
    gy: ndarray, w: ndarray, table: ndarray, lines: ndarray, gx: ndarray, images: ndarray, sums: ndarray, groups: int,
    bands: int, sh: int, sw: int, a: int, b: int, top: int, left: int, origin_h: int, origin_w: int, i_size: int,
    pitch: int, i_first: int, i_last: int, j_first: int, j_last: int, rows: int, vectors: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute one phase (a, b) of the items start..stop, as _forward does, from gy padded to (i_size, pitch).

    w (C, taps) is sorted as table (taps,); lines: how many rows of gy lie between each line of the filter and the
    first. Rows i_first..i_last and columns j_first..j_last of the phase lie inside the image.
    """
    n_size, c_size, h_size, w_size = gx.shape
    oh_size = gy.shape[2]
    piece = threads.piece_at(start, n_size * bands)
    image, total, width = images[piece], sums[piece].reshape(-1), sums.shape[2]
    c_group, depth = c_size // groups, w.shape[1]
    group = (gy.shape[1] // groups) * i_size * pitch
    origin = i_first * pitch + j_first
    flat = (i_last - 1) * pitch + j_last - origin
    tiles = (flat + width - 1) // width
    packed = -1
    for item in range(start, stop):
        n, band = divmod(item, bands)
        if n != packed:
            pack(gy, n, image, 1, 1, origin_h, origin_w, i_size, pitch)
            packed = n
        for tile in range(tiles * band // bands, tiles * (band + 1) // bands):
            for g in range(groups):
                position = origin + tile * width
                # the lines of the filter that reach gy from the rows of this tile; the others would add zeros
                i, i_end = position // pitch, (position + width - 1) // pitch
                low = high = 0
                for reached in lines:
                    low += reached <= i - oh_size
                    high += reached <= i_end
                line = depth // max(lines.size, 1)
                low, high = low * line, max(low, high) * line
                at = g * group + position
                first = g * c_group * depth
                sums_at(w, first, depth, table, low, high, image, at, total, c_group, rows, vectors, width)
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
    window, taps = Window((kh, kw), stride, padding, dilation), o // groups * kh * kw // (stride[0] * stride[1])
    if conv_pointwise.pays(window, gy.shape, c, groups, gy.dtype):
        conv_pointwise.convolve(True, gy, w, None, gx)
        return gx
    if conv_lanes.pays(n, gy.shape[1:], gx.shape[1:], taps, stride, gy.dtype):
        conv_lanes.convolve(True, gy, w, None, gx, window, groups)
        return gx
    rows = rows_for(c // groups)
    bands = bands_for(n)
    images, sums = scratch(gy.dtype, n * bands, o * plan.rows * plan.pitch + SLACK, c // groups, rows)
    # (groups, O/g, C/g, KH, KW): the taps of a phase, then (C, p * O/g * q)
    filters = w.reshape(groups, o // groups, c // groups, kh, kw)
    for (a, b), phase in plan.phases:
        (i_first, i_last), (j_first, j_last) = phase.rows, phase.columns
        if i_first >= i_last or j_first >= j_last:
            continue
        taps = filters[:, :, :, phase.taps[0][:, None], phase.taps[1]]
        mixed = np.ascontiguousarray(taps.transpose(0, 2, 3, 1, 4)).reshape(c, -1)
        work = gx.size // (stride[0] * stride[1]) * mixed.shape[1] // threads.MULTIPLY_ADDS
        (top, _), (left, _) = padding
        threads.split(
            _input_grad, n * bands, gy, mixed, phase.table, phase.lines, gx, images, sums, groups, bands, *stride, a, b,
            top, left, *plan.origin, plan.rows, plan.pitch, i_first, i_last, j_first, j_last, rows, VECTORS[rows],
            work=work,
        )  # fmt: skip
    return gx
