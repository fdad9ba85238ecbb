"""The one rule about numbers that every reference function shares."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def in_float64(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute on float64 copies and answer in the dtype of its first float array.

    So a body below this decorator is free to write into its arrays, needs no casts, and its float32 answer is the
    correctly rounded one. Integer arrays (labels, indices) pass through as they are. As in a compiled kernel, NaN and
    infinity follow IEEE 754 without a warning.

    Raises:
        TypeError: if no argument is a float array.

    >>> @in_float64
    ... def half(x):
    ...     return x / 2
    >>> half(np.ones(2, np.float32))
    array([0.5, 0.5], dtype=float32)
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)  # in the order of the parameters, keywords included
        floats = {name: value for name, value in bound.arguments.items() if _is_float(value)}
        if not floats:
            kinds = {name: getattr(value, "dtype", type(value).__name__) for name, value in bound.arguments.items()}
            listed = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
            raise TypeError(f"{function.__name__}: needs an array of floats, got {listed}; try .astype(np.float64)")
        dtype = next(iter(floats.values())).dtype
        bound.arguments.update({name: value.astype(np.float64) for name, value in floats.items()})

        def rounded(result: Any) -> Any:
            return np.array(result, dtype, order="C") if _is_float(result) else result

        with np.errstate(all="ignore"):
            results = function(*bound.args, **bound.kwargs)
            return cast(R, tuple(map(rounded, results)) if isinstance(results, tuple) else rounded(results))

    return wrapper


def _is_float(value: object) -> bool:
    return isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f"
