"""Batches of one: batch norm has no statistics of a single value. Found before the training starts."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nnlab.errors import InputError
from nnlab.models.summary import trial
from nnlab.training.evaluation import BATCH

TELLING = "more than 1 value per channel"
"""The words of torch for it."""


def forward_sizes(
    examples: int, batch_size: int, micro_batch: int | None = None, processes: int = 1
) -> set[int]:
    """The numbers of examples that forward passes of an epoch get at a time.

    Args:
        examples: in the training split.
        batch_size: of a step; the last one of an epoch takes what is left.
        micro_batch: the most at a time within a step.
        processes: that share a batch: so many each, to one. One that is left without computes on all.
    """
    whole, left = divmod(examples, batch_size)
    sizes = set()
    for batch in {batch_size if whole else 0, left} - {0}:
        for share in {batch // processes or batch, math.ceil(batch / processes)}:
            parts = math.ceil(share / (micro_batch or share))
            sizes |= {share // parts, math.ceil(share / parts)}
    return sizes


def refuse_batches_of_one(
    model: nn.Module,
    inputs: Tensor,
    *,
    examples: int,
    batch_size: int | Literal["full"],
    micro_batch: int | None = None,
    processes: int = 1,
) -> None:
    """Raises InputError where batch norm would see a single value in some step of a training.

    Args:
        model: on the device of the inputs.
        inputs: (1, …) one standardized example.
        examples, batch_size, micro_batch, processes: of the training, see `forward_sizes`.
    """
    size = examples if batch_size == "full" else min(batch_size, examples)

    def alone(batch: int, micro: int | None) -> bool:
        return 1 in forward_sizes(examples, batch, micro, processes)

    if not alone(size, micro_batch):
        return
    layer = needs_two(model, inputs)
    if layer is None:
        return
    by_parts = micro_batch is not None and not alone(size, None)
    shared = f" in {processes} processes" if processes > 1 else ""
    if by_parts:
        key, tried = "training.micro_batch", f"{micro_batch}"
        problem = f"a batch of {size:,}{shared} is computed in parts, of which one has a single example"
        nearest = _nearest(micro_batch or 1, size, lambda micro: not alone(size, micro))
    else:
        key, tried = "data.batch_size", f"{batch_size}"
        left = examples % size or size
        problem = f"the last batch of an epoch has {left:,} of the {examples:,} training examples"
        if left > 1:
            problem = f"a batch of {left:,}{shared} leaves a forward pass with a single example"
        nearest = _nearest(size, examples, lambda batch: not alone(batch, micro_batch))
    remedy = "take more training examples, or a model without batch norm"
    if nearest:
        good = " and ".join(map(str, nearest))
        remedy = f"nearest that leave none alone: {good}, as by --set {key}={nearest[-1]}"
    elif micro_batch is not None and examples > 1:
        remedy = f"with training.micro_batch: {micro_batch} no batch size helps; take a larger one there"
    where = f" (layer {layer})" if layer else ""
    raise InputError(
        f"{key}: {tried}: {problem}, and batch norm{where} has no statistics of a single value; {remedy}"
    )


def _nearest(tried: int, most: int, good: Callable[[int], bool]) -> list[int]:
    """The next smaller and the next larger number from 2 to `most` that is good, as far as there are such."""
    below = next((n for n in range(min(tried - 1, most), 1, -1) if good(n)), None)
    above = next((n for n in range(max(2, tried + 1), most + 1) if good(n)), None)
    return [n for n in (below, above) if n is not None]


def refuse_evaluations_of_one(model: nn.Module, inputs: Tensor, splits: Mapping[str, int]) -> None:
    """Raises InputError where batch norm without running statistics would see a single value of a split.

    Args:
        model: on the device of the inputs.
        inputs: (1, …) one standardized example.
        splits: examples of each split, which is evaluated in blocks.
    """
    short = [name for name, examples in splits.items() if examples % BATCH == 1]
    layer = needs_two(model, inputs, training=False) if short else None
    if layer is not None:
        where = f" (layer {layer})" if layer else ""
        raise InputError(
            f"the {short[0]} split has {splits[short[0]]:,} examples, of which the last is evaluated alone, "
            f"and batch norm{where}, which keeps no running statistics, has none of a single value; build it "
            "with track_running_stats=True, or take one example more or less"
        )


def needs_two(model: nn.Module, inputs: Tensor, *, training: bool = True) -> str | None:
    """The batch norm that cannot compute on these inputs (1, …): its name, or "" where it is no module.

    None where there is no such layer. Tried out in training mode or in evaluation mode; buffers, modes and
    random numbers stay.
    """
    entered = [""]

    def entering(name: str) -> Callable[[nn.Module, object], None]:
        return lambda module, arguments: entered.append(name)

    hooks = [
        module.register_forward_pre_hook(entering(name))
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    ]
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    try:
        with trial(model, training=training), torch.random.fork_rng(devices), torch.no_grad():
            model(inputs)
    except Exception as error:  # others are for the training itself to raise
        return entered[-1] if isinstance(error, ValueError) and TELLING in str(error) else None
    finally:
        for hook in hooks:
            hook.remove()
    return None
