from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import manual_seed, nn

CASES: list[tuple[tuple, dict[str, Any]]] = [
    ((4, 6, 3), {}),
    ((4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 2)}),
    ((4, 6, (2, 3)), {"dilation": (1, 2), "groups": 2, "bias": False}),
    ((4, 4, (3, 5)), {"padding": "same", "groups": 4}),
    ((4, 2, 2), {"padding": "valid", "dtype": np.float64}),
]


@pytest.mark.parametrize(("args", "options"), [*CASES, ((4, 2, 3), {"padding": ((0, 2), (1, 0))})])
def test_settings_reach_the_function(args: tuple, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(*args, **options, generator=rng)
    x = rng.normal(size=(2, 4, 9, 7)).astype(layer.weight.dtype)
    settings = {key: options[key] for key in ("stride", "padding", "dilation", "groups") if key in options}
    y = layer(x)
    assert y.dtype == layer.weight.dtype
    assert (y.data == F.conv2d(x, layer.weight, layer.bias, **settings).data).all()
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize(("args", "options"), CASES)
def test_equals_torch(args: tuple, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    options = {key: value for key, value in options.items() if key != "dtype"}
    ours, theirs = nn.Conv2d(*args, **options, dtype=np.float64), torch.nn.Conv2d(*args, **options).double()
    assert repr(ours) == repr(theirs)
    assert ours.kernel_size == theirs.kernel_size
    assert ours.stride == theirs.stride
    assert ours.padding == theirs.padding
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 4, 9, 7))
    np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=0, atol=1e-12)


def test_initial_values() -> None:
    layer = nn.Conv2d(8, 64, (3, 5), groups=2, generator=np.random.default_rng(0))
    assert layer.weight.shape == (64, 4, 3, 5)
    bound = 1 / math.sqrt(4 * 15)
    for p in layer.parameters():
        assert bound * 0.9 < np.abs(p.data).max() <= bound
        assert p.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    manual_seed(0)
    assert (nn.Conv2d(8, 64, (3, 5), groups=2).weight.data == layer.weight.data).all()


def test_padding_as_it_is_kept() -> None:
    assert nn.Conv2d(1, 1, 3, padding=2).padding == (2, 2)
    assert nn.Conv2d(1, 1, 3, padding=((1, 1), (2, 2))).padding == (1, 2)
    assert nn.Conv2d(1, 1, 3, padding=((0, 1), (2, 2))).padding == ((0, 1), (2, 2))
    assert "padding=((0, 1), (2, 2))" in repr(nn.Conv2d(1, 1, 3, padding=((0, 1), (2, 2))))


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((0, 1, 3), {}, ValueError, "in_channels must be at least 1, got 0"),
        ((1, 1, 0), {}, ValueError, "kernel_size must be at least 1, got 0"),
        ((1, 1, (1, 2, 3)), {}, ValueError, r"kernel_size must be an int or a pair .* got \(1, 2, 3\)"),
        ((1, 1, 3), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ((1, 1, 3), {"dilation": 1.5}, TypeError, "dilation must be an int or a pair"),
        ((1, 1, 3), {"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        (
            (1, 1, 3),
            {"padding": "full"},
            ValueError,
            "padding must be numbers, .* or 'same_tf', got 'full'",
        ),
        ((1, 1, 3), {"padding": "same", "stride": 2}, ValueError, r"padding='same' needs stride 1, got \(2, 2\)"),
        ((4, 6, 3), {"groups": 3}, ValueError, "in_channels 4, out_channels 6 and groups 3"),
        ((6, 4, 3), {"groups": 3}, ValueError, "groups must divide both channel counts"),
        ((6, 4, 3), {"groups": 0}, ValueError, "groups must be at least 1, got 0"),
    ],
)
def test_errors(args: tuple, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^Conv2d: .*{message}"):
        nn.Conv2d(*args, **options)


def test_errors_name_the_module() -> None:
    model = nn.Sequential({"conv": nn.Conv2d(3, 4, 5)})
    with pytest.raises(ValueError, match="conv2d in conv: "):
        model(np.zeros((2, 1, 8, 9), np.float32))


@pytest.mark.parametrize(
    ("layer", "function", "image"), [(nn.Conv1d, F.conv1d, (9,)), (nn.Conv3d, F.conv3d, (5, 6, 7))]
)
def test_signals_and_volumes(layer: Any, function: Any, image: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, *image)).astype("f")
    settings = {"stride": 2, "padding": ((2, 1),) * len(image), "dilation": 2, "groups": 2}
    conv = layer(4, 6, 3, **settings)
    assert conv.weight.shape == (6, 2, *[3] * len(image))
    assert conv.kernel_size == (3,) * len(image)
    y = conv(x)
    assert (y.data == function(x, conv.weight, conv.bias, **settings).data).all()
    assert layer(4, 6, 3, padding=1)(x).shape[2:] == image
    with pytest.raises(ValueError, match=f"{layer.__name__}: stride must be at least 1"):
        layer(4, 6, 3, 0)


def test_signals_and_volumes_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    for name, image in (("Conv1d", (9,)), ("Conv3d", (5, 6, 7))):
        args = 4, 6, 3, 2, 1, 2, 2, False
        ours, theirs = getattr(nn, name)(*args, dtype=float), getattr(torch.nn, name)(*args).double()
        assert repr(ours) == repr(theirs)
        ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
        x = np.random.default_rng(0).normal(size=(2, 4, *image))
        np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=0, atol=1e-12)


def test_padding_of_tensorflow() -> None:
    conv = nn.Conv2d(1, 1, 3, stride=2, padding="same_tf")
    assert conv(np.ones((1, 1, 7, 8), "f")).shape == (1, 1, 4, 4)
    assert "padding=same_tf" in repr(conv)
