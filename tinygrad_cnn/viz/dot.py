"""Diagrams as text in the DOT language: boxes, arrows, and a cluster for every call of a module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Repeat, Scope, Vertex
from tinygrad_cnn.viz.figure import INK, MUTED

FONT = "Helvetica"
_LONGEST = 64  # characters of one line of a box; the tooltip has the rest

# Operations are round and cool, tensors square and warm or green, so that they stay apart in black and white too.
_BOXES = {
    "operation": 'style="rounded,filled", fillcolor="#eaf1f8", color="#8fa9c4"',
    "parameter": 'style="filled", fillcolor="#fdf3dc", color="#dcb967"',
    "input": 'style="filled", fillcolor="#e6f3ea", color="#8dbf9c"',
    "output": 'style="filled", fillcolor="#f4eaf5", color="#b795bd"',
    "group": 'style="rounded,filled", fillcolor="#d5e3f0", color="#6f8fb0", penwidth=2',
}
_ARROWS = {
    "value": f'color="{MUTED}", weight=4',
    "parameter": 'color="#dcb967"',
    "gradient": 'color="#c2542d", fontcolor="#c2542d", style=dashed',
}
_HEADER = f"""digraph {{
  graph [rankdir=TB, pad=0.15, nodesep=0.3, ranksep=0.32, labelloc=t, fontname="{FONT}", fontcolor="{INK}"]
  node [shape=box, margin="0.15,0.07", fontname="{FONT}", fontsize=13, fontcolor="{INK}"]
  edge [arrowsize=0.7, fontname="{FONT}", fontsize=10, fontcolor="{MUTED}"]
"""


def clean(text: str) -> str:
    """Return ``text`` with everything that is not printable spelt out: a newline becomes a backslash and an n."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _markup(text: str) -> str:
    r"""Return ``text`` for an HTML-like label: nothing in it is markup, nor one of DOT's escapes such as ``\N``."""
    text = clean(text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    return escape(text).replace("\\", r"\\") or " "


def _tooltip(text: str) -> str:
    return escape(clean(text)).replace("\\", r"\\\\")  # read twice: as a string, and for the escapes in it


def _lines(title: str, notes: tuple[str, ...] = (), shape: str = "") -> str:
    """Return an HTML-like label: a bold title, muted notes and a shape in smaller type."""
    rows = [f"<B>{_markup(title)}</B>"] if title else []
    rows += [f'<FONT POINT-SIZE="10" COLOR="{MUTED}">{_markup(note)}</FONT>' for note in notes]
    if shape:
        rows.append(f'<FONT POINT-SIZE="10">{_markup(shape)}</FONT>')
    return f"<{'<BR/>'.join(rows)}>"


class _Clusters:
    """Which scopes are worth a frame: those around at least two boxes, and not only around one other frame."""

    def __init__(self, vertices: list[Vertex]) -> None:
        self.content: dict[Scope | None, list[int | Scope]] = {None: []}
        self.boxes: dict[Scope, int] = {}
        for i, vertex in enumerate(vertices):
            self._open(vertex.scope)
            self.content[vertex.scope].append(i)
            for scope in _outwards(vertex.scope):
                self.boxes[scope] += 1

    def _open(self, scope: Scope | None) -> None:
        inner: Scope | None = None
        for outer in (*_outwards(scope), None):
            known = outer in self.content
            items = self.content.setdefault(outer, [])
            if outer is not None:
                self.boxes.setdefault(outer, 0)
            if inner is not None:
                items.append(inner)
            if known:
                return
            inner = outer

    def framed(self, scope: Scope) -> bool:
        return self.boxes[scope] > 1 and (len(self.content[scope]) > 1 or isinstance(self.content[scope][0], int))

    def frame(self, scope: Scope | None) -> str:
        """Return the path of the nearest frame around what is in ``scope``."""
        return next((outer.path for outer in _outwards(scope) if self.framed(outer)), "")


def _outwards(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.parent


def _within(frame: str, path: str) -> str:
    """Return a dotted name as read inside of a frame that already says its first part."""
    return path[len(frame) + 1 :] if frame and path.startswith(f"{frame}.") else path


def dot_text(diagram: Diagram, thumbnails: Mapping[int, str] | None = None) -> str:
    """Return the diagram in the DOT language: every vertex and every arrow, in linear time.

    Args:
        diagram: what is drawn.
        thumbnails: the names of picture files, by the places of the vertices in which they are shown.
    """
    clusters = _Clusters(diagram.vertices)
    beside = _beside(diagram)
    lines = [_HEADER]
    if diagram.title or diagram.caption:
        heading = _lines(diagram.title, (*diagram.caption.splitlines(), ""))
        lines.append(f"  label={heading}\n")
    indent = "  "
    frames = 0
    entered: list[tuple[Iterator[int | Scope], bool]] = [(iter(clusters.content[None]), False)]
    while entered:
        items, framed = entered[-1]
        item = next(items, None)
        if item is None:
            entered.pop()
            if framed:
                indent = indent[2:]
                lines.append(f"{indent}}}\n")
        elif isinstance(item, int):
            lines.append(
                f"{indent}{_vertex_line(item, diagram.vertices[item], clusters, (thumbnails or {}).get(item))}\n"
            )
            if item in beside:
                lines.append(f"{indent}{{ rank=same; {'; '.join(f'n{i}' for i in (item, *beside[item]))} }}\n")
        else:
            entered.append((iter(clusters.content[item]), clusters.framed(item)))
            if clusters.framed(item):
                title = _frame_title(item, clusters, diagram.repeats)
                lines.append(
                    f'{indent}subgraph cluster_{frames} {{ style="rounded,filled"; fillcolor="#f6f8fa"; '
                    f'color="#d5dce4"; labeljust=l; tooltip="{_tooltip(item.path)}"; label={_lines("", (title,))}\n'
                )
                frames += 1
                indent += "  "
    order: dict[int, float] = {}  # dot puts the first end of an arrow above the second one, or left of it
    for step, (left, *right) in beside.items():
        order |= {left: step - 0.5} | {i: step + 0.5 for i in right}
    lines += [f"  {_arrow_line(arrow, diagram.vertices, order)}\n" for arrow in diagram.arrows]
    return "".join([*lines, "}\n"])


def _beside(diagram: Diagram) -> dict[int, list[int]]:
    """Return for each step up to two tensors that stand at its left and right, out of the way of the values.

    These are tensors of this step alone, which is not where the graph begins.
    """
    vertices = diagram.vertices
    neighbours: list[set[int]] = [set() for _ in vertices]
    for arrow in diagram.arrows:
        neighbours[arrow.tail].add(arrow.head)
        neighbours[arrow.head].add(arrow.tail)
    found = {}
    for step, around in enumerate(neighbours):
        own = [i for i in around if vertices[i].is_tensor and vertices[i].scope is vertices[step].scope]
        own = [i for i in own if len(neighbours[i]) == 1]
        if not any(i < step and not vertices[i].is_tensor for i in around):
            own = [i for i in own if vertices[i].kind == "parameter" or vertices[i].scope]  # the rest is what flows
        if own and any(i < step for i in around.difference(own)):
            # those of the gradients come after their step, and the last first
            found[step] = sorted(own, key=lambda i: abs(i - step), reverse=True)[:2]
    return found


def _again(scope: Scope) -> str:
    return f" (call {scope.call})" if scope.call > 1 else ""


def _frame_title(scope: Scope, clusters: _Clusters, repeats: Mapping[Scope, Repeat]) -> str:
    outer = clusters.frame(scope.parent)
    title = _within(outer, scope.path) + _again(scope)
    if scope in repeats:
        times, last = repeats[scope]
        title += f" ... {_within(outer, last)}, {times} alike" if last != scope.path else f", called {times} times"
    return f"{title}: {scope.kind}" if scope.kind else title


def _vertex_line(i: int, vertex: Vertex, clusters: _Clusters, thumbnail: str | None) -> str:
    frame = clusters.frame(vertex.scope)
    notes = vertex.notes
    if vertex.kind == "operation" and vertex.scope is not None and vertex.scope.path != frame:
        notes = (_within(frame, vertex.scope.path) + _again(vertex.scope), *notes)  # alone in its module: no frame
    facts = vertex.facts.lines() if vertex.facts is not None else ()
    tooltip = ", ".join([vertex.title, *vertex.notes, *([vertex.shape] if vertex.shape else [])])
    tooltip = r"\n".join(_tooltip(line) for line in (tooltip, *facts, *vertex.hints))
    label = _lines(_title(frame, vertex.title), (*notes, *facts), vertex.shape)
    if thumbnail is not None:
        rows = "".join(f"<TR><TD>{row}</TD></TR>" for row in (label[1:-1], f'<IMG SRC="{escape(thumbnail)}"/>'))
        label = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{rows}</TABLE>>'
    return f'n{i} [{_BOXES[vertex.kind]}, tooltip="{tooltip}", label={label}]'


def _title(frame: str, title: str) -> str:
    first, dots, last = title.partition(" ... ")
    return f"{_within(frame, first)}{dots}{_within(frame, last)}"


def _arrow_line(arrow: Arrow, vertices: list[Vertex], order: Mapping[int, float]) -> str:
    attributes = [_ARROWS[arrow.kind]]
    first, second = arrow.tail, arrow.head
    if order.get(first, first) > order.get(second, second):
        first, second = second, first
        attributes.append("dir=back")
        if not (vertices[first].is_tensor or vertices[second].is_tensor):
            attributes.append("weight=0")  # the value's arrow goes straight, the gradient's bends around it
    if arrow.label:
        attributes.append(f"label=<  {_markup(arrow.label)}>")
    return f"n{first} -> n{second} [{', '.join(attributes)}]"
