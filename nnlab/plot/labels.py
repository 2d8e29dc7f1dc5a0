"""Labels at the ends of lines, moved apart until none covers another."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnlab.plot.scales import FloatArray
from nnlab.plot.style import FONT_NOTE, FONT_TICK, LineLook, darker, legend_beside, sample
from nnlab.plot.text import families, plain

_MOST = 12  # labels at line ends; more than that read better in a legend
_LETTERS = 26
_ROWS = 24  # of a legend


@dataclass(frozen=True)
class LineEnd:
    """A line's name (a user's string), its look, and where its last finite point lies."""

    name: str
    look: LineLook
    x: float
    y: float


def line_end(name: str, look: LineLook, x: FloatArray, y: FloatArray) -> LineEnd | None:
    """The end of a line with points (T,), (T,); none if no point is finite."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    return LineEnd(name, look, float(x[known[-1]]), float(y[known[-1]])) if len(known) else None


def spread(wanted: FloatArray, gap: float) -> FloatArray:
    """The positions in [0, 1] nearest to the wanted ones (least squares) with a least gap between them.

    With levels yᵢ = positionᵢ − i·gap, in ascending order of the wanted ones, the question is isotonic
    regression within bounds. Pooling adjacent violators answers it exactly (Barlow, Bartholomew, Bremner
    and Brunk, "Statistical Inference under Order Restrictions", 1972). Too many positions for the gap end
    above 1.

    >>> spread(np.array([0.5, 0.5, 0.9, 1.0]), 0.2).round(2).tolist()
    [0.4, 0.6, 0.8, 1.0]
    """
    order = np.argsort(wanted, kind="stable")
    pools: list[tuple[float, int]] = []  # mean level and size
    for rank, value in enumerate(wanted[order]):
        mean, size = float(value) - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    levels = np.array([mean for mean, size in pools for _ in range(size)])
    placed = np.empty_like(wanted)
    highest = max(0.0, 1 - (len(wanted) - 1) * gap)
    placed[order] = np.clip(levels, 0, highest) + gap * np.arange(len(wanted))
    return placed


def label_ends(figure: Figure, axes: Axes, ends: list[LineEnd | None]) -> None:
    """Name each line at its right end. Call it when the limits of the axes are settled.

    More lines than fit beside the axes are named in a legend instead, in the order given.
    """
    known = [end for end in ends if end is not None]
    axes_points = 72 * figure.get_figheight() * axes.get_position().height
    gap = 1.35 * FONT_TICK / axes_points
    if len(known) > min(_MOST, int(1 / gap) + 1):
        _name_beside(figure, axes, known)
        return
    axes.set_xlim(axes.get_xlim())  # settles limits that matplotlib would compute while drawing
    axes.set_ylim(axes.get_ylim())
    wanted = np.array([_height(axes, end) for end in known])
    for end, height, true_height in zip(known, spread(wanted, gap), wanted, strict=True):
        _label(axes, end, float(height), float(true_height))


def _height(axes: Axes, end: LineEnd) -> float:
    """How high the line ends, in fractions of the axes, between 0 and 1; a zero on a log scale lies at 0."""
    if axes.get_yscale() == "log" and end.y <= 0:
        return 0.0
    scaled = axes.transScale.transform((end.x, end.y))
    return float(np.clip(axes.transLimits.transform(scaled)[1], 0, 1))


def _label(axes: Axes, end: LineEnd, height: float, true_height: float) -> None:
    """The name beside the axes, with a thin line to the end that it names."""
    axes.annotate(
        plain(end.name, limit=_LETTERS),
        xy=(end.x, true_height),
        xycoords=("data", "axes fraction"),
        xytext=(1.03, height),
        textcoords="axes fraction",
        va="center_baseline",
        fontsize=FONT_TICK,
        family=list(families()),
        color=darker(end.look.color),
        annotation_clip=False,
        arrowprops={
            "arrowstyle": "-",
            "color": end.look.color,
            "linewidth": 0.9,
            "linestyle": (0, (1, 1.5)),
            "shrinkA": 1,
            "shrinkB": 4,
            "relpos": (0.0, 0.5),
        },
    )


def _name_beside(figure: Figure, axes: Axes, ends: list[LineEnd]) -> None:
    """A legend instead, in a figure that is made wider for it."""
    columns = math.ceil(len(ends) / _ROWS)
    rows = math.ceil(len(ends) / columns)
    width, height = figure.get_size_inches()
    lengthened = 1.2 + rows * 1.55 * FONT_NOTE / 72
    figure.set_size_inches(width + 2.5 * columns, max(height, lengthened))
    handles = [sample(end.look, plain(end.name, limit=_LETTERS)) for end in ends]
    legend_beside(axes, handles, columns)
