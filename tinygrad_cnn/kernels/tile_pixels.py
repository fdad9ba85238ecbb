"""Two more pieces of vector code, for images that lie side by side in the lanes of a vector (conv_lanes.py).

    pixel_tile    y[r, v] = bias[r] + sum over k of a[k, r] * b[pixels[v] + table[k]]      r filters, v pixels
    turn          target[j, i] = source[i, j]      i and j up to the lanes of a vector; of rows, the first few numbers

Every pixel is a vector, so the pixels of a tile may lie anywhere: only their taps have to be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygrad_cnn.kernels.compile import config
from tinygrad_cnn.kernels.tile import TILES, VECTORS, Emitter, lanes


@intrinsic
def _pixel_tile(  # type: ignore[no-untyped-def]
    typing, a, a_start, bias, bias_start, b, b_start, pixels, at, table, table_start, depth, y, y_start, y_row, rows,
    vectors, add
):  # fmt: skip
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (
            a, a_start, bias, bias_start, b, b_start, pixels, at, table, table_start, depth, y, y_start, y_row, rows,
            vectors, add,
        ) = args  # fmt: skip
        emit = Emitter(context, builder, signature.args[0].dtype)
        a_at = emit.pointer(signature.args[0], a, a_start)
        bias_at = emit.pointer(signature.args[2], bias, bias_start)
        b_at = emit.pointer(signature.args[4], b, b_start)
        pixels_at = emit.pointer(signature.args[6], pixels, at)
        table_at = emit.pointer(signature.args[8], table, table_start)
        y_at = emit.pointer(signature.args[11], y, y_start)

        def variant(height: int, width: int) -> None:
            offsets = [builder.load(emit.shifted(pixels_at, i)) for i in range(2 * VECTORS[height])]
            sources = [emit.shifted(b_at, offset) for offset in offsets[:width]]
            places = [
                emit.shifted(emit.shifted(y_at, builder.mul(y_row, emit.index(r))), offset)
                for r in range(height)
                for offset in offsets[VECTORS[height] :][:width]
            ]

            def step(k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                tap = builder.load(emit.shifted(table_at, k))
                bs = [emit.load(emit.shifted(source, tap)) for source in sources]
                filters = emit.shifted(a_at, builder.mul(k, emit.index(height)))
                results = []
                for r in range(height):
                    value = emit.broadcast(emit.shifted(filters, r))
                    results += [emit.multiply_add(value, bs[v], totals[r * width + v]) for v in range(width)]
                return results

            first = [emit.broadcast(emit.shifted(bias_at, r)) for r in range(height) for _ in range(width)]
            before = [builder.select(add, emit.zero(), value) for value in first]
            totals = emit.loop(depth, before, step)
            with builder.if_else(add) as (added, stored):
                with added:
                    # All are read before any is written: the last tile of a class names its last pixel several times.
                    sums = [builder.fadd(emit.load(place), total) for total, place in zip(totals, places, strict=True)]
                    for value, place in zip(sums, places, strict=True):
                        emit.store(value, place)
                with stored:
                    for total, place in zip(totals, places, strict=True):
                        emit.store(total, place)

        selector = builder.add(builder.mul(rows, emit.index(16)), vectors)
        emit.variants(selector, {r * 16 + v: partial(variant, r, v) for r, v in TILES})
        return context.get_dummy_value()

    whole = types.int64
    signature = types.void(
        a, whole, bias, whole, b, whole, pixels, whole, table, whole, whole, y, whole, whole, whole, whole,
        types.boolean,
    )  # fmt: skip
    return signature, codegen


@intrinsic
def _turn(  # type: ignore[no-untyped-def]
    typing, source, source_start, source_rows, i, target, target_start, target_rows, j, have, give
):
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_start, source_rows, i, target, target_start, target_rows, j, have, give = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        source_at = emit.pointer(signature.args[0], source, source_start)
        rows_at = emit.pointer(signature.args[2], source_rows, i)
        target_at = emit.pointer(signature.args[4], target, target_start)
        columns_at = emit.pointer(signature.args[6], target_rows, j)
        mask = emit.first_lanes(have)
        rows = [emit.shifted(source_at, builder.load(emit.shifted(rows_at, row))) for row in range(emit.lanes)]
        square = [emit.masked_load(row, mask) for row in rows]
        step = 1
        while step < emit.lanes:  # swap the off-diagonal blocks of size ``step`` in all blocks of twice that size
            upper = [lane if not lane & step else lane - step + emit.lanes for lane in range(emit.lanes)]
            lower = [lane + step if not lane & step else lane + emit.lanes for lane in range(emit.lanes)]
            for row in range(emit.lanes):
                if not row & step:
                    pair = square[row], square[row + step]
                    square[row], square[row + step] = emit.shuffle(*pair, upper), emit.shuffle(*pair, lower)
            step *= 2
        mask, kind = emit.first_lanes(give), emit.vector
        if isinstance(signature.args[4].dtype, types.Integer):
            kind = ir.VectorType(context.get_value_type(signature.args[4].dtype), emit.lanes)
        for row, vector in enumerate(square):
            place = emit.shifted(target_at, builder.load(emit.shifted(columns_at, row)))
            emit.masked_store(vector if kind == emit.vector else builder.fptoui(vector, kind), place, mask)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(source, whole, source_rows, whole, target, whole, target_rows, whole, whole, whole), codegen


def _pixel_tile_twin(
    a: np.ndarray, a_start: int, bias: np.ndarray, bias_start: int, b: np.ndarray, b_start: int, pixels: np.ndarray,
    at: int, table: np.ndarray, table_start: int, depth: int, y: np.ndarray, y_start: int, y_row: int, rows: int,
    vectors: int, add: bool,
) -> None:  # fmt: skip
    a, b, y, pixels = a.reshape(-1), b.reshape(-1), y.reshape(-1), pixels.reshape(-1)[at:]
    lane = lanes(y.dtype)
    for r in range(rows):
        totals = np.full((vectors, lane), 0 if add else bias[bias_start + r], y.dtype)
        places = y_start + r * y_row + pixels[VECTORS[rows] :][:vectors, None] + np.arange(lane)
        for v in range(vectors):
            for k in range(depth):
                source = b_start + pixels[v] + table[table_start + k]
                totals[v] += a[a_start + k * rows + r] * b[source : source + lane]
        y[places] = y[places] + totals if add else totals


def _turn_twin(
    source: np.ndarray, source_start: int, source_rows: np.ndarray, i: int, target: np.ndarray, target_start: int,
    target_rows: np.ndarray, j: int, have: int, give: int,
) -> None:  # fmt: skip
    source, target, lane = source.reshape(-1), target.reshape(-1), lanes(source.dtype)
    source_rows, target_rows = source_rows.reshape(-1)[i : i + lane], target_rows.reshape(-1)[j : j + lane]
    square = np.zeros((lane, lane), source.dtype)
    square[:, :have] = source[source_start + source_rows[:, None] + np.arange(min(have, lane))]
    for row, column in zip(target_rows, square.T, strict=True):
        target[target_start + row :][: min(give, lane)] = column[:give]


pixel_tile: Callable[..., None] = _pixel_tile_twin if config.DISABLE_JIT else _pixel_tile
turn: Callable[..., None] = _turn_twin if config.DISABLE_JIT else _turn
