"""Figures of histograms: the fit, its certified error, the ends of the interval, and the sigmoid output."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.drawing import (
    CERTIFIED,
    ERROR,
    OUTPUT,
    REQUESTED,
    TARGET,
    arrow,
    draw_pair,
    drawable,
    largest,
    level_entry,
    note,
    pair_entries,
    room_for_notes,
)
from nnlab.plot.bands import solid
from nnlab.plot.lines import (
    LineEnd,
    difference,
    draw_curve,
    draw_line,
    label_ends,
    left_out,
    line_end,
    shade_between,
)
from nnlab.plot.overlay import of_lines
from nnlab.plot.powerlaws import power_words
from nnlab.plot.scales import FloatArray, log_axis, positive
from nnlab.plot.style import (
    DASHES,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend_below,
    line_look,
    new_figure,
    only_below,
    panel_grid,
    panel_title,
    sample,
    with_notes,
    with_notes_below,
    write,
)
from nnlab.plot.text import at_least, at_most, literal, number, plain

_INSIDE = LineLook(PALETTE[1], (0, (5, 1.6)), "none")
_SEPARATE_BINS = 250  # with more the outlines of the bins would be a grey area
_ALIKE = 20.0  # ratio of bounds up to which their error curves share one scale

Curves = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Inputs, target and output of the network, (T,) each."""
Bounds = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Ascending numbers of bins, certified lower and certified upper bounds of the error, (K,) each."""


# --- histograms -----------------------------------------------------------------------------------------


def histogram_fit(
    x: ArrayLike,
    target: ArrayLike,
    output: ArrayLike,
    edges: ArrayLike,
    heights: ArrayLike,
    *,
    hidden_units: int,
    error_upper: float,
    epsilon: float | None = None,
    close_up: Curves | None = None,
) -> Figure:
    """A function, the network that draws a histogram of it, and below them the difference of the two.

    Args:
        x: (T,) inputs, fine enough to show the steps; any number of them may be passed.
        target: (T,) values of the function.
        output: (T,) outputs of the network.
        edges: (N + 1,) ascending edges of the bins.
        heights: (N,) heights of the bins.
        hidden_units: H of the network.
        error_upper: Certified bound on the error, drawn at ± in the lower panel.
        epsilon: The error that was requested, drawn there too.
        close_up: Inputs (P,), target and output (P,) on a short piece of the interval, as a panel of its own,
            for histograms whose steps are too fine to be seen.
    """
    x, target, output, edges, heights = drawable(x, target, output, edges, heights)
    title = _fit_title(len(heights), hidden_units, error_upper)
    figure = new_figure(title, (14.0 if close_up else 10.0, 7.4))
    layout: list[Any] = [["fit", "close"], ["error", "close"]] if close_up else [["fit"], ["error"]]
    widths = (1.7, 1.0) if close_up else (1.0,)
    panels = figure.subplot_mosaic(layout, height_ratios=(1.75, 1.0), width_ratios=widths)
    panels["error"].sharex(panels["fit"])
    dress(panels["fit"])
    panel_title(panels["fit"], "target and network")
    _draw_bins(panels["fit"], edges, heights)
    lost = draw_pair(panels["fit"], x, target, output)
    panels["fit"].tick_params(labelbottom=False)
    dress(panels["error"])
    panel_title(panels["error"], "network − target")
    levels = _draw_error(panels["error"], x, difference(output, target), error_upper, epsilon)
    panels["error"].set_xlabel(with_notes("input x", left_out(lost)))
    if close_up:
        _draw_close_up(panels["close"], *drawable(*close_up))
    legend_below(figure, [*pair_entries(error=True), *levels], inches=1.5)
    return figure


def histogram_grid(panels: Mapping[str, tuple[Curves, ArrayLike, ArrayLike, float]]) -> Figure:
    """Histograms with ever more bins side by side.

    Args:
        panels: Such as "5 bins, 10 hidden units" -> curves, edges (N + 1,), heights (N,), and the certified
            bound on the error.
    """
    figure, grid = panel_grid(_grid_title(panels), len(panels), sharex=True, sharey=True)
    lost = 0
    for axes, (name, (curves, edges, heights, _)) in zip(grid.flat, panels.items(), strict=False):
        dress(axes)
        panel_title(axes, plain(name, limit=36))
        _draw_bins(axes, *drawable(edges, heights))
        lost += draw_pair(axes, *drawable(*curves))
    room_for_notes(grid[0, 0])  # of all, as they share one scale
    for axes, (*_, bound) in zip(grid.flat, panels.values(), strict=False):
        write(axes, 0.99, 0.9, f"error ≤ {at_most(bound)}", color=INK, ha="right")
    only_below(grid, len(panels), with_notes("input x", left_out(lost)))
    legend_below(figure, pair_entries())
    return figure


def _fit_title(bins: int, hidden_units: int, error_upper: float) -> str:
    subject = f"{_counting(bins, 'bin')}, {_counting(hidden_units, 'hidden unit')}"
    if not math.isfinite(error_upper):
        return f"{subject}: the network draws a histogram of the function"
    return f"{subject}: the network is nowhere more than {at_most(error_upper)} from the function"


def _counting(count: int, name: str) -> str:
    digits = f"{count:,}" if count >= 10_000 else str(count)
    return f"{digits} {name}{'s' if count != 1 else ''}"


def _grid_title(panels: Mapping[str, tuple[Curves, ArrayLike, ArrayLike, float]]) -> str:
    (first, (*_, start)), *_, (last, (*_, end)) = panels.items()
    if not (math.isfinite(start) and math.isfinite(end)):
        return "The more bins, the nearer the histogram comes to the function"
    verb = "falls" if end < start else "goes"
    first, last = (literal(name, 40).partition(",")[0] for name in (first, last))
    return f"The certified error {verb} from {at_most(start)} with {first} to {at_most(end)} with {last}"


def _draw_bins(axes: Axes, edges: FloatArray, heights: FloatArray) -> None:
    """Tints the bins, edges (N + 1,) and heights (N,); with outlines as far as they can be told apart."""
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


def _draw_error(
    axes: Axes, x: FloatArray, error: FloatArray, upper: float, epsilon: float | None
) -> list[Line2D]:
    """Draws the error (T,) as a ribbon around zero, between levels at ± the certified bound and at ± ε.

    Returns:
        The legend entries of the levels.
    """
    shade_between(axes, x, 0.0, error, ERROR.color, 0.35)
    draw_curve(axes, x, error, ERROR, THIN)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    entries = []
    if math.isfinite(upper):
        _levels(axes, upper, INK, CERTIFIED)
        entries.append(level_entry(f"certified: ± {at_most(upper, 4)}", INK, CERTIFIED))
    if epsilon is not None:
        _levels(axes, epsilon, PALETTE[2], REQUESTED)
        entries.append(level_entry(f"requested: ε = {number(epsilon, 4)}", PALETTE[2], REQUESTED))
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.margins(x=0.015)
    _readable_ticks(axes.yaxis, 4)
    return entries


def _levels(axes: Axes, level: float, color: str, dash: Any) -> None:
    """Draws horizontal lines at ± the level, if an axis can show it."""
    place = float(drawable(level)[0])
    for sign in (-1, 1) if math.isfinite(place) else ():
        axes.axhline(sign * place, color=color, linestyle=dash, linewidth=THIN, zorder=3)


def _draw_close_up(axes: Axes, x: FloatArray, target: FloatArray, output: FloatArray) -> None:
    """Draws both curves, counted from a point on them where they vary too little to be told from it."""
    x_from, y_from = _origin(x), _origin(np.concatenate([target, output]))
    lost = draw_pair(axes, x - x_from, target - y_from, output - y_from)
    dress(
        axes,
        with_notes_below(_counted("input x", x_from), left_out(lost), 72 * 4.5),
        _counted("both", y_from),
    )
    panel_title(axes, "close-up")
    _readable_ticks(axes.xaxis, 3)
    _readable_ticks(axes.yaxis, 6)


def _origin(values: FloatArray) -> float:
    """Zero, or a round number below the values where they vary by less than a hundredth of their size."""
    known = values[np.isfinite(values)]
    span = float(np.ptp(known)) if known.size else 0.0
    if span == 0 or span > 0.01 * float(np.abs(known).max()):
        return 0.0
    unit = 10.0 ** math.ceil(math.log10(span))
    return round(math.floor(float(known.min()) / unit + 1e-6) * unit, 15)


def _counted(name: str, start: float) -> str:
    return name if start == 0 else f"{name} {'−' if start > 0 else '+'} {number(abs(start), 10)}"


def _readable_ticks(axis: Axis, most: int) -> None:
    """Sets at most so many ticks, labelled as a slide writes numbers: 2·10⁻⁶ and not 1e-6 in the corner."""
    axis.set_major_locator(MaxNLocator(nbins=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))


# --- certified errors -----------------------------------------------------------------------------------


@of_lines
def error_curves(panels: Mapping[str, tuple[ArrayLike, ArrayLike, float, float]]) -> Figure:
    """Network − target over x with the certified band, one panel per construction.

    The largest error lies between its certified lower and upper bound: in one of the two darker strips, where
    the bounds are far enough from each other to be seen apart.

    Args:
        panels: Construction -> inputs (T,), network − target (T,), certified lower and upper bound on the
            largest error. Panels share one scale where the bounds are alike.
    """
    uppers = positive(np.array([float(drawable(high)[0]) for *_, high in panels.values()]))
    alike = bool(uppers.size) and bool(uppers.max() <= _ALIKE * uppers.min())
    figure, grid = panel_grid(_curves_title(panels), len(panels), sharex=False, sharey=alike)
    lost = 0
    for axes, (name, (x, error, low, high)) in zip(grid.flat, panels.items(), strict=False):
        dress(axes)
        panel_title(axes, plain(name, limit=38))
        x, error = drawable(x, error)
        _draw_band(axes, *(float(bound) for bound in drawable(low, high)))
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        shade_between(axes, x, 0.0, error, ERROR.color, 0.3)
        lost += draw_curve(axes, x, error, ERROR, THIN)
        axes.margins(x=0.015, y=0.12)
        axes.locator_params(axis="x", nbins=3)
        _readable_ticks(axes.yaxis, 3)
    for axes in list(grid.flat)[: 1 if alike else len(panels)]:
        room_for_notes(axes)
    for axes, (*_, low, high) in zip(grid.flat, panels.values(), strict=False):
        write(axes, 0.99, 0.9, f"{at_least(low)} to {at_most(high)}", color=INK, ha="right")
    only_below(grid, len(panels), with_notes("input x", left_out(lost)))
    entries = [
        sample(ERROR, "network − target", marker=False),
        level_entry("± its largest size, certified as written", INK, CERTIFIED),
    ]
    entries[0].set_linewidth(THIN)
    if any(low < 0.99 * high for *_, low, high in panels.values()):
        entries.append(sample(OUTPUT, "lower to upper bound", marker=False))
        entries[2].set(linewidth=9, alpha=0.4)
    legend_below(figure, entries, inches=2.5)
    return figure


def _draw_band(axes: Axes, low: float, high: float) -> None:
    if not math.isfinite(high):
        return
    axes.axhspan(-high, high, facecolor=PALETTE[4], alpha=0.16, linewidth=0, zorder=0)
    _levels(axes, high, INK, CERTIFIED)
    for sign in (-1, 1):
        if low < high:
            axes.axhspan(*sorted((sign * low, sign * high)), facecolor=PALETTE[0], alpha=0.35, linewidth=0)


def _curves_title(panels: Mapping[str, tuple[ArrayLike, ArrayLike, float, float]]) -> str:
    reached = {name: largest(np.asarray(error)) for name, (_, error, _, _) in panels.items()}
    outside = [literal(name, 34) for name in panels if reached[name] > panels[name][3]]
    if outside:
        return f"The error leaves its certified band: {', '.join(outside)}"
    shares = [reached[name] / panels[name][3] for name in panels if panels[name][3] > 0]
    fills = f"; each comes to {at_least(100 * min(shares))} % of it or more" if shares else ""
    return f"No error leaves its certified band{fills}"


def error_over_bins(
    series: Mapping[str, Bounds],
    theory: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    epsilon: float | None = None,
    answer: int | None = None,
) -> Figure:
    """Certified bounds on the error over the number of bins, beside what theory says.

    The band of a construction reaches from its certified lower to its certified upper bound, which may be too
    near to each other to be seen apart. At the end of each stands its slope between the last two points.

    Args:
        series: Construction -> its bounds.
        theory: Such as "L(b − a)/(2N)" -> N (P,), values (P,).
        epsilon: The error that was requested, as a level.
        answer: The number of bins that theory gives for it, marked on the level.
    """
    rows = {name: drawable(*bounds) for name, bounds in series.items()}
    lines = {name: drawable(*pair) for name, pair in theory.items()}
    figure = new_figure(_slopes_title(rows), (11.5, 7.0))
    axes = figure.subplots()
    dress(axes, "", "certified largest error")
    levels = positive(drawable([] if epsilon is None else [epsilon])[0])
    drawn = [*rows.values(), *lines.values()]
    log_axis(axes.xaxis, np.concatenate([[answer or np.nan], *(line[0] for line in drawn)]))
    log_axis(axes.yaxis, np.concatenate([levels, *(errors for line in drawn for errors in line[1:])]))
    looks = {name: solid(line_look(index)) for index, name in enumerate(rows)}
    notes = [note for name, row in rows.items() for note in _draw_bounds(axes, looks[name], *row)]
    handles = [sample(look, plain(name, limit=40)) for name, look in looks.items()]
    for index, (name, (n, values)) in enumerate(lines.items()):
        look = LineLook(INK, DASHES[1 + index % (len(DASHES) - 1)], "none")
        axes.plot(n, values, color=look.color, linestyle=look.dash, linewidth=THIN, zorder=2.5)
        handles.append(level_entry(f"theory: {plain(name, limit=40)}", look.color, look.dash))
    for level in levels:
        _mark_answer(axes, float(level), answer)
    axes.set_xlabel(with_notes("bins N", notes))
    label_ends(figure, axes, [_slope_end(looks[name], *row) for name, row in rows.items()])
    legend_below(figure, handles, columns=3)
    return figure


def _draw_bounds(
    axes: Axes, look: LineLook, bins: FloatArray, lower: FloatArray, upper: FloatArray
) -> list[str]:
    """Draws the band between both bounds, and the upper one as a line; returns what marks at edges mean."""
    known = np.isfinite(lower) & (upper > 0) & np.isfinite(upper)
    low = np.maximum(lower[known], axes.get_ylim()[0])
    axes.fill_between(bins[known], low, upper[known], color=look.color, alpha=0.3, linewidth=0, zorder=2)
    return draw_line(axes, bins, upper, look)


def _slope_end(look: LineLook, bins: FloatArray, lower: FloatArray, upper: FloatArray) -> LineEnd | None:
    """The slope at the last positive bound, if there is one."""
    slope = _last_slope(bins, upper)
    known = np.isfinite(upper) & (upper > 0)
    return line_end(
        power_words(slope, "N", 3) if math.isfinite(slope) else "one point", look, bins[known], upper[known]
    )


def _last_slope(bins: FloatArray, upper: FloatArray) -> float:
    """The slope between the last two positive bounds on logarithmic axes; NaN where there are not two."""
    known = np.isfinite(upper) & (upper > 0)
    n, error = np.log(bins[known][-2:]), np.log(upper[known][-2:])
    return float((error[1] - error[0]) / (n[1] - n[0])) if len(n) == 2 else math.nan


def _slopes_title(rows: Mapping[str, list[FloatArray]]) -> str:
    slopes = {literal(name, 34): _last_slope(bins, upper) for name, (bins, _, upper) in rows.items()}
    known = [f"{power_words(slope, 'N')} ({name})" for name, slope in slopes.items() if math.isfinite(slope)]
    if not known:
        return "The certified error over the number of bins, between its lower and its upper bound"
    return f"The certified error falls like {', '.join(known)}"


def _mark_answer(axes: Axes, epsilon: float, answer: int | None) -> None:
    """Draws ε as a level with its name, and marks on it the number of bins that theory gives."""
    axes.axhline(epsilon, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
    words = f"ε = {number(epsilon)}"
    if answer is None:
        note(axes, axes.get_xlim()[0], epsilon, words, offset=(8, 9), ha="left")
        return
    bottom = axes.get_ylim()[0]
    axes.plot([answer, answer], [bottom, epsilon], color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN)
    (mark,) = axes.plot([answer], [epsilon], marker="*", color=PALETTE[1], linestyle="none", markersize=17)
    mark.set(markeredgecolor=PAPER, zorder=6)
    low, high = np.log(axes.get_xlim())
    right = math.log(answer) > (low + high) / 2
    side, aside = ("right", -12) if right else ("left", 12)
    note(axes, float(answer), bottom, f"{words} takes N = {answer:,} bins", offset=(aside, 16), ha=side)


# --- the ends of the interval, and the sigmoid output ---------------------------------------------------


def towers_at_the_ends(
    ends: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    interval: tuple[float, float],
    *,
    errors: tuple[float, float],
) -> Figure:
    """Towers near both ends of the interval: with their outer edges at the ends, and outside.

    A step that stands at the very end is half of its height there, so the outermost tower is too.

    Args:
        ends: Such as "left end" -> inputs (T,) around it, target (T,), output (T,) of the towers whose outer
            edges are those of the interval, output (T,) of the towers whose outer edges lie outside.
        interval: a < b; what lies outside is greyed.
        errors: Certified errors on the interval, with the edges at its ends and outside.
    """
    inside_error, outside_error = (at_most(error) for error in errors)
    figure, grid = panel_grid(
        f"Towers whose edges stand at the ends drop to half there, error {inside_error}; "
        f"with edges outside {outside_error}",
        len(ends),
        sharex=False,
        sharey=False,
    )
    lost = 0
    for axes, (name, curves) in zip(grid.flat, ends.items(), strict=False):
        x, target, inside, outside = drawable(*curves)
        dress(axes)
        panel_title(axes, plain(name, limit=34))
        lost += draw_curve(axes, x, inside, _INSIDE) + draw_curve(axes, x, outside, OUTPUT)
        within = (x >= interval[0]) & (x <= interval[1])  # the target need not be defined elsewhere
        lost += draw_curve(axes, x[within], target[within], TARGET, zorder=3)
        axes.margins(x=0)
        axes.locator_params(axis="x", nbins=4)
        _grey_outside(axes, interval)
        _mark_drops(axes, x, inside, target, interval)
    only_below(grid, len(ends), with_notes("input x", left_out(lost)))
    looks = {"target": TARGET, "outer edges at the ends": _INSIDE, "outer edges outside": OUTPUT}
    legend_below(figure, [sample(look, name, marker=False) for name, look in looks.items()])
    return figure


def _grey_outside(axes: Axes, interval: tuple[float, float]) -> None:
    """Greys what lies outside of the interval, and keeps the limits."""
    low, high = axes.get_xlim()
    for start, stop in ((low, min(interval[0], high)), (max(interval[1], low), high)):
        if start < stop:
            axes.axvspan(start, stop, facecolor=MUTED, alpha=0.13, linewidth=0, zorder=0)
    axes.set_xlim(low, high)


def _mark_drops(
    axes: Axes, x: FloatArray, output: FloatArray, target: FloatArray, interval: tuple[float, float]
) -> None:
    """Marks the drop at an end of the interval that is in view, by an arrow from the target to the output."""
    for end in interval:
        if not x[0] <= end <= x[-1]:
            continue
        at = int(np.abs(x - end).argmin())
        if not np.isfinite([output[at], target[at]]).all():
            continue
        arrow(axes, (x[at], target[at]), (x[at], output[at]), "->")
        left = (x[at] < (x[0] + x[-1]) / 2) == (min(end - x[0], x[-1] - end) > 0.18 * (x[-1] - x[0]))
        words = f"error {number(abs(output[at] - target[at]))}"
        offset, side = ((-8, 0), "right") if left else ((8, 0), "left")
        note(axes, x[at], (output[at] + target[at]) / 2, words, offset=offset, ha=side)


def sigmoid_output(
    x: ArrayLike,
    logits: tuple[ArrayLike, ArrayLike],
    outputs: tuple[ArrayLike, ArrayLike],
    delta: float,
) -> Figure:
    """A network with a sigmoid on its output: before it σ⁻¹∘f is approximated, after it f.

    Args:
        x: (T,) inputs.
        logits: σ⁻¹∘f (T,) and the network before its sigmoid (T,).
        outputs: f (T,) and the network (T,).
        delta: δ such that f stays in [δ, 1 − δ], drawn as two levels.
    """
    furthest = number(largest(difference(*drawable(*outputs))), 2)
    figure, grid = panel_grid(
        f"Before its output sigmoid the network builds σ⁻¹∘f; behind it f is met to within {furthest}",
        2,
        sharey=False,
    )
    left, right = grid.flat
    lost = 0
    for axes, pair, heading in (
        (left, logits, "before the sigmoid: σ⁻¹∘f"),
        (right, outputs, "behind it: f"),
    ):
        dress(axes)
        panel_title(axes, heading)
        lost += draw_pair(axes, *drawable(x, *pair))
    right.set_ylim(0, 1)
    for level in (delta, 1 - delta):
        right.axhline(level, color=PALETTE[2], linestyle=REQUESTED, linewidth=THIN, zorder=1)
    only_below(grid, 2, with_notes("input x", left_out(lost)))
    entry = level_entry(f"δ and 1 − δ, δ = {number(delta)}", PALETTE[2], REQUESTED)
    legend_below(figure, [*pair_entries(), entry], inches=1.5)
    return figure
