"""Exponents of power laws, Q(m) ≈ C m^α, and how sure one can be of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.theory.claims import Claim, Prediction, interval_claim
from nnlab.theory.intervals import CONFIDENCE, NO_INTERVAL, Interval, contrast_half_width

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ExponentFit:
    """The line through log Q over log m, or the curve that bends towards a line.

    Attributes:
        slope: the exponent α; NaN where a value has no logarithm.
        interval: of the exponent, (None, None) where the samples do not determine one.
        intercept: log C (natural logarithm): the fit is Q = e^intercept · m^slope, for large m.
        local_slopes: (K − 1,) slopes between neighbouring sizes, in order of size. Where they drift, the
            sizes are too small for a line; `rate` fits the drift, too.
        seeds: S, the samples per size.
        rate: β of the correction m^−β; None for a line.
        confidence: the coverage of the interval.
        problem: why there is no slope; empty where there is one.
    """

    slope: float
    interval: Interval
    intercept: float
    local_slopes: tuple[float, ...]
    seeds: int
    rate: float | None = None
    confidence: float = CONFIDENCE
    problem: str = ""

    @property
    def method(self) -> str:
        """Returns the kind of interval, as the beginning of a sentence."""
        if self.problem:
            return self.problem
        tends = "" if self.rate is None else f" that the local slopes tend to like {_power(self.rate)},"
        return f"{100 * self.confidence:.4g}% t-interval of the exponent{tends} over {self.seeds} seeds"


def _power(rate: float) -> str:
    return {0.5: "1/√m", 1.0: "1/m"}.get(rate, f"m^−{rate:g}")


def fit_exponent(
    sizes: ArrayLike, values: ArrayLike, *, rate: float | None = None, confidence: float = CONFIDENCE
) -> ExponentFit:
    """Fits α by least squares of mean log Q on log m, with a t-interval over the seeds.

    Mean over seeds: the geometric one. On logarithms least squares is linear in the samples, so the slope
    has no bias and its variance is known, and the right tails of ratios and norms weigh little; the logarithm
    of an arithmetic mean of S samples is low by about CV²/2S, which tilts the line where the spread CV
    changes with m. The exponent is that of the typical value e^{E log Q}; it is also that of E[Q] wherever
    Q(m)/m^α has the same distribution at every m.

    Interval: α = Σₖ cₖ · mean log Q(mₖ) is a contrast of K independent means, with the least-squares
    coefficients cₖ. Its standard error is the root of Σ vₖ, vₖ = cₖ² sₖ²/S, sₖ² being the sample variance of
    log Q at size k; t has (Σ vₖ)²/(Σ vₖ²/(S − 1)) degrees of freedom (Satterthwaite 1946, Welch 1947).

    With a `rate` β the law is Q = C m^α (1 + a m^−β + …), whose local slopes tend to α like m^−β: log Q is
    fitted by log C + α log m + a m^−β, and α is a contrast again. What the next order, of the size a² m^−2β,
    may cost is added on both sides: (|â| + se(â))² |Σ cₖ mₖ^−2β|. β must be known: a correction like 1/√m
    that is fitted as 1/m is not removed.

    Share of 100,000 repetitions whose interval held the true exponent, at 99.9%, sizes 64, 128, …, 1024:

    | noise in log Q | 2 seeds | 3 seeds | 5 seeds | 8 seeds | 16 seeds | 32 seeds |
    | --- | --- | --- | --- | --- | --- | --- |
    | normal | 99.98% | 99.96% | 99.92% | 99.92% | 99.91% | 99.91% |
    | normal, shrinking like m^−½ | 99.96% | 99.80% | 99.78% | 99.84% | 99.87% | 99.89% |
    | log χ²₃ | 99.99% | 99.96% | 99.94% | 99.92% | 99.92% | 99.92% |
    | log of exponential | 99.99% | 99.96% | 99.94% | 99.93% | 99.92% | 99.91% |
    | Student's t₃ | 99.99% | 99.98% | 99.97% | 99.98% | 99.96% | 99.93% |

    The same with Q = m^α (1 + a m^−β + b m^−2β), normal noise and the rate β, for (S, noise) = (5, 0.02),
    (16, 0.05) and (32, 0.05); a line covers none of these. Small sizes must not be off by more than a third:

    | β | a | off at m = 64 | b = 0 | b = a² | b = −a²/2 |
    | --- | --- | --- | --- | --- | --- |
    | 1/2 | ±1 | 12% | ≥ 99.98% | ≥ 99.98% | ≥ 99.98% |
    | 1/2 | 3 | 37% | ≥ 99.79% | ≥ 99.99% | ≥ 98.50% |
    | 1 | ±8 | 12% | ≥ 99.91% | ≥ 99.91% | ≥ 99.91% |
    | 1 | 32 | 50% | ≥ 99.90% | ≥ 99.99% | ≥ 87.22% |

    Args:
        sizes: (K,) sizes m, at least two different ones, three with a rate.
        values: (K, S) samples, independent over seeds and sizes.
        rate: β, the power with which the local slopes go to their limit: 1/2, 1, …; None for a line.
        confidence: the coverage of the interval, between 0 and 1.

    Returns:
        The fit. Its interval is (None, None) for a single seed, for values without spread, which are no
        random samples (use `local_slope`), and where a value is not positive and finite.

    Raises:
        ValueError: shapes that do not fit, too few sizes, or a size twice.
    """
    m, q = _checked(sizes, values)
    problem = _without_logarithm(m, q)
    if rate is not None and len(m) < 3:
        raise ValueError(f"sizes {m.tolist()}: an exponent and a correction need at least three sizes")
    log_m = np.log(m)
    log_q = np.full_like(q, math.nan) if problem else np.log(q)
    terms = [np.ones_like(m), log_m, *([] if rate is None else [m**-rate])]
    solve = np.linalg.pinv(np.stack(terms, axis=1))  # (2 or 3, K): coefficients of the least-squares fit
    mean_log_q = log_q.mean(axis=1)
    intercept, slope, *_ = (float(number) for number in solve @ mean_log_q)
    allowed = 0.0
    if rate is not None and q.shape[1] > 1:
        a = abs(solve[2] @ mean_log_q) + math.sqrt(_variances(log_q, solve[2]).sum())
        allowed = float(a**2 * abs(solve[1] @ m ** (-2 * rate)))
    return ExponentFit(
        slope=slope,
        interval=_contrast_interval(log_q, solve[1], slope, allowed, confidence),
        intercept=intercept,
        local_slopes=tuple((np.diff(mean_log_q) / np.diff(log_m)).tolist()),
        seeds=q.shape[1],
        rate=rate,
        confidence=confidence,
        problem=problem,
    )


def _contrast_interval(
    log_q: Array, coefficients: Array, slope: float, allowed: float, confidence: float
) -> Interval:
    """Interval of Σₖ cₖ · mean of row k, rows (K, S) being independent samples, wider by `allowed`."""
    seeds = log_q.shape[1]
    if seeds < 2 or not math.isfinite(slope):
        return NO_INTERVAL
    half = contrast_half_width(coefficients, log_q, confidence)
    if half <= 1e-14 * np.abs(log_q).max():  # not more than rounding
        return NO_INTERVAL
    return slope - half - allowed, slope + half + allowed


def _variances(log_q: Array, coefficients: Array) -> Array:
    """(K,) parts of the variance of Σₖ cₖ · mean of row k."""
    variances: Array = coefficients**2 * log_q.var(axis=1, ddof=1) / log_q.shape[1]
    return variances


def _without_logarithm(m: Array, q: Array) -> str:
    """Names the first value that has no finite logarithm; empty where all have."""
    wrong = np.argwhere(~(np.isfinite(q) & (q > 0)))
    if not len(wrong):
        return ""
    k, s = wrong[0]
    return f"The value {q[k, s]} at size {m[k]:g}, seed number {s}, has no logarithm"


def _checked(sizes: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Sizes (K,) in ascending order and their values (K, S); raises ValueError with the reason."""
    m, q = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if m.ndim != 1 or q.ndim != 2 or len(m) != len(q) or q.shape[1] == 0:
        raise ValueError(f"sizes {m.shape} and values {q.shape}: the shapes must be (K,) and (K, S)")
    if len(np.unique(m)) != len(m) or len(m) < 2:
        raise ValueError(f"sizes {m.tolist()}: an exponent needs at least two sizes, each given once")
    if not (np.isfinite(m).all() and (m > 0).all()):
        raise ValueError(f"sizes {m.tolist()}: must be positive and finite")
    order = np.argsort(m)
    return m[order], q[order]


def local_slope(sizes: ArrayLike, values: ArrayLike) -> float:
    """The exponent over the last octave: log(Q(m)/Q(m'))/log(m/m').

    m is the largest size and m' the largest one that is at most m/2, so that small sizes, where the power law
    does not hold yet, have no say. For quantities without randomness.

    Args:
        sizes: (K,) sizes, in any order.
        values: (K,) positive values.

    Returns:
        The slope; NaN where one of the two values is not positive and finite.

    Raises:
        ValueError: as `fit_exponent`, or no size is at most half of the largest.
    """
    m, q = _checked(sizes, np.asarray(values, dtype=np.float64)[..., None])
    halves = np.flatnonzero(m <= m[-1] / 2)
    if len(halves) == 0:
        raise ValueError(
            f"sizes {m.tolist()}: none is at most half of the largest, so there is no last octave"
        )
    before = halves[-1]
    if _without_logarithm(m, q[[before, -1]]):
        return math.nan
    return float(np.log(q[-1, 0] / q[before, 0]) / np.log(m[-1] / m[before]))


def exponent_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    fit: ExponentFit,
    predicted: Prediction,
    rivals: Mapping[str, float] | None = None,
    predicted_by: str = "",
    measured_by: str = "",
) -> Claim:
    """A claim about the exponent of a random quantity: passes by the rule of `nnlab.theory.claims.judge`.

    Raises:
        ValueError: a point prediction without a rival exponent, or what `judge` refuses.
    """
    return interval_claim(
        name,
        sentence,
        formula,
        hypotheses,
        predicted=predicted,
        measured=fit.slope,
        interval=fit.interval,
        seeds=fit.seeds,
        how=fit.method,
        rivals=rivals,
        predicted_by=predicted_by,
        measured_by=measured_by,
    )
