"""Images: the weights of a linear classifier as one template per class, and the worst mistakes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_TICK, GRID, INK, WIDE, colour_bar, new_figure, nothing_to_show
from nnlab.plot.text import families, plain

_DIVERGING = "RdBu_r"  # red and blue, told apart by every common colour-vision deficiency; white is zero
_MOST_MISTAKES = 40
_WIDTH = 11.2  # inches
_GAP = 0.2  # inches between pictures


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
    pixels = _as_images(weights, "weights")
    channels = pixels.shape[1]
    if channels not in (1, 3) or len(pixels) != len(class_names):
        raise InputError(
            f"figure: weights of shape {np.shape(weights)} for {len(class_names)} class names; must be "
            "(C, H, W) or (C, 3, H, W) with one name per class"
        )
    count, limit = len(pixels), symmetric_limit(pixels)
    colours = colormaps[_DIVERGING if channels == 1 else "gray"].with_extremes(bad=GRID)
    shown = [
        np.ma.masked_invalid(template[0]) if channels == 1 else _rescaled(template, limit)
        for template in pixels
    ]
    columns, rows = _grid(count)
    layout = _Layout(columns, rows, _aspect(pixels), caption_lines=1, beside=1.2)
    figure = new_figure(title or "What each class looks for: its weights as an image", layout.size)
    axes = figure.subplots()
    scale = ScalarMappable(norm=Normalize(-limit, limit), cmap=colours)
    _mosaic(axes, layout, shown, [plain(name, limit=layout.letters) for name in class_names], scale)
    colour_bar(figure, scale, [axes], "weight" if channels == 1 else "weight of a channel")
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
        nothing_to_show(axes, "no mistakes")
        axes.set_axis_off()
        return figure
    shown = min(count, _MOST_MISTAKES)
    columns, rows = _grid(shown)
    layout = _Layout(columns, rows, _aspect(pixels), caption_lines=3, beside=0.0)
    figure = new_figure(figure_title, layout.size)
    captions = [
        _mistake(class_names[true[index]], class_names[predicted[index]], probability[index], layout.letters)
        for index in range(shown)
    ]
    grey = ScalarMappable(norm=Normalize(0, 1), cmap=colormaps["gray"])
    _mosaic(
        figure.subplots(), layout, [_displayed(image, full_scale) for image in pixels[:shown]], captions, grey
    )
    return figure


@dataclass(frozen=True)
class _Layout:
    """Pictures in rows with captions below, in inches. `aspect` is height over width of a picture."""

    columns: int
    rows: int
    aspect: float
    caption_lines: int
    beside: float  # what the colour bar needs

    @property
    def side(self) -> float:
        """The width of a picture: as wide as the slide allows, and no taller than most of it."""
        return min((_WIDTH - 0.3 - self.beside) / self.columns - _GAP, 3.6, 4.5 / self.aspect)

    @property
    def pitch(self) -> float:
        """From one row to the next."""
        return self.side * self.aspect + self.caption_lines * FONT_TICK * 1.25 / 72 + _GAP

    @property
    def letters(self) -> int:
        """How many letters a line of a caption has room for, at 0.62 em for each."""
        return max(6, int(72 * (self.side + 0.6 * _GAP) / (0.62 * FONT_TICK)))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure; 0.7 inches are for the title."""
        return _WIDTH, max(2.0, 0.7 + self.rows * self.pitch)


def _mosaic(
    axes: Axes,
    layout: _Layout,
    pictures: Sequence[NDArray[np.float64]],
    captions: Sequence[str],
    scale: ScalarMappable,
) -> None:
    """All pictures in one pair of axes, whose unit is the inch: a hundred axes would be slow to lay out."""
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = (index % layout.columns) * (layout.side + _GAP)
        top = (index // layout.columns) * layout.pitch
        height = layout.side * layout.aspect
        extent = (left, left + layout.side, top + height, top)
        image = axes.imshow(picture, extent=extent, cmap=scale.get_cmap(), interpolation="nearest")
        image.set(norm=scale.norm, in_layout=False)
        axes.add_patch(Rectangle((left, top), layout.side, height, fill=False, edgecolor=GRID, linewidth=0.8))
        note = axes.text(left + layout.side / 2, top + height + 0.06, caption, fontsize=FONT_TICK, color=INK)
        note.set(family=list(families()), ha="center", va="top", linespacing=1.15, in_layout=False)
    axes.set_xlim(-0.02, layout.columns * (layout.side + _GAP) - _GAP + 0.02)
    axes.set_ylim(layout.rows * layout.pitch, -0.02)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _aspect(pixels: FloatArray) -> float:
    return float(pixels.shape[2] / pixels.shape[3])


def _mistake(true: str, predicted: str, probability: float, letters: int) -> str:
    names = [plain(name, limit=letters - 2) for name in (true, predicted)]
    between = " → " if len(names[0]) + len(names[1]) <= letters - 3 else "\n→ "
    return f"{names[0]}{between}{names[1]}\n{chance(probability)}"


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


def _rescaled(template: FloatArray, limit: float) -> FloatArray:
    """(3, H, W) weights -> (H, W, 3) in [0, 1], zero at ½; what is not finite is shown as zero."""
    known = np.where(np.isfinite(template), template, 0.0)
    return np.moveaxis(0.5 + 0.5 * known / limit, 0, -1).clip(0, 1)


def _displayed(pixels: FloatArray, full_scale: float) -> FloatArray:
    """(C, H, W) raw values -> (H, W) grey or (H, W, 3) colour in [0, 1]."""
    scaled = np.nan_to_num(pixels / full_scale, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.moveaxis(scaled[:3], 0, -1) if len(scaled) >= 3 else scaled.mean(axis=0)


def chance(probability: float) -> str:
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
