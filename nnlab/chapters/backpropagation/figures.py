"""A computational graph as the lecture draws it: values above the wires, gradients below them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, PathPatch
from matplotlib.path import Path

from nnlab.plot.style import FONT_LABEL, INK, MUTED, PALETTE, PAPER, darker, legend, new_figure
from nnlab.plot.text import families, literal, plain, width_in_points

UP = 0.72
"""Inches of a row."""
GAP = 0.35
"""Inches between a circle and a label beside it, in which wires change their row."""
LEAST_WIDTH = 6.5
"""Inches."""
RADIUS = 0.27
"""Inches, of a circle. A long label makes it an ellipse as high."""
NAME, SIGN = 24, 12
"""Characters of an input's name, and of what stands in a circle, that are shown."""
NAME_WIDTH = 1.2
"""Inches, of an input's name: a longer one is set smaller."""
CHORD = 1.7
"""Radii of a circle that are free for its label."""
FONT, SMALL = 13.0, 10.0
"""Points, of the labels on wires, and of the longest in circles and before wires."""
BOLD = 1.2
"""How much wider than others bold letters are at most."""

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
        points: columns and rows of where it goes, from one circle to the next, to or from a fork, or out to
            the right. Circles stand in even columns; labels and forks in odd ones.
        value: text of the value that flows along it.
        gradient: text of the gradient that flows back; empty where none does.
    """

    points: Sequence[Point]
    value: str
    gradient: str

    @property
    def label(self) -> Point:
        """Between the two texts: in the first odd column behind its start."""
        return next(point for point in self.points[1:] if point[0] % 2 == 1)


def computational_graph(
    title: str,
    circles: Sequence[Place],
    wires: Sequence[Wire],
    result: str = "f",
) -> Figure:
    """The picture.

    Args:
        title: above it.
        circles: their places, in columns and rows.
        wires: between them.
        result: what the value of the graph is called.
    """
    label = max(_width(text, FONT) for wire in wires for text in (wire.value, wire.gradient)) / 2
    circle = max(_size(place)[0] for place in circles)
    across = circle + GAP + label  # inches of a column
    columns = [x for wire in wires for x, _ in wire.points]
    rows = [y for wire in wires for _, y in wire.points]
    left, width = min(columns) * across - circle - 0.3, (max(columns) - min(columns)) * across + circle + 0.6
    height = (max(rows) - min(rows)) * UP + 1.1
    figure = new_figure(title, (max(width, LEAST_WIDTH), height + 1.1))
    axes = figure.add_subplot()
    axes.set(
        xlim=(left, left + max(width, LEAST_WIDTH)),
        ylim=(min(rows) * UP - 0.6, max(rows) * UP + 0.6),
        aspect="equal",
    )
    axes.axis("off")
    for wire in wires:
        _wire(axes, [(x * across, y * UP, (circle, label)[round(x) % 2]) for x, y in wire.points])
        x, y = wire.label
        _text(axes, x * across, y * UP + 0.03, wire.value, VALUES, "bottom")
        _text(axes, x * across, y * UP - 0.05, wire.gradient, GRADIENTS, "top")
    for place in circles:
        _circle(axes, place.x * across, place.y * UP, place)
    handles = [
        Line2D([], [], linestyle="none", marker="s", color=VALUES, label="value"),
        Line2D([], [], linestyle="none", marker="s", color=GRADIENTS, label=f"gradient of {plain(result)}"),
    ]
    legend(figure, handles, "outside lower left", columns=2)
    return figure


def _wire(axes: Axes, points: Sequence[tuple[float, float, float]]) -> None:
    """A smooth line that is level at each point, so far before and after it as the third number says."""
    vertices, codes = [points[0][:2]], [Path.MOVETO]
    for (x, y, after), (to_x, to_y, before) in pairwise(points):
        start = min(x + after, to_x)
        end = max(start, to_x - before)
        middle = (start + end) / 2
        vertices += [(start, y), (middle, y), (middle, to_y), (end, to_y), (to_x, to_y)]
        codes += [Path.LINETO, *[Path.CURVE4] * 3, Path.LINETO]
    axes.add_patch(
        PathPatch(Path(np.array(vertices), codes), facecolor="none", edgecolor=MUTED, linewidth=1.3, zorder=1)
    )


def _circle(axes: Axes, x: float, y: float, place: Place) -> None:
    half, points = _size(place)
    if not place.is_input:
        axes.add_patch(
            Ellipse((x, y), 2 * half, 2 * RADIUS, facecolor=PAPER, edgecolor=INK, linewidth=1.3, zorder=3)
        )
    axes.text(
        x, y, plain(_shown(place)), fontsize=points, family=list(families()), color=INK,
        ha="center", va="center", weight="bold" if place.is_input else "normal", zorder=4,
        bbox={"pad": 3.0, "facecolor": PAPER, "edgecolor": PAPER} if place.is_input else None,
    )  # fmt: skip


def _shown(place: Place) -> str:
    return literal(place.label, NAME if place.is_input else SIGN)


def _size(place: Place) -> tuple[float, float]:
    """Half the width of a circle or name in inches, and the size of its letters in points."""
    width = _width(_shown(place), FONT_LABEL) * (BOLD if place.is_input else 1.0)
    room = NAME_WIDTH if place.is_input else CHORD * RADIUS
    shrink = max(SMALL / FONT_LABEL, min(1.0, room / width))
    return max(RADIUS, shrink * width / (2.0 if place.is_input else CHORD)), shrink * FONT_LABEL


def _width(text: str, size: float) -> float:
    """Inches."""
    return width_in_points(literal(text), size) / 72


def _text(axes: Axes, x: float, y: float, text: str, color: tuple[float, float, float], va: str) -> None:
    axes.text(
        x, y, plain(text), fontsize=FONT, family=list(families()), color=color, ha="center", va=va, zorder=5,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip
