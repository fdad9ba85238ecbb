from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad, optim, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, grad, version
from tinygrad_cnn.autograd.engine import nodes_before
from tinygrad_cnn.models import GoogLeNet, LeNet5
from tinygrad_cnn.models.resnet import resnet18, resnet50
from tinygrad_cnn.state import observe, recording


class Block(nn.Module):
    """A block that uses one ReLU twice and calls functions by itself."""

    def __init__(self):
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(F.relu(self.relu(self.conv(x)) - 1) + x)


class Twice(nn.Module):
    def __init__(self):
        self.block = Block()
        self.skip = nn.Identity()
        self.pool = nn.LPPool2d(2, 2)

    def forward(self, x):
        return F.relu(F.relu(self.skip(self.pool(self.block(self.block(x))))))


def image(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def test_every_call_has_an_address_and_every_module_a_result():
    model, x = Twice(), image(1, 2, 6, 5)
    with trace(model) as t:
        y = model(x).sum()
    pool = [call.address for call in t.find(under="pool")]
    assert t.addresses == [
        "block.conv", "block.relu", "block.sub", "block.relu#2", "block.add", "block.relu#3",
        "block.conv#2", "block.relu#4", "block.sub#2", "block.relu#5", "block.add#2", "block.relu#6",
        *pool, "relu", "relu#2", "sum",
    ]  # fmt: skip
    assert t["block"] is t["block.relu#3"]
    assert t["block#2"] is t["block.relu#6"]
    assert t["pool"].address == pool[-1]
    assert t[-1] is t["sum"]
    assert t["sum"].output.data is y.data
    assert "relu#2" in t
    assert "relu#3" not in t


def test_a_module_called_relu_and_a_function_relu_do_not_share_an_address():
    class Both(nn.Module):
        def __init__(self):
            self.relu = nn.ReLU()

        def forward(self, x):
            return F.relu(self.relu(x))

    model = Both()
    with trace(model) as t:
        model(image(2, 2))
    assert len(set(t.addresses)) == len(t) == 2


def test_calls_know_their_inputs_parameters_bytes_and_time():
    model, x = LeNet5(), image(2, 1, 28, 28)
    with trace(model) as t:
        model(x)
    conv, relu, pool = t["features.conv1"], t["features.relu1"], t["features.pool1"]
    assert (conv.op, relu.op, pool.op) == ("conv2d", "relu", "max_pool2d")
    assert conv.inputs[0].data is x.data
    assert conv.sources == (None, None, None)
    assert relu.sources == (conv,)
    assert relu.inputs[0] is conv.output
    assert list(conv.parameters) == ["features.conv1.weight", "features.conv1.bias"]
    assert conv.parameters["features.conv1.weight"] is model.features.conv1.weight
    assert conv.shape == (2, 6, 28, 28)
    assert conv.nbytes == 2 * 6 * 28 * 28 * 4
    (flat,) = t.find(op="reshape")
    assert flat.nbytes == 0  # a view
    assert all(call.seconds > 0 for call in t)
    assert [call.address for call in t.find(kind=nn.Conv2d)] == ["features.conv1", "features.conv2"]
    assert [call.op for call in t.find(under="classifier", op="linear")] == ["linear"] * 3
    assert "features.conv1: conv2d" in repr(conv)


def test_values_are_those_of_the_model_and_can_be_differentiated():
    model, x = LeNet5(), image(2, 1, 28, 28)
    with trace(model) as t:
        y = model(x)
    np.testing.assert_array_equal(y.data, model(x).data)
    features = t["features"].output
    (g,) = grad(y[:, 3].sum(), features)
    assert g.shape == features.shape
    assert np.abs(g.data).max() > 0
    assert all(p.grad is None for p in model.parameters())


def test_values_are_copied_when_their_memory_is_about_to_be_written():
    class Writes(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.full(3, 2.0, np.float32))
            self.register_buffer("seen", Tensor(np.zeros(3, np.float32)))

        def forward(self, x):
            y = x * self.scale
            view = y.reshape(3, 1)
            y[0] = 0
            y += 1
            self.seen.copy_(y.detach())
            return F.exp(view)

    model, x = Writes(), image(3)
    for pause in (True, False):
        with trace(model) as t:
            if pause:
                with no_grad():
                    result = model(x)
            else:
                result = model(x)
        np.testing.assert_array_equal(t["mul"].output.data, x.data * 2)
        np.testing.assert_array_equal(t["set_item"].output.data, np.r_[0, x.data[1:] * 2].astype(np.float32))
        np.testing.assert_array_equal(t["reshape"].output.data[:, 0], x.data * 2)
        np.testing.assert_array_equal(t["add"].output.data, t["set_item"].output.data + 1)
        np.testing.assert_array_equal(t["exp"].inputs[0].data[:, 0], t["set_item"].output.data)
        assert t["add"].sources[0] is t["set_item"]
        assert t["exp"].sources[0] is t["reshape"]
        assert t["set_item"].sources[0] is t["mul"]
        np.testing.assert_array_equal(t["exp"].output.data, result.data)


def test_a_step_of_an_optimiser_does_not_change_what_was_noted():
    model, x = nn.Linear(3, 2), image(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.data.copy()
    with trace(model) as t:
        model(x).sum().backward()
        optimizer.step()
    assert not np.array_equal(model.weight.data, before)
    np.testing.assert_array_equal(t[0].inputs[1].data, before)


def test_nothing_is_left_behind():
    model, x = Twice(), image(1, 2, 6, 5)
    state = {name: array.copy() for name, array in model.state_dict().items()}
    attributes = {path: set(vars(module)) for path, module in model.named_modules()}
    with pytest.raises(ValueError, match=r"conv2d in block\.conv"), trace(model):
        model(x.reshape(1, 1, 2, 6, 5, 1))
    assert recording.get() is None
    assert version.watchers == []
    assert {path: set(vars(module)) for path, module in model.named_modules()} == attributes
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model(x).grad_fn is not None

    with trace(model) as t:
        model(x)
    kept = weakref.ref(t[0].output)
    del t
    gc.collect()
    assert kept() is None


def test_traces_nest():
    model, x = LeNet5(), image(1, 1, 28, 28)
    with trace(model) as outer, trace(model) as inner:
        model(x)
    assert outer.addresses == inner.addresses
    with trace(model) as t:
        pass
    assert len(t) == 0


def test_the_output_of_an_operation_can_be_replaced_by_its_observer():
    def silence(function: Function, inputs: tuple, output: Tensor) -> Tensor | None:
        return Tensor(np.zeros_like(output.data)) if function.name == "ReLU" else None

    model, x = Block(), image(1, 2, 6, 5)
    found = observe(silence)
    try:
        with trace(model) as t:
            y = model(x)
        alone = F.relu(x.data)
    finally:
        observe(found)
    assert not y.data.any()
    assert not t["relu"].output.data.any()
    assert not np.any(alone.data)
    assert t["sub"].sources[0] is t["relu"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("features.conv3", "'features.conv3' is no address of this trace; there are .*features.conv1"),
        ("features.conv1#2", r"the module 'features.conv1' was called 1 times|is no address"),
        ("idle", "the module 'idle' was called 0 times"),
        ("empty", "the module 'empty' was called, but computed nothing"),
    ],
)
def test_addresses_that_are_none(address, message):
    class Net(LeNet5):
        def __init__(self):
            super().__init__()
            self.idle, self.empty = nn.ReLU(), nn.Identity()

        def forward(self, x):
            return super().forward(self.empty(x))

    model = Net()
    with trace(model) as t:
        model(image(1, 1, 28, 28))
    with pytest.raises(KeyError, match=message):
        t[address]


def test_every_conv_of_a_residual_network_is_found():
    model = resnet18(num_classes=4).eval()
    with no_grad(), trace(model) as t:
        model(image(1, 3, 32, 32))
    convs = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    assert sorted(call.address for call in t.find(op="conv2d")) == sorted(convs)
    assert t["layer1.0"].op == "relu"
    assert t["layer1.0"].sources[0].op == "add"


def test_only_a_module_is_traced():
    with pytest.raises(TypeError, match=r"trace: model must be an nn\.Module, got function"), trace(F.relu):
        pass


def run_net() -> nn.Sequential:
    parts = {"conv": nn.Conv2d(2, 3, 3), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2), "head": nn.Flatten()}
    return nn.Sequential({**parts, "out": nn.Linear(3 * 2 * 3, 2)})


def gradients(model: nn.Module, y: Tensor, *others: Tensor) -> list[np.ndarray]:
    found = grad((y * y).sum(), [*model.parameters(), *others], retain_graph=True)
    return [g.data for g in found]


def test_layers_run_as_one_until_somebody_looks():
    model, x = run_net(), image(2, 2, 6, 9)
    plain = model(x)
    expected = gradients(model, plain)
    with trace(model) as t:
        y = model(x)
    names = [node.name for node in nodes_before([y.edge])]
    assert names == ["ConvRun", "LinearRun"]
    assert t.addresses == ["conv", "relu", "pool", "head", "out"]
    assert [call.index for call in t] == [0, 1, 2, 3, 4]
    assert t["relu"].sources == (t["conv"],)
    assert t["head"].sources == (t["pool"],)
    assert [call.op for call in t] == ["conv2d", "relu", "max_pool2d", "reshape", "linear"]
    assert list(t["conv"].parameters) == ["conv.weight", "conv.bias"]
    assert t["pool"].parameters == {}
    # The graph has the single operations now: they can be differentiated by, with the same bits.
    assert [node.name for node in nodes_before([y.edge])] == ["Conv2d", "ReLU", "MaxPool2d", "Reshape", "Linear"]
    assert [node.path for node in nodes_before([y.edge])][:3] == ["conv", "relu", "pool"]
    maps = t["relu"].output
    *found, g = gradients(model, y, maps)
    assert g.shape == maps.shape == (2, 3, 4, 7)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    single = model.relu(model.conv(x))
    np.testing.assert_array_equal(maps.data, single.data)
    np.testing.assert_array_equal(t["pool"].output.data, model.pool(single).data)


def test_runs_of_what_was_used_up_or_not_recorded_are_values_only():
    model, x = run_net(), image(2, 2, 6, 9)
    with trace(model) as t:
        model(x).sum().backward()
    assert not t["relu"].output.requires_grad
    np.testing.assert_array_equal(t["relu"].output.data, model.relu(model.conv(x)).data)

    normed = nn.Sequential({"conv": nn.Conv2d(2, 3, 3), "norm": nn.BatchNorm2d(3), "relu": nn.ReLU()}).eval()
    with no_grad(), trace(normed) as t:
        y = normed(x)
    assert t.addresses == ["conv", "norm", "relu"]
    assert list(t["norm"].parameters) == ["norm.weight", "norm.bias"]
    np.testing.assert_array_equal(t["norm"].output.data, normed.norm(normed.conv(x)).data)
    assert t["relu"].output.data is y.data


def test_a_run_is_taken_apart_with_the_values_of_its_time():
    model, x = run_net(), image(2, 2, 6, 9)
    before = model.relu(model.conv(x)).data
    with trace(model) as t:
        y = model(x)
        y.retain_grad()
        with no_grad():
            model.conv.weight.zero_()
    np.testing.assert_array_equal(t["relu"].output.data, before)


def test_a_look_in_the_middle_of_a_trace_after_backward():
    model, x = run_net(), image(2, 2, 6, 9)
    with trace(model) as t:
        model(x).sum().backward()
        assert t["pool"].op == "max_pool2d"
        model(x)
    assert t.addresses[-5:] == ["conv#2", "relu#2", "pool#2", "head#2", "out#2"]


def test_a_step_after_the_block_does_not_change_what_lies_between():
    model, x = run_net(), image(2, 2, 6, 9)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    before = model.conv(x).data
    gc.collect()
    others = list(version.watchers)
    with trace(model) as t:
        y = model(x)
    y.sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(t["conv"].output.data, before)
    assert list(t["conv"].parameters) == ["conv.weight", "conv.bias"]
    weights = t["conv"].inputs[1].data.copy()
    optimizer.step()  # nothing is left to take apart, so nothing more is copied
    np.testing.assert_array_equal(t["conv"].inputs[1].data, weights)
    assert len(version.watchers) == len(others) + 1
    del t
    assert version.watchers == others


def test_what_numpy_wrote_is_no_silent_other_value():
    model, x = run_net(), np.ones((2, 2, 6, 9), np.float32)
    with trace(model) as t:
        model(x)
    x[:] = 0
    with pytest.raises(RuntimeError, match="conv and pool ran as one; running them again"):
        len(t)


def test_a_node_that_was_taken_apart_guards_only_what_its_own_rules_read():
    model, x = run_net(), image(2, 2, 6, 9)
    expected = gradients(model, model(x))
    with trace(model) as t:
        y = model(x)
        with no_grad():
            model.conv.weight.fill_(2.0)
    assert t["pool"].function.saved == ()
    for a, b in zip(gradients(model, y), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_addresses_of_a_trace_are_told_once_and_of_an_empty_one_not_at_all():
    model = run_net()
    with trace(model) as t:
        pass
    with pytest.raises(KeyError, match="'conb' is no address: this trace is empty; call the model inside"):
        t["conb"]
    with trace(model) as t:
        model(image(2, 2, 6, 9))
    with pytest.raises(KeyError, match=r"there are conv, \.\.\."):
        t["conb"]


def test_batch_norm_in_training_mode_is_one_call():
    model, x = nn.Sequential({"conv": nn.Conv2d(2, 3, 3), "bn": nn.BatchNorm2d(3)}), image(2, 2, 6, 5)
    with trace(model) as t:
        y = model(x)
    assert t.addresses == ["conv", "bn"]
    assert t["bn"].output.data is y.data
    assert model.bn.num_batches_tracked.item() == 1


@pytest.mark.parametrize("build", [resnet50, GoogLeNet])
def test_every_layer_is_found_and_every_map_is_that_of_a_forward_by_hand(build):
    model, x = build(num_classes=3).eval(), image(1, 3, 64, 48)
    with no_grad(), trace(model) as t:
        y = model(x)
    layers = {name: module for name, module in model.named_modules() if next(module.children(), None) is None}
    silent = (nn.Dropout, nn.Identity)  # in evaluation mode they hand over what they were given
    assert [name for name, layer in layers.items() if name not in t and not isinstance(layer, silent)] == []
    assert t[-1].output.data is y.data
    for call in t:
        for value, source in zip(call.inputs, call.sources, strict=True):
            assert source is None or value is source.output
        arrays = [value.data for value in call.inputs if isinstance(value, Tensor)]
        with no_grad():
            match call.op:
                case "add":
                    expected = np.add(*arrays)
                case "cat":
                    expected = np.concatenate(arrays, 1)
                case _:  # a ReLU module of a block is called several times: each call is a layer on its own input
                    path = call.path if call.path in layers else call.address.partition("#")[0]
                    expected = layers[path](call.inputs[0]).data
        np.testing.assert_array_equal(call.output.data, expected)


def test_two_models_in_one_thread_keep_their_own_paths():
    a = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2)})
    b = nn.Sequential({"conv": nn.Conv2d(2, 2, 1), "act": nn.ReLU()})
    x = image(1, 1, 8, 6)
    with trace(a) as ta, trace(b) as tb:
        b(a(x)).sum()
    assert ta.addresses == ["conv", "relu", "pool", "conv2d", "relu#2", "sum"]
    assert tb.addresses == ["conv2d", "relu", "max_pool2d", "conv", "act", "sum"]
    assert [list(call.parameters) for call in (ta["conv"], ta["conv2d"], tb["conv"])] == [
        ["conv.weight", "conv.bias"], [], ["conv.weight", "conv.bias"],
    ]  # fmt: skip
    assert (ta["pool"].path.module, tb["act"].path.module) == (a.pool, b.act)
    assert tb["conv"].sources[0] is tb["max_pool2d"]


def test_a_model_traced_inside_of_another_keeps_its_own_paths_too():
    block = Block()
    model = nn.Sequential({"first": block, "flat": nn.Flatten()})
    alone = nn.Sequential({"block": block})
    x = image(1, 2, 6, 5)
    with trace(model) as t:
        model(x)
        with trace(alone) as inner, trace(model) as again:
            model(x)
        model(x)
    own = ["conv", "relu", "sub", "relu#2", "add", "relu#3"]
    assert inner.addresses == [*(f"block.{name}" for name in own), "reshape"]
    assert again.addresses == [*(f"first.{name}" for name in own), "flat"]
    assert len(t) == 21
    assert t["flat#3"] is t[-1]
    assert [call.path for call in t] == [call.path for call in again] * 3


def test_a_frozen_weight_that_is_overwritten_before_the_look_is_named():
    model = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU(), "other": nn.Conv2d(2, 2, 1)})
    model.requires_grad_(False)
    for inside in (True, False):
        old = model.conv.weight.data.copy()
        with trace(model) as t:
            model(image(1, 1, 5, 4))
            if inside:
                model.conv.weight.fill_(3)
        model.conv.weight.fill_(4)
        assert list(t["conv"].parameters) == ["conv.weight", "conv.bias"]
        assert t["conv"].parameters["conv.weight"] is model.conv.weight
        np.testing.assert_array_equal(t["conv"].inputs[1], old)
        assert t["relu"].parameters == {}


@pytest.mark.parametrize("key", [1.5, None, [], (1, 2)])
def test_an_address_is_text_or_a_place(key):
    with trace(nn.ReLU()) as t:
        t.model(image(2, 3))
    assert t[0] is t[np.int64(0)] is t["relu"]
    with pytest.raises(TypeError, match="an address is text, such as 'conv1' or 'relu#2', or its place in a trace"):
        t[key]
