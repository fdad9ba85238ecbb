from __future__ import annotations

import copy

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.models import VGG, GoogLeNet, resnet18
from tinygrad_cnn.nn import init
from tinygrad_cnn.surgery import batch_norm
from tinygrad_cnn.surgery.batch_norm import fuse_batchnorm
from tinygrad_cnn.surgery.proof import run


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 5e-6), (np.float64, 1e-12)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_convolution_and_linear_layers(dtype, bound, bias, affine, trained):
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), groups=2, bias=bias, dtype=dtype),
        nn.BatchNorm2d(6, eps=0.1, affine=affine, dtype=dtype),
        nn.Flatten(),
        nn.Linear(6 * 3 * 4, 5, bias=bias, dtype=dtype),
        nn.BatchNorm1d(5, affine=affine, dtype=dtype),
    )
    trained(model)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    fused = fuse_batchnorm(model, (4, 5, 5))
    assert fused.changes == ["1: folded into 0", "4: folded into 3"]
    assert norms(fused.model) == []
    assert not fused.model.training
    assert model.training
    assert all((model.state_dict()[name] == before[name]).all() for name in before)
    x = np.random.default_rng(8).standard_normal((3, 4, 5, 5)).astype(dtype)
    expected, found = run(model, x), run(fused.model, x)
    assert found.dtype == dtype
    assert abs(found - expected).max() / abs(expected).max() <= bound
    assert abs(expected).max() > 0.1


@pytest.mark.parametrize("build", [lambda: VGG(11, 3, batch_norm=True), lambda: resnet18(3)])
def test_classic_networks_lose_all_of_them(build, trained, monkeypatch):
    monkeypatch.setattr(init, "normal_", lambda w, *a, **k: init.constant_(w, 0.01))  # faster than drawing
    model = build()
    count = len(norms(model))
    fused = fuse_batchnorm(model, (3, 32, 32))
    assert len(fused.changes) == count
    assert all("folded" in change for change in fused.changes)
    assert norms(fused.model) == []


class Shared(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.first = nn.BatchNorm2d(2)
        self.free = nn.BatchNorm2d(2, track_running_stats=False)
        self.twice = nn.BatchNorm2d(2)
        self.more = nn.Conv2d(2, 2, 1)
        self.other = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        x = self.conv(self.first(x))
        x = F.relu(self.norm(x) + x)  # what the convolution gives is used twice
        x = self.twice(self.more(x)) + self.twice(self.other(x))
        return self.free(self.other(x))


def test_what_cannot_be_folded_stays(trained):
    fused = fuse_batchnorm(trained(Shared()), (2, 4, 5))
    assert fused.changes == [
        "norm: stays, it or the layer before it is used more than once",
        "first: stays, no layer that is a convolution or linear comes directly before it",
        "free: stays, no layer that is a convolution or linear comes directly before it",
        "twice: stays, it or the layer before it is used more than once",
    ]
    assert len(norms(fused.model)) == 4
    assert fused.error == 0


def test_a_convolution_without_a_layer():
    class Bare(nn.Module):
        def __init__(self):
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(F.conv2d(x, np.ones((3, 2, 1, 1), np.float32)))

    message = "norm: stays, no layer that is a convolution or linear comes directly before it"
    assert fuse_batchnorm(Bare(), (2, 4, 5)).changes == [message]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("layer", "norm", "size"),
    [
        (lambda **k: nn.Conv1d(4, 6, 3, stride=2, groups=2, **k), nn.BatchNorm1d(6), (4, 9)),
        (lambda **k: nn.Conv3d(4, 6, (3, 2, 1), groups=2, **k), nn.BatchNorm3d(6), (4, 5, 4, 3)),
        (lambda **k: nn.ConvTranspose1d(4, 6, 3, **k), nn.BatchNorm1d(6), (4, 5)),
        (lambda **k: nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), **k), nn.BatchNorm2d(6), (4, 5, 3)),
        (lambda **k: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, groups=2, **k), nn.BatchNorm2d(6), (4, 5, 3)),
        (lambda **k: nn.ConvTranspose2d(6, 6, 3, groups=6, **k), nn.BatchNorm2d(6), (6, 5, 3)),
        (lambda **k: nn.ConvTranspose3d(4, 6, (1, 2, 3), groups=2, **k), nn.BatchNorm3d(6), (4, 2, 3, 2)),
        (lambda **k: nn.Linear(4, 6, **k), nn.BatchNorm1d(6), (4,)),
    ],
)
def test_layers_of_every_kind(layer, norm, size, bias, trained):
    model = trained(nn.Sequential({"layer": layer(bias=bias), "norm": copy.deepcopy(norm)}))
    fused = fuse_batchnorm(model, size)
    assert fused.changes == ["norm: folded into layer"]
    assert isinstance(fused.model.norm, nn.Identity)
    x = np.random.default_rng(8).standard_normal((3, *size)).astype(np.float32)
    np.testing.assert_allclose(run(fused.model, x), run(model, x), rtol=0, atol=1e-5)


def test_channels_of_another_axis_are_not_folded(trained):
    fused = fuse_batchnorm(trained(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))), (4, 3))
    assert fused.changes == ["1: stays, its channels are not those of 0, which gives (2, 4, 4)"]


def test_a_layer_that_does_more_is_left_alone(trained):
    class Positive(nn.Conv2d):
        def forward(self, input):
            return F.relu(super().forward(input))

    model = trained(nn.Sequential(Positive(2, 3, 1), nn.BatchNorm2d(3)))
    assert fuse_batchnorm(model, (2, 4, 5)).changes[0].startswith("1: stays, no layer")


def test_a_normalisation_that_does_more_is_left_alone(trained):
    class Doubled(nn.BatchNorm2d):
        def forward(self, input):
            return super().forward(input) * 2

    model = trained(nn.Sequential(nn.Conv2d(2, 3, 1), Doubled(3), nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))
    fused = fuse_batchnorm(model, (2, 4, 5))
    assert fused.changes == ["1: stays, a Doubled computes more than batch normalisation", "3: folded into 2"]


def test_frozen_weights_stay_frozen():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).requires_grad_(False)
    assert not any(p.requires_grad for p in fuse_batchnorm(model, (2, 4, 5)).model.parameters())


def test_a_wrong_result_is_not_returned(monkeypatch, trained):
    monkeypatch.setattr(batch_norm, "_fold", lambda layer, norm: None)
    model = trained(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)))
    with pytest.raises(RuntimeError, match="fuse_batchnorm: with and without batch normalisation: outputs differ"):
        fuse_batchnorm(model, (2, 4, 5))


@pytest.fixture(scope="module")
def googlenet():
    """Untrained: its outputs are the bias of the last layer, and hardly depend on the image."""
    return GoogLeNet(10, generator=np.random.default_rng(2))


def test_an_untrained_network_passes(googlenet):
    fused = fuse_batchnorm(googlenet, (3, 64, 48))
    assert len(fused.changes) == 57
    assert fused.spread < 1e-3
    assert fused.alone < 2e-5
    assert f"each layer alone agrees to {fused.alone:.1e}" in str(fused)


@pytest.mark.parametrize("at", [0, 30, 56])
def test_one_wrong_fold_in_an_untrained_network_is_refused(googlenet, monkeypatch, at):
    fold, left = batch_norm._fold, iter(range(57))

    def wrong(layer, norm):
        fold(layer, norm)
        if next(left) == at:
            layer.weight.data[...] *= 1.5

    monkeypatch.setattr(batch_norm, "_fold", wrong)
    with pytest.raises(RuntimeError, match=r"outputs differ by"):
        fuse_batchnorm(googlenet, (3, 64, 48))


def test_mistakes():
    with pytest.raises(TypeError, match="fuse_batchnorm: model must be"):
        fuse_batchnorm("vgg", (3, 32, 32))
    with pytest.raises(ValueError, match="channels"):
        fuse_batchnorm(nn.Sequential(nn.Conv2d(2, 3, 1)), (3, 4, 5))
