"""A convolutional network that is made to be trained fast."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnlab.errors import InputError

PATCH = 2  # pixels: side of the whitening filters
COVARIANCE_FLOOR = 5e-4  # added to the eigenvalues of the patch covariance, in units of a pixel's variance
LEAST_SIDE = 17  # pixels, so that the last batch norm sees more than one place of an image


class SpeedCNN(nn.Module):
    """Whitened patches, three blocks of two 3 × 3 convolutions, a maximum over places, a scaled linear head.

    The design is that of K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), which follows
    D. Page, "How to train your ResNet" (2018): a first layer that is computed and not trained, filters that
    start as the identity, and batch norm whose scale stays 1. Here the whitening has no bias, so that no
    gradient has to go through the largest maps.

    A block is convolution, 2 × 2 max-pooling, batch norm, GELU, convolution, batch norm, GELU. Scores are
    divided by the number of features that the head adds up.

    Attributes:
        whitening: fixed filters (8·C₀, C₀, 2, 2): the eigenvectors of the covariance of 2 × 2 patches, each
            divided by the root of its eigenvalue, and their negatives.
        block1, block2, block3: the blocks, each with its parts by name.
        output: the linear head, without bias.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        outputs: int,
        *,
        examples: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Builds the network at its start, in float32, channels last, on the CPU.

        Args:
            input_shape: (C₀, H, W) of an image.
            channels: maps of the three blocks.
            outputs: the number of scores.
            examples: (n, C₀, H, W) standardized images, whose patches are whitened.
            generator: where the random numbers come from, on the CPU.

        Raises:
            InputError: the image is too small for three poolings, or there are not three blocks.
        """
        super().__init__()
        maps, height, width = input_shape
        if len(channels) != 3 or min(outputs, *channels) < 1:
            raise InputError(
                f"model.channels: {list(channels)}: speed_cnn has three blocks of at least one map"
            )
        if min(height, width) < LEAST_SIDE:
            raise InputError(
                f"model.name: speed_cnn halves the image three times and needs {LEAST_SIDE} × {LEAST_SIDE} "
                f"pixels, but these have {height} × {width}; use model.name: cnn with fewer blocks"
            )
        filters = whitening_filters(examples)
        self.whitening = nn.Conv2d(maps, len(filters), PATCH, bias=False)
        self.whitening.weight = nn.Parameter(filters, requires_grad=False)
        self.gelu = nn.GELU()
        self.block1 = _block(len(filters), channels[0], generator)
        self.block2 = _block(channels[0], channels[1], generator)
        self.block3 = _block(channels[1], channels[2], generator)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.output = nn.Linear(channels[2], outputs, bias=False)
        with torch.no_grad():
            self.output.weight.normal_(generator=generator)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C₀, H, W) images to (N, outputs) scores."""
        x = self.gelu(self.whitening(x))  # (N, 8·C₀, H − 1, W − 1)
        x = self.pool(self.block3(self.block2(self.block1(x)))).flatten(1)  # (N, channels[2])
        scores: Tensor = self.output(x) / x.shape[1]
        return scores


def _block(fan_in: int, maps: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            convolution1=_convolution(fan_in, maps, generator),
            pool=nn.MaxPool2d(2),
            norm1=_norm(maps),
            gelu1=nn.GELU(),
            convolution2=_convolution(maps, maps, generator),
            norm2=_norm(maps),
            gelu2=nn.GELU(),
        )
    )


def _convolution(fan_in: int, maps: int, generator: torch.Generator) -> nn.Conv2d:
    """A convolution that starts with as many identities as fit, and random filters of the same fan-in."""
    layer = nn.Conv2d(fan_in, maps, 3, padding=1, bias=False)
    bound = 1 / math.sqrt(fan_in * 3 * 3)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        nn.init.dirac_(layer.weight[:fan_in])
    return layer


def _norm(maps: int) -> nn.BatchNorm2d:
    """Batch norm with a trained shift; the filters before it are of any scale, so its own stays 1."""
    layer = nn.BatchNorm2d(maps)
    layer.weight.requires_grad_(False)
    return layer


def whitening_filters(examples: Tensor) -> Tensor:
    """Filters that make 2 × 2 patches of images uncorrelated and of variance 1, and their negatives.

    With C = U diag(λ) Uᵀ the second moments of patches p ∈ R^{4C₀}, the components Uᵀp/√λ are uncorrelated.
    Largest eigenvalue first; both signs, since an activation keeps one side of each.

    Args:
        examples: (n, C₀, H, W) standardized images.

    Returns:
        (8·C₀, C₀, 2, 2) float32 on the CPU.
    """
    patches = examples.cpu().float().unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # (n, C₀, H−1, W−1, 2, 2)
    rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, examples.shape[1] * PATCH**2)
    moments = (rows.T @ rows).double() / len(rows)
    eigenvalues, vectors = torch.linalg.eigh(moments)
    scaled = (vectors / (eigenvalues.clamp_min(0) + COVARIANCE_FLOOR).sqrt()).T.flip(0)
    filters = scaled.reshape(-1, examples.shape[1], PATCH, PATCH).float()
    return torch.cat([filters, -filters])
