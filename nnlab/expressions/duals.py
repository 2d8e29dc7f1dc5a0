"""Forward-mode differentiation: numbers that carry their derivatives along several directions.

A dual number is v + Σ tⱼ εⱼ with εⱼ εₖ = 0. An operation f acts on it by the chain rule,
f(x, y) -> f(v) + Σⱼ (∂f/∂x xⱼ + ∂f/∂y yⱼ) εⱼ, with f and its partial derivatives from the table. Values and
tangents are numbers of another algebra: over intervals the tangents enclose slopes, and dual numbers over
dual numbers carry second derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from nnlab.expressions.operations import OPERATIONS, Decision, Number

Tangents: TypeAlias = tuple[Number | None, ...]
"""The derivative along each direction; None where it is zero whatever the point, a plain 1 for a variable."""


@dataclass(frozen=True)
class Dual:
    """A value and its tangents.

    Attributes:
        algebra: the algebra that it belongs to.
        value: a number of the algebra below.
        tangents: its derivatives.
    """

    algebra: "Duals"
    value: Number
    tangents: Tangents

    __array_ufunc__ = None  # so that array * dual asks the dual

    def __add__(self, other: Number) -> Number:
        return self.algebra.apply("add", self, other)

    def __radd__(self, other: Number) -> Number:
        return self.algebra.apply("add", other, self)

    def __sub__(self, other: Number) -> Number:
        return self.algebra.apply("subtract", self, other)

    def __rsub__(self, other: Number) -> Number:
        return self.algebra.apply("subtract", other, self)

    def __mul__(self, other: Number) -> Number:
        return self.algebra.apply("multiply", self, other)

    def __rmul__(self, other: Number) -> Number:
        return self.algebra.apply("multiply", other, self)

    def __truediv__(self, other: Number) -> Number:
        return self.algebra.apply("divide", self, other)

    def __rtruediv__(self, other: Number) -> Number:
        return self.algebra.apply("divide", other, self)

    def __neg__(self) -> Number:
        return self.algebra.apply("negative", self)


@dataclass(frozen=True)
class Duals:
    """The algebra of dual numbers with `directions` tangents over the algebra `below`.

    It has the operations on vectors and matrices where `below` has them.
    """

    below: Any  # an Algebra, or a TensorAlgebra
    directions: int = 1

    def apply(self, name: str, *arguments: Number) -> Number:
        """An operation of the table, by the chain rule; a plain number where no argument is a Dual."""
        operation = OPERATIONS[name]
        values = [x.value if isinstance(x, Dual) else x for x in arguments]
        value = operation.value(self.below, *values)
        tangents = [x.tangents if isinstance(x, Dual) else None for x in arguments]
        if name == "where" and np.any(values[0] == 0):  # the slope of two constants, too, is unbounded then
            return self._choice(value, self.below.jump, values[0], *tangents[1:])
        if not any(isinstance(x, Dual) for x in arguments):
            return value
        if name == "where":
            return self._choice(value, self.below.select, values[0], *tangents[1:])
        if operation.order is not None:
            return self._choice(value, self.below.select, operation.order(self, *arguments), *tangents)
        moved: Tangents = (None,) * self.directions
        for partial, along in zip(operation.partials, tangents, strict=False):
            if along is not None:
                slope = partial(self.below, value, *values)
                moved = tuple(_plus(a, _times(slope, b)) for a, b in zip(moved, along, strict=True))
        for push, along, argument in zip(operation.pushes, tangents, values, strict=False):
            if along is not None:
                filled = self._filled(argument, along)
                pushed = (None if t is None else push(self.below, t, value, *values) for t in filled)
                moved = tuple(map(_plus, moved, pushed))
        return Dual(self, value, moved)

    def _filled(self, value: Number, tangents: Tangents) -> Tangents:
        """Tangents of the value's own shape: one that is equal in all entries is kept as one number."""
        shape = self.below.shape(value)
        return tuple(None if t is None else self.below.spread(t, shape) for t in tangents)

    def _linear(self, x: Number, transform: Callable[..., Number], *how: object) -> Number:
        """A linear function of the entries, which acts on value and tangents alike."""
        if not isinstance(x, Dual):
            return transform(x, *how)
        moved = (None if t is None else transform(t, *how) for t in self._filled(x.value, x.tangents))
        return Dual(self, transform(x.value, *how), tuple(moved))

    def _choice(
        self,
        value: Number,
        choose: Callable[[Decision, Number, Number], Number],
        decision: Decision,
        x: Tangents | None,
        y: Tangents | None,
    ) -> Dual:
        """The tangents of an operation that is one of its arguments, whichever the decision says."""
        none: Tangents = (None,) * self.directions
        pairs = zip(x or none, y or none, strict=True)
        return Dual(self, value, tuple(_chosen(choose, decision, a, b) for a, b in pairs))

    def number(self, value: Fraction) -> Number:
        return self.below.number(value)

    def constant(self, name: str) -> Number:
        return self.below.constant(name)

    def sin(self, x: Number) -> Number:
        return self.apply("sin", x)

    def cos(self, x: Number) -> Number:
        return self.apply("cos", x)

    def tan(self, x: Number) -> Number:
        return self.apply("tan", x)

    def exp(self, x: Number) -> Number:
        return self.apply("exp", x)

    def log(self, x: Number) -> Number:
        return self.apply("log", x)

    def sqrt(self, x: Number) -> Number:
        return self.apply("sqrt", x)

    def tanh(self, x: Number) -> Number:
        return self.apply("tanh", x)

    def sigmoid(self, x: Number) -> Number:
        return self.apply("sigmoid", x)

    def relu(self, x: Number) -> Number:
        return self.apply("relu", x)

    def absolute(self, x: Number) -> Number:
        return self.apply("abs", x)

    def maximum(self, x: Number, y: Number) -> Number:
        return self.apply("maximum", x, y)

    def minimum(self, x: Number, y: Number) -> Number:
        return self.apply("minimum", x, y)

    def integer_power(self, x: Number, exponent: int) -> Number:
        return self.apply("integer_power", x, exponent)

    def real_power(self, x: Number, exponent: Fraction) -> Number:
        return self.apply("real_power", x, exponent)

    def power(self, x: Number, y: Number) -> Number:
        return self.apply("power", x, y)

    def sign(self, x: Number) -> Number:
        return self.apply("sign", x)

    def step(self, x: Number) -> Number:
        return self.apply("step", x)

    def bend(self, x: Number) -> Number:
        return self.apply("bend", x)

    def less(self, x: Number, y: Number) -> Decision:
        found: Decision = self.below.less(_value(x), _value(y))
        return found

    def less_equal(self, x: Number, y: Number) -> Decision:
        found: Decision = self.below.less_equal(_value(x), _value(y))
        return found

    def order(self, x: Number, y: Number) -> Decision:
        found: Decision = self.below.order(_value(x), _value(y))
        return found

    def select(self, decision: Decision, x: Number, y: Number) -> Number:
        return self.apply("where", decision, x, y)

    def jump(self, decision: Decision, x: Number, y: Number) -> Number:
        value = self.below.jump(decision, _value(x), _value(y))
        tangents = [number.tangents if isinstance(number, Dual) else None for number in (x, y)]
        return self._choice(value, self.below.jump, decision, *tangents)

    def shape(self, x: Number) -> tuple[int, ...]:
        found: tuple[int, ...] = self.below.shape(_value(x))
        return found

    def gather(self, x: Number, shape: tuple[int, ...]) -> Number:
        return self._linear(x, self.below.gather, shape)

    def spread(self, x: Number, shape: tuple[int, ...]) -> Number:
        return self._linear(x, self.below.spread, shape)

    def rows(self, x: Number) -> Number:
        return self._linear(x, self.below.rows)

    def unsqueeze(self, x: Number) -> Number:
        return self._linear(x, self.below.unsqueeze)

    def transpose(self, x: Number) -> Number:
        return self._linear(x, self.below.transpose)

    def matmul(self, x: Number, y: Number) -> Number:
        return self.apply("matmul", x, y)

    def outer(self, x: Number, y: Number) -> Number:
        return self.apply("outer", x, y)

    def softmax(self, x: Number) -> Number:
        return self.apply("softmax", x)

    def logsumexp(self, x: Number) -> Number:
        return self.apply("logsumexp", x)

    def largest(self, x: Number) -> Number:
        return self.apply("largest", x)

    def smallest(self, x: Number) -> Number:
        return self.apply("smallest", x)

    def shares(self, x: Number, value: Number) -> Number:
        return self.below.shares(_value(x), _value(value))


def _value(number: Number) -> Number:
    return number.value if isinstance(number, Dual) else number


def _plus(x: Number | None, y: Number | None) -> Number | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _times(slope: Number, tangent: Number | None) -> Number | None:
    """The product; a plain 1 or −1 costs nothing and stays exact."""
    if tangent is None:
        return None
    for factor, other in ((slope, tangent), (tangent, slope)):
        if isinstance(factor, int) and abs(factor) == 1:
            return other if factor == 1 else -other
    return slope * tangent


def _chosen(
    choose: Callable[[Decision, Number, Number], Number],
    decision: Decision,
    x: Number | None,
    y: Number | None,
) -> Number | None:
    """A tangent that is zero whatever the point takes part as 0, also where both are: a `where` may jump."""
    return choose(decision, 0 if x is None else x, 0 if y is None else y)
