"""The public names: listed, sorted (CONSTANTS, Classes, functions), and there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tinygrad_cnn"
PACKAGES = sorted(
    path.parent for path in PACKAGE.rglob("__init__.py") if path.read_text().strip() and path.parent != PACKAGE
)
FACES = [PACKAGE, *PACKAGES]


def module_name(folder: Path) -> str:
    return ".".join(folder.relative_to(ROOT).parts)


def place(name: str) -> tuple[bool, bool, str]:
    """Return what names are sorted by; numbers count as numbers (resnet50 before resnet101)."""
    return not name.isupper(), not name[0].isupper(), re.sub(r"\d+", lambda number: number[0].zfill(9), name)


@pytest.mark.parametrize("folder", FACES, ids=module_name)
def test_names_are_listed_once_sorted_and_exist(folder: Path) -> None:
    module = importlib.import_module(module_name(folder))
    listed = module.__all__
    assert listed == sorted(set(listed), key=place)
    assert [name for name in listed if not hasattr(module, name)] == []
    assert [name for name in listed if name.startswith("_")] == []


@pytest.mark.parametrize("folder", FACES, ids=module_name)
def test_what_a_package_imports_for_others_is_listed(folder: Path) -> None:
    module = importlib.import_module(module_name(folder))
    tree = ast.parse((folder / "__init__.py").read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinygrad_cnn")
        for alias in node.names
        if alias.asname is None  # "SetItem as SetItem" says: for other floors, not public
    }
    missing = imported - set(module.__all__)
    assert not missing, f"{sorted(missing)}: imported, but not in `__all__`"


def test_the_public_face_holds_what_the_first_line_of_a_program_needs() -> None:
    import tinygrad_cnn as tg

    needed = {"Function", "Tensor", "functional", "grad", "gradcheck", "gradgradcheck", "manual_seed", "nn", "no_grad"}
    assert needed | {"optim"} <= set(tg.__all__)
    assert tg.nn.functional is tg.functional
