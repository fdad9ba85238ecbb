from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

LAYERS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
each = pytest.mark.parametrize("axes", LAYERS)
SETTINGS: dict[str, Any] = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 2}


@each
def test_settings_reach_the_function(axes: int, rng: np.random.Generator) -> None:
    layer = LAYERS[axes](4, 6, (3, 2, 1)[:axes], **SETTINGS, dtype=float)
    x = rng.standard_normal((2, 4, *(3, 4, 2)[:axes]))
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    y = layer(x)
    np.testing.assert_array_equal(y.data, function(x, layer.weight.data, layer.bias.data, **SETTINGS))
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@each
def test_equals_torch(axes: int, torch: Any, rng: np.random.Generator) -> None:
    theirs = getattr(torch.nn, f"ConvTranspose{axes}d")(4, 6, (3, 2, 1)[:axes], **SETTINGS).double()
    ours = LAYERS[axes](4, 6, (3, 2, 1)[:axes], **SETTINGS, dtype=float)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = rng.standard_normal((2, 4, *(3, 4, 2)[:axes]))
    np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=0, atol=1e-12)
    size = [n - i % 2 for i, n in enumerate(ours(x).shape[2:])]
    wanted = theirs(torch.tensor(x), size).detach().numpy()
    np.testing.assert_allclose(ours(x, size).data, wanted, rtol=0, atol=1e-12)


def test_initial_values() -> None:
    layer = nn.ConvTranspose2d(64, 8, (3, 5), groups=2, generator=np.random.default_rng(0))
    assert layer.weight.shape == (64, 4, 3, 5)
    bound = 1 / math.sqrt(4 * 15)
    assert bound * 0.9 < np.abs(layer.weight.data).max() <= bound
    assert np.abs(layer.bias.data).max() <= bound
    assert nn.ConvTranspose2d(2, 3, 3, bias=False).bias is None


@each
def test_every_size_of_a_stride_can_be_chosen(axes: int) -> None:
    layer, x = LAYERS[axes](1, 1, 3, stride=3, padding=1), np.ones((1, 1, *(4, 5, 6)[:axes]), "f")
    least = layer(x).shape[2:]
    for more in range(3):
        size = tuple(n + more for n in least)
        assert layer(x, size).shape == layer(x, (1, 1, *size)).shape == (1, 1, *size)
    with pytest.raises(ValueError, match=r"output_size .* cannot be reached from .*: 13 must be from 10 to 12"):
        layer(x, tuple(n + 3 for n in least))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"padding": "same"}, ValueError, "ConvTranspose2d: padding must be numbers, got 'same'"),
        ({"output_padding": -1}, ValueError, "ConvTranspose2d: output_padding must be at least 0"),
        ({"groups": 3}, ValueError, "ConvTranspose2d: groups must divide both channel counts"),
        ({"stride": 1.5}, TypeError, "ConvTranspose2d: stride must be an int"),
        ({"kernel_size": (1, 2, 3)}, ValueError, "ConvTranspose2d: kernel_size must be an int or a pair"),
    ],
)
def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.ConvTranspose2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **options})
