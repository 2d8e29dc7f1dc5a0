"""Means over a box, and with them how far a network is from its target: in mean square, and at most.

A maximum over points is called sampled; only the certified one, from `boxes`, is a bound.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc

from nnlab.approximation.boxes import certify_boxes
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import Target
from nnlab.errors import InputError

Array = NDArray[np.float64]

PANELS = {1: (96, 8), 2: (16, 4), 3: (8, 3)}  # by d: panels per axis, Gauss–Legendre nodes per panel
SOBOL = 13  # log₂ of the points where d = 4
MOST_DIMENSIONS = 4
GRID = {1: 20_001, 2: 257, 3: 41, 4: 15}  # by d: points per axis at which the largest error is looked for


class Rule(NamedTuple):
    """A quadrature rule for the mean over a box.

    Attributes:
        points: (M, d).
        weights: (M,), their sum is 1.
    """

    points: Array
    weights: Array

    def mean(self, values: Array) -> float:
        """Σ weight · value."""
        return float(self.weights @ values)


class Errors(NamedTuple):
    """The errors of a network over a box, as measured; numbers, or arrays of them for many networks.

    Attributes:
        l2: √ of the mean of (network − f)² over the box.
        sup_sampled: the largest |network − f| at the points of a grid, borders included: no bound from above.
        sup_lower, sup_upper: certified bounds on sup |network − f|; NaN where they were not asked for.
    """

    l2: Array
    sup_sampled: Array
    sup_lower: Array
    sup_upper: Array


def box_of(dimension: int, lo: ArrayLike, hi: ArrayLike) -> tuple[Array, Array]:
    """(d,) corners; a number stands for all coordinates.

    Raises:
        InputError: more than 4 dimensions, corners that are not (d,), or an empty side.
    """
    if dimension > MOST_DIMENSIONS:
        raise InputError(
            f"dimension: {dimension} is not allowed: quadrature here goes up to {MOST_DIMENSIONS}"
        )
    low, high = np.asarray(lo, np.float64), np.asarray(hi, np.float64)
    if not {low.shape, high.shape} <= {(), (dimension,)}:
        raise InputError(
            f"box: corners {low.shape} and {high.shape}: must be numbers or have {dimension} entries"
        )
    low, high = np.broadcast_to(low, dimension), np.broadcast_to(high, dimension)
    if not (low < high).all():
        raise InputError(f"box: {low.tolist()} to {high.tolist()}: every side must have a positive length")
    return low, high


def quadrature(lo: Array, hi: Array, *, coarse: bool = False) -> Rule:
    """Gauss–Legendre on equal panels for d ≤ 3 (768, 4096, 13824 points), Sobol's sequence for d = 4 (8192).

    Args:
        lo, hi: (d,) corners of the box.
        coarse: half the panels, or half the points of the sequence.
    """
    d = len(lo)
    if d > 3:
        # the sequence begins in a corner, (0, 0, 0, 0): half a step of its lattice puts the points into cells
        unit = qmc.Sobol(d, scramble=False).random_base2(SOBOL - coarse) + 0.5 ** (SOBOL - coarse + 1)
        return Rule(lo + (hi - lo) * unit, np.full(len(unit), 1 / len(unit)))
    panels, order = PANELS[d]
    panels = panels // 2 if coarse else panels
    z, w = np.polynomial.legendre.leggauss(order)
    nodes = ((np.arange(panels)[:, None] + (z + 1) / 2) / panels).ravel()
    unit = np.stack(np.meshgrid(*[nodes] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weights = np.ones(1)
    for _ in range(d):
        weights = np.multiply.outer(weights, np.tile(w / 2, panels) / panels)
    return Rule(lo + (hi - lo) * unit, weights.ravel())


def grid(lo: Array, hi: Array) -> Array:
    """(n, d) points of a grid that reaches the borders of the box."""
    axes = [np.linspace(a, b, GRID[len(lo)]) for a, b in zip(lo, hi, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(lo))


def measure(
    network: ScalarNetwork,
    target: Target,
    lo: ArrayLike = 0.0,
    hi: ArrayLike = 1.0,
    *,
    certify: bool = True,
) -> Errors:
    """The errors of a network over a box, uniform measure.

    Args:
        network: with d inputs, d ≤ 4.
        target: f.
        lo, hi: corners of the box (d,), or numbers.
        certify: True to bound the largest error, to 5% of it or to what is left after 30,000 boxes.

    Raises:
        InputError: what `box_of` refuses.
    """
    low, high = box_of(target.dimension, lo, hi)
    rule, at = quadrature(low, high), grid(low, high)
    l2 = math.sqrt(rule.mean((network.values(rule.points) - target.values(rule.points)) ** 2))
    sampled = np.abs(network.values(at) - target.values(at)).max()
    bounds = math.nan, math.nan
    if certify:
        sup = certify_boxes(network, target, low, high, relative=0.05, max_boxes=30_000)
        bounds = sup.lower, sup.upper
    return Errors(*np.array([l2, sampled, *bounds]))
