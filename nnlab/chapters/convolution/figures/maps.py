"""The activation maps of every layer for one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas, box_of
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_NOTE, GRID, MUTED
from nnlab.plot.text import number, plain, width_in_points

LAYERS = 18  # on one figure
_WIDTH = 12.8  # inches
_HEADER = 1.35
_DEEPEST = 5.6  # inches for all rows
_SHORT = 4  # layers that stand in one column
_TILES = 8
_GAP = 0.07
_DOTS = 200  # of a drawn map, per inch


@dataclass(frozen=True)
class LayerMaps:
    """What one layer makes of an image.

    Attributes:
        name: of the layer.
        shape: (maps, height, width), or (units,).
        values: (K, height, width), the maps to be shown; or (units,).
    """

    name: str
    shape: tuple[int, ...]
    values: FloatArray


def activation_maps(
    picture: ArrayLike, layers: Sequence[LayerMaps], words: Sequence[str] = (), title: str | None = None
) -> Figure:
    """One row per layer, from the input on: name, size, and up to eight of its maps; units as a strip.

    Every map has colours of its own, from its smallest value to its largest; one that is the same everywhere
    is grey.

    Args:
        picture: (H, W) or (H, W, 3) in [0, 1].
        layers: at most 18 of them; use several figures for more.
        words: up to three lines beside the image, such as its class and the model's answer.
        title: A sentence.

    Raises:
        InputError: no layers, or too many, or values of another shape.
    """
    if not 1 <= len(layers) <= LAYERS:
        raise InputError(f"figure: activation maps of {len(layers)} layers; must be 1 to {LAYERS} a figure")
    for layer in layers:
        if layer.values.ndim not in (1, 3) or layer.values.size == 0:
            shape = layer.values.shape
            raise InputError(
                f"figure: {layer.name!r} has activations of shape {shape}; allowed: (K, H, W), (F,)"
            )
    pixels = as_numbers(picture, "the picture")
    blocks = 1 if len(layers) <= _SHORT else 2
    rows = math.ceil(len(layers) / blocks)
    label = 2.2 if blocks == 1 else 1.6
    across = (_WIDTH - 0.3) / blocks - label - 0.25
    tile = min(0.8, across / _TILES - _GAP, _DEEPEST / rows - _GAP)
    canvas = Canvas(
        title or "What each layer makes of one image", _WIDTH, _HEADER + rows * (tile + _GAP) + 0.1
    )
    _draw_header(canvas, pixels, words)
    for index, layer in enumerate(layers):
        left = 0.3 + (index // rows) * (_WIDTH - 0.3) / 2
        _draw_layer(canvas, layer, left, _HEADER + (index % rows) * (tile + _GAP), tile, label)
    return canvas.figure


def _draw_header(canvas: Canvas, picture: NDArray[np.float64], words: Sequence[str]) -> None:
    across, down = box_of(picture.shape, (1.6, 1.15))
    canvas.picture((0.3, 0.05, across, down), picture, colormaps["gray"], Normalize(0, 1))
    for index, line in enumerate(words[:3]):
        canvas.note(0.3 + across + 0.2, 0.2 + 0.29 * index, plain(line, limit=70), FONT_LABEL)
    note = (
        "of each layer the maps that vary most, each from its smallest value (dark) to its largest (bright)"
    )
    canvas.note(0.3 + across + 0.2, 0.2 + 0.29 * max(len(words[:3]), 0) + 0.02, note, FONT_NOTE, MUTED)


def _draw_layer(canvas: Canvas, layer: LayerMaps, left: float, top: float, tile: float, label: float) -> None:
    middle = top + tile / 2
    size = " × ".join(number(side, 6) for side in layer.shape)
    name = plain(layer.name, limit=28)
    fitting = min(FONT_NOTE, FONT_NOTE * 72 * (label - 0.1) / width_in_points(name, FONT_NOTE))
    canvas.note(left, middle - 0.11, name, fitting)
    canvas.note(left, middle + 0.11, size, FONT_NOTE - 1.5, MUTED)
    start = left + label
    if layer.values.ndim == 1:
        width = _TILES * (tile + _GAP) - _GAP
        canvas.picture((start, middle - 0.15, width, 0.3), _coloured(layer.values[None]))
        return
    shown = layer.values[:_TILES]
    across, down = box_of(shown.shape[1:], (tile, tile))
    strip = _beside_each_other(shown, across, tile + _GAP)
    width = (len(shown) - 1) * (tile + _GAP) + across
    canvas.picture((start, top + (tile - down) / 2, width, down), strip, framed=False)


def _beside_each_other(maps: FloatArray, across: float, pitch: float) -> NDArray[np.uint8]:
    """(K, H, W) as one picture (H', W', 4) with transparent gaps: one is drawn far faster than eight."""
    count, height, width = maps.shape
    wide, step = max(width, round(_DOTS * across)), round(max(width, _DOTS * across) * pitch / across)
    high = max(height, round(wide * height / width))
    rows, columns = np.arange(high) * height // high, np.arange(wide) * width // wide
    strip = np.zeros((high, (count - 1) * step + wide, 4), dtype=np.uint8)
    for index, values in enumerate(maps):
        strip[:, index * step : index * step + wide] = _coloured(values)[rows][:, columns]
    return strip


def _coloured(values: FloatArray) -> NDArray[np.uint8]:
    """(H, W) as colours (H, W, 4) of 8 bits, from the smallest value to the largest."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return np.full((*values.shape, 4), [round(255 * part) for part in to_rgba(GRID)], dtype=np.uint8)
    return np.asarray(colormaps["viridis"](Normalize(low, high)(values), bytes=True))
