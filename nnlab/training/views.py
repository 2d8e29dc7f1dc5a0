"""Test-time augmentation: the same images seen in several ways."""

from collections.abc import Iterator
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Views = Literal["none", "mirror", "mirror_and_shift"]

SHIFT = 1  # pixels


def views(images: Tensor, kind: Views) -> Iterator[tuple[float, Tensor]]:
    """Weights that add up to 1, and images (n, C, H, W) as they are seen.

    `mirror`: as they are and left to right. `mirror_and_shift`: half of the weight on these two, and a
    quarter each on the same two moved by a pixel up and to the left, and down and to the right, with the
    border reflected.
    """
    if kind == "none":
        yield 1.0, images
        return
    seen = [(1.0, images)]
    if kind == "mirror_and_shift":
        seen = [(0.5, images), *((0.25, moved) for moved in _shifted(images))]
    for weight, view in seen:
        yield weight / 2, view
        yield weight / 2, view.flip(-1)


def _shifted(images: Tensor) -> tuple[Tensor, Tensor]:
    height, width = images.shape[-2:]
    # a single row or column has nothing to reflect: there the border is repeated
    padded = F.pad(images, (SHIFT,) * 4, mode="reflect" if min(height, width) > SHIFT else "replicate")
    down, right = 2 * SHIFT, 2 * SHIFT
    return padded[..., :height, :width], padded[..., down:, right:]
