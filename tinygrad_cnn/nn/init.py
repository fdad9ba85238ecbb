"""Initial values of parameters: PyTorch's `nn.init`. Every function writes its tensor and returns it.

Numbers are drawn in float64 and rounded, so that float32 and float64 models of one seed agree.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import generator_for
from tinygrad_cnn.tensor import Tensor

Generator = np.random.Generator

_GAINS = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights make up for what a nonlinearity takes from the variance.

    Args:
        nonlinearity: "linear", "conv2d", "sigmoid" (1), "tanh" (5/3), "relu" (sqrt 2) or "leaky_relu"
            (sqrt(2 / (1 + slope^2))).
        param: the slope of "leaky_relu", 0.01 where None.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"calculate_gain: unknown nonlinearity {nonlinearity!r}; use one of {sorted([*_GAINS, 'leaky_relu'])}"
        )
    return _GAINS[nonlinearity]


def _write(tensor: Tensor, values: np.ndarray | float) -> Tensor:
    with no_grad():
        return tensor.copy_(values)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with numbers drawn evenly from [a, b)."""
    if not a <= b:
        raise ValueError(f"uniform_: needs a <= b, got {a} and {b}")
    return _write(tensor, generator_for("init", generator).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers."""
    number("normal_", "std", std, 0)
    return _write(tensor, generator_for("init", generator).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> constant_(Tensor([1.0, 2.0]), 3.0)
    Tensor([3., 3.])
    """
    return _write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _write(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _write(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill evenly from ±gain * sqrt(6 / (fan_in + fan_out)): the variance stays, forward and backward.

    Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """
    bound = gain * math.sqrt(6 / sum(fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out)); see `xavier_uniform_`."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans("xavier_normal_", tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill evenly from ±gain * sqrt(3 / fan): the variance stays through layers with this nonlinearity.

    He et al., 2015, "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852.

    Args:
        tensor: a weight (O, I) or (O, I, KH, KW), written.
        a: the slope of "leaky_relu".
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: see `calculate_gain`.
        generator: where the numbers come from; the default generator where None.

    >>> w = kaiming_uniform_(Tensor(np.empty((2, 6))), nonlinearity="linear")
    >>> bool(abs(w).max() <= np.sqrt(3 / 6))
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers of standard deviation gain / sqrt(fan); see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{op}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(op, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def fans(op: str, tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out): how many inputs reach an output of a weight (O, I, ...), and the reverse."""
    if tensor.ndim < 2 or not tensor.size:
        raise ValueError(
            f"{op}: needs a weight (O, I) or (O, I, KH, KW) with elements, got shape {tensor.shape}; fill biases with "
            "zeros_() or uniform_()"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps
