"""The figure of the edge of stability: ηλmax over the steps, and λmax over the loss beside small steps."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.lines import draw_curve
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import as_numbers, log_axis
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    INK,
    LINE,
    THIN,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import listed, number

_EDGE = LineLook(INK, (0, (5, 3)), "none")
_FLOW = LineLook(INK, "-", "none")


@of_lines
def edge_of_stability(
    steps: ArrayLike,
    starts: ArrayLike,
    sharpness: ArrayLike,
    losses: ArrayLike,
    flow_sharpness: ArrayLike,
    flow_loss: ArrayLike,
) -> Figure:
    """Draws ηλmax over the steps of descent, and over the lowest loss so far beside the same for small steps.

    Args:
        steps: (T,) steps.
        starts: (K,) ηλmax at the start of each training.
        sharpness: (K, T) ηλmax of the Hessian.
        losses: (K, T) training loss.
        flow_sharpness: (F,) λmax over its first value, along small steps.
        flow_loss: (F,) loss along small steps.
    """
    t, first, values, loss = map(as_numbers, (steps, starts, sharpness, losses))
    flow, flow_at = as_numbers(flow_sharpness), as_numbers(flow_loss)
    ends = [number(float(np.median(row[-max(1, len(row) // 4) :])), 3) for row in values]
    figure = new_figure(
        f"Descent sharpens until ηλₘₐₓ is 2, and stays there: late in training it is {listed(ends)}", DOUBLE
    )
    left, right = figure.subplots(1, 2)
    dress(left, "step")
    dress(right, "lowest loss so far")
    panel_title(left, "ηλₘₐₓ of the Hessian")
    panel_title(right, "λₘₐₓ / its start")
    log_axis(right.xaxis, loss)
    right.invert_xaxis()
    entries = [sample(_EDGE, "ηλₘₐₓ = 2")]
    right.plot(flow_at, flow, color=_FLOW.color, linewidth=LINE)
    for index, (start, curve, at) in enumerate(zip(first, values, loss, strict=True)):
        look = line_look(index)
        draw_curve(left, t, curve, look)
        right.plot(np.minimum.accumulate(at), curve / start, color=look.color, linewidth=LINE)
        right.axhline(2 / start, color=look.color, linestyle=_EDGE.dash, linewidth=THIN)
        entries.append(sample(look, f"η = {start:g}/λₘₐₓ", marker=False))
    left.axhline(2, color=_EDGE.color, linestyle=_EDGE.dash, linewidth=LINE)
    left.set_ylim(0, None)
    entries.append(sample(_FLOW, "small steps"))
    legend(figure, entries, "outside lower center", columns=4, size=FONT_TICK)
    return figure
