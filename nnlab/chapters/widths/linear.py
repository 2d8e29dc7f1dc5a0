"""How far the weights of a wide network move, predicted from the tangent kernel of the infinitely wide one.

Gradient descent of the linearized network moves the weights by w_k − w₀ = −J₀ᵀ c, c = H⁻¹(I − (I − ηH)ᵏ)
u₀, so that a layer with the part H_l of the kernel H = Σ_l H_l moves by ‖Δw_l‖² = cᵀ H_l c (Lee et al.
2019, "Wide neural networks of any depth evolve as linear models under gradient descent", section 2.2). As
the width m grows, each H_l of the ntk parameterization tends to a limit, which `infinite_ntk` computes
exactly. The standard parameterization writes the same network with weights a times as large, a the
multiplier of the layer, and has H_l/a². With the random function u₀ + ȳ at the start, known before
training, no constant is left free.

A matrix that is moved by ΔW = −a Σᵢ cᵢ δᵢ hᵢᵀ has ‖ΔW‖₂² = λmax(CBCA) with C = diag(c), A the Gram matrix of
a·h, and B that of δ; a random m × m matrix with entries of variance 1/m has the norm 2 (Bai & Yin 1988).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnlab.chapters.widths.schema import WHOLE, Family
from nnlab.models import MLP, get_activation
from nnlab.ntk import infinite_ntk

FIRST, SECOND = "first_layer", "second_layer"


@dataclass(frozen=True)
class Architecture:
    """Networks of one input and one output with the points x (n, 1) at which they are trained, in float64."""

    depth: int
    activation: str
    bias: bool
    sigma_w: float | None
    sigma_b: float
    x: Tensor

    def network(self, depth: int) -> MLP:
        """Builds one of the ntk parameterization, of any width; its values do not matter."""
        return MLP(
            1, [1] * depth, 1, self.activation, bias=self.bias, parameterization="ntk",
            sigma_w=self.sigma_w, sigma_b=self.sigma_b, generator=torch.Generator(),
        ).double()  # fmt: skip

    @cached_property
    def parts(self) -> list[tuple[Tensor, Tensor]]:
        """H_l of every layer at infinite width, ntk parameterization, (n, n): of its W, and of its b."""
        network = self.network(self.depth)
        layers: list[nn.Linear] = [*network.hidden, network.output]
        zero = torch.zeros(len(self.x), len(self.x), dtype=torch.float64)
        found = []
        for layer in layers:
            pair = []
            for parameter in (layer.weight, layer.bias):
                for each in network.parameters():
                    each.requires_grad_(each is parameter)
                pair.append(zero if parameter is None else infinite_ntk(network, self.x)[1])
            found.append((pair[0], pair[1]))
        return found

    @cached_property
    def second_grams(self) -> tuple[Tensor, Tensor] | None:
        """A and B (n, n) of the second layer's matrix, unnormalized by 1/m; None where no bias shows B."""
        if self.depth < 2 or not self.bias or self.sigma_b == 0:
            return None
        covariance, _ = infinite_ntk(self.network(1), self.x)
        return covariance - self.sigma_b**2, self.parts[1][1] / self.sigma_b**2


@dataclass(frozen=True)
class Linear:
    """The linearized network of a family and a width m, with the kernel of infinite width."""

    architecture: Architecture
    family: Family
    width: int

    @cached_property
    def layers(self) -> list["_Layer"]:
        """Every layer's part of the kernel, and the expected ‖W₀‖² and ‖b₀‖²."""
        one, depth = self.architecture, self.architecture.depth
        standard = self.family.parameterization == "standard"
        gain = get_activation(one.activation).gain if one.sigma_w is None else one.sigma_w
        sizes, layers = [1, *[self.width] * depth, 1], []
        for (fan_in, fan_out), (of_weight, of_bias) in zip(pairwise(sizes), one.parts, strict=True):
            a, c = (gain**2 / fan_in, one.sigma_b**2) if standard else (1.0, 1.0)  # squared, of ntk
            bias = of_bias / c if one.bias else of_bias
            layers.append(_Layer(of_weight / a, bias, fan_in * fan_out * a, one.bias * fan_out * c))
        return layers

    @cached_property
    def modes(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of H, ascending, and eigenvectors."""
        kernel = torch.stack([part for layer in self.layers for part in (layer.weight, layer.bias)]).sum(0)
        eigenvalues, vectors = torch.linalg.eigh(kernel)
        return eigenvalues, vectors

    @property
    def lambda_max(self) -> float:
        """λmax(H)."""
        return float(self.modes[0][-1])

    def changes(self, u0: Tensor, lr: float, steps: int) -> dict[str, Tensor]:
        """Computes the relative changes of the weights in k steps of gradient descent on ½Σ(y − ȳ)².

        Args:
            u0: (S, n) residuals at the start.
            lr: η.
            steps: k.

        Returns:
            By quantity, (S,) for each network: ‖w − w₀‖/‖w₀‖, that of the first layer's matrix, and of the
            second layer's in operator norm if it is square.
        """
        eigenvalues, vectors = self.modes
        rates = eigenvalues.clamp(min=0)
        learned = torch.where(
            rates > 0, (1 - (1 - lr * rates) ** steps) / rates.clamp(min=1e-300), lr * steps
        )
        c = (u0 @ vectors * learned) @ vectors.T
        moved = [_forms(c, layer.weight) for layer in self.layers]
        biases = [_forms(c, layer.bias) for layer in self.layers]
        size = sum(layer.weight_size + layer.bias_size for layer in self.layers)
        changes = {
            WHOLE: torch.stack(moved + biases).sum(0).div(size).sqrt(),
            FIRST: (moved[0] / self.layers[0].weight_size).sqrt(),
        }
        if self.architecture.second_grams is not None:
            a, b = self.architecture.second_grams
            known = c.isfinite().all(1)
            scaled = torch.where(known[:, None, None], c[:, :, None] * b * c[:, None, :], 0.0)
            largest = torch.where(known, torch.linalg.eigvals(scaled @ a).real.amax(1), torch.nan)
            # ‖W₀‖² = 4m times the variance of an entry, which is the part of ‖W₀‖² of each of the m² entries;
            # the kernel of the layer is A ∘ B divided by what divides this one
            variance = self.layers[1].weight_size / self.width**2
            changes[SECOND] = (largest / variance / (4 * self.width * variance)).sqrt()
        return changes


@dataclass(frozen=True)
class _Layer:
    """Parts of the kernel (n, n) of W and of b, and the expected squares of the two at the start."""

    weight: Tensor
    bias: Tensor
    weight_size: float
    bias_size: float


def _forms(c: Tensor, kernel: Tensor) -> Tensor:
    """cᵀ K c of each of (S, n)."""
    return ((c @ kernel) * c).sum(1).clamp(min=0)


def is_known(activation: str, family: Family, *, bias: bool, sigma_b: float) -> bool:
    """Whether the limit of the kernel is known, and the part of the biases of the parameterization."""
    return activation != "maxout" and not (family.parameterization == "standard" and bias and sigma_b == 0)
