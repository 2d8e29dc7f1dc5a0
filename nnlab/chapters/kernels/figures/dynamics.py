"""Training as the kernel at the start predicts it, beside training as it is: losses and residuals."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import (
    SeedBand,
    band_words,
    diverged,
    draw_band,
    footnote,
    lost_as_infinite,
    over_seeds,
    seed_rows,
    steps_axis,
    width_looks,
)
from nnlab.plot.labels import label_ends, line_end
from nnlab.plot.scales import FloatArray, as_array, as_pair, log_axis, positive, with_notes
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    THIN,
    WIDE,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import number, percent, power_of_ten

_CLIMB = 100.0  # a loss beyond this multiple of the first one is on its way to infinity
_FAITHFUL = -8  # decades below the first loss: further down rounding decides, and ratios say nothing
_NETWORK = LineLook(PALETTE[1], "-", "o")
_LINEARIZED = LineLook(PALETTE[0], (0, (5, 1.6)), "s")
_PREDICTION = LineLook(INK, (0, (5, 2)), "none")
_FLOW = LineLook(MUTED, (0, (1.2, 1.4)), "none")


def loss_prediction(
    steps: ArrayLike,
    predicted: ArrayLike,
    network: ArrayLike,
    linearized: ArrayLike,
    flow: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """The loss that the kernel at the start predicts, and the losses of the network and its linearization.

    Lines are medians over the seeds; step 0 has no place on the logarithmic axis and is left out.

    Args:
        steps: (K,) steps.
        predicted: (K,) loss of the residuals (I − ηH₀)ᵏu₀.
        network: (S, K) loss of the network.
        linearized: (S, K) loss of the linearization.
        flow: (K,) loss of the residuals e^{−H₀t}u₀.
        title: A sentence; by default the largest factor between network and prediction.

    Raises:
        InputError: an array has another shape.
    """
    x = as_array(steps, "the steps")
    theory = as_pair(x, predicted, "the predicted loss")[1]
    flowing = None if flow is None else as_pair(x, flow, "the predicted loss of the flow")[1]
    losses = [
        seed_rows(values, len(x), f"the loss of the {name}")
        for name, values in (("network", network), ("linearization", linearized))
    ]
    bands = [over_seeds(lost_as_infinite(values)) for values in losses]
    figure = new_figure(title or _loss_title(theory, bands[0].middle), WIDE)
    axes = figure.subplots()
    dress(axes, "", "training loss")
    log_axis(axes.xaxis, x)
    view = _in_view(theory, bands)
    log_axis(axes.yaxis, view)
    if flowing is not None:
        _predicted_line(axes, x, flowing, _FLOW, THIN)
    notes = draw_band(axes, x, bands[1], _LINEARIZED)
    notes += draw_band(axes, x, bands[0], _NETWORK)
    _predicted_line(axes, x, theory, _PREDICTION, LINE)
    lost = [diverged(values) for values in losses]
    notes += [f"{lost[0]} of {len(losses[0])} networks diverged"] if lost[0] else []
    axes.set_xlabel(with_notes("step k", notes))
    if not view.size:
        nothing_to_show(axes, "nothing was measured")
    footnote(figure, band_words(len(values) for values in losses))
    entries = [
        sample(_PREDICTION, "predicted, (I − ηH₀)ᵏu₀"),
        *([] if flowing is None else [sample(_FLOW, "gradient flow, e^(−H₀t)u₀")]),
        sample(_LINEARIZED, "linearization"),
        sample(_NETWORK, "network"),
    ]
    legend(axes, entries, "lower left", size=FONT_TICK)
    return figure


def residual_error(steps: ArrayLike, errors: Mapping[int, ArrayLike], title: str | None = None) -> Figure:
    """How far the measured residuals are from the predicted (I − ηH₀)ᵏu₀ over training, at every width.

    Args:
        steps: (K,) steps.
        errors: Width m -> relative distances (S, K) of the residuals from the predicted ones.
        title: A sentence; by default the largest distance at the smallest and at the largest width.

    Raises:
        InputError: an array has another shape.
    """
    x = as_array(steps, "the steps")
    known = {
        width: over_seeds(lost_as_infinite(seed_rows(values, len(x), f"the errors at width {width}")))
        for width, values in sorted(errors.items())
    }
    figure = new_figure(title or _error_title(known), WIDE)
    axes = figure.subplots()
    dress(axes, "", "relative distance of the residual\nfrom its prediction")
    later = x != 0  # at the start there is nothing to predict, and the distance is 0 but for rounding
    parts = [part[later] for band in known.values() for part in (band.middle, band.low, band.high)]
    log_axis(axes.yaxis, np.concatenate([np.zeros(0), *parts]))
    steps_axis(axes, [x])
    looks = width_looks(known)
    notes, ends = [], []
    for width, band in known.items():
        notes += draw_band(axes, x[later], band.where(later), looks[width])
        ends.append(line_end(f"m = {number(width, digits=7)}", looks[width], x, band.middle))
    axes.set_xlabel(with_notes("step k", notes))
    if not any(ends):
        nothing_to_show(axes, "nothing was measured")
    footnote(figure, band_words(band.seeds for band in known.values()))
    label_ends(figure, axes, ends)
    return figure


def _predicted_line(axes: Axes, x: FloatArray, values: FloatArray, look: LineLook, width: float) -> None:
    """A prediction over the steps that a logarithmic axis can show; infinite values are gaps."""
    shown = x > 0
    y = np.where(np.isfinite(values), values, np.nan)
    marker = "D" if np.sum(shown) == 1 else "none"
    axes.plot(
        x[shown], y[shown], color=look.color, linestyle=look.dash, linewidth=width, marker=marker, zorder=4
    )


def _in_view(theory: FloatArray, bands: Sequence[SeedBand]) -> FloatArray:
    """The losses that the axis must hold: all but those on their way to infinity."""
    values = positive(np.concatenate([theory, *(part for b in bands for part in (b.middle, b.low, b.high))]))
    first = positive(theory[:1])
    near = values[values <= _CLIMB * first[0]] if first.size else values
    return near if near.size else values


def _loss_title(theory: FloatArray, measured: FloatArray) -> str:
    """The largest factor between measured and predicted loss, where rounding does not decide."""
    first = theory[0] if len(theory) else np.nan
    if not np.isfinite(measured).all():
        return "The training loss that the kernel at the start predicts; a network diverges from it"
    if not (np.isfinite(first) and first > 0):
        return "The training loss, beside what the kernel at the start predicts"
    compared = (theory > 10.0**_FAITHFUL * first) & np.isfinite(theory) & (measured > 0)
    if not compared.any():
        return "The training loss, beside what the kernel at the start predicts"
    factor = float(np.exp(np.abs(np.log(measured[compared] / theory[compared])).max()))
    until = "" if compared[-1] else f", until it has fallen to {power_of_ten(_FAITHFUL)} of its start"
    return f"The network's loss stays within a factor of {number(factor)} of the predicted one{until}"


def _error_title(known: Mapping[int, SeedBand]) -> str:
    furthest = {w: float(b.middle[~np.isnan(b.middle)].max(initial=0)) for w, b in known.items()}
    ends = [(width, value) for width, value in furthest.items() if value > 0]
    if not ends:
        return "How far the residuals are from those that the kernel at the start predicts"
    where = [f"{_percent(value)} at m = {number(width, digits=7)}" for width, value in (ends[0], ends[-1])]
    if len(ends) == 1:
        return f"The residual is off its prediction by at most {where[0]}"
    lead = "Wide networks train as predicted" if ends[-1][1] < ends[0][1] else "Width does not help here"
    return f"{lead}: the residual is off by at most {where[0]}, by {where[1]}"


def _percent(fraction: float) -> str:
    return percent(fraction) if np.isfinite(fraction) else "∞"
