"""Decision regions of classifiers with two inputs, for one model and for several side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nnlab.display import spoken
from nnlab.plot.scales import FloatArray, Units, as_numbers
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    MARKERS,
    NEGATIVE,
    PALETTE,
    PAPER,
    POSITIVE,
    THIN,
    LineLook,
    dress,
    legend_beside,
    new_figure,
    panel_title,
    sample,
    shared_labels,
)
from nnlab.plot.text import literal, plain

_TINT = (0.07, 0.55)  # share of the class colour where the model has no idea, and where it is certain
_NAMED = 10  # classes in the legend
_RASTERIZE = 2000  # points; more would make the SVG slow to open


def decision_regions(
    x1: ArrayLike,
    x2: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    points: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
) -> Figure:
    """Draws which class each model predicts where, how sure it is, and the data on top.

    Args:
        x1: (G₁,) evenly spaced ascending values of the first feature.
        x2: (G₂,) evenly spaced ascending values of the second feature.
        predicted: Model -> (G₁, G₂, C) class probabilities; [i, j] is at (x1[i], x2[j]). The tint deepens
            with the probability of the predicted class.
        points: (N, 2) data.
        labels: (N,) class numbers.
        class_names: C names.
    """
    count = len(predicted)
    columns = min(count, 4 if count != 6 else 3)
    rows = -(-count // columns)
    size = (8.6, 6.2) if count == 1 else (max(8.6, 4.3 * columns + 1.0), 1.6 + 3.9 * rows)
    raw = [np.asarray(x, dtype=np.float64) for x in (x1, x2)]
    right = {
        spoken(literal(name, 28)): _right(raw, as_numbers(values), np.asarray(points, np.float64), labels)
        for name, values in predicted.items()
    }
    figure = new_figure(_title(right, len(np.asarray(labels))), size)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    units = [Units.of(x) for x in raw]
    edges = [_edges(unit.apply(x)) for unit, x in zip(units, raw, strict=True)]
    places = np.stack(
        [unit.apply(x) for unit, x in zip(units, np.asarray(points, np.float64).T, strict=True)], 1
    )
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes, (name, values) in zip(panels.flat, predicted.items(), strict=False):
        dress(axes, grid=False)
        _draw_regions(axes, edges, as_numbers(values))
        _draw_points(axes, places, np.asarray(labels), len(class_names))
        axes.set_xlim(edges[0][0], edges[0][-1])
        axes.set_ylim(edges[1][0], edges[1][-1])
        panel_title(axes, plain(spoken(name), limit=28))
    shared_labels(
        figure, *(unit.label(name) for unit, name in zip(units, ("feature x₁", "feature x₂"), strict=True))
    )
    handles = [
        sample(_class_look(index, len(class_names)), plain(name, limit=20), line=False)
        for index, name in enumerate(class_names[:_NAMED])
    ]
    if len(class_names) > _NAMED:
        more = LineLook(INK, "none", "none")
        handles.append(sample(more, f"and {len(class_names) - _NAMED} more", line=False, marker=False))
    legend_beside(panels[0, -1], handles, size=FONT_TICK)
    return figure


def _right(
    lines: Sequence[FloatArray], probabilities: FloatArray, points: FloatArray, labels: ArrayLike
) -> int:
    """Counts the points (N, 2) whose class is the likeliest in the cell of the grid that they lie in."""
    middles = [(x[1:] + x[:-1]) / 2 for x in lines]
    cells = (np.searchsorted(middle, place) for middle, place in zip(middles, points.T, strict=True))
    return int(np.sum(probabilities[tuple(cells)].argmax(axis=-1) == np.asarray(labels)))


def _title(right: Mapping[str, int], count: int) -> str:
    """How many points lie in the region of their class; of several models, with the least and the most."""
    if len(right) == 1:
        found = next(iter(right.values()))
        return f"{found} of {count} points lie in their class's region; the deeper the tint, the surer"
    least, most = (pick(right, key=lambda name: right[name]) for pick in (min, max))
    if right[least] == right[most]:
        return f"Each model puts {right[most]} of {count} points into their class's region"
    return f"In their class's region: {right[most]} of {count} points ({most}), {right[least]} ({least})"


def _class_look(index: int, classes: int) -> LineLook:
    """The colour and mark of a class. Of two the second is the positive one."""
    if classes == 2:
        return LineLook((NEGATIVE, POSITIVE)[index], "none", ("s", "o")[index])
    return LineLook(PALETTE[index % len(PALETTE)], "none", MARKERS[index % len(MARKERS)])


def _edges(centres: FloatArray) -> FloatArray:
    """Returns the borders of the cells around evenly spaced centres, (G,) -> (G + 1,)."""
    half = (centres[1] - centres[0]) / 2
    return np.append(centres - half, centres[-1] + half)


def region_colours(probabilities: FloatArray) -> FloatArray:
    """Returns (…, 3) colours of (…, C) probabilities: the likeliest class's, mixed with white by confidence.

    Confidence is (max p − 1/C)/(1 − 1/C): 0 for a guess, 1 for certainty. Where a probability is not finite
    the colour is white.
    """
    classes = probabilities.shape[-1]
    known = np.asarray(np.isfinite(probabilities).all(axis=-1))
    filled = np.where(known[..., None], probabilities, 0.0)
    guess = 1 / classes
    confidence = np.clip((filled.max(axis=-1) - guess) / max(1 - guess, guess), 0, 1)
    strength = np.where(known, _TINT[0] + (_TINT[1] - _TINT[0]) * confidence, 0.0)
    palette = np.array([to_rgb(_class_look(index, classes).color) for index in range(classes)])
    colours: FloatArray = 1 - strength[..., None] * (1 - palette[filled.argmax(axis=-1)])
    return colours


def _draw_regions(axes: Axes, edges: Sequence[FloatArray], scores: FloatArray) -> None:
    """Draws tinted cells and, as lines, the boundaries: where a class and its strongest rival are equal."""
    extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
    colours = region_colours(scores).transpose(1, 0, 2)
    axes.imshow(colours, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    classes = scores.shape[2]
    for index in range(classes if classes > 2 else classes - 1):
        lead = scores[..., index] - np.delete(scores, index, axis=2).max(axis=2)
        known = lead[np.isfinite(lead)]
        if known.min(initial=0) < 0 < known.max(initial=0):
            axes.contour(*centres, np.ma.masked_invalid(lead.T), levels=[0], colors=INK, linewidths=THIN)


def _draw_points(axes: Axes, points: FloatArray, labels: NDArray[np.int64], classes: int) -> None:
    size = float(np.clip(13 - 3.2 * np.log10(max(len(points), 1) / 4), 3.5, 13))
    for index in range(classes):
        look = _class_look(index, classes)
        axes.plot(
            *points[labels == index].T,
            linestyle="none",
            marker=look.marker,
            color=look.color,
            markersize=size,
            markeredgecolor=PAPER,
            markeredgewidth=0.9,
            rasterized=len(points) > _RASTERIZE,
        )
