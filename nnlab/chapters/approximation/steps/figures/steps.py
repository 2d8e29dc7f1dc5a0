"""A hidden unit as a step: over its weight, and how far it is from the hard step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import beneath, width_looks
from nnlab.plot.labels import LineEnd, label_ends, line_end
from nnlab.plot.scales import (
    FloatArray,
    as_array,
    as_numbers,
    as_pair,
    draw_line,
    log_axis,
    positive,
    with_notes,
)
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MUTED,
    PAPER,
    THIN,
    WIDE,
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
from nnlab.plot.text import families, literal, number, plain
from nnlab.plot.thinning import draw_curve, left_out

_RANGE = (-1.3, 1.45)  # of a bounded activation's steps; what grows beyond three times that is no step


def steps_over_steepness(
    x: ArrayLike, panels: Mapping[str, Mapping[float, ArrayLike]], position: float, title: str | None = None
) -> Figure:
    """σ(wx + b) over x for several weights w, the position s = −b/w kept: one panel per activation.

    An activation whose values leave the range of a step, as those of ReLU do, leaves its panel, and a word at
    the upper edge says how far it goes.

    Args:
        x: (T,) inputs.
        panels: Activation -> weight w -> values (T,).
        position: The position s of the step.
        title: A sentence.

    Raises:
        InputError: an array is not one of numbers, or has another length than x.
    """
    grid = as_array(x, "x")
    curves = {
        name: {float(w): as_pair(grid, values, f"{name!r} at w = {w:g}")[1] for w, values in steps.items()}
        for name, steps in panels.items()
    }
    weights = sorted({w for steps in curves.values() for w in steps})
    looks = _weight_looks(weights)
    default = "The larger the weight w, the nearer a sigmoid of wx + b comes to a step at s = −b/w"
    unbounded = [literal(name, 30) for name, steps in curves.items() if _grows(steps.values())]
    if unbounded:
        default += f"; {', '.join(unbounded)} never becomes one"
    columns = {1: 1, 2: 2, 3: 3, 4: 4}.get(len(curves), 4 if curves else 1)
    rows = max(1, -(-len(curves) // columns))
    figure = new_figure(title or default, (max(9.0, 3.7 * columns + 0.6), 2.2 + 3.4 * rows))
    axes_of = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    lost = 0
    for axes, (name, steps) in zip(axes_of.flat, curves.items(), strict=False):
        dress(axes, "input x")
        panel_title(axes, plain(name, limit=26))
        for w in sorted(steps):
            lost += draw_curve(axes, grid, steps[w], looks[w])
        _mark_position(axes, position)
    axes_of[0, 0].set_ylim(*_view(curves))
    for axes, steps in zip(axes_of.flat, curves.values(), strict=False):
        if _grows(steps.values()):
            _say_how_far(axes, max(float(positive(values).max(initial=0)) for values in steps.values()))
    for axes in axes_of.flat[len(curves) :]:
        axes.set_axis_off() if curves else nothing_to_show(axes, "no activations")
    shared_labels(figure, "", "σ(wx + b)")
    axes_of[-1, 0].set_xlabel(beneath("input x", left_out(lost), 72 * 3.7))
    handles = [sample(looks[w], f"w = {number(w)}", marker=False) for w in weights]
    if handles:
        legend(figure, handles, "outside lower center", columns=min(len(handles), 8), size=FONT_TICK)
    return figure


def _weight_looks(weights: Sequence[float]) -> dict[float, LineLook]:
    """From light (flat) to dark (steep)."""
    shades = width_looks(range(len(weights)))
    return {w: replace(shades[index], marker="none") for index, w in enumerate(weights)}


def _grows(values: Iterable[FloatArray]) -> bool:
    """Whether a curve goes far beyond the range of a step."""
    furthest = max((float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in values), default=0.0)
    return furthest > 3 * _RANGE[1]


def _view(curves: Mapping[str, Mapping[float, FloatArray]]) -> tuple[float, float]:
    bounded = [v for steps in curves.values() if not _grows(steps.values()) for v in steps.values()]
    known = np.concatenate([np.zeros(0), *(v[np.isfinite(v)] for v in bounded)])
    if known.size == 0:
        return _RANGE
    low, high = min(0.0, float(known.min())), max(1.0, float(known.max()))
    return low - 0.1 * (high - low), high + 0.16 * (high - low)


def _mark_position(axes: Axes, position: float) -> None:
    place = float(as_numbers(position, "the position"))
    if not np.isfinite(place):
        return
    axes.axvline(place, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
    note(axes, place, 1.0, f"s = {number(place)}", offset=(0, -9), va="center", transform="x")


def _say_how_far(axes: Axes, largest: float) -> None:
    words = f"↑ grows\nto {number(largest)}:\nno step"
    note(axes, 0.05, 0.74, words, ha="left", transform="axes")


def note(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    offset: tuple[float, float] = (0, 0),
    ha: str = "center",
    va: str = "center",
    transform: str = "data",
    color: str = INK,
) -> None:
    """Words at a place: in data coordinates, in fractions of the axes, or x as data and y as a fraction."""
    places = {"data": axes.transData, "axes": axes.transAxes, "x": axes.get_xaxis_transform()}
    axes.annotate(
        text,
        (x, y),
        xycoords=places[transform],
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=FONT_TICK,
        family=list(families()),
        color=color,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
        zorder=5,
    )


def step_distance(
    series: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    window: float,
    title: str | None = None,
) -> Figure:
    """How far σ(w(x − s)) is from the hard step where |x − s| ≥ δ: measured points on the predicted curve.

    The distance is on a logarithmic axis over w: a distance like e^(−wδ) is a straight line.

    Args:
        series: Activation -> weights w (K,) and the measured largest distances (K,); weights (P,) and the
            predicted distances (P,).
        window: δ, in units of x.
        title: A sentence; by default where the distances end.

    Raises:
        InputError: an array is not one of numbers, or lengths differ.
    """
    rows = [_distances(name, index, *arrays) for index, (name, arrays) in enumerate(series.items())]
    figure = new_figure(title or _distance_title(rows, window), WIDE)
    axes = figure.subplots()
    dress(axes)
    values = [part[1] for row in rows for part in (row.measured, row.predicted)]
    log_axis(axes.yaxis, np.concatenate([np.zeros(0), *values]))
    notes: list[str] = []
    for row in rows:
        notes += draw_line(axes, *row.predicted, replace(row.look, marker="none"))
        notes += draw_line(axes, *row.measured, replace(row.look, dash="none"))
    axes.set_xlabel(with_notes("weight w      dots: measured, lines: predicted", notes))
    axes.set_ylabel(f"largest distance for |x − s| ≥ {number(window)}")
    ends = [row.end() for row in rows]
    if not any(ends):
        nothing_to_show(axes, "nothing was measured")
    label_ends(figure, axes, ends)
    return figure


@dataclass(frozen=True)
class _Distances:
    """One activation: weights (K,) and measured distances, weights (P,) and predicted ones, ascending."""

    name: str
    look: LineLook
    measured: tuple[FloatArray, FloatArray]
    predicted: tuple[FloatArray, FloatArray]

    def end(self) -> LineEnd | None:
        """Where the name stands: at the end of the prediction, or else of the measured points."""
        predicted = line_end(self.name, self.look, *self.predicted)
        return predicted or line_end(self.name, self.look, *self.measured)


def _distances(
    name: str, index: int, w: ArrayLike, measured: ArrayLike, curve_w: ArrayLike, predicted: ArrayLike
) -> _Distances:
    pairs = [
        as_pair(w, measured, f"the measured distances of {name!r}"),
        as_pair(curve_w, predicted, f"the predicted distances of {name!r}"),
    ]
    orders = [np.argsort(weights, kind="stable") for weights, _ in pairs]
    points, curve = ((x[order], y[order]) for (x, y), order in zip(pairs, orders, strict=True))
    return _Distances(name, line_look(index), points, curve)


def _distance_title(rows: Sequence[_Distances], window: float) -> str:
    ends = [end for row in rows if (end := line_end(row.name, row.look, *row.measured))]
    if not ends:
        return "Distance of a steep hidden unit to the hard step"
    worst = max(ends, key=lambda end: end.y)
    return (
        f"Outside of ±{number(window)} around its position, a hidden unit with w = {number(worst.x, 6)} is a "
        f"step up to {number(worst.y, 2)}"
    )
