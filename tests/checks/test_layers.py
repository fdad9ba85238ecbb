from __future__ import annotations

import pytest

from tinygrad_cnn.checks.case import Case
from tinygrad_cnn.checks.layers import CASES
from tinygrad_cnn.checks.table import check
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.pool import MaxPool2d


@pytest.mark.parametrize("case", CASES, ids=[f"{case.op}-{n}" for n, case in enumerate(CASES)])
def test_every_case_passes(case: Case) -> None:
    row = check(case)
    assert row.passed, row


def case_of(op: str) -> Case:
    return next(case for case in CASES if case.op == op)


def test_a_weight_gradient_that_is_wrong_by_a_millionth_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Conv2d.grad_w
    monkeypatch.setattr(Conv2d, "grad_w", lambda self, gy, x: right(self, gy, x) * (1 + 1e-6))
    monkeypatch.setattr(Conv2d, "plans", type(Conv2d.plans)(Conv2d))
    row = check(case_of("conv2d"))
    assert not row.passed
    assert row.float64 <= 1e-10
    assert row.first == pytest.approx(1e-6, rel=0.01)


def test_a_gradient_that_goes_to_the_wrong_pixel_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MaxPool2d.grad_x
    monkeypatch.setattr(MaxPool2d, "grad_x", lambda self, gy: right(self, gy)[..., ::-1])
    monkeypatch.setattr(MaxPool2d, "plans", type(MaxPool2d.plans)(MaxPool2d))
    row = check(case_of("max_pool2d"))
    assert row.first > 0.1
    assert not row.passed
