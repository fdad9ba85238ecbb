"""What Python asks of an object: numbers, length, iteration, text, copies and pickles."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, Leaf, Variable


class PythonProtocol(Variable):
    """The double-underscore methods of a tensor that are not operators."""

    __slots__ = ()

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a tensor without axes")
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        if not self._data.ndim:
            raise TypeError("cannot iterate over a tensor without axes")
        return (F.index(self, i) for i in range(len(self._data)))

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ValueError(
                f"the truth of a tensor of shape {self._data.shape} is ambiguous; use (t != 0).numpy().any() or .all()"
            )
        return bool(self._data.item())

    def __float__(self) -> Any:
        return self._number("float")

    def __int__(self) -> int:
        return int(self._number("int"))

    def _number(self, kind: str) -> float:
        if self._data.size != 1:
            raise TypeError(f"{kind}() needs exactly one element, this tensor has shape {self._data.shape}")
        return float(self._data.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu" or self._data.size != 1:
            raise TypeError(
                f"only an integer tensor with one element is an index, not {self._data.dtype} {self._data.shape}"
            )
        return int(self._data.item())

    def __contains__(self, value: Any) -> bool:
        return value in self._data

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        notes = [] if self._data.size else [f"shape={self._data.shape}"]
        if self._data.dtype not in (np.float32, np.int64, np.bool_):
            notes.append(f"dtype={self._data.dtype}")
        if isinstance(self.edge, Function):
            notes.append(f"grad_fn=<{self.edge.name}>")
        elif self.edge is not None:
            notes.append("requires_grad=True")
        return f"{type(self).__name__}({', '.join([text, *notes])})"

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if isinstance(self.edge, Function):
            raise RuntimeError("only leaves can be copied; detach() a computed tensor, or clone() it within the graph")
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__((self._data.copy(), self.edge is not None, copy.deepcopy(self._gradient(), memo)))
        return twin

    def __getstate__(self) -> tuple[np.ndarray, bool, Any]:
        if isinstance(self.edge, Function):
            raise RuntimeError("only leaves can be pickled; detach() a computed tensor")
        return self._data, self.edge is not None, self._gradient()

    def _gradient(self) -> Any:
        return None if self.edge is None else self.edge.grad

    def __setstate__(self, state: tuple[np.ndarray, bool, Any]) -> None:
        self._data, self.edge = state[0], None
        if state[1]:
            self.edge = self._leaf = Leaf(self._data)
            self.edge.grad = state[2]

    def __reduce__(self) -> Any:
        return object.__new__, (type(self),), self.__getstate__()
