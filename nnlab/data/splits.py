"""The draw of held-out examples: class by class, from the split seed alone."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
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
    strata: Tensor,
    fraction: float,
    *,
    split_seed: int,
    purpose: str,
    names: Sequence[str] = (),
    groups: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draws a part of the examples, from each class its share.

    With groups, whole groups are held out, so that the shares are met as nearly as groups allow.

    Args:
        strata: (N,) int64, the class of each example in 0 … C−1; all zeros where there are no classes.
        fraction: the part to hold out, in (0, 1).
        split_seed: the seed of the draw, on the CPU and independent of the run's seed.
        purpose: `validation` or `test`: the config key below `data` that gave the fraction.
        names: the C class names, for messages; empty where there are no classes.
        groups: (N,) int64, equal for examples that must stay together; None where none must.

    Returns:
        The indices of the examples that stay, and of those held out; both ascending.

    Raises:
        DataError: where nothing would be held out, or a class would have no training example left.
    """
    if groups is not None:
        held = _held_groups(strata, groups, fraction, split_seed, purpose)
        return torch.nonzero(~held).squeeze(1), torch.nonzero(held).squeeze(1)
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


def _held_groups(strata: Tensor, groups: Tensor, fraction: float, split_seed: int, purpose: str) -> Tensor:
    """(N,) bool, the examples of the groups to hold out.

    In a random order, a group is taken where this brings the numbers of held-out examples of the classes, as
    a vector, nearer to the wanted one. Where that is true of none, the nearest one alone is taken.
    """
    _, groups = torch.unique(groups, return_inverse=True)
    count, classes = int(groups.max()) + 1, int(strata.max()) + 1
    cells = torch.bincount(groups * classes + strata, minlength=count * classes)
    sizes = cells.reshape(count, classes).double().numpy()
    total = sizes.sum(0)
    wanted, held, taken = fraction * total, np.zeros(classes), list[int]()
    present = total > 0

    def distance(counts: NDArray[np.float64]) -> float:
        away = counts - wanted
        return float(away @ away)

    def leaves_some(counts: NDArray[np.float64]) -> bool:
        return bool((counts < total)[present].all())

    order = torch.randperm(count, generator=generator(split_seed, purpose)).tolist()
    for group in order:
        more = held + sizes[group]
        if distance(more) < distance(held) and leaves_some(more):
            held = more
            taken.append(group)
    if not taken:
        possible = [group for group in order if leaves_some(sizes[group])]
        if not possible:
            raise DataError(
                f"data.{purpose}: {fraction:g} of {count} groups: none can be held out, since every class "
                "needs a training example in another group; use more groups, or none"
            )
        taken = [min(possible, key=lambda group: distance(sizes[group]))]
    return torch.isin(groups, torch.tensor(taken))


def group_note(groups: Tensor, held: Tensor, fraction: float, purpose: str) -> str:
    """Returns a sentence about the whole groups that were held out.

    Args:
        groups: (N,) of all examples.
        held: the indices of those held out.
        fraction: the part that was asked for.
        purpose: `validation` or `test`.
    """
    inside, rows = len(torch.unique(groups[held])), f"{len(held):,} of {len(groups):,} rows"
    return (
        f"{purpose}: {rows} ({len(held) / len(groups):.0%}, asked for {fraction:.0%}), in {inside:,} of "
        f"{len(torch.unique(groups)):,} whole groups"
    )
