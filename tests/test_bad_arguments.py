"""Bad arguments, and what the package says: every message begins with the operation and names what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor, data, models, nn, optim, preprocess
from tinygrad_cnn import functional as F

nan = float("nan")
x, f32, half = np.ones((2, 3, 8, 9)), np.ones((2, 3, 8, 9), np.float32), np.ones((2, 3, 8, 9), np.float16)
w, line, vol = np.ones((4, 3, 3, 2)), np.ones((2, 3, 9)), np.ones((2, 3, 6, 8, 9))
v, ints, L = np.ones((2, 5)), np.ones((2, 5), int), [[1.0, 2.0], [3.0, 4.0]]
labels, boxes = np.array([0, 4]), np.array([[0, 0, 0, 4.0, 4]])
net = nn.Linear(3, 2)


def p() -> Tensor:
    return Tensor([1.0, 2.0], requires_grad=True)


def opt() -> optim.SGD:
    return optim.SGD([p()], lr=0.1)


# By what the message begins with: the call, the exception, and what the message says.
BAD: dict[str, list[tuple[Callable[[], Any], type[Exception], str]]] = {
    # convolutions and patches
    "conv2d": [
        (lambda: F.conv2d(L, w), TypeError, "needs a Tensor or an ndarray, got list"),
        (lambda: F.conv2d(x, w[:, :2]), ValueError, "input (2, 3, 8, 9) has 3 channels, weight"),
        (lambda: F.conv2d(x, w[0]), ValueError, "got shape (3, 3, 2)"),
        (lambda: F.conv2d(x[0, 0], w), ValueError, "got shape (8, 9)"),
        (lambda: F.conv2d(x, w.astype("f")), TypeError, "got input float64, weight float32"),
        (lambda: F.conv2d(half, w), TypeError, "got input float16, weight float64"),
        (lambda: F.conv2d(x.astype(int), w.astype(int)), TypeError, "got input int64, weight int64"),
        (lambda: F.conv2d(x, w, np.ones(3)), ValueError, "got (3,)"),
        (lambda: F.conv2d(x, w, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: F.conv2d(x, w, stride=(1, 2, 3)), ValueError, "got (1, 2, 3)"),
        (lambda: F.conv2d(x, w, stride=1.5), TypeError, "got 1.5"),
        (lambda: F.conv2d(x, w, stride=True), TypeError, "got True"),
        (lambda: F.conv2d(x, w, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: F.conv2d(x, w, padding="full"), ValueError, "got 'full'"),
        (lambda: F.conv2d(x, w, padding="same", stride=2), ValueError, "padding='same' needs stride 1, got (2, 2)"),
        (lambda: F.conv2d(x, w, padding=((1, 2), (3, -4))), ValueError, "got -4"),
        (lambda: F.conv2d(x, w, padding=10**9), ValueError, "2000000008"),
        (lambda: F.conv2d(x, w, dilation=0), ValueError, "dilation must be at least 1, got 0"),
        (lambda: F.conv2d(x, w, dilation=4), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.conv2d(x, w, groups=2), ValueError, "input (2, 3, 8, 9) has 3 channels, weight"),
        (lambda: F.conv2d(x, w, groups=0), ValueError, "groups must be at least 1, got 0"),
        (lambda: F.conv2d(x, w, groups=2.0), TypeError, "groups must be an int, got 2.0"),
        (lambda: F.conv2d(x, w, groups=True), TypeError, "groups must be an int, got True"),
        (lambda: F.conv2d(x, np.ones((4, 3, 10, 2))), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.conv2d(x, np.ones((4, 3, 0, 2))), ValueError, "kernel height must be at least 1, got 0"),
        (lambda: F.conv2d(x, None), ValueError, "got shape ()"),
        (lambda: F.conv2d(x, w, nan), TypeError, "got input float64, weight float64, bias"),
        (lambda: F.conv2d(x, w, 1), TypeError, "got input float64, weight float64, bias int"),
        (lambda: F.conv2d(x, w, stride="2"), TypeError, "got '2'"),
        (lambda: F.conv2d(x, w, stride=None), TypeError, "got None"),
        (lambda: F.conv2d(nan, w), TypeError, "needs a Tensor or an ndarray, got float"),
    ],
    "conv1d": [
        (lambda: F.conv1d(line, np.ones((4, 2, 3))), ValueError, "input (2, 3, 9) has 3 channels, weight (4"),
        (lambda: F.conv1d(line, np.ones((4, 3, 10))), ValueError, "image: length 9 + padding 0 + 0 = 9, but"),
        (lambda: F.conv1d(x, np.ones((4, 3, 3))), ValueError, "got shape (2, 3, 8, 9)"),
        (lambda: F.conv1d(line, np.ones((4, 3, 3)), stride=(1, 2)), ValueError, "stride must be one int, got (1, 2)"),
        (lambda: F.conv1d(L, np.ones((4, 3, 3))), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "conv3d": [
        (lambda: F.conv3d(vol, np.ones((4, 3, 7, 2, 2))), ValueError, "the image: depth 6 + padding 0 + 0 = 6, but"),
        (lambda: F.conv3d(vol, np.ones((4, 2, 2, 2, 2))), ValueError, "input (2, 3, 6, 8, 9) has 3 channels"),
        (lambda: F.conv3d(vol, np.ones((4, 3, 2, 2, 2)), padding=(1, 2)), ValueError, "got (1, 2)"),
        (lambda: F.conv3d(x, np.ones((4, 3, 2, 2, 2))), ValueError, "input (1, 2, 3, 8, 9) has 2 channels"),
    ],
    "conv_transpose1d": [
        (lambda: F.conv_transpose1d(line, np.ones((4, 2, 3))), ValueError, "input (2, 3, 9) has 3 channels, weight (4"),
    ],
    "conv_transpose2d": [
        (lambda: F.conv_transpose2d(x, np.ones((2, 4, 3, 3))), ValueError, "input (2, 3, 8, 9) has 3 channels, weight"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), output_padding=1), ValueError, "got 1 along the height,"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), output_padding=-1), ValueError, "got -1"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), padding=20), ValueError, "height (size - 1)*stride -"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), groups=2), ValueError, "input (2, 3, 8, 9) has 3"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), np.ones(3)), ValueError, "got (3,)"),
        (lambda: F.conv_transpose2d(x, np.ones((3, 4, 3, 3)), padding="same"), ValueError, "got 'same'"),
        (lambda: F.conv_transpose2d(L, np.ones((3, 4, 3, 3))), TypeError, "got input list, weight float64"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=2)(f32), ValueError, "got 2 along the height, where"),
    ],
    "conv_transpose3d": [
        (lambda: F.conv_transpose3d(vol, np.ones((2, 4, 3, 3, 3))), ValueError, "input (2, 3, 6, 8, 9) has 3 channels"),
    ],
    "unfold": [
        (lambda: F.unfold(x, 10), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.unfold(v, 2), ValueError, "got shape (2, 5)"),
        (lambda: F.unfold(L, 2), TypeError, "got input list"),
        (lambda: F.unfold(x, 2, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: F.unfold(x, True), TypeError, "got True"),
        (lambda: F.unfold(x.astype(int), 2), TypeError, "got input int64"),
    ],
    "fold": [
        (lambda: F.fold(np.ones((2, 12, 7)), (4, 5), (2, 3)), ValueError, "got input (2, 12, 7)"),
        (lambda: F.fold(np.ones((2, 13, 9)), (4, 5), (2, 3)), ValueError, "got input (2, 13, 9)"),
        (lambda: F.fold(np.ones((12,)), (4, 5), (2, 3)), ValueError, "got shape (12,)"),
        (lambda: F.fold(L, (4, 5), (2, 3)), TypeError, "got input list"),
        (lambda: F.fold(np.ones((2, 12, 9)), (4, -5), (2, 3)), ValueError, "output_size must be at least 1, got -5"),
    ],
    # pooling
    "max_pool2d": [
        (lambda: F.max_pool2d(L, 2), TypeError, "got input list"),
        (lambda: F.max_pool2d(v, 2), ValueError, "got (2, 5)"),
        (lambda: F.max_pool2d(x, 10), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.max_pool2d(x, 0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: F.max_pool2d(x, (2, 3, 4)), ValueError, "got (2, 3, 4)"),
        (lambda: F.max_pool2d(x, 3, padding=2), ValueError, "height padding 2 > 3 // 2, where"),
        (lambda: F.max_pool2d(x, 2, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: F.max_pool2d(x, 2.5), TypeError, "got 2.5"),
        (lambda: F.max_pool2d(x, True), TypeError, "got True"),
        (lambda: F.max_pool2d(x, 2, dilation=0), ValueError, "dilation must be at least 1, got 0"),
        (lambda: F.max_pool2d(x.astype(complex), 2), TypeError, "got input complex128"),
        (lambda: F.max_pool2d(x.astype(int), 2), TypeError, "got input int64"),
        (lambda: F.max_pool2d(half, 2), TypeError, "got input float16"),
        (lambda: F.max_pool2d(x, "2"), TypeError, "got '2'"),
        (lambda: F.max_pool2d(None, 2), TypeError, "got None"),
    ],
    "max_pool1d": [
        (lambda: F.max_pool1d(line, 10), ValueError, "image: length 9 + padding 0 + 0 = 9, but"),
        (lambda: F.max_pool1d(x, 2), ValueError, "got (2, 3, 8, 9)"),
    ],
    "max_pool3d": [
        (lambda: F.max_pool3d(vol, 7), ValueError, "the image: depth 6 + padding 0 + 0 = 6, but"),
        (lambda: F.max_pool3d(line, 2), ValueError, "got (2, 3, 9)"),
    ],
    "avg_pool1d": [
        (lambda: F.avg_pool1d(line, 10), ValueError, "image: length 9 + padding 0 + 0 = 9, but"),
    ],
    "avg_pool2d": [
        (lambda: F.avg_pool2d(L, 2), TypeError, "got input list"),
        (lambda: F.avg_pool2d(x, 10), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.avg_pool2d(x, 3, padding=2), ValueError, "height padding 2 > 3 // 2, where"),
        (lambda: F.avg_pool2d(x, 2, divisor_override=0), ValueError, "divisor_override must be at least 1, got 0"),
        (lambda: F.avg_pool2d(x, 2, divisor_override=1.5), TypeError, "divisor_override must be an int, got 1.5"),
        (lambda: F.avg_pool2d(x, 2, padding="same"), TypeError, "got 'same'"),
        (lambda: F.avg_pool2d(x.astype(int), 2), TypeError, "got input int64"),
        (lambda: nn.AvgPool2d(2, divisor_override=0)(x), ValueError, "divisor_override must be at least 1, got 0"),
    ],
    "avg_pool3d": [
        (lambda: F.avg_pool3d(vol, 7), ValueError, "the image: depth 6 + padding 0 + 0 = 6, but"),
    ],
    "lp_pool2d": [
        (lambda: F.lp_pool2d(x, 0, 2), ValueError, "got 0.0"),
        (lambda: F.lp_pool2d(x, nan, 2), ValueError, "norm_type must be a number, got nan"),
        (lambda: F.lp_pool2d(x, "2", 2), TypeError, "norm_type must be a number, got '2'"),
        (lambda: F.lp_pool2d(x, 2, 10), ValueError, "image: height 8 + padding 0 + 0 = 8, but"),
        (lambda: F.lp_pool2d(L, 2, 2), TypeError, "got input list"),
        (lambda: nn.LPPool2d(0, 2)(x), ValueError, "got 0.0"),
    ],
    "lp_pool1d": [
        (lambda: F.lp_pool1d(line, -1, 2), ValueError, "got -1.0"),
    ],
    "adaptive_avg_pool1d": [
        (lambda: F.adaptive_avg_pool1d(line, 0), ValueError, "output_size must be at least 1, got 0"),
    ],
    "adaptive_avg_pool2d": [
        (lambda: F.adaptive_avg_pool2d(x, 0), ValueError, "output_size must be at least 1, got 0"),
        (lambda: F.adaptive_avg_pool2d(x, (1, 2, 3)), ValueError, "got (1, 2, 3)"),
        (lambda: F.adaptive_avg_pool2d(x, 1.5), TypeError, "output_size must be an int, got 1.5"),
        (lambda: F.adaptive_avg_pool2d(x, True), TypeError, "output_size must be an int, got True"),
        (lambda: F.adaptive_avg_pool2d(v, 1), ValueError, "got (2, 5)"),
        (lambda: F.adaptive_avg_pool2d(L, 1), TypeError, "got input list"),
    ],
    "adaptive_avg_pool3d": [
        (lambda: F.adaptive_avg_pool3d(vol, (1, -2, 3)), ValueError, "output_size must be at least 1, got -2"),
        (lambda: F.adaptive_avg_pool3d(L, 1), TypeError, "got input list"),
    ],
    "adaptive_max_pool1d": [
        (lambda: F.adaptive_max_pool1d(line, (1, 2)), ValueError, "output_size must be one int, got (1, 2)"),
    ],
    "adaptive_max_pool2d": [
        (lambda: F.adaptive_max_pool2d(x, (0, 2)), ValueError, "output_size must be at least 1, got 0"),
        (lambda: F.adaptive_max_pool2d(L, 2), TypeError, "got input list"),
        (lambda: nn.AdaptiveMaxPool2d((1, 2, 3))(x), ValueError, "got (1, 2, 3)"),
    ],
    "adaptive_max_pool3d": [
        (lambda: F.adaptive_max_pool3d(x[0, 0], 2), ValueError, "got (8, 9)"),
        (lambda: F.adaptive_max_pool3d(L, 2), TypeError, "got input list"),
    ],
    "max_unpool2d": [
        (lambda: F.max_unpool2d(x, np.zeros((2, 3, 8, 8), int), 2), ValueError, "got (2, 3, 8, 8)"),
        (lambda: F.max_unpool2d(x, np.full(x.shape, 999), 2), IndexError, "indices reach from 999 to 999, an image of"),
        (lambda: F.max_unpool2d(x, np.full(x.shape, -1), 2), IndexError, "indices reach from -1 to -1, an image of"),
        (lambda: F.max_unpool2d(x, x, 2), TypeError, "got float64"),
        (lambda: F.max_unpool2d(x, np.zeros(x.shape, int), 2, output_size=(40, 50)), ValueError, "got (40, 50)"),
        (lambda: F.max_unpool2d(L, np.zeros((2, 2), int), 2), TypeError, "got input list"),
    ],
    "max_unpool1d": [
        (lambda: F.max_unpool1d(line, np.full(line.shape, 99), 2), IndexError, "indices reach from 99 to 99, an image"),
    ],
    "max_unpool3d": [
        (lambda: F.max_unpool3d(vol, np.full(vol.shape, 10**6), 2), IndexError, "indices reach from 1000000 to"),
    ],
    "spatial_pyramid_pool": [
        (lambda: F.spatial_pyramid_pool(x, (1, 0)), ValueError, "each level must be at least 1, got 0"),
        (lambda: F.spatial_pyramid_pool(x, ()), ValueError, "needs at least one level"),
        (lambda: F.spatial_pyramid_pool(x, 2), TypeError, "got 2"),
        (lambda: F.spatial_pyramid_pool(x, (1, 2), mode="sum"), ValueError, "got 'sum' and 'adaptive'"),
        (lambda: F.spatial_pyramid_pool(x, (1, 2), rule="other"), ValueError, "got 'max' and 'other'"),
        (lambda: F.spatial_pyramid_pool(x, (5,), rule="paper"), ValueError, "the paper, size 8 and level 5 give"),
        (lambda: F.spatial_pyramid_pool(v, (1, 2)), ValueError, "got (2, 5)"),
        (lambda: F.spatial_pyramid_pool(L, (1, 2)), TypeError, "got input list"),
    ],
    # boxes
    "roi_pool": [
        (lambda: F.roi_pool(x, boxes + 2 * np.eye(1, 5), 2), IndexError, "lies in image 2.0, the batch has images 0"),
        (lambda: F.roi_pool(x, np.array([[0.5, 0, 0, 4, 4]]), 2), IndexError, "lies in image 0.5, the batch has"),
        (lambda: F.roi_pool(x, np.array([[-1.0, 0, 0, 4, 4]]), 2), IndexError, "lies in image -1.0, the batch has"),
        (lambda: F.roi_pool(x, boxes[:, 1:], 2), ValueError, "got shape (1, 4)"),
        (lambda: F.roi_pool(x, [boxes[:, 1:]], 2), ValueError, "got 1 of shapes [(1, 4)]"),
        (lambda: F.roi_pool(x, [boxes, boxes], 2), ValueError, "got 2 of shapes [(1, 5), (1, 5)]"),
        (lambda: F.roi_pool(x, boxes * nan, 2), IndexError, "batch has images 0 to 1"),
        (lambda: F.roi_pool(x, np.array([[0, 0, 0, nan, 4]]), 2), ValueError, "the corners of boxes must be finite"),
        (lambda: F.roi_pool(x, np.array([[0, 0, 0, 1e6, 4]]), 2), ValueError, "corner lies at 1e+06 * spatial_scale 1"),
        (lambda: F.roi_pool(x, boxes, 0), ValueError, "output_size must be at least 1, got 0"),
        (lambda: F.roi_pool(x, boxes, (2, 2, 2)), ValueError, "got (2, 2, 2)"),
        (lambda: F.roi_pool(x, boxes, 2, spatial_scale=0), ValueError, "got 0"),
        (lambda: F.roi_pool(x, boxes, 2, spatial_scale=nan), ValueError, "got nan"),
        (lambda: F.roi_pool(x, boxes, 2, spatial_scale="1/16"), ValueError, "got '1/16'"),
        (lambda: F.roi_pool(x, boxes, 2, spatial_scale=True), ValueError, "got True"),
        (lambda: F.roi_pool(x[0], boxes, 2), ValueError, "got shape (3, 8, 9)"),
        (lambda: F.roi_pool(L, boxes, 2), TypeError, "got input list"),
        (lambda: F.roi_pool(x, None, 2), ValueError, "got shape ()"),
        (lambda: nn.RoIPool(2, -1.0)(x, boxes), ValueError, "got -1.0"),
    ],
    "roi_align": [
        (lambda: F.roi_align(x, np.array([[2.0, 0, 0, 4, 4]]), 2), IndexError, "lies in image 2.0, the batch has"),
        (lambda: F.roi_align(x, boxes, 2, sampling_ratio=1.5), TypeError, "sampling_ratio must be an int, got 1.5"),
        (lambda: F.roi_align(x, boxes, -1), ValueError, "output_size must be at least 1, got -1"),
        (lambda: F.roi_align(x, np.array([[0, 0, 0, np.inf, 4]]), 2), ValueError, "the corners of boxes must be"),
        (lambda: F.roi_align(x, boxes, 2, spatial_scale=-1), ValueError, "got -1"),
        (lambda: F.roi_align(x, boxes, 2, sampling_ratio=10**6), ValueError, "array of shape (1, 2, 2, 1000000,"),
    ],
    # normalisation
    "batch_norm": [
        (lambda: F.batch_norm(x, np.zeros(2), np.ones(3)), ValueError, "got (2,)"),
        (lambda: F.batch_norm(x, np.zeros(2), np.ones(2)), ValueError, "got (2,)"),
        (lambda: F.batch_norm(x), ValueError, "outside of training, running_mean and"),
        (lambda: F.batch_norm(x, training=True, weight=np.ones(2)), ValueError, "got (2,)"),
        (lambda: F.batch_norm(x, training=True, bias=np.ones(4)), ValueError, "got (4,)"),
        (lambda: F.batch_norm(x[:1, :, :1, :1], training=True), ValueError, "its variance is 0"),
        (lambda: F.batch_norm(x, training=True, eps=-1.0), ValueError, "got -1.0"),
        (lambda: F.batch_norm(x, training=True, eps=nan), ValueError, "got nan"),
        (lambda: F.batch_norm(x, np.zeros(3), np.ones(3), training=True, momentum="0.1"), TypeError, "got '0.1'"),
        (lambda: F.batch_norm(x, np.zeros(3), np.ones(3), training=True, momentum=nan), ValueError, "got nan"),
        (lambda: F.batch_norm(np.ones(5), training=True), ValueError, "needs shape (N, C) or (N, C, ...), got (5,)"),
        (lambda: F.batch_norm(x.astype(int), training=True), TypeError, "got input int64"),
        (lambda: F.batch_norm(L, training=True), TypeError, "got input list"),
        (lambda: F.batch_norm(x, np.zeros(3, "f"), np.ones(3, "f")), TypeError, "got input float64, running_mean"),
    ],
    "layer_norm": [
        (lambda: F.layer_norm(x, None), TypeError, "sizes must be ints, got (None,)"),
        (lambda: F.layer_norm(x, 8), ValueError, "normalized_shape (8,), at least one axis"),
        (lambda: F.layer_norm(x, (8, 8)), ValueError, "normalized_shape (8, 8), at least one axis"),
        (lambda: F.layer_norm(x, ()), ValueError, "the input must end in normalized_shape (),"),
        (lambda: F.layer_norm(x, 9.0), TypeError, "sizes must be ints, got (9.0,)"),
        (lambda: F.layer_norm(x, 9, np.ones(8)), ValueError, "got (8,)"),
        (lambda: F.layer_norm(x, 9, np.ones(9), np.ones(8)), ValueError, "got (8,)"),
        (lambda: F.layer_norm(x, 9, eps=-1), ValueError, "got -1"),
        (lambda: F.layer_norm(x, 9, eps=nan), ValueError, "got nan"),
        (lambda: F.layer_norm(L, 2), TypeError, "got input list"),
        (lambda: F.layer_norm(x, "9"), TypeError, "sizes must be ints, got ('9',)"),
        (lambda: F.layer_norm(x, True), ValueError, "normalized_shape (1,), at least one axis"),
    ],
    "group_norm": [
        (lambda: F.group_norm(x, 2), ValueError, "got (2, 3, 8, 9)"),
        (lambda: F.group_norm(x, 0), ValueError, "num_groups must be at least 1, got 0"),
        (lambda: F.group_norm(x, 1.5), TypeError, "num_groups must be an int, got 1.5"),
        (lambda: F.group_norm(x, True), TypeError, "num_groups must be an int, got True"),
        (lambda: F.group_norm(np.ones(4), 1), ValueError, "got (4,)"),
        (lambda: F.group_norm(x, 3, np.ones(4)), ValueError, "got (4,)"),
        (lambda: F.group_norm(L, 1), TypeError, "got input list"),
    ],
    "instance_norm": [
        (lambda: F.instance_norm(x[..., :1, :1]), ValueError, "its variance is 0"),
        (lambda: F.instance_norm(v), ValueError, "got (2, 5)"),
        (lambda: F.instance_norm(x, weight=np.ones(2)), ValueError, "got (2,)"),
        (lambda: F.instance_norm(x, use_input_stats=False), ValueError, "without use_input_stats, the running"),
        (lambda: F.instance_norm(L), ValueError, "got (2, 2)"),
    ],
    "local_response_norm": [
        (lambda: F.local_response_norm(x, 0), ValueError, "size must be at least 1, got 0"),
        (lambda: F.local_response_norm(x, 2.5), TypeError, "size must be an int, got 2.5"),
        (lambda: F.local_response_norm(x, True), TypeError, "size must be an int, got True"),
        (lambda: F.local_response_norm(x, 5, alpha=nan), ValueError, "alpha must be a number, got nan"),
        (lambda: F.local_response_norm(x, 5, k=nan), ValueError, "k must be at least 0, got nan"),
        (lambda: F.local_response_norm(x, 5, k=-1.0), ValueError, "k must be at least 0, got -1.0"),
        (lambda: F.local_response_norm(x, 5, beta="1"), TypeError, "beta must be a number, got '1'"),
        (lambda: F.local_response_norm(v[0], 5), ValueError, "needs shape (N, C, L) or more axes, got (5,)"),
        (lambda: F.local_response_norm(L, 5), TypeError, "got input list"),
    ],
    # dropout
    "dropout": [
        (lambda: F.dropout(x, 1.5), ValueError, "got 1.5"),
        (lambda: F.dropout(x, -0.1), ValueError, "got -0.1"),
        (lambda: F.dropout(x, nan), ValueError, "got nan"),
        (lambda: F.dropout(x, "half"), TypeError, "p must be a number from 0 to 1, got 'half'"),
        (lambda: F.dropout(x, 0.5, generator=0), TypeError, "got 0"),
        (lambda: F.dropout(L), TypeError, "got input list"),
        (lambda: F.dropout(ints), TypeError, "got input int64"),
    ],
    "dropout2d": [
        (lambda: F.dropout2d(v), ValueError, "needs shape (N, C, H, W), got (2, 5)"),
        (lambda: F.dropout2d(x, 2), ValueError, "got 2"),
        (lambda: F.dropout2d(L), TypeError, "got input list"),
    ],
    "dropout1d": [
        (lambda: F.dropout1d(x), ValueError, "needs shape (N, C, L), got (2, 3, 8, 9)"),
    ],
    "dropout3d": [
        (lambda: F.dropout3d(v), ValueError, "needs shape (N, C, D, H, W), got (2, 5)"),
    ],
    "alpha_dropout": [
        (lambda: F.alpha_dropout(x, 1.1, training=True), ValueError, "got 1.1"),
        (lambda: F.alpha_dropout(L, 0.5, training=True), TypeError, "got input list"),
    ],
    # activations
    "relu": [
        (lambda: F.relu(L), TypeError, "got input list"),
        (lambda: F.relu(ints), TypeError, "got input int64"),
    ],
    "leaky_relu": [
        (lambda: F.leaky_relu(L), TypeError, "got input list"),
        (lambda: F.leaky_relu(x, nan), ValueError, "negative_slope must be a number, got nan"),
        (lambda: F.leaky_relu(x, "0.1"), TypeError, "negative_slope must be a number, got '0.1'"),
    ],
    "prelu": [
        (lambda: F.prelu(x, np.ones(2)), ValueError, "got (2,)"),
        (lambda: F.prelu(L, np.ones(2)), TypeError, "got input list, weight float64"),
        (lambda: F.prelu(x, 0.25), TypeError, "got input float64, weight float"),
    ],
    "elu": [
        (lambda: F.elu(x, "a"), TypeError, "alpha must be a number, got 'a'"),
        (lambda: F.elu(x, nan), ValueError, "alpha must be a number, got nan"),
        (lambda: F.elu(L), TypeError, "got input list"),
    ],
    "celu": [
        (lambda: F.celu(x, 0), ValueError, "alpha divides the input and must not be 0"),
        (lambda: F.celu(x, nan), ValueError, "alpha must be a number, got nan"),
    ],
    "gelu": [
        (lambda: F.gelu(x, "erf"), ValueError, "got 'erf'"),
        (lambda: F.gelu(L), TypeError, "got input list"),
        (lambda: nn.GELU("erf")(x), ValueError, "got 'erf'"),
    ],
    "hardtanh": [
        (lambda: F.hardtanh(x, 2.0, 1.0), ValueError, "min_val 2.0 is larger than max_val 1.0"),
        (lambda: F.hardtanh(x, nan, 1.0), ValueError, "min_val must be a number, got nan"),
    ],
    "softplus": [
        (lambda: F.softplus(x, 0), ValueError, "beta divides the result and must not be 0"),
        (lambda: F.softplus(x, nan), ValueError, "beta must be a number, got nan"),
        (lambda: F.softplus(L), TypeError, "got input list"),
    ],
    "sigmoid": [
        (lambda: F.sigmoid(L), TypeError, "got input list"),
        (lambda: F.sigmoid(ints), TypeError, "got input int64"),
    ],
    "tanh": [
        (lambda: F.tanh(ints), TypeError, "got input int64"),
    ],
    "silu": [
        (lambda: F.silu(ints), TypeError, "got input int64"),
    ],
    "softmax": [
        (lambda: F.softmax(x, 4), IndexError, "dim 4 is out of range for 4 dimensions (-4"),
        (lambda: F.softmax(x, None), TypeError, "probabilities sum to 1 (classes of (N, C):"),
        (lambda: F.softmax(ints, 1), TypeError, "got input int64"),
        (lambda: F.softmax(L, 1), TypeError, "got input list"),
        (lambda: F.softmax(x, 1.0), TypeError, "dim must be an int, got 1.0"),
        (lambda: F.softmax(x, 1, axis=1), TypeError, "dim and axis are two names of one argument"),
    ],
    "log_softmax": [
        (lambda: F.log_softmax(x, -5), IndexError, "dim -5 is out of range for 4 dimensions (-4"),
        (lambda: F.log_softmax(L, 1), TypeError, "got input list"),
    ],
    "gumbel_softmax": [
        (lambda: F.gumbel_softmax(v, tau=0), ValueError, "the temperature tau must be above 0, got 0"),
        (lambda: F.gumbel_softmax(v, tau=nan), ValueError, "the temperature tau must be above 0, got nan"),
        (lambda: F.gumbel_softmax(v, dim=2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.gumbel_softmax(ints), TypeError, "got input int64"),
        (lambda: F.gumbel_softmax(v, generator=3), TypeError, "got 3"),
    ],
    # products
    "linear": [
        (lambda: F.linear(v, np.ones((4, 6))), ValueError, "got input (2, 5) and weight (4, 6)"),
        (lambda: F.linear(v, np.ones(5)), ValueError, "got input (2, 5) and weight (5,)"),
        (lambda: F.linear(v, np.ones((4, 5)), np.ones(5)), ValueError, "got (5,)"),
        (lambda: F.linear(v, np.ones((4, 5), "f")), TypeError, "got input float64, weight float32"),
        (lambda: F.linear(L, np.ones((4, 2))), TypeError, "got input list, weight float64"),
        (lambda: F.linear(v, [[1.0] * 5]), TypeError, "got input float64, weight list"),
        (lambda: net(np.ones((2, 4), "f")), ValueError, "got input (2, 4) and weight (2, 3)"),
        (lambda: net(np.ones((2, 3))), TypeError, "got input float64, weight float32, bias"),
        (lambda: net(L), ValueError, "got input (2, 2) and weight (2, 3)"),
        (lambda: net(Tensor(np.ones((2, 4), np.float32))), ValueError, "got input (2, 4) and weight (2, 3)"),
    ],
    "matmul": [
        (lambda: F.matmul(v, v), ValueError, "shapes (2, 5) and (2, 5): the last size of"),
        (lambda: F.matmul(np.float64(1), v), ValueError, "got shapes () and (2, 5)"),
        (
            lambda: F.matmul(np.ones((2, 3, 4)), np.ones((3, 4, 5))),
            ValueError,
            "leading sizes of (2, 3, 4) and (3, 4, 5)",
        ),
        (lambda: F.matmul(v, ints.T), TypeError, "got input float64, other int64"),
        (lambda: F.matmul(L, L), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "bmm": [
        (lambda: F.bmm(v, v), ValueError, "got (2, 5) and (2, 5)"),
        (lambda: F.bmm(np.ones((2, 3, 4)), np.ones((3, 4, 5))), ValueError, "got (2, 3, 4) and (3, 4, 5)"),
    ],
    "einsum": [
        (lambda: F.einsum("ij,jk->ik", v, v), ValueError, "'ij,jk->ik' for shapes [(2, 5), (2, 5)]:"),
        (lambda: F.einsum("ij->iz", v), ValueError, "'ij->iz': the result 'iz' must name axes of"),
        (lambda: F.einsum("ijk->i", v), ValueError, "name each of the 2 axes by a letter, or use"),
        (lambda: F.einsum("ij,jk", v), ValueError, "'ij,jk' has 2 terms for 1 operands"),
        (lambda: F.einsum(v, "ij"), TypeError, "needs an equation such as 'ij,jk->ik' and"),
        (lambda: F.einsum("i1->i", v), ValueError, "'i1->i': the term 'i1' must name each of"),
    ],
    # losses
    "cross_entropy": [
        (lambda: F.cross_entropy(v, np.array([0, 5])), IndexError, "label 5 at position (1,) is out of range:"),
        (lambda: F.cross_entropy(v, np.array([0, -1])), IndexError, "label -1 at position (1,) is out of range:"),
        (lambda: F.cross_entropy(v, np.array([0, 1, 2])), ValueError, "got (3,)"),
        (lambda: F.cross_entropy(v, np.array([0.0, 1.0])), TypeError, "probabilities of shape (2, 5)"),
        (lambda: F.cross_entropy(v, [0, 7]), IndexError, "label 7 at position (1,) is out of range:"),
        (lambda: F.cross_entropy(v, labels, np.ones(4)), ValueError, "got (4,)"),
        (lambda: F.cross_entropy(v, labels, reduction="avg"), ValueError, "got 'avg'"),
        (lambda: F.cross_entropy(v, labels, label_smoothing=1.5), ValueError, "got 1.5"),
        (lambda: F.cross_entropy(v, labels, label_smoothing=nan), ValueError, "got nan"),
        (lambda: F.cross_entropy(ints, labels), TypeError, "got input int64"),
        (lambda: F.cross_entropy(L, labels), TypeError, "got input list"),
        (lambda: F.cross_entropy(v, np.array([True, False])), TypeError, "labels must be integers, got bool"),
        (lambda: F.cross_entropy(v, np.ones((2, 4))), TypeError, "probabilities of shape (2, 5)"),
        (lambda: F.cross_entropy(v, v.astype("f")), TypeError, "got input float64, target float32"),
        (lambda: F.cross_entropy(v, labels, ignore_index=1.5), TypeError, "ignore_index must be an int, got 1.5"),
        (lambda: F.cross_entropy(v, None), ValueError, "got ()"),
    ],
    "nll_loss": [
        (lambda: F.nll_loss(v, np.array([0, 5])), IndexError, "label 5 at position (1,) is out of range:"),
        (lambda: F.nll_loss(v, np.array([0, 4, 2])), ValueError, "got (3,)"),
        (lambda: F.nll_loss(L, labels), TypeError, "got input list"),
    ],
    "mse_loss": [
        (lambda: F.mse_loss(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
        (lambda: F.mse_loss(v, np.ones(5)), ValueError, "input (2, 5) and target (5,) must have one"),
        (lambda: F.mse_loss(v, v.astype("f")), TypeError, "got input float64, target float32"),
        (lambda: F.mse_loss(v, v, reduction="batchmean"), ValueError, "got 'batchmean'"),
        (lambda: F.mse_loss(L, L), TypeError, "got input list, target list"),
        (lambda: F.mse_loss(v, 1.0), TypeError, "got input float64, target float"),
    ],
    "l1_loss": [
        (lambda: F.l1_loss(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
        (lambda: F.l1_loss(L, L), TypeError, "got input list, target list"),
    ],
    "smooth_l1_loss": [
        (lambda: F.smooth_l1_loss(v, v, beta=-1.0), ValueError, "beta must not be negative, got -1.0"),
        (lambda: F.smooth_l1_loss(v, v, beta=nan), ValueError, "beta must not be negative, got nan"),
    ],
    "huber_loss": [
        (lambda: F.huber_loss(v, v, delta=0), ValueError, "delta must be positive, got 0"),
        (lambda: F.huber_loss(v, v, delta=nan), ValueError, "delta must be positive, got nan"),
        (lambda: F.huber_loss(v, np.ones((5, 2))), ValueError, "input (2, 5) and target (5, 2) must have"),
        (lambda: nn.HuberLoss(delta=0)(v, v), ValueError, "delta must be positive, got 0"),
    ],
    "kl_div": [
        (lambda: F.kl_div(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
        (lambda: F.kl_div(v, v, reduction="max"), ValueError, "got 'max'"),
        (lambda: F.kl_div(L, L), TypeError, "got input list, target list"),
    ],
    "binary_cross_entropy": [
        (lambda: F.binary_cross_entropy(v * 2, v), ValueError, "got 2.0 to 2.0"),
        (lambda: F.binary_cross_entropy(v * nan, v), ValueError, "got nan to nan"),
        (lambda: F.binary_cross_entropy(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
        (lambda: F.binary_cross_entropy(v, ints), TypeError, "got input float64, target int64"),
        (lambda: F.binary_cross_entropy(v, v, weight=np.ones(3)), ValueError, "weight (3,) must broadcast to the"),
        (lambda: F.binary_cross_entropy(L, L), TypeError, "got input list, target list"),
    ],
    "binary_cross_entropy_with_logits": [
        (lambda: F.binary_cross_entropy_with_logits(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4)"),
        (lambda: F.binary_cross_entropy_with_logits(v, v, pos_weight=np.ones(4)), ValueError, "pos_weight (4,) must"),
        (
            lambda: F.binary_cross_entropy_with_logits(v, v, pos_weight=np.ones((3, 2, 5))),
            ValueError,
            "pos_weight (3, 2, 5)",
        ),
        (lambda: F.binary_cross_entropy_with_logits(v, v, pos_weight=[1.0] * 5), TypeError, "got input float64,"),
        (lambda: F.binary_cross_entropy_with_logits(v, v, pos_weight="2"), TypeError, "got input float64, pos_weight"),
        (lambda: F.binary_cross_entropy_with_logits(v, v, weight=np.ones(4)), ValueError, "weight (4,) must broadcast"),
        (lambda: F.binary_cross_entropy_with_logits(L, L), TypeError, "got input list, target list"),
    ],
    "sigmoid_focal_loss": [
        (lambda: F.sigmoid_focal_loss(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
        (lambda: F.sigmoid_focal_loss(v, v, alpha=2.0), ValueError, "got 2.0"),
        (lambda: F.sigmoid_focal_loss(v, v, gamma=-1), ValueError, "gamma must be at least 0, got -1"),
        (lambda: F.sigmoid_focal_loss(v, v, gamma=nan), ValueError, "gamma must be at least 0, got nan"),
        (lambda: F.sigmoid_focal_loss(v, v, alpha=nan), ValueError, "got nan"),
    ],
    "soft_margin_loss": [
        (lambda: F.soft_margin_loss(v, np.ones((2, 4))), ValueError, "input (2, 5) and target (2, 4) must have"),
    ],
    "margin_ranking_loss": [
        (lambda: F.margin_ranking_loss(v, v, np.ones((3, 5))), ValueError, "got (3, 5)"),
        (lambda: F.margin_ranking_loss(v, v, v, margin=nan), ValueError, "margin must be a number, got nan"),
    ],
    "hinge_embedding_loss": [
        (lambda: F.hinge_embedding_loss(v, np.ones((2, 4))), ValueError, "got (2, 4)"),
        (lambda: F.hinge_embedding_loss(v, np.zeros((2, 5))), ValueError, "target must hold 1 and -1 only, got 0.0"),
    ],
    "cosine_embedding_loss": [
        (lambda: F.cosine_embedding_loss(v, v, np.ones(3)), ValueError, "got (3,)"),
        (lambda: F.cosine_embedding_loss(v, np.ones((2, 4)), np.ones(2)), ValueError, "got (2, 5) and (2, 4)"),
        (lambda: F.cosine_embedding_loss(L, L, np.ones(2)), TypeError, "got input1 list, input2 list"),
    ],
    "cosine_similarity": [
        (lambda: F.cosine_similarity(v, np.ones((2, 4))), ValueError, "got x1 (2, 5), x2 (2, 4)"),
        (lambda: F.cosine_similarity(v, v, dim=2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.cosine_similarity(L, L), TypeError, "got x1 list, x2 list"),
        (lambda: F.cosine_similarity(v, v, eps=-1), ValueError, "eps must be at least 0, got -1"),
    ],
    "pairwise_distance": [
        (lambda: F.pairwise_distance(v, np.ones((2, 4))), ValueError, "got x1 (2, 5), x2 (2, 4)"),
        (lambda: F.pairwise_distance(v, v, p=nan), ValueError, "p must be at least 0, got nan"),
        (lambda: F.pairwise_distance(v, v, p=-1), ValueError, "p must be at least 0, got -1"),
        (lambda: F.pairwise_distance(v, v, eps=nan), ValueError, "eps must be a number, got nan"),
        (lambda: F.pairwise_distance(L, L), TypeError, "got x1 list, x2 list"),
    ],
    "triplet_margin_loss": [
        (lambda: F.triplet_margin_loss(v, v, np.ones((2, 4))), ValueError, "got anchor (2, 5), positive (2, 5)"),
        (lambda: F.triplet_margin_loss(v, v, v, p=nan), ValueError, "p must be at least 0, got nan"),
        (lambda: F.triplet_margin_loss(v, v, v, margin=-1.0), ValueError, "margin must be at least 0, got -1.0"),
        (lambda: F.triplet_margin_loss(v, v, v, margin=nan), ValueError, "margin must be at least 0, got nan"),
        (lambda: F.triplet_margin_loss(L, L, L), TypeError, "got anchor list, positive list, negative"),
    ],
    "multi_margin_loss": [
        (lambda: F.multi_margin_loss(v, np.array([0, 5])), IndexError, "label 5 at position (1,) is out of range:"),
        (lambda: F.multi_margin_loss(v, labels, p=3), ValueError, "p must be 1 or 2, got 3"),
        (lambda: F.multi_margin_loss(v, labels, weight=np.ones(4)), ValueError, "got (4,)"),
        (lambda: F.multi_margin_loss(L, np.array([0, 1])), TypeError, "got input list"),
        (lambda: F.multi_margin_loss(v, labels, margin=nan), ValueError, "margin must be a number, got nan"),
    ],
    # labels
    "one_hot": [
        (lambda: F.one_hot(np.array([3]), 3), IndexError, "label 3 at position (0,) is out of range:"),
        (lambda: F.one_hot(np.array([-1]), 3), IndexError, "label -1 at position (0,) is out of range:"),
        (lambda: F.one_hot(np.array([0.5]), 3), TypeError, "labels must be integers, got float64"),
        (lambda: F.one_hot(np.array([1]), 0), ValueError, "num_classes must be at least 1, got 0"),
        (lambda: F.one_hot(np.array([], int)), ValueError, "without labels the number of classes is"),
        (lambda: F.one_hot(np.array([1]), 2.5), TypeError, "num_classes must be an int, got 2.5"),
        (lambda: F.one_hot(np.array([1]), True), TypeError, "num_classes must be an int, got True"),
    ],
    # resizing and sampling
    "interpolate": [
        (lambda: F.interpolate(x, 4, mode="area"), ValueError, "got 'area'"),
        (lambda: F.interpolate(x, 4, mode="linear"), ValueError, "got 'linear'"),
        (lambda: F.interpolate(x, 4, mode=None), ValueError, "got None"),
        (lambda: F.interpolate(v, 4), ValueError, "got 'nearest'"),
        (lambda: F.interpolate(L, 4), TypeError, "got input list"),
        (lambda: F.interpolate(x), ValueError, "give either size or scale_factor"),
        (lambda: F.interpolate(x, 4, 2), ValueError, "give either size or scale_factor"),
        (lambda: F.interpolate(x, 0), ValueError, "got (0, 0)"),
        (lambda: F.interpolate(x, (4, 5, 6)), ValueError, "got (4, 5, 6)"),
        (lambda: F.interpolate(x, 4.5), TypeError, "got (4.5, 4.5)"),
        (lambda: F.interpolate(x, True), TypeError, "got (True, True)"),
        (lambda: F.interpolate(x, scale_factor=True), TypeError, "got (True, True)"),
        (lambda: F.interpolate(x, scale_factor=nan), ValueError, "got (nan, nan)"),
        (lambda: F.interpolate(x, scale_factor=-2), ValueError, "got (-2, -2)"),
        (lambda: F.interpolate(x, scale_factor=0.01), ValueError, "cannot make (0, 0) pixels of (8, 9)"),
        (lambda: F.interpolate(x, scale_factor=1e6), ValueError, "array of shape (2, 3, 8000000, 9000000)"),
        (lambda: F.interpolate(x, 4, align_corners=True), ValueError, "align_corners has no meaning for mode"),
        (lambda: F.interpolate(x, "4"), TypeError, "got ('4', '4')"),
        (lambda: F.interpolate(ints, 4), TypeError, "got input int64"),
        (lambda: nn.Upsample()(x), ValueError, "give either size or scale_factor"),
    ],
    "grid_sample": [
        (lambda: F.grid_sample(x, np.ones((1, 4, 4, 2))), ValueError, "got (2, 3, 8, 9) and (1, 4, 4, 2)"),
        (lambda: F.grid_sample(x, np.ones((2, 4, 4, 3))), ValueError, "got (2, 3, 8, 9) and (2, 4, 4, 3)"),
        (lambda: F.grid_sample(x, np.ones((2, 4, 4, 2)), mode="cubic"), NotImplementedError, "got 'cubic' and 'zeros'"),
        (
            lambda: F.grid_sample(x, np.ones((2, 4, 4, 2)), padding_mode="wrap"),
            NotImplementedError,
            "got 'bilinear' and",
        ),
        (lambda: F.grid_sample(x, np.ones((2, 4, 4, 2), "f")), TypeError, "got input float64, grid float32"),
        (lambda: F.grid_sample(v, np.ones((2, 4, 4, 2))), ValueError, "got (2, 5) and (2, 4, 4, 2)"),
        (lambda: F.grid_sample(L, np.ones((2, 4, 4, 2))), TypeError, "got input list, grid float64"),
    ],
    "pixel_shuffle": [
        (lambda: F.pixel_shuffle(x, 2), ValueError, "3 channels are no multiple of"),
        (lambda: F.pixel_shuffle(x, 0), ValueError, "the factor must be at least 1, got 0"),
        (lambda: F.pixel_shuffle(x, 1.5), TypeError, "the factor must be an int, got 1.5"),
        (lambda: F.pixel_shuffle(L, 2), TypeError, "needs a Tensor or an ndarray, got list"),
        (lambda: nn.PixelShuffle(0)(x), ValueError, "the factor must be at least 1, got 0"),
    ],
    "pixel_unshuffle": [
        (lambda: F.pixel_unshuffle(x, 2), ValueError, "height 8 and width 9 must be multiples of 2"),
        (lambda: F.pixel_unshuffle(x, True), TypeError, "the factor must be an int, got True"),
    ],
    # joining, cutting, moving
    "pad": [
        (lambda: F.pad(x, (1,)), ValueError, "got (1,)"),
        (lambda: F.pad(x, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)), ValueError, "got (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"),
        (lambda: F.pad(x, (1, 2), mode="mirror"), NotImplementedError, "mode 'mirror' is not implemented"),
        (lambda: F.pad(x, (9, 0), mode="reflect"), NotImplementedError, "mode 'reflect' is not implemented"),
        (lambda: F.pad(x, (-10, 0)), ValueError, "padding (-10, 0) would leave an axis of"),
        (lambda: F.pad(x, (1.5, 0)), TypeError, "each width must be an int, got 1.5"),
        (lambda: F.pad(x, 1), ValueError, "got (1,)"),
        (lambda: F.pad(x, (True, 1)), TypeError, "each width must be an int, got True"),
    ],
    "cat": [
        (lambda: F.cat([x, v]), ValueError, "got shapes [(2, 3, 8, 9), (2, 5)]"),
        (lambda: F.cat([]), ValueError, "needs at least one tensor"),
        (lambda: F.cat([x, x], 4), IndexError, "dim 4 is out of range for 4 dimensions (-4"),
        (lambda: F.cat([x, x[:, :2]], 0), ValueError, "got shapes [(2, 3, 8, 9), (2, 2, 8, 9)]"),
        (lambda: F.cat([L, L]), TypeError, "needs a Tensor or an ndarray, got list"),
        (lambda: F.cat([1.0, 2.0]), TypeError, "needs a Tensor or an ndarray, got float"),
    ],
    "stack": [
        (lambda: F.stack([v, v[:1]]), ValueError, "got [(2, 5), (1, 5)]"),
        (lambda: F.stack([]), ValueError, "needs at least one tensor"),
        (lambda: F.stack([v, v], 4), IndexError, "dim 4 is out of range for 3 dimensions (-3"),
        (lambda: F.stack([L, L]), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "split": [
        (lambda: F.split(v, 0), ValueError, "got 0"),
        (lambda: F.split(v, [1, 2], 1), ValueError, "sizes (1, 2) must be >= 0 and add up to 5"),
        (lambda: F.split(v, 2, 3), IndexError, "dim 3 is out of range for 2 dimensions (-2"),
        (lambda: F.split(v, True), TypeError, "the size of a piece must be an int, got True"),
    ],
    "chunk": [
        (lambda: F.chunk(v, 0), ValueError, "chunks must be at least 1, got 0"),
        (lambda: F.chunk(v, True), TypeError, "chunks must be an int, got True"),
    ],
    "tile": [
        (lambda: F.tile(v, (-1, 2)), ValueError, "counts must not be negative, got (-1, 2)"),
    ],
    "repeat": [
        (lambda: F.repeat(v, 2), ValueError, "got (2,)"),
        (lambda: F.repeat(v, -1, 1), ValueError, "counts must not be negative, got (-1, 1)"),
    ],
    "flip": [
        (lambda: F.flip(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.flip(v, 0, 0), ValueError, "dim [0, 0] names an axis twice"),
    ],
    "roll": [
        (lambda: F.roll(v, (1, 2), 0), ValueError, "got shifts (1, 2) for dims (0,)"),
        (lambda: F.roll(v, 1.5, 0), TypeError, "sizes must be ints, got (1.5,)"),
    ],
    "unflatten": [
        (lambda: F.unflatten(v, 1, (2, 3)), ValueError, "dim 1 has size 5, which (2, 3) do not fill"),
        (lambda: nn.Unflatten(1, (2, 3))(v), ValueError, "dim 1 has size 5, which (2, 3) do not fill"),
    ],
    "reshape": [
        (lambda: F.reshape(v, 3, 4), ValueError, "shape (2, 5) has 10 elements, which do not"),
        (lambda: F.reshape(v, -1, -1), ValueError, "shape (2, 5) has 10 elements, which do not"),
        (lambda: F.reshape(v, 2.0, 5), TypeError, "sizes must be ints, got (2.0, 5)"),
        (lambda: F.reshape(L, 4), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "flatten": [
        (lambda: F.flatten(v, 1, 0), ValueError, "start_dim 1 comes after end_dim 0 in shape"),
        (lambda: F.flatten(v, 5), IndexError, "dim 5 is out of range for 2 dimensions (-2"),
        (lambda: nn.Flatten(2, 1)(x), ValueError, "start_dim 2 comes after end_dim 1 in shape"),
    ],
    "permute": [
        (lambda: F.permute(v, 0, 0), ValueError, "dims (0, 0) must name each of the 2 axes"),
        (lambda: F.permute(v, 0), ValueError, "dims (0,) must name each of the 2 axes once"),
        (lambda: F.permute(L, 1, 0), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "transpose": [
        (lambda: F.transpose(v, 0, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.transpose(L, 0, 1), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "squeeze": [
        (lambda: F.squeeze(v, 3), IndexError, "dim 3 is out of range for 2 dimensions (-2"),
        (lambda: F.squeeze(L), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "unsqueeze": [
        (lambda: F.unsqueeze(v, 4), IndexError, "dim 4 is out of range for 3 dimensions (-3"),
    ],
    "expand": [
        (lambda: F.expand(v, 3, 5), ValueError, "shape (2, 5) does not broadcast to (3, 5):"),
        (lambda: F.expand(v, 5), ValueError, "shape (2, 5) does not broadcast to (5,):"),
        (lambda: F.expand(L, 2, 2), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    # picking and order
    "gather": [
        (lambda: F.gather(v, 1, np.array([[5]])), IndexError, "index 5 is out of range: dim 1 has size 5"),
        (lambda: F.gather(v, 1, np.array([[0.5]])), TypeError, "index must hold integers, got float64"),
        (lambda: F.gather(v, 1, np.array([0])), ValueError, "index (1,) must have as many axes as the"),
        (lambda: F.gather(v, 2, ints), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.gather(L, 1, ints), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "scatter_add": [
        (lambda: F.scatter_add(v, 1, ints * 7, v), IndexError, "index 7 is out of range: dim 1 has size 5"),
        (lambda: F.scatter_add(v, 1, ints, v[:, :2]), ValueError, "src (2, 2) must be at least as large as"),
    ],
    "take_along_axis": [
        (lambda: F.take_along_axis(v, ints * 9, 1), IndexError, "index 9 is out of range: dim 1 has size 5"),
    ],
    "sort": [
        (lambda: F.sort(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.sort(L), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "argsort": [
        (lambda: F.argsort(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
    ],
    "topk": [
        (lambda: F.topk(v, 6), ValueError, "got 6"),
        (lambda: F.topk(v, -1), ValueError, "k must be at least 0, got -1"),
        (lambda: F.topk(v, True), TypeError, "k must be an int, got True"),
        (lambda: F.topk(v, 2.0), TypeError, "k must be an int, got 2.0"),
        (lambda: F.topk(v, 1, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.topk(L, 1), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    # sums and reductions
    "cumsum": [
        (lambda: F.cumsum(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.cumsum(L, 0), TypeError, "needs a Tensor or an ndarray, got list"),
        (lambda: F.cumsum(v), TypeError, "dim must be an int, got None"),
    ],
    "logsumexp": [
        (lambda: F.logsumexp(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.logsumexp(ints, 0), TypeError, "got input int64"),
        (lambda: F.logsumexp(L, 0), TypeError, "got input list"),
    ],
    "norm": [
        (lambda: F.norm(v, nan), NotImplementedError, "p must be a number or 'fro', got nan"),
        (lambda: F.norm(v, "nuc"), NotImplementedError, "p must be a number or 'fro', got 'nuc'"),
        (lambda: F.norm(ints), TypeError, "got input int64"),
        (lambda: F.norm(L), TypeError, "got input list"),
    ],
    "sum": [
        (lambda: F.sum(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.sum(v, (0, 0)), ValueError, "dim (0, 0) names an axis twice"),
        (lambda: F.sum(v, 0.5), TypeError, "dim must be an int, got 0.5"),
        (lambda: F.sum(v, 0, axis=1), TypeError, "dim and axis are two names of one argument"),
    ],
    "mean": [
        (lambda: F.mean(ints), TypeError, "needs a float tensor, got int64"),
        (lambda: F.mean(v, 5), IndexError, "dim 5 is out of range for 2 dimensions (-2"),
        (lambda: F.mean(L), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "var": [
        (lambda: F.var(v, 0, correction="a"), TypeError, "correction must be a number, got 'a'"),
        (lambda: F.var(v, 3), IndexError, "dim 3 is out of range for 2 dimensions (-2"),
    ],
    "std": [
        (lambda: F.std(ints), TypeError, "needs a float tensor, got int64"),
    ],
    "prod": [
        (lambda: F.prod(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
    ],
    "max": [
        (lambda: F.max(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.max(np.ones((0, 2))), ValueError, "choose from: shape (0, 2) is empty along"),
    ],
    "amax": [
        (lambda: F.amax(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
    ],
    "argmax": [
        (lambda: F.argmax(v, 2), IndexError, "dim 2 is out of range for 2 dimensions (-2"),
        (lambda: F.argmax(np.ones((0, 2))), ValueError, "choose from: shape (0, 2) is empty along"),
    ],
    "clamp": [
        (lambda: F.clamp(v), ValueError, "give at least one of min and max"),
        (lambda: F.clamp(v, "a"), TypeError, "min must be a number or None, got str"),
        (lambda: F.clamp(v, np.ones(4)), TypeError, "min must be a number or None, got ndarray"),
    ],
    "where": [
        (lambda: F.where(v, v, v), TypeError, "got float64"),
        (lambda: F.where(v > 0, v, np.ones(4)), ValueError, "shapes [(2, 5), (2, 5), (4,)] do not"),
    ],
    "astype": [
        (lambda: F.astype(v, np.float16), TypeError, "float16 is not supported"),
        (lambda: F.astype(v, "words"), TypeError, "'words' is no dtype"),
    ],
    # element-wise operators
    "Add": [
        (lambda: F.add(v, np.ones(4)), ValueError, "shapes (2, 5) and (4,) do not broadcast:"),
        (lambda: F.add(v, None), TypeError, "cannot combine float64 and NoneType:"),
    ],
    "Mul": [
        (lambda: Tensor(v) * np.ones(4), ValueError, "shapes (2, 5) and (4,) do not broadcast:"),
    ],
    "Div": [
        (lambda: Tensor(v) / "2", TypeError, "cannot combine float64 and str: ufunc"),
    ],
    "Maximum": [
        (lambda: F.maximum(v, np.ones(4)), ValueError, "shapes (2, 5) and (4,) do not broadcast:"),
    ],
    "Pow": [
        (lambda: F.pow(v, "2"), TypeError, "cannot combine float64 and str: ufunc"),
    ],
    "Exp": [
        (lambda: F.exp(L), TypeError, "needs a Tensor or an ndarray, got list"),
    ],
    "Sqrt": [
        (lambda: F.sqrt("4"), TypeError, "needs a Tensor or an ndarray, got str"),
    ],
    # layers
    "Conv2d": [
        (lambda: nn.Conv2d(0, 4, 3), ValueError, "in_channels must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, -4, 3), ValueError, "out_channels must be at least 1, got -4"),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "got in_channels 3, out_channels 4 and"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "got in_channels 4, out_channels 3 and"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, "got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-2), ValueError, "padding must be at least 0, got -2"),
        (lambda: nn.Conv2d(True, 4, 3), TypeError, "in_channels must be an int, got True"),
        (lambda: nn.Conv2d(3.0, 4, 3), TypeError, "in_channels must be an int, got 3.0"),
    ],
    "Conv1d": [
        (lambda: nn.Conv1d(3, 4, (3, 3)), ValueError, "kernel_size must be one int, got (3, 3)"),
    ],
    "Conv3d": [
        (lambda: nn.Conv3d(3, 4, (3, 3)), ValueError, "got (3, 3)"),
    ],
    "ConvTranspose2d": [
        (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), ValueError, "got in_channels 3, out_channels 4 and"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), ValueError, "padding must be numbers, got 'same'"),
    ],
    "Linear": [
        (lambda: nn.Linear(0, 2), ValueError, "in_features must be at least 1, got 0"),
        (lambda: nn.Linear(3, 2.5), TypeError, "out_features must be an int, got 2.5"),
        (lambda: nn.Linear(3, True), TypeError, "out_features must be an int, got True"),
        (lambda: models.LeNet5(0), ValueError, "out_features must be at least 1, got 0"),
        (lambda: models.LeNet5(2.5), TypeError, "out_features must be an int, got 2.5"),
    ],
    "BatchNorm2d": [
        (lambda: nn.BatchNorm2d(0), ValueError, "num_features must be at least 1, got 0"),
        (lambda: nn.BatchNorm2d(3)(f32[0]), ValueError, "got shape (3, 8, 9)"),
        (lambda: nn.BatchNorm2d(3, eps=-1), ValueError, "eps must be positive, got -1"),
        (lambda: nn.BatchNorm2d(3, momentum="a"), TypeError, "momentum must be a number, got 'a'"),
        (lambda: nn.BatchNorm2d(3, momentum=nan), ValueError, "momentum must be a number, got nan"),
        (lambda: nn.BatchNorm2d(True), TypeError, "num_features must be an int, got True"),
    ],
    "BatchNorm1d": [
        (lambda: nn.BatchNorm1d(3)(f32), ValueError, "got shape (2, 3, 8, 9)"),
    ],
    "LayerNorm": [
        (lambda: nn.LayerNorm(0), ValueError, "normalized_shape must be at least 1, got 0"),
        (lambda: nn.LayerNorm(None), TypeError, "normalized_shape must be an int, got None"),
        (lambda: nn.LayerNorm((3, -1)), ValueError, "normalized_shape must be at least 1, got -1"),
    ],
    "GroupNorm": [
        (lambda: nn.GroupNorm(2, 3), ValueError, "num_channels 3 must be divisible by"),
        (lambda: nn.GroupNorm(0, 3), ValueError, "num_groups must be at least 1, got 0"),
    ],
    "InstanceNorm2d": [
        (lambda: nn.InstanceNorm2d(0), ValueError, "num_features must be at least 1, got 0"),
        (lambda: nn.InstanceNorm2d(3)(f32[0, 0]), ValueError, "got shape (8, 9)"),
    ],
    "LocalResponseNorm": [
        (lambda: nn.LocalResponseNorm(0), ValueError, "size must be at least 1, got 0"),
    ],
    "MaxPool2d": [
        (lambda: nn.MaxPool2d(0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError, "got padding 2 for a window of height 3"),
        (lambda: nn.MaxPool2d((2, 3, 4)), ValueError, "got (2, 3, 4)"),
    ],
    "AdaptiveAvgPool2d": [
        (lambda: nn.AdaptiveAvgPool2d(0), ValueError, "output_size must be at least 1, got 0"),
    ],
    "MaxUnpool2d": [
        (lambda: nn.MaxUnpool2d(0), ValueError, "kernel_size must be at least 1, got 0"),
    ],
    "RoIPool": [
        (lambda: nn.RoIPool(0, 1.0), ValueError, "output_size must be at least 1, got 0"),
    ],
    "Dropout": [
        (lambda: nn.Dropout(1.5), ValueError, "p is a probability, from 0 to 1"),
        (lambda: nn.Dropout("half"), ValueError, "p is a probability, from 0 to 1"),
    ],
    "Dropout2d": [
        (lambda: nn.Dropout2d(nan), ValueError, "p is a probability, from 0 to 1"),
    ],
    "Unfold": [
        (lambda: nn.Unfold(0), ValueError, "kernel_size must be at least 1, got 0"),
    ],
    "Fold": [
        (lambda: nn.Fold((4, 5), 0), ValueError, "kernel_size must be at least 1, got 0"),
    ],
    "Softmax": [
        (lambda: nn.Softmax(None), TypeError, "dim must be an int, got None"),
        (lambda: nn.Softmax(1.5), TypeError, "dim must be an int, got 1.5"),
    ],
    "PReLU": [
        (lambda: nn.PReLU(0), ValueError, "num_parameters must be at least 1, got 0"),
    ],
    "CrossEntropyLoss": [
        (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing must lie in [0, 1], got 2"),
    ],
    "MSELoss": [
        (lambda: nn.MSELoss(reduction="avg"), ValueError, "got 'avg'"),
    ],
    "Sequential": [
        (lambda: nn.Sequential(3), TypeError, "holds modules, got int"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, "holds modules, got the class ReLU"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, "holds modules, got list"),
    ],
    "ModuleList": [
        (lambda: nn.ModuleList([1]), TypeError, "holds modules, got int"),
    ],
    "load_state_dict": [
        (lambda: net.load_state_dict({}), ValueError, "missing in the state dict: "),
        (
            lambda: net.load_state_dict({"weight": np.ones((2, 4), "f"), "bias": np.ones(2, "f")}),
            ValueError,
            "weight: float32 (2, 4)",
        ),
    ],
    "kaiming_uniform_": [
        (lambda: nn.init.kaiming_uniform_(Tensor([1.0])), ValueError, "got shape (1,)"),
    ],
    "kaiming_normal_": [
        (lambda: nn.init.kaiming_normal_(net.weight, mode="fan"), ValueError, "got 'fan'"),
    ],
    "calculate_gain": [
        (lambda: nn.init.calculate_gain("curve"), ValueError, "unknown nonlinearity 'curve'"),
    ],
    "normal_": [
        (lambda: nn.init.normal_(net.weight, std=-1.0), ValueError, "std must be at least 0, got -1.0"),
    ],
    "uniform_": [
        (lambda: nn.init.uniform_(net.weight, 2, 1), ValueError, "needs a <= b, got 2 and 1"),
    ],
    "init": [
        (lambda: nn.Conv2d(3, 4, 3, generator=1), TypeError, "got 1"),
    ],
    # optimisers and schedules
    "SGD": [
        (lambda: optim.SGD([], lr=0.1), ValueError, "got no parameters"),
        (lambda: optim.SGD(p(), lr=0.1), TypeError, "got one Tensor"),
        (lambda: optim.SGD([v], lr=0.1), TypeError, "parameter 0 is a ndarray, not a tensor"),
        (lambda: optim.SGD([p()], lr=-0.1), ValueError, "lr must be at least 0, got -0.1"),
        (lambda: optim.SGD([p()], lr=nan), ValueError, "lr must be at least 0, got nan"),
        (lambda: optim.SGD([p()], lr="0.1"), TypeError, "lr must be a number, got '0.1'"),
        (lambda: optim.SGD([p()], lr=0.1, momentum=-1), ValueError, "momentum must be at least 0, got -1"),
        (lambda: optim.SGD([p()], lr=0.1, nesterov=True), ValueError, "got momentum 0.0 and dampening 0.0"),
        (lambda: optim.SGD([p()], lr=0.1, weight_decay=-1), ValueError, "weight_decay must be at least 0, got -1"),
        (lambda: optim.SGD([p() * 2], lr=0.1), ValueError, "parameter 0 of shape (2,) was computed, and"),
        (lambda: optim.SGD([{"params": [p()], "rate": 1}], lr=0.1), ValueError, "unknown hyper-parameters ['rate']"),
        (lambda: optim.SGD(net, lr=0.1), TypeError, "got one Linear"),
    ],
    "Adam": [
        (lambda: optim.Adam([p()], betas=(0.9, 1.0)), ValueError, "betas[1] must lie in [0, 1), got 1.0"),
        (lambda: optim.Adam([p()], betas=0.9), TypeError, "betas must be two numbers, got 0.9"),
        (lambda: optim.Adam([p()], eps=-1), ValueError, "eps must be at least 0, got -1"),
        (lambda: optim.Adam([p()], lr=True), TypeError, "lr must be a number, got True"),
    ],
    "AdamW": [
        (lambda: optim.AdamW([p()], weight_decay=nan), ValueError, "weight_decay must be at least 0, got nan"),
    ],
    "RMSprop": [
        (lambda: optim.RMSprop([p()], alpha=1.5), ValueError, "alpha must lie in [0, 1), got 1.5"),
        (lambda: optim.RMSprop([p()], momentum=-0.5), ValueError, "momentum must be at least 0, got -0.5"),
    ],
    "StepLR": [
        (lambda: optim.StepLR(opt(), 0), ValueError, "step_size must be a positive int, got 0"),
        (lambda: optim.StepLR(opt(), 2.5), ValueError, "step_size must be a positive int, got 2.5"),
        (lambda: optim.StepLR(net, 2), TypeError, "needs an optimiser, got Linear"),
        (lambda: optim.StepLR(opt(), 2, gamma=nan), ValueError, "gamma must be at least 0, got nan"),
    ],
    "MultiStepLR": [
        (lambda: optim.MultiStepLR(opt(), [-1]), ValueError, "each milestone must be at least 0, got -1"),
    ],
    "CosineAnnealingLR": [
        (lambda: optim.CosineAnnealingLR(opt(), 0), ValueError, "T_max must be a positive int, got 0"),
    ],
    "LinearLR": [
        (lambda: optim.LinearLR(opt(), start_factor=0), ValueError, "got 0, 1.0"),
    ],
    "OneCycleLR": [
        (lambda: optim.OneCycleLR(opt(), 0.1), ValueError, "give total_steps, or epochs and"),
        (lambda: optim.OneCycleLR(opt(), 0.1, 10, pct_start=1.5), ValueError, "pct_start is a part, from 0 to 1"),
        (
            lambda: optim.OneCycleLR(opt(), 0.1, 10, anneal_strategy="sine", cycle_momentum=False),
            ValueError,
            "got 'sine'",
        ),
    ],
    "ReduceLROnPlateau": [
        (lambda: optim.ReduceLROnPlateau(opt(), mode="low"), ValueError, "mode must be 'min' or 'max', got 'low'"),
        (lambda: optim.ReduceLROnPlateau(opt(), factor=1.5), ValueError, "factor must be below 1, got 1.5"),
    ],
    "SequentialLR": [
        (lambda: optim.SequentialLR(opt(), [], []), ValueError, "0 schedules have one milestone less, not 0"),
    ],
    "clip_grad_norm_": [
        (lambda: optim.clip_grad_norm_([p()], -1), ValueError, "max_norm must be at least 0, got -1"),
        (lambda: optim.clip_grad_norm_([p()], 1, norm_type=0), ValueError, "got 0"),
        (lambda: optim.clip_grad_norm_([v], 1), TypeError, "needs tensors, got ndarray"),
    ],
    "clip_grad_value_": [
        (lambda: optim.clip_grad_value_([p()], nan), ValueError, "clip_value must be at least 0, got nan"),
    ],
    # data and preprocessing
    "ArrayDataset": [
        (
            lambda: data.ArrayDataset(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(2, int)),
            ValueError,
            "got (3, 1, 2, 2) and",
        ),
        (lambda: data.ArrayDataset(np.zeros((3, 2), np.uint8), np.zeros(3, int)), ValueError, "got (3, 2) and (3,)"),
        (lambda: data.ArrayDataset(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3)), TypeError, "got float64"),
        (
            lambda: data.ArrayDataset(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, int), std=0.0),
            ValueError,
            "got mean=0.0, std=0.0",
        ),
    ],
    "DataLoader": [
        (lambda: data.DataLoader(data.synthetic_digits(4), 0), ValueError, "batch_size must be a positive int, got 0"),
        (lambda: data.DataLoader(data.synthetic_digits(4), 1.5), ValueError, "got 1.5"),
        (lambda: data.DataLoader(data.synthetic_digits(4), True), ValueError, "got True"),
        (lambda: data.DataLoader(data.synthetic_digits(4), 2, shuffle=True, generator=1), TypeError, "got int"),
    ],
    "Subset": [
        (lambda: data.Subset(data.synthetic_digits(4), [5]), IndexError, "index 5 is out of range for a dataset of 4"),
        (lambda: data.Subset(data.synthetic_digits(4), [0.5]), TypeError, "indices must be integers, got float64"),
    ],
    "random_split": [
        (lambda: data.random_split(data.synthetic_digits(4), [3, 2]), ValueError, "got 3 + 2 = 5"),
        (lambda: data.random_split(data.synthetic_digits(4), [0.9, 0.2]), ValueError, "got 0.9 + 0.2 = 1.1"),
    ],
    "synthetic_digits": [
        (lambda: data.synthetic_digits(-1), ValueError, "count must be at least 0, got -1"),
        (lambda: data.synthetic_digits(2.5), TypeError, "count must be an int, got 2.5"),
    ],
    "MNIST": [
        (lambda: data.mnist("validation"), ValueError, "got 'validation'"),
    ],
    "Fashion-MNIST": [
        (lambda: data.fashion_mnist("tests"), ValueError, "split must be 'train' or 'test', got 'tests'"),
    ],
    "RandomCrop": [
        (lambda: preprocess.RandomCrop(0), ValueError, "size must be at least 1, got 0"),
        (lambda: preprocess.RandomCrop(4, padding=-1), ValueError, "padding must be at least 0, got -1"),
    ],
    "RandomErasing": [
        (lambda: preprocess.RandomErasing(p=2), ValueError, "p must lie between 0 and 1, got 2"),
        (lambda: preprocess.RandomErasing(scale=(0.5, 0.1)), ValueError, "got (0.5, 0.1)"),
    ],
    "RandomHorizontalFlip": [
        (lambda: preprocess.RandomHorizontalFlip(-1), ValueError, "p must lie between 0 and 1, got -1"),
    ],
    "RandomAffine": [
        (lambda: preprocess.RandomAffine(-10), ValueError, "got (10, -10)"),
        (lambda: preprocess.RandomAffine(10, translate=(2, 0)), ValueError, "got (0, 2)"),
        (lambda: preprocess.RandomAffine(nan), ValueError, "got (nan, nan)"),
    ],
    "ColorJitter": [
        (lambda: preprocess.ColorJitter(brightness=-1), TypeError, "brightness must be a pair of numbers, got -1"),
    ],
    "Compose": [
        (lambda: preprocess.Compose(3), TypeError, "got 3"),
    ],
    "Whiten": [
        (lambda: preprocess.Whiten("ica"), ValueError, "method must be 'pca' or 'zca', got 'ica'"),
        (lambda: preprocess.Whiten("pca", eps=-1), ValueError, "eps must be positive, got -1"),
        (lambda: preprocess.Whiten("pca", eps=nan), ValueError, "eps must be positive, got nan"),
        (lambda: preprocess.Whiten().transform(x), RuntimeError, "call fit(training_images) or"),
    ],
    "MeanCenter": [
        (lambda: preprocess.MeanCenter().fit(x).transform(x[:, :2]), ValueError, "got (2, 8, 9)"),
    ],
    "Normalize": [
        (lambda: preprocess.Normalize().fit(v), ValueError, "channel 0 is the same everywhere"),
    ],
    # networks
    "VGG": [
        (lambda: models.VGG(12), ValueError, "got 12"),
    ],
    "GoogLeNet": [
        (lambda: models.GoogLeNet(kernel_size=4), ValueError, "got 4"),
    ],
    "FCN": [
        (lambda: models.FCN(stride=4), ValueError, "stride must be 8, 16 or 32, got 4"),
    ],
    "SimpleConvNet": [
        (lambda: models.SimpleConvNet(input_dim=(1, 3, 3)), ValueError, "images of 3 x 3 leave maps of -1 x -1 after"),
    ],
    # tensors and modes
    "Tensor": [
        (lambda: Tensor("a"), TypeError, "dtype <U1 is not supported"),
        (lambda: Tensor(half), TypeError, "dtype float16 is not supported"),
        (lambda: nn.Linear(3, 2, dtype=np.float16), TypeError, "dtype float16 is not supported"),
        (lambda: tg.full((2,), "a"), TypeError, "dtype <U1 is not supported"),
        (lambda: tg.tensor(None), TypeError, "dtype object is not supported"),
    ],
    "requires_grad_": [
        (lambda: Tensor([1], requires_grad=True), TypeError, "this one is int64"),
        (lambda: nn.Parameter(ints), TypeError, "this one is int64"),
    ],
    "zeros": [
        (lambda: tg.zeros(-1), ValueError, "sizes must be at least 0, got (-1,)"),
    ],
    "arange": [
        (lambda: tg.arange(0, 5, 0), ValueError, "step must not be 0"),
    ],
    "eye": [
        (lambda: tg.eye(-1), ValueError, "sizes must be at least 0, got (-1, -1)"),
    ],
    "manual_seed": [
        (lambda: tg.manual_seed(-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: tg.manual_seed("a"), TypeError, "seed must be an int, got str"),
    ],
    "set_num_threads": [
        (lambda: tg.set_num_threads(0), ValueError, "n must be a positive int, got 0"),
    ],
    "set_winograd": [
        (lambda: tg.set_winograd(1), TypeError, "enabled must be True or False, got 1"),
    ],
    "no_grad": [
        (lambda: tg.no_grad(lambda: 1), TypeError, "write `with no_grad():` or `@no_grad()`"),
    ],
    "enable_grad": [
        (lambda: tg.enable_grad(lambda: 1), TypeError, "write `with enable_grad():`"),
    ],
    "set_grad_enabled": [
        (lambda: tg.set_grad_enabled("no"), TypeError, "mode must be True or False, got 'no'"),
    ],
    "backward": [
        (lambda: Tensor(v, requires_grad=True).backward(), ValueError, "output of shape (2, 5) needs an incoming"),
        (lambda: Tensor(1.0).backward(), RuntimeError, "this tensor does not require a gradient:"),
        (lambda: (Tensor(v, requires_grad=True) * 2).backward(np.ones(3)), ValueError, "got (3,)"),
    ],
    "grad": [
        (lambda: tg.grad(Tensor(1.0), Tensor(1.0)), RuntimeError, "output 0 (shape ()) does not require a"),
    ],
    "item": [
        (lambda: Tensor(v).item(), ValueError, "tensor has shape (2, 5)"),
    ],
    "gradcheck": [
        (lambda: tg.gradcheck(F.relu, Tensor([1])), ValueError, "no input requires a gradient"),
    ],
}


@pytest.mark.parametrize(
    ("op", "call", "exception", "says"),
    [pytest.param(op, *bad, id=f"{op}-{i}") for op, table in BAD.items() for i, bad in enumerate(table)],
)
def test_a_bad_argument_is_a_clear_error(
    op: str, call: Callable[[], Any], exception: type[Exception], says: str
) -> None:
    with pytest.raises(exception, match=rf"(?s)^{re.escape(op)}\b.*{re.escape(says)}") as found:
        call()
    assert type(found.value) is exception
