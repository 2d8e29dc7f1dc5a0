"""Intervals and their elementary functions, rounded outward. The arithmetic itself is in `arithmetic`.

numpy's functions are not correctly rounded, and which library computes them depends on the machine. Their
largest relative errors against mpmath, in units of 2⁻⁵³ and over 6,000 points a range, were: exp 1.09, log
1.03, tanh 1.52, tan 1.00, pow 1.13 (AVX-512, numpy 2.4); sine and cosine are in `circle`. GUARD = 2⁻⁴⁹ allows
16 of these units, ten times the worst.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nnlab.rigorous.arithmetic import (
    POWER_GUARD,
    SUBNORMAL,
    Interval,
    everything,
    integer_power,
    interval,
    is_number,
    number,
    reciprocal,
)
from nnlab.rigorous.circle import may_hold
from nnlab.rigorous.rounding import fraction_ends, lowered, raised

__all__ = [
    "Interval",
    "cos",
    "everything",
    "exp",
    "integer_power",
    "interval",
    "is_number",
    "log",
    "maximum",
    "minimum",
    "number",
    "power",
    "real_power",
    "reciprocal",
    "sigmoid",
    "sin",
    "sqrt",
    "tan",
    "tanh",
]

Array = NDArray[np.float64]

GUARD = 2.0**-49


@np.errstate(all="ignore")
def sin(x: Interval) -> Interval:
    """The range, and up to r² more on each side of cells of radius r ≤ 1/16."""
    return interval(*x.circle.sine())


@np.errstate(all="ignore")
def cos(x: Interval) -> Interval:
    """The range, and up to r² more on each side of cells of radius r ≤ 1/16."""
    return interval(*x.circle.cosine())


@np.errstate(all="ignore")
def tan(x: Interval) -> Interval:
    """(−∞, ∞) where a pole may lie in the cell."""
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
    """Of the positive numbers in x; (−∞, ∞) where there are none."""
    low, high = lowered(np.log(x.lo), GUARD), raised(np.log(x.hi), GUARD)
    if not np.minimum.reduce(x.lo, axis=None, initial=np.inf) > 0:
        low = np.where(x.lo > 0, low, -np.inf)
        high = np.where(x.hi > 0, high, np.inf)
    return interval(low, high)


@np.errstate(all="ignore")
def sqrt(x: Interval) -> Interval:
    """√max(0, x): a negative number counts as 0, since rounding may have made it of a zero."""
    low, high = lowered(np.sqrt(np.maximum(x.lo, 0.0))), raised(np.sqrt(np.maximum(x.hi, 0.0)))
    return interval(low, high)


@np.errstate(all="ignore")
def tanh(x: Interval) -> Interval:
    low, high = lowered(np.tanh(x.lo), GUARD, SUBNORMAL), raised(np.tanh(x.hi), GUARD, SUBNORMAL)
    return interval(np.maximum(low, -1.0), np.minimum(high, 1.0))


@np.errstate(all="ignore")
def sigmoid(x: Interval) -> Interval:
    """1/(1 + e⁻ˣ) = exp(min(x, 0))/(1 + exp(−|x|)), within five roundings more than exp."""
    low, high = _positive(_sigmoid(x.lo), _sigmoid(x.hi), 2 * GUARD, x)
    return interval(low, np.minimum(high, 1.0))


def _sigmoid(x: Array) -> Array:
    above = np.exp(np.minimum(x, 0.0))
    below = np.exp(-np.absolute(x))
    below += 1.0
    above /= below
    return above


def minimum(x: Interval, y: Interval) -> Interval:
    return interval(np.minimum(x.lo, y.lo), np.minimum(x.hi, y.hi))


def maximum(x: Interval, y: Interval) -> Interval:
    return interval(np.maximum(x.lo, y.lo), np.maximum(x.hi, y.hi))


@np.errstate(all="ignore")
def real_power(x: Interval, exponent: Fraction) -> Interval:
    """x^p for a constant p that is no integer, of max(0, x): see `sqrt`.

    It rises in x for p > 0 and falls for p < 0, and its derivative in p keeps its sign for a given x: the
    extremes are at the ends of x, and of the two floats around p.
    """
    exponents = set(fraction_ends(exponent))
    low, high = np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0)
    if exponent < 0:
        low, high = high, low
    lows, highs = [np.power(low, p) for p in exponents], [np.power(high, p) for p in exponents]
    least, most = np.minimum(lows[0], lows[-1]), np.maximum(highs[0], highs[-1])
    found = interval(
        np.maximum(lowered(least, POWER_GUARD) - SUBNORMAL * (least < 2 * SUBNORMAL), 0.0),
        raised(most, POWER_GUARD) + SUBNORMAL * ((most < 2 * SUBNORMAL) & (high != 0)),
    )
    if exponent < 0 and np.any(x.hi <= 0):
        nowhere = x.hi <= 0
        return interval(np.where(nowhere, -np.inf, found.lo), np.where(nowhere, np.inf, found.hi))
    return found


def power(x: Interval, y: Interval) -> Interval:
    """x^y = exp(y log x), of the positive numbers in x."""
    return exp(y * log(x))
