from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, manual_seed, nn


def test_training_scales_what_is_kept() -> None:
    x = np.ones((200, 50), np.float32)
    y = nn.Dropout(0.25, generator=np.random.default_rng(0))(x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_evaluation_changes_nothing() -> None:
    x = Tensor(np.ones(5, np.float32), requires_grad=True)
    assert (nn.Dropout(0.9).eval()(x).data == 1).all()


def test_everything_dropped() -> None:
    assert (nn.Dropout(1.0)(np.ones(5)) == 0).all()


def test_randomness_comes_from_the_generator() -> None:
    x = np.ones(100)
    by_generator = nn.Dropout(generator=np.random.default_rng(3))(x)
    manual_seed(3)
    layer = nn.Dropout()
    assert (layer(x) == by_generator).all()
    assert (layer(x) != by_generator).any()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_errors(p: float) -> None:
    with pytest.raises(ValueError, match="Dropout: p is a probability, from 0 to 1"):
        nn.Dropout(p)


def test_repr() -> None:
    assert repr(nn.Dropout(0.3)) == "Dropout(p=0.3)"


@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.Dropout1d, (9, 8, 4)), (nn.Dropout2d, (9, 8, 4, 2)), (nn.Dropout3d, (9, 8, 4, 2, 3))]
)
def test_whole_channels(kind: type[nn.Dropout], shape: tuple[int, ...]) -> None:
    layer = kind(0.25, generator=np.random.default_rng(0))
    channels = layer(np.ones(shape)).reshape(72, -1)
    assert set(np.unique(channels)) == {0, 1 / 0.75}
    assert (channels == channels[:, :1]).all()
    assert (layer.eval()(np.ones(shape)) == 1).all()
    assert repr(layer) == f"{kind.__name__}(p=0.25)"
    with pytest.raises(ValueError, match=f"{kind.__name__}: p is a probability"):
        kind(2.0)


def test_alpha_dropout() -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    layer = nn.AlphaDropout(0.3, generator=np.random.default_rng(0))
    assert layer(x).std() == pytest.approx(1, abs=0.02)
    assert layer.eval()(x) is x
