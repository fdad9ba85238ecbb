"""What is found out about a module once, and kept until any module changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_cnn.state import tick

_changed = 0  # when an attribute of any module was last set: what was found before that may be stale


def note_change() -> None:
    """Remember that a module changes now."""
    global _changed
    _changed = tick()


def kept(model: Any, name: str, find: Callable[[Any], Any]) -> Any:
    """Return what ``find`` says of a module; under ``name`` it is kept there."""
    found_at, value = getattr(model, name, (-1, None))
    if found_at < _changed:  # the tick comes first: what another thread changes meanwhile makes the answer stale
        found_at, value = tick(), find(model)
        object.__setattr__(model, name, (found_at, value))
    return value
