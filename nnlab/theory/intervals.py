"""Confidence intervals of a mean, of a proportion, and of one metric over the seeds of a config."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

Interval: TypeAlias = tuple[float | None, float | None]
"""(low, high); (None, None) where the data do not determine one."""

NO_INTERVAL: Interval = (None, None)

CONFIDENCE = 0.9999
"""Coverage of the intervals that decide claims. The lecture judges about 60 random quantities: at 95% a true
theory would fail in almost every run of it, at 99.9% in one of 17, at 99.99% in one of 170."""
LEVEL = f"{CONFIDENCE:.2%}"


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float | None, float | None]:
    """The mean of independent samples with Student's t-interval, x̄ ± t_{S−1} s/√S.

    Exact for normal samples; for others its coverage approaches `confidence` as S grows. Samples that do not
    vary at all give an interval of width 0.

    Args:
        values: (S,) samples, such as one metric over S seeds; at least one.
        confidence: the coverage, between 0 and 1.

    Returns:
        (mean, low, high); low and high are None for a single sample, or where a sample is not finite.

    Raises:
        ValueError: no samples.
    """
    samples = np.asarray(values, dtype=np.float64).ravel()
    if samples.size == 0:
        raise ValueError("the mean of no samples is not defined")
    if not np.isfinite(samples).all():
        return math.nan, None, None
    mean = float(samples.mean())
    if samples.size == 1:
        return mean, None, None
    standard_error = float(samples.std(ddof=1)) / math.sqrt(samples.size)
    half = float(stdtrit(samples.size - 1, (1 + confidence) / 2)) * standard_error
    return mean, mean - half, mean + half


def contrast_half_width(coefficients: ArrayLike, samples: ArrayLike, confidence: float = CONFIDENCE) -> float:
    """Half of the t-interval of Σₖ cₖ · mean of row k, whose rows are independent samples.

    The standard error is the root of Σ vₖ, vₖ = cₖ² sₖ²/S with the sample variance sₖ² of row k; t has
    (Σ vₖ)²/(Σ vₖ²/(S − 1)) degrees of freedom (Satterthwaite 1946, Welch 1947).

    Args:
        coefficients: (K,) c.
        samples: (K, S), S ≥ 2.
        confidence: the coverage, between 0 and 1.

    Returns:
        The half width; 0 where no row varies.
    """
    c, q = np.asarray(coefficients, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    seeds = q.shape[1]
    parts = c**2 * q.var(axis=1, ddof=1) / seeds
    total = float(parts.sum())
    if total == 0:
        return 0.0
    freedom = total**2 / float((parts**2).sum() / (seeds - 1))
    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(total)


def proportion_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a probability (Wilson 1927).

    The p for which |p̂ − p| ≤ z √(p(1 − p)/n). Unlike p̂ ± z √(p̂(1 − p̂)/n) it stays inside [0, 1] and has a
    width also where p̂ is 0 or 1.

    Args:
        successes: how often the event happened.
        trials: n, out of how many independent trials.
        confidence: the coverage, between 0 and 1.

    Returns:
        (low, high); (None, None) where there were no trials.

    Raises:
        ValueError: successes outside 0 … trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials: must lie between 0 and the trials")
    if trials == 0:
        return NO_INTERVAL
    z = float(ndtri((1 + confidence) / 2))
    p = successes / trials
    centre = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    # at p̂ = 0 and 1 the ends are 0 and 1 exactly, but not in floating point
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


def over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, 95% interval of the mean (Student's t) and the values themselves, as a summary holds them.

    Args:
        values: one per seed; None where a run has no such value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "interval": [None, None], "values": []}
    mean, low, high = mean_interval(known)
    return {"mean": mean, "interval": [low, high], "values": known}
