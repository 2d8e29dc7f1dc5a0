"""The same gradient by torch.autograd, which shares no derivative with ours."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.expressions import Graph
from nnlab.expressions.nodes import Node

Array = NDArray[np.float64]


def autograd(graph: Graph, at: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """Computes the value of a scalar expression and its gradient in float64, by torch.

    Returns:
        The value, and variable -> gradient of its shape; zeros where torch finds none.
    """
    leaves = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in at.items()
    }
    values: list[Tensor] = []
    for node in graph.nodes:
        values.append(_torch_value(node, leaves, [values[i] for i in node.arguments]))
    if values[-1].requires_grad:
        values[-1].backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        for name, leaf in leaves.items()
    }
    return float(values[-1].detach()), gradients


def _torch_value(node: Node, leaves: Mapping[str, Tensor], arguments: list[Tensor]) -> Tensor:
    if node.exact is not None:
        return torch.tensor(float(node.exact), dtype=torch.float64)
    match node.operation:
        case "variable":
            return leaves[str(node.parameter)]
        case "constant":
            return torch.tensor({"pi": torch.pi, "e": torch.e}[str(node.parameter)], dtype=torch.float64)
        case "integer_power" | "real_power":
            exponent = node.parameter or 0
            if isinstance(exponent, int) and abs(exponent) > 2**53:  # where floats are even
                power = arguments[0].abs() ** float(exponent)
                return arguments[0].sign() * power if exponent % 2 else power
            return arguments[0] ** float(exponent)
    return _TORCH[node.operation](*arguments)


_TORCH: Mapping[str, Callable[..., Tensor]] = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div,
    "negative": torch.neg, "power": torch.pow, "matmul": torch.matmul, "maximum": torch.maximum,
    "minimum": torch.minimum, "less": torch.lt, "less_equal": torch.le, "where": torch.where,
    "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "exp": torch.exp, "log": torch.log,
    "sqrt": torch.sqrt, "tanh": torch.tanh, "abs": torch.abs, "relu": torch.relu, "sum": torch.sum,
    "mean": torch.mean, "largest": torch.amax, "smallest": torch.amin,
    "log10": torch.log10, "log2": torch.log2, "log1p": torch.log1p, "expm1": torch.expm1, "sinh": torch.sinh,
    "cosh": torch.cosh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh,
    "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan, "erf": torch.erf,
    "floor": torch.floor, "ceil": torch.ceil, "signum": torch.sign,
    "cbrt": lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3),
    # torch's own softplus is the identity from 20 on, which is off by 2·10⁻⁹ there
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "transpose": lambda x: x.mT if x.ndim == 2 else x,
    "softmax": lambda x: torch.softmax(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, -1),
    # torch.sigmoid has the derivative σ(1 − σ), without digits where σ is nearly 1
    "sigmoid": lambda x: torch.exp(torch.nn.functional.logsigmoid(x)),
}  # fmt: skip
