from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.viz.filters import filter_image
from tinygrad_cnn.viz.grid import to_bytes


def conv(*sizes: int) -> nn.Conv2d:
    return nn.Conv2d(*sizes[:2], sizes[2:], generator=np.random.default_rng(0))


def test_filters_of_one_channel_stand_side_by_side():
    layer = conv(1, 3, 2, 4)
    image = filter_image(layer, scale=1, columns=2)
    assert image.shape == (5, 9)
    np.testing.assert_array_equal(image[3:, :4], to_bytes(layer.weight.data[2]).reshape(2, 4))


def test_three_channels_are_colours():
    layer = conv(3, 2, 2, 4)
    image = filter_image(layer, scale=1)
    assert image.shape == (2, 9, 3)
    np.testing.assert_array_equal(image[:, 5:], to_bytes(layer.weight.data[1:].transpose(0, 2, 3, 1))[0])


def test_more_channels_are_a_row_of_parts_on_one_scale():
    w = conv(4, 2, 2, 3).weight.data.astype(np.float64)
    image = filter_image(w, scale=1)
    assert image.shape == (5, 15)
    second = (w[1] - w[1].min()) / (w[1].max() - w[1].min())
    np.testing.assert_array_equal(image[3:, 8:11], np.rint(255 * second[2]))
    joint = filter_image(w, scale=1, joint=True)
    assert (joint[:2].min(), joint[:2].max()) != (joint[3:].min(), joint[3:].max())
    assert (joint == 0).sum() == 1
    beside = filter_image(w, scale=1, columns=2)
    np.testing.assert_array_equal(np.hstack([beside[:, :15], beside[:, 19:]]), np.hstack([image[:2], image[3:]]))


def test_sizes():
    assert filter_image(conv(1, 6, 5, 5)).shape == (35, 6 * 35 + 5 * 3)
    assert filter_image(conv(4, 100, 1, 1), scale=1, most=3).shape == (5, 5)


@pytest.mark.parametrize(
    ("source", "got"), [(nn.Linear(2, 3), "Linear"), (nn.ReLU(), "ReLU"), (np.zeros((2, 3)), r"\(2, 3\)")]
)
def test_only_filters_are_drawn(source, got):
    with pytest.raises(
        ValueError, match=rf"filter_image: expected a layer with a weight \(O, I, KH, KW\).* got .*{got}"
    ):
        filter_image(source)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"most": 0}, ValueError, "filter_image: most must be at least 1, got 0"),
        ({"most": 1.5}, TypeError, "most must be an int"),
        ({"scale": 0}, ValueError, "scale must be at least 1"),
        ({"columns": "a"}, TypeError, "columns must be an int"),
    ],
)
def test_arguments_of_another_kind_are_told(given, kind, message):
    with pytest.raises(kind, match=message):
        filter_image(nn.Conv2d(1, 2, 3), **given)
