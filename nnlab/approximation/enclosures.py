"""Networks of any depth over boxes of R^d: every value and slope in intervals that are proofs.

Intervals go through the layers as midpoint and radius, so that every layer is two matrix products:
|W x − W m| ≤ |W| r for |x − m| ≤ r (Rump 1999, "Fast and parallel interval arithmetic", BIT 39). Rounding is
bounded beforehand: a product of n terms is off by at most γ|W||x|, γ = nu/(1 − nu), in whatever order it is
summed (Higham 2002, "Accuracy and stability of numerical algorithms", ch. 3). Twice that radius holds both
the exact network and the one that torch evaluates in float64, whose elementary functions are within ULPS.

Partial derivatives go forward with the values.

In a small part of the domain most units of a steep network are saturated: `BoxNetwork.restricted` makes
constants of them, and one of several units that have become the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.expressions import Interval
from nnlab.models.activations import ACTIVATIONS
from nnlab.rigorous.activations import TINY, ULPS, Ball, U, enclose_sigmoid

Array = NDArray[np.float64]

CHUNK = 2**16  # values of hidden units that are enclosed at once: they stay in the cache
PRODUCTS = 2**17  # multiplications in one matrix product: with more, threads would wait for each other
FIXED = 2.0**-46  # a unit that varies by less in a part of the domain is a constant there


class _Layer:
    """x ↦ W x + b for intervals."""

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.size, self.bias = weight.T.copy(), np.abs(weight).T.copy(), bias
        self.gamma = 1.01 * (weight.shape[1] + 8) * U

    def __call__(self, x: Ball, bias: bool = True) -> Ball:
        """(k, n) to (k, m): holds W x + b, and what float64 makes of it."""
        gamma = self.gamma
        mid = _product(x.mid, self.weight)
        rad = np.abs(x.mid)
        rad += x.rad
        rad *= 2 * gamma
        rad += x.rad
        rad = _product(rad, self.size)
        if bias:
            mid += self.bias
            rad += 2 * gamma * np.abs(self.bias)
        rad *= 1 + 2 * gamma
        rad += TINY
        return Ball(mid, rad)


def _product(x: Array, weight: Array) -> Array:
    """x W; a single column without BLAS, whose matrix-vector products wake threads for very little."""
    if weight.shape[1] == 1:
        column: Array = np.einsum("kn,n->k", x, weight[:, 0])[:, None]
        return column
    return x @ weight


class BoxNetwork:
    """A network whose values and slopes are enclosed over many boxes at once, chunk by chunk.

    Attributes:
        weights: (W, b) of every layer.
        error: how far its values may be from those of the network that it stands for,
        slope_error: (d,) and its partial derivatives; 0 but for a restricted one.
    """

    def __init__(
        self,
        weights: Sequence[tuple[Array, Array]],
        activation: str,
        output: str,
        error: float = 0.0,
        slope_error: Array | None = None,
    ) -> None:
        self.weights, self.activation, self.output = weights, activation, output
        self.layers = [_Layer(w, b) for w, b in weights]
        (first, _), (second, _) = weights[:2]
        inputs = first.shape[1]
        # the slopes in xᵢ enter the second layer as W₂ diag(column i of W₁) φ'(z₁)
        self.entries = [_Layer(second * first[:, i], np.zeros(len(second))) for i in range(inputs)]
        self.error, self.slope_error = error, np.zeros(inputs) if slope_error is None else slope_error
        sizes = [layer.weight.shape for layer in self.layers]
        products = PRODUCTS // max(max(n * m for n, m in sizes), 1)
        self.rows = max(32, min(CHUNK // max(max(n, m) for n, m in sizes), products))

    @classmethod
    def of(cls, network: ScalarNetwork) -> "BoxNetwork":
        return cls(network.weights(), network.activation, network.output_activation)

    def values(self, lo: Array, hi: Array) -> Interval:
        """(k, d) corners of boxes to (k,) intervals that hold the values, exact and as computed."""
        return self.enclose(lo, hi, slopes=False)[0]

    def slopes(self, lo: Array, hi: Array) -> tuple[Interval, tuple[Interval, ...]]:
        """(k, d) corners of boxes to the values, and to (k,) intervals of each partial derivative.

        The derivatives are those of the exact network: infinite where a hard step may lie in the box.
        """
        value, *slopes = self.enclose(lo, hi, slopes=True)
        return value, tuple(slopes)

    def enclose(self, lo: Array, hi: Array, slopes: bool) -> list[Interval]:
        """(k, d) corners of boxes to the values and, if wanted, the slopes."""
        starts = range(0, max(1, len(lo)), self.rows)
        return joined([self._chunk(lo[i : i + self.rows], hi[i : i + self.rows], slopes) for i in starts])

    def _chunk(self, lo: Array, hi: Array, slopes: bool) -> list[Interval]:
        activate = ACTIVATIONS[self.activation].enclose
        assert activate is not None
        h, slope, jumps = activate(self.layers[0](Ball.between(lo, hi)), slopes)
        tangents = [entry(slope, bias=False) for entry in self.entries] if slope is not None else []
        z = self.layers[1](h)
        for layer in self.layers[2:]:
            h, slope, more = activate(z, slopes)
            jumps = jumps | more
            z = layer(h)
            if slope is not None:
                tangents = [layer(slope * tangent, bias=False) for tangent in tangents]
        z.rad[:] += self.error
        for i, tangent in enumerate(tangents):
            tangent.rad[:] += self.slope_error[i]
        if self.output == "sigmoid":
            z, slope, _ = enclose_sigmoid(z, slopes)
            if slope is not None:
                tangents = [slope * tangent for tangent in tangents]
        unknown = np.where(jumps, np.inf, 0.0)
        return [_interval(z), *(_interval(tangent, unknown) for tangent in tangents)]

    def restricted(self, lo: Array, hi: Array) -> "BoxNetwork":
        """A smaller network that stands for this one in a box.

        Units that hardly vary there become constants, and units that then read the same become one. Both
        change the scores of the next layer: by |W| times the changes of its inputs and by the rounding of the
        new weights; that of this network's own evaluation counts as a change as well. φ passes a change δ of
        its score on as sup|φ'| δ, and δ with a change η of the slope as sup|φ'| η + sup|φ''| δ |∂z|. What
        arrives at the output is `error` and `slope_error`.

        Args:
            lo, hi: (d,) corners of the box.
        """
        phi = ACTIVATIONS[self.activation]
        if phi.curvature is None:
            return self  # where units jump or bend, a change of the score may change everything
        assert phi.enclose is not None
        first, second = phi.lipschitz, phi.curvature
        weight, bias = self.weights[0]  # of the smaller network
        box, steep, slopes_off = Ball.between(lo[None], hi[None]), np.abs(weight), np.zeros_like(weight)
        z = self.layers[0](box)
        off = 2 * self.layers[0].gamma * (steep @ _size(box)[0] + np.abs(bias))
        smaller = []
        for layer, (full, full_bias) in zip(self.layers[1:], self.weights[1:], strict=True):
            h, slope, _ = phi.enclose(z, True)
            assert slope is not None
            size, turn = _size(h)[0], _size(slope)[0]
            fixed = (h.rad[0] <= FIXED) & (turn <= 4 * FIXED)
            kept = np.flatnonzero(~fixed)
            rows, group = np.unique(np.column_stack([weight[kept], bias[kept]]), axis=0, return_inverse=True)
            smaller.append((rows[:, :-1], rows[:, -1]))
            h_off = np.where(fixed, h.rad[0], first * off + ULPS)
            moved = first * slopes_off + second * off[:, None] * steep
            h_slopes_off = np.where(fixed[:, None], turn[:, None] * steep, moved)
            gamma, through = 4 * layer.gamma, turn[:, None] * steep
            absolute = np.abs(full)
            off = absolute @ (h_off + gamma * size) + gamma * np.abs(full_bias)
            slopes_off = absolute @ (h_slopes_off + gamma * through)
            steep = absolute @ through * (1 + gamma)
            bias = full_bias + full[:, fixed] @ h.mid[0, fixed]
            weight = np.zeros((len(full), len(rows)))
            np.add.at(weight.T, group.ravel(), full[:, kept].T)
            z = layer(h)
        smaller.append((weight, bias))
        error, slope_error = float(off[0] * (1 + 1e-9)), slopes_off[0] * (1 + 1e-9)
        return BoxNetwork(smaller, self.activation, self.output, error, slope_error)


def _size(ball: Ball) -> Array:
    """The largest absolute value in it."""
    return (np.abs(ball.mid) + ball.rad) * (1 + 4 * U)


def _interval(ball: Ball, more: Array | float = 0.0) -> Interval:
    """(k, 1) balls to (k,) intervals, widened."""
    return Interval(ball.lo[:, 0] - more, ball.hi[:, 0] + more)


def joined(parts: Sequence[Sequence[Interval]]) -> list[Interval]:
    """The intervals of some boxes after those of others, quantity by quantity."""
    return [
        Interval(np.concatenate([of.lo for of in column]), np.concatenate([of.hi for of in column]))
        for column in zip(*parts, strict=True)
    ]
