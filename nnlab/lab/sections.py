"""The sections of a config that experiments share: data, model, loss, optimizer, training.

Nothing here imports torch, and nothing below the builders (`nnlab.lab.build`) sees these objects."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    JsonValue,
    NonNegativeFloat,
    PlainValidator,
    PositiveFloat,
    Tag,
    WithJsonSchema,
    model_validator,
)

from nnlab.lab.functions import of_expression
from nnlab.lab.source import as_yaml

if TYPE_CHECKING:
    from nnlab.lab.session import Outcome, Session
    from nnlab.record import Record


class Section(BaseModel):
    """A mapping of the YAML: no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True
    )


def _batch_size(value: object) -> int | str:
    if value == "full" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError("must be a whole number of at least 1, or full")


BatchSize = Annotated[
    int | Literal["full"],
    PlainValidator(_batch_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "full"}]}),
]


def _distinct(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"names {value} twice; give each value once")
    return values


Distinct = AfterValidator(_distinct)  # for lists whose values each become a training of their own

FunctionName = Literal["sine", "step", "abs", "cubic"]
FUNCTION_NAMES: tuple[str, ...] = get_args(FunctionName)
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
StepSize = Annotated[float, Field(gt=0, le=1e30)]  # float32 ends at 3.4e38, and a step may multiply it


def _function(value: object) -> object:
    if isinstance(value, str):
        if value not in FUNCTION_NAMES:
            of_expression(value)
        return value
    pairs: list[Any] = value if isinstance(value, list) and len(value) > 1 else [0]
    if not all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in pairs):
        raise ValueError(
            f"must be {', '.join(FUNCTION_NAMES)}, an expression in x, or at least two points [x, y]"
        )
    places = [float(x) for x, _ in pairs]
    for before, after in pairwise(places):
        if after <= before:
            raise ValueError(f"has x = {after:g} behind x = {before:g}: its points must have rising x")
    return [[float(x), float(y)] for x, y in pairs]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


Function = Annotated[
    str | list[list[float]],
    PlainValidator(_function),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "array",
                    "minItems": 2,
                    "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                },
            ]
        }
    ),
]
"""A function on [−1, 1]: a name, an expression in x, or points with straight lines between them."""


def _path(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a zero byte, which no path may")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home folder of a user that this machine does not know") from None
    return value


PathText = Annotated[str, Field(min_length=1), AfterValidator(_path)]


def _class_weights(value: object) -> object:
    if value is None or value == "balanced":
        return value
    weights = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    if not weights or not all(type(w) in (int, float) and 0 < w <= 1e30 for w in weights):
        raise ValueError("must be balanced, or a number above 0 for each class, by name or as a list")
    if not isinstance(value, dict):
        return [float(w) for w in weights]
    if any(isinstance(name, bool) or name is None for name in value):
        raise ValueError("has a class that YAML reads as true, false or nothing: put its name in quotes")
    named = {str(name): float(w) for name, w in value.items()}
    if len(named) < len(value):
        raise ValueError("names a class twice, as a number and as text")
    return named


_WEIGHT: JsonValue = {"type": "number", "exclusiveMinimum": 0}
ClassWeights = Annotated[
    Literal["balanced"] | list[float] | dict[str, float] | None,
    PlainValidator(_class_weights),
    WithJsonSchema({
        "anyOf": [
            {"const": "balanced"},
            {"type": "array", "items": _WEIGHT},
            {"type": "object", "additionalProperties": _WEIGHT},
            {"type": "null"},
        ]
    }),
]  # fmt: skip


class DataSection(Section):
    """The keys that every data set has."""

    batch_size: BatchSize = 64
    validation: float = Field(0.1, ge=0, lt=1, description="fraction of the training examples held out")
    split_seed: Seed = Field(0, description="seed of splits and of generated data")
    standardize: bool = Field(True, description="inputs to mean 0 and variance 1 over the training examples")


class AugmentationSection(Section):
    """Random changes of the training images, drawn anew every epoch. Other images are never changed."""

    flip: Literal["none", "random", "alternating"] = Field(
        "none", description="mirror left to right at random, or from a random start in every other epoch"
    )
    crop: int = Field(
        0, ge=0, le=64, description="shift by at most this many pixels; the border is reflected"
    )
    cutout: int = Field(
        0, ge=0, le=1024, description="side of a random square that is set to the mean colour"
    )


class ImageSection(DataSection):
    """Images."""

    shuffle_pixels: bool = Field(False, description="one permutation of the pixels, drawn from split_seed")
    augmentation: AugmentationSection = AugmentationSection()


class DigitsData(ImageSection):
    """scikit-learn's 1,797 handwritten digits, 8 × 8 grey pixels, 10 classes."""

    name: Literal["digits"]
    test: float = Field(0.2, gt=0, lt=1, description="fraction of the examples held out for the test")


class TorchvisionData(ImageSection):
    """A published image set with its own test split, read through torchvision."""

    name: Literal["mnist", "fashion_mnist", "cifar10"]
    root: PathText | None = None
    download: bool = False


def _image_size(value: object) -> int | list[int] | None:
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    if value is None or all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        return value  # type: ignore[return-value]
    raise ValueError(f"must be a number of pixels from 1 to {LARGEST_SIDE}, or [height, width]")


LARGEST_SIDE = 8192
_SIDE = {"type": "integer", "minimum": 1, "maximum": LARGEST_SIDE}
ImageSize = Annotated[
    int | list[int] | None,
    PlainValidator(_image_size),
    WithJsonSchema(
        {"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}, {"type": "null"}]}
    ),
]


class ImageFolderData(ImageSection):
    """Images in `root/train/CLASS`, `root/test/CLASS` and, where it is there, `root/val/CLASS`.

    Without a test folder, or with the class folders in `root` itself, a part of each class is held out.
    """

    name: Literal["image_folder"]
    root: PathText | None = None
    channels: Literal[1, 3] = 3
    resize: ImageSize = Field(
        None,
        description="N: the shorter side becomes N pixels and the middle N × N stays; [height, width]: "
        "exactly that",
    )
    crop: ImageSize = Field(None, description="N or [height, width]: the middle that stays, after resize")
    test: float = Field(
        0.2, gt=0, lt=1, description="fraction held out for the test, where there is no test folder"
    )
    skip_unreadable: bool = Field(False, description="skip unreadable files; their number is reported")


def _one_of(words: dict[str, str]) -> BeforeValidator:
    """Lets the sign itself stand for the word that names it."""
    return BeforeValidator(lambda value: words.get(value, value) if isinstance(value, str) else value)


def _encoding(value: str) -> str:
    try:
        "".encode(value)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError("is no encoding of text that Python knows, such as utf-8 or cp1252") from None
    return value


def _test_part(value: object) -> float | str:
    if isinstance(value, str) and value and not re.fullmatch(r"[\d.,]+\s*%?", value):
        return _path(value)
    if type(value) in (int, float) and 0 < value < 1:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise ValueError("must be a fraction between 0 and 1, or the path of another table")


def _column(value: object) -> object:
    """A year as a column's name needs no quotes; what YAML takes for something else than text does."""
    if type(value) is int:
        return str(value)
    if value is None or isinstance(value, bool | float):
        raise ValueError("is no text as YAML reads it: put the column's name in quotes")
    return value


def _columns(value: object) -> object:
    if isinstance(value, str | int | float):
        raise ValueError("must be a list of columns, such as [a] or [a, b]")
    return value


ColumnName = Annotated[str, BeforeValidator(_column)]
ColumnNames = (
    Annotated[list[ColumnName], BeforeValidator(_columns), Field(min_length=1), AfterValidator(_distinct)]
    | None
)
Separator = Annotated[
    Literal["comma", "semicolon", "tab", "pipe", "space"],
    _one_of({",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space"}),
]
DecimalMark = Annotated[Literal["point", "comma"], _one_of({".": "point", ",": "comma"})]


class TableSection(Section):
    """A table with a header line: `target` names one column, the others are features."""

    path: PathText
    target: ColumnName
    task: Literal["classification", "regression"] = "classification"
    columns: ColumnNames = Field(None, description="the features; left out, every column but the others")
    ignore: ColumnNames = Field(None, description="columns to leave out")
    categories: ColumnNames = Field(
        None, description="columns, also of numbers, that become one input for each value in them"
    )
    text: Literal["error", "one_hot"] = Field(
        "error", description="columns of texts: an error, or categories; unknown ones count as none"
    )
    missing: Literal["error", "drop", "mean"] = Field(
        "error",
        description="missing values: an error, leave out the row, or the mean of the column's training rows",
    )
    missing_target: Literal["error", "drop", "class"] = Field(
        "error", description="missing targets: an error, leave out the row, or a class of their own"
    )
    separator: Separator | None = Field(None, description="of cells; left out, as the header line tells")
    decimal: DecimalMark | None = Field(None, description="decimal mark; left out, as the numbers tell")
    encoding: Annotated[str, AfterValidator(_encoding)] | None = Field(
        None, description="such as utf-8 or cp1252; left out, as the bytes tell"
    )


class CsvData(TableSection, DataSection):
    """A table with a header line: `target` names one column, the others are features."""

    name: Literal["csv"]
    standardize_target: bool = Field(
        True, description="number targets to mean 0 and variance 1; metrics stay in original units"
    )
    test: Annotated[
        float | str,
        PlainValidator(_test_part),
        WithJsonSchema({
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "minLength": 1},
            ]
        }),
    ] = Field(0.2, description="fraction of rows held out for the test, or a table's path")  # fmt: skip
    group: ColumnName | None = Field(
        None, description="column whose equal values stay together in training, validation or test"
    )
    stratify: bool | None = Field(
        None,
        description="each split keeps the proportions of the classes, or of tenths of a number target; left "
        "out, of classes only",
    )


class SyntheticData(DataSection):
    """Random points, drawn with `split_seed`."""

    examples: Count = Field(400, description="training examples; the test has as many again")


class XorData(SyntheticData):
    """The corners (±1, ±1), class 1 where the signs differ, plus Gaussian noise."""

    name: Literal["xor"]
    noise: NonNegativeFloat = 0.2


class TwoMoonsData(SyntheticData):
    """Two interleaving half circles, plus Gaussian noise."""

    name: Literal["two_moons"]
    noise: NonNegativeFloat = 0.15


class SpiralsData(SyntheticData):
    """`classes` arms of a spiral, plus Gaussian noise."""

    name: Literal["spirals"]
    classes: int = Field(2, ge=2, le=1000)
    turns: PositiveFloat = 1.5
    noise: NonNegativeFloat = 0.05


class BlobsData(SyntheticData):
    """`classes` Gaussian clouds of standard deviation `spread`, centred on a circle of radius `radius`."""

    name: Literal["blobs"]
    classes: int = Field(3, ge=2, le=1000)
    radius: PositiveFloat = 3.0
    spread: PositiveFloat = 1.0


class Regression1dData(SyntheticData):
    """A function on [−1, 1] plus Gaussian noise; the test targets are free of noise."""

    name: Literal["regression_1d"]
    function: Function = Field(
        "sine",
        description=f"{', '.join(FUNCTION_NAMES)}, an expression in x, or points [x, y] joined by lines",
    )
    examples: Count = 40
    noise: NonNegativeFloat = 0.1
    standardize_target: bool = Field(
        False, description="targets to mean 0 and variance 1; metrics stay in original units"
    )


MOST_POINTS = 10_000  # of a config
Point = Annotated[list[FiniteFloat], Field(min_length=2, max_length=101)]


class PointsData(DataSection):
    """Points that stand in the config itself: the inputs of each, then its target."""

    name: Literal["points"]
    task: Literal["classification", "regression"] = "classification"
    points: list[Point] = Field(
        min_length=1,
        max_length=MOST_POINTS,
        description="[x, target], [x1, x2, target] and so on; the target is a class 0, 1, 2, … or a number",
    )
    classes: list[str] | None = Field(
        None, min_length=2, description="names of the classes 0, 1, 2, …; left out, their numbers"
    )
    validation: float = Field(0.0, ge=0, lt=1, description="fraction of the training examples held out")
    test: float = Field(
        0.0, ge=0, lt=1, description="fraction of the points held out for the test; 0: the test is on all"
    )
    standardize: bool = Field(False, description="inputs to mean 0 and variance 1 over the training examples")
    standardize_target: bool = Field(
        False, description="number targets to mean 0 and variance 1; metrics stay in original units"
    )

    @model_validator(mode="after")
    def _points_are_alike(self) -> "PointsData":
        length = len(self.points[0])
        for place, point in enumerate(self.points):
            if len(point) != length:
                raise ValueError(
                    f"points.{place}: {as_yaml(point)} has {len(point)} numbers, the first one {length}"
                )
            if self.task == "classification" and not (point[-1].is_integer() and 0 <= point[-1] < 1000):
                raise ValueError(
                    f"points.{place}: {as_yaml(point)} ends with {point[-1]:g}, and a class is 0, 1, 2, …; "
                    "for targets that are numbers, set data.task: regression"
                )
        largest = max(int(point[-1]) for point in self.points) + 1
        if self.task == "classification" and self.classes is not None and len(self.classes) != largest:
            raise ValueError(f"classes: has {len(self.classes)} names, and the points {largest} classes")
        return self


Data = Annotated[
    DigitsData
    | TorchvisionData
    | ImageFolderData
    | CsvData
    | XorData
    | TwoMoonsData
    | SpiralsData
    | BlobsData
    | Regression1dData
    | PointsData,
    Field(discriminator="name"),
]

ActivationName = Literal["sigmoid", "tanh", "relu", "leaky_relu", "maxout", "elu", "gelu", "erf", "ripple"]
Activations = Annotated[
    Annotated[ActivationName, Tag("one")] | Annotated[list[ActivationName], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, list) else "one"),
]
"""One activation for all hidden layers, or a list of one for each."""
StepName = Literal["sigmoid", "tanh", "ripple"]
"""The rows of `nnlab.models.activations`, and those of them with a step; a test compares them."""


class ModelSection(Section):
    """The key that every model has."""

    start: PathText | None = Field(
        None, description="the run folder whose best weights this training begins from; left out, random ones"
    )


class MLPModel(ModelSection):
    """Fully connected layers: `hidden: []` is Wx + b, `[H]` two layers, `[H1, H2]` three."""

    name: Literal["mlp"]
    hidden: list[Count] = []
    activation: Activations = Field("relu", description="of all hidden layers, or a list of one for each")
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    parameterization: Literal["standard", "ntk", "mup"] = Field(
        "standard",
        description="standard: the factor 1/√fan-in stands in the initial weights; ntk: in the forward pass; "
        "mup: scaled such that features move alike at every width",
    )
    base_width: Count = Field(64, description="the width at which mup is the standard parameterization")
    sigma_w: PositiveFloat | None = Field(
        None, description="standard deviation of √fan-in times a weight; left out, the activation's gain"
    )
    sigma_b: NonNegativeFloat | None = Field(
        None, description="standard deviation of a bias; left out, 0, or 0.1 in the ntk parameterization"
    )

    @model_validator(mode="after")
    def _each_layer_has_an_activation(self) -> "MLPModel":
        names, layers = self.activation, len(self.hidden)
        if isinstance(names, list) and len(names) != layers:
            raise ValueError(
                f"activation: has {len(names)} names, but hidden: {layers} layers; give one for each, or one "
                "name for all"
            )
        return self

    @property
    def activations(self) -> list[str]:
        """The activation of each hidden layer."""
        names = self.activation
        return list(names) if isinstance(names, list) else [names] * len(self.hidden)


class CNNModel(ModelSection):
    """Blocks of convolution, activation and 2 × 2 max-pooling, then one linear layer."""

    name: Literal["cnn"]
    channels: list[Count] = Field([16, 32], min_length=1)
    kernel: int = Field(3, ge=1, le=64, description="side of a filter, in pixels")
    padding: int | None = Field(
        None, ge=0, le=64, description="width of the border of zeros; left out, (kernel − 1)/2"
    )
    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    batch_norm: bool = False
    dropout: float = Field(
        0.0, ge=0, lt=1, description="fraction of the last feature maps' values that is set to 0"
    )

    @model_validator(mode="after")
    def _padding_keeps_the_size_of_odd_kernels_only(self) -> "CNNModel":
        if self.padding is None and self.kernel % 2 == 0:
            raise ValueError(
                f"kernel: {self.kernel} is even, and no padding keeps a map's size then; give one beside it, "
                f"such as padding: {self.kernel // 2}"
            )
        return self


class SpeedCNNModel(ModelSection):
    """A CNN for fast training: whitened patches, three blocks of two convolutions, a scaled head."""

    name: Literal["speed_cnn"]
    channels: list[Count] = Field([64, 256, 256], min_length=3, max_length=3)


def _factory(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError("must be written as package.module:function")
    return value


class CustomFactory(Section):
    """Your own model: `factory(input_shape, outputs, **arguments)` returns a torch module."""

    name: Literal["custom"]
    factory: Annotated[str, AfterValidator(_factory)]
    arguments: dict[str, JsonValue] = {}


class CustomModel(ModelSection, CustomFactory):
    """Your own model: `factory(input_shape, outputs, **arguments)` returns a torch module."""


Model = Annotated[MLPModel | CNNModel | SpeedCNNModel | CustomModel, Field(discriminator="name")]


class Regularization(Section):
    """λ R(W) on weight matrices, never on biases: ΣW², Σ|W|, or Σ βW² + |W|."""

    name: Literal["none", "l2", "l1", "elastic_net"] = "none"
    strength: float = Field(0.0, ge=0, le=1e30, description="λ")
    beta: NonNegativeFloat = Field(1.0, description="β of elastic_net")
    proximal: bool = Field(False, description="a proximal step for the kinks in place of a subgradient")

    @model_validator(mode="after")
    def _proximal_is_for_kinks(self) -> "Regularization":
        if self.proximal and self.name not in ("l1", "elastic_net"):
            raise ValueError(f"proximal: true is for l1 and elastic_net, not for {self.name}")
        return self


class CrossEntropyLoss(Section):
    """The mean of −Σ t log p over the examples, or of the divergence KL(t ‖ p), which is 0 at the minimum."""

    name: Literal["cross_entropy", "kl"]
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="weight of the uniform distribution in targets"
    )
    class_weights: ClassWeights = Field(
        None,
        description="how often the loss of an example counts: balanced is N/(C n_c) for a class of n_c "
        "examples; own weights, by class name or in the order of the classes, are scaled to mean 1 over the "
        "training examples, and a class that is left out has 1",
    )
    regularization: Regularization = Regularization()


class SquaredErrorLoss(Section):
    """`sum` is ½Σ‖y−ȳ‖², `mean` is (1/2N)Σ‖y−ȳ‖²; class labels become one-hot targets."""

    name: Literal["squared_error"]
    reduction: Literal["sum", "mean"] = "mean"
    regularization: Regularization = Regularization()


Loss = Annotated[CrossEntropyLoss | SquaredErrorLoss, Field(discriminator="name")]


class ConstantSchedule(Section):
    """The step size `lr`, after a linear rise from 0 over the first `warmup_epochs` epochs."""

    name: Literal["constant"]
    warmup_epochs: NonNegativeFloat = 0.0


class DecaySchedule(ConstantSchedule):
    """A step size that falls from `lr` to `final` × `lr` at the last step, as a half cosine or linearly."""

    name: Literal["cosine", "linear"]  # type: ignore[assignment]
    final: float = Field(0.0, ge=0, le=1)


class StepSchedule(ConstantSchedule):
    """The step size `lr`, multiplied by `factor` after every `every_epochs` epochs."""

    name: Literal["step"]  # type: ignore[assignment]
    every_epochs: Count = 10
    factor: float = Field(0.1, gt=0, le=1)


Schedule = Annotated[ConstantSchedule | DecaySchedule | StepSchedule, Field(discriminator="name")]


class OptimizerSection(Section):
    """The keys that every optimizer has."""

    lr: StepSize = Field(description="step size")
    clip_norm: PositiveFloat | None = Field(
        None, description="largest norm of the gradient; longer ones are scaled"
    )
    schedule: Schedule = ConstantSchedule(name="constant")


class SGDOptimizer(OptimizerSection):
    """W ← W − s∇L(W), with momentum or Nesterov's momentum if chosen."""

    name: Literal["sgd"]
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGDOptimizer":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs a momentum above 0")
        return self


class AdamOptimizer(OptimizerSection):
    """Adam, without weight decay."""

    name: Literal["adam"]
    lr: StepSize = 1e-3
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)


class AdamWOptimizer(AdamOptimizer):
    """Adam with decoupled weight decay on the weight matrices."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NonNegativeFloat = 0.01


class MuonOptimizer(OptimizerSection):
    """Muon for weight matrices and filters, SGD with Nesterov momentum for the rest."""

    name: Literal["muon"]
    lr: StepSize = 0.02
    momentum: float = Field(0.95, ge=0, lt=1)
    newton_schulz_steps: int = Field(5, ge=1, le=99)
    unit_filters: bool = Field(
        False, description="keep each filter at norm √maps, for filters before batch norm"
    )
    other_lr: StepSize = Field(0.01, description="step size of the parameters that Muon leaves to SGD")
    other_momentum: float | None = Field(
        None, ge=0, lt=1, description="momentum of those parameters; left out, momentum"
    )
    other_decay: float = Field(
        0.0, ge=0, lt=1, description="fraction by which a step of full size shrinks those parameters"
    )
    head_lr: StepSize | None = Field(None, description="train the last layer by SGD with this step size")


class LBFGSOptimizer(OptimizerSection):
    """Full-batch quasi-Newton with a strong Wolfe line search; an epoch is `iterations` inner steps."""

    name: Literal["lbfgs"]
    lr: StepSize = 1.0
    history: Count = 20
    iterations: Count = 20
    short_steps: bool = Field(
        True, description="learn of the curvature from steps of yᵀs below 1e-10, too: nearer to the minimum"
    )


Optimizer = Annotated[
    SGDOptimizer | AdamOptimizer | AdamWOptimizer | MuonOptimizer | LBFGSOptimizer,
    Field(discriminator="name"),
]


class Hardware(Section):
    """Device and number format."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float64"] = Field(
        "auto",
        description="auto is bfloat16 where the hardware computes it and steps are faster, else float32",
    )

    @model_validator(mode="after")
    def _mps_has_no_float64(self) -> "Hardware":
        if self.device == "mps" and self.precision == "float64":
            raise ValueError("precision: float64 does not exist on device: mps; use device: cpu")
        return self


class Training(Hardware):
    """Length, evaluation and checkpoints of a training."""

    epochs: Count = 30
    compile: bool = Field(False, description="compile the training step with torch.compile")
    micro_batch: Count | None = Field(
        None, description="examples per forward pass within a step; batch norm uses these alone"
    )
    test_time_augmentation: Literal["none", "mirror", "mirror_and_shift"] = Field(
        "none", description="a second accuracy, from scores averaged over transformed images"
    )
    patience: Count | None = Field(None, description="early stopping: epochs without improvement")
    evaluate_every: Count = Field(1, description="epochs between two evaluations")
    checkpoint_seconds: NonNegativeFloat = Field(15.0, description="least time between two checkpoints")


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be text on one line, without control characters")
    return value


class Experiment(Section):
    """The keys that every experiment has. `name` labels the run; left out, the config file's name does."""

    experiment: str
    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)] | None = None
    seed: Seed = 0
    arrays: ClassVar[Mapping[str, str]] = {}
    """Describes the arrays of a run, their axes and units, by patterns of their names; see figures.json."""

    def run(self, record: "Record", session: "Session") -> "Outcome":
        """Runs the experiment into the run folder of `record`; each experiment has its own.

        Raises:
            InputError: the config asks for what cannot be done; nothing has been written yet.
            ExperimentError: the experiment itself failed.
        """
        raise NotImplementedError(self.experiment)


ONE_TRAINING = ("classify", "regress")
"""The experiments that are one training and nothing else: several processes can share it, a longer one can go
on from its end, and another one from its weights."""

WITH_CLASS_WEIGHTS = ("classify", "activations", "regularization", "sgd_vs_gd")
"""The experiments whose claims hold for a loss with class weights, too."""


def numbers_for(loss: str, data: str) -> str:
    """What is wrong with a loss of classes for data whose targets are numbers."""
    return (
        f"loss.name: {loss} needs class labels, but data.name: {data} has numbers to learn; set "
        "loss.name: squared_error"
    )


class TrainingExperiment(Experiment):
    """An experiment that trains one model on one data set."""

    data: Data
    model: Model
    loss: Loss = CrossEntropyLoss(name="cross_entropy")
    optimizer: Optimizer = SGDOptimizer(name="sgd", lr=0.1)
    training: Training = Training()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "TrainingExperiment":
        for problem in (self._problem_of_lbfgs(), self._problem_of_parts()):
            if problem:
                raise ValueError(problem)
        return self

    def _problem_of_lbfgs(self) -> str | None:
        optimizer, penalty = self.optimizer, self.loss.regularization
        if not isinstance(optimizer, LBFGSOptimizer):
            return None
        if self.data.batch_size != "full":
            return f"optimizer.name: lbfgs needs data.batch_size: full, not {self.data.batch_size}"
        if optimizer.schedule != ConstantSchedule(name="constant"):
            return (
                f"optimizer.schedule.name: {optimizer.schedule.name}: the line search of lbfgs chooses "
                "each step size; leave the schedule out"
            )
        if optimizer.clip_norm is not None:
            return "optimizer.clip_norm: a line search needs the whole gradient; leave it out"
        if penalty.name in ("l1", "elastic_net") and penalty.strength > 0:
            return (
                f"optimizer.name: lbfgs needs a differentiable objective, not {penalty.name}; "
                "use sgd with regularization.proximal: true"
            )
        return None

    def _problem_of_parts(self) -> str | None:
        optimizer, data, training = self.optimizer, self.data, self.training
        if self.loss.regularization.proximal and not (
            isinstance(optimizer, SGDOptimizer) and optimizer.momentum == 0
        ):
            # With momentum μ the fixed point of "step, then shrink by ηλ" solves another problem:
            # |g| ≤ (1−μ)λ in place of |g| ≤ λ.
            return (
                "loss.regularization.proximal: true needs optimizer.name: sgd with momentum: 0, since the "
                "proximal step belongs to plain gradient descent"
            )
        if optimizer.schedule.warmup_epochs > training.epochs:
            return (
                f"optimizer.schedule.warmup_epochs: {optimizer.schedule.warmup_epochs:g} is longer than "
                f"training.epochs: {training.epochs}"
            )
        if training.test_time_augmentation != "none" and not isinstance(data, ImageSection):
            return (
                f"training.test_time_augmentation: {training.test_time_augmentation} is for images, and "
                f"data.name: {data.name} has none; leave it out"
            )
        if self.model.start is not None and self.experiment not in ONE_TRAINING:
            return (
                f"model.start: is for the experiments {' and '.join(ONE_TRAINING)}, which are one training; "
                f"experiment: {self.experiment} makes starts of its own"
            )
        weights = getattr(self.loss, "class_weights", None)
        if weights is not None and self.experiment not in WITH_CLASS_WEIGHTS:
            return (
                f"loss.class_weights: experiment: {self.experiment} is about the loss without them; allowed "
                f"for: {', '.join(WITH_CLASS_WEIGHTS)}"
            )
        numbers = isinstance(data, Regression1dData) or getattr(data, "task", "") == "regression"
        if numbers and self.loss.name != "squared_error":
            return numbers_for(self.loss.name, data.name)
        return None
