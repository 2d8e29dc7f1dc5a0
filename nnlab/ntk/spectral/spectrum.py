"""The spectrum of a kernel: what gradient descent can learn, how fast, and what it cannot.

A kernel that is too large to decompose is read a few times, since it costs more to read it once more, not to
multiply with it: 60,000² numbers in float32 are 14 GB. So its largest eigenvalues come from block Lanczos
with full orthogonalization (Golub & Underwood 1977, "The block Lanczos method for computing eigenvalues"),
which multiplies a whole block at each reading: after q of them the space holds every product of a power of H
below q with b random vectors, and the error of the leading eigenvalues falls like a Chebyshev polynomial of
degree q in the gap to eigenvalue b + 1, not to the next one (Musco & Musco 2015, "Randomized block Krylov
methods for stronger and faster approximate singular value decomposition"). Lanczos with one vector would read
the kernel ten times as often.

Both the basis Q and HQ are kept, so that the eigenvalues are those of QᵀHQ, and their residuals ‖Hv − λv‖
are computed, not estimated: H has an eigenvalue within that distance of λ (Parlett, "The symmetric eigenvalue
problem", theorem 4.5.1). Where the memory for Q is used up, the best part of it goes on (thick restart: Wu &
Simon 2000).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.display import displayed
from nnlab.memory import in_words
from nnlab.ntk.empirical.blocks import Progress, slices
from nnlab.ntk.errors import KernelError, MemoryLimitError, checked_limit
from nnlab.ntk.spectral.tiles import (
    EPSILON,
    TILES_HELD,
    Inspection,
    Kernel,
    Reader,
    Tiles,
    epsilon,
    orthonormal,
    tile_side,
)

Definiteness = Literal["positive definite", "semidefinite", "indefinite", "unknown"]

EXTRA = 16 * 2**20  # bytes of small things beside the matrices


OVERSAMPLING = 20  # vectors of a block beyond those wanted
RELATIVE_RESIDUAL = 1e-6  # ‖Hv − λv‖/λ of an eigenvalue that is done; its own error is about the square
MAX_READINGS = 100
COLUMNS_AT_ONCE = 4096  # of the basis, in a restart


@displayed
@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a symmetric kernel, and what follows from them.

    Attributes:
        eigenvalues: (k,) in float64, in descending order; all of them if `complete`, else the largest.
        error_bounds: (k,), the distance within which the kernel as given has an eigenvalue: Nε₆₄|λ|max for
            the full decomposition (its backward error), the computed residual ‖Hv − λv‖, or Nε₆₄|λ|max where
            that is larger, for a partial one.
        complete: whether these are all eigenvalues.
        size: N, rows of the kernel as a matrix: n or nC.
        trace: Σ H(i, i), known in either case.
        threshold: N·ε·|λ|max with the ε of the numbers that the kernel was computed in. Rounding moves
            eigenvalues that far (the bound behind numpy.linalg.matrix_rank); what is nearer to 0 may be 0.
        definiteness: `positive definite` if the smallest eigenvalue is above the threshold, `indefinite` if
            it is below minus the threshold, `semidefinite` between: then the kernel cannot be told from a
            singular one. `unknown` for a partial spectrum, unless it has seen a direction of negative
            curvature, which says indefinite.
        readings: how often the kernel was read.
    """

    eigenvalues: NDArray[np.float64]
    error_bounds: NDArray[np.float64]
    complete: bool
    size: int
    trace: float
    threshold: float
    definiteness: Definiteness
    readings: int

    @property
    def lambda_max(self) -> float:
        """The largest eigenvalue."""
        return float(self.eigenvalues[0])

    @property
    def lambda_min(self) -> float | None:
        """The smallest eigenvalue; None for a partial spectrum, which does not know it."""
        return float(self.eigenvalues[-1]) if self.complete else None

    @property
    def condition(self) -> float | None:
        """λmax/λmin; infinite unless positive definite, None for a partial spectrum."""
        if not self.complete:
            return None
        return (
            self.lambda_max / self.eigenvalues[-1] if self.definiteness == "positive definite" else math.inf
        )

    @property
    def rank(self) -> int | None:
        """Eigenvalues whose size is above the threshold; None for a partial spectrum."""
        return int((np.abs(self.eigenvalues) > self.threshold).sum()) if self.complete else None

    @property
    def effective_rank(self) -> float:
        """tr(H)/λmax, between 1 and the rank for a kernel; 0 if H = 0. Known for a partial spectrum too.

        Source: Koltchinskii & Lounici 2017, "Concentration inequalities and moment bounds for sample
        covariance operators". For H = ΦΦᵀ it is ‖Φ‖_F²/‖Φ‖², the stable rank of the features (Rudelson &
        Vershynin 2007).
        """
        return self.trace / self.lambda_max if self.lambda_max > 0 else 0.0


def spectrum(
    H: Kernel,
    memory_limit: int | None = None,
    *,
    k: int = 20,
    computed_in: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Spectrum:
    """Computes all eigenvalues of a kernel where the memory limit holds the matrix, else the k largest.

    The full decomposition needs 8N² bytes, and is faster with twice that. The partial one reads the kernel a
    few times, tile by tile. A singular kernel is no error, but a `definiteness`.

    Args:
        H: tensor, array or memory map; (n, n), or (n, n, C, C), which is read as (nC, nC) with the example
            index outermost.
        memory_limit: bytes to hold beside H; by default a quarter of what is free on the device of H.
        k: eigenvalues of a partial spectrum.
        computed_in: type of the numbers that the kernel was computed in, for the threshold; its own if None.
        progress: called with the numbers of steps done and in all.

    Raises:
        KernelError: another shape or type, k < 1, or a kernel that is not symmetric: H(i, j) and H(j, i) may
            differ by 1000 ε max |H|. Above the diagonal is then what counts.
        NonFiniteError: NaN or infinity.
        MemoryLimitError: the limit does not hold the vectors for k eigenvalues either.
    """
    tiles = Tiles(H)
    if k < 1:
        raise KernelError(f"spectrum: k {k} is not allowed: it is a number of eigenvalues, at least 1")
    limit, noise = checked_limit(memory_limit, tiles.device), epsilon(H, computed_in)
    size, complete = tiles.size, _bytes_in_place(tiles.size) <= limit
    result = (
        _all_eigenvalues(tiles, limit, progress)
        if complete
        else leading_eigenvalues(tiles, min(k, size), limit, progress)
    )
    values, smallest = result.eigenvalues.cpu().numpy(), result.smallest_seen
    largest = max(abs(float(values[0])), abs(smallest))
    threshold = size * noise * largest
    definiteness: Definiteness = "semidefinite" if complete else "unknown"
    if complete and smallest > threshold:
        definiteness = "positive definite"
    elif smallest < -threshold:
        definiteness = "indefinite"
    return Spectrum(
        eigenvalues=values,
        error_bounds=np.maximum(result.residuals.cpu().numpy(), size * EPSILON * largest),
        complete=complete,
        size=size,
        trace=result.inspection.trace,
        threshold=threshold,
        definiteness=definiteness,
        readings=result.readings,
    )


def _bytes_in_place(size: int) -> int:
    """The least memory of the full decomposition: the matrix, and a tile to fill it."""
    return 8 * size**2 + EXTRA


def _all_eigenvalues(tiles: Tiles, limit: int, progress: Progress | None) -> "Leading":
    size = tiles.size
    side = tile_side(min(limit - 8 * size**2, 2**27))
    matrix = torch.zeros(size, size, dtype=torch.float64, device=tiles.device)
    inspection, total = Inspection(tiles), sum(1 for _ in tiles.pairs(side)) + 1
    for done, (rows, columns) in enumerate(tiles.pairs(side), start=1):
        tile = tiles.read(rows, columns)
        inspection.add(rows, columns, tile)
        matrix[tiles.place(rows), tiles.place(columns)] = tile
        if progress is not None:
            progress(done, total)
    inspection.check_symmetry()
    in_place = _bytes_in_place(size) + 8 * size**2 > limit and matrix.device.type == "cpu"
    values = _eigenvalues(matrix, in_place).flip(0)
    if progress is not None:
        progress(total, total)
    return Leading(values, torch.zeros_like(values), float(values[-1]), inspection, readings=1)


def _eigenvalues(matrix: Tensor, in_place: bool) -> Tensor:
    """The eigenvalues of a matrix by its upper half, in ascending order; it may be overwritten.

    torch is the faster one with several threads, and takes a copy; LAPACK through scipy takes none.
    """
    if not in_place:
        ascending: Tensor = torch.linalg.eigvalsh(matrix, UPLO="U")
        return ascending
    columns = matrix.numpy().T  # the same memory as LAPACK orders it, and so the lower half
    values = scipy.linalg.eigh(
        columns, lower=True, eigvals_only=True, overwrite_a=True, check_finite=False, driver="evr"
    )
    return torch.from_numpy(values)


# --- the largest eigenvalues --------------------------------------------------------------------------


@dataclass(frozen=True)
class Leading:
    """The largest eigenvalues, or all of them."""

    eigenvalues: Tensor  # (k,), in descending order
    residuals: Tensor  # (k,), ‖Hv − λv‖ of each with ‖v‖ = 1
    smallest_seen: float  # the smallest Rayleigh quotient; the smallest eigenvalue is at most this
    inspection: Inspection  # of the kernel, from the first reading
    readings: int  # how often all of it was read


@dataclass(frozen=True)
class _Room:
    """The division of the memory: basis vectors of Q, vectors of a block, side of a tile."""

    basis: int
    block: int
    side: int


def leading_eigenvalues(
    tiles: Tiles,
    k: int,
    memory_limit: int,
    progress: Progress | None = None,
    max_readings: int = MAX_READINGS,
) -> Leading:
    """Computes the k largest eigenvalues, to residuals of 1e-6 of each, or of the rounding errors Nελ₁.

    The start is drawn from a fixed seed. An eigenvalue is overlooked only if all b start vectors are
    orthogonal to its eigenvectors, which has probability 0.

    Args:
        tiles: the kernel.
        k: how many; at most N.
        memory_limit: bytes to hold.
        progress: called with tiles done, and tiles to do at a guess.
        max_readings: then it stops, and the residuals are the errors that are left.

    Raises:
        KernelError: the kernel is not symmetric.
        NonFiniteError: it holds NaN or infinity.
        MemoryLimitError: the limit holds no basis.
    """
    room = _share(tiles.size, k, memory_limit)
    reader = Reader(tiles, room.side, progress)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(room.block, tiles.size, dtype=torch.float64, generator=generator)
    block = orthonormal(start.to(tiles.device))
    # vectors are rows: products with a tile and with its transpose are then equally fast
    basis, image = (block.new_empty(room.basis, tiles.size) for _ in range(2))  # Qᵀ and (HQ)ᵀ
    used = 0
    while True:
        new = slice(used, used + len(block))
        basis[new] = block
        image[new] = reader.multiply(block)
        used = new.stop
        q, hq = basis[:used], image[:used]
        values, vectors = _ritz(q, hq)  # in descending order
        residuals = _residuals(q, hq, values[:k], vectors[:, :k])
        rounding = tiles.size * EPSILON * float(values.abs().max())
        done = residuals <= (RELATIVE_RESIDUAL * values[:k].abs()).clamp(min=rounding)
        if bool(done.all()) or reader.readings >= max_readings:
            break
        block = _next_block(q, image[new], rounding)
        if len(block) == 0:  # H maps the space into itself
            break
        if used + len(block) > room.basis:
            used = room.basis - room.block
            for stored in (basis, image):
                _compress(stored, vectors[:, :used])
    assert reader.inspection is not None
    return Leading(values[:k], residuals, float(values[-1]), reader.inspection, reader.readings)


def _share(size: int, k: int, memory_limit: int) -> _Room:
    """Makes room for Q and HQ, for six blocks and three times k vectors on the way; the rest for tiles."""
    block = min(size, k + OVERSAMPLING)
    side = tile_side(memory_limit // 3)
    left = memory_limit - 8 * TILES_HELD * side**2
    vectors = left // (8 * size) - 6 * block - 3 * k
    basis = min(size, MAX_READINGS * block, vectors // 2)
    least = min(size, 3 * block)
    if basis < least:
        needed = 3 * 8 * size * (2 * least + 6 * block + 3 * k) // 2
        raise MemoryLimitError(
            f"spectrum: a memory limit of {in_words(memory_limit)} does not hold the vectors for {k} "
            f"eigenvalues of a kernel with {size} rows; {in_words(needed)} do"
        )
    return _Room(basis, block, side)


def _ritz(q: Tensor, hq: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of QᵀHQ in descending order, and its eigenvectors in columns."""
    projected = q @ hq.T
    values, vectors = torch.linalg.eigh((projected + projected.T) / 2)
    return values.flip(0), vectors.flip(1)


def _residuals(q: Tensor, hq: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """‖Hv − λv‖ for v = Qs."""
    rest = vectors.T @ hq
    rest -= (vectors * values).T @ q
    norms: Tensor = torch.linalg.vector_norm(rest, dim=1)
    return norms


def _compress(stored: Tensor, vectors: Tensor) -> None:
    """Replaces the first rows by combinations of the rows in use, as many as `vectors` has rows."""
    before, after = vectors.shape
    for columns in slices(0, stored.shape[1], COLUMNS_AT_ONCE):
        stored[:after, columns] = vectors.T @ stored[:before, columns]


def _next_block(q: Tensor, newest: Tensor, rounding: float) -> Tensor:
    """An orthonormal basis of H times the newest block beyond the span of Q; may have no rows."""
    rest = newest - (newest @ q.T) @ q
    _, sizes, directions = torch.linalg.svd(rest, full_matrices=False)
    rest = directions[sizes > rounding][: q.shape[1] - len(q)]
    return orthonormal(rest - (rest @ q.T) @ q)  # twice is enough (Parlett, section 6.9)
