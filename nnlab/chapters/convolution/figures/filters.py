"""Filters at work: their weights as images, the dot products of one as it slides, and pooling of a map."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.canvas import Canvas, box_of, cell_font, short
from nnlab.plot.images import DIVERGING, symmetric_limit, weights_as_colours
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_NOTE, INK, MUTED, PALETTE, PAPER, darker
from nnlab.plot.text import number, plain, width_in_points

_TOP = 0.62  # inches from the title to the pictures

# --- filters as images ----------------------------------------------------------------------------------

MOST = 64
_FILTERS_WIDTH = 11.6  # inches
_FILTERS_HEIGHT = 5.3
_BESIDE = 3.0  # for the scale
_SPREAD = 6.0  # filters whose largest weights differ by more are shown each on a scale of its own


def filter_images(weights: ArrayLike) -> Figure:
    """Draws the filters of a layer that reads an image, each as an image: the first 64.

    One channel: red weights are positive, blue ones negative. Three: the weights of red, green and blue are
    that colour's brightness, with zero at middle grey. All are on one scale, unless the largest weight of
    one is more than six times that of another: then each has its own, and the number below it is its end.

    Args:
        weights: (F, C, k, k) with C 1 or 3.
    """
    filters = as_numbers(weights)
    count, channels, height, width = filters.shape
    filters = filters[:MOST]
    aspect = height / width
    limits = np.array([symmetric_limit(one) for one in filters])
    own = float(limits.max() / limits.min()) > _SPREAD
    gap, below = 0.1, 0.26 if own else 0.1
    columns, side = _columns(len(filters), aspect, below)
    pitch = side * aspect + below
    rows = math.ceil(len(filters) / columns)
    beside = 0.3 + columns * (side + gap) + 0.25
    size = max(9.5, beside + _BESIDE - 0.6), max(2.6, rows * pitch + 0.35)
    canvas = Canvas(_filters_title(count, channels, height, width), *size)
    for index, one in enumerate(filters):
        box = (0.3 + (index % columns) * (side + gap), 0.2 + (index // columns) * pitch, side, side * aspect)
        reach = float(limits[index] if own else limits.max())
        picture = one[0] if channels == 1 else weights_as_colours(one, reach)
        canvas.picture(box, picture, colormaps[DIVERGING], Normalize(-reach, reach))
        if own:
            canvas.note(box[0] + side / 2, box[1] + box[3] + 0.1, short(reach), 9.0, INK, "center")
    _explain(canvas, beside, channels, None if own else float(limits.max()))
    return canvas.figure


def _columns(count: int, aspect: float, below: float) -> tuple[int, float]:
    """Returns columns and the width of a filter: as large as fits, at most 1.3 inches."""

    def side(columns: int) -> float:
        high = (_FILTERS_HEIGHT / math.ceil(count / columns) - below) / aspect
        return min((_FILTERS_WIDTH - _BESIDE) / columns - 0.1, high, 1.3)

    columns = max(range(1, count + 1), key=side)
    return columns, side(columns)


def _explain(canvas: Canvas, left: float, channels: int, limit: float | None) -> None:
    if channels == 1:
        lines = ["red: bright pixels here", "raise the output", "blue: they lower it"]
    else:
        lines = ["weights of red, green", "and blue as brightness", "of these colours;", "grey is zero"]
    for index, line in enumerate(lines):
        canvas.note(left, 0.35 + 0.24 * index, line, FONT_NOTE, MUTED)
    top = 0.35 + 0.24 * len(lines) + 0.2
    if limit is None:
        for index, line in enumerate(("each on its own scale;", "below: its largest weight")):
            canvas.note(left, top + 0.24 * index, line, FONT_NOTE, INK)
        return
    colours = colormaps[DIVERGING if channels == 1 else "gray"]
    canvas.scale(left, top, 1.9, colours, Normalize(-limit, limit), "weight, all filters")


def _filters_title(count: int, channels: int, height: int, width: int) -> str:
    kind = "colour " if channels == 3 else ""
    of = f"{count}" if count <= MOST else f"first {MOST} of {number(count, 6)}"
    size = f"{height} × {width}" + (" × 3" if channels == 3 else "")
    if count == 1:
        return f"What the first layer looks for: its one filter of {size} weights as an image"
    return f"What the first layer looks for: its {of} filters of {size} weights as {kind}images"


# --- a filter slides over an image ----------------------------------------------------------------------

_SLIDING_SIDE = 3.45  # inches of image and map
_MIDDLE = 4.6  # where the numbers begin
_RIGHT = 9.1  # where the map begins
_MOST_WRITTEN = 5  # a larger filter is shown by colours alone
_MARKS = (PALETTE[1], PALETTE[2], PALETTE[3])
_CHANNELS = {1: ("",), 3: ("red", "green", "blue")}


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
) -> Figure:
    """Draws an image with a few windows, the dot product of the first written out, and the activation map.

    The map's value at (r, c) is Σ w·x over channels and the window whose corner is (r·stride − padding,
    c·stride − padding), plus the bias: cross-correlation, as every library calls convolution.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1], the image as people see it.
        inputs: (C, H, W), the numbers that the filter meets; C is 1 or 3.
        weights: (C, k, k), one filter.
        bias: Added to every dot product.
        activation_map: (h, w), all dot products with the bias.
        places: One to three (row, column) of the map, the first to be written out; their windows lie inside
            the image.
        stride: Pixels between neighbouring windows.
        padding: Zeros around the image.
        name: Of the filter.
    """
    filter_, values = as_numbers(weights), as_numbers(activation_map)
    corners = [(r * stride - padding, c * stride - padding) for r, c in places]
    canvas = Canvas("A filter slides over the image: at each place, one dot product", 12.8, 5.5)
    _draw_image(canvas, as_numbers(picture), corners, filter_.shape[1])
    _draw_product(canvas, as_numbers(inputs), filter_, bias, corners[0], name)
    _draw_map(canvas, values, places)
    return canvas.figure


def _draw_image(canvas: Canvas, picture: FloatArray, corners: Sequence[tuple[int, int]], side: int) -> None:
    height, width = picture.shape[:2]
    across, down = box_of((height, width), (_SLIDING_SIDE, _SLIDING_SIDE))
    pixel = across / width
    left, top = 0.3, _TOP
    canvas.heading(left, f"image, {height} × {width} pixels")
    canvas.picture((left, top, across, down), picture, colormaps["gray"], Normalize(0, 1))
    for (row, column), letter, colour in zip(corners, "ABC", _MARKS, strict=False):
        x, y = left + column * pixel, top + row * pixel
        canvas.frame((x, y, side * pixel, side * pixel), colour, 2.6)
        canvas.letter(x, y - 0.02, letter, colour)
    words = f"window: {side} × {side} pixels" + (", all colours" if picture.ndim == 3 else "")
    canvas.note(left, top + down + 0.25, words, FONT_NOTE, MUTED)


def _draw_product(
    canvas: Canvas, inputs: FloatArray, filter_: FloatArray, bias: float, corner: tuple[int, int], name: str
) -> None:
    """Draws window and filter channel by channel, with the sum of products of each and of all."""
    channels, side = len(filter_), filter_.shape[1]
    window = inputs[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
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
        canvas.note(_MIDDLE, y - 0.18, "the products", FONT_NOTE, MUTED)
        canvas.cells(_MIDDLE, y, cell, products, *_scale(products), written=written, size=size)
        canvas.note(right - 0.21, y + side * cell / 2, f"their sum: {short(sums[0])}", FONT_LABEL)
    y = _TOP + rows * step + (0.42 if channels == 1 else 0.12)
    total = float(sums.sum() + bias)
    text, room = _sum(sums, bias, total), 72 * (_RIGHT - _MIDDLE - 0.2)
    size = FONT_LABEL * min(1.0, room / (1.1 * width_in_points(text, FONT_LABEL)))  # bold is wider
    canvas.note(_MIDDLE, y, text, size, darker(_MARKS[0]), bold=True)
    canvas.note(_MIDDLE, y + 0.3, "standardized pixels, the input of the network", FONT_NOTE, MUTED)


def _scale(values: FloatArray) -> tuple[Colormap, Normalize]:
    limit = symmetric_limit(values)
    return colormaps[DIVERGING], Normalize(-limit, limit)


def _sum(sums: FloatArray, bias: float, total: float) -> str:
    """Returns the sum as written by hand: 1.20 − 0.31 + 0.05 + bias 0.10 = 1.04."""
    text = short(float(sums[0]))
    for term in map(float, sums[1:]):
        text += f" {'−' if term < 0 else '+'} {short(abs(term))}"
    if bias:
        text += f" {'−' if bias < 0 else '+'} {short(abs(bias))} (bias)"
    return f"{text} = {short(total)}"


def _draw_map(canvas: Canvas, values: FloatArray, places: Sequence[tuple[int, int]]) -> None:
    height, width = values.shape
    across, down = box_of((height, width), (_SLIDING_SIDE, _SLIDING_SIDE))
    pixel, top = across / width, _TOP
    colours, norm = _scale(values)
    canvas.heading(_RIGHT, f"activation map, {height} × {width}")
    canvas.picture((_RIGHT, top, across, down), values, colours, norm)
    canvas.scale(_RIGHT, top + down + 0.25, across, colours, norm, "dot product plus bias")
    for (row, column), letter, colour in zip(places, "ABC", _MARKS, strict=False):
        x, y = _RIGHT + column * pixel, top + row * pixel
        canvas.frame((x, y, pixel, pixel), colour, 2.6)
        value = short(float(values[row, column]))
        beyond = column > width / 2
        canvas.letter(
            x + beyond * pixel, y - 0.02, f"{letter} {value}", colour, "right" if beyond else "left"
        )


# --- pooling --------------------------------------------------------------------------------------------

_POOLING_SIDE = 3.7  # inches of the map before
_WINDOWS = PALETTE[1:5]
_BEFORE = ("before", "frame: the part in numbers")
_AFTER = ("after", "pixels drawn at the same size")
_MOST_LINES = 40  # windows along a side that are drawn as lines


def pooling_step(
    before: ArrayLike, after: ArrayLike, corner: tuple[int, int], *, kernel: int = 2, kind: str = "max"
) -> Figure:
    """Draws a map before and after pooling with windows side by side, and four of its windows in numbers.

    Args:
        before: (H, W).
        after: (⌊H/k⌋, ⌊W/k⌋).
        corner: Row and column in `after` of the first of the 2 × 2 windows to be written out.
        kernel: k, the side of a window and the step to the next.
        kind: `max` or `mean`.
    """
    large, small = as_numbers(before), as_numbers(after)
    row, column = corner
    values = small[row : row + 2, column : column + 2]
    word = "largest" if kind == "max" else "mean"
    sizes = f"{large.shape[0]} × {large.shape[1]} becomes {small.shape[0]} × {small.shape[1]}"
    title = f"Pooling keeps the {word} value of every {kernel} × {kernel} window: {sizes}"
    canvas = Canvas(title, 12.8, 4.9)
    scale = _activation_scale(np.concatenate([large.ravel(), small.ravel()]))
    pixel = box_of(large.shape, (_POOLING_SIDE, _POOLING_SIDE))[0] / large.shape[1]
    frame = (row, column, *values.shape)
    _draw_framed(canvas, 0.3, large, pixel, [kernel * side for side in frame], scale, _BEFORE)
    _draw_windows(canvas, 0.3, (small.shape[0], small.shape[1]), kernel * pixel)
    top, left, height, width = (kernel * side for side in frame)
    _draw_numbers(canvas, large[top : top + height, left : left + width], values, kernel, kind, scale)
    _draw_framed(canvas, 9.55, small, pixel, frame, scale, _AFTER)
    return canvas.figure


def _activation_scale(values: FloatArray) -> tuple[Colormap, Normalize]:
    """Returns colours for activations: blue to red through white at 0, or dark to bright from 0."""
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    if low < 0:
        return _scale(known)
    return colormaps["viridis"], Normalize(0.0, high or 1.0)


def _draw_framed(
    canvas: Canvas,
    left: float,
    values: FloatArray,
    pixel: float,
    frame: Sequence[int],
    scale: tuple[Colormap, Normalize],
    words: tuple[str, str],
) -> None:
    """Draws a map with pixels of a side in inches, a frame (row, column, rows, columns), and words."""
    height, width = values.shape
    canvas.heading(left, f"{words[0]}, {height} × {width}")
    canvas.picture((left, _TOP, width * pixel, height * pixel), values, *scale)
    row, column, rows, columns = (pixel * side for side in frame)
    canvas.frame((left + column, _TOP + row, columns, rows), _MARKS[0], 2.8)
    canvas.note(left, _TOP + height * pixel + 0.24, words[1], FONT_NOTE, MUTED)


def _draw_windows(canvas: Canvas, left: float, count: tuple[int, int], side: float) -> None:
    """Draws the borders of (rows, columns) windows of a side in inches, where they are not too many."""
    if max(count) > _MOST_LINES:
        return
    across, down = left + side * np.arange(count[1] + 1), _TOP + side * np.arange(count[0] + 1)
    canvas.axes.hlines(down, across[0], across[-1], color=PAPER, linewidth=0.8)
    canvas.axes.vlines(across, down[0], down[-1], color=PAPER, linewidth=0.8)


def _draw_numbers(
    canvas: Canvas,
    crop: FloatArray,
    values: FloatArray,
    kernel: int,
    kind: str,
    scale: tuple[Colormap, Normalize],
) -> None:
    """Draws windows (2k, 2k) in numbers, and the values (2, 2) that pooling makes of them."""
    rows, columns = values.shape
    left, cell, largest = 4.45, min(0.62, 2.5 / (2 * kernel)), []
    for r, c in np.ndindex(rows, columns):
        window = crop[r * kernel : (r + 1) * kernel, c * kernel : (c + 1) * kernel]
        i, j = divmod(int(window.argmax()), kernel)
        largest.append((r * kernel + i, c * kernel + j))
    canvas.heading(left, "the part in the frame")
    canvas.cells(left, _TOP, cell, crop, *scale, bold=largest if kind == "max" else ())
    side = kernel * cell
    start, middle = left + columns * side + 0.12, _TOP + rows * side / 2
    canvas.arrow((start, middle), (start + 0.5, middle))
    canvas.note(start + 0.25, middle - 0.2, kind, FONT_NOTE, MUTED, "center")
    right, small = start + 0.62, min(0.7, cell * 1.1)
    top = middle - rows * small / 2
    canvas.cells(right, top, small, values, *scale, bold=list(np.ndindex(*values.shape)))
    for colour, (r, c) in zip(_WINDOWS, np.ndindex(2, 2), strict=True):
        if r < rows and c < columns:
            canvas.frame((left + c * side, _TOP + r * side, side, side), colour, 3.0)
            box = (right + c * small + 0.02, top + r * small + 0.02, small - 0.04, small - 0.04)
            canvas.frame(box, colour, 3.0)
    canvas.scale(4.45, _TOP + 3.1, 2.5, *scale, "activation")
