"""Rigorous upper and lower bounds on the largest error of a network.

sup |network − f| over an interval or a box, by branch and bound: on each cell the error is enclosed by
straight lines or intervals whose rounding is accounted for; cells that could hold more than what is reached
somewhere are halved. Nothing here is sampled: the lower bound is the enclosed error at a point, the upper one
covers every point. Both are about the network with its weights in exact arithmetic; how far values may be
from that when torch computes them is bounded beside them, by `nnlab.approximation.evaluation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.boxes import certify_boxes, check_corners, check_target
from nnlab.approximation.evaluation import evaluation_error
from nnlab.approximation.line import LineNetwork, Lines, strayed
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import Target
from nnlab.display import displayed
from nnlab.errors import InputError
from nnlab.expressions import Interval
from nnlab.rigorous.supremum import MAX_BOXES, supremum

Array = NDArray[np.float64]

U = 2.0**-53
MANY = 2**14  # cells of a block from which on target evaluations are shared by two
PROMISING = 64  # cells of a block in which the error is looked at closely for a lower bound


@displayed
@dataclass(frozen=True)
class Certificate:
    """Proved bounds on sup |network − f|.

    Attributes:
        lower: the error is at least this, at `at`.
        upper: the error is nowhere larger.
        at: (d,) a point where it is at least `lower`.
        evaluation: |network as torch computes it on a CPU − network| is nowhere larger.
        boxes: cells that were bounded.
        complete: True where the requested gap was reached; the bounds hold in any case.
    """

    lower: float
    upper: float
    at: tuple[float, ...]
    evaluation: float
    boxes: int
    complete: bool


def certify(
    network: ScalarNetwork,
    target: Target,
    interval: tuple[float, float] = (0.0, 1.0),
    *,
    absolute: float = 0.0,
    relative: float | None = None,
    max_boxes: int = MAX_BOXES,
) -> Certificate:
    """Bounds on sup |network − f| over an interval, or over a cube.

    Args:
        network: any activation. With one input and one hidden layer the cost grows with the number of units,
            not with its product with the number of cells; others are enclosed by `boxes`.
        target: f.
        interval: (a, b), and the cube (a, b)^d for targets of d variables.
        absolute: the gap between both bounds that is good enough,
        relative: or as a part of the lower one, 10⁻⁹ by default, 10⁻² over boxes; what rounding leaves open
            is always good enough.
        max_boxes: the search ends after so many.

    Raises:
        InputError: the interval is reversed, or not finite; network and target have different dimensions; the
            weights are neither float64 nor float32; the target is not defined everywhere (a DomainError).
    """
    low, high = interval
    lo, hi = (np.full((1, network.inputs), end, np.float64) for end in interval)
    check_corners(lo[:, :1], hi[:, :1], "interval")
    if network.inputs != target.dimension:
        raise InputError(
            f"the network has {network.inputs} inputs, but {target.text} has {target.dimension} variables"
        )
    check_target(target, lo, hi)
    if not all(np.isfinite(part).all() for pair in network.weights() for part in pair):
        return Certificate(0.0, np.inf, (low,) * network.inputs, np.inf, 0, False)  # nothing is known
    if network.inputs > 1 or len(network.layers) > 2:  # bounds that hold for what torch computes as well
        bounds = certify_boxes(
            network, target, lo, hi,
            absolute=absolute, relative=1e-2 if relative is None else relative, max_boxes=max_boxes,
        )  # fmt: skip
    else:
        line = LineNetwork(network, tails=0.01 * absolute, origin=_origin(low, high))
        error = LineError(line, target)
        borders = error.borders(low, high)
        bounds = supremum(
            error.bound, borders[:-1, None], borders[1:, None],
            absolute=max(absolute, 2 * error.rounding(low, high)),
            relative=1e-9 if relative is None else relative, max_boxes=max_boxes,
        )  # fmt: skip
    at = tuple(float(x) for x in bounds.at)
    evaluation = evaluation_error(network, lo[0], hi[0])
    return Certificate(max(0.0, bounds.lower), bounds.upper, at, evaluation, bounds.boxes, bounds.complete)


def _origin(low: float, high: float) -> float:
    """The place that x is counted from: 0, or the middle of an interval that is far away."""
    middle = low + (high - low) / 2
    return middle if abs(middle) > 4 * (high - low) else 0.0


class LineError:
    """The error of a network with one hidden layer on the line, over cells."""

    def __init__(self, network: LineNetwork, target: Target) -> None:
        self.network, self.target = network, target
        self._best = -np.inf

    def borders(self, low: float, high: float) -> Array:
        """The cells to begin with: cut where a unit steps, halfway between, and at the target's knots."""
        inside = [self.network.borders(low, high), self.target.knots(low, high)]
        ends = np.concatenate([np.array([low, high]), *inside])
        ends = np.unique(np.clip(ends, low, high))
        cells = np.empty(2 * len(ends) - 1)
        cells[::2], cells[1::2] = ends, ends[:-1] + np.diff(ends) / 2
        return cells

    def rounding(self, low: float, high: float) -> float:
        """The width that the enclosure of the error keeps at a point; of jumps, at most others."""
        points = np.linspace(low, high, 257)
        net, f = self.network.lines(points, points), self.target.enclose(points[:, None], points[:, None])
        width = (net.above[0] - net.below[0]) + (f.hi - f.lo)
        return float(np.median(width))

    def bound(self, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        """Bounds |network − f| for `supremum`: a value reached in each cell, one not exceeded, the place."""
        a, b = lo[:, 0], hi[:, 0]
        f, slope, values = self._target_lines(a, b)
        net = self.network.lines(a, b, slope)
        with np.errstate(invalid="ignore"):  # ∞ − ∞ where nothing is known
            upper = np.maximum(net.above - f.below, f.above - net.below).max(axis=0)
            if values is not None:  # of steep functions the range may say more than lines
                flat = np.maximum(net.above.max(axis=0) - values.lo, values.hi - net.below.min(axis=0))
                upper = np.fmin(upper, flat)
        upper = np.where(np.isnan(upper), np.inf, upper * (1 + 2 * U))
        lower, at = np.full(len(a), -np.inf), lo.copy()
        if upper.max() <= self._best:  # nothing here is larger than what is reached elsewhere
            return lower, upper, at
        top = np.argpartition(upper, -PROMISING)[-PROMISING:] if len(a) > PROMISING else np.arange(len(a))
        lower[top], at[top, 0] = self._reached(a[top], b[top], slope[top])
        self._best = max(self._best, float(lower.max()))
        return lower, upper, at

    def _target_lines(self, a: Array, b: Array) -> tuple[Lines, Array, Interval | None]:
        """Straight lines around f over each cell, the slope between them, and the range if it is known."""
        if len(a) >= MANY and len(a) % 2 == 0 and np.array_equal(a[1:], b[:-1]):
            return *self._paired_lines(a, b), None
        lo, hi = self._at_ends(a, b)
        values, (steep,) = self.target.slopes(a[:, None], b[:, None])
        h = b - a
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (lo[1] - lo[0]) / h
        slope[~np.isfinite(slope)] = 0.0
        stray = strayed(lo, h, steep)
        # the ends are known to within their own width, and the chord between them too
        stray = stray * (1 + 16 * U) + 2 * (hi - lo).max(axis=0) + 4 * U * h * steep.magnitude
        known = np.isfinite(stray) & np.isfinite(lo).all(axis=0)
        below, above = np.where(known, lo - stray, values.lo), np.where(known, hi + stray, values.hi)
        return Lines(below, above), slope, values

    def _paired_lines(self, a: Array, b: Array) -> tuple[Lines, Array]:
        """The same for cells that follow one another, two by two, from the point that a pair shares.

        Half of the evaluations; the lines leave as much room as the slope varies, which is little where there
        are that many cells.
        """
        middle = b[::2]
        f = self.target.enclose(middle[:, None], middle[:, None])
        values, (steep,) = self.target.slopes(a[::2, None], b[1::2, None])
        known = np.isfinite(steep.lo) & np.isfinite(steep.hi) & np.isfinite(f.lo) & np.isfinite(f.hi)
        p, q = steep.lo, steep.hi
        left, right = middle - a[::2], b[1::2] - middle
        slack = 4 * U * np.maximum(left, right) * steep.magnitude
        low, high = f.lo - slack, f.hi + slack
        below = [(low - q * left, low), (low, low + p * right)]  # at both ends of the left and right cell
        above = [(high - p * left, high), (high, high + q * right)]
        lines = (
            np.where(known, np.array(ends), unknown).swapaxes(1, 2).reshape(2, -1)
            for ends, unknown in ((below, values.lo), (above, values.hi))
        )
        slope = np.repeat(np.where(known, p + (q - p) / 2, 0.0), 2)
        return Lines(*lines), slope

    def _at_ends(self, a: Array, b: Array) -> tuple[Array, Array]:
        """(2, k) bounds on f at both ends of each cell; ends that neighbours share are evaluated once."""
        if np.array_equal(a[1:], b[:-1]):
            f = self.target.enclose(*[np.append(a, b[-1])[:, None]] * 2)
            return np.stack([f.lo[:-1], f.lo[1:]]), np.stack([f.hi[:-1], f.hi[1:]])
        ends = [self.target.enclose(x[:, None], x[:, None]) for x in (a, b)]
        return np.stack([f.lo for f in ends]), np.stack([f.hi for f in ends])

    def _reached(self, a: Array, b: Array, slope: Array) -> tuple[Array, Array]:
        """The largest error that is certainly reached at one of some points of each cell, and where."""
        points = self.network.candidates(a, b, slope)  # (k, j)
        x = points.ravel()
        net, f = self.network.lines(x, x), self.target.enclose(x[:, None], x[:, None])
        error = np.maximum(net.below[0] - f.hi, f.lo - net.above[0]) * (1 - 2 * U)
        error = np.where(np.isnan(error), -np.inf, error).reshape(points.shape)
        best = error.argmax(axis=1)
        rows = np.arange(len(a))
        return error[rows, best], points[rows, best]


def histogram_lower_bound(target: Target, borders: Sequence[float] | Array) -> float:
    """No histogram with these bins is closer to f than this: half of what f varies within one of them.

    Args:
        target: f of one variable, continuous.
        borders: (N + 1,) ends of the bins, ascending.

    Returns:
        A rigorous lower bound on min over heights of sup |h − f|, from f at the ends and middles of the bins.
    """
    ends = np.asarray(borders, np.float64)
    f = target.enclose(ends[:, None], ends[:, None])
    middle = ends[:-1] + np.diff(ends) / 2
    m = target.enclose(middle[:, None], middle[:, None])
    highest = np.maximum(np.maximum(f.lo[:-1], f.lo[1:]), m.lo)
    lowest = np.minimum(np.minimum(f.hi[:-1], f.hi[1:]), m.hi)
    return max(0.0, float(np.nextafter((highest - lowest).max() / 2, -np.inf)))
