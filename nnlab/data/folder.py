"""A user's own images in class folders, decoded once and then read from a cache."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nnlab.data import image_cache
from nnlab.data.dataset import RawData, Split
from nnlab.data.image_cache import ImageFile
from nnlab.errors import DataError

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of all items."""

SUFFIXES = (".png", ".jpg", ".jpeg")

BATCH = 256
"""Files that a thread decodes between two reports of progress."""

PARALLEL_PIXELS = 64 * 64
"""Smaller images are decoded by one thread: they take longer to hand over than to decode."""


def load_image_folder(root: Path, *, channels: int = 3, progress: Progress | None = None) -> RawData:
    """Reads `root/train/CLASS/*.png|jpg|jpeg` and `root/test/CLASS/…`: all images of one size.

    The classes are the sorted folder names. The decoded images are kept in the user's cache folder and
    taken from there as long as no image is added, removed or changed (in size or time of change).
    Hidden files, files of another kind and deeper folders are passed over.

    Args:
        channels: 3 for colour or 1 for grey; other images are converted, and a note says so.
        progress: told how many images are decoded; not called where the cache is used.

    Raises:
        DataError: for a missing or empty folder, classes that differ between train and test, an image of
            another size or one that cannot be read.
    """
    root = Path(os.path.abspath(root))
    train, test = _list_split(root, "train"), _list_split(root, "test")
    _check_classes(root, train, test)
    files = [*train.files, *test.files]
    content = image_cache.fingerprint(root, files)
    cache = image_cache.file_for(root, channels)
    found = image_cache.read(cache, content, (len(files), channels))
    unwritten: list[str] = []
    if found is None:
        images, kinds = _decode(files, channels, progress)
        found = image_cache.CachedImages(images, tuple(_conversions(kinds, channels)))
        unwritten = image_cache.write(cache, content, found)
    inputs = torch.from_numpy(found.images)  # (N_train + N_test, C, H, W)
    border = len(train.files)
    return RawData(
        task="classification",
        train=Split(inputs[:border], torch.tensor(train.labels)),
        test=Split(inputs[border:], torch.tensor(test.labels)),
        outputs=len(train.classes),
        class_names=train.classes,
        full_scale=255,
        notes=(*train.notes, *test.notes, *found.notes, *unwritten),
    )


# --- listing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listing:
    classes: list[str]
    files: list[ImageFile]
    labels: list[int]
    notes: list[str]


def _list_split(root: Path, split: str) -> _Listing:
    folder = root / split
    if not folder.is_dir():
        raise DataError(
            f"data.root: {folder} is not a folder; an image folder holds train/CLASS/*.png|jpg and "
            "test/CLASS/*.png|jpg. Set data.root, or NNLAB_DATA, to the folder that holds train and test"
        )
    found = _Listing(_class_folders(folder), [], [], [])
    if not found.classes:
        raise DataError(
            f"{folder}: holds no class folder; put the images of each class in a folder of its own"
        )
    for label, name in enumerate(found.classes):
        files, dangling = _image_files(folder / name)
        if not files:
            raise DataError(
                f"{folder / name}: this class folder holds no image ({', '.join(SUFFIXES)}); "
                "put one there or remove the folder"
            )
        found.files.extend(files)
        found.labels.extend([label] * len(files))
        found.notes.extend(f"{link}: a link that leads nowhere, left out" for link in dangling)
    return found


def _class_folders(folder: Path) -> list[str]:
    """The names of the visible folders in `folder`, without links back to it or to what holds it."""
    names = sorted(entry.name for entry in _entries(folder))
    here = os.path.realpath(folder)
    return [
        name
        for name in names
        if os.path.isdir(folder / name) and not _holds(os.path.realpath(folder / name), here)
    ]


def _holds(folder: str, other: str) -> bool:
    return os.path.commonpath([folder, other]) == folder


def _image_files(folder: Path) -> tuple[list[ImageFile], list[str]]:
    """The image files of a class, sorted by name, and the links that lead to none."""
    images: list[ImageFile] = []
    dangling: list[str] = []
    for entry in _entries(folder):
        if not entry.name.lower().endswith(SUFFIXES):
            continue
        try:
            state = entry.stat()
        except OSError as error:
            if not entry.is_symlink():
                raise DataError(f"{entry.path}: cannot be read: {error.strerror}") from None
            dangling.append(entry.path)
            continue
        if stat.S_ISREG(state.st_mode):
            images.append(ImageFile(entry.path, state.st_size, state.st_mtime_ns))
    return sorted(images), sorted(dangling)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}") from None


def _check_classes(root: Path, train: _Listing, test: _Listing) -> None:
    for here, there, split in ((train, test, "test"), (test, train, "train")):
        missing = sorted(set(here.classes) - set(there.classes))
        if missing:
            raise DataError(
                f"{root / split}: there is no folder for the class {', '.join(missing)}; "
                "train and test must have the same class folders"
            )


# --- decoding -----------------------------------------------------------------------------------------


def _decode(
    files: Sequence[ImageFile], channels: int, progress: Progress | None
) -> tuple[NDArray[np.uint8], Counter[str]]:
    """All images (N, C, H, W), and how many of them had to be converted in which way."""
    first = files[0].path
    with _opened(first) as image:
        width, height = image.size
    images = np.empty((len(files), channels, height, width), dtype=np.uint8)
    kinds: Counter[str] = Counter()

    def decode_batch(start: int) -> tuple[int, Counter[str]]:
        batch = range(start, min(start + BATCH, len(files)))
        return len(batch), Counter(k for i in batch for k in _decode_into(images[i], files[i].path, first))

    with ThreadPoolExecutor(os.cpu_count() if width * height >= PARALLEL_PIXELS else 1) as pool:
        futures = [pool.submit(decode_batch, start) for start in range(0, len(files), BATCH)]
        done = 0
        try:
            for future in as_completed(futures):
                count, found = future.result()
                done, kinds = done + count, kinds + found
                if progress is not None:
                    progress(done, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return images, kinds


def _decode_into(place: NDArray[np.uint8], file: str, first: str) -> list[str]:
    """Decodes one image into `place` (C, H, W); returns what was done to it beyond that."""
    channels, height, width = place.shape
    with _opened(file) as image:
        if image.size != (width, height):
            raise DataError(
                f"{file}: {image.size[0]} × {image.size[1]} pixels, but {first} has {width} × {height}; "
                "all images must have one size"
            )
        kinds = _kinds(image, channels)
        try:
            pixels = np.asarray(_eight_bits(image).convert("L" if channels == 1 else "RGB"))
        except Exception as error:  # a damaged file can fail anywhere in its decoder, with any exception
            raise _unreadable(file, error) from None
    place[:] = pixels if channels == 1 else pixels.transpose(2, 0, 1)
    return kinds


def _opened(file: str) -> Image.Image:
    try:
        # Only these two decoders: Pillow would otherwise go by the content, and try dozens of formats.
        return Image.open(file, formats=("PNG", "JPEG"))
    except Exception as error:
        raise _unreadable(file, error) from None


def _unreadable(file: str, error: Exception) -> DataError:
    reason = "its content is neither" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{file}: cannot be read as a PNG or JPEG image: {reason}. Replace or remove it")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits a pixel, which Pillow would clip at 255, by its upper 8 bits."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))


def _kinds(image: Image.Image, channels: int) -> list[str]:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    kinds = {
        "grey": grey and channels == 3,
        "colour": not grey and channels == 1,
        "16 bits": image.mode.startswith("I"),
        "transparent": image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
    }
    return [kind for kind, found in kinds.items() if found]


def _conversions(kinds: Counter[str], channels: int) -> Iterator[str]:
    said = {
        "grey": "grey, converted to three equal channels",
        "colour": "in colour, converted to grey by Rec. 601 luma",
        "16 bits": "of 16 bits a pixel, reduced to 8",
        "transparent": "partly transparent, which is passed over",
    }
    for kind, words in said.items():
        if kinds[kind]:
            yield f"images {words}, for data.channels: {channels}: {kinds[kind]}"
