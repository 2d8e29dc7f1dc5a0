"""Time of a training step on CIFAR-10: nnlab's trainer beside the bare loop with the same model and batch."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnlab.bench import plain_torchvision
from nnlab.bench.cifar10_images import data_set
from nnlab.bench.pairs import interleaved, spread
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import Augmentation, DataSet, RawData
from nnlab.errors import Interrupted
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import CrossEntropyLoss, Data, Hardware, ImageSection, TrainingExperiment
from nnlab.lab.session import Reporter, Session
from nnlab.lab.training_run import Parts, build_parts, train
from nnlab.record import Record

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A shipped config, how many steps one timing takes, and how many pairs at most."""

    config: str
    steps: int
    pairs: int
    sets: tuple[str, ...] = ()
    remark: str = ""


CASES = (
    # The bare loop has no penalty on the weights, so that the trainer goes without as well.
    Case("cnn_cifar10", 15, 15, ("loss.regularization.name=none", "loss.regularization.strength=0.0")),
    Case("cnn_cifar10_fast", 3, 5, ("training.micro_batch=null",), ", whole batches"),
    Case("cnn_cifar10_fast", 3, 5),
)


@dataclass
class TimedSession(Session):
    """A session with its data at hand, which takes the time after every step and ends a training early.

    Attributes:
        data_set: what every config is given.
        steps: to be timed, after a first one that is not.
        at: called after every step with the number of steps done.
    """

    data_set: DataSet | None = None
    steps: int = 1
    at: Callable[[int], None] = lambda step: None
    stamps: list[float] = field(default_factory=list)

    def data(self, section: Data, hardware: Hardware) -> DataSet:
        assert self.data_set is not None
        return self.data_set

    def stop(self) -> bool:
        self.stamps.append(time.perf_counter())
        self.at(len(self.stamps))
        return len(self.stamps) > self.steps

    @property
    def seconds(self) -> float:
        """Of all timed steps together."""
        return self.stamps[-1] - self.stamps[0]


def step_rows(raw: RawData, pairs: int, reporter: Reporter) -> list[Row]:
    """Milliseconds a step of every case.

    The trainer is timed with all it does in `nnlab train`: augmentation, batches, the log. The bare loop
    finds its batches ready, augmented and standardized.
    """
    return [_row(case, raw, min(pairs, case.pairs), reporter) for case in CASES]


def _row(case: Case, raw: RawData, pairs: int, reporter: Reporter) -> Row:
    config = config_of(case.config, case.sets)
    data = data_of(config, raw)
    label = f"{case.config}{case.remark}"
    times = interleaved(
        lambda: trainer_seconds(config, data, case.steps),
        lambda: bare_seconds(config, data, case.steps),
        pairs,
        reporter,
        f"{label} against the bare loop",
    )
    ours, theirs = (1e3 * statistics.median(column) / case.steps for column in zip(*times, strict=True))
    return {
        "what": f"step of {label}",
        "against": "bare loop, whole batches",
        "unit": "ms",
        "nnlab": ours,
        "other": theirs,
        **spread("ratio", [own / other for own, other in times]),
        "pairs": len(times),
    }


def config_of(name: str, sets: tuple[str, ...] = ()) -> TrainingExperiment:
    """The shipped config, on the CPU, all images for training, no checkpoint while the time is taken."""
    source = read_source(name)
    apply_sets(source, ["training.device=cpu", "data.validation=0", "training.checkpoint_seconds=1e9", *sets])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def data_of(config: TrainingExperiment, raw: RawData) -> DataSet:
    """The images with the augmentation that the config asks for."""
    assert isinstance(config.data, ImageSection)
    asked = config.data.augmentation
    some = asked.flip != "none" or asked.crop or asked.cutout
    return data_set(raw, Augmentation(asked.flip, asked.crop, asked.cutout) if some else None)


def trainer_seconds(
    config: TrainingExperiment, data: DataSet, steps: int, at: Callable[[int], None] = lambda step: None
) -> float:
    """Of so many steps of `nnlab train`, from the end of the first one on.

    Args:
        at: called after every step with the number of steps done.
    """
    session = TimedSession(data_set=data, steps=steps, at=at)
    parts = build_parts(config, session)
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path(folder), config.experiment, "", {})
        record.start()
        with contextlib.suppress(Interrupted):
            train(config, parts, record, session)
        record.close()
    return session.seconds


def bare_seconds(config: TrainingExperiment, data: DataSet, steps: int) -> float:
    """Of so many steps of the bare loop, after one that is not counted."""
    parts = build_parts(config, TimedSession(data_set=data))
    assert isinstance(config.loss, CrossEntropyLoss)
    smoothing, bfloat16 = config.loss.label_smoothing, config.training.precision == "bfloat16"
    batches = ready_batches(parts, int(config.data.batch_size), 1 + steps)
    plain_torchvision.train(parts.model, parts.optimizer, batches[:1], smoothing, bfloat16)
    began = time.perf_counter()
    plain_torchvision.train(parts.model, parts.optimizer, batches[1:], smoothing, bfloat16)
    return time.perf_counter() - began


def ready_batches(parts: Parts, size: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """The first batches of an epoch, as the trainer would make them."""
    data, generator = parts.data, torch.Generator().manual_seed(0)
    order, examples = torch.randperm(len(data.train), generator=generator), len(data.train)
    height, width = data.input_shape[1:]
    drawn = data.augmentation and data.augmentation.draw(examples, 0, (height, width), generator)
    splits = [data.batch(b, drawn.select(b) if drawn else None) for b in torch.split(order, size)[:count]]
    return [(split.inputs, split.targets) for split in splits]
