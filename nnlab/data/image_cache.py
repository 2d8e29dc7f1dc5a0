"""Decoded images on disk, so that an image folder is decoded only once.

One file for each image folder and number of channels; it holds the fingerprint of the files that it was
made from, and is replaced when that no longer fits.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.data.locations import cache_folder

VERSION = 2
"""Of the cached content; raise it when images are decoded in another way."""


class ImageFile(NamedTuple):
    """A file and what tells whether it has changed: its size in bytes, its time of change."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """What became of a list of files.

    Attributes:
        images: (N, H, W, C) uint8, of the files that could be read, in their order.
        unreadable: int64, the places in the list of the files that could not.
        notes: what a user should know about how they were decoded.
    """

    images: NDArray[np.uint8]
    unreadable: NDArray[np.int64]
    notes: tuple[str, ...]


def file_for(root: Path, channels: int) -> Path:
    """Where the images of the folder `root` with so many channels are cached."""
    key = _digest([os.fsencode(root.resolve()), str(channels).encode()])
    return cache_folder() / "image_folder" / f"{key}.npz"


def fingerprint(root: Path, files: Sequence[ImageFile]) -> str:
    """Changes with every file that is added, removed, renamed, or changed in size or time of change."""
    parts = [str(VERSION).encode()]
    for file in files:
        below_root = file.path.removeprefix(str(root))
        parts += [os.fsencode(below_root), f"{file.size} {file.modified_ns}".encode()]
    return _digest(parts)


def _digest(parts: Sequence[bytes]) -> str:
    # No path holds a zero byte, so the parts cannot run into each other.
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def read(path: Path, content: str, files: int, channels: int) -> DecodedImages | None:
    """The cached images, or None where there are none of this fingerprint or the file is damaged.

    Args:
        files: how many files the images were decoded from, readable or not.
        channels: of every image.
    """
    try:
        # Opened here, because np.load leaves the file open when it is no zip file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["fingerprint"]) != content:
                return None
            # The zip file carries a checksum of each array, which numpy's reading verifies.
            images, unreadable = stored["images"], stored["unreadable"]
            notes = tuple(map(str, stored["notes"]))
    except Exception:  # whatever is wrong with it: the images are decoded again and the file replaced
        return None
    fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == channels
    complete = unreadable.dtype == np.int64 and len(images) + len(unreadable) == files
    return DecodedImages(images, unreadable, notes) if fits and complete else None


def write(path: Path, content: str, decoded: DecodedImages) -> list[str]:
    """Replaces the cache file in one step. Returns a note where that is not possible, else nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez(
                    file,
                    fingerprint=content,
                    notes=np.array(decoded.notes, dtype=str),
                    unreadable=decoded.unreadable,
                    images=decoded.images,
                )
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        reason = error.strerror or error
        return [f"{path}: the decoded images could not be cached ({reason}); next time is as slow"]
    return []
