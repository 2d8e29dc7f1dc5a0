"""Power laws on logarithmic axes: geometric means over seeds, the fitted line, the exponent in words."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.bands import draw_spread, over_seeds
from nnlab.plot.labels import LineEnd
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import INK, LINE, THIN, Dash, LineLook

PREDICTED: Dash = (0, (4, 3))

Law = tuple[ArrayLike, ArrayLike, float, tuple[float | None, float | None]]


@dataclass(frozen=True)
class PowerLaw:
    """One power law: sizes (K,), geometric means and spread (K,), the fitted exponent and its interval."""

    name: str
    look: LineLook
    sizes: FloatArray
    means: FloatArray
    low: FloatArray
    high: FloatArray
    slope: float
    interval: tuple[float | None, float | None]
    omitted: int  # values without a logarithm
    seeds: int


def power_law(what: str, name: str, look: LineLook, law: Law, sizes_are: str = "sizes") -> PowerLaw:
    """Geometric means over the seeds; values that are not positive and finite are left out and counted.

    Args:
        what: What the law is of, for messages.
        name: Of the quantity.
        look: Of its points and line.
        law: sizes (K,), values (K, S), fitted exponent, its interval (low, high) or (None, None).
        sizes_are: What the sizes are, for messages too, such as "widths".

    Raises:
        InputError: an array has another shape.
    """
    sizes = as_array(law[0], f"the {sizes_are} of {what}")
    samples = as_array(law[1], f"the values of {what}", dimensions=2)
    if samples.size == 0:
        samples = np.full((len(sizes), 1), np.nan)
    if len(samples) != len(sizes):
        raise InputError(
            f"figure: the values of {what} have {len(samples)} rows for {len(sizes)} {sizes_are}"
        )
    usable = np.isfinite(samples) & (samples > 0)
    logs = np.log(np.where(usable, samples, 1.0))
    counts = usable.sum(axis=1)
    means = np.where(counts > 0, np.exp(logs.sum(axis=1) / np.maximum(counts, 1)), np.nan)
    band = over_seeds(np.where(usable, samples, np.nan).T)
    omitted, seeds = int((~usable).sum()), samples.shape[1]
    return PowerLaw(name, look, sizes, means, band.low, band.high, float(law[2]), law[3], omitted, seeds)


def draw_power_law(
    axes: Axes, law: PowerLaw, symbol: str = "m", predicted: float | None = None
) -> LineEnd | None:
    """Points, spread, the fitted line and, dashed, the predicted one; the end that bears the exponent.

    The line passes through the mean of the logarithms, where least squares puts it.
    """
    known = np.isfinite(law.means) & np.isfinite(law.sizes) & (law.sizes > 0)
    if not known.any():
        return None
    m, q = law.sizes[known], law.means[known]
    if law.seeds > 1:
        draw_spread(axes, m, law.low[known], law.high[known], law.look)
    color, marker = law.look.color, law.look.marker
    axes.plot(m, q, color=color, linestyle="none", marker=marker, markersize=8, markeredgecolor="white")
    reach = np.array([m.min(), m.max()])
    if predicted is not None and np.isfinite(predicted):
        axes.plot(
            reach, _through_mean(m, q, predicted, reach), color=INK, linestyle=PREDICTED, linewidth=THIN
        )
    if not np.isfinite(law.slope):
        return LineEnd("no exponent fitted", law.look, float(m.max()), float(q[m.argmax()]))
    fitted = _through_mean(m, q, law.slope, reach)
    axes.plot(reach, fitted, color=color, linestyle="-", linewidth=LINE)
    return LineEnd(exponent_words(law, symbol), law.look, float(reach[1]), float(fitted[1]))


def _through_mean(sizes: FloatArray, means: FloatArray, slope: float, at: FloatArray) -> FloatArray:
    """The power law of a given exponent through the mean of the logarithms."""
    centre, level = np.log(sizes).mean(), np.log(means).mean()
    exponents = np.clip(level + slope * (np.log(at) - centre), -270, 270)  # within the range of an axis
    values: FloatArray = np.exp(exponents)
    return values


def power_words(slope: float, symbol: str = "m", digits: int = 2) -> str:
    """An exponent with the digits after the point that a verdict rests on.

    >>> power_words(-0.516), power_words(-0.9985, "N", 3)
    ('m^−0.52', 'N^−0.999')
    """
    return f"{symbol}^{slope:.{digits}f}".replace("-", "−")


def exponent_words(law: PowerLaw, symbol: str = "m") -> str:
    """The exponent with its interval, if it has one."""
    low, high = law.interval
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return power_words(law.slope, symbol)
    return f"{power_words(law.slope, symbol)} ({low:.2f}, {high:.2f})".replace("-", "−")
