"""Expectations of functions of Gaussian pairs: closed forms, quadrature and tables against each other and
others."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf, expit, ndtr
from torch import Tensor

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite import nonlinearities as known
from nnlab.ntk.infinite.dual_tables import DualTable, Side, expectation
from nnlab.ntk.infinite.nonlinearities import Nonlinearity

FLOAT = torch.float64
LENGTHS = (0.2, 1.0, 1.7)
ANGLES = (0.0, 1e-8, 1e-4, 0.3, math.pi / 2, 2.5, 3.1, math.pi)


def sides(function: Nonlinearity) -> tuple[Side, Side]:
    lengths = torch.tensor(LENGTHS, dtype=FLOAT)
    left, right = lengths.square().view(-1, 1, 1, 1), lengths.square().view(1, -1, 1, 1)
    return Side.of(left, function.second(left)), Side.of(right, function.second(right))


def distances(theta: float) -> Tensor:
    """½E[(u − v)²] of all pairs of lengths at an angle, without a difference of equal numbers."""
    a, b = torch.tensor(LENGTHS, dtype=FLOAT)[:, None], torch.tensor(LENGTHS, dtype=FLOAT)
    return ((a - b).square() / 2 + 2 * a * b * math.sin(theta / 2) ** 2)[:, :, None, None]


def computed(
    function: Nonlinearity, dual: known.Dual, theta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E[φφ], E[φ'φ'] and half the squared distance of the values, (3, 3) each."""
    left, right = sides(function)
    value, slope = distances(theta), torch.ones(3, 3, 1, 1, dtype=FLOAT)
    dual.pairs(value, slope, left, right, as_distance=False)
    apart = distances(theta)
    dual.pairs(apart, None, left, right, as_distance=True)
    return value[:, :, 0, 0].numpy(), slope[:, :, 0, 0].numpy(), apart[:, :, 0, 0].numpy()


INTERVAL = (LENGTHS[0], LENGTHS[-1])
CLOSED = [
    known.RELU,
    known.leaky_relu(0.3),
    known.leaky_relu(-0.5),
    known.ABS,
    known.ERF,
    known.GELU,
    known.SINE,
]


@pytest.mark.slow
@pytest.mark.parametrize("function", CLOSED, ids=lambda f: f.name)
@pytest.mark.parametrize("theta", ANGLES)
def test_closed_forms_are_the_integrals(function: Nonlinearity, theta: float) -> None:
    """In tables made of quadrature, which knows the function and nothing of its closed form."""
    plain = Nonlinearity(f"plain {function.name}", function.function)
    table = known.dual_of(plain, plain, (INTERVAL, INTERVAL))
    closed = known.dual_of(function, function, (INTERVAL, INTERVAL))
    assert closed is function
    for one, two in zip(computed(function, closed, theta), computed(plain, table, theta), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=2e-11)


@pytest.mark.parametrize("function", CLOSED, ids=lambda f: f.name)
def test_moments_of_one_number(function: Nonlinearity) -> None:
    plain = Nonlinearity(function.name, function.function)
    variance = torch.tensor([0.0, 0.01, 1.0, 7.0], dtype=FLOAT)
    torch.testing.assert_close(function.second(variance), plain.second(variance), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(
        function.slope(variance[1:]), plain.slope(variance[1:]), rtol=1e-13, atol=1e-13
    )
    mean = function.mean(variance)
    mean = torch.zeros_like(variance) if mean is None else mean
    torch.testing.assert_close(mean, plain.mean(variance), rtol=1e-13, atol=1e-14)
    assert function.gain == pytest.approx(1 / math.sqrt(plain.second(torch.ones(1, dtype=FLOAT))), rel=1e-13)


SMOOTH = {
    "tanh": (known.by_name("tanh"), np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (known.by_name("sigmoid"), expit, lambda z: expit(z) * expit(-z)),
    "gelu": (
        known.GELU,
        lambda z: z * ndtr(z),
        lambda z: ndtr(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": (known.SILU, lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "softplus": (known.softplus(1.0, 20.0), lambda z: np.logaddexp(0, z), expit),
    "ripple": (
        known.by_name("ripple"),
        lambda z: expit(z) + z * np.exp(-(z**2)),
        lambda z: expit(z) * expit(-z) + (1 - 2 * z**2) * np.exp(-(z**2)),
    ),
    "erf": (known.ERF, erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-(z**2))),
    "cos": (known.COSINE, np.cos, lambda z: -np.sin(z)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_against_the_trapezoidal_rule(name: str) -> None:
    """In two dimensions. It errs like e^{−2πd/h} for functions that are analytic to the distance d from the
    line: here h = 1/16 and d > 0.9, so that 10⁻³⁹ is left, and 10⁻¹⁸ beyond 9 standard deviations."""
    function, phi, derivative = SMOOTH[name]
    dual = known.dual_of(function, function, (INTERVAL, INTERVAL))
    nodes = np.arange(-144, 145) / 16
    weights = np.exp(-(nodes**2) / 2) / 16
    for theta in (0.0, 0.3, 2.5):
        value, slope, _ = computed(function, dual, theta)
        for i, a in enumerate(LENGTHS):
            for j, b in enumerate(LENGTHS):
                u = a * nodes[:, None]
                v = b * (math.cos(theta) * nodes[:, None] + math.sin(theta) * nodes)
                for found, f in ((value, phi), (slope, derivative)):
                    expected = (np.outer(weights, weights) * f(u) * f(v)).sum() / (2 * math.pi)
                    assert found[i, j] == pytest.approx(expected, abs=1e-10)


def normal_probability(h: float, k: float, rho: float) -> float:
    """P(X < h, Y < k) of standard normal numbers of correlation ρ: ∫ Φ((k − ρx)/√(1 − ρ²)) φ(x) dx."""
    width = math.sqrt((1 - rho) * (1 + rho))
    steep = [k / rho + step * width / abs(rho) for step in (-8, -1, 0, 1, 8)]
    return float(
        quad(
            lambda x: math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * ndtr((k - rho * x) / width),
            -12,
            h,
            points=[x for x in steep if -12 < x < h] or None,
            epsabs=1e-14,
            epsrel=1e-13,
            limit=400,
        )[0]
    )


@pytest.mark.parametrize("theta", [1e-3, 0.3, 1.2, 2.5])
def test_elu_against_normal_probabilities(theta: float) -> None:
    """E[e^{su + tv}; u < 0, v < 0] is one, of a shifted normal; of E[φ'φ'] with φ' = e^u below 0 that is
    all."""
    dual = known.dual_of(known.elu(1.0), known.elu(1.0), (INTERVAL, INTERVAL))
    _, slope, _ = computed(known.elu(1.0), dual, theta)
    rho = math.cos(theta)

    def part(a: float, b: float, s: float, t: float, signs: tuple[int, int]) -> float:
        c = a * b * rho
        exponent = (s**2 * a**2 + t**2 * b**2 + 2 * s * t * c) / 2
        h, k = (s * a**2 + t * c) / a, (t * b**2 + s * c) / b
        return math.exp(exponent) * normal_probability(
            -signs[0] * h, -signs[1] * k, signs[0] * signs[1] * rho
        )

    for i, a in enumerate(LENGTHS):
        for j, b in enumerate(LENGTHS):
            expected = (
                part(a, b, 1, 1, (1, 1)) + part(a, b, 0, 1, (-1, 1)) + part(a, b, 1, 0, (1, -1))
                + part(a, b, 0, 0, (-1, -1))
            )  # fmt: skip
            assert slope[i, j] == pytest.approx(expected, abs=1e-10)


def test_two_functions_of_independent_numbers_are_the_product_of_their_means() -> None:
    table = DualTable((known.RELU, known.by_name("sigmoid")), (INTERVAL, INTERVAL))
    variance = torch.tensor(LENGTHS, dtype=FLOAT).square()
    expected = torch.outer(expectation(torch.relu, variance), expectation(torch.sigmoid, variance))
    value = distances(math.pi / 2)
    left, right = sides(known.RELU)[0], sides(known.by_name("sigmoid"))[1]
    table.pairs(value, None, left, right, as_distance=False)
    torch.testing.assert_close(value[:, :, 0, 0], expected, rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [known.by_name("tanh"), known.elu(1.0), known.elu(0.3), known.SELU, known.SILU],
    ids=lambda function: function.name,
)
def test_a_table_says_how_accurate_it_is(function: Nonlinearity) -> None:
    table = DualTable((function, function), ((0.0, 3.0), (0.0, 3.0)))
    assert table.error < 1e-11
    apart = computed(function, table, 0.0)[2]
    assert (np.diagonal(apart) == 0).all()


@pytest.mark.slow
def test_what_no_table_can_hold_is_named() -> None:
    wild = Nonlinearity("wild", lambda z: torch.sin(40 * z))
    with pytest.raises(KernelError, match=r"wild and wild.*not accurate"):
        DualTable((wild, wild), ((0.0, 3.0), (0.0, 3.0)))
