"""The numbers of a figure as float64, and axes on which all of them can be seen."""

import math
from dataclasses import dataclass

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

from nnlab.plot.text import number, power_of_ten

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_LARGEST = 1e120


@dataclass(frozen=True)
class Units:
    """The numbers along an axis: (value/10^size − offset)/10^exponent, so that its ticks are short.

    Attributes:
        size: the power of ten of the largest value; with it no step leaves the range of float64.
        offset: what all values have in common, in these units; 0 where they have nothing.
        exponent: of the units that are left.
    """

    size: int = 0
    offset: float = 0.0
    exponent: int = 0

    @classmethod
    def of(cls, *values: FloatArray) -> "Units":
        """Returns units for finite values: with an offset where they are a thousand times their range."""
        known = np.concatenate([array[np.isfinite(array)].ravel() for array in values])
        largest = float(np.abs(known).max(initial=0.0))
        if largest == 0:
            return cls()
        size = max(math.floor(math.log10(largest)), -300)
        scaled = known / 10.0**size
        span = float(np.ptp(scaled))
        if span == 0 or span > 1e-3 * float(np.abs(scaled).max()):
            plain = -3 <= size <= 4
            return cls(0 if plain else size, 0.0, 0)
        step = 10.0 ** math.ceil(math.log10(span))
        offset = round(float(scaled.min() + span / 2) / step) * step
        left = math.floor(math.log10(float(np.abs(scaled - offset).max())))
        whole = left if not -3 <= left + size <= 4 else -size
        return cls(size, offset, whole)

    def apply(self, values: FloatArray) -> FloatArray:
        """Returns the numbers along the axis."""
        scaled: FloatArray = (values / 10.0**self.size - self.offset) / 10.0**self.exponent
        return scaled

    def label(self, name: str) -> str:
        """Returns the label of the axis: 'x − 1,700,000,000', 'x in 10³⁰'."""
        power = self.size + self.exponent
        offset = self.offset * 10.0**self.size
        if self.offset:
            exact = f"{abs(offset):,.12g}" if 1e-4 < abs(offset) < 1e15 else number(abs(offset), 12)
            name = f"{name} {'−' if offset > 0 else '+'} {exact}"
        return f"{name}, in {power_of_ten(power)}" if power else name


def as_numbers(values: ArrayLike) -> FloatArray:
    """Returns the values as float64, of any shape; `None` becomes not-a-number.

    What is beyond 10¹²⁰ counts as infinite and what is below 10⁻¹²⁰ as zero, because the limits and ticks of
    an axis are computed from powers and ratios that would leave the range of float64.
    """
    array = np.array(values, dtype=np.float64)
    array[np.abs(array) < 1 / _LARGEST] = 0.0
    array[np.abs(array) > _LARGEST] *= np.inf
    return array


def finite(values: FloatArray) -> FloatArray:
    """Returns the values, with not-a-number in place of infinities, which a line leaves out."""
    kept: FloatArray = np.where(np.isfinite(values), values, np.nan)
    return kept


def up_to(limit: float, *parts: FloatArray) -> FloatArray:
    """Returns the positive values that are at most `limit`, in one dimension; all positive ones if none is.

    For the limits of an axis that values on their way to infinity must not stretch.
    """
    known = positive(np.concatenate([np.zeros(0), *parts]))
    return known[known <= limit] if np.any(known <= limit) else known


def positive(values: FloatArray) -> FloatArray:
    """Returns the finite values above zero: those that a logarithmic axis can show."""
    return values[np.isfinite(values) & (values > 0)]


def wants_log(values: FloatArray) -> bool:
    """Tells whether a log scale shows the values better: none is negative, and they span over a decade."""
    known = positive(values)
    if known.size == 0 or bool(np.any(values[np.isfinite(values)] < 0)):
        return False
    return math.log10(known.max()) - math.log10(known.min()) > 1


def log_axis(axis: Axis, values: FloatArray) -> None:
    """Makes one axis logarithmic, with limits around the positive values and labels without mathtext."""
    known = positive(values)
    low, high = (math.log10(known.min()), math.log10(known.max())) if known.size else (-1.0, 0.0)
    margin = max(0.05 * (high - low), 0.05) if high > low else 0.5
    low, high = low - margin, high + margin
    axes = axis.axes
    upright = axis is axes.yaxis
    (axes.set_yscale if upright else axes.set_xscale)("log", nonpositive="mask")
    (axes.set_ylim if upright else axes.set_xlim)(10.0**low, 10.0**high)
    _log_ticks(axis, high - low)


def _log_ticks(axis: Axis, decades: float) -> None:
    """Sets ticks at powers of ten over three decades or more, then at 1 and 3, then at 1, 2, 5."""
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
    """Sets ticks at whole numbers, as for epochs and steps."""
    axis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def ticks_at(axis: Axis, values: FloatArray, gap: float = 0.055) -> None:
    """Sets ticks at the measured values of a logarithmic axis, from the largest down.

    A tick nearer to the last one than `gap`, in fractions of the axis, is left out.
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
    """Ends an axis in percent at 0 and 100, without clipping a line at either."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))
    for line in axes.lines:
        if len(line.get_xdata()):  # type: ignore[arg-type]
            line.set_clip_on(False)
