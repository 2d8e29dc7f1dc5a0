"""L-BFGS near a minimum, where every step is short: against a minimum in closed form, and against torch."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nnlab.training.optimizers import LBFGS, Optimizer, build_optimizer


def valley(size: float, dtype: torch.dtype = torch.float64) -> tuple[nn.Linear, Callable[[], Tensor], Tensor]:
    """size · ½(w − w*)ᵀA(w − w*) with eigenvalues of A from 1 to 1e4; its model, the function, and w*."""
    random = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 20, generator=random, dtype=torch.float64))[0]
    a = (basis * torch.logspace(0, 4, 20, dtype=torch.float64) @ basis.T).to(dtype)
    minimum = torch.randn(20, generator=random, dtype=torch.float64).to(dtype)
    model = nn.Linear(20, 1, bias=False).to(dtype)
    nn.init.zeros_(model.weight)

    def function() -> Tensor:
        away = model.weight[0] - minimum
        return size / 2 * (away @ a @ away)

    return model, function, minimum


def descend(optimizer: Optimizer, function: Callable[[], Tensor], calls: int) -> None:
    def closure() -> float:
        optimizer.zero_grad()
        loss = function()
        loss.backward()
        return loss.item()

    for _ in range(calls):
        optimizer.step(closure)


def distance(size: float, short_steps: bool) -> float:
    model, function, minimum = valley(size)
    descend(build_optimizer("lbfgs", model, short_steps=short_steps), function, 40)
    return float((model.weight[0] - minimum).norm().detach())


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-10, 1e-14])
def test_the_size_of_an_objective_is_no_matter(size: float) -> None:
    assert distance(size, short_steps=True) < 1e-7
    if size < 1e-8:
        assert distance(size, short_steps=False) > 1e-3  # torch's does not get there


def test_long_steps_are_those_of_torch_to_the_last_bit() -> None:
    weights = []
    for short_steps in (True, False):
        model, function, _ = valley(1.0)
        descend(build_optimizer("lbfgs", model, short_steps=short_steps, iterations=3), function, 6)
        weights.append(model.weight.detach().clone())
        assert function().item() > 1e-4
    assert torch.equal(*weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_goes_on_from_a_checkpoint_to_the_last_bit(dtype: torch.dtype) -> None:
    model, function, _ = valley(1e-9, dtype)
    optimizer = build_optimizer("lbfgs", model, iterations=4)
    descend(optimizer, function, 6)
    assert isinstance(optimizer, LBFGS)
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["scale"] > 1
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    descend(optimizer, function, 3)

    file.seek(0)
    stored = torch.load(file, weights_only=True)
    again, same, _ = valley(1e-9, dtype)
    again.load_state_dict(stored["model"])
    resumed = build_optimizer("lbfgs", again, iterations=4)
    resumed.load_state_dict(stored["optimizer"])
    descend(resumed, same, 3)
    assert torch.equal(again.weight, model.weight)
    assert bool(torch.isfinite(again.weight).all())


def test_at_the_minimum_it_stays() -> None:
    model, function, minimum = valley(1.0)
    with torch.no_grad():
        model.weight.copy_(minimum)
    descend(build_optimizer("lbfgs", model), function, 3)
    assert torch.equal(model.weight[0], minimum)
