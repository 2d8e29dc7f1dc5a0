"""A data set as tensors on the device, standardized by statistics of its training split.

The standard deviation is that of the population, √(1/N Σ(x − mean)²), as numpy's default is. Where all
values are equal it is given as 1, so that dividing by it changes nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from nnlab.data.augmentation import Augmentation, Draws
from nnlab.data.fingerprint import Fingerprint
from nnlab.data.reader import Reader
from nnlab.data.splits import generator, group_note, hold_out
from nnlab.display import displayed
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


@displayed
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
    """The examples as a loader reads them: on the CPU, in raw units, validation not yet held out.

    Attributes:
        train, test: inputs (N, C, H, W) uint8 for images, (N, features) float for everything else.
        outputs: the number of classes, or of target columns.
        class_names: one per class; empty for regression.
        full_scale: the raw value of a white pixel; None where the inputs are no images.
        notes: what a user should know about how the files were read.
        reader: reads new examples as these were read; None where there are no files of a user's.
        files: the paths of the table, or of the images, that were read; empty for published and drawn sets.
        validation: where the data come with such examples; else a part of `train` is to be held out.
        strata: (N,) int64, of each training example, the proportions of which every split keeps; None for
            those of the classes.
        groups: (N,) int64, equal for training examples of which none may be held out alone; None where all
            may.
        complete: what is to be done once it is known which training examples are not held out, such as
            filling in their means: data, indices of those examples, whether inputs will be standardized, and
            their type -> data; None for nothing.
    """

    task: Task
    train: Split
    test: Split
    outputs: int
    class_names: list[str]
    full_scale: int | None = None
    notes: tuple[str, ...] = ()
    reader: Reader | None = None
    files: tuple[str, ...] = ()
    validation: Split | None = None
    strata: Tensor | None = None
    groups: Tensor | None = None
    complete: "Callable[[RawData, Tensor, bool, torch.dtype], RawData] | None" = None


@displayed
@dataclass(frozen=True, eq=False)
class DataSet:
    """A whole data set on one device.

    Attributes:
        validation: None where nothing is held out.
        input_shape: (features,) or (C, H, W).
        task, outputs, class_names, full_scale, notes, reader: as those of RawData.
        mean, std: in raw units, (C, 1, 1) or (features,), of the training split alone. Without
            standardizing they are 0 and 1, and for images 0 and `full_scale`.
        dtype: of every standardized input.
        augmentation: of training images, which are then kept as uint8.
        fill: (C,) uint8, the mean colour of the training split, for what is cut out of an image; None
            where nothing is.
        target_mean, target_std: (C,) float64, of the targets of the training split, which all targets were
            standardized with; None where they were not.
        class_sizes: (C,) int64, on the CPU, the examples of each class in the training split; None for
            regression.
        pixel_order: (H·W,) int64, on the CPU: place k of every image holds what was at pixel_order[k];
            None where the pixels are where they belong.
        placement: gives raw examples the form of these; new ones, too.
        fingerprint: of what was read; None where nobody took one.

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
    target_mean: Tensor | None = None
    target_std: Tensor | None = None
    class_sizes: Tensor | None = None
    reader: Reader | None = None
    placement: "Placement | None" = None
    fingerprint: Fingerprint | None = None

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
        images, changes = self.train.inputs, self.augmentation
        small = 2 * images.numel() <= LINES_LIMIT
        return changes.lines(images) if changes is not None and small else None

    def normalize(self, inputs: Tensor) -> Tensor:
        """Raw uint8 images (N, C, H, W) -> standardized floats; floats are returned as they are."""
        if inputs.is_floating_point():
            return inputs
        return standardized(inputs, self.mean, self.std, self.dtype)

    def original(self, values: Tensor) -> Tensor:
        """Outputs or targets (n, C) in original units; float64 where targets were standardized."""
        if self.target_mean is None or self.target_std is None:
            return values
        values = values.cpu() if values.device.type == "mps" else values  # which has no float64
        return values.double() * self.target_std.to(values.device) + self.target_mean.to(values.device)

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
    source, target = inputs, out
    if _channels_last(inputs):
        # Three channels are too few for a vectorized loop: the same numbers as one long row of an image.
        pixels = inputs.shape[2] * inputs.shape[3]
        source, target = (images.permute(0, 2, 3, 1).flatten(1) for images in (inputs, out))
        mean, std = (values.flatten().repeat(pixels) for values in (mean, std))
    rows = max(1, SLICE // max(1, inputs[0].numel())) if inputs.device.type == "cpu" else len(inputs)
    for before, after in zip(torch.split(source, rows), torch.split(target, rows), strict=True):
        values = after if after.dtype == mean.dtype else torch.empty_like(after, dtype=mean.dtype)
        values.copy_(before).sub_(mean).div_(std)
        if values is not after:
            after.copy_(values)
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
    standardize_target: bool = False,
) -> DataSet:
    """Holds out the validation split, standardizes, and moves everything to the device.

    Args:
        validation: the part of the training examples to hold out, where the data come without validation
            examples; 0 for none in any case.
        standardize: whether to subtract the mean and divide by the standard deviation of the training
            split.
        dtype: of the inputs, and of regression targets. The arithmetic is at least float32.
        augmentation: of training images; they stay uint8 then.
        shuffle_pixels: whether to move the pixels of all images by one permutation, drawn with `split_seed`.
        standardize_target: whether to do to regression targets what `standardize` does to the inputs.

    Raises:
        DataError: where a split or the training examples of a class are missing, the images are too small
            for the augmentation, or the training targets have no spread to standardize.
    """
    _check_examples(raw, name)
    if augmentation is not None:
        _check_sizes(augmentation, raw, name)
    inputs, targets, classes = raw.train.inputs, raw.train.targets, raw.task == "classification"
    kept, held = torch.arange(len(targets)), torch.arange(0)
    own = raw.validation if validation else None
    if validation and own is None:
        kept, held = _hold_out(raw, validation, split_seed)
    if raw.complete is not None:
        raw = raw.complete(raw, kept, standardize, dtype)
        inputs = raw.train.inputs
    shape = (inputs.shape[1], 1, 1) if raw.full_scale else inputs.shape[1:]
    mean = torch.zeros(shape, dtype=torch.float64)
    std = torch.full(shape, float(raw.full_scale or 1), dtype=torch.float64)
    if standardize:
        mean, std = pixel_statistics(inputs, kept) if raw.full_scale else _statistics(inputs[kept])
    order = fill = None
    if shuffle_pixels:
        order = torch.randperm(math.prod(inputs.shape[2:]), generator=generator(split_seed, "pixel order"))
    if augmentation is not None and augmentation.cutout:
        fill = pixel_statistics(inputs, kept)[0].flatten().round().to(device, torch.uint8)
    centre = spread = None
    if standardize_target and not classes:
        centre, spread = _target_statistics(targets[kept])
    place = Placement(mean, std, device, dtype, order, centre, spread)
    return DataSet(
        name=name,
        task=raw.task,
        train=place.split(raw.train, kept, raw_units=augmentation is not None),
        validation=place.split(own or raw.train, held if own is None else torch.arange(len(own)))
        if own is not None or len(held)
        else None,
        test=place.split(raw.test, torch.arange(len(raw.test))),
        input_shape=tuple(inputs.shape[1:]),
        outputs=raw.outputs,
        class_names=raw.class_names,
        mean=mean.to(device, place.compute_dtype),
        std=std.to(device, place.compute_dtype),
        dtype=dtype,
        full_scale=raw.full_scale,
        notes=(*raw.notes, *_validation_notes(raw, validation, held)),
        augmentation=augmentation,
        fill=fill,
        pixel_order=order,
        reader=raw.reader,
        placement=place,
        target_mean=centre,
        target_std=spread,
        class_sizes=torch.bincount(targets[kept], minlength=raw.outputs) if classes else None,
    )


def _hold_out(raw: RawData, validation: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """The training examples that stay, and those of the validation split."""
    targets, classes = raw.train.targets, raw.task == "classification"
    strata = raw.strata
    if strata is None:
        strata = targets if classes else torch.zeros(len(targets), dtype=torch.int64)
    names = raw.class_names if classes and strata.equal(targets) else ()
    kept, held = hold_out(
        strata, validation, split_seed=split_seed, purpose="validation", names=names, groups=raw.groups
    )
    if classes:
        left = torch.bincount(targets[kept], minlength=raw.outputs)
        if not bool(left.all()):
            raise DataError(
                f"data.validation: {validation:g} of {len(targets)} examples leaves no training example of "
                f"class {raw.class_names[int(left.argmin())]}; use a smaller fraction, or another split_seed"
            )
    return kept, held


def _validation_notes(raw: RawData, validation: float, held: Tensor) -> list[str]:
    if raw.validation is None:
        if raw.groups is None or not len(held):
            return []
        return [group_note(raw.groups, held, validation, "validation")]
    count = f"{len(raw.validation)} validation examples"
    if validation:
        return [f"data.validation: {validation:g} is not applied: the data come with {count}"]
    return [f"data.validation: 0: the {count} that the data come with are left out"]


def _check_sizes(augmentation: Augmentation, raw: RawData, name: str) -> None:
    height, width = raw.train.inputs.shape[2:]
    least = min(height, width)
    for key, value, most, why in (
        ("crop", augmentation.crop, least - 1, f", which can be reflected by at most {least - 1}"),
        ("cutout", augmentation.cutout, least, ""),
    ):
        if value > most:
            raise DataError(
                f"data.augmentation.{key}: {value}, but the images of {name} have {width} × {height} pixels"
                f"{why}; allowed here: 0 to {most}"
            )


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
        raise DataError(
            f"data.name: {name} has no training example of class {raw.class_names[int(sizes.argmin())]}; "
            "every class needs at least one of them"
        )


def pixel_statistics(images: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, over all pixels of the chosen images, exactly rounded.

    Args:
        images: (N, C, H, W) uint8.
        indices: (n,) which images count.

    Returns:
        Both in raw units, each (C, 1, 1) float64.
    """
    histogram = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in torch.split(indices, max(1, CHUNK // images[0].numel())):
        chosen = images[chunk]
        for channel, counts in enumerate(histogram):
            counts += torch.bincount(chosen[:, channel].flatten(), minlength=256)
    moments = [_moments(counts) for counts in histogram.tolist()]
    mean, std = torch.tensor(moments, dtype=torch.float64).T
    return mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)


def _moments(histogram: list[int]) -> tuple[float, float]:
    # With Python's whole numbers nothing is rounded before the last division:
    # N² times the variance is N Σx² − (Σx)².
    count = sum(histogram)
    total = sum(value * times for value, times in enumerate(histogram))
    squares = sum(value * value * times for value, times in enumerate(histogram))
    std = math.sqrt(count * squares - total * total) / count
    return total / count, std or 1.0


def _statistics(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per column of (N, features), each (features,) float64."""
    values = inputs.double()
    mean = values.mean(0)
    std = (values - mean).square().mean(0).sqrt()
    # The mean of equal values may be rounded, and then their computed deviation is not 0.
    constant = (values == values[0]).all(0)
    return torch.where(constant, values[0], mean), torch.where(constant, 1.0, std)


def _target_statistics(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of the training targets (N, C), each (C,) float64."""
    mean, std = _statistics(targets)
    values = targets.double()
    scaled = (values - mean) / std
    usable = (std > 0) & scaled.isfinite().all(0) & (values != values[0]).any(0)
    if not bool(usable.all()):
        column = int(usable.int().argmin())
        which = f" of column {column + 1}" if len(usable) > 1 else ""
        lowest, highest = float(values[:, column].min()), float(values[:, column].max())
        raise DataError(
            f"data.standardize_target: true: the {len(targets)} training targets{which} lie between "
            f"{lowest:g} and {highest:g}, with a standard deviation that nothing can be divided by; choose "
            "another target, or data.standardize_target: false"
        )
    return mean, std


@displayed
@dataclass(frozen=True, eq=False)
class Placement:
    """The place and form of all splits. Means and standard deviations are float64 on the CPU."""

    mean: Tensor
    std: Tensor
    device: torch.device
    dtype: torch.dtype
    pixel_order: Tensor | None
    target_mean: Tensor | None = None
    target_std: Tensor | None = None

    @property
    def compute_dtype(self) -> torch.dtype:
        # bfloat16 carries 8 bits: a mean rounded to them would shift every pixel.
        return torch.promote_types(self.dtype, torch.float32)

    def split(self, raw: Split, indices: Tensor, *, raw_units: bool = False) -> Split:
        """The examples at `indices`, which ascend, on the device; images may stay in raw units."""
        targets = raw.targets[indices]
        if targets.is_floating_point():
            if self.target_mean is not None and self.target_std is not None:
                targets = (targets.double() - self.target_mean) / self.target_std
            targets = targets.to(self.dtype)
        if raw.inputs.is_floating_point():
            # Tables are small: float64 to the end, so that float32 is the float64 result, rounded.
            exact = standardized(raw.inputs[indices].double(), self.mean, self.std)
            inputs = exact.to(self.dtype).to(self.device)
        else:
            large = len(indices) * raw.inputs[0].numel() * self.dtype.itemsize > PREPARED_LIMIT
            inputs = self._images(raw.inputs, indices, torch.uint8 if large or raw_units else self.dtype)
        return Split(inputs, targets.to(self.device))

    def _images(self, images: Tensor, indices: Tensor, dtype: torch.dtype) -> Tensor:
        """Images as uint8 or standardized, chunk by chunk: beside the result, no copy of the set exists."""
        layout = torch.channels_last if images.shape[1] > 1 else torch.contiguous_format
        everything = len(indices) == len(images) and self.pixel_order is None
        if dtype == torch.uint8 and everything and images.is_contiguous(memory_format=layout):
            return images.to(self.device)
        mean, std = self.mean.to(self.compute_dtype), self.std.to(self.compute_dtype)
        shape = (len(indices), *images.shape[1:])
        out = torch.empty(shape, dtype=dtype, device=self.device, memory_format=layout)
        rows = max(1, CHUNK // images[0].numel())
        for chunk, target in zip(torch.split(indices, rows), torch.split(out, rows), strict=True):
            chosen = select(images, chunk).contiguous(memory_format=layout)
            if self.pixel_order is not None:
                chosen = in_order(chosen, self.pixel_order)
            target.copy_(chosen if dtype == torch.uint8 else standardized(chosen, mean, std))
        return out
