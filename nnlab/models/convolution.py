"""Convolution: its definition, the sizes that it leaves, and the matrix that it is.

The lecture's discrete convolution of an image f with a filter g is

    (f∗g)(x, y) = Σ_{n₁} Σ_{n₂} f(n₁, n₂) g(x − n₁, y − n₂),

with zeros where f and g are not defined. A convolutional layer (`nn.Conv2d`) takes dot products instead: it
slides the filter w over the image without turning it, z(x, y) = Σ Σ f(x + i, y + j) w(i, j), which is called
cross-correlation. The two differ in that w is g turned by 180°; since a layer learns its filter, nothing else
depends on which of them it computes.
"""

import math
from collections.abc import Iterable

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


def pool_output_size(size: int, kernel: int = 2, padding: int = 0, stride: int | None = None) -> int:
    """The same count for pooling windows, which by default stand side by side: stride = kernel."""
    return conv_output_size(size, kernel, padding, kernel if stride is None else stride)


def same_padding(kernel: int) -> int:
    """(kernel − 1)/2, the padding with which a filter of odd size and stride 1 keeps the size of a map.

    Raises:
        InputError: the size is even, so that no padding that is equal at both ends does.
    """
    if kernel % 2 == 0:
        raise InputError(f"model.kernel: {kernel} is even, and no padding keeps the size of a map; give one")
    return (kernel - 1) // 2


def receptive_field(windows: Iterable[tuple[int, int]]) -> int:
    """Pixels along one side of the image that one unit sees: 1 + Σ_l (k_l − 1) Π_{i<l} s_i.

    A unit of layer l sees k_l units of the layer below, whose windows start Π_{i<l} s_i pixels apart.

    Args:
        windows: (kernel k_l, stride s_l) of each convolution and pooling, from the image on.
    """
    seen, apart = 1, 1
    for kernel, stride in windows:
        seen += (kernel - 1) * apart
        apart *= stride
    return seen


def convolve(f: Tensor, g: Tensor, *, circular: bool = False) -> Tensor:
    """f∗g of the definition above, by torch's cross-correlation with the filter turned by 180°.

    Args:
        f: (H, W) image.
        g: (h, w) filter.
        circular: f and f∗g are periodic with the image's size, in place of zeros around f.

    Returns:
        (H + h − 1, W + w − 1), every (x, y) where f∗g can differ from 0; with `circular` (H, W), one period.

    Raises:
        InputError: f or g has not two dimensions or is empty, or the filter is larger than the period.
    """
    if f.ndim != 2 or g.ndim != 2 or min(*f.shape, *g.shape) < 1:
        raise InputError(f"convolve: f {tuple(f.shape)} and g {tuple(g.shape)} must be (H, W) and (h, w)")
    above, left = g.shape[0] - 1, g.shape[1] - 1
    turned = g.flip(0, 1)[None, None]
    if not circular:
        return F.conv2d(f[None, None], turned, padding=(above, left))[0, 0]
    if above >= f.shape[0] or left >= f.shape[1]:
        raise InputError(f"convolve: g {tuple(g.shape)} is larger than the period {tuple(f.shape)} of f")
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

    Raises:
        InputError: the filters do not fit into the padded map.
    """
    shape = (filters.shape[1], *size)
    places = [conv_output_size(s, k, padding, stride) for s, k in zip(size, filters.shape[2:], strict=True)]
    if min(places) < 1:
        raise InputError(
            f"convolution_matrix: filters of {filters.shape[2]} × {filters.shape[3]} do not fit into a map "
            f"of {size[0]} × {size[1]} with padding {padding}"
        )
    pixels = math.prod(shape)
    units = torch.eye(pixels, dtype=filters.dtype, device=filters.device).reshape(pixels, *shape)
    # column j of a linear map's matrix is what it makes of the j-th unit vector
    return F.conv2d(units, filters, padding=padding, stride=stride).flatten(1).T
