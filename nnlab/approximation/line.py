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
from fractions import Fraction
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.errors import InputError
from nnlab.expressions import Graph, Interval, parse, slopes
from nnlab.models.activations import ACTIVATIONS
from nnlab.rigorous.activations import U, sigmoid

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

SATURATED = 38.0  # σ(−38) < 3.2e-17: beyond, σ is 0 or 1 to the last digit
CELLS = 32_768  # looked at together: their numbers stay in the cache
FARTHEST = 1e300  # positions and distances end there
LOST = 2.0**-1000  # more than float64 loses to underflow


@dataclass(frozen=True)
class Lines:
    """Straight lines below and above a function over each of k cells [a, b].

    Attributes:
        below: (2, k) the lower line at both ends of the cell.
        above: (2, k) the upper line.
    """

    below: Array
    above: Array


class LineNetwork:
    """The units of a network of one input and one hidden layer, sorted by position, all with w > 0.

    A unit with w < 0 is turned round: φ(z) = 1 − φ(−z) for all steps; max(0, z) = z + max(0, −z); and
    tanh z = 2σ(2z) − 1. Turning is exact but for the constant, whose rounding is part of `error`.

    Attributes:
        kind: an activation of `ScalarNetwork`; tanh is a sigmoid here.
        c, w, b, s: (H,) output weights, steepness, bias and position −b/w.
        constant, slope: what the units that have no step add: constant + slope · x.
        error: what rounding did to constant and prefix sums together, at most,
        slope_error: and to slope and prefix sums of slopes.

    Units in the same place are merged, so H may be smaller than the network's. x is counted from `origin`.
    """

    @np.errstate(all="ignore")  # what overflows leaves lines at ±∞
    def __init__(self, network: ScalarNetwork, tails: float = 0.0, origin: float = 0.0) -> None:
        """Reads the weights.

        Args:
            tails: what all units together may be off from 0 or 1 where they count as saturated; by default
                less than rounding. The lines account for it in any case; a larger value makes them cheaper.
            origin: the place that x is counted from. Far from 0, where wx and b are large and cancel, one
                near by keeps rounding small.

        Raises:
            InputError: not one input, or not one hidden layer; weights neither float64 nor float32.
        """
        (weight, bias), *last = network.weights()
        if len(last) != 1 or network.inputs != 1:
            raise InputError("this certificate is for networks with one input and one hidden layer")
        c, c0 = last[0][0][0], float(last[0][1][0])
        w = weight[:, 0]
        self.origin = origin if _may_be_moved(w, bias, origin) else 0.0
        b = _moved(w, bias, self.origin)
        self._moved_error = 4 * U * float(np.abs(c * b).sum()) if self.origin else 0.0
        self.kind = network.activation
        constants, slope = [np.longdouble(c0)], np.longdouble(0)
        if self.kind == "tanh":
            constants.append(-c.astype(np.longdouble).sum())
            self.kind, c, w, b = "sigmoid", 2 * c, 2 * w, 2 * b
        elif ACTIVATIONS[self.kind].step is not None:
            low, high = ACTIVATIONS[self.kind].limits  # φ = low + (high − low) U, with U the step from 0 to 1
            assert low is not None
            constants.append(low * c.astype(np.longdouble).sum())
            c = (high - low) * c
        turned, flat = w < 0, w == 0
        if turned.any():
            left = c[turned].astype(np.longdouble)  # what these units leave behind
            if self.kind == "relu":
                constants.append((left * b[turned]).sum())
                slope = (left * w[turned]).sum()
            else:
                constants.append(left.sum())
            c = np.where(turned, c if self.kind == "relu" else -c, c)
            w, b = np.abs(w), np.where(turned, -b, b)
        self._flat_error = 0.0
        if flat.any():
            constants.append(self._flat(c[flat], b[flat]))
            c, w, b = c[~flat], w[~flat], b[~flat]
        self.constant, self.slope = float(sum(constants)), float(slope)
        self._sigmoid_output = network.output_activation == "sigmoid"
        turned = turned[~flat] if flat.any() else turned
        order = np.lexsort((turned, w, -b / w))
        self.c, self.w, self.b = c[order], w[order], b[order]
        if self.kind == "step":
            self._turned, self._bias = turned[order], bias[~flat][order]
        self.s = np.clip(-self.b / self.w, -FARTHEST, FARTHEST)
        total = float(np.abs(self.c).sum())
        self._saturated = (
            SATURATED if tails <= 0 else min(SATURATED, max(1.0, math.log(max(total / tails, 1.0))))
        )
        self._merge()
        self._prefixes()

    def _flat(self, c: Array, b: Array) -> np.longdouble:
        """Units with w = 0 are constants."""
        lines = _relaxation(self.kind)(np.stack([b, b]), np.zeros_like(b), 0.0)
        low, high = np.minimum(lines.below[0], lines.above[0]), np.maximum(lines.below[0], lines.above[0])
        slack = (high - low) + 2.0**-46 * (1 + np.abs(high))
        self._flat_error = float((np.abs(c) * slack).sum())
        return np.longdouble((c.astype(np.longdouble) * ((low + high) / 2)).sum())

    def _merge(self) -> None:
        """Units with equal steps are one: where a tower ends the next begins.

        Hard steps that were turned round differ from others at the step itself.
        """
        fresh = (np.diff(self.w, prepend=-1.0) != 0) | (np.diff(self.b, prepend=np.nan) != 0)
        if self.kind == "step":
            fresh |= np.diff(self._turned, prepend=self._turned[:1]) != 0
            fresh |= np.diff(self._bias, prepend=self._bias[:1]) != 0
        first = np.flatnonzero(fresh)
        self._merge_error = 0.0
        if len(first) == len(self.c):
            return
        sums = np.add.reduceat(self.c.astype(np.longdouble), first)
        self._merge_error = float(np.abs(self.c).sum() * np.finfo(np.longdouble).eps) * 4
        self.c, self.w, self.b, self.s = sums.astype(np.float64), self.w[first], self.b[first], self.s[first]
        if self.kind == "step":
            self._turned, self._bias = self._turned[first], self._bias[first]
        self._merge_error += U * float(np.abs(self.c).sum())

    def _prefixes(self) -> None:
        """Sums over the first k units of what they add where they are saturated, k = 0 … H."""
        c, bends = self.c.astype(np.longdouble), self.kind == "relu"
        constants = c * self.b if bends else c
        self._steepest = float(self.w.max(initial=0.0))
        self._alike = len(self.w) > 0 and self._steepest == float(self.w.min())
        self._farthest = float(np.abs(self.b).max(initial=0.0))
        self._weight = float(np.abs(self.c).sum())
        self._prefix, self.error, self._sums = _summed(constants, self.constant)
        self.error += LOST * self._weight
        self.error += self._moved_error if bends else 0.0
        self.error += self._flat_error + self._merge_error * (self._farthest if bends else 1.0)
        self._prefix_slope, self.slope_error, self._slope_sums = None, 0.0, 0.0
        if bends:
            self._prefix_slope, self.slope_error, self._slope_sums = _summed(c * self.w, self.slope)
            self.slope_error += self._merge_error * self._steepest
        self._largest = float(np.abs(self.c).max(initial=0.0))

    @property
    def reach(self) -> float:
        """The distance from its position beyond which every unit is saturated."""
        if len(self.w) == 0 or self.kind in ("relu", "step"):
            return 0.0
        return min(self._saturated / float(self.w.min()), FARTHEST)

    def borders(self, low: float, high: float) -> Array:
        """Positions strictly inside (low, high), where cells should end; both sides of a jump."""
        places = self.origin + self.s
        inside: Array = places[(low < places) & (places < high)]
        if self.kind != "step":
            return inside
        ulps = 8 * U * max(abs(low), abs(high), 1e-300)
        both: Array = np.concatenate([inside - ulps, inside + ulps])
        return both

    @np.errstate(all="ignore")
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
        below = np.concatenate([part.below for part in parts], axis=1)
        above = np.concatenate([part.above for part in parts], axis=1)
        if not self._sigmoid_output:
            return Lines(below, above)
        # σ is monotone, so each line is bounded by itself
        below = _after_sigmoid(below, b - a, slope).below
        above = _after_sigmoid(above, b - a, slope).above
        return Lines(below - 2.0**-46, above + 2.0**-46)

    def candidates(self, a: Array, b: Array, slope: Array) -> Array:
        """(k, j) points of each cell where the error may be largest."""
        first, last = self._window(a, b)
        inner = [a, b, a + (b - a) / 2]
        for column in range(min(8, int((last - first).max(initial=0)))):
            unit = np.clip(first + column, 0, len(self.c) - 1)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                away = _balanced(slope / (self.c[unit] * self.w[unit])) / self.w[unit]
            away = np.where(np.isfinite(away), away, 0.0)
            inner += [np.clip(self.origin + (self.s[unit] + side), a, b) for side in (-away, away)]
        return np.stack(inner, axis=1)

    def values(self, x: Array) -> Array:
        """(n,) points to (n,) values of the network, to within its own rounding; local, so fast."""
        if self.kind == "step" and not self._sigmoid_output:  # at a step, the value on its right
            return np.asarray(self.constant + self._prefix[np.searchsorted(self.s, x - self.origin, "right")])
        lines = self.lines(x, x)
        middle: Array = (lines.below[0] + lines.above[0]) / 2
        return middle

    def _window(self, a: Array, b: Array) -> tuple[Indices, Indices]:
        """(k,) the first unit that is near a cell, and the first one beyond it."""
        a, b = a - self.origin, b - self.origin
        scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
        away = self.reach * (1 + 1e-9) + 8 * U * scale
        first, last = np.searchsorted(self.s, a - away, "left"), np.searchsorted(self.s, b + away, "right")
        return first, last

    def _lines(self, a: Array, b: Array, slope: Array, first: Indices, last: Indices) -> Lines:
        x, ends = a, np.stack([a, b]) - self.origin
        a, b = ends
        below = np.repeat((self.constant + self._prefix[first])[None], 2, axis=0)
        if self._prefix_slope is not None:
            below += (self.slope + self._prefix_slope[first]) * ends
        above = below.copy()
        z_error, largest = self._z_error(a, b), 0.0
        if self._alike:  # a near unit steps within reach of its cell
            largest = 1.01 * self._steepest * (self.reach + float((b - a).max(initial=0.0))) + 1.0
        count, relax = int((last - first).max(initial=0)), _relaxation(self.kind)
        for column in range(count):
            unit = first + column
            near = unit < last
            unit = np.minimum(unit, len(self.c) - 1)
            c, w = np.where(near, self.c[unit], 0.0), self.w[unit]
            z = w * ends + self.b[unit]
            if not self._alike:
                largest = max(largest, float(np.abs(z).max(initial=0.0, where=near)))
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                wanted = slope / (c * w)
            unit_lines = relax(z, wanted, z_error)
            if self.kind == "step":
                self._decide(unit_lines, x, unit, near & (a == b))
            up = c > 0
            above += c * np.where(up, unit_lines.above, unit_lines.below)
            below += c * np.where(up, unit_lines.below, unit_lines.above)
        radius = self._radius(a, b, last - first, largest)
        return Lines(below - radius, above + radius)

    def _decide(self, lines: Lines, x: Array, unit: Indices, is_point: NDArray[np.bool_]) -> None:
        """Decides hard steps at points, in fractions, where rounding leaves the side open."""
        for k in np.flatnonzero(is_point & (lines.below[0] != lines.above[0])):
            i = unit[k]
            product, bias = Fraction(self.w[i]) * Fraction(x[k]), Fraction(self._bias[i])
            # a unit that was turned round is 1 − φ(−z), which is 0 at z = 0
            is_one = product > bias if self._turned[i] else product + bias >= 0
            lines.below[:, k] = lines.above[:, k] = float(is_one)

    def _z_error(self, a: Array, b: Array) -> float:
        """A bound on the rounding error of a computed wx + b: u|wx| for the product, u|z| for the sum.

        With another origin u|wx| for x, and u|b| for b, are added.
        """
        x = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
        moved = 1 if self.origin else 0
        return 1.01 * U * ((2 + moved) * self._steepest * x + (1 + moved) * self._farthest) + LOST

    def _radius(self, a: Array, b: Array, count: Indices, largest: float) -> Array:
        """(k,) bounds on what rounding and tails do to a line, of `count` near units with |z| ≤ largest."""
        x = 0.0
        if self.kind == "relu":  # only lines grow with x
            x = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
        near = np.minimum(self._weight, count * self._largest)
        z_error = self._z_error(a, b)
        tails = 0.0 if self.kind in ("relu", "step") else self._weight * _tail(self.kind, self._saturated)
        sums = self._sums + self._slope_sums * x + near * (1 + largest)
        of_units = near * ((ACTIVATIONS[self.kind].lipschitz + z_error) * z_error + 2.0**-47 * (1 + largest))
        if self.kind == "step":  # 0 or 1, or both
            of_units = np.zeros_like(near)
        rounded = self.error + self.slope_error * x + 2 * U * self._slope_sums * x
        return np.asarray(1.01 * (rounded + tails + of_units + 2 * (count + 8) * U * sums) + LOST)


def _summed(terms: NDArray[np.longdouble], constant: float) -> tuple[Array, float, float]:
    """Prefix sums, 0 first; a bound on their rounding and that of the constant; the largest of all."""
    eps = float(np.finfo(np.longdouble).eps)
    sums = np.concatenate([np.zeros(1, np.longdouble), np.cumsum(terms)]).astype(np.float64)
    largest = float(np.abs(sums).max()) + abs(constant)
    total = float(np.abs(terms).sum()) + abs(constant)
    return sums, 1.01 * (len(terms) + 4) * eps * total + 8 * U * largest, largest


def _may_be_moved(w: Array, b: Array, origin: float) -> bool:
    """True where no part of w · origin + b overflows."""
    return bool(origin) and max(abs(origin), float(np.abs(w).max()), float(np.abs(b).max())) < 2.0**400


def _moved(w: Array, b: Array, origin: float) -> Array:
    """w · origin + b, rounded once (Dekker 1971, "A floating-point technique", has the exact product)."""
    if origin == 0:
        return b
    product = w * origin
    (w_high, w_low), (x_high, x_low) = _split(w), _split(np.array(origin))
    error = ((w_high * x_high - product) + w_high * x_low + w_low * x_high) + w_low * x_low
    total = product + b
    part = total - product
    return np.asarray(total + (((product - (total - part)) + (b - part)) + error))


def _split(x: Array) -> tuple[Array, Array]:
    """Upper and lower half of the digits."""
    scaled = x * 134217729.0  # 2²⁷ + 1
    high = scaled - (scaled - x)
    return high, x - high


def _after_sigmoid(z: Array, h: Array, slope: Array) -> Lines:
    """Lines below and above σ of the straight lines with ends z (2, k) over cells of length h."""
    falling = z[0] > z[1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        wanted = slope * h / (z[1] - z[0])
    lines = _relax_sigmoid(np.stack([np.minimum(*z), np.maximum(*z)]), wanted, 0.0)
    below = np.where(falling, lines.below[::-1], lines.below)
    return Lines(below, np.where(falling, lines.above[::-1], lines.above))


def _tail(kind: str, z: float) -> float:
    """A bound on the distance of φ from 0 or 1 beyond |z|."""
    step = ACTIVATIONS[kind].step
    assert step is not None
    return 1.01 * step.decay(z)


# --- units between straight lines ----------------------------------------------------------------------


def _balanced(derivative: Array) -> Array:
    """z ≥ 0 with σ'(z) equal to the given value; 0 where it is above ¼, infinite where it is not positive."""
    root = np.sqrt(1 - 4 * np.clip(derivative, 0.0, 0.25))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(root) - np.log1p(-root))


def _relax_sigmoid(z: Array, derivative: Array, z_error: float) -> Lines:
    """Chord and tangent; where a cell straddles the inflection at 0, the values at its ends."""
    s = sigmoid(z)
    right, left = z[0] >= -z_error, z[1] <= z_error  # beyond 0 by that much costs less than its square
    root = np.sqrt(1 - 4 * np.fmax(np.fmin(derivative, 0.25), 0.0))  # any number will do in place of NaN
    touch = np.clip((1 + np.where(right, root, -root)) / 2, s[0], s[1])
    touch = np.clip(touch, 1e-300, 1 - U)
    tangent = touch + touch * (1 - touch) * (z - np.log(touch / (1 - touch)))
    inside = ~(right | left)
    return Lines(
        np.where(right, s, np.where(inside, s[0], tangent)),
        np.where(right, tangent, np.where(inside, s[1], s)),
    )


def _relax_relu(z: Array, derivative: Array, z_error: float) -> Lines:
    """Exact where z keeps its sign; else the chord above, and below it the better of 0 and z."""
    above, straddles = np.maximum(z, 0.0), (z[0] < 0) & (z[1] > 0)
    return Lines(np.where(straddles, np.where(z[0] + z[1] >= 0, z, 0.0), above), above)


def _relax_step(z: Array, derivative: Array, z_error: float) -> Lines:
    """0 or 1, and both where rounding leaves the side open."""
    low, high = (z[0] >= z_error).astype(np.float64), (z[1] >= -z_error).astype(np.float64)
    return Lines(np.stack([low, low]), np.stack([high, high]))


def _relax_smooth(kind: str, z: Array, derivative: Array, z_error: float) -> Lines:
    """The chord, and how far its slopes let the function stray from it."""
    step = ACTIVATIONS[kind].step
    assert step is not None
    assert step.value is not None
    value = step.value(z)
    steep = slopes(_parsed(step.expression), {"z": Interval(z[0], z[1])}, ("z",))[1]["z"]
    stray = strayed(value, z[1] - z[0], steep)
    return Lines(value - stray, value + stray)


@cache
def _parsed(expression: str) -> Graph:
    return parse(expression, ("z",))


def strayed(f: Array, h: Array, steep: Interval) -> Array:
    """A bound on the distance of a function from its chord, f (2, k) at the ends and slopes in [p, q].

    From both ends it lies between lines of slopes p and q; over a cell of length h they meet at
    (q − s)(s − p)/(q − p) · h above or below the chord of slope s.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.clip((f[1] - f[0]) / h, steep.lo, steep.hi)
        reach = (steep.hi - chord) * (chord - steep.lo) / (steep.hi - steep.lo) * h
    reach[np.isnan(reach)] = np.inf  # a slope without bound
    return np.where((h > 0) & (steep.hi > steep.lo), reach, 0.0)


Relaxation = Callable[[Array, Array, float], Lines]
"""z (2, k) at both ends, the derivative that a tangent should have, the error of z -> lines in z."""

_RELAX: dict[str, Relaxation] = {"sigmoid": _relax_sigmoid, "relu": _relax_relu, "step": _relax_step}


def _relaxation(kind: str) -> Relaxation:
    return _RELAX.get(kind) or partial(_relax_smooth, kind)
