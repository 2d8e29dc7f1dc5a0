"""Claims about a convolutional network, of every kind that a config can ask for, and of a false one."""

from typing import Any

import pytest
import torch
from torch import nn

from nnlab.chapters.convolution.claims import cnn_claims, receptive_field
from nnlab.models import CNN


def verdicts(
    model: CNN, padding: int | None = None, shape: tuple[int, int, int] = (2, 9, 8)
) -> dict[str, str]:
    images = torch.randn(6, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scores = model.eval()(images)
    return {c.name: c.verdict for c in cnn_claims(model, images, scores, padding=padding, exactness=1e-4)}


def network(**settings: Any) -> CNN:
    model = CNN((2, 9, 8), [4, 3], 3, generator=torch.Generator().manual_seed(0), **settings)
    with torch.no_grad():
        for parameter in model.parameters():  # biases start at 0, and tell nothing then
            parameter.add_(0.05)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bias": False},
        {"batch_norm": True},
        {"activation": "maxout", "pieces": 3},
        {"activation": "tanh", "kernel": 1},
        {"kernel": 2, "padding": 1},
    ],
    ids=str,
)
def test_claims_hold_for_every_network(settings: dict[str, Any]) -> None:
    decided = verdicts(network(**settings), settings.get("padding"))
    assert len(decided) == 6
    assert set(decided.values()) == {"PASS"}


def test_a_network_that_pools_by_means_is_another_one() -> None:
    decided = verdicts(network(pooling="average"))
    assert decided["scores_are_convolutions_with_activations_between"] == "FAIL"
    assert decided["pooling_acts_on_each_map_by_itself"] == "FAIL"


def test_one_that_mixes_maps_in_its_pooling_is_another_one() -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.max_pool2d(x.amax(1, keepdim=True).expand_as(x), 2)

    model = network()
    model.pools[0] = Mixed()
    assert verdicts(model)["pooling_acts_on_each_map_by_itself"] == "FAIL"


def test_one_that_uses_the_place_does_not_move_with_the_image() -> None:
    class Graded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.linspace(1, 2, x.shape[3], dtype=x.dtype)

    model = network()
    model.activations[0] = Graded()
    assert verdicts(model)["maps_move_with_the_image"] == "FAIL"


@pytest.mark.parametrize(("kernel", "blocks", "side"), [(3, 1, 4), (3, 2, 10), (1, 3, 8), (5, 2, 16)])
def test_receptive_field_by_walking_back_through_the_blocks(kernel: int, blocks: int, side: int) -> None:
    seen = 1
    for _ in range(blocks):
        seen = 2 * seen + kernel - 1  # two pixels for each one behind the pooling, and the filter around them
    assert receptive_field(kernel, blocks) == seen == side
