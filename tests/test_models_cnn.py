"""The convolutional network against scipy's correlation, pooling by hand, and torch's own sizes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from torch.nn import functional as F

from nnlab.errors import InputError
from nnlab.models import CNN, get_activation
from nnlab.models.cnn import conv_output_size, pool_output_size


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 12), kernel=st.integers(1, 5), padding=st.integers(0, 3), stride=st.integers(1, 4))
def test_conv_output_size_is_torchs(size: int, kernel: int, padding: int, stride: int) -> None:
    assume(size + 2 * padding >= kernel)
    image, filter_ = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
    expected = F.conv1d(image, filter_, padding=padding, stride=stride).shape[-1]
    assert conv_output_size(size, kernel, padding, stride) == expected


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.none() | st.integers(1, 4))
def test_pool_output_size_is_torchs(size: int, kernel: int, stride: int | None) -> None:
    assume(size >= kernel)
    expected = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride).shape[-1]
    assert pool_output_size(size, kernel, stride=stride) == expected


def by_hand(image: np.ndarray, filters: np.ndarray, bias: np.ndarray, pieces: int) -> np.ndarray:
    """One block on one image (C, H, W): correlation with zeros outside, ReLU or maxout, 2 × 2 maxima."""
    maps = np.stack(
        [
            sum(correlate2d(channel, kernel, mode="same") for channel, kernel in zip(image, f, strict=True))
            + b
            for f, b in zip(filters, bias, strict=True)
        ]
    )
    if pieces == 1:
        maps = np.maximum(0, maps)
    else:
        maps = np.stack([maps[i : i + pieces].max(axis=0) for i in range(0, len(maps), pieces)])
    height, width = maps.shape[1] // 2, maps.shape[2] // 2  # an odd last row or column is left out
    pooled = np.empty((len(maps), height, width))
    for i in range(height):
        for j in range(width):
            pooled[:, i, j] = maps[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(1, 2))
    return pooled


@pytest.mark.parametrize(("activation", "pieces"), [("relu", 1), ("maxout", 3)])
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_two_blocks_by_hand(activation: str, pieces: int, size: tuple[int, int]) -> None:
    model = CNN((2, *size), [3, 2], 4, activation, pieces=pieces, generator=seeded()).double()
    with torch.no_grad():
        for convolution in model.convolutions:
            convolution.bias.normal_(generator=seeded(1))
    images = torch.randn(2, 2, *size, dtype=torch.float64, generator=seeded(2))
    scores = model(images).detach().numpy()
    f1, b1, f2, b2, w, b = (p.detach().numpy() for p in model.parameters())
    for image, score in zip(images.numpy(), scores, strict=True):
        features = by_hand(by_hand(image, f1, b1, pieces), f2, b2, pieces)
        np.testing.assert_allclose(score, w @ features.ravel() + b, rtol=1e-10, atol=1e-12)


def test_initial_variances_count_nine_weights_per_input_map() -> None:
    model = CNN((3, 8, 8), [64, 128], 100, "tanh", generator=seeded())
    gain = get_activation("tanh").gain
    first, second = model.convolutions
    for layer, fan_in in ((first, 27), (second, 64 * 9), (model.output, 128 * 4)):
        variance = layer.weight.double().square().mean().item()
        assert variance == pytest.approx(gain**2 / fan_in, rel=5 * math.sqrt(2 / layer.weight.numel()))
        assert not layer.bias.any()


def test_parameter_count_without_biases() -> None:
    model = CNN((1, 8, 8), [16, 32], 10, bias=False, generator=seeded())
    assert sum(p.numel() for p in model.parameters()) == 16 * 9 + 32 * 16 * 9 + 10 * 32 * 2 * 2


def test_start_is_the_seeds_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    a, b, other = (CNN((1, 4, 4), [2], 3, generator=seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.output.weight, other.output.weight)


def test_smallest_image_that_three_blocks_take() -> None:
    assert CNN((1, 8, 15), [2, 2, 2], 3, generator=seeded())(torch.zeros(2, 1, 8, 15)).shape == (2, 3)


def test_stack_that_shrinks_the_image_away() -> None:
    with pytest.raises(InputError) as caught:
        CNN((1, 8, 12), [4, 4, 4, 4], 10, generator=seeded())
    message = str(caught.value)
    assert message.startswith(
        "model.channels: [4, 4, 4, 4]: the 2 × 2 pooling of block 4 does not fit on a map"
    )
    assert "of 1 × 1 (8 × 12 → 4 × 6 → 2 × 3 → 1 × 1); give at most 3 blocks" in message


def test_sizes_below_one() -> None:
    with pytest.raises(InputError, match="every size must be at least 1"):
        CNN((1, 8, 8), [0], 10, generator=seeded())
