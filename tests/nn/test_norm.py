from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import nn

SHAPES = [
    (nn.BatchNorm1d, (5, 3)),
    (nn.BatchNorm1d, (4, 3, 7)),
    (nn.BatchNorm2d, (4, 3, 5, 2)),
    (nn.BatchNorm3d, (4, 3, 2, 5, 3)),
]


def axes(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def per_channel(a: np.ndarray, ndim: int) -> np.ndarray:
    return a.reshape(1, -1, *(1,) * (ndim - 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_training_then_evaluation(kind: Any, shape: tuple[int, ...], dtype: type) -> None:
    x = (np.random.default_rng(0).normal(size=shape) * 3 + 5).astype(dtype)
    layer = kind(3, dtype=dtype)
    mean, var, n = x.mean(axes(x)), x.var(axes(x)), x.size // 3
    y = layer(x)
    assert y.dtype == dtype
    expected = (x - per_channel(mean, x.ndim)) / np.sqrt(per_channel(var, x.ndim) + 1e-5)
    np.testing.assert_allclose(y.data, expected, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.data, 0.9 + 0.1 * var * n / (n - 1), rtol=1e-5)
    assert int(layer.num_batches_tracked) == 1

    before = {name: value.copy() for name, value in layer.state_dict().items()}
    y = layer.eval()(x)
    running = per_channel(layer.running_var.data, x.ndim)
    expected = (x - per_channel(layer.running_mean.data, x.ndim)) / np.sqrt(running + 1e-5)
    np.testing.assert_allclose(y.data, expected, rtol=1e-4)
    assert all((value == before[name]).all() for name, value in layer.state_dict().items())
    y.sum().backward()
    assert layer.bias.grad.data == pytest.approx(n)


def test_state_names() -> None:
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(nn.BatchNorm2d(3).state_dict()) == names
    assert list(nn.BatchNorm2d(3, affine=False).state_dict()) == names[2:]
    assert list(nn.BatchNorm2d(3, track_running_stats=False).state_dict()) == names[:2]
    assert nn.BatchNorm2d(3).state_dict()["num_batches_tracked"].dtype == np.int64
    assert nn.BatchNorm2d(3).double().running_mean.dtype == np.float64


def test_momentum_none_is_the_average_of_all_batches() -> None:
    batches = np.random.default_rng(0).normal(size=(4, 6, 3, 5, 2))
    layer = nn.BatchNorm2d(3, momentum=None, dtype=np.float64)
    for batch in batches:
        layer(batch)
    means = batches.mean((1, 3, 4)).mean(0)
    variances = batches.transpose(0, 2, 1, 3, 4).reshape(4, 3, -1).var(-1, ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_mean.data, means, rtol=1e-10)
    np.testing.assert_allclose(layer.running_var.data, variances, rtol=1e-10)
    assert int(layer.num_batches_tracked) == 4
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]
    assert int(layer.num_batches_tracked) == 0


def test_without_running_statistics_evaluation_uses_the_batch() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 5, 2)) + 7
    layer = nn.BatchNorm2d(3, track_running_stats=False, dtype=np.float64)
    assert (layer.eval()(x).data == layer.train()(x).data).all()


def test_a_failed_step_does_not_count() -> None:
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="batch_norm"):
        layer(np.ones((1, 3), np.float32))
    assert int(layer.num_batches_tracked) == 0
    assert layer.running_mean.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "shape", "reads"),
    [
        (nn.BatchNorm2d, (4, 3, 5), r"\(N, C, H, W\)"),
        (nn.BatchNorm2d, (4, 2, 5, 5), r"\(N, C, H, W\) with C = num_features = 3"),
        (nn.BatchNorm1d, (4, 3, 5, 2), r"\(N, C\) or \(N, C, L\)"),
        (nn.BatchNorm1d, (3,), r"\(N, C\) or"),
    ],
)
def test_shape_errors(kind: Any, shape: tuple[int, ...], reads: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__} in norm: needs an input {reads}"):
        nn.Sequential({"norm": kind(3)})(np.ones(shape, np.float32))


def test_argument_errors() -> None:
    with pytest.raises(ValueError, match="BatchNorm2d: num_features must be at least 1, got 0"):
        nn.BatchNorm2d(0)
    with pytest.raises(ValueError, match="eps must be positive, got 0"):
        nn.BatchNorm2d(1, eps=0)
    with pytest.raises(ValueError, match=r"momentum must be None or lie in \[0, 1\], got -1"):
        nn.BatchNorm2d(1, momentum=-1)


@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"momentum": 0.3, "eps": 1e-2}, {"affine": False}])
@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_equals_torch(kind: Any, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = kind(3, **options, dtype=np.float64)
    theirs = getattr(torch.nn, kind.__name__)(3, **options).double()
    for batch in np.random.default_rng(0).normal(size=(3, *shape)) * 2 + 1:
        np.testing.assert_allclose(np.asarray(_plain(ours(batch))), _plain(theirs(torch.tensor(batch))), atol=1e-10)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-10)
    ours.eval()
    theirs.eval()
    np.testing.assert_allclose(_plain(ours(batch)), _plain(theirs(torch.tensor(batch))), atol=1e-10)


def _plain(y: Any) -> np.ndarray:
    return y if isinstance(y, np.ndarray) else y.detach().numpy()
