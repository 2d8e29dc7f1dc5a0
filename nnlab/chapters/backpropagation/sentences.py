"""The chain rule in words: what a node passes on along each edge, and what reaches each variable."""

from nnlab.chapters.backpropagation.build import Edge, Line, Worksheet
from nnlab.chapters.backpropagation.numbers import array


def rule(sheet: Worksheet, line: Line, edge: Edge, digits: int = 4) -> str:
    """∂f/∂x = ∂f/∂q · ∂q/∂x, with the numbers; += where several nodes use x, Σ where x is repeated in q.

    >>> from nnlab.expressions import parse
    >>> from nnlab.chapters.backpropagation.build import build
    >>> sheet = build(parse("(x + y)*z", ("x", "y", "z"), tensors=True), {"x": -2, "y": 5, "z": -4})
    >>> rule(sheet, sheet.lines[2], sheet.lines[2].edges[0])
    '∂f/∂x = ∂f/∂q1 · ∂q1/∂x = (−4) · 1 = −4'
    """
    notation, is_result = sheet.notation, line.index == len(sheet.graph.nodes) - 1
    target = notation.names[edge.argument]
    steps = [array(edge.passed, digits)]
    if edge.derivative is None or line.gradient is None or is_result:
        steps = steps if " if " in edge.local else [edge.local, *steps]
    else:
        if line.gradient.ndim == edge.derivative.ndim == 0:
            arrived, derivative = array(line.gradient, digits), array(edge.derivative, digits)
            steps.insert(0, f"{_factor(arrived)} · {_factor(derivative)}")
        dot = "·" if line.gradient.ndim == 0 else "∘"
        product = f"{notation.gradient(line.name)} {dot} {notation.partial(line.name, target)}"
        steps.insert(0, f"Σ {product} over {edge.summed}" if edge.summed else product)
    sign = "+=" if sheet.arrivals[edge.argument] > 1 else "="
    return f"{notation.gradient(target)} {sign} " + " = ".join(dict.fromkeys(steps))


def local(edge: Edge, digits: int = 4) -> str:
    """The local derivative: formula = value. Empty where it is a matrix: `rule` tells what is passed on."""
    if edge.derivative is None:
        return ""
    value = array(edge.derivative, digits)
    if " if " in edge.local:
        return f"{value} ({edge.local})"
    return edge.local if edge.local == value or edge.derivative.ndim else f"{edge.local} = {value}"


def _factor(text: str) -> str:
    return f"({text})" if text[0] in "-−" else text
