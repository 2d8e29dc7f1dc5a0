"""A user's own images in class folders, decoded once and then read from a cache.

The cache has one file for each image folder and number of channels; it holds the fingerprint of the files
that it was made from, and is replaced when that no longer fits.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nnlab.data.dataset import RawData, Split
from nnlab.data.decoding import DecodedImages, ImageFile, Progress, decode
from nnlab.data.locations import cache_folder
from nnlab.errors import DataError
from nnlab.files import replacing

SUFFIXES = (".png", ".jpg", ".jpeg")

VERSION = 2
"""The version of the cached content; to be raised when images are decoded in another way."""


def load_image_folder(
    root: Path, *, channels: int = 3, skip_unreadable: bool = False, progress: Progress | None = None
) -> RawData:
    """Reads `root/train/CLASS/*.png|jpg|jpeg` and `root/test/CLASS/…`: all images of one size.

    The classes are the sorted folder names. The decoded images are kept in the user's cache folder and
    taken from there as long as no image is added, removed or changed (in size or time of change).
    Hidden files, files of another kind and deeper folders are passed over.

    Args:
        channels: 3 for colour or 1 for grey; other images are converted, and a note says so.
        skip_unreadable: whether to leave out images that cannot be read; a note counts them.
        progress: told how many images are decoded; not called where the cache is used.

    Raises:
        DataError: for a missing or empty folder, classes that differ between train and test, an image of
            another size or one that cannot be read, or a class of which none can be.
    """
    root = Path(os.path.abspath(root))
    train, test = _list_split(root, "train"), _list_split(root, "test")
    _check_classes(root, train, test)
    files = [*train.files, *test.files]
    content, cache = _fingerprint(root, files), _cache_file(root, channels)
    decoded = _read_cache(cache, content)
    unwritten: list[str] = []
    # A run that wants every image must not take those of a run that went on without some.
    if decoded is None or (len(decoded.unreadable) and not skip_unreadable):
        decoded, errors = decode(files, channels, skip_unreadable=skip_unreadable, progress=progress)
        if all(error.lasts for error in errors):  # else the next run may read more
            unwritten = _write_cache(cache, content, decoded)
    return _raw_data(train, test, decoded, (*train.notes, *test.notes, *decoded.notes, *unwritten))


def _raw_data(train: "_Listing", test: "_Listing", decoded: DecodedImages, notes: tuple[str, ...]) -> RawData:
    inputs = torch.from_numpy(decoded.images).permute(0, 3, 1, 2)  # (N_train + N_test, C, H, W)
    readable = torch.ones(len(train.files) + len(test.files), dtype=torch.bool)
    readable[torch.from_numpy(decoded.unreadable)] = False
    labels = _labels_left(train, readable[: len(train.files)])
    test_labels = _labels_left(test, readable[len(train.files) :])
    return RawData(
        task="classification",
        train=Split(inputs[: len(labels)], labels),
        test=Split(inputs[len(labels) :], test_labels),
        outputs=len(train.classes),
        class_names=train.classes,
        full_scale=255,
        notes=notes,
    )


def _labels_left(listing: "_Listing", readable: Tensor) -> Tensor:
    """The labels of the readable images. No class may have lost all of its images."""
    labels = torch.tensor(listing.labels)
    sizes = torch.bincount(labels[readable], minlength=len(listing.classes))
    if not bool(sizes.all()):
        lost = int(sizes.argmin())
        first = listing.files[listing.labels.index(lost)].path
        raise DataError(
            f"{os.path.dirname(first)}: not one of the {listing.labels.count(lost)} images of class "
            f"{listing.classes[lost]} can be read, from {os.path.basename(first)} on; replace them or remove "
            "the class from train and test"
        )
    return labels[readable]


# --- listing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listing:
    classes: list[str]
    files: list[ImageFile]
    labels: list[int]
    notes: list[str]


def _list_split(root: Path, split: str) -> _Listing:
    folder = root / split
    if not os.path.isdir(folder):
        if os.path.isdir(root):
            _entries(root)  # says so where that may not be looked into
        raise DataError(
            f"data.root: {folder} is not a folder; an image folder holds train/CLASS/*.png|jpg and "
            "test/CLASS/*.png|jpg. Set data.root, or NNLAB_DATA, to the folder that holds train and test"
        )
    listing = _Listing(_class_folders(folder), [], [], [])
    if not listing.classes:
        raise DataError(
            f"{folder}: holds no class folder; put the images of each class in a folder of its own"
        )
    for label, name in enumerate(listing.classes):
        files, dangling = _image_files(folder / name)
        if not files:
            raise DataError(
                f"{folder / name}: this class folder holds no image ({', '.join(SUFFIXES)}); "
                "put one there or remove the folder"
            )
        listing.files.extend(files)
        listing.labels.extend([label] * len(files))
        listing.notes.extend(f"{link}: a link that leads nowhere, left out" for link in dangling)
    return listing


def _class_folders(folder: Path) -> list[str]:
    """The names of the visible folders in `folder`, without links back to it or to what holds it."""
    names = sorted(entry.name for entry in _entries(folder))
    for name in names:
        if not name.isprintable():  # also the bytes of another encoding, which Python keeps as surrogates
            text = os.fsencode(folder / name).decode(errors="replace")
            escaped = text.encode("unicode_escape").decode("ascii")
            raise DataError(
                f"{escaped}: the name of a class must be text that can be printed; rename this folder"
            )
    real = {name: os.path.realpath(folder / name) for name in names if os.path.isdir(folder / name)}
    own = os.path.realpath(folder)
    return [name for name, path in real.items() if os.path.commonpath([path, own]) != path]


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
        raise DataError(
            f"{folder}: cannot be listed: {error.strerror}; data.root needs folders that may be read"
        ) from None


def _check_classes(root: Path, train: _Listing, test: _Listing) -> None:
    for one, other, split in ((train, test, "test"), (test, train, "train")):
        missing = sorted(set(one.classes) - set(other.classes))
        if missing:
            raise DataError(
                f"{root / split}: there is no folder for the class {', '.join(missing)}; "
                "train and test must have the same class folders"
            )


# --- the cache ----------------------------------------------------------------------------------------


def _cache_file(root: Path, channels: int) -> Path:
    """The cache file of the images of the folder `root` with so many channels."""
    key = _digest([os.fsencode(root.resolve()), str(channels).encode()])
    return cache_folder() / "image_folder" / f"{key}.npz"


def _fingerprint(root: Path, files: Sequence[ImageFile]) -> str:
    """Changes with every file that is added, removed, renamed, or changed in size or time of change."""
    parts = [str(VERSION).encode()]
    for file in files:
        below_root = file.path.removeprefix(str(root))
        parts += [os.fsencode(below_root), f"{file.size} {file.modified_ns}".encode()]
    return _digest(parts)


def _digest(parts: Sequence[bytes]) -> str:
    # No path holds a zero byte, so the parts cannot run into each other.
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _read_cache(path: Path, content: str) -> DecodedImages | None:
    """The cached images, or None where there are none of this fingerprint or the file is damaged."""
    try:
        # Opened here, because np.load leaves the file open when it is no zip file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["fingerprint"]) != content:
                return None
            # The zip file carries a checksum of each array, which numpy's reading verifies.
            return DecodedImages(stored["images"], stored["unreadable"], tuple(map(str, stored["notes"])))
    except Exception:  # whatever is wrong with it: the images are decoded again and the file replaced
        return None


def _write_cache(path: Path, content: str, decoded: DecodedImages) -> list[str]:
    """Replaces the cache file in one step. Returns a note where that is not possible, else nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                fingerprint=content,
                notes=np.array(decoded.notes, dtype=str),
                unreadable=decoded.unreadable,
                images=decoded.images,
            )
    except OSError as error:
        reason = error.strerror or error
        return [f"{path}: the decoded images could not be cached ({reason}); next time is as slow"]
    return []
