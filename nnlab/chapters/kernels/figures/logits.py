"""Cross-entropy: class scores over training, predicted by the kernel and measured on the network."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.bands import label_columns, steps_axis
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    PAPER,
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
from nnlab.plot.text import families, number, plain

_MOST = 6
_MARKS = 12


def logit_dynamics(
    t: ArrayLike,
    predicted: ArrayLike,
    measured: ArrayLike,
    title: str | None = None,
    *,
    class_names: Sequence[str] | None = None,
    y_label: str = "class probability",
) -> Figure:
    """The outputs for a few examples over training with cross-entropy: predicted lines, measured marks.

    Args:
        t: (K,) time ηk.
        predicted: (n, C, K) outputs for n examples and C classes, from integrating ḟ = −H₀(softmax f − y).
        measured: (n, C, K) outputs of the network. Of more than six examples the first six are shown.
        title: A sentence; by default the largest distance between the two.
        class_names: C names; by default numbers from 0.
        y_label: What the outputs are.

    Raises:
        InputError: shapes or the number of names do not fit.
    """
    times = as_array(t, "the times")
    theory = as_array(predicted, "the predicted outputs", dimensions=3)
    network = as_array(measured, "the measured outputs", dimensions=3)
    if theory.shape != network.shape or (theory.size and theory.shape[2] != len(times)):
        shapes = f"{theory.shape} predicted and {network.shape} measured outputs for {len(times)} times"
        raise InputError(f"figure: {shapes}; both must be (examples, classes, {len(times)})")
    count, classes = min(len(theory), _MOST) if theory.size else 0, theory.shape[1]
    names = [str(index) for index in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise InputError(f"figure: {len(names)} class names for {classes} classes; pass as many")
    columns, rows = min(3, max(1, count)), max(1, math.ceil(count / 3))
    size = (WIDE[0] + 1.5 if columns < 3 else 14.5, 1.6 + (3.8 if rows == 1 else 2.9 * rows))
    figure = new_figure(title or _title(theory[:count], network[:count]), size)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    looks = [line_look(index) for index in range(classes)]
    steps_axis(panels[0, 0], [times], ticks=5, whole=False)
    for index, axes in enumerate(panels.flat):
        if index < count:
            _panel(axes, times, theory[index], network[index], looks)
            panel_title(axes, f"example {index + 1}")
        elif count:
            axes.set_axis_off()
        else:
            nothing_to_show(axes, "no examples")
    label_columns(panels, count, "time t = ηk")
    shared_labels(figure, "", plain(y_label))
    _name_lines(figure, names, looks)
    return figure


def _panel(axes: Axes, t: FloatArray, theory: FloatArray, network: FloatArray, looks: list[LineLook]) -> None:
    """One example: (C, K) predicted as lines, measured as marks of the same colour."""
    dress(axes)
    shown = np.flatnonzero(np.isfinite(t) & (t > 0)) if axes.get_xscale() == "log" else np.arange(len(t))
    at = _places(t, shown, axes.get_xscale() == "log")
    for look, line, marks in zip(looks, theory, network, strict=True):
        (curve,) = axes.plot(t[shown], _finite(line)[shown], color=look.color, linestyle=look.dash)
        curve.set(linewidth=LINE, marker="_" if len(shown) == 1 else "none")
        (points,) = axes.plot(t[at], _finite(marks)[at], linestyle="none", marker=look.marker)
        points.set(color=look.color, markersize=7, markeredgecolor=PAPER, zorder=3)


def _places(t: FloatArray, shown: NDArray[np.int64], log: bool) -> NDArray[np.int64]:
    """Where to put marks: at most _MARKS of the shown times, evenly along the axis."""
    known = shown[np.isfinite(t[shown])]
    if len(known) <= _MARKS:
        return known
    place = np.log(t[known]) if log else t[known]
    wanted = np.linspace(place.min(), place.max(), _MARKS)
    chosen: NDArray[np.int64] = known[np.unique(np.abs(place[:, None] - wanted).argmin(axis=0))]
    return chosen


def _finite(values: FloatArray) -> FloatArray:
    shown: FloatArray = np.where(np.isfinite(values), values, np.nan)
    return shown


def _name_lines(figure: Figure, names: Sequence[str], looks: list[LineLook]) -> None:
    kinds = [
        sample(LineLook(INK, "-", "none"), "predicted by the kernel"),
        sample(LineLook(INK, "none", "o"), "network", line=False),
    ]
    classes = [sample(look, plain(name, limit=20)) for name, look in zip(names, looks, strict=True)]
    legend(figure, kinds, "outside lower center", columns=2, size=FONT_TICK)
    if classes:
        box = legend(figure, classes, "outside right center", columns=-(-len(classes) // 14), size=FONT_TICK)
        box.set_title("class", FontProperties(size=FONT_TICK, family=list(families())))


def _title(theory: FloatArray, network: FloatArray) -> str:
    gaps = np.abs(_finite(theory) - _finite(network))
    known = gaps[np.isfinite(gaps)]
    if not known.size:
        return "Cross-entropy: outputs over training, as the kernel predicts them and as they are"
    if known.size < gaps.size:
        return "With cross-entropy, some outputs are no longer finite; they are left out"
    gap = number(float(known.max()), 2)
    return f"With cross-entropy, outputs as the kernel predicts them and as they are differ by at most {gap}"
