"""The infinite-width kernels of modules: against wide networks, other ways to compute them, and in every
corner."""

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from nnlab.bench.plain_kernels import infinite_cnn
from nnlab.errors import InputError
from nnlab.models import ACTIVATION_NAMES, CNN, MLP, ActivationLayer, ScaledLinear, get_activation
from nnlab.ntk.errors import KernelError, MemoryLimitError
from nnlab.ntk.infinite import kernel as infinite
from nnlab.ntk.infinite import pair_steps
from nnlab.ntk.infinite.kernel import infinite_ntk

FLOAT = torch.float64
EPS = torch.finfo(FLOAT).eps


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# --- networks ---------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Blocks z + conv(φ(z)), with an average of all pixels: Gaussian all the way."""

    def __init__(self, m: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, m, 3, padding=1)
        self.convolutions = nn.ModuleList(nn.Conv2d(m, m, 3, padding=1) for _ in range(2))
        self.output = nn.Linear(m, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        for convolution in self.convolutions:
            z = z + 0.5 * convolution(F.relu(z))
        return self.output(torch.relu(z).mean((2, 3)))


class Branches(nn.Module):
    """φ(z) + φ(y) of independent z, y whose means do not vanish; z + χ(z); and z + z."""

    def __init__(self, m: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, m), nn.Linear(3, m)
        self.middle, self.last = nn.Linear(m, m), nn.Linear(m, m)
        self.output = nn.Linear(m, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.one(x)
        h = torch.relu(z) + F.leaky_relu(self.two(x), 0.3)
        y = self.middle(h)
        y = torch.tanh(y) - 0.5 * y
        z = self.last(y)
        return self.output(torch.sigmoid(z + z))


class Shared(nn.Module):
    """Sums of Gaussian fields that share one, before and between functions."""

    def __init__(self, m: int) -> None:
        super().__init__()
        self.one, self.two, self.output = nn.Linear(3, m), nn.Linear(m, m), nn.Linear(m, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.one(x)
        y = self.two(torch.relu(z)) + z
        return self.output(torch.relu(y) + torch.relu(z - 0.3 * y))


class Norms(nn.Module):
    """LayerNorm of a Gaussian field over maps, and of one that is none over features."""

    def __init__(self, m: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, m, 3)
        self.maps = nn.LayerNorm((m, 2, 3))
        self.second = nn.Conv2d(m, m, 2)
        self.features = nn.LayerNorm(2 * m)
        self.output = nn.Linear(2 * m, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.maps(self.convolution(x)))
        h = F.elu(self.second(h)).flatten(1)
        return self.output(self.features(h))


class Pooled(nn.Module):
    """Averages before and behind functions; strides and dilation."""

    def __init__(self, m: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, m, (3, 2), padding="same", dilation=(1, 2))
        self.two = nn.Conv2d(m, m, 3, stride=2, padding=1, bias=False)
        self.output = nn.Linear(m, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = F.avg_pool2d(self.one(x), 2, stride=1, padding=1, count_include_pad=False)
        h = F.avg_pool2d(F.relu(z), (2, 3), (1, 2))
        return self.output(torch.erf(self.two(h)).mean(dim=2).flatten(1))


def dense(phi: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    return lambda m: nn.Sequential(nn.Linear(3, m), phi(), nn.Linear(m, m), phi(), nn.Linear(m, 4))


class Sine(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.sin(z)


# A network by its width, the shape of an example, and σ_w.
NETWORKS: dict[str, tuple[Callable[[int], nn.Module], tuple[int, ...], float]] = {
    "tanh": (dense(nn.Tanh), (3,), 1.4),
    "leaky_relu": (dense(lambda: nn.LeakyReLU(0.2)), (3,), 1.2),
    "ripple": (dense(lambda: ActivationLayer(get_activation("ripple"))), (3,), 1.2),
    "sine": (dense(Sine), (3,), 1.3),
    "norm": (
        lambda m: nn.Sequential(
            nn.Linear(3, m), nn.LayerNorm(m, elementwise_affine=False), nn.GELU(), nn.Linear(m, m),
            nn.LayerNorm(m), nn.LeakyReLU(0.1), nn.Linear(m, m), nn.SiLU(), nn.LayerNorm(m), nn.Linear(m, 4),
        ),
        (3,),
        1.4,
    ),
    "conv1d": (
        lambda m: nn.Sequential(
            nn.Conv1d(2, m, 3, stride=2, padding=2), nn.ReLU(), nn.Conv1d(m, m, 2, dilation=2), nn.ReLU(),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(m, 4),
        ),
        (2, 7),
        1.4,
    ),
    "flatten": (
        lambda m: nn.Sequential(
            nn.Conv2d(2, m, 3, padding=1), nn.ReLU(), nn.Conv2d(m, m, 3), nn.Dropout(0.3).eval(), nn.ReLU(),
            nn.Flatten(), nn.Linear(m * 6, 4),
        ),
        (2, 4, 5),
        1.4,
    ),
    "residual": (Residual, (2, 4, 3), 1.2),
    "branches": (Branches, (3,), 1.2),
    "shared": (Shared, (3,), 1.2),
    "norms": (Norms, (2, 4, 5), 1.4),
    "pooled": (Pooled, (2, 4, 5), 1.5),
}  # fmt: skip


def finite_kernels(
    model: nn.Module, x: Tensor, sigma_w: float, sigma_b: float, seed: int
) -> tuple[Tensor, Tensor]:
    """f(x) f(x')ᵀ/C and the tangent kernel of one random network, by autograd.

    Its plain parameters are σ/√fan_in times normal ones, in which the derivatives are taken.
    """
    random = torch.Generator().manual_seed(seed)
    scales, values = {}, {}
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, nn.LayerNorm):
            scales[name], values[name] = 1.0, parameter.detach().double().requires_grad_()
            continue
        weight = name.endswith("weight")
        scales[name] = sigma_w / math.sqrt(parameter[0].numel()) if weight else sigma_b
        noise = torch.randn(parameter.shape, dtype=FLOAT, generator=random)
        values[name] = (scales[name] * noise).requires_grad_()
    scores = functional_call(model, values, (x,))
    outputs = scores.shape[1]
    rows = []
    for score in scores[:, :2].T.flatten():
        gradients = torch.autograd.grad(score, list(values.values()), retain_graph=True)
        rows.append(torch.cat([g.flatten() * s for g, s in zip(gradients, scales.values(), strict=True)]))
    jacobians = torch.stack(rows).view(2, len(x), -1)
    tangent = (jacobians @ jacobians.transpose(1, 2)).mean(0)
    return (scores @ scores.T / outputs).detach(), tangent


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_what_networks_tend_to(name: str) -> None:
    """Means over seeds at widths m and 2m, extrapolated in 1/m, are within 3 standard errors of the limit.

    What is left is of order 1/m², below a thousandth at m = 48, where the standard error of Θ is some
    hundredths.
    """
    build, shape, sigma_w = NETWORKS[name]
    x = normal(3, *shape)
    limits = infinite_ntk(build(48), x, sigma_w=sigma_w, sigma_b=0.4)
    means, variances = [], []
    for m in (48, 96):
        model = build(m)
        found = [finite_kernels(model, x, sigma_w, 0.4, seed) for seed in range(150)]
        samples = [torch.stack(kernels) for kernels in zip(*found, strict=True)]
        means.append([kernel.mean(0) for kernel in samples])
        variances.append([kernel.var(0).sum() / len(kernel) for kernel in samples])
    for k, limit in enumerate(limits):
        standard_error = (4 * variances[1][k] + variances[0][k]).sqrt()
        assert (2 * means[1][k] - means[0][k] - limit).norm() < 3 * standard_error
        assert standard_error < (0.25, 0.07)[k] * limit.norm()


# --- against other ways to compute them -------------------------------------------------------------


def force_pairwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes dense chains through the program for all other networks, too."""
    monkeypatch.setattr(infinite, "_chain", lambda node: None)


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("hidden", [[], [5], [4, 6, 5]])
def test_an_mlp_is_the_form_by_depth(
    activation: str, hidden: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = normal(9, 4), torch.cat([normal(3, 4, seed=1), -normal(9, 4)])
    sigmas: dict[str, Any] = {"sigma_w": 1.3, "sigma_b": 0.2}
    model = MLP(4, hidden, 2, activation, parameterization="ntk", generator=generator(), **sigmas)
    known: dict[str, Any] = {"depth": len(hidden), "activation": activation, **sigmas}
    for examples in ((x,), (x, y)):
        expected = infinite_ntk(*examples, **known)
        for one, two in zip(infinite_ntk(model, *examples), expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-14, atol=1e-14)
        with monkeypatch.context() as patch:
            force_pairwise(patch)
            for one, two in zip(infinite_ntk(model, *examples), expected, strict=True):
                torch.testing.assert_close(one, two, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("phi", [nn.ReLU, lambda: nn.LeakyReLU(0.3)])
@pytest.mark.parametrize("turn", [0.0, 1e-9, 1e-6, 1e-3])
def test_nearly_equal_examples_keep_their_digits(
    phi: Callable[[], nn.Module], turn: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half squared distances against angles, whose error is a few ε; in c it would be √ε = 10⁻⁸."""
    x = torch.tensor([[1.0, 0.5], [math.cos(turn), 0.5 + math.sin(turn)]], dtype=FLOAT)
    model = nn.Sequential(nn.Linear(2, 3), phi(), nn.Linear(3, 3), phi(), nn.Linear(3, 1))
    expected = infinite_ntk(model, x)
    force_pairwise(monkeypatch)
    for one, two in zip(infinite_ntk(model, x), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=0)


def convolutional(depth: int, pooling: bool, size: int, bias: bool = True) -> nn.Module:
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Conv2d(4 if k else 3, 4, 3, padding=1, bias=bias), nn.ReLU()]
    pool = [nn.AdaptiveAvgPool2d(1)] if pooling else []
    return nn.Sequential(*layers, *pool, nn.Flatten(), nn.Linear(4 if pooling else 4 * size, 2, bias=bias))


@pytest.mark.parametrize("pooling", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions_against_plain_numpy(pooling: bool, bias: bool) -> None:
    x, y = normal(3, 3, 6, 5), normal(2, 3, 6, 5, seed=1)
    found = infinite_ntk(convolutional(3, pooling, 30, bias), x, y, sigma_w=1.3, sigma_b=0.3)
    expected = infinite_cnn(x.numpy(), y.numpy(), 3, 1.3, 0.3 if bias else 0.0, pooling)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), two, rtol=1e-12)


WINDOWS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (2, 1)},
    {"kernel_size": (2, 3), "dilation": (3, 2), "padding": (0, 3), "stride": (1, 2)},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 5, "padding": 4, "stride": 3},
]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_convolution_is_a_dense_layer_on_patches(window: dict[str, Any]) -> None:
    """Averaged over all pixels, over windows of 2 × 1 pixels, and pixel by pixel."""
    x, y = normal(3, 2, 7, 6), torch.cat([normal(2, 2, 7, 6, seed=1), normal(3, 2, 7, 6)[:1]])
    convolution = nn.Conv2d(2, 4, **window)
    height, width = convolution(x.float()).shape[2:]
    pixels = height * width
    patches = [F.unfold(z, **window).transpose(1, 2).flatten(0, 1) for z in (x, y)]
    kernels = [
        kernel.view(3, height, width, 3, height, width)
        for kernel in infinite_ntk(*patches, depth=1, sigma_w=1.2, sigma_b=0.3)
    ]
    half = height // 2  # the last row of an odd number is in no window
    windows = [
        kernel[:, : 2 * half, :, :, : 2 * half].reshape(3, half, 2, width, 3, half, 2, width).mean((2, 6))
        for kernel in kernels
    ]
    heads: list[tuple[list[nn.Module], list[Tensor]]] = [
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)], [k.mean((1, 2, 4, 5)) for k in kernels]),
        ([nn.Flatten(), nn.Linear(4 * pixels, 1)], [torch.einsum("ahwbhw->ab", k) / pixels for k in kernels]),
        (
            [nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(4 * half * width, 1)],
            [torch.einsum("ahwbhw->ab", k) / (half * width) for k in windows],
        ),
    ]
    for head, expected in heads:
        model = nn.Sequential(convolution, nn.ReLU(), *head)
        for one, two in zip(infinite_ntk(model, x, y, sigma_w=1.2, sigma_b=0.3), expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-13)


def test_padding_named_same_is_that_many_zeros() -> None:
    x = normal(3, 2, 6, 5)
    both = [
        nn.Sequential(
            nn.Conv2d(2, 3, (3, 5), dilation=(2, 1), padding=p), nn.ReLU(), nn.Flatten(), nn.Linear(90, 1)
        )
        for p in ("same", (2, 2))
    ]
    for one, two in zip(*(infinite_ntk(model, x) for model in both), strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "norm", "residual", "branches", "norms", "pooled"])
def test_the_tangent_kernel_is_the_sum_of_its_layers(name: str) -> None:
    """Whose parameters alone require gradients, weights apart from biases."""
    build, shape, sigma_w = NETWORKS[name]
    model, x = build(3), normal(3, *shape)
    nngp, ntk = infinite_ntk(model, x, sigma_w=sigma_w)
    total = torch.zeros_like(ntk)
    parameters = list(model.parameters())
    for one in parameters:
        for other in parameters:
            other.requires_grad_(other is one)
        same, part = infinite_ntk(model, x, sigma_w=sigma_w)
        torch.testing.assert_close(same, nngp, rtol=1e-13, atol=1e-13)
        total += part
    torch.testing.assert_close(total, ntk, rtol=1e-12, atol=1e-12)


Forward = Callable[[Any, Tensor], Tensor]
"""Takes a module, whose layers it uses by their names, and examples."""


class Written(nn.Module):
    """A network whose forward is given."""

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._written = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._written(self, x)


def one_layer(forward: Forward) -> nn.Module:
    return Written(forward, a=nn.Linear(3, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 2))


EQUAL: dict[str, tuple[Forward, Forward]] = {
    "z + z is 2z": (lambda m, x: m.c((z := m.a(x)) + z), lambda m, x: m.c(2 * m.a(x))),
    "also in two steps": (lambda m, x: m.c(((z := m.a(x)) - 0.5 * z) + 0.5 * z), lambda m, x: m.c(m.a(x))),
    "relu(z) + relu(z)": (
        lambda m, x: m.c(torch.relu(z := m.a(x)) + F.relu(z)),
        lambda m, x: m.c(torch.relu(m.a(x)) * 2.0),
    ),
    "relu(z) - relu(-z) is z": (
        lambda m, x: m.c(torch.relu(z := m.a(x)) - torch.relu(-z)),
        lambda m, x: m.c(m.a(x)),
    ),
    "relu(z) + 0.3 (z - relu(z)) is leaky": (
        lambda m, x: m.c(torch.relu(z := m.a(x)) + 0.3 * (z - torch.relu(z))),
        lambda m, x: m.c(F.leaky_relu(m.a(x), 0.3)),
    ),
    "sigmoid is a tanh, but for its mean": (
        lambda m, x: m.c(torch.sigmoid(z := m.a(x)) - torch.sigmoid(-z)),
        lambda m, x: m.c(torch.tanh(0.5 * m.a(x))),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_sums_that_share_a_field(name: str) -> None:
    """The same function written in two ways."""
    x, y = normal(4, 3), normal(2, 3, seed=1)
    one, two = (infinite_ntk(one_layer(forward), x, y, sigma_w=1.2) for forward in EQUAL[name])
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def global_average(z: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(z, 1).flatten(1)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda z: z.flatten(1), lambda z: z.view(z.size(0), -1)),
        (lambda z: z.flatten(1), lambda z: z.reshape(z.shape[0], 6 * 20)),
        (global_average, lambda z: z.mean((2, 3))),
        (global_average, lambda z: z.mean(dim=-1).mean(-1)),
        (global_average, lambda z: z.flatten(2).mean(-1)),
        (global_average, lambda z: z.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1)),
        (
            lambda z: F.adaptive_avg_pool2d(z, (2, 5)).flatten(1),
            lambda z: F.avg_pool2d(z, (2, 1)).flatten(1),
        ),
        (
            lambda z: F.adaptive_avg_pool2d(z, (3, 2)).flatten(1),
            lambda z: torch.flatten(F.avg_pool2d(F.avg_pool2d(z, (2, 1), (1, 1)), (1, 3), (1, 2)), 1),
        ),
        (
            lambda z: torch.div(z, 2).flatten(1),
            lambda z: torch.flatten(F.dropout(0.5 * z, training=False), 1),
        ),
    ],
)
def test_ways_to_write_the_same_thing(
    one: Callable[[Tensor], Tensor], two: Callable[[Tensor], Tensor]
) -> None:
    x = normal(3, 2, 4, 5)
    found = []
    for head in (one, two):

        def forward(m: Any, x: Tensor, head: Callable[[Tensor], Tensor] = head) -> Tensor:
            return m.c(head(torch.relu(m.a(x))))

        features = head(torch.zeros(1, 6, 4, 5)).shape[1]
        model = Written(forward, a=nn.Conv2d(2, 6, 3, padding=1), c=nn.Linear(features, 1))
        found.append(infinite_ntk(model, x))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


def test_what_comes_before_the_first_weights_is_computed() -> None:
    """Any function of the input, also of what no field may go through."""
    x = normal(4, 2, 4, 4)
    model = Written(lambda m, x: m.a(torch.tanh(F.avg_pool2d(x, 2) * 3).flatten(1)), a=nn.Linear(8, 1))
    seen = torch.tanh(F.avg_pool2d(x, 2) * 3)
    for one, two in zip(infinite_ntk(model, x), infinite_ntk(seen, depth=0), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-13, atol=1e-13)


@pytest.mark.slow
def test_an_mlp_inside_a_module() -> None:
    x = normal(4, 3)
    for name in ("ripple", "leaky_relu"):
        model = MLP(3, [4, 4], 2, name, parameterization="ntk", generator=generator())
        for one, two in zip(infinite_ntk(nn.Sequential(model), x), infinite_ntk(model, x), strict=True):
            assert torch.equal(one, two)


def test_deep_networks_are_no_deeper_than_python_can_go() -> None:
    layers: list[nn.Module] = []
    for _ in range(400):
        layers += [nn.Linear(3, 3), nn.GELU()]
    nngp, _ = infinite_ntk(nn.Sequential(*layers, nn.Linear(3, 1)), normal(2, 3), sigma_b=0.0)
    assert torch.isfinite(nngp).all()


# --- σ_w and σ_b ------------------------------------------------------------------------------------


def test_sigmas_by_name_and_by_default() -> None:
    x = normal(4, 3)
    model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 5, bias=False), nn.GELU(), nn.Linear(5, 1))
    gain = get_activation("gelu").gain
    for given, full in (
        ({}, ((gain,) * 3, (0.1,) * 3)),
        ({"sigma_w": 1.5, "sigma_b": 0.3}, ((1.5,) * 3, (0.3,) * 3)),
        ({"sigma_w": {"2": 1.5}, "sigma_b": {"0": 0.0}}, ((gain, 1.5, gain), (0.0, 0.1, 0.1))),
    ):
        expected = scaled(model, *full)
        for one, two in zip(infinite_ntk(model, x, **given), infinite_ntk(expected, x), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-13, atol=1e-13)


def scaled(model: nn.Sequential, sigma_w: tuple[float, ...], sigma_b: tuple[float, ...]) -> nn.Module:
    """The same network in the ntk parameterization of nnlab."""
    layers: list[nn.Module] = []
    sigmas = zip(sigma_w, sigma_b, strict=True)
    for layer in model:
        if not isinstance(layer, nn.Linear):
            layers.append(layer)
            continue
        w, b = next(sigmas)
        n, m, bias = layer.in_features, layer.out_features, layer.bias is not None
        layers.append(ScaledLinear(n, m, bias, weight_multiplier=w / math.sqrt(n), bias_multiplier=b))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", [name for name in ACTIVATION_NAMES if name != "maxout"])
def test_the_gain_keeps_the_second_moment_1(name: str) -> None:
    """Of models of nnlab, and of layers of torch, by default."""
    x = normal(3, 4)
    x = 2 * x / x.norm(dim=1, keepdim=True)  # |x|²/d = 1
    gain = get_activation(name).gain
    model = MLP(4, [3, 3], 1, name, bias=False, parameterization="ntk", generator=generator())
    nngp, _ = infinite_ntk(model, x / gain)
    torch.testing.assert_close(nngp.diagonal(), torch.ones(3, dtype=FLOAT), rtol=1e-11, atol=0)


# --- blocks, memory, files --------------------------------------------------------------------------


def mixed_networks() -> list[tuple[nn.Module, Tensor, Tensor]]:
    return [
        (Residual(3), normal(5, 2, 4, 3), normal(3, 2, 4, 3, seed=1)),
        (NETWORKS["flatten"][0](3), normal(5, 2, 4, 5), normal(3, 2, 4, 5, seed=1)),
        (NETWORKS["norms"][0](3), normal(5, 2, 4, 5), normal(3, 2, 4, 5, seed=1)),
        (Shared(3), normal(30, 3), normal(17, 3, seed=1)),
        (dense(nn.ReLU)(3), normal(30, 3), normal(17, 3, seed=1)),
    ]


@pytest.mark.parametrize("k", range(5))
def test_blocks_and_threads_change_nothing(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = mixed_networks()[k]
    whole = infinite_ntk(model, x, y, sigma_w=1.2), infinite_ntk(model, x, sigma_w=1.2)
    monkeypatch.setattr(infinite, "BLOCK", 600)
    monkeypatch.setattr(pair_steps, "TILE", 20)
    threads = torch.get_num_threads()
    for used in (1, 3):
        torch.set_num_threads(used)
        try:
            parts = infinite_ntk(model, x, y, sigma_w=1.2), infinite_ntk(model, x, sigma_w=1.2)
            assert torch.get_num_threads() == used
        finally:
            torch.set_num_threads(threads)
        for one, two in zip(whole, parts, strict=True):
            for a, b in zip(one, two, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("k", range(5))
def test_symmetric_to_the_last_bit_and_positive(k: int) -> None:
    model, x, _ = mixed_networks()[k]
    x = torch.cat([x, -x[:1], x[1:2]])
    for one, two in zip(
        infinite_ntk(model, x, sigma_w=1.2), infinite_ntk(model, x, x, sigma_w=1.2), strict=True
    ):
        assert torch.equal(one, one.T)
        torch.testing.assert_close(one, two, rtol=1e-8 if k == 3 else 1e-12, atol=1e-13)  # k = 3: cross terms
        assert torch.linalg.eigvalsh(one).min() > -1e-8 * torch.linalg.eigvalsh(one).max()


def test_single_examples_and_float32() -> None:
    model, x, y = mixed_networks()[0]
    whole = infinite_ntk(model, x.float(), y.float(), sigma_w=1.2)
    for i in range(2):
        for j in range(2):
            pair = infinite_ntk(
                model, x.float()[i : i + 1].double(), y.float()[j : j + 1].double(), sigma_w=1.2
            )
            for one, two in zip(whole, pair, strict=True):
                assert one.dtype == FLOAT
                torch.testing.assert_close(one[i, j], two[0, 0], rtol=1e-13, atol=0)
    for one, two in zip(
        infinite_ntk(model, x[:1], sigma_w=1.2), infinite_ntk(model, x, sigma_w=1.2), strict=True
    ):
        torch.testing.assert_close(one[0, 0], two[0, 0], rtol=1e-13, atol=0)


PEAK = """
import torch
from torch import nn
from nnlab.bench.timing import megabytes
from nnlab.ntk import infinite_ntk

def measure(model, x, limit, **arguments):
    infinite_ntk(model, x[:2], memory_limit=limit)  # what is loaded once
    print(1e6 * megabytes(lambda: infinite_ntk(model, x, memory_limit=limit, **arguments)) / limit)

torch.set_num_threads({threads})
g = torch.Generator().manual_seed(0)
{body}
"""

CASES = {
    "convolutions and an average, two threads": (2, """
x = torch.randn(6, 3, 24, 24, generator=g)
model = nn.Sequential(
    nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1),
)
measure(model, x, 64 * 2**20)
"""),
    "a dense chain": (1, """
x = torch.randn(1500, 20, generator=g)
measure(nn.Sequential(nn.Linear(20, 4), nn.ReLU(), nn.Linear(4, 1)), x, 60 * 2**20)
"""),
    "into a file larger than the limit": (1, """
x = torch.randn(2000, 20, generator=g)
model = nn.Sequential(nn.Linear(20, 4), nn.GELU(), nn.Linear(4, 1))
measure(model, x, 32 * 2**20, out="{folder}/kernels.npy")
"""),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("case", CASES)
def test_memory_stays_under_the_limit(case: str, tmp_path: Path) -> None:
    """A quarter is for the libraries' own buffers, which differ with the processor, and for small tensors."""
    threads, body = CASES[case]
    script = textwrap.dedent(PEAK).format(threads=threads, body=body.replace("{folder}", str(tmp_path)))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) <= 1.25


def test_limits_that_hold_nothing_are_named() -> None:
    x = normal(40, 3, 8, 8)
    with pytest.raises(MemoryLimitError, match="the kernels themselves"):
        infinite_ntk(convolutional(1, True, 64), x, memory_limit=1000)
    with pytest.raises(MemoryLimitError, match="one pair of examples"):
        infinite_ntk(convolutional(1, True, 64), x, memory_limit=30_000)
    with pytest.raises(MemoryLimitError, match="the examples"):
        infinite_ntk(nn.Linear(192, 1), x.flatten(1), memory_limit=30_000)
    with pytest.raises(KernelError, match="memory_limit: 0"):
        infinite_ntk(nn.Linear(192, 1), x.flatten(1), memory_limit=0)


def test_out_writes_one_file_and_leaves_no_half_one(tmp_path: Path) -> None:
    model, x, y = mixed_networks()[0]
    path = tmp_path / "kernels.npy"
    for examples in ((x,), (x, y)):
        both = infinite_ntk(model, *examples, sigma_w=1.2, out=path)
        expected = infinite_ntk(model, *examples, sigma_w=1.2)
        stored = np.load(path)
        for k in range(2):
            assert torch.equal(both[k], expected[k])
            assert np.array_equal(stored[k], expected[k].numpy())
        with pytest.raises(KernelError, match="exists already"):
            infinite_ntk(model, *examples, sigma_w=1.2, out=path)
        path.unlink()
    with pytest.raises(KernelError, match="no folder"):
        infinite_ntk(model, x, sigma_w=1.2, out=tmp_path / "nowhere" / "kernels.npy")

    def stop(done: int, total: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        infinite_ntk(model, x, sigma_w=1.2, out=path, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("k", range(5))
def test_progress_ends_at_the_number_of_pairs(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infinite, "BLOCK", 600)
    model, x, y = mixed_networks()[k]
    for examples, pairs in (((x,), len(x) * (len(x) + 1) // 2), ((x, y), len(x) * len(y))):
        told: list[tuple[int, int]] = []
        infinite_ntk(
            model, *examples, sigma_w=1.2, progress=lambda done, total, told=told: told.append((done, total))
        )
        assert told[-1] == (pairs, pairs)
        assert all(a < b for (a, _), (b, _) in pairwise(told))


# --- corners ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_zero_examples_without_bias_have_zero_rows() -> None:
    x = torch.cat([torch.zeros(1, 2, 4, 3), normal(1, 2, 4, 3)])
    for phi in (nn.ReLU(), nn.GELU(), nn.Tanh()):
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3, bias=False), phi, nn.Conv2d(3, 3, 1, bias=False), phi, nn.Flatten(),
            nn.Linear(6, 1, bias=False),
        )  # fmt: skip
        for kernel in infinite_ntk(model, x):
            assert kernel[1, 1] > 0.01
            assert kernel[0].abs().max() < 1e-11  # of tanh, as its table says; of the others 0


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_the_cnn_of_the_models_with_average_pooling(activation: str) -> None:
    """Its limit is that of the same layers in a row; with max-pooling the layer is named."""
    cnn = CNN((2, 8, 8), [3, 4], 1, activation, pooling="average", generator=torch.Generator().manual_seed(0))
    row = nn.Sequential(
        *(
            layer
            for block in zip(cnn.convolutions, cnn.activations, cnn.pools, strict=True)
            for layer in block
        ),
        nn.Flatten(),
        cnn.output,
    )
    x = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    for found, expected in zip(infinite_ntk(cnn, x), infinite_ntk(row, x), strict=True):
        assert torch.equal(found, expected)
    assert (torch.linalg.eigvalsh(infinite_ntk(cnn, x)[1]) > 0).all()
    with pytest.raises(KernelError, match=r"pools\.0.*MaxPool2d"):
        infinite_ntk(CNN((2, 8, 8), [3], 1, generator=torch.Generator().manual_seed(0)), x)
    with pytest.raises(InputError, match="pooling 'mean' is unknown"):
        CNN((2, 8, 8), [3], 1, pooling="mean", generator=torch.Generator().manual_seed(0))


class EvenAndOdd(nn.Module):
    """φ(z) = |z| + sin z, whose mixed expectations E[|u| sin v] are exactly 0."""

    def forward(self, z: Tensor) -> Tensor:
        return z.abs() + z.sin()


def test_the_sum_of_an_even_and_an_odd_activation_has_the_kernel_of_the_parts() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    class Abs(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.abs()

    class Sine(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.sin()

    def kernels(middle: nn.Module) -> tuple[Tensor, ...]:
        layers = nn.Linear(3, 8, bias=False), middle, nn.Linear(8, 1, bias=False)
        return infinite_ntk(nn.Sequential(*layers).double(), x, sigma_w=1.3)

    for both, even, odd in zip(kernels(EvenAndOdd()), kernels(Abs()), kernels(Sine()), strict=True):
        torch.testing.assert_close(both, even + odd, rtol=1e-10, atol=1e-12)
