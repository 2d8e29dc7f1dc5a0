"""Rivals that are measured themselves."""

import math
from collections.abc import Mapping


def finite(rivals: Mapping[str, float]) -> dict[str, float]:
    """Returns the rivals whose value is finite: where a measurement failed, it excludes nothing."""
    return {label: value for label, value in rivals.items() if math.isfinite(value)}
