from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.surgery.proof import Surgery, prove, replace, run, sample


def test_errors_are_measured_against_the_largest_output():
    before = np.array([[1.0, -4.0]])
    assert prove("op", before, before, "here") == 0
    assert prove("op", before, before + 4e-12, "here") == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize(("dtype", "wrong"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_outputs_that_differ_are_an_error(dtype, wrong):
    before = np.ones((2, 3), dtype)
    with pytest.raises(RuntimeError, match=r"op: at once: outputs differ by .* of the largest"):
        prove("op", before, (before + wrong).astype(dtype), "at once")
    with pytest.raises(RuntimeError, match="outputs differ by nan"):
        prove("op", before, before * np.nan, "at once")
    with pytest.raises(RuntimeError, match=r"at once: expected shape \(2, 3\), got \(2, 1\)"):
        prove("op", before, before[:, :1], "at once")


def test_a_run_changes_no_mode_and_no_statistics():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9))
    y = run(model, np.ones((2, 3), np.float32))
    np.testing.assert_allclose(y, 1, rtol=1e-4)  # nothing dropped, the statistics of the beginning
    assert model[1].training
    assert int(model[0].num_batches_tracked) == 0


def test_samples_repeat_and_fit_the_model():
    model = nn.Linear(3, 2, dtype=np.float64)
    x = sample("op", model, (3,))
    assert (x.shape, x.dtype) == ((2, 3), np.float64)
    assert (x.data == sample("op", model, (3,)).data).all()


def test_replace_finds_every_place_and_keeps_the_mode():
    shared = nn.ReLU()
    model = nn.Sequential(shared, nn.Sequential(shared, nn.Tanh())).eval()
    new = nn.Identity()
    replace(model, shared, new)
    assert model[0] is model[1][0] is new
    assert not new.training


def test_text():
    assert str(Surgery(None, ["a: gone"], 1e-7)) == "a: gone\noutputs agree to 1.0e-07"
