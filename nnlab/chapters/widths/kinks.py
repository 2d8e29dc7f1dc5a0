"""The change of the tangent kernel in training that kinks cause, to the order 1/√m, without a free constant.

A unit z(x) = a·w·x + σ_b·b of one hidden layer moves in training by about 1/√m. Where x_j lies that near to
its kink, it may switch at x_j, and only those units that switch change the kernel in this order. With κ =
a²xxᵀ + σ_b² and the slopes φ' beside the kink, a step of descent of the linearized network moves z(x_j) by

    −η a v/√m (Σ_{k≠j} φ'(z_k) κ_jk u_k + φ'(z_j) κ_jj u_j).

Units whose kink lies at x_j differ in the sign of v and in their direction, that is, on which side of x_j
they have which slope. The second term jumps with the switch itself, so that the units that switch on do not
outweigh those that switch off. Of all starts z near 0, whose density is 1/√(2πκ_jj), the path decides which
end beyond the kink; their surplus times v² κ_jk φ'(z_k) and the jump of φ' is the change of H.

Du et al. 2019, "Gradient descent provably optimizes over-parameterized neural networks", lemma 3.2, bound the
number of units that switch; this is the constant of what they change.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from nnlab.chapters.widths.schema import Family
from nnlab.errors import Interrupted
from nnlab.models import get_activation

TWO_PIECES = ("relu", "leaky_relu")  # activations that are linear on both sides of one kink, at 0
MOST_POINTS = 100  # the prediction holds n² numbers for every network
STARTS = 400  # starts z on each path, evenly spaced over where the kink can be reached
BLOCK = 2**22  # starts at a time, over networks, points and paths
THIRD_MOMENT = 2 * math.sqrt(2 / math.pi)  # E|v|³, v ~ N(0, 1)


def switches(activation: str, family: Family, *, bias: bool, sigma_b: float, points: int) -> bool:
    """Whether the change is known: one hidden layer in the ntk parameterization whose kinks lie anywhere."""
    kinks_spread = activation in TWO_PIECES and bias and sigma_b > 0
    return kinks_spread and family == Family(1, "ntk") and points <= MOST_POINTS


def kernel_change(
    u0: Tensor, kernel: Tensor, x: Tensor, *, activation: str, sigma_w: float | None, sigma_b: float,
    lr: float, steps: int, stop: Callable[[], bool] | None = None,
) -> Tensor:  # fmt: skip
    """Computes √m E[H − H₀] to leading order, (S, n, n), after steps of descent on ½Σ(y − ȳ)².

    Args:
        u0: (S, n) residuals at the start.
        kernel: (n, n) H of infinite width.
        x: (n,) points on the line, ascending.
        activation: one of TWO_PIECES.
        sigma_w: of both layers; None for the activation's gain.
        sigma_b: of the biases.
        lr: η.
        steps: their number.
        stop: asked at every step whether to stop.

    Raises:
        Interrupted: it was stopped.
    """
    row = get_activation(activation)
    scale = row.gain if sigma_w is None else sigma_w
    low, high = map(float, row.derivative(torch.tensor([-1.0, 1.0], dtype=torch.float64)))
    kappa = scale**2 * torch.outer(x, x) + sigma_b**2
    right = torch.ones_like(kappa).triu(1)  # (j, k): whether x_k > x_j
    # Of a unit with its kink at x_j, φ' at the other points: the high slope on its right, or on its left.
    slopes = torch.stack([high * right + low * right.T, high * right.T + low * right])
    others, own = kappa * slopes, kappa.diagonal()
    blocks = torch.split(u0, max(1, BLOCK // (4 * STARTS * len(x))))
    paths = (partial(_descent, block, kernel, lr, steps, stop) for block in blocks)
    surplus = torch.cat(
        [_surplus(path, lr * scale * others, lr * scale * own, (low, high)) for path in paths]
    )
    density = 1 / torch.sqrt(2 * math.pi * own)
    weight = 0.5 * THIRD_MOMENT * density * surplus  # (S, 2, n); half of the units for each direction
    beside = (high - low) * torch.einsum("sdj,djk->sjk", weight, slopes)
    itself = (high**2 - low**2) * weight.sum(1)
    return scale**2 * kappa * (beside + beside.transpose(1, 2) + torch.diag_embed(itself))


def _descent(
    u: Tensor, kernel: Tensor, lr: float, steps: int, stop: Callable[[], bool] | None
) -> Iterator[Tensor]:
    """The residuals (S, n) before each step."""
    for _ in range(steps):
        if stop is not None and stop():
            raise Interrupted("stopped while the change of the kernel was predicted")
        yield u
        u = u - lr * u @ kernel


def _surplus(
    path: Callable[[], Iterator[Tensor]], others: Tensor, own: Tensor, slopes: tuple[float, float]
) -> Tensor:
    """The length of the starts √m z < 0 that end above 0, minus the reverse, mean of v = ±1, (S, 2, n).

    Args:
        path: gives the residuals (S, n) before each step.
        others: (2, n, n) of both directions: what x_k adds to the velocity at x_j, per unit of −v u_k.
        own: (n,) what x_j adds where φ' = 1.
        slopes: φ' below and above the kink.
    """
    low, high = slopes
    reach = torch.zeros((), dtype=own.dtype)
    for u in path():
        reach = reach + torch.einsum("djk,sk->sdj", others, u).abs() + high * (own * u)[:, None].abs()
    spots = (torch.arange(STARTS, dtype=own.dtype) + 0.5) * (2 / STARTS) - 1
    start = (reach[..., None, None] * spots).expand(*reach.shape, 2, STARTS)
    sign, z = torch.tensor([[1.0], [-1.0]], dtype=own.dtype), start.clone()
    for u in path():
        beside, itself = torch.einsum("djk,sk->sdj", others, u), (own * u)[:, None]
        below, above = ((beside + slope * itself)[..., None, None] * sign for slope in (low, high))
        z -= torch.where(z > 0, above, below)
    moved = (z > 0).to(own.dtype) - (start > 0).to(own.dtype)
    return moved.mean(dim=(-1, -2)) * 2 * reach
