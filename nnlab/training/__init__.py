"""The training loop and its parts. Plain arguments in, so that all of it works from a notebook."""

from nnlab.training.checkpoint import Checkpoints
from nnlab.training.evaluation import evaluate, predict
from nnlab.training.losses import Loss, Penalty, build_loss, build_penalty
from nnlab.training.optimizers import build_optimizer, schedule
from nnlab.training.trainer import FitResult, Parts, Settings, fit

__all__ = [
    "Checkpoints",
    "FitResult",
    "Loss",
    "Parts",
    "Penalty",
    "Settings",
    "build_loss",
    "build_optimizer",
    "build_penalty",
    "evaluate",
    "fit",
    "predict",
    "schedule",
]
