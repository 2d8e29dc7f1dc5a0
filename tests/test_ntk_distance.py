"""How far descent moves the weights of a linear model, against descent itself and the pseudo-inverse."""

from typing import Literal

import numpy as np
import pytest
import torch

from nnlab.ntk import KernelError, decompose
from nnlab.ntk.dynamics.distance import least_squared_distance, squared_distances

N, P = 4, 7


def problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.standard_normal((N, P)), random.standard_normal(N)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_it_is_the_distance_of_descent(seed: int, reduction: Literal["sum", "mean"]) -> None:
    features, u0 = problem(seed)
    divisor = N if reduction == "mean" else 1
    kernel = features @ features.T
    lr = 1.9 * divisor / np.linalg.eigvalsh(kernel)[-1]  # the largest mode alternates
    w, squares = np.zeros(P), []
    for _ in range(30):
        squares.append(w @ w)
        w -= lr / divisor * features.T @ (features @ w + u0)
    measured = squared_distances(
        torch.from_numpy(kernel), torch.from_numpy(u0), lr, list(range(30)), reduction=reduction, n=N
    )
    np.testing.assert_allclose(measured.numpy(), squares, rtol=1e-11, atol=1e-25)
    once = squared_distances(
        decompose(torch.from_numpy(kernel)), torch.from_numpy(u0), lr, 7, reduction=reduction, n=N
    )
    assert float(once) == pytest.approx(squares[7], rel=1e-12)


def test_its_limit_is_the_least_distance_of_a_solution() -> None:
    features, u0 = problem(0)
    kernel, residual = torch.from_numpy(features @ features.T), torch.from_numpy(u0)
    least = np.linalg.norm(np.linalg.pinv(features) @ u0) ** 2
    assert float(least_squared_distance(kernel, residual)) == pytest.approx(least, rel=1e-11)
    lr = 1 / float(torch.linalg.eigvalsh(kernel)[-1])
    far = squared_distances(kernel, residual, lr, 10**6)
    assert float(far) == pytest.approx(least, rel=1e-11)


def test_small_steps_keep_their_digits() -> None:
    kernel, u0 = torch.diag(torch.tensor([1.0, 1e-9], dtype=torch.float64)), torch.ones(2).double()
    moved = squared_distances(kernel, u0, 1e-8, 3)  # (ηk)²‖φ‖² to first order, λ (ηk)² in each mode
    assert float(moved) == pytest.approx(9e-16 * (1 + 1e-9), rel=1e-7)


def test_a_mode_without_curvature_does_not_move() -> None:
    kernel = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    u0 = torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert float(least_squared_distance(kernel, u0)) == pytest.approx(0, abs=1e-20)
    assert float(squared_distances(kernel, u0, 0.5, 100)) == pytest.approx(0, abs=1e-20)


def test_columns_of_several_outputs_add_up() -> None:
    features, u0 = problem(1)
    kernel, columns = torch.from_numpy(features @ features.T), torch.from_numpy(np.stack([u0, 2 * u0], 1))
    one = squared_distances(kernel, columns[:, 0], 0.05, 5)
    assert float(squared_distances(kernel, columns, 0.05, 5)) == pytest.approx(5 * float(one), rel=1e-12)


@pytest.mark.parametrize(
    ("lr", "steps", "message"), [(2.0, 1, "outside"), (0.0, 1, "outside"), (1.0, -1, "start at 0")]
)
def test_what_descent_cannot_do_is_refused(lr: float, steps: int, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        squared_distances(torch.eye(2).double(), torch.ones(2).double(), lr, steps)
