"""What keeps a saved state from fitting the part it is meant for, in words: one line for every difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_MOST = 10  # names listed before "and 5 more"


def compare_arrays(saved: Mapping[str, np.ndarray], own: Mapping[str, Any]) -> list[str]:
    """Compare named arrays: names, shapes and dtypes.

    >>> compare_arrays({"w": np.zeros(2)}, {"w": np.zeros(3), "b": np.zeros(1)})
    ['missing in the file: b', 'w is float64 (2,) in the file, float64 (3,) here']
    """
    lines = [
        f"{name} is {saved[name].dtype} {saved[name].shape} in the file, {array.dtype} {tuple(array.shape)} here"
        for name, array in own.items()
        if name in saved and (saved[name].dtype, saved[name].shape) != (array.dtype, tuple(array.shape))
    ]
    return compare_names(saved, own) + _shorten(lines)


def compare_names(saved: Iterable[str], own: Iterable[str]) -> list[str]:
    """Compare names, whatever they stand for."""
    saved, own = list(saved), list(own)
    missing = _shorten([name for name in own if name not in saved])
    unexpected = _shorten([name for name in saved if name not in own])
    lines = [f"missing in the file: {', '.join(missing)}"] if missing else []
    return lines + ([f"unexpected in the file: {', '.join(unexpected)}"] if unexpected else [])


def compare_optimizers(saved: Mapping[str, Any], own: Mapping[str, Any], parameters: list[Any]) -> list[str]:
    """Compare the ``state_dict()`` of two optimisers: groups, hyper-parameters, what is kept for each parameter.

    Args:
        saved: The state in the file.
        own: The state of the optimiser that is to take it.
        parameters: Its parameters in order, where they are known: what is kept for one has its shape or none at all.
    """
    if len(saved["param_groups"]) != len(own["param_groups"]):
        return [f"{len(saved['param_groups'])} param_groups in the file, {len(own['param_groups'])} here"]
    lines = []
    for number, (theirs, ours) in enumerate(zip(saved["param_groups"], own["param_groups"], strict=True)):
        lines += [f"param_groups[{number}]: {line}" for line in compare_names(theirs, ours)]
        if theirs.get("params") != list(ours["params"]):
            lines.append(
                f"param_groups[{number}] has the parameters {theirs.get('params')} in the file, {ours['params']} here"
            )
    indices = {index for group in own["param_groups"] for index in group["params"]}
    for index, slots in saved["state"].items():
        if index not in indices:
            lines.append(f"state of parameter {index} in the file, no such parameter here")
            continue
        parameter = parameters[index] if index < len(parameters) else None
        own_slots = own["state"].get(index, {})
        arrays = {slot: value for slot, value in slots.items() if isinstance(value, np.ndarray) and value.ndim}
        expected = {slot: _like(array, own_slots.get(slot), parameter) for slot, array in arrays.items()}
        lines += [f"parameter {index}: {line}" for line in compare_arrays(arrays, expected)]
    return _shorten(lines)


def _like(saved: np.ndarray, own: Any, parameter: Any) -> np.ndarray:
    """Return an array with the shape and dtype that a saved one must have."""
    if isinstance(own, np.ndarray):
        return own
    if parameter is not None:  # a fresh optimiser keeps nothing yet; which dtype it will keep is its own business
        return np.broadcast_to(saved.dtype.type(0), parameter.shape)
    return saved


def fits_generator(saved: Any, generator: np.random.Generator) -> bool:
    """Tell whether a saved state is one of this kind of generator.

    NumPy checks few of the numbers: a list too short, or a place outside of it, makes some kinds read foreign memory.
    """
    kind = type(generator.bit_generator)
    if not _same_form(saved, generator.bit_generator.state):
        return False
    if saved["state"].get("pos", 0) not in range(625) or saved.get("buffer_pos", 0) not in range(5):  # MT19937, Philox
        return False
    try:
        kind(0).state = saved
    except (TypeError, ValueError, OverflowError):  # the right form, impossible numbers
        return False
    return True


def _same_form(saved: Any, own: Any) -> bool:
    if isinstance(own, dict):
        return isinstance(saved, dict) and saved.keys() == own.keys() and all(_same_form(saved[k], own[k]) for k in own)
    if isinstance(own, np.ndarray):
        return isinstance(saved, list) and len(saved) == len(own) and all(type(item) is int for item in saved)
    return isinstance(saved, type(own)) if isinstance(own, str) else type(saved) is int


def _shorten(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST else [*lines[:_MOST], f"and {len(lines) - _MOST} more"]
