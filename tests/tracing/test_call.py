from __future__ import annotations

import numpy as np

from tinygrad_cnn import Tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.shape import Reshape
from tinygrad_cnn.tracing import Call, Visit, op_name
from tinygrad_cnn.tracing.call import array_of


def all_of(kind: type) -> set[type]:
    return {kind, *(found for sub in kind.__subclasses__() for found in all_of(sub))}


def test_operations_are_spelt_as_functions_are():
    kinds = {k for k in all_of(Function) if k.__module__.startswith("tinygrad_cnn.functional")}
    spelt = {op_name(object.__new__(kind)) for kind in kinds}
    for name in """relu prelu silu gelu elu selu relu6 hardtanh leaky_relu logsigmoid log_softmax max_pool2d avg_pool2d
        adaptive_avg_pool2d batch_norm layer_norm cross_entropy nll_loss mse_loss roi_align roi_pool matmul cumsum
        logsumexp cat""".split():
        assert name in spelt
        assert hasattr(F, name)


def test_a_visit_is_the_path_of_a_module_and_becomes_known():
    visit = Visit("block.relu")
    assert visit == "block.relu"
    assert (visit.module, visit.number) == (None, 0)


def test_a_call_says_what_it_is():
    x = Tensor(np.zeros((2, 3), np.float32))
    call = Call(Reshape((6,)), "flat", (x, None, 3), (None, None, None), x.reshape(6), {}, 0.5, 4, "flat#2")
    assert (call.op, call.shape, call.input_shapes) == ("reshape", (6,), ((2, 3), (), ()))
    assert call.nbytes == 0  # a view
    assert repr(call) == "<flat#2: reshape -> (6,)>"
    assert array_of(x) is x.data
    assert array_of(None) is None
