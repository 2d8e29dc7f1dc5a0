"""Curves over training: one run's splits, and many runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.display import spoken
from nnlab.plot.lines import LineEnd, draw_line, label_ends, line_end
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, percent_limits, wants_log, whole_numbers
from nnlab.plot.style import (
    DOUBLE,
    FONT_NOTE,
    MUTED,
    THIN,
    WIDE,
    LineLook,
    dress,
    font,
    line_look,
    new_figure,
    nothing_to_show,
    with_notes,
)
from nnlab.plot.text import literal, number, percent

History = Mapping[str, Mapping[str, ArrayLike]]

_SPLITS = {"train": "training", "val": "validation"}
_FINAL = LineLook("#009E73", (0, (6, 1.6, 1.2, 1.6)), "none")


@dataclass(frozen=True)
class _Curve:
    """One line to draw: its name, look and points (T,), (T,)."""

    name: str
    look: LineLook
    x: FloatArray
    y: FloatArray


@of_lines
def learning_curves(
    history: History,
    *,
    best_epoch: float | None = None,
    final_test: Mapping[str, float] | None = None,
    loss_label: str = "loss",
) -> Figure:
    """Draws loss, and accuracy where it was measured, of each split over training.

    The title tells how loss and accuracy ended.

    Args:
        history: Split ("train", "val") -> arrays (T,) under "epoch", "loss", "accuracy" (a fraction of 1).
            Splits may have different lengths.
        best_epoch: The epoch of the best validation value, marked by a vertical line.
        final_test: Value on the test split, under "loss" or "accuracy", as a labelled level.
        loss_label: The name of the loss, with its unit if it has one.
    """
    accuracy = any("accuracy" in arrays for arrays in history.values())
    figure = new_figure(_learning_title(history), DOUBLE if accuracy else WIDE)
    metrics = {"loss": (loss_label, 1.0)} | ({"accuracy": ("accuracy (%)", 100.0)} if accuracy else {})
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, (metric, (label, scale)) in zip(panels, metrics.items(), strict=True):
        curves = [
            _Curve(name, line_look(index), as_numbers(arrays["epoch"]), scale * as_numbers(arrays[metric]))
            for index, (split, name) in enumerate(_SPLITS.items())
            if metric in (arrays := history.get(split, {}))
        ]
        level = (final_test or {}).get(metric)
        level = None if level is None else scale * level
        ends = _panel(axes, curves, "epoch", label, log=None if metric == "loss" else False, level=level)
        if level is not None and np.isfinite(level):
            axes.axhline(level, color=_FINAL.color, linestyle=_FINAL.dash, linewidth=THIN)
            text = f"test {number(level)} %" if metric == "accuracy" else f"test {number(level)}"
            ends.append(LineEnd(text, _FINAL, axes.get_xlim()[1], level))
        if best_epoch is not None:
            _mark_best(axes, best_epoch)
        if metric == "accuracy":
            percent_limits(axes)
        label_ends(figure, axes, ends)
    return figure


@of_lines
def compare_curves(
    histories: History, title: str | None = None, *, log: bool | None = None, y_label: str = "loss"
) -> Figure:
    """Draws the loss of many runs side by side, such as one run per activation or batch size.

    Args:
        histories: Label -> arrays (T,) under "epoch" and "loss". Order is kept.
        title: A sentence; by default one that names the lowest and the highest end.
        log: Logarithmic y; by default where the values span more than a decade.
        y_label: Label of the y axis.
    """
    curves = [
        _Curve(spoken(label), line_look(index), as_numbers(arrays["epoch"]), as_numbers(arrays["loss"]))
        for index, (label, arrays) in enumerate(histories.items())
    ]
    figure = new_figure(title or _compare_title(curves, y_label), WIDE)
    axes = figure.subplots()
    label_ends(figure, axes, _panel(axes, curves, "epoch", y_label, log=log))
    return figure


def _panel(
    axes: Axes,
    curves: Sequence[_Curve],
    x_label: str,
    y_label: str,
    *,
    log: bool | None,
    level: float | None = None,
) -> list[LineEnd | None]:
    """Draws the curves on axes with room for a level; returns the ends that want a label."""
    values = np.concatenate([[] if level is None else [level], *(c.y for c in curves)])
    dress(axes, x_label, y_label)
    axes.margins(x=0.02)
    if wants_log(values) if log is None else log:
        log_axis(axes.yaxis, values)
    notes = [note for c in curves for note in draw_line(axes, c.x, c.y, c.look)]
    ends = [line_end(c.name, c.look, c.x, c.y) for c in curves]
    if not any(ends):
        nothing_to_show(axes, "nothing was measured")
    whole_numbers(axes.xaxis)
    axes.set_xlabel(with_notes(x_label, notes))
    return ends


def _mark_best(axes: Axes, epoch: float) -> None:
    axes.axvline(epoch, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN)
    late = epoch > sum(axes.get_xlim()) / 2  # then left of it, away from the labels of the line ends
    axes.annotate(
        f"best epoch {number(epoch, digits=6)}",
        xy=(epoch, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if late else 3, 5),
        textcoords="offset points",
        ha="right" if late else "left",
        annotation_clip=False,
        **font(FONT_NOTE, MUTED),
    )


def _finite(history: History, split: str, metric: str) -> FloatArray:
    values = as_numbers(history.get(split, {}).get(metric, []))
    return values[np.isfinite(values)]


def _learning_title(history: History) -> str:
    """Returns in words where the training loss and the validation accuracy end."""
    losses, accuracy = _finite(history, "train", "loss"), _finite(history, "val", "accuracy")
    parts = []
    if len(losses) > 1:
        verb = "falls" if losses[-1] < losses[0] else "goes"
        parts.append(f"the training loss {verb} from {number(losses[0])} to {number(losses[-1])}")
    if len(accuracy):
        parts.append(f"validation accuracy ends at {percent(accuracy[-1])}")
    sentence = "; ".join(parts) or "loss over training"
    return sentence[0].upper() + sentence[1:]


def _compare_title(curves: Sequence[_Curve], y_label: str) -> str:
    known = [(c.y[np.isfinite(c.y)], c.name) for c in curves]
    ends = [(float(values[-1]), name) for values, name in known if len(values)]
    subject = y_label[:1].upper() + y_label[1:]
    if len(ends) < 2:
        return f"{subject} over training"
    low, high = (f"with {literal(name, 40)} ({number(value)})" for value, name in (min(ends), max(ends)))
    return f"{subject} ends lowest {low}, highest {high}"
