"""The activation functions: one row of ACTIVATIONS for each, with all that the package knows of it.

σ is the sigmoid, Φ and φ are the distribution function and the density of N(0, 1).

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError, suggest
from nnlab.rigorous import activations as bounds
from nnlab.rigorous.activations import Enclosure, Step

LEAKY_SLOPE = 0.01
RIPPLE_REACH = 30.0  # e^{−z²} is 0 in float64 from |z| = 27.3 on


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation function.

    Attributes:
        name: as in a config.
        function: (N, pieces · H, ...) scores to (N, H, ...) values of the hidden units; defined at the top of
            a module, as models are pickled.
        derivative: (N, pieces · H, ...) scores to the derivatives of the unit's value in each of them, in
            the same shape; one of the subgradients at a kink, that which autograd uses.
        gain: σ_w that keeps the second moment from layer to layer.
        formula: φ(z), for sentences.
        limits: at −∞ and ∞, infinite where φ is unbounded; None where it depends on more than one score.
        lipschitz: a bound on |φ'|, off a jump.
        curvature: a bound on |φ''|; None where φ has kinks, or none is known.
        kinks: where φ, φ' or φ'' jumps.
        odd: whether φ(−z) = −φ(z).
        pieces: scores that one unit reads; 1 for an elementwise function.
        trained: whether a model may have it: gradient descent goes nowhere with the hard step.
        enclose: bounds on φ and φ' over intervals, for certificates; None for those without.
        step: φ as a step of constructions; None where it is none, or where it is not used as one.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    gain: float
    formula: str
    limits: tuple[float | None, float]
    lipschitz: float
    curvature: float | None = None
    kinks: tuple[float, ...] = ()
    odd: bool = False
    pieces: int = 1
    trained: bool = True
    enclose: Enclosure | None = None
    step: Step | None = None

    @property
    def is_sigmoidal(self) -> bool:
        """True where both limits are finite: α φ + β then has the limits 0 and 1.

        Cybenko 1989 asks for nothing else: φ need not be monotone.
        """
        low, high = self.limits
        return low is not None and math.isfinite(low) and math.isfinite(high)

    @property
    def smooth(self) -> bool:
        """Whether φ and its first two derivatives are continuous, as theorems on smooth networks ask for."""
        return self.pieces == 1 and not self.kinks

    @property
    def has_kink(self) -> bool:
        """Whether φ' jumps somewhere."""
        if self.pieces > 1:
            return True
        beside = torch.tensor([[kink - 1e-9, kink + 1e-9] for kink in self.kinks], dtype=torch.float64)
        return bool((self.derivative(beside).diff(dim=-1).abs() > 1e-3).any())

    @property
    def why(self) -> str:
        """The reason why it is sigmoidal or not, as a clause."""
        if self.is_sigmoidal:
            return "{} → {:g} at −∞ and → {:g} at +∞".format(self.formula, *self.limits)
        return f"{self.formula} grows without bound: it has no limit at +∞"


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


def ripple(z: Tensor) -> Tensor:
    """σ(z) + z e^{−z²}: a sigmoid that dips below 0, overshoots 1 and comes back."""
    near = z.clamp(-RIPPLE_REACH, RIPPLE_REACH)  # ∞ · 0 is no number
    return torch.sigmoid(z) + near * torch.exp(-near.square())


def step(z: Tensor) -> Tensor:
    """The hard step: 1 where z ≥ 0, else 0."""
    return (z >= 0).to(z.dtype)


def _sigmoid_derivative(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 - s)


def _gelu_derivative(z: Tensor) -> Tensor:
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    distribution = (1 + torch.erf(z / math.sqrt(2))) / 2
    return distribution + z * density


def _ripple_derivative(z: Tensor) -> Tensor:
    square = z.clamp(-RIPPLE_REACH, RIPPLE_REACH).square()
    return _sigmoid_derivative(z) + (1 - 2 * square) * torch.exp(-square)


_phi = NormalDist().pdf


def _normal_cdf(z: float) -> float:
    """Φ(z), the distribution function of N(0, 1)."""
    return math.erfc(-z / math.sqrt(2)) / 2


def _integral(f: Callable[[float], float]) -> float:
    """∫ f over the line for smooth f that die like e^{−z²/2}: the trapezoidal rule errs below 1e-12."""
    h = 1 / 16
    return h * math.fsum(f(i * h) for i in range(-192, 193))


def gain_of(f: Callable[[float], float], kinks: Sequence[float] = ()) -> float:
    """1/√E[f(z)²], z ~ N(0, 1), for an f without a closed form that is smooth but at its kinks."""
    if not kinks:
        return 1 / math.sqrt(_integral(lambda z: _phi(z) * f(z) ** 2))
    from scipy.integrate import quad  # only here, as it takes long to load

    return 1 / math.sqrt(quad(lambda z: _phi(z) * f(z) ** 2, -12, 12, points=kinks, epsabs=1e-14)[0])


def maxout_gain(pieces: int) -> float:
    """1/√E[max(z₁, …, z_k)²] for independent zⱼ ~ N(0, 1); the maximum has the density k φ(z) Φ(z)^{k−1}."""
    second_moment = _integral(lambda z: z**2 * pieces * _phi(z) * _normal_cdf(z) ** (pieces - 1))
    return 1 / math.sqrt(second_moment)


_ROWS = (
    Activation(
        name="sigmoid",
        function=torch.sigmoid,
        derivative=_sigmoid_derivative,
        gain=gain_of(lambda z: 1 / (1 + math.exp(-z))),
        formula="1/(1 + e^{−z})",
        limits=(0.0, 1.0),
        lipschitz=0.25,
        curvature=0.1,  # 1/(6√3)
        enclose=bounds.enclose_sigmoid,
        step=bounds.SIGMOID_STEP,
    ),
    Activation(
        name="tanh",
        function=torch.tanh,
        derivative=lambda z: 1 - torch.tanh(z) ** 2,
        gain=gain_of(math.tanh),
        formula="tanh z",
        limits=(-1.0, 1.0),
        lipschitz=1.0,
        curvature=0.8,  # 4/(3√3)
        odd=True,
        enclose=bounds.enclose_tanh,
        step=bounds.TANH_STEP,
    ),
    Activation(
        name="relu",
        function=torch.relu,
        derivative=lambda z: (z > 0).to(z.dtype),
        gain=math.sqrt(2),
        formula="max(0, z)",
        limits=(0.0, math.inf),
        lipschitz=1.0,
        kinks=(0.0,),
        enclose=bounds.enclose_relu,
    ),
    Activation(
        name="leaky_relu",
        function=F.leaky_relu,  # its slope is 0.01 by default
        derivative=lambda z: torch.where(z > 0, torch.ones_like(z), LEAKY_SLOPE),
        gain=math.sqrt(2 / (1 + LEAKY_SLOPE**2)),
        formula="max(0.01z, z)",
        limits=(-math.inf, math.inf),
        lipschitz=1.0,
        kinks=(0.0,),
    ),
    Activation(
        name="elu",
        function=F.elu,
        derivative=lambda z: torch.exp(z.clamp(max=0)),
        # E[(e^z − 1)²; z < 0] + ½, where E[e^{az}; z < 0] = e^{a²/2} Φ(−a)
        gain=1 / math.sqrt(1 + math.exp(2) * _normal_cdf(-2) - 2 * math.exp(0.5) * _normal_cdf(-1)),
        formula="z if z > 0 else e^z − 1",
        limits=(-1.0, math.inf),
        lipschitz=1.0,
        kinks=(0.0,),
    ),
    Activation(
        name="gelu",
        function=F.gelu,
        derivative=_gelu_derivative,
        # E[z² Φ(z)²] = E[Φ²] + 2 E[z Φ φ] = 1/3 + E[φ²], by Stein's identity used twice; E[φ²] = 1/(2π√3)
        gain=1 / math.sqrt(1 / 3 + 1 / (2 * math.pi * math.sqrt(3))),
        formula="z Φ(z)",
        limits=(0.0, math.inf),
        lipschitz=1.13,  # Φ(√2) + √2 φ(√2)
    ),
    Activation(
        name="erf",
        function=torch.erf,
        derivative=lambda z: 2 / math.sqrt(math.pi) * torch.exp(-z.square()),
        gain=1 / math.sqrt(2 / math.pi * math.asin(2 / 3)),  # E[erf(z)²]: Williams 1998, eq. 11
        formula="erf z",
        limits=(-1.0, 1.0),
        lipschitz=1.13,  # 2/√π
        odd=True,
    ),
    Activation(
        name="ripple",
        function=ripple,
        derivative=_ripple_derivative,
        gain=gain_of(lambda z: 1 / (1 + math.exp(-z)) + z * math.exp(-(z**2))),
        formula="σ(z) + z e^{−z²}",
        limits=(0.0, 1.0),
        lipschitz=1.25,
        curvature=2.2,  # at most that of σ plus that of the wave, 1.95
        enclose=bounds.enclose_ripple,
        step=bounds.RIPPLE_STEP,
    ),
    Activation(
        name="step",
        function=step,
        derivative=torch.zeros_like,
        gain=math.sqrt(2),
        formula="1 if z ≥ 0 else 0",
        limits=(0.0, 1.0),
        lipschitz=0.0,
        kinks=(0.0,),
        trained=False,
        enclose=bounds.enclose_step,
    ),
)

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
"""All functions of one number, by name."""
ELEMENTWISE: dict[str, Activation] = {row.name: row for row in _ROWS if row.trained}
"""The functions of one number that a model may have."""
ACTIVATION_NAMES: tuple[str, ...] = (*ELEMENTWISE, "maxout")
STEP_ACTIVATIONS: tuple[str, ...] = tuple(row.name for row in _ROWS if row.step is not None)
"""The activations that constructions make steps of."""


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
        name="maxout",
        function=maxout,
        derivative=maxout.derivative,
        gain=maxout_gain(pieces),
        formula=f"max(z₁, …, z_{pieces})",
        limits=(None, math.inf),
        lipschitz=1.0,
        pieces=pieces,
    )
