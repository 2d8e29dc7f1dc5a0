"""From a config to a trained model: the part that every training experiment shares."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nnlab.data import DataSet
from nnlab.errors import ExperimentError, InputError
from nnlab.lab.build import build_model
from nnlab.lab.sections import (
    DecaySchedule,
    LBFGSOptimizer,
    MLPModel,
    OptimizerSection,
    SGDOptimizer,
    SquaredErrorLoss,
    StepSchedule,
    TrainingExperiment,
)
from nnlab.lab.session import Session, dtype_of, generator
from nnlab.models import layer_multipliers, weight_matrices
from nnlab.record import Record
from nnlab.training import (
    Checkpoints,
    FitResult,
    Loss,
    Penalty,
    build_loss,
    build_optimizer,
    build_penalty,
    fit,
    schedule,
)
from nnlab.training.capacity import fits_in_memory, largest_batch, out_of_memory
from nnlab.training.losses import softmax_step_bound
from nnlab.training.optimizers import Optimizer, Schedule
from nnlab.training.trainer import Step, autocast

START_EXAMPLES = 5000
"""Training examples that the start of a model may depend on."""

C = TypeVar("C", bound=TrainingExperiment)


@dataclass
class Parts:
    """Everything that a config builds, before anything is trained or written."""

    data: DataSet
    model: nn.Module
    loss: Loss
    penalty: Penalty | None
    optimizer: Optimizer
    schedule: Schedule | None

    @property
    def weights(self) -> list[nn.Parameter]:
        return weight_matrices(self.model)


def build_parts(config: TrainingExperiment, session: Session) -> Parts:
    """Builds data, model, loss, regularizer and optimizer; every error in the input comes up here."""
    data = session.data(config.data, config.training)
    if data.task == "regression" and config.loss.name != "squared_error":
        raise InputError(
            f"loss.name: {config.loss.name} needs class labels, but data.name: {config.data.name} has "
            "number targets; allowed here: squared_error"
        )
    model = build_model(
        config.model,
        input_shape=data.input_shape,
        outputs=data.outputs,
        generator=generator(config.seed, "weights"),
        examples=data.normalize(data.train.inputs[:START_EXAMPLES]),
        allow_custom_code=session.allow_custom_code,
    )
    model = model.to(device=data.train.inputs.device, dtype=dtype_of(config.training))
    # Dropout draws from torch's own generator: in every process other numbers, as for other examples.
    rank = session.world.rank
    torch.manual_seed(generator(config.seed, f"process {rank}").initial_seed() if rank else config.seed)
    penalty = config.loss.regularization
    return Parts(
        data=data,
        model=model,
        loss=loss_of(config),
        penalty=build_penalty(penalty.name, penalty.strength, penalty.beta, proximal=penalty.proximal),
        optimizer=_optimizer(config.optimizer, model),
        schedule=_schedule(config, len(data.train)),
    )


def loss_of(config: TrainingExperiment) -> Loss:
    if isinstance(config.loss, SquaredErrorLoss):
        return build_loss("squared_error", reduction=config.loss.reduction)
    return build_loss(config.loss.name, label_smoothing=config.loss.label_smoothing)


def _optimizer(section: OptimizerSection, model: nn.Module) -> Optimizer:
    arguments = section.model_dump(exclude={"clip_norm", "schedule"})
    return build_optimizer(model=model, **arguments)


def _schedule(config: TrainingExperiment, examples: int) -> Schedule | None:
    section, batch_size = config.optimizer.schedule, config.data.batch_size
    if section.name == "constant" and section.warmup_epochs == 0:
        return None
    steps = 1 if batch_size == "full" else math.ceil(examples / int(batch_size))
    return schedule(
        section.name,
        total=steps * config.training.epochs,
        warmup=round(section.warmup_epochs * steps),
        final=section.final if isinstance(section, DecaySchedule) else 0.0,
        every=section.every_epochs * steps if isinstance(section, StepSchedule) else 1,
        factor=section.factor if isinstance(section, StepSchedule) else 1.0,
    )


def train(
    config: TrainingExperiment,
    parts: Parts,
    record: Record | None,
    session: Session,
    *,
    part: str | None = None,
    observe: Callable[[nn.Module], dict[str, float]] | None = None,
) -> FitResult:
    """fit() with what the config says, its rows in the record, its bar on the screen.

    Args:
        record: None in a process that only helps the first one.
        part: names one of several trainings of a run: in its rows, and as its folder of checkpoints.

    Raises:
        ExperimentError: memory ran out; the message says how large a batch has enough of it.
    """
    try:
        return _fit(config, parts, record, session, part, observe)
    except (RuntimeError, MemoryError) as error:
        reason = out_of_memory(error)
        if reason is None:
            raise
    # Only here, where the error's frames are gone, is the memory of the step that failed free again.
    raise ExperimentError(_what_fits(config, parts, session, reason))


def _fit(
    config: TrainingExperiment,
    parts: Parts,
    record: Record | None,
    session: Session,
    part: str | None,
    observe: Callable[[nn.Module], dict[str, float]] | None,
) -> FitResult:
    label = {} if part is None else {"part": part}
    log, checkpoints = None, None
    if record is not None:
        log = functools.partial(_log, record, label)
        folder = record.folder / "checkpoints"
        checkpoints = Checkpoints(
            folder / part if part else folder, record.metrics, config.training.checkpoint_seconds
        )
    with session.reporter.bar(part or "training") as advance:
        return fit(
            parts.model,
            parts.data,
            loss=parts.loss,
            optimizer=parts.optimizer,
            epochs=config.training.epochs,
            batch_size=config.data.batch_size,
            generator=generator(config.seed, "order"),
            penalty=parts.penalty,
            schedule=parts.schedule,
            clip_norm=config.optimizer.clip_norm,
            precision=config.training.precision,
            compile=config.training.compile,
            micro_batch=config.training.micro_batch,
            test_views=config.training.test_time_augmentation,
            patience=config.training.patience,
            evaluate_every=config.training.evaluate_every,
            observe=observe,
            log=log,
            checkpoints=checkpoints,
            stop=session.stop,
            progress=advance,
            world=session.world,
        )


def _log(record: Record, label: dict[str, str], row: dict[str, Any]) -> None:
    record.log(label | row)


def _what_fits(config: TrainingExperiment, parts: Parts, session: Session, reason: str) -> str:
    """What to say after memory ran out: the batch that was too large, and one that is not."""
    train, device = parts.data.train, parts.data.train.inputs.device
    step = Step(
        parts.model, parts.loss, parts.optimizer, parts.weights, parts.penalty, config.optimizer.clip_norm,
        autocast(device, config.training.precision), count_correct=parts.data.task == "classification",
    )  # fmt: skip

    def attempt(examples: int) -> None:
        step(parts.data.normalize(train.inputs[:examples]), train.targets[:examples])

    processes = session.world.size
    whole, asked = len(train), config.data.batch_size
    batch = whole if asked == "full" else min(whole, asked)
    at_once = min(math.ceil(batch / processes), config.training.micro_batch or batch)
    parts.model.train()
    if fits_in_memory(attempt, at_once):
        return (
            f"out of memory on {device}: {reason}. A step on {at_once:,} examples alone has enough of it; "
            "free some, or try a smaller model"
        )
    found = largest_batch(attempt, at_once)
    if found == 0:
        return f"out of memory on {device}: {reason}. Not even 2 examples at a time fit: try a smaller model"
    return f"out of memory on {device}: {reason}. " + _smaller(config, at_once, found, batch, processes)


def _smaller(config: TrainingExperiment, at_once: int, found: int, batch: int, processes: int) -> str:
    """Advice: `found` of the `at_once` examples that a process computes on at a time would fit."""
    each = f" in each of {processes} processes" if processes > 1 else ""
    smaller = f"--set training.micro_batch={found}"
    if config.training.micro_batch is not None and at_once == config.training.micro_batch:
        return f"training.micro_batch {at_once:,} does not fit; about {found:,} would{each}: {smaller}"
    total = found * processes
    asked = f"{config.data.batch_size}" if config.data.batch_size != "full" else f"full ({batch:,})"
    if config.data.batch_size == "full" and isinstance(config.optimizer, LBFGSOptimizer):
        return f"data.batch_size {asked} does not fit at once; about {total:,} would: {smaller}"
    return (
        f"data.batch_size {asked} does not fit; about {total:,} would: --set data.batch_size={total}, "
        f"or, for the same steps in parts, {smaller}"
    )


def vary(config: C, changes: Mapping[str, Any]) -> C:
    """The config with other values at dotted keys, checked again: vary(c, {"optimizer.lr": 0.1})."""
    values = config.model_dump()
    for key, value in changes.items():
        *path, last = key.split(".")
        here = values
        for name in path:
            here = here[name]
        here[last] = value
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
    """For softmax regression under plain or proximal full-batch gradient descent; else None."""
    optimizer, penalty = config.optimizer, parts.penalty
    applies = (
        isinstance(config.model, MLPModel)
        and not config.model.hidden
        and config.loss.name in ("cross_entropy", "kl")
        and isinstance(optimizer, SGDOptimizer)
        and optimizer.momentum == 0
        and optimizer.clip_norm is None
        and (config.data.batch_size == "full" or config.data.batch_size >= len(parts.data.train))
    )
    if not applies or (penalty is not None and penalty.absolute and not penalty.proximal):
        return None
    strength = penalty.strength * penalty.quadratic if penalty else 0.0
    return StepBound(softmax_step_bound(design_matrix(parts), strength), optimizer.lr)
