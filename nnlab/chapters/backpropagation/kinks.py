"""Kinks and jumps of a function at its point: limits and slopes to either side, and the operations at fault.

An operation at its kink, such as relu at 0, need not give one to the function: relu(x) − relu(−x) is x, and
relu(x)·x is smooth. So the function is followed out of the point to both sides, along entries of variables
and along other directions, by one-sided derivatives. Where limits or slopes are not those that
backpropagation has, the operations are named that leave their kink with another slope than the one used.

What cannot be decided: a kink that shows along none of the directions that are tried; whether a `where`
changes branch if its comparison stays a tie to first order, as x^2 > 0 at 0, or is one but for rounding, and
what it does if its other branch has no value at the point (all are no more than possible kinks); that a power
ends or jumps at 0, as x^1.5 and 0^y.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.worksheet import Worksheet
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.duals import Dual, Duals
from nnlab.expressions.operations import Number
from nnlab.expressions.passes import departing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Direction: TypeAlias = Mapping[str, Array]
Departure: TypeAlias = Sequence[tuple[Array, Array | None]]
"""The limit and the slope of every node, None if it does not move; from `departing`."""
Entry: TypeAlias = tuple[str, tuple[int, ...]]
"""A variable and the index of one of its entries."""

TOLERANCE = 1e-10
"""Relative: what differs by less is the same up to rounding."""
NEAR = 1e-14
"""Sides of a comparison that differ by less may be a tie if it were not for rounding."""


@dataclass(frozen=True)
class Sides:
    """The limits and slopes of a function to either side of a point along a line.

    Attributes:
        below, above: its limits.
        left, right: its slopes.
        jumps: True where one of the limits is not its value.
        bends: True where one of the slopes is not that of the gradient.
        is_known: True where all this is a number, and no `where` on the way is undecided.
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


def kinks(
    sheet: Worksheet,
    entries: Sequence[Entry],
    directions: Callable[[], Sequence[Direction]],
    *,
    value_scale: float,
    slope_scale: float,
) -> tuple[dict[int, bool], dict[Entry, Sides]]:
    """Finds the kinks of a worksheet's function at its point.

    The function is followed along the entries and, if it bends along none of these, along the directions,
    which are drawn only then.
    Values and slopes that differ by TOLERANCE of their scale are the same.

    Returns:
        The operations at their kinks, of a `where` its comparison, each with True where the function is
        known to bend or jump for it; and the entries along which the function bends or jumps.
    """
    spots = _spots(sheet)
    if not spots:
        return {}, {}
    along = [_follow(sheet, _unit(sheet, entry), spots, value_scale, slope_scale) for entry in entries]
    sides = {entry: both for entry, (both, *_) in zip(entries, along, strict=True) if not both.is_smooth}
    if not sides:
        along += [_follow(sheet, direction, spots, value_scale, slope_scale) for direction in directions()]
    at_kinks: dict[int, bool] = {}
    for index in spots:
        causes = [both for both, leaving, _ in along if index in leaving and (both.jumps or both.bends)]
        if causes or any(index in undecided for *_, undecided in along):
            node = sheet.graph.nodes[index]
            place = node.arguments[0] if node.operation == "where" else index
            at_kinks[place] = at_kinks.get(place, False) or any(one.is_known for one in causes)
    return at_kinks, sides


def _unit(sheet: Worksheet, entry: Entry) -> Direction:
    name, place = entry
    unit = np.zeros(np.shape(sheet.at[name]))
    unit[place] = 1.0
    return {name: unit}


def _spots(sheet: Worksheet) -> dict[int, Mask]:
    """Returns node -> its entries at a kink, of those that the function may depend on.

    To an operation whose value moves nothing no gradient arrives; but the value of a `where` may jump.
    """
    graph, values = sheet.graph, sheet.values
    gradients = {line.index: line.gradient for line in sheet.lines}
    kinked = {}
    for index, node in enumerate(graph.nodes):
        if not node.arguments or not graph.varying[index]:
            continue
        first, *others = (values[i] for i in node.arguments)
        moves = _filled(gradients.get(index)) != 0
        match node.operation:
            case "relu" | "abs":
                spots = (first == 0) & moves
            case "maximum" | "minimum":
                spots = (first == others[0]) & moves
            case "largest" | "smallest":
                spots = (np.sum(np.equal(first, values[index])) > 1) & moves
            case "floor" | "ceil":
                spots = (first == values[index]) & sheet.needed[index]
            case "signum":
                spots = (first == 0) & sheet.needed[index]
            case "where":
                a, b = (values[i] for i in graph.nodes[node.arguments[0]].arguments)
                tied = np.broadcast_to(np.isclose(a, b, NEAR, 0), np.shape(values[index]))
                spots = tied & sheet.needed[index] & graph.varying[node.arguments[0]]
            case _:
                continue
        if np.any(spots):
            kinked[index] = np.asarray(spots)
    return kinked


def _follow(
    sheet: Worksheet, direction: Direction, spots: Mapping[int, Mask], value_scale: float, slope_scale: float
) -> tuple[Sides, set[int], set[int]]:
    """Follows the function along a line to both sides of the point.

    Returns:
        Its limits and slopes; the nodes at their kinks that leave them with another slope than the one used;
        and those of `where` whose comparison moves, and stays a tie to first order.
    """
    both = [departing(sheet.graph, sheet.at, {n: sign * d for n, d in direction.items()}) for sign in (-1, 1)]
    undecided = {i for i in spots if any(_stays(sheet, i, spots[i], one) for one in both)}
    leaving = {i for i in spots if any(_leaves(sheet, i, spots[i], one) for one in both)}
    (below, back), (above, right) = (
        (float(limit), float(slope or 0.0)) for limit, slope in (one[-1] for one in both)
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
    return sides, leaving, undecided


def _stays(sheet: Worksheet, index: int, spots: Mask, departure: Departure) -> bool:
    """True for a `where` whose comparison stays a tie to first order, or is one but for rounding."""
    node = sheet.graph.nodes[index]
    if node.operation != "where":
        return False
    (a, first), (b, second) = (departure[i] for i in sheet.graph.nodes[node.arguments[0]].arguments)
    if first is None and second is None:
        return False
    first, second = _filled(first), _filled(second)
    return bool(np.any(spots & ~((a == b) & ((first < second) | (first > second)))))


def _leaves(sheet: Worksheet, index: int, spots: Mask, departure: Departure) -> bool:
    """True for a node whose limit or slope is not that of the chain rule with its local derivatives."""
    node, plain = sheet.graph.nodes[index], Duals(FLOATS)
    arguments: list[Number] = [
        Dual(plain, limit, (slope,)) for limit, slope in (departure[i] for i in node.arguments)
    ]
    if node.operation == "where":
        arguments[0] = sheet.values[node.arguments[0]]
    with np.errstate(all="ignore"):
        usual = plain.apply(node.operation, *arguments)
    limit, slope = departure[index]
    goes_on = np.equal(limit, usual.value) & np.equal(_filled(slope), _filled(usual.tangents[0]))
    return bool(np.any(spots & ~goes_on))


def _filled(slope: Array | None) -> Array:
    return np.zeros(()) if slope is None else slope


def _same(x: float, y: float, scale: float) -> bool:
    return math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)
