"""Functions that networks compute on the circle, over the distribution that was predicted for them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import (
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend_below,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import number

Functions = tuple[FloatArray, FloatArray, FloatArray]
"""Outputs of networks (S, g), and the predicted mean and standard deviation (g,)."""

PREDICTED = LineLook(PALETTE[0], "-", "none")
NETWORKS = LineLook(MUTED, "-", "none")
MEASURED = LineLook(PALETTE[1], (0, (5, 1.6)), "none")
MOST = 30  # networks that are drawn
WIDTHS = 2.0  # standard deviations on each side of a mean
TITLES = {"start": "at the start", "all_layers": "all layers trained", "last_layer": "last layer trained"}


def functions_on_the_circle(
    angles: FloatArray,
    points: tuple[FloatArray, FloatArray],
    panels: Mapping[str, Functions],
    ratios: FloatArray,
) -> Figure:
    """Draws networks over the predicted band of two standard deviations, one panel for each training.

    Dashed is the mean of all networks, and two of their own standard deviations to each side.

    Args:
        angles: (g,) in degrees, ascending.
        points: (n,) angles and targets of the training points.
        panels: by the kind of training.
        ratios: (panels,) measured variances in units of the predicted ones.
    """
    figure = new_figure(_title(as_numbers(ratios)), (14.0, 5.6))
    every = figure.subplots(1, len(panels), sharey=True)
    reach = max(float((np.abs(mean) + 1.15 * WIDTHS * std).max()) for _, mean, std in panels.values())
    for index, (axes, (name, functions)) in enumerate(zip(np.ravel(every), panels.items(), strict=True)):
        dress(axes, "angle (°)", "" if index else "output f")
        panel_title(axes, TITLES.get(name, name))
        axes.set_xlim(angles[0], angles[-1])
        axes.set_xticks([0, 180])
        axes.set_ylim(-reach, reach)
        _panel(axes, as_numbers(angles), tuple(map(as_numbers, functions)))
        if name != "start":
            axes.plot(*points, "o", color=INK, markersize=8, markeredgecolor=PAPER, zorder=6)
    count = len(next(iter(panels.values()))[0])
    band = sample(PREDICTED, "predicted: mean ± 2 std")
    band.set(linewidth=9, alpha=0.4)
    handles = [
        band,
        sample(MEASURED, f"measured over {count} networks"),
        sample(NETWORKS, f"{min(MOST, count)} of them"),
        sample(LineLook(INK, "none", "o"), "training points", line=False),
    ]
    legend_below(figure, handles)
    return figure


def _panel(axes: Axes, angles: FloatArray, panel: tuple[FloatArray, ...]) -> None:
    functions, mean, std = panel
    axes.fill_between(
        angles, mean - WIDTHS * std, mean + WIDTHS * std, color=PREDICTED.color, alpha=0.3, linewidth=0
    )
    axes.plot(angles, functions[:MOST].T, color=NETWORKS.color, linewidth=0.6, alpha=0.5)
    axes.plot(angles, mean, color=PREDICTED.color, linewidth=THIN, zorder=3)
    middle, spread = functions.mean(0), WIDTHS * functions.std(0, ddof=1)
    for values in (middle, middle - spread, middle + spread):
        axes.plot(angles, values, color=MEASURED.color, linestyle=MEASURED.dash, linewidth=LINE, zorder=4)


def _title(ratios: FloatArray) -> str:
    listed = ", ".join(number(float(ratio), 3) for ratio in ratios)
    return (
        f"Networks from many starts spread as the Gaussian process predicts: variance over predicted {listed}"
    )
