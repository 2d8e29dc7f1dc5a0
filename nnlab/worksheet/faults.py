"""Where an expression has no value or no slope: which operation, with what arguments, and why."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.graph import ExpressionError, Graph
from nnlab.graph.nodes import Node
from nnlab.graph.passes import Backward

Array = NDArray[np.float64]


def check_finite(graph: Graph, values: Sequence[Array]) -> None:
    """Raises ExpressionError for the first operation that the result needs and whose value is not finite."""
    for index in _needed(graph, values):
        if not np.all(np.isfinite(values[index])):
            node = graph.nodes[index]
            reason = _reason(node, [np.asarray(values[i]) for i in node.arguments], np.asarray(values[index]))
            raise ExpressionError(reason, graph.text, node.span[0])


def check_gradients(graph: Graph, values: Sequence[Array], backward: Backward) -> None:
    """Raises ExpressionError for the first operation, from the result on, that passes on no finite slope."""
    for index in reversed(range(len(graph.nodes))):
        node = graph.nodes[index]
        for argument, share in zip(node.arguments, backward.passed[index], strict=False):
            if share is not None and not np.all(np.isfinite(share)):
                where = _worst(np.broadcast_to(values[argument], np.shape(share)), ~np.isfinite(share))
                reason = (
                    f"the slope of {_called(node)} at {where:.6g} is not finite: there is no gradient here"
                )
                raise ExpressionError(reason, graph.text, node.span[0])


def _needed(graph: Graph, values: Sequence[Array]) -> list[int]:
    """The nodes that the result depends on, in order: without a branch that `where` takes nowhere."""
    needed = {len(graph.nodes) - 1}
    for index in reversed(range(len(graph.nodes))):
        if index in needed:
            node = graph.nodes[index]
            arguments = node.arguments
            if node.operation == "where":
                decision = np.asarray(values[arguments[0]])
                kept = [np.any(decision >= 0), np.any(decision <= 0)]
                arguments = (arguments[0], *(i for i, keep in zip(arguments[1:], kept, strict=True) if keep))
            needed.update(arguments)
    return sorted(needed)


def _reason(node: Node, arguments: Sequence[Array], value: Array) -> str:
    if node.operation == "variable":
        return f"the value of {node.parameter} is not a finite number"
    broken = ~np.isfinite(value)
    first = (
        _worst(np.broadcast_to(arguments[0], value.shape), broken) if _by_entry(arguments, value) else None
    )
    if node.operation == "divide" and np.any(arguments[1] == 0):
        return f"division by zero: {first:.6g} / 0"
    if first is not None and np.any(np.isnan(value)):
        return f"{_called(node)} has no value at {first:.6g}"
    if node.operation == "log" and first == 0:
        return "log has no value at 0: it goes to −∞"
    if node.operation == "integer_power" and first == 0:
        return f"division by zero: 0^{node.parameter}"
    at = "" if first is None else f" at {first:.6g}"
    return f"overflow: {_called(node)}{at} is beyond float64, which ends at 1.8e308"


def _by_entry(arguments: Sequence[Array], value: Array) -> bool:
    try:
        return np.broadcast_shapes(arguments[0].shape, value.shape) == value.shape
    except ValueError:
        return False


def _worst(argument: Array, broken: NDArray[np.bool_]) -> float:
    """The first argument that is at fault."""
    return float(argument[broken].flat[0]) if np.ndim(argument) else float(argument)


_CALLED = {
    "add": "the sum", "subtract": "the difference", "multiply": "the product", "divide": "the quotient",
    "integer_power": "the power", "real_power": "the power", "power": "the power", "matmul": "the product @",
}  # fmt: skip


def _called(node: Node) -> str:
    return _CALLED.get(node.operation, node.operation)
