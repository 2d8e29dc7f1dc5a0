"""Outputs, losses and accuracies of a model over whole splits, also averaged over changed images."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.models.summary import evaluation_mode
from nnlab.training.capacity import out_of_memory
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
) -> Metrics:
    """Loss, and for classes accuracy, of `model` over a whole split.

    With `test_views`, `accuracy_tta` stands beside an accuracy that knows nothing of them.
    """
    outputs = predict(model, data, split.inputs, precision)
    metrics = {"loss": float(loss(outputs, split.targets))}
    if data.task == "classification":
        metrics["accuracy"] = accuracy(outputs, split.targets)
        if test_views != "none":
            averaged = predict(model, data, split.inputs, precision, test_views)
            metrics["accuracy_tta"] = accuracy(averaged, split.targets)
    return metrics


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of examples whose largest score (N, C) is that of their label (N,)."""
    return float((outputs.argmax(1) == targets).double().mean())
