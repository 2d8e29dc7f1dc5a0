"""The training of a config's model: the part that every training experiment shares."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nnlab.data import DataSet
from nnlab.data.table.names import Names
from nnlab.errors import ExperimentError, InputError, suggest
from nnlab.lab.build import build_model
from nnlab.lab.forecast import forecasting
from nnlab.lab.sections import (
    LBFGSOptimizer,
    MLPModel,
    SGDOptimizer,
    StepSchedule,
    TrainingExperiment,
    numbers_for,
)
from nnlab.lab.session import Session, dtype_of, generator
from nnlab.lab.start import begin_from
from nnlab.models import layer_multipliers
from nnlab.record import Record
from nnlab.training import (
    Checkpoints,
    FitResult,
    Loss,
    Parts,
    Settings,
    build_loss,
    build_optimizer,
    build_penalty,
    fit,
    schedule,
)
from nnlab.training.batch_norm import refuse_batches_of_one, refuse_evaluations_of_one
from nnlab.training.capacity import fits_in_memory, largest_batch, out_of_memory
from nnlab.training.losses import balanced_weights, example_weights, mean_one
from nnlab.training.optimizers import Schedule
from nnlab.training.precision import choose, computes_bfloat16, emulation_warning
from nnlab.training.theory import softmax_step_bound
from nnlab.training.trainer import Step

START_EXAMPLES = 5000
"""Training examples that the start of a model may depend on."""

C = TypeVar("C", bound=TrainingExperiment)


def build_parts(config: TrainingExperiment, session: Session) -> Parts:
    """Builds data, model, loss, regularizer and optimizer; every error in the input comes up here."""
    data = session.data(config.data, config.training)
    if data.task == "regression" and config.loss.name != "squared_error":
        raise InputError(numbers_for(config.loss.name, config.data.name))
    model = build_model(
        config.model,
        input_shape=data.input_shape,
        outputs=data.outputs,
        generator=generator(config.seed, "weights"),
        examples=data.normalize(data.train.inputs[:START_EXAMPLES]),
        allow_custom_code=session.allow_custom_code,
    )
    model = model.to(device=data.train.inputs.device, dtype=dtype_of(config.training))
    _refuse_what_fails_late(config, model, data, session)
    begin_from(config, model, data, session)
    # Dropout draws from torch's own generator: in every process other numbers, as for other examples.
    rank = session.world.rank
    torch.manual_seed(generator(config.seed, f"process {rank}").initial_seed() if rank else config.seed)
    return Parts(
        model,
        data,
        loss=loss_of(config, data),
        optimizer=build_optimizer(
            model=model, **config.optimizer.model_dump(exclude={"clip_norm", "schedule"})
        ),
        penalty=build_penalty(**config.loss.regularization.model_dump()),
        schedule=_schedule(config, len(data.train)),
    )


def _refuse_what_fails_late(
    config: TrainingExperiment, model: nn.Module, data: DataSet, session: Session
) -> None:
    """Raises InputError for what would end a training in its last batch, or never let it stop early."""
    examples, size, training = len(data.train), config.data.batch_size, config.training
    if training.patience is not None and data.validation is None:
        raise InputError(
            f"training.patience: {training.patience} stops where validation gets no better, but no example "
            "is held out for it; use --set data.validation=0.1, or leave patience out"
        )
    example = data.normalize(data.train.inputs[:1])
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    sizes = {name: len(split) for name, split in splits.items() if split is not None}
    refuse_evaluations_of_one(model, example, sizes)
    refuse_batches_of_one(
        model,
        example,
        examples=examples,
        batch_size=size,
        micro_batch=training.micro_batch,
        processes=session.world.size,
    )
    for sentence in _without_effect(config, examples):
        session.mention(sentence)


def _without_effect(config: TrainingExperiment, examples: int) -> Iterator[str]:
    """Sentences about settings that change nothing in a training on so many examples."""
    size, training, steps = config.data.batch_size, config.training, config.optimizer.schedule
    if size != "full" and size > examples:
        yield f"data.batch_size: {size:,} is more than the {examples:,} training examples: a step takes all"
    if training.patience is not None and training.evaluate_every >= training.epochs > 1:
        yield (
            f"training.patience: {training.patience} has no effect, since training.evaluate_every: "
            f"{training.evaluate_every} validates after the last of {training.epochs} epochs alone"
        )
    if isinstance(steps, StepSchedule) and steps.every_epochs >= training.epochs:
        yield (
            f"optimizer.schedule.every_epochs: {steps.every_epochs}: in training.epochs: {training.epochs} "
            "the step size never falls"
        )
    if steps.warmup_epochs > 0 and round(steps.warmup_epochs * _steps_per_epoch(config, examples)) == 0:
        yield f"optimizer.schedule.warmup_epochs: {steps.warmup_epochs:g} is no step: there is no warm-up"


def loss_of(config: TrainingExperiment, data: DataSet) -> Loss:
    """The loss of a config, without its regularizer; class weights are those of the training split."""
    own = config.loss.model_dump(exclude={"regularization", "class_weights"})
    wanted = getattr(config.loss, "class_weights", None)
    if wanted is None:
        return build_loss(**own)
    sizes = data.class_sizes
    if sizes is None:
        sizes = torch.bincount(data.train.targets, minlength=data.outputs).cpu()
    weights = balanced_weights(sizes) if wanted == "balanced" else mean_one(_own(wanted, data), sizes)
    return build_loss(**own, class_weights=weights.to(data.train.inputs.device, data.dtype))


def _own(wanted: list[float] | dict[str, float], data: DataSet) -> Tensor:
    """The weights of a config by class, (C,) float64."""
    names = data.class_names
    if isinstance(wanted, list):
        if len(wanted) != len(names):
            raise InputError(
                f"loss.class_weights: has {len(wanted)} numbers, but data.name: {data.name} has {len(names)} "
                f"classes: {', '.join(names[:20])}"
            )
        return torch.tensor(wanted, dtype=torch.float64)
    weights, known = torch.ones(len(names), dtype=torch.float64), Names(names)
    for name, weight in wanted.items():  # which may say 1 where the class is 1.0
        position = names.index(name) if name in names else known.position(name)
        if position is None:
            raise InputError(f"loss.class_weights: {name} is no class of the data; {suggest(name, names)}")
        weights[position] = weight
    return weights


def settings_of(config: TrainingExperiment) -> Settings:
    """The settings of a training: the keys of `training`, and those of other sections that fit() reads."""
    training = config.training.model_dump(exclude={"device", "precision", "checkpoint_seconds"})
    return Settings(batch_size=config.data.batch_size, clip_norm=config.optimizer.clip_norm, **training)


def _steps_per_epoch(config: TrainingExperiment, examples: int) -> int:
    size = config.data.batch_size
    return 1 if size == "full" else math.ceil(examples / int(size))


def _schedule(config: TrainingExperiment, examples: int) -> Schedule | None:
    section = config.optimizer.schedule
    if section.name == "constant" and section.warmup_epochs == 0:
        return None
    steps = _steps_per_epoch(config, examples)
    own = section.model_dump(exclude={"name", "warmup_epochs", "every_epochs"})  # final, or factor
    if isinstance(section, StepSchedule):
        own["every"] = section.every_epochs * steps
    total, warmup = steps * config.training.epochs, round(section.warmup_epochs * steps)
    return schedule(section.name, total=total, warmup=warmup, **own)


def train(
    config: TrainingExperiment,
    parts: Parts,
    record: Record | None,
    session: Session,
    *,
    part: str | None = None,
    observe: Callable[[nn.Module], dict[str, float]] | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> FitResult:
    """fit() with the config's settings; its rows go to the record, its progress to the screen.

    Args:
        record: None in a process that only helps the first one.
        part: names one of several trainings of a run: in its rows, and as its folder of checkpoints.
        log: takes the rows where there is no record.

    Raises:
        ExperimentError: memory ran out; the message says how large a batch has enough of it.
    """
    hooks: dict[str, Any] = {"observe": observe, "stop": session.stop, "world": session.world}
    if log is not None:
        hooks["log"] = log
    if record is not None:
        label = {} if part is None else {"part": part}
        hooks["log"] = lambda row: record.log(label | row)
        folder = record.folder / "checkpoints"
        hooks["checkpoints"] = Checkpoints(
            folder / part if part else folder, record.metrics, config.training.checkpoint_seconds
        )
    order = generator(config.seed, "order")
    settle_precision(config, parts, record, session)
    try:
        with session.reporter.bar(part or "training") as bar:
            advance = forecasting(bar, session.reporter.say, config, parts.data.train.inputs.device)
            return fit(parts, settings_of(config), generator=order, progress=advance, **hooks)
    except (RuntimeError, MemoryError) as error:
        reason = out_of_memory(error)
        if reason is None:
            raise
    # Only after the except clause, where the error's frames are gone, is the memory of the step free again.
    raise ExperimentError(_what_fits(config, parts, session, reason))


def settle_precision(
    config: TrainingExperiment, parts: Parts, record: Record | None, session: Session
) -> None:
    """Gives the parts the number format of the run, the same in all its trainings and after every resume.

    Args:
        record: whose summary keeps what `auto` has become; None in a process that only helps the first one.
    """
    wanted = config.training.precision
    device = parts.data.train.inputs.device
    if wanted == "auto":
        before = None if record is None else record.summary.get("precision")
        if before is None and session.world.is_first:
            choice = choose(parts, settings_of(config))
            before = choice.precision
            if before == "bfloat16":
                session.reporter.say(f"computes in bfloat16: {choice.reason}")
        parts.precision = session.world.from_first(before)
    else:
        parts.precision = wanted
        if wanted == "bfloat16" and session.world.is_first and not computes_bfloat16(device):
            session.reporter.say(emulation_warning(device))
    if record is not None and record.summary.get("precision") != parts.precision:
        record.write_summary(precision=parts.precision)


def _what_fits(config: TrainingExperiment, parts: Parts, session: Session, reason: str) -> str:
    """The message after memory ran out: the batch that was too large, and one that is not."""
    train, device = parts.data.train, parts.data.train.inputs.device
    step = Step(parts, replace(settings_of(config), micro_batch=None))

    def attempt(examples: int) -> None:
        step(parts.data.normalize(train.inputs[:examples]), train.targets[:examples])

    processes = session.world.size
    size = config.data.batch_size
    batch = len(train) if size == "full" else min(len(train), size)
    at_once = min(math.ceil(batch / processes), config.training.micro_batch or batch)
    parts.model.train()
    if fits_in_memory(attempt, at_once):
        return (
            f"out of memory on {device}: {reason}. A step on {at_once:,} examples alone has enough of it; "
            "free some, or try a smaller model"
        )
    fitting = largest_batch(attempt, at_once)
    if fitting == 0:
        return f"out of memory on {device}: {reason}. Not even 2 examples at a time fit: try a smaller model"
    total, smaller = fitting * processes, f"--set training.micro_batch={fitting}"
    tried = f"full ({batch:,})" if size == "full" else f"{size}"
    if at_once == config.training.micro_batch:
        each = f" in each of {processes} processes" if processes > 1 else ""
        advice = f"training.micro_batch {at_once:,} does not fit; about {fitting:,} would{each}: {smaller}"
    elif size == "full" and isinstance(config.optimizer, LBFGSOptimizer):
        advice = f"data.batch_size {tried} does not fit at once; about {total:,} would: {smaller}"
    else:
        advice = (
            f"data.batch_size {tried} does not fit; about {total:,} would: --set data.batch_size={total}, "
            f"or, for the same steps in parts, {smaller}"
        )
    return f"out of memory on {device}: {reason}. {advice}"


def vary(config: C, changes: Mapping[str, Any]) -> C:
    """The config with other values at dotted keys, checked again: vary(c, {"optimizer.lr": 0.1})."""
    values = config.model_dump()
    for key, value in changes.items():
        *path, last = key.split(".")
        section = values
        for name in path:
            section = section[name]
        section[last] = value
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(str(e["msg"]) for e in error.errors())
        raise InputError(f"this config cannot be varied to {dict(changes)}: {reasons}") from None


def histories(rows: list[dict[str, Any]], part: str | None = None) -> dict[str, dict[str, list[float]]]:
    """Logged rows as columns: split → metric → values, for one part of the run."""
    columns: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.get("part") != part:
            continue
        split = columns.setdefault(row["split"], {})
        for key, value in row.items():
            if key not in ("split", "part"):
                split.setdefault(key, []).append(math.nan if value is None else value)
    return columns


# --- the step size that guarantees descent ----------------------------------------------------------


@dataclass(frozen=True)
class StepBound:
    """The step size below which descent is guaranteed, and the one that the run takes."""

    bound: float
    lr: float

    @property
    def guaranteed(self) -> bool:
        return self.lr < self.bound

    def sentence(self) -> str:
        if self.guaranteed:
            return f"step size {self.lr:g} < {self.bound:.4g}: every step must lower the objective"
        return (
            f"step size {self.lr:g} ≥ {self.bound:.4g}: no guarantee that every step lowers the objective "
            "(the bound is sufficient, not necessary)"
        )


def design_matrix(parts: Parts) -> Tensor:
    """X of softmax regression (N, d + 1), as the weights see it: with multipliers and column of ones."""
    layer = next(m for m in parts.model.modules() if isinstance(m, nn.Linear))
    c_w, c_b = layer_multipliers(layer)
    x = c_w * parts.data.normalize(parts.data.train.inputs).flatten(1)
    return x if layer.bias is None else torch.cat([x, torch.full_like(x[:, :1], c_b)], 1)


def step_bound(config: TrainingExperiment, parts: Parts) -> StepBound | None:
    """The bound for softmax regression under plain or proximal full-batch gradient descent; else None."""
    optimizer, penalty = config.optimizer, parts.penalty
    applies = (
        isinstance(config.model, MLPModel)
        and not config.model.hidden
        and config.loss.name in ("cross_entropy", "kl")
        and isinstance(optimizer, SGDOptimizer)
        and optimizer.momentum == 0
        and optimizer.clip_norm is None
        and (config.data.batch_size == "full" or config.data.batch_size >= len(parts.data.train))
        and parts.data.augmentation is None  # which makes every epoch another objective
        and config.training.precision != "bfloat16"  # whose rounding hides what a small step descends
    )
    if not applies or (penalty is not None and penalty.absolute and not penalty.proximal):
        return None
    strength = penalty.strength * penalty.quadratic if penalty else 0.0
    features, weights = design_matrix(parts), parts.loss.class_weights
    if weights is not None:  # wᵢ times the curvature of an example is that of √wᵢ xᵢ
        features = features * example_weights(parts.data.train.targets, weights.to(features)).sqrt()[:, None]
    return StepBound(softmax_step_bound(features, strength), optimizer.lr)
