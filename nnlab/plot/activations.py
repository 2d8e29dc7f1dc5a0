"""Activation functions with their derivatives, one panel each."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.display import spoken
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, finite
from nnlab.plot.style import (
    FONT_TICK,
    LINE,
    MUTED,
    PALETTE,
    WIDE,
    LineLook,
    dress,
    legend,
    new_figure,
    only_below,
    panel_title,
    sample,
)
from nnlab.plot.text import literal, number, plain

_LOOKS = (LineLook(PALETTE[0], "-", "none"), LineLook(PALETTE[1], (0, (4, 1.5)), "none"))
_WINDOW = (-1.6, 2.6)  # common to all panels, so that slopes and saturation levels can be compared by eye


@of_lines
def activation_functions(z: ArrayLike, functions: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Draws each activation function and its derivative over the pre-activation z.

    Args:
        z: (T,) pre-activations.
        functions: Name -> (value (T,), derivative (T,)), at least one.
    """
    grid = as_numbers(z)
    count = len(functions)
    columns = count if count <= 4 else min(4, math.ceil(count / 2))
    rows = math.ceil(count / columns)
    curves = {name: [as_numbers(values) for values in pair] for name, pair in functions.items()}
    figure = new_figure(_title(curves), (WIDE[0] + 1.2, max(WIDE[1], 1.4 + 2.6 * rows)))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    letters = int(72 * (figure.get_figwidth() - 0.8) / columns / (0.66 * FONT_TICK))
    window = _window([values for pair in curves.values() for values in pair])
    for axes, (name, pair) in zip(panels.flat, curves.items(), strict=False):
        dress(axes)
        panel_title(axes, plain(spoken(name), limit=letters))
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for values, look in zip(pair, _LOOKS, strict=True):
            axes.plot(grid, finite(values), color=look.color, linestyle=look.dash, linewidth=LINE)
        axes.set_ylim(*window)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    only_below(panels, count, "z")
    names = ("value σ(z)", "derivative σ′(z)")
    handles = [sample(look, name) for look, name in zip(_LOOKS, names, strict=True)]
    legend(figure, handles, "outside lower center", columns=2, size=FONT_TICK)
    return figure


def _title(curves: Mapping[str, list[FloatArray]]) -> str:
    """The functions that pass the least and the most of a gradient, as far as they are drawn."""
    steepest = {
        spoken(literal(name, 30)): float(np.abs(slope[np.isfinite(slope)]).max(initial=0.0))
        for name, (_, slope) in curves.items()
    }
    least, most = (pick(steepest, key=lambda name: steepest[name]) for pick in (min, max))
    words = f"by at most {number(steepest[least])} in {least}"
    if steepest[most] > steepest[least]:
        words += f", {number(steepest[most])} in {most}"
    return f"On its way back a gradient is multiplied by σ′(z): {words}"


def _window(values: list[FloatArray]) -> tuple[float, float]:
    """Returns the common window, no larger than the values need, or one around them if it holds none."""
    known = np.concatenate([array[np.isfinite(array)] for array in values])
    if known.size == 0:
        return _WINDOW
    low, high = float(known.min()), float(known.max())
    margin = max(0.08 * (high - low), 0.1)
    if low > _WINDOW[1] or high < _WINDOW[0]:
        return low - margin, high + margin
    return max(_WINDOW[0], low - margin), min(_WINDOW[1], high + margin)
