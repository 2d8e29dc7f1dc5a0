"""The parser of expressions: a whitelist of signs and names, read by precedence with its own stack.

    sum      a + b, a − b         left to right
    product  a*b, a/b, a @ b      left to right, tighter; @ is the matrix product
    sign     −a, +a               tighter: −x*y is (−x)*y
    power    a^b, a**b, a²        right to left, tighter: −x^2 is −(x^2), 2^3^2 is 2^(3^2); 2^-1 is allowed
    root     √a, ∛a               of the next number, name, call or parenthesis alone

|a|, ⌊a⌋ and ⌈a⌉ are abs, floor and ceil: a bar opens where a term is expected and closes where a sign is.
Signs that are pasted from slides are read as `nnlab.expressions.signs` says. Comparisons bind loosest and may
only be the condition of `where`. Nothing here calls Python with a piece of the text, and nothing recurses, so
that the interpreter limits neither length nor depth of an expression (Dijkstra's shunting-yard method, 1961).
Python's own `ast` refuses 200 nested parentheses and a sum of 3,000 terms, and would not say which sign is
missing.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.nodes import Graph, GraphBuilder, Parameter
from nnlab.expressions.signs import BARS, ROOTS
from nnlab.expressions.tokens import LOOK_BACK, Token, exact_value, tokenize

CONSTANTS = ("pi", "e")
ALIASES: Mapping[str, str] = {
    "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arcsinh": "asinh", "arsinh": "asinh",
    "arccosh": "acosh", "arcosh": "acosh", "arctanh": "atanh", "artanh": "atanh", "sgn": "sign",
}  # fmt: skip
"""Second names of functions."""
QUOTIENTS: Mapping[str, tuple[str, str]] = {"sec": ("", "cos"), "csc": ("", "sin"), "cot": ("cos", "sin")}
"""Functions that are quotients of others; 1 stands above where nothing does."""
_OF_ONE = (
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "exp", "expm1", "log", "log10", "log2", "log1p", "sqrt", "cbrt", "abs", "sign", "floor", "ceil",
    "sigmoid", "relu", "softplus", "erf",
)  # fmt: skip
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    **dict.fromkeys((*_OF_ONE, *ALIASES, *QUOTIENTS), (1, 1)),
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
_OPEN, _SIGN, _ROOT = -1, 4, 6
"""The precedence of an open parenthesis, at which operators stop, of a sign before a term, and of a root."""
_FOLDED = {"min": "minimum", "max": "maximum"}
_NODES = {"min": "smallest", "max": "largest", **ALIASES, "sign": "signum", "sgn": "signum"}
"""The operations whose name is not that of their function."""

EXACT_BITS = 256
"""A constant is followed as a fraction up to this size."""


def parse(
    text: str, variables: Sequence[str], names: Mapping[str, str] | None = None, *, tensors: bool = False
) -> Graph:
    """Parses an expression.

    Args:
        text: the expression: + − * / ^ ** ( ) | |, numbers, pi, e, FUNCTIONS, and the variables.
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


_CLOSED_BY = {"(": ")", **{opening: closing for opening, (closing, _) in BARS.items()}}
_CLOSING = (")", "|", "⌋", "⌉")


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
        if token.text in BARS:
            function = replace(token, kind="name", text=BARS[token.text][1])
            self.pending.append(_Pending(token, _OPEN, function))
            return 1, True
        if token.text in ("(", "+", "-") or token.text in ROOTS:
            precedence = _ROOT if token.text in ROOTS else _OPEN if token.text == "(" else _SIGN
            self.pending.append(_Pending(token, precedence))
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
            raise self._unknown(token, following, called)
        kind = "variable" if token.text in self.known else "constant"
        self._push(kind, (), (token.start, token.end), token.text)
        return 1, False

    # An operator is expected.

    def _operator(self, token: Token) -> bool:
        """Reads one; returns True where an operand is expected next."""
        if token.text in _CLOSING:
            self._close(token)
            return False
        if token.text == ",":
            self._comma(token)
            return True
        if token.text not in _PRECEDENCE:
            raise self._missing_operator(token)
        precedence = _PRECEDENCE[token.text]
        if token.text == "^":
            self._refuse_power_of_root(token)
        self._reduce(precedence + 1 if token.text == "^" else precedence)
        self.pending.append(_Pending(token, precedence))
        return True

    def _reduce(self, precedence: int) -> None:
        """Applies the pending operators that bind at least so tightly."""
        while self.pending and self.pending[-1].precedence >= precedence:
            top = self.pending.pop()
            if top.precedence == _ROOT:
                self._apply_root(top.token)
            elif top.precedence == _SIGN:
                self._apply_sign(top.token)
            else:
                self._apply_binary(top.token)

    def _close(self, token: Token) -> None:
        self._reduce(0)
        if not self.pending or _CLOSED_BY[self.pending[-1].token.text] != token.text:
            following = next(t for t in self.tokens if t.start > token.start)
            if token.text == "|" and (following.kind in ("name", "number") or following.text == "("):
                raise self._missing_operator(token)
            raise self._unmatched(token)
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
        if not self.pending or self.pending[-1].function is None or self.pending[-1].token.text != "(":
            self._refuse_decimal(token)
            raise self._error("a comma may only separate the arguments of a function", token.start)
        self.pending[-1].arguments += 1

    def _finish(self) -> Graph:
        self._reduce(0)
        if self.pending:
            opened = self.pending[-1].token
            raise self._error(f"this {opened.text} is never closed", opened.start)
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

    def _apply_root(self, token: Token) -> None:
        inside = self.operands.pop()
        self._refuse_condition(inside)
        self._push(ROOTS[token.text], (inside.node,), (token.start, inside.end))

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
        if name in QUOTIENTS:
            self._refuse_condition(arguments[0])
            self._quotient(QUOTIENTS[name], arguments[0].node, span)
            return
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
            self._push(_NODES.get(name, name), nodes, span)

    def _quotient(self, names: tuple[str, str], argument: int, span: tuple[int, int]) -> None:
        one = self.builder.add("number", (), Fraction(1), span, Fraction(1))
        parts = [self.builder.add(name, (argument,), None, span) if name else one for name in names]
        self._push("divide", parts, span)

    # Errors.

    def _refuse_power_of_root(self, token: Token) -> None:
        """Refuses √x^2, which some read as √(x^2) and others as (√x)^2."""
        if self.pending and self.pending[-1].precedence == _ROOT:
            root, inside = self.pending[-1].token, self.operands[-1]
            if self.text[inside.start] != "(":
                term = self.text[inside.start : inside.end]
                reason = (
                    f"without parentheses it may be either {root.text}({term}^…) or ({root.text}{term})^…"
                )
                raise self._error(reason, token.start)

    def _error(self, reason: str, position: int) -> ExpressionError:
        return ExpressionError(reason, self.text, position)

    def _refuse_condition(self, operand: _Operand) -> None:
        if self._is_condition(operand):
            reason = "a comparison is not a number: it may only be the condition of where(condition, a, b)"
            raise self._error(reason, operand.start)

    def _wrong_count(self, function: Token, count: int) -> ExpressionError:
        from nnlab.expressions import mistakes  # whose words take time to load

        least, most = self.functions[function.text]
        return self._error(mistakes.wrong_count(self.text, function, (least, most), count), function.start)

    def _refuse_decimal(self, comma: Token) -> None:
        """Raises the error of a comma between digits, but in (1,2), which is no number."""
        start = max(0, comma.start - LOOK_BACK)
        decimal = re.search(r"(?<![\w.,])([0-9]+)$", self.text[start : comma.start])
        rest = re.match(r"[0-9]+(?![0-9_.,])", self.text[comma.end : comma.end + LOOK_BACK])
        if decimal is None or rest is None:
            return
        before, after = self.text[: start + decimal.start()], self.text[comma.end + rest.end() :]
        if before.rstrip().endswith("(") and after.lstrip().startswith(")"):
            return
        whole, part = decimal.group(), rest.group()
        meant = f": write {whole}.{part}"
        if len(part) == 3 and whole != "0":
            meant = f", and thousands no comma: write {whole}.{part} or {whole}{part}"
        raise self._error(f"a decimal number has a point{meant}", comma.start)

    def _unmatched(self, token: Token) -> ExpressionError:
        """Returns the error of a closing sign that does not close the last one that is open."""
        if any(_CLOSED_BY.get(one.token.text) == token.text for one in self.pending):
            opened = self.pending[-1].token
            return self._error(f"this {opened.text} is never closed", opened.start)
        what = "parenthesis" if token.text == ")" else "bar" if token.text == "|" else "bracket"
        return self._error(f"this {token.text} closes no {what}", token.start)

    def _missing_operand(self, token: Token) -> ExpressionError:
        expected = "a number, a name or ( is expected"
        if token.text == "^" and token.start == token.end:  # a raised number, as in ³√x
            from nnlab.expressions import mistakes

            return self._error(mistakes.nothing_to_raise(self.text, token.start), token.start)
        if token.kind == "end":
            return self._error(f"the expression ends where {expected}", token.start)
        return self._error(f"{token.text!r} stands where {expected}", token.start)

    def _missing_operator(self, token: Token) -> ExpressionError:
        from nnlab.expressions import mistakes

        typed = mistakes.Typed(self.text, self.tokens, self.variables, self.functions, self.names)
        return self._error(mistakes.missing_operator(typed, token), token.start)

    def _unknown(self, token: Token, following: list[Token], called: bool) -> ExpressionError:
        from nnlab.expressions import mistakes

        typed = mistakes.Typed(self.text, self.tokens, self.variables, self.functions, self.names)
        return self._error(mistakes.unknown(typed, token, following, called=called), token.start)


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
