"""Gradients by central differences in float64, each with the step that keeps its error least; and kinks.

The quotient (f(x + h) − f(x − h)) / 2h is off by two errors: that of its formula, of order h² for a smooth f
and of order h for one whose slope bends, and that of rounding, of order ε/h times Σ |∂f/∂v · v| over the
values v on the way to f. Several h are tried; the first is taken from how far the quotient moves from one h
to the next, the second from that sum (Press et al., Numerical Recipes, 3rd ed., 5.7).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions import Graph
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.passes import forward

Array = NDArray[np.float64]

COMPARISONS = ("less", "less_equal")
RATIO = 4.0
EPSILON = float(np.finfo(np.float64).eps)
STEPS = 30
"""Steps tried for an entry of value 0: from 1/8 down by factors of RATIO."""
SMALLEST = 1e-14
"""Steps for other entries begin at an eighth of their size, or of 1, and end at this share of it."""


@dataclass(frozen=True)
class Difference:
    """A derivative by differences.

    Attributes:
        variable: its name.
        entry: which entry of it, () for a number.
        derivative: the central difference at the best step.
        step: h.
        error: the estimate of how far the derivative is off.
        left, right: the slopes to either side.
        bends: whether they differ, and do not come nearer to each other with a smaller step: a kink.
    """

    variable: str
    entry: tuple[int, ...]
    derivative: float
    step: float
    error: float
    left: float
    right: float
    bends: bool

    def agrees(self, derivative: float) -> bool:
        """Whether another value is the same as far as the differences can tell."""
        return abs(self.derivative - derivative) <= 10 * self.error + 1e-9 * abs(derivative) + 1e-300

    @property
    def tells(self) -> bool:
        """Whether there is a step at which the function can be evaluated to both sides."""
        return math.isfinite(self.derivative)


@dataclass(frozen=True)
class _Quotients:
    """Central, left and right difference quotient for one step; the error that rounding brings."""

    central: float
    left: float
    right: float
    step: float
    rounding: float

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)

    @property
    def is_near_line(self) -> bool:
        """Whether the function looks like a line over the step, and not as if a pole were in between."""
        return self.gap <= 0.5 * (abs(self.left) + abs(self.right))


def difference(
    graph: Graph, at: Mapping[str, Array], variable: str, entry: tuple[int, ...], sensitivity: float
) -> Difference:
    """The derivative of a scalar expression in one entry of a variable.

    Args:
        graph: the expression.
        at: where.
        variable, entry: in which number.
        sensitivity: by how much of a relative rounding error in all values f moves: Σ |∂f/∂v · v|.
    """
    center = float(at[variable][entry])
    with np.errstate(all="ignore"):
        middle = _value(graph, at, variable, entry, center)
        tried = [
            _quotients(graph, at, variable, entry, center, middle, h, sensitivity) for h in _steps(center)
        ]
    pairs: list[_Pair] = [
        (abs(wide.central - narrow.central) / (RATIO - 1) + narrow.rounding, wide, narrow)
        for wide, narrow in pairwise(tried)
    ]
    pairs = [pair for pair in _uncontradicted(pairs) if np.isfinite(pair[0])]
    lines = [pair for pair in pairs if pair[1].is_near_line and pair[2].is_near_line]
    if not pairs:
        return Difference(variable, entry, np.nan, np.nan, np.inf, np.nan, np.nan, bends=False)
    error, wide, narrow = min(lines or pairs, key=_relative)
    bends = narrow.gap > 0.5 * wide.gap and narrow.gap > 100 * narrow.rounding
    return Difference(variable, entry, narrow.central, narrow.step, error, narrow.left, narrow.right, bends)


_Pair: TypeAlias = tuple[float, _Quotients, _Quotients]
"""An error, and the quotients of a step and of the next, narrower one; the error is that of the latter."""


def _uncontradicted(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Those whose derivative is that of all narrower steps too, up to rounding; the last has none.

    A kink near by, or a wave too narrow for a step, is seen by narrower ones alone.
    """
    with np.errstate(all="ignore"):
        centrals = np.array([narrow.central for _, _, narrow in pairs])
        allowed = 10 * np.array([[error, narrow.rounding] for error, _, narrow in pairs])
        off = np.abs(centrals[:, None] - centrals) > allowed[:, :1] + allowed[:, 1]
    return [pair for pair, is_off in zip(pairs[:-1], np.triu(off).any(1)[:-1], strict=True) if not is_off]


def _relative(pair: _Pair) -> tuple[float, float]:
    """The error relative to the derivative, so that a step wider than the function's own scale loses."""
    error, _, narrow = pair
    return (error / abs(narrow.central) if narrow.central else (math.inf if error else 0.0), error)


def evaluations(center: float) -> int:
    """How often a derivative at an entry of that value evaluates the expression."""
    return 2 * len(_steps(center)) + 1


def _steps(center: float) -> list[float]:
    """From wide to narrow: powers of two, so that center ± step is exact but for a carry.

    Near the smallest floats they go down to the smallest of all.
    """
    size = abs(center)
    step = 2.0 ** math.floor(math.log2(max(size, 1.0) / 8))
    last = SMALLEST * size if size else step / RATIO**STEPS
    steps = []
    while step > last:
        steps.append(step)
        step /= RATIO
    return steps


def _quotients(
    graph: Graph,
    at: Mapping[str, Array],
    variable: str,
    entry: tuple[int, ...],
    center: float,
    middle: float,
    step: float,
    sensitivity: float,
) -> _Quotients:
    up, down = center + step, center - step
    above, below = (_value(graph, at, variable, entry, x) for x in (up, down))
    half = (up - down) / 2
    if not down < center < up:
        return _Quotients(np.nan, np.nan, np.nan, step, np.nan)
    rounding = EPSILON / half * sensitivity * 2 + EPSILON / half * abs(above) + EPSILON / half * abs(below)
    return _Quotients(
        (above - below) / (up - down),
        (middle - below) / (center - down),
        (above - middle) / (up - center),
        half,
        rounding,
    )


def _value(graph: Graph, at: Mapping[str, Array], variable: str, entry: tuple[int, ...], x: float) -> float:
    moved = np.array(at[variable])
    moved[entry] = x
    values = forward(graph, FLOATS, {**at, variable: moved})
    compared = (i for node in graph.nodes if node.operation in COMPARISONS for i in node.arguments)
    return math.nan if any(np.any(np.isnan(values[i])) for i in compared) else float(values[-1])
