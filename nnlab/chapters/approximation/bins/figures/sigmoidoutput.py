"""A network with a sigmoid on its output, before and after it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.bins.figures.histograms import (
    ASKED_FOR,
    OUTPUT,
    TARGET,
    as_curves,
    draw_pair,
)
from nnlab.plot.bands import beneath
from nnlab.plot.outward import at_most
from nnlab.plot.style import (
    FONT_TICK,
    PALETTE,
    THIN,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
)
from nnlab.plot.text import number
from nnlab.plot.thinning import left_out


def sigmoid_output(
    x: ArrayLike,
    logits: tuple[ArrayLike, ArrayLike],
    outputs: tuple[ArrayLike, ArrayLike],
    title: str | None = None,
    *,
    delta: float | None = None,
    errors: tuple[float, float] | None = None,
) -> Figure:
    """A network with a sigmoid on its output: before it σ⁻¹∘f is approximated, after it f.

    Args:
        x: (T,) inputs.
        logits: σ⁻¹∘f (T,) and the network before its sigmoid (T,).
        outputs: f (T,) and the network (T,).
        title: A sentence.
        delta: δ such that f stays in [δ, 1 − δ], drawn as two levels.
        errors: Certified errors of the logit and of the output.

    Raises:
        InputError: an array is not one of numbers, or lengths differ.
    """
    figure = new_figure(title or _sigmoid_title(errors), (12.5, 6.0))
    left, right = figure.subplots(1, 2)
    for axes, name, pair, heading in (
        (left, "logit", logits, "before the sigmoid: σ⁻¹∘f"),
        (right, "output", outputs, "after the sigmoid: f"),
    ):
        grid, truth, fit = as_curves((x, *pair), f"the {name}")
        dress(axes, "", name)
        panel_title(axes, heading)
        axes.set_xlabel(beneath("input x", left_out(draw_pair(axes, grid, truth, fit)), 72 * 6))
        if not np.isfinite(fit).any():
            nothing_to_show(axes, "no finite outputs")
    right.set_ylim(-0.04, 1.04)
    if delta is not None and 0 < delta < 0.5:
        for level in (delta, 1 - delta):
            right.axhline(level, color=PALETTE[2], linestyle=ASKED_FOR, linewidth=THIN, zorder=1)
        right.set_xlabel(f"{right.get_xlabel()}      · · ·  δ and 1 − δ, δ = {number(delta)}")
    entries = [sample(TARGET, "target"), sample(OUTPUT, "network")]
    legend(figure, entries, "outside lower center", columns=2, size=FONT_TICK)
    return figure


def _sigmoid_title(errors: Sequence[float] | None) -> str:
    sentence = "With a sigmoid on its output the network approximates σ⁻¹∘f instead of f"
    if errors is None:
        return sentence
    logit, output = errors
    return f"{sentence}: certified errors {at_most(logit)} before the sigmoid, {at_most(output)} after it"
