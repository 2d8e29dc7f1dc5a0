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
from nnlab.plot.images import weight_templates, worst_mistakes
from nnlab.plot.regions import decision_regions
from nnlab.record import Record
from nnlab.training import FitResult, predict

MISTAKES = 21
GRID = 200  # points a side of the plane that decision regions are drawn on


def numbers(tensor: Tensor) -> np.ndarray:
    """A tensor as a numpy array."""
    return tensor.detach().cpu().numpy()


def draw_curves(record: Record, result: FitResult, loss_label: str) -> None:
    """Loss, and accuracy where there is one, over epochs."""
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
    """The activation function of the hidden layers, with its derivative."""
    z = torch.linspace(-4, 4, 401, dtype=torch.float64)
    curves = {name: activation_curve(name, z, pieces)}
    record.save_arrays(
        **{"activation/z": z, "activation/value": curves[name][0], "activation/derivative": curves[name][1]}
    )
    record.save_figure(activation_functions(z.numpy(), curves), "activation")


def activation_curve(name: str, z: Tensor, pieces: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Value and derivative over z; maxout is drawn with pieces of slopes from −1 to 1 through 0."""
    activation = get_activation(name, pieces)
    if name == "maxout":
        slopes = torch.linspace(-1, 1, pieces, dtype=z.dtype)
        best = (slopes * z[:, None]).max(1)
        return best.values.numpy(), slopes[best.indices].numpy()
    return activation.function(z).numpy(), activation.derivative(z).numpy()


def draw_predictions(record: Record, data: DataSet, scores: Tensor) -> list[dict[str, object]]:
    """Confusion matrix and, for images, the worst mistakes on the test set; returns accuracy by class."""
    targets, predicted = data.test.targets, scores.argmax(1)
    pairs = targets * data.outputs + predicted
    matrix = numbers(torch.bincount(pairs, minlength=data.outputs**2).reshape(data.outputs, data.outputs))
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
    """The mistakes that the model was surest of."""
    probability = scores.double().softmax(1).gather(1, predicted[:, None])[:, 0]
    wrong = (predicted != data.test.targets).nonzero()[:, 0]
    worst = wrong[probability[wrong].argsort(descending=True)][:MISTAKES]
    images = numbers(data.raw(data.test.inputs[worst]).float())
    arrays = {
        "images": images,
        "true": numbers(data.test.targets[worst]),
        "predicted": numbers(predicted[worst]),
        "probability": numbers(probability[worst]),
    }
    record.save_arrays(**{f"mistakes/{key}": value for key, value in arrays.items()})
    scale = float(data.full_scale or 1)
    figure = worst_mistakes(
        arrays["images"],
        arrays["true"].tolist(),
        arrays["predicted"].tolist(),
        arrays["probability"].tolist(),
        data.class_names,
        full_scale=scale,
    )
    record.save_figure(figure, "mistakes")


def draw_templates(record: Record, data: DataSet, weight: Tensor) -> None:
    """The rows of W (C, d) of softmax regression in image form."""
    templates = numbers(weight.float()).reshape(data.outputs, *data.input_shape)
    record.save_arrays(templates=templates)
    record.save_figure(weight_templates(templates, data.class_names), "templates")


def plane(data: DataSet, points: Tensor) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Raw coordinates of a grid around raw points (N, 2), and the grid as inputs (GRID², 2)."""
    low, high = points.amin(0), points.amax(0)
    margin = 0.15 * (high - low).clamp_min(1e-6)
    axes = [
        torch.linspace(float(a), float(b), GRID, dtype=points.dtype, device=points.device)
        for a, b in zip(low - margin, high + margin, strict=True)
    ]
    grid = torch.cartesian_prod(*axes)
    inputs = (grid - data.mean.to(grid)) / data.std.to(grid)
    return numbers(axes[0]), numbers(axes[1]), inputs


def plane_probabilities(model: nn.Module, data: DataSet, inputs: Tensor) -> np.ndarray:
    """Class probabilities on the grid, (GRID, GRID, C), first feature first.

    To four digits: where a model says one half everywhere, rounding must not draw a boundary.
    """
    dtype = next(model.parameters()).dtype
    probabilities = predict(model, data, inputs.to(dtype)).double().softmax(1)
    return numbers(probabilities.round(decimals=4)).reshape(GRID, GRID, -1)


def draw_regions(record: Record, model: nn.Module, data: DataSet) -> None:
    """Decision regions of a model of two inputs, with the training points."""
    points = data.raw(data.train.inputs)
    x1, x2, inputs = plane(data, points)
    probabilities = plane_probabilities(model, data, inputs)
    record.save_arrays(**{"regions/x1": x1, "regions/x2": x2, "regions/probabilities": probabilities})
    figure = decision_regions(
        x1, x2, probabilities, numbers(points), numbers(data.train.targets), data.class_names
    )
    record.save_figure(figure, "regions")


def is_plane(data: DataSet) -> bool:
    return data.input_shape == (2,)
