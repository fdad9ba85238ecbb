"""Checkpoints: everything a run needs to continue to the same bits, in one safetensors file.

    model.<name>             the arrays of model.state_dict()
    optim.<index>.<slot>     the arrays the optimiser keeps for parameter number <index>, such as a momentum
    metadata                 one JSON text: hyper-parameters, schedule, place in the epoch, generators, progress, config

Python writes a float to JSON with as many digits as it takes to read the same bits back.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tinygrad_cnn import state
from tinygrad_cnn.interop.differences import compare_arrays, compare_names, compare_optimizers, fits_generator
from tinygrad_cnn.interop.tensor_file import load, read, save

__all__ = ["latest_checkpoint", "load", "load_checkpoint", "save", "save_checkpoint"]

_KEY, _VERSION = "tinygrad_cnn.checkpoint", 1


class Stateful(Protocol):
    """A model, optimiser, schedule or loader: whatever gives and takes its state."""

    def state_dict(self) -> Any:
        """Return the state as a dict."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Put a state back."""


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Stateful,
    optimizer: Stateful | None = None,
    scheduler: Stateful | None = None,
    loader: Stateful | None = None,
    generators: Mapping[str, np.random.Generator] | None = None,
    progress: Any = None,
    config: Any = None,
) -> None:
    """Write a run's whole state to one file, atomically: after a kill there is the old checkpoint or the new one.

    Args:
        path: The file, usually ``*.safetensors``; its folder must exist.
        model: Its ``state_dict()`` maps names to arrays.
        optimizer: Its ``state_dict()`` is ``{"state": {index: {slot: array or number}}, "param_groups": [...]}``.
        scheduler: Its ``state_dict()`` holds what JSON can.
        loader: The same; for `data.DataLoader` it is the place in the epoch.
        generators: Name to generator; None means ``{"default": default_generator()}``.
        progress: What the loop needs to go on (epoch, step, sums): numbers, text, lists, dicts with str keys.
        config: What is needed to build the model again, of the same kinds.

    Raises:
        TypeError: A value cannot be stored exactly; the message says which.

    >>> import tempfile
    >>> class Model:
    ...     weight = np.array([1.0, 2.0])
    ...     def state_dict(self): return {"weight": self.weight}
    ...     def load_state_dict(self, state_dict): self.weight = state_dict["weight"]
    >>> path = Path(tempfile.mkdtemp()) / "last.safetensors"
    >>> save_checkpoint(path, model=Model(), progress={"epoch": 3}, config={"seed": 0})
    >>> load_checkpoint(path, model=Model())
    {'progress': {'epoch': 3}, 'config': {'seed': 0}}
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    record: dict[str, Any] = {"progress": progress, "config": config}
    if optimizer is not None:
        slots, record["optimizer"] = _pack_optimizer(optimizer.state_dict())
        tensors |= slots
    for name, part in (("scheduler", scheduler), ("loader", loader)):
        if part is not None:
            record[name] = part.state_dict()
    if generators is None:
        generators = {"default": state.default_generator()}
    text = json.dumps(
        {
            "version": _VERSION,
            **{name: _plain(value, name) for name, value in record.items()},
            "generators": {name: state.generator_state(generator) for name, generator in generators.items()},
        },
        default=np.ndarray.tolist,  # inside the state of some generators
    )
    save(tensors, path, {_KEY: text})


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Stateful | None = None,
    optimizer: Stateful | None = None,
    scheduler: Stateful | None = None,
    loader: Stateful | None = None,
    generators: Mapping[str, np.random.Generator] | None = None,
) -> dict[str, Any]:
    """Put a saved state back into the parts that are given: all of them, or none when anything does not fit.

    Args:
        path: A file that `save_checkpoint` wrote.
        model: Takes the arrays; names, shapes and dtypes must be those of its own ``state_dict()``.
        optimizer: Built over the same parameters in the same groups as the saved one.
        scheduler: Of the saved kind.
        loader: Of the saved kind.
        generators: Name to generator, the names that were saved. None restores the default generator if the file
            has it; ``{}`` restores none, for a look at ``config`` before the model is built.

    Returns:
        ``{"progress": ..., "config": ...}`` as they were saved.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or not a checkpoint, or does not fit; every difference is listed.
    """
    tensors, metadata = read(path)
    record = _parse_record(path, metadata)

    saved: dict[str, Any] = {name: record.get(name) for name in ("scheduler", "loader")}
    saved["model"] = {name[6:]: array for name, array in tensors.items() if name.startswith("model.")}
    saved["optimizer"] = _unpack_optimizer(path, record.get("optimizer"), tensors)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    asked = {name: part for name, part in parts.items() if part is not None}

    problems: list[str] = []
    steps: list[tuple[Callable[[Any], Any], Any, Any]] = []  # how to restore, the saved state, the state before
    for name, part in asked.items():
        if saved[name] is None:
            problems.append(f"{name}: not in the file")
            continue
        before = copy.deepcopy(part.state_dict())
        problems += [f"{name}: {text}" for text in _compare(name, saved[name], before, part)]
        steps.append((part.load_state_dict, saved[name], before))
    if generators is None:
        generators = {"default": state.default_generator()} if "default" in record["generators"] else {}
    elif generators:
        problems += [f"generators: {text}" for text in compare_names(record["generators"], generators)]
    for name in generators.keys() & record["generators"].keys():
        generator, wanted = generators[name], record["generators"][name]
        if not fits_generator(wanted, generator):
            kind = type(generator.bit_generator).__name__
            problems.append(f"generators: the state of {name!r} in the file is not one of a {kind} generator")
        put_back = partial(state.set_generator_state, generator=generator)
        steps.append((put_back, wanted, state.generator_state(generator)))

    if problems:
        raise ValueError(
            f"{path} does not fit, and nothing was changed:\n  " + "\n  ".join(problems) + "\n"
            "Build the parts as they were when it was saved; load_checkpoint(path, generators={})['config'] tells how."
        )
    try:
        for restore, wanted, _ in steps:
            restore(wanted)
    except BaseException:  # a part found a fault of its own, or Ctrl-C
        for restore, _, before in steps:
            restore(before)
        raise
    return {"progress": record["progress"], "config": record["config"]}


def latest_checkpoint(folder: str | os.PathLike[str] = "runs") -> Path:
    """Return the most recently written ``*.safetensors`` file under a folder, however deep.

    Raises:
        FileNotFoundError: There is none; the message says how to make one.
    """
    files = [(file.stat().st_mtime_ns, file) for file in Path(folder).rglob("*.safetensors") if file.is_file()]
    if not files:
        raise FileNotFoundError(
            f"no checkpoint (*.safetensors) under {Path(folder).absolute()}; train a model first with "
            "`make train-mnist`, or name the file or folder of an existing checkpoint"
        )
    return max(files)[1]


def _plain(value: Any, where: str) -> Any:
    """Return a value in the types of JSON; refuse what would come back as something else."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"save_checkpoint: {where} has the key {key!r}, which JSON turns into text; use str")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise TypeError(
        f"save_checkpoint: {where} is a {type(value).__name__}, which JSON cannot hold; "
        "use numbers, text, lists and dicts with str keys (an array: array.tolist())"
    )


def _parse_record(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ValueError(
            f"{path}: expected a checkpoint, found a plain file of arrays; use model.load_state_dict(load(path))"
        )
    try:
        record = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"JSON under {_KEY!r}", error) from error
    version = record.get("version") if isinstance(record, dict) else None
    if version != _VERSION:
        raise ValueError(
            f"{path}: expected a checkpoint of version {_VERSION}, found {version!r}; "
            "open it with the release of tinygrad_cnn that wrote it"
        )
    for name in ("generators", "scheduler", "loader", "optimizer"):
        if not isinstance(record.get(name, {}), dict):
            raise _damaged(path, f"{name} as a dict", record[name])
    return {"progress": None, "config": None, "generators": {}, **record}


def _damaged(path: str | os.PathLike[str], expected: str, found: Any) -> ValueError:
    return ValueError(f"{path}: expected {expected}, found {str(found)[:200]}; use an earlier checkpoint")


def _pack_optimizer(state_dict: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split an optimiser's state into arrays under their names in the file and the rest, for JSON."""
    arrays: dict[str, Any] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, slots in state_dict["state"].items():
        numbers[str(index)] = {}
        for slot, value in slots.items():
            if isinstance(value, np.ndarray) or isinstance(getattr(value, "data", None), np.ndarray):  # or a Tensor
                arrays[f"optim.{index}.{slot}"] = value
            else:
                numbers[str(index)][slot] = value
    return arrays, {"state": numbers, "param_groups": state_dict["param_groups"]}


def _unpack_optimizer(
    path: str | os.PathLike[str], record: Any, tensors: Mapping[str, np.ndarray]
) -> dict[str, Any] | None:
    if record is None:
        return None
    try:
        slots = {int(index): dict(values) for index, values in record["state"].items()}
        for name, array in tensors.items():
            if name.startswith("optim."):
                _, index, slot = name.split(".", 2)
                slots[int(index)][slot] = array
        groups = [{key: _untupled(key, value) for key, value in group.items()} for group in record["param_groups"]]
        return {"state": slots, "param_groups": groups}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, "an optimiser's state and param_groups", repr(error)) from error


def _untupled(key: str, value: Any) -> Any:
    """Undo what JSON does to pairs such as betas: the only list in a group is that of its parameters."""
    return tuple(value) if isinstance(value, list) and key != "params" else value


def _compare(name: str, saved: Any, own: Any, part: Any) -> list[str]:
    if name == "model":
        return compare_arrays(saved, own)
    if name == "optimizer":
        groups = getattr(part, "param_groups", [])
        return compare_optimizers(saved, own, [parameter for group in groups for parameter in group["params"]])
    return compare_names(saved, own)
