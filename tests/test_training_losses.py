"""Losses, divergences, regularizers and step bounds against formulas written out, scipy and differences."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nnlab.training.losses import (
    Penalty,
    build_loss,
    build_penalty,
    cross_entropy,
    cross_entropy_of,
    entropy,
    kl_divergence,
    kl_loss,
    squared_error,
    target_distribution,
)
from nnlab.training.theory import kkt_violation, softmax_step_bound

logits = hnp.arrays(np.float64, (3, 4), elements=st.floats(-30, 30))


def test_the_slide_s_example() -> None:
    """The right class has probability 0.13, so the loss is −log 0.13 = 2.04."""
    scores = torch.tensor([[0.13, 0.5, 0.37]], dtype=torch.float64).log() + 7.0  # softmax ignores the shift
    assert float(cross_entropy(scores, torch.tensor([0]))) == pytest.approx(-math.log(0.13), abs=1e-12)
    assert round(-math.log(0.13), 2) == 2.04


@given(logits)
@settings(max_examples=50, deadline=None)
def test_cross_entropy_is_minus_log_softmax(scores: np.ndarray) -> None:
    expected = -scipy.special.log_softmax(scores, axis=1)[np.arange(3), [0, 3, 1]].mean()
    found = float(cross_entropy(torch.from_numpy(scores), torch.tensor([0, 3, 1])))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(logits, logits)
@settings(max_examples=50, deadline=None)
def test_divergences_against_scipy(a: np.ndarray, b: np.ndarray) -> None:
    p, q = scipy.special.softmax(a, axis=1), scipy.special.softmax(b, axis=1)
    p_, q_ = torch.from_numpy(p), torch.from_numpy(q)
    np.testing.assert_allclose(entropy(p_), scipy.stats.entropy(p, axis=1), atol=1e-12)
    np.testing.assert_allclose(kl_divergence(p_, q_), scipy.stats.entropy(p, q, axis=1), atol=1e-10)
    np.testing.assert_allclose(cross_entropy_of(p_, q_), entropy(p_) + kl_divergence(p_, q_), atol=1e-10)
    assert (kl_divergence(p_, q_) > -1e-12).all()


def test_zero_probabilities() -> None:
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert float(entropy(p)) == 0.0
    assert float(kl_divergence(p, q)) == pytest.approx(math.log(2))
    assert float(cross_entropy_of(q, p)) == math.inf
    assert float(kl_divergence(p, p)) == 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_kl_loss_is_cross_entropy_less_entropy_with_the_same_gradient(smoothing: float) -> None:
    scores = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1])
    p = target_distribution(labels, 3, smoothing)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    kl = kl_loss(ours, labels, smoothing)
    expected = kl_divergence(p, theirs.softmax(1)).mean()
    assert kl.item() == pytest.approx(expected.item(), rel=1e-12)
    kl.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(ours.grad, (scores.softmax(1) - p) / 5)  # the gradient p − y of the slide


def test_soft_targets() -> None:
    scores = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    expected = cross_entropy_of(p, scores.softmax(1)).mean()
    assert float(cross_entropy(scores, p)) == pytest.approx(float(expected), rel=1e-12)
    smoothed = 0.9 * p + 0.1 / 3
    expected = cross_entropy_of(smoothed, scores.softmax(1)).mean()
    assert float(cross_entropy(scores, p, 0.1)) == pytest.approx(float(expected), rel=1e-12)


def test_squared_error_reductions() -> None:
    y, target = (
        np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]]),
        np.array([[0.0, 2.0], [1.0, 1.0], [0.5, 2.0]]),
    )
    total = 0.5 * (1 + 0 + 4 + 4 + 0 + 4)
    y_, t_ = torch.from_numpy(y), torch.from_numpy(target)
    assert float(squared_error(y_, t_, "sum")) == total
    assert float(squared_error(y_, t_, "mean")) == pytest.approx(total / 3)
    labels = torch.tensor([1, 0, 1])
    one_hot = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert float(squared_error(y_, labels)) == float(squared_error(y_, one_hot))
    assert build_loss("squared_error", reduction="sum").reduction == "sum"


PENALTIES = {
    "l2": lambda w: 0.3 * (w**2).sum(),
    "l1": lambda w: 0.3 * np.abs(w).sum(),
    "elastic_net": lambda w: 0.3 * (0.7 * (w**2).sum() + np.abs(w).sum()),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_value_and_gradient(name: str) -> None:
    """Against the slide's formula and its central difference, away from the kink at 0."""
    w = np.array([[-2.0, -0.5], [0.25, 3.0]])
    weight = torch.from_numpy(w.copy()).requires_grad_()
    penalty = build_penalty(name, 0.3, 0.7)
    assert penalty is not None
    assert penalty.value([weight, weight]).item() == pytest.approx(2 * PENALTIES[name](w), rel=1e-12)
    weight.grad = torch.ones_like(weight)  # the penalty's gradient is added to the loss's
    penalty.add_gradient_([weight])
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = 1e-5
        difference = (PENALTIES[name](w + step) - PENALTIES[name](w - step)) / 2e-5
        assert float(weight.grad[index]) == pytest.approx(1 + difference, rel=1e-8)


def test_l2_gradient_is_two_lambda_w() -> None:
    weight = torch.tensor([3.0], requires_grad=True)
    weight.grad = torch.zeros(1)
    penalty = build_penalty("l2", 0.5)
    assert penalty is not None
    penalty.add_gradient_([weight])
    assert float(weight.grad) == 2 * 0.5 * 3.0


@pytest.mark.parametrize(("name", "strength"), [("none", 1.0), ("l2", 0.0)])
def test_no_penalty(name: str, strength: float) -> None:
    assert build_penalty(name, strength) is None


@given(st.floats(-3, 3), st.floats(0, 2))
@settings(max_examples=100, deadline=None)
def test_the_proximal_step_minimizes_its_objective(w: float, threshold: float) -> None:
    """½(v − w)² + t|v| on a fine grid has its minimum where the formula says."""
    weight = torch.tensor([w], dtype=torch.float64)
    Penalty(threshold, quadratic=0.0, absolute=1.0, proximal=True).shrink_([weight], lr=1.0)
    found = float(weight)
    grid = np.append(np.linspace(-3, 3, 6001), found)
    objective = 0.5 * (grid - w) ** 2 + threshold * np.abs(grid)
    assert 0.5 * (found - w) ** 2 + threshold * abs(found) <= objective.min() + 1e-12


def test_proximal_gradient_keeps_the_smooth_part_only() -> None:
    weight = torch.tensor([2.0, -1.0], requires_grad=True)
    weight.grad = torch.zeros(2)
    penalty = build_penalty("elastic_net", 0.5, 0.25, proximal=True)
    assert penalty is not None
    penalty.add_gradient_([weight])
    assert weight.grad.tolist() == [2 * 0.5 * 0.25 * 2.0, 2 * 0.5 * 0.25 * -1.0]
    penalty.shrink_([weight], lr=0.8)
    torch.testing.assert_close(weight.detach(), torch.tensor([1.6, -0.6]))


def test_kkt_violation() -> None:
    w = torch.tensor([0.0, 0.0, 1.0, -2.0], dtype=torch.float64)
    assert kkt_violation(w, torch.tensor([0.3, -0.5, -0.5, 0.5], dtype=torch.float64), 0.5) == 0.0
    assert kkt_violation(w, torch.tensor([0.6, 0.0, -0.5, 0.5], dtype=torch.float64), 0.5) == pytest.approx(
        0.1
    )
    assert kkt_violation(w, torch.tensor([0.0, 0.0, 0.5, 0.5], dtype=torch.float64), 0.5) == pytest.approx(
        1.0
    )
    assert kkt_violation(w, torch.tensor([0.0, 0.3, 0.0, -0.4], dtype=torch.float64), 0.0) == 0.4


@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_step_bound_bounds_the_curvature(strength: float) -> None:
    """4/(λmax + 4λ) = 2/L for an L that no eigenvalue of any Hessian exceeds, taken by torch.func."""
    draw = torch.Generator().manual_seed(3)
    x = torch.cat([torch.randn(30, 4, generator=draw, dtype=torch.float64), torch.ones(30, 1)], 1)
    y = torch.randint(3, (30,), generator=draw)

    def objective(w: torch.Tensor) -> torch.Tensor:
        return cross_entropy(x @ w.reshape(3, 5).T, y) + strength * (w.reshape(3, 5)[:, :4] ** 2).sum()

    largest = 0.0
    for scale in (0.0, 0.1, 1.0, 10.0):
        w = scale * torch.randn(15, generator=draw, dtype=torch.float64)
        hessian = torch.func.jacrev(torch.func.jacrev(objective))(w)
        largest = max(largest, float(torch.linalg.eigvalsh(hessian)[-1]))
    bound = softmax_step_bound(x, strength)
    assert largest <= 2 / bound + 1e-12
    two_classes = 0.5 * float(torch.linalg.eigvalsh(x.T @ x / 30)[-1])
    assert 2 / bound == pytest.approx(two_classes + 2 * strength)


def test_step_bound_is_attained() -> None:
    """With two classes and W = 0 the Hessian is exactly ½ λmax: η = 4/λmax is the edge of descent."""
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    y = torch.tensor([0, 0])

    def after(multiple: float) -> float:
        w = torch.full((2, 1), 0.0, dtype=torch.float64)
        w[0] = 1e-4  # the minimum is at 0: x and −x with one label
        w.requires_grad_()
        cross_entropy(x @ w.T, y).backward()
        assert w.grad is not None
        moved = (w - multiple * softmax_step_bound(x) * w.grad).detach()
        return float(cross_entropy(x @ moved.T, y))

    before = float(cross_entropy(x @ torch.tensor([[1e-4, 0.0]], dtype=torch.float64), y))
    assert after(0.999) < before < after(1.001)
