"""Images: the weights of a linear classifier as one template per class, and the worst mistakes."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.figures.scales import FloatArray, as_numbers
from nnlab.figures.style import (
    FONT_TICK,
    GRID,
    INK,
    WIDE,
    bare,
    colour_bar,
    new_figure,
    nothing_to_show,
)
from nnlab.figures.text import families, plain

_DIVERGING = "RdBu_r"  # red and blue, told apart by every common colour-vision deficiency; white is zero
_MOST_MISTAKES = 40
_WIDTH = 11.2  # inches


def weight_templates(weights: ArrayLike, class_names: Sequence[str], title: str | None = None) -> Figure:
    """The weights of softmax regression as one image per class.

    Grey images: red weights speak for the class where the pixel is bright, blue ones against it, on one scale
    with symmetric limits for all classes. Colour images: each channel's weight from −limit (dark) through 0
    (grey) to limit (bright).

    Args:
        weights: (C, H, W), (C, 1, H, W) or (C, 3, H, W): the rows of W in image form, without the bias.
        class_names: C names.
        title: A sentence.

    Raises:
        InputError: another shape, or not as many names as classes.
    """
    channels_first = _as_images(weights, "weights")
    count, channels = channels_first.shape[:2]
    if channels not in (1, 3) or count != len(class_names):
        raise InputError(
            f"figure: weights of shape {np.shape(weights)} for {len(class_names)} class names; must be "
            "(C, H, W) or (C, 3, H, W) with one name per class"
        )
    default = "What each class looks for: its weights as an image"
    columns, rows = _grid(count)
    figure = new_figure(title or default, _grid_size(columns, rows, caption=0.3, bar=1.2))
    limit = symmetric_limit(channels_first)
    panels = figure.subplots(rows, columns, squeeze=False)
    colours = colormaps[_DIVERGING if channels == 1 else "gray"].with_extremes(bad=GRID)
    for axes, template, name in zip(panels.flat, channels_first, class_names, strict=False):
        bare(axes)
        if channels == 1:
            axes.imshow(
                np.ma.masked_invalid(template[0]),
                cmap=colours,
                vmin=-limit,
                vmax=limit,
                interpolation="nearest",
            )
        else:
            axes.imshow(_rescaled(template, limit), interpolation="nearest")
        _caption(axes, name, columns)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    scale = ScalarMappable(norm=Normalize(-limit, limit), cmap=colours)
    colour_bar(figure, scale, list(panels.flat), "weight" if channels == 1 else "weight of a channel")
    return figure


def symmetric_limit(weights: FloatArray) -> float:
    """The largest finite absolute weight, or 1 where all are 0: the colours run from −limit to limit."""
    known = np.abs(weights[np.isfinite(weights)])
    return float(known.max(initial=0.0)) or 1.0


def worst_mistakes(
    images: ArrayLike,
    true: Sequence[int],
    predicted: Sequence[int],
    probability: Sequence[float],
    class_names: Sequence[str],
    title: str | None = None,
    *,
    full_scale: float = 1.0,
) -> Figure:
    """Misclassified examples in a grid, in the order given, with the classes and the probability.

    Args:
        images: (K, C, H, W) raw pixel values from 0 to `full_scale`; C = 1 grey, C = 3
            red, green, blue.
        true: K class numbers.
        predicted: K class numbers.
        probability: K probabilities that the model gave to the class it predicted.
        class_names: A name per class.
        title: A sentence.
        full_scale: The pixel value of white: 16 for scikit-learn's digits, 255 for bytes.

    Raises:
        InputError: the lengths differ, a class number has no name, or the images have another shape.
    """
    pixels = _as_images(images, "images")
    count = len(pixels)
    if not len(true) == len(predicted) == len(probability) == count:
        lengths = (
            f"{count} images, {len(true)} true, {len(predicted)} predicted, {len(probability)} probabilities"
        )
        raise InputError(f"figure: {lengths}; must be as many of each")
    _check_classes([*true, *predicted], len(class_names))
    figure_title = title or _mistakes_title(count)
    if count == 0:
        figure = new_figure(figure_title, WIDE)
        axes = figure.subplots()
        bare(axes)
        nothing_to_show(axes, "no mistakes")
        return figure
    shown = min(count, _MOST_MISTAKES)
    columns, rows = _grid(shown)
    figure = new_figure(figure_title, _grid_size(columns, rows, caption=0.72, bar=0.0))
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[shown:]:
        axes.set_axis_off()
    for index, axes in enumerate(panels.flat[:shown]):
        bare(axes)
        axes.imshow(
            _displayed(pixels[index], full_scale), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        names = [plain(class_names[label], limit=14) for label in (true[index], predicted[index])]
        between = " → " if len(names[0]) + len(names[1]) <= 12 else "\n→ "
        caption = f"{names[0]}{between}{names[1]}\n{_chance(probability[index])}"
        axes.set_xlabel(caption, fontsize=FONT_TICK, family=list(families()), color=INK, labelpad=3)
    return figure


def _as_images(values: ArrayLike, what: str) -> FloatArray:
    """(K, C, H, W) float64 from that or from (K, H, W)."""
    array = as_numbers(values, what)
    if array.ndim == 3:
        array = array[:, None]
    if array.size == 0 and array.shape[:1] in ((), (0,)):
        return np.zeros((0, 1, 1, 1))
    if array.ndim != 4 or array.size == 0:
        raise InputError(f"figure: {what} must have the shape (K, C, H, W) or (K, H, W), not {array.shape}")
    return array


def _check_classes(labels: Sequence[int], classes: int) -> None:
    for label in labels:
        if not 0 <= label < classes:
            raise InputError(f"figure: class number {label} has no name; there are {classes} names, from 0")


def _grid(count: int) -> tuple[int, int]:
    """Columns and rows for `count` square pictures on a wide slide, with few places left empty."""
    if count <= 4:
        return max(count, 1), 1
    wanted = math.sqrt(1.9 * count)
    choices = range(math.ceil(math.sqrt(1.5 * count)), math.ceil(math.sqrt(3 * count)) + 1)
    columns = min(choices, key=lambda c: -count % c + abs(c - wanted))
    return columns, math.ceil(count / columns)


def _grid_size(columns: int, rows: int, *, caption: float, bar: float) -> tuple[float, float]:
    """Inches: square pictures side by side, each with a caption; `bar` is the width of the colour bar."""
    side = min((_WIDTH - bar) / columns - 0.2, 3.6)
    return _WIDTH, 0.75 + rows * (side + caption + 0.15)


def _caption(axes: Axes, name: str, columns: int) -> None:
    letters = max(6, int(72 * _WIDTH / columns / (0.62 * FONT_TICK)))
    axes.set_title(plain(name, limit=letters), fontsize=FONT_TICK, family=list(families()), color=INK, pad=4)


def _rescaled(template: FloatArray, limit: float) -> FloatArray:
    """(3, H, W) weights -> (H, W, 3) in [0, 1], zero at ½; what is not finite is shown as zero."""
    known = np.where(np.isfinite(template), template, 0.0)
    return np.moveaxis(0.5 + 0.5 * known / limit, 0, -1).clip(0, 1)


def _displayed(pixels: FloatArray, full_scale: float) -> FloatArray:
    """(C, H, W) raw values -> (H, W) grey or (H, W, 3) colour in [0, 1]."""
    scaled = np.nan_to_num(pixels / full_scale, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.moveaxis(scaled[:3], 0, -1) if len(scaled) >= 3 else scaled.mean(axis=0)


def _chance(probability: float) -> str:
    """The probability in percent, without claiming a certainty that it is not: 0.99999 is '> 99.9 %'."""
    if not math.isfinite(probability):
        return "probability unknown"
    if 0.999 < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if 0.99 < probability < 1 else f"{100 * probability:.0f} %"


def _mistakes_title(count: int) -> str:
    if count == 0:
        return "No mistakes: every example is classified right"
    if count == 1:
        return "The worst mistake: true → predicted class, with the model's probability for it"
    shown = min(count, _MOST_MISTAKES)
    return f"The {shown} worst mistakes: true → predicted class, with the model's probability for it"
