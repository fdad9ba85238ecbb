from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.shape import sum_to

MASK = np.array([[True, False, True, False], [False, False, True, True], [True, True, False, False]])

# name: (ours, NumPy's, the shape of x); all are linear
LINEAR: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "reshape": (lambda x: F.reshape(x, 4, -1), lambda x: x.reshape(4, 6), (2, 3, 4)),
    "reshape to a tuple": (lambda x: F.reshape(x, (6, 4)), lambda x: x.reshape(6, 4), (2, 3, 4)),
    "flatten": (lambda x: F.flatten(x), np.ravel, (2, 3, 4)),
    "flatten the middle": (lambda x: F.flatten(x, 1, -2), lambda x: x.reshape(2, 12, 2), (2, 3, 4, 2)),
    "flatten nothing": (lambda x: F.flatten(x), lambda x: x.reshape(1), ()),
    "squeeze": (lambda x: F.squeeze(x), np.squeeze, (1, 3, 1, 4)),
    "squeeze one": (lambda x: F.squeeze(x, -2), lambda x: x.squeeze(2), (1, 3, 1, 4)),
    "squeeze another": (lambda x: F.squeeze(x, axis=1), np.copy, (1, 3, 1, 4)),
    "unsqueeze": (lambda x: F.unsqueeze(x, -1), lambda x: x[..., None], (3, 4)),
    "permute": (lambda x: F.permute(x, 2, 0, 1), lambda x: x.transpose(2, 0, 1), (2, 3, 4)),
    "permute negative": (lambda x: F.permute(x, (-1, 0, 1)), lambda x: x.transpose(2, 0, 1), (2, 3, 4)),
    "transpose": (lambda x: F.transpose(x, 0, -1), lambda x: x.swapaxes(0, 2), (2, 3, 4)),
    "expand": (lambda x: F.expand(x, 2, -1, 4), lambda x: np.broadcast_to(x, (2, 3, 4)), (3, 1)),
    "expand a number": (lambda x: F.expand(x, 2, 3), lambda x: np.broadcast_to(x, (2, 3)), ()),
    "sum_to": (lambda x: sum_to(x, (3, 1)), lambda x: x.sum((0, 2), float).reshape(3, 1).astype(x.dtype), (2, 3, 4)),
    "index": (lambda x: F.index(x, 1), lambda x: x[1], (3, 4)),
    "slices": (lambda x: F.index(x, (slice(None, None, -2), ..., None)), lambda x: x[::-2, ..., None], (3, 4)),
    "repeated indices": (lambda x: F.index(x, [2, 0, 2]), lambda x: x[[2, 0, 2]], (3, 4)),
    "a tensor as index": (lambda x: F.index(x, Tensor([1, -1])), lambda x: x[[1, -1]], (3, 4)),
    "two indices": (lambda x: F.index(x, ([0, 0, 2], [1, 1, 3])), lambda x: x[[0, 0, 2], [1, 1, 3]], (3, 4)),
    "a mask": (lambda x: F.index(x, MASK), lambda x: x[MASK], (3, 4)),
    "cat": (lambda x: F.cat([x, 2 * x, x[:, :1]], 1), lambda x: np.concatenate([x, 2 * x, x[:, :1]], 1), (3, 4)),
    "cat at the end": (lambda x: F.cat([x, x], axis=-1), lambda x: np.concatenate([x, x], -1), (3, 4)),
    "stack": (lambda x: F.stack([x, 3 * x], 1), lambda x: np.stack([x, 3 * x], 1), (3, 4)),
    "stack at the end": (lambda x: F.stack([x, x], axis=-1), lambda x: np.stack([x, x], -1), (3, 4)),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3)), lambda x: np.pad(x, ((0, 0), (0, 3), (1, 2))), (2, 3, 4)),
    "crop": (lambda x: F.pad(x, (-1, 2, 1, -2)), lambda x: np.pad(x[:, :1, 1:], ((0, 0), (1, 0), (0, 2))), (2, 3, 4)),
}
each_map = pytest.mark.parametrize("name", LINEAR)


@each_map
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_dtype(name: str, dtype: Any, rng: np.random.Generator) -> None:
    f, wanted, shape = LINEAR[name]
    x = np.asarray(rng.standard_normal(shape)).astype(dtype)
    leaf = Tensor(x, requires_grad=True)
    y = f(leaf)
    np.testing.assert_array_equal(y.data, wanted(x))
    np.testing.assert_array_equal(f(x), wanted(x))
    (g,) = grad(y, leaf, np.ones(y.shape))
    assert type(y.data) is type(g.data) is type(f(x)) is np.ndarray
    assert y.dtype == g.dtype == dtype
    assert g.shape == shape


@each_map
def test_gradients_are_adjoints(name: str, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    f, _, shape = LINEAR[name]
    x = np.asarray(rng.standard_normal(shape))
    leaf = Tensor(x, requires_grad=True)
    y = f(leaf)
    u = rng.standard_normal(y.shape)
    assert np.vdot(y.data, u) == pytest.approx(np.vdot(x, grad(y, leaf, u)[0].data), rel=1e-13)
    derivatives(lambda x: F.clone(f(x)), x, steps=(1.0,))
    derivatives(lambda x: f(x) ** 3, x)


def test_zero_sizes() -> None:
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    y = F.cat([F.flatten(F.reshape(x, 0, 1, 3), 1), x * 2])
    assert y.shape == (0, 3)
    assert grad(y, x, y.detach())[0].shape == (0, 3)
    assert F.pad(x, (1, 1)).shape == (0, 5)
    assert F.expand(x[:, :1], 0, 4).shape == (0, 4)
    assert x[[]].shape == (0, 3)


def test_reshapes_share_memory_and_cat_does_not() -> None:
    x = np.arange(6.0)
    for y in (F.reshape(x, 2, 3), F.transpose(F.reshape(x, 2, 3), 0, 1), F.index(x, slice(1, 3)), F.expand(x, 2, 6)):
        assert np.shares_memory(x, y)
    assert not np.shares_memory(x, F.cat([x]))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (
            lambda x: F.reshape(x, 5, 2),
            ValueError,
            r"reshape: shape \(2, 3\) has 6 elements.* fill \(5, 2\)",
        ),
        (lambda x: F.reshape(x, 2.0, 3), TypeError, "reshape: sizes must be ints"),
        (lambda x: F.flatten(x, 1, 0), ValueError, "start_dim 1 comes after end_dim 0"),
        (lambda x: F.flatten(x, 2), IndexError, r"flatten: dim 2 is out of range for 2 dimensions \(-2 to 1\)"),
        (lambda x: F.unsqueeze(x, 3), IndexError, "unsqueeze: dim 3 is out of range for 3 dimensions"),
        (lambda x: F.squeeze(x, "0"), TypeError, "squeeze: dim must be an int"),
        (lambda x: F.sum(x, Tensor(1.0)), TypeError, "sum: dim must be an int"),
        (lambda x: F.reshape(x, Tensor([1.0, 2.0]), 3), TypeError, "reshape: sizes must be ints"),
        (lambda x: F.permute(x, 0), ValueError, r"permute: dims \(0,\) must name each of the 2 axes once"),
        (lambda x: F.permute(x, 0, 0), ValueError, "must name each"),
        (lambda x: F.transpose(x, 0, 2), IndexError, "transpose: dim 2"),
        (lambda x: F.expand(x, 3, 3), ValueError, r"expand: shape \(2, 3\) does not broadcast to \(3, 3\)"),
        (lambda x: F.expand(x, -1, 2, 3), ValueError, "-1 keeps the size of an axis"),
        (lambda x: F.index(x, 2), IndexError, r"indexing an array of shape \(2, 3\): index 2 is out of bounds"),
        (lambda x: F.cat([]), ValueError, "cat: needs at least one tensor"),
        (lambda x: F.cat([x, np.ones((3, 3))], 1), ValueError, "along dim 1 all other sizes must agree"),
        (lambda x: F.cat([x, np.ones(3)]), ValueError, "all other sizes must agree"),
        (lambda x: F.stack([x, np.ones((2, 4))]), ValueError, r"stack: all shapes must be equal.*cat\(\)"),
        (lambda x: F.stack([]), ValueError, "needs at least one tensor"),
        (lambda x: F.pad(x, (1,)), ValueError, r"pad: pad must hold a pair for each of at most 2 axes, got \(1,\)"),
        (lambda x: F.pad(x, (0, 0) * 3), ValueError, "at most 2 axes"),
        (lambda x: F.pad(x, (-2, -2)), ValueError, "would leave an axis of size 3"),
        (lambda x: F.pad(x, (1, 1), "reflect"), NotImplementedError, "mode 'reflect' is not implemented"),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    for x in (np.ones((2, 3)), Tensor(np.ones((2, 3)), requires_grad=True)):
        with pytest.raises(error_type, match=message):
            call(x)


def test_agrees_with_torch(rng: np.random.Generator, torch: Any) -> None:
    array = rng.standard_normal((2, 3, 4))
    calls: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda x: F.flatten(x, 1), lambda x: torch.flatten(x, 1)),
        (lambda x: F.transpose(x, 0, 1), lambda x: torch.transpose(x, 0, 1)),
        (lambda x: F.permute(x, 2, 0, 1), lambda x: torch.permute(x, (2, 0, 1))),
        (lambda x: F.pad(x, (1, 2, -1, 3)), lambda x: torch.nn.functional.pad(x, (1, 2, -1, 3))),
        (lambda x: F.expand(F.unsqueeze(x, 1), -1, 5, -1, -1), lambda x: x.unsqueeze(1).expand(-1, 5, -1, -1)),
        (lambda x: F.stack([x, x], -1), lambda x: torch.stack([x, x], -1)),
        (lambda x: x[1, [0, 0, 2], ::2], lambda x: x[1, [0, 0, 2], ::2]),
    ]
    for ours, theirs in calls:
        x, t = Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, z = ours(x), theirs(t)
        np.testing.assert_array_equal(y.data, z.detach().numpy())
        u = rng.standard_normal(y.shape)
        y.backward(u)
        z.backward(torch.tensor(u))
        np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-12)
