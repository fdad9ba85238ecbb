"""Tensor: an ndarray that remembers how it was computed.

The class body is a table: the spelling of things stands here, what they do in `functional`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, Leaf, Steps, Variable, engine, version
from tinygrad_cnn.autograd.gradients import seed
from tinygrad_cnn.inplace import InPlace
from tinygrad_cnn.numpy_protocol import NumpyProtocol
from tinygrad_cnn.python_protocol import PythonProtocol


def as_array(data: Any, dtype: Any = None) -> np.ndarray:
    """Return the array of a number, list, array or tensor. Python floats become float32, ints int64, bools bool."""
    if isinstance(data, Variable):
        data = data._data
    array = np.asarray(data)
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        dtype = np.float32
    dtype = np.dtype(dtype) if dtype is not None else array.dtype.newbyteorder("=")
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype == np.float16:
        hint = "; convert to float32 first" if dtype == np.float16 else ""
        raise TypeError(f"Tensor: dtype {dtype} is not supported{hint}. Use float32, float64, an integer type or bool")
    return array.astype(dtype, copy=False)


class Tensor(InPlace, NumpyProtocol, PythonProtocol):
    """An n-dimensional array that records the operations on it, so that gradients can flow back.

    Args:
        data: numbers (nested lists), an ndarray (shared, not copied) or another Tensor (shared, detached).
        dtype: float32, float64, an integer type or bool. Without it arrays keep theirs, Python floats become float32,
            ints int64.
        requires_grad: collect a gradient in ``.grad``.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        self._data = as_array(data, dtype)
        self.edge = None
        if requires_grad:
            self.requires_grad_()

    @staticmethod
    def wrap(array: np.ndarray, edge: Function | Leaf | None = None) -> Tensor:
        """Return a Tensor that holds ``array`` itself (used by the engine and by operations)."""
        tensor = object.__new__(Tensor)
        tensor._data = array
        tensor.edge = edge
        return tensor

    # --- what it is ------------------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """The ndarray itself. Assigning another one of the same shape rebinds it; gradients are not recorded."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        array = as_array(value)
        if self.edge is not None and (array.shape != self._data.shape or array.dtype != self._data.dtype):
            raise ValueError(
                f"Tensor.data: this tensor requires a gradient of shape {self._data.shape} and dtype "
                f"{self._data.dtype}; got {array.shape} and {array.dtype}"
            )
        version.note_write(array)
        self._data = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of the elements."""
        return self._data.dtype

    @property
    def size(self) -> int:
        """The number of elements, as in NumPy (PyTorch's ``numel()``)."""
        return self._data.size

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix; axes in reverse order."""
        return F.permute(self, *range(self.ndim)[::-1])

    def numel(self) -> int:
        """Return the number of elements."""
        return self._data.size

    # --- gradients -------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        return self.edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was not computed by a recorded operation."""
        return not isinstance(self.edge, Function)

    @property
    def grad_fn(self) -> Function | None:
        """The recorded operation that computed this tensor, or None."""
        return self.edge if isinstance(self.edge, Function) else None

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf (or after `retain_grad`), else None."""
        edge = self.edge if self.edge is not None else getattr(self, "_leaf", None)
        if isinstance(edge, Function) and not edge.plan.retains_grad:
            warnings.warn(
                "the .grad of a tensor that was computed is not kept; call retain_grad() on it before backward(), or "
                "use grad(output, tensor)",
                stacklevel=2,
            )
        return None if edge is None else edge.grad

    @grad.setter
    def grad(self, value: Any) -> None:
        edge = self.edge if self.edge is not None else getattr(self, "_leaf", None)
        if value is not None:
            value = value if isinstance(value, Tensor) else Tensor(value)
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ValueError(
                    f"Tensor.grad: must have the tensor's shape {self.shape} and dtype {self.dtype}, got "
                    f"{value.shape} and {value.dtype}"
                )
            if edge is None:
                raise RuntimeError("Tensor.grad: this tensor does not require a gradient; call requires_grad_() first")
        if edge is not None:
            edge.grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Collect gradients for this leaf from now on, or (False) freeze it; return the tensor itself."""
        if isinstance(self.edge, Function):
            if not requires_grad:
                raise RuntimeError(
                    "requires_grad_(False): this tensor was computed; detach() gives one without a graph"
                )
            return self
        if not requires_grad:
            self.edge = None
        elif self.edge is None:
            if self._data.dtype.kind != "f":
                raise TypeError(f"requires_grad_: only float tensors have gradients, this one is {self._data.dtype}")
            leaf = getattr(self, "_leaf", None)
            if leaf is None or leaf.y_shape != self.shape or leaf.y_dtype != self.dtype:
                leaf = self._leaf = Leaf(self._data)
            self.edge = leaf
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor in ``.grad`` when backward passes through it."""
        if self.edge is None:
            raise RuntimeError("retain_grad: this tensor does not require a gradient")
        if isinstance(self.edge, Function):
            self.edge.plan = replace(self.edge.plan, retains_grad=True)

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradient of this tensor with respect to every leaf to that leaf's ``.grad``.

        Args:
            gradient: the incoming gradient, of this tensor's shape; may be left out for one element.
            retain_graph: keep the graph for another pass; by default what ``create_graph`` says.
            create_graph: record the backward pass itself, for gradients of gradients. The new ``.grad`` then holds a
                graph that leads back to the leaf: prefer `grad`, which stores nothing.

        Raises:
            RuntimeError: nothing requires a gradient, the graph was used up, or a saved array was overwritten.
            ValueError: ``gradient`` is missing or of the wrong shape.
        """
        self._check_backward()
        engine.backward([self], [seed("backward", self, gradient, create_graph)], retain_graph, create_graph)

    def _check_backward(self) -> None:
        if self.edge is None:
            raise RuntimeError(
                "backward: this tensor does not require a gradient: none of its inputs did (requires_grad=True), or it "
                "was computed under no_grad() or detached"
            )

    def backward_steps(self, gradient: Any = None, retain_graph: bool = False) -> Steps:
        """Go backward in a loop: ``for step in loss.backward_steps()`` stops at every operation, newest first.

        A step has the operation, the gradient that comes in (``gy``) and those that go out (``gradients``, by the names
        of the inputs); what is put in their place goes on instead. The gradients of leaves arrive in ``.grad`` when the
        loop ends. Arguments and errors are those of `backward`.

        >>> x = Tensor([1.0, -2.0], requires_grad=True)
        >>> for step in (x.relu() * 3).sum().backward_steps():
        ...     print(step.node.name, step.gy, step.gradients)
        Sum 1.0 {'x': array([1., 1.], dtype=float32)}
        Mul [1. 1.] {'x1': array([3., 3.], dtype=float32)}
        ReLU [3. 3.] {'x': array([3., 0.], dtype=float32)}
        """
        self._check_backward()
        return Steps([self], [seed("backward_steps", self, gradient, False)], retain_graph)

    def detach(self) -> Tensor:
        """Return a tensor on the same memory without a graph."""
        return Tensor.wrap(self._data)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient (or fill it with zeros)."""
        if self.grad is not None:
            self.grad = None if set_to_none else np.zeros_like(self._data)

    # --- values ----------------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """Return a read-only view of the array; RuntimeError where it requires a gradient (detach() first)."""
        if self.edge is not None:
            raise RuntimeError(
                "numpy(): this tensor requires a gradient, which an ndarray would lose; use detach().numpy()"
            )
        view = self._data.view()
        view.flags.writeable = False
        return view

    def item(self) -> float | int | bool:
        """Return the value of a tensor with one element as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item(): needs exactly one element, this tensor has shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self._data.tolist()

    def clone(self) -> Tensor:
        """Return a copy through which gradients flow back to this tensor."""
        return F.clone(self)

    def astype(self, dtype: Any) -> Tensor:
        """Return this tensor in another dtype; gradients return in this one's."""
        return F.astype(self, dtype)

    def float(self) -> Tensor:
        """Return this tensor as float32."""
        return F.astype(self, np.float32)

    def double(self) -> Tensor:
        """Return this tensor as float64."""
        return F.astype(self, np.float64)

    # --- operators -------------------------------------------------------------------------------------------

    __add__ = __radd__ = F.add
    __sub__, __rsub__ = F.sub, F.rsub
    __mul__ = __rmul__ = F.mul
    __truediv__, __rtruediv__ = F.div, F.rdiv
    __pow__, __rpow__ = F.pow, F.rpow
    __matmul__, __rmatmul__ = F.matmul, F.rmatmul
    __neg__, __abs__ = F.neg, F.abs
    __lt__, __le__, __gt__, __ge__ = F.lt, F.le, F.gt, F.ge
    __getitem__ = F.index
    __hash__ = object.__hash__
    __array_priority__ = 1000  # ndarray + Tensor asks the Tensor

    def __eq__(self, other: object) -> Any:
        """Compare element by element."""
        return (
            F.eq(self, other) if isinstance(other, (Variable, np.ndarray, np.generic, int, float)) else NotImplemented
        )

    def __ne__(self, other: object) -> Any:
        """Compare element by element."""
        return (
            F.ne(self, other) if isinstance(other, (Variable, np.ndarray, np.generic, int, float)) else NotImplemented
        )

    # --- functions as methods --------------------------------------------------------------------------------

    exp, log, sqrt, abs, sign, neg = F.exp, F.log, F.sqrt, F.abs, F.sign, F.neg
    add, sub, mul, div, pow = F.add, F.sub, F.mul, F.div, F.pow
    maximum, minimum, clamp, clip = F.maximum, F.minimum, F.clamp, F.clamp
    eq, ne, lt, le, gt, ge = F.eq, F.ne, F.lt, F.le, F.gt, F.ge
    sum, mean, var, std, prod = F.sum, F.mean, F.var, F.std, F.prod
    all, any = F.all, F.any
    max, min, amax, amin, argmax, argmin = F.max, F.min, F.amax, F.amin, F.argmax, F.argmin
    reshape, view, flatten, squeeze, unsqueeze = F.reshape, F.reshape, F.flatten, F.squeeze, F.unsqueeze
    transpose, swapaxes, permute, expand = F.transpose, F.transpose, F.permute, F.expand
    unflatten, split, chunk, flip, roll, tile, repeat = F.unflatten, F.split, F.chunk, F.flip, F.roll, F.tile, F.repeat
    gather, scatter_add, sort, argsort, topk = F.gather, F.scatter_add, F.sort, F.argsort, F.topk
    cumsum, logsumexp, norm = F.cumsum, F.logsumexp, F.norm
    matmul, bmm = F.matmul, F.bmm
    relu, sigmoid, tanh, softmax, log_softmax = F.relu, F.sigmoid, F.tanh, F.softmax, F.log_softmax


Tensor.kind = Tensor  # what operations return, also those on a subclass such as Parameter
