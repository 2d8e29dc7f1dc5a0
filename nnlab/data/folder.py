"""A user's own images in class folders, decoded once and then read from a cache.

The cache has one file for each image folder and form of the images; it holds the fingerprint of the files
that it was made from, and is replaced when that no longer fits.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.data.dataset import RawData, Split
from nnlab.data.decoding import DecodedImages, ImageFile, Progress, decode
from nnlab.data.image_checks import Traits, check_content, conflicts, copies
from nnlab.data.image_listing import Layout, Listing, find_layout, split_folders
from nnlab.data.image_reader import ImageReader
from nnlab.data.locations import cache_folder
from nnlab.data.picture import Form, Size, in_print
from nnlab.data.splits import hold_out
from nnlab.errors import DataError
from nnlab.files import replacing

VERSION = 3
"""The version of the cached content; to be raised when images are decoded in another way."""

TEST = 0.2
"""The part of the images to hold out for the test, where nothing else is said."""

LEFTOVER_SECONDS = 3600.0
"""The age from which on a temporary file beside the cache belongs to a process that was killed."""


def load_image_folder(
    root: Path,
    *,
    channels: Literal[1, 3] = 3,
    resize: int | Sequence[int] | None = None,
    crop: int | Sequence[int] | None = None,
    test: float = TEST,
    split_seed: int = 0,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> RawData:
    """Reads `root/train/CLASS/…`, `root/test/CLASS/…` and, where it is there, `root/val/CLASS/…`.

    Where there is no test folder, a part of each class is held out of train; where there is no train
    either, `root` itself holds the class folders. The classes are the sorted folder names.

    Images are PNG, JPEG, WebP, BMP, TIFF, GIF (the first frame) or PPM; what they are, their content says.
    They are turned upright as their EXIF orientation says, and laid on white where they are transparent.
    In grey images of more than 8 bits a pixel the largest value of all training images becomes 255.
    What else lies in class folders is passed over, and counted in a note.

    The decoded images are kept in the user's cache folder, and taken from there as long as no image is added,
    removed, renamed or changed. A change is noticed by a file's size or by its times, of which the system
    sets one at every change of the content; it is not where the content changes without the file system's
    knowledge, as on another machine's disk whose clock stands still.

    Args:
        root: where the images are.
        channels: 3 for colour or 1 for grey; other images are converted, and a note says so.
        resize: N scales each image until its shorter side has N pixels, and keeps the middle N × N of it;
            (height, width) makes each image just that. Antialiased, bicubic.
        crop: the middle that is kept after that, N × N or (height, width) pixels.
        test: the part of the images to hold out for the test, where there is no test folder.
        split_seed: of the draw that holds them out.
        skip_unreadable: whether to leave out images that cannot be read; a note counts them.
        progress: told how many images are decoded; not called where the cache is used.

    Raises:
        DataError: for a missing or empty folder, classes that differ between train and test, images of two
            sizes, one that cannot be read, a class of which none can be, or images without any content.
    """
    root = Path(os.path.abspath(root))
    if root == cache_folder() and not split_folders(root):
        raise DataError("data.root: names no folder, and NNLAB_DATA is not set; set one to your image folder")
    form = Form(channels, _size(resize), _size(crop))
    layout = find_layout(root)
    files = layout.files
    content, cache = _fingerprint(root, files, len(layout.train.files)), _cache_file(root, form)
    entry = _read_cache(cache, content, len(files))
    unwritten: list[str] = []
    # A run that wants every image must not take those of a run that went on without some.
    if entry is None or (len(entry.decoded.unreadable) and not skip_unreadable):
        decoded, errors = decode(
            files, form, training=len(layout.train.files), skip_unreadable=skip_unreadable, progress=progress
        )
        entry = _Entry(decoded, Traits.of(decoded.images))
        if all(error.lasts for error in errors):  # else the next run may read more
            unwritten = _write_cache(cache, content, entry)
    return _raw_data(layout, entry, form, (test, split_seed), unwritten)


def _size(value: int | Sequence[int] | None) -> int | Size | None:
    if value is None or isinstance(value, int):
        return value
    height, width = value
    return height, width


# --- the splits ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """The readable images of a split: their places among all readable ones, labels and paths."""

    places: NDArray[np.int64]
    labels: Tensor
    paths: list[str]

    def take(self, indices: Tensor) -> "_Part":
        chosen = indices.tolist()
        return _Part(self.places[chosen], self.labels[indices], [self.paths[k] for k in chosen])


def _raw_data(
    layout: Layout, entry: "_Entry", form: Form, draw: tuple[float, int], unwritten: list[str]
) -> RawData:
    classes, decoded = layout.train.classes, entry.decoded
    train, validation, test = _readable_parts(layout, decoded.unreadable)
    notes = [*layout.notes, *decoded.notes, *unwritten, *check_content(entry.of(train), train.paths)]
    notes += conflicts(entry.of(train), train.labels.numpy(), train.paths)
    if test is None:
        kept, held = hold_out(train.labels, draw[0], split_seed=draw[1], purpose="test", names=classes)
        train, test = train.take(kept), train.take(held)
        notes += _split_notes(layout.train, test, draw[0])
    elif draw[0] != TEST:
        notes.append(
            f"data.test: {draw[0]:g} is not applied: there is a test folder of {len(test.paths)} images"
        )
    for part, split in ((validation, "validation"), (test, "test")):
        if part is not None:
            notes += copies(entry.of(train), entry.of(part), split, part.paths)
    inputs = torch.from_numpy(decoded.images).permute(0, 3, 1, 2)  # (N, C, H, W)
    images = _split(inputs, train)
    return RawData(
        task="classification",
        train=images,
        validation=None if validation is None else _split(inputs, validation),
        test=_split(inputs, test),
        outputs=len(classes),
        class_names=classes,
        full_scale=255,
        notes=tuple(notes),
        files=tuple(file.path for file in layout.files),
        reader=ImageReader.of(images.inputs, form, classes, white=decoded.white),
    )


def _split(inputs: Tensor, part: _Part) -> Split:
    """Returns a split, without a copy where its images lie in a row; always in the order of the memory."""
    first, count = int(part.places[0]), len(part.places)
    if part.places[-1] - first + 1 == count:
        return Split(inputs[first : first + count], part.labels)
    return Split(inputs.permute(0, 2, 3, 1)[torch.from_numpy(part.places)].permute(0, 3, 1, 2), part.labels)


def _split_notes(listing: Listing, test: _Part, fraction: float) -> list[str]:
    sizes = torch.bincount(test.labels, minlength=len(listing.classes))
    notes = [
        f"{listing.folder}: no test folder, so that data.test: {fraction:g} of the images of each class are "
        f"held out: {len(test.paths)} of {len(listing.files)}"
    ]
    missing = [name for name, size in zip(listing.classes, sizes.tolist(), strict=True) if size == 0]
    if missing:
        notes.append(f"classes with too few images for one in the test: {', '.join(missing)}")
    return notes


def _readable_parts(
    layout: Layout, unreadable: NDArray[np.int64]
) -> tuple[_Part, _Part | None, _Part | None]:
    start, place, parts = 0, 0, list[_Part | None]()
    for listing in (layout.train, layout.validation, layout.test):
        if listing is None:
            parts.append(None)
            continue
        readable = torch.ones(len(listing.files), dtype=torch.bool)
        within = (unreadable >= start) & (unreadable < start + len(listing.files))
        readable[torch.from_numpy(unreadable[within] - start)] = False
        labels = _labels_left(listing, layout.train.classes, readable)
        paths = [in_print(listing.files[k].path) for k in torch.nonzero(readable).flatten().tolist()]
        parts.append(_Part(np.arange(place, place + len(paths)), labels, paths))
        start, place = start + len(listing.files), place + len(paths)
    train, validation, test = parts
    assert train is not None
    return train, validation, test


def _labels_left(listing: Listing, classes: list[str], readable: Tensor) -> Tensor:
    """The labels of the readable images, as places in `classes`. No class may have lost all of its images."""
    labels = torch.tensor(listing.labels)
    sizes = torch.bincount(labels[readable], minlength=len(listing.classes))
    if not bool(sizes.all()):
        lost = int(sizes.argmin())
        first = listing.files[listing.labels.index(lost)].path
        raise DataError(
            f"{os.path.dirname(first)}: not one of the {listing.labels.count(lost)} images of class "
            f"{listing.classes[lost]} can be read, from {in_print(os.path.basename(first))} on; replace them "
            "or remove the class from all splits"
        )
    return torch.tensor([classes.index(name) for name in listing.classes])[labels[readable]]


# --- the cache ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Entry:
    """The content of the cache."""

    decoded: DecodedImages
    traits: Traits

    def of(self, part: _Part) -> Traits:
        return self.traits.take(part.places)

    def holds(self, files: int) -> bool:
        """Tells whether it is of so many files, in the types that it was written with."""
        images, digests, flat = self.decoded.images, self.traits.digests, self.traits.flat
        return (
            (images.dtype.kind, digests.dtype.kind, flat.dtype.kind) == ("u", "i", "b")
            and images.ndim == 4
            and len(images) + len(self.decoded.unreadable) == files
            and len(images) == len(digests) == len(flat)
        )


def _cache_file(root: Path, form: Form) -> Path:
    """The cache file of the images of the folder `root` in a form."""
    key = _digest([os.fsencode(root.resolve()), repr(form).encode()])
    return cache_folder() / "image_folder" / f"{key}.npz"


def _fingerprint(root: Path, files: Sequence[ImageFile], training: int) -> str:
    """Changes with every file that is added, removed, renamed, or changed in size or times.

    Also with the number of training images, whose largest value is white where there are many bits.
    """
    parts = [f"{VERSION} {training}".encode()]
    for file in files:
        below_root = file.path.removeprefix(str(root))
        parts += [os.fsencode(below_root), f"{file.size} {file.modified_ns} {file.changed_ns}".encode()]
    return _digest(parts)


def _digest(parts: Sequence[bytes]) -> str:
    # No path holds a zero byte, so the parts cannot run into each other.
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _read_cache(path: Path, content: str, files: int) -> _Entry | None:
    """The cached images, or None where there are none of this fingerprint or the file is damaged."""
    try:
        # Opened here, because np.load leaves the file open when it is no zip file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["fingerprint"]) != content:
                return None
            # The zip file carries a checksum of each array, which numpy's reading verifies.
            white = float(stored["white"])
            notes = tuple(map(str, stored["notes"]))
            decoded = DecodedImages(stored["images"], stored["unreadable"], notes, white or None)
            entry = _Entry(decoded, Traits(stored["digests"], stored["flat"]))
            return entry if entry.holds(files) else None
    except Exception:  # whatever is wrong with it: the images are decoded again and the file replaced
        return None


def _write_cache(path: Path, content: str, entry: _Entry) -> list[str]:
    """Replaces the cache file in one step. Returns a note where that is not possible, else nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                fingerprint=content,
                notes=np.array(entry.decoded.notes, dtype=str),
                unreadable=entry.decoded.unreadable,
                white=entry.decoded.white or 0.0,
                digests=entry.traits.digests,
                flat=entry.traits.flat,
                images=entry.decoded.images,
            )
    except OSError as error:
        reason = error.strerror or error
        return [f"{path}: the decoded images could not be cached ({reason}); next time is as slow"]
    return []


def _remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes that were killed while they wrote."""
    for file in folder.glob(".*.tmp"):
        try:
            if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
                file.unlink()
        except OSError:  # another process was faster
            continue
