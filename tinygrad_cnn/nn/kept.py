"""What is found out about a module once, and kept until any module changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_state = object()  # another one whenever an attribute of any module is set: what was found before may be stale


def note_change() -> None:
    """Remember that a module changes now."""
    global _state
    _state = object()


def kept(model: Any, name: str, find: Callable[[Any], Any]) -> Any:
    """Return what ``find`` says of a module; under ``name``, one of the slots of a module, it is kept there."""
    state = _state  # taken first: what another thread changes meanwhile makes the answer stale
    try:
        found_in, value = object.__getattribute__(model, name)  # past a __getattr__ that asks another module
    except AttributeError:
        found_in = value = None
    if found_in is not state:
        value = find(model)
        object.__setattr__(model, name, (state, value))
    return value
