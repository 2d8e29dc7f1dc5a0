"""Outputs, losses and accuracies of a model over whole splits, also averaged over changed images."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.models.summary import evaluation_mode
from nnlab.training.capacity import out_of_memory
from nnlab.training.distributed import World
from nnlab.training.losses import Loss

Metrics = dict[str, float]
Precision = Literal["float32", "bfloat16", "float64"]
Views = Literal["none", "mirror", "mirror_and_shift"]

BATCH = 512  # examples at a time: their activations should fit into the cache
SHIFT = 1  # pixels


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context of a forward pass, in mixed precision for `bfloat16`."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def views(images: Tensor, kind: Views) -> Iterator[tuple[float, Tensor]]:
    """Weights that add up to 1, and images (n, C, H, W) as they are seen.

    `mirror`: as they are and left to right. `mirror_and_shift`: half of the weight on these two, and a
    quarter each on the same two moved by a pixel up and to the left, and down and to the right, with the
    border reflected.
    """
    if kind == "none":
        yield 1.0, images
        return
    weighted = [(1.0, images)]
    if kind == "mirror_and_shift":
        height, width = images.shape[-2:]
        # a single row or column has nothing to reflect: its border is repeated
        mode = "reflect" if min(height, width) > SHIFT else "replicate"
        padded = F.pad(images, (SHIFT,) * 4, mode=mode)
        moved = padded[..., :height, :width], padded[..., 2 * SHIFT :, 2 * SHIFT :]
        weighted = [(0.5, images), (0.25, moved[0]), (0.25, moved[1])]
    for weight, view in weighted:
        yield weight / 2, view
        yield weight / 2, view.flip(-1)


@torch.no_grad()
def predict(
    model: Callable[[Tensor], Tensor],
    data: DataSet,
    inputs: Tensor,
    precision: Precision = "float32",
    test_views: Views = "none",
) -> Tensor:
    """Outputs (n, C) for inputs (n, …) of `data`, in evaluation mode and in blocks.

    With `test_views`, they are means over changed images. Where memory runs out, the blocks are halved: a
    training that fits is never ended by its evaluation.
    """
    outputs, size = None, BATCH
    while outputs is None:
        mode = evaluation_mode(model) if isinstance(model, nn.Module) else nullcontext()
        try:
            with mode, autocast(inputs.device, precision):
                outputs = _outputs(model, data, inputs, test_views, size)
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error) is None or min(size, len(inputs)) < 2:
                raise
            size = min(size, len(inputs)) // 2
    return outputs.float() if precision == "bfloat16" else outputs


def _outputs(
    model: Callable[[Tensor], Tensor], data: DataSet, inputs: Tensor, test_views: Views, size: int
) -> Tensor:
    """Outputs (n, C), computed for blocks of `size` examples.

    They go into one tensor: a small tensor left behind by each block would keep the allocator from reusing
    the memory of the activations around it.
    """
    outputs: Tensor | None = None
    for part, block in enumerate(torch.split(inputs, size)):
        weighted = [weight * model(view) for weight, view in views(data.normalize(block), test_views)]
        total = sum(weighted[1:], weighted[0])
        if outputs is None:
            outputs = total.new_empty((len(inputs), *total.shape[1:]))
        outputs[part * size : part * size + len(block)] = total
    assert outputs is not None  # split gives at least one block
    return outputs


def evaluate(
    model: Callable[[Tensor], Tensor],
    data: DataSet,
    split: Split,
    loss: Loss,
    precision: Precision = "float32",
    test_views: Views = "none",
    world: World | None = None,
) -> Metrics:
    """Metrics of `model` over a whole split, of which each process of `world` measures a share.

    See `measure`. With `test_views`, `accuracy_tta` stands beside an accuracy that knows nothing of them.
    """
    world = world or World()
    share = world.share(len(split))
    inputs, targets = split.inputs[share.part], split.targets[share.part]
    outputs = predict(model, data, inputs, precision)
    metrics = measure(outputs, targets, loss, target_std=data.target_std, world=world, whole=split.targets)
    if data.task == "classification" and test_views != "none":
        averaged = predict(model, data, inputs, precision, test_views)
        right = float((averaged.argmax(1) == targets).sum())
        metrics["accuracy_tta"] = world.sum([right if share.counted else 0.0])[0] / len(split)
    return metrics


def measure(
    outputs: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    target_std: Tensor | None = None,
    world: World | None = None,
    whole: Tensor | None = None,
) -> Metrics:
    """Metrics of outputs (n, C) beside their targets, (n,) labels or (n, C) values in the same units.

    `loss` is that of the training, with its class weights and in its units. For classes follow those of
    `class_metrics`; for numbers those of `number_metrics`, in original units.

    Args:
        loss: of the training.
        target_std: (C,) by which the targets were divided; None where they were not.
        world: the processes that have a share each of the examples.
        whole: the targets of all processes' examples; those of this one if left out.
    """
    world, whole = world or World(), targets if whole is None else whole
    value = float(loss(outputs, targets))
    numbers, classes = targets.is_floating_point(), outputs.shape[1]
    sums = error_sums(outputs, targets) if numbers else class_counts(outputs.argmax(1), targets, classes)
    if not world.alone:
        counted, mean = world.share(len(whole)).counted, loss.reduction == "mean"
        own = [value * counted if mean else value, *sums.flatten().tolist()]
        value, *added = world.sum(own if counted else [0.0] * len(own))
        value = value / len(whole) if mean else value
        sums = torch.tensor(added, dtype=torch.float64).view(sums.shape)
    if numbers:
        return {"loss": value, **number_metrics(sums, whole, target_std)}
    return {"loss": value, **class_metrics(sums, loss.class_weights)}


# --- classes ----------------------------------------------------------------------------------------


def class_counts(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Counts the examples of each class that are right, all of it, and those that are predicted as it.

    Args:
        predicted, targets: (n,) int64.
        classes: C.

    Returns:
        (3, C) float64, on the CPU.
    """
    right = targets[predicted == targets]
    counts = [torch.bincount(labels, minlength=classes) for labels in (right, targets, predicted)]
    return torch.stack(counts).cpu().double()


def class_scores(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision, recall and F1 of each class, (C,) float64 each, from the counts of `class_counts`.

    Precision is right/predicted, recall right/examples, and F1 = 2 right/(examples + predicted), their
    harmonic mean. Where a denominator is 0, so is the score.

    Source: van Rijsbergen, "Information Retrieval" (1979), chapter 7.
    """
    right, examples, predicted = counts
    return (
        right / predicted.clamp_min(1),
        right / examples.clamp_min(1),
        2 * right / (examples + predicted).clamp_min(1),
    )


def class_metrics(counts: Tensor, class_weights: Tensor | None = None) -> Metrics:
    """Accuracy, balanced accuracy and macro F1, from the counts (3, C) of `class_counts`.

    Balanced accuracy is the mean recall over the classes that have examples (Brodersen et al., "The balanced
    accuracy and its posterior distribution", 2010). Macro F1 is the mean F1 over the classes that have
    examples or are predicted: a class that is predicted but has none counts with 0.

    Args:
        class_weights: (C,) w; adds `weighted_accuracy`, Σ w_y [right] / Σ w_y.
    """
    right, examples, predicted = counts
    _, recall, f1 = class_scores(counts)
    metrics = {
        "accuracy": float(right.sum() / examples.sum()),
        "balanced_accuracy": float(recall[examples > 0].mean()),
        "macro_f1": float(f1[examples + predicted > 0].mean()),
    }
    if class_weights is not None:
        w = class_weights.cpu().double()
        metrics["weighted_accuracy"] = float((w @ right) / (w @ examples))
    return metrics


# --- numbers ----------------------------------------------------------------------------------------


def error_sums(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σe² and Σ|e| of the errors e = output − target, for each of C columns: (2, C) float64, on the CPU."""
    error = outputs.detach().cpu().double() - targets.cpu().double()
    return torch.stack([error.square().sum(0), error.abs().sum(0)])


def number_metrics(sums: Tensor, targets: Tensor, target_std: Tensor | None = None) -> Metrics:
    """R², mean absolute error and root mean square error, each the mean over the target columns.

    R² = 1 − Σe²/Σ(ȳ − mean ȳ)². For equal targets it is 1 without an error and else 0; for a single
    example it is not defined, and NaN.

    Args:
        sums: (2, C) as of `error_sums`.
        targets: (n, C) of all examples.
        target_std: (C,) with which the two errors are multiplied.
    """
    y = targets.cpu().double()
    spread = torch.where((y == y[0]).all(0), 0.0, (y - y.mean(0)).square().sum(0))
    scale = torch.ones_like(spread) if target_std is None else target_std.cpu().double()
    squares, absolutes = sums
    explained = 1 - squares / torch.where(spread > 0, spread, 1.0)
    r2 = torch.where(spread > 0, explained, (squares == 0).double())
    return {
        "r2": float(r2.mean()) if len(y) > 1 else math.nan,
        "mae": float((scale * absolutes / len(y)).mean()),
        "rmse": float((scale * (squares / len(y)).sqrt()).mean()),
    }
