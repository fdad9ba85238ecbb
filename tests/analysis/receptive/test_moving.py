from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.receptive.links import POINT, Moved, Same, Sliding
from tinygrad_cnn.analysis.receptive.moving import moved
from tinygrad_cnn.calls import record_calls


def link_of(function, *shape):
    class Op(nn.Module):
        def forward(self, x):
            return function(x)

    call = record_calls(Op(), Tensor(np.zeros(shape, np.float32)))[0]
    return moved(call.function, call, 0)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x[:, [1, 0]], Same),
        (lambda x: F.reshape(x, 2, 3, 4, 5), Same),
        (lambda x: F.cat([x, x], 1), Same),
        (lambda x: F.permute(x, 1, 0, 2, 3), Same),
        (lambda x: x[:, :, 1::2, :3], Sliding),
        (lambda x: x[:, :, 2:3], Sliding),
        (lambda x: x[:, :, ::-1], Moved),
        (lambda x: x[:, :, [0, 1, 3]], Moved),
        (lambda x: x[:, :, :, [0, 1, 3]], Moved),
        (lambda x: F.transpose(x, 2, 3), Moved),
        (lambda x: F.flatten(x, 1), Moved),
    ],
)
def test_moves_are_told_apart(function, kind):
    assert type(link_of(function, 2, 3, 4, 5)) is kind


def test_a_signal_is_an_image_of_height_one():
    assert link_of(lambda x: F.reshape(x, 2, 3, 1, 7), 2, 3, 7).window == POINT
    assert link_of(lambda x: F.reshape(x, 2, 3, 7), 2, 3, 1, 7).window == POINT
    assert link_of(lambda x: F.reshape(x, 2, 7, 1, 3), 2, 3, 7).window is None


def test_a_cut_is_a_window_with_its_stride():
    window = link_of(lambda x: x[:, :, 1::2, 3:], 1, 1, 6, 7).window
    assert (window.size, window.stride, window.padding) == ((1, 1), (2, 1), ((-1, 0), (-3, 0)))


def test_the_recorded_operation_is_not_touched():
    class Op(nn.Module):
        def forward(self, x):
            y = x * 1
            y[:, :, 0] = 0
            return y

    trace = record_calls(Op(), Tensor(np.ones((1, 1, 3, 3), np.float32)))
    call = trace[-1]
    before = dict(vars(call.function)), call.inputs[0].data.copy()
    moved(call.function, call, 0)
    assert vars(call.function) == before[0]
    assert np.array_equal(call.inputs[0].data, before[1])
