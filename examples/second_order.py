"""Gradients of gradients: Newton's method finds the bottom of Rosenbrock's valley in a handful of steps.

    python examples/second_order.py [--quick]

f(a, b) = (1 - a)^2 + 100 (b - a^2)^2 has its minimum at (1, 1), at the end of a long bent valley. Gradient descent,
which knows the slope only, creeps along it. Newton's method also asks how the slope changes: the Hessian, which is the
gradient of each entry of the gradient. H. H. Rosenbrock (1960), https://doi.org/10.1093/comjnl/3.3.175
"""

from __future__ import annotations

import argparse

import numpy as np

from tinygrad_cnn import Tensor, grad

START = (-1.2, 1.0)


def rosenbrock(x: Tensor) -> Tensor:
    a, b = x[0], x[1]
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


def slope_and_hessian(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    (slope,) = grad(rosenbrock(x), x, create_graph=True)  # the slope is a tensor with a graph of its own ...
    rows = [grad(slope[i], x, retain_graph=True)[0] for i in range(2)]  # ... so it can be differentiated again
    return slope.detach().numpy(), np.stack([row.numpy() for row in rows])


def newton(steps: int) -> np.ndarray:
    point = np.array(START)
    for step in range(steps + 1):
        x = Tensor(point, requires_grad=True)
        slope, hessian = slope_and_hessian(x)
        print(f"Newton, step {step}: ({point[0]:+.6f}, {point[1]:+.6f})   f = {rosenbrock(x).item():.2e}")
        point = point - np.linalg.solve(hessian, slope)
    return point


def gradient_descent(steps: int) -> np.ndarray:
    point = np.array(START)
    for _ in range(steps):
        x = Tensor(point, requires_grad=True)
        (slope,) = grad(rosenbrock(x), x)
        point = point - 0.001 * slope.numpy()
    value = rosenbrock(Tensor(point)).item()
    print(f"gradient descent, step {steps:,}: ({point[0]:+.6f}, {point[1]:+.6f})   f = {value:.2e}")
    return point


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Newton's method with exact second derivatives.")
    parser.add_argument("--quick", action="store_true", help="100 steps of gradient descent instead of 5,000")
    newton(6)
    gradient_descent(100 if parser.parse_args().quick else 5_000)
