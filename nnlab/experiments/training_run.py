"""From a config to a trained model: the part that every training experiment shares."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nnlab.config import (
    DecaySchedule,
    MLPModel,
    OptimizerSection,
    SGDOptimizer,
    SquaredErrorLoss,
    StepSchedule,
    TrainingExperiment,
)
from nnlab.data import DataSet
from nnlab.errors import InputError
from nnlab.experiments.session import Session, dtype_of, generator
from nnlab.models import build_model, layer_multipliers, weight_matrices
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
from nnlab.training.losses import softmax_step_bound
from nnlab.training.optimizers import Optimizer, Schedule

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
        allow_custom_code=session.allow_custom_code,
    )
    model = model.to(device=data.train.inputs.device, dtype=dtype_of(config.training))
    torch.manual_seed(config.seed)  # dropout inside a custom model draws from torch's own generator
    penalty = config.loss.regularization
    return Parts(
        data=data,
        model=model,
        loss=_loss(config),
        penalty=build_penalty(penalty.name, penalty.strength, penalty.beta, proximal=penalty.proximal),
        optimizer=_optimizer(config.optimizer, model),
        schedule=_schedule(config, len(data.train)),
    )


def _loss(config: TrainingExperiment) -> Loss:
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
    record: Record,
    session: Session,
    *,
    part: str | None = None,
    observe: Callable[[nn.Module], dict[str, float]] | None = None,
) -> FitResult:
    """fit() with what the config says, its rows in the record, its bar on the screen.

    Args:
        part: names one of several trainings of a run: in its rows, and as its folder of checkpoints.
    """
    folder = record.folder / "checkpoints"
    label = {} if part is None else {"part": part}
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
            patience=config.training.patience,
            evaluate_every=config.training.evaluate_every,
            observe=observe,
            log=lambda row: record.log(label | row),
            checkpoints=Checkpoints(
                folder / part if part else folder, record.metrics, config.training.checkpoint_seconds
            ),
            stop=session.stop,
            progress=advance,
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
