"""The proof that an expression has a finite value everywhere in a box, cell by cell.

Every operation that is not defined everywhere is looked at in each cell: its arguments are enclosed, and the
cell is clean, certainly bad, or undecided. Undecided cells are cut in two until none is left, or one is as
narrow as MIN_WIDTH of the box: then the argument cannot be told from the value that is forbidden, which is an
error as well, except below a root.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import InputError
from nnlab.expressions.algebras import INTERVALS
from nnlab.expressions.errors import DomainError, placed
from nnlab.expressions.evaluation import applied, check_names
from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.operations import Decision, Number
from nnlab.expressions.passes import needed_entries
from nnlab.rigorous.functions import may_hold
from nnlab.rigorous.intervals import Interval
from nnlab.rigorous.rounding import LARGEST
from nnlab.rigorous.supremum import halves

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

START = 64
"""Cells of the first grid, about, whatever the number of variables."""
MIN_WIDTH = 1e-12
"""Cells narrower than this part of the box are not cut again."""
MAX_CELLS = 2_000_000
BATCH = 4_096
"""Cells that are looked at together: the newest first, so that a fault is found early."""


@dataclass(frozen=True)
class _Rule:
    """The condition that an operation has a value.

    Attributes:
        test: arguments -> by cell, True where it may be broken, and True where it certainly is.
        fault: how it is broken, with {0} and {1} for the texts of the arguments.
        is_root: True where an argument that cannot be told from the boundary is allowed.
    """

    test: Callable[..., tuple[Mask, Mask]]
    fault: str
    is_root: bool = False


def _reaches_zero(x: Interval) -> tuple[Mask, Mask]:
    return (x.lo <= 0) & (x.hi >= 0), (x.lo == 0) & (x.hi == 0)


def _is_negative(x: Interval) -> tuple[Mask, Mask]:
    return x.lo < 0, x.hi < 0


def _is_not_positive(x: Interval) -> tuple[Mask, Mask]:
    return x.lo <= 0, x.hi <= 0


def _has_pole(x: Interval) -> tuple[Mask, Mask]:
    return may_hold(x.lo, x.hi, np.pi, 0.5), np.zeros(x.shape, bool)


def _bad_base(x: Interval, y: Interval) -> tuple[Mask, Mask]:
    """x^y needs x > 0, or x ≥ 0 with y > 0."""
    possible = (x.lo < 0) | ((x.lo <= 0) & (y.lo <= 0))
    return possible, (x.hi < 0) | ((x.hi <= 0) & (y.hi <= 0))


def _leaves_one(x: Interval) -> tuple[Mask, Mask]:
    return (x.lo < -1) | (x.hi > 1), (x.hi < -1) | (x.lo > 1)


def _reaches_one(x: Interval) -> tuple[Mask, Mask]:
    return (x.lo <= -1) | (x.hi >= 1), (x.hi <= -1) | (x.lo >= 1)


_NOT_POSITIVE = _Rule(_is_not_positive, "its argument {0} is not positive")
_OUTSIDE_ONE = _Rule(_leaves_one, "its argument {0} lies outside of [−1, 1]", is_root=True)

_RULES: Mapping[str, _Rule] = {
    "divide": _Rule(lambda x, y: _reaches_zero(y), "its divisor {1} reaches 0"),
    "log": _NOT_POSITIVE,
    "log10": _NOT_POSITIVE,
    "log2": _NOT_POSITIVE,
    "log1p": _Rule(lambda x: (x.lo <= -1, x.hi <= -1), "its argument {0} is not above −1"),
    "arcsin": _OUTSIDE_ONE,
    "arccos": _OUTSIDE_ONE,
    "atanh": _Rule(_reaches_one, "its argument {0} does not lie between −1 and 1"),
    "acosh": _Rule(lambda x: (x.lo < 1, x.hi < 1), "its argument {0} is below 1", is_root=True),
    "sqrt": _Rule(_is_negative, "its argument {0} is negative", is_root=True),
    "inverse integer_power": _Rule(_reaches_zero, "its base {0} reaches 0"),
    "real_power": _Rule(_is_negative, "its base {0} is negative", is_root=True),
    "inverse real_power": _Rule(_is_not_positive, "its base {0} is not positive"),
    "power": _Rule(_bad_base, "its base {0} is not positive"),
    "tan": _Rule(_has_pole, "it has a pole"),
}
_OVERFLOW = _Rule(lambda: (np.zeros(0, bool), np.zeros(0, bool)), "it overflows float64")


def _rule(node: Node) -> _Rule | None:
    is_inverse = isinstance(node.parameter, int | Fraction) and node.parameter < 0
    return _RULES.get(f"inverse {node.operation}" if is_inverse else node.operation)


def check_domain(graph: Graph, box: Mapping[str, tuple[float, float]], max_cells: int = MAX_CELLS) -> None:
    """Proves that an expression is defined and finite in a box.

    Not allowed are: a divisor that reaches 0; the logarithm of a number ≤ 0; the root, or another power that
    is not an integer, of a negative number; a pole of the tangent; an inverse of sine, cosine, cosh or tanh
    where that has no such value; and a value beyond float64's largest number. Branches of a `where` count
    only where they are taken.

    A number below a root counts as 0 where it is negative only within rounding, that is where no cell of
    width MIN_WIDTH shows it to be negative: √(1 − x²) has [-1, 1] for its domain, whatever the last digit.
    So do arguments of arcsin, arccos and acosh beyond ±1.

    Args:
        graph: the expression.
        box: variable -> (low, high), in 1 to 4 variables that may occur in it.
        max_cells: when so many cells were looked at, the question is given up.

    Raises:
        DomainError: the expression has no value somewhere; the message names the operation and the place.
            Also when that could not be decided.
        InputError: a variable without an interval, or an interval that is reversed or not finite.
    """
    names = checked_names(graph, box)
    lo, hi = first_cells([box[name] for name in names])
    sides = np.array([box[name][1] - box[name][0] for name in names])
    sides[sides == 0] = 1.0
    looked_at = 0
    while len(lo):
        low, high = lo[:BATCH], hi[:BATCH]
        looked_at += len(low)
        search = _Search(graph, names, low, high)
        search.raise_certain()
        middle = 0.5 * low + 0.5 * high
        narrow = np.all((high - low <= MIN_WIDTH * sides) | (middle <= low) | (middle >= high), axis=1)
        search.raise_narrow(narrow)
        undecided = np.any([trouble.possible for trouble in search.troubles], axis=0) & ~narrow
        if looked_at > max_cells and np.any(undecided):
            trouble = next(t for t in search.troubles if np.any(t.possible & undecided))
            cell = np.flatnonzero(trouble.possible & undecided)[0]
            raise search.error(trouble, middle[cell], looked_at)
        below, above, _ = halves(low[undecided], high[undecided], sides)
        lo = np.concatenate([below[0], above[0], lo[BATCH:]])
        hi = np.concatenate([below[1], above[1], hi[BATCH:]])


def checked_names(graph: Graph, box: Mapping[str, tuple[float, float]]) -> list[str]:
    """Returns the variables of a box, in the graph's order; raises as `check_domain` does."""
    check_names(graph, box, "interval")
    names = [name for name in graph.variables if name in box]
    for name in names:
        low, high = box[name]
        if not (-LARGEST / 4 <= low <= high <= LARGEST / 4):
            raise InputError(f"interval of {name}: [{low:g}, {high:g}] must be finite, its low end first")
    return names


@dataclass(frozen=True)
class _Trouble:
    """A node that may have no finite value: in which cells that is possible, and in which it is certain."""

    index: int
    rule: _Rule
    possible: Mask
    certain: Mask


class _Search:
    """A batch of cells, and the troubles of the graph in them."""

    def __init__(self, graph: Graph, names: list[str], lo: Array, hi: Array) -> None:
        self.graph, self.names, self.lo, self.hi = graph, names, lo, hi
        self.troubles = _troubles(graph, cells_of(names, lo, hi), len(lo))

    def raise_certain(self) -> None:
        """Raises for the first node in evaluation order, which is the cause of later ones."""
        for trouble in self.troubles:
            if np.any(trouble.certain):
                cells = np.flatnonzero(trouble.certain)
                first = cells[np.lexsort(self.lo[cells].T[::-1])[0]] if self.names else 0
                raise self.error(trouble, self.lo[first])

    def raise_narrow(self, narrow: Mask) -> None:
        for trouble in self.troubles:
            cells = np.flatnonzero(trouble.possible & narrow)
            if len(cells) and not trouble.rule.is_root:
                raise self.error(trouble, self._worst(trouble, int(cells[0])))

    def _worst(self, trouble: _Trouble, cell: int) -> Array:
        """Returns a corner of a narrow cell, if it has the trouble, or else its middle."""
        corners: tuple[Array, Array] = (self.lo[cell], self.hi[cell])
        for corner in corners:
            troubles = _Search(self.graph, self.names, corner[None], corner[None]).troubles
            if any(t.index == trouble.index and t.rule is trouble.rule for t in troubles):
                return corner
        middle: Array = 0.5 * self.lo[cell] + 0.5 * self.hi[cell]
        return middle

    def error(self, trouble: _Trouble, point: Array, undecided_after: int | None = None) -> DomainError:
        """Returns the error for a trouble at a point, or one that so many cells leave undecided."""
        place = {name: float(x) for name, x in zip(self.names, point, strict=True)}
        arguments = self.graph.nodes[trouble.index].arguments
        what = trouble.rule.fault.format(*(self.graph.term(i) for i in arguments))
        term, at = self.graph.term(trouble.index), placed(place)
        if (
            trouble.rule is _RULES["divide"] and self.graph.term(arguments[1]) == term
        ):  # a cotangent or secant
            what = _RULES["tan"].fault
        if undecided_after is None:
            advice = "choose an interval without that place, or another expression"
            return DomainError(f"{term}: {what}{f' at {at}' if at else ''}; {advice}", term, place)
        reason = f"{term}: after {undecided_after:,} cells it is undecided whether {what}, near {at}"
        return DomainError(f"{reason}; write the expression so that this is plain", term, place)


def _troubles(graph: Graph, cells: Mapping[str, Interval], count: int) -> list[_Trouble]:
    """Returns the nodes that may have no finite value, in evaluation order, where their values are used."""
    values: list[Number] = [None] * len(graph.nodes)
    decisions: dict[int, Decision] = {}
    troubles: list[_Trouble] = []
    with np.errstate(all="ignore"):
        for index, node in enumerate(graph.nodes):
            values[index] = applied(graph, index, INTERVALS, cells, values)
            arguments = [values[i] for i in node.arguments]
            if node.operation == "where":
                decisions[index] = np.broadcast_to(arguments[0], count)
            troubles += _of_node(index, node, arguments, values[index], count)
            for argument in graph.last_uses[index]:
                values[argument] = None
    if not troubles or not decisions:
        return troubles
    needed = needed_entries(graph, decisions, [(count,)] * len(graph.nodes))
    used = [
        _Trouble(t.index, t.rule, t.possible & needed[t.index], t.certain & needed[t.index]) for t in troubles
    ]
    return [trouble for trouble in used if np.any(trouble.possible)]


def _of_node(
    index: int, node: Node, arguments: list[Number], value: Number, count: int
) -> Iterator[_Trouble]:
    if node.operation in ("less", "less_equal"):
        return
    rule = _rule(node)
    undefined = np.zeros(count, bool)
    if rule is not None:
        possible, certain = rule.test(*arguments)
        undefined |= possible
        if np.any(possible):
            yield _Trouble(index, rule, np.broadcast_to(possible, count), np.broadcast_to(certain, count))
    finite = np.ones(count, bool)
    for x in arguments:
        if isinstance(x, Interval):
            finite &= np.isfinite(x.lo) & np.isfinite(x.hi)
    certain = finite & ~undefined & ((value.lo >= LARGEST) | (value.hi <= -LARGEST))
    possible = finite & ~undefined & ~(np.isfinite(value.lo) & np.isfinite(value.hi)) | certain
    if np.any(possible):
        yield _Trouble(index, _OVERFLOW, np.broadcast_to(possible, count), np.broadcast_to(certain, count))


# --- cells ---


def cells_of(names: Sequence[str], lo: Array, hi: Array) -> dict[str, Interval]:
    """Returns variable -> its intervals in cells with (k, d) lower and upper corners."""
    return {name: Interval(lo[:, i], hi[:, i]) for i, name in enumerate(names)}


def first_cells(intervals: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """Returns (k, d) lower and upper corners of a grid of about START cells that covers the box."""
    if not intervals:
        return np.zeros((1, 0)), np.zeros((1, 0))
    count = max(2, round(START ** (1 / len(intervals))))
    ends = [_pieces(low, high, count) for low, high in intervals]
    grids = (np.stack(np.meshgrid(*one, indexing="ij"), axis=-1) for one in zip(*ends, strict=True))
    low, high = (grid.reshape(-1, len(ends)) for grid in grids)
    return low, high


def _pieces(low: float, high: float, count: int) -> tuple[Array, Array]:
    edges = np.clip(np.linspace(low, high, count + 1), low, high)
    edges[0], edges[-1] = low, high
    edges = np.unique(edges)
    return (edges[:-1], edges[1:]) if len(edges) > 1 else (edges, edges)
