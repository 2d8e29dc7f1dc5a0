"""The lecture's activation functions, their derivatives, and the weight scale each of them asks for.

| name | value φ(z) | derivative φ'(z) | at its kink |
| --- | --- | --- | --- |
| sigmoid | σ(z) = 1/(1 + e^{−z}) | σ(z)(1 − σ(z)) | |
| tanh | tanh z | 1 − tanh² z | |
| relu | max(0, z) | 1 where z > 0, else 0 | φ'(0) = 0 |
| leaky_relu | max(0.01z, z) | 1 where z > 0, else 0.01 | φ'(0) = 0.01 |
| elu | z where z > 0, else e^z − 1 | 1 where z > 0, else e^z | φ'(0) = 1, no kink |
| gelu | z Φ(z), Φ the standard normal's distribution function | Φ(z) + z e^{−z²/2}/√(2π) | |
| erf | (2/√π) ∫₀^z e^{−t²} dt | (2/√π) e^{−z²} | |
| ripple | σ(z) + z e^{−z²} | σ(z)(1 − σ(z)) + (1 − 2z²) e^{−z²} | |
| maxout | max(z₁, …, z_k), zⱼ = wⱼᵀx + bⱼ | 1 for the largest zⱼ, else 0 | the first of equal ones |

Sources: Nair & Hinton 2010 (ReLU), Maas et al. 2013 (leaky ReLU), Clevert et al. 2016 (ELU, α = 1),
Hendrycks & Gimpel 2016 (GELU, the exact form), Williams 1998 (erf, whose kernels have closed forms),
Goodfellow et al. 2013 (maxout). The ripple is ours: sigmoidal in the sense of Cybenko 1989, with limits 0
and 1, but not monotone, as φ'(±1) < 0; φ(−z) = 1 − φ(z).

Gain: with weights of variance σ_w²/fan_in and no biases, pre-activations of second moment 1 in one layer
give pre-activations of second moment σ_w² E[φ(z)²], z ~ N(0, 1), in the next (Poole et al. 2016, eq. 3; for
the ReLU He et al. 2015, eq. 10). `gain` is the σ_w that makes this 1, hence 1/√E[φ(z)²]. It differs from
`torch.nn.init.calculate_gain` for tanh (there 5/3, a rule of thumb) and sigmoid (there 1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError, suggest

LEAKY_SLOPE = 0.01
RIPPLE_REACH = 30.0  # e^{−z²} is 0 in float64 from |z| = 27.3 on


@dataclass(frozen=True)
class Activation:
    """An activation function.

    Attributes:
        name: as in a config.
        function: (N, pieces · H, ...) scores to (N, H, ...) values of the hidden units.
        derivative: (N, pieces · H, ...) scores to the derivatives of the unit's value in each of them, in
            the same shape; one of the subgradients at a kink, that which autograd uses.
        gain: σ_w that keeps the second moment from layer to layer.
        formula: φ(z), for a figure's title.
        derivative_formula: φ'(z), likewise.
        pieces: scores that one unit reads; 1 for an elementwise function.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    gain: float
    formula: str
    derivative_formula: str
    pieces: int = 1


class Maxout(nn.Module):
    """h = max(w₁ᵀx + b₁, …, w_kᵀx + b_k): each unit takes the largest of its k scores.

    The layer before it has k outputs per unit, those of one unit next to each other: scores (N, H·k, ...)
    are read as (N, H, k, ...) and become (N, H, ...). The same holds for the maps of a convolution.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, scores: Tensor) -> Tensor:
        # max, not amax: half the time forward and backward, and one subgradient instead of a shared one
        return torch.unflatten(scores, 1, (-1, self.pieces)).max(dim=2).values

    def derivative(self, scores: Tensor) -> Tensor:
        """∂h/∂zⱼ in the shape of the scores: 1 at each unit's largest score, 0 at the others."""
        pieces = torch.unflatten(scores, 1, (-1, self.pieces))  # (N, H, k, ...)
        largest = pieces.argmax(dim=2, keepdim=True)
        return torch.zeros_like(pieces).scatter_(2, largest, 1.0).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


def sigmoid_derivative(z: Tensor) -> Tensor:
    """σ'(z) = σ(z)(1 − σ(z))."""
    s = torch.sigmoid(z)
    return s * (1 - s)


def tanh_derivative(z: Tensor) -> Tensor:
    """tanh'(z) = 1 − tanh² z."""
    return 1 - torch.tanh(z) ** 2


def relu_derivative(z: Tensor) -> Tensor:
    """1 where z > 0, else 0; the subgradient 0 at the kink."""
    return (z > 0).to(z.dtype)


def leaky_relu_derivative(z: Tensor) -> Tensor:
    """1 where z > 0, else 0.01; the subgradient 0.01 at the kink."""
    return torch.where(z > 0, torch.ones_like(z), LEAKY_SLOPE)


def elu_derivative(z: Tensor) -> Tensor:
    """1 where z > 0, else e^z: continuous, as α = 1."""
    return torch.exp(z.clamp(max=0))


def gelu_derivative(z: Tensor) -> Tensor:
    """Φ(z) + z φ(z), with Φ and φ the distribution function and the density of N(0, 1)."""
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    distribution = (1 + torch.erf(z / math.sqrt(2))) / 2
    return distribution + z * density


def erf_derivative(z: Tensor) -> Tensor:
    """(2/√π) e^{−z²}."""
    return 2 / math.sqrt(math.pi) * torch.exp(-z.square())


def ripple(z: Tensor) -> Tensor:
    """σ(z) + z e^{−z²}: a sigmoid that dips below 0, overshoots 1 and comes back."""
    near = z.clamp(-RIPPLE_REACH, RIPPLE_REACH)  # ∞ · 0 is no number
    return torch.sigmoid(z) + near * torch.exp(-near.square())


def ripple_derivative(z: Tensor) -> Tensor:
    """σ(z)(1 − σ(z)) + (1 − 2z²) e^{−z²}."""
    square = z.clamp(-RIPPLE_REACH, RIPPLE_REACH).square()
    return sigmoid_derivative(z) + (1 - 2 * square) * torch.exp(-square)


def _phi(z: float) -> float:
    """The density of N(0, 1)."""
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _normal_cdf(z: float) -> float:
    """Φ(z), the distribution function of N(0, 1)."""
    return math.erfc(-z / math.sqrt(2)) / 2


def _integral(f: Callable[[float], float]) -> float:
    """∫ f over the line for smooth f that die like e^{−z²/2}: the trapezoidal rule errs below 1e-12."""
    h = 1 / 16
    return h * math.fsum(f(i * h) for i in range(-192, 193))


def _sigmoid_second_moment() -> float:
    """E[σ(z)²] = ∫ σ(z)² φ(z) dz; there is no closed form."""
    return _integral(lambda z: _phi(z) / (1 + math.exp(-z)) ** 2)


def _tanh_second_moment() -> float:
    """E[tanh² z] = ∫ tanh² z φ(z) dz; there is no closed form."""
    return _integral(lambda z: math.tanh(z) ** 2 * _phi(z))


def _elu_second_moment() -> float:
    """E[φ(z)²] = 1/2 + E[(e^z − 1)²; z < 0], where E[e^{az}; z < 0] = e^{a²/2} Φ(−a)."""
    return 1 + math.exp(2) * _normal_cdf(-2) - 2 * math.exp(0.5) * _normal_cdf(-1)


def _gelu_second_moment() -> float:
    """E[z² Φ(z)²] = E[Φ²] + 2 E[z Φ φ] = 1/3 + E[φ²], by Stein's identity used twice; E[φ²] = 1/(2π√3)."""
    return 1 / 3 + 1 / (2 * math.pi * math.sqrt(3))


def _ripple_second_moment() -> float:
    """E[φ(z)²] for φ(z) = σ(z) + z e^{−z²}; there is no closed form."""
    return _integral(lambda z: _phi(z) * (1 / (1 + math.exp(-z)) + z * math.exp(-(z**2))) ** 2)


def maxout_gain(pieces: int) -> float:
    """1/√E[max(z₁, …, z_k)²] for independent zⱼ ~ N(0, 1); the maximum has the density k φ(z) Φ(z)^{k−1}."""
    second_moment = _integral(lambda z: z**2 * pieces * _phi(z) * _normal_cdf(z) ** (pieces - 1))
    return 1 / math.sqrt(second_moment)


ELEMENTWISE: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation(
            "sigmoid",
            torch.sigmoid,
            sigmoid_derivative,
            1 / math.sqrt(_sigmoid_second_moment()),
            "1/(1 + e^{−z})",
            "σ(z)(1 − σ(z))",
        ),
        Activation(
            "tanh",
            torch.tanh,
            tanh_derivative,
            1 / math.sqrt(_tanh_second_moment()),
            "tanh z",
            "1 − tanh² z",
        ),
        Activation(
            "relu",
            torch.relu,
            relu_derivative,
            math.sqrt(2),
            "max(0, z)",
            "1 if z > 0 else 0",
        ),
        Activation(
            "leaky_relu",
            F.leaky_relu,  # its slope is 0.01 unless told otherwise
            leaky_relu_derivative,
            math.sqrt(2 / (1 + LEAKY_SLOPE**2)),
            "max(0.01z, z)",
            "1 if z > 0 else 0.01",
        ),
        Activation(
            "elu",
            F.elu,
            elu_derivative,
            1 / math.sqrt(_elu_second_moment()),
            "z if z > 0 else e^z − 1",
            "1 if z > 0 else e^z",
        ),
        Activation(
            "gelu",
            F.gelu,
            gelu_derivative,
            1 / math.sqrt(_gelu_second_moment()),
            "z Φ(z)",
            "Φ(z) + z φ(z)",
        ),
        Activation(
            "erf",
            torch.erf,
            erf_derivative,
            1 / math.sqrt(2 / math.pi * math.asin(2 / 3)),  # E[erf(z)²]: Williams 1998, eq. 11
            "erf z",
            "(2/√π) e^{−z²}",
        ),
        Activation(
            "ripple",
            ripple,
            ripple_derivative,
            1 / math.sqrt(_ripple_second_moment()),
            "σ(z) + z e^{−z²}",
            "σ(z)(1 − σ(z)) + (1 − 2z²) e^{−z²}",
        ),
    )
}

ACTIVATION_NAMES: tuple[str, ...] = (*ELEMENTWISE, "maxout")


def get_activation(name: str, pieces: int = 2) -> Activation:
    """The activation function of that name.

    Args:
        name: one of ACTIVATION_NAMES.
        pieces: linear pieces k of a maxout unit, at least 1; elementwise functions do not use it.

    Raises:
        InputError: the name is unknown, or `pieces` is below 1.
    """
    if name in ELEMENTWISE:
        return ELEMENTWISE[name]
    if name != "maxout":
        raise InputError(f"model.activation: {name} is unknown; {suggest(name, ACTIVATION_NAMES)}")
    if pieces < 1:
        raise InputError(f"model.pieces: {pieces} is not allowed: a maxout unit has at least 1 piece")
    maxout = Maxout(pieces)
    return Activation(
        "maxout",
        maxout,
        maxout.derivative,
        maxout_gain(pieces),
        f"max(z₁, …, z_{pieces})",
        "1 for the largest, else 0",
        pieces,
    )
