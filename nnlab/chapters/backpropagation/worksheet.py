"""The worksheet of an expression at a point: its forward and its backward pass, written out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.chapters.backpropagation.notation import Notation, is_literal, notation_of
from nnlab.errors import InputError
from nnlab.expressions import Graph
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.faults import check_gradients, check_values
from nnlab.expressions.nodes import GraphBuilder
from nnlab.expressions.passes import Backward, Mask, backpropagate, forward, local_derivative
from nnlab.expressions.shapes import Shape, describe_shape, shapes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """The edge from a node to one of its arguments, along which a gradient goes back.

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
    """A node with its value and its gradient.

    Attributes:
        index: of the node in the graph.
        kind: the operation's name, such as multiply; variable for a variable.
        name: of the variable; q1, q2, … for the others, f for the result.
        operation: in terms of its arguments' names.
        value: of the shape that it has.
        gradient: ∂f/∂value, of that shape too; None where none arrives.
        edges: to its arguments.
        is_given: True for a variable, or a number that stands alone; False for an operation.
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
        """True where the value is that of a comparison: 1 where it holds, −1 where it does not."""
        return self.kind in ("less", "less_equal")


@dataclass(frozen=True, eq=False)
class Worksheet:
    """A scalar expression with all values and gradients.

    Attributes:
        graph: the expression.
        at: the variables' values.
        values: of all nodes.
        needed: of all nodes, the entries that the result depends on.
        lines: variables and operations in evaluation order; numbers have none, but for one that stands alone.
        shapes: of all nodes.
        notation: in which names and formulas stand.
    """

    graph: Graph
    at: Mapping[str, Array]
    values: Sequence[Array]
    needed: Sequence[Mask]
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
        arrived = {line.name: line.gradient for line in self.lines if line.kind == "variable"}
        return {
            name: np.zeros(value.shape) if (gradient := arrived.get(name)) is None else gradient
            for name, value in self.at.items()
        }


def build(graph: Graph, at: Mapping[str, ArrayLike]) -> Worksheet:
    """Builds the worksheet of an expression.

    Raises:
        InputError: shapes that do not fit, a result that is no scalar, a value or slope that is not finite.
    """
    inputs = {name: np.asarray(value, np.float64) for name, value in at.items()}
    of_nodes = shapes(graph, {name: value.shape for name, value in inputs.items()})
    if of_nodes[-1] != ():
        raise InputError(
            f"the result has the shape {describe_shape(of_nodes[-1])}: a gradient is that of one number; "
            "write sum(…), mean(…) or max(…) around it"
        )
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, inputs)
        backward = backpropagate(graph, FLOATS, values)
        check_values(graph, values, backward.needed)
        check_gradients(graph, values, backward)
        notation = notation_of(graph, of_nodes)
        lines = tuple(
            _line(graph, notation, values, backward, index)
            for index in range(len(graph.nodes))
            if not is_literal(graph, index) or index == len(graph.nodes) - 1
        )
    return Worksheet(graph, inputs, values, backward.needed, lines, of_nodes, notation)


def _line(graph: Graph, notation: Notation, values: Sequence[Array], backward: Backward, index: int) -> Line:
    node, value, edges = graph.nodes[index], np.asarray(values[index], np.float64), []
    for position, (argument, passed) in enumerate(zip(node.arguments, backward.passed[index], strict=False)):
        if passed is None:
            continue
        local = local_derivative(FLOATS, node, position, values[index], values)
        edges.append(
            Edge(
                argument,
                position,
                notation.local(index, position, int(np.size(values[argument]))),
                None if local is None else np.asarray(local, np.float64),
                np.asarray(passed, np.float64),
                "" if local is None else _summed(value.shape, np.shape(values[argument])),
            )
        )
    arrived = backward.arrived[index]
    return Line(
        index,
        node.operation,
        notation.names[index],
        notation.operation(index),
        value,
        None if arrived is None else np.asarray(arrived, np.float64),
        tuple(edges),
        is_given=node.operation == "variable" or is_literal(graph, index),
    )


def _summed(value: Shape, argument: Shape) -> str:
    """Names the parts of a value that an argument is repeated over, by the rules of broadcasting.

    >>> _summed((2, 3), ()), _summed((2, 3), (3,)), _summed((2, 3), (2, 1)), _summed((3,), (3,))
    ('entries', 'rows', 'columns', '')
    """
    padded = (1,) * (len(value) - len(argument)) + argument
    repeated = [axis for axis, (n, own) in enumerate(zip(value, padded, strict=True)) if own < n]
    if not repeated:
        return ""
    along = [axis for axis, n in enumerate(value) if n > 1]
    return "entries" if repeated == along else ("rows", "columns")[repeated[0]]


# --- the sigmoid as one node ---


def with_sigmoids(graph: Graph) -> Graph:
    """Returns the graph with every 1/(1 + exp(−a)), in either order of the sum, as `sigmoid` of a."""
    builder, new = GraphBuilder(), list[int]()
    for index, node in enumerate(graph.nodes):
        inside = _sigmoid_argument(graph, index)
        if inside is not None:
            new.append(builder.add("sigmoid", (new[inside],), None, node.span))
        else:
            arguments = [new[i] for i in node.arguments]
            new.append(builder.add(node.operation, arguments, node.parameter, node.span, node.exact))
    return builder.graph(graph.text, graph.variables, new[-1])


def _sigmoid_argument(graph: Graph, index: int) -> int | None:
    """Returns the node a where this one is 1/(1 + exp(−a))."""
    nodes = graph.nodes
    if nodes[index].operation != "divide":
        return None
    one, total = nodes[index].arguments
    if nodes[one].exact != 1 or nodes[total].operation != "add":
        return None
    terms = nodes[total].arguments
    for first, second in (terms, terms[::-1]):
        if nodes[first].exact == 1 and nodes[second].operation == "exp":
            (power,) = nodes[second].arguments
            if nodes[power].operation == "negative":
                return nodes[power].arguments[0]
    return None
