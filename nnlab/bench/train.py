"""`nnlab bench train`: the training loop's time per step, as a ratio."""

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nnlab.bench import plain_pytorch
from nnlab.bench.pairs import interleaved, per_step, spread
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import DataError
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import CrossEntropyLoss, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Reporter, Session
from nnlab.lab.training_run import Parts, build_parts, train
from nnlab.record import Record

CASES = {"mlp2_digits": 60, "mlp2_mnist": 2}  # config: epochs of one timing
Splits = Sequence[tuple[torch.Tensor, torch.Tensor]]

LOADER_ROUNDS = 3  # a DataLoader is several times slower: fewer timings tell as much


def bench_train(pairs: int, reporter: Reporter) -> tuple[str, list[dict[str, Any]]]:
    """Every case against the bare loop and against DataLoaders.

    Args:
        pairs: interleaved timings of each.

    Returns:
        The source of the other program, and a row per comparison.
    """
    rows: list[dict[str, Any]] = []
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        for name, epochs in CASES.items():
            try:
                rows += _case(name, epochs, pairs, Path(folder), reporter)
            except DataError as error:
                reporter.say(f"{name} is left out: {error}")
    return Path(plain_pytorch.__file__).read_text("utf-8"), rows


def _case(name: str, epochs: int, pairs: int, folder: Path, reporter: Reporter) -> list[dict[str, Any]]:
    config = _config(name, epochs)
    session = Session()
    parts = build_parts(config, session)
    steps = epochs * -(-len(parts.data.train) // int(config.data.batch_size))
    ours = _ours(config, session, folder)
    rows = []
    for label, theirs, rounds in _rivals(config, parts, epochs):
        theirs()  # warm up: caches, worker processes, lazily imported code
        ours()
        times = interleaved(ours, theirs, rounds or pairs, reporter, f"{name} against {label}")
        rows.append({"config": name, "against": label, **_row(times, steps)})
    return rows


def _config(name: str, epochs: int) -> TrainingExperiment:
    """The shipped config, on the CPU, without the validation that the bare loop does not do."""
    source = read_source(name)
    apply_sets(source, [f"training.epochs={epochs}", "training.device=cpu", "data.validation=0"])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def _ours(config: TrainingExperiment, session: Session, folder: Path) -> Callable[[], float]:
    """One training as `nnlab train` does it: metrics log, TensorBoard, checkpoints, last evaluation."""

    def once() -> float:
        parts = build_parts(config, session)
        record = Record(folder, config.experiment, "", {})
        record.start()
        began = time.perf_counter()
        train(config, parts, record, session)
        seconds = time.perf_counter() - began
        record.close()
        return seconds

    return once


def _rivals(
    config: TrainingExperiment, parts: Parts, epochs: int
) -> list[tuple[str, Callable[[], float], int | None]]:
    """(label, one timed training, number of rounds or None for all) of each other program."""
    train, size = parts.data.train, int(config.data.batch_size)
    test = parts.data.test
    inputs = parts.data.normalize(train.inputs)
    splits = [(inputs, train.targets), (parts.data.normalize(test.inputs), test.targets)]
    dataset = _dataset(config, parts)
    rivals: list[tuple[str, Callable[[], float], int | None]] = [
        (
            "bare loop on tensors",
            _theirs(
                config,
                parts,
                epochs,
                lambda: plain_pytorch.tensor_batches(inputs, train.targets, size),
                splits,
            ),
            None,
        )
    ]
    few = max(1, epochs // 10)
    for workers in (0, 2):
        loader = plain_pytorch.loader(dataset, size, workers)
        once = _theirs(config, parts, few, lambda loader=loader: loader)  # type: ignore[misc]
        scale = epochs * len(train) / (few * len(dataset))
        rivals.append(
            (f"DataLoader, {workers} workers", lambda once=once, scale=scale: once() * scale, LOADER_ROUNDS)  # type: ignore[misc]
        )
    return rivals


def _theirs(
    config: TrainingExperiment,
    parts: Parts,
    epochs: int,
    epoch: Callable[[], plain_pytorch.Batches],
    splits: Splits = (),
) -> Callable[[], float]:
    """One training of the other program, and its evaluation on `splits` where ours is to be matched."""
    model, optimizer, loss = config.model, config.optimizer, config.loss
    assert isinstance(model, MLPModel)
    assert isinstance(optimizer, SGDOptimizer)
    assert isinstance(loss, CrossEntropyLoss)
    sizes = (torch.Size(parts.data.input_shape).numel(), model.hidden[0], parts.data.outputs)

    def once() -> float:
        made = plain_pytorch.build(*sizes, optimizer.lr, optimizer.momentum, loss.regularization.strength)
        began = time.perf_counter()
        plain_pytorch.train(*made, epoch, epochs)
        for inputs, targets in splits:
            plain_pytorch.evaluate(made[0], inputs, targets)
        return time.perf_counter() - began

    return once


def _dataset(config: TrainingExperiment, parts: Parts) -> Any:
    """The torchvision way to the same images: PIL, ToTensor, Normalize, one by one."""
    from torchvision import datasets, transforms

    from nnlab.data import data_root

    scale = float(parts.data.full_scale or 1)
    mean, std = (parts.data.mean / scale).flatten().tolist(), (parts.data.std / scale).flatten().tolist()
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    if config.data.name == "digits":
        return plain_pytorch.DigitImages(transform)
    return datasets.MNIST(str(data_root(None)), train=True, transform=transform)


def _row(times: list[tuple[float, float]], steps: int) -> dict[str, Any]:
    """Medians: microseconds a step of each, and the ratio of each pair."""
    ratios = [ours / theirs for ours, theirs in times]
    columns = per_step(times, steps) | spread("ratio", ratios)
    return columns | {"speedup": 1 / columns["ratio"], "pairs": len(times)}
