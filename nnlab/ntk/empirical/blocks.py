"""The kernel in blocks of examples, within a memory limit, each symmetric half once."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nnlab.memory import in_words
from nnlab.ntk.empirical.factors import Factor, Output, Workspace, make_symmetric, mirrored, part, public
from nnlab.ntk.empirical.kernel_file import Finished
from nnlab.ntk.errors import MemoryLimitError, NonFiniteError

Progress = Callable[[int, int], None]

TILE_ROWS = 512
PASS = 1024  # examples of a pass: the memory of the last one is used again, not given back and asked for
DIAGONAL = 64  # rows of a tile on the diagonal, as a matrix
TILE_BYTES = 6 * 2**20  # of a tile and its temporary matrices: they stay in the processor's cache


@dataclass(frozen=True)
class Costs:
    """The bytes that examples need."""

    factors: int  # of an example, as long as its block is held
    pass_: int  # of an example, during the forward and backward pass
    pair: int  # of a pair of examples, in the temporary matrices of a tile


@dataclass(frozen=True)
class Blocks:
    """The numbers of examples that are computed together."""

    held: int  # of a block whose factors stay while all other blocks pass by
    streamed: int  # of a block that passes by
    pass_: int  # of a forward and backward pass
    tile: tuple[int, int]  # (rows, columns) of a tile


def choose_blocks(costs: Costs, n1: int, n2: int, symmetric: bool, limit: int) -> Blocks:
    """Returns the largest blocks within `limit` bytes; all examples at once where that fits.

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
    examples = n1 if symmetric else n1 + n2
    if examples * costs.factors + most * costs.pass_ <= spare:
        passes = most  # all at once where that fits
    spare -= passes * costs.pass_
    if examples * costs.factors <= spare:
        return Blocks(n1, n2, passes, tile)
    pairs = max(2, spare // max(1, costs.factors))
    held = max(1, min(n1, pairs * 4 // 5))
    return Blocks(held, max(1, min(n2, pairs - held)), passes, tile)


def _tile(costs: Costs, n1: int, n2: int, size: int) -> tuple[int, int]:
    pairs = max(1, size // max(1, costs.pair))
    rows = min(TILE_ROWS, n1, max(1, int(pairs**0.5)))
    return rows, max(1, min(n2, pairs // rows))


@dataclass
class Destination:
    """The kernels that are written."""

    # as tiles lie in memory: one per layer, or one under None for their sum
    kernels: dict[str | None, Tensor]
    output: Output  # which kernel
    finished: Finished = field(default_factory=Finished)  # the rectangles that are computed
    array: Tensor | None = None  # of a file, in the order of the interface
    progress: Progress | None = None  # called with pairs done and pairs in all
    done: int = 0  # pairs of examples
    total: int = 0  # pairs in all

    def begin(self, total: int) -> None:
        """Starts to count pairs of examples."""
        self.done, self.total = 0, total

    def report(self, pairs: int) -> None:
        """Adds pairs that are written."""
        self.done += pairs
        if self.progress is not None:
            self.progress(self.done, self.total)

    def public(self) -> dict[str | None, Tensor]:
        """Returns the kernels in the order of the interface."""
        if self.array is not None:
            return {None: self.array}
        return {name: public(kernel, self.output) for name, kernel in self.kernels.items()}


def fill(
    destination: Destination,
    names: Sequence[str],
    factors: Callable[[Tensor], list[Factor]],
    x1: Tensor,
    x2: Tensor | None,
    blocks: Blocks,
) -> None:
    """Writes the kernel.

    Args:
        destination: the kernels.
        names: of the layers, in the order of the factors.
        factors: from examples to the factors of every layer.
        x1: (n₁, …) examples.
        x2: (n₂, …), or None for x1 itself: then one half is computed and mirrored.
        blocks: how many examples go together.

    Raises:
        NonFiniteError: a number of the kernel is NaN or infinite.
    """
    kernel = next(iter(destination.kernels.values()))
    outputs = kernel.shape[1] if destination.output == "full" else 1
    workspace = Workspace(math.prod(blocks.tile) * outputs**2, kernel.new_empty(0, device=x1.device))
    filling = _Filling(destination, names, blocks.tile, max(1, DIAGONAL // outputs), workspace)
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


@dataclass(frozen=True)
class _Filling:
    """The settings that all pairs of blocks share."""

    destination: Destination
    names: Sequence[str]
    tile: tuple[int, int]
    diagonal: int
    workspace: Workspace

    def add(
        self, rows: slice, left: list[Factor], columns: slice, right: list[Factor], symmetric: bool
    ) -> None:
        """Writes the kernel between two blocks of examples, and its mirror image, strip by strip."""
        target = self.destination
        for strip, tiles in _strips(rows, columns, symmetric, self.tile, self.diagonal):
            reach = slice(strip.start if symmetric and rows == columns else columns.start, columns.stop)
            if target.finished.covers(strip, reach):
                target.report(sum(_count(*tile) for tile in tiles))
                continue
            for i, j, on_diagonal in tiles:
                mine = [factor.take(_shifted(i, rows)) for factor in left]
                theirs = [factor.take(_shifted(j, columns)) for factor in right]
                self._fill(i, j, on_diagonal, mine, theirs, symmetric)
                target.report(_count(i, j, on_diagonal))
            target.finished.add(strip, reach)

    def _fill(
        self, i: slice, j: slice, on_diagonal: bool, mine: list[Factor], theirs: list[Factor], symmetric: bool
    ) -> None:
        output = self.destination.output
        for name, kernel in self.destination.kernels.items():
            tile = part(kernel, output, i, j)
            self._write(tile, name, mine, theirs)
            if on_diagonal or not symmetric:  # |H(x, x')|² ≤ H(x, x) H(x', x') covers the rest
                check_finite(tile, i, j)
            if symmetric:
                _mirror(kernel, output, i, j, on_diagonal)

    def _write(self, place: Tensor, name: str | None, mine: list[Factor], theirs: list[Factor]) -> None:
        """Writes the sum over all layers, or the contribution of one."""
        device = self.workspace.device
        tile = place.zero_() if place.device == device else torch.zeros_like(place, device=device)
        for layer, ours, others in zip(self.names, mine, theirs, strict=True):
            if name is None or name == layer:
                ours.add_to(tile, others, self.destination.output, self.workspace)
        if tile is not place:
            place.copy_(tile)


Tile = tuple[slice, slice, bool]


def _strips(
    rows: slice, columns: slice, symmetric: bool, tile: tuple[int, int], diagonal: int
) -> Iterator[tuple[slice, list[Tile]]]:
    """The tiles of a pair of blocks, row by row, and whether one begins on the diagonal of the kernel.

    On it tiles are small, as half of each is computed for nothing.
    """
    for i in slices(rows.start, rows.stop, tile[0]):
        tiles: list[Tile] = []
        start = columns.start
        if symmetric and rows == columns:
            start = i.stop
            for k in slices(i.start, i.stop, diagonal):
                tiles += [(k, k, True), (k, slice(k.stop, i.stop), False)]
        tiles += [(i, j, False) for j in slices(start, columns.stop, tile[1])]
        yield i, [part for part in tiles if part[1].start < part[1].stop]


def slices(start: int, stop: int, size: int) -> Iterator[slice]:
    """Splits start … stop into pieces of `size`."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def _shifted(inside: slice, block: slice) -> slice:
    return slice(inside.start - block.start, inside.stop - block.start)


def _mirror(kernel: Tensor, output: Output, i: slice, j: slice, on_diagonal: bool) -> None:
    tile = part(kernel, output, i, j)
    if on_diagonal:
        make_symmetric(tile, output)
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
    """The number of pairs of examples: of one set with itself the symmetric half, the diagonal included."""
    return n1 * (n1 + 1) // 2 if n2 is None else n1 * n2


def _count(i: slice, j: slice, on_diagonal: bool) -> int:
    return pairs_of(i.stop - i.start, None if on_diagonal else j.stop - j.start)
