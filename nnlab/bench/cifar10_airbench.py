"""The whole training beside the package `airbench`, on the same files and the same GPU."""

import contextlib
import importlib
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nnlab.bench.pairs import interleaved, spread
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import Augmentation, DataSet, RawData, prepare
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import ImageSection, TrainingExperiment
from nnlab.lab.session import Reporter, Session
from nnlab.lab.training_run import build_parts, train
from nnlab.record import Record

ROUNDS = 5
HOW_TO_GET_IT = "pip install airbench"

Row = dict[str, Any]


def airbench_rows(name: str, raw: RawData, pairs: int, reporter: Reporter) -> list[Row]:
    """Seconds and test accuracy of a whole training; no row without a GPU or the package.

    Args:
        name: of nnlab's config.
        raw: the images, which airbench gets as well.
        pairs: interleaved trainings of each; at most five.
    """
    if not torch.cuda.is_available():
        reporter.say("airbench needs a CUDA GPU, and there is none here: it is left out")
        return []
    if importlib.util.find_spec("airbench") is None:
        reporter.say(f"airbench is not installed, so nothing is trained beside it: {HOW_TO_GET_IT}")
        return []
    ours, theirs = _Runs(_ours(name, raw)), _Runs(_theirs(raw))
    for run in (ours, theirs):  # warm up: compiled code, the choice of convolution algorithms
        run()
        run.accuracies.clear()
    times = interleaved(ours, theirs, min(pairs, ROUNDS), reporter, f"{name} against airbench")
    seconds = _row("training, without warm-up", "s", times)
    accuracies = list(zip(ours.accuracies, theirs.accuracies, strict=True))
    return [seconds, _row("test accuracy, no test-time augmentation", "of 1", accuracies)]


def _row(what: str, unit: str, both: list[tuple[float, float]]) -> Row:
    return {
        "what": what,
        "against": "airbench.train94",
        "unit": unit,
        "nnlab": sum(own for own, _ in both) / len(both),
        "other": sum(other for _, other in both) / len(both),
        **spread("ratio", [own / other for own, other in both]),
        "pairs": len(both),
    }


class _Runs:
    """Calls a training and keeps its accuracies."""

    def __init__(self, run: Callable[[], tuple[float, float]]) -> None:
        self._run = run
        self.accuracies: list[float] = []

    def __call__(self) -> float:
        seconds, accuracy = self._run()
        self.accuracies.append(accuracy)
        return seconds


def _ours(name: str, raw: RawData) -> Callable[[], tuple[float, float]]:
    """Seconds and test accuracy of one `nnlab train`, from the built model to the evaluated one."""
    config = _config(name)
    data = _data(config, raw)

    class OwnData(Session):
        def data(self, *_: object) -> DataSet:
            return data

    def once() -> tuple[float, float]:
        session = OwnData()
        with tempfile.TemporaryDirectory() as folder:
            record = Record(Path(folder), config.experiment, "", {})
            record.start()
            torch.cuda.synchronize()
            began = time.perf_counter()
            result = train(config, build_parts(config, session), record, session)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - began
            record.close()
        return seconds, result.metrics["test/accuracy"]

    return once


def _config(name: str) -> TrainingExperiment:
    source = read_source(name)
    sets = ["training.device=cuda", "data.validation=0", "training.test_time_augmentation=none"]
    apply_sets(source, [*sets, "training.checkpoint_seconds=1e9"])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def _data(config: TrainingExperiment, raw: RawData) -> DataSet:
    assert isinstance(config.data, ImageSection)
    asked = config.data.augmentation
    return prepare(
        raw,
        name="cifar10",
        validation=0,
        split_seed=0,
        standardize=True,
        device=torch.device("cuda"),
        dtype=torch.float32,
        augmentation=Augmentation(asked.flip, asked.crop, asked.cutout),
    )


def _theirs(raw: RawData) -> Callable[[], tuple[float, float]]:
    """Seconds and test accuracy of one airbench.train94 and its evaluation; its images are loaded before.

    It reads them from `cifar10/*.pt` in the working folder.
    """
    airbench: Any = importlib.import_module("airbench")
    folder = tempfile.TemporaryDirectory()
    _write(Path(folder.name) / "cifar10", raw)

    def once() -> tuple[float, float]:
        with contextlib.chdir(folder.name):
            settings = airbench.lib_airbench94.hyp
            loader = airbench.CifarLoader(
                "cifar10", batch_size=settings["opt"]["batch_size"], aug=settings["aug"], altflip=True
            )
            test = airbench.CifarLoader("cifar10", train=False)
            torch.cuda.synchronize()
            began = time.perf_counter()
            model = airbench.train94(loader, verbose=False)
            accuracy = airbench.evaluate(model, test)
            torch.cuda.synchronize()
            return time.perf_counter() - began, float(accuracy)

    return once


def _write(folder: Path, raw: RawData) -> None:
    folder.mkdir()
    for name, split in (("train", raw.train), ("test", raw.test)):
        images = split.inputs.permute(0, 2, 3, 1).contiguous()
        torch.save(
            {"images": images, "labels": split.targets, "classes": raw.class_names}, folder / f"{name}.pt"
        )
