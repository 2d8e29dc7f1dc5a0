"""The recursions from layer to layer: statistics of kernels at order 1/m.

Layer ℓ has the pre-activations z (m, two inputs), given the layer before independent over units and normal
with the covariance S; and the tangent kernels Hₖₖ' = ∇zₖ(x₁)·∇zₖ'(x₂). The next linear layer is
z⁺ⱼ = (σ_w/√m) Σₖ Wⱼₖ φ(zₖ) + σ_b bⱼ, so that

    S⁺ = (σ_w²/m) Σₖ φ(zₖ)φ(zₖ) + σ_b²,
    H⁺ⱼⱼ' = δⱼⱼ' T⁺ + (σ_w²/m) Σₖₖ' Wⱼₖ Wⱼ'ₖ' φ'(zₖ)φ'(zₖ') Hₖₖ',

T⁺ being S⁺ without the part of parameters that are not trained. Let R⁺ be the mean of H⁺ⱼⱼ over W. To order
1/m these are all that matters, with Θ the limit of R and ⟨·⟩ over z ~ N(0, K), K the limit of S:

| symbol | meaning, times m |
| --- | --- |
| s, r | mean of S − K and of R − Θ |
| V, D, A | covariance of S with S, of R with S, and of R with R |
| F | Hₖₖ'(1, 2) zₖ(μ) zₖ'(ν) on average, k ≠ k' |
| B, B' | Hₖₖ'(1, 2)² and Hₖₖ'(1, 2) Hₖ'ₖ(1, 2) on average, k ≠ k' |

They are 0 at the first layer, whose S and H are not random. The variance of Hⱼⱼ is (A + B + B')/m, the
covariance of Hⱼⱼ with Hⱼ'ⱼ' is A/m, and Hⱼⱼ' has the variance B/m. Given the layer before, units are
independent. So R⁺ fluctuates as an average over m units of Ω = σ_w² φ₁φ₂ + σ_w² φ'₁φ'₂ Θ, the first part only
where the weight is trained, and with S and R, by the derivatives of ⟨Ω⟩. The tangent kernels of two different
units are of size 1/√m, and correlated with zₖzₖ'; their squares are B and B', their correlation F shifts the
mean of φ'₁φ'₂Hₖₖ.

Sources: Roberts, Yaida & Hanin 2022, "The Principles of Deep Learning Theory", chapters 4 and 8, in whose
letters they are written; Guillen, Misof & Gerken 2025, "Finite-width neural tangent kernels from Feynman
diagrams"; Hanin & Nica 2020, "Finite depth and width corrections to the neural tangent kernel".
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nnlab.ntk.finite.moments import Expectations, Moments


@dataclass(frozen=True)
class Layer:
    """A linear layer in the ntk parameterization.

    Attributes:
        sigma_w, sigma_b: see above; σ_b is 0 without bias.
        trains: whether the weight and the bias are trained.
    """

    sigma_w: float
    sigma_b: float
    trains: tuple[bool, bool] = (True, True)

    def trained(self, average: Tensor) -> Tensor:
        """T: what the layer's own parameters give, from averages of φφ, or of the inputs xx."""
        weight, bias = self.trains
        return weight * self.sigma_w**2 * average + bias * self.sigma_b**2


@dataclass(frozen=True)
class State:
    """What is known of a layer at N pairs of inputs; p and q are those of `Moments`.

    Attributes:
        covariance, tangent: the limits K, (N, p), and Θ, (N,).
        shift, tangent_shift: s, (N, p), and r, (N,).
        spread, cross, tangent_spread: V, (N, p, p), D, (N, p), and A, (N,).
        link: F, (N, q, q).
        apart, crossed: B and B', (N,).
    """

    covariance: Tensor
    tangent: Tensor
    shift: Tensor
    tangent_shift: Tensor
    spread: Tensor
    cross: Tensor
    tangent_spread: Tensor
    link: Tensor
    apart: Tensor
    crossed: Tensor

    @property
    def variance(self) -> Tensor:
        """m times the variance of Hⱼⱼ, (N,)."""
        return self.tangent_spread + self.apart + self.crossed

    def at_rest(self) -> "State":
        """The limits, with nothing that fluctuates around them."""
        limits = {"covariance": self.covariance, "tangent": self.tangent}
        zeros = {f.name: torch.zeros_like(getattr(self, f.name)) for f in fields(self)}
        return State(**zeros | limits)


def first(layer: Layer, products: Tensor) -> State:
    """Returns the state of the first layer.

    Args:
        layer: the first linear layer.
        products: xx'/d in the order of `Moments`, (N, p).
    """
    n, p = products.shape
    q = 2 if p == 3 else 1
    zero = products.new_zeros
    return State(
        covariance=layer.sigma_w**2 * products + layer.sigma_b**2,
        tangent=layer.trained(products[:, 0]),
        shift=zero(n, p),
        tangent_shift=zero(n),
        spread=zero(n, p, p),
        cross=zero(n, p),
        tangent_spread=zero(n),
        link=zero(n, q, q),
        apart=zero(n),
        crossed=zero(n),
    )


def follow(layers: Sequence[Layer], products: Tensor, expectations: Expectations) -> tuple[State, State]:
    """Returns the state of the last of some linear layers, between which there is an activation.

    Args:
        layers: at least two.
        products: xx'/d in the order of `Moments`, (N, p).
        expectations: of the activation.

    Returns:
        The state, and as it were if only the units of the last hidden layer fluctuated.
    """
    state = first(layers[0], products)
    for layer in layers[1:]:
        before, of = state, expectations(state.covariance)
        state = following(before, layer, of)
    return state, following(before.at_rest(), layer, of)


def following(state: State, layer: Layer, of: Moments) -> State:
    """Returns the state of the next linear layer.

    Args:
        state: of the pre-activations.
        layer: the next linear layer.
        of: the activation's moments at these pre-activations.
    """
    gain, own = layer.sigma_w**2, layer.sigma_w**2 * layer.trains[0]
    theta = state.tangent[:, None]
    mean_slope = gain * of.slope  # of R⁺ with R
    # Ω and how its mean moves with S
    omega = own * of.second[:, 0] + mean_slope * state.tangent
    moved = own * of.second_jacobian[:, 0] + gain * theta * of.slope_jacobian
    omega_square = (
        own**2 * of.fourth[:, 0, 0]
        + 2 * own * gain * state.tangent * of.mixed[:, 0]
        + (gain * state.tangent) ** 2 * of.steep
    )
    omega_second = own * of.fourth[:, 0] + gain * theta * of.mixed
    from_spread = torch.einsum("npq,nq->np", state.spread, moved)
    from_both = from_spread + mean_slope[:, None] * state.cross

    shift = gain * _shifted(of.second_jacobian, of.second_hessian, state)
    slope_shift = _shifted(of.slope_jacobian[:, None], of.slope_hessian[:, None], state)[:, 0]
    linked = torch.einsum("nij,nij->n", state.link, _curvature(of.slope_jacobian))
    return State(
        covariance=gain * of.second + layer.sigma_b**2,
        tangent=layer.trained(of.second[:, 0]) + mean_slope * state.tangent,
        shift=shift,
        tangent_shift=layer.trains[0] * shift[:, 0]
        + mean_slope * state.tangent_shift
        + gain * state.tangent * slope_shift
        + gain * (of.slope_jacobian * state.cross).sum(1)
        + gain * linked,
        spread=gain**2
        * (
            of.fourth
            - of.second[:, :, None] * of.second[:, None, :]
            + of.second_jacobian @ state.spread @ of.second_jacobian.transpose(1, 2)
        ),
        cross=gain
        * (
            omega_second
            - omega[:, None] * of.second
            + torch.einsum("npq,nq->np", of.second_jacobian, from_both)
        ),
        tangent_spread=omega_square
        - omega**2
        + (moved * from_both).sum(1)
        + mean_slope * (moved * state.cross).sum(1)
        + mean_slope**2 * state.tangent_spread,
        link=gain**2
        * (
            state.tangent[:, None, None] * _square(of.mixed) + of.left @ state.link @ of.right.transpose(1, 2)
        ),
        apart=gain**2 * (of.steep * state.tangent**2 + of.slopes * state.apart),
        crossed=gain**2 * (of.steep * state.tangent**2 + of.slope**2 * state.crossed),
    )


def _shifted(jacobian: Tensor, hessian: Tensor, state: State) -> Tensor:
    """m times the mean of a function of S less its value at K: the derivative in s, half the second in V."""
    return torch.einsum("nap,np->na", jacobian, state.shift) + 0.5 * torch.einsum(
        "napq,npq->na", hessian, state.spread
    )


def _square(values: Tensor) -> Tensor:
    """(N, p) values for the pairs 12, 11, 22 as a symmetric (N, q, q)."""
    if values.shape[1] == 1:
        return values[:, :, None]
    order = torch.tensor([[1, 0], [0, 2]], device=values.device)
    return values[:, order]


def _curvature(jacobian: Tensor) -> Tensor:
    """⟨∂_μ∂_ν f⟩, (N, q, q), from ∂⟨f⟩/∂S, (N, p): twice as much on the diagonal."""
    square = _square(jacobian)
    return square + torch.diag_embed(torch.diagonal(square, dim1=1, dim2=2))
