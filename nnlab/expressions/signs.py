"""Signs that are pasted from slides, PDF files and word processors, and what each stands for.

`plain` replaces characters one for one, so that every place of the text stays where it is; the tokenizer
reads the rest: powers such as ², fractions such as ½, the roots √ and ∛, and bars.
"""

from collections.abc import Mapping

MINUS, TIMES, OVER, SPACE = "−–‐‑‒﹣－", "×·⋅∗∙•⁎⨯\u2062", "÷∕⁄", "\u200b\u200c\u200d\u2060\u2061\ufeff\u00ad"
ONE_FOR_ONE = {
    **dict.fromkeys(MINUS, "-"),
    **dict.fromkeys(TIMES, "*"),
    **dict.fromkeys(OVER, "/"),
    **dict.fromkeys(SPACE, " "),
    "⩽": "≤", "⩾": "≥", "≦": "≤", "≧": "≥", "∣": "|", "❘": "|", "ˆ": "^", "⌃": "^",
}  # fmt: skip

POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
"""Raised digits and signs, as they stand behind a ^."""
FRACTIONS: Mapping[str, str] = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅐": "1/7", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
    "⅑": "1/9", "⅒": "1/10",
}  # fmt: skip
ROOTS = {"√": "sqrt", "∛": "cbrt"}
BARS = {"|": ("|", "abs"), "⌊": ("⌋", "floor"), "⌈": ("⌉", "ceil")}
"""Opening sign -> closing sign, and the function that both write."""
NAMES = {"π": "pi", "σ": "sigmoid"}
COMPARISONS = {"≤": "<=", "≥": ">="}


def plain(text: str) -> str:
    """Returns the text with ASCII in the place of signs that look or mean the same, each in its place.

    >>> plain("2 × 𝑥₁ − 3²")
    '2 * x1 - 3²'
    """
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(sign: str) -> str:
    if sign.isascii() or sign in POWERS or sign in FRACTIONS:
        return sign
    if sign in ONE_FOR_ONE:
        return ONE_FOR_ONE[sign]
    import unicodedata  # only where a text needs it

    if unicodedata.decomposition(sign).startswith("<super>"):
        return sign
    meant = unicodedata.normalize("NFKC", sign)
    return meant if len(meant) == 1 and (meant.isascii() or meant in NAMES) else sign
