"""The last hidden layer in two dimensions: what the network has learned to tell apart."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import (
    MARKERS,
    PALETTE,
    LineLook,
    dress,
    legend_beside,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import percent, plain

_SIZE = (11.2, 6.6)
_THUMB = 34.0  # points: side of a thumbnail
_NAMED = 20  # classes with a colour and mark of their own; those beyond share them


def representation(
    points: ArrayLike,
    labels: Sequence[int],
    class_names: Sequence[str],
    explained: Sequence[float],
    pictures: Sequence[NDArray[np.float64]] | None = None,
    title: str | None = None,
) -> Figure:
    """The examples on the first two principal components of their features, coloured by class.

    Args:
        points: (N, 2).
        labels: N class numbers.
        class_names: A name per class.
        explained: The shares of the features' variance along both axes.
        pictures: N images (H, W) or (H, W, 3) in [0, 1]; one of each class is shown in the middle of its
            class where there is room.
        title: A sentence.

    Raises:
        InputError: other shapes, or a class without a name.
    """
    places, classes = as_array(points, "the points", 2), np.asarray(labels, dtype=int)
    if places.shape != (len(classes), 2) or len(explained) != 2:
        raise InputError(
            f"figure: points of shape {places.shape}, {len(classes)} labels and {len(explained)} shares; "
            "must be (N, 2), N and 2"
        )
    if len(classes) and not (classes.min() >= 0 and classes.max() < len(class_names)):
        raise InputError(f"figure: class numbers up to {classes.max()} for {len(class_names)} class names")
    figure = new_figure(title or "The last hidden layer, seen along its two widest directions", _SIZE)
    axes = figure.subplots()
    labels_shown = [f"principal component {i}: {percent(explained[i - 1])} of the variance" for i in (1, 2)]
    dress(axes, *labels_shown)
    if not len(places):
        nothing_to_show(axes, "no examples")
        return figure
    looks = [_look(index) for index in range(len(class_names))]
    size = float(np.clip(900 / np.sqrt(len(places)) / 4, 3.0, 7.0))
    for index, look in enumerate(looks):
        own = places[classes == index]
        axes.plot(*own.T, linestyle="none", marker=look.marker, color=look.color, markersize=size, alpha=0.6,
                  markeredgewidth=0)  # fmt: skip
    named = [
        sample(look, plain(name, limit=18), line=False) for look, name in zip(looks, class_names, strict=True)
    ]
    legend_beside(axes, named[:_NAMED])
    if pictures is not None:
        figure.draw_without_rendering()  # a thumbnail's room is known once the axes have their limits
        _draw_thumbnails(axes, places, classes, pictures, looks)
    return figure


def _look(index: int) -> LineLook:
    return LineLook(PALETTE[index % len(PALETTE)], "none", MARKERS[(index // len(PALETTE)) % len(MARKERS)])


def _draw_thumbnails(
    axes: Axes,
    places: FloatArray,
    classes: NDArray[np.int_],
    pictures: Sequence[NDArray[np.float64]],
    looks: Sequence[LineLook],
) -> None:
    """For each class the example nearest to its middle, but none over another."""
    taken: list[FloatArray] = []
    room = 1.35 * _THUMB * axes.figure.dpi / 72
    for index, look in enumerate(looks[:_NAMED]):
        own = np.flatnonzero(classes == index)
        if not len(own):
            continue
        middle = np.median(places[own], axis=0)
        nearest = own[((places[own] - middle) ** 2).sum(1).argmin()]
        at = axes.transData.transform(places[nearest])
        if any(np.abs(at - other).max() < room for other in taken):
            continue
        taken.append(at)
        _draw_thumbnail(axes, places[nearest], pictures[nearest], look.color)


def _draw_thumbnail(axes: Axes, place: FloatArray, picture: NDArray[np.float64], colour: str) -> None:
    zoom = _THUMB / max(picture.shape[:2])
    image = OffsetImage(picture, zoom=zoom, cmap=colormaps["gray"], norm=Normalize(0, 1))
    image.image.set_interpolation("nearest")
    box = AnnotationBbox(image, tuple(place), pad=0.12)
    box.patch.set(edgecolor=colour, linewidth=2.4)
    axes.add_artist(box)
