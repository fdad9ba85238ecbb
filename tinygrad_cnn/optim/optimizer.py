"""Optimizer: the base of all optimisers; it owns the ceremony, a subclass one formula.

A step is one kernel launch for all parameters of a dtype, whatever the groups: hyper-parameters are handed over for
each parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_cnn.autograd import Leaf, enable_grad, version
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.tensor import Tensor

Group = dict[str, Any]


class Launch(NamedTuple):
    """The parameters of one launch of a kernel, their arrays and gradients, and the group of each."""

    parameters: list[Tensor]
    w: list[np.ndarray]
    gw: list[np.ndarray]
    groups: list[Group]


class Optimizer:
    """What every optimiser has: parameter groups, steps, a state that can be saved.

    Args:
        params: tensors, or dicts {"params": tensors, hyper-parameter: its value in this group, ...}.
        defaults: the hyper-parameters of groups that do not set their own.

    Attributes:
        param_groups: a list of dicts: "params" and the hyper-parameters, which may be changed between steps.
        state: parameter -> what is kept for it, such as a momentum.
    """

    required: ClassVar[tuple[str, ...]] = ()  # what is kept for a parameter that has taken a step
    optional: ClassVar[tuple[str, ...]] = ()  # what is kept under some hyper-parameters

    param_groups: list[Group]
    defaults: dict[str, Any]
    state: dict[Tensor, dict[str, Any]]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
            raise TypeError(
                f"{self.name}: params must be a list of tensors or of groups, got one {type(params).__name__}; "
                "pass model.parameters()"
            )
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{self.name}: got no parameters. Does the model assign its layers in __init__ (a plain list of layers "
                "is not found; use nn.ModuleList), and was the generator model.parameters() used up before?"
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def name(self) -> str:
        """The name of the optimiser, for errors."""
        return type(self).__name__

    def check(self, group: Group) -> None:
        """Raise ValueError or TypeError where a hyper-parameter makes no sense."""
        raise NotImplementedError

    def variant(self, group: Group) -> Any:
        """Return what parameters must have in common to share a launch, beside their dtype."""
        return None

    def update(
        self, kept: list[dict[str, Any]], w: list[np.ndarray], gw: list[np.ndarray], settings: Mapping[str, Any],
        variant: Any,
    ) -> None:  # fmt: skip
        """Write one step into the arrays ``w``, of one dtype and one ``variant``, given their gradients ``gw``.

        ``kept`` is the state of each parameter, to be added to after the kernel: a step that fails keeps nothing.
        ``settings`` are the hyper-parameters: one value each, or a list with one value for each parameter.
        """
        raise NotImplementedError

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimise further parameters, with hyper-parameters of their own.

        Args:
            param_group: {"params": a tensor or tensors, hyper-parameter: value, ...}.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{self.name}: a group is a dict with the key 'params', got {_shortened(param_group)}")
        if unknown := [key for key in param_group if key not in self.defaults and key != "params"]:
            raise ValueError(f"{self.name}: unknown hyper-parameters {unknown}; there are {list(self.defaults)}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ValueError(f"{self.name}: a parameter group is empty")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self.name}: parameter {i} is a {type(p).__name__}, not a tensor")
            if not p.is_leaf:
                raise ValueError(
                    f"{self.name}: parameter {i} of shape {p.shape} was computed, and only leaves can be optimised; "
                    "detach() it and set requires_grad=True"
                )
            if id(p) in known:
                raise ValueError(f"{self.name}: parameter {i} of shape {p.shape} is there twice; it would step twice")
            known.add(id(p))
        group = {"params": params, **self.defaults, **{key: param_group[key] for key in param_group if key != "params"}}
        self.check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none and type(p.edge) is Leaf:  # at every step: past the property and its questions
                    p.edge.grad = None
                else:
                    p.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; one whose ``.grad`` is None is left alone completely.

        Args:
            closure: computes the loss and calls backward; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        launches: dict[tuple[np.dtype, Any], Launch] = {}
        for group in self.param_groups:
            variant = self.variant(group)
            # Past the property of a leaf and its questions: this is asked at every step.
            found = [(p.edge.grad if type(p.edge) is Leaf else p.grad, p._data, p) for p in group["params"]]
            found = [entry for entry in found if entry[0] is not None]
            dtypes = {w.dtype for _, w, _ in found}
            for dtype in dtypes:
                some = found if len(dtypes) == 1 else [entry for entry in found if entry[1].dtype == dtype]
                launch = launches.setdefault((dtype, variant), Launch([], [], [], []))
                launch.gw.extend([g._data for g, _, _ in some])
                launch.w.extend([w for _, w, _ in some])
                launch.parameters.extend([p for _, _, p in some])
                launch.groups.extend([group] * len(some))
        for (_, variant), (parameters, w, gw, groups) in launches.items():
            if len(self.param_groups) == 1:
                settings = groups[0]
            else:
                settings = {key: [group[key] for group in groups] for key in self.defaults}
            for array in w if version.watchers else ():
                version.before_write(array)
            state = self.state
            kept = [state.get(p) or state.setdefault(p, {}) for p in parameters]
            self.update(kept, w, gw, settings, variant)
            version.note_write(*w)
        return loss

    # --- state -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {index: {slot: array or int}}, "param_groups": [{"lr": 0.1, ..., "params": indices}]}.

        Parameters are counted through all groups. Arrays are read-only views: they change with the next step.
        """
        index = {id(p): i for i, p in enumerate(self._parameters())}
        state = {
            index[id(p)]: {name: _read_only(value) for name, value in slots.items()}
            for p, slots in self.state.items()
            if slots
        }
        groups = [{**group, "params": [index[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned: all of it, or nothing when it does not fit.

        Hyper-parameters are those of the saved state; arrays are copied and cast to the dtype of their parameter.

        Raises:
            ValueError: it does not fit; every difference is listed, and nothing was changed.
        """
        try:
            saved_groups, saved_state = list(state_dict["param_groups"]), dict(state_dict["state"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{self.name}.load_state_dict: needs a dict with 'state' and 'param_groups', as state_dict() returns"
            ) from None
        problems = self._group_problems(saved_groups) + self._state_problems(saved_state)
        if problems:
            raise ValueError(
                f"the state does not fit this {self.name}, and nothing was changed:\n  " + "\n  ".join(problems)
            )
        parameters = self._parameters()
        self.state = {
            parameters[index]: {
                name: np.array(value, parameters[index].dtype) if isinstance(value, np.ndarray) else value
                for name, value in slots.items()
            }
            for index, slots in saved_state.items()
        }
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            group.update({key: value for key, value in saved.items() if key != "params"})

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _group_problems(self, saved_groups: list[Any]) -> list[str]:
        if len(saved_groups) != len(self.param_groups):
            return [f"{len(saved_groups)} param_groups in the state, {len(self.param_groups)} here"]
        problems = []
        for i, (saved, group) in enumerate(zip(saved_groups, self.param_groups, strict=True)):
            if missing := [key for key in group if key not in saved]:
                problems.append(f"param_groups[{i}]: missing in the state: {', '.join(missing)}")
            elif len(saved["params"]) != len(group["params"]):
                problems.append(
                    f"param_groups[{i}]: {len(saved['params'])} parameters in the state, {len(group['params'])} here"
                )
            elif unexpected := [key for key in saved if key not in group and key != "initial_lr"]:
                problems.append(f"param_groups[{i}]: unexpected in the state: {', '.join(unexpected)}")
            else:
                try:
                    self.check(saved)
                except (TypeError, ValueError) as error:
                    problems.append(f"param_groups[{i}]: {error}")
        return problems

    def _state_problems(self, saved_state: Mapping[Any, Any]) -> list[str]:
        parameters, problems = self._parameters(), []
        for index, slots in saved_state.items():
            if not isinstance(index, int) or index not in range(len(parameters)):
                problems.append(f"state of parameter {index!r}, but there are {len(parameters)} parameters here")
                continue
            shape = parameters[index].shape
            problems += [f"parameter {index}: {name} is missing" for name in self.required if name not in slots]
            for name, value in slots.items():
                if name not in self.required + self.optional:
                    problems.append(f"parameter {index}: {self.name} keeps no {name}")
                elif name == "step":
                    if not isinstance(value, int) or value < 1:
                        problems.append(f"parameter {index}: step must be a positive int, got {value!r}")
                elif not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != "f":
                    found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
                    problems.append(
                        f"parameter {index}: {name} is {found} in the state, the parameter has shape {shape}"
                    )
        return problems

    def __repr__(self) -> str:
        lines = [f"{self.name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def _shortened(value: Any) -> str:
    return repr(value) if len(repr(value)) < 60 else type(value).__name__


def at_least_zero(optimizer: Optimizer, group: Group, *names: str) -> None:
    """Raise unless these hyper-parameters are numbers of at least 0 (NaN is none)."""
    for name in names:
        number(optimizer.name, name, group[name], 0)


def fraction(optimizer: Optimizer, name: str, value: float) -> None:
    """Raise unless the factor of a running mean lies in [0, 1)."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise ValueError(f"{optimizer.name}: {name} must lie in [0, 1), got {value!r}")


def slot(name: str, kept: list[dict[str, Any]], w: list[np.ndarray]) -> list[np.ndarray]:
    """Return what is kept under a name for each parameter; zeros where there is nothing yet."""
    found = [slots.get(name) for slots in kept]
    return [np.zeros_like(x) if a is None else a for x, a in zip(w, found, strict=True)]
