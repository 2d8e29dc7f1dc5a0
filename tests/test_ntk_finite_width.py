"""Statistics of finite kernels against sampled networks, exact cases, finite differences and quadrature."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad
from torch import Tensor

from nnlab.errors import InputError
from nnlab.models import MLP, get_activation
from nnlab.ntk import KernelError, NonFiniteError, finite_width, infinite_ntk
from nnlab.ntk.finite.moments import EXPECTATIONS, Moments
from nnlab.training.ensemble import Ensemble
from tests.tensor_recursions import tanh_statistics

NAMES = ("relu", "erf", "tanh")
X = torch.tensor([[1.0, 0.4, -0.3], [0.9, 0.1, -0.8], [-1.2, 0.5, 0.7]], dtype=torch.float64)


def network(depth: int, width: int, activation: str, *, outputs: int = 1) -> MLP:
    generator = torch.Generator().manual_seed(0)
    return MLP(
        X.shape[1], [width] * depth, outputs, activation, parameterization="ntk", sigma_b=0.3,
        generator=generator,
    )  # fmt: skip


def kernels(networks: int, depth: int, width: int, activation: str, outputs: int = 1) -> Tensor:
    """H of random networks like `network`, (networks, nC, nC)."""
    random = torch.Generator().manual_seed(depth + width)
    first = network(depth, width, activation, outputs=outputs)
    layers = Ensemble.from_models([first]).to(torch.float64).layers
    parts = []
    for _ in range(0, networks, 1000):
        drawn = [
            replace(
                layer, parameters=torch.randn(1000, *layer.parameters.shape[1:], generator=random).double()
            )
            for layer in layers
        ]
        parts.append(Ensemble(tuple(drawn), get_activation(activation)).tangent_kernel(X))
    return torch.cat(parts)


# --- expectations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alone", [False, True])
def test_derivatives_are_those_of_the_expectations(name: str, alone: bool) -> None:
    at = torch.tensor([[0.5, 1.2, 0.9], [-0.3, 0.8, 1.5]], dtype=torch.float64)[:, 1 if alone else 0 :]
    at = at[:, :1] if alone else at
    moments, step = EXPECTATIONS[name], 1e-5

    def slope(of: Callable[[Moments], Tensor], k: int) -> Tensor:
        shift = step * torch.eye(at.shape[1], dtype=torch.float64)[k]
        return (of(moments(at + shift)) - of(moments(at - shift))) / (2 * step)

    exact = moments(at)
    for k in range(at.shape[1]):
        for of, derivative in (
            (lambda m: m.second, exact.second_jacobian[..., k]),
            (lambda m: m.second_jacobian, exact.second_hessian[..., k]),
            (lambda m: m.slope, exact.slope_jacobian[..., k]),
            (lambda m: m.slope_jacobian, exact.slope_hessian[..., k]),
        ):
            torch.testing.assert_close(slope(of, k), derivative, rtol=0, atol=1e-8)


FORMULAS = {
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_expectations_are_the_integrals(name: str) -> None:
    c, a, b = -0.6, 1.3, 0.9
    phi, slope = FORMULAS[name]
    of = EXPECTATIONS[name](torch.tensor([[c, a, b]], dtype=torch.float64))
    inverse = np.linalg.inv([[a, c], [c, b]])
    scale = 2 * math.pi * math.sqrt(a * b - c**2)

    def mean(f: Callable[[float, float], float]) -> float:
        def integrand(v: float, u: float) -> float:
            z = np.array([u, v])
            return f(u, v) * math.exp(-z @ inverse @ z / 2) / scale

        cuts = [(-8.0, 0.0), (0.0, 8.0)]  # the kink is an end of every interval
        return sum(dblquad(integrand, *one, *two, epsabs=1e-7)[0] for one in cuts for two in cuts)

    for value, f in (
        (of.fourth[0, 0, 0], lambda u, v: (phi(u) * phi(v)) ** 2),
        (of.fourth[0, 0, 1], lambda u, v: phi(u) ** 3 * phi(v)),
        (of.mixed[0, 2], lambda u, v: slope(u) * slope(v) * phi(v) ** 2),
        (of.steep[0], lambda u, v: (slope(u) * slope(v)) ** 2),
        # by Stein, ⟨∂₁f⟩ = ⟨(S⁻¹z)₁ f⟩
        (of.left[0, 1, 0], lambda u, v: slope(u) * phi(v) * (inverse[0] @ [u, v])),
        (of.right[0, 0, 1], lambda u, v: slope(v) * phi(u) * (inverse[1] @ [u, v])),
    ):
        assert float(value) == pytest.approx(mean(f), abs=1e-5)


# --- statistics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "erf"])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_limit_is_that_of_infinite_width(name: str, depth: int) -> None:
    theory = finite_width(X, depth=depth, activation=name, sigma_b=0.3)
    nngp, ntk = infinite_ntk(X, depth=depth, activation=name, sigma_b=0.3)
    torch.testing.assert_close(theory.infinite, ntk, rtol=1e-12, atol=0)
    torch.testing.assert_close(theory.nngp, nngp, rtol=1e-12, atol=0)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_recursions_are_those_in_full_tensors(depth: int) -> None:
    x = torch.tensor([[0.6, 0.1], [-0.2, 0.9]], dtype=torch.float64)
    theory = finite_width(x, depth=depth, activation="tanh", sigma_w=1.3, sigma_b=0.2)
    tensors = tanh_statistics(x.numpy(), depth, 1.3**2, 0.2)
    for name, expected in vars(tensors).items():
        np.testing.assert_allclose(getattr(theory, name), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_one_relu_input_without_bias_is_known_in_closed_form(depth: int) -> None:
    """With x of norm √d, hidden layer ℓ has Tₗ = ∏ χᵢ/m, the χᵢ independent; Hanin & Nica 2020: no shift."""
    x = torch.ones(1, 3, dtype=torch.float64)
    theory = finite_width(x, depth=depth, sigma_b=0.0)
    assert float(theory.nngp) == pytest.approx(2.0)
    assert float(theory.infinite) == pytest.approx(2.0 * (depth + 1))
    assert float(theory.mean_correction) == 0.0
    # E[S²] multiplies by (1 + 5/m) in each layer: 4E[φ⁴]/m + (1 − 1/m) with E[φ⁴] = 3/2
    assert float(theory.nngp_variance) == pytest.approx(4 * 5 * depth)


@pytest.mark.parametrize("name", NAMES)
def test_one_hidden_layer_is_exact_at_three_units(name: str) -> None:
    theory = finite_width(network(1, 3, name), X)
    torch.testing.assert_close(theory.mean_correction, torch.zeros(3, 3, dtype=torch.float64))
    assert_near(kernels(20_000, 1, 3, name), theory.infinite, theory.variance, 3)


def assert_near(sampled: Tensor, mean: Tensor, variance: Tensor, width: int) -> None:
    """Mean and variance (times the width) of every entry within four standard errors."""
    gaps, root = sampled - mean, len(sampled) ** 0.5
    assert bool((gaps.mean(0).abs() <= 4 * gaps.std(0) / root).all())
    squares = width * gaps.square()
    assert bool(((squares.mean(0) - variance).abs() <= 4 * squares.std(0) / root).all())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth"), [("relu", 2), ("relu", 3), ("tanh", 4)])
def test_sampled_networks_have_the_mean_and_spread(name: str, depth: int) -> None:
    """From widths m and 2m, twice the second less the first, which has no term of order 1/m².

    The mean is looked at along the direction in which it stands out most.
    """
    theory, networks = finite_width(network(depth, 16, name), X), 30_000
    above = torch.triu_indices(3, 3)
    correction = theory.mean_correction[above[0], above[1]]
    pilot = kernels(5000, depth, 24, name)[:, above[0], above[1]]
    direction = torch.linalg.lstsq(torch.cov(pilot.T), correction).solution
    direction /= direction @ correction
    limits = torch.zeros(2, 2, dtype=torch.float64)  # of shift and spread; their variances
    for width, factor in ((20, -1), (40, 2)):
        gaps = kernels(networks, depth, width, name) - theory.infinite
        shift = width * gaps[:, above[0], above[1]] @ direction
        spread = width * gaps.square().sum((1, 2)) / theory.expected_squared_deviation
        for row, values in zip(limits.T, (shift, spread), strict=True):
            row += torch.stack([factor * values.mean(), factor**2 * values.var() / networks])
    errors = 4 * limits[1].sqrt()
    assert bool(((limits[0] - 1).abs() <= errors).all())
    assert bool((errors < torch.tensor([0.9, 0.2])).all())


def test_two_outputs() -> None:
    """Covariance between the kernels of two outputs, and their cross block, with one exact hidden layer."""
    theory, width = finite_width(X, depth=1, activation="erf", sigma_b=0.3), 4
    sampled = kernels(20_000, 1, width, "erf", outputs=2)
    first, second, between = sampled[:, ::2, ::2], sampled[:, 1::2, 1::2], sampled[:, ::2, 1::2]
    products = width * (first - theory.infinite) * (second - theory.infinite)
    for values, expected in ((products, theory.shared), (width * between.square(), theory.between)):
        assert bool(((values.mean(0) - expected).abs() <= 4 * values.std(0) / 20_000**0.5).all())


def test_the_last_layer_is_a_part() -> None:
    one, three = (finite_width(X, depth=depth, activation="tanh") for depth in (1, 3))
    torch.testing.assert_close(one.last_layer, one.variance)
    assert bool((three.last_layer < three.variance).all())


@pytest.mark.parametrize("name", NAMES)
def test_rotations_change_nothing(name: str) -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.manual_seed(0)))[0]
    one, two = (finite_width(x, depth=2, activation=name) for x in (X, X @ rotation))
    torch.testing.assert_close(one.mean_correction, two.mean_correction, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(one.variance, two.variance, rtol=1e-10, atol=0)


def test_multiples_without_bias() -> None:
    """H(x, cx) = c H(x, x) of a ReLU network without biases, and equal inputs are the same input."""
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    theory = finite_width(x, depth=3, sigma_b=0.0)
    expected = torch.tensor([1.0, 9.0, 1.0], dtype=torch.float64) * theory.variance[0, 0]
    torch.testing.assert_close(theory.variance[0, :3], expected)
    smooth = finite_width(x, depth=2, activation="erf", sigma_b=0.0)
    torch.testing.assert_close(smooth.variance[0, 2], smooth.variance[0, 0])
    torch.testing.assert_close(smooth.mean_correction[0, 3], -smooth.mean_correction[0, 0])  # erf is odd


def test_parameters_that_are_not_trained() -> None:
    model = network(1, 4, "erf")
    for parameter in (model.hidden[0].weight, model.hidden[0].bias, model.output.bias):
        parameter.requires_grad_(False)
    frozen, nngp = finite_width(model, X), finite_width(network(1, 4, "erf"), X)
    torch.testing.assert_close(frozen.infinite, nngp.nngp - 0.3**2)
    torch.testing.assert_close(frozen.variance, nngp.nngp_variance)


# --- what is refused ------------------------------------------------------------------------------------


def test_what_is_not_supported_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)

    def mlp(hidden: list[int], activation: str = "erf", parameterization: str = "ntk") -> MLP:
        return MLP(3, hidden, 1, activation, parameterization=parameterization, generator=generator)

    for model, part in (
        (mlp([4], "gelu"), "gelu is not supported"),
        (mlp([4], parameterization="standard"), "not in the ntk parameterization"),
        (mlp([4], parameterization="mup"), "not in the ntk parameterization"),
        (mlp([4, 5]), r"\[4, 5\]"),
        (mlp([]), "widths"),
        (torch.nn.Sequential(torch.nn.Linear(3, 1)), "only an MLP"),
    ):
        with pytest.raises(KernelError, match=part):
            finite_width(model, X)  # type: ignore[arg-type]
    for options, part in (
        ({"depth": 0}, "depth"), ({"depth": 1, "activation": "gelu"}, "gelu"),
        ({"depth": 1, "sigma_w": 0.0}, "sigma_w"), ({"depth": 1, "sigma_b": math.nan}, "sigma_b"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=part):
            finite_width(X, **options)


def test_inputs_that_allow_no_accurate_answer_are_refused() -> None:
    near = torch.tensor([[1.0, 0.0], [1.0, 1e-5]], dtype=torch.float64)
    with pytest.raises(KernelError, match="directions"):
        finite_width(near, depth=2, sigma_b=0.0)
    with pytest.raises(KernelError, match="scale the inputs down"):
        finite_width(30 * X, depth=2, activation="tanh")
    with pytest.raises(KernelError, match="no bias"):
        finite_width(0 * X, depth=2, sigma_b=0.0)
    with pytest.raises(NonFiniteError, match="NaN"):
        finite_width(X * math.nan, depth=2)
    with pytest.raises(KernelError, match="tensor"):
        finite_width(X[0], depth=2)
