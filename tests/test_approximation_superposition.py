"""Sums of sigmoidal terms: least squares, training and errors against other ways to get them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from nnlab.approximation import superposition
from nnlab.approximation.bins import build_bins
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.quadrature import measure, quadrature
from nnlab.approximation.superposition import (
    barron_bound,
    barron_sum,
    gaussian_constant,
    random_features,
    ridge_sum,
    sweep,
    train,
)
from nnlab.approximation.targets import make_target
from nnlab.errors import InputError

BUMP = "exp(-((x1 - 0.5)^2 + (x2 - 0.4)^2)/(2*0.3^2))"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def nothing(d: int) -> ScalarNetwork:
    """The network 0."""
    return ScalarNetwork([(np.zeros((1, d)), [0.0]), ([[0.0]], [0.0])], "sigmoid")


# --- quadrature and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_means_over_a_box(d: int) -> None:
    lo, hi = np.full(d, -0.5), np.linspace(1.0, 2.0, d)
    rule = quadrature(lo, hi)
    assert rule.weights.sum() == pytest.approx(1)
    product = math.prod((math.exp(b) - math.exp(-0.5)) / (b + 0.5) for b in hi)
    # Gauss–Legendre to rounding; the equidistributed points to 1/M times a power of log M
    assert rule.mean(np.exp(rule.points.sum(axis=1))) == pytest.approx(product, rel=1e-9 if d < 4 else 2e-3)


@pytest.mark.parametrize(
    ("text", "d", "l2", "sup"),
    [
        ("x", 1, 1 / math.sqrt(3), 1.0),
        ("x1*x2", 2, 1 / 3, 1.0),
        ("sin(pi*x1)*sin(pi*x2)*sin(pi*x3)", 3, 0.5**1.5, 1.0),
        ("x1*x2*x3*x4", 4, 1 / 9, 1.0),
    ],
)
def test_errors_that_are_known(text: str, d: int, l2: float, sup: float) -> None:
    found = measure(nothing(d), make_target(text, d))
    assert found.l2 == pytest.approx(l2, rel=1e-9 if d < 4 else 1e-2)
    assert found.sup_sampled == pytest.approx(sup)
    assert found.sup_lower <= sup <= found.sup_upper


# --- random features -----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple"])
def test_outer_weights_are_the_least_squares_solution(activation: str) -> None:
    """The residual is orthogonal to every feature and to 1, in the mean over the box."""
    target = make_target("exp(x1)*cos(4*x2)", 2)
    lo, hi = np.array([-1.0, 2.0]), np.array([1.0, 2.5])
    network = random_features(target, 12, rng(), lo=lo, hi=hi, activation=activation)
    rule = quadrature(lo, hi, coarse=True)
    x = torch.from_numpy(rule.points)
    with torch.no_grad():
        features = network._phi(network.layers[0](x)).numpy()
        residual = network(x)[:, 0].numpy() - target.values(rule.points)
    assert np.abs((rule.weights * residual) @ features).max() < 1e-9
    assert abs(rule.mean(residual)) < 1e-9
    assert math.sqrt(rule.mean(residual**2)) > 1e-3  # there is something left to be orthogonal


def test_every_unit_steps_inside_the_box() -> None:
    lo, hi = np.array([3.0, -1.0]), np.array([3.1, 4.0])
    network = random_features(make_target("x1 + x2", 2), 500, rng(), lo=lo, hi=hi)
    w, b = network.weights()[0]
    corners = np.array([[x, y] for x in (lo[0], hi[0]) for y in (lo[1], hi[1])])
    z = corners @ w.T + b
    assert (z.min(axis=0) < 0).all()
    assert (z.max(axis=0) > 0).all()
    per_side = (w * (hi - lo)).std(axis=0)
    np.testing.assert_allclose(per_side, 10 / math.sqrt(2), rtol=0.1)


def test_a_sum_of_the_same_features_is_found() -> None:
    """A target that is such a sum itself is met to rounding."""
    text = "0.3 + 2/(1 + exp(-(3*x - 1))) - 1/(1 + exp(-(8*x - 6)))"
    start = ScalarNetwork([([[3.0], [8.0]], [-1.0, -6.0]), ([[0.1, 0.2]], [0.0])], "sigmoid")
    (network,) = train([start], make_target(text), adam_steps=0, lbfgs_steps=0)
    c, c0 = network.weights()[1]
    np.testing.assert_allclose(c[0], [2, -1], atol=1e-9)
    assert c0[0] == pytest.approx(0.3)


# --- sums by formula -----------------------------------------------------------------------------------


def test_ridges_add_up() -> None:
    x = np.random.default_rng(3).random((50, 2))
    parts = [
        ((1.0, 2.0), build_bins(make_target("sin(x)"), 7, (0, 3), activation="tanh")),
        ((-1.0, 0.5), build_bins(make_target("x^2 + 3"), 4, (-1, 0.5), activation="tanh")),
    ]
    expected = sum(part.network.values((x @ np.array(a))[:, None]) for a, part in parts)
    np.testing.assert_allclose(ridge_sum(parts).values(x), expected, rtol=1e-12)


def test_ridges_of_one_activation() -> None:
    parts = [((1.0,), build_bins(make_target("x"), 3, activation=name)) for name in ("tanh", "sigmoid")]
    with pytest.raises(InputError, match="ridges"):
        ridge_sum(parts)


def test_sums_drawn_as_in_the_proof_are_right_on_average() -> None:
    """At every point, within 4 standard errors, on a box that is no cube and not around 0."""
    lo, hi, width = np.array([-1.0, 2.0]), np.array([0.5, 2.5]), 0.4
    x = lo + (hi - lo) * np.random.default_rng(0).random((20, 2))
    draws = [
        barron_sum(width, 400, 2, np.random.default_rng([1, k]), lo=lo, hi=hi).values(x) for k in range(200)
    ]
    mean, spread = np.mean(draws, axis=0), np.std(draws, axis=0) / math.sqrt(len(draws))
    f = np.exp(-((x - (lo + hi) / 2) ** 2).sum(axis=1) / (2 * width**2))
    assert (np.abs(mean - f) <= 4 * spread).all()
    assert spread.max() < 0.02


# --- training ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple"])
def test_gradients_are_those_of_autograd(activation: str) -> None:
    target = make_target(BUMP, 2)
    problem = superposition._Problem(target, np.zeros(2), np.ones(2), activation)
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 5, 2), (3, 5), (3, 5), (3,)]
    leaves = [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes]
    expected = torch.autograd.grad(problem.loss(superposition._Sums(*leaves)).sum(), leaves)
    with torch.no_grad():
        loss, found = problem.gradient(superposition._Sums(*leaves))
        torch.testing.assert_close(loss, problem.loss(superposition._Sums(*leaves)))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-13)


def test_adam_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = superposition._Problem(make_target("sin(5*x)"), np.zeros(1), np.ones(1), "tanh")
    generator = torch.Generator().manual_seed(2)
    start = superposition._Sums(
        *(torch.randn(s, generator=generator, dtype=torch.float64) for s in [(2, 4, 1), (2, 4), (2, 4), (2,)])
    )
    found = problem.adam(start, 25)
    leaves = [tensor.clone().requires_grad_() for tensor in start]
    optimizer = torch.optim.Adam(leaves, lr=superposition.LEARNING_RATE)
    for t in range(1, 26):
        optimizer.param_groups[0]["lr"] = superposition.LEARNING_RATE * (1 + math.cos(math.pi * t / 25)) / 2
        optimizer.zero_grad()
        problem.loss(superposition._Sums(*leaves)).sum().backward()
        optimizer.step()
    for mine, theirs in zip(found, leaves, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-9, atol=1e-11)


def test_training_improves_on_its_start_and_does_not_depend_on_company() -> None:
    target = make_target(BUMP, 2)
    starts = [random_features(target, 6, rng(s)) for s in range(3)]
    trained = train(starts, target, adam_steps=100, lbfgs_steps=150)
    for start, network in zip(starts, trained, strict=True):
        before, after = measure(start, target, certify=False), measure(network, target, certify=False)
        assert after.l2 < 0.6 * before.l2
    (alone,) = train(starts[1:2], target, adam_steps=100, lbfgs_steps=150)
    l2 = measure(alone, target, certify=False).l2
    assert l2 == pytest.approx(measure(trained[1], target, certify=False).l2, rel=0.3)


def test_many_terms_are_not_trained_away() -> None:
    """32 random features are 10⁻⁶ off; gradients alone come to 10⁻³ from weights that do not cancel."""
    target = make_target("sin(2*pi*x)")
    features = random_features(target, 32, rng())
    (trained,) = train([features], target, adam_steps=60, lbfgs_steps=60)
    before, after = measure(features, target, certify=False), measure(trained, target, certify=False)
    assert before.l2 < 1e-5
    assert after.l2 <= 1.01 * before.l2


def test_scales_of_the_box_and_the_target_do_not_matter() -> None:
    near, far = make_target("sin(6*x)"), make_target("1000*sin(6*(x - 40)/500)")
    features = random_features(near, 5, rng(3))
    (a,) = train([features], near, adam_steps=50, lbfgs_steps=30)
    wide = random_features(far, 5, rng(3), lo=40, hi=540)
    (b,) = train([wide], far, lo=40, hi=540, adam_steps=50, lbfgs_steps=30)
    one = measure(features, near, certify=False).l2
    assert measure(wide, far, 40, 540, certify=False).l2 == pytest.approx(1000 * one, rel=1e-5)
    trained = measure(a, near, certify=False).l2
    assert measure(b, far, 40, 540, certify=False).l2 == pytest.approx(1000 * trained, rel=0.05)


# --- sweeps and Barron's bound -------------------------------------------------------------------------


def test_errors_fall_with_the_terms_and_are_certified() -> None:
    target = make_target(BUMP, 2)
    found = sweep(target, [16, 4, 8], 3, adam_steps=60, lbfgs_steps=60)
    again = sweep(target, [16, 4, 8], 3, adam_steps=60, lbfgs_steps=60)
    constant = gaussian_constant(0.3, 0.0, 1.0, 2)
    for name, swept in found.items():
        errors = swept.errors
        assert swept.terms == (4, 8, 16)
        assert errors.l2.shape == errors.sup_upper.shape == (3, 3)
        assert -4 < swept.fits["l2"].slope < -0.5
        assert (errors.sup_sampled <= errors.sup_upper).all()
        assert (errors.sup_lower <= errors.sup_upper).all()
        assert (errors.sup_lower >= 0.9 * errors.sup_sampled).all()
        assert (errors.l2 <= errors.sup_upper).all()
        np.testing.assert_array_equal(errors.l2, again[name].errors.l2)
    assert (found["trained"].errors.l2 <= found["random features"].errors.l2 * 1.01).all()
    for k, n in enumerate((4, 8, 16)):
        assert (found["trained"].errors.l2[k] <= barron_bound(constant, n)).all()


def test_one_number_of_terms_has_no_exponent() -> None:
    found = sweep(make_target("x^2"), [3], 1, adam_steps=1, lbfgs_steps=1, certify=False)
    assert found["trained"].fits == {}
    assert np.isnan(found["trained"].errors.sup_upper).all()


def test_four_dimensions_work() -> None:
    found = sweep(make_target("x1*x2 + x3*x4", 4), [4], 1, adam_steps=5, lbfgs_steps=5)
    assert found["trained"].errors.l2[0, 0] < found["random features"].errors.l2[0, 0]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_constant_of_a_bump_is_the_mean_of_a_normal_frequency(d: int) -> None:
    lo, hi, s = np.zeros(d), np.linspace(1, 2, d), 0.2
    omega = rng(4).standard_normal((400_000, d)) / s
    assert gaussian_constant(s, lo, hi, d) == pytest.approx((np.abs(omega) @ (hi - lo)).mean() / 2, rel=5e-3)


def test_the_transform_of_a_bump_has_no_other_mass() -> None:
    """f(0) = ∫ F(dω) = 1 for the normal density, so that C is one of a probability measure."""
    s = 0.3
    density = lambda w: s / math.sqrt(2 * math.pi) * math.exp(-((s * w) ** 2) / 2)  # noqa: E731
    for x in (0.0, 0.4):
        value, _ = integrate.quad(lambda w, x=x: math.cos(w * x) * density(w), -60, 60)
        assert value == pytest.approx(math.exp(-(x**2) / (2 * s**2)), abs=1e-9)


def test_barrons_bound_is_the_papers_on_an_interval() -> None:
    # (2 r C_f)²/N in mean square with C_f = E|ω| = √(2/π)/s; the interval [0, 1] is a ball of radius ½
    bound = barron_bound(gaussian_constant(0.2, 0.0, 1.0, 1), 9)
    assert bound**2 == pytest.approx((2 * 0.5 * math.sqrt(2 / math.pi) / 0.2) ** 2 / 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": 0}, "terms: 0 is not allowed"),
        ({"activation": "relu"}, "relu is not sigmoidal"),
        ({"lo": 1.0, "hi": 0.0}, "positive length"),
        ({"lo": [0.0, 0.0, 0.0]}, "must be numbers or have 2 entries"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"terms": 3, **change}
    with pytest.raises(InputError, match=message):
        random_features(make_target("x1 + x2", 2), generator=rng(), **arguments)


def test_a_target_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="is not finite at"):
        random_features(make_target("log(x - 0.5)"), 3, rng())


def test_networks_of_two_shapes_are_not_trained_together() -> None:
    target = make_target("x")
    with pytest.raises(InputError, match="of one shape"):
        train([random_features(target, n, rng()) for n in (2, 3)], target)
