"""The figure of the catapult: where the kernel ends, and how high the loss climbs, over the step size."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.scales import as_numbers, log_axis
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    THIN,
    LineLook,
    dress,
    legend,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import number

_MAP = LineLook(PALETTE[1], "-", "none")
_TRAINED = LineLook(PALETTE[0], "none", "o")
_EDGE = LineLook(MUTED, (0, (5, 3)), "none")
_BOUNDARIES = (2.0, 4.0)


def catapult(
    sweep: ArrayLike,
    predicted_ends: ArrayLike,
    predicted_peaks: ArrayLike,
    products: ArrayLike,
    measured_ends: ArrayLike,
    measured_peaks: ArrayLike,
) -> Figure:
    """Draws ηλ at the end, and the highest loss over the first, over ηλ₀: the map and the trainings.

    Args:
        sweep: (S,) ηλ₀ of the map, ascending.
        predicted_ends: (S,) ηλ at the end, by the map.
        predicted_peaks: (S,) the largest loss over the first, by the map.
        products: (K,) ηλ₀ of the trainings.
        measured_ends: (K,) ηλ at the end of each.
        measured_peaks: (K,) its largest loss over the first.
    """
    places, trained = as_numbers(sweep), as_numbers(products)
    peaks, inside = as_numbers(measured_peaks), (trained > _BOUNDARIES[0]) & (trained < _BOUNDARIES[1])
    climb = f" to {number(float(np.nanmax(peaks[inside])), 2)} times its start" if inside.any() else ""
    title = f"The catapult: between ηλ₀ = 2 and 4 the loss first climbs{climb}, and ends where ηλ < 2"
    figure = new_figure(title, DOUBLE)
    left, right = figure.subplots(1, 2)
    pairs = (
        (left, "ηλ at the end of training", predicted_ends, measured_ends),
        (right, "highest loss / first loss", predicted_peaks, measured_peaks),
    )
    for axes, label, theory, measured in pairs:
        dress(axes, "ηλ₀ at the start")
        panel_title(axes, label)
        values, points = as_numbers(theory), as_numbers(measured)
        if axes is right:
            log_axis(axes.yaxis, values)
        axes.plot(places, values, color=_MAP.color, linewidth=LINE)
        axes.plot(trained, points, color=_TRAINED.color, linestyle="none", marker="o", markersize=9, zorder=3)
        for boundary in _BOUNDARIES:
            axes.axvline(boundary, color=INK, linestyle=(0, (1, 2)), linewidth=THIN)
    left.axhline(2.0, color=_EDGE.color, linestyle=_EDGE.dash, linewidth=THIN)
    entries = [
        sample(_TRAINED, "trained network", line=False),
        sample(_MAP, "map of two numbers"),
        sample(_EDGE, "ηλ = 2"),
    ]
    entries[2].set_linewidth(THIN)
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure
