"""Parts that the figures of this chapter share: a target beside a network, and words at a place."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.plot.lines import draw_curve
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_TICK, INK, PALETTE, PAPER, THIN, Dash, LineLook, font, sample

TARGET = LineLook(INK, (0, (1.2, 1.4)), "none")
OUTPUT = LineLook(PALETTE[0], "-", "none")
ERROR = LineLook(PALETTE[1], "-", "none")
CERTIFIED: Dash = (0, (5, 1.6))
REQUESTED: Dash = (0, (1.2, 1.4))


def drawable(*arrays: ArrayLike) -> list[FloatArray]:
    """The arrays as float64, what no axis can show as 0 or infinity."""
    return [as_numbers(array) for array in arrays]


def draw_pair(axes: Axes, x: FloatArray, target: FloatArray, output: FloatArray) -> int:
    """Draws network and target over x, (T,) each; returns how many values are not finite and left out."""
    lost = draw_curve(axes, x, output, OUTPUT)
    lost += draw_curve(axes, x, target, TARGET, zorder=3)
    axes.margins(x=0.015)
    return lost


def room_for_notes(axes: Axes) -> None:
    """Raises the upper end of a y axis, for one line of words below it."""
    low, high = axes.get_ylim()
    pixels = 0.7 * float(axes.get_window_extent().height)  # labels will take the rest
    figure = axes.get_figure(root=True)
    assert figure is not None
    line = 1.6 * FONT_TICK * float(figure.dpi) / 72
    axes.set_ylim(low, high + (high - low) * line / pixels)


def level_entry(label: str, color: str, dash: Dash) -> Line2D:
    """The legend entry of a level, as thin as it is drawn; `label` already plain."""
    entry = sample(LineLook(color, dash, "none"), label, marker=False)
    entry.set_linewidth(THIN)
    return entry


def note(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    offset: tuple[float, float] = (0, 0),
    ha: str = "center",
    y_is: str = "data",
) -> None:
    """Writes words at (x, y), `offset` points from it; y in data coordinates or as a fraction of the axes."""
    axes.annotate(
        text,
        (x, y),
        xycoords=axes.transData if y_is == "data" else axes.get_xaxis_transform(),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va="center",
        bbox={"boxstyle": "square,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
        zorder=5,
        annotation_clip=False,
        **font(FONT_TICK),
    )


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    """Draws an arrow between two points in data coordinates; the style as matplotlib names it."""
    look = {"arrowstyle": style, "color": INK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=look, annotation_clip=False, zorder=5)


def pair_entries(*, error: bool = False) -> list[Line2D]:
    """Legend entries of target and network, and of the error between them."""
    names = [(TARGET, "target"), (OUTPUT, "network"), (ERROR, "error")]
    return [sample(look, name) for look, name in names[: 3 if error else 2]]


def largest(values: FloatArray) -> float:
    """The largest absolute value among the finite ones; NaN where there is none."""
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if known.size else math.nan
