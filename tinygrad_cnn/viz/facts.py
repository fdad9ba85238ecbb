"""The numbers in a box: what an operation costs, what its result sees of the image, how strong its gradient is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.analysis.multiply_adds import multiply_adds
from tinygrad_cnn.analysis.receptive.regular import ReceptiveField, receptive_fields
from tinygrad_cnn.analysis.receptive.sees import sees
from tinygrad_cnn.autograd import Steps
from tinygrad_cnn.autograd.engine import Edge
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call

SHOWN = ("multiply_adds", "receptive_field", "time", "memory")  # without being asked for
KNOWN = (*SHOWN, "gradients", "thumbnails")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of an operation, or of several that are drawn as one box; what is None is not."""

    multiply_adds: int = 0
    field: ReceptiveField | None = None
    wider: bool = False  # whether it sees another part of the image than its input does
    seconds: float | None = None
    nbytes: int | None = None
    gradient: float | None = None  # Euclidean norm of the gradient of the result
    thumbnail: bytes = b""  # a picture of the result, as a PNG file

    def lines(self) -> tuple[str, ...]:
        """Return them as they are written.

        >>> Facts(multiply_adds=118_013_952, seconds=0.0031, nbytes=3_211_264, gradient=0.0125).lines()
        ('118 M multiply-adds', '3.10 ms, 3.21 MB', 'gradient 0.0125')
        """
        work = [f"{quantity(self.multiply_adds)} multiply-adds"] if self.multiply_adds else []
        if self.field is not None and self.wider:
            work.append(f"sees {' x '.join(str(axis.size) for axis in self.field)}")
        took = [] if self.seconds is None else [quantity(self.seconds, "s")]
        took += [quantity(self.nbytes, "B")] if self.nbytes else []
        gradient = [] if self.gradient is None else [f"gradient {self.gradient:.3g}"]
        return tuple(", ".join(parts) for parts in (work, took, gradient) if parts)


def together(facts: Sequence[Facts | None]) -> Facts | None:
    """Return the facts of operations that are drawn as one box, in the order of their computation.

    >>> together([Facts(9, seconds=0.5), Facts(1, seconds=0.25, gradient=2.0)])
    Facts(multiply_adds=10, field=None, wider=True, seconds=0.75, nbytes=None, gradient=2.0, thumbnail=b'')
    """
    known = [fact for fact in facts if fact is not None]
    if not known:
        return None
    last = known[-1]
    seconds = [fact.seconds for fact in known if fact.seconds is not None]
    nbytes = [fact.nbytes for fact in known if fact.nbytes is not None]
    return Facts(
        sum(fact.multiply_adds for fact in known),
        last.field,
        True,
        sum(seconds) if seconds else None,
        sum(nbytes) if nbytes else None,
        last.gradient,
        last.thumbnail,
    )


def forward_facts(
    calls: Sequence[Call], show: Iterable[str], timed: bool, parts: Mapping[Any, str]
) -> dict[Call, Facts]:
    """Return what is told of each call in a drawing of the values.

    Args:
        calls: all of them, in order.
        show: which facts, of `KNOWN`.
        timed: whether the calls are those of a trace, which knows time and memory.
        parts: the names of the model's tensors by their `key`; what is none of them may be the image.
    """
    fields = _fields(calls, parts) if "receptive_field" in show else {}
    found = {}
    for call in calls:
        field = fields.get(call) if len(call.shape) == 4 else None
        before = [fields.get(source) for source in call.sources if source is not None]
        found[call] = Facts(
            _multiply_adds(call) if "multiply_adds" in show else 0,
            field,
            field is not None and field not in before,
            call.seconds if "time" in show and timed else None,
            call.nbytes if "memory" in show and timed else None,
        )
    return found


def _fields(calls: Sequence[Call], parts: Mapping[Any, str]) -> dict[Call, ReceptiveField | None]:
    """Return what each call sees of the image, as far as it is known what the operations on the way see."""
    entering = (x for call in calls for x, source in zip(call.inputs, call.sources, strict=True) if source is None)
    image = next((x for x in entering if getattr(x, "ndim", 0) == 4 and key(x) not in parts), None)
    if image is None:
        return {}
    told: list[Call] = []
    lost: set[Call] = set()
    for call in calls:
        known = sees.dispatch(type(call.function)) is not sees.dispatch(object)
        if known and lost.isdisjoint(call.sources):
            told.append(call)
        else:
            lost.add(call)
    return dict(zip(told, receptive_fields(told, image), strict=True))


def _multiply_adds(call: Call) -> int:
    try:
        return multiply_adds(call.function, call.input_shapes, call.shape)
    except (NotImplementedError, IndexError):  # an operation of one's own; or a weight's shape, which no graph keeps
        return 0


def key(x: Any) -> Any:
    """Return what identifies a tensor in the graph: its edge, or the array of one that is not differentiated."""
    if isinstance(x, Tensor):
        return x.edge if x.edge is not None else id(x.data)
    return id(x)


def gradient_norms(output: Tensor, leaves: Sequence[Tensor]) -> dict[Edge, float]:
    """Return the Euclidean norm of the gradient of each node's result, and of each leaf; no ``.grad`` is touched.

    Raises:
        ValueError: the output is not one number.
        RuntimeError: the graph was used up by ``backward()``.

    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> gradient_norms(loss, [x])[x.edge], x.grad
    (10.0, None)
    """
    if output.data.size != 1:
        raise ValueError(f"draw_graph: gradients are shown of one number such as the loss, got shape {output.shape}")
    steps = Steps([output], [np.ones_like(output.data)], retain_graph=True, inputs=leaves)
    norms: dict[Edge, float] = {step.node: _norm(step.gy) for step in steps}
    for leaf, gradient in zip(leaves, steps.gradients(), strict=True):
        if leaf.edge is not None and gradient is not None:
            norms[leaf.edge] = _norm(gradient)
    return norms


def _norm(gradient: np.ndarray) -> float:
    return float(np.linalg.norm(gradient.astype(np.float64).ravel()))


_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (0.0, "µ"))


def quantity(number: float, unit: str = "") -> str:
    """Return a number as people read it: three digits and a prefix; below a million a plain number has all its digits.

    >>> quantity(61_706), quantity(4_089_184_256), quantity(0.00031, "s"), quantity(150_528, "B")
    ('61,706', '4.09 G', '310 µs', '151 kB')
    """
    if not unit and number < 1e6:
        return f"{number:,}"
    size, prefix = next((size, prefix) for size, prefix in _PREFIXES if number >= size)
    scaled = number / (size or 1e-6)
    digits = 0 if scaled >= 99.95 or (unit == "B" and not prefix) else 1 if scaled >= 9.995 else 2
    return f"{scaled:.{digits}f} {prefix}{unit}"
