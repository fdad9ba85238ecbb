from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.models import GoogLeNet
from tinygrad_cnn.surgery import freezing
from tinygrad_cnn.surgery.freezing import FrozenBatchNorm2d, freeze


def network():
    backbone = nn.Sequential(nn.Conv2d(2, 3, (3, 2)), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    head = nn.Sequential(nn.Linear(3 * 2 * 3, 4), nn.BatchNorm1d(4))
    return nn.Sequential({"backbone": backbone, "head": head})


def step(model, x):
    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5, momentum=0.9, weight_decay=0.1)
    F.cross_entropy(model.train()(x), np.arange(len(x)) % 4).backward()
    optimizer.step()


def test_training_leaves_the_frozen_part_alone_and_moves_the_rest(trained):
    model = trained(network())
    names = list(model.state_dict())
    frozen = freeze(model, (2, 4, 4), "backbone")
    assert frozen.model is model
    assert frozen.error == 0
    assert frozen.changes[0] == "backbone.0.weight: frozen"
    assert frozen.changes[-1] == "backbone.1: keeps its running statistics"
    before = {name: array.copy() for name, array in model.state_dict().items()}
    assert list(before) == names
    step(model, np.random.default_rng(0).standard_normal((6, 2, 4, 4)).astype(np.float32))
    moved = {name for name, array in model.state_dict().items() if not np.array_equal(array, before[name])}
    assert moved == {name for name in names if name.startswith("head.")}


def test_frozen_batch_norm_is_the_same_in_both_modes_and_can_be_copied(trained):
    model = trained(network())
    freeze(model, (2, 4, 4), "backbone.1")
    norm = model.backbone[1]
    assert type(norm) is FrozenBatchNorm2d
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    expected = norm.eval()(x)
    for other in (norm.train(), copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        assert (other(x).data == expected.data).all()
        assert not other.training
    assert repr(norm).startswith("FrozenBatchNorm2d(3, ")


def test_everything_one_parameter_and_twice():
    model = network()
    freeze(model, (2, 4, 4), "head.0.bias")
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["head.0.bias"]
    assert type(model.backbone[1]) is nn.BatchNorm2d
    freeze(model, (2, 4, 4))
    assert not any(p.requires_grad for p in model.parameters())
    again = freeze(model, (2, 4, 4))
    assert "keeps" not in str(again)  # it does already


def test_volumes():
    model = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2))
    freeze(model, (1, 2, 3, 4))
    assert not model.train()[1].training


def test_a_name_is_a_whole_name():
    model = nn.Sequential({"conv1": nn.Conv2d(1, 2, 1), "conv10": nn.Conv2d(2, 2, 1)})
    freeze(model, (1, 3, 4), "conv1")
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


def test_mistakes():
    with pytest.raises(ValueError, match=r"freeze: the model has no part 'backbones'; it has backbone, backbone\.0"):
        freeze(network(), (2, 4, 4), "backbones")
    with pytest.raises(ValueError, match="0 has no running statistics to keep to"):
        freeze(nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)), (2, 4, 4))
    with pytest.raises(TypeError, match="freeze: model must be"):
        freeze(None, (2, 4, 4))


def test_what_still_moves_is_an_error(monkeypatch):
    class Moving(nn.BatchNorm2d):
        """Frozen in name only."""

    monkeypatch.setattr(freezing, "_FROZEN", {nn.BatchNorm2d: Moving})
    with pytest.raises(RuntimeError, match=r"moved \['backbone\.1\.running_mean'"):
        freeze(network(), (2, 4, 4), "backbone")


def test_statistics_that_would_go_on_moving_are_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True))
    with pytest.raises(ValueError, match="freeze: 1 is a InstanceNorm2d, whose running statistics"):
        freeze(model, (3, 8, 7))
    assert len(freeze(model, (3, 8, 7), "0").changes) == 2


class Wrong(nn.BatchNorm2d):
    """Half as much again, or by the statistics of the batch."""

    batch = False

    def forward(self, input):
        if self.batch and self.training:
            return F.batch_norm(input, weight=self.weight, bias=self.bias, training=True)
        return super().forward(input) if self.batch else super().forward(input) * 1.5

    def train(self, mode=True):
        return super().train(mode and self.batch)


def test_a_result_that_differs_inside_of_an_untrained_network_is_found(monkeypatch):
    model = GoogLeNet(10, generator=np.random.default_rng(2))
    assert freeze(copy.deepcopy(model), (3, 64, 48), "inception5b").error == 0
    monkeypatch.setitem(freezing._FROZEN, nn.BatchNorm2d, Wrong)
    with pytest.raises(RuntimeError, match=r"freeze: .*(outputs differ|other operations|gives another result)"):
        freeze(model, (3, 64, 48), "inception5b.branch1")


def test_a_result_of_the_same_operations_that_differs_is_named(monkeypatch):
    class Shifted(nn.BatchNorm2d):
        def forward(self, input):
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=2 * self.eps)

    monkeypatch.setitem(freezing._FROZEN, nn.BatchNorm2d, Shifted)
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    model[4].weight.data[...] = 0  # the outputs do not depend on the image
    with pytest.raises(RuntimeError, match="freeze: 1 gives another result than before"):
        freeze(model, (2, 4, 4), "1")


def test_statistics_of_the_batch_in_training_are_an_error(monkeypatch):
    monkeypatch.setattr(Wrong, "batch", True)
    monkeypatch.setitem(freezing._FROZEN, nn.BatchNorm2d, Wrong)
    with pytest.raises(RuntimeError, match=r"in training \['backbone\.1'\] would use the statistics of the batch"):
        freeze(network(), (2, 4, 4), "backbone")


class Heads(nn.Module):
    """Two heads in training, one in evaluation; it may also be one that nothing is proven of."""

    def __init__(self, broken=False):
        self.conv, self.norm, self.head, self.broken = nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Linear(3, 2), broken

    def forward(self, x):
        if self.broken and self.training:
            raise ValueError("only for prediction")
        y = self.head(self.norm(self.conv(x)).mean((2, 3)))
        return (y, y * 2) if self.training else y


def test_networks_with_several_heads_in_training():
    assert freeze(Heads(), (2, 4, 5), "conv").changes == ["conv.weight: frozen", "conv.bias: frozen"]


def test_without_a_proof_the_model_is_as_it_was():
    model = Heads(broken=True)
    model.head.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="only for prediction"):
        freeze(model, (2, 4, 5))
    assert type(model.norm) is nn.BatchNorm2d
    assert model.norm.training
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["head.bias"]


def test_shared_parts_are_frozen_by_each_of_their_names():
    def shared():
        norm, first, second = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        second.weight = first.weight
        return nn.Sequential(nn.Sequential(first, norm), nn.Sequential(second, norm))

    assert freeze(shared(), (2, 4, 5), "1").changes == [
        "0.0.weight: frozen", "0.1.weight: frozen", "0.1.bias: frozen", "1.0.bias: frozen",
        "0.1: keeps its running statistics",
    ]  # fmt: skip
    assert freeze(shared(), (2, 4, 5), "1.0.weight").changes == ["0.0.weight: frozen"]
    assert len(freeze(shared(), (2, 4, 5), "").changes) == 6  # the name of the model itself
