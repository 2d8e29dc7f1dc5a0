"""Backpropagation on one test example: through a config's network at its start, or that of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from nnlab.chapters.backpropagation.network import network_sheet
from nnlab.chapters.backpropagation.network_worksheet import NetworkSheet
from nnlab.chapters.backpropagation.notation import format_array
from nnlab.data import DataSet
from nnlab.errors import InputError
from nnlab.lab import finished_run
from nnlab.lab.config import read_source, shipped_configs
from nnlab.lab.sections import Experiment, SquaredErrorLoss, TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import build_parts, loss_of
from nnlab.record import open_run
from nnlab.training.losses import Loss, target_distribution

LossGradient: TypeAlias = Callable[[Tensor], Tensor]


def of_config(config: Experiment, row: int, session: Session) -> tuple[str, NetworkSheet]:
    """Builds the worksheet of a config's network with its initial weights, for one row of the test set.

    Returns:
        A sentence that names network and example, and the worksheet.

    Raises:
        InputError: an experiment without one model, a row that there is not, a model that is no stack of
            known layers.
    """
    if not isinstance(config, TrainingExperiment):
        sources = {name: read_source(name).values["experiment"] for name in shipped_configs()}
        kinds = {kind for kind, one in session.experiments.items() if issubclass(one, TrainingExperiment)}
        raise InputError(
            f"experiment: {config.experiment} trains no single network on a data set; of the "
            f"shipped configs these do: {', '.join(name for name, kind in sources.items() if kind in kinds)}"
        )
    parts = build_parts(config, session)
    return _sheet(config, parts.data, parts.model, parts.loss, row, "the network at its start")


def of_run(path: Path, row: int, session: Session) -> tuple[str, NetworkSheet]:
    """Builds the worksheet of a run's network with its best weights; see `of_config`.

    Raises:
        RunFolderError: no such run, or one without weights.
    """
    config, model, data = finished_run.restore(open_run(path), session)
    return _sheet(config, data, model, loss_of(config, data), row, f"the network of {path}")


def _sheet(
    config: TrainingExperiment, data: DataSet, model: nn.Module, loss: Loss, row: int, what: str
) -> tuple[str, NetworkSheet]:
    if not 0 <= row < len(data.test):
        raise InputError(
            f"--row {row}: the test set of {config.data.name} has the rows 0 to {len(data.test) - 1}"
        )
    inputs = data.normalize(data.test.inputs[row : row + 1]).double().cpu()
    targets = data.test.targets[row : row + 1].cpu()
    targets = targets.double() if targets.is_floating_point() else targets
    gradient, rule = _loss_gradient(config, loss, targets, data.outputs)
    sheet = network_sheet(model.double().cpu(), inputs, lambda scores: loss(scores, targets), gradient, rule)
    target = data.class_names[int(targets)] if data.class_names else format_array(targets.flatten().numpy())
    unit = "" if data.target_std is None else ", standardized"
    return f"{what}, test example {row} (target {target}{unit}), loss {loss.name}", sheet


def _loss_gradient(
    config: TrainingExperiment, loss: Loss, targets: Tensor, classes: int
) -> tuple[LossGradient, str]:
    """Returns ∂L/∂scores of one example as a function of the scores, and its formula."""
    if isinstance(config.loss, SquaredErrorLoss):
        one_hot = targets if targets.is_floating_point() else torch.nn.functional.one_hot(targets, classes)
        return lambda scores: scores - one_hot, "s − y"
    smoothing = config.loss.label_smoothing
    probabilities = target_distribution(targets, classes, smoothing)
    target = f"((1 − {smoothing:g}) y + {smoothing:g}/{classes})" if smoothing else "y"
    if loss.class_weights is None:
        return lambda scores: scores.softmax(1) - probabilities, f"p − {target}, p = softmax(s)"
    weight = float(loss.class_weights[int(targets)])
    rule = f"{weight:.4g} (p − {target}), p = softmax(s), {weight:.4g} the weight of the class"
    return lambda scores: weight * (scores.softmax(1) - probabilities), rule
