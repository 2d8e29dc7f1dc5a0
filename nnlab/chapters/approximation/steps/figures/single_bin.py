"""Two opposite steps, and the bin that they make."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.steps.figures.steps import note
from nnlab.errors import InputError
from nnlab.plot.bands import beneath
from nnlab.plot.scales import as_array, as_numbers, as_pair
from nnlab.plot.style import (
    FONT_LABEL,
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
    nothing_to_show,
    panel_title,
    sample,
)
from nnlab.plot.text import number
from nnlab.plot.thinning import difference, draw_curve, left_out, shade_between

_UP = LineLook(PALETTE[0], (0, (5, 1.6)), "none")
_DOWN = LineLook(PALETTE[1], (0, (6, 1.6, 1.2, 1.6)), "none")
_SUM = LineLook(INK, "-", "none")


def single_bin(
    x: ArrayLike,
    panels: Mapping[float, tuple[ArrayLike, ArrayLike]],
    edges: tuple[float, float],
    height: float,
    title: str | None = None,
) -> Figure:
    """Two opposite steps, and below them their sum: a bin with a position, a size and a height.

    Args:
        x: (T,) inputs.
        panels: Weight w -> the steps (T,) and (T,) with their output weights, such as h σ(w(x − s₁)) and
            −h σ(w(x − s₂)); their sum is drawn below them.
        edges: The positions s₁ < s₂ of the steps.
        height: h.
        title: A sentence.

    Raises:
        InputError: an array is not one of numbers, or has another length than x; or s₁ ≥ s₂.
    """
    left, right, height = (float(v) for v in as_numbers((*edges, height), "edges and height"))
    if not -np.inf < left < right < np.inf:
        raise InputError(f"figure: a bin needs edges with s₁ < s₂, not {left:g} and {right:g}")
    grid = as_array(x, "x")
    steps = {
        float(w): tuple(as_pair(grid, part, f"a step at w = {w:g}")[1] for part in pair)
        for w, pair in sorted(panels.items())
    }
    default = "Two opposite steps make a bin: s₁ is its position, s₂ − s₁ its size, h its height"
    columns = max(1, len(steps))
    figure = new_figure(title or default, (max(7.5, 4.1 * columns + 0.8), 7.4))
    axes_of = figure.subplots(2, columns, squeeze=False, sharex=True, sharey="row")
    lost = 0
    for (upper, lower), (w, (up, down)) in zip(axes_of.T, steps.items(), strict=False):
        dress(upper)
        dress(lower, "input x")
        panel_title(upper, f"w = {number(w)}")
        lost += draw_curve(upper, grid, up, _UP) + draw_curve(upper, grid, down, _DOWN)
        total = difference(up, -down)
        shade_between(lower, grid, 0.0, total, PALETTE[2], 0.2)
        draw_curve(lower, grid, total, _SUM)
        _annotate_bin(lower, left, right, height)
    for axes in axes_of.flat:
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        if not steps:
            nothing_to_show(axes, "no steps")
    axes_of[0, 0].set_ylabel("the two hidden units", fontsize=FONT_LABEL)
    axes_of[1, 0].set_ylabel("their sum", fontsize=FONT_LABEL)
    if steps and np.isfinite(height) and height != 0:
        low, high = sorted((-0.3 * height, 1.36 * height))
        bottom, top = axes_of[1, 0].get_ylim()
        axes_of[1, 0].set_ylim(min(bottom, low), max(top, high))
    axes_of[1, 0].set_xlabel(beneath("input x", left_out(lost), 72 * 4.1))
    names = ((_UP, "h σ(w(x − s₁))"), (_DOWN, "−h σ(w(x − s₂))"), (_SUM, "sum: the bin"))
    legend(
        figure,
        [sample(look, name, marker=False) for look, name in names],
        "outside lower center",
        columns=3,
        size=FONT_TICK,
    )
    return figure


def _annotate_bin(axes: Axes, left: float, right: float, height: float) -> None:
    """Position, size and height of the bin, by dotted lines and double arrows."""
    for place, name in ((left, "s₁"), (right, "s₂")):
        axes.axvline(place, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
        note(axes, place, 0.0, name, offset=(0, -13 if height >= 0 else 13))
    if not np.isfinite(height) or height == 0:
        return
    level = 1.12 * height
    _arrow(axes, (left, level), (right, level))
    note(
        axes, (left + right) / 2, level, f"size {number(right - left)}", offset=(0, 11 if height > 0 else -11)
    )
    middle = (left + right) / 2
    _arrow(axes, (middle, 0.0), (middle, height))
    note(axes, middle, height / 2, f"h = {number(height)}")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "<->", "color": INK, "linewidth": 0.6 * LINE, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style, annotation_clip=False)
