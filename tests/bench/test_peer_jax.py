from __future__ import annotations

import math

import pytest

from tinygrad_cnn.bench import peer_jax


def test_a_step_of_lenet() -> None:
    pytest.importorskip("jax")
    step = peer_jax.training("lenet", 3)
    first, second = float(step()), float(step())
    assert 0 < first < 20 * math.log(10)
    assert first != second  # the weights have moved
    assert math.isclose(first, second, rel_tol=1e-2)  # a little


def test_it_knows_no_other_net() -> None:
    with pytest.raises(ValueError, match="only lenet"):
        peer_jax.training("vgg", 3)
