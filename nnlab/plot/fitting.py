"""Labels that fit: in a form with less room, those longer than their axes are wrapped, then made smaller."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from nnlab.plot.text import plain, wrap

_ACROSS = 1.12  # of the width of its axes, which a label below them may take
_LEAST = 0.6  # of its size, to which a label shrinks that cannot be wrapped any further
_LINES = 3


def fit_labels(figure: Figure) -> None:
    """Wraps labels of axes, titles of panels and labels of the figure that are longer than what they name."""
    for _ in range(2):  # a wrapped label leaves its axes less room
        figure.draw_without_rendering()
        for axes in figure.axes:
            if axes.axison:
                _fit_axes(axes)
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


def _fit_axes(axes: Axes) -> None:
    box = axes.get_window_extent()
    _fit(axes.yaxis.label, box.height)
    _fit(axes.xaxis.label, _ACROSS * box.width)
    heading = axes.get_title(loc="left")
    for text in axes.get_children():
        if heading and isinstance(text, Text) and text.get_text() == heading:
            _fit(text, _ACROSS * box.width)


def _fit(text: Text, room: float) -> None:
    """Brings a text into `room` pixels along its line."""
    words = text.get_text().replace("\\$", "$")
    if not words.strip() or _length(text) <= room:
        return
    written = float(text.get_fontsize())
    size, points = written, room * 72 / _dpi(text)
    lines = [part for line in words.split("\n") for part in wrap(line.strip(), points, size)]
    while len(lines) > _LINES + words.count("\n") and size > _LEAST * written:
        size *= 0.92
        lines = [part for line in words.split("\n") for part in wrap(line.strip(), points, size)]
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
