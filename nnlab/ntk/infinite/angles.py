"""Gaussian pairs of dense layers as lengths and angles, which keeps the digits of nearly parallel ones.

Written in the covariance c, the kernels lose half of the digits where x and x' are nearly parallel: an error
ε in cos θ is one of √ε in θ. So the computation carries norms and angles, and takes 1 − cos θ from
differences: x = x' gives θ = 0 and x = −x' without bias gives θ = π, both exactly, and every angle has an
absolute error of a few ε. Norms enter by their roots, so that inputs of 1e±150 neither overflow nor vanish.

It serves chains of linear layers and ReLU, leaky ReLU or erf; `nnlab.ntk.infinite.pairwise` does the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.empirical.blocks import slices
from nnlab.ntk.errors import NonFiniteError

# Pairs whose |cos θ| is above this get their angle from differences of vectors; below, arccos loses nothing.
NEARLY_PARALLEL = 0.99

# Numbers of the differences that are worked on at a time.
DIFFERENCES = 2**16


@dataclass(frozen=True)
class Pairs:
    """Gaussian pairs (u, v), as the lengths of two families of vectors and the angles between them.

    Attributes:
        left: √Σ(x, x), (r, 1).
        right: √Σ(x', x'), (1, s).
        angle: θ in [0, π], (r, s), with Σ(x, x') = √(ab) cos θ.
    """

    left: Tensor
    right: Tensor
    angle: Tensor

    @property
    def covariance(self) -> Tensor:
        """Σ(x, x'), (r, s)."""
        return torch.cos(self.angle).mul_(self.left * self.right)


# What one hidden layer does: pairs, σ_w and σ_b to the next layer's pairs, and E[φ'(u)φ'(v)] (r, s).
Layer = Callable[[Pairs, float, float], tuple[Pairs, Tensor]]

# Unit vectors (n, d + 1) and their lengths (n,).
Points = tuple[Tensor, Tensor]


def kernels(pairs: Pairs, layers: list[tuple[Layer, float, float]]) -> tuple[Tensor, Tensor]:
    """Σ and Θ behind hidden layers, each with σ_w and σ_b of the linear layer after it, from the input on."""
    ntk = pairs.covariance
    for layer, sigma_w, sigma_b in layers:
        pairs, derivative = layer(pairs, sigma_w, sigma_b)
        ntk = derivative.mul_(ntk).mul_(sigma_w**2).add_(pairs.covariance)
    return pairs.covariance, ntk


def relu_layer(pairs: Pairs, sigma_w: float, sigma_b: float, slope: float = 0.0) -> tuple[Pairs, Tensor]:
    """One layer of φ(u) = max(u, 0) + slope · min(u, 0): with s = slope and unit vectors (g, h) along
    (σ_w √((1 + s²)a/2), σ_b), the angle θ' has

    1 − cos θ' = ½ ‖(g, h) − (g', h')‖² + g g' [(1 − s)² (1 − J(θ)) + 2s (1 − cos θ)]/(1 + s²),

    J(θ) = (sin θ + (π − θ) cos θ)/π. For s ≥ 0 no term is a difference of large numbers, as
    1 − J(θ) = [2π sin²(θ/2) − (sin θ − θ cos θ)]/π.
    """
    scale = sigma_w / math.sqrt(2 / (1 + slope**2))
    (left, g1, h1), (right, g2, h2) = (_shares(n, scale, sigma_b) for n in (pairs.left, pairs.right))
    theta = pairs.angle
    chord = torch.sin(theta / 2).square_().mul_(2)  # 1 − cos θ
    gap = chord.mul(math.pi)
    gap.sub_(torch.sin(theta)).add_(theta * torch.cos(theta)).mul_((1 - slope) ** 2 / math.pi)
    if slope:
        gap.add_(chord, alpha=2 * slope).div_(1 + slope**2)
    gap.mul_(g1 * g2).add_(((g1 - g2).square() + (h1 - h2).square()) / 2)
    derivative = (math.pi - theta).div_(2 * math.pi)
    if slope:
        derivative.mul_((1 - slope) ** 2).add_(slope)
    return Pairs(left, right, _angle_of_gap(gap)), derivative


def _shares(norms: Tensor, scale: float, sigma_b: float) -> tuple[Tensor, Tensor, Tensor]:
    """√(scale² a + σ_b²) of the next layer, and how its two parts share it: (g, h) with g² + h² = 1."""
    scaled = norms * scale
    longer = torch.hypot(scaled, torch.full_like(scaled, sigma_b))
    zero = longer == 0  # x = 0 without bias: every entry of its row is 0, whatever its angle
    divisor = torch.where(zero, 1.0, longer)
    return longer, torch.where(zero, 1.0, scaled / divisor), sigma_b / divisor


def erf_layer(pairs: Pairs, sigma_w: float, sigma_b: float) -> tuple[Pairs, Tensor]:
    """One erf layer: with D = (1 + 2a)(1 + 2b) − 4c² = 1 + 2a + 2b + 4ab sin²θ, a sum of positive terms,
    arcsin(2c/√((1 + 2a)(1 + 2b))) = arctan(2c/√D). The next angle is exact at 0, where the quotients below
    are 1; elsewhere its error may be √ε, of which these formulas feel only the square. To the last bit it is
    the same for (a, b) and (b, a), as rows of equal examples come from both sides of the diagonal.
    """
    a, b = pairs.left.square(), pairs.right.square()
    spread = torch.sin(pairs.angle).mul_(2 * pairs.left * pairs.right)
    root = torch.hypot(spread, (1 + 2 * (a + b)).sqrt())  # √D
    scale = 2 * sigma_w**2 / math.pi
    c = torch.atan2(pairs.covariance.mul_(2), root).mul_(scale).add_(sigma_b**2)
    a, b = (torch.atan2(2 * q, (1 + 4 * q).sqrt()).mul_(scale).add_(sigma_b**2) for q in (a, b))
    larger, smaller = torch.maximum(a, b), torch.minimum(a, b)
    divisor = larger.masked_fill_(larger == 0, 1.0)
    cosine = c.div_(divisor).div_(smaller.masked_fill_(smaller == 0, 1.0).div_(divisor).sqrt_())
    return Pairs(a.sqrt(), b.sqrt(), _angle_of_gap(1 - cosine)), (4 / math.pi) / root


def _angle_of_gap(gap: Tensor) -> Tensor:
    """θ of 1 − cos θ, in place: 2 arcsin √(gap/2) is as exact as its argument, arccos is not."""
    return gap.clamp_(0.0, 2.0).div_(2).sqrt_().asin_().mul_(2)


def augmented(x: Tensor, name: str, sigma_w: float, sigma_b: float) -> Points:
    """The vectors (σ_w x/√d, σ_b), whose inner products are Σ⁰, as directions and lengths.

    Raises:
        NonFiniteError: the squared norm of an example overflows float64, or is NaN.
    """
    points = x.detach().flatten(1).to(torch.float64)
    d = points.shape[1]
    points = torch.cat([points * (sigma_w / math.sqrt(d)), points.new_full((len(points), 1), sigma_b)], dim=1)
    largest = points.abs().amax(dim=1, keepdim=True)
    largest = torch.where(largest == 0, 1.0, largest)
    scaled = points / largest  # so that no square overflows, and none of the largest ones vanishes
    norms = scaled.norm(dim=1, keepdim=True)
    lengths = (norms * largest).squeeze(1)
    if not bool(torch.isfinite(lengths.square()).all()):
        worst = int((~torch.isfinite(lengths.square())).nonzero()[0, 0])
        raise NonFiniteError(
            f"infinite_ntk: example {worst} of {name} holds NaN or infinity, or its squared norm is too "
            "large for float64; remove or rescale it"
        )
    return scaled / torch.where(norms == 0, 1.0, norms), lengths


def first_pairs(points1: Points, points2: Points, rows: slice, columns: slice) -> Pairs:
    """Lengths and angles between some of the augmented inputs."""
    (unit1, length1), (unit2, length2) = points1, points2
    left, right = unit1[rows], unit2[columns]
    cosine = (left @ right.T).clamp_(-1.0, 1.0)
    near = (cosine.abs() > NEARLY_PARALLEL).nonzero()
    angle = cosine.acos_()
    for some in slices(0, len(near), max(1, DIFFERENCES // left.shape[1])):
        i, j = near[some].unbind(dim=1)
        opposite = angle[i, j] > math.pi / 2
        sign = torch.where(opposite, -1.0, 1.0).to(left.dtype)[:, None]
        between = 2 * ((left[i] - sign * right[j]).norm(dim=1) / 2).asin_()  # of a chord of the unit circle
        angle[i, j] = torch.where(opposite, math.pi - between, between)
    return Pairs(length1[rows, None], length2[None, columns], angle)
