from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, gradcheck, gradgradcheck
from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.conv import Conv2d, Geometry, conv_geometry
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, Run
from tinygrad_cnn.functional.pool import MaxPool2d, MaxPoolScatter
from tinygrad_cnn.kernels import conv_input_maxima

DTYPES = [np.float32, np.float64]
GEOMETRIES = {
    "plain": ((2, 3, 9, 8), (5, 3, 3, 2), conv_geometry("conv2d", (3, 2), 1, 0, 1, 1)),
    "padding": ((3, 1, 6, 7), (6, 1, 5, 5), conv_geometry("conv2d", (5, 5), 1, 2, 1, 1)),
    "where Winograd's algorithm is chosen": (
        (8, 32, 20, 18),
        (32, 32, 3, 3),
        conv_geometry("conv2d", (3, 3), 1, 1, 1, 1),
    ),
    "images in lanes": ((16, 3, 9, 10), (6, 3, 5, 5), conv_geometry("conv2d", (5, 5), 1, 2, 1, 1)),
    "a batch with many filters": (
        (16, 10, 11, 12),
        (19, 10, 5, 5),
        conv_geometry("conv2d", (5, 5), 1, ((2, 1), (0, 1)), 1, 1),
    ),
    "windows of many vectors": ((3, 20, 11, 9), (7, 20, 5, 4), conv_geometry("conv2d", (5, 4), 1, (2, 1), 1, 1)),
    "stride, dilation, groups": ((2, 4, 13, 11), (6, 2, 3, 2), conv_geometry("conv2d", (3, 2), (2, 1), 1, (1, 2), 2)),
}
RUNS = [Run(True, True, ("a", "b", "c")), Run(True, False, ("a", "b")), Run(False, True, ("a", "c"))]


def draw(x: Any, w: Any, dtype: Any) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in (x, w, w[:1])]


def one_by_one(x: Any, w: Any, b: Any, geometry: Geometry, run: Run) -> Any:
    y = F.conv2d(x, w, b, *geometry)
    y = F.relu(y) if run.relu else y
    return F.max_pool2d(y, 2) if run.pool else y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", RUNS, ids=str)
@pytest.mark.parametrize("shapes", GEOMETRIES.values(), ids=GEOMETRIES)
def test_the_bits_are_those_of_the_single_operations_to_the_second_order(shapes: Any, run: Run, dtype: type) -> None:
    x, w, geometry = shapes
    inputs = draw(x, w, dtype)
    results = []
    for compute in (lambda *a: ConvRun(geometry, run).apply(*a), lambda *a: one_by_one(*a, geometry, run)):
        y = compute(*inputs)
        first = grad((y * y * y).sum(), inputs, create_graph=True)
        second = grad(sum((g * g).sum() for g in first), inputs)
        results.append([y, *first, *second])
    for fused, single in zip(*results, strict=True):
        assert fused.dtype == dtype
        np.testing.assert_array_equal(fused.detach().data, single.detach().data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", RUNS, ids=str)
@pytest.mark.parametrize("shapes", GEOMETRIES.values(), ids=GEOMETRIES)
def test_backward_alone_has_the_bits_of_the_single_operations(shapes: Any, run: Run, dtype: type) -> None:
    x, w, geometry = shapes
    inputs = draw(x, w, dtype)
    fused = ConvRun(geometry, run).apply(*inputs)
    single = one_by_one(*inputs, geometry, run)
    gy = Tensor(np.random.default_rng(1).standard_normal(fused.shape).astype(dtype))
    for a, b in zip(grad(fused, inputs, gy), grad(single, inputs, gy), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_what_is_not_finite_goes_the_same_way(run: Run, value: float) -> None:
    x, w, geometry = GEOMETRIES["padding"]
    x_, w_, b_ = draw(x, w, np.float32)
    x_.data[0, 0, 1, 2] = x_.data[1, 0, 5, 6] = value
    results = []
    for compute in (lambda: ConvRun(geometry, run).apply(x_, w_, b_), lambda: one_by_one(x_, w_, b_, geometry, run)):
        y = compute()
        results.append(
            [y.detach().data, *(g.data for g in grad(y, [x_, w_, b_], Tensor(np.ones_like(y.detach().data))))]
        )
    for fused, single in zip(*results, strict=True):
        np.testing.assert_array_equal(fused, single)


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_gradients(run: Run) -> None:
    x, w, geometry = GEOMETRIES["plain"]
    inputs = draw(x, w, np.float64)
    compute = lambda *a: ConvRun(geometry, run).apply(*a)
    assert gradcheck(compute, inputs)
    assert gradgradcheck(compute, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradients_of_all_pixels_are_written_where_needed(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    scattered = []
    forward = MaxPoolScatter.forward
    monkeypatch.setattr(MaxPoolScatter, "forward", lambda *a: scattered.append(a) or forward(*a))
    x, w, geometry = GEOMETRIES["a batch with many filters"]
    ConvRun(geometry, RUNS[0]).apply(*draw(x, w, dtype)).sum().backward()
    assert bool(scattered) == (not conv_input_maxima.pays(x, w, *geometry, np.dtype(dtype)))


def test_only_what_is_asked_for_is_computed() -> None:
    x, w, geometry = GEOMETRIES["padding"]
    image, filters, bias = draw(x, w, np.float32)
    y = ConvRun(geometry, RUNS[0]).apply(image.detach(), filters, None)
    y.sum().backward()
    assert filters.grad is not None
    assert image.grad is None
    assert bias.grad is None


def test_a_run_lists_its_single_operations() -> None:
    x, w, geometry = GEOMETRIES["plain"]
    inputs = draw(x, w, np.float32)
    node = ConvRun(geometry, RUNS[0]).apply(*inputs).grad_fn
    conv, relu, pool = node.singles()
    assert [(type(single).__name__, single.path) for single in node.singles()] == [
        ("Conv2d", "a"),
        ("ReLU", "b"),
        ("MaxPool2d", "c"),
    ]
    assert isinstance(conv, Conv2d)
    assert isinstance(pool, MaxPool2d)
    assert conv.edges == tuple(t.edge for t in inputs)
    assert (relu.edges, pool.edges) == ((conv,), (relu,))
    assert (conv.y_shape, relu.y_shape, pool.y_shape) == ((2, 5, 7, 7), (2, 5, 7, 7), (2, 5, 3, 3))
    assert [F.exp(inputs[0]).grad_fn.name] == [single.name for single in F.exp(inputs[0]).grad_fn.singles()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", [*RUNS, Run(False, False, ("a", "n"))], ids=str)
def test_batch_norm_by_fixed_statistics_has_the_bits_of_the_single_operations(run: Run, dtype: type) -> None:
    x, w, geometry = GEOMETRIES["plain"]
    image, filters, bias = (t.detach() for t in draw(x, w, dtype))
    rng = np.random.default_rng(1)
    mean, gamma, beta = (rng.standard_normal(w[0]).astype(dtype) for _ in range(3))
    var = rng.uniform(0.5, 2, w[0]).astype(dtype)
    y = ConvNormRun(geometry, 1e-5, run).apply(image, filters, bias, mean, var, gamma, beta)
    expected = F.batch_norm(F.conv2d(image, filters, bias, *geometry), mean, var, gamma, beta)
    expected = F.relu(expected) if run.relu else expected
    expected = F.max_pool2d(expected, 2) if run.pool else expected
    np.testing.assert_array_equal(y.data, expected.data)
