"""The change of the kernel by units that switch, against units that are drawn and moved one by one."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.chapters.widths.kinks import MOST_POINTS, kernel_change, switches
from nnlab.chapters.widths.schema import Family
from nnlab.models import get_activation

X, U0 = np.array([-1.2, 0.3, 1.1]), np.array([[1.0, -0.6, 0.8], [-0.3, 0.9, -1.0]])
SIGMA_B, LR, STEPS = 0.7, 0.1, 12
KERNEL = np.outer(X, X) + 1.5 + 0.5 * np.eye(3)
SLOPES = {"relu": (0.0, 1.0), "leaky_relu": (0.01, 1.0)}


def drawn(activation: str, u0: np.ndarray, units: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """√m E[H − H₀] and its standard error, (n, n), of units that move by about `reach` in place of 1/√m.

    Each unit is moved with v and with −v, which takes away some of the noise.
    """
    generator = np.random.default_rng(5)
    low, high = SLOPES[activation]
    scale = get_activation(activation).gain
    kappa = scale**2 * np.outer(X, X) + SIGMA_B**2
    w, b = generator.standard_normal((2, units))
    z0 = scale * np.outer(w, X) + SIGMA_B * b[:, None]
    v, total = np.abs(generator.standard_normal(units)), np.zeros((units, 3, 3))
    for sign in (1.0, -1.0):
        z, u = z0.copy(), u0.copy()
        for _ in range(STEPS):
            pull = (np.where(z > 0, high, low) * u) @ kappa
            z -= LR * scale * reach * (sign * v)[:, None] * pull
            u = u - LR * KERNEL @ u
        before, after = np.where(z0 > 0, high, low), np.where(z > 0, high, low)
        change = after[:, :, None] * after[:, None] - before[:, :, None] * before[:, None]
        total += 0.5 * v[:, None, None] ** 2 * change
    total *= scale**2 * kappa / reach
    return total.mean(0), total.std(0) / math.sqrt(units)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_units_that_switch_change_the_kernel_as_predicted(activation: str) -> None:
    """The interval is 4 standard errors, and 2% of the largest entry for the next order in the reach."""
    predicted = kernel_change(
        torch.from_numpy(U0), torch.from_numpy(KERNEL), torch.from_numpy(X), activation=activation,
        sigma_w=None, sigma_b=SIGMA_B, lr=LR, steps=STEPS,
    ).numpy()  # fmt: skip
    for one, u0 in zip(predicted, U0, strict=True):
        measured, error = drawn(activation, u0, 1_000_000, 0.02)
        largest = np.abs(one).max()
        np.testing.assert_array_less(np.abs(one - measured), 4 * error + 0.02 * largest)
        assert error.max() < 0.2 * largest  # so that half of it, or twice, would fail


def test_a_network_that_fits_keeps_its_kernel() -> None:
    change = kernel_change(
        torch.zeros(2, 3), torch.eye(3), torch.tensor([-1.0, 0.0, 2.0]), activation="relu", sigma_w=1.0,
        sigma_b=1.0, lr=0.1, steps=5,
    )  # fmt: skip
    assert (change.shape, float(change.abs().max())) == ((2, 3, 3), 0.0)


def test_where_the_change_is_known() -> None:
    known: dict[str, Any] = {"bias": True, "sigma_b": 1.0, "points": 10}
    assert switches("relu", Family(1, "ntk"), **known)
    assert switches("leaky_relu", Family(1, "ntk"), **known)
    cases: list[tuple[str, Family, dict[str, Any]]] = [
        ("tanh", Family(1, "ntk"), {}), ("maxout", Family(1, "ntk"), {}), ("relu", Family(2, "ntk"), {}),
        ("relu", Family(1, "standard"), {}), ("relu", Family(1, "ntk"), {"bias": False}),
        ("relu", Family(1, "ntk"), {"sigma_b": 0.0}), ("relu", Family(1, "ntk"), {"points": MOST_POINTS + 1}),
    ]  # fmt: skip
    for activation, family, changed in cases:
        assert not switches(activation, family, **(known | changed))
