from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.attribution import gradient_x_input, integrated_gradients, saliency, smooth_grad
from tinygrad_cnn.autograd import no_grad

only_double = pytest.mark.parametrize("dtype", [np.float64], ids=["float64"])


def value(model, x, label):
    with no_grad():
        return model.eval()(x).data[:, label]


@only_double
def test_the_gradient_is_that_of_central_differences(model, x):
    raw = saliency(model, x, 1).raw
    for place in [(0, 0, 0), (1, 3, 2), (0, 7, 5), (1, 4, 0)]:
        step = np.zeros_like(x)
        step[(slice(None), *place)] = 1e-6
        slope = (value(model, x + step, 1) - value(model, x - step, 1)) / 2e-6
        np.testing.assert_allclose(raw[(slice(None), *place)], slope, rtol=1e-6, atol=1e-8)


def test_maps_join_the_channels_as_the_papers_do(model, x):
    gradient, product = saliency(model, x, 1), gradient_x_input(model, x, 1)
    np.testing.assert_array_equal(gradient.map, abs(gradient.raw).max(1))
    np.testing.assert_array_equal(product.raw, gradient.raw * x)
    np.testing.assert_array_equal(product.map, product.raw.sum(1))
    for found in (integrated_gradients(model, x, 1, steps=3), smooth_grad(model, x, 1, samples=3)):
        joined = found.raw.sum(1) if found.method == "integrated_gradients" else abs(found.raw).max(1)
        np.testing.assert_array_equal(found.map, joined)


@only_double
def test_integrated_gradients_add_up_to_the_rise_of_the_score(model, x):
    baseline = np.random.default_rng(3).standard_normal((1, 2, 1, 6))
    rise = value(model, x, 1) - value(model, np.broadcast_to(baseline, x.shape).copy(), 1)
    gaps = [
        abs(integrated_gradients(model, x, 1, baseline=baseline, steps=steps).raw.sum((1, 2, 3)) - rise).max()
        for steps in (4, 1000)
    ]
    assert gaps[1] < 1e-3 * abs(rise).max()  # a mean over the pieces of a piecewise constant slope
    assert gaps[1] < gaps[0] / 20


@only_double
def test_integrated_gradients_of_a_smooth_network_are_exact(x):
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    rise = value(model, x, 1) - value(model, np.zeros_like(x), 1)
    gaps = [abs(integrated_gradients(model, x, 1, steps=n).raw.sum((1, 2, 3)) - rise).max() for n in (100, 200)]
    assert gaps[0] < 1e-3 * abs(rise).max()
    assert 3 < gaps[0] / gaps[1] < 5  # the midpoint rule is of second order


def test_of_a_linear_model_all_gradients_say_the_same(x):
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 3)).double()
    x = x.astype(np.float64)
    weights = model[1].weight.data[2].reshape(1, 2, 8, 6)
    np.testing.assert_allclose(saliency(model, x, 2).raw, np.broadcast_to(weights, x.shape))
    np.testing.assert_allclose(smooth_grad(model, x, 2, samples=3).raw, np.broadcast_to(weights, x.shape))
    np.testing.assert_allclose(gradient_x_input(model, x, 2).raw, weights * x)
    np.testing.assert_allclose(integrated_gradients(model, x, 2, baseline=1.5, steps=2).raw, weights * (x - 1.5))


def test_without_noise_smooth_grad_is_the_gradient(model, x):
    np.testing.assert_allclose(smooth_grad(model, x, 1, noise=0, samples=7).raw, saliency(model, x, 1).raw, rtol=1e-12)


@only_double
def test_smooth_grad_is_the_mean_at_noisy_images(model, x):
    found = smooth_grad(model, x, 1, noise=0.3, samples=4, generator=np.random.default_rng(5))
    generator, total = np.random.default_rng(5), 0
    for _ in range(4):
        noise = generator.standard_normal((2, 8, 6))
        total += np.stack([saliency(model, (one + 0.3 * np.ptp(one) * noise)[None], 1).raw[0] for one in x])
    np.testing.assert_allclose(found.raw, total / 4, rtol=1e-9)
    again, other = smooth_grad(model, x, 1), smooth_grad(model, x, 1, generator=np.random.default_rng(1))
    np.testing.assert_array_equal(again.raw, smooth_grad(model, x, 1).raw)
    assert not np.allclose(again.raw, other.raw)


def test_randomising_the_weights_changes_the_maps(model, x):
    """The sanity check of Adebayo et al. (2018): a map that stays the same does not explain the model."""
    for query in (saliency, gradient_x_input, integrated_gradients, smooth_grad):
        before = query(model, x, 1).map
        kept = model.head.weight.data
        model.head.weight.data = np.random.default_rng(4).standard_normal(kept.shape).astype(kept.dtype)
        after = query(model, x, 1).map
        model.head.weight.data = kept
        assert all(np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.9 for a, b in zip(before, after, strict=True))


@only_double
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: integrated_gradients(m, x, 1, steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda m, x: integrated_gradients(m, x, 1, baseline=np.ones(5)), r"baseline \(5,\) does not broadcast to"),
        (lambda m, x: smooth_grad(m, x, 1, samples=1.5), "samples must be a whole number of at least 1, got 1.5"),
        (lambda m, x: smooth_grad(m, x, 1, noise=-1), "noise must be at least 0, got -1"),
    ],
)
def test_settings_out_of_range(model, x, call, message):
    with pytest.raises(ValueError, match=message):
        call(model, x)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda net, x: integrated_gradients(net, x, baseline="a"),
            TypeError,
            "baseline must be a number or an array of numbers",
        ),
        (lambda net, x: integrated_gradients(net, x, baseline=[1, 2]), ValueError, "baseline .* does not broadcast"),
        (lambda net, x: integrated_gradients(net, x, steps=1.5), ValueError, "steps must be a whole number"),
        (lambda net, x: smooth_grad(net, x, noise="a"), TypeError, "noise must be a number, got 'a'"),
        (lambda net, x: smooth_grad(net, x, noise=float("nan")), ValueError, "noise must be at least 0"),
        (lambda net, x: smooth_grad(net, x, generator=3), TypeError, "generator must be a numpy.random.Generator"),
        (lambda net, x: saliency(net, x[:0]), ValueError, "input must be images"),
        (lambda net, x: saliency(net, "a"), ValueError, "input must be images"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), np.ones((1, 1, 4, 3), np.float32))
