"""The look of every figure: colours, line styles, sizes, fonts, labels, legends, the bare figure and axes.

Everything is set on the artists themselves. Matplotlib's global settings are neither changed nor needed,
so figures can be made in any thread and in a notebook that has a style of its own.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from nnlab.plot.forms import form, room_for
from nnlab.plot.text import APART, families, paragraph, width_in_points, wrap

# Colours that stay apart under the common colour-vision deficiencies (the first six after Okabe and Ito,
# "Color Universal Design", 2008); their yellow is left out because text and thin lines in it are unreadable.
PALETTE = (
    "#0072B2",  # blue
    "#D55E00",  # vermillion
    "#009E73",  # green
    "#CC79A7",  # pink
    "#56B4E9",  # sky blue
    "#E69F00",  # orange
    "#5E3C99",  # violet
    "#4D4D4D",  # grey
    "#8C510A",  # brown
    "#A6BF3B",  # lime
)
Dash = Literal["-", "none"] | tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (6, 1.6, 1.2, 1.6)),
    (0, (1.2, 1.4)),
    (0, (9, 2)),
    (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

POSITIVE, NEGATIVE = PALETTE[0], PALETTE[1]  # of numbers with a sign, in pictures and widgets
SIGNED = LinearSegmentedColormap.from_list("signed", [NEGATIVE, "#FFFFFF", POSITIVE])

INK = "#222222"
MUTED = "#6B6B6B"
GRID = "#D9D9D9"
PAPER = "#FFFFFF"

DPI = 150
WIDE = (10.0, 5.6)  # inches; one panel
DOUBLE = (12.5, 5.4)  # inches; two panels beside each other

FONT_TITLE = 16.0  # points, of a figure 7.7 inches wide
FONT_LABEL = 14.5
FONT_TICK = 13.5
FONT_NOTE = 13.5  # nothing is smaller: 28 pixels where 7.7 inches are 1,150
LINE = 2.2
THIN = 1.4


@dataclass(frozen=True)
class LineLook:
    """The colour, dash and marker of one line: any one of the three tells lines apart, also in grey print."""

    color: str
    dash: Dash
    marker: str


def line_look(index: int) -> LineLook:
    """Returns the look of line number `index`: the first thirty differ in dash or marker, even in grey."""
    return LineLook(PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)])


def luminance(color: ColorType) -> float:
    """Returns the relative luminance of a colour, from 0 (black) to 1 (white).

    As in the Web Content Accessibility Guidelines 2.1.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def darker(color: str) -> tuple[float, float, float]:
    """Returns the colour, darkened until text in it stands out from white: relative luminance at most 0.18.

    A luminance of 0.18 is a contrast of 4.5 to 1, the least that the Web Content Accessibility Guidelines
    (2.1, criterion 1.4.3) ask of text.
    """
    red, green, blue = to_rgb(color)
    while luminance((red, green, blue)) > 0.18:
        red, green, blue = 0.95 * red, 0.95 * green, 0.95 * blue
    return red, green, blue


def font(size: float, color: ColorType = INK) -> dict[str, Any]:
    """Returns the properties of a text in a figure, as keywords; size in points."""
    return {"fontsize": size, "family": list(families()), "color": color}


def new_figure(title: str, size: tuple[float, float] = WIDE) -> Figure:
    """Returns an empty figure with its title at the top left, wrapped to its width.

    Args:
        title: A sentence; in a form without titles it is the figure's label alone.
        size: What the figure would like, in inches: the form has the last word.
    """
    return fixed_figure(title, room_for(size))


def fixed_figure(title: str, size: tuple[float, float]) -> Figure:
    """Returns an empty figure as `new_figure` does, of this size in every form; it is scaled as a whole."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    entitle(figure, title)
    return figure


def entitle(figure: Figure, title: str) -> None:
    """Gives a figure its title, wrapped to its width; in a form without titles it is the label alone."""
    figure.set_label(" ".join(title.split()))
    if form().titled:
        wrapped = paragraph(title, 0.97 * 72 * figure.get_figwidth(), FONT_TITLE)
        figure.suptitle(wrapped, x=0.012, ha="left", linespacing=1.25, **font(FONT_TITLE))


def dress(axes: Axes, x_label: str = "", y_label: str = "", *, grid: bool = True) -> None:
    """Gives axes their labels (already plain text), ticks, thin grid and two spines."""
    axes.set_facecolor(PAPER)
    axes.set_xlabel(x_label, **font(FONT_LABEL))
    axes.set_ylabel(y_label, **font(FONT_LABEL))
    axes.tick_params(which="both", **_ticks())
    axes.tick_params(which="minor", length=2)
    for axis in (axes.xaxis, axes.yaxis):  # what matplotlib takes out of large numbers
        axis.get_offset_text().set(**font(FONT_TICK))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set(color=MUTED, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.grid(visible=False)
    if grid:
        axes.grid(visible=True, color=GRID, linewidth=0.7)


def _ticks() -> dict[str, Any]:
    return {
        "labelsize": FONT_TICK, "labelfontfamily": list(families()), "labelcolor": INK, "color": MUTED
    }  # fmt: skip


def bare(axes: Axes) -> None:
    """Strips axes that hold an image: no ticks, no grid, a hairline frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_facecolor(PAPER)
    axes.spines[:].set(visible=True, color=GRID, linewidth=0.8)


def panel_title(axes: Axes, text: str) -> None:
    """Writes the heading of one panel among several; `text` already plain."""
    axes.set_title(text, loc="left", pad=7, linespacing=1.1, **font(FONT_TICK))


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = FONT_NOTE,
    color: str = MUTED,
    ha: str = "center",
) -> Text:
    """Writes a note at a place given in fractions of the axes; `text` already plain."""
    return axes.text(x, y, text, transform=axes.transAxes, ha=ha, va="center", **font(size, color))


def nothing_to_show(axes: Axes, text: str) -> None:
    """Says in the middle of the axes that there is nothing to draw, and removes their meaningless ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    write(axes, 0.5, 0.5, text, size=FONT_LABEL)


def legend_beside(axes: Axes, handles: Sequence[Line2D], columns: int = 1, size: float = FONT_NOTE) -> Legend:
    """Puts a legend at the right of the axes, its top level with theirs."""
    box = _legend(axes, handles, "upper left", columns, size)
    box.set_bbox_to_anchor((1.01, 1.02), transform=axes.transAxes)
    return box


def shared_labels(figure: Figure, x_label: str, y_label: str) -> None:
    """Writes one label for the x axes and one for the y axes of all panels; already plain text."""
    figure.supxlabel(x_label, **font(FONT_LABEL))
    figure.supylabel(y_label, **font(FONT_LABEL))


def colour_bar(
    figure: Figure, scale: ScalarMappable, panels: list[Axes], label: str, *, below: bool = False
) -> None:
    """Draws the colour scale that the panels share at their right, or below them; `label` already plain.

    Panels that keep their proportions leave room: it goes to the sides.
    """
    if all(panel.get_aspect() != "auto" for panel in panels):
        figure.set_layout_engine("compressed", w_pad=0.1, h_pad=0.08)
    place: dict[str, Any] = {"location": "bottom", "shrink": 0.7} if below else {"shrink": 0.88}
    bar = figure.colorbar(scale, ax=panels, pad=0.02, aspect=18, **place)
    bar.locator = MaxNLocator(2 if below and len(panels) == 1 else 4)
    bar.update_ticks()
    bar.set_label(label, **font(FONT_TICK))
    bar.ax.tick_params(**_ticks())
    bar.ax.spines["outline"].set(edgecolor=MUTED, linewidth=0.8)


def legend(
    owner: Axes | Figure, handles: Sequence[Line2D], loc: Any, columns: int = 1, size: float = FONT_NOTE
) -> Legend:
    """Draws a legend without a frame around it; `loc` is a location in matplotlib's terms.

    A legend of the figure has as many of the columns as fit; one of axes stands where it hides least.
    """
    if isinstance(owner, Figure):
        return _legend(owner, handles, loc, _fitting_columns(owner, handles, columns, size), size)
    return _legend(owner, handles, "best", columns, size)


def _fitting_columns(figure: Figure, handles: Sequence[Line2D], columns: int, size: float) -> int:
    """Returns the number of columns, at most `columns`, that the figure is wide enough for."""
    room = 72 * figure.get_figwidth() - 2 * size
    widths = [width_in_points(str(handle.get_label()), size) + 4.5 * size for handle in handles]
    for count in range(min(columns, len(widths)), 1, -1):
        filled = np.array_split(widths, count)  # as matplotlib does: the first columns are the longer ones
        if sum(float(max(column)) for column in filled) <= room:
            return count
    return 1


def _legend(owner: Axes | Figure, handles: Sequence[Line2D], loc: Any, columns: int, size: float) -> Legend:
    box: Legend = owner.legend(
        handles=list(handles),
        loc=loc,
        ncols=columns,
        fontsize=size,
        frameon=True,
        edgecolor="none",
        facecolor=PAPER,
        framealpha=0.85,
        handlelength=2.2,
        columnspacing=1.4,
    )
    for text in box.get_texts():
        text.set(family=list(families()), color=INK)
    return box


def legend_below(
    figure: Figure, handles: Sequence[Line2D], columns: int | None = None, inches: float = 1.0
) -> Legend:
    """Puts a legend below all panels, in as many columns as have `inches` of the figure each."""
    fitting = min(len(handles), int(figure.get_figwidth() // inches))
    return legend(figure, handles, "outside lower center", columns or fitting, FONT_TICK)


def sample(look: LineLook, label: str, *, line: bool = True, marker: bool = True) -> Line2D:
    """Returns a legend entry that looks like a line of the figure; `label` already plain."""
    return Line2D(
        [],
        [],
        color=look.color,
        linestyle=look.dash if line else "none",
        marker=look.marker if marker else "none",
        linewidth=LINE,
        markersize=7,
        label=label,
    )


def panel_grid(title: str, count: int, *, sharex: bool = True, sharey: bool = True) -> tuple[Figure, Any]:
    """Returns a figure of `count` ≥ 1 panels, at most three in a row.

    Returns:
        The figure, and its axes (rows, columns), where those beyond `count` are not drawn.
    """
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    figure = new_figure(title, ((10.0, 12.5, 15.0)[columns - 1], 1.8 + 3.6 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    return figure, panels


def only_below(panels: Any, count: int, label: str) -> None:
    """Keeps numbers and the name of a shared x axis under the lowest of the first `count` panels alone."""
    columns = panels.shape[1]
    for index, axes in enumerate(panels.flat[:count]):
        lowest = index + columns >= count
        axes.tick_params(axis="x", labelbottom=lowest)
        axes.set_xlabel(label if lowest else "")


def footnote(figure: Figure, notes: Sequence[str]) -> None:
    """Writes notes, already plain, below everything else in muted ink."""
    if notes:
        figure.supxlabel(APART.join(notes), **font(FONT_NOTE, MUTED))


def with_notes(label: str, notes: list[str]) -> str:
    """Returns the label of an x axis, followed by the meanings of the marks at the edges."""
    return APART.join([label, *dict.fromkeys(notes)])


def with_notes_below(label: str, notes: Iterable[str], room: float) -> str:
    """Returns the label of a narrow x axis, notes on lines of their own; `room` is its column in points."""
    lines = [label, *dict.fromkeys(notes)]
    return "\n".join(part for line in lines for part in wrap(line, 0.8 * room, FONT_LABEL))
