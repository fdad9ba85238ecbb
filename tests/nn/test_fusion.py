from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad
from tinygrad_cnn.models.resnet import BasicBlock, Bottleneck
from tinygrad_cnn.nn.fusion import ConvolutionRun, ModuleRun, call_in_turn, runs_of
from tinygrad_cnn.state import observe
from tinygrad_cnn.viz import draw_graph

IMAGE = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 9)).astype(np.float32))


class ThresholdReLU(nn.ReLU):
    """A subclass, which may compute anything."""


def conv(**more: Any) -> nn.Conv2d:
    return nn.Conv2d(3, 4, 3, generator=np.random.default_rng(1), **more)


def names(y: Tensor) -> list[str]:
    """Return the operations behind y as they were recorded, newest first, along the first input."""
    found, node = [], y.grad_fn
    while hasattr(node, "edges"):
        found.append(type(node).__name__)
        node = node.edges[0]
    return found


def run_length(modules: list[nn.Module], input: Any) -> int:
    """Return how many modules, from the first on, run as one on an input."""
    first = runs_of(modules)[0]
    return len(first.modules) if isinstance(first, ModuleRun) and first.fits(input) else 1


@pytest.mark.parametrize(
    ("follows", "length"),
    [
        ([nn.ReLU(), nn.MaxPool2d(2)], 3),
        ([nn.ReLU(inplace=True)], 2),
        ([nn.MaxPool2d(2, 2, 0)], 2),
        ([nn.ReLU(), nn.ReLU()], 2),
        ([nn.ReLU(), nn.MaxPool2d(3)], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, 1)], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, padding=1)], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, dilation=2)], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], 2),
        ([nn.ReLU(), nn.MaxPool2d(2, return_indices=True)], 2),
        ([nn.Tanh()], 1),
        ([ThresholdReLU()], 1),
        ([nn.BatchNorm2d(4), nn.ReLU()], 1),
        ([], 1),
    ],
    ids=str,
)
def test_which_layers_run_as_one(follows: list[nn.Module], length: int) -> None:
    assert run_length([conv(), *follows], IMAGE) == length


ROW = np.ones((2, 6), np.float32)
SQUARE = nn.Linear(6, 6)
WITHOUT = nn.Linear(4, 3)
WITHOUT.weight = None  # type: ignore[assignment]  # a layer that somebody broke: it is no part of a run


@pytest.mark.parametrize(
    ("layers", "input", "length"),
    [
        ([nn.Linear(6, 4), nn.ReLU()], ROW, 2),
        ([nn.Linear(6, 4), nn.ReLU(), nn.ReLU()], ROW, 2),
        ([nn.Linear(6, 4), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh()], ROW, 4),
        ([nn.Flatten(), nn.Linear(6, 4)], ROW.reshape(2, 3, 2), 2),
        ([nn.Flatten(), nn.Linear(6, 4)], ROW, 1),
        ([nn.Flatten(), nn.Linear(5, 4)], ROW.reshape(2, 3, 2), 1),
        ([nn.Flatten(0), nn.Linear(12, 4)], ROW.reshape(2, 3, 2), 1),
        ([nn.Flatten(1, 2), nn.Linear(6, 4)], ROW.reshape(2, 3, 2), 1),
        ([nn.Flatten(), nn.Dropout(), nn.Linear(6, 4)], ROW.reshape(2, 3, 2), 1),
        ([nn.Linear(6, 4), nn.Linear(5, 3)], ROW, 1),
        ([nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, dtype=np.float64)], ROW, 1),
        ([nn.Linear(6, 4), nn.ReLU()], ROW.astype(np.float64), 1),
        ([nn.Linear(6, 4), nn.ReLU()], ROW[None], 1),
        ([nn.Linear(6, 4), nn.ReLU()], None, 1),
        ([nn.Linear(6, 4), ThresholdReLU()], ROW, 1),
        ([nn.Linear(6, 4)], ROW, 1),
        ([SQUARE, nn.ReLU(), SQUARE], ROW, 2),
        ([nn.Linear(6, 4), WITHOUT], ROW, 1),
        ([nn.Linear(6, 4), nn.ReLU()], SimpleNamespace(shape=(2, 6), dtype=np.dtype(np.float32)), 1),
    ],
    ids=str,
)
def test_which_fully_connected_layers_run_as_one(layers: list[nn.Module], input: Any, length: int) -> None:
    assert run_length(layers, input) == length


def test_a_classifier_is_one_node_and_its_gradients_are_those_of_the_layers() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(216, 5), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.Linear(4, 3))
    y = model(IMAGE)
    assert names(y) == ["LinearRun"]
    y.sum().backward()
    found = [p.grad.data for p in model.parameters()]
    y = IMAGE
    for module in model:
        y = module(y)
    assert names(y) == ["Linear", "Linear", "ReLU", "Linear"]
    model.zero_grad()
    y.sum().backward()
    for p, g in zip(model.parameters(), found, strict=True):
        np.testing.assert_array_equal(p.grad.data, g)
    assert model(np.zeros((0, 3, 8, 9), np.float32)).shape == (0, 3)
    assert [name for name, *_ in _notes(model)] == ["Reshape", "Linear", "ReLU", "Linear", "Linear"]


def test_a_layer_that_is_used_three_times_has_the_bits_of_single_layers() -> None:
    layer = nn.Linear(64, 64, generator=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    found = []
    for y in (nn.Sequential(layer, layer, layer)(x), layer(layer(layer(x)))):
        layer.zero_grad()
        y.sum().backward()
        found.append(layer.weight.grad.data)
    np.testing.assert_array_equal(*found)


def _notes(model: nn.Module) -> list[tuple[str, ...]]:
    seen: list[tuple[str, ...]] = []
    found = observe(lambda function, inputs, y: seen.append((function.name,)))
    try:
        model(IMAGE)
    finally:
        observe(found)
    return seen


def test_errors_name_the_fully_connected_layer() -> None:
    model = nn.Sequential({"flat": nn.Flatten(), "fc1": nn.Linear(216, 5), "relu": nn.ReLU(), "fc2": nn.Linear(4, 3)})
    with pytest.raises(ValueError, match=r"linear in fc2: input \(..., I\) and weight .*\(2, 5\) and weight \(3, 4\)"):
        model(IMAGE)
    with pytest.raises(ValueError, match=r"linear in fc1: .*\(2, 144\) and weight \(5, 216\)"):
        model(IMAGE[:, :2])
    model.fc1.bias = nn.Parameter(np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"linear in fc1: bias must have shape \(5,\)"):
        model(IMAGE)


def test_runs_and_single_layers_are_called_in_turn() -> None:
    layers = [nn.Tanh(), conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Tanh(), nn.Conv2d(4, 2, 2), nn.MaxPool2d(2)]
    y, expected = call_in_turn(layers, IMAGE), IMAGE
    for layer in layers:
        expected = layer(expected)
    assert names(y) == ["ConvRun", "Tanh", "ConvRun"]
    np.testing.assert_array_equal(y.data, expected.data)
    assert call_in_turn([], IMAGE) is IMAGE


def test_batch_norm_joins_in_evaluation_without_recording() -> None:
    modules = [conv(), nn.BatchNorm2d(4).eval(), nn.ReLU(), nn.MaxPool2d(2)]
    assert run_length(modules, IMAGE) == 1
    with no_grad():
        assert run_length(modules, IMAGE) == 4
        for norm in (nn.BatchNorm2d(4), nn.BatchNorm2d(5).eval(), nn.BatchNorm2d(4, dtype=np.float64).eval()):
            assert run_length([modules[0], norm], IMAGE) == 1
        assert run_length([modules[0], nn.BatchNorm2d(4, track_running_stats=False).eval()], IMAGE) == 1
        assert run_length([modules[0], nn.BatchNorm2d(4, affine=False).eval()], IMAGE) == 2


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_parts_of_a_block_run_as_one_and_change_no_bit(block: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = block(3, 4, 2)
    model(IMAGE * 2 + 1)
    seen: list[int] = []
    call = ConvolutionRun.call
    monkeypatch.setattr(ConvolutionRun, "call", lambda self, *args: seen.append(len(self.modules)) or call(self, *args))
    with no_grad():
        y = model.eval()(IMAGE)
        fused = seen.copy()
        found = observe(lambda *_: None)
        try:
            expected = model(IMAGE)
        finally:
            observe(found)
    assert fused == {BasicBlock: [3, 2, 2], Bottleneck: [3, 3, 2, 2]}[block]  # the last is the shortcut
    assert seen == fused
    np.testing.assert_array_equal(y.data, expected.data)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_a_run_changes_no_bit(affine: bool) -> None:
    norm = nn.BatchNorm2d(4, affine=affine)
    model = nn.Sequential(conv(), norm, nn.ReLU(), nn.MaxPool2d(2))
    model(IMAGE * 2 + 1)  # running statistics of its own
    model.eval()
    with no_grad():
        y, expected = model(IMAGE), IMAGE
        for module in model:
            expected = module(expected)
    np.testing.assert_array_equal(y.data, expected.data)


def test_a_run_is_one_node_and_its_gradients_are_those_of_the_layers() -> None:
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    y = model(IMAGE)
    assert names(y) == ["Reshape", "ConvRun"]  # a Flatten without a layer behind it
    y.sum().backward()
    found = [p.grad.data for p in model.parameters()]
    y = IMAGE
    for module in model:
        y = module(y)
    assert names(y) == ["Reshape", "MaxPool2d", "ReLU", "Conv2d"]
    model.zero_grad()
    y.sum().backward()
    for p, g in zip(model.parameters(), found, strict=True):
        np.testing.assert_array_equal(p.grad.data, g)


def test_nothing_is_fused_under_an_observer() -> None:
    seen: list[str] = []
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2))
    found = observe(lambda function, inputs, y: seen.append(function.name))
    try:
        model(IMAGE)
    finally:
        observe(found)
    assert seen == ["Conv2d", "ReLU", "MaxPool2d"]


def test_a_layer_whose_forward_was_replaced_is_called() -> None:
    relu = nn.ReLU()
    relu.forward = lambda input: input * 0  # type: ignore[method-assign]
    y = nn.Sequential(conv(), relu)(IMAGE)
    np.testing.assert_array_equal(y.detach().data, 0)


def test_what_is_changed_after_a_call_is_seen_by_the_next() -> None:
    """How a Sequential is cut into runs is kept from call to call."""

    def equal_to_the_layers(model: nn.Sequential) -> bool:
        y = IMAGE
        for module in model:
            y = module(y)
        return np.array_equal(model(IMAGE).data, y.data)

    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    assert names(model(IMAGE)) == ["LinearRun", "ConvRun"]
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        copied[0].weight.data[...] *= 2
        assert equal_to_the_layers(copied)
        assert not np.array_equal(copied(IMAGE).data, model(IMAGE).data)
    model[2].ceil_mode = True
    assert names(model[:3](IMAGE)) == names(model[:4](IMAGE))[1:] == ["MaxPool2d", "ConvRun"]
    assert names(model[:2](IMAGE)) == ["ConvRun"]
    model[2].ceil_mode = False
    assert names(model(IMAGE)) == ["LinearRun", "ConvRun"]
    model.append(nn.ReLU())
    assert model(IMAGE).data.min() == 0
    del model[5]
    assert model(IMAGE).data.min() < 0
    model[4].weight = nn.Parameter(np.zeros((5, 36), np.float32))
    assert equal_to_the_layers(model)
    model[1].forward = lambda input: input * 2
    assert equal_to_the_layers(model)
    assert names(model[:3](IMAGE)) == ["MaxPool2d", "Mul", "Conv2d"]
    del model[1].forward
    assert names(model(IMAGE)) == ["LinearRun", "ConvRun"]
    vars(model[1])["forward"] = lambda input: input * 3  # past __setattr__
    assert names(model[:3](IMAGE)) == ["MaxPool2d", "Mul", "Conv2d"]
    assert names(model(IMAGE)) == ["LinearRun", "MaxPool2d", "Mul", "Conv2d"]
    vars(model)["1"] = nn.Tanh()
    assert names(model(IMAGE)) == ["LinearRun", "MaxPool2d", "Tanh", "Conv2d"]


def test_a_wrapper_that_asks_another_module_has_its_own_runs() -> None:
    class Wrapper(nn.Sequential):
        def __getattr__(self, name: str) -> Any:
            if name.isdigit():
                raise AttributeError(name)
            return getattr(vars(self)["0"], name)

    inner = nn.Sequential(nn.Flatten(), nn.Linear(216, 5), nn.ReLU())
    inner(IMAGE)
    assert Wrapper(inner, nn.Linear(5, 2))(IMAGE).shape == (2, 2)


def test_a_path_is_that_below_the_outermost_module() -> None:
    inner = nn.Sequential(conv(), nn.ReLU())
    outer, other = nn.Sequential({"in": inner}), nn.Sequential({"same": inner[0], "relu": inner[1]})
    assert [model(IMAGE).grad_fn.path for model in (inner, outer, other, inner)] == ["0", "in.0", "same", "0"]
    assert call_in_turn([inner[0], inner[1]], IMAGE).grad_fn.path == ""


def test_a_run_of_modules_without_names_lies_where_it_is_called() -> None:
    class Holder(nn.Module):
        def __init__(self, hidden: nn.Module) -> None:
            self.hidden = (hidden,)

        def forward(self, input: Any) -> Any:
            return self.hidden[0](input)

    hidden = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
    node = nn.Sequential({"a": Holder(hidden), "b": Holder(hidden)})(IMAGE).grad_fn
    assert (node.edges[0].path, node.path) == ("a", "b")


def test_several_threads_make_the_first_call() -> None:
    for _ in range(20):
        model = nn.Sequential(*[nn.Sequential(nn.Sequential(nn.Tanh()), nn.Tanh()) for _ in range(40)])
        with ThreadPoolExecutor(4) as pool:
            results = [*pool.map(model, [IMAGE] * 4)]
        assert len({y.data.tobytes() for y in results}) == 1


def test_the_drawing_is_that_of_the_single_layers() -> None:
    model = nn.Sequential({"conv": conv(), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2), "conv2": nn.Conv2d(4, 2, 1)})
    drawings = [draw_graph(model(IMAGE), model).dot]
    found = observe(lambda *_: None)
    try:
        drawings.append(draw_graph(model(IMAGE), model).dot)
    finally:
        observe(found)
    # But for how much they keep until backward: run as one, less.
    without = [re.sub('kept for backward: [^"]*', "", drawing) for drawing in drawings]
    assert without[0] == without[1]
    for name in ("Conv2d", "ReLU", "MaxPool2d"):
        assert name in drawings[0]


@pytest.mark.parametrize("shape", [(3, 8, 9), (0, 3, 8, 9)])
def test_one_image_and_none(shape: tuple[int, ...]) -> None:
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2))
    assert model(np.zeros(shape, np.float32)).shape == (*shape[:-3], 4, 3, 3)


def test_errors_name_the_layer() -> None:
    model = nn.Sequential({"conv": conv(), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2)})
    with pytest.raises(ValueError, match=r"conv2d in conv: input \(2, 1, 8, 9\) has 1 channels"):
        model(np.zeros((2, 1, 8, 9), np.float32))
    with pytest.raises(TypeError, match=r"conv2d in conv: .*float64"):
        model(np.zeros((2, 3, 8, 9)))
    with pytest.raises(ValueError, match=r"max_pool2d in pool: the window is larger"):
        model(np.zeros((2, 3, 3, 9), np.float32))


def test_what_a_layer_refuses_is_refused_in_a_run_too() -> None:
    """Parts that were exchanged, or written by hand, reach no kernel: the layers have something to say about them."""
    pool = nn.MaxPool2d(2)
    for name, value in (("kernel_size", 2.0), ("stride", 2.0), ("padding", False), ("dilation", True)):
        setattr(pool, name, value)
        assert run_length([conv(), nn.ReLU(), pool], IMAGE) == 2
        pool = nn.MaxPool2d(2)
    model = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight = nn.Parameter(np.ones((4, 3, 8, 9), np.float32))
    with pytest.raises(ValueError, match="max_pool2d in 2: the window is larger"):
        model(IMAGE)
    with no_grad():
        for name, value in (("eps", -1.0), ("eps", float("nan")), ("running_var", None)):
            model = nn.Sequential(conv(), nn.BatchNorm2d(4)).eval()
            setattr(model[1], name, value)
            with pytest.raises(ValueError, match="batch_norm in 1"):
                model(IMAGE)
        for name in ("weight", "bias", "running_mean", "running_var"):
            model = nn.Sequential(conv(), nn.BatchNorm2d(4)).eval()
            getattr(model[1], name)._data = np.ones(1, np.float32)
            with pytest.raises(ValueError, match=r"batch_norm in 1: .* must have shape \(4,\)"):
                model(IMAGE)
