"""Certified errors against sampling in extended precision, mpmath, brute force and closed forms."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.bins import Construction, Heights, Histogram, bins_for, build_bins
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.evaluation import evaluation_error
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.network import ACTIVATIONS, Output, ScalarNetwork
from nnlab.approximation.targets import NAMED, make_target
from nnlab.errors import InputError
from nnlab.expressions import DomainError, lipschitz, parse

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]
Function = Callable[[Long], Long]

EPS = float(np.finfo(np.longdouble).eps)
CHECK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


# --- networks in extended precision ---------------------------------------------------------------------


def line_network(
    w: ArrayLike, b: ArrayLike, c: ArrayLike, c0: float, activation: str, output: Output = "identity"
) -> ScalarNetwork:
    """c₀ + Σ cᵢ φ(wᵢx + bᵢ)."""
    w, b, c = (np.asarray(v, np.float64) for v in (w, b, c))
    return ScalarNetwork([(w[:, None], b), (c[None], np.array([c0]))], activation, output)


def long_values(network: ScalarNetwork, x: ArrayLike) -> tuple[Long, float]:
    """(n,) values of the network in long double, and what their rounding may have done."""
    (w, b), (c, c0) = network.weights()
    points = np.asarray(x, np.longdouble)
    z = points[:, None] * w[:, 0].astype(np.longdouble) + b.astype(np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        phi: dict[str, Callable[[], Any]] = {
            "sigmoid": lambda: 1 / (1 + np.exp(-z)),
            "tanh": lambda: np.tanh(z),
            "ripple": lambda: 1 / (1 + np.exp(-z)) + z * np.exp(-z * z),
            "relu": lambda: np.maximum(z, 0),
            "step": lambda: (z >= 0).astype(np.longdouble),
        }
        h = phi[network.activation]()
        y = np.asarray(h @ c[0].astype(np.longdouble) + np.longdouble(c0[0]), np.longdouble)
        if network.output_activation == "sigmoid":
            y = np.reciprocal(1 + np.exp(-y))
    size = float(np.abs(w).max() * np.abs(points).max() + np.abs(b).max()) + len(b) + 8
    return y, 8 * EPS * (size * float(np.abs(c).sum()) + abs(float(c0[0])) + 1)


def exact_value(network: ScalarNetwork, x: Any) -> Any:
    """One value of the network in mpmath."""
    (w, b), (c, c0) = network.weights()
    phi: dict[str, Any] = {
        "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
        "tanh": mp.tanh,
        "ripple": lambda z: 1 / (1 + mp.exp(-z)) + z * mp.exp(-(z**2)),
        "relu": lambda z: max(z, mp.mpf(0)),
        "step": lambda z: mp.mpf(int(z >= 0)),
    }
    y = mp.mpf(float(c0[0]))
    for w_i, b_i, c_i in zip(w[:, 0], b, c[0], strict=True):
        z = mp.mpf(float(w_i)) * x + mp.mpf(float(b_i))
        if network.activation not in ("relu", "step"):
            z = max(min(z, mp.mpf(10**4)), mp.mpf(-(10**4)))  # e^{−10⁴} is below every room left here
        y += mp.mpf(float(c_i)) * phi[network.activation](z)
    return phi["sigmoid"](y) if network.output_activation == "sigmoid" else y


# --- certificates of constructions against sampling -----------------------------------------------------


@dataclass(frozen=True)
class Expression:
    """A text for nnlab, and the same function in long double, made without its parser."""

    text: str
    function: Function

    def __repr__(self) -> str:
        return self.text


UNARY: dict[str, Function] = {
    "sin({})": np.sin,
    "cos({})": np.cos,
    "tanh({})": np.tanh,
    "abs({})": np.abs,
    "sigmoid({})": lambda u: np.longdouble(0.5) * (1 + np.tanh(np.longdouble(0.5) * u)),
    "exp(-abs({}))": lambda u: np.exp(-np.abs(u)),
    "exp(sin({}))": lambda u: np.exp(np.sin(u)),
    "(0.5*{})^2": lambda u: np.square(np.longdouble(0.5) * u),
}
BINARY: dict[str, Callable[[Long, Long], Long]] = {
    "({} + {})": np.add,
    "({} - {})": np.subtract,
    "{}*{}": np.multiply,
    "min({}, {})": np.minimum,
    "max({}, {})": np.maximum,
    "where({} < {}, 0.75, 0.25)": lambda u, v: np.where(u < v, np.longdouble(0.75), np.longdouble(0.25)),
}


def _unary(template: str, inner: Expression) -> Expression:
    return Expression(template.format(inner.text), lambda x: UNARY[template](inner.function(x)))


def _binary(template: str, left: Expression, right: Expression) -> Expression:
    return Expression(
        template.format(left.text, right.text),
        lambda x: BINARY[template](left.function(x), right.function(x)),
    )


def _line(slope: int, shift: int) -> Expression:
    """Quarters, so that text, long double and float64 mean the same number."""
    return Expression(f"({slope / 4}*x + {shift / 4})", lambda x: x * slope / 4 + np.longdouble(shift) / 4)


lines = st.builds(_line, st.integers(-24, 24), st.integers(-12, 12))
expressions = st.recursive(
    lines,
    lambda part: st.one_of(
        st.builds(_unary, st.sampled_from(sorted(UNARY)), part),
        st.builds(_binary, st.sampled_from(sorted(BINARY)), part, part),
    ),
    max_leaves=5,
)


@dataclass(frozen=True)
class Case:
    """A construction of a function on an interval; `sharpness` is w times the length of a bin."""

    expression: Expression
    low: float
    length: float
    bins: int
    construction: Construction
    heights: Heights
    activation: str
    sharpness: float | None
    output: Output

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.low + self.length

    @property
    def target(self) -> Expression:
        """A sigmoid output needs values inside (0, 1)."""
        inner = self.expression
        if self.output == "identity":
            return inner
        return Expression(
            f"0.5 + 0.4375*tanh({inner.text})",
            lambda x: np.longdouble(0.5) + np.tanh(inner.function(x)) * np.longdouble(0.4375),
        )

    def build(self) -> Histogram:
        steepness = None if self.sharpness is None else self.sharpness * self.bins / self.length
        return build_bins(
            make_target(self.target.text), self.bins, self.interval, construction=self.construction,
            heights=self.heights, steepness=steepness, activation=self.activation, output=self.output,
        )  # fmt: skip


cases = st.builds(
    Case,
    expression=expressions,
    low=st.one_of(st.floats(-4, 4), st.sampled_from([0.0, -1.0, 100.0, -1000.0])),
    length=st.one_of(st.just(1.0), st.floats(0.01, 5)),
    bins=st.integers(1, 60),
    construction=st.sampled_from(["staircase", "towers", "hats"]),
    heights=st.sampled_from(["midpoint", "left"]),
    activation=st.sampled_from(["sigmoid", "tanh", "ripple", "step"]),
    sharpness=st.one_of(st.none(), st.just(math.inf), st.floats(-1, 3).map(lambda p: 10**p)),
    output=st.sampled_from(["identity", "sigmoid"]),
)


def sample(histogram: Histogram, interval: tuple[float, float], count: int) -> Array:
    """Even points, both sides of every edge, and points within its step."""
    edges = histogram.borders
    around = np.linspace(-6, 6, 9) * np.min(np.diff(edges)) / 2
    if math.isfinite(histogram.steepness):
        around = np.concatenate([around, np.linspace(-6, 6, 9) / histogram.steepness])
    x = np.concatenate([
        np.linspace(*interval, count), edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf),
        (edges[:, None] + around).ravel(),
    ])  # fmt: skip
    return x[(interval[0] <= x) & (x <= interval[1])]


def long_target(f: Function, x: Array) -> tuple[Long, Long]:
    """(n,) values in long double, and what rounding may have done: 16 times what shaking x does."""
    points = x.astype(np.longdouble)
    values = f(points)
    shaken = [np.abs(f(points * (1 + sign * 16 * EPS)) - values) for sign in (-1, 1)]
    return values, 16 * np.maximum(*shaken) + 256 * EPS * (1 + np.abs(values))


def check_against_sampling(case: Case, count: int = 400) -> int:
    """The upper bound is nowhere exceeded, the lower one is reached at `at`; returns how many points."""
    histogram = case.build()
    found = certify(histogram.network, make_target(case.target.text), case.interval, max_boxes=100_000)
    x = np.append(sample(histogram, case.interval, count), found.at)
    values, of_values = long_values(histogram.network, x)
    f, of_target = long_target(case.target.function, x)
    error, room = np.abs(values - f), of_values + of_target
    assert np.all(error <= found.upper + room)
    assert found.lower <= error[-1] + room[-1]
    assert found.lower <= found.upper
    assert case.interval[0] <= found.at[0] <= case.interval[1]
    assert len(found.at) == 1
    return len(x)


@given(cases)
@CHECK
def test_certificates_hold_what_is_sampled(case: Case) -> None:
    check_against_sampling(case)


@given(cases)
@settings(CHECK, max_examples=40)
def test_certificates_of_pairs_of_cells_hold_what_is_sampled(case: Case) -> None:
    """With evaluations of the target shared by two cells, as they are where there are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnlab.approximation.certificate.MANY", 2)
        check_against_sampling(case)


# --- networks that are no constructions -----------------------------------------------------------------


def _signed(least: int, most: int) -> st.SearchStrategy[float]:
    """Numbers of both signs and of every size from 10^least to 10^(most + 1)."""
    return st.builds(
        lambda sign, digits, power: sign * digits * 10.0**power,
        st.sampled_from([-1, 1]), st.floats(1, 10), st.integers(least, most),
    )  # fmt: skip


places = st.one_of(st.sampled_from([0.0, 0.25, 0.5, -1.0, 1 / 3]), st.floats(-1.5, 1.5))
units = st.tuples(
    st.one_of(st.sampled_from([0.0, 1.0, -1.0, 10.0, -10.0, 100.0]), _signed(-8, 11)),
    places,
    st.one_of(st.sampled_from([1.0, -1.0]), _signed(-8, 5)),
)
outputs: st.SearchStrategy[Output] = st.sampled_from(["identity", "sigmoid"])


@st.composite
def networks(draw: st.DrawFn, activations: Sequence[str] = ACTIVATIONS) -> ScalarNetwork:
    """Weights of both signs and all sizes, some 0; units in the same place, and some that cancel."""
    w, s, c = (
        np.array(column) for column in zip(*draw(st.lists(units, min_size=1, max_size=9)), strict=True)
    )
    b = np.where(w == 0, 100 * s, -w * s)
    if draw(st.booleans()):
        w, b, c = np.append(w, w[0]), np.append(b, b[0]), np.append(c, -c[0])
    return line_network(w, b, c, draw(_signed(-3, 3)), draw(st.sampled_from(activations)), draw(outputs))


cells = st.tuples(
    places, st.one_of(st.just(0.0), st.integers(-14, 0).map(lambda p: 10.0**p), st.floats(0, 2)),
    st.one_of(st.sampled_from([0.0, math.inf, -math.inf, 1e300]), _signed(-9, 6)),
)  # fmt: skip


@given(
    networks(), st.lists(cells, min_size=1, max_size=6), st.sampled_from([0.0, 1e-12, 1e-3]), st.floats(0, 1)
)
@settings(CHECK, max_examples=150)
def test_lines_bracket_any_network(
    network: ScalarNetwork, drawn: list[tuple[float, float, float]], tails: float, part: float
) -> None:
    """Whatever the slope that the tangents are laid for, at points and over cells."""
    a, length, slope = (np.array(column) for column in zip(*drawn, strict=True))
    b = a + length
    line = LineNetwork(network, tails)
    found, candidates = line.lines(a, b, slope), line.candidates(a, b, slope)
    assert np.all((candidates >= a[:, None]) & (candidates <= b[:, None]))
    assert all(np.isfinite(getattr(found, name)).all() for name in found.__match_args__)
    with mp.workdps(60):
        for i in range(len(a)):
            for t in (mp.mpf(0), mp.mpf(part), mp.mpf(1)):
                value = exact_value(network, mp.mpf(a[i]) * (1 - t) + mp.mpf(b[i]) * t)
                assert mp.mpf(found.below[0][i]) * (1 - t) + mp.mpf(found.below[1][i]) * t <= value
                assert value <= mp.mpf(found.above[0][i]) * (1 - t) + mp.mpf(found.above[1][i]) * t


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lines_bracket_a_single_unit_over_cells_of_every_length(activation: str, output: Output) -> None:
    """Cells left and right of the step and across it, long ones and short ones, and many points in each."""
    lengths, starts = np.array([1e-6, 1e-3, 0.05, 0.4, 1.0, 3.0, 9.0]), np.linspace(-7, 5, 97)
    a, length = (grid.ravel() for grid in np.meshgrid(starts, lengths))
    t = np.linspace(0, 1, 25)
    b = a + length
    x = a.astype(np.longdouble)[:, None] + (b.astype(np.longdouble) - a)[:, None] * t
    for w, bias, c in ((1.0, 0.0, 1.0), (1.0, 0.3, -2.0), (-1.5, 0.2, 1.0), (-1.0, -0.1, -1.0)):
        network = line_network([w], [bias], [c], 0.25, activation, output)
        values, room = long_values(network, x.ravel())
        y = values.reshape(x.shape)
        for slope in (0.0, 0.1, -0.1, 0.22, -0.22, 1.0, -1.0):
            found = LineNetwork(network).lines(a, b, np.full(len(a), slope))
            below = found.below[0][:, None] * (1 - t) + found.below[1][:, None] * t
            above = found.above[0][:, None] * (1 - t) + found.above[1][:, None] * t
            assert np.all(below - room <= y)
            assert np.all(y <= above + room)
            if activation in ("sigmoid", "tanh", "ripple"):
                # one order better than constants, away from the inflection: |φ''|w² ≤ 5
                short = (length < 0.01) & (np.abs(a * w + bias) > 0.02)
                assert np.all((above - below)[short] <= 12 * length[short, None] ** 2 + 1e-11)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple"])
@pytest.mark.parametrize("tails", [1e-9, 1e-4, 1e-1])
def test_lines_account_for_the_tails_that_they_leave_out(activation: str, tails: float) -> None:
    """Units that count as saturated early, one to fifteen steps away: off by more than rounding, by less
    than the room that is left for them.
    """
    histogram = build_bins(make_target("x"), 16, steepness=160.0, activation=activation)
    x = np.linspace(0, 1, 4001)
    values, _ = long_values(histogram.network, x)
    exact = LineNetwork(histogram.network).lines(x, x)
    found = LineNetwork(histogram.network, tails).lines(x, x)
    assert np.all((found.below[0] <= values) & (values <= found.above[0]))
    middle = (found.below[0] + found.above[0]) / 2
    assert np.abs(middle - values).max() > 100 * (exact.above[0] - exact.below[0]).max()
    assert (found.above[0] - found.below[0]).max() <= 2.5 * tails  # the ripple has its wave beside


def largest_error(network: ScalarNetwork, f: Function, interval: tuple[float, float]) -> float:
    """By brute force: a fine grid and both sides of every unit, then ever finer grids where it is largest."""
    (w, b), _ = network.weights()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        s = -b / w[:, 0]
    s = s[(interval[0] < s) & (s < interval[1])]
    x = np.concatenate([np.linspace(*interval, 20_001), s, np.nextafter(s, -np.inf), np.nextafter(s, np.inf)])
    best, step = 0.0, (interval[1] - interval[0]) / 20_000
    for _ in range(4):
        error = np.abs(long_values(network, x)[0] - f(x.astype(np.longdouble)))
        best = max(best, float(error.max()))
        top = x[np.argsort(error)[-8:]]
        x = np.clip((top[:, None] + step * np.linspace(-1, 1, 201)).ravel(), *interval)
        step /= 100
    return best


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_certificates_of_random_networks_meet_brute_force(activation: str) -> None:
    """Both bounds, to 1e-6: as close as the brute force comes at a kink."""
    rng = np.random.default_rng(ACTIVATIONS.index(activation))
    target = make_target("sin(3*x) + abs(x - 0.25)")
    for trial in range(12):
        count = int(rng.integers(1, 12))
        w = rng.standard_normal(count) * 10.0 ** rng.integers(0, 3)
        b = -w * rng.uniform(-1, 1, count) + 0.1 * rng.standard_normal(count)
        output: Output = "sigmoid" if trial % 4 == 3 else "identity"
        network = line_network(w, b, rng.standard_normal(count), rng.standard_normal(), activation, output)
        found = certify(network, target, (-1.0, 1.5))
        expected = largest_error(
            network, lambda x: np.sin(3 * x) + np.abs(x - np.longdouble(0.25)), (-1.0, 1.5)
        )
        assert found.complete
        assert expected - 1e-6 <= found.lower <= found.upper <= expected + 1e-6
        assert found.upper >= expected - 1e-15


def test_steps_that_face_each_other_count_at_the_one_point_where_both_are_one() -> None:
    """1 where x ≥ ½, and 1 where x ≤ ½: together 2 at ½ alone."""
    network = line_network([1.0, -1.0], [-0.5, 0.5], [1.0, 1.0], 0.0, "step")
    assert network(torch.tensor([[0.25], [0.5], [0.75]], dtype=torch.float64)).ravel().tolist() == [1, 2, 1]
    assert certify(network, make_target("1")).upper >= 1


def test_units_in_one_place_whose_sums_are_rounded() -> None:
    """Steep ReLUs whose merged weights are each off by half an ulp, all in one direction."""
    count = 150
    w, s = 1e10, np.linspace(0.01, 0.3, count) * 1e-6
    signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    c = np.stack([signs, np.full(count, 0.49 * 2.0**-53)], axis=1).ravel()
    network = line_network(np.full(2 * count, w), np.repeat(-w * s, 2), c, 0.0, "relu")
    (weights, biases), _ = network.weights()
    one = np.ones(1)
    found = LineNetwork(network).lines(one, one)
    exact = sum(
        Fraction(float(c_i)) * max(Fraction(0), Fraction(float(w_i)) + Fraction(float(b_i)))
        for c_i, w_i, b_i in zip(c, weights[:, 0], biases, strict=True)
    )
    assert Fraction(float(found.below[0][0])) <= exact <= Fraction(float(found.above[0][0]))


@given(networks([a for a in ACTIVATIONS if a != "step"]), st.lists(places, min_size=1, max_size=8))
@settings(CHECK, max_examples=100)
def test_evaluation_by_torch_stays_within_its_stated_error(
    network: ScalarNetwork, points: list[float]
) -> None:
    x = np.array(points)
    with torch.no_grad():
        computed = network(torch.from_numpy(x[:, None]))[:, 0].numpy()
    allowed = evaluation_error(network, x.min(), x.max())
    with mp.workdps(60):
        assert all(
            abs(mp.mpf(y) - exact_value(network, mp.mpf(v))) <= allowed
            for v, y in zip(x, computed, strict=True)
        )


def test_evaluation_counts_units_without_a_step() -> None:
    """A unit with w = 0 is a constant, but torch rounds it as any other."""
    network = line_network([0.0, 1.0], [0.3, 0.0], [1e10, 1.0], 0.0, "sigmoid")
    with mp.workdps(60), torch.no_grad():
        off = abs(
            mp.mpf(float(network(torch.zeros(1, 1, dtype=torch.float64)))) - exact_value(network, mp.mpf(0))
        )
        assert off <= evaluation_error(network, 0.0, 0.0)


def test_lines_allow_for_the_enclosure_of_units_without_a_step() -> None:
    """Far out, the sigmoid's tangent is less than the room that other units leave."""
    network = line_network([0.0, 1.0], [140.0, 0.0], [1.0, 1e-3], -1.0, "sigmoid")
    x = np.linspace(-1, 1, 9)
    with mp.workdps(60):
        found = LineNetwork(network).lines(x, x)
        for i, point in enumerate(x):
            assert found.below[0][i] <= exact_value(network, mp.mpf(point)) <= found.above[0][i]


def test_evaluation_counts_the_rounding_of_a_long_sum() -> None:
    """Thousands of hard steps that are all 1: what is left is the sum of their weights."""
    rng = np.random.default_rng(0)
    c = rng.uniform(0.05, 0.15, 20_000)
    network = line_network(np.ones(len(c)), rng.uniform(1, 2, len(c)), c, 0.0, "step")
    with torch.no_grad():
        computed = float(network(torch.zeros(1, 1, dtype=torch.float64)))
    off = abs(float(Fraction(computed) - sum(map(Fraction, c.tolist()))))
    assert 0 < off <= evaluation_error(network, 0.0, 0.0) < 1e-7


def test_local_values_equal_the_dense_network_at_ten_thousand_bins() -> None:
    target = make_target("sin(2*pi*x) + 0.25*cos(40*x)")
    histogram = build_bins(target, 10_000)
    line = LineNetwork(histogram.network)
    rng = np.random.default_rng(0)
    edges = rng.choice(histogram.borders, 250)
    near = edges + rng.uniform(-8, 8, 250) / histogram.steepness
    x = np.clip(np.concatenate([np.linspace(0, 1, 250), rng.uniform(0, 1, 250), edges, near]), 0, 1)
    with torch.no_grad():
        dense = histogram.network(torch.from_numpy(x[:, None]))[:, 0].numpy()
    lines = line.lines(x, x)
    own = float((lines.above[0] - lines.below[0]).max()) / 2
    assert own < 1e-12
    assert evaluation_error(histogram.network, 0.0, 1.0) < 1e-7
    assert np.abs(line.values(x) - dense).max() <= evaluation_error(histogram.network, 0.0, 1.0) + own
    assert np.abs(line.values(x) - dense).max() < 1e-10  # as measured; the bound is for the worst rounding


@pytest.mark.parametrize("construction", ["staircase", "towers"])
def test_local_values_of_hard_steps_are_those_of_the_right_side_at_an_edge(
    construction: Construction,
) -> None:
    histogram = build_bins(make_target("sine"), 4, steepness=math.inf, construction=construction)
    x = histogram.borders[:-1]
    assert np.abs(LineNetwork(histogram.network).values(x) - histogram.heights).max() < 1e-12


# --- the search -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bins"),
    [("sin(40*x)", 1), ("exp(3*x)*sin(9*x)", 3), ("weierstrass", 10), ("x^2", 1), ("cos(50*x)*x", 7)],
)
@pytest.mark.parametrize("construction", ["staircase", "hats"])
def test_bins_far_wider_than_the_waves_are_certified_to_the_gap_asked_for(
    text: str, bins: int, construction: Construction
) -> None:
    """Cells begin much too wide there, and their first bounds many times too large."""
    target = make_target(text)
    found = certify(build_bins(target, bins, construction=construction).network, target, max_boxes=200_000)
    assert found.complete
    assert found.upper - found.lower <= 2e-9 * found.upper


def test_the_same_certificate_twice() -> None:
    """Many blocks in many threads, and not one digit that depends on which is first."""
    target = make_target("weierstrass")
    network = build_bins(target, 60_000).network
    found = [certify(network, target, relative=1e-3) for _ in range(3)]
    assert len({(c.lower, c.upper, c.at, c.boxes) for c in found}) == 1


@given(cases, st.integers(1, 400))
@settings(CHECK, max_examples=25)
def test_searches_that_end_early_stay_valid(case: Case, most: int) -> None:
    histogram, target = case.build(), make_target(case.target.text)
    short = certify(histogram.network, target, case.interval, max_boxes=most)
    long = certify(histogram.network, target, case.interval, max_boxes=50_000)
    assert short.lower <= long.upper
    assert long.lower <= short.upper


def test_a_jump_of_the_target_is_half_met_at_best() -> None:
    """where(x < 0.3, 0, 1) with an edge elsewhere: the error is the whole jump, known to the last digit."""
    target = make_target("where(x < 0.3, 0, 1)")
    found = certify(build_bins(target, 4, steepness=math.inf).network, target)
    assert found.lower == pytest.approx(1, abs=1e-12)
    assert found.upper == pytest.approx(1, abs=1e-12)


def test_a_root_at_the_end_of_the_interval() -> None:
    """√x has no Lipschitz constant, but a certificate: h₀ = √(1/2N) is missed by itself at 0."""
    target = make_target("root")
    found = certify(build_bins(target, 16).network, target)
    assert found.lower == pytest.approx(math.sqrt(1 / 32), rel=1e-8)
    assert found.upper == pytest.approx(math.sqrt(1 / 32), rel=1e-8)


def test_what_is_not_finite_is_never_certified() -> None:
    target = make_target("x")
    for bad in (math.nan, math.inf):
        network = line_network([1.0, 2.0], [0.0, bad], [1.0, 1.0], 0.0, "sigmoid")
        assert certify(network, target, max_boxes=10_000).upper == math.inf


@pytest.mark.parametrize(
    "interval", [(1.0, 0.0), (0.5, 0.5), (0.0, math.nan), (0.0, math.inf), (-math.inf, 1.0)]
)
def test_intervals_that_are_refused(interval: tuple[float, float]) -> None:
    target = make_target("x")
    network = build_bins(target, 2).network
    with pytest.raises(InputError, match="interval"):
        certify(network, target, interval)


def test_networks_of_another_dimension_are_refused() -> None:
    network = build_bins(make_target("x"), 2).network
    with pytest.raises(InputError, match="1 inputs, but hill has 2 variables"):
        certify(network, make_target("hill"))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_two_hidden_layers_are_certified_to_the_gap_asked_for(activation: str) -> None:
    """By boxes: against brute force on the dense network, whose values differ by rounding only."""
    rng = np.random.default_rng(3)
    shapes = [(5, 1), (4, 5), (1, 4)]
    layers = [(rng.standard_normal(shape), rng.standard_normal(shape[0])) for shape in shapes]
    network, target = ScalarNetwork(layers, activation), make_target("sin(3*x)")
    found = certify(network, target, (-1.0, 1.0), absolute=1e-4, relative=0.0)
    x = np.linspace(-1, 1, 200_001)
    with torch.no_grad():
        error = np.abs(network(torch.from_numpy(x[:, None]))[:, 0].numpy() - np.sin(3 * x))
    assert error.max() <= found.upper + 1e-12
    assert found.complete
    assert found.upper - found.lower <= 1e-4
    assert found.lower <= error.max() + 1e-7  # the grid may miss the top by h² times a curvature


# --- the answer to the lecture's question ---------------------------------------------------------------

TEN = (
    "x^2", "exp(-x)", "tanh(5*(x - 0.5))", "max(x, 1 - x)", "abs(sin(7*x))", "log(1 + x)", "x*sin(10*x)",
    "cos(20*x)*exp(-3*x)", "min(0.5, x^3)", "sqrt(1 + x)",
)  # fmt: skip
LIPSCHITZ = [n for n in NAMED if n not in ("step", "root", "hill", "ripples")] + list(TEN)


def bounds(text: str, bins: int, gap: float, interval: tuple[float, float] = (0.0, 1.0)) -> Certificate:
    target = make_target(text)
    return certify(build_bins(target, bins, interval).network, target, interval, absolute=gap, relative=0.0)


@pytest.mark.parametrize("text", LIPSCHITZ)
def test_half_as_many_bins_as_the_slope_over_the_error(text: str) -> None:
    """N = ⌈L/2ε⌉ is certified to ε(1 + 10⁻⁹), one bin more to ε; both bounds within 1% of ε."""
    known = NAMED.get(text, text)
    slope = lipschitz(parse(known, ("x",)), {"x": (0.0, 1.0)})[1]
    for epsilon in (0.1, 0.01, 0.001):
        bins = bins_for(slope, epsilon)
        assert bins - 1 < slope / (2 * epsilon) <= bins * (1 + 1e-11)
        close = bounds(text, bins, 1e-10 * epsilon)
        assert close.upper <= epsilon * (1 + 1e-9)
        assert close.upper - close.lower <= 0.01 * epsilon
        assert bounds(text, bins + 1, 1e-10 * epsilon).upper <= epsilon


@pytest.mark.parametrize(
    ("slope", "interval"),
    [(1.0, (0.0, 1.0)), (0.7, (0.0, 1.0)), (3.0, (0.0, 1.0)), (2.0, (-3.0, 5.0)), (0.3, (10.0, 11.0))],
)
@pytest.mark.parametrize("epsilon", [0.1, 0.01, 0.001])
def test_on_the_tight_case_no_histogram_with_one_bin_less_suffices(
    slope: float, interval: tuple[float, float], epsilon: float
) -> None:
    """f = Lx: within one of N − 1 bins it varies by L(b − a)/(N − 1), and half of that is the best error."""
    length = interval[1] - interval[0]
    bins = bins_for(slope, epsilon, length)
    found = bounds(f"{slope}*x", bins, 1e-10 * epsilon, interval)
    assert found.upper <= epsilon * (1 + 1e-9)
    assert found.upper - found.lower <= 1e-9 * epsilon
    assert found.upper == pytest.approx(slope * length / (2 * bins), rel=2e-9)
    borders = interval[0] + length * np.arange(bins) / (bins - 1)
    least = histogram_lower_bound(make_target(f"{slope}*x"), borders)
    assert epsilon < least <= slope * length / (2 * (bins - 1)) * (1 + 1e-12)
    assert least == pytest.approx(slope * length / (2 * (bins - 1)), rel=1e-9)


@pytest.mark.parametrize("text", ["sin(2*pi*x)", "x^3 - x", "abs(x - 0.3)", "exp(2*x)"])
def test_no_histogram_is_below_the_bound_that_is_said_to_hold_for_all(text: str) -> None:
    """Against the best heights: the middle of the least and the largest value, sampled, in each bin."""
    target = make_target(text)
    for bins in (1, 2, 3, 7, 20):
        borders = np.unique(np.concatenate([[0.0, 1.0], np.random.default_rng(bins).uniform(0, 1, bins - 1)]))
        best = 0.0
        for low, high in pairwise(borders):
            f = target.values(np.linspace(low, high, 2001)[:, None])
            best = max(best, float(f.max() - f.min()) / 2)
        found = histogram_lower_bound(target, borders)
        assert found <= best
        assert bins < 20 or found >= 0.5 * best


def test_the_bound_for_all_histograms_looks_into_the_middle_of_a_bin() -> None:
    """|x − ½| is ½ at both ends of a single bin and 0 between: no height is closer than ¼."""
    assert histogram_lower_bound(make_target("abs(x - 0.5)"), [0.0, 1.0]) == pytest.approx(0.25, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted as on Linux")
def test_a_million_bins_in_less_than_a_gigabyte() -> None:
    """Build and certify; the peak of what this adds to the process with torch loaded."""
    code = """
import resource
from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.targets import make_target
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
target = make_target("sine")
found = certify(build_bins(target, 10**6).network, target, relative=0.01)
print(found.complete, found.upper, found.lower, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    complete, upper, lower, grown = done.stdout.split()
    assert complete == "True"
    assert math.pi / 1e6 * 0.99 <= float(lower) <= float(upper) <= math.pi / 1e6 * 1.01
    assert int(grown) * 1024 < 1e9


# --- far away, tiny, and outside of the domain ---------------------------------------------------------


@pytest.mark.parametrize("place", [1e6, -1e10, 1e15, -1e15])
@pytest.mark.parametrize("construction", ["staircase", "towers", "hats"])
def test_far_from_the_origin_bounds_are_as_close(construction: Construction, place: float) -> None:
    """x − a over [a, a + 8]: half of a bin, up to a few floats, and nothing for hats; a constant is met."""
    interval, sign = (place, place + 8), "-" if place > 0 else "+"
    target = make_target(f"x {sign} {abs(place):.0f}")
    steepness = None if construction == "hats" else math.inf
    network = build_bins(target, 4, interval, construction=construction, steepness=steepness).network
    found = certify(network, target, interval)
    expected = 0.0 if construction == "hats" else 1.0
    assert found.lower <= expected <= found.upper <= expected + 1e-12 + 8 * np.spacing(abs(place))
    constant = make_target("1")
    network = build_bins(constant, 4, interval, construction=construction, steepness=steepness).network
    assert certify(network, constant, interval).upper < 1e-13
    wide = (-abs(place), abs(place))
    network = build_bins(constant, 4, wide, construction=construction, steepness=steepness).network
    assert certify(network, constant, wide).upper < 1e-13


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("place", [0.3e7, -1e12])
def test_lines_from_another_origin_bracket_the_same_network(activation: str, place: float) -> None:
    rng = np.random.default_rng(5)
    w = rng.choice([-1, 1], 8) * 10 ** rng.uniform(-1, 2, 8)
    network = line_network(w, -w * (place + rng.uniform(0, 1, 8)), rng.standard_normal(8), 0.3, activation)
    a = np.sort(place + rng.uniform(0, 1, 30))
    b = a + np.spacing(abs(place)) * rng.integers(0, 40, 30)
    near, far = LineNetwork(network, origin=place + 0.5), LineNetwork(network)
    found = near.lines(a, b)
    assert near.origin == place + 0.5
    with mp.workdps(60):
        for i in range(len(a)):
            for t in (mp.mpf(0), mp.mpf("0.3"), mp.mpf(1)):
                value = exact_value(network, mp.mpf(a[i]) * (1 - t) + mp.mpf(b[i]) * t)
                assert mp.mpf(found.below[0][i]) * (1 - t) + mp.mpf(found.below[1][i]) * t <= value
                assert value <= mp.mpf(found.above[0][i]) * (1 - t) + mp.mpf(found.above[1][i]) * t
    points, there = near.lines(a, a), far.lines(a, a)
    width = np.median(points.above[0] - points.below[0])
    assert width < 1e-10
    assert activation == "step" or np.median(there.above[0] - there.below[0]) > 100 * width


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("w", [1e-310, -1e-310, 5e-324, 1e-290, 0.0])
@pytest.mark.parametrize("b", [0.0, 0.3, -2.0])
def test_units_that_hardly_move_are_constants(activation: str, w: float, b: float) -> None:
    """In a few boxes, without a warning of NumPy, to the last digits."""
    for others in (0, 1):
        network = line_network(
            [w, 1.0][: 1 + others], [b, -0.4][: 1 + others], [1.0, 0.25][: 1 + others], 0.0, activation
        )
        found = certify(network, make_target("x"), relative=1e-9)
        expected = largest_error(network, lambda x: x, (0.0, 1.0))
        assert found.complete
        assert found.boxes < 5_000
        assert expected - 1e-6 <= found.lower <= found.upper <= expected + 1e-6


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1/(x - 0.5)", (0.0, 1.0)), ("log(x)", (-1.0, 1.0)), ("log(x)", (0.0, 1.0)),
        ("sqrt(x)", (-1.0, 1.0)),
        ("tan(x)", (1.0, 2.0)), ("exp(1000*x)", (0.0, 1.0)), ("x^(1/3)", (-1.0, 1.0)), ("x^-1", (-1.0, 1.0)),
        ("atanh(x)", (0.0, 1.0)), ("(x - 1)^x", (0.0, 1.0)), ("x^1e308", (0.0, 2.0)),
    ],
)  # fmt: skip
def test_targets_are_certified_where_they_are_defined_everywhere(
    text: str, interval: tuple[float, float]
) -> None:
    network = build_bins(make_target("1"), 4, interval).network
    with pytest.raises(DomainError):
        certify(network, make_target(text), interval)
    plane = ScalarNetwork([([[1.0, 2.0]], [0.0]), ([[1.0]], [0.0])], "tanh")
    with pytest.raises(DomainError):
        certify(plane, make_target(text.replace("x", "x1").replace("ex1p", "exp"), 2), interval)


@pytest.mark.parametrize("interval", [(-1e308, 1.7e308), (0.0, 1e308), (-math.inf, math.inf)])
def test_intervals_that_float64_cannot_halve_are_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"is beyond ±4.5e\+307"):
        certify(build_bins(make_target("1"), 2).network, make_target("x"), interval)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("place", [0.0, 0.3, 1e15, -1.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_intervals_of_a_few_floats(activation: str, place: float, length: int) -> None:
    x = [place]
    for _ in range(length):
        x.append(math.nextafter(x[-1], math.inf))
    network = line_network([3.0, 1e9], [-3.0 * place, -1e9 * place], [1.0, 2.0], 0.5, activation)
    found = certify(network, make_target("0.25"), (x[0], x[-1]))
    with mp.workdps(60):
        exact = [abs(exact_value(network, mp.mpf(p)) - mp.mpf("0.25")) for p in x]
        assert found.lower <= max(exact) <= found.upper
        assert found.upper <= 1.2 * max(exact) + 3 * (activation == "step")


def test_a_jump_between_two_floats_is_met_at_the_one_where_they_differ() -> None:
    """The network steps at the float 0.3, the target at 3/10, a little above: at 0.3 alone they differ."""
    target = make_target("where(x < 0.3, 0, 1)")
    found = certify(line_network([1.0], [-0.3], [1.0], 0.0, "step"), target)
    assert (found.at, found.complete) == ((0.3,), True)
    assert found.boxes < 100
    assert found.lower == pytest.approx(1, abs=1e-12)
    turned = certify(line_network([-1.0], [0.3], [-1.0], 1.0, "step"), target)  # 1 − 1_{x ≤ 0.3}: 0 at 0.3
    assert turned.lower < 1e-12


def test_the_range_says_what_lines_of_a_steep_power_do_not() -> None:
    """Between −1 and the next float the power goes from −1 to −0.37."""
    network = line_network([0.0], [0.0], [0.0], 0.0, "relu")
    found = certify(network, make_target("x^9007199254740993"), (-1.0, -0.5))
    assert found.lower == pytest.approx(1, rel=1e-12)
    assert found.upper == pytest.approx(1, rel=1e-12)
    assert found.complete
    even = certify(network, make_target("x^9007199254740992 - 1"), (-1.0, 1.0))
    assert even.lower == pytest.approx(1, rel=1e-12)
    assert even.upper == pytest.approx(1, rel=1e-12)
