"""Numbers of a summary as text, whatever a run folder holds in their places."""

import math
from typing import Any, TypeGuard


def shown(value: Any, name: str = "") -> str:
    """A number with four significant digits, an accuracy in percent, a range, a spread over seeds, or text.

    >>> shown(0.97345, "test/accuracy"), shown([0, None]), shown(1e-12), shown(None)
    ('97.35%', '0 to ∞', '1e−12', '–')
    """
    if isinstance(value, dict):
        return _spread(value, name)
    if isinstance(value, list) and len(value) == 2 and all(v is None or is_number(v) for v in value):
        if value == [None, None]:
            return "–"
        low = "−∞" if value[0] is None else shown(value[0], name)
        return f"{low} to {'∞' if value[1] is None else shown(value[1], name)}"
    if value is None:
        return "–"
    if not is_number(value):
        return str(value)
    if name.rpartition("/")[2].startswith("accuracy"):
        return f"{100 * value:.2f}%"
    return (str(value) if isinstance(value, int) else f"{value:.4g}").replace("-", "−")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _spread(value: dict[str, Any], name: str) -> str:
    """Mean ± half of the 95% interval, as a group of seeds has it."""
    mean, interval = value.get("mean"), value.get("interval")
    if not is_number(mean):
        return "–"
    ends = isinstance(interval, list) and len(interval) == 2 and all(is_number(end) for end in interval)
    half = (interval[1] - interval[0]) / 2 if ends and interval is not None else None
    return shown(mean, name) + ("" if half is None else f" ± {shown(half, name)}")
