"""Everything that is global, and nothing else is.

Per thread (context variables): whether operations are recorded, who observes them, inside which module they run, and
whether output sizes are strict.
Per process: the default random generator, the clock, the number of threads, whether Winograd's algorithm may be used,
and who is told of compilations. This file
imports only the standard library and NumPy and is open to every floor of the house.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, NamedTuple

import numpy as np


class Recording(NamedTuple):
    """How a thread records its operations, where it does not simply record them all."""

    # The ident of the thread that paused recording, 0 where nobody did. The ident and not a bool: free-threaded Python
    # lets a new thread inherit its parent's context, and a new thread must start recording.
    paused_by: int = 0
    # Called after every operation as observer(function, inputs, output), or None. What it returns, if not None, stands
    # in the place of the output: so parts are taken out of a network without touching it. Layers run one by one for it,
    # unless it has an attribute ``takes_runs_apart`` that is true: it then asks the operation of a run for replay().
    observer: Callable[..., Any] | None = None


# None, the usual case, costs every operation only one look: recording, and observed by nobody.
recording: ContextVar[Recording | None] = ContextVar("recording", default=None)

_RECORDING = Recording()

# The dotted name of the module whose forward is running ("features.0"), "" outside of any module.
module_path: ContextVar[str] = ContextVar("module_path", default="")

# Whether an output size whose stride leaves pixels unread is an error: inside `with strict_sizes()`.
sizes_are_strict: ContextVar[bool] = ContextVar("sizes_are_strict", default=False)

# One clock orders everything that happens: recorded nodes and writes to memory (autograd/engine.py). A count() is
# advanced atomically under the interpreter lock.
tick: Callable[[], int] = count(1).__next__

# Told the name of every kernel that is compiled (not those loaded from the cache), or None.
on_compile: Callable[[str], None] | None = None


def pause_recording(by: int) -> int:
    """Say which thread pauses recording (its ident; 0 for none) from now on; return who did until now."""
    found = recording.get() or _RECORDING
    recording.set(Recording(by, found.observer) if by or found.observer is not None else None)
    return found.paused_by


def observe(observer: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Let ``observer`` see every operation of this thread from now on; return who did until now."""
    found = recording.get() or Recording()
    recording.set(Recording(found.paused_by, observer) if observer is not None or found.paused_by else None)
    return found.observer


@contextmanager
def strict_sizes() -> Iterator[None]:
    """Make it an error, in this thread, that the stride of a convolution or pooling leaves pixels unread.

    Elsewhere the last rows and columns that do not fill a stride are silently ignored, as in PyTorch.

    >>> import numpy as np, tinygrad_cnn
    >>> with tinygrad_cnn.strict_sizes():
    ...     tinygrad_cnn.functional.max_pool2d(np.ones((1, 4, 7)), 2)
    Traceback (most recent call last):
        ...
    ValueError: max_pool2d: the last 1 of the width would not be read: (padded width 7 - window 2) % stride 2 = 1...
    """
    token = sizes_are_strict.set(True)
    try:
        yield
    finally:
        sizes_are_strict.reset(token)


_DEFAULT_SEED = 0
_generator: np.random.Generator | None = None


def default_generator() -> np.random.Generator:
    """Return the generator that serves every random function whose ``generator`` argument is None."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng(_DEFAULT_SEED)
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the default generator and return it.

    The generator object stays the same, so whoever holds it sees the new stream.

    >>> import tinygrad_cnn
    >>> _ = tinygrad_cnn.manual_seed(7); a = tinygrad_cnn.rand(3)
    >>> _ = tinygrad_cnn.manual_seed(7); b = tinygrad_cnn.rand(3)
    >>> bool((a == b).all())
    True
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise TypeError(f"manual_seed: seed must be an int, got {type(seed).__name__}")
    if seed < 0:
        raise ValueError(f"manual_seed: seed must be at least 0, got {seed}")
    generator = default_generator()
    generator.bit_generator.state = np.random.default_rng(int(seed)).bit_generator.state
    return generator


def generator_for(op: str, generator: np.random.Generator | None) -> np.random.Generator:
    """Return the generator that ``op`` was given, the default one for None; TypeError for a bare seed and the like."""
    if generator is None:
        return default_generator()
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"{place(op)}: generator must be a numpy.random.Generator, such as numpy.random.default_rng(0), got "
            f"{generator!r}"
        )
    return generator


def generator_state(generator: np.random.Generator | None = None) -> dict[str, Any]:
    """Return the state of a generator (the default one where None) as a dict of JSON values."""
    return dict((generator or default_generator()).bit_generator.state)


def set_generator_state(state: dict[str, Any], generator: np.random.Generator | None = None) -> None:
    """Put a generator (the default one where None) into a state that `generator_state` returned."""
    (generator or default_generator()).bit_generator.state = state


def _available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


_num_threads = 0  # 0: not asked for yet


def get_num_threads() -> int:
    """Return how many threads a kernel may use: TINYGRAD_CNN_NUM_THREADS, else the cores of this process."""
    global _num_threads
    if not _num_threads:
        text = os.environ.get("TINYGRAD_CNN_NUM_THREADS", "")
        if text and not (text.isdigit() and int(text) > 0):
            raise ValueError(f"TINYGRAD_CNN_NUM_THREADS must be a positive whole number, got {text!r}")
        _num_threads = int(text) if text else _available_cores()
    return _num_threads


def set_num_threads(n: int) -> None:
    """Let kernels use ``n`` threads from now on. Results do not depend on it, to the bit."""
    global _num_threads
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive int, got {n!r}")
    _num_threads = int(n)


_winograd: bool | None = None  # None: not asked for yet


def get_winograd() -> bool:
    """Return whether convolutions may use Winograd's algorithm: not where TINYGRAD_CNN_WINOGRAD=0."""
    global _winograd
    if _winograd is None:
        text = os.environ.get("TINYGRAD_CNN_WINOGRAD", "")
        if text not in ("", "0", "1"):
            raise ValueError(f"TINYGRAD_CNN_WINOGRAD must be 0 or 1, got {text!r}")
        _winograd = text != "0"
    return _winograd


def set_winograd(enabled: bool) -> None:
    """Let convolutions use Winograd's algorithm where it is faster (the default), or compute all of them directly.

    It serves float32 convolutions with 3x3 filters, stride 1, any dilation and no groups, and their input gradients,
    with two to four times fewer multiplications. Against the direct path:

    - The error, max|a - ref| / max|ref|, is a few times larger: at most 2e-5, measured 2e-7 to 5e-6.
    - A NaN or an infinity spoils the tiles of 2x2 or 4x4 outputs that it touches, not only the outputs that read it.
    - Numbers within a factor of a hundred of the largest float32 may overflow on the way.

    Source: Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", arXiv:1509.09308.

    >>> import tinygrad_cnn
    >>> tinygrad_cnn.set_winograd(False)
    >>> tinygrad_cnn.get_winograd()
    False
    >>> tinygrad_cnn.set_winograd(True)
    """
    global _winograd
    if not isinstance(enabled, (bool, np.bool_)):
        raise TypeError(f"set_winograd: enabled must be True or False, got {enabled!r}")
    _winograd = bool(enabled)


def place(op: str) -> str:
    """Name an operation for an error message, with the module in which it runs: ``conv2d in features.0``."""
    path = module_path.get()
    return f"{op} in {path}" if path else op
