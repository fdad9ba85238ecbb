from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.attribution import deconvnet, guided_backprop, saliency
from tinygrad_cnn.attribution.guided import is_rectifier
from tinygrad_cnn.models import LeNet5

BOTH = pytest.mark.parametrize("query", [guided_backprop, deconvnet])


def by_hand(model: LeNet5, x: np.ndarray, label: int, rule: str) -> np.ndarray:
    """Walk back through LeNet-5 layer by layer, each gradient asked alone, with the rule at every ReLU."""
    layers = [*model.features, *model.classifier]
    values = [x]
    for layer in layers:
        values.append(layer(Tensor(values[-1])).data)
    g = np.zeros_like(values[-1])
    g[:, label] = 1
    for layer, before in zip(reversed(layers), reversed(values[:-1]), strict=True):
        if isinstance(layer, nn.ReLU):
            gate = {"guided": (before > 0) & (g > 0), "deconvnet": g > 0, "gradient": before > 0}[rule]
            g = np.where(gate, g, 0)
        else:
            leaf = Tensor(before, requires_grad=True)
            layer(leaf).backward(g)
            g = leaf.grad.data
    return g


def test_the_rules_hold_at_every_relu_of_lenet(dtype):
    model = LeNet5(generator=np.random.default_rng(0))
    model.double() if dtype is np.float64 else model.float()
    x = np.random.default_rng(1).standard_normal((2, 1, 28, 28)).astype(dtype)
    close = {"rtol": 1e-10} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-6}
    for query, rule in ((guided_backprop, "guided"), (deconvnet, "deconvnet"), (saliency, "gradient")):
        found = query(model, x, 3)
        expected = by_hand(model, x, 3, rule)
        np.testing.assert_allclose(found.raw, expected, **close)
        np.testing.assert_allclose(found.map, abs(expected).max(1), **close)
        assert abs(expected).max() > 0


@BOTH
def test_where_everything_is_positive_all_rules_are_the_gradient(query, x):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4), nn.ReLU())
    model = model.double().append(nn.Linear(4, 2).double())
    for p in model.parameters():
        p.data = abs(p.data)
    x = abs(x).astype(np.float64)
    plain = saliency(model, x, 1).raw
    assert (plain >= 0).all()
    assert plain.any()
    np.testing.assert_array_equal(query(model, x, 1).raw, plain)


@BOTH
def test_layers_that_share_a_rectifier_and_functions_are_guided_too(query, model, x):
    found, plain = query(model, x, 1).raw, saliency(model, x, 1).raw
    assert not np.allclose(found, plain)

    class Functional(nn.Module):
        def __init__(self, rectify):
            self.rectify, self.linear = rectify, nn.Linear(96, 3, generator=np.random.default_rng(0)).double()

        def forward(self, x):
            return self.linear(self.rectify(self.rectify(x.reshape(-1, 96)) - 0.5))

    x = x.astype(np.float64)
    by_relu = query(Functional(F.relu), x, 1).raw
    for same in (lambda x: x.clamp(min=0), lambda x: x.maximum(0), lambda x: F.hardtanh(x, 0, 99)):
        np.testing.assert_array_equal(query(Functional(same), x, 1).raw, by_relu)


def test_what_counts_as_a_rectifier():
    x = Tensor([1.0, -1.0], requires_grad=True)
    w = Tensor([0.1], requires_grad=True)
    yes = F.relu(x), F.relu6(x), F.leaky_relu(x), F.prelu(x, w), x.clamp(0, 1), x.maximum(0), F.hardtanh(x, 0, 2)
    no = F.tanh(x), x.clamp(-1, 1), x.maximum(1), x.maximum(x * 0), F.hardtanh(x), x * 2, F.elu(x)
    assert all(is_rectifier(y.grad_fn) for y in yes)
    assert not any(is_rectifier(y.grad_fn) for y in no)


def test_leaky_rectifiers_and_their_slopes():
    class Leaky(nn.Module):
        def __init__(self):
            self.slope = nn.Parameter(np.array([0.5]))

        def forward(self, x):
            return F.prelu(x, self.slope).reshape(-1, 4) * np.array([1.0, 1, -1, -1])

    model, x = Leaky(), np.array([1.0, -1, 1, -1]).reshape(1, 1, 2, 2)
    total = lambda y: y.sum(1)
    np.testing.assert_array_equal(saliency(model, x, total).raw.ravel(), [1, 0.5, -1, -0.5])
    np.testing.assert_array_equal(guided_backprop(model, x, total).raw.ravel(), [1, 0.5, 0, 0])
    np.testing.assert_array_equal(deconvnet(model, x, total).raw.ravel(), [1, 1, 0, 0])
    assert model.slope.grad is None


@BOTH
def test_without_a_rectifier_there_is_nothing_to_guide(query, x):
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 4), nn.Tanh()).double()
    with pytest.raises(ValueError, match="there is no rectifier such as relu between the images and the target"):
        query(model, x.astype(np.float64), 1)
    with pytest.raises(ValueError, match="the target does not depend on the images"):
        query(model, x.astype(np.float64), lambda y: (model[1].bias * 1).sum())
