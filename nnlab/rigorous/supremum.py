"""The supremum of a function over boxes, enclosed by branch and bound.

The caller supplies a bound on each box; the boxes whose bound lies clearly above the values that the function
is known to reach are split until none is left. Moore, Kearfott & Cloud 2009, "Introduction to interval
analysis", ch. 5, has the method; here thousands of boxes are bounded by one call.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 32_768  # boxes that are bounded at once: their numbers stay in the second-level cache
MAX_BOXES = 50_000_000

Bound = Callable[[Array, Array], tuple[Array, Array, Array]]
"""(k, d) lower and (k, d) upper corners of boxes -> per box (k,) a value that the function reaches or exceeds
in it, (k,) a value that it nowhere exceeds in it, and (k, d) where the former is reached."""


@dataclass(frozen=True)
class Supremum:
    """Bounds on sup f.

    Attributes:
        lower: f reaches at least this.
        upper: f nowhere exceeds this.
        at: (d,) where `lower` is reached.
        boxes: how many boxes were bounded.
        complete: True where the gap is as small as was asked.
    """

    lower: float
    upper: float
    at: Array
    boxes: int
    complete: bool


def supremum(
    bound: Bound,
    lo: Array,
    hi: Array,
    *,
    absolute: float = 0.0,
    relative: float = 0.0,
    max_boxes: int = MAX_BOXES,
) -> Supremum:
    """Encloses the supremum of a function over a union of boxes.

    Args:
        bound: see `Bound`; called with at most BLOCK boxes, in several threads at once. Its values must be
            rigorous, and infinite rather than NaN where nothing is known.
        lo: (k, d) lower corners of boxes that cover the domain.
        hi: (k, d) upper corners; equal to the lower ones where a box is a point.
        absolute: the gap upper − lower that is good enough,
        relative: or as a part of |lower|; the larger one of both counts.
        max_boxes: when so many were bounded, the search ends with the gap that is left.

    Returns:
        Bounds that hold in any case; `complete` says whether they are as close as was asked.
    """
    best, at, settled, boxes = -np.inf, lo[0], -np.inf, 0
    ceiling = np.full(len(lo), np.inf)  # what is known from the box that a box was split from
    while len(lo):
        lower, upper, where = _bounded(bound, lo, hi)
        upper = np.minimum(upper, ceiling)
        boxes += len(lo)
        highest = int(np.argmax(lower))
        if lower[highest] > best:
            best, at = float(lower[highest]), where[highest]
        is_open = ~((upper <= _enough(best, absolute, relative)) & np.isfinite(upper))
        settled = max(settled, float(upper[~is_open].max(initial=-np.inf)))
        lo, hi, ceiling = lo[is_open], hi[is_open], upper[is_open]
        over = boxes + 2 * len(lo) > max_boxes
        below, above, is_split = halves(lo, hi)
        lo, hi = (np.concatenate(ends) for ends in zip(below, above, strict=True))
        left = ceiling if over else ceiling[~is_split]
        settled = max(settled, float(left.max(initial=-np.inf)))
        if over:
            break
        ceiling = np.tile(ceiling[is_split], 2)
    upper_bound = max(settled, best)
    complete = bool(np.isfinite(upper_bound) and upper_bound <= _enough(best, absolute, relative))
    return Supremum(best, upper_bound, at, boxes, complete)


def _enough(best: float, absolute: float, relative: float) -> float:
    """Returns the upper bound that is good enough where `best` is reached."""
    return best + max(absolute, relative * abs(best)) if np.isfinite(best) else best


def _bounded(bound: Bound, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
    def part(first: int) -> tuple[Array, Array, Array]:
        with np.errstate(all="ignore"):  # which a thread does not inherit: bounds may be infinite
            return bound(lo[first : first + BLOCK], hi[first : first + BLOCK])

    if len(lo) <= BLOCK:
        return part(0)
    from concurrent.futures import ThreadPoolExecutor  # which few searches need, and takes time to load

    starts = range(0, len(lo), BLOCK)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:  # numpy lets go of the lock
        parts = threads.map(part, starts)
    lower, upper, at = zip(*parts, strict=True)
    return np.concatenate(lower), np.concatenate(upper), np.concatenate(at)


def halves(
    lo: Array, hi: Array, sides: Array | float = 1.0
) -> tuple[tuple[Array, Array], tuple[Array, Array], NDArray[np.bool_]]:
    """Cuts boxes in two, in the middle of the side that is longest as a part of `sides` (d,).

    Returns:
        Corners of the lower halves, those of the upper ones, and (k,) True where floats allow the cut.
    """
    axis = np.argmax((hi - lo) / sides, axis=1) if len(lo) else np.zeros(0, np.int64)
    rows = np.arange(len(lo))
    low, high = lo[rows, axis], hi[rows, axis]
    middle = low + (high - low) / 2
    is_split = (low < middle) & (middle < high)
    below, above = hi.copy(), lo.copy()
    below[rows, axis] = above[rows, axis] = middle
    return (lo[is_split], below[is_split]), (above[is_split], hi[is_split]), is_split
