"""What a drawing consists of: boxes, arrows, and the calls of modules within which they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tinygrad_cnn.viz.facts import Facts


@dataclass(eq=False, slots=True)
class Scope:
    """One call of a module. A module that is called twice has two scopes of the same path."""

    path: str
    parent: Scope | None
    call: int = 1
    kind: str = ""  # of the module: its class, where that says more than the names of its parts
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = self.parent.depth + 1 if self.parent else 1


@dataclass(slots=True)
class Vertex:
    """A box: an operation, a tensor, or a group of them."""

    kind: str  # a key of _BOXES
    title: str
    notes: tuple[str, ...] = ()
    shape: str = ""
    scope: Scope | None = None
    operations: int = 0
    parameters: int = 0
    facts: Facts | None = None
    hints: tuple[str, ...] = ()  # further lines of the tooltip

    @property
    def is_tensor(self) -> bool:
        """Whether this is a tensor that enters the graph, and not a step of the computation."""
        return self.kind in ("parameter", "input")


@dataclass(slots=True)
class Arrow:
    """From one vertex to another, by their places in the list."""

    tail: int
    head: int
    kind: str = "value"  # a key of _ARROWS
    label: str = ""


class Repeat(NamedTuple):
    """Modules that are alike and follow each other, of which the first is drawn."""

    times: int
    last: str  # the path of the last one


@dataclass(slots=True)
class Diagram:
    """What is drawn: the vertices, each behind what it needs, and the arrows between them.

    The values are drawn in the order of their computation; where ``backward`` is true, gradients in the opposite one.
    """

    vertices: list[Vertex]
    arrows: list[Arrow]
    title: str = ""
    caption: str = ""
    backward: bool = False
    repeats: dict[Scope, Repeat] = field(default_factory=dict)


def scopes(paths: Iterable[str], kinds: Mapping[str, str] | None = None) -> list[Scope | None]:
    """Return in which call of which module each operation stands, given their paths in the order of execution.

    ``kinds`` has the classes of modules that are to be told, by their paths.

    A module is left when an operation of another one follows; where it goes on later, that is another call.

    >>> [scope and (scope.path, scope.call) for scope in scopes(["relu", "conv.0", "relu", ""])]
    [('relu', 1), ('conv.0', 1), ('relu', 2), None]
    """
    result: list[Scope | None] = []
    entered: list[tuple[str, Scope]] = []
    calls: dict[str, int] = {}
    seen: set[Scope] = set()
    for path in paths:
        parts = path.split(".") if path else []
        same = 0
        while same < min(len(parts), len(entered)) and entered[same][0] == parts[same]:
            same += 1
        del entered[same:]
        for part in parts[same:]:
            parent = entered[-1][1] if entered else None
            name = f"{parent.path}.{part}" if parent else part
            entered.append((part, Scope(name, parent, kind=(kinds or {}).get(name, ""))))
        scope = entered[-1][1] if entered else None
        if scope is not None and scope not in seen:  # only a scope with operations of its own is surely a call
            seen.add(scope)
            scope.call = calls[scope.path] = calls.get(scope.path, 0) + 1
        result.append(scope)
    return result


def common(a: Scope | None, b: Scope | None) -> Scope | None:
    """Return the innermost scope around both."""
    while a is not b:
        if a is None or b is None:
            return None
        if a.depth >= b.depth:
            a = a.parent
        else:
            b = b.parent
    return a
