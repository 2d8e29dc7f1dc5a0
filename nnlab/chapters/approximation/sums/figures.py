"""Sums of sigmoidal terms: their error over the number of terms, and constructed beside trained networks."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.bins.figures.histograms import ERROR, OUTPUT, TARGET, draw_pair
from nnlab.errors import InputError
from nnlab.plot.bands import beneath, solid
from nnlab.plot.labels import label_ends
from nnlab.plot.outward import at_most
from nnlab.plot.powerlaws import Law, PowerLaw, draw_power_law, exponent_words, power_law
from nnlab.plot.scales import FloatArray, as_pair, log_axis, positive, ticks_at
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MUTED,
    THIN,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    write,
)
from nnlab.plot.text import literal, number, plain
from nnlab.plot.thinning import difference, draw_curve, left_out

_BOUND = LineLook(INK, (0, (9, 2)), "none")
_ACROSS = {1: 10.0, 2: 14.0, 3: 17.0}  # inches, by the number of panels side by side
_TICK_GAPS = {1: 0.06, 2: 0.1, 3: 0.16}
_DEEP = 1e-6  # of the largest error: crossings of zero go no deeper on a logarithmic axis


def terms_scaling(
    panels: Mapping[str, Mapping[str, Law]],
    title: str | None = None,
    *,
    bounds: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    bound_name: str = "upper bound 2rC/√N on the L₂ error",
) -> Figure:
    """Errors over the number of terms N on logarithmic axes, with the fitted exponent at each line.

    Points are geometric means over the seeds, bars reach over the seeds as in `over_seeds`; lines have the
    fitted slopes. A bound is an upper line: the error may lie anywhere below it.

    Args:
        panels: Such as "d = 2" -> such as "L₂, trained" -> terms N (K,), errors (K, S), fitted exponent, and
            its interval (low, high), None where there is none.
        title: A sentence; by default the range of exponents.
        bounds: Panel -> terms N (P,), values (P,) of an upper bound such as Barron's (1993) 2rC/√N.
        bound_name: Its name in the legend.

    Raises:
        InputError: an array has another shape, or a bound is for no panel.
    """
    limits = dict(bounds or {})
    unknown = [key for key in limits if key not in panels]
    if unknown:
        known = ", ".join(repr(name) for name in panels) or "none"
        raise InputError(f"figure: bounds[{unknown[0]!r}] names no panel; allowed: {known}")
    names = list(dict.fromkeys(name for laws in panels.values() for name in laws))
    looks = {name: solid(line_look(index)) for index, name in enumerate(names)}
    drawn = {
        panel: [
            power_law(f"{name!r} in {panel!r}", name, looks[name], law, "terms") for name, law in laws.items()
        ]
        for panel, laws in panels.items()
    }
    lines = {panel: as_pair(n, values, f"the bound of {panel!r}") for panel, (n, values) in limits.items()}
    columns = max(1, min(3, len(drawn)))
    rows = max(1, math.ceil(len(drawn) / columns))
    figure = new_figure(title or _terms_title(drawn), (_ACROSS[columns], 2.0 + 4.2 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    everything = [part for laws in drawn.values() for law in laws for part in (law.means, law.low, law.high)]
    log_axis(grid[0, 0].yaxis, np.concatenate([np.zeros(0), *everything, *(v for _, v in lines.values())]))
    for axes, (panel, laws) in zip(grid.flat, drawn.items(), strict=False):
        _terms_panel(figure, axes, panel, laws, lines.get(panel), columns)
    for axes in grid.flat[len(drawn) :]:
        axes.set_axis_off() if drawn else nothing_to_show(axes, "nothing was measured")
    for row in grid:
        row[0].set_ylabel("error")
    handles: list[Line2D] = [sample(look, plain(name, limit=40)) for name, look in looks.items()]
    if lines:
        handles.append(sample(_BOUND, plain(bound_name, limit=60)))
    if handles:
        columns = max(1, min(len(handles), int(figure.get_figwidth() // 4)))
        legend(figure, handles, "outside lower center", columns=columns, size=FONT_TICK)
    return figure


def _terms_panel(
    figure: Figure,
    axes: Axes,
    panel: str,
    laws: Sequence[PowerLaw],
    bound: tuple[FloatArray, FloatArray] | None,
    columns: int,
) -> None:
    dress(axes)
    terms = np.concatenate([np.zeros(0), *(law.sizes for law in laws)])
    log_axis(axes.xaxis, terms)
    ticks_at(axes.xaxis, terms, gap=_TICK_GAPS[columns])
    if bound is not None:
        draw_curve(axes, *bound, _BOUND, THIN)
    ends = [draw_power_law(axes, law, "N") for law in laws]
    if not any(ends):
        write(axes, 0.5, 0.5, "nothing was measured", color=MUTED, ha="center")
    omitted = sum(law.omitted for law in laws)
    notes = [f"left out: {omitted} value{'s' if omitted > 1 else ''} ≤ 0 or not finite"] if omitted else []
    axes.set_xlabel(beneath("terms N", notes, 72 * _ACROSS[columns] / columns))
    panel_title(axes, plain(panel, limit=34))
    label_ends(figure, axes, ends)


def _terms_title(panels: Mapping[str, Sequence[PowerLaw]]) -> str:
    fits = [(law, panel) for panel, laws in panels.items() for law in laws if math.isfinite(law.slope)]
    if not fits:
        return "Errors of sums of sigmoidal terms over the number of terms"
    words = [
        f"{exponent_words(law, 'N')} ({literal(law.name, 30)}, {literal(panel, 30)})"
        for law, panel in (pick(fits, key=lambda fit: fit[0].slope) for pick in (min, max))
    ]
    if words[0] == words[1]:
        return f"The error of N terms goes like {words[0]}"
    return f"The error of N terms goes like {words[0]} to {words[1]}"


def constructed_and_trained(
    x: ArrayLike,
    target: ArrayLike,
    networks: Mapping[str, ArrayLike],
    title: str | None = None,
    *,
    hidden_units: int | None = None,
    errors: Mapping[str, float] | None = None,
) -> Figure:
    """Networks of equal size, constructed and trained: above their curves, below how far they are off.

    Args:
        x: (T,) inputs.
        target: (T,) values of the function.
        networks: Such as "constructed", "least squares", "Adam, then L-BFGS" -> outputs (T,).
        title: A sentence; by default the largest error of each.
        hidden_units: H, the same for all.
        errors: Network -> certified bound on its error, which the title then names; without it the title
            names the largest error among the inputs and says so.

    Raises:
        InputError: an array is not one of numbers, or has another length than x.
    """
    grid, truth = as_pair(x, target, "the target")
    outputs = {name: as_pair(grid, values, repr(name))[1] for name, values in networks.items()}
    columns = max(1, len(outputs))
    figure = new_figure(
        title or _pair_title(truth, outputs, hidden_units, dict(errors or {})), (max(8.5, 4.9 * columns), 7.4)
    )
    axes_of = figure.subplots(2, columns, squeeze=False, sharex=True, sharey="row", height_ratios=(1.4, 1.0))
    _off_axis(axes_of[1, 0], [difference(fit, truth) for fit in outputs.values()])
    for (upper, lower), (name, fit) in zip(axes_of.T, outputs.items(), strict=False):
        dress(upper)
        dress(lower)
        panel_title(upper, plain(name, limit=34))
        lost = draw_pair(upper, grid, truth, fit)
        draw_curve(lower, grid, np.abs(difference(fit, truth)), ERROR, THIN)
        lower.set_xlabel(beneath("input x", left_out(lost), 72 * 4.9))
    _view(axes_of[0, 0], truth, list(outputs.values()))
    if not outputs:
        for axes in axes_of.flat:
            nothing_to_show(axes, "no networks")
    axes_of[0, 0].set_ylabel("target and network")
    axes_of[1, 0].set_ylabel("|network − target|")
    entries = [
        sample(look, name) for look, name in ((TARGET, "target"), (OUTPUT, "network"), (ERROR, "error"))
    ]
    legend(figure, entries, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def _off_axis(axes: Axes, errors: Sequence[FloatArray]) -> None:
    """A logarithmic axis for |errors|, cut off below what only a crossing of zero reaches."""
    shown = positive(np.abs(np.concatenate([np.zeros(0), *errors])))
    if not shown.size:
        return
    tops = [positive(np.abs(error)).max(initial=0.0) for error in errors]
    floor = max(1e-2 * min(top for top in tops if top > 0), _DEEP * max(tops))
    log_axis(axes.yaxis, np.append(shown[shown >= floor], shown.max()))


def _view(axes: Axes, truth: FloatArray, outputs: Sequence[FloatArray]) -> None:
    """Limits around the target, and around the outputs as far as they go one height beyond it."""
    inner = truth[np.isfinite(truth)]
    outer = np.concatenate([inner, *(fit[np.isfinite(fit)] for fit in outputs)])
    if not inner.size or not outer.size:
        return
    height = float(np.ptp(inner)) or float(np.ptp(outer)) or 1.0
    low = max(float(outer.min()), float(inner.min()) - height) - 0.06 * height
    high = min(float(outer.max()), float(inner.max()) + height) + 0.06 * height
    axes.set_ylim(low, high)


def _pair_title(
    truth: FloatArray,
    outputs: Mapping[str, FloatArray],
    hidden_units: int | None,
    errors: Mapping[str, float],
) -> str:
    lead = (
        f"{number(hidden_units, 7)} hidden units each"
        if hidden_units is not None
        else "Networks of equal size"
    )
    certified = bool(outputs) and all(math.isfinite(errors.get(name, math.nan)) for name in outputs)
    largest = {name: _largest(difference(fit, truth)) for name, fit in outputs.items()}
    words = [
        f"{at_most(errors[name]) if certified else number(largest[name])} ({literal(name, 34)})"
        for name in outputs
    ]
    if not words or len(words) > 4:
        return f"{lead}, constructed and trained, and their errors"
    return f"{lead}, largest error {'certified' if certified else 'as drawn'}: {', '.join(words)}"


def _largest(error: FloatArray) -> float:
    known = np.abs(error[np.isfinite(error)])
    return float(known.max()) if known.size else math.nan
