"""The same expression in torch, differentiated by torch.autograd: it shares no derivative with ours."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.expressions import Graph
from nnlab.expressions.nodes import Node

Array = NDArray[np.float64]


def autograd(graph: Graph, at: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """The value of a scalar expression and its gradient in float64, by torch.

    Returns:
        The value, and variable -> gradient of its shape; zeros where torch finds none.
    """
    leaves = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in at.items()
    }
    values: list[Tensor] = []
    for node in graph.nodes:
        values.append(_value(node, leaves, [values[i] for i in node.arguments]))
    if values[-1].requires_grad:
        values[-1].backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        for name, leaf in leaves.items()
    }
    return float(values[-1].detach()), gradients


def _value(node: Node, leaves: Mapping[str, Tensor], arguments: list[Tensor]) -> Tensor:
    if node.exact is not None:
        return torch.tensor(float(node.exact), dtype=torch.float64)
    if node.operation == "variable":
        return leaves[str(node.parameter)]
    if node.operation == "constant":
        return torch.tensor({"pi": torch.pi, "e": torch.e}[str(node.parameter)], dtype=torch.float64)
    return _applied(node, *arguments)


def _applied(node: Node, x: Tensor, y: Tensor | None = None, z: Tensor | None = None) -> Tensor:
    match node.operation:
        case "integer_power" | "real_power":
            return x ** float(node.parameter or 0)
        case "transpose":
            return x.mT if x.ndim == 2 else x
        case "softmax" | "logsumexp":
            return torch.softmax(x, -1) if node.operation == "softmax" else torch.logsumexp(x, -1)
        case "largest" | "smallest":
            return x.amax() if node.operation == "largest" else x.amin()
        case "where":
            assert y is not None
            assert z is not None
            return torch.where(x, y, z)
    function = _FUNCTIONS[node.operation]
    return function(x) if y is None else function(x, y)


def _sigmoid(x: Tensor) -> Tensor:
    """By its logarithm: torch.sigmoid has the derivative σ(1 − σ), without digits where σ is nearly 1."""
    return torch.exp(torch.nn.functional.logsigmoid(x))


_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div,
    "negative": torch.neg, "power": torch.pow, "matmul": torch.matmul, "maximum": torch.maximum,
    "minimum": torch.minimum, "less": torch.lt, "less_equal": torch.le, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan, "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "tanh": torch.tanh,
    "sigmoid": _sigmoid, "abs": torch.abs, "relu": torch.relu, "sum": torch.sum, "mean": torch.mean,
}  # fmt: skip
