"""The cases of operations on arrays in general: element-wise, reductions, shapes, matrix products."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import BILINEAR, Case, apart, bools, normal, positive

ROWS = np.array([2, 0, 2])  # a row that is read twice must receive both gradients

ELEMENTWISE = (
    Case("add", F.add, [normal(3, 4), normal(4)], BILINEAR, np.add),
    Case("sub", F.sub, [normal(3, 1), normal(2, 1, 4)], BILINEAR, np.subtract),
    Case("rsub", F.rsub, [normal(3, 4), normal(4)], BILINEAR, lambda x, v: v - x),
    Case("mul", F.mul, [normal(3, 4), normal(3, 1)], BILINEAR, np.multiply),
    Case("div", F.div, [normal(3, 4), positive(4)], reference=np.divide),
    Case("rdiv", F.rdiv, [positive(3, 4), normal(4)], reference=lambda x, v: v / x),
    Case("pow", F.pow, [positive(3, 4), normal(4)], reference=np.power),
    Case("pow", lambda x: F.pow(x, 3), [normal(3, 4)], reference=lambda x: x * x * x),
    Case("rpow", F.rpow, [normal(3, 4), positive(4)], reference=lambda x, base: base**x),
    Case("maximum", F.maximum, [apart(3, 4), apart(4, shift=0.05)], reference=np.fmax),
    Case("minimum", F.minimum, [apart(3, 4), apart(4, shift=0.05)], reference=np.fmin),
    Case("where", F.where, [bools(3, 4), normal(3, 4), normal(4)], BILINEAR, lambda c, x, v: c * x + ~c * v),
    Case("neg", F.neg, [normal(3, 4)], BILINEAR, np.negative),
    Case("exp", F.exp, [normal(3, 4)], reference=np.exp),
    Case("log", F.log, [positive(3, 4)], reference=np.log),
    Case("sqrt", F.sqrt, [positive(3, 4)], reference=lambda x: x**0.5),
    Case("abs", F.abs, [apart(3, 4)], reference=np.abs),
    Case("sign", F.sign, [apart(3, 4)], reference=np.sign),
    Case("clamp", lambda x: F.clamp(x, -0.3, 0.4), [apart(3, 4)], reference=lambda x: np.clip(x, -0.3, 0.4)),
    Case("astype", lambda x: F.astype(F.astype(x, np.float64), x.dtype), [normal(3, 4)], BILINEAR, np.copy),
    Case("clone", F.clone, [normal(3, 4)], BILINEAR, np.copy),
)

REDUCTIONS = (
    Case("sum", F.sum, [normal(3, 4)], BILINEAR, np.sum),
    Case("sum", lambda x: F.sum(x, (0, -1), True), [normal(3, 2, 4)], BILINEAR, lambda x: x.sum((0, 2), keepdims=True)),
    Case("mean", lambda x: F.mean(x, 1), [normal(3, 4, 2)], BILINEAR, lambda x: np.average(x, 1)),
    Case("var", lambda x: F.var(x, 1), [normal(3, 4)], reference=lambda x: np.var(x, 1, ddof=1)),
    Case(
        "var", lambda x: F.var(x, (0, 2), 0, True), [normal(3, 2, 4)], reference=lambda x: x.var((0, 2), keepdims=True)
    ),
    Case("std", lambda x: F.std(x, 0), [normal(5, 3)], reference=lambda x: np.std(x, 0, ddof=1)),
    Case(
        "amax",
        lambda x: F.amax(x, (0, 2)),
        [apart(3, 2, 4)],
        reference=lambda x: np.sort(x.swapaxes(0, 1).reshape(2, -1))[:, -1],
    ),
    Case("amin", lambda x: F.amin(x, -1, True), [apart(3, 4)], reference=lambda x: np.sort(x)[:, :1]),
    Case("max", lambda x: F.max(x, 1), [apart(3, 4, 2)], reference=lambda x: (x.max(1), x.argmax(1))),
    Case("max", F.max, [apart(3, 4)], reference=np.max),
    Case(
        "min",
        lambda x: F.min(x, 0, True),
        [apart(3, 4)],
        reference=lambda x: (x.min(0, keepdims=True), x.argmin(0)[None]),
    ),
    Case("prod", F.prod, [normal(3, 2)], BILINEAR, np.prod),
    Case("prod", lambda x: F.prod(x, 1, True), [normal(3, 5)], BILINEAR, lambda x: x.prod(1, keepdims=True)),
)

SHAPES = (
    Case("reshape", lambda x: F.reshape(x, 2, -1), [normal(3, 4)], BILINEAR, lambda x: x.ravel().reshape(2, 6)),
    Case("flatten", lambda x: F.flatten(x, 1), [normal(3, 2, 4)], BILINEAR, lambda x: x.reshape(3, 8)),
    Case("squeeze", lambda x: F.squeeze(x, 1), [normal(3, 1, 4)], BILINEAR, lambda x: x[:, 0]),
    Case("unsqueeze", lambda x: F.unsqueeze(x, -1), [normal(3, 4)], BILINEAR, lambda x: x[..., None]),
    Case("transpose", lambda x: F.transpose(x, 0, -1), [normal(3, 2, 4)], BILINEAR, lambda x: np.swapaxes(x, 0, 2)),
    Case("permute", lambda x: F.permute(x, 2, 0, 1), [normal(3, 2, 4)], BILINEAR, lambda x: np.moveaxis(x, -1, 0)),
    Case("expand", lambda x: F.expand(x, 2, -1, 4), [normal(3, 1)], BILINEAR, lambda x: np.tile(x, (2, 1, 4))),
    Case("index", lambda x: F.index(x, (slice(None, None, -1), 1)), [normal(3, 4)], BILINEAR, lambda x: x[::-1, 1]),
    Case("index", lambda x: F.index(x, ROWS), [normal(3, 4)], BILINEAR, lambda x: np.stack([x[2], x[0], x[2]])),
    Case("cat", lambda x, v: F.cat([x, v], 1), [normal(3, 4), normal(3, 2)], BILINEAR, lambda x, v: np.hstack([x, v])),
    Case(
        "stack",
        lambda x, v: F.stack([x, v], 1),
        [normal(3, 4), normal(3, 4)],
        BILINEAR,
        lambda x, v: np.stack([x, v], 1),
    ),
    Case(
        "pad",
        lambda x: F.pad(x, (1, 0, 2, -1), value=0.5),
        [normal(2, 3, 4)],
        BILINEAR,
        lambda x: np.pad(x[:, :-1], [(0, 0), (2, 0), (1, 0)], constant_values=0.5),
    ),
)

PRODUCTS = (
    Case("matmul", F.matmul, [normal(3, 4), normal(4, 2)], BILINEAR, reference.matmul),
    Case("matmul", F.matmul, [normal(2, 1, 3, 4), normal(3, 4, 2)], BILINEAR, reference.matmul),
    Case("matmul", F.matmul, [normal(4), normal(2, 4, 3)], BILINEAR, lambda a, b: (a[:, None] * b).sum(1)),
    Case("rmatmul", F.rmatmul, [normal(4, 2), normal(3, 4)], BILINEAR, lambda b, a: reference.matmul(a, b)),
    Case("linear", F.linear, [normal(3, 4), normal(2, 4), normal(2)], BILINEAR, reference.linear),
    Case("linear", F.linear, [normal(2, 3, 4), normal(5, 4)], BILINEAR, lambda x, w: reference.linear(x, w, None)),
)

CASES = (*ELEMENTWISE, *REDUCTIONS, *SHAPES, *PRODUCTS)
