"""What a gradient costs in forward mode and in reverse mode: multiply-adds, and values that are kept.

Along an edge of the graph one multiply-add is counted for every number of the operation's value, for it is
multiplied with a local derivative and added up; along an edge of x @ y as many as the product itself takes.
Reverse mode goes once along every edge; forward mode once for each input number that the edge depends on.
The values themselves are computed once in either, and not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.shapes import Shape


@dataclass(frozen=True)
class Cost:
    """Of one mode.

    Attributes:
        passes: walks over the graph.
        multiply_adds: of the derivatives, over all passes.
        stored: largest number of values and derivatives that are kept at the same time.
    """

    passes: int
    multiply_adds: int
    stored: int


def forward_cost(graph: Graph, shapes: Sequence[Shape]) -> Cost:
    """Of the whole gradient by forward mode: a pass for each input number; what is used up is let go."""
    sizes = [prod(shape) for shape in shapes]
    names = {
        node.parameter: position for position, node in enumerate(graph.nodes) if node.operation == "variable"
    }
    order = {name: bit for bit, name in enumerate(names)}
    entries = [sizes[index] for index in names.values()]
    depends: list[int] = []
    total = 0
    for node in graph.nodes:
        mask = 1 << order[node.parameter] if node.operation == "variable" else 0
        for argument in _differentiated(node):
            total += _edge(node, sizes[len(depends)], shapes, argument) * _inputs(depends[argument], entries)
            mask |= depends[argument]
        depends.append(mask)
    return Cost(sum(entries), total, _peak(graph, sizes))


def reverse_cost(graph: Graph, shapes: Sequence[Shape]) -> Cost:
    """Of the whole gradient by reverse mode: one pass; every value waits for it, beside every gradient."""
    sizes = [prod(shape) for shape in shapes]
    total = sum(
        _edge(node, size, shapes, argument)
        for node, size in zip(graph.nodes, sizes, strict=True)
        for argument in _differentiated(node)
        if graph.varying[argument]
    )
    kept = sum(size * (2 if varies else 1) for size, varies in zip(sizes, graph.varying, strict=True))
    return Cost(1, total, kept)


def _differentiated(node: Node) -> tuple[int, ...]:
    if node.operation in ("less", "less_equal"):
        return ()
    return node.arguments[1:] if node.operation == "where" else node.arguments


def _edge(node: Node, size: int, shapes: Sequence[Shape], argument: int) -> int:
    """Multiply-adds along one edge."""
    if node.operation == "matmul":
        left = shapes[node.arguments[0]]
        return size * left[-1]
    return max(size, prod(shapes[argument]))


def _inputs(mask: int, entries: Sequence[int]) -> int:
    """Input numbers of the variables in a mask."""
    if all(entry == 1 for entry in entries):
        return mask.bit_count()
    return sum(entry for bit, entry in enumerate(entries) if mask >> bit & 1)


def _peak(graph: Graph, sizes: Sequence[int]) -> int:
    """Values, and beside those that vary their derivatives, alive at once; inputs stay."""
    weights = [size * (2 if varies else 1) for size, varies in zip(sizes, graph.varying, strict=True)]
    alive = peak = 0
    for index, weight in enumerate(weights):
        alive += weight
        peak = max(peak, alive)
        alive -= sum(weights[i] for i in graph.last_uses[index])
    return peak
