"""Where a function bends or jumps at its point: from what values and slopes, and at which operations.

An operation at its kink, such as relu at 0, need not give one to the function: relu(x) − relu(−x) is x, and
relu(x)·x is smooth. So the function is followed out of the point to both sides, along entries of variables
and along other directions, by one-sided derivatives. Where limits or slopes are not those that
backpropagation has, the operations are named that leave their kink another way than by the slope used.

What cannot be told: a kink that shows along none of the directions that are tried; whether a `where` changes
branch if its comparison stays a tie to first order, as x^2 > 0 at 0, or is one but for rounding, and what it
does if its other branch has no value at the point (all are no more than possible kinks); that a power ends or
jumps at 0, as x^1.5 and 0^y.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.build import Worksheet
from nnlab.chapters.backpropagation.notation import Notation
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.duals import Dual, Duals
from nnlab.expressions.needed import needed
from nnlab.expressions.operations import Number
from nnlab.expressions.passes import departing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Direction: TypeAlias = Mapping[str, Array]
Departure: TypeAlias = Sequence[tuple[Array, Array | None]]
"""Of every node its limit and its slope, None if it does not move; from `departing`."""
Entry: TypeAlias = tuple[str, tuple[int, ...]]
"""A variable, and which number of it."""

TOLERANCE = 1e-10
"""Relative: what differs by less is the same up to rounding."""
NEAR = 1e-14
"""Sides of a comparison that differ by less may be a tie if it were not for rounding."""


@dataclass(frozen=True)
class Kink:
    """An operation at its kink.

    Attributes:
        index: of its node; of a `where` that of its comparison.
        sentence: what it is and which slope is used.
        is_certain: whether the function is known to bend or jump for it.
    """

    index: int
    sentence: str
    is_certain: bool


@dataclass(frozen=True)
class Sides:
    """What a function does to either side of a point along a line.

    Attributes:
        below, above: its limits.
        left, right: its slopes.
        jumps: whether one of the limits is not its value.
        bends: whether one of the slopes is not that of the gradient.
        is_known: whether all this is a number, and no `where` on the way is undecided.
    """

    below: float
    above: float
    left: float
    right: float
    jumps: bool
    bends: bool
    is_known: bool

    @property
    def is_smooth(self) -> bool:
        return self.is_known and not self.jumps and not self.bends


@dataclass(frozen=True)
class _Way:
    """A line through the point, followed to both sides.

    Attributes:
        sides: of the function.
        leaving: the nodes at their kinks that leave it another way than by the slope used.
        undecided: those of `where` whose comparison moves, and stays a tie to first order.
    """

    sides: Sides
    leaving: frozenset[int]
    undecided: frozenset[int]


def kinks(
    sheet: Worksheet,
    entries: Sequence[Entry],
    directions: Sequence[Direction],
    *,
    value_scale: float,
    slope_scale: float,
) -> tuple[list[Kink], dict[Entry, Sides]]:
    """The kinks of a worksheet's function at its point.

    Args:
        sheet: the worksheet.
        entries: along these the function is followed.
        directions: along these as well, if it bends along none of those.
        value_scale, slope_scale: values and slopes that differ by TOLERANCE of these are the same.

    Returns:
        The operations, and the entries along which the function bends or jumps.
    """
    spots = _spots(sheet)
    if not spots:
        return [], {}
    ways = [_follow(sheet, _along(sheet, entry), spots, value_scale, slope_scale) for entry in entries]
    sides = {entry: way.sides for entry, way in zip(entries, ways, strict=True) if not way.sides.is_smooth}
    if not sides:
        ways += [_follow(sheet, direction, spots, value_scale, slope_scale) for direction in directions]
    found: dict[int, Kink] = {}
    for index in spots:
        causes = [way for way in ways if index in way.leaving and (way.sides.jumps or way.sides.bends)]
        is_certain = any(way.sides.is_known for way in causes)
        if causes or any(index in way.undecided for way in ways):
            node = sheet.graph.nodes[index]
            place = node.arguments[0] if node.operation == "where" else index
            if place not in found or is_certain:
                found[place] = Kink(place, sentence(sheet, place, sheet.notation), is_certain)
    return list(found.values()), sides


def _along(sheet: Worksheet, entry: Entry) -> Direction:
    name, place = entry
    unit = np.zeros(np.shape(sheet.at[name]))
    unit[place] = 1.0
    return {name: unit}


def _spots(sheet: Worksheet) -> dict[int, Mask]:
    """Node -> its entries at a kink, of those that the function may depend on.

    To an operation whose value moves nothing no gradient arrives; but the value of a `where` may jump.
    """
    graph, values = sheet.graph, sheet.values
    gradients = {line.index: line.gradient for line in sheet.lines}
    used = needed(graph, FLOATS, values)
    found = {}
    for index, node in enumerate(graph.nodes):
        if not node.arguments or not graph.varying[index]:
            continue
        first, *others = (values[i] for i in node.arguments)
        gradient = gradients.get(index)
        moves = np.zeros(()) if gradient is None else gradient
        match node.operation:
            case "relu" | "abs":
                spots = (first == 0) & (moves != 0)
            case "maximum" | "minimum":
                spots = (first == others[0]) & (moves != 0)
            case "largest" | "smallest":
                spots = (np.sum(np.equal(first, values[index])) > 1) & (moves != 0)
            case "where":
                a, b = (values[i] for i in graph.nodes[node.arguments[0]].arguments)
                tied = np.broadcast_to(np.isclose(a, b, NEAR, 0), np.shape(values[index]))
                spots = tied & used[index] & graph.varying[node.arguments[0]]
            case _:
                continue
        if np.any(spots):
            found[index] = np.asarray(spots)
    return found


def _follow(
    sheet: Worksheet, direction: Direction, spots: Mapping[int, Mask], value_scale: float, slope_scale: float
) -> _Way:
    ways = [departing(sheet.graph, sheet.at, {n: sign * d for n, d in direction.items()}) for sign in (-1, 1)]
    undecided = frozenset(i for i in spots if any(_stays(sheet, i, spots[i], way) for way in ways))
    leaving = frozenset(i for i in spots if any(_leaves(sheet, i, spots[i], way) for way in ways))
    (below, back), (above, right) = (
        (float(limit), float(slope or 0.0)) for limit, slope in (w[-1] for w in ways)
    )
    left = -back
    terms = [sheet.gradients[name] * move for name, move in direction.items()]
    expected = sum(float(np.sum(term)) for term in terms)
    slope_scale = max(slope_scale, sum(float(np.sum(np.abs(term))) for term in terms))
    sides = Sides(
        below, above, left, right,
        jumps=not all(_same(limit, sheet.value, value_scale) for limit in (below, above)),
        bends=not all(_same(slope, expected, slope_scale) for slope in (left, right)),
        is_known=not undecided and not any(map(math.isnan, (below, above, left, right))),
    )  # fmt: skip
    return _Way(sides, leaving, undecided)


def _stays(sheet: Worksheet, index: int, spots: Mask, way: Departure) -> bool:
    """Whether the two sides of the comparison of a `where` leave a tie together, or are only nearly one."""
    node = sheet.graph.nodes[index]
    if node.operation != "where":
        return False
    (a, first), (b, second) = (way[i] for i in sheet.graph.nodes[node.arguments[0]].arguments)
    if first is None and second is None:
        return False
    first, second = _filled(first), _filled(second)
    return bool(np.any(spots & ~((a == b) & ((first < second) | (first > second)))))


def _leaves(sheet: Worksheet, index: int, spots: Mask, way: Departure) -> bool:
    """Whether a node goes another way than by the chain rule with its local derivatives."""
    node, plain = sheet.graph.nodes[index], Duals(FLOATS)
    arguments: list[Number] = [
        Dual(plain, limit, (slope,)) for limit, slope in (way[i] for i in node.arguments)
    ]
    if node.operation == "where":
        arguments[0] = sheet.values[node.arguments[0]]
    with np.errstate(all="ignore"):
        usual = plain.apply(node.operation, *arguments)
    limit, slope = way[index]
    goes_on = np.equal(limit, usual.value) & np.equal(_filled(slope), _filled(usual.tangents[0]))
    return bool(np.any(spots & ~goes_on))


def _filled(slope: Array | None) -> Array:
    return np.zeros(()) if slope is None else slope


def _same(x: float, y: float, scale: float) -> bool:
    return math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)


def sentence(sheet: Worksheet, index: int, notation: Notation) -> str:
    """What the kink of an operation is, and which slope is used; of a comparison, what its `where` does."""
    node = sheet.graph.nodes[index]
    first, *others = (notation.names[i] for i in node.arguments)

    def tie(value: str) -> str:
        return notation.formula(f"{first} = {value}")

    match node.operation:
        case "relu" | "abs":
            left = notation.number("−1") if node.operation == "abs" else "0"
            slopes = f"slope {left} to the left, 1 to the right; 0 is used"
            return f"{node.operation} has a kink at {tie('0')}: {slopes}"
        case "maximum" | "minimum":
            return f"{node.operation[:3]} has a kink where {tie(*others)}: each gets half of what arrives"
        case "largest" | "smallest":
            word = "max" if node.operation == "largest" else "min"
            count = np.sum(np.equal(sheet.values[node.arguments[0]], sheet.values[index]))
            equal = f"{count} entries of {notation.formula(first)} are equal"
            return f"{word} has a kink where {equal}: each gets 1/{count}"
    return f"where changes branch at {tie(*others)}: the slope is that of the branch taken"
