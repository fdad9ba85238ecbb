"""The pictures of docs/mathematics: python docs/pictures/mathematics.py [FOLDER]. Every number in them is computed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.viz.figure import INK, MUTED, drawing_style, new_figure, save_picture

BLUE, ORANGE, GREEN, PAPER = "#2f6fb0", "#d9822b", "#3a8a5f", "#f4f6f8"


def cells(axis: Any, values: Any, title: str, colours: dict[tuple[int, int], str], sheet: int = 0) -> None:
    """Draw a table of numbers (None stays empty), some cells coloured, on a sheet at least so many cells wide."""
    rows, columns = len(values), len(values[0])
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            colour = colours.get((i, j), PAPER)
            axis.add_patch(rectangle(j, i, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
            if value is not None:
                text = f"{value:.3g}" if isinstance(value, (int, float)) else value
                ink = INK if colour == PAPER else "white"
                axis.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color=ink)
    plain(axis, max(columns, sheet), rows, title)


def plain(axis: Any, width: float, height: float, title: str) -> None:
    """Make an axis a sheet of paper with its origin at the top left."""
    axis.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal", anchor="N")
    axis.set_axis_off()
    axis.set_title(title, fontsize=8.5, color=INK, loc="left")


def rectangle(*corner_and_size: float, **style: Any) -> Any:
    """Return a rectangle (x, y, width, height)."""
    from matplotlib.patches import Rectangle

    x, y, width, height = corner_and_size
    return Rectangle((x, y), width, height, **style)


def block(top: int, left: int, height: int, width: int, colour: str, step: int = 1) -> dict[tuple[int, int], str]:
    """Return the cells of a window in one colour."""
    return {(top + step * i, left + step * j): colour for i in range(height) for j in range(width)}


def conv() -> Any:
    """A filter in its place, its reach with stride and dilation, and the transposed convolution."""
    image = np.repeat([[9.0, 9, 9, 0, 0, 0, 0]], 5, axis=0)
    edge = np.array([[1.0, 0, -1]] * 3)
    y = F.conv2d(image[None, None], edge[None, None])[0, 0]
    figure = new_figure(7.2, 4.3, "What a filter sees, times the filter, is one number")
    top, bottom = figure.subplots(2, 3, height_ratios=[5, 7])
    cells(top[0], image.tolist(), "image, 5 x 7", block(1, 2, 3, 3, BLUE), 7)
    cells(top[1], edge.tolist(), "filter, 3 x 3", block(0, 0, 3, 3, ORANGE), 7)
    cells(top[2], y.tolist(), "3 x 5: (7 - 3)/1 + 1 = 5", {(1, 2): GREEN}, 7)
    zeros = [["0" if i in (0, 6) or j in (0, 6) else None for j in range(7)] for i in range(7)]
    strided = block(0, 0, 3, 3, BLUE) | block(0, 2, 3, 3, GREEN) | block(0, 2, 3, 1, INK)
    cells(bottom[0], zeros, "padding 1, stride 2: 5 becomes 3", strided, 7)
    cells(bottom[1], [[None] * 5] * 5, "dilation 2: 3 taps span 5", block(0, 0, 3, 3, BLUE, step=2), 7)
    up = F.conv_transpose2d(np.array([[[[1.0, 10]]]]), np.ones((1, 1, 3, 3)), stride=2)[0, 0]
    marked = block(0, 0, 3, 3, BLUE) | block(0, 2, 3, 3, GREEN) | block(0, 2, 3, 1, INK)
    cells(bottom[2], up.tolist(), "transposed: 1, 10, stride 2", marked, 7)
    return figure


def pool() -> Any:
    """The textbook example, and windows that overlap or hang over the edge."""
    x = np.array([[[1.0, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]]])
    corners = {(0, 0): BLUE, (0, 2): ORANGE, (2, 0): GREEN, (2, 2): MUTED}
    four = {place: colour for (i, j), c in corners.items() for place, colour in block(i, j, 2, 2, c).items()}
    small = {(i // 2, j // 2): colour for (i, j), colour in corners.items()}
    figure = new_figure(7.2, 3.6, "Each window becomes one number")
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.1, 1.3])
    axes = top.subplots(1, 4)
    cells(axes[0], x[0].tolist(), "a map, windows of 2 x 2", four, 4)
    pooled = {"maximum": F.max_pool2d(x, 2), "average": F.avg_pool2d(x, 2), "L2-norm": F.lp_pool2d(x, 2, 2)}
    for axis, (name, y) in zip(axes[1:], pooled.items(), strict=True):
        cells(axis, y[0].tolist(), name, small, 4)
    left, right = bottom.subplots(1, 2)
    seen = [F.adaptive_avg_pool1d(np.eye(5)[None], 3)[0, :, i] > 0 for i in range(3)]
    bars(left, [np.flatnonzero(row) for row in seen], 5, "adaptive: 5 pixels in 3 bins, which may overlap")
    bars(right, [[0, 1], [2, 3], [4, 5], [6]], 7, "ceil_mode: 7 pixels, a window hangs over the edge", 2)
    return figure


def bars(axis: Any, windows: list[Any], count: int, title: str, size: int = 0) -> None:
    """Draw a row of pixels and under it the windows that read it."""
    for j in range(count):
        axis.add_patch(rectangle(j, 0, 1, 1, facecolor=PAPER, edgecolor="white", linewidth=1.5))
        axis.text(j + 0.5, 0.5, str(j), ha="center", va="center", fontsize=8)
    for i, (window, colour) in enumerate(zip(windows, (BLUE, ORANGE, GREEN, MUTED), strict=False)):
        start, length = min(window), max(len(window), size)
        axis.add_patch(rectangle(start + 0.06, 1.1 + 0.45 * (i % 2), length - 0.12, 0.35, facecolor=colour))
    plain(axis, count + 1, 2.2, title)


def norm() -> Any:
    """Images by channels: which of them share their statistics."""
    figure = new_figure(7.2, 1.6, "The numbers that share a mean and a variance (a cell is a map of H x W)")
    sets = {
        "batch norm": block(0, 1, 3, 1, BLUE),
        "layer norm": block(1, 0, 1, 6, BLUE),
        "group norm, 2 groups": block(1, 0, 1, 3, BLUE) | block(1, 3, 1, 3, ORANGE),
        "instance norm": {(1, 1): BLUE, (1, 2): ORANGE},
    }
    for axis, (name, marked) in zip(figure.subplots(1, 4), sets.items(), strict=True):
        cells(axis, [[None] * 6] * 3, name, marked)
        axis.text(3, 3.5, "channels", ha="center", fontsize=7.5, color=MUTED)
        axis.text(-0.4, 1.5, "images", va="center", ha="center", rotation=90, fontsize=7.5, color=MUTED)
        axis.set(xlim=(-0.8, 6.1), ylim=(3.8, -0.1))
    return figure


def activation() -> Any:
    """Twelve curves with their slopes."""
    names = "relu leaky_relu elu selu sigmoid tanh softplus gelu silu mish hardswish hardtanh".split()
    x = Tensor(np.linspace(-4, 4, 321), requires_grad=True)
    figure = new_figure(7.2, 4.6, "Activations (blue) and their slopes (orange)")
    for axis, name in zip(figure.subplots(3, 4, sharex=True).flat, names, strict=True):
        y = getattr(F, name)(x)
        (slope,) = grad(y.sum(), x)
        axis.plot(x.data, slope.data, color=ORANGE, linewidth=1.2)
        axis.plot(x.data, y.data, color=BLUE, linewidth=1.8)
        axis.set(ylim=(-2.1, 4.2), xticks=[-4, 0, 4], yticks=[-2, 0, 2, 4])
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    return figure


def losses() -> Any:
    """Losses of a score or a difference."""
    x = np.linspace(-4, 4, 321)
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    binary = {f"target {t:g}": F.binary_cross_entropy_with_logits(x, t * ones, reduction="none") for t in (0, 0.5, 1)}
    differences = {
        "mse_loss": F.mse_loss(x, zeros, "none"),
        "l1_loss": F.l1_loss(x, zeros, "none"),
        "huber_loss": F.huber_loss(x, zeros, "none"),
    }
    margins = {
        "margin_ranking_loss, margin 1": F.margin_ranking_loss(x, zeros, ones, 1, "none"),
        "soft_margin_loss": F.soft_margin_loss(x, ones, "none"),
        "focal, gamma 2": F.sigmoid_focal_loss(x, ones, alpha=-1),
    }
    panels = {"cross-entropy of a score": binary, "of a difference": differences, "of a score, target yes": margins}
    figure = new_figure(7.2, 2.9, "Losses")
    for axis, (title, curves) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for (name, y), colour in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=True):
            axis.plot(x, y, color=colour, label=name, linewidth=1.8)
        axis.set(ylim=(-0.1, 7.4), xticks=[-4, -2, 0, 2, 4])
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, loc="upper center")
    return figure


def resampling() -> Any:
    """A digit enlarged and turned; six pixels enlarged; the matrix that does it."""
    digit = synthetic_digits(40).images[2:3].reshape(1, 1, 28, 28).astype(np.float64)
    small = F.adaptive_avg_pool2d(digit, 14)
    turn = np.deg2rad(30)
    at = np.stack(np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 80)), 2)
    turned = at @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pictures = {mode: F.interpolate(small, 80, mode=mode) for mode in ("nearest", "bilinear", "bicubic")}
    pictures["grid_sample, turned"] = F.grid_sample(small, turned[None])
    row, fine = np.array([[[1.0, 4, 2, 2, 5, 3]]]), np.linspace(-0.5, 5.5, 121)
    figure = new_figure(7.2, 4.8, "Resizing and sampling")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.2, 1.25])
    for axis, (name, picture) in zip(top.subplots(1, 4), pictures.items(), strict=True):
        axis.imshow(picture[0, 0], cmap="gray", interpolation="nearest", vmin=0, vmax=255)
        axis.set_axis_off()
        axis.set_title(name, fontsize=8.5)
    left, right = bottom.subplots(1, 2, width_ratios=[2, 1])
    centres = (np.arange(120) + 0.5) / 20 - 0.5
    shown = {"nearest": row, "linear": row, "bicubic": row[None].repeat(2, 2)}
    for (mode, x), colour in zip(shown.items(), (MUTED, BLUE, ORANGE), strict=True):
        y = F.interpolate(x, 120 if x.ndim == 3 else (2, 120), mode=mode).reshape(-1)[:120]
        left.plot(centres, y, color=colour, label=mode.removeprefix("bi"), linewidth=1.6)
    left.plot(range(6), row[0, 0], "o", color=INK)
    left.set(xlim=(fine[0], fine[-1]))
    left.set_title("six pixels, enlarged 20 times", fontsize=9)
    left.legend(fontsize=7)
    matrix = F.interpolate(np.eye(6)[None], 12, mode="linear")[0].T
    right.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    right.grid(False)
    right.set_title("the matrix of linear, 12 x 6", fontsize=9)
    return figure


def softmax() -> Any:
    """Five scores on their way to a gradient."""
    scores = np.array([[2.0, 1, 0.5, -1, 3]])
    x = Tensor(scores, requires_grad=True)
    (gradient,) = grad(F.cross_entropy(x, np.array([0])), x)
    panels = {"scores": scores, "softmax: they sum to 1": F.softmax(scores, 1)}
    panels["gradient of the loss, label 0"] = gradient.data
    figure = new_figure(7.2, 2.2, "Scores, probabilities, probability minus truth")
    for axis, (name, y) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axis.bar(range(5), y[0], color=[ORANGE if i == 0 else BLUE for i in range(5)])
        for i, value in enumerate(y[0]):
            axis.text(i, max(value, 0), f"{value:.2f}", ha="center", va="bottom", fontsize=7.5)
        axis.margins(y=0.15)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    return figure


PICTURES = {f.__name__: f for f in (conv, pool, norm, activation, losses, resampling, softmax)}


def main(folder: Path) -> None:
    """Draw all of them."""
    with drawing_style():
        for name, draw in PICTURES.items():
            save_picture(draw(), folder / f"{name}.png")
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
