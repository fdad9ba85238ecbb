"""The input gradient of a convolution that 2x2 max pooling follows: only the maxima have a gradient, one pixel of four.

    gx[c, y + p, x + q] += gy[o, y, x] * w[o, c, p, q]      for every maximum (o, y, x) whose gradient is not zero

The sums lie channels-last, ``COLUMN`` channels of a pixel next to each other, so one such vector is a column of the
filter: w[o, :, p, q]. The window of sums that a pixel reaches stays in registers. It moves along the row of gy: its
first column is stored, and one is loaded at the other end. At each pixel the gradients of all filters lie in the lanes
of a vector (gy is turned for that): comparing where the maxima are gives a mask, whose bits are the filters to add.

Each sum adds its products in the order of conv_lanes.py, rows and columns of gy from the last to the first, there over
the filters. It leaves out zeros, so the bits are those of a gy with zeros everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, conv_input_grad, threads, winograd
from tinygrad_cnn.kernels.compile import config, kernel
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, REGISTERS, Emitter, lanes
from tinygrad_cnn.kernels.tile_pixels import turn

LANES = lanes(np.dtype(np.float32))
COLUMN = min(8, LANES)
# The sizes of square filters whose windows stay in registers.
SIZES = tuple(size for size in (3, 5) if size * size + 4 <= REGISTERS)
Shape = tuple[int, ...]
BIT, WORD = ir.IntType(1), ir.IntType(64)


@intrinsic
def _add_row(  # type: ignore[no-untyped-def]
    typing, room, gy, places, sums, pitch, deep, count, place, pixels, filters, first, size
):  # fmt: skip
    """Add a row of gy to the sums that it reaches (their first at ``sums``, rows of them ``pitch`` apart).

    The row has ``pixels``, two to a window; at a window ``deep`` apart from the next lie the gradients of ``count``
    filters, and the places of the maxima; those of this row are ``place`` and ``place`` + 1.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        room, gy, places, sums, pitch, deep, count, place, pixels, filters, first, size = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        gy_at, places_at, sums_at = (emit.pointer(signature.args[0], room, start) for start in (gy, places, sums))
        filters_at = emit.pointer(signature.args[9], filters, first)
        columns = Emitter(context, builder, signature.args[0].dtype, COLUMN)
        blocks = builder.sdiv(builder.add(count, emit.index(emit.lanes - 1)), emit.index(emit.lanes))

        def variant(size: int) -> None:
            rows = [emit.shifted(sums_at, builder.mul(pitch, emit.index(p))) for p in range(size)]
            taps = range(size * size)

            def column(p: int, x: ir.Value) -> ir.Value:
                return emit.shifted(rows[p], builder.mul(x, emit.index(COLUMN)))

            def pixel(number: ir.Value, before: list[ir.Value]) -> list[ir.Value]:
                x = builder.sub(builder.sub(pixels, emit.index(1)), number)
                totals = []
                for p in range(size):
                    columns.store(before[p * size + size - 1], column(p, builder.add(x, emit.index(size))))
                    totals += [columns.load(column(p, x)), *before[p * size : p * size + size - 1]]
                window = builder.mul(builder.ashr(x, emit.index(1)), deep)
                here = builder.sitofp(builder.add(place, builder.and_(x, emit.index(1))), emit.scalar)

                def block(b: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                    o = builder.mul(b, emit.index(emit.lanes))
                    at = builder.add(window, o)
                    factors = emit.shifted(gy_at, at)
                    maxima = emit.load(emit.shifted(places_at, at))
                    maxima = builder.fcmp_ordered("==", maxima, emit.splat(here, emit.vector))
                    maxima = builder.and_(maxima, builder.fcmp_unordered("!=", emit.load(factors), emit.zero()))
                    exist = builder.sub(builder.shl(emit.index(1), builder.sub(count, o)), emit.index(1))
                    mask = builder.and_(builder.zext(builder.bitcast(maxima, ir.IntType(emit.lanes)), WORD), exist)

                    def add(_: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
                        left, *totals = values
                        lane = builder.cttz(left, BIT(0))
                        factor = columns.broadcast(emit.shifted(factors, lane))
                        w = emit.shifted(filters_at, builder.mul(builder.add(o, lane), emit.index(len(taps) * COLUMN)))
                        ws = [columns.load(emit.shifted(w, tap * COLUMN)) for tap in taps]
                        sums = [emit.multiply_add(factor, ws[tap], totals[tap]) for tap in taps]
                        return [builder.and_(left, builder.sub(left, emit.index(1))), *sums]

                    return emit.loop(builder.ctpop(mask), [mask, *totals], add)[1:]

                return emit.loop(blocks, totals, block)

            ends = [[column(p, builder.add(pixels, emit.index(q))) for q in range(size)] for p in range(size)]
            totals = emit.loop(pixels, [columns.load(end) for row in ends for end in row], pixel)
            for tap in taps:
                columns.store(totals[tap], emit.shifted(rows[tap // size], tap % size * COLUMN))

        emit.variants(size, {size: partial(variant, size) for size in SIZES})
        return context.get_dummy_value()

    return types.void(room, *[types.int64] * 8, filters, types.int64, types.int64), codegen


@intrinsic
def _deal(typing, room, at, gx, target, plane, channels, count):  # type: ignore[no-untyped-def]
    """gx[target + c*plane + j] = room[at + j*COLUMN + c] for so many channels c, j < count and a vector's lanes."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        room, at, gx, target, plane, channels, count = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        room_at = emit.pointer(signature.args[0], room, at)
        gx_at = emit.pointer(signature.args[2], gx, target)

        def dealt(vectors: list[ir.Value], bit: int) -> list[ir.Value]:
            """Return a vector for each channel, of vectors that hold, pixel by pixel, twice ``bit`` channels."""
            if not bit:
                return vectors
            lower, upper = ([j for j in range(2 * emit.lanes) if j & bit == half] for half in (0, bit))
            pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
            halves = ([emit.shuffle(a, b, lanes) for a, b in pairs] for lanes in (lower, upper))
            return [vector for half in halves for vector in dealt(half, bit // 2)]

        vectors = [emit.load(emit.shifted(room_at, i * emit.lanes)) for i in range(COLUMN)]
        mask = emit.first_lanes(count)
        for c, vector in enumerate(dealt(vectors, COLUMN // 2)):
            with builder.if_then(builder.icmp_signed("<", emit.index(c), channels)):
                emit.masked_store(vector, emit.shifted(gx_at, builder.mul(plane, emit.index(c))), mask)
        return context.get_dummy_value()

    return types.void(room, types.int64, gx, types.int64, types.int64, types.int64, types.int64), codegen


def _add_row_twin(
    room: ndarray, gy: int, places: int, sums: int, pitch: int, deep: int, count: int, place: int, pixels: int,
    filters: ndarray, first: int, size: int,
) -> None:  # fmt: skip
    room, width = room.reshape(-1), size * COLUMN
    columns = filters.reshape(-1)[first:][: count * size * width].reshape(count, size, width)
    for x in range(pixels - 1, -1, -1):
        for o in range(count):
            at = x // 2 * deep + o
            if room[places + at] == place + x % 2 and room[gy + at] != 0:
                for p in range(size):
                    room[sums + p * pitch + x * COLUMN :][:width] += room[gy + at] * columns[o, p]


def _deal_twin(room: ndarray, at: int, gx: ndarray, target: int, plane: int, channels: int, count: int) -> None:
    pixels = room.reshape(-1)[at:][: LANES * COLUMN].reshape(LANES, COLUMN)
    for c in range(channels):
        gx.reshape(-1)[target + c * plane :][: min(count, LANES)] = pixels[:count, c]


add_row: Callable[..., None] = _add_row_twin if config.DISABLE_JIT else _add_row
deal: Callable[..., None] = _deal_twin if config.DISABLE_JIT else _deal


@kernel(writes="gx rooms")
def _input_grad(
    gy: ndarray, index: ndarray, filters: ndarray, maps: ndarray, windows: ndarray, gx: ndarray, rooms: ndarray,
    deep: int, places: int, raw: int, sums: int, size: int, top: int, left: int, pitch: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the images start..stop; a piece's room holds gy and the places, turned, the places as they are, and sums.

    filters (blocks of COLUMN channels, O, taps, COLUMN); maps: how far from the first the maps of gy lie.
    """
    n_size, o_size, ph_size, pw_size = gy.shape
    c_size, h_size, w_size = gx.shape[1:]
    room = rooms[threads.piece_at(start, n_size)]
    flat, plane, count, lane = gy.reshape(-1), ph_size * pw_size, gy[0].size, len(windows)
    for n in range(start, stop):
        wheres, numbers = index[n * count : (n + 1) * count], room[raw : raw + count]
        for k in range(count):
            numbers[k] = wheres[k]
        for j in range(0, plane, lane):
            for o in range(0, deep, lane):
                at, have = j * deep + o, min(lane, plane - j)
                turn(flat, n * count + j, maps, o, room, at, windows, 0, have, lane)
                turn(room, raw + j, maps, o, room, places + at, windows, 0, have, lane)
        for block in range(len(filters)):
            room[sums:] = 0
            for y in range(2 * ph_size - 1, -1, -1):
                at = y // 2 * pw_size * deep
                add_row(
                    room, at, places + at, sums + y * pitch, pitch, deep, o_size, y % 2 * 2, 2 * pw_size,
                    filters, block * filters[0].size, size,
                )  # fmt: skip
            for h in range(h_size):
                for w in range(0, w_size, lane):
                    target = ((n * c_size + block * COLUMN) * h_size + h) * w_size + w
                    at = sums + (h + top) * pitch + (left + w) * COLUMN
                    deal(room, at, gx, target, h_size * w_size, min(COLUMN, c_size - block * COLUMN), w_size - w)


@lru_cache(maxsize=256)
def _plan(gy: Shape, x: Shape, size: int, padding: Padding) -> tuple[Any, ...]:
    """Return the tables and numbers of the kernel, from ``maps`` and ``deep`` on, and the elements of a room."""
    (_, o, ph, pw), (_, _, height, width), ((top, bottom), (left, right)) = gy, x, padding
    plane, deep = ph * pw, -(-o // LANES) * LANES
    turned = -(-plane // LANES) * LANES * deep
    raw, pitch = 2 * turned, (left + width + right) * COLUMN
    sums = raw + -(-o * plane // LANES) * LANES
    maps = np.minimum(np.arange(deep), o - 1) * plane
    whole = sums + -(-(top + height + bottom) * pitch // LANES) * LANES + LANES * COLUMN
    return maps, np.arange(LANES) * deep, (deep, turned, raw, sums, size, top, left, pitch), whole


def pays(x: Shape, w: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int, dtype: np.dtype) -> bool:
    """Say whether `input_grad` has the bits of the gradient of every pixel, for images x and filters w, and is faster.

    It has those of conv_lanes.py, while a sum is one chain there. Lanes without a channel must be few.
    """
    (o, c, kh, kw), window = w, Window((w[2], w[3]), stride, padding, dilation)
    gy = x[0], o, *window.out_size("conv2d", (x[2], x[3]))
    plain = dtype == np.float32 and kh == kw and kh in SIZES and (stride, dilation, groups) == ((1, 1), (1, 1), 1)
    # with more lanes than 1.6 a channel there is as much to do as with all the zeros
    small = o * kh * kw <= LONGEST_CHAIN and -(-c // COLUMN) * COLUMN <= 1.6 * c
    if not plain or not small or min(x) < 1 or min(gy[2:]) < 2 or winograd.choose(dtype, x, w, *window[1:], groups):
        return False
    return conv_input_grad.route(gy, w, x, dtype, *window[1:], groups).by == "lanes"


def input_grad(
    gy: ndarray, w: ndarray, x_shape: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int, index: ndarray
) -> ndarray:
    """Return gx (N, C, H, W) of the gradient gy (N, O, OH//2, OW//2) of maxima; index (uint8): 2 * row + column.

    The arguments are those of `conv2d_input_grad`, but stride and dilation are 1, and there are no groups.
    """
    (o, c, size, _), taps = w.shape, w[0, 0].size
    maps, windows, numbers, whole = _plan(gy.shape, x_shape, size, padding)
    blocks, pieces = -(-c // COLUMN), threads.pieces_of(len(gy))
    columns = blocks * o * taps * COLUMN
    # All in one array, whose rows begin with whole vectors; the last holds the filters.
    rooms = buffers.empty((pieces + 1, max(whole, columns)), gy.dtype)
    filters = rooms[pieces, :columns].reshape(blocks, o, taps, COLUMN)
    filters.fill(0)  # nobody reads lanes without a channel, but denormal numbers there would be slow
    for block in range(blocks):
        some = w[:, block * COLUMN : (block + 1) * COLUMN].reshape(o, -1, taps)
        filters[block, :, :, : some.shape[1]] = some.transpose(0, 2, 1)
    gx = buffers.empty(x_shape, gy.dtype)
    threads.split(
        _input_grad, len(gy), np.ascontiguousarray(gy), index.reshape(-1), filters, maps, windows, gx, rooms, *numbers,
        work=gy.size * c * taps // threads.MULTIPLY_ADDS,
    )  # fmt: skip
    return gx
