from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, gradcheck, gradgradcheck, no_derivative, zero_derivative
from tinygrad_cnn.state import module_path, observe


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


class Cube(Function):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * x * x

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy * 3 * x * x


class Sines(Function):
    """Two inputs whose gradients share work."""

    def forward(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.exp(x * w)

    def backward(self, gy: Any, x: Any, w: Any, y: Any) -> list[Any]:
        shared = gy * y
        return [shared * w, shared * x]


class Weighted(Function):
    """A variadic product: every gradient needs the other inputs."""

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        y = xs[0]
        for x in xs[1:]:
            y = y * x
        return y

    def backward(self, gy: Any, *xs: Any) -> list[Any]:
        gradients = []
        for i in range(len(xs)):
            g = gy
            for j, x in enumerate(xs):
                g = g if i == j else g * x
            gradients.append(g if self.wanted()[i] else None)
        return gradients


def test_a_custom_operation_differentiates_at_every_order() -> None:
    assert gradcheck(lambda x: Cube()(x), leaf(0.5, -1.0))
    assert gradgradcheck(lambda x: Cube()(x), leaf(0.5, -1.0))
    x = leaf(2.0)
    (g1,) = grad(Cube()(x), x, create_graph=True)
    (g2,) = grad(g1, x, create_graph=True)
    (g3,) = grad(g2, x)
    assert (g1.item(), g2.item(), g3.item()) == (12.0, 12.0, 6.0)


def test_one_backward_for_all_inputs() -> None:
    inputs = [leaf(0.5, -1.0), leaf(2.0, 0.3)]
    assert gradcheck(lambda x, w: Sines()(x, w), inputs)
    assert gradgradcheck(lambda x, w: Sines()(x, w), inputs)


def test_arrays_alone_give_an_array_and_record_nothing() -> None:
    y = Cube()(np.array([2.0]))
    assert type(y) is np.ndarray
    assert Cube()(Tensor([2.0])).requires_grad is False


def test_results_are_arrays_also_without_axes() -> None:
    class Sum(Function):
        def forward(self, x: np.ndarray) -> Any:
            return x.sum()  # a NumPy scalar

        def grad_x(self, gy: Any, x: Any) -> Any:
            return gy * (x * 0 + 1)

    x = leaf(1.0, 2.0)
    y = Sum()(x)
    assert type(y.data) is np.ndarray
    y.backward()
    assert type(x.grad.data) is np.ndarray
    assert type((leaf(3.0)[0] * 2).data) is np.ndarray


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_exactly_what_the_rules_name_is_kept() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assert [a is not None for a in (x * w).grad_fn.saved] == [True, True]
    frozen = Tensor([3.0, 4.0], dtype="float64")
    assert [a is not None for a in (x * frozen).grad_fn.saved] == [False, True]  # its own value needs no keeping
    assert (x + w).grad_fn.saved == ()
    saved = F.exp(x).grad_fn.saved
    assert saved[0] is None
    assert saved[1] is not None


def test_declared_by_products_are_freed_with_the_graph() -> None:
    y = F.max(leaf(1.0, 3.0, 2.0), 0)[0]
    node = y.grad_fn
    assert node.index.tolist() == [1]
    y.backward(retain_graph=True)
    assert hasattr(node, "index")
    y.backward()
    assert not hasattr(node, "index")


def test_no_rule_runs_for_an_input_that_needs_no_gradient() -> None:
    ran: list[str] = []

    class Product(Function):
        def forward(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
            return x * w

        def grad_x(self, gy: Any, w: Any) -> Any:
            ran.append("x")
            return gy * w

        def grad_w(self, gy: Any, x: Any) -> Any:
            ran.append("w")
            return gy * x

    x, w = leaf(1.0), leaf(2.0)
    Product()(x, w.detach()).backward()
    grad(Product()(x, w), w)
    assert ran == ["x", "w"]
    assert w.grad is None


def test_the_number_of_inputs_does_not_confuse_what_is_kept() -> None:
    class Power(Function):
        def forward(self, x: np.ndarray, b: Any = None) -> np.ndarray:
            return np.exp(x) if b is None else np.exp(x) + b

        def grad_x(self, gy: Any, y: Any) -> Any:
            return gy * y

        grad_b = zero_derivative

    x = leaf(1.0, 2.0)
    (short,) = grad(Power()(x).sum(), x)
    (long,) = grad(Power()(x, np.array([5.0, 5.0])).sum(), x)
    (short_again,) = grad(Power()(x).sum(), x)
    assert np.array_equal(short.data, np.exp(x.data))
    assert np.array_equal(long.data, np.exp(x.data) + 5)
    assert np.array_equal(short_again.data, short.data)


def test_variadic_operations_work_for_any_number_and_any_subset() -> None:
    xs = [leaf(2.0), leaf(3.0), leaf(5.0)]
    Weighted()(*xs).backward()
    assert [x.grad.item() for x in xs] == [15.0, 10.0, 6.0]
    (g,) = grad(Weighted()(xs[0], xs[1].detach(), xs[2], Tensor([7.0], "float64")), xs[2])
    assert g.item() == 42.0
    assert gradgradcheck(lambda *xs: Weighted()(*xs), xs)


# --- one object, one call --------------------------------------------------------------------------------------------


def test_an_object_that_recorded_a_call_refuses_another() -> None:
    function = Cube()
    y = function(leaf(1.0))
    with pytest.raises(RuntimeError, match="one Function object serves one recorded call"):
        function(leaf(2.0))
    with no_grad(), pytest.raises(RuntimeError, match="one recorded call"):
        function(leaf(3.0))  # would overwrite what the first call left on self
    y.backward()


# --- errors when the class is created --------------------------------------------------------------------------------


def forward(self: Any, x: Any, w: Any) -> Any:
    return x * w


def grad_x(self: Any, gy: Any, w: Any) -> Any:
    return gy * w


def grad_w(self: Any, gy: Any, x: Any) -> Any:
    return gy * x


def uses_y(self: Any, y: Any) -> Any:
    return y


def takes_many(self: Any, *xs: Any) -> Any:
    return xs[0]


def writes_path(self: Any, x: Any) -> Any:
    self.path = "here"
    return x


def asks_for_z(self: Any, gy: Any, z: Any) -> Any:
    return gy * z


def without_gy(self: Any) -> Any:
    return 0


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"forward": forward, "grad_x": grad_x}, "has no rule grad_w"),
        ({"forward": forward}, "has no rule grad_w, grad_x"),
        ({"forward": forward, "grad_x": grad_x, "grad_w": grad_w, "grad_xx": grad_x}, r"rules for \['xx'\]"),
        ({"forward": forward, "grad_x": asks_for_z, "grad_w": grad_w}, r"grad_x|asks for \['z'\]"),
        ({"forward": forward, "grad_x": without_gy, "grad_w": grad_w}, r"must take \(self, gy, ...\)"),
        ({"forward": forward, "grad_x": grad_x, "grad_w": grad_w, "backward": grad_x}, "both backward and rules"),
        ({"forward": uses_y, "grad_y": grad_x}, "cannot be called 'y'"),
        ({"forward": takes_many}, r"takes \*xs, so its gradients come from one backward"),
        ({"forward": writes_path, "grad_x": grad_x}, r"uses \['path'\], which the graph keeps"),
    ],
)
def test_mistakes_are_errors_when_the_class_is_created(members: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        type("Wrong", (Function,), members)


def test_a_subclass_is_checked_with_what_it_inherits() -> None:
    class Base(Function):
        forward = forward
        grad_x = grad_x
        grad_w = grad_w

    class Child(Base):
        def grad_x(self, gy: Any, x: Any, w: Any) -> Any:
            return gy * w

    x, w = leaf(2.0), leaf(3.0)
    Child()(x, w).backward()
    assert (x.grad.item(), w.grad.item()) == (3.0, 2.0)


# --- inputs without a derivative -------------------------------------------------------------------------------------


def test_no_derivative_refuses_and_zero_derivative_gives_zeros() -> None:
    class Pick(Function):
        forward = forward
        grad_x = grad_x
        grad_w = no_derivative

    class Round(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.round(x)

        grad_x = zero_derivative

    with pytest.raises(TypeError, match="Pick has no derivative with respect to its input 'w'; detach"):
        Pick()(leaf(1.0), leaf(2.0))
    x = leaf(1.2, 3.4)
    Round()(x).sum().backward()
    assert x.grad.data.tolist() == [0.0, 0.0]
    (g,) = grad(Round()(x).sum(), x, create_graph=True)
    assert g.data.tolist() == [0.0, 0.0]


def test_a_comparison_is_never_recorded() -> None:
    assert (leaf(1.0) > 0.5).requires_grad is False


# --- wrong rules -----------------------------------------------------------------------------------------------------


def with_rule(rule: Any) -> type[Function]:
    return type("Odd", (Function,), {"forward": lambda self, x: x * 1.0, "grad_x": rule})


def test_a_rule_of_the_wrong_shape_is_named() -> None:
    odd = with_rule(lambda self, gy: gy.sum())
    with pytest.raises(RuntimeError, match=r"Odd: a gradient rule returned shape \(\) for an input of shape \(2,\)"):
        odd()(leaf(1.0, 2.0)).sum().backward()


def test_a_joint_rule_with_the_wrong_number_of_gradients_is_named() -> None:
    class Short(Function):
        forward = forward

        def backward(self, gy: Any, x: Any) -> list[Any]:
            return [gy * x]

    with pytest.raises(RuntimeError, match="returned 1 gradients for 2 inputs") as caught:
        Short()(leaf(1.0), leaf(2.0)).backward()
    assert caught.value.__notes__ == ["in the backward pass of Short"]


def test_a_rule_that_returns_a_tensor_for_arrays_is_named() -> None:
    odd = with_rule(lambda self, gy: Tensor(gy))
    with pytest.raises(RuntimeError, match="Odd: a rule returned a Tensor for arrays"):
        odd()(leaf(1.0)).backward()


def test_a_float_by_product_that_is_not_declared_raises_at_second_order() -> None:
    class Careless(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            self.result = np.exp(x)
            return self.result

        def grad_x(self, gy: Any) -> Any:
            return gy * self.result

    x = leaf(1.0)
    Careless()(x).backward()  # right at first order
    with pytest.raises(RuntimeError, match=r"Careless keeps the float array 'self.result'"):
        grad(Careless()(x), x, create_graph=True)


def test_gradients_return_in_the_dtype_of_the_input() -> None:
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    w = Tensor(np.ones(3), requires_grad=True)
    (x * w).sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)
    Cube()(x).sum().backward()
    assert x.grad.dtype == np.float32


# --- what others see -------------------------------------------------------------------------------------------------


def test_the_observer_sees_every_call_also_on_plain_arrays() -> None:
    seen: list[tuple[str, int]] = []
    found = observe(lambda function, inputs, y: seen.append((function.name, len(inputs))))
    try:
        F.exp(leaf(1.0)) * 2
        Cube()(np.ones(2))
    finally:
        observe(found)
    F.exp(leaf(1.0))
    assert seen == [("Exp", 1), ("Mul", 2), ("Cube", 1)]


def test_a_node_knows_its_module_and_shape() -> None:
    token = module_path.set("features.0")
    try:
        y = F.exp(leaf(1.0, 2.0))
    finally:
        module_path.reset(token)
    node = y.grad_fn
    assert (node.name, node.path, node.y_shape, node.y_dtype) == ("Exp", "features.0", (2,), np.float64)


def test_two_nodes_of_one_operation_have_ticks_in_order() -> None:
    x = leaf(1.0)
    first = x * 2
    second = first * 2
    assert 0 < first.grad_fn.tick < second.grad_fn.tick


@pytest.mark.parametrize("dtype", [">f4", np.float16, np.longdouble, np.int32])
def test_a_result_of_a_dtype_without_gradients_is_named(dtype: Any) -> None:
    class Odd(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x.astype(dtype)

        def grad_x(self, gy: Any) -> Any:
            return gy

    x = np.ones((2, 3), np.float32)
    assert Odd()(Tensor(x)).dtype == dtype  # no gradient, no kernel that would take it for something else
    with pytest.raises(TypeError, match=f"Odd: result of {np.dtype(dtype)}; gradients need float32 or float64"):
        F.sort(Odd()(Tensor(x, requires_grad=True)), 1)[0].sum().backward()


def test_a_joint_rule_asks_what_its_own_pass_needs() -> None:
    """Two threads go back through one retained graph, each to another input, and meet inside the rule."""
    meet = threading.Barrier(2, timeout=20)

    class Product(Function):
        def forward(self, a, b):
            return a * b

        def backward(self, gy, a, b):
            meet.wait()
            return [gy * v if wanted else None for v, wanted in zip((b, a), self.wanted(), strict=True)]

    a, b = Tensor([2.0, 3.0], requires_grad=True), Tensor([5.0, 7.0], requires_grad=True)
    total, found = Product()(a, b).sum(), {}

    def go(name: str, x: Tensor) -> None:
        found[name] = grad(total, x, retain_graph=True)[0].tolist()

    threads = [threading.Thread(target=go, args=pair) for pair in (("a", a), ("b", b))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": [5.0, 7.0], "b": [2.0, 3.0]}


def test_a_joint_rule_still_knows_what_is_wanted_after_a_pass_of_its_own() -> None:
    class Joint(Function):
        def __init__(self, inner: Any = None) -> None:
            self.inner = inner

        def forward(self, a, b):
            return a * b

        def backward(self, gy, a, b):
            if self.inner is not None:
                grad(self.inner, first)
            return [gy * v if wanted else None for v, wanted in zip((b, a), self.wanted(), strict=True)]

    first, second = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    inner = Joint()(first, second)
    a, b = Tensor([5.0], requires_grad=True), Tensor([7.0], requires_grad=True)
    (gb,) = grad(Joint(inner)(a, b), b)
    assert gb.tolist() == [5.0]
