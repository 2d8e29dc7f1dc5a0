"""Functions on the line that networks learned: at every width, and over the band of the infinite ensemble."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, finite
from nnlab.plot.style import (
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend_below,
    new_figure,
    only_below,
    panel_grid,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import number

Points = tuple[FloatArray, FloatArray]
"""Inputs and targets of the training points, (n,) each."""
Band = tuple[FloatArray, FloatArray, FloatArray]
"""Low end, mean and high end over the grid, (g,) each."""

TARGET = LineLook(INK, (0, (1.2, 1.4)), "none")
LOOKS = {
    "network": LineLook(PALETTE[1], "-", "none"),
    "linearization": LineLook(PALETTE[0], (0, (5, 1.6)), "none"),
    "kernel regression": LineLook(PALETTE[2], (0, (6, 1.6, 1.2, 1.6)), "none"),
}
ENSEMBLE = LineLook(PALETTE[0], "-", "none")
NNGP = LineLook(PALETTE[1], (0, (5, 1.6)), "none")
NETWORKS = LineLook(MUTED, "-", "none")
MOST = 40  # functions over the band of the infinite ensemble: more would hide it
WIDTHS = 2.0  # standard deviations on each side of a mean


@of_lines
def functions_on_line(
    x: FloatArray, target: FloatArray, points: Points, learned: Mapping[int, Mapping[str, FloatArray]]
) -> Figure:
    """Draws the learned functions on the line: the mean over seeds with a band, one panel per width.

    The band reaches from the smallest to the largest seed. Functions that run away between the points leave
    the panel, so that one seed does not flatten all others.

    Args:
        x: (g,) inputs, ascending.
        target: (g,) values of the true function.
        points: the training points.
        learned: Width m -> some of "network", "linearization", "kernel regression" -> outputs (S, g).
    """
    figure, panels = panel_grid(_functions_title(learned), len(learned))
    functions = [values.ravel() for kinds in learned.values() for values in kinds.values()]
    panels[0, 0].set_ylim(_view(np.concatenate([target, points[1]]), functions, room=0.75, margin=0.06))
    for axes, (width, kinds) in zip(panels.flat, learned.items(), strict=False):
        dress(axes)
        panel_title(axes, f"m = {width}")
        for name, values in kinds.items():
            color, dash = LOOKS[name].color, LOOKS[name].dash
            if len(values) > 1:
                low, high = values.min(0), values.max(0)
                axes.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
            axes.plot(x, values.mean(0), color=color, linestyle=dash, linewidth=LINE)
        _draw_target(axes, x, target, points)
    only_below(panels, len(learned), "input x")
    shared_labels(figure, "", "output y")
    names = {name for kinds in learned.values() for name in kinds}
    handles = [sample(look, name) for name, look in LOOKS.items() if name in names]
    if any(len(values) > 1 for kinds in learned.values() for values in kinds.values()):
        handles.append(_band_sample("smallest to largest seed", MUTED))
    legend_below(figure, [*_target_samples(), *handles], inches=2.0)
    return figure


def _functions_title(learned: Mapping[int, Mapping[str, FloatArray]]) -> str:
    """The largest distance on the line between network and kernel regression, averaged over the seeds."""
    words = [
        f"{number(float(np.abs(k['network'] - k['kernel regression']).max(1).mean()), 2)} at m = {m}"
        for m, k in learned.items()
    ]
    ends = words if len(words) < 2 else [words[0], words[-1]]
    return f"Network and kernel regression differ by up to {', '.join(ends)}"


def infinite_ensemble(
    x: FloatArray,
    target: FloatArray,
    points: Points,
    functions: FloatArray,
    ensemble: tuple[FloatArray, FloatArray],
    nngp: tuple[FloatArray, FloatArray],
    *,
    width: int,
) -> Figure:
    """Draws functions of trained networks over the band that the infinite ensemble predicts for them.

    At the left as they are; at the right the predicted mean is taken away from everything, so that a narrow
    band is wide enough to be seen. Bands reach two standard deviations to each side. Of many networks the
    first 40 are drawn. A function that runs away leaves the panel.

    Args:
        x: (g,) inputs, ascending.
        target: (g,) values of the true function.
        points: the training points.
        functions: (S, g) what each network learned; not finite where it diverged.
        ensemble: mean and standard deviation (g,) of the infinite ensemble.
        nngp: those of the NNGP posterior.
        width: of the networks.
    """
    learned = finite(as_numbers(functions))
    figure = new_figure(_infinite_title(learned, ensemble[1], width), (14.5, 6.3))
    zero, mean = np.zeros(len(x)), ensemble[0]
    for axes, taken, heading in zip(
        figure.subplots(1, 2),
        (zero, mean),
        ("output y", "output − predicted mean"),
        strict=True,
    ):
        dress(axes, "input x")
        panel_title(axes, heading)
        axes.set_xlim(x[0], x[-1])
        predicted, rival = (_band(m - taken, std) for m, std in (ensemble, nngp))
        others = () if taken is mean else (target, points[1])
        axes.set_ylim(_view(np.concatenate([*predicted, *others]), rival, room=0.5, margin=0.12))
        _draw_ensemble(axes, x, predicted, rival, learned - taken)
        shifted = points[1] - np.interp(points[0], x, taken)
        _draw_target(axes, x, target - taken, (points[0], shifted))
    count = len(learned)
    drawn = sample(NETWORKS, f"{MOST} of {count} networks" if count > MOST else f"{count} networks")
    drawn.set_linewidth(THIN)
    band = _band_sample("infinite ensemble ± 2 std", ENSEMBLE.color)
    handles = [band, drawn, sample(NNGP, "NNGP posterior ± 2 std"), *_target_samples()]
    legend_below(figure, handles, inches=2.6)
    return figure


def _band(mean: FloatArray, std: FloatArray) -> Band:
    return mean - WIDTHS * std, mean, mean + WIDTHS * std


def _draw_ensemble(axes: Axes, x: FloatArray, predicted: Band, rival: Band, learned: FloatArray) -> None:
    """The band, thin lines over it, and the outline of the rival on top."""
    low, mean, high = predicted
    axes.fill_between(x, low, high, color=ENSEMBLE.color, alpha=0.28, linewidth=0, zorder=1)
    axes.plot(x, learned[:MOST].T, color=NETWORKS.color, linewidth=0.7, alpha=0.55, zorder=2)
    for line, width in ((mean, LINE), (low, THIN), (high, THIN)):
        axes.plot(x, line, color=ENSEMBLE.color, linewidth=width, zorder=3)
    for end in (rival[0], rival[2]):
        axes.plot(x, end, color=NNGP.color, linestyle=NNGP.dash, linewidth=LINE, zorder=3)


def _infinite_title(learned: FloatArray, std: FloatArray, width: int) -> str:
    if not (std.any() and np.isfinite(learned).all()):
        return f"The infinite ensemble was predicted before {len(learned)} networks of width {width} trained"
    ratio = float(learned.var(axis=0, ddof=1).mean() / np.square(std).mean())
    return (
        f"{len(learned)} networks of width {width} have {number(ratio, 3)} times the variance that the "
        "infinite ensemble predicts"
    )


def _view(
    core: FloatArray, others: tuple[FloatArray, ...] | list[FloatArray], *, room: float, margin: float
) -> tuple[float, float]:
    """Limits around the core, wider where others lead beyond it: by at most `room` of its height."""
    everything = np.concatenate([core, *others])
    height = float(np.ptp(core)) or 1.0
    low = max(float(everything.min()), float(core.min()) - room * height)
    high = min(float(everything.max()), float(core.max()) + room * height)
    return low - margin * height, high + margin * height


def _draw_target(axes: Axes, x: FloatArray, target: FloatArray, points: Points) -> None:
    axes.plot(x, target, color=INK, linestyle=TARGET.dash, linewidth=THIN, zorder=4)
    (marks,) = axes.plot(*points, linestyle="none", marker="o", color=INK, markersize=7)
    marks.set(markeredgecolor=PAPER, zorder=5)


def _target_samples() -> list[Line2D]:
    return [sample(LineLook(INK, "none", "o"), "training points", line=False), sample(TARGET, "target")]


def _band_sample(label: str, color: str) -> Line2D:
    band = sample(LineLook(color, "-", "none"), label)
    band.set(linewidth=9, alpha=0.35)
    return band
