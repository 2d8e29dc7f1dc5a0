"""E[φ₁(u) φ₂(v)] by quadrature, for functions that are analytic on either side of 0, and tables of it.

Quadrature. In polar coordinates u = √a r cos ψ, v = √b r cos(ψ − θ), with θ the angle of the pair,

    E[φ₁(u) φ₂(v)] = (1/2π) ∫ dψ ∫₀^∞ r e^{−r²/2} φ₁(√a r cos ψ) φ₂(√b r cos(ψ − θ)) dr,

and the kinks of both functions lie on the four rays where a cosine is 0. Between them the integrand is
analytic, and Gauss and Legendre's rule on panels that are graded towards the rays and the origin converges
geometrically, for nearly parallel pairs as for all others. r ends at 9, beyond
which is 10⁻¹⁶ of a second moment.

Tables. As a function of (√a, √b, θ) in [0, ∞)² × [0, π] the expectation is analytic, the corners θ = 0 and
√a = 0 included: what is |θ|³ there is θ³. So its interpolant in Chebyshev's points of all three converges
geometrically too; a table costs some thousand integrals, and each of millions of pairs a sum of some hundred
products. The number of points is doubled until 64 integrals at other places, by a finer rule, agree to
TOLERANCE; if they never do, there is an error and no number. Measured: for tanh, sigmoid, ELU, SELU, SiLU,
softplus, Mish and σ(z) + z e^{−z²} with standard deviations up to 3.2 the largest deviation is 6 · 10⁻¹² of
the largest expectation, mostly 10⁻¹³; up to 10 it is below TOLERANCE.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError

if TYPE_CHECKING:
    from nnlab.ntk.infinite.nonlinearities import Nonlinearity

TOLERANCE = 1e-11
"""Largest error of an expectation that a table may have, in units of the largest one in the table."""

ORDER = 12  # points in a panel
REACH = 9.0  # of r and z in standard deviations
SIZES = ((8, 16), (12, 24), (20, 36), (32, 56), (48, 128))  # points in √a and in θ
CHECKS = 64
ELEMENTS = 2**18  # function values at a time

Function = Callable[[Tensor], Tensor]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """One side of the pairs of a tile, in a shape that broadcasts to the tile's.

    Attributes:
        variance: a.
        length: √a.
        inverse: 1/√a, or 0 where a is 0.
        second: E[φ(u)²].
    """

    variance: Tensor
    length: Tensor
    inverse: Tensor
    second: Tensor

    @staticmethod
    def of(variance: Tensor, second: Tensor) -> "Side":
        """Returns the side with given second moments of u and φ(u)."""
        length = variance.sqrt()
        return Side(variance, length, torch.where(length > 0, 1 / length, 0.0), second)

    def part(self, place: tuple[slice, ...]) -> "Side":
        """The values for a part of the tile, given as slices of its first axes."""
        parts = (
            value[tuple(slice(None) if n == 1 else some for n, some in zip(value.shape, place, strict=False))]
            for value in (self.variance, self.length, self.inverse, self.second)
        )
        return Side(*parts)


def expectation(function: Function, variance: Tensor) -> Tensor:
    """E[φ(z)] for z ~ N(0, a), of variances of any shape, in the same shape."""
    lengths = variance.detach().sqrt()
    nodes, weights = _panels(_graded(REACH, float(lengths.max()) if lengths.numel() else 1.0), ORDER)
    weights = weights * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
    z = torch.from_numpy(np.concatenate([-nodes, nodes])).to(lengths)
    w = torch.from_numpy(np.concatenate([weights, weights])).to(lengths)
    flat = lengths.flatten()
    parts = [function(some[:, None] * z) @ w for some in torch.split(flat, max(1, ELEMENTS // len(z)))]
    return torch.cat(parts).view_as(variance)


class DualTable:
    """E[φ₁(u) φ₂(v)] and E[φ₁'(u) φ₂'(v)] for lengths in two intervals and every angle.

    Attributes:
        values, slopes: (M₁, M₂, Q), coefficients of products of Chebyshev polynomials.
        error: the largest deviation in the checks, in units of the largest expectation that there could be.
    """

    def __init__(
        self,
        functions: "tuple[Nonlinearity, Nonlinearity]",
        lengths: tuple[tuple[float, float], tuple[float, float]],
    ) -> None:
        """
        Args:
            functions: φ₁ and φ₂.
            lengths: smallest and largest √a, and √b.

        Raises:
            KernelError: tables of all sizes err by more than TOLERANCE.
        """
        self.lengths = lengths
        self._odd = functions[0].odd and functions[1].odd
        values = functions[0].function, functions[1].function
        slopes = functions[0].derivative, functions[1].derivative
        for points, angles in SIZES:
            self.values = self._table(values, points, angles)
            self.error = self._error(values, self.values)
            if self.error > TOLERANCE:
                continue
            self.slopes = self._table(slopes, points, angles)
            self.error = max(self.error, self._error(slopes, self.slopes))
            if self.error <= TOLERANCE:
                return
        one, two = functions
        raise KernelError(
            f"infinite_ntk: the expectations of {one.name} and {two.name} over Gaussian variables with "
            f"standard deviations from {min(low for low, _ in lengths):.3g} to "
            f"{max(high for _, high in lengths):.3g} are not accurate: relative errors of {self.error:.1g}; "
            "scale the inputs or sigma_w down"
        )

    def pairs(
        self, distance: Tensor, tangent: Tensor | None, left: Side, right: Side, *, as_distance: bool
    ) -> None:
        """Works on a tile in place, (r, s, p, p') or (r, s, p, 1) of equal positions.

        Args:
            distance: D = ½E[(u − v)²]; becomes E[φ₁(u)φ₂(v)], or with `as_distance` ½E[(φ₁(u) − φ₂(v))²].
            tangent: T; becomes E[φ₁'(u)φ₂'(v)] T.
        """
        a, b = left.length, right.length
        q = (a - b).square_().div_(-2).add_(distance).mul_(left.inverse / 2).mul_(right.inverse)
        x = q.clamp_(0, 1).sqrt_().asin_().mul_(4 / math.pi).sub_(1)  # 2θ/π − 1
        bases = self._bases(a, b)
        if tangent is not None:
            tangent.mul_(_evaluated(self.slopes, bases, x))
        value = _evaluated(self.values, bases, x)
        if as_distance:
            second1, second2 = left.second, right.second
            equal = distance == 0
            torch.add(second1, second2, out=distance).div_(2).sub_(value).clamp_(min=0).masked_fill_(equal, 0)
        else:
            distance.copy_(value)

    def _bases(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """The Chebyshev polynomials at the lengths √a and √b."""
        return [
            _polynomials(_scaled(length, interval), n)
            for length, interval, n in zip((a, b), self.lengths, self.values.shape, strict=False)
        ]

    def _table(self, functions: Sequence[Function], points: int, angles: int) -> Tensor:
        grids = [  # one point for an interval that is a single number
            _unscaled(_chebyshev_points(points if high - low > 1e-13 * high else 1), (low, high))
            for low, high in self.lengths
        ]
        thetas = (_chebyshev_points(angles) + 1) * (math.pi / 2)
        values = np.stack(
            [_integrals(functions, grids[0], grids[1], float(theta), ORDER, self._odd) for theta in thetas],
            axis=2,
        )
        for axis, n in enumerate(values.shape):
            values = np.moveaxis(np.tensordot(_transform(n), values, axes=(1, axis)), 0, axis)
        return torch.from_numpy(np.ascontiguousarray(values))

    def _error(self, functions: Sequence[Function], table: Tensor) -> float:
        """Against integrals by a finer rule, at random places, in units of the largest."""
        random = np.random.default_rng(0)
        largest, deviation = 1e-300, 0.0
        for k in range(CHECKS // 4):
            theta = math.pi * (random.random() ** 3 if k % 2 else random.random())
            sides = [np.sort(_unscaled(random.uniform(-1, 1, 2), interval)) for interval in self.lengths]
            truth = _integrals(functions, sides[0], sides[1], theta, ORDER + 4, self._odd)
            a, b = (torch.from_numpy(side) for side in sides)
            bases = self._bases(a.view(2, 1, 1, 1), b.view(1, 2, 1, 1))
            x = torch.full((2, 2, 1, 1), 2 * theta / math.pi - 1, dtype=torch.float64)
            values = _evaluated(table, bases, x)[:, :, 0, 0].numpy()
            largest = max(largest, float(np.abs(truth).max()))
            deviation = max(deviation, float(np.abs(values - truth).max()))
        if not math.isfinite(deviation):
            return math.inf
        if deviation > TOLERANCE * largest:  # of an even and an odd function every expectation is 0
            largest = max(largest, self._size(functions))
        return deviation / largest

    def _size(self, functions: Sequence[Function]) -> float:
        """The largest √(E[φ₁(u)²] E[φ₂(v)²]), which no expectation of the two exceeds."""
        ends = np.array([high for _, high in self.lengths])
        moments = [
            float(_integrals((f, f), ends[i : i + 1], ends[i : i + 1], 0.0, ORDER).max())
            for i, f in enumerate(functions)
        ]
        return math.sqrt(moments[0] * moments[1])


# --- quadrature -------------------------------------------------------------------------------------


def _integrals(
    functions: Sequence[Function],
    lengths1: np.ndarray,
    lengths2: np.ndarray,
    theta: float,
    order: int,
    odd: bool = False,
) -> np.ndarray:
    """(M₁, M₂) expectations of all pairs of lengths at one angle.

    If both functions are odd, or both derivatives of such, the two halves of the plane contribute equally.
    """
    steepest = max(float(lengths1.max()), float(lengths2.max()))
    r, r_weights = _panels(_graded(REACH, steepest), order)
    r_weights = r_weights * r * np.exp(-(r**2) / 2) / (2 * math.pi)
    part, part_weights = _panels(_graded_ends(steepest), order)
    total = np.zeros((len(lengths1), len(lengths2)))
    # sectors between the rays where u or v is 0, by their first ray and width
    half = [(-math.pi / 2, theta), (theta - math.pi / 2, math.pi - theta)]
    for start, width in half if odd else [*half, *((ray + math.pi, width) for ray, width in half)]:
        if width == 0:
            continue
        psi = start + width * part
        weights = np.outer(part_weights * width, r_weights).ravel()
        u = np.outer(np.cos(psi), r).ravel()
        v = np.outer(np.cos(psi - theta), r).ravel()
        step = max(1, ELEMENTS // max(len(lengths1), len(lengths2)))
        for first in range(0, len(u), step):
            some = slice(first, first + step)
            left = functions[0](torch.from_numpy(np.outer(lengths1, u[some]))).numpy()
            right = functions[1](torch.from_numpy(np.outer(lengths2, v[some]))).numpy()
            total += (left * weights[some]) @ right.T
    return 2 * total if odd else total


def _panels(edges: Sequence[float], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre's rule on consecutive panels."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    low, high = np.array(edges[:-1])[:, None], np.array(edges[1:])[:, None]
    half = (high - low) / 2
    return (low + half * (nodes + 1)).ravel(), (half * weights).ravel()


def _graded(reach: float, steepest: float) -> list[float]:
    """0 … reach in panels that double from the scale on which a function of length `steepest` bends."""
    edges = [0.0, min(0.5, 0.5 / max(steepest, 1e-9))]
    while edges[-1] < reach:
        edges.append(min(reach, edges[-1] + min(edges[-1], 2.0)))
    return edges


def _graded_ends(steepest: float) -> list[float]:
    """0 … 1 in panels that grow by 4 from both ends: near a ray u = √a r cos ψ changes sign."""
    edges = [0.0, min(0.125, 0.04 / max(steepest, 1e-9))]
    while edges[-1] < 0.5:
        edges.append(min(0.5, 4 * edges[-1]))
    return edges + [1 - edge for edge in reversed(edges[:-1])]


# --- Chebyshev --------------------------------------------------------------------------------------


def _chebyshev_points(n: int) -> np.ndarray:
    return np.cos(math.pi * (np.arange(n) + 0.5) / n)


def _transform(n: int) -> np.ndarray:
    """(n, n): from values in Chebyshev's points to coefficients."""
    k, j = np.arange(n)[:, None], np.arange(n)[None]
    matrix: np.ndarray = 2 / n * np.cos(math.pi * k * (j + 0.5) / n)
    matrix[0] /= 2
    return matrix


def _unscaled(x: np.ndarray, interval: Interval) -> np.ndarray:
    low, high = (math.log1p(end) for end in interval)
    return np.clip(np.expm1(low + (high - low) / 2 * (x + 1)), *interval)


def _scaled(lengths: Tensor, interval: Interval) -> Tensor:
    """Lengths as numbers in [−1, 1], by their logarithms, as functions of long ones vary slowly."""
    low, high = (math.log1p(end) for end in interval)
    return ((lengths.log1p() - low) * (2 / (high - low) if high > low else 0.0) - 1).clamp_(-1, 1)


def _polynomials(x: Tensor, n: int) -> Tensor:
    """T_0(x), …, T_{n−1}(x), on a new last axis."""
    return torch.cos(torch.arange(n, dtype=x.dtype, device=x.device) * x.acos()[..., None])


def _evaluated(table: Tensor, bases: Sequence[Tensor], x: Tensor) -> Tensor:
    """The sum of the table over products of polynomials, for a tile: Clenshaw's rule in the angle.

    Args:
        table: (M₁, M₂, Q).
        bases: (r, 1, p, 1, M₁), and (1, s, 1, p', M₂) or (1, s, p, 1, M₂).
        x: (r, s, p, p') or (r, s, p, 1).
    """
    table = table.to(x.device)
    left = torch.einsum("rpm,mnq->qrpn", bases[0][:, 0, :, 0], table)
    if bases[1].shape[2] > 1:  # equal positions
        coefficients = torch.einsum("qrpn,spn->qrsp", left, bases[1][0, :, :, 0]).unsqueeze(-1)
    else:
        coefficients = torch.einsum("qrpn,stn->qrspt", left, bases[1][0, :, 0])
    doubled = 2 * x
    one, two = torch.zeros_like(x), torch.zeros_like(x)
    for k in range(len(coefficients) - 1, 0, -1):
        one, two = torch.addcmul(coefficients[k], doubled, one).sub_(two), one
    return torch.addcmul(coefficients[0], x, one).sub_(two)
