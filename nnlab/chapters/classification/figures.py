"""The figures of classification: fits, penalties, gradient noise, growing weights, and convergence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.display import spoken
from nnlab.plot.lines import difference, draw_line, label_ends, line_end
from nnlab.plot.overlay import of_lines
from nnlab.plot.powerlaws import power_words
from nnlab.plot.scales import (
    FloatArray,
    Units,
    as_numbers,
    finite,
    log_axis,
    percent_limits,
    positive,
    ticks_at,
    wants_log,
    whole_numbers,
)
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    GRID,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    WIDE,
    LineLook,
    dress,
    legend,
    legend_below,
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    with_notes,
)
from nnlab.plot.text import literal, number, percent, plain

_TARGET = LineLook(INK, "-", "none")
_PREDICTION = LineLook(PALETTE[1], (0, (4, 1.5)), "none")
_POINTS = LineLook(PALETTE[0], "none", "o")
_PREDICTED = LineLook(PALETTE[1], "-", "none")
_RIVAL = LineLook(MUTED, (0, (5, 3)), "none")
_MEASURED = line_look(0)
_THEORY = LineLook(PALETTE[1], (0, (4, 2)), "none")
_RATE = LineLook(INK, (0, (4, 3)), "none")
_PATH_PANELS = (
    ("accuracy", "test accuracy (%)", 100.0),
    ("sparsity", "weights at 0 (%)", 100.0),
    ("norm", "norm ‖W‖", 1.0),
)
_TOLERANCE = 0.02  # half width of the band around a ratio of 1


@of_lines
def regression_fit(
    x: ArrayLike, target: ArrayLike, prediction: ArrayLike, points_x: ArrayLike, points_y: ArrayLike
) -> Figure:
    """Draws a network of one input, the function it is to learn, and the noisy data it learned from.

    The title tells the largest error on x.

    Args:
        x: (T,) inputs, ascending.
        target: (T,) values of the true function.
        prediction: (T,) outputs of the network.
        points_x: (N,) inputs of the training data.
        points_y: (N,) their targets.
    """
    numbers = (np.asarray(part, np.float64) for part in (x, target, prediction, points_x, points_y))
    grid, truth, fit, places, values = numbers
    across, along = Units.of(grid, places), Units.of(truth, values)
    gaps = difference(fit, truth)
    furthest = number(float(np.abs(gaps[np.isfinite(gaps)]).max(initial=0.0)))
    figure = new_figure(f"The prediction is nowhere further than {furthest} from the target", WIDE)
    axes = figure.subplots()
    dress(axes, across.label("input x"), along.label("output y"))
    axes.plot(
        across.apply(places),
        along.apply(values),
        linestyle="none",
        marker="o",
        color=_POINTS.color,
        markersize=6 if len(places) <= 200 else 3.5,
        alpha=0.75,
        markeredgecolor=PAPER,
        markeredgewidth=0.5,
    )
    for curve, look in ((truth, _TARGET), (fit, _PREDICTION)):
        axes.plot(
            across.apply(grid),
            as_numbers(finite(along.apply(curve))),
            color=look.color,
            linestyle=look.dash,
            linewidth=LINE,
        )
    entries = [
        sample(_TARGET, "target"),
        sample(_PREDICTION, "prediction"),
        sample(_POINTS, "data", line=False),
    ]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


# --- mini-batches ---------------------------------------------------------------------------------------


@of_lines
def gradient_noise(
    batch_sizes: ArrayLike,
    measured: ArrayLike,
    predicted: ArrayLike,
    interval: ArrayLike,
    rival: ArrayLike,
    level: str = "",
) -> Figure:
    """Draws the variance of the mini-batch gradient over the batch size, and its ratio to the prediction.

    Args:
        batch_sizes: (K,) batch sizes B, ascending.
        measured: (K,) mean squared distance of the mini-batch gradient from the full one.
        predicted: (K,) S(N−B)/(B(N−1)): drawing without replacement.
        interval: (K, 2) intervals of the measured values.
        rival: (K,) S/B: drawing with replacement, drawn dashed.
        level: of the intervals, such as "99.99%"; empty where it is not known.
    """
    sizes, values, theory, bounds, other = map(
        as_numbers, (batch_sizes, measured, predicted, interval, rival)
    )
    figure = new_figure(_noise_title(sizes, values, theory), (WIDE[0], 6.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 1))
    for axes, heading in ((top, "variance of the gradient"), (bottom, "measured / predicted")):
        dress(axes)
        panel_title(axes, heading)
    log_axis(top.xaxis, sizes)
    log_axis(top.yaxis, np.concatenate([values, theory, other]))
    top.plot(sizes, other, color=_RIVAL.color, linestyle=_RIVAL.dash, linewidth=THIN)
    top.plot(sizes, theory, color=_PREDICTED.color, linewidth=LINE)
    _interval_bars(top, sizes, bounds)
    notes = draw_line(top, sizes, values, _POINTS)
    _draw_ratio(bottom, sizes, values, theory, bounds)
    ticks_at(bottom.xaxis, positive(sizes))
    bottom.set_xlabel(with_notes("batch size B (examples)", notes))
    handles = [
        sample(_POINTS, f"measured ({level} interval)" if level else "measured (interval)", line=False),
        sample(_PREDICTED, "predicted S(N−B)/(B(N−1))"),
        sample(_RIVAL, "rival S/B"),
    ]
    handles[-1].set_linewidth(THIN)
    legend_below(figure, handles, inches=1.5)
    return figure


def _noise_title(sizes: FloatArray, values: FloatArray, theory: FloatArray) -> str:
    """The largest relative distance of what was measured from what was predicted."""
    known = np.isfinite(values) & np.isfinite(theory) & (theory > 0)
    if not known.any():
        return "The noise of the mini-batch gradient over the batch size"
    off = percent(float(np.abs(values[known] / theory[known] - 1).max()))
    return f"The noise of a mini-batch gradient is as predicted, to {off}: it vanishes at the full batch"


def _draw_ratio(
    axes: Axes, sizes: FloatArray, values: FloatArray, theory: FloatArray, bounds: FloatArray
) -> None:
    """Draws measured over predicted variance, within limits symmetric about 1."""
    scale = np.where(np.isfinite(theory) & (theory > 0), theory, np.nan)
    ratio, scaled = values / scale, bounds / scale[:, None]
    axes.axhspan(1 - _TOLERANCE, 1 + _TOLERANCE, color=GRID, alpha=0.6, linewidth=0)
    axes.axhline(1, color=_PREDICTED.color, linewidth=LINE)
    _interval_bars(axes, sizes, scaled)
    known = np.isfinite(ratio)
    axes.plot(sizes[known], ratio[known], color=_POINTS.color, linestyle="none", marker="o", markersize=6)
    reach = np.concatenate([ratio[known], scaled[np.isfinite(scaled)], [1 + 1.5 * _TOLERANCE]])
    furthest = 1.1 * float(np.abs(reach - 1).max())
    axes.set_ylim(1 - furthest, 1 + furthest)


def _interval_bars(axes: Axes, x: FloatArray, bounds: FloatArray) -> None:
    known = np.isfinite(bounds).all(1)
    axes.plot(
        np.stack([x, x])[:, known],
        bounds[known].T,
        color=_POINTS.color,
        linewidth=THIN,
        marker="_",
        markersize=9,
    )


# --- regularization -------------------------------------------------------------------------------------


@of_lines
def regularization_paths(strengths: ArrayLike, paths: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Draws accuracy, sparsity and norm of the weights over the strength λ > 0 of each penalty.

    Args:
        strengths: (K,) values of λ.
        paths: Penalty -> arrays (K,) under "accuracy" and "sparsity" (fractions of 1) and "norm".
    """
    lambdas = as_numbers(strengths)
    figure = new_figure(_paths_title(lambdas, paths), (14.0, 5.2))
    for axes, (key, label, scale) in zip(figure.subplots(1, 3), _PATH_PANELS, strict=True):
        dress(axes)
        panel_title(axes, label)
        log_axis(axes.xaxis, lambdas)
        curves = [scale * as_numbers(path[key]) for path in paths.values()]
        everything = np.concatenate(curves)
        if key == "norm" and wants_log(everything):
            log_axis(axes.yaxis, everything)
        elif key == "norm":
            axes.set_ylim(0, 1.08 * float(everything[np.isfinite(everything)].max(initial=0.0)) or 1.0)
        notes = [
            note for i, curve in enumerate(curves) for note in draw_line(axes, lambdas, curve, line_look(i))
        ]
        axes.set_xlabel(with_notes("strength λ", notes))
        if scale == 100.0:
            percent_limits(axes)
    handles = [sample(line_look(index), plain(spoken(name), limit=30)) for index, name in enumerate(paths)]
    legend(figure, handles, "outside lower center", columns=min(len(handles), 5), size=FONT_TICK)
    return figure


def _paths_title(lambdas: FloatArray, paths: Mapping[str, Mapping[str, ArrayLike]]) -> str:
    """The penalties that make the most and the fewest weights 0 at the largest strength."""
    if not lambdas.size:
        return "Penalties of the weights, and what they do"
    zeros, right = (
        {name: float(as_numbers(path[kind])[-1]) for name, path in paths.items()}
        for kind in ("sparsity", "accuracy")
    )
    most, fewest = (pick(zeros, key=lambda name: zeros[name]) for pick in (max, min))
    words = [
        f"with {spoken(literal(name, 20))} {percent(zeros[name], 0)} of the weights are 0, "
        f"{percent(right[name], 0)} of the answers right"
        for name in dict.fromkeys((most, fewest))
    ]
    return f"At λ = {number(float(lambdas[-1]))} {'; '.join(words)}"


# --- rates in time --------------------------------------------------------------------------------------


@of_lines
def separable_growth(steps: ArrayLike, loss: ArrayLike, norm: ArrayLike, least_norm: ArrayLike) -> Figure:
    """Draws the loss on separable data, which tends to 0 like 1/t, and the norm, which grows like log t.

    Args:
        steps: (T,) steps t; t = 0 has no place on the logarithmic axes and is left out.
        loss: (T,) cross-entropy.
        norm: (T,) norm of all parameters.
        least_norm: (T,) the least norm that the loss allows.
    """
    t, losses, norms, least = map(as_numbers, (steps, loss, norm, least_norm))
    figure = new_figure(_growth_title(t, losses, norms), DOUBLE)
    left, right = figure.subplots(1, 2)
    for axes, label in ((left, "training loss"), (right, "norm of the weights ‖W‖")):
        dress(axes)
        panel_title(axes, label)
        log_axis(axes.xaxis, t)
    log_axis(left.yaxis, losses)
    _finish(left, "step t", draw_line(left, t, losses, _MEASURED), losses)
    _draw_inverse(left, t, losses)
    known = np.isfinite(least) & (least > 0) & (t > 0)  # a bound below 0 says nothing of a norm
    right.plot(t[known], least[known], color=_THEORY.color, linestyle=_THEORY.dash, linewidth=LINE, zorder=3)
    _finish(right, "step t", draw_line(right, t, norms, _MEASURED), norms)
    right.set_ylim(0, None)
    entries = [
        sample(_MEASURED, "measured"),
        sample(_THEORY, "predicted: slope −1, and the least norm for the loss"),
    ]
    legend_below(figure, entries, inches=1.5)
    return figure


def _growth_title(t: FloatArray, losses: FloatArray, norms: FloatArray) -> str:
    """The power of t by which the loss falls at the end, over its last decade, and how far the norm grew."""
    known = np.isfinite(losses) & (losses > 0) & (t > 0) & np.isfinite(norms)
    late = known & (t >= float(t[known].max(initial=0.0)) / 10)
    if late.sum() < 2:
        return "Separable data have no minimizer: the loss keeps falling and the weights keep growing"
    slope = float(np.polyfit(np.log(t[late]), np.log(losses[late]), 1)[0])
    return (
        f"Separable data have no minimizer: the loss falls like {power_words(slope, 't')}, "
        f"and ‖W‖ has grown to {number(float(norms[known][-1]))}"
    )


def _draw_inverse(axes: Axes, t: FloatArray, values: FloatArray) -> None:
    """Draws c/t through the last positive point, over the last two decades of t."""
    known = np.flatnonzero(np.isfinite(values) & (values > 0) & np.isfinite(t) & (t > 0))
    if not len(known):
        return
    end, level = t[known[-1]], values[known[-1]]
    reach = np.array([max(end / 100, float(positive(t).min())), end])
    axes.plot(reach, level * end / reach, color=_THEORY.color, linestyle=_THEORY.dash, linewidth=LINE)


@of_lines
def convergence(steps: ArrayLike, distances: Mapping[str, ArrayLike], rates: Mapping[str, float]) -> Figure:
    """Draws the distance to the optimum over steps beside the asymptotic linear rate: a straight line.

    Args:
        steps: (T,) steps.
        distances: Label -> (T,) distances to the optimum.
        rates: Label of a distance -> the factor ρ by which theory says that it shrinks in a step. The dashed
            line ρᵗ meets the measured one at its end.
    """
    t = as_numbers(steps)
    curves = {label: as_numbers(values) for label, values in distances.items()}
    figure = new_figure(_convergence_title(t, curves), WIDE)
    axes = figure.subplots()
    dress(axes, "", "distance ‖W − W*‖")
    axes.margins(x=0.02)
    everything = np.concatenate(list(curves.values()))
    log_axis(axes.yaxis, everything)
    notes: list[str] = []
    ends = []
    for index, (label, values) in enumerate(curves.items()):
        look = replace(line_look(index), dash="-")  # dashes are for the prediction
        notes += draw_line(axes, t, values, look)
        ends.append(line_end(label, look, t, values))
        if label in rates:
            _draw_rate(axes, t, values, rates[label])
    _finish(axes, "step", notes, everything)
    whole_numbers(axes.xaxis)
    label_ends(figure, axes, ends)
    if rates:
        entry = sample(_RATE, "predicted rate")
        entry.set_linewidth(THIN)
        legend(figure, [entry], "outside lower center", size=FONT_TICK)
    return figure


def _convergence_title(t: FloatArray, curves: Mapping[str, FloatArray]) -> str:
    """Where the distances that end smallest and largest end."""
    ends = {literal(label, 30): float(values[-1]) for label, values in curves.items() if len(values)}
    if not ends or not np.isfinite(list(ends.values())).all():
        return "Distance to the optimum, beside the linear rate that theory predicts"
    nearest, furthest = (pick(ends, key=lambda label: ends[label]) for pick in (min, max))
    words = [
        f"{number(ends[label], 2)} with steps of {label}" for label in dict.fromkeys((nearest, furthest))
    ]
    return f"After {t[-1]:,.0f} steps the distance to the optimum is {', '.join(words)}"


def _draw_rate(axes: Axes, t: FloatArray, values: FloatArray, rate: float) -> None:
    """Draws the geometric decay ρᵗ through the last positive distance, within the measured range."""
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    if not len(known) or rate <= 0:
        return
    end = known[-1]
    low, high = axes.get_ylim()
    exponents = np.log(values[end]) + (t - t[end]) * np.log(rate)
    inside = (exponents > np.log(low) - 1) & (exponents < np.log(high) + 1)
    decay = np.exp(exponents[inside])
    axes.plot(t[inside], decay, color=_RATE.color, linestyle=_RATE.dash, linewidth=THIN, zorder=3)


def _finish(axes: Axes, x_label: str, notes: Sequence[str], values: FloatArray) -> None:
    axes.set_xlabel(with_notes(x_label, list(notes)))
    if not np.isfinite(values).any():
        nothing_to_show(axes, "nothing was measured")
