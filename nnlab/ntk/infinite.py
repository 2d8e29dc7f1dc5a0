"""The two kernels of an infinitely wide network, exactly: of its random start and of its training.

The network is the MLP of `nnlab.models` in the ntk parameterization, z = (σ_w/√n) W h + σ_b b in every layer,
the last included. As the widths of the hidden layers grow, one after the other or together,

- each output at the start is a Gaussian process with the covariance Σ (n₁, n₂), the "nngp" kernel (Neal 1994;
  Lee et al. 2018, "Deep neural networks as Gaussian processes"; Matthews et al. 2018);
- the tangent kernel J(x) J(x')ᵀ tends to Θ(x, x') · I_C, and stays there during training (Jacot, Gabriel &
  Hongler 2018, "Neural tangent kernel").

With (u, v) normal of mean 0, E[u²] = a = Σ(x, x), E[v²] = b = Σ(x', x'), E[uv] = c = Σ(x, x'):

    Σ⁰ = σ_w² xᵀx'/d + σ_b²                      Θ⁰ = Σ⁰
    Σ⁺ = σ_w² E[φ(u) φ(v)] + σ_b²                Θ⁺ = Σ⁺ + σ_w² E[φ'(u) φ'(v)] · Θ

| φ | E[φ(u) φ(v)] | E[φ'(u) φ'(v)] | source |
| --- | --- | --- | --- |
| relu | √(ab) (sin θ + (π − θ) cos θ)/2π | (π − θ)/2π | Cho & Saul 2009, J₁ and J₀ |
| erf | (2/π) arcsin(2c/√((1 + 2a)(1 + 2b))) | (4/π)/√((1 + 2a)(1 + 2b) − 4c²) | Williams 1998, eq. 11 |

where cos θ = c/√(ab). The third column is the derivative of the second in c (Price's theorem).

Precision. Written in c, the kernels lose half of the digits where x and x' are nearly parallel: an error ε in
cos θ is one of √ε in θ. So the computation carries norms and angles, and takes 1 − cos θ from differences:
x = x' gives θ = 0 and x = −x' without bias gives θ = π, both exactly, and every angle has an absolute error
of a few ε. Norms enter by their roots, so that inputs of 1e±150 neither overflow nor vanish.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.errors import suggest
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.blocks import slices
from nnlab.ntk.errors import KernelError, NonFiniteError

# Entries of the kernel that are worked on at a time: a dozen temporaries of this size, 100 MB.
BLOCK = 2**20

# Pairs whose |cos θ| is above this get their angle from differences of vectors; below, arccos loses nothing.
NEARLY_PARALLEL = 0.99


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


def infinite_ntk(
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The kernels Σ and Θ of the infinitely wide MLP in the ntk parameterization.

    A network without biases is one with σ_b = 0.

    Args:
        x1: (n₁, ...) examples, flattened to d numbers each, as `MLP` does.
        x2: (n₂, ...) others; x1 itself if left out, and then the kernels are symmetric to the last bit.
        depth: hidden layers; 0 is the linear model.
        activation: relu or erf.
        sigma_w: σ_w; by default that of `MLP`: the activation's gain, √2 for relu, or 1 at depth 0.
        sigma_b: σ_b; by default that of `MLP`, 0.1.

    Returns:
        (nngp, ntk), each (n₁, n₂) in float64 on the device of x1, whatever the dtype of x1.

    Raises:
        KernelError: shapes that do not fit, a depth below 0, another activation, σ_w ≤ 0 or σ_b < 0.
        NonFiniteError: NaN or infinity in the inputs, or inputs whose squared norm is none in float64.
    """
    layer, sigma_w, sigma_b = checked_network(depth, activation, sigma_w, sigma_b)
    points1 = _augmented(x1, "x1", sigma_w, sigma_b)
    points2 = points1 if x2 is None else _augmented(x2, "x2", sigma_w, sigma_b)
    if points1[0].shape[1] != points2[0].shape[1]:
        d1, d2 = points1[0].shape[1] - 1, points2[0].shape[1] - 1
        raise KernelError(f"infinite_ntk: x1 has {d1} numbers per example and x2 has {d2}; they must agree")
    n1, n2 = len(points1[0]), len(points2[0])
    nngp, ntk = (points1[0].new_empty(n1, n2) for _ in range(2))
    start = 0
    while start < n1:
        first = start if x2 is None else 0  # of a symmetric kernel only what is right of the diagonal
        rows = slice(start, start + max(1, BLOCK // (n2 - first)))
        block = _first_pairs(points1, points2, rows, slice(first, n2))
        nngp[rows, first:], ntk[rows, first:] = _kernels(block, layer, depth, sigma_w, sigma_b)
        start = rows.stop
    if x2 is None:
        for kernel in (nngp, ntk):
            _mirror(kernel)
    return nngp, ntk


def _kernels(pairs: Pairs, layer: Layer, depth: int, sigma_w: float, sigma_b: float) -> tuple[Tensor, Tensor]:
    """Σ and Θ behind `depth` hidden layers, from the pairs at the input."""
    ntk = pairs.covariance
    for _ in range(depth):
        pairs, derivative = layer(pairs, sigma_w, sigma_b)
        ntk = derivative.mul_(ntk).mul_(sigma_w**2).add_(pairs.covariance)
    return pairs.covariance, ntk


def _relu_layer(pairs: Pairs, sigma_w: float, sigma_b: float) -> tuple[Pairs, Tensor]:
    """One ReLU layer: with unit vectors (g, h) along (σ_w √(a/2), σ_b), the angle θ' has

    1 − cos θ' = ½ ‖(g, h) − (g', h')‖² + g g' (1 − J(θ)),   J(θ) = (sin θ + (π − θ) cos θ)/π,

    of which no term is a difference of large numbers: 1 − J(θ) = [2π sin²(θ/2) − (sin θ − θ cos θ)]/π.
    """
    (left, g1, h1), (right, g2, h2) = (_relu_norms(n, sigma_w, sigma_b) for n in (pairs.left, pairs.right))
    theta = pairs.angle
    gap = torch.sin(theta / 2).square_().mul_(2 * math.pi)
    gap.sub_(torch.sin(theta)).add_(theta * torch.cos(theta)).mul_(g1 * g2 / math.pi)  # gg'(1 − J)
    gap.add_(((g1 - g2).square() + (h1 - h2).square()) / 2)
    return Pairs(left, right, _angle_of_gap(gap)), (math.pi - theta).div_(2 * math.pi)


def _relu_norms(norms: Tensor, sigma_w: float, sigma_b: float) -> tuple[Tensor, Tensor, Tensor]:
    """√(σ_w² a/2 + σ_b²) of the next layer, and how its two parts share it: (g, h) with g² + h² = 1."""
    scaled = norms * (sigma_w / math.sqrt(2))
    longer = torch.hypot(scaled, torch.full_like(scaled, sigma_b))
    zero = longer == 0  # x = 0 without bias: every entry of its row is 0, whatever its angle
    divisor = torch.where(zero, 1.0, longer)
    return longer, torch.where(zero, 1.0, scaled / divisor), sigma_b / divisor


def _erf_layer(pairs: Pairs, sigma_w: float, sigma_b: float) -> tuple[Pairs, Tensor]:
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


LAYERS: dict[str, Layer] = {"relu": _relu_layer, "erf": _erf_layer}


def _angle_of_gap(gap: Tensor) -> Tensor:
    """θ of 1 − cos θ, in place: 2 arcsin √(gap/2) is as exact as its argument, arccos is not."""
    return gap.clamp_(0.0, 2.0).div_(2).sqrt_().asin_().mul_(2)


# Unit vectors (n, d + 1) and their lengths (n,).
Points = tuple[Tensor, Tensor]


def _augmented(x: Tensor, name: str, sigma_w: float, sigma_b: float) -> Points:
    """The vectors (σ_w x/√d, σ_b), whose inner products are Σ⁰, as directions and lengths."""
    if x.ndim < 2 or x.numel() == 0 or x.is_complex():
        raise KernelError(
            f"infinite_ntk: {name} has the shape {tuple(x.shape)} and the type {x.dtype}; "
            "it must be (n, ...), real, with at least one example and one number in each"
        )
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


def _first_pairs(points1: Points, points2: Points, rows: slice, columns: slice) -> Pairs:
    """Lengths and angles between some of the augmented inputs."""
    (unit1, length1), (unit2, length2) = points1, points2
    left, right = unit1[rows], unit2[columns]
    cosine = (left @ right.T).clamp_(-1.0, 1.0)
    near = (cosine.abs() > NEARLY_PARALLEL).nonzero()
    angle = cosine.acos_()
    for some in slices(0, len(near), max(1, BLOCK // left.shape[1])):
        i, j = near[some].unbind(dim=1)
        opposite = angle[i, j] > math.pi / 2
        sign = torch.where(opposite, -1.0, 1.0).to(left.dtype)[:, None]
        between = 2 * ((left[i] - sign * right[j]).norm(dim=1) / 2).asin_()  # of a chord of the unit circle
        angle[i, j] = torch.where(opposite, math.pi - between, between)
    return Pairs(length1[rows, None], length2[None, columns], angle)


def _mirror(kernel: Tensor) -> None:
    """Copies what is above the diagonal below it, block by block."""
    n = len(kernel)
    step = max(1, BLOCK // n)
    for start in range(0, n, step):
        stop = min(start + step, n)
        kernel[stop:, start:stop] = kernel[start:stop, stop:].T
        square = kernel[start:stop, start:stop]
        square.copy_(square.triu() + square.triu(1).T)


def checked_network(
    depth: int, activation: str, sigma_w: float | None, sigma_b: float | None
) -> tuple[Layer, float, float]:
    """The layer's rule, σ_w and σ_b, with the defaults of `MLP`."""
    if activation not in LAYERS:
        raise KernelError(
            f"infinite_ntk: no closed form for the activation {activation}; {suggest(activation, LAYERS)}"
        )
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise KernelError(
            f"infinite_ntk: depth {depth!r} is not allowed: it is a number of layers, at least 0"
        )
    if sigma_w is None:
        sigma_w = get_activation(activation).gain if depth else 1.0
    if sigma_b is None:
        sigma_b = DEFAULT_SIGMA_B["ntk"]
    if not (math.isfinite(sigma_w) and sigma_w > 0):
        raise KernelError(f"infinite_ntk: sigma_w {sigma_w} is not allowed: it must be positive and finite")
    if not (math.isfinite(sigma_b) and sigma_b >= 0):
        raise KernelError(f"infinite_ntk: sigma_b {sigma_b} is not allowed: it must be at least 0 and finite")
    return LAYERS[activation], sigma_w, sigma_b
