"""A row dealt to two, and every second number of one: what a stride of two does to the pixels of a line.

    split_run    target[even + j] = source[2*j], target[odd + j] = source[2*j + 1]      for the numbers below count
    join_run     target[2*j] = source[j]                                                for j < count

The last vector is masked, so nothing beyond ``count`` is read or written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygrad_cnn.kernels.compile import config
from tinygrad_cnn.kernels.tile import Emitter


@intrinsic
def _split_run(typing, source, source_start, target, even_start, odd_start, count):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_start, target, *starts, count = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        source_at = emit.pointer(signature.args[0], source, source_start)
        targets = [emit.pointer(signature.args[2], target, start) for start in starts]

        def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
            j = builder.mul(k, emit.index(emit.lanes))
            left = builder.sub(count, builder.mul(j, emit.index(2)))
            pair = []
            for half in (0, emit.lanes):
                at = emit.shifted(emit.shifted(source_at, builder.mul(j, emit.index(2))), half)
                pair.append(emit.masked_load(at, emit.first_lanes(builder.sub(left, emit.index(half)))))
            for odd, target in enumerate(targets):
                chosen = emit.shuffle(pair[0], pair[1], [2 * lane + odd for lane in range(emit.lanes)])
                mask = emit.first_lanes(builder.ashr(builder.add(left, emit.index(1 - odd)), emit.index(1)))
                emit.masked_store(chosen, emit.shifted(target, j), mask)
            return values

        emit.loop(_rounds(emit, builder.ashr(builder.add(count, emit.index(1)), emit.index(1))), [], step)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64, types.int64), codegen


@intrinsic
def _join_run(typing, source, source_start, target, target_start, count):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        source, source_start, target, target_start, count = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        source_at = emit.pointer(signature.args[0], source, source_start)
        target_at = emit.pointer(signature.args[2], target, target_start)
        even = ir.Constant(ir.VectorType(ir.IntType(1), emit.lanes), [lane % 2 == 0 for lane in range(emit.lanes)])

        def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
            j = builder.mul(k, emit.index(emit.lanes))
            left = builder.sub(count, j)
            vector = emit.masked_load(emit.shifted(source_at, j), emit.first_lanes(left))
            for half in (0, emit.lanes):
                spread = emit.shuffle(vector, vector, [(half + lane) // 2 for lane in range(emit.lanes)])
                written = builder.sub(builder.mul(left, emit.index(2)), emit.index(half))
                place = emit.shifted(emit.shifted(target_at, builder.mul(j, emit.index(2))), half)
                emit.masked_store(spread, place, builder.and_(emit.first_lanes(written), even))
            return values

        emit.loop(_rounds(emit, count), [], step)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), codegen


def _rounds(emit: Emitter, count: ir.Value) -> ir.Value:
    return emit.builder.sdiv(emit.builder.add(count, emit.index(emit.lanes - 1)), emit.index(emit.lanes))


def _split_run_twin(source: Any, source_start: int, target: Any, even_start: int, odd_start: int, count: int) -> None:
    for odd, start in enumerate((even_start, odd_start)):
        chosen = source.reshape(-1)[source_start : source_start + count][odd::2]
        target.reshape(-1)[start : start + len(chosen)] = chosen


def _join_run_twin(source: Any, source_start: int, target: Any, target_start: int, count: int) -> None:
    count = max(count, 0)
    target.reshape(-1)[target_start : target_start + 2 * count : 2][:count] = source.reshape(-1)[source_start:][:count]


split_run: Callable[..., None] = _split_run_twin if config.DISABLE_JIT else _split_run
join_run: Callable[..., None] = _join_run_twin if config.DISABLE_JIT else _join_run
