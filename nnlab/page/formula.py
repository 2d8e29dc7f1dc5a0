"""Formulas of claims, plain Unicode text, as MathML, which browsers typeset without any library.

A formula is written as on the board: `‖w − w₀‖/‖w₀‖ = Θ(1/√m)`, `e^{−λt}`, `sup_k`, words between. It
becomes a line of text with pieces of mathematics in it, each of which can stand on a line of its own, so
that a long formula wraps on a narrow screen. What is not understood stays readable as it was written.
"""

import re
import unicodedata
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

LONGEST = 500
"""Characters of a formula that is still typeset; nobody reads a longer one."""
LONG = 12
"""Characters of a piece that need not hold together at a + or −."""
DEEPEST = 20
"""Brackets and roots within each other."""

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵀᵏⁿᵗᵈⁱʲᵐ*'′", "0123456789+−()Tkntdijm∗′′", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ᵢⱼₖₗₘₙₚₜ∞", "0123456789+−()ijklmnpt∞", strict=True))
PRIMES = {"'": "′", "′": "′"}
ACCENTS = {"\u0304": "¯", "\u0302": "^", "\u0303": "˜", "\u0307": "˙"}
BRACKETS = {"(": ")", "[": "]", "{": "}", "⌈": "⌉", "⌊": "⌋"}
BARS = "|‖"
NAMES = {"max", "min", "sup", "inf", "lim", "log", "exp", "tanh", "sign", "rank", "KL"}
LIMITS = {"max", "min", "sup", "inf", "lim", "∑"}
RELATIONS = set("=<>≤≥≠≈≡~→⟹⟺∈")
PUNCTUATION = set(",;:")
SHORT_WORDS = "of|is|at|by|in|no|to|as|or|it|on|an|if"

WORD_SPACE = Markup('<mspace width="0.25em"></mspace>')
THIN = Markup('<mspace width="0.17em"></mspace>')

TOKEN = re.compile(
    rf"""
    (?P<citation> \( [A-Z][a-z]+ [^()]* \d{{4}} [^()]* \) )
  | (?P<word> (?<![A-Za-z])
              (?: [A-Z]?[a-z]{{3,}} (?: -[a-z]+ | 's )*
                | [A-Z]{{3,}} | KL | {SHORT_WORDS} | a (?=\ [a-z]{{2}}) )
              (?![A-Za-z]) )
  | (?P<number> \d+ (?: \.\d+ )? (?: e[-−]?\d+ )? | [½⅓¼¾] )
  | (?P<letter> (?: [^\W\d_] | [∇∂] ) [\u0300-\u036f]? )
  | (?P<space> \s+ )
  | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A word, number, letter or mark; `glued` to the token before it if no space is between them."""

    kind: str
    text: str
    glued: bool


@dataclass(frozen=True)
class Piece:
    """A part of the formula as MathML: prose, a factor, an operator or a relation.

    Attributes:
        kind: prose, factor, name, operator, sum (+ or − outside of brackets) or relation.
        markup: MathML.
        source: the text of the formula.
        inside: the content of a bracket: a fraction and a root need no brackets.
    """

    kind: str
    markup: Markup
    source: str
    inside: Markup | None = None


def typeset(formula: str) -> Markup:
    """A formula as HTML: words as they are, the rest as MathML, a piece for each relation.

    >>> typeset("for k = ½")
    Markup('for <math displaystyle="true" alttext="k"><mi>k</mi></math> <math displaystyle="true" \
alttext="= ½"><mo form="infix" lspace="0">=</mo><mn>½</mn></math>')
    """
    if len(formula) > LONGEST:
        return escape(formula)
    pieces = _Parser(_tokens(formula)).row()
    lines: list[list[Piece]] = []
    for piece in pieces:
        if not lines or _breaks(lines[-1], piece):
            lines.append([])
        lines[-1].append(piece)
    return Markup(" ").join(_line(line) for line in lines)


def _breaks(line: list[Piece], piece: Piece) -> bool:
    """Tells whether a line of text may break between a line and the next piece."""
    before = line[-1]
    if (piece.kind == "prose") != (before.kind == "prose") or before.source in PUNCTUATION:
        return True
    long = sum(len(piece.source) for piece in line) > LONG
    return piece.kind == "relation" or (long and piece.kind == "sum")


def _line(pieces: list[Piece]) -> Markup:
    if pieces[0].kind == "prose":
        return escape(pieces[0].source)
    source = " ".join(piece.source for piece in pieces)
    first, *others = pieces
    if first.kind == "sum":  # the space before it is that between the pieces
        pieces = [replace(first, markup=Markup(str(first.markup).replace(">", ' lspace="0">', 1))), *others]
    return Markup('<math displaystyle="true" alttext="{}">{}</math>').format(source, _joined(pieces))


def _joined(pieces: list[Piece]) -> Markup:
    """The pieces one after the other, with space around prose."""
    row = Markup()
    for before, piece in zip([None, *pieces], pieces, strict=False):
        gap = before is not None and "prose" in (before.kind, piece.kind)
        row += (WORD_SPACE if gap else Markup()) + piece.markup
    return row


def _prose(text: str) -> Piece:
    return Piece("prose", _element("mtext", text), text)


def _tokens(formula: str) -> list[Token]:
    text = unicodedata.normalize("NFC", formula)
    tokens: list[Token] = []
    glued = False
    for match in TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind == "space":
            glued = False
            continue
        if match.group() in SUPERSCRIPTS or match.group() in SUBSCRIPTS:
            kind = "mark"
        tokens.append(Token(kind, match.group(), glued))
        glued = True
    return tokens


def _element(name: str, *content: str | Markup) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(name), Markup("").join(content))


def _tight(text: str) -> Markup:
    """An operator without space around it."""
    return Markup('<mo lspace="0" rspace="0">{}</mo>').format(text)


def _script(characters: str) -> Markup:
    """A run of small characters: numbers, letters and signs."""

    def one(c: str) -> Markup:
        if c == "T":  # transposed
            return Markup('<mi mathvariant="normal">T</mi>')
        return _element("mn" if c.isdigit() else "mi", c) if c.isalnum() else _tight(c)

    return _element("mrow", *map(one, characters))


class _Parser:
    """Recursive descent over tokens; every method takes what it can and leaves `at` behind it."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.ends: list[str] = []  # of the brackets around, the innermost last
        self.depth = 0  # of factors within factors
        self.small = False  # inside a script, where a fraction is written with a slash

    @property
    def end(self) -> str | None:
        return self.ends[-1] if self.ends else None

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next_is(self, *texts: str, glued: bool = False) -> bool:
        token = self.peek()
        return token is not None and token.text in texts and (token.glued or not glued)

    def row(self) -> list[Piece]:
        """Pieces up to the end of the innermost bracket, which is left."""
        pieces: list[Piece] = []
        while (token := self.peek()) is not None and token.text != self.end:
            before = pieces[-1] if pieces else None
            prose = token.kind == "citation" or (token.kind == "word" and not self._is_name(token))
            if before and before.kind == "prose" and (prose or token.text in PUNCTUATION):
                self.at += 1
                pieces[-1] = _prose(before.source + ("" if token.glued else " ") + token.text)
            elif prose:
                self.at += 1
                pieces.append(_prose(token.text))
            elif self._starts_factor(token):
                pieces.append(self.chain())
                if self.next_is("/"):
                    pieces.append(self._fraction(pieces.pop()))
            else:
                self.at += 1
                pieces.append(self._operator(token.text, before))
        return pieces

    def chain(self, *, names: bool = False) -> Piece:
        """Factors side by side without space: 2λW, L(b − a); with `names` also what follows one: log N."""
        start, factors = self.at, [self.factor()]
        while (token := self.peek()) is not None and self._starts_factor(token):
            if not token.glued and not (names and factors[-1].kind == "name"):
                break
            factors.append(self.factor())
        if len(factors) == 1:
            return factors[0]
        return Piece("factor", _element("mrow", _joined(factors)), self._source(start))

    def _fraction(self, above: Piece) -> Piece:
        start = self.at
        self.at += 1
        token = self.peek()
        if token is None or not self._starts_factor(token):
            return Piece("factor", above.markup + _tight("/"), above.source + "/")
        below = self.chain(names=True)
        if self.small:
            markup = above.markup + _tight("/") + below.markup
        else:
            markup = _element("mfrac", *(_element("mrow", p.inside or p.markup) for p in (above, below)))
        return Piece("factor", markup, above.source + self._source(start))

    def factor(self) -> Piece:
        """A number, letter, name, root or bracket with its scripts."""
        start = self.at
        self.depth += 1
        base = self._primary()
        self.depth -= 1
        below, above = list[Markup](), list[Markup]()
        while (token := self.peek()) is not None and token.glued:
            if token.text in SUPERSCRIPTS:
                above.append(_script(self._run(SUPERSCRIPTS)))
            elif token.text in SUBSCRIPTS:
                below.append(_script(self._run(SUBSCRIPTS)))
            elif token.text in "^_" and self.at + 1 < len(self.tokens):
                self.at += 1
                small, self.small = self.small, True
                (above if token.text == "^" else below).append(self._argument())
                self.small = small
            elif token.text in ("max", "min"):
                self.at += 1
                below.append(_element("mi", token.text))
            else:
                break
        if not below and not above:
            return base
        limits = base.source in LIMITS
        names = ("munder", "mover", "munderover") if limits else ("msub", "msup", "msubsup")
        name = names[(2 if below else 1) if above else 0]
        scripts = [_element("mrow", *script) for script in (below, above) if script]
        gap = THIN if base.kind == "name" and not self.next_is("(", glued=True) else Markup()
        return Piece(base.kind, _element(name, base.markup, *scripts) + gap, self._source(start))

    def _primary(self) -> Piece:
        token = self.tokens[self.at]
        self.at += 1
        text = token.text
        if text in BRACKETS or text in BARS:
            return self._bracket(text, BRACKETS.get(text, text))
        if text == "√":
            following = self.peek()
            if following is None or self.depth > DEEPEST or not self._starts_factor(following):
                return Piece("factor", _element("mo", text), text)
            under = self.factor()
            return Piece("factor", _element("msqrt", under.inside or under.markup), text + under.source)
        if text == "Σ":
            return Piece("name", _element("mo", "∑"), "∑")
        if token.kind == "word":
            before = Markup() if token.glued or self.at == 1 else THIN
            after = Markup() if self.next_is("(", "_", "^", glued=True) else THIN
            return Piece("name", before + _element("mi", text) + after, text)
        if token.kind == "number":
            return Piece("factor", _element("mn", text), text)
        plain = unicodedata.normalize("NFD", text)
        letter, accent = plain[0], plain[1:]
        if accent in ACCENTS:
            markup = Markup('<mover accent="true"><mi>{}</mi><mo>{}</mo></mover>').format(
                letter, ACCENTS[accent]
            )
            return Piece("factor", markup, text)
        upright = Markup('<mi mathvariant="normal">{}</mi>').format(text)
        return Piece("factor", upright if text in "∇∂" or "Α" <= text <= "Ω" else _element("mi", text), text)

    def _bracket(self, opening: str, closing: str) -> Piece:
        """A pair of brackets or bars with its content; the opening one alone where the other is missing."""
        start = self.at - 1
        if not self._closes(closing, self.at):
            return Piece("factor", _element("mo", opening), opening)
        inside = self._inside(closing)
        # Chromium gives a bracket that may grow the width of its tallest form: only around fractions.
        grows = "true" if any(tall in inside for tall in ("<mfrac>", "∑")) else "false"
        fence = [
            Markup('<mo form="{}" lspace="0" rspace="0" stretchy="{}">{}</mo>').format(form, grows, text)
            for form, text in (("prefix", opening), ("postfix", closing))
        ]
        whole = _element("mrow", fence[0], inside, fence[1])
        return Piece("factor", whole, self._source(start), inside if opening == "(" else None)

    def _inside(self, closing: str) -> Markup:
        """The content up to `closing`, which is consumed too."""
        self.ends.append(closing)
        pieces = self.row()
        self.ends.pop()
        self.at += 1
        return _element("mrow", _joined(pieces))

    def _closes(self, closing: str, start: int) -> bool:
        """Tells whether `closing` follows before the bracket around it ends, not too deep in others."""
        if self.depth + len(self.ends) > DEEPEST:
            return False
        inner = list[str]()
        for token in self.tokens[start:]:
            if token.text == closing and not inner:
                return True
            if token.text in BRACKETS:
                inner.append(BRACKETS[token.text])
            elif token.text in BRACKETS.values() and (not inner or inner.pop() != token.text):
                return False
        return False

    def _argument(self) -> Markup:
        """The argument of ^ or _: one factor with its sign, without brackets around it."""
        sign = Markup()
        if self.next_is("−", "-"):
            self.at += 1
            sign = _tight("−")
        token = self.peek()
        if token is None:
            return sign
        if token.text in "({":
            self.at += 1
            closing = BRACKETS[token.text]
            if not self._closes(closing, self.at):
                return sign + _element("mo", token.text)
            return _element("mrow", sign, self._inside(closing))
        if token.kind == "mark":
            self.at += 1
            return sign + _element("mo", token.text)
        # a letter that is itself a script may have primes: the λ' of W_λ'
        return _element("mrow", sign, self._primary().markup, *map(_tight, self._run(PRIMES)))

    def _run(self, alphabet: dict[str, str]) -> str:
        run = ""
        while (token := self.peek()) is not None and token.glued and token.text in alphabet:
            run += alphabet[token.text]
            self.at += 1
        return run

    def _operator(self, text: str, before: Piece | None) -> Piece:
        sign = {"-": "−", "~": "∼"}.get(text, text)
        if text in RELATIONS:  # outside of brackets a line may break before it: the space is there already
            space = Markup() if self.ends else Markup(' lspace="0"')
            return Piece("relation", Markup('<mo form="infix"{}>{}</mo>').format(space, sign), text)
        if text in PUNCTUATION:
            return Piece("operator", Markup('<mo lspace="0" rspace="0.3em">{}</mo>').format(sign), text)
        if text == "·" and before is None:  # an argument without a name: f(·, w₀)
            return Piece("factor", _element("mi", text), text)
        first = before is None or before.kind in ("operator", "relation", "sum", "prose")
        if sign in ("+", "−") and not first and not self.ends:
            return Piece("sum", Markup('<mo form="infix">{}</mo>').format(sign), text)
        form = "prefix" if first and sign in "−+±" else "infix"
        return Piece("operator", Markup('<mo form="{}" stretchy="false">{}</mo>').format(form, sign), text)

    def _is_name(self, token: Token) -> bool:
        """Tells whether a token is max, log, … of something rather than a word in a sentence."""
        if token.text not in NAMES:
            return False
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        return following is None or following.kind != "word" or following.text in NAMES

    def _starts_factor(self, token: Token) -> bool:
        if token.kind in ("number", "letter"):
            return True
        if token.kind == "word":
            return self._is_name(token)
        if token.text in BARS:
            return token.text != self.end and self._closes(token.text, self.at + 1)
        return token.text in BRACKETS or token.text in ("√", "Σ")

    def _source(self, start: int) -> str:
        return "".join(
            ("" if token.glued or i == 0 else " ") + token.text
            for i, token in enumerate(self.tokens[start : self.at])
        )
