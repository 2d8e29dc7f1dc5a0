"""How far a network of any depth is from its target over boxes of R^d: bounds that are proofs.

Intervals go through the layers as midpoint and radius, so that every layer is two matrix products:
|W x − W m| ≤ |W| r for |x − m| ≤ r (Rump 1999, "Fast and parallel interval arithmetic", BIT 39). Rounding is
bounded beforehand: a product of n terms is off by at most γ|W||x|, γ = nu/(1 − nu), in whatever order it is
summed (Higham 2002, "Accuracy and stability of numerical algorithms", ch. 3). Twice that radius holds both
the exact network and the one that torch evaluates in float64, whose elementary functions are within ULPS.

Partial derivatives go forward with the values. With [p, q] ∋ ∂ᵢe over the box, e = network − f lies below

    e(c) + Σᵢ max(qᵢ(hiᵢ − cᵢ), pᵢ(loᵢ − cᵢ))    for any c in the box,

and the c that makes this least is an end where e is monotone in xᵢ, and (qᵢ hiᵢ − pᵢ loᵢ)/(qᵢ − pᵢ) elsewhere
(Baumann 1988, "Optimal centered forms", BIT 28). So boxes over which the error is monotone are done exactly.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.network import Network
from nnlab.approximation.targets import Target
from nnlab.errors import InputError
from nnlab.graph import Interval
from nnlab.graph.supremum import MAX_BOXES, Supremum, supremum

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

U = 2.0**-53  # the unit roundoff of float64
ULPS = 16 * U  # how far φ as computed may be from φ, where |φ| ≤ 1.5; both numpy's and torch's
TINY = 1e-300  # more than what underflow loses
CHUNK = 2**16  # values of hidden units that are enclosed at once: they stay in the cache
LEVELS = (-40.0, -12.0, -4.0, 0.0, 4.0, 12.0, 40.0)  # scores between which a step is a coordinate of its own
MAX_STEPS = 4096


@dataclass(frozen=True)
class Ball:
    """Intervals as midpoint and radius, of any shape."""

    mid: Array
    rad: Array

    @property
    def lo(self) -> Array:
        return self.mid - self.rad * (1 + 4 * U) - 2 * U * np.abs(self.mid)

    @property
    def hi(self) -> Array:
        return self.mid + self.rad * (1 + 4 * U) + 2 * U * np.abs(self.mid)

    def __mul__(self, other: "Ball") -> "Ball":
        size = np.abs(self.mid) + self.rad
        mid = self.mid * other.mid
        return Ball(
            mid, (size * other.rad + self.rad * np.abs(other.mid)) * (1 + 8 * U) + 2 * U * np.abs(mid) + TINY
        )

    @classmethod
    def between(cls, lo: Array, hi: Array) -> "Ball":
        mid = lo + (hi - lo) / 2
        return cls(mid, np.maximum(hi - mid, mid - lo) * (1 + 2 * U) + TINY)


class _Layer:
    """x ↦ W x + b for intervals."""

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.size, self.bias = weight.T.copy(), np.abs(weight).T.copy(), bias
        self.gamma = 1.01 * (weight.shape[1] + 8) * U

    def __call__(self, x: Ball, bias: bool = True) -> Ball:
        """(k, n) to (k, m): holds W x + b, and what float64 makes of it."""
        gamma = self.gamma
        mid = x.mid @ self.weight
        rad = np.abs(x.mid)
        rad += x.rad
        rad *= 2 * gamma
        rad += x.rad
        rad = rad @ self.size
        if bias:
            mid += self.bias
            rad += 2 * gamma * np.abs(self.bias)
        rad *= 1 + 2 * gamma
        rad += TINY
        return Ball(mid, rad)


class BoxNetwork:
    """A network whose values and slopes are enclosed over many boxes at once.

    Works in chunks, so that no array holds more than CHUNK values of hidden units.
    """

    def __init__(self, network: Network) -> None:
        weights = network.weights()
        self.layers = [_Layer(w, b) for w, b in weights]
        (first, _), (second, _) = weights[:2]
        # the slopes in xᵢ enter the second layer as W₂ diag(column i of W₁) φ'(z₁)
        self.entries = [_Layer(second * first[:, i], np.zeros(len(second))) for i in range(network.inputs)]
        self.activate = ACTIVATE[network.activation]
        self.sigmoid_output = network.output_activation == "sigmoid"
        self.rows = max(1, CHUNK // max(max(layer.weight.shape) for layer in self.layers))

    def values(self, lo: Array, hi: Array) -> Interval:
        """(k, d) corners of boxes to (k,) intervals that hold the values, exact and as computed."""
        return self._in_chunks(lo, hi, False)[0]

    def slopes(self, lo: Array, hi: Array) -> tuple[Interval, tuple[Interval, ...]]:
        """(k, d) corners of boxes to the values, and to (k,) intervals of each partial derivative.

        The derivatives are those of the exact network: infinite where a hard step may lie in the box.
        """
        return self._in_chunks(lo, hi, True)

    def _in_chunks(self, lo: Array, hi: Array, slopes: bool) -> tuple[Interval, tuple[Interval, ...]]:
        starts = range(0, max(1, len(lo)), self.rows)
        parts = [self._chunk(lo[i : i + self.rows], hi[i : i + self.rows], slopes) for i in starts]
        columns = [_joined(column) for column in zip(*parts, strict=True)]
        return columns[0], tuple(columns[1:])

    def _chunk(self, lo: Array, hi: Array, slopes: bool) -> list[Interval]:
        h, slope, jumps = self.activate(self.layers[0](Ball.between(lo, hi)), slopes)
        tangents = [entry(slope, bias=False) for entry in self.entries] if slope is not None else []
        z = self.layers[1](h)
        for layer in self.layers[2:]:
            h, slope, more = self.activate(z, slopes)
            jumps = jumps | more
            z = layer(h)
            if slope is not None:
                tangents = [layer(slope * tangent, bias=False) for tangent in tangents]
        if self.sigmoid_output:
            z, slope, _ = _sigmoid(z, slopes)
            if slope is not None:
                tangents = [slope * tangent for tangent in tangents]
        unknown = np.where(jumps, np.inf, 0.0)
        return [_interval(z), *(_interval(tangent, unknown) for tangent in tangents)]


def _interval(ball: Ball, more: Array | float = 0.0) -> Interval:
    """(k, 1) balls to (k,) intervals, widened."""
    return Interval(ball.lo[:, 0] - more, ball.hi[:, 0] + more)


def _joined(parts: Sequence[Interval]) -> Interval:
    return Interval(np.concatenate([part.lo for part in parts]), np.concatenate([part.hi for part in parts]))


# --- activations ---------------------------------------------------------------------------------------

Activated = tuple[Ball, Ball | None, Bools]
"""φ(z), φ'(z) where it was asked for, and (k,) whether a row may hold a jump."""


def _around(lo: Array, hi: Array, error: float) -> Ball:
    """The ball from lo to hi, which are off by at most the error; for |lo|, |hi| ≤ 1.5."""
    mid = lo + hi
    mid *= 0.5
    rad = hi - lo
    rad *= 0.5
    rad += error + 4 * U
    return Ball(mid, rad)


def _no_jumps(z: Ball) -> Bools:
    return np.zeros(len(z.mid), np.bool_)


def _range(at_lo: Array, at_hi: Array, inside: Sequence[tuple[Bools, float]]) -> tuple[Array, Array]:
    """Least and largest value of a function over [lo, hi], monotone but for extrema that may be inside."""
    low, high = np.minimum(at_lo, at_hi), np.maximum(at_lo, at_hi)
    for where, extremum in inside:
        np.minimum(low, extremum, out=low, where=where)
        np.maximum(high, extremum, out=high, where=where)
    return low, high


def sigmoid(z: Array) -> Array:
    """σ(z) = 1/(1 + e^{−z})."""
    s = np.negative(z)
    with np.errstate(over="ignore"):
        np.exp(s, out=s)
    s += 1
    return np.divide(1.0, s, out=s)


def _sigmoid(z: Ball, slopes: bool) -> Activated:
    lo, hi = sigmoid(z.lo), sigmoid(z.hi)
    value = _around(lo, hi, ULPS)
    if not slopes:
        return value, None, _no_jumps(z)
    top = (lo < 0.5 + ULPS) & (hi > 0.5 - ULPS)
    return value, _around(*_range(lo - lo * lo, hi - hi * hi, [(top, 0.25)]), 2 * ULPS), _no_jumps(z)


def _tanh(z: Ball, slopes: bool) -> Activated:
    lo, hi = np.tanh(z.lo), np.tanh(z.hi)
    value = _around(lo, hi, ULPS)
    if not slopes:
        return value, None, _no_jumps(z)
    top = (lo < ULPS) & (hi > -ULPS)
    return value, _around(*_range(1 - lo * lo, 1 - hi * hi, [(top, 1.0)]), 4 * ULPS), _no_jumps(z)


def _ripple(z: Ball, slopes: bool) -> Activated:
    """σ(z) + z e^{−z²}, whose wave has its extrema ±√(1/2e) at ±√½; the wave's slope at 0 and ±√(3/2)."""
    s_lo, s_hi = sigmoid(z.lo), sigmoid(z.hi)
    z_lo, z_hi = np.clip(z.lo, -30, 30), np.clip(z.hi, -30, 30)  # the wave is below 1e-389 beyond
    g_lo, g_hi = np.exp(-z_lo * z_lo), np.exp(-z_hi * z_hi)
    crest = math.sqrt(0.5 / math.e)
    wave = _range(
        z_lo * g_lo, z_hi * g_hi,
        [(_holds(z_lo, z_hi, math.sqrt(0.5)), crest), (_holds(z_lo, z_hi, -math.sqrt(0.5)), -crest)],
    )  # fmt: skip
    value = _around(s_lo + wave[0], s_hi + wave[1], 4 * ULPS)
    if not slopes:
        return value, None, _no_jumps(z)
    turn, middle = math.sqrt(1.5), _holds(z_lo, z_hi, 0.0)
    steep = _range(s_lo - s_lo * s_lo, s_hi - s_hi * s_hi, [(middle, 0.25)])
    dips = _holds(z_lo, z_hi, turn) | _holds(z_lo, z_hi, -turn)
    wave = _range(
        (1 - 2 * z_lo * z_lo) * g_lo, (1 - 2 * z_hi * z_hi) * g_hi,
        [(middle, 1.0), (dips, -2 * math.exp(-1.5))],
    )  # fmt: skip
    return value, _around(steep[0] + wave[0], steep[1] + wave[1], 16 * ULPS), _no_jumps(z)


def _holds(lo: Array, hi: Array, point: float) -> Bools:
    slack = 8 * U
    return (lo <= point + slack) & (hi >= point - slack)


def _relu(z: Ball, slopes: bool) -> Activated:
    lo, hi = np.maximum(z.lo, 0.0), np.maximum(z.hi, 0.0)
    slope = Ball.between((z.lo > 0).astype(np.float64), (z.hi > 0).astype(np.float64)) if slopes else None
    return Ball.between(lo, hi), slope, _no_jumps(z)


def _step(z: Ball, slopes: bool) -> Activated:
    lo, hi = (z.lo >= 0).astype(np.float64), (z.hi >= 0).astype(np.float64)
    jumps: Bools = np.any(lo < hi, axis=1)
    return Ball((lo + hi) / 2, (hi - lo) / 2), Ball(0 * lo, 0 * lo) if slopes else None, jumps


ACTIVATE: dict[str, Callable[[Ball, bool], Activated]] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "ripple": _ripple,
    "relu": _relu,
    "step": _step,
}


# --- the error of a computed network -------------------------------------------------------------------


def evaluation_error(network: Network, lo: ArrayLike, hi: ArrayLike) -> float:
    """How far the network as torch evaluates it in float64 may be from the exact one, anywhere in a box.

    With e the error of a layer's inputs: |W| e + γ(|W|(|h| + e) + |b|) after W h + b, times the Lipschitz
    constant of φ after φ, whose own error is ULPS. Where a hard step may come out on the wrong side, the
    error of its unit is not counted: `certify_boxes` allows both sides there.

    Args:
        network: with d inputs.
        lo, hi: (d,) corners of the box.
    """
    low, high = np.atleast_2d(np.asarray(lo, np.float64)), np.atleast_2d(np.asarray(hi, np.float64))
    activate, lipschitz = ACTIVATE[network.activation], LIPSCHITZ[network.activation]
    h, error = Ball.between(low, high), np.zeros_like(low)
    layers = [_Layer(w, b) for w, b in network.weights()]
    for number, layer in enumerate(layers):
        size = np.abs(h.mid) + h.rad + error
        error = (error @ layer.size + layer.gamma * (size @ layer.size + np.abs(layer.bias))) * (1 + 1e-6)
        z = layer(h)
        if number < len(layers) - 1:
            h, _, _ = activate(z, False)
            error = lipschitz * error + ULPS * np.maximum(1.0, np.abs(h.mid) + h.rad)
    if network.output_activation == "sigmoid":
        error = error / 4 + ULPS
    return float(error[0, 0] * (1 + 1e-6))


LIPSCHITZ = {"sigmoid": 0.25, "tanh": 1.0, "ripple": 1.25, "relu": 1.0, "step": 0.0}


# --- the certificate -----------------------------------------------------------------------------------


def certify_boxes(
    network: Network,
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
        InputError: empty or reversed boxes, dimensions that do not fit, or nothing left of the domain.
    """
    low, high = _corners(lo, hi, "box")
    if not network.inputs == target.dimension == low.shape[1]:
        raise InputError(
            f"the network has {network.inputs} inputs, {target.text} has {target.dimension} variables, "
            f"the box {low.shape[1]} sides; the three must be equal"
        )
    if outside is not None:
        low, high = remainder(low, high, *_corners(*outside, "excluded box"))
    slack = evaluation_error(network, low.min(axis=0), high.max(axis=0))
    warp = _Warp(network, low, high)
    error = BoxError(BoxNetwork(network), target, slack)

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        return error.bound(*warp.boxes(lo, hi))

    return supremum(
        bound,
        warp.index(low),
        warp.index(high),
        absolute=max(absolute, 4 * slack),
        relative=relative,
        max_boxes=max_boxes,
    )


def _corners(lo: ArrayLike, hi: ArrayLike, what: str) -> tuple[Array, Array]:
    low, high = np.atleast_2d(np.asarray(lo, np.float64)), np.atleast_2d(np.asarray(hi, np.float64))
    if low.ndim != 2 or low.shape != high.shape or low.size == 0:
        raise InputError(f"{what}: corners {np.shape(lo)} and {np.shape(hi)} must both be (d,) or (k, d)")
    wrong = np.argwhere(~(low < high))
    if len(wrong):
        k, i = wrong[0]
        raise InputError(
            f"{what}: side {i + 1} is ({low[k, i]:g}, {high[k, i]:g}), empty or reversed; "
            "the first end must be smaller"
        )
    return low, high


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

    def __init__(self, network: Network, lo: Array, hi: Array) -> None:
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

    def boxes(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """Corners in these coordinates to corners in x; neighbours share theirs, so nothing is lost."""
        return self._x(lo), self._x(hi)

    def _x(self, u: Array) -> Array:
        return np.stack([_interpolate(u[:, i], breaks) for i, breaks in enumerate(self.breaks)], axis=1)


def _interpolate(u: Array, breaks: Array) -> Array:
    """Monotone, and exact at whole numbers."""
    j = np.floor(u).astype(np.int64)
    low, high = breaks[j], breaks[np.minimum(j + 1, len(breaks) - 1)]
    return np.minimum(low + (high - low) * (u - j), high)


class BoxError:
    """The error of a network, e = network − f, enclosed over boxes."""

    def __init__(self, network: BoxNetwork, target: Target, slack: float) -> None:
        self.network, self.target, self.slack = network, target, slack

    def bound(self, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        """For `supremum`: what |e| reaches in each box, what it does not exceed, and where."""
        (net, net_slopes), (f, f_slopes) = self.network.slopes(lo, hi), self.target.slopes(lo, hi)
        with np.errstate(invalid="ignore"):
            value = net - f
            slopes = [a - b for a, b in zip(net_slopes, f_slopes, strict=True)]
        p, q = (_finite(np.stack([getattr(s, end) for s in slopes], axis=1)) for end in ("lo", "hi"))
        above, rise = _centre(lo, hi, p, q)
        below, fall = _centre(lo, hi, -q, -p)  # of −e
        top, bottom = self._at(above), self._at(below)
        upper = np.fmax(
            np.fmin(value.hi, top.hi + rise + self.slack), np.fmin(-value.lo, fall + self.slack - bottom.lo)
        )
        reached = np.stack([top.lo, -top.hi, bottom.lo, -bottom.hi])  # (4, k)
        best = np.nan_to_num(reached, nan=-np.inf).argmax(axis=0)
        lower = np.nan_to_num(reached[best, np.arange(len(lo))], nan=-np.inf)
        at = np.where((best < 2)[:, None], above, below)
        return np.maximum(lower, 0.0), np.nan_to_num(upper * (1 + 8 * U), nan=np.inf), at

    def _at(self, x: Array) -> Interval:
        with np.errstate(invalid="ignore"):
            return self.network.values(x, x) - self.target.enclose(x, x)


def _finite(slopes: Array) -> Array:
    """Unbounded slopes as huge ones: a box of any width is then worth nothing, one that is a point all."""
    return np.nan_to_num(slopes, nan=np.nan, posinf=1e300, neginf=-1e300)


def _centre(lo: Array, hi: Array, p: Array, q: Array) -> tuple[Array, Array]:
    """Baumann's centre for an upper bound, and how much a function may rise from there.

    Args:
        lo, hi: (k, d) corners.
        p, q: (k, d) bounds on the partial derivatives.

    Returns:
        (k, d) centres and (k,) the rise Σᵢ max(qᵢ(hiᵢ − cᵢ), pᵢ(loᵢ − cᵢ)); infinite where nothing is known.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        inner = lo + (hi - lo) * (q / (q - p))
        c = np.where(p >= 0, hi, np.where(q <= 0, lo, np.clip(inner, lo, hi)))
        c = np.where(np.isfinite(c), c, lo + (hi - lo) / 2)
        rise = np.maximum(q * (hi - c), p * (lo - c)).sum(axis=1) * (1 + 16 * U) + TINY
    return c, np.nan_to_num(rise, nan=np.inf, posinf=np.inf)
