"""The faults of an expression: in its text, or in its values and slopes over a box."""

from collections.abc import Mapping

from nnlab.errors import InputError

COLUMNS = 72
"""Columns of an expression that a message shows."""


class ExpressionError(InputError):
    """An expression that cannot be read. The message ends with the expression and a caret under the fault.

    Attributes:
        reason: what is wrong, without the expression.
        text: the whole expression.
        position: the index of the character at fault; len(text) where something is missing at the end.
    """

    def __init__(self, reason: str, text: str, position: int) -> None:
        super().__init__(f"{reason}\n{pointed(text, position)}")
        self.reason = reason
        self.text = text
        self.position = position


class PlaceError(InputError):
    """An expression that cannot be used at some place of the box where it is needed.

    Attributes:
        term: the text of the operation at fault.
        place: variable -> coordinate of the place.
    """

    def __init__(self, reason: str, term: str, place: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.term = term
        self.place = dict(place)


class DomainError(PlaceError):
    """An expression that has no value somewhere in the box."""


class UnboundedSlopeError(PlaceError):
    """An expression whose slope is infinite, or cannot be bounded, somewhere in the box."""


def pointed(text: str, position: int) -> str:
    """Writes the text on a line of its own, and a caret below the character; a long text is cut around it.

    >>> print(pointed("x +* y", 3))
      x +* y
         ^
    """
    line = "".join(c if c.isprintable() else " " for c in text)
    start = max(0, min(position - COLUMNS // 2, len(line) - COLUMNS))
    end = min(len(line), start + COLUMNS)
    before = "…" if start > 0 else ""
    after = "…" if end < len(line) else ""
    return f"  {before}{line[start:end]}{after}\n  {_blank(before + line[start:position])}^"


def _blank(text: str) -> str:
    """Returns blanks as wide as a text on a terminal, where some letters take two columns."""
    if text.isascii():
        return " " * len(text)
    import unicodedata  # only where a text needs it

    return "".join("\u3000" if unicodedata.east_asian_width(letter) in "WF" else " " for letter in text)


def placed(place: Mapping[str, float]) -> str:
    """Describes a place.

    >>> placed({"x": 0.25, "y": -1.0})
    'x = 0.25, y = -1'
    """
    return ", ".join(f"{name} = {value + 0.0:.10g}" for name, value in place.items())
