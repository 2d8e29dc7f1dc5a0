"""Expressions as computational graphs: parsed, evaluated, differentiated and enclosed rigorously.

graph = parse("sin(2*pi*x)", ("x",))
evaluate(graph, {"x": np.linspace(0, 1, 5)})                # values in float64
enclose(graph, {"x": Interval(lo, hi)})                     # every value in each cell
slopes(graph, {"x": Interval(lo, hi)}, ("x",))              # and every slope

graph = parse("sum(relu(W @ x))", ("W", "x"), tensors=True)
gradient(graph, {"W": np.eye(2), "x": [1.0, -1.0]})         # the value, and the gradient of each variable
"""

from nnlab.expressions.domain import check_domain
from nnlab.expressions.errors import DomainError, ExpressionError, UnboundedSlopeError
from nnlab.expressions.evaluation import curvature, enclose, evaluate, second_derivatives, slopes
from nnlab.expressions.lipschitz import lipschitz
from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.parser import parse
from nnlab.expressions.passes import directional, gradient, hessian_vector
from nnlab.rigorous.intervals import Interval

__all__ = [
    "DomainError",
    "ExpressionError",
    "Graph",
    "Interval",
    "Node",
    "UnboundedSlopeError",
    "check_domain",
    "curvature",
    "directional",
    "enclose",
    "evaluate",
    "gradient",
    "hessian_vector",
    "lipschitz",
    "parse",
    "second_derivatives",
    "slopes",
]
