"""One operation of a model: which, where, on what, with what result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor

Shape = tuple[int, ...]
# Where a word of a class's name begins: Max|Pool2d, Log|Softmax, BCE|Loss.
_WORD = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Names of one word, whatever their capitals say; and what runs under another operation's name.
_SPELLINGS = {
    "PReLU": "Prelu", "ReLU": "Relu", "SiLU": "Silu", "RoI": "Roi", "MatMul": "Matmul", "CumSum": "Cumsum",
    "LogSumExp": "Logsumexp", "LogSigmoid": "Logsigmoid", "BatchNormFixed": "BatchNorm", "GELUTanh": "Gelu",
}  # fmt: skip


class Visit(str):
    """The path of a module while it is being called: one object for each time.

    Attributes:
        outside: the path of the module that called it, which is a visit too, or "".
        key: the id of the module.
        tree: whose visit it is: that of a `Visits`.
        beside: the visit of the same module in the tree of another model that is being traced too, or None.
        module: the module; like the number it is there when somebody has looked at the trace.
        number: how many times it had been called in this trace, with this one.
    """

    outside: str
    key: int
    tree: object
    beside: Visit | None = None
    module: Module | None = None
    number: int = 0


@dataclass(slots=True, eq=False)
class Call:
    """One operation: which, in which module, on what, with what result.

    Attributes:
        function: the operation, which knows its settings (``geometry``, ``axis``, ...).
        path: of the module that was running, "" for the model itself and outside of it.
        inputs: tensors, arrays, numbers or None, as they were then.
        sources: for each input the call that computed it; None for images, parameters and constants.
        output: the result as it was then, on the same edge of the graph: `grad` differentiates with respect to it.
        parameters: those among the inputs, by their names in the model.
        seconds: since the call before it (or the start): its own time and that of the Python code that led to it. Of
            layers that ran as one operation: each one's own time, when they were run again one by one.
        index: its place in the trace.
        address: what it is called by; see `Trace`.
    """

    function: Function
    path: str
    inputs: tuple[Any, ...]
    sources: tuple[Call | None, ...]
    output: Any
    parameters: dict[str, Tensor]
    seconds: float
    index: int
    address: str = ""

    @property
    def op(self) -> str:
        """The name of the operation as `functional` spells it: ``conv2d``, ``max_pool2d``, ``add``."""
        return op_name(self.function)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the inputs, () for numbers and None."""
        return tuple(tuple(getattr(x, "shape", ())) for x in self.inputs)

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return tuple(self.output.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the result takes: 0 for a view of other memory."""
        return 0 if self.function.view else int(array_of(self.output).nbytes)

    def __repr__(self) -> str:
        return f"<{self.address}: {self.op} -> {self.shape}>"


def op_name(function: Function) -> str:
    """Return the name of an operation as `functional` spells it.

    >>> from tinygrad_cnn.functional.activation import LeakyReLU
    >>> op_name(LeakyReLU(0.01))
    'leaky_relu'
    """
    name = function.name
    for found, spelt in _SPELLINGS.items():
        name = name.replace(found, spelt)
    return _WORD.sub("_", name).lower()


def array_of(x: Any) -> Any:
    """Return the array of a tensor, and anything else as it is."""
    return x.data if isinstance(x, Tensor) else x
