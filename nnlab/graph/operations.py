"""The one table of operations: the value of each and its partial derivatives, written once.

They are written against an algebra `a`: its numbers have + − * / and unary −, and it has the functions of
`Algebra`. Float arrays, intervals and dual numbers over either are such algebras, so that values, enclosures,
slopes and curvatures all come out of this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = Any
"""A number of an algebra: a float64 array, an Interval, a Dual."""

Decision: TypeAlias = NDArray[np.int8]
"""Of a comparison: 1 where it holds, −1 where it does not, 0 where that is undecided or a tie."""


class Algebra(Protocol):
    """What the table asks of a kind of numbers."""

    def number(self, value: Fraction) -> Number:
        """A literal."""
        ...

    def constant(self, name: str) -> Number:
        """`pi` or `e`."""
        ...

    def sin(self, x: Number) -> Number: ...
    def cos(self, x: Number) -> Number: ...
    def tan(self, x: Number) -> Number: ...
    def exp(self, x: Number) -> Number: ...
    def log(self, x: Number) -> Number: ...
    def sqrt(self, x: Number) -> Number: ...
    def tanh(self, x: Number) -> Number: ...
    def sigmoid(self, x: Number) -> Number: ...
    def relu(self, x: Number) -> Number: ...
    def absolute(self, x: Number) -> Number: ...
    def maximum(self, x: Number, y: Number) -> Number: ...
    def minimum(self, x: Number, y: Number) -> Number: ...

    def integer_power(self, x: Number, exponent: int) -> Number:
        """xⁿ for any integer n; x⁰ = 1."""
        ...

    def real_power(self, x: Number, exponent: Fraction) -> Number:
        """x^p for x ≥ 0 and a constant p that is no integer."""
        ...

    def power(self, x: Number, y: Number) -> Number:
        """x^y = exp(y log x) for x ≥ 0."""
        ...

    def sign(self, x: Number) -> Number:
        """−1 below 0, 1 above; at 0 the float is 0 and the interval [−1, 1]."""
        ...

    def step(self, x: Number) -> Number:
        """0 below 0, 1 above; at 0 the float is 0 and the interval [0, 1]."""
        ...

    def bend(self, x: Number) -> Number:
        """The derivative of `sign` and `step`: 0, and anything at 0 in an interval."""
        ...

    def less(self, x: Number, y: Number) -> Decision:
        """x < y."""
        ...

    def less_equal(self, x: Number, y: Number) -> Decision:
        """x ≤ y."""
        ...

    def order(self, x: Number, y: Number) -> Decision:
        """1 where x is the larger one (throughout a cell), −1 where y is, 0 in a tie."""
        ...

    def select(self, decision: Decision, x: Number, y: Number) -> Number:
        """x at 1, y at −1; at 0 the mean of floats, the hull of intervals."""
        ...

    def jump(self, decision: Decision, x: Number, y: Number) -> Number:
        """As `select`, but anything where it is undecided: the slope of a function that may jump."""
        ...


Value: TypeAlias = Callable[..., Number]
"""(algebra, *arguments) -> value"""
Partial: TypeAlias = Callable[..., Number]
"""(algebra, value, *arguments) -> ∂value/∂argument; the ints 1 and −1 stand for themselves, without work"""


@dataclass(frozen=True)
class Operation:
    """A row of the table.

    Attributes:
        value: the function itself; the node's parameter comes last, if it has one.
        partials: its partial derivatives, one per argument that is a number; they may use the value.
        order: for `maximum` and `minimum`, whose derivative is that of one argument: which one it is.
    """

    value: Value
    partials: tuple[Partial, ...] = ()
    order: Callable[..., Decision] | None = None


def _one(a: Algebra, v: Number, *_: Number) -> int:
    return 1


def _minus_one(a: Algebra, v: Number, *_: Number) -> int:
    return -1


OPERATIONS: Mapping[str, Operation] = {
    "add": Operation(lambda a, x, y: x + y, (_one, _one)),
    "subtract": Operation(lambda a, x, y: x - y, (_one, _minus_one)),
    "multiply": Operation(lambda a, x, y: x * y, (lambda a, v, x, y: y, lambda a, v, x, y: x)),
    "divide": Operation(lambda a, x, y: x / y, (lambda a, v, x, y: 1 / y, lambda a, v, x, y: -v / y)),
    "negative": Operation(lambda a, x: -x, (_minus_one,)),
    "integer_power": Operation(
        lambda a, x, n: a.integer_power(x, n),
        (lambda a, v, x, n: n * a.integer_power(x, n - 1),),  # (xⁿ)′ = n xⁿ⁻¹
    ),
    "real_power": Operation(
        lambda a, x, p: a.real_power(x, p),
        (lambda a, v, x, p: a.number(p) * a.real_power(x, p - 1),),  # (x^p)′ = p x^(p−1)
    ),
    "power": Operation(
        lambda a, x, y: a.power(x, y),
        (
            lambda a, v, x, y: y * a.power(x, y - 1),
            lambda a, v, x, y: v * a.log(x),  # ∂/∂y exp(y log x)
        ),
    ),
    "sin": Operation(lambda a, x: a.sin(x), (lambda a, v, x: a.cos(x),)),
    "cos": Operation(lambda a, x: a.cos(x), (lambda a, v, x: -a.sin(x),)),
    "tan": Operation(lambda a, x: a.tan(x), (lambda a, v, x: 1 + a.integer_power(v, 2),)),
    "exp": Operation(lambda a, x: a.exp(x), (lambda a, v, x: v,)),
    "log": Operation(lambda a, x: a.log(x), (lambda a, v, x: 1 / x,)),
    "sqrt": Operation(lambda a, x: a.sqrt(x), (lambda a, v, x: 1 / (2 * v),)),
    "tanh": Operation(lambda a, x: a.tanh(x), (lambda a, v, x: 1 - a.integer_power(v, 2),)),
    # σ′ = σ(1 − σ), and 1 − σ(x) = σ(−x) without cancellation
    "sigmoid": Operation(lambda a, x: a.sigmoid(x), (lambda a, v, x: v * a.sigmoid(-x),)),
    "abs": Operation(lambda a, x: a.absolute(x), (lambda a, v, x: a.sign(x),)),
    "relu": Operation(lambda a, x: a.relu(x), (lambda a, v, x: a.step(x),)),
    "sign": Operation(lambda a, x: a.sign(x), (lambda a, v, x: a.bend(x),)),
    "step": Operation(lambda a, x: a.step(x), (lambda a, v, x: a.bend(x),)),
    "bend": Operation(lambda a, x: a.bend(x), (lambda a, v, x: a.bend(x),)),
    "maximum": Operation(lambda a, x, y: a.maximum(x, y), order=lambda a, x, y: a.order(x, y)),
    "minimum": Operation(lambda a, x, y: a.minimum(x, y), order=lambda a, x, y: a.order(y, x)),
    "less": Operation(lambda a, x, y: a.less(x, y)),
    "less_equal": Operation(lambda a, x, y: a.less_equal(x, y)),
    "where": Operation(lambda a, decision, x, y: a.select(decision, x, y)),
}
"""All operations by name. `sign`, `step` and `bend` occur in no expression, only as derivatives."""
