"""A network as a table: what every layer makes of one image, and what that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tinygrad_cnn.analysis.multiply_adds import multiply_adds
from tinygrad_cnn.analysis.receptive.links import POINT
from tinygrad_cnn.analysis.receptive.regular import ReceptiveField, receptive_fields
from tinygrad_cnn.analysis.receptive.sees import sees
from tinygrad_cnn.calls import record_calls, sample_input
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.pool import AvgPool2d, MaxPool2d
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tracing import Call, Shape

_SLIDING = (Conv2d, MaxPool2d, AvgPool2d)  # operations whose size follows the formula


@dataclass
class Row:
    """A line of a summary: a module, or an operation that a module calls outside of its parts."""

    path: str  # of the module, "" for the network itself
    name: str  # how the line is called: attribute and kind of the module, or the operation
    depth: int = 0  # how far it is indented
    output: Shape | None = None  # for one image; None where the line only leads its parts
    formula: str = ""  # the output size with its numbers, height first; one of them where both are alike
    unread: tuple[int, int] = (0, 0)  # rows and columns of its input that no window reads
    parameters: int = 0  # its own, not those of its parts; shared ones count where they come first
    multiply_adds: int = 0
    memory: int = 0  # bytes of all results; views of other memory take none
    receptive_field: ReceptiveField | None = None


@dataclass
class Summary:
    """What `summary` found: one row for a line, and totals. ``print`` shows it as a table."""

    network: str
    input: Shape
    rows: list[Row] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """All parameters of the network."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Those of one image."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all activations of one image."""
        return sum(row.memory for row in self.rows)

    def __getitem__(self, path: str) -> Row:
        """Return the row of a module."""
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(f"{self.network} has no row {path!r}; the rows are {[row.path for row in self.rows]}")

    def __str__(self) -> str:
        heads = ("layer", "output", "size", "parameters", "multiply-adds", "memory", "sees / step", "unread")
        lines = [heads, *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        kept = [i for i in range(len(heads)) if any(line[i] for line in lines[1:])]
        right = (3, 4, 5)
        text = [
            "  ".join(line[i].rjust(widths[i]) if i in right else line[i].ljust(widths[i]) for i in kept).rstrip()
            for line in lines
        ]
        text.insert(1, "-" * max(map(len, text)))
        totals = (
            f"one input {self.input}: {self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds, "
            f"{_bytes(self.memory)} of activations"
        )
        return "\n".join([self.network, *text, text[1], totals])


def summary(model: Module, input_size: Any) -> Summary:
    """Describe a network: its layers with output shapes and size formulas, and what one input takes.

    The model runs once on zeros, in evaluation mode and without gradients; nothing in it changes. Rows stand in the
    order of execution; a module that is called again adds to its row.

    Args:
        model: any module.
        input_size: the shape of one input without the batch, such as (1, 28, 28).

    Returns:
        A `Summary`. *Size* is the output size by (H + padding - kernel)/stride + 1, with its numbers. *Sees / step* is
        the receptive field in pixels of the image, and how far the next unit's lies from it, height x width where they
        differ; "varies" where units differ in what they see. *Unread* are rows and columns of a layer's input that no
        window reads. *Memory* is that of the results; parameters are not part of it.

    Raises:
        ValueError: ``input_size`` is no shape, or does not suit the model.

    >>> from tinygrad_cnn import nn
    >>> net = summary(nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)), (1, 28, 28))
    >>> net["0"].formula, net["2"].output, str(net["2"].receptive_field), net.parameters, net.multiply_adds
    ('(28 + 2*2 - 5)/1 + 1 = 28', (6, 14, 14), '6 / 2', 156, 117600)
    """
    image = sample_input("summary", model, input_size)
    calls = record_calls(model, image)
    inner = {path for path, module in model.named_modules() if next(module.children(), None) is not None}
    rows: dict[tuple[str, str], Row] = {}  # by path, and by operation where the module has parts; as they are met
    for call, seen in zip(calls, receptive_fields(calls, image), strict=True):
        key = call.path, call.function.name if call.path in inner else ""
        _add(rows.setdefault(key, Row(call.path, key[1])), call, seen)
    return Summary(type(model).__name__, tuple(image.shape[1:]), _tree(model, inner, rows))


def _tree(model: Module, inner: set[str], rows: dict[tuple[str, str], Row]) -> list[Row]:
    """Return the rows with the names and parameters of modules, and with lines for the modules around them."""
    modules = dict(model.named_modules())
    own: dict[str, int] = {}
    seen: set[int] = set()
    for path, module in modules.items():
        fresh = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, fresh))
        own[path] = sum(p.size for p in fresh)
    result: list[Row] = []
    if "" in inner and own[""]:
        result.append(Row("", "(its own parameters)", parameters=own.pop("")))
    around: list[str] = []  # the modules whose lines lead the present one
    for path, operation in _with_silent(list(rows), [path for path in modules if path not in inner]):
        steps = path.split(".") if path else []
        prefixes = [".".join(steps[: i + 1]) for i in range(len(steps))]
        while around and around[-1] not in prefixes:
            around.pop()
        for depth, prefix in enumerate(prefixes):
            name = f"{steps[depth]}: {type(modules[prefix]).__name__}"
            if prefix in inner and prefix not in around:
                around.append(prefix)
                result.append(Row(prefix, name, depth, parameters=own.pop(prefix, 0)))
        row = rows.get((path, operation)) or Row(path, "")
        if operation:
            row.depth = len(steps)
        else:
            row.name, row.depth = (name, len(steps) - 1) if steps else (type(model).__name__, 0)
            row.parameters = own.pop(path, 0)
        result.append(row)
    return result


def _add(row: Row, call: Call, seen: ReceptiveField | None) -> None:
    """Add one more operation to the row of its module."""
    row.output, row.receptive_field = call.shape[1:], seen
    row.multiply_adds += multiply_adds(call.function, call.input_shapes, call.shape)
    row.memory += 0 if call.function.view else math.prod(call.shape) * call.output.dtype.itemsize
    if isinstance(call.function, _SLIDING):
        x, through = call.input_shapes[0], sees(call.function, call, 0).window or POINT
        row.formula = size_formula(through, (x[2], x[3]), (call.shape[2], call.shape[3]))
        row.unread = unread(through, (x[2], x[3]), (call.shape[2], call.shape[3]))


def _with_silent(keys: list[tuple[str, str]], leaves: list[str]) -> list[tuple[str, str]]:
    """Put the modules that computed nothing (dropout, identities) behind the one before them."""
    present = [path for path, _ in keys]
    for before, path in zip([None, *leaves], leaves, strict=False):
        if path not in present:
            at = 1 + max((i for i, p in enumerate(present) if p == before), default=-1)
            keys.insert(at, (path, ""))
            present.insert(at, path)
    return keys


def size_formula(through: Window, image: tuple[int, int], output: tuple[int, int]) -> str:
    """Write the output size of a window with its numbers: floor or ceil where the division leaves a remainder.

    >>> size_formula(Window((11, 11), (4, 4), ((2, 2), (2, 2)), (1, 1)), (224, 224), (55, 55))
    'floor((224 + 2*2 - 11)/4) + 1 = 55'
    """
    texts = []
    for i in range(2):
        (before, after), step, stride = through.padding[i], through.dilation[i], through.stride[i]
        pad = f" + 2*{before}" if before == after else f" + {before} + {after}"
        taps = f"{through.size[i]}" if step == 1 else f"{step}*({through.size[i]} - 1) - 1"
        room = image[i] + before + after - through.extent[i]
        whole = f"({image[i]}{pad if before or after else ''} - {taps})/{stride}"
        rounding = "" if room % stride == 0 else "floor" if output[i] == room // stride + 1 else "ceil"
        texts.append(f"{f'{rounding}({whole})' if rounding else whole} + 1 = {output[i]}")
    return texts[0] if texts[0] == texts[1] else ", ".join(texts)


def unread(through: Window, image: tuple[int, int], output: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns of an image no window reads: remainders, and gaps between small windows.

    >>> unread(Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), (5, 6), (2, 3))
    (1, 0)
    """
    return _unread(through, image, output, 0), _unread(through, image, output, 1)


def _unread(through: Window, image: tuple[int, int], output: tuple[int, int], i: int) -> int:
    before, stride, step = through.padding[i][0], through.stride[i], through.dilation[i]
    read = {at * stride + tap * step - before for at in range(output[i]) for tap in range(through.size[i])}
    return image[i] - len(read & set(range(image[i])))


def _cells(row: Row) -> tuple[str, ...]:
    spatial = row.output is not None and len(row.output) == 3
    sees = (str(row.receptive_field) if row.receptive_field else "varies") if spatial else ""
    rows, columns = row.unread
    return (
        "  " * row.depth + row.name,
        " x ".join(map(str, row.output)) if row.output else "",
        row.formula,
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        _bytes(row.memory) if row.memory else "",
        sees,
        " + ".join(f"{n} {what}" for n, what in ((rows, "rows"), (columns, "columns")) if n),
    )


def _bytes(count: int) -> str:
    for size, unit in ((1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"
