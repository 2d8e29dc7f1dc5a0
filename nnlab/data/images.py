"""Published image sets: scikit-learn's digits, and MNIST, Fashion-MNIST, CIFAR-10 through torchvision."""

import contextlib
import http.client
import io
import math
import socket
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from nnlab.data.dataset import RawData, Split
from nnlab.data.image_reader import ImageReader
from nnlab.data.picture import Form
from nnlab.data.splits import hold_out
from nnlab.errors import DataError

DOWNLOAD_TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""

_IDX_FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_IDX_FILES = [f"{s}-{c}-ubyte" for s in ("train", "t10k") for c in ("images-idx3", "labels-idx1")]


def load_digits(*, test: float, split_seed: int) -> RawData:
    """scikit-learn's handwritten digits: 1,797 images (1, 8, 8) with values 0 … 16.

    Args:
        test: the part of the images to hold out for the test.
        split_seed: of the draw that holds them out.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    images = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    names = [str(digit) for digit in range(10)]
    kept, held = hold_out(labels, test, split_seed=split_seed, purpose="test", names=names)
    digits = Split(images, labels)
    train, rest = digits.take(kept), digits.take(held)
    reader = ImageReader.of(train.inputs, Form(1), names, full_scale=16)
    return RawData("classification", train, rest, outputs=10, class_names=names, full_scale=16, reader=reader)


def load_torchvision(
    name: Literal["mnist", "fashion_mnist", "cifar10"], root: Path, *, download: bool = False
) -> RawData:
    """A published set with its own test split, from the files that torchvision lays out below `root`.

    Args:
        root: holds `MNIST/raw`, `FashionMNIST/raw` or `cifar-10-batches-py`.
        download: whether to fetch the files where one is missing.

    Raises:
        DataError: where a file is missing, cannot be downloaded, or is damaged.
    """
    return _load_cifar10(root, download) if name == "cifar10" else _load_idx(name, root, download)


# --- getting the files --------------------------------------------------------------------------------


def _require(name: str, files: list[Path], fetch: Callable[[], object], download: bool) -> None:
    """Makes sure that all files exist, by `fetch()` where that is wanted."""
    names, folder = ", ".join(file.name for file in files), files[0].parent
    by_hand = (
        f"or put the files {names} there, or set data.root or the environment variable "
        "NNLAB_DATA=FOLDER to a folder that holds them so"
    )
    if download and not all(file.is_file() for file in files):
        try:
            with _undisturbed():
                fetch()
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = " ".join(line for line in str(error).split("\n") if line) or type(error).__name__
            raise DataError(
                f"data.download: {name} could not be downloaded into {folder}: {reason}. "
                f"Try again with a network, {by_hand}"
            ) from None
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise DataError(
            f"data.name: {name} is not on this machine: looked for {', '.join(missing)} in "
            f"{folder}. Get it by --set data.download=true, {by_hand}"
        )


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A download by torchvision with a timeout, and its progress shown only to a person at a terminal.

    torchvision sets no timeout, so that a network that swallows packets would hold the run for ever, and it
    would write to stdout.
    """
    report = sys.stderr if sys.stderr.isatty() else io.StringIO()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(report), contextlib.redirect_stderr(report):
            yield
    finally:
        socket.setdefaulttimeout(before)


# --- MNIST and its likes ------------------------------------------------------------------------------


def _load_idx(name: str, root: Path, download: bool) -> RawData:
    from torchvision import datasets

    published = getattr(datasets, _IDX_FOLDERS[name])
    folder = root / _IDX_FOLDERS[name] / "raw"
    _require(name, [folder / f for f in _IDX_FILES], lambda: published(root, download=True), download)
    train, test = _idx_split(folder, "train"), _idx_split(folder, "t10k")
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        sizes = [f"{split.inputs.shape[-1]} × {split.inputs.shape[-2]}" for split in (train, test)]
        raise DataError(f"{folder}: training images have {sizes[0]} pixels, test images {sizes[1]}")
    names = [str(k) for k in range(10)] if name == "mnist" else list(published.classes)
    reader = ImageReader.of(train.inputs, Form(1), names)
    return RawData(
        "classification", train, test, outputs=10, class_names=names, full_scale=255, reader=reader
    )


def _idx_split(folder: Path, split: str) -> Split:
    from torchvision.datasets import mnist

    image_file, label_file = folder / f"{split}-images-idx3-ubyte", folder / f"{split}-labels-idx1-ubyte"
    images, labels = _check_idx(image_file, 3), _check_idx(label_file, 1)
    if images[0] != labels[0]:
        raise DataError(
            f"{label_file}: holds {labels[0]} labels, but {image_file.name} holds {images[0]} images. "
            "Replace both files by those of one set"
        )
    inputs, targets = mnist.read_image_file(str(image_file)), mnist.read_label_file(str(label_file))
    if int(targets.max()) > 9:
        where = int(torch.nonzero(targets > 9)[0])
        raise _damaged(label_file, f"label {where} is {int(targets[where])}, not one of 0 … 9")
    return Split(inputs.unsqueeze(1), targets)


def _check_idx(path: Path, dimensions: int) -> tuple[int, ...]:
    """The shape that an idx file of unsigned bytes declares, once its length bears it out.

    torchvision's reader does not look at the length closely: it would fail without naming the file, or
    take 4 bytes of a longer header for data.
    """
    length = 4 + 4 * dimensions
    try:
        with path.open("rb") as file:
            header = file.read(length)
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if len(header) < length:
        raise _damaged(path, f"{size} bytes are too few for its header")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    if magic != 0x0800 + dimensions:
        raise _damaged(path, f"starts with {header[:4].hex()}, not with {0x0800 + dimensions:08x}")
    if size != length + math.prod(shape):
        declared = " × ".join(map(str, shape))
        raise _damaged(
            path, f"declares {declared} bytes after a header of {length}, but is {size} bytes long"
        )
    if 0 in shape:
        raise _damaged(path, "holds nothing after its header")
    return tuple(shape)


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path}: this file is damaged: {problem}. Delete it and get it again, by hand or by "
        "--set data.download=true"
    )


# --- CIFAR-10 -----------------------------------------------------------------------------------------


def _load_cifar10(root: Path, download: bool) -> RawData:
    from torchvision.datasets import CIFAR10

    sums = dict([*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])])
    files = {root / CIFAR10.base_folder / file: md5 for file, md5 in sums.items()}
    _require("cifar10", list(files), lambda: CIFAR10(root, download=True), download)
    published = [_read_cifar10(root, files, train=train) for train in (True, False)]
    # (N, 32, 32, 3) -> (N, 3, 32, 32): the order in the files, so nothing is copied
    train, test = (
        Split(torch.from_numpy(one.data.transpose(0, 3, 1, 2)).contiguous(), torch.tensor(one.targets))
        for one in published
    )
    names = list(published[0].classes)
    reader = ImageReader.of(train.inputs, Form(3), names)
    return RawData(
        "classification", train, test, outputs=10, class_names=names, full_scale=255, reader=reader
    )


def _read_cifar10(root: Path, files: dict[Path, str], *, train: bool) -> Any:
    """torchvision's object. The files are pickles: it reads none of them before checking its md5."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    try:
        with warnings.catch_warnings():
            # numpy 2.4.0 to 2.4.4 remark on how an old numpy wrote these files; the arrays are right.
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            return CIFAR10(root, train=train)
    except (OSError, RuntimeError) as error:
        for file, md5 in files.items():
            if not check_integrity(str(file), md5):
                raise _damaged(file, f"its md5 is not the published {md5}") from None
        raise DataError(f"{root / CIFAR10.base_folder}: cannot be read: {error}") from None
