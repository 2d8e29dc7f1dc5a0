"""The convolutional network against scipy's correlation, pooling, batch norm and dropout by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from nnlab.errors import InputError
from nnlab.models import CNN, get_activation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


Numbers = np.ndarray


def correlated(image: Numbers, filters: Numbers, padding: int = 1) -> Numbers:
    """One activation map per filter (C, k, k), from an image (C, H, W) with zeros around it."""
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    return np.stack(
        [sum(correlate2d(c, k, mode="valid") for c, k in zip(padded, f, strict=True)) for f in filters]
    )


def activated_and_pooled(maps: Numbers, pieces: int = 1) -> Numbers:
    """ReLU or maxout, then 2 × 2 maxima; an odd last row or column is left out."""
    if pieces == 1:
        maps = np.maximum(0, maps)
    else:
        maps = np.stack([maps[i : i + pieces].max(axis=0) for i in range(0, len(maps), pieces)])
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    pooled = np.empty((len(maps), height, width))
    for i in range(height):
        for j in range(width):
            pooled[:, i, j] = maps[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(1, 2))
    return pooled


def block(image: Numbers, filters: Numbers, bias: Numbers, pieces: int = 1, padding: int = 1) -> Numbers:
    return activated_and_pooled(correlated(image, filters, padding) + bias[:, None, None], pieces)


def convolutions(model: CNN) -> list[nn.Conv2d]:
    return [layer for layer in model.convolutions if isinstance(layer, nn.Conv2d)]


def numbers(model: CNN) -> list[Numbers]:
    return [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize(("activation", "pieces"), [("relu", 1), ("maxout", 3)])
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_two_blocks_by_hand(activation: str, pieces: int, size: tuple[int, int]) -> None:
    model = CNN((2, *size), [3, 2], 4, activation, pieces=pieces, generator=seeded()).double()
    with torch.no_grad():
        for convolution in convolutions(model):
            assert convolution.bias is not None
            convolution.bias.normal_(generator=seeded(1))
    images = torch.randn(2, 2, *size, dtype=torch.float64, generator=seeded(2))
    scores = model(images).detach().numpy()
    f1, b1, f2, b2, w, b = numbers(model)
    for image, score in zip(images.numpy(), scores, strict=True):
        features = block(block(image, f1, b1, pieces), f2, b2, pieces)
        np.testing.assert_allclose(score, w @ features.ravel() + b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kernel", "padding", "side"), [(5, 0, 1), (5, None, 4), (4, 2, 5), (1, 1, 5)])
def test_other_filters_by_hand(kernel: int, padding: int | None, side: int) -> None:
    """17 pixels become (17 + 2·padding − kernel + 1)//2, and these likewise the side that is left."""
    arguments: dict[str, Any] = {"kernel": kernel, "padding": padding, "bias": False, "generator": seeded()}
    model = CNN((1, 17, 17), [3, 2], 4, **arguments).double()
    image = torch.randn(1, 1, 17, 17, dtype=torch.float64, generator=seeded(2))
    f1, f2, w = numbers(model)
    around = 2 if padding is None else padding
    features = block(
        block(image[0].numpy(), f1, np.zeros(3), padding=around), f2, np.zeros(2), padding=around
    )
    assert features.shape == (2, side, side)
    np.testing.assert_allclose(model(image)[0].detach().numpy(), w @ features.ravel(), rtol=1e-10)


def test_batch_norm_by_hand() -> None:
    """Maps are standardized over examples and places; in evaluation, by running means of what was seen."""
    model = CNN((2, 6, 6), [3], 4, batch_norm=True, generator=seeded()).double()
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 2, 3, 3), (3,), (3,), (4, 27), (4,)]
    assert model.convolutions[0].bias is None  # the shift of the norm is the bias
    norm = model.norms[0]
    with torch.no_grad():
        norm.weight.uniform_(generator=seeded(1))
        norm.bias.normal_(generator=seeded(2))
    images = torch.randn(5, 2, 6, 6, dtype=torch.float64, generator=seeded(3))
    filters, scale, shift, w, b = numbers(model)
    maps = np.stack([correlated(image, filters) for image in images.numpy()])
    mean, variance = maps.mean((0, 2, 3)), maps.var((0, 2, 3))

    def scores(mean: Numbers, variance: Numbers) -> Numbers:
        each = [x[:, None, None] for x in (mean, variance, scale, shift)]
        normed = (maps - each[0]) / np.sqrt(each[1] + norm.eps) * each[2] + each[3]
        return np.stack([w @ activated_and_pooled(m).ravel() + b for m in normed])

    np.testing.assert_allclose(model(images).detach().numpy(), scores(mean, variance), rtol=1e-10)
    running = 0.9 + 0.1 * variance * maps[:, 0].size / (maps[:, 0].size - 1)
    model.eval()
    np.testing.assert_allclose(model(images).detach().numpy(), scores(0.1 * mean, running), rtol=1e-10)


def test_dropout_keeps_the_mean_and_is_off_in_evaluation() -> None:
    model = CNN((1, 4, 4), [8], 3, dropout=0.25, generator=seeded()).double()
    image = torch.randn(1, 1, 4, 4, dtype=torch.float64, generator=seeded(1))
    images = image.expand(20_000, -1, -1, -1)
    plain = CNN((1, 4, 4), [8], 3, generator=seeded()).double()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        scores = model(images)
        again = model(images[:5])
        torch.manual_seed(0)
        assert torch.equal(model(images), scores)  # torch's own generator draws, as checkpoints expect
        assert not torch.equal(again, scores[:5])
        expected = plain(image)
        # each of the F features counts h/0.75 with probability 0.75, else 0: variance Σ (w h)²/3
        features = plain.pools[0](plain.activations[0](plain.convolutions[0](image))).flatten()
        deviation = ((plain.output.weight * features).square().sum(1) / 3).sqrt()
        assert torch.allclose(scores.std(0), deviation, rtol=0.03)
        assert bool(((scores.mean(0) - expected).abs() < 5 * deviation / math.sqrt(20_000)).all())
        assert torch.equal(model.eval()(image), expected)


def test_channels_last_changes_no_value() -> None:
    """The order of the images in memory is not the images."""
    model = CNN((3, 8, 8), [4, 5], 3, generator=seeded()).double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=seeded(1))
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(last), model(images), rtol=1e-12, atol=1e-12)
    assert convolutions(model)[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_initial_variances_count_nine_weights_per_input_map() -> None:
    model = CNN((3, 8, 8), [64, 128], 100, "tanh", generator=seeded())
    gain = get_activation("tanh").gain
    first, second = convolutions(model)
    for layer, fan_in in ((first, 27), (second, 64 * 9), (model.output, 128 * 4)):
        variance = layer.weight.double().square().mean().item()
        assert variance == pytest.approx(gain**2 / fan_in, rel=5 * math.sqrt(2 / layer.weight.numel()))
        assert layer.bias is not None
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


def refusal(shape: tuple[int, int, int], channels: list[int], **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        CNN(shape, channels, 10, generator=seeded(), **arguments)
    return str(caught.value)


def test_pooling_that_shrinks_the_image_away() -> None:
    message = refusal((1, 8, 12), [4, 4, 4, 4])
    assert message == (
        "model.channels: [4, 4, 4, 4]: the 2 × 2 pooling of block 4 shrinks a map of 1 × 1 to 0 × 0 "
        "(8 × 12 → 4 × 6 → 2 × 3 → 1 × 1); give at most 3 blocks for these images, or more model.padding"
    )


def test_convolution_that_shrinks_the_image_away() -> None:
    message = refusal((1, 9, 30), [4, 4], kernel=5, padding=0)
    assert "the 5 × 5 convolution of block 2 shrinks a map of 2 × 13 to 0 × 9" in message
    assert "(9 × 30 → 5 × 26 → 2 × 13); give at most 1 blocks" in message
    message = refusal((1, 3, 3), [4], kernel=5, padding=0)
    assert "the 5 × 5 convolution of block 1 shrinks a map of 3 × 3 to 0 × 0 (3 × 3)" in message
    assert "give a smaller model.kernel" in message


def test_even_kernel_needs_a_padding() -> None:
    assert "model.kernel: 4 is even" in refusal((1, 8, 8), [4], kernel=4)


def test_sizes_below_one() -> None:
    with pytest.raises(InputError, match="every size must be at least 1"):
        CNN((1, 8, 8), [0], 10, generator=seeded())
