"""The maximal update parameterization, against its definition written with plain layers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnlab.errors import InputError
from nnlab.models import MLP, layer_multipliers
from nnlab.ntk import KernelError, infinite_ntk
from nnlab.training.optimizers import base_lr, build_optimizer


def network(width: int | list[int], **arguments: Any) -> MLP:
    hidden = [width, width] if isinstance(width, int) else width
    generator = torch.Generator().manual_seed(3)
    return MLP(5, hidden, 2, "tanh", generator=generator, **arguments).double()


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> Tensor:
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    with torch.no_grad():
        outputs: Tensor = model(x)
    return outputs


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_at_the_base_width_it_is_standard(optimizer: str) -> None:
    models = [
        network(24, parameterization="standard"),
        network(24, parameterization="mup", base_width=24),
    ]
    standard, mup = (trained(model, build_optimizer(optimizer, model, lr=0.01)) for model in models)
    torch.testing.assert_close(mup, standard, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("hidden", [[32, 32], [16, 48], [40]])
def test_effective_step_sizes_of_the_layers(name: str, hidden: list[int]) -> None:
    """Plain layers with the weights aW + cb and, layer by layer, the step sizes of Yang et al., table 3.

    SGD: the input layer and biases times fan_out, hidden layers times 1, the output layer over fan_in. Adam:
    the input layer and biases times 1, the others over fan_in. All relative to the base width.
    """
    base, lr = 8, 0.002
    mup = network(hidden, parameterization="mup", base_width=base, sigma_b=0.3)
    layers = [*mup.hidden, mup.output]
    plain: list[nn.Module] = []
    groups: list[dict[str, Any]] = []
    for index, layer in enumerate(layers):
        a, c = layer_multipliers(layer)
        copy = nn.Linear(layer.in_features, layer.out_features).double()
        with torch.no_grad():
            copy.weight.copy_(a * layer.weight)
            copy.bias.copy_(c * layer.bias)
        first, last = index == 0, index == len(layers) - 1
        fan_in, fan_out = copy.in_features / base, copy.out_features / base
        if name == "sgd":
            weight = 1 / fan_in if last else fan_out if first else fan_out / fan_in
            bias = 1.0 if last else fan_out
        else:
            weight, bias = 1.0 if first else 1 / fan_in, 1.0
        plain += [copy] if last else [copy, nn.Tanh()]
        groups += [{"params": [copy.weight], "lr": lr * weight}, {"params": [copy.bias], "lr": lr * bias}]
    expected_model = nn.Sequential(*plain)
    optimizer = (
        torch.optim.SGD(groups, lr=lr) if name == "sgd" else torch.optim.Adam(groups, lr=lr, eps=1e-14)
    )
    expected = trained(expected_model, optimizer)
    measured = trained(mup, _with_small_eps(build_optimizer(name, mup, lr=lr)))
    torch.testing.assert_close(measured, expected, rtol=1e-6, atol=1e-7)


def _with_small_eps(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Adam's ε stands beside the gradient, whose size the multipliers change."""
    for group in optimizer.param_groups:
        if "eps" in group:
            group["eps"] = 1e-14
    return optimizer


def test_the_start_of_each_layer() -> None:
    model = network([400, 300], parameterization="mup", base_width=100, sigma_w=1.5, sigma_b=0.5)
    layers = [*model.hidden, model.output]
    deviations = [1.5 / math.sqrt(5), 1.5 / math.sqrt(400), 1.5 / math.sqrt(300 * 3)]
    for layer, deviation in zip(layers, deviations, strict=True):
        a, c = layer_multipliers(layer)
        assert float((a * layer.weight).detach().std()) == pytest.approx(deviation, rel=0.1)
        if len(layer.bias) > 2:
            assert float((c * layer.bias).detach().std()) == pytest.approx(0.5, rel=0.15)


def test_adamw_takes_the_same_share_of_every_matrix() -> None:
    model = network([32, 32], parameterization="mup", base_width=8)
    optimizer = build_optimizer("adamw", model, lr=0.1, weight_decay=0.5)
    shares = {group["lr"] * group["weight_decay"] for group in optimizer.param_groups}
    assert all(share == pytest.approx(0.05) for share in shares - {0.0})
    assert base_lr(optimizer) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["muon", "lbfgs"])
def test_optimizers_without_a_scaling_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="mup"):
        build_optimizer(name, network(8, parameterization="mup"), lr=0.1)


def test_its_kernel_has_no_limit() -> None:
    x = torch.eye(5, dtype=torch.float64)
    with pytest.raises(KernelError, match="mup"):
        infinite_ntk(network(8, parameterization="mup"), x)
