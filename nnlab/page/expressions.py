"""The tables of expressions for the page's own parser in JavaScript, which holds no copy of them."""

import json
import re
import unicodedata
from functools import cache
from typing import Any

from nnlab.expressions import hints, mistakes, parser, signs, tokens

RAISED_BELOW = 0x3000
"""The letters that Unicode calls raised, and the parser leaves as they are, are looked for up to here."""


def tables() -> dict[str, Any]:
    """Returns names, signs and the words of hints, of expressions without vectors and matrices."""
    return {
        "functions": dict(parser.FUNCTIONS),
        "constants": parser.CONSTANTS,
        "aliases": dict(parser.ALIASES),
        "quotients": dict(parser.QUOTIENTS),
        "exactBits": parser.EXACT_BITS,
        "longest": tokens.MAX_LENGTH,
        "digits": tokens.MAX_DIGITS,
        "signs": {
            "powers": signs.POWERS,
            "fractions": dict(signs.FRACTIONS),
            "roots": signs.ROOTS,
            "bars": signs.BARS,
            "names": signs.NAMES,
            "comparisons": signs.COMPARISONS,
            "plain": signs.ONE_FOR_ONE,
            "raised": _raised(),
        },
        "hints": {
            "lookBack": tokens.LOOK_BACK,
            "longest": hints.LONGEST,
            "synonyms": dict(hints.SYNONYMS),
            "missing": dict(hints.MISSING),
            "words": dict(hints.WORDS),
            "signs": mistakes.SIGNS,
            "latex": [(pattern, re.sub(r"\\(\d|\\)", _in_javascript, text)) for pattern, text in hints.LATEX],
            "latexTwice": hints.LATEX_TWICE,
        },
    }


@cache
def script() -> str:
    """Returns the script that gives the page these tables, as `nnlab.grammar`."""
    content = json.dumps(tables(), ensure_ascii=False, separators=(",", ":"))
    return f'"use strict";\nnnlab.grammar = {content.replace("<", chr(92) + "u003c")};\n'


def _in_javascript(mark: re.Match[str]) -> str:
    """Writes the mark of a group, or of a backslash, in a replacement as JavaScript does."""
    return "\\" if mark[1] == "\\" else f"${mark[1]}"


def _raised() -> str:
    return "".join(
        letter
        for letter in map(chr, range(RAISED_BELOW))
        if unicodedata.decomposition(letter).startswith("<super>")
    )
