"""Images: the weights of a linear classifier as one template per class, and the worst mistakes."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nnlab.plot.canvas import Canvas
from nnlab.plot.forms import on_a_slide, room_for
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_TICK, GRID, INK, MUTED
from nnlab.plot.text import chance, plain

DIVERGING = "RdBu_r"  # red and blue, distinct under every common colour-vision deficiency; white is zero
_WIDTH = 11.2  # inches
_ON_A_SLIDE = 12  # mistakes; more would be too small for the back row
_GAP = 0.2  # inches between pictures
_BESIDE = 2.2  # inches for a colour scale


def weight_templates(weights: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Draws the weights of softmax regression as one image per class.

    Grey images: red weights speak for the class where the pixel is bright, blue ones against it, on one scale
    with symmetric limits for all classes. Colour images: each channel's weight from −limit (dark) through 0
    (grey) to limit (bright).

    Args:
        weights: (C, 1, H, W) or (C, 3, H, W): the rows of W in image form, without the bias.
        class_names: C names.
    """
    pixels = as_numbers(weights)
    limit = symmetric_limit(pixels)
    if pixels.shape[1] == 3:
        colours, label = colormaps["gray"], "weight of a channel"
        pictures = [weights_as_colours(template, limit) for template in pixels]
    else:
        colours, label = colormaps[DIVERGING].with_extremes(bad=GRID), "weight"
        pictures = [np.ma.masked_invalid(template[0]) for template in pixels]
    norm, title = Normalize(-limit, limit), "What each class looks for: its weights as an image"
    names = [partial(plain, name) for name in class_names]
    canvas = _mosaic(title, pictures, names, 1, colours, norm, beside=_BESIDE)
    canvas.scale(_width() - _BESIDE + 0.1, 0.2, _BESIDE - 0.4, colours, norm, label)
    return canvas.figure


def symmetric_limit(weights: FloatArray) -> float:
    """Returns the largest finite absolute weight, or 1 where all are 0: colours run from −limit to limit."""
    known = np.abs(weights[np.isfinite(weights)])
    return float(known.max(initial=0.0)) or 1.0


def weights_as_colours(weights: FloatArray, limit: float) -> FloatArray:
    """Returns (3, H, W) weights as (H, W, 3) in [0, 1]: 0 and what is not finite at ½, ±limit at the ends."""
    known = np.where(np.isfinite(weights), weights, 0.0)
    return np.moveaxis(0.5 + 0.5 * known / limit, 0, -1).clip(0, 1)


def as_picture(pixels: NDArray[Any]) -> NDArray[Any]:
    """Returns pixels (C, H, W), clipped to [0, 1], as (H, W) grey or (H, W, 3) colour."""
    clipped = pixels.clip(0, 1)
    return np.moveaxis(clipped[:3], 0, -1) if len(clipped) >= 3 else clipped.mean(0)


def worst_mistakes(
    images: Sequence[NDArray[Any]],
    true: Sequence[int],
    predicted: Sequence[int],
    probability: Sequence[float],
    class_names: Sequence[str],
) -> Figure:
    """Draws misclassified examples in a grid, in the order given, with the classes and the probability.

    Args:
        images: K pictures (H, W), or (H, W, 3) in colour, in [0, 1].
        true: K class numbers.
        predicted: K class numbers.
        probability: K probabilities that the model gave to the class it predicted.
        class_names: A name per class.
    """
    count = len(images) if not on_a_slide() else min(_ON_A_SLIDE, len(images))
    if count == 0:
        canvas = Canvas("No mistakes: every example is classified right", _width(), 2.0)
        canvas.note(_width() / 2, 1.0, "no mistakes", FONT_LABEL, MUTED, "center")
        return canvas.figure
    which = "The worst mistake" if count == 1 else f"The {count} worst mistakes"
    captions = [
        partial(_mistake, class_names[t], class_names[p], share)
        for t, p, share in zip(true, predicted, probability, strict=True)
    ][:count]
    title = f"{which}: true → predicted class, with the model's probability for it"
    return _mosaic(title, images[:count], captions, 3, colormaps["gray"], Normalize(0, 1)).figure


def _width() -> float:
    """Returns the width of a picture in inches; on a slide the one that leaves its text large."""
    return room_for((_WIDTH, 1.0))[0] if on_a_slide() else _WIDTH


def _mistake(true: str, predicted: str, probability: float, letters: int) -> str:
    names = [plain(name, limit=letters - 2) for name in (true, predicted)]
    between = " → " if len(names[0]) + len(names[1]) <= letters - 3 else "\n→ "
    return f"{names[0]}{between}{names[1]}\n{chance(probability)}"


def _mosaic(
    title: str,
    pictures: Sequence[NDArray[Any]],
    captions: Sequence[Callable[[int], str]],
    caption_lines: int,
    colours: Colormap,
    norm: Normalize,
    beside: float = 0.0,
) -> Canvas:
    """Draws pictures of one size in rows, each with its caption, beside some inches that stay empty.

    A caption is a function of the number of letters that its lines have room for, at 0.62 em for each.
    """
    columns, rows = _grid(len(pictures))
    aspect = pictures[0].shape[0] / pictures[0].shape[1]
    side = min((_width() - 0.6 - beside) / columns - _GAP, 3.6, 4.5 / aspect)
    pitch = side * aspect + caption_lines * FONT_TICK * 1.25 / 72 + _GAP
    letters = max(6, int(72 * (side + 0.6 * _GAP) / (0.62 * FONT_TICK)))
    canvas = Canvas(title, _width(), max(1.3, rows * pitch + 0.1))
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = 0.3 + (index % columns) * (side + _GAP), 0.05 + (index // columns) * pitch
        canvas.picture((left, top, side, side * aspect), picture, colours, norm)
        below = top + side * aspect + 0.06
        canvas.note(left + side / 2, below, caption(letters), FONT_TICK, INK, "center", "top")
    return canvas


def _grid(count: int) -> tuple[int, int]:
    """Returns columns and rows for `count` square pictures on a wide slide, with few empty places."""
    if count <= 4:
        return max(count, 1), 1
    wanted = math.sqrt(1.9 * count)
    choices = range(math.ceil(math.sqrt(1.5 * count)), math.ceil(math.sqrt(3 * count)) + 1)
    columns = min(choices, key=lambda c: -count % c + abs(c - wanted))
    return columns, math.ceil(count / columns)
