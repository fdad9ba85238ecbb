from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, engine


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


# --- accumulation and sharing ----------------------------------------------------------------------------------------


def test_gradients_accumulate_until_they_are_cleared() -> None:
    x = leaf(1.0, 2.0)
    for expected in ([2.0, 4.0], [4.0, 8.0]):
        (x * x).sum().backward()
        assert x.grad.data.tolist() == expected
    x.zero_grad()
    assert x.grad is None
    (x * x).sum().backward()
    assert x.grad.data.tolist() == [2.0, 4.0]
    x.zero_grad(set_to_none=False)
    assert x.grad.data.tolist() == [0.0, 0.0]


def test_retain_graph_doubles_exactly_and_a_used_graph_is_refused() -> None:
    x = leaf(0.1, 0.7)
    y = F.exp(x).sum()
    y.backward(retain_graph=True)
    once = x.grad.data.copy()
    y.backward()
    assert np.array_equal(x.grad.data, 2 * once)
    with pytest.raises(RuntimeError, match=r"graph behind this Sum was already used .* retain_graph=True"):
        y.backward()
    assert np.array_equal(x.grad.data, 2 * once)


def test_a_failed_second_pass_changes_no_gradient() -> None:
    x = leaf(1.0, 2.0)
    h = F.exp(x)
    h.retain_grad()
    other = leaf(3.0, 4.0)
    h.sum().backward()
    before = x.grad.data.copy(), h.grad.data.copy()
    with pytest.raises(RuntimeError, match="already used"):
        (h * other).sum().backward()
    assert np.array_equal(x.grad.data, before[0])
    assert np.array_equal(h.grad.data, before[1])
    assert other.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_two_gradients_share_memory(create_graph: bool) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gradient = Tensor([1.0, 1.0], dtype="float64")
    (a + b).backward(gradient, create_graph=create_graph)
    arrays = [a.grad.data, b.grad.data, gradient.data]
    assert not any(np.shares_memory(arrays[i], arrays[j]) for i in range(3) for j in range(i))
    a.grad.data[0] = 100.0
    assert b.grad.data.tolist() == [1.0, 1.0]
    assert gradient.data.tolist() == [1.0, 1.0]


def test_gradients_are_writable_and_not_views_of_broadcasts() -> None:
    x = leaf(1.0, 2.0)
    x.sum().backward()
    x.grad.data[0] = 5.0
    assert x.grad.data.tolist() == [5.0, 1.0]


def test_a_later_pass_does_not_write_to_a_gradient_that_was_handed_out() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    held = x.grad
    before = held.data.copy()
    (x * x).sum().backward()
    assert np.array_equal(held.data, before)


def test_a_rule_that_returns_its_saved_input_does_not_give_it_away() -> None:
    class Half(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * x / 2

        def grad_x(self, gy: Any, x: Any) -> Any:
            return x  # right where gy is 1

    x = leaf(1.0, 2.0)
    Half()(x).sum().backward()
    x.grad.data[0] = 100.0
    assert x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("view", [False, True])
def test_a_gradient_whose_memory_somebody_else_holds_is_copied(view: bool) -> None:
    kept = np.ones((2, 3))

    class Constant(Function):
        def forward(self, x: Any) -> Any:
            return x.sum()

        def grad_x(self, gy: Any) -> Any:
            return kept.reshape(3, 2) if view else kept

    x = Tensor(np.zeros((3, 2) if view else (2, 3)), requires_grad=True)
    Constant()(x).backward()
    assert not np.shares_memory(x.grad.data, kept)


def test_a_gradient_that_nobody_else_holds_is_not_copied() -> None:
    made: list[int] = []

    class Fresh(Function):
        def forward(self, x: Any) -> Any:
            return x.sum()

        def grad_x(self, gy: Any) -> Any:
            y = np.full((3, 2), gy)
            made.append(y.ctypes.data)
            return y.reshape(2, 3)

    x = Tensor(np.zeros((2, 3)), requires_grad=True)
    Fresh()(x).backward()
    assert made == [x.grad.data.ctypes.data]


def test_numbers_without_axes_accumulate_too() -> None:
    x = Tensor(2.0, requires_grad=True)
    (x * x * x * x).backward()
    assert x.grad.item() == 32.0
    assert type(x.grad.data) is np.ndarray
    y = x + x + x
    y.backward()
    assert x.grad.item() == 35.0


def test_the_same_input_counts_each_time_it_is_used() -> None:
    x = leaf(3.0)
    for y, slope in ((x + x, 2.0), (x * x, 6.0), (x - x, 0.0), (F.cat([x, x, x]).sum(), 3.0)):
        assert grad(y, x)[0].data.tolist() == [slope]


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_diamond_of_2_to_the_30_paths_takes_no_time() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(30):
        y = y + y
    start = time.perf_counter()
    y.backward()
    assert time.perf_counter() - start < 1
    assert x.grad.item() == 2.0**30


def test_a_node_waits_for_all_of_its_consumers() -> None:
    x = leaf(2.0)
    h = x * x
    late = h * 3
    for _ in range(5):
        late = late + 1
    (h * late).backward()  # d/dx x^2 (3 x^2 + 5)
    assert x.grad.item() == 12 * 2.0**3 + 10 * 2.0


@pytest.mark.parametrize("n", [100_000])
def test_depth_is_limited_by_memory_only(n: int) -> None:
    limit = sys.getrecursionlimit()
    x = leaf(1.0)
    y = x
    for _ in range(n):
        y = y + 0.5
    y.backward()
    assert x.grad.item() == 1.0
    for _ in range(n):
        y = y + 0.5
    z = x
    for _ in range(n):
        z = z * 1.0
    assert len(engine.nodes_before([z.edge])) == n
    (g,) = grad(z, x)
    assert g.item() == 1.0
    del y, z  # an unused graph is taken apart too
    assert sys.getrecursionlimit() == limit


def test_a_chain_on_a_thread_with_a_small_stack_is_taken_apart() -> None:
    done: list[bool] = []

    def work() -> None:
        y = x = leaf(1.0)
        for _ in range(50_000):
            y = y + 1.0
        del y
        done.append(x.item() == 1.0)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert done == [True]


def test_backward_is_linear_in_the_graph_and_records_one_node_per_operation() -> None:
    def chain(n: int) -> Tensor:
        x = leaf(1.0)
        for _ in range(n):
            x = x + x * 0.5 - 0.5 * x
        return x

    y = chain(1000)
    nodes = engine.nodes_before([y.edge])
    assert len(nodes) == 4000
    assert all(len(node.edges) == 2 for node in nodes)
    y.backward()


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_gc() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def passes() -> list[Callable[[Tensor], Any]]:
    def first(x: Tensor) -> Any:
        return F.exp(x * x).sum().backward()

    def retained(x: Tensor) -> Any:
        return F.exp(x * x).sum().backward(retain_graph=True)

    def second(x: Tensor) -> Any:
        (g,) = grad(F.exp(x * x).sum(), x, create_graph=True)
        (h,) = grad(g.sum(), x)
        return h.data

    def interior(x: Tensor) -> Any:
        h = x * x
        h.retain_grad()
        F.exp(h).sum().backward()
        return h.grad.data

    def forward_only(x: Tensor) -> Any:
        return F.exp(x * x).sum().item()

    def failing(x: Tensor) -> Any:
        y = F.exp(x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError):
            y.backward()

    return [first, retained, second, interior, forward_only, failing]


@pytest.mark.parametrize("run", passes(), ids=lambda run: run.__name__)
def test_a_graph_dies_with_its_last_reference_without_the_garbage_collector(
    run: Callable[[Tensor], Any], without_gc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Any]] = []
    plain = Function.apply

    def watched(self: Function, *inputs: Any) -> Any:
        alive.append(weakref.ref(self))
        y = plain(self, *inputs)
        alive.append(weakref.ref(y if isinstance(y, Tensor) else self))
        return y

    monkeypatch.setattr(Function, "apply", watched)
    x = leaf(0.1, 0.2)
    run(x)
    assert len(alive) > 4
    assert [r() for r in alive if r() is not None] == []


def test_saved_arrays_are_freed_as_backward_walks() -> None:
    x = leaf(0.1, 0.2)
    h = F.exp(x)
    memory, node = weakref.ref(h.data), h.grad_fn
    y = (h * h).sum()
    del h
    assert memory() is not None
    y.backward()
    assert memory() is None
    assert node.saved == ()
    assert node.edges is None


def test_training_leaves_the_number_of_objects_as_it_was(without_gc: None) -> None:
    x, w = Tensor(np.ones((4, 3))), leaf(1.0, 2.0, 3.0)

    def step() -> None:
        loss = F.exp(x * w).mean()
        w.zero_grad()
        loss.backward()
        with no_grad():
            w.data -= 0.01 * w.grad.data

    for _ in range(3):
        step()
    before = len(gc.get_objects())
    for _ in range(100):
        step()
    assert len(gc.get_objects()) - before < 10


# --- higher orders ---------------------------------------------------------------------------------------------------


def test_a_gradient_penalty_trains() -> None:
    w, x = leaf(0.5, -1.0), leaf(1.0, 2.0)
    (gx,) = grad((F.exp(x * w)).sum(), x, create_graph=True)
    (gx * gx).sum().backward()
    e = np.exp(2 * x.data * w.data)
    assert np.allclose(w.grad.data, e * 2 * w.data * (1 + w.data * x.data))


def test_a_recorded_gradient_can_be_accumulated_and_differentiated() -> None:
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    (x**2).backward(create_graph=True)
    assert x.grad.item() == 33.0
    assert grad(x.grad, x)[0].item() == 20.0
    x.grad = None  # breaks the cycle leaf -> gradient -> graph -> leaf


def test_data_that_was_rebound_does_not_mix_with_the_old_values_at_second_order() -> None:
    w = leaf(2.0)
    y = w * w * w
    w.data = np.array([100.0])
    (g,) = grad(y, w, create_graph=True)
    assert g.item() == 12.0
    assert grad(g, w)[0].item() == 12.0


# --- after an error --------------------------------------------------------------------------------------------------


def test_an_error_in_a_rule_leaves_a_usable_state() -> None:
    class Broken(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1.0

        def grad_x(self, gy: Any) -> Any:
            raise ZeroDivisionError("inside a rule")

    x = leaf(1.0)
    for create_graph in (False, True):
        recorded = Broken()(x)
        with no_grad(), pytest.raises(ZeroDivisionError, match="inside a rule") as caught:
            recorded.backward(create_graph=create_graph)
        assert caught.value.__notes__ == ["in the backward pass of Broken"]
        assert x.grad is None
        (x * 3).backward()
        assert x.grad.item() == 3.0
        x.zero_grad()


def test_independent_graphs_run_in_threads_bit_by_bit() -> None:
    def work(seed: int) -> np.ndarray:
        x = Tensor(np.random.default_rng(seed).standard_normal((5, 4)), requires_grad=True)
        F.exp(x * x - x).sum().backward()
        return x.grad.data

    expected = [work(seed) for seed in range(24)]
    found: list[Any] = [None] * 24

    def run(start: int) -> None:
        for seed in range(start, 24, 4):
            found[seed] = work(seed)

    threads = [threading.Thread(target=run, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_integers_among_the_inputs_get_no_gradient() -> None:
    x, n = leaf(1.0, 2.0), Tensor([3, 4])
    (x * n).sum().backward()
    assert x.grad.data.tolist() == [3.0, 4.0]
    assert n.grad is None


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_agree_with_torch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    values = [rng.uniform(0.5, 1.5, shape) for shape in ((3, 4), (4,), (3, 1), ())]
    program = [(rng.integers(0, 5), int(rng.integers(0, 100)), int(rng.integers(0, 100))) for _ in range(25)]

    def run(leaves: list[Any], exp: Callable[[Any], Any]) -> Any:
        pool = list(leaves)
        for op, i, j in program:
            a, b = pool[-1 - i % min(6, len(pool))], pool[-1 - j % len(pool)]
            result = [a + b, a * b / 2, a - b / 3, a / (b * b + 1), exp(a * 0 - b * b / 9) + a / 2][op]
            pool.append(result / (1 + 0.1 * op))
        return sum((p.sum() for p in pool), start=0.0)

    ours = [Tensor(v, requires_grad=True) for v in values]
    theirs = [torch.tensor(v, requires_grad=True) for v in values]
    run(ours, F.exp).backward()
    run(theirs, torch.exp).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a.grad.data, b.grad.numpy(), rtol=1e-10, atol=0)
