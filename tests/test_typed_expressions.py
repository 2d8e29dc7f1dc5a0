"""Expressions as people type and paste them: those that are read, and what is said about the others."""

import math
import re
import time

import mpmath as mp
import numpy as np
import pytest
from numpy.typing import ArrayLike

from nnlab.chapters.backpropagation.autograd import autograd
from nnlab.chapters.backpropagation.checks import check
from nnlab.chapters.backpropagation.latex import latex
from nnlab.chapters.backpropagation.sentences import kink_notes
from nnlab.chapters.backpropagation.values import graph_at, typed_values
from nnlab.chapters.backpropagation.worksheet import Worksheet, build
from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, UnboundedSlopeError, evaluate, gradient, lipschitz, parse
from nnlab.expressions.hints import MISSING, SYNONYMS, WORDS
from nnlab.expressions.numbers import number_value
from nnlab.expressions.parser import FUNCTIONS, TENSOR_FUNCTIONS
from nnlab.expressions.signs import FRACTIONS, plain
from tests.graph_reference import FUNCTIONS as EXACT

X, Y = 0.7, 2.0

READ = [
    # what is typed, and its value at x = 0.7, y = 2
    ("x − 1", X - 1), ("x – 1", X - 1), ("x ‑ 1", X - 1), ("2·x", 2 * X), ("2 × x", 2 * X), ("2⋅x", 2 * X),
    ("2∗x", 2 * X), ("x ÷ 4", X / 4), ("x∕4", X / 4), ("x⁄4", X / 4), ("2 *\u00a0x", 2 * X),
    ("2\u2062x", 2 * X), ("x\u202f+\u20091", X + 1), ("\ufeffx", X), ("ｘ＋１", X + 1), ("𝑥^2", X**2),
    ("π*x", math.pi * X), ("𝜋 · x", math.pi * X), ("sin(2*π*x)", math.sin(2 * math.pi * X)),
    ("x²", X**2), ("3*x²", 3 * X**2), ("x³ − x", X**3 - X), ("x⁴", X**4), ("x¹⁰", X**10), ("x⁻¹", 1 / X),
    ("x⁻²", X**-2), ("x⁺²", X**2), ("−x²", -(X**2)), ("2^x²", 2 ** (X**2)), ("(x+1)²", (X + 1) ** 2),
    ("sin(x)²", math.sin(X) ** 2), ("|x|³", X**3), ("e^−x²", math.exp(-(X**2))), ("10⁻³*x", X / 1000),
    ("√x", math.sqrt(X)), ("√(x+1)", math.sqrt(X + 1)), ("√2*x", math.sqrt(2) * X),
    ("√x+1", math.sqrt(X) + 1),
    ("√√x", X**0.25), ("2*√x/3", 2 * math.sqrt(X) / 3), ("√sin(x)", math.sqrt(math.sin(X))),
    ("−√x", -math.sqrt(X)),
    ("√(x)²", X), ("√|x|", math.sqrt(X)), ("∛x", X ** (1 / 3)), ("∛(−8)", -2.0), ("2^√x", 2 ** math.sqrt(X)),
    ("|x − 1|", 1 - X), ("||x|−1|", 1 - X), ("|x|*|y|", X * Y), ("|x*|−y||", X * Y), ("1/|x|", 1 / X),
    ("|−3|", 3.0), ("abs(|x| − |y|)", Y - X), ("|(x − y)|", Y - X), ("2^|x|", 2**X), ("|x|^|y|", X**Y),
    ("⌊3*x⌋", 2.0), ("⌈3*x⌉", 3.0), ("⌊−x⌋", -1.0), ("x − ⌊x⌋", X), ("½*x", X / 2), ("x^½", math.sqrt(X)),
    ("¾ + ⅓", 3 / 4 + 1 / 3), ("½²", 0.25), ("log₂(x)", math.log2(X)), ("log₁₀(x)", math.log10(X)),
    ("σ(x)", 1 / (1 + math.exp(-X))), ("where(x≤1, x, y)", X), ("where(x ≥ 1, x, y)", Y), ("x**2", X**2),
    ("ln(x)", math.log(X)), ("log10(x)", math.log10(X)), ("log2(x)", math.log2(X)),
    ("log1p(x)", math.log1p(X)),
    ("expm1(x)", math.expm1(X)), ("sinh(x)", math.sinh(X)), ("cosh(x)", math.cosh(X)),
    ("arctan(x)", math.atan(X)),
    ("atan(x)", math.atan(X)), ("arcsin(x)", math.asin(X)), ("asin(x)", math.asin(X)),
    ("acos(x)", math.acos(X)),
    ("arccos(x)", math.acos(X)), ("asinh(x)", math.asinh(X)), ("arsinh(x)", math.asinh(X)),
    ("arcosh(y)", math.acosh(Y)), ("acosh(y)", math.acosh(Y)), ("artanh(x)", math.atanh(X)),
    ("floor(x)", 0.0),
    ("ceil(x)", 1.0), ("sign(−x)", -1.0), ("sgn(x)", 1.0), ("softplus(x)", math.log1p(math.exp(X))),
    ("cbrt(x)", X ** (1 / 3)), ("erf(x)", math.erf(X)), ("sec(x)", 1 / math.cos(X)),
    ("csc(x)", 1 / math.sin(X)),
    ("cot(x)", 1 / math.tan(X)), ("1e5*x", 1e5 * X), (".5*x", X / 2), ("5.*x", 5 * X),
    ("e^x", math.exp(X)), ("--x", X), ("x*-1", -X),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READ)
def test_what_is_pasted_is_read(text: str, expected: float) -> None:
    graph = parse(text, ("x", "y"))
    assert float(evaluate(graph, {"x": X, "y": Y})) == pytest.approx(expected, rel=1e-14, abs=1e-300)
    assert graph.text == text
    tensors = parse(text, ("x", "y"), tensors=True)
    assert float(evaluate(tensors, {"x": X, "y": Y})) == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("text", [text for text, _ in READ if not text.isascii()])
def test_what_is_pasted_can_be_typeset(text: str) -> None:
    graph = parse(text, ("x", "y"), tensors=True)
    sheet = build(graph, {"x": X, "y": Y})
    assert latex(sheet).isascii()


HINTS = [
    # what is typed, words of the message, the place of the caret
    ("y = x^2", "give the right side of the equation alone, x^2", 2),
    ("f(x) = sin(x)", "the right side of the equation alone, sin(x)", 5),
    ("y := x^2", "the right side of the equation alone, x^2", 2),
    ("z=2*x", "the right side of the equation alone, 2*x", 1),
    ("x == 1", "conditions are made of < <= > >=", 2), ("x = 1", "conditions are made of < <= > >=", 2),
    ("x ≠ 1", "conditions are made of < <= > >=", 2), ("x = ", "conditions are made of", 2),
    ("0,5", "a decimal number has a point: write 0.5", 1), ("2,5*x", "write 2.5", 1),
    ("x + 0,25", "write 0.25", 5),
    ("1,000", "write 1.000 or 1000", 1), ("sin(0,5)", "a decimal number has a point, 0.5", 0),
    ("√(0,5)", "a comma may only separate", 3),
    ("sin^2(x)", "write sin(x)^2", 0), ("sin²(x)", "write sin(x)^2", 0),
    ("cos**3(2*x)", "write cos(2*x)^3", 0),
    ("1 + tanh^2(x)", "write tanh(x)^2", 4), ("log²(x)", "write log(x)^2", 0), ("sin^x", "write sin(…)^…", 0),
    ("sin^-1(x)", "write arcsin(x) or 1/sin(x)", 0), ("tan⁻¹(x)", "write arctan(x) or 1/tan(x)", 0),
    ("exp^-1(x)", "write 1/exp(x)", 0), ("sin x", "write sin(x)", 0), ("sin 2x", "write sin(2*x)", 0),
    ("exp -x", "write exp(…)", 0), ("ln|x|", "write ln(abs(x))", 0), ("log", "write log(…)", 0),
    ("max x", "write max(…, …)", 0), ("abs x", "write abs(x)", 0), ("2 + sin", "write sin(…)", 4),
    ("2x", "write 2*x", 1), ("2 x", "write 2*x", 2), ("xy", "write x*y", 0), ("2xy", "write 2*x*y", 1),
    ("pix", "write pi*x", 0), ("2π", "write 2*π", 1), ("x²y", "write x²*y", 2), ("x^2y", "write x^2*y", 3),
    ("½x", "write ½*x", 1), ("1½", "write (1 + ½)", 1), ("x(1 - x)", "write x*(…)", 1),
    ("2(x)", "write 2*(…)", 1),
    ("(x)(y)", "an operator is missing before '('", 3), ("|x||y|", "an operator is missing before '|'", 3),
    ("x|y|", "write x*|…|", 1), ("sinx", "write sin(x)", 0), ("sin2x", "write sin(2*x)", 0),
    ("xsin(x)", "x*sin(…)", 0),
    ("ex", "write e*x", 0), ("1 000", "write 1000 if it is one number", 2),
    ("1.2.3", "two decimal points", 3),
    ("[x]", "write (", 0), ("{x}", "write (", 0), ("(x + 1]", "write )", 6),
    ("x'", "derivatives are computed", 1),
    ("f'(x)", "derivatives are computed", 1), ("x′", "derivatives are computed", 1),
    ("∂x", "derivatives are", 0),
    ("d/dx x^2", "derivatives are computed", 0), ("5%", "write 5/100", 1), ("x % 2", "a - b*floor(a/b)", 2),
    ("x!", "there is no factorial", 1), ("∞", "it is no number", 0), ("τ*x", "write 2*pi", 0),
    ("90°", "*pi/180", 2),
    ("x;y", "write , between", 1), ('"x^2"', "leave the quotes out", 0), ("$x^2$", "write x^2", 0),
    ("np.sin(x)", "leave np. out", 2), ("math.exp(x)", "leave math. out", 4),
    ("x.^2", "leave the point out", 1),
    ("x if x > 0 else 0", "write where(condition, a, b)", 2),
    ("x > 0 and x < 1", "where takes one comparison", 6),
    ("x > 0 && x < 1", "where takes one comparison", 6), ("x > 0 ? x : 0", "write where(condition, a, b)", 6),
    ("x < 1", "a comparison is not a number", 0), ("0 < x < 1", "comparisons cannot be chained", 6),
    (r"\frac{1}{2}x", "write ((1)/(2))*x", 0), (r"\sin x", "write sin(x)", 0),
    (r"\sin(x)", "write sin(x)", 0),
    (r"2 \cdot x", "write 2 * x", 2), (r"\sqrt{x}", "write sqrt(x)", 0), (r"e^{-x}", "write e^(-x)", 2),
    (r"\frac{1}{1+e^{-x}}", "write ((1)/(1+e^(-x)))", 0), (r"\sin^2(x)", "write sin(x)^2", 0),
    (r"\log_{10}(x)", "write log10 (x)", 0), (r"\left|x\right|", "write |x |", 0), (r"\foo{x}", "LaTeX", 0),
    (r"2\pi x", "write 2*pi*x", 1), ("√x²", "without parentheses", 2), ("x²³^2", "a power of a power", 3),
    ("x²^3", "a power of a power", 2), ("|x", "this | is never closed", 0), ("x|", "this | closes no bar", 1),
    ("|(x|", "this ( is never closed", 1), ("(|x)", "this | is never closed", 1),
    ("⌊x", "this ⌊ is never closed", 0),
    ("x⌋", "this ⌋ closes no bracket", 1), ("((x)", "this ( is never closed", 0),
    ("x)", "closes no parenthesis", 1),
    ("| |", "the expression ends where", 3),
    ("sin()", "takes 1 argument, and has 0", 0), ("x +", "the expression ends where", 3), ("", "is empty", 0),
    ("log(x, 2)", "write log2(x), log10(x), or log(x)/log(b)", 0), ("log_2(x)", "did you mean log2?", 0),
    ("Sin(x)", "did you mean sin?", 0), ("tnah(x)", "did you mean tanh?", 0),
    ("sinn(x)", "did you mean sin?", 0),
    ("sigmod(x)", "did you mean sigmoid?", 0), ("sqtr(x)", "did you mean sqrt?", 0),
    ("exo(x)", "did you mean exp?", 0),
    ("arctn(x)", "did you mean arctan?", 0), ("logistic(x)", "did you mean sigmoid?", 0),
    ("tg(x)", "did you mean tan?", 0),
    ("round(x)", "round is not available: write floor(x + 1/2)", 0), ("mod(x, 2)", "mod is not available", 0),
    ("atan2(x, y)", "atan2 is not available", 0), ("gelu(x)", "gelu is not available", 0),
    ("lg(x)", "lg is not", 0),
    ("heaviside(x)", "write where(x < 0, 0, 1)", 0), ("gamma(x)", "gamma is not available", 0),
    ("x‖", "cannot be in an expression", 1), ("xⁿ", "write ^n", 1), ("∑x", "write the terms one by one", 0),
    ("sen(x)", "did you mean sin?", 0), ("tang(x)", "did you mean tan?", 0),
    ("cotg(x)", "did you mean cot?", 0),
    ("lnx", "write ln(x)", 0), ("log10x", "write log10(x)", 0), ("LN(x)", "did you mean ln?", 0),
    ("NaN", "NaN is not available", 0), ("true", "unknown name true", 0), ("log x^2", "write log(…)", 0),
    ("3sin(x)", "write 3*sin(…)", 1), ("1/2x", "write (2*x) if that is the divisor, 2*x if not", 3),
    ("√2x", "write (2*x) if that is the number below the root", 2), ("x.y", "a decimal point stands", 1),
    (r"x\y", "is not read: write sin(x), a/b", 1), ("x%", "write x/100", 1),
    ("x ≈ 1", "conditions are made of", 2),
    ("x±1", "write one of + and -", 1), ("x times y", "write * for a product", 2),
    ("x\u0301", "cannot be", 1),
    ("sin²x", "write sin(x)^2", 0), ("1 + cos² y", "write cos(y)^2", 4), ("sin^2 x", "write sin(x)^2", 0),
    ("sin⁻¹ x", "write arcsin(x) or 1/sin(x)", 0), ("sin²x²", "write sin(…)^…", 0),
    ("sin2πx", "write sin(…) if", 0), ("³√x", "write (…)^(1/3) or ∛…", 0), ("⁴√x", "write (…)^(1/4)", 0),
    ("²", "the ² has nothing before it", 0), ("3√x", "write (…)^(1/3) if that root is meant", 1),
    ("e^2x", "write e^2*x, or e^(2*x) if that is the exponent", 3), ("10^-3x", "or 10^(-3*x) if that is", 5),
    ("x/xy", "write (x*y) if that is the divisor", 2), ("x^xy", "write (x*y) if that is", 2),
    ("1_000", "write 1000 if it is one number", 1), ("1'000*x", "write 1000 if it is one number", 1),
    ("0,5x", "write 0.5", 1), ("x—1", "write - for a minus", 1), ("θ*x", "a name has letters a to z", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "position"), HINTS)
def test_a_hint_says_what_to_write(text: str, words: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, ("x", "y"))
    message, line, caret = str(caught.value).split("\n")
    assert words in message
    assert (line, caret) == ("  " + text, "  " + " " * position + "^")


@pytest.mark.parametrize(
    "text",
    [text for text, *_ in HINTS if text and not text.isspace() and "‖" not in text and "d/dx" not in text],
)
def test_backprop_refuses_them_as_well(text: str) -> None:
    """There every name may be a variable; one that has no value is told."""
    with pytest.raises(InputError):
        graph_at(text, ["x", "y"])


@pytest.mark.parametrize(
    ("text", "better"),
    [
        (r"\frac{1}{2}x", "((1)/(2))*x"), (r"\frac{\sin(\pi x)}{x}", "((sin(pi*x))/(x))"), ("y = x^2", "x^2"),
        (r"\frac{x^{2}}{1+x^{2}}", "((x^(2))/(1+x^(2)))"), ("$x^2 + 1$", "x^2 + 1"),
    ],
)  # fmt: skip
def test_what_a_hint_proposes_can_be_read(text: str, better: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(better)):
        parse(text, ("x",))
    parse(better, ("x",))


def test_hints_name_only_functions_that_are_there_and_formulas_that_are_read() -> None:
    assert {*SYNONYMS.values()} <= {*TENSOR_FUNCTIONS}
    assert not {*SYNONYMS} & {*FUNCTIONS}
    assert not {*MISSING} & {*FUNCTIONS}
    assert not {*WORDS} & {*TENSOR_FUNCTIONS}
    for name, formula in MISSING.items():
        for part in filter(None, formula.split(" or ")):
            parse(part, ("x", "y", "a", "b"), tensors=name == "dot")


@pytest.mark.parametrize("name", [name for name in MISSING if name not in TENSOR_FUNCTIONS])
def test_a_function_that_is_missing_is_never_taken_for_another(name: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(f"{name}(x)", ("x",))
    assert "did you mean" not in caught.value.reason
    assert f"{name} is not available" in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "a" * 18_000, "sin" * 6_000 + "(x)", "x" * 18_000 + "!", "1" * 900 + "%", "x" + " " * 18_000 + "=",
        "(" * 10_000, "|" * 10_000, "x" * 10_000 + " y", "\\frac" * 2_000, "\\frac{" * 2_000, "1,1," * 2_000,
        "√" * 10_000, "f(" * 6_000 + "=", "^{" * 6_000, "$" + "x " * 8_000, "²" * 10_000, "½" * 10_000,
        "1 " * 8_000, "sin^" * 2_000, "." * 10_000, "x'" * 8_000, "log " * 4_000, "((1)/(2))" * 2_000,
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_long_texts_are_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ExpressionError):
        parse(text, ("x", "y"), tensors=True)
    with pytest.raises(InputError):
        graph_at(text, ["x", "y"])
    assert time.process_time() - started < 2


def test_the_caret_stands_below_wide_letters_too() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("ｘ＋１ = ½", ("x",))
    assert str(caught.value).split("\n")[-1] == "  \u3000\u3000\u3000 ^"


def test_signs_are_replaced_in_their_places() -> None:
    text = "2 × 𝑥₁ − ½·√π\u00a0³ ≤ ∞"
    assert len(plain(text)) == len(text)
    assert plain("x + 1") == "x + 1"
    assert all(plain(sign) == sign for sign in FRACTIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2*pi", 2 * math.pi), ("−1", -1), ("1/3", 1 / 3), ("2*π", 2 * math.pi), ("√2", math.sqrt(2)),
     ("1e-3", 1e-3), ("½", 0.5), (" 5 ", 5)],
)  # fmt: skip
def test_a_number_may_be_an_expression(text: str, expected: float) -> None:
    assert number_value(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("text", ["x", "1/0", "inf", "nan", "", "0,5", "log(0)", "1 < 2", "2pi"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        number_value(text)


def test_values_are_pasted_too() -> None:
    assert typed_values("x=−2, y=[½, √4]") == [("x", -2.0), ("y", [0.5, 2.0])]
    assert typed_values("x₁=1") == [("x1", 1.0)]
    with pytest.raises(ExpressionError, match=re.escape("a decimal number has a point: 0.5")):
        typed_values("x=0,5")


# --- the functions ---

BRANCHES = {
    "log10": [1e-300, 1 - 1e-12, 1 + 1e-12, 1e300], "log2": [1e-300, 1 + 1e-12, 1e300],
    "log1p": [1e-20, -1e-20, 1e-300, -1 + 1e-12, 1e300], "expm1": [1e-20, -1e-20, -800.0, 700.0],
    "sinh": [1e-20, -1e-300, 700.0], "cosh": [1e-9, -700.0], "asinh": [1e-20, -1e-20, 1e200, -1e200],
    "acosh": [1 + 1e-12, 1e200], "atanh": [1e-20, 1 - 1e-12, -1 + 1e-12],
    "arcsin": [1e-20, 1 - 1e-12, -1 + 1e-12],
    "arccos": [1e-20, 1 - 1e-12, -1 + 1e-12], "arctan": [1e-20, 1e100, -1e100],
    "cbrt": [1e-20, -1e-300, 1e300],
    "erf": [1e-20, -1e-20, 6.0, -5.0], "softplus": [1e-20, 1000.0, -700.0, 40.0, -40.0],
    "ln": [1e-300, 1 + 1e-12],
    "sec": [1e-9, 1.57], "csc": [1e-9, 3.14], "cot": [1e-9, 1.57], "floor": [2.5], "ceil": [-2.5],
    "sign": [-1e-300],
}  # fmt: skip


def sheet_of(text: str, **at: ArrayLike) -> Worksheet:
    return build(parse(text, tuple(at), tensors=True), at)


@pytest.mark.parametrize(
    ("name", "x"), [(name, x) for name, places in BRANCHES.items() for x in (0.3, *places)]
)
def test_values_and_slopes_near_branch_points(name: str, x: float) -> None:
    """Against mpmath with 60 digits, the slope as its derivative there."""
    x = 1.0 + x if name == "acosh" and x == 0.3 else x
    value, slopes = gradient(parse(f"{name}(x)", ("x",)), {"x": x})
    with mp.workdps(700):
        exact, at = EXACT[name], mp.mpf(x)
        step = mp.mpf(10) ** -330
        slope = (exact(at + step) - exact(at - step)) / (2 * step)
        assert value == pytest.approx(float(exact(at)), rel=4e-15, abs=1e-305)
        near_pole = name in ("sec", "csc", "cot")
        assert float(slopes["x"]) == pytest.approx(
            float(slope), rel=1e-11 if near_pole else 2e-13, abs=1e-290
        )


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if FUNCTIONS[name] == (1, 1)])
def test_gradients_are_those_of_torch_and_of_differences(name: str) -> None:
    for x in (1.25, 3.7) if name in ("acosh", "arcosh", "arccosh") else (0.3, -0.45, 0.85):
        if x < 0 and (name.startswith("log") or name in ("ln", "sqrt")) and name != "log1p":
            continue
        sheet = sheet_of(f"{name}(x)*y", x=x, y=1.5)
        checks = check(sheet, torch=True)
        assert checks.agree, (name, x, checks)
        _, theirs = autograd(sheet.graph, sheet.at)
        assert float(sheet.gradients["x"]) == pytest.approx(float(theirs["x"]), rel=1e-13, abs=1e-300)
        assert latex(sheet, checks=checks).isascii()
    vector = sheet_of(f"sum({name}(x))", x=np.array([1.5, 2.5]) if "cosh" in name else np.array([0.2, 0.6]))
    assert check(vector, torch=True).agree


@pytest.mark.parametrize(
    ("text", "x", "below", "above"),
    [
        ("floor(x)", 2.0, 1, 2), ("ceil(x)", 2.0, 2, 3), ("sign(x)", 0.0, -1, 1), ("floor(-x)", 2.0, -2, -3),
        ("x*floor(x)", 3.0, 6, 9), ("floor(x)^2", 0.0, 1, 0), ("⌊x⌋ + ⌈x⌉", 1.0, 1, 3),
        ("sign(x - 1)*x", 1.0, -1, 1),
    ],
)  # fmt: skip
def test_jumps_are_told(text: str, x: float, below: float, above: float) -> None:
    sheet = sheet_of(text, x=x)
    checks = check(sheet)
    (sides,) = checks.sides.values()
    assert (sides.below, sides.above, sides.jumps) == (below, above, True)
    assert checks.agree
    assert all(checks.kinks.values())
    notes = kink_notes(sheet, checks, sheet.notation)
    assert any("jumps" in note for note in notes)
    assert any(note.startswith("jump at x") for note in notes)


def test_between_jumps_there_is_no_kink() -> None:
    for text in ("floor(x)", "ceil(x)", "sign(x)", "x - floor(x)"):
        checks = check(sheet_of(text, x=1.5))
        assert not checks.kinks
        assert checks.agree


@pytest.mark.parametrize(
    ("text", "x", "words"),
    [
        ("arcsin(x)", 2.0, "arcsin has no value at 2"),
        ("log10(x)", 0.0, "log10 has no value at 0: it goes to −∞"),
        ("log2(x)", -1.0, "log2 has no value at -1"), ("acosh(x)", 0.5, "acosh has no value at 0.5"),
        ("atanh(x)", 1.0, "atanh has no value at 1: it goes to ∞"), ("atanh(x)", -1.0, "it goes to −∞"),
        ("log1p(x)", -1.0, "log1p has no value at −1: it goes to −∞"),
        ("arccos(x)", -1.5, "arccos has no value"),
        ("sinh(x)", 1000.0, "overflow: sinh at 1000"), ("cot(x)", 0.0, "division by zero"),
        ("cbrt(x)", 0.0, "the slope of cbrt at 0 is not finite"),
        ("arcsin(x)", 1.0, "the slope of arcsin at 1"),
    ],
)  # fmt: skip
def test_values_and_slopes_that_are_none_are_explained(text: str, x: float, words: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(words)):
        sheet_of(text, x=x)


@pytest.mark.parametrize(
    ("text", "interval", "exact"),
    [
        ("log10(x)", (1, 10), 1 / math.log(10)), ("log2(x)", (1, 8), 1 / math.log(2)),
        ("log1p(x)", (0, 1), 1),
        ("expm1(x)", (0, 1), math.e), ("sinh(x)", (-2, 1), math.cosh(2)), ("cosh(x)", (-1, 2), math.sinh(2)),
        ("asinh(x)", (-3, 3), 1), ("acosh(x)", (2, 5), 1 / math.sqrt(3)), ("atanh(x)", (-0.5, 0.3), 4 / 3),
        ("arcsin(x)", (-0.6, 0.2), 1.25), ("arccos(x)", (0, 0.8), 5 / 3), ("arctan(3*x)", (-1, 1), 3),
        ("cbrt(x)", (1, 8), 1 / 3), ("erf(x)", (-2, 2), 2 / math.sqrt(math.pi)),
        ("softplus(x)", (-9, 0), 0.5),
        ("floor(x)", (0.1, 0.9), 0), ("sign(x)", (0.1, 2), 0),
        ("sec(x)", (0, 1), math.tan(1) / math.cos(1)), ("|x − ½|", (0, 1), 1),
        ("√(1 + x²)", (0, 1), math.sqrt(0.5)),
        ("ln(x)", (0.5, 3), 2), ("x − ⌊x⌋", (0.2, 0.7), 1),
    ],
)  # fmt: skip
def test_lipschitz_constants_in_closed_form(text: str, interval: tuple[float, float], exact: float) -> None:
    lower, upper = lipschitz(parse(text, ("x",)), {"x": interval})
    assert lower <= exact * (1 + 1e-14)
    assert upper >= exact * (1 - 1e-14)
    assert upper - lower <= 1.0001e-9 * exact


@pytest.mark.parametrize(
    ("text", "place", "jump"),
    [
        ("floor(3*x)", None, True), ("sign(x - 0.5)", 0.5, True), ("ceil(x + 0.25)", 0.75, True),
        ("cbrt(x)", 0, False),
        ("arcsin(x)", 1, False), ("arccos(1 - x)", 0, False), ("acosh(1 + x)", 0, False), ("√x", 0, False),
    ],
)  # fmt: skip
def test_jumps_and_roots_have_no_lipschitz_constant(text: str, place: float | None, jump: bool) -> None:
    with pytest.raises(UnboundedSlopeError) as caught:
        lipschitz(parse(text, ("x",)), {"x": (0, 1)})
    assert ("it jumps at" in str(caught.value)) is jump
    if place is not None:
        assert caught.value.place["x"] == pytest.approx(place, abs=3e-12)
