"""The layers of a network: their sizes as a row of boxes, and their activation maps for one image."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import ArrayLike, NDArray

from nnlab.display import spoken
from nnlab.models.summary import LayerRow
from nnlab.plot.canvas import ACROSS, Canvas, box_of
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_NOTE, GRID, INK, MUTED, PALETTE, PAPER
from nnlab.plot.text import number, percent, plain, width_in_points, wrap

# --- sizes ----------------------------------------------------------------------------------------------

_PITCH = (0.98, 1.6)  # least and most inches for each layer
_LEFT = 1.55  # for the names of the rows
_TALLEST = 1.4  # inches: the height of the largest map
_SMALLEST = 0.16
_DEPTH = 0.32  # how far a box of the largest maps goes back
_FLOOR = 1.85  # where the boxes stand
_TABLE = 3.05  # where the numbers begin
_ROW = 0.3
_COLOURS = {
    "input": PALETTE[7],
    "convolution": PALETTE[0],
    "pool": PALETTE[5],
    "max": PALETTE[5],
    "linear": PALETTE[2],
}


def layer_stack(layers: Sequence[LayerRow], input_shape: tuple[int, ...]) -> Figure:
    """Draws boxes from the input to the scores, with output size, parameters and multiply-adds below each.

    A layer that multiplies little and keeps the size (an activation, a norm) is named with the layer before
    it, which also counts its numbers. A box is as tall as its maps, on a square-root scale, and as wide as
    they are many, on a logarithmic one. The title tells the totals.

    Args:
        layers: From the input on, at least one.
        input_shape: Of one example.
    """
    boxes = [LayerRow("", "input", tuple(input_shape), 0, 0, 0), *grouped(layers)]
    pitch = float(np.clip((ACROSS - _LEFT - 0.15) / len(boxes), *_PITCH))
    canvas = Canvas(_stack_title(boxes), max(ACROSS, _LEFT + pitch * len(boxes) + 0.15), _TABLE + 2.3 * _ROW)
    side = max([max(box.output_shape[1:]) for box in boxes if len(box.output_shape) == 3], default=1)
    for index, box in enumerate(boxes):
        middle = _LEFT + (index + 0.5) * pitch
        _draw_box(canvas, box, middle, side)
        _write(canvas, box, middle, pitch, first=index == 0)
    for row, label in enumerate(("output", "parameters", "multiply-adds")):
        canvas.note(0.15, _TABLE + _ROW * row, label, FONT_NOTE, MUTED, va="baseline")
    return canvas.figure


def _stack_title(boxes: Sequence[LayerRow]) -> str:
    """The totals, and the share of the layer that has the most work."""
    parameters, work = (sum(getattr(box, name) for box in boxes) for name in ("parameters", "multiply_adds"))
    title = f"{amount(parameters)} parameters and {amount(work)} multiply-adds for one example"
    most = max(boxes, key=lambda box: box.multiply_adds)
    if len(boxes) < 3 or not work:
        return title
    share = percent(most.multiply_adds / work, 0)
    return f"{title}, {share} of them in the layer with {'×'.join(map(str, most.output_shape))} outputs"


def grouped(layers: Sequence[LayerRow]) -> list[LayerRow]:
    """Joins each layer that keeps the size and multiplies little to the one before it."""
    groups: list[LayerRow] = []
    for layer in layers:
        alone = any(word in layer.kind for word in ("convolution", "linear", "pool"))
        if groups and layer.output_shape == groups[-1].output_shape and not alone:
            before = groups[-1]
            groups[-1] = replace(
                before,
                kind=f"{before.kind} + {layer.kind}",
                parameters=before.parameters + layer.parameters,
                trainable=before.trainable + layer.trainable,
                multiply_adds=before.multiply_adds + layer.multiply_adds,
            )
        else:
            groups.append(layer)
    return groups


def amount(count: int) -> str:
    """Returns a count with three digits: 1,234 as it is, then in thousands (k), millions (M), billions (G).

    >>> amount(448), amount(1234), amount(19_600_000), amount(0)
    ('448', '1,234', '19.6 M', '0')
    """
    if count < 10_000:
        return f"{count:,}"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:
            value = count / size
            return f"{value:.{max(0, 2 - int(math.log10(max(value, 1))))}f} {unit}"
    return f"{count:,}"


def _draw_box(canvas: Canvas, box: LayerRow, middle: float, side: int) -> None:
    """Draws maps as a block in three faces, units as a thin pillar."""
    colour = next((c for word, c in _COLOURS.items() if word in box.kind), PALETTE[6])
    maps = box.output_shape[0]
    width = 0.07 + 0.052 * math.log2(max(maps, 1))
    if len(box.output_shape) == 3:
        share = math.sqrt(max(box.output_shape[1:]) / side)
        height = max(_SMALLEST, _TALLEST * share)
        back = max(0.06, _DEPTH * share)
    else:
        height = max(_SMALLEST, 0.11 * math.log2(max(maps, 1)) + _SMALLEST)
        width, back = 0.12, 0.05
    left, right = middle - (width + back) / 2, middle - (width + back) / 2 + width
    top = _FLOOR - height
    faces = [
        ([(left, top), (right, top), (right, _FLOOR), (left, _FLOOR)], 0.75),
        ([(left, top), (right, top), (right + back, top - back), (left + back, top - back)], 0.45),
        ([(right, top), (right + back, top - back), (right + back, _FLOOR - back), (right, _FLOOR)], 1.0),
    ]
    for corners, strength in faces:
        face = Polygon(corners, closed=True, facecolor=colour, edgecolor=PAPER, linewidth=0.8, alpha=strength)
        canvas.axes.add_patch(face)


def _write(canvas: Canvas, box: LayerRow, middle: float, pitch: float, *, first: bool) -> None:
    """Writes what the layer does right below its box, and its column of the table."""
    width, size = 72 * (pitch - 0.04), FONT_NOTE
    kind = spoken(box.kind).replace("convolution", "conv.")
    lines = [line for part in kind.split(" + ") for line in wrap(part, width, size)]
    if len(lines) > 4:
        lines = [*lines[:3], "…"]
    canvas.note(middle, _FLOOR + 0.08, "\n".join(map(plain, lines)), size, INK, "center", "top")
    shape = "×".join(number(side, 6) for side in box.output_shape)
    fixed = " fixed" if box.parameters and not box.trainable else ""
    values = [shape, f"{amount(box.parameters)}{fixed}", amount(box.multiply_adds)]
    for row, value in enumerate(values[:1] if first else values):
        fitting = min(size, size * width / width_in_points(value, size))
        canvas.note(middle, _TABLE + _ROW * row, value, fitting, INK, "center", "baseline")


# --- activation maps ------------------------------------------------------------------------------------

LAYERS = 7  # on one figure
_HEADER = 0.95
_LABEL = 2.75  # for names and sizes
_SMALLEST_TILE = 0.3
_TILES = 8
_GAP = 0.07
_DOTS = 200  # of a drawn map, per inch


@dataclass(frozen=True)
class LayerMaps:
    """The maps of one layer for one image.

    Attributes:
        name: of the layer.
        shape: (maps, height, width), or (units,).
        values: (K, height, width), the maps to be drawn; or (units,).
    """

    name: str
    shape: tuple[int, ...]
    values: FloatArray


def activation_maps(
    picture: ArrayLike, layers: Sequence[LayerMaps], words: Sequence[str], title: str
) -> Figure:
    """Draws one row per layer, from the input on: name, size, and up to eight of its maps; units as a strip.

    Every map has colours of its own, from its smallest value to its largest; one that is the same everywhere
    is grey.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1].
        layers: 1 to `LAYERS` of them; use several figures for more.
        words: Up to three lines beside the image, such as its class and the model's answer.
        title: A sentence.
    """
    canvas = Canvas(title, least=_HEADER + len(layers) * (_SMALLEST_TILE + _GAP) + 0.1)
    high = (canvas.height - _HEADER - 0.1) / len(layers) - _GAP
    tile = min((ACROSS - _LABEL - 0.3) / _TILES - _GAP, high)
    _draw_header(canvas, as_numbers(picture), words)
    for index, layer in enumerate(layers):
        _draw_layer(canvas, layer, _HEADER + index * (tile + _GAP), tile)
    return canvas.figure


def _draw_header(canvas: Canvas, picture: NDArray[np.float64], words: Sequence[str]) -> None:
    across, down = box_of(picture.shape, (1.2, 0.82))
    canvas.picture((0.2, 0.02, across, down), picture, colormaps["gray"], Normalize(0, 1))
    left = 0.2 + across + 0.15
    for index, line in enumerate([" — ".join(words[:2]), *words[2:3]]):
        canvas.note(left, 0.13 + 0.26 * index, plain(line, limit=52), FONT_NOTE)
    note = "maps that vary most, each from its smallest value (dark) up"
    canvas.note(left, 0.13 + 0.26 * (1 + len(words[2:3])), note, FONT_NOTE, MUTED)


def _draw_layer(canvas: Canvas, layer: LayerMaps, top: float, tile: float) -> None:
    middle = top + tile / 2
    size = "×".join(number(side, 6) for side in layer.shape)
    name = plain(_name(layer.name), limit=15)
    written = width_in_points(f"{name}  {size}", FONT_NOTE)
    fitting = min(FONT_NOTE, FONT_NOTE * 72 * (_LABEL - 0.25) / written)
    canvas.note(0.2, middle, name, fitting)
    canvas.note(_LABEL - 0.1, middle, size, fitting, MUTED, "right")
    start = _LABEL
    if layer.values.ndim == 1:
        width = _TILES * (tile + _GAP) - _GAP
        canvas.picture((start, middle - 0.15, width, 0.3), _coloured(layer.values[None]))
        return
    maps = layer.values[:_TILES]
    across, down = box_of(maps.shape[1:], (tile, tile))
    strip = _side_by_side(maps, across, tile + _GAP)
    width = (len(maps) - 1) * (tile + _GAP) + across
    canvas.picture((start, top + (tile - down) / 2, width, down), strip, framed=False)


def _name(layer: str) -> str:
    """Returns the name of a layer in words: that of nnlab's networks is 'convolutions.0' for the first.

    >>> _name("convolutions.0"), _name("output"), _name("block1.convolution2")
    ('convolution 1', 'output', 'block1.convolution2')
    """
    match = re.fullmatch(r"(convolution|activation|pool|norm|linear|layer)s\.(\d+)", layer)
    return f"{match[1]} {int(match[2]) + 1}" if match else layer


def _side_by_side(maps: FloatArray, across: float, pitch: float) -> NDArray[np.uint8]:
    """Returns (K, H, W) as one picture (H', W', 4) with transparent gaps, drawn far faster than eight."""
    count, height, width = maps.shape
    wide, step = max(width, round(_DOTS * across)), round(max(width, _DOTS * across) * pitch / across)
    high = max(height, round(wide * height / width))
    rows, columns = np.arange(high) * height // high, np.arange(wide) * width // wide
    strip = np.zeros((high, (count - 1) * step + wide, 4), dtype=np.uint8)
    for index, values in enumerate(maps):
        strip[:, index * step : index * step + wide] = _coloured(values)[rows][:, columns]
    return strip


def _coloured(values: FloatArray) -> NDArray[np.uint8]:
    """Returns (H, W) values as colours (H, W, 4) of 8 bits, from the smallest value to the largest."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return np.full((*values.shape, 4), [round(255 * part) for part in to_rgba(GRID)], dtype=np.uint8)
    return np.asarray(colormaps["viridis"](Normalize(low, high)(values), bytes=True))
