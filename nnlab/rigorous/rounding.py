"""Outward rounding: bounds that hold although float64 rounds to nearest.

With u = 2⁻⁵³, a rounded sum is s = (a + b)(1 + δ) and a rounded product p = ab(1 + δ) + η with |δ| ≤ u and
|η| ≤ 2⁻¹⁰⁷⁵ (η = 0 for sums, which are exact where they are subnormal). Moving the result outward by
2u|s|, at least one unit in its last place, therefore passes the exact value, and the rounding of that move
itself cannot undo it, since the next float lies in between. This takes three cheap passes over an array where
np.nextafter takes as long as fifteen.

A lower bound is never +∞ and an upper bound never −∞: an overflow leaves the largest float there, which every
number that overflowed exceeds.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest positive float, 2⁻¹⁰⁷⁴
NORMAL = 2.0**-900  # above it no product with a rounding error loses digits to underflow
STEP = 2.0**-52  # 2u


def lowered(x: Array, relative: float = STEP, tiny: float = 0.0) -> Array:
    """Returns x − |x|·relative, as a lower bound; overwrites x if it is an array.

    `tiny` is subtracted as well where x is so small that digits were lost to underflow; x = 0 stands for an
    exact zero and stays.
    """
    move = _move(x, relative, tiny)
    x -= move
    if not np.maximum.reduce(x, axis=None, initial=-np.inf) <= LARGEST:
        x = np.where(x <= LARGEST, x, LARGEST)  # also for the NaN that ∞ − ∞ gave
    return x


def raised(x: Array, relative: float = STEP, tiny: float = 0.0) -> Array:
    """Returns x + |x|·relative, and `tiny`, as an upper bound: see `lowered`."""
    move = _move(x, relative, tiny)
    x += move
    if not np.minimum.reduce(x, axis=None, initial=np.inf) >= -LARGEST:
        x = np.where(x >= -LARGEST, x, -LARGEST)
    return x


def _move(x: Array, relative: float, tiny: float) -> Array:
    move = np.absolute(x)
    small = tiny and np.minimum.reduce(move, axis=None, initial=np.inf) < NORMAL
    move *= relative
    if small:
        move += tiny * (x != 0)
    return move


def product(x: Array, y: Array) -> Array:
    """Returns xy rounded to nearest, with 0·∞ = 0, and not 0 unless a factor is.

    An underflow gives ±TINY, which is less than TINY away from the product.
    """
    p = x * y
    low = np.minimum.reduce(np.absolute(p), axis=None, initial=np.inf)  # NaN if one is
    if not low >= NORMAL:
        zero = (x == 0) | (y == 0)
        lost = (p == 0) & ~zero
        p = np.where(zero, 0.0, np.where(lost, np.copysign(TINY, np.sign(x) * np.sign(y)), p))
    return p


def sum_ends(low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float]:
    """Returns bounds on the sums of two pairs of floats; equal to them where they are exact."""
    down, up = low[0] + low[1], high[0] + high[1]
    return _down(down, _sum_error(*low, down)), _up(up, _sum_error(*high, up))


def _sum_error(a: float, b: float, s: float) -> float:
    """Returns a + b − s, whose sign is exact (Knuth's two-sum); NaN after an overflow."""
    part = s - a
    return (a - (s - part)) + (b - part)


def product_ends(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Returns bounds on the products of pairs of floats, with 0·∞ = 0; equal to exact ones."""
    products = [(p := a * b if a and b else 0.0, _product_error(a, b, p)) for a, b in pairs]
    return min(_down(*p) for p in products), max(_up(*p) for p in products)


def _product_error(a: float, b: float, p: float) -> float:
    """Returns a number of the sign of ab − p; NaN after an overflow."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return 0.0
    if not math.isfinite(p):
        return math.nan
    exact, rounded = Fraction(a) * Fraction(b), Fraction(p)
    return float((exact > rounded) - (exact < rounded))


def _down(value: float, error: float) -> float:
    return min(LARGEST, value if error >= 0 else math.nextafter(value, -math.inf))


def _up(value: float, error: float) -> float:
    return max(-LARGEST, value if error <= 0 else math.nextafter(value, math.inf))


def fraction_ends(value: Fraction) -> tuple[float, float]:
    """Returns the floats around an exact number in float64's range; both equal to it where it is a float."""
    nearest = value.numerator / value.denominator
    exact = Fraction(nearest)
    low = nearest if exact <= value else math.nextafter(nearest, -math.inf)
    high = nearest if exact >= value else math.nextafter(nearest, math.inf)
    return low, high
