"""The preprocessing of a data set as plain numbers: kept with a run, and done again to new examples."""

import math
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from nnlab.data.dataset import DataSet, Placement, Split, Task


class Preprocessing(BaseModel):
    """Makes inputs of raw examples, exactly: a float64 keeps all of its digits in JSON.

    Attributes:
        name: of the kind of data, as the config has it.
        task, input_shape, outputs, class_names, full_scale: as those of a `DataSet`.
        mean, std: of each feature or channel, in raw units; a raw value x becomes (x − mean)/std.
        dtype: of the inputs that a model gets.
        pixel_order: place k of every image gets what was at pixel_order[k]; None leaves them in their places.
        target_mean, target_std: of each column of standardized targets; None where targets stay as they are.
        class_sizes: the training examples of each class, from which a loss has its weights; None without.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    name: str
    task: Task
    input_shape: list[int]
    outputs: int
    class_names: list[str]
    full_scale: int | None
    mean: list[float]
    std: list[float]
    dtype: Literal["float32", "float64"]
    pixel_order: list[int] | None = None
    target_mean: list[float] | None = None
    target_std: list[float] | None = None
    class_sizes: list[int] | None = None

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise ValueError(f"input_shape: {self.input_shape} is neither (features,) nor (C, H, W)")
        if not (1 <= self.full_scale <= 255 if self.full_scale is not None else len(self.input_shape) == 1):
            raise ValueError(f"full_scale: {self.full_scale} is no value of a white pixel")
        if self.full_scale is not None and len(self.input_shape) != 3:
            raise ValueError(f"full_scale: {self.full_scale} is for images (C, H, W), not {self.input_shape}")
        if not len(self.mean) == len(self.std) == self.input_shape[0]:
            raise ValueError(f"mean and std: must be {self.input_shape[0]} numbers each")
        if self.outputs != (len(self.class_names) if self.task == "classification" else self.outputs):
            raise ValueError(f"class_names: are {len(self.class_names)}, but outputs is {self.outputs}")
        pixels = math.prod(self.input_shape[1:])
        if self.pixel_order is not None and sorted(self.pixel_order) != list(range(pixels)):
            raise ValueError(f"pixel_order: must hold each of 0 to {pixels - 1} once")
        targets = [self.target_mean, self.target_std]
        if any(values is not None and len(values) != self.outputs for values in targets):
            raise ValueError(f"target_mean and target_std: must be {self.outputs} numbers each")
        return self

    @classmethod
    def of(cls, data: DataSet) -> "Preprocessing | None":
        """Returns the preprocessing of a data set; None for one whose placement is not known."""
        place = data.placement
        if place is None:
            return None
        return cls(
            name=data.name,
            task=data.task,
            input_shape=list(data.input_shape),
            outputs=data.outputs,
            class_names=list(data.class_names),
            full_scale=data.full_scale,
            mean=place.mean.flatten().tolist(),
            std=place.std.flatten().tolist(),
            dtype="float64" if data.dtype == torch.float64 else "float32",
            pixel_order=None if place.pixel_order is None else place.pixel_order.tolist(),
            target_mean=_listed(place.target_mean),
            target_std=_listed(place.target_std),
            class_sizes=None if data.class_sizes is None else data.class_sizes.tolist(),
        )

    def apply(self, inputs: Tensor, targets: Tensor | None, device: torch.device) -> DataSet:
        """Returns a data set whose test split are the examples, and whose training split is empty.

        Args:
            inputs: (N, *input_shape) in raw units, float for tables, uint8 for images.
            targets: (N,) class labels or (N, C) values in original units; None where they are unknown, and
                then those of the result mean nothing.
            device: where everything goes.
        """
        classes = self.task == "classification"
        if targets is None:
            targets = (
                torch.zeros(len(inputs), dtype=torch.int64)
                if classes
                else torch.zeros(len(inputs), self.outputs)
            )
        place = self.placement(device)
        examples = place.split(Split(inputs, targets), torch.arange(len(inputs)))
        return DataSet(
            name=self.name,
            task=self.task,
            train=Split(examples.inputs[:0], examples.targets[:0]),
            validation=None,
            test=examples,
            input_shape=tuple(self.input_shape),
            outputs=self.outputs,
            class_names=list(self.class_names),
            mean=place.mean.to(device, place.compute_dtype),
            std=place.std.to(device, place.compute_dtype),
            dtype=place.dtype,
            full_scale=self.full_scale,
            pixel_order=place.pixel_order,
            target_mean=place.target_mean,
            target_std=place.target_std,
            class_sizes=None if self.class_sizes is None else torch.tensor(self.class_sizes),
            placement=place,
        )

    def placement(self, device: torch.device) -> Placement:
        """Returns what gives raw examples their form on a device."""
        shape = (self.input_shape[0], 1, 1) if self.full_scale else (self.input_shape[0],)
        return Placement(
            mean=torch.tensor(self.mean, dtype=torch.float64).reshape(shape),
            std=torch.tensor(self.std, dtype=torch.float64).reshape(shape),
            device=device,
            dtype=torch.float64 if self.dtype == "float64" else torch.float32,
            pixel_order=None if self.pixel_order is None else torch.tensor(self.pixel_order),
            target_mean=_float64(self.target_mean),
            target_std=_float64(self.target_std),
        )


def _listed(values: Tensor | None) -> "list[float] | None":
    return None if values is None else values.flatten().tolist()


def _float64(values: list[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(values, dtype=torch.float64)
