"""Certified Lipschitz constants against closed forms and against steep chords."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nnlab.errors import InputError
from nnlab.expressions import DomainError, UnboundedSlopeError, evaluate, lipschitz, parse
from tests.graph_reference import expressions

WEIERSTRASS = " + ".join(f"{0.5**k}*cos({3**k}*pi*x)" for k in range(8))


@pytest.mark.parametrize(
    ("text", "interval", "exact"),
    [
        ("sin(2*pi*x)", (0, 1), 2 * math.pi),
        ("1/(1 + 25*(2*x - 1)^2)", (0, 1), 10 * 3 * math.sqrt(3) / 8),
        ("1 - abs(2*x - 1)", (0, 1), 2),
        ("x^3", (0, 1), 3),
        ("x^3", (-2, 1), 12),
        ("exp(x)", (0, 1), math.e),
        ("exp(-50*(x - 0.5)^2)", (0, 1), 10 * math.exp(-0.5)),
        ("4*x*(1 - x)", (0, 1), 4),
        ("tanh(5*x)", (-1, 1), 5),
        ("sigmoid(3*x - 1)", (-3, 2), 0.75),
        ("log(1 + x)", (0, 1), 1),
        ("x^1.5", (0, 4), 3),
        ("abs(x - 1/3)", (0, 1), 1),
        ("max(x, 1 - x/3)", (0, 1), 1),
        ("min(2*x, 1, 3 - 3*x)", (0, 1), 3),
        ("relu(x - 0.3)*2", (0, 1), 2),
        ("where(x < 2, x, 5)", (0, 1), 1),
        ("abs(sin(3*x))", (-1, 1), 3),
        ("-7", (0, 1), 0),
        ("x", (2, 2), 1),
    ],
)
def test_closed_forms(text: str, interval: tuple[float, float], exact: float) -> None:
    lower, upper = lipschitz(parse(text, ("x",)), {"x": interval})
    assert lower <= exact * (1 + 1e-14)
    assert upper >= exact * (1 - 1e-14)
    assert upper - lower <= 1.0001e-9 * exact


@pytest.mark.parametrize(
    ("text", "exact"), [("x", 1), ("2*x", 2), ("abs(x - 0.5)", 1), ("1 - abs(2*x - 1)", 2), ("3 - x/4", 0.25)]
)
def test_straight_lines_are_exact(text: str, exact: float) -> None:
    assert lipschitz(parse(text, ("x",)), {"x": (0, 1)}) == (exact, exact)


@pytest.mark.parametrize("text", [WEIERSTRASS, "log(1 + x)*sin(20*x)", "x*sin(9*x)*exp(-x) + abs(x - 0.3)"])
def test_against_a_dense_grid(text: str) -> None:
    graph = parse(text, ("x",))
    lower, upper = lipschitz(graph, {"x": (0, 1)})
    x = np.linspace(0, 1, 400_001)
    chords = np.abs(np.diff(evaluate(graph, {"x": x})) / np.diff(x))
    assert chords.max() <= upper * (1 + 1e-9)
    assert chords.max() >= lower * (1 - 1e-5)
    assert upper <= lower * (1 + 1.0001e-9)


@given(expressions(), st.floats(-2, 2), st.sampled_from([0.1, 1.0]))
@settings(max_examples=60, deadline=None)
def test_no_chord_is_steeper(text: str, low: float, size: float) -> None:
    graph, high = parse(text, ("x",)), low + size
    try:
        lower, upper = lipschitz(graph, {"x": (low, high)}, tolerance=1e-3, max_boxes=4_000)
    except (DomainError, UnboundedSlopeError):
        assume(False)
    x = np.linspace(low, high, 2_001)
    y = evaluate(graph, {"x": x})
    assume(np.all(np.isfinite(y)))  # the domain allows roots of what is negative within rounding
    rise = np.abs(np.diff(y))
    room = 1e-12 * (1 + np.abs(y[1:]))
    assert lower <= upper
    assert np.all(rise <= upper * np.diff(x) * (1 + 1e-9) + room)


@pytest.mark.parametrize(
    ("text", "term", "place", "jump"),
    [
        ("sqrt(x)", "sqrt(x)", 0, False),
        ("1 + 2*sqrt(1 - x)", "sqrt(1 - x)", 1, False),
        ("abs(x - 0.5)^0.3", "abs(x - 0.5)^0.3", 0.5, False),
        ("x^(1/3)", "x^(1/3)", 0, False),
        ("sqrt(abs(x - 1/3))", "sqrt(abs(x - 1/3))", 1 / 3, False),
        ("where(x < 0.5, 0, 1)", "where(x < 0.5, 0, 1)", 0.5, True),
        ("3*where(x < 1/3, x, 2/3 - x)", "where(x < 1/3, x, 2/3 - x)", 1 / 3, True),
    ],
)
def test_an_unbounded_slope_is_placed(text: str, term: str, place: float, jump: bool) -> None:
    with pytest.raises(UnboundedSlopeError, match=" at x = ") as caught:
        lipschitz(parse(text, ("x",)), {"x": (0, 1)})
    assert isinstance(caught.value, InputError)
    assert caught.value.term == term
    assert caught.value.place["x"] == pytest.approx(place, abs=2e-12)
    assert ("may jump" in str(caught.value)) is jump


def test_the_domain_is_checked_first() -> None:
    with pytest.raises(DomainError, match="divisor"):
        lipschitz(parse("1/x", ("x",)), {"x": (-1, 1)})


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("sin(pi*x)*sin(pi*y)", math.pi),
        ("x*y", math.sqrt(2)),
        ("0.5 + 0.5*cos(2*pi*(x + y^2))", math.pi * math.sqrt(5)),
        ("3*x - 4*y", 5),
        ("exp(-x^2 - y^2)", math.sqrt(2 / math.e)),
        ("y", 1),
    ],
)
def test_gradients_in_the_plane(text: str, exact: float) -> None:
    lower, upper = lipschitz(parse(text, ("x", "y")), {"x": (0, 1), "y": (0, 1)}, tolerance=1e-4)
    assert lower <= exact * (1 + 1e-14)
    assert exact * (1 - 1e-14) <= upper <= lower * (1 + 1.0001e-4)


def test_a_search_that_ends_early_still_bounds() -> None:
    graph = parse("x*(sin(5*x)^2 + cos(5*x)^2)", ("x",))  # f = x, which interval arithmetic does not see
    lower, upper = lipschitz(graph, {"x": (0, 1)}, tolerance=1e-15, max_boxes=3_000)
    assert lower <= 1 <= upper <= 1.01
    with pytest.raises(UnboundedSlopeError, match=r"not bounded within [0-9,]+ boxes"):
        lipschitz(parse("sqrt(x^2 + y^2)", ("x", "y")), {"x": (0, 1), "y": (0, 1)}, max_boxes=3_000)
