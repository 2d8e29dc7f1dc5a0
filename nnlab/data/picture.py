"""One image file: read by its content, upright, opaque, in 8 bits a channel; then brought to a size.

What is done to an image beyond reading it has a key of `CHANGES`, so that it can be counted.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.Image import Resampling, Transpose

from nnlab.errors import DataError

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Pillow's decoders that are used, and the endings of such files, in small or capital letters."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

KINDS = "PNG, JPEG, WebP, BMP, TIFF, GIF or PPM"

CHANGES = {
    "format": "whose content is of another format than their names say, read by the content",
    "turned": "turned upright as their EXIF orientation says",
    "frames": "of several frames or pages, of which the first was read",
    "transparent": "partly transparent, laid on white",
    "cmyk": "in CMYK, converted without a colour profile",
    "deep": "of more than 8 bits a pixel",
    "deep colour": "of 16 bits a channel, reduced to their upper 8",
    "grey": "grey, converted to three equal channels for data.channels: 3",
    "colour": "in colour, converted to grey by Rec. 601 luma for data.channels: 1",
    "clipped": "brighter than the value that is white, where they become white",
    "resized": "resized",
    "enlarged": "enlarged, as they have fewer pixels than are wanted",
    "cropped": "cropped around the centre",
    "fitted": "of another size than the training images, cropped around the centre and resized to it",
}
"""All that may be done to an image, as the end of the words `images …`; in the order in which it is told."""

ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""

UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""Orientation -> what makes the stored pixels upright. (EXIF 2.32, section 4.6.4, tag Orientation)"""

DEEP_MODES = ("I", "F")
"""First letters of Pillow's modes of grey images of more than 8 bits: whole and floating-point numbers."""

Size = tuple[int, int]
"""Height and width."""

BEGINNINGS = (
    (b"version https://git-lfs", "it is a pointer of Git LFS in place of the image; get it by git lfs pull"),
    (b"<!doctype html", "its content is a web page"),
    (b"<html", "its content is a web page"),
    (b"<?xml", "its content is XML, perhaps SVG, which has no pixels"),
    (b"<svg", "its content is SVG, which has no pixels"),
    (b"%pdf", "its content is PDF"),
    (b"pk\x03\x04", "its content is a ZIP archive"),
    (b"\x89hdf", "its content is HDF5"),
    (b"simple  =", "its content is FITS"),
)
"""The first bytes of files that are often taken for images, in small letters, and what to say of them."""


MAGIC = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8", "JPEG"),
    (b"RIFF", "WebP"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"GIF8", "GIF"),
)
"""The first bytes of files of images."""

WEBP_SIDE = 16383
"""Pixels, the largest side of a WebP image. (RFC 9649, section 1)"""

WHITE_IS_ZERO = (0x0106, 0)
"""The tag of a TIFF file, and its value, that say that 0 is white. (TIFF 6.0, PhotometricInterpretation)"""


class UnreadableImage(DataError):
    """A file that is no image, or a damaged one.

    Attributes:
        file: its path.
        reason: why, in a few words.
        lasts: whether the content is to blame, which stays so until the file is replaced.
    """

    def __init__(self, file: str, error: Exception) -> None:
        self.file = in_print(file)
        self.lasts = not (isinstance(error, OSError) and error.errno is not None)
        self.reason = _reason(file, error)
        kind, cure = (" as an image", "Replace") if self.lasts else ("", "Make it readable")
        self.problem = f"{self.file}: cannot be read{kind}: {self.reason}"
        super().__init__(
            f"{self.problem}. {cure} or remove it, or leave out what cannot be read by "
            "data.skip_unreadable: true"
        )


def _reason(file: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return _content_of(file)
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it claims to have more than {most:,} pixels, which would take too much memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _content_of(file: str) -> str:
    """Says what is in a file that no decoder knows, for a message."""
    with open(file, "rb") as opened:
        start = opened.read(64)
    if not start:
        return "it is empty"
    if not start.strip(b"\0"):
        return "it begins with zeros alone, as after a copy that was broken off"
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("ascii", "replace").strip()
        return f"its content is a HEIC, AVIF or video file ({brand}); convert it to JPEG or PNG"
    for begin, kind in MAGIC:
        if start.startswith(begin):
            return f"it begins as a {kind} image, but is damaged or of a kind that is not read here"
    small = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for begin, words in BEGINNINGS:
        if small.startswith(begin):
            return words
    return f"its content is neither {KINDS.replace(' or ', ' nor ')}"


def in_print(file: str) -> str:
    """Returns a path as text that any terminal can show: it may hold line ends, or bytes that are no text."""
    if file.isprintable():
        return file
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in file)


# --- reading -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright image.

    Attributes:
        pixels: in Pillow's mode L or RGB; of a grey image of more than 8 bits a pixel an array (H, W) of
            finite numbers of at least 0.
        changes: what was done to it, as keys of CHANGES.
        upper: the largest of the upper 8 bits of an image of 16 bits a channel; None for all others.
    """

    pixels: Image.Image | NDArray[Any]
    changes: tuple[str, ...]
    upper: int | None = None

    @property
    def size(self) -> Size:
        if isinstance(self.pixels, Image.Image):
            return self.pixels.height, self.pixels.width
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def peak(self) -> float | None:
        """The largest value of an image of more than 8 bits a pixel; None for all others."""
        return None if isinstance(self.pixels, Image.Image) else float(self.pixels.max())

    @property
    def is_fractional(self) -> bool:
        """True where the pixels are floating-point numbers."""
        return not isinstance(self.pixels, Image.Image) and self.pixels.dtype.kind == "f"

    def eight_bits(self, white: float) -> tuple[Image.Image, tuple[str, ...]]:
        """Returns the image in mode L or RGB, and all that was done to it.

        Args:
            white: the value that becomes 255 where there are more than 8 bits; other values v become
                255 · v / white, rounded, and at most 255.
        """
        if isinstance(self.pixels, Image.Image):
            return self.pixels, self.changes
        scaled = np.rint(self.pixels.astype(np.float64) * (255 / white))
        clipped = ("clipped",) if scaled.max() > 255 else ()
        return Image.fromarray(np.minimum(scaled, 255).astype(np.uint8)), (*self.changes, *clipped)


@contextmanager
def quiet() -> Iterator[None]:
    """Hides Pillow's remarks on odd files; what matters of them is an error, or counted in a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_picture(file: str) -> Picture:
    """Reads an image in any of FORMATS, whatever its name says. To be called within `quiet()`.

    Raises:
        UnreadableImage: for a file that is no image, a damaged one, one of more pixels than Pillow takes for
            safe, or one with values below 0 or that are no numbers.
    """
    try:
        with Image.open(file, formats=tuple(FORMATS)) as image:
            return _picture(image, Path(file).suffix.lower())
    except Exception as error:  # a damaged file can fail anywhere in its decoder, with any exception
        raise UnreadableImage(file, error) from None


def _picture(image: ImageFile.ImageFile, suffix: str) -> Picture:
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with a preview behind it
    changes = []
    if suffix not in FORMATS[kind]:
        changes.append("format")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        changes.append("frames")
    if kind == "WEBP" and max(image.size) > WEBP_SIDE:  # an animation may say so, and take minutes
        raise ValueError(f"it claims to have a side of more than {WEBP_SIDE:,} pixels, as no WebP image has")
    tag, value = WHITE_IS_ZERO
    if kind == "TIFF" and image.mode.startswith(DEEP_MODES) and image.getexif().get(tag) == value:
        raise ValueError("in its more than 8 bits a pixel, 0 is white and not black; invert it")
    stored_in = str(image.tile[0][3]) if image.tile else ""  # such as RGB;16B
    turned_already = kind == "TIFF"  # by Pillow, which forgets the tag then
    orientation = _orientation(image) if turned_already else 1
    image.load()
    if not turned_already:
        orientation = _orientation(image)  # a PNG may have it behind the pixels
    turn = UPRIGHT.get(orientation)
    if turn is not None:
        changes.append("turned")
    if image.mode.startswith(DEEP_MODES):
        return _deep(image, None if turned_already else turn, (*changes, "deep"))
    upper = _brightest(image) if ";16" in stored_in else None
    plain, more = _plain(image)
    if turn is not None and not turned_already:
        plain = plain.transpose(turn)
    return Picture(plain, (*changes, *more, *([] if upper is None else ["deep colour"])), upper)


def _brightest(image: Image.Image) -> int:
    """Returns the largest value of any channel but the transparency."""
    bands = [image.getchannel(band) for band in image.getbands() if band != "A"]
    return max(int(np.asarray(band).max()) for band in bands)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation; 1 where the file says nothing, or nothing that can be understood."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data beside an image that is whole
        return 1
    return value if isinstance(value, int) else 1


def _deep(image: Image.Image, turn: Transpose | None, changes: tuple[str, ...]) -> Picture:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are no finite numbers")
    if values.min() < 0:
        raise ValueError(f"it holds {values.min():g}, and a pixel must be at least 0; shift its values")
    if turn is not None:
        values = _turned(values, turn)
    return Picture(values, changes)


def _turned(values: NDArray[Any], turn: Transpose) -> NDArray[Any]:
    """Does what Image.transpose does, to arrays (H, W)."""
    match turn:
        case Transpose.FLIP_LEFT_RIGHT:
            return values[:, ::-1]
        case Transpose.FLIP_TOP_BOTTOM:
            return values[::-1]
        case Transpose.TRANSPOSE:
            return values.T
        case Transpose.TRANSVERSE:
            return values[::-1, ::-1].T
        case _:
            quarters = {Transpose.ROTATE_90: 1, Transpose.ROTATE_180: 2, Transpose.ROTATE_270: 3}
            return np.rot90(values, quarters[turn])


def _plain(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Returns an image of 8 bits in mode L or RGB, and what was done to it."""
    changes = ["cmyk"] if image.mode == "CMYK" else []
    is_grey = image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema()[0] != 255:
            changes.append("transparent")
            layered = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
        image = layered.convert("RGB")
    mode = "L" if is_grey else "RGB"
    return (image if image.mode == mode else image.convert(mode)), changes


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return False
    colours = np.array(image.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


# --- channels and size ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """The form that every image of a set is brought to. First it is resized, then its middle is cut out.

    Attributes:
        channels: 3 for colour or 1 for grey.
        resize: N makes the shorter side N pixels and keeps the proportions; (height, width) makes just that
            of it, whatever its proportions were. None leaves the size.
        crop: height and width of the middle that stays, or one number for both. Left out, N × N where
            `resize` is N, and else everything.
    """

    channels: Literal[1, 3] = 3
    resize: int | Size | None = None
    crop: int | Size | None = None

    @property
    def size(self) -> Size | None:
        """Height and width of all images; None where those of the files stay."""
        if self.crop is not None:
            return pair(self.crop)
        return None if self.resize is None else pair(self.resize)

    def shape(self, image: Image.Image, file: str) -> tuple[Image.Image, list[str]]:
        """Brings an image (mode L or RGB) to this form; also returns what was done, as keys of CHANGES.

        Resized with antialiasing, bicubic.

        Raises:
            DataError: where the image is smaller than what is to be cut out of it.
        """
        mode = "L" if self.channels == 1 else "RGB"
        changes = [] if image.mode == mode else ["colour" if mode == "L" else "grey"]
        image = image if image.mode == mode else image.convert(mode)
        if self.size is None:
            return image, changes
        height, width = self.size
        down, across = self._factors(image)
        # The part of the image, in its own pixels, that becomes the result.
        rows, columns = height / down, width / across
        tolerance = 1e-9
        if rows > image.height * (1 + tolerance) or columns > image.width * (1 + tolerance):
            resized = "" if self.resize is None else ", once it is resized"
            raise DataError(
                f"{in_print(file)}: {image.width * across:.0f} × {image.height * down:.0f} pixels{resized}, "
                f"too few to cut {width} × {height} out of them; make data.crop smaller or data.resize larger"
            )
        if rows < image.height * (1 - tolerance) or columns < image.width * (1 - tolerance):
            changes.append("cropped")
        if (down, across) == (1.0, 1.0):
            return middle(image, self.size), changes
        changes.append("enlarged" if max(down, across) > 1 else "resized")
        return cut(image, (rows, columns), self.size), changes

    def _factors(self, image: Image.Image) -> tuple[float, float]:
        """Returns by how much height and width are to be multiplied."""
        if self.resize is None:
            return 1.0, 1.0
        if isinstance(self.resize, int):
            factor = self.resize / min(image.size)
            return factor, factor
        return self.resize[0] / image.height, self.resize[1] / image.width


def pair(size: int | Size) -> Size:
    """Returns height and width; one number is both."""
    return (size, size) if isinstance(size, int) else size


def middle(image: Image.Image, size: Size) -> Image.Image:
    """Cuts out the middle of that height and width; the odd pixel more is lost below and on the right."""
    top, left = (image.height - size[0]) // 2, (image.width - size[1]) // 2
    if (top, left) == (0, 0) and (image.height, image.width) == size:
        return image
    return image.crop((left, top, left + size[1], top + size[0]))


def cut(image: Image.Image, part: tuple[float, float], size: Size) -> Image.Image:
    """Returns the middle of an image, `part` pixels high and wide, resized to `size`."""
    # Pillow's bicubic filter widens with the reduction, so that it is antialiased.
    top = max(0.0, (image.height - part[0]) / 2)
    left = max(0.0, (image.width - part[1]) / 2)
    box = (left, top, min(float(image.width), left + part[1]), min(float(image.height), top + part[0]))
    return image.resize((size[1], size[0]), Resampling.BICUBIC, box=box)


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """Returns the largest middle of an image that has the proportions of `size`, resized to it."""
    factor = max(size[0] / image.height, size[1] / image.width)
    return cut(image, (size[0] / factor, size[1] / factor), size)
