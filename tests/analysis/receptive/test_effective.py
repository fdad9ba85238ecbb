from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad, state
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import effective_field
from tinygrad_cnn.models import LeNet5


def deep(layers=8, kernel=3):
    generator = np.random.default_rng(0)
    parts = [nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False, generator=generator) for _ in range(layers)]
    for part in parts:
        part.weight.data[:] = 1 / kernel**2
    return nn.Sequential(*parts)


def test_equal_weights_make_the_binomial_bell_of_the_paper():
    """The gradient through n layers of equal weights is the n-fold convolution of the kernel with itself."""
    bell = np.ones(1)
    for _ in range(8):
        bell = np.convolve(bell, np.ones(3) / 3)
    found = effective_field(deep(), "7", np.zeros((2, 1, 21, 19), np.float32), unit=(10, 9))
    expected = np.zeros((21, 19))
    expected[2:19, 1:18] = np.outer(bell, bell)
    np.testing.assert_allclose(found.heat, expected, atol=1e-7)
    assert found.heat.dtype == np.float64
    assert found.field.size == (17, 17)
    assert found.theoretical_size == 17
    assert found.size == pytest.approx(np.sqrt((expected > 0.0455 * expected.max()).sum()))
    assert str(found) == f"{found.size:.1f} of 17.0 pixels matter"


def test_what_matters_grows_slower_than_what_is_seen():
    small, large = (effective_field(deep(n), str(n - 1), input_size=(1, 65, 65), count=1) for n in (6, 24))
    assert large.theoretical_size / small.theoretical_size > 3.5
    assert large.size / small.size < 2.3  # about the square root of 4


def test_it_is_the_mean_over_inputs_and_channels():
    model = LeNet5(generator=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((3, 1, 28, 28)).astype(np.float32)
    each = [effective_field(model, "features.pool2", x[n : n + 1], channel=2) for n in range(3)]
    together = effective_field(model, "features.pool2", Tensor(x), channel=2)
    np.testing.assert_allclose(together.heat, np.mean([one.heat for one in each], 0), rtol=1e-5, atol=1e-9)
    assert together.unit == (2, 2)
    assert not together.heat[~together.field.mask(2, 2)].any()
    assert not np.allclose(together.heat, effective_field(model, "features.pool2", x).heat)


def test_gradients_of_both_signs_matter():
    conv = nn.Conv2d(2, 1, (1, 3), bias=False)
    conv.weight.data[:] = [[[[1, -2, 3]], [[-1, -2, 5]]]]
    found = effective_field(conv, "conv2d", np.zeros((1, 2, 1, 5), np.float32), unit=(0, 1))
    assert found.heat.tolist() == [[0, 1, 2, 4, 0]]


def test_random_inputs_are_the_same_every_time_and_come_from_a_generator():
    model = LeNet5(generator=np.random.default_rng(0))
    before = state.generator_state()
    a, b = (effective_field(model, "features.pool1", input_size=(1, 28, 28), count=2).heat for _ in range(2))
    c = effective_field(
        model, "features.pool1", input_size=(1, 28, 28), count=2, generator=np.random.default_rng(5)
    ).heat
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert state.generator_state() == before


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.ReLU()).train()
    x = Tensor(np.ones((2, 1, 6, 6), np.float32), requires_grad=True)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    for _ in range(100):
        with no_grad():
            effective_field(model, "3", x)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert x.grad is None


def test_bad_arguments():
    model = LeNet5(generator=np.random.default_rng(0))
    x = np.zeros((1, 1, 28, 28), np.float32)
    with pytest.raises(TypeError, match="either inputs"):
        effective_field(model, "features.pool1")
    with pytest.raises(TypeError, match="either inputs"):
        effective_field(model, "features.pool1", x, input_size=(1, 28, 28))
    with pytest.raises(ValueError, match=r"needs maps \(N, C, H, W\)"):
        effective_field(model, "classifier.fc1", x)
    with pytest.raises(IndexError, match=r"has units of \(14, 14\)"):
        effective_field(model, "features.pool1", x, unit=(14, 0))
    with pytest.raises(KeyError, match="no address"):
        effective_field(model, "features.pool7", x)
    with pytest.raises(ValueError, match="effective_field: count must be at least 1, got 0"):
        effective_field(model, "features.pool1", input_size=(1, 28, 28), count=0)

    class Cut(nn.Module):
        def forward(self, x):
            with no_grad():
                return F.relu(x)

    with pytest.raises(ValueError, match="relu does not depend on the image by operations with a gradient"):
        effective_field(Cut(), "relu", x)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"count": 1.5}, TypeError, "count must be an int, got 1.5"),
        ({"count": "a"}, TypeError, "count must be an int"),
        ({"count": -1}, ValueError, "count must be at least 1"),
        ({"unit": (1.5, 0)}, TypeError, "whole numbers"),
    ],
)
def test_arguments_of_another_kind_are_told(given, kind, message):
    with pytest.raises(kind, match=message):
        effective_field(nn.Conv2d(1, 1, 3), "conv2d", input_size=(1, 6, 5), **given)
