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

from nnlab.plot.canvas import ACROSS, Canvas
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_TICK, GRID, INK, MUTED, SIGNED
from nnlab.plot.text import chance, literal, number, plain

_MOST = 12  # mistakes; more would be too small for the back row
_GAP = 0.2  # inches between pictures
_SCALE = 0.75  # inches for a colour scale
_LEAST = 0.7  # inches of a picture


def weight_templates(weights: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Draws the weights of softmax regression as one image per class.

    Grey images: blue weights speak for the class where the pixel is bright, vermillion ones against it, on
    one scale with symmetric limits for all classes. Colour images: each channel's weight from −limit (dark)
    through 0 (grey) to limit (bright).

    Args:
        weights: (C, 1, H, W) or (C, 3, H, W): the rows of W in image form, without the bias.
        class_names: C names.
    """
    pixels = as_numbers(weights)
    limit = symmetric_limit(pixels)
    sizes = np.abs(np.where(np.isfinite(pixels), pixels, 0.0)).reshape(len(pixels), -1).max(axis=1)
    strongest = literal(class_names[int(sizes.argmax())], 24)
    if pixels.shape[1] == 3:
        colours: Colormap = colormaps["gray"]
        label, bright = "weight of a channel", "bright colours speak for a class, dark ones against it"
        pictures = [weights_as_colours(template, limit) for template in pixels]
    else:
        colours = SIGNED.with_extremes(bad=GRID)
        label, bright = "weight", "blue pixels speak for a class, vermillion ones against it"
        pictures = [np.ma.masked_invalid(template[0]) for template in pixels]
    norm = Normalize(-limit, limit)
    title = f"Each class's weights as an image: {bright}, by up to {number(limit, 2)} (class {strongest})"
    names = [partial(plain, name) for name in class_names]
    canvas = _mosaic(title, pictures, names, 1, colours, norm, below=_SCALE)
    canvas.scale(0.3, canvas.height - _SCALE + 0.12, 2.2, colours, norm, label)
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
    count = min(_MOST, len(images))
    if count == 0:
        canvas = Canvas("No mistakes: every example is classified right")
        canvas.note(ACROSS / 2, canvas.height / 2, "no mistakes", FONT_LABEL, MUTED, "center")
        return canvas.figure
    which = "The mistake" if count == 1 else f"Of the {count} surest mistakes the first"
    captions = [
        partial(_mistake, class_names[t], class_names[p], share)
        for t, p, share in zip(true, predicted, probability, strict=True)
    ][:count]
    names = [literal(class_names[of[0]], 24) for of in (true, predicted)]
    title = f"{which} takes {names[0]} for {names[1]} with {chance(probability[0])} (true → predicted)"
    return _mosaic(title, images[:count], captions, 3, colormaps["gray"], Normalize(0, 1)).figure


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
    below: float = 0.0,
) -> Canvas:
    """Draws pictures of one size in rows, each with its caption, above some inches that stay empty.

    A caption is a function of the number of letters that its lines have room for, at 0.62 em for each.
    """
    canvas = Canvas(title)
    aspect, words = pictures[0].shape[0] / pictures[0].shape[1], caption_lines * FONT_TICK * 1.25 / 72 + _GAP

    def side_of(columns: int) -> float:
        high = (canvas.height - below - 0.05) / math.ceil(len(pictures) / columns) - words
        return float(min((ACROSS - 0.6 + _GAP) / columns - _GAP, high / aspect))

    columns = max(range(1, len(pictures) + 1), key=side_of)
    side = max(side_of(columns), _LEAST)
    pitch = side * aspect + words
    rows = math.ceil(len(pictures) / columns)
    if side == _LEAST:  # what is more than fits makes the figure larger
        columns = int((ACROSS - 0.6 + _GAP) / (side + _GAP))
        rows = math.ceil(len(pictures) / columns)
        canvas = Canvas(title, least=rows * pitch + below + 0.1)
    letters = max(6, int(72 * (side + 0.6 * _GAP) / (0.62 * FONT_TICK)))
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = 0.3 + (index % columns) * (side + _GAP), 0.05 + (index // columns) * pitch
        canvas.picture((left, top, side, side * aspect), picture, colours, norm)
        below = top + side * aspect + 0.06
        canvas.note(left + side / 2, below, caption(letters), FONT_TICK, INK, "center", "top")
    return canvas
