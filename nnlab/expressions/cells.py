"""Boxes cut into cells: a grid to start with, and halves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

START = 64
"""Cells of the grid, about, whatever the number of variables."""


def first_cells(intervals: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """(k, d) lower and upper corners of a grid of about START cells that covers the box."""
    if not intervals:
        return np.zeros((1, 0)), np.zeros((1, 0))
    count = max(2, round(START ** (1 / len(intervals))))
    ends = [_pieces(low, high, count) for low, high in intervals]
    low = np.stack([g.ravel() for g in np.meshgrid(*(a for a, _ in ends), indexing="ij")], axis=1)
    high = np.stack([g.ravel() for g in np.meshgrid(*(b for _, b in ends), indexing="ij")], axis=1)
    return low, high


def _pieces(low: float, high: float, count: int) -> tuple[Array, Array]:
    edges = np.clip(np.linspace(low, high, count + 1), low, high)
    edges[0], edges[-1] = low, high
    edges = np.unique(edges)
    return (edges[:-1], edges[1:]) if len(edges) > 1 else (edges, edges)


def halved(lo: Array, hi: Array, sides: Array) -> tuple[Array, Array]:
    """Both halves of each cell, cut across the side that is longest as a part of `sides` (d,).

    The upper halves come first: who takes cells from the end looks at the lower ones first.
    """
    if not len(lo):
        return lo, hi
    rows = np.arange(len(lo))
    axis = np.argmax((hi - lo) / sides, axis=1)
    middle = 0.5 * lo[rows, axis] + 0.5 * hi[rows, axis]
    below, above = hi.copy(), lo.copy()
    below[rows, axis] = above[rows, axis] = middle
    return np.concatenate([above, lo]), np.concatenate([hi, below])
