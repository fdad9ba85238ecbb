from __future__ import annotations

import os

import numpy as np
import pytest

from tinygrad_cnn import Tensor, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import record_calls
from tinygrad_cnn.analysis.strongest import Activation
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz.features import feature_map_image, feature_maps, save_feature_maps, strongest_image
from tinygrad_cnn.viz.grid import image_grid, to_bytes


@pytest.fixture(scope="module")
def net():
    model = LeNet5(generator=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 1, 28, 28)).astype(np.float32)
    return model, x, record_calls(model, x)


@pytest.mark.parametrize("joint", [False, True])
def test_the_maps_are_those_of_a_forward_pass_by_hand(net, joint):
    model, x, t = net
    conv = model.features.conv1
    maps = np.maximum(F.conv2d(x, conv.weight.data, conv.bias.data, padding=2), 0)[1]
    image = feature_map_image(t["features.relu1"], 1, joint=joint, columns=4, scale=3)
    np.testing.assert_array_equal(image, image_grid(to_bytes(maps, joint), 4, 3))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 5), (2, 3)])
def test_values_with_a_batch(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    maps = feature_maps(Tensor(x), -1)
    assert maps.shape == (3, *(1,) * (4 - len(shape)), *shape[2:])
    np.testing.assert_array_equal(maps.ravel(), x[1].ravel())


def test_small_maps_are_enlarged_and_channels_chosen(net):
    t = net[2]
    assert feature_map_image(t["features.pool2"]).shape == (2 * 50 + 1, 8 * 50 + 7)
    assert feature_map_image(t["features.pool1"], channels=[5, 0]).shape == (56, 2 * 56 + 1)
    assert feature_map_image(t["classifier.fc1"]).shape == (8 * 12 + 7, 16 * 12 + 15)
    two = feature_map_image(t["features.pool1"], channels=[5, 0], scale=1)
    scores = t["classifier.fc3"].output.data[:1].reshape(10, 1, 1)
    np.testing.assert_array_equal(
        feature_map_image(t["classifier.fc3"], scale=1, columns=10)[0, ::2], to_bytes(scores, True).ravel()
    )
    np.testing.assert_array_equal(two[:, :14], to_bytes(t["features.pool1"].output.data[0])[5])


def test_what_there_is_not(net):
    t = net[2]
    with pytest.raises(IndexError, match=r"channel 6 is not one of the 6 of <features.conv1"):
        feature_map_image(t["features.conv1"], channels=[0, 6])
    with pytest.raises(IndexError, match="no sample 2 in a batch of 2"):
        feature_map_image(t["features.conv1"], 2)
    with pytest.raises(ValueError, match=r"expected values \(N, C, H, W\).*got shape \(1, 2, 3, 4, 5\)"):
        feature_maps(np.zeros((1, 2, 3, 4, 5)))


def test_values_of_a_trace_with_gradients(net):
    model, x, t = net
    with trace(model) as recorded:
        model(x)
    image = feature_map_image(recorded["features.conv1"])
    np.testing.assert_array_equal(image, feature_map_image(t["features.conv1"]))


def test_a_picture_of_several_addresses(net, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "maps.svg"
    save_feature_maps([net[2][name] for name in ("features.conv2", "classifier.fc1")], path, "a $5 digit", most=6)
    text = path.read_text()
    assert "features.conv2: 16 x 10 x 10, the first 6" in text
    assert "classifier.fc1: 120<" in text
    assert "a $5 digit" in text
    assert os.listdir(tmp_path) == ["maps.svg"]
    with pytest.raises(ValueError, match="there are no calls to draw"):
        save_feature_maps([], path)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_regions_stand_in_rows_and_have_grey_borders(channels):
    region = np.arange(channels * 6.0).reshape(channels, 2, 3)
    inner = Activation(2.0, 0, (0, 0), ((0, 2), (0, 3)), region)
    corner = Activation(1.0, 1, (0, 0), ((0, 1), (1, 3)), region[:, :1, 1:], ((1, 0), (0, 1)))
    silent = Activation(0.0, 2, (0, 0), ((0, 2), (0, 3)), region)
    image = strongest_image([[inner, corner, silent], [silent], [corner]], scale=1)
    grey = image[..., 0] if channels == 3 else image
    assert image.shape == ((8, 7, 3) if channels == 3 else (8, 7))
    assert grey[0, 4:].tolist() == [128] * 3
    assert grey[1, 6] == 128
    assert grey[1, 4] < grey[1, 5] < 256
    assert (grey[3:5] == 255).all()  # the second channel did not answer
    np.testing.assert_array_equal(grey[6:, :3], grey[:2, 4:])
    assert strongest_image([[inner]]).shape[:2] == (32, 48)
    with pytest.raises(ValueError, match="no activation is greater than 0"):
        strongest_image([[silent], []])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: feature_map_image(x, channels=3), TypeError, "channels must be a list of whole numbers, got 3"),
        (lambda x: feature_map_image(x, channels=["a"]), TypeError, "a channel must be an int"),
        (lambda x: feature_map_image(x, 1.5), TypeError, "sample must be an int"),
        (lambda x: feature_map_image(x, columns=1.5), TypeError, "columns must be an int"),
        (lambda x: strongest_image(3), TypeError, "found must be what strongest_activations returns"),
        (lambda x: strongest_image("ab"), TypeError, "found must be"),
        (lambda x: save_feature_maps(3, "a.png"), TypeError, "calls must be those of a trace"),
        (lambda x: save_feature_maps([x], "a.png"), TypeError, "calls must be"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(np.zeros((2, 3, 4, 5)))
