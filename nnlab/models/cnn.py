"""A convolutional network: convolution, activation, pooling, and again; then one linear layer."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from nnlab.errors import InputError, suggest
from nnlab.models.activations import Activation, Maxout, get_activation
from nnlab.models.convolution import conv_output_size, same_padding
from nnlab.models.parameterization import BLANK, draw_parameters, linear_layer

POOLINGS: dict[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ActivationLayer(nn.Module):
    """An elementwise activation function as a layer of its own, so that hooks and tables find it.

    Attributes:
        name: as in a config.
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.name = activation.name
        self._function = activation.function

    def forward(self, z: Tensor) -> Tensor:
        return self._function(z)

    def extra_repr(self) -> str:
        return self.name


class CNN(nn.Module):
    """Blocks of convolution, activation and 2 × 2 pooling with stride 2, then a linear layer.

    With `channels` C₁, …, C_B and filters that keep the size, an image (C₀, H, W) becomes (C₁, ⌊H/2⌋, ⌊W/2⌋),
    …, (C_B, ⌊H/2^B⌋, ⌊W/2^B⌋), is flattened and mapped to the scores. With batch norm (Ioffe & Szegedy 2015)
    every map is standardized between convolution and activation; its shift takes the place of the
    convolution's bias. Dropout (Srivastava et al. 2014) sets values of the last maps to 0 while training.

    The start is that of the standard parameterization: filters N(0, gain²/(k²·C_in)), the linear layer
    N(0, gain²/fan_in), biases 0. The gain does not count what the zeros around the image take away and what
    the maximum over four neighbours adds. Batch norm starts with scale 1 and shift 0.

    Attributes:
        convolutions: the convolutions, from the input on.
        norms: the batch norms, one for each convolution; empty without them.
        activations: the activation functions, (N, p·C, H, W) to (N, C, H, W) with p pieces for maxout, else
            p = 1.
        pools: the poolings.
        dropout: on the flattened last maps; does nothing where no dropout is asked for.
        output: the linear layer.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        outputs: int,
        activation: str = "relu",
        *,
        kernel: int = 3,
        padding: int | None = None,
        bias: bool = True,
        pieces: int = 2,
        batch_norm: bool = False,
        dropout: float = 0.0,
        pooling: str = "max",
        generator: torch.Generator,
    ) -> None:
        """Builds the network at its random start, in float32 and channels last on the CPU.

        Args:
            input_shape: (C₀, H, W) of an image.
            channels: C₁, C₂, …, the number of activation maps of each block; at least one.
            outputs: the number of scores.
            activation: a name of `nnlab.models.activations`.
            kernel: k, the side of a filter in pixels.
            padding: zeros around a map; None for (k − 1)/2, which keeps its size.
            bias: whether the layers have biases.
            pieces: linear pieces of a maxout unit.
            batch_norm: whether each convolution is followed by batch norm.
            dropout: the probability of a value of the last maps to be set to 0 in training. It draws from
                torch's global generator, whose state a checkpoint holds.
            pooling: `max` or `average`; only with averages are there kernels of infinite width.
            generator: where the start's random numbers come from, on the CPU; the order is that of
                `nnlab.models.parameterization`.

        Raises:
            InputError: a layer would leave less than one pixel, a size is below 1, the kernel is even and no
                padding given, or the activation or the pooling is unknown.
        """
        super().__init__()
        if min(outputs, kernel, *input_shape, *channels) < 1:
            raise InputError(
                f"CNN: input_shape {input_shape}, channels {list(channels)}, outputs {outputs}, kernel "
                f"{kernel}: every size must be at least 1"
            )
        if pooling not in POOLINGS:
            raise InputError(f"CNN: pooling {pooling!r} is unknown; {suggest(str(pooling), POOLINGS)}")
        phi = get_activation(activation, pieces)
        padding = same_padding(kernel) if padding is None else padding
        height, width = _last_size(input_shape[1:], channels, kernel, padding)
        convolutions, fan_in = [], input_shape[0]
        for maps in channels:
            layer = nn.Conv2d(
                fan_in, phi.pieces * maps, kernel, padding=padding, bias=bias and not batch_norm, **BLANK
            )
            std = phi.gain / math.sqrt(fan_in * kernel**2)
            convolutions.append(draw_parameters(layer, std, 0.0, generator))
            fan_in = maps
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.BatchNorm2d(phi.pieces * maps) for maps in channels if batch_norm)
        self.activations = nn.ModuleList(
            Maxout(pieces) if phi.name == "maxout" else ActivationLayer(phi) for _ in channels
        )
        self.pools = nn.ModuleList(POOLINGS[pooling](2) for _ in channels)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        features = fan_in * height * width
        self.output = linear_layer(features, outputs, bias=bias, sigma_w=phi.gain, generator=generator)
        # the order in memory in which CPUs and GPUs convolve fastest; shapes and values are the same
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C₀, H, W) images to (N, outputs) scores."""
        for block, convolution in enumerate(self.convolutions):
            x = convolution(x)  # (N, p·C_b, H, W)
            if self.norms:
                x = self.norms[block](x)
            x = self.pools[block](self.activations[block](x))  # (N, C_b, H/2, W/2)
        scores: Tensor = self.output(self.dropout(x.flatten(1)))
        return scores


def _last_size(image: tuple[int, int], channels: Sequence[int], kernel: int, padding: int) -> tuple[int, int]:
    """(height, width) of the maps after the last block; raises InputError where nothing is left before."""
    sizes = [image]
    for block in range(1, len(channels) + 1):
        for layer, window in (
            (f"the {kernel} × {kernel} convolution", (kernel, padding)),
            ("the 2 × 2 pooling", (2, 0, 2)),
        ):
            height, width = sizes[-1]
            after = conv_output_size(height, *window), conv_output_size(width, *window)
            if min(after) < 1:
                before = " → ".join(f"{h} × {w}" for (h, w), _ in groupby(sizes))
                fewer = f"at most {block - 1} blocks" if block > 1 else "a smaller model.kernel"
                raise InputError(
                    f"model.channels: {list(channels)}: {layer} of block {block} shrinks a map of {height} × "
                    f"{width} to {max(0, after[0])} × {max(0, after[1])} ({before}); give {fewer} for these "
                    "images, or more model.padding"
                )
            sizes.append(after)
    return sizes[-1]
