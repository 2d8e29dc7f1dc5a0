"""What the kernel experiments are about: the points, and the networks of each width."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from nnlab.data import RawData, prepare, read_csv, target_function
from nnlab.errors import DataError, InputError, suggest
from nnlab.lab.build import build_model
from nnlab.lab.sections import (
    ActivationName,
    Count,
    CustomModel,
    DigitsData,
    Hardware,
    ImageFolderData,
    PathText,
    Section,
    TorchvisionData,
)
from nnlab.lab.session import Session, dtype_of, generator, select_device
from nnlab.models import CNN, MLP
from nnlab.models.custom import load_factory
from nnlab.ntk.spectral.harmonics import circle_points

# --- config -----------------------------------------------------------------------------------------


class LinePoints(Section):
    """A function at points of [−1, 1]: equally spaced ones, or your own."""

    name: Literal["line"]
    examples: Count = 20
    function: Literal["sine", "step", "abs", "cubic"] = "sine"
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


class CsvPoints(Section):
    """The first rows of a table, features standardized over all; classes become one-hot targets."""

    name: Literal["csv"]
    path: PathText
    target: str
    task: Literal["classification", "regression"] = "classification"
    examples: Count | None = Field(None, description="rows from the top; all of them if left out")


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


class KernelCustom(CustomModel):
    """Your own: `factory(input_shape, outputs, width=m, **arguments)` returns a module of that width."""

    width_argument: Annotated[str, AfterValidator(_keyword)] = Field(
        "width", description="the argument of the factory that takes each of the widths"
    )


Points = Annotated[LinePoints | CirclePoints | ImagePoints | CsvPoints, Field(discriminator="name")]
KernelModel = Annotated[KernelMLP | KernelCNN | KernelCustom, Field(discriminator="name")]


# --- points -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Examples and what is to be learned of them.

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


GRID = 200


def build_task(points: Points, hardware: Hardware, session: Session) -> Task:
    """The points on the device and in the precision that the config asks for.

    Raises:
        InputError: more examples than the set has, or a set that is missing or damaged.
    """
    device, dtype = select_device(hardware), dtype_of(hardware)
    if isinstance(points, ImagePoints):
        return _images(points, hardware, session)
    if isinstance(points, CsvPoints):
        return _table(points, device, dtype)
    task = _line(points) if isinstance(points, LinePoints) else _circle(points)
    moved = {
        name: None if value is None else value.to(device, dtype)
        for name, value in vars(task).items()
        if name != "labels"
    }
    return Task(**moved)  # type: ignore[arg-type]


def _line(points: LinePoints) -> Task:
    if points.points is not None:
        x = torch.tensor(points.points, dtype=torch.float64)[:, None]
    elif points.examples == 1:
        x = torch.zeros(1, 1, dtype=torch.float64)
    else:
        x = torch.linspace(-1, 1, points.examples, dtype=torch.float64)[:, None]
    function = target_function(points.function)
    reach = max(1.0, float(x.abs().max()))
    grid = torch.linspace(-1.25 * reach, 1.25 * reach, GRID, dtype=torch.float64)[:, None]
    return Task(x, function(x), None, grid, function(grid))


def _circle(points: CirclePoints) -> Task:
    x = circle_points(points.examples)
    θ = torch.atan2(x[:, 1], x[:, 0])
    y = torch.stack([torch.cos(k * θ) for k in points.harmonics]).sum(0)
    return Task(x, y[:, None])


def _images(points: ImagePoints, hardware: Hardware, session: Session) -> Task:
    data = session.data(_image_set(points), hardware)
    if points.examples > len(data.train):
        raise InputError(
            f"data.examples: {points.examples}: {points.name} has {len(data.train)} training images"
        )
    x = data.normalize(data.train.inputs[: points.examples]).to(dtype_of(hardware))
    labels = data.train.targets[: points.examples]
    y = torch.nn.functional.one_hot(labels, data.outputs).to(x.dtype)
    return Task(x, y, labels)


def _image_set(points: ImagePoints) -> DigitsData | TorchvisionData | ImageFolderData:
    """All of the training images, none held out."""
    if points.name == "digits":
        return DigitsData(name="digits", batch_size="full", validation=0.0)
    if points.name == "image_folder":
        return ImageFolderData(name="image_folder", root=points.root, batch_size="full", validation=0.0)
    return TorchvisionData(
        name=points.name, root=points.root, download=points.download, batch_size="full", validation=0.0
    )


def _table(points: CsvPoints, device: torch.device, dtype: torch.dtype) -> Task:
    """Rows from the top; mean and standard deviation of the features are those of the whole table."""
    path = Path(points.path).expanduser()
    try:
        rows, names = read_csv(path, target=points.target, task=points.task)
    except OSError as error:  # a name that is too long, a disk that fails while it is read
        raise DataError(f"data.path: {path}: cannot be read: {error.strerror}") from None
    _check_classes(points, names, len(rows))
    if points.examples is not None and points.examples > len(rows):
        raise InputError(f"data.examples: {points.examples}: {path} has {len(rows)} rows")
    raw = RawData(points.task, train=rows, test=rows, outputs=len(names) or 1, class_names=names)
    data = prepare(
        raw, name="csv", validation=0.0, split_seed=0, standardize=True, device=device, dtype=dtype
    )
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
        shown = f"such as {fraction}" if fraction is not None else f"{len(names)} in {rows} rows"
        raise InputError(
            f"data.target: {points.target} holds numbers, {shown}, each of which would be a class. Where the "
            "target is a quantity and no class, set data.task: regression"
        )


# --- networks ---------------------------------------------------------------------------------------


def build_network(
    model: KernelModel, width: int, task: Task, seed: int, *, allow_custom_code: bool = False
) -> nn.Module:
    """The network of a width at its random start, on the device and in the type of the points.

    Raises:
        InputError: a convolutional network for what is no image, or a custom one that is not allowed, cannot
            be built, or has nothing that takes the width.
    """
    random = generator(seed, "weights")
    if isinstance(model, KernelCustom):
        network = build_model(
            _of_width(model, width, allow_custom_code), input_shape=tuple(task.x.shape[1:]),
            outputs=task.outputs, generator=random, allow_custom_code=allow_custom_code,
        )  # fmt: skip
    elif isinstance(model, KernelMLP):
        network = MLP(
            task.x[0].numel(), [width] * model.depth, task.outputs, model.activation, bias=model.bias,
            parameterization=model.parameterization, sigma_w=model.sigma_w, sigma_b=model.sigma_b,
            generator=random,
        )  # fmt: skip
    elif task.x.ndim != 4:
        raise InputError(
            "model.name: cnn needs images: data.name: digits, mnist, fashion_mnist, cifar10 or image_folder"
        )
    else:
        shape = task.x.shape[1], task.x.shape[2], task.x.shape[3]
        channels = [width] * model.depth
        network = CNN(shape, channels, task.outputs, model.activation, bias=model.bias, generator=random)
    return network.to(task.x.device, task.x.dtype)


def _of_width(model: KernelCustom, width: int, allow: bool) -> CustomModel:
    """The section with the width among the arguments of its factory."""
    name = model.width_argument
    if name in model.arguments:
        raise InputError(
            f"model.arguments.{name}: the factory is given each of widths by this argument; leave it out, or "
            "name another one by model.width_argument"
        )
    try:
        taken = inspect.signature(load_factory(model.factory, allow)).parameters
    except (TypeError, ValueError):  # some callables written in C do not tell; calling them will
        taken = None
    if taken is not None and name not in taken and all(p.kind != p.VAR_KEYWORD for p in taken.values()):
        raise InputError(
            f"model.width_argument: {model.factory} takes no argument {name} to be given each of widths by; "
            f"{suggest(name, list(taken)[2:])}"
        )
    return CustomModel(name="custom", factory=model.factory, arguments={**model.arguments, name: width})
