"""Numbers that reach a figure: checked for shape, and given an axis on which all of them can be seen.

A logarithmic axis has no place for zero, and no axis has one for infinity. Neither may vanish without a
word: they are marked at the edge of the axes and the label of the x axis says what the mark means.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import (
    AutoLocator,
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.style import LINE, LineLook
from nnlab.plot.text import number, power_of_ten

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_LARGEST = 1e120
ZERO_NOTE = "▼ zero: below a log scale"
INFINITE_NOTE = "× no longer finite"


def as_numbers(values: ArrayLike, what: str) -> FloatArray:
    """The values as float64, of any shape; `None` becomes not-a-number.

    What is beyond 10¹²⁰ counts as infinite and what is below 10⁻¹²⁰ as zero, because the limits and ticks of
    an axis are computed from powers and ratios that would leave the range of float64.

    Raises:
        InputError: they are no numbers, or rows of different lengths.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"figure: {what} must be numbers in an array of one shape ({error})") from error
    array[np.abs(array) < 1 / _LARGEST] = 0.0
    array[np.abs(array) > _LARGEST] *= np.inf
    return array


def as_array(values: ArrayLike, what: str, dimensions: int = 1) -> FloatArray:
    """The values as float64 with the declared number of dimensions; an empty list has any.

    Raises:
        InputError: they are no numbers, or have another number of dimensions.
    """
    array = as_numbers(values, what)
    if array.size == 0 and array.ndim < dimensions:
        return np.zeros((0,) * dimensions)
    if array.ndim != dimensions:
        raise InputError(f"figure: {what} must have {dimensions} dimensions, not the shape {array.shape}")
    return array


def as_pair(x: ArrayLike, y: ArrayLike, what: str) -> tuple[FloatArray, FloatArray]:
    """Two sequences of one length, (T,) each, as float64.

    Raises:
        InputError: they are no sequences of numbers, or their lengths differ.
    """
    first, second = as_array(x, f"the x values of {what}"), as_array(y, what)
    if len(first) != len(second):
        raise InputError(f"figure: {what} has {len(second)} values for {len(first)} x values; pass as many")
    return first, second


def as_intervals(intervals: ArrayLike | None, count: int, what: str) -> FloatArray:
    """Lower and upper ends, (count, 2) float64; not-a-number where there is no interval.

    Raises:
        InputError: another shape.
    """
    if intervals is None or count == 0:
        return np.full((count, 2), np.nan)
    array = as_array(intervals, what, dimensions=2)
    if array.shape != (count, 2):
        raise InputError(f"figure: {what} must have the shape ({count}, 2), low and high, not {array.shape}")
    return array


def positive(values: FloatArray) -> FloatArray:
    """The finite values above zero: those that a logarithmic axis can show."""
    return values[np.isfinite(values) & (values > 0)]


def wants_log(values: FloatArray) -> bool:
    """Whether a log scale shows the values better: none is negative, and they span more than a decade."""
    shown = positive(values)
    if shown.size == 0 or bool(np.any(values[np.isfinite(values)] < 0)):
        return False
    return math.log10(shown.max()) - math.log10(shown.min()) > 1


def log_axis(axis: Axis, values: FloatArray) -> None:
    """Make one axis logarithmic with limits around the positive values and labels without mathtext."""
    shown = positive(values)
    low, high = (math.log10(shown.min()), math.log10(shown.max())) if shown.size else (-1.0, 0.0)
    margin = max(0.05 * (high - low), 0.05) if high > low else 0.5
    low, high = low - margin, high + margin
    axes = axis.axes
    if axis is axes.yaxis:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(10.0**low, 10.0**high)
    else:
        axes.set_xscale("log", nonpositive="mask")
        axes.set_xlim(10.0**low, 10.0**high)
    _log_ticks(axis, high - low)


def _log_ticks(axis: Axis, decades: float) -> None:
    """Powers of ten over three decades or more, then 1 and 3, then 1, 2, 5; ordinary ticks below one half."""
    if decades < 0.5:
        axis.set_major_locator(AutoLocator())
    else:
        parts = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 2 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=parts, numticks=8))
    axis.set_minor_locator(
        LogLocator(subs=tuple(range(2, 10)), numticks=12) if decades > 3 else NullLocator()
    )
    axis.set_major_formatter(FuncFormatter(_log_label))
    axis.set_minor_formatter(NullFormatter())


def _log_label(value: float, _position: int | None = None) -> str:
    if value <= 0:
        return ""
    exponent = math.log10(value)
    if abs(exponent - round(exponent)) < 1e-9:
        return power_of_ten(round(exponent))
    return number(value)


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers, as for epochs and steps."""
    axis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def ticks_at(axis: Axis, values: FloatArray, gap: float = 0.055) -> None:
    """Ticks at the measured values of a logarithmic axis, from the largest down.

    Those that would stand nearer to the last one than `gap`, in fractions of the axis, are left out.
    """
    low, high = np.log(axis.get_view_interval())
    kept: list[float] = []
    for value in np.unique(positive(values))[::-1]:
        if not kept or np.log(kept[-1] / value) > gap * (high - low):
            kept.append(float(value))
    axis.set_major_locator(FixedLocator(kept))
    axis.set_major_formatter(FixedFormatter([number(value, digits=6) for value in kept]))
    axis.set_minor_locator(NullLocator())


def percent_limits(axes: Axes) -> None:
    """Keep an axis in percent from showing ticks beyond 0 and 100, without clipping a line at either."""
    low, high = axes.get_ylim()
    margin = 0.02 * (high - low)
    axes.set_ylim(max(low, -margin), min(high, 100 + margin))


def draw_line(axes: Axes, x: FloatArray, y: FloatArray, look: LineLook, width: float = LINE) -> list[str]:
    """Draw the finite points of one line and mark the others at the edge. Scale and limits come first.

    A value that is not a number between two finite ones was not measured there: the line goes on. An
    infinite value, or one that is not a number after the last finite one, is marked at the top.

    Returns:
        The notes that the marks need, for the label of the x axis.
    """
    known = np.isfinite(x) & np.isfinite(y)
    shown = x[known]
    every = 1 if len(shown) <= 25 else max(1, len(shown) // 8)
    axes.plot(
        shown,
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
    if _mark(axes, x[_starts(_lost(y)) & np.isfinite(x)], 1.0, "x", look.color):
        notes.append(INFINITE_NOTE)
    return notes


def _lost(y: FloatArray) -> BoolArray:
    """Where the values are infinite, or not a number and never finite again."""
    finite = np.flatnonzero(np.isfinite(y))
    trailing = np.arange(len(y)) > (finite[-1] if len(finite) else -1)
    return np.isinf(y) | (np.isnan(y) & trailing)


def _starts(flags: BoolArray) -> BoolArray:
    """The first of every stretch of flagged values."""
    before = np.zeros_like(flags)
    before[1:] = flags[:-1]
    return flags & ~before


def _mark(axes: Axes, x: FloatArray, height: float, marker: str, color: str) -> bool:
    """Marks on the lower (0) or upper (1) edge of the axes; whether there were any."""
    if x.size:
        edge = axes.get_xaxis_transform()
        axes.plot(
            x,
            np.full(len(x), height),
            transform=edge,
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


def with_notes(label: str, notes: list[str]) -> str:
    """The label of an x axis, followed by what the marks at the edges mean."""
    unique = list(dict.fromkeys(notes))
    return f"{label}      {',   '.join(unique)}" if unique else label
