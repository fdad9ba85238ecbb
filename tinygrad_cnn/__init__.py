"""tinygrad_cnn: automatic differentiation for convolutional networks, readable and exact.

>>> from tinygrad_cnn import Tensor, nn, optim, functional as F
"""

from tinygrad_cnn import functional, nn, optim
from tinygrad_cnn.autograd import (
    Function,
    GradcheckError,
    enable_grad,
    grad,
    gradcheck,
    gradgradcheck,
    is_grad_enabled,
    no_derivative,
    no_grad,
    set_grad_enabled,
    zero_derivative,
)
from tinygrad_cnn.creation import (
    arange,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    rand,
    rand_like,
    randn,
    randn_like,
    tensor,
    zeros,
    zeros_like,
)
from tinygrad_cnn.state import get_num_threads, get_winograd, manual_seed, set_num_threads, set_winograd, strict_sizes
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import trace

__all__ = [
    "Function",
    "GradcheckError",
    "Tensor",
    "arange",
    "enable_grad",
    "eye",
    "full",
    "full_like",
    "functional",
    "get_num_threads",
    "get_winograd",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "manual_seed",
    "nn",
    "no_derivative",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "rand_like",
    "randn",
    "randn_like",
    "set_grad_enabled",
    "set_num_threads",
    "set_winograd",
    "strict_sizes",
    "tensor",
    "trace",
    "zero_derivative",
    "zeros",
    "zeros_like",
]
