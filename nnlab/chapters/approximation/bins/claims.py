"""The claims about histograms: their bounds and rates, what attains them, and where towers fail."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.bins import Histogram, bins_for, build_bins
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.targets import make_target
from nnlab.chapters.approximation.bins.setup import BinsSettings, Line
from nnlab.theory import Claim, exact_claim, local_slope

Array = NDArray[np.float64]

MANY, GAP = 200_000, 1e-3  # bins beyond which a gap of so much of the bound is close enough
SHARP = (40, 2.0)  # bins and v = w/N at which the bound for finite steepness is attained
TIGHT = (0.1, 0.01, 0.001)  # errors for which f = Lx is looked at where no ε is given
ATTAINED = 1e-9  # what finite steepness and rounding may add to a bound that is attained
MIDPOINTS, LEFT, HATS = "staircase, midpoints", "staircase, left ends", "ReLU hats"

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


def _setting(line: Line) -> list[str]:
    low, high = line.interval
    return [
        f"f = {line.target.text[:80]} on [{low:g}, {high:g}]",
        f"L = {line.slope.upper:.6g}, {line.slope.source}",
    ]


def of_bounds(config: BinsSettings, line: Line, fits: Sequence[Certified]) -> list[Claim]:
    """No error exceeds what the number of bins guarantees, nor ε where that is given."""
    claims = []
    bounded = [fit for fit in fits if fit.bound]
    allowed = ATTAINED + (GAP if any(fit.histogram.bins > MANY for fit in bounded) else 0.0)
    if bounded:
        claims.append(
            exact_claim(
                "error_within_the_bound",
                sentence="The certified error never exceeds what the number of bins guarantees.",
                formula=_bound_formula(config),
                hypotheses=[
                    *_setting(line), "bins " + ", ".join(str(fit.histogram.bins) for fit in bounded),
                    f"up to {allowed:.1g}, which the certificate leaves open",
                ],
                predicted=(None, 1 + allowed),
                measured=max(fit.certificate.upper / fit.bound for fit in bounded if fit.bound),
                tolerance=0.0,
            )
        )  # fmt: skip
    if config.epsilon is None:
        return claims
    judged = {
        "enough_bins": (
            "As many bins as the lecture's formula says keep the error within ε, up to 10⁻⁹ of it.",
            1e-9,
        ),
        "one_bin_more": ("One bin more keeps the error within ε.", 0.0),
    }
    for (name, (sentence, room)), fit in zip(judged.items(), fits[-2:], strict=True):
        claims.append(
            exact_claim(
                name,
                sentence=sentence,
                formula=f"sup |y − f| / ε with N = {fit.histogram.bins}",
                hypotheses=[*_setting(line), f"ε = {config.epsilon:g}"],
                predicted=(None, 1 + room),
                measured=fit.certificate.upper / config.epsilon,
                tolerance=0.0,
            )
        )
    return claims


def _bound_formula(config: BinsSettings) -> str:
    whole = config.heights == "left" and config.construction != "hats"
    bound = "L(b − a)/N" if whole else "L(b − a)/2N"
    if config.output == "sigmoid":
        bound += " / 4, L of σ⁻¹∘f"
    if config.construction != "hats" and not whole and config.steepness != "hard":
        bound += " · (1 + 4/(e^v − 1)), v = w(b − a)/N"
    return f"sup |y − f| ≤ {bound}; measured: the largest ratio of the two sides"


def of_fewer_bins(config: BinsSettings, line: Line) -> list[Claim]:
    """No histogram of f = Lx with one bin fewer would do, whatever its heights."""
    slope, length = line.slope.upper, line.length
    if not (math.isfinite(slope) and slope > 0):
        return []
    epsilons = TIGHT if config.epsilon is None else (config.epsilon,)
    fewer = {e: bins_for(slope, e, length) - 1 for e in epsilons}
    fewer = {e: n for e, n in fewer.items() if 1 <= n <= 10**7}
    if not fewer:
        return []
    tight = make_target(f"{slope!r}*x")
    return [
        exact_claim(
            "no_histogram_with_fewer_bins",
            sentence="For f = Lx, no histogram with one bin fewer reaches ε, whatever its heights.",
            formula="min over heights of sup |h − Lx| / ε ≥ L(b − a)/(2(N − 1)ε) > 1, N = ⌈L(b − a)/2ε⌉",
            hypotheses=[
                f"L = {slope:.6g}, b − a = {length:g}", "ε = " + ", ".join(f"{e:g}" for e in fewer)
            ],
            predicted=(1.0, None),
            measured=min(
                histogram_lower_bound(tight, line.interval[0] + length * np.arange(n + 1) / n) / e
                for e, n in fewer.items()
            ),
            tolerance=0.0,
        )
    ]  # fmt: skip


def of_rates(line: Line, rates: Rates, m: float | None) -> list[Claim]:
    """The rate over the last octave, and the constant of interpolation.

    Args:
        m: M ≥ |f''|, for a target that is twice differentiable.
    """
    claims = []
    curved = [] if m is None else [f"|f''| ≤ {m:.6g}"]
    for kind, name, power, words, holds, hypotheses in (
        (MIDPOINTS, "histogram_rate", 1, "staircase decreases like 1/N", math.isfinite(line.slope.upper), []),
        (HATS, "interpolation_rate", 2, "ReLU hats decreases like 1/N²", m is not None, curved),
    ):
        bins, _, upper = rates[kind]
        if holds and upper[-1] > 1e-12:
            claims.append(
                exact_claim(
                    name,
                    sentence=f"The certified error of the {words}.",
                    formula=f"slope of log error over log N from N = {bins[-2]:g} to {bins[-1]:g}",
                    hypotheses=[*_setting(line), *hypotheses],
                    predicted=-power,
                    measured=local_slope(bins[-2:], upper[-2:]),
                    tolerance=0.02,
                    rivals={"the other construction": power - 3.0, "half of it": -power / 2},
                )
            )
    if m:
        bins, _, upper = rates[HATS]
        claims.append(
            exact_claim(
                "interpolation_within_the_bound",
                sentence="Piecewise-linear interpolation stays within the bound of the second derivative.",
                formula="sup |y − f| ≤ M(b − a)²/8N²; measured: the largest ratio of the two sides",
                hypotheses=[*_setting(line), *curved, "up to 10⁻⁴, which rounding may take"],
                predicted=(None, 1 + 1e-4),
                measured=float((upper / (m * line.length**2 / (8 * bins**2))).max()),
                tolerance=0.0,
            )
        )
    return claims


def finite_steepness() -> Claim:
    """The bound of `nnlab.approximation.bins` at finite steepness is attained by |x − ½|."""
    bins, v = SHARP
    target = make_target("abs(x - 0.5)")
    network = build_bins(target, bins, steepness=v * bins).network
    tails = math.fsum(1 / (1 + math.exp(j * v)) for j in range(1, bins))
    return exact_claim(
        "finite_steepness_is_sharp",
        sentence="For |x − ½| finite steepness adds exactly what the bound allows.",
        formula="sup |y − f| = L/2N · (1 + 4 Σⱼ σ(−jw/N))",
        hypotheses=[f"f = |x − ½|, N = {bins}, w/N = {v:g}, midpoints"],
        predicted=(1 + 4 * tails) / (2 * bins),
        measured=certify(network, target, relative=1e-10).upper,
        tolerance=1e-9,
        rivals={"hard steps": 1 / (2 * bins), "geometric bound": (1 + 4 / math.expm1(v)) / (2 * bins)},
    )


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
                formula="y(a)/h₀ with a step at a",
                hypotheses=hypotheses,
                predicted=0.5,
                measured=at_end / float(heights[0]),
                tolerance=1e-6,
                rivals={"the whole height": 1.0},
            )
        )
    if math.isfinite(line.slope.upper) and line.slope.upper:
        claims.append(
            exact_claim(
                "towers_with_outer_edges_outside",
                sentence="With their outer edges outside, the end towers are as accurate as all others.",
                formula="sup over the interval of |y − f| ≤ L(b − a)/2N; measured: ratio of the two sides",
                hypotheses=hypotheses,
                predicted=(None, 1 + ATTAINED),
                measured=outside.certificate.upper / (line.slope.upper * line.length / (2 * bins)),
                tolerance=0.0,
            )
        )
    return claims


def of_sigmoid_output(line: Line, fit: Certified) -> list[Claim]:
    """A histogram of σ⁻¹∘f behind a sigmoid approximates f, with a quarter of the bound."""
    if line.logit_slope is None or not 0 < line.logit_slope.upper < math.inf:
        return []
    slope, bins = line.logit_slope.upper, fit.histogram.bins
    return [
        exact_claim(
            "sigmoid_output_within_the_bound",
            sentence="With a sigmoid on the output, approximating σ⁻¹∘f approximates f.",
            formula="sup |σ(g) − f| ≤ ¼ · L(b − a)/2N, L of σ⁻¹∘f; measured: ratio of the two sides",
            hypotheses=[
                f"f = {line.target.text[:80]} in [{line.delta:.3g}, 1 − {line.delta:.3g}]",
                f"L = {slope:.6g} of the logit, at most {line.slope.upper:.4g}/(δ(1 − δ))", f"N = {bins}",
            ],
            predicted=(None, 1 + ATTAINED),
            measured=fit.certificate.upper / (slope * line.length / (8 * bins)),
            tolerance=0.0,
        )
    ]  # fmt: skip
