"""Activation functions in bounds that are proofs: over intervals, and far out, where they become steps.

Intervals are balls, midpoint and radius. `ULPS` bounds how far elementary functions as numpy and torch
compute them are from the exact ones.

A step. Scaled to run from 0 to 1, U(z) = (φ(z) − φ(−∞))/(φ(∞) − φ(−∞)), an activation with U(−z) = 1 − U(z)
is away from the hard step 1_{z > 0} by at most D(z) = sup_{u ≥ z} |U(−u)|, on both sides.

| φ | U(z) | D(z), z ≥ 0 |
| --- | --- | --- |
| sigmoid | σ(z) | σ(−z) |
| tanh | (1 + tanh z)/2 = σ(2z) | σ(−2z) |
| ripple | σ(z) + z e^{−z²} | see below |

σ is monotone, hence the first two. For the ripple let d(u) = φ(−u) = σ(−u) − u e^{−u²}, u ≥ 0. Its derivative
−φ'(u) = −[1/(2 + 2cosh u) + (1 − 2u²) e^{−u²}] can vanish only where 2u² > 1, and there exactly where

    g(u) = ln(2u² − 1) − u² + ln(2 + 2cosh u) = 0.

g'' = −(8u² + 4)/(2u² − 1)² − 2 + 1/(2cosh²(u/2)) < 0: g is strictly concave, tends to −∞ at both ends and
g(1) = ln(2 + 2cosh 1) − 1 > 0. So there are two critical points, u₁ < 1 < u₂, and d falls from ½ to its dip
d(u₁) < 0, rises to its hump d(u₂) > 0 and falls to 0 from there on. With z before, between or after them,

    D(z) = max(d(z), |d(u₁)|, d(u₂)),    max(|d(z)|, d(u₂)),    d(z).

Every D is an upper bound in float64 too: it is rounded up, by some 10⁻¹⁵ of itself. The formulas are ours.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

U = 2.0**-53  # the unit roundoff of float64
ULPS = 16 * U  # how far φ as computed may be from φ, where |φ| ≤ 1.5; both numpy's and torch's
TINY = 1e-300  # more than what underflow loses
REACH = 40.0  # e^{−z²} is 0 in float64 from |z| = 27.3 on

RIPPLE_DIP = (0.8454262486148947, 0.11328791753024753)
RIPPLE_HUMP = (2.0904488408192545, 0.08358121864197829)
"""(u₁, |d(u₁)|) and (u₂, d(u₂)), the values rounded up."""


# --- over intervals ---------------------------------------------------------------------------------


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


Activated = tuple[Ball, Ball | None, Bools]
"""φ(z), φ'(z) where it was asked for, and (k,) True where a row may hold a jump."""

Enclosure = Callable[[Ball, bool], Activated]
"""(k, n) balls, and True where φ' is wanted, to balls that hold φ and φ', exact and as computed."""


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
    """σ(z) = 1/(1 + e^{−z}), to within 4 units in the last place of 1."""
    s = np.negative(z)
    with np.errstate(over="ignore"):
        np.exp(s, out=s)
    s += 1
    return np.divide(1.0, s, out=s)


def enclose_sigmoid(z: Ball, slopes: bool) -> Activated:
    """σ and σ'."""
    lo, hi = sigmoid(z.lo), sigmoid(z.hi)
    value = _around(lo, hi, ULPS)
    if not slopes:
        return value, None, _no_jumps(z)
    top = (lo < 0.5 + ULPS) & (hi > 0.5 - ULPS)
    return value, _around(*_range(lo - lo * lo, hi - hi * hi, [(top, 0.25)]), 2 * ULPS), _no_jumps(z)


def enclose_tanh(z: Ball, slopes: bool) -> Activated:
    """The hyperbolic tangent and its derivative."""
    lo, hi = np.tanh(z.lo), np.tanh(z.hi)
    value = _around(lo, hi, ULPS)
    if not slopes:
        return value, None, _no_jumps(z)
    top = (lo < ULPS) & (hi > -ULPS)
    return value, _around(*_range(1 - lo * lo, 1 - hi * hi, [(top, 1.0)]), 4 * ULPS), _no_jumps(z)


def enclose_ripple(z: Ball, slopes: bool) -> Activated:
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


def enclose_relu(z: Ball, slopes: bool) -> Activated:
    """max(0, z), and both slopes where z may have either sign."""
    lo, hi = np.maximum(z.lo, 0.0), np.maximum(z.hi, 0.0)
    slope = Ball.between((z.lo > 0).astype(np.float64), (z.hi > 0).astype(np.float64)) if slopes else None
    return Ball.between(lo, hi), slope, _no_jumps(z)


def enclose_step(z: Ball, slopes: bool) -> Activated:
    """1_{z ≥ 0}, and its slope off the jump."""
    lo, hi = (z.lo >= 0).astype(np.float64), (z.hi >= 0).astype(np.float64)
    jumps: Bools = np.any(lo < hi, axis=1)
    return Ball((lo + hi) / 2, (hi - lo) / 2), Ball(0 * lo, 0 * lo) if slopes else None, jumps


# --- as steps ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """An activation with finite limits, as a step U from 0 to 1 with U(−z) = 1 − U(z).

    Attributes:
        unit: scores of any shape to U(z).
        tail: z ≥ 0, of any shape, to D(z): an upper bound, tight to 1e-15.
        decay: z ≥ 1 to a bound on D(z) that falls, and need not be tight; certificates are tight where it
            falls exponentially.
        distance: the formula of D(wδ).
        why: that it is a step, as a reason.
        logistic: k with U(z) = σ(kz), where there is one: bins have a closed form then. Other steps are not
            taken for monotone.
        value: U(z), to within some units in the last place of 1; only where `logistic` is None.
        expression: U(z) as a text of `nnlab.expressions`; only where `logistic` is None.
    """

    unit: Callable[[Array], Array]
    tail: Callable[[Array], Array]
    decay: Callable[[float], float]
    distance: str
    why: str
    logistic: float | None = None
    value: Callable[[Array], Array] | None = None
    expression: str = ""


_EPS = 2.0**-52
_LEAST = 2.0**-1074  # what a number that rounds to 0 may have been


def _sigma_minus(z: Array) -> Array:
    """σ(−z) for z ≥ 0, to some units in the last place."""
    e = np.exp(-z)
    return np.asarray(e / (1 + e))


def _logistic_unit(z: Array) -> Array:
    """σ(z), to some units in its last place."""
    below = _sigma_minus(np.abs(z))
    return np.where(z >= 0, 1 - below, below)


def _logistic_tail(z: Array) -> Array:
    # e^{−z} errs by one unit in the last place, sum and quotient by half a unit each: 8 cover them
    return _sigma_minus(z) * (1 + 8 * _EPS) + 2 * _LEAST


def _ripple_unit(z: Array) -> Array:
    near = np.clip(z, -REACH, REACH)
    return _logistic_unit(z) + near * np.exp(-near * near)


def _ripple_tail(z: Array) -> Array:
    near = np.minimum(z, REACH)
    dent = near * np.exp(-near * near)
    wave = _sigma_minus(z) - dent
    # rounding z² by half a unit moves e^{−z²} by z² of those
    slack = _EPS * (8 * _sigma_minus(z) + (8 + near * near) * dent) + _LEAST
    at_z = np.where(z > RIPPLE_HUMP[0], wave, np.abs(wave)) + slack
    dip = np.where(z <= RIPPLE_DIP[0], RIPPLE_DIP[1], 0.0)
    hump = np.where(z <= RIPPLE_HUMP[0], RIPPLE_HUMP[1], 0.0)
    return np.asarray(np.maximum(at_z, np.maximum(dip, hump)))


SIGMOID_STEP = Step(
    unit=_logistic_unit,
    tail=_logistic_tail,
    decay=lambda z: math.exp(-z),
    distance="σ(−wδ)",
    why="σ(z) → 0 at −∞ and → 1 at +∞, monotonically",
    logistic=1.0,
)
TANH_STEP = Step(
    unit=lambda z: _logistic_unit(2 * z),
    tail=lambda z: _logistic_tail(2 * z),
    decay=lambda z: math.exp(-2 * z),
    distance="σ(−2wδ)",
    why="tanh z → −1 and → 1: (1 + tanh z)/2 = σ(2z) is a sigmoid",
    logistic=2.0,
)
RIPPLE_STEP = Step(
    unit=_ripple_unit,
    tail=_ripple_tail,
    decay=lambda z: math.exp(-z) + z * math.exp(-z * z),  # the second term falls from z = √½ on
    distance="max over |z| ≥ wδ of |φ(z) − 1_{z > 0}|",
    why="σ(z) + z e^{−z²} → 0 and → 1, not monotonically: φ'(±1) < 0",
    value=lambda z: sigmoid(z) + z * np.exp(-(z**2)),
    expression="sigmoid(z) + z*exp(-z^2)",
)
