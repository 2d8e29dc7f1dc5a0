"""Where the nodes of a graph stand in its picture: from left to right, with few crossings.

By Sugiyama's method, as igraph has it (Sugiyama, Tagawa and Toda, 1981).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import igraph
import numpy as np
from numpy.typing import NDArray

from nnlab.errors import InputError
from nnlab.figures.graph import Place, Point, Wire
from nnlab.worksheet.build import Worksheet
from nnlab.worksheet.notation import symbol
from nnlab.worksheet.numbers import array, truth

Array = NDArray[np.float64]

MAX_NODES = 60
"""A picture of more is not readable."""
DIGITS = 3
"""Of numbers in a picture, if nothing else is wanted."""
SHOWN = 3
"""A longer vector is told by its shape."""


def layout(sheet: Worksheet, digits: int = DIGITS) -> tuple[list[Place], list[Wire]]:
    """Circles and wires; two units across are a layer of operations, one unit up is a row.

    Numbers stand inside the circle of their operation, not in one of their own. Where the order of the
    operands matters they are numbered, in the circle and before the values on its wires: ①−②.

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
    values = [truth(line.value) if line.is_condition else _label(line.value, digits) for line in lines]
    labels: list[str] = []
    wired: list[tuple[int, int]] = []
    texts: list[tuple[str, str]] = []
    for position, line in enumerate(lines):
        label, marks = (
            (line.name, ()) if line.is_given else symbol(sheet.notation, sheet.graph, line.index, digits)
        )
        labels.append(label)
        passed = {edge.position: _label(edge.passed, digits) for edge in line.edges}
        arguments = sheet.graph.nodes[line.index].arguments
        for number, (argument, mark) in enumerate(zip(arguments, marks, strict=False)):
            if argument in vertex:
                wired.append((vertex[argument], position))
                texts.append((f"{mark} {values[vertex[argument]]}".strip(), passed.get(number, "")))
    points, between = _positions(len(lines), wired)
    places = [
        Place(x, y, label, line.is_given) for (x, y), label, line in zip(points, labels, lines, strict=True)
    ]
    wires = [
        Wire((points[start], *inner, points[end]), *both)
        for (start, end), inner, both in zip(wired, between, texts, strict=True)
    ]
    (x, y), last = points[-1], lines[-1]
    out = ((x, y), (x + 1.0, y), (x + 1.6, y))
    gradient = "" if last.gradient is None else _label(last.gradient, digits)
    wires.append(Wire(out, _label(last.value, digits), gradient))
    return places, wires


def _label(value: Array, digits: int) -> str:
    """A number or a short vector; of others the shape."""
    return array(value, digits) if value.size <= SHOWN and value.ndim < 2 else f"{value.shape}"


def _positions(count: int, edges: Sequence[tuple[int, int]]) -> tuple[list[Point], list[list[Point]]]:
    """Places of the vertices, and per edge the points where it passes the columns between its ends.

    Every edge has such points, which igraph places as it does vertices: so there is room for its label.
    """
    layers = _layers(count, edges)
    pieces: list[tuple[int, int]] = []
    between: list[range] = []
    for start, end in edges:
        inner = range(len(layers), len(layers) + layers[end] - layers[start] - 1)
        layers.extend(range(layers[start] + 1, layers[end]))
        stations = [start, *inner, end]
        pieces.extend(pairwise(stations))
        between.append(inner)
    drawn = igraph.Graph(n=len(layers), edges=pieces, directed=True).layout_sugiyama(layers=layers)
    rows = _apart(layers, [row for row, _ in drawn])
    points = [(float(layer), -row) for layer, row in zip(layers, rows, strict=True)]
    return points[:count], [[points[i] for i in inner] for inner in between]


def _apart(layers: Sequence[int], rows: Sequence[float]) -> list[float]:
    """The rows, one or more apart in each column: igraph puts a few vertices on top of each other."""
    moved, lowest = list(rows), dict[int, float]()
    for vertex in sorted(range(len(rows)), key=lambda vertex: rows[vertex]):
        layer = layers[vertex]
        moved[vertex] = lowest[layer] = max(rows[vertex], lowest.get(layer, -math.inf) + 1)
    return moved


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """An even column for each vertex: after its arguments', and an input right before its first use."""
    found = [0] * count
    for start, end in edges:  # in evaluation order: each start has its column by now
        found[end] = max(found[end], found[start] + 2)
    fed = {end for _, end in edges}
    for vertex in set(range(count)) - fed:
        uses = [found[end] for start, end in edges if start == vertex]
        found[vertex] = min(uses, default=2) - 2
    return found
