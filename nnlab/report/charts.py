"""Small drawings of the page as SVG: the interval of a claim beside its prediction."""

from dataclasses import dataclass
from typing import Any

from nnlab.report.numbers import is_number, shown

WIDTH, HEIGHT, EDGE = 320, 44, 14


@dataclass(frozen=True)
class Mark:
    """A point or an interval on the axis of a claim, in pixels.

    Attributes:
        kind: predicted, range, interval, measured or rival; a CSS class.
        x: where it begins.
        width: 0 for a point.
        label: what it says when pointed at.
    """

    kind: str
    x: float
    width: float
    label: str


def claim_marks(claim: dict[str, Any]) -> list[Mark]:
    """What is predicted, what the rivals predict, and what was measured, on one axis.

    Empty where a claim holds no number to draw.
    """
    predicted, interval = claim.get("predicted"), claim.get("interval")
    rivals = claim.get("rivals")
    points: dict[str, list[tuple[str, Any]]] = {
        "measured": [("measured", claim.get("measured"))],
        "predicted": [("predicted", predicted)],
        "rival": list(rivals.items()) if isinstance(rivals, dict) else [],
    }
    ranges: dict[str, Any] = {"range": predicted, "interval": interval}
    ends = [value for found in points.values() for _, value in found if is_number(value)]
    for pair in ranges.values():
        if isinstance(pair, list) and len(pair) == 2:
            ends += [end for end in pair if is_number(end)]
    if not ends or not is_number(claim.get("measured")):
        return []
    low, high = min(ends), max(ends)
    spread = (high - low) or abs(high) or 1.0

    def place(value: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * (value - low) / spread

    marks = []
    for kind, pair in ranges.items():
        if isinstance(pair, list) and len(pair) == 2 and any(is_number(end) for end in pair):
            start = place(pair[0]) if is_number(pair[0]) else 0.0
            end = place(pair[1]) if is_number(pair[1]) else float(WIDTH)
            word = "predicted" if kind == "range" else "95% interval"
            marks.append(Mark(kind, start, max(end - start, 1.0), f"{word}: {shown(pair)}"))
    for kind, found in points.items():
        marks += [
            Mark(kind, place(value), 0.0, f"{label}: {shown(value)}")
            for label, value in found
            if is_number(value)
        ]
    return marks
