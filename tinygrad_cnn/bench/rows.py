"""What is measured: one row for each figure, and what is said about several. To add one see docs/benchmarks/README.md.

Targets are ratios, PyTorch's figure / ours at least; limits are for our figure alone, at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Literal, NamedTuple

from tinygrad_cnn.bench.vocabulary import FUNCTIONS, JOINED, LAYERS, OTHER, REGIONS, USED

# "step": seconds of one step, in blocks within processes that stay alive. The rest come from fresh processes:
# "import": seconds of the import; "first step": seconds from before the import to the end of the first step;
# "process": the same from the start of the interpreter; "training": seconds of training alone, as the step says;
# "memory": the peak of resident memory after a block, in MB.
Quantity = Literal["step", "import", "first step", "process", "training", "memory"]


class Row(NamedTuple):
    """One line of the table.

    >>> choose(["add"])[0].title
    'a + b, recorded, on 4 x 4 arrays'
    """

    group: str
    name: str
    title: str
    workload: str  # the function of this name in ours.py and in peer.py
    arguments: dict[str, Any] = {}
    together: str = ""  # rows that share this word share their processes and their turns
    quantity: Quantity = "step"
    operations: int = 1  # in a step; the time is that of one
    target: float | None = None
    limit: float | None = None
    goal: float | None = None  # the accuracy that training is to reach: a run that falls short is named
    multiply_adds: int = 0  # in a step; where they are told the row has a share of the multiply-add peak
    share: float | None = None  # that the share is to reach
    threads: int | None = None  # where they are not those of the whole run
    environment: dict[str, str] = {}  # of the processes
    cold: bool = False  # every process starts with an empty kernel cache
    busy: bool = False  # next to one process that keeps a core busy


class Mean(NamedTuple):
    """A geometric mean of the ratios of rows: PyTorch's figure / ours."""

    name: str
    title: str
    rows: tuple[str, ...]  # patterns of names
    target: float


class Quotient(NamedTuple):
    """One row's figure / another's, for each side: what a busy machine costs, what a second thread brings."""

    name: str
    title: str
    row: str
    other: str
    least: float | None = None
    most: float | None = None


# The fastest that multiply-adds can be: what the share of the peak is measured against, in the same turns.
PEAK = Row("conv", "peak", "register tile alone", "register_tile", {"tiles": 2000})

LARGE = 500_000_000  # multiply-adds


def convolution(
    n: int, c: int, size: int, o: int, k: int, padding: int = 0, stride: int = 1, dilation: int = 1, groups: int = 1,
    name: str = "", direct: bool = False,
) -> list[Row]:  # fmt: skip
    """Return one row for each face of a convolution of (n, c, size, size) with o filters of k x k.

    ``direct`` forbids Winograd's algorithm, which needs fewer multiply-adds than are counted.
    """
    changed = {"stride": stride, "dilation": dilation, "groups": groups}
    words = ", ".join(f"{what} {value}" for what, value in changed.items() if value > 1)
    name = name or f"{k}x{k}{''.join(f'{what[0]}{value}' for what, value in changed.items() if value > 1)}-{c}x{size}"
    name = f"conv-{name}{'-direct' if direct else ''}-{o}" if not name.startswith("lenet") else f"conv-{name}"
    title = f"{k}x{k}{', ' + words if words else ''}, ({n}, {c}, {size}, {size}) to {o}{', direct' if direct else ''}"
    out = (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    multiply_adds = n * o * out * out * c // groups * k * k
    large = multiply_adds >= LARGE
    # Winograd's share may pass 1, 1x1 and few channels are bound by memory: they are not held to the peak.
    by_peak = large and 1 < k and 16 <= c // groups and (direct or k != 3 or stride > 1)
    arguments = {"image": [n, c, size, size], "filters": [o, c // groups, k, k], "padding": padding, **changed}
    faces = ("forward", 0.95, 0.9), ("input-grad", 0.95, 0.85), ("weight-grad", 1.05 if large else 0.95, 0.85)
    return [
        Row("conv", f"{name}-{face}", f"{title}: {face.replace('-grad', ' gradient')}", "convolution",
            {"face": face, **arguments}, name, target=None if direct else target,
            multiply_adds=multiply_adds if large else 0, share=share if by_peak else None,
            environment={"TINYGRAD_CNN_WINOGRAD": "0"} if direct else {})
        for face, target, share in faces
    ]  # fmt: skip


def training(net: str, title: str, batch: int, target: float | None = None) -> Row:
    """Return the row of a whole training step."""
    name = f"{net.replace('_', '-')}-{batch}"
    return Row("nets", name, f"{title}, training step, batch {batch}", "training", {"net": net, "batch": batch},
               target=target)  # fmt: skip


def layer(
    group: str, name: str, kind: str, arguments: Sequence[Any], shape: Sequence[int], together: str = "",
    target: float | None = 1.0, operations: int = 1,
) -> Row:  # fmt: skip
    """Return the row of a layer of nn, forward and backward."""
    title = f"{kind}({', '.join(map(str, arguments))}) of ({', '.join(map(str, shape))}), forward and backward"
    return Row(group, name, title, "layer", {"kind": kind, "arguments": list(arguments), "shape": list(shape)},
               together, operations=operations, target=target)  # fmt: skip


def functional(
    together: str, name: str, function: str, arguments: Sequence[Any], options: dict[str, Any], target: float
) -> Row:
    """Return the row of a function of tensors, forward and backward."""
    words = ", ".join([*map(_word, arguments), *(f"{key}={value!r}" for key, value in options.items())])
    call = {"function": function, "arguments": list(arguments), "options": options}
    title = f"{function}({words}), forward and backward"
    return Row("vocabulary", name, title, "functional", call, together, target=target)


def _word(argument: Any) -> str:
    """Write a tensor as its shape."""
    match argument:
        case ["normal" | "uniform", *parts] | ["index", _, *parts] | [*parts]:
            return f"({', '.join(map(_word, parts))})"
    return repr(argument)


def optimizer(kind: str, size: str, count: int) -> Row:
    """Return the row of an optimiser's step."""
    return Row("memory-bound", f"{kind.lower()}-{size}", f"a step of {kind}, {count:,} parameters", "optimizer",
               {"kind": kind, "count": count}, "optimizer", target=1.0)  # fmt: skip


def _vocabulary() -> list[Row]:
    rows = [functional(*line) for line in FUNCTIONS]
    for together, name, kind, arguments, shape, target in LAYERS:
        rows.append(layer("vocabulary", name, kind, arguments, shape, together, target))
    for name, title, workload, call in JOINED:
        title = title.format(", ".join(map(str, call["shape"])))
        rows.append(Row("vocabulary", name, title, workload, call, "joined", target=USED))
    for name, function, shape, count in REGIONS:
        title = f"{function} of {count} boxes of {shape}, 7 x 7 bins, forward and backward"
        call = {"function": function, "shape": list(shape), "count": count}
        rows.append(Row("vocabulary", name, title, "regions", call, "regions"))
    return sorted(rows, key=lambda row: row.together)  # whose processes are shared stand together


IMAGES = (64, 64, 112, 112)  # 205 MB
LENET: dict[str, Any] = {"net": "lenet", "batch": 128}
# The recipe of examples/train_mnist.py.
MNIST: dict[str, Any] = {
    "epochs": 2, "batch": 256, "lr": 0.02, "rise": 0.2, "anneal": "linear", "betas": [0.9, 0.98], "smoothing": 0.05,
    "seed": 0,
}  # fmt: skip

ROWS: tuple[Row, ...] = (
    Row("engine", "add", "a + b, recorded, on 4 x 4 arrays", "add", {"count": 1000}, operations=1000, target=1.0),
    Row("engine", "chain", "1,000 additions on 4 x 4 arrays, forward and backward", "chain", {"length": 1000},
        target=1.0),

    training("lenet", "LeNet-5", 1, target=4.0),
    training("lenet", "LeNet-5", 32),
    training("lenet", "LeNet-5", 128, target=4.0),
    training("lenet", "LeNet-5", 256),
    Row("nets", "lenet-infer-1", "LeNet-5, inference, batch 1", "inference", {"net": "lenet", "batch": 1}, target=3.0),
    training("mnist_net", "the MNIST example's net, 3x3 with 32 and 64 channels", 64),
    training("mnist_net", "the MNIST example's net, 3x3 with 32 and 64 channels", 128, target=2.0),
    training("vgg", "VGG-like net on 32 x 32 colours", 64, target=1.3),
    training("resnet", "ResNet-18-like net on 32 x 32 colours", 32, target=1.3),

    *convolution(128, 1, 28, 6, 5, padding=2, name="lenet1"),
    *convolution(128, 6, 14, 16, 5, name="lenet2"),
    *convolution(64, 1, 28, 6, 5, padding=2),
    *convolution(64, 1, 28, 32, 3),
    *convolution(64, 32, 26, 64, 3),
    *convolution(64, 16, 32, 16, 3, padding=1),
    *convolution(64, 32, 16, 32, 3, padding=1),
    *convolution(64, 64, 8, 64, 3, padding=1),
    *convolution(16, 64, 56, 64, 3, padding=1),
    *convolution(16, 128, 28, 128, 3, padding=1),
    *convolution(16, 256, 14, 256, 3, padding=1),
    *convolution(16, 512, 7, 512, 3, padding=1),
    *convolution(16, 256, 56, 64, 1),
    *convolution(16, 64, 56, 256, 1),
    *convolution(16, 256, 14, 1024, 1),
    *convolution(16, 256, 56, 512, 1, stride=2),
    *convolution(16, 64, 56, 128, 3, padding=1, stride=2),
    *convolution(16, 64, 28, 64, 5, padding=2),
    *convolution(16, 3, 224, 64, 7, padding=3, stride=2),
    *convolution(16, 3, 224, 64, 11, padding=2, stride=4),
    *convolution(16, 128, 56, 128, 3, padding=1, groups=128),
    *convolution(16, 128, 56, 128, 3, padding=1, stride=2, groups=128),
    *convolution(16, 256, 28, 256, 3, padding=1, groups=4),
    *convolution(16, 128, 28, 128, 3, padding=2, dilation=2),
    *convolution(16, 64, 56, 64, 3, padding=1, direct=True),
    *convolution(16, 256, 14, 256, 3, padding=1, direct=True),
    *convolution(16, 128, 28, 128, 3, padding=2, dilation=2, direct=True),

    layer("memory-bound", "relu", "ReLU", (), IMAGES, target=2.0),
    layer("memory-bound", "batch-norm", "BatchNorm2d", (64,), IMAGES, target=2.5),
    layer("memory-bound", "avg-pool", "AvgPool2d", (2,), IMAGES, target=5.0),
    layer("memory-bound", "max-pool", "MaxPool2d", (2,), IMAGES, target=7.0),
    layer("memory-bound", "max-pool-3x3", "MaxPool2d", (3, 2, 1), IMAGES),
    layer("memory-bound", "relu-small", "ReLU", (), (128, 6, 28, 28), "small"),
    layer("memory-bound", "batch-norm-small", "BatchNorm2d", (16,), (128, 16, 10, 10), "small"),
    layer("memory-bound", "avg-pool-small", "AvgPool2d", (2,), (128, 6, 28, 28), "small"),
    layer("memory-bound", "max-pool-small", "MaxPool2d", (2,), (128, 6, 28, 28), "small"),
    layer("memory-bound", "sigmoid", "Sigmoid", (), (128, 64, 28, 28), "losses", OTHER),
    layer("memory-bound", "softmax", "Softmax", (1,), (1024, 1000), "losses"),
    layer("memory-bound", "log-softmax", "LogSoftmax", (1,), (1024, 1000), "losses"),
    *(Row("memory-bound", f"{name}{'-small' if n < 1000 else ''}", f"{kind} of ({n}, {c}), forward and backward",
          "loss", {"kind": kind, "shape": [n, c]}, "losses", target=target)
      for kind, name, target in (
          ("CrossEntropyLoss", "cross-entropy", USED), ("NLLLoss", "nll", OTHER), ("MSELoss", "mse", USED))
      for n, c in ((128, 10), (1024, 1000))),
    *(optimizer(kind, *size) for kind in ("SGD", "Adam") for size in (("small", 61_706), ("large", 5_000_000))),

    *(layer("products", f"linear-{i}x{o}-{n}", "Linear", (i, o), (n, i), "linear")
      for n, i, o in ((128, 400, 120), (128, 120, 84), (128, 84, 10), (1, 400, 120))),
    *(layer("products", f"linear-{i}x{o}-{n}", "Linear", (i, o), (n, i)) for n, i, o in ((64, 25088, 1024),)),
    *(Row("products", f"matmul-{n}", f"({n}, {n}) @ ({n}, {n})", "matmul", {"size": n}, "matmul", target=1.0,
          multiply_adds=n**3) for n in (256, 512, 1024)),

    *_vocabulary(),

    Row("mnist", "mnist-training", "LeNet-5 on MNIST to 99 % of the test set, 2 epochs, seeds 0, 1, 2: training alone",
        "mnist", MNIST, "mnist", "training", target=4.0, limit=2.5, goal=0.99),
    Row("mnist", "mnist-process", "the same, the whole process", "mnist", MNIST, "mnist", "process", limit=10.0),

    Row("start", "import", "import in a fresh process", "add", {"count": 1}, "", "import", limit=0.35),
    Row("start", "first-step-warm", "import to the end of LeNet-5's first training step", "training", LENET, "",
        "first step", limit=1.0),
    Row("start", "first-step-cold", "the same, with an empty kernel cache", "training", LENET, "", "first step",
        limit=15.0, cold=True),
    Row("start", "memory", "peak resident memory of training LeNet-5, batch 128", "training", LENET, "", "memory",
        target=1 / 0.65),

    *(Row("busy", f"busy-{where}", f"LeNet-5, training step, batch 128, {words}", "training", LENET, "busy",
          busy=where == "beside") for where, words in (("alone", "alone"), ("beside", "next to a busy process"))),
    *(Row("threads", f"threads-{net}-{n}", f"{title}, training step, batch 128, threads: {n}", "training",
          {"net": net, "batch": 128}, net, threads=n)
      for net, title in (("lenet", "LeNet-5"), ("mnist_net", "the MNIST example's net")) for n in (1, 2)),

    *(Row("scaling", f"batch-{n}", f"LeNet-5, training, one image of a batch of {n}", "training",
          {"net": "lenet", "batch": n}, "batch", operations=n) for n in (1, 2, 8, 32, 128, 512, 2048)),
    *(layer("scaling", f"size-{s}", "Conv2d", (16, 16, 3, 1, 1), (8, 16, s, s), "size", None, operations=8 * s * s)
      for s in (8, 16, 32, 64, 128, 256)),
)  # fmt: skip

SUMMARIES: tuple[Mean | Quotient, ...] = (
    Mean("conv-forward", "every convolution, forward", ("conv-*-forward",), 1.5),
    Mean("conv-input-grad", "every convolution, input gradient", ("conv-*-input-grad",), 1.5),
    Mean("conv-weight-grad", "every convolution, weight gradient", ("conv-*-weight-grad",), 1.5),
    Mean("conv-3x3-large-maps", "3x3, 64 channels or more, maps of 14 x 14 or more, forward and input gradient",
         tuple(f"conv-3x3-{shape}-{face}" for shape in ("64x56-64", "128x28-128", "256x14-256")
               for face in ("forward", "input-grad")), 1.5),
    Mean("conv-3x3-small-maps", "the same, smaller maps",
         tuple(f"conv-3x3-{shape}-{face}" for shape in ("64x8-64", "512x7-512") for face in ("forward", "input-grad")),
         1.0),
    Mean("conv-1x1", "1x1 at 56 x 56, forward and both gradients", ("conv-1x1-*x56-*",), 3.0),
    Quotient("busy", "time next to a busy process / alone", "busy-beside", "busy-alone", most=1.8),
    Quotient("threads-lenet", "LeNet-5's time with one thread / with two", "threads-lenet-1", "threads-lenet-2",
             least=1.7),
    Quotient("threads-mnist_net", "the MNIST example's net, the same", "threads-mnist_net-1", "threads-mnist_net-2"),
)  # fmt: skip


def choose(names: Sequence[str]) -> list[Row]:
    """Return the rows of these names or groups, where ``lenet`` also names all ``lenet-...``; all where there are none.

    Raises:
        ValueError: A name that no row has.
    """
    for name in names:
        if not any(_has_name(row, name) for row in ROWS):
            groups = dict.fromkeys(row.group for row in ROWS)
            close = get_close_matches(name, [*groups, *(row.name for row in ROWS)], 5)
            raise ValueError(
                f"bench: there is no row {name!r}; close to it: {', '.join(close) or 'none'}. Groups are: "
                f"{', '.join(groups)}; bench --list names every row"
            )
    return [row for row in ROWS if not names or any(_has_name(row, name) for name in names)]


def _has_name(row: Row, name: str) -> bool:
    return name in (row.group, row.name) or row.name.startswith(f"{name}-")


def families(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows in their order, those that are measured together in one list."""
    return [list(family) for _, family in groupby(rows, lambda row: (row.group, row.together or row.name))]


def members(mean: Mean) -> list[Row]:
    """Return the rows that a mean is about; without those that compare variants of our own."""
    return [row for row in ROWS if row.target is not None and any(fnmatchcase(row.name, p) for p in mean.rows)]
