"""The worksheet of an expression at a point: its forward and its backward pass, written out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.chapters.backpropagation.faults import check_finite, check_gradients
from nnlab.chapters.backpropagation.notation import Notation, is_literal, plain_notation
from nnlab.errors import InputError
from nnlab.expressions import Graph
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.operations import OPERATIONS
from nnlab.expressions.passes import backpropagate, forward, local_derivative
from nnlab.expressions.shapes import Shape, shapes, shown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """From a node to one of its arguments, the way that a gradient goes.

    Attributes:
        argument: index of the argument's node.
        position: which argument of the operation it is.
        local: the local derivative as a formula.
        derivative: its value; None where it is a matrix, as of an operation that mixes entries.
        passed: the gradient passed on, of the argument's shape.
        summed: over what the product of both is summed, because the argument is repeated there: entries,
            rows or columns of the value; empty where it is not.
    """

    argument: int
    position: int
    local: str
    derivative: Array | None
    passed: Array
    summed: str


@dataclass(frozen=True)
class Line:
    """A node.

    Attributes:
        index: of the node in the graph.
        kind: the operation's name, such as multiply; variable for a variable.
        name: of the variable; q1, q2, … for the others, f for the result.
        operation: in terms of its arguments' names.
        value: of the shape that it has.
        gradient: ∂f/∂value, of that shape too; None where none arrives.
        edges: to its arguments.
        is_given: whether it is a variable, or a number alone, and no operation.
    """

    index: int
    kind: str
    name: str
    operation: str
    value: Array
    gradient: Array | None
    edges: tuple[Edge, ...]
    is_given: bool

    @property
    def is_condition(self) -> bool:
        """Whether the value is the truth of a comparison: 1 where it holds, −1 where it does not."""
        return self.kind in ("less", "less_equal")


@dataclass(frozen=True, eq=False)
class Worksheet:
    """A scalar expression with all values and gradients.

    Attributes:
        graph: the expression.
        at: the variables' values.
        values: of all nodes.
        lines: variables and operations in evaluation order; numbers have none, but for one that stands alone.
        shapes: of all nodes.
        notation: in which names and formulas stand.
    """

    graph: Graph
    at: Mapping[str, Array]
    values: tuple[Array, ...]
    lines: tuple[Line, ...]
    shapes: tuple[Shape, ...]
    notation: Notation

    @cached_property
    def arrivals(self) -> Mapping[int, int]:
        """Node -> how many edges bring it a gradient."""
        return Counter(edge.argument for line in self.lines for edge in line.edges)

    @property
    def value(self) -> float:
        return float(self.lines[-1].value)

    @cached_property
    def gradients(self) -> dict[str, Array]:
        """Variable -> ∂f/∂variable, of its shape."""
        found = {name: np.zeros(np.shape(value)) for name, value in self.at.items()}
        for line in self.lines:
            if line.kind == "variable" and line.gradient is not None:
                found[line.name] = line.gradient
        return found


def build(graph: Graph, at: Mapping[str, ArrayLike]) -> Worksheet:
    """The worksheet of an expression.

    Raises:
        InputError: shapes that do not fit, a result that is no scalar, a value or slope that is not finite.
    """
    inputs = {name: np.asarray(value, np.float64) for name, value in at.items()}
    found = shapes(graph, {name: value.shape for name, value in inputs.items()})
    if found[-1] != ():
        raise InputError(
            f"the result has the shape {shown(found[-1])}: a gradient is that of one number; write "
            "sum(…), mean(…) or max(…) around it"
        )
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, inputs)
        check_finite(graph, values)
        backward = backpropagate(graph, FLOATS, values)
        check_gradients(graph, values, backward)
        notation = plain_notation(graph, found)
        lines = tuple(
            _line(graph, notation, index, values, backward.arrived[index], backward.passed[index])
            for index in range(len(graph.nodes))
            if not is_literal(graph, index) or index == len(graph.nodes) - 1
        )
    return Worksheet(graph, inputs, tuple(values), lines, found, notation)


def _line(
    graph: Graph,
    notation: Notation,
    index: int,
    values: Sequence[Array],
    arrived: Array | None,
    passed: tuple[Array | None, ...],
) -> Line:
    node, name = graph.nodes[index], notation.names[index]
    edges = []
    for position, (argument, share) in enumerate(zip(node.arguments, passed, strict=False)):
        if share is None:
            continue
        mixes = bool(OPERATIONS[node.operation].pulls)
        local = None if mixes else local_derivative(FLOATS, node, position, values[index], values)
        entries = int(np.size(values[argument]))
        edges.append(
            Edge(
                argument,
                position,
                notation.local(graph, index, position, entries),
                None if local is None else np.asarray(local, np.float64),
                np.asarray(share, np.float64),
                "" if mixes else _summed(np.shape(values[index]), np.shape(values[argument])),
            )
        )
    gradient = None if arrived is None else np.asarray(arrived, np.float64)
    value = np.asarray(values[index], np.float64)
    return Line(
        index,
        node.operation,
        name,
        notation.operation(graph, index),
        value,
        gradient,
        tuple(edges),
        is_given=node.operation == "variable" or is_literal(graph, index),
    )


def _summed(value: Shape, argument: Shape) -> str:
    """What of a value an argument is repeated over, by the rules of broadcasting.

    >>> _summed((2, 3), ()), _summed((2, 3), (3,)), _summed((2, 3), (2, 1)), _summed((3,), (3,))
    ('entries', 'rows', 'columns', '')
    """
    padded = (1,) * (len(value) - len(argument)) + argument
    repeated = [axis for axis, (n, its) in enumerate(zip(value, padded, strict=True)) if its < n]
    if not repeated:
        return ""
    along = [axis for axis, n in enumerate(value) if n > 1]
    return "entries" if repeated == along else ("rows", "columns")[repeated[0]]
