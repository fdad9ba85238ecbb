from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.interop.tensor_file import load, save
from tinygrad_cnn.preprocess import Decorrelate, MeanCenter, Normalize, Preprocessing, Whiten, fitted

ALL = [MeanCenter, Normalize, Decorrelate, Whiten, lambda: Whiten("zca")]


def images(dtype, count=300):
    x = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 4)) * np.array([1, 0.5, 0.25]).reshape(3, 1, 1)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_mean_is_subtracted_from_each_pixel(dtype):
    x = images(dtype)
    centred = MeanCenter().fit(x).transform(x)
    assert centred.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(centred, x - x.astype(float).mean(0), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_each_channel_gets_mean_0_and_deviation_1(dtype):
    x = images(dtype)
    z = Normalize().fit(x).transform(x).astype(float)
    np.testing.assert_allclose(z.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(z.std((0, 2, 3)), 1, atol=1e-6)
    normalize = Normalize().fit(x[:, :, 0, 0])
    np.testing.assert_allclose(normalize.transform(x[:, :, 0, 0]).std(0), 1, atol=1e-6)


@pytest.mark.parametrize("make", ALL)
def test_the_inverse_gives_the_samples_back(make):
    x = images(np.uint8)
    step = make().fit(x[:250])
    test = x[250:]  # what was not seen is treated by the statistics of what was
    back = step.inverse_transform(step.transform(test))
    assert back.shape == test.shape
    np.testing.assert_allclose(back, test, atol=1e-2 if isinstance(step, Whiten) else 1e-4)


@pytest.mark.parametrize("make", ALL)
def test_many_chunks_are_as_one(make, monkeypatch):
    x = images(np.float64)
    whole = make().fit(x)
    monkeypatch.setattr(fitted, "_CHUNK", 70)
    parts = make().fit(x)
    for name, value in whole.state_dict().items():
        np.testing.assert_allclose(parts.state_dict()[name], value, atol=1e-9)
    np.testing.assert_allclose(whole.transform(x), parts.load_state_dict(whole.state_dict()).transform(x), atol=1e-9)


@pytest.mark.parametrize("make", ALL)
def test_the_state_is_saved_with_the_model(make, tmp_path):
    x, model = images(np.uint8), nn.Linear(3, 2)
    step = make().fit(x)
    state = {f"preprocess.{name}": array for name, array in step.state_dict().items()}
    save({**model.state_dict(), **state}, tmp_path / "model.safetensors")
    found = load(tmp_path / "model.safetensors")
    restored = make().load_state_dict({name: found[f"preprocess.{name}"] for name in step.statistics})
    assert (restored.transform(x) == step.transform(x)).all()


@pytest.mark.parametrize("make", ALL)
def test_no_samples_give_no_samples(make):
    step = make().fit(images(np.float32))
    assert step.transform(images(np.float32)[:0]).shape[0] == 0
    assert step.transform(images(np.float32)[:0]).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MeanCenter().transform(images(np.uint8)), RuntimeError, r"MeanCenter: call fit\(training_images\)"),
        (lambda: Whiten().state_dict(), RuntimeError, "Whiten: call fit"),
        (lambda: MeanCenter().fit(images(np.uint8)[:0]), ValueError, "MeanCenter: needs at least 1 samples"),
        (lambda: Decorrelate().fit(images(np.uint8)[:1]), ValueError, "Decorrelate: needs at least 2 samples"),
        (lambda: MeanCenter().fit(np.array(["a"])), TypeError, "samples must be numbers, got <U1"),
        (lambda: MeanCenter().fit(np.full((2, 3), np.nan)), ValueError, "found NaN or infinity"),
        (
            lambda: MeanCenter().fit(images(np.uint8)).transform(np.zeros((2, 3, 4, 5))),
            ValueError,
            r"was fitted to samples of shape \(3, 5, 4\), got \(3, 4, 5\)",
        ),
        (lambda: Normalize().fit(np.zeros((4, 28, 28))), ValueError, r"x\[:, None\] adds C"),
        (lambda: Normalize().fit(np.arange(8.0).reshape(4, 2) * [1, 0]), ValueError, "channel 1 is the same"),
        (lambda: Normalize().fit(images(np.uint8)).transform(np.zeros((2, 1, 5, 4))), ValueError, "to 3 channels"),
        (lambda: Normalize().load_state_dict({"mean": np.zeros(3)}), ValueError, r"arrays \['mean', 'std'\], got \['m"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_base_is_not_used_itself():
    with pytest.raises(TypeError, match="abstract"):
        Preprocessing()
