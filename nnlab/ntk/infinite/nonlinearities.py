"""Elementwise functions φ of a Gaussian field, and expectations over pairs (u, v) of its values.

With a = E[u²], b = E[v²], c = E[uv], the second and third column of the table in
`nnlab.ntk.infinite.kernel`. Pairs come as their half squared distance D = ½E[(u − v)²] = ½(a + b) − c.
Linear layers without bias act on D as on c, and unlike c it keeps its digits where u and v are nearly equal,
which is where kinks of φ need them: of

    E = √(ab) − c = D − ½(√a − √b)²,        sin²(θ/2) = E/2√(ab),        ab − c² = E (2√(ab) − E),

the angle θ between u and v has an error of about ε/θ, and none where D = 0.

A function works on a tile in place: D becomes E[φ(u)φ(v)], or the half squared distance of φ(u) and φ(v), and
the tangent kernel T of (u, v) becomes E[φ'(u)φ'(v)] T.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import torch
from torch import Tensor
from torch.nn import functional as F

from nnlab.models.activations import ELEMENTWISE, LEAKY_SLOPE
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.dual_tables import DualTable, Interval, Side, expectation


@dataclass(frozen=True)
class Nonlinearity:
    """An elementwise function, smooth except at 0, whose expectations are integrated numerically.

    Functions of the same name are equal.
    """

    name: str
    function: Callable[[Tensor], Tensor] = field(compare=False)
    odd: bool = field(default=False, compare=False)
    given_derivative: Callable[[Tensor], Tensor] | None = field(default=None, compare=False)

    def second(self, variance: Tensor) -> Tensor:
        """E[φ(u)²] for variances of any shape."""
        return expectation(lambda z: self.function(z).square(), variance)

    def mean(self, variance: Tensor) -> Tensor | None:
        """E[φ(u)]; None where it vanishes for all variances."""
        return None if self.odd else expectation(self.function, variance)

    def slope(self, variance: Tensor) -> Tensor:
        """E[φ'(u)]."""
        return expectation(self.derivative, variance)

    def derivative(self, z: Tensor) -> Tensor:
        """φ'(z), at z ≠ 0."""
        if self.given_derivative is not None:
            return self.given_derivative(z)
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            return torch.autograd.grad(self.function(z).sum(), z)[0]

    @property
    def gain(self) -> float:
        """σ_w that keeps the second moment 1: 1/√E[φ(z)²] for z ~ N(0, 1)."""
        if self.name in ELEMENTWISE:
            return ELEMENTWISE[self.name].gain
        return 1 / math.sqrt(float(self.second(torch.ones((), dtype=torch.float64))))


@dataclass(frozen=True)
class _ClosedForm(Nonlinearity):
    """A function whose expectations have closed forms."""

    def second(self, variance: Tensor) -> Tensor:
        side = Side.of(variance, variance)
        value = torch.zeros_like(variance)
        self.pairs(value, None, side, side, as_distance=False)
        return value

    def pairs(
        self, distance: Tensor, tangent: Tensor | None, left: Side, right: Side, *, as_distance: bool
    ) -> None:
        """Works on a tile in place, as `DualTable.pairs` does."""
        value, derivative = self._covariance(distance, left, right)
        if tangent is not None:
            tangent.mul_(derivative)
        if as_distance:
            torch.add(left.second, right.second, out=distance).div_(2).sub_(value).clamp_(min=0)
        else:
            distance.copy_(value)

    def _covariance(self, distance: Tensor, left: Side, right: Side) -> tuple[Tensor, Tensor]:
        """E[φ(u)φ(v)] and E[φ'(u)φ'(v)]; exactly E[φ(u)²] where D = 0."""
        raise NotImplementedError


def _covariance_of(distance: Tensor, left: Side, right: Side) -> Tensor:
    """c = ½(a + b) − D, exactly a where D = 0 and a = b."""
    return torch.add(left.variance, right.variance).div_(2).sub(distance)


def _spread_of(distance: Tensor, left: Side, right: Side) -> Tensor:
    """ab − c², from factors that are not negative."""
    excess = (left.length - right.length).square_().div_(-2).add(distance).clamp_(min=0)  # √(ab) − c
    return (left.length * right.length).mul_(2).sub(excess).clamp_(min=0).mul_(excess)


@dataclass(frozen=True)
class PiecewiseLinear(_ClosedForm):
    """φ(u) = u for u > 0 and kink · u below: ReLU, leaky ReLU, the absolute value."""

    kink: float = 0.0

    def mean(self, variance: Tensor) -> Tensor | None:
        return (1 - self.kink) / math.sqrt(2 * math.pi) * variance.sqrt()

    def slope(self, variance: Tensor) -> Tensor:
        return torch.full_like(variance, (1 + self.kink) / 2)

    def second(self, variance: Tensor) -> Tensor:
        return (1 + self.kink**2) / 2 * variance

    @property
    def gain(self) -> float:
        return math.sqrt(2 / (1 + self.kink**2))

    def pairs(
        self, distance: Tensor, tangent: Tensor | None, left: Side, right: Side, *, as_distance: bool
    ) -> None:
        """Works on a tile in place. With q = sin²(θ/2), m = √(q − q²) = sin(θ)/2, k = (π − θ)/2π the ReLU has

            E[φ'(u)φ'(v)] = k,       ½√(ab) − E[φ(u)φ(v)] = (√(ab)/2π) (θ + 4π q k − 2m),

        and half the squared distance of its values is the latter plus ¼(√a − √b)². As φ(u) is
        s u + (1 − s) relu(u), and the mean of u relu(v) is c/2, both are (1 − s)² times those of the ReLU,
        plus s c or s D.
        """
        s = self.kink
        apart = (left.length - right.length).square_()  # (√a − √b)²
        q = torch.sub(distance, apart, alpha=0.5).mul_(left.inverse / 2).mul_(right.inverse).clamp_(0, 1)
        m = torch.addcmul(q, q, q, value=-1).sqrt_()
        theta = torch.rsub(q, 0.5)
        torch.atan2(m, theta, out=theta)
        k = torch.mul(theta, -1 / (2 * math.pi)).add_(0.5)
        excess = theta.addcmul_(q, k, value=4 * math.pi).sub_(m, alpha=2)
        excess.mul_(left.length * ((1 - s) ** 2 / (2 * math.pi))).mul_(right.length)
        if as_distance:
            excess.add_(apart, alpha=(1 - s) ** 2 / 4)
            torch.add(excess, distance, alpha=s, out=distance)
        else:
            half = torch.mul(left.length * ((1 - s) ** 2 / 2), right.length, out=apart)
            covariance = half.sub_(excess)
            if s:
                covariance.add_(_covariance_of(distance, left, right), alpha=s)
            distance.copy_(covariance)
        if tangent is not None:
            tangent.mul_(k.mul_((1 - s) ** 2).add_(s) if s else k)


@dataclass(frozen=True)
class Erf(_ClosedForm):
    """erf: with Δ² = (1 + 2a)(1 + 2b) − 4c², (2/π) arctan(2c/Δ) and (4/π)/Δ."""

    def slope(self, variance: Tensor) -> Tensor:
        return 2 / math.sqrt(math.pi) / (1 + 2 * variance).sqrt()

    def _covariance(self, distance: Tensor, left: Side, right: Side) -> tuple[Tensor, Tensor]:
        root = _spread_of(distance, left, right).mul_(4)
        root.add_(torch.add(left.variance, right.variance).mul_(2).add_(1)).sqrt_()  # Δ
        value = torch.atan2(_covariance_of(distance, left, right).mul_(2), root).mul_(2 / math.pi)
        return value, root.reciprocal_().mul_(4 / math.pi)


@dataclass(frozen=True)
class Gelu(_ClosedForm):
    """u Φ(u): with P = (1 + a)(1 + b), Δ² = P − c² and N = c² + abΔ²,

        E[φφ] = c/4 + [c arctan(c/Δ) + N/(PΔ)]/2π,
        E[φ'φ'] = 1/4 + [arctan(c/Δ) + c/Δ + 2c(1 − ab)/(PΔ) + Nc/(PΔ³)]/2π,

    the integral over c, twice, of E[φ''φ''] = E[(2 − u²)(2 − v²) e^{−(u² + v²)/2}]/2π.
    """

    def mean(self, variance: Tensor) -> Tensor | None:
        return variance / (2 * math.pi * (1 + variance)).sqrt()

    def slope(self, variance: Tensor) -> Tensor:
        return torch.full_like(variance, 0.5)

    def _covariance(self, distance: Tensor, left: Side, right: Side) -> tuple[Tensor, Tensor]:
        a, b = left.variance, right.variance
        c = _covariance_of(distance, left, right)
        p = (1 + a) * (1 + b)
        square = _spread_of(distance, left, right).add_(torch.add(a, b).add_(1))  # Δ²
        root = square.sqrt()
        n = (a * b).mul(square).add_(c.square()).div_(p)  # N/P
        angle = torch.atan2(c, root)
        value = torch.mul(c, angle).add_(n / root).div_(2 * math.pi).add_(c, alpha=0.25)
        ratio = c / root
        inner = (2 * (1 - a * b) / p).add(1).add_(n.div_(square)).mul_(ratio).add_(angle)
        return value, inner.div_(2 * math.pi).add_(0.25)


@dataclass(frozen=True)
class Sine(_ClosedForm):
    """sin: (e^{−D} − e^{−(a + b)/2 − c})/2, and the sum of both halves for the derivatives."""

    def slope(self, variance: Tensor) -> Tensor:
        return torch.exp(-variance / 2)

    def _covariance(self, distance: Tensor, left: Side, right: Side) -> tuple[Tensor, Tensor]:
        near = torch.exp(-distance)
        far = torch.exp(distance - torch.add(left.variance, right.variance))
        return torch.sub(near, far).div_(2), torch.add(near, far).div_(2)


TABLES = 16
"""The number of tables that are kept for the next call, a few megabytes each."""

RELU = PiecewiseLinear("relu", torch.relu)
ERF = Erf("erf", torch.erf, odd=True)
GELU = Gelu("gelu", F.gelu)
SINE = Sine("sin", torch.sin, odd=True)
COSINE = Nonlinearity("cos", torch.cos)
SILU = Nonlinearity("silu", F.silu)
MISH = Nonlinearity("mish", F.mish)
SELU = Nonlinearity("selu", F.selu)
ABS = PiecewiseLinear("abs", torch.abs, kink=-1.0)


def leaky_relu(slope: float) -> PiecewiseLinear:
    name = "leaky_relu" if slope == LEAKY_SLOPE else f"leaky_relu with slope {slope}"
    return PiecewiseLinear(name, partial(F.leaky_relu, negative_slope=slope), kink=float(slope))


def elu(alpha: float) -> Nonlinearity:
    if alpha == 1:
        return by_name("elu")
    return Nonlinearity(f"elu with alpha {alpha}", partial(F.elu, alpha=alpha))


def gelu(approximate: str) -> Nonlinearity:
    if approximate == "none":
        return GELU
    return Nonlinearity("gelu by tanh", partial(F.gelu, approximate="tanh"))


def softplus(beta: float, threshold: float) -> Nonlinearity:
    name = "softplus" if beta == 1 else f"softplus with beta {beta}"
    # beyond torch's threshold the function and its linear continuation differ by e^{-beta·threshold}
    return Nonlinearity(name, partial(F.softplus, beta=beta, threshold=max(threshold, 40.0)))


def by_name(name: str) -> Nonlinearity:
    """Returns the activation of `nnlab.models` with that name; KeyError for maxout, which is not elementwise.

    Without a closed form its expectations are integrated, which allows for a kink at 0 only.
    """
    closed = {one.name: one for one in (RELU, ERF, GELU, leaky_relu(LEAKY_SLOPE))}
    if name in closed:
        return closed[name]
    row = ELEMENTWISE[name]
    if set(row.kinks) - {0.0}:
        raise KernelError(f"infinite_ntk: {name} has kinks away from 0, and no closed form")
    return Nonlinearity(name, row.function, odd=row.odd, given_derivative=row.derivative)


Dual = _ClosedForm | DualTable


@lru_cache(maxsize=TABLES)
def dual_of(one: Nonlinearity, two: Nonlinearity, lengths: tuple[Interval, Interval]) -> Dual:
    """Returns the expectations of pairs (φ₁(u), φ₂(v)).

    Args:
        lengths: smallest and largest √a, and √b.

    Raises:
        KernelError: the numerical integral is not accurate for lengths like these.
    """
    if one == two and isinstance(one, _ClosedForm):
        return one
    return DualTable((one, two), lengths)
