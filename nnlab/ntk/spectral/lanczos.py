"""The largest eigenvalues of a kernel that is too large to decompose, by few readings of all of it.

What costs is to read the kernel once more, not to multiply with it: 60,000² numbers in float32 are 14 GB. So
this is block Lanczos with full orthogonalization (Golub & Underwood 1977, "The block Lanczos method for
computing eigenvalues"), which multiplies a whole block at each reading: after q of them the space holds every
product of a power of H below q with b random vectors, and the error of the leading eigenvalues falls like a
Chebyshev polynomial of degree q in the gap to eigenvalue b + 1, not to the next one (Musco & Musco 2015,
"Randomized block Krylov methods for stronger and faster approximate singular value decomposition").

Both the basis Q and HQ are kept, so that the eigenvalues are those of QᵀHQ, and their residuals ‖Hv − λv‖
are computed, not estimated: H has an eigenvalue within that distance of λ (Parlett, "The symmetric eigenvalue
problem", theorem 4.5.1). Where the memory for Q is used up, the best part of it goes on (thick restart: Wu &
Simon 2000).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.memory import in_words
from nnlab.ntk.empirical.blocks import Progress, slices
from nnlab.ntk.errors import MemoryLimitError
from nnlab.ntk.spectral.tiles import Inspection, Tiles

EPSILON = torch.finfo(torch.float64).eps
OVERSAMPLING = 20  # vectors of a block beyond those wanted
RELATIVE_RESIDUAL = 1e-6  # ‖Hv − λv‖/λ of an eigenvalue that is done; its own error is about the square
MAX_READINGS = 100
LIKELY_READINGS = 8  # what a progress bar expects before it is known
COLUMNS_AT_ONCE = 4096  # of the basis, in a restart
TILE_SIDE = 2048
TILES_HELD = 4  # a tile, its mirror image, their difference, and what a product with them needs


@dataclass(frozen=True)
class Leading:
    """The largest eigenvalues.

    Attributes:
        eigenvalues: (k,), in descending order.
        residuals: (k,), ‖Hv − λv‖ of each with ‖v‖ = 1.
        smallest_seen: the smallest Rayleigh quotient; the smallest eigenvalue is at most this.
        inspection: what reading the kernel told.
        readings: how often all of it was read.
    """

    eigenvalues: Tensor
    residuals: Tensor
    smallest_seen: float
    inspection: Inspection
    readings: int


@dataclass(frozen=True)
class _Room:
    """How the memory is shared: basis vectors of Q, vectors of a block, side of a tile."""

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
    """The k largest eigenvalues, each to a residual of 1e-6 of itself, or of the rounding errors Nελ₁.

    The start is drawn from a fixed seed. An eigenvalue is overlooked only if all b start vectors are
    orthogonal to its eigenvectors, which has probability 0.

    Args:
        tiles: the kernel.
        k: how many; at most N.
        memory_limit: bytes to hold.
        progress: told tiles done, and tiles to do at a guess.
        max_readings: then it stops, and the residuals say how far it came.

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


class Reader:
    """Multiplies the kernel with blocks of vectors; the first time it inspects it as well.

    After that only what is on and above the diagonal is read, each tile for its own rows and, transposed, for
    those of its mirror image.
    """

    def __init__(self, tiles: Tiles, side: int, progress: Progress | None) -> None:
        self.tiles, self._side, self._progress = tiles, side, progress
        self._total = sum(1 for _ in tiles.pairs(side))
        self.inspection: Inspection | None = None
        self.readings = 0

    def multiply(self, block: Tensor) -> Tensor:
        """(b, N) vectors to their products with H, (b, N)."""
        first = Inspection(self.tiles) if self.inspection is None else None
        product = torch.zeros_like(block)
        for done, (rows, columns) in enumerate(self.tiles.pairs(self._side), start=1):
            tile = self.tiles.read(rows, columns)
            if first is not None:
                first.see(rows, columns, tile)
            i, j = self.tiles.place(rows), self.tiles.place(columns)
            product[:, i] += block[:, j] @ tile.T
            if rows != columns:
                product[:, j] += block[:, i] @ tile
            self._report(done)
        self.readings += 1
        if first is not None:
            first.check_symmetry()
            self.inspection = first
        return product

    def _report(self, done: int) -> None:
        if self._progress is not None:
            readings = max(LIKELY_READINGS, self.readings + 1)
            self._progress(self.readings * self._total + done, readings * self._total)


def tile_side(memory: int) -> int:
    """The side of the largest tile that fits with its temporaries into so many bytes."""
    return max(16, min(TILE_SIDE, int((memory / (8 * TILES_HELD)) ** 0.5)))


def _share(size: int, k: int, memory_limit: int) -> _Room:
    """Room for Q and HQ, for six blocks and three times k vectors on the way; the rest for tiles."""
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
    """Puts combinations of the rows in use (as many as `vectors` has rows) in place of the first ones."""
    before, after = vectors.shape
    for columns in slices(0, stored.shape[1], COLUMNS_AT_ONCE):
        stored[:after, columns] = vectors.T @ stored[:before, columns]


def _next_block(q: Tensor, newest: Tensor, rounding: float) -> Tensor:
    """An orthonormal basis of what H made of the newest block beyond the span of Q; may have no rows."""
    rest = newest - (newest @ q.T) @ q
    _, sizes, directions = torch.linalg.svd(rest, full_matrices=False)
    rest = directions[sizes > rounding][: q.shape[1] - len(q)]
    return orthonormal(rest - (rest @ q.T) @ q)  # twice is enough (Parlett, section 6.9)


def orthonormal(rows: Tensor) -> Tensor:
    """Orthonormal rows of the same span, for independent ones; none for none."""
    found: Tensor = torch.linalg.qr(rows.T).Q.T
    return found
