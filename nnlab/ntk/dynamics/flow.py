"""Gradient flow and gradient descent with a constant kernel.

A linear model with features φ, or a network whose tangent kernel H stays what it was, has on the squared
error the residuals u = f − y with

    u̇ = −H u             in gradient flow,      u(t) = e^{−Ht} u₀
    u ← (I − ηH) u        in gradient descent,   u_k = (I − ηH)ᵏ u₀

and at new points, with the kernel H_x between those and the training points (Lee et al. 2019, "Wide neural
networks of any depth evolve as linear models under gradient descent", section 2.2),

    f_x(t) = f_x(0) − H_x H⁻¹ (I − e^{−Ht}) u₀.

All of it is computed mode by mode in the eigenbasis H = U D Uᵀ, in float64. Where λ = 0, which H⁻¹ does not
survive, (1 − e^{−λt})/λ is t and (1 − (1 − ηλ)ᵏ)/λ is ηk: the same formula then holds for singular kernels.

Reductions. `sum` is ½Σ‖y − f‖², as above. `mean` is (1/2N)Σ‖y − f‖² over N examples: the same with H/N for H.

Shapes. H is (N, N), or (N, N, C, C), which is read as (NC, NC); residuals are (NC,), the example index
outermost: `(f - y).reshape(-1)` of scores (N, C). They may be (N, C) as well. With a kernel (N, N) of one
output, as infinitely wide networks have, that stands for H ⊗ I_C, whose outputs all move alike and by
themselves; the product is never formed. Results have the shape of the arguments.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nnlab.ntk.dynamics.modes import (
    Form,
    Modes,
    Numbers,
    Reduction,
    as_modes,
    divisor,
    examples_of,
    new_points,
    numbers,
    refuse_indefinite,
)
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.spectral.tiles import Kernel

# exp(700) is near the largest float64; what grows beyond it is carried as a multiple of its largest part
LARGEST_EXPONENT = 700.0


def gradient_flow(
    H: Kernel | Modes,
    u0: Tensor,
    t: Numbers,
    *,
    reduction: Reduction = "sum",
    n: int | None = None,
    H_xt: Kernel | None = None,
    f0_x: Tensor | None = None,
) -> Tensor:
    """Computes residuals u(t) = U e^{−Dt} Uᵀ u₀, or with `H_xt` and `f0_x` the function at new points.

    Args:
        H: the kernel of the training points, or its `decompose`.
        u0: (nC,) or (n, C), u₀ = f(0) − y.
        t: a time, or (K,) times; in units of 1/eigenvalue (`mean`: of n/eigenvalue). Negative ones go back,
            and what then leaves the range of float64 is ±∞.
        reduction: of the loss.
        n: number of training examples; needed for `mean` with a kernel that is a matrix and a flat u₀.
        H_xt: (n_x, n) or (n_x, n, C, C), the kernel between new points and training points.
        f0_x: (n_xC,), or (n_x, C) as u₀ is, the function at the new points at time 0.

    Returns:
        u(t) (nC,), or f_x(t) (n_xC,), or (n, C) and (n_x, C) as u₀ is; (K, …) for K times. Float64.

    Raises:
        KernelError: shapes that do not fit, `n` is missing, or a kernel with negative eigenvalues that
            rounding does not explain.
        NonFiniteError: NaN or infinity in H, u₀, t, H_xt or f0_x.
    """
    modes, scale = _begin("gradient_flow", H, u0, reduction, n)
    times = numbers("t", t).to(modes.vectors.device)
    rates = modes.eigenvalues / scale
    exponents = -times.reshape(-1, 1) * rates  # (K, nC)
    evolution = _Evolution(
        exponents, torch.ones_like(exponents), rates, times.reshape(-1, 1).expand_as(exponents)
    )
    return _evolve(modes, u0, evolution, times, (H_xt, f0_x), scale)


def gradient_descent(
    H: Kernel | Modes,
    u0: Tensor,
    lr: float,
    steps: int | Sequence[int] | Tensor,
    *,
    reduction: Reduction = "sum",
    n: int | None = None,
    H_xt: Kernel | None = None,
    f0_x: Tensor | None = None,
) -> Tensor:
    """Computes residuals u_k = (I − ηH)ᵏ u₀, or with `H_xt` and `f0_x` the function at new points.

    Any η is allowed: modes with ηλ > 1 alternate, those with ηλ > 2 grow, and where they leave the range of
    float64 the residuals are ±∞.

    Args:
        H, u0, reduction, n, H_xt, f0_x: as for `gradient_flow`.
        lr: η.
        steps: a number of steps k ≥ 0, or (K,) of them.

    Returns:
        u_k (nC,), or f_x (n_xC,) after k steps, or (n, C) and (n_x, C) as u₀ is; (K, …) for K numbers of
        steps. Float64.

    Raises:
        KernelError: shapes that do not fit, steps below 0 or no integers, `n` is missing, or a kernel with
            negative eigenvalues that rounding does not explain.
        NonFiniteError: NaN or infinity in H, u₀, η, H_xt or f0_x.
    """
    modes, scale = _begin("gradient_descent", H, u0, reduction, n)
    if not math.isfinite(lr):
        raise NonFiniteError(f"gradient_descent: lr {lr} is no finite number")
    counts = numbers("steps", steps).to(modes.vectors.device)
    if bool((counts < 0).any()) or bool((counts != counts.round()).any()):
        raise KernelError(f"gradient_descent: steps {steps}: they are integers from 0 on")
    rates = modes.eigenvalues / scale
    k = counts.reshape(-1, 1)
    factor = 1 - lr * rates  # of one step
    log_size = torch.where(factor > 0, torch.log1p((-lr * rates).clamp(min=-1)), factor.abs().log())
    exponents = torch.where(k == 0, 0.0, k * log_size)  # 0 · −∞ would be none
    signs = torch.where((factor < 0) & (k % 2 == 1), -1.0, 1.0).to(exponents.dtype)
    evolution = _Evolution(exponents, signs, rates, (lr * k).expand_as(exponents))
    return _evolve(modes, u0, evolution, counts, (H_xt, f0_x), scale)


def _begin(
    caller: str, H: Kernel | Modes, u0: Tensor, reduction: Reduction, n: int | None
) -> tuple[Modes, float]:
    """The modes, and the divisor of the kernel; n may follow from the kernel or the residuals."""
    modes = as_modes(H)
    refuse_indefinite(caller, modes)
    examples = examples_of(modes, n)
    return modes, divisor(reduction, len(u0) if examples is None and u0.ndim == 2 else examples)


class _Evolution(NamedTuple):
    """The factor of each mode, sign · e^exponent, all (K, nC) but the rates (nC,)."""

    exponents: Tensor  # of the factors' sizes
    signs: Tensor  # of the factors
    rates: Tensor  # ρ, the eigenvalues in the reduction of the loss
    at_rest: Tensor  # the limit of (1 − factor)/ρ at ρ = 0


def _evolve(
    modes: Modes,
    u0: Tensor,
    evolution: _Evolution,
    moments: Tensor,
    new: tuple[Kernel | None, Tensor | None],
    scale: float,
) -> Tensor:
    """The residuals (K, nC), or values at new points (K, n_xC); (K, n, C) and (K, n_x, C) if u₀ is (n, C).

    The first axis is missing where there is one moment alone.
    """
    H_xt, f0_x = new
    form = Form.of("u0", u0, len(modes.vectors), modes.examples)
    columns = form.columns(form.take("u0", u0, len(modes.vectors), modes.vectors.device))
    if (cross := new_points(H_xt, f0_x, modes.vectors)) is None or f0_x is None:
        reach, starts = modes.vectors.T, columns
    else:
        reach = (cross @ modes.vectors).T  # how far each mode reaches to the new points
        starts = form.columns(form.take("f0_x", f0_x, len(cross), cross.device))
    values = []
    for start, column in zip(starts, columns, strict=True):
        coefficients = modes.vectors.T @ column  # Uᵀ u₀
        factors, shift = _factors(evolution, coefficients)
        if cross is None:
            values.append(_scaled((factors * coefficients) @ reach, shift))
        else:
            learned = _learned(evolution, factors, shift) * coefficients  # (K, nC), ∫ of each mode's residual
            values.append(start - _scaled(learned @ reach, shift) / scale)
    evolved = form.restore(form.stack(values))
    return evolved.reshape(*moments.shape, *evolved.shape[1:])


def _factors(evolution: _Evolution, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """(K, nC) factors in units of e^shift, and the shifts (K, 1): 0 unless float64 would overflow."""
    exponents = torch.where(coefficients == 0, -math.inf, evolution.exponents)
    shift = (exponents.max(dim=1, keepdim=True).values - LARGEST_EXPONENT).clamp(min=0)
    return evolution.signs * torch.exp(exponents - shift), shift


def _learned(evolution: _Evolution, factors: Tensor, shift: Tensor) -> Tensor:
    """(1 − factor)/ρ, without cancellation for small ρ; in units of e^shift."""
    rates = torch.where(evolution.rates == 0, 1.0, evolution.rates)
    decaying = (evolution.signs > 0) & (shift == 0)
    missing = torch.where(
        decaying, -torch.expm1(evolution.exponents.clamp(max=LARGEST_EXPONENT)), torch.exp(-shift) - factors
    )
    return torch.where(evolution.rates == 0, evolution.at_rest * torch.exp(-shift), missing / rates)


def _scaled(values: Tensor, shift: Tensor) -> Tensor:
    """values · e^shift, with 0 · ∞ = 0."""
    return torch.where(values == 0, 0.0, values * torch.exp(shift))


# --- numbers of the modes ---------------------------------------------------------------------------


def max_step(eigenvalues: Numbers, reduction: Reduction = "sum", n: int | None = None) -> float:
    """Returns η_max = 2/λmax (`mean`: 2N/λmax), below which |1 − ηλ| < 1 for every λ > 0; ∞ if none is.

    Source: Nesterov, "Introductory lectures on convex optimization" (2004), section 2.1.5, for a quadratic.

    Args:
        eigenvalues: of H, in any order; the largest suffices.
        reduction: of the loss.
        n: number of training examples, for `mean`.
    """
    largest = float(numbers("eigenvalues", eigenvalues).max())
    return 2 * divisor(reduction, n) / largest if largest > 0 else math.inf


def half_lives(eigenvalues: Numbers, reduction: Reduction = "sum", n: int | None = None) -> Tensor:
    """Returns ln 2/λ (`mean`: N ln 2/λ): times in which gradient flow halves each mode; ∞ where λ ≤ 0.

    In gradient descent with ηλ ≪ 1 it is that many steps times η.

    Returns:
        Float64, in the shape of `eigenvalues`.
    """
    values = numbers("eigenvalues", eigenvalues)
    return torch.where(
        values > 0, divisor(reduction, n) * math.log(2) / torch.where(values > 0, values, 1.0), math.inf
    )


class FlowGap(NamedTuple):
    """The largest distance of gradient descent from gradient flow in one mode, relative to its start.

    Attributes:
        exact: sup over k of |(1 − ηλ)ᵏ − e^{−ληk}|.
        first_order: ηλ/(2e), its limit for small ηλ.
    """

    exact: float
    first_order: float


def flow_gap(lr: float, eigenvalue: float) -> FlowGap:
    """Computes the largest distance between (1 − ηλ)ᵏ and e^{−ληk} over the steps k = 0, 1, …

    With x = ηλ < 1 and y = −ln(1 − x) > x it is e^{−xk} − e^{−yk}, which over real k has one maximum, at
    k* = ln(y/x)/(y − x) ≈ 1/x; there (1 − x)ᵏ ≈ e^{−xk}(1 − kx²/2), whence x/(2e). For 1 ≤ x ≤ 2 the first
    step is the worst: x − 1 + e^{−x}. Beyond 2 gradient descent diverges, and below 0 both grow apart: ∞.

    Args:
        lr: η (`mean`: divided by N).
        eigenvalue: λ.

    Raises:
        NonFiniteError: a number that is not finite.
    """
    x = lr * eigenvalue
    if not math.isfinite(x):
        raise NonFiniteError(f"flow_gap: lr {lr} times eigenvalue {eigenvalue} is no finite number")
    exact = math.inf
    if 0 <= x < 1:
        exact = _gap_below_one(x)
    elif 1 <= x <= 2:
        exact = x - 1 + math.exp(-x)
    return FlowGap(exact, x / (2 * math.e))


def _gap_below_one(x: float) -> float:
    """The largest e^{−xk}(1 − e^{−(y − x)k}) over integers k, for 0 ≤ x < 1."""
    if x < 1e-12:
        return x / (2 * math.e)  # to all digits, and nothing underflows
    excess = sum(x**i / i for i in range(2, 12)) if x < 1e-2 else -math.log1p(-x) - x  # y − x
    best = math.log1p(excess / x) / excess
    return max(-math.exp(-x * k) * math.expm1(-excess * k) for k in (math.floor(best), math.ceil(best)))
