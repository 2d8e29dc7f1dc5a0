"""Cross-entropy flow with a constant kernel: against tiny steps, small cases by hand, and a trained model."""

import math

import pytest
import torch
from torch import Tensor

from nnlab.ntk.dynamics.logits import logit_descent, logit_flow
from nnlab.ntk.dynamics.modes import Reduction
from nnlab.ntk.errors import KernelError, NonFiniteError

FLOAT = torch.float64
N, C, NEW, P = 5, 3, 2, 11


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


FEATURES, FEATURES_X = draw(N * C, P) / 3, draw(NEW * C, P, seed=1) / 3
F0, F0_X = draw(N * C, seed=2), draw(NEW * C, seed=3)
LABELS = torch.tensor([0, 2, 1, 1, 0])
H, H_XT = FEATURES @ FEATURES.T, FEATURES_X @ FEATURES.T


def descend(lr: float, steps: int, reduction: Reduction) -> tuple[Tensor, Tensor]:
    """Scores of the linear model with these features after small steps of torch's own gradient."""
    w = torch.zeros(P, dtype=FLOAT, requires_grad=True)
    for _ in range(steps):
        scores = (F0 + FEATURES @ w).view(N, C)
        loss = torch.nn.functional.cross_entropy(scores, LABELS, reduction=reduction)
        (gradient,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w -= lr * gradient
    with torch.no_grad():
        return F0 + FEATURES @ w, F0_X + FEATURES_X @ w


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_it_is_gradient_descent_with_tiny_steps(reduction: Reduction) -> None:
    """Euler's error is proportional to the step: extrapolated from two of them, little of it is left."""
    t = 1.0 if reduction == "sum" else 5.0
    found = logit_flow(H, F0, LABELS, t, reduction=reduction, H_xt=H_XT, f0_x=F0_X)
    coarse, fine = descend(t / 500, 500, reduction), descend(t / 1000, 1000, reduction)
    assert found.new is not None
    for ours, one, two in zip((found.train, found.new), coarse, fine, strict=True):
        assert (one - ours).abs().max() > 1e-4  # the steps do matter
        torch.testing.assert_close(ours, 2 * two - one, rtol=0, atol=1e-5)


def test_labels_are_one_hot_probabilities_and_shapes_follow_t() -> None:
    times = torch.tensor([2.0, 0.0, 0.5, 0.5])
    one_hot = torch.nn.functional.one_hot(LABELS, C).to(FLOAT)
    full = H.view(N, C, N, C).permute(0, 2, 1, 3)
    rows = logit_flow(full, F0, one_hot, times, H_xt=H_XT.view(NEW, C, N, C).permute(0, 2, 1, 3), f0_x=F0_X)
    assert rows.new is not None
    assert (rows.train.shape, rows.new.shape) == ((4, N * C), (4, NEW * C))
    assert torch.equal(rows.train[1], F0)
    assert torch.equal(rows.train[2], rows.train[3])
    single = logit_flow(H, F0, LABELS, 2.0)
    assert single.new is None
    torch.testing.assert_close(rows.train[0], single.train, rtol=0, atol=1e-7)
    assert torch.equal(logit_flow(H, F0, LABELS, 0.0).train, F0)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_kernel_of_one_output_stands_for_every_class(reduction: Reduction) -> None:
    """(n, C) scores beside an (n, n) kernel move by H ⊗ I_C: against that product, given as a matrix."""
    one, one_x = H[::C, ::C], H_XT[::C, ::C]
    identity = torch.eye(C, dtype=FLOAT)
    kron, kron_x = torch.kron(one.contiguous(), identity), torch.kron(one_x.contiguous(), identity)
    f0, f0_x, times = F0.view(N, C), F0_X.view(NEW, C), [0.0, 0.4, 30.0]
    found = logit_flow(one, f0, LABELS, times, reduction=reduction, H_xt=one_x, f0_x=f0_x)
    flat = logit_flow(kron, F0, LABELS, times, reduction=reduction, H_xt=kron_x, f0_x=F0_X)
    assert found.new is not None
    assert flat.new is not None
    # both are integrated to 1e-10 a step
    torch.testing.assert_close(found.train, flat.train.view(3, N, C), rtol=0, atol=1e-7)
    torch.testing.assert_close(found.new, flat.new.view(3, NEW, C), rtol=0, atol=1e-7)
    assert torch.equal(found.train[0], f0)
    assert logit_flow(one, f0, LABELS, 0.4).train.shape == (N, C)
    steps = [0, 3, 50]
    rows = logit_descent(one, f0, LABELS, 0.2, steps, reduction=reduction).train
    expected = logit_descent(kron, F0, LABELS, 0.2, steps, reduction=reduction).train
    torch.testing.assert_close(rows, expected.view(3, N, C), rtol=0, atol=1e-12)
    assert (rows[-1] - rows[0]).norm() > 0.1


def test_a_full_kernel_takes_rows_as_it_takes_them_flat() -> None:
    full = H.view(N, C, N, C).permute(0, 2, 1, 3)
    rows = logit_flow(full, F0.view(N, C), LABELS, 2.0, H_xt=H_XT, f0_x=F0_X.view(NEW, C))
    flat = logit_flow(full, F0, LABELS, 2.0, H_xt=H_XT, f0_x=F0_X)
    assert rows.new is not None
    assert flat.new is not None
    assert torch.equal(rows.train, flat.train.view(N, C))
    assert torch.equal(rows.new, flat.new.view(NEW, C))
    descent = logit_descent(full, F0.view(N, C), LABELS, 0.1, [4]).train
    assert torch.equal(descent, logit_descent(full, F0, LABELS, 0.1, [4]).train.view(1, N, C))


def test_descent_at_new_points_is_descent_in_the_weights() -> None:
    """With features φ and H = φφᵀ, against steps of the weights themselves."""
    g = torch.Generator().manual_seed(3)
    phi, phi_x = (torch.randn(rows, 7, dtype=FLOAT, generator=g) for rows in (N * C, NEW * C))
    w, lr, steps, seen = torch.zeros(7, dtype=FLOAT), 0.05, [0, 1, 20], []
    target = torch.nn.functional.one_hot(LABELS, C).to(FLOAT)
    for step in range(max(steps) + 1):
        if step in steps:
            seen.append((F0 + phi @ w, F0_X + phi_x @ w))
        p = (F0 + phi @ w).view(N, C).softmax(1)
        w = w - lr / N * phi.T @ (p - target).reshape(-1)
    found = logit_descent(phi @ phi.T, F0, LABELS, lr, steps, reduction="mean", H_xt=phi_x @ phi.T, f0_x=F0_X)
    assert found.new is not None
    for rows, expected in zip(found, zip(*seen, strict=True), strict=True):
        assert rows is not None
        torch.testing.assert_close(rows, torch.stack(expected), rtol=0, atol=1e-12)


def test_two_classes_and_one_example_by_hand() -> None:
    """With H = I the scores differ by z with ż = 2/(1 + e^z), whence z + e^z = z₀ + e^{z₀} + 2t."""
    for t in (0.1, 3.0, 1e4):
        scores = logit_flow(torch.eye(2, dtype=FLOAT), torch.zeros(2), torch.tensor([0]), t).train
        z = (scores[0] - scores[1]).item()
        assert z + math.exp(z) == pytest.approx(1 + 2 * t, rel=1e-7)
        # the sum is conserved by each of at most 1,000 steps, up to the rounding of scores below 12
        rounding = 1000 * 4 * torch.finfo(FLOAT).eps * 12
        assert scores.sum().item() == pytest.approx(0, abs=rounding)


def test_stiff_kernels_are_integrated_over_long_times() -> None:
    """Speeds over eight decades: the fast modes must not set the step, and the slow ones must arrive."""
    speeds = torch.logspace(0, -8, N * C, dtype=FLOAT)
    basis = torch.linalg.qr(draw(N * C, N * C, seed=6)).Q
    kernel = 1e3 * (basis * speeds) @ basis.T
    kernel = (kernel + kernel.T) / 2
    one_hot = torch.nn.functional.one_hot(LABELS, C).to(FLOAT)
    probabilities = 0.9 * one_hot + 0.1 / C  # so that there is a finite end
    scores = logit_flow(kernel, F0, probabilities, [1.0, 1e8]).train.view(2, N, C)
    errors = [(row.softmax(1) - probabilities).abs().max().item() for row in scores]
    assert errors[0] > 0.1
    assert errors[1] < 1e-6


def test_wrong_arguments_are_named() -> None:
    for labels in (torch.tensor([0, 1, 3, 0, 0]), torch.tensor([0, 1, -1, 0, 0])):
        with pytest.raises(KernelError, match="labels are 0 … 2"):
            logit_flow(H, F0, labels, 1.0)
    for y in (torch.zeros(N), torch.zeros(N, C, dtype=torch.long), torch.zeros(4, dtype=torch.long)):
        with pytest.raises(KernelError, match="integer labels"):
            logit_flow(H, F0, y, 1.0)
    with pytest.raises(KernelError, match="sum to 1"):
        logit_flow(H, F0, torch.full((N, C), 0.5), 1.0)
    with pytest.raises(KernelError, match="times start at 0"):
        logit_flow(H, F0, LABELS, -1.0)
    with pytest.raises(KernelError, match="go together"):
        logit_flow(H, F0, LABELS, 1.0, H_xt=H_XT)
    with pytest.raises(KernelError, match=r"f0 has the shape \(5, 3\)"):
        logit_flow(H, F0.view(N, C), LABELS, 1.0)
    for y in (torch.zeros(3, dtype=torch.long), torch.full((3, N), 1 / N)):
        with pytest.raises(KernelError, match=r"the scores are of 5 examples"):
            logit_flow(H.view(N, C, N, C).permute(0, 2, 1, 3), F0, y, 1.0)
    with pytest.raises(NonFiniteError, match="f0"):
        logit_flow(H, F0 * math.nan, LABELS, 1.0)
