"""The kernel of an infinitely wide ReLU network on the circle, where its modes are sines and cosines.

Between n equally spaced points of the unit circle the kernel Θ depends on the angle θ between two points
only. So it is a circulant matrix; its eigenvectors are cos kθ and sin kθ, and its eigenvalues, divided by n,

    λ_k⁽ⁿ⁾ = (1/n) Σⱼ Θ(2πj/n) cos(2πjk/n)    →    λ_k = (1/π) ∫₀^π Θ(θ) cos kθ dθ    as n → ∞,

the eigenvalues of the integral operator (Tf)(θ) = (1/2π) ∫ Θ(θ − θ') f(θ') dθ'. They say which functions a
network learns first: mode k decays at the rate n·λ_k.

How fast λ_k falls is decided by where Θ is not smooth. If Θ(θ) = … + s₀|θ| + … at θ = 0 and
… + s_π|π − θ| + … at θ = π, and is smooth but for weaker singularities, integrating by parts twice gives

    k² λ_k → −(s₀ + (−1)ᵏ s_π)/π.

One hidden layer. With α = σ_w²/2, β = σ_b² and q = α + β, Σ⁰(θ) = α cos θ + β = q cos ψ, and at θ = 0
ψ ≈ √(α/q) |θ|. Of Θ = σ_w² q [sin ψ + (π − ψ) cos ψ]/2π + β + σ_w² Σ⁰ (π − ψ)/2π the first part has no term
in |ψ|, since that of sin ψ cancels that of −ψ cos ψ, and the last has −σ_w² q |ψ|/2π. So

    s₀ = −σ_w² √(αq)/2π.

- With bias ψ(π) < π: nothing happens at θ = π, s_π = 0, and k²λ_k → σ_w² √(αq)/2π² for even and odd k.
- Without, ψ = θ, and the same happens at π: Σ⁰ (π − ψ) = −α |π − θ| there, s_π = s₀. Odd modes cancel, even
  ones add up. In fact Θ = (σ_w² α/2π)[sin θ + 2(π − θ) cos θ] can be integrated: λ_k = 0 for odd k ≥ 3, and
  λ_k = σ_w⁴ (k² + 3)/(2π² (k² − 1)²) for even k. Sources: Basri et al. 2019, "The
  convergence rate of neural networks for learned functions of different frequencies"; Bietti & Mairal 2019,
  "On the inductive bias of neural tangent kernels".

Every further layer keeps the singularities and adds to them; `circle_tail` carries s₀ and s_π through.

Sampling. Modes k and k + mn look alike on n points: λ_k⁽ⁿ⁾ = Σₘ λ_{k+mn}. For even n odd modes mix with odd
ones only, so that those with 3 ≤ k ≤ n/2 vanish on the points as well; for odd n even modes come in from
n − k and leave about 1/n². Of a tail c/k² the sum is c (π/n)²/sin²(πk/n), hence k²λ_k⁽ⁿ⁾ is c only for k ≪ n.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.kernel import checked_network, infinite_ntk


def circle_points(n: int) -> torch.Tensor:
    """Returns n points (n, 2), equally spaced on the unit circle from (1, 0) on, in float64."""
    if n < 1:
        raise KernelError(f"circle_points: n {n} is not allowed: it must be at least 1")
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def circle_eigenvalues(
    n: int, *, depth: int = 1, sigma_w: float | None = None, sigma_b: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Computes the eigenvalues of Θ/n on n equally spaced points of the unit circle, mode by mode.

    Those with 0 < k < n/2 are double, of cos kθ and sin kθ. They come by a Fourier transform of the first row
    of the kernel, each with an error of about ε·Θ(0), whatever its size.

    Args:
        n: number of points.
        depth, sigma_w, sigma_b: of the ReLU network, as for `infinite_ntk`.

    Returns:
        (k, λ_k⁽ⁿ⁾) for k = 0 … ⌊n/2⌋.

    Raises:
        KernelError: a value that is not allowed.
    """
    points = circle_points(n)
    _, row = infinite_ntk(points[:1], points, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b)
    values = np.fft.rfft(row[0].numpy()).real / n
    return np.arange(len(values)), values


class CircleTail(NamedTuple):
    """The limits of k²λ_k as k → ∞, for k ≪ n.

    Attributes:
        even: for even k.
        odd: for odd k; the same with bias.
    """

    even: float
    odd: float


def circle_tail(*, depth: int = 1, sigma_w: float | None = None, sigma_b: float | None = None) -> CircleTail:
    """Computes the limits of k²λ_k, −(s₀ ± s_π)/π, from the slopes of Θ in |θ| and |π − θ| in each layer.

    At θ = 0, where Σ(x, x) = q in layer l and the angle there is g|θ|: Θ⁺ = Σ⁺ + σ_w² Θ (π − ψ)/2π gives

        s₀⁺ = (σ_w²/2) s₀ − (σ_w²/2π) Θ(0) g,   g⁺ = g √(σ_w² q/2q⁺),   q⁺ = σ_w² q/2 + σ_b².

    At θ = π the kernel Σ behind a layer is smooth up to |π − θ|³, so that s_π⁺ = σ_w² s_π (π − ψ)/2π, and the
    first layer has, without bias, Σ⁰(π)(π − ψ) = −(σ_w²/2)|π − θ|.

    With one hidden layer: σ_w³ √(σ_w² + 2σ_b²)/4π² for every k with bias; without, σ_w⁴/2π² for even k and
    0 for odd ones.

    Raises:
        KernelError: a value that is not allowed.
    """
    _, sigma_w, sigma_b = checked_network(depth, "relu", sigma_w, sigma_b)
    half, bias = sigma_w**2 / 2, sigma_b**2
    q = ntk = half + bias  # Σ(0) and Θ(0)
    g, at_zero = math.sqrt(half / q), 0.0
    psi, at_pi = math.acos((bias - half) / q), 0.0
    for layer in range(depth):
        at_zero = half * at_zero - half / math.pi * ntk * g
        if layer == 0 and bias == 0:
            at_pi = -half / math.pi * half
        else:
            at_pi *= half * (math.pi - psi) / math.pi
        after = half * q + bias
        opposite = half * q * (math.sin(psi) + (math.pi - psi) * math.cos(psi)) / math.pi + bias
        psi, g = math.acos(min(1.0, opposite / after)), g * math.sqrt(half * q / after)
        q, ntk = after, after + half * ntk
    return CircleTail(-(at_zero + at_pi) / math.pi, -(at_zero - at_pi) / math.pi)
