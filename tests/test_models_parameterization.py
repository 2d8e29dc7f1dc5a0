"""The two parameterizations: variances of the start, the same functions, different gradients."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnlab.errors import InputError
from nnlab.models import MLP, ScaledLinear, get_activation, layer_multipliers
from nnlab.models.parameterization import DEFAULT_SIGMA_B, linear_layer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def assert_normal(values: Tensor, std: float) -> None:
    """Mean, variance and fourth moment within 5 standard errors of those of N(0, std²)."""
    z, n = values.detach().double().flatten() / std, values.numel()
    assert abs(z.mean()) < 5 * math.sqrt(1 / n)
    assert abs((z**2).mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)  # Var z⁴ = E z⁸ − 9 = 105 − 9


@pytest.mark.parametrize("sigma_w", [0.5, 1.7])
@pytest.mark.parametrize(
    ("parameterization", "weight_std", "bias_std"),
    [("standard", lambda sigma_w: sigma_w / math.sqrt(300), 0.3), ("ntk", lambda _: 1.0, 1.0)],
)
def test_initial_variances_are_those_of_the_table(
    parameterization: str, weight_std: Callable[[float], float], bias_std: float, sigma_w: float
) -> None:
    layer = linear_layer(
        300,
        400,
        bias=True,
        parameterization=parameterization,
        sigma_w=sigma_w,
        sigma_b=0.3,
        generator=seeded(),
    )
    assert_normal(layer.weight, weight_std(sigma_w))
    assert_normal(layer.bias, bias_std)
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["relu", "tanh", "maxout"])
def test_default_sigmas(name: str) -> None:
    gain = get_activation(name, 3).gain
    standard = MLP(200, [300], 400, name, pieces=3, generator=seeded())
    for layer, fan_in in zip(linears(standard), (200, 300), strict=True):
        assert_normal(layer.weight, gain / math.sqrt(fan_in))
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    ntk = MLP(200, [300], 400, name, pieces=3, parameterization="ntk", generator=seeded())
    assert [layer_multipliers(layer) for layer in linears(ntk)] == [
        (gain / math.sqrt(200), 0.1),
        (gain / math.sqrt(300), 0.1),
    ]


def test_default_sigma_w_without_hidden_layer_is_one() -> None:
    assert_normal(MLP(400, [], 300, "relu", generator=seeded()).output.weight, 1 / 20)


@pytest.mark.parametrize("hidden", [[], [5], [7, 3]])
@pytest.mark.parametrize("bias", [True, False])
def test_one_seed_gives_one_function_in_both(hidden: list[int], bias: bool) -> None:
    """The same draws enter both: W of standard is a·W of ntk, so the networks are the same function."""
    sigmas: dict[str, Any] = {"sigma_w": 1.3, "sigma_b": 0.4}
    standard, ntk = (
        MLP(6, hidden, 4, "tanh", bias=bias, parameterization=name, generator=seeded(3), **sigmas).double()
        for name in ("standard", "ntk")
    )
    x = torch.randn(9, 6, dtype=torch.float64, generator=seeded(4))
    torch.testing.assert_close(standard(x), ntk(x), rtol=1e-5, atol=1e-6)  # draws are scaled in float32

    for plain, scaled in zip(linears(standard), linears(ntk), strict=True):
        a, c = layer_multipliers(scaled)
        assert layer_multipliers(plain) == (1.0, 1.0)
        with torch.no_grad():
            plain.weight.copy_(a * scaled.weight)
            if bias:
                plain.bias.copy_(c * scaled.bias)
    torch.testing.assert_close(standard(x), ntk(x), rtol=1e-12, atol=1e-13)

    standard(x).square().sum().backward()
    ntk(x).square().sum().backward()
    for plain, scaled in zip(linears(standard), linears(ntk), strict=True):
        a, c = layer_multipliers(scaled)
        assert plain.weight.grad is not None
        torch.testing.assert_close(scaled.weight.grad, a * plain.weight.grad)
        if bias:
            assert plain.bias.grad is not None
            torch.testing.assert_close(scaled.bias.grad, c * plain.bias.grad)


@pytest.mark.parametrize("parameterization", ["standard", "ntk"])
def test_output_variance_over_starts(parameterization: str) -> None:
    """E f(x)² of a ReLU network follows the recursion q ↦ σ_w² q/2 + σ_b², at every finite width."""
    sigma_w, sigma_b, x = 1.2, 0.5, torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    generator, outputs = seeded(5), []
    for _ in range(300):
        model = MLP(3, [40], 20, parameterization=parameterization, sigma_w=sigma_w, sigma_b=sigma_b,
                    generator=generator).double()  # fmt: skip
        with torch.no_grad():
            outputs.append(model(x).square().mean())  # the mean over 20 outputs: one sample per start
    first = sigma_w**2 * x.square().mean().item() + sigma_b**2
    predicted = sigma_w**2 * first / 2 + sigma_b**2
    samples = torch.stack(outputs)
    assert abs(samples.mean() - predicted) < 4 * samples.std() / math.sqrt(len(samples))
    assert samples.std() / math.sqrt(len(samples)) < 0.03 * predicted  # sharp enough to tell σ_b² apart


def test_scaled_linear_takes_inputs_of_any_shape() -> None:
    layer = ScaledLinear(3, 2, dtype=torch.float64, weight_multiplier=0.25, bias_multiplier=3.0)
    x = torch.randn(4, 5, 3, dtype=torch.float64, generator=seeded())
    expected = torch.einsum("abi,oi->abo", x, 0.25 * layer.weight) + 3.0 * layer.bias
    torch.testing.assert_close(layer(x), expected)
    assert isinstance(layer, nn.Linear)
    assert "weight_multiplier=0.25, bias_multiplier=3" in repr(layer)


@pytest.mark.parametrize("parameterization", DEFAULT_SIGMA_B)
def test_weights_do_not_depend_on_the_sigma_of_biases(parameterization: str) -> None:
    with_noise, without = (
        MLP(4, [3], 2, parameterization=parameterization, sigma_w=1.0, sigma_b=sigma_b, generator=seeded(6))
        for sigma_b in (0.7, 0.0)
    )
    for noisy, quiet in zip(linears(with_noise), linears(without), strict=True):
        assert torch.equal(noisy.weight, quiet.weight)


@pytest.mark.parametrize("parameterization", DEFAULT_SIGMA_B)
def test_same_seed_same_start_whatever_the_ambient_state(parameterization: str) -> None:
    """Neither the global generator nor the default dtype has a say, and the global generator stays put."""
    torch.manual_seed(1)
    first = MLP(5, [4], 3, parameterization=parameterization, generator=seeded(7))
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        second = MLP(5, [4], 3, parameterization=parameterization, generator=seeded(7))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = MLP(5, [4], 3, parameterization=parameterization, generator=seeded(8))
    for a, b, c in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert b.dtype == torch.float32
        assert not torch.equal(a, c) or not a.any()
    for a, b in zip(first.parameters(), second.double().parameters(), strict=True):
        assert torch.equal(a.double(), b)


def test_unknown_parameterization() -> None:
    with pytest.raises(InputError, match=r"model\.parameterization: nkt is unknown; did you mean ntk\?"):
        MLP(2, [2], 2, parameterization="nkt", generator=seeded())
