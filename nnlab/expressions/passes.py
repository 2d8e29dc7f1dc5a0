"""The chain rule in both modes: backpropagation, forward mode, one over the other, and what they cost.

A node q = f(a, b) that the gradient ∂L/∂q reaches passes on ∂L/∂q · ∂q/∂a to a and ∂L/∂q · ∂q/∂b to b: the
local derivative times the gradient that arrives. What reaches a node from several others is added up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.duals import Dual, Duals, OneSided
from nnlab.expressions.evaluation import applied, check_names, computed
from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.operations import OPERATIONS, Decision, Number, TensorAlgebra
from nnlab.expressions.shapes import Shape

Array = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_] | np.bool_
"""One truth value per entry, or one for all entries."""


NEAR = (2.0**-13, 2.0**-17)
"""Steps at which the sign of what vanishes to second order is looked up."""


def forward(graph: Graph, algebra: TensorAlgebra, inputs: Mapping[str, Number]) -> list[Number]:
    """Computes the value of every node, in order: the backward pass needs them all."""
    values: list[Number] = []
    for index in range(len(graph.nodes)):
        values.append(applied(graph, index, algebra, inputs, values))
    return values


@dataclass(frozen=True)
class Backward:
    """The results of a backward pass, node by node.

    Attributes:
        arrived: the gradient of the result in the node's value; None where none reaches it.
        passed: what it passed on to each of its arguments; None to those that no variable takes part in.
        needed: the entries of its value that the result depends on.
    """

    arrived: list[Number | None]
    passed: list[tuple[Number | None, ...]]
    needed: list[Mask]


def backpropagate(graph: Graph, algebra: TensorAlgebra, values: Sequence[Number]) -> Backward:
    """Walks from the result, a scalar, back to the variables, with the values of `forward`.

    Over dual numbers the gradients carry their own derivatives too.
    """
    arrived: list[Number | None] = [None] * len(graph.nodes)
    passed: list[tuple[Number | None, ...]] = [()] * len(graph.nodes)
    used = needed(graph, algebra, values)
    arrived[-1] = algebra.from_fraction(Fraction(1))  # ∂L/∂L
    for index in reversed(range(len(graph.nodes))):
        node, gradient = graph.nodes[index], arrived[index]
        if gradient is None or not graph.varying[index]:
            continue
        passed[index] = tuple(
            _passed_on(algebra, node, position, gradient, values[index], values, used[index])
            if graph.varying[argument] and np.any(used[argument])
            else None
            for position, argument in enumerate(node.arguments)
        )
        for argument, share in zip(node.arguments, passed[index], strict=True):
            if share is not None:
                before = arrived[argument]
                arrived[argument] = share if before is None else before + share
    return Backward(arrived, passed, used)


def _passed_on(
    algebra: TensorAlgebra,
    node: Node,
    position: int,
    gradient: Number,
    value: Number,
    values: Sequence[Number],
    used: Mask,
) -> Number | None:
    """Returns Jᵀ times the gradient that arrives, for an argument; None for a branch that is not taken.

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
    """Returns ∂value/∂argument of an operation on entries: 1/2 to each in a tie of min or max.

    None of an operation that mixes entries; to the condition of a `where`, and to the branch that is taken
    nowhere.
    """
    operation = OPERATIONS[node.operation]
    arguments = [values[i] for i in node.arguments]
    if operation.pulls:
        return None
    if node.operation == "where":
        decision, wanted = arguments[0], 1 if position == 1 else -1
        if position == 0 or np.all(np.equal(decision, -wanted)):
            return None
        return algebra.select(decision, *((1.0, 0.0) if position == 1 else (0.0, 1.0)))
    if operation.order is not None:
        decision = operation.order(algebra, *arguments)
        return algebra.select(decision, *((1.0, 0.0) if position == 0 else (0.0, 1.0)))
    if node.parameter is not None:
        arguments.append(node.parameter)
    return operation.partials[position](algebra, value, *arguments)


def gradient(graph: Graph, at: Mapping[str, ArrayLike]) -> tuple[float, dict[str, Array]]:
    """Computes a scalar expression and its gradient, in one forward and one backward pass.

    At a kink the derivative is that of neither side: see `directional`.

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
    return float(values[-1]), _of_variables(graph, inputs, arrived)


def directional(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> tuple[Array, Array]:
    """Computes an expression of any shape and its derivative along a direction, in forward mode.

    At a kink the derivative is that of neither side: |x|′ = 0 and relu′ = 0 at 0, and where the arguments of
    min or max are equal it is the mean of theirs.

    Args:
        graph: the expression.
        at: variable -> array.
        direction: variable -> array of the same shape, or a number for all entries; a variable left out
            does not move.

    Returns:
        J·direction beside the value, both of the shape of the result.
    """
    algebra, inputs = Duals(FLOATS), _arrays(graph, at)
    with np.errstate(all="ignore"):
        result = computed(graph, algebra, _moving(algebra, inputs, direction))
        value, (move,) = algebra.parts(result)
        return np.asarray(value, np.float64), _filled(move, np.shape(value))


def departing(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> list[tuple[Array, Array | None]]:
    """Computes the limit and the one-sided slope of all nodes on leaving a point along a direction.

    `at` and `direction` are those of `directional`.

    Returns:
        Per node the limit of its value, or of a comparison its decision, and its slope along the
        direction, None where it does not depend on what moves; see `OneSided`.
    """
    algebra, inputs = OneSided(FLOATS), _arrays(graph, at)
    moving, values = _moving(algebra, inputs, direction), list[Number]()
    with np.errstate(all="ignore"):
        near = [forward(graph, FLOATS, _moved(inputs, direction, part)) for part in NEAR]
        for index in range(len(graph.nodes)):
            value = applied(graph, index, algebra, moving, values)
            values.append(_signed(value, *(of_nodes[index] for of_nodes in near)))
    # + 0 takes the sign off a zero
    return [(x.value + 0.0, x.tangents[0]) if isinstance(x, Dual) else (x, None) for x in values]


def hessian_vector(
    graph: Graph, at: Mapping[str, ArrayLike], direction: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """Computes the Hessian matrix of a scalar expression times a direction, by forward over reverse mode.

    `at` and `direction` are those of `directional`; returned is variable -> array of its shape.
    """
    algebra, inputs = Duals(FLOATS), _arrays(graph, at)
    with np.errstate(all="ignore"):
        values = forward(graph, algebra, _moving(algebra, inputs, direction))
        arrived = backpropagate(graph, algebra, values).arrived
    moves = [algebra.parts(number)[1][0] for number in arrived]
    return _of_variables(graph, inputs, moves)


def _arrays(graph: Graph, at: Mapping[str, ArrayLike]) -> dict[str, Array]:
    check_names(graph, at)
    return {name: np.asarray(value, np.float64) for name, value in at.items()}


def _moving(
    algebra: Duals, inputs: Mapping[str, Array], direction: Mapping[str, ArrayLike]
) -> dict[str, Number]:
    """Returns the inputs as dual numbers."""
    moves = {name: np.asarray(move, np.float64) for name, move in direction.items()}
    return {name: Dual(algebra, array, (moves.get(name),)) for name, array in inputs.items()}


def _moved(inputs: Mapping[str, Array], direction: Mapping[str, ArrayLike], part: float) -> dict[str, Array]:
    """Returns a point a little along the direction, as a part of its own size where that is above 1."""
    size = max([1.0, *(float(np.max(np.abs(array), initial=0.0)) for array in inputs.values())])
    moves = {name: np.asarray(direction.get(name, 0.0), np.float64) for name in inputs}
    return {name: array + part * size * moves[name] for name, array in inputs.items()}


def _signed(x: Number, near: Number, nearer: Number) -> Number:
    """Gives a zero with no slope the sign that it has at both of two points on the way to it."""
    if not isinstance(x, Dual) or x.tangents[0] is None:
        return x
    level = np.equal(x.value, 0) & np.equal(x.tangents[0], 0) & (np.sign(near) == np.sign(nearer))
    sign = np.where(level & np.not_equal(near, 0), near, x.value)
    return Dual(x.algebra, np.copysign(x.value, sign) if np.any(level) else x.value, x.tangents)


def _filled(derivative: Number | None, shape: Shape) -> Array:
    """Returns a derivative in the shape of its variable or value; 0 for None."""
    return np.array(np.broadcast_to(0.0 if derivative is None else derivative, shape), np.float64)


def _of_variables(
    graph: Graph, inputs: Mapping[str, Array], numbers: Sequence[Number | None]
) -> dict[str, Array]:
    """Returns variable -> number of its node, filled up to its shape; 0 where no gradient reaches it."""
    reached = {
        node.parameter: number
        for node, number in zip(graph.nodes, numbers, strict=True)
        if node.operation == "variable"
    }
    return {name: _filled(reached.get(name), array.shape) for name, array in inputs.items()}


# --- the entries that count ---


def needed(graph: Graph, algebra: TensorAlgebra, values: Sequence[Number]) -> list[Mask]:
    """Returns per node the entries of its value that the result depends on; see `needed_entries`."""
    decisions = {
        index: values[node.arguments[0]]
        for index, node in enumerate(graph.nodes)
        if node.operation == "where"
    }
    return needed_entries(graph, decisions, [algebra.shape(value) for value in values])


def needed_entries(graph: Graph, decisions: Mapping[int, Decision], shapes: Sequence[Shape]) -> list[Mask]:
    """Returns per node the entries of its value that the result depends on.

    An operation on entries needs the same entries of its arguments, `where` those of the branch taken (of
    both where it is undecided), and an operation that mixes entries, such as @, all of them. `decisions`
    are those of each `where`.
    """
    masks: list[Mask] = [np.False_ for _ in graph.nodes]
    masks[-1] = np.True_
    for index in reversed(range(len(graph.nodes))):
        node = graph.nodes[index]
        for position, argument in enumerate(node.arguments):
            used = masks[index]
            if index in decisions and position > 0:
                used = used & (decisions[index] >= 0 if position == 1 else decisions[index] <= 0)
            if np.ndim(used):
                used = np.broadcast_to(used, shapes[index])
            masks[argument] = masks[argument] | _before(node, used, shapes[argument])
    return masks


def _before(node: Node, used: Mask, shape: Shape) -> Mask:
    """Returns the entries of an argument of that shape that go into the entries `used` of a value."""
    if OPERATIONS[node.operation].pulls:
        return np.any(used)
    if np.ndim(used) == 0:
        return used
    ahead = np.ndim(used) - len(shape)
    repeated = (i for i, n in enumerate(shape, ahead) if n == 1)
    return np.asarray(np.any(used, (*range(ahead), *repeated))).reshape(shape)


# --- costs ---


@dataclass(frozen=True)
class Cost:
    """The cost of the whole gradient in one mode.

    Along an edge of the graph one multiply-add is counted for every number of the operation's value, for it
    is multiplied with a local derivative and added up; along an edge of x @ y as many as the product itself
    takes. Reverse mode goes once along every edge; forward mode once for each input number that the edge
    depends on. The values themselves are computed once in either, and not counted.

    Attributes:
        passes: walks over the graph.
        multiply_adds: of the derivatives, over all passes.
        stored: largest number of values and derivatives that are kept at the same time.
    """

    passes: int
    multiply_adds: int
    stored: int


def forward_cost(graph: Graph, shapes: Sequence[Shape]) -> Cost:
    """Returns the cost in forward mode: a pass for each input number, which keeps no used-up value."""
    inputs = [index for index, node in enumerate(graph.nodes) if node.operation == "variable"]
    entries = [prod(shapes[index]) for index in inputs]
    depends = Counter({index: 1 << bit for bit, index in enumerate(inputs)})  # node -> mask of its inputs
    total = 0
    for index, argument, work in _edges(graph, shapes):
        total += work * _inputs(depends[argument], entries)
        depends[index] |= depends[argument]
    alive = peak = 0
    kept = _kept(graph, shapes)
    for index, size in enumerate(kept):  # inputs stay
        alive += size
        peak = max(peak, alive)
        alive -= sum(kept[i] for i in graph.last_uses[index])
    return Cost(sum(entries), total, peak)


def reverse_cost(graph: Graph, shapes: Sequence[Shape]) -> Cost:
    """Returns the cost in reverse mode: one pass, for which every value and every gradient is kept."""
    total = sum(work for _, argument, work in _edges(graph, shapes) if graph.varying[argument])
    return Cost(1, total, sum(_kept(graph, shapes)))


def _edges(graph: Graph, shapes: Sequence[Shape]) -> Iterator[tuple[int, int, int]]:
    """Yields node, argument, and the multiply-adds along the edge between them, where there is a slope."""
    for index, node in enumerate(graph.nodes):
        if node.operation not in ("less", "less_equal"):
            for argument in node.arguments[node.operation == "where" :]:
                size = prod(shapes[index])
                mixed = size * shapes[node.arguments[0]][-1] if node.operation == "matmul" else 0
                yield index, argument, mixed or max(size, prod(shapes[argument]))


def _inputs(mask: int, entries: Sequence[int]) -> int:
    """Counts the input numbers of the variables in a mask."""
    if all(entry == 1 for entry in entries):
        return mask.bit_count()
    return sum(entry for bit, entry in enumerate(entries) if mask >> bit & 1)


def _kept(graph: Graph, shapes: Sequence[Shape]) -> list[int]:
    """Counts the entries of each value, and as many of its derivative if it varies."""
    return [prod(shape) * (1 + varies) for shape, varies in zip(shapes, graph.varying, strict=True)]
