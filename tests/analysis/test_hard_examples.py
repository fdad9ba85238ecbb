from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, no_grad
from tinygrad_cnn.analysis import SampleLosses, sample_losses
from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.state import generator_state


def network() -> nn.Sequential:
    generator = np.random.default_rng(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=4, generator=generator),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, 10, generator=generator),
    )


@pytest.mark.parametrize("batch_size", [7, 500])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_are_those_of_single_images(batch_size, smoothing):
    model, digits = network(), synthetic_digits(30)

    def loss(scores, labels, reduction):
        return F.cross_entropy(scores, labels, label_smoothing=smoothing, reduction=reduction)

    found = sample_losses(model, digits, loss, batch_size)
    assert all(model.training for model in model.modules())
    model.eval()
    with no_grad():
        for i in range(30):
            scores = model(digits[[i]][0]).data
            assert found.labels[i] == digits.labels[i]
            assert found.predictions[i] == scores.argmax()
            np.testing.assert_allclose(found.losses[i], loss(scores, digits.labels[[i]], "mean"), rtol=1e-5)
            np.testing.assert_allclose(found.confidence[i], np.exp(scores).max() / np.exp(scores).sum(), rtol=1e-5)
    assert found.losses.dtype == np.float64


def test_nothing_is_left_behind():
    model = network()
    model[0].weight.grad = np.ones_like(model[0].weight.data)
    state, luck = {name: array.copy() for name, array in model.state_dict().items()}, generator_state()
    model[1].eval()
    sample_losses(model, synthetic_digits(10))
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
    assert model[0].weight.grad.data.all()
    assert model[4].weight.grad is None
    assert generator_state() == luck


def test_the_most_wrong_come_first_and_right_ones_never():
    losses = np.array([0.1, 5.0, 0.7, 9.0, 2.0])
    found = SampleLosses(losses, np.array([1, 1, 1, 1, 1]), np.array([1, 0, 2, 1, 0]), np.ones(5))
    assert found.most_wrong().tolist() == [1, 4, 2]
    assert found.most_wrong(2).tolist() == [1, 4]


def test_bad_arguments():
    with pytest.raises(ValueError, match="sample_losses: there are no images"):
        sample_losses(network(), synthetic_digits(0))
    with pytest.raises(ValueError, match=r"one number for each of 10 examples, got shape \(\)"):
        sample_losses(
            network(), synthetic_digits(10), lambda scores, labels, reduction: F.cross_entropy(scores, labels)
        )


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda net, x: sample_losses(net, 3), TypeError, r"sample_losses: expected images .* or a data set, got 3"),
        (lambda net, x: sample_losses(net, x), ValueError, "needs labels"),
        (lambda net, x: sample_losses(net, (x, [1, 2])), ValueError, "a pair of images and as many labels"),
        (lambda net, x: sample_losses(net, (x, [1]), batch_size=1.5), TypeError, "batch_size must be an int"),
        (
            lambda net, x: sample_losses(net, (x, [1]), loss=3),
            TypeError,
            "loss must be a function of scores and labels, got 3",
        ),
        (lambda net, x: sample_losses(3, (x, [1])), TypeError, "model must be"),
        (lambda net, x: sample_losses(net, (x, [1])).most_wrong(1.5), TypeError, "most_wrong: count must be an int"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), np.ones((1, 1, 2, 3), np.float32))


def test_a_pair_of_images_and_labels_is_a_data_set():
    digits = synthetic_digits(12)
    model = network()
    pair, whole = sample_losses(model, (digits[np.arange(12)]), batch_size=5), sample_losses(model, digits)
    for a, b in zip(pair, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
