"""Values and slopes at a point that are not finite: each explained, and pointed at in the expression."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.operations import OPERATIONS
from nnlab.expressions.passes import Backward, Mask, local_derivative

Array = NDArray[np.float64]


def check_values(graph: Graph, values: Sequence[Array], needed: Sequence[Mask]) -> None:
    """Raises ExpressionError for the first operation that the result needs and whose value is not finite."""
    for node, value, used in zip(graph.nodes, values, needed, strict=True):
        broken = np.asarray(~np.isfinite(value) & used)
        if np.any(broken):
            raise _fault(graph, node, _no_value(node, value, values, broken))


def check_gradients(graph: Graph, values: Sequence[Array], backward: Backward) -> None:
    """Raises ExpressionError for the first node, from the result on, with a gradient or slope not finite."""
    for index in reversed(range(len(graph.nodes))):
        node, arrived = graph.nodes[index], backward.arrived[index]
        if arrived is not None and not np.all(np.isfinite(arrived)):
            raise _fault(graph, node, _overflow(f"the gradient in {graph.term(index)}"))
        for position, passed in enumerate(backward.passed[index]):
            if passed is not None and not np.all(np.isfinite(passed)):
                reason = _no_slope(node, position, values[index], values, backward.needed[index])
                raise _fault(graph, node, reason)


def _fault(graph: Graph, node: Node, reason: str) -> ExpressionError:
    return ExpressionError(reason, graph.text, node.span[0])


def _no_value(node: Node, value: Array, values: Sequence[Array], broken: NDArray[np.bool_]) -> str:
    if node.operation == "variable":
        return f"the value of {node.parameter} is not a finite number"
    name = _name(node, values, broken)
    if OPERATIONS[node.operation].pulls:
        return _overflow(name)
    first, *others = (_first(values[i], broken) for i in node.arguments)
    if node.operation == "divide" and others[0] == 0:
        return f"division by zero: {first:.6g} / 0"
    if np.isnan(_first(value, broken)):
        return f"{name} has no value at {first:.6g}"
    poles = {"log": 0, "log10": 0, "log2": 0, "log1p": -1, "atanh": math.copysign(1, first)}
    if node.operation in poles and first == poles[node.operation]:
        end = "∞" if first == 1 else "−∞"
        return f"{name} has no value at {first:.6g}: it goes to {end}".replace(" -1", " −1")
    if node.operation.endswith("power") and first == 0:
        return f"division by zero: 0^{name.removeprefix('the power ')}"
    return _overflow(f"{name} at {first:.6g}")


def _no_slope(node: Node, position: int, value: Array, values: Sequence[Array], used: Mask) -> str:
    """Says why an operation passes on a gradient that is not finite."""
    slope = local_derivative(FLOATS, node, position, value, values)
    broken = np.broadcast_to(~np.isfinite(0.0 if slope is None else slope) & used, np.shape(value))
    name = _name(node, values, broken)
    if not np.any(broken):
        return _overflow(f"the gradient that {name} passes on")
    in_exponent = node.operation == "power" and position == 1
    at = _first(values[node.arguments[0 if in_exponent else position]], broken)
    return (
        f"the slope of {name} at {at:.6g}{' in its exponent' if in_exponent else ''} is not finite: the "
        "chain rule gives no gradient here"
    )


def _overflow(what: str) -> str:
    return f"overflow: {what} is beyond float64, which ends at 1.8e308"


def _first(argument: Array, broken: NDArray[np.bool_]) -> float:
    """Returns the entry of an argument where an operation on entries has its first fault."""
    return float(np.broadcast_to(argument, broken.shape)[broken][0])


_NAMES = {
    "add": "the sum", "subtract": "the difference", "multiply": "the product", "divide": "the quotient",
    "matmul": "the product @",
}  # fmt: skip


def _name(node: Node, values: Sequence[Array], broken: NDArray[np.bool_]) -> str:
    if node.operation == "power":
        exponents = np.broadcast_to(values[node.arguments[1]], broken.shape)
        return f"the power {(exponents[broken] if np.any(broken) else exponents).flat[0]:.6g}"
    if node.operation.endswith("power"):
        exponent = str(node.parameter)
        return f"the power {f'({exponent})' if '/' in exponent else exponent}"
    return _NAMES.get(node.operation, node.operation)
