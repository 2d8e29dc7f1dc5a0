"""Claims and verdicts as a picture: what was predicted, what was measured, and how it came out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnlab.plot.style import (
    FONT_TICK,
    GRID,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    WIDE,
    bare,
    new_figure,
    nothing_to_show,
)
from nnlab.plot.text import families, literal, number, plain, wrap

_VERDICTS = {"PASS": ("✓", PALETTE[2]), "FAIL": ("✗", PALETTE[1]), "INCONCLUSIVE": ("?", MUTED)}
_COLUMNS = (0.0, 0.17, 0.62, 0.78)  # verdict, sentence, predicted, measured: fractions of the width
_WIDTH = WIDE[0] + 1.5  # inches
_LINE = 0.25  # inches


def claims_table(claims: Sequence[Mapping[str, Any]], title: str | None = None) -> Figure:
    """One row per claim: verdict, sentence, predicted and measured value with its interval.

    Args:
        claims: Mappings as in a run's summary; read are "verdict", "sentence" (or "name"), "predicted",
            "measured" and "interval". A number, a pair of numbers, a text or nothing may stand for a value.
        title: A sentence; by default how many claims held.
    """
    rows = [_row(claim) for claim in claims]
    heights = [_LINE * max(map(len, row[1])) + 0.28 for row in rows]
    total = sum(heights) + 0.45
    figure = new_figure(title or _title(claims), (_WIDTH, max(2.4, total + 0.9)))
    axes = figure.subplots()
    bare(axes)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, 1)
    axes.set_ylim(total, 0)
    if not rows:
        nothing_to_show(axes, "no claims")
        return figure
    for x, heading in zip(
        _COLUMNS, ("verdict", "claim", "predicted", "measured (95% interval)"), strict=True
    ):
        _put(axes, x, 0.2, heading, color=MUTED)
    y = 0.45
    for row, height in zip(rows, heights, strict=True):
        _draw_row(axes, y, height, row)
        y += height
    return figure


def _row(claim: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    sentence = literal(claim.get("sentence") or claim.get("name") or "")
    measured = [value_text(claim.get(key)) for key in ("measured", "interval") if claim.get(key) is not None]
    texts = ([sentence], [value_text(claim.get("predicted"))], measured or ["–"])
    widths = [72 * _WIDTH * 0.93 * (right - left) for left, right in pairwise((*_COLUMNS[1:], 1.0))]
    columns = [
        [part for text in column for part in wrap(text, width, FONT_TICK)]
        for column, width in zip(texts, widths, strict=True)
    ]
    return str(claim.get("verdict", "INCONCLUSIVE")), [_at_most_four(lines) for lines in columns]


def _at_most_four(lines: list[str]) -> list[str]:
    return lines if len(lines) <= 4 else [*lines[:3], f"{lines[3]} …"]


def value_text(value: object) -> str:
    """A claim's value in words: a number, a pair as an interval, a text, or a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float, np.number)):
        return number(float(value), digits=4)
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) == 2:
        return f"[{value_text(value[0])}, {value_text(value[1])}]"
    return literal(value, 60)


def _draw_row(axes: Axes, y: float, height: float, row: tuple[str, list[list[str]]]) -> None:
    verdict, columns = row
    middle = y + height / 2
    symbol, color = _VERDICTS.get(verdict, ("?", MUTED))
    axes.plot([0, 1], [y, y], color=GRID, linewidth=0.8)
    axes.add_patch(Rectangle((0, middle - 0.16), 0.15, 0.32, color=color, linewidth=0))
    _put(axes, 0.075, middle, f"{symbol} {literal(verdict, 14)}", color=PAPER, ha="center")
    for x, lines in zip(_COLUMNS[1:], columns, strict=True):
        _put(axes, x, middle, "\n".join(lines))


def _put(
    axes: Axes, x: float, y: float, text: str, *, color: str = INK, ha: str = "left", size: float = FONT_TICK
) -> None:
    shown = "\n".join(plain(line) for line in text.split("\n"))
    note = axes.text(x, y, shown, fontsize=size, family=list(families()), color=color, linespacing=1.2)
    note.set(ha=ha, va="center")


def _title(claims: Sequence[Mapping[str, Any]]) -> str:
    if not claims:
        return "No claims were made"
    passed = sum(claim.get("verdict") == "PASS" for claim in claims)
    if passed == len(claims):
        return "Every claim held" if passed > 1 else "The claim held"
    return f"{passed} of {len(claims)} claims held"
