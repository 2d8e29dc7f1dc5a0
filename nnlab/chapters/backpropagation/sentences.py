"""Worksheets in sentences: the chain rule along each edge, kinks and jumps, a network's checks."""

import numpy as np

from nnlab.chapters.backpropagation.checks import Checks
from nnlab.chapters.backpropagation.kinks import Entry, Sides
from nnlab.chapters.backpropagation.network_worksheet import TOLERANCE, NetworkSheet
from nnlab.chapters.backpropagation.notation import (
    Notation,
    distinct_numbers,
    format_array,
    format_number,
)
from nnlab.chapters.backpropagation.worksheet import Edge, Line, Worksheet

MANY = 10
"""Sentences of one kind that are written; any more are counted."""


def rule(sheet: Worksheet, line: Line, edge: Edge, digits: int = 4) -> str:
    """Writes ∂f/∂x = ∂f/∂q · ∂q/∂x with the numbers.

    It has += where several nodes use x, and Σ where x is repeated in q.

    >>> from nnlab.expressions import parse
    >>> from nnlab.chapters.backpropagation.worksheet import build
    >>> sheet = build(parse("(x + y)*z", ("x", "y", "z"), tensors=True), {"x": -2, "y": 5, "z": -4})
    >>> rule(sheet, sheet.lines[2], sheet.lines[2].edges[0])
    '∂f/∂x = ∂f/∂q1 · ∂q1/∂x = (−4) · 1 = −4'
    """
    notation, is_result = sheet.notation, line.index == len(sheet.graph.nodes) - 1
    target = notation.names[edge.argument]
    steps = [format_array(edge.passed, digits)]
    if edge.derivative is None or line.gradient is None or is_result:
        steps = steps if " if " in edge.local else [edge.local, *steps]
    else:
        if line.gradient.ndim == edge.derivative.ndim == 0:
            factors = format_array(line.gradient, digits), format_array(edge.derivative, digits)
            steps.insert(0, " · ".join(f"({text})" if text.startswith("−") else text for text in factors))
        dot = "·" if line.gradient.ndim == 0 else "∘"
        product = f"{notation.gradient(line.name)} {dot} {notation.partial(line.name, target)}"
        steps.insert(0, f"Σ {product} over {edge.summed}" if edge.summed else product)
    sign = "+=" if sheet.arrivals[edge.argument] > 1 else "="
    return f"{notation.gradient(target)} {sign} " + " = ".join(dict.fromkeys(steps))


def local(sheet: Worksheet, line: Line, edge: Edge, digits: int = 4) -> str:
    """Writes ∂q/∂x as a formula and its value; empty where it is a matrix, which `rule` applies."""
    if edge.derivative is None:
        return ""
    text, value = edge.local, format_array(edge.derivative, digits)
    if " if " in text:
        text = f"{value} ({text})"
    elif text != value and not edge.derivative.ndim:
        text = f"{text} = {value}"
    return f"{sheet.notation.partial(line.name, sheet.notation.names[edge.argument])} = {text}"


def kink_sentence(sheet: Worksheet, index: int, notation: Notation) -> str:
    """Describes the kink of an operation, and which slope is used; of a comparison that of its `where`."""
    node = sheet.graph.nodes[index]
    first, *others = (notation.names[i] for i in node.arguments)

    def tie(value: str) -> str:
        return notation.formula(f"{first} = {value}")

    match node.operation:
        case "relu" | "abs":
            left = notation.numeral("−1") if node.operation == "abs" else "0"
            slopes = f"slope {left} to the left, 1 to the right; 0 is used"
            return f"{node.operation} has a kink at {tie('0')}: {slopes}"
        case "maximum" | "minimum":
            return f"{node.operation[:3]} has a kink where {tie(*others)}: each gets half of the gradient"
        case "largest" | "smallest":
            word = "max" if node.operation == "largest" else "min"
            count = np.sum(np.equal(sheet.values[node.arguments[0]], sheet.values[index]))
            equal = f"{count} entries of {notation.formula(first)} are equal"
            return f"{word} has a kink where {equal}: each gets 1/{count}"
        case "floor" | "ceil":
            place = f"{notation.formula(first)} is a whole number"
            return f"{node.operation} jumps where {place}: the slope 0 of both sides is used"
        case "signum":
            return f"sign jumps at {tie('0')}: the slope 0 of both sides is used"
    return f"where changes branch at {tie(*others)}: the slope is that of the branch taken"


def kink_notes(sheet: Worksheet, checks: Checks, notation: Notation, digits: int = 4) -> list[str]:
    """Lists the kinks and jumps in sentences; in a notation for TeX, formulas stand between dollar signs."""
    writer = _Writer(sheet, notation, digits)
    kinks = [
        f"{'kink' if is_certain else 'possible kink'}: {kink_sentence(sheet, index, notation)}"
        for index, is_certain in checks.kinks.items()
    ]
    kinks += [
        f"possible kink: by differences {writer.bend((one.variable, one.entry), one.left, one.right)}"
        for check in checks.variables
        for one in check.differences
        if one.bends and (one.variable, one.entry) not in checks.sides
    ]
    sides = [writer.sides(entry, both) for entry, both in checks.sides.items() if both.is_known]
    return [*_first(kinks), *_first(sides)]


def _first(lines: list[str]) -> list[str]:
    left_out = len(lines) - MANY
    return lines if left_out <= 0 else [*lines[:MANY], f"and {left_out:,} more like these; --json has all"]


class _Writer:
    """Writes how the function of a worksheet behaves along an entry of a variable."""

    def __init__(self, sheet: Worksheet, notation: Notation, digits: int) -> None:
        self.sheet, self.notation, self.digits = sheet, notation, digits
        self.names = {line.name: notation.names[line.index] for line in sheet.lines}

    def sides(self, entry: Entry, sides: Sides) -> str:
        """Describes a kink or a jump."""
        variable, place = entry
        if sides.jumps:
            at = self.notation.numeral(format_number(float(self.sheet.at[variable][place]), self.digits))
            name, result = map(self.notation.formula, (self._entry(entry), self.notation.result))
            below, value, above = self._distinct(sides.below, self.sheet.value, sides.above)
            return f"jump at {name} = {at}: {result} is {below} just below, {value} there, {above} just above"
        used = float(self.sheet.gradients[variable][place])
        if sides.left != sides.right:
            return f"kink: {self.bend(entry, sides.left, sides.right)}"
        slope, other = self._distinct(sides.left, used)
        return f"kink: {self._slope(entry)} is {slope} to either side; the slopes used give {other}"

    def bend(self, entry: Entry, left: float, right: float) -> str:
        """Describes two slopes."""
        return f"{self._slope(entry)} is {' to the left, '.join(self._distinct(left, right))} to the right"

    def _slope(self, entry: Entry) -> str:
        return self.notation.formula(self.notation.gradient(self._entry(entry)))

    def _entry(self, entry: Entry) -> str:
        variable, place = entry
        return self.names[variable] + "".join(f"[{i}]" for i in place)

    def _distinct(self, *values: float) -> list[str]:
        return [self.notation.numeral(text) for text in distinct_numbers(values, self.digits)]


def network_notes(sheet: NetworkSheet) -> list[str]:
    """Lists the symbols of a network's formulas that need words, and the result of its check."""
    formulas = " ".join(step.formula for step in sheet.steps)
    lines = []
    if "P(" in formulas:
        lines.append(
            "P(h): the matrix of patches, with a column of pixels for each position of the filters; Pᵀ adds "
            "up over the patches that share a pixel"
        )
    if "√(s² + ε)" in formulas:
        lines.append("μ, s²: the running mean and variance of batch norm")
    verdict = "agree with" if sheet.agrees else "DISAGREE with"
    lines.append(
        f"all gradients {verdict} torch.autograd in float64: largest relative difference "
        f"{format_number(sheet.error, 2)} (allowed {format_number(TOLERANCE, 2)}); L is the loss without "
        "penalties on the weights"
    )
    return lines
