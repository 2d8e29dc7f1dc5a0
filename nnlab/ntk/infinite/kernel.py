"""The two kernels of an infinitely wide network, exactly: of its random start and of its training.

The network is one in the ntk parameterization: every linear layer or convolution computes
(σ_w/√fan_in) W ∗ h + σ_b b with W, b ~ N(0, 1). As its widths, the numbers of channels of a convolutional
network, grow, one layer after the other or all together,

- each output at the start is a Gaussian process with the covariance Σ (n₁, n₂), the "nngp" kernel (Neal 1994;
  Lee et al. 2018, "Deep neural networks as Gaussian processes"; Matthews et al. 2018; of convolutions Novak
  et al. 2019, "Bayesian deep convolutional networks with many channels are Gaussian processes");
- the tangent kernel J(x) J(x')ᵀ tends to Θ(x, x') · I_C, and stays there during training (Jacot, Gabriel &
  Hongler 2018, "Neural tangent kernel"; of convolutions Arora et al. 2019, "On exact computation with an
  infinitely wide neural net").

Layers. K and Θ are those of a layer's input, at positions p, p' of the images x, x'; a dense layer has one.

| layer | covariance Σ⁺ | tangent kernel Θ⁺ |
| --- | --- | --- |
| linear | σ_w² K + σ_b², K averaged over p = p' if it sees several positions | σ_w² Θ + Σ⁺ |
| convolution, k × k | (σ_w²/k²) Σ_Δ K(p + Δ, p' + Δ) + σ_b² | (σ_w²/k²) Σ_Δ Θ(p + Δ, p' + Δ) + Σ⁺ |
| φ of a Gaussian field | E[φ(u) φ(v)] | E[φ'(u) φ'(v)] Θ |
| average over windows | mean of K(p, p') over both windows | mean of Θ(p, p') |
| sum, multiple | bilinear, with the cross terms of branches that share a field | likewise |
| LayerNorm, all features | (K − m μ' − μ m' + m m')/ss' | Θ/ss' |

At the input K = xᵀx'/d and Θ = 0. Behind the edge of an image K = Θ = 0. A layer whose weight or bias does
not require gradients leaves its part of Σ⁺ out of Θ⁺. LayerNorm divides by s = √(v + eps), v the variance
over all features, which at infinite width is a number of the example alone, as is their mean m (μ is that at
p; 0 for a Gaussian field). Its scale 1 and shift 0, where it has them and they are trained, are not in the
ntk parameterization but as they are, one for each feature: they add K⁺ and 1 to Θ⁺ at p = p'. The scale is
not independent of the field that it multiplies: behind φ(LayerNorm) it gives E[φ'(u)u φ'(v)v], which for a
piecewise linear φ is E[φ(u)φ(v)]; behind other φ a trained scale is an error.

Functions. With (u, v) normal of mean 0, E[u²] = a = K(x, x), E[v²] = b = K(x', x'), E[uv] = c = K(x, x'):

| φ | E[φ(u) φ(v)] | E[φ'(u) φ'(v)] | source |
| --- | --- | --- | --- |
| relu | √(ab) (sin θ + (π − θ) cos θ)/2π | (π − θ)/2π | Cho & Saul 2009, J₁ and J₀ |
| u if u > 0 else s u | (1 − s)² times that of relu, + s c | (1 − s)² (π − θ)/2π + s | s u + (1 − s) relu(u) |
| erf | (2/π) arcsin(2c/√((1 + 2a)(1 + 2b))) | (4/π)/√((1 + 2a)(1 + 2b) − 4c²) | Williams 1998, eq. 11 |
| gelu | c/4 + [c arctan(c/Δ) + N/(PΔ)]/2π | see `nonlinearities.Gelu` | Tsuchida et al. 2021 |
| sin | e^{−(a + b)/2} sinh c | e^{−(a + b)/2} cosh c | characteristic function of u ± v |
| others | quadrature | quadrature | `nnlab.ntk.infinite.dual_tables` |

where cos θ = c/√(ab), P = (1 + a)(1 + b), Δ² = P − c² and N = c² + abΔ². The third column is the derivative
of the second in c (Price's theorem). For tanh, sigmoid, ELU, SELU, SiLU, softplus, Mish, cos, the ripple and
GELU by tanh both columns come from tables of integrals that agree to 10⁻¹¹ of the largest entry with
integrals by a finer rule, checked whenever a table is made; measured with standard deviations up to 3.2 they
agree to 6 · 10⁻¹² or better.

Precision. Written in c, the kernels lose half of the digits where x and x' are nearly parallel. A dense chain
of ReLU, leaky ReLU or erf is computed in angles, whose absolute error is a few ε
(`nnlab.ntk.infinite.angles`). Everything else carries ½E[(u − v)²], which keeps the digits of nearly equal
fields; where fields are parallel but of other lengths, or equal behind an average or a sum of branches that
share a field, the angle has an error of up to √ε, and Θ, behind a function with a kink, one of 10⁻⁸.
"""

import math
import os
from typing import Any, overload

from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.empirical.blocks import Progress
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.angles import Layer, erf_layer, kernels, relu_layer
from nnlab.ntk.infinite.angles import augmented as _augmented
from nnlab.ntk.infinite.angles import first_pairs as _first_pairs
from nnlab.ntk.infinite.modules import check_finite, mirror, module_kernels
from nnlab.ntk.infinite.tracing import Sigma

# Entries of the kernel that are worked on at a time: a dozen temporaries of this size, 100 MB.
BLOCK = 2**20

LAYERS: dict[str, Layer] = {"relu": relu_layer, "erf": erf_layer}


@overload
def infinite_ntk(
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> tuple[Tensor, Tensor]: ...


@overload
def infinite_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    sigma_w: Sigma = None,
    sigma_b: Sigma = None,
    memory_limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]: ...


def infinite_ntk(*examples: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The kernels Σ and Θ of an infinitely wide network in the ntk parameterization.

    `infinite_ntk(x1, x2, depth=3, activation="erf")` is that of an `MLP` of the same width in every layer;
    `infinite_ntk(model, x1, x2)` that of a module, of which the shape counts and not the values: the one
    whose finite kernel `empirical_ntk` takes. Known are MLPs and all that torch.fx can trace and that
    consists of linear layers, convolutions (1d and 2d, zero padding, groups=1), elementwise functions that
    are smooth but at 0, average pooling, means over positions, flatten, sums, multiples by numbers, LayerNorm
    over all features, identities and dropout in evaluation mode. What has no limit, or none that is known
    here, is an error.

    Args:
        model: a module; plain layers of torch stand for those of the ntk parameterization of the same shape.
        x1: (n₁, ...) examples; of the first form flattened to d numbers each, as `MLP` does.
        x2: (n₂, ...) others; x1 itself if left out, and then the kernels are symmetric to the last bit.
        depth: hidden layers; 0 is the linear model.
        activation: relu or erf.
        sigma_w: σ_w, of a module also by the names of its layers. By default that of a `ScaledLinear`'s
            multiplier, and of other layers the gain of the model's activation, √2 for relu; 1 without any.
        sigma_b: σ_b, likewise; by default that of a `ScaledLinear`'s multiplier, else 0.1. A layer without
            bias has σ_b = 0 whatever is given.
        memory_limit: bytes to hold beside the examples, the kernels included unless they go to `out`. A
            quarter of the free memory if None.
        out: a new .npy file for both kernels, (2, n₁, n₂), Σ first; they are then memory maps of it.
        progress: told pairs of examples done and in all.

    Returns:
        (nngp, ntk), each (n₁, n₂) in float64 on the device of x1, whatever the dtype of x1 and the model.

    Raises:
        KernelError: shapes that do not fit, arguments that are not allowed, or an operation of the model
            without a known limit; the message names it.
        MemoryLimitError: the limit does not hold the kernels, or the covariances of one pair of examples.
        NonFiniteError: NaN or infinity in the inputs or a kernel, or inputs whose squared norm is none in
            float64.
    """
    first = examples[0] if examples else options.get("model", options.get("x1"))
    form = module_kernels if isinstance(first, nn.Module) else _of_mlp
    return form(*examples, **options)


def _of_mlp(
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> tuple[Tensor, Tensor]:
    if not isinstance(x1, Tensor):
        raise KernelError(
            f"infinite_ntk: the first argument is {type(x1).__name__}; it must be a module, or a tensor of "
            "examples"
        )
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
        rows = slice(start, min(n1, start + max(1, BLOCK // (n2 - first))))
        block = _first_pairs(points1, points2, rows, slice(first, n2))
        values = kernels(block, [(layer, sigma_w, sigma_b)] * depth)
        for kernel, value in zip((nngp, ntk), values, strict=True):
            check_finite(value, rows, slice(first, n2))
            kernel[rows, first:] = value
        start = rows.stop
    if x2 is None:
        for kernel in (nngp, ntk):
            mirror(kernel)
    return nngp, ntk


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
