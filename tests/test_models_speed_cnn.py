"""The fast network: whitened patches, identities at the start, sizes, and what is trained."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nnlab.errors import InputError
from nnlab.models.speed_cnn import COVARIANCE_FLOOR, SpeedCNN, whitening_filters


def pictures(count: int = 64, side: int = 32, channels: int = 3) -> torch.Tensor:
    """Smooth colour images: neighbours and channels are correlated, as in photographs."""
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(count, channels, side // 2, side // 2, generator=g)
    smooth = F.interpolate(noise, size=(side, side), mode="bilinear") + 0.5 * noise[:, :1].mean((2, 3), True)
    return smooth + 0.3 * torch.randn(count, channels, side, side, generator=g)


def built(**changes: Any) -> SpeedCNN:
    arguments: dict[str, Any] = {
        "input_shape": (3, 32, 32), "channels": [8, 12, 16], "outputs": 10, "examples": pictures(),
    }  # fmt: skip
    return SpeedCNN(**arguments | changes, generator=torch.Generator().manual_seed(0))


def test_whitened_patches_are_uncorrelated_and_of_variance_one() -> None:
    images = pictures()
    filters = whitening_filters(images)
    assert filters.shape == (24, 3, 2, 2)
    torch.testing.assert_close(filters[12:], -filters[:12])
    seen = F.conv2d(images, filters[:12]).double().transpose(0, 1).flatten(1)  # (12, places)
    moments = seen @ seen.T / seen.shape[1]
    torch.testing.assert_close(moments, torch.eye(12, dtype=torch.float64), atol=5e-3, rtol=0)
    before = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(1, 4, 5, 0, 2, 3).reshape(12, -1).double()
    covariance = before @ before.T / before.shape[1]
    assert float((covariance - torch.diag(covariance.diag())).abs().max()) > 0.1  # there was something to do


def test_directions_without_variance_stay_finite() -> None:
    constant = torch.ones(4, 3, 8, 8)
    filters = whitening_filters(constant)
    assert bool(filters.isfinite().all())
    assert float(filters.flatten(1).norm(dim=1).max()) <= COVARIANCE_FLOOR**-0.5 * (1 + 1e-5)


def test_filters_start_as_identities() -> None:
    model = built()
    x = torch.randn(2, 24, 9, 9)
    first = model.block1.get_submodule("convolution1")  # 24 maps in, 8 out
    torch.testing.assert_close(first(x), x[:, :8])
    second = model.block2.get_submodule("convolution1")  # 8 in, 12 out: the rest is random
    y = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(second(y)[:, :8], y)
    assert float(second(y)[:, 8:].detach().std()) > 0.1


def test_sizes_and_what_is_trained() -> None:
    model = built()
    assert model(torch.randn(5, 3, 32, 32)).shape == (5, 10)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    norms = {f"block{k}.norm{j}.weight" for k in (1, 2, 3) for j in (1, 2)}
    assert frozen == {"whitening.weight", *norms}
    filters = 9 * (24 * 8 + 8 * 8 + 8 * 12 + 12 * 12 + 12 * 16 + 16 * 16)
    shifts = 2 * (8 + 12 + 16)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == filters + shifts + 160
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in model.parameters() if p.ndim == 4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 17), (3, 64, 40)])
def test_other_images(shape: tuple[int, int, int]) -> None:
    model = built(input_shape=shape, examples=torch.randn(20, *shape))
    assert model(torch.randn(3, *shape)).shape == (3, 10)


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="needs 17 × 17 pixels, but these have 8 × 8"):
        built(input_shape=(3, 8, 8), examples=torch.randn(5, 3, 8, 8))


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    one = built().state_dict()
    torch.manual_seed(2)
    two = built().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
