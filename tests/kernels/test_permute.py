from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import permute, threads
from tinygrad_cnn.kernels.permute import contiguous

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [*permutations(range(4))], ids=str)
def test_every_order_of_axes(order: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permute, "SERIAL_BELOW", 0)
    for shape in ((3, 4, 2, 5), (2, 1, 9, 3), (1, 1, 1, 1), (2, 0, 3, 4)):
        x = np.arange(np.prod(shape), dtype=dtype).reshape(shape).transpose(order)
        y = contiguous(x)
        assert y.flags.c_contiguous
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_any_shape(data: st.DataObject, dtype: type) -> None:
    shape = data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=7))
    shape[0] *= -(-threads.SERIAL_BELOW // int(np.prod(shape)))
    order = data.draw(st.permutations(range(len(shape))))
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype).transpose(order)
    np.testing.assert_array_equal(contiguous(x), x)


def test_what_is_no_exchange_of_axes() -> None:
    x = np.random.default_rng(0).standard_normal((64, 40, 50))
    for view in (x[::2], x[:, ::-1].transpose(1, 0, 2), np.broadcast_to(x[:1], x.shape), x.astype(int).T, x[:, :, 1:]):
        y = contiguous(view)
        assert y.flags.c_contiguous
        assert y.dtype == view.dtype
        np.testing.assert_array_equal(y, view)
    assert contiguous(x) is x
    frozen = x.T
    frozen.flags.writeable = False
    np.testing.assert_array_equal(contiguous(frozen), frozen)


def test_it_runs_on_all_threads(same_bits_for_every_thread_count: Callable[..., None]) -> None:
    def compute(dtype: type) -> list[np.ndarray]:
        x = np.random.default_rng(1).standard_normal((7, 6, 5, 4, 60)).astype(dtype)
        return [contiguous(x.transpose(order)) for order in ((0, 2, 1, 3, 4), (4, 3, 2, 1, 0), (0, 3, 1, 4, 2))]

    for dtype in DTYPES:
        same_bits_for_every_thread_count(compute, dtype)
