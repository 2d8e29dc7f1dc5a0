"""The parser: precedence, sharing, errors that point, and what it refuses."""

import time
from fractions import Fraction

import numpy as np
import pytest

from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, Graph, evaluate, parse
from nnlab.expressions.errors import pointed
from nnlab.expressions.tokens import MAX_DIGITS, MAX_LENGTH

X, Y = 0.75, -1.5


def value(text: str) -> float:
    return float(evaluate(parse(text, ("x", "y")), {"x": X, "y": Y}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3", 7),
        ("(1 + 2)*3", 9),
        ("8 - 3 - 2", 3),
        ("8/4/2", 1),
        ("8/4*2", 4),
        ("2^3^2", 512),
        ("2**3**2", 512),
        ("2^-1", 0.5),
        ("2^-2^2", 2**-4),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("-x^2", -(X**2)),
        ("-x*y", -X * Y),
        ("3 - -2", 5),
        ("3*-2", -6),
        ("3 - +2", 1),
        ("--3", 3),
        ("-2^-2*3", -0.75),
        ("2^x*y", 2**X * Y),
        ("x/2*y", X / 2 * Y),
        (".5 + 1. + 1e-3 + 1E2", 101.501),
        ("0.1 + 0.2", 0.3),
        ("9^0.5", 3),
        ("8^(1/3)", 2),
        ("(-8)^3", -512),
        ("2^(1 - 2)", 0.5),
        ("0^0", 1),
        ("pi - e", np.pi - np.e),
        ("min(3, 1, 2) + max(1, 5, 2)", 6),
        ("where(x < 1, 2, 3) + where(x >= 1, 20, 30)", 32),
        ("where(x > 0.75, 1, 2)", 2),
        ("where(x <= 0.75, 1, 2)", 1),
        ("where((y < x), 1, 2)", 1),
        ("relu(y) + relu(x)", X),
        ("abs(y)", 1.5),
        ("sigmoid(0) + tanh(0) + log(1) + exp(0) + sqrt(4) + cos(0) + sin(0) + tan(0)", 4.5),
        (" x\t+\n y ", X + Y),
        ("((((x))))", X),
    ],
)
def test_precedence(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-15)


def test_nodes_come_in_evaluation_order_with_their_text() -> None:
    graph = parse("2*(x + y)^2 - sin(x)", ("x", "y"))
    terms = [(node.operation, graph.term(i)) for i, node in enumerate(graph.nodes)]
    assert terms == [
        ("number", "2"),
        ("variable", "x"),
        ("variable", "y"),
        ("add", "x + y"),
        ("integer_power", "(x + y)^2"),
        ("multiply", "2*(x + y)^2"),
        ("sin", "sin(x)"),
        ("subtract", "2*(x + y)^2 - sin(x)"),
    ]
    assert all(i > j for i, node in enumerate(graph.nodes) for j in node.arguments)
    assert graph.used() == ("x", "y")


def operations(graph: Graph) -> list[str]:
    return [node.operation for node in graph.nodes]


def test_equal_parts_are_shared() -> None:
    assert operations(parse("sin(x) * sin( x ) + (sin(x))", ("x",))) == ["variable", "sin", "multiply", "add"]
    assert operations(parse("x^2 + x**2.0", ("x",))).count("integer_power") == 1
    assert operations(parse("where(x<1, x, 0) + where(1>x, x, 0)", ("x",))).count("less") == 1


@pytest.mark.parametrize(
    ("text", "operation", "parameter"),
    [
        ("x^2", "integer_power", 2),
        ("x^-(4/2)", "integer_power", -2),
        ("x^0.5", "sqrt", None),
        ("sqrt(x)", "sqrt", None),
        ("x^(1/3)", "real_power", Fraction(1, 3)),
        ("x^0.1", "real_power", Fraction(1, 10)),
        ("x^pi", "power", None),
        ("x^x", "power", None),
    ],
)
def test_a_constant_exponent_is_part_of_the_power(text: str, operation: str, parameter: object) -> None:
    last = parse(text, ("x",)).nodes[-1]
    assert (last.operation, last.parameter) == (operation, parameter)


def test_a_name_stands_for_a_whole_expression() -> None:
    names = {"runge": "1/(1 + 25*x^2)"}
    assert parse(" runge ", ("x",), names).text == names["runge"]
    with pytest.raises(ExpressionError, match="runge names a whole expression"):
        parse("runge + 1", ("x",), names)
    with pytest.raises(ExpressionError, match="did you mean runge"):
        parse("rung", ("x",), names)


ERRORS = [
    ("x +* y", "'*' stands where a number, a name or ( is expected", 3),
    ("x +", "the expression ends where a number, a name or ( is expected", 3),
    ("()", "')' stands where a number, a name or ( is expected", 1),
    ("2x", "an operator is missing before 'x': write 2*x", 1),
    ("x y", "an operator is missing before 'y': write x*y", 2),
    ("2(x)", "an operator is missing before '(': write 2*(…)", 1),
    ("x(2)", "an operator is missing before '(': write x*(…)", 1),
    ("(x)(y)", "an operator is missing before '(': write * between ) and (…)", 3),
    ("1.2.3", "1.2.3 is no number: it has two decimal points", 3),
    ("0x10", "an operator is missing before 'x10'", 1),
    ("(x + (y)", "this ( is never closed", 0),
    ("sin(x", "this ( is never closed", 3),
    ("x + y) * 2", "this ) closes no parenthesis", 5),
    ("foo(x)", "unknown function foo: Allowed: abs, acos", 0),
    ("1 + sine(x)", "unknown function sine: did you mean sin? Allowed", 4),
    ("1 + z", "unknown name z: Allowed: abs, acos", 4),
    ("sin x", "sin is a function: write sin(x)", 0),
    ("sin()", "sin takes 1 argument, and has 0 here", 0),
    ("1 + sin(x, y)", "sin takes 1 argument, and has 2 here", 4),
    ("max(x)", "max takes 2 or more arguments, and has 1 here", 0),
    ("where(x < 1, 2)", "where takes 3 arguments, and has 2 here", 0),
    ("where(x, 1, 2)", "the first argument of where must be a comparison", 6),
    ("x < 1", "a comparison is not a number", 0),
    ("1 + (x < 1)", "a comparison is not a number", 4),
    ("-(x < 1)", "a comparison is not a number", 1),
    ("where(0 < x < 1, 1, 2)", "comparisons cannot be chained", 12),
    ("where(x < 1, x < 2, 2)", "a comparison is not a number", 13),
    ("x, y", "a comma may only separate the arguments of a function", 1),
    ("max((x, y), 1)", "a comma may only separate the arguments of a function", 6),
    ("max(x,,y)", "',' stands where a number", 6),
    ("x == 1", "'=' cannot be in an expression: conditions are made of < <= > >=", 2),
    ("x ≠ 1", "'≠' (U+2260) cannot be in an expression: conditions are made of < <= > >=", 2),
    ("sin(\u0445)", "'\u0445' (U+0445) cannot be in an expression", 4),
    ("xⁿ", "'ⁿ' (U+207F) cannot be in an expression: write ^n", 1),
    ("\u0661 + x", "cannot be in an expression", 0),
    ("1e400", "1e400 is too large for float64", 0),
    ("x + 1e-400", "1e-400 is too small for float64", 4),
    ("1e999999999", "too large", 0),
    ("", "the expression is empty", 0),
    ("  ", "the expression is empty", 0),
]


@pytest.mark.parametrize(("text", "reason", "position"), ERRORS)
def test_an_error_points_at_the_character(text: str, reason: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, ("x", "y"))
    assert isinstance(caught.value, InputError)
    assert caught.value.position == position
    message, line, caret = str(caught.value).split("\n")
    assert reason in message
    assert line == "  " + text
    assert caret == "  " + " " * position + "^"


def test_a_long_text_is_cut_around_the_fault() -> None:
    text = "x + " * 50 + "$" + " + x" * 50
    with pytest.raises(ExpressionError) as caught:
        parse(text, ("x",))
    _, line, caret = str(caught.value).split("\n")
    assert len(line) < 80
    assert line[caret.index("^")] == "$"
    assert line.startswith("  …")
    assert line.endswith("…")


def test_control_characters_do_not_move_the_caret() -> None:
    assert pointed("x\n\t+$", 4) == "  x  +$\n      ^"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "x.real",
        "x.__class__",
        "lambda: 1",
        "(lambda x: x)(1)",
        "[x for x in (1, 2)]",
        "{x}",
        "x[0]",
        "'x'",
        '"x"',
        "`x`",
        "f(x)",
        "f'{x}'",
        "exec(x)",
        "eval(x)",
        "open(x)",
        "getattr(x, x)",
        "print(x)",
        "globals()",
        "x if x else x",
        "x and x",
        "not x",
        "x := 1",
        "x; x",
        "x = 1",
        "x @ x",
        "x // 2",
        "x % 2",
        "x << 2",
        "~x",
        "x | x",
        "1_000",
        "1j",
        "0b1",
        "True",
        "None",
        "x\\",
        "x #",
        "x!",
        "$x",
        "x\x00",
        "\uff58\uff59\uff1d",  # full-width letters, which Python itself would read as x and y
        "x\u200bx",
        "x\u037e",
        "inf",
        "nan",
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text, ("x",))


@pytest.mark.parametrize(
    "text", ["x" * (MAX_LENGTH + 1), "1" * (MAX_DIGITS + 1), "x + " + "0." + "1" * MAX_DIGITS]
)
def test_limits_of_length(text: str) -> None:
    with pytest.raises(ExpressionError, match="at most 1"):
        parse(text, ("x",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" + " + x - x" * 5_000, 0.5),
        ("+".join(f"{k}*x" for k in range(5_000)), 0.5 * 4999 * 2500),
        ("+".join(["sin(x)"] * 5_000), 5_000 * np.sin(0.5)),
        ("(" * 5_000 + "x" + ")" * 5_000, 0.5),
        ("abs(" * 5_000 + "x" + ")" * 5_000, 0.5),
        ("-" * 10_000 + "x", 0.5),
        ("^".join(["x"] * 10_000), 0.641186),  # the fixed point y = 0.5^y
        ("+".join(["1/3"] * 10_000) + "+x", 10_000 / 3 + 0.5),
    ],
)
def test_long_and_deep_expressions(text: str, expected: float) -> None:
    start = time.process_time()
    graph = parse(text, ("x",))
    assert time.process_time() - start < 1
    assert float(evaluate(graph, {"x": 0.5})) == pytest.approx(expected, rel=1e-6)


def test_a_graph_is_asked_for_all_its_variables_and_no_others() -> None:
    graph = parse("x + y", ("x", "y", "z"))
    with pytest.raises(InputError, match="no value is given for y"):
        evaluate(graph, {"x": 1.0})
    with pytest.raises(InputError, match="has no variable w"):
        evaluate(graph, {"x": 1.0, "y": 1.0, "w": 1.0})
    assert evaluate(graph, {"x": 1.0, "y": 1.0, "z": np.zeros(3)}).shape == (3,)
