from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Function, Tensor, grad, nn, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import record_calls, summary
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz.drawing import parts
from tinygrad_cnn.viz.facts import SHOWN, Facts, forward_facts, gradient_norms, quantity, together
from tinygrad_cnn.viz.recorded import calls_before

IMAGES = Tensor(np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32))


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        (0, "", "0"),
        (999_999, "", "999,999"),
        (1_000_000, "", "1.00 M"),
        (117_600_000, "", "118 M"),
        (4_089_184_256, "", "4.09 G"),
        (0.0000004, "s", "0.40 µs"),
        (0.0123, "s", "12.3 ms"),
        (0.0999, "s", "99.9 ms"),
        (0.09996, "s", "100 ms"),
        (2.5, "s", "2.50 s"),
        (0.0, "s", "0.00 µs"),
        (40, "B", "40 B"),
        (3_211_264, "B", "3.21 MB"),
    ],
)
def test_quantity(number, unit, expected):
    assert quantity(number, unit) == expected


def test_lines_leave_out_what_is_not_known():
    assert Facts().lines() == ()
    assert Facts(nbytes=0, seconds=1.0).lines() == ("1.00 s",)
    assert Facts(gradient=0.0).lines() == ("gradient 0",)


def test_facts_of_lenet_are_those_of_its_summary():
    model = LeNet5()
    calls = list(record_calls(model, IMAGES))
    found = forward_facts(calls, SHOWN, True, parts(model))
    table = summary(model, (1, 28, 28))
    for call in calls:
        row, facts = table[call.path], found[call]
        assert facts.multiply_adds == row.multiply_adds
        assert facts.nbytes == row.memory
        assert facts.field == (row.receptive_field if len(call.shape) == 4 else None)
        assert facts.seconds == call.seconds > 0
    assert together(list(found.values())).multiply_adds == table.multiply_adds


def test_what_a_unit_sees_is_told_where_it_changes():
    model = LeNet5()
    calls = list(record_calls(model, IMAGES))
    found = forward_facts(calls, ["receptive_field"], True, parts(model))
    lines = {call.path: line for call, facts in found.items() for line in facts.lines()}
    assert lines == {
        "features.conv1": "sees 5 x 5",
        "features.pool1": "sees 6 x 6",
        "features.conv2": "sees 14 x 14",
        "features.pool2": "sees 16 x 16",
    }


def test_a_graph_knows_as_much_but_time_and_memory():
    model = LeNet5()
    calls, _ = calls_before([model(IMAGES)])
    traced = list(record_calls(model, IMAGES))
    found = forward_facts(calls, SHOWN, False, parts(model))
    known = forward_facts(traced, ("multiply_adds", "receptive_field"), True, parts(model))
    assert [found[call] for call in calls] == [known[call] for call in traced]


def test_operations_of_ones_own_are_drawn_without_what_nobody_has_said_of_them():
    class Own(Function):
        def forward(self, x):
            return 2 * x

        def grad_x(self, gy):
            return 2 * gy

    w = Tensor(np.ones((1, 1, 3, 3), np.float32))
    with trace(nn.Identity()) as t:
        x = F.conv2d(IMAGES, w)
        F.conv2d(x + Own()(x), w)
    conv, own, total, last = (facts for facts in forward_facts(list(t), SHOWN, True, {}).values())
    assert (own.multiply_adds, own.field) == (0, None)
    assert (total.field, last.field) == (None, None)  # nobody knows what they see
    assert str(conv.field) == "3 / 1"
    assert last.multiply_adds > 0


def test_frozen_weights_that_no_graph_keeps():
    b = Tensor(np.zeros(4), requires_grad=True)
    calls, _ = calls_before([F.linear(Tensor(np.ones((2, 3))), Tensor(np.ones((4, 3))), b)])
    assert forward_facts(calls, SHOWN, False, {})[calls[0]].multiply_adds == 0


def test_together_of_nothing():
    assert together([]) is None
    assert together([None, Facts(3), None]) == Facts(3, wider=True)


def test_gradient_norms_are_those_of_grad_and_change_nothing():
    rng = np.random.default_rng(0)
    x, w = (Tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((2, 3), (4, 3)))
    x.grad = before = Tensor(np.ones((2, 3)))
    h = F.linear(x, w)
    loss = h.tanh().sum()
    norms = gradient_norms(loss, [x, w])
    for tensor, g in zip((x, w, h), grad(loss, [x, w, h], retain_graph=True), strict=True):
        assert norms[tensor.edge] == pytest.approx(np.linalg.norm(g.numpy()))
    assert x.grad is before
    assert w.grad is None
    loss.backward()


def test_gradient_norms_need_one_number():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"of one number such as the loss, got shape \(2, 3\)"):
        gradient_norms(x.exp(), [x])


def test_sampling_sees_other_places_for_every_unit():
    x, grid = IMAGES, Tensor(np.zeros((1, 4, 4, 2), np.float32), requires_grad=True)
    with trace(nn.Identity()) as t:
        y = F.grid_sample(x, grid, align_corners=False)
    calls, _ = calls_before([y])
    assert {facts.field for facts in forward_facts(calls, SHOWN, False, {}).values()} == {None}
    assert {facts.field for facts in forward_facts(list(t), SHOWN, True, {}).values()} == {None}


def test_weights_are_not_taken_for_the_image():
    model = nn.Conv2d(1, 2, 3)
    with trace(model) as t:
        F.conv2d(IMAGES, model.weight * 2)
    scaled, conv = forward_facts(list(t), SHOWN, True, parts(model)).values()
    assert scaled.field is None
    assert str(conv.field) == "3 / 1"


def test_the_image_may_be_an_array():
    model = LeNet5()
    calls = list(record_calls(model, IMAGES.data))
    assert str(forward_facts(calls, SHOWN, True, parts(model))[calls[0]].field) == "5 / 1"
