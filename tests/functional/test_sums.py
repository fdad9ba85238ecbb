from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

POWERS = (0.5, 1, 1.5, 2, 3, np.inf, -np.inf, -2)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_values(dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(dtype)
    exact = x.astype(np.float64)
    for dim in (0, 1, -1):
        for y, wanted in [
            (F.cumsum(x, dim), np.cumsum(exact, dim)),
            (F.logsumexp(x, dim), np.log(np.exp(exact).sum(dim))),
            *((F.norm(x, p, dim), np.linalg.norm(exact, p, dim)) for p in POWERS),
        ]:
            assert type(y) is np.ndarray
            assert y.dtype == dtype
            assert error(y, wanted) <= bound
    assert F.norm(x, dim=(0, 2), keepdim=True).shape == F.logsumexp(x, (0, 2), True).shape == (1, 3, 1)
    assert F.norm(x, 0).tolist() == 24
    assert F.norm(x).dtype == dtype


def test_integers_are_summed_as_int64() -> None:
    assert F.cumsum(np.full(3, 200, np.uint8), 0).tolist() == [200, 400, 600]
    assert F.cumsum(np.array([True, False, True]), 0).dtype == np.int64


def test_a_long_float32_sum_keeps_its_digits() -> None:
    x = np.full(1_000_000, 0.1, np.float32)
    assert F.cumsum(x, 0)[-1] == pytest.approx(100_000, rel=1e-6)
    assert F.norm(x, 1) == pytest.approx(100_000, rel=1e-6)
    assert F.norm(np.full(4, 1e30, np.float32)) == np.float32(2e30)  # its square is beyond float32


def test_logsumexp_at_infinity() -> None:
    x = Tensor(np.array([[-np.inf] * 2, [-np.inf, 1.0], [1e4, 1e4]]), requires_grad=True)
    y = F.logsumexp(x, 1)
    assert y.tolist() == [-np.inf, 1, 1e4 + np.log(2)]
    for create_graph in (False, True):
        (g,) = grad(y.sum(), x, retain_graph=True, create_graph=create_graph)
        assert g.tolist() == [[0, 0], [0, 1], [pytest.approx(0.5)] * 2]
    assert F.logsumexp(np.array([np.inf, 1.0]), 0) == np.inf


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_norm_has_no_slope_at_zero(p: float, create_graph: bool) -> None:
    x = Tensor(np.array([[0.0, 0.0], [0.0, -2.0]]), requires_grad=True)
    (g,) = grad(F.norm(x, p, 1), x, np.ones(2), create_graph=create_graph)
    assert g.tolist() == [[0, 0], [0, -1]]


def test_derivatives(rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    x = rng.permutation(24).reshape(2, 3, 4) * 0.1 - 1.13
    derivatives(lambda x: F.cumsum(x * x, 1), x)
    derivatives(lambda x: F.logsumexp(x, (0, 2)), x)
    for p in POWERS:
        derivatives(lambda x, p=p: F.norm(x, p, (0, 1)), x)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.cumsum(x), TypeError, "cumsum: dim must be an int, got None"),
        (lambda x: F.cumsum(x, 3), IndexError, "cumsum: dim 3"),
        (lambda x: F.logsumexp(x[:0], 0), ValueError, r"shape \(0, 3\) is empty along dim \(0,\)"),
        (lambda x: F.logsumexp(np.ones(3, int), 0), TypeError, "logsumexp: needs float32 or float64"),
        (lambda x: F.norm(x, "nuc"), NotImplementedError, "p must be a number or 'fro', got 'nuc'"),
        (lambda x: F.norm(x, np.nan), NotImplementedError, "got nan"),
        (lambda x: F.norm(x, dim=(0, 0)), ValueError, "names an axis twice"),
        (lambda x: F.norm(np.ones(3, int)), TypeError, "norm: needs float32 or float64"),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call(np.ones((2, 3)))


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    x, dim, keep = rng.standard_normal(shape), int(rng.integers(-len(shape), len(shape))), bool(rng.integers(2))
    x[rng.random(shape) < 0.2] = 0
    same_as_torch(lambda x: F.cumsum(x, dim), lambda x: torch.cumsum(x, dim), x)
    same_as_torch(lambda x: F.logsumexp(x, dim, keep), lambda x: torch.logsumexp(x, dim, keep), x)
    same_as_torch(F.norm, torch.norm, x)
    for p in (1, 1.5, 2, 3, np.inf):
        same_as_torch(lambda x, p=p: F.norm(x, p, dim, keep), lambda x, p=p: torch.norm(x, p, dim, keep), x)
    assert F.norm(x, 0, dim).tolist() == torch.norm(torch.tensor(x), 0, dim).tolist()


@pytest.mark.parametrize("dtype", [">f4", np.float16, np.longdouble])
def test_running_sums_of_fractions_are_not_cut_to_whole_numbers(dtype: Any) -> None:
    y = F.cumsum(np.full(3, 0.5, dtype), 0)
    assert y.tolist() == [0.5, 1, 1.5]
    assert y.dtype.type == np.dtype(dtype).type


def test_one_number_without_axes_is_its_own_sum() -> None:
    assert F.logsumexp(np.array(2.5)) == 2.5
