"""An operation is whole: exported, tested, and beside each kernel there is a reference."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from tinygrad_cnn import functional, reference

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tinygrad_cnn"

# Functions of functional/ that serve the operations and are none themselves.
INTERNAL = {
    "along_depth", "array_key", "array_shape", "axes_tuple", "axis_index", "bins", "by_channel", "check_pair",
    "check_reduction", "checked_geometry", "checked_labels", "conv_geometry", "convolved", "depth", "draw_mask",
    "either", "flat", "gate", "images", "in_volume", "is_basic", "like", "ndim_of",
    "over_channels", "over_pixels", "plane", "read", "reduced", "reshape_batch", "result_type", "same_float",
    "samples", "scores", "shape_of", "sizes", "sum_to", "update_running", "windows",
}  # fmt: skip

# Files of kernels/ that compute no operation, or that of another file in another way; and functions that are a part of
# one, or that NumPy says in one line.
MACHINERY = {
    "__init__", "addresses", "buffers", "compile", "conv_input_maxima", "conv_lanes", "conv_pointwise",
    "conv_weight_flat", "geometry", "lanes", "launch", "permute", "pool_2x2", "threads", "tile", "tile_pixels",
    "tile_weight", "vector", "winograd_transform",
}  # fmt: skip
WITHOUT_REFERENCE = {
    "adjoint", "bands_for", "binary_cross_entropy_with_logits_grad", "cat", "channel_sum", "choose",
    "conv2d_fused", "convolve", "copied", "cumsum", "cut", "decay", "elementwise", "exp", "expm1", "first",
    "gather", "gather_grad", "goes_in_lanes", "gradients", "is_wide", "largest_of", "last_repeated", "launch",
    "layout", "log1p", "max_bins_gather", "max_pool2d_gather", "mse_loss_grad", "nll_loss_grad", "normal_tail",
    "pack", "pad", "parts_of", "pixel_index", "plane_sum", "put", "rooms_for", "route", "rows_sum", "rows_table",
    "scale_and_shift", "scale_shift", "select", "smooth_l1_loss_grad", "strips", "sums_at", "takes_maxima",
    "tile_room", "within",
}  # fmt: skip

FUNCTIONAL = sorted(path for path in PACKAGE.glob("functional/*.py") if path.stem != "__init__")
KERNELS = sorted(path for path in PACKAGE.glob("kernels/*.py") if path.stem not in MACHINERY)


def public(text: str) -> set[str]:
    """Return the functions that a file defines for others."""
    return {
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def mentioned(text: str, module: str) -> set[str]:
    """Return the names that a test takes from ``module`` (F.relu, kernel.relu), imports, or writes as a string."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    # A test that calls getattr(module, name + "_grad") means the gradient of each name it lists.
    return found | {name + "_grad" for name in found if "_grad" in found}


def all_mentioned(files: Iterable[Path], module: str) -> set[str]:
    return {name for path in files for name in mentioned(path.read_text(), module)}


@pytest.mark.parametrize("path", FUNCTIONAL, ids=lambda path: path.stem)
def test_every_operation_is_exported(path: Path) -> None:
    missing = public(path.read_text()) - set(functional.__all__) - INTERNAL
    assert not missing, f"export {sorted(missing)} in functional/__init__.py, or name them in INTERNAL above"


def test_every_operation_has_a_test() -> None:
    missing = set(functional.__all__) - all_mentioned(ROOT.glob("tests/functional/*.py"), "F")
    assert not missing, f"no file of tests/functional/ names {sorted(missing)}"


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_every_kernel_has_a_reference_and_a_test(path: Path) -> None:
    kernels = public(path.read_text()) - WITHOUT_REFERENCE
    missing = kernels - set(reference.__all__)
    assert not missing, f"write {sorted(missing)} in reference/ as plain loops, or name them in WITHOUT_REFERENCE above"
    tests = ROOT / "tests" / "kernels" / f"test_{path.stem}.py"
    missing = kernels - all_mentioned([tests], path.stem) - all_mentioned([tests], "kernel")
    assert not missing, f"{tests.name} does not name {sorted(missing)}"


def test_the_exceptions_exist_and_are_needed() -> None:
    operations = {name for path in FUNCTIONAL for name in public(path.read_text())}
    kernels = {name for path in KERNELS for name in public(path.read_text())}
    assert operations - set(functional.__all__) >= INTERNAL
    assert kernels - set(reference.__all__) >= WITHOUT_REFERENCE
    assert {path.stem for path in PACKAGE.glob("kernels/*.py")} >= MACHINERY


def test_names_are_found_where_they_are_used_and_not_in_prose() -> None:
    assert public("class Softplus: ...\ndef softplus(x): ...\ndef _run(x):\n    def inner(): ...\n") == {"softplus"}
    text = '"""Of softplus."""\n# softplus\nx.softplus()\nF.silu(x)\nfrom a import gelu\nops = ["mish", "_grad"]'
    assert {"silu", "gelu", "mish", "mish_grad"} <= mentioned(text, "F")
    assert "softplus" not in mentioned(text, "F")
