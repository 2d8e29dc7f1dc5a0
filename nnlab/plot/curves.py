"""Curves over training: one run's splits, and many runs side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.labels import LineEnd, label_ends, line_end
from nnlab.plot.scales import (
    FloatArray,
    as_array,
    as_pair,
    draw_line,
    log_axis,
    percent_limits,
    wants_log,
    whole_numbers,
    with_notes,
)
from nnlab.plot.style import (
    DOUBLE,
    FONT_NOTE,
    MUTED,
    THIN,
    WIDE,
    LineLook,
    dress,
    line_look,
    new_figure,
    nothing_to_show,
)
from nnlab.plot.text import families, literal, number, percent, plain

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_SPLIT_LOOKS = {"train": line_look(0), "val": line_look(1), "test": line_look(2)}
_FINAL = LineLook("#009E73", (0, (6, 1.6, 1.2, 1.6)), "none")


@dataclass(frozen=True)
class _Curve:
    """One line to draw: its name, look, points (T,), (T,) and, if it has one, its band (T, 2)."""

    name: str
    look: LineLook
    x: FloatArray
    y: FloatArray
    band: FloatArray | None = None


def learning_curves(
    history: Mapping[str, Mapping[str, ArrayLike]],
    title: str | None = None,
    *,
    best_epoch: float | None = None,
    final_test: Mapping[str, float] | None = None,
    loss_label: str = "loss",
) -> Figure:
    """Loss, and accuracy where it was measured, of each split over training.

    Args:
        history: Split ("train", "val", "test") -> arrays (T,) under "step", "epoch", "loss", "accuracy" (a
            fraction of 1). Splits may have different lengths; x is the epoch where every split has it.
        title: A sentence; by default one that tells how loss and accuracy ended.
        best_epoch: The epoch of the best validation value, marked by a vertical line.
        final_test: Value on the test split, under "loss" or "accuracy", as a labelled level.
        loss_label: The name of the loss, with its unit if it has one.

    Raises:
        InputError: an array is not one of numbers, or its length differs from that of the x values.
    """
    x_name = _x_name(history)
    accuracy = any("accuracy" in arrays for arrays in history.values())
    metrics = ("loss", "accuracy") if accuracy else ("loss",)
    figure = new_figure(title or _learning_title(history), DOUBLE if accuracy else WIDE)
    final = dict(final_test or {})
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        curves = [
            _split_curve(split, arrays, x_name, metric)
            for split, arrays in history.items()
            if metric in arrays and x_name in arrays
        ]
        label = loss_label if metric == "loss" else "accuracy (%)"
        level = _as_percent(metric, np.array([final[metric]]))[0] if metric in final else None
        ends = _panel(axes, curves, x_name, label, log=None if metric == "loss" else False, level=level)
        if best_epoch is not None and x_name == "epoch":
            _mark_best(axes, best_epoch)
        if metric == "accuracy":
            percent_limits(axes)
        label_ends(figure, axes, ends)
    return figure


def compare_curves(
    histories: Mapping[str, Mapping[str, ArrayLike]],
    x: str = "epoch",
    y: str = "loss",
    title: str | None = None,
    *,
    ylog: bool | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
) -> Figure:
    """One measure of many runs side by side, such as one run per activation or batch size.

    Args:
        histories: Label -> arrays (T,) under the names `x` and `y`; arrays under `y_low` and `y_high` (the
            name `y` with these endings) are drawn as a band, an interval over seeds. Order is kept.
        x: Name of the arrays for the horizontal axis.
        y: Name of the arrays to compare. A name that ends in "accuracy" is a fraction, shown in percent.
        title: A sentence; by default one that names the lowest or highest end.
        ylog: Logarithmic y; by default where the values span more than a decade.
        x_label: Label of the x axis with its unit; by default the name.
        y_label: Label of the y axis with its unit; by default the name.

    Raises:
        InputError: an array is not one of numbers, or its length differs from that of the x values.
    """
    curves = [
        _compared(label, line_look(index), arrays, x, y)
        for index, (label, arrays) in enumerate(histories.items())
        if x in arrays and y in arrays
    ]
    figure = new_figure(title or _compare_title(curves, y), WIDE)
    axes = figure.subplots()
    is_accuracy = y.endswith("accuracy")
    shown_label = plain(y_label or (f"{y} (%)" if is_accuracy else y))
    ends = _panel(axes, curves, plain(x_label or x), shown_label, log=False if is_accuracy else ylog)
    if is_accuracy:
        percent_limits(axes)
    label_ends(figure, axes, ends)
    return figure


def _x_name(history: Mapping[str, Mapping[str, ArrayLike]]) -> str:
    return "epoch" if all("epoch" in arrays for arrays in history.values()) else "step"


def _as_percent(metric: str, values: FloatArray) -> FloatArray:
    return 100 * values if metric.endswith("accuracy") else values


def _split_curve(split: str, arrays: Mapping[str, ArrayLike], x: str, metric: str) -> _Curve:
    first, second = as_pair(arrays[x], arrays[metric], f"{metric} of the split {split!r}")
    look = _SPLIT_LOOKS.get(split, line_look(3))
    return _Curve(_SPLITS.get(split, split), look, first, _as_percent(metric, second))


def _compared(label: str, look: LineLook, arrays: Mapping[str, ArrayLike], x: str, y: str) -> _Curve:
    first, second = as_pair(arrays[x], arrays[y], f"{y} of {label!r}")
    band = None
    if f"{y}_low" in arrays and f"{y}_high" in arrays:
        ends = [
            as_pair(first, arrays[f"{y}_{side}"], f"{y}_{side} of {label!r}")[1] for side in ("low", "high")
        ]
        band = _as_percent(y, np.stack(ends, axis=1))
    return _Curve(label, look, first, _as_percent(y, second), band)


def _panel(
    axes: Axes,
    curves: list[_Curve],
    x_label: str,
    y_label: str,
    *,
    log: bool | None,
    level: float | None = None,
) -> list[LineEnd | None]:
    """Draw the curves and the level of the test value; the ends that want a label."""
    levels = np.array([] if level is None else [level])
    values = np.concatenate([levels, *(c.y for c in curves)])
    dress(axes, x_label, y_label)
    axes.margins(x=0.02)
    if wants_log(values) if log is None else log:
        log_axis(axes.yaxis, values)
    notes: list[str] = []
    for curve in curves:
        if curve.band is not None:
            axes.fill_between(curve.x, *curve.band.T, color=curve.look.color, alpha=0.18, linewidth=0)
        notes += draw_line(axes, curve.x, curve.y, curve.look)
    ends = [line_end(curve.name, curve.look, curve.x, curve.y) for curve in curves]
    if not any(ends):
        nothing_to_show(axes, "nothing was measured")
    if level is not None and np.isfinite(level):
        ends.append(_draw_level(axes, level, y_label.endswith("(%)")))
    if all(float(value).is_integer() for c in curves for value in c.x[np.isfinite(c.x)]):
        whole_numbers(axes.xaxis)
    axes.set_xlabel(with_notes(x_label, notes))
    return ends


def _draw_level(axes: Axes, level: float, in_percent: bool) -> LineEnd:
    """The final test value as a level across the axes, named with its number."""
    axes.axhline(level, color=_FINAL.color, linestyle=_FINAL.dash, linewidth=THIN)
    text = f"test {number(level)} %" if in_percent else f"test {number(level)}"
    return LineEnd(text, _FINAL, axes.get_xlim()[1], level)


def _mark_best(axes: Axes, epoch: float) -> None:
    axes.axvline(epoch, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN)
    late = (
        epoch > sum(axes.get_xlim()) / 2
    )  # then the words stand at the left, away from the line ends' labels
    axes.annotate(
        f"best epoch {number(epoch, digits=6)}",
        xy=(epoch, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if late else 3, 5),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=FONT_NOTE,
        family=list(families()),
        color=MUTED,
        annotation_clip=False,
    )


def _last(history: Mapping[str, Mapping[str, ArrayLike]], split: str, metric: str) -> float | None:
    values = as_array(history.get(split, {}).get(metric, []), metric)
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _learning_title(history: Mapping[str, Mapping[str, ArrayLike]]) -> str:
    """What the curves say in words: where the training loss and the validation accuracy end."""
    losses = as_array(history.get("train", {}).get("loss", []), "loss")
    known = losses[np.isfinite(losses)]
    accuracy = _last(history, "val", "accuracy")
    parts = []
    if len(known) > 1:
        verb = "falls" if known[-1] < known[0] else "goes"
        parts.append(f"the training loss {verb} from {number(known[0])} to {number(known[-1])}")
    if accuracy is not None:
        parts.append(f"validation accuracy ends at {percent(accuracy)}")
    sentence = "; ".join(parts) or "loss over training"
    return sentence[0].upper() + sentence[1:]


def _compare_title(curves: list[_Curve], y: str) -> str:
    known = [(c.y[np.isfinite(c.y)], c.name) for c in curves]
    ends = [(float(values[-1]), name) for values, name in known if len(values)]
    if len(ends) < 2:
        return f"{y} over training"
    if y.endswith("accuracy"):
        value, name = max(ends)
        return f"{literal(name, 40)} ends with the highest {y}, {value:.1f} %"
    value, name = min(ends)
    return f"{literal(name, 40)} ends with the lowest {y}, {number(value)}"
