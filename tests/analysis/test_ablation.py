from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import ablate
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.models.resnet import resnet18
from tinygrad_cnn.state import generator_state, recording

MODES = ("zero", "mean", "shuffle", "noise")


class Block(nn.Module):
    """A convolution, one ReLU layer that is used twice, and functions."""

    def __init__(self, dtype=np.float32):
        generator = np.random.default_rng(3)
        self.conv = nn.Conv2d(2, 3, 3, padding=1, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.LPPool2d(2, 2)
        if dtype == np.float64:
            self.double()

    def forward(self, x):
        y = F.relu(self.relu(self.conv(x)) - 0.1)
        return self.pool(self.relu(y + 0.5))


def images(n=4, dtype=np.float32, channels=2):
    return Tensor(np.random.default_rng(0).standard_normal((n, channels, 6, 4)).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_mode_replaces_as_it_says(dtype):
    model, x = Block(dtype), images(dtype=dtype)
    with no_grad(), trace(model) as t:
        model(x)
    was = t["conv"].output.data
    seen = {}
    for mode in MODES:
        with trace(model) as t, ablate(model, "conv", mode, generator=np.random.default_rng(1)):
            model(x)
        seen[mode] = t["relu"].inputs[0].data
        assert seen[mode].dtype == dtype
        assert seen[mode].shape == was.shape
    assert not seen["zero"].any()
    np.testing.assert_allclose(seen["mean"], np.broadcast_to(was.mean((0, 2, 3), keepdims=True), was.shape), rtol=2e-6)
    came_from = [[bool((row == other).all()) for other in was] for row in seen["shuffle"]]
    assert np.sum(came_from, 0).tolist() == np.sum(came_from, 1).tolist() == [1, 1, 1, 1]
    assert not np.diag(came_from).any()
    assert abs(seen["noise"].mean((0, 2, 3)) - was.mean((0, 2, 3))).max() < 0.4
    ratio = seen["noise"].std((0, 2, 3)) / was.std((0, 2, 3))
    assert 0.7 < ratio.min() <= ratio.max() < 1.4


def test_every_shuffle_moves_every_image():
    x = Tensor(np.arange(5, dtype=np.float32).reshape(5, 1))
    model, generator = nn.Sequential(nn.Identity()), np.random.default_rng(0)
    for _ in range(50):
        with ablate(model, "0", "shuffle", generator=generator):
            y = model(x).data[:, 0]
        assert sorted(y) == list(range(5))
        assert not (y == np.arange(5)).any()


def test_addresses_are_those_of_a_trace():
    model, x = Block(), images()
    with no_grad(), trace(model) as plain:
        model(x)
    reads = {call.address: [c.address for c in plain if call in c.sources] for call in plain}
    assert plain.addresses[:6] == ["conv", "relu", "sub", "relu#2", "add", "relu#3"]
    for address in [call.address for call in plain[:-1] if call.output.dtype.kind == "f"]:
        with no_grad(), trace(model) as t, ablate(model, address):
            model(x)
        assert t.addresses == plain.addresses
        for call in t:
            silent = [not v.data.any() for v in call.inputs[:1] if isinstance(v, Tensor)]
            if call.address in reads[address]:
                assert silent == [True], address
                break
            if call.address != address:
                np.testing.assert_array_equal(call.output.data, plain[call.address].output.data)
    with ablate(model, "pool"):
        assert not model(x).data.any()


@pytest.mark.parametrize("mode", MODES)
def test_how_a_replacement_is_made_is_no_part_of_a_trace(mode):
    class Functions(nn.Module):
        def forward(self, x):
            return F.mean(F.relu(x), (2, 3)) + F.mean(x, (2, 3))

    model, x = Functions(), images()
    with trace(model) as t, ablate(model, "relu", mode, channels=[1]):
        model(x)
    assert t.addresses == ["relu", "mean", "mean#2", "add"]


def test_a_block_of_a_residual_network_and_the_sum_inside_it():
    model, x = resnet18(num_classes=4).eval(), Tensor(np.ones((2, 3, 32, 32), np.float32))
    for address, reader in [("layer1.0", "layer1.1.conv1"), ("layer2.1.add", "layer2.1.relu#2")]:
        with no_grad(), trace(model) as t, ablate(model, address):
            model(x)
        assert not t[reader].inputs[0].data.any()


def test_only_these_channels():
    model, x = Block(), images()
    with no_grad(), trace(model) as t:
        model(x)
    was = t["conv"].output.data
    for mode in MODES:
        with no_grad(), trace(model) as t, ablate(model, "conv", mode, channels=[0, -1]):
            model(x)
        now = t["relu"].inputs[0].data
        np.testing.assert_array_equal(now[:, 1], was[:, 1])
        assert not (now[:, [0, 2]] == was[:, [0, 2]]).all((2, 3)).any()


def gradients(mode, **options):
    model, x = nn.Sequential({"conv": nn.Conv2d(2, 3, 3), "end": nn.Conv2d(3, 2, 1)}), images(3)
    x.requires_grad_()
    with ablate(model, "conv", mode, **options):
        y = model(x)
    F.sum(y[0]).backward()
    assert np.abs(model.end.weight.grad.data).sum() > 0 or mode == "zero"
    assert np.abs(model.end.bias.grad.data).sum() > 0
    return model.conv.weight.grad, x.grad


def test_no_gradient_passes_zeros_and_noise():
    for mode in ("zero", "noise"):
        assert gradients(mode) == (None, None)
        gw, gx = gradients(mode, channels=[1])
        assert not gw.data[1].any()
        assert gw.data[[0, 2]].all(axis=(1, 2, 3)).all()
        assert gx.data[0].any()
        assert not gx.data[1:].any()


def test_the_gradient_of_a_mean_is_dealt_out_and_that_of_a_shuffle_goes_where_it_came_from():
    _, gx = gradients("mean")
    assert all(g.any() for g in gx.data)  # the first image's score depends on all of them
    np.testing.assert_allclose(gx.data[0], gx.data[1], rtol=1e-5)
    _, gx = gradients("shuffle", generator=np.random.default_rng(2))
    assert [bool(g.any()) for g in gx.data].count(True) == 1
    assert not gx.data[0].any()


def test_each_pass_counts_anew_and_works_inside_a_larger_model():
    inner = Block()
    outer, x = nn.Sequential(nn.Identity(), inner), images()
    with ablate(inner, "relu#2"):
        first, second = outer(x), outer(x)
        direct = inner(x)
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.data, direct.data)
    assert not np.array_equal(first.data, outer(x).data)


def test_several_addresses_and_blocks_inside_each_other():
    model, x = LeNet5(), Tensor(np.ones((2, 1, 28, 28), np.float32))
    with no_grad(), trace(model) as t, ablate(model, ["features.conv1", "features.conv2"]):
        model(x)
    assert not t["features.relu1"].inputs[0].data.any()
    assert not t["features.relu2"].inputs[0].data.any()
    with no_grad(), ablate(model, "features.conv1", channels=[0]), ablate(model, "features.conv1", channels=[1]):
        with trace(model) as t:
            model(x)
        assert not t["features.relu1"].inputs[0].data[:, :2].any()
        assert t["features.relu1"].inputs[0].data[:, 2:].any()


def test_nothing_is_left_behind():
    model = nn.Sequential({"block": Block(), "norm": nn.BatchNorm2d(3)})
    x = images()
    expected = model.eval()(x).data
    state = {name: array.copy() for name, array in model.state_dict().items()}
    attributes = {path: dict(vars(module)) for path, module in model.named_modules()}
    luck = generator_state()
    for address in ("block", "block.relu", "block.add", "norm", "block.pool"):
        with no_grad(), ablate(model, address, "mean"):
            model(x)
    with pytest.raises(RuntimeError, match="broken off"), ablate(model, "block"):
        raise RuntimeError("broken off")
    assert recording.get() is None
    for path, module in model.named_modules():
        assert vars(module).keys() - {"_names"} == attributes[path].keys() - {"_names"}
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert generator_state() == luck
    np.testing.assert_array_equal(model(x).data, expected)


def test_a_forward_of_ones_own_stays():
    model, x = Block(), images()
    mine = lambda y: y * 2
    vars(model.relu)["forward"] = mine
    with ablate(model, "relu"):
        model(x)
    assert vars(model.relu)["forward"] is mine


def test_arrays_stay_arrays():
    model, x = nn.Sequential(nn.ReLU(), nn.ReLU()), np.ones((2, 3), np.float32)
    for mode in MODES:
        with ablate(model, "0", mode, channels=[1]):
            assert type(model(x)) is np.ndarray


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"address": "con"}, KeyError, "did not come by 'con'; there are conv"),
        ({"address": "relu#4"}, KeyError, "did not come by 'relu#4'; there are relu"),
        ({"address": "relu#two"}, KeyError, "did not come by 'relu#two'"),
        ({"mode": "ones"}, ValueError, "mode must be one of zero, mean, shuffle, noise, got 'ones'"),
        ({"channels": [3]}, IndexError, r"channel 3 is none of the 3 of a result of shape \(1, 3, 6, 4\)"),
        ({"mode": "shuffle"}, ValueError, r"needs a batch of at least 2 images, got shape \(1, 3, 6, 4\)"),
        ({"generator": 0}, TypeError, r"generator must be a numpy.random.Generator"),
    ],
)
def test_what_cannot_be_ablated(options, error, message):
    model = Block()

    def run():
        with ablate(model, **{"address": "conv"} | options):
            model(images(1))

    with pytest.raises(error, match=message):
        run()


def test_results_that_cannot_be_replaced():
    pool, x = nn.Sequential(nn.MaxPool2d(2, return_indices=True)), images()
    with pytest.raises(TypeError, match="must be one tensor of floats, got tuple"), ablate(pool, "0"):
        pool(x)
    line, one = nn.Sequential(nn.Identity()), Tensor(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 3\) has one value in each"), ablate(line, "0", "mean"):
        line(one)
    with pytest.raises(IndexError, match=r"shape \(3,\) has no channels"), ablate(line, "0", channels=[0]):
        line(one[0])
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got function"), ablate(F.relu, "0"):
        pass


@pytest.mark.parametrize("wrong", [{"channels": 3}, {"channels": "a"}, {"channels": [1.5]}, {"channels": [True]}])
def test_channels_are_whole_numbers(wrong):
    with (
        pytest.raises(TypeError, match="ablate: channels must be a list of whole numbers"),
        ablate(LeNet5(), "x", **wrong),
    ):
        pass


@pytest.mark.parametrize("wrong", [3, [], (1, 2), None])
def test_addresses_are_text(wrong):
    with pytest.raises(TypeError, match="ablate: address must be one of a call, or several"), ablate(LeNet5(), wrong):
        pass
