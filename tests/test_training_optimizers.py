"""Optimizers against their update formulas, schedules against theirs."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from nnlab.models import weight_matrices
from nnlab.training.optimizers import build_optimizer, schedule


def quadratic(model: nn.Linear) -> torch.Tensor:
    """½ Σ aᵢ wᵢ² + b²: a known gradient, aᵢ wᵢ and 2b."""
    a = torch.tensor([[1.0, 2.0, 3.0]], dtype=model.weight.dtype)
    return 0.5 * (a * model.weight**2).sum() + (model.bias**2).sum()


def steps(name: str, count: int, **arguments: float | bool) -> nn.Linear:
    model = nn.Linear(3, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
        model.bias.fill_(0.7)
    optimizer = build_optimizer(name, model, **arguments)

    def closure() -> float:
        optimizer.zero_grad()
        loss = quadratic(model)
        loss.backward()
        return loss.item()

    for _ in range(count):
        optimizer.step(closure)
    return model


def test_gradient_descent() -> None:
    model = steps("sgd", 5, lr=0.1)
    for a, w0, w in zip([1, 2, 3], [1.0, -2.0, 0.5], model.weight.flatten().tolist(), strict=True):
        assert w == pytest.approx(w0 * (1 - 0.1 * a) ** 5, rel=1e-12)
    assert model.bias.item() == pytest.approx(0.7 * 0.8**5, rel=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(nesterov: bool) -> None:
    """v ← μv + g, then w ← w − ηv, with Nesterov w ← w − η(g + μv)."""
    model = steps("sgd", 4, lr=0.1, momentum=0.9, nesterov=nesterov)
    w, v = 1.0, 0.0
    for _ in range(4):
        g = w
        v = 0.9 * v + g
        w -= 0.1 * (g + 0.9 * v if nesterov else v)
    assert model.weight[0, 0].item() == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw(decay: float) -> None:
    name = "adamw" if decay else "adam"
    model = steps(name, 3, lr=0.01, **({"weight_decay": decay} if decay else {}))
    for start, curvature, decayed, found in (
        (1.0, 1.0, decay, model.weight[0, 0]),
        (0.7, 2.0, 0.0, model.bias[0]),
    ):
        w, m, v = start, 0.0, 0.0
        for t in range(1, 4):
            g = curvature * w
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w *= 1 - 0.01 * decayed
            w -= 0.01 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        assert found.item() == pytest.approx(w, rel=1e-9)


def test_lbfgs_minimizes_a_quadratic_in_a_few_steps() -> None:
    model = steps("lbfgs", 2, lr=1.0)
    assert quadratic(model).item() < 1e-20


def test_muon_moves_matrices_by_nearly_orthogonal_steps() -> None:
    """The update's singular values are near 1, up to the rectangle's scale; biases go by Nesterov SGD."""
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    before = model.weight.detach().clone()
    bias = model.bias.detach().clone()
    optimizer = build_optimizer("muon", model, lr=0.1, momentum=0.9, other_lr=0.5)
    x = torch.randn(16, 8)

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    moved = (before - model.weight.detach()) / 0.1
    values = torch.linalg.svdvals(moved)
    assert float(values.min()) > 0.5 * float(values.max())
    assert model.bias.grad is not None
    torch.testing.assert_close(bias - model.bias.detach(), 0.5 * 1.9 * model.bias.grad)


def test_muon_state_goes_through_a_checkpoint() -> None:
    def made() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        return model, build_optimizer("muon", model, lr=0.1, momentum=0.9)

    def step(model: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = made()
    step(model, optimizer)
    other, restored = made()
    other.load_state_dict(model.state_dict())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in restored.param_groups:  # a schedule must reach the restored parts
        group["lr"] *= 0.5
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    step(model, optimizer)
    step(other, restored)
    torch.testing.assert_close(model.weight, other.weight, rtol=0, atol=0)
    torch.testing.assert_close(model.bias, other.bias, rtol=0, atol=0)


def one_step(model: nn.Module, x: torch.Tensor, **arguments: Any) -> torch.optim.Optimizer:
    optimizer = build_optimizer("muon", model, **{"lr": 0.1, "momentum": 0.9} | arguments)
    optimizer.zero_grad()
    model(x).square().sum().backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_takes_filters_as_matrices(layout: torch.memory_format) -> None:
    """One row a map, in either memory layout: the step is orthogonal, and the same."""
    torch.manual_seed(0)
    model = nn.Conv2d(3, 8, 3).to(memory_format=layout)
    before = model.weight.detach().clone()
    x = torch.randn(4, 3, 6, 6)
    one_step(model, x)
    moved = (before - model.weight.detach()).flatten(1) / 0.1  # (8, 27)
    values = torch.linalg.svdvals(moved)
    assert 0.5 < float(values.min()) < float(values.max()) < 1.5
    # The direction is that of the nearest semi-orthogonal matrix, U Vᵀ of the gradient.
    assert model.weight.grad is not None
    u, _, vh = torch.linalg.svd(model.weight.grad.flatten(1).double(), full_matrices=False)
    cosine = float((moved.double() * (u @ vh)).sum() / moved.double().norm() / (u @ vh).norm())
    assert cosine > 0.97


def test_unit_filters_keep_their_norm_up_to_the_step() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(3, 16, 3)
    direction = model.weight.detach() / model.weight.detach().norm()
    one_step(model, torch.randn(2, 3, 5, 5), lr=1e-6, unit_filters=True)
    torch.testing.assert_close(model.weight.detach(), 4 * direction, atol=1e-5, rtol=1e-5)


def test_a_head_of_its_own_goes_by_sgd() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    layer = model[2]
    assert isinstance(layer, nn.Linear)
    head, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = one_step(
        model, torch.randn(3, 4), head_lr=0.25, other_lr=0.125, other_momentum=0.5, other_decay=0.01
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.25, 0.125]
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    head_step = 0.25 * 1.5 * layer.weight.grad + 0.01 * 1.5 * head
    torch.testing.assert_close(head - layer.weight.detach(), head_step)
    torch.testing.assert_close(bias - layer.bias.detach(), 0.125 * 1.5 * layer.bias.grad + 0.015 * bias)


def test_frozen_weights_stay_and_are_no_matter_of_muon_or_a_penalty() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 2))
    frozen = model[0].weight
    assert isinstance(frozen, torch.Tensor)
    before = frozen.requires_grad_(False).clone()
    one_step(model, torch.randn(3, 1, 3, 3))
    assert torch.equal(frozen, before)
    assert weight_matrices(model) == [model[2].weight]


def test_schedules() -> None:
    constant = schedule("constant", total=10, warmup=4)
    assert [constant(k) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    linear = schedule("linear", total=11, final=0.1)
    assert linear(0) == 1.0
    assert linear(5) == pytest.approx(0.55)
    assert linear(10) == pytest.approx(0.1)
    cosine = schedule("cosine", total=9, warmup=0, final=0.2)
    assert cosine(0) == 1.0
    assert cosine(4) == pytest.approx(0.6)
    assert cosine(8) == pytest.approx(0.2)
    step = schedule("step", total=100, every=10, factor=0.5)
    assert [step(k) for k in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]
    assert schedule("cosine", total=1)(0) == 1.0
