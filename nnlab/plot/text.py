"""Text in figures: a string that a user can choose is shown literally, and numbers as on a slide.

Matplotlib reads `$…$` as mathematics and warns about characters its font lacks. Class names, run names
and titles come from folders, tables and flags, so `plain` takes both powers away from them.
"""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import TextToPath

from nnlab.display import raised
from nnlab.plot.forms import form

_FALLBACK_FAMILIES = (  # where installed: scripts that DejaVu Sans, which comes with matplotlib, lacks
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Hiragino Sans GB",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Thai",
    "Noto Sans",
    "Arial Unicode MS",
)
APART = " " * 6
"""Between the parts of a label: where it has to be broken, it is broken here first."""


def families() -> tuple[str, ...]:
    """Returns the font families of every text: that of the form, then those that cover what it lacks."""
    own = form().family
    return (*([own] if own else []), *_covering())


@lru_cache(maxsize=1)
def _covering() -> tuple[str, ...]:
    """Returns DejaVu Sans, then installed families that cover other scripts."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _FALLBACK_FAMILIES if name in installed))


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    """Returns the code points that the families can draw: others would be boxes and warnings."""
    paths = [font_manager.findfont(font_manager.FontProperties(family=[name])) for name in _covering()]
    return frozenset(code for path in paths for code in FT2Font(path).get_charmap())


def _visible(character: str) -> str:
    if character.isprintable() and ord(character) in _drawable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def literal(text: object, limit: int | None = None) -> str:
    r"""Returns a user's string letter by letter, on one line, as part of a sentence.

    Line breaks, control characters and characters that no installed font can draw appear as escapes such as
    `\n`; a string longer than `limit` loses its middle.

    >>> literal("a\nb"), literal("abcdefghij", limit=7)
    ('a\\nb', 'abc…hij')
    """
    letters = "".join(_visible(character) for character in str(text))
    if limit is None or len(letters) <= limit:
        return letters
    head = limit // 2
    return f"{letters[:head]}…{letters[len(letters) - (limit - head - 1) :]}"


def plain(text: object, limit: int | None = None) -> str:
    r"""Returns `literal` of a user's string, with dollar signs that matplotlib takes for mere dollar signs.

    >>> print(plain("$x$"))
    \$x\$
    """
    return literal(text, limit).replace("$", r"\$")


def listed(names: Sequence[str]) -> str:
    """Returns the names, at least one, as part of a sentence.

    >>> listed(["AND", "OR", "NOT"])
    'AND, OR and NOT'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def width_in_points(text: str, size: float) -> float:
    """Returns the width in points of a line of drawable text at a font size in points."""
    properties = font_manager.FontProperties(family=list(families()), size=size)
    return float(TextToPath().get_text_width_height_descent(text, properties, ismath=False)[0])


def paragraph(text: object, width: float, size: float) -> str:
    """Returns `plain` of a user's string, wrapped to `width` points at a font size; its own breaks stay."""
    lines = [wrapped for line in str(text).splitlines() for wrapped in wrap(literal(line), width, size)]
    return "\n".join(plain(line) for line in lines)


def wrap(line: str, width: float, size: float) -> list[str]:
    """Breaks a line between words, and inside a word only if it alone is wider than `width` points."""
    lines = [""]
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width_in_points(longer, size) <= width:
            lines[-1] = longer
            continue
        needed = width_in_points(word, size)
        letters = max(1, len(word) if needed <= width else int(len(word) * width / needed))
        lines += [word[start : start + letters] for start in range(0, len(word), letters)]
    return [line for line in lines if line]


def power_of_ten(exponent: int) -> str:
    """Returns 10 to a power: written out from 0.01 to 1000, with a superscript beyond.

    >>> power_of_ten(-2), power_of_ten(0), power_of_ten(-12)
    ('0.01', '1', '10⁻¹²')
    """
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return f"10{raised(str(exponent))}"


def number(value: float, digits: int = 3) -> str:
    """Returns a number with `digits` significant digits, a true minus sign and a superscript exponent.

    >>> number(-0.98765), number(1.25e-9), number(float("inf")), number(96)
    ('−0.988', '1.25·10⁻⁹', '∞', '96')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    if not exponent:
        return mantissa.replace("-", "−")
    return f"{mantissa.replace('-', '−')}·10{raised(str(int(exponent)))}"


def percent(fraction: float, digits: int = 1) -> str:
    """Returns a fraction of 1 in percent.

    >>> percent(0.9721)
    '97.2 %'
    """
    if not math.isfinite(fraction):
        return number(fraction)
    return f"{100 * fraction:.{digits}f} %".replace("-", "−")


def chance(probability: float) -> str:
    """Returns a probability in percent that claims no certainty: 0.99999 is '> 99.9 %'."""
    if not math.isfinite(probability):
        return "probability unknown"
    if 0.999 < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if 0.99 < probability < 1 else f"{100 * probability:.0f} %"


def at_most(value: float, digits: int = 3) -> str:
    """Returns an upper bound with `digits` significant digits, rounded up: as written it is still a bound.

    >>> at_most(0.30502), at_most(1.28e-6), at_most(float("inf"))
    ('0.306', '1.28·10⁻⁶', '∞')
    """
    return _rounded(value, digits, ROUND_CEILING)


def at_least(value: float, digits: int = 3) -> str:
    """Returns a lower bound with `digits` significant digits, rounded down: as written it is still a bound.

    >>> at_least(0.30598), at_least(-0.30502)
    ('0.305', '−0.306')
    """
    return _rounded(value, digits, ROUND_FLOOR)


def _rounded(value: float, digits: int, direction: str) -> str:
    if not math.isfinite(value) or value == 0:
        return number(value)
    # The shortest decimal that reads back as the same number, such as 0.1, and not its binary expansion:
    # otherwise every bound that a person typed would be written one digit higher.
    rounded = Context(prec=digits, rounding=direction).plus(Decimal(repr(float(value))))
    return number(float(rounded), digits)
