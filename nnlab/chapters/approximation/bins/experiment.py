"""Histograms of a function: as many bins as asked for, their certified errors, and their laws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.bins import Histogram, bins_for, build_bins, error_bound, steepness_for
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.network import network_bytes
from nnlab.approximation.targets import ExpressionTarget, Target, make_target
from nnlab.chapters.approximation.bins.figures.certified import error_over_bins
from nnlab.chapters.approximation.bins.figures.ends import towers_end_error
from nnlab.chapters.approximation.bins.figures.errorcurves import error_curves
from nnlab.chapters.approximation.bins.figures.histograms import histogram_fit, histogram_grid
from nnlab.chapters.approximation.bins.figures.sigmoidoutput import sigmoid_output
from nnlab.chapters.approximation.setup import Config, Line
from nnlab.errors import Interrupted
from nnlab.expressions import Interval, curvature
from nnlab.lab.outcome import Outcome
from nnlab.lab.session import Session
from nnlab.record import Record, replace_file
from nnlab.rigorous.supremum import supremum
from nnlab.theory import Claim, exact_claim, local_slope

Array = NDArray[np.float64]

SIDE_BY_SIDE = 10  # bins of the constructions that are compared
RATES = tuple(2**k for k in range(3, 11))  # numbers of bins over which the rate is read off
MANY, GAP = 200_000, 1e-3  # bins beyond which a gap of so much of the bound is close enough
DRAWN = 10_000  # bins that are drawn and stored one by one
FIVE = 5  # of the lecture's histogram, made of ten hidden units
SHARP = (40, 2.0)  # bins and v = w/N at which the bound for finite steepness is attained
TIGHT = (0.1, 0.01, 0.001)  # errors for which f = Lx is looked at where no ε is given
ATTAINED = 1e-9  # what finite steepness and rounding may add to a bound that is attained
CURVES = ("x", "target", "output", "edges", "heights")
CLOSE_UP = 6  # bins of a close-up


@dataclass(frozen=True)
class Certified:
    """A construction and what is proved about its error."""

    histogram: Histogram
    certificate: Certificate
    bound: float | None  # what theory says it will not exceed


def run(config: Config, line: Line, record: Record, session: Session) -> Outcome:
    """Builds, certifies, draws and judges."""
    found = []
    with session.reporter.bar("certificates") as advance:
        for done, bins in enumerate(line.bins):
            _go_on(session)
            advance(done, len(line.bins), f"{bins} bins")
            found.append(_certified(config, line, bins))
            _save(record, found[-1])
            _warn(found[-1], session)
        advance(len(line.bins), len(line.bins), "")
    _draw_fits(config, line, found, record)
    _draw_five(line, record)
    _go_on(session)
    side_by_side = _side_by_side(line)
    _draw_errors(line, side_by_side, record)
    rates = _rates(line, session)
    _draw_rates(config, line, rates, found, record)
    claims = _bound_claims(config, line, found) + _tight_claims(config, line) + _rate_claims(line, rates)
    claims += [_sharp_claim(), *_ends(line, record)]
    if line.delta is not None:
        claims += _sigmoid_output(line, record)
    last = found[-1].certificate
    metrics = {"error_upper": last.upper, "error_lower": last.lower}
    return Outcome(metrics, [_row(config, line, f) for f in found], claims)


def predictions(config: Config, line: Line) -> dict[str, Any]:
    """What theory says before anything is built."""
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


def _go_on(session: Session) -> None:
    if session.stop():
        raise Interrupted("interrupted before the last certificate")


# --- constructions and their certificates ---------------------------------------------------------------


def _build(config: Config, line: Line, bins: int) -> Histogram:
    steepness = math.inf if config.steepness == "hard" else config.steepness
    return build_bins(
        line.target, bins, line.interval, construction=config.construction, heights=config.heights,
        steepness=steepness, activation=config.activation, output=config.output,
    )  # fmt: skip


def _certified(config: Config, line: Line, bins: int) -> Certified:
    histogram = _build(config, line, bins)
    bound = _bound(config, line, bins)
    return Certified(histogram, _certify(histogram, line, bound or 0.0), bound)


def _warn(found: Certified, session: Session) -> None:
    """Says where both bounds could not be brought together."""
    lower, upper = found.certificate.lower, found.certificate.upper
    if upper - lower > 0.01 * (found.bound or upper) and not found.certificate.complete:
        session.reporter.say(
            f"{found.histogram.bins} bins: the error is between {lower:.6g} and {upper:.6g}; closer bounds "
            "would take too long"
        )


def _certify(histogram: Histogram, line: Line, scale: float) -> Certificate:
    """To the last digit for thousands of bins, to a thousandth of the bound for more."""
    few = histogram.bins <= MANY
    return certify(
        histogram.network, line.target, line.interval,
        relative=1e-10 if few else GAP, absolute=(1e-10 if few else GAP) * scale,
        max_boxes=20 * histogram.bins + 2_000_000,
    )  # fmt: skip


def _bound(config: Config, line: Line, bins: int) -> float | None:
    """What the error cannot exceed by the lecture's question and its theorem; None where neither says."""
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
    if config.activation == "ripple":
        return None
    steepness = config.steepness or steepness_for(bins, line.length)
    if config.construction == "towers" and config.steepness is not None:
        return None  # their tails outside the interval add to it
    return error_bound(slope, bins, steepness, line.length) * passed_on


def _row(config: Config, line: Line, found: Certified) -> dict[str, Any]:
    h, slope = found.histogram, line.slope.upper
    return {
        "construction": h.construction,
        "bins": h.bins,
        "hidden_units": h.network.hidden_units,
        "steepness": h.steepness if math.isfinite(h.steepness) else None,
        "interval": list(line.interval),
        "epsilon": config.epsilon,
        "lipschitz": slope if math.isfinite(slope) else None,
        "bound": found.bound,
        "error_lower": found.certificate.lower,
        "error_upper": found.certificate.upper,
    }


def _save(record: Record, found: Certified) -> None:
    folder = record.folder / "checkpoints"
    folder.mkdir(exist_ok=True)
    name = f"{found.histogram.construction}-{found.histogram.bins}.pt"
    replace_file(folder / name, network_bytes(found.histogram.network))


# --- figures --------------------------------------------------------------------------------------------


def points_of(histogram: Histogram, interval: tuple[float, float], most: int = 4000) -> Array:
    """Inputs that show every step of a histogram, or evenly spread ones where there are too many."""
    x = np.linspace(*interval, 2001)
    if histogram.bins * 21 <= 4 * most and math.isfinite(histogram.steepness):
        around = np.linspace(-10, 10, 21) / histogram.steepness
        x = np.concatenate([x, (histogram.borders[:, None] + around).ravel()])
    elif histogram.bins * 2 <= most:
        x = np.concatenate([x, histogram.borders, np.nextafter(histogram.borders, -np.inf)])
    return np.unique(x[(interval[0] <= x) & (x <= interval[1])])


def _curves(histogram: Histogram, target: Target, x: Array) -> tuple[Array, Array, Array]:
    return x, target.values(x[:, None]), LineNetwork(histogram.network).values(x)


def _heights(histogram: Histogram) -> Array:
    """As the bins are drawn: of hats the mean of both ends, behind a sigmoid its values."""
    h = histogram.heights
    if histogram.construction == "hats":
        h = (h[:-1] + h[1:]) / 2
    if histogram.network.output_activation == "sigmoid":
        h = 1 / (1 + np.exp(-h))
    return np.asarray(h)


def _close_up(found: Certified, line: Line) -> tuple[Array, Array, Array] | None:
    """A few bins around the largest error, where the bins are too many to be seen."""
    h = found.histogram
    if h.bins <= 200:
        return None
    middle = int(np.searchsorted(h.borders, found.certificate.at[0]))
    first = min(max(0, middle - CLOSE_UP // 2), h.bins - CLOSE_UP)
    return _curves(h, line.target, np.linspace(h.borders[first], h.borders[first + CLOSE_UP], 1501))


def _draw_fits(config: Config, line: Line, found: Sequence[Certified], record: Record) -> None:
    """The fewest and the most bins each in a figure, all of them side by side."""
    panels, errors = {}, {}
    for f in found:
        h = f.histogram
        curves = _curves(h, line.target, points_of(h, line.interval))
        some = slice(None, None, -(-h.bins // DRAWN))
        edges, heights = np.append(h.borders[:-1][some], h.borders[-1]), _heights(h)[some]
        record.save_arrays(**{
            f"bins/{h.bins}/{name}": array
            for name, array in zip(CURVES, (*curves, edges, heights), strict=True)
        })  # fmt: skip
        name = f"{h.bins:,} bins, {h.network.hidden_units:,} hidden units"
        panels[name], errors[name] = (*curves, edges, heights), f.certificate.upper
        if f in (found[0], found[-1]):
            figure = histogram_fit(
                *panels[name], hidden_units=h.network.hidden_units, error_upper=f.certificate.upper,
                epsilon=config.epsilon, close_up=_close_up(f, line),
            )  # fmt: skip
            record.save_figure(figure, f"bins_{h.bins}")
    if len(panels) > 1:
        shown = dict(list(panels.items())[:6])
        record.save_figure(histogram_grid(shown, errors={n: errors[n] for n in shown}), "bins")


def _draw_five(line: Line, record: Record) -> None:
    """As on the slide: five bins, two opposing steps each."""
    h = build_bins(line.target, FIVE, line.interval, construction="towers")
    upper = _certify(h, line, 0.0).upper
    curves = _curves(h, line.target, points_of(h, line.interval))
    units = h.network.hidden_units
    figure = histogram_fit(*curves, h.borders, h.heights, hidden_units=units, error_upper=upper)
    record.save_figure(figure, "five_bins")


def _side_by_side(line: Line) -> dict[str, Certified]:
    """Equally many bins of every construction."""
    kinds: dict[str, dict[str, Any]] = {
        "staircase, midpoints": {},
        "staircase, left ends": {"heights": "left"},
        "towers, 2N units": {"construction": "towers"},
        "ReLU hats": {"construction": "hats"},
        "staircase of tanh": {"activation": "tanh"},
        "staircase of ripples": {"activation": "ripple"},
    }
    found = {}
    for name, settings in kinds.items():
        histogram = build_bins(line.target, SIDE_BY_SIDE, line.interval, **settings)
        found[name] = Certified(histogram, _certify(histogram, line, 0.0), None)
    return found


def _draw_errors(line: Line, side_by_side: dict[str, Certified], record: Record) -> None:
    panels = {}
    for name, f in side_by_side.items():
        x, target, output = _curves(f.histogram, line.target, points_of(f.histogram, line.interval))
        panels[name] = (x, output - target, f.certificate.lower, f.certificate.upper)
        record.save_arrays(**{
            f"constructions/{name}/x": x, f"constructions/{name}/error": output - target,
            f"constructions/{name}/bounds": [f.certificate.lower, f.certificate.upper],
        })  # fmt: skip
    title = f"{SIDE_BY_SIDE} bins: each error stays inside the band that was proved for it"
    record.save_figure(error_curves(panels, title), "error_curves")


def _sigmoid_output(line: Line, record: Record) -> list[Claim]:
    """A network with a sigmoid on its output: before it σ⁻¹∘f is approximated, after it f."""
    h = build_bins(line.target, SIDE_BY_SIDE, line.interval, output="sigmoid")
    certificate = _certify(h, line, 0.0)
    x, target, output = _curves(h, line.target, points_of(h, line.interval))
    logit = np.log(target) - np.log1p(-target)
    inner = np.log(output) - np.log1p(-output)
    record.save_arrays(**{
        "sigmoid_output/x": x, "sigmoid_output/target": target, "sigmoid_output/output": output,
        "sigmoid_output/logit": logit, "sigmoid_output/inner": inner,
    })  # fmt: skip
    figure = sigmoid_output(x, (logit, inner), (target, output), delta=line.delta)
    record.save_figure(figure, "sigmoid_output")
    if line.logit_slope is None or not 0 < line.logit_slope.upper < math.inf:
        return []
    slope = line.logit_slope.upper
    return [
        exact_claim(
            "sigmoid_output_within_the_bound",
            sentence="With a sigmoid on the output, approximating σ⁻¹∘f approximates f.",
            formula="sup |σ(g) − f| ≤ ¼ · L(b − a)/2N, L of σ⁻¹∘f; the part of it that is used",
            hypotheses=[
                f"f = {line.target.text[:80]} in [{line.delta:.3g}, 1 − {line.delta:.3g}]",
                f"L = {slope:.6g} of the logit, at most {line.slope.upper:.4g}/(δ(1 − δ))", f"N = {h.bins}",
            ],
            predicted=(None, 1 + ATTAINED),
            measured=certificate.upper / (slope * line.length / (8 * h.bins)),
            tolerance=0.0,
        )
    ]  # fmt: skip


# --- rates ----------------------------------------------------------------------------------------------


Rates = dict[str, tuple[Array, Array, Array]]


def _rates(line: Line, session: Session) -> Rates:
    """Certified bounds over the number of bins: construction -> bins, lower, upper."""
    kinds: dict[str, dict[str, Any]] = {
        "staircase, midpoints": {},
        "staircase, left ends": {"heights": "left"},
        "ReLU hats": {"construction": "hats"},
    }
    rates: Rates = {}
    with session.reporter.bar("error over bins") as advance:
        for done, (name, settings) in enumerate(kinds.items()):
            advance(done, len(kinds), name)
            lower, upper = [], []
            for bins in RATES:
                _go_on(session)
                histogram = build_bins(line.target, bins, line.interval, **settings)
                certificate = certify(
                    histogram.network, line.target, line.interval, relative=1e-6, max_boxes=2_000_000
                )
                lower.append(certificate.lower)
                upper.append(certificate.upper)
            rates[name] = np.array(RATES, np.float64), np.array(lower), np.array(upper)
        advance(len(kinds), len(kinds), "")
    return rates


def _curvature(line: Line) -> float | None:
    """M ≥ |f''| on the interval, certified to a part in a million where f is smooth; None where it is not."""
    if not isinstance(line.target, ExpressionTarget):
        return None
    graph, (name,) = line.target.graph, line.target.variables

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        middle = lo + (hi - lo) / 2
        there = curvature(graph, {name: Interval(middle[:, 0], middle[:, 0])}, name)
        everywhere = curvature(graph, {name: Interval(lo[:, 0], hi[:, 0])}, name)
        least = np.maximum(np.maximum(there.lo, -there.hi), 0.0)
        shape = np.zeros(len(lo))  # a constant has no array shape of its own
        return least + shape, everywhere.magnitude + shape, middle

    ends = np.linspace(*line.interval, 257)
    found = supremum(bound, ends[:-1, None], ends[1:, None], relative=1e-6, max_boxes=200_000)
    return found.upper if math.isfinite(found.upper) else None


def _draw_rates(config: Config, line: Line, rates: Rates, found: Sequence[Certified], record: Record) -> None:
    n = np.geomspace(RATES[0], RATES[-1], 50)
    theory, slope, length = {}, line.slope.upper, line.length
    plain = config.output == "identity"
    if math.isfinite(slope) and plain:
        theory["L(b − a)/(2N)"] = (n, slope * length / (2 * n))
        theory["L(b − a)/N"] = (n, slope * length / n)
    if (m := _curvature(line)) is not None:
        theory["M(b − a)²/(8N²)"] = (n, m * length**2 / (8 * n**2))
    for name, (bins, lower, upper) in rates.items():
        record.save_arrays(**{
            f"rates/{name}/bins": bins, f"rates/{name}/lower": lower, f"rates/{name}/upper": upper,
        })  # fmt: skip
    answer = None
    if config.epsilon is not None and plain:
        answer = bins_for(slope, config.epsilon, length)
    figure = error_over_bins(rates, theory=theory, epsilon=config.epsilon, answer=answer)
    record.save_figure(figure, "error_over_bins")


# --- claims ---------------------------------------------------------------------------------------------


def _setting(line: Line) -> list[str]:
    low, high = line.interval
    return [
        f"f = {line.target.text[:80]} on [{low:g}, {high:g}]",
        f"L = {line.slope.upper:.6g}, {line.slope.source}",
    ]


def _bound_claims(config: Config, line: Line, found: Sequence[Certified]) -> list[Claim]:
    claims = []
    bounded = [f for f in found if f.bound]
    allowed = ATTAINED + (GAP if any(f.histogram.bins > MANY for f in bounded) else 0.0)
    if bounded:
        claims.append(
            exact_claim(
                "error_within_the_bound",
                sentence="The certified error is nowhere above what the number of bins promises.",
                formula=_bound_formula(config),
                hypotheses=[
                    *_setting(line), "bins " + ", ".join(str(f.histogram.bins) for f in bounded),
                    f"up to {allowed:.1g}, which the certificate leaves open",
                ],
                predicted=(None, 1 + allowed),
                measured=max(f.certificate.upper / f.bound for f in bounded if f.bound),
                tolerance=0.0,
            )
        )  # fmt: skip
    if config.epsilon is not None:
        claims += [_epsilon_claim(config, line, f, more) for more, f in enumerate(found[-2:])]
    return claims


def _bound_formula(config: Config) -> str:
    whole = config.heights == "left" and config.construction != "hats"
    bound = "L(b − a)/N" if whole else "L(b − a)/2N"
    if config.output == "sigmoid":
        bound += " / 4, L of σ⁻¹∘f"
    if config.construction != "hats" and not whole and config.steepness != "hard":
        bound += " · (1 + 4/(e^v − 1)), v = w(b − a)/N"
    return f"sup |y − f| ≤ {bound}; the largest part of it that is used"


def _epsilon_claim(config: Config, line: Line, found: Certified, more: int) -> Claim:
    """Of the number of bins that ε needs, and of one more."""
    assert config.epsilon is not None
    words = "As many bins as the lecture's question is answered with" if not more else "One bin more"
    return exact_claim(
        "enough_bins" if not more else "one_bin_more",
        sentence=f"{words} keep the error at or below ε{' but for 10⁻⁹ of it' if not more else ''}.",
        formula=f"sup |y − f| / ε with N = {found.histogram.bins}",
        hypotheses=[*_setting(line), f"ε = {config.epsilon:g}"],
        predicted=(None, 1.0 if more else 1 + 1e-9),
        measured=found.certificate.upper / config.epsilon,
        tolerance=0.0,
    )


def _tight_claims(config: Config, line: Line) -> list[Claim]:
    """f = Lx: with one bin less no histogram would do, whatever its heights."""
    slope, length = line.slope.upper, line.length
    if not (math.isfinite(slope) and slope > 0):
        return []
    worst = math.inf
    tight = make_target(f"{slope!r}*x")
    epsilons = TIGHT if config.epsilon is None else (config.epsilon,)
    fewer = [(e, bins_for(slope, e, length) - 1) for e in epsilons]
    fewer = [(e, n) for e, n in fewer if 1 <= n <= 10**7]
    if not fewer:
        return []
    for e, n in fewer:
        borders = line.interval[0] + length * np.arange(n + 1) / n
        worst = min(worst, histogram_lower_bound(tight, borders) / e)
    return [
        exact_claim(
            "no_histogram_with_fewer_bins",
            sentence="For f = Lx no histogram with one bin less reaches ε, whatever its heights.",
            formula="min over heights of sup |h − Lx| / ε ≥ L(b − a)/(2(N − 1)ε) > 1, N = ⌈L(b − a)/2ε⌉",
            hypotheses=[
                f"L = {slope:.6g}, b − a = {length:g}",
                "ε = " + ", ".join(f"{e:g}" for e, _ in fewer),
            ],
            predicted=(1.0, None),
            measured=worst,
            tolerance=0.0,
        )
    ]


def _rate_claims(line: Line, rates: Rates) -> list[Claim]:
    """Over the last octave, for a target that is Lipschitz, and twice differentiable for the hats."""
    claims = []
    m = _curvature(line)
    kinds = [("staircase, midpoints", "histogram_rate", -1.0, math.isfinite(line.slope.upper))]
    kinds.append(("ReLU hats", "interpolation_rate", -2.0, m is not None))
    for kind, name, predicted, holds in kinds:
        bins, _, upper = rates[kind]
        words = "1/N" if predicted == -1 else "1/N²"
        if not holds or upper[-1] <= 1e-12:
            continue
        claims.append(
            exact_claim(
                name,
                sentence=f"The certified error of the {kind.split(',')[0]} falls like {words}.",
                formula=f"slope of log error over log N from N = {RATES[-2]} to {RATES[-1]}",
                hypotheses=[*_setting(line), *([f"|f''| ≤ {m:.6g}"] if predicted == -2 else [])],
                predicted=predicted,
                measured=local_slope(bins[-2:], upper[-2:]),
                tolerance=0.02,
                rivals={"the other construction": -3.0 - predicted, "half of it": predicted / 2},
            )
        )
    if m:
        bins, _, upper = rates["ReLU hats"]
        claims.append(
            exact_claim(
                "interpolation_within_the_bound",
                sentence="Straight lines between the values are as near as the second derivative allows.",
                formula="sup |y − f| ≤ M(b − a)²/8N²; the largest part of it that is used",
                hypotheses=[*_setting(line), f"|f''| ≤ {m:.6g}", "up to 10⁻⁴, which rounding may take"],
                predicted=(None, 1 + 1e-4),
                measured=float((upper / (m * line.length**2 / (8 * bins**2))).max()),
                tolerance=0.0,
            )
        )
    return claims


def _sharp_claim() -> Claim:
    """At finite steepness the bound of `nnlab.approximation.bins` is attained by |x − ½|."""
    bins, v = SHARP
    histogram = build_bins(make_target("abs(x - 0.5)"), bins, steepness=v * bins)
    certificate = certify(histogram.network, make_target("abs(x - 0.5)"), relative=1e-10)
    tails = math.fsum(1 / (1 + math.exp(j * v)) for j in range(1, bins))
    return exact_claim(
        "finite_steepness_is_sharp",
        sentence="What finite steepness may add to the error is attained by |x − ½|.",
        formula="sup |y − f| = L/2N · (1 + 4 Σⱼ σ(−jw/N))",
        hypotheses=[f"f = |x − ½|, N = {bins}, w/N = {v:g}, midpoints"],
        predicted=(1 + 4 * tails) / (2 * bins),
        measured=certificate.upper,
        tolerance=1e-9,
        rivals={"hard steps": 1 / (2 * bins), "geometric bound": (1 + 4 / math.expm1(v)) / (2 * bins)},
    )


def _ends(line: Line, record: Record) -> list[Claim]:
    """Towers whose outer edges are the ends of the interval give half of the height there."""
    sides = {}
    places: tuple[Literal["inside", "outside"], ...] = ("inside", "outside")
    for outer in places:
        histogram = build_bins(line.target, SIDE_BY_SIDE, line.interval, construction="towers", outer=outer)
        sides[outer] = Certified(histogram, _certify(histogram, line, 0.0), None)
    inside, outside = sides["inside"].histogram, sides["outside"].histogram
    low, high = line.interval
    size = line.length / SIDE_BY_SIDE
    ends = {}
    for name, at in (("left end", low), ("right end", high)):
        x = np.linspace(at - size, at + size, 801)
        known = np.clip(x, low, high)
        target = np.where(known == x, line.target.values(known[:, None]), np.nan)
        curves = (target, LineNetwork(inside.network).values(x), LineNetwork(outside.network).values(x))
        ends[name] = (x, *curves)
        record.save_arrays(**{
            f"towers/{name}/{label}": array
            for label, array in zip(("x", "target", "inside", "outside"), ends[name], strict=True)
        })  # fmt: skip
    errors = (sides["inside"].certificate.upper, sides["outside"].certificate.upper)
    record.save_figure(towers_end_error(ends, line.interval, errors=errors), "towers_ends")
    return _end_claims(line, inside, sides["outside"])


def _end_claims(line: Line, inside: Histogram, outside: Certified) -> list[Claim]:
    claims = []
    first = inside.heights[0]
    if abs(first) > 1e-3 * np.abs(inside.heights).max():
        at_end = float(LineNetwork(inside.network).values(np.array(line.interval[:1]))[0])
        claims.append(
            exact_claim(
                "half_the_height_at_the_end",
                sentence="A tower whose outer edge is the end of the interval has half of its height there.",
                formula="y(a)/h₀ with a step at a",
                hypotheses=[*_setting(line), f"{SIDE_BY_SIDE} towers"],
                predicted=0.5,
                measured=at_end / float(first),
                tolerance=1e-6,
                rivals={"the whole height": 1.0},
            )
        )
    if math.isfinite(line.slope.upper) and line.slope.upper:
        claims.append(
            exact_claim(
                "towers_with_outer_edges_outside",
                sentence="With the outer edges outside, the first and the last tower are as good as others.",
                formula="sup over the whole interval of |y − f| ≤ L(b − a)/2N; the part of it that is used",
                hypotheses=[*_setting(line), f"{SIDE_BY_SIDE} towers"],
                predicted=(None, 1 + ATTAINED),
                measured=outside.certificate.upper / (line.slope.upper * line.length / (2 * SIDE_BY_SIDE)),
                tolerance=0.0,
            )
        )
    return claims
