"""A fitted function of one input beside its target and the data."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.scales import FloatArray, as_pair
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    PALETTE,
    PAPER,
    WIDE,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import number, plain

_TARGET = LineLook(INK, "-", "none")
_PREDICTION = LineLook(PALETTE[1], (0, (4, 1.5)), "none")
_POINTS = LineLook(PALETTE[0], "none", "o")


def regression_fit(
    x: ArrayLike,
    target: ArrayLike,
    prediction: ArrayLike,
    points_x: ArrayLike,
    points_y: ArrayLike,
    title: str | None = None,
    *,
    axis_labels: tuple[str, str] = ("input x", "output y"),
) -> Figure:
    """A network of one input, the function it is to learn, and the noisy data it learned from.

    Args:
        x: (T,) inputs.
        target: (T,) values of the true function.
        prediction: (T,) outputs of the network.
        points_x: (N,) inputs of the training data.
        points_y: (N,) their targets.
        title: A sentence; by default the largest error on x.
        axis_labels: Names of input and output with their units.

    Raises:
        InputError: lengths that differ.
    """
    grid, truth = as_pair(x, target, "the target")
    fit = as_pair(grid, prediction, "the prediction")[1]
    data = as_pair(points_x, points_y, "the data points")
    figure = new_figure(title or _title(truth, fit), WIDE)
    axes = figure.subplots()
    dress(axes, plain(axis_labels[0]), plain(axis_labels[1]))
    axes.plot(
        *data,
        linestyle="none",
        marker="o",
        color=_POINTS.color,
        markersize=6 if len(data[0]) <= 200 else 3.5,
        alpha=0.75,
        markeredgecolor=PAPER,
        markeredgewidth=0.5,
    )
    order = np.argsort(grid)
    for values, look in ((truth, _TARGET), (fit, _PREDICTION)):
        shown = np.where(np.isfinite(values), values, np.nan)[order]
        marker = "D" if len(grid) == 1 else "none"
        axes.plot(grid[order], shown, color=look.color, linestyle=look.dash, linewidth=LINE, marker=marker)
    if not (len(grid) or len(data[0])):
        nothing_to_show(axes, "no points")
    entries = [
        sample(_TARGET, "target"),
        sample(_PREDICTION, "prediction"),
        sample(_POINTS, "data", line=False),
    ]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def _title(truth: FloatArray, fit: FloatArray) -> str:
    known = np.isfinite(truth) & np.isfinite(fit)
    if not known.any():
        return "Target and prediction"
    furthest = float(np.abs(truth[known] - fit[known]).max())
    return f"The prediction is nowhere further than {number(furthest)} from the target"
