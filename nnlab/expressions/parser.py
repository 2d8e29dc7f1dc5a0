"""The parser of expressions: a whitelist of signs and names, read by precedence with a stack of its own.

    sum      a + b, a − b         left to right
    product  a*b, a/b, a @ b      left to right, tighter; @ is the matrix product
    sign     −a, +a               tighter: −x*y is (−x)*y
    power    a^b, a**b            right to left, tightest: −x^2 is −(x^2), 2^3^2 is 2^(3^2); 2^-1 is allowed

Comparisons bind loosest and may only be the condition of `where`. Nothing here calls Python with a piece of
the text, and nothing recurses, so that the interpreter limits neither length nor depth of an expression
(Dijkstra's shunting-yard method, 1961).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from nnlab.errors import suggest
from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.nodes import Graph, GraphBuilder, Node
from nnlab.expressions.tokens import Token, number, tokenize

CONSTANTS = ("pi", "e")
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    **dict.fromkeys(
        ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu"),
        (1, 1),
    ),
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
"""Also those of vectors and matrices. min and max of one argument are its smallest and largest entry."""

_BINARY = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "^": "power", "@": "matmul"}
_COMPARISONS = {"<": "less", "<=": "less_equal", ">": "less", ">=": "less_equal"}
_PRECEDENCE = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "@": 3, "sign": 4, "^": 5}
_FOLDED = {"min": "minimum", "max": "maximum"}
_REDUCED = {"min": "smallest", "max": "largest"}
_SYNONYMS = {"ln": "log", "logistic": "sigmoid", "lse": "logsumexp", "average": "mean", "if": "where"}
"""What functions are called elsewhere."""

EXACT_BITS = 256
"""A constant is followed as a fraction up to this size."""


def parse(
    text: str, variables: Sequence[str], names: Mapping[str, str] | None = None, *, tensors: bool = False
) -> Graph:
    """The graph of an expression.

    Args:
        text: the expression: + − * / ^ ** ( ), numbers, pi, e, FUNCTIONS, and the variables.
        variables: names that may occur in it.
        names: whole expressions that have a name of their own, used where the text is just that name.
        tensors: whether variables may be vectors and matrices: then also @ and TENSOR_FUNCTIONS.

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
    """A value on the stack: its node, its place with the parentheses around it, and what it is."""

    node: int
    start: int
    end: int
    is_condition: bool = False


@dataclass
class _Pending:
    """An operator that waits for its right side, or an open parenthesis, of a function or of none."""

    kind: Literal["binary", "sign", "open"]
    token: Token
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

    # Where an operand is expected.

    def _operand(self, token: Token, following: list[Token]) -> tuple[int, bool]:
        """Reads one; returns how many tokens it took and whether an operand is still expected."""
        if token.kind == "number":
            exact = number(token, self.text)
            span = (token.start, token.end)
            node = self.builder.add("number", (), exact, span, exact)
            self.operands.append(_Operand(node, *span))
            return 1, False
        if token.kind == "name":
            return self._name(token, following)
        if token.text == "(":
            self.pending.append(_Pending("open", token))
            return 1, True
        if token.text in ("+", "-"):
            self.pending.append(_Pending("sign", token))
            return 1, True
        raise self._missing_operand(token)

    def _name(self, token: Token, following: list[Token]) -> tuple[int, bool]:
        called = bool(following) and following[0].text == "("
        span = (token.start, token.end)
        if token.text in self.functions and called:
            if following[1].text == ")":
                raise self._wrong_count(token, 0)
            self.pending.append(_Pending("open", following[0], token))
            return 2, True
        if token.text in self.known:
            node = self.builder.add("variable", (), token.text, span)
        elif token.text in CONSTANTS:
            node = self.builder.add("constant", (), token.text, span)
        else:
            raise self._unknown(token, called)
        self.operands.append(_Operand(node, *span))
        return 1, False

    # Where an operator is expected.

    def _operator(self, token: Token) -> bool:
        """Reads one; returns whether an operand is expected next."""
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
        self.pending.append(_Pending("binary", token))
        return True

    def _reduce(self, precedence: int) -> None:
        """Applies the pending operators that bind at least so tightly."""
        while self.pending and self.pending[-1].kind != "open":
            top = self.pending[-1]
            if _PRECEDENCE["sign" if top.kind == "sign" else top.token.text] < precedence:
                return
            self.pending.pop()
            if top.kind == "sign":
                self._apply_sign(top.token)
            else:
                self._apply_binary(top.token)

    def _close(self, token: Token) -> None:
        self._reduce(0)
        if not self.pending:
            raise self._error("this ) closes no parenthesis", token.start)
        opened = self.pending.pop()
        if opened.function is None:
            inside = self.operands.pop()
            self.operands.append(
                _Operand(inside.node, opened.token.start, token.end, inside.is_condition),
            )
            return
        arguments = self.operands[-opened.arguments :]
        del self.operands[-opened.arguments :]
        self.operands.append(self._call(opened.function, arguments, token.end))

    def _comma(self, token: Token) -> None:
        self._reduce(0)
        if not self.pending or self.pending[-1].function is None:
            raise self._error("a comma may only part the arguments of a function", token.start)
        self.pending[-1].arguments += 1

    def _finish(self) -> Graph:
        self._reduce(0)
        if self.pending:
            raise self._error("this ( is never closed", self.pending[-1].token.start)
        result = self.operands.pop()
        self._refuse_condition(result)
        return self.builder.graph(self.text, self.variables, result.node)

    # Nodes.

    def _apply_sign(self, token: Token) -> None:
        inside = self.operands.pop()
        self._refuse_condition(inside)
        span = (token.start, inside.end)
        node = inside.node
        if token.text == "-":
            exact = self._exact(node)
            node = self.builder.add("negative", (node,), None, span, None if exact is None else -exact)
        self.operands.append(_Operand(node, *span))

    def _apply_binary(self, token: Token) -> None:
        right, left = self.operands.pop(), self.operands.pop()
        span = (left.start, right.end)
        if token.text in _COMPARISONS:
            if left.is_condition or right.is_condition:
                reason = "comparisons cannot be chained: where takes one, such as x < 1"
                raise self._error(reason, token.start)
            pair = (left.node, right.node) if token.text in ("<", "<=") else (right.node, left.node)
            node = self.builder.add(_COMPARISONS[token.text], pair, None, span)
            self.operands.append(_Operand(node, *span, is_condition=True))
            return
        self._refuse_condition(left)
        self._refuse_condition(right)
        if token.text == "^":
            node = self._power(left.node, right.node, span)
        else:
            exact = _arithmetic(token.text, self._exact(left.node), self._exact(right.node))
            node = self.builder.add(_BINARY[token.text], (left.node, right.node), None, span, exact)
        self.operands.append(_Operand(node, *span))

    def _power(self, base: int, exponent: int, span: tuple[int, int]) -> int:
        """An exponent known as a fraction becomes part of the operation: x^2, x^-1 are defined for x < 0."""
        known = self._exact(exponent)
        if known is None:
            return self.builder.add("power", (base, exponent), None, span)
        if known.denominator == 1:
            exact = _integer_power(self._exact(base), int(known))
            return self.builder.add("integer_power", (base,), int(known), span, exact)
        if known == Fraction(1, 2):
            return self.builder.add("sqrt", (base,), None, span)
        return self.builder.add("real_power", (base,), known, span)

    def _call(self, function: Token, arguments: list[_Operand], end: int) -> _Operand:
        least, most = self.functions[function.text]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            raise self._wrong_count(function, len(arguments))
        name, span = function.text, (function.start, end)
        if name == "where" and not arguments[0].is_condition:
            reason = "the first argument of where must be a comparison, such as x < 1"
            raise self._error(reason, arguments[0].start)
        for argument in arguments[name == "where" :]:
            self._refuse_condition(argument)
        if name in _REDUCED and len(arguments) == 1:
            name = _REDUCED[name]
        if name not in _FOLDED:
            node = self.builder.add(name, [a.node for a in arguments], None, span)
            return _Operand(node, *span)
        node = arguments[0].node
        for argument in arguments[1:]:
            node = self.builder.add(_FOLDED[name], (node, argument.node), None, span)
        return _Operand(node, *span)

    def _exact(self, node: int) -> Fraction | None:
        found: Node = self.builder.nodes[node]
        return found.exact

    # What is wrong.

    def _error(self, reason: str, position: int) -> ExpressionError:
        return ExpressionError(reason, self.text, position)

    def _refuse_condition(self, operand: _Operand) -> None:
        if operand.is_condition:
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
            reason = (
                f"{word} names a whole expression and cannot be part of another: write {self.names[word]}"
            )
            return self._error(reason, token.start)
        allowed: list[str] = (
            list(self.functions) if called else [*self.variables, *CONSTANTS, *self.functions]
        )
        if len(self.tokens) == 2:
            allowed += self.names
        kind = "function" if called else "name"
        meant = _SYNONYMS.get(word.lower(), word)
        return self._error(f"unknown {kind} {word}: {suggest(meant, allowed)}", token.start)


def _arithmetic(sign: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None or sign == "@" or (sign == "/" and right == 0):
        return None
    match sign:
        case "+":
            return _short(left + right)
        case "-":
            return _short(left - right)
        case "*":
            return _short(left * right)
        case _:
            return _short(left / right)


def _integer_power(base: Fraction | None, exponent: int) -> Fraction | None:
    if base is None or (base == 0 and exponent < 0):
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    return _short(base**exponent) if bits * abs(exponent) <= 2 * EXACT_BITS else None


def _short(value: Fraction) -> Fraction | None:
    """None where the fraction is too long."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    return value if bits <= EXACT_BITS else None
