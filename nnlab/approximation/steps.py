"""A steep hidden unit is a step, and two opposing steps are a bin: how far from a hard one, exactly.

A unit φ(wx + b) stands at s = −b/w, where its score is 0. Scaled so that φ runs from 0 to 1 (`unit_step`),
its distance to the hard step 1_{w(x − s) > 0} is a function of z = |w|·|x − s| alone, and the same on both
sides, since 1 − φ(z) = φ(−z) for each of the three activations here. Where |x − s| ≥ δ its supremum is

    D(|w|δ) with D(z) = sup_{u ≥ z} |φ(−u)|     (`tail`)

| φ | from 0 to 1 | D(z), z ≥ 0 | φ's own limits, D on that scale |
| --- | --- | --- | --- |
| sigmoid | σ(z) | σ(−z) | 0 and 1, the same |
| tanh | (1 + tanh z)/2 = σ(2z) | σ(−2z) | −1 and 1, twice as much: 1 − tanh z |
| ripple | σ(z) + z e^{−z²} | see below | 0 and 1, the same |

σ is monotone, hence the first two. For the ripple let d(u) = φ(−u) = σ(−u) − u e^{−u²}, u ≥ 0. Its derivative
−φ'(u) = −[1/(2 + 2cosh u) + (1 − 2u²) e^{−u²}] can vanish only where 2u² > 1, and there exactly where

    g(u) = ln(2u² − 1) − u² + ln(2 + 2cosh u) = 0.

g'' = −(8u² + 4)/(2u² − 1)² − 2 + 1/(2cosh²(u/2)) < 0: g is strictly concave, tends to −∞ at both ends and
g(1) = ln(2 + 2cosh 1) − 1 > 0. So there are two critical points, u₁ < 1 < u₂, and d falls from ½ to its dip
d(u₁) < 0, rises to its hump d(u₂) > 0 and falls to 0 from there on. With z before, between or after them,

    D(z) = max(d(z), |d(u₁)|, d(u₂)),    max(|d(z)|, d(u₂)),    d(z).

Every distance here is an upper bound in float64 too: it is rounded up, by some 10⁻¹⁵ of itself.
The formulas are ours.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.network import Network
from nnlab.errors import InputError, suggest
from nnlab.models import ACTIVATION_NAMES

Array: TypeAlias = NDArray[np.float64]
Layers: TypeAlias = list[tuple[Array, Array]]
"""(W, b) of the hidden and of the output layer, for `Network.build`."""

STEP_ACTIVATIONS = ("sigmoid", "tanh", "ripple")

RIPPLE_DIP = (0.8454262486148947, 0.11328791753024753)
RIPPLE_HUMP = (2.0904488408192545, 0.08358121864197829)
"""(u₁, |d(u₁)|) and (u₂, d(u₂)), the values rounded up."""

EPS = 2.0**-52
LEAST = 1e-300  # distance that is asked for
TINY = 2.0**-1074  # what a number that rounds to 0 may have been
REACH = 40.0  # scores beyond the window that are looked at: σ(−40) < 5e-18


# --- which activations are sigmoidal ---------------------------------------------------------------


@dataclass(frozen=True)
class Sigmoidality:
    """What an activation does far out.

    Attributes:
        low: its limit at −∞; None where it depends on more than one score.
        high: its limit at +∞.
        is_sigmoidal: whether both are finite and differ, so that α φ + β has the limits 0 and 1 that Cybenko
            1989 asks for. He asks for nothing else: φ need not be monotone.
        reason: in a sentence.
    """

    low: float | None
    high: float
    is_sigmoidal: bool
    reason: str


def _unbounded(low: float | None, formula: str) -> Sigmoidality:
    return Sigmoidality(low, math.inf, False, f"{formula} grows without bound: it has no limit at +∞")


SIGMOIDALITY: dict[str, Sigmoidality] = {
    "sigmoid": Sigmoidality(0.0, 1.0, True, "σ(z) → 0 at −∞ and → 1 at +∞, monotonically"),
    "tanh": Sigmoidality(-1.0, 1.0, True, "tanh z → −1 and → 1: (1 + tanh z)/2 = σ(2z) is a sigmoid"),
    "erf": Sigmoidality(-1.0, 1.0, True, "erf z → −1 and → 1: (1 + erf z)/2 is a distribution function"),
    "ripple": Sigmoidality(0.0, 1.0, True, "σ(z) + z e^{−z²} → 0 and → 1, not monotonically: φ'(±1) < 0"),
    "relu": _unbounded(0.0, "max(0, z)"),
    "leaky_relu": _unbounded(-math.inf, "max(0.01z, z)"),
    "elu": _unbounded(-1.0, "z where z > 0"),
    "gelu": _unbounded(0.0, "z Φ(z)"),
    "maxout": _unbounded(None, "max(z₁, …, z_k), a convex function,"),
}


def sigmoidality(activation: str) -> Sigmoidality:
    """Whether an activation is sigmoidal, and why.

    Raises:
        InputError: an unknown name.
    """
    if activation not in SIGMOIDALITY:
        raise InputError(f"activation: {activation} is unknown; {suggest(activation, ACTIVATION_NAMES)}")
    return SIGMOIDALITY[activation]


def check_step(activation: str) -> None:
    """Refuses an activation of which no steps are made here.

    Raises:
        InputError: it is not sigmoidal (with the reason, and what it can do instead), not one of
            STEP_ACTIVATIONS, or unknown.
    """
    if activation in STEP_ACTIVATIONS:
        return
    found, allowed = sigmoidality(activation), ", ".join(STEP_ACTIVATIONS)
    if found.is_sigmoidal:
        raise InputError(f"activation: {activation} is sigmoidal, but steps are built of {allowed}")
    instead = f"use {allowed}"
    if activation == "relu":
        instead += (
            ", or its own construction, hats: straight pieces between points. (Two units make a ramp that "
            "is a step: max(0, w(x − s) + ½) − max(0, w(x − s) − ½))"
        )
    raise InputError(
        f"activation: {activation} makes no step: {found.reason}, so it is not sigmoidal; {instead}"
    )


# --- distance to the hard step ---------------------------------------------------------------------


def unit_step(activation: str, z: ArrayLike) -> Array:
    """φ scaled to run from 0 to 1: σ(z), σ(2z) for tanh, or σ(z) + z e^{−z²} for the ripple.

    Args:
        activation: one of STEP_ACTIVATIONS.
        z: scores w(x − s), any shape.

    Raises:
        InputError: an activation without steps.
    """
    check_step(activation)
    scores = np.asarray(z, np.float64)
    if activation == "tanh":
        scores = 2 * scores
    smooth = np.where(scores >= 0, 1 - _sigma_minus(np.abs(scores)), _sigma_minus(np.abs(scores)))
    if activation != "ripple":
        return smooth
    near = np.clip(scores, -REACH, REACH)  # beyond, e^{−z²} is 0
    return smooth + near * np.exp(-near * near)


def tail(activation: str, z: ArrayLike) -> Array:
    """D(z) = sup_{|u| ≥ z} |φ(u) − 1_{u > 0}|, φ scaled to run from 0 to 1: an upper bound, tight to 1e-15.

    Args:
        activation: one of STEP_ACTIVATIONS.
        z: |w|δ ≥ 0, any shape.

    Raises:
        InputError: an activation without steps, a negative z or one that is no number.
    """
    check_step(activation)
    scores = np.asarray(z, np.float64)
    if not (scores >= 0).all():
        raise InputError(f"z: {scores.min()}: a distance to the step is at least 0")
    if activation == "ripple":
        return _ripple_tail(scores)
    # e^{−z} errs by one unit in the last place, sum and quotient by half a unit each: 8 cover them
    return _sigma_minus(2 * scores if activation == "tanh" else scores) * (1 + 8 * EPS) + 2 * TINY


def _sigma_minus(z: Array) -> Array:
    """σ(−z) for z ≥ 0, to some units in the last place."""
    e = np.exp(-z)
    return np.asarray(e / (1 + e))


def _ripple_tail(z: Array) -> Array:
    near = np.minimum(z, REACH)
    dent = near * np.exp(-near * near)
    wave = _sigma_minus(z) - dent
    # rounding z² by half a unit moves e^{−z²} by z² of those
    slack = EPS * (8 * _sigma_minus(z) + (8 + near * near) * dent) + TINY
    here = np.where(z > RIPPLE_HUMP[0], wave, np.abs(wave)) + slack
    dip = np.where(z <= RIPPLE_DIP[0], RIPPLE_DIP[1], 0.0)
    hump = np.where(z <= RIPPLE_HUMP[0], RIPPLE_HUMP[1], 0.0)
    return np.asarray(np.maximum(here, np.maximum(dip, hump)))


def step_distance(activation: str, steepness: float, window: float, jump: float = 1.0) -> float:
    """sup |jump · φ(w(x − s)) − jump · 1_{w(x − s) > 0}| over |x − s| ≥ δ: jump · D(|w|δ), rounded up.

    Args:
        activation: one of STEP_ACTIVATIONS.
        steepness: w, not 0; its sign is the step's direction.
        window: δ ≥ 0, in units of x.
        jump: the height of the step; 2 gives tanh between its own limits, −1 and 1.

    Raises:
        InputError: an activation without steps, numbers out of range.
    """
    check_step(activation)
    _check_steepness(steepness)
    if not (0 <= window < math.inf and 0 < jump < math.inf):
        raise InputError(f"window: {window:g}, jump: {jump:g}: must be finite, at least 0 and above 0")
    score = math.nextafter(abs(steepness) * window, 0.0)  # D falls: a score too small is on the safe side
    return math.nextafter(float(tail(activation, score)) * jump, math.inf)


def steepness_for(activation: str, distance: float, window: float, jump: float = 1.0) -> float:
    """The least w > 0, up to rounding, whose step is certified to stay within `distance` outside ±δ.

    For the sigmoid w = ln(jump/distance − 1)/δ, for tanh half of that.

    Args:
        activation: one of STEP_ACTIVATIONS.
        distance: to the hard step, from 1e-300·jump to below jump/2, which every step has at its position.
        window: δ > 0, in units of x.
        jump: the height of the step.

    Raises:
        InputError: an activation without steps, numbers out of range, a steepness beyond float64.
    """
    check_step(activation)
    if not (0 < window < math.inf and 0 < jump < math.inf):
        raise InputError(f"window: {window:g}, jump: {jump:g}: both must be finite numbers above 0")
    if not LEAST * jump <= distance < jump / 2:
        raise InputError(
            f"distance: {distance:g}: must lie between {LEAST * jump:g} and {jump / 2:g}, which is half the "
            "height of the step, its distance at its position"
        )
    # D(z) ≤ e^{−z} from z = 3 on
    low, high = 0.0, (math.log(jump) - math.log(distance) + 3) / window
    if not math.isfinite(high):
        raise InputError(f"window: {window:g}: needs a steepness beyond float64; choose a wider one")
    while low < (middle := low + (high - low) / 2) < high:
        if step_distance(activation, middle, window, jump) <= distance:
            high = middle
        else:
            low = middle
    return high


def _check_steepness(steepness: float) -> None:
    if steepness == 0 or not math.isfinite(steepness):
        raise InputError(f"steepness: {steepness:g}: must be a finite number other than 0")


def _check_position(position: float) -> None:
    if not math.isfinite(position):
        raise InputError(f"position: {position:g}: must be a finite number")


def step_weights(activation: str, steepness: float, position: float) -> Layers:
    """One hidden unit that steps from 0 to 1 (for w < 0 from 1 to 0) at s: w, b = −ws, and its scaling.

    The output layer undoes the activation's own limits: 1·φ + 0, or ½·tanh + ½.

    Raises:
        InputError: an activation without steps, numbers out of range.
    """
    check_step(activation)
    _check_steepness(steepness)
    _check_position(position)
    scale, shift = (0.5, 0.5) if activation == "tanh" else (1.0, 0.0)
    hidden = (np.array([[steepness]]), np.array([-steepness * position]))
    return [hidden, (np.array([[scale]]), np.array([shift]))]


def measured_distance(
    activation: str, steepness: float, position: float, window: float, samples: int = 2001
) -> float:
    """The largest distance to the hard step that a real network shows at sampled x with |x − s| ≥ δ.

    Args:
        activation: one of STEP_ACTIVATIONS.
        steepness: w.
        position: s.
        window: δ; its two ends are among the samples.
        samples: on each side, out to where the step is hard up to 1e-17.

    Raises:
        InputError: an activation without steps, numbers out of range, fewer than 2 samples.
    """
    if samples < 2:
        raise InputError(f"samples: {samples}: must be at least 2")
    step_distance(activation, steepness, window)  # checks its arguments
    network = Network.build(step_weights(activation, steepness, position), activation)
    away = window + np.linspace(0.0, REACH / abs(steepness), samples)
    sides = np.concatenate([position - away, position + away])
    hard = np.repeat([0.0, 1.0] if steepness > 0 else [1.0, 0.0], samples)
    with torch.no_grad():
        values = network(torch.from_numpy(sides)[:, None])[:, 0].numpy()
    return float(np.abs(values - hard).max())


# --- what ReLU can do ------------------------------------------------------------------------------


def ramp_weights(steepness: float, position: float) -> Layers:
    """Two ReLUs that make a step: max(0, w(x − s) + ½) − max(0, w(x − s) − ½).

    0 on one side of s ± 1/(2|w|), 1 on the other, straight in between.

    Raises:
        InputError: numbers out of range.
    """
    _check_steepness(steepness)
    _check_position(position)
    score = -steepness * position
    hidden = (np.array([[steepness], [steepness]]), np.array([score + 0.5, score - 0.5]))
    return [hidden, (np.array([[1.0, -1.0]]), np.array([0.0]))]


def ramp_distance(steepness: float, window: float) -> float:
    """sup of the ramp's distance to the hard step over |x − s| ≥ δ: max(0, ½ − |w|δ), rounded up.

    Raises:
        InputError: numbers out of range.
    """
    _check_steepness(steepness)
    if not 0 <= window < math.inf:
        raise InputError(f"window: {window:g}: must be a finite number, at least 0")
    score = abs(steepness) * window
    return 0.0 if score > 0.5 else min(0.5, math.nextafter(0.5 - math.nextafter(score, 0.0), math.inf))


# --- one bin ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """Two opposing steps: h·φ(w(x − l)) − h·φ(w(x − r)) with edges l, r = p ∓ S/2, φ from 0 to 1.

    For the sigmoid, as σ(a) − σ(b) = sinh((a − b)/2)/(cosh((a − b)/2) + cosh((a + b)/2)), this is

        h · sinh(wS/2) / (cosh(wS/2) + cosh(w(x − p))),

    a symmetric hump with h·(σ(wS/2) − σ(−wS/2)) = h·tanh(wS/4) in the middle, the height that it reaches, and
    (h/2)·tanh(wS/2) at its edges. tanh has the same shape at twice the steepness.

    Attributes:
        activation: one of STEP_ACTIVATIONS.
        position: p, the middle.
        size: S > 0, the width.
        height: h.
        steepness: w > 0.
    """

    activation: str
    position: float
    size: float
    height: float
    steepness: float

    def __post_init__(self) -> None:
        """Raises InputError where a number is out of range or the activation makes no steps."""
        check_step(self.activation)
        _check_position(self.position)
        for name in ("size", "steepness"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}: {getattr(self, name):g}: must be a finite number above 0")
        if not math.isfinite(self.height):
            raise InputError(f"height: {self.height:g}: must be a finite number")

    @property
    def edges(self) -> tuple[float, float]:
        """l and r."""
        return self.position - self.size / 2, self.position + self.size / 2

    def layers(self) -> Layers:
        """W₁ = (w, w)ᵀ, b₁ = −w·(l, r), W₂ = (h, −h), b₂ = 0; for tanh W₂ = (h/2, −h/2)."""
        w, h = self.steepness, self.height * (0.5 if self.activation == "tanh" else 1.0)
        hidden = (np.array([[w], [w]]), -w * np.array(self.edges))
        return [hidden, (np.array([[h, -h]]), np.array([0.0]))]

    def values(self, x: ArrayLike) -> Array:
        """The bin at x, any shape, by its closed form where it has one: no digits cancel far outside."""
        away = np.abs(np.asarray(x, np.float64) - self.position)
        half = self.size / 2
        w = self.steepness * (2 if self.activation == "tanh" else 1)
        if self.activation == "ripple":
            pair = unit_step("ripple", w * (half - away)) - unit_step("ripple", w * (-half - away))
            return self.height * pair
        # numerator and denominator times 2e^{−m}, m the larger argument of both cosh
        q, p = w * half, w * away
        m = np.maximum(q, p)
        below = np.exp(q - m) + np.exp(-q - m) + np.exp(p - m) + np.exp(-p - m)
        return np.asarray(self.height * np.exp(q - m) * -np.expm1(-2 * q) / below)

    def middle(self) -> float:
        """h·(φ(wS/2) − φ(−wS/2)): the height in the middle, h·tanh(wS/4) for the sigmoid."""
        q = self.steepness * self.size / 2
        if self.activation == "ripple":
            return self.height * float(1 - 2 * unit_step("ripple", -q))
        return self.height * math.tanh(q / 2 if self.activation == "sigmoid" else q)

    def error(self, window: float) -> float:
        """A bound on |bin − h·1_{l < x < r}| at all x at least δ away from both edges, rounded up.

        Inside, at t from one edge and S − t from the other, both steps are short of the hard ones, in sum by
        |h|·(φ(−wt) + φ(−w(S − t))). Outside, at t from the nearer edge, they cancel in part and leave
        |h|·|φ(−wt) − φ(−w(t + S))|. For sigmoid and tanh φ(−u) is convex in u ≥ 0 and decreasing: inside the
        sum is largest at t = δ, outside the difference is, and it is less than the sum,

            |h|·(D(wδ) + D(w(S − δ)))  for δ ≤ S/2, attained,    |h|·D(wδ)  for δ > S/2,

        where no x inside is left. The ripple's φ(−u) has both signs: there the bounds are
        |h|·(D(wδ) + D(wS/2)) and |h|·(D(wδ) + D(w(S + δ))). All of this is about the formula; what rounding
        does to a network of these weights, `certify` bounds.

        Args:
            window: δ ≥ 0.

        Raises:
            InputError: a negative window.
        """
        near = step_distance(self.activation, self.steepness, window)
        inside = window <= self.size / 2
        if self.activation == "ripple":
            other = self.size / 2 if inside else self.size + window
        else:
            other = self.size - window if inside else math.inf
        far = 0.0
        if other < math.inf:
            far = step_distance(self.activation, self.steepness, math.nextafter(other, 0.0))
        return math.nextafter(abs(self.height) * (near + far) * (1 + 4 * EPS), math.inf)
