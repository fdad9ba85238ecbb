"""Who may import whom. The table is the architecture; a cycle or a shortcut fails here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tinygrad_cnn"

OPEN = {"state", "files", "kernels.buffers", "kernels.geometry"}  # to every floor
GRAPH = {"tensor", "functional", "autograd"}
ANYTHING = {"*"}

# Each part of the package, and the parts below it that it may see. Parts that share a floor do not see each other.
MAY_SEE: dict[str, set[str]] = {
    "state": set(),
    "files": set(),
    "kernels": set(),
    "reference": set(),
    "data": set(),
    "preprocess": set(),
    "autograd": set(),
    "functional": {"kernels", "autograd"},
    "inplace": {"functional", "autograd"},
    "numpy_protocol": {"functional", "autograd"},
    "python_protocol": {"functional", "autograd"},
    "tensor": {"functional", "autograd", "inplace", "numpy_protocol", "python_protocol"},
    "creation": {"tensor", "functional"},
    "nn": GRAPH,
    "optim": {"tensor", "autograd", "kernels"},
    "models": {"nn", "functional"},
    "tracing": {"nn", *GRAPH},
    "calls": {"tracing", "nn", *GRAPH},
    "analysis": {"calls", "tracing", "nn", *GRAPH},
    "surgery": {"calls", "tracing", "nn", *GRAPH},
    "attribution": {"calls", "tracing", "nn", *GRAPH},
    "interop": {"nn", *GRAPH},
    "viz": {"analysis", "calls", "tracing", "nn", *GRAPH},
    "report": {"viz", "attribution", "analysis", "data", "calls", "tracing", "nn", *GRAPH},
    "hub": {"models", "data"},
    "training": {"optim", "data", "nn", "interop", "viz", *GRAPH},
    "checks": ANYTHING,
    "bench": ANYTHING,
    "__main__": ANYTHING,
    "__init__": ANYTHING,
}

THIRD_PARTIES: dict[str, set[str]] = {
    "kernels": {"numba", "llvmlite"},
    "data": {"pooch", "tqdm"},
    "interop": {"safetensors"},
    "viz": {"graphviz"},
    "training": {"tqdm"},
}
# Imported when used, by an error that names the extra to install.
OPTIONAL = {"matplotlib", "PIL", "pooch", "graphviz", "graphviz_pure", "IPython", "torch"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each imported name in full, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write the import in full"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def violations(part: str, text: str) -> list[str]:
    """Return what a file of this part imports and must not."""
    tree = ast.parse(text)
    found = []
    for name, line in imports(tree):
        root, *inner = name.split(".")
        if root != "tinygrad_cnn":
            allowed = {"numpy", *sys.stdlib_module_names, *OPTIONAL, *THIRD_PARTIES.get(part, ())}
            if root not in allowed and MAY_SEE[part] != ANYTHING:
                found.append(f"line {line}: {part} must not import {root}")
            continue
        target = inner[0] if inner else "__init__"
        if not (PACKAGE / target).is_dir() and not (PACKAGE / f"{target}.py").exists():
            target = "__init__"
        seen = {target, ".".join(inner[:2])}
        if target != part and not seen & OPEN and not seen & MAY_SEE[part] and MAY_SEE[part] != ANYTHING:
            found.append(f"line {line}: {part} must not see {name}")
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for name, line in imports(function):
                if name.split(".")[0] not in OPTIONAL:
                    found.append(f"line {line}: {name} is imported inside a function")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward_only(path: Path) -> None:
    part = part_of(path)
    assert part in MAY_SEE, f"{part} is new: give it a floor in the table above"
    assert violations(part, path.read_text()) == []


def test_every_part_of_the_table_exists() -> None:
    named = set().union(OPEN, MAY_SEE, THIRD_PARTIES, *MAY_SEE.values()) - ANYTHING
    paths = [PACKAGE / name.replace(".", "/") for name in sorted(named)]
    assert [p.name for p in paths if not p.is_dir() and not p.with_name(f"{p.name}.py").is_file()] == []


def test_no_part_sees_itself_through_others() -> None:
    def below(part: str, seen: set[str]) -> set[str]:
        for other in MAY_SEE.get(part, set()) - ANYTHING - seen:
            seen |= {other} | below(other, seen | {other})
        return seen

    assert [part for part in MAY_SEE if part in below(part, set())] == []


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("kernels", "from tinygrad_cnn.tensor import Tensor", "kernels must not see tinygrad_cnn.tensor.Tensor"),
        ("autograd", "import tinygrad_cnn.kernels.conv", "autograd must not see"),
        ("optim", "from tinygrad_cnn import nn", "optim must not see tinygrad_cnn.nn"),
        ("nn", "from tinygrad_cnn.optim import SGD", "nn must not see"),
        ("functional", "from tinygrad_cnn import Tensor", "functional must not see tinygrad_cnn.Tensor"),
        ("autograd", "import numba", "autograd must not import numba"),
        ("nn", "import torchvision", "nn must not import torchvision"),
        ("tensor", "def f():\n    import json", "json is imported inside a function"),
        ("viz", "def f():\n    from tinygrad_cnn.viz import graph", "inside a function"),
    ],
)
def test_a_shortcut_is_found(part: str, text: str, message: str) -> None:
    assert message in "".join(violations(part, text))


def test_what_is_open_may_be_seen_from_everywhere() -> None:
    text = (
        "from tinygrad_cnn.kernels.geometry import Window\nfrom tinygrad_cnn.state import place\nimport numpy as np\n"
    )
    for part in MAY_SEE:
        assert violations(part, text) == []
    assert violations("viz", "def f():\n    import matplotlib.pyplot") == []
