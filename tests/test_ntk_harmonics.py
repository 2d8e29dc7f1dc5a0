"""The circle: its modes, the frequencies that a bias makes learnable, and how fast the eigenvalues fall."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.spectral.harmonics import circle_eigenvalues, circle_points, circle_tail

SIGMA_W = math.sqrt(2)


def unbiased_eigenvalues(k: np.ndarray, *, sigma_w: float = SIGMA_W) -> np.ndarray:
    """λ_k of the operator for one hidden layer without bias, in closed form.

    (σ_w⁴/2π²)(k² + 3)/(k² − 1)² for even k, σ_w⁴/8 for k = 1, 0 for odd k ≥ 3.
    """
    order = np.asarray(k, dtype=np.float64)
    divisor = np.where(order == 1, 1.0, (order**2 - 1) ** 2)
    even = (order**2 + 3) / (2 * math.pi**2 * divisor)
    return sigma_w**4 * np.where(order == 1, 1 / 8, np.where(order % 2 == 0, even, 0.0))


@pytest.mark.parametrize("n", [12, 13])
@pytest.mark.parametrize(("depth", "sigma_b"), [(1, 0.0), (1, 0.4), (3, 0.4)])
def test_modes_are_the_eigenvectors_of_the_kernel(n: int, depth: int, sigma_b: float) -> None:
    kernel = infinite_ntk(circle_points(n), depth=depth, sigma_b=sigma_b)[1] / n
    k, values = circle_eigenvalues(n, depth=depth, sigma_b=sigma_b)
    assert k.tolist() == list(range(n // 2 + 1))
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    for order, value in zip(k.tolist(), values.tolist(), strict=True):
        for mode in (torch.cos(order * angles), torch.sin(order * angles)):
            torch.testing.assert_close(kernel @ mode, value * mode, rtol=0, atol=1e-14)
    double = [
        value for order, value in zip(k, values, strict=True) for _ in range(1 if order in (0, n / 2) else 2)
    ]
    np.testing.assert_allclose(np.sort(double), torch.linalg.eigvalsh(kernel), rtol=0, atol=1e-14)


def test_without_bias_there_are_no_odd_modes_from_3_on() -> None:
    n = 256
    k, values = circle_eigenvalues(n, sigma_b=0.0)
    odd = (k % 2 == 1) & (k >= 3)
    assert np.abs(values[odd]).max() < 1e-15
    even = k % 2 == 0
    assert values[even].min() > 1e-5
    assert values[1] == pytest.approx(0.5, rel=1e-12)  # σ_w⁴/8: exact, since ±1 + mn meets no other odd mode


def test_an_odd_number_of_points_lets_even_modes_in() -> None:
    n = 255
    _, values = circle_eigenvalues(n, sigma_b=0.0)
    for order in (3, 5, 21):
        others = np.array([abs(order + m * n) for m in range(-400, 401)])
        assert values[order] == pytest.approx(unbiased_eigenvalues(others).sum(), rel=1e-2)
        assert values[order] > 1e-7


def test_the_closed_form_without_bias_is_the_integral() -> None:
    for sigma_w in (SIGMA_W, 0.8):
        alpha = sigma_w**2 / 2

        def kernel(theta: float, alpha: float = alpha, sigma_w: float = sigma_w) -> float:
            shape = math.sin(theta) + 2 * (math.pi - theta) * math.cos(theta)
            return sigma_w**2 * alpha * shape / (2 * math.pi)

        for order in range(9):
            integral = quad(kernel, 0, math.pi, weight="cos", wvar=order)[0] / math.pi
            closed = unbiased_eigenvalues(np.array([order]), sigma_w=sigma_w)[0]
            assert closed == pytest.approx(integral, abs=1e-12)
    n = 4096
    k, values = circle_eigenvalues(n, sigma_b=0.0)
    aliases = sum(unbiased_eigenvalues(np.abs(k[:40] + m * n)) for m in range(-300, 301))
    np.testing.assert_allclose(values[:40], aliases, rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(SIGMA_W, 0.0), (SIGMA_W, 1.0), (0.9, 0.5)])
def test_the_tail_falls_like_a_constant_over_k_squared(depth: int, sigma_w: float, sigma_b: float) -> None:
    n = 2**14
    _, values = circle_eigenvalues(n, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b)
    tail = circle_tail(depth=depth, sigma_w=sigma_w, sigma_b=sigma_b)
    for order, limit in ((1000, tail.even), (1001, tail.odd)):
        x = math.pi * order / n
        aliased = limit * (x / math.sin(x)) ** 2
        assert order**2 * values[order] == pytest.approx(aliased, rel=1e-4, abs=1e-9)
    assert (tail.even == pytest.approx(tail.odd, rel=1e-12)) == (sigma_b > 0)


def test_the_tail_of_one_hidden_layer_in_closed_form() -> None:
    for sigma_w, sigma_b in ((SIGMA_W, 0.1), (0.7, 1.3)):
        expected = sigma_w**3 * math.sqrt(sigma_w**2 + 2 * sigma_b**2) / (4 * math.pi**2)
        tail = circle_tail(sigma_w=sigma_w, sigma_b=sigma_b)
        assert [tail.even, tail.odd] == pytest.approx([expected, expected])
    unbiased = circle_tail(sigma_b=0.0)
    assert unbiased.even == pytest.approx(2 / math.pi**2)
    assert unbiased.odd == 0
    many = np.array([10**5])
    assert many[0] ** 2 * unbiased_eigenvalues(many)[0] == pytest.approx(unbiased.even)


def test_the_linear_model_has_two_frequencies() -> None:
    _, values = circle_eigenvalues(32, depth=0, sigma_w=1.0, sigma_b=0.5)
    np.testing.assert_allclose(values[:2], [0.25, 0.25], rtol=1e-14)
    assert np.abs(values[2:]).max() < 1e-16
    tail = circle_tail(depth=0)
    assert (tail.even, tail.odd) == (0, 0)


def test_bad_numbers_are_named() -> None:
    with pytest.raises(KernelError, match="n 0"):
        circle_points(0)
    with pytest.raises(KernelError, match="depth -1"):
        circle_tail(depth=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unbiased_eigenvalues(np.array([1]))[0] == pytest.approx(0.5)
