"""Kernel regression, where gradient descent and flow end: by modes, by a factor, or by readings of a file."""

import logging
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nnlab.memory import default_limit, in_words
from nnlab.ntk.empirical.blocks import slices
from nnlab.ntk.errors import KernelError, MemoryLimitError
from nnlab.ntk.flow.modes import (
    Form,
    Modes,
    cross_matrix,
    cross_rows,
    decompose,
    examples_of,
    refuse_indefinite,
    square_matrix,
)
from nnlab.ntk.regression.conjugate_gradients import bytes_needed, solve
from nnlab.ntk.spectral.lanczos import EPSILON
from nnlab.ntk.spectral.tiles import STRIP, Kernel, Tiles

Way = Literal["modes", "cholesky", "conjugate gradients"]

MATRICES_OF_MODES = 4  # of N² numbers, in an eigendecomposition
POWERS = 6  # of the inverse, for the norm of it
PROBES = 4

log = logging.getLogger("nnlab.ntk")


@dataclass(frozen=True)
class KernelRegression:
    """The function at which gradient descent or flow ends, from f₀, if the kernel does not move.

    Attributes:
        predictions: (n_xC,) at the new points, or (n_x, C) as the targets are.
        residuals: (nC,) or (n, C), f − y at the training points: 0 if they can be fitted without a ridge.
        rank: modes of H that are learned: eigenvalues above the threshold; all of them with a ridge. With
            targets (n, C) and a kernel (n, n), each counts once, for all outputs.
        singular: whether some are not. What of y − f₀ lies in them stays in the residuals.
        unlearned: the norm of that part of y − f₀.
        way: how it was computed.
        error_bound: of ‖w − ŵ‖ for the weights w = (H + ridge·I)⁻¹ (y − f₀), where conjugate gradients ended
            before rounding did: predictions are off by at most that times the norm of their row of H_xt, and
            the residuals by at most that times the ridge. Else None.
    """

    predictions: Tensor
    residuals: Tensor
    rank: int
    singular: bool
    unlearned: float = 0.0
    way: Way = "modes"
    error_bound: float | None = None


class _Weights(NamedTuple):
    """w (N,) or (N, C), with f = f₀ + H w, and what it leaves of f − y."""

    values: Tensor
    residuals: Tensor
    rank: int
    unlearned: float
    way: Way
    error_bound: float | None = None


def kernel_regression(
    H_tt: Kernel | Modes,
    H_xt: Kernel,
    f0: tuple[Tensor, Tensor] | None,
    y: Tensor,
    ridge: float = 0.0,
    memory_limit: int | None = None,
) -> KernelRegression:
    """f_x = f₀(x) + H_x (H + ridge·I)⁻¹ (y − f₀), the limit of `gradient_flow` at new points for ridge = 0.

    A singular kernel is no error: with the pseudo-inverse, whose modes are those above `Modes.threshold`, it
    is still the limit of gradient flow, which does not move along the others. `singular` and the log tell,
    and `residuals` what could not be fitted. Neither reduction of the loss changes the limit.

    A ridge is that of ½Σ‖y − f‖² + ½ ridge·‖w − w₀‖² (`mean`: of its N-th part).

    How. Modes that are given are used. A kernel is decomposed where there is no ridge: that a Cholesky factor
    exists does not tell its rank. With a ridge that lifts all eigenvalues above the threshold, the factor is
    computed instead, in place and at less than a tenth of the cost; where it shows H + ridge·I to be
    indefinite or near singular, the eigenvalues decide. And what the memory limit does not hold is read from
    where it is, again and again, by conjugate gradients (see `nnlab.ntk.regression.conjugate_gradients`).
    The three agree within rounding of the numbers that the kernel holds, times (λmax + ridge)/ridge.

    Args:
        H_tt: the kernel of the training points, or its `decompose`.
        H_xt: the kernel between new points and training points.
        f0: the function at the start, at the training points and at the new ones, as y is; None for 0.
        y: (nC,) or (n, C) targets.
        ridge: at least 0.
        memory_limit: bytes to hold beside the kernels; a quarter of the free memory if None.

    Raises:
        KernelError: shapes that do not fit, a ridge below 0, a kernel with negative eigenvalues that neither
            rounding nor the ridge explains: gradient flow then has no limit; or conjugate gradients met a
            negative one, or did not end.
        MemoryLimitError: the limit does not hold what is needed.
        NonFiniteError: NaN or infinity.
    """
    if not (math.isfinite(ridge) and ridge >= 0):
        raise KernelError(
            f"kernel_regression: ridge {ridge} is not allowed: it must be at least 0 and finite"
        )
    size, device = _place(H_tt)
    limit = default_limit(device) if memory_limit is None else memory_limit
    rows, form = cross_rows(H_xt, size), Form.of("y", y, size, examples_of(H_tt, None))
    targets = form.take("y", y, size, device)
    start, start_x = torch.zeros_like(targets), targets.new_zeros(rows, *targets.shape[1:])
    if f0 is not None:
        start = form.take("f0[0]", f0[0], size, device)
        start_x = form.take("f0[1]", f0[1], rows, device)
    rest = targets - start
    if isinstance(H_tt, Modes):
        found = _by_modes(H_tt, rest, ridge)
    else:
        found = _of_kernel(H_tt, rest, ridge, limit)
    return KernelRegression(
        predictions=form.give(start_x + _reaching(H_xt, found.values, limit)),
        residuals=form.give(found.residuals),
        rank=found.rank,
        singular=found.rank < size,
        unlearned=found.unlearned,
        way=found.way,
        error_bound=found.error_bound,
    )


def _place(H: Kernel | Modes) -> tuple[int, torch.device]:
    """Rows of the kernel as a matrix, and the device that it is on."""
    if isinstance(H, Modes):
        return len(H.vectors), H.vectors.device
    tiles = Tiles(H)
    return tiles.size, tiles.device


def _of_kernel(H: Kernel, rest: Tensor, ridge: float, limit: int) -> _Weights:
    """The weights for y − f₀ (N,) or (N, C), in the way that the ridge and the memory allow."""
    tiles = Tiles(H)
    size, sides = tiles.size, rest.numel() // tiles.size
    beside = 8 * size * (2 * STRIP + 4 * sides)  # what the matrix is inspected with, and vectors
    if ridge > 0 and 8 * size**2 + beside > limit:
        return _by_conjugate_gradients(tiles, rest, ridge, limit)
    if ridge > 0:
        found = _by_cholesky(square_matrix(H), rest, ridge, tiles.epsilon)
        if found is not None:
            return found
    needed = 8 * MATRICES_OF_MODES * size**2 + beside
    if needed > limit:
        raise MemoryLimitError(
            f"kernel_regression: a memory limit of {in_words(limit)} does not hold the eigendecomposition of "
            f"a kernel with {size} rows, which a ridge of {ridge:g} needs; {in_words(needed)} do. With a "
            f"larger ridge a Cholesky factor takes {in_words(8 * size**2 + beside)}, and conjugate gradients "
            f"{in_words(bytes_needed(size, sides))}"
        )
    return _by_modes(decompose(H), rest, ridge)


def _by_modes(modes: Modes, rest: Tensor, ridge: float) -> _Weights:
    refuse_indefinite("kernel_regression", modes, ridge)
    learned = modes.eigenvalues + ridge > modes.threshold
    inverse = torch.where(learned, 1 / torch.where(learned, modes.eigenvalues + ridge, 1.0), 0.0)
    # 1 − λ/(λ + ridge), written so that a mode which is fitted leaves exactly 0
    left = torch.where(learned, ridge * inverse, 1.0)
    if rest.ndim == 2:
        inverse, left = inverse[:, None], left[:, None]
    coefficients = modes.vectors.T @ rest
    rank, unlearned = int(learned.sum()), float(coefficients[~learned].norm())
    tell_unlearned("kernel_regression", modes, rank, unlearned, rest)
    return _Weights(
        modes.vectors @ (inverse * coefficients),
        modes.vectors @ (left * -coefficients),
        rank,
        unlearned,
        "modes",
    )


def tell_unlearned(caller: str, modes: Modes, rank: int, unlearned: float, rest: Tensor) -> None:
    """Logs that some modes are not learned, and how much of `rest`, y − f₀, lies in them."""
    size = len(modes.vectors)
    if rank < size:
        log.info(
            "%s: %d of %d modes are not learned: their eigenvalues, with the ridge, are no more than %.3g, "
            "which may be rounding; of ‖y − f₀‖ = %.3g they hold %.3g",
            caller, size - rank, size, modes.threshold, float(rest.norm()), unlearned,
        )  # fmt: skip


def _by_cholesky(matrix: Tensor, rest: Tensor, ridge: float, noise: float) -> _Weights | None:
    """None where the eigenvalues have to decide; the matrix is overwritten.

    A kernel's eigenvalues are at least 0, up to the threshold; so a ridge above twice that, which the largest
    row sum bounds, lifts all of them above it. Whether some are negative, and nearly cancel the ridge, the
    norm of the inverse tells, from a few powers of it on random vectors (Kuczyński & Woźniakowski 1992,
    "Estimating the largest eigenvalue by the power and Lanczos algorithms with a random start").
    """
    size = len(matrix)
    largest = float(torch.linalg.vector_norm(matrix, ord=1, dim=1).max())
    if ridge <= 2 * size * noise * largest:
        return None
    lower = matrix.mT  # column by column: what is above the diagonal of H is the half that is used
    lower.diagonal().add_(ridge)
    _, info = torch.linalg.cholesky_ex(
        lower, out=(lower, torch.empty((), dtype=torch.int32, device=lower.device))
    )
    if int(info) != 0 or _norm_of_inverse(lower) * (largest + ridge) * size * EPSILON > 1:
        return None
    values = _solved(lower, rest.reshape(size, -1)).reshape(rest.shape)
    return _Weights(values, -ridge * values, size, 0.0, "cholesky")


def _norm_of_inverse(lower: Tensor) -> float:
    """‖(LLᵀ)⁻¹‖, from below but hardly ever by more than a factor of 2."""
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(len(lower), PROBES, dtype=lower.dtype, generator=generator).to(lower.device)
    norms = probes.new_zeros(PROBES)
    for _ in range(POWERS):
        probes = _solved(lower, probes / probes.norm(dim=0))
        norms = probes.norm(dim=0)
    return float(norms.max())


def _solved(lower: Tensor, sides: Tensor) -> Tensor:
    """(LLᵀ)⁻¹ of (N, B) columns, without a copy of L."""
    half = torch.linalg.solve_triangular(lower, sides, upper=False)
    found: Tensor = torch.linalg.solve_triangular(lower.mT, half, upper=True)
    return found


def _by_conjugate_gradients(tiles: Tiles, rest: Tensor, ridge: float, limit: int) -> _Weights:
    sides = rest.reshape(tiles.size, -1).T.contiguous()
    found = solve(tiles, sides, ridge, limit)
    log.info(
        "kernel_regression: %d readings of a kernel that %s do not hold; the weights are within %.3g",
        found.readings, in_words(limit), found.error_bound,
    )  # fmt: skip
    values = found.weights.T.reshape(rest.shape)
    return _Weights(values, -ridge * values, tiles.size, 0.0, "conjugate gradients", found.error_bound)


def _reaching(H_xt: Kernel, weights: Tensor, limit: int) -> Tensor:
    """H_x w at the new points, of which as many are read at a time as a quarter of the memory holds."""
    points, each = H_xt.shape[0], 4 * 16 * math.prod(H_xt.shape[1:])  # a piece as it is, and in float64
    like = weights.movedim(0, -1)
    blocks = slices(0, max(1, points), max(1, limit // each))  # one without rows, if there are none
    return torch.cat([cross_matrix(H_xt[block], like) @ weights for block in blocks])
