"""Experiments: one file each, with its config class and `run(config, record, session) -> Outcome`."""

from types import ModuleType

from nnlab.config import Experiment
from nnlab.experiments import activations as activations
from nnlab.experiments import approx as approx
from nnlab.experiments import classify as classify
from nnlab.experiments import convergence as convergence
from nnlab.experiments import lecture as lecture
from nnlab.experiments import ntk as ntk
from nnlab.experiments import pixel_shuffle as pixel_shuffle
from nnlab.experiments import regress as regress
from nnlab.experiments import regularization as regularization
from nnlab.experiments import separable as separable
from nnlab.experiments import sgd_vs_gd as sgd_vs_gd
from nnlab.experiments import slides as slides
from nnlab.experiments import weight_change as weight_change
from nnlab.experiments import xor as xor

EXPERIMENTS: dict[str, ModuleType] = {
    "lecture": lecture,
    "slides": slides,
    "classify": classify,
    "regress": regress,
    "convergence": convergence,
    "activations": activations,
    "sgd_vs_gd": sgd_vs_gd,
    "regularization": regularization,
    "separable": separable,
    "xor": xor,
    "pixel_shuffle": pixel_shuffle,
    "weight_change": weight_change,
    "ntk": ntk,
    "approx": approx,
}

CONFIG_CLASSES: dict[str, type[Experiment]] = {name: module.Config for name, module in EXPERIMENTS.items()}

__all__ = ["CONFIG_CLASSES", "EXPERIMENTS"]
