"""Image files into one array, by Pillow and in threads."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

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

CONVERSIONS = {
    "grey": "grey, converted to three equal channels",
    "colour": "in colour, converted to grey by Rec. 601 luma",
    "cmyk": "in CMYK, converted without a colour profile",
    "16 bits": "of 16 bits a pixel, reduced to 8",
    "transparent": "partly transparent, which is passed over",
}


class ImageFile(NamedTuple):
    """A file and what tells whether it has changed: its size in bytes, its time of change."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """The images of a list of files.

    Attributes:
        images: (N, H, W, C) uint8, of the files that could be read, in their order.
        unreadable: int64, the places in the list of the files that could not.
        notes: what a user should know about how they were decoded.
    """

    images: NDArray[np.uint8]
    unreadable: NDArray[np.int64]
    notes: tuple[str, ...]


class UnreadableImage(DataError):
    """A file that is no PNG or JPEG image, or a damaged one.

    Attributes:
        file: its path.
        reason: why, in a few words.
        lasts: whether the content is to blame, which stays so until the file is replaced.
    """

    def __init__(self, file: str, error: Exception) -> None:
        self.file = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in file)
        self.lasts = not (isinstance(error, OSError) and error.errno is not None)
        if isinstance(error, UnidentifiedImageError):
            self.reason = "its content is neither"
        elif isinstance(error, OSError) and error.strerror:
            self.reason = error.strerror
        else:
            self.reason = " ".join(str(error).split()).rstrip(".")
        kind, cure = (" as a PNG or JPEG image", "Replace") if self.lasts else ("", "Make it readable")
        super().__init__(
            f"{self.file}: cannot be read{kind}: {self.reason}. {cure} or remove it, or leave out what "
            "cannot be read by data.skip_unreadable: true"
        )


def decode(
    files: Sequence[ImageFile],
    channels: int,
    *,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> tuple[DecodedImages, list[UnreadableImage]]:
    """All images that can be read, in the order of the files.

    Args:
        channels: 3 for colour or 1 for grey; other images are converted, and a note says so.
        skip_unreadable: whether to leave out a file that cannot be read; a note says so.
        progress: takes the number of files done.

    Raises:
        UnreadableImage: for a file that cannot be read, where that is not to be skipped.
        DataError: for an image of another size than the first, or where no file can be read.
    """
    with warnings.catch_warnings():  # once, as threads share it: large images are no attack here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return _decode(files, channels, skip_unreadable, progress)


def _decode(
    files: Sequence[ImageFile], channels: int, skip_unreadable: bool, progress: Progress | None
) -> tuple[DecodedImages, list[UnreadableImage]]:
    (width, height), first = _common_size(files, skip_unreadable)
    needed, free = len(files) * height * width * channels, free_bytes()
    if needed > free:
        raise DataError(
            f"{first}: {len(files):,} images of {width} × {height} pixels need {in_words(needed)}, and "
            f"{in_words(free)} of memory are free: make them smaller, or give fewer"
        )
    images = np.empty((len(files), height, width, channels), dtype=np.uint8)
    kinds: list[tuple[str, int]] = []  # kind of conversion, file
    unreadable: dict[int, UnreadableImage] = {}

    def decode_batch(batch: range) -> int:
        for index in batch:
            try:
                kinds.extend([(k, index) for k in _decode_into(images[index], files[index].path, first)])
            except UnreadableImage as error:
                if not skip_unreadable:
                    raise
                unreadable[index] = error
        return len(batch)

    with ThreadPoolExecutor(os.cpu_count() if width * height >= PARALLEL_PIXELS else 1) as pool:
        batches = [range(start, min(start + BATCH, len(files))) for start in range(0, len(files), BATCH)]
        done = 0
        try:
            for future in as_completed([pool.submit(decode_batch, batch) for batch in batches]):
                done += future.result()
                if progress is not None:
                    progress(done, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    skipped = np.array(sorted(unreadable), dtype=np.int64)
    errors = [unreadable[int(index)] for index in skipped]
    notes = (*_conversions(kinds, files, channels), *_left_out(errors, len(files)))
    return DecodedImages(np.delete(images, skipped, 0) if errors else images, skipped, notes), errors


def _common_size(files: Sequence[ImageFile], skip_unreadable: bool) -> tuple[tuple[int, int], str]:
    """Width and height of the first image, and its path. All others must have its size."""
    for file in files:
        try:
            with _opened(file.path) as image:
                if skip_unreadable:
                    _pixels(image, file.path, 1)  # a damaged file may declare any size
                return image.size, file.path
        except UnreadableImage:
            if not skip_unreadable:
                raise
    raise DataError(f"{files[0].path}: neither this image nor any of {len(files) - 1} others can be read")


def _decode_into(place: NDArray[np.uint8], file: str, first: str) -> list[str]:
    """Decodes one image into `place` (H, W, C); returns what was done to it beyond that."""
    height, width, channels = place.shape
    with _opened(file) as image:
        if image.size != (width, height):
            _pixels(image, file, 1)  # a damaged file may declare any size
            raise DataError(
                f"{file}: {image.size[0]} × {image.size[1]} pixels, but {first} has {width} × {height}; "
                "all images must have one size"
            )
        kinds = _kinds(image, channels)
        place[:] = _pixels(image, file, channels)
    return kinds


def _opened(file: str) -> Image.Image:
    try:
        # Only these two decoders: Pillow would otherwise go by the content, and try dozens of formats.
        return Image.open(file, formats=("PNG", "JPEG"))
    except Exception as error:
        raise UnreadableImage(file, error) from None


def _pixels(image: Image.Image, file: str, channels: int) -> NDArray[np.uint8]:
    """(H, W, C)."""
    try:
        converted = eight_bits(image).convert("L" if channels == 1 else "RGB")
        return np.asarray(converted).reshape(image.height, image.width, channels)
    except Exception as error:  # a damaged file can fail anywhere in its decoder, with any exception
        raise UnreadableImage(file, error) from None


def eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits a pixel, which Pillow would clip at 255, by its upper 8 bits."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))


def _kinds(image: Image.Image, channels: int) -> list[str]:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    kinds = {
        "grey": grey and channels == 3,
        "colour": not grey and channels == 1,
        "cmyk": image.mode == "CMYK",
        "16 bits": image.mode.startswith("I"),
        "transparent": image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
    }
    return [kind for kind, applies in kinds.items() if applies]


def _conversions(kinds: list[tuple[str, int]], files: Sequence[ImageFile], channels: int) -> Iterator[str]:
    for kind, words in CONVERSIONS.items():
        indices = [index for k, index in kinds if k == kind]
        if indices:
            first = files[min(indices)].path
            yield f"images {words}, for data.channels: {channels}: {len(indices)}, the first {first}"


def _left_out(errors: Sequence[UnreadableImage], files: int) -> Iterator[str]:
    if errors:
        named = "; ".join(f"{error.file}: {error.reason}" for error in errors[:NAMED])
        more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
        counted = f"{len(errors)} of {files} images cannot be read and are left out"
        yield f"data.skip_unreadable: {counted}: {named}{more}"
