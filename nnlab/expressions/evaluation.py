"""Values, enclosures, slopes and curvatures of a graph: one walk over its nodes, in different algebras."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.expressions.algebras import FLOATS, INTERVALS
from nnlab.expressions.duals import Dual, Duals
from nnlab.expressions.exact import decided_at_points
from nnlab.expressions.nodes import Graph
from nnlab.expressions.operations import OPERATIONS, Algebra, Number
from nnlab.rigorous.intervals import Interval, as_interval

Array = NDArray[np.float64]


def computed(graph: Graph, algebra: Algebra, inputs: Mapping[str, Number]) -> Number:
    """Computes the graph in an algebra: each node once, in order; a value that is used up is dropped."""
    values: list[Number] = [None] * len(graph.nodes)
    for index in range(len(graph.nodes)):
        values[index] = applied(graph, index, algebra, inputs, values)
        for argument in graph.last_uses[index]:
            values[argument] = None
    return values[-1]


def applied(
    graph: Graph, index: int, algebra: Algebra, inputs: Mapping[str, Number], values: Sequence[Number]
) -> Number:
    """Computes one node, with the values of its arguments in `values`.

    Comparisons of intervals that are undecided in a cell without width are decided by exact arithmetic.
    """
    node = graph.nodes[index]
    if node.exact is not None:
        return algebra.from_fraction(node.exact)
    if node.operation == "variable":
        return inputs[str(node.parameter)]
    if node.operation == "constant":
        return algebra.constant(str(node.parameter))
    arguments = [values[i] for i in node.arguments]
    if node.parameter is not None:
        arguments.append(node.parameter)
    value = OPERATIONS[node.operation].value(algebra, *arguments)
    if node.operation in ("less", "less_equal") and np.any(value == 0):
        return decided_at_points(graph, index, value, inputs)
    return value


def evaluate(graph: Graph, values: Mapping[str, ArrayLike]) -> Array:
    """Computes the values of an expression in float64.

    Args:
        graph: the expression.
        values: variable -> array; they are broadcast together.

    Returns:
        An array of the common shape; NaN or infinite where the expression has no finite value. Arithmetic
        with numbers alone is exact and then rounded once.

    Raises:
        InputError: a variable without a value, or a value without a variable.
    """
    arrays = {name: np.asarray(value, np.float64) for name, value in values.items()}
    check_names(graph, arrays)
    with np.errstate(all="ignore"):
        return _shaped(computed(graph, FLOATS, arrays), _common(arrays))


def enclose(graph: Graph, cells: Mapping[str, Interval]) -> Interval:
    """Computes intervals that hold every value of an expression in each cell, rounding accounted for.

    Args:
        graph: the expression.
        cells: variable -> Interval of one common shape, or of none.

    Returns:
        An Interval of that shape. It holds f wherever f is defined in the cell (`check_domain` says whether
        that is everywhere); a square root of a negative number counts as 0. Where the condition of a `where`
        is undecided it holds both branches.

    Raises:
        InputError: a variable without a cell, a cell without a variable, ends that are NaN or reversed.
    """
    _check_cells(graph, cells)
    with np.errstate(all="ignore"):
        return _hull_shaped(computed(graph, INTERVALS, cells), _common(cells))


def slopes(
    graph: Graph, cells: Mapping[str, Interval], variables: Sequence[str]
) -> tuple[Interval, dict[str, Interval]]:
    """Computes what `enclose` does, and intervals that hold each partial derivative in each cell.

    At a kink of abs, min, max or relu they hold the slopes of both sides (Clarke's generalized gradient)
    where the cell has points on both: f(q) − f(p) lies in Σ slope · (q − p) for all p, q of the cell. A cell
    that only touches the kink has the slope of its own side. Where the condition of a `where` is undecided
    the slope is (−∞, ∞), since the function may jump there; where a root meets 0 one end is infinite.

    Args:
        graph: the expression.
        cells: variable -> Interval.
        variables: those to differentiate by.
    """
    _check_cells(graph, cells)
    algebra = Duals(INTERVALS, len(variables))
    inputs = seeded(algebra, cells, variables)
    shape = _common(cells)
    with np.errstate(all="ignore"):
        value, tangents = algebra.parts(computed(graph, algebra, inputs))
        partials = [_hull_shaped(t, shape) for t in tangents]
        return _hull_shaped(value, shape), dict(zip(variables, partials, strict=True))


def curvature(graph: Graph, cells: Mapping[str, Interval], variable: str) -> Interval:
    """Computes intervals that hold ∂²f/∂x² in each cell; (−∞, ∞) where a kink lies inside it."""
    return second_derivatives(graph, cells, (variable,))[2][0][0]


def second_derivatives(
    graph: Graph, cells: Mapping[str, Interval], variables: Sequence[str]
) -> tuple[Interval, list[Interval], list[list[Interval]]]:
    """Computes value, gradient and Hessian matrix in each cell, by dual numbers over dual numbers."""
    _check_cells(graph, cells)
    inner = Duals(INTERVALS, len(variables))
    outer = Duals(inner, len(variables))
    inputs = seeded(outer, seeded(inner, cells, variables), variables)
    shape = _common(cells)
    with np.errstate(all="ignore"):
        outer_value, rows = outer.parts(computed(graph, outer, inputs))
        value, gradient = inner.parts(outer_value)
        hessian = [[_hull_shaped(h, shape) for h in inner.parts(row)[1]] for row in rows]
        return _hull_shaped(value, shape), [_hull_shaped(g, shape) for g in gradient], hessian


def seeded(algebra: Duals, cells: Mapping[str, Number], variables: Sequence[str]) -> dict[str, Number]:
    """Returns the variables as dual numbers; each moves along its own direction."""
    seeds = {name: tuple(1 if name == other else None for other in variables) for name in variables}
    return {name: Dual(algebra, cell, seeds[name]) if name in seeds else cell for name, cell in cells.items()}


def _common(arrays: Mapping[str, Any]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(array.shape for array in arrays.values()))


def _shaped(value: Number, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(np.asarray(value, np.float64), shape))


def _hull_shaped(value: Number | None, shape: tuple[int, ...]) -> Interval:
    hull = as_interval(0 if value is None else value)
    return hull if hull.shape == shape else Interval(_shaped(hull.lo, shape), _shaped(hull.hi, shape))


def check_names(graph: Graph, values: Mapping[str, Any], kind: str = "value") -> None:
    """Raises InputError where a variable has no value, or a value no variable."""
    missing = [name for name in graph.used() if name not in values]
    if missing:
        raise InputError(f"{graph.text}: no {kind} is given for {', '.join(missing)}")
    extra = set(values) - set(graph.variables)
    if extra:
        known = ", ".join(graph.variables) or "none"
        raise InputError(
            f"{graph.text}: has no variable {', '.join(sorted(extra))}; its variables are: {known}"
        )


def _check_cells(graph: Graph, cells: Mapping[str, Interval]) -> None:
    check_names(graph, cells)
    for name, cell in cells.items():
        if not np.all(cell.lo <= cell.hi):
            raise InputError(f"{graph.text}: the cells of {name} must be intervals with lo ≤ hi, without NaN")
