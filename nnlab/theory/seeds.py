"""One metric over the seeds of a config."""

from collections.abc import Sequence
from typing import Any

from nnlab.theory.intervals import mean_interval


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
