"""Bins side by side: the histogram that a network draws of a function, and its error."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.bands import beneath
from nnlab.plot.outward import at_most
from nnlab.plot.scales import FloatArray, as_array, as_numbers, as_pair
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MUTED,
    PALETTE,
    PAPER,
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
from nnlab.plot.text import literal, number, plain
from nnlab.plot.thinning import difference, draw_curve, left_out, shade_between

TARGET = LineLook(INK, (0, (1.2, 1.4)), "none")
OUTPUT = LineLook(PALETTE[0], "-", "none")
ERROR = LineLook(PALETTE[1], "-", "none")
_CERTIFIED: Dash = (0, (5, 1.6))
ASKED_FOR: Dash = (0, (1.2, 1.4))
_SEPARATE_BINS = 250  # with more the outlines of the bins would be a grey area

Curves = tuple[ArrayLike, ArrayLike, ArrayLike]


def histogram_fit(
    x: ArrayLike,
    target: ArrayLike,
    output: ArrayLike,
    edges: ArrayLike,
    heights: ArrayLike,
    title: str | None = None,
    *,
    hidden_units: int | None = None,
    error_upper: float | None = None,
    epsilon: float | None = None,
    close_up: Curves | None = None,
) -> Figure:
    """A function, the network whose bins draw it, and below them what is between the two.

    Args:
        x: (T,) inputs, fine enough that the steps are seen; any number of them may be passed.
        target: (T,) values of the function.
        output: (T,) outputs of the network.
        edges: (N + 1,) ascending edges of the bins.
        heights: (N,) heights of the bins.
        title: A sentence; by default how many bins and hidden units, and the certified error if it is given.
        hidden_units: H of the network.
        error_upper: Certified bound on the error, drawn at ± in the lower panel.
        epsilon: The error that was asked for, drawn there too.
        close_up: inputs (P,), target and output (P,) on a short piece of the interval, as a panel of its own,
            for histograms whose steps are too fine to be seen.

    Raises:
        InputError: an array is not one of numbers, or lengths do not fit.
    """
    grid, truth, fit = as_curves((x, target, output), "the histogram")
    borders, levels = _bins(edges, heights)
    default = _fit_title(len(levels), hidden_units, error_upper)
    figure = new_figure(title or default, (14.0 if close_up else 10.0, 7.4))
    layout: list[Any] = [["fit", "close"], ["error", "close"]] if close_up else [["fit"], ["error"]]
    widths = (1.7, 1.0) if close_up else (1.0,)
    panels = figure.subplot_mosaic(layout, height_ratios=(1.75, 1.0), width_ratios=widths)
    panels["error"].sharex(panels["fit"])
    dress(panels["fit"], "", "target and network")
    draw_bins(panels["fit"], borders, levels)
    lost = draw_pair(panels["fit"], grid, truth, fit)
    panels["fit"].tick_params(labelbottom=False)
    dress(panels["error"], "", "network − target")
    notes = draw_error(panels["error"], grid, difference(fit, truth), error_upper, epsilon)
    panels["error"].set_xlabel(beneath("input x", [*notes, *left_out(lost)], 72 * 9.0))
    if close_up:
        _draw_close_up(panels["close"], close_up)
    if not np.isfinite(fit).any():
        nothing_to_show(panels["fit"], "no finite outputs")
    entries = [sample(TARGET, "target"), sample(OUTPUT, "network"), sample(ERROR, "error")]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def as_curves(arrays: Curves, what: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Inputs, target and output, (T,) each."""
    grid, truth = as_pair(arrays[0], arrays[1], f"the target of {what}")
    return grid, truth, as_pair(grid, arrays[2], f"the output of {what}")[1]


def _bins(edges: ArrayLike, heights: ArrayLike) -> tuple[FloatArray, FloatArray]:
    borders, levels = as_array(edges, "edges"), as_array(heights, "heights")
    if len(borders) != len(levels) + 1:
        raise InputError(
            f"figure: {len(borders)} edges for {len(levels)} heights; must be one edge more than bins"
        )
    if not np.all(np.diff(borders) > 0):
        raise InputError("figure: the edges of the bins must be finite and ascending")
    return borders, levels


def draw_bins(axes: Axes, edges: FloatArray, heights: FloatArray) -> None:
    """Tint the bins, edges (N + 1,) and heights (N,); with outlines as far as they can be told apart."""
    known = np.where(np.isfinite(heights), heights, np.nan)
    if len(heights) > _SEPARATE_BINS:
        shade_between(axes, (edges[1:] + edges[:-1]) / 2, 0.0, known, PALETTE[4], 0.3)
        return
    axes.stairs(known, edges, baseline=0.0, fill=True, color=PALETTE[4], alpha=0.3, linewidth=0)
    if 1 < len(heights) <= _SEPARATE_BINS // 2:
        inner = np.fmax(0.0, np.fmax(known[1:], known[:-1]))
        lower = np.fmin(0.0, np.fmin(known[1:], known[:-1]))
        axes.vlines(edges[1:-1], lower, inner, color=PAPER, linewidth=min(1.4, 60 / len(heights)), zorder=1.5)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)


def draw_pair(axes: Axes, x: FloatArray, target: FloatArray, output: FloatArray) -> int:
    """Network and target over x, (T,) each; how many values are left out because they are not finite."""
    lost = draw_curve(axes, x, output, OUTPUT)
    lost += draw_curve(axes, x, target, TARGET, zorder=3)
    axes.margins(x=0.015)
    return lost


def draw_error(
    axes: Axes, x: FloatArray, error: FloatArray, upper: float | None, epsilon: float | None
) -> list[str]:
    """The error (T,) as a ribbon around zero, between levels at ± the certified bound and at ± ε.

    Returns:
        What the levels mean, for the label of the x axis.
    """
    shade_between(axes, x, 0.0, error, ERROR.color, 0.35)
    draw_curve(axes, x, error, ERROR, THIN)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    notes = []
    for level, dash, color, words in (
        (upper, _CERTIFIED, INK, "- - -  certified: |error| ≤ "),
        (epsilon, ASKED_FOR, PALETTE[2], "· · ·  asked for: ε = "),
    ):
        place = math.nan if level is None else float(as_numbers(level, "a level"))
        if level is not None and np.isfinite(place):
            for sign in (-1, 1):
                axes.axhline(sign * place, color=color, linestyle=dash, linewidth=THIN, zorder=3)
            notes.append(words + (at_most(level, 4) if dash == _CERTIFIED else number(level, 4)))
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.margins(x=0.015)
    readable_ticks(axes.yaxis, 5)
    return notes


def _draw_close_up(axes: Axes, arrays: Curves) -> None:
    """Both curves, counted from a point on them where they reach too little to be told apart from it."""
    grid, truth, fit = as_curves(arrays, "the close-up")
    x_from, y_from = _origin(grid), _origin(np.concatenate([truth, fit]))
    lost = draw_pair(axes, grid - x_from, truth - y_from, fit - y_from)
    dress(axes, beneath(_counted("input x", x_from), left_out(lost), 72 * 4.5), _counted("both", y_from))
    panel_title(axes, "the same, closer")
    for axis in (axes.xaxis, axes.yaxis):
        readable_ticks(axis, 3 if axis is axes.xaxis else 6)


def _origin(values: FloatArray) -> float:
    """Zero, or where the values reach less than a hundredth of their size, a round number below them."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0
    span = float(np.ptp(known))
    if span == 0 or span > 0.01 * float(np.abs(known).max()):
        return 0.0
    unit = 10.0 ** math.ceil(math.log10(span))
    return round(math.floor(float(known.min()) / unit + 1e-6) * unit, 15)


def _counted(name: str, start: float) -> str:
    return name if start == 0 else f"{name} {'−' if start > 0 else '+'} {number(abs(start), 10)}"


def readable_ticks(axis: Axis, most: int) -> None:
    """At most so many ticks, labelled as a slide writes numbers: 2·10⁻⁶ and not 1e-6 in the corner."""
    axis.set_major_locator(MaxNLocator(nbins=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))


def _fit_title(bins: int, hidden_units: int | None, error_upper: float | None) -> str:
    subject = f"{_count(bins)} bin{'s' if bins != 1 else ''}"
    if hidden_units is not None:
        subject += f", {_count(hidden_units)} hidden unit{'s' if hidden_units != 1 else ''}"
    if error_upper is None or not math.isfinite(error_upper):
        return f"{subject}: the network draws a histogram of the function"
    return f"{subject}: the histogram is nowhere further than {at_most(error_upper)} from the function"


def _count(value: int) -> str:
    return f"{value:,}" if value >= 10_000 else str(value)


def histogram_grid(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    title: str | None = None,
    *,
    errors: Mapping[str, float] | None = None,
) -> Figure:
    """Histograms with ever more bins side by side.

    Args:
        panels: Such as "5 bins, 10 hidden units" -> x (T,), target (T,), output (T,), edges (N + 1,) and
            heights (N,), as for `histogram_fit`.
        title: A sentence; by default how the certified error falls.
        errors: Panel -> certified bound on its error, written below it.

    Raises:
        InputError: as `histogram_fit`.
    """
    bounds = dict(errors or {})
    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(len(panels), 3)
    rows = max(1, math.ceil(len(panels) / columns))
    across = {1: 9.0, 2: 12.0, 3: 15.0}[columns]
    figure = new_figure(title or _grid_title(panels, bounds), (across, 1.7 + 3.7 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, arrays) in zip(grid.flat, panels.items(), strict=False):
        x, truth, fit = as_curves(arrays[:3], repr(name))
        dress(axes)
        panel_title(axes, plain(name, limit=36))
        draw_bins(axes, *_bins(*arrays[3:]))
        notes = left_out(draw_pair(axes, x, truth, fit))
        if name in bounds:
            notes.insert(0, f"certified: |error| ≤ {at_most(bounds[name])}")
        axes.set_xlabel(beneath("input x", notes, 72 * across / columns))
        axes.tick_params(axis="x", labelbottom=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off() if panels else nothing_to_show(axes, "no histograms")
    shared_labels(figure, "", "target and network")
    entries = [sample(TARGET, "target"), sample(OUTPUT, "network")]
    legend(figure, entries, "outside lower center", columns=2, size=FONT_TICK)
    return figure


def _grid_title(panels: Mapping[str, object], bounds: Mapping[str, float]) -> str:
    known = [
        (literal(name, 40), bounds[name]) for name in panels if math.isfinite(bounds.get(name, math.nan))
    ]
    if len(known) < 2:
        return "The more bins, the nearer the histogram comes to the function"
    (first, start), (last, end) = known[0], known[-1]
    verb = "falls" if end < start else "goes"
    return f"The certified error {verb} from {at_most(start)} with {first} to {at_most(end)} with {last}"
