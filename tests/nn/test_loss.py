from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHT = np.array([1.0, 2.0, 0.5, 3.0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT}, {"ignore_index": 1}])
def test_class_losses(options: dict[str, Any], reduction: str) -> None:
    for kind, function in ((nn.CrossEntropyLoss, F.cross_entropy), (nn.NLLLoss, F.nll_loss)):
        loss = kind(**options, reduction=reduction)(X, LABELS)
        expected = function(X, LABELS, **options, reduction=reduction)
        assert (np.asarray(loss) == np.asarray(expected)).all()
        assert loss.shape == (() if reduction != "none" else (6,))


def test_label_smoothing() -> None:
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)(X, LABELS)
    assert float(smooth) == float(F.cross_entropy(X, LABELS, label_smoothing=0.2))
    assert float(smooth) != float(F.cross_entropy(X, LABELS))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(reduction: str) -> None:
    y = RNG.normal(size=X.shape)
    assert (np.asarray(nn.MSELoss(reduction=reduction)(X, y)) == np.asarray(F.mse_loss(X, y, reduction))).all()


def test_weight_is_a_buffer() -> None:
    loss = nn.CrossEntropyLoss(WEIGHT)
    assert list(loss.state_dict()) == ["weight"]
    assert not list(loss.parameters())
    assert loss.float().weight.dtype == np.float32
    assert not nn.NLLLoss().state_dict()


def test_gradients_flow() -> None:
    x = Tensor(X, requires_grad=True)
    nn.CrossEntropyLoss(WEIGHT)(x, LABELS).backward()
    assert x.grad is not None
    assert x.grad.shape == X.shape


def test_errors() -> None:
    for kind in (nn.CrossEntropyLoss, nn.NLLLoss, nn.MSELoss):
        with pytest.raises(ValueError, match=rf"{kind.__name__}: reduction must be one of .* got 'avg'"):
            kind(reduction="avg")
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\], got 2"):
        nn.CrossEntropyLoss(label_smoothing=2)
