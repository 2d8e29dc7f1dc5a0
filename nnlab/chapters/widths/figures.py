"""The same training at many widths: loss and weight change, one line per width."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.display import spoken
from nnlab.plot.bands import (
    SeedBand,
    band_words,
    diverged,
    draw_band,
    lost_as_infinite,
    over_seeds,
    steps_axis,
    width_entries,
    width_looks,
)
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, up_to
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    LineLook,
    dress,
    legend,
    legend_below,
    line_look,
    new_figure,
    panel_title,
    sample,
    shared_labels,
    with_notes,
)
from nnlab.plot.text import literal, number, paragraph

CLIMB = 100.0  # a loss beyond this multiple of the largest first loss is on its way to infinity
_TOLD = 2  # settings in which networks diverged, in words below the panels
MOST_CHANGE = 10.0  # ‖w − w₀‖ beyond ten times ‖w₀‖ likewise


@dataclass(frozen=True)
class Training:
    """One width of one panel.

    Attributes:
        steps: (K,) from 0 on.
        loss: over the seeds.
        change: relative weight change ‖w − w₀‖/‖w₀‖ over the seeds.
        lost: seeds whose loss did not stay finite.
    """

    steps: FloatArray
    loss: SeedBand
    change: SeedBand
    lost: int

    @classmethod
    def of(cls, steps: ArrayLike, loss: FloatArray, change: FloatArray) -> "Training":
        """Summarizes K steps, and losses and weight changes (S, K)."""
        losses, changes = (lost_as_infinite(as_numbers(values)) for values in (loss, change))
        x = np.array(steps, dtype=np.float64)
        return cls(x, over_seeds(losses), over_seeds(changes), diverged(losses))


Panel = Mapping[int, Training]
"""Trainings by width, ascending."""


def training_over_widths(panels: Mapping[str, Panel], title: str | None = None) -> Figure:
    """Draws the loss, and below it the relative weight change, over training: one line per width.

    Lines are medians over the seeds. A seed that diverged counts as infinite, the label below its panel says
    how many did, and a line whose median diverged ends in a cross at the upper edge. Step 0 has no weight
    change, so none is drawn there; it also has no place where steps are on a logarithmic axis, as they are
    where they were recorded ever more rarely.

    Args:
        panels: By setting, such as "ntk, 1 hidden layer". Panels keep their order; at most four stand side
            by side.
        title: A sentence; by default how far the narrowest and the widest networks moved.
    """
    columns = min(4, len(panels))
    blocks = math.ceil(len(panels) / columns)
    across = (9.0, 11.5, 13.0, 14.6)[columns - 1]  # inches
    figure = new_figure(spoken(title) if title else _training_title(panels), (across, 8.0 * blocks))
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    runs = [run for panel in panels.values() for run in panel.values()]
    looks = width_looks(width for panel in panels.values() for width in panel)
    first = max(run.loss.high[0] for run in runs)
    views = (
        up_to(CLIMB * first, *(part for run in runs for part in run.loss.parts)),
        up_to(MOST_CHANGE, *(part for run in runs for part in run.change.parts)),
    )
    room = 72 * (figure.get_figwidth() - 1.8) / columns  # points
    notes, diverged_in = band_words(run.loss.seeds for run in runs), list[str]()
    for index, (name, panel) in enumerate(panels.items()):
        block, column = divmod(index, columns)
        pair = grid[2 * block, column], grid[2 * block + 1, column]
        marks = _setting(pair, panel, looks, views, first=column == 0, room=room)
        lost = {width: (run.lost, run.loss.seeds) for width, run in panel.items() if run.lost}
        diverged_in += [f"× diverged ({spoken(literal(name))}): {_listed(lost)}"] if lost else []
        notes += [] if lost else marks
        panel_title(pair[0], paragraph(spoken(name).replace(", ", ",\n", 1), room, FONT_TICK))
    for index in range(len(panels), blocks * columns):
        block, column = divmod(index, columns)
        for axes in grid[2 * block : 2 * block + 2, column]:
            axes.set_axis_off()
    if len(diverged_in) > _TOLD:
        diverged_in[_TOLD:] = [f"and in {len(diverged_in) - _TOLD} more settings"]
    shared_labels(figure, with_notes("step", [*notes, *diverged_in]), "")
    legend(figure, width_entries(looks), "outside right center", size=FONT_TICK)
    return figure


def _setting(
    pair: tuple[Axes, Axes],
    panel: Panel,
    looks: Mapping[int, LineLook],
    views: tuple[FloatArray, FloatArray],
    *,
    first: bool,
    room: float,
) -> list[str]:
    """One column: the loss above, the weight change below; `room` is its width in points.

    Returns:
        What marks at the edges mean.
    """
    labels = ("loss", "‖Δw‖/‖w₀‖")
    for axes, label, view in zip(pair, labels, views, strict=True):
        dress(axes, "", label if first else "")
        log_axis(axes.yaxis, view)
        steps_axis(axes, [run.steps for run in panel.values()], ticks=5 if room < 300 else 7)
        if not first:
            axes.tick_params(axis="y", labelleft=False)
    pair[0].tick_params(labelbottom=False)
    notes: list[str] = []
    for width, run in panel.items():
        notes += draw_band(pair[0], run.steps, run.loss, looks[width])
        moved = run.steps != 0  # at the start there is no change, and zero has no place on this axis
        notes += draw_band(pair[1], run.steps[moved], run.change.where(moved), looks[width])
    return notes


def growth_at_the_edge(products: ArrayLike, growth: Mapping[str, ArrayLike]) -> Figure:
    """Draws the factor by which a step multiplies the leading mode, over ηλmax, beside |1 − ηλmax|.

    Args:
        products: (K,) ηλmax(H₀), ascending.
        growth: by family, (W, S, K) of networks of W widths.
    """
    x = as_numbers(products)
    every = {name: as_numbers(values).reshape(-1, len(x)) for name, values in growth.items()}
    figure = new_figure(_edge_title(x, np.concatenate([*every.values()])))
    axes = figure.subplots()
    dress(axes, "step size times largest eigenvalue, ηλₘₐₓ(H₀)", "factor per step")
    line = np.linspace(x.min(), x.max(), 200)
    predicted = LineLook(INK, (0, (4, 3)), "none")
    handles = [sample(predicted, "predicted: |1 − ηλₘₐₓ|")]
    axes.plot(line, np.abs(1 - line), color=predicted.color, linestyle=predicted.dash, linewidth=LINE)
    axes.axhline(1.0, color=MUTED, linewidth=1)
    axes.set_ylim(0, None)
    for index, (name, networks) in enumerate(every.items()):
        look = line_look(index)
        axes.plot(
            np.tile(x, len(networks)), networks.ravel(), linestyle="none", marker=look.marker,
            markersize=12 - 2 * index, color=look.color, fillstyle="none",
        )  # fmt: skip
        handles.append(sample(look, spoken(name), line=False))
        handles[-1].set_fillstyle("none")
    legend_below(figure, handles, inches=2.0)
    return figure


def _edge_title(x: FloatArray, factors: FloatArray) -> str:
    """The largest relative distance of the factors (networks, K) from |1 − ηλmax|."""
    off = np.abs(factors / np.abs(1 - x) - 1)
    furthest = f"{number(100 * float(off[np.isfinite(off)].max(initial=0.0)), 2)} %"
    return (
        f"The leading mode grows where ηλₘₐₓ is above 2: in {len(factors)} networks by the predicted factor, "
        f"to within {furthest}"
    )


def _listed(lost: Mapping[int, tuple[int, int]]) -> str:
    """'m = 256 (3 of 16 seeds), m = 512, 1024 (all)' from width -> (how many, of how many)."""
    every = [str(width) for width, (count, seeds) in lost.items() if count == seeds]
    some = [f"m = {m} ({count} of {seeds} seeds)" for m, (count, seeds) in lost.items() if count < seeds]
    return ", ".join([*some, *([f"m = {', '.join(every)} (all)"] if every else [])])


def _training_title(panels: Mapping[str, Panel]) -> str:
    """The distances that the weights of the narrowest and the widest networks moved, over all settings."""
    ends = []
    for panel in panels.values():
        last = [(width, float(run.change.middle[-1])) for width, run in panel.items()]
        finite = [(width, change) for width, change in last if np.isfinite(change)]
        if len(finite) >= 2:
            ends.append((finite[0], finite[-1]))
    if not ends:
        return "Loss and relative weight change over training"
    narrow, low = _range_words([pair[0] for pair in ends], "the smallest width")
    wide, high = _range_words([pair[1] for pair in ends], "the largest width that converges")
    less = all(last[1] < first[1] for first, last in ends)
    lead = "Wide networks move less" if less else "Wide networks do not always move less"
    return f"{lead}: the weights change by {low} at {narrow}, by {high} at {wide}"


def _range_words(ends: Sequence[tuple[int, float]], extreme: str) -> tuple[str, str]:
    """The width they have in common or else its name, and the range of the changes, in percent."""
    widths = {width for width, _ in ends}
    where = f"m = {widths.pop()}" if len(widths) == 1 else extreme
    changes = [change for _, change in ends]
    words = [f"{number(100 * value, digits=2)} %" for value in (min(changes), max(changes))]
    return where, words[0] if words[0] == words[1] else f"{words[0]} to {words[1]}"
