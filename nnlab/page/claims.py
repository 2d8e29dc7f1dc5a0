"""Claims as cards of the page: one for each statement, with a line for each run or seed that measured it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from nnlab.page.charts import Drawing, drawings
from nnlab.page.formula import typeset
from nnlab.page.numbers import clean, shown

VERDICTS = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"}
"""With the sign that says it without colour."""
CARDS = 200
"""Of one experiment."""
LINES = 40
"""Of one card."""


@dataclass(frozen=True)
class Line:
    """One measurement of a claim.

    Attributes:
        label: of the run or seed; empty where there is but one.
        predicted, measured, interval: as text.
        otherwise: what rivals predict, as text.
        hypotheses: under which it was measured.
        rule: how the verdict came about.
        verdict: PASS, FAIL, INCONCLUSIVE, or what an older run says.
        drawing: on the axis of the card.
    """

    label: str
    predicted: str
    measured: str
    interval: str
    otherwise: list[str]
    hypotheses: list[str]
    rule: str
    verdict: str
    drawing: Drawing | None


@dataclass(frozen=True)
class Card:
    """A statement of the theory.

    Attributes:
        key: the card's id on the page.
        name: the claim's.
        sentence: in words.
        formula: in symbols, typeset.
        lines: its measurements.
    """

    key: str
    name: str
    sentence: str
    formula: Markup
    lines: list[Line]

    @property
    def verdicts(self) -> dict[str, int]:
        """Verdict -> number of measurements."""
        found: dict[str, int] = {}
        for line in self.lines:
            found[line.verdict] = found.get(line.verdict, 0) + 1
        return found

    @property
    def where(self) -> list[tuple[str, str]]:
        """(labels, hypotheses), those that several measurements share once."""
        return _said((line.label, "; ".join(line.hypotheses)) for line in self.lines)

    @property
    def rules(self) -> list[tuple[str, str]]:
        """(labels, how the verdict came about)."""
        return _said((line.label, line.rule) for line in self.lines)


def _said(texts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of (label, text) pairs: each text once with the labels it belongs to; a single one without them."""
    found: dict[str, list[str]] = {}
    for label, text in texts:
        if text:
            found.setdefault(text, []).append(label)
    return [("" if len(found) == 1 else ", ".join(labels), text) for text, labels in found.items()]


def cards(measured: Iterable[tuple[str, dict[str, Any]]], prefix: str) -> list[Card]:
    """Cards of (label, claim) pairs, in the order in which the claims come; ids begin with `prefix`."""
    found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for label, claim in measured:
        key = (str(claim.get("name")), str(claim.get("sentence")))
        lines = found.setdefault(key, []) if key in found or len(found) < CARDS else []
        if len(lines) < LINES:
            lines.append((label, claim))
    return [_card(f"{prefix}c{i}", lines) for i, lines in enumerate(found.values())]


def _card(key: str, measured: Sequence[tuple[str, dict[str, Any]]]) -> Card:
    claims = [claim for _, claim in measured]
    drawn = drawings(claims)
    return Card(
        key,
        str(claims[0].get("name")),
        str(claims[0].get("sentence") or claims[0].get("name")),
        typeset(clean(str(claims[0].get("formula") or ""))),
        [_line(label, claim, one) for (label, claim), one in zip(measured, drawn, strict=True)],
    )


def _line(label: str, claim: dict[str, Any], drawing: Drawing | None) -> Line:
    rivals, hypotheses = claim.get("rivals"), claim.get("hypotheses")
    return Line(
        label=label,
        predicted=shown(claim.get("predicted")),
        measured=shown(claim.get("measured")),
        interval=shown(claim.get("interval")),
        otherwise=[f"{label}: {shown(v)}" for label, v in rivals.items()] if isinstance(rivals, dict) else [],
        hypotheses=[str(h) for h in hypotheses] if isinstance(hypotheses, list) else [],
        rule=str(claim.get("rule") or ""),
        verdict=str(claim.get("verdict") or "–"),
        drawing=drawing,
    )
