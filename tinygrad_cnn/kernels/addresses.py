"""Many arrays in one launch: kernels that get a table of addresses.

numba cannot compile for "a list of any length" without compiling again for each length. So a kernel that is to work on
arrays of any number gets a table of *addresses*, a column for each parameter, and a table of *settings*, a row for each
parameter in its dtype. The elements of all parameters are counted through, in lines, and a piece of that count is a
unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import addressof, c_char, c_double, c_float
from itertools import accumulate
from operator import is_
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numba import carray, types
from numba.extending import intrinsic, overload
from numpy import ndarray

from tinygrad_cnn.kernels.compile import Kernel, device
from tinygrad_cnn.kernels.threads import split

Arrays = Sequence[ndarray]
# Elements are dealt to the threads by so many: a piece that begins inside a vector takes almost twice as long.
LINE = 16


def array_at(address: int, length: int, like: ndarray) -> ndarray:
    """Return the 1-d array of ``length`` numbers of the dtype of ``like`` that starts at an address."""
    number = c_float if like.dtype == np.float32 else c_double
    return np.ctypeslib.as_array((number * length).from_address(int(address)))


@intrinsic
def _pointer(typing_context: Any, address: Any, like: Any) -> Any:
    pointer = types.CPointer(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(address, like), generate


@overload(array_at)
def _array_at(address: Any, length: Any, like: Any) -> Callable[..., Any]:
    def view(address: Any, length: Any, like: Any) -> Any:
        return carray(_pointer(address, like), length)  # type: ignore[call-arg]

    return view


@device
def part(like: ndarray, address: int, spans: ndarray, p: int, start: int, stop: int) -> ndarray:
    """Return the part of parameter p's array that lies in the lines start..stop of the count through all parameters."""
    begin, size = spans[p]
    first, last = max(start * LINE - begin, 0), min(stop * LINE - begin, size)
    return array_at(address + first * like.itemsize, max(last - first, 0), like)


def _address(name: str, x: ndarray) -> int:
    """Return where the memory of an array begins, which will be written."""
    if x.flags.carray:
        return x.ctypes.data
    raise ValueError(
        f"optimiser step: a {name} of shape {x.shape} is read-only or not C-contiguous and cannot be updated in place; "
        "give the parameter a copy of its data: p.data = p.data.copy(order='C')"
    )


class _Places(NamedTuple):
    """Where the arrays lie that a launch writes, the same at every step; a row is left free for the gradients."""

    arrays: list[ref[ndarray]]
    shapes: list[tuple[int, ...]]
    addresses: ndarray
    spans: ndarray  # for each parameter, where it begins in the count through all of them, and its size
    lines: int


_known: dict[int, _Places] = {}  # by the identity of the first array
_MOST_KNOWN = 64


def _places(written: dict[str, Arrays]) -> _Places:
    """Return the places of parameters and their state; found once, while these are the same arrays."""
    arrays = [x for group in written.values() for x in group]
    known = _known.get(id(arrays[0]))
    parameters, count = written["parameter"], len(written["parameter"])
    shapes = [p.shape for p in parameters]
    if (
        known is not None
        and len(known.arrays) == len(arrays)
        and all(map(is_, [found() for found in known.arrays], arrays))
        and known.shapes == shapes
        and all([x.flags.carray for x in arrays])
    ):
        return known
    for name, group in written.items():
        _check(name, group, parameters, shapes)
    addresses = np.zeros((1 + len(written), count), np.int64)
    addresses[1:] = [[_address(name, x) for x in group] for name, group in written.items()]
    lines = [-(-p.size // LINE) for p in parameters]
    spans = np.array([[line * LINE, p.size] for line, p in zip([0, *accumulate(lines)], parameters, strict=False)])
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    places = _known[id(arrays[0])] = _Places([ref(x) for x in arrays], shapes, addresses, spans, sum(lines))
    return places


def _check(name: str, group: Arrays, parameters: Arrays, shapes: list[tuple[int, ...]]) -> None:
    dtype = parameters[0].dtype
    if [x.shape for x in group] == shapes and all([x.dtype == dtype for x in group]):
        return
    pairs = zip(parameters, group, strict=True)
    p, x = next((p, x) for p, x in pairs if x.shape != p.shape or x.dtype != dtype)
    raise ValueError(
        f"optimiser step: a parameter of shape {p.shape} comes with a {name} of shape {x.shape} and dtype "
        f"{x.dtype}; it must have the shape of its parameter and its dtype, {dtype}. Where the model was converted, "
        "make a new optimiser"
    )


def launch(
    unit: Kernel, settings: tuple[Any, ...], gradients: Arrays, written: dict[str, Arrays], *flags: bool
) -> None:
    """Run an optimiser kernel; ``written`` are the parameters and their state, all of one dtype."""
    parameters = written["parameter"]
    if not parameters:
        return
    places = _places(written)
    _check("gradient", gradients, parameters, places.shapes)
    table = np.empty((len(parameters), len(settings)), parameters[0].dtype)
    if all([isinstance(value, (float, int)) for value in settings]):
        table[:] = settings
    else:
        for column, value in enumerate(settings):
            if np.asarray(value).dtype.kind not in "fiub":  # NumPy would make NaN of None, and a number of text
                raise TypeError(f"optimiser step: a hyper-parameter must be a number, got {value!r}")
            table[:, column] = value
    addresses = places.addresses.copy()
    try:  # four times as fast as x.ctypes.data
        addresses[0] = [addressof(c_char.from_buffer(x)) for x in gradients]
    except (TypeError, ValueError):  # one is frozen, empty, or not contiguous
        gradients = [np.asarray(x, order="C") for x in gradients]
        addresses[0] = [x.ctypes.data for x in gradients]
    split(unit, places.lines, table, addresses, places.spans, *flags, work=places.lines * LINE)
