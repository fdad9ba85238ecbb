from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, no_grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 3), (2, 3, 1, 2, 3)]


def parameters(rng: np.random.Generator, channels: int = 3) -> tuple[np.ndarray, ...]:
    """(running_mean, running_var, weight, bias)"""
    mean, var, weight, bias = rng.standard_normal((4, channels))
    return mean, var**2 + 0.5, weight + 2, bias


def train(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return F.batch_norm(x, None, None, weight, bias, True, eps=eps)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_value_and_gradients_are_the_references(shape: Any, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x, u = (3 + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    mean, var, weight, bias = (a.astype(dtype) for a in parameters(rng))
    leaves = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = train(*leaves)
    statistics = reference.batch_norm_statistics(x)
    assert y.dtype == dtype
    assert error(y.data, reference.batch_norm(x, weight, bias, *statistics, 1e-5)) <= bound
    wanted = reference.batch_norm_grad(u, x, weight, *statistics, 1e-5)
    for g, ref, leaf in zip(grad(y, leaves, u), wanted, leaves, strict=True):
        assert g.dtype == dtype
        assert g.shape == leaf.shape
        assert error(g.data, ref) <= bound
    z = F.batch_norm(x, mean, var, weight, bias)
    assert type(z) is np.ndarray
    assert error(z, reference.batch_norm(x, weight, bias, mean, var, 1e-5)) <= bound


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_in_training(
    shape: Any, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x, (_, _, weight, bias) = rng.standard_normal(shape), parameters(rng)
    derivatives(train, x, weight, bias)
    derivatives(train, x)
    both_orders(train, x, weight, bias)


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_with_running_statistics(
    shape: Any, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x, (mean, var, weight, bias) = rng.standard_normal(shape), parameters(rng)

    def evaluate(x: Any, weight: Any = None, bias: Any = None) -> Any:
        return F.batch_norm(x, mean.astype(x.dtype), var.astype(x.dtype), weight, bias)

    derivatives(evaluate, x, weight, bias, steps=(1.0,))
    derivatives(lambda x: evaluate(x) ** 3, x)
    both_orders(evaluate, x, weight, bias)


def test_the_gradient_has_no_mean_and_nothing_along_the_input(rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((2, 5, 3, 4))
    leaf = Tensor(x, requires_grad=True)
    (g,) = grad(train(leaf, eps=0.0), leaf, u)
    np.testing.assert_allclose(g.data.sum((0, 2)), 0, atol=1e-13)
    np.testing.assert_allclose((g.data * x).sum((0, 2)), 0, atol=1e-13)


@pytest.mark.parametrize("wrap", [np.array, Tensor])
def test_running_statistics_move_to_the_unbiased_variance(wrap: Any) -> None:
    mean, var = wrap(np.zeros(1)), wrap(np.ones(1))
    x = np.array([[1.0], [3.0]])
    F.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(np.asarray(mean), 0.2, rtol=1e-15)
    np.testing.assert_allclose(np.asarray(var), 1.1, rtol=1e-15)
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    np.testing.assert_allclose(np.asarray(mean), 1.1, rtol=1e-15)
    np.testing.assert_allclose(np.asarray(var), 1.55, rtol=1e-15)
    F.batch_norm(x, mean, var)
    np.testing.assert_allclose(np.asarray(mean), 1.1, rtol=1e-15)
    with no_grad():
        F.batch_norm(Tensor(x, requires_grad=True), mean, training=True, momentum=1.0)
    np.testing.assert_allclose(np.asarray(mean), 2, rtol=1e-15)


def test_a_running_statistic_that_moves_before_backward_is_noticed(rng: np.random.Generator) -> None:
    mean, var, _, _ = (Tensor(a) for a in parameters(rng))
    x = Tensor(rng.standard_normal((4, 3)), requires_grad=True)
    y = F.batch_norm(x, mean, var)
    F.batch_norm(x, mean, var, training=True)
    with pytest.raises(RuntimeError, match=r"BatchNormFixed: its input 'var' .* was written in place"):
        y.sum().backward()


def test_statistics_are_exact_far_from_zero(rng: np.random.Generator) -> None:
    noise = rng.standard_normal((64, 2, 10))
    x = (noise + 10_000).astype(np.float32)
    y = train(x, eps=0.0)
    wanted = reference.batch_norm(x, np.ones(2), np.zeros(2), *reference.batch_norm_statistics(x), 0.0)
    assert error(y, wanted) <= 1e-6
    leaf, u = Tensor(x, requires_grad=True), rng.standard_normal(x.shape)
    fused, formula = (grad(train(leaf, eps=0.0), leaf, u, create_graph=c)[0].data for c in (False, True))
    assert error(formula, fused) <= 1e-6


def test_running_statistics_are_constants(rng: np.random.Generator) -> None:
    mean, var, _, _ = (Tensor(a, requires_grad=True) for a in parameters(rng))
    with pytest.raises(TypeError, match="no derivative with respect to its input 'mean'"):
        F.batch_norm(Tensor(rng.standard_normal((4, 3))), mean, var)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 4), (2, 3, 0)])
def test_nothing_to_normalise(shape: Any, training: bool, rng: np.random.Generator) -> None:
    running = parameters(rng)[:2]
    before = [a.copy() for a in running]
    leaves = [Tensor(np.ones(s, np.float64), requires_grad=True) for s in (shape, 3, 3)]
    y = F.batch_norm(leaves[0], *running, *leaves[1:], training)
    assert y.shape == shape
    for g, leaf in zip(grad(y, leaves, np.zeros(shape)), leaves, strict=True):
        assert g.shape == leaf.shape
        assert not g.data.any()
    for a, b in zip(running, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_scale_costs_nothing_and_gets_nothing(rng: np.random.Generator) -> None:
    x, weight = Tensor(rng.standard_normal((4, 3)), requires_grad=True), Tensor(np.full(3, 2.0))
    y = train(x, weight)
    y.backward(rng.standard_normal((4, 3)))
    assert weight.grad is None
    assert x.grad is not None


@pytest.mark.parametrize("scalar", [np.float32, np.longdouble, Tensor])
def test_any_float_is_an_eps(scalar: Any, rng: np.random.Generator) -> None:
    x, u = Tensor(rng.standard_normal((4, 3, 5)), requires_grad=True), rng.standard_normal((4, 3, 5))
    found, wanted = (grad(train(x, eps=eps), x, u)[0].data for eps in (scalar(0.5), 0.5))
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: np.repeat(x, 2, 0)[::2]])
def test_any_layout_gives_the_same_bits(layout: Any, rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((2, 4, 3, 5, 2)).astype(np.float32)
    plain, other = Tensor(x, requires_grad=True), Tensor(layout(x), requires_grad=True)
    (y, z) = train(plain), train(other)
    np.testing.assert_array_equal(y.data, z.data)
    np.testing.assert_array_equal(grad(y, plain, u)[0].data, grad(z, other, layout(u))[0].data)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: train(np.ones((1, 3))), ValueError, r"more than one value.*input \(1, 3\) has one"),
        (lambda: train(np.ones((1, 3, 1, 1))), ValueError, "more than one value"),
        (lambda: train(np.ones(3)), ValueError, r"batch_norm: needs shape \(N, C\).*got \(3,\)"),
        (lambda: F.batch_norm(np.ones((2, 3))), ValueError, "running_mean and running_var are needed"),
        (lambda: train(np.ones((2, 3)), np.ones(2)), ValueError, r"weight must have shape \(3,\).*got \(2,\)"),
        (lambda: train(np.ones((2, 3)), np.ones(3, np.float32)), TypeError, "input float64, weight float32"),
        (lambda: train(np.ones((2, 3), int)), TypeError, "needs float32 or float64"),
        (lambda: train(np.ones((2, 3)), eps=-1.0), ValueError, "eps .* must be at least 0, got -1"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_agrees_with_torch(shape: Any, training: bool, rng: np.random.Generator, torch: Any) -> None:
    x, u, v = rng.standard_normal((3, *shape))
    arrays = parameters(rng)
    ours = [Tensor(a.copy(), requires_grad=i > 1) for i, a in enumerate(arrays)]
    theirs = [torch.tensor(a, requires_grad=i > 1) for i, a in enumerate(arrays)]
    leaf, t = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = F.batch_norm(leaf, *ours, training, 0.3, 1e-3)
    z = torch.nn.functional.batch_norm(t, *theirs, training, 0.3, 1e-3)
    for a, b in zip([y, *ours[:2]], [z, *theirs[:2]], strict=True):
        assert error(a.data, b.detach().numpy()) <= 1e-12
    first = grad(y, [leaf, *ours[2:]], Tensor(u), create_graph=True)
    wanted = torch.autograd.grad(z, [t, *theirs[2:]], torch.tensor(u), create_graph=True)
    for a, b in zip(first, wanted, strict=True):
        assert error(a.data, b.detach().numpy()) <= 1e-12
    if training:
        second, other = grad(first[0], leaf, v), torch.autograd.grad(wanted[0], t, torch.tensor(v))
        assert error(second[0].data, other[0].numpy()) <= 1e-10
