"""Gradients by central differences in float64, each with the step that keeps its error least; and kinks.

The quotient (f(x + h) − f(x − h)) / 2h is off by two errors: that of its formula, of order h², and that of
rounding, of order ε/h times the size of what is added up on the way to f. Several h are tried; the first is
taken from how far the quotient moves from one h to the next, the second from the largest of those values
(Press et al., Numerical Recipes, 3rd ed., 5.7).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nnlab.graph import Graph
from nnlab.graph.algebras import FLOATS
from nnlab.graph.passes import forward

Array = NDArray[np.float64]

RATIO = 4.0
STEPS = 16
"""Steps tried for an entry: from a tenth of its size, or of 1, down by factors of RATIO."""


_SUMS = ("add", "subtract", "sum", "mean", "matmul", "logsumexp")


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
    """

    variable: str
    entry: tuple[int, ...]
    derivative: float
    step: float
    error: float
    left: float
    right: float

    def agrees(self, derivative: float) -> bool:
        """Whether another value is the same as far as the differences can tell."""
        return abs(self.derivative - derivative) <= 10 * self.error + 1e-9 * abs(derivative)

    @property
    def bends(self) -> bool:
        """Whether the slopes to the left and right differ for good."""
        gap = abs(self.right - self.left)
        return gap > 1e-4 * max(abs(self.left), abs(self.right)) and gap > 100 * self.error


def difference(graph: Graph, at: Mapping[str, Array], variable: str, entry: tuple[int, ...]) -> Difference:
    """The derivative of a scalar expression in one entry of a variable."""
    center = float(at[variable][entry])
    first = 0.1 * max(abs(center), 1.0)
    with np.errstate(all="ignore"):
        middle, size = _value(graph, at, variable, entry, center)
        tried = [
            _quotients(graph, at, variable, entry, center, middle, size, first / RATIO**k)
            for k in range(STEPS)
        ]
    best: Difference | None = None
    for (wide, *_), (narrow, left, right, step, rounding) in pairwise(tried):
        error = abs(wide - narrow) / (RATIO**2 - 1) + rounding
        if np.isfinite(error) and (best is None or error < best.error):
            best = Difference(variable, entry, narrow, step, error, left, right)
    return best or Difference(variable, entry, np.nan, np.nan, np.inf, np.nan, np.nan)


def _quotients(
    graph: Graph,
    at: Mapping[str, Array],
    variable: str,
    entry: tuple[int, ...],
    center: float,
    middle: float,
    size: float,
    step: float,
) -> tuple[float, float, float, float, float]:
    """Central, left and right quotient, half the step as rounded, the error that rounding may bring."""
    up, down = center + step, center - step
    above, size_above = _value(graph, at, variable, entry, up)
    below, size_below = _value(graph, at, variable, entry, down)
    rounding = float(np.finfo(np.float64).eps) * (size_above + size_below + size) / step
    return (
        (above - below) / (up - down),
        (middle - below) / (center - down),
        (above - middle) / (up - center),
        (up - down) / 2,
        rounding,
    )


def _value(
    graph: Graph, at: Mapping[str, Array], variable: str, entry: tuple[int, ...], x: float
) -> tuple[float, float]:
    """f, and the largest value that is summed on the way to it: to its rounding f is not known better."""
    moved = np.array(at[variable])
    moved[entry] = x
    values = forward(graph, FLOATS, {**at, variable: moved})
    summed = [i for node in graph.nodes if node.operation in _SUMS for i in node.arguments]
    size = max((float(np.max(np.abs(values[i]))) for i in summed), default=0.0)
    value = float(values[-1])
    return value, max(size, abs(value))
