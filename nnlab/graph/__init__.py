"""Expressions as computational graphs: parsed, evaluated, differentiated and enclosed rigorously.

graph = parse("sin(2*pi*x)", ("x",))
evaluate(graph, {"x": np.linspace(0, 1, 5)})                # values in float64
enclose(graph, {"x": Interval(lo, hi)})                     # every value in each cell
slopes(graph, {"x": Interval(lo, hi)}, ("x",))              # and every slope

graph = parse("sum(relu(W @ x))", ("W", "x"), tensors=True)
gradient(graph, {"W": np.eye(2), "x": [1.0, -1.0]})         # the value, and the gradient of each variable
"""

from nnlab.graph.domain import check_domain
from nnlab.graph.errors import DomainError, ExpressionError, UnboundedSlopeError
from nnlab.graph.evaluation import curvature, enclose, evaluate, second_derivatives, slopes, tangent
from nnlab.graph.intervals import Interval
from nnlab.graph.lipschitz import lipschitz
from nnlab.graph.nodes import Graph, Node
from nnlab.graph.parser import parse
from nnlab.graph.passes import directional, gradient, hessian_vector

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
    "tangent",
]
