"""Comparisons at points, decided in fractions where floats leave them open.

At x = 0.3, which is a float a little below 3/10, intervals cannot tell whether 2x < 0.6: both sides hold the
same two floats. Sums, products, quotients and integer powers of floats are fractions, and these can.
"""

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from nnlab.expressions.duals import Dual
from nnlab.expressions.nodes import Graph
from nnlab.expressions.operations import Decision, Number
from nnlab.rigorous.intervals import Interval

MOST_CELLS = 4_096
"""Cells of a batch that are decided; it has many more only where both sides are equal throughout."""
MOST_BITS = 20_000
"""Numbers longer than that are not followed."""

_FRACTIONS: Mapping[str, Callable[..., Fraction]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "negative": operator.neg, "abs": abs, "maximum": max, "minimum": min,
    "relu": lambda x: max(x, Fraction(0)),
    "floor": lambda x: Fraction(x.__floor__()), "ceil": lambda x: Fraction(x.__ceil__()),
    "signum": lambda x: Fraction((x > 0) - (x < 0)),
}  # fmt: skip


def decided_at_points(graph: Graph, index: int, decision: Decision, inputs: Mapping[str, Number]) -> Decision:
    """Returns the decision of a comparison with its undecided cells decided where they are points.

    That of an expression with itself is decided everywhere.

    Args:
        graph: the expression.
        index: of the comparison.
        decision: 1, −1, or 0 where it is undecided; of the shape of the cells, or of none.
        inputs: variable -> Interval, or dual numbers over it; others are left as they are.
    """
    left, right = graph.nodes[index].arguments
    if left == right:
        return np.full_like(decision, -1 if graph.nodes[index].operation == "less" else 1)
    nodes = _below(graph, index)
    cells = {n: _interval(inputs[n]) for i in nodes if (n := _variable(graph, i)) is not None}
    if not nodes or any(cell is None for cell in cells.values()):
        return decision
    ends = {name: (cell.lo, cell.hi) for name, cell in cells.items() if cell is not None}
    shape = np.broadcast_shapes(np.shape(decision), *(low.shape for low, _ in ends.values()))
    is_open = np.broadcast_to(decision == 0, shape)
    for low, high in ends.values():
        is_open = is_open & np.isfinite(low) & (low == high)
    places = np.argwhere(is_open)[:MOST_CELLS]
    if not len(places):
        return decision
    result = np.array(np.broadcast_to(decision, shape))
    points = {name: np.broadcast_to(low, shape) for name, (low, _) in ends.items()}
    for place in map(tuple, places):
        at = {name: Fraction(float(values[place])) for name, values in points.items()}
        result[place] = _compared(graph, index, nodes, at)
    return result


def _interval(number: Number) -> Interval | None:
    while isinstance(number, Dual):
        number = number.value
    return number if isinstance(number, Interval) else None


def _variable(graph: Graph, index: int) -> str | None:
    node = graph.nodes[index]
    return str(node.parameter) if node.operation == "variable" else None


def _below(graph: Graph, index: int) -> list[int]:
    """Returns the nodes that a comparison needs, in order; none if one of them is no fraction of floats."""
    needed = set(graph.nodes[index].arguments)
    for i in range(index - 1, -1, -1):
        node = graph.nodes[i]
        if i not in needed or node.exact is not None or node.operation == "variable":
            continue
        if node.operation not in _FRACTIONS and node.operation != "integer_power":
            return []
        needed.update(node.arguments)
    return sorted(needed)


def _compared(graph: Graph, index: int, nodes: list[int], at: Mapping[str, Fraction]) -> int:
    """Returns 1 where the comparison holds, −1 where it does not, 0 where a side has no value, or no end."""
    values: dict[int, Fraction] = {}
    for i in nodes:
        value = _value(graph, i, values, at)
        if value is None or value.numerator.bit_length() + value.denominator.bit_length() > MOST_BITS:
            return 0
        values[i] = value
    left, right = (values[i] for i in graph.nodes[index].arguments)
    holds = left < right if graph.nodes[index].operation == "less" else left <= right
    return 1 if holds else -1


def _value(
    graph: Graph, index: int, values: Mapping[int, Fraction], at: Mapping[str, Fraction]
) -> Fraction | None:
    node = graph.nodes[index]
    if node.exact is not None:
        return node.exact
    if node.operation == "variable":
        return at[str(node.parameter)]
    arguments = [values[i] for i in node.arguments]
    if node.operation == "integer_power":
        return _power(arguments[0], int(node.parameter or 0))
    if node.operation == "divide" and arguments[1] == 0:
        return None
    return _FRACTIONS[node.operation](*arguments)


def _power(base: Fraction, exponent: int) -> Fraction | None:
    bits = base.numerator.bit_length() + base.denominator.bit_length()
    if bits * abs(exponent) > MOST_BITS or (base == 0 and exponent < 0):
        return None
    return base**exponent
