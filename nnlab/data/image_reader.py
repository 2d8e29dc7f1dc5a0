"""New images, read in the way of the images that a model was trained on."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from nnlab.data.decoding import ImageFile, Known, decode
from nnlab.data.image_listing import (
    PassedOver,
    class_folders,
    image_file,
    image_files,
    near,
    split_folders,
)
from nnlab.data.picture import SUFFIXES, Form, Size, UnreadableImage, in_print
from nnlab.data.reader import NewExamples
from nnlab.errors import DataError

SAMPLE = 1000
"""Training images whose borders are looked at."""


@dataclass(frozen=True)
class ImageReader:
    """Reads a file, a folder of images, or class folders.

    Attributes:
        form: what images were brought to by the config. Where that leaves the size open, images of another
            size are cropped around their centre to the proportions of `size` and resized.
        size: height and width of the training images.
        class_names: of the model's scores.
        white: the value that is white in images of more than 8 bits a pixel; None where no training image
            had so many.
        full_scale: the raw value of a white pixel.
        background: the mean value of the border pixels of the training images, between 0 and 1; None where
            it differs from image to image.
    """

    form: Form
    size: Size
    class_names: tuple[str, ...]
    white: float | None = None
    full_scale: int = 255
    background: float | None = None

    kind: ClassVar[str] = "images"

    @classmethod
    def of(
        cls,
        images: Tensor,
        form: Form,
        class_names: Sequence[str],
        *,
        white: float | None = None,
        full_scale: int = 255,
    ) -> "ImageReader":
        """Returns the reader for training images (N, C, H, W) uint8."""
        chosen = images[:: max(1, len(images) // SAMPLE)]
        borders = _borders(chosen) / full_scale
        is_common = float(borders.std(correction=0)) < 0.1 if len(borders) else False
        return cls(
            form=form,
            size=(int(images.shape[2]), int(images.shape[3])),
            class_names=tuple(class_names),
            white=white,
            full_scale=full_scale,
            background=float(borders.mean()) if is_common else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "ImageReader":
        """Returns the reader that `as_dict` described.

        Raises:
            ValueError, KeyError or TypeError: for content that is none of this reader.
        """
        form, names, scale = content["form"], content["class_names"], content["full_scale"]
        if content["kind"] != cls.kind or not all(isinstance(name, str) for name in names):
            raise ValueError("no reader of images")
        size = _checked_size(content["size"])
        if form["channels"] not in (1, 3) or isinstance(size, int) or size is None:
            raise ValueError("no form of images")
        channels: Literal[1, 3] = 1 if form["channels"] == 1 else 3
        if type(scale) is not int or not 1 <= scale <= 255:
            raise ValueError(f"no raw value of a white pixel: {scale}")
        return cls(
            form=Form(channels, _checked_size(form["resize"]), _checked_size(form["crop"])),
            size=size,
            class_names=tuple(names),
            white=_checked_number(content["white"]),
            full_scale=scale,
            background=_checked_number(content["background"]),
        )

    def read(self, path: Path, *, progress: Callable[[int, int], None] | None = None) -> NewExamples:
        """Reads new images.

        A folder may hold images, or class folders: where these are named as the training classes, they are
        the targets. Of a folder with train and test, the test images are read.

        Args:
            path: a file or folder.
            progress: told how many of all files are read.

        Raises:
            DataError: for a file that is no image, a folder without one, or class folders of which only some
                are training classes.
        """
        path = Path(os.path.abspath(path))
        listed = _listed(path, self.class_names)
        try:
            decoded, _ = decode(
                listed.files, self.form, training=0, known=Known(self.size, self.white), progress=progress
            )
        except UnreadableImage as error:
            raise DataError(f"{error.problem}. Replace or remove it") from None
        inputs = torch.from_numpy(decoded.images).permute(0, 3, 1, 2)  # (N, C, H, W)
        if self.full_scale != 255:
            inputs = (inputs.double() * (self.full_scale / 255)).round().to(torch.uint8)
        labels = [in_print(os.path.relpath(file.path, listed.folder)) for file in listed.files]
        notes = (*listed.notes, *decoded.notes, *self._inverted(inputs, labels))
        return NewExamples(inputs, listed.targets, labels, notes)

    def _inverted(self, inputs: Tensor, labels: Sequence[str]) -> list[str]:
        """Returns a note on images that may be dark on light where the training images are light on dark."""
        if self.background is None:
            return []
        away = (_borders(inputs) / self.full_scale - self.background).abs() > 0.5
        if not bool(away.any()):
            return []
        first = labels[int(torch.nonzero(away)[0])]
        ground, other = ("dark", "light") if self.background < 0.5 else ("light", "dark")
        return [
            f"images with a {other} border, where training images have a {ground} one: {int(away.sum())}, "
            f"the first {first}; if light and dark have changed places, invert them first"
        ]


def _borders(images: Tensor) -> Tensor:
    """Returns the mean of the border pixels of each image (N, C, H, W), (N,) float64."""
    edges = (images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1])
    return torch.cat([edge.flatten(1) for edge in edges], 1).double().mean(1)


def _checked_size(value: object) -> int | Size | None:
    if value is None or (type(value) is int and value >= 1):
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v >= 1 for v in value):
        return value[0], value[1]
    raise ValueError(f"no size of images: {value}")


def _checked_number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
        raise ValueError(f"no value of a pixel: {value}")
    return float(value)


# --- listing -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Listed:
    """Image files, the folder that their labels are relative to, and their classes, where they have some."""

    folder: Path
    files: list[ImageFile]
    targets: Tensor | None
    notes: tuple[str, ...]


def _listed(path: Path, class_names: Sequence[str]) -> _Listed:
    if path.is_dir():
        return _of_folder(path, class_names)
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(
            f"{in_print(str(path))}: {error.strerror}; name an image or a folder of images"
        ) from None
    if not path.is_file():
        raise DataError(f"{in_print(str(path))}: is neither a file nor a folder; name an image")
    return _Listed(path.parent, [image_file(str(path), state)], None, ())


def _of_folder(root: Path, class_names: Sequence[str]) -> _Listed:
    splits = {split: name for split, name in split_folders(root).items() if name not in class_names}
    split = next((splits[name] for name in ("test", "train", "validation") if name in splits), None)
    folder = root if split is None else root / split
    notes = [] if split is None else [f"{in_print(str(root))}: of it, the folder {split} is read"]
    passed, ignored = PassedOver(), PassedOver()
    files = image_files(folder, passed)
    if files:
        return _Listed(folder, files, None, (*notes, *passed.notes()))
    passed = PassedOver()
    classes = {
        name: image_files(folder / own, passed) for name, own in class_folders(folder, ignored).items()
    }
    files = [file for images in classes.values() for file in images]
    if not files:
        raise DataError(
            f"{in_print(str(folder))}: holds no image ({', '.join(SUFFIXES)}), nor class folders with images"
        )
    empty = sorted(name for name, images in classes.items() if not images)
    if empty:
        notes.append(f"{folder}: folders without an image: {', '.join(empty)}")
    full = [name for name, images in classes.items() if images]
    unknown = [name for name in full if name not in class_names]
    if unknown and len(unknown) < len(full):
        raise DataError(
            f"{folder / unknown[0]}: {unknown[0]} is no class of the training{near(unknown, class_names)}, "
            f"as other folders beside it are; the classes are {', '.join(class_names)}"
        )
    if unknown:
        notes.append(
            f"{folder}: its folders ({', '.join(full[:3])}{' …' if len(full) > 3 else ''}) are named like no "
            f"class of the training ({', '.join(class_names[:3])}{' …' if len(class_names) > 3 else ''}), "
            f"and are not taken for classes{near(unknown, class_names)}"
        )
        return _Listed(folder, files, None, (*notes, *passed.notes()))
    targets = torch.tensor([list(class_names).index(name) for name in full for _ in classes[name]])
    return _Listed(folder, files, targets, (*notes, *passed.notes()))
