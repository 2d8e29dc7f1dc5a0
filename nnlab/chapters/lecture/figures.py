"""The figures of the slides: a loss over a probability, and graphs of expressions with their values."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.backpropagation.picture import computational_graph
from nnlab.chapters.backpropagation.worksheet import Worksheet, build
from nnlab.display import lowered
from nnlab.expressions import parse
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import as_numbers
from nnlab.plot.style import FONT_NOTE, INK, LINE, PALETTE, dress, new_figure
from nnlab.plot.text import families, number


@of_lines
def loss_of_probability(probabilities: ArrayLike, losses: ArrayLike, marked: float) -> Figure:
    """Draws −log P over P, with one probability read off.

    Args:
        probabilities: (T,) in (0, 1], ascending.
        losses: (T,).
        marked: The probability that is read off, between the first and the last.
    """
    p, loss = as_numbers(probabilities), as_numbers(losses)
    value = float(np.interp(marked, p, loss))
    figure = new_figure(f"The right class has probability {marked:g}: the loss is {value:.2f}", (7.5, 4.8))
    axes = figure.add_subplot()
    dress(axes, "probability of the right class", "loss −log P")
    axes.plot(p, loss, color=PALETTE[0], linewidth=LINE)
    axes.plot([marked, marked, 0], [0, value, value], color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot([marked], [value], "o", color=PALETTE[1], markersize=9)
    axes.text(marked + 0.02, value, f"−log {marked:g} = {value:.2f}", fontsize=FONT_NOTE, color=INK,
              family=list(families()), va="bottom")  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, min(float(loss.max()), 2.5 * value)))
    return figure


def graph_of(expression: str, at: Mapping[str, ArrayLike], title: str) -> Figure:
    """Draws the graph of an expression, with values above its wires and gradients below them.

    Args:
        expression: As the lecture writes it.
        at: The value of each variable.
        title: "f = " and the expression; what it is and where it is steepest is added.
    """
    values = {name: np.asarray(value, np.float64) for name, value in at.items()}
    sheet = build(parse(expression, tuple(values), tensors=True), values)
    written = lowered(title).replace(" * ", " · ").replace("*", "·").replace("-", "−")
    return computational_graph(sheet, written + _steepest(sheet))


def _steepest(sheet: Worksheet) -> str:
    """The value of an expression of numbers, and the variable that changes it most."""
    value = sheet.lines[-1].value
    slopes = {line.name: line.gradient for line in sheet.lines if line.is_given and line.gradient is not None}
    if value.size > 1 or not slopes or any(slope.size > 1 for slope in slopes.values()):
        return ""
    most = max(slopes, key=lambda name: abs(float(slopes[name])))
    return f" = {number(float(value))}: steepest in {lowered(most)}, gradient {number(float(slopes[most]))}"
