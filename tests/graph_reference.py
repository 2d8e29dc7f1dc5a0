"""A second evaluator of expressions, mpmath on Python's own syntax tree; and hypothesis-made expressions."""

import ast
from collections.abc import Mapping
from typing import Any

import mpmath as mp
from hypothesis import strategies as st

DIGITS = 120
STEP = mp.mpf(10) ** -30

FUNCTIONS: dict[str, Any] = {
    **{name: getattr(mp, name) for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh")},
    **{
        name: getattr(mp, name)
        for name in ("log10", "log1p", "expm1", "sinh", "cosh", "asinh", "erf", "floor", "ceil")
    },
    **{name: getattr(mp, name) for name in ("sec", "csc", "cot", "sign", "acosh", "atanh")},
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "ln": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "abs": abs,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "relu": lambda x: max(x, mp.mpf(0)),
    "min": min,
    "max": max,
    "where": lambda condition, a, b: a if condition else b,
}


def reference(text: str, values: Mapping[str, Any]) -> Any:
    """The value in DIGITS digits; None where it is not a real number of moderate size."""
    with mp.workdps(DIGITS):
        try:
            value = _walk(ast.parse(text.replace("^", "**").strip(), mode="eval").body, values)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):
            return None
        return value if isinstance(value, mp.mpf) and mp.isfinite(value) else None


def _walk(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value):
            return mp.mpf(ast.unparse(node)) if isinstance(value, int) else mp.mpf(repr(value))
        case ast.Name(name):
            return values[name] if name in values else {"pi": +mp.pi, "e": +mp.e}[name]
        case ast.UnaryOp(ast.USub(), inside):
            return -_walk(inside, values)
        case ast.UnaryOp(ast.UAdd(), inside):
            return _walk(inside, values)
        case ast.Compare(left, [sign], [right]):
            a, b = _walk(left, values), _walk(right, values)
            return {ast.Lt: a < b, ast.LtE: a <= b, ast.Gt: a > b, ast.GtE: a >= b}[type(sign)]
        case ast.Call(ast.Name("where"), [condition, a, b]):
            return _walk(a if _walk(condition, values) else b, values)
        case ast.Call(ast.Name(name), arguments):
            return _real(FUNCTIONS[name](*(_walk(argument, values) for argument in arguments)))
        case ast.BinOp(left, sign, right):
            return _real(_binary(sign, _walk(left, values), _walk(right, values)))
    raise TypeError(ast.dump(node))


def _real(value: Any) -> Any:
    """mpmath goes on in complex numbers where an expression has no value."""
    if not isinstance(value, mp.mpf):
        raise TypeError(value)
    return value


def _binary(sign: ast.operator, a: Any, b: Any) -> Any:
    match sign:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Pow():
            return _power(a, b)
    raise TypeError(sign)


def _power(a: Any, b: Any) -> Any:
    """a^b; of huge exponents that of numbers near 1, by exp and log and the parity of b."""
    if abs(b) <= 50 and abs(a) <= 1e9:
        return a**b
    if a == 0 or abs(b * mp.log(abs(a))) > 5000 or abs(b) > mp.mpf(10) ** 50:
        raise OverflowError
    if a < 0 and b != mp.floor(b):
        raise ValueError
    with mp.workdps(DIGITS + 60):
        value = mp.exp(b * mp.log(abs(a)))
        return -value if a < 0 and int(b) % 2 else value


def slope(text: str, values: Mapping[str, Any], variable: str) -> Any:
    """∂f/∂variable by a central difference whose error is some 10⁻⁶⁰; None where f is not defined around."""
    with mp.workdps(DIGITS):
        ends = [reference(text, {**values, variable: values[variable] + h}) for h in (STEP, -STEP)]
        return None if None in ends else (ends[0] - ends[1]) / (2 * STEP)


def bend(text: str, values: Mapping[str, Any], variable: str) -> Any:
    """∂²f/∂variable² in the same way."""
    with mp.workdps(DIGITS):
        three = [reference(text, {**values, variable: values[variable] + h}) for h in (STEP, 0, -STEP)]
        return None if None in three else (three[0] - 2 * three[1] + three[2]) / STEP**2


numbers = st.one_of(
    st.integers(0, 9).map(str),
    st.decimals("0.01", "9.99", places=2).map(str),
    st.sampled_from(["pi", "e", "1e-3", ".5", "0.1", "0.5"]),
)


def expressions(variables: tuple[str, ...] = ("x",), smooth: bool = False) -> st.SearchStrategy[str]:
    """Texts of expressions of up to a dozen operations."""
    unary = [
        "sin",
        "cos",
        "tan",
        "exp",
        "log",
        "sqrt",
        "tanh",
        "sigmoid",
        "log10",
        "log2",
        "log1p",
        "expm1",
        "erf",
    ]
    unary += [
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "arcsin",
        "arccos",
        "arctan",
        "cbrt",
        "softplus",
        "sec",
        "cot",
    ]
    unary += [] if smooth else ["abs", "relu", "floor", "ceil", "sign"]

    def larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(part, part)
        kinked = [
            st.builds("{0}({1[0]}, {1[1]})".format, st.sampled_from(["min", "max"]), pairs),
            st.builds("where({0} {1} {2[0]}, {2[1]}, {0})".format, part, st.sampled_from(["<", ">="]), pairs),
        ]
        return st.one_of(
            st.builds("({0[0]} {1} {0[1]})".format, pairs, st.sampled_from(["+", "-", "*", "/"])),
            st.builds("{0}({1})".format, st.sampled_from(unary), part),
            st.builds(
                "({0})^{1}".format, part, st.sampled_from(["2", "3", "-1", "0.5", "1.5", "(1/3)", "-2"])
            ),
            st.builds("-{0}".format, part),
            *([] if smooth else kinked),
        )

    leaves = st.one_of(st.sampled_from(variables), st.sampled_from(variables), numbers)
    return st.recursive(leaves, larger, max_leaves=8)
