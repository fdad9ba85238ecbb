from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import explain, record_calls
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.state import generator_state


def images() -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32))


def test_a_call_of_a_trace():
    model = LeNet5()
    with trace(model) as t:
        model(images())
    page = explain(t["features.conv2"], (1, 3, 4, 5))
    assert (page.op, page.place) == ("conv2d", "features.conv2")
    assert page.shapes == {"x": (2, 6, 14, 14), "w": (16, 6, 5, 5), "b": (16,), "y": (2, 16, 10, 10)}
    assert list(page.gradients) == ["x", "w", "b"]
    assert page.kept == {"x": (2, 6, 14, 14), "w": (16, 6, 5, 5)}
    assert page.numbers.splitlines()[0].startswith("y[1, 3, 4, 5]: the patch")
    first = explain(t["features.conv1"])
    assert list(first.gradients) == ["w", "b"]  # the image needs none
    assert first.numbers == ""
    text = str(page)
    assert text.splitlines()[0] == (
        "conv2d in features.conv2: x (2, 6, 14, 14), w (16, 6, 5, 5), b (16,) -> y (2, 16, 10, 10)"
    )
    assert "\n  forward   y[n, o, i, j] = b[o] + sum" in text
    assert "\n  kept      x (2, 6, 14, 14), w (16, 6, 5, 5)\n" in text


def test_every_call_of_a_network_can_be_explained_without_gradients():
    for call in record_calls(LeNet5(), images()):
        page = explain(call, tuple(-1 for _ in call.shape))
        assert page.gradients == {}
        assert page.kept == {}
        assert (page.numbers != "") == (call.op != "reshape")


def test_a_result_and_its_node():
    x, w, b = (Tensor(np.ones(shape), requires_grad=True) for shape in [(2, 3), (4, 3), (4,)])
    y = F.linear(x, w, b)
    for page in (explain(y, (1, 2)), explain(y.grad_fn, (1, -2))):
        assert page.shapes == {"x": (2, 3), "w": (4, 3), "b": (4,), "y": (2, 4)}
        assert page.numbers.startswith("y[1, 2] = 3")
        assert page.numbers.endswith("b was not kept: this is without it; explain the call of a trace")
    assert explain(F.linear(x, w), (0, 0)).numbers.startswith("y[0, 0] = 3 + ")
    both = explain(x * w[:2], (0, 1))
    assert both.numbers == "x1[0, 1] = 1, x2[0, 1] = 1  ->  y[0, 1] = 1"
    assert explain(y.relu(), (0, 1)).numbers == "x was not kept: no numbers; explain the call of a trace"
    assert explain(y.sum()).shapes["y"] == ()


def test_steps_show_what_flows():
    model = LeNet5()
    loss = F.cross_entropy(model(images()), np.array([3, 8]))
    pages = [explain(step) for step in loss.backward_steps()]
    assert pages[0].op == "cross_entropy"
    assert pages[0].flow["gy"] == 1
    assert set(pages[1].flow) == {"gy", "gx", *(f"g{kind}{i}" for kind in "wb" for i in (1, 2, 3))}
    assert pages[1].flow["gy"] == pages[0].flow["gx"]
    run = pages[-1]
    assert [part.op for part in run.parts] == ["conv2d", "relu", "max_pool2d"]
    assert [part.place for part in run.parts] == ["features.conv1", "features.relu1", "features.pool1"]
    assert set(run.kept) == {"x", "w", "y", "index"}
    text = str(run)
    assert text.startswith("conv_run in features.conv1: conv2d, relu, max_pool2d, which ran as one\n\nconv2d in")
    assert text.count("kept") == 1
    assert "gradients gy" in text


def test_a_run_has_no_numbers_and_says_why():
    y = LeNet5().features(images())
    assert "they ran as one: no numbers" in str(explain(y, (0, 0, 0, 0)))


def test_variadic_operations_name_each_input():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    page = explain(F.cat([x, x * 2]))
    assert page.gradients == {"xs[0]": "its own part of gy", "xs[1]": "its own part of gy"}
    assert explain(F.cumsum(x, 0)).gradients == {"x": "gx: see CumSum.grad_x"}


def test_nothing_is_changed():
    model, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Sigmoid()), images()
    luck = generator_state()
    expected = model(x)
    (expected * expected).sum().backward()
    grads = [p.grad.data.copy() for p in model.parameters()]
    model.zero_grad()
    with trace(model) as t:
        y = model(x)
    for call in t:
        before = {k: id(v) for k, v in vars(call.function).items()}
        explain(call, tuple(0 for _ in call.shape))
        assert {k: id(v) for k, v in vars(call.function).items()} == before
    for step in (y * y).sum().backward_steps():
        explain(step, tuple(0 for _ in step.node.y_shape))
    assert all(np.array_equal(p.grad.data, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert generator_state() == luck


@pytest.mark.parametrize("at", [(0,), (0, 3), (2, 0), 0, (-3, 0)])
def test_elements_that_are_none(at):
    with pytest.raises(IndexError, match=r"is no element of a result of shape \(2, 3\)"):
        explain(Tensor(np.ones((2, 3)), requires_grad=True) * 2, at)


def test_what_cannot_be_explained():
    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(RuntimeError, match="was not computed by a recorded operation"):
        explain(x)
    with pytest.raises(TypeError, match="expected a result, a node, a step or a call of a trace, got str"):
        explain("relu")
    y = (x * x).sum()
    node = y.grad_fn
    y.backward()
    with pytest.raises(RuntimeError, match="this Sum was not recorded, or used up"):
        explain(node)
    with no_grad(), pytest.raises(RuntimeError, match="not computed by a recorded"):
        explain(x * x)


@pytest.mark.parametrize("at", [1.5, "a", (0, 0, 0, "a"), (0, 0, 0, None), (0, 0, 0, 1.5), object()])
def test_elements_are_named_by_whole_numbers(at):
    call = record_calls(nn.Conv2d(1, 1, 3), np.ones((1, 1, 5, 4), np.float32))[0]
    with pytest.raises(TypeError, match="explain: an element is named by whole numbers, such as"):
        explain(call, at)
