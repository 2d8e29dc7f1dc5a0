"""Many seeds as one line with a band, and lines whose colours are ordered by width."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnlab.plot.lines import draw_line, lost
from nnlab.plot.scales import BoolArray, FloatArray, log_axis, positive
from nnlab.plot.style import LINE, MARKERS, LineLook, sample
from nnlab.plot.text import number

_MANY_SEEDS = 10  # from here on the band leaves out the outer tenths, which one seed would not settle
_TENTH = 0.1
_TINT = 0.2  # opacity of a band


@dataclass(frozen=True)
class SeedBand:
    """The middle over S seeds and the band around it, (K,) each."""

    middle: FloatArray
    low: FloatArray
    high: FloatArray
    seeds: int

    @property
    def parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.middle, self.low, self.high

    def where(self, chosen: BoolArray) -> "SeedBand":
        """Returns the band at the chosen ones of the K places."""
        return SeedBand(self.middle[chosen], self.low[chosen], self.high[chosen], self.seeds)


def over_seeds(values: FloatArray) -> SeedBand:
    """Returns the median and band of (S, K) values over the seeds; not-a-number counts as no value.

    The band reaches from the smallest to the largest seed, and from 10 % to 90 % where there are ten or more.
    """
    outer = _TENTH if len(values) >= _MANY_SEEDS else 0.0
    return SeedBand(quantile(values, 0.5), quantile(values, outer), quantile(values, 1 - outer), len(values))


def quantile(values: FloatArray, q: float) -> FloatArray:
    """Returns the q-quantile of each column of (S, K), by linear interpolation, without those not a number.

    Unlike numpy's, it takes infinities, which is what the loss of a seed that diverged becomes: a quantile
    between a finite value and infinity is infinite.
    """
    if len(values) == 0:
        return np.full(values.shape[1], np.nan)
    ordered = np.sort(values, axis=0)  # not-a-number comes last
    known = np.maximum(np.sum(~np.isnan(values), axis=0), 1)
    place = q * (known - 1)
    below = np.floor(place).astype(np.int64)
    lower, upper = (
        np.take_along_axis(ordered, index[None], axis=0)[0] for index in (below, np.ceil(place).astype(int))
    )
    step = np.full_like(lower, np.inf)
    np.subtract(upper, lower, out=step, where=np.isfinite(upper) & np.isfinite(lower))
    share = place - below
    rise = np.multiply(share, step, out=np.zeros_like(step), where=share > 0)
    total: FloatArray = lower + rise
    return total


def lost_as_infinite(values: FloatArray) -> FloatArray:
    """Returns (S, K) values over training, those that are `lost` as infinity.

    Not-a-number between finite values was not measured there and stays.
    """
    return np.where(lost(values), np.inf, values)


def diverged(values: FloatArray) -> int:
    """Returns the number of the S rows of (S, K) that do not end in a finite number."""
    return int(np.sum(~np.isfinite(values[:, -1]))) if values.size else 0


def draw_band(axes: Axes, x: FloatArray, band: SeedBand, look: LineLook) -> list[str]:
    """Draws the band and its middle over x. Scales and limits of the axes come first, as for `draw_line`.

    Points without a place on a logarithmic x axis, such as step 0, are left out.

    Returns:
        The notes that marks at the edges need, for the label of the x axis.
    """
    if axes.get_xscale() == "log":
        x, band = x[x > 0], band.where(x > 0)
    low, high = band.low, band.high
    if axes.get_yscale() == "log":
        low, high = np.clip(low, *axes.get_ylim()), np.clip(high, *axes.get_ylim())
    known = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    if band.seeds > 1 and known.any():
        axes.fill_between(x[known], low[known], high[known], color=look.color, alpha=_TINT, linewidth=0)
    return draw_line(axes, x, band.middle, look)


def draw_spread(axes: Axes, x: FloatArray, low: FloatArray, high: FloatArray, look: LineLook) -> None:
    """Draws upright bars from low to high over x, (K,) each, where both are finite."""
    known = np.isfinite(low) & np.isfinite(high)
    ends = np.stack([low, high])[:, known]
    axes.plot(np.stack([x, x])[:, known], ends, color=look.color, linewidth=LINE, alpha=0.45)


def band_words(counts: Iterable[int]) -> list[str]:
    """Returns the meaning of the bands, for the label of the x axis; nothing where every line is one seed."""
    seeds = {count for count in counts if count > 1}
    if not seeds:
        return []
    rules = {"10 % to 90 %" if count >= _MANY_SEEDS else "smallest to largest" for count in seeds}
    whose = f"{seeds.pop()} seeds" if len(seeds) == 1 else "the seeds"
    return [f"line: median, band: {rules.pop() if len(rules) == 1 else 'spread'} of {whose}"]


def width_looks(widths: Iterable[int]) -> dict[int, LineLook]:
    """Returns a look for each width, in ascending order: from light green (narrow) to dark violet (wide).

    Lightness falls with the width, so that the order is seen in grey print too; markers differ besides.
    """
    ordered = sorted(set(widths))
    shades = np.linspace(0.86, 0.02, len(ordered)) if len(ordered) != 1 else np.array([0.3])
    return {
        width: LineLook(to_hex(colormaps["viridis"](shade)), "-", MARKERS[index % len(MARKERS)])
        for index, (width, shade) in enumerate(zip(ordered, shades, strict=True))
    }


def width_entries(looks: Mapping[int, LineLook]) -> list[Line2D]:
    """Returns the legend entries of the widths, ascending: 'm = 64'."""
    return [sample(look, f"m = {number(width, digits=7)}") for width, look in looks.items()]


def solid(look: LineLook, marker: str | None = None) -> LineLook:
    """Returns the look without dashes, which are for predictions, and with the marker if one is given."""
    return replace(look, dash="-", marker=look.marker if marker is None else marker)


def steps_axis(axes: Axes, steps: Sequence[FloatArray], ticks: int = 7, *, whole: bool = True) -> None:
    """Sets the x axis of training: logarithmic where steps were recorded ever more rarely, else linear."""
    everything = np.concatenate([np.zeros(0), *steps])
    if any(_spread_out(values) for values in steps):
        log_axis(axes.xaxis, everything)
        return
    known = everything[np.isfinite(everything)]
    low, high = float(known.min(initial=np.inf)), float(known.max(initial=-np.inf))
    low, high = (low, high) if low < high else (low - 0.5, low + 0.5) if low == high else (0.0, 1.0)
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))  # marks at edges need settled limits
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=whole, min_n_ticks=1 if whole else 2))


def _spread_out(steps: FloatArray) -> bool:
    """Tells whether the gaps between recorded steps grow at least fourfold from the first to the last."""
    gaps = np.diff(np.unique(positive(steps)))
    return len(gaps) >= 4 and bool(gaps[-1] >= 4 * gaps[0])
