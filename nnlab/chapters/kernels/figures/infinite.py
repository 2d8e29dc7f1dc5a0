"""The infinite ensemble as a band on the line, under the functions that finite networks learned."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.bands import seed_rows
from nnlab.plot.scales import FloatArray, as_pair
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import number

_SIZE = (14.5, 6.3)  # two panels beside each other, and two rows of names
_TARGET = LineLook(INK, (0, (1.2, 1.4)), "none")
_POINTS = LineLook(INK, "none", "o")
_ENSEMBLE = LineLook(PALETTE[0], "-", "none")
_NNGP = LineLook(PALETTE[1], (0, (5, 1.6)), "none")
_NETWORKS = LineLook(MUTED, "-", "none")
_MOST = 40  # functions that are drawn: more hide the band
_WIDTHS = 2.0  # standard deviations on each side of a mean
_ROOM = 0.5  # how far, in heights of what is predicted, a function may lead the axes up or down

Band = tuple[FloatArray, FloatArray, FloatArray]
"""Low end, mean and high end over the grid."""


def infinite_ensemble(
    x: ArrayLike,
    target: ArrayLike,
    points_x: ArrayLike,
    points_y: ArrayLike,
    functions: ArrayLike,
    ensemble: tuple[ArrayLike, ArrayLike],
    nngp: tuple[ArrayLike, ArrayLike],
    *,
    width: int,
    title: str | None = None,
) -> Figure:
    """Functions of trained networks over the band that the infinite ensemble predicts for them.

    At the left as they are; at the right the predicted mean is taken away from everything, so that a narrow
    band is wide enough to be seen. Bands reach two standard deviations to each side. Of many networks the
    first 40 are drawn. A function that runs away leaves the panel.

    Args:
        x: (g,) inputs, ascending.
        target: (g,) values of the true function.
        points_x: (N,) inputs of the training points.
        points_y: (N,) their targets.
        functions: (S, g) what each network learned.
        ensemble: mean and standard deviation (g,) of the infinite ensemble.
        nngp: those of the NNGP posterior.
        width: of the networks.
        title: A sentence; by default how the spread of the networks compares with the predicted one.

    Raises:
        InputError: an array has another shape.
    """
    grid, truth = (_known(values) for values in as_pair(x, target, "the target"))
    points = as_pair(points_x, points_y, "the training points")
    learned = _known(seed_rows(functions, len(grid), "the functions"))
    predicted, rival = (
        _band(grid, band, what) for band, what in ((ensemble, "the ensemble"), (nngp, "the NNGP posterior"))
    )
    figure = new_figure(title or _title(learned, predicted, width), _SIZE)
    left, right = figure.subplots(1, 2)
    for axes, label in ((left, "output y"), (right, "distance from the predicted mean")):
        dress(axes, "input x", label)
        axes.set_xlim(*_ends(grid))
    panel_title(left, "as functions")
    panel_title(right, "without the mean that was predicted")
    left.set_ylim(*_view(predicted, rival, truth, points[1]))
    _draw(left, grid, predicted, rival, learned)
    _draw_target(left, grid, truth, points)
    middle = predicted[1]
    moved = [(low - middle, mean - middle, high - middle) for low, mean, high in (predicted, rival)]
    right.set_ylim(*_view(moved[0], moved[1]))
    _draw(right, grid, moved[0], moved[1], learned - middle)
    below = np.interp(points[0], grid, middle) if len(grid) else points[1]
    _draw_target(right, grid, truth - middle, (points[0], points[1] - below))
    _name_lines(figure, len(learned))
    return figure


def _band(grid: FloatArray, values: tuple[ArrayLike, ArrayLike], what: str) -> Band:
    mean = _known(as_pair(grid, values[0], f"the mean of {what}")[1])
    std = _known(as_pair(grid, values[1], f"the standard deviation of {what}")[1])
    if bool((std < 0).any()):
        raise InputError(f"figure: the standard deviation of {what} must be at least 0")
    return mean - _WIDTHS * std, mean, mean + _WIDTHS * std


def _known(values: FloatArray) -> FloatArray:
    """What is not finite is drawn nowhere."""
    return np.where(np.isfinite(values), values, np.nan)


def _view(predicted: Band, rival: Band, *others: FloatArray) -> tuple[float, float]:
    """Around the prediction and what else is given; a rival that is elsewhere leads it away a little."""
    core = np.concatenate([*predicted, *others])
    bottom, top = _ends(core)
    outer = _ends(np.concatenate([core, *rival]))
    height = top - bottom
    low, high = max(outer[0], bottom - _ROOM * height), min(outer[1], top + _ROOM * height)
    return low - 0.12 * height, high + 0.12 * height


def _ends(values: FloatArray) -> tuple[float, float]:
    """The smallest and the largest finite number; some room around one alone, or none."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _draw(axes: Axes, grid: FloatArray, predicted: Band, rival: Band, learned: FloatArray) -> None:
    """The band, thin lines over it, and the outline of the rival on top."""
    low, mean, high = predicted
    axes.fill_between(grid, low, high, color=_ENSEMBLE.color, alpha=0.28, linewidth=0, zorder=1)
    for function in learned[:_MOST]:
        axes.plot(grid, function, color=_NETWORKS.color, linewidth=0.7, alpha=0.55, zorder=2)
    axes.plot(grid, mean, color=_ENSEMBLE.color, linewidth=LINE, zorder=3)
    for end in (low, high):
        axes.plot(grid, end, color=_ENSEMBLE.color, linewidth=THIN, zorder=3)
    for end in (rival[0], rival[2]):
        axes.plot(grid, end, color=_NNGP.color, linestyle=_NNGP.dash, linewidth=LINE, zorder=3)


def _draw_target(
    axes: Axes, grid: FloatArray, truth: FloatArray, points: tuple[FloatArray, FloatArray]
) -> None:
    axes.plot(grid, truth, color=INK, linestyle=_TARGET.dash, linewidth=THIN, zorder=4)
    (marks,) = axes.plot(*points, linestyle="none", marker="o", color=INK, markersize=7)
    marks.set(markeredgecolor=PAPER, zorder=5)


def _name_lines(figure: Figure, count: int) -> None:
    band = sample(LineLook(_ENSEMBLE.color, "-", "none"), "infinite ensemble, mean ± 2 std")
    band.set(linewidth=9, alpha=0.4)
    networks = sample(_NETWORKS, f"{min(count, _MOST)} of {count} trained networks" if count > _MOST else
                      f"{count} trained networks")  # fmt: skip
    networks.set_linewidth(THIN)
    handles: list[Line2D] = [
        band,
        networks,
        sample(_NNGP, "NNGP posterior, ± 2 std"),
        sample(_TARGET, "target"),
        sample(_POINTS, "training points", line=False),
    ]
    legend(figure, handles, "outside lower center", columns=5, size=FONT_TICK)


def _title(learned: FloatArray, predicted: Band, width: int) -> str:
    low, _, high = predicted
    std = (high - low) / (2 * _WIDTHS)
    start = f"The infinite ensemble was predicted before {len(learned)} networks of width {width} trained"
    if len(learned) < 2 or not std.any() or not (np.isfinite(learned).all() and np.isfinite(std).all()):
        return start
    expected = float(np.square(std).mean())
    ratio = float(learned.var(axis=0, ddof=1).mean()) / expected
    return f"{start}: their variance is {number(ratio, 2)} times the predicted one"
