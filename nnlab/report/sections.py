"""The order of the lecture, and where in it a run belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nnlab.record import Run


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
    2, "Neural networks", "Linear layers with an activation function between: W₂ φ(W₁x + b₁) + b₂ and deeper."
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

OF_EXPERIMENT: Mapping[str, Section] = {
    "separable": REGRESSION,
    "convergence": REGRESSION,
    "sgd_vs_gd": REGRESSION,
    "regularization": REGRESSION,
    "activations": NETWORKS,
    "regress": NETWORKS,
    "pixel_shuffle": CONVOLUTION,
    "features": CONVOLUTION,
    "weight_change": KERNELS,
    "ntk": KERNELS,
    "xor": APPROXIMATION,
    "approx": APPROXIMATION,
}
"""By the name of the experiment; a classifier goes by its model."""


def section_of(run: Run) -> Section:
    """Where a run belongs."""
    experiment = str(run.summary.get("experiment"))
    if experiment != "classify":
        return OF_EXPERIMENT.get(experiment, OTHERS)
    model = _model(run)
    if model.get("name") in ("cnn", "speed_cnn"):
        return CONVOLUTION
    return REGRESSION if model.get("hidden") == [] else NETWORKS


def _model(run: Run) -> Mapping[str, Any]:
    """The model section of a run's config; empty where that cannot be read."""
    try:
        config = yaml.safe_load(run.config_text())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, dict) else {}
