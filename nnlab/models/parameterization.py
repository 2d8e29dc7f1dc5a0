"""Two ways to write one random network, `standard` and `ntk`, and one whose features move: `mup`.

A layer with n = fan_in inputs maps h ∈ R^n to z = a·W h + c·b, with independent normal W and b at the start:

| | variance of Wᵢⱼ | multiplier a | variance of bᵢ | multiplier c |
| --- | --- | --- | --- | --- |
| standard | σ_w²/n | 1 | σ_b² | 1 |
| ntk | 1 | σ_w/√n | 1 | σ_b |

Both give the same distribution over functions at the start: a·W has entries of variance σ_w²/n, c·b of
variance σ_b². They train differently. A gradient step of size η on the parameters of `ntk` moves a·W by a²
times what it moves W of `standard`, so its tangent kernel has a limit as the width grows, and one η serves
every width; the kernel of `standard` grows in proportion to the width.

Sources. standard: LeCun et al. 1998, "Efficient BackProp" (σ_w = 1); He et al. 2015, "Delving deep into
rectifiers" (σ_w = √2 for the ReLU). ntk: Jacot, Gabriel & Hongler 2018, "Neural tangent kernel" (σ_w = 1;
σ_b is their β, 0.1 in their experiments); Lee et al. 2019, "Wide neural networks of any depth evolve as
linear models under gradient descent" (σ_w and σ_b). Their relation at infinite width: Sohl-Dickstein, Novak,
Schoenholz & Lee 2020, "On the infinite width limit of neural networks with a standard parameterization".
mup: Yang & Hu 2021, "Tensor programs IV: Feature learning in infinite-width neural networks", table 1; for
Adam: Yang et al. 2021, "Tensor programs V", table 3 (there in other, equivalent units).

In both, the features of a wide network, its hidden activations, hardly move. The maximal update
parameterization `mup` makes the output smaller and the first layer faster with the width, such that features
move by order 1 at every width. With r = m/m₀, the width over the base width at which it is `standard`:

| mup | variance of Wᵢⱼ | a | variance of bᵢ | c | Adam's step size, W and b |
| --- | --- | --- | --- | --- | --- |
| first layer | σ_w²/(n r) | √r | σ_b²/r | √r | η/√r, η/√r |
| hidden layer | σ_w²/n | 1 | σ_b²/r | √r | η/r, η/√r |
| last layer | σ_w²/n | 1/√r | σ_b² | 1 | η/√r, η |

Gradient descent, with momentum or without, has one η for all of them; Adam divides the gradient's size out,
and needs the step sizes of the last column (`adam_scale`). A hidden layer between unequal widths m' and m,
with r' and r, has a = √(r/r') and Adam's η/√(r' r) for W.

One σ_w and one σ_b hold for every layer, the last included. Defaults: σ_w is the activation's gain
(`nnlab.models.activations`), 1 in a network without hidden layer; σ_b is 0 for `standard` and `mup`, so that
biases start at 0, and 0.1 for `ntk`, whose biases could not be learned with σ_b = 0.

Random numbers are drawn on the CPU in float32 from the generator that is passed in: layer by layer from the
input on, of each layer first the weight, in row-major order, then the bias if it has one, also where σ_b = 0
leaves nothing of it. A seed therefore gives one start, whatever the device, the dtype (cast afterwards, with
`model.to`), σ_w, σ_b and the parameterization.
"""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError, suggest

DEFAULT_SIGMA_B = {"standard": 0.0, "ntk": 0.1, "mup": 0.0}
BASE_WIDTH = 64
"""The width at which `mup` is `standard`, unless another one is given."""

# How to construct a layer that draw_parameters fills: torch's own start, a draw from the global generator,
# is neither computed nor drawn on the meta device.
BLANK: dict[str, Any] = {"device": "meta", "dtype": torch.float32}

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class ScaledLinear(nn.Linear):
    """z = a·W h + c·b: the linear layer of the ntk and mup parameterizations.

    It is an nn.Linear because it is a linear map whose parameters have the names and shapes of one, so that
    whatever walks over linear layers to collect, count or hook finds it. Code that recomputes z from `weight`
    and `bias` must use the multipliers too; `layer_multipliers` gives them for either kind of layer.

    Attributes:
        weight_multiplier: a. With g = ∂L/∂z, the gradient in W is a·g hᵀ.
        bias_multiplier: c. The gradient in b is c·g.
        adam_scale: what Adam's step size is multiplied with, for the weight and for the bias.
        has_kernel_limit: whether the tangent kernel of a network of such layers has a limit as it grows wide.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_multiplier: float = 1.0,
        bias_multiplier: float = 1.0,
        adam_scale: tuple[float, float] = (1.0, 1.0),
        has_kernel_limit: bool = True,
        **placement: Any,
    ) -> None:
        super().__init__(in_features, out_features, bias=bias, **placement)
        self.weight_multiplier = weight_multiplier
        self.bias_multiplier = bias_multiplier
        self.adam_scale = adam_scale
        self.has_kernel_limit = has_kernel_limit

    def forward(self, input: Tensor) -> Tensor:
        # a·h rather than a·W: a batch of inputs is smaller than the weight of a wide layer
        bias = None if self.bias is None else self.bias_multiplier * self.bias
        return F.linear(self.weight_multiplier * input, self.weight, bias)

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, weight_multiplier={self.weight_multiplier:.4g}, "
            f"bias_multiplier={self.bias_multiplier:.4g}"
        )


def layer_multipliers(layer: nn.Linear) -> tuple[float, float]:
    """(a, c) of z = a·W h + c·b: those of a ScaledLinear, (1, 1) of every other linear layer."""
    if isinstance(layer, ScaledLinear):
        return layer.weight_multiplier, layer.bias_multiplier
    return 1.0, 1.0


def linear_layer(
    fan_in: int,
    fan_out: int,
    *,
    generator: torch.Generator,
    bias: bool,
    sigma_w: float,
    sigma_b: float = 0.0,
    parameterization: str = "standard",
    growth: tuple[float | None, float | None] = (None, None),
) -> nn.Linear:
    """A linear layer R^fan_in → R^fan_out at its random start, float32 on the CPU.

    Args:
        fan_in, fan_out: the layer's inputs and outputs.
        generator: where the random numbers come from, on the CPU.
        bias: whether it has one.
        sigma_w, sigma_b, parameterization: see above.
        growth: for `mup`, r of the inputs and r of the outputs: the width over the base width; None where
            they are the network's own inputs or outputs, which do not grow.

    Raises:
        InputError: the parameterization is unknown.
    """
    std = sigma_w / math.sqrt(fan_in)
    if parameterization == "standard":
        return draw_parameters(nn.Linear(fan_in, fan_out, bias, **BLANK), std, sigma_b, generator)
    if parameterization == "ntk":
        scaled = ScaledLinear(fan_in, fan_out, bias, weight_multiplier=std, bias_multiplier=sigma_b, **BLANK)
        return draw_parameters(scaled, 1.0, 1.0, generator)
    if parameterization == "mup":
        before, after = (1.0 if r is None else r for r in growth)
        a, c = math.sqrt(after / before), math.sqrt(after)
        scaled = ScaledLinear(
            fan_in,
            fan_out,
            bias,
            **BLANK,
            weight_multiplier=a,
            bias_multiplier=c,
            adam_scale=(1 / math.sqrt(before * after), 1 / c),
            has_kernel_limit=False,
        )
        is_last = growth[1] is None  # its product a·W is smaller than that of the others by √r
        return draw_parameters(scaled, std if is_last else std / a, sigma_b / c, generator)
    known = suggest(parameterization, DEFAULT_SIGMA_B)
    raise InputError(f"model.parameterization: {parameterization} is unknown; {known}")


def draw_parameters(layer: Layer, weight_std: float, bias_std: float, generator: torch.Generator) -> Layer:
    """Gives a BLANK layer weights N(0, weight_std²) and then biases N(0, bias_std²), all independent.

    Returns:
        The same layer, now on the CPU.
    """
    layer.weight = nn.Parameter(_normal(layer.weight.shape, weight_std, generator))
    if layer.bias is not None:
        layer.bias = nn.Parameter(_normal(layer.bias.shape, bias_std, generator))
    return layer


def _normal(shape: torch.Size, std: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
    return noise.mul_(std) if std else torch.zeros_like(noise)  # 0 · noise would hold −0.0 too


def weight_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Every parameter with two or more dimensions: linear weights, convolution filters, embeddings.

    Biases and the scales of normalization layers are vectors and stay out, and so do weights that are not
    trained; a shared parameter counts once.
    """
    return [p for p in model.parameters() if p.ndim >= 2 and p.requires_grad]
