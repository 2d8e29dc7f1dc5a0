"""A filter slides over an image: at each place one dot product, together one activation map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas, box_of, cell_font, short
from nnlab.plot.scales import FloatArray, as_array, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_NOTE, INK, MUTED, PALETTE, darker
from nnlab.plot.text import plain, width_in_points

DIVERGING = "RdBu_r"
_SIZE = (12.8, 5.5)
_SIDE = 3.45  # inches of image and map
_MIDDLE = 4.6  # where the numbers begin
_RIGHT = 9.1  # where the map begins
_TOP = 0.62
_MOST_WRITTEN = 5  # a larger filter is shown by colours alone
_MARKS = (PALETTE[1], PALETTE[2], PALETTE[3])
_CHANNELS = {1: ("",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class Place:
    """One place of the filter: row and column of the activation map, and the window's corner in the input."""

    row: int
    column: int
    top: int
    left: int


def sliding_filter(
    picture: ArrayLike,
    inputs: ArrayLike,
    weights: ArrayLike,
    bias: float,
    activation_map: ArrayLike,
    places: Sequence[tuple[int, int]],
    *,
    stride: int = 1,
    padding: int = 0,
    name: str = "filter",
    title: str | None = None,
) -> Figure:
    """An image with a few windows, the dot product of the first one written out, and the activation map.

    The map's value at (r, c) is Σ w·x over channels and the window whose corner is (r·stride − padding,
    c·stride − padding), plus the bias: cross-correlation, as every library calls convolution.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1], the image as people see it.
        inputs: (C, H, W), the numbers that the filter meets; C is 1 or 3.
        weights: (C, k, k), one filter.
        bias: added to every dot product.
        activation_map: (h, w), all dot products with the bias.
        places: one to three (row, column) of the map, the one to be written out first; their windows must
            lie inside the image.
        stride: pixels between neighbouring windows.
        padding: zeros around the image.
        name: of the filter.
        title: A sentence.

    Raises:
        InputError: another shape, or a window that is not inside the image.
    """
    numbers, filter_ = as_array(inputs, "the inputs", 3), as_array(weights, "the filter", 3)
    answers = as_array(activation_map, "the activation map", 2)
    if len(numbers) not in _CHANNELS or len(filter_) != len(numbers) or filter_.shape[1] != filter_.shape[2]:
        raise InputError(
            f"figure: inputs of shape {numbers.shape} and a filter of shape {filter_.shape}; must be "
            "(C, H, W) and (C, k, k) with 1 or 3 channels"
        )
    found = _windows(places, numbers, filter_, answers, stride, padding)
    canvas = Canvas(title or "A filter slides over the image: at each place, one dot product", *_SIZE)
    side = filter_.shape[1]
    _draw_image(canvas, as_numbers(picture, "the picture"), found, side)
    _draw_product(canvas, numbers, filter_, bias, found[0], name)
    _draw_map(canvas, answers, found)
    return canvas.figure


def _windows(
    places: Sequence[tuple[int, int]],
    numbers: FloatArray,
    filter_: FloatArray,
    answers: FloatArray,
    stride: int,
    padding: int,
) -> list[Place]:
    if not 1 <= len(places) <= len(_MARKS):
        raise InputError(f"figure: {len(places)} places for the filter; must be 1 to {len(_MARKS)}")
    side = filter_.shape[1]
    found = [Place(r, c, r * stride - padding, c * stride - padding) for r, c in places]
    for place in found:
        inside = 0 <= place.top <= numbers.shape[1] - side and 0 <= place.left <= numbers.shape[2] - side
        if not (inside and 0 <= place.row < answers.shape[0] and 0 <= place.column < answers.shape[1]):
            raise InputError(
                f"figure: the window at ({place.row}, {place.column}) of the map is not inside the image"
            )
    return found


def _draw_image(canvas: Canvas, picture: NDArray[np.float64], places: Sequence[Place], side: int) -> None:
    height, width = picture.shape[:2]
    across, down = box_of((height, width), (_SIDE, _SIDE))
    pixel = across / width
    left, top = 0.3, _TOP
    canvas.heading(left, f"image, {height} × {width} pixels")
    canvas.picture((left, top, across, down), picture, colormaps["gray"], Normalize(0, 1))
    for place, letter, colour in zip(places, "ABC", _MARKS, strict=False):
        x, y = left + place.left * pixel, top + place.top * pixel
        canvas.frame((x, y, side * pixel, side * pixel), colour, 2.6)
        canvas.letter(x, y - 0.02, letter, colour)
    words = f"window: {side} × {side} pixels" + (", all colours" if picture.ndim == 3 else "")
    canvas.note(left, top + down + 0.25, words, FONT_NOTE, MUTED)


def _draw_product(
    canvas: Canvas, numbers: FloatArray, filter_: FloatArray, bias: float, place: Place, name: str
) -> None:
    """Window and filter channel by channel, with the sum of products of each, and the sum of all."""
    channels, side = len(filter_), filter_.shape[1]
    window = numbers[:, place.top : place.top + side, place.left : place.left + side]
    rows = 2 if channels == 1 else channels  # a grey image has room for the products themselves
    cell = min(1.5, 4.05 / rows - 0.22) / side
    step, right = side * cell + 0.22, _MIDDLE + side * cell + 0.42
    written = side <= _MOST_WRITTEN
    canvas.heading(_MIDDLE, "window A")
    canvas.heading(right, plain(name, limit=16))
    sums = (window * filter_).sum((1, 2))
    size = min(cell_font(cell, window), cell_font(cell, filter_))
    for channel, label in enumerate(_CHANNELS[channels]):
        y = _TOP + channel * step
        canvas.cells(_MIDDLE, y, cell, window[channel], *_scale(window), written=written, size=size)
        canvas.cells(right, y, cell, filter_[channel], *_scale(filter_), written=written, size=size)
        middle = y + side * cell / 2
        canvas.note(right - 0.21, middle, "·", 24, INK, "center")
        canvas.note(_MIDDLE - 0.1, middle, label, FONT_NOTE, MUTED, "right")
        if channels > 1:
            canvas.note(right + side * cell + 0.12, middle, f"= {short(sums[channel])}", FONT_LABEL)
    if channels == 1:
        products, y = window[0] * filter_[0], _TOP + step + 0.3
        canvas.note(_MIDDLE, y - 0.18, "number times number", FONT_NOTE, MUTED)
        canvas.cells(_MIDDLE, y, cell, products, *_scale(products), written=written, size=size)
        canvas.note(right - 0.21, y + side * cell / 2, f"their sum: {short(sums[0])}", FONT_LABEL)
    y = _TOP + rows * step + (0.42 if channels == 1 else 0.12)
    answer = float(sums.sum() + bias)
    text, room = _sum(sums, bias, answer), 72 * (_RIGHT - _MIDDLE - 0.2)
    size = FONT_LABEL * min(1.0, room / (1.1 * width_in_points(text, FONT_LABEL)))  # bold is wider
    canvas.note(_MIDDLE, y, text, size, darker(_MARKS[0]), bold=True)
    canvas.note(_MIDDLE, y + 0.3, "pixels as the network gets them: standardized", FONT_NOTE, MUTED)


def _scale(values: FloatArray) -> tuple[Colormap, Normalize]:
    limit = float(np.abs(values).max()) or 1.0
    return colormaps[DIVERGING], Normalize(-limit, limit)


def _sum(sums: FloatArray, bias: float, answer: float) -> str:
    """The sum as it is done by hand: 1.20 − 0.31 + 0.05 + bias 0.10 = 1.04."""
    text = short(float(sums[0]))
    for term in map(float, sums[1:]):
        text += f" {'−' if term < 0 else '+'} {short(abs(term))}"
    if bias:
        text += f" {'−' if bias < 0 else '+'} {short(abs(bias))} (bias)"
    return f"{text} = {short(answer)}"


def _draw_map(canvas: Canvas, answers: FloatArray, places: Sequence[Place]) -> None:
    height, width = answers.shape
    across, down = box_of((height, width), (_SIDE, _SIDE))
    pixel, top = across / width, _TOP
    colours, norm = _scale(answers)
    canvas.heading(_RIGHT, f"activation map, {height} × {width}")
    canvas.picture((_RIGHT, top, across, down), answers, colours, norm)
    canvas.scale(_RIGHT, top + down + 0.25, across, colours, norm, "dot product plus bias")
    for place, letter, colour in zip(places, "ABC", _MARKS, strict=False):
        x, y = _RIGHT + place.column * pixel, top + place.row * pixel
        canvas.frame((x, y, pixel, pixel), colour, 2.6)
        value = short(float(answers[place.row, place.column]))
        beyond = place.column > width / 2
        canvas.letter(
            x + beyond * pixel, y - 0.02, f"{letter} {value}", colour, "right" if beyond else "left"
        )
