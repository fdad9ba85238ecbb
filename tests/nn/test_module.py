from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.state import module_path


class Block(nn.Module):
    def __init__(self, size: int = 3) -> None:
        self.linear = nn.Linear(size, size)
        self.scale = nn.Parameter(np.ones(size, np.float32))
        self.register_buffer("count", Tensor(np.zeros((), np.int64)))
        self.register_buffer("cache", Tensor(np.zeros(2)), persistent=False)
        self.register_buffer("nothing", None)

    def forward(self, x: Any) -> Any:
        return self.linear(x) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()  # allowed
        self.first = Block()
        self.layers = nn.ModuleList([Block(), Block()])
        self.head = nn.Parameter(np.ones((2, 3), np.float32))

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return x @ self.head.T


class Probe(nn.Module):
    """Says where it runs."""

    def forward(self, log: list[str]) -> list[str]:
        return [*log, module_path.get()]


# --- parts -----------------------------------------------------------------------------------------------------


def test_names_in_definition_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "head",
        "first.scale",
        "first.linear.weight",
        "first.linear.bias",
        "layers.0.scale",
        "layers.0.linear.weight",
        "layers.0.linear.bias",
        "layers.1.scale",
        "layers.1.linear.weight",
        "layers.1.linear.bias",
    ]
    assert [name for name, _ in net.first.named_buffers("x")] == ["x.count", "x.cache"]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["head"]
    assert [name for name, _ in net.named_children()] == ["first", "layers"]
    assert [name for name, _ in net.named_modules("net")][:4] == ["net", "net.first", "net.first.linear", "net.layers"]
    assert len(list(net.modules())) == 8
    assert len(list(net.buffers())) == 6


def test_names_equal_torch() -> None:
    torch = pytest.importorskip("torch")

    def build(nn: Any) -> Any:
        class Inner(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm = nn.BatchNorm2d(4)
                self.conv = nn.Conv2d(3, 4, (3, 2), bias=False)

        class Outer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.blocks = nn.ModuleList([Inner(), Inner()])
                self.tail = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
                self.tied = self.tail[0]

        return Outer()

    ours, theirs = build(nn), build(torch.nn)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    for kind in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [name for name, _ in getattr(ours, kind)()] == [name for name, _ in getattr(theirs, kind)()]
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert (ours.tail[2].weight.data == theirs.tail[2].weight.detach().numpy()).all()


def test_shared_parts_count_once_but_stand_under_each_name_in_the_state() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert len(list(model.children())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    other = nn.Linear(3, 3)
    other.weight = layer.weight
    assert len(list(nn.Sequential(layer, other).parameters())) == 3


def test_a_parameter_cannot_be_lost_by_assignment() -> None:
    layer = nn.Linear(2, 2)
    weight = layer.weight
    with pytest.raises(TypeError, match=r"Linear.weight is a Parameter; a Tensor in its place"):
        layer.weight = layer.weight * 2
    assert layer.weight is weight
    with no_grad():
        layer.weight -= 1  # the same object
    assert layer.weight is weight
    layer.bias = None
    layer.weight = nn.Parameter(np.ones((1, 2)))
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_buffers_are_checked() -> None:
    module = nn.Module()
    with pytest.raises(TypeError, match=r"'a' must be a Tensor or None, got ndarray; wrap it: Tensor\(array\)"):
        module.register_buffer("a", np.ones(2))
    with pytest.raises(TypeError, match="got Parameter"):
        module.register_buffer("a", nn.Parameter([1.0]))
    for name in ("", "a.b", 3):
        with pytest.raises(ValueError, match="a name is text without dots"):
            module.register_buffer(name, None)
    with pytest.raises(ValueError, match=r"Module.forward already means something else"):
        module.register_buffer("forward", None)
    module.register_buffer("a", None)
    with pytest.raises(TypeError, match=r"Module.a is a buffer, a Tensor or None, not a float"):
        module.a = 3.0
    module.a = Tensor([1.0])
    assert list(module.state_dict()) == ["a"]
    del module.a
    assert not module.state_dict()
    module.a = 3.0  # no longer a buffer


def test_add_module() -> None:
    module = nn.Module()
    module.add_module("0", nn.Linear(2, 1))
    module.add_module("none", None)
    assert list(module.state_dict()) == ["0.weight", "0.bias"]
    with pytest.raises(TypeError, match="'x' must be a Module or None, got int"):
        module.add_module("x", 3)


def test_a_module_cannot_contain_itself() -> None:
    net = Net()
    with pytest.raises(ValueError, match=r"Block.parent: the Net contains this module"):
        net.first.parent = net
    with pytest.raises(ValueError, match="would contain itself"):
        net.net = net
    net.first.parent = (net,)
    assert len(list(net.modules())) == 8


def test_forward_is_needed() -> None:
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(\)"):
        nn.Module()(1)


# --- state -----------------------------------------------------------------------------------------------------


def test_state_dict_is_a_read_only_view() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state)[:3] == ["head", "first.scale", "first.count"]
    assert not any(name.endswith(("cache", "nothing")) for name in state)
    assert np.shares_memory(state["head"], net.head.data)
    with pytest.raises(ValueError, match="read-only"):
        state["head"][0] = 3
    with no_grad():
        net.head.fill_(7)
    assert (state["head"] == 7).all()


def test_load_round_trip_keeps_the_objects() -> None:
    net, other = Net(), Net()
    with no_grad():
        other.first.count.fill_(4)
    parameters = list(net.parameters())
    arrays = [p.data for p in parameters]
    assert net.load_state_dict(other.state_dict()) == ([], [])
    assert all(p is q and p.data is a for p, q, a in zip(net.parameters(), parameters, arrays, strict=True))
    for name, value in net.state_dict().items():
        assert (value == other.state_dict()[name]).all()
        assert not np.shares_memory(value, other.state_dict()[name])
    assert int(net.first.count) == 4


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(twin_of: Any) -> None:
    net = Net()
    x = np.ones((2, 3), np.float32)
    net(x)
    twin = twin_of(net)
    assert not hasattr(twin, "_kept_names")
    assert not hasattr(twin, "_kept_runs")
    assert list(twin.state_dict()) == list(net.state_dict())
    assert (twin(x).data == net(x).data).all()
    if twin_of is not copy.copy:
        with no_grad():
            twin.head.fill_(0)
        assert (net.head.data == 1).all()


def test_no_reference_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        net = Net()
        net(np.ones((2, 3), np.float32)).sum().backward()
        dead = weakref.ref(net), weakref.ref(net.first.linear.weight), weakref.ref(net.layers)
        del net
        assert [reference() for reference in dead] == [None] * 3
    finally:
        gc.enable()


# --- modes and conversions -------------------------------------------------------------------------------------


def test_modes_return_the_module() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.layers.train() is net.layers
    assert net.layers[1].linear.training
    assert not net.first.training
    with pytest.raises(TypeError, match="mode must be a bool"):
        net.train(1)


def test_apply_goes_inside_first() -> None:
    seen: list[nn.Module] = []
    net = Net()
    assert net.apply(seen.append) is net
    assert seen[:2] == [net.first.linear, net.first]
    assert seen[-1] is net
    assert len(seen) == 8


def test_freezing_and_gradients() -> None:
    net = Net()
    assert net.requires_grad_(False) is net
    assert not net(np.ones((2, 3), np.float32)).requires_grad
    net.requires_grad_()
    net(np.ones((2, 3), np.float32)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.data == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_conversion_keeps_the_parameter_objects() -> None:
    net = Net()
    net(np.ones((2, 3), np.float32)).sum().backward()
    parameters = list(net.parameters())
    gradients = [p.grad.data for p in parameters]
    assert net.double() is net
    assert all(p is q for p, q in zip(net.parameters(), parameters, strict=True))
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert all((p.grad.data == g).all() for p, g in zip(parameters, gradients, strict=True))
    assert net.first.count.dtype == np.int64
    y = net(np.ones((2, 3)))
    assert y.dtype == np.float64
    y.sum().backward()
    assert (parameters[0].grad.data != gradients[0]).any()
    assert {t.dtype for t in net.float().parameters()} == {np.dtype(np.float32)}
    assert net.first.cache.dtype == np.float32


# --- where a module runs ---------------------------------------------------------------------------------------


class Tree(nn.Module):
    def __init__(self) -> None:
        self.a = Probe()
        self.b = nn.Sequential({"c": Probe(), "d": nn.Sequential(Probe())})
        self.listed = nn.ModuleList([Probe()])
        self.hidden = (Probe(),)

    def forward(self, log: list[str]) -> list[str]:
        log = [*log, module_path.get()]
        log = self.listed[0](self.b(self.a(log)))
        return [*self.hidden[0](log), module_path.get()]


def test_paths_are_the_names_of_the_state_dict() -> None:
    tree = Tree()
    assert tree([]) == ["", "a", "b.c", "b.d.0", "listed.0", "", ""]
    assert tree.b([]) == ["c", "d.0"]
    assert tree.a([]) == [""]
    assert module_path.get() == ""


def test_paths_follow_the_structure() -> None:
    tree = Tree()
    tree([])
    tree.b.append(Probe())
    assert tree([]) == ["", "a", "b.c", "b.d.0", "b.2", "listed.0", "", ""]
    tree.b.insert(0, Probe())
    assert tree([])[2:6] == ["b.0", "b.c", "b.d.0", "b.3"]
    del tree.b[0]
    tree.b.d[0] = nn.Sequential(Probe())
    assert tree([])[2:5] == ["b.c", "b.d.0.0", "b.2"]
    tree.a, tree.listed[0] = tree.listed[0], Probe()
    assert tree([])[1] == "a"
    part = tree.a
    del tree.a
    tree.z = tree.a = part
    assert tree([])[1] == "z"


def test_paths_in_errors_and_nodes() -> None:
    model = nn.Sequential({"features": nn.ModuleList([nn.Linear(3, 4)]), "classifier": nn.Linear(4, 2)})
    model.forward = lambda x: model.classifier(model.features[0](x))
    with pytest.raises(ValueError, match=r"^linear in features.0: .*input \(2, 4\) and weight \(4, 3\)"):
        model(np.ones((2, 4), np.float32))
    assert module_path.get() == ""
    y = model(np.ones((2, 3), np.float32))
    assert y.grad_fn.path == "classifier"
    assert nn.Linear(1, 1)(np.ones((1, 1), np.float32)).grad_fn.path == ""


def test_paths_are_restored_after_an_error_inside() -> None:
    class Survivor(nn.Module):
        def __init__(self) -> None:
            self.bad = nn.Sequential(nn.Linear(1, 1))

        def forward(self, x: Any) -> str:
            with pytest.raises(ValueError, match=r"linear in bad\.0"):
                self.bad(x)
            return module_path.get()

    assert Survivor()(np.ones((1, 5), np.float32)) == ""


def test_paths_belong_to_a_thread() -> None:
    class Forking(nn.Module):
        def __init__(self, log: list[str]) -> None:
            self.part = Tree()
            self.log = log

        def forward(self) -> None:
            thread = threading.Thread(target=lambda: self.log.extend(self.part.b([])))
            thread.start()
            thread.join()

    log: list[str] = []
    Forking(log)()
    assert log == ["c", "d.0"]


# --- text ------------------------------------------------------------------------------------------------------


def test_repr() -> None:
    class Named(nn.Sequential):
        def extra_repr(self) -> str:
            return "extra"

    assert repr(nn.Sequential(nn.Linear(2, 1, bias=False), Named(nn.ReLU()), nn.Sequential())) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=1, bias=False)\n"
        "  (1): Named(\n"
        "    extra\n"
        "    (0): ReLU()\n"
        "  )\n"
        "  (2): Sequential()\n"
        ")"
    )


def test_functional_is_the_same_module() -> None:
    assert nn.functional is F
