"""Settings that are known to show something, each a config of the lab with a sentence."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from nnlab.errors import InputError, suggest
from nnlab.lab.sections import TrainingExperiment
from nnlab.live.state import parsed


@dataclass(frozen=True)
class Preset:
    """An experiment to begin with.

    Attributes:
        name: as it is chosen.
        sentence: what is to be seen.
        yaml: the config.
    """

    name: str
    sentence: str
    yaml: str


_EXACT = "device: cpu, precision: float32"

ALL = (
    Preset(
        "XOR with two units",
        "Two hidden units suffice for XOR from some starts; others (try new seeds) leave a corner wrong.",
        f"""
experiment: classify
data: {{name: xor, examples: 100, noise: 0.15, validation: 0, batch_size: full, standardize: false}}
model: {{name: mlp, hidden: [2], activation: tanh, sigma_b: 1}}
optimizer: {{name: sgd, lr: 0.5}}
training: {{epochs: 3000, {_EXACT}}}
""",
    ),
    Preset(
        "Three spirals",
        "Two hidden layers of ReLU bend the plane until three arms can be told apart.",
        f"""
experiment: classify
data: {{name: spirals, classes: 3, examples: 300, noise: 0.03, turns: 1, validation: 0, batch_size: 50}}
model: {{name: mlp, hidden: [32, 32], activation: relu}}
optimizer: {{name: sgd, lr: 0.1, momentum: 0.9}}
training: {{epochs: 500, {_EXACT}}}
""",
    ),
    Preset(
        "Overfitting",
        "Few noisy points, many weights: the training loss goes on falling while the validation loss rises.",
        f"""
experiment: classify
data: {{name: two_moons, examples: 80, noise: 0.35, validation: 0.5, batch_size: full}}
model: {{name: mlp, hidden: [64, 64], activation: relu}}
optimizer: {{name: sgd, lr: 0.3}}
training: {{epochs: 4000, {_EXACT}}}
""",
    ),
    Preset(
        "Lazy: as predicted",
        "A wide network in the NTK parameterization hardly moves its weights: its training is the one that "
        "its kernel at the start predicts.",
        f"""
experiment: regress
data: {{name: regression_1d, function: sine, examples: 12, noise: 0, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: [512], activation: erf, parameterization: ntk}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 0.5}}
training: {{epochs: 2000, {_EXACT}}}
""",
    ),
    Preset(
        "Rich: features move",
        "Four units must turn their weights to fit the same points: the prediction is soon wrong.",
        f"""
experiment: regress
data: {{name: regression_1d, function: sine, examples: 12, noise: 0, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: [4], activation: tanh, sigma_w: 0.5}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 0.2}}
training: {{epochs: 4000, {_EXACT}}}
""",
    ),
    Preset(
        "Edge of stability",
        "The step size is below the predicted limit at the start; the training sharpens the loss until the "
        "limit is reached, and the loss begins to jump.",
        f"""
experiment: regress
data: {{name: regression_1d, function: cubic, examples: 20, noise: 0, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: [32, 32], activation: relu}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 0.05}}
training: {{epochs: 3000, {_EXACT}}}
""",
    ),
    Preset(
        "Catapult",
        "The step size is above the predicted limit: the loss first grows, until the weights have come to "
        "where it is flatter, and then falls.",
        f"""
experiment: regress
data: {{name: regression_1d, function: sine, examples: 20, noise: 0.1, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: [256], activation: relu, parameterization: ntk}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 1.5}}
training: {{epochs: 300, {_EXACT}}}
""",
    ),
    Preset(
        "Too large a step",
        "More than twice the limit that the kernel predicts: the loss grows without end.",
        f"""
experiment: regress
data: {{name: regression_1d, function: sine, examples: 20, noise: 0.1, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: [256], activation: relu, parameterization: ntk}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 2.5}}
training: {{epochs: 300, {_EXACT}}}
""",
    ),
    Preset(
        "Low frequencies first",
        "A slow and a fast wave: the network learns the slow one first, as the kernel's eigenvalues say.",
        f"""
experiment: regress
data:
  name: regression_1d
  function: sin(pi*x) + 0.5*sin(4*pi*x)
  examples: 40
  noise: 0
  validation: 0
  batch_size: full
model: {{name: mlp, hidden: [256, 256], activation: erf, parameterization: ntk, sigma_w: 2.5, sigma_b: 0.5}}
loss: {{name: squared_error}}
optimizer: {{name: sgd, lr: 0.08}}
training: {{epochs: 6000, {_EXACT}}}
""",
    ),
    Preset(
        "Four points of your own",
        "XOR as four points: move them, add others, or give them a third class.",
        f"""
experiment: classify
data:
  name: points
  points: [[-1, -1, 0], [1, 1, 0], [-1, 1, 1], [1, -1, 1]]
  batch_size: full
model: {{name: mlp, hidden: [8], activation: tanh, sigma_b: 1}}
optimizer: {{name: sgd, lr: 0.3}}
training: {{epochs: 2000, {_EXACT}}}
""",
    ),
)
"""In the order in which they are offered; the playground begins with the first one."""


def find(name: str) -> Preset:
    """The preset of that name. Raises InputError."""
    for preset in ALL:
        if preset.name == name:
            return preset
    raise InputError(f"no preset is named {name}; {suggest(name, [preset.name for preset in ALL])}")


def name_of(config: TrainingExperiment) -> str:
    """The name of the preset that an experiment is; empty where it is none."""
    return next((name for name, preset in _configs().items() if preset == config), "")


@cache
def _configs() -> dict[str, TrainingExperiment]:
    return {preset.name: parsed(preset.yaml) for preset in ALL}


def as_dicts() -> list[dict[str, Any]]:
    """Names and sentences."""
    return [{"name": preset.name, "sentence": preset.sentence} for preset in ALL]
