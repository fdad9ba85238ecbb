"""What is measured: one row for each figure. To add a row see docs/benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

# "step": seconds of one step, in blocks within processes that stay alive. The rest come from fresh processes:
# "import": seconds of the import; "first step": seconds from before the import to the end of the first step;
# "memory": the peak of resident memory after a block, in MB.
Quantity = Literal["step", "import", "first step", "memory"]


class Row(NamedTuple):
    """One line of the table.

    >>> choose(["add"])[0].title
    'a + b, recorded, on 4 x 4 arrays'
    """

    name: str
    title: str
    workload: str  # the function of this name in ours.py and in peer.py
    arguments: dict[str, Any] = {}
    quantity: Quantity = "step"
    operations: int = 1  # in a step; the time is that of one
    cold: bool = False  # every process starts with an empty kernel cache


def _convolutions(name: str, title: str, image: Sequence[int], filters: Sequence[int], padding: int) -> list[Row]:
    """Return one row for each face of a convolution."""
    shapes = {"image": image, "filters": filters, "padding": padding}
    faces = ("forward", "forward"), ("input-grad", "input gradient"), ("weight-grad", "weight gradient")
    return [
        Row(f"{name}-{face}", f"{title}, batch {image[0]}: {words}", "convolution", {"face": face, **shapes})
        for face, words in faces
    ]


ROWS: tuple[Row, ...] = (
    Row("add", "a + b, recorded, on 4 x 4 arrays", "add", {"count": 1000}, operations=1000),
    Row("chain", "1,000 additions on 4 x 4 arrays, forward and backward", "chain", {"length": 1000}),
    *(Row(f"lenet-{n}", f"LeNet-5, training step, batch {n}", "lenet_training", {"batch": n}) for n in (128, 32, 1)),
    Row("lenet-infer-1", "LeNet-5, inference, batch 1", "lenet_inference", {"batch": 1}),
    *_convolutions("conv1", "LeNet-5's first convolution", (128, 1, 28, 28), (6, 1, 5, 5), padding=2),
    *_convolutions("conv2", "LeNet-5's second convolution", (128, 6, 14, 14), (16, 6, 5, 5), padding=0),
    Row("import", "import in a fresh process", "add", {"count": 1}, "import"),
    Row("first-step-warm", "import to the end of LeNet-5's first training step", "lenet_training", {"batch": 128},
        "first step"),
    Row("first-step-cold", "the same, with an empty kernel cache", "lenet_training", {"batch": 128},
        "first step", cold=True),
    Row("memory", "peak resident memory of training LeNet-5, batch 128", "lenet_training", {"batch": 128}, "memory"),
)  # fmt: skip


def choose(names: Sequence[str]) -> list[Row]:
    """Return the rows of these names, where ``conv1`` also names all ``conv1-...``; every row where there are none.

    Raises:
        ValueError: A name that no row has.
    """
    for name in names:
        if not any(_has_name(row, name) for row in ROWS):
            raise ValueError(f"bench: there is no row {name!r}. These are: {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not names or any(_has_name(row, name) for name in names)]


def _has_name(row: Row, name: str) -> bool:
    return row.name == name or row.name.startswith(f"{name}-")
