"""Hints on what to write instead: the ends of messages about expressions that cannot be read.

A hint never names another function than the one that was meant: a near name is proposed for a misspelling
only, and functions that are well known but missing here are said to be.
"""

import re
from collections.abc import Collection, Mapping, Sequence

LONGEST = 60
"""Characters of a name, or of the left side of an equation, that a hint is looked for."""
SYNONYMS: Mapping[str, str] = {
    "logistic": "sigmoid", "expit": "sigmoid", "sigm": "sigmoid", "lse": "logsumexp", "average": "mean",
    "avg": "mean", "if": "where", "iif": "where", "ifelse": "where", "fabs": "abs", "betrag": "abs",
    "absolute": "abs", "signum": "sign", "minimum": "min", "maximum": "max", "root": "sqrt",
    "squareroot": "sqrt", "wurzel": "sqrt", "rectifier": "relu", "tg": "tan", "ctg": "cot", "arctg": "arctan",
    "th": "tanh", "sh": "sinh", "ch": "cosh", "cosec": "csc", "ceiling": "ceil", "int": "floor",
    "lb": "log2", "ld": "log2", "argsinh": "asinh", "sine": "sin",
    "sen": "sin", "tang": "tan", "cotan": "cot", "cotg": "cot", "ctan": "cot", "loge": "log", "log_e": "log",
    "sinus": "sin", "cosine": "cos", "cosinus": "cos", "tangent": "tan", "tangens": "tan", "logarithm": "log",
    "exponential": "exp", "argcosh": "acosh", "argtanh": "atanh",
}  # fmt: skip
"""Names that functions have elsewhere, and their own here."""

_WITHOUT_FORMULA = """
nan infinity infty
atan2 arctan2 gamma lgamma gammaln digamma beta factorial fact binom comb choose zeta bessel
besselj j0 j1 airy ei si li lambertw diff derivative grad integrate integral quad limit lim
prod product sup inf argmax argmin det trace eig rand random randn real imag re im conj arg
angle gcd lcm isnan sum mean softmax logsumexp transpose sort cumsum std var median interp
piecewise erfinv probit sawtooth triangle maxout one_hot cross len range eval exec open
print input
"""
MISSING: Mapping[str, str] = {
    "round": "floor(x + 1/2)", "rint": "floor(x + 1/2)", "nint": "floor(x + 1/2)", "mod": "a - b*floor(a/b)",
    "fmod": "a - b*floor(a/b)", "rem": "a - b*floor(a/b)", "remainder": "a - b*floor(a/b)",
    "trunc": "sign(x)*floor(abs(x))", "fix": "sign(x)*floor(abs(x))", "frac": "x - floor(x)",
    "pow": "a^b", "power": "a^b", "square": "x^2", "sqr": "x^2", "cube": "x^3", "exp2": "2^x",
    "exp10": "10^x", "hypot": "sqrt(x^2 + y^2)", "norm": "sqrt(x^2 + y^2)", "sech": "1/cosh(x)",
    "csch": "1/sinh(x)", "coth": "1/tanh(x)", "acot": "arctan(1/x)", "arccot": "arctan(1/x)",
    "asec": "arccos(1/x)", "arcsec": "arccos(1/x)", "acsc": "arcsin(1/x)", "arccsc": "arcsin(1/x)",
    "acoth": "atanh(1/x)", "erfc": "1 - erf(x)", "sinc": "sin(x)/x", "haversin": "sin(x/2)^2",
    "versin": "1 - cos(x)", "heaviside": "where(x < 0, 0, 1)", "step": "where(x < 0, 0, 1)",
    "theta": "where(x < 0, 0, 1)", "rect": "where(abs(x) < 1/2, 1, 0)", "tri": "max(0, 1 - abs(x))",
    "clip": "min(max(x, a), b)", "clamp": "min(max(x, a), b)", "gelu": "x*(1 + erf(x/sqrt(2)))/2",
    "elu": "where(x > 0, x, expm1(x))", "silu": "x*sigmoid(x)", "swish": "x*sigmoid(x)",
    "mish": "x*tanh(softplus(x))", "leaky_relu": "max(x, 0.01*x)", "leakyrelu": "max(x, 0.01*x)",
    "relu6": "min(max(x, 0), 6)", "hardtanh": "min(max(x, -1), 1)", "softsign": "x/(1 + abs(x))",
    "logsigmoid": "-softplus(-x)", "logit": "log(x/(1 - x))", "degrees": "x*180/pi", "deg": "x*180/pi",
    "radians": "x*pi/180", "rad": "x*pi/180", "reciprocal": "1/x", "inv": "1/x", "neg": "-x",
    "add": "a + b", "sub": "a - b", "mul": "a*b", "div": "a/b", "dot": "sum(a*b)",
    "lg": "log10(x) or log2(x)",
    "gauss": "exp(-x^2/2)", "gaussian": "exp(-x^2/2)", "normpdf": "exp(-x^2/2)/sqrt(2*pi)",
    "normcdf": "(1 + erf(x/sqrt(2)))/2", "phi": "(1 + erf(x/sqrt(2)))/2",
    **dict.fromkeys(_WITHOUT_FORMULA.split(), ""),
}  # fmt: skip
"""Functions that are well known and not available, and a formula for them where there is one."""

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("and", "or", "not"), "where takes one comparison; put one where inside another"),
    **dict.fromkeys(("if", "else", "for", "then"), "write where(condition, a, b) for cases"),
    **dict.fromkeys(("times", "mal"), "write * for a product"),
    **dict.fromkeys(("plus",), "write +"),
    **dict.fromkeys(("minus",), "write -"),
    "over": "write / for a quotient", "div": "write / for a quotient", "mod": "write a - b*floor(a/b)",
}  # fmt: skip
"""Words between two terms, and what to write for them."""

_CALLED = "sinh?|cosh?|tanh?|exp|ln|log10|log2|log|arcsin|arccos|arctan"
_LETTERS = "pi|max|min|sec|csc|cot|alpha|beta|gamma|delta|epsilon|theta|lambda|mu|omega|phi|rho|tau"
LATEX: Sequence[tuple[str, str]] = (
    (r"\\left|\\right|\\,|\\;|\\!|\\ |\\quad|\$", " "),
    (r"\\(?:mathrm|text|operatorname)\{([A-Za-z0-9]+)\}", r"\1"),
    (r"\\(?:ln|log)\s*_\s*\{?10\}?", r"\\log10 "), (r"\\log\s*_\s*\{?2\}?", r"\\log2 "),
    (r"\^\s*\{([^{}]*)\}", r"^(\1)"),
    (rf"\\({_CALLED})\s*\^\s*(\([^()]*\)|\d)\s*\(([^()]*)\)", r"\1(\3)^\2"),
    (rf"\\({_CALLED})\s*\^\s*(\([^()]*\)|\d)\s*([A-Za-z0-9]+)", r"\1(\3)^\2"),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"\\sqrt\s*\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\)\)\s*(?=[A-Za-z0-9(]|\\(?!cdot|times|div|le|ge|ast|right))", r"))*"),
    (r"(?<![\w.])([0-9.]+)\s*(?=[A-Za-z(]|\\(?!cdot|times|div|le|ge|ast|right))", r"\1*"),
    (r"\\pi\s*(?=[A-Za-z0-9(])", "pi*"),
    (r"\\l?vert|\\rvert|\\mid", "|"),
    (r"\\lfloor", "⌊"), (r"\\rfloor", "⌋"), (r"\\lceil", "⌈"), (r"\\rceil", "⌉"),
    (r"\\(?:cdot|times|ast)\b", "*"), (r"\\div\b", "/"), (r"\\leq?\b", "<="), (r"\\geq?\b", ">="),
    (r"\\sigma\b", "sigmoid"),
    (rf"\\({_CALLED})\s*\\?([A-Za-z0-9]+)(?![A-Za-z0-9]|\s*\()", r"\1(\2)"),
    (rf"\\({_CALLED}|{_LETTERS})(?![A-Za-z])", r"\1"), (r"[{]", "("), (r"[}]", ")"),
)  # fmt: skip
"""Patterns of LaTeX, and what stands for them in an expression, in the order of replacement."""
LATEX_TWICE = 9
"""The number of patterns, from the first, that may stand inside each other."""


def from_latex(text: str) -> str:
    r"""Rewrites simple LaTeX.

    >>> from_latex(r"\frac{1}{2} \cdot \sin(\pi x)")
    '((1)/(2)) * sin(pi*x)'
    """
    for pattern, replacement in (*LATEX[:LATEX_TWICE], *LATEX):  # twice, for what stands inside another
        text = re.sub(pattern, replacement, text)
    return " ".join(text.split())


def unknown(word: str, allowed: Collection[str], *, called: bool) -> str:
    """Says that a name is unknown, what may be meant, and what is allowed."""
    kind, lower, listed = (
        "function" if called else "name",
        word.lower(),
        f"Allowed: {', '.join(sorted(allowed))}",
    )
    others = (lower, SYNONYMS.get(lower, ""), lower.replace("_", ""))
    own = next((name for name in others if name in allowed), "")
    if own:
        return f"unknown {kind} {word}: did you mean {own}? {listed}"
    if lower in MISSING:
        formula = MISSING[lower]
        return f"{word} is not available{f': write {formula}' if formula else ''}. {listed}"
    near = " or ".join(nearest(word, allowed))
    return f"unknown {kind} {word}: {f'did you mean {near}? ' if near else ''}{listed}"


def nearest(word: str, names: Collection[str]) -> list[str]:
    """Returns the names that a word is a misspelling of, at most three; none where none is near.

    One letter may be wrong, missing, too many or swapped with its neighbour; in words of seven letters two.
    A letter that is doubled was meant once.

    >>> nearest("tnah", ["tan", "tanh"]), nearest("sinn", ["sin", "sinh"]), nearest("log10", ["log"])
    (['tanh'], ['sin'], [])
    """
    lower = word.lower()
    doubled = re.sub(r"(.)\1", r"\1", lower)
    if doubled in names and doubled != lower:
        return [doubled]
    if len(lower) < 3 or re.search(r"\d$", lower):
        return []
    distances = {name: _distance(lower, name.lower()) for name in names if len(name) > 1}
    least = min(distances.values(), default=9)
    near = [name for name, distance in distances.items() if distance == least]
    return near if len(near) <= 3 and least <= (2 if len(lower) >= 7 else 1) else []


def _distance(a: str, b: str) -> int:
    """Counts the letters to change, add, drop or swap with their neighbour (Damerau 1964)."""
    if abs(len(a) - len(b)) > 2:
        return 9
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def as_product(word: str, known: Collection[str], functions: Collection[str], *, called: bool) -> str:
    """Reads a word as names without signs between: xy as x*y, sinx as sin(x), xsin( as x*sin; else empty.

    >>> as_product("pix", ["pi", "x"], [], called=False), as_product("sin2x", ["x"], ["sin"], called=False)
    ('pi*x', 'sin(2*x)')
    >>> as_product("xsin", ["x"], ["sin"], called=True), as_product("maximum", ["x"], ["max"], called=False)
    ('x*sin', '')
    """
    if len(word) > LONGEST:
        return ""
    if called:
        ends = [name for name in functions if word.endswith(name) and word != name]
        for name in sorted(ends, key=len, reverse=True):
            factors = _factors(word.removesuffix(name), known)
            if factors:
                return f"{factors}*{name}"
        return ""
    whole = _factors(word, known)
    if whole:
        return whole
    for name in sorted(functions, key=len, reverse=True):
        factors = _factors(word.removeprefix(name), known) if word.startswith(name) else ""
        if factors:
            return f"{name}({factors})"
    return ""


def _factors(word: str, known: Collection[str]) -> str:
    """Returns a word cut into known names and numbers, with * between; empty where that is not possible."""
    ways = [""] + [" "] * len(word)  # a blank for none
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            if ways[start] != " " and (piece in known or (piece.isdigit() and start == 0)):
                ways[end] = f"{ways[start]}*{piece}" if start else piece
                break
    return "" if ways[-1] == " " else ways[-1]


def equation(text: str, position: int) -> str:
    """Returns what stands to the right of the = at a position, where a name or f(x) stands to its left."""
    left, right = text[:position], text[position + 1 :]
    if len(left) > LONGEST:
        return ""
    if re.fullmatch(r"\s*[A-Za-z]\w*'?\s*(\(\s*\w+(\s*,\s*\w+)*\s*\))?\s*:?\s*", left) and re.search(
        "[A-Za-z]", right
    ):
        return "" if right.startswith("=") else " ".join(right.split())
    return ""
