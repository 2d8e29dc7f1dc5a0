"""`nnlab bench train`: the training loop's time per step, as a ratio."""

import contextlib
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets, transforms

from nnlab.bench import plain_training
from nnlab.bench.timing import Result, Row, interleaved, seconds_of
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import DataSet, data_root
from nnlab.errors import DataError, Interrupted
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import CrossEntropyLoss, Data, Hardware, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Reporter, Session
from nnlab.lab.training_run import build_parts, train
from nnlab.record import Record
from nnlab.training import Parts

CASES = {"mlp2_digits": 60, "mlp2_mnist": 2}  # config: epochs of one timing
LOADER_ROUNDS = 3  # a DataLoader is several times slower: fewer timings tell as much


def bench_train(pairs: int, reporter: Reporter) -> Result:
    """Every case beside the bare loop and beside DataLoaders."""
    rows: list[Row] = []
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    for name, epochs in CASES.items():
        try:
            rows += _case(name, epochs, pairs, reporter)
        except DataError as error:
            reporter.say(f"{name} is left out: {error}")
    return Path(plain_training.__file__).read_text("utf-8"), rows


def _case(name: str, epochs: int, pairs: int, reporter: Reporter) -> list[Row]:
    config = shipped(name, f"training.epochs={epochs}", "training.device=cpu")
    session = Session()
    parts = build_parts(config, session)
    steps = epochs * -(-len(parts.data.train) // int(config.data.batch_size))

    def ours() -> float:
        """One training as `nnlab train` does it: metrics log, TensorBoard, checkpoints, last evaluation."""
        parts = build_parts(config, session)
        with recording(config) as record:
            return seconds_of(lambda: train(config, parts, record, session))

    rows = []
    for label, theirs, rounds in _rivals(config, parts, epochs, pairs):
        theirs()  # warm up: caches, worker processes, lazily imported code
        ours()
        times = interleaved(ours, theirs, rounds, reporter, f"{name} against {label}")
        columns = times.per_step(steps) | times.ratio()
        speedup = 1 / columns["ratio"]
        rows.append({"config": name, "against": label, **columns, "speedup": speedup, "pairs": rounds})
    return rows


def _rivals(
    config: TrainingExperiment, parts: Parts, epochs: int, pairs: int
) -> Iterator[tuple[str, Callable[[], float], int]]:
    """The label, one timed training and the number of rounds of each other program."""
    data, size = parts.data, int(config.data.batch_size)
    train, test = ((data.normalize(split.inputs), split.targets) for split in (data.train, data.test))

    def once(epoch: Callable[[], plain_training.Batches], epochs: int, evaluate: bool) -> float:
        """Seconds of one training, and of the evaluation that ours does as well."""
        model, optimizer, loss = config.model, config.optimizer, config.loss
        assert isinstance(model, MLPModel)
        assert isinstance(optimizer, SGDOptimizer)
        assert isinstance(loss, CrossEntropyLoss)
        sizes = (torch.Size(data.input_shape).numel(), model.hidden[0], data.outputs)
        built = plain_training.build(*sizes, optimizer.lr, optimizer.momentum, loss.regularization.strength)
        seconds = seconds_of(lambda: plain_training.train(*built, epoch, epochs))
        for split in (train, test) if evaluate else ():
            seconds += seconds_of(lambda split=split: plain_training.evaluate(built[0], *split))  # type: ignore[misc]
        return seconds

    batches = partial(plain_training.tensor_batches, *train, size)
    yield "bare loop on tensors", lambda: once(batches, epochs, True), pairs
    few, dataset = max(1, epochs // 10), _dataset(config, parts)
    scale = epochs * len(data.train) / (few * len(dataset))
    for workers in (0, 2):
        loader = plain_training.loader(dataset, size, workers)
        label = f"DataLoader, {workers} workers"
        yield label, lambda loader=loader: once(lambda: loader, few, False) * scale, LOADER_ROUNDS  # type: ignore[misc]


def _dataset(config: TrainingExperiment, parts: Parts) -> Any:
    """The same images by torchvision: PIL, ToTensor, Normalize, one by one."""
    scale = float(parts.data.full_scale or 1)
    mean, std = (parts.data.mean / scale).flatten().tolist(), (parts.data.std / scale).flatten().tolist()
    changes = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    if config.data.name == "mnist":
        return datasets.MNIST(str(data_root(None)), train=True, transform=transforms.Compose(changes))
    digits = load_digits()
    transform = transforms.Compose([Image.fromarray, *changes])
    return plain_training.TransformedImages(
        (digits.images * 15).astype("uint8"), digits.target.tolist(), transform
    )


# --- what other benchmarks of trainings use ---------------------------------------------------------


def shipped(name: str, *sets: str) -> TrainingExperiment:
    """A shipped config with some values set, and all its examples for training."""
    source = read_source(name)
    apply_sets(source, ["data.validation=0", *sets])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


@contextlib.contextmanager
def recording(config: TrainingExperiment) -> Iterator[Record]:
    """Yields a started record in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path(folder), config.experiment, "", {})
        record.start()
        yield record
        record.close()


@dataclass
class TimedSession(Session):
    """A session with one data set, which takes the time after every step and can end a training early.

    Attributes:
        data_set: used for every config.
        steps: to be timed, after a first one that is not.
        at: called after every step with the number of steps done.
    """

    data_set: DataSet | None = None
    steps: int = sys.maxsize
    at: Callable[[int], None] = lambda step: None
    stamps: list[float] = field(default_factory=list)

    def data(self, section: Data, hardware: Hardware) -> DataSet:
        assert self.data_set is not None
        return self.data_set

    def stop(self) -> bool:
        self.stamps.append(time.perf_counter())
        self.at(len(self.stamps))
        return len(self.stamps) > self.steps


def trainer_seconds(
    config: TrainingExperiment, data: DataSet, steps: int, at: Callable[[int], None] = lambda step: None
) -> float:
    """Seconds of so many steps of `nnlab train`, from the end of the first one on.

    Args:
        at: called after every step with the number of steps done.
    """
    session = TimedSession(data_set=data, steps=steps, at=at)
    parts = build_parts(config, session)
    with recording(config) as record, contextlib.suppress(Interrupted):
        train(config, parts, record, session)
    return session.stamps[-1] - session.stamps[0]
