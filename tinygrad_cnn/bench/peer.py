"""PyTorch's side of the rows, function by function as in ours.py.

PyTorch is imported when a row is built, and this file imports nothing of ours: its process must be PyTorch's alone.
Where BENCH_TORCH_COMPILE is set the networks go through torch.compile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from runpy import run_path
from time import perf_counter
from typing import Any

import numpy as np

Step = Callable[[], Any]
_NETS = run_path(str(Path(__file__).with_name("nets.py")))


def add(count: int) -> Step:
    """Add two small tensors that require gradients, ``count`` times."""
    a, b = _random(4, 4).requires_grad_(), _random(4, 4).requires_grad_()

    def step() -> Any:
        for _ in range(count):
            y = a + b
        return y

    return step


def chain(length: int) -> Step:
    """Add a constant ``length`` times, and go back."""
    a, b = _random(4, 4).requires_grad_(), _random(4, 4)

    def step() -> Any:
        a.grad = None
        y = a
        for _ in range(length):
            y = y + b
        y.sum().backward()
        return a.grad

    return step


def training(net: str, batch: int) -> Step:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    import torch
    from torch.nn import functional as F

    model = _net(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    x, labels = _random(batch, *_NETS["IMAGES"][net]), torch.arange(batch) % 10

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def inference(net: str, batch: int) -> Step:
    """Scores, without recording."""
    import torch

    model = _net(net).eval()
    x = _random(batch, *_NETS["IMAGES"][net])

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return step


def convolution(
    face: str, image: Sequence[int], filters: Sequence[int], padding: int, stride: int, dilation: int, groups: int
) -> Step:
    """One face of a convolution: forward, input-grad or weight-grad, each as PyTorch's backward calls it."""
    import torch
    from torch.nn import functional as F

    x, w, b = _random(*image), _random(*filters), _random(filters[0])
    if face == "forward":
        return lambda: F.conv2d(x, w, b, stride, padding, dilation, groups)
    gy = _random(*F.conv2d(x, w, b, stride, padding, dilation, groups).shape)
    wanted = [face == "input-grad", face == "weight-grad", False]
    geometry = [stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(gy, x, w, None, *geometry, wanted)[wanted.index(True)]


def layer(kind: str, arguments: Sequence[Any], shape: Sequence[int]) -> Step:
    """A layer forward, and back to its input and its parameters."""
    import torch

    module = getattr(torch.nn, kind)(*arguments)
    x = _random(*shape).requires_grad_()
    gy = _random(*module(x).shape)
    inputs = [x, *module.parameters()]
    return lambda: torch.autograd.grad(module(x), inputs, gy)


def functional(function: str, arguments: Sequence[Any], options: dict[str, Any]) -> Step:
    """A function of tensors, forward and back. In its arguments a list with a word stands for a tensor.

    ["normal", 2, 3] has a gradient; ["uniform", 2, 3] holds shares; ["index", 9, 2, 3] integers below 9, in no order.
    """
    import torch

    inputs: list[Any] = []

    def built(part: Any) -> Any:
        match part:
            case ["normal", *shape]:
                x = np.random.default_rng(len(inputs)).standard_normal(shape, np.float32)
                inputs.append(torch.from_numpy(x).requires_grad_())
                return inputs[-1]
            case ["uniform", *shape]:
                return torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
            case ["index", count, *shape]:
                return torch.from_numpy((np.arange(np.prod(shape)) * 7919 % count).reshape(shape))
            case [*parts]:
                return [built(part) for part in parts]
        return part

    call = getattr(torch.nn.functional, function, None) or getattr(torch, function)
    given = built(arguments)

    def forward() -> Any:
        y = call(*given, **options)
        return y[0] if isinstance(y, tuple) else y  # a tuple: values and their places

    gy = _random(*forward().shape)
    return lambda: torch.autograd.grad(forward(), inputs, gy)


def joined(shape: Sequence[int], count: int) -> Step:
    """So many tensors side by side along their channels, and back to their ``.grad``, as a loss's backward() does."""
    import torch

    xs = [_random(*shape).requires_grad_() for _ in range(count)]
    gy = _random(*torch.cat(xs, 1).shape)

    def step() -> list[Any]:
        for x in xs:
            x.grad = None
        torch.cat(xs, 1).backward(gy)
        return [x.grad for x in xs]

    return step


def inception(shape: Sequence[int]) -> Step:
    """A module of four branches side by side forward, and back to its input and its parameters."""
    import torch

    module = _NETS["inception"](torch.nn, torch.cat)
    x = _random(*shape).requires_grad_()
    gy = _random(*module(x).shape)
    inputs = [x, *module.parameters()]
    return lambda: torch.autograd.grad(module(x), inputs, gy)


def loss(kind: str, shape: Sequence[int]) -> Step:
    """A loss forward and backward, of labels or, where it takes none, of numbers."""
    import torch

    module = getattr(torch.nn, kind)()
    x = _random(*shape).requires_grad_()
    target = torch.zeros(*shape) if kind == "MSELoss" else torch.arange(shape[0]) % shape[1]
    return lambda: torch.autograd.grad(module(x, target), [x])


def optimizer(kind: str, count: int) -> Step:
    """A step of an optimiser for parameters like LeNet-5's: most of them in one array, and a few small ones."""
    import torch

    parameters = [_random(n).requires_grad_() for n in (count - 9 * 100, *[100] * 9)]
    for p in parameters:
        p.grad = _random(p.numel())
    return getattr(torch.optim, kind)(parameters, lr=1e-6, **({"momentum": 0.9} if kind == "SGD" else {})).step


def matmul(size: int) -> Step:
    """A product of square matrices, without recording."""
    a, b = _random(size, size), _random(size, size)
    return lambda: a @ b


def mnist(
    epochs: int,
    batch: int,
    lr: float,
    rise: float,
    anneal: str,
    betas: tuple[float, float],
    smoothing: float,
    seed: int,
) -> Step:
    """Train LeNet-5 on MNIST with Adam and the 1cycle schedule, then classify the test set."""
    import torch
    from torch.nn import functional as F

    def step() -> dict[str, float]:
        torch.manual_seed(seed)
        train_set, train_labels = _mnist("train")
        test_set, test_labels = _mnist("t10k")
        model = _net("lenet")
        optimizer = torch.optim.Adam(model.parameters(), betas=betas)
        steps = epochs * -(-len(train_set) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=rise, anneal_strategy=anneal)
        start = perf_counter()
        for _ in range(epochs):
            for index in torch.randperm(len(train_set)).split(batch):
                scores = model(_normalised(train_set[index]))
                loss = F.cross_entropy(scores, train_labels[index], label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        trained = perf_counter()
        with torch.no_grad():
            right = sum(
                (model(_normalised(x)).argmax(1) == labels).sum().item()
                for x, labels in zip(test_set.split(500), test_labels.split(500), strict=True)
            )
        return {"training": trained - start, "accuracy": right / len(test_set)}

    return step


def _mnist(split: str) -> Any:
    """Return images and labels from where our side, which comes first, has found or put them."""
    import pooch
    import torch

    folder = Path(os.environ.get("TINYGRAD_CNN_DATA") or pooch.os_cache("tinygrad_cnn") / "mnist")
    images = np.fromfile(folder / f"{split}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.fromfile(folder / f"{split}-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


def _normalised(images: Any) -> Any:
    return images.float().mul_(1 / (255 * 0.3081)).sub_(0.1307 / 0.3081)


def _random(*shape: int) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))


def _net(net: str) -> Any:
    import torch

    model = _NETS[net](torch.nn)
    return torch.compile(model, dynamic=False) if os.environ.get("BENCH_TORCH_COMPILE") else model
