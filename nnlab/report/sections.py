"""The order of the lecture, and where in it a run belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nnlab.record import Run
from nnlab.report.data import CONFIG_BYTES, own_file


@dataclass(frozen=True)
class Section:
    """A part of the lecture.

    Attributes:
        number: its place.
        title: its name.
        sentence: what it is about.
    """

    number: int
    title: str
    sentence: str


REGRESSION = Section(
    1,
    "Multi-class logistic regression",
    "Linear scores become probabilities by the softmax; the loss of an example is −log of what its class "
    "gets.",
)
NETWORKS = Section(
    2,
    "Neural networks",
    "Linear layers with an activation function between: W₂ φ(W₁x + b₁) + b₂ and deeper.",
)
BACKPROPAGATION = Section(
    3,
    "Backpropagation",
    "The chain rule at each node: the gradient passed on is the local derivative times the gradient that "
    "arrives.",
)
CONVOLUTION = Section(
    4,
    "Convolutional networks",
    "Filters slide over the image and take dot products: each makes a map, and pooling shrinks it.",
)
KERNELS = Section(
    5,
    "Networks and kernels",
    "Wide networks hardly move: they train as linear models do, by their neural tangent kernel H, "
    "u(t) = exp(−Ht) u(0).",
)
APPROXIMATION = Section(
    6,
    "Universal approximation",
    "One hidden layer of finitely many units comes as near to a continuous function as is wanted.",
)
OTHERS = Section(7, "Further experiments", "")
LECTURE = (REGRESSION, NETWORKS, BACKPROPAGATION, CONVOLUTION, KERNELS, APPROXIMATION)

OF_EXPERIMENT: Mapping[str, tuple[Section, str]] = {
    "slides": (OTHERS, "Worked on the slides"),
    "separable": (REGRESSION, "Separable data: the loss has no minimum"),
    "convergence": (REGRESSION, "Gradient descent and its step size"),
    "sgd_vs_gd": (REGRESSION, "Mini-batches"),
    "regularization": (REGRESSION, "Regularization"),
    "activations": (NETWORKS, "Activation functions"),
    "regress": (NETWORKS, "Regression"),
    "pixel_shuffle": (CONVOLUTION, "Shuffled pixels"),
    "features": (CONVOLUTION, "Filters and activation maps"),
    "weight_change": (KERNELS, "How far wide networks move"),
    "ntk": (KERNELS, "The tangent kernel"),
    "xor": (APPROXIMATION, "XOR"),
    "approx": (APPROXIMATION, "Steps, bins and their error"),
}
"""Experiment -> its section and title, in the lecture's order; a classifier goes by its model."""


def title_of(experiment: str) -> str:
    """What stands above an experiment."""
    if experiment == "classify":
        return "Classifiers"
    return OF_EXPERIMENT[experiment][1] if experiment in OF_EXPERIMENT else experiment


def place_of(experiment: str) -> int:
    """Where it comes in the lecture; classifiers and what the lecture does not know come last."""
    order = list(OF_EXPERIMENT)
    return order.index(experiment) if experiment in order else len(order)


def section_of(run: Run) -> Section:
    """Where a run belongs."""
    experiment = str(run.summary.get("experiment"))
    if experiment != "classify":
        return OF_EXPERIMENT[experiment][0] if experiment in OF_EXPERIMENT else OTHERS
    model = _model(run)
    if model.get("name") in ("cnn", "speed_cnn"):
        return CONVOLUTION
    return REGRESSION if model.get("hidden") == [] else NETWORKS


def section_numbered(number: object) -> Section:
    """That of "5.3" or 5."""
    head = str(number).partition(".")[0]
    return next((section for section in LECTURE if str(section.number) == head), OTHERS)


def _model(run: Run) -> Mapping[str, Any]:
    """The model section of a run's config; empty where that cannot be read."""
    if own_file(run, "config.yaml", CONFIG_BYTES) is None:
        return {}
    try:
        config = yaml.safe_load(run.config_text())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, dict) else {}
