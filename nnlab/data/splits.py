"""The draw of held-out examples: class by class, from the split seed alone."""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.errors import DataError


def generator(split_seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose (`test`, `validation`, `training points`…) of a split seed.

    Seed and purpose are hashed together, so that two purposes share no random numbers and any whole
    number can be a seed.
    """
    digest = hashlib.blake2b(f"{split_seed} {purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def held_out_counts(sizes: Sequence[int], fraction: float) -> list[int]:
    """The number of examples of each class to hold out, so that all classes keep their proportions.

    The method of largest remainders: in all ⌊fraction · N + ½⌋, and from each class its quota
    fraction · n rounded down or up. Where there is a choice, no class is rounded up to all it has.

    Args:
        sizes: the number of examples n of each class.
        fraction: the part to hold out, in [0, 1).
    """
    counts = [math.floor(fraction * n) for n in sizes]
    left = math.floor(fraction * sum(sizes) + 0.5) - sum(counts)

    def rank(k: int) -> tuple[bool, float]:
        return sizes[k] - counts[k] <= 1, counts[k] - fraction * sizes[k]

    for k in sorted(range(len(sizes)), key=rank)[: max(left, 0)]:
        counts[k] += 1
    return counts


def hold_out(
    strata: Tensor, fraction: float, *, split_seed: int, purpose: str, names: Sequence[str] = ()
) -> tuple[Tensor, Tensor]:
    """Draws a part of the examples, from each class its share.

    Args:
        strata: (N,) int64, the class of each example in 0 … C−1; all zeros where there are no classes.
        fraction: the part to hold out, in (0, 1).
        split_seed: the seed of the draw, on the CPU and independent of the run's seed.
        purpose: `validation` or `test`: the config key below `data` that gave the fraction.
        names: the C class names, for messages; empty where there are no classes.

    Returns:
        The indices of the examples that stay, and of those held out; both ascending.

    Raises:
        DataError: where nothing would be held out, or a class would have no training example left.
    """
    sizes = torch.bincount(strata).tolist()
    counts = held_out_counts(sizes, fraction)
    _check_counts(sizes, counts, fraction, purpose, names)
    draw = generator(split_seed, purpose)
    held = torch.zeros(len(strata), dtype=torch.bool)
    for k, count in enumerate(counts):
        members = torch.nonzero(strata == k).squeeze(1)
        held[members[torch.randperm(len(members), generator=draw)[:count]]] = True
    return torch.nonzero(~held).squeeze(1), torch.nonzero(held).squeeze(1)


def _check_counts(
    sizes: Sequence[int], counts: Sequence[int], fraction: float, purpose: str, names: Sequence[str]
) -> None:
    begin = f"data.{purpose}: {fraction:g} of {sum(sizes)} examples leaves"
    if sum(counts) == 0:
        alternative = ", or 0 for none" if purpose == "validation" else ""
        raise DataError(f"{begin} no {purpose} example; use a larger fraction{alternative}")
    for k, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        if size > 0 and count == size:
            of_class = f" of class {names[k]}, which has {size} in all" if names else ""
            raise DataError(f"{begin} no training example{of_class}; use a smaller fraction or more examples")
