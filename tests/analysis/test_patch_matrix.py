from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import patch_matrix


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data())
def test_the_product_is_the_convolution_and_so_are_its_gradients(data):
    integers = lambda low, high: data.draw(st.integers(low, high))
    groups, dtype = integers(1, 3), data.draw(st.sampled_from([np.float32, np.float64]))
    o, c, size = groups * integers(1, 2), integers(1, 2), (integers(1, 3), integers(1, 3))
    options = {
        "stride": (integers(1, 3), integers(1, 2)),
        "padding": ((integers(0, 2), integers(0, 2)), (integers(0, 1), integers(0, 3))),
        "dilation": (integers(1, 2), integers(1, 2)),
        "groups": groups,
    }
    generator = np.random.default_rng(integers(0, 9))
    shapes = [(integers(1, 2), groups * c, integers(5, 8), integers(5, 7)), (o, c, *size), (o,)]
    arrays = [generator.standard_normal(shape).astype(dtype) for shape in shapes]
    ours, theirs = ([Tensor(a, requires_grad=True) for a in arrays] for _ in range(2))
    with_bias = data.draw(st.booleans())
    matrices = patch_matrix(*ours[: 2 + with_bias], **options)
    y, expected = matrices.product(), F.conv2d(*theirs[: 2 + with_bias], **options)
    assert y.shape == expected.shape == matrices.shape
    assert y.dtype == dtype
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(y.data, expected.data, **tolerance)
    u = generator.standard_normal(y.shape).astype(dtype)
    (y * u).sum().backward()
    (expected * u).sum().backward()
    for a, b in zip(ours[: 2 + with_bias], theirs, strict=False):
        np.testing.assert_allclose(a.grad.data, b.grad.data, **tolerance)


def test_a_row_is_what_the_filters_see():
    x, w = np.random.default_rng(0).standard_normal((2, 3, 7, 6)), np.ones((4, 3, 3, 2))
    matrices = patch_matrix(x, w, stride=(2, 1))
    assert matrices.shape == (2, 4, 3, 5)
    np.testing.assert_array_equal(matrices.patches[matrices.row(1, 2, 3)], x[1, :, 4:7, 3:5].ravel())
    assert len(matrices.patches) == matrices.row(1, 2, 4) + 1
    for wrong in [(2, 0, 0), (0, 3, 0), (0, 0, -1)]:
        with pytest.raises(IndexError, match="is none of 2 x 3 x 5 outputs"):
            matrices.row(*wrong)


@pytest.mark.parametrize("padding", ["valid", "same", "same_tf"])
def test_padding_by_name(padding):
    x, w = (
        np.random.default_rng(0).standard_normal((1, 2, 6, 5)),
        np.random.default_rng(1).standard_normal((2, 2, 4, 3)),
    )
    np.testing.assert_allclose(patch_matrix(x, w, padding=padding).product(), F.conv2d(x, w, padding=padding))


def test_errors_are_those_of_the_convolution():
    with pytest.raises(ValueError, match=r"conv2d: input .* has 3 channels"):
        patch_matrix(np.ones((1, 3, 5, 5)), np.ones((2, 2, 3, 3)))


@pytest.mark.parametrize("at", [(1.5, 0, 0), (0, "a", 0), (0, 0, None)])
def test_outputs_are_named_by_whole_numbers(at):
    with pytest.raises(TypeError, match="patch_matrix: an output is named by whole numbers"):
        patch_matrix(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))).row(*at)
