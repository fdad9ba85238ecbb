from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, enable_grad, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz.recorded import calls_before, calls_of


def lenet():
    model = LeNet5()
    images = Tensor(np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32))
    return model, lambda: F.cross_entropy(model(images), Tensor(np.array([1, 7])))


def described(calls):
    return [(call.op, call.path, call.shape, tuple(source and source.op for source in call.sources)) for call in calls]


def test_a_graph_and_a_trace_tell_the_same():
    model, loss = lenet()
    with trace(model) as t:
        traced = loss()
    assert described(calls_before([traced])[0]) == described(calls_of(t)[0])


def test_layers_that_ran_as_one_operation_are_told_one_by_one():
    model, loss = lenet()
    y = loss()
    calls, known = calls_before([y])
    with trace(model) as t:
        loss()
    assert described(calls) == described(t)
    assert known[y.edge] is calls[-1]


def test_inputs_without_memory_have_shape_dtype_and_edge():
    x, w = Tensor(np.ones((2, 3)), requires_grad=True), Tensor(np.ones((4, 3)), requires_grad=True)
    calls, _ = calls_before([F.linear(x, w).exp()])
    value, weight, bias = calls[0].inputs
    assert (value.shape, value.dtype, value.edge) == ((2, 3), np.float64, x.edge)
    assert weight.data.base.size == 1
    assert bias is None
    assert calls[1].inputs[0].shape == (2, 4)
    assert calls[0].input_shapes == ((2, 3), (4, 3), ())


def test_what_is_not_differentiated_is_what_was_kept():
    x, image = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2))
    (mul, add), _ = calls_before([x * image + image])
    assert mul.inputs[1].data is image.data
    assert add.inputs[1] is None


def test_several_outputs():
    x = Tensor(np.ones(2), requires_grad=True)
    h = x.exp()
    total = h.sum()
    calls, known = calls_before([h, total])
    assert [call.op for call in calls] == ["exp", "sum"]
    assert [known[h.edge], known[total.edge]] == calls
    assert x.edge not in known


def test_a_used_up_graph():
    y = Tensor(np.ones(2), requires_grad=True).exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"this Sum was already used and freed by backward\(\)"):
        calls_before([y])


def test_running_statistics_are_no_result_of_a_trace():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with trace(model) as t:
        model(Tensor(np.random.default_rng(0).random((2, 1, 5, 4), dtype=np.float32)))
    calls, results = calls_of(t)
    assert [call.op for call in calls] == ["conv2d", "batch_norm"]
    assert results == calls[-1:]
    with trace(model) as t, no_grad():
        model(Tensor(np.random.default_rng(0).random((2, 1, 5, 4), dtype=np.float32)))
    assert [call.op for call in calls_of(t)[1]] == ["batch_norm"]


def test_a_trace_may_have_several_results():
    with trace(nn.Identity()) as t:
        x = Tensor(np.ones(2)).exp()
        _ = x + 1, x * 2
    calls, results = calls_of(t)
    assert [call.op for call in results] == ["add", "mul"]
    assert len(calls) == 3


def test_what_carries_no_gradient_is_no_result_beside_what_does():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    for record, expected in ((True, ["sum"]), (False, ["arg_extremum", "sum"])):
        with trace(nn.Identity()) as t, enable_grad() if record else no_grad():
            h = x.exp()
            h.argmax(1)
            h.sum()
        assert [call.op for call in calls_of(t)[1]] == expected


def test_an_empty_trace():
    with trace(nn.Identity()) as t:
        pass
    with pytest.raises(ValueError, match=r"the trace is empty; call the model inside of `with trace\(model\) as t:`"):
        calls_of(t)
