"""Full-batch gradient descent of one network by the trainer, on a few examples that are drawn."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nnlab.data import DataSet
from nnlab.data.dataset import Split
from nnlab.training import Parts, Settings, build_loss, build_optimizer, fit


def data_set(x: Tensor, y: Tensor) -> DataSet:
    """Returns examples (n, …) with targets (n, C) as a data set, as they are: nothing is held out."""
    split = Split(x, y)
    shape = tuple(x.shape[1:])
    return DataSet(
        name="points", task="regression", train=split, validation=None, test=split, input_shape=shape,
        outputs=y.shape[1], class_names=[], mean=torch.zeros(shape), std=torch.ones(shape), dtype=x.dtype,
    )  # fmt: skip


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    lr: float,
    steps: int,
    observe: Callable[[int, nn.Module], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Trains the parameters of a model that require gradients, by `fit` on ½Σ‖f − y‖², full-batch.

    Args:
        model: changed in place.
        x: (n, …) examples, of the model's type.
        y: (n, C) targets.
        lr: η.
        steps: of gradient descent.
        observe: takes the number of steps done and the model, before every step and at the end.
        stop: asked after every step; True raises Interrupted.

    Returns:
        The loss at the end.

    Raises:
        Diverged: a loss is not finite.
        Interrupted: `stop` said so.
    """
    done = itertools.count()

    def measure(network: nn.Module) -> dict[str, float]:
        if observe is not None:
            observe(next(done), network)
        return {}

    parts = Parts(
        model, data_set(x, y), build_loss("squared_error", reduction="sum"),
        build_optimizer("sgd", model, lr=lr),
    )  # fmt: skip
    settings = Settings(epochs=steps, batch_size="full", evaluate_every=1 if observe else steps)
    result = fit(parts, settings, generator=torch.Generator(), observe=measure, stop=stop)
    if observe is not None:
        observe(steps, model)
    return result.metrics["train/loss"]
