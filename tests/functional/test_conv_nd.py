from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error

OPS = {1: F.conv1d, 3: F.conv3d}


@st.composite
def convolutions(draw: Callable[..., Any], axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]:
    """Draw x, w, b and (stride, padding, dilation, groups) that fit."""
    groups, per_group, out = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size, stride, padding, dilation, image = [], [], [], [], []
    for _ in range(axes):
        size.append(draw(st.integers(1, 3)))
        stride.append(draw(st.integers(1, 3)))
        dilation.append(draw(st.integers(1, 2)))
        padding.append((draw(st.integers(0, 2)),) * 2)
        image.append(draw(st.integers(dilation[-1] * (size[-1] - 1) + 1, 6)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal((draw(st.integers(1, 2)), groups * per_group, *image))
    w = rng.standard_normal((groups * out, per_group, *size))
    return x, w, rng.standard_normal(len(w)), (tuple(stride), tuple(padding), tuple(dilation), groups)


@pytest.mark.parametrize("axes", OPS)
def test_value_is_the_references(axes: int) -> None:
    @settings(max_examples=25, derandomize=True, deadline=None)
    @given(convolutions(axes))
    def check(case: Any) -> None:
        x, w, b, geometry = case
        exact = reference.conv_nd(x, w, b, *geometry)
        assert error(OPS[axes](x, w, b, *geometry), exact) <= 1e-10
        rounded = [a.astype(np.float32) for a in (x, w, b)]
        y = OPS[axes](*rounded, *geometry)
        assert y.dtype == np.float32
        assert error(y, reference.conv_nd(*(a.astype(float) for a in rounded), *geometry)) <= 2e-6

    check()


@pytest.mark.parametrize("axes", OPS)
def test_torch_agrees(axes: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = {1: torch.nn.functional.conv1d, 3: torch.nn.functional.conv3d}[axes]

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(convolutions(axes))
    def check(case: Any) -> None:
        x, w, b, (stride, padding, dilation, groups) = case
        around = tuple(before for before, _ in padding)
        same_as_torch(
            lambda x, w, b: OPS[axes](x, w, b, stride, around, dilation, groups),
            lambda x, w, b: theirs(x, w, b, stride, around, dilation, groups),
            x, w, b,
        )  # fmt: skip

    check()


def test_derivatives_of_both_orders(derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    x, w, b = rng.standard_normal((2, 2, 6)), rng.standard_normal((3, 2, 3)), rng.standard_normal(3)
    derivatives(lambda x, w, b: F.conv1d(x, w, b, 2, 1), x, w, b, steps=(1.0,))
    x, w = rng.standard_normal((1, 2, 3, 4, 3)), rng.standard_normal((2, 2, 2, 3, 2))
    derivatives(lambda x, w: F.conv3d(x, w, None, (1, 2, 1), (1, 0, 1)), x, w, steps=(1.0,))


def test_padding_by_name_and_on_one_side(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 3, 8)), rng.standard_normal((4, 3, 4))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 2)))
    for padding in ("same", ((1, 2),)):
        np.testing.assert_array_equal(F.conv1d(x, w, padding=padding), F.conv1d(padded, w))
    assert F.conv1d(x, w, stride=3, padding="same_tf").shape == (2, 4, 3)
    x, w = rng.standard_normal((1, 2, 4, 5, 6)), rng.standard_normal((3, 2, 2, 3, 1))
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 1), (0, 0)))
    np.testing.assert_allclose(F.conv3d(x, w, padding="same"), F.conv3d(padded, w), rtol=0, atol=1e-12)
    assert F.conv3d(x, w, stride=(3, 2, 4), padding="same_tf").shape == (1, 3, 2, 3, 2)


def test_one_signal_and_one_volume(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 7)), rng.standard_normal((3, 2, 3))
    np.testing.assert_array_equal(F.conv1d(x, w), F.conv1d(x[None], w)[0])
    x, w = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((3, 2, 2, 3, 1))
    np.testing.assert_array_equal(F.conv3d(x, w), F.conv3d(x[None], w)[0])


X1, W1, X3, W3 = np.ones((2, 4, 5)), np.ones((6, 4, 3)), np.ones((2, 4, 5, 6, 7)), np.ones((6, 4, 3, 2, 1))


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        (F.conv1d, (X1, W1[0]), r"conv1d: weight must be \(O, C/groups, K\), got shape \(4, 3\)"),
        (F.conv1d, (X3, W1), r"conv1d: input must be \(N, C, L\) or \(C, L\), got shape \(2, 4, 5, 6, 7\)"),
        (F.conv1d, (X1[:, :3], W1), r"conv1d: input \(2, 3, 5\) has 3 channels, weight \(6, 4, 3\) expects 4"),
        (F.conv1d, (X1, W1, np.ones(5)), r"conv1d: bias must have shape \(6,\)"),
        (F.conv1d, (X1, W1, None, (1, 2)), r"conv1d: stride must be one int, got \(1, 2\)"),
        (F.conv1d, (X1, W1, None, 1, 0, 3), r"conv1d: the window is larger than the image: length 5"),
        (F.conv1d, (X1, W1, None, 2, "same"), r"conv1d: padding='same' needs stride 1"),
        (F.conv3d, (X3, W1), r"conv3d: weight must be \(O, C/groups, KD, KH, KW\), got shape \(6, 4, 3\)"),
        (F.conv3d, (X1, W3), r"conv3d: input must be \(N, C, D, H, W\) or \(C, D, H, W\), got shape \(2, 4, 5\)"),
        (F.conv3d, (X3, W3, None, (1, 2)), r"conv3d: stride must be an int or \(depth, height, width\), got \(1, 2\)"),
        (F.conv3d, (X3, W3, None, 1, 0, (3, 1, 1)), "conv3d: the window is larger than the image: depth 5"),
        (F.conv3d, (X3, W3, None, 1, (1, 2)), r"conv3d: padding must be an int or \(depth, height, width\)"),
        (F.conv3d, (X3, W3, None, 1, 0, 1, 4), "conv3d: input .* groups=4 reads 4 x 4 = 16"),
    ],
)
def test_errors_show_the_numbers(op: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        op(*arguments)


def test_errors_show_the_types() -> None:
    with pytest.raises(TypeError, match=r"conv1d: needs .* got input float64, weight float32"):
        F.conv1d(X1, W1.astype("f"))
    with pytest.raises(TypeError, match=r"conv3d: dilation must be an int"):
        F.conv3d(X3, W3, dilation=1.5)
