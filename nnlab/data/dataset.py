"""A data set as tensors on the device, standardized by statistics of its training split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nnlab.data import statistics
from nnlab.data.splits import hold_out
from nnlab.errors import DataError

Task = Literal["classification", "regression"]

PREPARED_LIMIT = 256 * 2**20
"""Bytes. Images that are larger than this as floats stay uint8 and are standardized batch by batch."""

CHUNK = 2**20
"""Elements standardized at a time: enough for full speed, small beside any set worth the trouble."""


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

    def normalize(self, inputs: Tensor) -> Tensor:
        """Raw uint8 images (N, C, H, W) -> standardized floats; floats are returned as they are."""
        if inputs.is_floating_point():
            return inputs
        return standardized(inputs, self.mean, self.std).to(self.dtype)

    def raw(self, inputs: Tensor) -> Tensor:
        """Inputs of a split, standardized or still uint8 -> floats in raw units, for figures."""
        if not inputs.is_floating_point():
            return inputs.to(self.mean.dtype)
        return inputs.to(self.mean.dtype) * self.std + self.mean


def standardized(inputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(inputs − mean) / std, in the floating-point type of `mean` and with one temporary."""
    return inputs.to(mean.dtype, copy=True).sub_(mean).div_(std)


def prepare(
    raw: RawData,
    *,
    name: str,
    validation: float,
    split_seed: int,
    standardize: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> DataSet:
    """Holds out the validation split, standardizes, and moves everything to the device.

    Args:
        validation: the part of the training examples to hold out; 0 for none.
        standardize: whether to subtract the mean and divide by the standard deviation of the training
            split. Regression targets are never standardized.
        dtype: of the inputs, and of regression targets. The arithmetic is at least float32.

    Raises:
        DataError: where a split or the training examples of a class are missing.
    """
    _check_examples(raw, name)
    kept, held = _training_and_validation(raw, validation, split_seed)
    mean, std = _moments(raw, kept, standardize)
    place = _Placement(mean, std, device, dtype)
    everything = torch.arange(len(raw.test))
    return DataSet(
        name=name,
        task=raw.task,
        train=place.split(raw.train, kept),
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

    @property
    def compute_dtype(self) -> torch.dtype:
        # bfloat16 carries 8 bits: a mean rounded to them would shift every pixel.
        return torch.promote_types(self.dtype, torch.float32)

    def split(self, raw: Split, indices: Tensor) -> Split:
        targets = raw.targets[indices]
        if targets.is_floating_point():
            targets = targets.to(self.dtype)
        return Split(self._inputs(raw.inputs, indices), targets.to(self.device))

    def _inputs(self, inputs: Tensor, indices: Tensor) -> Tensor:
        if inputs.is_floating_point():
            # Tables are small: float64 to the end, so that float32 is the float64 result, rounded.
            chosen = standardized(inputs[indices].double(), self.mean, self.std)
            return chosen.to(self.dtype).to(self.device)
        if len(indices) * inputs[0].numel() * self.dtype.itemsize > PREPARED_LIMIT:
            whole = len(indices) == len(inputs)  # ascending and distinct, so these are all of them
            return (inputs if whole else inputs[indices]).to(self.device)
        return self._prepared(inputs, indices)

    def _prepared(self, inputs: Tensor, indices: Tensor) -> Tensor:
        """Standardizes chunk by chunk: beside the result, no copy of the set ever exists."""
        mean, std = self.mean.to(self.compute_dtype), self.std.to(self.compute_dtype)
        out = torch.empty((len(indices), *inputs.shape[1:]), dtype=self.dtype, device=self.device)
        rows = max(1, CHUNK // inputs[0].numel())
        for chunk, there in zip(torch.split(indices, rows), torch.split(out, rows), strict=True):
            there.copy_(standardized(inputs[chunk], mean, std))
        return out
