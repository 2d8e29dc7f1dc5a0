"""Kernels of finite width: how far they lie from their limit, and how their mean is shifted."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.display import spoken
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, ticks_at
from nnlab.plot.style import (
    DOUBLE,
    INK,
    LINE,
    LineLook,
    dress,
    legend_below,
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
)
from nnlab.plot.text import percent

PREDICTED = LineLook(INK, (0, (5, 2)), "none")


def spread_and_shift(
    widths: Sequence[int],
    spreads: Mapping[str, ArrayLike],
    predicted: Mapping[str, float],
    shifts: Mapping[str, ArrayLike],
) -> Figure:
    """Draws E‖H − H∞‖²/‖H∞‖² over the width on the predicted c/m, and the shift of the mean beside its own.

    Args:
        widths: (K,) widths m.
        spreads: Activation -> (K, 3), mean, low and high for each width.
        predicted: Activation -> c, of the relative spread.
        shifts: Activation -> (K, 3), those of the shift in units of the predicted one.
    """
    m = as_numbers(widths)
    figure = new_figure(_title(m, spreads, predicted), DOUBLE)
    left, right = figure.subplots(1, 2)
    looks = {name: line_look(index) for index, name in enumerate(spreads)}
    dress(left, "width m")
    dress(right, "width m")
    for axes in (left, right):
        log_axis(axes.xaxis, m)
        ticks_at(axes.xaxis, m)
    levels = [as_numbers(rows) for rows in spreads.values()]
    log_axis(left.yaxis, np.concatenate([level.ravel() for level in levels]))
    for name, look in looks.items():
        left.plot(m, predicted[name] / m, color=PREDICTED.color, linestyle=PREDICTED.dash, linewidth=LINE)
        _points(left, m, spreads[name], look)
        if name in shifts:
            _points(right, m * (1 + 0.04 * list(looks).index(name)), shifts[name], look)
    if shifts:
        right.axhline(1.0, color=PREDICTED.color, linestyle=PREDICTED.dash, linewidth=LINE)
        right.axhline(0.0, color=INK, linewidth=1.0)
    else:
        nothing_to_show(right, "no shift is predicted")
    panel_title(left, "spread E‖H − H∞‖²/‖H∞‖²")
    panel_title(right, "shift of the mean / (H⁽¹⁾/m)")
    handles = [sample(look, spoken(name), line=False) for name, look in looks.items()]
    legend_below(figure, [*handles, sample(PREDICTED, "predicted at order 1/m")])
    return figure


def _title(m: FloatArray, spreads: Mapping[str, ArrayLike], predicted: Mapping[str, float]) -> str:
    """The largest relative distance of a measured spread at the largest width from the predicted one."""
    last = {name: float(as_numbers(rows)[-1, 0]) for name, rows in spreads.items()}
    off = [abs(value * m[-1] / predicted[name] - 1) for name, value in last.items()]
    return (
        f"Kernels of finite width spread and shift like 1/m: at m = {m[-1]:g} the spread is within "
        f"{percent(max(off))} of the prediction"
    )


def _points(axes: Axes, m: np.ndarray, rows: ArrayLike, look: LineLook) -> None:
    """Measured means with their intervals."""
    mean, low, high = as_numbers(rows).T
    axes.errorbar(
        m, mean, yerr=[mean - low, high - mean], fmt=look.marker, color=look.color, markersize=8, capsize=5,
        linewidth=LINE,
    )  # fmt: skip
