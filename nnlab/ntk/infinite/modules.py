"""The infinite-width kernels of modules, in blocks of pairs of examples within a memory limit."""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing

import torch
from torch import Tensor, nn

from nnlab.memory import default_limit, in_words
from nnlab.ntk.empirical.blocks import Progress, check_limit, check_shapes, pairs_of, slices
from nnlab.ntk.empirical.kernel_file import KernelFile
from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError
from nnlab.ntk.infinite.angles import Layer, augmented, erf_layer, first_pairs, kernels, relu_layer
from nnlab.ntk.infinite.moments import Block, Moments, Setting
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Sum
from nnlab.ntk.infinite.nonlinearities import ERF, PiecewiseLinear
from nnlab.ntk.infinite.pairwise import Program, independent
from nnlab.ntk.infinite.tracing import Sigma, trace

# Numbers of the largest state of a block: what is larger only leaves the processor's cache.
BLOCK = 2**20
ANGLES = 24  # numbers that a pair of a chain of dense layers needs at a time
INPUT = 8  # numbers that a pair of examples needs beside its states, for the angle between them
TILES = 2**29  # bytes of a function's tile on a device that is not the CPU

# From rows and columns of the kernels to the two blocks there.
Compute = Callable[[slice, slice], tuple[Tensor, Tensor]]


def module_kernels(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    sigma_w: Sigma = None,
    sigma_b: Sigma = None,
    memory_limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """As `infinite_ntk` for modules."""
    check_limit(memory_limit)
    checked_examples("x1", x1)
    if x2 is not None:
        checked_examples("x2", x2)
        check_shapes(x1, x2)
        if x1.device != x2.device:
            raise KernelError(f"x1 is on {x1.device} and x2 on {x2.device}; move one of them")
    node = trace(model, tuple(x1.shape[1:]), sigma_w, sigma_b)
    limit = default_limit(x1.device) if memory_limit is None else memory_limit
    n1, n2 = len(x1), len(x1 if x2 is None else x2)
    size = 2 * 8 * n1 * n2
    if out is None and size > limit:
        raise MemoryLimitError(
            f"memory_limit: the kernels themselves take {in_words(size)}, the limit is {in_words(limit)}; "
            "write them to a file with out="
        )
    with torch.no_grad(), ExitStack() as stack:
        if out is None:
            both = torch.empty(2, n1, n2, dtype=torch.float64, device=x1.device)
        else:
            file = stack.enter_context(KernelFile(out, (2, n1, n2)))
            both = file.array
        points = x1.detach().to(torch.float64), None if x2 is None else x2.detach().to(torch.float64)
        spare = limit - (size if out is None else 0)
        compute, pairs, workers = _prepared(node, *points, spare)
        _fill(both, compute, pairs, x2 is None, workers, progress)
        if out is not None:
            file.finish()
    return both[0], both[1]


def checked_examples(name: str, x: Tensor) -> None:
    """Raises KernelError where x is no set of real examples, NonFiniteError where one holds NaN or
    infinity."""
    if x.ndim < 2 or x.numel() == 0 or x.is_complex():
        raise KernelError(
            f"infinite_ntk: {name} has the shape {tuple(x.shape)} and the type {x.dtype}; "
            "it must be (n, ...), real, with at least one example and one number in each"
        )
    finite = torch.isfinite(x).flatten(1).all(dim=1)
    if not bool(finite.all()):
        worst = int((~finite).nonzero()[0, 0])
        raise NonFiniteError(
            f"infinite_ntk: example {worst} of {name} holds NaN or infinity; remove or correct it"
        )


# --- two ways ---------------------------------------------------------------------------------------


def _prepared(node: Node, x1: Tensor, x2: Tensor | None, limit: int) -> tuple[Compute, int, int]:
    """What computes a block, how many pairs it takes, and how many workers may compute at a time."""
    chain = _chain(node)
    if chain is not None:
        return _by_angles(*chain, x1, x2, limit)
    program = Program(node)
    held = 8 * (len(x1) + (0 if x2 is None else len(x2))) * _numbers_looked_up(program)
    held += 0 if x1.device.type == "cpu" else TILES
    pair = 8 * (program.numbers + INPUT)
    if held + pair > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(max(limit, 0))} do not hold one pair of examples, {in_words(pair)}, "
            "beside "
            f"the moments of all examples, {in_words(held)}; raise the limit"
        )
    workers = _workers(x1.device, (limit - held) // pair)
    pairs = max(1, min((limit - held) // pair // workers, BLOCK // max(1, program.numbers // 6)))

    def alone(moments: Moments, field: Node) -> Tensor:
        return _second_moments(moments, field, max(1, (limit - held) // 8))

    left = Moments(x1, "x1", alone)
    setting = Setting(left, left if x2 is None else Moments(x2, "x2", alone))
    program.prepare(setting)

    def compute(rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        covariance, tangent = program.run(Block(setting, rows, columns))
        covariance = covariance[:, :, 0, 0]
        return covariance, torch.zeros_like(covariance) if tangent is None else tangent[:, :, 0, 0]

    return compute, pairs, workers


def _numbers_looked_up(program: Program) -> int:
    """Of an example: values of what is computed from the input, and moments of every field."""
    return sum(
        node.positions * (node.channels * 3 if isinstance(node, Fixed) else 4) for node in program.looked_up
    )


def _second_moments(moments: Moments, node: Node, numbers: int) -> Tensor:
    """E[h(x, p)²] by the pairs of each example with itself, with so many numbers at a time."""
    if isinstance(node, Sum) and independent(node):
        parts = [factor**2 * moments.variance(term) for factor, term in node.terms]
        return sum(parts[1:], parts[0])
    program, setting = Program(node), Setting(moments, moments)
    program.prepare(setting)
    n = len(moments.x)
    blocks = slices(0, n, max(1, min(numbers, BLOCK) // program.numbers))
    parts = [program.run(Block(setting, rows, None))[0][:, 0, :, 0] for rows in blocks]
    return torch.cat(parts)


def _chain(node: Node) -> tuple[list[tuple[Layer, float, float]], Linear, Fixed] | None:
    """The layers of a dense chain with closed forms in angles, all of whose parameters are trained."""
    layers: list[tuple[Layer, float, float]] = []
    while isinstance(node, Linear) and node.positions == node.source.positions == 1 and node.windows is None:
        if node.trains != (True, True):
            return None
        before = node.source
        if isinstance(before, Fixed):
            return layers[::-1], node, before
        rule = _rule(before)
        if rule is None or not isinstance(before, Nonlinear):
            return None
        layers.append((rule, node.sigma_w, node.sigma_b))
        node = before.source
    return None


def _rule(node: Node) -> Layer | None:
    """What a nonlinearity and the layer behind it do to pairs of angles."""
    if not isinstance(node, Nonlinear):
        return None
    if node.function == ERF:
        return erf_layer
    if isinstance(node.function, PiecewiseLinear) and node.function.kink >= 0:
        slope = node.function.kink
        return lambda pairs, sigma_w, sigma_b: relu_layer(pairs, sigma_w, sigma_b, slope)
    return None


def _by_angles(
    layers: list[tuple[Layer, float, float]],
    first: Linear,
    source: Fixed,
    x1: Tensor,
    x2: Tensor | None,
    limit: int,
) -> tuple[Compute, int, int]:
    held = 2 * 8 * (source.channels + 2) * (len(x1) + (0 if x2 is None else len(x2)))
    pair = 8 * ANGLES
    if held + pair > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(max(limit, 0))} do not hold the examples in float64, "
            f"{in_words(held)}, and "
            "a pair of them; raise the limit"
        )
    points1 = augmented(source.values(x1), "x1", first.sigma_w, first.sigma_b)
    points2 = points1 if x2 is None else augmented(source.values(x2), "x2", first.sigma_w, first.sigma_b)

    def compute(rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        return kernels(first_pairs(points1, points2, rows, columns), layers)

    return compute, max(1, min(BLOCK, (limit - held) // pair)), 1


# --- blocks -----------------------------------------------------------------------------------------


def _workers(device: torch.device, pairs: int) -> int:
    """Threads that each compute a block: its tiles are too small to be shared by torch's own."""
    return 1 if device.type != "cpu" else max(1, min(torch.get_num_threads(), pairs))


def _blocks(n1: int, n2: int, symmetric: bool, pairs: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns; of symmetric kernels only what is right of the diagonal."""
    start = 0
    while start < n1:
        first = start if symmetric else 0
        rows = slice(start, min(n1, start + max(1, pairs // (n2 - first))))
        for columns in slices(first, n2, max(1, pairs // (rows.stop - rows.start))):
            yield rows, columns
        start = rows.stop


def _fill(
    both: Tensor,
    compute: Compute,
    pairs: int,
    symmetric: bool,
    workers: int,
    progress: Progress | None,
) -> None:
    """Computes the kernels block by block."""
    _, n1, n2 = both.shape
    total, done = pairs_of(n1, None if symmetric else n2), 0

    def work(rows: slice, columns: slice) -> int:
        values = compute(rows, columns)
        for kernel, value in zip(both, values, strict=True):
            check_finite(value, rows, columns)
            kernel[rows, columns] = value
        return _new_pairs(rows, columns, symmetric)

    with closing(_worked(work, _blocks(n1, n2, symmetric, pairs), workers)) as counts:
        for count in counts:
            done += count
            if progress is not None:
                progress(done, total)
    if symmetric:
        for kernel in both:
            mirror(kernel)


def _worked(
    work: Callable[[slice, slice], int], blocks: Iterator[tuple[slice, slice]], workers: int
) -> Generator[int, None, None]:
    """What the work on each block returns, with several threads at a time."""
    if workers == 1:
        yield from (work(*block) for block in blocks)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    waiting: set[Future[int]] = set()
    try:
        for block in blocks:
            waiting.add(pool.submit(torch.no_grad()(work), *block))
            if len(waiting) > workers:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _new_pairs(rows: slice, columns: slice, symmetric: bool) -> int:
    """Pairs of a block that no other has: those below the diagonal come from above it."""
    n: int = rows.stop - rows.start
    m: int = columns.stop - columns.start
    if not symmetric:
        return n * m
    return sum(max(0, columns.stop - max(columns.start, i)) for i in range(rows.start, rows.stop))


def check_finite(block: Tensor, rows: slice, columns: slice) -> None:
    if bool(torch.isfinite(block).all()):
        return
    i, j = (int(k) for k in (~torch.isfinite(block)).nonzero()[0])
    raise NonFiniteError(
        f"infinite_ntk: the kernel between the examples {rows.start + i} and {columns.start + j} is not "
        "finite in "
        "float64: the inputs, sigma_w or the depth are too large, or a norm divides by 0; scale them down"
    )


def mirror(kernel: Tensor) -> None:
    """Copies what is above the diagonal below it, block by block."""
    n = len(kernel)
    step = max(1, BLOCK // n)
    for start in range(0, n, step):
        stop = min(start + step, n)
        kernel[stop:, start:stop] = kernel[start:stop, stop:].T
        square = kernel[start:stop, start:stop]
        square.copy_(square.triu() + square.triu(1).T)
