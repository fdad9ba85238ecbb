from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.calls import evaluation, record_calls, sample_input
from tinygrad_cnn.state import observe, recording


class Residual(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return F.relu(self.drop(self.norm(self.conv(x))) + x)


def image(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def test_calls_come_in_order_with_module_shapes_and_values():
    model, x = Residual(), image(2, 3, 6, 5)
    calls = record_calls(model, x)
    assert [(call.function.name, call.path) for call in calls] == [
        ("Conv2d", "conv"),
        ("BatchNormFixed", "norm"),
        ("Add", ""),
        ("ReLU", ""),
    ]
    assert calls[0].input_shapes == ((2, 3, 6, 5), (3, 3, 3, 3), (3,))
    assert all(call.shape == (2, 3, 6, 5) for call in calls)
    assert calls[2].inputs[1].data is x.data
    assert calls[2].sources == (calls[1], None)
    assert calls[2].inputs[0] is calls[1].output
    np.testing.assert_array_equal(calls[-1].output.data, model.eval()(x).data)


def test_layers_that_could_run_as_one_run_one_by_one():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    assert [call.function.name for call in record_calls(model, image(1, 1, 6, 8))] == ["Conv2d", "ReLU", "MaxPool2d"]


def test_nothing_in_the_model_changes():
    model = Residual()
    model.drop.eval()  # a mode of its own
    model(image(2, 3, 6, 5)).sum().backward()
    state = {name: array.copy() for name, array in model.state_dict().items()}
    gradients = {name: p.grad.data.copy() for name, p in model.named_parameters()}
    calls = record_calls(model, image(2, 3, 6, 5))
    assert all(not call.output.requires_grad for call in calls)
    assert (model.training, model.norm.training, model.drop.training) == (True, True, False)
    assert all((model.state_dict()[name] == state[name]).all() for name in state)
    assert all((p.grad.data == gradients[name]).all() for name, p in model.named_parameters())
    assert recording.get() is None


def test_an_error_leaves_modes_and_the_observer_as_they_were():
    model, seen = Residual(), []
    watcher = lambda *call: seen.append(call)
    found = observe(watcher)
    try:
        with pytest.raises(ValueError, match="channels"):
            record_calls(model, image(2, 4, 6, 5))
        assert model.training
        assert model.norm.training
        assert recording.get().observer is watcher
    finally:
        observe(found)


def test_evaluation_gives_each_module_its_own_mode_back():
    model = Residual()
    model.norm.eval()
    with evaluation(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_a_module_without_a_mode_of_its_own_gets_none():
    model = Residual()
    with evaluation(model):
        assert not model.conv.training
    assert "training" not in vars(model.conv)
    assert model.conv.training


def test_sample_inputs_have_the_dtype_of_the_parameters():
    x = sample_input("summary", nn.Linear(3, 2, dtype=np.float64), (3,))
    assert (x.shape, x.dtype) == ((1, 3), np.float64)
    assert not x.data.any()
    assert sample_input("summary", nn.ReLU(), [2, np.int64(3)]).dtype == np.float32
    drawn = sample_input("summary", nn.Linear(3, 2), (5, 3), 4, np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((4, 5, 3), np.float32)
    assert 0.5 < drawn.data.std() < 1.5


def test_only_modules_have_inputs():
    with pytest.raises(TypeError, match=r"summary: model must be an nn\.Module, got function"):
        sample_input("summary", F.relu, (3,))


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (28, TypeError, r"summary: input_size must be the sizes of one sample, such as \(1, 28, 28\), got 28"),
        ((1, 2.5), TypeError, "input_size must be the sizes"),
        ((), ValueError, "sizes of at least 1"),
        ((1, 0, 28), ValueError, r"without the batch, such as \(1, 28, 28\), got \(1, 0, 28\)"),
    ],
)
def test_sizes_that_are_none(size, error, message):
    with pytest.raises(error, match=message):
        sample_input("summary", nn.ReLU(), size)


def test_only_modules_are_run():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got NoneType"):
        record_calls(None, image(1, 1, 2, 2))
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got <class .*ReLU"):
        record_calls(nn.ReLU, image(1, 1, 2, 2))
