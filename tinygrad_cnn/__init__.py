"""tinygrad_cnn: automatic differentiation for convolutional networks."""

from tinygrad_cnn import functional
from tinygrad_cnn.autograd import Function, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
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
from tinygrad_cnn.state import get_num_threads, manual_seed, set_num_threads
from tinygrad_cnn.tensor import Tensor, grad
