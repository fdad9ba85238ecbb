from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.surgery.proof import Surgery, prove, prove_part, replace, run, sample


def test_errors_are_measured_against_the_distance_between_samples():
    before = np.array([[1000.0, -4.0], [1000.0, -2.0]])
    assert prove("op", before, before, "here") == (0, 2e-3)
    assert prove("op", before, before + np.array([0, 4e-11]), "here")[0] == pytest.approx(2e-11, rel=1e-3)
    with pytest.raises(RuntimeError, match=r"outputs differ by 1\.0e-08 of the distance between two samples"):
        prove("op", before, before + np.array([0, 2e-8]), "here")  # 2e-11 of the largest


def test_outputs_that_do_not_depend_on_the_sample_are_measured_by_their_size():
    before = np.full((2, 3), 4.0)
    assert prove("op", before, before + 4e-12, "here") == (pytest.approx(1e-12, rel=1e-3), 0)
    assert prove("op", before * 0, before * 0, "here") == (0, 0)
    assert prove("op", before[:0], before[:0], "here") == (0, 0)


@pytest.mark.parametrize(("dtype", "wrong"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_outputs_that_differ_are_an_error(dtype, wrong):
    before = np.array([[0, 1, 0.5], [1, 0, 0.5]], dtype)
    with pytest.raises(RuntimeError, match=r"op: at once: outputs differ by .* of the distance.*returned: look"):
        prove("op", before, (before + wrong).astype(dtype), "at once", ": look again")
    with pytest.raises(RuntimeError, match="outputs differ by nan"):
        prove("op", before, before * np.nan, "at once")
    with pytest.raises(RuntimeError, match=r"at once: expected shape \(2, 3\), got \(2, 1\)"):
        prove("op", before, before[:, :1], "at once")


def test_a_part_is_compared_on_numbers_of_its_own():
    linear, conv = nn.Linear(12, 4), nn.Conv2d(2, 4, (3, 2))
    conv.weight, conv.bias = nn.Parameter(linear.weight.data.reshape(4, 2, 3, 2).copy()), linear.bias
    assert prove_part("op", "fc", linear, conv, (2, 12), np.float32, (2, 2, 3, 2)) < 1e-6
    conv.weight.data[1] *= 1.001
    with pytest.raises(RuntimeError, match="op: fc by itself: outputs differ by"):
        prove_part("op", "fc", linear, conv, (2, 12), np.float32, (2, 2, 3, 2))
    with pytest.raises(RuntimeError, match=r"fc by itself: expected shape \(2, 4\), got \(2, 3\)"):
        prove_part("op", "fc", linear, nn.Linear(12, 3), (2, 12), np.float32)


def test_models_of_several_results_cannot_be_compared():
    class Both(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(TypeError, match="returns a tuple; to compare before and after it must return one tensor"):
        run(Both(), np.ones((2, 3), np.float32))


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
    text = str(Surgery(None, ["a: gone"], 1e-7, 0.5, 1e-8))
    assert text == "a: gone\noutputs agree to 1.0e-07 of the distance between those of two images"
    weak = str(Surgery(None, ["a: gone"], 1e-7, 1e-6, 1e-8))
    assert "(by 1.0e-06 of their size); the proof is that each layer alone agrees to 1.0e-08 of" in weak


def test_nothing_to_change_is_said():
    said = str(Surgery(nn.Identity(), [], 0.0, 1.0, 0.0))
    assert said == "nothing was changed\noutputs agree to 0.0e+00 of the distance between those of two images"
