"""One-sided derivatives: dual numbers x + t ε in order, with a positive ε that is smaller than any number.

x + t ε < y + s ε where x < y, or x = y and t < s. In this order min, max, abs, relu and the comparisons of
`where` decide which way a function leaves a point, and the chain rule does the rest: the value is its limit
from that side, the tangent its slope there. Where both sides of a comparison leave a tie with the same slope
it is decided as at the point itself, though terms of higher order may decide it differently.
"""

import numpy as np

from nnlab.expressions.duals import Dual, Duals
from nnlab.expressions.operations import OPERATIONS, Decision, Number


class OneSided(Duals):
    """The algebra of these numbers over float arrays, along one direction."""

    def apply(self, name: str, *arguments: Number) -> Number:
        """An operation of the table."""
        match name:
            case "relu":
                return self.apply("maximum", *arguments, 0.0)
            case "abs":
                return self.apply("maximum", *arguments, -arguments[0])
            case "largest" | "smallest" if isinstance(arguments[0], Dual):
                return self._extreme(name, arguments[0])
        return super().apply(name, *arguments)

    def _extreme(self, name: str, x: Dual) -> Dual:
        """Of the entries that are equally large, the one that leaves fastest stays the largest."""
        value = OPERATIONS[name].value(self.below, x.value)
        pick, never = (np.max, -np.inf) if name == "largest" else (np.min, np.inf)
        tied, moves = np.equal(x.value, value), self._filled(x.value, x.tangents)
        return Dual(self, value, tuple(None if t is None else pick(np.where(tied, t, never)) for t in moves))

    def order(self, x: Number, y: Number) -> Decision:
        decision = super().order(x, y)
        return np.where(decision == 0, self.below.order(_slope(x), _slope(y)), decision)

    def less(self, x: Number, y: Number) -> Decision:
        return np.where(super().order(x, y) == 0, self.below.less(_slope(x), _slope(y)), super().less(x, y))

    def less_equal(self, x: Number, y: Number) -> Decision:
        tie = super().order(x, y) == 0
        return np.where(tie, self.below.less_equal(_slope(x), _slope(y)), super().less_equal(x, y))


def _slope(x: Number) -> Number:
    return x.tangents[0] if isinstance(x, Dual) and x.tangents[0] is not None else 0.0
