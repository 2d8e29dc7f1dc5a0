"""Values, enclosures, slopes and curvatures against mpmath on a second evaluator of the same text."""

import math
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from nnlab.errors import InputError
from nnlab.expressions import (
    Interval,
    curvature,
    directional,
    enclose,
    evaluate,
    parse,
    second_derivatives,
    slopes,
)
from tests.graph_reference import DIGITS, bend, expressions, reference, slope

CHECK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])

ends = st.floats(-3, 3, allow_subnormal=False)
sizes = st.sampled_from([1e-9, 1e-4, 0.03, 0.5, 2.0])
parts = st.floats(0.01, 0.99)


def holds(result: Interval, exact: Any) -> bool:
    """True where the only cell of an interval holds the number, up to 10⁻³⁰ for the finite difference."""
    with mp.workdps(DIGITS):
        room = mp.mpf(10) ** -30 * (1 + abs(exact))
        return bool(result.lo[0] - room <= exact <= result.hi[0] + room)


def cell(low: float, size: float) -> Interval:
    return Interval(np.array([low]), np.array([low + size]))


@given(expressions(("x", "y")), ends, ends, sizes, parts, parts)
@CHECK
def test_no_value_or_slope_is_ever_excluded(
    text: str, x: float, y: float, size: float, part: float, other: float
) -> None:
    graph = parse(text, ("x", "y"))
    cells = {"x": cell(x, size), "y": cell(y, size)}
    point = {"x": mp.mpf(x + part * size), "y": mp.mpf(y + other * size)}
    exact = reference(text, point)
    assume(exact is not None and abs(exact) < 1e200)
    value, partials = slopes(graph, cells, ("x", "y"))
    assert holds(value, exact)
    assert holds(enclose(graph, cells), exact)
    for name in ("x", "y"):
        steep = slope(text, point, name)
        assert steep is None or holds(partials[name], steep)


@given(expressions(), ends, sizes, parts)
@CHECK
def test_no_curvature_is_ever_excluded(text: str, x: float, size: float, part: float) -> None:
    exact = bend(text, {"x": mp.mpf(x + part * size)}, "x")
    assume(exact is not None and abs(exact) < 1e20)
    assert holds(curvature(parse(text, ("x",)), {"x": cell(x, size)}, "x"), exact)


@given(expressions(), ends)
@CHECK
def test_values_in_float64(text: str, x: float) -> None:
    """Every operation in float64 lies in the enclosure of a point, which holds the exact value as well."""
    graph, exact = parse(text, ("x",)), reference(text, {"x": mp.mpf(x)})
    assume(exact is not None and abs(exact) < 1e200)
    result, around = evaluate(graph, {"x": np.array([x])}), enclose(graph, {"x": cell(x, 0.0)})
    assert holds(around, exact)
    assert np.isnan(result[0]) or around.holds(result)[0]


@given(expressions(("x", "y")), ends, ends)
@CHECK
def test_values_against_mpmath(text: str, x: float, y: float) -> None:
    graph = parse(text, ("x", "y"))
    exact = reference(text, {"x": mp.mpf(x), "y": mp.mpf(y)})
    around = enclose(graph, {"x": Interval.point(x), "y": Interval.point(y)})
    # where the enclosure of the point is narrow, rounding was harmless: then the value must be right
    assume(exact is not None and float(around.width) <= 1e-10 * (1 + abs(float(around.mid))))
    result = float(evaluate(graph, {"x": x, "y": y}))
    assume(not math.isnan(result))
    assert result == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


@given(expressions(smooth=True), ends)
@CHECK
@example("sin(x)*exp(x)/(x + 9)", 0.3)
def test_forward_mode(text: str, x: float) -> None:
    assume(abs(x) > 1e-9)  # the finite difference takes steps of 10⁻³⁰
    graph = parse(text, ("x",))
    point = {"x": mp.mpf(x)}
    exact = slope(text, point, "x")
    around = slopes(graph, {"x": Interval.point(x)}, ("x",))[1]["x"]
    assume(exact is not None and float(around.width) <= 1e-10 * (1 + abs(float(around.mid))))
    value, derivative = directional(graph, {"x": x}, {"x": 1.0})
    assume(not math.isnan(float(derivative)))
    assert float(derivative) == pytest.approx(float(exact), rel=1e-9, abs=1e-9)
    assert float(value) == float(evaluate(graph, {"x": x}))


def test_a_direction_may_mix_variables() -> None:
    graph = parse("x^2*y + sin(y)", ("x", "y"))
    x, y = np.array([1.0, 2.0]), np.array([[0.5], [3.0]])
    value, derivative = directional(graph, {"x": x, "y": y}, {"x": 2.0, "y": -1.0})
    np.testing.assert_allclose(value, x**2 * y + np.sin(y), rtol=1e-15)
    np.testing.assert_allclose(derivative, 2 * 2 * x * y - (x**2 + np.cos(y)), rtol=1e-14)
    assert np.all(directional(graph, {"x": x, "y": y}, {})[1] == 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abs(x)", 0.0), ("relu(x)", 0.0), ("max(3*x, x)", 2.0), ("min(x, -x)", 0.0), ("sqrt(x)", math.inf)],
)
def test_forward_mode_at_kinks(text: str, expected: float) -> None:
    assert float(directional(parse(text, ("x",)), {"x": 0.0}, {"x": 1.0})[1]) == expected


EXACT = [
    # text, cells lo, hi, slopes lo, hi
    ("x", [0, -1], [0.5, 3], [1, 1], [1, 1]),
    ("2*x", [0, -1], [0.5, 3], [2, 2], [2, 2]),
    ("x + x + 3", [0, -1], [0.5, 3], [2, 2], [2, 2]),
    ("x - 3*x", [0, -1], [0.5, 3], [-2, -2], [-2, -2]),
    ("x/4", [0, -1], [0.5, 3], [0.25, 0.25], [0.25, 0.25]),
    ("7", [0], [1], [0], [0]),
    ("abs(x - 0.5)", [0, 0.5, 0.25], [0.5, 1, 0.75], [-1, 1, -1], [-1, 1, 1]),
    ("relu(x)", [-1, 0, -1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]),
    ("max(x, -x)", [-1, 0, -1], [0, 1, 1], [-1, 1, -1], [-1, 1, 1]),
    ("min(x, x + 1)", [-1, 0, -1], [-0.5, 1, 1], [1, 1, 1], [1, 1, 1]),
    ("max(x, 0, 1)", [-1, 0.5, 2], [0, 1.5, 3], [0, 0, 1], [0, 1, 1]),
    (
        "where(x < 0.5, x, 3*x)",
        [0, 0.5, 0, 0],
        [0.4, 1, 1, 0.5],
        [1, 3, -math.inf, -math.inf],
        [1, 3, math.inf, math.inf],
    ),
    ("where(x < 0.5, 0, 1)", [0, 0.5, 0.4], [0.4, 1, 0.6], [0, 0, -math.inf], [0, 0, math.inf]),
    ("x^0", [-1], [1], [0], [0]),
    ("x^1", [-1], [1], [1], [1]),
]


@pytest.mark.parametrize(("text", "lo", "hi", "low", "high"), EXACT)
def test_slopes_without_a_rounding(
    text: str, lo: list[float], hi: list[float], low: list[float], high: list[float]
) -> None:
    result = slopes(parse(text, ("x",)), {"x": Interval(np.array(lo), np.array(hi))}, ("x",))[1]["x"]
    np.testing.assert_array_equal(result.lo, np.array(low, float))
    np.testing.assert_array_equal(result.hi, np.array(high, float))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("abs(x)", -math.inf, math.inf),
        ("max(x, 2*x)", -math.inf, math.inf),
        ("where(x < 0, 1, 2)", -math.inf, math.inf),
        ("where(x < 0, x, x)", -math.inf, math.inf),
        ("abs(x - 2)", 0, 0),
        ("relu(x + 2)", 0, 0),
        ("3*x + 1", 0, 0),
        ("x^2", 2, 2),
        ("abs(x - 2) - abs(x + 2)", 0, 0),
    ],
)
def test_curvature_at_kinks_and_beside_them(text: str, low: float, high: float) -> None:
    result = curvature(parse(text, ("x",)), {"x": cell(-1.0, 2.0)}, "x")
    assert (result.lo[0], result.hi[0]) == (low, high)


def test_slopes_that_are_unbounded() -> None:
    cells = {"x": Interval(np.array([0.0, 0.25]), np.array([1.0, 1.0]))}
    result = slopes(parse("sqrt(x)", ("x",)), cells, ("x",))[1]["x"]
    np.testing.assert_array_equal(result.hi, [math.inf, result.hi[1]])
    np.testing.assert_allclose(result.lo, 0.5, rtol=1e-15)
    assert 1 <= result.hi[1] <= 1 + 1e-15
    for text in ("1/x", "log(x)", "x^-1", "x^-0.5", "tan(pi*(x + 0.5))"):
        value, partials = slopes(
            parse(text, ("x",)), {"x": Interval(np.array([0.0]), np.array([1.0]))}, ("x",)
        )
        for one in (value, partials["x"]):
            assert not np.isnan([one.lo, one.hi]).any()
            assert np.isinf(one.magnitude).all()


def test_the_enclosures_close_in() -> None:
    """The excess of value and slope over the true range of cells of width h falls like h or faster."""
    text = "sin(3*x)*exp(-x) + 1/(1 + x^2) - tanh(x)*sigmoid(x) + sqrt(1 + x)"
    graph = parse(text, ("x",))
    excess = []
    for count in (200, 2_000):
        edges = np.linspace(0, 1, count + 1)
        cells = {"x": Interval(edges[:-1], edges[1:])}
        value, partials = slopes(graph, cells, ("x",))
        points = edges[:-1, None] + np.diff(edges)[:, None] * np.linspace(0, 1, 9)
        true = evaluate(graph, {"x": points}), directional(graph, {"x": points}, {"x": 1.0})[1]
        pairs = ((value, true[0]), (partials["x"], true[1]))
        excess.append([float(np.max(one.width - np.ptp(all_, axis=1))) for one, all_ in pairs])
    assert excess[0][0] < 0.1
    assert excess[0][1] < 0.5
    assert np.all(np.array(excess[1]) < np.array(excess[0]) / 9)
    point = enclose(graph, {"x": Interval.point(0.3)})
    assert 0 < float(point.width) < 1e-13


def test_an_exact_decimal_is_enclosed() -> None:
    result = enclose(parse("0.1", ()), {})
    assert Fraction(float(result.lo)) < Fraction(1, 10) < Fraction(float(result.hi))
    assert np.nextafter(result.lo, 1) == result.hi
    for name, exact in (("pi", mp.pi), ("e", mp.e)):
        around = enclose(parse(name, ()), {})
        with mp.workdps(50):
            assert float(around.lo) < +exact < float(around.hi)
        assert np.nextafter(around.lo, 9) == around.hi
    for text in ("0.5", "0.1 + 0.2 + 0.7", "3*(1/3)", "10^15", "2^-40"):
        assert float(enclose(parse(text, ()), {}).width) == 0


def test_gradient_and_hessian_of_several_variables() -> None:
    graph = parse("x^2*y^3 + exp(x*z)", ("x", "y", "z"))
    x, y, z = 1.5, -0.5, 0.25
    cells = {name: Interval.point([v]) for name, v in zip("xyz", (x, y, z), strict=True)}
    value, gradient, hessian = second_derivatives(graph, cells, ("x", "y", "z"))
    e = math.exp(x * z)
    assert value.mid[0] == pytest.approx(x**2 * y**3 + e, rel=1e-14)
    expected = [2 * x * y**3 + z * e, 3 * x**2 * y**2, x * e]
    np.testing.assert_allclose([g.mid[0] for g in gradient], expected, rtol=1e-14)
    matrix = [
        [2 * y**3 + z * z * e, 6 * x * y**2, (1 + x * z) * e],
        [6 * x * y**2, 6 * x**2 * y, 0],
        [(1 + x * z) * e, 0, x * x * e],
    ]
    np.testing.assert_allclose([[h.mid[0] for h in row] for row in hessian], matrix, rtol=1e-14)


def test_a_constant_has_the_shape_of_its_cells() -> None:
    cells = {"x": Interval(np.zeros((2, 3)), np.ones((2, 3)))}
    graph = parse("3", ("x",))
    value, partials = slopes(graph, cells, ("x",))
    assert value.shape == partials["x"].shape == curvature(graph, cells, "x").shape == (2, 3)
    assert evaluate(graph, {"x": np.zeros((2, 3))}).shape == (2, 3)
    assert enclose(graph, {"x": Interval(np.zeros(0), np.zeros(0))}).shape == (0,)
    empty = Interval(np.zeros(0), np.zeros(0))
    long = parse("sin(x)*x^3 + 0.1*x - tan(x)/exp(x) + where(x < 1, abs(x), x^0.3)", ("x",))
    assert slopes(long, {"x": empty}, ("x",))[1]["x"].shape == (0,)


def test_undefined_values_are_not_numbers_and_not_warnings() -> None:
    result = evaluate(parse("log(x) + sqrt(x) + 1/(x + 2)", ("x",)), {"x": np.array([-2.0, -1.0, 0.0, 1.0])})
    np.testing.assert_array_equal(result, [np.nan, np.nan, -np.inf, 1 + 1 / 3])
    assert evaluate(parse("exp(x)", ("x",)), {"x": 1000.0}) == np.inf


def test_cells_that_are_none_are_refused() -> None:
    graph = parse("x", ("x",))
    for lo, hi in ((1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)):
        with pytest.raises(InputError, match="lo ≤ hi"):
            enclose(graph, {"x": Interval(np.array([lo]), np.array([hi]))})


def test_inputs_are_not_written_to() -> None:
    lo, hi = np.linspace(0, 1, 50), np.linspace(0, 1, 50) + 0.1
    kept = lo.copy(), hi.copy()
    graph = parse("x + 2*x - x*x/3 + exp(x) - relu(x) + sin(x)*cos(2*x) - x^3 + tanh(x)", ("x",))
    curvature(graph, {"x": Interval(lo, hi)}, "x")
    np.testing.assert_array_equal(lo, kept[0])
    np.testing.assert_array_equal(hi, kept[1])


def test_a_chain_of_ten_thousand_operations_is_differentiated() -> None:
    text = "x" + " * 1.01 / 1.0099" * 5_000
    value, partials = slopes(parse(text, ("x",)), {"x": cell(0.5, 0.0)}, ("x",))
    with mp.workdps(50):
        exact = (mp.mpf("1.01") / mp.mpf("1.0099")) ** 5_000
    assert holds(partials["x"], exact)
    assert holds(value, exact / 2)
    assert partials["x"].width[0] < 1e-10
