"""How often each class is recognized."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.scales import as_array, as_intervals
from nnlab.plot.style import FONT_NOTE, INK, MUTED, PALETTE, dress, legend, new_figure, nothing_to_show
from nnlab.plot.text import families, literal, percent, plain

MOST = 20  # classes shown one by one; of more, the worst and the best


def class_accuracy(
    accuracy: ArrayLike,
    class_names: Sequence[str],
    intervals: ArrayLike | None = None,
    *,
    overall: float | None = None,
    title: str | None = None,
) -> Figure:
    """The accuracy of each class as a bar with its interval, best first, beside chance and the mean.

    Args:
        accuracy: (C,), not-a-number for a class without examples.
        class_names: C names.
        intervals: (C, 2), low and high.
        overall: the accuracy over all examples.
        title: A sentence; by default the hardest and the easiest class.

    Raises:
        InputError: the lengths differ.
    """
    values = as_array(accuracy, "the accuracies")
    if len(values) != len(class_names):
        raise InputError(f"figure: {len(values)} accuracies for {len(class_names)} class names; pass as many")
    ends = as_intervals(intervals, len(values), "the intervals")
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
    kept = order if len(order) <= MOST else np.concatenate([order[: MOST // 2], order[-MOST // 2 :]])
    figure = new_figure(title or _title(values, class_names, order), (10.0, max(3.6, 1.7 + 0.34 * len(kept))))
    axes = figure.subplots()
    dress(axes, "accuracy on the test set (%)", "")
    if not len(kept):
        nothing_to_show(axes, "no classes")
        return figure
    places = np.arange(len(kept))
    axes.barh(places, 100 * np.nan_to_num(values[kept]), height=0.68, color=PALETTE[4])
    known = np.isfinite(ends[kept]).all(1)
    low, high = (100 * ends[kept][known]).T
    axes.hlines(places[known], low, high, color=INK, linewidth=2)
    axes.set_yticks(places, [plain(class_names[index], limit=24) for index in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    for place, index in enumerate(kept):
        text = "no examples" if np.isnan(values[index]) else percent(float(values[index]))
        axes.text(101.5, place, text, va="center", fontsize=FONT_NOTE, color=INK, family=list(families()))
    _levels(figure, axes, 1 / len(values), overall, bool(known.any()))
    if len(order) > len(kept):
        axes.axhline(MOST // 2 - 0.5, color=MUTED, linewidth=1)
    return figure


def _levels(figure: Figure, axes: Axes, chance: float, overall: float | None, intervals: bool) -> None:
    handles = []
    if overall is not None:
        axes.axvline(100 * overall, color=PALETTE[1], linewidth=2)
        handles.append(Line2D([], [], color=PALETTE[1], linewidth=2, label=f"all: {percent(overall, 2)}"))
    axes.axvline(100 * chance, color=MUTED, linewidth=2, linestyle=(0, (5, 1.6)))
    label = f"chance: {percent(chance)}"
    handles.append(Line2D([], [], color=MUTED, linewidth=2, linestyle=(0, (5, 1.6)), label=label))
    if intervals:
        handles.append(Line2D([], [], color=INK, linewidth=2, label="95 % interval"))
    legend(figure, handles, "outside lower center", columns=3)


def _title(values: np.ndarray, class_names: Sequence[str], order: np.ndarray) -> str:
    known = [index for index in order if np.isfinite(values[index])]
    if len(known) < 2:
        return "Accuracy of each class"
    best, worst = known[0], known[-1]
    if values[best] == values[worst]:
        return f"Every class is recognized in {percent(float(values[best]))} of its examples"
    names = [literal(class_names[index], 24) for index in (best, worst)]
    shares = [percent(float(values[index])) for index in (best, worst)]
    shown = f" ({MOST} of {len(values)} classes)" if len(values) > MOST else ""
    return f"Easiest class: {names[0]}, {shares[0]}; hardest: {names[1]}, {shares[1]}{shown}"
