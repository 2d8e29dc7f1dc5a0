"""The eigenvalues of a kernel: what gradient descent can learn, how fast, and what it cannot."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.memory import default_limit
from nnlab.ntk.empirical.blocks import Progress
from nnlab.ntk.errors import KernelError
from nnlab.ntk.spectral.lanczos import EPSILON, leading_eigenvalues, tile_side
from nnlab.ntk.spectral.tiles import Inspection, Kernel, Tiles

Definiteness = Literal["positive definite", "semidefinite", "indefinite", "unknown"]

EXTRA = 16 * 2**20  # bytes of small things beside the matrices


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
    """The eigenvalues of a kernel: all of them where the memory limit holds the matrix, else the k largest.

    The full decomposition needs 8N² bytes, and is faster with twice that. The partial one reads the kernel a
    few times, tile by tile (see `nnlab.ntk.spectral.lanczos`). A singular kernel is no error: `definiteness`
    says so.

    Args:
        H: tensor, array or memory map; (n, n), or (n, n, C, C), which is read as (nC, nC) with the example
            index outermost.
        memory_limit: bytes to hold beside H; by default a quarter of what is free on the device of H.
        k: eigenvalues of a partial spectrum.
        computed_in: type of the numbers that the kernel was computed in, for the threshold; its own if None.
        progress: told steps done and in all.

    Raises:
        KernelError: another shape or type, k < 1, or a kernel that is not symmetric: H(i, j) and H(j, i) may
            differ by 1000 ε max |H|. Above the diagonal is then what counts.
        NonFiniteError: NaN or infinity.
        MemoryLimitError: the limit does not hold the vectors for k eigenvalues either.
    """
    tiles = Tiles(H)
    if k < 1:
        raise KernelError(f"spectrum: k {k} is not allowed: it is a number of eigenvalues, at least 1")
    limit = default_limit(tiles.device) if memory_limit is None else memory_limit
    noise = tiles.epsilon if computed_in is None else float(torch.finfo(computed_in).eps)
    if _bytes_in_place(tiles.size) <= limit:
        return _full(tiles, limit, noise, progress)
    return _partial(tiles, min(k, tiles.size), limit, noise, progress)


def _bytes_in_place(size: int) -> int:
    """What the full decomposition needs at least: the matrix, and a tile to fill it."""
    return 8 * size**2 + EXTRA


def _full(tiles: Tiles, limit: int, noise: float, progress: Progress | None) -> Spectrum:
    size = tiles.size
    side = tile_side(min(limit - 8 * size**2, 2**27))
    matrix = torch.zeros(size, size, dtype=torch.float64, device=tiles.device)
    inspection, total = Inspection(tiles), sum(1 for _ in tiles.pairs(side)) + 1
    for done, (rows, columns) in enumerate(tiles.pairs(side), start=1):
        tile = tiles.read(rows, columns)
        inspection.see(rows, columns, tile)
        matrix[tiles.place(rows), tiles.place(columns)] = tile
        if progress is not None:
            progress(done, total)
    inspection.check_symmetry()
    in_place = _bytes_in_place(size) + 8 * size**2 > limit and matrix.device.type == "cpu"
    values = _eigenvalues(matrix, in_place)[::-1].copy()
    if progress is not None:
        progress(total, total)
    largest = float(np.abs(values).max())
    return Spectrum(
        eigenvalues=values,
        error_bounds=np.full(size, size * EPSILON * largest),
        complete=True,
        size=size,
        trace=inspection.trace,
        threshold=size * noise * largest,
        definiteness=_definiteness(float(values[-1]), size * noise * largest),
        readings=1,
    )


def _eigenvalues(matrix: Tensor, in_place: bool) -> NDArray[np.float64]:
    """Of a matrix given by its upper half, in ascending order; it may be overwritten.

    torch is the faster one with several threads, and takes a copy; LAPACK through scipy takes none.
    """
    if not in_place:
        found: NDArray[np.float64] = torch.linalg.eigvalsh(matrix, UPLO="U").cpu().numpy()
        return found
    columns = matrix.numpy().T  # the same memory as LAPACK orders it, and so the lower half
    overwritten: NDArray[np.float64] = scipy.linalg.eigh(
        columns, lower=True, eigvals_only=True, overwrite_a=True, check_finite=False, driver="evr"
    )
    return overwritten


def _partial(tiles: Tiles, k: int, limit: int, noise: float, progress: Progress | None) -> Spectrum:
    found = leading_eigenvalues(tiles, k, limit, progress)
    values = found.eigenvalues.cpu().numpy()
    largest = max(abs(float(values[0])), abs(found.smallest_seen))
    threshold = tiles.size * noise * largest
    return Spectrum(
        eigenvalues=values,
        error_bounds=np.maximum(found.residuals.cpu().numpy(), tiles.size * EPSILON * largest),
        complete=False,
        size=tiles.size,
        trace=found.inspection.trace,
        threshold=threshold,
        definiteness="indefinite" if found.smallest_seen < -threshold else "unknown",
        readings=found.readings,
    )


def _definiteness(smallest: float, threshold: float) -> Definiteness:
    if smallest > threshold:
        return "positive definite"
    return "indefinite" if smallest < -threshold else "semidefinite"
