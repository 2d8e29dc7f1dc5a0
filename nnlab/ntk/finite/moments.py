"""Gaussian expectations of an activation at one input or a pair of inputs, and their derivatives.

The pre-activations z of a unit at two inputs are normal with mean 0 and the covariance S; at one input, with
the variance S. What the recursions of `nnlab.ntk.finite.recursion` need of φ are expectations of products of
φ(z), φ'(z), and how two of them change with S. For the ReLU all are closed forms in

    a = S₁₁, b = S₂₂, c = S₁₂, Δ = ab − c², θ = arccos(c/√(ab)),

from Cho & Saul 2009, "Kernel methods for deep learning", and Stein's E[z₁F] = a E[∂₁F] + c E[∂₂F]. For smooth
φ they are integrals by the trapezoidal rule, whose error falls exponentially in 1/step, as φ is analytic in a
strip; derivatives in S are expectations of derivatives: ∂/∂c is E[∂₁∂₂ …], ∂/∂a is ½E[∂₁² …].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

LARGEST_VARIANCE = 50.0
"""Of the pre-activations, up to which the integrals for smooth activations are made."""

REACH = 8.6  # standard deviations: beyond lie 10⁻¹⁶ of the weight
STEP = 0.24  # of the rule, in standard deviations where the variance is at most 1
NODES = 2**21  # of all pairs that are worked on at a time
SMALLEST = 1e-60  # Δ/ab of inputs that are multiples of each other, at which no derivative is used


@dataclass(frozen=True)
class Moments:
    """Expectations ⟨·⟩ at N pairs of inputs (1, 2), or at N single inputs 1 = 2.

    The p second moments of z are S₁₂, S₁₁, S₂₂ in this order, of a single input S₁₁ alone; q is 2, or 1.

    Attributes:
        second: ⟨φφ⟩ for each of the p, (N, p).
        second_jacobian: ∂⟨φφ⟩/∂S, (N, p, p).
        second_hessian: ∂²⟨φφ⟩/∂S∂S, (N, p, p, p).
        slope: ⟨φ'₁φ'₂⟩, (N,).
        slope_jacobian: its ∂/∂S, (N, p).
        slope_hessian: its ∂²/∂S∂S, (N, p, p).
        slopes: ⟨φ'₁φ'₁⟩⟨φ'₂φ'₂⟩, (N,).
        fourth: ⟨φφφφ⟩, (N, p, p).
        mixed: ⟨φ'₁φ'₂φφ⟩, (N, p).
        steep: ⟨φ'₁²φ'₂²⟩, (N,).
        left: ⟨∂_ν(φ'₁φ_μ)⟩, (N, q, q).
        right: ⟨∂_ν(φ'₂φ_μ)⟩, (N, q, q).
    """

    second: Tensor
    second_jacobian: Tensor
    second_hessian: Tensor
    slope: Tensor
    slope_jacobian: Tensor
    slope_hessian: Tensor
    slopes: Tensor
    fourth: Tensor
    mixed: Tensor
    steep: Tensor
    left: Tensor
    right: Tensor


Expectations = Callable[[Tensor], Moments]
"""The moments at S, (N, 3) with the columns S₁₂, S₁₁, S₂₂, or (N, 1)."""


def _stack(rows: Sequence[Any]) -> Tensor:
    """(N, …) from nested lists of (N,)."""
    return torch.stack([_stack(row) if isinstance(row, list) else row for row in rows], dim=1)


# --- ReLU -------------------------------------------------------------------------------------------


def relu_moments(covariance: Tensor) -> Moments:
    """Returns the moments of φ(z) = max(z, 0)."""
    return _relu_alone(covariance[:, 0]) if covariance.shape[1] == 1 else _relu_pair(*covariance.T)


def _relu_alone(a: Tensor) -> Moments:
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    half = one / 2
    return Moments(
        second=_stack([a / 2]),
        second_jacobian=_stack([[half]]),
        second_hessian=_stack([[[zero]]]),
        slope=half,
        slope_jacobian=_stack([zero]),
        slope_hessian=_stack([[zero]]),
        slopes=half**2,
        fourth=_stack([[3 * a**2 / 2]]),
        mixed=_stack([a / 2]),
        steep=half,
        left=_stack([[half]]),
        right=_stack([[half]]),
    )


def _relu_pair(c: Tensor, a: Tensor, b: Tensor) -> Moments:
    zero, half = torch.zeros_like(c), torch.full_like(c, 0.5)
    square = torch.maximum(a * b - c**2, SMALLEST * a * b)  # Δ
    root = square.sqrt()
    theta = torch.atan2(root, c)
    both = (math.pi - theta) / (2 * math.pi)  # P(z₁, z₂ > 0) = ⟨φ'₁φ'₂⟩
    product = root / (2 * math.pi) + c * both  # ⟨φ₁φ₂⟩
    edge1, edge2 = root / (2 * math.pi * a), root / (2 * math.pi * b)  # ⟨δ(z₁)φ₂⟩, ⟨φ₁δ(z₂)⟩
    square1, square2 = a * both + c * edge2, b * both + c * edge1  # ⟨φ₁²φ'₂⟩, ⟨φ'₁φ₂²⟩
    inverse = 1 / (2 * math.pi * root)
    cubed = inverse / square
    hessian = _stack([
        [inverse, -c * inverse / (2 * a), -c * inverse / (2 * b)],
        [-c * inverse / (2 * a), (2 * c**2 - a * b) * inverse / (4 * a**2), inverse / 4],
        [-c * inverse / (2 * b), inverse / 4, (2 * c**2 - a * b) * inverse / (4 * b**2)],
    ])  # fmt: skip
    cube1, cube2 = 2 * a * product + c * square1, 2 * b * product + c * square2  # ⟨φ₁³φ₂⟩, ⟨φ₁φ₂³⟩
    squares = (a * b + 2 * c**2) * both + 3 * c * root / (2 * math.pi)  # ⟨φ₁²φ₂²⟩
    return Moments(
        second=_stack([product, a / 2, b / 2]),
        second_jacobian=_stack([[both, edge1 / 2, edge2 / 2], [zero, half, zero], [zero, zero, half]]),
        second_hessian=torch.stack([hessian, torch.zeros_like(hessian), torch.zeros_like(hessian)], dim=1),
        slope=both,
        slope_jacobian=_stack([inverse, -c * inverse / (2 * a), -c * inverse / (2 * b)]),
        slope_hessian=_stack([
            [c * cubed, -b * cubed / 2, -a * cubed / 2],
            [-b * cubed / 2, c * inverse / (2 * a**2) + b * c * cubed / (4 * a), c * cubed / 4],
            [-a * cubed / 2, c * cubed / 4, c * inverse / (2 * b**2) + a * c * cubed / (4 * b)],
        ]),
        slopes=half**2,
        fourth=_stack([
            [squares, cube1, cube2], [cube1, 3 * a**2 / 2, squares], [cube2, squares, 3 * b**2 / 2],
        ]),
        mixed=_stack([product, square1, square2]),
        steep=both,
        left=_stack([[half, zero], [edge1, both]]),
        right=_stack([[both, edge2], [zero, half]]),
    )  # fmt: skip


# --- smooth activations -----------------------------------------------------------------------------


def erf_derivatives(z: Tensor) -> list[Tensor]:
    """Returns erf and its first five derivatives at z: (−1)ᵏ Hₖ(z) 2/√π e^{−z²}, Hₖ by its recursion."""
    bell = 2 / math.sqrt(math.pi) * torch.exp(-(z**2))
    values, before, now = [torch.erf(z), bell], torch.zeros_like(z), torch.ones_like(z)
    for k in range(4):
        before, now = now, 2 * z * now - 2 * k * before
        values.append((-1) ** (k + 1) * now * bell)
    return values


def tanh_derivatives(z: Tensor) -> list[Tensor]:
    """Returns tanh and its first five derivatives at z, polynomials in t = tanh z as t' = 1 − t²."""
    t = torch.tanh(z)
    s = 1 - t**2
    return [
        t, s, -2 * t * s, s * (6 * t**2 - 2), s * t * (16 - 24 * t**2), s * (16 - 120 * t**2 + 120 * t**4),
    ]  # fmt: skip


@dataclass(frozen=True)
class Smooth:
    """The moments of a smooth φ by integration.

    Attributes:
        derivatives: φ, φ', …, φ⁽⁵⁾ at z.
    """

    derivatives: Callable[[Tensor], list[Tensor]]

    def __call__(self, covariance: Tensor) -> Moments:
        """Returns the moments."""
        if covariance.shape[1] == 1:
            covariance = covariance.expand(-1, 3)  # a pair of equal inputs
            whole = self(covariance)
            return _alone(whole)
        largest = float(covariance[:, 1:].max())
        step = STEP / math.sqrt(max(1.0, largest))
        u = torch.arange(-math.ceil(REACH / step), math.ceil(REACH / step) + 1).to(covariance) * step
        many = max(1, NODES // len(u) ** 2)
        return _joined([self._pairs(part, u) for part in torch.split(covariance, many)])

    def _pairs(self, covariance: Tensor, u: Tensor) -> Moments:
        c, a, b = (column[:, None, None] for column in covariance.T)
        weight = torch.exp(-(u**2) / 2)
        weight /= weight.sum()
        one = a.sqrt() * u[:, None]  # z₁, (N, U, 1)
        rest = (b - c**2 / a).clamp(min=0).sqrt()
        two = c / a.sqrt() * u[:, None] + rest * u  # z₂, (N, U, U)
        first = torch.stack(_functions(self.derivatives(one)), dim=1)[..., 0]  # (N, F, U)
        second = torch.stack(_functions(self.derivatives(two)), dim=1)  # (N, F, U, U)
        inner = second @ weight  # (N, F, U), integrated over the second coordinate
        table = (first * weight) @ inner.transpose(1, 2)  # (N, F, F): ⟨f(z₁) g(z₂)⟩
        return _from_table(table)


ONE, PHI, D1, D2, D3, D4, D5, SQUARE, STEEP, TURN, CUBE, FOURTH, RISE, BEND, LIFT = range(15)
"""Rows of the table, functions of z: 1, φ to φ⁽⁵⁾, φ², φ'², φφ', φ³, φ⁴, φ'φ², (φ²)''/2, (φ²)''''/4."""


def _functions(d: list[Tensor]) -> list[Tensor]:
    """The rows of the table from φ, φ', …, φ⁽⁵⁾."""
    return [
        torch.ones_like(d[0]), *d, d[0] ** 2, d[1] ** 2, d[0] * d[1], d[0] ** 3, d[0] ** 4, d[1] * d[0] ** 2,
        d[0] * d[2] + d[1] ** 2, (d[0] * d[4] + 4 * d[1] * d[3] + 3 * d[2] ** 2) / 2,
    ]  # fmt: skip


def _from_table(table: Tensor) -> Moments:
    """The moments of pairs from ⟨f(z₁) g(z₂)⟩, (N, F, F)."""

    def mean(f: int, g: int) -> Tensor:
        return table[:, f, g]

    zero = torch.zeros_like(mean(ONE, ONE))
    squares, slope = mean(SQUARE, SQUARE), mean(D1, D1)
    bend1, bend2 = mean(BEND, ONE), mean(ONE, BEND)
    edge1, edge2 = mean(D2, PHI), mean(PHI, D2)
    lift = [
        [[zero, zero, zero], [zero, mean(LIFT, ONE), zero], [zero, zero, zero]],
        [[zero, zero, zero], [zero, zero, zero], [zero, zero, mean(ONE, LIFT)]],
    ]
    return Moments(
        second=_stack([mean(PHI, PHI), mean(SQUARE, ONE), mean(ONE, SQUARE)]),
        second_jacobian=_stack([[slope, edge1 / 2, edge2 / 2], [zero, bend1, zero], [zero, zero, bend2]]),
        second_hessian=_stack([_bends(mean, 0), *lift]),
        slope=slope,
        slope_jacobian=_stack([mean(D2, D2), mean(D3, D1) / 2, mean(D1, D3) / 2]),
        slope_hessian=_stack(_bends(mean, 1)),
        slopes=mean(STEEP, ONE) * mean(ONE, STEEP),
        fourth=_stack([
            [squares, mean(CUBE, PHI), mean(PHI, CUBE)],
            [mean(CUBE, PHI), mean(FOURTH, ONE), squares],
            [mean(PHI, CUBE), squares, mean(ONE, FOURTH)],
        ]),
        mixed=_stack([mean(TURN, TURN), mean(RISE, D1), mean(D1, RISE)]),
        steep=mean(STEEP, STEEP),
        left=_stack([[bend1, zero], [edge1, slope]]),
        right=_stack([[slope, edge2], [zero, bend2]]),
    )  # fmt: skip


def _bends(mean: Callable[[int, int], Tensor], k: int) -> list[list[Tensor]]:
    """∂²⟨φ⁽ᵏ⁾₁φ⁽ᵏ⁾₂⟩/∂S∂S, as rows."""
    f0, f1, f2, f3, f4 = range(PHI + k, PHI + k + 5)
    cross1, cross2, both = mean(f3, f1) / 2, mean(f1, f3) / 2, mean(f2, f2)
    return [
        [both, cross1, cross2],
        [cross1, mean(f4, f0) / 4, both / 4],
        [cross2, both / 4, mean(f0, f4) / 4],
    ]


def _alone(pair: Moments) -> Moments:
    """The moments of single inputs from those of pairs of equal ones, whose S₁₂, S₁₁, S₂₂ move together."""
    return Moments(
        second=pair.second[:, :1],
        second_jacobian=pair.second_jacobian[:, :1].sum(2, keepdim=True),
        second_hessian=pair.second_hessian[:, :1].sum((2, 3), keepdim=True),
        slope=pair.slope,
        slope_jacobian=pair.slope_jacobian.sum(1, keepdim=True),
        slope_hessian=pair.slope_hessian.sum((1, 2), keepdim=True),
        slopes=pair.slopes,
        fourth=pair.fourth[:, :1, :1],
        mixed=pair.mixed[:, :1],
        steep=pair.steep,
        left=pair.left[:, :1, :1],
        right=pair.right[:, 1:, 1:],
    )


def _joined(parts: Sequence[Moments]) -> Moments:
    """The moments of all pairs from those of some at a time."""
    names = [field.name for field in fields(Moments)]
    return Moments(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


EXPECTATIONS: dict[str, Expectations] = {
    "relu": relu_moments,
    "erf": Smooth(erf_derivatives),
    "tanh": Smooth(tanh_derivatives),
}
"""The moments by the name of the activation."""
