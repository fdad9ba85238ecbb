"""The two innermost loops of the weight gradient, as vector code (tile.py says why they are emitted as LLVM).

    weight_tile    acc[r, v] += sum over k of a[r, k] * b[pixels[k] + places[v]]      a broadcast, b a vector
    weight_row     the same with one row, of more vectors
    transpose      target[columns[j] + r] = source[starts[r] + j]      as many rows and columns as a vector has lanes
    choose         list the maxima of a line of 2x2 windows that have a gradient
    fetch          ask for array[at], which is read soon

The rows that lie ``ahead`` of a's are on their way into the near caches when the tile is done.

A tile of no rows multiplies lane by lane instead: a is then a vector at each k. A transposition writes zeros for rows
that begin at a negative start and for columns from ``count`` on; its ``half`` has half as many rows.

Of ``size`` windows, from ``at`` on, those are chosen whose maximum lies in this line of theirs (0 or 1). Its gradient
goes to ``factors``, its pixel's place to ``chosen``: that of the left or the right pixel in ``sides``, from the start
of the image on. ``some`` are listed already, and how many are now is returned; whole vectors are written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygrad_cnn.kernels.compile import config
from tinygrad_cnn.kernels.tile import MOST_ROWS, VECTOR_BYTES, VECTORS, Emitter, lanes

# The vectors of b in one tile: with MOST_ROWS rows all accumulators stay in registers.
MOST_VECTORS = VECTORS[MOST_ROWS]
# The same in a tile of one row: so many that no multiply-add waits for the one before it.
MOST_ALONE = 6


def _prefetch(emit: Emitter, at: ir.Value) -> None:
    """Ask for a line of memory that will be read; any address will do."""
    whole, byte = ir.IntType(32), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
    function = cgutils.get_or_insert_function(emit.builder.module, kind, "llvm.prefetch.p0")
    emit.builder.call(function, [emit.builder.bitcast(at, byte), whole(0), whole(3), whole(1)])


def _tile_of(shapes: list[tuple[int, int]]) -> Any:
    """Make a tile for so many rows and vectors; a kernel that calls it compiles one variant for each."""

    @intrinsic
    def tile(  # type: ignore[no-untyped-def]
        typing, a, a_start, a_row, b, b_start, pixels, pixel_start, depth, places, place_start, acc, acc_start, acc_row,
        rows, vectors, ahead
    ):  # fmt: skip
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            (
                a, a_start, a_row, b, b_start, pixels, pixel_start, depth, places, place_start, acc, acc_start, acc_row,
                rows, vectors, ahead,
            ) = args  # fmt: skip
            emit = Emitter(context, builder, signature.args[0].dtype)
            a_at = emit.pointer(signature.args[0], a, a_start)
            b_at = emit.pointer(signature.args[3], b, b_start)
            pixels_at = emit.pointer(signature.args[5], pixels, pixel_start)
            places_at = emit.pointer(signature.args[8], places, place_start)
            acc_at = emit.pointer(signature.args[10], acc, acc_start)
            ahead_at = emit.shifted(a_at, ahead)

            def variant(height: int, width: int, each: bool) -> None:
                a_rows = [emit.shifted(a_at, builder.mul(a_row, emit.index(r))) for r in range(height)]
                b_columns = [emit.shifted(b_at, builder.load(emit.shifted(places_at, v))) for v in range(width)]

                def step(k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                    pixel = builder.load(emit.shifted(pixels_at, k))
                    if height > 1:  # a few numbers of one row a step: all rows at once would keep the loads waiting
                        row, column = builder.and_(k, emit.index(7)), builder.and_(k, emit.index(-8))
                        _prefetch(emit, emit.shifted(emit.shifted(ahead_at, builder.mul(row, a_row)), column))
                    bs = [emit.load(emit.shifted(column, pixel)) for column in b_columns]
                    results = []
                    for r in range(height):
                        at = emit.shifted(a_rows[r], builder.mul(k, emit.index(emit.lanes)) if each else k)
                        value = emit.load(at) if each else emit.broadcast(at)
                        results += [emit.multiply_add(value, bs[v], totals[r * width + v]) for v in range(width)]
                    return results

                totals = emit.loop(depth, [emit.zero()] * (height * width), step)
                for i, total in enumerate(totals):
                    r, v = divmod(i, width)
                    place = emit.shifted(emit.shifted(acc_at, builder.mul(acc_row, emit.index(r))), v * emit.lanes)
                    emit.store(builder.fadd(emit.load(place), total), place)

            selector = builder.add(builder.mul(rows, emit.index(16)), vectors)
            emit.variants(selector, {r * 16 + v: partial(variant, max(r, 1), v, r == 0) for r, v in shapes})
            return context.get_dummy_value()

        signature = types.void(
            a, types.int64, types.int64, b, types.int64, pixels, types.int64, types.int64, places, types.int64, acc,
            types.int64, types.int64, types.int64, types.int64, types.int64,
        )  # fmt: skip
        return signature, codegen

    return tile


@intrinsic
def _fetch(typing, array, at):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, signature.args[0].dtype)
        _prefetch(emit, emit.pointer(signature.args[0], *args))
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


_weight_tile = _tile_of([(r, v) for r in range(MOST_ROWS + 1) for v in range(1, MOST_VECTORS + 1)])
_weight_row = _tile_of([(1, v) for v in range(1, MOST_ALONE + 1)])


@intrinsic
def _choose(  # type: ignore[no-untyped-def]
    typing, gy, index, at, size, line, sides, left, right, image, factors, chosen, some
):
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        *_, at, size, line, sides, left, right, image, _, _, some = args
        # Half as many lanes as the widest vectors have: few lines have more windows.
        element = signature.args[0].dtype
        emit = Emitter(context, builder, element, min(32, VECTOR_BYTES) * 8 // element.bitwidth)
        gy_at, index_at = (emit.pointer(signature.args[i], args[i], at) for i in (0, 1))
        left_at, right_at = (emit.pointer(signature.args[5], sides, start) for start in (left, right))
        factors_at, chosen_at = (emit.pointer(signature.args[i], args[i], emit.index(0)) for i in (9, 10))
        masks, whole, byte = (ir.VectorType(ir.IntType(bits), emit.lanes) for bits in (1, 32, 8))
        numbers, ones = ir.Constant(whole, list(range(emit.lanes))), ir.Constant(whole, [1] * emit.lanes)

        def call(name: str, result: ir.Type, values: list[ir.Value]) -> ir.Value:
            kind = ir.FunctionType(result, [value.type for value in values])
            name = f"llvm.{name.replace('*', f'v{emit.lanes}')}"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

        def splat(value: ir.Value) -> ir.Value:
            return emit.splat(builder.trunc(value, whole.element), whole)

        def memory(pointer: ir.Value, at: ir.Value, kind: ir.Type) -> ir.Value:
            return builder.bitcast(emit.shifted(pointer, at), kind.as_pointer())

        def step(k: ir.Value, counts: list[ir.Value]) -> list[ir.Value]:
            j, some = builder.mul(k, emit.index(emit.lanes)), counts[0]
            exist = builder.icmp_signed("<", numbers, splat(builder.sub(size, j)))
            g = emit.masked_load(emit.shifted(gy_at, j), exist)
            where = call("masked.load.*i8.p0", byte, [memory(index_at, j, byte), whole.element(1), exist, byte(None)])
            where = builder.zext(where, whole)
            sides = [builder.load(memory(side, j, whole), align=4) for side in (right_at, left_at)]
            place = builder.add(builder.select(builder.trunc(where, masks), *sides), splat(image))
            taken = builder.icmp_signed("==", builder.lshr(where, ones), splat(line))
            taken = builder.and_(taken, builder.fcmp_unordered("!=", g, emit.zero()))
            for vector, name, to in ((g, f"f{emit.bytes * 8}", factors_at), (place, "i32", chosen_at)):
                kind = vector.type
                kept = call(f"experimental.vector.compress.*{name}", kind, [vector, taken, kind(ir.Undefined)])
                builder.store(kept, memory(to, some, kind), align=4)
            count = builder.ctpop(builder.bitcast(taken, ir.IntType(emit.lanes)))
            return [builder.add(some, builder.zext(count, some.type))]

        steps = builder.sdiv(builder.add(size, emit.index(emit.lanes - 1)), emit.index(emit.lanes))
        return emit.loop(steps, [some], step)[0]

    whole = types.int64
    return whole(gy, index, *[whole] * 3, sides, *[whole] * 3, factors, chosen, whole), codegen


@intrinsic
def _transpose(  # type: ignore[no-untyped-def]
    typing, source, starts, first, w, count, target, target_start, columns, half
):
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, starts, first, w, count, target, target_start, columns, half = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        source_at = emit.pointer(signature.args[0], source, w)
        starts_at = emit.pointer(signature.args[1], starts, first)
        target_at = emit.pointer(signature.args[5], target, target_start)
        columns_at = emit.pointer(signature.args[7], columns, w)
        whole = ir.IntType(emit.lanes)
        masks = ir.VectorType(ir.IntType(1), emit.lanes)
        arguments = [emit.vector.as_pointer(), ir.IntType(32), masks, emit.vector]
        name = f"llvm.masked.load.v{emit.lanes}f{emit.bytes * 8}.p0"
        load = cgutils.get_or_insert_function(builder.module, ir.FunctionType(emit.vector, arguments), name)

        def shuffle(a: ir.Value, b: ir.Value, picks: list[int]) -> ir.Value:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks))

        bits = builder.sub(builder.shl(emit.index(1), count), emit.index(1))

        def variant(height: int) -> None:
            square = []
            for r in range(height):
                start = builder.load(emit.shifted(starts_at, r))
                exists = builder.icmp_signed(">=", start, emit.index(0))
                mask = builder.bitcast(builder.trunc(builder.select(exists, bits, emit.index(0)), whole), masks)
                at = builder.bitcast(emit.shifted(source_at, start), emit.vector.as_pointer())
                square.append(builder.call(load, [at, ir.Constant(ir.IntType(32), emit.bytes), mask, emit.zero()]))
            distance = 1
            while distance < height:  # exchange blocks of 1, then 2, then 4 ... lanes with the row this far away
                upper = [(i & ~distance) + (emit.lanes if i & distance else 0) for i in range(emit.lanes)]
                lower = [i + distance for i in upper]
                for r in (r for r in range(height) if not r & distance):
                    pair = square[r], square[r + distance]
                    square[r], square[r + distance] = shuffle(*pair, upper), shuffle(*pair, lower)
                distance *= 2
            for j in range(emit.lanes):
                block, r = divmod(j, height)
                column = shuffle(square[r], square[r], [block * height + i for i in range(height)])
                at = emit.shifted(target_at, builder.load(emit.shifted(columns_at, j)))
                builder.store(column, builder.bitcast(at, column.type.as_pointer()), align=emit.bytes)

        emit.variants(half, {0: partial(variant, emit.lanes), 1: partial(variant, emit.lanes // 2)})
        return context.get_dummy_value()

    signature = types.void(
        source, starts, types.int64, types.int64, types.int64, target, types.int64, columns, types.int64
    )
    return signature, codegen


def _fetch_twin(array: np.ndarray, at: int) -> None:
    pass


def _weight_tile_twin(
    a: np.ndarray, a_start: int, a_row: int, b: np.ndarray, b_start: int, pixels: np.ndarray, pixel_start: int,
    depth: int, places: np.ndarray, place_start: int, acc: np.ndarray, acc_start: int, acc_row: int, rows: int,
    vectors: int, ahead: int,
) -> None:  # fmt: skip
    a, b, acc = a.reshape(-1), b.reshape(-1), acc.reshape(-1)
    width = lanes(acc.dtype)
    for r in range(max(rows, 1)):
        for v in range(vectors):
            total = np.zeros(width, acc.dtype)
            for k in range(depth):
                at = b_start + pixels[pixel_start + k] + places[place_start + v]
                factor = a[a_start + r * a_row + k] if rows else a[a_start + k * width :][:width]
                total += factor * b[at : at + width]
            acc[acc_start + r * acc_row + v * width :][:width] += total


def _transpose_twin(
    source: np.ndarray, starts: np.ndarray, first: int, w: int, count: int, target: np.ndarray, target_start: int,
    columns: np.ndarray, half: int,
) -> None:  # fmt: skip
    source, starts, target = source.reshape(-1), starts.reshape(-1), target.reshape(-1)
    width = lanes(source.dtype)
    square = np.zeros((width, width // 2 if half else width), source.dtype)
    for r in range(square.shape[1]):
        if (start := starts[first + r]) >= 0:
            square[:count, r] = source[start + w :][:count]
    for j in range(width):
        target[target_start + columns[w + j] :][: square.shape[1]] = square[j]


def _choose_twin(
    gy: np.ndarray, index: np.ndarray, at: int, size: int, line: int, sides: np.ndarray, left: int, right: int,
    image: int, factors: np.ndarray, chosen: np.ndarray, some: int,
) -> int:  # fmt: skip
    for j in range(size):
        if index[at + j] // 2 == line and gy[at + j] != 0:
            factors[some], chosen[some] = gy[at + j], image + sides[(right if index[at + j] % 2 else left) + j]
            some += 1
    return some


choose: Callable[..., int] = _choose_twin if config.DISABLE_JIT else _choose
weight_tile: Callable[..., None] = _weight_tile_twin if config.DISABLE_JIT else _weight_tile
weight_row: Callable[..., None] = _weight_tile_twin if config.DISABLE_JIT else _weight_row
fetch: Callable[..., None] = _fetch_twin if config.DISABLE_JIT else _fetch
transpose: Callable[..., None] = _transpose_twin if config.DISABLE_JIT else _transpose
