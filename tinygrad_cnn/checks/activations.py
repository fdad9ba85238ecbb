"""The cases of the activations beside those of layers.py: curves, learned slopes, random choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import Case, apart, normal


def chosen(x: Any) -> Any:
    """Draw softly, with the same noise on every call."""
    return F.gumbel_softmax(x, 0.7, dim=1, generator=np.random.default_rng(0))


def chosen_reference(x: np.ndarray) -> np.ndarray:
    """Add the same noise, -log(-log(u))."""
    noise = np.random.default_rng(0).gumbel(size=x.shape)
    return reference.softmax((x + noise) / 0.7, 1)


CASES = (
    Case("celu", lambda x: F.celu(x, 0.7), [apart(3, 4)], reference=lambda x: reference.celu(x, 0.7)),
    Case("elu", lambda x: F.elu(x, 1.5), [apart(3, 4)], reference=lambda x: reference.elu(x, 1.5)),
    Case("gelu", F.gelu, [normal(3, 4)], reference=lambda x: reference.gelu(x, "none")),
    Case("gelu", lambda x: F.gelu(x, "tanh"), [normal(3, 4)], reference=lambda x: reference.gelu(x, "tanh")),
    Case("gumbel_softmax", chosen, [normal(3, 4)], reference=chosen_reference),
    Case("hardsigmoid", F.hardsigmoid, [apart(9, 8)], reference=reference.hardsigmoid),
    Case("hardswish", F.hardswish, [apart(9, 8)], reference=reference.hardswish),
    Case(
        "hardtanh",
        lambda x: F.hardtanh(x, -0.6, 0.4),
        [apart(3, 5)],
        reference=lambda x: reference.hardtanh(x, -0.6, 0.4),
    ),
    Case("logsigmoid", F.logsigmoid, [normal(3, 4)], reference=reference.logsigmoid),
    Case("mish", F.mish, [normal(3, 4)], reference=reference.mish),
    Case("prelu", F.prelu, [apart(2, 3, 4), normal(3)], reference=reference.prelu),
    Case("prelu", F.prelu, [apart(3, 4), normal(1)], reference=lambda x, w: reference.prelu(x, np.repeat(w, 4))),
    Case("relu6", F.relu6, [apart(11, 13)], reference=lambda x: reference.hardtanh(x, 0, 6)),
    Case("selu", F.selu, [apart(3, 4)], reference=reference.selu),
    Case("silu", F.silu, [normal(3, 4)], reference=reference.silu),
    Case("softmin", lambda x: F.softmin(x, 1), [normal(3, 4)], reference=lambda x: reference.softmax(-x, 1)),
    Case(
        "softplus",
        lambda x: F.softplus(x, 2, 1.5),
        [apart(3, 8)],
        reference=lambda x: reference.softplus(x, 2, 1.5),
    ),
    Case("softsign", F.softsign, [apart(3, 4)], reference=reference.softsign),
)
