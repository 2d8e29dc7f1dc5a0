"""The lines of a figure: drawn so that no extreme is lost, and named at their ends.

A logarithmic axis has no place for zero, and no axis has one for infinity. Neither may vanish without a
word: they are marked at the edge of the axes, and the label of the x axis says what the mark means.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from nnlab.plot.forms import limits_of
from nnlab.plot.scales import BoolArray, FloatArray
from nnlab.plot.style import FONT_NOTE, FONT_TICK, LINE, LineLook, darker, font, legend_beside, sample
from nnlab.plot.text import plain

MOST_POINTS = 4000  # of one curve; twice what a slide has pixels across
ZERO_NOTE = "▼ zero: below a log scale"
INFINITE_NOTE = "× no longer finite"

_MOST_LABELS = 12  # at line ends; more than that read better in a legend
_LETTERS = 26
_LINE = 1.5  # of a legend, in units of its font
_END = "line end"


def draw_line(axes: Axes, x: FloatArray, y: FloatArray, look: LineLook, width: float = LINE) -> list[str]:
    """Draws the finite points of one line and marks the others at the edge. Scale and limits come first.

    A value that is not a number between two finite ones was not measured there: the line goes on. An
    infinite value, or one that is not a number after the last finite one, is marked at the top. Points with
    no place on a logarithmic x axis, such as step 0, are left out.

    Returns:
        The notes that the marks need, for the label of the x axis.
    """
    if axes.get_xscale() == "log":
        x, y = x[x > 0], y[x > 0]
    known = np.isfinite(x) & np.isfinite(y)
    count = int(known.sum())
    every = 1 if count <= 25 else count // 8
    axes.plot(
        x[known],
        y[known],
        color=look.color,
        linestyle=look.dash,
        linewidth=width,
        marker=look.marker,
        markersize=6 if every == 1 else 7,
        markevery=every,
        markeredgecolor="white",
        markeredgewidth=0.6,
        solid_capstyle="round",
    )
    below = known & (y <= 0) if axes.get_yscale() == "log" else np.zeros_like(known)
    notes = []
    if _mark(axes, x[_starts(below)], 0.0, "v", look.color):
        notes.append(ZERO_NOTE)
    if _mark(axes, x[_starts(lost(y)) & np.isfinite(x)], 1.0, "x", look.color):
        notes.append(INFINITE_NOTE)
    return notes


def lost(values: FloatArray) -> BoolArray:
    """Tells which values (…, T) over training are infinite, or not a number and never finite again."""
    finite_later = np.logical_or.accumulate(np.isfinite(values)[..., ::-1], axis=-1)[..., ::-1]
    flags: BoolArray = np.isinf(values) | ~finite_later
    return flags


def _starts(flags: BoolArray) -> BoolArray:
    """Flags the first of every stretch of flagged values."""
    earlier = np.append(False, flags[:-1])
    first: BoolArray = flags & ~earlier
    return first


def _mark(axes: Axes, x: FloatArray, height: float, marker: str, color: str) -> bool:
    """Marks points on the lower (0) or upper (1) edge of the axes; returns whether there were any."""
    if x.size:
        axes.plot(
            x,
            np.full(len(x), height),
            transform=axes.get_xaxis_transform(),
            color=color,
            linestyle="none",
            marker=marker,
            markersize=9,
            markeredgewidth=2,
            clip_on=False,
            zorder=5,
            label="_edge",
        )
    return bool(x.size)


def thinned(x: FloatArray, y: FloatArray, most: int = MOST_POINTS) -> tuple[FloatArray, FloatArray]:
    """Returns about `most` of the points (T,), (T,), x ascending: of each stretch the lowest and the highest.

    The drawn curve then covers the same pixels as the whole one, which drawing every k-th point would not:
    a spike of one point stays. A stretch without a finite value becomes one gap.

    >>> x = np.arange(1000.0)
    >>> fewer = thinned(x, np.where(x == 501, 7.0, 0.0), most=20)
    >>> len(fewer[0]) <= 22, float(fewer[1].max())
    (True, 7.0)
    """
    if len(x) <= most:
        return x, y
    size = math.ceil(len(x) / (most // 2))
    rows = math.ceil(len(x) / size)
    padded = np.full(rows * size, np.nan)
    padded[: len(y)] = y
    blocks = padded.reshape(rows, size)
    known = np.isfinite(blocks)
    lowest = np.where(known, blocks, np.inf).argmin(axis=1)
    highest = np.where(known, blocks, -np.inf).argmax(axis=1)
    inside = (np.stack([lowest, highest], axis=1) + size * np.arange(rows)[:, None]).ravel()
    kept = np.unique(np.concatenate([[0], inside, [len(x) - 1]]))
    return x[kept], y[kept]


def ascending(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the points (T,), (T,) by ascending x, without those of no finite x, and gaps for infinite y."""
    placed = np.isfinite(x)
    if not placed.all():
        x, y = x[placed], y[placed]
    if np.any(np.diff(x) < 0):
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, np.where(np.isfinite(y), y, np.nan)


def draw_curve(
    axes: Axes, x: FloatArray, y: FloatArray, look: LineLook, width: float = LINE, *, zorder: float = 2
) -> int:
    """Draws the curve through the points (T,), (T,), with gaps where y is not finite.

    A curve of more points than are drawn is an image in the SVG too, so that the file opens quickly.

    Returns:
        The number of points that were left out because x or y is not finite.
    """
    places, values = thinned(*ascending(x, y))
    alone = int(np.isfinite(values).sum()) == 1
    axes.plot(
        places,
        values,
        color=look.color,
        linestyle=look.dash,
        linewidth=width,
        marker="D" if alone else "none",
        rasterized=len(x) > MOST_POINTS,
        zorder=zorder,
    )
    return int(len(x) - np.sum(np.isfinite(x) & np.isfinite(y)))


def shade_between(
    axes: Axes, x: FloatArray, low: float, y: FloatArray, color: str, opacity: float = 0.15
) -> None:
    """Tints the area between the level `low` and the curve (T,), (T,)."""
    places, values = thinned(*ascending(x, y))
    axes.fill_between(
        places, low, values, color=color, alpha=opacity, linewidth=0, rasterized=len(x) > MOST_POINTS
    )


def difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns first − second, (T,) each; not-a-number where either is not finite."""
    known = np.isfinite(first) & np.isfinite(second)
    gaps: FloatArray = np.subtract(first, second, out=np.full(len(first), np.nan), where=known)
    return gaps


def left_out(count: int) -> list[str]:
    """Returns the note on values that could not be drawn; none where there are none."""
    words = "value that is" if count == 1 else "values that are"
    return [f"left out: {count} {words} not finite"] if count else []


@dataclass(frozen=True)
class LineEnd:
    """A line's name (a user's string), its look, and its last finite point."""

    name: str
    look: LineLook
    x: float
    y: float


def line_end(name: str, look: LineLook, x: FloatArray, y: FloatArray) -> LineEnd | None:
    """Returns the end of a line with points (T,), (T,); None if no point is finite."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    return LineEnd(name, look, float(x[known[-1]]), float(y[known[-1]])) if len(known) else None


def spread_apart(wanted: FloatArray, gap: float) -> FloatArray:
    """Returns the positions in [0, 1] nearest to the wanted ones (least squares) with a gap between them.

    With levels yᵢ = positionᵢ − i·gap, in ascending order of the wanted ones, the question is isotonic
    regression within bounds. Pooling adjacent violators answers it exactly (Barlow, Bartholomew, Bremner
    and Brunk, "Statistical Inference under Order Restrictions", 1972). Too many positions for the gap end
    above 1.

    >>> spread_apart(np.array([0.5, 0.5, 0.9, 1.0]), 0.2).round(2).tolist()
    [0.4, 0.6, 0.8, 1.0]
    """
    order = np.argsort(wanted, kind="stable")
    pools: list[tuple[float, int]] = []  # mean level and size
    for rank, value in enumerate(wanted[order]):
        mean, size = float(value) - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    levels = np.array([mean for mean, size in pools for _ in range(size)])
    placed = np.empty_like(wanted)
    highest = max(0.0, 1 - (len(wanted) - 1) * gap)
    placed[order] = np.clip(levels, 0, highest) + gap * np.arange(len(wanted))
    return placed


def label_ends(figure: Figure, axes: Axes, ends: list[LineEnd | None]) -> None:
    """Names each line at its right end. Call it when the limits of the axes are settled.

    More lines than fit beside the axes are named in a legend instead, in the order given.
    """
    known = [end for end in ends if end is not None]
    limits = limits_of(figure.axes.index(axes))
    if limits is not None:
        axes.set_ylim(limits)
    axes_points = 72 * figure.get_figheight() * axes.get_position().height
    gap = 1.35 * FONT_TICK / axes_points
    if len(known) > min(_MOST_LABELS, int(1 / gap) + 1):
        _name_beside(figure, axes, known)
        return
    axes.set_xlim(axes.get_xlim())  # settles limits that matplotlib would compute while drawing
    axes.set_ylim(axes.get_ylim())
    wanted = np.array([_height(axes, end) for end in known])
    for end, height, true_height in zip(known, spread_apart(wanted, gap), wanted, strict=True):
        _label(axes, end, float(height), float(true_height))


def _height(axes: Axes, end: LineEnd) -> float:
    """Returns the height of the end in fractions of the axes, from 0 to 1; zero on a log scale is at 0."""
    if axes.get_yscale() == "log" and end.y <= 0:
        return 0.0
    scaled = axes.transScale.transform((end.x, end.y))
    return float(np.clip(axes.transLimits.transform(scaled)[1], 0, 1))


def spread_labels(axes: Axes) -> None:
    """Moves the names at the line ends apart, as far as the axes are high once everything has its place."""
    names = [text for text in axes.texts if text.get_gid() == _END]
    if not names:
        return
    height = float(axes.get_window_extent().height)
    gap = max(1.1 * float(Text.get_window_extent(name).height) for name in names) / height
    wanted = np.array([float(name.xy[1]) for name in names])  # type: ignore[attr-defined]
    for name, place in zip(names, spread_apart(wanted, gap), strict=True):
        name.set_position((1.03, float(place)))


def _label(axes: Axes, end: LineEnd, height: float, true_height: float) -> None:
    """Writes the name beside the axes, with a thin line to the end that it names."""
    axes.annotate(
        plain(end.name, limit=_LETTERS),
        xy=(end.x, true_height),
        xycoords=("data", "axes fraction"),
        xytext=(1.03, height),
        textcoords="axes fraction",
        va="center_baseline",
        annotation_clip=False,
        gid=_END,
        **font(FONT_TICK, darker(end.look.color)),
        arrowprops={
            "arrowstyle": "-",
            "color": end.look.color,
            "linewidth": 0.9,
            "linestyle": (0, (1, 1.5)),
            "shrinkA": 1,
            "shrinkB": 4,
            "relpos": (0.0, 0.5),
        },
    )


def _name_beside(figure: Figure, axes: Axes, ends: list[LineEnd]) -> None:
    """Names the lines in a legend, and enlarges the figure where one column does not hold it."""
    size = figure.get_size_inches()
    columns = math.ceil(len(ends) * _LINE * FONT_NOTE / 72 / (0.8 * float(size[1])))
    figure.set_size_inches(*size * (0.6 + 0.4 * columns))
    handles = [sample(end.look, plain(end.name, limit=_LETTERS)) for end in ends]
    legend_beside(axes, handles, columns)
