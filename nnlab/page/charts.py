"""Small drawings of the page as SVG: the interval of a claim beside its prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nnlab.page.numbers import is_number, shown

WIDTH, EDGE = 320, 14


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


@dataclass(frozen=True)
class Drawing:
    """The marks of one measurement, and the numbers at the two ends of its axis."""

    marks: list[Mark]
    low: str
    high: str


def drawings(claims: Sequence[dict[str, Any]]) -> list[Drawing | None]:
    """Of one claim, measured several times: prediction, rivals and measurement, all on one axis.

    None where a claim holds no number to draw.
    """
    ends = [end for claim in claims for end in _numbers(claim)]
    if not ends:
        return [None] * len(claims)
    low, high = min(ends), max(ends)
    spread = (high / 2 - low / 2) * 2 or abs(high) or 1.0
    if not is_number(spread):
        return [None] * len(claims)

    def place(value: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * ((value - low) / spread)

    made = [_marks(claim, place) if is_number(claim.get("measured")) else [] for claim in claims]
    return [Drawing(marks, shown(low), shown(high)) if marks else None for marks in made]


def _marks(claim: dict[str, Any], place: Any) -> list[Mark]:
    marks = []
    for kind, word, key in (("range", "predicted", "predicted"), ("interval", "interval", "interval")):
        pair = claim.get(key)
        if isinstance(pair, list) and len(pair) == 2 and any(is_number(end) for end in pair):
            start = place(pair[0]) if is_number(pair[0]) else 0.0
            end = place(pair[1]) if is_number(pair[1]) else float(WIDTH)
            marks.append(Mark(kind, start, max(end - start, 1.0), f"{word}: {shown(pair)}"))
    points = [
        ("predicted", "predicted", claim.get("predicted")),
        *(("rival", label, value) for label, value in _rivals(claim).items()),
        ("measured", "measured", claim.get("measured")),
    ]
    for kind, word, value in points:
        if is_number(value):
            marks.append(Mark(kind, place(value), 0.0, f"{word}: {shown(value)}"))
    return marks


def _numbers(claim: dict[str, Any]) -> list[float]:
    values = [claim.get("measured"), *_rivals(claim).values()]
    for key in ("predicted", "interval"):
        value = claim.get(key)
        values += value if isinstance(value, list) and len(value) == 2 else [value]
    return [float(value) for value in values if is_number(value)]


def _rivals(claim: dict[str, Any]) -> dict[str, Any]:
    rivals = claim.get("rivals")
    return rivals if isinstance(rivals, dict) else {}
