"""Layer tables against torch's own count of operations and by hand; activation maps against step by step."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nnlab.models import CNN, MLP, LayerRow, SpeedCNN, activation_maps, layer_table

SHAPE, LARGER = (3, 12, 10), (3, 20, 18)  # speed_cnn needs larger images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cnn(**arguments: Any) -> CNN:
    return CNN(SHAPE, [4, 6], 5, generator=seeded(), **arguments)


class Grouped(nn.Module):
    """Strides, groups and dilation, a convolution in one dimension, and a linear layer at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, (3, 5), stride=2, padding=1, groups=3)
        self.second = nn.Conv2d(6, 4, 3, dilation=2, padding=2, bias=False)
        self.line = nn.Conv1d(4, 3, 4)
        self.everywhere = nn.Linear(21, 7)
        self.scale = nn.Parameter(torch.ones(7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(torch.relu_(self.first(x)))
        return self.scale * self.everywhere(self.line(x.flatten(2)))


def speed() -> SpeedCNN:
    examples = torch.randn(20, *LARGER, generator=seeded(1))
    return SpeedCNN(LARGER, [8, 7, 6], 5, examples=examples, generator=seeded())


MODELS = {
    "cnn": cnn,
    "wide filters": lambda: cnn(kernel=5, padding=1, activation="maxout", pieces=3, batch_norm=True),
    "speed_cnn": speed,
    "mlp": lambda: MLP(360, [20, 10], 5, generator=seeded()),
    "ntk": lambda: MLP(360, [20], 5, parameterization="ntk", generator=seeded()),
    "linear": lambda: MLP(360, [], 5, generator=seeded()),
    "grouped": Grouped,
}


@pytest.mark.parametrize("name", MODELS)
def test_multiply_adds_are_half_of_torchs_operations(name: str) -> None:
    """torch counts a multiplication and an addition as two, and from the operations that really run."""
    model, shape, examples = MODELS[name]().eval(), LARGER if name == "speed_cnn" else SHAPE, 3
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.randn(examples, *shape, generator=seeded(2)))
    rows = layer_table(model, shape)
    assert 2 * examples * sum(row.multiply_adds for row in rows) == counter.get_total_flops() > 0
    by_module = {
        path.split(".", 1)[1]: sum(counts.values())
        for path, counts in counter.get_flop_counts().items()
        if "." in path
    }
    for row in rows:
        if row.multiply_adds:
            assert 2 * examples * row.multiply_adds == by_module[row.name]


@pytest.mark.parametrize("name", MODELS)
def test_parameters_add_up_to_the_models(name: str) -> None:
    model = MODELS[name]()
    rows = layer_table(model, LARGER if name == "speed_cnn" else SHAPE)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert sum(row.trainable for row in rows) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_cnn_by_hand() -> None:
    rows = layer_table(cnn(batch_norm=True, dropout=0.5), SHAPE)
    assert rows == [
        LayerRow("convolutions.0", "convolution 3×3", (4, 12, 10), 108, 108, 12960),
        LayerRow("norms.0", "batch norm", (4, 12, 10), 8, 8, 0),
        LayerRow("activations.0", "relu", (4, 12, 10), 0, 0, 0),
        LayerRow("pools.0", "max-pool 2×2", (4, 6, 5), 0, 0, 0),
        LayerRow("convolutions.1", "convolution 3×3", (6, 6, 5), 216, 216, 6480),
        LayerRow("norms.1", "batch norm", (6, 6, 5), 12, 12, 0),
        LayerRow("activations.1", "relu", (6, 6, 5), 0, 0, 0),
        LayerRow("pools.1", "max-pool 2×2", (6, 3, 2), 0, 0, 0),
        LayerRow("dropout", "dropout 0.5", (36,), 0, 0, 0),
        LayerRow("output", "linear", (5,), 185, 185, 180),
    ]


def test_what_is_not_trained_is_told_apart() -> None:
    rows = {row.name: row for row in layer_table(speed(), LARGER)}
    assert (rows["whitening"].parameters, rows["whitening"].trainable) == (24 * 3 * 2 * 2, 0)
    assert (rows["block1.norm1"].parameters, rows["block1.norm1"].trainable) == (16, 8)
    assert rows["pool"].kind == "max over places"


def test_kinds_of_a_users_own_layers() -> None:
    shared = nn.Linear(9, 9)
    model = nn.Sequential(
        nn.AvgPool2d((2, 1)), nn.Flatten(), shared, nn.SELU(), shared, nn.MaxPool1d(3), nn.Identity()
    )  # fmt: skip
    rows = layer_table(model, (1, 6, 3))
    assert [row.kind for row in rows] == ["average-pool 2×1", "linear", "selu", "linear", "max-pool 3"]
    assert [row.parameters for row in rows] == [0, 90, 0, 0, 0]  # counted once
    assert [row.multiply_adds for row in rows] == [0, 81, 0, 81, 0]  # done twice
    assert layer_table(nn.Linear(4, 2), (4,)) == [LayerRow("Linear", "linear", (2,), 10, 10, 8)]


@pytest.mark.parametrize("activation", ["relu", "maxout", "ripple"])
def test_activation_maps_step_by_step(activation: str) -> None:
    model = cnn(activation=activation, batch_norm=True, dropout=0.9)
    images = torch.randn(2, *SHAPE, generator=seeded(1))
    maps = activation_maps(model, images)
    assert [name for name in maps if name != "features"] == [row.name for row in layer_table(model, SHAPE)]
    model.eval()
    x = images
    with torch.no_grad():
        for k in range(2):
            for part in ("convolutions", "norms", "activations", "pools"):
                x = getattr(model, part)[k](x)
                assert torch.equal(maps[f"{part}.{k}"], x)
        assert torch.equal(maps["features"], x.flatten(1))
        assert torch.equal(maps["dropout"], x.flatten(1))
        assert torch.equal(maps["output"], model(images))


def test_activation_maps_of_other_models() -> None:
    images = torch.randn(2, *SHAPE, generator=seeded(1))
    maps = activation_maps(speed(), torch.randn(2, *LARGER, generator=seeded(1)))
    assert torch.equal(maps["features"], maps["block3.gelu2"].amax((2, 3)))
    network = MLP(360, [7], 5, generator=seeded())
    maps = activation_maps(network, images)
    assert list(maps) == ["hidden.0", "output", "features"]
    assert torch.equal(maps["features"], maps["hidden.0"].relu())
    linear = activation_maps(MLP(360, [], 5, generator=seeded()), images)
    assert torch.equal(linear["features"], images.flatten(1))


def test_maps_are_what_the_layer_returned_also_where_it_is_changed_in_place() -> None:
    model = Grouped()
    images = torch.randn(2, *SHAPE, generator=seeded(1))
    maps = activation_maps(model, images)
    assert float(maps["first"].min()) < 0  # before relu_
    assert torch.equal(maps["first"], model.first(images).detach())
    assert maps["features"].shape == (2, 3 * 21)


def test_a_layer_that_is_used_twice() -> None:
    layer = nn.Linear(4, 4)
    maps = activation_maps(nn.Sequential(layer, nn.ReLU(), layer), torch.randn(2, 4, generator=seeded()))
    assert list(maps) == ["0", "1", "0 (2)", "features"]
    assert torch.equal(maps["0 (2)"], layer(maps["1"]).detach())


def test_looking_changes_nothing() -> None:
    model = cnn(batch_norm=True, dropout=0.5)
    model.norms[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    layer_table(model, SHAPE)
    activation_maps(model, torch.randn(2, *SHAPE, generator=seeded()))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [m.training for m in (model, *model.norms)] == [True, False, True]
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(RuntimeError):
        activation_maps(model, torch.zeros(2, 7, 12, 10))
    assert not any(module._forward_hooks for module in model.modules())
