from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference, strict_sizes
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.functional import conv
from tinygrad_cnn.kernels import conv_input_grad, conv_weight_grad

BILINEAR = (1.0,)  # a step of 1 makes no error in a form that is linear in each argument
# x, w and the arguments of the geometry as users write them
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 5, 6), (4, 3, 3, 2), {}),
    "stride": ((2, 2, 7, 6), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 2)}),
    "dilation": ((1, 2, 8, 9), (2, 2, 2, 3), {"dilation": (3, 2), "padding": 1}),
    "groups": ((2, 4, 5, 4), (6, 2, 2, 3), {"groups": 2, "stride": (1, 2), "padding": (0, 1)}),
    "depthwise": ((2, 3, 4, 6), (3, 1, 3, 2), {"groups": 3, "stride": (2, 1), "padding": (2, 1)}),
    "stride beyond the kernel": ((1, 1, 8, 9), (2, 1, 1, 2), {"stride": (3, 4)}),
}
ONE_SIDED = ((2, 2, 4, 5), (3, 2, 3, 2), {"padding": ((1, 0), (0, 2)), "stride": (1, 2)})
each_case = pytest.mark.parametrize("case", CASES)


def drawn(case: str, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    rng = np.random.default_rng(0)
    x, w, geometry = {**CASES, "one-sided": ONE_SIDED}[case]
    return (*(rng.standard_normal(shape).astype(dtype) for shape in (x, w, w[:1])), geometry)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-10)])
@pytest.mark.parametrize("case", [*CASES, "one-sided"])
def test_value_is_the_references(case: str, dtype: Any, bound: float) -> None:
    x, w, b, arguments = drawn(case, dtype)
    geometry = conv.conv_geometry(
        "conv2d", w.shape[2:], **{"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **arguments}
    )
    y = F.conv2d(x, w, b, **arguments)
    assert type(y) is np.ndarray
    assert y.dtype == dtype
    assert error(y, reference.conv2d(x, w, b, *geometry)) <= bound
    on_tensors = F.conv2d(Tensor(x), Tensor(w), Tensor(b), **arguments)
    assert on_tensors.data.tobytes() == y.tobytes()


@pytest.mark.parametrize("case", [*CASES, "one-sided"])
def test_derivatives_of_both_orders(case: str, derivatives: Callable[..., None]) -> None:
    x, w, b, geometry = drawn(case)
    derivatives(lambda x, w, b: F.conv2d(x, w, b, **geometry), x, w, b, steps=BILINEAR)


def test_derivatives_without_bias_and_of_one_image(derivatives: Callable[..., None]) -> None:
    x, w, b, geometry = drawn("stride")
    derivatives(lambda x, w: F.conv2d(x, w, **geometry), x, w, steps=BILINEAR)
    derivatives(lambda x, w, b: F.conv2d(x, w, b, **geometry), x[0], w, b, steps=BILINEAR)


def test_derivatives_of_an_image_with_itself(derivatives: Callable[..., None]) -> None:
    """One tensor as the image and as the filters: both gradients add up."""
    x = np.random.default_rng(1).standard_normal((2, 2, 3, 2))
    derivatives(lambda x: F.conv2d(x, x, padding=(1, 0)), x, steps=(1e-5,))


@each_case
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-6), ("float64", 1e-10)])
def test_torch_agrees_with_value_and_gradients(case: str, dtype: str, bound: float, torch: Any) -> None:
    x, w, b, geometry = drawn(case, dtype)
    ours = [Tensor(a, requires_grad=True) for a in (x, w, b)]
    theirs = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, w, b)]
    y, expected = F.conv2d(*ours, **geometry), torch.nn.functional.conv2d(*theirs, **geometry)
    assert error(y.data, expected.detach().numpy()) <= bound
    u = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
    gradients = grad(y, ours, u, create_graph=True)
    expected = torch.autograd.grad(expected, theirs, torch.tensor(u.astype(np.float64)), create_graph=True)
    for g, ref in zip(gradients, expected, strict=True):
        assert g.dtype == dtype
        assert error(g.data, ref.detach().numpy()) <= bound
    # second order: one number that depends on both bilinear gradients
    directions = [np.random.default_rng(3 + i).standard_normal(a.shape).astype(dtype) for i, a in enumerate((x, w))]
    total = sum((g * Tensor(d)).sum() for g, d in zip(gradients, directions, strict=False))
    reference_total = sum(
        (g * torch.tensor(d.astype(np.float64))).sum() for g, d in zip(expected, directions, strict=False)
    )
    second = grad(total, ours[:2])
    for g, ref in zip(second, torch.autograd.grad(reference_total, theirs[:2]), strict=True):
        assert error(g.data, ref.numpy()) <= bound


@pytest.mark.parametrize("dilation", [1, (2, 3)])
@pytest.mark.parametrize("size", [(1, 2), (3, 2), (4, 5)])
def test_padding_by_name(size: tuple[int, int], dilation: Any, rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 2, 13, 14)), rng.standard_normal((3, 2, *size))
    same = F.conv2d(x, w, padding="same", dilation=dilation)
    assert same.shape == (2, 3, 13, 14)
    dh, dw = (dilation, dilation) if isinstance(dilation, int) else dilation
    extra = dh * (size[0] - 1), dw * (size[1] - 1)
    around = [(total // 2, total - total // 2) for total in extra]  # the odd pixel at the bottom and on the right
    padded = np.pad(x, ((0, 0), (0, 0), *around))
    valid = F.conv2d(padded, w, padding="valid", dilation=dilation)
    assert same.tobytes() == valid.tobytes()
    assert valid.tobytes() == F.conv2d(padded, w, dilation=dilation).tobytes()


def test_padding_in_every_form(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 2, 4, 5)), rng.standard_normal((3, 2, 2, 3))
    for padding, around in [(2, ((2, 2), (2, 2))), ((1, 2), ((1, 1), (2, 2))), (((1, 0), (2, 3)), ((1, 0), (2, 3)))]:
        expected = F.conv2d(np.pad(x, ((0, 0), (0, 0), *around)), w)
        np.testing.assert_array_equal(F.conv2d(x, w, padding=padding), expected)
    assert F.conv2d(x, w, None, 2, 1).shape == F.conv2d(x, w, stride=(2, 2), padding=[1, 1]).shape == (1, 3, 3, 3)


def test_one_image(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((2, 5, 6)), rng.standard_normal((3, 2, 2, 3))
    y = F.conv2d(x, w)
    assert y.shape == (3, 4, 4)
    np.testing.assert_array_equal(y, F.conv2d(x[None], w)[0])
    t = Tensor(x, requires_grad=True)
    F.conv2d(t, w).sum().backward()
    assert t.grad.shape == x.shape


def test_an_empty_batch() -> None:
    x, w, b = (Tensor(np.ones(s, "f"), requires_grad=True) for s in ((0, 2, 5, 6), (3, 2, 2, 3), (3,)))
    y = F.conv2d(x, w, b, stride=(2, 1))
    assert y.shape == (0, 3, 2, 4)
    y.backward(np.zeros(y.shape, "f"))
    for t in (x, w, b):
        np.testing.assert_array_equal(t.grad.data, np.zeros(t.shape))
        assert t.grad.dtype == np.float32


def test_a_frozen_input_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient kernel of what needs no gradient is never called, and nothing is kept for it."""
    called: list[str] = []
    for module, name in ((conv_input_grad, "conv2d_input_grad"), (conv_weight_grad, "conv2d_weight_grad")):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *args, name=name, original=original: called.append(name) or original(*args)
        )
    x, w, b, _ = drawn("plain")
    for wanted, expected in [
        ("w", ["conv2d_weight_grad"]),
        ("x", ["conv2d_input_grad"]),
        ("b", []),
        ("xw", ["conv2d_input_grad", "conv2d_weight_grad"]),
    ]:
        called.clear()
        tensors = {name: Tensor(a, requires_grad=name in wanted) for name, a in zip("xwb", (x, w, b), strict=True)}
        F.conv2d(*tensors.values()).sum().backward()
        assert sorted(called) == expected
        assert [name for name, t in tensors.items() if t.grad is not None] == list(wanted)


def test_gradients_own_their_memory_and_arguments_stay_as_they_were(rng: np.random.Generator) -> None:
    x, w, b, geometry = drawn("groups", np.float32)
    tensors = [Tensor(a.copy(), requires_grad=True) for a in (x, w, b)]
    y = F.conv2d(*tensors, **geometry)
    u = rng.standard_normal(y.shape).astype(np.float32)
    kept = u.copy()
    y.backward(u)
    for t, a in zip(tensors, (x, w, b), strict=True):
        np.testing.assert_array_equal(t.data, a)
        assert not np.shares_memory(t.grad.data, u)
    np.testing.assert_array_equal(u, kept)


X, W = np.ones((2, 4, 5, 6), np.float32), np.ones((6, 2, 3, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, W[0]), r"conv2d: weight must be \(O, C/groups, KH, KW\), got shape \(2, 3, 2\)"),
        ((X[0, 0], W), r"conv2d: input must be \(N, C, H, W\) or \(C, H, W\), got shape \(5, 6\)"),
        ((X, W), r"input \(2, 4, 5, 6\) has 4 channels, weight \(6, 2, 3, 2\) expects 2, its second size$"),
        ((X[:, :2], W, None, 1, 0, 1, 3), "with groups=3 reads 2 x 3 = 6 and makes 6 maps, which groups must divide"),
        ((np.ones((1, 8, 5, 6), "f"), W, None, 1, 0, 1, 4), "groups=4 .* makes 6 maps, which groups must divide"),
        ((X[:, :2], W, np.ones(5, "f")), r"bias must have shape \(6,\) for weight \(6, 2, 3, 2\), got \(5,\)"),
        ((X[:, :2], W, None, 0), "stride must be at least 1, got 0"),
        ((X[:, :2], W, None, (1, 2, 3)), r"stride must be an int or a pair \(height, width\), got \(1, 2, 3\)"),
        ((X[:, :2], W, None, 1, -1), "padding must be at least 0, got -1"),
        ((X[:, :2], W, None, 1, 0, 0), "dilation must be at least 1, got 0"),
        ((X[:, :2], W, None, 1, 0, 1, 0), "groups must be at least 1, got 0"),
        ((X[:, :2], W, None, 1, 0, (3, 1)), r"height 5 \+ padding 0 \+ 0 = 5, .* = 3\*\(3 - 1\) \+ 1 = 7"),
        ((X[:, :2], W, None, (1, 2), "same"), r"padding='same' needs stride 1, got \(1, 2\)"),
        ((X[:, :2], W, None, 1, "full"), "padding must be numbers, 'valid', 'same' or 'same_tf', got 'full'"),
        ((X[:, :2], W[:, :, :0]), "kernel height must be at least 1, got 0"),
        ((X[:, :2], W, None, 1, 10**6), r"array of shape \(2, 6, 2000005, 2000006\) with .* elements"),
    ],
)
def test_errors_show_the_numbers(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        F.conv2d(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[:, :2], W.astype(float)), "one dtype for all, got input float32, weight float64; convert with .astype"),
        ((X[:, :2], W, np.ones(6)), "got input float32, weight float32, bias float64"),
        ((X[:, :2].astype(int), W.astype(int)), "needs float32 or float64 .* got input int64, weight int64"),
        ((X[:, :2], W, None, 1.5), "stride must be an int or a pair of ints, got 1.5"),
        ((X[:, :2], W, None, 1, None), "padding must be an int or a pair of ints, got None"),
        ((X[:, :2], W, None, 1, 0, 1, True), "groups must be an int, got True"),
    ],
)
def test_errors_show_the_types(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=f"conv2d: .*{message}"):
        F.conv2d(*arguments)


def test_an_error_leaves_the_next_graph_alone() -> None:
    x, w, b, _ = drawn("plain")
    tensors = [Tensor(a, requires_grad=True) for a in (x, w, b)]
    with pytest.raises(ValueError, match="stride"):
        F.conv2d(*tensors, stride=0)
    F.conv2d(*tensors).sum().backward()
    np.testing.assert_allclose(tensors[2].grad.data, np.full(4, 2 * 3 * 5.0))


@pytest.mark.parametrize("stride", [1, (2, 3), (4, 1)])
def test_padding_of_tensorflow(stride: Any, rng: np.random.Generator) -> None:
    """ceil(H/s) outputs; what has to be added is split evenly, the odd pixel after."""
    for height, width in ((7, 8), (9, 11), (5, 6)):
        x, w = rng.standard_normal((1, 2, height, width)), rng.standard_normal((3, 2, 3, 2))
        y = F.conv2d(x, w, None, stride, "same_tf", (1, 2))
        around = []
        for n, s, span in zip((height, width), np.broadcast_to(stride, 2), (3, 3), strict=True):
            total = max((-(-n // s) - 1) * s + span - n, 0)
            around.append((total // 2, total - total // 2))
        assert y.shape[2:] == tuple(-(-n // s) for n, s in zip(x.shape[2:], np.broadcast_to(stride, 2), strict=True))
        np.testing.assert_array_equal(y, F.conv2d(x, w, None, stride, around, (1, 2)))
    assert F.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 1, 1)), stride=3, padding="same_tf").shape == (1, 1, 2, 2)


def test_strict_sizes_refuse_a_remainder(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 2, 7, 8)), rng.standard_normal((3, 2, 3, 2))
    loose = F.conv2d(x, w, stride=(2, 4))
    with strict_sizes():
        F.conv2d(x, w, stride=(2, 3))
        message = r"the last 2 of the width would not be read: \(padded width 8 - window 2\) % stride 4 = 2"
        with pytest.raises(ValueError, match=message):
            F.conv2d(x, w, stride=(2, 4))
        with pytest.raises(ValueError, match="avg_pool2d: the last 1 of the height"):
            F.avg_pool2d(x, 2)
        assert F.max_pool2d(x, 2, ceil_mode=True).shape == (1, 2, 4, 4)  # the last window hangs over: all is read
    np.testing.assert_array_equal(F.conv2d(x, w, stride=(2, 4)), loose)
