"""How many sigmoidal terms suffice for an error in mean square, whatever the dimension.

Barron 1993 ("Universal approximation bounds for superpositions of a sigmoidal function", IEEE Trans. Inform.
Theory 39, theorem 1). Let B be a bounded set around a point c, f(x) = ∫ e^{iω·(x − c)} F(dω) on B with a
complex measure F, and C = ∫ |ω|_B |F|(dω), |ω|_B = sup_{x ∈ B} |ω·(x − c)|. Then for every bounded measurable
sigmoidal φ, every probability measure μ on B and every N there is a sum of N terms αᵢ φ(wᵢᵀx + bᵢ) and a
constant with

    ∫ (f − f_N)² dμ ≤ (2C)²/N.

On a ball of radius r, |ω|_B = r|ω|: the (2 r C_f)²/N of the paper, with C_f = ∫ |ω| |F|(dω). On a box of
half sides aᵢ around its centre, |ω|_B = Σᵢ aᵢ|ωᵢ| ≤ |a||ω|: never more than on the ball around the box, so
that is what is used here. Moving c turns F by a phase and leaves C as it is.

The bound is one on the best network; what training finds is held against it from one side only.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from nnlab.approximation.quadrature import box_of


def cosine_constant(
    amplitudes: ArrayLike, frequencies: ArrayLike, lo: ArrayLike = 0.0, hi: ArrayLike = 1.0
) -> float:
    """C on a box of a constant plus Σⱼ Aⱼ cos(ωⱼ·x + φⱼ), at most: Σⱼ |Aⱼ| Σᵢ aᵢ|ωⱼᵢ|.

    A cosine has two masses A/2, at ω and −ω. Equality where the ±ωⱼ are different.

    Args:
        amplitudes: (J,).
        frequencies: (J, d), radians per unit of x.
        lo, hi: corners of the box (d,), or numbers.
    """
    omega = np.atleast_2d(np.asarray(frequencies, np.float64))
    low, high = box_of(omega.shape[1], lo, hi)
    return float(np.abs(np.asarray(amplitudes, np.float64)) @ (np.abs(omega) @ (high - low)) / 2)


def gaussian_constant(width: float, lo: ArrayLike, hi: ArrayLike, dimension: int) -> float:
    """C on a box of exp(−|x − x₀|²/2s²): √(2/π)/s · Σᵢ aᵢ.

    F is the normal distribution of covariance I/s² (times a phase), and E|ωᵢ| = √(2/π)/s.

    Args:
        width: s.
        lo, hi: corners of the box (d,), or numbers.
        dimension: d.
    """
    low, high = box_of(dimension, lo, hi)
    return math.sqrt(2 / math.pi) / width * float((high - low).sum()) / 2


def gaussian_ball_constant(width: float, radius: float, dimension: int) -> float:
    """C on a ball of exp(−|x − x₀|²/2s²): r E|ω| = r √2 Γ((d + 1)/2)/(s Γ(d/2))."""
    d = dimension
    return radius * math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2)) / width


def barron_bound(constant: float, terms: int) -> float:
    """2C/√N: N terms and a constant reach an L2 error (root of the mean square) of at most this."""
    return 2 * constant / math.sqrt(terms)
