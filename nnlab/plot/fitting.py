"""Labels that fit: in a form with less room, those longer than their axes are wrapped, then made smaller.

Numbers along an axis that would run into each other are thinned out.
"""

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator

from nnlab.plot.lines import spread_labels
from nnlab.plot.text import APART, plain, wrap

_ACROSS = 1.12  # of the width of its axes, which a label below them may take
_LEAST = 0.6  # of its size, to which a label shrinks that cannot be wrapped any further
_LINES = 3
_GAP = 0.6  # of their size, between two numbers along an axis


def fit_labels(figure: Figure) -> None:
    """Wraps labels of axes, titles of panels and labels of the figure that are longer than what they name.

    A drawing whose parts stand where they were put, such as a `Canvas`, stays as it is.
    """
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        return
    for _ in range(2):  # a wrapped label leaves its axes less room
        figure.draw_without_rendering()
        for axes in figure.axes:
            if axes.axison:
                _fit_axes(axes, float(figure.bbox.width))
                spread_labels(axes)
        for text in figure.texts:
            if text.get_rotation() == 90:
                _fit(text, float(figure.bbox.height) * 0.85)
            elif text.get_text() != figure.get_suptitle():
                _fit(text, float(figure.bbox.width) * 0.96)


def smallest_text(figure: Figure) -> float:
    """Returns the size in points of the smallest text that is seen, before the figure is scaled."""
    sizes = [
        float(text.get_fontsize())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    return min(sizes, default=0.0)


def _fit_axes(axes: Axes, edge: float) -> None:
    """Fits the labels of axes in a figure of `edge` pixels across, which cuts off what reaches beyond."""
    box = axes.get_window_extent()
    _fit(axes.yaxis.label, box.height)
    _fit(axes.xaxis.label, min(_ACROSS * box.width, 2 * edge - box.x0 - box.x1))
    for axis in (axes.xaxis, axes.yaxis):
        _thin_out(axis)
    heading = axes.get_title(loc="left")
    for text in axes.get_children():
        if heading and isinstance(text, Text) and text.get_text() == heading:
            _fit(text, min(_ACROSS * box.width, edge - box.x0))


def _thin_out(axis: Axis) -> None:
    """Gives an axis fewer numbers, until they stand apart; places that were chosen one by one stay."""
    locator = axis.get_major_locator()
    if not isinstance(locator, MaxNLocator | LogLocator):
        return
    for most in range(len(axis.get_majorticklocs()) - 1, 1, -1):
        if not _touching(axis):
            return
        if isinstance(locator, MaxNLocator):
            locator.set_params(nbins=most)
        else:  # numbers between the powers of ten go first
            locator.set_params(subs=(1.0,), numticks=most)


def _touching(axis: Axis) -> bool:
    labels = [label for label in axis.get_majorticklabels() if label.get_visible() and label.get_text()]
    low, high = sorted(axis.get_view_interval())
    upright = axis is axis.axes.yaxis
    seen = [label for label in labels if low <= label.get_position()[upright] <= high]
    ends = sorted(
        (float(box.y0), float(box.y1)) if upright else (float(box.x0), float(box.x1))
        for box in (label.get_window_extent() for label in seen)
    )
    gap = max(((0 if upright else _GAP) * float(label.get_fontsize()) * _dpi(label) / 72 for label in seen),
              default=0.0)  # fmt: skip
    return any(after[0] - before[1] < gap for before, after in pairwise(ends))


def _fit(text: Text, room: float) -> None:
    """Brings a text into `room` pixels along its line."""
    words = text.get_text().replace("\\$", "$")
    if not words.strip() or _length(text) <= room:
        return
    written = float(text.get_fontsize())
    size, points = written, room * 72 / _dpi(text)
    given = words.replace(APART, "\n").split("\n")
    lines = [part for line in given for part in wrap(line.strip(), points, size)]
    while len(lines) > _LINES + len(given) - 1 and size > _LEAST * written:
        size *= 0.92
        lines = [part for line in given for part in wrap(line.strip(), points, size)]
    text.set_fontsize(size)
    text.set_text("\n".join(map(plain, lines)))
    if text.get_rotation() == 90:
        text.set_multialignment("center")


def _length(text: Text) -> float:
    box = Text.get_window_extent(text)
    return float(box.height if text.get_rotation() == 90 else box.width)


def _dpi(text: Text) -> float:
    assert text.figure is not None
    return float(text.figure.dpi)
