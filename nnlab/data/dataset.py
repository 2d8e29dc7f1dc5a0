"""A data set as tensors on the device, standardized by statistics of its training split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from nnlab.data import statistics
from nnlab.data.augmentation import Augmentation, Draws
from nnlab.data.splits import generator, hold_out
from nnlab.errors import DataError

Task = Literal["classification", "regression"]

PREPARED_LIMIT = 256 * 2**20
"""Bytes. Images that are larger than this as floats stay uint8 and are standardized batch by batch."""

LINES_LIMIT = 2**29
"""Bytes. Up to here augmentation keeps a copy of the training images, laid out for it once."""

CHUNK = 2**20
"""Elements prepared at a time: enough for full speed, small beside any set worth the trouble."""

SLICE = 2**18
"""Elements that a CPU standardizes at a time, so that they stay in the cache from one pass to the next."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their targets, in matching order.

    Attributes:
        inputs: (N, *input_shape), float; or uint8 for images in raw units.
        targets: (N,) int64 class labels, or (N, C) float for regression.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Tensor) -> "Split":
        """The examples at `indices` (int64, on the same device)."""
        return Split(select(self.inputs, indices), self.targets.index_select(0, indices))


def select(inputs: Tensor, indices: Tensor) -> Tensor:
    """inputs[indices] in the memory order of `inputs`: index_select alone would undo channels-last."""
    if not _channels_last(inputs):
        return inputs.index_select(0, indices)
    return inputs.permute(0, 2, 3, 1).index_select(0, indices).permute(0, 3, 1, 2)


def _channels_last(inputs: Tensor) -> bool:
    return (
        inputs.ndim == 4
        and not inputs.is_contiguous()
        and inputs.is_contiguous(memory_format=torch.channels_last)
    )


@dataclass(frozen=True, eq=False)
class RawData:
    """What a loader hands over: everything on the CPU, in raw units, validation not yet held out.

    Attributes:
        train, test: inputs (N, C, H, W) uint8 for images, (N, features) float for everything else.
        outputs: the number of classes, or of target columns.
        class_names: one per class; empty for regression.
        full_scale: the raw value of a white pixel; None where the inputs are no images.
        notes: what a user should know about how the files were read.
    """

    task: Task
    train: Split
    test: Split
    outputs: int
    class_names: list[str]
    full_scale: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DataSet:
    """A whole data set on one device.

    Attributes:
        validation: None where nothing is held out.
        input_shape: (features,) or (C, H, W).
        outputs: the number of classes, or of target columns.
        class_names: one per class; empty for regression.
        mean, std: in raw units, (C, 1, 1) or (features,), of the training split alone. Without
            standardizing they are 0 and 1, and for images 0 and `full_scale`.
        dtype: of every standardized input.
        full_scale: the raw value of a white pixel; None where the inputs are no images.
        notes: what a user should know about how the files were read.
        augmentation: of training images, which are then kept as uint8.
        fill: (C,) uint8, the mean colour of the training split, for what is cut out of an image; None
            where nothing is.
        pixel_order: (H·W,) int64, on the CPU: place k of every image holds what was at pixel_order[k];
            None where the pixels are where they belong.

    Images of more than one channel lie in memory pixel by pixel (channels last).
    """

    name: str
    task: Task
    train: Split
    validation: Split | None
    test: Split
    input_shape: tuple[int, ...]
    outputs: int
    class_names: list[str]
    mean: Tensor
    std: Tensor
    dtype: torch.dtype
    full_scale: int | None = None
    notes: tuple[str, ...] = ()
    augmentation: Augmentation | None = None
    fill: Tensor | None = None
    pixel_order: Tensor | None = None

    def batch(self, indices: Tensor, draws: Draws | None = None) -> Split:
        """The training examples at `indices`, changed as drawn, their inputs standardized.

        Args:
            indices: (n,) int64, on the data's device.
            draws: of these n images, on the data's device; None leaves them as they are.
        """
        if draws is None or self.augmentation is None:
            inputs = select(self.train.inputs, indices)
        elif self._lines is None:
            inputs = self.augmentation.apply(select(self.train.inputs, indices), draws, self.fill)
        else:
            inputs = self.augmentation.take(self._lines, indices, draws, self.fill)
        return Split(self.normalize(inputs), self.train.targets.index_select(0, indices))

    @cached_property
    def _lines(self) -> Tensor | None:
        """The training images in the form that is fastest to augment; None where that takes much memory."""
        images, asked = self.train.inputs, self.augmentation
        small = 2 * images.numel() <= LINES_LIMIT
        return asked.lines(images) if asked is not None and asked.moves and small else None

    def normalize(self, inputs: Tensor) -> Tensor:
        """Raw uint8 images (N, C, H, W) -> standardized floats; floats are returned as they are."""
        if inputs.is_floating_point():
            return inputs
        return standardized(inputs, self.mean, self.std, self.dtype)

    def raw(self, inputs: Tensor) -> Tensor:
        """Inputs of a split, standardized or still uint8 -> floats in raw units, for figures.

        Pixels are put back where they belong.
        """
        values = inputs.to(self.mean.dtype)
        if inputs.is_floating_point():
            values = values * self.std + self.mean
        return values if self.pixel_order is None else in_order(values, self.pixel_order.argsort())


def in_order(images: Tensor, order: Tensor) -> Tensor:
    """(N, C, H, W) with what was at place order[k] at place k, counted row by row, in every image."""
    return images.flatten(2)[:, :, order.to(images.device)].view(images.shape)


def standardized(inputs: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """(inputs − mean) / std, computed in the floating-point type of `mean`, then rounded to `dtype`.

    The result has the memory order of `inputs`.
    """
    out = torch.empty_like(inputs, dtype=dtype or mean.dtype)
    here, there = inputs, out
    if _channels_last(inputs):
        # Three channels are too few for a vectorized loop: the same numbers as one long row of an image.
        pixels = inputs.shape[2] * inputs.shape[3]
        here, there = (images.permute(0, 2, 3, 1).flatten(1) for images in (inputs, out))
        mean, std = (values.flatten().repeat(pixels) for values in (mean, std))
    rows = max(1, SLICE // max(1, inputs[0].numel())) if inputs.device.type == "cpu" else len(inputs)
    for given, wanted in zip(torch.split(here, rows), torch.split(there, rows), strict=True):
        values = wanted if wanted.dtype == mean.dtype else torch.empty_like(wanted, dtype=mean.dtype)
        values.copy_(given).sub_(mean).div_(std)
        if values is not wanted:
            wanted.copy_(values)
    return out


def prepare(
    raw: RawData,
    *,
    name: str,
    validation: float,
    split_seed: int,
    standardize: bool,
    device: torch.device,
    dtype: torch.dtype,
    augmentation: Augmentation | None = None,
    shuffle_pixels: bool = False,
) -> DataSet:
    """Holds out the validation split, standardizes, and moves everything to the device.

    Args:
        validation: the part of the training examples to hold out; 0 for none.
        standardize: whether to subtract the mean and divide by the standard deviation of the training
            split. Regression targets are never standardized.
        dtype: of the inputs, and of regression targets. The arithmetic is at least float32.
        augmentation: of training images; they stay uint8 then.
        shuffle_pixels: whether to move the pixels of all images by one permutation, drawn with `split_seed`.

    Raises:
        DataError: where a split or the training examples of a class are missing, or the images are too
            small for the augmentation.
    """
    _check_examples(raw, name)
    if augmentation is not None:
        _check_sizes(augmentation, raw, name)
    kept, held = _training_and_validation(raw, validation, split_seed)
    mean, std = _moments(raw, kept, standardize)
    order = _pixel_order(raw, split_seed) if shuffle_pixels else None
    place = _Placement(mean, std, device, dtype, order)
    everything = torch.arange(len(raw.test))
    return DataSet(
        name=name,
        task=raw.task,
        train=place.split(raw.train, kept, raw_units=augmentation is not None),
        validation=place.split(raw.train, held) if len(held) else None,
        test=place.split(raw.test, everything),
        input_shape=tuple(raw.train.inputs.shape[1:]),
        outputs=raw.outputs,
        class_names=raw.class_names,
        mean=mean.to(place.compute_dtype).to(device),
        std=std.to(place.compute_dtype).to(device),
        dtype=dtype,
        full_scale=raw.full_scale,
        notes=raw.notes,
        augmentation=augmentation,
        fill=_mean_colour(raw, kept).to(device) if augmentation and augmentation.cutout else None,
        pixel_order=order,
    )


def _check_sizes(augmentation: Augmentation, raw: RawData, name: str) -> None:
    height, width = raw.train.inputs.shape[2:]
    least = min(height, width)
    of = f"the images of {name} have {width} × {height} pixels"
    if augmentation.crop > least - 1:
        raise DataError(
            f"data.augmentation.crop: {augmentation.crop}, but {of}, which can be reflected by at most "
            f"{least - 1}; allowed here: 0 to {least - 1}"
        )
    if augmentation.cutout > least:
        raise DataError(
            f"data.augmentation.cutout: {augmentation.cutout}, but {of}; allowed here: 0 to {least}"
        )


def _pixel_order(raw: RawData, split_seed: int) -> Tensor:
    height, width = raw.train.inputs.shape[2:]
    return torch.randperm(height * width, generator=generator(split_seed, "pixel order"))


def _mean_colour(raw: RawData, kept: Tensor) -> Tensor:
    mean, _ = statistics.pixels(raw.train.inputs, kept)
    return mean.flatten().round().to(torch.uint8)


def _check_examples(raw: RawData, name: str) -> None:
    for split, examples in (("training", raw.train), ("test", raw.test)):
        if len(examples) == 0:
            raise DataError(f"data.name: {name} has no {split} example")
    if raw.task == "regression":
        return
    if raw.outputs < 2:
        raise DataError(
            f"data.name: {name} has only the class {', '.join(raw.class_names)}; "
            "a classifier needs at least two"
        )
    sizes = torch.bincount(raw.train.targets, minlength=raw.outputs)
    if not bool(sizes.all()):
        missing = raw.class_names[int(sizes.argmin())]
        raise DataError(
            f"data.name: {name} has no training example of class {missing}; "
            "every class needs at least one of them"
        )


def _training_and_validation(raw: RawData, fraction: float, split_seed: int) -> tuple[Tensor, Tensor]:
    examples = len(raw.train)
    if fraction == 0:
        return torch.arange(examples), torch.arange(0)
    classes = raw.task == "classification"
    strata = raw.train.targets if classes else torch.zeros(examples, dtype=torch.int64)
    names: Sequence[str] = raw.class_names if classes else ()
    return hold_out(strata, fraction, split_seed=split_seed, purpose="validation", names=names)


def _moments(raw: RawData, kept: Tensor, standardize: bool) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation that the inputs are standardized with, in float64."""
    inputs = raw.train.inputs
    if standardize:
        return statistics.pixels(inputs, kept) if raw.full_scale else statistics.features(inputs[kept])
    shape = (inputs.shape[1], 1, 1) if raw.full_scale else tuple(inputs.shape[1:])
    return torch.zeros(shape, dtype=torch.float64), torch.full(
        shape, float(raw.full_scale or 1), dtype=torch.float64
    )


@dataclass(frozen=True, eq=False)
class _Placement:
    """Where the splits go, and in which form. `mean` and `std` are float64 on the CPU."""

    mean: Tensor
    std: Tensor
    device: torch.device
    dtype: torch.dtype
    pixel_order: Tensor | None

    @property
    def compute_dtype(self) -> torch.dtype:
        # bfloat16 carries 8 bits: a mean rounded to them would shift every pixel.
        return torch.promote_types(self.dtype, torch.float32)

    def split(self, raw: Split, indices: Tensor, *, raw_units: bool = False) -> Split:
        targets = raw.targets[indices]
        if targets.is_floating_point():
            targets = targets.to(self.dtype)
        return Split(self._inputs(raw.inputs, indices, raw_units), targets.to(self.device))

    def _inputs(self, inputs: Tensor, indices: Tensor, raw_units: bool) -> Tensor:
        if inputs.is_floating_point():
            # Tables are small: float64 to the end, so that float32 is the float64 result, rounded.
            chosen = standardized(inputs[indices].double(), self.mean, self.std)
            return chosen.to(self.dtype).to(self.device)
        large = len(indices) * inputs[0].numel() * self.dtype.itemsize > PREPARED_LIMIT
        return self._images(inputs, indices, torch.uint8 if large or raw_units else self.dtype)

    def _images(self, images: Tensor, indices: Tensor, dtype: torch.dtype) -> Tensor:
        """Images as uint8 or standardized, chunk by chunk: beside the result, no copy of the set exists."""
        if dtype == torch.uint8 and self._as_they_are(images, indices):
            return images.to(self.device)
        mean, std = self.mean.to(self.compute_dtype), self.std.to(self.compute_dtype)
        shape = (len(indices), *images.shape[1:])
        out = torch.empty(shape, dtype=dtype, device=self.device, memory_format=_memory_format(images))
        rows = max(1, CHUNK // images[0].numel())
        for chunk, there in zip(torch.split(indices, rows), torch.split(out, rows), strict=True):
            chosen = select(images, chunk).contiguous(memory_format=_memory_format(images))
            if self.pixel_order is not None:
                chosen = in_order(chosen, self.pixel_order)
            there.copy_(chosen if dtype == torch.uint8 else standardized(chosen, mean, std))
        return out

    def _as_they_are(self, images: Tensor, indices: Tensor) -> bool:
        whole = len(indices) == len(images)  # ascending and distinct, so these are all of them
        in_place = images.is_contiguous(memory_format=_memory_format(images))
        return whole and in_place and self.pixel_order is None


def _memory_format(images: Tensor) -> torch.memory_format:
    return torch.channels_last if images.shape[1] > 1 else torch.contiguous_format
