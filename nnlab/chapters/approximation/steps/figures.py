"""Figures of a hidden unit as a step: over its weight, its distance to the hard step, and two as a bin."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.drawing import arrow, drawable, largest, note
from nnlab.display import spoken
from nnlab.plot.bands import width_looks
from nnlab.plot.lines import difference, draw_curve, draw_line, label_ends, left_out, line_end, shade_between
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import log_axis
from nnlab.plot.style import (
    FONT_LABEL,
    INK,
    MUTED,
    PALETTE,
    THIN,
    WIDE,
    LineLook,
    dress,
    legend_below,
    line_look,
    new_figure,
    panel_title,
    sample,
    shared_labels,
    with_notes,
    with_notes_below,
)
from nnlab.plot.text import literal, number, plain

_UNBOUNDED = 4.35  # three times the range of bounded steps; what grows beyond it is no step
_UP = LineLook(PALETTE[0], (0, (5, 1.6)), "none")
_DOWN = LineLook(PALETTE[1], (0, (6, 1.6, 1.2, 1.6)), "none")
_SUM = LineLook(INK, "-", "none")


@of_lines
def steps_over_steepness(
    x: ArrayLike, panels: Mapping[str, Mapping[float, ArrayLike]], position: float
) -> Figure:
    """σ(wx + b) over x for several weights w, with the position s = −b/w kept: one panel per activation.

    An activation whose values leave the range of a step, as those of ReLU do, leaves its panel, and a word at
    the upper edge says how far it goes.

    Args:
        x: (T,) inputs.
        panels: Up to four, at least one bounded: activation -> weight w -> values (T,).
        position: The position s of the step.
    """
    curves = {
        name: dict(zip(steps, drawable(*steps.values()), strict=True)) for name, steps in panels.items()
    }
    heights = {name: largest(np.concatenate([*steps.values()])) for name, steps in curves.items()}
    unbounded = [spoken(literal(name, 30)) for name in curves if heights[name] > _UNBOUNDED]
    title = f"The larger w, the nearer σ(wx + b) comes to a step at s = −b/w = {number(position)}"
    if unbounded:
        title += f"; {', '.join(unbounded)} never becomes one"
    figure = new_figure(title, (max(9.0, 3.7 * len(curves) + 0.6), 5.6))
    grid = figure.subplots(1, len(curves), squeeze=False, sharex=True, sharey=True)[0]
    weights = sorted({w for steps in curves.values() for w in steps})
    shades = width_looks(range(len(weights)))  # from light (flat) to dark (steep)
    looks = {w: replace(shades[index], marker="none") for index, w in enumerate(weights)}
    grid_x = drawable(x)[0]
    lost = 0
    for axes, (name, steps) in zip(grid, curves.items(), strict=True):
        dress(axes, "input x")
        panel_title(axes, plain(spoken(name), limit=26))
        for w in sorted(steps):
            lost += draw_curve(axes, grid_x, steps[w], looks[w])
        axes.axvline(position, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
        if heights[name] > _UNBOUNDED:
            words = f"↑ to {number(heights[name])}:\nno step"
            note(axes, float(grid_x[0]), 0.14, words, ha="left", y_is="fraction")
    bounded = [y for name, steps in curves.items() if heights[name] <= _UNBOUNDED for y in steps.values()]
    known = np.concatenate([[0.0, 1.0], *(y[np.isfinite(y)] for y in bounded)])
    low, high = float(known.min()), float(known.max())
    grid[0].set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    shared_labels(figure, "", "σ(wx + b)")
    grid[0].set_xlabel(with_notes_below("input x", left_out(lost), 72 * 3.7))
    entries = [sample(looks[w], f"w = {number(w)}", marker=False) for w in weights]
    place = LineLook(MUTED, (0, (1, 2)), "none")
    entries.append(sample(place, f"s = {number(position)}", marker=False))
    entries[-1].set_linewidth(THIN)
    legend_below(figure, entries)
    return figure


@of_lines
def distance_to_step(
    series: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]], window: float
) -> Figure:
    """The distance of σ(w(x − s)) to the hard step where |x − s| ≥ δ: measured points on the predicted curve.

    The distance is on a logarithmic axis over w: a distance like e^(−wδ) is a straight line.

    Args:
        series: Activation -> ascending weights w (K,) and the measured largest distances (K,); ascending
            weights (P,) and the predicted distances (P,).
        window: δ, in units of x.
    """
    rows = {name: drawable(*arrays) for name, arrays in series.items()}
    ends = [line_end(spoken(name), line_look(index), *rows[name][2:]) for index, name in enumerate(rows)]
    last = [(values[0][-1], values[1][-1]) for values in rows.values()]
    weight, worst = max(last, key=lambda point: point[1])
    figure = new_figure(
        f"Outside of ±{number(window)} around its position, a hidden unit with w = {number(weight, 6)} is "
        f"within {number(worst, 2)} of a step",
        WIDE,
    )
    axes = figure.subplots()
    dress(axes)
    log_axis(axes.yaxis, np.concatenate([part for values in rows.values() for part in values[1::2]]))
    notes: list[str] = []
    for index, (w, measured, curve_w, predicted) in enumerate(rows.values()):
        notes += draw_line(axes, curve_w, predicted, replace(line_look(index), marker="none"))
        notes += draw_line(axes, w, measured, replace(line_look(index), dash="none"))
    axes.set_xlabel(with_notes("weight w      marks: measured, lines: predicted", notes))
    axes.set_ylabel("distance from the step")
    label_ends(figure, axes, ends)
    return figure


@of_lines
def single_bin(
    x: ArrayLike,
    panels: Mapping[float, tuple[ArrayLike, ArrayLike]],
    edges: tuple[float, float],
    height: float,
) -> Figure:
    """Two opposite steps, and below them their sum: a bin with a position, a size and a height.

    Args:
        x: (T,) inputs.
        panels: Weight w -> the steps (T,) and (T,) with their output weights, such as h σ(w(x − s₁)) and
            −h σ(w(x − s₂)); their sum is drawn below them.
        edges: The positions s₁ < s₂ of the steps.
        height: h ≠ 0.
    """
    title = (
        f"Two opposite steps make a bin from s₁ = {number(edges[0])} to s₂ = {number(edges[1])}, "
        f"of height h = {number(height)}"
    )
    figure = new_figure(title, (max(7.5, 4.1 * len(panels) + 0.8), 7.4))
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, sharey="row")
    grid_x = drawable(x)[0]
    lost = 0
    for (upper, lower), (w, pair) in zip(grid.T, sorted(panels.items()), strict=True):
        up, down = drawable(*pair)
        dress(upper)
        dress(lower, "input x")
        upper.tick_params(labelbottom=False)
        panel_title(upper, f"w = {number(w)}")
        lost += draw_curve(upper, grid_x, up, _UP) + draw_curve(upper, grid_x, down, _DOWN)
        total = difference(up, -down)
        shade_between(lower, grid_x, 0.0, total, PALETTE[2], 0.2)
        draw_curve(lower, grid_x, total, _SUM)
        _annotate_bin(lower, *edges, height)
    for axes in grid.flat:
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    grid[0, 0].set_ylabel("two units", fontsize=FONT_LABEL)
    grid[1, 0].set_ylabel("their sum", fontsize=FONT_LABEL)
    low, high = sorted((-0.3 * height, 1.36 * height))
    bottom, top = grid[1, 0].get_ylim()
    grid[1, 0].set_ylim(min(bottom, low), max(top, high))
    grid[1, 0].set_xlabel(with_notes_below("input x", left_out(lost), 72 * 4.1))
    names = {"h σ(w(x − s₁))": _UP, "−h σ(w(x − s₂))": _DOWN, "sum: the bin": _SUM}
    legend_below(figure, [sample(look, name, marker=False) for name, look in names.items()])
    return figure


def _annotate_bin(axes: Axes, left: float, right: float, height: float) -> None:
    """Marks position, size and height of the bin, by dotted lines and double arrows."""
    up = 1 if height > 0 else -1
    for place, name in ((left, "s₁"), (right, "s₂")):
        axes.axvline(place, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
        note(axes, place, 0.0, name, offset=(0, -13 * up))
    level, middle = 1.12 * height, (left + right) / 2
    arrow(axes, (left, level), (right, level), "<->")
    note(axes, middle, level, f"size {number(right - left)}", offset=(0, 11 * up))
    arrow(axes, (middle, 0.0), (middle, height), "<->")
    note(axes, middle, height / 2, "h")
