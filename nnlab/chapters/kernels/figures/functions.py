"""Functions on the line: a network, its linearization and kernel regression, at every width."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import label_columns, quantile, seed_rows
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
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import literal, number, plain

_TARGET = LineLook(INK, (0, (1.2, 1.4)), "none")
_POINTS = LineLook(INK, "none", "o")
_LOOKS = (
    LineLook(PALETTE[1], "-", "none"),
    LineLook(PALETTE[0], (0, (5, 1.6)), "none"),
    LineLook(PALETTE[2], (0, (6, 1.6, 1.2, 1.6)), "none"),
)
_ROOM = 0.75  # how far, in heights of target and points, a function may lead the axes up or down


def functions_on_line(
    x: ArrayLike,
    target: ArrayLike,
    points_x: ArrayLike,
    points_y: ArrayLike,
    panels: Mapping[str, Mapping[str, ArrayLike]],
    title: str | None = None,
) -> Figure:
    """What was learned, as functions on the line: the mean over seeds with a band, one panel per width.

    The band reaches from the smallest to the largest seed. Functions that run away between the points leave
    the panel, so that one seed does not flatten all others.

    Args:
        x: (n,) inputs.
        target: (n,) values of the true function.
        points_x: (N,) inputs of the training points.
        points_y: (N,) their targets.
        panels: Such as "m = 64" -> "network", "linearization", "kernel regression" -> outputs (S, n).
        title: A sentence; by default how far the first and the last function of a panel are apart.

    Raises:
        InputError: an array has another shape.
    """
    grid, truth = as_pair(x, target, "the target")
    points = as_pair(points_x, points_y, "the training points")
    learned = {
        panel: {
            name: seed_rows(values, len(grid), f"{name!r} at {panel!r}") for name, values in kinds.items()
        }
        for panel, kinds in panels.items()
    }
    names = list(dict.fromkeys(name for kinds in learned.values() for name in kinds))
    looks = {name: _look(index) for index, name in enumerate(names)}
    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(len(learned), 3)
    rows = max(1, math.ceil(len(learned) / columns))
    across = {1: 10.0, 2: 12.5, 3: 14.5}[columns]
    figure = new_figure(title or _title(learned, names), (across, 1.9 + (3.6 if rows == 1 else 3.0 * rows)))
    axes_of = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes_of[0, 0].set_ylim(*_view([truth, points[1]], learned))
    for axes, (panel, kinds) in zip(axes_of.flat, learned.items(), strict=False):
        dress(axes)
        panel_title(axes, f"{plain(panel, limit=34)}{_lost(kinds)}")
        for name, values in kinds.items():
            _draw(axes, grid, values, looks[name])
        _draw_target(axes, grid, truth, points)
    for axes in axes_of.flat[len(learned) :]:
        axes.set_axis_off() if learned else nothing_to_show(axes, "nothing was learned")
    label_columns(axes_of, len(learned), "input x")
    shared_labels(figure, "", "output y")
    several = any(len(values) > 1 for kinds in learned.values() for values in kinds.values())
    _name_lines(figure, looks, several=several)
    return figure


def _look(index: int) -> LineLook:
    """Solid, dashed and dash-dotted first, so that no function is dotted like the target."""
    return _LOOKS[index] if index < len(_LOOKS) else replace(line_look(index + 1), marker="none")


def _view(fixed: list[FloatArray], learned: Mapping[str, Mapping[str, FloatArray]]) -> tuple[float, float]:
    """Limits around target and points, wider where a function goes beyond, by at most _ROOM heights."""
    functions = [values.ravel() for kinds in learned.values() for values in kinds.values()]
    inner = _known(np.concatenate(fixed))
    outer = _known(np.concatenate([*fixed, *functions]))
    if not outer.size:
        return -1.0, 1.0
    core = inner if inner.size else outer
    height = float(np.ptp(core)) or float(np.ptp(outer)) or 1.0
    low = max(float(outer.min()), float(core.min()) - _ROOM * height)
    high = min(float(outer.max()), float(core.max()) + _ROOM * height)
    return low - 0.06 * height, high + 0.06 * height


def _lost(kinds: Mapping[str, FloatArray]) -> str:
    """How many seeds are missing from a panel, since an output is not finite."""
    count = max(int(np.sum(~np.isfinite(values).all(axis=1))) for values in kinds.values()) if kinds else 0
    return f" ({count} seed{'s' if count > 1 else ''} not finite)" if count else ""


def _known(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _draw(axes: Axes, grid: FloatArray, values: FloatArray, look: LineLook) -> None:
    """Mean and band of (S, n) values over the grid."""
    order = np.argsort(grid)
    x, middle = grid[order], _mean(values)[order]
    if len(values) > 1:
        low, high = (
            np.where(np.isfinite(q), q, np.nan)[order] for q in (quantile(values, 0), quantile(values, 1))
        )
        axes.fill_between(x, low, high, color=look.color, alpha=0.16, linewidth=0)
    marker = "D" if len(x) == 1 else "none"
    axes.plot(x, middle, color=look.color, linestyle=look.dash, linewidth=LINE, marker=marker)


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the finite values of each column of (S, n), not-a-number where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: FloatArray = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean


def _draw_target(
    axes: Axes, grid: FloatArray, truth: FloatArray, points: tuple[FloatArray, FloatArray]
) -> None:
    order = np.argsort(grid)
    shown = np.where(np.isfinite(truth), truth, np.nan)[order]
    axes.plot(grid[order], shown, color=INK, linestyle=_TARGET.dash, linewidth=THIN)
    (line,) = axes.plot(*points, linestyle="none", marker="o", color=INK, markersize=7)
    line.set(markeredgecolor=PAPER, zorder=4)


def _name_lines(figure: Figure, looks: Mapping[str, LineLook], *, several: bool) -> None:
    handles = [
        sample(_POINTS, "training points", line=False),
        sample(_TARGET, "target"),
        *(sample(look, plain(name, limit=34)) for name, look in looks.items()),
    ]
    if several:
        band = sample(LineLook(MUTED, "-", "none"), "smallest to largest seed", marker=False)
        band.set(linewidth=9, alpha=0.3)
        handles.append(band)
    columns = max(2, min(len(handles), int(figure.get_figwidth() // 2.6)))
    legend(figure, handles, "outside lower center", columns=columns, size=FONT_TICK)


def _title(learned: Mapping[str, Mapping[str, FloatArray]], names: list[str]) -> str:
    default = "What was learned, as functions on the line"
    if len(names) < 2:
        return default
    first, last = names[0], names[-1]
    gaps = [
        (panel, _apart(kinds[first], kinds[last]))
        for panel, kinds in learned.items()
        if first in kinds and last in kinds
    ]
    known = [(literal(panel, 40), number(gap, 2)) for panel, gap in gaps if np.isfinite(gap)]
    if not known:
        return default
    later = f", at {known[-1][0]} up to {known[-1][1]}" if len(known) > 1 else ""
    pair = f"{literal(first, 40)} and {literal(last, 40)}"
    return f"{pair[:1].upper()}{pair[1:]} are up to {known[0][1]} apart at {known[0][0]}{later}"


def _apart(first: FloatArray, second: FloatArray) -> float:
    """The largest distance on the line, seed by seed and then averaged; that of the means if seeds differ."""
    paired = first.shape == second.shape
    a, b = (first, second) if paired else (_mean(first)[None], _mean(second)[None])
    both = np.isfinite(a) & np.isfinite(b)
    largest = np.max(np.abs(np.where(both, a, 0.0) - np.where(both, b, 0.0)), axis=1, initial=0.0)
    usable = largest[both.any(axis=1)]
    return float(usable.mean()) if usable.size else float("nan")
