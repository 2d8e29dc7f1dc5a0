"""The one table of operations: the value of each and its partial derivatives, written once.

They are written against an algebra `a`: its numbers have + − * / and unary −, and it has the functions of
`Algebra`. Float arrays, intervals and dual numbers over either are such algebras, so that values, enclosures,
slopes and curvatures all come out of this table. The operations on vectors and matrices at its end need a
`TensorAlgebra`: float arrays, or dual numbers over them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = Any
"""A number of an algebra: a float64 array, an Interval, a Dual."""

Decision: TypeAlias = NDArray[np.int8]
"""The result of a comparison: 1 where it holds, −1 where it does not, 0 where it is undecided or a tie."""


class Algebra(Protocol):
    """The functions that the table needs of a kind of numbers."""

    def from_fraction(self, value: Fraction) -> Number: ...  # a literal
    def constant(self, name: str) -> Number: ...  # pi, e, ln 2, ln 10, 2/√π
    def sin(self, x: Number) -> Number: ...
    def cos(self, x: Number) -> Number: ...
    def tan(self, x: Number) -> Number: ...
    def exp(self, x: Number) -> Number: ...
    def log(self, x: Number) -> Number: ...
    def sqrt(self, x: Number) -> Number: ...
    def log10(self, x: Number) -> Number: ...
    def log2(self, x: Number) -> Number: ...
    def log1p(self, x: Number) -> Number: ...  # log(1 + x)
    def expm1(self, x: Number) -> Number: ...  # eˣ − 1
    def sinh(self, x: Number) -> Number: ...
    def cosh(self, x: Number) -> Number: ...
    def asinh(self, x: Number) -> Number: ...
    def acosh(self, x: Number) -> Number: ...
    def atanh(self, x: Number) -> Number: ...
    def arcsin(self, x: Number) -> Number: ...
    def arccos(self, x: Number) -> Number: ...
    def arctan(self, x: Number) -> Number: ...
    def cbrt(self, x: Number) -> Number: ...
    def erf(self, x: Number) -> Number: ...
    def softplus(self, x: Number) -> Number: ...  # log(1 + eˣ)
    def floor(self, x: Number) -> Number: ...
    def ceil(self, x: Number) -> Number: ...
    def signum(self, x: Number) -> Number: ...  # −1, 0, 1
    def tanh(self, x: Number) -> Number: ...
    def sigmoid(self, x: Number) -> Number: ...
    def relu(self, x: Number) -> Number: ...
    def absolute(self, x: Number) -> Number: ...
    def maximum(self, x: Number, y: Number) -> Number: ...
    def minimum(self, x: Number, y: Number) -> Number: ...
    def integer_power(self, x: Number, exponent: int) -> Number: ...  # xⁿ for any integer n; x⁰ = 1

    # x^p for x ≥ 0 and a constant p that is no integer
    def real_power(self, x: Number, exponent: Fraction) -> Number: ...
    def power(self, x: Number, y: Number) -> Number: ...  # x^y = exp(y log x) for x ≥ 0

    # −1 below 0, 1 above; at 0 the float is 0 and the interval [−1, 1]
    def sign(self, x: Number) -> Number: ...

    # 0 below 0, 1 above; at 0 the float is 0 and the interval [0, 1]
    def step(self, x: Number) -> Number: ...

    # the derivative of `sign` and `step`: 0, and anything at 0 in an interval
    def bend(self, x: Number) -> Number: ...

    # the derivative of a function with the values x that is flat between its jumps: 0, and anything in a cell
    # with several values
    def flat(self, x: Number) -> Number: ...
    def less(self, x: Number, y: Number) -> Decision: ...  # x < y
    def less_equal(self, x: Number, y: Number) -> Decision: ...  # x ≤ y

    # 1 where x is the larger one (throughout a cell), −1 where y is, 0 in a tie
    def order(self, x: Number, y: Number) -> Decision: ...

    # x at 1, y at −1; at 0 the mean of floats, the hull of intervals
    def select(self, decision: Decision, x: Number, y: Number) -> Number: ...

    # selects, but anything where it is undecided: the slope of a function that may jump
    def jump(self, decision: Decision, x: Number, y: Number) -> Number: ...


class TensorAlgebra(Algebra, Protocol):
    """An algebra whose numbers have entries: scalars (), vectors (n,) and matrices (m, n)."""

    def shape(self, x: Number) -> tuple[int, ...]: ...

    # x @ y: (k,)(k,) -> (), (m, k)(k,) -> (m,), (k,)(k, n) -> (n,), (m, k)(k, n) -> (m, n)
    def matmul(self, x: Number, y: Number) -> Number: ...
    def outer(self, x: Number, y: Number) -> Number: ...  # xᵢ yⱼ: (m,)(n,) -> (m, n)
    def transpose(self, x: Number) -> Number: ...  # (m, n) -> (n, m); a vector stays one

    # repeats x to a shape, by numpy's rules of broadcasting; and its transpose, which sums over these axes
    def spread(self, x: Number, shape: tuple[int, ...]) -> Number: ...
    def gather(self, x: Number, shape: tuple[int, ...]) -> Number: ...
    def rows(self, x: Number) -> Number: ...  # sums over the last axis, which goes
    def unsqueeze(self, x: Number) -> Number: ...  # a last axis of length 1
    def softmax(self, x: Number) -> Number: ...  # exp(xᵢ) / Σⱼ exp(xⱼ) over the last axis
    def logsumexp(self, x: Number) -> Number: ...  # log Σⱼ exp(xⱼ) over the last axis, which goes
    def largest(self, x: Number) -> Number: ...  # the largest entry
    def smallest(self, x: Number) -> Number: ...  # the smallest entry

    # 1/k at the k entries that equal the value, 0 elsewhere; constant to differentiation
    def shares(self, x: Number, value: Number) -> Number: ...


Value: TypeAlias = Callable[..., Number]
"""(algebra, *arguments) -> value"""
Partial: TypeAlias = Callable[..., Number]
"""(algebra, value, *arguments) -> ∂value/∂argument; the ints 1 and −1 stand for themselves, without work"""


@dataclass(frozen=True)
class Operation:
    """A row of the table.

    An operation on each entry by itself has partial derivatives; one that mixes entries has a Jacobian
    matrix J per argument instead, given by its products with what comes from either side.

    Attributes:
        value: the function itself; the node's parameter comes last, if it has one.
        partials: its partial derivatives, one per argument that is a number; they may use the value.
        order: for `maximum` and `minimum`, whose derivative is that of one argument: which one it is.
        pushes: J t of each argument, for a tangent t of its shape: (algebra, t, value, *arguments).
        pulls: Jᵀ g of each argument, for a gradient g of the value's shape: (algebra, g, value, *arguments).
    """

    value: Value
    partials: tuple[Partial, ...] = ()
    order: Callable[..., Decision] | None = None
    pushes: tuple[Value, ...] = ()
    pulls: tuple[Value, ...] = ()


def _one(a: Algebra, v: Number, *_: Number) -> int:
    return 1


def _minus_one(a: Algebra, v: Number, *_: Number) -> int:
    return -1


def _power_in_base(a: Algebra, v: Number, x: Number, y: Number) -> Number:
    """Returns ∂x^y/∂x = y x^(y−1), and 0 at x = y = 0: x⁰ = 1 everywhere."""
    either = np.maximum(_is_not_zero(a, x), _is_not_zero(a, y))
    return y * a.select(either, a.power(x, y - 1), 0)


def _power_in_exponent(a: Algebra, v: Number, x: Number, y: Number) -> Number:
    """Returns ∂x^y/∂y = x^y log x, and 0 at x = 0 < y: 0^y = 0 for all these y."""
    either = np.maximum(_is_not_zero(a, x), a.less_equal(y, a.from_fraction(Fraction(0))))
    return v * a.select(either, a.log(x), 0)


def _is_not_zero(a: Algebra, x: Number) -> Decision:
    return a.less(a.from_fraction(Fraction(0)), a.absolute(x))


def _pull_left(a: TensorAlgebra, g: Number, v: Number, x: Number, y: Number) -> Number:
    """Returns g yᵀ for x of x @ y, which is an outer product where y is a vector."""
    if len(a.shape(x)) == 1:
        return g * y if len(a.shape(y)) == 1 else a.matmul(y, g)
    return a.outer(g, y) if len(a.shape(y)) == 1 else a.matmul(g, a.transpose(y))


def _pull_right(a: TensorAlgebra, g: Number, v: Number, x: Number, y: Number) -> Number:
    """Returns xᵀ g for y of x @ y, which is an outer product where x is a vector and y a matrix."""
    if len(a.shape(x)) == 1:
        return g * x if len(a.shape(y)) == 1 else a.outer(x, g)
    return a.matmul(a.transpose(x), g)


def _push_share(a: TensorAlgebra, t: Number, v: Number, x: Number) -> Number:
    return a.gather(a.shares(x, v) * t, ())


def _pull_share(a: TensorAlgebra, g: Number, v: Number, x: Number) -> Number:
    return a.shares(x, v) * g


def _entries(a: TensorAlgebra, x: Number) -> int:
    return math.prod(a.shape(x))


OPERATIONS: Mapping[str, Operation] = {
    "add": Operation(lambda a, x, y: x + y, (_one, _one)),
    "subtract": Operation(lambda a, x, y: x - y, (_one, _minus_one)),
    "multiply": Operation(lambda a, x, y: x * y, (lambda a, v, x, y: y, lambda a, v, x, y: x)),
    "divide": Operation(lambda a, x, y: x / y, (lambda a, v, x, y: 1 / y, lambda a, v, x, y: -v / y)),
    "negative": Operation(lambda a, x: -x, (_minus_one,)),
    "integer_power": Operation(
        lambda a, x, n: a.integer_power(x, n),
        (lambda a, v, x, n: n * a.integer_power(x, n - 1) if n else 0,),  # (xⁿ)′ = n xⁿ⁻¹
    ),
    "real_power": Operation(
        lambda a, x, p: a.real_power(x, p),
        (lambda a, v, x, p: a.from_fraction(p) * a.real_power(x, p - 1),),  # (x^p)′ = p x^(p−1)
    ),
    "power": Operation(lambda a, x, y: a.power(x, y), (_power_in_base, _power_in_exponent)),
    "sin": Operation(lambda a, x: a.sin(x), (lambda a, v, x: a.cos(x),)),
    "cos": Operation(lambda a, x: a.cos(x), (lambda a, v, x: -a.sin(x),)),
    "tan": Operation(lambda a, x: a.tan(x), (lambda a, v, x: 1 + a.integer_power(v, 2),)),
    "exp": Operation(lambda a, x: a.exp(x), (lambda a, v, x: v,)),
    "log": Operation(lambda a, x: a.log(x), (lambda a, v, x: 1 / x,)),
    "sqrt": Operation(lambda a, x: a.sqrt(x), (lambda a, v, x: 1 / (2 * v),)),
    "tanh": Operation(lambda a, x: a.tanh(x), (lambda a, v, x: 1 - a.integer_power(v, 2),)),
    # σ′ = σ(1 − σ), and 1 − σ(x) = σ(−x) without cancellation
    "sigmoid": Operation(lambda a, x: a.sigmoid(x), (lambda a, v, x: v * a.sigmoid(-x),)),
    "log10": Operation(lambda a, x: a.log10(x), (lambda a, v, x: 1 / (x * a.constant("ln 10")),)),
    "log2": Operation(lambda a, x: a.log2(x), (lambda a, v, x: 1 / (x * a.constant("ln 2")),)),
    "log1p": Operation(lambda a, x: a.log1p(x), (lambda a, v, x: 1 / (1 + x),)),
    "expm1": Operation(lambda a, x: a.expm1(x), (lambda a, v, x: a.exp(x),)),
    "sinh": Operation(lambda a, x: a.sinh(x), (lambda a, v, x: a.cosh(x),)),
    "cosh": Operation(lambda a, x: a.cosh(x), (lambda a, v, x: a.sinh(x),)),
    # cosh v = √(1 + x²) and sinh v = √(x² − 1), which neither overflow nor cancel
    "asinh": Operation(lambda a, x: a.asinh(x), (lambda a, v, x: 1 / a.cosh(v),)),
    "acosh": Operation(lambda a, x: a.acosh(x), (lambda a, v, x: 1 / a.sinh(v),)),
    "atanh": Operation(lambda a, x: a.atanh(x), (lambda a, v, x: 1 / ((1 - x) * (1 + x)),)),
    "arcsin": Operation(lambda a, x: a.arcsin(x), (lambda a, v, x: 1 / a.sqrt((1 - x) * (1 + x)),)),
    "arccos": Operation(lambda a, x: a.arccos(x), (lambda a, v, x: -1 / a.sqrt((1 - x) * (1 + x)),)),
    "arctan": Operation(lambda a, x: a.arctan(x), (lambda a, v, x: 1 / (1 + a.integer_power(x, 2)),)),
    "cbrt": Operation(lambda a, x: a.cbrt(x), (lambda a, v, x: 1 / (3 * a.integer_power(v, 2)),)),
    "erf": Operation(
        lambda a, x: a.erf(x),
        (lambda a, v, x: a.constant("2/√π") * a.exp(-a.integer_power(x, 2)),),
    ),
    "softplus": Operation(lambda a, x: a.softplus(x), (lambda a, v, x: a.sigmoid(x),)),
    "floor": Operation(lambda a, x: a.floor(x), (lambda a, v, x: a.flat(v),)),
    "ceil": Operation(lambda a, x: a.ceil(x), (lambda a, v, x: a.flat(v),)),
    "signum": Operation(lambda a, x: a.signum(x), (lambda a, v, x: a.flat(v),)),
    "flat": Operation(lambda a, x: a.flat(x), (lambda a, v, x: a.flat(x),)),
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
    "matmul": Operation(
        lambda a, x, y: a.matmul(x, y),
        pushes=(lambda a, t, v, x, y: a.matmul(t, y), lambda a, t, v, x, y: a.matmul(x, t)),
        pulls=(_pull_left, _pull_right),
    ),
    "outer": Operation(
        lambda a, x, y: a.outer(x, y),
        pushes=(lambda a, t, v, x, y: a.outer(t, y), lambda a, t, v, x, y: a.outer(x, t)),
        pulls=(lambda a, g, v, x, y: a.matmul(g, y), lambda a, g, v, x, y: a.matmul(x, g)),
    ),
    "transpose": Operation(
        lambda a, x: a.transpose(x),
        pushes=(lambda a, t, v, x: a.transpose(t),),
        pulls=(lambda a, g, v, x: a.transpose(g),),
    ),
    "sum": Operation(
        lambda a, x: a.gather(x, ()),
        pushes=(lambda a, t, v, x: a.gather(t, ()),),
        pulls=(lambda a, g, v, x: a.spread(g, a.shape(x)),),
    ),
    "mean": Operation(
        lambda a, x: a.gather(x, ()) / _entries(a, x),
        pushes=(lambda a, t, v, x: a.gather(t, ()) / _entries(a, x),),
        pulls=(lambda a, g, v, x: a.spread(g / _entries(a, x), a.shape(x)),),
    ),
    # J = diag(p) − p pᵀ with p = softmax(x), which is its own transpose
    "softmax": Operation(
        lambda a, x: a.softmax(x),
        pushes=(lambda a, t, v, x: v * (t - a.unsqueeze(a.rows(v * t))),),
        pulls=(lambda a, g, v, x: v * (g - a.unsqueeze(a.rows(v * g))),),
    ),
    # J = softmax(x)ᵀ
    "logsumexp": Operation(
        lambda a, x: a.logsumexp(x),
        pushes=(lambda a, t, v, x: a.rows(a.softmax(x) * t),),
        pulls=(lambda a, g, v, x: a.unsqueeze(g) * a.softmax(x),),
    ),
    "largest": Operation(lambda a, x: a.largest(x), pushes=(_push_share,), pulls=(_pull_share,)),
    "smallest": Operation(lambda a, x: a.smallest(x), pushes=(_push_share,), pulls=(_pull_share,)),
}
"""All operations by name. `sign`, `step`, `bend`, `flat` and `outer` occur only in derivatives: the function
that is written `sign` is `signum`, which is 0 at 0."""

JUMPS = frozenset({"floor", "ceil", "signum"})
"""The operations that are flat between jumps."""
