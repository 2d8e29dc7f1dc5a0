"""Harmonics of the residual on the circle: how they decay, and how long half of each one lasts."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnlab.plot.scales import FloatArray, as_numbers, log_axis, whole_numbers
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend_below,
    legend_beside,
    line_look,
    new_figure,
    panel_title,
    sample,
    with_notes,
)
from nnlab.plot.text import listed, number

Panel = tuple[FloatArray, FloatArray, FloatArray]
"""Harmonics (K,), predicted half-lives (K,) in steps, and shares (S, K, T + 1) that were left."""

PREDICTED = LineLook(INK, (0, (5, 2)), "none")
KINDS = {
    "without_bias": LineLook(PALETTE[0], "-", "o"),
    "with_bias": LineLook(PALETTE[1], "-", "s"),
}


def decay_of_harmonics(panels: Mapping[str, Panel], width: int) -> Figure:
    """Draws the shares of the harmonics without bias over the steps, and the half-lives over the harmonic.

    Args:
        panels: By the kind of networks.
        width: Of the networks.
    """
    kinds = {name: tuple(map(as_numbers, panel)) for name, panel in panels.items()}
    figure = new_figure(_title(kinds, width), (13.5, 6.0))
    left, right = figure.subplots(1, 2)
    first = next(iter(kinds))
    _shares(left, *kinds[first])
    panel_title(left, f"share left, {first.replace('_', ' ')}")
    dress(right)
    panel_title(right, "half-lives, in units of t₂")
    whole_numbers(right.xaxis)
    scaled = {name: _lives(panel) for name, panel in kinds.items()}
    everything = np.concatenate([np.concatenate(pair[1:]) for pair in scaled.values()])
    log_axis(right.yaxis, everything)
    notes: list[str] = []
    for name, (k, expected, lives) in scaled.items():
        look = KINDS.get(name, line_look(len(KINDS)))
        finite = np.isfinite(expected)
        right.plot(k[finite], expected[finite], color=look.color, linestyle=PREDICTED.dash, linewidth=LINE)
        right.plot(
            k[finite], lives[finite], look.marker, color=look.color, markersize=9, markeredgecolor=PAPER
        )
        if not finite.all():
            top = right.get_xaxis_transform()
            right.plot(k[~finite], np.ones((~finite).sum()), "^", color=look.color, markersize=11,
                       transform=top, clip_on=False)  # fmt: skip
            notes = ["▲ never learned"]
    right.set_xlabel(with_notes("harmonic k", notes))
    legend_below(figure, _handles(kinds))
    return figure


def _shares(axes: Axes, k: FloatArray, predicted: FloatArray, shares: FloatArray) -> None:
    """The mean share of each harmonic over the networks, and the predicted one dashed."""
    steps = np.arange(shares.shape[2], dtype=float)
    dress(axes, "step")
    log_axis(axes.xaxis, steps[1:])
    axes.set_ylim(0, 1.08)
    handles = []
    for index, (harmonic, life) in enumerate(zip(k, predicted, strict=True)):
        look = line_look(index)
        axes.plot(steps[1:], shares[:, index, 1:].mean(0), color=look.color, linewidth=LINE)
        axes.plot(steps[1:], 0.5 ** (steps[1:] / life), color=INK, linestyle=PREDICTED.dash, linewidth=THIN)
        handles.append(sample(LineLook(look.color, "-", "none"), f"k = {harmonic:g}"))
    legend_beside(axes, handles, size=FONT_TICK)


def _lives(panel: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Harmonics, and their half-lives as predicted and measured, in units of the predicted one of k = 2."""
    k, predicted, shares = panel
    unit = predicted[k == 2][0] if (k == 2).any() else predicted[np.isfinite(predicted)][0]
    mean = shares.mean(0)
    below = mean < 0.5
    crossing = np.full(len(k), np.nan)
    for index in np.flatnonzero(below.any(1)):
        after = int(below[index].argmax())
        high, low = mean[index, after - 1], mean[index, after]
        crossing[index] = after - 1 + (high - 0.5) / (high - low)
    return k, predicted / unit, crossing / unit


def _handles(kinds: Mapping[str, tuple[FloatArray, ...]]) -> list[Line2D]:
    points = [
        sample(KINDS.get(name, line_look(len(KINDS))), name.replace("_", " "), line=False) for name in kinds
    ]
    return [sample(PREDICTED, "predicted"), *points]


def _title(kinds: Mapping[str, tuple[FloatArray, ...]], width: int) -> str:
    k, predicted, _ = next(iter(kinds.values()))
    odd = k[~np.isfinite(predicted)]
    never = listed([f"{value:g}" for value in odd])
    learned = np.isfinite(predicted)
    slow = float(predicted[learned].max() / predicted[learned].min())
    start = (
        f"Low harmonics are learned first: k = {k[learned][-1]:g} takes {number(slow, 2)} times as long as "
    )
    start += f"k = {k[learned][0]:g}"
    verb = "are" if len(odd) > 1 else "is"
    return f"{start}, and without bias k = {never} {verb} never learned (m = {width})" if never else start
