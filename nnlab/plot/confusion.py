"""The confusion matrix: the classes that are taken for each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from nnlab.plot.scales import FloatArray
from nnlab.plot.style import FONT_TICK, GRID, INK, MUTED, PAPER, colour_bar, dress, font, new_figure
from nnlab.plot.text import literal, number, percent, plain

_SIZE = (9.4, 8.0)
_SIDE, _SHORTER = 3.2, 0.7  # inches that the matrix gets of the figure, and its share above slanted names
_SMALLEST = 9.0  # points: smaller counts cannot be read and are left out
_LETTERS = 24  # of a class name; where there are many classes three quarters of it
_TICKS = 16  # class names along one side; beyond that every second, fifth, tenth… is named
_EVERY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9)


def confusion_matrix(matrix: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Draws counts of (true class, predicted class), coloured by the share of the true class.

    The title tells the accuracy and the most frequent mistake.

    Args:
        matrix: (C, C) counts; entry [i, j] counts the examples of class i that were predicted as j.
        class_names: C names.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    figure = new_figure(_title(counts, class_names), _SIZE)
    axes = figure.subplots()
    dress(axes, "predicted class", "true class", grid=False)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    image = _colour(axes, shares)
    side = _SIDE * (_SHORTER if _name_classes(axes, class_names) else 1.0)
    _print_counts(axes, counts, shares, side)
    colour_bar(figure, image, [axes], "share of the true class (%)")
    return figure


def _colour(axes: Axes, shares: FloatArray) -> AxesImage:
    """Draws the shares as colours, by their square root: a rare mistake is seen beside the diagonal."""
    colours = colormaps["Blues"].with_extremes(bad=GRID)
    image = axes.imshow(
        np.ma.masked_invalid(100 * shares),
        cmap=colours,
        norm=PowerNorm(0.5, vmin=0, vmax=100),
        interpolation="nearest",
    )
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.8)
    edges = np.arange(len(shares) + 1) - 0.5
    if len(shares) <= _TICKS:
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color=PAPER, linewidth=1.0)
        axes.tick_params(which="minor", length=0)
    return image


def _name_classes(axes: Axes, class_names: Sequence[str]) -> bool:
    """Writes names along both sides, thinned out where they are many; tells whether some are slanted."""
    every = next(n for n in _EVERY if len(class_names) <= n * _TICKS)
    places = list(range(0, len(class_names), every))
    most = _LETTERS if len(class_names) <= 12 else 3 * _LETTERS // 4
    names = [plain(class_names[place], limit=most) for place in places]
    size = min(FONT_TICK, 0.8 * 72 * _SIDE / len(names))
    letters = max(map(len, names))
    along_x = _SIDE * 72 / len(names)  # points for each name
    rotation = 0 if letters * 0.65 * size < along_x else (45 if len(names) <= 15 else 90)
    axes.set_xticks(places, names, rotation=rotation, **font(size))
    axes.set_yticks(places, names, **font(size))
    if rotation == 45:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    return rotation > 0


def _print_counts(axes: Axes, counts: FloatArray, shares: FloatArray, side: float) -> None:
    """Writes the count into every cell, as large as its cell allows; none where it could not be read."""
    cell = side * 72 / len(counts)  # points
    texts = [[number(float(count), digits=6) for count in row] for row in counts]
    longest = max(len(text) for row in texts for text in row)
    size = min(15.0, 0.62 * cell, 0.9 * cell / (0.64 * longest))
    if size < _SMALLEST:
        return
    for (row, column), share in np.ndenumerate(shares):
        ink = PAPER if share > 0.4 else (MUTED if counts[row, column] == 0 else INK)
        axes.text(column, row, texts[row][column], ha="center", va="center", **font(size, ink))


def _title(counts: FloatArray, class_names: Sequence[str]) -> str:
    if counts.sum() == 0:
        return "No example was classified"
    mistakes = counts - np.diag(np.diag(counts))
    if mistakes.max() == 0:
        return "Every example is classified right"
    accuracy = float(np.trace(counts) / counts.sum())
    true, predicted = divmod(int(mistakes.argmax()), len(mistakes))
    names = [literal(class_names[index], _LETTERS) for index in (true, predicted)]
    times, of = (number(float(count), digits=6) for count in (mistakes[true, predicted], counts[true].sum()))
    return (
        f"{percent(accuracy)} right; most frequent mistake: {names[0]} taken for {names[1]}, {times} of {of}"
    )
