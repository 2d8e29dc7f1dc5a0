"""Forward-mode differentiation: numbers that carry their derivatives along several directions.

A dual number is v + Σ tⱼ εⱼ with εⱼ εₖ = 0. An operation f acts on it by the chain rule,
f(x, y) -> f(v) + Σⱼ (∂f/∂x xⱼ + ∂f/∂y yⱼ) εⱼ, with f and its partial derivatives from the table. Values and
tangents are numbers of another algebra: over intervals the tangents enclose slopes, and dual numbers over
dual numbers carry second derivatives.

With a positive ε that is smaller than any number, dual numbers x + t ε are ordered as well, and give
one-sided derivatives: x + t ε < y + s ε where x < y, or x = y and t < s. In this order min, max, abs, relu
and the comparisons of `where` decide how a function leaves a point, and the chain rule does the rest: the
value is its limit from that side, the tangent its slope there. Where both sides of a comparison leave a tie
with the same slope it is decided as at the point itself, though terms of higher order may decide otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from nnlab.expressions.operations import OPERATIONS, Decision, Number

Tangents: TypeAlias = tuple[Number | None, ...]
"""The derivative along each direction; None where it is zero whatever the point, a plain 1 for a variable."""


def _operator(name: str, *, reflected: bool = False) -> Callable[..., Number]:
    """Returns an operation of the table as an operator of dual numbers."""

    def operator(x: "Dual", *other: Number) -> Number:
        return x.algebra.apply(name, *other, x) if reflected else x.algebra.apply(name, x, *other)

    return operator


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

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", reflected=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", reflected=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", reflected=True)
    __neg__ = _operator("negative")


def _operation(name: str) -> Callable[..., Number]:
    """Returns an operation of the table as a method of the algebra."""

    def method(self: "Duals", *arguments: Number) -> Number:
        return self.apply(name, *arguments)

    return method


def _linear(name: str) -> Callable[..., Number]:
    """Returns a linear function of the entries as a method, which acts on value and tangents alike."""

    def method(self: "Duals", x: Number, *parameters: object) -> Number:
        transform = getattr(self.below, name)
        if not isinstance(x, Dual):
            return transform(x, *parameters)
        filled = self.filled(x.value, x.tangents)
        moved = (None if t is None else transform(t, *parameters) for t in filled)
        return Dual(self, transform(x.value, *parameters), tuple(moved))

    return method


def _of_values(name: str) -> Callable[..., Any]:
    """Returns a function of the values as a method, which does not depend on the tangents."""

    def method(self: "Duals", *arguments: Number) -> Any:
        return getattr(self.below, name)(*map(_value, arguments))

    return method


@dataclass(frozen=True)
class Duals:
    """The algebra of dual numbers with `directions` tangents over the algebra `below`.

    It has the operations on vectors and matrices where `below` has them.
    """

    below: Any  # an Algebra, or a TensorAlgebra
    directions: int = 1

    def apply(self, name: str, *arguments: Number) -> Number:
        """Applies an operation of the table, by the chain rule; to plain numbers alone it gives one."""
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
        moved = self.none
        for partial, along in zip(operation.partials, tangents, strict=False):
            if along is not None:
                slope = partial(self.below, value, *values)
                moved = tuple(_plus(a, _times(slope, b)) for a, b in zip(moved, along, strict=True))
        for push, along, argument in zip(operation.pushes, tangents, values, strict=False):
            if along is not None:
                filled = self.filled(argument, along)
                pushed = (None if t is None else push(self.below, t, value, *values) for t in filled)
                moved = tuple(map(_plus, moved, pushed))
        return Dual(self, value, moved)

    def parts(self, number: Number) -> tuple[Number, Tangents]:
        """Returns value and tangents of a number that may be a plain one."""
        return (number.value, number.tangents) if isinstance(number, Dual) else (number, self.none)

    @property
    def none(self) -> Tangents:
        """The tangents of a constant."""
        return (None,) * self.directions

    def filled(self, value: Number, tangents: Tangents) -> Tangents:
        """Returns tangents of the value's own shape: one that is equal in all entries is kept as a number."""
        shape = self.below.shape(value)
        return tuple(None if t is None else self.below.spread(t, shape) for t in tangents)

    def _choice(
        self,
        value: Number,
        choose: Callable[[Decision, Number, Number], Number],
        decision: Decision,
        x: Tangents | None,
        y: Tangents | None,
    ) -> Dual:
        """Returns the value with the tangents of the argument that the decision selects."""
        pairs = zip(x or self.none, y or self.none, strict=True)  # 0 for None: two constants may jump, too
        chosen = (choose(decision, *(0 if t is None else t for t in pair)) for pair in pairs)
        return Dual(self, value, tuple(chosen))

    sin, cos, tan = _operation("sin"), _operation("cos"), _operation("tan")
    exp, log, sqrt = _operation("exp"), _operation("log"), _operation("sqrt")
    tanh, sigmoid = _operation("tanh"), _operation("sigmoid")
    log10, log2 = _operation("log10"), _operation("log2")
    log1p, expm1 = _operation("log1p"), _operation("expm1")
    sinh, cosh = _operation("sinh"), _operation("cosh")
    asinh, acosh, atanh = _operation("asinh"), _operation("acosh"), _operation("atanh")
    arcsin, arccos, arctan = _operation("arcsin"), _operation("arccos"), _operation("arctan")
    cbrt, erf, softplus = _operation("cbrt"), _operation("erf"), _operation("softplus")
    floor, ceil, signum, flat = map(_operation, ("floor", "ceil", "signum", "flat"))
    relu, absolute = _operation("relu"), _operation("abs")
    maximum, minimum, select = _operation("maximum"), _operation("minimum"), _operation("where")
    integer_power, real_power = _operation("integer_power"), _operation("real_power")
    power = _operation("power")
    sign, step, bend = _operation("sign"), _operation("step"), _operation("bend")
    matmul, outer = _operation("matmul"), _operation("outer")
    softmax, logsumexp = _operation("softmax"), _operation("logsumexp")
    largest, smallest = _operation("largest"), _operation("smallest")
    gather, spread = _linear("gather"), _linear("spread")
    rows, unsqueeze, transpose = _linear("rows"), _linear("unsqueeze"), _linear("transpose")
    from_fraction, constant = _of_values("from_fraction"), _of_values("constant")
    less, less_equal, order = _of_values("less"), _of_values("less_equal"), _of_values("order")
    shape, shares = _of_values("shape"), _of_values("shares")

    def jump(self, decision: Decision, x: Number, y: Number) -> Number:
        (value, along), (other, along_other) = self.parts(x), self.parts(y)
        jumped = self.below.jump(decision, value, other)
        return self._choice(jumped, self.below.jump, decision, along, along_other)


def _value(number: Number) -> Number:
    return number.value if isinstance(number, Dual) else number


def _plus(x: Number | None, y: Number | None) -> Number | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _times(slope: Number, tangent: Number | None) -> Number | None:
    """Returns the product; a plain 1 or −1 costs nothing and stays exact."""
    if tangent is None:
        return None
    for factor, other in ((slope, tangent), (tangent, slope)):
        if isinstance(factor, int) and abs(factor) == 1:
            return other if factor == 1 else -other
    return slope * tangent


def _by_slope(name: str) -> Callable[..., Any]:
    """Returns a comparison as a method that decides ties by the slopes."""

    def method(self: "OneSided", x: Number, y: Number) -> Any:
        compare = getattr(self.below, name)
        tie = self.below.order(_value(x), _value(y)) == 0
        return np.where(tie, compare(_slope(x), _slope(y)), compare(_value(x), _value(y)))

    return method


def _slope(x: Number) -> Number:
    return x.tangents[0] if isinstance(x, Dual) and x.tangents[0] is not None else 0.0


def _leaning(x: Number) -> Number:
    """Gives a zero the sign of its slope, as it is just after leaving the point: 1/−0 = −∞."""
    if not isinstance(x, Dual) or x.tangents[0] is None:
        return x
    slope: Number = x.tangents[0]
    leans = np.equal(x.value, 0) & (np.less(slope, 0) | np.greater(slope, 0))
    return Dual(x.algebra, np.where(leans, np.copysign(0.0, slope), x.value), x.tangents)


class OneSided(Duals):
    """The algebra of ordered dual numbers over float arrays, along one direction.

    Zeros have signs, that of their slope if it has one, so that quotients and odd powers tend to the right
    one of ±∞.
    """

    def apply(self, name: str, *arguments: Number) -> Number:
        """Applies an operation of the table; those with a kink by the order."""
        arguments = tuple(map(_leaning, arguments))
        match name:
            case "relu":
                return self.apply("maximum", *arguments, 0.0)
            case "abs":
                return self.apply("maximum", *arguments, -arguments[0])
            case "largest" | "smallest" if isinstance(arguments[0], Dual):
                return self._extreme(name, arguments[0])
            case "floor" | "ceil" | "signum" if isinstance(arguments[0], Dual):
                return Dual(self, self._landing(name, arguments[0]), self.none)
        return super().apply(name, *arguments)

    def _landing(self, name: str, x: Dual) -> Number:
        """Returns the limit of a function that is flat between jumps, on the side that x moves to."""
        value, move = OPERATIONS[name].value(self.below, x.value), np.sign(_slope(x))
        match name:
            case "floor":
                return np.where((x.value == value) & (move < 0), value - 1, value)
            case "ceil":
                return np.where((x.value == value) & (move > 0), value + 1, value)
        return np.where(x.value == 0, move, value)

    def _extreme(self, name: str, x: Dual) -> Dual:
        """Selects from the entries that are equally large the one that leaves fastest."""
        value = OPERATIONS[name].value(self.below, x.value)
        pick, never = (np.max, -np.inf) if name == "largest" else (np.min, np.inf)
        tied, moves = np.equal(x.value, value), self.filled(x.value, x.tangents)
        return Dual(self, value, tuple(None if t is None else pick(np.where(tied, t, never)) for t in moves))

    order, less, less_equal = _by_slope("order"), _by_slope("less"), _by_slope("less_equal")
