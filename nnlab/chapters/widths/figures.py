"""The same training at many widths: loss and weight change, one line per width."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import (
    SeedBand,
    band_words,
    diverged,
    draw_band,
    lost_as_infinite,
    over_seeds,
    seed_rows,
    steps_axis,
    width_entries,
    width_looks,
)
from nnlab.plot.scales import FloatArray, as_array, log_axis, positive, with_notes
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_NOTE,
    FONT_TICK,
    MUTED,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    shared_labels,
)
from nnlab.plot.text import families, literal, number, paragraph, wrap

_CLIMB = 100.0  # a loss beyond this multiple of the largest first loss is on its way to infinity
_MOST_CHANGE = 10.0  # ‖w − w₀‖ beyond ten times ‖w₀‖ likewise

Widths = Mapping[int, tuple[ArrayLike, ArrayLike, ArrayLike]]


@dataclass(frozen=True)
class _Training:
    """One width of one panel: steps (K,), loss and relative weight change over the seeds."""

    steps: FloatArray
    loss: SeedBand
    change: SeedBand
    lost: int  # seeds whose loss did not stay finite


def training_over_widths(panels: Mapping[str, Widths], title: str | None = None) -> Figure:
    """Loss, and below it the relative weight change, over the steps of training: one line per width.

    Lines are medians over the seeds. A seed that diverged counts as infinite, the label below its panel says
    how many did, and a line whose median diverged ends in a cross at the upper edge. Step 0 has no weight
    change, so none is drawn there; it also has no place where steps are on a logarithmic axis, as they are
    where they were recorded ever more rarely.

    Args:
        panels: Setting, such as "ntk, 1 hidden layer" -> width m -> steps (K,), loss (S, K) and
            ‖w − w₀‖/‖w₀‖ (S, K). Panels keep their order; at most four stand side by side.
        title: A sentence; by default how far the narrowest and the widest networks moved.

    Raises:
        InputError: an array has another shape.
    """
    settings = {
        name: {width: _training(name, width, *arrays) for width, arrays in sorted(runs.items())}
        for name, runs in panels.items()
    }
    columns = min(4, max(1, len(settings)))
    blocks = max(1, math.ceil(len(settings) / columns))
    across = (9.0, 11.5, 13.0, 14.6)[columns - 1]  # inches
    figure = new_figure(title or _training_title(settings), (across, 0.9 + 5.8 * blocks))
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    looks = width_looks(width for runs in settings.values() for width in runs)
    views = _views([run for runs in settings.values() for run in runs.values()])
    room = 72 * (across - 2.2) / columns
    for index, (name, runs) in enumerate(settings.items()):
        block, column = divmod(index, columns)
        pair = (grid[2 * block, column], grid[2 * block + 1, column])
        _setting(pair, name, runs, looks, views, first=column == 0, room=room)
    for index in range(len(settings), blocks * columns):
        block, column = divmod(index, columns)
        for axes in grid[2 * block : 2 * block + 2, column]:
            nothing_to_show(axes, "nothing was measured") if not settings else axes.set_axis_off()
    seeds = [run.loss.seeds for runs in settings.values() for run in runs.values()]
    shared_labels(figure, with_notes("step", band_words(seeds)), "")
    if looks:
        legend(figure, width_entries(looks), "outside right center", size=FONT_TICK)
    return figure


def _training(name: str, width: int, steps: ArrayLike, loss: ArrayLike, change: ArrayLike) -> _Training:
    what = f"of {name!r} at width {width}"
    x = as_array(steps, f"the steps {what}")
    losses = seed_rows(loss, len(x), f"the loss {what}")
    changes = seed_rows(change, len(x), f"the weight change {what}")
    loss_band, change_band = (over_seeds(lost_as_infinite(array)) for array in (losses, changes))
    return _Training(x, loss_band, change_band, diverged(losses))


def _views(runs: Sequence[_Training]) -> tuple[FloatArray, FloatArray]:
    """The losses and the weight changes that the axes must hold: all but those on their way to infinity."""
    starts = np.concatenate([np.zeros(0), *(run.loss.high[:1] for run in runs)])
    first = positive(starts).max(initial=0.0) or np.inf
    return (
        _up_to(_CLIMB * first, [run.loss for run in runs]),
        _up_to(_MOST_CHANGE, [run.change for run in runs]),
    )


def _up_to(most: float, bands: Sequence[SeedBand]) -> FloatArray:
    parts = [part for band in bands for part in (band.middle, band.low, band.high)]
    shown = positive(np.concatenate([np.zeros(0), *parts]))
    return shown[shown <= most] if np.any(shown <= most) else shown


def _setting(
    pair: tuple[Axes, Axes],
    name: str,
    runs: Mapping[int, _Training],
    looks: Mapping[int, LineLook],
    views: tuple[FloatArray, FloatArray],
    *,
    first: bool,
    room: float,
) -> None:
    """One column: the loss above, the weight change below; `room` is its width in points."""
    labels = ("training loss", "relative change\n‖w − w₀‖ / ‖w₀‖")
    notes: list[str] = []
    for axes, label, view in zip(pair, labels, views, strict=True):
        dress(axes, "", label if first else "")
        log_axis(axes.yaxis, view)
        steps_axis(axes, [run.steps for run in runs.values()], ticks=5 if room < 300 else 7)
        if not first:
            axes.tick_params(axis="y", labelleft=False)
        if not view.size or not runs:
            nothing_to_show(axes, "nothing was measured")
    for width, run in runs.items():
        notes += draw_band(pair[0], run.steps, run.loss, looks[width])
        moved = run.steps != 0  # at the start there is no change, and zero has no place on this axis
        notes += draw_band(pair[1], run.steps[moved], run.change.where(moved), looks[width])
    panel_title(pair[0], paragraph(literal(name, 80), 0.85 * room, FONT_LABEL))
    lost = {width: (run.lost, run.loss.seeds) for width, run in runs.items() if run.lost}
    words = f"× diverged: {_listed(lost)}" if lost else ", ".join(dict.fromkeys(notes))
    _below(pair[0], words, room)


def _listed(lost: Mapping[int, tuple[int, int]]) -> str:
    """'m = 256 (3 of 16 seeds), 512 and 1024 (all)' from width -> (how many, of how many)."""
    every = [number(width, digits=7) for width, (count, seeds) in lost.items() if count == seeds]
    some = [
        f"m = {number(width, digits=7)} ({count} of {seeds} seeds)"
        for width, (count, seeds) in lost.items()
        if count < seeds
    ]
    return ", ".join([*some, *([f"m = {', '.join(every)} (all)"] if every else [])])


def _below(axes: Axes, words: str, room: float) -> None:
    """A note under an upper panel, where the x axis needs no name."""
    axes.set_xlabel("\n".join(wrap(words, 0.85 * room, FONT_NOTE)))
    axes.xaxis.label.set(fontsize=FONT_NOTE, family=list(families()), color=MUTED)


def _training_title(settings: Mapping[str, Mapping[int, _Training]]) -> str:
    """How far the weights moved in the narrowest and in the widest networks, over all settings."""
    ends = [_finals(runs) for runs in settings.values()]
    pairs = [(finals[0], finals[-1]) for finals in ends if len(finals) >= 2]
    if not pairs:
        return "Loss and relative weight change over training"
    narrow, low = _range_words([pair[0] for pair in pairs], "the smallest width")
    wide, high = _range_words([pair[1] for pair in pairs], "the largest width that converges")
    if all(pair[1][1] < pair[0][1] for pair in pairs):
        lead = "Wide networks move less"
    else:
        lead = "Wide networks do not always move less"
    return f"{lead}: in the end the weights have changed by {low} at {narrow}, by {high} at {wide}"


def _finals(runs: Mapping[int, _Training]) -> list[tuple[int, float]]:
    """(width, last median change) of the widths that did not diverge, ascending."""
    last = [(width, run.change.middle) for width, run in runs.items() if len(run.steps)]
    return [(width, float(middle[-1])) for width, middle in last if np.isfinite(middle[-1])]


def _range_words(ends: Sequence[tuple[int, float]], extreme: str) -> tuple[str, str]:
    """The width they have in common or else its name, and from what to what the changes reach, in percent."""
    widths = {width for width, _ in ends}
    where = f"m = {number(widths.pop(), digits=7)}" if len(widths) == 1 else extreme
    low, high = min(value for _, value in ends), max(value for _, value in ends)
    words = [f"{number(100 * value, digits=2)} %" for value in (low, high)]
    return where, words[0] if words[0] == words[1] else f"{words[0]} to {words[1]}"
