"""The sigmoid as one node: 1/(1 + exp(−a)) is σ(a), with the local derivative σ(1 − σ)."""

from nnlab.expressions.nodes import Graph, GraphBuilder


def with_sigmoids(graph: Graph) -> Graph:
    """The graph with every 1/(1 + exp(−a)), in either order of the sum, as `sigmoid` of a."""
    builder, new = GraphBuilder(), list[int]()
    for index, node in enumerate(graph.nodes):
        inside = _sigmoid_of(graph, index)
        if inside is not None:
            new.append(builder.add("sigmoid", (new[inside],), None, node.span))
        else:
            arguments = [new[i] for i in node.arguments]
            new.append(builder.add(node.operation, arguments, node.parameter, node.span, node.exact))
    return builder.graph(graph.text, graph.variables, new[-1])


def _sigmoid_of(graph: Graph, index: int) -> int | None:
    """The node a, where this one is 1/(1 + exp(−a))."""
    nodes = graph.nodes
    if nodes[index].operation != "divide":
        return None
    one, total = nodes[index].arguments
    if nodes[one].exact != 1 or nodes[total].operation != "add":
        return None
    terms = nodes[total].arguments
    for first, second in (terms, terms[::-1]):
        if nodes[first].exact == 1 and nodes[second].operation == "exp":
            (power,) = nodes[second].arguments
            if nodes[power].operation == "negative":
                return nodes[power].arguments[0]
    return None
