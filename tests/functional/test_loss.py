from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

C = 4
SHAPES = [(5, C), (3, C, 2), (2, C, 3, 2)]
CASES = list(product(SHAPES, ("mean", "sum", "none"), (False, True), (0.0, 0.3)))
each_case = pytest.mark.parametrize(("shape", "reduction", "weighted", "smoothing"), CASES)


def draw(rng: np.random.Generator, shape: Any, weighted: bool, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    """Scores, labels of which one is ignored (-100), and weights."""
    x = (2 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(0, C, (shape[0], *shape[2:]))
    target.flat[1] = -100
    return x, target, rng.uniform(0.5, 2, C).astype(dtype) if weighted else None


# --- labels ------------------------------------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_cross_entropy_is_the_references(
    shape: Any, reduction: str, weighted: bool, smoothing: float, dtype: Any, bound: float, rng: np.random.Generator
) -> None:
    x, target, weight = draw(rng, shape, weighted, dtype)
    arguments = (weight, -100, reduction, smoothing)
    leaf = Tensor(x, requires_grad=True)
    y = F.cross_entropy(leaf, target, *arguments)
    assert error(y.data, reference.cross_entropy(x, target, *arguments)) <= bound
    u = np.asarray(rng.standard_normal(y.shape)).astype(dtype)
    (g,) = grad(y, leaf, u)
    assert type(y.data) is type(g.data) is np.ndarray
    assert y.dtype == g.dtype == dtype
    assert error(g.data, reference.cross_entropy_grad(u, x, target, *arguments)) <= bound


@each_case
def test_cross_entropy_derivatives(
    shape: Any,
    reduction: str,
    weighted: bool,
    smoothing: float,
    rng: np.random.Generator,
    derivatives: Callable[..., None],
    both_orders: Callable[..., None],
) -> None:
    x, target, weight = draw(rng, shape, weighted)

    def loss(x: Any) -> Any:
        w = None if weight is None else weight.astype(x.dtype)
        return F.cross_entropy(x, target, w, -100, reduction, smoothing)

    if shape == SHAPES[1]:  # the others differ only in their reshape
        derivatives(loss, x)
    both_orders(loss, x)


@pytest.mark.parametrize(("shape", "reduction", "weighted"), list(product(SHAPES, ("mean", "sum", "none"), (0, 1))))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nll_loss(
    shape: Any,
    reduction: str,
    weighted: bool,
    dtype: Any,
    rng: np.random.Generator,
    derivatives: Callable[..., None],
    both_orders: Callable[..., None],
) -> None:
    x, target, weight = draw(rng, shape, weighted, dtype)
    y = F.nll_loss(x, target, weight, -100, reduction)
    assert y.dtype == dtype
    assert error(y, reference.nll_loss(x, target, weight, -100, reduction)) <= 1e-6

    def loss(x: Any) -> Any:
        return F.nll_loss(x, target, None if weight is None else weight.astype(x.dtype), -100, reduction)

    if dtype == np.float64:
        derivatives(loss, x, steps=(1.0,))
        derivatives(lambda x: loss(F.log_softmax(x, 1)), x)
        both_orders(loss, x)


def test_the_two_spellings_agree(rng: np.random.Generator) -> None:
    x, target, weight = draw(rng, (5, C), True)
    wanted = F.nll_loss(F.log_softmax(x, 1), target, weight)
    np.testing.assert_allclose(F.cross_entropy(x, target, weight), wanted, rtol=1e-14)


def test_mean_divides_by_the_weights_that_count() -> None:
    x, weight = np.zeros((3, 2)), np.array([1.0, 3.0])
    y = F.cross_entropy(x, np.array([0, 1, 7]), weight, ignore_index=7)
    assert float(y) == pytest.approx(np.log(2), rel=1e-15)
    assert F.cross_entropy(x, np.array([0, 1, 7]), weight, 7, "none").tolist() == pytest.approx(
        [np.log(2), 3 * np.log(2), 0]
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("create_graph", [False, True])
def test_all_ignored_gives_nan_and_no_gradient(smoothing: float, create_graph: bool) -> None:
    x = Tensor(np.ones((3, C)), requires_grad=True)
    y = F.cross_entropy(x, np.full(3, -100), label_smoothing=smoothing)
    assert np.isnan(y.item())
    assert grad(y, x, create_graph=create_graph)[0].tolist() == [[0] * C] * 3
    z = F.nll_loss(x, np.full(3, 2), ignore_index=2)
    assert np.isnan(z.item())
    assert grad(z, x, create_graph=create_graph)[0].tolist() == [[0] * C] * 3
    assert F.cross_entropy(x, np.full(3, -100), reduction="sum").item() == 0


@pytest.mark.parametrize("ignored", [-1, 1, 250])
def test_any_label_can_be_ignored(ignored: int, rng: np.random.Generator) -> None:
    x, target = rng.standard_normal((4, C)), np.array([0, ignored, 3, 2])
    wanted = F.cross_entropy(x[[0, 2, 3]], target[[0, 2, 3]], label_smoothing=0.1)
    np.testing.assert_allclose(F.cross_entropy(x, target, None, ignored, "mean", 0.1), wanted, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_scores_stay_finite(dtype: Any) -> None:
    array = np.array([[1e4, -1e4, 0], [-np.inf, 0.0, -np.inf]], dtype)
    x = Tensor(array, requires_grad=True)
    y = F.cross_entropy(x, np.array([0, 1]), reduction="none")
    assert y.tolist() == [0, 0]
    assert grad(y.sum(), x)[0].tolist() == [[0] * 3] * 2
    assert F.cross_entropy(array[:1], np.array([1])).item() == 2e4


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
def test_labels_of_any_integer_type(dtype: Any, rng: np.random.Generator) -> None:
    x, target = rng.standard_normal((3, C)), np.array([3, 0, 1])
    for f in (F.cross_entropy, F.nll_loss):
        assert f(x, target.astype(dtype)) == f(x, target)
        assert isinstance(f(x, Tensor(target.astype(dtype))), Tensor)


def test_a_single_sample_has_no_batch(rng: np.random.Generator) -> None:
    x, p = rng.standard_normal(C), np.full(C, 1 / C)
    for reduction in ("mean", "sum", "none"):
        y = F.cross_entropy(x, np.array(2), reduction=reduction)
        assert y.shape == ()
        np.testing.assert_allclose(y, F.cross_entropy(x[None], np.array([2])), rtol=1e-15)
        assert F.nll_loss(x, 2, reduction=reduction) == -x[2]
        assert F.cross_entropy(x, p, reduction=reduction).shape == ()


def test_no_samples() -> None:
    x = Tensor(np.zeros((0, C), np.float32), requires_grad=True)
    none = np.zeros(0, np.int64)
    assert np.isnan(F.cross_entropy(x, none).item())
    assert F.cross_entropy(x, none, reduction="none").shape == (0,)
    y = F.cross_entropy(x, none, reduction="sum")
    assert y.item() == 0
    assert grad(y, x)[0].shape == (0, C)
    assert F.nll_loss(x, none, reduction="sum").item() == 0
    for loss in (F.cross_entropy, F.nll_loss):
        assert grad(loss(x, none, Tensor(np.ones(C, np.float32))), x, create_graph=True)[0].shape == (0, C)
    assert np.isnan(F.mse_loss(x, x.detach()).item())


def test_labels_written_before_backward_are_noticed(rng: np.random.Generator) -> None:
    x, target = Tensor(rng.standard_normal((3, C)), requires_grad=True), Tensor([0, 1, 2])
    y = F.cross_entropy(x, target)
    target[0] = 3
    with pytest.raises(RuntimeError, match=r"its input 'target' .* was written in place"):
        y.backward()


def test_any_layout_gives_the_same_bits(rng: np.random.Generator) -> None:
    x, target, weight = draw(rng, (3, C, 2, 3), True, np.float32)
    other = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        F.cross_entropy(other, np.asfortranarray(target), np.repeat(weight, 2)[::2], reduction="none"),
        F.cross_entropy(x, target, weight, reduction="none"),
    )


# --- probabilities -----------------------------------------------------------------------------------------------


@each_case
def test_cross_entropy_of_probabilities(
    shape: Any, reduction: str, weighted: bool, smoothing: float, rng: np.random.Generator
) -> None:
    x, _, weight = draw(rng, shape, weighted)
    p = rng.uniform(0.1, 1, shape)
    p /= p.sum(1, keepdims=True)
    arguments = (weight, -100, reduction, smoothing)
    leaf = Tensor(x, requires_grad=True)
    y = F.cross_entropy(leaf, p, *arguments)
    u = np.asarray(rng.standard_normal(y.shape))
    assert error(y.data, reference.cross_entropy(x, p, *arguments)) <= 1e-13
    assert error(grad(y, leaf, u)[0].data, reference.cross_entropy_grad(u, x, p, *arguments)) <= 1e-13
    single = F.cross_entropy(x.astype(np.float32), p.astype(np.float32), reduction=reduction)
    assert single.dtype == np.float32


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_probabilities_have_derivatives_too(
    reduction: str, rng: np.random.Generator, derivatives: Callable[..., None]
) -> None:
    x, p, weight = rng.standard_normal((2, C, 3)), rng.uniform(0.1, 1, (2, C, 3)), rng.uniform(0.5, 2, C)
    derivatives(lambda x, p: F.cross_entropy(x, p, weight, reduction=reduction, label_smoothing=0.2), x, p)


def test_one_hot_integers_are_told_from_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\), got \(3, 4\); .* one-hot .* argmax\(1\)"):
        F.cross_entropy(np.zeros((3, 4)), np.eye(4, dtype=np.int64)[:3])
    with pytest.raises(ValueError, match=r"got \(3, 1\); reshape\(\) or squeeze\(\)"):
        F.cross_entropy(np.zeros((3, 4)), np.zeros((3, 1), np.int64))


def test_one_hot_probabilities_are_labels(rng: np.random.Generator) -> None:
    x, target = rng.standard_normal((5, C)), np.array([3, 0, 1, 1, 2])
    p = F.one_hot(target, C).astype(np.float64)
    for e in (0.0, 0.1):
        np.testing.assert_allclose(
            F.cross_entropy(x, p, label_smoothing=e), F.cross_entropy(x, target, label_smoothing=e), rtol=1e-14
        )


# --- squares ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_mse_loss(
    reduction: str,
    shape: Any,
    rng: np.random.Generator,
    derivatives: Callable[..., None],
    both_orders: Callable[..., None],
) -> None:
    x, target = np.asarray(rng.standard_normal(shape)), np.asarray(rng.standard_normal(shape))
    y = F.mse_loss(x, target, reduction)
    assert error(y, reference.mse_loss(x, target, reduction)) <= 1e-14
    derivatives(lambda x, t: F.mse_loss(x, t, reduction), x, target)
    both_orders(lambda x, t: F.mse_loss(x, t, reduction), x, target)


# --- errors ------------------------------------------------------------------------------------------------------

ZEROS = np.zeros((2, 3))


@pytest.mark.parametrize("f", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("label", [3, -1, 50, 2**40])
def test_a_label_out_of_range_is_named(f: Any, label: int) -> None:
    message = rf"label {label} at position \(1,\) is out of range: with 3 classes labels go from 0 to 2 \(or -100"
    with pytest.raises(IndexError, match=message):
        f(ZEROS, np.array([0, label]))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.cross_entropy(ZEROS, np.array([0.0, 1.0])), TypeError, "labels must be integers, or be prob.*float"),
        (lambda: F.nll_loss(ZEROS, ZEROS), TypeError, "labels must be integers; got float64"),
        (lambda: F.nll_loss(ZEROS, np.array([True, False])), TypeError, "labels must be integers, got bool"),
        (lambda: F.cross_entropy(ZEROS, np.array([[0], [1]])), ValueError, r"shape \(2,\), got \(2, 1\)"),
        (lambda: F.cross_entropy(np.zeros((2, 3, 4)), np.array([0, 1])), ValueError, r"shape \(2, 4\), got \(2,\)"),
        (lambda: F.cross_entropy(np.zeros((2, 0)), np.array([0, 1])), ValueError, "C >= 1"),
        (lambda: F.cross_entropy(np.array(1.0), 0), ValueError, r"got \(\)"),
        (lambda: F.cross_entropy(ZEROS, [0, 1], np.ones(2)), ValueError, r"weight must be \(3,\).*got \(2,\)"),
        (lambda: F.cross_entropy(ZEROS, [0, 1], np.ones(3, np.float32)), TypeError, "input float64, weight float32"),
        (lambda: F.cross_entropy(ZEROS, ZEROS.astype(np.float32)), TypeError, "input float64, target float32"),
        (lambda: F.cross_entropy(ZEROS, ZEROS, ignore_index=1), ValueError, "ignore_index 1 is a label"),
        (
            lambda: F.nll_loss(ZEROS, [0, 1], ignore_index=1.5),
            TypeError,
            "nll_loss: ignore_index must be an int, got 1.5",
        ),
        (lambda: F.nll_loss(ZEROS, [0, 1], ignore_index=None), TypeError, "nll_loss: ignore_index must be an int"),
        (lambda: F.cross_entropy(ZEROS, [0, 1], label_smoothing=1.5), ValueError, "from 0 to 1, got 1.5"),
        (lambda: F.cross_entropy(ZEROS, [0, 1], reduction="avg"), ValueError, "'mean', 'sum' or 'none', got 'avg'"),
        (lambda: F.cross_entropy(np.zeros((2, 3), int), [0, 1]), TypeError, "cross_entropy: needs float32 or float64"),
        (lambda: F.mse_loss(np.ones((3, 1)), np.ones(3)), ValueError, r"\(3, 1\) and target \(3,\).*broadcasting"),
        (lambda: F.mse_loss(np.ones(3), np.ones(3, np.float32)), TypeError, "input float64, target float32"),
        (lambda: F.mse_loss(np.ones(3), np.ones(3), "max"), ValueError, "mse_loss: reduction"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


def test_weights_are_constants(rng: np.random.Generator) -> None:
    x, target, weight = draw(rng, (3, C), True)
    with pytest.raises(TypeError, match="no derivative with respect to its input 'weight'"):
        F.cross_entropy(x, target, Tensor(weight, requires_grad=True))


# --- torch -------------------------------------------------------------------------------------------------------


@each_case
def test_agrees_with_torch(
    shape: Any, reduction: str, weighted: bool, smoothing: float, rng: np.random.Generator, torch: Any
) -> None:
    x, target, weight = draw(rng, shape, weighted)
    p = np.asarray(reference.softmax(rng.standard_normal(shape), 1))
    w = None if weight is None else torch.tensor(weight)
    for labels in (target, p):
        leaf, t = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = F.cross_entropy(leaf, labels, weight, -100, reduction, smoothing)
        z = torch.nn.functional.cross_entropy(
            t, torch.tensor(labels), w, reduction=reduction, label_smoothing=smoothing
        )
        assert error(y.data, z.detach().numpy()) <= 1e-13
        u, v = np.asarray(rng.standard_normal(y.shape)), rng.standard_normal(shape)
        (g,) = grad(y, leaf, Tensor(u), create_graph=True)
        (h,) = torch.autograd.grad(z, t, torch.tensor(u), create_graph=True)
        assert error(g.data, h.detach().numpy()) <= 1e-13
        second, other = grad(g, leaf, v)[0], torch.autograd.grad(h, t, torch.tensor(v))[0]
        assert error(second.data, other.numpy()) <= 1e-12


def test_nll_and_mse_agree_with_torch(rng: np.random.Generator, torch: Any) -> None:
    x, target, weight = draw(rng, (2, C, 3, 2), True)
    for reduction in ("mean", "sum", "none"):
        y = F.nll_loss(x, target, weight, -100, reduction)
        z = torch.nn.functional.nll_loss(
            torch.tensor(x), torch.tensor(target), torch.tensor(weight), reduction=reduction
        )
        assert error(y, z.numpy()) <= 1e-14
        y = F.mse_loss(x, 2 * x, reduction)
        z = torch.nn.functional.mse_loss(torch.tensor(x), torch.tensor(2 * x), reduction=reduction)
        assert error(y, z.numpy()) <= 1e-14
