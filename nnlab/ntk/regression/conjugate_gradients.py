"""(H + ridge·I) w = b for a kernel that is too large to factor, by few readings of all of it.

Conjugate gradients (Hestenes & Stiefel 1952, "Methods of conjugate gradients for solving linear systems")
for several right-hand sides: each goes its own way, and all of them share the readings, about ½√κ ln(2/δ) of
them for an error δ, with κ = (λmax + ridge)/(λmin + ridge). Of kernels κ is large since λmax is. So what a
first reading shows of the leading modes is divided out (Frangella, Tropp & Udell 2023, "Randomized Nyström
preconditioning"): with Ω of r random orthonormal rows and Y = ΩH,

    Ĥ = Yᵀ (ΩHΩᵀ)⁺ Y = Uᵀ Λ U,        P⁻¹ = I + Uᵀ ((λ_r + ridge)(Λ + ridge)⁻¹ − I) U,

which leaves κ near (λ_r + ridge)/ridge.

Error. For a symmetric matrix A the solution of A w = b is within ‖b − A ŵ‖/λmin(A) of ŵ, and λmin(H + ridge)
is at least the ridge, since a kernel has no negative eigenvalue. The residual of that bound is computed at
the end, from another reading; the one that the iteration carries along drifts from it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.memory import in_words
from nnlab.ntk.errors import KernelError, MemoryLimitError
from nnlab.ntk.spectral.lanczos import EPSILON, TILES_HELD, Reader, orthonormal, tile_side
from nnlab.ntk.spectral.tiles import Tiles

RELATIVE_RESIDUAL = 1e-10  # ‖b − (H + ridge)w‖/‖b‖ of a right-hand side that is done
MAX_READINGS = 500
LEADING = 100  # modes that are divided out, where memory allows
HELD = 10  # vectors of each right-hand side, its steps and what they need on the way
HELD_LEADING = 5  # vectors of each leading mode, while they are found


@dataclass(frozen=True)
class Solution:
    """What was found.

    Attributes:
        weights: (B, N), w of each right-hand side.
        error_bound: of ‖w − ŵ‖, all right-hand sides together.
        readings: how often all of the kernel was read.
    """

    weights: Tensor
    error_bound: float
    readings: int


def solve(
    tiles: Tiles, sides: Tensor, ridge: float, memory_limit: int, max_readings: int = MAX_READINGS
) -> Solution:
    """w of (H + ridge·I) w = b, to ‖b − (H + ridge·I)w‖ ≤ 1e-10 ‖b‖, or to what float64 tells of it.

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
    found, rest = torch.zeros_like(sides), sides
    while True:
        found = found + _descend(system, leading, sides, found, rest)
        rest = sides - system.multiply(found)  # computed, not carried along
        if not bool(_unfinished(rest, sides, found, leading.largest + ridge, 2.0).any()):
            break
    rounding = tiles.size * EPSILON * (leading.largest + ridge) * found.norm(dim=1, keepdim=True)
    errors = units * (rest.norm(dim=1, keepdim=True) + rounding) / ridge
    return Solution(units * found, float(errors.norm()), system.reader.readings)


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
        """(H + ridge·I) of each row."""
        return self.reader.multiply(rows).add_(rows, alpha=self.ridge)

    @property
    def exhausted(self) -> bool:
        """Whether there is no reading left but the one for the residual."""
        return self.reader.readings >= self.max_readings - 1


@dataclass(frozen=True)
class _Leading:
    """The leading modes, about.

    Attributes:
        vectors: U (r, N), orthonormal rows.
        factors: (r, 1), what P⁻¹ makes of each.
        largest: λmax, about; from below.
    """

    vectors: Tensor
    factors: Tensor
    largest: float

    @classmethod
    def of(cls, system: _System, start: Tensor, tiles: Tiles) -> "_Leading":
        """From one reading of the kernel; `start` is Ω."""
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
        """P⁻¹ of each row."""
        return rows + ((rows @ self.vectors.T) * (self.factors.T - 1)) @ self.vectors


def _largest(system: _System, tiles: Tiles) -> float:
    """λmax, about, of ten readings with one vector each: the power method."""
    row = orthonormal(_random(1, tiles))
    size = 0.0
    for _ in range(10):
        row = system.reader.multiply(row)
        size = float(row.norm())
        if size == 0:
            break
        row = row / size
    return size


def _descend(system: _System, leading: _Leading, sides: Tensor, found: Tensor, rest: Tensor) -> Tensor:
    """(B, N) to add to `found`, whose residuals are `rest`, until the residuals carried along are small."""
    moved, rest = torch.zeros_like(sides), rest.clone()
    direction = leading.divide(rest)
    strength = (rest * direction).sum(1, keepdim=True)  # rᵀP⁻¹r
    total = leading.largest + system.ridge
    while bool((active := _unfinished(rest, sides, found + moved, total, 1.0)).any()):
        if system.exhausted:
            _give_up(rest, sides, system)
        image = system.multiply(direction)
        curvature = (direction * image).sum(1, keepdim=True)
        squares = direction.square().sum(1, keepdim=True)
        _refuse_curvature(curvature[active], squares[active], system, leading.largest)
        length = torch.where(active[:, None], strength / torch.where(active[:, None], curvature, 1.0), 0.0)
        moved += length * direction
        rest -= length * image
        divided = leading.divide(rest)
        before, strength = strength, (rest * divided).sum(1, keepdim=True)
        ratio = torch.where(active[:, None], strength / torch.where(active[:, None], before, 1.0), 0.0)
        direction = divided.add_(ratio * direction)
    return moved


def _unfinished(rest: Tensor, sides: Tensor, found: Tensor, total: float, slack: float) -> Tensor:
    """(B,) whether a residual is above what is wanted, and above what rounding makes of it."""
    rounding = 4 * math.sqrt(sides.shape[1]) * EPSILON * total * found.norm(dim=1)
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
    """Of Rayleigh quotients: H has an eigenvalue below each."""
    explained = -tiles.size * tiles.epsilon * largest
    if smallest < explained:
        raise KernelError(
            f"kernel_regression: H has an eigenvalue of {smallest:.3g} or below, where rounding explains "
            f"{explained:.3g}; no network's kernel has a negative one, and conjugate gradients need a kernel "
            "without"
        )


def _refuse_curvature(curvature: Tensor, squares: Tensor, system: _System, largest: float) -> None:
    """pᵀ(H + ridge)p of directions p."""
    _refuse_negative(float((curvature / squares).min()) - system.ridge, largest, system.reader.tiles)
