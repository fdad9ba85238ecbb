from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error


@pytest.mark.parametrize("p", [1, 2, 2.5, 4])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-10)])
def test_value_is_the_references(p: float, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 7, 8)).astype(dtype)
    y = F.lp_pool2d(x, p, (3, 2), (2, 3))
    assert y.dtype == dtype
    assert error(y, reference.lp_pool_nd(x.astype(float), p, (3, 2), (2, 3), (3, 3))) <= bound
    y = F.lp_pool2d(x, p, (3, 2), (2, 3), True)  # the last column of windows hangs over
    assert error(y, reference.lp_pool_nd(x.astype(float), p, (3, 2), (2, 3), (3, 3))) <= bound
    y = F.lp_pool1d(x[0], p, 3)
    assert error(y[None], reference.lp_pool_nd(x[0].astype(float), p, [3], [3], (2,))[None]) <= bound


def test_torch_agrees_for_even_p(same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = torch.nn.functional
    one = st.integers(1, 3)

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(st.sampled_from([2, 4]), st.tuples(one, one), st.tuples(one, one), st.integers(0, 99))
    def check(p: int, size: Any, stride: Any, seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((2, 3, 6, 7))
        same_as_torch(lambda x: F.lp_pool2d(x, p, size, stride), lambda x: theirs.lp_pool2d(x, p, size, stride), x)
        arguments = p, size[0], stride[0]
        same_as_torch(lambda x: F.lp_pool1d(x, *arguments), lambda x: theirs.lp_pool1d(x, *arguments), x[0])

    check()


@pytest.mark.parametrize("p", [1, 2, 3])
def test_an_empty_window_has_no_gradient_and_nan_stays(p: int) -> None:
    x = Tensor(np.array([[[0.0, 0.0, 3.0, np.nan]]]), requires_grad=True)
    y = F.lp_pool1d(x, p, 2)
    assert y.data[0, 0, 0] == 0
    assert np.isnan(y.data[0, 0, 1])
    assert grad(y[..., 0].sum(), x)[0].tolist()[0][0][:2] == [0, 0]


@pytest.mark.parametrize("p", [2, 3])
def test_derivatives(p: int, derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    x = rng.permutation(40).reshape(1, 2, 4, 5) * 0.1 - 1.95
    derivatives(lambda x: F.lp_pool2d(x, p, (2, 3), (1, 2)), x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.lp_pool2d(np.ones((1, 4, 4)), 0, 2), ValueError, "norm_type must be finite and above 0, got 0"),
        (lambda: F.lp_pool2d(np.ones((1, 4, 4)), np.inf, 2), ValueError, "max_pool2d is the limit"),
        (lambda: F.lp_pool2d(np.ones((1, 4, 4)), "two", 2), TypeError, "norm_type must be a number, got 'two'"),
        (lambda: F.lp_pool2d(np.ones((4, 4)), 2, 2), ValueError, "lp_pool2d: needs images"),
        (lambda: F.lp_pool1d(np.ones((1, 4)), 2, (2, 2)), ValueError, "lp_pool1d: kernel_size must be one int"),
        (lambda: F.lp_pool1d(np.ones((1, 4), int), 2, 2), TypeError, "lp_pool1d: needs float32 or float64"),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
