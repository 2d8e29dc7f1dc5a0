"""Figures of sums of sigmoids: their error over the number of terms, and constructed beside trained ones."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.drawing import (
    ERROR,
    draw_pair,
    drawable,
    largest,
    legend_below,
    new_grid,
    pair_entries,
)
from nnlab.plot.bands import solid
from nnlab.plot.lines import difference, draw_curve, label_ends, left_out
from nnlab.plot.powerlaws import Law, PowerLaw, draw_power_law, exponent_words, power_law
from nnlab.plot.scales import FloatArray, log_axis, positive, ticks_at
from nnlab.plot.style import (
    INK,
    THIN,
    LineLook,
    dress,
    line_look,
    new_figure,
    panel_title,
    sample,
    with_notes_below,
)
from nnlab.plot.text import at_most, literal, number, plain

_BOUND = LineLook(INK, (0, (9, 2)), "none")
_DEEP = 1e-6  # of the largest error: crossings of zero go no deeper on a logarithmic axis


def terms_scaling(
    panels: Mapping[str, Mapping[str, Law]], bounds: Mapping[str, tuple[ArrayLike, ArrayLike]]
) -> Figure:
    """Errors over the number of terms N on logarithmic axes, with the fitted exponent at each line.

    Points are geometric means over the seeds, bars reach over the seeds as in `over_seeds`; lines have the
    fitted slopes. A bound is an upper line: the error may lie anywhere below it.

    Args:
        panels: Such as "d = 2" -> such as "L₂, trained" -> terms N (K,), errors (K, S), fitted exponent, and
            its interval (low, high), None where there is none.
        bounds: Panel -> terms N (P,), values (P,) of Barron's (1993) bound 2rC/√N, where it is known.
    """
    names = list(dict.fromkeys(name for laws in panels.values() for name in laws))
    looks = {name: solid(line_look(index)) for index, name in enumerate(names)}
    drawn = {
        panel: [power_law(n, looks[n], law) for n, law in laws.items()] for panel, laws in panels.items()
    }
    figure, grid, room = new_grid(_terms_title(drawn), len(drawn), labels=2.0, sharey=True)
    everything = [part for laws in drawn.values() for law in laws for part in (law.means, law.low, law.high)]
    limits = {panel: drawable(*bound) for panel, bound in bounds.items()}
    log_axis(grid[0].yaxis, np.concatenate([*everything, *(values for _, values in limits.values())]))
    for axes, (panel, laws) in zip(grid, drawn.items(), strict=True):
        dress(axes)
        panel_title(axes, plain(panel, limit=34))
        terms = np.concatenate([law.sizes for law in laws])
        log_axis(axes.xaxis, terms)
        ticks_at(axes.xaxis, terms, gap=60 / room)
        if panel in limits:
            n, values = limits[panel]
            draw_curve(axes, n, values, _BOUND, THIN)
        ends = [draw_power_law(axes, law, "N") for law in laws]
        omitted = sum(law.omitted for law in laws)
        notes = [f"left out: {omitted} value{'s' * (omitted > 1)} ≤ 0 or not finite"] if omitted else []
        axes.set_xlabel(with_notes_below("terms N", notes, room))
        label_ends(figure, axes, ends)
    grid[0].set_ylabel("error")
    handles = [sample(look, plain(name, limit=40)) for name, look in looks.items()]
    if limits:
        handles.append(sample(_BOUND, "upper bound 2rC/√N on the L₂ error"))
    legend_below(figure, handles, columns=min(len(handles), int(figure.get_figwidth() // 4)))
    return figure


def _terms_title(panels: Mapping[str, Sequence[PowerLaw]]) -> str:
    fits = [(law, panel) for panel, laws in panels.items() for law in laws if np.isfinite(law.slope)]
    if not fits:
        return "Errors of sums of sigmoids over the number of terms"
    words = [
        f"{exponent_words(law, 'N')} ({literal(law.name, 30)}, {literal(panel, 30)})"
        for law, panel in (pick(fits, key=lambda fit: fit[0].slope) for pick in (min, max))
    ]
    return f"The error of N terms goes like {' to '.join(dict.fromkeys(words))}"


def constructed_and_trained(
    x: ArrayLike,
    target: ArrayLike,
    networks: Mapping[str, tuple[ArrayLike, float]],
    hidden_units: int,
) -> Figure:
    """Networks of equal size, constructed and trained: above their curves, below their errors.

    Args:
        x: (T,) inputs.
        target: (T,) values of the function.
        networks: Such as "staircase", "random features", "trained" -> outputs (T,), certified bound on the
            error.
        hidden_units: H, the same for all.
    """
    x, target = drawable(x, target)
    outputs = dict(zip(networks, drawable(*(y for y, _ in networks.values())), strict=True))
    bounds = ", ".join(f"{at_most(bound)} ({literal(name, 34)})" for name, (_, bound) in networks.items())
    title = f"{number(hidden_units, 7)} hidden units each, largest error certified: {bounds}"
    figure = new_figure(title, (max(8.5, 4.9 * len(outputs)), 7.4))
    grid = figure.subplots(
        2, len(outputs), squeeze=False, sharex=True, sharey="row", height_ratios=(1.4, 1.0)
    )
    errors = {name: np.abs(difference(output, target)) for name, output in outputs.items()}
    _error_axis(grid[1, 0], [*errors.values()])
    for (upper, lower), (name, output) in zip(grid.T, outputs.items(), strict=True):
        dress(upper)
        dress(lower)
        panel_title(upper, plain(name, limit=34))
        lost = draw_pair(upper, x, target, output)
        draw_curve(lower, x, errors[name], ERROR, THIN)
        lower.set_xlabel(with_notes_below("input x", left_out(lost), 72 * 4.9))
    _view(grid[0, 0], target, [*outputs.values()])
    grid[0, 0].set_ylabel("target and network")
    grid[1, 0].set_ylabel("|network − target|")
    legend_below(figure, pair_entries(error=True))
    return figure


def _error_axis(axes: Axes, errors: Sequence[FloatArray]) -> None:
    """Makes the axis of |errors| logarithmic, cut off below what only a crossing of zero reaches."""
    values = positive(np.concatenate(errors))
    if values.size:
        tops = [largest(error) for error in errors]
        floor = max(1e-2 * min(top for top in tops if top > 0), _DEEP * float(values.max()))
        log_axis(axes.yaxis, np.append(values[values >= floor], values.max()))


def _view(axes: Axes, target: FloatArray, outputs: Sequence[FloatArray]) -> None:
    """Sets limits around the target, and around the outputs as far as they go one height beyond it."""
    inner = target[np.isfinite(target)]
    outer = np.concatenate([inner, *(output[np.isfinite(output)] for output in outputs)])
    if not inner.size:
        return
    height = float(np.ptp(inner)) or float(np.ptp(outer)) or 1.0
    low = max(float(outer.min()), float(inner.min()) - height) - 0.06 * height
    high = min(float(outer.max()), float(inner.max()) + height) + 0.06 * height
    axes.set_ylim(low, high)
