from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.interop import checkpoint
from tinygrad_cnn.interop.checkpoint import latest_checkpoint, load, load_checkpoint, save, save_checkpoint


class Model:
    """A model by its state_dict alone: copies out, copies in."""

    def __init__(self, seed=0, dtype=np.float32, width=3):
        rng = np.random.default_rng(seed)
        self.arrays = {
            "conv.weight": rng.standard_normal((2, width)).astype(dtype),
            "conv.bias": rng.standard_normal(2).astype(dtype),
            "norm.count": np.array(seed, np.int64),
        }

    def state_dict(self):
        return dict(self.arrays)

    def load_state_dict(self, state_dict):
        for name, array in self.arrays.items():
            np.copyto(array, state_dict[name])


class Dictionary:
    """A schedule or loader, or (with groups) an optimiser: its state is its ``state``."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state_dict):
        self.state = copy.deepcopy(state_dict)


def optimizer(used=True, **hyper):
    group = {"lr": 0.1, "betas": (0.9, 0.999), "nesterov": False, **hyper, "params": [0, 1]}
    rng = np.random.default_rng(5)
    slots = {0: {"exp_avg": rng.standard_normal((2, 3)), "step": 7}, 1: {"scale": 0.1 + 0.2, "step": np.array(3.0)}}
    return Dictionary(state=slots if used else {}, param_groups=[group])


def same(a, b):
    """Compare two states to the bit, types and all."""
    if isinstance(a, dict):
        return type(b) is dict and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return type(a) is type(b) and a == b


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def save_all(path, model=None, **more):
    parts = {
        "optimizer": optimizer(),
        "scheduler": Dictionary(last_epoch=2, base_lr=1 / 3),
        "loader": Dictionary(epoch_seed=2**63 + 1, position=17),
    }
    save_checkpoint(path, model=model or Model(seed=1), **{**parts, **more})


def test_everything_comes_back_to_the_bit(path):
    model, fresh = Model(seed=1), Model(seed=2)
    progress = {"epoch": 1, "loss_sum": 0.1 + 0.2, "tiny": 5e-324, "history": [1, 2.5, "x", None, True]}
    save_all(path, model, progress=progress, config={"lr": np.float32(0.1), "seed": np.int64(3)})
    parts = {
        "optimizer": optimizer(used=False, lr=9.0),
        "scheduler": Dictionary(last_epoch=0, base_lr=0.0),
        "loader": Dictionary(epoch_seed=None, position=0),
    }
    result = load_checkpoint(path, model=fresh, **parts)
    assert same(fresh.arrays, model.arrays)
    assert same(parts["optimizer"].state["state"], optimizer().state["state"])
    assert same(
        parts["optimizer"].state["param_groups"][0], optimizer().state["param_groups"][0]
    )  # betas a tuple again
    assert same(parts["scheduler"].state, {"last_epoch": 2, "base_lr": 1 / 3})
    assert same(parts["loader"].state, {"epoch_seed": 2**63 + 1, "position": 17})
    assert same(result, {"progress": progress, "config": {"lr": float(np.float32(0.1)), "seed": 3}})


def test_names_in_the_file(path):
    save_all(path)
    names = {"model.conv.weight", "model.conv.bias", "model.norm.count", "optim.0.exp_avg", "optim.1.step"}
    assert load(path).keys() == names


def test_equal_states_make_equal_files(tmp_path):
    for name in "ab":
        save_all(tmp_path / name, generators={})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weak_spots_of_json_are_kept_or_refused(path):
    save_checkpoint(path, model=Model(), progress={"best": float("inf"), "nan": float("nan"), "minus": -0.0})
    progress = load_checkpoint(path)["progress"]
    assert progress["best"] == np.inf
    assert np.isnan(progress["nan"])
    assert np.signbit(progress["minus"])
    with pytest.raises(TypeError, match=r"progress\['best'\] has the key 3, which JSON turns into text"):
        save_checkpoint(path, model=Model(), progress={"best": {3: 1.0}})
    with pytest.raises(TypeError, match=r"config\['a'\]\[1\] is a ndarray.*tolist"):
        save_checkpoint(path, model=Model(), config={"a": [0, np.zeros(3)]})


class TestGenerators:
    def test_the_default_generator_continues_its_stream(self, path):
        state.manual_seed(4)
        state.default_generator().random(3)
        save_checkpoint(path, model=Model())
        expected = state.default_generator().random(3)
        state.manual_seed(99)
        load_checkpoint(path)
        np.testing.assert_array_equal(state.default_generator().random(3), expected)

    @pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
    def test_every_kind(self, path, kind):
        first, second = np.random.Generator(kind(1)), np.random.Generator(kind(2))
        first.integers(0, 9, 3, dtype=np.uint8)  # leaves half of a 64-bit draw behind
        save_checkpoint(path, model=Model(), generators={"augment": first})
        load_checkpoint(path, generators={"augment": second})
        np.testing.assert_array_equal(first.integers(0, 9, 9, np.uint8), second.integers(0, 9, 9, np.uint8))

    def test_names_must_agree(self, path):
        rng = np.random.default_rng()
        save_checkpoint(path, model=Model(), generators={"a": rng})
        with pytest.raises(ValueError, match=r"generators: missing in the file: b\n.*unexpected in the file: a"):
            load_checkpoint(path, generators={"b": rng})

    def test_kinds_must_agree(self, path):
        save_checkpoint(path, model=Model(), generators={"a": np.random.default_rng()})
        with pytest.raises(ValueError, match="the state of 'a' in the file is not one of a MT19937 generator"):
            load_checkpoint(path, generators={"a": np.random.Generator(np.random.MT19937(0))})

    def test_none_are_touched_on_request(self, path):
        save_checkpoint(path, model=Model())
        before = state.manual_seed(5).bit_generator.state
        load_checkpoint(path, generators={})
        assert state.generator_state() == before


class Broken(Dictionary):
    """A schedule that finds fault with the state it is given, except its own."""

    def load_state_dict(self, state_dict):
        if state_dict["position"] != -1:
            raise KeyboardInterrupt
        super().load_state_dict(state_dict)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Model(width=4)}, r"model: conv.weight is float32 \(2, 3\) in the file, float32 \(2, 4\) here"),
        ({"model": Model(dtype=np.float64)}, r"model: conv.bias is float32 \(2,\) in the file, float64 \(2,\) here"),
        (
            {"optimizer": optimizer(weight_decay=0.1)},
            r"optimizer: param_groups\[0\]: missing in the file: weight_decay",
        ),
        ({"scheduler": Dictionary(step=1)}, r"scheduler: missing in the file: step"),
        ({"loader": Dictionary(position=1)}, r"loader: unexpected in the file: epoch_seed"),
        ({"generators": {"x": np.random.default_rng()}}, r"generators: missing in the file: x"),
        ({"loader": Broken(epoch_seed=0, position=-1)}, None),
    ],
)
def test_all_or_nothing(path, change, message):
    save_all(path)
    parts = {
        "model": Model(seed=2),
        "optimizer": optimizer(lr=5.0),
        "scheduler": Dictionary(last_epoch=0, base_lr=0.5),
        "loader": Dictionary(epoch_seed=0, position=-1),
        "generators": {"default": np.random.default_rng(8)},
        **change,
    }

    def snapshot():
        own = [copy.deepcopy(part.state_dict()) for name, part in parts.items() if name != "generators"]
        return [*own, {name: rng.bit_generator.state for name, rng in parts["generators"].items()}]

    before = snapshot()
    with pytest.raises(ValueError if message else KeyboardInterrupt, match=message):
        load_checkpoint(path, **parts)
    assert all(same(a, b) for a, b in zip(snapshot(), before, strict=True))


def test_a_part_that_was_not_saved_is_named(path):
    save_checkpoint(path, model=Model())
    with pytest.raises(ValueError, match=r"(?s)nothing was changed:\n  optimizer: not in the file\n  loader: not in"):
        load_checkpoint(path, optimizer=optimizer(), loader=Dictionary())


def test_parameters_of_a_fresh_optimizer_are_compared(path):
    save_all(path)
    fresh = optimizer(used=False)
    fresh.param_groups = [{"params": [np.zeros((3, 2)), np.zeros(2)]}]
    with pytest.raises(ValueError, match=r"optimizer: parameter 0: exp_avg is float64 \(2, 3\) in the file"):
        load_checkpoint(path, optimizer=fresh)


def test_a_plain_file_of_arrays_is_not_a_checkpoint(path):
    save({"w": np.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"found a plain file of arrays; use model.load_state_dict\(load\(path\)\)"):
        load_checkpoint(path)


RECORD = {"version": 1, "progress": None, "config": None, "generators": {}, "optimizer": optimizer(False).state}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "[" * 100_000,
        "{}",
        json.dumps({"version": 2}),
        json.dumps({"version": "1"}),
        json.dumps({**RECORD, "generators": []}),
        json.dumps({**RECORD, "generators": {"default": {"bit_generator": "PCG64"}}}),
        json.dumps({**RECORD, "optimizer": []}),
        json.dumps({**RECORD, "optimizer": {}}),
        json.dumps({**RECORD, "optimizer": {"state": [], "param_groups": []}}),
        json.dumps({**RECORD, "optimizer": {"state": {"x": {}}, "param_groups": []}}),
        json.dumps({**RECORD, "optimizer": {"state": {"0": 3}, "param_groups": []}}),
        json.dumps({**RECORD, "optimizer": {"state": {}, "param_groups": 3}}),
        json.dumps({**RECORD, "optimizer": {"state": {}, "param_groups": [3]}}),
        json.dumps({**RECORD, "optimizer": {"state": {"9": {}}, "param_groups": RECORD["optimizer"]["param_groups"]}}),
        json.dumps({**RECORD, "scheduler": 3}),
    ],
)
def test_damaged_records_are_refused(path, text):
    save({"model." + name: array for name, array in Model().arrays.items()}, path, {"tinygrad_cnn.checkpoint": text})
    model = Model(seed=7)
    with pytest.raises(ValueError, match=str(path)):
        load_checkpoint(path, model=model, optimizer=optimizer(False))
    assert same(model.arrays, Model(seed=7).arrays)


def test_an_array_for_no_parameter_is_refused(path):
    save({"optim.x.exp_avg": np.zeros(1)}, path, {"tinygrad_cnn.checkpoint": json.dumps(RECORD)})
    with pytest.raises(ValueError, match="expected an optimiser's state"):
        load_checkpoint(path, optimizer=optimizer(False))


def test_a_failed_save_keeps_the_old_checkpoint(path, monkeypatch):
    save_checkpoint(path, model=Model(seed=1), progress=1)

    def fail(*args):
        raise OSError("broken disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="broken disk"):
        save_checkpoint(path, model=Model(seed=2), progress=2)
    assert load_checkpoint(path)["progress"] == 1
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.031])
def test_kill_in_the_middle_of_saves_leaves_a_whole_checkpoint(path, delay):
    script = (
        "import sys; import numpy as np; from tinygrad_cnn.interop import save_checkpoint\n"
        "class Model:\n"
        "    def state_dict(self): return {str(i): np.full(40_000, self.k) for i in range(5)}\n"
        "model = Model()\n"
        "for model.k in range(10**9):\n"
        "    save_checkpoint(sys.argv[1], model=model, progress=model.k)\n"
        "    if model.k == 0: print('ready', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout.readline() == "ready\n"
        time.sleep(delay)
        trainer.kill()
    arrays, progress = load(path), load_checkpoint(path)["progress"]
    assert all((array == progress).all() for array in arrays.values())
    assert len(arrays) == 5
    save_checkpoint(path, model=Model())
    assert os.listdir(path.parent) == [path.name]  # the half file of the killed process is gone


class TestLatest:
    def test_the_newest_by_time_at_any_depth(self, tmp_path):
        (tmp_path / "a" / "b").mkdir(parents=True)
        for age, name in enumerate(["a/b/new.safetensors", "z.safetensors", "a/old.safetensors"]):
            save({}, tmp_path / name)
            os.utime(tmp_path / name, (10_000 - age, 10_000 - age))
        (tmp_path / ".z.safetensors.12.tmp").touch()
        (tmp_path / "folder.safetensors").mkdir()
        assert latest_checkpoint(tmp_path) == tmp_path / "a" / "b" / "new.safetensors"

    def test_none(self, tmp_path, monkeypatch):
        with pytest.raises(FileNotFoundError, match=r"absent; train a model first with `make train-mnist`"):
            latest_checkpoint(tmp_path / "absent")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FileNotFoundError, match=str(tmp_path / "runs")):
            latest_checkpoint()


def test_one_module_offers_all_of_it():
    assert checkpoint.__all__ == sorted(checkpoint.__all__)
