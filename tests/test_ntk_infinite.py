"""The infinite-width kernels: against quadrature, 50 digits, wide networks, and in every corner."""

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf, roots_hermitenorm
from torch import Tensor, nn

from nnlab.models import ACTIVATION_NAMES, MLP, get_activation
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.infinite import kernel as infinite
from nnlab.ntk.infinite.angles import augmented, first_pairs
from nnlab.ntk.infinite.kernel import infinite_ntk

FLOAT = torch.float64
EPS = torch.finfo(FLOAT).eps

Elementwise = Callable[[np.ndarray], np.ndarray]


def points(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def circle(n: int) -> Tensor:
    angles = 2 * math.pi * torch.arange(n, dtype=FLOAT) / n
    return torch.stack([angles.cos(), angles.sin()], dim=1)


# --- the formulas, by quadrature --------------------------------------------------------------------


def smooth_expectation(f: Elementwise, a: float, b: float, c: float) -> float:
    """E[f(u) f(v)] by Gauss and Hermite in two dimensions."""
    nodes, weights = roots_hermitenorm(300)
    z1, z2 = np.meshgrid(nodes, nodes)
    u = math.sqrt(a) * z1
    v = c / math.sqrt(a) * z1 + math.sqrt(b - c**2 / a) * z2
    return float((np.outer(weights, weights) * f(u) * f(v)).sum() / (2 * math.pi))


def homogeneous_expectation(f: Elementwise, degree: int, a: float, b: float, c: float) -> float:
    """E[f(u) f(v)] in polar coordinates for f(ru) = r^degree f(u): the radius gives E[r^{2·degree}]."""
    between = math.acos(c / math.sqrt(a * b))
    kinks = sorted({math.pi / 2, 3 * math.pi / 2, between + math.pi / 2, between + 3 * math.pi / 2})
    around = quad(
        lambda psi: float(f(math.sqrt(a) * np.cos(psi)) * f(math.sqrt(b) * np.cos(psi - between))),
        0,
        2 * math.pi,
        points=kinks,
        epsabs=1e-14,
        epsrel=1e-12,
    )[0]
    return (2.0 if degree else 1.0) * around / (2 * math.pi)


def expectations(activation: str, a: float, b: float, c: float) -> tuple[float, float]:
    """E[φ(u) φ(v)] and E[φ'(u) φ'(v)]."""
    if activation == "relu":
        value = homogeneous_expectation(lambda u: np.maximum(u, 0), 1, a, b, c)
        return value, homogeneous_expectation(lambda u: np.heaviside(u, 0.0), 0, a, b, c)
    slope = smooth_expectation(lambda u: 2 / math.sqrt(math.pi) * np.exp(-(u**2)), a, b, c)
    return smooth_expectation(erf, a, b, c), slope


def by_quadrature(
    x: np.ndarray, y: np.ndarray, depth: int, activation: str, sigma_w: float, sigma_b: float
) -> tuple[float, float]:
    """Σ and Θ of one pair, by the recursion with quadrature for every expectation."""
    a, b, c = (sigma_w**2 * float(p @ q) / len(x) + sigma_b**2 for p, q in ((x, x), (y, y), (x, y)))
    theta = c
    for _ in range(depth):
        (value, slope) = expectations(activation, a, b, c)
        a, b = (sigma_w**2 * expectations(activation, q, q, q * (1 - 1e-15))[0] + sigma_b**2 for q in (a, b))
        c = sigma_w**2 * value + sigma_b**2
        theta = c + sigma_w**2 * slope * theta
    return c, theta


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize(("depth", "sigma_w", "sigma_b"), [(1, 1.2, 0.0), (2, 1.5, 0.3), (3, 0.8, 0.6)])
def test_closed_forms_are_the_integrals(activation: str, depth: int, sigma_w: float, sigma_b: float) -> None:
    x, y = points(3, 4), points(2, 4, seed=1)
    nngp, ntk = infinite_ntk(x, y, depth=depth, activation=activation, sigma_w=sigma_w, sigma_b=sigma_b)
    for i in range(3):
        for j in range(2):
            expected = by_quadrature(x[i].numpy(), y[j].numpy(), depth, activation, sigma_w, sigma_b)
            assert (nngp[i, j].item(), ntk[i, j].item()) == pytest.approx(expected, rel=1e-9)


def test_depth_0_is_the_linear_model() -> None:
    x = points(5, 3)
    expected = 1.3**2 * x @ x.T / 3 + 0.2**2
    for kernel in infinite_ntk(x, depth=0, sigma_w=1.3, sigma_b=0.2):
        torch.testing.assert_close(kernel, expected, rtol=1e-14, atol=1e-14)


# --- the corners, to 50 digits ----------------------------------------------------------------------


def mp_recursion(
    x: list[float], y: list[float], depth: int, activation: str, sigma_w: float, sigma_b: float
) -> tuple[mp.mpf, mp.mpf]:
    """The formulas of the module's table as they stand there, in 50 digits."""
    sw2, sb2 = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2

    def inner(p: list[float], q: list[float]) -> mp.mpf:
        return mp.fsum(mp.mpf(s) * mp.mpf(t) for s, t in zip(p, q, strict=True))

    def layer(a: mp.mpf, b: mp.mpf, c: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        if activation == "erf":
            root = mp.sqrt((1 + 2 * a) * (1 + 2 * b))
            return 2 / mp.pi * mp.asin(2 * c / root), 4 / mp.pi / mp.sqrt(root**2 - 4 * c**2)
        angle = mp.acos(min(mp.mpf(1), max(mp.mpf(-1), c / mp.sqrt(a * b))))
        value = mp.sqrt(a * b) * (mp.sin(angle) + (mp.pi - angle) * mp.cos(angle)) / (2 * mp.pi)
        return value, (mp.pi - angle) / (2 * mp.pi)

    a, b, c = (sw2 * inner(p, q) / len(x) + sb2 for p, q in ((x, x), (y, y), (x, y)))
    theta = c
    for _ in range(depth):
        value, slope = layer(a, b, c)
        a, b, c = sw2 * layer(a, a, a)[0] + sb2, sw2 * layer(b, b, b)[0] + sb2, sw2 * value + sb2
        theta = c + sw2 * slope * theta
    return c, theta


CORNERS = {
    "equal": ([0.3, -1.1], [0.3, -1.1]),
    "parallel": ([0.3, -1.1], [0.6, -2.2]),
    "nearly equal": ([0.3, -1.1], [0.3, -1.1 * (1 + 1e-9)]),
    "turned by 1e-5": ([1.0, 0.0], [1.0, 1e-5]),
    "turned by 0.1": ([1.0, 0.0], [1.0, 0.1]),
    "antipodal": ([0.3, -1.1], [-0.3, 1.1]),
    "nearly antipodal": ([1.0, 0.0], [-1.0, 1e-7]),
    "orthogonal": ([1.0, 0.0], [0.0, 3.0]),
    "far and near": ([1e6, 1.0], [1e-6, 1e-6]),
    "far": ([1e8, 3.0], [1e8, 2.0]),
}


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.7])
@pytest.mark.parametrize("name", CORNERS)
def test_nearly_parallel_pairs_keep_their_digits(activation: str, sigma_b: float, name: str) -> None:
    """Errors in units of √(K(x,x) K(x',x')): a few roundings, where the formulas in cos θ lose 1e-8."""
    x, y = CORNERS[name]
    for depth in (1, 3):
        with mp.workdps(50):
            args = (depth, activation, 1.4, sigma_b)
            expected = mp_recursion(x, y, *args)
            scales = [
                mp.sqrt(p * q)
                for p, q in zip(mp_recursion(x, x, *args), mp_recursion(y, y, *args), strict=True)
            ]
            found = infinite_ntk(
                torch.tensor([x], dtype=FLOAT), torch.tensor([y], dtype=FLOAT),
                depth=depth, activation=activation, sigma_w=1.4, sigma_b=sigma_b,
            )  # fmt: skip
            for kernel, exact, scale in zip(found, expected, scales, strict=True):
                assert abs(mp.mpf(kernel.item()) - exact) <= 40 * EPS * scale


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_equal_points_have_angle_0_to_the_last_bit(activation: str) -> None:
    """Also where they are equal by accident: the same row in x1 and in x2, at another place."""
    x = points(50, 7)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    layer, points1 = infinite.LAYERS[activation], augmented(x, "x1", 1.3, 0.4)
    pairs = first_pairs(points1, augmented(x[order], "x2", 1.3, 0.4), slice(0, 50), slice(0, 50))
    for _ in range(4):
        assert torch.equal(pairs.angle[order, torch.arange(50)], torch.zeros(50, dtype=FLOAT))
        pairs, _ = layer(pairs, 1.3, 0.4)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_relu_on_the_diagonal_has_a_short_form(depth: int) -> None:
    """θ = 0 with σ_w = √2, σ_b = 0: Σ(x, x) = 2‖x‖²/d at every depth and Θ(x, x) = (depth + 1) Σ(x, x)."""
    x = points(20, 3)
    nngp, ntk = infinite_ntk(x, depth=depth, sigma_b=0.0)
    expected = 2 * x.square().sum(1) / 3
    torch.testing.assert_close(nngp.diagonal(), expected, rtol=8 * EPS, atol=0)
    torch.testing.assert_close(ntk.diagonal(), (depth + 1) * expected, rtol=8 * EPS, atol=0)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_symmetric_to_the_last_bit_and_positive(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infinite, "BLOCK", 500)  # many blocks
    x = torch.cat([points(40, 2), -points(5, 2), 2 * points(5, 2), points(3, 2)])
    args: dict[str, Any] = {"depth": 3, "activation": activation, "sigma_w": 1.4, "sigma_b": 0.2}
    for one, two in zip(infinite_ntk(x, **args), infinite_ntk(x, x, **args), strict=True):
        assert torch.equal(one, one.T)
        torch.testing.assert_close(one, two, rtol=1e-14, atol=1e-14)
        assert torch.linalg.eigvalsh(one).min() > -53 * EPS * torch.linalg.eigvalsh(one).max()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = points(30, 3), points(17, 3, seed=1)
    whole = infinite_ntk(x, y, depth=2), infinite_ntk(x, depth=2)
    monkeypatch.setattr(infinite, "BLOCK", 64)
    for one, two in zip(whole, (infinite_ntk(x, y, depth=2), infinite_ntk(x, depth=2)), strict=True):
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_a_zero_vector_without_bias_has_a_zero_row(activation: str) -> None:
    x = torch.cat([torch.zeros(1, 3), torch.ones(1, 3), torch.zeros(1, 3)])
    for kernel in infinite_ntk(x, depth=3, activation=activation, sigma_w=1.0, sigma_b=0.0):
        assert kernel[1, 1] > 0
        assert kernel[0].tolist() == [0, 0, 0]
        assert torch.equal(kernel, kernel.T)
    for kernel in infinite_ntk(x, depth=3, activation=activation, sigma_w=1.0, sigma_b=0.5):
        assert torch.isfinite(kernel).all()
        assert torch.equal(kernel[0], kernel[2])


@pytest.mark.parametrize("scale", [1e-140, 1e-8, 1e8, 1e140])
def test_relu_without_bias_scales_with_the_norms(scale: float) -> None:
    x = points(6, 3)
    for kernel, unit in zip(
        infinite_ntk(scale * x, x, depth=2, sigma_b=0.0),
        infinite_ntk(x, x, depth=2, sigma_b=0.0),
        strict=True,
    ):
        torch.testing.assert_close(kernel / scale, unit, rtol=1e-13, atol=1e-13)


def test_erf_of_huge_inputs_is_a_sign_network() -> None:
    """erf becomes the sign: E[sign u sign v] = 1 − 2θ/π."""
    x = points(6, 3)
    nngp, _ = infinite_ntk(1e100 * x, depth=1, activation="erf", sigma_w=1.0, sigma_b=0.0)
    unit = x / x.norm(dim=1, keepdim=True)
    expected = 1 - 2 * (unit @ unit.T).clamp(-1, 1).acos() / math.pi
    torch.testing.assert_close(nngp, expected, rtol=0, atol=1e-7)  # arccos is what is inexact here


# --- what it says about networks --------------------------------------------------------------------


def tangent_kernel(model: nn.Module, x: Tensor) -> Tensor:
    rows = []
    for score in model(x)[:, 0]:
        gradients = torch.autograd.grad(score, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def test_it_is_the_mean_of_networks_with_one_hidden_layer() -> None:
    """There E[f(x) f(x')] and E[H] are the limits at every width, so only the seeds are to average over."""
    x = points(4, 3)
    kernels, products = [], []
    for seed in range(400):
        model = MLP(
            3,
            [64],
            1,
            "relu",
            parameterization="ntk",
            sigma_b=0.5,
            generator=torch.Generator().manual_seed(seed),
        ).double()
        kernels.append(tangent_kernel(model, x))
        scores = model(x).detach()
        products.append(scores @ scores.T)
    for found, expected in zip((products, kernels), infinite_ntk(x, depth=1, sigma_b=0.5), strict=True):
        samples = torch.stack(found)
        error = (samples.mean(0) - expected).norm()
        standard_error = (samples.var(0) / len(samples)).sum().sqrt()
        assert error < 3 * standard_error
        assert standard_error < 0.1 * expected.norm()


def test_a_wide_network_is_near_and_a_wider_one_nearer() -> None:
    x = points(6, 3)
    _, limit = infinite_ntk(x, depth=2)
    distances = []
    for width in (64, 1024):
        squares = []
        for seed in range(4):
            model = MLP(
                3, [width] * 2, 1, parameterization="ntk", generator=torch.Generator().manual_seed(seed)
            )
            squares.append(((tangent_kernel(model.double(), x) - limit).norm() / limit.norm()) ** 2)
        distances.append(torch.stack(squares).mean().sqrt().item())
    assert distances[1] < 0.1
    assert distances[1] < distances[0] / 2  # 1/√m says a quarter


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_one_dimensional_inputs_without_bias_give_rank_2(depth: int) -> None:
    """Such a network is |x| f(sign x): two functions, for x > 0 and x < 0, whatever the width."""
    x = torch.linspace(-2, 3, 12, dtype=FLOAT)[:, None]
    generator = torch.Generator().manual_seed(0)
    finite = MLP(
        1, [200] * depth, 1, "relu", bias=False, parameterization="ntk", generator=generator
    ).double()
    # an entry of the finite kernel is a sum over 200 units, each of which may round by ε of it
    for kernel, terms in (
        (infinite_ntk(x, depth=depth, sigma_b=0.0)[1], 1),
        (tangent_kernel(finite, x), 200),
    ):
        eigenvalues = torch.linalg.eigvalsh(kernel)
        threshold = 12 * terms * EPS * eigenvalues[-1]
        assert (eigenvalues.abs() > threshold).sum() == 2
        assert eigenvalues[-2] > 0.1 * eigenvalues[-1]
    with_bias = torch.linalg.eigvalsh(infinite_ntk(x, depth=depth, sigma_b=0.5)[1])
    assert with_bias[0] > 1e4 * 12 * EPS * with_bias[-1]


def test_parallel_points_are_told_apart_by_a_bias_only() -> None:
    x = torch.tensor([[1.0, 2.0], [2.0, 4.0], [-1.0, 0.5]])
    assert torch.linalg.matrix_rank(infinite_ntk(x, depth=2, sigma_b=0.0)[1], hermitian=True) == 2
    assert torch.linalg.matrix_rank(infinite_ntk(x, depth=2, sigma_b=0.3)[1], hermitian=True) == 3


# --- arguments --------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_mlp() -> None:
    x = points(3, 2)
    for depth, sigma_w in ((0, 1.0), (1, math.sqrt(2))):
        for one, two in zip(
            infinite_ntk(x, depth=depth),
            infinite_ntk(x, depth=depth, activation="relu", sigma_w=sigma_w, sigma_b=0.1),
            strict=True,
        ):
            torch.testing.assert_close(one, two, rtol=1e-14, atol=0)


@pytest.mark.parametrize("activation", [name for name in infinite.LAYERS if name in ACTIVATION_NAMES])
def test_the_gain_keeps_the_second_moment_1(activation: str) -> None:
    x = math.sqrt(2) * circle(3)
    gain = get_activation(activation).gain
    nngp, _ = infinite_ntk(x / gain, depth=4, activation=activation, sigma_b=0.0)
    torch.testing.assert_close(nngp.diagonal(), torch.ones(3, dtype=FLOAT), rtol=1e-12, atol=0)


def test_float32_inputs_are_computed_in_float64() -> None:
    x = points(4, 3).float()
    for one, two in zip(infinite_ntk(x, depth=2), infinite_ntk(x.double(), depth=2), strict=True):
        assert one.dtype == FLOAT
        assert torch.equal(one, two)


def test_images_are_flattened() -> None:
    x = points(4, 12)
    for one, two in zip(infinite_ntk(x.view(4, 3, 2, 2), depth=1), infinite_ntk(x, depth=1), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "rleu"}, "did you mean relu"),
        ({"depth": -1}, "depth -1"),
        ({"depth": 1.5}, r"depth 1\.5"),
        ({"sigma_w": 0.0}, r"sigma_w 0\.0"),
        ({"sigma_b": -0.1}, r"sigma_b -0\.1"),
        ({"sigma_b": math.inf}, "sigma_b inf"),
        ({"x1": torch.zeros(3)}, r"x1 has the shape \(3,\)"),
        ({"x1": torch.zeros(0, 3)}, r"x1 has the shape \(0, 3\)"),
        ({"x2": torch.zeros(3, 4)}, "x1 has 2 numbers per example and x2 has 4"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x1": points(2, 2), "depth": 1, **change}
    x1 = arguments.pop("x1")
    with pytest.raises(KernelError, match=message):
        infinite_ntk(x1, **arguments)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_non_finite_inputs_are_named(value: float) -> None:
    x = points(3, 2)
    x[1, 0] = value
    with pytest.raises(NonFiniteError, match="example 1 of x2"):
        infinite_ntk(points(2, 2), x, depth=1)
