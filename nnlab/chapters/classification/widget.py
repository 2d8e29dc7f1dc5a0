"""Sections 1 and 2 on the page: scores and probabilities, regularization, step sizes, growing weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.chapters.convolution.widget import learned_filter, maps
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.widget import CURVE, Arrays, Widget, config_of, numbers, packed, rising, shaped, thinned
from nnlab.record import Run


def regularization(run: Run, arrays: Arrays) -> Widget:
    """The weights of every strength λ as images, with R(W), zeros and accuracy."""
    order = np.argsort(arrays["strengths"], kind="stable")
    strengths = rising(arrays["strengths"][order], 0)
    shape = [int(side) for side in arrays["input_shape"]]
    channels, height, width = shape if len(shape) == 3 else (1, 1, int(np.prod(shape)))
    penalties: list[dict[str, Any]] = []
    for name in (key.removesuffix("/weights") for key in arrays if key.endswith("/weights")):
        rows = {row["strength"]: row for row in run.summary["results"] if row["penalty"] == name}
        weights = arrays[f"{name}/weights"][order]
        shaped(weights, len(order), weights.shape[1], channels * height * width)
        penalties.append(
            {
                "name": name,
                "weights": packed(weights.reshape(len(order), -1, channels, height * width).mean(2)),
                "zeros": [int((w == 0).sum()) for w in weights],
                "accuracy": numbers(arrays[f"{name}/accuracy"][order]),
                "value": [float(rows[float(s)]["penalty_value"]) for s in strengths],
                "norm": numbers(arrays[f"{name}/norm"][order]),
            }
        )
    if not penalties:
        raise ValueError("no weights")
    return Widget(
        "weights",
        "Regularization against the weights",
        "The weights of each class as an image, trained to the optimum of L + λR(W). L2 makes all of them "
        "small, L1 sets many of them to exactly 0 (grey), the elastic net does both.",
        {
            "strengths": numbers(strengths),
            "count": int(np.prod(penalties[0]["weights"]["shape"][1:])) * channels,
            "beta": float(config_of(run)["loss"]["regularization"]["beta"]),
            "height": height,
            "width": width,
            "penalties": penalties,
        },
    )


def convergence(run: Run, arrays: Arrays) -> Widget:
    """The distance to the optimum by the quadratic model there, beside what was measured."""
    steps = rising(arrays["steps"], -1)
    measured = []
    for name in (key for key in arrays if key.startswith("distance/")):
        chosen = thinned(len(steps), CURVE)
        points = np.stack([steps[chosen], shaped(arrays[name], len(steps))[chosen]], 1)
        label = name.removeprefix("distance/")
        measured.append({"multiple": float(label.split()[0]), "points": numbers(points), "end": ""})
    return Widget(
        "descent",
        "Step sizes around the bound",
        "Near the optimum the objective is a quadratic with the Hessian's eigenvalues λᵢ, and a step "
        "multiplies mode i by 1 − ηλᵢ. Below the bound every step descends, whatever the weights; the model "
        "goes on converging up to 2/λmax.",
        {
            "unit": "bound",
            "lr": float(arrays["bound"]),
            "quantity": "distance to the optimum",
            "power": 1,
            "factor": 1.0,
            "eigenvalues": numbers(arrays["hessian/eigenvalues"], 8),
            "start": numbers(shaped(arrays["hessian/start"], *arrays["hessian/eigenvalues"].shape), 8),
            "steps": int(steps[-1]),
            "logSteps": True,
            "model": "quadratic model",
            "who": "training",
            "measured": sorted(measured, key=lambda m: m["multiple"]),
        },
    )


def growth(run: Run, arrays: Arrays) -> Widget:
    """The loss that falls for ever while the weights grow for ever."""
    steps = rising(arrays["steps"], -1)
    loss, norm = (shaped(arrays[name], len(steps)) for name in ("loss", "norm"))
    if not (loss > 0).all():
        raise ValueError("a logarithmic axis has no place for a loss of 0")
    shown = np.flatnonzero(steps > 0)
    chosen = shown[thinned(len(shown), CURVE)]
    return Widget(
        "growth",
        "The loss falls for ever, and the weights grow for ever",
        "On separable data no weights attain the infimum, 0: the loss falls like 1/t and the weights grow "
        "like log t.",
        {
            "steps": numbers(steps[chosen], 9),
            "loss": numbers(loss[chosen]),
            "norm": numbers(norm[chosen]),
        },
    )


SOFTMAX = Widget(
    "softmax",
    "Scores, probabilities, loss",
    "The softmax turns scores into probabilities, and the loss of an example is −log of what its class gets. "
    "The lecture's example has 0.13 for the right class, hence the loss 2.04.",
    {"scores": [3.2, 5.1, -1.7], "names": ["cat", "car", "frog"], "right": 0},
)


def _section_of_classifier(model: Mapping[str, Any]) -> int:
    """Section 1 for a linear model, 4 for a convolutional one, 2 for other networks."""
    if model.get("name") in ("cnn", "speed_cnn"):
        return 4
    return 1 if model.get("hidden") == [] else 2


PAGE = ChapterPage(
    sections=(
        Section(
            1,
            "Multi-class logistic regression",
            "Linear scores become probabilities by the softmax; the loss of an example is −log of what its "
            "class gets.",
            (SOFTMAX,),
        ),
        Section(
            2,
            "Neural networks",
            "Linear layers with an activation function between: W₂ φ(W₁x + b₁) + b₂ and deeper.",
        ),
    ),
    experiments={
        "separable": ExperimentPage("Separable data: the loss has no minimum", 1, (growth,)),
        "convergence": ExperimentPage("Gradient descent and its step size", 1, (convergence,)),
        "sgd_vs_gd": ExperimentPage("Mini-batches", 1),
        "regularization": ExperimentPage("Regularization", 1, (regularization,)),
        "activations": ExperimentPage("Activation functions", 2),
        "regress": ExperimentPage("Regression", 2),
        "classify": ExperimentPage("Classifiers", _section_of_classifier, (maps, learned_filter)),
    },
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in ("growth", "softmax", "weights")),
)
