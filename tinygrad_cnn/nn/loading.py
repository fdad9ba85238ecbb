"""Whether a state dict fits a module, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.tensor import Tensor


class Differences(NamedTuple):
    """The names that a state dict lacks, and those that the module has no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def fit(
    owner: str, own: Mapping[str, Tensor], state_dict: Mapping[str, Any], strict: bool
) -> tuple[dict[str, np.ndarray], Differences]:
    """Return the arrays of a state dict that belong to the tensors ``own``, and the differences in names.

    Raises:
        ValueError: a shape or kind differs, or (under ``strict``) a name; the message lists every difference.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"load_state_dict: needs a dict of name to array, got {type(state_dict).__name__}")
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    values = {name: _as_array(state_dict[name]) for name in own if name in state_dict}
    problems = []
    if strict and missing:
        problems.append(f"missing in the state dict: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected in the state dict: {', '.join(map(str, unexpected))}")
    for name, value in values.items():
        here = own[name]
        if value.shape != here.shape or not np.can_cast(value.dtype, here.dtype, "same_kind"):
            problems.append(f"{name}: {value.dtype} {value.shape} in the state dict, {here.dtype} {here.shape} here")
    if problems:
        raise ValueError(
            f"load_state_dict: the state dict does not fit this {owner}, and nothing was changed:\n  "
            + "\n  ".join(problems)
        )
    return values, Differences(missing, unexpected)


def _as_array(value: Any) -> np.ndarray:
    return value.data if isinstance(value, Tensor) else np.asarray(value)
