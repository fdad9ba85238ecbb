"""What a drawing consists of: boxes, arrows, and the calls of modules within which they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Scope:
    """One call of a module. A module that is called twice has two scopes of the same path."""

    path: str
    parent: Scope | None
    call: int = 1
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


@dataclass(slots=True)
class Diagram:
    """What is drawn: the vertices in the order in which they were computed, and the arrows between them."""

    vertices: list[Vertex]
    arrows: list[Arrow]
    title: str = ""
    caption: str = ""


def scopes(paths: Iterable[str]) -> list[Scope | None]:
    """Return in which call of which module each operation stands, given their paths in the order of execution.

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
            entered.append((part, Scope(f"{parent.path}.{part}" if parent else part, parent)))
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
