from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, models, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import receptive_field, units_seeing
from tinygrad_cnn.analysis.receptive.field import bounds
from tinygrad_cnn.autograd import Function, grad
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.nn import init


class Op(nn.Module):
    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


class Random:
    """Random graphs in float64 of operations without cancellation: what a unit sees is where its gradient is not 0."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.regular = seed % 2 == 0  # half of the graphs have sliding windows only

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pair(self, low, high):
        return self.int(low, high), self.int(low, high)

    def weight(self, *shape):
        return self.rng.uniform(0.5, 1, shape)

    def conv(self, x):
        kernel, dilation = self.pair(1, 3), self.pair(1, 3)
        padding = [tuple(self.pair(0, 3)) for _ in range(2)]
        if any(n + sum(p) <= d * (k - 1) for n, p, k, d in zip(x.shape[2:], padding, kernel, dilation, strict=True)):
            return x
        weight = self.weight(self.int(1, 2), x.shape[1], *kernel)
        if self.int(0, 2):
            return F.conv2d(x, weight, None, self.pair(1, 3), padding, dilation)
        padding = self.rng.choice(["same", "same_tf"])
        stride = 1 if padding == "same" else self.pair(1, 2)
        return F.conv2d(x, weight, None, stride, padding, dilation)

    def transposed(self, x):
        kernel, stride, dilation = self.pair(1, 3), self.pair(1, 3), self.pair(1, 2)
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        padding = [self.int(0, (e - 1) // 2) for e in extents]
        extra = [self.int(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        if max(x.shape[2:]) > 12:
            stride, extra = (1, 1), (0, 0)
        weight = self.weight(x.shape[1], 1, *kernel)
        return F.conv_transpose2d(x, weight, None, stride, padding, extra, 1, dilation)

    def pool(self, x):
        kernel = tuple(min(self.int(1, 4), n) for n in x.shape[2:])
        padding = [self.int(0, k // 2) for k in kernel]
        return F.avg_pool2d(x, kernel, self.pair(1, 3), padding, bool(self.int(0, 1)), bool(self.int(0, 1)))

    def adaptive(self, x):
        return F.adaptive_avg_pool2d(x, [self.int(1, n) for n in x.shape[2:]])

    def resize(self, x):
        if max(x.shape[2:]) > 16:
            return x
        mode = self.rng.choice(["nearest", "bilinear"])
        return F.interpolate(x, self.pair(1, 18), mode=str(mode))

    def cut(self, x):
        if self.int(0, 1):
            return F.pad(
                x, [self.int(0 if n > 2 else 1, 2) * (-1 if n > 4 else 1) for n in x.shape[:1:-1] for _ in "ab"]
            )
        return x[:, :, :: self.int(1, 2), self.int(0, 1) if x.shape[3] > 1 else 0 :]

    def turn(self, x):
        if self.int(0, 1):
            return F.flip(x, self.int(2, 3))
        return F.roll(x, self.int(1, 3), self.int(2, 3)) if self.int(0, 1) else F.transpose(x, 2, 3)

    def sum(self, x):
        return x + F.mean(x, self.int(2, 3), keepdim=True)

    def branches(self, x):
        a, b = self.layer(x), self.layer(x)
        if a.shape[2:] != b.shape[2:]:
            b = F.interpolate(b, a.shape[2:])
        if self.int(0, 1):
            return F.cat([a, b], 1) if a.shape[1] + b.shape[1] < 5 else a
        if self.int(0, 3) == 0:
            return F.cat([a, a], self.int(2, 3)) if max(a.shape[2:]) < 12 else a
        return a + F.mean(b, 1, keepdim=True)

    def still(self, x):
        kernel, dilation = self.pair(1, 3), self.pair(1, 2)
        return F.conv2d(x, self.weight(x.shape[1], x.shape[1], *kernel), None, 1, "same", dilation)

    def block(self, x):
        return self.still(self.still(x)) + (self.still(x) if self.int(0, 1) else x)

    def layer(self, x):
        kinds = [self.conv] * 5 + [self.pool] * 2 + [self.branches] * 2 + [self.block] * 2
        if not self.regular:
            kinds += [self.transposed, self.adaptive, self.resize, self.cut, self.turn, self.sum]
        return kinds[self.int(0, len(kinds) - 1)](x)

    def network(self, x):
        for _ in range(self.int(2, 5)):
            x = self.layer(x)
        return x


def support(y, x, unit):
    (g,) = grad(y[:, :, unit[0], unit[1]].sum(), x, retain_graph=True)
    return np.abs(g.data).sum((0, 1)) > 0


@pytest.mark.parametrize("hundred", range(4))
def test_what_a_unit_sees_is_where_its_gradient_is_not_zero(hundred):
    """400 random graphs: holes, borders, corners."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        random = Random(seed)
        x = Tensor(random.weight(1, random.int(1, 2), random.int(5, 18), random.int(5, 18)), requires_grad=True)
        model = Op(random.network)
        with trace(model) as t:
            y = model(x)
        call = next((call for call in t if call.output.data is y.data), None)
        if call is None:  # a graph of no operation
            continue
        field = receptive_field(t, call, relative_to=x)
        rows, columns = y.shape[2:]
        units = {(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (random.int(0, rows - 1), 0)}
        boxes = field.boxes()
        for unit in units:
            seen = support(y, x, unit)
            assert np.array_equal(field.mask(*unit), seen), (seed, unit, t.addresses)
            assert field.box(*unit) == bounds(seen)
            assert np.array_equal(boxes[unit], bounds(seen))
            (top, bottom), (left, right) = bounds(seen)
            if seen.any():
                assert field.units(((top, bottom), (left, right)))[unit]
            if field.regular:
                (a, b), (c, d) = field.box(*unit, clip=False)
                assert not seen.any() or (a <= top and bottom <= b and c <= left and right <= d)


@pytest.fixture
def no_initial_values(monkeypatch):
    monkeypatch.setattr(init, "uniform_", lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(init, "normal_", lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize(
    ("model", "size", "address", "expected"),
    [
        (models.vgg16, (3, 64, 64), "features.30", (212, 32, 90)),
        (models.resnet50, (3, 64, 64), "layer3", (267, 16, 133)),
        (models.resnet50, (3, 64, 64), "layer4", (427, 32, 213)),
    ],
)
def test_published_sizes_strides_and_paddings(model, size, address, expected, no_initial_values):
    field = receptive_field(model(), address, size)
    assert (field.size, field.stride, field.padding) == tuple((n, n) for n in expected)
    assert field.box(0, 0, clip=False) == ((-expected[2], expected[0] - expected[2]),) * 2


def test_lenet_1998_sees_the_whole_image_in_c5():
    trace = record_calls(models.LeNet5_1998(), np.zeros((1, 1, 32, 32), np.float32))
    field = receptive_field(trace, "layers.c5")
    assert field.size == (32, 32)
    assert field.mask().all()
    assert receptive_field(trace, "layers.output").mask(3).all()  # behind the flattening


def test_holes_of_dilation():
    field = receptive_field(nn.Conv2d(1, 1, 3, dilation=2), "conv2d", (1, 7, 9))
    assert (field.size, field.offset) == ((5, 5), (2.0, 2.0))
    rows, columns = np.nonzero(field.mask(1, 2))
    assert (sorted(set(rows)), sorted(set(columns))) == ([1, 3, 5], [2, 4, 6])
    assert field.box(1, 2) == ((1, 6), (2, 7))
    assert field.centre(1, 2) == (3.0, 4.0)


def test_units_and_boxes_between_two_maps(no_initial_values):
    trace = record_calls(models.LeNet5(), np.zeros((1, 1, 28, 28), np.float32))
    field = receptive_field(trace, "features.pool2", relative_to="features.pool1")
    assert (field.size, field.stride, field.padding) == ((6, 6), (2, 2), (0, 0))
    assert (field.map_size, field.image_size) == ((5, 5), (14, 14))
    assert field.box(1, 2) == ((2, 8), (4, 10))
    rows, columns = np.nonzero(field.units((2, 13)))
    assert (set(rows), set(columns)) == ({0, 1}, {4})
    whole = receptive_field(trace, "features.pool2")
    assert whole.box(0, 4) == ((0, 14), (14, 28))  # 16 pixels with a padding of 2
    assert whole.box(0, 4, clip=False) == ((-2, 14), (14, 30))
    assert whole.centre(0, 4) == (5.5, 21.5)
    assert np.array_equal(units_seeing(trace, "features.pool2", ((14, 28), (3, 4))), whole.units(((14, 28), (3, 4))))


def test_forth_is_the_transpose_of_back():
    """A unit is among those that see a pixel exactly where the pixel is among those that it sees."""
    for seed in range(40):
        random = Random(1000 + seed)
        x = random.weight(1, 1, 7, 6)
        trace = record_calls(Op(random.network), x)
        if not len(trace) or len(trace[-1].shape) != 4:
            continue
        try:
            field = receptive_field(trace, trace[-1], relative_to=x)
        except ValueError:  # the last call was thrown away
            continue
        units = {pixel: field.units(pixel) for pixel in np.ndindex(7, 6)}
        for unit in np.ndindex(*field.map_size):
            assert np.array_equal(field.mask(*unit), [[units[r, c][unit] for c in range(6)] for r in range(7)]), seed


class Branches(nn.Module):
    def __init__(self):
        self.tall, self.wide = nn.Conv2d(1, 1, (3, 1), padding=(1, 0)), nn.Conv2d(1, 1, (1, 5), padding=(0, 2))

    def forward(self, x):
        return self.tall(x) + self.wide(x)


def test_each_edge_is_set_by_a_path():
    field = receptive_field(Branches(), "add", (1, 9, 9))
    assert field.box(4, 4) == ((3, 6), (2, 7))
    assert [field.path(4, 4, edge=edge) for edge in ("top", "bottom", "left", "right")] == [
        ["tall", "add"], ["tall", "add"], ["wide", "add"], ["wide", "add"]
    ]  # fmt: skip
    assert field.mask(4, 4).sum() == 3 + 5 - 1  # a cross, not its box
    with pytest.raises(ValueError, match="top, bottom, left, right"):
        field.path(4, 4, edge="upper")


def test_the_path_to_an_edge_alone_sees_that_edge():
    axis_of = {"top": (0, 0), "bottom": (0, 1), "left": (1, 0), "right": (1, 1)}
    for seed in range(60):
        random = Random(2000 + seed)
        x = random.weight(1, 1, 12, 13)
        trace = record_calls(Op(random.network), x)
        try:
            field = receptive_field(trace, trace[-1], relative_to=x)
        except (ValueError, IndexError):
            continue
        if len(field.map_size) != 2 or not field.mask(0, 0).any():
            continue
        for edge, (axis, end) in axis_of.items():
            path = field.path(0, 0, edge=edge)
            alone = dict(field.wiring.into)
            field.wiring.into = {i: links for i, links in alone.items() if trace[i].address in path}
            before = [-1, *field.wiring.into]  # what stands before each call of the path
            field.wiring.into = {
                i: [(source, link) for source, link in links if source == before[k]]
                for k, (i, links) in enumerate(field.wiring.into.items())
            }
            found = field.box(0, 0)
            field.wiring.into = alone
            assert found[axis][end] == field.box(0, 0)[axis][end], (seed, edge)


def test_regions_of_interest_have_samples():
    boxes = np.array([[0, 0, 0, 3, 3], [0, 4, 2, 7, 7]], np.float64)
    for pool in (F.roi_pool, lambda x, b, n: F.roi_align(x, b, n, sampling_ratio=2)):
        x = Tensor(np.random.default_rng(0).uniform(0.5, 1, (1, 1, 9, 10)), requires_grad=True)
        model = Op(lambda x, pool=pool: pool(x, boxes, (2, 1)))
        with trace(model) as t:
            y = model(x)
        for sample in (0, 1):
            field = receptive_field(t, t[-1], sample=sample)
            for unit in ((0, 0), (1, 0)):
                (g,) = grad(y[sample, 0, unit[0], unit[1]], x, retain_graph=True)
                seen, found = field.mask(*unit), g.data[0, 0] != 0
                assert found.any()
                assert not (found & ~seen).any()
                if pool is not F.roi_pool:  # whose gradient goes to the maximum alone
                    assert np.array_equal(seen, found)
        each = [receptive_field(t, t[-1], sample=sample).mask(0, 0) for sample in (0, 1)]
        assert np.array_equal(receptive_field(t, t[-1]).mask(0, 0), each[0] | each[1])
    with pytest.raises(IndexError, match="sample 2 is out of range"):
        receptive_field(t, t[-1], sample=2)


def test_the_elements_of_a_pyramid_see_their_bins():
    field = receptive_field(nn.SpatialPyramidPool((1, 2)), "cat", (1, 6, 7))
    assert field.map_size == (5,)
    assert [field.box(i) for i in range(5)] == [
        ((0, 6), (0, 7)), ((0, 3), (0, 4)), ((0, 3), (3, 7)), ((3, 6), (0, 4)), ((3, 6), (3, 7))
    ]  # fmt: skip
    assert field.boxes().shape == (5, 2, 2)
    assert field.box() == ((0, 6), (0, 7))


def test_signals():
    model = nn.Sequential(nn.Conv1d(2, 3, 3, dilation=2), nn.MaxPool1d(2))
    trace = record_calls(model, np.zeros((1, 2, 16), np.float32))
    field = receptive_field(trace, "1")
    assert (field.size, field.stride) == ((1, 6), (1, 2))
    assert field.box(1) == ((0, 2), (2, 8))  # both channels of the signal


def test_one_size_does_not_fit_all():
    field = receptive_field(Op(lambda x: F.adaptive_avg_pool2d(x, 5)), "adaptive_avg_pool2d", (1, 12, 12))
    assert field.regular is None
    assert [field.box(i, 0)[0] for i in range(5)] == [(0, 3), (2, 5), (4, 8), (7, 10), (9, 12)]
    assert field.centre(2, 0) == (5.5, 1.0)
    with pytest.raises(ValueError, match=r"ask for the box\(row, column\)"):
        _ = field.size


def test_bad_questions():
    model = Branches()
    field = receptive_field(model, "add", (1, 5, 6))
    with pytest.raises(IndexError, match=r"add has units of \(5, 6\), asked for \(5, 0\)"):
        field.mask(5, 0)
    with pytest.raises(IndexError, match="no box and no pixel"):
        field.units(((0, 9), (0, 1)))
    with pytest.raises(ValueError, match=r"a range for each side of an image of \(5, 6\).* got \(0, 0, 2, 2\)"):
        field.units((0, 0, 2, 2))
    with pytest.raises(TypeError, match="input_size"):
        receptive_field(model, "add")
    with pytest.raises(TypeError, match="leave input_size out"):
        receptive_field(record_calls(model, np.zeros((1, 1, 5, 6), np.float32)), "add", (1, 5, 6))
    with pytest.raises(KeyError, match="no address"):
        receptive_field(model, "ad", (1, 5, 6))
    with pytest.raises(ValueError, match="wide does not depend on tall"):
        receptive_field(model, "wide", (1, 5, 6), relative_to="tall")
    with pytest.raises(ValueError, match="begins with no image"):
        receptive_field(record_calls(Op(F.relu), np.zeros((1, 3), np.float32)), "relu")


def test_an_unknown_operation_says_where_to_register_it():
    class Strange(Function):
        def forward(self, x):
            return x

        def grad_x(self, gy):
            return gy

    with pytest.raises(NotImplementedError, match=r"what Strange sees.*sees\.register"):
        receptive_field(Op(lambda x: Strange()(x)), "strange", (1, 3, 3))


def test_questions_change_nothing_in_the_model():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.MaxPool2d(2)).train()
    model[0].weight.grad = Tensor(np.ones_like(model[0].weight.data))
    model[3].eval()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    attributes = [set(vars(module)) for module in model.modules()]
    with no_grad():
        for _ in range(100):
            field = receptive_field(model, "3", (1, 8, 9))
            field.mask(0, 1), field.boxes(), field.path(1, 1), field.units((0, 0)), str(field.steps())
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, True, True, False]
    assert [set(vars(module)) for module in model.modules()] == attributes
    assert (model[0].weight.grad.data == 1).all()
    assert model[0].bias.grad is None


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda f: f.box(1.5, 0), TypeError, r"named by whole numbers, such as \(row, column\), got \(1\.5, 0\)"),
        (lambda f: f.mask("a", 0), TypeError, "whole numbers"),
        (lambda f: f.centre(True, 0), TypeError, "whole numbers"),
        (lambda f: f.path(0, 0, edge=[]), ValueError, "edge must be one of top"),
        (lambda f: f.units(3), ValueError, "a box is .* got 3"),
        (lambda f: f.units((1.5, 0)), TypeError, "rows and columns are whole numbers"),
        (lambda f: f.units(((0, "a"), (0, 1))), TypeError, "or ranges"),
        (lambda f: f.units(((0, 1, 2), (0, 1))), TypeError, "or ranges"),
        (
            lambda f: receptive_field(nn.Conv2d(1, 1, 3), "conv2d", (1, 6, 5), relative_to=3),
            TypeError,
            "relative_to must be an address, a call or an array, got 3",
        ),
        (lambda f: receptive_field(nn.Conv2d(1, 1, 3), 1.5, (1, 6, 5)), TypeError, "an address is text, .* got 1.5"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(receptive_field(nn.Conv2d(1, 1, 3), "conv2d", (1, 6, 5)))
