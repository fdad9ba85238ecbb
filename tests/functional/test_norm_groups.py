from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F

CALLS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "layer_norm": (lambda x, w=None, b=None: F.layer_norm(x, (2, 5), w, b), (3, 4, 2, 5), (2, 5)),
    "layer_norm-1": (lambda x, w=None, b=None: F.layer_norm(x, 6, w, b), (5, 6), (6,)),
    "group_norm": (lambda x, w=None, b=None: F.group_norm(x, 3, w, b), (2, 6, 3, 2), (6,)),
    "group_norm-1": (lambda x, w=None, b=None: F.group_norm(x, 2, w, b), (3, 8), (8,)),
    "instance_norm": (lambda x, w=None, b=None: F.instance_norm(x, None, None, w, b), (2, 3, 4, 5), (3,)),
    "instance_norm-1": (lambda x, w=None, b=None: F.instance_norm(x, None, None, w, b), (2, 3, 7), (3,)),
}
each_call = pytest.mark.parametrize("name", CALLS)


def drawn(name: str, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    _, shape, channels = CALLS[name]
    return rng.standard_normal(shape), rng.standard_normal(channels) + 2, rng.standard_normal(channels)


@each_call
def test_derivatives(
    name: str, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    f, arrays = CALLS[name][0], drawn(name, rng)
    derivatives(f, *arrays)
    derivatives(f, arrays[0])
    both_orders(f, *arrays)


@each_call
def test_arrays_give_arrays_and_float32_stays(name: str, rng: np.random.Generator) -> None:
    x, w, b = (a.astype(np.float32) for a in drawn(name, rng))
    y = CALLS[name][0](x, w, b)
    assert type(y) is np.ndarray
    assert y.dtype == np.float32
    assert y.shape == x.shape


def test_statistics_are_those_of_the_group(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 6, 3, 4)) * 7 + 5
    for y, axes in (
        (F.layer_norm(x, (3, 4), eps=0.0), (2, 3)),
        (F.group_norm(x, 2, eps=0.0).reshape(2, 2, 3, 3, 4), (2, 3, 4)),
        (F.instance_norm(x, eps=0.0), (2, 3)),
    ):
        np.testing.assert_allclose(y.mean(axes), 0, atol=1e-13)
        np.testing.assert_allclose(y.var(axes), 1, rtol=1e-12)


def test_group_norm_lies_between_layer_norm_and_instance_norm(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 6, 3, 4))
    np.testing.assert_allclose(F.group_norm(x, 1), F.layer_norm(x, (6, 3, 4)), rtol=1e-12)
    np.testing.assert_allclose(F.group_norm(x, 6), F.instance_norm(x), rtol=1e-12)


def test_an_image_does_not_depend_on_the_others(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 6, 3, 2)).astype(np.float32)
    for f in (lambda x: F.group_norm(x, 3), F.instance_norm, lambda x: F.layer_norm(x, (3, 2))):
        np.testing.assert_array_equal(f(x)[2:3], f(x[2:3]))


def test_running_statistics_of_instance_norm(rng: np.random.Generator, torch: Any) -> None:
    x = rng.standard_normal((3, 2, 4, 5)) * 2 + 1
    mean, var = np.zeros(2), np.ones(2)
    theirs = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    y = F.instance_norm(x, mean, var, momentum=0.3)
    z = torch.nn.functional.instance_norm(torch.tensor(x), *theirs, momentum=0.3)
    np.testing.assert_allclose(y, z.numpy(), rtol=1e-11)
    np.testing.assert_allclose(mean, theirs[0].numpy(), rtol=1e-11)
    np.testing.assert_allclose(var, theirs[1].numpy(), rtol=1e-11)
    y = F.instance_norm(x, mean, var, use_input_stats=False)
    z = torch.nn.functional.instance_norm(torch.tensor(x), *theirs, use_input_stats=False)
    np.testing.assert_allclose(y, z.numpy(), rtol=1e-11)


@each_call
def test_empty_batch(name: str) -> None:
    f, shape, channels = CALLS[name]
    leaves = [Tensor(np.zeros(s, np.float64), requires_grad=True) for s in ((0, *shape[1:]), channels, channels)]
    for create_graph in (False, True):
        gradients = grad(f(*leaves), leaves, np.zeros(leaves[0].shape), create_graph=create_graph)
        assert [g.shape for g in gradients] == [x.shape for x in leaves]
        assert not gradients[1].data.any()


def test_agrees_with_torch(rng: np.random.Generator, torch: Any, same_as_torch: Callable[..., None]) -> None:
    theirs = torch.nn.functional
    for _ in range(50):
        groups, per_group, batch = rng.integers(1, 4, 3).tolist()
        shape = batch, groups * per_group, *rng.integers(2, 5, rng.integers(1, 4)).tolist()
        last = shape[-rng.integers(1, len(shape)) :]
        x, (w, b), (v, c) = rng.normal(size=shape), rng.normal(size=(2, shape[1])), rng.normal(size=(2, *last))
        same_as_torch(partial(grouped, F.group_norm, groups), partial(grouped, theirs.group_norm, groups), x, w, b)
        same_as_torch(partial(instances, F.instance_norm), partial(instances, theirs.instance_norm), x, w, b)
        same_as_torch(partial(grouped, F.layer_norm, last), partial(grouped, theirs.layer_norm, last), x, v, c)


def grouped(op: Callable[..., Any], groups: Any, x: Any, w: Any, b: Any) -> Any:
    return op(x, groups, w, b, 1e-3)


def instances(op: Callable[..., Any], x: Any, w: Any, b: Any) -> Any:
    return op(x, None, None, w, b, eps=1e-3)


X = np.ones((2, 6, 3))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.layer_norm(X, (6,)), ValueError, r"layer_norm: the input must end in normalized_shape \(6,\)"),
        (lambda: F.layer_norm(X, ()), ValueError, "at least one axis"),
        (lambda: F.layer_norm(X, 3, np.ones(2)), ValueError, r"layer_norm: weight must have shape \(3,\).*\(2,\)"),
        (lambda: F.layer_norm(X, 3, bias=np.ones(6)), ValueError, r"bias must have shape \(3,\)"),
        (lambda: F.layer_norm(X.astype(int), 3), TypeError, "layer_norm: needs float32 or float64"),
        (lambda: F.layer_norm(X, 3, eps=-1.0), ValueError, "eps .* must be at least 0, got -1"),
        (lambda: F.group_norm(X, 4), ValueError, "group_norm: .* C divisible by num_groups = 4"),
        (lambda: F.group_norm(X, 0), ValueError, "num_groups must be at least 1, got 0"),
        (lambda: F.group_norm(np.ones(6), 2), ValueError, r"needs an input \(N, C, ...\)"),
        (lambda: F.group_norm(X, 2, np.ones(2)), ValueError, r"weight must have shape \(6,\)"),
        (lambda: F.group_norm(X, 2, np.ones(6, np.float32)), TypeError, "input float64, weight float32"),
        (lambda: F.group_norm(np.ones((1, 6)), 6), ValueError, "more than one value.*Use fewer groups"),
        (lambda: F.instance_norm(np.ones((2, 6))), ValueError, r"instance_norm: needs shape \(N, C, L\)"),
        (lambda: F.instance_norm(np.ones((2, 6, 1))), ValueError, "more than one value"),
        (lambda: F.instance_norm(X, np.ones(3)), ValueError, r"running_mean must have shape \(6,\)"),
        (lambda: F.instance_norm(X, use_input_stats=False), ValueError, "the running statistics are needed"),
        (lambda: F.instance_norm(X, np.ones(6, np.float32)), TypeError, "running_mean float32"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()
