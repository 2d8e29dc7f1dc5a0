"""Image files into one array, in threads."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nnlab.data.picture import (
    CHANGES,
    Form,
    Picture,
    Size,
    UnreadableImage,
    fitted,
    in_print,
    quiet,
    read_picture,
)
from nnlab.errors import DataError
from nnlab.memory import free_bytes, in_words

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of all items."""

BATCH = 256
"""Files that a thread decodes between two reports of progress."""

PARALLEL_PIXELS = 64 * 64
"""Smaller images are decoded by one thread: they take longer to hand over than to decode."""

NAMED = 3
"""Unreadable files whose names and reasons a note gives; the others are only counted."""

LEAST_UPPER = 64
"""A set of colour images of 16 bits whose upper 8 bits all stay below this uses 14 bits or fewer."""


DARK = 8
"""A note says so where most images are this many times darker than the brightest."""


class ImageFile(NamedTuple):
    """A file and what tells whether it has changed: its size in bytes, and when content or state did."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """The images of a list of files.

    Attributes:
        images: (N, H, W, C) uint8, of the files that could be read, in their order.
        unreadable: int64, the places in the list of the files that could not.
        notes: what a user should know about how they were decoded.
        white: what became 255 in images of more than 8 bits a pixel; None where there are none.
    """

    images: NDArray[np.uint8]
    unreadable: NDArray[np.int64]
    notes: tuple[str, ...]
    white: float | None


@dataclass(frozen=True)
class Known:
    """Settled before new images are read: height and width of all, and the `white` of those that have one."""

    size: Size
    white: float | None


def decode(
    files: Sequence[ImageFile],
    form: Form,
    *,
    training: int,
    known: Known | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> tuple[DecodedImages, list[UnreadableImage]]:
    """Returns all images that can be read, in the order of the files, and the errors of the others.

    In images of more than 8 bits a pixel the largest value of all training images becomes 255 (and at
    least the value 255 does, where others have 8 bits): many cameras and scanners fill 10 or 12 bits of 16.

    Args:
        form: what each image is brought to.
        training: the first so many files are training images.
        known: of the training images, where these files are new ones; images of another size are fitted then.
        skip_unreadable: whether to leave out a file that cannot be read; a note says so.
        progress: takes the number of files done.

    Raises:
        UnreadableImage: for a file that cannot be read, where that is not to be skipped.
        DataError: for an image of another size than the first, for images of more than 8 bits where no
            training image tells what is white, or where no file can be read.
    """
    with quiet():  # once, as threads share it
        decoder = _start(files, form, known, skip_unreadable)
        decoder.run(range(len(files)), progress)
        if decoder.deep:
            decoder.white = _white(decoder, training)
            if decoder.white is None:
                first = in_print(files[min(decoder.deep)].path)
                raise DataError(
                    f"{first}: has more than 8 bits a pixel, and no training image has: which of its values "
                    "is white cannot be known; convert it to 8 bits"
                )
            decoder.run(sorted(decoder.deep), None)
    _check_deep_colour(decoder, training)
    skipped = np.array(sorted(decoder.unreadable), dtype=np.int64)
    errors = [decoder.unreadable[int(index)] for index in skipped]
    images = np.delete(decoder.images, skipped, 0) if errors else decoder.images
    notes = (*_changes(decoder, known), *_left_out(errors, len(files)))
    return DecodedImages(images, skipped, notes, decoder.white), errors


@dataclass(eq=False)
class _Decoder:
    """The state that threads share; each writes only at the places of its own files.

    Attributes:
        images: (N, H, W, C) uint8.
        first: the file whose size all others must have; None where they are fitted.
        threads: as of ThreadPoolExecutor.
        white: None until all peaks are known; till then deep images are left out.
        deep: the peak of each deep image, and whether its values are floating-point numbers.
        upper: the largest of the upper 8 bits of each colour image of 16 bits a channel.
    """

    files: Sequence[ImageFile]
    form: Form
    images: NDArray[np.uint8]
    first: str | None
    threads: int | None
    skip_unreadable: bool
    white: float | None = None
    deep: dict[int, tuple[float, bool]] = field(default_factory=dict)
    upper: dict[int, int] = field(default_factory=dict)
    changes: list[tuple[str, int]] = field(default_factory=list)
    unreadable: dict[int, UnreadableImage] = field(default_factory=dict)

    def run(self, indices: Sequence[int], progress: Progress | None) -> None:
        """Decodes the files at these places; the first error of any ends it."""
        batches = [indices[start : start + BATCH] for start in range(0, len(indices), BATCH)]
        with ThreadPoolExecutor(self.threads) as pool:
            done = 0
            try:
                for future in as_completed([pool.submit(self.batch, batch) for batch in batches]):
                    done += future.result()
                    if progress is not None:
                        progress(done, len(indices))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def batch(self, indices: Sequence[int]) -> int:
        for index in indices:
            try:
                self.one(index)
            except UnreadableImage as error:
                if not self.skip_unreadable:
                    raise
                self.unreadable[index] = error
        return len(indices)

    def one(self, index: int) -> None:
        file = self.files[index].path
        picture = read_picture(file)
        if picture.upper is not None:
            self.upper[index] = picture.upper
        if picture.peak is not None and self.white is None:
            self.deep[index] = picture.peak, picture.is_fractional
            return
        image, changes = picture.eight_bits(self.white or 255)
        image, more = self.form.shape(image, file)
        if (image.height, image.width) != self.images.shape[1:3]:
            image, more = self._fit(image, file), [*more, "fitted"]
        self.images[index] = np.asarray(image).reshape(self.images.shape[1:])
        self.changes.extend((change, index) for change in (*changes, *more))

    def _fit(self, image: Image.Image, file: str) -> Image.Image:
        height, width = self.images.shape[1:3]
        if self.first is None:
            return fitted(image, (height, width))
        raise DataError(
            f"{in_print(file)}: {image.width} × {image.height} pixels, but {in_print(self.first)} has "
            f"{width} × {height}; all images must have one size: bring them to it by data.resize: "
            f"{min(height, width)} (of each the middle) or data.resize: [{height}, {width}] (height, width)"
        )


def _start(files: Sequence[ImageFile], form: Form, known: Known | None, skip_unreadable: bool) -> _Decoder:
    """Returns room for all images; without a known size, of that of the first that can be read."""
    pixels = PARALLEL_PIXELS if len(files) > BATCH else 0
    if known is None:
        picture, first = _first(files, skip_unreadable)
        pixels, size = math.prod(picture.size), form.size or picture.size
    else:
        size, first = known.size, None
    needed, free = len(files) * size[0] * size[1] * form.channels, free_bytes()
    if needed > free:
        raise DataError(
            f"{in_print(first or files[0].path)}: {len(files):,} images of {size[1]} × {size[0]} pixels need "
            f"{in_words(needed)}, and {in_words(free)} of memory are free: make them smaller by data.resize, "
            "or give fewer"
        )
    images = np.empty((len(files), *size, form.channels), np.uint8)
    threads = os.cpu_count() if pixels >= PARALLEL_PIXELS else 1
    white = known.white if known is not None else None
    return _Decoder(files, form, images, first, threads, skip_unreadable, white)


def _first(files: Sequence[ImageFile], skip_unreadable: bool) -> tuple[Picture, str]:
    for file in files:
        try:
            return read_picture(file.path), file.path
        except UnreadableImage:
            if not skip_unreadable:
                raise
    first = in_print(files[0].path)
    raise DataError(f"{first}: neither this image nor any of {len(files) - 1} others can be read")


def _white(decoder: _Decoder, training: int) -> float | None:
    """Returns what becomes 255 in images of more than 8 bits; None where no training image has so many."""
    peaks = [peak for index, (peak, _) in decoder.deep.items() if index < training]
    if not peaks:
        return None
    kinds = {fractional: index for index, (_, fractional) in sorted(decoder.deep.items(), reverse=True)}
    if len(kinds) == 2:
        raise DataError(
            f"{in_print(decoder.files[kinds[True]].path)}: holds floating-point numbers, but "
            f"{in_print(decoder.files[kinds[False]].path)} whole numbers of more than 8 bits, and the two "
            "have no common scale; convert the images to one kind"
        )
    mixed = len(decoder.deep) + len(decoder.unreadable) < len(decoder.files)
    return max(*peaks, 255.0 if mixed and False in kinds else 0.0) or 1.0


def _check_deep_colour(decoder: _Decoder, training: int) -> None:
    """Raises DataError for colour of fewer than 16 bits, which is black where the upper 8 alone are read."""
    files = [index for index in sorted(decoder.upper) if index < training] or sorted(decoder.upper)
    largest = max((decoder.upper[index] for index in files), default=LEAST_UPPER)
    if largest < LEAST_UPPER:
        raise DataError(
            f"{in_print(decoder.files[files[0]].path)}: has 16 bits a channel, of which only the upper 8 can "
            f"be read, and in all {len(files)} such images these are at most {largest} of 255: nearly black; "
            "convert them to 8 bits a channel with their own scale"
        )


# --- notes ---------------------------------------------------------------------------------------------


def _changes(decoder: _Decoder, known: Known | None) -> Iterator[str]:
    indices: dict[str, list[int]] = {}
    for change, index in decoder.changes:
        indices.setdefault(change, []).append(index)
    for change, words in CHANGES.items():
        if change in indices:
            count, first = len(indices[change]), in_print(decoder.files[min(indices[change])].path)
            scale = _scale(decoder, count, known) if change == "deep" else ""
            yield f"images {words}: {count}, the first {first}{scale}"


def _scale(decoder: _Decoder, count: int, known: Known | None) -> str:
    """Says what became white in `count` images of more than 8 bits."""
    others = len(decoder.files) - count - len(decoder.unreadable)
    source = "the largest value of the training images" if decoder.white != 255 else "as in images of 8 bits"
    beside = f"; the {others} images of 8 bits keep their values" if others and known is None else ""
    return f"; {decoder.white:.6g}, {source}, becomes white{beside}{_darkness(decoder)}"


def _darkness(decoder: _Decoder) -> str:
    """Says how dark the images become where a few are much brighter, as by one broken pixel of a camera."""
    white, peaks = decoder.white, [peak for peak, _ in decoder.deep.values()]
    half = float(np.median(peaks)) if peaks else np.inf
    if white is None or half * DARK > white:
        return ""
    return (
        f"; half of these images reach no more than {half:.6g}, and so {half / white * 255:.0f} of 255: if a "
        "few broken pixels are the reason, remove them first"
    )


def _left_out(errors: Sequence[UnreadableImage], files: int) -> Iterator[str]:
    if errors:
        named = "; ".join(f"{error.file}: {error.reason}" for error in errors[:NAMED])
        more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
        counted = f"{len(errors)} of {files} images cannot be read and are left out"
        yield f"data.skip_unreadable: {counted}: {named}{more}"
