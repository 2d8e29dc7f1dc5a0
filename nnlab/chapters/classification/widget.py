"""Sections 1 and 2 on the page: scores and probabilities, regularization, step sizes, growing weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.ideas import EXERCISES, IDEAS
from nnlab.chapters.convolution.widget import digit, learned_filter, maps
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.data import config_of
from nnlab.page.guess import guess, power
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, packed, rising, shaped, thinned
from nnlab.record import Run
from nnlab.record.arrays import group, groups


def regularization(run: Run, arrays: Arrays) -> Widget:
    """The weights of every strength λ as images, with R(W), zeros and accuracy."""
    order = np.argsort(arrays[schema.STRENGTHS], kind="stable")
    strengths = rising(arrays[schema.STRENGTHS][order], 0)
    shape = [int(side) for side in arrays[schema.INPUT_SHAPE]]
    channels, height, width = shape if len(shape) == 3 else (1, 1, int(np.prod(shape)))
    results: list[schema.PenaltyRow] = run.summary["results"]
    penalties: list[dict[str, Any]] = []
    for name, path in groups(arrays).items():
        rows = {row["strength"]: row for row in results if row["penalty"] == name}
        weights = path[schema.WEIGHTS][order]
        shaped(weights, len(order), weights.shape[1], channels * height * width)
        penalties.append(
            {
                "name": name,
                "weights": packed(weights.reshape(len(order), -1, channels, height * width).mean(2)),
                "zeros": [int((w == 0).sum()) for w in weights],
                "accuracy": numbers(path[schema.ACCURACY][order]),
                "value": [float(rows[float(s)]["penalty_value"]) for s in strengths],
                "norm": numbers(path[schema.NORM][order]),
            }
        )
    if not penalties:
        raise ValueError("no weights")
    return Widget(
        "weights",
        "The weights under regularization",
        "The weights of each class as an image, at the optimum of L + λR(W). L2 shrinks all of them, L1 sets "
        "many of them to exactly 0 (grey), and the elastic net does both.",
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
    steps, model = rising(arrays[schema.STEPS], -1), group(arrays, schema.HESSIAN)
    eigenvalues, chosen = model[schema.EIGENVALUES], thinned(len(steps), CURVE)
    measured = []
    for label, distance in group(arrays, schema.DISTANCE).items():
        points = np.stack([steps[chosen], shaped(distance, len(steps))[chosen]], 1)
        multiple = float(label.removesuffix(schema.UNIT))
        measured.append({"multiple": multiple, "points": numbers(points), "end": ""})
    return Widget(
        "descent",
        "Step sizes around the bound",
        "Near the optimum the objective is a quadratic with the Hessian's eigenvalues λᵢ, and a step "
        "multiplies mode i by 1 − ηλᵢ. Below the bound every step lowers the objective, whatever the "
        "weights; near the optimum descent converges for all η below 2/λmax.",
        {
            "unit": "bound",
            "lr": float(arrays[schema.BOUND]),
            "quantity": "distance to the optimum",
            "power": 1,
            "factor": 1.0,
            "eigenvalues": numbers(eigenvalues, 8),
            "start": numbers(shaped(model[schema.START], *eigenvalues.shape), 8),
            "steps": int(steps[-1]),
            "logSteps": True,
            "model": "quadratic model",
            "who": "training",
            "measured": sorted(measured, key=lambda m: m["multiple"]),
        },
    )


def growth(run: Run, arrays: Arrays) -> Widget:
    """The loss that keeps falling while the weights keep growing."""
    steps = rising(arrays[schema.STEPS], -1)
    loss, norm = (shaped(arrays[name], len(steps)) for name in (schema.LOSS, schema.NORM))
    if not (loss > 0).all():
        raise ValueError("a logarithmic axis cannot show a loss of 0")
    later = np.flatnonzero(steps > 0)
    chosen = later[thinned(len(later), CURVE)]
    return Widget(
        "growth",
        "The loss keeps falling and the weights keep growing",
        "On separable data no weights attain the infimum 0: the loss falls like 1/t, and the norm of the "
        "weights grows like log t.",
        {
            "steps": numbers(steps[chosen], 9),
            "loss": numbers(loss[chosen]),
            "norm": numbers(norm[chosen]),
        },
    )


FEW = 40
"""The number of points of a curve that is guessed."""
FIRST = 200
"""The last step of the loss that is shown before a guess."""


def guessed_loss(run: Run, arrays: Arrays) -> Widget:
    """The reader's guess of how the loss of separable data falls."""
    steps = rising(arrays[schema.STEPS], 0)
    chosen = thinned(len(steps), FEW)
    t, loss = steps[chosen].astype(float), shaped(arrays[schema.LOSS], len(steps))[chosen]
    given = int(np.searchsorted(t, FIRST, "right"))
    at = given - 1
    constant = 1 / (
        2 * float(config_of(run)["optimizer"]["lr"]) * float(run.summary["metrics"]["margin"]) ** 2
    )
    return guess(
        "loss",
        "What becomes of the loss?",
        "A line separates the data, and gradient descent goes on and on: how does the loss fall?",
        t,
        loss,
        predicted=constant / t,
        x_label="step t",
        y_label="loss",
        given=given,
        options={
            "it stops falling": power(t, loss[at], 0.0, at),
            "four times the steps, half the loss": power(t, loss[at], -0.5, at),
            "twice the steps, half the loss": power(t, loss[at], -1.0, at),
            "twice the steps, a quarter of the loss": power(t, loss[at], -2.0, at),
        },
    )


def guessed_noise(run: Run, arrays: Arrays) -> Widget:
    """The reader's guess of how the variance of a mini-batch's gradient falls with its size."""
    noise = group(arrays, schema.NOISE)
    size = rising(noise[schema.BATCH].astype(float), 0)
    measured = shaped(noise[schema.MEASURED], len(size))
    start = float(measured[0])
    return guess(
        "noise",
        "How noisy is the gradient of a mini-batch?",
        "A mini-batch's gradient is random. With eight times as many examples in it, what is its variance?",
        size,
        measured,
        predicted=noise[schema.PREDICTED],
        interval=noise[schema.INTERVAL],
        x_label="batch size n",
        y_label="variance of the gradient",
        options={
            "the same": power(size, start, 0.0),
            "divided by √8": power(size, start, -0.5),
            "divided by 8": power(size, start, -1.0),
            "divided by 64": power(size, start, -2.0),
        },
    )


SCRIPTS = (
    "maths",
    "scores",
    "softmax",
    "divergence",
    "penalty",
    "downhill",
    "growth",
    "weights",
    "layers",
    "progress",
    "activations",
    "maxout",
)


def _progress(title: str, text: str, of: str, lines: Mapping[str, Any]) -> Widget:
    """Training losses over the epochs, all as long as the first one."""
    if len(lines) < 2:
        raise ValueError("one line needs no comparison")
    count = len(next(iter(lines.values())))
    if not all((shaped(loss, count) > 0).all() for loss in lines.values()):
        raise ValueError("a logarithmic axis cannot show a loss of 0")
    rows = [{"name": name, "loss": numbers(loss, 4)} for name, loss in lines.items()]
    epochs = rising(np.arange(1, count + 1))
    return Widget("progress", title, text, {"epochs": epochs.tolist(), "lines": rows, "of": of})


def batches(run: Run, arrays: Arrays) -> Widget:
    """The training loss of every batch size over the epochs."""
    lines = {
        label.removeprefix(schema.OF_BATCH): group(arrays, label)[schema.TRAIN_LOSS]
        for label in groups(arrays)
        if label.startswith(schema.OF_BATCH)
    }
    return _progress(
        "Batch sizes over the epochs",
        "Each epoch sees every example once, whatever the batch size; small batches take more steps in it.",
        "batch size",
        {"all examples" if name == "full" else f"{name} examples": loss for name, loss in lines.items()},
    )


def learning(run: Run, arrays: Arrays) -> Widget:
    """The training loss of the same network with every activation over the epochs."""
    lines = {name: group(arrays, name)[schema.TRAIN_LOSS] for name in groups(arrays)}
    return _progress(
        "The same network with other activations",
        "Data, start and step size are the same; only the activation differs.",
        "activation",
        {schema.ACTIVATIONS.get(name, name): loss for name, loss in lines.items()},
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
            "The softmax turns linear scores into probabilities; the loss of an example is −log of the "
            "probability of its class.",
        ),
        Section(
            2,
            "Neural networks",
            "Linear layers with activation functions in between: W₂ φ(W₁x + b₁) + b₂, and deeper.",
        ),
    ),
    experiments={
        "separable": ExperimentPage("Separable data: the loss has no minimum", 1, (growth, guessed_loss)),
        "convergence": ExperimentPage("Gradient descent and its step size", 1, (convergence,)),
        "sgd_vs_gd": ExperimentPage("Mini-batches", 1, (guessed_noise, batches)),
        "regularization": ExperimentPage("Regularization", 1, (regularization,)),
        "activations": ExperimentPage("Activation functions", 2, (learning,)),
        "regress": ExperimentPage("Regression", 2),
        "classify": ExperimentPage("Classifiers", _section_of_classifier, (maps, learned_filter, digit)),
    },
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in SCRIPTS),
)
