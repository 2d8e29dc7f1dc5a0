"""Rigorous bounds on the error of a network of any depth over boxes of R^d.

With [pᵢ, qᵢ] ∋ ∂ᵢe over a box, e = network − f lies below

    e(c) + Σᵢ max(qᵢ(hiᵢ − cᵢ), pᵢ(loᵢ − cᵢ))    for any c in the box,

and the c that makes this least is an end where e is monotone in xᵢ, and (qᵢ hiᵢ − pᵢ loᵢ)/(qᵢ − pᵢ) elsewhere
(Baumann 1988, "Optimal centered forms", BIT 28). So boxes over which the error is monotone are done exactly.
The slopes are those of the exact network: where they are used, the error of its evaluation is added.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.enclosures import BoxNetwork, joined
from nnlab.approximation.evaluation import propagated
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import ExpressionTarget, Target
from nnlab.errors import InputError
from nnlab.expressions import Interval, check_domain
from nnlab.rigorous.activations import TINY, U
from nnlab.rigorous.rounding import LARGEST
from nnlab.rigorous.supremum import MAX_BOXES, Supremum, supremum

Array = NDArray[np.float64]

LEVELS = (-40.0, -12.0, -4.0, 0.0, 4.0, 12.0, 40.0)  # scores between which a step is a coordinate of its own
MAX_STEPS = 4096
MOST = LARGEST / 4  # ends of intervals
TILE = 16  # coordinates along an axis that share a restricted network


def certify_boxes(
    network: ScalarNetwork,
    target: Target,
    lo: ArrayLike,
    hi: ArrayLike,
    *,
    absolute: float = 0.0,
    relative: float = 1e-2,
    outside: tuple[ArrayLike, ArrayLike] | None = None,
    max_boxes: int = MAX_BOXES,
) -> Supremum:
    """Bounds on sup |network − f| over boxes of R^d, for the exact network and as torch computes it.

    Args:
        network: with d inputs; any number of hidden layers.
        target: f of d variables.
        lo: (d,) lower corner of the domain, or (k, d) of boxes that make it up.
        hi: (d,) or (k, d) upper corners.
        absolute: the gap between both bounds that is good enough,
        relative: or as a part of the lower one; what rounding leaves open is always good enough.
        outside: lower and upper corners (j, d) of boxes whose insides are left out.
        max_boxes: the search ends after so many.

    Raises:
        InputError: empty, reversed or infinite boxes, dimensions that do not fit, nothing left of the domain,
            weights that are neither float64 nor float32, or a target that is not defined in all boxes.
    """
    low, high = _corners(lo, hi, "box")
    if not network.inputs == target.dimension == low.shape[1]:
        raise InputError(
            f"the network has {network.inputs} inputs, {target.text} has {target.dimension} variables, "
            f"the box {low.shape[1]} sides; the three must be equal"
        )
    check_target(target, low, high)
    if not all(np.isfinite(part).all() for pair in network.weights() for part in pair):
        return Supremum(0.0, np.inf, low[0], 0, False)  # nothing is known
    if outside is not None:
        low, high = remainder(low, high, *_corners(*outside, "excluded box"))
    slack = propagated(network, low.min(axis=0)[None], high.max(axis=0)[None], U, flips=False)
    warp = _Warp(network, low, high)
    tiles = _Tiles(BoxNetwork.of(network), warp)

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        return _bound_error(tiles, target, slack, warp.x(lo), warp.x(hi), warp.tile(lo))

    return supremum(
        bound,
        *warp.cut(warp.index(low), warp.index(high)),
        absolute=max(absolute, 4 * slack),
        relative=relative,
        max_boxes=max_boxes,
    )


def _corners(lo: ArrayLike, hi: ArrayLike, what: str) -> tuple[Array, Array]:
    low, high = np.atleast_2d(np.asarray(lo, np.float64)), np.atleast_2d(np.asarray(hi, np.float64))
    if low.ndim != 2 or low.shape != high.shape or low.size == 0:
        raise InputError(f"{what}: corners {np.shape(lo)} and {np.shape(hi)} must both be (d,) or (k, d)")
    check_corners(low, high, what)
    return low, high


def check_corners(lo: Array, hi: Array, what: str) -> None:
    """Refuses boxes with a side that is empty, reversed, or so long that float64 cannot halve it.

    Raises:
        InputError: names the side.
    """
    wrong = np.argwhere(~((lo >= -MOST) & (lo < hi) & (hi <= MOST)))
    if len(wrong):
        k, i = wrong[0]
        ends = f"({lo[k, i]:g}, {hi[k, i]:g})"
        side = f"{what}: side {i + 1} is {ends}," if lo.shape[1] > 1 else f"{what}: {ends} is"
        if lo[k, i] < hi[k, i]:
            raise InputError(f"{side} beyond ±{MOST:.2g}; both ends must be within")
        raise InputError(f"{side} empty or reversed; the first end must be smaller")


def check_target(target: Target, lo: Array, hi: Array) -> None:
    """Refuses an expression that has no finite value somewhere in one of the boxes (k, d).

    Raises:
        DomainError: names the operation and the place.
    """
    if isinstance(target, ExpressionTarget):
        for low, high in zip(lo.tolist(), hi.tolist(), strict=True):
            check_domain(target.graph, dict(zip(target.variables, zip(low, high, strict=True), strict=True)))


def remainder(lo: Array, hi: Array, out_lo: Array, out_hi: Array) -> tuple[Array, Array]:
    """Boxes that tile what is left of some boxes when the insides of others are taken out.

    Every side is cut where an excluded box begins or ends.

    Args:
        lo, hi: (k, d) corners of the domain.
        out_lo, out_hi: (j, d) corners of the excluded boxes.

    Raises:
        InputError: nothing is left.
    """
    pieces = []
    for low, high in zip(lo, hi, strict=True):
        cuts = [
            np.unique(np.concatenate([np.array([low[i], high[i]]), np.clip(ends, low[i], high[i])]))
            for i, ends in enumerate(np.concatenate([out_lo, out_hi]).T)
        ]
        inside = np.zeros([len(cut) - 1 for cut in cuts], np.bool_)
        for a, b in zip(out_lo, out_hi, strict=True):
            inside[
                tuple(
                    slice(*np.searchsorted(cut, np.clip([a[i], b[i]], low[i], high[i])))
                    for i, cut in enumerate(cuts)
                )
            ] = True
        cells = np.argwhere(~inside)
        pieces.append(
            [np.stack([cut[cells[:, i] + s] for i, cut in enumerate(cuts)], axis=1) for s in (0, 1)]
        )
    low, high = (np.concatenate(corner) for corner in zip(*pieces, strict=True))
    if len(low) == 0:
        raise InputError("the excluded boxes cover the whole domain; make them smaller")
    return low, high


class _Warp:
    """Coordinates in which a steep step along an axis is as wide as the flat stretch beside it.

    Boxes are halved across their longest side: in x a step that is a thousandth of a cell wide would have
    its neighbourhood cut into a thousand squares. Here u = 0, 1, 2, … at the borders and, around every step,
    at the scores LEVELS; straight in between.
    """

    def __init__(self, network: ScalarNetwork, lo: Array, hi: Array) -> None:
        weight, bias = network.weights()[0]
        aligned = (weight != 0).sum(axis=1) == 1
        self.breaks = []
        for i in range(lo.shape[1]):
            low, high = lo[:, i].min(), hi[:, i].max()
            w, b = weight[aligned, i], bias[aligned]
            steep = np.abs(w) * (high - low) > 4 * max(LEVELS)
            levels = np.zeros(0)
            if steep.sum() <= MAX_STEPS:
                levels = (np.array(LEVELS)[:, None] - b[steep]).ravel() / np.tile(w[steep], len(LEVELS))
            levels = levels[(low < levels) & (levels < high)]
            self.breaks.append(np.unique(np.concatenate([lo[:, i], hi[:, i], levels])))

    def index(self, x: Array) -> Array:
        """(k, d) corners to their coordinates, whole numbers."""
        columns = [np.searchsorted(breaks, x[:, i]) for i, breaks in enumerate(self.breaks)]
        return np.stack(columns, axis=1).astype(np.float64)

    def x(self, u: Array) -> Array:
        """(k, d) coordinates to points. Neighbouring boxes share corners, so nothing between them is lost."""
        return np.stack([_interpolate(u[:, i], breaks) for i, breaks in enumerate(self.breaks)], axis=1)

    @property
    def tiles(self) -> tuple[int, ...]:
        """The number of tiles of TILE^d coordinates along each axis."""
        return tuple(-(-(len(breaks) - 1) // TILE) for breaks in self.breaks)

    def tile(self, lo: Array) -> NDArray[np.int64]:
        """(k, d) lower corners of boxes to (k,) the tile that the box lies in."""
        columns = np.floor(lo.T / TILE).astype(np.int64)
        return np.asarray(np.ravel_multi_index(tuple(columns), self.tiles, mode="clip"))

    def corners(self, tile: int) -> tuple[Array, Array]:
        """(d,) corners of a tile in x."""
        at = np.array(np.unravel_index(tile, self.tiles))
        ends = [np.minimum((at + s) * TILE, [len(breaks) - 1 for breaks in self.breaks]) for s in (0, 1)]
        low, high = (self.x(end[None].astype(np.float64))[0] for end in ends)
        return low, high

    def cut(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """(k, d) boxes of whole coordinates, cut where tiles meet."""
        for axis in range(lo.shape[1]):
            counts = np.ceil(hi[:, axis] / TILE) - np.floor(lo[:, axis] / TILE)
            rows = np.repeat(np.arange(len(lo)), counts.astype(np.int64))
            part = np.concatenate([np.arange(n) for n in counts]) + np.floor(lo[rows, axis] / TILE)
            lo, hi = lo[rows], hi[rows]
            lo[:, axis] = np.maximum(lo[:, axis], part * TILE)
            hi[:, axis] = np.minimum(hi[:, axis], (part + 1) * TILE)
        return lo, hi


def _interpolate(u: Array, breaks: Array) -> Array:
    """Monotone, and exact at whole numbers."""
    j = np.floor(u).astype(np.int64)
    low, high = breaks[j], breaks[np.minimum(j + 1, len(breaks) - 1)]
    return np.minimum(low + (high - low) * (u - j), high)


class _Tiles:
    """A network restricted to each tile: a steep one has few units there that are not saturated."""

    def __init__(self, network: BoxNetwork, warp: _Warp) -> None:
        self.network, self.warp = network, warp
        self.parts: dict[int, BoxNetwork] = {}

    def enclose(self, lo: Array, hi: Array, tile: NDArray[np.int64], slopes: bool) -> list[Interval]:
        """The intervals of `BoxNetwork.enclose` for boxes that lie in the given tiles."""
        rows = np.argsort(tile, kind="stable")
        tiles, starts = np.unique(tile[rows], return_index=True)
        groups = zip(tiles, np.split(rows, starts[1:]), strict=True)
        parts = [self._part(int(t)).enclose(lo[of], hi[of], slopes) for t, of in groups]
        ordered, back = joined(parts), np.argsort(rows, kind="stable")
        return [Interval(interval.lo[back], interval.hi[back]) for interval in ordered]

    def _part(self, tile: int) -> BoxNetwork:
        if tile not in self.parts:
            alone = int(np.prod(self.warp.tiles)) == 1
            self.parts[tile] = self.network if alone else self.network.restricted(*self.warp.corners(tile))
        return self.parts[tile]


def _bound_error(
    network: _Tiles, target: Target, slack: float, lo: Array, hi: Array, tile: NDArray[np.int64]
) -> tuple[Array, Array, Array]:
    """Bounds |network − f| for `supremum`: a value reached in each box, one not exceeded, and the place."""
    (net, *net_slopes), (f, f_slopes) = network.enclose(lo, hi, tile, True), target.slopes(lo, hi)
    with np.errstate(invalid="ignore"):
        value = net - f
        slopes = [a - b for a, b in zip(net_slopes, f_slopes, strict=True)]
        p, q = (np.stack([getattr(s, end) for s in slopes], axis=1) for end in ("lo", "hi"))
        above, rise = _centre(lo, hi, p, q)
        below, fall = _centre(lo, hi, -q, -p)  # of −e
        top, bottom = (network.enclose(x, x, tile, False)[0] - target.enclose(x, x) for x in (above, below))
    upper = np.fmax(np.fmin(value.hi, top.hi + rise + slack), np.fmin(-value.lo, fall + slack - bottom.lo))
    reached = np.stack([top.lo, -top.hi, bottom.lo, -bottom.hi])  # (4, k)
    best = np.nan_to_num(reached, nan=-np.inf).argmax(axis=0)
    lower = np.nan_to_num(reached[best, np.arange(len(lo))], nan=-np.inf)
    at = np.where((best < 2)[:, None], above, below)
    return np.maximum(lower, 0.0), np.nan_to_num(upper * (1 + 8 * U), nan=np.inf), at


def _centre(lo: Array, hi: Array, p: Array, q: Array) -> tuple[Array, Array]:
    """Baumann's centres (k, d) for an upper bound with slopes in [p, q], and the rise (k,) from there.

    Where a slope is unbounded a side of any width gives no bound, and one that is a point gives 0.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        inner = lo + (hi - lo) * (q / (q - p))
        c = np.where(p >= 0, hi, np.where(q <= 0, lo, np.clip(inner, lo, hi)))
        c = np.where(np.isfinite(c), c, lo + (hi - lo) / 2)
        sides = np.where(hi > c, q * (hi - c), 0.0), np.where(lo < c, p * (lo - c), 0.0)
        rise = np.maximum(*sides).sum(axis=1) * (1 + 16 * U) + TINY
    return c, np.nan_to_num(rise, nan=np.inf, posinf=np.inf)
