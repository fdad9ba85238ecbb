"""Writing to tensors: what changes memory, what only gives a name a new value, and what is refused.

``t[i] = v``, `copy_`, `fill_` and `zero_` write memory; they are recorded, and noted on the clock by which backward
finds saved arrays that were overwritten. ``x += v`` gives the name x a new array and edge and never touches memory, so
a view of x does not see it.
"""

from __future__ import annotations

from typing import Any, Self

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, Leaf, Variable, is_grad_enabled, version
from tinygrad_cnn.state import recording


class InPlace(Variable):
    """The spellings that look like changes in place."""

    __slots__ = ()

    def _before_write(self, what: str) -> None:
        if self.edge is None or not is_grad_enabled():
            return
        if not isinstance(self.edge, Function):
            raise RuntimeError(
                f"{what}: a leaf that requires a gradient cannot be written while recording; use no_grad()"
            )
        if self.edge.view:
            raise RuntimeError(
                f"{what}: this tensor is a view ({self.edge.name}) of a recorded one; write to the original, to a "
                "clone(), or compute a new tensor with where() or cat()"
            )

    def __setitem__(self, key: Any, value: Any) -> None:
        self._before_write("writing a tensor (t[i] = v, copy_, fill_, zero_)")
        key = F.array_key(key)
        version.before_write(self._data)
        wanted = isinstance(value, Variable) and value.edge is not None
        how = recording.get()
        try:
            if is_grad_enabled() and (self.edge is not None or wanted):
                self._before_recorded_write()
                self.edge = F.SetItem(key).apply(self, value).edge
            elif how is not None and how.observer is not None:  # nothing to record, but somebody to tell
                F.SetItem(key).apply(self, value)
            else:
                self._data[key] = value._data if isinstance(value, Variable) else value
        except (ValueError, IndexError) as error:
            raise type(error)(f"writing to a tensor of shape {self._data.shape}: {error}") from None
        version.note_write(self._data)

    def _before_recorded_write(self) -> None:
        if self._data.dtype.kind != "f":
            raise TypeError(
                f"a value that requires a gradient cannot be written to a tensor of dtype {self._data.dtype}"
            )
        if self.edge is None and self._data.base is not None:
            raise RuntimeError(
                "a value that requires a gradient cannot be written to a view: the tensor it is a view of would not "
                "know. Write to that tensor itself, to a clone(), or compute a new one with where() or cat()"
            )

    def copy_(self, source: Any) -> Self:
        """Write the values of ``source`` (broadcast) into this tensor's memory and return it."""
        self[...] = source
        return self

    def fill_(self, value: Any) -> Self:
        """Write one value everywhere and return the tensor."""
        return self.copy_(value)

    def zero_(self) -> Self:
        """Write zeros everywhere and return the tensor."""
        return self.copy_(0)

    def _updated(self, what: str, result: Any) -> Self:
        # x += v gives the handle a new value; the old array, which the graph may have saved, stays as it is.
        if isinstance(self.edge, Leaf) and is_grad_enabled():
            raise RuntimeError(
                f"x {what} v on a leaf that requires a gradient would lose the leaf. In an update step use no_grad(); "
                "otherwise write x = x + v under a new name"
            )
        if result.shape != self._data.shape:
            raise ValueError(f"x {what} v cannot change the shape {self._data.shape} to {result.shape}")
        if result.dtype.kind != self._data.dtype.kind:
            raise TypeError(
                f"x {what} v cannot change the dtype {self._data.dtype} to {result.dtype}; write x = x.astype(...)"
            )
        result = F.astype(result, self._data.dtype)
        self._data = result._data
        if not isinstance(self.edge, Leaf):
            self.edge = result.edge
        return self

    def __iadd__(self, other: Any) -> Self:
        return self._updated("+=", F.add(self, other))

    def __isub__(self, other: Any) -> Self:
        return self._updated("-=", F.sub(self, other))

    def __imul__(self, other: Any) -> Self:
        return self._updated("*=", F.mul(self, other))

    def __itruediv__(self, other: Any) -> Self:
        return self._updated("/=", F.div(self, other))
