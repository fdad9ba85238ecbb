from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "numpy-and-pytorch.md").read_text()
CELL = re.compile(r"`([^`]+)` → `([^`]+)`")


def rows(column: str) -> list[Any]:
    """Return (expression, what it gives) of the cells under a heading, in all tables of the page."""
    found: list[Any] = []
    heading: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        heading = heading if cells else []
        if not heading:
            heading = cells
        elif not cells[0].startswith("---") and column in heading and (cell := cells[heading.index(column)]):
            match = CELL.fullmatch(cell)
            assert match, f"not `expression` → `value`: {cell}"
            found.append(pytest.param(*match.groups(), id=f"{cells[0]}, {column}"))
    return found


@cache
def names() -> dict[str, Any]:
    """Return what the page's first block defines."""
    namespace: dict[str, Any] = {}
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert block
    exec(block[1], namespace)
    return namespace


@cache
def peer_names() -> dict[str, Any]:
    torch = pytest.importorskip("torch")

    def torch_slope(f: Any, *x: Any) -> Any:
        inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in x]
        gradients = [g.tolist() for g in torch.autograd.grad(f(*inputs), inputs)]
        return gradients[0] if len(x) == 1 else gradients

    return {**names(), "torch": torch, "p": torch.tensor(names()["a"]), "torch_slope": torch_slope}


def plain(value: Any) -> Any:
    """Return numbers, lists and tuples as they are, tensors as lists, dtypes as their names."""
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    if type(value).__name__ == "dtype" or isinstance(value, np.dtype):
        return str(value).removeprefix("torch.")
    return value.tolist() if hasattr(value, "tolist") else value


def check(expression: str, expected: str, namespace: dict[str, Any]) -> None:
    if expected.endswith("Error"):
        with pytest.raises(Exception) as raised:
            eval(expression, namespace)
        assert raised.type.__name__ == expected
    elif expected in ("int64", "float16", "float32", "float64"):
        assert plain(eval(expression, namespace)) == expected
    else:
        value, wanted = plain(eval(expression, namespace)), eval(expected)
        assert type(value) is type(wanted) or {type(value), type(wanted)} == {int, float}
        np.testing.assert_allclose(value, wanted, rtol=1e-5)


@pytest.mark.parametrize(("expression", "expected"), rows("here"))
def test_what_the_page_says_of_this_library(expression: str, expected: str) -> None:
    check(expression, expected, names())


@pytest.mark.parametrize(("expression", "expected"), rows("NumPy"))
def test_what_the_page_says_of_numpy(expression: str, expected: str) -> None:
    check(expression, expected, names())


@pytest.mark.parametrize(("expression", "expected"), rows("PyTorch"))
def test_what_the_page_says_of_pytorch(expression: str, expected: str) -> None:
    check(expression, expected, peer_names())


def test_the_tables_were_found() -> None:
    assert len(rows("here")) > 40
    assert len(rows("NumPy")) > 25
    assert len(rows("PyTorch")) > 35
    for expression, wrong in (("t.var()", "4.13889"), ("t.max(1)", "[5, 7]"), ("t.size", "TypeError")):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check(expression, wrong, names())
