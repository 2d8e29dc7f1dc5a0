"""The parser of expressions: a whitelist of ASCII signs and names, read by precedence with its own stack.

    sum      a + b, a − b         left to right
    product  a*b, a/b, a @ b      left to right, tighter; @ is the matrix product
    sign     −a, +a               tighter: −x*y is (−x)*y
    power    a^b, a**b            right to left, tightest: −x^2 is −(x^2), 2^3^2 is 2^(3^2); 2^-1 is allowed

Comparisons bind loosest and may only be the condition of `where`. Nothing here calls Python with a piece of
the text, and nothing recurses, so that the interpreter limits neither length nor depth of an expression
(Dijkstra's shunting-yard method, 1961). Python's own `ast` refuses 200 nested parentheses and a sum of 3,000
terms, and would not say which sign is missing.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from nnlab.errors import suggest
from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.nodes import Graph, GraphBuilder, Parameter

MAX_LENGTH = 100_000
"""Characters that an expression may have."""
MAX_DIGITS = 1_000
"""Characters that one number may have."""

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
"""Signs that people type, and the sign that they mean."""

CONSTANTS = ("pi", "e")
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    **dict.fromkeys(("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu"), (1, 1)),
    "min": (2, None),
    "max": (2, None),
    "where": (3, 3),
}
"""Least and largest number of arguments; None where there is no largest."""
TENSOR_FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    **FUNCTIONS,
    **dict.fromkeys(("sum", "mean", "softmax", "logsumexp", "transpose"), (1, 1)),
    "min": (1, None),
    "max": (1, None),
}
"""The same with those of vectors and matrices. min and max of one argument are an extreme entry."""

_BINARY = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "^": "power", "@": "matmul"}
_EXACT = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_COMPARISONS = {"<": "less", "<=": "less_equal", ">": "less", ">=": "less_equal"}
_PRECEDENCE = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "@": 3, "^": 5}
_OPEN, _SIGN = -1, 4
"""The precedence of an open parenthesis, at which operators stop, and that of a sign before a term."""
_FOLDED = {"min": "minimum", "max": "maximum"}
_REDUCED = {"min": "smallest", "max": "largest"}
_SYNONYMS = {"ln": "log", "logistic": "sigmoid", "lse": "logsumexp", "average": "mean", "if": "where"}
"""Names that functions have elsewhere."""

EXACT_BITS = 256
"""A constant is followed as a fraction up to this size."""


# --- tokens ---


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
    tokens, position = [], 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None or (match.group() == "@" and not matrices):
            raise ExpressionError(_refusal(text[position], matrices), text, position)
        if match.lastgroup != "space":
            piece = "^" if match.group() == "**" else match.group()
            tokens.append(Token(str(match.lastgroup), piece, position, match.end()))
        position = match.end()
    if not tokens:
        raise ExpressionError("the expression is empty: give one such as sin(2*pi*x)", text, 0)
    return [*tokens, Token("end", "", len(text), len(text))]


def _refusal(character: str, matrices: bool) -> str:
    sign = repr(character) if character.isascii() else f"{character!r} (U+{ord(character):04X})"
    allowed = f"Allowed: numbers, names, + - * / ^ ** {'@ ' * matrices}( ) , < <= > >="
    if matrices and character in "[]":
        return f"{sign} cannot be in an expression: a vector or matrix is a variable, taken as a whole"
    if character in _LOOKALIKES:
        return f"{sign} cannot be in an expression: write {_LOOKALIKES[character]}. {allowed}"
    return f"{sign} cannot be in an expression. {allowed}"


def exact_value(token: Token, text: str) -> Fraction:
    """Returns the exact value of a number.

    Raises:
        ExpressionError: a number that float64 cannot hold, or with more than MAX_DIGITS characters. It is
            refused before there is a fraction, which would have as many digits as the exponent says.
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


# --- grammar ---


def parse(
    text: str, variables: Sequence[str], names: Mapping[str, str] | None = None, *, tensors: bool = False
) -> Graph:
    """Parses an expression.

    Args:
        text: the expression: + − * / ^ ** ( ), numbers, pi, e, FUNCTIONS, and the variables.
        variables: names that may occur in it.
        names: whole expressions that have a name of their own, used where the text is just that name.
        tensors: True where variables may be vectors and matrices: then also @ and TENSOR_FUNCTIONS.

    Returns:
        A graph whose `text` is the expression that the name stood for, if it was one.

    Raises:
        ExpressionError: what cannot be read; the message names it, says what is allowed and points at it.
    """
    names = names or {}
    expression = names.get(text.strip(), text)
    functions = TENSOR_FUNCTIONS if tensors else FUNCTIONS
    return _Parser(expression, tuple(variables), names, functions).parse()


@dataclass(frozen=True)
class _Operand:
    """A value on the stack: its node, and its place with the parentheses around it."""

    node: int
    start: int
    end: int


@dataclass
class _Pending:
    """An operator that waits for its right side, or an open parenthesis, of a function or of none."""

    token: Token
    precedence: int
    function: Token | None = None
    arguments: int = 1


class _Parser:
    """One pass over the tokens. An operand is expected, then an operator, in turn."""

    def __init__(
        self,
        text: str,
        variables: tuple[str, ...],
        names: Mapping[str, str],
        functions: Mapping[str, tuple[int, int | None]],
    ) -> None:
        self.text, self.variables, self.names, self.functions = text, variables, names, functions
        self.known = frozenset(variables)
        self.tokens = tokenize(text, matrices="sum" in functions)
        self.operands: list[_Operand] = []
        self.pending: list[_Pending] = []
        self.builder = GraphBuilder()

    def parse(self) -> Graph:
        position, wants_operand = 0, True
        while True:
            token = self.tokens[position]
            if not wants_operand and token.kind == "end":
                return self._finish()
            if wants_operand:
                used, wants_operand = self._operand(token, self.tokens[position + 1 : position + 3])
            else:
                used, wants_operand = 1, self._operator(token)
            position += used

    # An operand is expected.

    def _operand(self, token: Token, following: list[Token]) -> tuple[int, bool]:
        """Reads one; returns the number of its tokens, and True where an operand is still expected."""
        if token.kind == "number":
            exact = exact_value(token, self.text)
            self._push("number", (), (token.start, token.end), exact, exact)
            return 1, False
        if token.kind == "name":
            return self._name(token, following)
        if token.text in ("(", "+", "-"):
            self.pending.append(_Pending(token, _OPEN if token.text == "(" else _SIGN))
            return 1, True
        raise self._missing_operand(token)

    def _name(self, token: Token, following: list[Token]) -> tuple[int, bool]:
        called = bool(following) and following[0].text == "("
        if token.text in self.functions and called:
            if following[1].text == ")":
                raise self._wrong_count(token, 0)
            self.pending.append(_Pending(following[0], _OPEN, token))
            return 2, True
        if token.text not in self.known and token.text not in CONSTANTS:
            raise self._unknown(token, called)
        kind = "variable" if token.text in self.known else "constant"
        self._push(kind, (), (token.start, token.end), token.text)
        return 1, False

    # An operator is expected.

    def _operator(self, token: Token) -> bool:
        """Reads one; returns True where an operand is expected next."""
        if token.text == ")":
            self._close(token)
            return False
        if token.text == ",":
            self._comma(token)
            return True
        if token.kind != "sign" or token.text == "(":
            raise self._missing_operator(token)
        precedence = _PRECEDENCE[token.text]
        self._reduce(precedence + 1 if token.text == "^" else precedence)
        self.pending.append(_Pending(token, precedence))
        return True

    def _reduce(self, precedence: int) -> None:
        """Applies the pending operators that bind at least so tightly."""
        while self.pending and self.pending[-1].precedence >= precedence:
            top = self.pending.pop()
            apply = self._apply_sign if top.precedence == _SIGN else self._apply_binary
            apply(top.token)

    def _close(self, token: Token) -> None:
        self._reduce(0)
        if not self.pending:
            raise self._error("this ) closes no parenthesis", token.start)
        opened = self.pending.pop()
        if opened.function is None:
            inside = self.operands.pop()
            self.operands.append(replace(inside, start=opened.token.start, end=token.end))
            return
        arguments = self.operands[-opened.arguments :]
        del self.operands[-opened.arguments :]
        self._call(opened.function, arguments, token.end)

    def _comma(self, token: Token) -> None:
        self._reduce(0)
        if not self.pending or self.pending[-1].function is None:
            raise self._error("a comma may only separate the arguments of a function", token.start)
        self.pending[-1].arguments += 1

    def _finish(self) -> Graph:
        self._reduce(0)
        if self.pending:
            raise self._error("this ( is never closed", self.pending[-1].token.start)
        result = self.operands.pop()
        self._refuse_condition(result)
        return self.builder.graph(self.text, self.variables, result.node)

    # Nodes.

    def _push(
        self, operation: str, arguments: Sequence[int], span: tuple[int, int], parameter: Parameter = None,
        exact: Fraction | None = None,
    ) -> None:  # fmt: skip
        node = self.builder.add(operation, arguments, parameter, span, exact)
        self.operands.append(_Operand(node, *span))

    def _exact(self, node: int) -> Fraction | None:
        return self.builder.nodes[node].exact

    def _is_condition(self, operand: _Operand) -> bool:
        return self.builder.nodes[operand.node].operation in _COMPARISONS.values()

    def _apply_sign(self, token: Token) -> None:
        inside = self.operands.pop()
        self._refuse_condition(inside)
        if token.text == "+":
            self.operands.append(replace(inside, start=token.start))
            return
        exact = self._exact(inside.node)
        span = (token.start, inside.end)
        self._push("negative", (inside.node,), span, None, None if exact is None else -exact)

    def _apply_binary(self, token: Token) -> None:
        right, left = self.operands.pop(), self.operands.pop()
        span, pair = (left.start, right.end), (left.node, right.node)
        if token.text in _COMPARISONS:
            if self._is_condition(left) or self._is_condition(right):
                reason = "comparisons cannot be chained: where takes one, such as x < 1"
                raise self._error(reason, token.start)
            ordered = pair if token.text in ("<", "<=") else pair[::-1]
            self._push(_COMPARISONS[token.text], ordered, span)
            return
        self._refuse_condition(left)
        self._refuse_condition(right)
        if token.text == "^":
            self._power(left.node, right.node, span)
        else:
            exact = _arithmetic(token.text, *map(self._exact, pair))
            self._push(_BINARY[token.text], pair, span, None, exact)

    def _power(self, base: int, exponent: int, span: tuple[int, int]) -> None:
        """Pushes a power; a known exponent is part of the operation: x^2, x^-1 are defined for x < 0."""
        known = self._exact(exponent)
        if known is None:
            self._push("power", (base, exponent), span)
        elif known.denominator == 1:
            exact = _integer_power(self._exact(base), int(known))
            self._push("integer_power", (base,), span, int(known), exact)
        elif known == Fraction(1, 2):
            self._push("sqrt", (base,), span)
        else:
            self._push("real_power", (base,), span, known)

    def _call(self, function: Token, arguments: list[_Operand], end: int) -> None:
        least, most = self.functions[function.text]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            raise self._wrong_count(function, len(arguments))
        name, span = function.text, (function.start, end)
        if name == "where" and not self._is_condition(arguments[0]):
            reason = "the first argument of where must be a comparison, such as x < 1"
            raise self._error(reason, arguments[0].start)
        for argument in arguments[name == "where" :]:
            self._refuse_condition(argument)
        nodes = [argument.node for argument in arguments]
        if name in _FOLDED and len(nodes) > 1:
            for node in nodes[1:-1]:
                nodes[0] = self.builder.add(_FOLDED[name], (nodes[0], node), None, span)
            self._push(_FOLDED[name], (nodes[0], nodes[-1]), span)
        else:
            self._push(_REDUCED.get(name, name), nodes, span)

    # Errors.

    def _error(self, reason: str, position: int) -> ExpressionError:
        return ExpressionError(reason, self.text, position)

    def _refuse_condition(self, operand: _Operand) -> None:
        if self._is_condition(operand):
            reason = "a comparison is not a number: it may only be the condition of where(condition, a, b)"
            raise self._error(reason, operand.start)

    def _wrong_count(self, function: Token, count: int) -> ExpressionError:
        least, most = self.functions[function.text]
        takes = f"{least} or more arguments" if most is None else f"{least} argument{'s' * (least > 1)}"
        return self._error(f"{function.text} takes {takes}, and has {count} here", function.start)

    def _missing_operand(self, token: Token) -> ExpressionError:
        expected = "a number, a name or ( is expected"
        if token.kind == "end":
            return self._error(f"the expression ends where {expected}", token.start)
        return self._error(f"{token.text!r} stands where {expected}", token.start)

    def _missing_operator(self, token: Token) -> ExpressionError:
        before = max((t for t in self.tokens if t.end <= token.start), key=lambda t: t.end)
        left, right = before.text, "(…)" if token.text == "(" else token.text
        if left in self.variables or before.kind == "number":
            advice = f"write {left}*{right}"
        else:
            advice = f"write * between {left} and {right} if their product is meant"
        return self._error(f"an operator is missing before {token.text!r}: {advice}", token.start)

    def _unknown(self, token: Token, called: bool) -> ExpressionError:
        word = token.text
        if word in self.functions:
            return self._error(f"{word} is a function: write {word}(…)", token.start)
        if word in self.names:
            reason = f"{word} names a whole expression and cannot be part of another"
            return self._error(f"{reason}: write {self.names[word]}", token.start)
        allowed = [*self.functions] if called else [*self.variables, *CONSTANTS, *self.functions]
        if len(self.tokens) == 2:
            allowed += self.names
        kind = "function" if called else "name"
        meant = _SYNONYMS.get(word.lower(), word)
        return self._error(f"unknown {kind} {word}: {suggest(meant, allowed)}", token.start)


def _arithmetic(sign: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None or sign not in _EXACT or (sign == "/" and right == 0):
        return None
    return _short(_EXACT[sign](left, right))


def _integer_power(base: Fraction | None, exponent: int) -> Fraction | None:
    if base is None or (base == 0 and exponent < 0):
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    return _short(base**exponent) if bits * abs(exponent) <= 2 * EXACT_BITS else None


def _short(value: Fraction) -> Fraction | None:
    """Returns the fraction, None where it is too long."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    return value if bits <= EXACT_BITS else None
