from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import hub, no_grad
from tinygrad_cnn.hub import efficientnet
from tinygrad_cnn.hub.efficientnet import WEIGHTS, efficientnet_lite0, renamed
from tinygrad_cnn.hub.photographs import PHOTOGRAPHS

needs_weights = pytest.mark.skipif(not WEIGHTS.is_here(), reason="the weights are not in the cache")
CATS = slice(281, 286)  # tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat


@pytest.fixture(scope="module")
def model():
    return efficientnet_lite0().eval()


def probabilities(model, name: str) -> np.ndarray:
    pytest.importorskip("PIL")
    if not PHOTOGRAPHS[name].is_here():
        pytest.skip(f"{PHOTOGRAPHS[name].name} is not in the cache")
    with no_grad():
        return F.softmax(model(hub.imagenet_input(hub.photograph(name))), 1).numpy()[0]


@needs_weights
def test_coffee_is_an_espresso(model):
    found = probabilities(model, "coffee")
    assert found.argmax() == 967
    assert found[967] > 0.9


@needs_weights
def test_chelsea_is_a_cat(model):
    assert probabilities(model, "chelsea")[CATS].sum() > 0.85


@needs_weights
def test_every_value_is_the_files(model):
    values = list(hub.read_torch(WEIGHTS.read(), WEIGHTS.name).values())
    assert len(values) == 296
    for (name, ours), value in zip(model.state_dict().items(), values, strict=True):
        np.testing.assert_array_equal(ours, value, err_msg=name)


@needs_weights
def test_another_number_of_classes_gets_a_new_last_layer(model):
    other = efficientnet_lite0(num_classes=7, generator=np.random.default_rng(0))
    assert other.classifier[1].weight.shape == (7, 1280)
    assert other.classifier[1].weight.data.any()
    ours, theirs = other.state_dict(), model.state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours if name.startswith("features"))


def test_without_weights_nothing_is_fetched(monkeypatch):
    monkeypatch.setattr(efficientnet, "WEIGHTS", None)
    first, second = (efficientnet_lite0(False, 3, generator=np.random.default_rng(5)).state_dict() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_names_that_do_not_pair_up_are_refused():
    one = np.ones(1)
    assert renamed({"_bn0.weight": one}, {"features.0.1.weight": None}) == {"features.0.1.weight": one}
    with pytest.raises(ValueError, match=r"1 values for 1 names, first difference \[\('_bn0\.weight', 'a\.bias'\)\]"):
        renamed({"_bn0.weight": one}, {"a.bias": None})
    with pytest.raises(ValueError, match="1 values for 2 names, first difference at the end"):
        renamed({"_bn0.weight": one}, {"a.weight": None, "b.weight": None})
