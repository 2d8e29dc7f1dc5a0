"""A slide to draw on in inches: pictures, numbers in cells, frames and notes at any place."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.text import Text
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from nnlab.plot.forms import PAGE
from nnlab.plot.scales import FloatArray
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_NOTE,
    FONT_TITLE,
    GRID,
    INK,
    PAPER,
    fixed_figure,
    font,
    luminance,
)
from nnlab.plot.text import number, width_in_points

ACROSS, DOWN = PAGE.widths[0], PAGE.height  # inches of a figure of a page


class Canvas:
    """A figure and one pair of axes without ticks, whose unit is the inch: x to the right, y downward.

    The point (0, 0) is the top left corner of what the title leaves.

    Attributes:
        figure: the figure, as tall as title and drawing together.
        axes: the axes that hold everything.
        height: of the drawing below the title, in inches.
    """

    def __init__(self, title: str, width: float = ACROSS, least: float = 0.0) -> None:
        """Builds the figure; with its title it has the proportions of a page's figures.

        Args:
            title: A sentence, wrapped to the width.
            width: Of the figure, in inches. What is wider than `ACROSS` is scaled down as a whole.
            least: Inches below the title that the drawing needs.
        """
        self.figure: Figure = fixed_figure(title, (width, 1.0))
        words = self.figure.get_suptitle()
        above = 0.28 + (words.count("\n") + 1) * 1.25 * FONT_TITLE / 72 if words else 0.1
        self.height = height = max(least, DOWN * width / ACROSS - above)
        self.figure.set_layout_engine("none")
        self.figure.set_size_inches(width, above + height)
        for heading in self.figure.texts:
            heading.set_y(1 - 0.14 / (above + height))
        self.axes = self.figure.add_axes((0, 0, 1, height / (above + height)))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)

    def picture(
        self,
        box: tuple[float, float, float, float],
        pixels: NDArray[np.float64] | NDArray[np.uint8],
        colours: Colormap | None = None,
        norm: Normalize | None = None,
        *,
        framed: bool = True,
    ) -> None:
        """Draws (H, W) values by a colour scale, or (H, W, 3 or 4) colours, in (left, top, width, height)."""
        left, top, width, height = box
        extent = (left, left + width, top + height, top)
        image = self.axes.imshow(
            pixels, extent=extent, cmap=colours, norm=norm, interpolation="nearest", aspect="auto"
        )
        image.set_clip_on(False)
        if framed:
            self.frame(box, GRID, 0.8)

    def frame(
        self, box: tuple[float, float, float, float], colour: str, width: float, fill: str | None = None
    ) -> None:
        """Draws a rectangle; its line is `width` points wide."""
        left, top, across, down = box
        patch = Rectangle((left, top), across, down, fill=fill is not None, facecolor=fill or "none")
        patch.set(edgecolor=colour, linewidth=width, joinstyle="miter", clip_on=False, zorder=2.5)
        self.axes.add_patch(patch)

    def note(
        self,
        x: float,
        y: float,
        text: str,
        size: float = FONT_NOTE,
        colour: str | tuple[float, float, float] = INK,
        ha: str = "left",
        va: str = "center",
        *,
        bold: bool = False,
    ) -> Text:
        """Writes a text, already plain."""
        weight = "bold" if bold else "normal"
        return self.axes.text(x, y, text, ha=ha, va=va, weight=weight, linespacing=1.2, **font(size, colour))

    def heading(self, x: float, text: str) -> None:
        """Writes the heading of one part of the slide, right below the title."""
        self.note(x, 0.24, text, FONT_LABEL, va="baseline")

    def letter(self, x: float, y: float, text: str, colour: str, ha: str = "left") -> None:
        """Writes a letter that names a place, on its colour; (x, y) is its lower corner at `ha`."""
        note = self.note(x, y, text, FONT_NOTE, PAPER, ha, "bottom", bold=True)
        note.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1.6})

    def arrow(self, start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
        """Draws a straight arrow."""
        patch = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=16, shrinkA=0, shrinkB=0)
        patch.set(color=colour, linewidth=1.6, clip_on=False)
        self.axes.add_patch(patch)

    def cells(
        self,
        left: float,
        top: float,
        side: float,
        values: FloatArray,
        colours: Colormap,
        norm: Normalize,
        *,
        written: bool = True,
        size: float | None = None,
        bold: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Writes numbers (h, w) in square cells of their colours; those of the `bold` cells are stressed."""
        points = cell_font(side, values) if size is None else size
        height, width = values.shape
        self.picture((left, top, width * side, height * side), values, colours, norm)
        for (row, column), value in np.ndenumerate(values):
            self.frame((left + column * side, top + row * side, side, side), PAPER, 0.8)
            if written:
                ink = ink_on(colours(norm(value))) if np.isfinite(value) else INK
                strong = (row, column) in bold
                x, y = left + (column + 0.5) * side, top + (row + 0.5) * side
                self.note(x, y, short(value), points, ink, "center", bold=strong)

    def scale(
        self, left: float, top: float, width: float, colours: Colormap, norm: Normalize, label: str
    ) -> None:
        """Draws a colour scale with its two ends, and zero where it is the middle; the label stands above."""
        strip = np.linspace(float(norm.vmin or 0.0), float(norm.vmax or 0.0), 128)[None]
        self.note(left, top, label, FONT_NOTE)
        self.picture((left, top + 0.17, width, 0.16), strip, colours, norm)
        ends = [(0.0, strip[0, 0], "left"), (1.0, strip[0, -1], "right")]
        if strip[0, 0] == -strip[0, -1]:
            ends.insert(1, (0.5, 0.0, "center"))
        for place, value, ha in ends:
            self.note(left + place * width, top + 0.48, number(float(value), 2), FONT_NOTE, INK, ha)


def ink_on(ground: ColorType) -> str:
    """Returns dark or light ink, whichever stands out from a ground of that colour."""
    return INK if luminance(ground) > 0.25 else PAPER


def short(value: float) -> str:
    """Returns a number as short as a cell needs it: two decimals below 10, none above 100.

    >>> short(-0.4321), short(12.34), short(0.001), short(4567.0)
    ('−0.43', '12.3', '0.00', '4567')
    """
    if not np.isfinite(value):
        return number(float(value))
    if abs(value) >= 99_999.5:
        return number(float(value), 2)
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def cell_font(side: float, values: FloatArray) -> float:
    """Returns the font size in points at which the widest number fits into a cell of `side` inches."""
    widest = max((width_in_points(short(float(value)), FONT_NOTE) for value in values.flat), default=1.0)
    return float(min(FONT_NOTE, 0.97 * 72 * side / widest * FONT_NOTE, 0.5 * 72 * side))


def box_of(shape: tuple[int, ...], most: tuple[float, float]) -> tuple[float, float]:
    """Returns (width, height) in inches of a picture (H, W, …), as large as fits into `most`."""
    height, width = shape[:2]
    pixel = min(most[0] / width, most[1] / height)
    return width * pixel, height * pixel
