"""Powers with exponents of all sizes and kinds, against exponentials and logarithms in 60 digits."""

import math
import random
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from nnlab.chapters.backpropagation.autograd import autograd
from nnlab.expressions import (
    DomainError,
    Interval,
    check_domain,
    curvature,
    evaluate,
    gradient,
    parse,
    slopes,
)
from nnlab.rigorous.intervals import integer_power
from tests.certified_cases import exact_power

HUGE = (2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 10**17 + 1, 2**63 + 3, 10**30, 10**30 + 1, 10**60 + 1)


def base_of(rng: random.Random, exponent: int) -> float:
    """A float whose power is neither 0 nor infinite, of either sign."""
    return rng.choice([-1, 1]) * math.exp(rng.uniform(-600, 600) / abs(exponent))


def is_held(around: Interval, k: int, exact: Any) -> bool:
    """True where an interval holds a number that is known to 60 digits."""
    room = mp.mpf(10) ** -50 * abs(exact)
    return bool(around.lo[k] - room <= exact <= around.hi[k] + room)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [*range(1, 14), 64, 101, 1000, 99_999, *HUGE])
def test_powers_and_their_slopes_hold_what_is_exact(exponent: int, sign: int) -> None:
    rng, n = random.Random(exponent), sign * exponent
    graph = parse(f"x^{n}" if n > 0 else f"x^({n})", ("x",))
    points = np.array([base_of(rng, exponent) for _ in range(40)] + [1.0, -1.0])
    cells = {"x": Interval.point(points)}
    value, of_x = slopes(graph, cells, ("x",))
    steep, bend = of_x["x"], curvature(graph, cells, "x")
    computed = evaluate(graph, {"x": points})
    with mp.workdps(60):
        for k, x in enumerate(map(Fraction, points.tolist())):
            exact = exact_power(x, n)
            if 1e-290 < abs(exact) < 1e290:
                assert abs(computed[k] / exact - 1) < 1e-12
                assert value.hi[k] - value.lo[k] <= 1e-11 * abs(exact)
            assert is_held(value, k, exact)
            assert is_held(steep, k, n * exact_power(x, n - 1))
            assert is_held(bend, k, n * (n - 1) * exact_power(x, n - 2))


@pytest.mark.parametrize("exponent", [2, 3, 8, 9, 64, 101, *HUGE])
def test_powers_of_intervals_are_those_of_their_ends(exponent: int) -> None:
    near = 1 + 3 / exponent
    lo, hi = (
        np.array([-near, -near, -1.0, 0.0, -1.0, 0.5, -0.0]),
        np.array([-1.0, near, 0.0, near, near, 1.0, 0.0]),
    )
    found = integer_power(Interval(lo, hi), exponent)
    with mp.workdps(60):
        for k in range(len(lo)):
            ends: list[Any] = [exact_power(Fraction(x), exponent) if x else mp.mpf(0) for x in (lo[k], hi[k])]
            if exponent % 2 == 0 and lo[k] < 0 < hi[k]:
                ends.append(mp.mpf(0))
            assert found.lo[k] <= min(ends)
            assert max(ends) <= found.hi[k]
            assert float(min(ends)) == pytest.approx(found.lo[k], rel=1e-11, abs=1e-300)
            assert float(max(ends)) == pytest.approx(found.hi[k], rel=1e-11, abs=1e-300)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("x^9007199254740993", -1.0, -1.0), ("x^(2^53 + 1)", -1.0, -1.0),
        ("x^(-9007199254740993)", -1.0, -1.0), ("x^1e16", -1.0, 1.0),
        ("x^(1e16 + 1)", -1.0, -1.0), ("x^(3 - 1)", -3.0, 9.0), ("x^2.0", -3.0, 9.0),
        ("x^(6/2)", -3.0, -27.0), ("x^(10^60 + 1)", -1.0, -1.0), ("x^1e308", -1.0, 1.0), ("x^0", 0.0, 1.0),
    ],
)  # fmt: skip
def test_exponents_are_integers_by_their_value(text: str, at: float, expected: float) -> None:
    graph = parse(text, ("x",))
    check_domain(graph, {"x": (at, at)})
    assert float(evaluate(graph, {"x": at})) == expected
    value, partials = gradient(graph, {"x": at})
    assert value == expected
    around = slopes(graph, {"x": Interval.point(at)}, ("x",))[1]["x"]
    assert float(partials["x"]) == pytest.approx(float(around.mid), rel=1e-12)


@pytest.mark.parametrize("text", ["x^0.5", "x^(1/3)", "x^9007199254740992.5", "x^pi"])
def test_exponents_that_are_no_integers_have_no_negative_base(text: str) -> None:
    graph = parse(text, ("x",))
    with pytest.raises(DomainError):
        check_domain(graph, {"x": (-1.0, -0.5)})
    assert math.isnan(evaluate(graph, {"x": -1.0}))


@pytest.mark.parametrize("text", ["x^9007199254740993", "x^(-9007199254740993)", "x^3", "x^(-3)", "x^1e16"])
def test_autograd_has_the_same_powers(text: str) -> None:
    graph, at = parse(text, ("x",)), {"x": np.array(-1.0)}
    value, partials = gradient(graph, at)
    theirs, their_partials = autograd(graph, at)
    assert theirs == value
    assert their_partials["x"] == partials["x"]
