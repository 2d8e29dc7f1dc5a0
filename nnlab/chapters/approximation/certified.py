"""Claims about certified errors: their interval is that of the two bounds, less what float64 costs."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nnlab.approximation.targets import Target
from nnlab.rigorous.activations import U
from nnlab.theory import Claim, Prediction, interval_claim

Array = NDArray[np.float64]

STEEP = math.log1p(4 / 5e-10)
"""v = w(b − a)/N of default steepness, which adds 5·10⁻¹⁰ of the error."""


def certified_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    predicted: Prediction,
    bounds: tuple[float, float],
    room: float = 0.0,
    rivals: Mapping[str, float] | None = None,
    predicted_by: str,
    measured_by: str,
) -> Claim:
    """A claim about a quantity between certified bounds (lower, upper), `room` of it open on either side.

    Where the bounds lie on both sides of an inequality, or are not finite, it is INCONCLUSIVE.
    """
    lower, upper = bounds
    return interval_claim(
        name, sentence, formula, hypotheses, predicted=predicted, measured=upper,
        interval=(lower - room, upper + room), seeds=1, rivals=rivals, random=False,
        how="certified bounds" + (f" ± {room:.2g}" if room else ""),
        predicted_by=predicted_by, measured_by=measured_by,
    )  # fmt: skip


def rounding(target: Target, interval: tuple[float, float], slope: float, bins: int = 1) -> float:
    """Returns what float64 adds to the error of a network that the formulas build, at most.

    Heights are off by the rounding of f, which the width of its enclosure at points bounds; edges e by a few
    u|e|, which moves the output by that times the slope of its steps, 6L at default steepness; slopes between
    neighbouring heights, of N hats, by u each. The certificate leaves some times as much open.

    Args:
        target: f of one variable.
        interval: (a, b).
        slope: L.
        bins: N of hats; 1 for steps, which have no slopes.
    """
    low, high = interval
    at = low + (high - low) * (np.arange(1025) + 0.5)[:, None] / 1025
    f = target.enclose(at, at)
    values = 8 * float((f.hi - f.lo).max()) + 64 * U * float(f.magnitude.max())
    return values + U * slope * (128 * max(abs(low), abs(high)) + 4 * bins * (high - low))


def step_constant(activation: str, v: float = STEEP) -> float:
    """max |2φ(z) − 1 − 2z/v| over 0 ≤ z ≤ v/2: the error at an edge between two bins, in units of L/2N.

    At a distance z/w from the edge a straight f has moved away from its value there by 2z/v of L/2N, and the
    output by 2φ(z) − 1. Hard steps have 1.

    Args:
        activation: sigmoid, tanh (the same at half of w) or ripple.
        v: w(b − a)/N, for a sigmoid.
    """
    z = np.linspace(0, v / 2, 400_001)
    phi = expit(z)
    if activation == "ripple":
        phi = phi + z * np.exp(-(z**2))
    return float(np.abs(2 * phi - 1 - 2 * z / v).max())
