"""Make a large diagram small enough to look at: fold modules, roll up repeats, and as a last resort join neighbours.

Only steps that were computed one after another are put into one box. They are an interval of a topological order, so
what remains has no cycle, whatever the graph.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Scope, Vertex
from tinygrad_cnn.viz.facts import together

_LONGEST_PERIOD = 16  # steps of a repeated pattern
_FEWEST_TIMES = 3
_ARROWS_PER_VERTEX = 3  # with more, a picture is neither legible nor drawn in reasonable time
_LEGIBLE = 2  # arrows per vertex; beyond that labels would lie on top of each other


@dataclass(slots=True)
class _Group:
    """The steps from ``start`` to ``stop``, drawn as one box."""

    start: int
    stop: int
    title: str
    notes: tuple[str, ...]
    pattern: Hashable  # equal for groups that look alike
    scope: Scope | None


def fold(diagram: Diagram, limit: int, depth: int | None = None) -> Diagram:
    """Return a diagram of at most ``limit`` vertices, and not too many arrows, whose caption says what was folded.

    With a ``depth``, modules nested this deep are one box each, and parameters are drawn inside of what uses them.
    Otherwise diagrams that are small enough are returned as they are. Takes linear time.
    """
    if depth is None and len(diagram.vertices) <= limit and len(diagram.arrows) <= _ARROWS_PER_VERTEX * limit:
        return diagram
    folding = _Folding(diagram, limit, depth)
    folded = folding.result()
    if not folding.said:
        return folded
    caption = (
        f"{len(diagram.vertices):,} boxes drawn as {len(folded.vertices):,}: {', '.join(folding.said)}.\n"
        "The .dot text has every one of them."
    )
    return replace(folded, caption="\n".join(filter(None, (diagram.caption, caption))))


class _Folding:
    def __init__(self, diagram: Diagram, limit: int, depth: int | None) -> None:
        self.diagram, self.limit, self.depth = diagram, limit, depth
        self.steps = [i for i, vertex in enumerate(diagram.vertices) if not vertex.is_tensor]
        self.said: list[str] = []
        self.crowded = False  # whether all tensors are drawn inside of the operation that alone uses them
        place = {i: step for step, i in enumerate(self.steps)}
        self.users: dict[int, list[int]] = {i: [] for i, v in enumerate(diagram.vertices) if v.is_tensor}
        for arrow in diagram.arrows:
            for tensor, step in ((arrow.tail, arrow.head), (arrow.head, arrow.tail)):
                if tensor in self.users and step in place:
                    self.users[tensor].append(place[step])

    def result(self) -> Diagram:
        groups = self.folded_modules()
        period = 1
        while period <= _LONGEST_PERIOD and not self.fits(groups):
            groups = self.rolled_up(groups, period)
            period += 1
        if not self.fits(groups):
            self.crowded = True
            self.said.append("tensors drawn inside their operations")
        size = 2
        joined = groups
        while not self.fits(joined):
            joined = self.joined(groups, size)
            size *= 2
        return self.drawn(joined)

    def fits(self, groups: Sequence[_Group]) -> bool:
        owner = self.owners(groups)
        loose = [tensor for tensor in self.users if self.home(tensor, groups, owner) is None]
        if len(groups) + len(loose) > self.limit:
            return False
        new = {i: owner[step] for step, i in enumerate(self.steps)} | {i: -1 - i for i in loose}
        several = {g for g, group in enumerate(groups) if group.stop - group.start > 1}
        return len(self.joined_arrows(new, several)) <= _ARROWS_PER_VERTEX * self.limit

    def joined_arrows(self, new: Mapping[int, int], several: Container[int]) -> dict[Hashable, list[Arrow]]:
        """Return the arrows between boxes, those that are drawn as one together; ``several`` are boxes of many steps.

        What is neither tail nor head of a box is inside of one. Between two single steps every arrow stays.
        """
        found: dict[Hashable, list[Arrow]] = {}
        for i, arrow in enumerate(self.diagram.arrows):
            tail, head = new.get(arrow.tail), new.get(arrow.head)
            if tail is not None and head is not None and tail != head:
                alone = not (self.crowded or tail in several or head in several)
                found.setdefault((tail, head, arrow.kind, i if alone else -1), []).append(arrow)
        return found

    def owners(self, groups: Sequence[_Group]) -> list[int]:
        return [g for g, group in enumerate(groups) for _ in range(group.start, group.stop)]

    def home(self, tensor: int, groups: Sequence[_Group], owner: Sequence[int]) -> int | None:
        """Return the box into which a tensor disappears: that of all its users, if it is one.

        Parts of the model disappear into boxes of several steps, with a depth into all; what it is called with does not
        as long as there is room.
        """
        homes = {owner[step] for step in self.users[tensor]}
        if len(homes) != 1:
            return None
        (g,) = homes
        vertex = self.diagram.vertices[tensor]
        part = vertex.kind == "parameter" or vertex.scope is not None
        several = groups[g].stop - groups[g].start > 1
        return g if self.crowded or (part and (several or self.depth is not None)) else None

    # --- the three ways to make fewer boxes --------------------------------------------------------------------

    def folded_modules(self) -> list[_Group]:
        """Fold the innermost modules, and their parents, as far as was asked for and until it fits."""
        groups = [self.single(step) for step in range(len(self.steps))]
        scopes = [self.diagram.vertices[i].scope for i in self.steps]
        for depth in range(max((scope.depth for scope in scopes if scope), default=0), 0, -1):
            if (self.depth is None or depth < self.depth) and self.fits(groups):
                break
            scopes = [scope.parent if scope and scope.depth > depth else scope for scope in scopes]
            groups = self.modules_at(depth, scopes)
        if any(group.stop - group.start > 1 for group in groups):
            self.said.append("modules folded")
        return groups

    def modules_at(self, depth: int, scopes: Sequence[Scope | None]) -> list[_Group]:
        groups = []
        start = 0
        while start < len(scopes):
            scope, stop = scopes[start], start + 1
            if scope is not None and scope.depth == depth:
                while stop < len(scopes) and scopes[stop] is scope:
                    stop += 1
            if scope is None or stop == start + 1:
                groups.append(self.single(start))
            else:
                pattern = tuple(self.single(step).pattern for step in range(start, stop))
                groups.append(_Group(start, stop, *self.name(scope), pattern, scope.parent))
            start = stop
        return groups

    def name(self, scope: Scope) -> tuple[str, tuple[str, ...]]:
        """Return the title of a module's box and the line below it."""
        kind = (scope.kind,) if scope.kind else ()
        if scope not in self.diagram.repeats:
            return scope.path, kind
        times, last = self.diagram.repeats[scope]
        return f"{scope.path} ... {last}", (*kind, f"{times} alike, the first:")

    def single(self, step: int) -> _Group:
        vertex = self.diagram.vertices[self.steps[step]]
        return _Group(step, step + 1, vertex.title, (), (vertex.title, vertex.notes, vertex.shape), vertex.scope)

    def rolled_up(self, groups: Sequence[_Group], period: int) -> list[_Group]:
        """Join patterns of ``period`` boxes that come at least three times in a row."""
        length = [0] * (len(groups) + period)  # for how long the boxes from here equal those one period later
        for i in range(len(groups) - period - 1, -1, -1):
            length[i] = length[i + 1] + 1 if groups[i].pattern == groups[i + period].pattern else 0
        result = []
        i = 0
        while i < len(groups):
            times = length[i] // period + 1
            if times < _FEWEST_TIMES:
                result.append(groups[i])
                i += 1
                continue
            members = groups[i : i + times * period]
            titles = [group.title for group in members[:period]]
            more = f" and {period - 3} more" if period > 3 else ""
            pattern = (times, tuple(group.pattern for group in members[:period]))
            result.append(_join(members, ", ".join(titles[:3]) + more, (f"{times:,} times in a row",), pattern))
            i += times * period
        if len(result) < len(groups) and "repeats rolled up" not in self.said:
            self.said.append("repeats rolled up")
        return result

    def joined(self, groups: Sequence[_Group], size: int) -> list[_Group]:
        """Join every ``size`` neighbours, alike or not: the last resort, which always ends small enough."""
        if "neighbours joined" not in self.said:
            self.said.append("neighbours joined")
        runs = [groups[i : i + size] for i in range(0, len(groups), size)]
        return [_join(run, f"{run[0].title} ... {run[-1].title}", (), None) if len(run) > 1 else run[0] for run in runs]

    # --- the smaller diagram -------------------------------------------------------------------------------------

    def drawn(self, groups: Sequence[_Group]) -> Diagram:
        vertices: list[Vertex] = []
        new = self.new_places(groups, vertices)
        several = {i for i, vertex in enumerate(vertices) if vertex.operations > 1}
        joined = list(self.joined_arrows(new, several).values())
        legible = len(joined) <= _LEGIBLE * len(vertices)
        arrows = [
            Arrow(new[first.tail], new[first.head], first.kind, _label([first, *others]) if legible else "")
            for first, *others in joined
        ]
        return replace(self.diagram, vertices=vertices, arrows=arrows)

    def new_places(self, groups: Sequence[_Group], vertices: list[Vertex]) -> dict[int, int]:
        """Fill ``vertices`` with the boxes of the picture; return in which one each of the old vertices went."""
        old, owner = self.diagram.vertices, self.owners(groups)
        absorbed: list[list[int]] = [[] for _ in groups]
        loose: list[int] = []
        for tensor in self.users:
            g = self.home(tensor, groups, owner)
            (loose if g is None else absorbed[g]).append(tensor)
        new: dict[int, int] = {}
        for tensor in loose:
            new[tensor] = len(vertices)
            vertices.append(old[tensor])
        for group, tensors in zip(groups, absorbed, strict=True):
            members = self.steps[group.start : group.stop]
            new.update(dict.fromkeys([*members, *tensors], len(vertices)))
            vertices.append(self.box(group, members, tensors))
        return new

    def box(self, group: _Group, members: Sequence[int], tensors: Sequence[int]) -> Vertex:
        """Return the one vertex that stands for operations and the tensors inside."""
        old = self.diagram.vertices
        parameters = sum(old[i].parameters for i in tensors)
        weights = (f"{parameters:,} parameters",) if parameters else ()
        result = old[members[0 if self.diagram.backward else -1]]
        if len(members) == 1:
            return replace(result, notes=(*result.notes, *weights), parameters=parameters)
        computed = members[::-1] if self.diagram.backward else members
        facts = together([old[i].facts for i in computed])
        operations = sum(old[i].operations for i in members)
        notes = (*group.notes, f"{operations:,} operations", *weights)
        return Vertex("group", group.title, notes, result.shape, group.scope, operations, parameters, facts)


def _label(merged: Sequence[Arrow]) -> str:
    """Return the label of one arrow that stands for several."""
    if len(merged) == 1:
        return merged[0].label
    if merged[0].kind == "gradient":
        return f"{len(merged):,} gradients"  # which are added
    values = len({arrow.tail for arrow in merged})  # one that is read twice is still one
    return f"{values:,} values" if values > 1 else ""


def _join(groups: Sequence[_Group], title: str, notes: tuple[str, ...], pattern: Hashable) -> _Group:
    """Return one group of neighbours. All modules are folded by then, so neighbours are in no common one."""
    return _Group(groups[0].start, groups[-1].stop, title, notes, pattern, None)
