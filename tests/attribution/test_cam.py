from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, hub, nn, trace
from tinygrad_cnn.attribution import cam, grad_cam, grad_cam_pp, layer_cam
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.hub.efficientnet import WEIGHTS
from tinygrad_cnn.hub.photographs import PHOTOGRAPHS
from tinygrad_cnn.models import EfficientNetLite0, LeNet5

CLOSE = {np.float64: {"rtol": 1e-9}, np.float32: {"rtol": 2e-4, "atol": 1e-6}}
BY_GRADIENT = pytest.mark.parametrize("query", [grad_cam, grad_cam_pp, layer_cam])


def maps_and_gradient(model, x, label, layer):
    """Return a layer's maps and the gradient of the score there, asked of the engine directly."""
    model.eval()
    with trace(model) as t:
        y = model(Tensor(x, requires_grad=True))
    (g,) = grad(y[:, label].sum(), t[layer].output)
    return t[layer].output.data, g.data, y.data[:, label]


def test_after_global_average_pooling_grad_cam_is_cam_but_for_the_number_of_places(model, x, dtype):
    found, by_gradient = cam(model, x, 1), grad_cam(model, x, 1)
    assert found.map.shape == (3, 4, 3)
    np.testing.assert_allclose(found.raw, 12 * by_gradient.raw, **CLOSE[dtype])
    np.testing.assert_allclose(found.normalized, by_gradient.normalized, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.raw.mean((1, 2)) + model.head.bias.data[1], found.scores, **CLOSE[dtype])
    np.testing.assert_array_equal(found.weights, np.tile(model.head.weight.data[1], (3, 1)))


@pytest.mark.parametrize("layer", ["pool", "act", "conv.0", "conv", "branch"])
def test_the_formulas_of_the_papers_place_by_place(model, x, dtype, layer):
    maps, g, scores = maps_and_gradient(model, x, 2, layer)
    n, k, h, w = maps.shape
    plain, plus, each = (query(model, x, 2, layer) for query in (grad_cam, grad_cam_pp, layer_cam))
    for i in range(n):
        expected, expected_plus, expected_each = np.zeros((3, h, w))
        for c in range(k):
            a, d = maps[i, c].astype(np.float64), g[i, c].astype(np.float64)
            expected += d.mean() * a
            expected_each += np.maximum(d, 0) * a
            below = 2 * d**2 + a.sum() * d**3
            alpha = np.where(below != 0, d**2 / np.where(below != 0, below, 1), 0)
            weight = (alpha * np.maximum(np.exp(scores[i].astype(np.float64)) * d, 0)).sum()
            np.testing.assert_allclose(plus.weights[i, c], weight, **CLOSE[dtype])
            np.testing.assert_allclose(plain.weights[i, c], d.mean(), **CLOSE[dtype])
            expected_plus += weight * a
        np.testing.assert_allclose(plain.raw[i], expected, **CLOSE[dtype])
        np.testing.assert_allclose(plus.raw[i], expected_plus, **CLOSE[dtype])
        np.testing.assert_allclose(each.raw[i], expected_each, **CLOSE[dtype])
    np.testing.assert_array_equal(each.weights, np.maximum(g, 0))
    np.testing.assert_array_equal(plain.rectified, np.maximum(plain.raw, 0))


def test_grad_cam_pp_weights_are_derivatives_of_the_exponential():
    """Equation 19 follows from Y = e**S with a linear S: check it against derivatives of Y itself."""
    generator = np.random.default_rng(0)
    a, v = Tensor(generator.random((1, 1, 2, 3)), requires_grad=True), generator.random((1, 1, 2, 3))
    power = (a * v).sum().exp()
    (first,) = grad(power, a, create_graph=True)
    alphas = np.zeros(6)
    for p in range(6):
        pick = np.zeros(6)
        pick[p] = 1
        (second,) = grad((first.reshape(6) * pick).sum(), a, create_graph=True)
        (third,) = grad((second.reshape(6) * pick).sum(), a, retain_graph=True)
        d2, d3 = second.data.ravel()[p], third.data.ravel()[p]
        alphas[p] = d2 / (2 * d2 + a.data.sum() * d3)  # equation 10
    weight = (alphas * first.data.ravel()).sum()

    class Linear(nn.Module):
        def forward(self, x):
            return ((x + 0) * v).sum((1, 2, 3)).reshape(-1, 1)

    np.testing.assert_allclose(grad_cam_pp(Linear(), a.data, 0, "add").weights, [[weight]])


def test_scores_too_large_for_a_power_stay_finite(model, x):
    found = grad_cam_pp(model, x, lambda y: y[:, 1] * 0 + y[:, 2] + 2000)
    assert np.isfinite(found.raw).all()
    assert found.raw.any()


@BY_GRADIENT
def test_the_last_maps_are_taken_unless_a_layer_is_named(query, model, x):
    np.testing.assert_array_equal(query(model, x, 1).raw, query(model, x, 1, "pool").raw)
    assert query(LeNet5(), np.ones((1, 1, 28, 28), np.float32), 1).map.shape == (1, 5, 5)
    assert query(model, x, 1, "conv").map.shape == (3, 8, 6)


@BY_GRADIENT
def test_layers_that_give_no_maps(query, model, x):
    with pytest.raises(KeyError, match=r"'convo' is no address of this trace; there are conv, .*conv\.1"):
        query(model, x, 1, "convo")
    with pytest.raises(ValueError, match=r"layer must give maps .* head gives \(3, 4\)"):
        query(model, x, 1, "head")

    class Aside(nn.Module):
        def __init__(self):
            self.used, self.unused = nn.Conv2d(2, 3, 3).double(), nn.Conv2d(2, 3, 3).double()

        def forward(self, x):
            self.unused(x)
            return self.used(x).sum((2, 3))

    x = x.astype(np.float64)
    with pytest.raises(ValueError, match="the target does not depend on the layer unused"):
        query(Aside(), x, 1, "unused")
    with pytest.raises(ValueError, match="no layer gives maps"):
        query(nn.Sequential(nn.Flatten(), nn.Linear(96, 2)).double(), x, 1)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ([nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 2)], "there must be global average pooling and nothing"),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(3, 2)], "there must be global average pooling"),
        ([nn.Flatten(), nn.Linear(72, 2)], "there must be global average pooling and nothing else"),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2), nn.Softmax(1)], "it ends with 4; use grad_cam"),
    ],
)
def test_networks_that_end_otherwise_have_no_cam(pooling, message):
    model = nn.Sequential(nn.Conv2d(2, 3, 3, generator=np.random.default_rng(0)), *pooling)
    x = np.random.default_rng(0).standard_normal((2, 2, 8, 6)).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        cam(model, x, 1)


def test_a_network_that_computes_nothing_has_no_cam(x):
    class Constant(nn.Module):
        def forward(self, x):
            return Tensor(np.zeros((len(x), 2)))

    with pytest.raises(ValueError, match="must end with a linear layer, it computes nothing"):
        cam(Constant(), x, 1)


def test_cam_is_of_classes(model, x):
    with pytest.raises(TypeError, match="a class has weights in the last layer, a function has none; use grad_cam"):
        cam(model, x, lambda y: y[:, 0])


@BY_GRADIENT
def test_randomising_the_weights_changes_the_maps(query, model, x):
    before = query(model, x, 1).raw
    generator = np.random.default_rng(4)
    for name, p in model.named_parameters():
        if name.endswith("weight"):
            p.data = (0.5 * generator.standard_normal(p.shape)).astype(p.dtype)
    after = query(model, x, 1).raw
    assert all(np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.9 for a, b in zip(before, after, strict=True))


# What the network sees of the photographs, 224 x 224: boxes (top, bottom, left, right) drawn by eye before any map was
# made, around the cup with its handle, and around the cat's face from the brow to the chin.
BOXES = {"coffee": (0, 182, 31, 181), "chelsea": (50, 215, 30, 214)}


@pytest.mark.skipif(not WEIGHTS.is_here(), reason="the weights are not in the cache")
@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("query", [cam, grad_cam, grad_cam_pp, layer_cam])
def test_on_photographs_the_hottest_fifth_lies_on_the_object(name, query):
    pytest.importorskip("PIL")
    if not PHOTOGRAPHS[name].is_here():
        pytest.skip(f"{PHOTOGRAPHS[name].name} is not in the cache")
    labels = {"coffee": [967, 968], "chelsea": [281, 282, 285]}[name]  # espresso, cup; tabby, tiger cat, Egyptian cat
    found = query(pretrained(), hub.imagenet_input(hub.photograph(name)), np.array(labels)[:, None])
    top, bottom, left, right = BOXES[name]
    for heat in found.upsampled()[:, 0]:
        hottest = heat >= np.quantile(heat, 0.8)
        assert 0.195 < hottest.mean() < 0.205
        assert hottest[top:bottom, left:right].sum() >= 0.95 * hottest.sum()  # 0.8 is asked; the boxes are 0.54, 0.61


_pretrained: list[EfficientNetLite0] = []


def pretrained() -> EfficientNetLite0:
    """Return the network with its weights, which take a second to read."""
    if not _pretrained:
        _pretrained.append(hub.efficientnet_lite0())
    return _pretrained[0]
