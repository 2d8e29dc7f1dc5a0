"""Predictions from a constant kernel: against matrix exponentials, loops, an ODE solver, a trained model."""

import math
from collections.abc import Callable
from typing import TypedDict

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from nnlab.ntk.dynamics.flow import (
    flow_gap,
    gradient_descent,
    gradient_flow,
    half_lives,
    max_step,
)
from nnlab.ntk.dynamics.modes import Reduction, decompose
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.regression.kernel_regression import kernel_regression

FLOAT = torch.float64
N, NEW, P = 6, 4, 9
Call = Callable[..., Tensor]


class New(TypedDict):
    """What a prediction at new points needs."""

    H_xt: Tensor
    f0_x: Tensor


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


class Linear:
    """A linear model f = f₀ + Φ(w − w₀) with everything known: all formulas are exact for it."""

    def __init__(self, rank: int = N) -> None:
        self.features = draw(N, P) @ torch.diag(torch.tensor([1.0] * rank + [0.0] * (P - rank), dtype=FLOAT))
        self.features_x = draw(NEW, P, seed=1)
        self.f0, self.f0_x, self.y = draw(N, seed=2), draw(NEW, seed=3), draw(N, seed=4)
        self.H, self.H_xt = self.features @ self.features.T, self.features_x @ self.features.T
        self.u0 = self.f0 - self.y
        self.new: New = {"H_xt": self.H_xt, "f0_x": self.f0_x}

    def descend(self, lr: float, steps: int, examples: float = 1.0) -> tuple[Tensor, Tensor]:
        """Residuals and new values after that many steps in w."""
        moved = torch.zeros(P, dtype=FLOAT)
        for _ in range(steps):
            moved = moved - lr / examples * self.features.T @ (self.u0 + self.features @ moved)
        return self.u0 + self.features @ moved, self.f0_x + self.features_x @ moved


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


# --- gradient flow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [N, 3])
@pytest.mark.parametrize(("reduction", "examples"), [("sum", 1), ("mean", N)])
def test_flow_is_the_matrix_exponential(rank: int, reduction: Reduction, examples: int) -> None:
    model = Linear(rank)
    times = [0.0, 0.01, 0.3, 20.0]
    found = gradient_flow(model.H, model.u0, times, reduction=reduction, n=N)
    for row, t in zip(found, times, strict=True):
        propagator = torch.from_numpy(scipy.linalg.expm(-t * model.H.numpy() / examples))
        close(row, propagator @ model.u0)


@pytest.mark.parametrize("rank", [N, 3])
@pytest.mark.parametrize(("reduction", "examples"), [("sum", 1), ("mean", N)])
def test_flow_at_new_points_is_the_ode(rank: int, reduction: Reduction, examples: int) -> None:
    model, times = Linear(rank), [0.0, 0.05, 1.0, 30.0]
    both = torch.cat([model.H, model.H_xt]).numpy() / examples

    def slope(_: float, f: np.ndarray) -> np.ndarray:
        return -both @ (f[:N] - model.y.numpy())

    start = torch.cat([model.f0, model.f0_x]).numpy()
    solved = solve_ivp(slope, (0, 30), start, t_eval=times, rtol=1e-11, atol=1e-12, method="LSODA")
    found = gradient_flow(model.H, model.u0, times, reduction=reduction, n=N, **model.new)
    close(found, torch.from_numpy(solved.y.T[:, N:]), 1e-7)


def test_flow_at_new_points_that_are_the_training_points() -> None:
    model = Linear()
    found = gradient_flow(model.H, model.u0, 0.7, H_xt=model.H, f0_x=model.f0)
    close(found - model.y, gradient_flow(model.H, model.u0, 0.7))


def test_modes_that_do_not_move_are_no_division_by_zero() -> None:
    """λ = 0 and u₀ in its mode: a new point drifts at the constant rate H_x u₀, however long."""
    H = torch.diag(torch.tensor([2.0, 0.0], dtype=FLOAT))
    u0, H_xt = torch.tensor([0.0, 3.0], dtype=FLOAT), torch.tensor([[1.0, 0.5]], dtype=FLOAT)
    for t in (1e-3, 1.0, 1e6):
        close(gradient_flow(H, u0, t, H_xt=H_xt, f0_x=torch.zeros(1)), torch.tensor([-1.5 * t], dtype=FLOAT))
        assert gradient_flow(H, u0, t).tolist() == [0, 3]
    close(
        gradient_descent(H, u0, 0.1, 1000, H_xt=H_xt, f0_x=torch.zeros(1)),
        torch.tensor([-150.0], dtype=FLOAT),
    )


def test_small_eigenvalues_keep_their_digits() -> None:
    """(1 − e^{−λt})/λ for λt = 1e-12 is t to 12 digits; the difference alone would have 4."""
    H = torch.diag(torch.tensor([1.0, 1e-12], dtype=FLOAT))
    u0, H_xt = torch.tensor([0.0, 1.0], dtype=FLOAT), torch.tensor([[0.0, 1.0]], dtype=FLOAT)
    arguments: New = {"H_xt": H_xt, "f0_x": torch.zeros(1)}
    expected = torch.tensor([-1.0 + 0.5e-12], dtype=FLOAT)
    torch.testing.assert_close(gradient_flow(H, u0, 1.0, **arguments), expected, rtol=1e-15, atol=0)
    torch.testing.assert_close(gradient_descent(H, u0, 0.1, 10, **arguments), expected, rtol=1e-13, atol=0)


def test_rounding_below_zero_does_not_grow() -> None:
    """Rank 3 of 6: some of the zero eigenvalues come out negative, and e^{−λt} must stay 1."""
    model = Linear(3)
    H = model.H.float()
    H = (H + H.T) / 2
    assert torch.linalg.eigvalsh(H.double())[0] < 0
    late = gradient_flow(H, model.u0, 1e12)
    assert late.norm() <= model.u0.norm()
    assert decompose(H).eigenvalues.min() >= 0
    negative = decompose(torch.diag(torch.tensor([1.0, -0.1], dtype=FLOAT)))
    assert negative.eigenvalues.tolist() == [1.0, -0.1]  # which no rounding explains


def test_growing_modes_overflow_to_infinity_and_nothing_to_nan() -> None:
    """Backwards in time all modes with λ > 0 grow."""
    H = torch.tensor([[0.0, 0.0], [0.0, 0.5]], dtype=FLOAT)
    for u0, expected in (([0.0, -1.0], [0.0, -math.inf]), ([1.0, 0.0], [1.0, 0.0])):
        assert gradient_flow(H, torch.tensor(u0, dtype=FLOAT), -1e5).tolist() == expected


def test_a_growing_mode_that_was_not_excited_hides_nothing() -> None:
    H = torch.diag(torch.tensor([1e-4, 0.5], dtype=FLOAT))
    found = gradient_flow(H, torch.tensor([1.0, 0.0], dtype=FLOAT), -2e4)
    close(found, torch.tensor([math.exp(2), 0.0], dtype=FLOAT))


def test_a_kernel_with_a_negative_eigenvalue_is_refused_unless_rounding_explains_it() -> None:
    basis = torch.linalg.qr(draw(N, N)).Q
    eigenvalues = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1, -1e-8], dtype=FLOAT)
    H = (basis * eigenvalues) @ basis.T
    H = (H + H.T) / 2
    model = Linear()
    for call, amount in ((gradient_flow, (1.0,)), (gradient_descent, (0.1, 3))):
        with pytest.raises(KernelError, match=rf"{call.__name__}: H has the eigenvalue -1e-08"):
            call(H, model.u0, *amount)
        with pytest.raises(KernelError, match="rounding explains"):
            call(decompose(H), model.u0, *amount, **model.new)
        # a float32 computation explains N ε λmax = 2e-6: the mode does not move
        modes = decompose(H, computed_in=torch.float32)
        close(call(modes, basis[:, -1], *amount), basis[:, -1], 1e-12)


# --- gradient descent -------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [N, 3])
@pytest.mark.parametrize(("reduction", "examples"), [("sum", 1), ("mean", N)])
@pytest.mark.parametrize("relative", [0.3, 1.0, 1.7, 2.0, 2.3])
def test_descent_is_the_loop(rank: int, reduction: Reduction, examples: int, relative: float) -> None:
    """ηλmax on either side of 1, where modes begin to alternate, and of 2, where they grow."""
    model = Linear(rank)
    lr = relative * examples / torch.linalg.eigvalsh(model.H)[-1].item()
    steps = [0, 1, 2, 7, 40]
    found = gradient_descent(model.H, model.u0, lr, steps, reduction=reduction, n=N)
    found_x = gradient_descent(model.H, model.u0, lr, steps, reduction=reduction, n=N, **model.new)
    for k, row, row_x in zip(steps, found, found_x, strict=True):
        residuals, new = model.descend(lr, k, examples)
        close(row, residuals, 1e-9 * max(1.0, residuals.abs().max().item()))
        close(row_x, new, 1e-9 * max(1.0, new.abs().max().item()))


def test_one_step_at_the_inverse_eigenvalue_removes_its_mode() -> None:
    """The factor is 0 there, whose logarithm is −∞."""
    H = torch.diag(torch.tensor([4.0, 1.0], dtype=FLOAT))
    found = gradient_descent(H, torch.ones(2, dtype=FLOAT), 0.25, [0, 1, 3])
    close(found, torch.tensor([[1, 1], [0, 0.75], [0, 0.75**3]], dtype=FLOAT), 1e-15)


def test_many_steps_keep_their_digits() -> None:
    """(1 − x)ᵏ = e^{k log(1 − x)} with k = 1e8 and x = 1e-8: 1/e to first order in x."""
    H = torch.diag(torch.tensor([1.0, 1e-8], dtype=FLOAT))
    found = gradient_descent(H, torch.tensor([0.0, 1.0], dtype=FLOAT), 1.0, 10**8)
    assert found[1].item() == pytest.approx(math.exp(-1) * (1 - 0.5e-8), rel=1e-14)


def test_divergence_ends_at_infinity_with_its_sign() -> None:
    H = torch.diag(torch.tensor([3.0, 1.0], dtype=FLOAT))
    u0 = torch.tensor([1.0, 1.0], dtype=FLOAT)
    even, odd = gradient_descent(H, u0, 1.0, [10_000, 10_001])
    assert even.tolist() == [math.inf, 0]
    assert odd.tolist() == [-math.inf, 0]
    new = gradient_descent(H, u0, 1.0, 10_001, H_xt=torch.ones(1, 2, dtype=FLOAT), f0_x=torch.zeros(1))
    assert new.tolist() == [-math.inf]
    assert gradient_descent(H, torch.tensor([0.0, 1.0]), 1.0, 10_000).tolist() == [0, 0]


def test_before_infinity_it_is_right() -> None:
    """(−2)^1000 = 1.07e301 is a number; the residual of a mixed mode beside it is one too."""
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=FLOAT)
    H = rotation @ torch.diag(torch.tensor([3.0, 0.5], dtype=FLOAT)) @ rotation.T
    H = (H + H.T) / 2
    u0 = torch.tensor([1.0, 0.0], dtype=FLOAT)
    found = gradient_descent(H, u0, 1.0, 1000) / 2.0**1000
    torch.testing.assert_close(found, torch.tensor([0.36, 0.48], dtype=FLOAT), rtol=1e-10, atol=0)


# --- shapes and reuse -------------------------------------------------------------------------------


def test_numbers_give_vectors_and_lists_give_rows() -> None:
    model = Linear()
    assert gradient_flow(model.H, model.u0, 1.0).shape == (N,)
    assert gradient_flow(model.H, model.u0, torch.tensor([1.0, 2.0, 3.0])).shape == (3, N)
    assert gradient_flow(model.H, model.u0, np.array([1.0]), **model.new).shape == (1, NEW)
    assert gradient_descent(model.H, model.u0, 0.1, 5, **model.new).shape == (NEW,)
    assert gradient_descent(model.H, model.u0, 0.1, torch.tensor([1, 2])).shape == (2, N)


def test_modes_are_computed_once_and_stand_for_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Linear()
    modes = decompose(model.H)
    expected = (
        gradient_flow(model.H, model.u0, 0.5),
        gradient_descent(model.H, model.u0, 0.01, 9, **model.new),
    )
    monkeypatch.setattr(torch.linalg, "eigh", lambda *_, **__: pytest.fail("decomposed again"))
    close(gradient_flow(modes, model.u0, 0.5), expected[0], 0)
    close(gradient_descent(modes, model.u0, 0.01, 9, **model.new), expected[1], 0)
    assert kernel_regression(modes, model.H_xt, None, model.y).rank == N


def test_full_kernels_of_several_outputs_know_n() -> None:
    """(n, n, C, C) is read with the example index outermost, and the mean is over n, not nC."""
    n, outputs = 3, 2
    features = draw(n, outputs, P)
    features_x = draw(2, outputs, P, seed=1)
    H = torch.einsum("icp,jdp->ijcd", features, features)
    H_xt = torch.einsum("icp,jdp->ijcd", features_x, features)
    flat, flat_x = features.reshape(-1, P), features_x.reshape(-1, P)
    u0, f0_x = draw(n * outputs), draw(2 * outputs)
    for call, amount in ((gradient_flow, (0.3,)), (gradient_descent, (0.1, 12))):
        found = call(H, u0, *amount, reduction="mean", H_xt=H_xt, f0_x=f0_x)
        expected = call(flat @ flat.T, u0, *amount, reduction="mean", n=n, H_xt=flat_x @ flat.T, f0_x=f0_x)
        close(found, expected, 1e-13)
        close(call(decompose(H), u0, *amount, reduction="mean"), call(H, u0, *amount, reduction="mean"), 0)


# --- rows of outputs --------------------------------------------------------------------------------

CALLS = [(gradient_flow, ([0.0, 0.3, 40.0],)), (gradient_descent, (0.05, [0, 1, 30]))]


@pytest.mark.parametrize(("call", "amount"), CALLS)
@pytest.mark.parametrize("rank", [N, 3])
def test_a_kernel_of_one_output_stands_for_every_output(call: Call, amount: tuple, rank: int) -> None:
    """(n, C) beside an (n, n) kernel is H ⊗ I_C: against that product, and to the bit each column alone."""
    model, outputs = Linear(rank), 3
    u0, f0_x = draw(N, outputs, seed=5), draw(NEW, outputs, seed=6)
    one = torch.eye(outputs, dtype=FLOAT)
    kron, kron_x = torch.kron(model.H, one), torch.kron(model.H_xt, one)
    found = call(model.H, u0, *amount)
    assert found.shape == (3, N, outputs)
    close(found, call(kron, u0.reshape(-1), *amount).reshape(3, N, outputs), 1e-10)
    new = call(model.H, u0, *amount, H_xt=model.H_xt, f0_x=f0_x)
    assert new.shape == (3, NEW, outputs)
    flat = call(kron, u0.reshape(-1), *amount, H_xt=kron_x, f0_x=f0_x.reshape(-1))
    close(new, flat.reshape(3, NEW, outputs), 1e-10)
    for c in range(outputs):
        assert torch.equal(found[..., c], call(model.H, u0[:, c].contiguous(), *amount))
        alone = call(model.H, u0[:, c].contiguous(), *amount, H_xt=model.H_xt, f0_x=f0_x[:, c].contiguous())
        assert torch.equal(new[..., c], alone)


@pytest.mark.parametrize(("call", "amount"), CALLS)
def test_a_full_kernel_takes_rows_as_it_takes_them_flat(call: Call, amount: tuple) -> None:
    n, outputs = 3, 2
    features, features_x = draw(n, outputs, P), draw(2, outputs, P, seed=1)
    H = torch.einsum("icp,jdp->ijcd", features, features) / P
    H_xt = torch.einsum("icp,jdp->ijcd", features_x, features) / P
    u0, f0_x = draw(n, outputs, seed=5), draw(2, outputs, seed=6)
    for kernel in (H, decompose(H)):
        flat = call(kernel, u0.reshape(-1), *amount)
        assert torch.equal(call(kernel, u0, *amount), flat.reshape(3, n, outputs))
        flat = call(kernel, u0.reshape(-1), *amount, H_xt=H_xt, f0_x=f0_x.reshape(-1))
        assert torch.equal(call(kernel, u0, *amount, H_xt=H_xt, f0_x=f0_x), flat.reshape(3, 2, outputs))
    with pytest.raises(KernelError, match=r"u0 has the shape \(2, 3\); it must be \(6,\).* or \(3, 2\)"):
        call(H, u0.T, *amount)


def test_rows_tell_the_number_of_examples_and_one_moment_has_no_axis() -> None:
    model = Linear()
    u0 = draw(N, 2, seed=5)
    close(gradient_flow(model.H, u0, 0.3, reduction="mean"), gradient_flow(model.H, u0, 0.3 / N), 1e-14)
    assert gradient_descent(model.H, u0, 0.1, 7).shape == (N, 2)
    assert gradient_flow(model.H, u0[:, :1], 0.3).shape == (N, 1)


def test_rows_that_do_not_fit_are_named() -> None:
    model = Linear()
    with pytest.raises(KernelError, match=r"u0 has the shape \(3, 6\); it must be \(6,\).* or \(6, C\)"):
        gradient_flow(model.H, draw(3, N), 1.0)
    with pytest.raises(KernelError, match=r"f0_x has the shape \(4,\); it must be \(4, 2\), since"):
        gradient_flow(model.H, draw(N, 2), 1.0, **model.new)
    with pytest.raises(KernelError, match=r"f0_x has the shape \(4, 1\); it must be \(4,\).*flat"):
        gradient_flow(model.H, model.u0, 1.0, H_xt=model.H_xt, f0_x=model.f0_x[:, None])
    with pytest.raises(NonFiniteError, match="u0"):
        gradient_flow(model.H, draw(N, 2) * math.inf, 1.0)


# --- the limit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [N, 3])
def test_regression_is_the_limit_of_flow_and_descent(rank: int) -> None:
    model = Linear(rank)
    found = kernel_regression(model.H, model.H_xt, (model.f0, model.f0_x), model.y)
    assert (found.rank, found.singular) == (rank, rank < N)
    close(found.predictions, gradient_flow(model.H, model.u0, 1e4, **model.new), 1e-8)
    close(found.residuals, gradient_flow(model.H, model.u0, 1e4), 1e-8)
    lr = 1 / torch.linalg.eigvalsh(model.H)[-1].item()
    residuals, new = model.descend(lr, 5000)
    close(found.predictions, new, 1e-8)
    close(found.residuals, residuals, 1e-8)


@pytest.mark.parametrize("rank", [N, 3])
def test_regression_is_the_pseudo_inverse_solution(rank: int) -> None:
    model = Linear(rank)
    w = torch.linalg.pinv(model.features, rtol=1e-10) @ (model.y - model.f0)
    found = kernel_regression(model.H, model.H_xt, (model.f0, model.f0_x), model.y)
    close(found.predictions, model.f0_x + model.features_x @ w, 1e-9)
    close(found.residuals, model.f0 + model.features @ w - model.y, 1e-9)


@pytest.mark.parametrize("rank", [N, 3])
def test_a_ridge_is_ridge_regression_in_the_features(rank: int) -> None:
    model, ridge = Linear(rank), 0.3
    gram = model.features.T @ model.features + ridge * torch.eye(P, dtype=FLOAT)
    w = torch.linalg.solve(gram, model.features.T @ (model.y - model.f0))
    found = kernel_regression(model.H, model.H_xt, (model.f0, model.f0_x), model.y, ridge)
    assert not found.singular
    close(found.predictions, model.f0_x + model.features_x @ w)
    close(found.residuals, model.f0 + model.features @ w - model.y)


def test_without_a_start_it_starts_at_zero() -> None:
    model = Linear()
    found = kernel_regression(model.H, model.H_xt, None, model.y)
    close(found.predictions, model.H_xt @ torch.linalg.solve(model.H, model.y), 1e-8)
    assert found.residuals.tolist() == [0] * N  # exactly: every mode is fitted


def test_a_kernel_that_is_none_has_no_limit() -> None:
    H = torch.diag(torch.tensor([1.0, -0.1], dtype=FLOAT))
    with pytest.raises(KernelError, match=r"eigenvalue -0\.1"):
        kernel_regression(H, torch.ones(1, 2), None, torch.ones(2))
    close(
        kernel_regression(H, torch.eye(2), None, torch.ones(2), 0.5).predictions,
        torch.tensor([1 / 1.5, 1 / 0.4], dtype=FLOAT),
    )


# --- numbers of the modes ---------------------------------------------------------------------------


def test_the_largest_step_is_where_descent_begins_to_diverge() -> None:
    model = Linear()
    eigenvalues = torch.linalg.eigvalsh(model.H)
    reductions: tuple[tuple[Reduction, int], ...] = (("sum", 1), ("mean", N))
    for reduction, examples in reductions:
        largest = max_step(eigenvalues, reduction, N)
        assert largest == pytest.approx(2 * examples / eigenvalues[-1].item())
        start = gradient_descent(model.H, model.u0, largest, 0)
        below, above = (
            gradient_descent(model.H, model.u0, factor * largest, 3000, reduction=reduction, n=N)
            for factor in (0.99, 1.01)
        )
        assert below.norm() < 0.1 * start.norm()
        assert above.norm() > 1e6 * start.norm()
    assert max_step(0.0) == math.inf
    assert max_step([3.0, 1.0]) == pytest.approx(2 / 3)


def test_half_lives_halve() -> None:
    model = Linear()
    modes = decompose(model.H)
    for reduction in ("sum", "mean"):
        times = half_lives(modes.eigenvalues, reduction, N)
        for i, t in enumerate(times.tolist()):
            mode = modes.vectors[:, i]
            close(gradient_flow(modes, mode, t, reduction=reduction, n=N), mode / 2)
    assert half_lives([1.0, 0.0, -1.0]).tolist() == [pytest.approx(math.log(2)), math.inf, math.inf]


@pytest.mark.parametrize("x", [1e-4, 0.003, 0.0099, 0.0101, 0.1, 0.5, 0.9, 0.999, 1.0, 1.3, 1.99, 2.0])
def test_the_gap_to_flow_by_trying_every_step(x: float) -> None:
    k = np.arange(200_001)
    tried = np.abs((1 - x) ** k - np.exp(-x * k)).max()
    assert flow_gap(x / 3, 3.0).exact == pytest.approx(tried, rel=1e-9)


def test_the_gap_is_first_order_in_the_step() -> None:
    for x in (0.0, 1e-300, 1e-13, 1e-9, 1e-6, 1e-3):
        gap = flow_gap(1.0, x)
        assert gap.first_order == x / (2 * math.e)
        assert gap.exact == pytest.approx(gap.first_order, rel=2 * x + 1e-9, abs=0)
    assert flow_gap(1.0, 0.2).exact > 1.05 * flow_gap(1.0, 0.2).first_order
    assert flow_gap(1.0, 2.1).exact == math.inf
    assert flow_gap(1.0, -0.1).exact == math.inf


def test_the_gap_bounds_what_two_modes_do() -> None:
    H = torch.diag(torch.tensor([3.0, 1.0], dtype=FLOAT))
    lr, steps = 0.05, torch.arange(400, dtype=FLOAT)
    descent = gradient_descent(H, torch.ones(2, dtype=FLOAT), lr, steps)
    flow = gradient_flow(H, torch.ones(2, dtype=FLOAT), lr * steps)
    largest = (descent - flow).abs().max(dim=0).values
    for i, eigenvalue in enumerate((3.0, 1.0)):
        assert largest[i].item() == pytest.approx(flow_gap(lr, eigenvalue).exact, rel=1e-10)


# --- what is refused --------------------------------------------------------------------------------


def test_wrong_arguments_are_named() -> None:
    model = Linear()
    H, u0 = model.H, model.u0
    with pytest.raises(KernelError, match=r"u0 has the shape \(1, 6\); it must be \(6,\)"):
        gradient_flow(H, u0[None], 1.0)
    with pytest.raises(KernelError, match="reduction='mean' it must be the number"):
        gradient_flow(H, u0, 1.0, reduction="mean")
    with pytest.raises(KernelError, match="did you mean mean"):
        max_step([1.0], "meen")  # type: ignore[arg-type]
    with pytest.raises(KernelError, match="go together"):
        gradient_flow(H, u0, 1.0, H_xt=model.H_xt)
    with pytest.raises(KernelError, match=r"H_xt has the shape \(6, 4\)"):
        gradient_flow(H, u0, 1.0, H_xt=model.H_xt.T, f0_x=model.f0_x)
    with pytest.raises(KernelError, match=r"f0_x has the shape \(6,\); it must be \(4,\)"):
        gradient_flow(H, u0, 1.0, H_xt=model.H_xt, f0_x=u0)
    with pytest.raises(KernelError, match=r"t has the shape \(2, 2\)"):
        gradient_flow(H, u0, torch.ones(2, 2))
    for steps in (-1, [1.5]):
        with pytest.raises(KernelError, match="integers from 0 on"):
            gradient_descent(H, u0, 0.1, steps)  # type: ignore[arg-type]
    with pytest.raises(KernelError, match="ridge -1"):
        kernel_regression(H, model.H_xt, None, model.y, -1.0)
    with pytest.raises(KernelError, match="not symmetric"):
        gradient_flow(H + torch.ones(N, N).triu(1), u0, 1.0)


def test_non_finite_numbers_are_named() -> None:
    model = Linear()
    broken = model.u0.clone()
    broken[2] = math.nan
    with pytest.raises(NonFiniteError, match="u0"):
        gradient_flow(model.H, broken, 1.0)
    with pytest.raises(NonFiniteError, match="kernel"):
        gradient_flow(model.H * math.inf, model.u0, 1.0)
    with pytest.raises(NonFiniteError, match="lr nan"):
        gradient_descent(model.H, model.u0, math.nan, 1)
    with pytest.raises(NonFiniteError, match="H_xt"):
        gradient_flow(model.H, model.u0, 1.0, H_xt=model.H_xt * math.nan, f0_x=model.f0_x)
