"""Histograms as networks: steep sigmoids, one hidden layer, every weight by a formula.

With N equal bins on [a, b], edges eᵢ = a + i(b − a)/N, and heights hᵢ (i = 0 … N − 1):

    staircase   y(x) = h₀ + Σᵢ₌₁^{N−1} (hᵢ − hᵢ₋₁) σ(w(x − eᵢ)),             N − 1 hidden units
    towers      y(x) = Σᵢ₌₀^{N−1} hᵢ (σ(w(x − eᵢ)) − σ(w(x − eᵢ₊₁))),         2N hidden units

With hard steps both are the histogram of f: within a bin |x − mid-point| ≤ (b − a)/2N, so an L-Lipschitz f is
met to L(b − a)/2N, and N = ⌈L(b − a)/2ε⌉ bins suffice for ε. Fewer do not where f = Lx: within one of N − 1
bins it varies by L(b − a)/(N − 1), and half of that is more than ε. With heights from left ends a whole bin
separates x from where the height was read: N = ⌈L(b − a)/ε⌉.

Finite steepness. Write the staircase by parts: y(x) = Σᵢ πᵢ(x) hᵢ with πᵢ = σᵢ − σᵢ₊₁, σᵢ = σ(w(x − eᵢ)),
σ₀ = 1, σ_N = 0. As σᵢ falls with i, the πᵢ are non-negative and add up to 1: the output is a convex
combination of heights, and |y(x) − f(x)| ≤ L Σᵢ πᵢ |mᵢ − x| for midpoints mᵢ. Take [a, b] = [0, 1], v = w/N,
and x = e_k + t with 0 ≤ t ≤ 1/2N, to the right of an inner edge (to its left by symmetry). Summing by parts,

    Σᵢ πᵢ |mᵢ − x| ≤ 1/2N − t tanh(wt/2) + (1/N) Σ_{j≥1} [σ(wt − jv) + σ(−wt − jv)],

with equality where no end of the interval cuts the sum. At t = 0 this is (1/2N)(1 + 4 Σ_{j≥1} σ(−jv)). No t
is worse. With A = wt and B = jv,

    σ(A − B) + σ(−A − B) − 2σ(−B) = tanh(B/2) (cosh A − 1)/(cosh A + cosh B),

the sum of which over j is at most (cosh A − 1)/v · ∫₀^∞ dB/(cosh A + cosh B) = (A/v) tanh(A/2), since the
integrand falls with B, and that is N t tanh(wt/2): what the bracket gains, the middle term loses. Next to the
ends, 0 and 1, one of the two sums is missing and the middle term is −t: as the one that is left is at most
both, 2 Σ σ(−jv) + N t tanh(wt/2), and tanh ≤ 1, the bound holds there too. Hence, on [a, b] with
v = w(b − a)/N,

    sup |y − f| ≤ L(b − a)/(2N) · (1 + 4 Σ_{j≥1} σ(−jv)) ≤ L(b − a)/(2N) · (1 + 4/(e^v − 1)).

|x − ½| with an even number of bins attains the middle expression, as far as its finite sums go.
v = ln(1 + 4/τ) makes the excess τ: 22.2 for 10⁻⁹, 22.8 for the 5·10⁻¹⁰ that are taken here. Towers are the
same with σ₀ and σ_N as further steps, and their outer edges lie two bins outside the interval: on it the πᵢ
add up to at least 1 − 2σ(−2v), which is 1 − 10⁻¹⁹ for v = 22.8. Were they at a and b, the output at both ends
would be half of the height, whatever the steepness.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.network import Output, ScalarNetwork
from nnlab.approximation.targets import Target
from nnlab.display import displayed
from nnlab.errors import InputError
from nnlab.memory import free_bytes, in_words
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS

Array = NDArray[np.float64]

Construction = Literal["staircase", "towers", "hats"]
Heights = Literal["midpoint", "left"]

EXCESS = 5e-10  # what finite steepness may add to the error, as a part of it: rounding has room up to 1e-9
UNIT_BYTES = 96  # weight, bias, output weight, sorted copies and prefix sums of a hidden unit
OUTSIDE = 2  # bins between the interval and the outer edges of the towers at its ends
NO_STEP = (
    "σ(wx + b) must become a step, and max(0, wx + b) grows without end, however large w is; use "
    f"{', '.join(STEP_ACTIVATIONS)} or step, or construction: hats, which interpolates with ReLUs"
)


def bins_for(lipschitz: float, epsilon: float, length: float = 1.0, heights: Heights = "midpoint") -> int:
    """The number of bins with which an L-Lipschitz function is met within ε everywhere, with hard steps.

    ⌈L(b − a)/2ε⌉ with heights from midpoints, ⌈L(b − a)/ε⌉ from left ends. A quotient that is a whole number
    but for rounding counts as that number.

    Raises:
        InputError: ε ≤ 0, L < 0, or one of them not finite.
    """
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise InputError(f"epsilon: {epsilon:g} must be a number greater than 0")
    if not (lipschitz >= 0 and math.isfinite(lipschitz)):
        raise InputError(f"lipschitz: {lipschitz:g} must be a number of at least 0")
    quotient = lipschitz * length / ((2 if heights == "midpoint" else 1) * epsilon)
    if not math.isfinite(quotient):
        raise InputError(
            f"epsilon: {epsilon:g} is too small for lipschitz: {lipschitz:g}: no float64 counts the bins"
        )
    return max(1, math.ceil(quotient * (1 - 1e-12)))


def steepness_for(bins: int, length: float = 1.0, excess: float = EXCESS) -> float:
    """w such that finite steepness adds at most that part of L(b − a)/2N: N ln(1 + 4/τ)/(b − a)."""
    return bins / length * math.log1p(4 / excess)


def error_bound(lipschitz: float, bins: int, steepness: float, length: float = 1.0) -> float:
    """L(b − a)/2N · (1 + 4/(e^v − 1)), v = w(b − a)/N: the theorem above, for midpoints and sigmoids."""
    v = steepness * length / bins
    return lipschitz * length / (2 * bins) * (1 + (4 / math.expm1(v) if v < 700 else 0.0))


@displayed
@dataclass(frozen=True)
class Histogram:
    """A network of bins, and how it was built.

    Attributes:
        network: the module.
        construction: staircase, towers or hats.
        bins: N.
        steepness: w; infinite for hard steps and for hats.
        borders: (N + 1,) ends of the bins.
        heights: (N,) one per bin; of hats (N + 1,) values at the borders.
    """

    network: ScalarNetwork
    construction: Construction
    bins: int
    steepness: float
    borders: Array
    heights: Array


def build_bins(
    target: Target,
    bins: int,
    interval: tuple[float, float] = (0.0, 1.0),
    *,
    construction: Construction = "staircase",
    heights: Heights = "midpoint",
    steepness: float | None = None,
    activation: str = "sigmoid",
    output: Output = "identity",
    outer: Literal["outside", "inside"] = "outside",
) -> Histogram:
    """The network with N bins for a target on an interval.

    Args:
        target: f of one variable; with a sigmoid output its logit is what the hidden layer approximates.
        bins: N.
        interval: (a, b).
        construction: staircase, towers, or hats: max(0, ·) units that interpolate f at the borders.
        heights: where in its bin f is read; hats read it at the borders.
        steepness: w of the steps; by default the one that adds 5·10⁻¹⁰ of the error; infinite for hard steps.
        activation: one of STEP_ACTIVATIONS, or step; hats have the ReLU.
        output: identity, or sigmoid.
        outer: where the first and last tower's outer edges are.

    Raises:
        InputError: N < 1, a reversed interval, w ≤ 0, steps made of ReLUs, f outside (0, 1) with a sigmoid
            output, f not finite somewhere, or more hidden units than the memory can hold.
    """
    low, high = interval
    if bins < 1:
        raise InputError(f"bins: {bins} must be at least 1")
    if not (low < high and math.isfinite(high - low)):
        raise InputError(f"interval: ({low:g}, {high:g}) is empty or reversed; the first end must be smaller")
    check_memory(2 * bins if construction == "towers" else bins)
    borders = _borders(low, high, bins)
    if construction == "hats":
        values = _read(target, borders, output)
        return Histogram(_hats(borders, values, output), construction, bins, math.inf, borders, values)
    if activation not in (*STEP_ACTIVATIONS, "step"):
        raise InputError(f"activation: {activation}: {NO_STEP}")
    w = steepness_for(bins, high - low) if steepness is None else steepness
    if not w > 0:
        raise InputError(f"steepness: {w:g} must be greater than 0")
    if math.isfinite(w) and not math.isfinite(4 * w * max(abs(low), abs(high), high - low)):
        raise InputError(f"steepness: {w:g} overflows float64 on ({low:g}, {high:g}); use hard steps")
    if math.isinf(w) or activation == "step":
        activation, w = "step", 1.0
    at = borders[:-1] if heights == "left" else borders[:-1] + np.diff(borders) / 2
    values = _read(target, at, output)
    build = _towers if construction == "towers" else _staircase
    edges, weights, constant = build(borders, values, outer == "outside")
    network = _of_steps(edges, weights, constant, w, activation, output)
    return Histogram(network, construction, bins, math.inf if activation == "step" else w, borders, values)


def check_memory(units: int) -> None:
    """Refuses more hidden units than fit into the free memory.

    Raises:
        InputError: says how many bytes are needed, and how many there are.
    """
    needed, free = units * UNIT_BYTES, free_bytes()
    if needed > free:
        raise InputError(
            f"bins: {units:,} hidden units take {needed:,} bytes ({in_words(needed)}), but {in_words(free)} "
            "of memory are free; take fewer bins or a larger epsilon"
        )


def _borders(low: float, high: float, bins: int) -> Array:
    borders = low + (high - low) * (np.arange(bins + 1) / bins)
    borders[-1] = high
    if not np.all(np.diff(borders) > 0):
        raise InputError(f"bins: {bins}: on ({low:.17g}, {high:.17g}) float64 cannot tell the edges apart")
    return np.asarray(borders)


def _read(target: Target, x: Array, output: Output) -> Array:
    values = target.values(x[:, None])
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(f"target: {target.text}: is {values[bad][0]} at x = {x[bad][0]:.6g}")
    if output == "identity":
        return values
    outside = (values <= 0) | (values >= 1)
    if outside.any():
        raise InputError(
            f"output: sigmoid: has values in (0, 1), but {target.text} is {values[outside][0]:.6g} at "
            f"x = {x[outside][0]:.6g}; use output: identity, or a target inside (0, 1)"
        )
    return np.asarray(np.log(values) - np.log1p(-values))


def _staircase(borders: Array, heights: Array, outside: bool) -> tuple[Array, Array, float]:
    if len(heights) == 1:  # a layer has at least one unit: this one adds nothing
        return borders[1:], np.zeros(1), float(heights[0])
    return borders[1:-1], np.diff(heights), float(heights[0])


def _towers(borders: Array, heights: Array, outside: bool) -> tuple[Array, Array, float]:
    """Unit 2i steps up at the left edge of bin i, unit 2i + 1 down at its right edge."""
    edges = borders.copy()
    if outside:
        edges[0] -= OUTSIDE * (borders[1] - borders[0])
        edges[-1] += OUTSIDE * (borders[-1] - borders[-2])
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)
    return pairs.ravel(), np.stack([heights, -heights], axis=1).ravel(), 0.0


def _of_steps(
    edges: Array, weights: Array, constant: float, w: float, activation: str, output: Output
) -> ScalarNetwork:
    """constant + Σ weightsᵢ · step at edgesᵢ; tanh is σ in other units: σ(z) = (1 + tanh(z/2))/2."""
    if activation == "tanh":
        w, weights, constant = w / 2, weights / 2, constant + float(math.fsum(weights) / 2)
    else:
        low, high = ACTIVATIONS[activation].limits  # U = (φ − low)/(high − low) is the step from 0 to 1
        assert low is not None
        weights = weights / (high - low)
        constant -= low * float(math.fsum(weights))
    hidden = np.full((len(edges), 1), w), -w * edges
    return ScalarNetwork([hidden, (weights[None], np.array([constant]))], activation, output)


def _hats(borders: Array, values: Array, output: Output) -> ScalarNetwork:
    """Piecewise-linear interpolation: f(a) + Σ (sᵢ − sᵢ₋₁) max(0, x − eᵢ), sᵢ the slope in bin i, s₋₁ = 0.

    Off by at most L(b − a)/2N where f is L-Lipschitz, and M(b − a)²/8N² where |f''| ≤ M (de Boor 2001, "A
    practical guide to splines", ch. III). Each hat is a second difference of three of these units.
    """
    steep = np.diff(values) / np.diff(borders)
    weights = np.diff(steep, prepend=0.0)
    hidden = np.ones((len(weights), 1)), -borders[:-1]
    return ScalarNetwork([hidden, (weights[None], values[:1])], "relu", output)
