"""The mistakes of the perceptron beside their bound."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.perceptron.figures.separation import listed
from nnlab.errors import InputError
from nnlab.plot.scales import FloatArray, as_array, as_numbers, log_axis, positive
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    PALETTE,
    PAPER,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import families, literal, number, plain

_DOT = LineLook(PALETTE[0], "none", "o")


def perceptron_mistakes(
    mistakes: Mapping[str, ArrayLike], bounds: Mapping[str, float], title: str | None = None
) -> Figure:
    """Mistakes of the perceptron until it separates, beside the bound (R/γ)² of each problem.

    Args:
        mistakes: Problem -> mistakes (S,), one for each start or order of the points; zero is drawn at the
            left edge of the logarithmic axis.
        bounds: Problem -> (R/γ)², R the largest norm of a point and γ the margin (with the constant input
            that carries the bias counted in both).
        title: A sentence; by default whether the bounds hold.

    Raises:
        InputError: the problems of both differ, or mistakes are no numbers.
    """
    if set(mistakes) != set(bounds):
        raise InputError(
            f"figure: mistakes are for {sorted(mistakes)}, bounds for {sorted(bounds)}; must be the same"
        )
    rows = {name: as_array(values, f"the mistakes of {name!r}") for name, values in mistakes.items()}
    limits = {name: float(as_numbers(bounds[name], f"the bound of {name!r}")) for name in rows}
    figure = new_figure(title or _mistakes_title(rows, limits), (10.0, 2.6 + 0.62 * max(2, len(rows))))
    axes = figure.subplots()
    dress(axes, "mistakes until every point is right", "")
    everything = np.concatenate([np.array(list(limits.values())), *rows.values()])
    log_axis(axes.xaxis, everything)
    most_equal = max((int(np.sum(values == v)) for values in rows.values() for v in values), default=1)
    size = float(np.clip(90 / max(most_equal, 1), 2.5, 6.5))
    for level, (name, values) in enumerate(rows.items()):
        _draw_mistakes(axes, level, values, limits[name], size)
    axes.set_yticks(range(len(rows)), [plain(name, limit=30) for name in rows])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    if not rows:
        nothing_to_show(axes, "no problems")
    dots = sample(_DOT, "mistakes, one dot per start or order", line=False)
    dots.set_markeredgecolor("none")
    level_mark = Line2D([], [], color=PALETTE[1], marker="|", linestyle="none", markersize=18)
    level_mark.set(markeredgewidth=3.5, label="bound (R/γ)²")
    legend(figure, [dots, level_mark], "outside lower center", columns=2, size=FONT_TICK)
    return figure


def _draw_mistakes(axes: Axes, level: int, values: FloatArray, bound: float, size: float) -> None:
    """One row: dots for mistakes, spread upright by how many are equal; an upright mark for the bound."""
    left = axes.get_xlim()[0]
    for value in np.unique(values[np.isfinite(values)]):
        count = int(np.sum(values == value))
        heights = level + np.linspace(-0.26, 0.26, count) if count > 1 else np.array([float(level)])
        place = max(value, left)
        (dots,) = axes.plot(np.full(count, place), heights, linestyle="none", marker="o", color=PALETTE[0])
        dots.set(markersize=size, markeredgecolor=PAPER, clip_on=False)
        dots.set_markeredgewidth(0.4)
    if positive(np.array([bound])).size:
        (mark,) = axes.plot([bound], [level], linestyle="none", marker="|", color=PALETTE[1])
        mark.set(markersize=26, markeredgewidth=3.5)
        axes.annotate(
            number(bound),
            (bound, level),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_TICK,
            family=list(families()),
            color=INK,
            annotation_clip=False,
        )


def _mistakes_title(rows: Mapping[str, FloatArray], limits: Mapping[str, float]) -> str:
    known = {name: values[np.isfinite(values)] for name, values in rows.items()}
    most = {name: float(values.max()) for name, values in known.items() if len(values)}
    if not most:
        return "Mistakes of the perceptron and its bound (R/γ)²"
    beyond = [literal(name, 30) for name, value in most.items() if value > limits[name]]
    if beyond:
        return f"The perceptron makes more mistakes than (R/γ)² on {listed(beyond)}"
    words = [
        f"{number(value)} of {number(limits[name])} on {literal(name, 30)}" for name, value in most.items()
    ]
    where = f", at most {', '.join(words)}" if len(words) <= 3 else ""
    return f"The perceptron stays within its bound of (R/γ)² mistakes{where}"
