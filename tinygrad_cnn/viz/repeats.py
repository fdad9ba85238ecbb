"""Blocks that come again and again: the first is drawn, and how often it comes stands beside its name.

Two blocks are alike where they hold the same operations, settings and shapes, joined in the same way, under names that
differ in those of the blocks only; each reads of what was computed before only the results of the one before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Repeat, Scope, Vertex

_CAPTION = "of blocks that are alike the first is drawn, with its numbers"


def roll_up(diagram: Diagram) -> Diagram:
    """Return the diagram with the first of every run of blocks that are alike; takes linear time."""
    rolling = _Rolling(diagram)
    rolling.look_inside()
    return rolling.result() if rolling.repeats else diagram


class _Rolling:
    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.steps = [i for i, vertex in enumerate(diagram.vertices) if not vertex.is_tensor]
        self.place = {i: step for step, i in enumerate(self.steps)}
        self.earlier: list[list[tuple[int, str]]] = [[] for _ in self.steps]  # other end, kind: what it is joined to
        self.later: list[list[int]] = [[] for _ in self.steps]  # the steps that are joined to it
        for arrow in diagram.arrows:
            self.join(arrow)
        self.start: dict[Scope, int] = {}
        self.stop: dict[Scope, int] = {}
        self.inside: dict[Scope | None, list[Scope]] = {None: []}
        for step, i in enumerate(self.steps):
            scope = diagram.vertices[i].scope
            while scope is not None:
                if scope not in self.start:
                    self.start[scope] = step
                    self.inside.setdefault(scope.parent, []).append(scope)
                self.stop[scope] = step + 1
                scope = scope.parent
        self.instead: dict[int, int] = {}  # the steps that are left out, and which ones stand for them
        self.repeats: dict[Scope, Repeat] = {}

    def join(self, arrow: Arrow) -> None:
        tail, head = self.place.get(arrow.tail), self.place.get(arrow.head)
        if tail is None or head is None:  # a tensor and what uses it
            for step, other in ((tail, arrow.head), (head, arrow.tail)):
                if step is not None:
                    self.earlier[step].append((other, arrow.kind))
            return
        first, second = min(tail, head), max(tail, head)
        self.earlier[second].append((self.steps[first], arrow.kind))
        self.later[first].append(second)

    def look_inside(self) -> None:
        """Find the runs of all modules, the largest blocks first."""
        waiting: list[Scope | None] = [None]
        while waiting:
            blocks = self.inside.get(waiting.pop(), [])
            i = 0
            while i < len(blocks):
                j = i + 1
                while j < len(blocks) and self.follows(blocks[j - 1], blocks[j], blocks[i]):
                    j += 1
                if j > i + 1:
                    self.leave_out(blocks[i:j])
                waiting.append(blocks[i])
                i = j

    def follows(self, a: Scope, b: Scope, first: Scope) -> bool:
        """Say whether block ``b`` is like ``a``, reads its results and nothing else, and alone does so.

        ``first`` is the first block of the run, to which ``a`` belongs.
        """
        length = self.stop[a] - self.start[a]
        if length < 2 or self.stop[a] != self.start[b] or self.stop[b] - self.start[b] != length:
            return False
        return all(self.alike(a, b, k, first) for k in range(length))

    def alike(self, a: Scope, b: Scope, k: int, first: Scope) -> bool:
        here, there = self.start[a] + k, self.start[b] + k
        vertices = self.diagram.vertices
        if not _same(vertices[self.steps[here]], vertices[self.steps[there]], a, b):
            return False
        if any(step >= self.stop[b] for step in self.later[here]):  # somebody else reads the first block too
            return False
        ends, others = self.earlier[here], self.earlier[there]
        return [kind for _, kind in ends] == [kind for _, kind in others] and all(
            self.joined_alike(a, b, i, j, first) for (i, _), (j, _) in zip(ends, others, strict=True)
        )

    def joined_alike(self, a: Scope, b: Scope, i: int, j: int, first: Scope) -> bool:
        """Say whether vertex ``i`` is to block ``a`` what vertex ``j`` is to block ``b``."""
        if i == j:  # what was there before them all may serve them all
            return self.place.get(i, -1) < self.start[first]
        if i not in self.place or j not in self.place:
            vertices = self.diagram.vertices
            return i not in self.place and j not in self.place and _same(vertices[i], vertices[j], a, b)
        from_a, from_b = self.place[i] - self.start[a], self.place[j] - self.start[b]
        if from_a >= 0 or from_b >= 0:
            return from_a == from_b
        # Both come from outside: that of b out of a, and that of a from the same place of the block before it.
        return self.place[j] >= self.start[a] and (a is first or from_a == from_b)

    def leave_out(self, blocks: Sequence[Scope]) -> None:
        first, *others = blocks
        self.repeats[first] = Repeat(len(blocks), others[-1].path)
        for other in others:
            for k in range(self.stop[other] - self.start[other]):
                self.instead[self.steps[self.start[other] + k]] = self.steps[self.start[first] + k]

    def result(self) -> Diagram:
        vertices, instead = self.diagram.vertices, self.instead
        used = {end for a in self.diagram.arrows for end in (a.tail, a.head) if self.kept_end(a, end)}
        new: dict[int, int] = {}
        kept: list[Vertex] = []
        for i, vertex in enumerate(vertices):
            if i not in instead and (i in used or not vertex.is_tensor):
                new[i] = len(kept)
                kept.append(vertex)
        arrows = []
        for arrow in self.diagram.arrows:
            tail, head = arrow.tail, arrow.head
            if tail in instead and head in instead:
                continue
            if tail in instead or head in instead:
                out, other = (tail, head) if tail in instead else (head, tail)
                if self.place.get(other, -1) < self.place[out]:
                    continue  # into a block that is left out; the first has the same
                tail, head = self.drawn(tail), self.drawn(head)
            arrows.append(Arrow(new[tail], new[head], arrow.kind, arrow.label))
        caption = "\n".join(filter(None, (self.diagram.caption, _CAPTION)))
        return replace(self.diagram, vertices=kept, arrows=arrows, caption=caption, repeats=self.repeats)

    def drawn(self, i: int) -> int:
        """Return the vertex that stands for one, which was left out with its block, or with that of its block."""
        while i in self.instead:
            i = self.instead[i]
        return i

    def kept_end(self, arrow: Arrow, tensor: int) -> bool:
        """Say whether a tensor is used by a step that is drawn."""
        other = arrow.head if tensor == arrow.tail else arrow.tail
        return other not in self.instead


def _same(x: Vertex, y: Vertex, a: Scope, b: Scope) -> bool:
    """Say whether two vertices look alike but for the names of the blocks that they are in."""
    return _looks(x, a) == _looks(y, b)


def _looks(vertex: Vertex, block: Scope) -> tuple[Hashable, ...]:
    path = vertex.scope.path if vertex.scope is not None else ""
    return vertex.kind, vertex.notes, vertex.shape, _within(block, vertex.title), _within(block, path)


def _within(block: Scope, name: str) -> str:
    """Return a dotted name without that of the block."""
    return "" if name == block.path else name.removeprefix(f"{block.path}.")
