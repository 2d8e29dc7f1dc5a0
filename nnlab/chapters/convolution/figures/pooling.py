"""What pooling does to one activation map: the map before, one corner in numbers, the map after."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas, box_of
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import FONT_NOTE, MUTED, PALETTE, PAPER

_SIZE = (12.8, 4.9)
_SIDE = 3.7  # inches of the map before
_TOP = 0.62
_MARK = PALETTE[1]
_WINDOWS = PALETTE[1:5]
_MOST_LINES = 40  # windows along a side that are drawn as lines


def pooling_step(
    before: ArrayLike,
    after: ArrayLike,
    corner: tuple[int, int],
    *,
    kernel: int = 2,
    kind: str = "max",
    title: str | None = None,
) -> Figure:
    """A map before and after pooling with windows side by side, and four of its windows in numbers.

    Args:
        before: (H, W).
        after: (⌊H/k⌋, ⌊W/k⌋).
        corner: row and column in `after` of the first of the 2 × 2 windows to be written out.
        kernel: k, the side of a window and the step to the next.
        kind: `max` or `mean`.
        title: A sentence.

    Raises:
        InputError: sizes that do not belong together, or a corner outside.
    """
    large, small = as_array(before, "the map before pooling", 2), as_array(after, "the map after pooling", 2)
    if small.shape != (large.shape[0] // kernel, large.shape[1] // kernel):
        raise InputError(
            f"figure: maps of shape {large.shape} and {small.shape}; pooling with windows of {kernel} makes "
            f"{large.shape[0] // kernel} × {large.shape[1] // kernel} of the first"
        )
    row, column = corner
    shown = small[row : row + 2, column : column + 2]
    if min(row, column) < 0 or shown.size == 0:
        raise InputError(f"figure: the corner {corner} is not on the map after pooling, {small.shape}")
    canvas = Canvas(title or _title(large, small, kernel, kind), *_SIZE)
    colours, norm = scale_of(np.concatenate([large.ravel(), small.ravel()]))
    pixel = _draw_before(canvas, large, shown.shape, corner, kernel, colours, norm)
    _draw_numbers(canvas, large, shown, corner, kernel, kind, colours, norm)
    _draw_after(canvas, small, shown.shape, corner, pixel, colours, norm)
    return canvas.figure


def scale_of(values: FloatArray) -> tuple[Colormap, Normalize]:
    """Colours for activations: blue to red through white at 0, or dark to bright where none is below."""
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    if low < 0:
        limit = max(-low, high)
        return colormaps["RdBu_r"], Normalize(-limit, limit)
    return colormaps["viridis"], Normalize(0.0, high or 1.0)


def _title(large: FloatArray, small: FloatArray, kernel: int, kind: str) -> str:
    word = "largest" if kind == "max" else "mean"
    sizes = f"{large.shape[0]} × {large.shape[1]} becomes {small.shape[0]} × {small.shape[1]}"
    return f"Pooling keeps the {word} value of every {kernel} × {kernel} window: {sizes}"


def _draw_before(
    canvas: Canvas,
    large: FloatArray,
    windows: tuple[int, ...],
    corner: tuple[int, int],
    kernel: int,
    colours: Colormap,
    norm: Normalize,
) -> float:
    """Returns the side of a pixel in inches."""
    height, width = large.shape
    across, down = box_of((height, width), (_SIDE, _SIDE))
    left, pixel = 0.3, float(across / width)
    canvas.heading(left, f"before, {height} × {width}")
    canvas.picture((left, _TOP, across, down), large, colours, norm)
    whole = [kernel * (side // kernel) * pixel for side in (height, width)]
    if max(height, width) // kernel <= _MOST_LINES:
        for row in range(height // kernel + 1):
            y = _TOP + row * kernel * pixel
            canvas.axes.plot([left, left + whole[1]], [y, y], color=PAPER, linewidth=0.8)
        for column in range(width // kernel + 1):
            x = left + column * kernel * pixel
            canvas.axes.plot([x, x], [_TOP, _TOP + whole[0]], color=PAPER, linewidth=0.8)
    x, y = left + corner[1] * kernel * pixel, _TOP + corner[0] * kernel * pixel
    box = (x, y, windows[1] * kernel * pixel, windows[0] * kernel * pixel)
    canvas.frame(box, _MARK, 2.8)
    canvas.note(left, _TOP + down + 0.24, "frame: the part written out", FONT_NOTE, MUTED)
    return pixel


def _draw_numbers(
    canvas: Canvas,
    large: FloatArray,
    shown: FloatArray,
    corner: tuple[int, int],
    kernel: int,
    kind: str,
    colours: Colormap,
    norm: Normalize,
) -> None:
    rows, columns = shown.shape
    row, column = corner[0] * kernel, corner[1] * kernel
    crop = large[row : row + rows * kernel, column : column + columns * kernel]
    left, cell = 4.45, min(0.62, 2.5 / (2 * kernel))
    largest = [_largest(crop, r * kernel, c * kernel, kernel) for r in range(rows) for c in range(columns)]
    canvas.heading(left, "the part in the frame")
    canvas.cells(left, _TOP, cell, crop, colours, norm, bold=largest if kind == "max" else ())
    for r in range(rows):
        for c in range(columns):
            side = kernel * cell
            canvas.frame((left + c * side, _TOP + r * side, side, side), _WINDOWS[2 * r + c], 3.0)
    start = left + columns * kernel * cell + 0.12
    middle = _TOP + rows * kernel * cell / 2
    canvas.arrow((start, middle), (start + 0.5, middle))
    canvas.note(start + 0.25, middle - 0.2, kind, FONT_NOTE, MUTED, "center")
    left, cell = start + 0.62, min(0.7, cell * 1.1)
    top = middle - rows * cell / 2
    canvas.cells(left, top, cell, shown, colours, norm, bold=list(np.ndindex(*shown.shape)))
    for r in range(rows):
        for c in range(columns):
            canvas.frame((left + c * cell + 0.02, top + r * cell + 0.02, cell - 0.04, cell - 0.04),
                         _WINDOWS[2 * r + c], 3.0)  # fmt: skip
    canvas.scale(4.45, _TOP + 3.1, 2.5, colours, norm, "activation")


def _largest(crop: FloatArray, row: int, column: int, kernel: int) -> tuple[int, int]:
    window = crop[row : row + kernel, column : column + kernel]
    r, c = divmod(int(window.argmax()), window.shape[1])
    return row + r, column + c


def _draw_after(
    canvas: Canvas,
    small: FloatArray,
    windows: tuple[int, ...],
    corner: tuple[int, int],
    pixel: float,
    colours: Colormap,
    norm: Normalize,
) -> None:
    """The map after pooling, its pixels as large as those of the map before."""
    left = 9.55
    height, width = small.shape
    canvas.heading(left, f"after, {height} × {width}")
    canvas.picture((left, _TOP, width * pixel, height * pixel), small, colours, norm)
    x, y = left + corner[1] * pixel, _TOP + corner[0] * pixel
    canvas.frame((x, y, windows[1] * pixel, windows[0] * pixel), _MARK, 2.8)
    canvas.note(left, _TOP + height * pixel + 0.24, "its pixels drawn as large as before", FONT_NOTE, MUTED)
