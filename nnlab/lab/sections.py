"""The sections of a config that experiments share: data, model, loss, optimizer, training.

Nothing here imports torch, and nothing below the builders (`nnlab.lab.build`) sees these objects."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    PlainValidator,
    PositiveFloat,
    WithJsonSchema,
    model_validator,
)

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
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
StepSize = Annotated[float, Field(gt=0, le=1e30)]  # float32 ends at 3.4e38, and a step may multiply it


def _path(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a zero byte, which no path may")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home folder of a user that this machine does not know") from None
    return value


PathText = Annotated[str, Field(min_length=1), AfterValidator(_path)]


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


class ImageFolderData(ImageSection):
    """`root/train/CLASS/*.png|jpg` and `root/test/CLASS/*.png|jpg`, all of one size."""

    name: Literal["image_folder"]
    root: PathText | None = None
    channels: Literal[1, 3] = 3
    skip_unreadable: bool = Field(False, description="skip unreadable files; their number is reported")


class CsvData(DataSection):
    """A table with a header line: `target` names one column, every other column is a number."""

    name: Literal["csv"]
    path: PathText
    target: str
    task: Literal["classification", "regression"] = "classification"
    test: float = Field(0.2, gt=0, lt=1, description="fraction of the examples held out for the test")


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
    function: FunctionName = "sine"
    examples: Count = 40
    noise: NonNegativeFloat = 0.1


Data = Annotated[
    DigitsData
    | TorchvisionData
    | ImageFolderData
    | CsvData
    | XorData
    | TwoMoonsData
    | SpiralsData
    | BlobsData
    | Regression1dData,
    Field(discriminator="name"),
]

ActivationName = Literal["sigmoid", "tanh", "relu", "leaky_relu", "maxout", "elu", "gelu", "erf", "ripple"]
StepName = Literal["sigmoid", "tanh", "ripple"]
"""The rows of `nnlab.models.activations`, and those of them with a step; a test compares them."""


class MLPModel(Section):
    """Fully connected layers: `hidden: []` is Wx + b, `[H]` two layers, `[H1, H2]` three."""

    name: Literal["mlp"]
    hidden: list[Count] = []
    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    parameterization: Literal["standard", "ntk"] = Field(
        "standard",
        description="where the factor 1/√fan-in stands: in the initial weights, or in the forward pass",
    )
    sigma_w: PositiveFloat | None = Field(
        None, description="standard deviation of √fan-in times a weight; left out, the activation's gain"
    )
    sigma_b: NonNegativeFloat | None = Field(
        None, description="standard deviation of a bias; left out, 0, or 0.1 in the ntk parameterization"
    )


class CNNModel(Section):
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


class SpeedCNNModel(Section):
    """A CNN for fast training: whitened patches, three blocks of two convolutions, a scaled head."""

    name: Literal["speed_cnn"]
    channels: list[Count] = Field([64, 256, 256], min_length=3, max_length=3)


def _factory(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError("must be written as package.module:function")
    return value


class CustomModel(Section):
    """Your own model: `factory(input_shape, outputs, **arguments)` returns a torch module."""

    name: Literal["custom"]
    factory: Annotated[str, AfterValidator(_factory)]
    arguments: dict[str, JsonValue] = {}


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

    def run(self, record: "Record", session: "Session") -> "Outcome":
        """Runs the experiment into the run folder of `record`; each experiment has its own.

        Raises:
            InputError: the config asks for what cannot be done; nothing has been written yet.
            ExperimentError: the experiment itself failed.
        """
        raise NotImplementedError(self.experiment)


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
        if isinstance(data, Regression1dData) and self.loss.name != "squared_error":
            return f"data.name: regression_1d needs loss.name: squared_error, not {self.loss.name}"
        return None
