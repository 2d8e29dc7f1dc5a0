"""Interval arithmetic and elementary functions: exact rational arithmetic and mpmath never fall outside."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.expressions import Interval
from nnlab.rigorous import functions

finite = st.floats(allow_nan=False, allow_infinity=False)
ordinary = st.floats(-8, 8)
small = st.sampled_from(
    [0.0, 5e-324, -5e-324, 1e-308, -1e-310, 2.0**-1022, 1e-160, -1e-160, 1.0, -1.0, 0.5, 3.0]
)
large = st.sampled_from([1.7e308, -1.7e308, 1e155, -1e200])
floats = st.one_of(finite, ordinary, small, large)
pairs = st.tuples(floats, floats).map(sorted)
CHECK = settings(max_examples=200, deadline=None)


def both_forms(lo: float, hi: float) -> list[Interval]:
    """The same interval as a number, and in an array whose other elements take other paths."""
    return [Interval(lo, hi), Interval(np.array([lo, -2.0, 0.0]), np.array([hi, 3.0, 0.0]))]


def first(result: Interval) -> tuple[float, float]:
    return float(result.lo.ravel()[0]), float(result.hi.ravel()[0])


def between(result: Interval, exact: Fraction) -> bool:
    low, high = first(result)
    return (low == -math.inf or Fraction(low) <= exact) and (high == math.inf or exact <= Fraction(high))


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@pytest.mark.parametrize("sign", OPERATIONS)
@given(pairs, pairs)
@CHECK
def test_arithmetic_holds_the_exact_ends(sign: str, x: list[float], y: list[float]) -> None:
    operation = OPERATIONS[sign]
    exact = [operation(Fraction(a), Fraction(b)) for a in x for b in y if not (sign == "/" and b == 0)]
    for one in both_forms(*x):
        for two in both_forms(*y):
            result = operation(one, two)
            assert not np.isnan(result.lo).any()
            assert not np.isnan(result.hi).any()
            assert np.all(result.lo <= result.hi)
            assert all(between(result, value) for value in exact)
        with_scalar = operation(one, y[0]) if y[0] or sign != "/" else None
        assert with_scalar is None or all(
            between(with_scalar, operation(Fraction(a), Fraction(y[0]))) for a in x
        )


@pytest.mark.parametrize("sign", ["+", "-", "*"])
@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
@CHECK
def test_numbers_are_as_narrow_as_floats_allow(sign: str, a: float, b: float) -> None:
    exact = OPERATIONS[sign](Fraction(a), Fraction(b))
    low, high = first(OPERATIONS[sign](Interval.point(a), Interval.point(b)))
    assert high == low if Fraction(low) == exact else high == np.nextafter(low, np.inf)


@given(st.floats(1e-100, 1e100), st.floats(1e-100, 1e100))
@CHECK
def test_arrays_are_three_units_wider_at_most(a: float, b: float) -> None:
    x, y = Interval.point(np.full(2, a)), Interval.point(np.full(2, b))
    for result in (x + y, x * y, x * Interval.point(b)):
        assert np.all(result.width <= 8 * np.spacing(result.hi))


@pytest.mark.parametrize("factor", [0.0, 1.0, -1.0, 2.0, 0.5, -4.0])
def test_easy_factors_are_exact(factor: float) -> None:
    x = Interval(np.array([-1 / 3, 0.1]), np.array([0.7, 0.2]))
    result = x * factor
    low, high = sorted([x.lo[0] * factor, x.hi[0] * factor])
    assert np.all(result.lo == low if result.lo.ndim == 0 else result.lo[0] == low)
    assert np.all(result.hi == high if result.hi.ndim == 0 else result.hi[0] == high)


@given(pairs, st.integers(-7, 14))
@CHECK
def test_integer_powers(x: list[float], n: int) -> None:
    inside = [a for a in (*x, 0.0) if x[0] <= a <= x[1] and not (n < 0 and a == 0)]
    for one in both_forms(*x):
        result = one**n
        assert not np.isnan(result.lo).any()
        for a in inside:
            assert between(result, Fraction(a) ** n)
        if n > 0 and n % 2 == 0:
            assert np.all(result.lo >= 0)


def test_even_and_odd_powers_know_their_ranges() -> None:
    x = Interval(np.array([-1.0, -2.0, 1.0]), np.array([2.0, -1.0, 2.0]))
    np.testing.assert_allclose([(x**2).lo, (x**2).hi], [[0, 1, 1], [4, 4, 4]], rtol=1e-14)
    np.testing.assert_allclose([(x**3).lo, (x**3).hi], [[-1, -8, 1], [8, -1, 8]], rtol=1e-14)
    np.testing.assert_allclose([(x * x).lo, (x * x).hi], [[0, 1, 1], [4, 4, 4]], rtol=1e-14)
    np.testing.assert_array_equal((x**-1).lo, [-np.inf, -1 - 2**-52, (x**-1).lo[2]])


def test_division_by_intervals_with_zero() -> None:
    y = Interval(np.array([0.0, -1.0, -1.0, 0.0]), np.array([2.0, 0.0, 1.0, 0.0]))
    result = 1 / y
    np.testing.assert_array_equal(np.isinf(result.lo), [False, True, True, True])
    np.testing.assert_array_equal(np.isinf(result.hi), [True, False, True, True])
    np.testing.assert_allclose([result.lo[0], result.hi[1]], [0.5, -1.0])
    zero = Interval.point(np.zeros(4)) * result
    np.testing.assert_array_equal([zero.lo, zero.hi], np.zeros((2, 4)))


def test_parts_of_an_interval() -> None:
    x = Interval(np.array([-3.0, 1.0, -np.inf, -1e308]), np.array([1.0, 2.0, np.inf, 1.7e308]))
    np.testing.assert_array_equal(x.magnitude, [3, 2, np.inf, 1.7e308])
    np.testing.assert_array_equal(x.mignitude, [0, 1, 0, 0])
    np.testing.assert_array_equal(abs(x).lo, x.mignitude)
    np.testing.assert_allclose(x.mid, [-1, 1.5, 0, 3.5e307])
    assert np.all(x.width >= [4, 1, np.inf, 1.7e308])
    assert Interval(0.0, np.ones(3)).shape == (3,)


def test_arrays_and_numbers_on_either_side() -> None:
    x = Interval(np.array([1.0, 2.0]), np.array([1.5, 2.5]))
    for result in (np.array([1.0, 2.0]) + x, 1 + x - 1 + 1, np.float64(1) + x):
        assert isinstance(result, Interval)
    assert first(2 - x) == pytest.approx((0.5, 1.0))
    assert first(1 / x) == pytest.approx((2 / 3, 1.0))
    huge = Interval.point(1.0) * (2**60 + 1)
    assert first(huge) == (2.0**60, 2.0**60 + 256)
    with pytest.raises(TypeError):
        x + "1"


rng = np.random.default_rng(5)
WIDE = np.concatenate([rng.uniform(-1, 1, 150) * 10.0**k for k in (-300, -8, 0, 1, 3, 6, 9, 15)])
HUGE = 10.0 ** rng.uniform(16, 300, 60) * rng.choice([-1, 1], 60)
QUARTERS = np.round(rng.uniform(-1e5, 1e5, 150)) * (np.pi / 2)
POSITIVE = np.concatenate(
    [10.0 ** rng.uniform(-307, 307, 300), 1 + rng.normal(size=200) * 1e-7, [1.0, 5e-324]]
)
SMALL = np.concatenate(
    [10.0 ** rng.uniform(-300, -1, 200) * rng.choice([-1, 1], 200), rng.uniform(-0.5, 0.5, 200)]
)
EXPONENTS = np.concatenate([rng.uniform(-760, 709.7, 500), rng.uniform(-1, 1, 100), [0.0, -746.0, -745.0]])

FUNCTIONS: list[tuple[str, Callable[[Any], Any], np.ndarray[Any, Any]]] = [
    ("sin", mp.sin, np.concatenate([WIDE, HUGE, QUARTERS])),
    ("cos", mp.cos, np.concatenate([WIDE, HUGE, QUARTERS])),
    ("tan", mp.tan, np.concatenate([WIDE, HUGE, QUARTERS])),
    ("exp", mp.exp, EXPONENTS),
    ("log", mp.log, POSITIVE),
    ("sqrt", mp.sqrt, POSITIVE),
    ("tanh", mp.tanh, np.concatenate([WIDE, rng.uniform(-25, 25, 300)])),
    ("sigmoid", lambda x: 1 / (1 + mp.exp(-x)), np.concatenate([EXPONENTS, WIDE])),
    ("log10", mp.log10, POSITIVE),
    ("log2", lambda x: mp.log(x) / mp.log(2), POSITIVE),
    ("log1p", mp.log1p, np.concatenate([SMALL, POSITIVE - 1 + 1e-9, POSITIVE])),
    ("expm1", mp.expm1, np.concatenate([EXPONENTS, SMALL])),
    ("sinh", mp.sinh, np.concatenate([EXPONENTS[np.abs(EXPONENTS) < 700], SMALL])),
    ("cosh", mp.cosh, np.concatenate([EXPONENTS[np.abs(EXPONENTS) < 700], SMALL])),
    ("asinh", mp.asinh, np.concatenate([WIDE, HUGE])),
    ("acosh", mp.acosh, 1 + POSITIVE[POSITIVE < 1e300]),
    ("arctan", mp.atan, np.concatenate([WIDE, HUGE])),
    ("cbrt", lambda x: mp.sign(x) * mp.cbrt(abs(x)), np.concatenate([WIDE, HUGE])),
    ("erf", mp.erf, np.concatenate([rng.uniform(-7, 7, 300), SMALL])),
    ("softplus", lambda x: mp.log1p(mp.exp(x)), np.concatenate([EXPONENTS, SMALL])),
    ("floor", mp.floor, np.concatenate([WIDE, np.arange(-100.0, 100.0)])),
    ("ceil", mp.ceil, np.concatenate([WIDE, np.arange(-100.0, 100.0)])),
    ("signum", mp.sign, np.concatenate([WIDE, np.zeros(9)])),
]


@pytest.mark.parametrize(("name", "exact", "points"), FUNCTIONS, ids=[name for name, *_ in FUNCTIONS])
def test_functions_at_points(name: str, exact: Callable[[Any], Any], points: np.ndarray[Any, Any]) -> None:
    result = getattr(functions, name)(Interval.point(points))
    for x, low, high in zip(points, result.lo, result.hi, strict=True):
        with mp.workprec(1200 if abs(x) > 1e16 else 160):
            assert low <= exact(mp.mpf(float(x))) <= high
    middle = np.isfinite(result.width) & (np.abs(result.mid) > 1e-3)
    assert np.all(result.width[middle] <= 2e-11 * np.abs(result.mid[middle]))
    assert middle.sum() > 100


@pytest.mark.parametrize(("name", "exact", "points"), FUNCTIONS, ids=[name for name, *_ in FUNCTIONS])
def test_functions_over_cells(name: str, exact: Callable[[Any], Any], points: np.ndarray[Any, Any]) -> None:
    lo = points[np.abs(points) < 1e9]
    size = 10.0 ** rng.uniform(-9, 1, len(lo)) * np.where(np.abs(lo) < 1e-5, np.abs(lo), 1)
    cells = Interval(lo, lo + size)
    result = getattr(functions, name)(cells)
    assert np.all(result.lo <= result.hi)
    for part in (0.0, 0.3, 0.8, 1.0):
        for x, low, high in zip(np.minimum(lo + part * size, cells.hi), result.lo, result.hi, strict=True):
            with mp.workprec(120):
                assert low <= exact(mp.mpf(float(x))) <= high


def test_the_range_of_sine_and_cosine() -> None:
    lo = rng.uniform(-50, 50, 4_000)
    size = 10.0 ** rng.uniform(-6, 0.9, 4_000)
    x = Interval(lo, lo + size)
    grid = np.linspace(lo, x.hi, 401)
    for function, name in ((np.sin, "sin"), (np.cos, "cos")):
        result, values = getattr(functions, name)(x), function(grid)
        assert np.all(result.lo <= values.min(axis=0))
        assert np.all(result.hi >= values.max(axis=0))
        # narrow cells are r² wide of it at most, wide ones exact; the grid itself misses (h/2)²/2
        excess = np.where(size / 2 <= 0.0625, size**2 / 4, 0) + (size / 800) ** 2 / 2 + 1e-13
        assert np.all(result.hi <= values.max(axis=0) + excess)
        assert np.all(result.lo >= values.min(axis=0) - excess)
    everywhere = functions.sin(Interval(np.array([-np.inf, 0.0]), np.array([np.inf, 1e300])))
    np.testing.assert_array_equal([everywhere.lo, everywhere.hi], [[-1, -1], [1, 1]])


def test_functions_where_they_are_not_defined() -> None:
    x = Interval(np.array([-2.0, -1.0, 0.0, 0.0]), np.array([-1.0, 1.0, 1.0, 0.0]))
    log = functions.log(x)
    np.testing.assert_array_equal(log.lo, -np.inf)
    np.testing.assert_array_equal(log.hi, [np.inf, 0, 0, np.inf])
    root = functions.sqrt(x)
    np.testing.assert_array_equal(root.lo, 0)
    np.testing.assert_allclose(root.hi, [0, 1, 1, 0])
    power = functions.real_power(x, Fraction(-1, 3))
    np.testing.assert_array_equal(power.hi, np.inf)
    assert not np.isnan(power.lo).any()


ONES = np.concatenate([[-1.0, 1.0, 0.0], rng.uniform(-1, 1, 300), 1 - 10.0 ** rng.uniform(-15, -1, 100)])


@pytest.mark.parametrize(("name", "exact"), [("arcsin", mp.asin), ("arccos", mp.acos), ("atanh", mp.atanh)])
def test_inverses_on_the_interval_from_minus_1_to_1(name: str, exact: Callable[[Any], Any]) -> None:
    lo = ONES[np.abs(ONES) < 1] if name == "atanh" else ONES
    hi = np.minimum(lo + 10.0 ** rng.uniform(-12, 0, len(lo)), np.nextafter(1, 0) if name == "atanh" else 1.0)
    for cells in (Interval.point(lo), Interval(lo, hi)):
        result = getattr(functions, name)(cells)
        for part in (0.0, 0.4, 1.0):
            inside = cells.lo + part * (cells.hi - cells.lo)
            for x, low, high in zip(np.minimum(inside, cells.hi), result.lo, result.hi, strict=True):
                with mp.workprec(200):
                    assert low <= exact(mp.mpf(float(x))) <= high


def test_new_functions_where_they_are_not_defined() -> None:
    """An end that rounding has moved beyond ±1 counts as ±1; nowhere defined is (−∞, ∞) of a pole."""
    x = Interval(np.array([-3.0, -2.0, 0.0, 1.0, 2.0]), np.array([-2.0, 0.5, 1.0, 1.0, 3.0]))
    np.testing.assert_allclose(functions.arcsin(x).hi, np.arcsin([-1, 0.5, 1, 1, 1]))
    np.testing.assert_allclose(functions.arccos(x).lo, np.arccos([-1, 0.5, 1, 1, 1]), atol=1e-15)
    np.testing.assert_allclose(functions.acosh(x).hi, np.arccosh([1, 1, 1, 1, 3.0]), atol=1e-300)
    atanh = functions.atanh(x)
    np.testing.assert_array_equal(atanh.lo[[0, 1, 3, 4]], -np.inf)
    np.testing.assert_array_equal(atanh.hi[[0, 2, 3, 4]], np.inf)
    assert atanh.hi[1] == pytest.approx(np.arctanh(0.5))
    below = Interval(np.array([-3.0, -1.0]), np.array([-1.0, 0.0]))
    np.testing.assert_array_equal(functions.log1p(below).lo, -np.inf)
    assert functions.log1p(below).hi[0] == np.inf
    assert not any(np.isnan(getattr(functions, name)(x).lo).any() for name in ("log10", "log2", "log1p"))


@given(st.floats(0, 1e3), st.floats(0, 10), st.fractions(-6, 6, max_denominator=50), st.floats(0, 1))
@CHECK
def test_real_powers(low: float, size: float, p: Fraction, part: float) -> None:
    x = min(low + part * size, low + size)
    if p.denominator == 1 or (x == 0 and p < 0):
        return
    result = functions.real_power(Interval(np.array([low, 1.0]), np.array([low + size, 2.0])), p)
    with mp.workprec(200):
        assert result.lo[0] <= mp.mpf(x) ** (mp.mpf(p.numerator) / p.denominator) <= result.hi[0]
