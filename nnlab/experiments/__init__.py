"""Experiments: one file each, with its config class and `run(config, record, session) -> Outcome`."""

from types import ModuleType

from nnlab.config import Experiment
from nnlab.experiments import (
    activations,
    classify,
    convergence,
    regress,
    regularization,
    separable,
    sgd_vs_gd,
    xor,
)

EXPERIMENTS: dict[str, ModuleType] = {
    "classify": classify,
    "regress": regress,
    "convergence": convergence,
    "activations": activations,
    "sgd_vs_gd": sgd_vs_gd,
    "regularization": regularization,
    "separable": separable,
    "xor": xor,
}

CONFIG_CLASSES: dict[str, type[Experiment]] = {name: module.Config for name, module in EXPERIMENTS.items()}

__all__ = ["CONFIG_CLASSES", "EXPERIMENTS"]
