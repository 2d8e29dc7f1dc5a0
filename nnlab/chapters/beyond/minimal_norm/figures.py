"""The distance of the weights from their start: over the steps, and over the width."""

import numpy as np
from matplotlib.figure import Figure

from nnlab.plot.bands import band_words, draw_band, over_seeds
from nnlab.plot.lines import draw_line
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, ticks_at
from nnlab.plot.style import (
    DOUBLE,
    INK,
    LINE,
    PALETTE,
    LineLook,
    dress,
    legend_below,
    new_figure,
    panel_title,
    sample,
    with_notes_below,
)
from nnlab.plot.text import number, percent

PREDICTED = LineLook(INK, "-", "none")
LINEARIZED = LineLook(PALETTE[0], "none", "o")
NETWORKS = LineLook(PALETTE[1], "-", "s")
ROOM = 290.0  # points, the width of a panel


@of_lines
def distance_from_start(
    steps: FloatArray, predicted: FloatArray, linearized: FloatArray, widths: FloatArray, ratios: FloatArray
) -> Figure:
    """Draws ‖w − w₀‖² of a linearized network over the steps, and its end for networks over their width.

    Args:
        steps: (T,) steps of gradient descent; step 0 has no place on the logarithmic axis.
        predicted: (T,) u₀ᵀ(I − (I − ηH)ᵏ)² H⁻¹ u₀.
        linearized: (T,) as measured.
        widths: (W,) widths m, ascending.
        ratios: (W, S) ‖w − w₀‖² after training, in units of u₀ᵀH₀⁻¹u₀.
    """
    steps, predicted, linearized, widths, ratios = map(
        as_numbers, (steps, predicted, linearized, widths, ratios)
    )
    figure = new_figure(_title(widths, ratios), DOUBLE)
    left, right = figure.subplots(1, 2)
    moved = steps > 0
    dress(left, "step k")
    panel_title(left, "‖w − w₀‖², linearized")
    log_axis(left.xaxis, steps[moved])
    left.set_ylim(0, 1.08 * max(predicted.max(), linearized.max()))
    left.plot(steps[moved], predicted[moved], color=PREDICTED.color, linewidth=LINE)
    seen = np.unique(np.geomspace(1, steps[-1], 16).round()).astype(int)
    draw_line(left, steps[seen], linearized[seen], LINEARIZED)
    dress(right, with_notes_below("width m", band_words([ratios.shape[1]]), ROOM))
    panel_title(right, "networks, over u₀ᵀH₀⁻¹u₀")
    log_axis(right.xaxis, widths)
    ticks_at(right.xaxis, widths, gap=0.2)
    draw_band(right, widths, over_seeds(ratios.T), NETWORKS)
    right.axhline(1, color=PREDICTED.color, linewidth=LINE, zorder=1)
    handles = [
        sample(PREDICTED, "predicted from the kernel"),
        sample(LINEARIZED, "linearized network", line=False),
        sample(NETWORKS, "networks, trained"),
    ]
    legend_below(figure, handles)
    return figure


def _title(widths: FloatArray, ratios: FloatArray) -> str:
    """The farthest that the mean over the networks of the largest width is from 1."""
    off = abs(float(ratios[-1].mean()) - 1)
    return (
        "The weights move by u₀ᵀH⁻¹u₀, the least that fits the targets: networks of width "
        f"{number(float(widths[-1]), digits=7)} to within {percent(off)}"
    )
