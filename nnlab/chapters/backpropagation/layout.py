"""Where the nodes of a graph stand in its picture: from left to right, with few crossings.

By Sugiyama's method, as igraph has it (Sugiyama, Tagawa and Toda, 1981).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import igraph
import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.build import Worksheet
from nnlab.chapters.backpropagation.figures import Place, Point, Wire
from nnlab.chapters.backpropagation.notation import symbol
from nnlab.chapters.backpropagation.numbers import array, truth
from nnlab.errors import InputError

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
    operands matters they are numbered, in the circle and before the values on its wires: ①−②. What is used
    several times has a wire of its own before the fork, with the whole gradient; behind it each use has its
    share.

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
    points, stubs, ways = _positions(len(lines), wired)
    places = [
        Place(x, y, label, line.is_given) for (x, y), label, line in zip(points, labels, lines, strict=True)
    ]
    totals = ["" if line.gradient is None else _label(line.gradient, digits) for line in lines]
    wires = [Wire(stub, values[vertex], totals[vertex]) for vertex, stub in stubs.items()]
    wires += [Wire(way, *both) for way, both in zip(ways, texts, strict=True)]
    x, y = points[-1]
    wires.append(Wire(((x, y), (x + 1.0, y), (x + 1.6, y)), values[-1], totals[-1]))
    return places, wires


def _label(value: Array, digits: int) -> str:
    """A number or a short vector; of others the shape."""
    return array(value, digits) if value.size <= SHOWN and value.ndim < 2 else f"{value.shape}"


def _positions(
    count: int, edges: Sequence[tuple[int, int]]
) -> tuple[list[Point], dict[int, list[Point]], list[list[Point]]]:
    """Places of the vertices, of the stubs of those that fork, and of the ways that edges take.

    A vertex with several edges has one stub up to the next odd column, where its edges begin. Edges have a
    point in every column between their ends, which igraph places as it does vertices: so there is room for
    labels.
    """
    uses = Counter(start for start, _ in edges)
    layers = _layers(count, edges, uses)
    forks = {vertex: count + place for place, vertex in enumerate(v for v, n in uses.items() if n > 1)}
    layers += [layers[vertex] + 1 for vertex in forks]
    pieces = [*forks.items()]
    ways: list[list[int]] = []
    for start, end in edges:
        first = forks.get(start, start)
        between = range(layers[first] + 1, layers[end])
        way = [first, *range(len(layers), len(layers) + len(between)), end]
        layers += between
        pieces += pairwise(way)
        ways.append(way)
    drawn = igraph.Graph(n=len(layers), edges=pieces, directed=True).layout_sugiyama(layers=layers)
    rows = _apart(layers, [row for row, _ in drawn])
    points = [(float(layer), -row) for layer, row in zip(layers, rows, strict=True)]
    stubs = {vertex: [points[vertex], points[fork]] for vertex, fork in forks.items()}
    return points[:count], stubs, [[points[i] for i in way] for way in ways]


def _apart(layers: Sequence[int], rows: Sequence[float]) -> list[float]:
    """The rows, one or more apart in each column: igraph puts a few vertices on top of each other."""
    moved, lowest = list(rows), dict[int, float]()
    for vertex in sorted(range(len(rows)), key=lambda vertex: rows[vertex]):
        layer = layers[vertex]
        moved[vertex] = lowest[layer] = max(rows[vertex], lowest.get(layer, -math.inf) + 1)
    return moved


def _layers(count: int, edges: Sequence[tuple[int, int]], uses: Mapping[int, int]) -> list[int]:
    """An even column for each vertex: after its arguments', and an input right before its first use.

    Behind one that forks there are two more, for its stub and where its edges part.
    """
    found = [0] * count
    room = {vertex: 2 if n == 1 else 4 for vertex, n in uses.items()}
    for start, end in edges:  # in evaluation order: each start has its column by now
        found[end] = max(found[end], found[start] + room[start])
    fed = {end for _, end in edges}
    for vertex in set(uses) - fed:
        found[vertex] = min(found[end] for start, end in edges if start == vertex) - room[vertex]
    return found
