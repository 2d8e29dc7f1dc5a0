"""Filters at work: their weights as images, the dot products of one as it slides, and pooling of a map."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.canvas import ACROSS, Canvas, box_of, cell_font, short
from nnlab.plot.images import symmetric_limit, weights_as_colours
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_NOTE, INK, MUTED, PALETTE, PAPER, SIGNED, darker
from nnlab.plot.text import number, plain, width_in_points

# --- filters as images ----------------------------------------------------------------------------------

MOST, MOST_WRITTEN = 64, 24  # filters on one figure, without and with a number below each
_WORDS = 1.15  # inches for the scale and what its colours mean
_SPREAD = 6.0  # filters whose largest weights differ by more are shown each on a scale of its own
_BETWEEN = 0.1  # inches


def filter_images(weights: ArrayLike) -> Figure:
    """Draws the filters of a layer that reads an image, each as an image: the first 64.

    One channel: blue weights are positive, vermillion ones negative. Three: the weights of red, green and
    blue are that colour's brightness, with zero at middle grey. All are on one scale, unless the largest
    weight of one is more than six times that of another: then each has its own, and the number below it is
    its end.

    Args:
        weights: (F, C, k, k) with C 1 or 3.
    """
    filters = as_numbers(weights)
    count, channels, height, width = filters.shape
    limits = np.array([symmetric_limit(one) for one in filters[:MOST]])
    own = float(limits.max() / limits.min()) > _SPREAD
    filters = filters[: MOST_WRITTEN if own else MOST]
    aspect = height / width
    below = 0.26 if own else _BETWEEN
    canvas = Canvas(_filters_title(count, len(filters), channels, height, width, limits.max()))
    columns, side = _columns(len(filters), aspect, below, canvas.height - _WORDS - 0.05)
    for index, one in enumerate(filters):
        left, top = 0.3 + (index % columns) * (side + _BETWEEN), (index // columns) * (side * aspect + below)
        box = (left, 0.05 + top, side, side * aspect)
        reach = float(limits[index] if own else limits.max())
        picture = one[0] if channels == 1 else weights_as_colours(one, reach)
        canvas.picture(box, picture, SIGNED, Normalize(-reach, reach))
        if own:
            canvas.note(left + side / 2, box[1] + box[3] + 0.13, short(reach), FONT_NOTE, INK, "center")
    _explain(canvas, channels, None if own else float(limits.max()))
    return canvas.figure


def _columns(count: int, aspect: float, below: float, room: float) -> tuple[int, float]:
    """Returns columns and the width of a filter: as large as fits into `room` inches, at most 1.6."""

    def side(columns: int) -> float:
        high = (room / math.ceil(count / columns) - below) / aspect
        return min((ACROSS - 0.6) / columns - _BETWEEN, high, 1.6)

    columns = max(range(1, count + 1), key=side)
    return columns, side(columns)


def _explain(canvas: Canvas, channels: int, limit: float | None) -> None:
    words = "blue raises the output where pixels are bright, vermillion lowers it"
    if channels == 3:
        words = "weights of red, green and blue as that colour's brightness; grey is zero"
    top = canvas.height - _WORDS + 0.14
    canvas.note(0.3, top, words, FONT_NOTE, MUTED)
    if limit is None:
        canvas.note(0.3, top + 0.3, "each on its own scale; below: its largest weight", FONT_NOTE, INK)
        return
    colours = SIGNED if channels == 1 else colormaps["gray"]
    canvas.scale(0.3, top + 0.36, 2.4, colours, Normalize(-limit, limit), "weight, all filters")


def _filters_title(count: int, shown: int, channels: int, height: int, width: int, largest: float) -> str:
    of = f"{count}" if count == shown else f"first {shown} of {number(count, 6)}"
    size = f"{height} × {width}" + (" × 3" if channels == 3 else "")
    filters = "filter" if count == 1 else "filters"
    return f"The first layer's {of} {filters} of {size}: weights up to {number(largest, 2)}"


# --- a filter slides over an image ----------------------------------------------------------------------

_TOP = 0.36  # inches from the title to the pictures
_MIDDLE = 2.75  # where the numbers begin
_WRITTEN = 3  # a larger filter, and one for colours, is shown by its colours alone
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
    value = short(float(values[places[0]]))
    canvas = Canvas(f"A filter slides: at each place one dot product, at A {value}")
    side = (canvas.height - 2 * _TOP) / 2 - 0.12  # of image and map, one below the other
    _draw_image(canvas, as_numbers(picture), corners, filter_.shape[1], side)
    _draw_map(canvas, values, places, canvas.height / 2, side)
    _draw_product(canvas, as_numbers(inputs), filter_, bias, corners[0], name)
    return canvas.figure


def _draw_image(
    canvas: Canvas, picture: FloatArray, corners: Sequence[tuple[int, int]], window: int, side: float
) -> None:
    height, width = picture.shape[:2]
    across, down = box_of((height, width), (side, side))
    pixel = across / width
    left, top = 0.3, _TOP
    canvas.heading(left, f"image, {height} × {width}")
    canvas.picture((left, top, across, down), picture, colormaps["gray"], Normalize(0, 1))
    for (row, column), letter, colour in zip(corners, "ABC", _MARKS, strict=False):
        x, y = left + column * pixel, top + row * pixel
        canvas.frame((x, y, window * pixel, window * pixel), colour, 2.6)
        canvas.letter(x, y + 0.24, letter, colour)


def _draw_product(
    canvas: Canvas, inputs: FloatArray, filter_: FloatArray, bias: float, corner: tuple[int, int], name: str
) -> None:
    """Draws window and filter channel by channel, with the sum of products of each and of all."""
    channels, side = len(filter_), filter_.shape[1]
    window = inputs[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    rows = 2 if channels == 1 else channels  # a grey image has room for the products themselves
    room = canvas.height - _TOP - 0.42
    cell = (room / rows - (0.3 if channels == 1 else 0.14)) / side
    step, right = room / rows, _MIDDLE + side * cell + 0.36
    written = side <= _WRITTEN and channels == 1
    canvas.heading(_MIDDLE, "window A")
    canvas.heading(right, plain(name, limit=16))
    sums = (window * filter_).sum((1, 2))
    size = min(cell_font(cell, window), cell_font(cell, filter_))
    for channel, label in enumerate(_CHANNELS[channels]):
        y = _TOP + channel * step
        canvas.cells(_MIDDLE, y, cell, window[channel], *_scale(window), written=written, size=size)
        canvas.cells(right, y, cell, filter_[channel], *_scale(filter_), written=written, size=size)
        middle = y + side * cell / 2
        canvas.note(right - 0.18, middle, "·", 24, INK, "center")
        if channels > 1:
            words = f"= {short(sums[channel])} ({label})"
            canvas.note(right + side * cell + 0.12, middle, words, FONT_LABEL)
    if channels == 1:
        products, y = window[0] * filter_[0], _TOP + step
        canvas.note(_MIDDLE, y - 0.13, "the products", FONT_NOTE, MUTED)
        canvas.cells(_MIDDLE, y, cell, products, *_scale(products), written=written, size=size)
        canvas.note(right - 0.18, y + side * cell / 2, f"their sum: {short(sums[0])}", FONT_LABEL)
    total = float(sums.sum() + bias)
    text, most = _sum(sums, bias, total), 72 * (ACROSS - _MIDDLE - 0.15)
    size = FONT_LABEL * min(1.0, most / (1.1 * width_in_points(text, FONT_LABEL)))  # bold is wider
    canvas.note(_MIDDLE, canvas.height - 0.22, text, size, darker(_MARKS[0]), bold=True)


def _scale(values: FloatArray) -> tuple[Colormap, Normalize]:
    limit = symmetric_limit(values)
    return SIGNED, Normalize(-limit, limit)


def _sum(sums: FloatArray, bias: float, total: float) -> str:
    """Returns the sum as written by hand: 1.20 − 0.31 + 0.05 + bias 0.10 = 1.04."""
    text = short(float(sums[0]))
    for term in map(float, sums[1:]):
        text += f" {'−' if term < 0 else '+'} {short(abs(term))}"
    if bias:
        text += f" {'−' if bias < 0 else '+'} {short(abs(bias))} (bias)"
    return f"{text} = {short(total)}"


def _draw_map(
    canvas: Canvas, values: FloatArray, places: Sequence[tuple[int, int]], below: float, side: float
) -> None:
    height, width = values.shape
    across, down = box_of((height, width), (side, side))
    pixel, left, top = across / width, 0.3, below + _TOP - 0.06
    colours, norm = _scale(values)
    canvas.note(left, below + 0.15, f"activation map, {height} × {width}", FONT_LABEL)
    canvas.picture((left, top, across, down), values, colours, norm)
    for (row, column), letter, colour in zip(places, "ABC", _MARKS, strict=False):
        x, y = left + column * pixel, top + row * pixel
        canvas.frame((x, y, pixel, pixel), colour, 2.6)
        beyond = column > width / 2
        low = y + 0.24 if row < 2 else y
        canvas.letter(x + (0 if beyond else pixel), low, letter, colour, "right" if beyond else "left")


# --- pooling --------------------------------------------------------------------------------------------

_BEFORE_SIDE = 2.15  # inches of the map before
_NUMBERS, _PRODUCTS = 2.75, 6.0  # where the part in numbers begins, and what becomes of it
_WINDOWS = PALETTE[1:5]
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
    canvas = Canvas(title)
    scale = _activation_scale(np.concatenate([large.ravel(), small.ravel()]))
    pixel = box_of(large.shape, (_BEFORE_SIDE, _BEFORE_SIDE))[0] / large.shape[1]
    frame = (row, column, *values.shape)
    canvas.heading(0.3, f"before, {large.shape[0]} × {large.shape[1]}")
    _draw_framed(canvas, (0.3, _TOP), large, pixel, [kernel * side for side in frame], scale)
    _draw_windows(canvas, 0.3, (small.shape[0], small.shape[1]), kernel * pixel)
    top, left, height, width = (kernel * side for side in frame)
    _draw_numbers(canvas, large[top : top + height, left : left + width], values, kernel, kind, scale)
    below = max(_TOP + 2.25, canvas.height - 0.1 - pixel * small.shape[0])
    canvas.note(_PRODUCTS, below - 0.17, f"after, {small.shape[0]} × {small.shape[1]}", FONT_LABEL)
    _draw_framed(canvas, (_PRODUCTS, below), small, pixel, frame, scale)
    canvas.scale(0.3, canvas.height - 0.62, _BEFORE_SIDE, *scale, "activation")
    return canvas.figure


def _activation_scale(values: FloatArray) -> tuple[Colormap, Normalize]:
    """Returns colours for activations: vermillion to blue through white at 0, or dark to bright from 0."""
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    if low < 0:
        return _scale(known)
    return colormaps["viridis"], Normalize(0.0, high or 1.0)


def _draw_framed(
    canvas: Canvas,
    corner: tuple[float, float],
    values: FloatArray,
    pixel: float,
    frame: Sequence[int],
    scale: tuple[Colormap, Normalize],
) -> None:
    """Draws a map with pixels of a side in inches, and a frame (row, column, rows, columns) on it."""
    (left, top), (height, width) = corner, values.shape
    canvas.picture((left, top, width * pixel, height * pixel), values, *scale)
    row, column, rows, columns = (pixel * side for side in frame)
    canvas.frame((left + column, top + row, columns, rows), _MARKS[0], 2.8)


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
    left, cell, largest = _NUMBERS, min(0.62, 2.5 / (2 * kernel)), []
    for r, c in np.ndindex(rows, columns):
        window = crop[r * kernel : (r + 1) * kernel, c * kernel : (c + 1) * kernel]
        i, j = divmod(int(window.argmax()), kernel)
        largest.append((r * kernel + i, c * kernel + j))
    canvas.heading(left, "the part in the frame")
    canvas.cells(left, _TOP, cell, crop, *scale, bold=largest if kind == "max" else ())
    side = kernel * cell
    start, middle = left + columns * side + 0.1, _TOP + rows * side / 2
    canvas.arrow((start, middle), (_PRODUCTS - 0.1, middle))
    canvas.note((start + _PRODUCTS - 0.1) / 2, middle - 0.2, kind, FONT_NOTE, MUTED, "center")
    right, small = _PRODUCTS, 0.62
    top = middle - rows * small / 2
    canvas.cells(right, top, small, values, *scale, bold=list(np.ndindex(*values.shape)))
    for colour, (r, c) in zip(_WINDOWS, np.ndindex(2, 2), strict=True):
        if r < rows and c < columns:
            canvas.frame((left + c * side, _TOP + r * side, side, side), colour, 3.0)
            box = (right + c * small + 0.02, top + r * small + 0.02, small - 0.04, small - 0.04)
            canvas.frame(box, colour, 3.0)
