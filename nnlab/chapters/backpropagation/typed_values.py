"""Values as they are typed, `x=-2,W=[[1,2],[3,4]]`, where each number may be an expression such as 1/3."""

import re
from typing import TypeAlias

import numpy as np

from nnlab.chapters.backpropagation.faults import check_finite
from nnlab.expressions import ExpressionError, parse
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.passes import forward
from nnlab.expressions.tokens import is_name

Nested: TypeAlias = "float | list[Nested]"

FORM = "a value is such as -2, 1/3, [1,2] or [[1,2],[3,4]]"


def assignments(text: str) -> list[tuple[str, Nested]]:
    """The names of `x=-2,y=[1,2]` with their values, as they follow one another.

    Raises:
        ExpressionError: what cannot be read; it points at the character.
    """
    return _Reader(text).assignments()


def number(text: str) -> float:
    """The value of an expression without variables.

    Raises:
        ExpressionError: what is none, or has no finite value.
    """
    if not text.strip():
        raise ExpressionError(f"a value is missing here: {FORM}", text, 0)
    if re.fullmatch(r"\s*[-+]*\.?(nan|inf|infinity)\s*", text, re.IGNORECASE):
        raise ExpressionError(f"{text.strip()} is not a finite number", text, 0)
    try:
        graph = parse(text, ())
    except ExpressionError as error:
        raise ExpressionError(f"{error.reason} ({FORM})", text, error.position) from None
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, {})
    check_finite(graph, values)
    return float(values[-1])


class _Reader:
    """One pass over the text, from one = to the next."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def assignments(self) -> list[tuple[str, Nested]]:
        found = [(self._name(), self._value())]
        while self._continues("", "a comma or the end"):
            found.append((self._name(), self._value()))
        return found

    def _name(self) -> str:
        """Reads one, and the = behind it."""
        start, word = self.position, re.compile("[^=,]*").match(self.text, self.position)
        assert word is not None
        name, self.position = word.group().strip(), word.end() + 1
        if self.text[word.end() : self.position] != "=":
            raise self._error("a name, = and a value are expected here, such as x=-2", start)
        if not is_name(name):
            odd = "".join(f" (U+{ord(c):04X})" for c in name if not c.isascii())
            reason = f"{name!r:.60}{odd:.60} cannot be the name of a variable"
            raise self._error(f"{reason}, which has letters a to z, digits and _, a letter first", start)
        return name

    def _value(self, depth: int = 0) -> Nested:
        self._skip_spaces()
        return self._list(depth) if self._sign() == "[" else self._number()

    def _list(self, depth: int) -> list[Nested]:
        if depth == 2:
            raise self._error("a list stands at most in one other: a matrix is the list of its rows")
        self.position += 1
        found = [self._value(depth + 1)]
        while self._continues("]", "a comma or ]"):
            found.append(self._value(depth + 1))
        return found

    def _number(self) -> float:
        """Reads up to the next sign that is no part of it: a comma, a bracket that it does not open."""
        start, depth = self.position, 0
        while self._sign() and (depth or self._sign() not in ",)") and self._sign() not in "[]=":
            depth += (self._sign() == "(") - (self._sign() == ")")
            self.position += 1
        if self._sign() == "=":
            raise self._error("this = stands inside a value: part variables by commas, such as x=1,y=2")
        try:
            return number(self.text[start : self.position])
        except ExpressionError as error:
            raise self._error(error.reason, start + error.position) from None

    def _continues(self, end: str, expected: str) -> bool:
        """Whether a comma follows a value, and not the end of what it stands in; reads either."""
        self._skip_spaces()
        sign = self._sign()
        if sign not in (",", end):
            raise self._error(f"{sign or 'the end'} stands where {expected} is expected")
        self.position += 1
        return sign == ","

    def _sign(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip_spaces(self) -> None:
        while self._sign().isspace():
            self.position += 1

    def _error(self, reason: str, position: int | None = None) -> ExpressionError:
        return ExpressionError(reason, self.text, self.position if position is None else position)
