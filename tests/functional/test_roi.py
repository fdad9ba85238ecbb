from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

coordinate = st.floats(-3, 12, width=16)
box_lists = st.lists(st.tuples(st.integers(0, 1), *[coordinate] * 4), min_size=1, max_size=3)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(box_lists, sizes, st.sampled_from([0.25, 0.5, 1.0, 1.5]), st.sampled_from([np.float32, np.float64]))
def test_roi_pool_is_the_references(boxes: Any, out: Any, scale: float, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 7, 9)).astype(dtype)
    table = np.array(boxes, dtype)
    y = F.roi_pool(x, table, out, scale)
    assert y.dtype == dtype
    if dtype == np.float64:  # in float32 a bin may end a rounding error after a whole number, as torchvision's
        np.testing.assert_array_equal(y, reference.roi_pool(x, table, out, scale))
    else:
        assert y.shape == (len(boxes), 2, *out)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(box_lists, sizes, st.sampled_from([0.25, 1.0, 1.5]), st.sampled_from([-1, 1, 3]), st.booleans())
def test_roi_align_is_the_references(boxes: Any, out: Any, scale: float, ratio: int, aligned: bool) -> None:
    x, table = np.random.default_rng(0).standard_normal((2, 2, 7, 9)), np.array(boxes)
    y = F.roi_align(x, table, out, scale, ratio, aligned)
    wanted = reference.roi_align(x, table, out, scale, ratio, aligned)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-10)
    single = F.roi_align(x.astype("f"), table.astype("f"), out, scale, ratio, aligned)
    assert single.dtype == np.float32


def test_corners_are_rounded_half_away_from_zero_and_both_ends_belong() -> None:
    x = np.arange(8.0).reshape(1, 1, 1, 8)
    assert F.roi_pool(x, np.array([[0, 2.5, 0, 2.5, 0]]), 1).item() == 3  # NumPy's round(2.5) is 2
    assert F.roi_pool(x, np.array([[0, 0, 0, 4.5, 0]]), 1).item() == 5
    assert F.roi_pool(x, np.array([[0, 5.0, 0, 10.0, 0]]), 1, 0.5).item() == 5  # from round(2.5) = 3 to 5
    y = F.roi_pool(x, np.array([[0, -2.5, 0, 0.4, 0]]), (1, 2))  # from -3 to 0: the first bin is empty
    assert y.tolist() == [[[[0, 0]]]]


def test_an_empty_bin_is_zero_and_has_no_gradient() -> None:
    x = Tensor(-np.ones((1, 1, 3, 4)), requires_grad=True)
    y = F.roi_pool(x, np.array([[0, 8.0, 0, 9.0, 2.0], [0, 0, 0, 0, 0]]), 1)
    assert y.data.ravel().tolist() == [0, -1]
    (g,) = grad(y.sum(), x)
    assert g.data.ravel().tolist() == [1] + [0] * 11


def test_boxes_as_a_list_for_each_image(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 6, 7))
    first, last = rng.uniform(0, 6, (2, 4)), rng.uniform(0, 6, (1, 4))
    table = np.concatenate([np.c_[[0, 0], first], np.c_[[2], last]])
    for op in (F.roi_pool, F.roi_align):
        expected = op(x, table, (2, 3))
        np.testing.assert_array_equal(op(x, [first, np.empty((0, 4)), last], (2, 3)), expected)
        np.testing.assert_array_equal(op(Tensor(x), [Tensor(first), [], Tensor(last)], (2, 3)).data, expected)
        assert op(x, np.empty((0, 5)), (2, 3)).shape == (0, 2, 2, 3)


def test_a_constant_map_stays_constant() -> None:
    x = np.full((1, 2, 5, 6), 3.0)
    y = F.roi_align(x, np.array([[0, 0.5, 0.5, 4.0, 3.5]]), (2, 3), aligned=True)
    assert error(y, np.full(y.shape, 3.0)) <= 1e-12


def test_derivatives(derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    boxes = np.array([[1, 0.3, 1.2, 4.4, 3.9], [0, -1.0, 2.0, 3.0, 8.0], [1, 1.0, 1.0, 5.0, 3.0]])
    x = rng.permutation(120).reshape(2, 2, 5, 6) * 0.1
    derivatives(lambda x: F.roi_pool(x, boxes, (2, 3)) ** 2, x)
    derivatives(lambda x: F.roi_align(x, boxes, (2, 3)) ** 2, x)
    derivatives(lambda x: F.roi_align(x, boxes, (3, 2), 0.7, 2, True) ** 2, x)


X, BOX = np.ones((2, 3, 4, 5)), np.array([[0.0, 1, 1, 2, 2]])


@pytest.mark.parametrize("op", [F.roi_pool, F.roi_align])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": X[0]}, ValueError, r"input must be \(N, C, H, W\) with at least one pixel, got shape \(3, 4, 5\)"),
        ({"input": X.astype(int)}, TypeError, "needs float32 or float64"),
        ({"boxes": BOX[:, 1:]}, ValueError, r"boxes must be \(K, 5\) rows .* got shape \(1, 4\)"),
        ({"boxes": [BOX[:, 1:]]}, ValueError, "must hold one array .* for each of the 2 images, got 1"),
        ({"boxes": [BOX, BOX]}, ValueError, r"of shapes \[\(1, 5\), \(1, 5\)\]"),
        (
            {"boxes": BOX + np.array([2, 0, 0, 0, 0])},
            IndexError,
            "image 2.0, the batch has images 0 to 1",
        ),
        ({"boxes": BOX - [1, 0, 0, 0, 0]}, IndexError, "a box lies in image -1.0"),
        ({"boxes": BOX + np.array([0.5, 0, 0, 0, 0])}, IndexError, "a box lies in image 0.5"),
        ({"boxes": BOX * [1, np.nan, 1, 1, 1]}, ValueError, "corners of boxes must be finite"),
        ({"output_size": 0}, ValueError, "output_size must be at least 1"),
        ({"output_size": (1, 2, 3)}, ValueError, "output_size must be an int or a pair"),
    ],
)
def test_errors(op: Any, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"{op.__name__}: .*{message}"):
        op(**{"input": X, "boxes": BOX, "output_size": 2, **change})


def test_the_number_of_points_is_bounded_and_whole() -> None:
    with pytest.raises(ValueError, match=r"roi_align: a corner lies at .* beyond the limit"):
        F.roi_align(X, BOX * [1, 1, 1, 1e10, 1e10], 2)
    with pytest.raises(TypeError, match=r"sampling_ratio must be an int, got 1.5"):
        F.roi_align(X, BOX, 2, sampling_ratio=1.5)


@pytest.mark.parametrize("roi", [F.roi_pool, F.roi_align])
@pytest.mark.parametrize("scale", [np.nan, np.inf, 0, -1.0, None, "a"])
def test_a_scale_that_is_no_positive_number_is_refused(roi, scale):
    with pytest.raises(ValueError, match=f"{roi.__name__}: spatial_scale must be a positive number"):
        roi(np.ones((1, 1, 4, 4)), np.array([[0.0, 0, 0, 1, 1]]), 1, scale)


@pytest.mark.parametrize("roi", [F.roi_pool, F.roi_align])
@pytest.mark.parametrize("far", [1e9, -1e30, 1e300])
def test_a_box_absurdly_far_away_is_refused(roi, far):
    with pytest.raises(ValueError, match=f"{roi.__name__}: a corner lies at .* beyond the limit of 65,536"):
        roi(np.ones((1, 1, 4, 4), np.float32), np.array([[0.0, 0, 0, far, 1]]), 1)
