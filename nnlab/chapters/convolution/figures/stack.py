"""The layers of a network as a row of boxes, as tall as their maps and as wide as these are many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas
from nnlab.plot.style import FONT_NOTE, INK, MUTED, PALETTE, PAPER
from nnlab.plot.text import number, plain, width_in_points, wrap

_WIDTH = 12.8  # inches, at least
_PITCH = (1.02, 1.4)  # least and most inches for each layer
_LEFT = 1.35  # for the names of the rows
_TALLEST = 1.75  # inches: the height of the largest map
_SMALLEST = 0.16
_DEPTH = 0.32  # how far a box of the largest maps goes back
_FLOOR = 2.45  # where the boxes stand
_TABLE = 4.0  # where the numbers begin
_TEXT = 10.5  # points at the least pitch
_COLOURS = {
    "input": PALETTE[7],
    "convolution": PALETTE[0],
    "pool": PALETTE[5],
    "max": PALETTE[5],
    "linear": PALETTE[2],
}


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: in the model.
        kind: what it does, such as "convolution 3×3".
        shape: of its output for one example: (maps, height, width) or (units,).
        parameters: how many numbers it holds.
        trainable: how many of them are trained.
        multiply_adds: for one example.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_adds: int


def layer_stack(layers: Sequence[Layer], input_shape: tuple[int, ...], title: str | None = None) -> Figure:
    """Boxes from the input to the scores, with output size, parameters and multiply-adds below each.

    A layer that holds no large part of the work and leaves the size as it was (an activation, a norm) is
    named with the layer before it, which also counts its numbers. A box is as tall as its maps, on a root
    scale, and as wide as these are many, on a logarithmic one.

    Args:
        layers: from the input on.
        input_shape: of one example.
        title: A sentence; by default the totals.

    Raises:
        InputError: no layers.
    """
    if not layers:
        raise InputError("figure: a network without layers has no stack to draw")
    boxes = [Layer("", "input", tuple(input_shape), 0, 0, 0), *grouped(layers)]
    pitch = float(np.clip((_WIDTH - _LEFT - 0.25) / len(boxes), *_PITCH))
    canvas = Canvas(title or _title(layers), max(10.0, _LEFT + pitch * len(boxes) + 0.25), 5.0)
    side = max([max(box.shape[1:]) for box in boxes if len(box.shape) == 3], default=1)
    for index, box in enumerate(boxes):
        middle = _LEFT + (index + 0.5) * pitch
        _draw_box(canvas, box, middle, side)
        _write(canvas, box, middle, pitch, first=index == 0)
    for row, label in enumerate(("output", "parameters", "multiply-adds")):
        canvas.note(0.2, _TABLE + 0.4 * row, label, FONT_NOTE, MUTED, va="baseline")
    return canvas.figure


def grouped(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with those joined to the one before them that keep its size and multiply nothing."""
    found: list[Layer] = []
    for layer in layers:
        before = found[-1] if found else None
        if before is not None and layer.shape == before.shape and not _weighs(layer):
            kind = f"{before.kind} + {layer.kind}"
            found[-1] = Layer(
                before.name,
                kind,
                before.shape,
                before.parameters + layer.parameters,
                before.trainable + layer.trainable,
                before.multiply_adds + layer.multiply_adds,
            )
        else:
            found.append(layer)
    return found


def _weighs(layer: Layer) -> bool:
    """Whether a layer has a box of its own even where it keeps the size."""
    return any(word in layer.kind for word in ("convolution", "linear", "pool"))


def _title(layers: Sequence[Layer]) -> str:
    parameters = sum(layer.parameters for layer in layers)
    work = sum(layer.multiply_adds for layer in layers)
    return (
        f"The stack of layers: {amount(parameters)} parameters, {amount(work)} multiply-adds for one example"
    )


def amount(count: int) -> str:
    """A count with three digits: 1,234 as it is, then in thousands (k), millions (M), billions (G).

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


def _draw_box(canvas: Canvas, box: Layer, middle: float, side: int) -> None:
    """A block of maps in three faces; units as a thin pillar."""
    colour = next((c for word, c in _COLOURS.items() if word in box.kind), PALETTE[6])
    maps = box.shape[0]
    width = 0.07 + 0.052 * math.log2(max(maps, 1))
    if len(box.shape) == 3:
        share = math.sqrt(max(box.shape[1:]) / side)
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


def _write(canvas: Canvas, box: Layer, middle: float, pitch: float, *, first: bool) -> None:
    """What the layer does, right below its box, and its row of the table."""
    width, size = 72 * (pitch - 0.08), _TEXT * pitch / _PITCH[0]
    size = min(size, FONT_NOTE)
    lines = [line for part in box.kind.split(" + ") for line in wrap(part, width, size)]
    if len(lines) > 5:
        lines = [*lines[:4], "…"]
    canvas.note(middle, _FLOOR + 0.12, "\n".join(map(plain, lines)), size, INK, "center", "top")
    shape = "×".join(number(side, 6) for side in box.shape)
    fixed = " fixed" if box.parameters and not box.trainable else ""
    values = [shape, f"{amount(box.parameters)}{fixed}", amount(box.multiply_adds)]
    for row, value in enumerate(values[:1] if first else values):
        fitting = min(size, size * width / width_in_points(value, size))
        canvas.note(middle, _TABLE + 0.4 * row, value, fitting, INK, "center", "baseline")
