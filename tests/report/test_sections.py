from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.analysis import record_calls, summary
from tinygrad_cnn.analysis.batches import Batches
from tinygrad_cnn.attribution import grad_cam
from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.report import sections
from tinygrad_cnn.report.markup import fitted
from tinygrad_cnn.report.results import Results, results
from tinygrad_cnn.report.units import layers
from tinygrad_cnn.viz import overlay


@pytest.fixture(scope="module")
def model():
    return LeNet5(generator=np.random.default_rng(0))


def test_layers_have_their_numbers(model):
    net = summary(model, (1, 28, 28))
    text = sections.layer_table(net).markup()
    assert text.count("<tr>") == 1 + len(net.rows)
    for piece in ("conv1: Conv2d", "6 × 28 × 28", "(28 + 2·2 - 5)/1 + 1 = 28", "48,120", "117,600", "16 / 4"):
        assert piece in text
    assert 'class="depth1"' in text


def test_the_graph_or_why_not(model, monkeypatch):
    x = Batches("op", model, np.zeros((1, 1, 28, 28)), 1).take([0])[0]
    body = sections.graph(model, x).body
    assert body.startswith('<div class="graph frame"><svg')
    assert 'href="data:image/png;base64,' in body  # a thumbnail

    class Broken:
        def render(self, format):
            raise RuntimeError("no <dot>")

    monkeypatch.setattr(sections, "draw_graph", lambda *args, **options: Broken())
    assert "no &lt;dot&gt;" in sections.graph(model, x).body


def test_filters_in_colour_and_none():
    colour = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 40, 3), nn.Conv2d(40, 2, 1))
    text = sections.filters(colour, 32).body
    assert text.count("<img") == 2  # weights of 1 x 1 are no images
    assert "40 × 4 × 3 × 3" in text
    assert sections.filters(nn.Sequential(nn.Linear(3, 4)), 32) is None


def test_silence(model):
    dataset = synthetic_digits(20)
    text = sections.activity(model, dataset, 10).body
    assert text.count("<svg") == 4
    assert "of 120" in text
    assert "over 20 images" in sections.activity(model, dataset, 10).said
    assert sections.activity(nn.Sequential(nn.Conv2d(1, 2, 3)), dataset, 10) is None


def test_strongest(model):
    dataset = synthetic_digits(20)
    x = Tensor(dataset[:2][0])
    t = record_calls(model, x)
    text = sections.strongest(model, dataset, layers(t, x, None, 32), (28, 28), 10).body
    assert text.count("<div>") == 16
    assert sections.strongest(model, dataset, layers(t, x, ["features.conv1"], 32), (28, 28), 10) is None
    model = LeNet5(generator=np.random.default_rng(0))
    model.features.conv2.bias.data[3] = -1000
    text = sections.strongest(model, dataset, layers(t, x, None, 32), (28, 28), 10).body
    assert "<small>3</small>silent" in text


def test_confusions():
    labels = np.array([0, 0, 1, 2, 2, 2])
    found = Results(labels, np.array([0, 1, 1, 0, 0, 2]), np.ones(6), np.ones(6), 3)
    part = sections.confusion(found, ["cat", "<dog>", "cow"])
    assert part.said.startswith("3 of 6 are right")
    assert '<tr><td>cow</td><td>cat</td><td class="number">2</td></tr><tr><td>cat</td><td>&lt;dog&gt;</td>' in part.body
    assert "<svg" in part.body
    many = Results(labels, labels, np.ones(6), np.ones(6), 41)
    part = sections.confusion(many, [str(k) for k in range(41)])
    assert "<svg" not in part.body
    assert "No mistakes." in part.body


def test_worst_mistakes_have_both_maps(model):
    dataset = synthetic_digits(20)
    found = results(model, dataset, 10)
    batches = Batches("op", model, dataset, 10)
    text = sections.worst(model, batches, found, [f"class {k}" for k in range(10)], None, 3).body
    assert text.count("<figure") == 3
    assert text.count("<img") == 9
    n = found.worst(1)[0]
    assert f"<b>class {found.labels[n]}</b> taken for <b>class {found.predictions[n]}</b>" in text
    assert f"image {n}, " in text
    x, pixels = Tensor(dataset[[n]][0]), sections.image_bytes(dataset[n][0])
    tiles = [
        fitted(overlay(pixels, grad_cam(model, x, int(label)).upsampled()[0]), 84, alt=f"for class {label}")
        for label in (found.predictions[n], found.labels[n])
    ]
    assert f"{tiles[0]}<small>" in text
    assert f"{tiles[1]}<small>" in text
    with pytest.raises(KeyError, match="no address"):
        sections.worst(model, batches, found, [], "features.conv3", 3)
    right = Results(found.labels, found.labels, found.losses, found.sure, 10)
    assert sections.worst(model, batches, right, [], None, 3) is None


def test_mistakes_of_a_network_without_maps():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, generator=np.random.default_rng(0)))
    dataset = synthetic_digits(20)
    found = results(flat, dataset, 10)
    text = sections.worst(flat, Batches("op", flat, dataset, 10), found, [], None, 2).body
    assert text.count("<img") == 2


def test_images_of_any_number_of_channels():
    x = np.random.default_rng(0).standard_normal((5, 4, 6))
    assert [sections.image_bytes(x[:n]).shape for n in (1, 2, 3, 5)] == [(4, 6), (4, 6), (4, 6, 3), (4, 6)]
    assert (sections.image_bytes(x[:3]).min(), sections.image_bytes(x[:3]).max()) == (0, 255)


def test_contents_and_header(model):
    part = sections.Section("a", "A < B", "said", sections.Markup("<hr>"))
    assert sections.contents([part]) == '<nav><a href="#a">A &lt; B</a></nav>'
    assert part.markup() == '<section id="a"><h2>A &lt; B</h2><p class="said">said</p><hr></section>'
    net, dataset = summary(model, (1, 28, 28)), synthetic_digits(5)
    text = sections.header("My <net>", net, Batches("op", model, dataset, 2), None)
    assert "My &lt;net&gt;" in text
    assert "LeNet5 on synthetic digits" in text
    assert "right" not in text


def test_grad_cam_is_told_to_be_a_poor_guide_where_maps_are_flattened(model):
    dataset = synthetic_digits(20)
    averaging = nn.Sequential(nn.Conv2d(1, 10, 5, stride=5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    said = {}
    for name, network in (("flattened", model), ("averaged", averaging)):
        found = results(network, dataset, 10)
        part = sections.worst(network, Batches("op", network, dataset, 10), found, [str(k) for k in range(10)], None, 2)
        said[name] = part.said
    assert "of 5 x 5 places here, are a poor guide: LayerCAM on an earlier layer is better" in said["flattened"]
    assert said["averaged"].endswith("(Grad-CAM).")
