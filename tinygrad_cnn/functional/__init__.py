"""Operations on tensors, and on plain arrays: arrays in, arrays out.

Names, argument order and defaults are PyTorch's; where an axis is meant, ``dim`` and ``axis`` both work.
"""

from tinygrad_cnn.functional.elementwise import (
    abs,
    add,
    astype,
    clamp,
    clone,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    rdiv,
    rpow,
    rsub,
    sign,
    sqrt,
    sub,
    where,
)
from tinygrad_cnn.functional.linalg import linear, matmul, rmatmul
from tinygrad_cnn.functional.reduce import amax, amin, argmax, argmin, max, mean, min, prod, std, sum, var
from tinygrad_cnn.functional.shape import (
    SetItem,
    array_key,
    cat,
    expand,
    flatten,
    index,
    pad,
    permute,
    reshape,
    squeeze,
    stack,
    transpose,
    unsqueeze,
)

tanh = None
