"""The picture of a worksheet as the lecture draws it: values above the wires, gradients below them.

Nodes stand from left to right with few crossings, by Sugiyama's method as igraph has it (Sugiyama, Tagawa
and Toda, 1981).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import igraph
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.notation import format_array, format_truth, symbol
from nnlab.chapters.backpropagation.worksheet import Worksheet
from nnlab.display import lowered
from nnlab.errors import InputError
from nnlab.plot.style import FONT_LABEL, INK, MUTED, PALETTE, PAPER, darker, fixed_figure, legend
from nnlab.plot.text import families, literal, plain, width_in_points

Array = NDArray[np.float64]
Point = tuple[float, float]

MAX_NODES = 60
"""A picture of more is not readable."""
DIGITS = 3
"""Significant digits in a picture, if no others are chosen."""
SHORT = 3
"""Entries of a vector that are written out; a longer one is described by its shape."""
UP = 0.72
"""Inches of a row."""
CLEAR = 0.08
"""Inches on each side of a label, in which wires stay level."""
GAP = 0.25
"""Inches between a circle and a label beside it, in which wires change their row."""
LEAST_WIDTH = 6.5
"""Inches."""
RADIUS = 0.27
"""Inches, of a circle. A long label makes it an ellipse as high."""
NAME, SIGN = 24, 12
"""Characters of an input's name, and of the text in a circle, that are shown."""
NAME_WIDTH = 1.2
"""Inches, of an input's name: a longer one is set smaller."""
CHORD = 1.7
"""Radii of a circle that are free for its label."""
FONT, SMALL = 13.5, 10.0
"""Points, of the labels on wires, and of the longest in circles and before wires."""
BOLD = 1.2
"""Largest ratio of the widths of bold and normal letters."""

VALUES, GRADIENTS = darker(PALETTE[2]), darker(PALETTE[1])


@dataclass(frozen=True)
class Place:
    """A circle of the picture.

    Attributes:
        x, y: its column and row.
        label: the text in it.
        is_input: True for a variable, which has no circle around it.
    """

    x: float
    y: float
    label: str
    is_input: bool


@dataclass(frozen=True)
class Wire:
    """An edge of the picture.

    Attributes:
        points: columns and rows of its course, from one circle to the next, to or from a fork, or out to
            the right. Circles stand in even columns; labels and forks in odd ones.
        value: text of the value that flows along it.
        gradient: text of the gradient that flows back; empty where none does.
    """

    points: Sequence[Point]
    value: str
    gradient: str

    @property
    def label(self) -> Point:
        """The point between the two texts: in the first odd column behind its start."""
        return next(point for point in self.points[1:] if point[0] % 2 == 1)


def computational_graph(sheet: Worksheet, title: str, digits: int = DIGITS) -> Figure:
    """Draws the graph of a worksheet.

    Raises:
        InputError: the graph has more than MAX_NODES nodes.
    """
    circles, wires = layout(sheet, digits)
    label = max(_width(text, FONT) for wire in wires for text in (wire.value, wire.gradient)) / 2 + CLEAR
    circle = max(_size(place)[0] for place in circles)
    across = circle + GAP + label  # inches of a column
    columns = [x for wire in wires for x, _ in wire.points]
    rows = [y for wire in wires for _, y in wire.points]
    left, width = min(columns) * across - circle - 0.3, (max(columns) - min(columns)) * across + circle + 0.6
    height = (max(rows) - min(rows)) * UP + 1.1
    figure = fixed_figure(title, (max(width, LEAST_WIDTH), height + 1.1))
    axes = figure.add_subplot()
    axes.set(
        xlim=(left, left + max(width, LEAST_WIDTH)),
        ylim=(min(rows) * UP - 0.6, max(rows) * UP + 0.6),
        aspect="equal",
    )
    axes.axis("off")
    for wire in wires:
        _draw_wire(axes, [(x * across, y * UP, (circle, label)[round(x) % 2]) for x, y in wire.points])
        x, y = wire.label
        _draw_text(axes, x * across, y * UP + 0.03, wire.value, VALUES, "bottom")
        _draw_text(axes, x * across, y * UP - 0.05, wire.gradient, GRADIENTS, "top")
    for place in circles:
        _draw_circle(axes, place.x * across, place.y * UP, place)
    names = {"value": VALUES, f"gradient of {plain(sheet.notation.result)}": GRADIENTS}
    handles = [
        Line2D([], [], linestyle="none", marker="s", color=color, label=name) for name, color in names.items()
    ]
    legend(figure, handles, "outside lower left", columns=2, size=FONT)
    return figure


def _draw_wire(axes: Axes, points: Sequence[tuple[float, float, float]]) -> None:
    """Draws a smooth line that is level at each point, as far before and after it as its third number."""
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


def _draw_circle(axes: Axes, x: float, y: float, place: Place) -> None:
    half, points = _size(place)
    if not place.is_input:
        axes.add_patch(
            Ellipse((x, y), 2 * half, 2 * RADIUS, facecolor=PAPER, edgecolor=INK, linewidth=1.3, zorder=3)
        )
    axes.text(
        x, y, plain(_label(place)), fontsize=points, family=list(families()), color=INK,
        ha="center", va="center", weight="bold" if place.is_input else "normal", zorder=4,
        bbox={"pad": 3.0, "facecolor": PAPER, "edgecolor": PAPER} if place.is_input else None,
    )  # fmt: skip


def _label(place: Place) -> str:
    return lowered(literal(place.label, NAME)) if place.is_input else literal(place.label, SIGN)


def _size(place: Place) -> tuple[float, float]:
    """Returns half the width of a circle or name in inches, and the size of its letters in points."""
    width = _width(_label(place), FONT_LABEL) * (BOLD if place.is_input else 1.0)
    room = NAME_WIDTH if place.is_input else CHORD * RADIUS
    shrink = max(SMALL / FONT_LABEL, min(1.0, room / width))
    return max(RADIUS, shrink * width / (2.0 if place.is_input else CHORD)), shrink * FONT_LABEL


def _width(text: str, size: float) -> float:
    """Returns the width of a text in inches."""
    return width_in_points(literal(text), size) / 72


def _draw_text(axes: Axes, x: float, y: float, text: str, color: tuple[float, float, float], va: str) -> None:
    axes.text(
        x, y, plain(text), fontsize=FONT, family=list(families()), color=color, ha="center", va=va, zorder=5,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


# --- places ---


def layout(sheet: Worksheet, digits: int = DIGITS) -> tuple[list[Place], list[Wire]]:
    """Places circles and wires; two units across are a layer of operations, one unit up is a row.

    Numbers stand inside the circle of their operation, not in one of their own. Where the order of the
    operands matters they are numbered, in the circle and before the values on its wires: ①−②. A node that is
    used several times has a wire of its own before the fork, with the whole gradient; behind it each use has
    its share.

    Raises:
        InputError: the graph has more than MAX_NODES nodes.
    """
    lines = sheet.lines
    if len(lines) > MAX_NODES:
        raise InputError(
            f"a picture of {len(lines):,} nodes cannot be read: at most {MAX_NODES} are drawn; "
            "the table and --json have them all"
        )
    vertex = {line.index: position for position, line in enumerate(lines)}
    values = [format_truth(line.value) if line.is_condition else _text(line.value, digits) for line in lines]
    labels: list[str] = []
    wired: list[tuple[int, int]] = []
    texts: list[tuple[str, str]] = []
    for position, line in enumerate(lines):
        label, marks = (line.name, ()) if line.is_given else symbol(sheet.notation, line.index, digits)
        labels.append(label)
        passed = {edge.position: _text(edge.passed, digits) for edge in line.edges}
        arguments = sheet.graph.nodes[line.index].arguments
        for number, (argument, mark) in enumerate(zip(arguments, marks, strict=False)):
            if argument in vertex:
                wired.append((vertex[argument], position))
                texts.append((f"{mark} {values[vertex[argument]]}".strip(), passed.get(number, "")))
    points, stubs, courses = _positions(len(lines), wired)
    places = [
        Place(x, y, label, line.is_given) for (x, y), label, line in zip(points, labels, lines, strict=True)
    ]
    totals = ["" if line.gradient is None else _text(line.gradient, digits) for line in lines]
    wires = [Wire(stub, values[vertex], totals[vertex]) for vertex, stub in stubs.items()]
    wires += [Wire(course, *both) for course, both in zip(courses, texts, strict=True)]
    x, y = points[-1]
    wires.append(Wire(((x, y), (x + 1.0, y), (x + 1.6, y)), values[-1], totals[-1]))
    return places, wires


def _text(value: Array, digits: int) -> str:
    """Returns a number or a short vector; of others the shape."""
    return format_array(value, digits) if value.size <= SHORT and value.ndim < 2 else f"{value.shape}"


def _positions(
    count: int, edges: Sequence[tuple[int, int]]
) -> tuple[list[Point], dict[int, list[Point]], list[list[Point]]]:
    """Places the vertices, the stubs of those that fork, and the courses of the edges.

    A vertex with several edges has one stub up to the next odd column, where its edges begin. Edges have a
    point in every column between their ends, which igraph places as it does vertices: so there is room for
    labels.
    """
    uses = Counter(start for start, _ in edges)
    layers = _layers(count, edges, uses)
    forks = {vertex: count + place for place, vertex in enumerate(v for v, n in uses.items() if n > 1)}
    layers += [layers[vertex] + 1 for vertex in forks]
    pieces = [*forks.items()]
    courses: list[list[int]] = []
    for start, end in edges:
        first = forks.get(start, start)
        between = range(layers[first] + 1, layers[end])
        courses.append([first, *range(len(layers), len(layers) + len(between)), end])
        layers += between
        pieces += pairwise(courses[-1])
    drawn = igraph.Graph(n=len(layers), edges=pieces, directed=True).layout_sugiyama(layers=layers)
    rows = _apart(layers, [row for row, _ in drawn])
    points = [(float(layer), -row) for layer, row in zip(layers, rows, strict=True)]
    stubs = {vertex: [points[vertex], points[fork]] for vertex, fork in forks.items()}
    return points[:count], stubs, [[points[i] for i in course] for course in courses]


def _apart(layers: Sequence[int], rows: Sequence[float]) -> list[float]:
    """Moves rows one or more apart in each column: igraph puts a few vertices on top of each other."""
    moved, lowest = list(rows), dict[int, float]()
    for vertex in sorted(range(len(rows)), key=lambda vertex: rows[vertex]):
        layer = layers[vertex]
        moved[vertex] = lowest[layer] = max(rows[vertex], lowest.get(layer, -math.inf) + 1)
    return moved


def _layers(count: int, edges: Sequence[tuple[int, int]], uses: Mapping[int, int]) -> list[int]:
    """Returns an even column for each vertex: after its arguments', an input right before its first use.

    Behind one that forks there are two more, for its stub and where its edges part.
    """
    layers = [0] * count
    room = {vertex: 2 if n == 1 else 4 for vertex, n in uses.items()}
    for start, end in edges:  # in evaluation order: the column of each start is final
        layers[end] = max(layers[end], layers[start] + room[start])
    fed = {end for _, end in edges}
    for vertex in set(uses) - fed:
        layers[vertex] = min(layers[end] for start, end in edges if start == vertex) - room[vertex]
    return layers
