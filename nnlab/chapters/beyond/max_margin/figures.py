"""The figure of margin maximization: the data with their directions, and the angle over the steps."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.lines import draw_line
from nnlab.plot.scales import FloatArray, as_numbers, log_axis
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    LINE,
    MUTED,
    PALETTE,
    LineLook,
    dress,
    legend,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import number

_MEASURED = LineLook(PALETTE[0], "-", "o")
_PREDICTED = LineLook(PALETTE[1], (0, (5, 1.6)), "none")
_POINTS = LineLook(MUTED, "none", "o")
_MARGIN = LineLook(PALETTE[1], "-", "none")
_CENTRE = LineLook(PALETTE[2], (0, (1.2, 1.4)), "none")


def max_margin(
    steps: ArrayLike,
    angle: ArrayLike,
    predicted: ArrayLike,
    vectors: ArrayLike,
    points: ArrayLike,
    margin: ArrayLike,
    centre: ArrayLike,
) -> Figure:
    """Draws the signed examples with three directions, and the angle from the max-margin one over the steps.

    Args:
        steps: (T,) steps t ≥ 1.
        angle: (T,) of the weights from the max-margin direction, in degrees.
        predicted: (T,) the same, predicted.
        vectors: (T, 2) weights.
        points: (N, 2) examples times their class.
        margin: (2,) the max-margin direction.
        centre: (2,) the mean of the signed examples.
    """
    t, measured, theory, w, z, v, c = map(
        as_numbers, (steps, angle, predicted, vectors, points, margin, centre)
    )
    title = (
        "Descent turns towards the largest margin like 1/log t: "
        f"{number(abs(float(measured[-1])), 3)}° are left after {int(t[-1]):,} steps"
    )
    figure = new_figure(title, DOUBLE)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    dress(left, "y·x₁", "y·x₂")
    left.plot(z[:, 0], z[:, 1], color=_POINTS.color, linestyle="none", marker="o", markersize=7)
    left.plot(0, 0, color=_POINTS.color, linestyle="none", marker="+", markersize=12)
    for direction, look in ((w[-1], _MEASURED), (v, _MARGIN), (c, _CENTRE)):
        _draw_direction(left, direction, 0.9 * float(np.linalg.norm(z, axis=1).max()), look)
    left.set_aspect("equal", adjustable="datalim")
    dress(right, "step t")
    panel_title(right, "angle from ŵ (°)")
    log_axis(right.xaxis, t)
    right.plot(t, theory, color=_PREDICTED.color, linestyle=_PREDICTED.dash, linewidth=LINE, zorder=3)
    draw_line(right, t, measured, _MEASURED)
    reach = 1.2 * np.abs(measured).max(initial=0.1)
    right.set_ylim(*((-0.05 * reach, reach) if measured[-1] > 0 else (-reach, 0.05 * reach)))
    right.axhline(0, color=_MARGIN.color, linewidth=LINE)
    entries = [
        sample(_MEASURED, "weights of the model", marker=False),
        sample(_PREDICTED, "predicted, nothing fitted"),
        sample(_MARGIN, "largest margin ŵ (SVM)"),
        sample(_CENTRE, "difference of the means"),
    ]
    legend(figure, entries, "outside lower center", columns=2, size=FONT_TICK)
    return figure


def _draw_direction(axes: Axes, direction: FloatArray, length: float, look: LineLook) -> None:
    end = length * direction / np.linalg.norm(direction)
    axes.plot([0, end[0]], [0, end[1]], color=look.color, linestyle=look.dash, linewidth=LINE)
