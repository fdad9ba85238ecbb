from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def scaled(x: np.ndarray, index: np.ndarray, scale: np.ndarray | None = None) -> tuple:
    assert x.dtype == np.float64
    x *= 1 if scale is None else scale
    return x.T, index, x.sum(), None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_answers_in_the_dtype_of_the_first_float_array(dtype: type) -> None:
    x, index = np.ones((2, 3), dtype), np.arange(2, dtype=np.int32)
    y, same, total, nothing = scaled(x, index, np.full(3, 2.0))
    assert y.dtype == total.dtype == dtype
    assert same.dtype == np.int32
    assert type(total) is np.ndarray
    assert total.shape == ()
    assert total == 12
    assert nothing is None


def test_keywords_keep_the_order_of_the_parameters() -> None:
    y, *_ = scaled(scale=np.ones(3), index=np.arange(2), x=np.ones((2, 3), np.float32))
    assert y.dtype == np.float32


def test_arguments_are_not_written_and_results_are_contiguous() -> None:
    x = np.ones((2, 3))
    x.flags.writeable = False
    y, *_ = scaled(x, np.arange(2), np.full(3, 2.0))
    assert (x == 1).all()
    assert y.flags.c_contiguous
    assert y.flags.writeable


def test_computes_more_exactly_than_its_dtype() -> None:
    @in_float64
    def distance(x: np.ndarray) -> np.ndarray:
        return (x + 1e-9) - x

    assert distance(np.ones(1, np.float32)) == pytest.approx(1e-9, rel=1e-6)


def test_nan_and_infinity_do_not_warn() -> None:
    @in_float64
    def inverse(x: np.ndarray) -> np.ndarray:
        return 1e300 / x

    assert np.isposinf(inverse(np.array([0, 1], np.float32))).all()  # a division and a cast


def test_an_array_of_floats_is_needed() -> None:
    with pytest.raises(TypeError, match=r"scaled: needs an array of floats, got x: int64, index: list; try"):
        scaled(np.arange(3), [0])
