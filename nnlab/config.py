"""YAML in, checked sections out: loading, overriding, explaining what is wrong.

A config is one YAML mapping. Its key `experiment` chooses the class that it must fit; the sections that
experiments share (data, model, loss, optimizer, training) are defined here. Nothing in this file imports
torch, and nothing below the builders sees these objects.
"""

import copy
import math
import os
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    PlainValidator,
    PositiveFloat,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from nnlab.errors import ConfigError, InputError, suggest
from nnlab.safe_yaml import MAX_DEPTH, Loader, load

# --- sections ---------------------------------------------------------------------------------------


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
    """What every data set has. Fractions are of the examples; 0 holds nothing out for validation."""

    batch_size: BatchSize = 64
    validation: float = Field(0.1, ge=0, lt=1)
    split_seed: Seed = 0
    standardize: bool = True


class AugmentationSection(Section):
    """Random changes of the training images, drawn anew every epoch. Other images are never changed."""

    flip: Literal["none", "random", "alternating"] = Field(
        "none", description="left to right: a coin each epoch, or one coin and then every other epoch"
    )
    crop: int = Field(0, ge=0, le=64, description="a window moved by at most so many pixels, reflected")
    cutout: int = Field(0, ge=0, le=1024, description="side of a square that is set to the mean colour")


class ImageSection(DataSection):
    """Images. `shuffle_pixels` moves the pixels of all by one permutation, drawn from `split_seed`."""

    shuffle_pixels: bool = False
    augmentation: AugmentationSection = AugmentationSection()


class DigitsData(ImageSection):
    """scikit-learn's 1,797 handwritten digits, 8 × 8 grey pixels, 10 classes."""

    name: Literal["digits"]
    test: float = Field(0.2, gt=0, lt=1)


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
    skip_unreadable: bool = Field(False, description="count files that cannot be read, and go on")


class CsvData(DataSection):
    """A table with a header line: `target` names one column, every other column is a number."""

    name: Literal["csv"]
    path: PathText
    target: str
    task: Literal["classification", "regression"] = "classification"
    test: float = Field(0.2, gt=0, lt=1)


class SyntheticData(DataSection):
    """Points drawn with `split_seed`: `examples` for training, as many again for the test."""

    examples: Count = 400


class XorData(SyntheticData):
    """The corners (±1, ±1), class 1 where the signs differ, plus Gaussian noise."""

    name: Literal["xor"]
    noise: NonNegativeFloat = 0.2


class TwoMoonsData(SyntheticData):
    """Two half circles that reach into each other, plus Gaussian noise."""

    name: Literal["two_moons"]
    noise: NonNegativeFloat = 0.15


class SpiralsData(SyntheticData):
    """`classes` arms of a spiral, plus Gaussian noise."""

    name: Literal["spirals"]
    classes: int = Field(2, ge=2, le=1000)
    turns: PositiveFloat = 1.5
    noise: NonNegativeFloat = 0.05


class BlobsData(SyntheticData):
    """`classes` Gaussian clouds of standard deviation `spread`, centres on a circle of radius `radius`."""

    name: Literal["blobs"]
    classes: int = Field(3, ge=2, le=1000)
    radius: PositiveFloat = 3.0
    spread: PositiveFloat = 1.0


class Regression1dData(SyntheticData):
    """A function on [−1, 1] seen through Gaussian noise; the test targets are without noise."""

    name: Literal["regression_1d"]
    function: Literal["sine", "step", "abs", "cubic"] = "sine"
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


class MLPModel(Section):
    """Fully connected layers: `hidden: []` is Wx + b, `[H]` two layers, `[H1, H2]` three."""

    name: Literal["mlp"]
    hidden: list[Count] = []
    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    parameterization: Literal["standard", "ntk"] = "standard"
    sigma_w: PositiveFloat | None = None
    sigma_b: NonNegativeFloat | None = None


class CNNModel(Section):
    """Blocks of convolution, activation and 2 × 2 max-pooling, then one linear layer."""

    name: Literal["cnn"]
    channels: list[Count] = Field([16, 32], min_length=1)
    kernel: int = Field(3, ge=1, le=64, description="side of a filter, in pixels")
    padding: int | None = Field(None, ge=0, le=64, description="zeros around a map; left out, (kernel − 1)/2")
    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    batch_norm: bool = False
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the last maps' values that is set to 0")

    @model_validator(mode="after")
    def _padding_keeps_the_size_of_odd_kernels_only(self) -> "CNNModel":
        if self.padding is None and self.kernel % 2 == 0:
            raise ValueError(
                f"kernel: {self.kernel} is even, and no padding keeps a map's size then; give one beside it, "
                f"such as padding: {self.kernel // 2}"
            )
        return self


class SpeedCNNModel(Section):
    """Made to be trained fast: whitened patches, three blocks of two convolutions, a scaled head."""

    name: Literal["speed_cnn"]
    channels: list[Count] = Field([64, 256, 256], min_length=3, max_length=3)


def _factory(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError("must be written as package.module:function")
    return value


class CustomModel(Section):
    """Your own: `factory(input_shape, outputs, **arguments)` returns a torch module."""

    name: Literal["custom"]
    factory: Annotated[str, AfterValidator(_factory)]
    arguments: dict[str, JsonValue] = {}


Model = Annotated[MLPModel | CNNModel | SpeedCNNModel | CustomModel, Field(discriminator="name")]


class Regularization(Section):
    """λ R(W) on weight matrices, never on biases: ΣW², Σ|W|, or Σ βW² + |W|."""

    name: Literal["none", "l2", "l1", "elastic_net"] = "none"
    strength: float = Field(0.0, ge=0, le=1e30)
    beta: NonNegativeFloat = 1.0
    proximal: bool = False

    @model_validator(mode="after")
    def _proximal_is_for_kinks(self) -> "Regularization":
        if self.proximal and self.name not in ("l1", "elastic_net"):
            raise ValueError(f"proximal: true is for l1 and elastic_net, not for {self.name}")
        return self


class CrossEntropyLoss(Section):
    name: Literal["cross_entropy"]
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    regularization: Regularization = Regularization()


class KLLoss(Section):
    name: Literal["kl"]
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    regularization: Regularization = Regularization()


class SquaredErrorLoss(Section):
    """`sum` is ½Σ‖y−ȳ‖², `mean` is (1/2N)Σ‖y−ȳ‖²; class labels become one-hot targets."""

    name: Literal["squared_error"]
    reduction: Literal["sum", "mean"] = "mean"
    regularization: Regularization = Regularization()


Loss = Annotated[CrossEntropyLoss | KLLoss | SquaredErrorLoss, Field(discriminator="name")]


class ConstantSchedule(Section):
    name: Literal["constant"]
    warmup_epochs: NonNegativeFloat = 0.0


class DecaySchedule(Section):
    """From `lr` down to `final` × `lr` at the last step, along a half cosine or a line."""

    name: Literal["cosine", "linear"]
    warmup_epochs: NonNegativeFloat = 0.0
    final: float = Field(0.0, ge=0, le=1)


class StepSchedule(Section):
    """`lr` times `factor` after every `every_epochs` epochs."""

    name: Literal["step"]
    warmup_epochs: NonNegativeFloat = 0.0
    every_epochs: Count = 10
    factor: float = Field(0.1, gt=0, le=1)


Schedule = Annotated[ConstantSchedule | DecaySchedule | StepSchedule, Field(discriminator="name")]


class OptimizerSection(Section):
    lr: StepSize
    clip_norm: PositiveFloat | None = None
    schedule: Schedule = ConstantSchedule(name="constant")


class SGDOptimizer(OptimizerSection):
    """W ← W − s∇L(W), with momentum or Nesterov's momentum where asked for."""

    name: Literal["sgd"]
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGDOptimizer":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs a momentum above 0")
        return self


class AdamOptimizer(OptimizerSection):
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
    unit_filters: bool = Field(False, description="filters keep the norm √maps, for those before batch norm")
    other_lr: StepSize = Field(0.01, description="step size of what is no matrix")
    other_momentum: float | None = Field(None, ge=0, lt=1, description="left out, momentum")
    other_decay: float = Field(0.0, ge=0, lt=1, description="share of these lost in a step of full size")
    head_lr: StepSize | None = Field(None, description="the last layer by SGD with this step size")


class LBFGSOptimizer(OptimizerSection):
    """Full-batch quasi-Newton with strong Wolfe line search; an epoch is `iterations` inner steps."""

    name: Literal["lbfgs"]
    lr: StepSize = 1.0
    history: Count = 20
    iterations: Count = 20


Optimizer = Annotated[
    SGDOptimizer | AdamOptimizer | AdamWOptimizer | MuonOptimizer | LBFGSOptimizer,
    Field(discriminator="name"),
]


class Hardware(Section):
    """Where something runs, and in what numbers."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "bfloat16", "float64"] = "float32"

    @model_validator(mode="after")
    def _mps_has_no_float64(self) -> "Hardware":
        if self.device == "mps" and self.precision == "float64":
            raise ValueError("precision: float64 does not exist on device: mps; use device: cpu")
        return self


class Training(Hardware):
    epochs: Count = 30
    compile: bool = False
    micro_batch: Count | None = Field(
        None, description="examples at a time within a step; batch norm counts these alone"
    )
    test_time_augmentation: Literal["none", "mirror", "mirror_and_shift"] = Field(
        "none", description="a second column of accuracies, from scores averaged over changed images"
    )
    patience: Count | None = Field(None, description="early stopping: epochs without a better one")
    evaluate_every: Count = Field(1, description="epochs between two looks at the validation set")
    checkpoint_seconds: NonNegativeFloat = 15.0


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be text on one line, without control characters")
    return value


class Experiment(Section):
    """What every experiment has. `name` labels the run; left out, the config file's name does."""

    experiment: str
    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)] | None = None
    seed: Seed = 0


class TrainingExperiment(Experiment):
    """An experiment that trains one model on one data set."""

    data: Data
    model: Model
    loss: Loss = CrossEntropyLoss(name="cross_entropy")
    optimizer: Optimizer = SGDOptimizer(name="sgd", lr=0.1)
    training: Training = Training()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "TrainingExperiment":
        optimizer, penalty = self.optimizer, self.loss.regularization
        if isinstance(optimizer, LBFGSOptimizer):
            if self.data.batch_size != "full":
                raise ValueError(
                    f"optimizer.name: lbfgs needs data.batch_size: full, not {self.data.batch_size}"
                )
            if optimizer.schedule != ConstantSchedule(name="constant"):
                raise ValueError(
                    f"optimizer.schedule.name: {optimizer.schedule.name}: the line search of lbfgs chooses "
                    "each step size; leave the schedule out"
                )
            if optimizer.clip_norm is not None:
                raise ValueError("optimizer.clip_norm: a line search needs the whole gradient; leave it out")
            if penalty.name in ("l1", "elastic_net") and penalty.strength > 0:
                raise ValueError(
                    f"optimizer.name: lbfgs needs a differentiable objective, not {penalty.name}; "
                    "use sgd with regularization.proximal: true"
                )
        plain = isinstance(optimizer, SGDOptimizer) and optimizer.momentum == 0
        if penalty.proximal and not plain:
            # With momentum μ the fixed point of "step, then shrink by ηλ" solves another problem:
            # |g| ≤ (1−μ)λ in place of |g| ≤ λ.
            raise ValueError(
                "loss.regularization.proximal: true needs optimizer.name: sgd with momentum: 0, since the "
                "proximal step belongs to plain gradient descent"
            )
        if isinstance(optimizer.schedule, StepSchedule | DecaySchedule | ConstantSchedule) and (
            optimizer.schedule.warmup_epochs > self.training.epochs
        ):
            raise ValueError(
                f"optimizer.schedule.warmup_epochs: {optimizer.schedule.warmup_epochs:g} is longer than "
                f"training.epochs: {self.training.epochs}"
            )
        seen = self.training.test_time_augmentation
        if seen != "none" and not isinstance(self.data, ImageSection):
            raise ValueError(
                f"training.test_time_augmentation: {seen} is for images, and data.name: {self.data.name} has "
                "none; leave it out"
            )
        if isinstance(self.data, Regression1dData) and self.loss.name != "squared_error":
            raise ValueError(f"data.name: regression_1d needs loss.name: squared_error, not {self.loss.name}")
        return self


# --- reading YAML -----------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """SafeDumper that puts text in quotes where any reader would take a number: 1e5, 010, 1:30."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - a table of PyYAML's class
        first: [*pairs, *yaml.SafeDumper.yaml_implicit_resolvers.get(first, [])]
        for first, pairs in Loader.yaml_implicit_resolvers.items()
    }


def _dumped(value: object, **options: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, **options)
    return text


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text, by the safe loader. Raises ConfigError with file and line."""
    try:
        return load(text, where)
    except InputError as error:
        raise ConfigError(str(error)) from None


@dataclass
class Source:
    """A config on its way to being checked: its values, and where each of them came from."""

    where: str
    text: str
    values: dict[str, Any]
    overrides: dict[tuple[str, ...], str] = field(default_factory=dict)

    def origin(self, path: tuple[str | int, ...]) -> str:
        """`FILE, line N` or `--set KEY=VALUE`, for the value at `path`."""
        for length in range(len(path), 0, -1):
            key = tuple(str(part) for part in path[:length])
            if key in self.overrides:
                return self.overrides[key]
        below = [o for key, o in self.overrides.items() if key[: len(path)] == tuple(map(str, path))]
        if below and _line_of(self.text, path[:1]) is None:
            return below[0]  # the flag that made the mapping
        line = _line_of(self.text, path)
        return f"{self.where}, line {line}" if line else self.where

    def override(self, path: tuple[str, ...], value: Any, origin: str) -> None:
        """Puts `value` at `path`, making the mappings on the way where there are none."""
        here = self.values
        for depth, part in enumerate(path[:-1]):
            below = here.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(
                    f"{origin}: {'.'.join(path[: depth + 1])} is {_shown(below)}, which has no keys below it"
                )
            here = below
        here[path[-1]] = value
        self.overrides[path] = origin


def _line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError:
        return None
    line: int | None = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                return line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def configs_folder() -> Path:
    """Where the shipped configs are: inside the wheel, or at the top of the repository."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def shipped_configs() -> dict[str, Path]:
    """The configs that come with nnlab, by name."""
    return {path.stem: path for path in sorted(configs_folder().glob("*.yaml"))}


def read_source(config: str) -> Source:
    """Reads a config by its file's path or by the name of a shipped one."""
    path = Path(config)
    if not os.path.isfile(path):  # unlike Path.is_file, it takes a name that is too long
        shipped = shipped_configs()
        if path.suffix in (".yaml", ".yml") or "/" in config or os.path.isdir(path):
            if not os.path.exists(path) and path.stem in shipped:
                hint = f"; a config of that name is shipped: --config {path.stem}"
            else:
                hint = "; `nnlab configs list` shows the shipped ones"
            problem = "is a folder, not a config file" if os.path.isdir(path) else "no such file"
            raise ConfigError(f"--config {_short(config)}: {problem}{hint}")
        if config not in shipped:
            raise ConfigError(
                f"--config {_short(config)}: no file and no shipped config of that name; "
                f"{suggest(config, shipped)}"
            )
        path = shipped[config]
    return source_from_file(path)


def source_from_file(path: Path) -> Source:
    """Reads the YAML mapping in `path`. Raises ConfigError where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file: {error}") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: a config is a mapping (`key: value` lines), but this file holds {_shown(values)}"
        )
    return Source(where=str(path), text=text, values=values)


def apply_sets(source: Source, sets: Sequence[str]) -> None:
    """Applies every `--set KEY=VALUE`; KEY is dotted (model.hidden), VALUE is YAML ([64, 64])."""
    for item in sets:
        key, equals, value = item.partition("=")
        path = tuple(key.strip().split("."))
        origin = f"--set {_short(item)}"
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            raise ConfigError(f"{origin}: write it as KEY=VALUE, such as --set optimizer.lr=0.05")
        source.override(path, parse_yaml(value, origin), origin)


# --- checking ---------------------------------------------------------------------------------------


def check(source: Source, experiments: Mapping[str, type[Experiment]]) -> Experiment:
    """The checked config of `source`.

    Args:
        source: the values, from a file and from flags.
        experiments: the config class of each experiment, by the value of the key `experiment`.

    Raises:
        ConfigError: naming the file, the line or flag, the key, the value and what is allowed.
    """
    name = source.values.get("experiment")
    if name is None:
        raise ConfigError(f"{source.where}: the key experiment is missing. Allowed: {', '.join(experiments)}")
    if not isinstance(name, str) or name not in experiments:
        raise ConfigError(
            f"{source.origin(('experiment',))}: experiment: {_shown(name)} is unknown; "
            f"{suggest(str(name), experiments)}"
        )
    cls = experiments[name]
    try:
        return cls.model_validate(copy.deepcopy(source.values))
    except ValidationError as error:
        messages = [_explain(dict(e), source, cls) for e in error.errors(include_url=False)]
        raise ConfigError("\n".join(dict.fromkeys(messages))) from None


def _explain(error: dict[str, Any], source: Source, cls: type[BaseModel]) -> str:
    """One line for one pydantic error."""
    path = _without_tags(error["loc"], source.values, missing=error["type"] == "missing")
    key, kind, ctx = ".".join(map(str, path)), error["type"], error.get("ctx", {})
    where, value = source.origin(path), _shown(error["input"])
    if kind == "extra_forbidden":
        allowed = _keys_at(cls, source.values, path[:-1])
        return f"{where}: unknown key {key} (value {value}); {suggest(str(path[-1]), allowed)}"
    if kind == "missing":
        return f"{where}: the key {key} is missing; it has no default"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        names = _tags_at(cls, source.values, path)
        if kind == "union_tag_not_found":
            return f"{where}: {key} must be a mapping with a key name. Names: {', '.join(names)}"
        tag, where = _shown(error["input"].get("name")), source.origin((*path, "name"))
        return f"{where}: {key}.name: {tag} is unknown; {suggest(tag, names)}"
    if kind in ("model_attributes_type", "model_type"):
        return f"{where}: {key}: {value} must be a mapping (`key: value` lines)"
    if kind == "invalid-json-value":
        return f"{where}: {key}: {value} must be text, a number, true, false, a list or a mapping"
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in ctx["expected"].replace(" or ", ", ").split(",")]
        return f"{where}: {key}: {value} is not allowed; {suggest(str(error['input']), allowed)}"
    if kind == "value_error":
        problem = str(ctx["error"])
        inner = re.match(r"[a-z_0-9.]+(?=:)", problem)  # a section's check names the key that is at fault
        if inner is None:
            return f"{where}: {key}: {value} {problem}"
        where = source.origin((*path, *inner.group().split(".")))
        return f"{where}: {key + '.' if key else ''}{problem}"
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return f"{where}: the key {value} is not a word; put it in quotes if it is meant as one"
    problem = re.sub(r"^\w+ should", "must", error["msg"]).replace(" after validation", "")
    return f"{where}: {key}: {value} {problem}"


_NOTHING = object()


def _below(values: object, part: str | int) -> object:
    """What stands under a key or at an index; _NOTHING where there is no such place."""
    if isinstance(values, dict):
        return values.get(part, _NOTHING)
    if isinstance(values, list) and isinstance(part, int) and part < len(values):
        return values[part]
    return _NOTHING


def _without_tags(loc: tuple[str | int, ...], values: object, *, missing: bool) -> tuple[str | int, ...]:
    """pydantic puts the chosen `name` of a section into the path; a reader does not want it there."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        below = _below(values, part)
        if below is not _NOTHING:
            path.append(part)
            values = below
        elif missing and position == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _sections(annotation: object) -> list[type[BaseModel]]:
    """The section classes that an annotation names, through unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [cls for part in typing.get_args(annotation) for cls in _sections(part)]


def _names(cls: type[BaseModel]) -> list[str]:
    found = cls.model_fields.get("name")
    return [str(n) for n in typing.get_args(found.annotation)] if found else []


def _candidates(
    cls: type[BaseModel], values: object, path: Sequence[str | int]
) -> tuple[list[type[BaseModel]], object]:
    """The classes that the value at `path` might have to fit, and that value."""
    classes = [cls]
    for part in path:
        values = values.get(str(part)) if isinstance(values, dict) else None
        found = [c.model_fields[str(part)] for c in classes if str(part) in c.model_fields]
        classes = [s for f in found for s in _sections(f.annotation)]
        if isinstance(values, dict) and len(classes) > 1:
            classes = [c for c in classes if values.get("name") in _names(c)] or classes
    return classes, values


def _keys_at(cls: type[BaseModel], values: object, path: Sequence[str | int]) -> list[str]:
    classes, _ = _candidates(cls, values, path)
    return sorted({key for c in classes for key in c.model_fields})


def _tags_at(cls: type[BaseModel], values: object, path: Sequence[str | int]) -> list[str]:
    classes, _ = _candidates(cls, values, path)
    return sorted({name for c in classes for name in _names(c)})


def _shown(value: object) -> str:
    """A value as one would write it in YAML, short enough for a message."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if value is None:
        return "nothing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = _dumped(value, default_flow_style=True, width=10**6) if _plain(value) else str(value)
    return _short(text.replace("\n...\n", ""))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list | dict)


# --- writing ----------------------------------------------------------------------------------------


def to_yaml(config: Experiment) -> str:
    """The config with every default written out: loading it again gives an equal one."""
    return _dumped(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema(experiments: Mapping[str, type[Experiment]]) -> dict[str, Any]:
    """A JSON schema over all experiments, for editors that complete and check YAML."""
    union: Any = typing.Union[tuple(experiments.values())]  # noqa: UP007
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[union, Field(discriminator="experiment")])
    schema = adapter.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nnlab config", **schema}
