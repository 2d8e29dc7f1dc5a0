"""Power laws on logarithmic axes: geometric means over seeds, the fitted line, the exponent in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nnlab.display import raised, spoken
from nnlab.plot.bands import draw_spread, over_seeds, solid
from nnlab.plot.lines import LineEnd, draw_curve, label_ends
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, ticks_at
from nnlab.plot.style import (
    INK,
    LINE,
    THIN,
    LineLook,
    dress,
    legend_below,
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
    with_notes_below,
    write,
)
from nnlab.plot.text import literal, plain

PREDICTED = LineLook(INK, (0, (4, 3)), "none")
BOUND = LineLook(INK, (0, (9, 2)), "none")
_ACROSS = {1: 10.0, 2: 14.0, 3: 17.0}  # inches, by the number of panels side by side
_TICK_GAPS = {1: 0.1, 2: 0.2, 3: 0.3}  # what a width with four digits needs of the x axis

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


def _power_law(name: str, look: LineLook, law: Law) -> PowerLaw:
    """Returns geometric means over the seeds; values without a logarithm are left out and counted."""
    sizes, samples = as_numbers(law[0]), as_numbers(law[1])
    usable = np.isfinite(samples) & (samples > 0)
    logs = np.log(np.where(usable, samples, 1.0))
    counts = usable.sum(axis=1)
    means = np.where(counts > 0, np.exp(logs.sum(axis=1) / np.maximum(counts, 1)), np.nan)
    band = over_seeds(np.where(usable, samples, np.nan).T)
    omitted, seeds = int((~usable).sum()), samples.shape[1]
    return PowerLaw(name, look, sizes, means, band.low, band.high, float(law[2]), law[3], omitted, seeds)


def _draw_power_law(
    axes: Axes, law: PowerLaw, symbol: str, predicted: float | None, *, alone: bool
) -> LineEnd | None:
    """Draws points, spread, the fitted and, dashed, the predicted line; returns the end with the exponent.

    Panels that stand `alone` have room for the interval of the exponent, too.

    The lines pass through the mean of the logarithms, where least squares puts them.
    """
    known = np.isfinite(law.means) & np.isfinite(law.sizes) & (law.sizes > 0)
    if not known.any():
        return None
    m, q = law.sizes[known], law.means[known]
    color = law.look.color
    if law.seeds > 1:
        draw_spread(axes, m, law.low[known], law.high[known], law.look)
    axes.plot(
        m, q, color=color, linestyle="none", marker=law.look.marker, markersize=8, markeredgecolor="white"
    )
    reach = np.array([m.min(), m.max()])
    if predicted is not None and np.isfinite(predicted):
        expected = _through_mean(m, q, predicted, reach)
        axes.plot(reach, expected, color=INK, linestyle=PREDICTED.dash, linewidth=THIN)
    if not np.isfinite(law.slope):
        return LineEnd("no exponent fitted", law.look, float(m.max()), float(q[m.argmax()]))
    fitted = _through_mean(m, q, law.slope, reach)
    axes.plot(reach, fitted, color=color, linestyle="-", linewidth=LINE)
    words = _exponent_words(law, symbol) if alone else power_words(law.slope, symbol)
    return LineEnd(words, law.look, float(reach[1]), float(fitted[1]))


def _through_mean(sizes: FloatArray, means: FloatArray, slope: float, at: FloatArray) -> FloatArray:
    """Returns the power law of a given exponent through the mean of the logarithms."""
    centre, level = np.log(sizes).mean(), np.log(means).mean()
    exponents = np.clip(level + slope * (np.log(at) - centre), -270, 270)  # within the range of an axis
    values: FloatArray = np.exp(exponents)
    return values


def power_words(slope: float, symbol: str = "m", digits: int = 2) -> str:
    """Returns an exponent with the digits after the point that a verdict rests on.

    >>> power_words(-0.516), power_words(-0.9985, "N", 3), power_words(-0.001)
    ('m⁻⁰·⁵²', 'N⁻⁰·⁹⁹⁹', 'm⁰·⁰⁰')
    """
    digit = f"{slope:.{digits}f}"
    return symbol + raised(digit.removeprefix("-") if float(digit) == 0 else digit)


def _exponent_words(law: PowerLaw, symbol: str) -> str:
    """Returns the exponent with its interval, if it has one."""
    low, high = law.interval
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return power_words(law.slope, symbol)
    ends = f"({low:.2f}, {high:.2f})".replace("-", "−").replace("−0.00", "0.00")
    return f"{power_words(law.slope, symbol)} {ends}"


def scaling_laws(
    panels: Mapping[str, Mapping[str, Law]],
    y_label: str,
    title: str | None = None,
    *,
    x_label: str = "width m",
    predicted: Mapping[str, float] | None = None,
    bounds: tuple[str, Mapping[str, tuple[ArrayLike, ArrayLike]]] | None = None,
) -> Figure:
    """Draws quantities over a size on logarithmic axes, with the fitted exponent at each line.

    Points are geometric means over the seeds with the band of `over_seeds` as a bar. Values that are not
    positive and finite have no logarithm: they are left out and counted in a note.

    Args:
        panels: Setting -> name of a quantity -> sizes (K,), values (K, S), fitted exponent, and its interval
            (low, high), None where there is none.
        y_label: The measured quantity.
        title: A sentence; by default the exponents.
        x_label: The size, with its symbol as the last word.
        predicted: Exponents to draw dashed through the same mean point: under the name of a quantity for
            every panel that has it, or under the name of a panel for all its quantities.
        bounds: The name of an upper bound, and setting -> sizes (P,), values (P,) of it where it is known.
    """
    names = list(dict.fromkeys(name for laws in panels.values() for name in laws))
    looks = {name: solid(line_look(index)) for index, name in enumerate(names)}
    settings = {
        setting: [_power_law(name, looks[name], law) for name, law in laws.items()]
        for setting, laws in panels.items()
    }
    expected = dict(predicted or {})
    limits = {} if bounds is None else {panel: [*map(as_numbers, b)] for panel, b in bounds[1].items()}
    count = max(1, len(settings))
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    title = spoken(title) if title else _scaling_title(settings, y_label, x_label)
    figure = new_figure(title, (_ACROSS[columns], 1.7 + 3.9 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=rows > 1, sharey=True)
    everything = [part for laws in settings.values() for s in laws for part in (s.means, s.low, s.high)]
    everything += [values for _, values in limits.values()]
    log_axis(grid[0, 0].yaxis, np.concatenate([np.zeros(0), *everything]))
    for axes, (setting, laws) in zip(grid.flat, settings.items(), strict=False):
        slopes = [expected.get(s.name, expected.get(setting)) for s in laws]
        beside = [law for own in settings.values() for law in own] if rows > 1 else laws
        _law_panel(figure, axes, x_label, laws, slopes, columns, [law.sizes for law in beside])
        panel_title(axes, plain(spoken(setting), limit=34))
        if setting in limits:
            n, values = limits[setting]
            draw_curve(axes, n, values, BOUND, THIN)
    for axes in grid.flat[len(settings) :]:
        nothing_to_show(axes, "nothing was measured") if not settings else axes.set_axis_off()
    if rows > 1:
        for axes in grid[:-1].flat:
            axes.set_xlabel("")
    shared_labels(figure, "", plain(spoken(y_label)))
    handles = [sample(look, plain(spoken(name), limit=34)) for name, look in looks.items()]
    handles += _dashed(settings, expected, x_label.split()[-1])
    if bounds is not None and limits:
        handles.append(sample(BOUND, bounds[0]))
        handles[-1].set_linewidth(THIN)
    if handles:
        legend_below(figure, handles, inches=2.3)
    return figure


def _dashed(
    settings: Mapping[str, Sequence[PowerLaw]], expected: Mapping[str, float], symbol: str
) -> list[Line2D]:
    """The legend entry of the predicted lines, with their exponents; none where nothing is predicted."""
    slopes = [
        expected.get(law.name, expected.get(setting, math.nan))
        for setting, laws in settings.items()
        for law in laws
    ]
    powers = ", ".join(dict.fromkeys(power_words(slope, symbol) for slope in slopes if math.isfinite(slope)))
    if not powers:
        return []
    entry = sample(PREDICTED, f"predicted: {powers}")
    entry.set_linewidth(THIN)
    return [entry]


def _law_panel(
    figure: Figure,
    axes: Axes,
    x_label: str,
    laws: Sequence[PowerLaw],
    slopes: Sequence[float | None],
    columns: int,
    sizes: Sequence[FloatArray],
) -> None:
    """Draws the laws of one setting over an axis for the sizes of all panels that share it."""
    dress(axes)
    widths = np.concatenate([np.zeros(0), *sizes])
    log_axis(axes.xaxis, widths)
    ticks_at(axes.xaxis, widths, gap=_TICK_GAPS[columns])
    symbol = x_label.split()[-1]
    ends = [
        _draw_power_law(axes, s, symbol, slope, alone=columns == 1)
        for s, slope in zip(laws, slopes, strict=True)
    ]
    if not any(ends):
        write(axes, 0.5, 0.5, "nothing was measured")
    omitted = sum(s.omitted for s in laws)
    notes = [f"left out: {omitted} values ≤ 0 or not finite"] if omitted else []
    axes.set_xlabel(with_notes_below(x_label, notes, 72 * figure.get_figwidth() / columns))
    label_ends(figure, axes, ends)


def _scaling_title(settings: Mapping[str, Sequence[PowerLaw]], y_label: str, x_label: str) -> str:
    fits = [(s, setting) for setting, laws in settings.items() for s in laws if np.isfinite(s.slope)]
    subject = spoken(literal(y_label, 60))
    subject, symbol = subject[:1].upper() + subject[1:], x_label.split()[-1]
    if not fits:
        return f"{subject} over {x_label}"
    if len(fits) == 1:
        return f"{subject} scales like {_exponent_words(fits[0][0], symbol)}"
    most, least = (pick(fits, key=lambda fit: fit[0].slope) for pick in (max, min))
    words = [
        f"{power_words(law.slope, symbol)} ({spoken(literal(law.name, 30))}"
        + (f", {spoken(literal(setting, 40))})" if len(settings) > 1 else ")")
        for law, setting in (most, least)
    ]
    return f"{subject}: from {words[0]} to {words[1]}"
