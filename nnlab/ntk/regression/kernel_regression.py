"""Kernel regression, the limit of gradient flow: by modes, a Cholesky factor, or conjugate gradients.

The last are for kernels that are too large to factor, which are read a few times. Conjugate gradients
(Hestenes & Stiefel 1952, "Methods of conjugate gradients for solving linear systems") have their own steps
for each right-hand side, and share the readings between them: about ½√κ ln(2/δ) for an error δ, with
κ = (λmax + ridge)/(λmin + ridge). Of kernels κ is large since λmax is. So the leading modes, as a first
reading shows them, are divided out (Frangella, Tropp & Udell 2023, "Randomized Nyström preconditioning"):
with Ω of r random orthonormal rows and Y = ΩH,

    Ĥ = Yᵀ (ΩHΩᵀ)⁺ Y = Uᵀ Λ U,        P⁻¹ = I + Uᵀ ((λ_r + ridge)(Λ + ridge)⁻¹ − I) U,

which leaves κ near (λ_r + ridge)/ridge.

Error. For a symmetric matrix A the solution of A w = b is within ‖b − A ŵ‖/λmin(A) of ŵ, and λmin(H + ridge)
is at least the ridge, since a kernel has no negative eigenvalue. The residual of that bound is computed at
the end, from another reading; the one that the iteration carries along drifts from it.
"""

import logging
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nnlab.display import displayed
from nnlab.memory import in_words
from nnlab.ntk.dynamics.modes import (
    Form,
    Modes,
    cross_matrix,
    cross_rows,
    decompose,
    examples_of,
    refuse_indefinite,
    square_matrix,
)
from nnlab.ntk.empirical.blocks import slices
from nnlab.ntk.errors import KernelError, MemoryLimitError, check_ridge, checked_limit
from nnlab.ntk.spectral.tiles import (
    EPSILON,
    STRIP,
    TILES_HELD,
    Kernel,
    Reader,
    Tiles,
    orthonormal,
    tile_side,
)

Method = Literal["modes", "cholesky", "conjugate gradients"]

MATRICES_OF_MODES = 4  # of N² numbers, in an eigendecomposition
RELATIVE_RESIDUAL = 1e-10  # ‖b − (H + ridge)w‖/‖b‖ of a right-hand side that is done
MAX_READINGS = 500
LEADING = 100  # modes that are divided out, where memory allows
HELD = 10  # vectors of each right-hand side, its steps and their temporaries
HELD_LEADING = 5  # vectors of each leading mode, while they are found
POWERS = 6  # of the inverse, for the norm of it
PROBES = 4

log = logging.getLogger("nnlab.ntk")


@displayed
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
        method: of the computation.
        error_bound: of ‖w − ŵ‖ for the weights w = (H + ridge·I)⁻¹ (y − f₀), where conjugate gradients ended
            before rounding did: predictions are off by at most that times the norm of their row of H_xt, and
            the residuals by at most that times the ridge. Else None.
    """

    predictions: Tensor
    residuals: Tensor
    rank: int
    singular: bool
    unlearned: float = 0.0
    method: Method = "modes"
    error_bound: float | None = None


class _Weights(NamedTuple):
    """The weights w (N,) or (N, C), with f = f₀ + H w, and the residuals f − y."""

    values: Tensor
    residuals: Tensor
    rank: int
    unlearned: float
    method: Method
    error_bound: float | None = None


def kernel_regression(
    H_tt: Kernel | Modes,
    H_xt: Kernel,
    f0: tuple[Tensor, Tensor] | None,
    y: Tensor,
    ridge: float = 0.0,
    memory_limit: int | None = None,
) -> KernelRegression:
    """Predicts f_x = f₀(x) + H_x (H + ridge·I)⁻¹ (y − f₀), the limit of `gradient_flow` for ridge = 0.

    A singular kernel is no error: with the pseudo-inverse, whose modes are those above `Modes.threshold`, it
    is still the limit of gradient flow, which does not move along the others. `singular` and the log report
    it, and `residuals` hold the part that could not be fitted. Neither reduction changes the limit.

    A ridge is that of ½Σ‖y − f‖² + ½ ridge·‖w − w₀‖² (`mean`: of its N-th part).

    Methods. A kernel without modes is decomposed where there is no ridge: that a Cholesky factor exists does
    not show its rank. With a ridge that lifts all eigenvalues above the threshold, the factor is
    computed instead, in place and at less than a tenth of the cost; where it shows H + ridge·I to be
    indefinite or near singular, the eigenvalues decide. And a kernel that the memory limit does not hold is
    read again and again by conjugate gradients.
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
    check_ridge("kernel_regression", ridge)
    if isinstance(H_tt, Modes):
        size, device = len(H_tt.vectors), H_tt.vectors.device
    else:
        tiles = Tiles(H_tt)
        size, device = tiles.size, tiles.device
    limit = checked_limit(memory_limit, device)
    rows, form = cross_rows(H_xt, size), Form.of("y", y, size, examples_of(H_tt, None))
    targets = form.take("y", y, size, device)
    start, start_x = torch.zeros_like(targets), targets.new_zeros(rows, *targets.shape[1:])
    if f0 is not None:
        start = form.take("f0[0]", f0[0], size, device)
        start_x = form.take("f0[1]", f0[1], rows, device)
    rest = targets - start
    weights = (
        _by_modes(H_tt, rest, ridge) if isinstance(H_tt, Modes) else _of_kernel(H_tt, rest, ridge, limit)
    )
    return KernelRegression(
        form.restore(start_x + _reaching(H_xt, weights.values, limit)),
        form.restore(weights.residuals),
        weights.rank,
        weights.rank < size,
        *weights[3:],
    )


def _of_kernel(H: Kernel, rest: Tensor, ridge: float, limit: int) -> _Weights:
    """The weights for y − f₀ (N,) or (N, C), by the method that the ridge and the memory allow."""
    tiles = Tiles(H)
    size, sides = tiles.size, rest.numel() // tiles.size
    beside = 8 * size * (2 * STRIP + 4 * sides)  # strips for the inspection of the matrix, and vectors
    if ridge > 0 and 8 * size**2 + beside > limit:
        return _by_conjugate_gradients(tiles, rest, ridge, limit)
    if ridge > 0:
        weights = _by_cholesky(square_matrix(H), rest, ridge, tiles.epsilon)
        if weights is not None:
            return weights
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
    log_unlearned("kernel_regression", modes, rank, unlearned, rest)
    values, residuals = modes.vectors @ (inverse * coefficients), modes.vectors @ (left * -coefficients)
    return _Weights(values, residuals, rank, unlearned, "modes")


def log_unlearned(caller: str, modes: Modes, rank: int, unlearned: float, rest: Tensor) -> None:
    """Logs that some modes are not learned, and how much of `rest`, y − f₀, lies in them."""
    size = len(modes.vectors)
    if rank < size:
        log.info(
            "%s: %d of %d modes are not learned: their eigenvalues, with the ridge, are no more than %.3g, "
            "which may be rounding; of ‖y − f₀‖ = %.3g they hold %.3g",
            caller, size - rank, size, modes.threshold, float(rest.norm()), unlearned,
        )  # fmt: skip


def _by_cholesky(matrix: Tensor, rest: Tensor, ridge: float, noise: float) -> _Weights | None:
    """The weights, or None where the eigenvalues have to decide; the matrix is overwritten.

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
    """Estimates ‖(LLᵀ)⁻¹‖ from below, hardly ever by more than a factor of 2."""
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(len(lower), PROBES, dtype=lower.dtype, generator=generator).to(lower.device)
    norms = probes.new_zeros(PROBES)
    for _ in range(POWERS):
        probes = _solved(lower, probes / probes.norm(dim=0))
        norms = probes.norm(dim=0)
    return float(norms.max())


def _solved(lower: Tensor, sides: Tensor) -> Tensor:
    """Multiplies (N, B) columns with (LLᵀ)⁻¹, without a copy of L."""
    half = torch.linalg.solve_triangular(lower, sides, upper=False)
    solution: Tensor = torch.linalg.solve_triangular(lower.mT, half, upper=True)
    return solution


def _by_conjugate_gradients(tiles: Tiles, rest: Tensor, ridge: float, limit: int) -> _Weights:
    sides = rest.reshape(tiles.size, -1).T.contiguous()
    solution = solve(tiles, sides, ridge, limit)
    log.info(
        "kernel_regression: %d readings of a kernel that %s do not hold; the weights are within %.3g",
        solution.readings, in_words(limit), solution.error_bound,
    )  # fmt: skip
    values = solution.weights.T.reshape(rest.shape)
    return _Weights(values, -ridge * values, tiles.size, 0.0, "conjugate gradients", solution.error_bound)


def _reaching(H_xt: Kernel, weights: Tensor, limit: int) -> Tensor:
    """Multiplies H_x w in pieces of as many new points as a quarter of the memory holds."""
    points, each = H_xt.shape[0], 4 * 16 * math.prod(H_xt.shape[1:])  # a piece as it is, and in float64
    like = weights.movedim(0, -1)
    blocks = slices(0, max(1, points), max(1, limit // each))  # one without rows, if there are none
    return torch.cat([cross_matrix(H_xt[block], like) @ weights for block in blocks])


# --- conjugate gradients ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    """The solution of each right-hand side."""

    weights: Tensor  # (B, N), w of each right-hand side
    error_bound: float  # of ‖w − ŵ‖, all right-hand sides together
    readings: int  # how often all of the kernel was read


def solve(
    tiles: Tiles, sides: Tensor, ridge: float, memory_limit: int, max_readings: int = MAX_READINGS
) -> Solution:
    """Solves (H + ridge·I) w = b, to ‖b − (H + ridge·I)w‖ ≤ 1e-10 ‖b‖, or to rounding in float64.

    The start is drawn from a fixed seed.

    Args:
        tiles: H.
        sides: (B, N), a right-hand side b in each row.
        ridge: above 0.
        memory_limit: bytes to hold.
        max_readings: of the whole kernel; then it gives up.

    Raises:
        KernelError: the kernel is not symmetric or has negative curvature, the ridge is lost in the rounding
            of its numbers, or the readings did not suffice.
        NonFiniteError: it holds NaN or infinity.
        MemoryLimitError: the limit does not hold the vectors.
    """
    side, rank = _share(tiles.size, len(sides), memory_limit)
    system = _System(Reader(tiles, side, None), ridge, max_readings)
    leading = _Leading.of(system, orthonormal(_random(rank, tiles)), tiles)
    _refuse_tiny(ridge, leading.largest, tiles)
    units = sides.abs().amax(1, keepdim=True)
    units = torch.where(units > 0, units, 1.0)  # squares of what is far from 1 are no numbers
    sides = sides / units
    weights, rest = torch.zeros_like(sides), sides
    while True:
        weights = weights + _descend(system, leading, sides, weights, rest)
        rest = sides - system.multiply(weights)  # computed, not carried along
        if not bool(_unfinished(rest, sides, weights, leading.largest + ridge, 2.0).any()):
            break
    rounding = tiles.size * EPSILON * (leading.largest + ridge) * weights.norm(dim=1, keepdim=True)
    errors = units * (rest.norm(dim=1, keepdim=True) + rounding) / ridge
    return Solution(units * weights, float(errors.norm()), system.reader.readings)


def bytes_needed(size: int, sides: int) -> int:
    """The least memory in which `solve` solves for so many right-hand sides."""
    return (8 * HELD * sides * size + 8 * TILES_HELD * 16**2) * 3 // 2


def _share(size: int, sides: int, memory_limit: int) -> tuple[int, int]:
    """The side of a tile, and how many leading modes are divided out."""
    if bytes_needed(size, sides) > memory_limit:
        raise MemoryLimitError(
            f"kernel_regression: a memory limit of {in_words(memory_limit)} does not hold the vectors for "
            f"{sides} right-hand sides of {size} numbers; {in_words(bytes_needed(size, sides))} do"
        )
    side = tile_side(memory_limit // 3)
    left = memory_limit - 8 * TILES_HELD * side**2 - 8 * HELD * sides * size
    return side, max(0, min(LEADING, size, left // (8 * HELD_LEADING * size)))


def _random(rank: int, tiles: Tiles) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rank, tiles.size, dtype=torch.float64, generator=generator).to(tiles.device)


@dataclass(frozen=True)
class _System:
    """H + ridge·I, and how often it may be read."""

    reader: Reader
    ridge: float
    max_readings: int

    def multiply(self, rows: Tensor) -> Tensor:
        """Multiplies each row with H + ridge·I."""
        return self.reader.multiply(rows).add_(rows, alpha=self.ridge)

    @property
    def exhausted(self) -> bool:
        """True where no reading is left but the one for the residual."""
        return self.reader.readings >= self.max_readings - 1


@dataclass(frozen=True)
class _Leading:
    """Approximate leading modes."""

    vectors: Tensor  # U (r, N), orthonormal rows
    factors: Tensor  # (r, 1), of each in P⁻¹
    largest: float  # an estimate of λmax from below

    @classmethod
    def of(cls, system: _System, start: Tensor, tiles: Tiles) -> "_Leading":
        """Computes them by one reading of the kernel; `start` is Ω."""
        image = system.reader.multiply(start)
        core = image @ start.T
        values, vectors = torch.linalg.eigh((core + core.T) / 2)  # Rayleigh-Ritz, in ascending order
        kept = values > tiles.size * EPSILON * float(values.abs().max()) if len(values) else values > 0
        roots = (vectors[:, kept] / values[kept].sqrt()).T @ image  # Ĥ = rootsᵀ roots
        _, sizes, directions = torch.linalg.svd(roots, full_matrices=False)
        eigenvalues = sizes.square()
        if len(eigenvalues) == 0:  # no memory for any, or no λ > 0
            largest, factors = _largest(system, tiles), eigenvalues
        else:
            largest = float(eigenvalues[0])
            factors = (eigenvalues[-1] + system.ridge) / (eigenvalues + system.ridge)
        if len(values):
            _refuse_negative(float(values[0]), largest, tiles)
        return cls(directions, factors[:, None], largest)

    def divide(self, rows: Tensor) -> Tensor:
        """Multiplies each row with P⁻¹."""
        return rows + ((rows @ self.vectors.T) * (self.factors.T - 1)) @ self.vectors


def _largest(system: _System, tiles: Tiles) -> float:
    """Estimates λmax by ten readings with one vector each: the power method."""
    row = orthonormal(_random(1, tiles))
    size = 0.0
    for _ in range(10):
        row = system.reader.multiply(row)
        size = float(row.norm())
        if size == 0:
            break
        row = row / size
    return size


def _descend(system: _System, leading: _Leading, sides: Tensor, start: Tensor, rest: Tensor) -> Tensor:
    """The (B, N) step from `start`, whose residuals are `rest`, that makes the residuals small."""
    moved, rest = torch.zeros_like(sides), rest.clone()
    direction = leading.divide(rest)
    strength = (rest * direction).sum(1, keepdim=True)  # rᵀP⁻¹r
    total = leading.largest + system.ridge
    while bool((active := _unfinished(rest, sides, start + moved, total, 1.0)).any()):
        if system.exhausted:
            _give_up(rest, sides, system)
        image = system.multiply(direction)
        curvature = (direction * image).sum(1, keepdim=True)
        squares = direction.square().sum(1, keepdim=True)
        quotients = curvature[active] / squares[active]
        _refuse_negative(float(quotients.min()) - system.ridge, leading.largest, system.reader.tiles)
        length = torch.where(active[:, None], strength / torch.where(active[:, None], curvature, 1.0), 0.0)
        moved += length * direction
        rest -= length * image
        divided = leading.divide(rest)
        before, strength = strength, (rest * divided).sum(1, keepdim=True)
        ratio = torch.where(active[:, None], strength / torch.where(active[:, None], before, 1.0), 0.0)
        direction = divided.add_(ratio * direction)
    return moved


def _unfinished(rest: Tensor, sides: Tensor, weights: Tensor, total: float, slack: float) -> Tensor:
    """(B,), true where a residual is above the tolerance and above its rounding errors."""
    rounding = 4 * math.sqrt(sides.shape[1]) * EPSILON * total * weights.norm(dim=1)
    wanted = (RELATIVE_RESIDUAL * sides.norm(dim=1)).maximum(rounding)
    result: Tensor = rest.norm(dim=1) > slack * wanted
    return result


def _give_up(rest: Tensor, sides: Tensor, system: _System) -> None:
    sizes = sides.norm(dim=1)
    relative = float((rest.norm(dim=1) / torch.where(sizes > 0, sizes, 1.0)).max())
    raise KernelError(
        f"kernel_regression: conjugate gradients have a relative residual of {relative:.3g} after "
        f"{system.max_readings} readings of the kernel, where {RELATIVE_RESIDUAL:g} is wanted; take a ridge "
        f"above {system.ridge:g}, or a larger memory limit, with which more modes are divided out or the "
        "kernel fits"
    )


def _refuse_tiny(ridge: float, largest: float, tiles: Tiles) -> None:
    least = 2 * tiles.size * tiles.epsilon * largest
    if ridge <= least:
        raise KernelError(
            f"kernel_regression: a ridge of {ridge:.3g} is lost in the rounding of the kernel's numbers, "
            f"which moves eigenvalues by {least / 2:.3g}; without all of these only a ridge above "
            f"{least:.3g} gives an answer: take one, or a memory limit that holds the kernel"
        )


def _refuse_negative(smallest: float, largest: float, tiles: Tiles) -> None:
    """Raises KernelError for a negative Rayleigh quotient: H has an eigenvalue below it."""
    explained = -tiles.size * tiles.epsilon * largest
    if smallest < explained:
        raise KernelError(
            f"kernel_regression: H has an eigenvalue of {smallest:.3g} or below, where rounding explains "
            f"{explained:.3g}; no network's kernel has a negative one, and conjugate gradients need a kernel "
            "without one"
        )
