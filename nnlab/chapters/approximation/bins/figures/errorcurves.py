"""Network − target over x, each construction in its certified band."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.bins.figures.histograms import ERROR, readable_ticks
from nnlab.plot.bands import beneath
from nnlab.plot.outward import at_least, at_most
from nnlab.plot.scales import FloatArray, as_numbers, as_pair, positive
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MUTED,
    PALETTE,
    THIN,
    Dash,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import literal, plain
from nnlab.plot.thinning import draw_curve, left_out, shade_between

_CERTIFIED: Dash = (0, (5, 1.6))
_ALIKE = 20.0  # times that bounds may differ for their curves to share one scale


def error_curves(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike, float, float]], title: str | None = None
) -> Figure:
    """Network − target over x with the certified band, one panel per construction.

    The largest error lies between its certified lower and upper bound: in one of the two darker strips, where
    the bounds are far enough from each other to be seen apart.

    Args:
        panels: Construction -> inputs (T,), network − target (T,), certified lower and upper bound on the
            largest error. Panels share one scale where the bounds are alike.
        title: A sentence; by default whether every curve stays in its band.

    Raises:
        InputError: an array is not one of numbers, or lengths differ.
    """
    curves = [_curve(name, *arrays) for name, arrays in panels.items()]
    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(len(curves), 3)
    rows = max(1, math.ceil(len(curves) / columns))
    across = {1: 9.0, 2: 12.0, 3: 15.0}[columns]
    uppers = positive(np.array([curve.high for curve in curves]))
    alike = bool(uppers.size) and bool(uppers.max() <= _ALIKE * uppers.min())
    figure = new_figure(title or _curves_title(curves), (across, 1.8 + 3.5 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=alike)
    for axes, curve in zip(grid.flat, curves, strict=False):
        dress(axes)
        panel_title(axes, plain(curve.name, limit=38))
        notes = [f"certified: {_between(curve.low, curve.high)}"] if math.isfinite(curve.high) else []
        notes += left_out(_draw_error(axes, curve))
        axes.set_xlabel(beneath("input x", notes, 72 * across / columns))
    for axes in grid.flat[len(curves) :]:
        axes.set_axis_off() if curves else nothing_to_show(axes, "no constructions")
    shared_labels(figure, "", "network − target")
    legend(figure, _curve_entries(curves), "outside lower center", columns=3, size=FONT_TICK)
    return figure


@dataclass(frozen=True)
class _Curve:
    """One construction: inputs and error (T,), and the bounds on its largest absolute value."""

    name: str
    x: FloatArray
    error: FloatArray
    low: float
    high: float

    def furthest(self) -> float:
        """The largest absolute error as drawn."""
        return float(np.abs(self.error[np.isfinite(self.error)]).max(initial=0.0))


def _curve(name: str, x: ArrayLike, error: ArrayLike, low: float, high: float) -> _Curve:
    places, values = as_pair(x, error, repr(name))
    bounds = as_numbers((low, high), f"the bounds of {name!r}")
    return _Curve(name, places, values, float(bounds[0]), float(bounds[1]))


def _draw_error(axes: Axes, curve: _Curve) -> int:
    """The error between its bounds; how many values are left out because they are not finite."""
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    low, high = curve.low, curve.high
    if math.isfinite(high):
        axes.axhspan(-high, high, facecolor=PALETTE[4], alpha=0.16, linewidth=0, zorder=0)
        for sign in (-1, 1):
            axes.axhline(sign * high, color=INK, linestyle=_CERTIFIED, linewidth=THIN, zorder=3)
            if math.isfinite(low) and low < high:
                strip = sorted((sign * low, sign * high))
                axes.axhspan(*strip, facecolor=PALETTE[0], alpha=0.35, linewidth=0)
    shade_between(axes, curve.x, 0.0, curve.error, ERROR.color, 0.3)
    lost = draw_curve(axes, curve.x, curve.error, ERROR, THIN)
    axes.margins(x=0.015, y=0.12)
    readable_ticks(axes.yaxis, 5)
    return lost


def _between(low: float, high: float) -> str:
    """'0.0312 ≤ largest |error| ≤ 0.0313', rounded outward."""
    return f"{at_least(low)} ≤ largest |error| ≤ {at_most(high)}"


def _curve_entries(curves: Sequence[_Curve]) -> list[Line2D]:
    entries = [sample(ERROR, "error as drawn", marker=False)]
    entries.append(sample(LineLook(INK, _CERTIFIED, "none"), "± certified upper bound", marker=False))
    entries[1].set(linewidth=THIN)
    if any(curve.low < 0.99 * curve.high for curve in curves):
        entries.append(sample(LineLook(PALETTE[0], "-", "none"), "lower to upper bound", marker=False))
        entries[2].set(linewidth=9, alpha=0.4)
    return entries


def _curves_title(curves: Sequence[_Curve]) -> str:
    outside = [literal(curve.name, 34) for curve in curves if curve.furthest() > curve.high]
    if outside:
        return f"The error leaves its certified band: {', '.join(outside)}"
    sentence = "Every error curve stays in its certified band"
    if curves and all(curve.furthest() >= 0.98 * curve.high for curve in curves):
        return f"{sentence} and reaches to its edge"
    return sentence
