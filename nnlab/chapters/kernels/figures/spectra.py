"""Spectra of kernels over the width, beside their limit at infinite width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.bands import band_words, draw_band, footnote, over_seeds, width_entries, width_looks, write_at
from nnlab.plot.scales import (
    ZERO_NOTE,
    FloatArray,
    as_array,
    log_axis,
    positive,
    ticks_at,
    whole_numbers,
    with_notes,
)
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    GRID,
    INK,
    LINE,
    MUTED,
    THIN,
    WIDE,
    LineLook,
    dress,
    legend,
    legend_beside,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import number, percent

_LIMIT = LineLook(INK, (0, (5, 2)), "none")
_ROUNDING = float(np.finfo(np.float64).eps)
_MANY = 40  # eigenvalues: from here on their index is on a logarithmic axis


@dataclass(frozen=True)
class _Spectrum:
    """The eigenvalues of one width, (S, r), descending in each row, and which are above rounding."""

    values: FloatArray
    threshold: float  # of the largest seed

    @property
    def lowest(self) -> float:
        return float(np.nanmin(self.values)) if np.isfinite(self.values).any() else float("nan")

    @property
    def above(self) -> int:
        """How many eigenvalues are above rounding, in the seed that has the fewest."""
        return int(np.min(np.sum(self.values > self.threshold, axis=1), initial=self.values.shape[1]))


def kernel_spectra(
    spectra: Mapping[int, ArrayLike],
    limit: ArrayLike | None = None,
    title: str | None = None,
    *,
    threshold: float | None = None,
) -> Figure:
    """The eigenvalues of the kernel at every width, and how near they are to those at infinite width.

    An eigenvalue that is not positive has no place on the logarithmic axis: a mark at the lower edge and the
    label of the x axis tell of it. Eigenvalues within rounding of zero lie in the grey zone.

    Args:
        spectra: Width m -> eigenvalues (S, r) of S seeds, in any order.
        limit: (r,) eigenvalues at infinite width.
        title: A sentence; by default whether every kernel is positive definite, and how the distance
            ‖λ − λ∞‖/‖λ∞‖ falls, both vectors in descending order (Hoffman and Wielandt, "The variation of the
            spectrum of a normal matrix", 1953: a lower bound of ‖H − H∞‖/‖H∞‖ in the Frobenius norm).
        threshold: What an eigenvalue must exceed to count as positive; by default r ε λmax, the rounding
            error of a symmetric eigenvalue solver in float64.

    Raises:
        InputError: an array has another shape, or the widths and the limit have other numbers of eigenvalues.
    """
    known = {width: _spectrum(width, values, threshold) for width, values in sorted(spectra.items())}
    bound = None if limit is None else np.sort(as_array(limit, "the limiting spectrum"))[::-1]
    for width, spectrum in known.items():
        if bound is not None and spectrum.values.shape[1] != len(bound):
            counts = f"{spectrum.values.shape[1]} eigenvalues at width {width}, {len(bound)} in the limit"
            raise InputError(f"figure: {counts}; pass as many")
    distances = {} if bound is None else _distances(known, bound)
    both = len(distances) >= 2
    figure = new_figure(title or _spectra_title(known, distances), DOUBLE if both else WIDE)
    panels = figure.subplots(1, 2 if both else 1, squeeze=False, width_ratios=(1.5, 1) if both else None)[0]
    looks = width_looks(known)
    _spectra_panel(panels[0], known, bound, looks)
    entries = width_entries(looks) + ([] if bound is None else [sample(_LIMIT, "m → ∞", marker=False)])
    footnote(figure, band_words(len(spectrum.values) for spectrum in known.values()))
    if both:
        _distance_panel(panels[1], distances, looks)
        legend(figure, entries, "outside right center", size=FONT_TICK)
    elif entries:
        legend_beside(panels[0], entries, size=FONT_TICK)
    return figure


def _spectrum(width: int, values: ArrayLike, threshold: float | None) -> _Spectrum:
    array = as_array(values, f"the eigenvalues at width {width}", dimensions=2)
    ordered = -np.sort(-np.where(np.isfinite(array), array, np.nan), axis=1)  # not-a-number last
    largest = float(np.max(np.nan_to_num(ordered, nan=0.0), initial=0.0))
    rounding = array.shape[1] * _ROUNDING * largest
    return _Spectrum(ordered, rounding if threshold is None else threshold)


def _distances(known: Mapping[int, _Spectrum], bound: FloatArray) -> dict[int, FloatArray]:
    """(S,) relative distances of the spectra from the limit, for the widths that have any."""
    scale = float(np.linalg.norm(bound))
    if not (np.isfinite(scale) and scale > 0):
        return {}
    found = {
        width: np.linalg.norm(spectrum.values - bound, axis=1) / scale for width, spectrum in known.items()
    }
    return {width: values[np.isfinite(values)] for width, values in found.items() if positive(values).size}


def _spectra_panel(
    axes: Axes, known: Mapping[int, _Spectrum], bound: FloatArray | None, looks: Mapping[int, LineLook]
) -> None:
    dress(axes, "", "eigenvalue λᵢ")
    limits = np.zeros(0) if bound is None else bound
    everything = np.concatenate([limits, *(spectrum.values.ravel() for spectrum in known.values())])
    most = max([len(limits), *(spectrum.values.shape[1] for spectrum in known.values())])
    log_axis(axes.yaxis, everything)
    if most >= _MANY:
        log_axis(axes.xaxis, np.array([1.0, most]))
    else:
        axes.set_xlim(0.5, max(most, 1) + 0.5)
        whole_numbers(axes.xaxis)
    _rounding_zone(axes, known)
    notes: list[str] = []
    for width, spectrum in known.items():
        index = np.arange(1.0, spectrum.values.shape[1] + 1)
        notes += draw_band(axes, index, over_seeds(spectrum.values), looks[width])
    if len(limits):
        shown = np.isfinite(limits) & (limits > 0)
        axes.plot(
            np.arange(1.0, len(limits) + 1)[shown],
            limits[shown],
            color=INK,
            linestyle=_LIMIT.dash,
            linewidth=LINE,
            marker="_" if shown.sum() == 1 else "none",
            zorder=4,
        )
    if not np.isfinite(everything).any():
        nothing_to_show(axes, "no eigenvalues")
    axes.set_xlabel(with_notes("index i", _spectra_notes(known, notes)))


def _spectra_notes(known: Mapping[int, _Spectrum], marks: Sequence[str]) -> list[str]:
    """What the marks mean, and how many eigenvalues are missing from a logarithmic axis."""
    notes = [note for note in marks if note != ZERO_NOTE]
    missing = sum(int(np.sum(spectrum.values <= 0)) for spectrum in known.values())
    if missing:
        total = sum(int(np.isfinite(spectrum.values).sum()) for spectrum in known.values())
        notes.append(f"▼ λ ≤ 0: {missing} of {total}")
    return notes


def _rounding_zone(axes: Axes, known: Mapping[int, _Spectrum]) -> None:
    """Grey where an eigenvalue cannot be told from zero, if the axis reaches down so far."""
    level = max((spectrum.threshold for spectrum in known.values()), default=0.0)
    low, high = axes.get_ylim()
    if low < level < high:
        axes.axhspan(low, level, color=GRID, alpha=0.6, linewidth=0, zorder=0)
        write_at(axes, 0.01, level, "zero but for rounding")


def _distance_panel(axes: Axes, distances: Mapping[int, FloatArray], looks: Mapping[int, LineLook]) -> None:
    dress(axes, "width m", "distance to the limit\n‖λ − λ∞‖ / ‖λ∞‖")
    widths = np.array(list(distances), dtype=np.float64)
    log_axis(axes.xaxis, widths)
    ticks_at(axes.xaxis, widths, gap=0.13)
    log_axis(axes.yaxis, np.concatenate(list(distances.values())))
    medians = np.array([np.median(values) for values in distances.values()])
    axes.plot(widths, medians, color=MUTED, linewidth=THIN)
    for (width, values), median in zip(distances.items(), medians, strict=True):
        look = looks[width]
        axes.plot([width, width], [values.min(), values.max()], color=look.color, linewidth=LINE, alpha=0.45)
        axes.plot([width], [median], color=look.color, marker=look.marker, markersize=9)


def _spectra_title(known: Mapping[int, _Spectrum], distances: Mapping[int, FloatArray]) -> str:
    parts = [_definiteness(known)] if any(np.isfinite(s.values).any() for s in known.values()) else []
    medians = [(width, float(np.median(values))) for width, values in distances.items()]
    if len(medians) >= 2:
        (narrow, far), (wide, near) = medians[0], medians[-1]
        verb = "falls" if near < far else "goes"
        places = [f"m = {number(width, digits=7)}" for width in (narrow, wide)]
        reach = f"from {percent(far)} at {places[0]} to {percent(near)} at {places[1]}"
        parts.append(f"the distance to the limit {verb} {reach}")
    sentence = "; ".join(parts) or "the spectrum of the kernel at every width"
    return sentence[0].upper() + sentence[1:]


def _definiteness(known: Mapping[int, _Spectrum]) -> str:
    shown = {width: s for width, s in known.items() if np.isfinite(s.values).any()}
    definite = [width for width, s in shown.items() if s.lowest > s.threshold]
    lowest = number(min((shown[width].lowest for width in definite), default=0.0))
    if len(definite) == len(shown):
        single = len(shown) == 1 and len(next(iter(shown.values())).values) == 1
        return f"{'the' if single else 'every'} kernel is positive definite, λmin ≥ {lowest}"
    if definite:
        singular = [width for width in shown if width not in definite]
        onward = f"from m = {definite[0]} on" if min(definite) > max(singular) else "at some widths only"
        return f"the kernel is positive definite {onward}, λmin ≥ {lowest}"
    fewest, most = min(s.above for s in shown.values()), max(s.above for s in shown.values())
    size = max(s.values.shape[1] for s in shown.values())
    count = str(fewest) if fewest == most else f"{fewest} to {most}"
    return f"only {count} of {size} eigenvalues are above zero: the kernel is singular"
