from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


def test_five_channels_of_ones() -> None:
    x = np.ones((1, 5, 1, 2))
    torch_like = F.local_response_norm(x, 5, 1.0, 1.0, 0.0)[0, :, 0, 0]
    paper = F.local_response_norm(x, 5, 1.0, 1.0, 0.0, average=False)[0, :, 0, 0]
    np.testing.assert_allclose(torch_like[[0, 2, 4]], [5 / 3, 1, 5 / 3], rtol=1e-15)
    np.testing.assert_allclose(paper[[0, 2, 4]], [1 / 3, 1 / 5, 1 / 3], rtol=1e-15)


def test_the_papers_alpha_is_a_fifth_of_pytorchs(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 7, 3, 4)) * 50
    paper = F.local_response_norm(x, 5, 1e-4, 0.75, 2.0, average=False)
    np.testing.assert_allclose(paper, F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), rtol=1e-14)
    np.testing.assert_allclose(paper[:, 3], x[:, 3] / (2 + 1e-4 * (x[:, 1:6] ** 2).sum(1)) ** 0.75, rtol=1e-13)


@pytest.mark.parametrize("size", [1, 4, 5, 9])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_derivatives(
    size: int, beta: float, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x = rng.standard_normal((2, 6, 2, 3))
    derivatives(lambda x: F.local_response_norm(x, size, 1.0, beta), x)
    both_orders(lambda x: F.local_response_norm(x, size, 1.0, beta), x)


def test_empty_batch() -> None:
    x = Tensor(np.zeros((0, 3, 4), np.float32), requires_grad=True)
    (g,) = grad(F.local_response_norm(x, 3), x, np.zeros((0, 3, 4)))
    assert g.shape == (0, 3, 4)


def test_agrees_with_torch(rng: np.random.Generator, torch: Any, same_as_torch: Callable[..., None]) -> None:
    for _ in range(50):
        x = rng.standard_normal((*rng.integers(1, 8, 2), *rng.integers(1, 5, rng.integers(1, 4))))
        arguments = int(rng.integers(1, 8)), *rng.uniform(0.1, 2, 3).tolist()
        torchs = torch.nn.functional.local_response_norm
        same_as_torch(lambda x, a=arguments: F.local_response_norm(x, *a), lambda x, a=arguments, f=torchs: f(x, *a), x)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (
            lambda: F.local_response_norm(np.ones((2, 3)), 5),
            ValueError,
            r"local_response_norm: needs shape \(N, C, L\)",
        ),
        (lambda: F.local_response_norm(np.ones((2, 3, 4)), 0), ValueError, "size must be at least 1, got 0"),
        (lambda: F.local_response_norm(np.ones((2, 3, 4)), 2.5), TypeError, "size must be an int"),
        (lambda: F.local_response_norm(np.ones((2, 3, 4), int), 5), TypeError, "needs float32 or float64"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()
