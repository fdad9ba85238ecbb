"""The cases of normalisation within an image, and of the dropouts beside `dropout`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import BILINEAR, CENTRAL, Case, normal, positive

DROPOUTS: dict[str, Callable[..., Any]] = {
    "alpha_dropout": F.alpha_dropout, "dropout1d": F.dropout1d, "dropout2d": F.dropout2d, "dropout3d": F.dropout3d,
}  # fmt: skip


def grouped(x: np.ndarray, w: np.ndarray, b: np.ndarray, *view: int) -> np.ndarray:
    """Normalise x, seen as (N*G, K, S), with the reference; the view is (G, K, S)."""
    G, K, S = view
    return reference.group_norm(x.reshape(-1, K, S), w.reshape(G, K), b.reshape(G, K), 0.1)[0].reshape(x.shape)


def dropped(op: str, *shape: int) -> Case:
    """Make a case of a dropout whose mask is the same on every call."""

    def fn(x: Any) -> Any:
        return DROPOUTS[op](x, 0.4, True, generator=np.random.default_rng(0))

    def affine(x: np.ndarray) -> np.ndarray:
        start = fn(np.zeros(x.shape))  # what becomes of zeros and of ones tells shift and scale
        return start + x * (fn(np.ones(x.shape)) - start)

    return Case(op, fn, [normal(*shape)], CENTRAL if op == "alpha_dropout" else BILINEAR, affine)


CASES = (
    Case(
        "group_norm",
        lambda x, w, b: F.group_norm(x, 3, w, b, 0.1),
        [normal(2, 6, 2, 3), positive(6), normal(6)],
        reference=lambda x, w, b: grouped(x, w, b, 3, 2, 6),
    ),
    Case(
        "instance_norm",
        lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=0.1),
        [normal(2, 3, 3, 2), positive(3), normal(3)],
        reference=lambda x, w, b: grouped(x, w, b, 3, 1, 6),
    ),
    Case(
        "layer_norm",
        lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 0.1),
        [normal(2, 2, 3, 4), positive(3, 4), normal(3, 4)],
        reference=lambda x, w, b: grouped(x, w, b, 1, 12, 1),
    ),
    Case(
        "local_response_norm",
        lambda x: F.local_response_norm(x, 5, 1.0, 0.75, 2.0, average=False),
        [normal(2, 6, 2, 3)],
        reference=lambda x: reference.local_response_norm(x, 2, 2, 1.0, 0.75, 2.0)[0],
    ),
    Case(
        "local_response_norm",
        lambda x: F.local_response_norm(x, 4, 1.0, 0.6),
        [normal(2, 5, 4)],
        reference=lambda x: reference.local_response_norm(x, 2, 1, 0.25, 0.6, 1.0)[0],
    ),
    dropped("alpha_dropout", 3, 4),
    dropped("dropout1d", 3, 4, 2),
    dropped("dropout2d", 3, 4, 2, 3),
    dropped("dropout3d", 2, 3, 2, 1, 3),
)
