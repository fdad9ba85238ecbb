from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.checks.case import BILINEAR, Case, normal, positive
from tinygrad_cnn.checks.table import CASES, WITHOUT_DERIVATIVE, check, choose, table, without_case


def test_every_public_operation_has_a_check() -> None:
    assert without_case() == [], "these operations need a Case in checks/, or belong to WITHOUT_DERIVATIVE"
    checked = {case.op for case in CASES}
    assert checked | WITHOUT_DERIVATIVE <= set(F.__all__), "these cases name no operation"
    assert checked & WITHOUT_DERIVATIVE == set()


def test_every_kernel_of_an_operation_has_a_reference() -> None:
    with_loops = set(reference.__all__) & set(F.__all__)
    assert {"conv2d", "max_pool2d", "cross_entropy", "linear"} <= with_loops
    assert with_loops - {case.op for case in CASES if case.reference} == set()


def results(
    case: Case, dtype: Any, lay_out: Callable[[np.ndarray], np.ndarray], scale: float = 1.0
) -> list[np.ndarray]:
    """Return values and gradients of a case, with inputs and incoming gradients laid out in some way."""
    inputs = [
        Tensor(lay_out(x.astype(dtype)), requires_grad=True) if x.dtype.kind == "f" else Tensor(lay_out(x))
        for x in case.inputs()
    ]
    result = case.fn(*inputs)
    outputs = list(result) if isinstance(result, tuple) else [result]
    rng = np.random.default_rng(1)
    recorded = [y for y in outputs if y.requires_grad]
    incoming = [lay_out(np.asarray(scale * rng.standard_normal(y.shape), dtype)) for y in recorded]
    gradients = grad(recorded, [x for x in inputs if x.requires_grad], incoming)
    return [g.data for g in gradients if g is not None] + [y.data for y in outputs]


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def reversed_strides(array: np.ndarray) -> np.ndarray:
    """The same numbers in Fortran's order, every second one of a larger array, and read-only."""
    wide = np.full((*array.shape, 2), 9, array.dtype, order="F")
    wide[..., 1] = array
    return read_only(wide[..., 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", sorted({case.op for case in CASES}))
def test_layout_changes_no_bit_nothing_writes_to_its_arguments_and_zero_in_gives_zero_out(op: str, dtype: Any) -> None:
    for case in choose(op):
        plain, strided = results(case, dtype, read_only), results(case, dtype, reversed_strides)
        for a, b in zip(plain, strided, strict=True):
            assert type(a) is np.ndarray
            assert np.array_equal(a, b)
        count = sum(x.dtype.kind == "f" for x in case.inputs())
        for g in results(case, dtype, read_only, scale=0.0)[:count]:
            assert not g.any()
            assert g.dtype == dtype


class Cube(Function):
    """A cube with three ways to be wrong."""

    def __init__(self, factor: float = 3.0, value: float = 1.0, dtype: Any = None) -> None:
        self.factor, self.value, self.dtype = factor, value, dtype

    def forward(self, x: np.ndarray) -> np.ndarray:
        return (x * x * x * self.value).astype(self.dtype or x.dtype)

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy * self.factor * x * x


def cube(**wrong: Any) -> Case:
    return Case("cube", lambda x: Cube(**wrong)(x), [positive(2, 3)], reference=lambda x: x**3)


def test_a_right_operation_passes_and_each_way_to_be_wrong_fails_in_its_column() -> None:
    assert check(cube()).passed
    wrong_gradient = check(cube(factor=3.001))
    assert not wrong_gradient.passed
    assert wrong_gradient.first == pytest.approx(1 / 3000, rel=0.01)
    wrong_value = check(cube(value=1.001, factor=3.003))
    assert not wrong_value.passed
    assert wrong_value.float64 == pytest.approx(1e-3)
    assert wrong_value.first < 1e-7


def test_a_failure_says_what_is_wrong_where_and_by_how_much() -> None:
    assert repr(check(cube())) == "cube: pass"
    assert check(cube(value=1.001, factor=3.003)).faults == ["value off by 0.001 (bound 1e-10)"]
    fault, element = repr(check(cube(factor=2.0))).splitlines()
    assert fault == "cube: first derivative off by 0.33 (bound 1e-07)"
    assert element.startswith("gradcheck: output 0, element (0, 0), as a function of input 0, element (0, 0), has a wr")
    # Called linear, it is compared over a step of 1, where only small steps would agree.
    mislabelled = check(cube()._replace(steps=BILINEAR))
    assert mislabelled.located == ("gradcheck: no fault with small steps and its wider bounds",)


def test_a_nan_is_a_fault() -> None:
    assert check(cube())._replace(second=np.nan).faults == ["second derivative off by nan (bound 1e-07)"]


def test_float32_that_loses_digits_or_its_dtype_fails() -> None:
    cancels = Case("cancels", lambda x: (x + 4096.0) - 4096.0, [normal(3)])
    row = check(cancels)
    assert row.float32 > 2e-6
    assert not row.passed
    with pytest.raises(TypeError, match="float64 from float32"):
        check(cube(dtype=np.float64))


def test_the_table_has_a_line_for_each_case_and_says_what_failed() -> None:
    lines: list[str] = []
    assert table([cube()], lines.append)
    assert len(lines) == 3
    assert lines[1].startswith("cube ")
    assert "2x3" in lines[1]
    assert "central" in lines[1]
    assert lines[1].endswith("pass")
    assert lines[2].startswith("1 case, 0 failed")
    assert max(map(len, lines[2].splitlines())) <= 120
    for word in lines[0].split()[2:]:  # scheme, float64, ...: each heading of a column is explained
        assert word in lines[2].lower()
    assert not table([cube(), cube(factor=2.0)], lines.append)
    assert lines[-3].endswith("FAIL")
    assert lines[-2].startswith("    cube: first derivative off by 0.33 (bound 1e-07)\n    gradcheck: output 0, ")
    assert "2 cases, 1 failed" in lines[-1]


def test_choose_gives_one_operation_or_all_and_lists_them_otherwise() -> None:
    assert choose(None) == list(CASES)
    assert {case.op for case in choose("matmul")} == {"matmul"}
    with pytest.raises(ValueError, match=r"no operation 'unheard_of' to check. These are: abs, adaptive_avg_pool1d, "):
        choose("unheard_of")
    with pytest.raises(ValueError, match="argmax has no derivative to check; its values are tested in"):
        choose("argmax")


def test_an_operation_that_nobody_wrote_a_case_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "unheard_of", lambda x: x, raising=False)
    monkeypatch.setattr(F, "__all__", [*F.__all__, "unheard_of"])
    assert without_case() == ["unheard_of"]
    with pytest.raises(ValueError, match="unheard_of has no Case in tinygrad_cnn/checks/; add one"):
        choose("unheard_of")
    assert choose(None) == list(CASES)
