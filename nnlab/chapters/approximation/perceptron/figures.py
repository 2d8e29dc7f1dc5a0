"""Figures of the perceptron: its lines while it learns, what no line separates, mistakes and successes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from nnlab.chapters.approximation.drawing import note
from nnlab.display import spoken
from nnlab.plot.regions import region_colours
from nnlab.plot.scales import FloatArray, as_numbers, log_axis
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    NEGATIVE,
    PALETTE,
    PAPER,
    POSITIVE,
    THIN,
    WIDE,
    LineLook,
    dress,
    font,
    legend_below,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import listed, literal, number, plain, wrap

_CLASSES = (LineLook(NEGATIVE, "none", "s"), LineLook(POSITIVE, "none", "o"))  # of 0 and 1
_LAST = LineLook(INK, "-", "none")
_EARLIER = LineLook(MUTED, "-", "none")
_UNIT = LineLook(INK, (0, (5, 1.6)), "none")
_MOST_LINES = 15  # earlier lines of one panel; more would be a grey area
_CELLS = 300  # of the picture of a half-plane, along each axis
_TINT = 0.62  # how sure a region's colour looks: as strong as text and points on it allow
_PANEL = 4.1  # inches


@dataclass(frozen=True)
class Problem:
    """Points with two classes, and the lines of a perceptron or of a network's hidden units.

    Attributes:
        points: (n, 2).
        labels: (n,), 0 or 1.
        lines: (k, 3) with rows (w₁, w₂, b): the perceptron's line after each change, or, with a region, the
            lines of the hidden units. A row with w = 0 is no line.
        region: x (G,), evenly spaced, and the network's class (G, G), 0 or 1, at [i, j] = (xᵢ, xⱼ).
        caption: what is written below; by default how many changes it took, or what stays wrong.
    """

    points: FloatArray
    labels: NDArray[np.int64]
    lines: FloatArray
    region: tuple[FloatArray, NDArray[np.int64]] | None = None
    caption: str | None = None

    @property
    def on_the_line(self) -> int:
        """The number of points on the perceptron's last line: it gives them to neither class."""
        return 0 if self.region is not None else int(np.sum(_heights(self.lines[-1], self.points) == 0))

    @property
    def wrong(self) -> int:
        """The number of points that the network, or else the last line, puts on the wrong side."""
        if self.region is None:
            towards = np.where(self.labels == 1, 1, -1) * _heights(self.lines[-1], self.points)
            return int(np.sum(towards < 0))
        x, classes = self.region
        rows, columns = np.abs(x[None, None] - self.points.T[..., None]).argmin(axis=-1)
        return int(np.sum(classes[rows, columns] != self.labels))


def separating_lines(problems: Mapping[str, Problem]) -> Figure:
    """The lines of a perceptron while it learns, and the lines of a network's hidden units, over the points.

    Where the last line separates, its half-plane w·x + b > 0 is tinted like class 1, the other like class 0.

    Args:
        problems: Up to four, such as "XOR" -> the problem.
    """
    figure = new_figure(_lines_title(problems), (max(8.0, _PANEL * len(problems) + 0.4), 5.8))
    grid = figure.subplots(1, len(problems), squeeze=False)[0]
    for axes, (name, problem) in zip(grid, problems.items(), strict=True):
        dress(axes, grid=False)
        _draw_problem(axes, problem)
        panel_title(axes, plain(name, limit=30))
        caption = plain(_caption(problem) if problem.caption is None else problem.caption)
        room = 72 * (figure.get_figwidth() - 0.4) / len(problems)
        axes.set_xlabel("\n".join(["x₁", *wrap(caption, room, FONT_TICK)]), **font(FONT_TICK))
        axes.locator_params(nbins=3)
        axes.tick_params(labelleft=axes is grid[0])
    grid[0].set_ylabel("x₂")
    entries = [sample(look, f"class {value}", line=False) for value, look in enumerate(_CLASSES)]
    entries.append(sample(_LAST, "last line", marker=False))
    counts = [len(problem.lines) - 1 for problem in problems.values() if problem.region is None]
    most = max(counts, default=0)
    earlier = f"{_MOST_LINES} lines before" if most > _MOST_LINES else "lines before"
    entries.append(sample(_EARLIER, earlier, marker=False))
    entries[-1].set(linewidth=THIN, alpha=0.7)
    if any(problem.region is not None for problem in problems.values()):
        entries.append(sample(_UNIT, "line of a hidden unit", marker=False))
    legend_below(figure, entries)
    return figure


def _heights(line: FloatArray, points: FloatArray) -> FloatArray:
    """w·x + b at the points (…, 2)."""
    heights: FloatArray = points @ line[:2] + line[2]
    return heights


def _draw_problem(axes: Axes, problem: Problem) -> None:
    if problem.region is not None:
        ends = problem.region[0][[0, -1]]
        low, high = np.repeat(ends[0], 2), np.repeat(ends[1], 2)
    else:
        low, high = problem.points.min(axis=0), problem.points.max(axis=0)
        low, high = low - 0.45 * (high - low), high + 0.45 * (high - low)
    _tint(axes, problem, low, high)
    middle, reach = (low + high) / 2, float(np.hypot(*(high - low)))
    if problem.region is not None:
        strong, faint, look = problem.lines, problem.lines[:0], _UNIT
    else:
        strong, faint, look = problem.lines[-1:], problem.lines[:-1][-_MOST_LINES:], _LAST
    for index, line in enumerate(faint):
        _draw_line(axes, line, middle, reach, _EARLIER, THIN, 0.25 + 0.5 * (index + 1) / len(faint))
    for line in strong:
        _draw_line(axes, line, middle, reach, look, 1.3 * LINE, 1.0)
    for value, look in enumerate(_CLASSES):
        axes.plot(
            *problem.points[problem.labels == value].T,
            linestyle="none",
            marker=look.marker,
            color=look.color,
            markersize=15,
            markeredgecolor=PAPER,
            markeredgewidth=1.4,
            zorder=4,
        )
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")


def _tint(axes: Axes, problem: Problem, low: FloatArray, high: FloatArray) -> None:
    """Tints the network's region, or the half-planes of a line that separates."""
    if problem.region is not None:
        classes: NDArray[np.generic] = problem.region[1]
    elif problem.wrong + problem.on_the_line == 0:
        centres = np.linspace(low, high, 2 * _CELLS + 1)[1::2].T
        places = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)
        classes = _heights(problem.lines[-1], places) > 0
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
    """Draws w·x + b = 0 as far as it crosses the panel: around its point nearest to the middle."""
    size = float(np.hypot(line[0], line[1]))
    if size == 0:
        return
    normal = line[:2] / size
    distance = float(normal @ middle + line[2] / size)
    if abs(distance) > reach:
        return
    foot = middle - distance * normal
    ends = foot + reach * np.outer([-1, 1], [-normal[1], normal[0]])
    axes.plot(*ends.T, color=look.color, linestyle=look.dash, linewidth=width, alpha=strength, zorder=3)


def _caption(problem: Problem) -> str:
    count, missed = len(problem.lines), f"{problem.wrong} of {len(problem.points)} points wrong"
    if problem.region is not None:
        return f"{count} hidden units: {missed if problem.wrong else 'all right'}"
    if not problem.wrong + problem.on_the_line:
        return f"separated after {count} changes"
    tied = f", {problem.on_the_line} on the line" if problem.on_the_line else ""
    return f"after {count} changes {missed}{tied}"


def _lines_title(problems: Mapping[str, Problem]) -> str:
    alone = {literal(name, 30): p.wrong + p.on_the_line for name, p in problems.items() if p.region is None}
    solved = [name for name, wrong in alone.items() if not wrong]
    missed = [name for name, wrong in alone.items() if wrong]
    networks = [len(p.lines) for p in problems.values() if p.region is not None and p.wrong == 0]
    parts = []
    if solved:
        parts.append(f"one line separates {listed(solved)}")
    if missed:
        parts.append(f"the perceptron finds {'none' if solved else 'no line'} for {listed(missed)}")
    if networks:
        parts.append(f"{networks[0]} hidden units suffice")
    sentence = ", ".join(parts)
    return sentence[:1].upper() + sentence[1:]


def perceptron_mistakes(mistakes: Mapping[str, Sequence[int]], bounds: Mapping[str, float]) -> Figure:
    """Mistakes of the perceptron until it separates, beside the bound (R/γ)² of each problem.

    Args:
        mistakes: Problem -> mistakes (S,), at least one each, for each set of points.
        bounds: Problem -> (R/γ)², R the largest norm of a point and γ the margin (with the constant input
            that carries the bias counted in both).
    """
    figure = new_figure(_mistakes_title(mistakes, bounds), (10.0, 2.6 + 0.62 * max(2, len(mistakes))))
    axes = figure.subplots()
    dress(axes, "mistakes until every point is right", "")
    log_axis(axes.xaxis, np.array([*bounds.values(), *(m for row in mistakes.values() for m in row)], float))
    most_equal = max(row.count(value) for row in mistakes.values() for value in row)
    size = float(np.clip(90 / most_equal, 2.5, 6.5))
    for level, (name, row) in enumerate(mistakes.items()):
        for value in sorted(set(row)):
            count = row.count(value)
            heights = level + np.linspace(-0.26, 0.26, count) if count > 1 else [level]
            (dots,) = axes.plot(np.full(count, value), heights, linestyle="none", marker="o")
            dots.set(color=PALETTE[0], markersize=size, markeredgecolor=PAPER, markeredgewidth=0.4)
        (mark,) = axes.plot([bounds[name]], [level], linestyle="none", marker="|", color=PALETTE[1])
        mark.set(markersize=26, markeredgewidth=3.5)
        note(axes, bounds[name], level, number(bounds[name]), offset=(7, 0), ha="left")
    axes.set_yticks(range(len(mistakes)), [plain(name, limit=30) for name in mistakes])
    axes.set_ylim(len(mistakes) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    dots = sample(LineLook(PALETTE[0], "none", "o"), "mistakes, one dot per set of points", line=False)
    dots.set_markeredgecolor("none")
    mark = Line2D([], [], color=PALETTE[1], marker="|", linestyle="none", markersize=18)
    mark.set(markeredgewidth=3.5, label="bound (R/γ)²")
    legend_below(figure, [dots, mark])
    return figure


def _mistakes_title(mistakes: Mapping[str, Sequence[int]], bounds: Mapping[str, float]) -> str:
    most = {name: max(row) for name, row in mistakes.items()}
    beyond = [literal(name, 30) for name in most if most[name] > bounds[name]]
    if beyond:
        return f"The perceptron makes more mistakes than (R/γ)² on {listed(beyond)}"
    words = [f"{most[name]} of {number(bounds[name])} on {literal(name, 30)}" for name in most]
    closest = max(most, key=lambda name: most[name] / bounds[name])
    details = ", ".join(words) if len(words) <= 2 else words[list(most).index(closest)]
    return f"The perceptron stays within its bound of (R/γ)² mistakes: at most {details}"


def success_rate(
    labels: Sequence[str], rates: ArrayLike, intervals: ArrayLike, title: str | None = None, *, x_label: str
) -> Figure:
    """Draws the success rate of each variant as a bar with its interval, the first label on top.

    Args:
        labels: K ≥ 1 names.
        rates: (K,) fractions of 1.
        intervals: (K, 2) 95% intervals, fractions of 1.
        title: What was tried, such as "XOR from 500 random starts".
        x_label: What is counted, in percent.
    """
    shares, bounds = 100 * as_numbers(rates), 100 * as_numbers(intervals)
    count = len(labels)
    names = [spoken(literal(label, 34)) for label in labels]
    best, worst = int(shares.argmax()), int(shares.argmin())
    found = f"{names[best]} succeed in {number(shares[best])} %, {names[worst]} in {number(shares[worst])} %"
    figure = new_figure(f"{title}: {found}" if title else found, (WIDE[0], max(3.2, 1.7 + 0.62 * count)))
    axes = figure.subplots()
    dress(axes, plain(x_label), "")
    axes.grid(visible=False, axis="y")
    places = np.arange(count)
    axes.barh(places, shares, height=0.62, color=PALETTE[0], alpha=0.55, edgecolor=PALETTE[0], linewidth=THIN)
    ends = np.stack([places, places])
    reach = bounds.T.clip(0, 100)  # no share is beyond either
    axes.plot(reach, ends, color=INK, linewidth=LINE, marker="|", markersize=11, clip_on=False)
    for place, share in enumerate(shares):
        axes.text(103, place, f"{number(share)} %", va="center", **font(FONT_TICK))
    axes.set_yticks(places, [plain(name) for name in names])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlim(0, 100)
    axes.set_ylim(count - 0.5, -0.5)
    return figure
