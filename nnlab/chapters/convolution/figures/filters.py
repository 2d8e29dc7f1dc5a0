"""The filters of a first layer as images."""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas, short
from nnlab.plot.images import symmetric_limit
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import FONT_NOTE, INK, MUTED
from nnlab.plot.text import number

MOST = 64
_WIDTH = 11.6  # inches
_BESIDE = 3.0  # for the scale
_HEIGHT = 5.3  # of the filters
_SPREAD = 6.0  # filters whose largest weights differ by more are shown each on a scale of its own


def filter_images(weights: ArrayLike, title: str | None = None) -> Figure:
    """The filters of a layer that looks at an image, each as an image: the first 64.

    One channel: red weights are positive, blue ones negative. Three: the weights of red, green and blue are
    that colour's brightness, with zero at middle grey. All are on one scale, unless the largest weight of
    one is more than six times that of another: then each has its own, and the number below it is its end.

    Args:
        weights: (F, C, k, k) with C 1 or 3.
        title: A sentence.

    Raises:
        InputError: another shape.
    """
    filters = as_array(weights, "the filters", 4)
    if filters.size == 0 or filters.shape[1] not in (1, 3):
        raise InputError(f"figure: filters of shape {filters.shape}; must be (F, C, k, k) with C 1 or 3")
    count, (_, channels, height, width) = len(filters), filters.shape
    shown = filters[:MOST]
    limits = np.array([symmetric_limit(one) for one in shown])
    own = float(limits.max() / limits.min()) > _SPREAD
    columns, side = _columns(len(shown), height / width, _WIDTH - _BESIDE, 0.26 if own else 0.1)
    gap = 0.1
    pitch = side * height / width + (0.26 if own else gap)
    rows = math.ceil(len(shown) / columns)
    beside = 0.3 + columns * (side + gap) + 0.25
    across = max(9.5, beside + _BESIDE - 0.6)
    canvas = Canvas(title or _title(count, channels, height, width), across, max(2.6, rows * pitch + 0.35))
    limit = float(limits.max())
    for index, one in enumerate(shown):
        left, top = 0.3 + (index % columns) * (side + gap), 0.2 + (index // columns) * pitch
        reach = float(limits[index]) if own else limit
        picture = one[0] if channels == 1 else as_colour(one, reach)
        box = (left, top, side, side * height / width)
        canvas.picture(box, picture, colormaps["RdBu_r"], Normalize(-reach, reach))
        if own:
            canvas.note(left + side / 2, top + box[3] + 0.1, short(reach), 9.0, INK, "center")
    _explain(canvas, beside, channels, None if own else limit)
    return canvas.figure


def as_colour(weights: FloatArray, limit: float) -> FloatArray:
    """(3, k, k) weights to (k, k, 3) in [0, 1], zero at ½ and ±limit at the ends."""
    known = np.where(np.isfinite(weights), weights, 0.0)
    return np.moveaxis(0.5 + 0.5 * known / limit, 0, -1).clip(0, 1)


def _columns(count: int, aspect: float, width: float, below: float) -> tuple[int, float]:
    """Columns and the width of a filter: as large as fits, at most 1.3 inches."""
    best = (1, 0.0)
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        side = min(width / columns - 0.1, (_HEIGHT / rows - below) / aspect, 1.3)
        if side > best[1] + 1e-9:
            best = (columns, side)
    return best


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
    colours = colormaps["RdBu_r" if channels == 1 else "gray"]
    canvas.scale(left, top, 1.9, colours, Normalize(-limit, limit), "weight, all filters")


def _title(count: int, channels: int, height: int, width: int) -> str:
    kind = "colour " if channels == 3 else ""
    of = f"{count}" if count <= MOST else f"first {MOST} of {number(count, 6)}"
    size = f"{height} × {width}" + (" × 3" if channels == 3 else "")
    if count == 1:
        return f"What the first layer looks for: its one filter of {size} weights as an image"
    return f"What the first layer looks for: its {of} filters of {size} weights as {kind}images"
