"""The register tiles: the innermost loops of convolution and matrix products, as vector code.

numba cannot keep a small array in registers, so these two loops are emitted as LLVM instructions. Everything around
them is ordinary numba code. A tile holds its results in registers (the accumulators) for its whole depth:

    outer_tile    y[r, j] (+)= sum over k of a[r, k] * b[table[k] + j]      a broadcast, b and y vectors along j
    inner_tile    acc[r, t]  += a[r, j] * b[table[t] + j] over j            one vector accumulator for each (r, t)

The first computes outputs and products, the second weight gradients. LLVM splits a vector into what the processor has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from tinygrad_cnn.kernels.compile import config


def _vector_bytes_and_registers() -> tuple[int, int]:
    features = config.CPU_FEATURES
    if features is None:
        features = get_host_cpu_features()  # numba's: without AVX where NUMBA_ENABLE_AVX=0
    if "+avx512f" in features:
        return 64, 32
    if "+avx2" in features:
        return 32, 16
    return 16, 32 if llvm.get_process_triple().startswith(("aarch64", "arm64")) else 16


VECTOR_BYTES, REGISTERS = _vector_bytes_and_registers()
# Accumulators, one row of vectors of b and a broadcast value must fit the registers: vectors a row, for each height.
VECTORS = (0, 8, 8, 6, 6, 4, 4, 3, 3) if REGISTERS == 32 else (0, 8, 6, 4, 3, 2, 2)
MOST_ROWS = len(VECTORS) - 1
# The shapes of tiles: so many rows and vectors; the highest also with fewer vectors, for what is left at an end.
TILES = [(r, v) for r, most in enumerate(VECTORS) for v in range(1 if r == MOST_ROWS else most, most + 1) if r]
# The inner tile: rows x taps accumulators, and both operands are vectors.
INNER_ROWS, INNER_TAPS = (3, 5) if REGISTERS == 32 else (3, 4)
# One accumulator adds at most this many products in a row, then partial sums are added: the error stays small.
LONGEST_CHAIN = 512


def lanes(dtype: np.dtype) -> int:
    """Return how many numbers of this dtype a vector holds."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def rows_for(count: int) -> int:
    """Return the tile height that covers ``count`` rows with the least waste: 6 for 6, 5 for 10, 8 for 16."""
    blocks = -(-count // MOST_ROWS)
    return -(-count // blocks) if blocks else 1


class Emitter:
    """The LLVM builder with the vector vocabulary of the tiles."""

    def __init__(self, context: Any, builder: ir.IRBuilder, element: Any, lanes: int = 0) -> None:
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(element)
        self.bytes = element.bitwidth // 8
        self.lanes = lanes or VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def pointer(self, kind: types.Array, array: ir.Value, start: ir.Value) -> ir.Value:
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, array).data, [start])

    def shifted(self, pointer: ir.Value, elements: ir.Value | int) -> ir.Value:
        return self.builder.gep(pointer, [self.index(elements) if isinstance(elements, int) else elements])

    def index(self, value: int) -> ir.Constant:
        return ir.Constant(ir.IntType(64), value)

    def load(self, pointer: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def store(self, vector: ir.Value, pointer: ir.Value) -> None:
        self.builder.store(vector, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        return self.splat(self.builder.load(pointer), self.vector)

    def splat(self, value: ir.Value, kind: ir.VectorType) -> ir.Value:
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def first_lanes(self, count: ir.Value) -> ir.Value:
        """Return the mask of the lanes below ``count``."""
        wide = ir.VectorType(ir.IntType(64), self.lanes)
        numbers = ir.Constant(wide, [self.index(lane) for lane in range(self.lanes)])
        return self.builder.icmp_signed("<", numbers, self.splat(count, wide))

    def masked_load(self, pointer: ir.Value, mask: ir.Value) -> ir.Value:
        kind = ir.FunctionType(self.vector, [self.vector.as_pointer(), ir.IntType(32), mask.type, self.vector])
        name = f"llvm.masked.load.v{self.lanes}f{self.bytes * 8}.p0"
        at = self.builder.bitcast(pointer, self.vector.as_pointer())
        align = ir.Constant(ir.IntType(32), self.bytes)
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), [at, align, mask, self.zero()]
        )

    def masked_store(self, vector: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        element = vector.type.element
        whole = isinstance(element, ir.IntType)
        name = f"llvm.masked.store.v{self.lanes}{'i8' if whole else f'f{self.bytes * 8}'}.p0"
        kind = ir.FunctionType(ir.VoidType(), [vector.type, vector.type.as_pointer(), ir.IntType(32), mask.type])
        at = self.builder.bitcast(pointer, vector.type.as_pointer())
        align = ir.Constant(ir.IntType(32), 1 if whole else self.bytes)
        self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [vector, at, align, mask])

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
        """Pick lanes of two vectors, those of b counted on from those of a."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), lanes))

    def multiply_add(self, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        # "contract" lets the processor fuse the two where it can; llvm.fma would call a function where it cannot
        return self.builder.fadd(self.builder.fmul(a, b, flags=("contract",)), total, flags=("contract",))

    def zero(self) -> ir.Constant:
        return ir.Constant(self.vector, [ir.Constant(self.scalar, 0.0)] * self.lanes)

    def loop(self, count: ir.Value, initial: list[ir.Value], step: Callable[[ir.Value, list[ir.Value]], list]) -> list:
        """Emit ``for k in range(count): values = step(k, values)`` with the values in registers."""
        builder = self.builder
        before = builder.block
        head, body, after = (builder.append_basic_block(name) for name in ("tile.head", "tile.body", "tile.after"))
        builder.branch(head)
        builder.position_at_end(head)
        k = builder.phi(ir.IntType(64))
        values = [builder.phi(value.type) for value in initial]
        builder.cbranch(builder.icmp_signed("<", k, count), body, after)
        builder.position_at_end(body)
        results = step(k, values)
        k_next = builder.add(k, self.index(1))
        latch = builder.block
        builder.branch(head)
        k.add_incoming(self.index(0), before)
        k.add_incoming(k_next, latch)
        for value, first, result in zip(values, initial, results, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(result, latch)
        builder.position_at_end(after)
        return values

    def variants(self, selector: ir.Value, cases: dict[int, Callable[[], None]]) -> None:
        """Emit one block of code for each case and a switch between them."""
        builder = self.builder
        end = builder.append_basic_block("tile.end")
        switch = builder.switch(selector, end)
        for number, emit in cases.items():
            block = builder.append_basic_block(f"tile.case{number}")
            switch.add_case(self.index(number), block)
            builder.position_at_end(block)
            emit()
            builder.branch(end)
        builder.position_at_end(end)


@intrinsic
def _outer_tile(  # type: ignore[no-untyped-def]
    typing, a, a_start, a_row, a_step, b, b_start, table, table_start, depth, y, y_start, y_row, rows, vectors, add
):
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_start, a_row, a_step, b, b_start, table, table_start, depth, y, y_start, y_row, rows, vectors, add = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        a_at = emit.pointer(signature.args[0], a, a_start)
        b_at = emit.pointer(signature.args[4], b, b_start)
        table_at = emit.pointer(signature.args[6], table, table_start)
        y_at = emit.pointer(signature.args[9], y, y_start)

        def variant(height: int, width: int) -> None:
            a_rows = [emit.shifted(a_at, builder.mul(a_row, emit.index(r))) for r in range(height)]

            def step(k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                b_row = emit.shifted(b_at, builder.load(emit.shifted(table_at, k)))
                bs = [emit.load(emit.shifted(b_row, v * emit.lanes)) for v in range(width)]
                a_k = builder.mul(k, a_step)
                results = []
                for r in range(height):
                    value = emit.broadcast(emit.shifted(a_rows[r], a_k))
                    results += [emit.multiply_add(value, bs[v], totals[r * width + v]) for v in range(width)]
                return results

            totals = emit.loop(depth, [emit.zero()] * (height * width), step)
            places = [
                emit.shifted(emit.shifted(y_at, builder.mul(y_row, emit.index(r))), v * emit.lanes)
                for r in range(height)
                for v in range(width)
            ]
            with builder.if_else(add) as (added, stored):
                with added:
                    for total, place in zip(totals, places, strict=True):
                        emit.store(builder.fadd(emit.load(place), total), place)
                with stored:
                    for total, place in zip(totals, places, strict=True):
                        emit.store(total, place)

        selector = builder.add(builder.mul(rows, emit.index(16)), vectors)
        emit.variants(selector, {r * 16 + v: partial(variant, r, v) for r, v in TILES})
        return context.get_dummy_value()

    signature = types.void(
        a, types.int64, types.int64, types.int64, b, types.int64, table, types.int64, types.int64, y, types.int64,
        types.int64, types.int64, types.int64, types.boolean,
    )  # fmt: skip
    return signature, codegen


@intrinsic
def _inner_tile(  # type: ignore[no-untyped-def]
    typing, a, a_start, a_row, b, b_start, table, table_start, steps, acc, acc_start, rows
):
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        a, a_start, a_row, b, b_start, table, table_start, steps, acc, acc_start, rows = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        a_at = emit.pointer(signature.args[0], a, a_start)
        b_at = emit.pointer(signature.args[3], b, b_start)
        table_at = emit.pointer(signature.args[5], table, table_start)
        acc_at = emit.pointer(signature.args[8], acc, acc_start)

        def variant(height: int) -> None:
            a_rows = [emit.shifted(a_at, builder.mul(a_row, emit.index(r))) for r in range(height)]
            b_rows = [emit.shifted(b_at, builder.load(emit.shifted(table_at, t))) for t in range(INNER_TAPS)]
            places = [emit.shifted(acc_at, i * emit.lanes) for i in range(height * INNER_TAPS)]

            def step(k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
                j = builder.mul(k, emit.index(emit.lanes))
                values = [emit.load(emit.shifted(row, j)) for row in a_rows]
                results = list(totals)
                for t, row in enumerate(b_rows):
                    tap = emit.load(emit.shifted(row, j))
                    for r in range(height):
                        results[r * INNER_TAPS + t] = emit.multiply_add(values[r], tap, totals[r * INNER_TAPS + t])
                return results

            for total, place in zip(emit.loop(steps, [emit.load(p) for p in places], step), places, strict=True):
                emit.store(total, place)

        emit.variants(rows, {r: partial(variant, r) for r in range(1, INNER_ROWS + 1)})
        return context.get_dummy_value()

    signature = types.void(
        a, types.int64, types.int64, b, types.int64, table, types.int64, types.int64, acc, types.int64, types.int64
    )
    return signature, codegen


@intrinsic
def _copy_run(typing, source, source_start, target, target_start, count, plus):  # type: ignore[no-untyped-def]
    """target[j] = source[j] + plus for j < count, by whole vectors of which the last is masked."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_start, target, target_start, count, plus = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        source_at = emit.pointer(signature.args[0], source, source_start)
        target_at = emit.pointer(signature.args[2], target, target_start)
        plus = emit.splat(plus, emit.vector)

        def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
            j = builder.mul(k, emit.index(emit.lanes))
            mask = emit.first_lanes(builder.sub(count, j))
            vector = emit.masked_load(emit.shifted(source_at, j), mask)
            emit.masked_store(builder.fadd(vector, plus), emit.shifted(target_at, j), mask)
            return values

        rounds = builder.sdiv(builder.add(count, emit.index(emit.lanes - 1)), emit.index(emit.lanes))
        emit.loop(rounds, [], step)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64, source.dtype), codegen


def _outer_tile_twin(
    a: np.ndarray, a_start: int, a_row: int, a_step: int, b: np.ndarray, b_start: int, table: np.ndarray,
    table_start: int, depth: int, y: np.ndarray, y_start: int, y_row: int, rows: int, vectors: int, add: bool,
) -> None:  # fmt: skip
    a, b, y, table = a.reshape(-1), b.reshape(-1), y.reshape(-1), table.reshape(-1)
    width = vectors * lanes(y.dtype)
    for r in range(rows):
        total = np.zeros(width, y.dtype)
        for k in range(depth):
            at = b_start + table[table_start + k]
            total += a[a_start + r * a_row + k * a_step] * b[at : at + width]
        row = y[y_start + r * y_row :][:width]
        row[:] = row + total if add else total


def _inner_tile_twin(
    a: np.ndarray, a_start: int, a_row: int, b: np.ndarray, b_start: int, table: np.ndarray, table_start: int,
    steps: int, acc: np.ndarray, acc_start: int, rows: int,
) -> None:  # fmt: skip
    a, b, acc, table = a.reshape(-1), b.reshape(-1), acc.reshape(-1), table.reshape(-1)
    width = lanes(acc.dtype)
    for r in range(rows):
        for t in range(INNER_TAPS):
            total = acc[acc_start + (r * INNER_TAPS + t) * width :][:width]
            for k in range(steps):
                at, tap = a_start + r * a_row + k * width, b_start + table[table_start + t] + k * width
                total += a[at : at + width] * b[tap : tap + width]


def _copy_run_twin(
    source: np.ndarray, source_start: int, target: np.ndarray, target_start: int, count: int, plus: float
) -> None:
    count = max(count, 0)
    target.reshape(-1)[target_start : target_start + count] = source.reshape(-1)[source_start:][:count] + plus


copy_run: Callable[..., None] = _copy_run_twin if config.DISABLE_JIT else _copy_run
outer_tile: Callable[..., None] = _outer_tile_twin if config.DISABLE_JIT else _outer_tile
inner_tile: Callable[..., None] = _inner_tile_twin if config.DISABLE_JIT else _inner_tile
