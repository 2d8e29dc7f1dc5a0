"""Figures of a trained model: from tensors to arrays, into the record, and drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nnlab.data import DataSet
from nnlab.lab.training_run import histories
from nnlab.models import get_activation
from nnlab.plot.activations import activation_functions
from nnlab.plot.confusion import confusion_matrix
from nnlab.plot.curves import learning_curves
from nnlab.plot.images import as_picture, weight_templates, worst_mistakes
from nnlab.plot.regions import decision_regions
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.training import FitResult, predict
from nnlab.training.evaluation import class_counts, class_scores

ARRAYS: Mapping[str, str] = {
    "curve/*/step": "(T,) steps of the optimizer at which the split was evaluated",
    "curve/*/epoch": "(T,) epochs at which the split was evaluated",
    "curve/*/accuracy": "(T,) accuracy of the split, a fraction of 1",
    "curve/*/loss": "(T,) loss of the split, without penalties",
    "curve/*/objective": "(T,) loss plus penalty, what is minimized",
    "curve/*/penalty": "(T,) penalty on the weights",
    "curve/*/lr": "(T,) step size",
    "curve/*": "(T,) this measure of the split, over the steps in curve/SPLIT/step",
    "activation/z": "(401,) pre-activations",
    "activation/*value": "(401,) the activation function at z",
    "activation/*derivative": "(401,) its derivative at z",
    "confusion": "(C, C) counts of test examples: true class, predicted class",
    "mistakes/images": "(K, channels, height, width) test images in raw units, the surest mistake first",
    "mistakes/true": "(K,) numbers of their classes",
    "mistakes/predicted": "(K,) numbers of the classes that the model says",
    "mistakes/probability": "(K,) the model's probability for what it says",
    "templates": "(C, channels, height, width) weights of each class, for standardized pixels",
    "regions/x1": "(G,) first feature, raw units",
    "regions/x2": "(G,) second feature, raw units",
    "regions/probabilities": "(G, G, C) class probabilities at (x1[i], x2[j])",
}
"""Describes the arrays of a training: pattern of names -> axes and units."""

MISTAKES = 21
GRID = 200  # points a side of the plane that decision regions are drawn on
LEAST_MARGIN = 2 * GRID * float(np.finfo(np.float64).eps)  # around the points, of the largest of their values


def draw_curves(record: Record, result: FitResult, loss_label: str) -> None:
    """Draws loss, and accuracy where there is one, over epochs."""
    history = histories(record.history())
    test = history.pop("test", {})
    record.save_arrays(
        **{f"curve/{split}/{k}": v for split, rows in history.items() for k, v in rows.items()}
    )
    record.figure(
        "curves",
        learning_curves,
        history,
        best_epoch=result.best_epoch if "val" in history else None,
        final_test={key: test[key][-1] for key in ("loss", "accuracy") if key in test},
        loss_label=loss_label,
    )


def draw_activations(record: Record, names: Sequence[str], pieces: int) -> None:
    """Draws the activation functions of the hidden layers, with their derivatives."""
    z = torch.linspace(-4, 4, 401, dtype=torch.float64)
    curves = {name: activation_curve(name, z, pieces) for name in names}
    arrays: dict[str, np.ndarray] = {"activation/z": z.numpy()}
    for name, (value, derivative) in curves.items():
        own = f"activation/{name}" if len(curves) > 1 else "activation"
        arrays |= {f"{own}/value": value, f"{own}/derivative": derivative}
    record.save_arrays(**arrays)
    record.figure("activation", activation_functions, z.numpy(), curves)


def activation_curve(name: str, z: Tensor, pieces: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Returns value and derivative over z; maxout is drawn with pieces of slopes from −1 to 1 through 0."""
    activation = get_activation(name, pieces)
    if name == "maxout":
        slopes = torch.linspace(-1, 1, pieces, dtype=z.dtype)
        best = (slopes * z[:, None]).max(1)
        return best.values.numpy(), slopes[best.indices].numpy()
    return activation.function(z).numpy(), activation.derivative(z).numpy()


def draw_predictions(record: Record, data: DataSet, scores: Tensor) -> list[dict[str, object]]:
    """Draws the confusion matrix and, for images, the worst mistakes; returns a row for each class.

    Beside its test examples, a row has accuracy, precision, recall and F1 of the class. Without test examples
    there is nothing to measure, and they are None; so is the precision of such a class if it is never
    predicted.
    """
    targets, predicted = data.test.targets, scores.argmax(1)
    pairs = targets * data.outputs + predicted
    counts = torch.bincount(pairs, minlength=data.outputs**2)
    matrix = counts.reshape(data.outputs, data.outputs).numpy(force=True)
    record.save_arrays(confusion=matrix)
    record.figure("confusion", confusion_matrix, matrix, data.class_names)
    if len(data.input_shape) == 3:
        record.later("mistakes", partial(_draw_mistakes, record, data, scores, predicted))
    counts = class_counts(predicted, targets, data.outputs)
    return [
        {
            "class": name,
            "examples": int(examples),
            "accuracy": recall if examples else None,
            "precision": precision if examples or answers else None,
            "recall": recall if examples else None,
            "f1": f1 if examples else None,
        }
        for name, examples, answers, precision, recall, f1 in zip(
            data.class_names, *counts[1:].tolist(), *(s.tolist() for s in class_scores(counts)), strict=True
        )
    ]


def _draw_mistakes(record: Record, data: DataSet, scores: Tensor, predicted: Tensor) -> None:
    """Draws the mistakes that the model was surest of."""
    probability = scores.double().softmax(1).gather(1, predicted[:, None])[:, 0]
    wrong = (predicted != data.test.targets).nonzero()[:, 0]
    worst = wrong[probability[wrong].argsort(descending=True)][:MISTAKES]
    images = data.raw(data.test.inputs[worst]).float().numpy(force=True)
    columns = {"true": data.test.targets, "predicted": predicted, "probability": probability}
    arrays = {key: values[worst].numpy(force=True) for key, values in columns.items()}
    record.save_arrays(**{f"mistakes/{key}": value for key, value in {"images": images, **arrays}.items()})
    lists = {key: values.tolist() for key, values in arrays.items()}
    pictures = [as_picture(image / (data.full_scale or 1)) for image in images]
    record.figure("mistakes", worst_mistakes, pictures, class_names=data.class_names, **lists)


def draw_templates(record: Record, data: DataSet, weight: Tensor) -> None:
    """Draws the rows of W (C, d) of softmax regression as images."""
    templates = weight.float().numpy(force=True).reshape(data.outputs, *data.input_shape)
    record.save_arrays(templates=templates)
    record.figure("templates", weight_templates, templates, data.class_names)


def raw_numbers(data: DataSet, inputs: Tensor) -> Tensor:
    """Returns (N, features) inputs in raw units as float64, on the CPU.

    float32 holds standardized inputs to seven digits, but raw ones that are large against their range (a time
    in seconds) to none that differ.
    """
    mean, std = _moments(data)
    return inputs.double().cpu() * std + mean


def _moments(data: DataSet) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation of the inputs, as exactly as the data set knows them."""
    source = data if data.placement is None else data.placement
    return source.mean.double().cpu(), source.std.double().cpu()


@dataclass(frozen=True)
class Plane:
    """A grid around the training points of a data set of two features, in float64.

    Attributes:
        x1, x2: (G,) raw coordinates, strictly ascending.
        inputs: (G², 2), the grid as the model gets it, first feature first.
        points: (N, 2) the training points in raw coordinates.
    """

    x1: np.ndarray
    x2: np.ndarray
    inputs: Tensor
    points: np.ndarray


def plane(data: DataSet, lines: int = GRID) -> Plane:
    """Returns the grid of so many lines a side, made in standardized coordinates.

    There all features are of one size, whereas raw ones may be large against their range (years, Unix time):
    in float32 a raw grid around them would have equal lines. Where float64 cannot tell the raw lines apart
    either, the grid reaches further.
    """
    mean, std = _moments(data)
    ends = []
    for values, offset, scale in zip(data.train.inputs.double().cpu().T, mean, std, strict=True):
        known = values[values.isfinite()]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        largest = max(abs(float(offset + end * scale)) for end in (low, high))
        margin = max(0.15 * (high - low) or 1.0, LEAST_MARGIN * largest / (float(scale) or 1.0))
        ends.append((low - margin, high + margin))
    sides = [torch.linspace(*end, lines, dtype=torch.float64) for end in ends]
    x1, x2 = ((side * scale + offset).numpy() for side, scale, offset in zip(sides, std, mean, strict=True))
    return Plane(x1, x2, torch.cartesian_prod(*sides), raw_numbers(data, data.train.inputs).numpy())


def plane_probabilities(model: nn.Module, data: DataSet, inputs: Tensor) -> np.ndarray:
    """Returns class probabilities on the grid, (GRID, GRID, C), first feature first.

    To four digits: where a model says one half everywhere, rounding must not draw a boundary.
    """
    first = next(model.parameters())
    probabilities = predict(model, data, inputs.to(first.dtype).to(first.device)).double().softmax(1)
    return probabilities.round(decimals=4).numpy(force=True).reshape(GRID, GRID, -1)


def draw_regions(record: Record, model: nn.Module, data: DataSet) -> None:
    """Draws the decision regions of a model of two inputs, with the training points."""
    record.later("regions", partial(_draw_regions, record, model, data))


def _draw_regions(record: Record, model: nn.Module, data: DataSet) -> None:
    grid = plane(data)
    probabilities = plane_probabilities(model, data, grid.inputs)
    arrays = {"x1": grid.x1, "x2": grid.x2, "probabilities": probabilities}
    record.save_arrays(**under("regions", arrays))
    labels = data.train.targets.numpy(force=True)
    record.figure(
        "regions",
        decision_regions,
        grid.x1, grid.x2, {"": probabilities}, grid.points, labels, data.class_names,
    )  # fmt: skip
