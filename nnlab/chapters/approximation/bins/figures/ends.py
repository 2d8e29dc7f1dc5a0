"""What happens to towers at the ends of the interval: half of their height is missing."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.bins.figures.histograms import OUTPUT, TARGET, as_curves
from nnlab.plot.bands import beneath
from nnlab.plot.outward import at_most
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import (
    FONT_NOTE,
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
)
from nnlab.plot.text import families, number, plain
from nnlab.plot.thinning import draw_curve, left_out

_INSIDE = LineLook(PALETTE[1], (0, (5, 1.6)), "none")


def towers_end_error(
    ends: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    interval: tuple[float, float],
    title: str | None = None,
    *,
    errors: tuple[float, float] | None = None,
) -> Figure:
    """Towers near both ends of the interval: with their outer edges inside of it, and outside.

    A step that stands at the very end is half of its height there, so the outermost tower is too.

    Args:
        ends: Such as "left end" -> inputs (T,) around it, target (T,), output (T,) of the towers whose outer
            edges are those of the interval, output (T,) of the towers whose outer edges lie outside.
        interval: a < b; what lies outside is greyed.
        title: A sentence; by default both errors.
        errors: Certified errors on the interval, with the edges at its ends and outside.

    Raises:
        InputError: an array is not one of numbers, or lengths differ.
    """
    span = as_array(interval, "the interval")
    figure = new_figure(title or _ends_title(errors), (12.5, 6.2))
    grid = figure.subplots(1, max(1, len(ends)), squeeze=False)[0]
    for axes, (name, (x, target, inside, outside)) in zip(grid, ends.items(), strict=False):
        places, truth, within = as_curves((x, target, inside), repr(name))
        beyond = as_curves((x, target, outside), repr(name))[2]
        dress(axes)
        panel_title(axes, plain(name, limit=34))
        lost = draw_curve(axes, places, within, _INSIDE) + draw_curve(axes, places, beyond, OUTPUT)
        here = (places >= span[0]) & (places <= span[1])  # the target need not be defined elsewhere
        lost += draw_curve(axes, places[here], truth[here], TARGET, zorder=3)
        axes.margins(x=0)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(beneath("input x", left_out(lost), 72 * 6))
        _grey_outside(axes, (span[0], span[1]))
        _mark_halves(axes, places, within, truth, (span[0], span[1]))
    if not ends:
        nothing_to_show(grid[0], "no ends")
    grid[0].set_ylabel("target and network")
    entries = [
        sample(TARGET, "target", marker=False),
        sample(_INSIDE, "towers, outer edges at the ends", marker=False),
        sample(OUTPUT, "towers, outer edges outside", marker=False),
    ]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def _grey_outside(axes: Axes, interval: tuple[float, float]) -> None:
    """Grey what lies outside of the interval, and keep the limits."""
    low, high = axes.get_xlim()
    for start, stop in ((low, min(interval[0], high)), (max(interval[1], low), high)):
        if start < stop:
            axes.axvspan(start, stop, facecolor=MUTED, alpha=0.13, linewidth=0, zorder=0)
    axes.set_xlim(low, high)


def _mark_halves(
    axes: Axes, x: FloatArray, output: FloatArray, target: FloatArray, interval: tuple[float, float]
) -> None:
    """The drop at an end of the interval that is in view: an arrow from the target to the output."""
    for end in interval:
        if not len(x) or not x.min() <= end <= x.max():
            continue
        at = int(np.abs(x - end).argmin())
        if not np.isfinite([output[at], target[at]]).all():
            continue
        style = {"arrowstyle": "->", "color": INK, "linewidth": 0.7 * LINE, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(x[at], output[at]), xytext=(x[at], target[at]), arrowprops=style, zorder=5)
        left = (x[at] < (x.min() + x.max()) / 2) == (_room_outside(x, end) > 0.18)
        axes.annotate(
            f"error {number(abs(output[at] - target[at]))}",
            (x[at], (output[at] + target[at]) / 2),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=FONT_NOTE,
            family=list(families()),
            color=INK,
            zorder=5,
        )


def _room_outside(x: FloatArray, end: float) -> float:
    """The share of the inputs' range that lies beyond the end which is nearer to its side."""
    beyond = min(end - float(x.min()), float(x.max()) - end)
    return beyond / max(float(np.ptp(x)), 1e-300)


def _ends_title(errors: tuple[float, float] | None) -> str:
    sentence = "Towers with outer edges at the ends of the interval fall to half of their height there"
    if errors is None:
        return sentence
    inside, outside = (at_most(error) for error in errors)
    return f"{sentence}: the error is certified up to {inside}, with edges outside {outside}"
