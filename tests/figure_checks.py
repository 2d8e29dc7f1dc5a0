"""What tests ask of a matplotlib figure: its words, its lines, and that nothing lies over anything else."""

import itertools
import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from nnlab.plot.fitting import fit_labels
from nnlab.plot.forms import PAGE
from nnlab.plot.style import INK

HOSTILE = ("$x$", "<script>alert(1)</script>", "a\nb", r"\$ \frac{", "$", "tab\tnul\x00", "\ud800", "名前")


def texts(figure: Figure) -> list[str]:
    """All words of a figure as they are shown: without the backslash that disarms a dollar sign."""
    return [text.get_text().replace(r"\$", "$") for text in figure.findobj(Text) if text.get_text()]


def title(figure: Figure) -> str:
    """The title on one line, as it is shown."""
    return " ".join(figure.get_suptitle().replace(r"\$", "$").split())


def lines(axes: Axes) -> list[Line2D]:
    """The lines drawn in data coordinates: no marks at the edges, no levels across the axes."""
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def marks(axes: Axes) -> list[Line2D]:
    """The marks on the edges of the axes."""
    return [line for line in axes.lines if line.get_label() == "_edge"]


def data(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata())


def pixels(image: AxesImage) -> np.ndarray:
    """The numbers of an image, masked where it has none."""
    array = image.get_array()
    assert array is not None
    return array


def bars(axes: Axes) -> list[Rectangle]:
    """The bars of axes on which no other patch is drawn."""
    rectangles = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(rectangles) == len(axes.patches)
    return rectangles


def drawn_in(axes: Axes, color: str, dash: bool | None = None) -> list[np.ndarray]:
    """The points (T, 2) of every line of one colour; only dashed or only undashed ones if asked."""
    chosen = [line for line in lines(axes) if line.get_color() == color]
    return [data(line) for line in chosen if dash is None or (line.get_linestyle() == "--") == dash]


def visible_texts(figure: Figure) -> list[Text]:
    """The texts that are drawn upright: all but slanted labels and those of ticks outside of the axes."""
    out_of_view = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            margin = 1e-9 * (abs(high - low) if axis.get_scale() == "linear" else low)
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if not low - margin <= tick.get_loc() <= high + margin or not axes.axison:
                    out_of_view.update({tick.label1, tick.label2})
                if not tick.label1.get_visible():
                    out_of_view.add(tick.label1)
                out_of_view.add(tick.label2)
    shown = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [text for text in shown if text not in out_of_view and text.get_rotation() in (0, 90)]


def assert_readable(figure: Figure, spoken: bool = True) -> None:
    """Draws the figure: no text is mathematics, none leaves the canvas, and none lies over another.

    `spoken` is False for a figure of what a user wrote, whose names are the user's own.
    """
    fit_labels(figure)
    figure.canvas.draw()
    for text in figure.findobj(Text):
        assert not is_math_text(text.get_text()), text.get_text()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in visible_texts(figure)]
    canvas = figure.bbox
    for words, box in boxes:
        assert box.x0 >= canvas.x0 - 1, words
        assert box.x1 <= canvas.x1 + 1, words
        assert box.y0 >= canvas.y0 - 1, words
        assert box.y1 <= canvas.y1 + 1, words
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        across = min(box.x1, other.x1) - max(box.x0, other.x0)
        along = min(box.y1, other.y1) - max(box.y0, other.y0)
        assert min(across, along) < 3, f"{words!r} lies over {others!r}"  # boxes include some leading
    assert_fit_for_a_slide(figure, spoken)


def assert_fit_for_a_slide(figure: Figure, spoken: bool = True) -> None:
    """What a lecturer and the back row may ask of a figure that was laid out.

    No text is a name of the code, or smaller than 13.5 points in a figure of a page's size; every dash and
    colour of a legend is that of a line of the figure; a norm has no axis below 0, and a percentage none
    outside of 0 to 100.
    """
    for text in visible_texts(figure):
        words = text.get_text().replace(r"\$", "$")
        if spoken and not any(name in words for name in (*HOSTILE, "…", "\\")):
            assert not _CODE.search(words), f"a name of the code: {words!r}"
        if figure.get_figwidth() <= PAGE.widths[0] + 0.01:
            small = float(text.get_fontsize()) < 13.49 and not _is_in_a_cell(text)
            assert not small or "(bias)" in words, f"too small: {words!r}"
    drawn = {(_colour(line), _dash(line)) for axes in figure.axes for line in axes.lines}
    for lines_at_once in figure.findobj(LineCollection):
        colours = np.asarray(lines_at_once.get_colors())
        drawn |= {(to_hex(tuple(colour)), None) for colour in colours}
    for legend in figure.findobj(Legend):
        for handle in legend.legend_handles:
            if isinstance(handle, Line2D) and handle.get_linestyle() != "None" and handle.get_linewidth() < 5:
                kinds = {(INK, dash) for _, dash in drawn} | drawn  # ink may stand for lines of every colour
                assert (_colour(handle), _dash(handle)) in kinds, f"no such line: {handle.get_label()}"
    for axes in figure.axes:
        names = {"x": axes.get_xlabel(), "y": axes.get_ylabel() + axes.get_title(loc="left")}
        for (low, high), name in ((sorted(getattr(axes, f"get_{k}lim")()), n) for k, n in names.items()):
            if "(%)" in name:
                assert low >= 0, name
                assert high <= 100, name
            if name.startswith(("norm", "distance", "‖")):
                assert low >= 0, name


_CODE = re.compile(
    r"[A-Za-z]_[A-Za-z]|\w\^|[λη](max|min)|\b(relu|elu|gelu|ntk|mup|l1|l2)\b|\b(train|val)/|- - -|· · ·"
)


def _is_in_a_cell(text: Text) -> bool:
    """Numbers in the cells of a matrix are as large as their cells; powers of ten along axes are not text."""
    return text.get_horizontalalignment() == "center" and bool(
        re.fullmatch(r"[−\d.,·⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*", text.get_text())
    )


def _colour(line: Line2D) -> str:
    return to_hex(line.get_color())


def _dash(line: Line2D) -> object:
    return line._unscaled_dash_pattern[1]  # type: ignore[attr-defined]


def assert_finite_limits(figure: Figure) -> None:
    """Lays the figure out; every axis has finite limits."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
