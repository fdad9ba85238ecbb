import numpy as np


def matmul(a, b): return np.matmul(a, b)
def linear(x, w, b=None):
    y = x @ w.T
    return y if b is None else y + b
