"""A user's own images in class folders, decoded once and then read from a cache."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nnlab.data import image_cache
from nnlab.data.dataset import RawData, Split
from nnlab.data.decoding import Progress, decode
from nnlab.data.image_cache import DecodedImages, ImageFile
from nnlab.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")


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
    content, cache = image_cache.fingerprint(root, files), image_cache.file_for(root, channels)
    decoded = image_cache.read(cache, content, len(files), channels)
    unwritten: list[str] = []
    # A run that wants every image must not take those of a run that went on without some.
    if decoded is None or (len(decoded.unreadable) and not skip_unreadable):
        decoded, errors = decode(files, channels, skip_unreadable=skip_unreadable, progress=progress)
        if all(error.lasts for error in errors):  # else the next run may read more
            unwritten = image_cache.write(cache, content, decoded)
    return _raw_data(train, test, decoded, (*train.notes, *test.notes, *decoded.notes, *unwritten))


def _raw_data(train: "_Listing", test: "_Listing", decoded: DecodedImages, notes: tuple[str, ...]) -> RawData:
    inputs = torch.from_numpy(decoded.images).permute(0, 3, 1, 2)  # (N_train + N_test, C, H, W)
    readable = torch.ones(len(train.files) + len(test.files), dtype=torch.bool)
    readable[torch.from_numpy(decoded.unreadable)] = False
    targets = [
        _labels_left(listing, left)
        for listing, left in zip(
            (train, test), torch.split(readable, [len(train.files), len(test.files)]), strict=True
        )
    ]
    border = len(targets[0])
    return RawData(
        task="classification",
        train=Split(inputs[:border], targets[0]),
        test=Split(inputs[border:], targets[1]),
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
    for name in names:
        if not name.isprintable():  # also the bytes of another encoding, which Python keeps as surrogates
            shown = (
                os.fsencode(folder / name).decode(errors="replace").encode("unicode_escape").decode("ascii")
            )
            raise DataError(
                f"{shown}: the name of a class must be text that can be printed; rename this folder"
            )
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
        raise DataError(
            f"{folder}: cannot be listed: {error.strerror}; data.root needs folders that may be read"
        ) from None


def _check_classes(root: Path, train: _Listing, test: _Listing) -> None:
    for here, there, split in ((train, test, "test"), (test, train, "train")):
        missing = sorted(set(here.classes) - set(there.classes))
        if missing:
            raise DataError(
                f"{root / split}: there is no folder for the class {', '.join(missing)}; "
                "train and test must have the same class folders"
            )
