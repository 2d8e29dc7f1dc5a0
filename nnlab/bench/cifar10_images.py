"""The images that `nnlab bench cifar10` is run on, and how fast each program delivers batches of them."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnlab.bench import plain_pytorch, plain_torchvision
from nnlab.bench.pairs import interleaved, spread
from nnlab.data import (
    Augmentation,
    DataSet,
    RawData,
    Split,
    data_root,
    load_image_folder,
    load_torchvision,
    prepare,
)
from nnlab.errors import DataError
from nnlab.lab.session import Reporter

CROP, BATCH = 2, 500
THEIR_BATCHES = 10  # of one timing; all of the set would take them too long
ROUNDS = 5
SHAPE = (3, 32, 32)

Row = dict[str, Any]


def find_images(reporter: Reporter) -> RawData:
    """CIFAR-10 as published, or as image files, from where the data sets lie; else noise of its form."""
    root = data_root(None)
    loaders: list[Callable[[], RawData]] = [
        lambda: load_torchvision("cifar10", root),
        lambda: load_image_folder(root),
        lambda: load_image_folder(root / "cifar10-jpeg"),
    ]
    for load in loaders:
        try:
            found = load()
        except DataError:
            continue
        if tuple(found.train.inputs.shape[1:]) == SHAPE and found.outputs == 10:
            return found
    reporter.say(f"neither CIFAR-10 nor a folder of such images is in {root}: this is timed on noise")
    return noise(50_000)


def noise(examples: int) -> RawData:
    """Random pixels in the form of CIFAR-10, a tenth as many for the test."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        images = torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8, generator=generator)
        return Split(images, torch.arange(n) % 10)

    train, test = split(examples), split(max(10, examples // 10))
    return RawData("classification", train, test, 10, [str(k) for k in range(10)], full_scale=255)


def data_set(raw: RawData, augmentation: Augmentation | None) -> DataSet:
    """All of it on the CPU, in float32, without a validation split."""
    return prepare(
        raw,
        name="cifar10",
        validation=0,
        split_seed=0,
        standardize=True,
        device=torch.device("cpu"),
        dtype=torch.float32,
        augmentation=augmentation,
    )


def delivery_rows(raw: RawData, pairs: int, reporter: Reporter) -> list[Row]:
    """Images a second through random crop, flip, standardizing and batching, beside every rival.

    Args:
        raw: the images.
        pairs: interleaved timings of each; at most five.
    """
    data = data_set(raw, Augmentation("random", CROP))
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    rows = []
    for label, rival in rivals(data).items():
        rival(), ours_once(data)  # warm up: caches, worker processes, lazily imported code
        times = interleaved(
            lambda: ours_once(data), rival, min(pairs, ROUNDS), reporter, f"batches against {label}"
        )
        rows.append(_row(label, times))
    return rows


def _row(label: str, times: list[tuple[float, float]]) -> Row:
    ours, theirs = ([1 / seconds for seconds in column] for column in zip(*times, strict=True))
    return {
        "what": f"batches of {BATCH}, crop {CROP}, flip",
        "against": label,
        "unit": "images/s",
        "nnlab": spread("x", ours)["x"],
        "other": spread("x", theirs)["x"],
        **spread("ratio", [own / other for own, other in zip(ours, theirs, strict=True)]),
        "pairs": len(times),
    }


def ours_once(data: DataSet) -> float:
    """Seconds an image, over an epoch in random order."""
    generator = torch.Generator().manual_seed(0)
    began = time.perf_counter()
    assert data.augmentation is not None
    examples, (height, width) = len(data.train), data.input_shape[1:]
    draws = data.augmentation.draw(examples, 0, (height, width), generator)
    for batch in torch.split(torch.randperm(examples, generator=generator), BATCH):
        data.batch(batch, draws.select(batch))
    return (time.perf_counter() - began) / examples


def rivals(data: DataSet) -> dict[str, Callable[[], float]]:
    """Label → seconds an image of a DataLoader: both kinds of transforms, with 0 and 2 workers."""
    chosen = data.train.take(torch.arange(min(len(data.train), THEIR_BATCHES * BATCH)))
    scale = float(data.full_scale or 1)
    mean, std = ((moment / scale).flatten().tolist() for moment in (data.mean, data.std))
    height, width = data.input_shape[1:]
    forms: dict[str, tuple[list[Any], Any]] = {
        "transforms on PIL images": (_pil_images(chosen.inputs), plain_torchvision.pil_transform),
        "transforms.v2 on tensors": (list(chosen.inputs.contiguous()), plain_torchvision.tensor_transform),
    }
    found = {}
    for name, (images, transform) in forms.items():
        dataset = plain_torchvision.TransformedImages(
            images, chosen.targets.tolist(), transform((height, width), CROP, mean, std)
        )
        for workers in (0, 2):
            found[f"{name}, {workers} workers"] = _epoch(plain_pytorch.loader(dataset, BATCH, workers))
    return found


def _epoch(loader: Any) -> Callable[[], float]:
    def once() -> float:
        began, images = time.perf_counter(), 0
        for inputs, _ in loader:
            images += len(inputs)
        return (time.perf_counter() - began) / images

    return once


def _pil_images(images: Tensor) -> list[Any]:
    from PIL import Image

    return [Image.fromarray(pixels) for pixels in images.permute(0, 2, 3, 1).contiguous().numpy()]
