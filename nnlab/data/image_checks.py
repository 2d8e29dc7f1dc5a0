"""Checks of a set of images: those without content, and copies of one another."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import DataError

CHUNK = 2**22
"""Bytes of images that are looked at at a time."""


@dataclass(frozen=True, eq=False)
class Traits:
    """The properties of each of N images that the checks need.

    Attributes:
        digests: (N,) int64; those of two images are the same exactly where all pixels are (but for chance,
            of 2⁻⁶⁴ a pair).
        flat: (N,) bool, whether every pixel has the same colour.
    """

    digests: NDArray[np.int64]
    flat: NDArray[np.bool_]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> "Traits":
        """Looks at images (N, H, W, C)."""
        n = len(images)
        digests, flat = np.empty(n, np.int64), np.empty(n, bool)
        step = max(1, CHUNK // max(1, images[0].size)) if n else 1
        for start in range(0, n, step):
            part = np.ascontiguousarray(images[start : start + step])
            flat[start : start + step] = (part == part[:, :1, :1]).all((1, 2, 3))
            for index, image in enumerate(part, start):
                digest = hashlib.blake2b(image, digest_size=8).digest()
                digests[index] = int.from_bytes(digest, "little", signed=True)
        return cls(digests, flat)

    def take(self, indices: NDArray[np.int64]) -> "Traits":
        return Traits(self.digests[indices], self.flat[indices])


def check_content(traits: Traits, names: Sequence[str]) -> list[str]:
    """Returns notes on images without content among the training images (all that are not for the test).

    Args:
        names: one per image, for messages.

    Raises:
        DataError: where no image has content, or all are the same.
    """
    n, flat = len(names), np.flatnonzero(traits.flat)
    if len(flat) == n:
        raise DataError(
            f"{names[0]}: every pixel of this image has one colour, and so it is with all {n} training "
            "images: there is nothing to learn from them; look at how the files were made"
        )
    if n > 1 and (traits.digests == traits.digests[0]).all():
        raise DataError(
            f"{names[0]}: all {n} training images are pixel by pixel the same as this one: there is nothing "
            "to learn from them; look at how the files were made"
        )
    if not len(flat):
        return []
    return [f"images of one colour everywhere: {len(flat)} of {n} for training, the first {names[flat[0]]}"]


def conflicts(traits: Traits, labels: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Returns a note on images that are pixel by pixel the same but in different classes."""
    order = np.lexsort((labels, traits.digests))
    digests, classes = traits.digests[order], labels[order]
    apart = (digests[1:] == digests[:-1]) & (classes[1:] != classes[:-1])
    pictures = np.unique(digests[1:][apart])
    if not len(pictures):
        return []
    first = int(np.flatnonzero(np.isin(traits.digests, pictures))[0])
    return [
        f"images that are pixel by pixel the same in two or more classes: {len(pictures)}, the first "
        f"{names[first]}"
    ]


def copies(train: Traits, other: Traits, split: str, names: Sequence[str]) -> list[str]:
    """Returns a note on images of another split that are exact copies of training images.

    Args:
        names: of the images of the other split.
    """
    known = np.flatnonzero(np.isin(other.digests, train.digests))
    if not len(known):
        return []
    return [
        f"{split} images that are pixel by pixel the same as a training image: {len(known)} of {len(names)}, "
        f"the first {names[known[0]]}"
    ]
