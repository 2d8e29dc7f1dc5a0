"""Elementary functions of intervals, rounded outward.

numpy's functions are not correctly rounded, and which library computes them depends on the machine. Their
largest relative errors against mpmath, in units of 2⁻⁵³ and over 6,000 points a range, were: exp 1.09, log
1.03, tanh 1.52, tan 1.00, pow 1.13 (AVX-512, numpy 2.4); log10, log2, log1p, expm1, sinh, asinh, acosh,
atanh, arctan and the cube root 1.21, cosh 1.5, arcsin and arccos 1.43, Python's erf 1.3, softplus as it is
computed here 1.84; for sine and cosine see `_Circle`. GUARD = 2⁻⁴⁹ allows 16 of these units, eight times the
worst.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nnlab.rigorous.intervals import SUBNORMAL, Interval, interval, power_ends
from nnlab.rigorous.rounding import STEP, lowered, raised

Array = NDArray[np.float64]

GUARD = 2.0**-49
CIRCLE_GUARD = 2.0**-48
NARROW = 0.0625
"""Largest radius, in radians, of cells whose sine and cosine are enclosed from their middle."""


@np.errstate(all="ignore")
def sin(x: Interval) -> Interval:
    """Returns the range, and up to r² more on each side of cells of radius r ≤ 1/16."""
    circle = _circle(x)
    return interval(*circle.ends(circle.sine, circle.cosine, np.sin, 0.25))


@np.errstate(all="ignore")
def cos(x: Interval) -> Interval:
    """Returns the range, and up to r² more on each side of cells of radius r ≤ 1/16."""
    circle = _circle(x)
    return interval(*circle.ends(circle.cosine, circle.sine, np.cos, 0.0))


@np.errstate(all="ignore")
def tan(x: Interval) -> Interval:
    """Returns the range; (−∞, ∞) where a pole may lie in the cell."""
    low, high = lowered(np.tan(x.lo), GUARD, SUBNORMAL), raised(np.tan(x.hi), GUARD, SUBNORMAL)
    pole = may_hold(x.lo, x.hi, np.pi, 0.5)
    return interval(np.where(pole, -np.inf, low), np.where(pole, np.inf, high))


@np.errstate(all="ignore")
def exp(x: Interval) -> Interval:
    return interval(*_positive(np.exp(x.lo), np.exp(x.hi), GUARD, x))


def _positive(low: Array, high: Array, guard: float, x: Interval) -> tuple[Array, Array]:
    """Rounds values of a positive function outward; those that may have underflown by SUBNORMAL more."""
    low, high = lowered(low, guard), raised(high, guard)
    if not np.minimum.reduce(x.lo, axis=None, initial=np.inf) >= -600:
        low = np.maximum(low - SUBNORMAL * (low < 2 * SUBNORMAL), 0.0)
        high = high + SUBNORMAL * ((high < 2 * SUBNORMAL) & (x.hi > -np.inf))
    return low, high


@np.errstate(all="ignore")
def log(x: Interval) -> Interval:
    """Returns the logarithms of the positive numbers in x; (−∞, ∞) where there are none."""
    low, high = lowered(np.log(x.lo), GUARD), raised(np.log(x.hi), GUARD)
    if not np.minimum.reduce(x.lo, axis=None, initial=np.inf) > 0:
        low = np.where(x.lo > 0, low, -np.inf)
        high = np.where(x.hi > 0, high, np.inf)
    return interval(low, high)


@np.errstate(all="ignore")
def sqrt(x: Interval) -> Interval:
    """Returns √max(0, x): a negative number counts as 0, since rounding may have made it of a zero."""
    low, high = lowered(np.sqrt(np.maximum(x.lo, 0.0))), raised(np.sqrt(np.maximum(x.hi, 0.0)))
    return interval(low, high)


@np.errstate(all="ignore")
def tanh(x: Interval) -> Interval:
    low, high = lowered(np.tanh(x.lo), GUARD, SUBNORMAL), raised(np.tanh(x.hi), GUARD, SUBNORMAL)
    return interval(np.maximum(low, -1.0), np.minimum(high, 1.0))


@np.errstate(all="ignore")
def sigmoid(x: Interval) -> Interval:
    """Returns 1/(1 + e⁻ˣ) = exp(min(x, 0))/(1 + exp(−|x|)), within five roundings more than exp."""
    low, high = _positive(rounded_sigmoid(x.lo), rounded_sigmoid(x.hi), 2 * GUARD, x)
    return interval(low, np.minimum(high, 1.0))


def rounded_sigmoid(x: Array) -> Array:
    """Returns σ(x) in float64, without overflow."""
    above = np.exp(np.minimum(x, 0.0))
    below = np.exp(-np.absolute(x))
    below += 1.0
    above /= below
    return above


# --- functions that rise everywhere, or where they are defined ---


@np.errstate(all="ignore")
def _rising(
    function: Callable[[Array], Array], x: Interval, least: float = -np.inf, most: float = np.inf
) -> Interval:
    """Returns the range of a rising function of the part of x between `least` and `most`.

    An end of x outside of them counts as the nearer one, since rounding may have moved it there.
    """
    low, high = np.clip(x.lo, least, most), np.clip(x.hi, least, most)
    return interval(
        lowered(np.asarray(function(low)), GUARD, SUBNORMAL),
        raised(np.asarray(function(high)), GUARD, SUBNORMAL),
    )


def _open_below(function: Callable[[Array], Array], x: Interval, bound: float) -> Interval:
    """Returns the range of a rising function that goes to −∞ at the bound; (−∞, ∞) where x lies below it."""
    value = _rising(function, x)
    low = np.where(x.lo > bound, value.lo, -np.inf)
    return interval(low, np.where(x.hi > bound, value.hi, np.inf))


def log10(x: Interval) -> Interval:
    return _open_below(np.log10, x, 0.0)


def log2(x: Interval) -> Interval:
    return _open_below(np.log2, x, 0.0)


def log1p(x: Interval) -> Interval:
    return _open_below(np.log1p, x, -1.0)


def expm1(x: Interval) -> Interval:
    value = _rising(np.expm1, x)
    return interval(np.maximum(value.lo, -1.0), value.hi)


def sinh(x: Interval) -> Interval:
    return _rising(np.sinh, x)


@np.errstate(all="ignore")
def cosh(x: Interval) -> Interval:
    """Returns the range: cosh rises with |x|."""
    value = _rising(np.cosh, abs(x))
    return interval(np.maximum(value.lo, 1.0), value.hi)


def asinh(x: Interval) -> Interval:
    return _rising(np.arcsinh, x)


def acosh(x: Interval) -> Interval:
    """Returns the range over max(1, x): see `sqrt`."""
    return _rising(np.arccosh, x, least=1.0)


def atanh(x: Interval) -> Interval:
    """Returns the range, infinite towards ±1; (−∞, ∞) where x lies outside."""
    value = _rising(np.arctanh, x, -1.0, 1.0)
    inside = (x.hi > -1) & (x.lo < 1)
    low = np.where((x.lo > -1) & inside, value.lo, -np.inf)
    return interval(low, np.where((x.hi < 1) & inside, value.hi, np.inf))


def arcsin(x: Interval) -> Interval:
    """Returns the range over the part of x in [−1, 1]: see `_rising`."""
    return _rising(np.arcsin, x, -1.0, 1.0)


def arccos(x: Interval) -> Interval:
    """Returns the range over the part of x in [−1, 1]; the cosine's inverse falls."""
    value = -_rising(lambda t: -np.arccos(t), x, -1.0, 1.0)
    return interval(np.maximum(value.lo, 0.0), value.hi)


def arctan(x: Interval) -> Interval:
    return _rising(np.arctan, x)


def cbrt(x: Interval) -> Interval:
    return _rising(np.cbrt, x)


@np.errstate(all="ignore")
def softplus(x: Interval) -> Interval:
    """Returns the range of log(1 + eˣ)."""
    return interval(*_positive(rounded_softplus(x.lo), rounded_softplus(x.hi), GUARD, x))


def rounded_softplus(x: Array) -> Array:
    """Returns log(1 + eˣ) in float64, without overflow and with all digits where it is small."""
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.absolute(x))))


def erf(x: Interval) -> Interval:
    value = _rising(rounded_erf, x)
    return interval(np.maximum(value.lo, -1.0), np.minimum(value.hi, 1.0))


def rounded_erf(x: Array) -> Array:
    """Returns the error function in float64."""
    return np.asarray(_ERF(x), np.float64)


_ERF = np.frompyfunc(math.erf, 1, 1)


def floor(x: Interval) -> Interval:
    return interval(np.floor(x.lo), np.floor(x.hi))


def ceil(x: Interval) -> Interval:
    return interval(np.ceil(x.lo), np.ceil(x.hi))


def signum(x: Interval) -> Interval:
    return interval(np.sign(x.lo), np.sign(x.hi))


# --- of two intervals ---


def minimum(x: Interval, y: Interval) -> Interval:
    return interval(np.minimum(x.lo, y.lo), np.minimum(x.hi, y.hi))


def maximum(x: Interval, y: Interval) -> Interval:
    return interval(np.maximum(x.lo, y.lo), np.maximum(x.hi, y.hi))


@np.errstate(all="ignore")
def real_power(x: Interval, exponent: Fraction) -> Interval:
    """Returns x^p for a constant p that is no integer, of max(0, x): see `sqrt`."""
    low, high = power_ends(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0), exponent)
    if exponent < 0 and np.any(x.hi <= 0):
        nowhere = x.hi <= 0
        low, high = np.where(nowhere, -np.inf, low), np.where(nowhere, np.inf, high)
    return interval(low, high)


def power(x: Interval, y: Interval) -> Interval:
    """Returns x^y = exp(y log x), of the positive numbers in x."""
    return exp(y * log(x))


# --- sine and cosine ---


def _circle(x: Interval) -> "_Circle":
    """Returns the sine and the cosine, kept in x for a later call that needs the other one.

    Not a functools.cached_property, which lets only one thread at a time compute any before Python 3.12.
    """
    circle = x.__dict__.get("_circle")
    if not isinstance(circle, _Circle):
        circle = x.__dict__["_circle"] = _Circle(x.lo, x.hi)
    return circle


class _Circle:
    """The sine and the cosine of an interval of angles, which share their work.

    A cell of radius r ≤ 1/16 around m is enclosed from its middle: with |t| ≤ r,

        cos(m + t) − cos m = −sin m sin t + cos m (cos t − 1),  so  |cos(m + t) − cos m| ≤ r|sin m| + r²/2,

    and the same for the sine with both swapped. Both need sin m and cos m, and nothing else. These come from
    one tangent, τ = tan(m/2), as 2τ/(1 + τ²) and (1 − τ²)/(1 + τ²): numpy's tangent takes 1.3 ns where its
    sine and cosine take 15 each (x86 with AVX-512). Wider cells take the values at both ends, and ±1 where an
    extremum may lie between them.

    Guard: a relative error δ of τ moves both by at most δ, since |∂/∂log τ| ≤ 1, and four roundings add at
    most 4·2⁻⁵³. Against mpmath, numpy's tangent was within 1.01·2⁻⁵³ relative, its sine and cosine within
    0.51·2⁻⁵³ absolute, in 6,000 points each up to 10³, 10⁶, 10¹⁰, 10¹⁶ and beside multiples of π/2, and in
    800 points up to 10³⁰⁷. CIRCLE_GUARD = 2⁻⁴⁸ allows the tangent 24 times that, and covers the roundings of
    the sums here, each below 2⁻⁵².
    """

    def __init__(self, lo: Array, hi: Array) -> None:
        self._lo, self._hi = lo, hi
        middle = lo + hi
        middle *= 0.5
        radius = np.maximum(hi - middle, middle - lo)
        radius *= 1 + STEP
        middle *= 0.5
        tangent = np.tan(middle)
        square = tangent * tangent
        below = square + 1.0
        tangent += tangent
        tangent /= below
        square = 1.0 - square
        square /= below
        self.sine, self.cosine = tangent, square  # of the middle
        self._radius = radius
        self._bend = radius * radius
        self._bend *= 0.5 + STEP
        self._bend += CIRCLE_GUARD
        self._is_wide = not np.maximum.reduce(radius, axis=None, initial=0.0) <= NARROW

    def ends(self, value: Array, slope: Array, function: np.ufunc, top: float) -> tuple[Array, Array]:
        """Returns lower and upper ends of a function whose maximum is at 2π·top."""
        reach = np.absolute(slope)
        reach *= self._radius
        reach += self._bend
        ends = _clipped(value - reach, value + reach)
        return self._with_wide(ends, function, top) if self._is_wide else ends

    def _with_wide(self, ends: tuple[Array, Array], function: np.ufunc, top: float) -> tuple[Array, Array]:
        """Replaces the ends of wide cells by those from their own ends."""
        wide = ~(self._radius <= NARROW)
        lo, hi = np.asarray(self._lo)[wide], np.asarray(self._hi)[wide]
        at_lo, at_hi = function(lo), function(hi)
        low = np.minimum(at_lo, at_hi) - CIRCLE_GUARD
        high = np.maximum(at_lo, at_hi) + CIRCLE_GUARD
        low[may_hold(lo, hi, 2 * np.pi, top + 0.5)] = -1.0
        high[may_hold(lo, hi, 2 * np.pi, top)] = 1.0
        both = np.asarray(ends[0]), np.asarray(ends[1])
        both[0][wide], both[1][wide] = _clipped(low, high)
        return both


def _clipped(low: Array, high: Array) -> tuple[Array, Array]:
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def may_hold(lo: Array, hi: Array, period: float, offset: float) -> NDArray[np.bool_]:
    """Returns False where [lo, hi] certainly has no point (offset + k)·period with an integer k.

    The quotients are wrong by at most three roundings, of `period` and in the quotient itself; 2⁻⁵⁰ allows
    eight.
    """
    first, last = lo / period - offset, hi / period - offset
    first -= (np.absolute(first) + 1) * 2.0**-50
    last += (np.absolute(last) + 1) * 2.0**-50
    possible: NDArray[np.bool_] = np.ceil(first) <= last
    return possible
