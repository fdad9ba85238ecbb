from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.preprocess import Decorrelate, Whiten


def samples(count=300, dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, 12)) @ rng.standard_normal((12, 12))).reshape(count, 1, 3, 4).astype(dtype)


def covariance(z):
    return np.cov(z.reshape(len(z), -1).T, bias=True)


def test_components_are_uncorrelated_and_fall():
    x = samples()
    step = Decorrelate().fit(x)
    z = step.transform(x)
    assert z.shape == (300, 12)
    np.testing.assert_allclose(covariance(z), np.diag(step.variances), atol=1e-10)
    assert (np.diff(step.variances) <= 0).all()
    np.testing.assert_allclose(step.components.T @ step.components, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(step.variances.sum(), np.trace(covariance(x)))  # a rotation keeps the whole variance
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.linalg.norm((x - x.mean(0)).reshape(300, 12), axis=1))


@pytest.mark.parametrize("method", ["pca", "zca"])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-7), (np.float32, 1e-5)])
def test_whitened_samples_have_the_identity_as_covariance(method, dtype, bound):
    x = samples(dtype=dtype)
    z = Whiten(method, eps=1e-9).fit(x).transform(x)
    assert z.dtype == dtype
    assert z.shape == ((300, 12) if method == "pca" else x.shape)
    np.testing.assert_allclose(covariance(z), np.eye(12), atol=bound)


def test_epsilon_damps_what_hardly_varies():
    x = samples()
    step = Whiten(eps=0.5).fit(x)
    np.testing.assert_allclose(
        covariance(step.transform(x)), np.diag(step.variances / (step.variances + 0.5)), atol=1e-9
    )


def test_zca_is_the_symmetric_map_and_stays_nearest_to_the_samples():
    x = samples()
    zca, pca = Whiten("zca", eps=1e-9).fit(x), Whiten("pca", eps=1e-9).fit(x)
    matrix = zca._forward()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(matrix @ covariance(x) @ matrix, np.eye(12), atol=1e-6)
    centred = (x - x.mean(0)).reshape(300, -1)
    far = [np.square(step.transform(x).reshape(300, -1) - centred).sum() for step in (zca, pca)]
    assert far[0] < far[1]


def test_signs_do_not_depend_on_the_order_of_samples():
    x = samples()
    first, second = Decorrelate().fit(x), Decorrelate().fit(x[::-1])
    np.testing.assert_allclose(first.components, second.components, atol=1e-9)
    assert (np.take_along_axis(first.components, abs(first.components).argmax(0)[None], 0) > 0).all()


def test_pixels_that_never_vary_are_no_trouble():
    x = samples()
    x[:, 0, 0] = 3.0  # as the border of MNIST
    for step in (Decorrelate(), Whiten(), Whiten("zca")):
        z = step.fit(x).transform(x)
        assert np.isfinite(z).all()
        np.testing.assert_allclose(step.inverse_transform(z), x, atol=1e-6)


def test_the_statistics_are_float64_whatever_the_samples_are():
    step = Whiten().fit(samples(dtype=np.float32))
    assert {array.dtype for array in step.state_dict().values()} == {np.dtype(np.float64)}
    assert sorted(step.state_dict()) == ["components", "mean", "variances"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Whiten("ica"), "Whiten: method must be 'pca' or 'zca', got 'ica'"),
        (lambda: Whiten(eps=0), "Whiten: eps must be positive, got 0"),
        (lambda: Whiten().fit(samples()).inverse_transform(samples()), r"of shape \(12,\), got \(1, 3, 4\)"),
        (lambda: Whiten("zca").fit(samples()).transform(samples()[:, :, :2]), r"of shape \(1, 3, 4\), got \(1, 2, 4\)"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
