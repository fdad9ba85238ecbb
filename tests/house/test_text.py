"""Files stay short and the core stays small."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ("kernels", "autograd", "functional", "tensor.py", "nn", "optim")
LONGEST_FILE = 320


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("path", sorted((ROOT / "tinygrad_cnn").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert lines(path) <= LONGEST_FILE


def code_lines(text: str) -> int:
    """Count the lines that hold code: neither blank, nor comment, nor docstring."""
    tree = ast.parse(text)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in prose for n, line in lines)


# What a training step of LeNet-5 runs through: the tour of README.md. The rest of the core is more of the same kind.
TOUR = {
    "autograd": "variable function engine gradients version mode check",
    "functional": "elementwise arithmetic shape indexing reduce linalg conv fused pool activation loss label",
    "nn": "module kept parameter loading container fusion conv linear activation pool shape init",
    "optim": "optimizer sgd adam schedule one_cycle",
    "kernels": (
        "compile launch threads buffers geometry tile conv lanes conv_lanes tile_pixels conv_fused conv_input_grad "
        "conv_input_maxima strips conv_weight_grad conv_weight_flat tile_weight gemm linear activation pool_2x2 vector "
        "softmax loss reduce update addresses"
    ),
}


def test_the_core_and_the_tour_through_it_stay_small() -> None:
    places = [ROOT / "tinygrad_cnn" / name for name in CORE]
    files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*.py"))]
    tour = [ROOT / "tinygrad_cnn" / folder / f"{name}.py" for folder, names in TOUR.items() for name in names.split()]
    assert sum(code_lines(path.read_text()) for path in [*tour, ROOT / "tinygrad_cnn" / "tensor.py"]) < 7_900
    assert sum(code_lines(path.read_text()) for path in files) < 13_300


def test_code_is_counted_without_prose() -> None:
    assert code_lines('"""One\nTwo."""\n\n# three\nx = 1  # four\n\ndef f():\n    """Five."""\n    return "six"\n') == 3


def test_nothing_is_called_utils() -> None:
    assert [str(p) for p in (ROOT / "tinygrad_cnn").rglob("*") if re.search(r"util|misc|common", p.name)] == []
