"""Decision regions of classifiers with two inputs, for one model and for several side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.scales import FloatArray, as_array, as_numbers
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MARKERS,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend_beside,
    new_figure,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import plain

IntArray = NDArray[np.int64]
_TINT = (0.07, 0.55)  # share of the class colour where the model has no idea, and where it is certain
_FLAT_TINT = 0.32  # where only the class is known
_RASTERIZE = 2000  # points; more would make the SVG slow to open


def decision_regions(
    x1: ArrayLike,
    x2: ArrayLike,
    predicted: ArrayLike,
    points: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    title: str | None = None,
    *,
    axis_labels: tuple[str, str] = ("feature x₁", "feature x₂"),
) -> Figure:
    """Which class the model predicts where, how sure it is, and the data on top.

    Args:
        x1: (G₁,) evenly spaced ascending values of the first feature.
        x2: (G₂,) evenly spaced ascending values of the second feature.
        predicted: (G₁, G₂) class numbers, or (G₁, G₂, C) class probabilities; [i, j] is at (x1[i], x2[j]).
            With probabilities the tint deepens with that of the predicted class.
        points: (N, 2) data.
        labels: (N,) class numbers.
        class_names: C names.
        title: A sentence.
        axis_labels: Names of the two features with their units.

    Raises:
        InputError: shapes that do not fit each other, a class number without a name, an uneven grid.
    """
    sure = np.ndim(predicted) == 3
    default = "Decision regions: the deeper the tint, the surer the model" if sure else "Decision regions"
    return _figure(
        x1, x2, {"": predicted}, points, labels, class_names, title or default, axis_labels=axis_labels
    )


def decision_regions_grid(
    x1: ArrayLike,
    x2: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    points: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    title: str | None = None,
    *,
    axis_labels: tuple[str, str] = ("feature x₁", "feature x₂"),
) -> Figure:
    """The decision regions of several models on the same data; `predicted`: model name -> as for one model.

    Raises:
        InputError: as `decision_regions`; also where there is no model.
    """
    if not predicted:
        raise InputError("figure: decision_regions_grid needs at least one model")
    default = "The same data, different models: where each one draws its boundary"
    return _figure(x1, x2, predicted, points, labels, class_names, title or default, axis_labels=axis_labels)


def _figure(
    x1: ArrayLike,
    x2: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    points: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    title: str,
    *,
    axis_labels: tuple[str, str],
) -> Figure:
    if len(class_names) == 0:
        raise InputError("figure: decision regions need at least one class name")
    edges = (_edges(as_array(x1, "x1"), "x1"), _edges(as_array(x2, "x2"), "x2"))
    data, classes = _data(points, labels, len(class_names))
    count = len(predicted)
    columns = min(count, 4 if count != 6 else 3)
    rows = -(-count // columns)
    figure = new_figure(title, (max(8.6, 4.3 * columns + 1.0), 6.2 if count == 1 else 1.6 + 3.9 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes, (name, values) in zip(panels.flat, predicted.items(), strict=False):
        dress(axes, grid=False)
        _draw_regions(axes, edges, _prediction(values, edges, len(class_names)))
        _draw_points(axes, data, classes, len(class_names))
        axes.set_xlim(edges[0][0], edges[0][-1])
        axes.set_ylim(edges[1][0], edges[1][-1])
        panel_title(axes, plain(name, limit=28))
    shared_labels(figure, plain(axis_labels[0]), plain(axis_labels[1]))
    _class_legend(panels[0, -1], class_names)
    return figure


def _edges(centres: FloatArray, what: str) -> FloatArray:
    """The borders of the cells around evenly spaced centres, (G,) -> (G + 1,)."""
    if len(centres) == 0:
        raise InputError(f"figure: {what} is empty; the grid needs at least one value along each feature")
    steps = np.diff(centres)
    uneven = len(steps) > 0 and (steps.min() <= 0 or np.ptp(steps) > 1e-6 * (centres[-1] - centres[0]))
    if uneven or not np.all(np.isfinite(centres)):
        raise InputError(
            f"figure: {what} must be finite, ascending and evenly spaced, as from numpy.linspace"
        )
    half = steps[0] / 2 if len(steps) else 0.5
    return np.append(centres - half, centres[-1] + half)


def _data(points: ArrayLike, labels: ArrayLike, classes: int) -> tuple[FloatArray, IntArray]:
    places = as_array(points, "points", dimensions=2)
    known = as_array(labels, "labels")
    if places.size == 0:
        places = np.zeros((0, 2))
    if places.shape != (len(known), 2):
        raise InputError(
            f"figure: points of shape {places.shape} for {len(known)} labels; must be (N, 2) and (N,)"
        )
    if not np.all((known >= 0) & (known < classes)):
        raise InputError(f"figure: a label is not one of the {classes} classes, which count from 0")
    return places, known.astype(np.int64)


def _prediction(values: ArrayLike, edges: tuple[FloatArray, FloatArray], classes: int) -> FloatArray:
    """(G₁, G₂, C) probabilities; not-a-number where the model's output was not finite."""
    array = as_numbers(values, "predictions")
    shape = (len(edges[0]) - 1, len(edges[1]) - 1)
    if array.shape == shape:
        return _one_tint(array, classes)
    if array.shape != (*shape, classes):
        raise InputError(
            f"figure: predictions of shape {array.shape}; must be {shape} class numbers or "
            f"{(*shape, classes)} probabilities"
        )
    scores = array.copy()
    scores[~np.isfinite(array).all(axis=2)] = np.nan
    return scores


def _one_tint(numbers: FloatArray, classes: int) -> FloatArray:
    """(G₁, G₂) class numbers -> (G₁, G₂, C) probabilities that give every class the same medium tint."""
    finite = np.isfinite(numbers)
    if not np.all((numbers[finite] >= 0) & (numbers[finite] < classes)):
        raise InputError(f"figure: a predicted class is not one of the {classes} classes, which count from 0")
    sure = (_FLAT_TINT - _TINT[0]) / (_TINT[1] - _TINT[0])
    scores: FloatArray = sure * (numbers[..., None] == np.arange(classes)) + (1 - sure) / classes
    scores[~finite] = np.nan
    return scores


def region_colours(probabilities: FloatArray) -> FloatArray:
    """(…, C) probabilities -> (…, 3) colours: that of the likeliest class, mixed with white by confidence.

    Confidence is (max p − 1/C)/(1 − 1/C): 0 for a guess, 1 for certainty. What is not finite is white.
    """
    classes = probabilities.shape[-1]
    known = np.asarray(np.isfinite(probabilities).all(axis=-1))
    filled = np.where(known[..., None], probabilities, 0.0)
    guess = 1 / classes
    confidence = np.clip((filled.max(axis=-1) - guess) / max(1 - guess, guess), 0, 1)
    strength = np.where(known, _TINT[0] + (_TINT[1] - _TINT[0]) * confidence, 0.0)
    palette = np.array([to_rgb(PALETTE[index % len(PALETTE)]) for index in range(classes)])
    colours: FloatArray = 1 - strength[..., None] * (1 - palette[filled.argmax(axis=-1)])
    return colours


def _draw_regions(axes: Axes, edges: tuple[FloatArray, FloatArray], scores: FloatArray) -> None:
    """Tinted cells and, as lines, the boundaries: where a class and its strongest rival are equal."""
    extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
    colours = region_colours(scores).transpose(1, 0, 2)
    axes.imshow(colours, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    if min(scores.shape[:2]) < 2 or scores.shape[2] < 2:
        return
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    for index in range(1 if scores.shape[2] == 2 else scores.shape[2]):
        lead = scores[..., index] - np.delete(scores, index, axis=2).max(axis=2)
        known = lead[np.isfinite(lead)]
        if known.min(initial=0) < 0 < known.max(initial=0):
            axes.contour(*centres, np.ma.masked_invalid(lead.T), levels=[0], colors=INK, linewidths=THIN)


def _draw_points(axes: Axes, points: FloatArray, labels: IntArray, classes: int) -> None:
    size = float(np.clip(13 - 3.2 * np.log10(max(len(points), 1) / 4), 3.5, 13))
    for index in range(classes):
        chosen = points[labels == index]
        axes.plot(
            chosen[:, 0],
            chosen[:, 1],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            color=PALETTE[index % len(PALETTE)],
            markersize=size,
            markeredgecolor=PAPER,
            markeredgewidth=0.9,
            rasterized=len(points) > _RASTERIZE,
        )


def _class_legend(axes: Axes, class_names: Sequence[str]) -> None:
    handles: list[Line2D] = [
        sample(
            LineLook(PALETTE[index % len(PALETTE)], "-", MARKERS[index % len(MARKERS)]),
            plain(name, limit=20),
            line=False,
        )
        for index, name in enumerate(class_names)
    ]
    legend_beside(axes, handles, columns=-(-len(handles) // 14), size=FONT_TICK)
