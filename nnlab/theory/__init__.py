"""Theory: claims with verdicts, exponents and intervals. NumPy and SciPy only; never imports torch."""

from nnlab.theory.claims import (
    Claim,
    Prediction,
    Verdict,
    exact_claim,
    interval_claim,
    judge,
    measured_claim,
    worst,
)
from nnlab.theory.exponents import ExponentFit, exponent_claim, fit_exponent, local_slope
from nnlab.theory.intervals import CONFIDENCE, LEVEL, Interval, mean_interval, over_seeds, proportion_interval

__all__ = [
    "CONFIDENCE",
    "LEVEL",
    "Claim",
    "ExponentFit",
    "Interval",
    "Prediction",
    "Verdict",
    "exact_claim",
    "exponent_claim",
    "fit_exponent",
    "interval_claim",
    "judge",
    "local_slope",
    "mean_interval",
    "measured_claim",
    "over_seeds",
    "proportion_interval",
    "worst",
]
