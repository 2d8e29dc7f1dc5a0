"""Explains what is wrong with an expression that cannot be read, and what to write instead."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnlab.expressions import hints
from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.parser import CONSTANTS, TENSOR_FUNCTIONS, parse
from nnlab.expressions.signs import BARS, FRACTIONS, NAMES, POWERS, ROOTS, plain
from nnlab.expressions.tokens import LOOK_BACK, Token, tokenize

_BRACKETS = {"[": "(", "]": ")", "{": "(", "}": ")"}


@dataclass(frozen=True)
class Typed:
    """An expression as it was typed, and what may occur in it; see `parse`."""

    text: str
    tokens: Sequence[Token]
    variables: tuple[str, ...]
    functions: Mapping[str, tuple[int, int | None]]
    names: Mapping[str, str]

    @property
    def factors(self) -> list[str]:
        return [*self.variables, *CONSTANTS]


# --- a character that no expression has ---


def refusal(source: str, position: int, typed: str, matrices: bool) -> str:
    """Says that a character cannot be in an expression, and what to write for it."""
    sign, after = source[position], source[position + 1 :].lstrip()
    before = source[max(0, position - LOOK_BACK) : position].rstrip()
    is_latex = sign == "$" or re.search(r"\\|[_^]\s*\{", source)
    if sign in "{}$" and is_latex and (meant := _from_latex(source, matrices)):
        return f"{typed!r} belongs to LaTeX, which is not read: write {meant}"
    quoted = repr(typed) if typed.isascii() else f"{typed!r} (U+{ord(typed):04X})"
    allowed = f"Allowed: numbers, names, + - * / ^ ** {'@ ' * matrices}( ) | , < <= > >="
    if sign == "\\":
        return (
            f"{quoted} begins a command of LaTeX, which is not read{_translated(source, matrices)}. {allowed}"
        )
    if matrices and sign in "[]":
        return f"{quoted} cannot be in an expression: a vector or matrix is a variable, taken as a whole"
    hint = _instead(sign, before, after, source, position)
    return f"{quoted} cannot be in an expression{f': {hint}' if hint else ''}. {allowed}"


def _instead(sign: str, before: str, after: str, source: str, position: int) -> str:
    """Returns what to write instead of a sign; empty where nothing stands for it."""
    if sign in "=:":
        at = position + (sign == ":" and after.startswith("="))
        body = hints.equation(source, at) if source[at : at + 1] == "=" else ""
        if body:
            return f"give the right side of the equation alone, {body}"
        return "conditions are made of < <= > >=" if sign == "=" else "write where(condition, a, b) for cases"
    if sign in _BRACKETS:
        return f"write {_BRACKETS[sign]}"
    if sign == ".":
        if after[:1] in ("^", "*", "/", "+", "-"):
            return "leave the point out"
        module = re.search(r"\b(np|numpy|math|cmath|torch|jnp|tf|sp|scipy|nn|F|Math)$", before)
        return f"leave {module.group()}. out" if module else "a decimal point stands between digits"
    if sign == "%":
        number = re.search(r"[\w.]+$" if not after else r"[0-9.]+$", before)
        if number and not re.match(r"[\w(]", after):
            return f"write {number.group()}/100"
        return "write a - b*floor(a/b) for the rest of a division"
    thousands = re.search(r"(?<![\w.])[0-9]{1,3}$", before), re.match(r"[0-9]{3}(?![\w.])", after)
    if sign in "_'’" and all(thousands):
        return f"write {''.join(part.group() for part in thousands if part)} if it is one number"
    if sign == "'" or sign in "′″’`":
        return "derivatives are computed, and not typed; write the function itself"
    return SIGNS.get(sign, "a name has letters a to z, digits and _" if sign.isalpha() else "")


SIGNS = {
    ";": "write , between arguments", "!": "there is no factorial; write its value, such as 120 for 5!",
    "∞": "it is no number; take a large one", "τ": "write 2*pi", "°": "write *pi/180 for degrees",
    "º": "write *pi/180 for degrees", "$": "leave it out", '"': "leave the quotes out",
    "≈": "conditions are made of < <= > >=", "≡": "conditions are made of < <= > >=",
    "∇": "derivatives are computed, and not typed",
    "‖": "write sqrt(x^2 + y^2), or abs(x) of a number", "≠": "conditions are made of < <= > >=",
    "&": "where takes one comparison; put one where inside another", "±": "write one of + and -",
    "?": "write where(condition, a, b) for cases", "∂": "derivatives are computed, and not typed",
    "∜": "write (…)^(1/4)", "∑": "write the terms one by one", "∫": "integrals are not available",
    "…": "write the terms one by one", "~": "write - for a minus", "—": "write - for a minus",
    "∆": "it is no letter of a to z",
    "_": "a name begins with a letter", "#": "leave it out", "→": "give the expression alone",
    "ⁿ": "write ^n", "ˣ": "write ^x", "ᵗ": "write ^t", "ᵀ": "write transpose(…) of a matrix",
}  # fmt: skip


def _translated(source: str, matrices: bool) -> str:
    """Returns a colon and what to write for LaTeX."""
    return f": write {_from_latex(source, matrices) or 'sin(x), a/b, a*b, sqrt(x), pi'}"


def _from_latex(source: str, matrices: bool) -> str:
    """Returns what to write for a text with LaTeX in it; empty if it cannot be read then either."""
    meant = hints.from_latex(source)
    if any(sign in meant for sign in "\\{}$"):
        return ""
    try:
        names = [token.text for token in tokenize(meant, matrices=matrices) if token.kind == "name"]
        parse(meant, [name for name in names if name not in TENSOR_FUNCTIONS], tensors=matrices)
    except ExpressionError:
        return ""
    return meant


# --- tokens in a place where they cannot stand ---


def wrong_count(text: str, function: Token, allowed: tuple[int, int | None], count: int) -> str:
    """Says how many arguments a function takes, and has."""
    name, (least, most) = function.text, allowed
    takes = f"{least} or more arguments" if most is None else f"{least} argument{'s' * (least > 1)}"
    decimal = re.search(r"(?<![\w.])[0-9]+,[0-9]+", text[function.start :])
    hint = ""
    if count == 2 and decimal and most == 1:
        hint = f": a decimal number has a point, {decimal.group().replace(',', '.')}"
    elif count == 2 and name == "log":
        hint = ": write log2(x), log10(x), or log(x)/log(b) for the base b"
    return f"{name} takes {takes}, and has {count} here{hint}"


def missing_operator(typed: Typed, token: Token) -> str:
    """Says which sign may be missing before a token."""
    before = max((t for t in typed.tokens if t.end <= token.start), key=lambda t: (t.end, t.start))
    left, right = typed.text[before.start : before.end], typed.text[token.start : token.end]
    if before.kind == "number" and right in FRACTIONS:
        return f"{left}{right} may be a sum or a product: write ({left} + {right})"
    index = "".join(POWERS.get(sign, sign) for sign in left)
    if right in ROOTS and before.kind == "number" and index.isdigit():
        meant = f"write (…)^(1/{index}) if that root is meant, and * before {right} for a product"
        return f"an operator is missing before {right!r}: {meant}"
    right = "(…)" if right == "(" else f"{right}…{BARS[right][0]}" if right in BARS else right
    if before.kind == token.kind == "number":
        joined = left + right
        if before.end == token.start and right.startswith("."):
            return f"{joined} is no number: it has two decimal points"
        if before.end < token.start:
            return f"an operator is missing before {right!r}: write {joined} if it is one number"
    if token.text.lower() in hints.WORDS:
        return f"{token.text} is no sign here: {hints.WORDS[token.text.lower()]}"
    if token.kind == "name" and token.text not in {*typed.variables, *typed.functions, *CONSTANTS}:
        product = hints.as_product(token.text, typed.factors, typed.functions, called=False)
        right = product or right
    near = typed.text[max(0, before.end - LOOK_BACK) : before.end]
    factor = re.search(rf"[\w.]+(?:(?:\^|\*\*)-?[\w.]+|[{''.join(POWERS)}]+)$", near)
    right = f"{right}(…)" if token.text in typed.functions else right
    if factor or left in typed.variables or before.kind == "number":
        product = f"{factor.group() if factor else left}*{right}"
        sign = near.removesuffix(product.partition("*")[0]).rstrip()[-1:]
        advice = f"write {product}"
        if power := re.search(r"(\w*)(\^|\*\*)\s*([-−]?\s*[\w.]+)$", near):
            base, sign, exponent = power.groups()
            advice += f", or {base or '(…)'}{sign}({exponent}*{right}) if that is the exponent"
        if sign in ("/", "÷", *ROOTS):
            what = "divisor" if sign in "/÷" else "number below the root"
            advice = f"write ({product}) if that is the {what}, {product} if not"
    else:
        advice = f"write * between {left} and {right} if their product is meant"
    return f"an operator is missing before {typed.text[token.start : token.end]!r}: {advice}"


def unknown(typed: Typed, token: Token, following: list[Token], *, called: bool) -> str:
    """Says what may be meant by a name that is none here; `following` are the next tokens."""
    word = token.text
    if word in typed.functions:
        return f"{word} is a function: write {_applied(typed, token, following)}"
    if word in typed.names:
        reason = f"{word} names a whole expression and cannot be part of another"
        return f"{reason}: write {typed.names[word]}"
    allowed = [*typed.functions] if called else [*typed.variables, *CONSTANTS, *typed.functions]
    if len(typed.tokens) == 2:
        allowed += typed.names
    if word in ("d", "dx", "dy") and re.search(r"\bd\w*\s*/\s*d[a-z]", typed.text):
        return "derivatives are computed, and not typed; write the function itself"
    product = hints.as_product(word, typed.factors, typed.functions, called=called)
    if product:
        product = f"{product}(…)" if called else product
        goes_on = bool(following) and following[0].kind == "name" and following[0].start == token.end
        if goes_on and product.endswith(")"):  # sin2πx
            product = f"{product.rpartition('(')[0]}(…)"
        if (alone := grouped(typed.text, token.start, product)) != product:
            return f"unknown name {word}: write {alone} if that is the divisor or power, {product} if not"
        return f"unknown name {word}: write {product} if that is meant"
    return hints.unknown(word, allowed, called=called)


def grouped(text: str, start: int, product: str) -> str:
    """Returns the product in parentheses where a sign before it would take the first factor alone."""
    before = text[max(0, start - LOOK_BACK) : start].rstrip()
    return f"({product})" if "*" in product and before.endswith(("/", "÷", "^", "**", *ROOTS)) else product


def nothing_to_raise(text: str, position: int) -> str:
    """Says that a raised number stands where nothing is before it, as in ³√x."""
    raised = re.match(f"[{''.join(POWERS)}]+", text[position:])
    signs = raised.group() if raised else "power"
    rest = text[position + len(signs) :].lstrip()
    index = "".join(POWERS.get(sign, "") for sign in signs)
    if rest[:1] in ROOTS and index.isdigit():
        return f"a root has no index here: write (…)^(1/{index}){' or ∛…' * (index == '3')}"
    return f"the {signs} has nothing before it that it could be the power of"


def _applied(typed: Typed, token: Token, following: list[Token]) -> str:
    """Writes the call that is meant where a function stands without parentheses behind it."""
    word, rest = token.text, typed.text[token.end :]
    power = re.match(r"\s*(?:\^|\*\*)\s*(\(?[-−]?\w+\)?)\s*\(([^()]*)\)", plain(rest))
    raised = re.match(rf"\s*([{''.join(POWERS)}]+)\s*\(([^()]*)\)", plain(rest))
    if power or raised:
        exponent, inside = (power or raised).groups()  # type: ignore[union-attr]
        exponent = "".join(POWERS.get(sign, sign) for sign in exponent)
        return _raised(word, inside, exponent)
    bare = re.match(rf"\s*(\^\s*-?\d+\s|\*\*\s*-?\d+\s|[{''.join(POWERS)}]+)\s*([A-Za-z]\w*|π)", plain(rest))
    if bare and not re.match(rf"\s*(\^|\*\*|[\w(|{''.join(POWERS)}])", plain(rest)[bare.end() :]):
        exponent = "".join(POWERS.get(sign, sign) for sign in bare.group(1).strip("^* "))
        if {bare.group(2), NAMES.get(bare.group(2))} & {*typed.factors}:
            return _raised(word, bare.group(2), exponent)
    if following and following[0].text == "^":
        return f"{word}(…)^…"
    bars = re.match(r"\s*\|([^|]*)\|", rest)
    if bars:
        return f"{word}(abs({bars.group(1)}))"
    if typed.functions[word][0] > 1:
        return f"{word}(…, …)"
    beside = next((i for i, t in enumerate(following) if t.kind not in ("name", "number")), len(following))
    factors = [t.text for t in following[:beside]]
    is_plain = factors and not {*factors} & {*typed.functions}
    goes_on = beside < len(following) and following[beside].text == "^"
    return f"{word}({'*'.join(factors) if is_plain and not goes_on else '…'})"


def _raised(word: str, inside: str, exponent: str) -> str:
    """Writes a power of a call; what is raised to −1 may be its inverse or its reciprocal."""
    if exponent.strip("()") in ("-1", "−1"):
        inverse = f"arc{word}({inside}) or " if word in ("sin", "cos", "tan") else ""
        return f"{inverse}1/{word}({inside})"
    return f"{word}({inside})^{exponent}"
