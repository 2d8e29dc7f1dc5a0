"""One image file: against Pillow's own resizing, and with bytes changed at random."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from nnlab.data.picture import Form, UnreadableImage, fitted, quiet, read_picture
from tests.image_folder_cases import whole


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(40, 40), (33, 33), (7, 7)])
def test_squares_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    image = noise(*size)
    shaped, _ = Form(3, resize=16).shape(image, "a.png")
    np.testing.assert_array_equal(shaped, image.resize((16, 16), Image.Resampling.BICUBIC))


def test_height_and_width_are_those_of_the_array() -> None:
    image = noise(30, 50)
    shaped, changes = Form(3, resize=(6, 11)).shape(image, "a.png")
    np.testing.assert_array_equal(shaped, image.resize((11, 6), Image.Resampling.BICUBIC))
    assert changes == ["resized"]


@pytest.mark.parametrize(("height", "width"), [(30, 50), (50, 30), (9, 40), (37, 101)])
def test_the_middle_is_that_of_pillow(height: int, width: int) -> None:
    image = noise(height, width)
    expected = ImageOps.fit(image, (8, 8), Image.Resampling.BICUBIC)
    for shaped in (Form(3, resize=8).shape(image, "a.png")[0], fitted(image, (8, 8))):
        np.testing.assert_allclose(np.asarray(shaped).astype(int), np.asarray(expected), atol=1)


@pytest.mark.parametrize(("height", "width"), [(5, 5), (6, 9), (9, 6), (31, 8)])
def test_a_crop_moves_no_pixel(height: int, width: int) -> None:
    image = noise(height, width)
    shaped, _ = Form(3, crop=(5, 4)).shape(image, "a.png")
    top, left = (height - 5) // 2, (width - 4) // 2
    np.testing.assert_array_equal(shaped, np.asarray(image)[top : top + 5, left : left + 4])


SEEDS = {
    "png": whole("PNG"), "jpg": whole("JPEG"), "gif": whole("GIF"), "bmp": whole("BMP"), "ppm": whole("PPM"),
    "webp": whole("WEBP", lossless=True), "tif": whole("TIFF"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEDS)
def test_changed_bytes_give_an_image_or_a_message(kind: str, tmp_path: Path) -> None:
    file, draw, messages = tmp_path / f"a.{kind}", random.Random(kind), list[str]()
    for _ in range(60):
        content = bytearray(SEEDS[kind])
        for _ in range(draw.choice([1, 3, 20])):
            place = draw.randrange(draw.choice([60, len(content)]))
            content[place] = draw.randrange(256)
        file.write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])
        try:
            with quiet():
                picture = read_picture(str(file))
        except UnreadableImage as error:
            messages.append(str(error))
            continue
        image, _ = picture.eight_bits(picture.peak or 1.0)
        assert image.mode in ("L", "RGB")
    assert len(messages) >= 10
    for message in messages:
        assert message.startswith(f"{file}: cannot be read")
        assert message.isprintable()
