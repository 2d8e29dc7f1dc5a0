"""Claims as cards of the page: one for each statement, with a line for each run or seed that measured it.

Each line has a small drawing: the interval beside the prediction, all of a card on one axis.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from nnlab.display import spoken
from nnlab.page.formula import typeset
from nnlab.page.numbers import as_text, clean, is_number

VERDICTS = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"}
"""The verdicts, each with the sign that says it without colour."""
CARDS = 200  # of one experiment
LINES = 40  # of one card
WIDTH, EDGE = 320, 14  # of a drawing and its margin, in pixels


@dataclass(frozen=True)
class Mark:
    """A point or an interval on the axis of a claim, in pixels.

    Attributes:
        kind: predicted, range, interval, measured or rival; a CSS class.
        x: its left end.
        width: 0 for a point.
        label: its tooltip.
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


@dataclass(frozen=True)
class Line:
    """One measurement of a claim.

    Attributes:
        label: of the run or seed; empty where there is but one.
        claim: as the summary has it.
        drawing: on the axis of the card.
    """

    label: str
    claim: dict[str, Any]
    drawing: Drawing | None

    def text(self, key: str) -> str:
        """A value of the claim as text."""
        return as_text(self.claim.get(key))

    @property
    def verdict(self) -> str:
        """PASS, FAIL, INCONCLUSIVE, or the word of an older run."""
        return str(self.claim.get("verdict") or "–")

    @property
    def confidence(self) -> str:
        """The level of the interval that decided it, "99.99%"; empty for a quantity without randomness."""
        level = re.search(r"\d+(\.\d+)?%", str(self.claim.get("rule") or "").partition("[")[0])
        return level.group() if level else ""

    @property
    def rivals(self) -> str:
        """The predictions of rivals."""
        return "; ".join(f"{label}: {as_text(value)}" for label, value in _rivals(self.claim).items())

    @property
    def hypotheses(self) -> str:
        """The hypotheses under which it was measured."""
        hypotheses = self.claim.get("hypotheses")
        return spoken("; ".join(map(str, hypotheses))) if isinstance(hypotheses, list) else ""


@dataclass(frozen=True)
class Card:
    """A statement of the theory.

    Attributes:
        key: the card's id on the page.
        run: the name of the run that measured it.
        name: the claim's.
        sentence: in words.
        formula: in symbols, typeset.
        lines: its measurements.
        faults: planted in the code, that turn it to FAIL, in words.
    """

    key: str
    run: str
    name: str
    sentence: str
    formula: Markup
    lines: list[Line]
    faults: Sequence[str] = ()

    @property
    def predicted_by(self) -> str:
        """The functions or the closed form that the prediction comes from."""
        return str(self.lines[0].claim.get("predicted_by") or "")

    @property
    def measured_by(self) -> str:
        """The functions that measure."""
        return str(self.lines[0].claim.get("measured_by") or "")

    @property
    def verdicts(self) -> dict[str, int]:
        """Verdict -> number of measurements."""
        return Counter(line.verdict for line in self.lines)

    @property
    def where(self) -> list[tuple[str, str]]:
        """(labels, hypotheses), those that several measurements share once."""
        return _by_text((line.label, line.hypotheses) for line in self.lines)

    @property
    def rules(self) -> list[tuple[str, str]]:
        """(labels, reason for the verdict)."""
        return _by_text((line.label, str(line.claim.get("rule") or "")) for line in self.lines)


def _by_text(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(labels, text) from (label, text): each text once, with its labels; a single one without them."""
    texts: dict[str, list[str]] = {}
    for label, text in pairs:
        if text:
            texts.setdefault(text, []).append(label)
    return [("" if len(texts) == 1 else ", ".join(labels), text) for text, labels in texts.items()]


def cards(run: str, measured: Iterable[tuple[str, dict[str, Any]]], prefix: str) -> list[Card]:
    """Cards of (label, claim) pairs of a run, in the order in which the claims come; ids begin so."""
    statements: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for label, claim in measured:
        key = (str(claim.get("name")), str(claim.get("sentence")))
        lines = statements.setdefault(key, []) if key in statements or len(statements) < CARDS else []
        if len(lines) < LINES:
            lines.append((label, claim))
    return [_card(f"{prefix}c{i}", run, lines) for i, lines in enumerate(statements.values())]


def _card(key: str, run: str, measured: Sequence[tuple[str, dict[str, Any]]]) -> Card:
    claim, drawn = measured[0][1], drawings([claim for _, claim in measured])
    return Card(
        key,
        run,
        str(claim.get("name")),
        spoken(str(claim.get("sentence") or claim.get("name"))),
        typeset(clean(str(claim.get("formula") or ""))),
        [Line(*labelled, drawing) for labelled, drawing in zip(measured, drawn, strict=True)],
    )


def drawings(claims: Sequence[dict[str, Any]]) -> list[Drawing | None]:
    """Draws the measurements of one claim, with prediction and rivals, all on one axis.

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

    drawn = [_marks(claim, place) if is_number(claim.get("measured")) else [] for claim in claims]
    return [Drawing(marks, as_text(low), as_text(high)) if marks else None for marks in drawn]


def _marks(claim: dict[str, Any], place: Any) -> list[Mark]:
    marks = []
    values = [
        ("range", "predicted", claim.get("predicted")),
        ("interval", "interval", claim.get("interval")),
        ("predicted", "predicted", claim.get("predicted")),
        *(("rival", label, value) for label, value in _rivals(claim).items()),
        ("measured", "measured", claim.get("measured")),
    ]
    for kind, word, value in values:
        label = f"{word}: {as_text(value)}"
        if kind not in ("range", "interval"):
            if is_number(value):
                marks.append(Mark(kind, place(value), 0.0, label))
        elif isinstance(value, list) and len(value) == 2 and any(map(is_number, value)):
            start = place(value[0]) if is_number(value[0]) else 0.0
            end = place(value[1]) if is_number(value[1]) else float(WIDTH)
            marks.append(Mark(kind, start, max(end - start, 1.0), label))
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
