"""Operations on tensors, and on plain arrays: arrays in, arrays out.

Names, argument order and defaults are PyTorch's; where an axis is meant, ``dim`` and ``axis`` both work.
"""

from tinygrad_cnn.functional.activation import leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from tinygrad_cnn.functional.arithmetic import (
    add,
    div,
    eq,
    ge,
    gt,
    le,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    pow,
    rdiv,
    rpow,
    rsub,
    sub,
)
from tinygrad_cnn.functional.arrangement import (
    chunk,
    flip,
    pixel_shuffle,
    pixel_unshuffle,
    repeat,
    roll,
    split,
    tile,
    unflatten,
)
from tinygrad_cnn.functional.contraction import einsum
from tinygrad_cnn.functional.conv import conv2d
from tinygrad_cnn.functional.dropout import dropout
from tinygrad_cnn.functional.elementwise import abs, astype, clamp, clone, exp, log, neg, sign, sqrt, where
from tinygrad_cnn.functional.extremum import amax, amin, argmax, argmin, max, min
from tinygrad_cnn.functional.indexing import SetItem as SetItem
from tinygrad_cnn.functional.indexing import array_key as array_key
from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.joining import cat, pad, stack
from tinygrad_cnn.functional.label import one_hot
from tinygrad_cnn.functional.linalg import bmm, linear, matmul, rmatmul
from tinygrad_cnn.functional.loss import cross_entropy, mse_loss, nll_loss
from tinygrad_cnn.functional.loss_binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    sigmoid_focal_loss,
    soft_margin_loss,
)
from tinygrad_cnn.functional.loss_difference import huber_loss, kl_div, l1_loss, smooth_l1_loss
from tinygrad_cnn.functional.loss_margin import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    pairwise_distance,
    triplet_margin_loss,
)
from tinygrad_cnn.functional.norm import batch_norm
from tinygrad_cnn.functional.picking import gather, scatter_add, take_along_axis
from tinygrad_cnn.functional.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygrad_cnn.functional.reduce import all, any, mean, prod, std, sum, var
from tinygrad_cnn.functional.resize import interpolate
from tinygrad_cnn.functional.sampling import grid_sample
from tinygrad_cnn.functional.shape import expand, flatten, permute, reshape, squeeze, transpose, unsqueeze
from tinygrad_cnn.functional.sorting import argsort, sort, topk
from tinygrad_cnn.functional.sums import cumsum, logsumexp, norm

__all__ = [
    "abs",
    "adaptive_avg_pool2d",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "astype",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bmm",
    "cat",
    "chunk",
    "clamp",
    "clone",
    "conv2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "cumsum",
    "div",
    "dropout",
    "einsum",
    "eq",
    "exp",
    "expand",
    "flatten",
    "flip",
    "gather",
    "ge",
    "grid_sample",
    "gt",
    "hinge_embedding_loss",
    "huber_loss",
    "index",
    "interpolate",
    "kl_div",
    "l1_loss",
    "le",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "logsumexp",
    "lt",
    "margin_ranking_loss",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mse_loss",
    "mul",
    "multi_margin_loss",
    "ne",
    "neg",
    "nll_loss",
    "norm",
    "one_hot",
    "pad",
    "pairwise_distance",
    "permute",
    "pixel_shuffle",
    "pixel_unshuffle",
    "pow",
    "prod",
    "rdiv",
    "relu",
    "repeat",
    "reshape",
    "rmatmul",
    "roll",
    "rpow",
    "rsub",
    "scatter_add",
    "sigmoid",
    "sigmoid_focal_loss",
    "sign",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "take_along_axis",
    "tanh",
    "tile",
    "topk",
    "transpose",
    "triplet_margin_loss",
    "unflatten",
    "unsqueeze",
    "var",
    "where",
]
