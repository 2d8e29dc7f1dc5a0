"""How far a network as torch evaluates it on a CPU may be from the exact one with the same weights.

u is the roundoff of the weights' type, 2⁻⁵³ or 2⁻²⁴. A sum of n products, in whatever order and with or
without fused operations, is off by at most γ|W||x|, γ = nu/(1 − nu) (Higham 2002, "Accuracy and stability of
numerical algorithms", ch. 3); φ passes the error of its score on times its Lipschitz constant, and errs
itself by 16 roundings. A float32 network rounds its inputs, too: its bounds hold at every float64 point.

Hard steps. A score within its own rounding of 0 may come out on the wrong side, which costs the whole step.
It cannot where a unit has a single weight, ±2ᵏ ≥ 1, in float64: the product is exact then, and the sign of a
rounded sum of two numbers is that of the sum.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.models.activations import ACTIVATIONS
from nnlab.rigorous.activations import ULPS, Ball, U

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

SATURATED = 38.0  # beyond, every step is 0 or 1 to within 3.2e-17
LOST = 2.0**-1000  # more than float64 loses to underflow
LOST_SINGLE = 2.0**-120  # the same for float32
MOST = {2.0**-53: 2.0**1020, 2.0**-24: 2.0**124}  # by u: below it no sum of a few numbers overflows
ULPS_OF_PHI = ULPS / U  # units of u that torch's elementary functions may be off, for |φ| ≤ 1.5


@np.errstate(all="ignore")
def evaluation_error(network: ScalarNetwork, lo: ArrayLike, hi: ArrayLike) -> float:
    """A bound on |network as torch evaluates it − network| over a box; infinite where numbers may overflow.

    On the line with one hidden layer only as many units count as can err at one and the same x. In other
    networks all of them count, so that the bound is coarse where steps are hard or very steep.

    Args:
        network: with d inputs, float64 or float32.
        lo, hi: (d,) corners of the box.

    Raises:
        InputError: weights of another type.
    """
    low, high = (np.atleast_1d(np.asarray(end, np.float64)) for end in (lo, hi))
    weights = network.weights()
    if len(weights) == 2 and network.inputs == 1:
        error = _on_the_line(network, float(low[0]), float(high[0]))
    else:
        error = propagated(network, low[None], high[None], network.roundoff, flips=True)
    return error if np.isfinite(error) else np.inf


def _of_sums(terms: int, u: float) -> float:
    """γ of so many terms."""
    return 1.01 * (terms + 3) * u / (1 - (terms + 3) * u) if (terms + 3) * u < 0.5 else np.inf


def _lost(u: float) -> float:
    return LOST if u == U else LOST_SINGLE


def _signs_are_exact(weight: Array, u: float) -> Bools:
    """(m, n) weights to (m,) True where the sign of the score comes out right: one weight, ±2ᵏ ≥ 1."""
    mantissa, size = np.frexp(np.abs(weight))
    is_power: Bools = np.all((weight == 0) | ((mantissa == 0.5) & (size >= 1)), axis=1)
    is_alone: Bools = (weight != 0).sum(axis=1) <= 1
    return np.asarray(is_power & is_alone & (u == U))


# --- on the line ---------------------------------------------------------------------------------------


def _on_the_line(network: ScalarNetwork, low: float, high: float) -> float:
    (weight, bias), (output, constant) = network.weights()
    u, kind, phi = network.roundoff, network.activation, ACTIVATIONS[network.activation]
    x, lost, w, c = max(abs(low), abs(high)), _lost(u), np.abs(weight[:, 0]), np.abs(output[0])
    rounded_x = 0.0 if u == U else u
    scores = w * x + np.abs(bias)
    sizes = scores if kind == "relu" else np.full(len(c), 1.25)
    total, constant_size = float((c * sizes).sum()), abs(float(constant[0]))
    if not max(float(scores.max()), x, 2 * float(c.max(initial=0)), 2 * total + constant_size) < MOST[u]:
        return np.inf
    off = 1.01 * ((u + rounded_x) * w * x + u * scores) + lost * (1 + w)
    if kind == "step":
        wrong = 1.01 * (u + rounded_x) * w * x + lost * (1 + w)  # the sum has the right sign
        wrong[_signs_are_exact(weight, u)] = -1.0
        units = _most_at_once(weight[:, 0], bias, wrong, c, low, high)
        own = 0.0
    elif kind == "relu":
        units, own = float((c * off).sum()), 0.0
    else:
        each = np.minimum(phi.lipschitz * off, 2.5)
        units = _most_at_once(weight[:, 0], bias, SATURATED + off, c * each, low, high)
        own = ULPS_OF_PHI * u * total
    error = 1.01 * (units + own + _of_sums(len(c), u) * (total + constant_size)) + lost * len(c)
    return error / 4 + ULPS_OF_PHI * u if network.output_activation == "sigmoid" else error


def _most_at_once(w: Array, b: Array, reach: Array, weight: Array, low: float, high: float) -> float:
    """The largest sum, over x in [low, high], of the weights of the units with |wx + b| ≤ reach there."""
    place, away = -b / w, reach / np.abs(w)
    away = away * (1 + 8 * U) + 8 * U * np.abs(place)
    known = np.isfinite(place) & np.isfinite(away)
    first, last = place - away, place + away
    first[~known], last[~known] = -np.inf, np.inf  # w = 0, or so small that −b/w overflows
    counts = (reach >= 0) & (first <= high) & (last >= low) & ((w != 0) | (reach >= np.abs(b)))
    if not counts.any():
        return 0.0
    first, last, weight = np.maximum(first[counts], low), last[counts], weight[counts]
    starts, ends = np.argsort(first, kind="stable"), np.argsort(last, kind="stable")
    begun = np.cumsum(weight[starts])
    over = np.concatenate([np.zeros(1), np.cumsum(weight[ends])])
    done = over[np.searchsorted(last[ends], first[starts], "left")]
    return float((begun - done).max() + 4 * len(begun) * U * begun[-1])


# --- layer by layer ------------------------------------------------------------------------------------


def propagated(network: ScalarNetwork, low: Array, high: Array, u: float, *, flips: bool) -> float:
    """The error at the output from that of every layer: |W| e + γ(|W|(|h| + e) + |b|), times sup|φ'|.

    Args:
        network: any number of layers.
        low, high: (1, d) corners of the box.
        u: the roundoff of its type.
        flips: False where hard steps are not counted that may come out on the wrong side.
    """
    phi, lost = ACTIVATIONS[network.activation], _lost(u)
    assert phi.enclose is not None
    h = Ball.between(low, high)
    error = np.zeros_like(low) if u == U else u * _size(h)
    exact = u == U
    weights = network.weights()
    for number, (w, b) in enumerate(weights):
        size, absolute = _size(h) + error, np.abs(w).T
        sums = size @ absolute + np.abs(b)
        if not 2 * float(sums.max()) < MOST[u]:
            return np.inf
        rounded = _of_sums(w.shape[1], u) * sums + lost * (1 + w.shape[1])
        if exact and number and _adds_exactly(w, b, u):
            rounded = np.zeros_like(rounded)
        error = 1.01 * (error @ absolute + rounded)
        gamma = _of_sums(w.shape[1], U)
        z = Ball(h.mid @ w.T + b, (h.rad @ absolute + gamma * sums) * (1 + gamma) + LOST)
        if number == len(weights) - 1:
            break
        if network.activation == "step":
            right = _signs_are_exact(w, u) if number == 0 else error[0] == 0
            unsure = (z.lo <= error) & (z.hi >= -error) & ~right
            error = np.where(unsure, 1.0, 0.0) if flips else np.zeros_like(error)
            exact = not unsure.any()
        else:
            exact = False
            error = phi.lipschitz * error
        h, _, _ = phi.enclose(z, False)
        if network.activation not in ("step", "relu"):
            error = error + ULPS_OF_PHI * u * np.maximum(1.0, _size(h))
    if network.output_activation == "sigmoid":
        error = error / 4 + ULPS_OF_PHI * u
    return float(error[0, 0]) * (1 + 1e-6)


def _size(ball: Ball) -> Array:
    return np.asarray((np.abs(ball.mid) + ball.rad) * (1 + 4 * U))


def _adds_exactly(w: Array, b: Array, u: float) -> bool:
    """True where every partial sum of W h + b is a float for h of zeros and ones: of few, round numbers."""
    numbers = np.abs(np.column_stack([w, b]))
    mantissas, sizes = np.frexp(numbers[numbers > 0])
    if not len(sizes):
        return True
    digits = (mantissas * 2.0**53).astype(np.int64)
    lowest = float((sizes - 53 + np.log2((digits & -digits).astype(np.float64))).min())
    return bool(float(numbers.sum(axis=1).max()) < 2.0**lowest / u) if abs(lowest) < 900 else False
