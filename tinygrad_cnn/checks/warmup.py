"""Compile every kernel before it is needed, and keep house in the folder of those compiled before."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from tinygrad_cnn import functional as F
from tinygrad_cnn import kernels, nn, optim, state
from tinygrad_cnn.autograd import grad, no_grad
from tinygrad_cnn.checks import table
from tinygrad_cnn.checks.case import Case
from tinygrad_cnn.kernels.compile import Kernel, cache_folder
from tinygrad_cnn.kernels.tile import lanes
from tinygrad_cnn.tensor import Tensor

FLOAT32_ALONE = "winograd", "conv_input_maxima"  # begin the names of the files of these algorithms
INDICES = np.dtype(np.uint64).char  # a kernel of indices is compiled once, for all dtypes
OPTIMIZERS: tuple[Callable[..., Any], ...] = (
    optim.SGD, partial(optim.SGD, momentum=0.9), optim.Adam, optim.AdamW, optim.RMSprop,
)  # fmt: skip


def all_kernels(dtype: Any = np.float32) -> list[Kernel]:
    """Return every unit of work for a dtype; the thread pool's own kernels have none, and any launch needs them."""
    names = [found.name for found in iter_modules(kernels.__path__)]
    if np.dtype(dtype) != np.float32:
        names = [name for name in names if not name.startswith(FLOAT32_ALONE)]
    modules = [import_module(f"{kernels.__name__}.{name}") for name in names]
    here = [(module.__name__, value) for module in modules for value in vars(module).values()]
    found = [value for name, value in here if isinstance(value, Kernel) and value.__module__ == name]
    return [kernel for kernel in found if kernel.names[-2:] == ("start", "stop")]


def calls(dtype: np.dtype) -> Iterator[Callable[[], Any]]:
    """Yield calls that reach every kernel: the checks' cases forward and back, and what networks have besides."""
    for case in table.CASES:
        yield partial(_case, case, dtype)
    yield partial(F.relu, np.zeros(1_000_000, dtype))  # large enough for the thread pool
    yield partial(F.linear, np.ones((8, 64), dtype), np.ones((64, 64), dtype))  # a large weight is read once
    yield partial(F.pixel_shuffle, np.zeros((2, 4, 100, 100), dtype), 2)  # large enough to be laid out by all threads
    yield partial(_average, dtype)
    yield partial(_second_order, dtype)
    yield partial(_fused, dtype)
    yield partial(_maxima, dtype)
    # Batches of small images, many channels, and 1x1 filters have algorithms of their own.
    yield partial(_convolution, (64, 1, 28, 28), (6, 1, 5, 5), 2, dtype)
    yield partial(_convolution, (64, 6, 14, 14), (16, 6, 5, 5), 0, dtype)
    yield partial(_convolution, (4, 64, 28, 28), (64, 64, 3, 3), 1, dtype)
    yield partial(_convolution, (lanes(dtype), 8, 1, 1), (48, 8, 5, 5), 2, dtype)
    yield partial(_convolution, (2, 16, 28, 28), (32, 16, 1, 1), 0, dtype)
    yield from (partial(_step, make, dtype) for make in OPTIMIZERS)


def warm_up(dtype: Any, bar_file: TextIO | None = None) -> list[Kernel]:
    """Compile every kernel for a dtype, with a progress bar on a terminal, and return those that were not reached.

    Args:
        dtype: float32 or float64.
        bar_file: where the bar goes, where that is a terminal; None means standard error.
    """
    dtype, found = np.dtype(dtype), state.on_compile
    waiting = all_kernels(dtype)
    with tqdm(
        desc=f"kernels for {dtype}", total=len(waiting), file=bar_file or sys.stderr, leave=False, disable=None
    ) as bar:
        state.on_compile = lambda name: bar.set_postfix_str(f"compiling {name.strip('_')}")
        try:
            for call in calls(dtype):
                call()
                left = [kernel for kernel in waiting if not {dtype.char, INDICES} & set(kernel.dispatchers)]
                bar.update(len(waiting) - len(left))
                waiting = left
        finally:
            state.on_compile = found
    return waiting


def clear() -> list[Path]:
    """Remove the kernels that other versions of the sources, of numba or of Python have left, and return where."""
    current = cache_folder()
    old = [path for path in current.parent.glob("*") if re.fullmatch("[0-9a-f]{16}", path.name) and path != current]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)  # who else cleared it, or uses it, is not disturbed
    return old


def cached() -> tuple[Path, int, int]:
    """Return the folder of the compiled kernels, how many files it has and how many bytes they are."""
    sizes = [path.stat().st_size for path in cache_folder().glob("*.kernel")]
    return cache_folder(), len(sizes), sum(sizes)


def _case(case: Case, dtype: np.dtype) -> None:
    drawn = [x.astype(dtype) if x.dtype.kind == "f" else x for x in case.inputs()]
    table.values_and_gradients(case.fn, table.leaves(drawn, dtype))


def _average(dtype: np.dtype) -> None:
    """Windows of 2 x 2 have kernels of their own."""
    x = Tensor(np.ones((2, 1, 6, 8)), dtype, requires_grad=True)
    grad(F.avg_pool2d(x, 2).sum(), [x])


def _second_order(dtype: np.dtype) -> None:
    """Gradients of gradients are made of the same kernels, but for those of max pooling and of GELU."""
    x = Tensor(np.arange(96).reshape(2, 1, 6, 8) / 96, dtype, requires_grad=True)
    first = grad(F.max_pool2d(x, (3, 2)).exp().sum() + F.gelu(x).sum(), [x], create_graph=True)
    grad([g.sum() for g in first if g is not None], [x])


def _convolution(image: tuple[int, ...], filters: tuple[int, ...], padding: int, dtype: np.dtype) -> None:
    x, w, b = (Tensor(np.ones(shape), dtype, requires_grad=True) for shape in (image, filters, filters[:1]))
    grad(F.conv2d(x, w, b, padding=padding).sum(), [x, w, b])


def _fused(dtype: np.dtype) -> None:
    layers = nn.Conv2d(1, 2, 3, dtype=dtype), nn.BatchNorm2d(2, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2)
    x = Tensor(np.ones((2, 1, 8, 10)), dtype)
    for chosen in ((0, 2, 3), (0, 1, 2, 3), (1, 2)):
        model = nn.Sequential(*(layers[i] for i in chosen))
        images = x if 0 in chosen else layers[0](x)
        model(images).sum().backward()
        with no_grad():
            model.eval()(images)
        model.train()


def _maxima(dtype: np.dtype) -> None:
    """Where pooling follows, the gradient of the images of a batch may have a kernel of its own."""
    x = Tensor(np.ones((16, 8, 12, 12)), dtype, requires_grad=True)
    nn.Sequential(nn.Conv2d(8, 8, 5, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2))(x).sum().backward()


def _step(make: Callable[..., Any], dtype: np.dtype) -> None:
    parameter = Tensor(np.ones(3), dtype, requires_grad=True)
    parameter.grad = Tensor(np.ones(3), dtype)
    make([parameter], lr=0.1).step()
