"""A figure of sums of sigmoids: constructed ones beside trained ones."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.drawing import ERROR, draw_pair, drawable, largest, pair_entries
from nnlab.display import spoken
from nnlab.plot.lines import difference, draw_curve, left_out
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, log_axis, positive
from nnlab.plot.style import THIN, dress, legend_below, new_figure, panel_title, with_notes_below
from nnlab.plot.text import at_most, literal, number, plain

_DEEP = 1e-6  # of the largest error: crossings of zero go no deeper on a logarithmic axis


@of_lines
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
    named = {spoken(literal(name, 34)): bound for name, (_, bound) in networks.items()}
    ends = [pick(named, key=lambda name: named[name]) for pick in (max, min)]
    bounds = ", ".join(f"{at_most(named[name], 2)} ({name})" for name in dict.fromkeys(ends))
    title = f"Largest error with {number(hidden_units, 7)} hidden units, certified: {bounds}"
    figure = new_figure(title, (max(8.5, 4.9 * len(outputs)), 7.4))
    grid = figure.subplots(
        2, len(outputs), squeeze=False, sharex=True, sharey="row", height_ratios=(1.4, 1.0)
    )
    errors = {name: np.abs(difference(output, target)) for name, output in outputs.items()}
    _error_axis(grid[1, 0], [*errors.values()])
    for (upper, lower), (name, output) in zip(grid.T, outputs.items(), strict=True):
        dress(upper)
        dress(lower)
        panel_title(upper, plain(spoken(name), limit=34))
        lost = draw_pair(upper, x, target, output)
        draw_curve(lower, x, errors[name], ERROR, THIN)
        lower.set_xlabel(with_notes_below("input x", left_out(lost), 72 * 4.9))
    _view(grid[0, 0], target, [*outputs.values()])
    grid[0, 0].set_ylabel("output")
    grid[1, 0].set_ylabel("|error|")
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
