"""A steep hidden unit is a step, and two opposing steps are a bin: how far from a hard one, exactly.

A unit φ(wx + b) stands at s = −b/w, where its score is 0. Scaled so that φ runs from 0 to 1,
its distance to the hard step 1_{w(x − s) > 0} is a function of z = |w|·|x − s| alone, and the same on both
sides, since 1 − φ(z) = φ(−z) for each of STEP_ACTIVATIONS. Where |x − s| ≥ δ its supremum is

    D(|w|δ) with D(z) = sup_{u ≥ z} |φ(−u)|,

which `nnlab.rigorous.activations` bounds for each of them. tanh between its own limits, −1 and 1, is twice as
far: 1 − tanh z. The formulas are ours.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.errors import InputError
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS, get_activation
from nnlab.rigorous.activations import REACH, Step

Array: TypeAlias = NDArray[np.float64]
Layers: TypeAlias = list[tuple[Array, Array]]
"""(W, b) of the hidden and of the output layer, for `ScalarNetwork`."""

SAMPLES = 2001  # inputs on each side of a step at which its distance is measured


def step_of(activation: str) -> Step:
    """The properties of the activation as a step.

    Raises:
        InputError: no steps are made of it, with the reason.
    """
    phi = get_activation(activation)
    if phi.step is None:
        allowed = ", ".join(STEP_ACTIVATIONS)
        raise InputError(f"activation: {activation} makes no step here: {phi.why}; use {allowed}")
    return phi.step


def step_distance(activation: str, steepness: float, window: float) -> float:
    """sup |φ(w(x − s)) − 1_{w(x − s) > 0}| over |x − s| ≥ δ, φ from 0 to 1: D(|w|δ), rounded up.

    Args:
        activation: one of STEP_ACTIVATIONS.
        steepness: w, not 0; its sign is the step's direction.
        window: δ ≥ 0, in units of x.

    Raises:
        InputError: an activation without steps.
    """
    score = math.nextafter(abs(steepness) * window, 0.0)  # D falls: a score too small is on the safe side
    return math.nextafter(float(step_of(activation).tail(np.array(score))), math.inf)


def step_weights(activation: str, steepness: float, position: float) -> Layers:
    """One hidden unit that steps from 0 to 1 (for w < 0 from 1 to 0) at s: w, b = −ws, and its scaling.

    The output layer undoes the activation's own limits: 1·φ + 0, or ½·tanh + ½.
    """
    low, high = ACTIVATIONS[activation].limits
    assert low is not None
    scale = 1 / (high - low)
    hidden = (np.array([[steepness]]), np.array([-steepness * position]))
    return [hidden, (np.array([[scale]]), np.array([(0 - low) * scale]))]


def measured_distance(activation: str, steepness: float, position: float, window: float) -> float:
    """The largest distance to the hard step that a real network shows at sampled x with |x − s| ≥ δ.

    Args:
        activation: one of STEP_ACTIVATIONS.
        steepness: w.
        position: s.
        window: δ; its two ends are among the samples, SAMPLES on each side, out to where the step is hard up
            to 1e-17.
    """
    network = ScalarNetwork(step_weights(activation, steepness, position), activation)
    away = window + np.linspace(0.0, REACH / abs(steepness), SAMPLES)
    sides = np.concatenate([position - away, position + away])
    hard = np.repeat([0.0, 1.0] if steepness > 0 else [1.0, 0.0], SAMPLES)
    return float(np.abs(network.values(sides[:, None]) - hard).max())


# --- what ReLU can do ------------------------------------------------------------------------------


def ramp_weights(steepness: float, position: float) -> Layers:
    """Two ReLUs that make a step: max(0, w(x − s) + ½) − max(0, w(x − s) − ½).

    0 on one side of s ± 1/(2|w|), 1 on the other, straight in between.
    """
    score = -steepness * position
    hidden = (np.array([[steepness], [steepness]]), np.array([score + 0.5, score - 0.5]))
    return [hidden, (np.array([[1.0, -1.0]]), np.array([0.0]))]


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

    @property
    def edges(self) -> tuple[float, float]:
        """l and r."""
        return self.position - self.size / 2, self.position + self.size / 2

    def layers(self) -> Layers:
        """W₁ = (w, w)ᵀ, b₁ = −w·(l, r), W₂ = (h, −h), b₂ = 0; for tanh W₂ = (h/2, −h/2)."""
        low, high = ACTIVATIONS[self.activation].limits
        assert low is not None
        w, h = self.steepness, self.height / (high - low)
        hidden = (np.array([[w], [w]]), -w * np.array(self.edges))
        return [hidden, (np.array([[h, -h]]), np.array([0.0]))]

    def values(self, x: ArrayLike) -> Array:
        """The bin at x, any shape, by its closed form where it has one: no digits cancel far outside."""
        away = np.abs(np.asarray(x, np.float64) - self.position)
        half = self.size / 2
        step, w = step_of(self.activation), self.steepness
        if step.logistic is None:
            return self.height * (step.unit(w * (half - away)) - step.unit(w * (-half - away)))
        w *= step.logistic
        # numerator and denominator times 2e^{−m}, m the larger argument of both cosh
        q, p = w * half, w * away
        m = np.maximum(q, p)
        below = np.exp(q - m) + np.exp(-q - m) + np.exp(p - m) + np.exp(-p - m)
        return np.asarray(self.height * np.exp(q - m) * -np.expm1(-2 * q) / below)
