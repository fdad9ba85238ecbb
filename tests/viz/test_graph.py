from __future__ import annotations

import re
import sys
import sysconfig
from html import unescape
from time import perf_counter
from weakref import ref

import numpy as np
import pytest

from tinygrad_cnn import Function, Tensor, enable_grad, grad, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.models import LeNet5, resnet50
from tinygrad_cnn.state import generator_state
from tinygrad_cnn.viz import Graph, draw_graph


def leaf(*shape, dtype=np.float32):
    return Tensor(np.ones(shape, dtype), requires_grad=True)


def boxes(graph: Graph) -> dict[str, str]:
    """The text of each box by its id, lines joined by a bar."""
    found = re.findall(r"^ *(n\d+) \[.*label=<(.*)>\]$", graph.dot, re.M)
    return {name: unescape(re.sub(r"<[^>]*>", "", label.replace("<BR/>", "|"))) for name, label in found}


def edges(graph: Graph, kind: str = "") -> list[tuple[str, str, str]]:
    """(from, to, label) of each arrow, by the titles of its boxes, as drawn."""
    colour = {"": "", "gradient": "#c2542d"}[kind]
    titles = {name: text.split("|")[0] for name, text in boxes(graph).items()}
    result = []
    for first, second, attributes in re.findall(r"(n\d+) -> (n\d+) \[(.*)\]$", graph.dot, re.M):
        if colour in attributes and (kind or "#c2542d" not in attributes):
            if "dir=back" in attributes:
                first, second = second, first
            label = re.search(r"label=<  (.*)>", attributes)
            result.append((titles[first], titles[second], label[1] if label else ""))
    return result


def lenet_loss(batch=2):
    model = LeNet5()
    images = np.random.default_rng(0).random((batch, 1, 28, 28), dtype=np.float32)
    return model, F.cross_entropy(model(Tensor(images)), Tensor(np.arange(batch)))


# --- forward -------------------------------------------------------------------------------------------------------


def test_a_product_with_itself_keeps_both_edges():
    x = leaf(3)
    graph = draw_graph((x * x).sum(), names={"x": x})
    assert edges(graph) == [("x", "Mul", ""), ("x", "Mul", ""), ("Mul", "Sum", ""), ("Sum", "output", "")]
    assert list(boxes(graph).values()) == ["x|(3,)", "Mul|(3,)", "Sum|scalar", "output|3"]


def test_without_names_a_leaf_is_labelled_by_its_shape_and_its_role_by_the_input():
    x, w = leaf(2, 3), leaf(4, 3)
    graph = draw_graph(F.linear(x, w))
    assert edges(graph) == [("(2, 3)", "Linear", "x"), ("(4, 3)", "Linear", "w"), ("Linear", "output", "")]


def test_numbers_constants_and_inputs_without_a_gradient():
    x, image = leaf(2), Tensor(np.ones(2, np.float32))
    graph = draw_graph((x * image) ** 2 + image, names={"x": x})
    assert list(boxes(graph).values()) == [
        "x|(2,)",
        "input|(2,)",
        "Mul|(2,)",
        "Pow|x2 = 2|(2,)",
        "Add|x2 is constant|(2,)",
        "output|(2,)",
    ]


def test_the_same_constant_is_drawn_once():
    x, image = leaf(2), Tensor(np.ones(2, np.float32))
    graph = draw_graph((x * image) * image, names={"image": image})
    assert list(boxes(graph).values()).count("image|(2,)") == 1
    assert ("image", "Mul", "") in edges(graph)


def test_a_missing_bias_is_not_drawn():
    graph = draw_graph(F.linear(leaf(2, 3), leaf(4, 3), None))
    assert "constant" not in graph.dot
    assert len(boxes(graph)) == 4


def test_names_of_computed_tensors_and_of_the_output():
    x = leaf(2)
    h = x.exp()
    loss = h.sum()
    graph = draw_graph(loss, names={"x": x, "h": h, "loss": loss})
    assert [text.split("|")[0] for text in boxes(graph).values()] == ["x", "h = Exp", "Sum", "loss"]


def test_several_outputs_share_one_drawing():
    x = leaf(2)
    h = x.exp()
    graph = draw_graph([h, h.sum()])
    assert edges(graph) == [("(2,)", "Exp", ""), ("Exp", "Sum", ""), ("Exp", "output 0", ""), ("Sum", "output 1", "")]


def test_an_output_that_is_a_leaf():
    graph = draw_graph(leaf(2))
    assert edges(graph) == [("(2,)", "output", "")]


def test_float64_is_said():
    assert "(2,) float64" in draw_graph(leaf(2, dtype=np.float64).exp()).dot


def test_lenet_names_modules_parameters_and_shapes():
    model, loss = lenet_loss()
    graph = draw_graph(loss, model)
    assert repr(graph) == "Graph(13 operations, 10 parameters, 2 inputs, 25 edges)"
    text = graph.dot
    assert "<B>LeNet5</B>" in text
    assert "61,706 parameters" in text
    for name, parameter in model.named_parameters():
        assert text.count(f'tooltip="{name}, {parameter.size:,} parameters, {parameter.shape}"') == 1
    assert re.findall(r'subgraph.*tooltip="(.*?)"', text) == [
        "features",
        "features.conv1",
        "features.conv2",
        "classifier",
        "classifier.fc1",
        "classifier.fc2",
        "classifier.fc3",
    ]
    inside = text[text.index('tooltip="features.conv2"') :].split("}")[0]
    assert "features.conv2.weight" in inside
    assert "5 x 5" in inside
    assert "MaxPool2d</B>" in text


def test_what_is_no_part_of_the_model_stands_outside_of_its_frames():
    model, loss = lenet_loss()
    outside = draw_graph(loss, model).dot.split("subgraph")[0]
    assert outside.count('tooltip="input') == 1
    assert draw_graph(loss, model).dot.index("(2,) int64") > draw_graph(loss, model).dot.rindex("subgraph")


def test_a_shared_parameter_stands_around_all_that_use_it():
    class Twice(nn.Module):
        def __init__(self):
            self.first = nn.Linear(3, 3)
            self.second = nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    model = Twice()
    text = draw_graph(model(Tensor(np.ones((2, 3), np.float32))), model).dot
    assert text.index('tooltip="first.weight') < text.index("subgraph")
    assert text.index('tooltip="first.bias') > text.index("subgraph")


def test_parts_that_are_frozen_or_buffers_have_names_but_no_gradient():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    x = leaf(2, 3)
    model[0].requires_grad_(False)
    graph = draw_graph(model(x), model, names={"x": x})
    lines = {text.split("|")[0] for text in boxes(graph).values()}
    assert {"x", "weight", "running_mean", "running_var"} <= lines
    frozen = next(line for line in graph.dot.splitlines() if 'tooltip="0.weight' in line)
    assert "parameters" not in frozen
    gradients = edges(draw_graph(model(x), model, direction="both"), "gradient")
    assert ("Linear", "input", "grad_x") in gradients
    assert "grad_w" not in {rule for _, _, rule in gradients}


def test_an_input_that_requires_a_gradient_is_no_parameter_of_the_model():
    model = nn.Linear(3, 4)
    graph = draw_graph(model(leaf(2, 3)), model)
    assert "input|requires grad|(2, 3)" in boxes(graph).values()
    assert repr(graph).startswith("Graph(1 operations, 2 parameters, 1 inputs")


# --- backward and both ---------------------------------------------------------------------------------------------


def test_backward_shows_rules_from_the_output_to_the_leaves():
    x, w = leaf(2, 3), leaf(4, 3)
    graph = draw_graph(F.linear(x, w).sum(), direction="backward", names={"x": x, "w": w})
    assert edges(graph) == []
    assert set(edges(graph, "gradient")) == {
        ("gradient of output", "Sum", ""),
        ("Sum", "Linear", "grad_x"),
        ("Linear", "x.grad", "grad_x"),
        ("Linear", "w.grad", "grad_w"),
    }
    assert "Linear|keeps x, w|gy (2, 4)" in boxes(graph).values()
    assert next(iter(boxes(graph).values())) == "gradient of output|scalar"


def test_backward_says_where_gradients_are_added():
    x = leaf(2)
    graph = draw_graph(x * x, direction="backward", names={"x": x})
    assert "x.grad|sum of 2 gradients|(2,)" in boxes(graph).values()
    assert {rule for _, _, rule in edges(graph, "gradient")} == {"", "grad_x1", "grad_x2"}


def test_no_gradient_flows_to_constants():
    x, image = leaf(2), Tensor(np.ones(2, np.float32))
    assert len(boxes(draw_graph(x * image, direction="backward"))) == 3
    both = draw_graph(x * image, direction="both")
    assert len(boxes(both)) == 4
    assert edges(both, "gradient") == [("Mul", "(2,)", "grad_x1"), ("output", "Mul", "")]


def test_both_has_every_value_and_every_gradient():
    model, loss = lenet_loss()
    forward, backward, both = (draw_graph(loss, model, direction=d) for d in ("forward", "backward", "both"))
    assert len(edges(both)) == len(edges(forward)) == 25
    assert len(edges(both, "gradient")) == len(edges(backward, "gradient")) == 23  # not to the image, not to the labels
    assert ("CrossEntropy", "Linear", "grad_x") in edges(both, "gradient")
    assert boxes(both) == boxes(forward)


def test_the_graph_of_a_gradient_can_be_drawn():
    x = leaf(2)
    (gx,) = grad((x**3).sum(), x, create_graph=True)
    assert "Pow|x2 = 2|(2,)" in boxes(draw_graph(gx, names={"x": x})).values()


# --- limits --------------------------------------------------------------------------------------------------------


def test_the_text_is_complete_and_the_picture_is_folded():
    x = y = leaf(2)
    for _ in range(5_000):
        y = y * 1.0 + x
    graph = draw_graph(y)
    assert len(boxes(graph)) == 10_002
    assert graph.dot.count(" -> ") == 15_001
    svg = graph.render()
    assert svg.count(b'class="node"') <= 500
    assert b"10,002 boxes drawn as" in svg
    assert b"5,000 times in a row" in svg


def test_max_nodes_folds_modules():
    model, loss = lenet_loss()
    svg = draw_graph(loss, model, max_nodes=6).render()
    assert svg.count(b'class="node"') <= 6
    assert b"modules folded" in svg


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_work_grows_in_proportion_to_the_graph(direction):
    def calls(n):
        x = y = leaf(2)
        for _ in range(n):
            y = y * x
        count = 0

        def profile(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            _ = draw_graph(y, direction=direction).dot
        finally:
            sys.setprofile(None)
        return count

    assert calls(2_000) / calls(500) == pytest.approx(4, rel=0.1)


def test_a_drawing_keeps_no_graph_alive():
    y = leaf(2).exp()
    node = ref(y.grad_fn)
    graph = draw_graph(y)
    del y
    assert node() is None
    assert "Exp" in graph.dot


# --- traces, facts, modules ----------------------------------------------------------------------------------------


def lenet_trace(record=True):
    model = LeNet5()
    images = Tensor(np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32))
    with enable_grad() if record else no_grad(), trace(model) as t:
        F.cross_entropy(model(images), Tensor(np.arange(2)))
    return t


PLAIN = ("multiply_adds", "receptive_field")


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_a_trace_and_a_loss_give_the_same_drawing(direction):
    t = lenet_trace()
    drawn = draw_graph(t, direction=direction, show=PLAIN)
    assert drawn.dot == draw_graph(t[-1].output, t.model, direction=direction).dot


def test_a_trace_without_gradients_has_the_same_values():
    drawn = draw_graph(lenet_trace(record=False), show=PLAIN)
    assert len(boxes(drawn)) == 26
    assert edges(drawn) == edges(draw_graph(lenet_trace(), show=PLAIN))
    with pytest.raises(ValueError, match="has no graph"):
        draw_graph(lenet_trace(record=False), direction="backward")


def test_a_trace_of_arrays():
    with trace(nn.Identity()) as t:
        F.exp(F.add(np.ones(2), 1.5))
    assert list(boxes(draw_graph(t, show=())).values()) == [
        "input|(2,) float64",
        "Add|x2 = 1.5|(2,) float64",
        "Exp|(2,) float64",
        "output|(2,) float64",
    ]


def test_a_traced_product_with_itself_keeps_both_edges_at_every_depth():
    x = leaf(3)
    with trace(nn.Identity()) as t:
        (x * x).sum()
    graph = draw_graph(t, names={"x": x})
    assert edges(graph)[:2] == [("x", "Mul", ""), ("x", "Mul", "")]
    svg = draw_graph(t, depth=1).render()
    assert svg.count(b'class="edge"') == 4


def test_a_trace_may_be_drawn_after_backward_but_not_its_gradients():
    t = lenet_trace()
    before = edges(draw_graph(t))
    t[-1].output.backward()
    assert edges(draw_graph(t)) == before
    for direction in ("backward", "both"):
        with pytest.raises(RuntimeError, match=r"already used and freed by backward"):
            draw_graph(t, direction=direction)


def test_boxes_tell_what_is_asked_for():
    t = lenet_trace()
    text = boxes(draw_graph(t, names={"images": t[0].inputs[0]}))
    conv = next(box for box in text.values() if box.startswith("Conv2d"))
    assert re.fullmatch(
        r"Conv2d\|5 x 5, padding 2\|235,200 multiply-adds, sees 5 x 5\|[\d.]+ .?s, 37.6 kB\|\(2, 6, 28, 28\)", conv
    )
    assert "images|(2, 1, 28, 28)" in text.values()
    assert "Conv2d|5 x 5, padding 2|(2, 6, 28, 28)" in boxes(draw_graph(t, show=[])).values()
    shown = boxes(draw_graph(t, show=["gradients"])).values()
    assert all("gradient " in box for box in shown if "input" not in box and "output" not in box)
    assert "833,040 multiply-adds" in draw_graph(t).dot
    assert re.search(r"117 kB of results, [\d.]+ .?s<", draw_graph(t).dot)


def test_norms_of_gradients_are_those_of_backward():
    model, loss = lenet_loss()
    shown = boxes(draw_graph(loss, model, direction="backward", show=["gradients"]))
    loss.backward()
    for name, parameter in model.named_parameters():
        norm = float(np.linalg.norm(parameter.grad.numpy()))
        text = next(
            box for box in shown.values() if box.split("|")[0] == f"{name.split('.')[-1]}.grad" and f"{norm:.3g}" in box
        )
        assert f"gradient {norm:.3g}|{parameter.shape}" in text


def test_thumbnails_show_images_and_maps():
    svg = draw_graph(lenet_trace(), show=["thumbnails"]).render()
    assert svg.count(b"data:image/png;base64,") == 13  # the image, and all results but the loss
    assert draw_graph(lenet_trace(), show=["thumbnails"]).dot.count("IMG") == 0
    assert b"data:image" not in draw_graph(lenet_trace(), show=["thumbnails"], direction="backward").render()


def test_tooltips_have_formula_shapes_and_what_is_kept():
    model, loss = lenet_loss()
    svg = draw_graph(loss, model).render().decode()
    linear = [title for title in re.findall(r"<title>([^<]*)</title>", svg) if title.startswith("Linear")][-1]
    assert unescape(linear).splitlines()[-3:] == [
        "y[n, o] = b[o] + sum over i of x[n, i] * w[o, i].",
        "x (2, 84), w (10, 84), b (10,) -> (2, 10)",
        "kept for backward: x, w (4.03 kB)",
    ]


def test_by_module():
    t = lenet_trace()
    svg = unescape(draw_graph(t, depth=1, show=PLAIN).render().decode())
    titles = re.findall(r"<title>([^,<]*)", svg)
    assert sorted(titles) == ["CrossEntropy", "classifier", "features", "input", "input", "output"]
    assert "59,134 parameters" in svg
    assert "117,840 multiply-adds" in svg
    assert "sees 16 x 16" in svg


def model_state(model):
    tensors = (*model.parameters(), *model.buffers())
    return [t.data.tobytes() for t in tensors], [t.grad for t in tensors], [m.training for m in model.modules()]


def test_a_drawing_changes_nothing():
    t = lenet_trace()
    before, random = model_state(t.model), generator_state()
    for direction in ("forward", "backward", "both"):
        draw_graph(t, direction=direction, show=("time", "gradients", "thumbnails")).render()
    assert model_state(t.model) == before
    assert generator_state() == random
    t[-1].output.backward()  # the graph is still there


@pytest.fixture(scope="module")
def resnet():
    model = resnet50()
    with trace(model) as t:
        F.cross_entropy(model(Tensor(np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))), np.arange(2))
    return t


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("depth", [None, 3, 2])
def test_resnet50_is_legible_and_quickly_drawn(resnet, direction, depth):
    start = perf_counter()
    svg = draw_graph(resnet, direction=direction, depth=depth, show=PLAIN).render()
    assert perf_counter() - start < 3
    width, scale = re.search(rb'<svg width="([\d.]+)pt".*?viewBox="[\d.]+ [\d.]+ ([\d.]+)', svg, re.DOTALL).groups()
    pixels = 96 / 72  # of a point, in a browser at 100 %
    assert float(width) * pixels <= 1600.5
    smallest = min(map(float, re.findall(rb'font-size="([\d.]+)"', svg)))
    assert smallest * float(width) / float(scale) * pixels >= 9
    assert svg.count(b"Bottleneck") >= 8
    assert b"3 alike" in svg  # of layer2, the blocks 1 to 3


def test_a_picture_that_would_be_too_wide_has_its_parameters_inside():
    xs, ws = ([leaf(2, 3) for _ in range(30)], [leaf(4, 3) for _ in range(30)])
    graph = draw_graph([F.linear(x, w) for x, w in zip(xs, ws, strict=True)], names={"x": xs[0]})
    assert len(boxes(graph)) == 120
    assert graph.render().count(b'class="node"') == 60


def test_resnet50_by_module_fits_a_page(resnet):
    svg = draw_graph(resnet, depth=2, show=PLAIN).render().decode()
    assert svg.count('class="node"') == 19
    assert "5 alike, the first:" in svg
    assert "<title>layer3.1 ... layer3.5, Bottleneck, 5 alike, the first:, 10 operations, 1,117,184 parameters" in svg


# --- files and notebooks -------------------------------------------------------------------------------------------


@pytest.fixture
def no_renderer(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(empty))


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_save_writes_the_picture_and_the_complete_text(tmp_path, suffix, start):
    graph = draw_graph(leaf(2).exp())
    graph.save(tmp_path / f"graph{suffix}")
    assert (tmp_path / f"graph{suffix}").read_bytes().startswith(start)
    assert (tmp_path / "graph.dot").read_text() == graph.dot
    assert len(list(tmp_path.iterdir())) == 2


def test_save_of_the_text_alone_needs_no_renderer(tmp_path, no_renderer):
    graph = draw_graph(leaf(2).exp())
    graph.save(str(tmp_path / "graph.dot"))
    assert (tmp_path / "graph.dot").read_text() == graph.dot


def test_without_a_renderer_the_text_is_written_and_the_old_picture_stays(tmp_path, no_renderer):
    (tmp_path / "graph.svg").write_text("old")
    with pytest.raises(RuntimeError, match=r"graphviz-pure") as caught:
        draw_graph(leaf(2).exp()).save(tmp_path / "graph.svg")
    assert "graph.dot has been written" in caught.value.__notes__[0]
    assert (tmp_path / "graph.dot").exists()
    assert (tmp_path / "graph.svg").read_text() == "old"


@pytest.mark.parametrize("name", ["graph.pdf", "graph", "graph.SVG"])
def test_save_refuses_other_formats_before_it_writes(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.svg, \.png or \.dot"):
        draw_graph(leaf(2).exp()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_render_refuses_other_formats():
    with pytest.raises(ValueError, match="'svg' or 'png', got 'pdf'"):
        draw_graph(leaf(2).exp()).render("pdf")


def test_jupyter_shows_a_picture():
    bundle = draw_graph(leaf(2).exp())._repr_mimebundle_(include=None, exclude=None)
    assert bundle["image/svg+xml"].rstrip().endswith("</svg>")
    assert bundle["text/plain"] == "Graph(1 operations, 1 parameters, 0 inputs, 2 edges)"


def test_jupyter_shows_text_where_nothing_can_draw(no_renderer):
    bundle = draw_graph(leaf(2).exp())._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "graphviz-pure" in bundle["text/plain"]


# --- errors --------------------------------------------------------------------------------------------------------


def test_a_freed_graph_says_what_to_do():
    y = leaf(2).exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"freed by backward\(\). Draw before .*retain_graph=True"):
        draw_graph(y)


def test_a_retained_graph_can_be_drawn():
    y = leaf(2).exp().sum()
    y.backward(retain_graph=True)
    assert len(boxes(draw_graph(y))) == 4


def test_what_was_not_recorded_cannot_be_drawn():
    x = leaf(2)
    with no_grad():
        y = x.exp()
    with pytest.raises(ValueError, match=r"output 1 \(shape \(2,\)\) has no graph.*no_grad"):
        draw_graph([x.exp(), y])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"output": []}, ValueError, "no output was given"),
        ({"output": [np.ones(2)]}, TypeError, "output 0 must be a Tensor, got ndarray"),
        ({"model": {"w": 1}}, TypeError, "model must be a Module.*got dict"),
        ({"direction": "sideways"}, ValueError, "'forward', 'backward' or 'both', got 'sideways'"),
        ({"depth": 0}, ValueError, "depth must be None or an int of at least 1, got 0"),
        ({"depth": True}, ValueError, "depth must be None or an int of at least 1, got True"),
        ({"show": ["speed"]}, ValueError, r"show must hold some of 'multiply_adds', .*, got \['speed'\]"),
        ({"show": "time"}, ValueError, "show must hold some of"),
        ({"show": ["thumbnails"]}, ValueError, "thumbnails need the values: draw a trace"),
        ({"show": ["gradients"]}, ValueError, r"gradients are shown of one number.*shape \(2,\)"),
        ({"output": [leaf(1), leaf(1)], "show": ["gradients"]}, ValueError, "of one output such as the loss, got 2"),
        ({"max_nodes": 2}, ValueError, "at least 3, got 2"),
        ({"max_nodes": True}, ValueError, "at least 3, got True"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        draw_graph(**{"output": leaf(2).exp(), **arguments})


def test_an_operation_of_the_user_with_a_joint_rule():
    class Swap(Function):
        def forward(self, *xs):
            return xs[0] - xs[1]

        def backward(self, gy):
            return gy, -gy

    a, b = leaf(2), leaf(2)
    graph = draw_graph(Swap()(a, b), names={"a": a, "b": b}, direction="backward")
    assert ("Swap", "b.grad", "backward") in edges(graph, "gradient")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda y: draw_graph(3), TypeError, "output must be a Tensor, several, or a trace, got int"),
        (lambda y: draw_graph(y, names=3), TypeError, "names must be a dict of tensors by their names, got 3"),
        (lambda y: draw_graph(y, direction=[]), ValueError, "direction must be"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(Tensor([1.0], requires_grad=True) * 2)
