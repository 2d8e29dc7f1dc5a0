"""Names of the arrays of the bins that the widget reads, and the form of their rows of results."""

from typing import TypedDict

BINS = "bins"  # group: for every number of bins a group
X, TARGET = "x", "target"  # (K,) in the group of a number of bins: inputs, ascending, and the function there
RATES = "rates/staircase, midpoints"  # group: certified errors "upper" (K,) over numbers of bins "bins" (K,)


class BinsRow(TypedDict):
    """A row of results: one number of bins."""

    construction: str
    bins: int
    hidden_units: int
    steepness: float | None
    interval: list[float]
    epsilon: float | None
    lipschitz: float | None
    bound: float | None
    error_lower: float
    error_upper: float
