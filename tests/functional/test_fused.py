from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, get_winograd, grad, gradcheck, gradgradcheck, nn, set_winograd
from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.conv import Conv2d, Geometry, conv_geometry
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, Layers, LinearRun, Run
from tinygrad_cnn.functional.pool import MaxPool2d, MaxPoolScatter
from tinygrad_cnn.kernels import conv_input_grad, conv_input_maxima, conv_weight_grad, linear

DTYPES = [np.float32, np.float64]
GEOMETRIES = {
    "plain": ((2, 3, 9, 8), (5, 3, 3, 2), conv_geometry("conv2d", (3, 2), 1, 0, 1, 1)),
    "padding": ((3, 1, 6, 7), (6, 1, 5, 5), conv_geometry("conv2d", (5, 5), 1, 2, 1, 1)),
    "where Winograd's algorithm is chosen": (
        (8, 32, 20, 18),
        (32, 32, 3, 3),
        conv_geometry("conv2d", (3, 3), 1, 1, (1, 2), 1),
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
    x, w, geometry = (3, 1, 6, 7), (6, 1, 2, 2), conv_geometry("conv2d", (2, 2), 1, 1, 1, 1)
    assert not conv_weight_grad.takes_maxima(x, w, *geometry, np.dtype(np.float32))  # where zeros are left out
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
    shapes = x, w, *geometry, np.dtype(dtype)
    needed = not conv_input_maxima.pays(*shapes) and not conv_input_grad.takes_maxima(*shapes)
    assert bool(scattered) == (dtype == np.float64 or needed)


def test_only_what_is_asked_for_is_computed() -> None:
    x, w, geometry = GEOMETRIES["padding"]
    image, filters, bias = draw(x, w, np.float32)
    y = ConvRun(geometry, RUNS[0]).apply(image.detach(), filters, None)
    y.sum().backward()
    assert filters.grad is not None
    assert image.grad is None
    assert bias.grad is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["padding", "windows of many vectors", "a batch with many filters"])
def test_any_of_the_gradients_may_be_wanted_alone(name: str, dtype: type) -> None:
    x, w, geometry = GEOMETRIES[name]
    inputs = draw(x, w, dtype)
    gradients = lambda *wanted: grad(ConvRun(geometry, RUNS[0]).apply(*inputs).sum(), wanted)
    for one, expected in zip(inputs, gradients(*inputs), strict=True):
        np.testing.assert_array_equal(gradients(one)[0].data, expected.data)


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


LAYERS = {
    "a classifier": ((2, 3, 2), [(5, 6), (4, 5), (3, 4)], Layers(True, (True, True, False), tuple("abcdef"))),
    "relu at the end": ((3, 6), [(5, 6), (4, 5)], Layers(False, (False, True), tuple("abc"))),
    "many rows": ((9, 6), [(5, 6), (4, 5)], Layers(False, (True, True), tuple("abcd"))),
    "one layer": ((1, 2, 3), [(5, 6)], Layers(True, (False,), tuple("ab"))),
}


def draw_layers(x: Any, weights: Any, dtype: Any, bias: bool = True) -> list[Any]:
    """Draw x, then weight and bias of each layer."""
    rng = np.random.default_rng(0)
    drawn = [Tensor(rng.standard_normal(x).astype(dtype), requires_grad=True)]
    for shape in weights:
        drawn.append(Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True))
        drawn.append(Tensor(rng.standard_normal(shape[:1]).astype(dtype), requires_grad=True) if bias else None)
    return drawn


def layer_by_layer(layers: Layers, x: Any, *parameters: Any) -> Any:
    x = F.flatten(x, 1) if layers.flat else x
    for relu, w, b in zip(layers.relus, parameters[::2], parameters[1::2], strict=True):
        x = F.relu(F.linear(x, w, b)) if relu else F.linear(x, w, b)
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_a_run_of_layers_has_the_bits_of_the_single_operations(case: Any, bias: bool, dtype: type) -> None:
    x, weights, layers = case
    inputs = draw_layers(x, weights, dtype, bias)
    given = [v for v in inputs if v is not None]
    results = []
    for y in (LinearRun(layers).apply(*inputs), layer_by_layer(layers, *inputs)):
        gy = Tensor(np.random.default_rng(1).standard_normal(y.shape).astype(dtype))
        results.append([y.detach(), *grad(y, given, gy)])
    for fused, single in zip(*results, strict=True):
        assert fused.dtype == dtype
        np.testing.assert_array_equal(fused.data, single.data)
    arrays = [v if v is None else v.data for v in inputs]
    np.testing.assert_array_equal(LinearRun(layers).apply(*arrays), results[0][0].data)


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_gradients_of_a_run_of_layers(case: Any) -> None:
    x, weights, layers = case
    inputs = draw_layers(x, weights, np.float64)
    compute = lambda *a: LinearRun(layers).apply(*a)
    assert gradcheck(compute, inputs)
    assert gradgradcheck(compute, inputs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_what_is_not_finite_goes_the_same_way_through_layers(case: Any, value: float) -> None:
    x, weights, layers = case
    inputs = draw_layers(x, weights, np.float32)
    inputs[0].data.reshape(-1)[4] = inputs[1].data[1, 2] = value
    gy = Tensor(np.ones((x[0], weights[-1][0]), np.float32))
    with np.errstate(all="ignore"):
        results = [[y.detach(), *grad(y, inputs, gy)] for y in (LinearRun(layers).apply(*inputs),
                                                                layer_by_layer(layers, *inputs))]  # fmt: skip
    for fused, single in zip(*results, strict=True):
        np.testing.assert_array_equal(fused.data, single.data)


def test_layers_give_only_the_gradients_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weights, layers = LAYERS["a classifier"]
    inputs = draw_layers(x, weights, np.float32)
    asked = []
    gradients = linear.gradients
    monkeypatch.setattr(
        linear, "gradients", lambda gy, x, w, wanted, gated: asked.append(wanted) or gradients(
            gy, x, w, wanted, gated
        ),
    )  # fmt: skip
    y = LinearRun(layers).apply(inputs[0].detach(), inputs[1].detach(), None, *inputs[3:])
    y.sum().backward()
    assert asked == [(True, True, True), (False, True, True)]
    assert inputs[1].grad is None
    assert inputs[3].grad is not None
    asked.clear()
    grad(LinearRun(layers).apply(*inputs).sum(), inputs[0])
    assert asked == [(True, False, False)] * 3


def test_a_run_of_layers_lists_its_single_operations() -> None:
    x, weights, layers = LAYERS["a classifier"]
    inputs = draw_layers(x, weights, np.float32)
    y = LinearRun(layers).apply(*inputs)
    node = y.grad_fn
    assert [node.input_name(i) for i in range(7)] == ["x", "w1", "b1", "w2", "b2", "w3", "b3"]
    chain = node.singles()
    names = [(single.name, single.path) for single in chain]
    assert names == [("Reshape", "a"), ("Linear", "b"), ("ReLU", "c"), ("Linear", "d"), ("ReLU", "e"), ("Linear", "f")]
    assert chain[0].edges == (inputs[0].edge,)
    assert chain[3].edges == (chain[2], inputs[3].edge, inputs[4].edge)
    assert [single.y_shape for single in chain] == [(2, 6), (2, 5), (2, 5), (2, 4), (2, 4), (2, 3)]
    expected = layer_by_layer(layers, *inputs).grad_fn
    for single in chain[:0:-1]:
        assert (type(single), single.y_shape, len(single.saved)) == (
            type(expected), expected.y_shape, len(expected.saved),
        )  # fmt: skip
        for a, b in zip(single.saved, expected.saved, strict=True):
            np.testing.assert_array_equal(a, b)
        assert single.plan is expected.plan
        expected = expected.edges[0]
    y.sum().backward()
    assert node.singles() == [node]


def test_the_nodes_of_a_run_of_layers_can_be_recorded_one_by_one() -> None:
    x, weights, layers = LAYERS["a classifier"]
    inputs = draw_layers(x, weights, np.float32)
    y = LinearRun(layers).apply(*inputs)
    expected = [g.data for g in grad(y.sum(), inputs, retain_graph=True)]
    node = y.grad_fn
    steps = list(node.replay(*inputs))
    assert [path for path, *_ in steps] == list("abcdef")
    np.testing.assert_array_equal(steps[-1][3].data, y.data)
    assert (node.name, node.edges[0].name) == ("Linear", "ReLU")
    for g, known in zip(grad(y.sum(), inputs), expected, strict=True):
        np.testing.assert_array_equal(g.data, known)


def test_only_what_a_rule_reads_is_kept_and_guarded() -> None:
    x, weights, layers = LAYERS["a classifier"]
    inputs = draw_layers(x, weights, np.float32)

    def run(*frozen: int) -> Tensor:
        return LinearRun(layers).apply(*[v.detach() if i in frozen else v for i, v in enumerate(inputs)])

    y = run()
    y[:, 0] = -9.0  # the last layer's rules do not read its result
    inputs[2].detach().copy_(np.zeros(5, np.float32))  # nor do any read a bias
    y.sum().backward()
    y = run(0)
    inputs[1].detach().copy_(np.ones((5, 6), np.float32))  # the first weight serves the input's gradient alone
    y.sum().backward()
    y = run(0, 1, 2, 3, 4)
    assert [h is None for h in y.grad_fn.hidden] == [True, True, False]
    y.sum().backward()

    y = run()
    inputs[3].detach().copy_(np.ones((4, 5), np.float32))
    with pytest.raises(RuntimeError, match=r"LinearRun: its input 'w2' \(shape \(4, 5\)\) was written in place"):
        y.sum().backward()
    y = run()
    inputs[2].detach().copy_(np.ones(5, np.float32))
    with pytest.raises(RuntimeError, match="its input 'b1'"):
        grad(y.sum(), inputs[0], create_graph=True)
    y = LinearRun(LAYERS["relu at the end"][2]).apply(*draw_layers(*LAYERS["relu at the end"][:2], np.float32))
    y[0] = 1.0
    with pytest.raises(RuntimeError, match="its result"):
        y.sum().backward()


def test_a_run_without_images_has_gradients() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    model(np.zeros((0, 3, 8, 8), np.float32)).sum().backward()
    assert all((p.grad.data == 0).all() for p in model.parameters())


def test_the_switch_of_winograd_is_looked_at_in_every_backward_pass() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1, generator=rng), nn.ReLU(), nn.MaxPool2d(2))
    x = Tensor(rng.standard_normal((16, 16, 9, 9)).astype(np.float32), requires_grad=True)

    def gx(one_by_one: bool) -> np.ndarray:
        y = x
        for part in model if one_by_one else [model]:
            y = part(y)
        x.grad = None
        y.sum().backward()
        return x.grad.data

    before = get_winograd()
    try:
        for enabled in (False, True, False):
            set_winograd(enabled)
            np.testing.assert_array_equal(gx(False), gx(True))
    finally:
        set_winograd(before)
