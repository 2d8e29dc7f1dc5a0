"""Histograms of a function: as many bins as asked for, their certified errors, and their laws."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.bins import Histogram, bins_for, build_bins, error_bound, steepness_for
from nnlab.approximation.certificate import Certificate, certify
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.network import network_bytes
from nnlab.approximation.targets import ExpressionTarget
from nnlab.chapters.approximation.bins import claims, figures, schema
from nnlab.chapters.approximation.bins.certificates import of_certificates
from nnlab.chapters.approximation.bins.claims import GAP, HATS, LEFT, MANY, MIDPOINTS, TIGHT, Certified
from nnlab.chapters.approximation.bins.setup import BinsSettings, Line, largest
from nnlab.errors import Interrupted
from nnlab.expressions import Interval, curvature
from nnlab.lab.session import Outcome, Session
from nnlab.models.activations import ACTIVATIONS
from nnlab.plot.text import at_least, at_most
from nnlab.record import Record, replace_file
from nnlab.record.arrays import under
from nnlab.theory import Claim

Array = NDArray[np.float64]

SIDE_BY_SIDE = 10  # bins of the constructions that are compared
RATES = tuple(2**k for k in range(3, 11))  # numbers of bins over which the rate is read off
DRAWN = 10_000  # bins that are drawn and stored one by one
PANELS = 6  # histograms side by side
FIVE = 5  # of the lecture's histogram, made of ten hidden units
CURVES = (schema.X, schema.TARGET, "output", "edges", "heights")
CLOSE_UP = 6  # bins of a close-up

KINDS: dict[str, dict[str, Any]] = {
    MIDPOINTS: {},
    LEFT: {"heights": "left"},
    "towers, 2N units": {"construction": "towers"},
    HATS: {"construction": "hats"},
    "staircase of tanh": {"activation": "tanh"},
    "staircase of ripples": {"activation": "ripple"},
}
"""The constructions side by side, by what they change."""


def answer(config: BinsSettings, line: Line, session: Session) -> Certified | None:
    """Certifies as many bins as ε needs, and says how many they are; None where no ε is given."""
    if config.epsilon is None:
        return None
    fit = _fit(config, line, line.bins[-2], session)
    low, high = line.interval
    lower, upper = fit.certificate.lower, fit.certificate.upper
    certified = f"certified error {at_most(upper, 4)}"
    if upper > config.epsilon * (1 + 1e-8):  # of so many bins the bounds are not brought together
        certified = f"error certified to lie between {at_least(lower, 4)} and {at_most(upper, 4)}"
    elif upper > config.epsilon:  # the histogram attains it, and finite steepness and rounding add to it
        certified = f"certified error {config.epsilon:g}, but for less than 10⁻⁸ of it"
    bins, units = fit.histogram.bins, fit.histogram.network.hidden_units
    session.reporter.say(
        f"an error of at most {config.epsilon:g} on [{low:g}, {high:g}] takes N = {bins:,} "
        f"bin{'s' * (bins > 1)} ({units:,} hidden unit{'s' * (units > 1)}): {certified}; "
        f"L = {line.slope.upper:.6g} is {line.slope.source}"
    )
    return fit


def run(
    config: BinsSettings, line: Line, answered: Certified | None, record: Record, session: Session
) -> Outcome:
    """Builds, certifies, draws and judges; what `answer` has certified is not certified again."""
    fits = []
    with session.reporter.bar("certificates") as advance:
        for done, bins in enumerate(line.bins):
            _check_stop(session)
            advance(done, len(line.bins), f"{bins} bins")
            if answered is not None and answered.histogram.bins == bins:
                fits.append(answered)
            else:
                fits.append(_fit(config, line, bins, session))
            _save(record, fits[-1].histogram)
        advance(len(line.bins), len(line.bins), "")
    _draw_fits(config, line, fits, record)
    five = _certified(line, FIVE, construction="towers")
    _draw_fit(line, five, _drawn(line, five.histogram), "five_bins", record)
    _check_stop(session)
    _draw_errors(line, record)
    rates, m = _rates(line, session), _curvature(line)
    _draw_rates(config, line, rates, m, record)
    judged = claims.of_bounds(config, line, fits) + claims.of_lines(config, line)
    judged += claims.of_rates(line, rates, bends(line))
    judged += [claims.of_parabola(), *claims.of_steepness(), *_ends(line, record)]
    if line.delta is not None:
        judged += _sigmoid_output(line, line.delta, record)
    judged += [claims.of_level_sigmoid(), *of_certificates()]
    last = fits[-1].certificate
    metrics = {"error_upper": last.upper, "error_lower": last.lower}
    return Outcome(metrics, [_row(config, line, fit) for fit in fits], judged)


def predictions(config: BinsSettings, line: Line) -> dict[str, Any]:
    """The predictions of theory, before anything is built."""
    slope = line.slope.upper
    return {
        "target": line.target.text,
        "interval": list(line.interval),
        "lipschitz": slope if math.isfinite(slope) else None,
        "lipschitz_is": line.slope.source,
        "bins": list(line.bins),
        "bounds": [_bound(config, line, bins) for bins in line.bins],
        "answers": {str(e): bins_for(slope, e, line.length) for e in TIGHT} if math.isfinite(slope) else {},
    }


def _check_stop(session: Session) -> None:
    if session.stop():
        raise Interrupted("interrupted before the last certificate")


# --- constructions and their certificates ---------------------------------------------------------------


def _fit(config: BinsSettings, line: Line, bins: int, session: Session) -> Certified:
    """The histogram that the config asks for; says so where its bounds could not be brought together."""
    histogram = build_bins(
        line.target, bins, line.interval, construction=config.construction, heights=config.heights,
        steepness=math.inf if config.steepness == "hard" else config.steepness,
        activation=config.activation, output=config.output,
    )  # fmt: skip
    bound = _bound(config, line, bins)
    certificate = _certificate(line, histogram, bound or 0.0)
    lower, upper = certificate.lower, certificate.upper
    if upper - lower > 0.01 * (bound or upper) and not certificate.complete:
        session.reporter.say(
            f"{bins} bins: the error is between {lower:.6g} and {upper:.6g}; "
            "closer bounds would take too long"
        )
    return Certified(histogram, certificate, bound)


def _certified(line: Line, bins: int, **settings: Any) -> Certified:
    """Another histogram of the same function, and its certificate."""
    histogram = build_bins(line.target, bins, line.interval, **settings)
    return Certified(histogram, _certificate(line, histogram, 0.0))


def _certificate(line: Line, histogram: Histogram, scale: float) -> Certificate:
    """Bounds that agree to ten digits for thousands of bins, to a thousandth of the scale for more."""
    gap = 1e-10 if histogram.bins <= MANY else GAP
    return certify(
        histogram.network, line.target, line.interval, relative=gap, absolute=gap * scale,
        max_boxes=20 * histogram.bins + 2_000_000,
    )  # fmt: skip


def _bound(config: BinsSettings, line: Line, bins: int) -> float | None:
    """A bound on the error by the lecture's question and its theorem; None where neither gives one."""
    behind_sigmoid = config.output == "sigmoid" and line.logit_slope is not None
    slope = line.logit_slope.upper if behind_sigmoid and line.logit_slope else line.slope.upper
    if not math.isfinite(slope):
        return None
    passed_on = 0.25 if behind_sigmoid else 1.0  # |σ(a) − σ(b)| ≤ |a − b|/4
    half = slope * line.length / (2 * bins)
    if config.construction == "hats":
        return half * passed_on
    if config.heights == "left":
        return 2 * half * passed_on if config.steepness in (None, "hard") else None
    if config.steepness == "hard" or config.activation == "step":
        return half * passed_on
    step = ACTIVATIONS[config.activation].step
    if step is None or step.logistic is None:
        return None
    steepness = config.steepness or steepness_for(bins, line.length)
    if config.construction == "towers" and config.steepness is not None:
        return None  # their tails outside the interval add to it
    return error_bound(slope, bins, steepness, line.length) * passed_on


def _row(config: BinsSettings, line: Line, fit: Certified) -> schema.BinsRow:
    h, slope = fit.histogram, line.slope.upper
    return {
        "construction": h.construction,
        "bins": h.bins,
        "hidden_units": h.network.hidden_units,
        "steepness": h.steepness if math.isfinite(h.steepness) else None,
        "interval": list(line.interval),
        "epsilon": config.epsilon,
        "lipschitz": slope if math.isfinite(slope) else None,
        "bound": fit.bound,
        "error_lower": fit.certificate.lower,
        "error_upper": fit.certificate.upper,
    }


def _save(record: Record, histogram: Histogram) -> None:
    folder = record.folder / "checkpoints"
    folder.mkdir(exist_ok=True)
    name = f"{histogram.construction}-{histogram.bins}.pt"
    replace_file(folder / name, network_bytes(histogram.network))


# --- figures --------------------------------------------------------------------------------------------


def points_of(histogram: Histogram, interval: tuple[float, float], most: int = 4000) -> Array:
    """Inputs that show every step of a histogram, or evenly spread ones where there are too many."""
    x = np.linspace(*interval, 2001)
    around_each = min(21, 4 * most // histogram.bins)
    if around_each >= 3 and math.isfinite(histogram.steepness):
        around = np.linspace(-10, 10, around_each) / histogram.steepness
        x = np.concatenate([x, (histogram.borders[:, None] + around).ravel()])
    elif histogram.bins * 2 <= most:
        x = np.concatenate([x, histogram.borders, np.nextafter(histogram.borders, -np.inf)])
    return np.unique(x[(interval[0] <= x) & (x <= interval[1])])


def _curves(line: Line, histogram: Histogram, x: Array | None = None) -> tuple[Array, Array, Array]:
    """Inputs, by default those of `points_of`, with target and output at them, (T,) each."""
    x = points_of(histogram, line.interval) if x is None else x
    return x, line.target.values(x[:, None]), LineNetwork(histogram.network).values(x)


def _heights(histogram: Histogram) -> Array:
    """(N,) heights of the drawn bins: the mean of both ends for hats, outputs behind a sigmoid."""
    h = histogram.heights
    if histogram.construction == "hats":
        h = (h[:-1] + h[1:]) / 2
    if histogram.network.output_activation == "sigmoid":
        h = 1 / (1 + np.exp(-h))
    return np.asarray(h)


def _close_up(line: Line, fit: Certified) -> tuple[Array, Array, Array] | None:
    """A few bins around the largest error, where the bins are too many to be seen."""
    h = fit.histogram
    if h.bins <= 200:
        return None
    middle = int(np.searchsorted(h.borders, fit.certificate.at[0]))
    first = min(max(0, middle - CLOSE_UP // 2), h.bins - CLOSE_UP)
    return _curves(line, h, np.linspace(h.borders[first], h.borders[first + CLOSE_UP], 1501))


def _drawn(line: Line, histogram: Histogram) -> list[Array]:
    """The arrays CURVES of a histogram; where there are too many bins, edges and heights of some."""
    some = slice(None, None, -(-histogram.bins // DRAWN))
    edges = np.append(histogram.borders[:-1][some], histogram.borders[-1])
    return [*_curves(line, histogram), edges, _heights(histogram)[some]]


def _draw_fit(
    line: Line,
    fit: Certified,
    drawn: Sequence[Array],
    name: str,
    record: Record,
    epsilon: float | None = None,
) -> None:
    x, target, output, edges, heights = drawn
    record.figure(
        name,
        figures.histogram_fit,
        x,
        target,
        output,
        edges,
        heights,
        hidden_units=fit.histogram.network.hidden_units,
        error_upper=fit.certificate.upper,
        epsilon=epsilon,
        close_up=_close_up(line, fit),
    )


def _draw_fits(config: BinsSettings, line: Line, fits: Sequence[Certified], record: Record) -> None:
    """Draws the fewest and the most bins each in a figure, and all of them side by side.

    One bin more than ε needs looks the same, and is left out; so are five bins where `five_bins` shows them.
    """
    drawn_fits = fits[:-1] if config.epsilon is not None else fits
    plain = config.construction != "hats" and config.heights == "midpoint"
    plain = plain and (config.activation, config.output) == ("sigmoid", "identity")
    panels = {}
    for fit in fits:
        h = fit.histogram
        x, target, output, edges, heights = drawn = _drawn(line, h)
        record.save_arrays(**under(f"{schema.BINS}/{h.bins}", dict(zip(CURVES, drawn, strict=True))))
        if fit not in drawn_fits:
            continue
        name = f"{h.bins:,} bins, {h.network.hidden_units:,} hidden units"
        panels[name] = (x, target, output), edges, heights, fit.certificate.upper
        if fit in (drawn_fits[0], drawn_fits[-1]) and not (h.bins == FIVE and plain):
            _draw_fit(line, fit, drawn, f"bins_{h.bins}", record, config.epsilon)
    if len(panels) > 1:
        record.figure("bins", figures.histogram_grid, dict(list(panels.items())[:PANELS]))


def _draw_errors(line: Line, record: Record) -> None:
    """Draws the errors of equally many bins of every construction."""
    panels = {}
    for name, settings in KINDS.items():
        fit = _certified(line, SIDE_BY_SIDE, **settings)
        x, target, output = _curves(line, fit.histogram)
        bounds = fit.certificate.lower, fit.certificate.upper
        panels[name] = (x, output - target, *bounds)
        arrays = {"x": x, "error": output - target, "bounds": np.array(bounds)}
        record.save_arrays(**under(f"constructions/{name}", arrays))
    record.figure("error_curves", figures.error_curves, panels)


def _rates(line: Line, session: Session) -> claims.Rates:
    """Certified bounds over the number of bins: construction -> bins, lower, upper."""
    kinds, rates = (MIDPOINTS, LEFT, HATS), {}
    with session.reporter.bar("error over bins") as advance:
        for done, name in enumerate(kinds):
            advance(done, len(kinds), name)
            bounds = []
            for bins in RATES:
                _check_stop(session)
                network = build_bins(line.target, bins, line.interval, **KINDS[name]).network
                certificate = certify(network, line.target, line.interval, relative=1e-6, max_boxes=2_000_000)
                bounds.append((bins, certificate.lower, certificate.upper))
            bins_of, lower, upper = np.array(bounds, np.float64).T
            rates[name] = bins_of, lower, upper
        advance(len(kinds), len(kinds), "")
    return rates


def _curvature(line: Line) -> float | None:
    """M ≥ |f''| on the interval, certified to a part in a million where f is smooth; None where it is not."""
    if not isinstance(line.target, ExpressionTarget):
        return None
    graph, (name,) = line.target.graph, line.target.variables

    def enclose(lo: Array, hi: Array) -> Interval:
        return abs(curvature(graph, {name: Interval(lo[:, 0], hi[:, 0])}, name))

    m = largest(enclose, np.linspace(*line.interval, 257), relative=1e-6, max_boxes=200_000).upper
    return m if math.isfinite(m) else None


def bends(line: Line) -> Interval | None:
    """f'' over each of as many bins as the largest of RATES, as an interval; None where f is not so smooth.

    A kink shows as an f'' that has no bound, or, at a border, as an f' that is known no better than its jump.
    """
    if not isinstance(line.target, ExpressionTarget):
        return None
    name, parts = line.target.variables[0], 16
    cells = np.linspace(*line.interval, RATES[-1] * parts + 1)
    second = curvature(line.target.graph, {name: Interval(cells[:-1], cells[1:])}, name)
    lo, hi = (np.broadcast_to(end, len(cells) - 1).reshape(-1, parts) for end in (second.lo, second.hi))
    second = Interval(lo.min(axis=1), hi.max(axis=1))
    slope = line.target.slopes(cells[:, None], cells[:, None])[1][0]
    size = 1e-9 * slope.magnitude.max() + second.magnitude.max() * (cells[1] - cells[0])
    smooth = np.isfinite(second.magnitude).all() and (slope.hi - slope.lo <= size).all()
    return second if smooth else None


def _draw_rates(
    config: BinsSettings, line: Line, rates: claims.Rates, m: float | None, record: Record
) -> None:
    n, slope, length = np.geomspace(RATES[0], RATES[-1], 50), line.slope.upper, line.length
    theory, plain = {}, config.output == "identity"
    if math.isfinite(slope) and plain:
        theory["L(b − a)/(2N)"] = (n, slope * length / (2 * n))
        theory["L(b − a)/N"] = (n, slope * length / n)
    if m is not None:
        theory["M(b − a)²/(8N²)"] = (n, m * length**2 / (8 * n**2))
    for name, arrays in rates.items():
        labels = ("bins", "lower", "upper")
        record.save_arrays(**under(f"rates/{name}", dict(zip(labels, arrays, strict=True))))
    answer = bins_for(slope, config.epsilon, length) if config.epsilon is not None and plain else None
    record.figure(
        "error_over_bins", figures.error_over_bins, rates, theory, epsilon=config.epsilon, answer=answer
    )


def _sigmoid_output(line: Line, delta: float, record: Record) -> list[Claim]:
    """Draws a network with a sigmoid on its output: before it σ⁻¹∘f is approximated, after it f."""
    fit = _certified(line, SIDE_BY_SIDE, output="sigmoid")
    x, target, output = _curves(line, fit.histogram)
    logit = np.log(target) - np.log1p(-target)
    inner = np.log(output) - np.log1p(-output)
    arrays = {"x": x, "target": target, "output": output, "logit": logit, "inner": inner}
    record.save_arrays(**under("sigmoid_output", arrays))
    record.figure("sigmoid_output", figures.sigmoid_output, x, (logit, inner), (target, output), delta)
    return claims.of_sigmoid_output(line, fit)


def _ends(line: Line, record: Record) -> list[Claim]:
    """Draws towers whose outer edges are the ends of the interval, and ones whose edges lie outside."""
    inside = _certified(line, SIDE_BY_SIDE, construction="towers", outer="inside")
    outside = _certified(line, SIDE_BY_SIDE, construction="towers", outer="outside")
    networks = [LineNetwork(fit.histogram.network) for fit in (inside, outside)]
    size = line.length / SIDE_BY_SIDE
    ends = {}
    for name, at in zip(("left end", "right end"), line.interval, strict=True):
        x = np.linspace(at - size, at + size, 801)
        known = np.clip(x, *line.interval)
        target = np.where(known == x, line.target.values(known[:, None]), np.nan)
        ends[name] = (x, target, networks[0].values(x), networks[1].values(x))
        labels = ("x", "target", "inside", "outside")
        record.save_arrays(**under(f"towers/{name}", dict(zip(labels, ends[name], strict=True))))
    errors = (inside.certificate.upper, outside.certificate.upper)
    record.figure("towers_ends", figures.towers_at_the_ends, ends, line.interval, errors=errors)
    at_end = float(inside.histogram.network.values(np.array([line.interval[:1]]))[0])
    return claims.of_towers(line, inside, at_end, outside)
