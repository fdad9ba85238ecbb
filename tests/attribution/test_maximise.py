from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn, no_grad
from tinygrad_cnn.attribution import Maximized, maximize_activation
from tinygrad_cnn.attribution.maximise import blurred
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.models import EfficientNetLite0, LeNet5

FREE = {"l2": 0, "blur": 0, "jitter": 0}


def roughness(images: np.ndarray) -> float:
    return float(np.mean([(np.diff(images, axis=axis) ** 2).mean() for axis in (2, 3)]))


def test_a_linear_unit_likes_its_own_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3)).double()
    found = maximize_activation(model, (1, 4, 6), 2, bounds=(-2, 3), steps=400, rate=1, **FREE)
    weights = model[1].weight.data[2].reshape(1, 1, 4, 6)
    np.testing.assert_array_equal(found.images, np.where(weights > 0, 3, -2))
    best = np.where(weights > 0, 3, -2).ravel() @ weights.ravel() + model[1].bias.data[2]
    np.testing.assert_allclose(found.activations[-1], best)


@pytest.mark.parametrize(
    ("unit", "layer", "place"),
    [
        (2, None, np.s_[2]),
        ((4,), "branch", np.s_[4]),
        ((4, 3), "branch", np.s_[4, 3]),
        ((5, 7, 5), "act", np.s_[5, 7, 5]),
        (1, "conv", np.s_[1]),
    ],
)
def test_classes_channels_rows_and_units(model, dtype, unit, layer, place):
    found = maximize_activation(model, (2, 8, 6), unit, layer, bounds=(-1, 1), steps=20, **FREE)
    assert found.images.shape == (1, 2, 8, 6)
    assert found.images.dtype == dtype
    assert found.activations.shape == (21, 1)
    assert found.activations[-1, 0] > found.activations[0, 0]
    calls = record_calls(model, found.images)
    output = calls[layer].output.data if layer else calls[-1].output.data
    np.testing.assert_allclose(output[0][place].mean(), found.activations[-1, 0], rtol=1e-5)


def test_several_units_climb_side_by_side_as_they_do_alone(model, dtype):
    both = maximize_activation(model, (2, 8, 6), [0, (3,)], steps=5, start=0.4)
    for n, unit in enumerate((0, (3,))):
        alone = maximize_activation(model, (2, 8, 6), unit, steps=5, start=0.4)
        np.testing.assert_allclose(both.images[n], alone.images[0], rtol=1e-3 if dtype is np.float32 else 1e-9)


def test_restraints_keep_the_image_smooth_and_small():
    model = LeNet5(generator=np.random.default_rng(0))
    free = maximize_activation(model, (1, 28, 28), 3, steps=60, bounds=(-1, 1), **FREE)
    for restraint in ({"l2": 0.05}, {"blur": 1.0, "blur_every": 1}, {"jitter": 3}):
        held = maximize_activation(model, (1, 28, 28), 3, steps=60, bounds=(-1, 1), **{**FREE, **restraint})
        assert held.activations[-1, 0] < free.activations[-1, 0]
        if "l2" in restraint:
            assert (held.images**2).mean() < 0.7 * (free.images**2).mean()
        else:
            assert roughness(held.images) < 0.8 * roughness(free.images)


def test_jitter_moves_the_gradient_back_to_where_it_belongs():
    """To a network that looks at each pixel alone and then takes the mean, it makes no difference where they are."""
    layers = nn.Conv2d(1, 3, 1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    model, start = nn.Sequential(*layers).double(), np.random.default_rng(0).standard_normal((1, 5, 7))
    settings = {"steps": 6, "bounds": (-3, 3), "start": start, "l2": 0, "blur": 0}
    still, shaken = (maximize_activation(model, (1, 5, 7), 1, jitter=jitter, **settings) for jitter in (0, 4))
    np.testing.assert_allclose(shaken.images, still.images)
    np.testing.assert_allclose(shaken.activations, still.activations)


def test_images_stay_within_bounds_and_begin_where_they_are_told():
    model = LeNet5()
    start = np.random.default_rng(0).random((1, 28, 28), np.float32)
    found = maximize_activation(model, (1, 28, 28), [1, 2], steps=8, rate=0.5, bounds=(0.2, 0.7), start=start)
    assert 0.2 <= found.images.min() < 0.21
    assert 0.69 < found.images.max() <= np.float32(0.7)
    with no_grad():
        expected = model(start[None].clip(0.2, 0.7)).data[0]
    tiny = maximize_activation(model, (1, 28, 28), [1, 2], steps=1, bounds=(0.2, 0.7), start=start, **FREE)
    np.testing.assert_allclose(tiny.activations[0], expected[1:3], rtol=1e-5)


def test_the_same_generator_gives_the_same_image():
    model = LeNet5()
    again = [maximize_activation(model, (1, 28, 28), 1, steps=3).images for _ in range(2)]
    np.testing.assert_array_equal(*again)
    other = maximize_activation(model, (1, 28, 28), 1, steps=3, generator=np.random.default_rng(1)).images
    assert not np.array_equal(again[0], other)


def test_it_climbs_in_efficientnet_lite0():
    model = EfficientNetLite0(10, generator=np.random.default_rng(0))
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.momentum = 1
    model(np.random.default_rng(1).standard_normal((4, 3, 64, 48)).astype(np.float32))  # statistics of some images
    found = maximize_activation(model, (3, 64, 48), 5, bounds=(-1, 1), steps=3, rate=0.001, **FREE)
    assert found.activations[-1, 0] > found.activations[0, 0]
    inside = maximize_activation(
        model, (3, 64, 48), [7, (2, 3, 1)], "features.3", bounds=(-1, 1), steps=3, rate=0.001, **FREE
    )
    assert (inside.activations[-1] > inside.activations[0]).all()


def test_blurring_keeps_what_is_even_and_spreads_a_point():
    np.testing.assert_allclose(blurred(np.full((2, 3, 4, 5), 7.0), 1.3), 7)
    point = np.zeros((1, 31, 27))
    point[0, 15, 13] = 1
    spread = blurred(point, 2.0)
    rows = np.arange(31) - 15
    np.testing.assert_allclose(spread.sum(), 1)
    np.testing.assert_allclose(spread, spread[:, ::-1, ::-1], atol=1e-15)
    assert abs((spread.sum(2)[0] * rows**2).sum() - 4) < 0.15  # the variance, but for the cut tails


def test_what_is_found_says_what_it_is():
    found = Maximized(np.zeros((2, 1, 4, 6)), np.array([[0.0, 1], [2, 3.5]]))
    assert repr(found) == "<maximized: images (2, 1, 4, 6), activations 0 -> 2, 1 -> 3.5>"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"unit": 4}, IndexError, r"unit \(4,\) is not in what the layer gives for an image, \(4,\)"),
        ({"unit": (1, 2)}, IndexError, r"unit \(1, 2\) is not in what the layer gives for an image, \(4,\)"),
        ({"unit": (5, 8, 0), "layer": "act"}, IndexError, r"unit \(5, 8, 0\) .* \(6, 8, 6\)"),
        ({"unit": 1.5}, TypeError, "a unit is a whole number or a tuple of them, got 1.5"),
        ({"layer": "nowhere"}, KeyError, "'nowhere' is no address"),
        ({"steps": 0}, ValueError, "steps must be above 0, got 0"),
        ({"l2": -1}, ValueError, "l2 must be at least 0, got -1"),
        ({"bounds": (1, 1)}, ValueError, "high - low of bounds must be above 0, got 0"),
        ({"input_size": (8, 6)}, ValueError, r"input_size must be \(C, H, W\), got \(8, 6\)"),
    ],
)
def test_settings_that_are_none(model, settings, error, message):
    with pytest.raises(error, match=message):
        maximize_activation(model, **{"input_size": (2, 8, 6), "unit": 1, "steps": 1, **settings})


def test_a_unit_that_does_not_see_the_image():
    class Deaf(nn.Module):
        def __init__(self):
            self.bias = nn.Parameter(np.ones(3, np.float32))

        def forward(self, x):
            return (self.bias * 2).reshape(1, 3) + x.sum().detach()

    with pytest.raises(ValueError, match="the output does not depend on the image"):
        maximize_activation(Deaf(), (1, 4, 6), 1)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"bounds": 3}, TypeError, r"bounds must be two numbers, \(low, high\), got 3"),
        ({"bounds": ("a", 1)}, TypeError, "each of bounds must be a number"),
        ({"steps": "a"}, TypeError, "steps must be an int"),
        ({"steps": 1.5}, TypeError, "steps must be an int"),
        ({"rate": "a"}, TypeError, "rate must be a number"),
        ({"jitter": 1.5}, TypeError, "jitter must be an int"),
        ({"start": "a"}, TypeError, "start must be a number or an array"),
        ({"start": [1, 2]}, ValueError, "start .* does not broadcast"),
        ({"generator": 3}, TypeError, "generator must be"),
        ({"unit": []}, ValueError, "needs at least one unit"),
        ({"blur": None}, TypeError, "blur must be a number"),
    ],
)
def test_arguments_of_another_kind_are_told(given, kind, message):
    with pytest.raises(kind, match=message):
        maximize_activation(nn.Conv2d(1, 2, 3), (1, 5, 4), **{"unit": 0, "steps": 1, **given})
