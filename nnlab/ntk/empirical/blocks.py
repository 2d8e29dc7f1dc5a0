"""The kernel in blocks of examples, within a memory limit, each symmetric half once."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.memory import in_words
from nnlab.ntk.empirical.factors import Output, Workspace, mirrored, part
from nnlab.ntk.empirical.kernel_file import Finished
from nnlab.ntk.empirical.layerwise import AnyFactor
from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError

Progress = Callable[[int, int], None]

TILE_ROWS = 512
PASS = 1024  # examples of a pass: the memory of the last one is used again, not given back and asked for
DIAGONAL = 64  # rows of a tile on the diagonal, as a matrix
TILE_BYTES = 6 * 2**20  # of a tile and its temporary matrices: they stay in the processor's cache


@dataclass(frozen=True)
class Costs:
    """Bytes that examples need.

    Attributes:
        factors: of an example, as long as its block is held.
        pass_: of an example, during the forward and backward pass.
        pair: of a pair of examples, in the temporary matrices of a tile.
    """

    factors: int
    pass_: int
    pair: int


@dataclass(frozen=True)
class Blocks:
    """How many examples go together.

    Attributes:
        held: of a block whose factors stay while all other blocks pass by.
        streamed: of a block that passes by.
        pass_: of a forward and backward pass.
        tile: (rows, columns) of a tile.
    """

    held: int
    streamed: int
    pass_: int
    tile: tuple[int, int]


def check_limit(memory_limit: int | None) -> None:
    """Raises KernelError for what is no number of bytes."""
    if memory_limit is None:
        return
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int | float) or not memory_limit >= 1:
        raise KernelError(f"memory_limit: {memory_limit!r}: must be a positive number of bytes")


def check_shapes(x1: Tensor, x2: Tensor) -> None:
    """Raises KernelError where the examples of two sets have different shapes."""
    if x1.shape[1:] != x2.shape[1:]:
        raise KernelError(
            f"x1 holds examples of shape {tuple(x1.shape[1:])}, x2 of {tuple(x2.shape[1:])}; "
            "both must be of one shape"
        )


def choose_blocks(costs: Costs, n1: int, n2: int, symmetric: bool, limit: int) -> Blocks:
    """The largest blocks within `limit` bytes; with everything at once where that fits.

    Raises:
        MemoryLimitError: the limit does not hold blocks of one example.
    """
    usable = limit * 19 // 20  # the allocator keeps some of what is freed
    least = 2 * costs.factors + costs.pass_ + costs.pair
    if least > usable:
        raise MemoryLimitError(
            f"memory_limit: {in_words(limit)} do not hold one pair of examples, which needs "
            f"{in_words(least * 20 / 19)}: factors {in_words(2 * costs.factors)}, a forward and backward "
            f"pass {in_words(costs.pass_)}, a tile {in_words(costs.pair)}; raise the limit, or ask for "
            "output='trace'"
        )
    tile = _tile(costs, n1, n2, min(TILE_BYTES, usable // 8))
    spare = usable - tile[0] * tile[1] * costs.pair
    most = min(max(n1, n2), PASS)
    passes = max(1, min(most, spare // 8 // max(1, costs.pass_)))
    if (n1 if symmetric else n1 + n2) * costs.factors + most * costs.pass_ <= spare:
        passes = most  # all at once where that fits
    spare -= passes * costs.pass_
    examples = n1 if symmetric else n1 + n2
    if examples * costs.factors <= spare:
        return Blocks(n1, n2, passes, tile)
    pairs = max(2, spare // max(1, costs.factors))
    held = max(1, min(n1, pairs * 4 // 5))
    return Blocks(held, max(1, min(n2, pairs - held)), passes, tile)


def _tile(costs: Costs, n1: int, n2: int, size: int) -> tuple[int, int]:
    pairs = max(1, size // max(1, costs.pair))
    rows = min(TILE_ROWS, n1, max(1, int(pairs**0.5)))
    return rows, max(1, min(n2, pairs // rows))


def fill(
    kernels: Mapping[str | None, Tensor],
    names: Sequence[str],
    factors: Callable[[Tensor], list[AnyFactor]],
    x1: Tensor,
    x2: Tensor | None,
    output: Output,
    blocks: Blocks,
    progress: Progress | None,
    finished: Finished,
) -> None:
    """Writes the kernel.

    Args:
        kernels: where it goes, as tiles lie in memory: one per layer, or one under None for the sum.
        names: of the layers, in the order of the factors.
        factors: from examples to the factors of every layer.
        x1: (n₁, …) examples.
        x2: (n₂, …), or None for x1 itself: then one half is computed and mirrored.
        output: which kernel.
        blocks: how many examples go together.
        progress: told pairs done and pairs in all.
        finished: what is there already, and is told what is.

    Raises:
        NonFiniteError: a number of the kernel is NaN or infinite.
    """
    kernel = next(iter(kernels.values()))
    outputs = kernel.shape[1] if output == "full" else 1
    filling = _Filling(
        kernels=kernels,
        names=names,
        output=output,
        tile=blocks.tile,
        workspace=Workspace(math.prod(blocks.tile) * outputs**2, kernel.new_empty(0, device=x1.device)),
        progress=progress,
        total=pairs_of(len(x1), None if x2 is None else len(x2)),
        finished=finished,
        diagonal=max(1, DIAGONAL // outputs),
    )
    everything = factors(x2) if x2 is not None and blocks.streamed >= len(x2) else None
    for rows in slices(0, len(x1), blocks.held):
        left = factors(x1[rows])
        if x2 is None:
            filling.add(rows, left, rows, left, symmetric=True)
            for columns in slices(rows.stop, len(x1), blocks.streamed):
                filling.add(rows, left, columns, factors(x1[columns]), symmetric=True)
        elif everything is not None:
            filling.add(rows, left, slice(0, len(x2)), everything, symmetric=False)
        else:
            for columns in slices(0, len(x2), blocks.streamed):
                filling.add(rows, left, columns, factors(x2[columns]), symmetric=False)
        del left  # before the next ones are made


@dataclass
class _Filling:
    """What stays the same from one pair of blocks to the next."""

    kernels: Mapping[str | None, Tensor]
    names: Sequence[str]
    output: Output
    tile: tuple[int, int]
    workspace: Workspace
    progress: Progress | None
    total: int
    finished: Finished
    diagonal: int
    done: int = 0

    def add(
        self, rows: slice, left: list[AnyFactor], columns: slice, right: list[AnyFactor], symmetric: bool
    ) -> None:
        """Writes the kernel between two blocks of examples, and its mirror image, strip by strip."""
        for strip, tiles in _strips(rows, columns, symmetric, self.tile, self.diagonal):
            reach = slice(strip.start if symmetric and rows == columns else columns.start, columns.stop)
            if not self.finished.covers(strip, reach):
                for i, j, on_diagonal in tiles:
                    self._fill(i, j, on_diagonal, (rows, left), (columns, right), symmetric)
                self.finished.add(strip, reach)
            else:
                self._report(sum(_count(*tile) for tile in tiles))

    def _fill(
        self,
        i: slice,
        j: slice,
        on_diagonal: bool,
        left: tuple[slice, list[AnyFactor]],
        right: tuple[slice, list[AnyFactor]],
        symmetric: bool,
    ) -> None:
        mine = [factor.take(_shifted(i, left[0])) for factor in left[1]]
        theirs = [factor.take(_shifted(j, right[0])) for factor in right[1]]
        for name, kernel in self.kernels.items():
            self._write(part(kernel, self.output, i, j), name, mine, theirs)
            if on_diagonal or not symmetric:  # |H(x, x')|² ≤ H(x, x) H(x', x') says the rest
                check_finite(part(kernel, self.output, i, j), i, j)
            if symmetric:
                _mirror(kernel, self.output, i, j, on_diagonal)
        self._report(_count(i, j, on_diagonal))

    def _report(self, pairs: int) -> None:
        self.done += pairs
        if self.progress is not None:
            self.progress(self.done, self.total)

    def _write(self, place: Tensor, name: str | None, mine: list[AnyFactor], theirs: list[AnyFactor]) -> None:
        """The sum over all layers, or the contribution of one."""
        device = self.workspace.device
        tile = place.zero_() if place.device == device else torch.zeros_like(place, device=device)
        for layer, ours, others in zip(self.names, mine, theirs, strict=True):
            if name is None or name == layer:
                ours.add_to(tile, others, self.output, self.workspace)  # type: ignore[arg-type]
        if tile is not place:
            place.copy_(tile)


Tile = tuple[slice, slice, bool]


def _strips(
    rows: slice, columns: slice, symmetric: bool, tile: tuple[int, int], diagonal: int
) -> Iterator[tuple[slice, list[Tile]]]:
    """The tiles of a pair of blocks, row by row, and whether one begins on the diagonal of the kernel."""
    on_diagonal = symmetric and rows == columns
    for i in slices(rows.start, rows.stop, tile[0]):
        first = list(_triangle(i, diagonal)) if on_diagonal else []
        start = i.stop if on_diagonal else columns.start
        yield i, first + [(i, j, False) for j in slices(start, columns.stop, tile[1])]


def _triangle(i: slice, diagonal: int) -> Iterator[tuple[slice, slice, bool]]:
    """The tiles on and above the diagonal of a square: small ones, as half of each on it is for nothing."""
    for k in slices(i.start, i.stop, diagonal):
        yield k, k, True
        if k.stop < i.stop:
            yield k, slice(k.stop, i.stop), False


def slices(start: int, stop: int, size: int) -> Iterator[slice]:
    """start … stop in pieces of `size`."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def _shifted(inside: slice, block: slice) -> slice:
    return slice(inside.start - block.start, inside.stop - block.start)


def _mirror(kernel: Tensor, output: Output, i: slice, j: slice, on_diagonal: bool) -> None:
    tile = part(kernel, output, i, j)
    if on_diagonal:  # a product and its mirror image may differ by rounding
        tile.copy_((tile + mirrored(tile, output)) / 2)
    else:
        part(kernel, output, j, i).copy_(mirrored(tile, output))


def check_finite(tile: Tensor, i: slice, j: slice) -> None:
    """Raises NonFiniteError where a tile, of examples i and j, holds NaN or infinity."""
    if torch.isfinite(tile.sum()) or bool(torch.isfinite(tile).all()):
        return
    raise NonFiniteError(
        f"the kernel is not finite between examples {i.start} to {i.stop - 1} and {j.start} to {j.stop - 1}: "
        "look for NaN, infinities or huge numbers in the inputs and the weights, or use dtype=torch.float64"
    )


def pairs_of(n1: int, n2: int | None) -> int:
    """Pairs of examples to compute: of one set with itself the symmetric half, the diagonal included."""
    return n1 * (n1 + 1) // 2 if n2 is None else n1 * n2


def _count(i: slice, j: slice, on_diagonal: bool) -> int:
    rows: int = i.stop - i.start
    return rows * (rows + 1) // 2 if on_diagonal else rows * int(j.stop - j.start)
