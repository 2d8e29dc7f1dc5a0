"""Comparisons at points, decided as fractions are, and limits on leaving a point, with their signs."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from nnlab.expressions import DomainError, Interval, check_domain, enclose, parse, slopes
from nnlab.expressions.passes import departing

AROUND = np.array(
    [x for at in (0.3, 0.6, 0.1, -0.3) for x in (np.nextafter(at, -1), at, np.nextafter(at, 1))]
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("x < 0.3", lambda x: x < Fraction(3, 10)),
        ("x <= 0.3", lambda x: x <= Fraction(3, 10)),
        ("2*x > 0.6", lambda x: 2 * x > Fraction(6, 10)),
        ("x - 0.3 >= 0", lambda x: x >= Fraction(3, 10)),
        ("x^2*10 < 0.9", lambda x: x**2 * 10 < Fraction(9, 10)),
        ("1/x > 1/0.3", lambda x: 1 / x > Fraction(10, 3)),
        ("abs(x)/3 <= 0.1", lambda x: abs(x) / 3 <= Fraction(1, 10)),
        ("max(x, 0.1) <= min(0.1, 7*x)", lambda x: max(x, Fraction(1, 10)) <= min(Fraction(1, 10), 7 * x)),
        ("relu(x) < 0.3 - floor(x)", lambda x: max(x, Fraction(0)) < Fraction(3, 10) - x.__floor__()),
        ("-sign(x) <= ceil(x - 0.3)", lambda x: -((x > 0) - (x < 0)) <= (x - Fraction(3, 10)).__ceil__()),
    ],
)
def test_points_are_on_one_side(condition: str, holds: Callable[[Fraction], bool]) -> None:
    graph = parse(f"where({condition}, 1, 0)", ("x",))
    expected = [float(holds(Fraction(float(x)))) for x in AROUND]
    cells = {"x": Interval.point(AROUND)}
    value, partials = slopes(graph, cells, ("x",))
    for found in (value, enclose(graph, cells)):
        assert found.lo.tolist() == found.hi.tolist() == expected
    assert np.all(partials["x"].lo == 0)
    # a cell of two floats with the jump between them is on neither side
    both = enclose(graph, {"x": Interval(AROUND[::3], AROUND[2::3])})
    for k in range(len(AROUND) // 3):
        three = expected[3 * k : 3 * k + 3]
        assert both.lo[k] <= min(three)
        assert max(three) <= both.hi[k]


def test_what_is_compared_with_itself_is_decided_in_cells_too() -> None:
    cells = {"x": Interval(np.array([0.0, -1.0]), np.array([1.0, 2.0]))}
    for sign, expected in (("<", 2.0), ("<=", 1.0), (">", 2.0), (">=", 1.0)):
        found = enclose(parse(f"where(sin(x) {sign} sin(x), 1, 2)", ("x",)), cells)
        assert found.lo.tolist() == found.hi.tolist() == [expected] * 2


def test_roots_and_long_powers_are_left_open() -> None:
    for text in ("where(sqrt(x) < sqrt(0.3), 1, 0)", "where(x^99999 < 0.3^99999, 1, 0)"):
        found = enclose(parse(text, ("x",)), {"x": Interval.point(np.array([0.3]))})
        assert found.lo[0] <= 1 <= found.hi[0]


def test_a_branch_that_is_not_taken_at_a_point_needs_no_value() -> None:
    graph = parse("where(2*x < 0.6, 1, 1/(x - x))", ("x",))
    check_domain(graph, {"x": (0.3, 0.3)})
    with pytest.raises(DomainError):
        check_domain(graph, {"x": (0.30000000000000004, 0.30000000000000004)})


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("1/x", "-∞", "∞"), ("-1/x", "∞", "-∞"), ("1/(-x)", "∞", "-∞"), ("x^-3", "-∞", "∞"),
        ("x^-2", "∞", "∞"), ("1/x^2", "∞", "∞"), ("1/(cos(x) - 1)", "-∞", "-∞"),
        ("1/(x - sin(x))", "-∞", "∞"),
        ("1/x^3", "-∞", "∞"), ("1/(x^3 - x^2)", "-∞", "-∞"), ("1/abs(x)", "∞", "∞"),
        ("1/sin(x)", "-∞", "∞"), ("1/(1 - exp(x))", "∞", "-∞"), ("cot(x)", "-∞", "∞"),
        ("1/cbrt(x)", "-∞", "∞"), ("1/(x + x)", "-∞", "∞"), ("1/(3*x - x)", "-∞", "∞"),
        ("1/min(x, 2*x)", "-∞", "∞"), ("exp(1/x)", 0, "∞"), ("exp(1/(x^3 - x^2))", 0, 0),
        ("tanh(1/x)", -1, 1), ("1/(1 + exp(1/x))", 1, 0), ("sigmoid(-1/x)", 1, 0), ("abs(x)", 0, 0),
        ("where(x <= 0, 1, 1/x)", 1, "∞"), ("where(x >= 0, 1, 1/x)", "-∞", 1), ("1/tan(x)", "-∞", "∞"),
        ("atanh(1 - abs(x))", "∞", "∞"), ("1/log1p(x)", "-∞", "∞"), ("x^-9007199254740993", "-∞", "∞"),
    ],
)  # fmt: skip
def test_limits_have_the_sign_of_their_side(text: str, left: object, right: object) -> None:
    graph = parse(text, ("x",))
    values = {"∞": np.inf, "-∞": -np.inf}
    for side, expected in ((-1.0, left), (1.0, right)):
        limit, _ = departing(graph, {"x": 0.0}, {"x": side})[-1]
        assert limit == values.get(str(expected), expected)
        assert str(limit) != "-0.0"
