"""The multilayer perceptron: one class for every depth, from softmax regression on."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnlab.errors import InputError
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import BASE_WIDTH, DEFAULT_SIGMA_B, linear_layer


class MLP(nn.Module):
    """f(x) = W_{L} φ(… φ(W₂ φ(W₁x + b₁) + b₂) …) + b_L, with x ∈ R^d and f(x) ∈ R^C.

    | hidden | network | shapes |
    | --- | --- | --- |
    | [] | Wx + b: the scores of softmax regression | W (C, d), b (C,) |
    | [H] | W₂ max(0, W₁x + b₁) + b₂: the lecture's 2-layer network | W₁ (H, d), W₂ (C, H) |
    | [H₁, H₂] | W₃ max(0, W₂ max(0, W₁x + b₁) + b₂) + b₃: 3 layers | W₁ (H₁, d), W₂ (H₂, H₁), W₃ (C, H₂) |

    With `bias=False` there are no b, as on the slides. With maxout of k pieces the weight of a hidden layer
    of H units has k·H rows. The scores are returned as they are: the softmax belongs to the loss.

    Attributes:
        hidden: the hidden linear layers, from the input on.
        output: the last linear layer.
        phis: the activation function of each hidden layer, (N, k·H) to (N, H).
        activations: their names.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        activation: str | Sequence[str] = "relu",
        *,
        bias: bool = True,
        pieces: int = 2,
        parameterization: str = "standard",
        sigma_w: float | None = None,
        sigma_b: float | None = None,
        base_width: int = BASE_WIDTH,
        generator: torch.Generator,
    ) -> None:
        """Builds the network at its random start, in float32 on the CPU.

        Args:
            inputs: d, the number of features of an example.
            hidden: the widths H₁, H₂, … of the hidden layers.
            outputs: C.
            activation: a name of `nnlab.models.activations`, or one for each hidden layer.
            bias: whether the layers have biases.
            pieces: k, linear pieces of a maxout unit.
            parameterization: `standard`, `ntk` or `mup`, see `nnlab.models.parameterization`.
            sigma_w: standard deviation of √fan_in · weight; by default the gain of the activation before
                the layer, of the first layer that of the one behind it.
            sigma_b: standard deviation of a bias; by default 0.1 for `ntk`, else 0.
            base_width: the width at which `mup` is `standard`.
            generator: where the random numbers come from, on the CPU.

        Raises:
            InputError: a width below 1, an unknown activation or parameterization, or not one activation for
                each hidden layer.
        """
        super().__init__()
        if min(inputs, outputs, base_width, *hidden) < 1:
            raise InputError(
                f"MLP: inputs {inputs}, hidden {list(hidden)}, outputs {outputs}, base_width {base_width}: "
                "every width must be at least 1"
            )
        if isinstance(activation, str):
            phis = [get_activation(activation, pieces)] * len(hidden)
        else:
            phis = [get_activation(name, pieces) for name in activation]
        if len(phis) != len(hidden):
            raise InputError(
                f"model.activation: {len(phis)} names for {len(hidden)} hidden layers; give one for all, or "
                "one for each"
            )
        gains = [phi.gain for phi in phis[:1] + phis] or [1.0]
        if sigma_b is None:
            sigma_b = DEFAULT_SIGMA_B.get(parameterization, 0.0)

        layer = partial(
            linear_layer, bias=bias, sigma_b=sigma_b, parameterization=parameterization, generator=generator,
        )  # fmt: skip
        widths, growth = [inputs, *hidden], [None, *(m / base_width for m in hidden), None]
        sizes = [phi.pieces * m for phi, m in zip(phis, hidden, strict=True)] + [outputs]
        *inner, last = (
            layer(n, m, growth=r, sigma_w=gain if sigma_w is None else sigma_w)
            for n, m, r, gain in zip(widths, sizes, pairwise(growth), gains, strict=True)
        )
        self.hidden, self.output = nn.ModuleList(inner), last
        self.phis = tuple(phi.function for phi in phis)
        self.activations = tuple(phi.name for phi in phis)

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) examples of d numbers each to (N, C) scores."""
        h = x.flatten(1)  # (N, d)
        for layer, phi in zip(self.hidden, self.phis, strict=True):
            h = phi(layer(h))  # (N, H)
        scores: Tensor = self.output(h)  # (N, C)
        return scores

    def extra_repr(self) -> str:
        return f"activation={', '.join(dict.fromkeys(self.activations))}"
