from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

from tinygrad_cnn import Tensor, functional, nn, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import receptive_field
from tinygrad_cnn.analysis.receptive.links import Everything, places
from tinygrad_cnn.analysis.receptive.sees import bins, sees
from tinygrad_cnn.autograd import Function, grad

# Operations of backward passes, and runs of layers, which are noted one by one while somebody looks.
NEVER_TRACED = {
    "AdaptiveAvgPool2dGrad", "AvgPool2dGrad", "Conv2dWeightGrad", "ConvNormRun", "ConvRun", "GatherAdjoint",
    "LinearRun", "MaxPoolGather", "MaxPoolScatter", "PutAlong", "RoIAlignGrad", "RoIGather", "RoIScatter",
    "SampleInputGrad", "SampleWeightGrad", "Scatter",
}  # fmt: skip


def subclasses(kind):
    return {kind, *(found for sub in kind.__subclasses__() for found in subclasses(sub))}


def test_the_table_is_complete():
    for module in pkgutil.iter_modules(functional.__path__):
        importlib.import_module(f"{functional.__name__}.{module.name}")
    unknown = sees.dispatch(Function)
    kinds = {kind for kind in subclasses(Function) if kind.__module__.startswith(functional.__name__)}
    missing = {kind.__name__ for kind in kinds if hasattr(kind, "forward") and sees.dispatch(kind) is unknown}
    assert missing == NEVER_TRACED


def values(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


GRID = values(1, 3, 4, 2, seed=3) * 1.4 - 1.4
IMAGE = (2, 4, 5)  # C, H, W


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: F.softmax(x, 2), IMAGE),
        (lambda x: F.log_softmax(x, -1) * values(1, 2, 4, 5), IMAGE),
        (lambda x: F.layer_norm(x, (5,), values(5)), IMAGE),
        (lambda x: F.layer_norm(x, (6,), values(6)), (3, 6)),
        (lambda x: F.group_norm(x, 1) * values(1, 2, 4, 5), IMAGE),
        (lambda x: F.instance_norm(F.reshape(x, 1, 2, 20)) * values(1, 2, 20), IMAGE),
        (lambda x: F.batch_norm(x, values(2), values(2)), IMAGE),
        (lambda x: F.local_response_norm(x, 3, 1.0), (4, 6)),
        (lambda x: F.matmul(x, values(5, 3)), IMAGE),
        (lambda x: F.matmul(values(3, 4), x), IMAGE),
        (lambda x: F.matmul(F.reshape(x, 1, 8, 5), values(1, 5, 2)), IMAGE),
        (lambda x: F.linear(F.flatten(x, 1)[:, :12], values(3, 12)), IMAGE),
        (lambda x: F.sum(x, 3), IMAGE),
        (lambda x: F.mean(x, (1, 2), keepdim=True), IMAGE),
        (lambda x: F.var(x, 2), IMAGE),
        (lambda x: F.cumsum(x, 3), IMAGE),
        (lambda x: F.cumsum(x, 1), (5, 6)),
        (lambda x: F.unfold(x, (2, 3), 1, (1, 0), 2), IMAGE),
        (lambda x: F.fold(x, (3, 4), 2), (8, 6)),
        (lambda x: F.grid_sample(x, GRID), IMAGE),
        (lambda x: F.gather(x, 2, np.array([[[[3, 0], [1, 1]]]])), IMAGE),
        (lambda x: F.scatter_add(x, 3, np.array([[[[4, 0], [1, 1]]]]), x[:, :1, 1:3] * 2), IMAGE),
        (lambda x: F.smooth_l1_loss(x, values(1, 2, 4, 5)), IMAGE),
        (lambda x: F.binary_cross_entropy_with_logits(x, values(1, 2, 4, 5)), IMAGE),
        (lambda x: F.sort(x, 3)[0], IMAGE),
        (lambda x: F.max_unpool2d(x, np.array([[[[5, 2], [7, 9]]]]), 2, output_size=(4, 4)), (1, 2, 2)),
        (lambda x: F.max_unpool1d(x, np.array([[[1, 2], [3, 0]]]), 2), (2, 2)),
        (lambda x: F.conv1d(x, values(2, 2, 3), None, 2, 1, 2), (2, 9)),
        (lambda x: F.conv_transpose1d(x, values(2, 1, 3), None, 2), (2, 5)),
        (lambda x: F.permute(F.reshape(x, 1, 2, 2, 2, 5), 0, 1, 3, 2, 4), IMAGE),
        (lambda x: F.reshape(F.permute(F.reshape(x, 1, 2, 2, 4, 5), 0, 3, 1, 4, 2), 1, 1, 8, 10), (4, 4, 5)),
        (lambda x: F.cat([x[:, :, 2:], F.flip(x, 3)], 2), IMAGE),
        (lambda x: F.roll(x, (1, 2), (2, 3)), IMAGE),
        (lambda x: F.expand(x[:, :, :1], 1, 2, 3, 5), IMAGE),
        (lambda x: F.pad(x, (1, 2)), (3, 4)),
        (lambda x: F.stack([x, x * 2], 3), (3, 4)),
        (lambda x: F.where(x > 1, x, x * values(5)), IMAGE),
        (lambda x: x * F.sigmoid(F.mean(x, (2, 3), keepdim=True)), IMAGE),
        (lambda x: F.interpolate(x, (7, 3), mode="bicubic"), IMAGE),
        (lambda x: F.avg_pool1d(x, 3, 2, 1), (1, 9)),
        (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), IMAGE),
        (lambda x: F.cross_entropy(x, np.ones((1, 4, 5), int), reduction="none"), IMAGE),
        (lambda x: F.mse_loss(x, values(1, 2, 4, 5)), IMAGE),
        (lambda x: F.conv2d(values(1, 1, 6, 6), x), (1, 2, 3)),  # the image is the filter
        (lambda x: F.prelu(x, values(2)), IMAGE),
        (lambda x: F.silu(F.elu(x)), IMAGE),
    ],
)
def test_what_is_seen_is_where_the_gradient_is_not_zero(function, shape):
    class Op(nn.Module):
        def forward(self, x):
            return function(x)

    x = Tensor(values(1, *shape, seed=7), requires_grad=True)
    with trace(model := Op()) as t:
        y = model(x)
    field = receptive_field(t, t[-1], relative_to=x)
    assert field.map_size == places(y.shape)
    for unit in np.ndindex(*field.map_size):
        at = (slice(None),) * (y.ndim - len(unit)) + unit
        (g,) = grad(y[at].sum(), x, retain_graph=True)
        seen = np.abs(g.data).sum(tuple(range(x.ndim - len(places(x.shape))))) > 0
        assert np.array_equal(field.mask(*unit), seen), (unit, field.mask(*unit).astype(int), seen.astype(int))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.amax(x, (2, 3)),
        lambda x: F.argmax(x, 1),
        lambda x: F.adaptive_max_pool2d(x, 3),
        lambda x: F.dropout(x, 0.5),
        lambda x: F.gumbel_softmax(x, hard=True, dim=1),
        lambda x: F.one_hot(F.argmax(x, 1), 2),
        lambda x: F.binary_cross_entropy(x / 2, x / 2),
    ],
)
def test_what_has_no_gradient_everywhere_is_still_seen(function):
    class Op(nn.Module):
        def forward(self, x):
            return function(x)

    with trace(model := Op()) as t:
        model(Tensor(values(1, *IMAGE)))
    field = receptive_field(t, t[-1])
    assert field.mask().all()


def test_what_depends_on_weights_that_were_computed_sees_all_of_them():
    class Dynamic(nn.Module):
        def forward(self, x):
            return F.conv2d(x, F.mean(x, 0, keepdim=True)[:, :, :2, :2])

    field = receptive_field(Dynamic(), "conv2d", (1, 5, 5))
    assert field.mask(3, 3)[:2, :2].all()
    assert field.mask(3, 3).sum() == 8
    with trace(model := Dynamic()) as t:
        model(Tensor(values(1, 1, 5, 5)))
    assert isinstance(sees(t["conv2d"].function, t["conv2d"], 1), Everything)


@pytest.mark.parametrize(("size", "count", "expected"), [(6, 3, (2, 2)), (7, 3, (3, 2)), (5, 3, None), (5, 1, (5, 1))])
def test_bins(size, count, expected):
    assert bins(size, count) == expected
