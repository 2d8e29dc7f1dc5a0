"""Figures over a swept setting: batch size, regularization strength, or a list of variants."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.scales import (
    FloatArray,
    as_array,
    as_intervals,
    as_pair,
    draw_line,
    log_axis,
    percent_limits,
    positive,
    ticks_at,
    wants_log,
    with_notes,
)
from nnlab.plot.style import (
    FONT_TICK,
    GRID,
    INK,
    LINE,
    MUTED,
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
from nnlab.plot.text import families, literal, number, plain

_MEASURED = LineLook(PALETTE[0], "none", "o")
_PREDICTED = LineLook(PALETTE[1], "-", "none")
_RIVAL = LineLook(MUTED, (0, (5, 3)), "none")
_PATH_PANELS = (
    ("accuracy", "validation accuracy (%)", 100.0),
    ("sparsity", "weights that are exactly 0 (%)", 100.0),
    ("norm", "norm of the weights ‖W‖", 1.0),
)


def gradient_noise(
    batch_sizes: ArrayLike,
    measured: ArrayLike,
    predicted: ArrayLike,
    interval: ArrayLike | None = None,
    title: str | None = None,
    *,
    rival: ArrayLike | None = None,
    tolerance: float = 0.02,
) -> Figure:
    """Variance of the mini-batch gradient against the batch size, and its ratio to the prediction.

    Args:
        batch_sizes: (K,) batch sizes B.
        measured: (K,) mean squared distance of the mini-batch gradient from the full one.
        predicted: (K,) S(N−B)/(B(N−1)): drawing without replacement.
        interval: (K, 2) 95% intervals of the measured values.
        title: A sentence.
        rival: (K,) S/B: drawing with replacement, drawn dashed.
        tolerance: Half width of the band around 1 in the lower panel.

    Raises:
        InputError: lengths that differ.
    """
    sizes, values = as_pair(batch_sizes, measured, "the measured variance")
    theory = as_pair(sizes, predicted, "the predicted variance")[1]
    other = None if rival is None else as_pair(sizes, rival, "the rival variance")[1]
    bounds = as_intervals(interval, len(sizes), "the intervals of the variance")
    default = "The noise of the mini-batch gradient vanishes at the full batch"
    figure = new_figure(title or default, (WIDE[0], 6.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    dress(top, "", "variance of the gradient")
    dress(bottom, "", "measured /\npredicted")
    everything = np.concatenate([values, theory, [] if other is None else other])
    log_axis(top.xaxis, sizes)
    log_axis(top.yaxis, everything)
    notes = _variance_panel(top, sizes, values, theory, other, bounds)
    _ratio_panel(bottom, sizes, values, theory, bounds, tolerance)
    ticks_at(bottom.xaxis, positive(sizes))
    bottom.set_xlabel(with_notes("batch size B (examples)", notes))
    handles = [
        sample(_MEASURED, "measured (95% interval)", line=False),
        sample(_PREDICTED, "predicted S(N−B)/(B(N−1))"),
        *([] if other is None else [sample(_RIVAL, "rival S/B")]),
    ]
    legend(top, handles, "lower left", size=FONT_TICK)
    return figure


def regularization_paths(
    strengths: ArrayLike,
    paths: Mapping[str, Mapping[str, ArrayLike]],
    title: str | None = None,
    *,
    accuracy_label: str = "validation accuracy (%)",
) -> Figure:
    """Accuracy, sparsity and norm of the weights over the strength λ of each penalty.

    Args:
        strengths: (K,) values of λ; 0 stands at the left edge of the logarithmic axis and is labelled so.
        paths: Penalty -> arrays (K,) under "accuracy" and "sparsity" (fractions of 1) and "norm".
        title: A sentence.
        accuracy_label: Which accuracy it is.

    Raises:
        InputError: lengths that differ.
    """
    lambdas = as_array(strengths, "the strengths")
    default = "What a stronger penalty does to the accuracy, to exact zeros and to the norm of the weights"
    figure = new_figure(title or default, (14.0, 5.2))
    panels = figure.subplots(1, 3)
    places = zero_at_the_left(lambdas)
    for axes, (key, label, scale) in zip(panels, _PATH_PANELS, strict=True):
        dress(axes, "", plain(accuracy_label) if key == "accuracy" else label)
        looks = [(name, line_look(i), path) for i, (name, path) in enumerate(paths.items()) if key in path]
        lines = [
            (look, scale * as_pair(lambdas, path[key], f"{key} of {name!r}")[1]) for name, look, path in looks
        ]
        _path_panel(axes, lambdas, places, lines, log=key == "norm")
        if scale == 100.0:
            percent_limits(axes)
    handles = [sample(line_look(index), plain(name, limit=30)) for index, name in enumerate(paths)]
    if handles:
        legend(figure, handles, "outside lower center", columns=min(len(handles), 5), size=FONT_TICK)
    return figure


def success_rate(
    labels: Sequence[str],
    rates: ArrayLike,
    intervals: ArrayLike | None = None,
    title: str | None = None,
    *,
    x_label: str = "runs that succeed (%)",
) -> Figure:
    """How often each variant succeeds, as bars with intervals, the first label on top.

    Args:
        labels: K names.
        rates: (K,) fractions of 1.
        intervals: (K, 2) 95% intervals, fractions of 1.
        title: A sentence.
        x_label: What is counted, in percent.

    Raises:
        InputError: lengths that differ.
    """
    fractions = as_array(rates, "the success rates")
    count = len(labels)
    if len(fractions) != count:
        raise InputError(f"figure: {len(fractions)} success rates for {count} labels; pass as many")
    bounds = 100 * as_intervals(intervals, count, "the intervals of the success rates")
    figure = new_figure(title or _success_title(labels, fractions), (WIDE[0], max(3.2, 1.7 + 0.62 * count)))
    axes = figure.subplots()
    dress(axes, plain(x_label), "")
    axes.grid(visible=False, axis="y")
    places = list(range(count))
    drawn = np.where(np.isfinite(fractions), 100 * fractions, 0.0)
    axes.barh(places, drawn, height=0.62, color=PALETTE[0], alpha=0.55, edgecolor=PALETTE[0], linewidth=THIN)
    for place, fraction, (low, high) in zip(places, fractions, bounds, strict=True):
        if np.isfinite(low) and np.isfinite(high):
            axes.plot(
                [low, high],
                [place, place],
                color=INK,
                linewidth=THIN,
                marker="|",
                markersize=11,
                clip_on=False,
            )
        text = f"{number(100 * float(fraction))} %" if np.isfinite(fraction) else "not measured"
        axes.text(103, place, text, va="center", fontsize=FONT_TICK, family=list(families()), color=INK)
    axes.set_yticks(places, [plain(label, limit=34) for label in labels])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlim(0, 100)
    axes.set_ylim(count - 0.5, -0.5) if count else nothing_to_show(axes, "no variants")
    return figure


def zero_at_the_left(strengths: FloatArray) -> FloatArray:
    """Where each strength stands on a logarithmic axis: itself, and for 0 a decade left of the least."""
    shown = positive(strengths)
    left = float(shown.min()) / 10 if shown.size else 1.0
    return np.where(strengths == 0, left, strengths)


def _path_panel(
    axes: Axes,
    lambdas: FloatArray,
    places: FloatArray,
    lines: list[tuple[LineLook, FloatArray]],
    *,
    log: bool,
) -> None:
    log_axis(axes.xaxis, places)
    values = np.concatenate([np.zeros(0), *(values for _, values in lines)])
    if log and wants_log(values):
        log_axis(axes.yaxis, values)
    notes = [note for look, values in lines for note in draw_line(axes, places, values, look)]
    if not values.size:
        nothing_to_show(axes, "nothing was measured")
    if np.any(lambdas == 0):
        _label_zero(axes, float(places[lambdas == 0][0]))
    axes.set_xlabel(with_notes("strength λ", notes))


def _label_zero(axes: Axes, place: float) -> None:
    """Write 0 where λ = 0 stands, and cut the axis between it and the logarithmic part."""
    ticks = [place, *(tick for tick in axes.get_xticks() if 2 * place < tick <= axes.get_xlim()[1])]
    formatter = axes.xaxis.get_major_formatter()
    axes.set_xticks(ticks, ["0", *(formatter(tick) for tick in ticks[1:])])
    axes.axvline(place * np.sqrt(10), color=MUTED, linewidth=THIN, linestyle=(0, (1, 2)))


def _variance_panel(
    axes: Axes,
    sizes: FloatArray,
    values: FloatArray,
    theory: FloatArray,
    rival: FloatArray | None,
    bounds: FloatArray,
) -> list[str]:
    order = np.argsort(sizes)
    if rival is not None:
        axes.plot(sizes[order], rival[order], color=_RIVAL.color, linestyle=_RIVAL.dash, linewidth=THIN)
    axes.plot(sizes[order], theory[order], color=_PREDICTED.color, linewidth=LINE)
    _interval_bars(axes, sizes, bounds)
    if not positive(values).size:
        nothing_to_show(axes, "nothing was measured")
    return draw_line(axes, sizes, values, _MEASURED)


def _ratio_panel(
    axes: Axes,
    sizes: FloatArray,
    values: FloatArray,
    theory: FloatArray,
    bounds: FloatArray,
    tolerance: float,
) -> None:
    scale = np.where(np.isfinite(theory) & (theory > 0), theory, np.nan)
    ratio, scaled = values / scale, bounds / scale[:, None]
    axes.axhspan(1 - tolerance, 1 + tolerance, color=GRID, alpha=0.6, linewidth=0)
    axes.axhline(1, color=_PREDICTED.color, linewidth=LINE)
    _interval_bars(axes, sizes, scaled)
    known = np.isfinite(ratio)
    axes.plot(sizes[known], ratio[known], color=_MEASURED.color, linestyle="none", marker="o", markersize=6)
    reach = np.concatenate(
        [ratio[known], scaled[np.isfinite(scaled)], [1 - 1.5 * tolerance, 1 + 1.5 * tolerance]]
    )
    furthest = 1.1 * float(np.abs(reach - 1).max())
    axes.set_ylim(1 - furthest, 1 + furthest)


def _interval_bars(axes: Axes, x: FloatArray, bounds: FloatArray) -> None:
    for place, (low, high) in zip(x, bounds, strict=True):
        if np.isfinite(low) and np.isfinite(high):
            axes.plot(
                [place, place], [low, high], color=_MEASURED.color, linewidth=THIN, marker="_", markersize=9
            )


def _success_title(labels: Sequence[str], fractions: FloatArray) -> str:
    if not len(labels) or not np.isfinite(fractions).any():
        return "How often each variant succeeds"
    best = int(np.nanargmax(np.where(np.isfinite(fractions), fractions, np.nan)))
    share = number(100 * float(fractions[best]))
    return f"{literal(labels[best], 40)} succeeds most often: in {share} % of the runs"
