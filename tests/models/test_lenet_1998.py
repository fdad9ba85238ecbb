from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.models import LeNet5_1998
from tinygrad_cnn.models.lenet_1998 import CONNECTIONS, PartialConv2d, RadialBasis, Squash, Subsampling

COUNTS = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164}


def test_parameters_of_every_layer(parameter_count):
    model = LeNet5_1998()
    assert {name: parameter_count(getattr(model.layers, name)) for name in COUNTS} == COUNTS
    assert parameter_count(model) == 60_000


def test_the_table_of_connections():
    assert [len(maps) for maps in CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    assert sum(map(len, CONNECTIONS)) == 60
    assert len(set(map(frozenset, CONNECTIONS))) == 16  # no two maps look at the same
    assert [sum(i in maps for maps in CONNECTIONS) for i in range(6)] == [10] * 6


def test_partial_convolution_sees_its_connections_only(rng):
    layer = PartialConv2d(6, CONNECTIONS).double()
    for p in layer.parameters():
        p.data[...] = rng.standard_normal(p.shape)
    x = rng.standard_normal((2, 6, 8, 9))
    y = np.asarray(layer(x).detach())
    at = 0
    for o, maps in enumerate(CONNECTIONS):
        filters = layer.weight.data[at : at + len(maps)][None]
        at += len(maps)
        expected = np.asarray(F.conv2d(np.ascontiguousarray(x[:, list(maps)]), np.ascontiguousarray(filters)))
        np.testing.assert_allclose(y[:, o], expected[:, 0] + layer.bias.data[o], rtol=1e-12, atol=1e-12)


def test_subsampling_sums_scales_and_shifts():
    layer = Subsampling(2)
    layer.weight.data[...], layer.bias.data[...] = [2, -1], [10, 0]
    x = np.arange(16, dtype=np.float32).reshape(1, 2, 2, 4)
    np.testing.assert_array_equal(
        layer(x).detach().numpy(), [[[[2 * 10 + 10, 2 * 18 + 10]], [[-(8 + 9 + 12 + 13), -(10 + 11 + 14 + 15)]]]]
    )


def test_squash_goes_through_plus_and_minus_one():
    np.testing.assert_allclose(Squash()(np.array([-1.0, 0, 1, 100])), [-1, 0, 1, 1.7159], atol=1e-5)


def test_scores_are_distances_to_codes(rng):
    layer = RadialBasis(84, 10, generator=rng)
    codes = layer.codes.numpy()
    assert set(codes.ravel()) == {-1.0, 1.0}
    assert "codes" in layer.state_dict()
    assert not list(layer.parameters())
    scores = np.asarray(layer(codes))
    assert (np.diag(scores) == 0).all()
    assert (scores.argmax(1) == range(10)).all()
    np.testing.assert_allclose(scores, -((codes[:, None] - codes) ** 2).sum(2))


def test_training_step(rng, train_step):
    train_step(LeNet5_1998(7, generator=rng), rng.standard_normal((4, 1, 32, 32)).astype(np.float32))


def test_initial_values(follows_generator):
    follows_generator(LeNet5_1998)
    weight = LeNet5_1998(generator=np.random.default_rng(0)).layers.c5.weight.data
    assert np.abs(weight).max() == pytest.approx(2.4 / 400, rel=1e-3)
