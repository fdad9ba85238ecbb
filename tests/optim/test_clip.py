from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.optim import clip_grad_norm_, clip_grad_value_

SHAPES = [(3, 4), (5,), (), (0, 2)]


def parameters(dtype: type = np.float64, scale: float = 1.0) -> list[nn.Parameter]:
    rng = np.random.default_rng(0)
    ps = [nn.Parameter(np.ones(shape, dtype)) for shape in SHAPES]
    for p in ps:
        p.grad = (rng.normal(size=p.shape) * scale).astype(dtype)
    return [*ps, nn.Parameter([1.0])]  # the last one without a gradient


def joined(ps: list[nn.Parameter]) -> np.ndarray:
    return np.concatenate([p.grad.data.ravel() for p in ps if p.grad is not None])


@pytest.mark.parametrize("norm_type", [1, 2, 3.5, math.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norm(norm_type: float, dtype: type) -> None:
    ps = parameters(dtype, scale=1e-3)
    before = joined(ps)
    expected = np.linalg.norm(before.astype(np.float64), norm_type)
    assert clip_grad_norm_(ps, 5e-4, norm_type) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(joined(ps), before * 5e-4 / (expected + 1e-6), rtol=1e-6)
    assert joined(ps).dtype == dtype
    assert ps[-1].grad is None
    assert clip_grad_norm_(ps, 1.0, norm_type) == pytest.approx(5e-4, rel=1e-2)


def test_a_small_norm_changes_no_bit() -> None:
    ps = parameters()
    arrays = [p.grad.data for p in ps[:-1]]
    clip_grad_norm_((p for p in ps), 1e3)
    assert all(p.grad.data is a for p, a in zip(ps[:-1], arrays, strict=True))


def test_whoever_holds_the_gradient_sees_it_clipped_and_arrays_stay_theirs() -> None:
    p = nn.Parameter([3.0, 4.0])
    mine = np.array([3.0, 4.0], np.float32)
    p.grad = mine
    held = p.grad
    clip_grad_norm_(p, 1.0)
    assert held.data == pytest.approx([0.6, 0.8], rel=1e-5)
    assert mine.tolist() == [3, 4]


def test_float32_norms_are_summed_in_float64() -> None:
    p = nn.Parameter(np.zeros(1_000_000, np.float32))
    p.grad = np.full(p.shape, 1e25, np.float32)  # the squares overflow float32
    assert clip_grad_norm_(p, 1.0) == pytest.approx(float(np.float32(1e25)) * 1e3, rel=1e-12)
    assert p.grad is not None
    assert p.grad.data == pytest.approx(1e-3, rel=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nonfinite_norms(bad: float) -> None:
    p = nn.Parameter([1.0, 2.0])
    p.grad = Tensor([1.0, bad])
    with pytest.raises(RuntimeError, match=f"the norm of the gradients is {bad}"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.data[0] == 1
    with np.errstate(invalid="ignore"):
        norm = clip_grad_norm_(p, 1.0)
    assert not math.isfinite(norm)
    assert math.isnan(p.grad.data[0]) if math.isnan(bad) else p.grad.data[0] == 0


def test_nothing_to_clip() -> None:
    assert clip_grad_norm_([], 1.0) == 0
    assert clip_grad_norm_(nn.Parameter([1.0]), 1.0, math.inf) == 0
    clip_grad_value_([], 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value(dtype: type) -> None:
    ps = parameters(dtype)
    before = joined(ps)
    clip_grad_value_(iter(ps), 0.5)
    assert (joined(ps) == np.clip(before, -0.5, 0.5)).all()
    assert joined(ps).dtype == dtype


def test_errors() -> None:
    p = nn.Parameter([1.0])
    with pytest.raises(ValueError, match="clip_grad_norm_: max_norm must be at least 0, got -1"):
        clip_grad_norm_(p, -1)
    with pytest.raises(ValueError, match="max_norm must be at least 0, got nan"):
        clip_grad_norm_(p, math.nan)
    with pytest.raises(ValueError, match=r"norm_type must be positive or math\.inf, got 0"):
        clip_grad_norm_(p, 1, 0)
    with pytest.raises(ValueError, match="clip_grad_value_: clip_value must be at least 0, got -1"):
        clip_grad_value_(p, -1)
    with pytest.raises(TypeError, match="clip_grad_norm_: needs tensors, got ndarray"):
        clip_grad_norm_([p.data], 1)


@pytest.mark.parametrize("norm_type", [1, 2, math.inf])
def test_equals_torch(norm_type: float) -> None:
    torch = pytest.importorskip("torch")
    ps = parameters()[:3]
    theirs = [torch.ones(p.shape, dtype=torch.float64, requires_grad=True) for p in ps]
    for q, p in zip(theirs, ps, strict=True):
        q.grad = torch.tensor(p.grad.data)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    assert clip_grad_norm_(ps, 0.7, norm_type) == pytest.approx(norm.item(), rel=1e-12)
    np.testing.assert_allclose(joined(ps), torch.cat([q.grad.ravel() for q in theirs]).numpy(), rtol=1e-12)


def test_the_norm_does_not_depend_on_the_layout() -> None:
    p, q = (nn.Parameter(np.ones((300, 70))) for _ in range(2))
    for seed in range(20):
        p.grad = np.random.default_rng(seed).normal(size=p.shape)
        q.grad = np.asfortranarray(p.grad.data)
        assert clip_grad_norm_(p, 1e9, 1) == clip_grad_norm_(q, 1e9, 1)
