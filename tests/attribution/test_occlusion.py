from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn, no_grad
from tinygrad_cnn.attribution import occlusion


def by_hand(model, x, label, size, stride, fill):
    """Loop over images, windows and pixels."""
    model.eval()
    raw = np.zeros((len(x), *x.shape[2:]))
    for n in range(len(x)):
        count = np.zeros(x.shape[2:])
        with no_grad():
            score = float(model(x[n : n + 1]).data[0, label])
        tops, lefts = [
            [at for at in range(length) if (at % step == 0 and at + window < length) or at + window == length]
            for length, window, step in zip(x.shape[2:], size, stride, strict=True)
        ]
        for top in tops:
            for left in lefts:
                covered = x[n : n + 1].copy()
                for i in range(top, top + size[0]):
                    for j in range(left, left + size[1]):
                        covered[0, :, i, j] = fill
                with no_grad():
                    lost = score - float(model(covered).data[0, label])
                for i in range(top, top + size[0]):
                    for j in range(left, left + size[1]):
                        raw[n, i, j] += lost
                        count[i, j] += 1
        raw[n] /= count
    return raw


@pytest.mark.parametrize(("size", "stride"), [((3, 2), (1, 1)), ((3, 3), (2, 3)), ((8, 1), (5, 1)), ((8, 6), (1, 1))])
def test_it_is_what_a_loop_finds(model, x, dtype, size, stride):
    fill = np.array([0.5, -1])
    found = occlusion(model, x, 1, size=size, stride=stride, fill=fill.reshape(2, 1, 1))
    tolerance = 1e-10 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(found.raw, by_hand(model, x, 1, size, stride, fill), atol=tolerance)
    assert found.raw.any()


def test_of_a_linear_model_it_is_what_the_pixels_add():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 2)).double()
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 6))
    found = occlusion(model, x, 1, size=1)
    np.testing.assert_allclose(found.raw, x[:, 0] * model[1].weight.data[1].reshape(4, 6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be one or two whole numbers above 0, got 0"),
        ({"size": (2, 2, 2)}, "size must be one or two whole numbers above 0"),
        ({"stride": 1.5}, "stride must be one or two whole numbers above 0, got 1.5"),
        ({"size": 7}, r"a window of \(7, 7\) does not fit on images of \(8, 6\)"),
        ({"size": 2, "stride": 3}, r"with a stride \(3, 3\) larger than the window \(2, 2\) pixels would never be"),
        ({"fill": np.ones(5)}, "broadcast"),
    ],
)
def test_windows_that_are_none(model, x, settings, message):
    with pytest.raises(ValueError, match=message):
        occlusion(model, x, 1, **settings)


def test_a_network_without_parameters_is_asked_with_tensors(x):
    class Function(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    lost = occlusion(Function(), x, 1, size=(8, 6)).map
    np.testing.assert_allclose(lost[:, 0, 0], x[:, 1].mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"fill": "a"}, TypeError, "occlusion: fill must be a number or an array of numbers, got 'a'"),
        ({"fill": None}, TypeError, "fill must be a number"),
        ({"fill": [1, 2, 3]}, ValueError, r"occlusion: fill \(3,\) does not broadcast to the images \(1, 1, 4, 5\)"),
        ({"size": 1.5}, ValueError, "size must be one or two whole numbers"),
        ({"stride": "a"}, ValueError, "stride must be one or two whole numbers"),
    ],
)
def test_arguments_of_another_kind_are_told(given, kind, message):
    with pytest.raises(kind, match=message):
        occlusion(
            nn.Sequential(nn.Flatten(), nn.Linear(20, 2)), np.zeros((1, 1, 4, 5), np.float32), **{"size": 2, **given}
        )
