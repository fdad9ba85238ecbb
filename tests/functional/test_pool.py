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

# kernel_size, stride, padding, dilation, ceil_mode: unequal heights and widths everywhere
WINDOWS = [
    ((2, 3), None, 0, 1, False),
    ((3, 2), (2, 1), (1, 0), (1, 2), False),
    ((2, 4), (3, 2), (0, 2), (2, 1), True),
    ((1, 2), (4, 5), (0, 1), 1, True),
    (2, 2, 0, 1, False),
]


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers at least 0.1 apart, so that no step of a difference changes a maximum."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 2


def both(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def geometry(size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, image: tuple[int, int]) -> Any:
    """The arguments of the reference, by the formula of the documentation."""
    size, padding, dilation = both(size), both(padding), both(dilation)
    stride = size if stride is None else both(stride)
    out = []
    for length, k, s, p, d in zip(image, size, stride, padding, dilation, strict=True):
        room = length + 2 * p - d * (k - 1) - 1
        n = (-(-room // s) if ceil_mode else room // s) + 1
        out.append(n - 1 if ceil_mode and (n - 1) * s >= length + p else n)
    return size, stride, tuple((p, p) for p in padding), dilation, tuple(out)


# --- maximum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_max_pool_is_the_references(window: Any, dtype: Any, rng: np.random.Generator) -> None:
    x = distinct(rng, 2, 3, 7, 9).astype(dtype)
    y, index = F.max_pool2d(x, *window, return_indices=True)
    wanted, places = reference.max_pool2d(x, *geometry(*window, (7, 9)))
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, places)
    assert y.dtype == dtype
    assert index.dtype == np.int64
    leaf = Tensor(x, requires_grad=True)
    (g,) = grad(F.max_pool2d(leaf, *window), leaf, np.ones_like(y))
    assert g.dtype == dtype
    np.testing.assert_array_equal(g.data, reference.max_pool2d_grad(np.ones_like(y), places, x.shape))


@pytest.mark.parametrize("window", WINDOWS)
def test_max_pool_derivatives(
    window: Any, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x = distinct(rng, 2, 1, 5, 6)
    derivatives(lambda x: F.max_pool2d(x, *window), x)
    derivatives(lambda x: F.max_pool2d(x, *window) ** 3, x)
    both_orders(lambda x: F.max_pool2d(x, *window), x)


def test_the_first_of_equal_maxima_takes_the_whole_gradient() -> None:
    x = Tensor(np.ones((1, 1, 2, 4)), requires_grad=True)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    (g,) = grad(y, x, np.array([[[[3.0, 4.0]]]]))
    assert isinstance(index, Tensor)
    assert not index.requires_grad
    assert index.tolist() == [[[[0, 2]]]]
    assert g.tolist() == [[[[3, 0, 4, 0], [0, 0, 0, 0]]]]


def test_overlapping_windows_add_and_dropped_rows_get_nothing() -> None:
    x = Tensor(np.arange(20.0).reshape(1, 4, 5), requires_grad=True)
    (g,) = grad(F.max_pool2d(x, (3, 2), (3, 1)).sum(), x)
    assert g.data[0].tolist() == [[0] * 5, [0] * 5, [0, 1, 1, 1, 1], [0] * 5]
    x = Tensor(np.array([[[1.0, 9.0, 1.0]]]), requires_grad=True)
    assert grad(F.max_pool2d(x, (1, 2), 1).sum(), x)[0].tolist() == [[[0, 2, 0]]]


def test_padding_never_wins_and_nan_always_does() -> None:
    x = np.full((1, 1, 2, 3), -7.0)
    assert F.max_pool2d(x, 2, padding=1).tolist() == [[[[-7, -7], [-7, -7]]]]
    x[0, 0, 1, 1] = np.nan
    y = Tensor(x, requires_grad=True)
    z = F.max_pool2d(y, (2, 3))
    assert np.isnan(z.item())
    assert grad(z.sum(), y)[0].tolist() == [[[[0, 0, 0], [0, 1, 0]]]]
    y, index = F.max_pool2d(np.full((1, 2, 2), -np.inf), 2, return_indices=True)
    assert y.item() == -np.inf
    assert index.item() == 0


def test_a_dilated_window_beside_the_image_is_refused() -> None:
    message = r"max_pool2d: a window sees no pixel: along the height \(size 1\) it reads every 2. position from -1 to 1"
    with pytest.raises(ValueError, match=message):
        F.max_pool2d(np.ones((2, 1, 1, 8)), (2, 3), (1, 4), 1, 2)


# --- average -----------------------------------------------------------------------------------------------------

AVERAGES = [
    (*window[:3], window[4], count, divisor)
    for window in WINDOWS
    for count, divisor in ((True, None), (False, None), (True, 5))
]


@pytest.mark.parametrize("window", AVERAGES)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_avg_pool_is_the_references(window: Any, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 7, 9)).astype(dtype)
    size, stride, padding, _, out = geometry(*window[:3], 1, window[3], (7, 9))
    leaf = Tensor(x, requires_grad=True)
    y = F.avg_pool2d(leaf, *window)
    assert error(y.data, reference.avg_pool2d(x, size, stride, padding, out, *window[4:])) <= bound
    u = rng.standard_normal(y.shape).astype(dtype)
    (g,) = grad(y, leaf, u)
    assert y.dtype == g.dtype == dtype
    assert error(g.data, reference.avg_pool2d_grad(u, x.shape, size, stride, padding, *window[4:])) <= bound


@pytest.mark.parametrize("window", AVERAGES)
def test_avg_pool_derivatives(
    window: Any, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x = rng.standard_normal((1, 2, 4, 6))
    derivatives(lambda x: F.avg_pool2d(x, *window), x, steps=(1.0,))
    both_orders(lambda x: F.avg_pool2d(x, *window), x)
    derivatives(lambda x: F.avg_pool2d(x, *window) ** 3, x)


def test_ceil_mode_on_an_image_smaller_than_the_window(derivatives: Callable[..., None]) -> None:
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    assert F.max_pool2d(x, 3, 2, ceil_mode=True).tolist() == [[[[3]]]]
    assert F.avg_pool2d(x, 3, 2, ceil_mode=True).tolist() == [[[[1.5]]]]
    assert F.avg_pool2d(x[..., :1], (3, 4), 2, (0, 1), ceil_mode=True).tolist() == [[[[2 / 6]]]]  # 2 rows x 3 columns
    derivatives(lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True) ** 2, x)
    derivatives(lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True) ** 2, x)


def test_ceil_mode_counts_no_overhang() -> None:
    x = np.arange(49.0).reshape(1, 7, 7)
    assert F.avg_pool2d(x, 2, 3, ceil_mode=True)[0].tolist() == [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]
    row = np.arange(7.0).reshape(1, 1, 7)
    assert F.avg_pool2d(row, (1, 2), (1, 3), ceil_mode=True).tolist() == [[[0.5, 3.5, 6]]]


def test_the_last_window_starts_inside() -> None:
    x = np.zeros((1, 1, 17, 2))
    assert F.max_pool2d(x, (2, 1), (2, 1), (1, 0), ceil_mode=True).shape == (1, 1, 9, 2)
    assert F.avg_pool2d(x, (2, 1), (2, 1), (1, 0), ceil_mode=True).shape == (1, 1, 9, 2)


def test_padding_counts_only_where_asked() -> None:
    x = np.ones((1, 2, 2))
    assert F.avg_pool2d(x, 2, padding=1).tolist() == [[[0.25, 0.25], [0.25, 0.25]]]
    assert F.avg_pool2d(x, 2, padding=1, count_include_pad=False).tolist() == [[[1, 1], [1, 1]]]
    assert F.avg_pool2d(x, 2, padding=1, count_include_pad=False, divisor_override=2).tolist() == [[[0.5] * 2] * 2]


# --- adaptive ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, (3, 2), (None, 4), (7, None), (9, 11)])
def test_adaptive_avg_pool(
    size: Any, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x = rng.standard_normal((2, 2, 7, 5))
    out = tuple(n if o is None else o for n, o in zip((7, 5), both(size), strict=True))
    u = rng.standard_normal((2, 2, *out))
    leaf = Tensor(x, requires_grad=True)
    y = F.adaptive_avg_pool2d(leaf, size)
    (g,) = grad(y, leaf, u)
    assert error(y.data, reference.adaptive_avg_pool2d(x, out)) <= 1e-14
    assert error(g.data, reference.adaptive_avg_pool2d_grad(u, x.shape)) <= 1e-14
    derivatives(lambda x: F.adaptive_avg_pool2d(x, size), x[:1], steps=(1.0,))
    derivatives(lambda x: F.adaptive_avg_pool2d(x, size) ** 3, x[:1, :1])
    both_orders(lambda x: F.adaptive_avg_pool2d(x, size), x)


def test_adaptive_bins_share_a_pixel() -> None:
    y = F.adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 5), (1, 3))
    assert y.tolist() == [[[0.5, 2, 3.5]]]  # bins [0, 2), [1, 4), [3, 5)


# --- all of them -------------------------------------------------------------------------------------------------

OPS = {
    "max_pool2d": lambda x: F.max_pool2d(x, (2, 3), (2, 1), (1, 0)),
    "avg_pool2d": lambda x: F.avg_pool2d(x, (2, 3), (2, 1), (1, 0), count_include_pad=False),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
}
each_op = pytest.mark.parametrize("op", OPS)


@each_op
def test_one_image_without_a_batch(op: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4, 6))
    y = OPS[op](Tensor(x, requires_grad=True))
    np.testing.assert_array_equal(y.data, OPS[op](x[None])[0])
    _, index = F.max_pool2d(Tensor(x), 2, return_indices=True)
    assert index.shape == (3, 2, 3)


@each_op
@pytest.mark.parametrize("shape", [(0, 3, 4, 6), (2, 0, 4, 6)])
def test_no_images_or_no_channels(op: str, shape: tuple[int, ...]) -> None:
    x = Tensor(np.zeros(shape, np.float32), requires_grad=True)
    y = OPS[op](x)
    (g,) = grad(y, x, np.zeros(y.shape))
    assert y.shape[:2] == shape[:2]
    assert g.shape == shape
    assert g.dtype == np.float32


@each_op
def test_any_layout_gives_the_same_bits(op: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 5, 6)).astype(np.float32)
    for other in (np.asfortranarray(x), np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(OPS[op](other), OPS[op](x))
        leaf = Tensor(other, requires_grad=True)
        u = np.asfortranarray(rng.standard_normal(OPS[op](x).shape).astype(np.float32))
        same = Tensor(x, requires_grad=True)
        np.testing.assert_array_equal(
            grad(OPS[op](leaf), leaf, u)[0].data, grad(OPS[op](same), same, u.copy("C"))[0].data
        )


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    half=st.tuples(st.booleans(), st.booleans()),
    ceil_mode=st.booleans(),
)
@settings(derandomize=True, max_examples=40, deadline=None)
def test_gradients_are_adjoints(shape: Any, size: Any, stride: Any, half: Any, ceil_mode: bool) -> None:
    padding = tuple(k // 2 if h else 0 for k, h in zip(size, half, strict=True))
    if any(n + 2 * p < k for n, k, p in zip(shape[2:], size, padding, strict=True)):
        return
    rng = np.random.default_rng(0)
    for pool in (F.max_pool2d, F.avg_pool2d):
        x = Tensor(rng.standard_normal(shape), requires_grad=True)
        y = pool(x, size, stride, padding, ceil_mode=ceil_mode)
        assert y.shape[2:] == geometry(size, stride, padding, 1, ceil_mode, shape[2:])[-1]
        u = rng.standard_normal(y.shape)
        (g,) = grad(y, x, u)
        # both are linear near x, so <y, u> = <x, gradient>
        assert np.vdot(y.data, u) == pytest.approx(np.vdot(x.data, g.data), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.max_pool2d(np.ones((2, 3)), 2), ValueError, r"max_pool2d: needs images .*got \(2, 3\)"),
        (lambda: F.avg_pool2d(np.ones((1, 1, 0, 3)), 1), ValueError, r"at least one pixel, got \(1, 1, 0, 3\)"),
        (lambda: F.max_pool2d(np.ones((1, 4, 4), int), 2), TypeError, r"needs float32 or float64.*int64"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), 0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), 2, 0), ValueError, "stride must be at least 1, got 0"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), 2, 1, -1), ValueError, "padding must be at least 0, got -1"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), 2, 1, 0, 0), ValueError, "dilation must be at least 1, got 0"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), (2, 3, 4)), ValueError, r"int or a pair \(height, width\)"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), 2.5), TypeError, "kernel_size must be an int or a pair"),
        (lambda: F.max_pool2d(np.ones((1, 4, 5)), (6, 2)), ValueError, r"height 4 \+ padding 0 \+ 0 = 4.*spans.*= 6"),
        (
            lambda: F.avg_pool2d(np.ones((1, 4, 5)), (4, 3), padding=(2, 2)),
            ValueError,
            r"the width padding 2 > 3",
        ),
        (lambda: F.avg_pool2d(np.ones((1, 4, 5)), 2, divisor_override=0), ValueError, "divisor_override must be at"),
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 4, 5)), 0), ValueError, "output_size must be at least 1, got 0"),
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 4, 5)), 10**9), ValueError, "above the limit"),
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 4, 5)), (1, 2, 3)), ValueError, "output_size must be an int or"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("window", WINDOWS)
def test_agrees_with_torch(window: Any, rng: np.random.Generator, torch: Any) -> None:
    array, size = rng.standard_normal((2, 3, 7, 9)), window[0]
    stride, padding, dilation, ceil_mode = window[1:]
    pairs = [
        (lambda f, x: f.max_pool2d(x, size, stride, padding, dilation, ceil_mode)),
        (lambda f, x: f.avg_pool2d(x, size, stride, padding, ceil_mode, False)),
        (lambda f, x: f.avg_pool2d(x, size, stride, padding, ceil_mode, True)),
        (lambda f, x: f.adaptive_avg_pool2d(x, (None, 4))),
    ]
    for call in pairs:
        x, t = Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, z = call(F, x), call(torch.nn.functional, t)
        assert error(y.data, z.detach().numpy()) <= 1e-14
        u = rng.standard_normal(y.shape)
        y.backward(u)
        z.backward(torch.tensor(u))
        assert error(x.grad.data, t.grad.numpy()) <= 1e-14
