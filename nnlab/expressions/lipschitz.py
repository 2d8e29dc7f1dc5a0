"""The Lipschitz constant of an expression over a box: bounds on sup |∇f| that hold.

In a cell of radii r around m, with the gradient S enclosed over the cell, G at m, and the Hessian H over it,

    |∂ᵢf| ≤ |Sᵢ|,   |∂ᵢf| ≤ |Gᵢ + Σⱼ Hᵢⱼ [−rⱼ, rⱼ]|,   |∇f|² ∈ |G|² + Σⱼ [−rⱼ, rⱼ] · 2 Σᵢ Hᵢⱼ Sᵢ,

the last two by the mean value theorem for ∂ᵢf and for |∇f|², whose gradient is 2H∇f. At an inner maximum of
|∇f| that gradient is 0, so that the last bound is wrong by O(r²) only, and few cells are left at every depth.
On a line, where f″ keeps its sign in a cell, |f′| is largest at an end of it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions.algebras import INTERVALS
from nnlab.expressions.domain import cells_of, check_domain, checked_names, first_cells
from nnlab.expressions.duals import Duals
from nnlab.expressions.errors import UnboundedSlopeError, placed
from nnlab.expressions.evaluation import second_derivatives, seeded, slopes
from nnlab.expressions.nodes import Graph
from nnlab.expressions.operations import JUMPS
from nnlab.expressions.passes import forward
from nnlab.rigorous.functions import sqrt
from nnlab.rigorous.intervals import Interval, integer_power, interval
from nnlab.rigorous.rounding import raised
from nnlab.rigorous.supremum import supremum

Array = NDArray[np.float64]

MAX_BOXES = 500_000
MIN_WIDTH = 1e-12
"""A slope that is still unbounded in a cell as narrow as this part of the box is called so."""


def lipschitz(
    graph: Graph,
    box: Mapping[str, tuple[float, float]],
    tolerance: float = 1e-9,
    max_boxes: int = MAX_BOXES,
) -> tuple[float, float]:
    """Computes certified bounds on the Lipschitz constant of f over a box, which is sup |∇f|₂.

    Args:
        graph: f.
        box: variable -> (low, high).
        tolerance: the relative gap between the bounds that is good enough. In several variables the work
            grows fast: 10⁻³ is a reasonable wish there.
        max_boxes: when so many boxes were bounded, the gap that is left is returned.

    Returns:
        (lower, upper) with lower ≤ sup |∇f| ≤ upper, both finite.

    Raises:
        UnboundedSlopeError: the slope cannot be bounded at some place, as that of a root at 0, or of a
            `where` whose branches are not known to meet. Its `place` says where, its `term` which operation.
        DomainError: f is not defined everywhere in the box.
    """
    names = checked_names(graph, box)
    check_domain(graph, box)
    if not names:
        return 0.0, 0.0
    lo, hi = first_cells([box[name] for name in names])
    search = _Gradient(graph, names, hi.max(axis=0) - lo.min(axis=0))
    slope = supremum(search.bound, lo, hi, relative=tolerance, max_boxes=max_boxes)
    if not np.isfinite(slope.upper):
        raise search.unbounded(*search.unresolved, f"within {slope.boxes:,} boxes ")
    return slope.lower, slope.upper


class _Gradient:
    """Bounds on |∇f| in boxes, in the form of `supremum.Bound`."""

    def __init__(self, graph: Graph, names: list[str], sides: Array) -> None:
        self.graph, self.names, self.sides = graph, names, sides
        self.unresolved = np.zeros(len(names)), np.zeros(len(names))
        """Corners of the last box whose slope was not bounded."""

    @np.errstate(all="ignore")
    def bound(self, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        """Returns (k,) lower and upper bounds on sup |∇f| in boxes with (k, d) corners, and (k, d) places."""
        middle = np.clip(0.5 * lo + 0.5 * hi, lo, hi)
        at_middle = self._at(middle)
        _, over, hessian = second_derivatives(self.graph, cells_of(self.names, lo, hi), self.names)
        upper = _upper(over, hessian, at_middle, raised(np.maximum(hi - middle, middle - lo)))
        lower, where = _norm(at_middle).lo, middle
        if len(self.names) == 1:
            at_ends = [(end, abs(self._at(end)[0])) for end in (lo, hi)]
            bends = hessian[0][0]
            one_sided = (bends.lo >= 0) | (bends.hi <= 0)
            at_most = np.maximum(at_ends[0][1].hi, at_ends[1][1].hi)
            upper = np.where(one_sided, np.minimum(upper, at_most), upper)
            for end, slope in at_ends:
                better = slope.lo > lower
                lower, where = np.where(better, slope.lo, lower), np.where(better[:, None], end, where)
        self._refuse_unbounded(lo, hi, upper)
        return lower, upper, where

    def _at(self, points: Array) -> list[Interval]:
        of_variables = slopes(self.graph, cells_of(self.names, points, points), self.names)[1]
        return [of_variables[name] for name in self.names]

    def _refuse_unbounded(self, lo: Array, hi: Array, upper: Array) -> None:
        bad = np.flatnonzero(~np.isfinite(upper))
        if not len(bad):
            return
        narrow = bad[np.all(hi[bad] - lo[bad] <= MIN_WIDTH * self.sides, axis=1)]
        if len(narrow):
            raise self.unbounded(lo[narrow[0]], hi[narrow[0]])
        self.unresolved = lo[bad[0]], hi[bad[0]]

    def unbounded(self, low: Array, high: Array, effort: str = "") -> UnboundedSlopeError:
        """Returns the error for the box with these corners."""
        corners = [low, high, 0.5 * low + 0.5 * high]
        point = next((c for c in corners if self._is_unbounded(c)), corners[-1])
        index = self._culprit(low[None], high[None])
        term, place = self.graph.term(index), dict(zip(self.names, map(float, point), strict=True))
        reason = f"its slope is not bounded {effort}at {placed(place)}"
        if self.graph.nodes[index].operation == "where":
            reason = f"its branches are not known to meet at {placed(place)}, so that it may jump there"
        elif self.graph.nodes[index].operation in JUMPS:
            reason = f"it jumps at {placed(place)}"
        return UnboundedSlopeError(f"{term}: {reason}", term, place)

    def _is_unbounded(self, point: Array) -> bool:
        return any(not np.isfinite(slope.magnitude[0]) for slope in self._at(point[None]))

    def _culprit(self, lo: Array, hi: Array) -> int:
        """Returns the first node whose slope is unbounded though those of its arguments are not."""
        algebra = Duals(INTERVALS, len(self.names))
        values = forward(self.graph, algebra, seeded(algebra, cells_of(self.names, lo, hi), self.names))
        for index, value in enumerate(values):
            tangents = algebra.parts(value)[1]
            if any(isinstance(t, Interval) and not np.all(np.isfinite(t.magnitude)) for t in tangents):
                return index
        return len(values) - 1


def _upper(
    over: list[Interval], hessian: list[list[Interval]], at_middle: list[Interval], radius: Array
) -> Array:
    """Returns (k,) upper bounds on |∇f|, the smallest of those above; `radius` (k, d)."""
    moves = [interval(-r, r) for r in radius.T]
    parts, square = [], _square(at_middle)
    for i, row in enumerate(hessian):
        near = at_middle[i]
        for second, move in zip(row, moves, strict=True):
            near = near + second * move
        parts.append(Interval.point(np.minimum(over[i].magnitude, near.magnitude)))
    for j, move in enumerate(moves):
        growth = Interval.point(0.0)
        for row, slope in zip(hessian, over, strict=True):
            growth = growth + row[j] * slope
        square = square + move * (2 * growth)
    return np.minimum(_norm(parts).hi, sqrt(square).hi)


def _square(parts: list[Interval]) -> Interval:
    total = integer_power(parts[0], 2)
    for part in parts[1:]:
        total = total + integer_power(part, 2)
    return total


def _norm(parts: list[Interval]) -> Interval:
    """Returns √Σ xᵢ², exact for a single one."""
    return abs(parts[0]) if len(parts) == 1 else sqrt(_square(parts))
