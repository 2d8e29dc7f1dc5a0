"""The shape of every node of an expression, from those of its variables: scalars (), vectors and matrices."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.nodes import Graph, Node

Shape: TypeAlias = tuple[int, ...]


def shapes(graph: Graph, of_variables: Mapping[str, Shape]) -> tuple[Shape, ...]:
    """Returns the shape of each node's value.

    Operations on entries broadcast as numpy does; see `TensorAlgebra` for the others.

    Raises:
        ExpressionError: shapes that do not fit; the message shows both and points at the operation.
    """
    of_nodes: list[Shape] = []
    for node in graph.nodes:
        arguments = [of_nodes[i] for i in node.arguments]
        if node.operation == "variable":
            of_nodes.append(of_variables[str(node.parameter)])
        elif node.operation == "matmul":
            of_nodes.append(_matmul(graph, node, *arguments))
        elif node.operation in ("sum", "mean", "largest", "smallest"):
            of_nodes.append(())
        elif node.operation in ("softmax", "logsumexp"):
            if not arguments[0]:
                reason = f"{node.operation} takes a vector or a matrix, and has a number here"
                raise _fault(graph, node, reason)
            of_nodes.append(arguments[0] if node.operation == "softmax" else arguments[0][:-1])
        elif node.operation == "transpose":
            of_nodes.append(arguments[0][::-1])
        else:
            of_nodes.append(_broadcast(graph, node, arguments))
    return tuple(of_nodes)


def describe_shape(shape: Shape) -> str:
    """Describes a shape in words.

    >>> [describe_shape(()), describe_shape((3,)), describe_shape((2, 3))]
    ['a number', '(3,)', '(2, 3)']
    """
    return str(shape) if shape else "a number"


def _matmul(graph: Graph, node: Node, left: Shape, right: Shape) -> Shape:
    if not left or not right:
        side, other = ("right", left) if left else ("left", right)
        described = describe_shape(other)
        reason = f"the {side} side of @ is a number, the other is {described}: write * for such a product"
        raise _fault(graph, node, reason)
    if left[-1] != right[0]:
        reason = (
            f"{describe_shape(left)} @ {describe_shape(right)} do not fit: the last length of the left side, "
            f"{left[-1]}, must be the first of the right side, {right[0]}"
        )
        raise _fault(graph, node, reason)
    return left[:-1] + right[1:]


def _broadcast(graph: Graph, node: Node, arguments: Sequence[Shape]) -> Shape:
    try:
        return np.broadcast_shapes(*arguments)
    except ValueError:
        sides = " and ".join(map(describe_shape, arguments))
        reason = f"the shapes {sides} do not fit: lengths must be equal, or 1, counted from the last"
        raise _fault(graph, node, reason) from None


def _fault(graph: Graph, node: Node, reason: str) -> ExpressionError:
    """Points at the sign of an operation between two terms, else at where the operation starts."""
    start, _ = node.span
    if len(node.arguments) == 2:
        _, end = graph.nodes[node.arguments[0]].span
        if start < end < len(graph.text):
            start = end + len(graph.text[end:]) - len(graph.text[end:].lstrip(" )"))
    return ExpressionError(reason, graph.text, start)
