"""Rates in time: the growing weights of separable data, and convergence to an optimum."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.labels import label_ends, line_end
from nnlab.plot.scales import (
    FloatArray,
    as_array,
    as_pair,
    draw_line,
    log_axis,
    positive,
    whole_numbers,
    with_notes,
)
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    INK,
    LINE,
    PALETTE,
    THIN,
    WIDE,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import number, plain

_MEASURED = line_look(0)
_THEORY = LineLook(PALETTE[1], (0, (4, 2)), "none")


def separable_growth(
    steps: ArrayLike,
    loss: ArrayLike,
    norm: ArrayLike,
    title: str | None = None,
    *,
    predicted_norm: ArrayLike | None = None,
    predicted_label: str = "predicted",
    measured_slope: float | None = None,
    predicted_slope: float = -1.0,
) -> Figure:
    """Separable data: the loss tends to 0 like 1/t while the norm of the weights grows like log t.

    Args:
        steps: (T,) steps t; t = 0 has no place on the logarithmic axes and is left out.
        loss: (T,) cross-entropy.
        norm: (T,) Frobenius norm of the weights.
        title: A sentence.
        predicted_norm: (T,) predicted norm.
        predicted_label: What the predicted norm is, for the legend.
        measured_slope: Exponent fitted to the loss, for the legend.
        predicted_slope: Exponent of the reference line through the last point of the loss.

    Raises:
        InputError: lengths that differ.
    """
    t, losses = as_pair(steps, loss, "the loss")
    norms = as_pair(t, norm, "the norm")[1]
    theory = None if predicted_norm is None else as_pair(t, predicted_norm, "the predicted norm")[1]
    default = "Separable data have no minimizer: the loss keeps falling and the weights keep growing"
    figure = new_figure(title or default, DOUBLE)
    left, right = figure.subplots(1, 2)
    for axes, label in ((left, "training loss"), (right, "norm of the weights ‖W‖")):
        dress(axes, "", label)
        log_axis(axes.xaxis, t)
    log_axis(left.yaxis, losses)
    _finish(left, draw_line(left, t, losses, _MEASURED), losses)
    _reference(left, t, losses, predicted_slope)
    fitted = "" if measured_slope is None else f", slope {number(measured_slope)}"
    entries = [
        sample(_MEASURED, f"measured{fitted}"),
        sample(_THEORY, f"predicted slope {number(predicted_slope)}"),
    ]
    legend(left, entries, "lower left", size=FONT_TICK)
    if theory is not None:
        shown = np.isfinite(theory) & (t > 0)
        right.plot(
            t[shown], theory[shown], color=_THEORY.color, linestyle=_THEORY.dash, linewidth=LINE, zorder=3
        )
    _finish(right, draw_line(right, t, norms, _MEASURED), norms)
    entries = [
        sample(_MEASURED, "measured"),
        *([] if theory is None else [sample(_THEORY, plain(predicted_label))]),
    ]
    legend(right, entries, "upper left", size=FONT_TICK)
    return figure


def convergence(
    steps: ArrayLike,
    distances: Mapping[str, ArrayLike],
    rates: Mapping[str, float] | None = None,
    title: str | None = None,
    *,
    y_label: str = "distance to the optimum ‖W − W*‖",
    anchor: Literal["start", "end"] = "start",
) -> Figure:
    """Distance to the optimum over steps, with the predicted linear rate: a straight line on this scale.

    Args:
        steps: (T,) steps.
        distances: Label -> (T,) distances to the optimum.
        rates: Label of a distance -> the factor ρ by which it is predicted to shrink in a step.
        title: A sentence.
        y_label: What the distance is, with its unit.
        anchor: Where the dashed line ρᵗ meets the measured one: at its start, as a bound, or at its end, as
            an asymptotic rate.

    Raises:
        InputError: lengths that differ.
    """
    t, predicted = as_array(steps, "the steps"), dict(rates or {})
    known = {
        label: as_pair(t, values, f"the distance of {label!r}")[1] for label, values in distances.items()
    }
    default = "Distance to the optimum, beside the linear rate that theory predicts"
    figure = new_figure(title or default, WIDE)
    axes = figure.subplots()
    dress(axes, "", plain(y_label))
    axes.margins(x=0.02)
    everything = np.concatenate([np.zeros(0), *known.values()])
    log_axis(axes.yaxis, everything)
    notes: list[str] = []
    ends = []
    for index, (label, values) in enumerate(known.items()):
        look = replace(line_look(index), dash="-")  # dashes are for the prediction
        notes += draw_line(axes, t, values, look)
        ends.append(line_end(label, look, t, values))
        if label in predicted:
            _predicted(axes, t, values, predicted[label], anchor)
    if predicted:
        notes.append("- - -  predicted rate")
    _finish(axes, notes, everything, "step")
    whole_numbers(axes.xaxis)
    label_ends(figure, axes, ends)
    return figure


def _finish(axes: Axes, notes: list[str], values: FloatArray, x_label: str = "step t") -> None:
    axes.set_xlabel(with_notes(x_label, notes))
    if not np.isfinite(values).any():
        nothing_to_show(axes, "nothing was measured")


def _reference(axes: Axes, t: FloatArray, values: FloatArray, slope: float) -> None:
    """The power law through the last positive point, over the last two decades of t."""
    shown = np.flatnonzero(np.isfinite(values) & (values > 0) & np.isfinite(t) & (t > 0))
    if not len(shown):
        return
    end, level = t[shown[-1]], values[shown[-1]]
    start = max(end / 100, float(positive(t).min()))
    reach = np.array([start, end])
    axes.plot(
        reach, level * (reach / end) ** slope, color=_THEORY.color, linestyle=_THEORY.dash, linewidth=LINE
    )


def _predicted(
    axes: Axes, t: FloatArray, values: FloatArray, rate: float, anchor: Literal["start", "end"]
) -> None:
    """The geometric decay ρᵗ through the first or the last positive distance, within the measured range."""
    shown = np.flatnonzero(np.isfinite(values) & (values > 0) & np.isfinite(t))
    if not len(shown) or not (np.isfinite(rate) and rate > 0):
        return
    fixed = shown[0] if anchor == "start" else shown[-1]
    low, high = axes.get_ylim()
    exponents = np.log(values[fixed]) + (t - t[fixed]) * np.log(rate)
    inside = np.isfinite(t) & (exponents > np.log(low) - 1) & (exponents < np.log(high) + 1)
    axes.plot(
        t[inside],
        np.exp(exponents[inside]),
        color=INK,
        linestyle=(0, (4, 3)),
        linewidth=THIN,
        zorder=3,
    )
