"""Figures of a trained model: from tensors to arrays, into the record, and drawn."""

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
from nnlab.training import FitResult, predict

MISTAKES = 21
GRID = 200  # points a side of the plane that decision regions are drawn on


def draw_curves(record: Record, result: FitResult, loss_label: str) -> None:
    """Draws loss, and accuracy where there is one, over epochs."""
    history = histories(record.history())
    test = history.pop("test", {})
    record.save_arrays(
        **{f"curve/{split}/{k}": v for split, rows in history.items() for k, v in rows.items()}
    )
    figure = learning_curves(
        history,
        best_epoch=result.best_epoch if "val" in history else None,
        final_test={key: test[key][-1] for key in ("loss", "accuracy") if key in test},
        loss_label=loss_label,
    )
    record.save_figure(figure, "curves")


def draw_activation(record: Record, name: str, pieces: int) -> None:
    """Draws the activation function of the hidden layers, with its derivative."""
    z = torch.linspace(-4, 4, 401, dtype=torch.float64)
    curves = {name: activation_curve(name, z, pieces)}
    value, derivative = curves[name]
    record.save_arrays(**{"activation/z": z, "activation/value": value, "activation/derivative": derivative})
    record.save_figure(activation_functions(z.numpy(), curves), "activation")


def activation_curve(name: str, z: Tensor, pieces: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Returns value and derivative over z; maxout is drawn with pieces of slopes from −1 to 1 through 0."""
    activation = get_activation(name, pieces)
    if name == "maxout":
        slopes = torch.linspace(-1, 1, pieces, dtype=z.dtype)
        best = (slopes * z[:, None]).max(1)
        return best.values.numpy(), slopes[best.indices].numpy()
    return activation.function(z).numpy(), activation.derivative(z).numpy()


def draw_predictions(record: Record, data: DataSet, scores: Tensor) -> list[dict[str, object]]:
    """Draws the confusion matrix and, for images, the worst mistakes; returns accuracy by class."""
    targets, predicted = data.test.targets, scores.argmax(1)
    pairs = targets * data.outputs + predicted
    counts = torch.bincount(pairs, minlength=data.outputs**2)
    matrix = counts.reshape(data.outputs, data.outputs).numpy(force=True)
    record.save_arrays(confusion=matrix)
    record.save_figure(confusion_matrix(matrix, data.class_names), "confusion")
    if len(data.input_shape) == 3:
        _draw_mistakes(record, data, scores, predicted)
    return [
        {
            "class": name,
            "examples": int(row.sum()),
            "accuracy": float(row[i] / row.sum()) if row.sum() else None,
        }
        for i, (name, row) in enumerate(zip(data.class_names, matrix, strict=True))
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
    pictures = [as_picture(image / float(data.full_scale or 1)) for image in images]
    lists = {key: values.tolist() for key, values in arrays.items()}
    record.save_figure(worst_mistakes(pictures, class_names=data.class_names, **lists), "mistakes")


def draw_templates(record: Record, data: DataSet, weight: Tensor) -> None:
    """Draws the rows of W (C, d) of softmax regression as images."""
    templates = weight.float().numpy(force=True).reshape(data.outputs, *data.input_shape)
    record.save_arrays(templates=templates)
    record.save_figure(weight_templates(templates, data.class_names), "templates")


def plane(data: DataSet, points: Tensor) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Returns the raw coordinates of a grid around raw points (N, 2), and the grid as inputs (GRID², 2)."""
    low, high = points.amin(0), points.amax(0)
    margin = 0.15 * (high - low).clamp_min(1e-6)
    axes = [
        torch.linspace(float(a), float(b), GRID, dtype=points.dtype, device=points.device)
        for a, b in zip(low - margin, high + margin, strict=True)
    ]
    grid = torch.cartesian_prod(*axes)
    inputs = (grid - data.mean.to(grid)) / data.std.to(grid)
    return axes[0].numpy(force=True), axes[1].numpy(force=True), inputs


def plane_probabilities(model: nn.Module, data: DataSet, inputs: Tensor) -> np.ndarray:
    """Returns class probabilities on the grid, (GRID, GRID, C), first feature first.

    To four digits: where a model says one half everywhere, rounding must not draw a boundary.
    """
    dtype = next(model.parameters()).dtype
    probabilities = predict(model, data, inputs.to(dtype)).double().softmax(1)
    return probabilities.round(decimals=4).numpy(force=True).reshape(GRID, GRID, -1)


def draw_regions(record: Record, model: nn.Module, data: DataSet) -> None:
    """Draws the decision regions of a model of two inputs, with the training points."""
    points = data.raw(data.train.inputs)
    x1, x2, inputs = plane(data, points)
    probabilities = plane_probabilities(model, data, inputs)
    record.save_arrays(**{"regions/x1": x1, "regions/x2": x2, "regions/probabilities": probabilities})
    labels = data.train.targets.numpy(force=True)
    figure = decision_regions(x1, x2, {"": probabilities}, points.numpy(force=True), labels, data.class_names)
    record.save_figure(figure, "regions")
