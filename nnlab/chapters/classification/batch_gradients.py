"""The gradients of the mini-batches that training itself forms, at weights that stay where they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.training import Loss, Parts, Penalty, Settings, fit


class Watch(torch.optim.Optimizer):
    """An optimizer that takes the gradient of every step, and leaves the weights as they are.

    Attributes:
        gradients: of each step, (p,) in the order of the parameters.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__([p for p in model.parameters() if p.requires_grad], {"lr": 0.0})
        self.gradients: list[Tensor] = []

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert closure is not None
        with torch.enable_grad():
            loss = closure()
        (group,) = self.param_groups
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in group["params"]]
        self.gradients.append(torch.cat([part.flatten() for part in parts]))
        return loss


@dataclass(frozen=True)
class Batches:
    """The batches of whole epochs.

    Attributes:
        gradients: (E, K, p) of the K batches of each of E epochs, the last batch the smallest.
        sizes: (K,) their numbers of examples.
    """

    gradients: Tensor
    sizes: Tensor


def watch(
    model: nn.Module,
    data: DataSet,
    loss: Loss,
    penalty: Penalty | None,
    *,
    batch: int,
    epochs: int,
    generator: torch.Generator,
    stop: Callable[[], bool],
) -> Batches:
    """Returns what `fit` computes for its batches, in float64.

    Args:
        model: in float64; its weights stay where they are.
        data: the training split counts.
        loss, penalty: of the training.
        batch: the number of examples of a batch.
        epochs: passes over the training split.
        generator: orders the examples.
        stop: asked after every step; True raises Interrupted.
    """
    train = data.train
    inputs = data.normalize(train.inputs).double()
    targets = train.targets.double() if train.targets.is_floating_point() else train.targets
    split, one = Split(inputs, targets), Split(inputs[:1], targets[:1])
    exact = replace(data, train=split, validation=None, test=one, augmentation=None)
    optimizer = Watch(model)
    fit(
        Parts(model, exact, loss, optimizer, penalty),
        Settings(epochs=epochs, batch_size=batch, evaluate_every=epochs),
        generator=generator,
        stop=stop,
    )
    gradients = torch.stack(optimizer.gradients)
    sizes = [len(part) for part in torch.split(torch.arange(len(inputs)), batch)]
    return Batches(gradients.view(epochs, -1, gradients.shape[1]), torch.tensor(sizes, dtype=torch.float64))
