from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.analysis import SampleLosses
from tinygrad_cnn.data import ArrayDataset
from tinygrad_cnn.viz import most_wrong, save_most_wrong


def results(n=7):
    labels = np.arange(n) % 3
    predictions = np.where(np.arange(n) < 5, (labels + 1) % 3, labels)
    return SampleLosses(np.arange(n) * 1.5, labels, predictions, np.linspace(0.5, 0.99, n))


def images(n=7, channels=1, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (n, channels, 6, 4), np.uint8)
    return ArrayDataset(pixels, np.arange(n) % 3, mean=0.4, std=0.2, **options)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(most_wrong, "save_picture", lambda figure, path: figures.append(figure))

    def draw(dataset, found, **options):
        return save_most_wrong(dataset, found, tmp_path / "unused.png", **options), figures[-1].axes

    return draw


@pytest.mark.parametrize("channels", [1, 3])
def test_the_largest_losses_come_first_with_their_classes(drawn, channels):
    dataset = images(channels=channels, classes=["cat", "dog", "5 $"])
    worst, axes = drawn(dataset, results(), count=4, columns=3, title="a test")
    assert worst.tolist() == [4, 3, 2, 1]
    assert [a.get_xlabel() for a in axes] == [
        "dog\n5 \\$ 83%",
        "cat\ndog 74%",
        "5 \\$\ncat 66%",
        "dog\n5 \\$ 58%",
        "",
        "",
    ]
    shown = axes[0].images[0].get_array()
    pixels = dataset.images[4].astype(float)
    expected = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    np.testing.assert_allclose(shown, expected[0] if channels == 1 else expected.transpose(1, 2, 0), atol=1e-6)
    assert axes[0].figure.get_supxlabel().startswith("5 of 7 images wrong")
    assert [len(a.images) for a in axes] == [1, 1, 1, 1, 0, 0]


def test_names_of_ones_own_and_nothing_wrong(drawn):
    _, axes = drawn(images(), results(), classes=["a", "b", "c"], count=1)
    assert axes[0].get_xlabel() == "b\nc 83%"
    right = results()._replace(predictions=results().labels)
    worst, axes = drawn(images(), right)
    assert len(worst) == 0
    assert axes[0].figure.get_supxlabel().startswith("0 of 7 images wrong")


def test_a_picture_is_written(tmp_path):
    save_most_wrong(images(), results(), tmp_path / "wrong.png", columns=2)
    assert (tmp_path / "wrong.png").read_bytes().startswith(b"\x89PNG")


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="the losses are of 7 images, the data set has 6"):
        save_most_wrong(images(6), results(), tmp_path / "wrong.png")
    with pytest.raises(ValueError, match="save_most_wrong: count must be at least 1, got 0"):
        save_most_wrong(images(), results(), tmp_path / "wrong.png", count=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": 3}, "needs a data set and what analysis.sample_losses found in it, got int and SampleLosses"),
        ({"found": [1, 2]}, "got ArrayDataset and list"),
        ({"count": 1.5}, "count must be an int"),
        ({"columns": "a"}, "columns must be an int"),
    ],
)
def test_arguments_of_another_kind_are_told(wrong, message, tmp_path):
    given = {"dataset": images(), "found": results(), "path": tmp_path / "wrong.png", **wrong}
    with pytest.raises(TypeError, match=message):
        save_most_wrong(**given)
