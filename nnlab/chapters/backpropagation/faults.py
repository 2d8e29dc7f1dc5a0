"""Where an expression has no value or no slope: which operation, with what arguments, and why."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions import ExpressionError, Graph
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.needed import Mask, needed
from nnlab.expressions.nodes import Node
from nnlab.expressions.operations import OPERATIONS, Number
from nnlab.expressions.passes import Backward, local_derivative

Array = NDArray[np.float64]


def check_finite(graph: Graph, values: Sequence[Array]) -> None:
    """Raises ExpressionError for the first operation that the result needs and whose value is not finite."""
    for node, value, used in zip(graph.nodes, values, needed(graph, FLOATS, values), strict=True):
        broken = np.asarray(~np.isfinite(value) & used)
        if np.any(broken):
            raise _fault(graph, node, _no_value(node, value, values, broken))


def check_gradients(graph: Graph, values: Sequence[Array], backward: Backward) -> None:
    """Raises ExpressionError for the first node, from the result on, with a gradient or slope not finite."""
    used = needed(graph, FLOATS, values)
    for index in reversed(range(len(graph.nodes))):
        node, arrived = graph.nodes[index], backward.arrived[index]
        if arrived is not None and not np.all(np.isfinite(arrived)):
            raise _fault(graph, node, _overflow(f"the gradient in {graph.term(index)}"))
        for position, share in enumerate(backward.passed[index]):
            if share is not None and not np.all(np.isfinite(share)):
                raise _fault(graph, node, _no_slope(node, position, values[index], values, used[index]))


def _fault(graph: Graph, node: Node, reason: str) -> ExpressionError:
    return ExpressionError(reason, graph.text, node.span[0])


def _no_value(node: Node, value: Array, values: Sequence[Array], broken: NDArray[np.bool_]) -> str:
    if node.operation == "variable":
        return f"the value of {node.parameter} is not a finite number"
    called = _called(node, values, broken)
    if OPERATIONS[node.operation].pulls:
        return _overflow(called)
    first, *others = (_first(values[i], broken) for i in node.arguments)
    if node.operation == "divide" and others[0] == 0:
        return f"division by zero: {first:.6g} / 0"
    if np.isnan(_first(value, broken)):
        return f"{called} has no value at {first:.6g}"
    if node.operation == "log" and first == 0:
        return "log has no value at 0: it goes to −∞"
    if node.operation.endswith("power") and first == 0:
        return f"division by zero: 0^{called.removeprefix('the power ')}"
    return _overflow(f"{called} at {first:.6g}")


def _no_slope(node: Node, position: int, value: Array, values: Sequence[Array], used: Mask) -> str:
    """Why an operation passes on what is not finite to an argument."""
    mixes = bool(OPERATIONS[node.operation].pulls)
    slope: Number = 0.0 if mixes else local_derivative(FLOATS, node, position, value, values)
    broken = np.broadcast_to(~np.isfinite(slope) & used, np.shape(value))
    called = _called(node, values, broken)
    if not np.any(broken):
        return _overflow(f"the gradient that {called} passes on")
    in_exponent = node.operation == "power" and position == 1
    at = _first(values[node.arguments[0 if in_exponent else position]], broken)
    return (
        f"the slope of {called} at {at:.6g}{' in its exponent' if in_exponent else ''} is not finite: the "
        "chain rule gives no gradient here"
    )


def _overflow(what: str) -> str:
    return f"overflow: {what} is beyond float64, which ends at 1.8e308"


def _first(argument: Array, broken: NDArray[np.bool_]) -> float:
    """Of an operation on entries: the entry of an argument where the first fault is."""
    return float(np.broadcast_to(argument, broken.shape)[broken][0])


_CALLED = {
    "add": "the sum", "subtract": "the difference", "multiply": "the product", "divide": "the quotient",
    "matmul": "the product @",
}  # fmt: skip


def _called(node: Node, values: Sequence[Array], broken: NDArray[np.bool_]) -> str:
    if node.operation == "power":
        exponents = np.broadcast_to(values[node.arguments[1]], broken.shape)
        return f"the power {(exponents[broken] if np.any(broken) else exponents).flat[0]:.6g}"
    if node.operation.endswith("power"):
        exponent = str(node.parameter)
        return f"the power {f'({exponent})' if '/' in exponent else exponent}"
    return _CALLED.get(node.operation, node.operation)
