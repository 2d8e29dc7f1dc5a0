"""The two algebras below dual numbers: float64 arrays, and intervals of them."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions.operations import Decision
from nnlab.rigorous import functions
from nnlab.rigorous.intervals import Interval, as_interval, integer_power, interval, scalar_interval
from nnlab.rigorous.rounding import fraction_ends

Array = NDArray[np.float64]

_CONSTANTS = {"pi": math.pi, "e": math.e, "ln 2": math.log(2), "ln 10": math.log(10)}
_CONSTANTS |= {"2/√π": 2 / math.sqrt(math.pi)}
_ABOVE = {"ln 10", "2/√π"}
"""The constants that lie below their nearest float; the others lie above theirs."""


class Floats:
    """Float64 arrays, rounded to nearest; NaN or infinite where a function has no value."""

    sin, cos, tan, exp, log = np.sin, np.cos, np.tan, np.exp, np.log
    sqrt, tanh, absolute, power = np.sqrt, np.tanh, np.absolute, np.power
    maximum, minimum, sign = np.maximum, np.minimum, np.sign
    sigmoid = staticmethod(functions.rounded_sigmoid)
    log10, log2, log1p, expm1 = np.log10, np.log2, np.log1p, np.expm1
    sinh, cosh, asinh, acosh, atanh = np.sinh, np.cosh, np.arcsinh, np.arccosh, np.arctanh
    arcsin, arccos, arctan, cbrt = np.arcsin, np.arccos, np.arctan, np.cbrt
    floor, ceil, signum = np.floor, np.ceil, np.sign
    softplus, erf = staticmethod(functions.rounded_softplus), staticmethod(functions.rounded_erf)

    def from_fraction(self, value: Fraction) -> np.float64:
        """Returns a number of numpy's, whose division by zero is no exception."""
        return np.float64(value.numerator / value.denominator)

    def constant(self, name: str) -> np.float64:
        return np.float64(_CONSTANTS[name])

    def relu(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def integer_power(self, x: Array, exponent: int) -> Array:
        """Returns xⁿ, of the sign of x for odd n, also where no float is odd."""
        power: Array = np.power(np.absolute(x), float(exponent))
        return np.copysign(power, x) if exponent % 2 else power

    def real_power(self, x: Array, exponent: Fraction) -> Array:
        """Returns x^p; NaN for x < 0, also where the float next to p is an integer."""
        return np.power(np.where(np.less(x, 0), np.nan, x), self.from_fraction(exponent))

    def step(self, x: Array) -> Array:
        return np.heaviside(x, 0.0)

    def bend(self, x: Array) -> Array:
        return np.multiply(x, 0.0)

    flat = bend

    def less(self, x: Array, y: Array) -> Decision:
        return np.where(np.less(x, y), 1, -1).astype(np.int8)

    def less_equal(self, x: Array, y: Array) -> Decision:
        return np.where(np.less_equal(x, y), 1, -1).astype(np.int8)

    def order(self, x: Array, y: Array) -> Decision:
        return np.greater(x, y).astype(np.int8) - np.less(x, y).astype(np.int8)

    def select(self, decision: Decision, x: Array, y: Array) -> Array:
        chosen = np.where(decision > 0, x, y)
        if np.any(decision == 0):
            return np.where(decision == 0, (np.asarray(x) + y) / 2, chosen)
        return chosen

    jump = select
    matmul, outer, transpose = np.matmul, staticmethod(np.outer), staticmethod(np.transpose)
    largest, smallest = staticmethod(np.max), staticmethod(np.min)
    shape, spread = staticmethod(np.shape), staticmethod(np.broadcast_to)

    def gather(self, x: Array, shape: tuple[int, ...]) -> Array:
        if np.shape(x) == shape:
            return x
        ahead = np.ndim(x) - len(shape)
        repeated = (i for i, n in enumerate(shape, ahead) if n == 1 and np.shape(x)[i] != 1)
        return np.reshape(np.sum(x, (*range(ahead), *repeated)), shape)

    def rows(self, x: Array) -> Array:
        return np.asarray(np.sum(x, -1))

    def unsqueeze(self, x: Array) -> Array:
        return np.expand_dims(x, -1)

    def softmax(self, x: Array) -> Array:
        powers = np.exp(x - np.max(x, -1, keepdims=True))
        return np.asarray(powers / np.sum(powers, -1, keepdims=True))

    def logsumexp(self, x: Array) -> Array:
        """Subtracts the largest entry first, so that no power overflows."""
        top = np.max(x, -1)
        value: Array = top + np.log(np.sum(np.exp(x - np.expand_dims(top, -1)), -1))
        return value

    def shares(self, x: Array, value: Array) -> Array:
        equal = np.equal(x, value)
        return np.asarray(equal / np.sum(equal))


class Intervals:
    """Intervals, rounded outward."""

    def from_fraction(self, value: Fraction) -> Interval:
        return scalar_interval(*fraction_ends(value))

    def constant(self, name: str) -> Interval:
        """Returns the floats around a constant, none of which is one."""
        nearest = _CONSTANTS[name]
        below = math.nextafter(nearest, -math.inf) if name in _ABOVE else nearest
        return scalar_interval(below, math.nextafter(below, math.inf))

    sin, cos, tan = staticmethod(functions.sin), staticmethod(functions.cos), staticmethod(functions.tan)
    exp, log, sqrt = staticmethod(functions.exp), staticmethod(functions.log), staticmethod(functions.sqrt)
    tanh, sigmoid = staticmethod(functions.tanh), staticmethod(functions.sigmoid)
    log10, log2 = staticmethod(functions.log10), staticmethod(functions.log2)
    log1p, expm1 = staticmethod(functions.log1p), staticmethod(functions.expm1)
    sinh, cosh = staticmethod(functions.sinh), staticmethod(functions.cosh)
    asinh, acosh = staticmethod(functions.asinh), staticmethod(functions.acosh)
    atanh, arctan = staticmethod(functions.atanh), staticmethod(functions.arctan)
    arcsin, arccos = staticmethod(functions.arcsin), staticmethod(functions.arccos)
    softplus, erf, cbrt = map(staticmethod, (functions.softplus, functions.erf, functions.cbrt))
    floor, ceil, signum = map(staticmethod, (functions.floor, functions.ceil, functions.signum))
    maximum, minimum = staticmethod(functions.maximum), staticmethod(functions.minimum)
    integer_power, real_power = staticmethod(integer_power), staticmethod(functions.real_power)

    def relu(self, x: Interval) -> Interval:
        return interval(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0))

    def absolute(self, x: Interval) -> Interval:
        return abs(x)

    def power(self, x: Interval, y: Interval) -> Interval:
        return functions.power(x, as_interval(y))

    def sign(self, x: Interval) -> Interval:
        below, above = _sides(x)
        return interval(np.where(above, 1.0, -1.0), np.where(below, -1.0, 1.0))

    def step(self, x: Interval) -> Interval:
        below, above = _sides(x)
        return interval(np.where(above, 1.0, 0.0), np.where(below, 0.0, 1.0))

    def bend(self, x: Interval) -> Interval:
        below, above = _sides(x)
        one_sided = below | above
        if np.all(one_sided):
            return scalar_interval(0.0, 0.0)
        return interval(np.where(one_sided, 0.0, -np.inf), np.where(one_sided, 0.0, np.inf))

    def flat(self, x: Interval) -> Interval:
        jumps = x.lo != x.hi
        if not np.any(jumps):
            return scalar_interval(0.0, 0.0)
        return interval(np.where(jumps, -np.inf, 0.0), np.where(jumps, np.inf, 0.0))

    def less(self, x: Interval, y: Interval) -> Decision:
        return (x.hi < y.lo).astype(np.int8) - (x.lo >= y.hi).astype(np.int8)

    def less_equal(self, x: Interval, y: Interval) -> Decision:
        return (x.hi <= y.lo).astype(np.int8) - (x.lo > y.hi).astype(np.int8)

    def order(self, x: Interval, y: Interval) -> Decision:
        """Compares; of two that only touch, one counts as larger throughout the cell."""
        return (x.lo >= y.hi).astype(np.int8) - (y.lo >= x.hi).astype(np.int8)

    def select(self, decision: Decision, x: Interval, y: Interval) -> Interval:
        x, y = as_interval(x), as_interval(y)
        low = np.where(decision > 0, x.lo, y.lo)
        high = np.where(decision > 0, x.hi, y.hi)
        if np.any(decision == 0):
            tie = decision == 0
            low = np.where(tie, np.minimum(x.lo, y.lo), low)
            high = np.where(tie, np.maximum(x.hi, y.hi), high)
        return interval(low, high)

    def jump(self, decision: Decision, x: Interval, y: Interval) -> Interval:
        value = self.select(decision, x, y)
        if np.any(decision == 0):
            tie = decision == 0
            return interval(np.where(tie, -np.inf, value.lo), np.where(tie, np.inf, value.hi))
        return value


def _sides(x: Interval) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tells where x ≤ 0 and where x ≥ 0 throughout; neither where it is 0 and no more."""
    return (x.hi <= 0) & (x.lo < 0), (x.lo >= 0) & (x.hi > 0)


FLOATS = Floats()
INTERVALS = Intervals()
