"""Our side of the rows. Each function builds what a row needs and returns the step that is timed.

peer.py has the same functions in PyTorch: the same work, in the same order, on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

import tinygrad_cnn
from tinygrad_cnn import Tensor, data, nn, no_grad, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.bench import nets, peak
from tinygrad_cnn.functional.conv import Conv2dInputGrad, Conv2dWeightGrad, conv_geometry
from tinygrad_cnn.training import evaluate

Step = Callable[[], Any]


def add(count: int) -> Step:
    """Add two small tensors that require gradients, ``count`` times."""
    a, b = Tensor(_random(4, 4), requires_grad=True), Tensor(_random(4, 4), requires_grad=True)

    def step() -> Tensor:
        for _ in range(count):
            y = a + b
        return y

    return step


def chain(length: int) -> Step:
    """Add a constant ``length`` times, and go back."""
    a, b = Tensor(_random(4, 4), requires_grad=True), Tensor(_random(4, 4))

    def step() -> Tensor | None:
        a.grad = None
        y = a
        for _ in range(length):
            y = y + b
        y.sum().backward()
        return a.grad

    return step


def training(net: str, batch: int) -> Step:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    model = getattr(nets, net)(nn)
    # So small a learning rate that the weights stay where they are, however long one batch is trained on.
    optimizer = optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    x, labels = Tensor(_random(batch, *nets.IMAGES[net])), Tensor(np.arange(batch) % 10)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def inference(net: str, batch: int) -> Step:
    """Scores, without recording."""
    model = getattr(nets, net)(nn).eval()
    x = Tensor(_random(batch, *nets.IMAGES[net]))

    def step() -> Tensor:
        with no_grad():
            return model(x)

    return step


def convolution(
    face: str, image: Sequence[int], filters: Sequence[int], padding: int, stride: int, dilation: int, groups: int
) -> Step:
    """One face of a convolution: forward, input-grad or weight-grad."""
    x, w, b = _random(*image), _random(*filters), _random(filters[0])
    geometry = conv_geometry("conv2d", (filters[2], filters[3]), stride, padding, dilation, groups)
    if face == "forward":
        return lambda: F.conv2d(x, w, b, stride, padding, dilation, groups)
    gy = _random(*F.conv2d(x, w, b, stride, padding, dilation, groups).shape)
    if face == "input-grad":
        return lambda: Conv2dInputGrad(geometry, x.shape).apply(gy, w)
    return lambda: Conv2dWeightGrad(geometry, w.shape).apply(gy, x)


def layer(kind: str, arguments: Sequence[Any], shape: Sequence[int]) -> Step:
    """A layer forward, and back to its input and its parameters."""
    module = getattr(nn, kind)(*arguments)
    x = Tensor(_random(*shape), requires_grad=True)
    gy = Tensor(_random(*module(x).shape))
    inputs = [x, *module.parameters()]
    return lambda: grad(module(x), inputs, gy)


def functional(function: str, arguments: Sequence[Any], options: dict[str, Any]) -> Step:
    """A function of tensors, forward and back. In its arguments a list with a word stands for a tensor.

    ["normal", 2, 3] has a gradient; ["uniform", 2, 3] holds shares; ["index", 9, 2, 3] integers below 9, in no order.
    """
    inputs: list[Tensor] = []

    def built(part: Any) -> Any:
        match part:
            case ["normal", *shape]:
                x = np.random.default_rng(len(inputs)).standard_normal(shape, np.float32)
                inputs.append(Tensor(x, requires_grad=True))
                return inputs[-1]
            case ["uniform", *shape]:
                return Tensor(np.random.default_rng(0).random(shape, np.float32))
            case ["index", count, *shape]:
                return Tensor((np.arange(np.prod(shape)) * 7919 % count).reshape(shape))
            case [*parts]:
                return [built(part) for part in parts]
        return part

    call = getattr(F, function)
    given = built(arguments)

    def forward() -> Tensor:
        y = call(*given, **options)
        return y[0] if isinstance(y, tuple) else y  # a tuple: values and their places

    gy = Tensor(_random(*forward().shape))
    return lambda: grad(forward(), inputs, gy)


def joined(shape: Sequence[int], count: int) -> Step:
    """So many tensors side by side along their channels, and back to their ``.grad``, as a loss's backward() does."""
    xs = [Tensor(_random(*shape), requires_grad=True) for _ in range(count)]
    gy = Tensor(_random(*F.cat(xs, 1).shape))

    def step() -> list[Any]:
        for x in xs:
            x.grad = None
        F.cat(xs, 1).backward(gy)
        return [x.grad for x in xs]

    return step


def inception(shape: Sequence[int]) -> Step:
    """A module of four branches side by side forward, and back to its input and its parameters."""
    module = nets.inception(nn, F.cat)
    x = Tensor(_random(*shape), requires_grad=True)
    gy = Tensor(_random(*module(x).shape))
    inputs = [x, *module.parameters()]
    return lambda: grad(module(x), inputs, gy)


def regions(function: str, shape: Sequence[int], count: int) -> Step:
    """Boxes of a picture's maps, pooled to 7 x 7, forward and back: PyTorch itself has no such function."""
    x = Tensor(_random(*shape), requires_grad=True)
    corners = np.random.default_rng(0).random((count, 2, 2)) * np.multiply(shape[:1:-1], 16)
    image = np.arange(count)[:, None] % shape[0]
    boxes = np.concatenate([image, corners.min(1), corners.max(1)], 1).astype(np.float32)
    forward = lambda: getattr(F, function)(x, boxes, 7, 1 / 16)
    gy = Tensor(_random(*forward().shape))
    return lambda: grad(forward(), [x], gy)


def loss(kind: str, shape: Sequence[int]) -> Step:
    """A loss forward and backward, of labels or, where it takes none, of numbers."""
    module = getattr(nn, kind)()
    x = Tensor(_random(*shape), requires_grad=True)
    target = Tensor(np.zeros(shape, np.float32) if kind == "MSELoss" else np.arange(shape[0]) % shape[1])
    return lambda: grad(module(x, target), [x])


def optimizer(kind: str, count: int) -> Step:
    """A step of an optimiser for parameters like LeNet-5's: most of them in one array, and a few small ones."""
    parameters = [Tensor(_random(n), requires_grad=True) for n in (count - 9 * 100, *[100] * 9)]
    for p in parameters:
        p.grad = Tensor(_random(p.size))
    return getattr(optim, kind)(parameters, lr=1e-6, **({"momentum": 0.9} if kind == "SGD" else {})).step


def matmul(size: int) -> Step:
    """A product of square matrices, without recording."""
    a, b = _random(size, size), _random(size, size)
    return lambda: F.matmul(a, b)


def register_tile(tiles: int) -> Step:
    """So many register tiles: the peak of multiply-adds, which only we are held against."""
    return peak.register_tile(tiles)


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

    def step() -> dict[str, float]:
        tinygrad_cnn.manual_seed(seed)
        train_set, test_set = data.mnist("train", report=_silent), data.mnist("test", report=_silent)
        loader = data.DataLoader(train_set, batch, shuffle=True)
        model = nets.lenet(nn)
        optimizer = optim.Adam(model.parameters(), betas=betas)
        steps = epochs * len(loader)
        schedule = optim.OneCycleLR(optimizer, lr, steps, pct_start=rise, anneal_strategy=anneal)
        start = perf_counter()
        for _ in range(epochs):
            for x, labels in loader:
                loss = F.cross_entropy(model(x), labels, label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        trained = perf_counter()
        return {"training": trained - start, "accuracy": evaluate(model, test_set).accuracy}

    return step


def _silent(line: str) -> None:
    """Say nothing about where the data came from."""


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
