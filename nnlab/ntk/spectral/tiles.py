"""A kernel that need not fit in memory, read as a symmetric matrix in float64 tiles."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.ntk.empirical.blocks import Progress, slices
from nnlab.ntk.errors import KernelError, NonFiniteError

Kernel = Tensor | NDArray[np.floating]

# How far H(i, j) and H(j, i) may lie apart, in units of ε · max |H|: two sums of thousands of terms in
# another order differ by less, and what is no symmetric matrix differs by more.
ASYMMETRY = 1000

EPSILON = torch.finfo(torch.float64).eps
TILE_SIDE = 2048
TILES_HELD = 4  # a tile, its mirror image, their difference, and memory for a product with them
LIKELY_READINGS = 8  # the number that a progress bar expects before it is known
STRIP = 128  # rows that are compared at a time, within the processor's cache


class Tiles:
    """The upper half of a kernel as an (N, N) matrix, the example index outermost.

    Attributes:
        examples: n.
        size: N, which is n or n·C.
        epsilon: relative spacing of the numbers that the kernel holds.
        device: where the tiles are.
    """

    def __init__(self, kernel: Kernel) -> None:
        """Reads shape and type only.

        Args:
            kernel: tensor, array or memory map, (n, n) or (n, n, C, C).

        Raises:
            KernelError: another shape, or numbers that are not real floating-point ones.
        """
        shape = tuple(kernel.shape)
        square = len(shape) in (2, 4) and shape[0] == shape[1] and shape[-1] == shape[-2]
        if not square or 0 in shape:
            raise KernelError(
                f"kernel: shape {shape}; it must be (n, n) or (n, n, C, C) with n ≥ 1"
                + (", of a diagonal kernel take one output, H[..., c]" if len(shape) == 3 else "")
            )
        self._kernel = kernel.detach() if isinstance(kernel, Tensor) else kernel
        self._outputs = shape[2] if len(shape) == 4 else 1
        self.examples = shape[0]
        self.size = shape[0] * self._outputs
        self.epsilon = epsilon(kernel)
        self.device = kernel.device if isinstance(kernel, Tensor) else torch.device("cpu")
        self._buffers = {mirror: torch.empty(0, dtype=torch.float64) for mirror in (False, True)}

    def read(self, rows: slice, columns: slice, mirror: bool = False) -> Tensor:
        """Reads the float64 tile of some examples against some others.

        It stays valid until the next call with the same `mirror`: new memory for every tile would take longer
        than to fill it.
        """
        outputs, shape = self._outputs, (rows.stop - rows.start, columns.stop - columns.start)
        count = shape[0] * shape[1] * outputs**2
        if len(self._buffers[mirror]) < count:
            self._buffers[mirror] = torch.empty(count, dtype=torch.float64, device=self.device)
        tile = self._buffers[mirror][:count].view(shape[0], outputs, shape[1], outputs)
        part = self._kernel[rows, columns]
        if part.ndim == 2:
            part = part[:, :, None, None]
        if isinstance(part, Tensor):
            tile.copy_(part.permute(0, 2, 1, 3))
        else:
            np.copyto(tile.numpy(), part.transpose(0, 2, 1, 3))
        return tile.view(shape[0] * outputs, shape[1] * outputs)

    def pairs(self, side: int) -> Iterator[tuple[slice, slice]]:
        """Tiles of about `side` rows and columns on and above the diagonal, as slices of examples."""
        step = max(1, side // self._outputs)
        for rows in slices(0, self.examples, step):
            for columns in slices(rows.start, self.examples, step):
                yield rows, columns

    def place(self, examples: slice) -> slice:
        """The rows of these examples in the matrix."""
        return slice(examples.start * self._outputs, examples.stop * self._outputs)


class Inspection:
    """The checks that a kernel is finite and symmetric, and its trace, from one reading of it.

    Attributes:
        trace: Σ H(i, i).
        largest: max |H(i, j)|.
    """

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles
        self.trace = 0.0
        self.largest = 0.0
        self._asymmetry = 0.0
        self._worst = (slice(0), slice(0))

    def add(self, rows: slice, columns: slice, upper: Tensor) -> None:
        """Inspects a tile on or above the diagonal, and reads the one that mirrors it.

        Raises:
            NonFiniteError: either holds NaN or infinity.
        """
        if rows == columns:
            lower = upper
            self.trace += float(upper.diagonal().sum())
        else:
            lower = self._tiles.read(columns, rows, mirror=True)
            self._measure(lower, columns, rows)
        self._measure(upper, rows, columns)
        for strip in slices(0, len(upper), STRIP):
            low, high = torch.aminmax(upper[strip] - lower[:, strip].T)
            asymmetry = float(torch.maximum(-low, high))
            if asymmetry > self._asymmetry:
                self._asymmetry, self._worst = asymmetry, (rows, columns)

    def check_symmetry(self) -> None:
        """Raises KernelError where H(i, j) and H(j, i) differ by more than 1000 ε max |H|."""
        allowed = ASYMMETRY * self._tiles.epsilon * self.largest
        if self._asymmetry > allowed:
            rows, columns = self._worst
            raise KernelError(
                f"kernel: not symmetric: H(i, j) and H(j, i) differ by up to {self._asymmetry:.3g}, where "
                f"rounding explains {allowed:.3g}, for i in {_words(rows)} and j in {_words(columns)}; "
                "a kernel between two sets of examples has no spectrum"
            )

    def _measure(self, tile: Tensor, rows: slice, columns: slice) -> None:
        low, high = (float(extreme) for extreme in torch.aminmax(tile))  # NaN comes through
        if not (np.isfinite(low) and np.isfinite(high)):
            raise NonFiniteError(
                f"kernel: NaN or infinity between examples {_words(rows)} and {_words(columns)}; "
                "compute it in float64, or look for what overflowed"
            )
        self.largest = max(self.largest, -low, high)


def tile_side(memory: int) -> int:
    """The side of the largest tile that fits with its temporaries into so many bytes."""
    return max(16, min(TILE_SIDE, int((memory / (8 * TILES_HELD)) ** 0.5)))


class Reader:
    """The kernel as an operator on blocks of vectors, which inspects it in the first reading.

    After that only what is on and above the diagonal is read, each tile for its own rows and, transposed, for
    those of its mirror image.
    """

    def __init__(self, tiles: Tiles, side: int, progress: Progress | None) -> None:
        self.tiles, self._side, self._progress = tiles, side, progress
        self._total = sum(1 for _ in tiles.pairs(side))
        self.inspection: Inspection | None = None
        self.readings = 0

    def multiply(self, block: Tensor) -> Tensor:
        """Multiplies (b, N) vectors with H, (b, N)."""
        first = Inspection(self.tiles) if self.inspection is None else None
        product = torch.zeros_like(block)
        for done, (rows, columns) in enumerate(self.tiles.pairs(self._side), start=1):
            tile = self.tiles.read(rows, columns)
            if first is not None:
                first.add(rows, columns, tile)
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


def epsilon(kernel: Kernel, computed_in: torch.dtype | None = None) -> float:
    """ε, the spacing of floating-point numbers at 1, of the type it was computed in; by default its own.

    Raises:
        KernelError: the type is not real floating point.
    """
    if computed_in is not None:
        return float(torch.finfo(computed_in).eps)
    if isinstance(kernel, Tensor) and kernel.dtype.is_floating_point:
        return float(torch.finfo(kernel.dtype).eps)
    if not isinstance(kernel, Tensor) and np.issubdtype(kernel.dtype, np.floating):
        return float(np.finfo(kernel.dtype).eps)
    raise KernelError(f"kernel: numbers of type {kernel.dtype}; they must be real and floating-point")


def _words(examples: slice) -> str:
    return f"{examples.start}…{examples.stop - 1}"


def orthonormal(rows: Tensor) -> Tensor:
    """Computes orthonormal rows of the same span, for independent ones; none for none."""
    basis: Tensor = torch.linalg.qr(rows.T).Q.T
    return basis
