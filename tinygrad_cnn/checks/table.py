"""Check operations, and print what was found as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import isfunction
from textwrap import indent
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.autograd.check import GradcheckError, gradcheck, gradgradcheck, random_cotangent
from tinygrad_cnn.checks import activations, arrays, layers, losses, norms, spatial, tensors
from tinygrad_cnn.checks.case import BILINEAR, Case
from tinygrad_cnn.checks.measure import error, gradient_error, second_gradient_error
from tinygrad_cnn.tensor import Tensor

FILES = (arrays, tensors, layers, losses, activations, norms, spatial)
CASES: tuple[Case, ...] = tuple(case for file in FILES for case in file.CASES)
# The results are labels, indices and bools; their values are tested in tests/functional/.
WITHOUT_DERIVATIVE = {"all", "any", "argmax", "argmin", "argsort", "eq", "ge", "gt", "le", "lt", "ne", "one_hot"}

# The largest errors that pass, relative to the largest value (checks.measure.error).
FLOAT64 = 1e-10
FLOAT32 = 2e-6
GRADIENT = 1e-7


class Row(NamedTuple):
    """What was found for one case; every number is an `error`."""

    case: Case
    shapes: str
    float64: float  # values, against the reference
    float32: float  # values and gradients, against float64
    first: float  # gradients, against differences
    second: float  # gradients of gradients, against differences
    located: tuple[str, ...] = ()  # where a derivative is wrong: the element at which

    @property
    def faults(self) -> list[str]:
        """What is not within its bound; NaN never is."""
        errors = (
            ("value", self.float64, FLOAT64),
            ("float32", self.float32, FLOAT32),
            ("first derivative", self.first, GRADIENT),
            ("second derivative", self.second, GRADIENT),
        )
        return [f"{what} off by {found:.2g} (bound {bound:g})" for what, found, bound in errors if not found <= bound]

    @property
    def passed(self) -> bool:
        """Whether each error is within its bound."""
        return not self.faults

    def __repr__(self) -> str:
        """Return the verdict in words; the fields hold functions, which have nothing to say."""
        return "\n".join([f"{self.case.op}: {', '.join(self.faults) or 'pass'}", *self.located])

    @property
    def scheme(self) -> str:
        """How the differences were taken."""
        return "bilinear" if self.case.steps == BILINEAR else "central"


def choose(op: str | None) -> list[Case]:
    """Return the cases of one operation, or all of them; ValueError where there are none."""
    if op in without_case():
        raise ValueError(f"check: {op} has no Case in tinygrad_cnn/checks/; add one")
    if op in WITHOUT_DERIVATIVE:
        raise ValueError(f"check: {op} has no derivative to check; its values are tested in tests/functional/")
    chosen = [case for case in CASES if op in (None, case.op)]
    if not chosen:
        names = ", ".join(sorted({case.op for case in CASES}))
        raise ValueError(f"check: there is no operation {op!r} to check. These are: {names}")
    return chosen


def without_case() -> list[str]:
    """Return the public operations that should have a case and have none."""
    public = {name for name in F.__all__ if isfunction(getattr(F, name))}
    return sorted(public - WITHOUT_DERIVATIVE - {case.op for case in CASES})


def check(case: Case) -> Row:
    """Compare an operation with its reference, with itself in float32, and its gradients with differences."""
    drawn = case.inputs()
    doubles = leaves(drawn, np.float64)
    found = values(case.fn(*doubles))
    rounded = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in drawn]
    row = Row(
        case,
        " ".join("x".join(map(str, x.shape)) for x in drawn),
        largest(found, values(case.reference(*drawn))) if case.reference else 0.0,
        largest(*(values_and_gradients(case.fn, leaves(rounded, dtype)) for dtype in (np.float32, np.float64))),
        gradient_error(case.fn, doubles, case.steps),
        second_gradient_error(case.fn, doubles, case.steps),
    )
    checks = [check for check, e in ((gradcheck, row.first), (gradgradcheck, row.second)) if not e <= GRADIENT]
    return row._replace(located=tuple(located(check, case.fn, doubles) for check in checks))


def located(check: Callable[..., bool], fn: Callable[..., Any], inputs: list[Tensor]) -> str:
    """Return what ``gradcheck`` or ``gradgradcheck`` says, which name the element."""
    try:
        check(fn, inputs)
    except GradcheckError as error:
        return str(error)
    return f"{check.__name__}: no fault with small steps and its wider bounds"


def leaves(drawn: Iterable[ndarray], dtype: Any) -> list[Tensor]:
    """Return tensors that require gradients, in ``dtype``, for the floats; constants for the integers and bools."""
    return [Tensor(x, dtype, requires_grad=True) if x.dtype.kind == "f" else Tensor(x) for x in drawn]


def values(result: Any) -> list[ndarray]:
    """Return the arrays of what an operation returned: one, or several."""
    return [
        y.data if isinstance(y, Tensor) else np.asarray(y) for y in (result if isinstance(result, tuple) else (result,))
    ]


def values_and_gradients(fn: Callable[..., Any], inputs: list[Tensor]) -> list[ndarray]:
    """Return the results of ``fn``, and its gradients for a random cotangent; floats must keep the dtype they had."""
    result = fn(*inputs)
    outputs = [y for y in (result if isinstance(result, tuple) else (result,)) if y.requires_grad]
    wanted = [x for x in inputs if x.requires_grad]
    draw = random_cotangent(None)
    gradients = grad(outputs, wanted, [draw(y.shape) for y in outputs])
    found = values(result) + [g.data for g in gradients if g is not None]
    for array in found:
        if array.dtype.kind == "f" and array.dtype != wanted[0].dtype:
            raise TypeError(f"check: {array.dtype} from {wanted[0].dtype} inputs; an operation must keep the dtype")
    return found


def largest(found: list[ndarray], wanted: list[ndarray]) -> float:
    """Return the largest error of several arrays."""
    return max(error(a, ref) for a, ref in zip(found, wanted, strict=True))


def table(cases: Iterable[Case], write: Callable[[str], None] = print) -> bool:
    """Check the cases, write a line for each as soon as it is known, and return whether all passed."""
    write(f"{'op':20} {'inputs':30} {'scheme':8} {'float64':>8} {'float32':>8} {'first':>8} {'second':>8}")
    failed = count = 0
    for row in map(check, cases):
        errors = " ".join(f"{e:8.1e}" for e in (row.float64, row.float32, row.first, row.second))
        write(f"{row.case.op:20} {row.shapes:30} {row.scheme:8} {errors}  {'pass' if row.passed else 'FAIL'}")
        count += 1
        failed += not row.passed
        if not row.passed:
            write(indent(repr(row), "    "))
    write(
        f"{count} {'case' if count == 1 else 'cases'}, {failed} failed. Errors are max|a - ref| / max|ref|:\n"
        f"  float64        values against the reference, at most {FLOAT64:g}\n"
        f"  float32        values and gradients against float64, at most {FLOAT32:g}\n"
        f"  first, second  derivatives of this order against differences, at most {GRADIENT:g}\n"
        "Scheme of the differences: bilinear where the operation is linear in each input, so that they are exact;\n"
        "central, with small steps, elsewhere."
    )
    return not failed
