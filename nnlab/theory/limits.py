"""Limits of quantities Q(m) → L as m → ∞ whose corrections are known powers of m, and how sure one can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nnlab.theory.claims import Claim, interval_claim
from nnlab.theory.intervals import CONFIDENCE, LEVEL, NO_INTERVAL, Interval, contrast_half_width


@dataclass(frozen=True)
class LimitFit:
    """The constant L of Q(m) = L + Σ aᵢ m^−βᵢ.

    Attributes:
        limit: L; NaN where a sample is not finite.
        interval: of L, (None, None) where the samples do not determine one.
        seeds: S, the samples per size.
        sizes: K sizes m.
        rates: the powers βᵢ.
    """

    limit: float
    interval: Interval
    seeds: int
    sizes: Sequence[float]
    rates: Sequence[float]


def fit_limit(
    sizes: ArrayLike, values: ArrayLike, rates: Sequence[float], confidence: float = CONFIDENCE
) -> LimitFit:
    """Fits L by least squares of the means over the seeds on 1, m^−β₁, m^−β₂, …, with weights m.

    The weights suit means over m units, whose variance falls like 1/m. L is a contrast Σ cₖ · mean Q(mₖ) of K
    independent means; its t-interval has the degrees of freedom of Satterthwaite (1946) and Welch (1947).

    What the next order may cost is added on both sides: the contrast of m^−(β₁ + β_last), times the size that
    a geometric series has there, b to the power of its place, b the largest of the fitted (|aᵢ|/L)^(1/i).

    Args:
        sizes: (K,) sizes m, more than there are rates.
        values: (K, S) samples, independent over seeds and sizes.
        rates: β₁, β₂, … of the corrections.
        confidence: the coverage of the interval, between 0 and 1.

    Raises:
        ValueError: too few sizes, or shapes that do not fit.
    """
    m, q = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if m.ndim != 1 or q.ndim != 2 or len(m) != len(q) or len(m) <= len(rates):
        raise ValueError(
            f"sizes {m.shape} and values {q.shape}: the shapes must be (K,) and (K, S), K > {len(rates)}"
        )
    seeds = q.shape[1]
    fit = (float("nan"), NO_INTERVAL)
    if np.isfinite(q).all():
        weights = np.sqrt(m)
        terms = np.stack([np.ones_like(m), *(m**-rate for rate in rates)], axis=1)
        solve = np.linalg.pinv(terms * weights[:, None]) * weights
        limit, *corrections = solve @ q.mean(axis=1)
        place = np.arange(1, len(rates) + 1)
        ratio = float((np.abs(np.array(corrections) / limit) ** (1 / place)).max(initial=0.0))
        beyond = abs(limit) * ratio ** (len(rates) + 1) * abs(solve[0] @ m ** -sum((rates[0], rates[-1])))
        fit = float(limit), _interval(solve[0], q, float(limit), float(beyond), confidence)
    return LimitFit(fit[0], fit[1], seeds, m.tolist(), list(rates))


def _interval(
    contrast: np.ndarray, q: np.ndarray, limit: float, beyond: float, confidence: float
) -> tuple[float | None, float | None]:
    """The t-interval of Σₖ cₖ · mean of row k, rows (K, S) being independent samples, wider by `beyond`."""
    if q.shape[1] < 2:
        return NO_INTERVAL
    half = contrast_half_width(contrast, q, confidence) + beyond
    return limit - half, limit + half


def limit_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    fit: LimitFit,
    predicted: float,
    rivals: Mapping[str, float],
    predicted_by: str = "",
    measured_by: str = "",
) -> Claim:
    """Returns a claim about the limit of a random quantity.

    Raises:
        ValueError: no rival, or what `judge` refuses.
    """
    powers = " and ".join({0.5: "1/√m", 1.0: "1/m"}.get(rate, f"m^−{rate:g}") for rate in fit.rates)
    return interval_claim(
        name, sentence, formula, hypotheses,
        predicted=predicted, measured=fit.limit, interval=fit.interval, seeds=fit.seeds,
        how=f"{LEVEL} t-interval of the limit, with corrections {powers}, over {fit.seeds} seeds",
        rivals=rivals, predicted_by=predicted_by, measured_by=measured_by,
    )  # fmt: skip
