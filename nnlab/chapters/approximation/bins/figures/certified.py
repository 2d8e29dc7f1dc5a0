"""Certified errors of constructions over the number of bins, beside what theory says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import solid
from nnlab.plot.labels import LineEnd, label_ends
from nnlab.plot.powerlaws import power_words
from nnlab.plot.scales import FloatArray, as_numbers, as_pair, draw_line, log_axis, positive, with_notes
from nnlab.plot.style import (
    DASHES,
    FONT_TICK,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import families, literal, number, plain

Bounds = tuple[ArrayLike, ArrayLike, ArrayLike]


@dataclass(frozen=True)
class _Series:
    """One construction: bins, lower and upper bounds of its error, (K,) each, by ascending bins."""

    name: str
    look: LineLook
    bins: FloatArray
    lower: FloatArray
    upper: FloatArray

    def slope(self) -> float:
        """Between the last two upper bounds on logarithmic axes; not a number where there are none."""
        known = np.isfinite(self.bins) & (self.bins > 0) & np.isfinite(self.upper) & (self.upper > 0)
        n, error = np.log(self.bins[known]), np.log(self.upper[known])
        if len(n) < 2 or n[-1] == n[-2]:
            return math.nan
        return float((error[-1] - error[-2]) / (n[-1] - n[-2]))


def error_over_bins(
    series: Mapping[str, Bounds],
    title: str | None = None,
    *,
    theory: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    epsilon: float | None = None,
    answer: int | None = None,
) -> Figure:
    """Certified bounds on the error over the number of bins, beside what theory says.

    The band of a construction reaches from its certified lower to its certified upper bound, which may be too
    near to each other to be seen apart. At the end of each stands its slope between the last two points.

    Args:
        series: Construction -> bins N (K,), certified lower bounds (K,), certified upper bounds (K,).
        title: A sentence; by default the slopes.
        theory: Such as "L(b − a)/(2N)" -> N (P,), values (P,).
        epsilon: The error that was asked for, as a level.
        answer: The number of bins that theory gives for it, marked on the level.

    Raises:
        InputError: an array is not one of numbers, or lengths differ.
    """
    rows = [_series(name, index, *arrays) for index, (name, arrays) in enumerate(series.items())]
    lines = {name: as_pair(n, values, f"theory {name!r}") for name, (n, values) in (theory or {}).items()}
    figure = new_figure(title or _slopes_title(rows), (11.5, 7.0))
    axes = figure.subplots()
    dress(axes)
    levels = as_numbers([] if epsilon is None else [epsilon], "epsilon")
    _log_axes(axes, rows, lines, levels, answer)
    notes: list[str] = []
    handles = []
    for row in rows:
        notes += _draw_series(axes, row)
        handles.append(sample(row.look, plain(row.name, limit=40)))
    for index, (name, pair) in enumerate(lines.items()):
        look = LineLook(INK, DASHES[1 + index % (len(DASHES) - 1)], "none")
        axes.plot(*pair, color=look.color, linestyle=look.dash, linewidth=THIN, zorder=2.5)
        handles.append(sample(look, f"theory: {plain(name, limit=40)}"))
    for level in positive(levels):
        _mark_answer(axes, float(level), answer)
    axes.set_xlabel(with_notes("bins N", notes))
    axes.set_ylabel("certified largest error")
    ends = [_slope_end(row) for row in rows]
    if not any(ends):
        nothing_to_show(axes, "nothing was certified")
    label_ends(figure, axes, ends)
    if handles:
        legend(figure, handles, "outside lower center", columns=min(3, len(handles)), size=FONT_TICK)
    return figure


def _series(name: str, index: int, bins: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> _Series:
    n, low = as_pair(bins, lower, f"the lower bounds of {name!r}")
    high = as_pair(n, upper, f"the upper bounds of {name!r}")[1]
    order = np.argsort(n, kind="stable")
    return _Series(name, solid(line_look(index)), n[order], low[order], high[order])


def _log_axes(
    axes: Axes,
    rows: Sequence[_Series],
    theory: Mapping[str, tuple[FloatArray, FloatArray]],
    levels: FloatArray,
    answer: int | None,
) -> None:
    marked = np.array([float(answer)]) if answer is not None else np.zeros(0)
    bins = [*(row.bins for row in rows), *(n for n, _ in theory.values()), marked]
    errors = [*(row.lower for row in rows), *(row.upper for row in rows), *(v for _, v in theory.values())]
    log_axis(axes.xaxis, np.concatenate([np.zeros(0), *bins]))
    log_axis(axes.yaxis, np.concatenate([levels, *errors]))


def _draw_series(axes: Axes, row: _Series) -> list[str]:
    """The band between both bounds and the upper one as a line; what marks at the edges mean."""
    floor = axes.get_ylim()[0]
    known = np.isfinite(row.lower) & np.isfinite(row.upper) & (row.bins > 0) & (row.upper > 0)
    low = np.maximum(row.lower[known], floor)
    axes.fill_between(
        row.bins[known], low, row.upper[known], color=row.look.color, alpha=0.3, linewidth=0, zorder=2
    )
    placed = np.isfinite(row.bins) & (row.bins > 0)
    return draw_line(axes, row.bins[placed], row.upper[placed], row.look)


def _slope_end(row: _Series) -> LineEnd | None:
    known = np.flatnonzero(np.isfinite(row.bins) & (row.bins > 0) & np.isfinite(row.upper) & (row.upper > 0))
    if not known.size:
        return None
    slope = row.slope()
    words = power_words(slope, "N", 3) if math.isfinite(slope) else "one point"
    return LineEnd(words, row.look, float(row.bins[known[-1]]), float(row.upper[known[-1]]))


def _mark_answer(axes: Axes, epsilon: float, answer: int | None) -> None:
    """ε as a level with its name, and where theory's number of bins lies on it."""
    axes.axhline(epsilon, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
    words = f"ε = {number(epsilon)}"
    if answer is None or answer <= 0:
        _say(axes, axes.get_xlim()[0], epsilon, words, "left")
        return
    bottom = axes.get_ylim()[0]
    axes.plot([answer, answer], [bottom, epsilon], color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN)
    (mark,) = axes.plot([answer], [epsilon], marker="*", color=PALETTE[1], linestyle="none", markersize=17)
    mark.set(markeredgecolor=PAPER, zorder=6)
    low, high = np.log(axes.get_xlim())
    late = math.log(answer) > (low + high) / 2
    side, aside = ("right", -12) if late else ("left", 12)
    _say(axes, float(answer), bottom, f"{words} takes N = {answer:,} bins", side, (aside, 16))


def _say(axes: Axes, x: float, y: float, words: str, side: str, offset: tuple[float, float] = (8, 9)) -> None:
    axes.annotate(
        words,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=FONT_TICK,
        family=list(families()),
        color=INK,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
        zorder=5,
    )


def _slopes_title(rows: Sequence[_Series]) -> str:
    slopes = [(row, row.slope()) for row in rows]
    known = [
        f"{power_words(slope, 'N')} ({literal(row.name, 34)})"
        for row, slope in slopes
        if math.isfinite(slope)
    ]
    if not known or len(known) > 3:
        return "The certified error over the number of bins, between its lower and its upper bound"
    return f"The certified error falls like {', '.join(known)}"
