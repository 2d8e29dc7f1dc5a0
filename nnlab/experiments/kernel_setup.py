"""What the kernel experiments are about: the points, and the networks of each width."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from nnlab.config import (
    ActivationName,
    Count,
    DigitsData,
    Hardware,
    ImageFolderData,
    PathText,
    Section,
    TorchvisionData,
)
from nnlab.data import target_function
from nnlab.errors import InputError
from nnlab.experiments.session import Session, dtype_of, generator, select_device
from nnlab.models import CNN, MLP
from nnlab.ntk.harmonics import circle_points

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


Points = Annotated[LinePoints | CirclePoints | ImagePoints, Field(discriminator="name")]
KernelModel = Annotated[KernelMLP | KernelCNN, Field(discriminator="name")]


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


def build_task(points: LinePoints | CirclePoints | ImagePoints, hardware: Hardware, session: Session) -> Task:
    """The points on the device and in the precision that the config asks for.

    Raises:
        InputError: more examples than the set has, or a set that is missing.
    """
    device, dtype = select_device(hardware), dtype_of(hardware)
    if isinstance(points, ImagePoints):
        return _images(points, hardware, session)
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


# --- networks ---------------------------------------------------------------------------------------


def build_network(model: KernelMLP | KernelCNN, width: int, task: Task, seed: int) -> nn.Module:
    """The network of a width at its random start, on the device and in the type of the points.

    Raises:
        InputError: a convolutional network for what is no image.
    """
    random = generator(seed, "weights")
    if isinstance(model, KernelMLP):
        network: nn.Module = MLP(
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
