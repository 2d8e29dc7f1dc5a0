"""Activations against scipy's special functions, finite differences, autograd and quadrature."""

import math
import typing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from torch import nn

from nnlab.errors import InputError
from nnlab.expressions import evaluate, parse
from nnlab.lab.sections import ActivationName, StepName
from nnlab.models.activations import (
    ACTIVATION_NAMES,
    ACTIVATIONS,
    ELEMENTWISE,
    STEP_ACTIVATIONS,
    Maxout,
    get_activation,
    maxout_gain,
)
from tests.activation_formulas import FORMULAS

KINKED = {"relu": 0.0, "leaky_relu": 0.01}

z_grid = torch.linspace(-8, 8, 1600, dtype=torch.float64)  # an even number: 0 is not on it


def test_table_and_config_know_the_same_names() -> None:
    assert set(ACTIVATION_NAMES) == set(typing.get_args(ActivationName))
    assert set(STEP_ACTIVATIONS) == set(typing.get_args(StepName))
    assert set(FORMULAS) == set(ELEMENTWISE), "tests/activation_formulas.py has a formula for each"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bounds_of_the_slopes_hold_and_are_not_far_off(name: str) -> None:
    row, z = ACTIVATIONS[name], torch.linspace(-8, 8, 160_001, dtype=torch.float64, requires_grad=True)
    steepest = float(row.derivative(z).detach().abs().max())
    assert 0.99 * row.lipschitz <= steepest <= row.lipschitz
    if row.curvature is not None:
        (bent,) = torch.autograd.grad(row.derivative(z).sum(), z)
        assert 0.8 * row.curvature <= float(bent.abs().max()) <= row.curvature


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_odd_ones_and_kinks_are_marked(name: str) -> None:
    row, h = ELEMENTWISE[name], 1e-6
    values = row.function(z_grid)
    assert row.odd == torch.allclose(row.function(-z_grid), -values, rtol=1e-12, atol=0)
    around = torch.tensor([-1.5 * h, -0.5 * h, 0.5 * h, 1.5 * h], dtype=torch.float64)
    slopes = row.derivative(around)
    second = (slopes[1:] - slopes[:-1]) / h
    assert bool(row.kinks) == (float(second.diff().abs().max()) > 0.1)


@pytest.mark.parametrize("name", STEP_ACTIVATIONS)
def test_steps_run_from_0_to_1_and_are_symmetric(name: str) -> None:
    row = ELEMENTWISE[name]
    (low, high), step, z = row.limits, row.step, z_grid.numpy()
    assert step is not None
    assert low is not None
    np.testing.assert_allclose(step.unit(z), (FORMULAS[name](z) - low) / (high - low), rtol=0, atol=1e-15)
    np.testing.assert_allclose(step.unit(z) + step.unit(-z), 1, rtol=0, atol=1e-15)
    if step.logistic is not None:
        np.testing.assert_allclose(step.unit(z), special.expit(step.logistic * z), rtol=0, atol=1e-15)
    else:
        assert step.value is not None
        np.testing.assert_allclose(step.value(z), FORMULAS[name](z), rtol=0, atol=1e-15)
        text = evaluate(parse(step.expression, ("z",)), {"z": z})
        np.testing.assert_allclose(text, FORMULAS[name](z), rtol=0, atol=1e-15)
    for far in (1.0, 2.5, 6.0, 20.0):
        assert float(step.tail(np.array(far))) <= 1.01 * step.decay(far)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_follow_the_formula(name: str) -> None:
    values = get_activation(name).function(z_grid)
    np.testing.assert_allclose(values.numpy(), FORMULAS[name](z_grid.numpy()), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivative_agrees_with_central_differences(name: str) -> None:
    activation, h = get_activation(name), 1e-5
    difference = (activation.function(z_grid + h) - activation.function(z_grid - h)) / (2 * h)
    # truncation h²/6 · |φ'''| ≤ 1e-10 and cancellation eps · |φ|/h ≤ 2e-10; the grid is 0.005 from the kink
    torch.testing.assert_close(activation.derivative(z_grid), difference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivative_is_what_autograd_uses_also_at_zero(name: str, dtype: torch.dtype) -> None:
    activation = get_activation(name)
    z = torch.cat([z_grid, torch.zeros(1)]).to(dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(activation.function(z).sum(), z)
    torch.testing.assert_close(activation.derivative(z.detach()), gradient, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "subgradient"), KINKED.items())
def test_subgradient_at_the_kink(name: str, subgradient: float) -> None:
    at_zero = get_activation(name).derivative(torch.zeros(1, dtype=torch.float64))
    assert at_zero.item() == pytest.approx(subgradient, abs=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gain_keeps_the_second_moment(name: str) -> None:
    second_moment, _ = integrate.quad(
        lambda z: float(FORMULAS[name](np.float64(z))) ** 2 * stats.norm.pdf(z),
        -12,
        12,
        points=[0],
        epsabs=1e-13,
    )
    assert get_activation(name).gain ** 2 * second_moment == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ripple_is_sigmoidal_but_not_monotone(dtype: torch.dtype) -> None:
    phi = get_activation("ripple")
    z = torch.linspace(-6, 6, 1201, dtype=dtype)
    torch.testing.assert_close(phi.function(-z), 1 - phi.function(z), rtol=0, atol=8 * torch.finfo(dtype).eps)
    assert (phi.derivative(torch.tensor([-1.0, 1.0], dtype=dtype)) < 0).all()
    assert phi.function(z).min() < -0.1
    assert phi.function(z).max() > 1.1
    far = torch.tensor([-math.inf, -1e30, 1e30, math.inf], dtype=dtype, requires_grad=True)
    assert phi.function(far).tolist() == [0, 0, 1, 1]
    assert phi.derivative(far.detach()).tolist() == [0, 0, 0, 0]
    (gradient,) = torch.autograd.grad(phi.function(far).sum(), far)
    assert gradient.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 20])
def test_maxout_gain_against_the_expectation_of_the_largest(pieces: int) -> None:
    # E[X²] = ∫₀^∞ 2x (P(X > x) + P(X < −x)) dx, a formula without the density
    def tails(x: float) -> float:
        return 1 - stats.norm.cdf(x) ** pieces + stats.norm.cdf(-x) ** pieces

    second_moment, _ = integrate.quad(lambda x: 2 * x * tails(x), 0, 15, epsabs=1e-12)
    assert maxout_gain(pieces) == pytest.approx(1 / math.sqrt(second_moment), rel=1e-9)


def test_maxout_gain_in_closed_form() -> None:
    assert maxout_gain(2) == pytest.approx(1, abs=1e-12)  # max² and min² have the same mean, and sum to 2
    assert maxout_gain(3) == pytest.approx(1 / math.sqrt(1 + math.sqrt(3) / (2 * math.pi)), abs=1e-12)


def test_maxout_of_two_pieces_is_the_slides_formula() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(4, 6, dtype=torch.float64)  # three units of two pieces
    x = torch.randn(5, 4, dtype=torch.float64)
    values = Maxout(2)(linear(x))
    for unit in range(3):
        w1, w2 = linear.weight[2 * unit], linear.weight[2 * unit + 1]
        b1, b2 = linear.bias[2 * unit], linear.bias[2 * unit + 1]
        torch.testing.assert_close(values[:, unit], torch.maximum(x @ w1 + b1, x @ w2 + b2))


@settings(deadline=None)
@given(pieces=st.integers(1, 4), units=st.integers(1, 3), image=st.lists(st.integers(1, 3), max_size=2))
def test_maxout_takes_the_largest_of_neighbouring_maps(pieces: int, units: int, image: list[int]) -> None:
    scores = torch.randn(2, units * pieces, *image, generator=torch.Generator().manual_seed(1))
    expected = torch.stack(
        [scores[:, u * pieces : (u + 1) * pieces].amax(dim=1) for u in range(units)], dim=1
    )
    assert torch.equal(Maxout(pieces)(scores), expected)


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 2, 2)])
def test_maxout_derivative_is_what_autograd_uses_also_for_equal_pieces(shape: tuple[int, ...]) -> None:
    maxout = get_activation("maxout", 3)
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(2))
    scores[0] = 1.0
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(maxout.function(scores).sum(), scores)
    assert torch.equal(maxout.derivative(scores.detach()), gradient)
    assert gradient.sum() == maxout.function(scores).numel()


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"model\.activation: reluu is unknown; did you mean relu\?"):
        get_activation("reluu")


def test_maxout_needs_a_piece() -> None:
    with pytest.raises(InputError, match=r"model\.pieces: 0"):
        get_activation("maxout", 0)


@pytest.mark.parametrize(
    ("name", "smooth", "kink"),
    [("tanh", True, False), ("ripple", True, False), ("elu", False, False), ("relu", False, True),
     ("leaky_relu", False, True), ("maxout", False, True)],
)  # fmt: skip
def test_what_is_smooth_and_what_has_a_kink(name: str, smooth: bool, kink: bool) -> None:
    found = get_activation(name)
    assert (found.smooth, found.has_kink) == (smooth, kink)
