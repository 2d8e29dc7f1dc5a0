"""A batch of one with batch norm is refused before the training, with a batch size that helps."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import ConfigError, InputError
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.lab.training_run import build_parts
from nnlab.training.batch_norm import (
    forward_sizes,
    needs_two,
    refuse_batches_of_one,
    refuse_evaluations_of_one,
)
from nnlab.training.distributed import World
from nnlab.training.evaluation import BATCH


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("micro_batch", [None, 1, 2, 3, 5])
def test_the_sizes_are_those_of_the_training_loop(micro_batch: int | None, processes: int) -> None:
    for examples, batch_size in product(range(1, 14), range(1, 16)):
        size, seen = min(batch_size, examples), set()
        for batch in torch.arange(examples).split(size):
            for rank in range(processes):
                mine = batch[World(rank, processes).share(len(batch)).part]
                parts = 1 if micro_batch is None else -(-len(mine) // micro_batch)
                seen |= {len(part) for part in mine.tensor_split(parts)}
        assert forward_sizes(examples, size, micro_batch, processes) == seen, (examples, batch_size)


class Functional(nn.Module):
    """Batch norm that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(self.layer(x), None, None, training=self.training)


class Frozen(nn.Sequential):
    """Batch norm that keeps its statistics in training, too."""

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        self[1].eval()
        return self


FLAT = {
    "batch norm": (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout()), "1"),
    "batch norm below": (nn.Sequential(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))), "0.1"),
    "a function": (Functional(), ""),
    "frozen batch norm": (Frozen(nn.Linear(3, 2), nn.BatchNorm1d(2)), None),
    "layer norm": (nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), None),
    "none": (nn.Linear(3, 2), None),
}
IMAGES = {
    "maps of several pixels": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), None),
    "maps of one pixel": (nn.Sequential(nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2)), "1"),
    "pooled maps": (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(1)), "2"),
}


@pytest.mark.parametrize("name", [*FLAT, *IMAGES])
def test_the_layer_is_named_and_the_model_stays_as_it_is(name: str) -> None:
    model, layer = {**FLAT, **IMAGES}[name]
    inputs = torch.randn(1, 3) if name in FLAT else torch.randn(1, 1, 4, 4)
    model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    assert needs_two(model, inputs) == layer
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    if layer is not None:  # it is torch that cannot
        model.train()
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(inputs)


@pytest.mark.parametrize("examples", [1, 2, 512, 513, 1025])
@pytest.mark.parametrize("tracked", [False, True])
def test_batch_norm_without_running_statistics_is_not_evaluated_on_one(examples: int, tracked: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=tracked))
    alone = any(len(block) == 1 for block in torch.zeros(examples).split(BATCH))
    if not alone or tracked:
        refuse_evaluations_of_one(model, torch.zeros(1, 3), {"training": 7, "test": examples})
        return
    with pytest.raises(InputError, match=f"the test split has {examples:,} examples, .* \\(layer 1\\)"):
        refuse_evaluations_of_one(model, torch.zeros(1, 3), {"training": 7, "test": examples})


@pytest.mark.parametrize(
    ("examples", "batch_size", "micro_batch", "processes"),
    [
        (65, 32, None, 1), (129, 64, None, 1), (33, 32, None, 1), (1, "full", None, 1), (10, 3, None, 1),
        (64, 32, 31, 1), (12, 4, 3, 1), (9, "full", 2, 1), (10, 5, 1, 1), (20, 1, None, 1),
        (64, 3, None, 2), (10, 4, None, 3), (7, "full", None, 6),
    ],
)  # fmt: skip
def test_what_is_recommended_helps(
    examples: int, batch_size: Any, micro_batch: int | None, processes: int
) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    size = examples if batch_size == "full" else batch_size
    if 1 not in forward_sizes(examples, size, micro_batch, processes):
        refuse_batches_of_one(
            model, torch.zeros(1, 3), examples=examples, batch_size=batch_size,
            micro_batch=micro_batch, processes=processes,
        )  # fmt: skip
        return
    with pytest.raises(InputError, match=r"batch norm \(layer 1\)") as error:
        refuse_batches_of_one(
            model, torch.zeros(1, 3), examples=examples, batch_size=batch_size,
            micro_batch=micro_batch, processes=processes,
        )  # fmt: skip
    remedy = re.search(r"--set (data\.batch_size|training\.micro_batch)=(\d+)", str(error.value))
    if remedy is None:
        assert micro_batch == 1 or examples == 1 or processes > examples // 2
        return
    key, number = remedy[1], int(remedy[2])
    better = (number, micro_batch) if key == "data.batch_size" else (size, number)
    assert 1 not in forward_sizes(examples, better[0], better[1], processes)
    assert f"{key}: {batch_size if key == 'data.batch_size' else micro_batch}" in str(error.value)


def config_of(**changes: Any) -> TrainingExperiment:
    values: dict[str, Any] = {
        "experiment": "classify",
        "data": {"name": "digits", "batch_size": 431, "validation": 0.1},  # 1,294 are left: 3 · 431 + 1
        "model": {"name": "cnn", "channels": [2, 2, 2], "batch_norm": True},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "training": {"epochs": 1},
    }
    for key, value in changes.items():
        values[key] = values[key] | value
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


FACTORY = """
from torch import nn

def network(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, outputs))
"""


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, "data.batch_size: 431: the last batch of an epoch has 1 of the 1,294 training examples"),
        (
            {"data": {"batch_size": 9}, "training": {"micro_batch": 2}},
            "training.micro_batch: 2: a batch of 9",
        ),
        ({"data": {"batch_size": 9}}, None),
    ],
)
def test_a_custom_model_is_refused_before_its_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], part: str | None
) -> None:
    (tmp_path / "own_batch_norm.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    model = {"name": "custom", "factory": "own_batch_norm:network"}
    config = config_of(model={}, **changes)
    values = {**config.model_dump(), "model": model}
    config = type(config).model_validate(values)
    session = Session(allow_custom_code=True, experiments=EXPERIMENTS)
    if part is None:
        build_parts(config, session)
        return
    with pytest.raises(InputError, match=r"batch norm \(layer 2\)") as error:
        runner.run(config, tmp_path / "runs", session)
    assert part in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_maps_of_several_pixels_have_statistics() -> None:
    session = Session()
    for size in (1, 3, 431):
        build_parts(config_of(data={"batch_size": size}), session)


def test_patience_needs_examples_that_are_held_out() -> None:
    with pytest.raises(InputError, match=r"training\.patience: 3 .*--set data\.validation=0\.1"):
        build_parts(
            config_of(data={"validation": 0.0}, model={"channels": [2]}, training={"patience": 3}), Session()
        )
    build_parts(config_of(model={"channels": [2]}, training={"patience": 3}), Session())


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"data": {"batch_size": 2000}}, "data.batch_size: 2,000 is more than the 1,294 training examples"),
        (
            {"training": {"epochs": 2, "patience": 1, "evaluate_every": 2}},
            "training.patience: 1 has no effect",
        ),
        ({"optimizer": {"schedule": {"name": "step"}}}, "training.epochs: 1 the step size never falls"),
        ({"optimizer": {"schedule": {"name": "constant", "warmup_epochs": 0.1}}}, "there is no warm-up"),
        ({"data": {"batch_size": 1294}}, None),
    ],
)
def test_what_has_no_effect_is_mentioned_once(changes: dict[str, Any], part: str | None) -> None:
    session = Session()
    lines: list[str] = []
    session.reporter.say = lines.append  # type: ignore[method-assign, assignment]
    for _ in range(2):
        build_parts(config_of(**{"model": {"channels": [2]}, **changes}), session)
    assert len(lines) == (part is not None)
    assert part is None or part in lines[0]


def test_patience_without_validation_passes_the_check_of_configs() -> None:
    """An image folder may bring a split of its own, so that only reading the data tells."""
    try:
        config_of(data={"validation": 0.0}, training={"patience": 3})
    except ConfigError as error:
        pytest.fail(str(error))
