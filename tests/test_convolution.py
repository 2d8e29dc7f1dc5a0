"""Convolution by its definition against torch, scipy.signal and one matrix; sizes; what shifts do."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d
from torch import Tensor
from torch.nn import functional as F

from nnlab.errors import InputError
from nnlab.models.convolution import (
    conv_output_size,
    convolution_matrix,
    convolve,
    same_padding,
)

SIDES = st.integers(1, 6)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_definition(f: Tensor, g: Tensor, *, circular: bool = False) -> Tensor:
    """(f∗g)(x, y) = ΣΣ f(n₁, n₂) g(x − n₁, y − n₂), term by term; circular: places of f modulo its size."""
    height, width = f.shape if circular else (f.shape[0] + g.shape[0] - 1, f.shape[1] + g.shape[1] - 1)
    out = torch.zeros(height, width, dtype=f.dtype)
    for x, y in itertools.product(range(height), range(width)):
        for n1, n2 in itertools.product(range(f.shape[0]), range(f.shape[1])):
            i, j = x - n1, y - n2
            if circular:
                i, j = i % f.shape[0], j % f.shape[1]
            if 0 <= i < g.shape[0] and 0 <= j < g.shape[1]:
                out[x, y] += f[n1, n2] * g[i, j]
    return out


def close(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-11, atol=1e-12)


# --- the definition ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, h=SIDES, w=SIDES, seed=st.integers(0, 1000))
def test_definition_torch_and_scipy_agree(height: int, width: int, h: int, w: int, seed: int) -> None:
    """Also where the filter is larger than the image."""
    f, g = drawn(height, width, seed=seed), drawn(h, w, seed=seed + 1)
    expected = by_definition(f, g)
    close(convolve(f, g), expected)
    close(convolve2d(f, g, mode="full"), expected)
    # torch's layers correlate: the filter that they slide is g turned by 180°
    close(F.conv2d(f[None, None], g.flip(0, 1)[None, None], padding=(h - 1, w - 1))[0, 0], expected)
    close(correlate2d(f, g.flip(0, 1), mode="full"), expected)
    close(convolve(g, f), expected)  # f∗g = g∗f


def test_correlation_is_not_convolution() -> None:
    """What the flip is for: without it the two differ, except for a filter that looks the same turned."""
    f, g = drawn(5, 5), drawn(3, 3, seed=1)
    slid = F.conv2d(f[None, None], g[None, None], padding=2)[0, 0]
    assert float((slid - by_definition(f, g)).abs().max()) > 0.1
    symmetric = g + g.flip(0, 1)
    close(F.conv2d(f[None, None], symmetric[None, None], padding=2)[0, 0], by_definition(f, symmetric))


def test_a_layer_adds_up_its_maps() -> None:
    """nn.Conv2d: one activation map per filter, the sum of the correlations of every input map."""
    image, filters, bias = drawn(2, 3, 6, 7), drawn(4, 3, 3, 3, seed=1), drawn(4, seed=2)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1).double()
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(filters)
        layer.bias.copy_(bias)
        maps = layer(image)
    for n, c in itertools.product(range(2), range(4)):
        parts = [correlate2d(image[n, k], filters[c, k], mode="same") for k in range(3)]
        close(maps[n, c], sum(parts) + float(bias[c]))


@settings(max_examples=30, deadline=None)
@given(height=SIDES, width=SIDES, h=SIDES, w=SIDES, seed=st.integers(0, 1000))
def test_circular_definition_and_the_convolution_theorem(
    height: int, width: int, h: int, w: int, seed: int
) -> None:
    assume(h <= height and w <= width)
    f, g = drawn(height, width, seed=seed), drawn(h, w, seed=seed + 1)
    found = convolve(f, g, circular=True)
    close(found, by_definition(f, g, circular=True))
    # the Fourier transform makes a product of it
    close(found, np.fft.ifft2(np.fft.fft2(f) * np.fft.fft2(g, s=f.shape)).real)


# --- one large matrix product -----------------------------------------------------------------------


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 1), (1, 2), (2, 3)])
def test_layer_as_a_product_with_the_matrix_of_patches(padding: int, stride: int) -> None:
    """Filters (C_out, C·k²) times the patches (C·k², places)."""
    images, filters = drawn(2, 3, 7, 6), drawn(4, 3, 3, 3, seed=1)
    patches = F.unfold(images, 3, padding=padding, stride=stride)
    maps = F.conv2d(images, filters, padding=padding, stride=stride)
    close((filters.flatten(1) @ patches).view(maps.shape), maps)
    # unfold itself, by slicing
    padded = F.pad(images, (padding,) * 4)
    _, _, height, width = maps.shape
    for place, (i, j) in enumerate(itertools.product(range(height), range(width))):
        patch = padded[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
        close(patches[:, :, place], patch.flatten(1))


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 1), (1, 2), (2, 3)])
def test_layer_as_a_fully_connected_one(padding: int, stride: int) -> None:
    images, filters = drawn(5, 2, 6, 5), drawn(3, 2, 3, 2, seed=1)
    matrix = convolution_matrix(filters, (6, 5), padding=padding, stride=stride)
    maps = F.conv2d(images, filters, padding=padding, stride=stride)
    assert matrix.shape == (maps[0].numel(), images[0].numel())
    close(images.flatten(1) @ matrix.T, maps.flatten(1))
    assert {float(v) for v in matrix.unique()} <= {0.0, *(float(v) for v in filters.flatten())}


@settings(max_examples=30, deadline=None)
@given(height=SIDES, width=SIDES, h=st.integers(1, 4), w=st.integers(1, 4), seed=st.integers(0, 1000))
def test_doubly_block_toeplitz(height: int, width: int, h: int, w: int, seed: int) -> None:
    """f∗g stretched out is T f: blocks T[X, N] = T_{X−N}, each the Toeplitz matrix of row X−N of g."""
    f, g = drawn(height, width, seed=seed), drawn(h, w, seed=seed + 1)
    zeros = np.zeros((width + w - 1, width))
    rows = [scipy.linalg.toeplitz(np.r_[row, np.zeros(width - 1)], np.r_[row[0], np.zeros(width - 1)])
            for row in g.numpy()]  # fmt: skip
    blocks = [
        [rows[x - n] if 0 <= x - n < h else zeros for n in range(height)] for x in range(height + h - 1)
    ]
    toeplitz = np.block(blocks)
    close(toeplitz @ f.numpy().ravel(), by_definition(f, g).flatten())
    if h == w:  # the same matrix from the layer that slides the turned filter
        turned = g.flip(0, 1)[None, None]
        close(convolution_matrix(turned, (height, width), padding=h - 1), toeplitz)


# --- shifts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (-2, 3), (4, 4)])
def test_circular_convolution_commutes_with_shifts(shift: tuple[int, int]) -> None:
    f, g = drawn(6, 7), drawn(3, 4, seed=1)
    close(
        convolve(f.roll(shift, (0, 1)), g, circular=True), convolve(f, g, circular=True).roll(shift, (0, 1))
    )
    layer = torch.nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    images = drawn(2, 2, 6, 7, seed=2)
    with torch.no_grad():
        close(layer(images.roll(shift, (2, 3))), layer(images).roll(shift, (2, 3)))


def test_zeros_around_the_image_break_the_symmetry_at_the_border_only() -> None:
    layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    images = drawn(1, 1, 8, 8)
    with torch.no_grad():
        gap = (layer(images.roll(1, 3)) - layer(images).roll(1, 3)).abs()
    close(gap[..., 2:-1], torch.zeros_like(gap[..., 2:-1]))
    assert float(gap[..., :2].max()) > 0.01


def test_every_linear_map_that_commutes_with_shifts_is_a_convolution() -> None:
    """The other direction: average any matrix over all shifts, and what is left is f∗g for one g."""
    side = 4
    matrix = drawn(side * side, side * side).reshape(side, side, side, side)
    shifts = itertools.product(range(side), repeat=2)
    averaged = torch.stack([matrix.roll((a, b, a, b), (0, 1, 2, 3)) for a, b in shifts]).sum(0)
    f, g = drawn(side, side, seed=1), averaged[:, :, 0, 0]  # what it makes of a single bright pixel
    close(torch.einsum("xynm,nm->xy", averaged, f), convolve(f, g, circular=True))


@pytest.mark.parametrize("shift", [(2, 0), (0, 2), (-4, 2), (6, 6)])
def test_pooling_commutes_with_even_shifts(shift: tuple[int, int]) -> None:
    images = drawn(2, 3, 8, 6)
    half = shift[0] // 2, shift[1] // 2
    pooled = F.max_pool2d(images, 2)
    assert pooled.shape == (2, 3, 4, 3)  # each side is halved
    assert torch.equal(F.max_pool2d(images.roll(shift, (2, 3)), 2), pooled.roll(half, (2, 3)))


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (3, 2)])
def test_pooling_does_not_commute_with_odd_shifts(shift: tuple[int, int]) -> None:
    """No shift of the pooled maps is the pooled map of the shifted image: other windows are compared."""
    images = drawn(1, 1, 8, 6)
    pooled, moved = F.max_pool2d(images, 2), F.max_pool2d(images.roll(shift, (2, 3)), 2)
    for a, b in itertools.product(range(4), range(3)):
        assert not torch.equal(moved, pooled.roll((a, b), (2, 3)))


def test_pooling_by_hand() -> None:
    image = torch.tensor([[1.0, 2, 5, 3], [4, 0, 1, 1], [7, 1, 0, 0], [2, 6, 0, -1]])
    assert F.max_pool2d(image[None, None], 2)[0, 0].tolist() == [[4, 5], [7, 0]]


# --- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
def test_conv_output_size_is_torchs(kernel: int, stride: int) -> None:
    for size, padding in itertools.product(range(1, 14), range(5)):
        expected = conv_output_size(size, kernel, padding, stride)
        if size + 2 * padding < kernel:
            assert expected < 1
            continue
        image, filter_ = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
        assert F.conv1d(image, filter_, padding=padding, stride=stride).shape[-1] == expected


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40),
    kernel=st.integers(1, 7),
    padding=st.integers(0, 3),
    stride=st.none() | st.integers(1, 5),
)
def test_conv_output_size_is_that_of_pooling_too(
    size: int, kernel: int, padding: int, stride: int | None
) -> None:
    assume(padding <= kernel // 2 and size + 2 * padding >= kernel)  # what torch allows
    expected = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding).shape[-1]
    assert conv_output_size(size, kernel, padding, stride or kernel) == expected


@given(size=st.integers(1, 10**6), kernel=st.integers(0, 40).map(lambda half: 2 * half + 1))
def test_same_padding_keeps_the_size(size: int, kernel: int) -> None:
    assert conv_output_size(size, kernel, same_padding(kernel)) == size


def test_no_padding_keeps_the_size_of_an_even_kernel() -> None:
    assert all(conv_output_size(9, 4, padding) != 9 for padding in range(9))
    with pytest.raises(InputError, match=r"model\.kernel: 4 is even"):
        same_padding(4)
