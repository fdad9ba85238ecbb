from __future__ import annotations

import pytest

from tinygrad_cnn.checks.case import Case
from tinygrad_cnn.checks.spatial import CASES
from tinygrad_cnn.checks.table import check


@pytest.mark.parametrize("case", CASES, ids=[f"{case.op}-{n}" for n, case in enumerate(CASES)])
def test_every_case_passes(case: Case) -> None:
    row = check(case)
    assert row.passed, row
