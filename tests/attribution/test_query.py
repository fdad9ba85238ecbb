from __future__ import annotations

import gc

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, no_grad
from tinygrad_cnn.attribution import (
    cam,
    deconvnet,
    grad_cam,
    grad_cam_pp,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    layer_cam,
    maximize_activation,
    occlusion,
    saliency,
    smooth_grad,
)  # fmt: skip
from tinygrad_cnn.attribution.query import numbers_of

# Each kind of query, made cheap.
QUERIES = {
    "cam": cam,
    "deconvnet": deconvnet,
    "grad_cam": grad_cam,
    "grad_cam_pp": grad_cam_pp,
    "gradient_x_input": gradient_x_input,
    "guided_backprop": guided_backprop,
    "integrated_gradients": lambda *a: integrated_gradients(*a, steps=2),
    "layer_cam": layer_cam,
    "occlusion": lambda *a: occlusion(*a, size=(8, 3), stride=3),
    "saliency": saliency,
    "smooth_grad": lambda *a: smooth_grad(*a, samples=2),
}
parametrize = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)


@parametrize
def test_the_model_is_the_same_after_100_queries(query, model, x, untouched):
    with untouched(model):
        first = query(model, x, 1).raw
        for _ in range(98):
            query(model, x[:1], 1)
        last = query(model, x, 1).raw
    np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize(
    "query",
    [*QUERIES.values(), lambda m, x, t: maximize_activation(m, x.shape[1:], t, "conv", steps=2)],
    ids=[*QUERIES, "maximize_activation"],
)
def test_a_query_leaves_nothing_to_the_garbage_collector(query, model, x):
    query(model, x, 1)
    gc.collect()
    gc.disable()
    try:
        query(model, x, 1)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_model_is_the_same_after_100_climbs(model, untouched):
    with untouched(model):
        found = [maximize_activation(model, (2, 8, 6), 1, steps=1).images for _ in range(100)]
    np.testing.assert_array_equal(found[0], found[-1])


@parametrize
def test_the_model_is_the_same_after_an_error(query, model, x, untouched):
    with untouched(model), pytest.raises(IndexError, match=r": the label 4 is outside of 0\.\.3"):
        query(model, x, 4)


@parametrize
def test_every_image_has_its_map_and_its_score_in_evaluation_mode(query, model, x):
    found = query(model, x, 2)
    places = found.map.shape[1:]
    assert found.map.shape[0] == len(x)
    assert found.image_size == (8, 6)
    assert found.upsampled().shape == (3, 8, 6)
    assert found.raw.shape in ((3, *places), (3, 2, *places))
    np.testing.assert_array_equal(found.scores, model.eval()(x).data[:, 2])


@parametrize
def test_one_label_many_labels_and_several_targets_agree(query, model, x):
    each = np.array([3, 0, 3])
    batch, several = query(model, x, each), query(model, x, np.stack([each, [1, 1, 1]]))
    everywhere = query(model, x, [[3], [1]])
    assert several.map.shape == (2, *batch.map.shape)
    close = {"rtol": 1e-4, "atol": 1e-6 * abs(batch.raw).max()} if x.dtype == np.float32 else {"rtol": 1e-9}
    np.testing.assert_allclose(several.raw[0], batch.raw, **close)
    np.testing.assert_allclose(several.raw[1], query(model, x, 1).raw, **close)
    np.testing.assert_allclose(everywhere.raw[1], several.raw[1], **close)
    np.testing.assert_allclose(everywhere.scores[0, [0, 2]], batch.scores[[0, 2]], **close)
    for n in range(3):
        np.testing.assert_allclose(query(model, x[n : n + 1], each[n]).raw[0], batch.raw[n], **close)


@parametrize
def test_no_target_is_the_highest_score(query, model, x):
    best = model.eval()(x).data.argmax(1)
    np.testing.assert_array_equal(query(model, x).raw, query(model, Tensor(x), best).raw)


@pytest.mark.parametrize("query", [q for n, q in QUERIES.items() if n != "cam"], ids=[n for n in QUERIES if n != "cam"])
def test_a_function_of_the_output_may_be_the_target(query, model, x):
    by_label = query(model, x, [[2], [1]])
    by_function = query(model, x, lambda y: y[:, np.array([2, 1])].T)
    np.testing.assert_array_equal(by_function.raw, by_label.raw)
    one = query(model, x[:1], lambda y: y[0, 2])
    assert one.scores.shape == ()
    np.testing.assert_allclose(one.raw[0], by_label.raw[0, 0], rtol=1e-3, atol=1e-5 * abs(one.raw).max())
    difference = query(model, x, lambda y: y[:, 2] - y[:, 1])
    assert difference.scores.shape == (3,)
    linear = query.__name__ not in ("grad_cam_pp", "guided_backprop", "deconvnet", "layer_cam")
    assert np.allclose(difference.raw, by_label.raw[0] - by_label.raw[1], rtol=1e-3, atol=1e-5) == linear


@parametrize
def test_under_no_grad_and_with_frozen_weights_the_answer_is_the_same(query, model, x):
    free = query(model, x, 1)
    model.requires_grad_(False)
    with no_grad():
        np.testing.assert_array_equal(query(model, x, 1).raw, free.raw)


@parametrize
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (1.5, TypeError, "target must be whole numbers, a function or None, got 1.5"),
        ([1, 2], ValueError, r"one for each of the 3 images, \(3,\), .* got shape \(2,\)"),
        ([[[1]]], ValueError, r"got shape \(1, 1, 1\)"),
        (-1, IndexError, r"the label -1 is outside of 0\.\.3"),
    ],
)
def test_targets_that_are_none(query, model, x, target, error, message):
    with pytest.raises(error, match=message):
        query(model, x, target)


def test_functions_that_are_no_targets(model, x):
    with pytest.raises(TypeError, match="saliency: the function given as target must return a Tensor, got ndarray"):
        saliency(model, x, lambda y: y.data)
    with pytest.raises(ValueError, match=r"one for each of the 3 images, \(3,\), .* got shape \(3, 4\)"):
        saliency(model, x, lambda y: y)
    with pytest.raises(ValueError, match="saliency: the target does not depend on the images, or not by operations"):
        saliency(model, x, lambda y: Tensor(y.data.sum(1)))
    with pytest.raises(ValueError, match=r"saliency: the target does not depend on the images$"):
        saliency(model, x, lambda y: model.head.bias.sum())
    with pytest.raises(ValueError, match="occlusion: the function given as target must return one number for each"):
        occlusion(model, x, lambda y: y.sum())


@parametrize
def test_inputs_that_are_no_images(query, model, x):
    with pytest.raises(ValueError, match=r": input must be images \(N, C, H, W\), got shape \(2, 8, 6\); one image is"):
        query(model, x[0], 1)
    with pytest.raises(TypeError, match=": input must be float32 or float64, as the model sees images, got uint8"):
        query(model, x.astype(np.uint8), 1)
    with pytest.raises(TypeError, match=r": model must be an nn\.Module, got function"):
        query(lambda x: x, x, 1)


def test_an_output_that_holds_no_classes_needs_a_function(x):
    model = nn.Conv2d(2, 5, 3).double()
    x = x.astype(np.float64)
    with pytest.raises(
        ValueError, match=r"labels need an output \(N, classes\), this model gives shape \(3, 5, 6, 4\)"
    ):
        saliency(model, x, 1)
    with pytest.raises(ValueError, match="say what to explain by a function"):
        saliency(model, x)

    class Arrays(nn.Module):
        def forward(self, x):
            return x.data.mean((2, 3))

    for target in (None, 1):
        with pytest.raises(ValueError, match=r"labels need an output .* this model gives ndarray"):
            saliency(Arrays(), x, target)
    found = saliency(model, x, lambda y: y[:, 1, 2, 3])
    assert found.map.any((1, 2)).all()
    assert not found.map[:, 5:].any()


def test_numbers_for_images():
    images = np.zeros((2, 1, 2, 3), np.float32)
    assert numbers_of("op", "fill", 2, images).dtype == np.float32
    assert numbers_of("op", "fill", [1, 2, 3], images)[1, 0, 1].tolist() == [1, 2, 3]
    for wrong in ("a", None, object(), [True]):
        with pytest.raises(TypeError, match="op: fill must be a number or an array of numbers"):
            numbers_of("op", "fill", wrong, images)
    with pytest.raises(ValueError, match=r"op: fill \(2,\) does not broadcast to the images \(2, 1, 2, 3\)"):
        numbers_of("op", "fill", [1, 2], images)
