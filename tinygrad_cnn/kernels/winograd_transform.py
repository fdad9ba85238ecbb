"""The transforms of Winograd's convolution as vector code: small constant matrices, and a transposition.

Convolution with three taps is a product of polynomials read backwards, so it can be computed at points: the filter and
the data are evaluated there, multiplied, and interpolated. For m outputs a = m + 2 points are needed, one of them at
infinity, and in two dimensions the matrices stand on both sides: Y = A^T [(G g G^T) . (B^T d B)] A.

F(2x2, 3x3) uses the points 0, 1, -1 and infinity:

    B^T = -1  0  1  0      G = -1    0    0       A^T = 1  1  1  0
           0  1  1  0          1/2  1/2  1/2            0  1 -1  1
           0 -1  1  0          1/2 -1/2  1/2
           0 -1  0  1           0    0    1

F(4x4, 3x3) uses 0, 11/16, -11/16, 23/16, -23/16 and infinity. The usual 0, 1, -1, 2, -2 rounds four times worse: its
powers lie further apart. Sources: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks" (2016),
arXiv:1509.09308; on the choice of points B. Barabasz et al. (2018), arXiv:1803.10986.

A pixel is a vector of channels here, so that a transform is a fixed sequence of vector additions and multiplications
without a single shuffle. In an image the pixels and not the channels stand side by side: `turn` exchanges the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import polynomial

from tinygrad_cnn.kernels.compile import config
from tinygrad_cnn.kernels.tile import Emitter, lanes

LANES = lanes(np.dtype(np.float32))


class Matrices(NamedTuple):
    """The three matrices of one set of points."""

    data: np.ndarray  # B^T (a, a)
    filters: np.ndarray  # G (a, 3)
    outputs: np.ndarray  # A^T (m, a)


def matrices(points: Sequence[float]) -> Matrices:
    """Return the matrices for a - 1 finite points and infinity, where only the highest coefficient counts."""
    a = len(points) + 1
    m = a - 2
    data, filters, outputs = np.zeros((a, a)), np.zeros((a, 3)), np.zeros((m, a))
    for k, point in enumerate(points):
        others = [other for other in points if other != point]
        data[k, :-1] = polynomial.polyfromroots(others)  # zero at every other point
        filters[k] = point ** np.arange(3) / polynomial.polyval(point, data[k])
        outputs[:, k] = point ** np.arange(m)
    data[-1] = polynomial.polyfromroots(points)
    filters[-1, -1] = outputs[-1, -1] = 1
    return Matrices(data, filters, outputs)


F2 = matrices([0, 1, -1])
F4 = matrices([0, 11 / 16, -11 / 16, 23 / 16, -23 / 16])


def butterfly(a: int) -> np.ndarray:
    """Return Q (a, a): sum and difference of each pair of rows, as the points p and -p have them.

    The rows of p and -p agree in the even powers and differ by their sign in the odd ones: Q @ (even part, odd part).
    """
    q = np.eye(a)
    for i in range(1, a - 1, 2):
        q[i : i + 2, i : i + 2] = [[1, 1], [1, -1]]
    return q


def _combine(emit: Emitter, row: np.ndarray, vectors: Sequence[ir.Value]) -> ir.Value:
    """Emit the sum of c * vector, with only the operations that the numbers ask for."""
    builder, total = emit.builder, None
    terms = [(float(c), vector) for c, vector in zip(row, vectors, strict=True) if c]
    for c, vector in sorted(terms, key=lambda term: (abs(term[0]) != 1, -term[0])):
        if abs(c) != 1:
            number = ir.Constant(emit.vector, [ir.Constant(emit.scalar, abs(c))] * emit.lanes)
            vector = builder.fmul(vector, number, flags=("contract",))
        if total is None:
            total = vector if c > 0 else builder.fneg(vector)
        else:
            total = (builder.fadd if c > 0 else builder.fsub)(total, vector, flags=("contract",))
    return total


def _both_sides(matrix: np.ndarray, factors: Sequence[np.ndarray]) -> Callable[..., None]:
    """Return transform(x, x_start, x_row, x_column, y, y_start, y_row, y_column): y = matrix @ x @ matrix.T.

    The numbers of the small matrices x and y are vectors, a row and a column apart. The factors, whose product is the
    matrix, have fewer numbers than it has.
    """
    rows, columns = matrix.shape

    def twin(
        x: np.ndarray, x_start: int, x_row: int, x_column: int, y: np.ndarray, y_start: int, y_row: int, y_column: int
    ) -> None:
        def places(size: int, start: int, row: int, column: int) -> np.ndarray:
            i, j, lane = np.ogrid[:size, :size, :LANES]
            return start + i * row + j * column + lane

        tile = x.reshape(-1)[places(columns, x_start, x_row, x_column)]
        y.reshape(-1)[places(rows, y_start, y_row, y_column)] = np.einsum("ki,lj,ijv->klv", matrix, matrix, tile)

    @intrinsic
    def transform(typing, x, x_start, x_row, x_column, y, y_start, y_row, y_column):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            x, x_start, x_row, x_column, y, y_start, y_row, y_column = args
            emit = Emitter(context, builder, signature.args[0].dtype)

            def places(at: ir.Value, size: int, row: ir.Value, column: ir.Value) -> list[list[ir.Value]]:
                starts = [emit.shifted(at, builder.mul(row, emit.index(i))) for i in range(size)]
                return [[emit.shifted(s, builder.mul(column, emit.index(j))) for j in range(size)] for s in starts]

            def apply(vectors: Sequence[ir.Value]) -> Sequence[ir.Value]:
                for factor in reversed(factors):
                    vectors = [_combine(emit, row, vectors) for row in factor]
                return vectors

            sources = places(emit.pointer(signature.args[0], x, x_start), columns, x_row, x_column)
            targets = places(emit.pointer(signature.args[4], y, y_start), rows, y_row, y_column)
            half = [apply([emit.load(line[j]) for line in sources]) for j in range(columns)]
            for i in range(rows):
                for vector, place in zip(apply([column[i] for column in half]), targets[i], strict=True):
                    emit.store(vector, place)
            return context.get_dummy_value()

        where = types.int64, types.int64, types.int64
        return types.void(x, *where, y, *where), codegen

    return twin if config.DISABLE_JIT else transform


def _transforms(f: Matrices) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    q = butterfly(len(f.data))
    even_odd = np.linalg.inv(q)
    return (
        _both_sides(f.data, (q, even_odd @ f.data)),
        _both_sides(f.filters, (q, even_odd @ f.filters)),
        _both_sides(f.outputs, (f.outputs @ even_odd, q)),
    )


@intrinsic
def _turn(typing, x, x_start, x_row, rows, columns, plus, plus_start, y, y_start, y_row):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        x, x_start, x_row, rows, columns, plus, plus_start, y, y_start, y_row = args
        emit = Emitter(context, builder, signature.args[0].dtype)
        size = emit.lanes

        def lines(at: ir.Value, row: ir.Value, count: ir.Value) -> list[ir.Value]:
            """Return where each row begins; those beyond the last begin where the last does."""
            last = builder.sub(count, emit.index(1))
            numbers = [emit.index(i) for i in range(size)]
            numbers = [builder.select(builder.icmp_signed("<", i, last), i, last) for i in numbers]
            return [emit.shifted(at, builder.mul(i, row)) for i in numbers]

        sources = lines(emit.pointer(signature.args[0], x, x_start), x_row, rows)
        targets = lines(emit.pointer(signature.args[7], y, y_start), y_row, columns)
        mask = emit.first_lanes(columns)
        added = emit.masked_load(emit.pointer(signature.args[5], plus, plus_start), mask)
        vectors = [builder.fadd(emit.masked_load(source, mask), added) for source in sources]
        step = 1
        while step < size:  # blocks of step x step numbers: those beside the diagonal change places
            upper = [size + l - step if l & step else l for l in range(size)]
            lower = [size + l if l & step else l + step for l in range(size)]
            for i in range(size):
                if not i & step:
                    a, b = vectors[i], vectors[i + step]
                    vectors[i], vectors[i + step] = emit.shuffle(a, b, upper), emit.shuffle(a, b, lower)
            step *= 2
        mask = emit.first_lanes(rows)
        # from the last row to the first: what belongs to no row is overwritten by the last one
        for vector, target in zip(reversed(vectors), reversed(targets), strict=True):
            emit.masked_store(vector, target, mask)
        return context.get_dummy_value()

    where = types.int64, types.int64
    return types.void(x, *where, *where, plus, types.int64, y, *where), codegen


def _turn_twin(
    x: np.ndarray, x_start: int, x_row: int, rows: int, columns: int, plus: np.ndarray, plus_start: int,
    y: np.ndarray, y_start: int, y_row: int,
) -> None:  # fmt: skip
    """y[j, i] = x[i, j] + plus[j] for at most LANES rows i and columns j."""
    i, j = np.ogrid[:rows, :columns]
    y.reshape(-1)[y_start + j * y_row + i] = x.reshape(-1)[x_start + i * x_row + j] + plus[plus_start + j]


turn: Callable[..., None] = _turn_twin if config.DISABLE_JIT else _turn
data2, filters2, outputs2 = _transforms(F2)
data4, filters4, outputs4 = _transforms(F4)
