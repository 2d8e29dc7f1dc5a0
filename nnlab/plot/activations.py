"""Activation functions with their derivatives, one panel each."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.scales import FloatArray, as_array, as_pair
from nnlab.plot.style import (
    FONT_LABEL,
    LINE,
    MUTED,
    PALETTE,
    WIDE,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import plain

_VALUE = LineLook(PALETTE[0], "-", "none")
_DERIVATIVE = LineLook(PALETTE[1], (0, (4, 1.5)), "none")
_WINDOW = (-1.6, 2.6)  # common to all panels, so that slopes and saturation levels can be compared by eye


def activation_functions(
    z: ArrayLike, functions: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str | None = None
) -> Figure:
    """Each activation function and its derivative over the pre-activation z.

    Args:
        z: (T,) pre-activations.
        functions: Name -> (value (T,), derivative (T,)).
        title: A sentence.

    Raises:
        InputError: a value or derivative has another length than z.
    """
    grid = as_array(z, "z")
    default = "Activation functions and their derivatives: where the derivative is 0, no gradient passes"
    count = len(functions)
    columns = max(1, count if count <= 4 else min(4, math.ceil(count / 2)))
    rows = max(1, math.ceil(count / columns))
    figure = new_figure(title or default, (WIDE[0] + 1.2, max(WIDE[1], 1.4 + 2.6 * rows)))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    if count == 0:
        nothing_to_show(panels[0, 0], "no activation functions")
    letters = int(72 * WIDE[0] / columns / (0.66 * FONT_LABEL))
    window = _window([as_array(values, name) for name, pair in functions.items() for values in pair])
    for axes, (name, (value, derivative)) in zip(panels.flat, functions.items(), strict=False):
        dress(axes)
        panel_title(axes, plain(name, limit=letters))
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for values, look in ((value, _VALUE), (derivative, _DERIVATIVE)):
            x, y = as_pair(grid, values, name)
            marker = "o" if len(x) == 1 else "none"
            axes.plot(x, _finite(y), color=look.color, linestyle=look.dash, linewidth=LINE, marker=marker)
        axes.set_ylim(*window)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    _name_axes(figure)
    return figure


def _finite(values: FloatArray) -> FloatArray:
    """Gaps where the function is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


def _window(values: list[FloatArray]) -> tuple[float, float]:
    """The common window, no larger than the values need; all of them where none lies in the usual window."""
    known = np.concatenate([np.zeros(0), *(array[np.isfinite(array)] for array in values)])
    if known.size == 0:
        return _WINDOW
    low, high = float(known.min()), float(known.max())
    margin = max(0.08 * (high - low), 0.1)
    if low > _WINDOW[1] or high < _WINDOW[0]:
        return low - margin, high + margin
    return max(_WINDOW[0], low - margin), min(_WINDOW[1], high + margin)


def _name_axes(figure: Figure) -> None:
    shared_labels(figure, "pre-activation z", "σ(z), σ′(z)")
    handles = [sample(_VALUE, "value σ(z)"), sample(_DERIVATIVE, "derivative σ′(z)")]
    legend(figure, handles, "outside lower right", columns=2, size=FONT_LABEL)
