"""The claims about histograms: how many bins an error takes, its constants, and where towers fail.

Whatever holds as an inequality for the function of the config stands beside a function that attains it: a
straight line has the error L(b − a)/2N exactly, a parabola that of interpolation, |x − c| that of finite
steepness, and σ of a nearly level line a quarter of the error before it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nnlab.approximation.bins import Heights, Histogram, bins_for, build_bins, error_bound
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.targets import make_target
from nnlab.chapters.approximation.bins.setup import BinsSettings, Line
from nnlab.chapters.approximation.certified import STEEP, certified_claim, rounding, step_constant
from nnlab.expressions import Interval
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]

MANY, GAP = 200_000, 1e-3  # bins beyond which a gap of so much of the bound is close enough
SHARP = (40, 2.0, (-1.0, 2.0))  # bins, v = w(b − a)/N and interval where finite steepness attains its bound
TIGHT = (0.1, 0.01, 0.001)  # errors for which f = Lx is looked at where no ε is given
MOST_COUNTED = 20_000  # bins up to which the least number is looked for
ATTAINED = 1e-9  # what finite steepness may add to a bound that is attained
MIDPOINTS, LEFT, HATS = "staircase, midpoints", "staircase, left ends", "ReLU hats"

BUILD = "nnlab.approximation.bins.build_bins"
CERTIFY = f"{BUILD}, nnlab.approximation.certificate.certify"

Rates = Mapping[str, tuple[Array, Array, Array]]
"""Construction -> numbers of bins, certified lower and certified upper bounds of the error, (K,) each."""


@dataclass(frozen=True)
class Certified:
    """A histogram and what is proved about its error.

    Attributes:
        histogram: the network of bins.
        certificate: bounds on its error.
        bound: what theory says the error does not exceed, if it says so.
    """

    histogram: Histogram
    certificate: Certificate
    bound: float | None = None

    def over(self, unit: float, less: float = 0.0) -> tuple[float, float]:
        """Both bounds on the error, less what rounding may have added, over a unit."""
        return (self.certificate.lower - less) / unit, (self.certificate.upper - less) / unit


def _setting(line: Line) -> list[str]:
    low, high = line.interval
    return [
        f"f = {line.target.text[:80]} on [{low:g}, {high:g}]",
        f"L = {line.slope.upper:.6g}, {line.slope.source}",
    ]


def _rounding(line: Line, bins: int = 1) -> float:
    slope = line.slope.upper
    return rounding(line.target, line.interval, slope if math.isfinite(slope) else 0.0, bins)


def _largest(bounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The largest lower and the largest upper of some bounds, NaN where one of them is."""
    lower, upper = np.array(bounds).max(axis=0)
    return float(lower), float(upper)


# --- the function of the config ---------------------------------------------------------------------------


def of_bounds(config: BinsSettings, line: Line, fits: Sequence[Certified]) -> list[Claim]:
    """No error exceeds what the number of bins guarantees, nor ε where that is given."""
    claims = []
    less = _rounding(line, max(fit.histogram.bins for fit in fits) if config.construction == "hats" else 1)
    bounded = [(fit, fit.bound) for fit in fits if fit.bound]
    allowed = ATTAINED + (GAP if any(fit.histogram.bins > MANY for fit in fits) else 0.0)
    if bounded:
        claims.append(
            certified_claim(
                "error_within_the_bound",
                sentence="The certified error never exceeds what the number of bins guarantees.",
                formula=_bound_formula(config),
                hypotheses=[
                    *_setting(line), "bins " + ", ".join(str(fit.histogram.bins) for fit, _ in bounded),
                    f"less {less:.2g} for the rounding of f and of the edges",
                ],
                predicted=(None, 1 + allowed),
                bounds=_largest([fit.over(bound, less) for fit, bound in bounded]),
                predicted_by="nnlab.approximation.bins.error_bound",
                measured_by=CERTIFY,
            )
        )  # fmt: skip
    if config.epsilon is None:
        return claims
    judged = {
        "enough_bins": "As many bins as the lecture's formula says keep the error within ε, but for 10⁻⁹.",
        "one_bin_more": "One bin more keeps the error within ε.",
    }
    for (name, sentence), fit in zip(judged.items(), fits[-2:], strict=True):
        claims.append(
            certified_claim(
                name,
                sentence=sentence,
                formula=f"sup |y − f| / ε with N = {fit.histogram.bins}",
                hypotheses=[
                    *_setting(line), f"ε = {config.epsilon:g}",
                    f"less {less:.2g} for the rounding of f and of the edges",
                ],
                predicted=(None, 1 + allowed),
                bounds=fit.over(config.epsilon, less),
                predicted_by="nnlab.approximation.bins.bins_for",
                measured_by=CERTIFY,
            )
        )  # fmt: skip
    return claims


def _bound_formula(config: BinsSettings) -> str:
    whole = config.heights == "left" and config.construction != "hats"
    bound = "L(b − a)/N" if whole else "L(b − a)/2N"
    if config.output == "sigmoid":
        bound += " / 4, L of σ⁻¹∘f"
    if config.construction != "hats" and not whole and config.steepness != "hard":
        bound += " · (1 + 4/(e^v − 1)), v = w(b − a)/N"
    return f"sup |y − f| ≤ {bound}; measured: the largest ratio of the two sides"


def of_rates(line: Line, rates: Rates, bends: Interval | None) -> list[Claim]:
    """The constants in front of 1/N and 1/N², at the largest number of bins.

    Args:
        bends: f'' over each of that many bins, for a target that is twice differentiable.
    """
    if bends is None or not (line.slope.source == "certified" and 0 < line.slope.upper < math.inf):
        return []
    return [_histogram_constant(line, rates, bends), *_interpolation(line, rates, bends)]


def _histogram_constant(line: Line, rates: Rates, bends: Interval) -> Claim:
    """The error of a straight line, at an edge or at an end; a bin where |f'| = L is at most one bin away."""
    bins, lower, upper = (values[-1] for values in rates[MIDPOINTS])
    size, unit = line.length / bins, line.slope.upper * line.length / (2 * bins)
    predicted = constant_of_steps(line, "sigmoid")
    return certified_claim(
        "histogram_constant",
        sentence="The error of a smooth function falls like 1/N, with the constant of a straight line.",
        formula="sup |y − f| · 2N/(L(b − a)) → max(κ, |f'(a)|/L, |f'(b)|/L), κ = max |2σ(z) − 1 − 2z/v|",
        hypotheses=[
            *_setting(line), f"N = {bins:g}, v = w(b − a)/N = {STEEP:.4g}",
            f"|f''| ≤ M = {bends.magnitude.max():.6g}",
            "up to 5M(b − a)/4NL",
        ],
        predicted=predicted,
        bounds=(lower / unit, upper / unit),
        room=1e-8 + (1.25 * float(bends.magnitude.max()) * size / line.slope.upper + _rounding(line) / unit),
        rivals={
            "L/N": 2 * predicted, "L/4N": predicted / 2,
            "1/√N from 8 bins on": predicted * math.sqrt(bins / 8), "1/N²": predicted * 8 / bins,
        },
        predicted_by="nnlab.chapters.approximation.certified.step_constant",
        measured_by=CERTIFY,
    )  # fmt: skip


def constant_of_steps(line: Line, activation: str) -> float:
    """The error of many bins in units of L(b − a)/2N: at an edge where |f'| = L, or at an end."""
    ends = np.array(line.interval)[:, None]
    steep = line.target.slopes(ends, ends)[1][0].magnitude / line.slope.upper
    return max(step_constant(activation), float(steep.max()))


def _interpolation(line: Line, rates: Rates, bends: Interval) -> list[Claim]:
    """M/8N² bounds the error of hats; in each bin it is at least min |f''|/8N²."""
    most, least = float(bends.magnitude.max()), float(bends.mignitude.max())
    if not most > 0:
        return []
    bins, lower, upper = rates[HATS]
    units = most * (line.length / bins) ** 2 / 8
    less = _rounding(line, int(bins[-1]))
    open_to = less / units[-1]
    allowed = min(open_to, 0.1)  # where rounding costs more, it may decide neither way
    hypotheses = [*_setting(line), f"|f''| ≤ M = {most:.6g}", f"up to {less:.2g} for rounding"]
    return [
        certified_claim(
            "interpolation_within_the_bound",
            sentence="Piecewise-linear interpolation stays within the bound of the second derivative.",
            formula="sup |y − f| ≤ M(b − a)²/8N²; measured: the largest ratio of the two sides",
            hypotheses=hypotheses,
            predicted=(None, 1 + 1e-5),
            bounds=_largest(list(zip((lower - less) / units, (upper - less) / units, strict=True))),
            predicted_by="nnlab.expressions.curvature",
            measured_by=CERTIFY,
        ),
        certified_claim(
            "interpolation_constant",
            sentence="The error of interpolation comes as near to its bound as f'' varies within a bin.",
            formula="sup |y − f| · 8N²/M(b − a)² between max over bins of min |f''|, over M, and 1",
            hypotheses=[*hypotheses, f"N = {bins[-1]:g}"],
            predicted=(least / most - 1e-5 - allowed, 1 + 1e-5 + allowed),
            bounds=(lower[-1] / units[-1], upper[-1] / units[-1]),
            room=open_to if open_to > allowed else 0.0,
            rivals={"M/4N²": 2.0, "1/N from 8 bins on": bins[-1] / 8},
            predicted_by="nnlab.expressions.curvature",
            measured_by=CERTIFY,
        ),
    ]


# --- functions that attain the bounds -----------------------------------------------------------------------


def of_lines(config: BinsSettings, line: Line) -> list[Claim]:
    """f = Lx: its error is the bound, and no fewer bins than the formula says reach ε."""
    slope = line.slope.upper
    if not (math.isfinite(slope) and slope > 0):
        return []
    epsilons = TIGHT if config.epsilon is None else (config.epsilon,)
    needed = {e: _bins_by_hand(slope, e, line.length) for e in epsilons}
    claims = [_error_of_a_line(line, min(1000, max(needed.values())))]
    for epsilon in epsilons:
        claims += _bins_needed(f"bins_needed_for_{epsilon:g}", slope, epsilon, line.interval)
        claims += _bins_needed(f"bins_needed_for_{epsilon:g}_on_[-1,1]", 1.0, epsilon, (-1.0, 1.0))
    claims += _bins_needed("bins_needed_from_left_ends", 1.0, max(epsilons), (-1.0, 1.0), "left")
    fewer = {e: n - 1 for e, n in needed.items() if 2 <= n <= 10**7}
    return claims + ([_no_fewer(line, fewer)] if fewer else [])


def _bins_by_hand(slope: float, epsilon: float, length: float) -> int:
    """⌈L(b − a)/2ε⌉, a whole number but for rounding counting as that."""
    return max(1, math.ceil(slope * length / (2 * epsilon) * (1 - 1e-12)))


def _error_of_a_line(line: Line, bins: int) -> Claim:
    target = make_target(f"{line.slope.upper!r}*x")
    unit = line.slope.upper * line.length / (2 * bins)
    certificate = certify(build_bins(target, bins, line.interval).network, target, line.interval)
    return certified_claim(
        "error_of_a_line",
        sentence="For f = Lx the error is exactly as large as the bound.",
        formula="sup |y − f| · 2N/(L(b − a)) = 1",
        hypotheses=[f"L = {line.slope.upper:.6g}, b − a = {line.length:g}, N = {bins}"],
        predicted=1.0,
        bounds=(certificate.lower / unit, certificate.upper / unit),
        room=1e-8 + rounding(target, line.interval, line.slope.upper) / unit,
        rivals={"L/N": 2.0, "L/4N": 0.5, "L/2(N + 1)": bins / (bins + 1)},
        predicted_by="closed form: L(b − a)/2N",
        measured_by=CERTIFY,
    )


def _bins_needed(
    name: str, slope: float, epsilon: float, interval: tuple[float, float], heights: Heights = "midpoint"
) -> list[Claim]:
    """The least number of bins that is certified to do, found by trying; none where there are too many."""
    length, target = interval[1] - interval[0], make_target(f"{slope!r}*x")
    room = 1e-9 * epsilon + rounding(target, interval, slope)
    if slope * length / epsilon > MOST_COUNTED:
        return []

    def suffice(bins: int) -> bool:
        network = build_bins(target, bins, interval, heights=heights).network
        return certify(network, target, interval, relative=1e-10).upper <= epsilon + room

    counted = _least(suffice, 8 * MOST_COUNTED)
    bins, twice, half = (bins_for(slope, e, length, heights) for e in (epsilon, epsilon / 2, 2 * epsilon))
    others = {"twice": twice, "half": half, "one more": bins + 1, "one fewer": bins - 1}
    part = "2" if heights == "midpoint" else ""
    return [
        exact_claim(
            name,
            sentence="So many bins keep the certified error of f = Lx within ε, and one fewer does not.",
            formula=f"the least N with sup |y − Lx| ≤ ε, certified, = ⌈L(b − a)/{part}ε⌉",
            hypotheses=[
                f"L = {slope:.6g} on [{interval[0]:g}, {interval[1]:g}], ε = {epsilon:g}",
                "heights from " + ("midpoints" if part else "left ends"),
            ],
            predicted=bins,
            measured=counted,
            tolerance=0.0,
            rivals={label: n for label, n in others.items() if n != bins},
            predicted_by="nnlab.approximation.bins.bins_for",
            measured_by=CERTIFY,
        )
    ]  # fmt: skip


def _least(suffice: Callable[[int], bool], limit: int) -> float:
    """The least N ≥ 1 that suffices, by doubling and halving; NaN where none up to the limit does."""
    most = 1
    while not suffice(most):
        most *= 2
        if most > limit:
            return math.nan
    least = most // 2  # does not suffice
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if suffice(middle) else (middle, most)
    return most


def _no_fewer(line: Line, fewer: Mapping[float, int]) -> Claim:
    """No histogram of f = Lx with one bin fewer would do, whatever its heights."""
    slope, length = line.slope.upper, line.length
    tight = make_target(f"{slope!r}*x")
    best = {
        e: histogram_lower_bound(tight, line.interval[0] + length * np.arange(n + 1) / n) / e
        for e, n in fewer.items()
    }
    expected = {e: slope * length / (2 * n * e) for e, n in fewer.items()}
    epsilon = min(expected, key=lambda e: expected[e])
    return exact_claim(
        "no_histogram_with_fewer_bins",
        sentence="For f = Lx, no histogram with one bin fewer reaches ε, whatever its heights.",
        formula="min over heights of sup |h − Lx| / ε = L(b − a)/(2(N − 1)ε) > 1, N = ⌈L(b − a)/2ε⌉",
        hypotheses=[
            f"L = {slope:.6g}, b − a = {length:g}", "ε = " + ", ".join(f"{e:g}" for e in fewer),
            f"the least ratio is that of ε = {epsilon:g}",
        ],
        predicted=expected[epsilon],
        measured=float(np.min(list(best.values()))),
        tolerance=min(1e-8 + rounding(tight, line.interval, slope) / epsilon, (expected[epsilon] - 1) / 2),
        rivals={"ε is reached": 1.0, "L/(N − 1)": 2 * expected[epsilon], "L/4(N − 1)": expected[epsilon] / 2},
        predicted_by="closed form: L(b − a)/(2(N − 1)ε)",
        measured_by="nnlab.approximation.certificate.histogram_lower_bound",
    )  # fmt: skip


def of_steepness() -> list[Claim]:
    """|x − c| has the error that finite steepness allows: exactly, and within the bound in closed form."""
    bins, v, (low, high) = SHARP
    length, centre = high - low, (low + high) / 2
    target, unit = make_target(f"abs(x - {centre})"), length / (2 * bins)

    def ratio(v: float | None, activation: str = "sigmoid") -> tuple[float, float]:
        steepness = None if v is None else v * bins / length
        histogram = build_bins(target, bins, (low, high), steepness=steepness, activation=activation)
        certificate = certify(histogram.network, target, (low, high), relative=1e-13)
        return certificate.lower / unit, certificate.upper / unit

    def tails(v: float) -> float:
        return 4 * math.fsum(float(expit(-j * v)) for j in range(1, bins))

    setting = f"f = |x − {centre:g}| on [{low:g}, {high:g}], N = {bins}, midpoints"
    by_formula = [error_bound(1.0, bins, s * bins / length, length) / unit for s in (v, 2 * v)]
    geometric = [1 + 4 / math.expm1(s) for s in (v, 2 * v)]
    lower, upper = ratio(None)
    sharp = [ratio(v, activation) for activation in ("sigmoid", "tanh")]
    return [
        certified_claim(
            "finite_steepness_is_sharp",
            sentence="For |x − c| finite steepness adds exactly what the bound allows.",
            formula="sup |y − f| · 2N/(L(b − a)) = 1 + 4 Σⱼ σ(−jv), v = w(b − a)/N",
            hypotheses=[setting, f"v = {v:g}", "steps of sigmoids, and of tanh; the one farther from it"],
            predicted=1 + tails(v),
            bounds=max(sharp, key=lambda ends: abs(sum(ends) / 2 - 1 - tails(v))),
            room=1e-9,
            rivals={
                "hard steps": 1.0, "half the tails": 1 + tails(v) / 2, "geometric bound": geometric[0],
            },
            predicted_by="closed form: 1 + 4 Σⱼ σ(−jv)",
            measured_by=CERTIFY,
        ),
        certified_claim(
            "bound_for_finite_steepness",
            sentence="The bound for finite steepness exceeds the error of |x − c| by less than 4e^{−2v}.",
            formula="sup |y − f| / (L(b − a)/2N · (1 + 4/(e^v − 1))) in [1 − 4e^{−2v}, 1]",
            hypotheses=[setting, f"v = {2 * v:g}"],
            predicted=(1 - 4 * math.exp(-4 * v), 1.0),
            bounds=(ratio(2 * v)[0] / by_formula[1], ratio(2 * v)[1] / by_formula[1]),
            rivals={
                "hard steps": 1 / geometric[1],
                "e^v for e^v − 1": geometric[1] / (1 + 4 * math.exp(-2 * v)),
            },
            predicted_by="nnlab.approximation.bins.error_bound",
            measured_by=CERTIFY,
        ),
        certified_claim(
            "default_steepness",
            sentence="At its default, finite steepness adds 5·10⁻¹⁰ of the error.",
            formula="(sup |y − f| · 2N/(L(b − a)) − 1) · 10¹⁰ = 5",
            hypotheses=[setting, "w = N ln(1 + 4/5·10⁻¹⁰)/(b − a)"],
            predicted=5.0,
            bounds=((lower - 1) * 1e10, (upper - 1) * 1e10),
            room=0.05,
            rivals={"ln(1/τ)": 20.0, "ln(2/τ)": 10.0, "twice as steep": 0.0},
            predicted_by="closed form: 4/(e^v − 1)",
            measured_by=f"nnlab.approximation.bins.steepness_for, {CERTIFY}",
        ),
    ]  # fmt: skip


def of_parabola() -> Claim:
    """A parabola attains the bound of interpolation in every bin."""
    target, bins, (low, high) = make_target("x^2"), (5, 40), (-1.0, 1.5)
    ratios = []
    for n in bins:
        network = build_bins(target, n, (low, high), construction="hats").network
        certificate, unit = certify(network, target, (low, high)), ((high - low) / n) ** 2 / 4
        ratios.append((certificate.lower / unit, certificate.upper / unit))
    return certified_claim(
        "interpolation_of_a_parabola",
        sentence="For a parabola the error of interpolation is exactly as large as the bound.",
        formula="sup |y − f| · 8N²/(M(b − a)²) = 1, f = x², M = 2",
        hypotheses=[f"on [{low:g}, {high:g}]", "N = " + ", ".join(map(str, bins))],
        predicted=1.0,
        bounds=(float(np.min(ratios)), float(np.max(ratios))),
        room=1e-8,
        rivals={"M/4N²": 2.0, "M/16N²": 0.5, "M/8N": float(bins[0])},
        predicted_by="closed form: M(b − a)²/8N²",
        measured_by=CERTIFY,
    )


# --- towers and sigmoid outputs ---------------------------------------------------------------------------


def of_towers(line: Line, inside: Certified, at_end: float, outside: Certified) -> list[Claim]:
    """Towers fail at the ends of the interval where their outer edges are there, and only then.

    Args:
        inside, outside: towers whose outer edges are the ends of the interval, or lie outside of it.
        at_end: the output of the former at a.
    """
    claims, heights, bins = [], inside.histogram.heights, inside.histogram.bins
    hypotheses = [*_setting(line), f"{bins} towers"]
    if abs(heights[0]) > 1e-3 * np.abs(heights).max():
        claims.append(
            exact_claim(
                "half_the_height_at_the_end",
                sentence="A tower whose outer edge is an end of the interval has half its height there.",
                formula="y(a)/h₀ = σ(0), with a step at a",
                hypotheses=hypotheses,
                predicted=0.5,
                measured=at_end / float(heights[0]),
                tolerance=1e-6,
                rivals={"the whole height": 1.0, "nothing": 0.0},
                predicted_by="closed form: σ(0)",
                measured_by="nnlab.approximation.bins.build_bins, nnlab.approximation.network.ScalarNetwork",
            )
        )
    if not (math.isfinite(line.slope.upper) and line.slope.upper):
        return claims
    staircase = build_bins(line.target, bins, line.interval)
    expected = certify(staircase.network, line.target, line.interval, relative=1e-10)
    unit = expected.lower + (expected.upper - expected.lower) / 2
    ends = line.target.values(np.array(line.interval)[:, None])
    lost = worst(ends[0] - heights[0] / 2, ends[1] - heights[-1] / 2)  # by half a tower at either end
    claims.append(
        certified_claim(
            "towers_with_outer_edges_outside",
            sentence="With their outer edges outside, towers are as accurate as a staircase of steps.",
            formula="sup |towers − f| / sup |staircase − f| = 1 on the whole interval",
            hypotheses=[*hypotheses, f"edges at the ends would cost {lost:.3g}, a staircase {unit:.3g}"],
            predicted=1.0,
            bounds=outside.over(unit),
            room=1e-8 + 4 * _rounding(line) / unit,
            rivals={"half": 0.5, "twice": 2.0}
            | ({"outer edges at the ends": lost / unit} if lost > 1.001 * unit else {}),
            predicted_by="nnlab.approximation.certificate.certify",
            measured_by=CERTIFY,
        )
    )  # fmt: skip
    return claims


def of_sigmoid_output(line: Line, fit: Certified) -> list[Claim]:
    """A histogram of σ⁻¹∘f behind a sigmoid approximates f, with a quarter of the bound."""
    if line.logit_slope is None or not 0 < line.logit_slope.upper < math.inf:
        return []
    slope, bins = line.logit_slope.upper, fit.histogram.bins
    return [
        certified_claim(
            "sigmoid_output_within_the_bound",
            sentence="With a sigmoid on the output, approximating σ⁻¹∘f approximates f.",
            formula="sup |σ(g) − f| ≤ ¼ · L(b − a)/2N, L of σ⁻¹∘f; measured: ratio of the two sides",
            hypotheses=[
                f"f = {line.target.text[:80]} in [{line.delta:.3g}, 1 − {line.delta:.3g}]",
                f"L = {slope:.6g} of the logit, at most {line.slope.upper:.4g}/(δ(1 − δ))", f"N = {bins}",
            ],
            predicted=(None, 1 + ATTAINED),
            bounds=fit.over(slope * line.length / (8 * bins), _rounding(line) + 2.0**-44),
            predicted_by="closed form: L(b − a)/8N",
            measured_by=CERTIFY,
        )
    ]  # fmt: skip


def of_level_sigmoid() -> Claim:
    """σ passes on a quarter of an error where it is ½: nearly so all along a logit that is nearly level."""
    slope, bins = 0.1, 10
    target = make_target(f"1/(1 + exp(-{slope}*(x - 0.5)))")
    certificate = certify(build_bins(target, bins, output="sigmoid").network, target)
    unit = slope / (2 * bins)  # the error of the logit
    predicted = float(expit(slope / 2) - expit(slope / 2 - unit)) / unit  # at an end of the interval
    return certified_claim(
        "sigmoid_output_passes_on_a_quarter",
        sentence="Near ½ a sigmoid output passes on a quarter of the error before it.",
        formula="sup |σ(g) − f| / (L/2N) = (σ(L/2) − σ(L/2 − L/2N)) / (L/2N) ≈ ¼",
        hypotheses=[f"f = σ(L(x − ½)) on [0, 1], L = {slope:g}, N = {bins}"],
        predicted=predicted,
        bounds=(certificate.lower / unit, certificate.upper / unit),
        room=1e-8,
        rivals={"all of it": 1.0, "half of it": 0.5, "an eighth": 0.125, "exactly a quarter": 0.25},
        predicted_by="scipy.special.expit",
        measured_by=CERTIFY,
    )
