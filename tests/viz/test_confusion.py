from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.viz import confusion
from tinygrad_cnn.viz.confusion import confusion_matrix, save_confusion_matrix


@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30),
    dtype=st.sampled_from([np.uint8, np.int32, np.int64]),
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_rows_are_true_and_columns_predicted(pairs, dtype):
    expected = np.zeros((5, 5), np.int64)
    for label, prediction in pairs:
        expected[label, prediction] += 1
    labels, predictions = np.array(pairs, dtype).reshape(-1, 2).T
    matrix = confusion_matrix(labels, predictions, 5)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_small_integers_do_not_overflow():
    labels = np.array([99, 99], np.uint8)
    assert confusion_matrix(labels, labels, 100)[99, 99] == 2


@pytest.mark.parametrize(
    ("labels", "predictions", "error", "message"),
    [
        ([0, 3], [0, 0], IndexError, r"labels\[1\] is 3, outside of 0..2"),
        ([0, 1], [-1, 0], IndexError, r"predictions\[0\] is -1, outside of 0..2"),
        ([0.0, 1.0], [0, 1], TypeError, "labels must be integers, got float64"),
        ([0, 1], [True, False], TypeError, "predictions must be integers, got bool"),
        ([0, 1], [0], ValueError, r"got shapes \(2,\) and \(1,\)"),
        ([0, 1], np.zeros((2, 3), int), ValueError, r"argmax\(1\)"),
        (0, 0, ValueError, r"got shapes \(\) and \(\)"),
    ],
)
def test_bad_labels(labels, predictions, error, message):
    with pytest.raises(error, match=message):
        confusion_matrix(labels, predictions, classes=3)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(confusion, "save_picture", lambda figure, path: figures.append(figure))

    def draw(matrix, names, **options):
        save_confusion_matrix(matrix, names, tmp_path / "unused.png", **options)
        return figures[-1]

    return draw


def test_every_count_and_both_margins_are_written(drawn):
    figure = drawn([[8, 2, 0], [0, 1005, 0], [1, 1, 2]], ["cat", "dog", "bird"], title="a test")
    axes = figure.axes[0]
    texts = {tuple(text.get_position()): text.get_text() for text in axes.texts if not hasattr(text, "xy")}
    assert texts == {(0, 0): "8", (1, 0): "2", (1, 1): "1,005", (0, 2): "1", (1, 2): "1", (2, 2): "2"}
    margins = {tuple(text.xy): text.get_text() for text in axes.texts if hasattr(text, "xy")}
    assert [margins[2.5, row] for row in range(3)] == ["80.0", "100.0", "50.0"]
    assert [margins[column, -0.5] for column in range(3)] == ["88.9", "99.7", "100.0"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "bird"]
    assert figure.get_suptitle() == "a test"
    assert axes.get_title(loc="left") == "1,015 of 1,019 images right (99.61%)"


def test_the_colour_tells_mistakes_as_a_part_of_the_true_class(drawn):
    figure = drawn([[90, 10], [1, 3]], ["a", "b"])
    mistakes = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(mistakes.filled(-1), [[-1, 10], [25, -1]])
    assert figure.axes[1].get_ylabel() == "mistakes (% of the true class)"


def test_classes_that_do_not_occur_and_no_images_at_all(drawn):
    axes = drawn([[3, 0], [0, 0]], ["a", "b"]).axes[0]
    assert [text.get_text() for text in axes.texts].count("-") == 2
    assert drawn([[0, 0], [0, 0]], ["a", "b"]).axes[0].get_title(loc="left") == "no images"


def test_many_classes_are_drawn_without_numbers(tmp_path, drawn):
    assert not drawn(np.eye(40, dtype=int), [str(k) for k in range(40)]).axes[0].texts


def test_writes_a_picture_and_nothing_else(tmp_path):
    save_confusion_matrix(np.array([[5, 1], [0, 4]]), ["T-shirt/top $5$", "Ankle boot"], tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["matrix.png"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3), int), r"expected a matrix \(2, 2\) for 2 names, got shape \(2, 3\)"),
        (np.zeros((3, 3), int), r"for 2 names, got shape \(3, 3\)"),
        (np.zeros((2, 2)), "expected counts"),
        ([[1, -1], [0, 1]], "expected counts"),
    ],
)
def test_bad_matrices(tmp_path, matrix, message):
    with pytest.raises(ValueError, match=message):
        save_confusion_matrix(matrix, ["a", "b"], tmp_path / "matrix.png")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: confusion_matrix([0], [0], 1.5), TypeError, "classes must be an int, got 1.5"),
        (lambda: confusion_matrix([0], [0], "a"), TypeError, "classes must be an int"),
        (lambda: confusion_matrix([0, 1], [0, [1]], 2), ValueError, r"must be vectors \(N,\)"),
        (
            lambda: save_confusion_matrix(np.eye(2, dtype=int), 3, "a.png"),
            TypeError,
            "names must be a list, one for each class, got 3",
        ),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
