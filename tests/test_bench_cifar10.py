"""What `nnlab bench cifar10` compares: that both programs do the same, and that the parts make a step."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nnlab.bench import cifar10, plain_training, step_profile
from nnlab.bench.cifar10 import BATCH, CROP, data_set, find_images, noise
from nnlab.bench.train import trainer_seconds
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import Augmentation, Draws, RawData
from nnlab.lab.config import check, read_source
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Silence
from nnlab.models import layer_table
from nnlab.models.speed_cnn import SpeedCNN


class Said(Silence):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture(scope="module")
def raw() -> RawData:
    return noise(600)


@pytest.mark.parametrize("kind", ["pil", "tensor"])
def test_every_rivals_image_is_one_that_nnlab_could_draw(raw: RawData, kind: str) -> None:
    """Of 5 · 5 shifts and 2 sides: the same padding, the same order, the same mean and deviation."""
    data = data_set(raw, asked := Augmentation("random", CROP))
    image = data.train.inputs[:1]
    steps = range(-CROP, CROP + 1)
    ways = list(itertools.product(steps, steps, (False, True)))
    draws = Draws(torch.tensor([m for *_, m in ways]), torch.tensor([s for *s, _ in ways]), None)
    possible = data.normalize(asked.apply(image.expand(len(ways), -1, -1, -1), draws))
    moments = [(v / 255).flatten().tolist() for v in (data.mean, data.std)]
    transform = plain_training.random_transform(kind == "tensor", (32, 32), CROP, *moments)
    pixels = image[0].permute(1, 2, 0).contiguous().numpy()
    rival = [transform(Image.fromarray(pixels) if kind == "pil" else image[0]) for _ in range(60)]
    nearest = torch.stack([(possible - theirs).abs().amax((1, 2, 3)).min() for theirs in rival])
    assert nearest.max() < 1e-5  # (x/255 − μ/255)/(σ/255) in place of (x − μ)/σ, both in float32
    drawn = {int((possible - theirs).abs().amax((1, 2, 3)).argmin()) for theirs in rival}
    assert len(drawn) > 20  # of 50 ways, 60 draws meet about 35


def test_delivery_counts_every_image(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "THEIR_BATCHES", 1)
    data = data_set(raw, Augmentation("random", CROP))
    loaders = cifar10.rivals(data)
    assert len(loaders) == 4
    for label in ("transforms on PIL images, 0 workers", "transforms.v2 on tensors, 0 workers"):
        assert 0 < loaders[label]() < 1
    assert 0 < cifar10.ours_once(data) < 1
    assert len(data.train) > BATCH


def test_images_come_from_files_or_are_noise_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar10, "noise", lambda examples: noise(examples // 100))
    said = Said()
    assert len(find_images(said).train) == 500
    assert "timings are on noise" in said.messages[0]
    rng = np.random.default_rng(0)
    for split, name in itertools.product(("train", "test"), "abcdefghij"):
        folder = tmp_path / "cifar10-jpeg" / split / name
        folder.mkdir(parents=True)
        pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "0.png")
    assert len(find_images(said := Said()).train) == 10
    assert said.messages == []


def small_config(**training: object) -> TrainingExperiment:
    source = read_source("cnn_cifar10_fast")
    source.values["data"]["batch_size"] = 40
    source.values["model"]["channels"] = [8, 16, 16]
    source.values["training"] |= {"device": "cpu", "micro_batch": None, **training}
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def test_steps_of_both_programs_are_timed(raw: RawData) -> None:
    config = small_config()
    data = cifar10.data_of(config, raw)
    done: list[int] = []
    assert trainer_seconds(config, data, 2, done.append) > 0
    assert done == [1, 2, 3]
    assert cifar10.bare_seconds(config, data, 2) > 0


def test_the_parts_of_a_step_make_the_step(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_profile, "SIDE", 128)
    config = small_config()
    data = cifar10.data_of(config, raw)
    whole, *parts = step_profile.profile_rows(config, data)
    assert sum(row["nnlab"] for row in parts) == pytest.approx(whole["nnlab"], rel=1e-6)
    names = {str(row["what"]).removeprefix("of a step: ") for row in parts}
    seen = {"augmentation and batches", "batch norm", "GELU", "pooling", "optimizer", "linear layer"}
    assert names >= seen | {
        f"convolution {part}" for part in ("forward", "input gradient", "weight gradient")
    }
    rest = next(row for row in parts if row["what"] == "of a step: the rest")
    assert rest["nnlab"] < 0.6 * whole["nnlab"]  # a small step is much interpreter, and that is the rest


def test_the_floor_is_that_of_the_multiply_adds(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whitening has no gradient, and its maps are not differentiated: the first block's input neither."""
    monkeypatch.setattr(step_profile, "matrix_product_rate", lambda dtype: 1e9)
    config = small_config()
    _, *parts = step_profile.profile_rows(config, cifar10.data_of(config, raw))
    floors = {str(row["what"]).removeprefix("of a step: "): row["other"] for row in parts}
    model = SpeedCNN(
        (3, 32, 32), [8, 16, 16], 10, examples=torch.rand(9, 3, 32, 32), generator=torch.Generator()
    )
    adds = [row.multiply_adds for row in layer_table(model, (3, 32, 32)) if "convolution" in row.kind]
    per_batch = 1e3 * 2 * 40 / 1e9
    assert floors["convolution forward"] == pytest.approx(per_batch * sum(adds))
    assert floors["convolution weight gradient"] == pytest.approx(per_batch * sum(adds[1:]))
    assert floors["convolution input gradient"] == pytest.approx(per_batch * sum(adds[2:]))
    assert floors["batch norm"] is None
