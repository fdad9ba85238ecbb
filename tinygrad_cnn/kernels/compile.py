"""Compile kernels lazily, once for each dtype, and keep them in a cache that is never stale.

A kernel is a plain Python function with loops: the serial *unit of work*. ``@kernel`` turns it into numba code that
releases the interpreter lock. numba's own cache looks only at the file in which a function stands and ignores
compiler options, so an edit of a callee would go unseen. Ours is keyed by the text of all kernel sources, the options,
the versions and the processor.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import pickle
import platform
import stat
import sys
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, ClassVar, overload

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.errors import TypingError
from numba.core.serialize import dumps

from tinygrad_cnn import state
from tinygrad_cnn.kernels.launch import LaunchCompiler

config: Any = numba.config  # its names are set when numba is imported, too late for a type checker
# For kernels and their helpers: no interpreter lock, and 1/0 is infinity.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# A multiply and an add may become one instruction. Everything else keeps IEEE rules: NaN and infinity must propagate.
CONTRACT = frozenset({"contract"})
# Sums may be reordered (and so vectorised): only sums ask for it; the tiles fix their own order.
REASSOC = frozenset({"contract", "reassoc"})


class Kernel:
    """A unit of work that is compiled at its first call, once for each dtype of its first argument.

    Arrays are C-contiguous; those not named in ``writes`` are typed read-only, so that frozen and writable arrays
    share one compilation. Further arguments are ints (int64), floats (float64) and bools.

    Attributes:
        checked: let numba compare the types of all arguments at every call, which may take as long as a small kernel.
            The tests do so for all kernels; elsewhere it is done for kernels that are not of this folder.
    """

    checked: ClassVar[bool] = False

    def __init__(self, function: Callable[..., Any], writes: frozenset[str], fastmath: frozenset[str]) -> None:
        code = function.__code__
        self.names = code.co_varnames[: code.co_argcount]
        unknown = writes - set(self.names)
        if unknown:
            raise TypeError(
                f"kernel {function.__name__}: writes names {sorted(unknown)}, which are no parameters; its parameters "
                f"are {self.names} (writes is 'y' where it is not given: name the results, such as writes='gx gw')"
            )
        self.function = function
        self.writes = writes
        self.fastmath = fastmath
        self.dispatchers: dict[str, Callable[..., Any]] = {}
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, *args: Any) -> Any:
        """Run the kernel: the first argument is an array, whose dtype chooses the compilation."""
        dispatcher = self.dispatchers.get(args[0].dtype.char)
        return (dispatcher or self.compile(args))(*args)

    def compile(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Compile for arguments like these (or load the compilation from the cache) and return it."""
        if config.DISABLE_JIT:
            return self.function
        with _compiling:
            dtype = args[0].dtype.char
            if dtype not in self.dispatchers:
                self.dispatchers[dtype] = self._compile(args)
            return self.dispatchers[dtype]

    def address(self, *args: Any) -> int:
        """Compile for arguments like these and return where the machine code is: f(result, error, *arguments)."""
        with _compiling:
            (compiled,) = self._dispatcher(args).overloads.values()
        return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)

    def _compile(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        dispatcher = self._dispatcher(args)
        if self.checked or not is_ours(self.function):
            return dispatcher
        (compiled,) = dispatcher.overloads.values()
        return compiled.entry_point

    def _dispatcher(self, args: tuple[Any, ...]) -> Any:
        # numba imports it at its first launch, where a fork may catch the import half way; here forks wait.
        importlib.import_module("numpy.ma")
        options = {**OPTIONS, "fastmath": set(self.fastmath), "no_cfunc_wrapper": True}
        if self.names[-2:] == ("start", "stop"):
            options["pipeline_class"] = LaunchCompiler
        dispatcher: Any = numba.njit(self.function, **options)
        dispatcher._cache = KernelCache(self)
        signature = tuple(_type(value, name in self.writes) for name, value in zip(self.names, args, strict=True))
        try:
            dispatcher.compile(signature)
        except TypingError as error:
            if "Cannot modify readonly array" not in str(error):
                raise
            line = error.loc  # type: ignore[attr-defined]
            raise TypeError(
                f"kernel {self.__name__} writes an array that `writes` does not name, at {line}; `writes` is "
                f"{' '.join(sorted(self.writes))!r}, the parameters are {self.names}"
            ) from None  # numba's forty lines say no more
        dispatcher.disable_compile()
        return dispatcher


# A fork waits until nobody compiles: in the child nobody would be left to open this lock, and numba's own.
_compiling = threading.RLock()
os.register_at_fork(before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release)


def is_ours(function: Callable[..., Any]) -> bool:
    """Say whether a function stands in this folder."""
    return Path(function.__code__.co_filename).parent == Path(__file__).parent


def _type(value: Any, written: bool) -> types.Type:
    if isinstance(value, np.ndarray):
        return types.Array(numba.from_dtype(value.dtype), value.ndim, "C", readonly=not written)
    return {bool: types.boolean, int: types.int64, float: types.float64}[type(value)]


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...
@overload
def kernel(*, writes: str = "y", reassoc: bool = False) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(function: Callable[..., Any] | None = None, *, writes: str = "y", reassoc: bool = False) -> Any:
    """Make a unit of work of a function with loops; ``writes`` names the arrays that it fills, by default ``y``."""

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, frozenset(writes.split()), REASSOC if reassoc else CONTRACT)

    return decorate(function) if function is not None else decorate


class Device:
    """A helper that kernels call; it is compiled into them, with the first of them, and lives in their cache."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        update_wrapper(self, function)
        self.function, self.options = function, options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it in Python, as kernels do that are not compiled."""
        return self.function(*args, **kwargs)

    @cached_property
    def dispatcher(self) -> Any:
        """What numba compiles; made when it is needed, for an import should be quick."""
        return numba.njit(self.function, **{"fastmath": set(CONTRACT), **OPTIONS, **self.options})

    @property
    def _numba_type_(self) -> types.Type:  # numba asks for it when it meets the name in a kernel
        return self.dispatcher._numba_type_


def device(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Make a helper of kernels; the options are numba's."""
    return function if config.DISABLE_JIT else Device(function, **options)


class KernelCache(_Cache):
    """One file a compilation: a digest, then what numba pickles. A file that does not check out is compiled anew."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        # The key holds the sources of this folder: a kernel from elsewhere is compiled in every process.
        self._enabled = is_ours(kernel.function)

    def _path(self, signature: Any, codegen: Any) -> Path:
        kernel = self._kernel
        numba_options = config.OPT, config.BOUNDSCHECK, codegen.magic_tuple()  # the last: the processor
        key = signature, sorted(kernel.fastmath), kernel.function.__code__.co_firstlineno, numba_options
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return cache_folder() / f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}-{digest}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """Return the compilation from the cache, or None where there is no sound one."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if self._enabled:
            try:
                content = path.read_bytes()
                digest, payload = content[:32], content[32:]
                if hashlib.sha256(payload).digest() != digest:
                    raise ValueError("the file is damaged")
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except Exception as error:
                _warn_once(f"the kernel cache file {path} cannot be used ({error}); compiling again")
                with contextlib.suppress(OSError):
                    path.unlink()
        if state.on_compile is not None:
            state.on_compile(self._kernel.__name__)
        return None

    def save_overload(self, sig: Any, data: CompileResult) -> None:
        """Write the compilation to the cache; a full or read-only disk costs a warning, not the run."""
        if not self._enabled:
            return
        path = self._path(sig, data.codegen)
        try:
            payload = dumps(data._reduce())
            path.parent.mkdir(parents=True, exist_ok=True)
            with _replacing(path) as temporary:
                temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            _warn_once(f"kernels cannot be cached in {path.parent} ({error}); they are compiled again in every process")

    @property
    def cache_path(self) -> str:
        """The folder of the cache."""
        return str(cache_folder())

    def enable(self) -> None:
        """Use the cache."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor write the cache."""
        self._enabled = False

    def flush(self) -> None:
        """Forget nothing: files are keyed by content and never stale."""


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    # Two processes may write the same file at once: each writes its own, and the last rename wins with a whole file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


_warned = False


def _warn_once(message: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"tinygrad_cnn: {message}", RuntimeWarning, stacklevel=2)


@cache
def cache_folder() -> Path:
    """Return the folder of the compiled kernels of these sources and versions."""
    return _cache_root() / _VERSION


def _version() -> str:
    """Return a name that changes with every kernel source and every version that has a say in the machine code."""
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__, platform.machine())
    digest = hashlib.sha256(repr(versions).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


_VERSION = _version()  # at import: who edits a kernel during a run must not pass the old code off as the new


def _cache_root() -> Path:
    asked = os.environ.get("TINYGRAD_CNN_KERNEL_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    if asked:
        return Path(asked) / "tinygrad_cnn-kernels"
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / (
            "Library/Caches" if sys.platform == "darwin" else ".cache"
        )
        root = Path(home) / "tinygrad_cnn" / "kernels"
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except (OSError, RuntimeError):  # a read-only home, or none
        root = Path(tempfile.gettempdir()) / f"tinygrad_cnn-kernels-{os.getuid()}"
        root.mkdir(mode=0o700, exist_ok=True)
        status = root.lstat()
        # Machine code is loaded from here: it must be a folder that nobody else could make or write to.
        ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
        return root if ours else Path(tempfile.mkdtemp(prefix="tinygrad_cnn-kernels-"))
