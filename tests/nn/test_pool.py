from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

X = np.random.default_rng(0).normal(size=(2, 3, 11, 8))

MAX: list[tuple[tuple, dict[str, Any]]] = [
    ((2,), {}),
    (((3, 2),), {"stride": (2, 3), "padding": (1, 0), "ceil_mode": True}),
    ((2, (3, 2), 1, (2, 1)), {}),
]
AVG: list[tuple[tuple, dict[str, Any]]] = [
    ((2,), {}),
    (((3, 2),), {"stride": (2, 3), "padding": (1, 0), "ceil_mode": True, "count_include_pad": False}),
    ((3, 2, 1, True, True, 5), {}),
]


@pytest.mark.parametrize(("args", "options"), MAX)
def test_max_pool(args: tuple, options: dict[str, Any]) -> None:
    assert (nn.MaxPool2d(*args, **options)(X) == F.max_pool2d(X, *args, **options)).all()


def test_max_pool_indices_come_before_ceil_mode() -> None:
    values, index = nn.MaxPool2d(2, 3, 0, 1, True, True)(X)
    expected = F.max_pool2d(X, 2, 3, 0, 1, True, True)
    assert (values == expected[0]).all()
    assert (index == expected[1]).all()
    assert values.shape == (2, 3, 4, 3)
    assert nn.MaxPool2d(2, 3, 0, 1, False, True)(X).shape == (2, 3, 4, 3)
    assert nn.MaxPool2d(2, 3)(X).shape == (2, 3, 4, 3)


@pytest.mark.parametrize(("args", "options"), AVG)
def test_avg_pool(args: tuple, options: dict[str, Any]) -> None:
    assert (nn.AvgPool2d(*args, **options)(X) == F.avg_pool2d(X, *args, **options)).all()


@pytest.mark.parametrize("size", [1, (3, 2), (None, 2), 12])
def test_adaptive_pool(size: Any) -> None:
    assert (nn.AdaptiveAvgPool2d(size)(X) == F.adaptive_avg_pool2d(X, size)).all()


def test_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(X)
    for name, cases in (("MaxPool2d", MAX), ("AvgPool2d", AVG)):
        for args, options in cases:
            ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
            assert repr(ours) == repr(theirs)
            np.testing.assert_allclose(ours(X), theirs(x).numpy(), rtol=0, atol=1e-12)
    ours, theirs = nn.AdaptiveAvgPool2d((3, None)), torch.nn.AdaptiveAvgPool2d((3, None))
    assert repr(ours) == repr(theirs)
    np.testing.assert_allclose(ours(X), theirs(x).numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_errors(kind: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: kernel_size must be at least 1, got 0"):
        kind(0)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        kind(2, 0)
    with pytest.raises(ValueError, match="padding must be at least 0, got -1"):
        kind(2, 1, -1)
    with pytest.raises(ValueError, match="at most half the window, got padding 2 for a window of width 3"):
        kind((4, 3), 1, 2)
    kind((4, 5), 1, 2)


def test_more_errors() -> None:
    with pytest.raises(ValueError, match="MaxPool2d: dilation must be at least 1, got 0"):
        nn.MaxPool2d(2, dilation=0)
    with pytest.raises(ValueError, match="AdaptiveAvgPool2d: output_size must be at least 1, got 0"):
        nn.AdaptiveAvgPool2d((0, 2))


@pytest.mark.parametrize("axes", [1, 3])
def test_signals_and_volumes(axes: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, *(7, 5, 6)[:axes]))
    maximum, average = getattr(nn, f"MaxPool{axes}d"), getattr(nn, f"AvgPool{axes}d")
    expected = getattr(F, f"max_pool{axes}d")(x, 2, 3, 1, 1, True, True)
    for found, wanted in zip(maximum(2, 3, 1, 1, True, True)(x), expected, strict=True):
        assert (found == wanted).all()
    assert (average(2, 3, 1, True, False)(x) == getattr(F, f"avg_pool{axes}d")(x, 2, 3, 1, True, False)).all()
    with pytest.raises(ValueError, match=f"AvgPool{axes}d: padding must be at most half the window"):
        average(2, 1, 2)


def test_norms() -> None:
    assert (nn.LPPool2d(3, (2, 3), 2, True)(X) == F.lp_pool2d(X, 3, (2, 3), 2, True)).all()
    assert (nn.LPPool1d(2, 3)(X[0]) == F.lp_pool1d(X[0], 2, 3)).all()
    with pytest.raises(ValueError, match="LPPool1d: kernel_size must be one int"):
        nn.LPPool1d(2, (2, 2))


def test_named_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    for name, args in (("MaxPool1d", (2,)), ("MaxPool3d", (2, 1)), ("AvgPool1d", (2,)), ("AvgPool3d", ((1, 2, 3),))):
        assert repr(getattr(nn, name)(*args)) == repr(getattr(torch.nn, name)(*args))
    assert repr(nn.LPPool2d(2, 3)) == repr(torch.nn.LPPool2d(2, 3))
