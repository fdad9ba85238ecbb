"""Neighbouring pixels say nearly the same; here they are made to vary independently of each other.

With the covariance C = U diag(S) U' of centred training samples,

    decorrelated   z = (x - mean) U                     covariance diag(S)
    whitened (PCA) z / sqrt(S + eps)                    covariance S / (S + eps), nearly the identity
    whitened (ZCA) z / sqrt(S + eps) U'                 the same, turned back: it still looks like an image

Bell and Sejnowski, 1997, "The 'independent components' of natural scenes are edge filters"; Krizhevsky, 2009, "Learning
multiple layers of features from tiny images".
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from tinygrad_cnn.preprocess.fitted import Preprocessing, chunks, in_chunks


class Decorrelate(Preprocessing):
    """Turn samples into the axes along which they vary: principal component analysis.

    (N, ...)  ->  (N, D), with D numbers in a sample; the first component varies most.

    >>> x = np.random.default_rng(0).standard_normal((100, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]])
    >>> z = Decorrelate().fit(x).transform(x)
    >>> bool(abs(np.cov(z.T)[0, 1]) < 1e-9)
    True
    """

    statistics = ("mean", "components", "variances")
    components: np.ndarray  # U, (D, D): a component in each column
    variances: np.ndarray  # S, (D,): falling

    def fit(self, x: np.ndarray) -> Self:
        x = self._samples(x, least=2)
        self.mean = self._mean(x, (0,))
        centred = ((chunk - self.mean).reshape(len(chunk), -1) for chunk in chunks(x))
        variances, components = np.linalg.eigh(sum(part.T @ part for part in centred) / len(x))
        components = components[:, ::-1]
        # An eigenvector has no sign; its largest part is made positive, so that a fit can be repeated.
        largest = components[abs(components).argmax(0), np.arange(len(variances))]
        self.components = np.ascontiguousarray(components * np.where(largest < 0, -1, 1))
        self.variances = np.maximum(variances[::-1], 0)  # rounding can bring a zero below zero
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        mean, matrix = self._fitted("mean"), self._forward()
        x = self._samples(x, mean.shape)
        return in_chunks(lambda chunk: (chunk - mean).reshape(len(chunk), mean.size) @ matrix, x)

    def inverse_transform(self, x: np.ndarray) -> np.ndarray:
        mean, matrix = self._fitted("mean"), self._backward()
        x = self._samples(x, self._shape())
        return in_chunks(lambda z: (z.reshape(len(z), mean.size) @ matrix).reshape(len(z), *mean.shape) + mean, x)

    def _forward(self) -> np.ndarray:
        return self._fitted("components")

    def _backward(self) -> np.ndarray:
        return self._fitted("components").T

    def _shape(self) -> tuple[int, ...]:
        return (math.prod(self._fitted("mean").shape),)


class Whiten(Decorrelate):
    """Decorrelate samples and give all components the same variance.

    Args:
        method: "pca" leaves the components, (N, D); "zca" turns them back into images of the old shape, as near to the
            old images as whitened ones can be.
        eps: added to the variances: components that hardly vary (noise) are not blown up. It is meant for samples
            between 0 and 1; larger values smooth more.

    Raises:
        ValueError: another method, or an ``eps`` that is not positive.

    >>> x = np.random.default_rng(0).random((500, 1, 3, 4))
    >>> z = Whiten("zca", eps=1e-9).fit(x).transform(x)
    >>> z.shape, bool(np.allclose(np.cov(z.reshape(500, 12).T, bias=True), np.eye(12), atol=1e-6))
    ((500, 1, 3, 4), True)
    """

    def __init__(self, method: str = "pca", eps: float = 1e-5) -> None:
        if method not in ("pca", "zca"):
            raise ValueError(f"Whiten: method must be 'pca' or 'zca', got {method!r}")
        if not eps > 0:
            raise ValueError(f"Whiten: eps must be positive, got {eps}")
        self.method = method
        self.eps = eps

    def transform(self, x: np.ndarray) -> np.ndarray:
        z = super().transform(x)
        return z.reshape(len(z), *self._shape())

    def _forward(self) -> np.ndarray:
        scaled = self._fitted("components") / np.sqrt(self.variances + self.eps)
        return scaled @ self.components.T if self.method == "zca" else scaled

    def _backward(self) -> np.ndarray:
        scaled = (self._fitted("components") * np.sqrt(self.variances + self.eps)).T
        return self.components @ scaled if self.method == "zca" else scaled

    def _shape(self) -> tuple[int, ...]:
        return self._fitted("mean").shape if self.method == "zca" else super()._shape()
