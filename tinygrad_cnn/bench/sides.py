"""Whose work is timed: ours, and that of those beside whom we stand."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import NamedTuple

from tinygrad_cnn.bench.rows import Row

_HERE = Path(__file__).parent


class Side(NamedTuple):
    """A library, and the file with its side of the rows: it takes part where the file defines the row's workload."""

    name: str
    module: str
    file: Path
    rows: tuple[str, ...] = ("*",)  # patterns of the names of rows
    environment: dict[str, str] = {}
    program: str = ""  # that it needs besides

    def takes_part(self, row: Row) -> bool:
        """Return whether it has a side of this row."""
        return row.workload in _functions(self.file) and any(fnmatchcase(row.name, name) for name in self.rows)

    @property
    def is_installed(self) -> bool:
        """Whether its library is here, without importing it."""
        return find_spec(self.module) is not None and (not self.program or which(self.program) is not None)


@cache
def _functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


OURS = Side("tinygrad_cnn", "tinygrad_cnn", _HERE / "ours.py")
PEER = Side("PyTorch", "torch", _HERE / "peer.py")
# Others take part in few rows: a glance to the side.
FEW = ("lenet-1", "lenet-128")
OTHERS = (
    Side("PyTorch compiled", "torch", PEER.file, (*FEW, "mnist-net-128"), {"BENCH_TORCH_COMPILE": "1"}, "g++"),
    Side("JAX", "jax", _HERE / "peer_jax.py", FEW),
    Side("MyGrad", "mygrad", _HERE / "peer_mygrad.py", FEW),
)  # fmt: skip


def installed() -> list[Side]:
    """Return our side and those whose library is installed."""
    return [side for side in (OURS, PEER, *OTHERS) if side.is_installed]
