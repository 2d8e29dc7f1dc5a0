"""Any picture of a user's, brought to the form of the images that a model was trained on."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.data.decoding import LEAST_UPPER
from nnlab.data.image_reader import ImageReader
from nnlab.data.picture import KINDS, Form, UnreadableImage, fitted, in_print, quiet, read_picture
from nnlab.errors import DataError

LEAST_SIDE = 2
"""Pixels. An image with a shorter side shows nothing that could be looked at."""

SHOWN_SIDE = 480
"""Pixels of the longer side of `UserImage.original`: enough for a figure."""

WORDS = {
    "turned": "turned upright",
    "frames": "the first of its frames",
    "transparent": "laid on white",
    "cmyk": "converted from CMYK without a colour profile",
    "deep": "reduced to 8 bits",
    "deep colour": "reduced from 16 bits a channel to the upper 8",
    "clipped": "brighter than white in places",
    "grey": "grey in three equal channels",
    "colour": "converted to grey by Rec. 601 luma",
    "cropped": "cropped around the centre",
}
"""All that may be done to an image besides resizing it, as half a sentence."""


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


def read_user_image(
    file: Path, input_shape: tuple[int, int, int], reader: ImageReader | None = None
) -> UserImage:
    """Reads an image of any size and mode.

    It is turned upright as its camera noted, laid on white where it is transparent, converted to the wanted
    channels, cropped around its centre to the wanted proportions and resized with antialiasing (bicubic);
    resized and cropped as the training images were where the config said how. Of more than 8 bits a pixel,
    the value is white that is so in the training images, else the largest.

    Args:
        file: the image: PNG, JPEG, WebP, BMP, TIFF, GIF or PPM.
        input_shape: (C, H, W) of the model's input; C is 1 for grey or 3 for colour.
        reader: of the model's run, if it has one.

    Raises:
        DataError: the file cannot be read, or a side has less than two pixels.
    """
    channels, height, width = input_shape
    if not file.is_file():
        raise DataError(f"--image {in_print(str(file))}: no such file; name an image ({KINDS})")
    try:
        with quiet():
            picture = read_picture(str(file))
    except UnreadableImage as error:
        raise DataError(f"--image {error.problem}") from None
    if picture.upper is not None and picture.upper < LEAST_UPPER:
        raise DataError(
            f"--image {in_print(str(file))}: has 16 bits a channel, of which only the upper 8 can be read, "
            f"and these are at most {picture.upper} of 255: nearly black; convert it to 8 bits a channel"
        )
    if min(picture.size) < LEAST_SIDE:
        raise DataError(
            f"--image {in_print(str(file))}: {picture.size[1]} × {picture.size[0]} pixels are too few to be "
            f"looked at; each side must have at least {LEAST_SIDE}"
        )
    white = reader.white if reader is not None else None
    image, changes = picture.eight_bits(white or picture.peak or 1.0)
    original = image.copy()
    original.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    form = Form(1 if channels == 1 else 3)
    if reader is not None and reader.form.channels == channels:
        form = reader.form
    shaped, more = form.shape(image, str(file))
    if (shaped.height, shaped.width) != (height, width):
        if shaped.width * height != shaped.height * width:
            more.append("cropped")
        shaped = fitted(shaped, (height, width))
    done = [f"{image.width} × {image.height} pixels"]
    done += [WORDS[change] for change in (*changes, *more) if change in WORDS]
    if image.size != (width, height):
        done.append(f"resized to {width} × {height}")
    pixels = np.array(shaped, dtype=np.uint8).reshape(height, width, channels)
    return UserImage(
        name=file.stem,
        file=os.fsencode(file).decode(errors="replace"),
        original=np.asarray(original),
        pixels=torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
        words=", ".join(done),
    )
