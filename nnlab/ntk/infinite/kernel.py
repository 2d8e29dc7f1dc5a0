"""The two kernels of an infinitely wide network, exactly: of its random start and of its training.

The network is one in the ntk parameterization: every linear layer or convolution computes
(σ_w/√fan_in) W ∗ h + σ_b b with W, b ~ N(0, 1). As its widths, the numbers of channels of a convolutional
network, grow, one layer after the other or all together,

- each output at the start is a Gaussian process with the covariance Σ (n₁, n₂), the "nngp" kernel (Neal 1994;
  Lee et al. 2018, "Deep neural networks as Gaussian processes"; Matthews et al. 2018; of convolutions Novak
  et al. 2019, "Bayesian deep convolutional networks with many channels are Gaussian processes");
- the tangent kernel J(x) J(x')ᵀ tends to Θ(x, x') · I_C, and stays there during training (Jacot, Gabriel &
  Hongler 2018, "Neural tangent kernel"; of convolutions Arora et al. 2019, "On exact computation with an
  infinitely wide neural net").

Layers. K and Θ are those of a layer's input, at positions p, p' of the images x, x'; a dense layer has one.

| layer | covariance Σ⁺ | tangent kernel Θ⁺ |
| --- | --- | --- |
| linear | σ_w² K + σ_b², K averaged over p = p' if it sees several positions | σ_w² Θ + Σ⁺ |
| convolution, k × k | (σ_w²/k²) Σ_Δ K(p + Δ, p' + Δ) + σ_b² | (σ_w²/k²) Σ_Δ Θ(p + Δ, p' + Δ) + Σ⁺ |
| φ of a Gaussian field | E[φ(u) φ(v)] | E[φ'(u) φ'(v)] Θ |
| average over windows | mean of K(p, p') over both windows | mean of Θ(p, p') |
| sum, multiple | bilinear, with the cross terms of branches that share a field | likewise |
| LayerNorm, all features | (K − m μ' − μ m' + m m')/ss' | Θ/ss' |

At the input K = xᵀx'/d and Θ = 0. Behind the edge of an image K = Θ = 0. A layer whose weight or bias does
not require gradients leaves its part of Σ⁺ out of Θ⁺. LayerNorm divides by s = √(v + eps), v the variance
over all features, which at infinite width is a number of the example alone, as is their mean m (μ is that at
p; 0 for a Gaussian field). Its scale 1 and shift 0, where it has them and they are trained, are not in the
ntk parameterization but as they are, one for each feature: they add K⁺ and 1 to Θ⁺ at p = p'. The scale is
not independent of the field that it multiplies: behind φ(LayerNorm) it gives E[φ'(u)u φ'(v)v], which for a
piecewise linear φ is E[φ(u)φ(v)]; behind other φ a trained scale is an error.

Functions. With (u, v) normal of mean 0, E[u²] = a = K(x, x), E[v²] = b = K(x', x'), E[uv] = c = K(x, x'):

| φ | E[φ(u) φ(v)] | E[φ'(u) φ'(v)] | source |
| --- | --- | --- | --- |
| relu | √(ab) (sin θ + (π − θ) cos θ)/2π | (π − θ)/2π | Cho & Saul 2009, J₁ and J₀ |
| u if u > 0 else s u | (1 − s)² times that of relu, + s c | (1 − s)² (π − θ)/2π + s | s u + (1 − s) relu(u) |
| erf | (2/π) arcsin(2c/√((1 + 2a)(1 + 2b))) | (4/π)/√((1 + 2a)(1 + 2b) − 4c²) | Williams 1998, eq. 11 |
| gelu | c/4 + [c arctan(c/Δ) + N/(PΔ)]/2π | see `nonlinearities.Gelu` | Tsuchida et al. 2021 |
| sin | e^{−(a + b)/2} sinh c | e^{−(a + b)/2} cosh c | characteristic function of u ± v |
| others | quadrature | quadrature | `nnlab.ntk.infinite.dual_tables` |

where cos θ = c/√(ab), P = (1 + a)(1 + b), Δ² = P − c² and N = c² + abΔ². The third column is the derivative
of the second in c (Price's theorem). For all others, such as tanh, sigmoid, ELU, softplus
and cos, both columns come from tables of integrals that agree to 10⁻¹¹ of the largest entry with
integrals by a finer rule, checked whenever a table is made; measured with standard deviations up to 3.2 they
agree to 6 · 10⁻¹² or better.

Precision. Written in c, the kernels lose half of the digits where x and x' are nearly parallel. A dense chain
of ReLU, leaky ReLU or erf is computed in angles, whose absolute error is a few ε
(`nnlab.ntk.infinite.angles`). Everything else carries ½E[(u − v)²], which keeps the digits of nearly equal
fields; where fields are parallel but of other lengths, or equal behind an average or a sum of branches that
share a field, the angle has an error of up to √ε, and Θ, behind a function with a kink, one of 10⁻⁸.
"""

import math
import os
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.memory import in_words
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.empirical.blocks import Progress, pairs_of, slices
from nnlab.ntk.empirical.kernel_file import KernelFile
from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError, check_shapes, checked_limit
from nnlab.ntk.infinite.angles import Layer, augmented, erf_layer, first_pairs, kernels, relu_layer
from nnlab.ntk.infinite.moments import Block, Moments, Setting
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Sum
from nnlab.ntk.infinite.nonlinearities import ERF, PiecewiseLinear
from nnlab.ntk.infinite.pairwise import Program, independent
from nnlab.ntk.infinite.tracing import Sigma, trace

# Entries of the largest array of a block: larger ones do not fit the processor's cache.
BLOCK = 2**20
ANGLES = 24  # numbers that a pair of a chain of dense layers needs at a time
INPUT = 8  # numbers that a pair of examples needs beside its states, for the angle between them
TILES = 2**29  # bytes of a function's tile on a device other than the CPU

LAYERS: dict[str, Layer] = {"relu": relu_layer, "erf": erf_layer}

# Computes the blocks of the two kernels in some rows and columns.
Compute = Callable[[slice, slice], tuple[Tensor, Tensor]]


@overload
def infinite_ntk(
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> tuple[Tensor, Tensor]: ...


@overload
def infinite_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    sigma_w: Sigma = None,
    sigma_b: Sigma = None,
    memory_limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]: ...


def infinite_ntk(*examples: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """Returns the kernels Σ and Θ of an infinitely wide network in the ntk parameterization.

    `infinite_ntk(x1, x2, depth=3, activation="erf")` is for an `MLP` of the same width in every layer;
    `infinite_ntk(model, x1, x2)` for a module as `empirical_ntk` takes it, of which only the architecture
    matters, not the values of its parameters. Supported are MLPs, and modules that torch.fx can trace and
    that consist of linear layers, convolutions (1d and 2d, zero padding, groups=1), elementwise functions
    that are smooth except at 0, average pooling, means over positions, flatten, sums, multiples by numbers,
    LayerNorm over all features, identities and dropout in evaluation mode. Everything else is an error.

    Args:
        model: a module; plain layers of torch stand for those of the ntk parameterization of the same shape.
        x1: (n₁, ...) examples; of the first form flattened to d numbers each, as `MLP` does.
        x2: (n₂, ...) others; x1 itself if left out, and then the kernels are symmetric to the last bit.
        depth: hidden layers; 0 is the linear model.
        activation: relu or erf.
        sigma_w: σ_w, of a module also by the names of its layers. By default that of a `ScaledLinear`'s
            multiplier, and of other layers the gain of the model's activation, √2 for relu; 1 without any.
        sigma_b: σ_b, likewise; by default that of a `ScaledLinear`'s multiplier, else 0.1. A layer without
            bias has σ_b = 0 whatever is given.
        memory_limit: bytes to hold beside the examples, the kernels included unless they go to `out`. A
            quarter of the free memory if None.
        out: a new .npy file for both kernels, (2, n₁, n₂), Σ first; the results are then memory maps of it.
        progress: called with the numbers of pairs of examples done and in all.

    Returns:
        (nngp, ntk), each (n₁, n₂) in float64 on the device of x1, whatever the dtype of x1 and the model.

    Raises:
        KernelError: shapes that do not fit, arguments that are not allowed, or an operation of the model
            that is not supported; the message names it.
        MemoryLimitError: the limit does not hold the kernels, or the covariances of one pair of examples.
        NonFiniteError: NaN or infinity in the inputs or a kernel, or inputs whose squared norm overflows
            float64.
    """
    first = examples[0] if examples else options.get("model", options.get("x1"))
    form = _of_module if isinstance(first, nn.Module) else _of_mlp
    return form(*examples, **options)


def _of_mlp(
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> tuple[Tensor, Tensor]:
    if not isinstance(x1, Tensor):
        raise KernelError(
            f"infinite_ntk: the first argument is {type(x1).__name__}; it must be a module, or a tensor of "
            "examples"
        )
    layer, sigma_w, sigma_b = checked_network(depth, activation, sigma_w, sigma_b)
    _check_examples(x1, x2)
    if x2 is not None and x1[0].numel() != x2[0].numel():
        raise KernelError(
            f"infinite_ntk: x1 has {x1[0].numel()} numbers per example and x2 has {x2[0].numel()}; they must "
            "agree"
        )
    layers = [(layer, sigma_w, sigma_b)] * depth
    compute, pairs, workers = _by_angles(layers, sigma_w, sigma_b, x1, x2)
    both = torch.empty(2, len(x1), len(x1 if x2 is None else x2), dtype=torch.float64, device=x1.device)
    _fill(both, compute, pairs, x2 is None, workers)
    return both[0], both[1]


def checked_network(
    depth: int, activation: str, sigma_w: float | None, sigma_b: float | None
) -> tuple[Layer, float, float]:
    """Returns the layer's rule, σ_w and σ_b, with the defaults of `MLP`."""
    if activation not in LAYERS:
        raise KernelError(
            f"infinite_ntk: the form with depth= has no closed form for the activation {activation}; "
            f"{suggest(activation, LAYERS)}. For others give a module in place of depth="
        )
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise KernelError(
            f"infinite_ntk: depth {depth!r} is not allowed: it is a number of layers, at least 0"
        )
    if sigma_w is None:
        sigma_w = get_activation(activation).gain if depth else 1.0
    if sigma_b is None:
        sigma_b = DEFAULT_SIGMA_B["ntk"]
    if not (math.isfinite(sigma_w) and sigma_w > 0):
        raise KernelError(f"infinite_ntk: sigma_w {sigma_w} is not allowed: it must be positive and finite")
    if not (math.isfinite(sigma_b) and sigma_b >= 0):
        raise KernelError(f"infinite_ntk: sigma_b {sigma_b} is not allowed: it must be at least 0 and finite")
    return LAYERS[activation], sigma_w, sigma_b


def _of_module(
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
    _check_examples(x1, x2)
    if x2 is not None:
        check_shapes(x1, x2)
        if x1.device != x2.device:
            raise KernelError(f"x1 is on {x1.device} and x2 on {x2.device}; move one of them")
    node = trace(model, tuple(x1.shape[1:]), sigma_w, sigma_b)
    limit = checked_limit(memory_limit, x1.device)
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
        chain = _chain(node)
        if chain is not None:
            layers, first, source = chain
            values = source.values(points[0]), None if points[1] is None else source.values(points[1])
            compute, pairs, workers = _by_angles(layers, first.sigma_w, first.sigma_b, *values, spare)
        else:
            compute, pairs, workers = _by_program(node, *points, spare)
        _fill(both, compute, pairs, x2 is None, workers, progress)
        if out is not None:
            file.finish()
    return both[0], both[1]


def _check_examples(x1: Tensor, x2: Tensor | None) -> None:
    """Raises KernelError for what is not a set of real examples, NonFiniteError for NaN or infinity."""
    for name, x in (("x1", x1), ("x2", x2)):
        if x is None:
            continue
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


# --- dense chains, by angles ------------------------------------------------------------------------


def _chain(node: Node) -> tuple[list[tuple[Layer, float, float]], Linear, Fixed] | None:
    """The layers of a dense chain with closed forms in angles, all of whose parameters are trained."""
    layers: list[tuple[Layer, float, float]] = []
    while isinstance(node, Linear) and node.positions == node.source.positions == 1 and node.windows is None:
        before = node.source
        if node.trains != (True, True):
            return None
        if isinstance(before, Fixed):
            return layers[::-1], node, before
        if not isinstance(before, Nonlinear):
            return None
        function = before.function
        if function == ERF:
            rule: Layer = erf_layer
        elif isinstance(function, PiecewiseLinear) and function.kink >= 0:
            rule = partial(relu_layer, slope=function.kink)
        else:
            return None
        layers.append((rule, node.sigma_w, node.sigma_b))
        node = before.source
    return None


def _by_angles(
    layers: list[tuple[Layer, float, float]],
    sigma_w: float,
    sigma_b: float,
    x1: Tensor,
    x2: Tensor | None,
    limit: int = sys.maxsize,
) -> tuple[Compute, int, int]:
    """Returns the computation of a block, how many pairs it takes, and the number of workers.

    Args:
        layers: the hidden layers, each with σ_w and σ_b of the linear layer after it.
        sigma_w, sigma_b: of the first linear layer.
    """
    held = 2 * 8 * (x1[0].numel() + 2) * (len(x1) + (0 if x2 is None else len(x2)))
    pair = 8 * ANGLES
    if held + pair > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(max(limit, 0))} do not hold the examples in float64, {in_words(held)}, "
            "and a pair of them; raise the limit"
        )
    points1 = augmented(x1, "x1", sigma_w, sigma_b)
    points2 = points1 if x2 is None else augmented(x2, "x2", sigma_w, sigma_b)

    def compute(rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        return kernels(first_pairs(points1, points2, rows, columns), layers)

    return compute, max(1, min(BLOCK, (limit - held) // pair)), 1


# --- all other networks, by a program ---------------------------------------------------------------


def _by_program(node: Node, x1: Tensor, x2: Tensor | None, limit: int) -> tuple[Compute, int, int]:
    """Returns the computation of a block, how many pairs it takes, and the number of workers."""
    program = Program(node)
    numbers = sum(  # of an example: values that are computed from the input, and moments of every field
        node.positions * (node.channels * 3 if isinstance(node, Fixed) else 4) for node in program.looked_up
    )
    held = 8 * (len(x1) + (0 if x2 is None else len(x2))) * numbers
    held += 0 if x1.device.type == "cpu" else TILES
    pair = 8 * (program.numbers + INPUT)
    if held + pair > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(max(limit, 0))} do not hold one pair of examples, {in_words(pair)}, "
            f"beside the moments of all examples, {in_words(held)}; raise the limit"
        )
    room = (limit - held) // pair
    # each worker computes a block alone, as its tiles are too small to be shared by torch's own threads
    workers = 1 if x1.device.type != "cpu" else max(1, min(torch.get_num_threads(), room))
    pairs = max(1, min(room // workers, BLOCK // max(1, program.numbers // 6)))

    alone = partial(_second_moments, numbers=max(1, (limit - held) // 8))
    left = Moments(x1, "x1", alone)
    setting = Setting(left, left if x2 is None else Moments(x2, "x2", alone))
    program.prepare(setting)

    def compute(rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        covariance, tangent = program.run(Block(setting, rows, columns))
        covariance = covariance[:, :, 0, 0]
        return covariance, torch.zeros_like(covariance) if tangent is None else tangent[:, :, 0, 0]

    return compute, pairs, workers


def _second_moments(moments: Moments, node: Node, numbers: int) -> Tensor:
    """E[h(x, p)²] from the pairs of each example with itself, with a limit to the numbers at a time."""
    if isinstance(node, Sum) and independent(node):
        parts = [factor**2 * moments.variance(term) for factor, term in node.terms]
        return sum(parts[1:], parts[0])
    program, setting = Program(node), Setting(moments, moments)
    program.prepare(setting)
    blocks = slices(0, len(moments.x), max(1, min(numbers, BLOCK) // program.numbers))
    parts = [program.run(Block(setting, rows, None))[0][:, 0, :, 0] for rows in blocks]
    return torch.cat(parts)


# --- blocks -----------------------------------------------------------------------------------------


def _fill(
    both: Tensor,
    compute: Compute,
    pairs: int,
    symmetric: bool,
    workers: int,
    progress: Progress | None = None,
) -> None:
    """Computes the kernels block by block."""
    _, n1, n2 = both.shape
    total, done = pairs_of(n1, None if symmetric else n2), 0

    def work(rows: slice, columns: slice) -> int:
        values = compute(rows, columns)
        for kernel, value in zip(both, values, strict=True):
            _check_finite(value, rows, columns)
            kernel[rows, columns] = value
        # pairs that no other block has: those below the diagonal are copies
        firsts = (max(columns.start, i) if symmetric else columns.start for i in range(rows.start, rows.stop))
        return sum(max(0, columns.stop - first) for first in firsts)

    with closing(_worked(work, _blocks(n1, n2, symmetric, pairs), workers)) as counts:
        for count in counts:
            done += count
            if progress is not None:
                progress(done, total)
    if symmetric:
        for kernel in both:
            _mirror(kernel)


def _blocks(n1: int, n2: int, symmetric: bool, pairs: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns; of symmetric kernels only those right of the diagonal."""
    start = 0
    while start < n1:
        first = start if symmetric else 0
        rows = slice(start, min(n1, start + max(1, pairs // (n2 - first))))
        for columns in slices(first, n2, max(1, pairs // (rows.stop - rows.start))):
            yield rows, columns
        start = rows.stop


def _worked(
    work: Callable[[slice, slice], int], blocks: Iterator[tuple[slice, slice]], workers: int
) -> Generator[int, None, None]:
    """Yields the result of the work on each block, with several threads at a time."""
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
        yield from (future.result() for future in as_completed(waiting))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _check_finite(block: Tensor, rows: slice, columns: slice) -> None:
    if bool(torch.isfinite(block).all()):
        return
    i, j = (int(k) for k in (~torch.isfinite(block)).nonzero()[0])
    raise NonFiniteError(
        f"infinite_ntk: the kernel between the examples {rows.start + i} and {columns.start + j} is not "
        "finite in float64: the inputs, sigma_w or the depth are too large, or a norm divides by 0; scale "
        "them down"
    )


def _mirror(kernel: Tensor) -> None:
    """Copies the part above the diagonal below it, block by block."""
    n = len(kernel)
    step = max(1, BLOCK // n)
    for start in range(0, n, step):
        stop = min(start + step, n)
        kernel[stop:, start:stop] = kernel[start:stop, stop:].T
        square = kernel[start:stop, start:stop]
        square.copy_(square.triu() + square.triu(1).T)
