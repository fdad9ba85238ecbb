from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

EQUATIONS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("i->", [(3,)]),
    ("ij", [(2, 3)]),
    ("ji", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("iji->j", [(3, 2, 3)]),
    ("iijj->ji", [(2, 2, 3, 3)]),
    ("iii->i", [(3, 3, 3)]),
    ("i,i", [(3,), (3,)]),
    ("i,j->ji", [(3,), (2,)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("nchw,ocpq->no", [(2, 3, 4, 2), (5, 3, 2, 3)]),
    ("ij,kl->", [(2, 3), (4, 2)]),
    ("bij,bij->b", [(2, 3, 4), (2, 3, 4)]),
    ("Aa,aB->BA", [(2, 3), (3, 4)]),
    ("...", [(2, 3)]),
    ("...j,...j", [(2, 1, 3), (4, 3)]),
    ("i...->...i", [(2, 3, 4)]),
    ("...ij,jk...->...ik", [(2, 3, 4), (4, 5, 2)]),
    ("ab,bc,cd->da", [(2, 3), (3, 4), (4, 2)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    ("bi,ijk,bk->bj", [(2, 3), (3, 4, 2), (2, 2)]),
    (" i j , j k -> i k ", [(2, 3), (3, 2)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
    ("->", [()]),
    (",i->i", [(), (3,)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_values_are_numpys(equation: str, shapes: Any, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    operands = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    y, wanted = F.einsum(equation, *operands), np.einsum(equation, *(x.astype(np.float64) for x in operands))
    assert y.shape == np.shape(wanted)
    assert y.dtype == dtype
    assert error(y, np.asarray(wanted)) <= bound


@pytest.mark.parametrize(("equation", "shapes"), [row for row in EQUATIONS if all(0 not in shape for shape in row[1])])
def test_derivatives(equation: str, shapes: Any, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    operands = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    derivatives(lambda *xs: F.clone(F.einsum(equation, *xs)), *operands, steps=(1.0,))


def test_an_axis_of_size_one_broadcasts(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((3, 1)), rng.standard_normal((4, 2))
    np.testing.assert_allclose(F.einsum("ij,jk->ik", a, b), a * b.sum(0), rtol=1e-13)
    np.testing.assert_allclose(F.einsum("ij,jk->ijk", a, b), a[:, :, None] * b, rtol=1e-13)


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.einsum("ij,jk", ONES), ValueError, "'ij,jk' has 2 terms for 1 operands"),
        (lambda: F.einsum("ijk", ONES), ValueError, r"the term 'ijk' must name each of the 2 axes"),
        (lambda: F.einsum("i", ONES), ValueError, r"the term 'i' must name each of the 2 axes"),
        (lambda: F.einsum("i1", ONES), ValueError, "the term 'i1'"),
        (lambda: F.einsum("...ijk", ONES), ValueError, "the term '...ijk'"),
        (lambda: F.einsum("ij->ik", ONES), ValueError, "the result 'ik' must name axes of the operands, each once"),
        (lambda: F.einsum("ij->ii", ONES), ValueError, "each once"),
        (lambda: F.einsum("ii", ONES), ValueError, "axis 'i' has the sizes 2 and 3"),
        (lambda: F.einsum("ij,jk", ONES, ONES), ValueError, "axis 'j' has the sizes 3 and 2"),
        (lambda: F.einsum(ONES, [0, 1]), TypeError, "needs an equation such as"),
        (lambda: F.einsum("ij"), TypeError, "needs an equation such as"),
        (
            lambda: F.einsum("i,i", np.ones(2), np.ones(2, np.float32)),
            TypeError,
            "operand 0 float64, operand 1 float32",
        ),
        (lambda: F.einsum("i", np.ones(2, int)), TypeError, "einsum: needs float32 or float64"),
        (lambda: F.bmm(ONES, ONES), ValueError, r"bmm: needs \(B, M, K\) and \(B, K, N\), got \(2, 3\)"),
        (lambda: F.bmm(np.ones((1, 2, 3)), np.ones((4, 3, 2))), ValueError, "got .* matmul.. broadcasts"),
        (lambda: F.bmm(np.ones((1, 2, 3)), np.ones((1, 2, 3))), ValueError, "bmm: needs"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    letters = "abcdE"
    size = {letter: int(rng.integers(1, 5)) for letter in letters}
    terms = ["".join(rng.choice(list(letters), rng.integers(1, 4))) for _ in range(rng.integers(1, 4))]
    equation = ",".join(terms)
    if rng.integers(2):
        used = rng.permutation(sorted(set("".join(terms))))
        equation += "->" + "".join(used[: rng.integers(0, len(used) + 1)])
    operands = [rng.standard_normal([size[letter] for letter in term]) for term in terms]
    same_as_torch(lambda *xs: F.einsum(equation, *xs), lambda *xs: torch.einsum(equation, *xs), *operands)
    B, M, K, N = rng.integers(1, 5, 4)
    same_as_torch(F.bmm, torch.bmm, rng.standard_normal((B, M, K)), rng.standard_normal((B, K, N)))
