"""Vectors as values, for kernels that rearrange neighbours: pooling.

A loop over single numbers becomes vector code by itself, unless it takes every second one, or its rows are shorter than
a vector. So here a kernel can hold a few whole vectors in variables. A vector has `lanes` numbers; loads and stores
name the lanes that exist, so rows need neither be padded nor be as long as a vector.

Each operation is a NumPy function, which runs under ``NUMBA_DISABLE_JIT=1``, and the LLVM instructions that replace it
inside a compiled kernel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_jitable, register_model
from numpy import ndarray

from tinygrad_cnn.kernels.compile import config
from tinygrad_cnn.kernels.tile import VECTOR_BYTES, lanes

BYTE, INDEX = ir.IntType(8), ir.IntType(64)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that takes or returns vectors into its callers: a call would hand them over in memory."""
    return register_jitable(inline="always")(function)


class Vector(types.Type):
    """The numba type of a vector; ``count`` is its number of lanes."""

    def __init__(self, element: types.Type, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Vector({element} x {count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.element).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.count))


def _vector_of(array: Any) -> Vector:
    return Vector(array.dtype, VECTOR_BYTES * 8 // array.dtype.bitwidth)


def _indices_like(vector: Vector) -> Vector:
    return Vector(types.int64, vector.count)


def _operation(result: Callable[..., types.Type], generate: Callable[..., Any]) -> Callable[[Any], Any]:
    """Replace a NumPy function in compiled kernels: by the type of its result and the instructions that compute it."""

    def decorate(twin: Any) -> Any:
        def define(typing_context: Any, *args: Any) -> Any:
            return result(*args)(*args), lambda context, builder, kinds, values: generate(
                context, builder, kinds, *values
            )

        # numba looks here for the names of the arguments, which it must know one by one
        names = ["typing_context", *inspect.signature(twin).parameters]
        define.__signature__ = inspect.Signature([inspect.Parameter(name, 1) for name in names])  # type: ignore
        return twin if config.DISABLE_JIT else intrinsic(define)

    return decorate


def _splat(builder: Any, value: Any, kind: ir.VectorType) -> Any:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def _mask(builder: Any, begin: Any, end: Any, count: int) -> Any:
    """Return a vector of bits: begin <= lane < end."""
    kind = ir.VectorType(BYTE, count)
    numbers, nothing, all_lanes = ir.Constant(kind, list(range(count))), INDEX(0), INDEX(count)
    bits = []
    for bound in (begin, end):
        bound = builder.select(builder.icmp_signed("<", bound, nothing), nothing, bound)
        bound = builder.select(builder.icmp_signed(">", bound, all_lanes), all_lanes, bound)
        bits.append(builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(bound, BYTE), kind)))
    return builder.and_(builder.not_(bits[0]), bits[1])


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any, vector: ir.VectorType) -> Any:
    pointer = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return builder.bitcast(pointer, vector.as_pointer())


def _memory(context: Any, builder: Any, kind: Any, array: Any, at: Any, vector: ir.VectorType, action: str) -> Any:
    """Return the pointer to array[at], and LLVM's masked ``action`` on vectors there."""
    pointer = _address(context, builder, kind, array, at, vector)
    rest = [pointer.type, ir.IntType(32), ir.VectorType(ir.IntType(1), vector.count)]
    load, store = ir.FunctionType(vector, [*rest, vector]), ir.FunctionType(ir.VoidType(), [vector, *rest])
    letter = "i" if isinstance(vector.element, ir.IntType) else "f"
    name = f"llvm.masked.{action}.v{vector.count}{letter}{kind.dtype.bitwidth}.p0"
    return pointer, cgutils.get_or_insert_function(builder.module, load if action == "load" else store, name)


def _load(context: Any, builder: Any, kinds: Any, array: Any, at: Any, begin: Any, end: Any, fill: Any) -> Any:
    kind, result = kinds.args[0], kinds.return_type
    vector = context.get_value_type(result)
    pointer, load = _memory(context, builder, kind, array, at, vector, "load")
    align = ir.Constant(ir.IntType(32), kind.dtype.bitwidth // 8)
    fill = context.cast(builder, fill, kinds.args[4], kind.dtype)
    return builder.call(load, [pointer, align, _mask(builder, begin, end, result.count), _splat(builder, fill, vector)])


@_operation(lambda x, at, begin, end, fill: _vector_of(x), _load)
def load(x: ndarray, at: int, begin: int, end: int, fill: float) -> ndarray:
    """Return x[at + lane] for begin <= lane < end, fill in the other lanes; x is flat, ``at`` may be negative."""
    inside = range(max(begin, 0), min(end, lanes(x.dtype)))
    vector = np.full(lanes(x.dtype), fill, x.dtype)
    for lane in inside:
        vector[lane] = x[at + lane]
    return vector


def _store(context: Any, builder: Any, kinds: Any, v: Any, array: Any, at: Any, end: Any) -> Any:
    kind, count = kinds.args[1], kinds.args[0].count
    vector = ir.VectorType(context.get_value_type(kind.dtype), count)
    pointer, store = _memory(context, builder, kind, array, at, vector, "store")
    v = v if v.type == vector else builder.trunc(v, vector)
    align = ir.Constant(ir.IntType(32), kind.dtype.bitwidth // 8)
    builder.call(store, [v, pointer, align, _mask(builder, INDEX(0), end, count)])
    return context.get_dummy_value()


@_operation(lambda v, y, at, end: types.void, _store)
def store(v: ndarray, y: ndarray, at: int, end: int) -> None:
    """Write v[lane] to y[at + lane] for lane < end; y is flat. Indices may be stored as bytes."""
    end = max(0, min(end, len(v)))
    y[at : at + end] = v[:end]


def _stream(context: Any, builder: Any, kinds: Any, v: Any, array: Any, at: Any) -> Any:
    pointer = _address(context, builder, kinds.args[1], array, at, v.type)
    stored = builder.store(v, pointer, align=v.type.count * kinds.args[0].element.bitwidth // 8)
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
    return context.get_dummy_value()


@_operation(lambda v, y, at: types.void, _stream)
def stream(v: ndarray, y: ndarray, at: int) -> None:
    """Write v to y[at], an address that is a multiple of a vector's bytes, past the caches: for what nobody reads soon.

    An ordinary store reads a line before it writes it.
    """
    y[at : at + len(v)] = v


def _load_indices(context: Any, builder: Any, kinds: Any, array: Any, at: Any, end: Any, like: Any) -> Any:
    kind, count = kinds.args[0], kinds.return_type.count
    stored, wide = ir.VectorType(context.get_value_type(kind.dtype), count), ir.VectorType(INDEX, count)
    pointer, load = _memory(context, builder, kind, array, at, stored, "load")
    zeros, align = ir.Constant(stored, [0] * count), ir.Constant(ir.IntType(32), kind.dtype.bitwidth // 8)
    found = builder.call(load, [pointer, align, _mask(builder, INDEX(0), end, count), zeros])
    return found if stored == wide else builder.zext(found, wide)


@_operation(lambda x, at, end, like: _indices_like(like), _load_indices)
def load_indices(x: ndarray, at: int, end: int, like: ndarray) -> ndarray:
    """Return the indices, stored as bytes or int64, at x[at + lane] for lane < end; as many lanes as ``like`` has."""
    vector = np.zeros(len(like), np.int64)
    end = max(0, min(end, len(like)))
    vector[:end] = x[at : at + end]
    return vector


def _shuffle(start: Callable[[int], list[int]]) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, kinds: Any, a: Any, b: Any) -> Any:
        numbers = start(a.type.count)
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), a.type.count), numbers))

    return generate


@_operation(lambda a, b: a, _shuffle(lambda count: list(range(0, 2 * count, 2))))
def evens(a: ndarray, b: ndarray) -> ndarray:
    """Return the numbers 0, 2, 4, ... of a followed by b."""
    return np.concatenate((a, b))[::2]


@_operation(lambda a, b: a, _shuffle(lambda count: list(range(1, 2 * count, 2))))
def odds(a: ndarray, b: ndarray) -> ndarray:
    """Return the numbers 1, 3, 5, ... of a followed by b."""
    return np.concatenate((a, b))[1::2]


@_operation(lambda a, b: a, _shuffle(lambda count: [lane // 2 + count * (lane % 2) for lane in range(count)]))
def zip_low(a: ndarray, b: ndarray) -> ndarray:
    """Return a[0], b[0], a[1], b[1], ... from the lower halves."""
    return np.stack((a, b), 1).reshape(-1)[: len(a)]


@_operation(lambda a, b: a, _shuffle(lambda count: [(count + lane) // 2 + count * (lane % 2) for lane in range(count)]))
def zip_high(a: ndarray, b: ndarray) -> ndarray:
    """Return the same from the upper halves."""
    return np.stack((a, b), 1).reshape(-1)[len(a) :]


def _fill(context: Any, builder: Any, kinds: Any, like: Any, number: Any) -> Any:
    number = context.cast(builder, number, kinds.args[1], kinds.return_type.element)
    return _splat(builder, number, like.type)


@_operation(lambda like, number: like, _fill)
def fill(like: ndarray, number: float) -> ndarray:
    """Return a vector like ``like`` with the number in every lane."""
    return np.full_like(like, number)


def _indices(context: Any, builder: Any, kinds: Any, like: Any, first: Any, step: Any) -> Any:
    kind = ir.VectorType(INDEX, like.type.count)
    numbers = ir.Constant(kind, list(range(kind.count)))
    return builder.add(_splat(builder, first, kind), builder.mul(_splat(builder, step, kind), numbers))


@_operation(lambda like, first, step: _indices_like(like), _indices)
def indices(like: ndarray, first: int, step: int) -> ndarray:
    """Return the int64 vector first, first + step, ... with as many lanes as ``like``."""
    return first + step * np.arange(len(like))


def _wins(context: Any, builder: Any, kinds: Any, value: Any, best: Any) -> Any:
    return builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))


@_operation(lambda value, best: Vector(types.boolean, value.count), _wins)
def wins(value: ndarray, best: ndarray) -> ndarray:
    """Return in which lanes value is the new maximum: it is larger than best, or NaN."""
    return (value > best) | np.isnan(value)


@_operation(
    lambda a, b: Vector(types.boolean, a.count), lambda context, builder, kinds, a, b: builder.icmp_signed("==", a, b)
)
def equal(a: ndarray, b: ndarray) -> ndarray:
    """Return in which lanes two vectors of indices are equal."""
    return a == b


@_operation(lambda mask, a, b: a, lambda context, builder, kinds, mask, a, b: builder.select(mask, a, b))
def pick(mask: ndarray, a: ndarray, b: ndarray) -> ndarray:
    """Return a in the lanes of the mask, b in the others."""
    return np.where(mask, a, b)


def _add(context: Any, builder: Any, kinds: Any, a: Any, b: Any) -> Any:
    return builder.add(a, b) if isinstance(a.type.element, ir.IntType) else builder.fadd(a, b)


@_operation(lambda a, b: a, _add)
def add(a: ndarray, b: ndarray) -> ndarray:
    """Return a + b."""
    return a + b


@_operation(lambda a, b: a, lambda context, builder, kinds, a, b: builder.fmul(a, b))
def multiply(a: ndarray, b: ndarray) -> ndarray:
    """Return a * b."""
    return a * b


def _highest(context: Any, builder: Any, kinds: Any, v: Any) -> Any:
    half = v.type.count // 2
    while half:
        kind = ir.VectorType(ir.IntType(32), v.type.count)
        other = builder.shuffle_vector(v, v, ir.Constant(kind, [lane ^ half for lane in range(kind.count)]))
        v = builder.select(builder.fcmp_ordered(">", other, v), other, v)
        half //= 2
    return builder.extract_element(v, ir.Constant(ir.IntType(32), 0))


@_operation(lambda v: v.element, _highest)
def highest(v: ndarray) -> float:
    """Return the largest number of a vector; where there is a NaN, any number of it."""
    return v.max()
