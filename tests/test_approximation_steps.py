"""Steps and bins against 40-digit arithmetic, dense sampling and the project's own networks."""

import math
from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.steps import (
    Bin,
    measured_distance,
    ramp_weights,
    step_distance,
    step_weights,
)
from nnlab.errors import InputError
from nnlab.expressions import Interval, parse, slopes
from nnlab.models import ACTIVATION_NAMES, get_activation
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS
from nnlab.rigorous.activations import RIPPLE_DIP, RIPPLE_HUMP

steepnesses = st.floats(1e-3, 1e6)
windows = st.floats(0, 2)
activations = st.sampled_from(STEP_ACTIVATIONS)


@pytest.fixture(autouse=True, scope="module")
def many_digits() -> Iterator[None]:
    with mpmath.workdps(40):
        yield


def unit_step(activation: str, z: np.ndarray | float) -> np.ndarray:
    """φ scaled to run from 0 to 1."""
    step = ACTIVATIONS[activation].step
    assert step is not None
    return step.unit(np.asarray(z, np.float64))


def tail(activation: str, z: np.ndarray | float) -> np.ndarray:
    """D(z), as an upper bound."""
    step = ACTIVATIONS[activation].step
    assert step is not None
    return step.tail(np.asarray(z, np.float64))


def sigma(z: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-z))


def ripple(z: mpmath.mpf) -> mpmath.mpf:
    return sigma(z) + z * mpmath.exp(-z * z)


PRECISE = {"sigmoid": sigma, "tanh": lambda z: sigma(2 * z), "ripple": ripple}


def ripple_slope(z: mpmath.mpf) -> mpmath.mpf:
    return sigma(z) * sigma(-z) + (1 - 2 * z * z) * mpmath.exp(-z * z)


def largest_tail(activation: str, z: float) -> mpmath.mpf:
    """D(z) in 40 digits, the ripple's critical points found by solving φ' = 0."""
    at = [mpmath.mpf(z)]
    if activation == "ripple":
        critical = [mpmath.findroot(ripple_slope, start) for start in (0.85, 2.1)]
        at += [point for point in critical if point > z]
    return max(abs(PRECISE[activation](-u)) for u in at)


def run(layers: list[tuple[np.ndarray, np.ndarray]], activation: str, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return ScalarNetwork(layers, activation)(torch.from_numpy(x)[:, None])[:, 0].numpy()


# --- what is sigmoidal -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ACTIVATION_NAMES if name != "maxout"])
def test_limits_are_those_of_the_functions(name: str) -> None:
    phi = get_activation(name)
    at = torch.tensor([-1e18, -1e16, 1e16, 1e18], dtype=torch.float64)
    far_left, left, right, far_right = phi.function(at).tolist()
    for limit, near, far in zip(phi.limits, (left, right), (far_left, far_right), strict=True):
        assert limit is not None
        if math.isinf(limit):
            assert far == pytest.approx(100 * near)
            assert math.copysign(1, far) == math.copysign(1, limit)
        else:
            assert near == pytest.approx(limit, abs=1e-15)
    assert phi.is_sigmoidal == all(limit is not None and math.isfinite(limit) for limit in phi.limits)


def test_maxout_is_unbounded_for_any_weights_that_differ() -> None:
    values = get_activation("maxout", 2).function(torch.tensor([[1e4, -3e4], [-1e4, 3e4]]))
    assert values.flatten().tolist() == [1e4, 3e4]
    assert not get_activation("maxout").is_sigmoidal


# --- the distance to the hard step -------------------------------------------------------------------


def test_the_ripples_critical_points() -> None:
    """Constants against roots of φ', and their values rounded up."""
    for (place, value), sign in ((RIPPLE_DIP, -1), (RIPPLE_HUMP, 1)):
        root = mpmath.findroot(ripple_slope, place)
        assert abs(root - place) < 2e-16 * place
        exact = sign * ripple(-root)
        assert exact <= mpmath.mpf(value) <= exact * (1 + mpmath.mpf(4e-16))


def test_the_ripples_slope_changes_its_sign_twice() -> None:
    """By interval arithmetic: in [0, 30] no critical point but within 1e-3 of the two; none beyond by hand.

    From u = 30 on φ' ≥ e^{−u}/4 − 2u² e^{−u²} > 0.
    """
    graph = parse("sigmoid(x) + x*exp(-x^2)", ("x",))
    edges = np.linspace(0, 30, 300_001)
    _, partials = slopes(graph, {"x": Interval(edges[:-1], edges[1:])}, ("x",))
    slope = partials["x"]
    near = 1e-3
    rises = (edges[1:] < RIPPLE_DIP[0] - near) | (edges[:-1] > RIPPLE_HUMP[0] + near)
    falls = (edges[:-1] > RIPPLE_DIP[0] + near) & (edges[1:] < RIPPLE_HUMP[0] - near)
    assert (slope.lo[rises] > 0).all()
    assert (slope.hi[falls] < 0).all()
    assert rises.sum() + falls.sum() > 299_900


def test_the_concavity_that_the_proof_uses() -> None:
    """g'' of the docstring by its formula and by differences, and negative."""
    g = lambda u: mpmath.log(2 * u**2 - 1) - u**2 + mpmath.log(2 + 2 * mpmath.cosh(u))  # noqa: E731
    for u in map(mpmath.mpf, (0.72, 0.8, 1.0, 1.5, 2.0, 3.0, 10.0)):
        formula = -(8 * u**2 + 4) / (2 * u**2 - 1) ** 2 - 2 + 1 / (2 * mpmath.cosh(u / 2) ** 2)
        assert mpmath.diff(g, u, 2) == pytest.approx(formula, rel=1e-10)
        assert formula < 0
        same_sign = mpmath.sign(g(u)) == -mpmath.sign(ripple_slope(u))
        assert same_sign  # g > 0 is φ' < 0
    assert g(mpmath.mpf(1)) > 0


@given(activation=activations, z=st.floats(0, 800) | st.floats(0, 3))
@settings(deadline=None, max_examples=400)
def test_tail_is_a_tight_upper_bound(activation: str, z: float) -> None:
    exact = largest_tail(activation, z)
    bound = mpmath.mpf(float(tail(activation, z)))
    # 8 units in the last place of the terms; the ripple's may cancel, and exp carries the rounding of z²
    assert (
        exact
        <= bound
        <= exact * (1 + mpmath.mpf(1e-14)) + mpmath.mpf(1e-14) * (activation == "ripple") + 1e-322
    )


@pytest.mark.parametrize("activation", STEP_ACTIVATIONS)
def test_tail_over_many_scores_never_rises(activation: str) -> None:
    z = np.linspace(0, 40, 40_001)
    values = tail(activation, z)
    assert (np.diff(values) <= 1e-15).all()
    assert values[0] == pytest.approx(0.5, rel=1e-14)
    # nothing at or beyond z is above it
    beyond = np.maximum.accumulate(np.abs(unit_step(activation, -z))[::-1])[::-1]
    assert (beyond <= values).all()


@given(activation=activations, z=st.floats(-800, 800))
@settings(deadline=None, max_examples=200)
def test_unit_step_is_the_activation_scaled(activation: str, z: float) -> None:
    exact = PRECISE[activation](mpmath.mpf(z))
    assert float(unit_step(activation, z)) == pytest.approx(float(exact), rel=1e-13, abs=1e-300)
    own = get_activation(activation).function(torch.tensor([z], dtype=torch.float64)).item()
    scaled = (1 + own) / 2 if activation == "tanh" else own
    assert float(unit_step(activation, z)) == pytest.approx(scaled, abs=1e-15)


@given(
    activation=activations, w=steepnesses, sign=st.sampled_from([-1, 1]), s=st.floats(-3, 3), window=windows
)
@settings(deadline=None, max_examples=150)
def test_networks_keep_the_distance_and_reach_it(
    activation: str, w: float, sign: int, s: float, window: float
) -> None:
    """Of the supremum a sample misses at most what lies between two of its points."""
    predicted = step_distance(activation, w, window)
    measured = measured_distance(activation, sign * w, s, window)
    # x and wx + b are rounded: a score errs by some ε·w(|s| + |x|), and slopes are at most 5/4
    score = 4 * 2.0**-52 * (w * (abs(s) + window + 1) + 40)
    assert measured <= predicted + 1.25 * score + 4e-16
    if activation != "ripple" or w * window > RIPPLE_HUMP[0]:
        assert measured >= predicted - 1.25 * score - 4e-16  # at the window's end
    else:
        spacing = 40 / 2000
        assert measured >= predicted - spacing**2  # |φ''| < 4: half a spacing from the top is ½·4·(½·0.02)²


def test_distances_in_closed_form() -> None:
    assert 2 * step_distance("tanh", 30, 0.1) == pytest.approx(1 - math.tanh(3), rel=1e-12)
    assert step_distance("tanh", 30, 0.1) == pytest.approx(special.expit(-6), rel=1e-14)
    assert step_distance("sigmoid", -30, 0.1) == pytest.approx(special.expit(-3), rel=1e-14)


@pytest.mark.parametrize("w", [3.0, -40.0])
def test_step_weights_put_half_the_height_at_the_position(w: float) -> None:
    for activation in STEP_ACTIVATIONS:
        layers = step_weights(activation, w, 0.25)
        assert run(layers, activation, np.array([0.25])) == pytest.approx(0.5, abs=1e-15)
        ends = run(layers, activation, np.array([-99.0, 99.0]))
        np.testing.assert_allclose(ends, [0, 1] if w > 0 else [1, 0], atol=1e-15)


# --- ReLU --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [8.0, -8.0])
def test_two_relus_make_a_ramp(w: float) -> None:
    x = np.linspace(-1, 2, 3001)
    expected = np.clip(w * (x - 0.5) + 0.5, 0, 1)
    values = run(ramp_weights(w, 0.5), "relu", x)
    np.testing.assert_allclose(values, expected, atol=1e-14)
    for window in (0.0, 0.02, 0.0625, 0.1):
        outside = np.abs(x - 0.5) >= window
        hard = (w * (x - 0.5) > 0).astype(float)
        distance = np.abs(values - hard)[outside].max()
        assert distance <= max(0, 0.5 - abs(w) * window) + 1e-14


# --- bins --------------------------------------------------------------------------------------------


bins = st.builds(
    Bin,
    activation=activations,
    position=st.floats(-2, 2),
    size=st.floats(1e-3, 3),
    height=st.floats(-5, 5).filter(lambda h: abs(h) > 1e-3),
    steepness=st.floats(0.01, 1e4),
)


def precise_bin(b: Bin, x: float) -> mpmath.mpf:
    """Two opposing steps in 40 digits; from the side where both are small, since 1 − 1 has no digits."""
    phi, away = PRECISE[b.activation], abs(mpmath.mpf(x) - mpmath.mpf(b.position))
    half, w = mpmath.mpf(b.size) / 2, mpmath.mpf(b.steepness)
    return mpmath.mpf(b.height) * (phi(w * (half - away)) - phi(w * (-half - away)))


@given(b=bins, x=st.floats(-5, 5))
@settings(deadline=None, max_examples=200)
def test_the_closed_form_is_two_opposing_steps(b: Bin, x: float) -> None:
    exact = float(precise_bin(b, x))
    # cosh turns ε·w|x − p| of rounding in its argument into as much of its value
    slack = 1e-14 * (1 + b.steepness * (abs(x) + abs(b.position) + b.size))
    if b.activation == "ripple":
        assert float(b.values(x)) == pytest.approx(exact, abs=5 * slack * abs(b.height))
    else:
        assert float(b.values(x)) == pytest.approx(exact, rel=slack, abs=1e-300)
    assert run(b.layers(), b.activation, np.array([x]))[0] == pytest.approx(
        exact, abs=5 * slack * abs(b.height)
    )


@given(b=bins)
@settings(deadline=None, max_examples=100)
def test_middle_and_edges(b: Bin) -> None:
    q = mpmath.mpf(b.steepness) * mpmath.mpf(b.size) / 2
    phi = PRECISE[b.activation]
    middle = float(b.height * (phi(q) - phi(-q)))
    assert float(b.values(b.position)) == pytest.approx(middle, rel=1e-12, abs=1e-13)
    if b.activation == "sigmoid":
        at_edge = precise_bin(b, b.position + b.size / 2)
        assert float(at_edge) == pytest.approx(
            b.height / 2 * math.tanh(b.steepness * b.size / 2), rel=1e-9 * (1 + b.steepness)
        )


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("gelu", "gelu makes no step here: z Φ(z) grows without bound"),
        ("relu", "no limit at +∞"),
        ("maxout", "maxout makes no step"),
        ("erf", "use sigmoid, tanh, ripple"),
        ("sigmoyd", "did you mean sigmoid"),
    ],
)
def test_activations_without_steps_are_refused_with_the_reason(activation: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        step_distance(activation, 10.0, 0.5)
    assert words in str(caught.value)
