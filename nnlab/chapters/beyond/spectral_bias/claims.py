"""The half-life of each harmonic, and the harmonics that stay."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.beyond.wide import near_claim
from nnlab.theory import Claim, exact_claim

Array = NDArray[np.float64]

CURVED = 8.0  # steps of a half-life, below which a straight line between two steps is not precise
OPEN = 32.0  # over m: what the order 1/m may add to a ratio; at m = 16 and 64 it was 5/m to 50/m
POWERS = {"1/k": 1.0, "1/k⁴": 4.0}  # rival laws of λ_k, which agree at the first harmonic that is claimed


def claims_of(
    name: str,
    harmonics: Sequence[int],
    predicted: Array,
    measured: Array,
    shares: Array,
    points: int,
    facts: list[str],
    width: int,
) -> list[Claim]:
    """Returns a claim about each harmonic that is learned in more than a few steps, and one about the others.

    Args:
        name: of the kind of networks.
        harmonics: (K,) k, ascending.
        predicted: (K,) half-lives in steps, infinite for harmonics that stay.
        measured: (S, K) half-lives of S networks.
        shares: (S, K, T + 1) that are left.
        points: n.
        facts: the hypotheses.
        width: m.
    """
    learned = [i for i, life in enumerate(predicted) if CURVED <= life < np.inf]
    claims = [
        half_life_claim(name, harmonics, predicted, measured, i, learned[0], points, facts, OPEN / width)
        for i in learned
    ]
    stay = ~np.isfinite(predicted)
    if stay.any():
        claims.append(
            stay_claim([k for k, s in zip(harmonics, stay, strict=True) if s], shares[:, stay], facts)
        )
    return claims


def half_life_claim(
    name: str,
    harmonics: Sequence[int],
    predicted: Array,
    measured: Array,
    index: int,
    first: int,
    points: int,
    facts: list[str],
    room: float,
) -> Claim:
    """Claims one half-life, in units of the predicted one; rivals scale that of harmonic number `first`.

    The interval of the mean is wider by `room` on both sides, for the order 1/m.
    """
    k, life = harmonics[index], float(predicted[index])
    rivals = {"twice": 2.0, "half": 0.5, "n times, for the mean of the squares": float(points)}
    if index != first:
        rivals["as the first one"] = float(predicted[first]) / life
        for law, power in POWERS.items():
            rivals[f"λ_k like {law}"] = float(predicted[first]) / life * (k / harmonics[first]) ** power
    return near_claim(
        f"half_life_of_harmonic_{k}_{name}",
        sentence=f"Harmonic {k} of the residual halves in the time that the infinitely wide kernel gives it, "
        f"{name.replace('_', ' ')}.",
        formula="t_k = ln 2/(nλ_k), in steps of size η: ln 2/−ln(1 − ηnλ_k); the measured over it",
        hypotheses=[*facts, f"predicted: {life:.4g} steps", f"up to {room:.2g} for the width, {OPEN:g}/m"],
        room=room,
        values=measured[:, index] / life,
        rivals=rivals,
        predicted_by="nnlab.ntk.spectral.harmonics.circle_eigenvalues",
        measured_by="nnlab.training.trainer.fit, numpy.fft.rfft",
    )


def stay_claim(harmonics: Sequence[int], shares: Array, facts: list[str]) -> Claim:
    """Claims that harmonics stay as they are: the share (S, K', T + 1) that is farthest from 1."""
    flat = shares.ravel()
    measured = float(flat[np.abs(flat - 1).argmax()]) if np.isfinite(flat).all() else np.nan
    listed = ", ".join(map(str, harmonics))
    return exact_claim(
        "odd_harmonics_stay_without_bias",
        sentence="Without biases a ReLU network of one hidden layer never learns an odd harmonic but the "
        "first: what the target has of it stays in the residual, at any width.",
        formula="max(0, z) = (z + |z|)/2; c_k(t)/c_k(0) = 1 for odd k ≥ 3, at every step",
        hypotheses=[*facts, f"k = {listed}"],
        predicted=1.0,
        measured=measured,
        tolerance=1e-9,
        rivals={"learned to a tenth": 0.1, "1% of it learned": 0.99},
        seeds=len(shares),
        predicted_by="closed form: c_k(t)/c_k(0) = 1",
        measured_by="nnlab.training.trainer.fit, numpy.fft.rfft",
    )
