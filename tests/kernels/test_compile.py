from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.registry import cpu_target

from tinygrad_cnn import state
from tinygrad_cnn.kernels import compile, launch
from tinygrad_cnn.kernels.compile import CONTRACT, REASSOC, Kernel, KernelCache, device, kernel

DTYPES = [np.float32, np.float64]


def fill(x, y, factor, start, stop):
    for i in range(start, stop):
        y[i] = x[i] * factor


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that are compiled during a test."""
    names: list[str] = []
    monkeypatch.setattr(state, "on_compile", names.append)
    return names


def test_one_compilation_a_dtype_serves_frozen_and_writable_arrays(compiled: list[str]) -> None:
    times = kernel(fill)
    for dtype in DTYPES:
        x, y = np.arange(4, dtype=dtype), np.zeros(4, dtype)
        times(x, y, 2.0, 0, 3)
        np.testing.assert_array_equal(y, [0, 2, 4, 0])
        x.flags.writeable = False
        times(x, y, 3.0, 1, 4)
        np.testing.assert_array_equal(y, [0, 3, 6, 9])
        assert len(times.dispatchers[np.dtype(dtype).char].signatures) == 1
    assert compiled == ["fill", "fill"]


def test_what_a_kernel_was_not_compiled_for_is_an_error_and_not_another_compilation(compiled: list[str]) -> None:
    times = kernel(fill)
    x, y = np.arange(6.0), np.zeros(6)
    times(x, y, 2.0, 0, 6)
    frozen = y.copy()
    frozen.flags.writeable = False
    for args in (
        (x[::2], y, 2.0, 0, 3),
        (x, frozen, 2.0, 0, 3),
        (x, y.astype("f"), 2.0, 0, 3),
        (x, y[:, None], 2.0, 0, 3),
    ):
        with pytest.raises(TypeError, match="No matching definition"):
            times(*args)
    assert compiled == ["fill"]


def test_writes_must_name_parameters() -> None:
    message = r"kernel fill: writes names \['z'\], which are no parameters; .* \('x', 'y', 'factor', .*writes='gx gw'"
    with pytest.raises(TypeError, match=message):
        kernel(writes="y z")(fill)


def test_a_write_to_an_array_that_is_not_named_is_told_in_a_line() -> None:
    @kernel(writes="y")
    def reversed_arguments(y, x):
        x[0] = y[0]

    message = r"^kernel reversed_arguments writes an array that `writes` does not name, at .*test_compile.py \(\d+\); "
    with pytest.raises(TypeError, match=message + r"`writes` is 'y', the parameters are \('y', 'x'\)$"):
        reversed_arguments(np.zeros(2), np.zeros(2))


def test_other_errors_of_numba_pass_unchanged() -> None:
    @kernel
    def unknown_name(x, y):
        y[0] = no_such_function(x[0])  # noqa: F821

    with pytest.raises(numba.TypingError, match="no_such_function"):
        unknown_name(np.zeros(2), np.zeros(2))


def test_ieee_rules_hold_but_for_the_contraction_of_multiply_and_add() -> None:
    @kernel
    def quotients(x, y):
        for i in range(x.size):
            y[i] = max(x[i] / x[0], -1.0) if x[i] == x[i] else x[i]

    x, y = np.array([0.0, np.nan, 2.0, -2.0, 0.0]), np.zeros(5)
    quotients(x, y)
    np.testing.assert_array_equal(y[1:4], [np.nan, np.inf, -1])
    assert kernel(fill).fastmath == {"contract"}
    assert kernel(reassoc=True)(fill).fastmath == {"contract", "reassoc"}


def test_kernels_release_the_interpreter_lock() -> None:
    @kernel
    def long_chain(x, y, steps):
        for _ in range(steps):
            y[0] = y[0] * x[0] + x[1]

    x, y = np.array([0.5, 1.0]), np.zeros(1)
    long_chain(x, y, 1)  # compiled
    thread = threading.Thread(target=long_chain, args=(x, y, 200_000_000))
    thread.start()
    moments = 0
    while thread.is_alive():
        time.sleep(0.001)
        moments += 1
    assert moments > 20
    assert y[0] == 2


def test_many_threads_compile_a_kernel_once(compiled: list[str]) -> None:
    times = kernel(fill)
    results = [np.zeros(4) for _ in range(6)]
    together = threading.Barrier(6)

    def run(y: np.ndarray) -> None:
        together.wait()
        times(np.arange(4.0), y, 2.0, 0, 4)

    workers = [threading.Thread(target=run, args=(y,)) for y in results]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(results, [[0, 2, 4, 6]] * 6)
    assert compiled == ["fill"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_a_compilation(exit_code_of_a_fork: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    monkeypatch.setattr(state, "on_compile", lambda name: begun.set())

    def works() -> bool:
        y = np.zeros(4, "f")
        kernel(fill)(np.arange(4, dtype="f"), y, 2.0, 0, 4)
        return y.tolist() == [0, 2, 4, 6]

    thread = threading.Thread(target=kernel(fill), args=(np.arange(4.0), np.zeros(4), 2.0, 0, 4))
    thread.start()
    begun.wait()
    code = exit_code_of_a_fork(works)
    thread.join()
    assert code == 0


def test_a_device_function_runs_inside_a_kernel() -> None:
    @device
    def half(x):
        return x / 2

    assert half(x=3.0) == half(3.0) == 1.5

    @kernel
    def halves(x, y):
        for i in range(x.size):
            y[i] = half(x[i])

    y = np.zeros(3)
    halves(np.arange(3.0), y)
    np.testing.assert_array_equal(y, [0, 0.5, 1])


# --- the cache, in a small copy of the package ----------------------------------------------------------------------

TINY = """
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.helper import times

@kernel
def scale(x, y, start, stop):
    for i in range(start, stop):
        y[i] = times(x[i])
"""
HELPER = """
from tinygrad_cnn.kernels.compile import device

@device
def times(x):
    return 2 * x
"""
RUN = """
import json
import numpy as np
from tinygrad_cnn import state
from tinygrad_cnn.kernels import tiny
compiled = []
state.on_compile = compiled.append
x, y = np.arange(3.0), np.empty(3)
tiny.scale(x, y, 0, 3)
tiny.scale(x.astype("f"), np.empty(3, "f"), 0, 3)
print(json.dumps([y.tolist(), compiled]))
"""


class Copy:
    """A package of one kernel and its helper in two files, with the real compile.py, and an empty cache."""

    def __init__(self, folder: Path) -> None:
        self.package, self.cache = folder / "tinygrad_cnn", folder / "cache"
        kernels = self.package / "kernels"
        kernels.mkdir(parents=True)
        for text, file in (("", self.package / "__init__.py"), ("", kernels / "__init__.py")):
            file.write_text(text)
        shutil.copy(state.__file__, self.package)
        for file in (compile.__file__, launch.__file__):
            shutil.copy(file, kernels)
        (kernels / "tiny.py").write_text(TINY)
        self.helper = kernels / "helper.py"
        self.helper.write_text(HELPER)

    def start(self, **variables: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TINYGRAD_CNN_KERNEL_CACHE": str(self.cache)}
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", RUN]
        folder = self.package.parent
        return subprocess.Popen(command, env={**env, **variables}, cwd=folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, **variables: str) -> tuple[list[float], list[str], str]:
        return self.finish(self.start(**variables))

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> tuple[list[float], list[str], str]:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return (*json.loads(out), err)

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_second_process_compiles_nothing_until_a_source_changes(copy: Copy) -> None:
    assert copy.run() == ([0, 2, 4], ["scale", "scale"], "")
    assert copy.run() == ([0, 2, 4], [], "")
    copy.helper.write_text(HELPER.replace("2 * x", "3 * x"))  # a callee, in a file of its own
    assert copy.run() == ([0, 3, 6], ["scale", "scale"], "")
    assert copy.run(NUMBA_BOUNDSCHECK="1") == ([0, 3, 6], ["scale", "scale"], "")
    assert copy.run() == ([0, 3, 6], [], "")
    copy.helper.write_text(HELPER)  # what was compiled for the old text is still right
    assert copy.run() == ([0, 2, 4], [], "")


def test_damaged_files_cost_one_warning(copy: Copy) -> None:
    copy.run()
    truncated, replaced = copy.files
    truncated.write_bytes(truncated.read_bytes()[:-100])
    replaced.write_bytes(hashlib.sha256(b"no pickle").digest() + b"no pickle")
    y, compiled, err = copy.run()
    assert (y, compiled) == ([0, 2, 4], ["scale", "scale"])
    assert err.count("RuntimeWarning: tinygrad_cnn: the kernel cache file") == 1
    assert copy.run() == ([0, 2, 4], [], "")


def test_processes_may_write_the_cache_at_once(copy: Copy) -> None:
    for process in [copy.start() for _ in range(2)]:
        y, _, err = copy.finish(process)
        assert (y, err) == ([0, 2, 4], "")
    assert copy.run() == ([0, 2, 4], [], "")
    assert [file.suffix for file in copy.files] == [".kernel"] * 2


def test_a_cache_that_cannot_be_written_costs_one_warning(copy: Copy) -> None:
    copy.cache.write_text("a file where a folder should be")
    y, compiled, err = copy.run()
    assert (y, compiled) == ([0, 2, 4], ["scale", "scale"])
    assert err.count("RuntimeWarning: tinygrad_cnn: kernels cannot be cached in") == 1
    assert copy.cache.read_text().startswith("a file")


@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may write and read everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_permission_costs_one_warning(copy: Copy, mode: int) -> None:
    copy.cache.mkdir(mode=mode)
    y, compiled, err = copy.run()
    copy.cache.chmod(0o700)
    assert (y, compiled) == ([0, 2, 4], ["scale", "scale"])
    assert err.count("RuntimeWarning: tinygrad_cnn: ") == 1


def test_options_and_lines_are_in_the_key() -> None:
    codegen = cpu_target.target_context.codegen()
    signature = (numba.float64[::1],)

    def path(fastmath: frozenset[str] = CONTRACT, signature: Any = signature, codegen: Any = codegen) -> Path:
        return KernelCache(Kernel(fill, frozenset("y"), fastmath))._path(signature, codegen)

    older = SimpleNamespace(magic_tuple=lambda: ("x86_64", "core2", "+sse2"))
    different = [path(), path(REASSOC), path(signature=(numba.float32[::1],)), path(codegen=older)]
    assert len(set(different)) == len(different)
    assert path() == path()


def test_kernels_outside_of_the_package_are_not_cached(compiled: list[str]) -> None:
    for _ in range(2):
        kernel(fill)(np.arange(3.0), np.zeros(3), 2.0, 0, 3)
    assert compiled == ["fill", "fill"]
    assert not list(compile.cache_folder().glob("*fill*"))


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINYGRAD_CNN_KERNEL_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert compile._cache_root() == tmp_path / "home" / "tinygrad_cnn" / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert compile._cache_root() == tmp_path / "numba" / "tinygrad_cnn-kernels"
    monkeypatch.setenv("TINYGRAD_CNN_KERNEL_CACHE", str(tmp_path / "ours"))
    assert compile._cache_root() == tmp_path / "ours" / "tinygrad_cnn-kernels"


def test_without_a_home_the_folder_is_temporary_and_never_one_that_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TINYGRAD_CNN_KERNEL_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compile.tempfile, "tempdir", str(tmp_path))
    folder = compile._cache_root()
    assert folder == tmp_path / f"tinygrad_cnn-kernels-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert compile._cache_root() == folder
    folder.chmod(0o777)
    other = compile._cache_root()
    assert other != folder
    assert other.stat().st_mode & 0o777 == 0o700
