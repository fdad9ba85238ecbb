from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "second_order.py"


def test_newton_arrives_where_gradient_descent_does_not(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["second_order.py", "--quick"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    *newton, descent = (float(value) for value in re.findall(r"f = (\S+)", capsys.readouterr().out))
    assert newton[0] == pytest.approx(24.2)
    assert newton[-1] < 1e-15
    assert descent > 1e-3


def test_the_hessian_is_that_of_the_formula():
    example = runpy.run_path(str(SCRIPT))
    a, b = -1.2, 1.0
    slope, hessian = example["slope_and_hessian"](example["Tensor"](np.array([a, b]), requires_grad=True))
    np.testing.assert_allclose(slope, [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], rtol=1e-12)
    np.testing.assert_allclose(hessian, [[2 - 400 * b + 1200 * a * a, -400 * a], [-400 * a, 200]], rtol=1e-12)
