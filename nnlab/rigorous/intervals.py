"""Interval arithmetic: + − * / and powers of whole arrays of intervals, rounded outward.

Moore, Kearfott & Cloud 2009, "Introduction to interval analysis", ch. 2 and 4. An interval stands for real
numbers: its ends may be infinite, which says that nothing is known on that side, and 0·∞ = 0. Quotients and
functions enclose their values wherever they are defined; an operation that is defined nowhere in its interval
gives (−∞, ∞). No end is ever NaN.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.rigorous.rounding import (
    LARGEST,
    NORMAL,
    STEP,
    TINY,
    fraction_ends,
    lowered,
    product,
    product_ends,
    raised,
    sum_ends,
)

Array = NDArray[np.float64]

POWER_GUARD = 2.0**-47
"""Relative error allowed to np.power: 56 times the 1.13·2⁻⁵³ that was measured against mpmath for exponents
between −7 and 13 and bases between 10⁻²⁰ and 10²⁰, and for exponents up to 10⁴⁰ of bases near 1."""
SUBNORMAL = 2.0**-1022
"""Absolute error allowed to elementary functions whose result is subnormal: a library may give 0 there."""


def _binary(
    method: Callable[["Interval", "Interval"], "Interval"],
) -> Callable[["Interval", Any], "Interval"]:
    """Turns a method into an operator whose second operand may be a number or an array as well."""

    @wraps(method)
    def operator(x: "Interval", other: Any) -> "Interval":
        if not isinstance(other, (Interval, int, float, np.ndarray, np.generic)):
            return NotImplemented  # type: ignore[no-any-return]
        with np.errstate(all="ignore"):
            return method(x, as_interval(other))

    return operator


@dataclass(frozen=True, eq=False)
class Interval:
    """An array of intervals [lo, hi].

    The ends of sums and products of arrays lie up to three units in the last place outside. With numbers
    alone (arrays of no dimension) they are as near as floats allow, and exact where the result is a float.
    Multiplication by 0 and ±1, addition of the number 0 and, short of underflow, multiplication by a power
    of two are always exact.

    Attributes:
        lo: lower ends.
        hi: upper ends, of the same shape. Neither is written to once the interval exists.
    """

    lo: Array
    hi: Array

    if TYPE_CHECKING:  # numbers and lists become arrays

        def __init__(self, lo: ArrayLike, hi: ArrayLike) -> None: ...

    __array_ufunc__ = None  # so that array * interval asks the interval

    def __post_init__(self) -> None:
        lo, hi = np.asarray(self.lo, np.float64), np.asarray(self.hi, np.float64)
        if lo.shape != hi.shape:
            lo, hi = np.broadcast_arrays(lo, hi)
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    @staticmethod
    def point(values: ArrayLike) -> "Interval":
        """Returns [a, a] for each float a."""
        array = np.asarray(values, np.float64)
        return interval(array, array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lo.shape

    @property
    @np.errstate(all="ignore")
    def width(self) -> Array:
        """The difference hi − lo, rounded up."""
        return raised(self.hi - self.lo)

    @property
    @np.errstate(all="ignore")
    def mid(self) -> Array:
        """A point of the interval, at most a rounding from its middle; 0 for (−∞, ∞)."""
        lo, hi = np.maximum(self.lo, -LARGEST), np.minimum(self.hi, LARGEST)
        middle: Array = np.minimum(np.maximum(0.5 * lo + 0.5 * hi, lo), hi)
        return middle

    @property
    def magnitude(self) -> Array:
        """The largest absolute value."""
        largest: Array = np.maximum(-self.lo, self.hi)
        return largest

    @property
    def mignitude(self) -> Array:
        """The smallest absolute value."""
        smallest: Array = np.maximum(np.maximum(self.lo, -self.hi), 0.0)
        return smallest

    def holds(self, values: ArrayLike) -> NDArray[np.bool_]:
        """True where lo ≤ value ≤ hi."""
        array = np.asarray(values, np.float64)
        inside: NDArray[np.bool_] = (self.lo <= array) & (array <= self.hi)
        return inside

    def __neg__(self) -> "Interval":
        return interval(-self.hi, -self.lo)

    def __abs__(self) -> "Interval":
        return interval(self.mignitude, self.magnitude)

    @_binary
    def __add__(self, other: "Interval") -> "Interval":
        if is_scalar(self) and is_scalar(other):
            return scalar_interval(*sum_ends(_pair(self.lo, other.lo), _pair(self.hi, other.hi)))
        if _is_exactly(other, 0.0):
            return self
        if _is_exactly(self, 0.0):
            return other
        return interval(lowered(self.lo + other.lo), raised(self.hi + other.hi))

    __radd__ = __add__

    @_binary
    def __sub__(self, other: "Interval") -> "Interval":
        if is_scalar(self) or is_scalar(other):
            return self + -other
        return interval(lowered(self.lo - other.hi), raised(self.hi - other.lo))

    @_binary
    def __rsub__(self, other: "Interval") -> "Interval":
        return other - self

    @_binary
    def __mul__(self, other: "Interval") -> "Interval":
        if other is self:
            return integer_power(self, 2)
        if is_scalar(self) and is_scalar(other):
            pairs = {_pair(a, b) for a in (self.lo, self.hi) for b in (other.lo, other.hi)}
            return scalar_interval(*product_ends(list(pairs)))
        if is_scalar(other):
            return _scaled(self, other)
        if is_scalar(self):
            return _scaled(other, self)
        return _product(self, other)

    __rmul__ = __mul__

    @_binary
    def __truediv__(self, other: "Interval") -> "Interval":
        return self * reciprocal(other)

    @_binary
    def __rtruediv__(self, other: "Interval") -> "Interval":
        return other * reciprocal(self)

    def __pow__(self, exponent: int) -> "Interval":
        return integer_power(self, exponent)


def interval(lo: Array, hi: Array) -> Interval:
    """Returns an Interval of two float64 arrays of one shape, without the checks of its constructor."""
    unchecked = object.__new__(Interval)
    unchecked.__dict__.update(lo=lo, hi=hi)
    return unchecked


def scalar_interval(lo: float, hi: float) -> Interval:
    """Returns an Interval of no dimension."""
    return interval(np.asarray(lo), np.asarray(hi))


def as_interval(value: Interval | ArrayLike) -> Interval:
    """Returns floats as points, and an int beyond 2⁵³ that is no float between two floats."""
    if isinstance(value, Interval):
        return value
    if isinstance(value, int):
        return scalar_interval(*fraction_ends(Fraction(value)))
    return Interval.point(value)


def is_scalar(x: Interval) -> bool:
    """True for a single interval, False for an array of them."""
    return x.lo.ndim == 0


def _is_exactly(x: Interval, value: float) -> bool:
    return x.lo.ndim == 0 and bool(x.lo == value) and bool(x.hi == value)


def _pair(a: Array, b: Array) -> tuple[float, float]:
    return float(a), float(b)


def _product(x: Interval, y: Interval) -> Interval:
    if _is_nonnegative(x) and _is_nonnegative(y):
        low, high = product(x.lo, y.lo), product(x.hi, y.hi)
    else:
        low = product(x.lo, y.lo)
        high = low.copy()
        for p in (product(x.lo, y.hi), product(x.hi, y.lo), product(x.hi, y.hi)):
            np.minimum(low, p, out=low)
            np.maximum(high, p, out=high)
    return interval(lowered(low, tiny=TINY), raised(high, tiny=TINY))


def _is_nonnegative(x: Interval) -> bool:
    return bool(np.minimum.reduce(x.lo, axis=None, initial=np.inf) >= 0)


def _scaled(x: Interval, factor: Interval) -> Interval:
    """Returns the product with one factor that has no dimension.

    Its ends are moved outward once instead of every product: by at least a unit in the last place, which
    is more than u of a float, as much as a product's rounding can take back. Products with 0, ±1 and powers
    of two are exact.
    """
    c_low, c_high = float(factor.lo), float(factor.hi)
    if c_low == c_high and c_low in (0.0, 1.0, -1.0):
        return scalar_interval(0.0, 0.0) if c_low == 0 else (x if c_low == 1 else -x)
    low, high = (x.lo, x.hi) if c_low > 0 else (x.hi, x.lo)
    if (
        not (c_low > 0 or c_high < 0)
        or _leaves_range(low, c_low, c_high)
        or _leaves_range(high, c_low, c_high)
    ):
        shape = x.lo.shape
        return _product(x, interval(np.full(shape, c_low), np.full(shape, c_high)))
    if c_low == c_high and abs(math.frexp(c_low)[0]) == 0.5:
        return interval(low * c_low, high * c_low)
    c_low, c_high = c_low - STEP * abs(c_low), c_high + STEP * abs(c_high)
    return interval(_extreme(np.minimum, low, c_low, c_high), _extreme(np.maximum, high, c_low, c_high))


def _range(x: Array) -> tuple[float, float]:
    least = float(np.minimum.reduce(x, axis=None, initial=np.inf))
    return least, float(np.maximum.reduce(x, axis=None, initial=-np.inf))


def _leaves_range(x: Array, c_low: float, c_high: float) -> bool:
    """True where a product of x and a factor in [c_low, c_high], without 0, may overflow or underflow."""
    factors = sorted((abs(c_low), abs(c_high)))
    least, most = _range(x)
    if not max(most, -least) * factors[1] < LARGEST / 2:
        return True
    smallest = max(least, -most)
    if smallest <= 0:  # both signs occur
        smallest = float(np.minimum.reduce(np.absolute(x), axis=None, initial=np.inf))
    return smallest * factors[0] < NORMAL


def _extreme(pick: np.ufunc, x: Array, c_low: float, c_high: float) -> Array:
    """Returns the smaller or larger one of c_low·x and c_high·x."""
    least, most = _range(x)
    if least >= 0 or most <= 0:
        larger = (least >= 0) == (pick is np.maximum)
        return x * (c_high if larger else c_low)
    extreme: Array = x * c_low
    pick(extreme, x * c_high, out=extreme)
    return extreme


def _underflows(x: Array) -> bool:
    """True where some |x| is so small that a product may have lost digits; zero counts as such."""
    least, most = _range(x)
    if least >= NORMAL or most <= -NORMAL:
        return False
    return bool(np.minimum.reduce(np.absolute(x), axis=None, initial=np.inf) < NORMAL)


@np.errstate(all="ignore")
def reciprocal(x: Interval) -> Interval:
    """Returns 1/x; one-sided where x only touches 0, (−∞, ∞) where 0 lies inside or is all of x."""
    if is_scalar(x) and bool(x.lo == x.hi) and abs(math.frexp(float(x.lo))[0]) == 0.5:
        exact = 1 / float(x.lo)
        if math.isfinite(exact):
            return scalar_interval(exact, exact)
    low, high = lowered(1.0 / x.hi, tiny=TINY), raised(1.0 / x.lo, tiny=TINY)
    holds_zero = (x.lo <= 0) & (x.hi >= 0)
    if np.any(holds_zero):
        low = np.where(holds_zero & ~((x.lo >= 0) & (x.hi > 0)), -np.inf, low)
        high = np.where(holds_zero & ~((x.hi <= 0) & (x.lo < 0)), np.inf, high)
    return interval(low, high)


@np.errstate(all="ignore")
def integer_power(x: Interval, exponent: int) -> Interval:
    """Returns xⁿ for any integer n, exactly even or odd; x⁰ = 1, and xⁿ = 1/x⁻ⁿ for n < 0."""
    if exponent < 0:
        return reciprocal(integer_power(x, -exponent))
    if exponent == 0:
        return scalar_interval(1.0, 1.0)
    if exponent == 1:
        return x
    base = abs(x) if exponent % 2 == 0 else x
    if exponent > _COUNTED:
        return _huge_power(base, exponent)
    low, high = _raised_to(base.lo, exponent), _raised_to(base.hi, exponent)
    guard = STEP * exponent if exponent <= _MULTIPLIED else POWER_GUARD
    low, high = lowered(low, guard, SUBNORMAL), raised(high, guard, SUBNORMAL)
    return interval(np.maximum(low, 0.0) if exponent % 2 == 0 else low, high)


_MULTIPLIED = 8
"""The largest exponent for which xⁿ is n − 1 products, each with its rounding."""
_COUNTED = 2**53
"""The largest exponent up to which every integer is a float; above it floats are even."""


def _huge_power(x: Interval, exponent: int) -> Interval:
    """Returns sign(x)|x|ⁿ, for x ≥ 0 or odd n."""
    below = power_ends(np.maximum(-x.hi, 0.0), np.maximum(-x.lo, 0.0), Fraction(exponent))
    above = power_ends(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0), Fraction(exponent))
    return interval(np.where(x.lo < 0, -below[1], above[0]), np.where(x.hi < 0, -below[0], above[1]))


def power_ends(low: Array, high: Array, exponent: Fraction) -> tuple[Array, Array]:
    """Returns bounds on x^p over 0 ≤ low ≤ x ≤ high, for any exponent p ≠ 0.

    It rises in x for p > 0 and falls for p < 0, and its derivative in p keeps its sign for a given x: the
    extremes are at the ends of x, and of the two floats around p.
    """
    exponents = set(fraction_ends(exponent))
    if exponent < 0:
        low, high = high, low
    lows, highs = [np.power(low, p) for p in exponents], [np.power(high, p) for p in exponents]
    least, most = np.minimum(lows[0], lows[-1]), np.maximum(highs[0], highs[-1])
    return (
        np.maximum(lowered(least, POWER_GUARD) - SUBNORMAL * (least < 2 * SUBNORMAL), 0.0),
        raised(most, POWER_GUARD) + SUBNORMAL * ((most < 2 * SUBNORMAL) & (high != 0)),
    )


def _raised_to(x: Array, exponent: int) -> Array:
    """Returns xⁿ rounded, and not 0 unless x is (an underflow gives ±TINY)."""
    if exponent > _MULTIPLIED:
        result = np.power(x, float(exponent))
    else:
        result = x * x
        for _ in range(exponent - 2):
            result = result * x
    if _underflows(result):
        result = np.where((result == 0) & (x != 0), np.copysign(TINY, result), result)
    return result
