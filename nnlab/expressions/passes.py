"""The chain rule, both ways: backpropagation, forward mode, and one over the other for second derivatives.

A node q = f(a, b) that the gradient ∂L/∂q reaches passes on ∂L/∂q · ∂q/∂a to a and ∂L/∂q · ∂q/∂b to b: the
local derivative times the gradient that arrives. What reaches a node from several others is added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.duals import Dual, Duals
from nnlab.expressions.evaluation import applied, check_names, computed
from nnlab.expressions.needed import Mask, needed
from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.onesided import OneSided
from nnlab.expressions.operations import OPERATIONS, Number, TensorAlgebra

Array = NDArray[np.float64]


def forward(graph: Graph, algebra: TensorAlgebra, inputs: Mapping[str, Number]) -> list[Number]:
    """The value of every node, in order: the backward pass needs them all."""
    values: list[Number] = []
    for node in graph.nodes:
        values.append(applied(node, algebra, inputs, values))
    return values


@dataclass(frozen=True)
class Backward:
    """What a backward pass leaves, node by node.

    Attributes:
        arrived: the gradient of the result in the node's value; None where none reaches it.
        passed: what it passed on to each of its arguments; None to those that no variable takes part in.
    """

    arrived: list[Number | None]
    passed: list[tuple[Number | None, ...]]


def backpropagate(graph: Graph, algebra: TensorAlgebra, values: Sequence[Number]) -> Backward:
    """One walk from the result, a scalar, back to the variables.

    Args:
        graph: the expression.
        algebra: that of the values. Over dual numbers the gradients carry their own derivatives too.
        values: of all nodes, from `forward`.
    """
    arrived: list[Number | None] = [None] * len(graph.nodes)
    passed: list[tuple[Number | None, ...]] = [()] * len(graph.nodes)
    used = needed(graph, algebra, values)
    arrived[-1] = algebra.number(Fraction(1))  # ∂L/∂L
    for index in reversed(range(len(graph.nodes))):
        node, gradient = graph.nodes[index], arrived[index]
        if gradient is None or not graph.varying[index]:
            continue
        passed[index] = tuple(
            passed_on(algebra, node, position, gradient, values[index], values, used[index])
            if graph.varying[argument] and np.any(used[argument])
            else None
            for position, argument in enumerate(node.arguments)
        )
        for argument, share in zip(node.arguments, passed[index], strict=True):
            if share is not None:
                before = arrived[argument]
                arrived[argument] = share if before is None else before + share
    return Backward(arrived, passed)


def passed_on(
    algebra: TensorAlgebra,
    node: Node,
    position: int,
    gradient: Number,
    value: Number,
    values: Sequence[Number],
    used: Mask,
) -> Number | None:
    """What a node passes on to an argument: Jᵀ times what arrives; None to a branch that is not taken.

    Nothing arrives at the entries that are not `used`, and nothing is passed on, whatever the slope there.
    """
    operation = OPERATIONS[node.operation]
    arguments = [values[i] for i in node.arguments]
    if operation.pulls:
        return operation.pulls[position](algebra, gradient, value, *arguments)
    local = local_derivative(algebra, node, position, value, values)
    if local is None:
        return None
    share = gradient * local
    if not np.all(used):
        share = algebra.select(np.where(used, 1, -1), share, 0.0)
    return algebra.gather(share, algebra.shape(arguments[position]))


def local_derivative(
    algebra: TensorAlgebra, node: Node, position: int, value: Number, values: Sequence[Number]
) -> Number | None:
    """∂value/∂argument of an operation on entries: 1/2 to each in a tie of min or max.

    None to the condition of a `where`, and to the branch that is taken nowhere.
    """
    operation = OPERATIONS[node.operation]
    arguments = [values[i] for i in node.arguments]
    if node.operation == "where":
        decision, wanted = arguments[0], 1 if position == 1 else -1
        if position == 0 or np.all(np.equal(decision, -wanted)):
            return None
        return algebra.select(decision, *((1.0, 0.0) if position == 1 else (0.0, 1.0)))
    if operation.order is not None:
        decision = operation.order(algebra, *arguments)
        return algebra.select(decision, *((1.0, 0.0) if position == 0 else (0.0, 1.0)))
    given = arguments if node.parameter is None else [*arguments, node.parameter]
    return operation.partials[position](algebra, value, *given)


def gradient(graph: Graph, at: Mapping[str, ArrayLike]) -> tuple[float, dict[str, Array]]:
    """The value of a scalar expression and its gradient, in one forward and one backward pass.

    At a kink the derivative is that of neither side: see `tangent`.

    Args:
        graph: the expression.
        at: variable -> array of the shape that it has.

    Returns:
        The value, and variable -> array of its shape.

    Raises:
        InputError: a variable without a value, or a value without a variable.
    """
    inputs = _arrays(graph, at)
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, inputs)
        arrived = backpropagate(graph, FLOATS, values).arrived
    found = {name: np.zeros(array.shape) for name, array in inputs.items()}
    return float(values[-1]), found | _of_variables(graph, inputs, arrived)


def directional(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> tuple[Array, Array]:
    """The value of an expression of any shape and its derivative along a direction, in forward mode.

    Args:
        graph: the expression.
        at: variable -> array.
        direction: variable -> array of the same shape; a variable left out does not move.

    Returns:
        J·direction beside the value, both of the shape of the result.
    """
    algebra, inputs = Duals(FLOATS), _arrays(graph, at)
    with np.errstate(all="ignore"):
        result = computed(graph, algebra, _moving(algebra, inputs, direction))
        value, move = _parts(result)
        return np.asarray(value, np.float64), np.array(np.broadcast_to(move, np.shape(value)), np.float64)


def departing(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> list[tuple[Array, Array | None]]:
    """What all nodes are on the way out of a point along a direction: limit and one-sided slope.

    Args:
        graph: the expression.
        at: variable -> array.
        direction: variable -> array of the same shape; a variable left out does not move.

    Returns:
        Of every node the limit of its value, or whether a comparison holds, and its slope along the
        direction, None where it does not depend on what moves; see `OneSided`.
    """
    algebra, inputs = OneSided(FLOATS), _arrays(graph, at)
    with np.errstate(all="ignore"):
        values = forward(graph, algebra, _moving(algebra, inputs, direction))
    return [(x.value, x.tangents[0]) if isinstance(x, Dual) else (x, None) for x in values]


def hessian_vector(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """The Hessian matrix of a scalar expression times a direction: forward mode over the backward pass.

    Args:
        graph: the expression.
        at: variable -> array.
        direction: variable -> array of the same shape; a variable left out does not move.

    Returns:
        Variable -> array of its shape.
    """
    algebra, inputs = Duals(FLOATS), _arrays(graph, at)
    with np.errstate(all="ignore"):
        values = forward(graph, algebra, _moving(algebra, inputs, direction))
        arrived = backpropagate(graph, algebra, values).arrived
    moves = [None if number is None else _parts(number)[1] for number in arrived]
    return {name: np.zeros(array.shape) for name, array in inputs.items()} | _of_variables(
        graph, inputs, moves
    )


def _arrays(graph: Graph, at: Mapping[str, ArrayLike]) -> dict[str, Array]:
    check_names(graph, at)
    return {name: np.asarray(value, np.float64) for name, value in at.items()}


def _moving(
    algebra: Duals, inputs: Mapping[str, Array], direction: Mapping[str, ArrayLike]
) -> dict[str, Number]:
    """The inputs as dual numbers."""
    moves = {name: np.asarray(move, np.float64) for name, move in direction.items()}
    return {name: Dual(algebra, array, (moves.get(name),)) for name, array in inputs.items()}


def _parts(number: Number) -> tuple[Number, Number]:
    """Value and derivative of what may be a Dual."""
    if not isinstance(number, Dual):
        return number, 0.0
    return number.value, 0.0 if number.tangents[0] is None else number.tangents[0]


def _of_variables(
    graph: Graph, inputs: Mapping[str, Array], numbers: Sequence[Number | None]
) -> dict[str, Array]:
    """Variable -> number of its node, filled up to its shape, for those that a gradient reaches."""
    return {
        str(node.parameter): np.array(np.broadcast_to(number, inputs[str(node.parameter)].shape), np.float64)
        for node, number in zip(graph.nodes, numbers, strict=True)
        if node.operation == "variable" and number is not None
    }
