"""Every kernel once more, as plain NumPy loops: slow, short, and meant to be read.

The tests and ``python -m tinygrad_cnn check`` compare the kernels with these functions. Step through one with a
debugger to see what an operation does: the docstring holds the formula, the body follows it. Pairs are plain tuples,
stride=(SH, SW), padding=((top, bottom), (left, right)), dilation=(DH, DW). As in the kernels, arguments are taken to
be valid and are never written. Everything computes in float64 and answers in the dtype it was given.
"""

from tinygrad_cnn.reference.activation import (
    leaky_relu,
    leaky_relu_grad,
    masked,
    prelu,
    prelu_grad,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    tanh,
    tanh_grad,
)
from tinygrad_cnn.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad, patch_matrix
from tinygrad_cnn.reference.conv_nd import conv_nd, conv_transpose_nd, fold, unfold
from tinygrad_cnn.reference.curves import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    logsigmoid,
    mish,
    selu,
    silu,
    softplus,
    softsign,
)
from tinygrad_cnn.reference.linalg import linear, matmul
from tinygrad_cnn.reference.loss import cross_entropy, cross_entropy_grad, mse_loss, nll_loss
from tinygrad_cnn.reference.loss_pairs import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    kl_div,
    multi_margin_loss,
    pairwise_distance,
    sigmoid_focal_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from tinygrad_cnn.reference.norm import batch_norm, batch_norm_grad, batch_norm_statistics
from tinygrad_cnn.reference.norm_groups import (
    group_norm,
    group_norm_grad,
    local_response_norm,
    local_response_norm_grad,
)
from tinygrad_cnn.reference.pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_grad,
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
)
from tinygrad_cnn.reference.pool_bins import max_bins, max_bins_grad, point_bins, point_bins_grad, roi_align, roi_pool
from tinygrad_cnn.reference.pool_nd import (
    adaptive_avg_pool_nd,
    adaptive_max_pool_nd,
    avg_pool_nd,
    lp_pool_nd,
    max_pool_nd,
)
from tinygrad_cnn.reference.resize import interpolate, resize
from tinygrad_cnn.reference.sampling import grid_sample, sample, sample_input_grad, sample_weight_grad
from tinygrad_cnn.reference.softmax import log_softmax, log_softmax_grad, softmax, softmax_grad
from tinygrad_cnn.reference.update import adam, adamw, rmsprop, sgd

__all__ = [
    "adam",
    "adamw",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_grad",
    "adaptive_avg_pool_nd",
    "adaptive_max_pool_nd",
    "avg_pool2d",
    "avg_pool2d_grad",
    "avg_pool_nd",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_statistics",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_nd",
    "conv_transpose_nd",
    "cosine_similarity",
    "cross_entropy",
    "cross_entropy_grad",
    "elu",
    "fold",
    "gelu",
    "grid_sample",
    "group_norm",
    "group_norm_grad",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "interpolate",
    "kl_div",
    "leaky_relu",
    "leaky_relu_grad",
    "linear",
    "local_response_norm",
    "local_response_norm_grad",
    "log_softmax",
    "log_softmax_grad",
    "logsigmoid",
    "lp_pool_nd",
    "masked",
    "matmul",
    "max_bins",
    "max_bins_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool_nd",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "pairwise_distance",
    "patch_matrix",
    "point_bins",
    "point_bins_grad",
    "prelu",
    "prelu_grad",
    "relu",
    "relu_grad",
    "resize",
    "rmsprop",
    "roi_align",
    "roi_pool",
    "sample",
    "sample_input_grad",
    "sample_weight_grad",
    "selu",
    "sgd",
    "sigmoid",
    "sigmoid_focal_loss",
    "sigmoid_grad",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmax_grad",
    "softplus",
    "softsign",
    "tanh",
    "tanh_grad",
    "unfold",
]
