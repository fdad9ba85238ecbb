"""The cases of convolution and pooling in one and three dimensions, of their inverses, of patches and of regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import BILINEAR, Case, apart, normal
from tinygrad_cnn.kernels.geometry import Window

# Image, x1, y1, x2, y2: one box reaches over the border, one has corners between pixels.
BOXES = np.array([[1, 0.7, 1.2, 5.1, 3.9], [0, -1.0, 2.0, 3.0, 8.0], [1, 2.5, 0.5, 2.0, 1.5]])
WINDOW = Window((2, 3), (2, 1), ((1, 0), (0, 2)), (1, 2))


def pyramid(x: Any) -> Any:
    """Pool in 1 x 1 and 2 x 2 bins."""
    return F.spatial_pyramid_pool(x, (1, 2))


def pyramid_reference(x: np.ndarray) -> np.ndarray:
    """Put the two levels side by side."""
    levels = (reference.adaptive_max_pool_nd(x, (n, n))[0] for n in (1, 2))
    return np.concatenate([level.reshape(len(x), -1) for level in levels], 1)


CONVOLUTION = (
    Case(
        "conv1d",
        lambda x, w, b: F.conv1d(x, w, b, 2, ((1, 2),), 2, 2),
        [normal(2, 4, 9), normal(6, 2, 3), normal(6)],
        BILINEAR,
        lambda x, w, b: reference.conv_nd(x, w, b, [2], [(1, 2)], [2], 2),
    ),
    Case(
        "conv3d",
        lambda x, w, b: F.conv3d(x, w, b, (2, 1, 1), (1, 0, 2), (1, 2, 1), 2),
        [normal(1, 4, 4, 5, 3), normal(2, 2, 2, 2, 3), normal(2)],
        BILINEAR,
        lambda x, w, b: reference.conv_nd(x, w, b, (2, 1, 1), ((1, 1), (0, 0), (2, 2)), (1, 2, 1), 2),
    ),
    Case(
        "conv_transpose1d",
        lambda x, w, b: F.conv_transpose1d(x, w, b, 3, 1, 2, 2, 2),
        [normal(2, 4, 3), normal(4, 3, 2), normal(6)],
        BILINEAR,
        lambda x, w, b: reference.conv_transpose_nd(x, w, b, [3], [(1, 1)], [2], 2, [2]),
    ),
    Case(
        "conv_transpose2d",
        lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 3), (1, 0), (1, 2)),
        [normal(2, 3, 3, 2), normal(3, 2, 3, 2), normal(2)],
        BILINEAR,
        lambda x, w, b: reference.conv_transpose_nd(x, w, b, (2, 3), ((1, 1), (0, 0)), (1, 2), 1, (1, 1)),
    ),
    Case(
        "conv_transpose3d",
        lambda x, w, b: F.conv_transpose3d(x, w, b, (2, 1, 2), (0, 1, 0), (1, 0, 0), 1, (1, 2, 1)),
        [normal(1, 2, 2, 3, 2), normal(2, 2, 2, 2, 3), normal(2)],
        BILINEAR,
        lambda x, w, b: reference.conv_transpose_nd(
            x, w, b, (2, 1, 2), ((0, 0), (1, 1), (0, 0)), (1, 0, 0), 1, (1, 2, 1)
        ),
    ),
    Case(
        "unfold",
        lambda x: F.unfold(x, (2, 3), (1, 2), ((1, 0), (0, 2)), (2, 1)),
        [normal(2, 2, 5, 6)],
        BILINEAR,
        lambda x: reference.unfold(x, WINDOW),
    ),
    Case(
        "fold",
        lambda x: F.fold(x, (5, 6), (2, 3), (1, 2), ((1, 0), (0, 2)), (2, 1)),
        [normal(2, 12, 12)],
        BILINEAR,
        lambda x: reference.fold(x, (2, 2, 5, 6), WINDOW),
    ),
)

POOLING = (
    Case(
        "max_pool1d",
        lambda x: F.max_pool1d(x, 3, 2, 1, 1, True, True),
        [apart(2, 2, 8)],
        reference=lambda x: reference.max_pool_nd(x, [3], [2], [1], [1], (5,)),
    ),
    Case(
        "max_pool3d",
        lambda x: F.max_pool3d(x, (2, 3, 2), (1, 2, 1), (1, 0, 0), (1, 1, 2), False, True),
        [apart(1, 2, 3, 5, 4)],
        reference=lambda x: reference.max_pool_nd(x, (2, 3, 2), (1, 2, 1), (1, 0, 0), (1, 1, 2), (4, 2, 2)),
    ),
    Case(
        "avg_pool1d",
        lambda x: F.avg_pool1d(x, 3, 2, 1, True, False),
        [normal(2, 2, 8)],
        BILINEAR,
        lambda x: reference.avg_pool_nd(x, [3], [2], [1], (5,), False, None),
    ),
    Case(
        "avg_pool3d",
        lambda x: F.avg_pool3d(x, (2, 3, 2), (1, 2, 3), (1, 1, 0), True),
        [normal(1, 2, 3, 4, 5)],
        BILINEAR,
        lambda x: reference.avg_pool_nd(x, (2, 3, 2), (1, 2, 3), (1, 1, 0), (4, 3, 2), True, None),
    ),
    Case(
        "adaptive_avg_pool1d",
        lambda x: F.adaptive_avg_pool1d(x, 3),
        [normal(2, 2, 7)],
        BILINEAR,
        lambda x: reference.adaptive_avg_pool_nd(x, (3,)),
    ),
    Case(
        "adaptive_avg_pool3d",
        lambda x: F.adaptive_avg_pool3d(x, (2, 3, 2)),
        [normal(1, 2, 3, 4, 5)],
        BILINEAR,
        lambda x: reference.adaptive_avg_pool_nd(x, (2, 3, 2)),
    ),
    Case(
        "adaptive_max_pool1d",
        lambda x: F.adaptive_max_pool1d(x, 3, True),
        [apart(2, 2, 7)],
        reference=lambda x: reference.adaptive_max_pool_nd(x, (3,)),
    ),
    Case(
        "adaptive_max_pool2d",
        lambda x: F.adaptive_max_pool2d(x, (3, 2), True),
        [apart(2, 2, 5, 7)],
        reference=lambda x: reference.adaptive_max_pool_nd(x, (3, 2)),
    ),
    Case(
        "adaptive_max_pool3d",
        lambda x: F.adaptive_max_pool3d(x, (2, 3, 2), True),
        [apart(1, 2, 3, 4, 5)],
        reference=lambda x: reference.adaptive_max_pool_nd(x, (2, 3, 2)),
    ),
    Case(
        "lp_pool1d",
        lambda x: F.lp_pool1d(x, 3, 2),
        [apart(2, 2, 6)],
        reference=lambda x: reference.lp_pool_nd(x, 3, [2], [2], (3,)),
    ),
    Case(
        "lp_pool2d",
        lambda x: F.lp_pool2d(x, 2, (2, 3), (2, 1), True),
        [normal(2, 2, 5, 4)],
        reference=lambda x: reference.lp_pool_nd(x, 2, (2, 3), (2, 1), (3, 2)),
    ),
    Case("spatial_pyramid_pool", pyramid, [apart(2, 2, 5, 3)], reference=pyramid_reference),
)

UNPOOLING = (
    Case(
        "max_unpool1d",
        lambda x: F.max_unpool1d(x, np.array([[[2, 0, 4]]]), 2),
        [normal(1, 1, 3)],
        BILINEAR,
        lambda x: np.insert(x[..., [1, 0, 2]], [1, 2, 3], 0, 2),
    ),
    Case(
        "max_unpool2d",
        lambda x: F.max_unpool2d(x, np.array([[[[0, 3, 3]]]]), 1, output_size=(1, 4), stride=2),  # the last 3 counts
        [normal(1, 1, 1, 3)],
        BILINEAR,
        lambda x: x[..., [0, 0, 0, 2]] * [1, 0, 0, 1],
    ),
    Case(
        "max_unpool3d",
        lambda x: F.max_unpool3d(x, np.array([[[[[1, 2]]]]]), (2, 1, 1)),
        [normal(1, 1, 1, 1, 2)],
        BILINEAR,
        lambda x: (x.reshape(-1)[[0, 0, 1, 0]] * [0, 1, 1, 0]).reshape(1, 1, 2, 1, 2),
    ),
)

REGIONS = (
    Case(
        "roi_pool",
        lambda x: F.roi_pool(x, BOXES, (2, 3), 0.9),
        [apart(2, 2, 5, 6)],
        reference=lambda x: reference.roi_pool(x, BOXES, (2, 3), 0.9),
    ),
    Case(
        "roi_align",
        lambda x: F.roi_align(x, BOXES, (2, 3), 0.9),
        [normal(2, 2, 5, 6)],
        BILINEAR,
        lambda x: reference.roi_align(x, BOXES, (2, 3), 0.9, -1, False),
    ),
    Case(
        "roi_align",
        lambda x: F.roi_align(x, BOXES, (3, 2), 1.1, 2, True),
        [normal(2, 2, 5, 6)],
        BILINEAR,
        lambda x: reference.roi_align(x, BOXES, (3, 2), 1.1, 2, True),
    ),
)

CASES = (*CONVOLUTION, *POOLING, *UNPOOLING, *REGIONS)
