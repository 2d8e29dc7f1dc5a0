"""Numbers of a summary as text, whatever a run folder holds in their places."""

import math
import re
from typing import Any, TypeGuard

from nnlab.display import raised

LONGEST = 2_000
"""The largest number of characters that a text from a run folder has on the page."""
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def as_text(value: Any, name: str = "") -> str:
    """A value as text: a number with four significant digits, an accuracy in percent, a range, a spread.

    >>> as_text(0.9734, "test/accuracy"), as_text([0, None]), as_text(1e-12), as_text(-2.5e-9), as_text(None)
    ('97.34%', '≥\\xa00', '10⁻¹²', '−2.5\\xa0×\\xa010⁻⁹', '–')
    """
    if isinstance(value, dict):
        return _spread(value, name)
    if isinstance(value, list) and len(value) == 2 and all(v is None or is_number(v) for v in value):
        return _range(value[0], value[1], name)
    if value is None:
        return "–"
    if not is_number(value):  # what JSON calls a number may be none: NaN, 1e999, an integer of 400 digits
        return "–" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    if value == math.ulp(0.0):  # how a claim says "above 0, whatever the distance"
        return "> 0"
    if "accuracy" in name.rpartition("/")[2]:
        return f"{100 * value:.2f}%"
    whole = isinstance(value, int) and abs(value) < 10**9
    mantissa, _, power = (str(value) if whole else f"{value:.4g}").partition("e")
    if power:
        ten = f"10{raised(str(int(power)))}"
        mantissa = {"1": ten, "-1": f"-{ten}"}.get(mantissa, f"{mantissa}\u00a0×\u00a0{ten}")
    return mantissa.replace("-", "−")


def is_number(value: Any) -> TypeGuard[float]:
    """Tells whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def clean(text: str, longest: int = LONGEST) -> str:
    """Text from a run folder without invisible characters and changes of direction, cut where it is too long.

    >>> clean("a\\u202eb"), clean("x" * 5, 3)
    ('a\\ufffdb', 'xxx…')
    """
    return UNSEEN.sub("\ufffd", text[:longest]) + ("…" if len(text) > longest else "")


def _range(low: float | None, high: float | None, name: str) -> str:
    if low is None:
        return "–" if high is None else f"≤\u00a0{as_text(high, name)}"
    if low == math.ulp(0.0):
        return "> 0" if high is None else f"> 0, ≤\u00a0{as_text(high, name)}"
    if high is None:
        return f"≥\u00a0{as_text(low, name)}"
    ends = dict.fromkeys((as_text(low, name), as_text(high, name)))  # one where four digits are the same
    return " to ".join(ends)


def _spread(value: dict[str, Any], name: str) -> str:
    """Mean ± half of the 95% interval, as a group of seeds has it."""
    mean, interval = value.get("mean"), value.get("interval")
    if not is_number(mean):
        return "–"
    ends = isinstance(interval, list) and len(interval) == 2 and all(is_number(end) for end in interval)
    half = (interval[1] - interval[0]) / 2 if ends and interval is not None else None
    return as_text(mean, name) + ("" if half is None else f" ± {as_text(half, name)}")
