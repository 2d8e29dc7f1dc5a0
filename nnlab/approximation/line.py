"""A network with one hidden layer on the line, enclosed between straight lines over each of many cells.

y(x) = c₀ + Σᵢ cᵢ φ(wᵢx + bᵢ). On a short cell most units of a steep network are saturated: left of the cell
φ is 1 (for the ReLU: z), right of it 0, up to 1e-16. What they add is a difference of prefix sums; only the
few units whose step is near are looked at one by one. So a million units and two million cells take a second
where the dense product would take 10¹² multiplications.

Each near unit is put between two straight lines over the cell, exact in the limit of short cells: where φ is
concave the chord lies below it and every tangent above it, where it is convex the other way round (Zhang et
al. 2018, "Efficient neural network robustness certification with general activation functions", do this for
ReLU and sigmoid layers). Which tangent is free: the one where the error's slope vanishes makes the bound on
the error exact for a lone step against a straight target.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.network import Network
from nnlab.errors import InputError
from nnlab.expressions import Interval, parse, slopes

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

U = 2.0**-53  # the unit roundoff of float64
SATURATED = 38.0  # σ(−38) < 3.2e-17: beyond, σ is 0 or 1 to the last digit
CELLS = 32_768  # looked at together: their numbers stay in the cache
LIPSCHITZ = {"sigmoid": 0.25, "ripple": 1.25, "relu": 1.0, "step": 0.0}


@dataclass(frozen=True)
class Lines:
    """Over each of k cells [a, b] a straight line that lies below a function and one above it.

    Attributes:
        below_a, below_b: (k,) the lower line at the cell's ends.
        above_a, above_b: (k,) the upper line.
    """

    below_a: Array
    below_b: Array
    above_a: Array
    above_b: Array

    def widened(self, radius: float) -> "Lines":
        return Lines(
            self.below_a - radius, self.below_b - radius, self.above_a + radius, self.above_b + radius
        )


@dataclass(frozen=True)
class _Dense:
    """Of the network as it stands: units, output bias, Σ|c|, Σ|c| of units near at once, the largest |b|."""

    units: int
    bias: float
    weight: float
    near: float
    farthest: float


class LineNetwork:
    """The units of a network of one input and one hidden layer, sorted by position, all with w > 0.

    A unit with w < 0 is turned round: σ(z) = 1 − σ(−z), likewise the ripple; max(0, z) = z + max(0, −z); and
    tanh z = 2σ(2z) − 1. Turning is exact but for the constant, whose rounding is part of `error`.

    Attributes:
        kind: sigmoid, ripple, relu or step.
        c, w, b, s: (H,) output weights, steepness, bias and position −b/w.
        constant, slope: what the units that have no step add: constant + slope · x.
        error: what rounding did to constant, slope and prefix sums together, at most, for |x| ≤ 1.

    Units in the same place are merged, so H may be smaller than the network's.
    """

    def __init__(self, network: Network, tails: float = 0.0) -> None:
        """Reads the weights.

        Args:
            tails: what all units together may be off from 0 or 1 where they count as saturated; by default
                less than rounding. The lines account for it in any case; a larger value makes them cheaper.

        Raises:
            InputError: not one input, or not one hidden layer.
        """
        (weight, bias), *last = network.weights()
        if len(last) != 1 or network.inputs != 1:
            raise InputError("this certificate is for networks with one input and one hidden layer")
        c, c0 = last[0][0][0], float(last[0][1][0])
        w, b = weight[:, 0], bias
        self.kind = network.activation
        constants = [np.longdouble(c0)]
        if self.kind == "tanh":
            constants.append(-c.astype(np.longdouble).sum())
            self.kind, c, w, b = "sigmoid", 2 * c, 2 * w, 2 * b
        lines = [np.longdouble(0)]
        turned, flat = w < 0, w == 0
        if turned.any():
            self._turn(c[turned].astype(np.longdouble), w[turned], b[turned], constants, lines)
            c = np.where(turned, c if self.kind == "relu" else -c, c)
            w, b = np.abs(w), np.where(turned, -b, b)
        self._flat_error = 0.0
        if flat.any():
            constants.append(self._flat(c[flat], b[flat]))
            c, w, b = c[~flat], w[~flat], b[~flat]
        self.constant, self.slope = float(sum(constants)), float(sum(lines))
        self._sigmoid_output = network.output_activation == "sigmoid"
        turned = turned[~flat] if flat.any() else turned
        order = np.lexsort((turned, w, -b / w))
        self.c, self.w, self.b = c[order], w[order], b[order]
        self.s = -self.b / self.w
        total = float(np.abs(self.c).sum())
        self._saturated = (
            SATURATED if tails <= 0 else min(SATURATED, max(1.0, math.log(max(total / tails, 1.0))))
        )
        idle = float(np.abs(network.weights()[-1][0][0][flat]).sum()) * (
            2 if network.activation == "tanh" else 1
        )
        farthest = float(np.abs(bias).max()) * (2 if network.activation == "tanh" else 1)
        self._dense = _Dense(len(bias), c0, total + idle, self._most_near() + idle, farthest)
        self._merge(turned[order])
        self._prefixes()

    def _turn(
        self,
        c: NDArray[np.longdouble],
        w: Array,
        b: Array,
        constants: list[np.longdouble],
        lines: list[np.longdouble],
    ) -> None:
        """What units with w < 0 leave behind when they are turned round."""
        if self.kind == "relu":
            constants.append((c * b).sum())
            lines.append((c * w).sum())
        else:
            constants.append(c.sum())

    def _flat(self, c: Array, b: Array) -> np.longdouble:
        """Units with w = 0 are constants."""
        lines = _RELAX[self.kind](b, b, np.zeros_like(b), 0.0)
        low, high = np.minimum(lines.below_a, lines.above_a), np.maximum(lines.below_a, lines.above_a)
        slack = (high - low) + 2.0**-46 * (1 + np.abs(high))
        self._flat_error = float((np.abs(c) * slack).sum())
        return np.longdouble((c.astype(np.longdouble) * ((low + high) / 2)).sum())

    def _most_near(self) -> float:
        """Σ|c| over units that are not saturated at one and the same x, at most."""
        if self.kind == "relu":
            return float(np.abs(self.c).sum())
        count = np.searchsorted(self.s, self.s + 2.01 * self.reach, "right") - np.arange(len(self.s))
        return min(float(np.abs(self.c).sum()), float(count.max(initial=0) * np.abs(self.c).max(initial=0)))

    def _merge(self, turned: NDArray[np.bool_]) -> None:
        """Units with equal steps are one: where a tower ends the next begins.

        Hard steps that were turned round differ from others at the step itself.
        """
        fresh = (np.diff(self.w, prepend=-1.0) != 0) | (np.diff(self.b, prepend=np.nan) != 0)
        if self.kind == "step":
            fresh |= np.diff(turned, prepend=turned[:1]) != 0
        first = np.flatnonzero(fresh)
        self._merge_error = 0.0
        if len(first) == len(self.c):
            return
        sums = np.add.reduceat(self.c.astype(np.longdouble), first)
        self._merge_error = float(np.abs(self.c).sum() * np.finfo(np.longdouble).eps) * 4
        self.c, self.w, self.b, self.s = sums.astype(np.float64), self.w[first], self.b[first], self.s[first]
        self._merge_error += U * float(np.abs(self.c).sum())

    def _prefixes(self) -> None:
        """Sums over the first k units of what they add where they are saturated, k = 0 … H."""
        c = self.c.astype(np.longdouble)
        constants, lines = (c * self.b, c * self.w) if self.kind == "relu" else (c, np.zeros(1, c.dtype))
        zero = np.zeros(1, np.longdouble)
        self._prefix = np.concatenate([zero, np.cumsum(constants)]).astype(np.float64)
        self._prefix_slope = None
        if self.kind == "relu":
            self._prefix_slope = np.concatenate([zero, np.cumsum(lines)]).astype(np.float64)
        eps = float(np.finfo(np.longdouble).eps)
        total = float(np.abs(constants).sum() + np.abs(lines).sum()) + abs(self.constant) + abs(self.slope)
        largest = float(np.abs(self._prefix).max()) + abs(self.constant) + abs(self.slope)
        if self._prefix_slope is not None:
            largest += float(np.abs(self._prefix_slope).max())
        self._steepest = float(self.w.max(initial=0.0))
        self._alike = len(self.w) > 0 and self._steepest == float(self.w.min())
        self._farthest = float(np.abs(self.b).max(initial=0.0))
        self.error = (len(c) + 4) * eps * total * 1.01 + 8 * U * largest
        self.error += self._flat_error + self._merge_error * (
            self._steepest + self._farthest if self.kind == "relu" else 1
        )
        self._sums = largest
        self._weight = float(np.abs(self.c).sum())
        self._largest = float(np.abs(self.c).max(initial=0.0))

    @property
    def reach(self) -> float:
        """How far from its position a unit is not saturated yet, at most."""
        if len(self.w) == 0 or self.kind in ("relu", "step"):
            return 0.0
        return self._saturated / float(self.w.min())

    def evaluation_error(self, x: float) -> float:
        """How far the network may be from the exact one when torch evaluates it in float64, for |x| ≤ x.

        Each zᵢ is off by at most u(2|wᵢx| + |bᵢ|), which φ passes on times its Lipschitz constant, unless it
        is saturated; a sum of H products by at most (H + 3)u Σ|cᵢφᵢ|, in whatever order (Higham 2002,
        "Accuracy and stability of numerical algorithms", ch. 3).
        """
        z = self._steepest * x + self._dense.farthest
        size = z if self.kind == "relu" else 1.25
        of_units = self._dense.near * (LIPSCHITZ[self.kind] * 2 * U * z + 8 * U * size)
        of_sum = (self._dense.units + 3) * U * (self._dense.weight * size + abs(self._dense.bias))
        return 1.01 * (of_units + of_sum) + (8 * U if self._sigmoid_output else 0.0)

    def borders(self, low: float, high: float) -> Array:
        """Positions strictly inside (low, high), where cells should end; both sides of a jump."""
        inside: Array = self.s[(low < self.s) & (self.s < high)]
        if self.kind != "step":
            return inside
        ulps = 8 * U * max(abs(low), abs(high), 1e-300)
        both: Array = np.concatenate([inside - ulps, inside + ulps])
        return both

    def lines(self, a: Array, b: Array, slope: Array | None = None) -> Lines:
        """Straight lines around the network over the cells [a, b], (k,) each.

        Args:
            a, b: the ends; equal for points.
            slope: (k,) the slope that the target has there: the tangents of the steps are laid where the
                error is largest. Any value gives valid lines.
        """
        slope = np.zeros(len(a)) if slope is None else slope
        first, last = self._window(a, b)
        parts = [
            self._lines(a[part], b[part], slope[part], first[part], last[part])
            for part in (slice(i, i + CELLS) for i in range(0, len(a), CELLS))
        ]
        found = Lines(*(np.concatenate([getattr(p, name) for p in parts]) for name in Lines.__match_args__))
        return self._through_output(found, b - a, slope) if self._sigmoid_output else found

    def candidates(self, a: Array, b: Array, slope: Array) -> Array:
        """(k, j) points of each cell where the error may be largest."""
        first, last = self._window(a, b)
        inner = [a, b, a + (b - a) / 2]
        for column in range(min(8, int((last - first).max(initial=0)))):
            unit = np.clip(first + column, 0, len(self.c) - 1)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                away = _balanced(slope / (self.c[unit] * self.w[unit])) / self.w[unit]
            away = np.where(np.isfinite(away), away, 0.0)
            inner += [np.clip(self.s[unit] - away, a, b), np.clip(self.s[unit] + away, a, b)]
        return np.stack(inner, axis=1)

    def values(self, x: Array) -> Array:
        """(n,) points to (n,) values of the network, to within its own rounding; local, so fast."""
        if self.kind == "step" and not self._sigmoid_output:  # at a step, the value on its right
            return np.asarray(self.constant + self._prefix[np.searchsorted(self.s, x, "right")])
        lines = self.lines(x, x)
        middle: Array = (lines.below_a + lines.above_a) / 2
        return middle

    def _window(self, a: Array, b: Array) -> tuple[Indices, Indices]:
        """(k,) the first unit that is near a cell, and the first one beyond it."""
        scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
        away = self.reach * (1 + 1e-9) + 8 * U * scale
        first, last = np.searchsorted(self.s, a - away, "left"), np.searchsorted(self.s, b + away, "right")
        return first, last

    def _lines(self, a: Array, b: Array, slope: Array, first: Indices, last: Indices) -> Lines:
        start = self.constant + self._prefix[first]
        below_a, above_a, below_b, above_b = start.copy(), start.copy(), start.copy(), start.copy()
        if self._prefix_slope is not None:
            steep = self.slope + self._prefix_slope[first]
            for line, at in ((below_a, a), (above_a, a), (below_b, b), (above_b, b)):
                line += steep * at
        z_error, largest = self._z_error(a, b), 0.0
        if self._alike:  # a near unit steps within reach of its cell
            largest = 1.01 * self._steepest * (self.reach + float((b - a).max(initial=0.0))) + 1.0
        count = int((last - first).max(initial=0))
        for column in range(count):
            unit = first + column
            near = unit < last
            unit = np.minimum(unit, len(self.c) - 1)
            c, w = np.where(near, self.c[unit], 0.0), self.w[unit]
            z_a, z_b = w * a + self.b[unit], w * b + self.b[unit]
            if not self._alike:
                ends = np.maximum(np.abs(z_a), np.abs(z_b))
                largest = max(largest, float(ends.max(initial=0.0, where=near)))
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                wanted = slope / (c * w)
            unit_lines = _RELAX[self.kind](z_a, z_b, wanted, z_error)
            up = c > 0
            above_a += c * np.where(up, unit_lines.above_a, unit_lines.below_a)
            above_b += c * np.where(up, unit_lines.above_b, unit_lines.below_b)
            below_a += c * np.where(up, unit_lines.below_a, unit_lines.above_a)
            below_b += c * np.where(up, unit_lines.below_b, unit_lines.above_b)
        return Lines(below_a, below_b, above_a, above_b).widened(self._radius(a, b, count, largest))

    def _z_error(self, a: Array, b: Array) -> float:
        """How far a computed wx + b may be from the true one: u|wx| for the product, u|z| for the sum."""
        x = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
        return 1.01 * U * (2 * self._steepest * x + self._farthest)

    def _radius(self, a: Array, b: Array, count: int, largest: float) -> float:
        """What rounding, and the tails of the units that count as saturated, may have done to a line.

        Args:
            count: units that were looked at for a cell, at most.
            largest: |z| of one of them, at most.
        """
        x = max(1.0, float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
        if self.kind != "relu":
            x = 1.0  # only lines grow with x
        near = min(self._weight, count * self._largest)
        z_error = self._z_error(a, b)
        tails = 0.0 if self.kind in ("relu", "step") else self._weight * _tail(self.kind, self._saturated)
        sums = self._sums * x + near * (1 + largest)
        of_units = near * ((LIPSCHITZ[self.kind] + z_error) * z_error + 2.0**-47 * (1 + largest))
        return 1.01 * (self.error * x + tails + of_units + 2 * (count + 8) * U * sums)

    def _through_output(self, inner: Lines, h: Array, slope: Array) -> Lines:
        """The lines after σ: it is monotone, so each line is bounded by itself."""
        _, above = _after_sigmoid(inner.above_a, inner.above_b, h, slope)
        below, _ = _after_sigmoid(inner.below_a, inner.below_b, h, slope)
        return Lines(*below, *above).widened(2.0**-46)


def _after_sigmoid(
    z_a: Array, z_b: Array, h: Array, slope: Array
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """σ of the straight line from z_a to z_b over a cell of length h: a line below it, and one above."""
    falling = z_a > z_b
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        wanted = slope * h / (z_b - z_a)
    found = _relax_sigmoid(np.minimum(z_a, z_b), np.maximum(z_a, z_b), wanted, 0.0)
    below = np.where(falling, found.below_b, found.below_a), np.where(falling, found.below_a, found.below_b)
    above = np.where(falling, found.above_b, found.above_a), np.where(falling, found.above_a, found.above_b)
    return below, above


def _tail(kind: str, z: float) -> float:
    """How far φ is from 0 or 1 beyond |z|, at most; σ(−z) < e^{−z}, and z e^{−z²} falls from z = 1 on."""
    return 1.01 * (math.exp(-z) + (z * math.exp(-z * z) if kind == "ripple" else 0.0))


# --- units between straight lines ----------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    """σ(z) = 1/(1 + e^{−z}), to within 4 units in the last place of 1."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-z)))


def _balanced(derivative: Array) -> Array:
    """z ≥ 0 with σ'(z) equal to the given value; 0 where it is above ¼, infinite where it is not positive."""
    root = np.sqrt(1 - 4 * np.clip(derivative, 0.0, 0.25))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(root) - np.log1p(-root))


def _relax_sigmoid(z_a: Array, z_b: Array, derivative: Array, z_error: float) -> Lines:
    """Chord and tangent; where a cell straddles the inflection at 0, the values at its ends."""
    s_a, s_b = sigmoid(z_a), sigmoid(z_b)
    right, left = z_a >= -z_error, z_b <= z_error  # beyond 0 by that much costs less than its square
    root = np.sqrt(1 - 4 * np.fmax(np.fmin(derivative, 0.25), 0.0))  # any number will do in place of NaN
    touch = np.clip((1 + np.where(right, root, -root)) / 2, s_a, s_b)
    touch = np.clip(touch, 1e-300, 1 - U)
    steep = touch * (1 - touch)
    t = np.log(touch / (1 - touch))
    tangent_a, tangent_b = touch + steep * (z_a - t), touch + steep * (z_b - t)
    inside = ~(right | left)
    return Lines(
        np.where(right | inside, s_a, tangent_a),
        np.where(right, s_b, np.where(inside, s_a, tangent_b)),
        np.where(right, tangent_a, np.where(inside, s_b, s_a)),
        np.where(right, tangent_b, s_b),
    )


def _relax_relu(z_a: Array, z_b: Array, derivative: Array, z_error: float) -> Lines:
    """Exact where z keeps its sign; else the chord above, and below it the better of 0 and z."""
    up = z_a + z_b >= 0
    above_a, above_b = np.maximum(z_a, 0.0), np.maximum(z_b, 0.0)
    straddles = (z_a < 0) & (z_b > 0)
    return Lines(
        np.where(straddles & up, z_a, np.where(straddles, 0.0, above_a)),
        np.where(straddles & ~up, 0.0, above_b),
        above_a,
        above_b,
    )


def _relax_step(z_a: Array, z_b: Array, derivative: Array, z_error: float) -> Lines:
    """0 or 1, and both where rounding leaves the side open."""
    low, high = (z_a >= z_error).astype(np.float64), (z_b >= -z_error).astype(np.float64)
    return Lines(low, low, high, high)


_RIPPLE = parse("sigmoid(z) + z*exp(-z^2)", ("z",))


def _relax_ripple(z_a: Array, z_b: Array, derivative: Array, z_error: float) -> Lines:
    """The chord, and how far its slopes let the function stray from it."""
    value = sigmoid(z_a) + z_a * np.exp(-(z_a**2)), sigmoid(z_b) + z_b * np.exp(-(z_b**2))
    steep = slopes(_RIPPLE, {"z": Interval(z_a, z_b)}, ("z",))[1]["z"]
    stray = strayed(value[0], value[1], z_b - z_a, steep)
    return Lines(value[0] - stray, value[1] - stray, value[0] + stray, value[1] + stray)


def strayed(f_a: Array, f_b: Array, h: Array, steep: Interval) -> Array:
    """How far a function with slopes in [p, q] can stray from its chord over a cell of length h.

    From both ends it lies between lines of slopes p and q; they meet at (q − s)(s − p)/(q − p) · h above or
    below the chord of slope s.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.clip((f_b - f_a) / h, steep.lo, steep.hi)
        reach = (steep.hi - chord) * (chord - steep.lo) / (steep.hi - steep.lo) * h
    reach[np.isnan(reach)] = np.inf  # a slope without bound
    return np.where((h > 0) & (steep.hi > steep.lo), reach, 0.0)


Relaxation = Callable[[Array, Array, Array, float], Lines]
"""z at both ends, the derivative that a tangent should have, the error of z -> lines in z."""

_RELAX: dict[str, Relaxation] = {
    "sigmoid": _relax_sigmoid,
    "ripple": _relax_ripple,
    "relu": _relax_relu,
    "step": _relax_step,
}
