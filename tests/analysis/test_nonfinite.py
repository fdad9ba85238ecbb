from __future__ import annotations

import gc
import inspect
import weakref

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, optim, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import NonFiniteError, blame_nonfinite, find_nonfinite
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.state import generator_state, recording


class Net(nn.Module):
    """It takes a logarithm that may go wrong, on a line of its own."""

    def __init__(self, shift=0.0):
        self.conv = nn.Conv2d(1, 2, 3, generator=np.random.default_rng(0))
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout(0.5)
        self.shift = shift

    def forward(self, x):
        y = F.relu(self.norm(self.drop(self.conv(x)))) + 1
        z = F.relu(y - self.shift)
        return F.log(z).sum()


def images():
    return Tensor(np.random.default_rng(0).standard_normal((2, 1, 6, 5)).astype(np.float32))


def line_of(text, kind=Net):
    lines, first = inspect.getsourcelines(kind)
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_the_operation_its_line_and_its_numbers():
    found = find_nonfinite(Net(shift=1.0), images())
    assert (found.phase, found.op, found.address, found.name) == ("forward", "log", "log", "y")
    assert found.line.number == line_of("F.log(z)")
    assert found.line.file == __file__
    assert found.input is None
    assert found.values.startswith("-inf in ")
    text = str(found)
    assert "test_nonfinite.py" in text
    assert ": return F.log(z).sum()): y is -inf in" in text
    assert "It happened here, from finite numbers: y = log(x); x[" in text
    assert "= 0  ->  y[" in text
    assert find_nonfinite(Net(), images()) is None
    counted = nn.Sequential(nn.ReLU(), Net(2.0))
    assert find_nonfinite(counted, images()).address == "1.log"


def test_a_parameter_that_was_bad_already():
    model = LeNet5()
    model.features.conv2.weight.data[3, 1, 2, 4] = np.nan
    found = find_nonfinite(model, np.zeros((2, 1, 28, 28), np.float32))
    assert (found.op, found.address, found.input) == ("conv2d", "features.conv2", "w")
    assert found.parameter == "features.conv2.weight"
    assert str(found).endswith(
        "w, the parameter features.conv2.weight, came in as NaN in 1 of 2,400 numbers, first at [3, 1, 2, 4]"
    )
    assert "test_nonfinite.py" in str(found)  # the line that calls the model


def test_an_image_that_was_bad_already():
    x = images()
    x.data[1, 0, 3, 2] = np.inf
    found = find_nonfinite(Net(), x)
    assert (found.address, found.input, found.parameter) == ("conv", "x", None)
    assert "x came in as +inf in 1 of 60 numbers, first at [1, 0, 3, 2]" in str(found)


def test_a_gradient_that_goes_bad_on_the_way_back():
    class Root(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            y = F.relu(self.fc(x) * 0)
            return F.sqrt(y)

    found = find_nonfinite(Root(), np.ones((4, 3), np.float32))
    assert (found.phase, found.op, found.address, found.name) == ("backward", "sqrt", "sqrt", "gx")
    assert found.line.number == line_of("F.sqrt(y)", Root)
    assert found.how == "gx = gy / (2 y)"
    assert found.input is None
    assert find_nonfinite(Root(), np.ones((4, 3), np.float32), loss=lambda y: y.detach()) is None


def test_what_came_into_the_walk_is_not_blamed_on_a_node():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with blame_nonfinite() as blame:
        y = x * 3
        with pytest.raises(
            NonFiniteError, match=r"backward of mul .*It did not happen here: gy came in as NaN in 1 of 2"
        ):
            blame.backward(y, np.array([np.nan, 1]))
    assert x.grad is None


def test_training_in_a_block_is_as_outside():
    models = [nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4))]
    models.append(nn.Sequential(*[nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)]))
    models[1].load_state_dict(models[0].state_dict())
    x, labels = np.random.default_rng(0).standard_normal((5, 1, 7, 6)).astype(np.float32), np.arange(5) % 4
    for model, watched in zip(models, (True, False), strict=True):
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            if watched:
                with blame_nonfinite(model) as blame:
                    blame.backward(F.cross_entropy(model(x), labels))
            else:
                F.cross_entropy(model(x), labels).backward()
            optimizer.step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_the_block_names_parameters_keeps_no_graph_and_goes_away():
    model = Net()
    with blame_nonfinite(model) as blame:
        y = model(images())
        node = weakref.ref(y.grad_fn)
        y.backward()  # unwatched, but undisturbed
        assert model.conv.weight.grad is not None
        del y
        gc.collect()
        assert node() is None
        model.conv.bias.data[0] = np.inf
        with pytest.raises(NonFiniteError) as error:
            model(images())
    assert error.value.found.parameter == "conv.bias"
    assert error.value.found.address == "conv"
    assert isinstance(error.value, FloatingPointError)
    assert len(blame.lines) <= 1
    assert recording.get() is None


def test_an_unwatched_walk_backward_is_not_looked_at():
    w = Tensor(np.ones((2, 1, 3, 3), np.float32), requires_grad=True)
    with blame_nonfinite():
        y = F.conv2d(images(), w)
        y.backward(np.full(y.shape, np.inf))
    assert not np.isfinite(w.grad.data).any()


def test_infinities_may_pass():
    x = Tensor([0.0, 1.0])
    with blame_nonfinite(nan_only=True):
        y = F.log(x)
        with pytest.raises(NonFiniteError, match=r"forward of sub .*y is NaN in 1 of 2 numbers, first at \[0\]"):
            y - y
    masked = nn.Sequential(nn.Softmax(1))
    x = np.array([[-np.inf, 0.0]], np.float32)
    assert find_nonfinite(masked, x) is None  # softmax makes finite numbers of it


def test_nothing_is_left_behind():
    model = Net(shift=1.0)
    model.eval()
    model.norm.train()
    model.conv.bias.grad = np.ones(2, np.float32)
    state, luck = {k: v.copy() for k, v in model.state_dict().items()}, generator_state()
    attributes = {path: set(vars(module)) for path, module in model.named_modules()}
    x = images().requires_grad_()
    assert find_nonfinite(model, x) is not None
    assert find_nonfinite(Net(), x) is None
    assert all(np.array_equal(v, state[k]) for k, v in model.state_dict().items())
    assert [module.training for module in model.modules()] == [False, False, True, False]
    assert {path: set(vars(module)) for path, module in model.named_modules()} == attributes
    assert model.conv.weight.grad is None
    assert model.conv.bias.grad.data.all()
    assert x.grad is None
    assert generator_state() == luck
    assert recording.get() is None


def test_it_goes_together_with_a_trace():
    model = Net()
    with trace(model) as t, blame_nonfinite():
        model(images())
    assert (t.addresses[0], t.addresses[-1]) == ("conv", "sum")
    with pytest.raises(TypeError, match=r"find_nonfinite: model must be an nn\.Module, got function"):
        find_nonfinite(F.relu, images())


def test_a_model_is_a_module():
    with (
        pytest.raises(TypeError, match=r"blame_nonfinite: model must be an nn\.Module or None, got str"),
        blame_nonfinite("net"),
    ):
        pass
