"""Convolution: its definition, the sizes that it leaves, and the matrix that it is.

The lecture's discrete convolution of an image f with a filter g is

    (f∗g)(x, y) = Σ_{n₁} Σ_{n₂} f(n₁, n₂) g(x − n₁, y − n₂),

with zeros where f and g are not defined. A convolutional layer (`nn.Conv2d`) takes dot products instead: it
slides the filter w over the image without turning it, z(x, y) = Σ Σ f(x + i, y + j) w(i, j), which is called
cross-correlation. The two differ in that w is g turned by 180°; since a layer learns its filter, nothing else
depends on which of them it computes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nnlab.errors import InputError


def conv_output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """⌊(size + 2·padding − kernel)/stride⌋ + 1: places at which a filter fits, along one side of an image.

    0 or less says that the padded image is smaller than the filter.

    Args:
        size: pixels along that side.
        kernel: pixels of the filter along it.
        padding: zeros at either end.
        stride: pixels from one place to the next.
    """
    return (size + 2 * padding - kernel) // stride + 1


def same_padding(kernel: int) -> int:
    """(kernel − 1)/2, the padding with which a filter of odd size and stride 1 keeps the size of a map.

    Raises:
        InputError: the size is even, so that no padding that is equal at both ends does.
    """
    if kernel % 2 == 0:
        raise InputError(f"model.kernel: {kernel} is even, and no padding keeps the size of a map; give one")
    return (kernel - 1) // 2


def convolve(f: Tensor, g: Tensor, *, circular: bool = False) -> Tensor:
    """f∗g of the definition above, by torch's cross-correlation with the filter turned by 180°.

    Args:
        f: (H, W) image.
        g: (h, w) filter, at most as large as the period.
        circular: f and f∗g are periodic with the image's size, in place of zeros around f.

    Returns:
        (H + h − 1, W + w − 1), every (x, y) where f∗g can differ from 0; with `circular` (H, W), one period.
    """
    above, left = g.shape[0] - 1, g.shape[1] - 1
    turned = g.flip(0, 1)[None, None]
    if not circular:
        return F.conv2d(f[None, None], turned, padding=(above, left))[0, 0]
    # g(x − n₁, ·) is 0 for n₁ > x: a place looks up and to the left, so the other end is put there
    around = F.pad(f[None, None], (left, 0, above, 0), mode="circular")
    return F.conv2d(around, turned)[0, 0]


def convolution_matrix(
    filters: Tensor, size: tuple[int, int], *, padding: int = 0, stride: int = 1
) -> Tensor:
    """The matrix M of a convolutional layer: its output, stretched out, is M times the stretched image.

    Hence the layer is a fully connected one, most of whose weights are 0 and whose others are shared: a row
    for each place of each filter. With one map and stride 1 it is a doubly block Toeplitz matrix.

    Args:
        filters: (C_out, C_in, h, w), as `nn.Conv2d` holds them.
        size: (H, W) of a map.
        padding: zeros around a map.
        stride: pixels from one place to the next.

    Returns:
        (C_out·H'·W', C_in·H·W) with H', W' of `conv_output_size`, rows and columns in the order of flatten.
    """
    shape = (filters.shape[1], *size)
    pixels = math.prod(shape)
    units = torch.eye(pixels, dtype=filters.dtype, device=filters.device).reshape(pixels, *shape)
    # column j of a linear map's matrix is what it makes of the j-th unit vector
    return F.conv2d(units, filters, padding=padding, stride=stride).flatten(1).T
