"""Image folders as they come from cameras, scanners, microscopes and the net, and what is to become of them.

Each case writes a folder of tiny images, beside what it says of every image in numbers that were found
without the package; or it says which words the refusal has.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

WIDTH, HEIGHT = 6, 4

ROW0, COLUMN0 = (
    ["", "top", "top", "bottom", "bottom", "left", "right", "right", "left"],
    ["", "left", "right", "right", "left", "top", "top", "bottom", "bottom"],
)
"""What the first stored row and the first stored column show, by EXIF orientation. (EXIF 2.32, 4.6.4)"""


class Folder:
    """A folder of images, and what each of them is to become."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected: dict[str, np.ndarray] = {}
        self.random = np.random.default_rng(len(str(root.name)))

    def noise(self, *shape: int) -> np.ndarray:
        return self.random.integers(0, 256, shape or (HEIGHT, WIDTH, 3), dtype=np.uint8)

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(
        self, name: str, image: Any = None, expected: np.ndarray | None = None, **options: Any
    ) -> np.ndarray:
        """Saves an image (noise if left out), which is to become `expected`: (H, W) or (H, W, 3)."""
        pixels = self.noise() if image is None else image
        picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        picture.save(self.path(name), **options)
        becomes = np.asarray(pixels) if expected is None else expected
        self.expected[name] = np.stack([becomes] * 3, 2) if becomes.ndim == 2 else becomes
        return becomes

    def write(self, name: str, content: bytes) -> "Folder":
        self.path(name).write_bytes(content)
        self.expected.pop(name, None)
        return self

    def fill(self, *splits: str, classes: tuple[str, ...] = ("cat", "dog"), each: int = 3) -> "Folder":
        for split in splits or ("train", "test"):
            for name in classes:
                for k in range(each):
                    self.add(os.path.join(split, name, f"{k}.png"))
        return self

    def remove(self, name: str) -> None:
        self.path(name).unlink()
        self.expected.pop(name, None)

    def images(self, split: str) -> np.ndarray:
        """What the images of a split are to become, class by class, sorted by name, (N, H, W, 3)."""
        names = sorted((n for n in self.expected if n.split("/")[0] == split), key=lambda n: n.split("/"))
        return np.stack([self.expected[name] for name in names])


@dataclass(frozen=True)
class Case:
    """What is made, how it is read, and what comes of it.

    Attributes:
        build: writes the folder.
        keys: of the config's section.
        error: words of the one message that refuses it; empty where the folder is read.
        notes: words, each of one note; there are as many notes as entries here.
        tolerance: by how much a pixel may differ.
        check: further checks of the data set.
    """

    build: Callable[[Folder], None]
    keys: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tolerance: float = 0
    check: Callable[[Any, Folder], None] | None = None


CASES: dict[str, Case] = {}
extra: dict[str, Any]


def case(name: str, build: Callable[..., object], **options: Any) -> None:
    def filled(folder: Folder) -> None:
        folder.fill()
        build(folder)

    CASES[name] = Case(filled, **options)


def bare(name: str, build: Callable[..., object], **options: Any) -> None:
    """A case that makes all of its folder."""
    assert name not in CASES
    CASES[name] = Case(lambda folder: (build(folder), None)[1], **options)


case("plain", lambda f: None)

# --- turned cameras --------------------------------------------------------------------------------------


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows of the file of a scene, by the words of the standard."""
    sides = (ROW0[orientation], COLUMN0[orientation])
    if "bottom" in sides:
        upright = upright[::-1]
    if "right" in sides:
        upright = upright[:, ::-1]
    return np.ascontiguousarray(upright if ROW0[orientation] in ("top", "bottom") else upright.swapaxes(0, 1))


def exif(orientation: object) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def turned(f: Folder, name: str, orientation: int, pixels: np.ndarray | None = None, **options: Any) -> None:
    upright = f.noise() if pixels is None else pixels
    f.add(name, stored(upright, orientation), upright, exif=exif(orientation), **options)


WHITE = "the largest value of the training images, becomes white"
TURNED = "turned upright as their EXIF orientation says: 1, the first "
for value in range(1, 9):
    notes = (TURNED,) if value > 1 else ()
    for suffix, extra in (("png", {}), ("tif", {}), ("webp", {"lossless": True})):
        case(
            f"orientation {value} in {suffix}",
            lambda f, v=value, s=suffix, e=extra: turned(f, f"train/cat/9.{s}", v, **e),
            notes=notes,
        )

BLOCKS = np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), np.ones((8, 8), np.uint8))


def photographs(f: Folder) -> None:
    """JPEG files of a scene of six flat blocks, held in all eight ways."""
    for split in ("train", "test"):
        for name, shade in (("cat", 0), ("dog", 15)):
            for orientation in range(1, 9):
                scene = np.stack([BLOCKS + shade] * 3, 2)
                turned(f, f"{split}/{name}/{orientation}.jpg", orientation, scene, quality=100, subsampling=0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            f.add(f"{split}/{name}/0.png", f.noise(16, 24, 3))


bare(
    "photographs held in eight ways",
    photographs,
    notes=(
        "turned upright as their EXIF orientation says: 28, the first ",
        "pixel by pixel the same as a tr",
    ),
    tolerance=2,
)
case(
    "many bits and turned",
    lambda f: f.add(
        "train/cat/9.png",
        Image.fromarray(stored(np.arange(24, dtype=np.uint16).reshape(4, 6) * 100, 6)),
        np.rint(np.arange(24).reshape(4, 6) * (255 / 23)),
        exif=exif(6),
    ),
    notes=(TURNED, "grey, converted", f"; 2300, {WHITE}; the 12 images of 8 bits keep their values"),
)
for value in (0, 9, 77):
    case(
        f"an orientation of {value}, which does not exist",
        lambda f, v=value: f.add("train/cat/9.png", exif=exif(v)),
    )
case("damaged EXIF data", lambda f: f.add("train/cat/9.png", exif=b"Exif\0\0MM\0*\0\0\0\x99no such place"))

# --- more than eight bits --------------------------------------------------------------------------------


def deep(f: Folder, levels: int, suffix: str, kind: str = "uint16", **options: Any) -> None:
    """Grey images with values below `levels`, of which the largest is in the third training image."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for k in range(3):
                values = f.random.integers(0, levels - 1, (HEIGHT, WIDTH)).astype(kind)
                if (split, name, k) == ("train", "dog", 2):
                    values[1, 1] = levels - 1
                f.add(f"{split}/{name}/{k}.{suffix}", values, in_bytes(values, levels - 1), **options)


def in_bytes(values: np.ndarray, white: float) -> np.ndarray:
    return np.minimum(np.floor(values.astype(float) / white * 255 + 0.5), 255)


for bits in (9, 10, 12, 14, 16):
    for suffix, extra in (("png", {}), ("tif", {}), ("tiff", {"compression": "tiff_lzw"})):
        bare(
            f"{bits} bits in {suffix}",
            lambda f, b=bits, s=suffix, e=extra: deep(f, 2**b, s, **e),
            notes=(
                "grey, converted to three",
                f"of more than 8 bits a pixel: 12, the first %; {2**bits - 1}, {WHITE}",
            ),
            tolerance=1e-6,
        )
bare("12 bits in PGM", lambda f: deep(f, 2**12, "pgm"), notes=("grey", WHITE))
bare("32 bits", lambda f: deep(f, 10**6, "tif", "int32"), notes=("grey", f"; 999999, {WHITE}"))
bare("big-endian", lambda f: deep(f, 3000, "tif", ">u2"), notes=("grey", f"; 2999, {WHITE}"))
bare("grey stays grey", lambda f: deep(f, 1024, "png"), keys={"channels": 1}, notes=(WHITE,))


def floats(f: Folder, largest: float) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for k in range(3):
                values = f.random.random((HEIGHT, WIDTH)).astype(np.float32) * np.float32(largest)
                values[0, 0] = largest
                f.add(f"{split}/{name}/{k}.tif", values, in_bytes(values, largest))


bare("floating point up to 1", lambda f: floats(f, 1.0), notes=("grey", f"; 1, {WHITE}"), tolerance=1)
bare("tiny floating point", lambda f: floats(f, 1e-20), notes=("grey", f"; 1e-20, {WHITE}"), tolerance=1)


def add_values(f: Folder, name: str, values: np.ndarray, white: float) -> None:
    f.add(name, values, in_bytes(values, white))


RAMP = np.arange(24).reshape(HEIGHT, WIDTH)
case(
    "8 bits beside 12",
    lambda f: add_values(f, "train/cat/9.png", (RAMP * 178).astype(np.uint16), 4094),
    notes=("grey", f"; 4094, {WHITE}; the 12 images of 8 bits keep their values"),
)
case(
    "8 bits in a file of 16 beside 8",
    lambda f: add_values(f, "train/cat/9.png", (RAMP * 5).astype(np.uint16), 255),
    notes=("grey", "; 255, as in images of 8 bits, becomes white; the 12 images of 8 bits keep their values"),
)


def brighter_test(f: Folder) -> None:
    deep(f, 1000, "png")
    values = np.full((HEIGHT, WIDTH), 500, np.uint16)
    values[0, 0] = 1500
    add_values(f, "test/cat/9.png", values, 999)


bare("a test image that is brighter", brighter_test, notes=("grey", WHITE, "white: 1, the first "))


def hot_pixel(f: Folder) -> None:
    for name in [*f.fill().expected]:
        values = f.random.integers(0, 1000, (HEIGHT, WIDTH)).astype(np.uint16)
        values[1, 1] = 65535 if name == "train/dog/1.png" else 1000
        f.add(name, values, in_bytes(values, 65535))


bare(
    "one pixel that is much brighter than all",
    hot_pixel,
    notes=("grey", f"; 65535, {WHITE}; half of these images reach no more than 1000, and so 4 of 255: if"),
    tolerance=1e-6,
)
case(
    "many bits in the test alone",
    lambda f: f.add("test/cat/9.png", (RAMP * 50).astype(np.uint16)),
    error=("test/cat/9.png", "no training image has", "convert it to 8 bits"),
)
case(
    "whole and floating-point numbers",
    lambda f: [
        f.add("train/cat/8.tif", RAMP.astype(np.float32)),
        f.add("train/cat/9.tif", RAMP.astype("<u2")),
    ],
    error=("train/cat/8.tif", "train/cat/9.tif", "no common scale", "convert the images to one kind"),
)
case(
    "negative values",
    lambda f: f.add("train/cat/9.tif", (RAMP - 5).astype(np.int32)),
    error=("train/cat/9.tif", "it holds -5", "shift its values"),
)
case(
    "values that are no numbers",
    lambda f: f.add("train/cat/9.tif", np.where(RAMP == 7, np.nan, RAMP).astype(np.float32)),
    error=("train/cat/9.tif", "no finite numbers"),
)


def white_is_zero(f: Folder) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    f.add("train/cat/9.tif", (RAMP * 100).astype(np.uint16), tiffinfo=tags)
    content = bytearray((f.root / "train/cat/9.tif").read_bytes())
    entry = content.index(struct.pack("<HHI", 262, 3, 1))
    content[entry + 8 : entry + 10] = b"\0\0"
    f.write("train/cat/9.tif", bytes(content))


case(
    "many bits where 0 is white",
    white_is_zero,
    error=("train/cat/9.tif: cannot be read", "0 is white and not black; invert it"),
)


def png16(values: np.ndarray) -> bytes:
    """A PNG file of 16 bits a channel from (H, W, 3) or, with transparency, (H, W, 4)."""
    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def deep_colour(f: Folder, largest: int, channels: int = 3) -> None:
    values = f.random.integers(0, largest + 1, (HEIGHT, WIDTH, channels))
    values[0, 0] = largest
    if channels != 3:
        values[:, :, -1] = 65535
    f.write("train/cat/9.png", png16(values))
    shown = values[:, :, :3] if channels > 2 else np.repeat(values[:, :, :1], 3, 2)
    f.expected["train/cat/9.png"] = shown // 256


case("16 bits a colour", lambda f: deep_colour(f, 65535), notes=("reduced to their upper 8: 1, the first ",))
case(
    "16 bits a colour and a layer", lambda f: deep_colour(f, 65535, 4), notes=("reduced to their upper 8: 1",)
)
for channels in (2, 3, 4):
    case(
        f"12 bits a colour in files of 16, {channels} channels",
        lambda f, c=channels: deep_colour(f, 4095, c),
        error=("train/cat/9.png", "at most 15 of 255: nearly black", "convert them to 8 bits a channel"),
    )

# --- modes -----------------------------------------------------------------------------------------------


def on_white(pixels: np.ndarray, part: np.ndarray) -> np.ndarray:
    part = part[:, :, None] / 255
    pixels = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, 2)
    return part * pixels + (1 - part) * 255


def with_layer(f: Folder, grey: bool) -> None:
    pixels, part = f.noise(HEIGHT, WIDTH, *([] if grey else [3])), f.noise(HEIGHT, WIDTH)
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray(part))
    f.add("train/cat/9.png", image, on_white(pixels, part))


LAID = "partly transparent, laid on white: 1, the first "
case("RGBA", lambda f: with_layer(f, grey=False), notes=(LAID,), tolerance=1)
case("LA", lambda f: with_layer(f, grey=True), notes=(LAID, "grey, converted"), tolerance=1)


def grey_with_transparent_level(f: Folder) -> None:
    pixels = (RAMP * 10).astype(np.uint8)
    f.add("train/cat/9.png", pixels, np.where(pixels == 70, 255, pixels), transparency=70)


case("one grey level is transparent", grey_with_transparent_level, notes=(LAID, "grey, converted"))


def palette(f: Folder, colours: np.ndarray, expected: np.ndarray | None = None, **options: Any) -> None:
    image = Image.fromarray((RAMP % 4).astype(np.uint8), mode="P")
    image.putpalette(colours.astype(np.uint8).tobytes())
    shown = colours[RAMP % 4] if expected is None else expected
    f.add("train/cat/9.png", image, shown, **options)


COLOURS = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200], [9, 8, 7]])
case("a palette", lambda f: palette(f, COLOURS))
case("a grey palette", lambda f: palette(f, np.repeat(COLOURS[:, :1], 3, 1)), notes=("grey",))
case(
    "a palette with a transparent colour",
    lambda f: palette(
        f, COLOURS, np.where((RAMP % 4 == 1)[:, :, None], 255, COLOURS[RAMP % 4]), transparency=1
    ),
    notes=(LAID,),
)
case(
    "one bit",
    lambda f: f.add("train/cat/9.png", Image.fromarray(RAMP % 3 == 0), np.where(RAMP % 3 == 0, 255, 0)),
    notes=("grey",),
)


def cmyk(f: Folder) -> None:
    ink = f.noise(HEIGHT, WIDTH, 4)
    expected = (255 - ink[:, :, :3].astype(float)) * (255 - ink[:, :, 3:].astype(float)) / 255
    f.add("train/cat/9.tif", Image.fromarray(ink, mode="CMYK"), expected)


case("CMYK", cmyk, notes=("in CMYK, converted without a colour profile: 1",), tolerance=1.5)


def luma(f: Folder) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            pixels = f.noise()
            f.add(f"{split}/{name}/0.png", pixels, pixels @ np.array([0.299, 0.587, 0.114]))  # Rec. 601


bare("colour for grey", luma, keys={"channels": 1}, notes=("in colour, converted to grey by",), tolerance=1)

# --- formats ---------------------------------------------------------------------------------------------

for suffix, extra in (
    ("bmp", {}), ("BMP", {}), ("tif", {}), ("TIFF", {"compression": "tiff_deflate"}),
    ("webp", {"lossless": True}), ("ppm", {}), ("pnm", {"format": "PPM"}), ("PNG", {}),
):  # fmt: skip
    case(f"a file .{suffix}", lambda f, s=suffix, e=extra: f.add(f"train/cat/9.{s}", **e))
for suffix in ("jpg", "JPEG", "JPG", "jfif", "jpe"):
    case(
        f"a file .{suffix}",
        lambda f, s=suffix: f.add(
            f"train/cat/9.{s}", BLOCKS[4:8, 5:11].copy(), format="JPEG", quality=100, subsampling=0
        ),
        notes=("grey",),
        tolerance=3,
    )
case(
    "a file .gif",
    lambda f: f.add("train/cat/9.gif", (RAMP * 10).astype(np.uint8)),
    notes=("grey",),
)
case("a file .pgm", lambda f: f.add("train/cat/9.pgm", (RAMP * 10).astype(np.uint8)), notes=("grey",))
case(
    "a file .pbm",
    lambda f: f.add("train/cat/9.pbm", Image.fromarray(RAMP % 2 == 0), np.where(RAMP % 2 == 0, 255, 0)),
    notes=("grey",),
)


def frames(f: Folder, suffix: str, **options: Any) -> None:
    first, second = (RAMP * 10).astype(np.uint8), f.noise(HEIGHT, WIDTH)
    pages = [Image.fromarray(second)]
    f.add(f"train/cat/9.{suffix}", first, save_all=True, append_images=pages, **options)


for suffix, extra in (("gif", {}), ("tif", {}), ("png", {}), ("webp", {"lossless": True})):
    grey = () if suffix == "webp" else ("grey",)
    case(
        f"frames in .{suffix}",
        lambda f, s=suffix, e=extra: frames(f, s, **e),
        notes=("of several frames or pages, of which the first was read: 1, the first ", *grey),
    )
case(
    "a photograph with a preview",
    lambda f: f.add(
        "train/cat/9.jpg", BLOCKS[4:8, 5:11].copy(), format="MPO", save_all=True, quality=100,
        append_images=[Image.fromarray(BLOCKS)],
    ),
    notes=("grey",),
    tolerance=3,
)  # fmt: skip
for kind in ("PNG", "BMP", "TIFF", "WEBP", "PPM"):
    case(
        f"{kind} named .jpg",
        lambda f, k=kind: f.add("train/cat/9.jpg", format=k, **({"lossless": True} if k == "WEBP" else {})),
        notes=("of another format than their names say, read by the content: 1, the first ",),
    )

# --- files that are no images -----------------------------------------------------------------------------


def whole(suffix: str, **options: Any) -> bytes:
    """The content of an image file of 40 × 40 random pixels."""
    pixels = np.random.default_rng(4).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix, **options)
    return file.getvalue()


def huge_png() -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    content = whole("PNG")
    return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


def huge_bmp() -> bytes:
    content = bytearray(whole("BMP"))
    content[18:26] = struct.pack("<ii", 50_000, 50_000)
    return bytes(content)


def huge_gif() -> bytes:
    content = bytearray(whole("GIF"))
    content[6:10] = struct.pack("<HH", 65_000, 65_000)
    return bytes(content)


def float_colour() -> bytes:
    """A TIFF file that Pillow does not know, of the kind that it does: one tag is another."""
    content = bytearray(whole("TIFF"))
    entry = content.index(struct.pack("<HHI", 277, 3, 1))  # SamplesPerPixel
    content[entry + 8 : entry + 10] = b"\x07\0"
    return bytes(content)


def long_webp() -> bytes:
    """An animation of a few hundred bytes on a canvas of 12 million pixels by 12."""
    file, frame = io.BytesIO(), Image.new("RGB", (12, 12), "red")
    frame.save(file, "WEBP", save_all=True, append_images=[Image.new("RGB", (12, 12), "blue")])
    content = bytearray(file.getvalue())
    place = content.index(b"VP8X") + 12  # 24 bits of width − 1, 24 of height − 1
    content[place : place + 3] = (12_000_000).to_bytes(3, "little")
    return bytes(content)


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "half a PNG": ("png", whole("PNG")[:2000], ""),
    "half a JPEG": ("jpg", whole("JPEG")[:900], "truncated"),
    "half a BMP": ("bmp", whole("BMP")[:1000], ""),
    "half a GIF": ("gif", whole("GIF")[:1000], ""),
    "half a TIFF": ("tif", whole("TIFF")[:1000], ""),
    "half a WebP": ("webp", whole("WEBP", lossless=True)[:1000], ""),
    "half a PPM": ("ppm", whole("PPM")[:1000], ""),
    "a header alone": ("png", whole("PNG")[:33], ""),
    "nothing": ("png", b"", "it is empty"),
    "zeros": ("jpg", bytes(5000), "begins with zeros"),
    "a web page": ("jpg", b"\n<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
    "another web page": ("png", b"<html><head></head></html>", "web page"),
    "a pointer of Git LFS": (
        "png",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d",
        "git lfs pull",
    ),
    "HEIC": ("jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC"),
    "PDF": ("png", b"%PDF-1.7\n%abc", "PDF"),
    "a ZIP archive": ("png", b"PK\x03\x04" + bytes(40), "ZIP"),
    "SVG": ("png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no pixels"),
    "a TIFF of three floating-point channels": ("tif", float_colour(), "it begins as a TIFF image, but"),
    "text": ("png", b"no image at all", "its content is neither"),
    "a PNG of 3,600 megapixels": ("png", huge_png(), "more than 178,956,970 pixels"),
    "a BMP of 2,500 megapixels": ("bmp", huge_bmp(), "more than 178,956,970 pixels"),
    "a WebP of 12 million pixels by 12": ("webp", long_webp(), "16,383 pixels"),
    "a GIF of 4,225 megapixels": ("gif", huge_gif(), "more than 178,956,970 pixels"),
}
for name, (suffix, content, words) in BROKEN.items():
    case(
        f"{name}",
        lambda f, s=suffix, c=content: f.write(f"train/cat/9.{s}", c),
        error=(f"train/cat/9.{suffix}: cannot be read as an image: ", words, "data.skip_unreadable: true"),
    )
    case(
        f"{name}, to be skipped",
        lambda f, s=suffix, c=content: f.write(f"train/cat/9.{s}", c),
        keys={"skip_unreadable": True},
        notes=("data.skip_unreadable: 1 of 13 images cannot be read and are left out: ",),
    )


def others(f: Folder) -> None:
    for name in ("a.heic", "b.heic", "notes.txt", "nothing", "labels.csv"):
        f.write(f"train/cat/{name}", b"something")


def many_endings(f: Folder) -> None:
    for k in range(40):
        f.write(f"train/cat/image.{k:03}", b"something")


case("many endings", many_endings, notes=(", 35 others, the first ",))
case("other files", others, notes=("passed over: 1 .csv, 2 .heic, 1 .txt, 1 without ending, the first ",))


def junk(f: Folder) -> None:
    for name in (
        "Thumbs.db", "desktop.ini", ".DS_Store", "._9.png", "train/.DS_Store", "train/cat/Thumbs.db",
        "train/cat/desktop.ini", "test/dog/._1.png", "__MACOSX/train/cat/._0.png",
        "train/__MACOSX/cat/._0.png", "test/ehthumbs.db", "train/cat/.hidden/0.png",
    ):  # fmt: skip
        f.write(name, b"\0\5\x16\7 of a system")


case("what systems leave behind", junk)

# --- splits ----------------------------------------------------------------------------------------------

for name in ("val", "valid", "validation", "VAL"):
    case(
        f"a folder {name}",
        lambda f, n=name: f.fill(n),
        keys={"validation": 0.3},
        notes=("data.validation: 0.3 is not applied: the data come with 6 validation examples",),
    )
case(
    "a folder val that is not wanted",
    lambda f: f.fill("val"),
    keys={"validation": 0.0},
    notes=("data.validation: 0: the 6 validation examples that the data come with are left out",),
)
case(
    "a folder val without a class",
    lambda f: f.fill("val", classes=("dog",)),
    keys={"validation": 0.1},
    notes=("val: has no image of the class cat", "not applied: the data come with 3"),
)
case(
    "a folder val with a class of its own",
    lambda f: f.fill("val", classes=("cat", "dog", "bird")),
    error=("there is no folder for the class bird, which ", "val has", "add it or remove it there"),
)
case(
    "val and valid",
    lambda f: f.fill("val", "valid"),
    error=("holds both val and valid", "rename or move one"),
)
case("Train and train", lambda f: f.fill("Train"), error=("holds both Train and train",))
bare("Training and Testing", lambda f: f.fill("Training", "Testing"))


def parts(total: int, held: int) -> Callable[[Any, Folder], None]:
    """Checks that each of two classes gives `held` of `total` images, and that each is there once."""

    def check(data: Any, f: Folder) -> None:
        for split, count in ((data.train, total - held), (data.test, held)):
            assert np.bincount(split.targets).tolist() == [count, count]
        images = [*as_bytes(data, data.train), *as_bytes(data, data.test)]
        assert {i.tobytes() for i in images} == {i.astype(np.uint8).tobytes() for i in f.expected.values()}
        assert len(images) == 2 * total

    return check


def as_bytes(data: Any, split: Any) -> np.ndarray:
    """(N, H, W, C) uint8."""
    raw = data.raw(split.inputs).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(raw, np.rint(raw), atol=0.01)
    return np.rint(raw).astype(np.uint8)


HELD = "no test folder, so that data.test: "
bare(
    "train alone",
    lambda f: f.fill("train", each=10),
    notes=(HELD + "0.2 of the images of each class are held out: 4 of 20",),
    check=parts(10, 2),
)
bare(
    "class folders alone",
    lambda f: f.fill(".", each=10),
    keys={"test": 0.3},
    notes=(HELD + "0.3 of the images of each class are held out: 6 of 20",),
    check=parts(10, 3),
)
bare(
    "train and val",
    lambda f: [f.fill("train", each=10), f.fill("val")],
    keys={"validation": 0.1},
    notes=(HELD, "data.validation: 0.1 is not applied: the data come with 6"),
)
bare(
    "a class with one image",
    lambda f: [f.fill("train", each=10), f.add("train/emu/0.png")],
    notes=(HELD, "classes with too few images for one in the test: emu"),
)
bare(
    "too few to hold one out",
    lambda f: f.fill("train", each=1),
    keys={"test": 0.1},
    error=("data.test: 0.1 of 2 examples leaves no test example", "use a larger fraction"),
)
bare("test alone", lambda f: f.fill("test"), error=("holds test, but no train", "train/CLASS/"))
bare("val alone", lambda f: f.fill("val"), error=("holds val, but no train",))
case(
    "folders beside train",
    lambda f: f.fill("extra"),
    notes=("folders beside test, train, passed over: extra",),
)
bare(
    "images without classes",
    lambda f: [f.add("0.png"), f.add("1.png")],
    error=("holds no class folder, but 2 images", "a folder of its own"),
)
bare(
    "a folder deeper",
    lambda f: f.fill("pictures/train", "pictures/test"),
    error=("set data.root to ", "pictures"),
)
bare(
    "one folder around the classes",
    lambda f: f.fill("pictures"),
    error=("pictures: this class folder holds no image", "but the folder cat", "set data.root to "),
)
bare("an empty folder", lambda f: f.root.mkdir(), error=("holds no class folder", "train/CLASS/"))
bare("no folder", lambda f: None, error=("is not a folder", "data.root"))
bare("a file", lambda f: f.root.write_text("x"), error=("is not a folder",))
bare(
    "test images without classes",
    lambda f: [f.fill("train"), f.add("test/0.png"), f.add("test/1.png")],
    error=("test: holds no class folder, but 2 images", "or move this folder away, so that data.test holds"),
)

bare(
    "a class that is called train",
    lambda f: f.fill(".", classes=("bus", "train"), each=10),
    notes=(HELD + "0.2 of the images of each class are held out: 4 of 20",),
    check=parts(10, 2),
)
bare(
    "train and test without classes",
    lambda f: [f.add(f"{split}/{k}.png") for split in ("train", "test") for k in range(3)],
    error=("train: holds no class folder, but 3 images",),
)

# --- classes ---------------------------------------------------------------------------------------------

case(
    "a class that the test lacks",
    lambda f: f.add("train/emu/0.png"),
    error=("test: there is no folder for the class emu", "must have the same class folders"),
)
case(
    "a class that train lacks",
    lambda f: f.add("test/emu/0.png"),
    error=("train: there is no folder for", "emu"),
)
bare(
    "capital letters",
    lambda f: [f.fill("train"), f.fill("test", classes=("Cat", "dog"))],
    error=("test: there is no folder for the class cat", "'cat' and 'Cat' differ in capital letters"),
)
bare(
    "blanks",
    lambda f: [f.fill("train"), f.fill("test", classes=("cat ", "dog"))],
    error=("'cat' and 'cat ' differ in capital letters or blanks alone",),
)
bare(
    "two classes that look alike",
    lambda f: f.fill("train", "test", classes=("A", "a")),
    notes=("'A' and 'a' are classes of their own",),
)
bare(
    "accents",
    lambda f: [f.fill("train", classes=("caf\u00e9", "dog")), f.fill("test", classes=("cafe\u0301", "dog"))],
)
bare(
    "accents written in two ways",
    lambda f: f.fill("train", "test", classes=("caf\u00e9", "cafe\u0301")),
    error=("two folders of this name, written with different code points",),
)
bare("names in many scripts", lambda f: f.fill("train", "test", classes=("猫", "собака", "🐕")))
bare("long names", lambda f: f.fill("train", "test", classes=("c" * 250, "d" * 250)))
bare(
    "one class",
    lambda f: f.fill("train", "test", classes=("cat",)),
    error=("train: holds only the class cat", "at least two", "a folder of its own"),
)
bare(
    "one class alone",
    lambda f: f.fill(".", classes=("cat",)),
    error=("holds only the class cat", "at least two"),
)
case(
    "data.test beside a test folder",
    lambda f: None,
    keys={"test": 0.5},
    notes=("data.test: 0.5 is not applied: there is a test folder of 6 images",),
)


def emptied(f: Folder) -> Folder:
    for k in range(3):
        f.remove(f"train/dog/{k}.png")
    return f


case("a class without an image", emptied, error=("train/dog: this class folder holds no image (.png, .jpg",))
case(
    "a class of files that cannot be read",
    lambda f: [emptied(f), f.write("train/dog/0.heic", b"x"), f.write("train/dog/1.heic", b"x")],
    error=("train/dog: this class folder holds no image", "but 2 .heic, which cannot be read here"),
)
case(
    "a class in deeper folders",
    lambda f: [emptied(f), f.add("train/dog/big/0.png")],
    error=("train/dog: this class folder holds no image", "but the folder big"),
)
case(
    "a deeper folder",
    lambda f: f.write("train/dog/big/0.png", whole("PNG")),
    notes=("folders within class folders, passed over: 1, the first ",),
)
case(
    "images beside the class folders",
    lambda f: f.write("train/7.png", whole("PNG")),
    notes=("images beside the class folders, passed over: 1, the first ",),
)


def linked(f: Folder) -> None:
    (f.root / "train/cat/9.png").symlink_to("0.png")
    f.expected["train/cat/9.png"] = f.expected["train/cat/0.png"]
    (f.root / "train/up").symlink_to("..")
    (f.root / "train/circle").symlink_to("circle")
    (f.root / "train/cat/gone.png").symlink_to("nowhere.png")
    (f.root / "train/cat/back").symlink_to("..")


case("links", linked, notes=("circle: a link that leads nowhere", "gone.png: a link that leads nowhere"))


def linked_class(f: Folder) -> None:
    (f.root / "train/cat").rename(f.root.parent / "elsewhere")
    (f.root / "train/cat").symlink_to(f.root.parent / "elsewhere")


case("a class that is a link", linked_class)
case("a name with a line end", lambda f: f.add("train/cat/a\nb.png"))
case(
    "a broken file with a line end in its name",
    lambda f: f.write("train/cat/a\nb.png", b""),
    error=("train/cat/a\ufffdb.png: cannot be read as an image: it is empty",),
)


def in_bytes_alone(f: Folder) -> None:
    name = os.fsdecode(b"caf\xe9")
    f.fill("train", "test", classes=(name, "dog"))


bare(
    "a class whose name is no text",
    in_bytes_alone,
    error=("caf", "must be text that can be printed", "rename"),
)
case(
    "a file whose name is no text",
    lambda f: f.write(os.fsdecode(b"train/cat/\xe9.png"), b""),
    error=("train/cat/\ufffd.png: cannot be read as an image: it is empty",),
)

# --- content ---------------------------------------------------------------------------------------------


def all_flat(f: Folder) -> None:
    for index, name in enumerate(sorted(f.expected)):
        f.add(name, np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8))


case("every image of one colour", all_flat, error=("train/cat/0.png: every pixel", "all 6 training images"))


def all_same(f: Folder) -> None:
    for name in list(f.expected):
        f.add(name, (RAMP * 9).astype(np.uint8))


case(
    "all images the same",
    all_same,
    error=("train/cat/0.png: all 6 training images are pixel by pixel the same",),
)
case(
    "black images of many bits",
    lambda f: [f.add(name, np.full((4, 6), 77, np.uint16)) for name in list(f.expected)],
    error=("every pixel of this image has one colour",),
)
case(
    "one image of one colour",
    lambda f: f.add("train/dog/9.png", np.full((HEIGHT, WIDTH, 3), 7, np.uint8)),
    notes=("images of one colour everywhere: 1 of 7 for training, the first ",),
)
case(
    "copies of training images in the test",
    lambda f: [f.add(f"test/dog/{7 + k}.bmp", f.expected[f"train/dog/{k}.png"]) for k in (1, 2)],
    notes=("test images that are pixel by pixel the same as a training image: 2 of 8, the first ",),
)
case(
    "copies of training images in val",
    lambda f: [f.fill("val"), f.add("val/dog/8.png", f.expected["train/dog/1.png"])],
    keys={"validation": 0.1},
    notes=("validation images that are pixel by pixel the same as a training image: 1 of 7", "not applied"),
)
case(
    "one image in two classes",
    lambda f: f.add("train/dog/9.png", f.expected["train/cat/1.png"]),
    notes=("images that are pixel by pixel the same in two or more classes: 1, the first ",),
)

# --- sizes -----------------------------------------------------------------------------------------------

case(
    "two sizes",
    lambda f: f.add("train/dog/9.png", f.noise(9, 7, 3)),
    error=("train/dog/9.png: 7 × 9 pixels", "cat/0.png has 6 × 4", "data.resize: 4", "data.resize: [4, 6]"),
)
case(
    "a turned photograph has another size",
    lambda f: turned(f, "train/dog/9.png", 6, f.noise(WIDTH, HEIGHT, 3)),
    error=("train/dog/9.png: 4 × 6 pixels", "cat/0.png has 6 × 4"),
)


def sized(f: Folder, sizes: list[tuple[int, int]], becomes: Callable[[np.ndarray], np.ndarray]) -> None:
    """Smooth images of these heights and widths."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for k, (height, width) in enumerate(sizes):
                rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
                a, b = f.random.random(2)
                pixels = 128 + 60 * np.sin(3 * a + 2 * rows[:, None]) + 60 * np.cos(b + 3 * columns)
                image = np.rint(np.stack([pixels] * 3, 2)).astype(np.uint8)
                f.add(f"{split}/{name}/{k}.png", image, becomes(image))


def area_mean(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mean over what each pixel of the result covers, for sides that are multiples."""
    rows, columns = image.shape[0] // height, image.shape[1] // width
    return image.reshape(height, rows, width, columns, 3).mean((1, 3))


def square(image: np.ndarray) -> np.ndarray:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


SIZES = [(40, 40), (40, 60), (80, 48), (24, 24)]
bare(
    "resized to a square",
    lambda f: sized(f, SIZES, lambda i: area_mean(square(i), 8, 8)),
    keys={"resize": 8},
    notes=("images resized: 16, the first ", "images cropped around the centre: 8, the first "),
    tolerance=4,
)
bare(
    "resized to height and width",
    lambda f: sized(f, SIZES, lambda i: area_mean(i, 8, 12) if i.shape[1] % 12 == 0 else as_if(i, 8, 12)),
    keys={"resize": [8, 12]},
    notes=("images resized: 16, the first ",),
    tolerance=4,
)


def as_if(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mean over what each pixel covers, for sides that are no multiples: of a finer image."""
    finer = np.repeat(np.repeat(image, height, 0), width, 1)
    return area_mean(finer, height, width)


bare(
    "resized and cropped",
    lambda f: sized(f, [(40, 40), (80, 80)], lambda i: area_mean(i, 10, 10)[1:9, 2:8]),
    keys={"resize": 10, "crop": [8, 6]},
    notes=("images resized: 8", "images cropped around the centre: 8"),
    tolerance=4,
)
bare(
    "cropped",
    lambda f: sized(f, [(9, 7), (20, 11), (5, 5)], lambda i: middle(i, 5, 4)),
    keys={"crop": [5, 4]},
    notes=("images cropped around the centre: 12, the first ",),
)


def middle(image: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


bare(
    "a size that all have already",
    lambda f: sized(f, [(8, 8)] * 2, lambda i: i),
    keys={"resize": 8, "crop": 8},
)
bare(
    "enlarged",
    lambda f: sized(
        f, [(8, 8), (16, 16)], lambda i: i if len(i) == 16 else np.repeat(np.repeat(i, 2, 0), 2, 1)
    ),
    keys={"resize": 16},
    notes=("images enlarged, as they have fewer pixels than are wanted: 4, the first ",),
    tolerance=14,
)
bare(
    "too small to be cropped",
    lambda f: sized(f, [(9, 7), (4, 8)], lambda i: i),
    keys={"crop": 5},
    error=("cat/1.png: 8 × 4 pixels", "too few to cut 5 × 5", "make data.crop smaller or data.resize larger"),
)
bare(
    "a crop larger than what it was resized to",
    lambda f: sized(f, [(40, 40)], lambda i: i),
    keys={"resize": 8, "crop": 9},
    error=("cat/0.png: 8 × 8 pixels, once it is resized, too few to cut 9 × 9", "data.resize larger"),
)


def turned_and_resized(f: Folder) -> None:
    def shrink(image: np.ndarray) -> np.ndarray:
        return area_mean(image, 8, 4)

    sized(f, [(40, 20)], shrink)
    picture = np.asarray(Image.open(f.root / "train/cat/0.png"))
    f.add("train/cat/9.png", stored(picture[::-1], 6), shrink(picture[::-1]), exif=exif(6))


bare(
    "turned, then resized",
    turned_and_resized,
    keys={"resize": [8, 4]},
    notes=(TURNED, "images resized: 5"),
    tolerance=4,
)
