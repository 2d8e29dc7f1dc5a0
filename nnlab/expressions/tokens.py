"""The tokens of an expression: numbers, names and signs, and what is said about all other characters."""

import re
from dataclasses import dataclass
from fractions import Fraction

from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.signs import COMPARISONS, FRACTIONS, NAMES, POWERS, plain

MAX_LENGTH = 100_000
"""Characters that an expression may have."""
MAX_DIGITS = 1_000
"""Characters that one number may have."""
LOOK_BACK = 60
"""Characters before a fault that a hint looks at: of a long text it costs little."""

_NAME = "[A-Za-z][A-Za-z0-9_]*"
_PATTERN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_NAME})"
    rf"|(?P<pasted>[{''.join(NAMES)}])"
    rf"|(?P<power>[{''.join(POWERS)}]+)"
    rf"|(?P<fraction>[{''.join(FRACTIONS)}])"
    r"|(?P<sign>\*\*|<=|>=|[-+*/^(),<>@≤≥|⌊⌋⌈⌉√∛])"
    r"|(?P<space>[ \t\r\n]+)"
)


@dataclass(frozen=True)
class Token:
    """A piece of the text: a number, name or sign, or the end. `end` is one past its last character."""

    kind: str
    text: str
    start: int
    end: int


def is_name(text: str) -> bool:
    """True for a text that can be the name of a variable."""
    return re.fullmatch(_NAME, text) is not None


def tokenize(text: str, *, matrices: bool = False) -> list[Token]:
    """Cuts an expression into tokens, the last of kind `end`; @ is one only where there are matrices.

    Raises:
        ExpressionError: a text that is too long or empty, or a character that no expression has.
    """
    if len(text) > MAX_LENGTH:
        reason = f"an expression of {len(text):,} characters: at most {MAX_LENGTH:,} are read"
        raise ExpressionError(reason, text, MAX_LENGTH)
    tokens: list[Token] = []
    position, source = 0, plain(text)
    while position < len(text):
        match = _PATTERN.match(source, position)
        if match is None or (match.group() == "@" and not matrices):
            raise _refused(source, text, position, matrices)
        start, position = position, match.end()
        tokens += _tokens(str(match.lastgroup), match.group(), start, position)
        if match.lastgroup == "power" and re.match(rf"\s*(\*\*|\^|[{''.join(POWERS)}])", source[position:]):
            reason = "a power of a power needs parentheses: write (a^b)^c or a^(b^c)"
            raise ExpressionError(reason, text, position)
    if not tokens:
        raise ExpressionError("the expression is empty: give one such as sin(2*pi*x)", text, 0)
    return [*tokens, Token("end", "", len(text), len(text))]


def _refused(source: str, text: str, position: int, matrices: bool) -> ExpressionError:
    from nnlab.expressions.mistakes import refusal  # whose words take time to load

    return ExpressionError(refusal(source, position, text[position], matrices), text, position)


def _tokens(kind: str, piece: str, start: int, end: int) -> list[Token]:
    """Returns the tokens of a match: none for a space, two or three for a raised number."""
    match kind:
        case "space":
            return []
        case "pasted":
            return [Token("name", NAMES[piece], start, end)]
        case "fraction":
            return [Token("number", FRACTIONS[piece], start, end)]
        case "power":
            raised = "".join(POWERS[sign] for sign in piece)
            signs = len(raised) - len(raised.lstrip("+-"))
            inside = [Token("sign", sign, start + i, start + i + 1) for i, sign in enumerate(raised[:signs])]
            digits = [Token("number", raised[signs:], start + signs, end)] if signs < len(raised) else []
            return [Token("sign", "^", start, start), *inside, *digits]
    piece = "^" if piece == "**" else COMPARISONS.get(piece, piece)
    return [Token(kind, piece, start, end)]


def exact_value(token: Token, text: str) -> Fraction:
    """Returns the exact value of a number.

    Raises:
        ExpressionError: a number that float64 cannot hold, or with more than MAX_DIGITS characters. It is
            refused before there is a fraction, which would have as many digits as the exponent says.
    """
    if len(token.text) > MAX_DIGITS:
        reason = f"a number of {len(token.text):,} characters: at most {MAX_DIGITS:,} are read"
        raise ExpressionError(reason, text, token.start)
    if "/" in token.text:
        return Fraction(token.text)
    nearest = float(token.text)
    mantissa = re.split("[eE]", token.text)[0]
    if not mantissa.strip("0."):
        return Fraction(0)
    if nearest == 0.0 or nearest == float("inf"):
        size = "small" if nearest == 0.0 else "large"
        raise ExpressionError(f"{token.text} is too {size} for float64", text, token.start)
    return Fraction(token.text)
