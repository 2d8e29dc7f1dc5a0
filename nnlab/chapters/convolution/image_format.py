"""The format of a network's images: kept with a run, so that any other image can be brought to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.convolution.schema import CLASS_NAMES, DATA
from nnlab.data import DataSet
from nnlab.data.dataset import in_order, standardized
from nnlab.plot.images import as_picture
from nnlab.record.arrays import group, under


@dataclass(frozen=True, eq=False)
class ImageFormat:
    """The size and standardization of the images that a network was trained on, and the names of its classes.

    Attributes:
        shape: (C, H, W).
        mean, std: (C, 1, 1), in raw units.
        full_scale: the raw value of a white pixel.
        class_names: one per score.
        pixel_order: as of `DataSet`.
    """

    shape: tuple[int, int, int]
    mean: Tensor
    std: Tensor
    full_scale: float
    class_names: list[str]
    pixel_order: Tensor | None = None

    @classmethod
    def of(cls, data: DataSet) -> "ImageFormat":
        """Returns the format of a set of images."""
        channels, height, width = data.input_shape
        scale = float(data.full_scale or 1)
        mean, std = data.mean.cpu(), data.std.cpu()
        return cls((channels, height, width), mean, std, scale, list(data.class_names), data.pixel_order)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ImageFormat | None":
        """Returns the format that a run saved; None where it saved none."""
        saved = group(arrays, DATA)
        if not {"mean", "std", "full_scale", "shape", CLASS_NAMES} <= saved.keys():
            return None
        channels, height, width = (int(side) for side in saved["shape"])
        order = saved.get("pixel_order")
        return cls(
            shape=(channels, height, width),
            mean=torch.from_numpy(saved["mean"]),
            std=torch.from_numpy(saved["std"]),
            full_scale=float(saved["full_scale"]),
            class_names=[str(name) for name in saved[CLASS_NAMES]],
            pixel_order=None if order is None else torch.from_numpy(order),
        )

    def arrays(self) -> dict[str, Any]:
        """Returns all of it, as a run keeps it."""
        kept = {
            "shape": np.array(self.shape),
            "mean": self.mean.numpy(force=True),
            "std": self.std.numpy(force=True),
            "full_scale": self.full_scale,
            CLASS_NAMES: np.array(self.class_names, dtype=np.str_),
        }
        if self.pixel_order is not None:
            kept["pixel_order"] = self.pixel_order.numpy(force=True)
        return under(DATA, kept)

    def inputs(self, pixels: Tensor) -> Tensor:
        """Returns the network's input, float, of pixels (C, H, W) uint8, where 255 is white."""
        raw = (pixels.to(self.mean.dtype) * (self.full_scale / 255))[None]
        if self.full_scale > 1:  # raw values are whole numbers, as `nnlab predict` reads them
            raw = raw.round()
        if self.pixel_order is not None:
            raw = in_order(raw, self.pixel_order)
        return standardized(raw, self.mean, self.std)[0]

    def picture(self, inputs: Tensor) -> np.ndarray:
        """Returns the network's input (C, H, W) as a picture, (H, W) grey or (H, W, 3), in [0, 1]."""
        raw = inputs.detach().cpu().to(self.mean.dtype) * self.std + self.mean
        return as_picture(raw.numpy(force=True) / self.full_scale)
