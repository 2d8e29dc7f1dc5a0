"""`nnlab bench train`: the training loop's time per step, as a ratio."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets, transforms

from nnlab.bench import plain_training
from nnlab.bench.timing import Result, Row, interleaved, seconds_of
from nnlab.bench.trainer import recording, shipped
from nnlab.data import data_root
from nnlab.errors import DataError
from nnlab.lab.sections import CrossEntropyLoss, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Reporter, Session
from nnlab.lab.training_run import build_parts, train
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
