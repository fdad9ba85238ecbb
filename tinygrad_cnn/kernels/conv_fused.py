"""A convolution and what follows it in a network: batch norm of evaluation, ReLU, 2x2 max pooling.

Where the images lie in the lanes of vectors (conv_lanes.py), all of it happens strip by strip in the cache, by offset
tables (conv.py) image by image, and only the last result is written to memory. Elsewhere, and where an image is dealt
to several threads, the kernels run one after the other. The bits are the same.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels import activation, buffers, conv_lanes, norm, pool_2x2, winograd
from tinygrad_cnn.kernels.conv import conv2d, convolve, route
from tinygrad_cnn.kernels.geometry import Padding, Pair


def conv2d_fused(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int, *,
    scale: np.ndarray | None = None, shift: np.ndarray | None = None, relu: bool = False, pool: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """Return (y, index): `conv2d`, then ``y * scale + shift`` for each map, ReLU and 2x2 max pooling, as far as asked.

    Scale and shift (O,) come together and are applied in float64. Index (uint8, None without pooling) says where in its
    window each maximum was found: 2 * row + column, or pool_2x2.NOWHERE where the ReLU left nothing of it.
    """
    m = winograd.choose(x.dtype, x.shape, w.shape, stride, padding, dilation, groups)
    way = route(x.shape, w.shape, x.dtype, stride, padding, dilation, groups)
    n, o, oh, ow = way.y
    shape = (n, o, oh // 2, ow // 2) if pool else way.y
    flat = way.flat if way.flat and (way.flat.pools if pool else way.flat.follows) else None
    if (way.by == "lanes" or flat) and not m and 0 not in shape:
        y, index = buffers.empty(shape, x.dtype), buffers.empty(shape if pool else (0,), pool_2x2.PLACE)
        a, c = (conv_lanes.NONE if norm is None else np.ascontiguousarray(norm, np.float64) for norm in (scale, shift))
        if flat:
            convolve(x, w, b, y, flat, index, a, c, relu)
        else:
            conv_lanes.convolve(False, x, w, b, y, way.window, groups, index, a, c, relu)
        return y, index if pool else None
    geometry = stride, padding, dilation, groups
    y = winograd.conv2d(x, w, b, padding, dilation, m) if m else conv2d(x, w, b, *geometry, way)
    if scale is not None and shift is not None:
        y = norm.scale_shift(y.reshape(n, o, oh * ow), scale, shift).reshape(y.shape)
    if pool:
        return pool_2x2.maximum(y, (oh // 2, ow // 2), relu)
    return activation.relu(y) if relu else y, None
