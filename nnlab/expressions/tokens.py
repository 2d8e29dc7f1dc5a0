"""The text of an expression, cut into tokens: nothing but ASCII numbers, names and a few signs."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from nnlab.expressions.errors import ExpressionError

MAX_LENGTH = 100_000
"""Characters that an expression may have."""
MAX_DIGITS = 1_000
"""Characters that one number may have."""

Kind = Literal["number", "name", "sign", "end"]

_NAME = "[A-Za-z][A-Za-z0-9_]*"
_PATTERN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_NAME})"
    r"|(?P<sign>\*\*|<=|>=|[-+*/^(),<>@])"
    r"|(?P<space>[ \t\r\n]+)"
)

_LOOKALIKES = {"−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "∗": "*", "⋅": "*", "÷": "/", "∕": "/"}
_LOOKALIKES |= {"π": "pi", "²": "^2", "³": "^3", "√": "sqrt", "≤": "<=", "≥": ">=", "σ": "sigmoid"}
_LOOKALIKES |= {"[": "(", "]": ")", "{": "(", "}": ")", "=": "<= or >=", ";": ","}
"""What people type, and what they mean by it."""


@dataclass(frozen=True)
class Token:
    """A piece of the text, `end` one past its last character. `^` and `**` are the same sign."""

    kind: Kind
    text: str
    start: int
    end: int


def is_name(text: str) -> bool:
    """Whether a variable can be called so."""
    return re.fullmatch(_NAME, text) is not None


def tokenize(text: str, *, matrices: bool = False) -> list[Token]:
    """The tokens of an expression, the last of kind `end`; the sign @ only where there are matrices.

    Raises:
        ExpressionError: a text that is too long or empty, or a character that no expression has.
    """
    if len(text) > MAX_LENGTH:
        reason = f"an expression of {len(text):,} characters: at most {MAX_LENGTH:,} are read"
        raise ExpressionError(reason, text, MAX_LENGTH)
    tokens, position = [], 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None or (match.group() == "@" and not matrices):
            raise ExpressionError(_refusal(text[position], matrices), text, position)
        kind = match.lastgroup
        if kind != "space":
            piece = "^" if match.group() == "**" else match.group()
            tokens.append(Token(kind, piece, position, match.end()))  # type: ignore[arg-type]
        position = match.end()
    if not tokens:
        raise ExpressionError("the expression is empty: give one such as sin(2*pi*x)", text, 0)
    return [*tokens, Token("end", "", len(text), len(text))]


def _refusal(character: str, matrices: bool) -> str:
    shown = repr(character) if character.isascii() else f"{character!r} (U+{ord(character):04X})"
    allowed = f"Allowed: numbers, names, + - * / ^ ** {'@ ' * matrices}( ) , < <= > >="
    if matrices and character in "[]":
        return f"{shown} cannot be in an expression: a vector or matrix is a variable, taken as a whole"
    if character in _LOOKALIKES:
        return f"{shown} cannot be in an expression: write {_LOOKALIKES[character]}. {allowed}"
    return f"{shown} cannot be in an expression. {allowed}"


def number(token: Token, text: str) -> Fraction:
    """The exact value of a number.

    Raises:
        ExpressionError: a number that float64 cannot hold, or with more than MAX_DIGITS characters. Seen
            before the fraction is made, which would have as many digits as the exponent says.
    """
    if len(token.text) > MAX_DIGITS:
        reason = f"a number of {len(token.text):,} characters: at most {MAX_DIGITS:,} are read"
        raise ExpressionError(reason, text, token.start)
    nearest = float(token.text)
    mantissa = re.split("[eE]", token.text)[0]
    if not mantissa.strip("0."):
        return Fraction(0)
    if nearest == 0.0 or nearest == float("inf"):
        size = "small" if nearest == 0.0 else "large"
        raise ExpressionError(f"{token.text} is too {size} for float64", text, token.start)
    return Fraction(token.text)
