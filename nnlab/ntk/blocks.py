"""The kernel in blocks of examples, within a memory limit, each symmetric half once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.errors import MemoryLimitError, NonFiniteError
from nnlab.ntk.factors import Output, mirrored, part
from nnlab.ntk.layerwise import AnyFactor
from nnlab.ntk.memory import in_words

Progress = Callable[[int, int], None]

# Rows of a tile: fewer and the matrix products slow down, more and the half below the diagonal of the
# kernel, which is computed for nothing inside the tiles on the diagonal, grows.
TILE_ROWS = 256
TILE_BYTES = 64 * 2**20  # of each of a tile's temporary matrices


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


def choose_blocks(costs: Costs, n1: int, n2: int, symmetric: bool, limit: int) -> Blocks:
    """The largest blocks within `limit` bytes; with everything at once where that fits.

    Raises:
        MemoryLimitError: the limit does not hold blocks of one example.
    """
    least = 2 * costs.factors + costs.pass_ + costs.pair
    if least > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(limit)} do not hold one pair of examples, which needs {in_words(least)}: "
            f"factors {in_words(2 * costs.factors)}, a forward and backward pass {in_words(costs.pass_)}, "
            f"a tile {in_words(costs.pair)}; raise the limit, or ask for output='trace'"
        )
    tile = _tile(costs, n1, n2, min(TILE_BYTES, limit // 8))
    spare = limit - tile[0] * tile[1] * costs.pair
    passes = max(1, min(max(n1, n2), spare // 8 // max(1, costs.pass_)))
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

    Raises:
        NonFiniteError: a number of the kernel is NaN or infinite.
    """
    done, total = 0, pairs_of(len(x1), None if x2 is None else len(x2))
    for rows, left, columns, right in _block_pairs(factors, x1, x2, blocks):
        for i, j, on_diagonal in _tiles(rows, columns, x2 is None, blocks.tile):
            for name, kernel in kernels.items():
                place = part(kernel, output, i, j)
                tile = (
                    place.zero_() if place.device == x1.device else torch.zeros_like(place, device=x1.device)
                )
                for layer, mine, theirs in zip(names, left, right, strict=True):
                    if name is None or name == layer:
                        mine = mine.take(_shifted(i, rows))
                        mine.add_to(tile, theirs.take(_shifted(j, columns)), output)  # type: ignore[arg-type]
                check_finite(tile, i, j)
                if tile is not place:
                    place.copy_(tile)
                if x2 is None:
                    _mirror(kernel, output, i, j, on_diagonal)
            done += _count(i, j, x2 is None, on_diagonal)
            if progress is not None:
                progress(done, total)


def _block_pairs(
    factors: Callable[[Tensor], list[AnyFactor]], x1: Tensor, x2: Tensor | None, blocks: Blocks
) -> Iterator[tuple[slice, list[AnyFactor], slice, list[AnyFactor]]]:
    """(rows, their factors, columns, their factors) of every pair of blocks that is needed."""
    everything = factors(x2) if x2 is not None and blocks.streamed >= len(x2) else None
    for rows in slices(0, len(x1), blocks.held):
        left = factors(x1[rows])
        if x2 is None:
            yield rows, left, rows, left
        elif everything is not None:
            yield rows, left, slice(0, len(x2)), everything
            continue
        others, first = (x1, rows.stop) if x2 is None else (x2, 0)
        for columns in slices(first, len(others), blocks.streamed):
            yield rows, left, columns, factors(others[columns])


def _tiles(
    rows: slice, columns: slice, symmetric: bool, tile: tuple[int, int]
) -> Iterator[tuple[slice, slice, bool]]:
    """The tiles of a pair of blocks, and whether one begins on the diagonal of the kernel."""
    on_diagonal = symmetric and rows == columns
    for i in slices(rows.start, rows.stop, tile[0]):
        if on_diagonal:
            yield i, i, True
        for j in slices(i.stop if on_diagonal else columns.start, columns.stop, tile[1]):
            yield i, j, False


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


def _count(i: slice, j: slice, symmetric: bool, on_diagonal: bool) -> int:
    rows, columns = i.stop - i.start, j.stop - j.start
    return rows * (rows + 1) // 2 if symmetric and on_diagonal else rows * columns
