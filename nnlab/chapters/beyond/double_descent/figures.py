"""The figure of double descent: the risk over the number of Gaussian and of random ReLU features."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.lines import draw_line
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, log_axis
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    INK,
    LINE,
    PALETTE,
    THIN,
    LineLook,
    dress,
    legend,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import number

_MEASURED = LineLook(PALETTE[0], "none", "o")
_RELU = LineLook(PALETTE[0], "-", "o")
_THEORY = LineLook(PALETTE[1], "-", "none")
_THRESHOLD = LineLook(INK, (0, (1, 2)), "none")


@of_lines
def double_descent(
    examples: int,
    features: ArrayLike,
    risk: ArrayLike,
    interval: ArrayLike,
    curve_features: ArrayLike,
    curve: ArrayLike,
    relu_features: ArrayLike,
    relu_risk: ArrayLike,
    level: str = "",
) -> Figure:
    """Draws the risk over p/n, measured and predicted on Gaussian features, measured on random ReLU features.

    Args:
        examples: n.
        features: (P,) numbers of features p.
        risk: (P,) mean risk there.
        interval: (P, 2) its interval.
        curve_features: (Q,) p at which the formula is drawn.
        curve: (Q,) the formula; infinite near p = n.
        relu_features: (R,) numbers of ReLU features.
        relu_risk: (R,) mean risk there.
        level: of the interval, such as "99.99%"; empty where it is not known.
    """
    p, values, bounds, q, theory, r, relu = map(
        as_numbers, (features, risk, interval, curve_features, curve, relu_features, relu_risk)
    )
    title = "Test error peaks where features and examples are equally many, then falls again"
    if len(values) > 1 and values[-1] > 0:
        title += f": to 1/{number(float(np.nanmax(values) / values[-1]), 2)}"
    figure = new_figure(title, DOUBLE)
    left, right = figure.subplots(1, 2, sharey=True)
    top = 3 * float(np.nanmax(values))
    everything = np.concatenate([values, relu, theory[np.isfinite(theory) & (theory < top)]])
    for axes, label, places in ((left, "Gaussian features", p), (right, "random ReLU features", r)):
        dress(axes, "features over examples, p/n", "test error" if axes is left else "")
        panel_title(axes, label)
        log_axis(axes.xaxis, places / examples)
        log_axis(axes.yaxis, everything)
        axes.axvline(1, color=_THRESHOLD.color, linestyle=_THRESHOLD.dash, linewidth=LINE)
    left.plot(q / examples, np.where(theory < top, theory, np.nan), color=_THEORY.color, linewidth=LINE)
    _bars(left, p / examples, bounds)
    draw_line(left, p / examples, values, _MEASURED)
    draw_line(right, r / examples, relu, _RELU)
    entries = [
        sample(_MEASURED, f"measured, {level} interval" if level else "measured, interval", line=False),
        sample(_THEORY, "predicted, exact"),
        sample(_THRESHOLD, "p = n"),
    ]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def _bars(axes: Axes, x: FloatArray, bounds: FloatArray) -> None:
    known = np.isfinite(bounds).all(1) & (bounds > 0).all(1)
    axes.plot(
        np.stack([x, x])[:, known], bounds[known].T, color=_MEASURED.color, linewidth=THIN, marker="_",
        markersize=9,
    )  # fmt: skip
