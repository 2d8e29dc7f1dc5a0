"""`nnlab bench cifar10`: batches and steps on colour images, and where the time of a step goes."""

import contextlib
import importlib
import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nnlab.bench import plain_training
from nnlab.bench.step_profile import profile_rows
from nnlab.bench.timing import Result, Row, Timings, interleaved, row, seconds_of, timed
from nnlab.bench.train import TimedSession, recording, shipped, trainer_seconds
from nnlab.data import (
    Augmentation,
    DataSet,
    Draws,
    RawData,
    Split,
    data_root,
    load_image_folder,
    load_torchvision,
    prepare,
)
from nnlab.errors import DataError
from nnlab.lab.sections import AugmentationSection, CrossEntropyLoss, ImageSection, TrainingExperiment
from nnlab.lab.session import Reporter
from nnlab.lab.training_run import build_parts, train
from nnlab.training.precision import computes_bfloat16

FAST = "cnn_cifar10_fast"
CROP, BATCH = 2, 500
THEIR_BATCHES = 10  # of one timing; all of the set would take them too long
ROUNDS = 5  # at most
SHAPE = (3, 32, 32)
NATIVE = "bfloat16" if computes_bfloat16(torch.device("cpu")) else "float32"
CPU = ("training.device=cpu", f"training.precision={NATIVE}", "training.checkpoint_seconds=1e9")


@dataclass(frozen=True)
class Case:
    """A shipped config, the number of steps of one timing, and the largest number of pairs."""

    config: str
    steps: int
    pairs: int
    sets: tuple[str, ...] = ()
    remark: str = ""


CASES = (
    # The bare loop has no penalty on the weights, so that the trainer goes without as well.
    Case("cnn_cifar10", 15, 15, ("loss.regularization.name=none", "loss.regularization.strength=0.0")),
    Case(FAST, 3, 5, ("training.micro_batch=null",), ", whole batches"),
    Case(FAST, 3, 5),
)


def bench_cifar10(pairs: int, reporter: Reporter) -> Result:
    """Batches in images a second (larger is better), then steps and their parts in milliseconds.

    `ratio` is nnlab's number over the other one: at least 20 is wanted for batches, at most 1.05 for steps.
    For the parts of a step, the other number is the floor. There are fewer than `pairs` timings of what takes
    long.
    """
    images = find_images(reporter)
    config = shipped(FAST, *CPU)
    rows = [
        *_delivery_rows(images, min(pairs, ROUNDS), reporter),
        *(_step_row(case, images, min(pairs, case.pairs), reporter) for case in CASES),
        *profile_rows(config, data_of(config, images)),
        *_airbench_rows(images, min(pairs, ROUNDS), reporter),
    ]
    return Path(plain_training.__file__).read_text("utf-8"), rows


# --- images -----------------------------------------------------------------------------------------


def find_images(reporter: Reporter) -> RawData:
    """CIFAR-10 as published, or as image files, from the folder of the data sets; else noise of its form."""
    root = data_root(None)
    loaders: list[Callable[[], RawData]] = [
        lambda: load_torchvision("cifar10", root),
        lambda: load_image_folder(root),
        lambda: load_image_folder(root / "cifar10-jpeg"),
    ]
    for load in loaders:
        with contextlib.suppress(DataError):
            raw = load()
            if tuple(raw.train.inputs.shape[1:]) == SHAPE and raw.outputs == 10:
                return raw
    reporter.say(f"neither CIFAR-10 nor a folder of such images is in {root}: the timings are on noise")
    return noise(50_000)


def noise(examples: int) -> RawData:
    """Random pixels in the form of CIFAR-10, a tenth as many for the test."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        images = torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8, generator=generator)
        return Split(images, torch.arange(n) % 10)

    train, test = split(examples), split(max(10, examples // 10))
    return RawData("classification", train, test, 10, [str(k) for k in range(10)], full_scale=255)


def data_set(raw: RawData, augmentation: Augmentation | None, device: str = "cpu") -> DataSet:
    """All of it on one device, in float32, without a validation split."""
    return prepare(
        raw,
        name="cifar10",
        validation=0,
        split_seed=0,
        standardize=True,
        device=torch.device(device),
        dtype=torch.float32,
        augmentation=augmentation,
    )


def data_of(config: TrainingExperiment, raw: RawData) -> DataSet:
    """The images on the device and with the augmentation of a config."""
    assert isinstance(config.data, ImageSection)
    change = config.data.augmentation
    augmentation = None if change == AugmentationSection() else Augmentation(**change.model_dump())
    return data_set(raw, augmentation, config.training.device)


# --- batches ----------------------------------------------------------------------------------------


def _delivery_rows(raw: RawData, rounds: int, reporter: Reporter) -> list[Row]:
    """Images a second through random crop, flip, standardizing and batching, beside every rival."""
    data = data_set(raw, Augmentation("random", CROP))
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    rows = []
    for label, rival in rivals(data).items():
        rival(), ours_once(data)  # warm up: caches, worker processes, lazily imported code
        seconds = interleaved(lambda: ours_once(data), rival, rounds, reporter, f"batches against {label}")
        rates = Timings([1 / s for s in seconds.ours], [1 / s for s in seconds.theirs])
        what = f"batches of {BATCH}, crop {CROP}, flip"
        rows.append(row(what, label, "images/s", *rates.medians, **rates.ratio(), pairs=rounds))
    return rows


def ours_once(data: DataSet) -> float:
    """Seconds an image, over an epoch in random order."""
    began = time.perf_counter()
    for batch, draws in epoch(data, BATCH):
        data.batch(batch, draws)
    return (time.perf_counter() - began) / len(data.train)


def epoch(data: DataSet, size: int) -> Iterator[tuple[Tensor, Draws | None]]:
    """Yields the indices and changes of the batches of an epoch in random order."""
    generator = torch.Generator().manual_seed(0)
    examples, (height, width) = len(data.train), data.input_shape[1:]
    draws = data.augmentation and data.augmentation.draw(examples, 0, (height, width), generator)
    for batch in torch.split(torch.randperm(examples, generator=generator), size):
        yield batch, draws.select(batch) if draws else None


def rivals(data: DataSet) -> dict[str, Callable[[], float]]:
    """Label → seconds an image of a DataLoader: both kinds of transforms, with 0 and 2 workers."""
    chosen = data.train.take(torch.arange(min(len(data.train), THEIR_BATCHES * BATCH)))
    scale = float(data.full_scale or 1)
    mean, std = ((moment / scale).flatten().tolist() for moment in (data.mean, data.std))
    height, width = data.input_shape[1:]
    pixels = chosen.inputs.permute(0, 2, 3, 1).contiguous().numpy()
    pil: list[Any] = [Image.fromarray(one) for one in pixels]
    forms = {"transforms on PIL images": pil, "transforms.v2 on tensors": list(chosen.inputs.contiguous())}
    calls: dict[str, Callable[[], float]] = {}
    for name, images in forms.items():
        change = plain_training.random_transform(images is not pil, (height, width), CROP, mean, std)
        dataset = plain_training.TransformedImages(images, chosen.targets.tolist(), change)
        for workers in (0, 2):
            loader = plain_training.loader(dataset, BATCH, workers)
            calls[f"{name}, {workers} workers"] = partial(_seconds_an_image, loader)
    return calls


def _seconds_an_image(loader: Any) -> float:
    images, seconds = timed(lambda: sum(len(inputs) for inputs, _ in loader))
    return seconds / images


# --- steps ------------------------------------------------------------------------------------------


def _step_row(case: Case, raw: RawData, pairs: int, reporter: Reporter) -> Row:
    """Milliseconds a step.

    The trainer is timed with all that it does in `nnlab train`: augmentation, batches, the log. The bare loop
    gets its batches ready, augmented and standardized.
    """
    config = shipped(case.config, *CPU, *case.sets)
    data = data_of(config, raw)
    label = f"{case.config}{case.remark}"
    times = interleaved(
        lambda: trainer_seconds(config, data, case.steps),
        lambda: bare_seconds(config, data, case.steps),
        pairs,
        reporter,
        f"{label} against the bare loop",
    )
    ours, theirs = (1e3 * seconds / case.steps for seconds in times.medians)
    return row(
        f"step of {label}", "bare loop, whole batches", "ms", ours, theirs, **times.ratio(), pairs=pairs
    )


def bare_seconds(config: TrainingExperiment, data: DataSet, steps: int) -> float:
    """Seconds of so many steps of the bare loop, after one that is not counted."""
    parts = build_parts(config, TimedSession(data_set=data))
    assert isinstance(config.loss, CrossEntropyLoss)
    smoothing, bfloat16 = config.loss.label_smoothing, config.training.precision == "bfloat16"
    drawn = islice(epoch(data, int(config.data.batch_size)), 1 + steps)
    splits = [data.batch(*batch) for batch in drawn]
    batches = [(split.inputs, split.targets) for split in splits]
    plain_training.train_on(parts.model, parts.optimizer, batches[:1], smoothing, bfloat16)
    return seconds_of(
        lambda: plain_training.train_on(parts.model, parts.optimizer, batches[1:], smoothing, bfloat16)
    )


# --- a whole training -------------------------------------------------------------------------------


def _airbench_rows(raw: RawData, rounds: int, reporter: Reporter) -> list[Row]:
    """Seconds and test accuracy of a whole training beside the package `airbench`, on the same files and GPU.

    Returns no row without a GPU or the package.
    """
    if not torch.cuda.is_available():
        reporter.say("airbench needs a CUDA GPU, which this machine does not have: it is left out")
        return []
    if importlib.util.find_spec("airbench") is None:
        reporter.say("airbench is not installed and is left out: pip install airbench")
        return []
    with tempfile.TemporaryDirectory() as folder:
        accuracies = Timings([], [])
        ours, theirs = _ours(raw, accuracies.ours), _theirs(raw, Path(folder), accuracies.theirs)
        ours(), theirs()  # warm up: compiled code, the choice of convolution algorithms
        for values in (accuracies.ours, accuracies.theirs):
            values.clear()
        times = interleaved(ours, theirs, rounds, reporter, f"{FAST} against airbench")
    return [
        row(
            what, "airbench.train94", unit, statistics.fmean(both.ours), statistics.fmean(both.theirs),
            **both.ratio(), pairs=rounds,
        )
        for what, unit, both in (
            ("training, without warm-up", "s", times),
            ("test accuracy, no test-time augmentation", "of 1", accuracies),
        )
    ]  # fmt: skip


def _ours(raw: RawData, accuracies: list[float]) -> Callable[[], float]:
    """Returns a timing of one `nnlab train` with its evaluation, which notes the test accuracy."""
    sets = ("device=cuda", "precision=bfloat16", "test_time_augmentation=none", "checkpoint_seconds=1e9")
    config = shipped(FAST, *(f"training.{change}" for change in sets))
    data = data_of(config, raw)

    def once() -> float:
        session = TimedSession(data_set=data)
        with recording(config) as record:
            torch.cuda.synchronize()
            began = time.perf_counter()
            result = train(config, build_parts(config, session), record, session)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - began
        accuracies.append(result.metrics["test/accuracy"])
        return seconds

    return once


def _theirs(raw: RawData, folder: Path, accuracies: list[float]) -> Callable[[], float]:
    """Returns a timing of one airbench.train94 with its evaluation, which notes the test accuracy.

    It reads the images from `cifar10/*.pt` in the working folder, which is not timed.
    """
    airbench: Any = importlib.import_module("airbench")
    (folder / "cifar10").mkdir()
    for name, split in (("train", raw.train), ("test", raw.test)):
        images = split.inputs.permute(0, 2, 3, 1).contiguous()
        content = {"images": images, "labels": split.targets, "classes": raw.class_names}
        torch.save(content, folder / "cifar10" / f"{name}.pt")

    def once() -> float:
        with contextlib.chdir(folder):
            settings = airbench.lib_airbench94.hyp
            loader = airbench.CifarLoader(
                "cifar10", batch_size=settings["opt"]["batch_size"], aug=settings["aug"], altflip=True
            )
            test = airbench.CifarLoader("cifar10", train=False)
            torch.cuda.synchronize()
            began = time.perf_counter()
            model = airbench.train94(loader, verbose=False)
            accuracies.append(float(airbench.evaluate(model, test)))
            torch.cuda.synchronize()
            return time.perf_counter() - began

    return once
