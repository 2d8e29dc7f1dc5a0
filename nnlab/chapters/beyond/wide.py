"""Claims about networks so wide that a limit describes them, with room for what their width leaves open."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.theory import CONFIDENCE, LEVEL, Claim, interval_claim, mean_interval
from nnlab.theory.intervals import NO_INTERVAL


def near_claim(
    name: str,
    *,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    room: float,
    values: NDArray[np.float64],
    rivals: Mapping[str, float],
    predicted_by: str,
    measured_by: str,
) -> Claim:
    """Claims that the mean of values (S,) is 1 as m → ∞: its interval is wider by `room` on both sides.

    Networks that are too narrow for their number then decide nothing, as the interval holds the rivals too.
    """
    mean, low, high = mean_interval(values, CONFIDENCE)
    wide = NO_INTERVAL if low is None or high is None else (low - room, high + room)
    return interval_claim(
        name, sentence, formula, hypotheses,
        predicted=1.0, measured=mean, interval=wide,
        seeds=len(values), rivals=rivals, predicted_by=predicted_by, measured_by=measured_by,
        how=f"{LEVEL} t-interval of the mean over {len(values)} networks ± {room:.2g}",
    )  # fmt: skip
