"""A computational graph as the lecture draws it: values above the wires, gradients below them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path

from nnlab.figures.style import FONT_LABEL, INK, MUTED, PALETTE, PAPER, darker, legend, new_figure
from nnlab.figures.text import families, literal, plain, width_in_points

ACROSS, UP = 0.62, 0.72
"""Inches of half a layer, and of a row."""
LEAST_WIDTH = 6.5
"""Inches."""
RADIUS = 0.27
"""Inches, of a circle."""
LEVEL = 0.5
"""Share of the way to the next point that a wire stays level."""
FONT = 13.0
"""Points, of the labels."""

VALUES, GRADIENTS = darker(PALETTE[2]), darker(PALETTE[1])

Point = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """A circle of the picture.

    Attributes:
        x, y: its column and row.
        label: what stands in it.
        is_input: a variable, which has no circle around it.
    """

    x: float
    y: float
    label: str
    is_input: bool


@dataclass(frozen=True)
class Wire:
    """An edge of the picture.

    Attributes:
        points: columns and rows of where it goes, from one circle to the next, or out to the right.
        value: text of the value that flows along it, for above the second point.
        gradient: text of the gradient that flows back, for below; empty where none does.
    """

    points: Sequence[Point]
    value: str
    gradient: str


def computational_graph(
    title: str,
    circles: Sequence[Place],
    wires: Sequence[Wire],
) -> Figure:
    """The picture.

    Args:
        title: above it.
        circles: their places, in columns and rows.
        wires: between them.
    """
    widest = max(
        width_in_points(literal(text), FONT) for wire in wires for text in (wire.value, wire.gradient)
    )
    across = max(ACROSS, (widest / 72 + 0.45) / 2 + RADIUS)  # so that a label fits between two circles
    columns = [x for wire in wires for x, _ in wire.points]
    rows = [y for wire in wires for _, y in wire.points]
    width = (max(columns) - min(columns)) * across + 1.6
    height = (max(rows) - min(rows)) * UP + 1.1
    figure = new_figure(title, (max(width, LEAST_WIDTH), height + 1.1))
    axes = figure.add_subplot()
    axes.set(
        xlim=(min(columns) * across - 0.9, min(columns) * across - 0.9 + max(width, LEAST_WIDTH)),
        ylim=(min(rows) * UP - 0.6, max(rows) * UP + 0.6),
        aspect="equal",
    )
    axes.axis("off")
    for wire in wires:
        placed = [(x * across, y * UP) for x, y in wire.points]
        _wire(axes, placed)
        x, y = placed[1]
        _text(axes, x, y + 0.03, wire.value, VALUES, "bottom")
        _text(axes, x, y - 0.05, wire.gradient, GRADIENTS, "top")
    for place in circles:
        _circle(axes, place.x * across, place.y * UP, place.label, is_input=place.is_input)
    handles = [
        Line2D([], [], linestyle="none", marker="s", color=VALUES, label="value"),
        Line2D([], [], linestyle="none", marker="s", color=GRADIENTS, label="gradient of f"),
    ]
    legend(figure, handles, "outside lower left", columns=2)
    return figure


def _wire(axes: Axes, points: Sequence[Point]) -> None:
    """A smooth line that is level at each point."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if number > 0:  # level below the label
            x += LEVEL * (to_x - x)
            vertices.append((x, y))
            codes.append(Path.LINETO)
        end = to_x - LEVEL * (to_x - x) if number < len(points) - 2 else to_x
        middle = (x + end) / 2
        vertices += [(middle, y), (middle, to_y), (end, to_y), (to_x, to_y)]
        codes += [Path.CURVE4] * 3 + [Path.LINETO]
    axes.add_patch(
        PathPatch(Path(np.array(vertices), codes), facecolor="none", edgecolor=MUTED, linewidth=1.3, zorder=1)
    )


def _circle(axes: Axes, x: float, y: float, label: str, *, is_input: bool) -> None:
    shown = plain(label, 12)
    points = width_in_points(literal(label, 12), FONT_LABEL)
    size = min(FONT_LABEL, FONT_LABEL * 72 * 1.7 * RADIUS / points)
    if not is_input:
        axes.add_patch(Circle((x, y), RADIUS, facecolor=PAPER, edgecolor=INK, linewidth=1.3, zorder=3))
    axes.text(
        x, y, shown, fontsize=FONT_LABEL if is_input else size, family=list(families()), color=INK,
        ha="center", va="center", weight="bold" if is_input else "normal", zorder=4,
        bbox={"pad": 3.0, "facecolor": PAPER, "edgecolor": PAPER} if is_input else None,
    )  # fmt: skip


def _text(axes: Axes, x: float, y: float, text: str, color: tuple[float, float, float], va: str) -> None:
    axes.text(
        x, y, plain(text), fontsize=FONT, family=list(families()), color=color, ha="center", va=va, zorder=5,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip
