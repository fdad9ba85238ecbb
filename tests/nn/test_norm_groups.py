from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

# name, arguments, shape of an input
LAYERS: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
    ("LayerNorm", ((3, 4),), (2, 5, 3, 4)),
    ("LayerNorm", (4, 1e-3, True, False), (2, 4)),
    ("LayerNorm", (4, 1e-5, False), (2, 4)),
    ("GroupNorm", (3, 6), (2, 6, 3, 2)),
    ("GroupNorm", (2, 6, 1e-2, False), (2, 6, 3)),
    ("InstanceNorm1d", (3,), (2, 3, 5)),
    ("InstanceNorm2d", (3, 1e-4, 0.3, True, True), (2, 3, 5, 2)),
    ("InstanceNorm3d", (3, 1e-4, 0.3, False, True), (2, 3, 5, 2, 3)),
    ("LocalResponseNorm", (5,), (2, 7, 3, 2)),
    ("LocalResponseNorm", (4, 0.5, 0.6, 2.0), (2, 7, 3)),
]


@pytest.mark.parametrize(("name", "args", "shape"), LAYERS)
def test_keeps_shape_and_dtype_and_has_a_gradient(name: str, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    layer = getattr(nn, name)(*args)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y = layer(x)
    assert y.shape == shape
    assert y.dtype == np.float32
    parameters = list(layer.parameters())
    if parameters:
        (y * y * y).sum().backward()
    for parameter in parameters:
        assert np.abs(parameter.grad.data).max() > 0


def test_state_names() -> None:
    assert list(nn.LayerNorm(3).state_dict()) == list(nn.GroupNorm(1, 3).state_dict()) == ["weight", "bias"]
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert not nn.InstanceNorm2d(3).state_dict()
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(nn.InstanceNorm2d(3, affine=True, track_running_stats=True).state_dict()) == names


def test_instance_norm_uses_running_statistics_only_where_it_tracks_them() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 5, 2)) + 7
    plain = nn.InstanceNorm2d(3, dtype=np.float64)
    np.testing.assert_array_equal(plain.eval()(x), F.instance_norm(x))
    tracking = nn.InstanceNorm2d(3, momentum=None, track_running_stats=True, dtype=np.float64)
    tracking(x)
    np.testing.assert_allclose(tracking.running_mean.data, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(tracking.running_var.data, x.var((2, 3), ddof=1).mean(0), rtol=1e-10)
    assert int(tracking.num_batches_tracked) == 1
    y = tracking.eval()(x)
    np.testing.assert_allclose(y.data.mean((0, 2, 3)), 0, atol=1e-12)
    assert int(tracking.num_batches_tracked) == 1


def test_the_papers_local_response_norm() -> None:
    x = np.random.default_rng(0).normal(size=(2, 7, 3, 2)) * 30
    y = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)(x)
    np.testing.assert_allclose(y, F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: nn.GroupNorm(4, 6), ValueError, "GroupNorm: num_channels 6 must be divisible by num_groups 4"),
        (lambda: nn.GroupNorm(0, 6), ValueError, "num_groups must be at least 1, got 0"),
        (lambda: nn.LayerNorm((3, 0)), ValueError, "LayerNorm: normalized_shape must be at least 1, got 0"),
        (lambda: nn.LayerNorm(2.5), TypeError, "LayerNorm: normalized_shape must be an int"),
        (lambda: nn.InstanceNorm2d(0), ValueError, "InstanceNorm2d: num_features must be at least 1"),
        (lambda: nn.InstanceNorm1d(3)(np.ones((2, 4, 5))), ValueError, r"InstanceNorm1d: needs an input \(N, C, L\)"),
        (
            lambda: nn.InstanceNorm2d(3)(np.ones((2, 3, 5))),
            ValueError,
            r"needs an input \(N, C, H, W\) with C = ",
        ),
        (lambda: nn.LocalResponseNorm(0), ValueError, "LocalResponseNorm: size must be at least 1, got 0"),
        (lambda: nn.GroupNorm(1, 4)(np.ones((2, 6, 1), np.float32)), ValueError, r"group_norm: weight must have shape"),
    ],
)
def test_errors(call: Any, error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize(("name", "args", "shape"), LAYERS)
def test_equals_torch(name: str, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    tracks = {} if name == "LocalResponseNorm" else {"dtype": np.float64}
    ours, theirs = getattr(nn, name)(*args, **tracks), getattr(torch.nn, name)(*args).double()
    if name in ("LayerNorm", "LocalResponseNorm"):  # the others name their bias apart, since PyTorch 2.13
        assert repr(ours) == repr(theirs)
    for batch in np.random.default_rng(0).normal(size=(3, *shape)) * 2 + 1:
        np.testing.assert_allclose(plain(ours(batch)), plain(theirs(torch.tensor(batch))), atol=1e-10)
    for key, value in theirs.state_dict().items():
        if key == "num_batches_tracked":  # PyTorch's instance norm leaves it at 0
            continue
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-10)
    ours.eval()
    theirs.eval()
    np.testing.assert_allclose(plain(ours(batch)), plain(theirs(torch.tensor(batch))), atol=1e-10)


def plain(y: Any) -> np.ndarray:
    return y if isinstance(y, np.ndarray) else y.detach().numpy()
