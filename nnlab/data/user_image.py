"""Any picture of a user's, brought to the form of the images that a model was trained on."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from nnlab.data.decoding import eight_bits
from nnlab.errors import DataError

LEAST_SIDE = 2
"""Pixels. An image with a shorter side shows nothing that could be looked at."""

SHOWN_SIDE = 480
"""Pixels of the longer side of `UserImage.original`: enough for a figure."""


@dataclass(frozen=True, eq=False)
class UserImage:
    """One picture.

    Attributes:
        name: the file's name without its ending.
        file: as the user gave it, letters that no text can hold replaced.
        original: (h, w) or (h, w, 3) uint8, upright, made smaller where it is large.
        pixels: (C, H, W) uint8, of the model's size, 255 is white.
        words: what was done to it, as half a sentence.
    """

    name: str
    file: str
    original: NDArray[np.uint8]
    pixels: Tensor
    words: str


def read_user_image(file: Path, input_shape: tuple[int, int, int]) -> UserImage:
    """Reads a PNG or JPEG image of any size and mode.

    It is turned upright as its camera noted, laid on white where it is transparent, converted to the wanted
    channels, cropped around its centre to the wanted proportions and resized with antialiasing (bicubic).

    Args:
        file: the image.
        input_shape: (C, H, W) of the model's input; C is 1 for grey or 3 for colour.

    Raises:
        DataError: the file cannot be read, or a side has less than two pixels.
    """
    channels, height, width = input_shape
    image, done = _upright(file)
    if min(image.size) < LEAST_SIDE:
        raise DataError(
            f"--image {file}: {image.size[0]} × {image.size[1]} pixels are too few to be looked at; "
            f"each side must have at least {LEAST_SIDE}"
        )
    is_grey = image.mode == "L"
    original = image.copy()
    original.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    if is_grey != (channels == 1):
        image = image.convert("L" if channels == 1 else "RGB")
        done.append("converted to grey by Rec. 601 luma" if channels == 1 else "grey in three equal channels")
    if image.width * height != image.height * width:
        done.append("cropped around the centre")
    if image.size != (width, height):
        done.append(f"resized to {width} × {height}")
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    pixels = np.array(image, dtype=np.uint8).reshape(height, width, channels)
    return UserImage(
        name=file.stem,
        file=os.fsencode(file).decode(errors="replace"),
        original=np.asarray(original),
        pixels=torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
        words=", ".join(done),
    )


def _upright(file: Path) -> tuple[Image.Image, list[str]]:
    """The decoded image in mode L or RGB, and what was done to it, its size first."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # beyond twice that, an error
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                image.load()
                return _plain_mode(image)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"--image {file}: no such file; name a PNG or JPEG image") from None
    except Exception as error:  # a damaged file can fail anywhere in its decoder, with any exception
        reason = "its content is neither" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"--image {file}: cannot be read as a PNG or JPEG image: {reason}") from None


def _plain_mode(image: Image.Image) -> tuple[Image.Image, list[str]]:
    upright = ImageOps.exif_transpose(image)
    done = [f"{upright.size[0]} × {upright.size[1]} pixels"]
    if image.getexif().get(0x0112, 1) != 1:  # the tag of the orientation
        done.append("turned upright")
    if upright.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in upright.info:
        done.append("laid on white")
        layered = upright.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        opaque = Image.alpha_composite(white, layered).convert("RGB")
        return (opaque.convert("L") if upright.mode in ("LA", "La", "L") else opaque), done
    if upright.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip at 255
        done.append("reduced from 16 bits to 8")
        return eight_bits(upright), done
    if upright.mode == "CMYK":
        done.append("converted from CMYK without a colour profile")
    return upright.convert("L" if upright.mode in ("1", "L") else "RGB"), done
