"""Full-batch gradient descent against a loop by hand, its closed form, and what it does with infinity."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from nnlab.errors import Interrupted
from nnlab.training.descent import follow
from nnlab.training.losses import squared_error

FLOAT = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT)


def linear(w: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return x @ w["W"].T + w["b"]


def test_a_network_against_a_loop_by_hand() -> None:
    """Two layers with tanh; the gradients are written out, as on the lecture's slides."""
    x, y = draw(7, 3), draw(7, 2, seed=1)
    start = {"V": draw(4, 3, seed=2), "W": draw(2, 4, seed=3)}
    found = follow(
        lambda w, x: torch.tanh(x @ w["V"].T) @ w["W"].T,
        start, x, lambda f: squared_error(f, y, "mean"), lr=0.3, steps=6,
    )  # fmt: skip
    V, W = start["V"].clone(), start["W"].clone()
    for step in range(7):
        h = torch.tanh(x @ V.T)
        torch.testing.assert_close(found.outputs[step], h @ W.T, rtol=1e-12, atol=1e-13)
        if step < 6:
            g = (h @ W.T - y) / 7  # ∂L/∂f
            V, W = V - 0.3 * ((g @ W) * (1 - h**2)).T @ x, W - 0.3 * g.T @ h
    torch.testing.assert_close(found.parameters, {"V": V, "W": W}, rtol=1e-12, atol=1e-13)
    assert found.diverged is None


@pytest.mark.parametrize("lr", [0.01, 0.05, 0.5])
def test_a_linear_model_against_its_closed_form(lr: float) -> None:
    """u_k = (I − ηH)ᵏ u₀ with H = (x xᵀ + 1) ⊗ I, by powers of the matrix; at 0.5 it grows."""
    x, y = draw(5, 3), draw(5, 2, seed=1)
    start = {"W": draw(2, 3, seed=2), "b": draw(2, seed=3)}
    found = follow(linear, start, x, lambda f: squared_error(f, y, "sum"), lr=lr, steps=9)
    step = torch.eye(5, dtype=FLOAT) - lr * (x @ x.T + 1)
    for k, outputs in enumerate(found.outputs):
        expected = torch.linalg.matrix_power(step, k) @ (linear(start, x) - y)
        torch.testing.assert_close(outputs - y, expected, rtol=1e-10, atol=1e-12)


def test_start_is_left_as_it_is_and_no_step_is_the_start() -> None:
    x, y = draw(5, 3), draw(5, 2, seed=1)
    start = {"W": draw(2, 3, seed=2).requires_grad_(), "b": draw(2, seed=3)}
    before = {name: value.detach().clone() for name, value in start.items()}
    found = follow(linear, start, x, lambda f: squared_error(f, y, "sum"), lr=0.1, steps=0)
    assert torch.equal(found.outputs, linear(before, x)[None])
    follow(linear, start, x, lambda f: squared_error(f, y, "sum"), lr=0.1, steps=5)
    assert all(torch.equal(start[name], before[name]) for name in start)
    assert start["W"].grad is None
    assert not any(value.requires_grad for value in found.parameters.values())
    assert not found.outputs.requires_grad


def test_observer_sees_every_step_with_its_weights() -> None:
    x, y = draw(5, 3), draw(5, 2, seed=1)
    seen: list[tuple[int, Tensor]] = []
    found = follow(
        linear, {"W": draw(2, 3, seed=2), "b": draw(2, seed=3)}, x, lambda f: squared_error(f, y, "sum"),
        lr=0.01, steps=4, observe=lambda step, w: seen.append((step, linear(w, x).detach())),
    )  # fmt: skip
    assert [step for step, _ in seen] == [0, 1, 2, 3, 4]
    assert torch.equal(torch.stack([outputs for _, outputs in seen]), found.outputs)


def test_a_parameter_that_does_nothing_stays() -> None:
    start = {"W": draw(2, 3), "b": draw(2, seed=1), "unused": draw(4, seed=2)}
    found = follow(linear, start, draw(5, 3), lambda f: f.square().sum(), lr=0.01, steps=3)
    assert torch.equal(found.parameters["unused"], start["unused"])
    assert not torch.equal(found.parameters["W"], start["W"])


# --- infinity ---------------------------------------------------------------------------------------


def square(w: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return w["w"] ** 2 * x


def test_divergence_is_found_at_its_step_and_nan_follows() -> None:
    """½Σ(w²)² over 3 points: w ← w − 6ηw³ from 1, by hand in Python's floats, whose overflow is an error."""
    x, start = torch.ones(3, 1, dtype=FLOAT), {"w": torch.ones(1, dtype=FLOAT)}
    observed: list[int] = []
    found = follow(
        square, start, x, lambda f: f.square().sum() / 2, lr=10.0, steps=12,
        observe=lambda step, w: observed.append(step),
    )  # fmt: skip
    w, losses = 1.0, []
    for _ in range(13):
        try:
            losses.append(1.5 * w**4)
            w -= 10.0 * 6 * w**3
        except OverflowError:
            break
    assert found.diverged == len(losses)
    assert observed == list(range(found.diverged))
    assert found.outputs.shape == (13, 3, 1)
    assert torch.isfinite(found.outputs[: found.diverged]).all()
    assert torch.isnan(found.outputs[found.diverged + 1 :]).all()


def test_a_loss_that_overflows_before_the_outputs_has_diverged() -> None:
    found = follow(
        lambda w, x: w["w"] * x,
        {"w": torch.full((1,), 1e200, dtype=FLOAT)}, torch.ones(2, 1, dtype=FLOAT),
        lambda f: f.square().sum(), lr=0.1, steps=3,
    )  # fmt: skip
    assert found.diverged == 0
    assert found.outputs[0].tolist() == [[1e200], [1e200]]
    assert torch.isnan(found.outputs[1:]).all()


def test_a_start_that_is_not_finite() -> None:
    start = {"w": torch.tensor([math.nan], dtype=FLOAT)}
    found = follow(square, start, torch.ones(2, 1, dtype=FLOAT), lambda f: f.sum(), lr=0.1, steps=2)
    assert found.diverged == 0
    assert torch.isnan(found.outputs).all()


def test_float32_stays_float32() -> None:
    found = follow(
        square, {"w": torch.ones(1)}, torch.ones(2, 1), lambda f: f.square().sum() / 2, lr=0.01, steps=2
    )
    assert found.outputs.dtype == found.parameters["w"].dtype == torch.float32


def test_it_stops_when_asked() -> None:
    answers = iter([False, False, True])
    with pytest.raises(Interrupted, match="interrupted at step 2 of 5"):
        follow(
            square, {"w": torch.ones(1)}, torch.ones(2, 1), lambda f: f.sum(), lr=0.1, steps=5,
            stop=lambda: next(answers),
        )  # fmt: skip
