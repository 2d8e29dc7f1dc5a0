"""What can be wrong with an expression: its text, or the box where its values or slopes are asked for."""

from collections.abc import Mapping

from nnlab.errors import InputError

SHOWN = 72
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


class DomainError(InputError):
    """An expression that has no value somewhere in the box where it is needed.

    Attributes:
        term: the text of the operation that has no value.
        place: variable -> coordinate of the place.
    """

    def __init__(self, reason: str, term: str, place: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.term = term
        self.place = dict(place)


class UnboundedSlopeError(InputError):
    """An expression whose slope is infinite, or cannot be bounded, somewhere in the box.

    Attributes:
        term: the text of the operation that makes it so.
        place: variable -> coordinate of the place.
        jump: whether the reason is a `where` whose branches are not known to meet there.
    """

    def __init__(self, reason: str, term: str, place: Mapping[str, float], jump: bool) -> None:
        super().__init__(reason)
        self.term = term
        self.place = dict(place)
        self.jump = jump


def pointed(text: str, position: int, columns: int = SHOWN) -> str:
    """The text on a line of its own, and a caret below the character; a long text is cut around it.

    >>> print(pointed("x +* y", 3))
      x +* y
         ^
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    start = max(0, min(position - columns // 2, len(shown) - columns))
    end = min(len(shown), start + columns)
    before = "…" if start > 0 else ""
    after = "…" if end < len(shown) else ""
    return f"  {before}{shown[start:end]}{after}\n  {' ' * (len(before) + position - start)}^"


def placed(place: Mapping[str, float]) -> str:
    """The words for a place.

    >>> placed({"x": 0.25, "y": -1.0})
    'x = 0.25, y = -1'
    """
    return ", ".join(f"{name} = {value + 0.0:.10g}" for name, value in place.items())
