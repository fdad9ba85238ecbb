from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import nn


def layers(*sizes: int) -> list[nn.Linear]:
    return [nn.Linear(a, b) for a, b in pairwise(sizes)]


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def test_sequential_calls_in_order() -> None:
    a, b = layers(4, 3, 2)
    model = nn.Sequential(a, nn.ReLU(), b)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert (model(x).data == b(nn.functional.relu(a(x))).data).all()
    assert (nn.Sequential()(x) == x).all()
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_sequential_with_names(kind: Any) -> None:
    a, b = layers(4, 3, 2)
    model = nn.Sequential(kind([("in", a), ("out", b)]))
    assert list(model.state_dict()) == ["in.weight", "in.bias", "out.weight", "out.bias"]
    assert model.out is b
    assert names(model[1:]) == ["out"]
    model.append(nn.ReLU())
    assert names(model) == ["in", "out", "2"]


@pytest.mark.parametrize("kind", [lambda parts: nn.Sequential(*parts), nn.ModuleList])
def test_list_operations(kind: Any) -> None:
    a, b, c, d = parts = layers(1, 2, 3, 4, 5)
    box = kind(parts[:2])
    assert len(box) == 2
    assert box.append(c) is box
    assert list(box) == [a, b, c]
    assert box.insert(1, d) is box
    assert list(box) == [a, d, b, c]
    assert box.insert(-1, a) is box
    assert list(box) == [a, d, b, a, c]
    del box[3]
    assert names(box) == ["0", "1", "2", "3"]
    assert box[1] is d
    assert box[-1] is c
    box[-2] = a
    assert list(box) == [a, d, a, c]
    del box[::2]
    assert list(box) == [d, c]
    assert names(box) == ["0", "1"]
    assert box.extend([a, b]) is box
    assert list(box) == [d, c, a, b]
    assert box.extend(box[:1])[-1] is d
    assert [name for name, _ in box.named_parameters()][:3] == ["0.weight", "0.bias", "1.weight"]


def test_slices_are_renumbered_and_share_their_modules() -> None:
    class Tail(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(*layers(1, 2, 3, 4))

    model = Tail().eval()
    part = model[1:]
    assert type(part) is Tail
    assert names(part) == ["0", "1"]
    assert part[0] is model[1]
    assert not part.training
    assert list(model[::-1]) == list(model)[::-1]
    assert len(model) == 3


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(twin_of: Any) -> None:
    model = nn.Sequential(*layers(3, 2, 1))
    twin = twin_of(model)
    x = np.ones((2, 3), np.float32)
    assert (twin(x).data == model(x).data).all()
    twin.append(nn.ReLU())
    assert len(model) == 2


@pytest.mark.parametrize("kind", [lambda *parts: nn.Sequential(*parts), lambda *parts: nn.ModuleList(parts)])
def test_only_modules(kind: Any) -> None:
    with pytest.raises(TypeError, match="holds modules, got function"):
        kind(lambda x: x)
    with pytest.raises(TypeError, match=r"holds modules, got the class ReLU; add \(\)"):
        kind(nn.ReLU)
    box = kind(nn.ReLU())
    for wrong in (lambda: box.append(3), lambda: box.insert(0, 3), lambda: box.__setitem__(0, 3)):
        with pytest.raises(TypeError, match="holds modules, got int"):
            wrong()
    assert len(box) == 1


def test_indices_out_of_range() -> None:
    box = nn.ModuleList(layers(1, 2, 3))
    for wrong in (lambda: box[2], lambda: box[-3], lambda: box.__setitem__(2, nn.ReLU()), lambda: box.__delitem__(5)):
        with pytest.raises(IndexError, match=r"ModuleList: index -?\d is out of range for 2 modules"):
            wrong()
    empty = nn.ModuleList()
    assert len(empty[:]) == 0
    del empty[:]


def test_module_list_is_not_called() -> None:
    with pytest.raises(NotImplementedError, match="a ModuleList cannot be called"):
        nn.ModuleList()(1)


def test_errors_name_the_place() -> None:
    model = nn.Sequential({"head": nn.Sequential(*layers(4, 3, 3))})
    model.head[1] = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=r"linear in head\.1: "):
        model(np.ones((1, 4), np.float32))
