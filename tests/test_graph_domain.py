"""Places without a value are found, named and placed; expressions that are fine are left alone."""

import re

import numpy as np
import pytest

from nnlab.errors import InputError
from nnlab.expressions import DomainError, check_domain, parse

VARIABLES = ("x", "y", "z", "w")


def check(text: str, *ends: tuple[float, float]) -> None:
    check_domain(parse(text, VARIABLES), dict(zip(VARIABLES, ends, strict=False)))


FAULTS = [
    # text, interval, the operation, the reason, the place
    ("1/x", (-1, 1), "1/x", "divisor x reaches 0", 0),
    ("2 + x/(x - 1/3)", (0, 1), "x/(x - 1/3)", "divisor x - 1/3 reaches 0", 1 / 3),
    ("x/x", (0, 1), "x/x", "divisor x reaches 0", 0),
    ("1/sqrt(x)", (0, 1), "1/sqrt(x)", "divisor sqrt(x) reaches 0", 0),
    ("1/sin(pi*x)", (0.5, 1), "1/sin(pi*x)", "divisor sin(pi*x) reaches 0", 1),
    ("1/(x^2 - 2)", (0, 2), "1/(x^2 - 2)", "divisor x^2 - 2 reaches 0", np.sqrt(2)),
    ("x^-2", (-1, 1), "x^-2", "base x reaches 0", 0),
    ("x^-0.5", (0, 1), "x^-0.5", "base x is not positive", 0),
    ("log(x)", (0, 1), "log(x)", "argument x is not positive", 0),
    ("exp(log(x - 0.5))", (0, 1), "log(x - 0.5)", "argument x - 0.5 is not positive", 0),
    ("log(1 - x)", (0, 1), "log(1 - x)", "argument 1 - x is not positive", 1),
    ("sqrt(x - 0.1)", (0, 1), "sqrt(x - 0.1)", "argument x - 0.1 is negative", 0),
    ("sqrt(0.9 - x)", (0, 1), "sqrt(0.9 - x)", "argument 0.9 - x is negative", None),
    ("sqrt(abs(x) - 1e-9)", (-1, 1), "sqrt(abs(x) - 1e-9)", "is negative", None),
    ("x^1.5", (-1, 1), "x^1.5", "base x is negative", -1),
    ("x^x", (0, 1), "x^x", "base x is not positive", 0),
    ("(-2)^x", (0, 1), "(-2)^x", "base -2 is not positive", 0),
    ("tan(x)", (0, 3), "tan(x)", "has a pole", np.pi / 2),
    ("exp(1000*x)", (0, 1), "exp(1000*x)", "overflows float64", None),
    ("x^400", (0, 10), "x^400", "overflows float64", None),
    ("1e300*x*1e300", (1, 2), "1e300*x*1e300", "overflows float64", 1),
    ("log10(x)", (0, 1), "log10(x)", "argument x is not positive", 0),
    ("1 + log2(x - 1)", (1, 2), "log2(x - 1)", "argument x - 1 is not positive", 1),
    ("ln(x)", (0, 1), "ln(x)", "argument x is not positive", 0),
    ("log1p(x)", (-1, 1), "log1p(x)", "argument x is not above −1", -1),
    ("arcsin(2*x)", (0, 1), "arcsin(2*x)", "argument 2*x lies outside of [−1, 1]", None),
    ("acos(x)", (-2, 0), "acos(x)", "argument x lies outside of [−1, 1]", -2),
    ("atanh(x)", (0, 1), "atanh(x)", "argument x does not lie between −1 and 1", 1),
    ("acosh(x)", (0, 2), "acosh(x)", "argument x is below 1", 0),
    ("cot(x)", (0, 1), "cot(x)", "it has a pole", 0),
    ("sec(x)", (1, 2), "sec(x)", "it has a pole", np.pi / 2),
    ("1/floor(x)", (0, 3), "1/floor(x)", "divisor floor(x) reaches 0", 0),
    ("√(x − 0.1)", (0, 1), "√(x − 0.1)", "argument x − 0.1 is negative", 0),
    ("1/|x|", (-1, 1), "1/|x|", "divisor |x| reaches 0", 0),
    ("where(x > 0.5, 2, 1/x)", (0, 1), "1/x", "divisor x reaches 0", 0),
    ("where(x > 0, log(x), 0)", (0, 1), "log(x)", "argument x is not positive", 0),
]


@pytest.mark.parametrize(("text", "interval", "term", "reason", "place"), FAULTS)
def test_a_fault_is_named_and_placed(
    text: str, interval: tuple[float, float], term: str, reason: str, place: float | None
) -> None:
    with pytest.raises(DomainError) as caught:
        check(text, interval)
    error, message = caught.value, str(caught.value)
    assert isinstance(error, InputError)
    assert error.term == term
    assert message.startswith(f"{term}: ")
    assert reason in message
    assert "\n" not in message
    assert f"x = {error.place['x'] + 0.0:.10g}" in message
    assert interval[0] <= error.place["x"] <= interval[1]
    if place is not None:
        assert error.place["x"] == pytest.approx(place, abs=2e-12)


@pytest.mark.parametrize(
    ("text", "place_is_bad"),
    [
        ("sqrt(0.9 - x)", lambda x: x > 0.9),
        ("sqrt(sin(20*x))", lambda x: np.sin(20 * x) < 0),
        ("log(x^2 - 0.25)", lambda x: x <= 0.5),
        ("exp(1000*x)", lambda x: 1000 * x > 709.78),
    ],
)
def test_the_place_is_a_bad_one(text: str, place_is_bad: object) -> None:
    with pytest.raises(DomainError) as caught:
        check(text, (0, 1))
    assert callable(place_is_bad)
    assert place_is_bad(caught.value.place["x"])


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("sqrt(1 - x^2)", (-1, 1)),
        ("sqrt(x)", (0, 1)),
        ("sqrt(x - 0.1)", (0.1, 1)),
        ("sqrt(sin(pi*x))", (0, 1)),
        ("abs(x)^0.5", (-1, 1)),
        ("abs(x)^(1/3)", (-1, 1)),
        ("x^1.5", (0, 1)),
        ("log(1 + x^2)", (-5, 5)),
        ("log(x)", (1e-300, 1)),
        ("1/x", (1e-9, 1)),
        ("1/(x^2 + 1e-6)", (-1, 1)),
        ("1/(1 + 25*(2*x - 1)^2)", (0, 1)),
        ("x^-3", (-2, -1)),
        ("2^x + pi^x", (-3, 3)),
        ("x^pi", (0, 1)),
        ("x^x", (0.01, 1)),
        ("tan(x)", (-1.57, 1.57)),
        ("exp(x)", (-1e9, 709)),
        ("where(x > 0.5, 1/x, 2)", (0, 1)),
        ("where(x >= 0, sqrt(x), sqrt(-x))", (-1, 1)),
        ("where(x < 0, where(x < -0.5, log(-x), 1/(x - 1)), 3)", (-1, 1)),
        ("x", (3, 3)),
        ("1/x", (1e6, 1e6 + 1e-9)),
    ],
)
def test_what_is_defined_is_let_pass(text: str, interval: tuple[float, float]) -> None:
    check(text, interval)


def test_several_variables() -> None:
    check("1/(1 + x^2 + y^2 + z^2 + w^2) + sqrt(x + 1)*log(y + z + 3)", *[(-1, 1)] * 4)
    check("sqrt(x*y)", (0, 1), (0, 1))
    check("1/(x + y)", (0.5, 1), (-0.25, 0))
    with pytest.raises(
        DomainError, match=re.escape("1/(x - y): its divisor x - y reaches 0 at x = 0")
    ) as caught:
        check("1/(x - y)", (0, 1), (0, 1))
    assert caught.value.place["x"] == pytest.approx(caught.value.place["y"], abs=1e-11)
    with pytest.raises(DomainError, match="argument") as caught:
        check("log(x*y*z)", (1, 2), (1, 2), (-1, 2))
    assert caught.value.place["z"] <= 0


def test_constants() -> None:
    check_domain(parse("sqrt(2)/log(3)", ()), {})
    for text, reason in (
        ("1/0", "divisor 0 reaches 0"),
        ("log(-1)", "not positive"),
        ("exp(1000)", "overflows"),
    ):
        with pytest.raises(DomainError, match=reason):
            check_domain(parse(text, ()), {})


def test_a_question_that_is_too_hard_is_given_up() -> None:
    graph = parse("1/(x^2 - 2*x*y + y^2 + 1e-4)", ("x", "y"))
    with pytest.raises(DomainError, match="it is undecided whether its divisor"):
        check_domain(graph, {"x": (0, 1), "y": (0, 1)}, max_cells=20_000)
    check_domain(parse("1/((x - y)^2 + 1e-4)", ("x", "y")), {"x": (0, 1), "y": (0, 1)}, max_cells=200_000)


@pytest.mark.parametrize("ends", [(1, 0), (float("nan"), 1), (0, float("inf"))])
def test_an_interval_that_is_none(ends: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="interval of x"):
        check("x", ends)


def test_each_variable_needs_an_interval() -> None:
    with pytest.raises(InputError, match="no interval is given for y"):
        check_domain(parse("x + y", ("x", "y")), {"x": (0, 1)})


def test_a_long_sum_is_checked() -> None:
    check("+".join(f"sin({k}*x)" for k in range(1_000)), (0, 1))
