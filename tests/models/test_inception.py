from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.models import InceptionV1, InceptionV2, InceptionV3
from tinygrad_cnn.models.inception import ConvNorm

WIDTHS = 192, 64, 96, 128, 16, 32, 32  # GoogLeNet's module 3a


def weights(module) -> int:
    """Count the weights of the convolutions, without those of the normalisation."""
    return sum(p.size for name, p in module.named_parameters() if name.endswith("conv.weight"))


def test_weights_of_module_3a():
    with_reduction = weights(InceptionV1(*WIDTHS))
    projection = 192 * 32
    assert with_reduction == 163_328
    assert with_reduction - projection == 157_184
    assert 192 * 64 + 192 * 128 * 9 + 192 * 32 * 25 == 387_072  # without reduction


def test_two_small_filters_are_cheaper_than_a_large_one():
    large, small = InceptionV1(*WIDTHS), InceptionV2(*WIDTHS)
    assert weights(large) - weights(small) == 16 * 32 * 25 - (16 * 32 * 9 + 32 * 32 * 9)
    assert InceptionV1(*WIDTHS, kernel_size=3).branch3[1].conv.kernel_size == (3, 3)


def test_long_filters_are_cheaper_than_a_square_one():
    module = InceptionV3(768, 128)
    names = ["branch1x1", *(f"branch7x7_{i}" for i in (1, 2, 3)), *(f"branch7x7dbl_{i}" for i in range(1, 6))]
    assert [name for name, _ in module.named_children()] == [*names, "branch_pool"]
    pair = module.branch7x7dbl_2.conv, module.branch7x7dbl_3.conv
    assert sum(layer.weight.size for layer in pair) == 128 * 128 * 14
    assert [layer.kernel_size for layer in pair] == [(7, 1), (1, 7)]


@pytest.mark.parametrize(
    ("module", "channels"), [(InceptionV1(*WIDTHS), 256), (InceptionV2(*WIDTHS), 256), (InceptionV3(192, 16), 768)]
)
def test_shape_stays_and_a_step_trains_all(module, channels, rng, train_step):
    x = rng.standard_normal((2, 192, 6, 9)).astype(np.float32)
    assert module(x).shape == (2, channels, 6, 9)
    train_step(module, x, loss=lambda y: (y * rng.standard_normal(y.shape).astype(np.float32)).sum())


def test_branches_are_joined_in_order(rng):
    module = InceptionV1(*WIDTHS, generator=rng).eval()
    x = rng.standard_normal((1, 192, 5, 7)).astype(np.float32)
    joined = np.asarray(module(x).detach())
    for branch, (start, stop) in {
        "branch1": (0, 64), "branch2": (64, 192), "branch3": (192, 224), "branch4": (224, 256)
    }.items():  # fmt: skip
        np.testing.assert_array_equal(joined[:, start:stop], np.asarray(getattr(module, branch)(x).detach()))


def test_convolution_is_normalised_and_gated(rng):
    layer = ConvNorm(3, 4, (1, 5), padding=(0, 2), generator=rng)
    y = layer(rng.standard_normal((2, 3, 6, 9)).astype(np.float32))
    assert y.shape == (2, 4, 6, 9)
    assert y.detach().numpy().min() == 0
    assert layer.bn.eps == 0.001
