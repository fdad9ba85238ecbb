from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from tinygrad_cnn.viz import curves
from tinygrad_cnn.viz.curves import save_learning_curves

RECORDS = [
    {"epoch": 0.5, "loss": 2.0},
    {"epoch": 1, "train_loss": 0.4, "test_loss": 0.1, "train_accuracy": 0.9, "test_accuracy": 0.96},
    {"epoch": 1.5, "loss": 0.2},
    {"epoch": 2, "train_loss": 0.1, "test_loss": 0.08, "train_accuracy": 0.97, "test_accuracy": 0.9751},
    {"note": "no epoch"},
]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw records and return the figure that would have been written."""
    figures = []
    monkeypatch.setattr(curves, "save_picture", lambda figure, path: figures.append(figure))

    def draw(records, **options):
        save_learning_curves(records, tmp_path / "unused.png", **options)
        return figures[-1]

    return draw


def lines(axes):
    return {line.get_label(): np.asarray(line.get_xydata()) for line in axes.get_lines()}


def test_what_is_drawn_is_what_was_recorded(drawn):
    loss, accuracy = drawn(RECORDS).axes
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    assert loss.get_ylabel() == "loss (mean over images)"
    assert accuracy.get_ylabel() == "accuracy (% of the images)"
    np.testing.assert_array_equal(lines(loss)["test"], [(1, 0.1), (2, 0.08)])
    np.testing.assert_array_equal(lines(loss)["training batches"], [(0.5, 2.0), (1.5, 0.2)])
    np.testing.assert_array_equal(lines(loss)["training, mean over the epoch"], [(1, 0.4), (2, 0.1)])
    np.testing.assert_allclose(lines(accuracy)["test"], [(1, 96), (2, 97.51)])
    assert "validation" not in lines(accuracy)


def test_the_last_test_value_is_written_out(drawn):
    loss, accuracy = drawn(RECORDS).axes
    assert [text.get_text() for text in loss.texts] == ["0.0800"]
    assert [text.get_text() for text in accuracy.texts] == ["97.51%"]


def test_only_the_panels_with_something_to_show(drawn):
    assert len(drawn([{"epoch": 1, "loss": 1.0}]).axes) == 1
    assert drawn([{"epoch": 1, "accuracy": 0.5}]).axes[0].get_ylabel().startswith("accuracy")


def test_the_scale_is_honest(drawn):
    (small,) = drawn([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]).axes
    assert small.get_yscale() == "linear"
    assert small.get_ylim()[0] == 0
    (large,) = drawn([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 0.01}]).axes
    assert large.get_yscale() == "log"
    assert "logarithmic" in large.get_ylabel()
    (zero,) = drawn([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 0.0}]).axes
    assert zero.get_yscale() == "linear"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_that_diverged_is_still_drawn(tmp_path, value):
    save_learning_curves([{"epoch": 1, "test_loss": 1.0}, {"epoch": 2, "test_loss": value}], tmp_path / "a.png")
    save_learning_curves([{"epoch": 1, "test_loss": value}], tmp_path / "b.png")


def test_the_title_is_text_and_not_mathematics(drawn):
    assert drawn(RECORDS, title="$ 5 and _ 6 $").get_suptitle() == r"\$ 5 and _ 6 \$"
    assert drawn(RECORDS).get_suptitle() == "Learning curves"


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_ending_says_the_format(tmp_path, suffix, start):
    path = tmp_path / f"curves{suffix}"
    save_learning_curves(RECORDS, path)
    assert path.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [path.name]


def test_the_picture_is_large_enough_to_read(tmp_path):
    save_learning_curves(RECORDS, tmp_path / "curves.png")
    width, height = struct.unpack(">II", (tmp_path / "curves.png").read_bytes()[16:24])
    assert width > 1200
    assert height > 500


@pytest.mark.parametrize("records", [[], [{"epoch": 1}], [{"loss": 1.0}], [{"epoch": 1, "speed": 3}]])
def test_nothing_to_draw(tmp_path, records):
    with pytest.raises(ValueError, match=f"no record holds 'epoch' and one of loss, .*got {len(records)} records"):
        save_learning_curves(records, tmp_path / "curves.png")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda path: save_learning_curves(3, path), TypeError, "metrics are records .* got 3"),
        (lambda path: save_learning_curves([1], path), TypeError, "metrics are records"),
        (
            lambda path: save_learning_curves([{"epoch": 1, "loss": "a"}], path),
            TypeError,
            "epoch and loss must be numbers",
        ),
        (
            lambda path: save_learning_curves([{"epoch": [1], "loss": 1}], path),
            TypeError,
            "must be numbers, one of each",
        ),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call("curves.png")
