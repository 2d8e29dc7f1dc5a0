"""The perceptron: its lines while it learns, and what no line separates but a network does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.bands import beneath
from nnlab.plot.regions import region_colours
from nnlab.plot.scales import BoolArray, FloatArray, as_array
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
)
from nnlab.plot.text import literal, plain

_CLASSES = (LineLook(PALETTE[0], "none", "o"), LineLook(PALETTE[1], "none", "s"))
_LAST = LineLook(INK, "-", "none")
_EARLIER = LineLook(MUTED, "-", "none")
_UNIT = LineLook(INK, (0, (5, 1.6)), "none")
_MOST_LINES = 15  # earlier lines of one panel; more would be a grey area
_CELLS = 300  # of the picture of a half-plane, along each axis
_TINT = 0.62  # how sure a region's colour looks: as strong as text and points on it allow
_PANEL = 4.1  # inches

Learned = tuple[ArrayLike, ArrayLike, ArrayLike]
Region = tuple[ArrayLike, ArrayLike, ArrayLike]


@dataclass(frozen=True)
class _Problem:
    """Points (n, 2) with labels (n,), 0 or 1, lines (k, 3) of size 1, and cells with their classes."""

    name: str
    points: FloatArray
    labels: FloatArray
    lines: FloatArray
    changes: int
    region: tuple[FloatArray, FloatArray, FloatArray] | None

    def wrong(self) -> int:
        """How many points the network, or else the last line, puts on the wrong side."""
        if self.region is not None:
            x1, x2, classes = self.region
            rows, columns = (
                np.abs(centres[None] - places[:, None]).argmin(axis=1)
                for centres, places in zip((x1, x2), self.points.T, strict=True)
            )
            return int(np.sum(classes[rows, columns] != self.labels))
        if len(self.lines) == 0:
            return int(min(np.sum(self.labels == 0), np.sum(self.labels == 1)))
        return int(np.sum(_side(self.lines[-1], self.points) != (self.labels == 1)))


def separating_lines(
    panels: Mapping[str, Learned],
    title: str | None = None,
    *,
    regions: Mapping[str, Region] | None = None,
    captions: Mapping[str, str] | None = None,
    axis_labels: tuple[str, str] = ("input x₁", "input x₂"),
) -> Figure:
    """The lines of a perceptron while it learns, and the lines of a network's hidden units, over the points.

    Where the last line separates, its half-plane w·x + b > 0 is tinted like class 1, the other like class 0.

    Args:
        panels: Problem, such as "XOR" -> points (n, 2), labels (n,) that are 0 or 1, and lines (k, 3) with
            rows (w₁, w₂, b): the perceptron's line after each change, the last one drawn strong; in a panel
            with a region the lines of the hidden units, all drawn strong. A row with w = 0 is no line.
        title: A sentence; by default which problems a line separates.
        regions: Panel -> x₁ (G₁,), x₂ (G₂,), evenly spaced, and the network's class (G₁, G₂), 0 or 1, at
            [i, j] = (x₁ᵢ, x₂ⱼ).
        captions: Panel -> what is said below it; by default how many changes it took, or what stays wrong.
        axis_labels: Names of the two inputs.

    Raises:
        InputError: an array has another shape, a label or class is neither 0 nor 1, or a region or caption is
            for no panel.
    """
    drawn, said = dict(regions or {}), dict(captions or {})
    for key in [*drawn, *said]:
        if key not in panels:
            known = ", ".join(repr(name) for name in panels) or "none"
            raise InputError(f"figure: {key!r} names no panel; allowed: {known}")
    problems = [_problem(name, drawn.get(name), *arrays) for name, arrays in panels.items()]
    columns = max(1, min(4, len(problems)))
    rows = max(1, math.ceil(len(problems) / columns))
    width = max(8.0, _PANEL * columns + 0.4)
    figure = new_figure(title or _lines_title(problems), (width, 1.8 + 4.0 * rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, problem in zip(grid.flat, problems, strict=False):
        dress(axes, grid=False)
        _draw_problem(axes, problem)
        panel_title(axes, plain(problem.name, limit=30))
        label = beneath(
            plain(axis_labels[0]), [plain(said.get(problem.name, _caption(problem)))], 72 * _PANEL
        )
        axes.set_xlabel(label)
    for row in grid:
        row[0].set_ylabel(plain(axis_labels[1]))
    for axes in grid.flat[len(problems) :]:
        axes.set_axis_off() if problems else nothing_to_show(axes, "no problems")
    legend(figure, _lines_legend(problems), "outside lower center", columns=5, size=FONT_TICK)
    return figure


def _problem(
    name: str, region: Region | None, points: ArrayLike, labels: ArrayLike, lines: ArrayLike
) -> _Problem:
    places = as_array(points, f"the points of {name!r}", dimensions=2)
    classes = as_array(labels, f"the labels of {name!r}")
    rows = as_array(lines, f"the lines of {name!r}", dimensions=2)
    if places.shape != (len(classes), 2):
        raise InputError(
            f"figure: {name!r} has points of shape {places.shape} for {len(classes)} labels; "
            "must be (n, 2) and (n,)"
        )
    if rows.size and rows.shape[1] != 3:
        raise InputError(f"figure: the lines of {name!r} must have the shape (k, 3), not {rows.shape}")
    if not np.isfinite(places).all() or not np.isin(classes, (0, 1)).all():
        raise InputError(f"figure: {name!r} needs finite points, and labels that are 0 or 1")
    usable = rows[np.isfinite(rows).all(axis=1)] if rows.size else np.zeros((0, 3))
    largest = np.abs(usable).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(usable, largest, out=np.zeros_like(usable), where=largest > 0)
    return _Problem(name, places, classes, scaled, len(rows), _region(name, region))


def _region(name: str, region: Region | None) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    if region is None:
        return None
    x1, x2 = as_array(region[0], f"x₁ of {name!r}"), as_array(region[1], f"x₂ of {name!r}")
    classes = as_array(region[2], f"the region of {name!r}", dimensions=2)
    if classes.shape != (len(x1), len(x2)) or min(classes.shape) < 2:
        raise InputError(
            f"figure: the region of {name!r} has the shape {classes.shape} for {len(x1)} and {len(x2)} "
            "values of x₁ and x₂; must be as many, and at least two of each"
        )
    if not np.isin(classes, (0, 1)).all():
        raise InputError(f"figure: the region of {name!r} must hold classes that are 0 or 1")
    return x1, x2, classes


def _side(line: FloatArray, points: FloatArray) -> BoolArray:
    """Which of the points (…, 2) have w·x + b > 0."""
    positive_side: BoolArray = points @ line[:2] + line[2] > 0
    return positive_side


def _draw_problem(axes: Axes, problem: _Problem) -> None:
    low, high = _view(problem)
    _tint(axes, problem, low, high)
    middle, reach = (low + high) / 2, float(np.hypot(*(high - low)))
    strong = problem.lines if problem.region is not None else problem.lines[-1:]
    faint = problem.lines[:0] if problem.region is not None else problem.lines[:-1][-_MOST_LINES:]
    look = _UNIT if problem.region is not None else _LAST
    for index, line in enumerate(faint):
        strength = 0.25 + 0.5 * (index + 1) / len(faint)
        _draw_line(axes, line, middle, reach, _EARLIER, THIN, strength)
    for line in strong:
        _draw_line(axes, line, middle, reach, look, 1.3 * LINE, 1.0)
    for value, look in enumerate(_CLASSES):
        chosen = problem.points[problem.labels == value]
        axes.plot(
            *chosen.T,
            linestyle="none",
            marker=look.marker,
            color=look.color,
            markersize=15 if len(problem.points) <= 30 else 7,
            markeredgecolor=PAPER,
            markeredgewidth=1.4,
            zorder=4,
        )
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal" if np.ptp(high - low) < 0.5 * np.max(high - low) else "auto")


def _view(problem: _Problem) -> tuple[FloatArray, FloatArray]:
    """The lower left and the upper right corner of the panel."""
    if problem.region is not None:
        edges = [(values.min(), values.max()) for values in problem.region[:2]]
        return np.array([e[0] for e in edges]), np.array([e[1] for e in edges])
    if len(problem.points) == 0:
        return np.array([-0.5, -0.5]), np.array([1.5, 1.5])
    low, high = problem.points.min(axis=0), problem.points.max(axis=0)
    size = np.where(high > low, high - low, np.maximum(1.0, np.abs(high)))
    return low - 0.45 * size, high + 0.45 * size


def _tint(axes: Axes, problem: _Problem, low: FloatArray, high: FloatArray) -> None:
    if problem.region is not None:
        classes: FloatArray = problem.region[2]
    elif len(problem.lines) and problem.wrong() == 0:
        centres = [
            start + (np.arange(_CELLS) + 0.5) / _CELLS * (end - start)
            for start, end in zip(low, high, strict=True)
        ]
        grid = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)
        classes = _side(problem.lines[-1], grid).astype(np.float64)
    else:
        return
    share = (1 + _TINT * np.where(classes == 1, 1, -1)) / 2  # as if the probability of class 1
    colours = region_colours(np.stack([1 - share, share], axis=-1)).transpose(1, 0, 2)
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(colours, extent=extent, origin="lower", aspect="auto", interpolation="nearest")


def _draw_line(
    axes: Axes,
    line: FloatArray,
    middle: FloatArray,
    reach: float,
    look: LineLook,
    width: float,
    strength: float,
) -> None:
    """The line w·x + b = 0, as far as it crosses the panel: around its point nearest to the middle."""
    size = float(np.hypot(line[0], line[1]))
    if size < 1e-9:
        return  # no line, or one infinitely far away
    normal = line[:2] / size
    distance = float(normal @ middle + line[2] / size)
    if abs(distance) > reach:
        return
    foot = middle - distance * normal
    ends = foot + reach * np.outer([-1, 1], [-normal[1], normal[0]])
    axes.plot(*ends.T, color=look.color, linestyle=look.dash, linewidth=width, alpha=strength, zorder=3)


def _caption(problem: _Problem) -> str:
    wrong, count = problem.wrong(), problem.changes
    missed = f"{wrong} of {len(problem.points)} points stay wrong"
    if problem.region is not None:
        units = f"{count} hidden unit{'s' if count != 1 else ''}"
        return f"{units}: {missed if wrong else 'all right'}"
    changes = f"after {count} change{'s' if count != 1 else ''}"
    return f"{changes}, {missed}" if wrong else f"separated {changes}"


def _lines_legend(problems: Sequence[_Problem]) -> list[Line2D]:
    entries = [sample(look, f"class {value}", line=False) for value, look in enumerate(_CLASSES)]
    learned = [problem for problem in problems if problem.region is None and len(problem.lines)]
    if learned:
        entries.append(sample(_LAST, "the perceptron's last line", marker=False))
    if any(len(problem.lines) > 1 for problem in learned):
        entries.append(sample(_EARLIER, "its earlier lines", marker=False))
        entries[-1].set(linewidth=THIN, alpha=0.7)
    if any(problem.region is not None for problem in problems):
        entries.append(sample(_UNIT, "a hidden unit's line", marker=False))
    return entries


def _lines_title(problems: Sequence[_Problem]) -> str:
    alone = [problem for problem in problems if problem.region is None]
    solved = [literal(problem.name, 30) for problem in alone if problem.wrong() == 0]
    missed = [literal(problem.name, 30) for problem in alone if problem.wrong()]
    networks = [problem for problem in problems if problem.region is not None and problem.wrong() == 0]
    parts = []
    if solved:
        parts.append(f"one line separates {listed(solved)}")
    if missed:
        parts.append(f"the perceptron finds {'none' if solved else 'no line'} for {listed(missed)}")
    if networks:
        units = {len(problem.lines) for problem in networks}
        parts.append(f"{units.pop() if len(units) == 1 else 'more'} hidden units suffice")
    sentence = ", ".join(parts) or "lines through the points"
    return sentence[:1].upper() + sentence[1:]


def listed(names: Sequence[str]) -> str:
    """'AND, OR and NOT'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
