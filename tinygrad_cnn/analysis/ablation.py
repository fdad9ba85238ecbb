"""Parts of a network put out of action for a while: what the rest makes of it says what they were good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.nn import Module
from tinygrad_cnn.state import generator_for, module_path, observe
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import op_name

MODES = ("zero", "mean", "shuffle", "noise")


@contextmanager
def ablate(
    model: Module,
    address: str | Iterable[str],
    mode: str = "zero",
    channels: Iterable[int] | None = None,
    generator: np.random.Generator | None = None,
) -> Iterator[None]:
    """Put something else in the place of a result, in every pass of the model inside the block.

    Addresses are those of a `trace`: a module (``"features.relu1"``, ``"layer1.0"``), a later use of it (``"relu#2"``),
    or a call of a function (``"layer1.0.add"``, ``"block.relu#2"``). The count begins anew with each pass. What reads
    the result (N, C, ...) sees other values in its place:

    - ``"zero"``: 0. No gradient passes.
    - ``"mean"``: the mean of the channel, over the batch and all positions. The gradient is dealt out evenly.
    - ``"shuffle"``: those of another image of the batch, the same one for all channels; none keeps its own. The
      gradient goes to the image that the value came from.
    - ``"noise"``: normal numbers with the mean and the deviation of the channel in the batch. No gradient passes.

    Where no gradient passes, what lies before the ablated part and reaches the loss on no other way has none: its
    ``.grad`` stays as it is. Nothing is left behind; parameters, buffers, modes and gradients are not touched.
    Meanwhile no other thread should run the model. In a `trace`, what was replaced shows in the inputs of later calls.

    Args:
        model: the network; addresses begin at it.
        address: one address or several.
        mode: what stands in the place of the result.
        channels: the indices along axis 1 that are replaced; None replaces all.
        generator: draws shuffles and noise; None is the default generator.

    Raises:
        KeyError: when the model has run: an address that it did not come by.
        ValueError: a mode that is none; a batch that cannot be shuffled, or whose mean is the value itself.
        TypeError: when the model runs: a result that is not one tensor of floats.
        IndexError: when the model runs: a channel that the result does not have.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU()})
    >>> x = np.ones((1, 1, 5, 4), np.float32)
    >>> with ablate(model, "conv", channels=[1]):
    ...     y = model(x)
    >>> bool(y[:, 1].any()), bool((y[:, 0] == model(x)[:, 0]).all())
    (False, True)
    """
    if not isinstance(model, Module):
        raise TypeError(f"ablate: model must be an nn.Module, got {type(model).__name__}")
    if mode not in MODES:
        raise ValueError(f"ablate: mode must be one of {', '.join(MODES)}, got {mode!r}")
    addresses = (address,) if isinstance(address, str) else tuple(address) if isinstance(address, Iterable) else ()
    if not addresses or not all(isinstance(each, str) for each in addresses):
        raise TypeError(f"ablate: address must be one of a call, or several, such as ['conv1'], got {address!r}")
    listed = None if channels is None else list(channels) if isinstance(channels, Iterable) else [None]
    if listed is not None and not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in listed):
        raise TypeError(f"ablate: channels must be a list of whole numbers, got {channels!r}")
    chosen = None if listed is None else np.array(listed, int)
    ablation = _Ablation(model, addresses, mode, chosen, generator_for("ablate", generator))
    with ExitStack() as stack:
        for path in {address.partition("#")[0] for address in addresses} & ablation.modules.keys():
            module = ablation.modules[path]
            stack.enter_context(_forward(module, ablation.around(path, module.forward)))
        stack.enter_context(_forward(model, ablation.passing(model.forward)))
        ablation.found = observe(ablation.saw)
        stack.callback(observe, ablation.found)
        yield


@contextmanager
def _forward(module: Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module compute by another function for a while."""
    before = vars(module).get("forward")
    # Assigned, not written into vars(): so a Sequential sees that its layers no longer run as one.
    module.forward = forward  # type: ignore[method-assign]  # an instance's function in the place of its class's
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before  # type: ignore[method-assign]  # the same, as it was found


class _Ablation:
    """What goes on while parts are ablated: counting what comes by, and replacing what was asked for."""

    def __init__(
        self, model: Module, addresses: tuple[str, ...], mode: str, channels: Any, generator: np.random.Generator
    ) -> None:
        self.modules = dict(model.named_modules())
        self.wanted = {a if "#" in a else f"{a}#1": a for a in addresses}
        self.mode, self.channels, self.generator = mode, channels, generator
        self.times = Counter[str]()
        self.inside, self.prefix = False, ""
        self.found: Any = None  # who observed before us

    def passing(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return the model's ``forward``, with a count that begins anew and a look at what was missed."""

        def one_pass(*args: Any, **kwargs: Any) -> Any:
            self.times, self.inside, self.prefix = Counter(), True, str(module_path.get())
            try:
                y = forward(*args, **kwargs)
            finally:
                self.inside = False
            for place, address in self.wanted.items():
                name, _, number = place.partition("#")
                if self.times[name] < (int(number) if number.isdigit() else np.inf):
                    raise KeyError(self.unknown(address))
            return y

        return one_pass

    def unknown(self, address: str) -> str:
        times = {name: n for name, n in self.times.items() if not self.is_layer(name.rpartition(".")[0])}
        calls = [f"{name}#{i}" if i > 1 else name for name, n in times.items() for i in range(1, n + 1)]
        names = list(dict.fromkeys([*filter(None, self.modules), *calls]))
        close = get_close_matches(address, names, 5) or names[:8]
        return f"ablate: the model did not come by {address!r}; there are {', '.join(close)}, ..."

    def is_layer(self, path: str) -> bool:
        """Say whether the module of this path has no parts, so that its operations go by its own name."""
        return bool(path) and path in self.modules and next(self.modules[path].children(), None) is None

    def around(self, path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return the ``forward`` of a module, whose result may be replaced."""

        def module_forward(*args: Any, **kwargs: Any) -> Any:
            y = forward(*args, **kwargs)
            return self.replaced(y) if self.count(path) else y

        return module_forward

    def saw(self, function: Function, inputs: tuple[Any, ...], output: Any) -> Any:
        """Count an operation, as the observer of the thread, and return what replaces its result, if anything."""
        y = None
        if self.inside:
            path = module_path.get()[len(self.prefix) :].lstrip(".")
            name = f"{path}.{op_name(function)}" if path else op_name(function)
            if self.count(name):
                y = self.replaced(output)
        told = None if self.found is None else self.found(function, inputs, output if y is None else y)
        return y if told is None else told

    def count(self, name: str) -> bool:
        """Note that this came by, and say whether it was wanted."""
        self.times[name] += 1
        return f"{name}#{self.times[name]}" in self.wanted

    def replaced(self, y: Any) -> Any:
        """Return what stands in the place of a result; nobody observes how it is made."""
        if not isinstance(y, (Tensor, np.ndarray)) or y.dtype.kind != "f":
            kind = getattr(y, "dtype", type(y).__name__)
            raise TypeError(
                f"ablate: a result to be replaced must be one tensor of floats, got {kind}; name a part of it"
            )
        found = observe(None)
        try:
            new = replacement(y, self.mode, self.generator)
            return new if self.channels is None else F.where(_mask(y.shape, self.channels), new, y)
        finally:
            observe(found)


def replacement(y: Any, mode: str, generator: np.random.Generator) -> Any:
    """Return what `ablate` puts in the place of a whole result (N, C, ...)."""
    array = y.data if isinstance(y, Tensor) else y
    if mode == "zero":
        return _like(y, np.zeros_like(array))
    axes = tuple(axis for axis in range(array.ndim) if axis != 1)
    if mode == "shuffle":
        if array.ndim == 0 or len(array) == 1:
            raise ValueError(f"ablate: mode 'shuffle' needs a batch of at least 2 images, got shape {array.shape}")
        cycle = generator.permutation(len(array))
        order = np.empty_like(cycle)
        order[cycle] = np.roll(cycle, 1)  # one cycle through all images: none keeps its place
        return F.index(y, order)
    if np.prod([array.shape[axis] for axis in axes]) == 1:
        raise ValueError(
            f"ablate: mode {mode!r} takes the mean of each channel over a batch and its positions; shape {array.shape} "
            "has one value in each. Use a larger batch, or mode 'zero'"
        )
    if mode == "mean":
        return F.expand(F.mean(y, axes, True), array.shape)
    exact = array.astype(np.float64)
    noise = generator.standard_normal(array.shape) * exact.std(axes, keepdims=True) + exact.mean(axes, keepdims=True)
    return _like(y, noise.astype(array.dtype))


def _like(y: Any, array: np.ndarray) -> Any:
    return Tensor(array) if isinstance(y, Tensor) else array


def _mask(shape: tuple[int, ...], channels: np.ndarray) -> np.ndarray:
    """Return True at these channels, in a shape that broadcasts over (N, C, ...)."""
    if len(shape) < 2:
        raise IndexError(f"ablate: a result of shape {shape} has no channels (axis 1)")
    if outside := [int(c) for c in channels if not -shape[1] <= c < shape[1]]:
        raise IndexError(f"ablate: channel {outside[0]} is none of the {shape[1]} of a result of shape {shape}")
    mask = np.zeros(shape[1], bool)
    mask[channels] = True
    return mask.reshape(-1, *(1,) * (len(shape) - 2))
