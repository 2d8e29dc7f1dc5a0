"""The examples and the networks of the kernel experiment: sections of its config, and how they are built."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor, nn

from nnlab.data import prepare, read_csv, target_function
from nnlab.data.fingerprint import fingerprint
from nnlab.errors import DataError, InputError, suggest
from nnlab.lab.build import build_model
from nnlab.lab.sections import (
    ActivationName,
    CNNModel,
    Count,
    CustomFactory,
    CustomModel,
    DigitsData,
    FunctionName,
    Hardware,
    ImageFolderData,
    ImageSize,
    MLPModel,
    PathText,
    Section,
    TableSection,
    TorchvisionData,
)
from nnlab.lab.session import Session, dtype_of, generator, select_device
from nnlab.models.custom import load_factory
from nnlab.ntk.spectral.harmonics import circle_points

Array = NDArray[np.float64]

GRID = 200  # points on the line at which functions are drawn

# --- config -----------------------------------------------------------------------------------------


class LinePoints(Section):
    """A function at points of [−1, 1]: equally spaced ones, or your own."""

    name: Literal["line"]
    examples: Count = 20
    function: FunctionName = "sine"
    points: list[FiniteFloat] | None = Field(None, min_length=1)


class CirclePoints(Section):
    """Equally spaced points on the unit circle, with the target Σ cos(kθ) over `harmonics`."""

    name: Literal["circle"]
    examples: Count = 32
    harmonics: list[Annotated[int, Field(ge=0, le=1000)]] = Field([1, 2, 4], min_length=1)


class ImagePoints(Section):
    """The first training images of a set, standardized; classes become one-hot targets."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "image_folder"]
    examples: Count = 64
    root: PathText | None = None
    download: bool = False
    resize: ImageSize = Field(None, description="of image_folder, as in a training")
    crop: ImageSize = Field(None, description="of image_folder, as in a training")
    skip_unreadable: bool = Field(False, description="of image_folder, as in a training")

    @model_validator(mode="after")
    def _files_have_what_other_sets_have_not(self) -> "ImagePoints":
        for key in ("resize", "crop", "skip_unreadable"):
            if self.name != "image_folder" and getattr(self, key):
                raise ValueError(f"{key} is for name: image_folder, not for {self.name}; leave it out")
        return self


class CsvPoints(TableSection):
    """The first rows of a table, features standardized over all; classes become one-hot targets."""

    name: Literal["csv"]
    examples: Count | None = Field(None, description="rows from the top; all of them if left out")
    standardize_target: bool = Field(
        True, description="number targets to mean 0 and variance 1 over all rows, as a start near 0 needs"
    )


class KernelMLP(Section):
    """`depth` hidden layers of one width each."""

    name: Literal["mlp"]
    depth: int = Field(2, ge=1, le=20)
    activation: ActivationName = "relu"
    bias: bool = True
    parameterization: Literal["standard", "ntk"] = "ntk"
    sigma_w: PositiveFloat | None = None
    sigma_b: NonNegativeFloat | None = None


class KernelCNN(Section):
    """`depth` blocks of convolution, activation and pooling with so many maps; standard parameterization."""

    name: Literal["cnn"]
    depth: int = Field(2, ge=1, le=10)
    activation: ActivationName = "relu"
    bias: bool = True


def _keyword(value: str) -> str:
    if not value.isidentifier():
        raise ValueError("must be the name of an argument, such as width")
    return value


class KernelCustom(CustomFactory):
    """Your own: `factory(input_shape, outputs, width=m, **arguments)` returns a module of that width."""

    width_argument: Annotated[str, AfterValidator(_keyword)] = Field(
        "width", description="the argument of the factory that takes each of the widths"
    )


Points = Annotated[LinePoints | CirclePoints | ImagePoints | CsvPoints, Field(discriminator="name")]
KernelModel = Annotated[KernelMLP | KernelCNN | KernelCustom, Field(discriminator="name")]


# --- points -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Examples and their targets.

    Attributes:
        x: (n, …) inputs.
        y: (n, C) targets ȳ; of classes one-hot.
        labels: (n,) classes, or None.
        grid: (g, 1) further inputs to show the function at, on the line only.
        truth: (g, 1) the function there.
    """

    x: Tensor
    y: Tensor
    labels: Tensor | None = None
    grid: Tensor | None = None
    truth: Tensor | None = None

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    @property
    def on_line(self) -> tuple[Array, Array, tuple[Array, Array]]:
        """Grid and true function, (g,) each; inputs and targets of the examples, (n,) each; in float64."""
        assert self.grid is not None
        assert self.truth is not None
        grid, truth, x, y = (
            v.double().numpy(force=True)[:, 0] for v in (self.grid, self.truth, self.x, self.y)
        )
        return grid, truth, (x, y)


def build_task(points: Points, hardware: Hardware, session: Session) -> Task:
    """The points on the device and in the precision that the config asks for.

    Raises:
        InputError: more examples than the set has, or a set that is missing or damaged.
    """
    device, dtype = select_device(hardware), dtype_of(hardware)
    if isinstance(points, ImagePoints):
        return _images(points, hardware, session)
    if isinstance(points, CsvPoints):
        return _table(points, device, dtype, session)
    if isinstance(points, LinePoints):
        x, y, *more = (values.to(device, dtype) for values in _line(points))
        return Task(x, y, None, *more)
    x = circle_points(points.examples)
    θ = torch.atan2(x[:, 1], x[:, 0])
    y = torch.stack([torch.cos(k * θ) for k in points.harmonics]).sum(0)[:, None]
    return Task(x.to(device, dtype), y.to(device, dtype))


def _line(points: LinePoints) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points and targets, (n, 1), and the grid and the function on it, (g, 1)."""
    if points.points is not None:
        x = torch.tensor(points.points, dtype=torch.float64)[:, None]
    elif points.examples == 1:
        x = torch.zeros(1, 1, dtype=torch.float64)
    else:
        x = torch.linspace(-1, 1, points.examples, dtype=torch.float64)[:, None]
    function = target_function(points.function)
    reach = max(1.0, float(x.abs().max()))
    grid = torch.linspace(-1.25 * reach, 1.25 * reach, GRID, dtype=torch.float64)[:, None]
    return x, function(x), grid, function(grid)


def _images(points: ImagePoints, hardware: Hardware, session: Session) -> Task:
    everything: dict[str, Any] = {"name": points.name, "batch_size": "full", "validation": 0.0}
    section: DigitsData | ImageFolderData | TorchvisionData
    if points.name == "digits":
        section = DigitsData(**everything)
    elif points.name == "image_folder":
        own = points.model_dump(include={"root", "resize", "crop", "skip_unreadable"})
        section = ImageFolderData(**everything, **own)
    else:
        section = TorchvisionData(**everything, root=points.root, download=points.download)
    data = session.data(section, hardware)
    if points.examples > len(data.train):
        raise InputError(
            f"data.examples: {points.examples}: {points.name} has {len(data.train)} training images"
        )
    x = data.normalize(data.train.inputs[: points.examples]).to(dtype_of(hardware))
    labels = data.train.targets[: points.examples]
    y = torch.nn.functional.one_hot(labels, data.outputs).to(x.dtype)
    return Task(x, y, labels)


def _table(points: CsvPoints, device: torch.device, dtype: torch.dtype, session: Session) -> Task:
    """Rows from the top; means and standard deviations are those of the whole table."""
    path = Path(points.path).expanduser()
    with session.reading():
        try:
            raw = read_csv(
                path, **points.model_dump(exclude={"name", "path", "examples", "standardize_target"})
            )
            mark = fingerprint(raw, "csv", tables=[path], target=points.target)
        except OSError as error:  # a name that is too long, a disk that fails while it is read
            raise DataError(f"data.path: {path}: cannot be read: {error.strerror}") from None
    rows = len(raw.train)
    _check_classes(points, raw.class_names, rows)
    if points.examples is not None and points.examples > rows:
        raise InputError(f"data.examples: {points.examples}: {path} has {rows} rows")
    data = prepare(
        raw, name="csv", validation=0.0, split_seed=0, standardize=True, device=device, dtype=dtype,
        standardize_target=points.standardize_target,
    )  # fmt: skip
    for note in data.notes:
        session.reporter.say(note)
    session.keep(mark, data)
    x, y = (values[: points.examples] for values in (data.train.inputs, data.train.targets))
    if points.task == "regression":
        return Task(x, y)
    return Task(x, torch.nn.functional.one_hot(y, data.outputs).to(dtype), y)


def _check_classes(points: CsvPoints, names: list[str], rows: int) -> None:
    """Numbers that are no class labels would make an output each."""
    try:
        values = [float(name) for name in names]
    except ValueError:
        return
    fraction = next((name for name, value in zip(names, values, strict=True) if value % 1), None)
    if fraction is not None or len(names) > max(2, rows // 2):
        evidence = f"such as {fraction}" if fraction is not None else f"{len(names)} in {rows} rows"
        raise InputError(
            f"data.target: {points.target} holds numbers, {evidence}, each of which would be a class; if the "
            "target is a quantity, set data.task: regression"
        )


# --- networks ---------------------------------------------------------------------------------------


def build_network(
    model: KernelModel, width: int, task: Task, seed: int, number: int = 0, *, allow_custom_code: bool = False
) -> nn.Module:
    """Builds the network of a width and a number at its random start, on the device and in the type of x.

    Raises:
        InputError: a convolutional network for what is no image, or a custom one that is not allowed, cannot
            be built, or has nothing that takes the width.
    """
    if isinstance(model, KernelCNN) and task.x.ndim != 4:
        raise InputError(
            "model.name: cnn needs images: data.name: digits, mnist, fashion_mnist, cifar10 or image_folder"
        )
    network = build_model(
        _of_width(model, width, allow_custom_code), input_shape=tuple(task.x.shape[1:]),
        outputs=task.outputs, generator=generator(seed, "weights", width, number),
        allow_custom_code=allow_custom_code,
    )  # fmt: skip
    return network.to(task.x.device, task.x.dtype)


def _of_width(model: KernelModel, width: int, allow: bool) -> MLPModel | CNNModel | CustomModel:
    """The model section of one width; of a custom model, with the width among its factory's arguments."""
    if isinstance(model, KernelMLP):
        return MLPModel(hidden=[width] * model.depth, **model.model_dump(exclude={"depth"}))
    if isinstance(model, KernelCNN):
        return CNNModel(channels=[width] * model.depth, **model.model_dump(exclude={"depth"}))
    name = model.width_argument
    if name in model.arguments:
        raise InputError(
            f"model.arguments.{name}: this argument takes each of widths; leave it out, or name another one "
            "by model.width_argument"
        )
    section = CustomModel(name="custom", factory=model.factory, arguments={**model.arguments, name: width})
    try:
        parameters = inspect.signature(load_factory(model.factory, allow)).parameters
    except (TypeError, ValueError):  # some callables written in C do not tell; calling them will
        return section
    if name not in parameters and all(p.kind != p.VAR_KEYWORD for p in parameters.values()):
        raise InputError(
            f"model.width_argument: {model.factory} takes no argument {name} to set each of widths with; "
            f"{suggest(name, list(parameters)[2:])}"
        )
    return section
