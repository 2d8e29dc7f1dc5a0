"""A small convolutional network: convolution, activation, max-pooling, and again; then one linear layer."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import BLANK, draw_parameters, linear_layer


def conv_output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """⌊(size + 2·padding − kernel)/stride⌋ + 1: places at which a filter fits, along one side of an image.

    0 or less says that the padded image is smaller than the filter.
    """
    return (size + 2 * padding - kernel) // stride + 1


def pool_output_size(size: int, kernel: int = 2, padding: int = 0, stride: int | None = None) -> int:
    """The same count for pooling windows, which by default stand side by side: stride = kernel."""
    return conv_output_size(size, kernel, padding, kernel if stride is None else stride)


class CNN(nn.Module):
    """Blocks of 3 × 3 convolution, activation and 2 × 2 max-pooling with stride 2, then a linear layer.

    With `channels` C₁, …, C_B an image (C₀, H, W) becomes (C₁, ⌊H/2⌋, ⌊W/2⌋), …, (C_B, ⌊H/2^B⌋, ⌊W/2^B⌋), is
    flattened and mapped to the scores. Padding 1 keeps the size through a convolution, pooling halves it.

    The start is that of the standard parameterization: filters N(0, gain²/(9·C_in)), the linear layer
    N(0, gain²/fan_in), biases 0. The gain does not count what the zeros around the image take away and what
    the maximum over four neighbours adds.

    Attributes:
        convolutions: the convolutions, from the input on.
        output: the linear layer.
        phi: the activation function, (N, k·C, H, W) to (N, C, H, W) with k pieces for maxout, else k = 1.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        outputs: int,
        activation: str = "relu",
        *,
        bias: bool = True,
        pieces: int = 2,
        generator: torch.Generator,
    ) -> None:
        """Builds the network at its random start, in float32 on the CPU.

        Args:
            input_shape: (C₀, H, W) of an image.
            channels: C₁, C₂, …, the number of activation maps of each block; at least one.
            outputs: the number of scores.
            activation: a name of `nnlab.models.activations`.
            bias: whether the layers have biases.
            pieces: linear pieces of a maxout unit.
            generator: where the random numbers come from, on the CPU; the order is that of
                `nnlab.models.parameterization`.

        Raises:
            InputError: a block would leave less than one pixel, a number of channels is below 1, or the
                activation is unknown.
        """
        super().__init__()
        if min(outputs, *input_shape, *channels) < 1:
            raise InputError(
                f"CNN: input_shape {input_shape}, channels {list(channels)}, outputs {outputs}: "
                "every size must be at least 1"
            )
        phi = get_activation(activation, pieces)
        height, width = _sizes(input_shape[1:], channels)[-1]
        convolutions, fan_in = [], input_shape[0]
        for maps in channels:
            convolutions.append(_convolution(fan_in, phi.pieces * maps, bias, phi.gain, generator))
            fan_in = maps
        self.convolutions = nn.ModuleList(convolutions)
        self.output = linear_layer(
            fan_in * height * width,
            outputs,
            bias=bias,
            parameterization="standard",
            sigma_w=phi.gain,
            sigma_b=0.0,
            generator=generator,
        )
        self.phi = phi.function
        self.activation = phi.name

    def forward(self, x: Tensor) -> Tensor:
        """(N, C₀, H, W) images to (N, outputs) scores."""
        for convolution in self.convolutions:
            x = F.max_pool2d(self.phi(convolution(x)), 2)  # (N, C_b, H/2^b, W/2^b)
        scores: Tensor = self.output(x.flatten(1))
        return scores

    def extra_repr(self) -> str:
        return f"activation={self.activation}"


def _convolution(fan_in: int, maps: int, bias: bool, sigma_w: float, generator: torch.Generator) -> nn.Conv2d:
    layer = nn.Conv2d(fan_in, maps, 3, padding=1, bias=bias, **BLANK)
    return draw_parameters(layer, sigma_w / math.sqrt(fan_in * 3 * 3), 0.0, generator)


def _sizes(image: tuple[int, int], channels: Sequence[int]) -> list[tuple[int, int]]:
    """(height, width) of the image and after every block; raises InputError where nothing is left."""
    sizes = [image]
    for block, _ in enumerate(channels, start=1):
        conv_height, conv_width = (conv_output_size(side, kernel=3, padding=1) for side in sizes[-1])
        after = pool_output_size(conv_height), pool_output_size(conv_width)
        if min(after) < 1:
            way = " → ".join(f"{h} × {w}" for h, w in sizes)
            raise InputError(
                f"model.channels: {list(channels)}: the 2 × 2 pooling of block {block} does not fit on a map "
                f"of {conv_height} × {conv_width} ({way}); give at most {block - 1} blocks for this image"
            )
        sizes.append(after)
    return sizes
