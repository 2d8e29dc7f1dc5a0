"""The tangent kernel H = J Jᵀ of a finite network, J being the derivative of its scores in its parameters."""

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.memory import default_limit, in_words
from nnlab.ntk.blocks import Blocks, Costs, Progress, choose_blocks, fill, pairs_of
from nnlab.ntk.errors import KernelError, MemoryLimitError, ModelError, NonFiniteError
from nnlab.ntk.factors import Output, from_public, public, tile_shape
from nnlab.ntk.layers import (
    Network,
    check_independent,
    check_mode,
    group,
    merged,
    probe,
)
from nnlab.ntk.layerwise import Plan, factors, jacobian_rows, plan_layer
from nnlab.ntk.products import fill_by_products

Method = Literal["auto", "layerwise", "jacobian", "products"]
METHODS: tuple[Method, ...] = ("layerwise", "jacobian", "products")
OUTPUTS = ("full", "trace", "diagonal")

# So few numbers, where memory is ample, go through the network at once, and no second time for the layers.
SMALL = 2**12
ENOUGH = 2**28

log = logging.getLogger("nnlab.ntk")


def as_matrix(kernel: Tensor) -> Tensor:
    """A full kernel (n₁, n₂, C, C) as a matrix (n₁C, n₂C), the example index outermost.

    Without a copy where the kernel lies in memory as `empirical_ntk` returns it. A trace kernel (n₁, n₂) is
    a matrix already.

    Raises:
        KernelError: another number of axes.
    """
    if kernel.ndim == 2:
        return kernel
    if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
        raise KernelError(f"as_matrix: shape {tuple(kernel.shape)}; a full kernel has (n₁, n₂, C, C)")
    n1, n2, outputs, _ = kernel.shape
    return kernel.permute(0, 2, 1, 3).reshape(n1 * outputs, n2 * outputs)


def empirical_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    params: Mapping[str, Tensor] | None = None,
    output: Output = "full",
    method: Method = "auto",
    per_layer: bool = False,
    outputs: Sequence[int] | None = None,
    memory_limit: int | None = None,
    dtype: torch.dtype | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Tensor | dict[str, Tensor]:
    """H(x, x') = J(x) J(x')ᵀ over all parameters that require gradients.

    Args:
        model: a module that maps (n, …) to (n, C) and treats examples independently; in evaluation mode
            where it has batch norm or dropout.
        x1: (n₁, …) examples.
        x2: (n₂, …) examples; None stands for x1, of which one symmetric half is computed.
        params: values to take instead of the model's own, by name.
        output: `full` (n₁, n₂, C, C); `trace` (n₁, n₂), its sum over equal outputs; `diagonal` (n₁, n₂, C).
        method: `layerwise` (see `nnlab.ntk.factors`), `jacobian` (torch.func's vmap over jacrev, contracted),
            `products` (vector products) or `auto`, which counts what each costs and logs its choice as
            `nnlab.ntk`.
        per_layer: return the contributions, whose sum is H, by the name of the module that holds the
            parameters.
        outputs: indices of the scores to look at; all of them if None. C is their number.
        memory_limit: bytes of anonymous memory to hold beside model and inputs, the kernel included unless
            it goes to `out`. A quarter of the free memory if None.
        dtype: of the computation; that of the parameters if None.
        out: a new .npy file for the kernel, which is then a memory map of it: for kernels that are larger
            than the memory limit.
        progress: told pairs of examples done and in all.

    Returns:
        The kernel, on the device of x1; or with `per_layer` a dict of them.

    Raises:
        KernelError: arguments that do not fit together.
        ModelError: dropout or batch norm in training mode, or outputs that are no (n, C) scores.
        MemoryLimitError: the limit does not hold the kernel, or the smallest block.
        NonFiniteError: NaN or infinity in an input, a parameter or the kernel.
    """
    _check_arguments(x1, x2, output, method, memory_limit)
    check_mode(model)
    network = _network(model, params, outputs, dtype)
    x1 = _examples("x1", x1, network)
    x2 = None if x2 is None else _examples("x2", x2, network)
    limit = default_limit(x1.device) if memory_limit is None else memory_limit
    task = _Task(network, x1, x2, output, per_layer, limit)
    with _Destination(task, limit, out) as destination:
        way = _choose(task, method, limit - destination.bytes_held)
        log.info("%s, within %s: %s", way.method, in_words(limit), way.why)
        try:
            way.fill(task, destination.kernels, progress)
        except NonFiniteError:
            for name, x in (("x1", x1), ("x2", x2)):
                _check_finite(name, x)
            raise
        destination.finish()
    kernels = {name: public(kernel, output) for name, kernel in destination.kernels.items()}
    return kernels if per_layer else kernels[None]  # type: ignore[return-value]


def feature_map(
    model: nn.Module,
    x: Tensor,
    *,
    params: Mapping[str, Tensor] | None = None,
    memory_limit: int | None = None,
) -> Tensor:
    """φ(x) = ∇_w f(x, w): the features whose inner products are the kernel, H(x, x') = φ(x)·φ(x').

    This is the Jacobian that `empirical_ntk` avoids: to look at, for small networks.

    Args:
        model: as for `empirical_ntk`.
        x: (n, …) examples.
        params: values to take instead of the model's own, by name.
        memory_limit: bytes; a quarter of the free memory if None.

    Returns:
        (n, C, p), the parameters that require gradients in the order of the model.

    Raises:
        MemoryLimitError: the limit does not hold it twice.
        KernelError, ModelError, NonFiniteError: as for `empirical_ntk`.
    """
    check_mode(model)
    network = _network(model, params, None, None)
    x = _examples("x", x, network)
    limit = default_limit(x.device) if memory_limit is None else memory_limit
    task = _Task(network, x, None, "full", per_layer=False, limit=limit)
    size = 2 * len(x) * task.outputs * merged(task.groups).size * task.itemsize
    if size > limit:
        raise MemoryLimitError(
            f"memory_limit: the features take {in_words(size)}, the limit is {in_words(limit)}; "
            "take fewer examples or a smaller model"
        )
    return jacobian_rows(network, network.trained, x)


# --- what is computed, and which way ----------------------------------------------------------------


class _Task:
    """A kernel to compute.

    Attributes:
        names: of its parts: the modules that hold parameters, or None for their sum.
        outputs: C.
    """

    def __init__(
        self,
        network: Network,
        x1: Tensor,
        x2: Tensor | None,
        output: Output,
        per_layer: bool,
        limit: int,
    ) -> None:
        self.x1, self.x2, self.output = x1, x2, output
        small = len(x1) > 1 and x1.numel() <= SMALL and limit >= ENOUGH
        sample = x1 if small else x1[:2].clone() if len(x1) > 1 else torch.cat([x1, x1])
        self.seen = seen = probe(network, sample)
        self.network = seen.network
        if seen.raw.ndim == 0 or len(seen.raw) != len(sample):
            raise ModelError(
                f"the model maps {tuple(sample.shape)} to {tuple(seen.raw.shape)}; scores (n, C) are needed, "
                "a row for each example"
            )
        _check_outputs(network.outputs, seen.raw[0].numel())
        check_independent(network, sample, seen.raw)
        self.groups = group(network, network.trained)
        self.names: list[str | None] = [layer.name for layer in self.groups] if per_layer else [None]
        self.outputs = network.scores(seen.raw).shape[1]
        self.itemsize = seen.raw.dtype.itemsize
        self.saved, self.layers = seen.saved, seen.layers

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the kernel, as it lies in memory."""
        return tile_shape(self.output, len(self.x1), self.n2, self.outputs)

    @property
    def n2(self) -> int:
        return len(self.x1 if self.x2 is None else self.x2)

    @property
    def pairs(self) -> int:
        return pairs_of(len(self.x1), None if self.x2 is None else len(self.x2))

    def plans(self, method: Method) -> list[Plan]:
        """The parameters in groups, and how each is treated."""
        layers = self.layers
        if method != "layerwise":
            layers = self.groups if None not in self.names else [merged(self.groups)]
        return [plan_layer(layer, self.output, self.outputs, len(self.x1)) for layer in layers]


@dataclass(frozen=True)
class _Way:
    """A method with what it costs and how it would go about it."""

    method: Method
    plans: list[Plan]
    blocks: Blocks
    operations: float

    @property
    def why(self) -> str:
        treatments = Counter(plan.treatment for plan in self.plans)
        listed = ", ".join(f"{count} by {treatment}" for treatment, count in treatments.items())
        return (
            f"{self.operations:.2g} floating-point operations; parameters in {len(self.plans)} groups "
            f"({listed}); {self.blocks.held} examples held, {self.blocks.pass_} in a pass"
        )

    def fill(self, task: _Task, kernels: Mapping[str | None, Tensor], progress: Progress | None) -> None:
        network, output, x1, x2 = task.network, task.output, task.x1, task.x2
        if self.method == "products":
            groups = [plan.layer for plan in self.plans]
            fill_by_products(kernels, network, groups, x1, x2, output, self.blocks.held, progress)
            return
        fill(
            kernels,
            [plan.layer.name for plan in self.plans],
            lambda x: factors(network, self.plans, output, x, self.blocks.pass_, task.seen),
            x1,
            x2,
            output,
            self.blocks,
            progress,
        )


def _choose(task: _Task, method: Method, limit: int) -> _Way:
    """The method asked for; for `auto` the one with the fewest operations among those that fit."""
    if method != "auto":
        return _way(task, method, limit)
    ways, reasons = [], []
    for candidate in METHODS:
        try:
            ways.append(_way(task, candidate, limit))
        except MemoryLimitError as error:
            reasons.append(f"{candidate}: {error}")
    if not ways:
        raise MemoryLimitError("; ".join(reasons))
    return min(ways, key=lambda way: way.operations)


def _way(task: _Task, method: Method, limit: int) -> _Way:
    plans = task.plans(method)
    symmetric = task.x2 is None
    if method == "products":
        block = _products_block(task, limit)
        return _Way(method, plans, Blocks(block, 1, block, (block, 1)), _operations(task, method, plans))
    blocks = choose_blocks(_costs(task, plans), len(task.x1), task.n2, symmetric, limit)
    return _Way(method, plans, blocks, _operations(task, method, plans, blocks))


def _costs(task: _Task, plans: Sequence[Plan]) -> Costs:
    """Bytes: a pass keeps what autograd saves, and makes gradients and patches of one layer beside."""
    numbers = sum(plan.numbers for plan in plans)
    rows = [plan.layer for plan in plans if plan.treatment == "rows"]
    patches = sum(layer.positions * layer.inputs for layer in rows)
    weights = max((3 * layer.size for layer in rows), default=0)
    gradients = max(3 * plan.layer.positions * plan.layer.units for plan in plans)
    by_torch = max((plan.numbers for plan in plans if plan.treatment == "jacobian"), default=0)
    vectorized = task.outputs * task.saved if by_torch else 0  # vmap takes all outputs through at once
    pair = task.outputs**2 if task.output == "full" else 1
    return Costs(
        factors=numbers * task.itemsize,
        pass_=2 * task.saved
        + 2 * vectorized
        + (patches + weights + gradients + 2 * by_torch) * task.itemsize,
        pair=3 * pair * task.itemsize,
    )


def _products_block(task: _Task, limit: int) -> int:
    """Examples that go through the network together: their graph, beside two vectors of all parameters."""
    vectors = 3 * sum(layer.size for layer in task.groups) * task.itemsize
    example = 6 * task.saved + task.itemsize * task.outputs
    if vectors + example > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(limit)} do not hold three vectors of all parameters, "
            f"{in_words(vectors)}, and the graph of one example, {in_words(example)}; raise the limit"
        )
    return max(1, min(len(task.x1), (limit - vectors) // example))


def _operations(task: _Task, method: Method, plans: Sequence[Plan], blocks: Blocks | None = None) -> float:
    """Floating-point operations: a multiplication and an addition are two; backward passes count as two."""
    n1, n2, c = len(task.x1), task.n2, task.outputs
    forward = 2.0 * sum(layer.positions * layer.inputs * layer.units for layer in task.layers)
    if method == "products":
        return n2 * c * (3 * forward + 6 * n1 * forward)
    assert blocks is not None
    passes = n1 + (0 if task.x2 is None else n2)
    if blocks.held < n1:  # the other blocks go through the network again for each block that is held
        passes = n1 + n1 * n2 // blocks.held // (2 if task.x2 is None else 1)
    return passes * (1 + 2 * c) * forward + 2.0 * task.pairs * sum(plan.multiplications for plan in plans)


# --- where it goes ----------------------------------------------------------------------------------


class _Destination:
    """The kernel's memory: plain, or a memory map of a new file that bears its name only when it is whole."""

    def __init__(self, task: _Task, limit: int, out: str | os.PathLike[str] | None) -> None:
        self._task, self._limit = task, limit
        self._path = None if out is None else Path(out)
        self._partial = None if self._path is None else self._path.with_name(f"{self._path.name}.partial")
        self.kernels: dict[str | None, Tensor] = {}
        self.bytes_held = 0

    def __enter__(self) -> "_Destination":
        task = self._task
        size = math.prod(task.shape) * task.itemsize * len(task.names)
        if self._path is None:
            if size > self._limit:
                raise MemoryLimitError(
                    f"memory_limit: the kernel itself takes {in_words(size)}, the limit is "
                    f"{in_words(self._limit)}; write it to a file with out=, or ask for output='trace'"
                )
            self.bytes_held = size
            self.kernels = {
                name: torch.empty(task.shape, dtype=_dtype(task), device=task.x1.device)
                for name in task.names
            }
        else:
            self.kernels = {None: self._mapped(self._path, size)}
        return self

    def _mapped(self, path: Path, size: int) -> Tensor:
        task = self._task
        if task.names != [None]:
            raise KernelError(f"out: {path}: per_layer=True makes several kernels; call it without out")
        if path.exists():
            raise KernelError(f"out: {path}: exists already; choose a new name")
        if not path.parent.is_dir():
            raise KernelError(f"out: {path}: there is no folder {path.parent}")
        public_shape = public(torch.empty(task.shape, device="meta"), task.output).shape
        dtype = torch.empty(0, dtype=_dtype(task)).numpy().dtype
        assert self._partial is not None
        try:
            mapped = np.lib.format.open_memmap(self._partial, "w+", dtype, tuple(public_shape))
            _reserve(self._partial)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise KernelError(f"out: {path}: {in_words(size)} cannot be written there: {error}") from error
        return from_public(torch.from_numpy(mapped), task.output)

    def finish(self) -> None:
        """The kernel is whole: its file gets its name. The system writes it to disk when it has time."""
        if self._partial is not None and self._path is not None:
            self._partial.rename(self._path)

    def __exit__(self, *_: object) -> None:
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)


def _dtype(task: _Task) -> torch.dtype:
    return next(iter(task.network.parameters.values())).dtype


def _reserve(path: Path) -> None:
    """Takes the disk space now: writing to a memory map on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


# --- checks -----------------------------------------------------------------------------------------


def _check_arguments(
    x1: Tensor, x2: Tensor | None, output: str, method: str, memory_limit: int | None
) -> None:
    for name, value, allowed in (("output", output, OUTPUTS), ("method", method, ("auto", *METHODS))):
        if value not in allowed:
            raise KernelError(f"{name}: {value!r} is unknown; {suggest(str(value), allowed)}")
    if memory_limit is not None and memory_limit < 1:
        raise KernelError(f"memory_limit: {memory_limit}: must be a positive number of bytes")
    if x2 is not None and x1.shape[1:] != x2.shape[1:]:
        raise KernelError(
            f"x1 holds examples of shape {tuple(x1.shape[1:])}, x2 of {tuple(x2.shape[1:])}; "
            "both must be of one shape"
        )


def _check_outputs(outputs: Sequence[int] | None, count: int) -> None:
    for index in outputs or ():
        if not 0 <= index < count:
            raise KernelError(f"outputs: {index}: the model has the outputs 0 to {count - 1}")
    if outputs is not None and (len(outputs) == 0 or len(set(outputs)) != len(outputs)):
        raise KernelError(f"outputs: {list(outputs)}: name at least one, and each once")


def _network(
    model: nn.Module,
    params: Mapping[str, Tensor] | None,
    outputs: Sequence[int] | None,
    dtype: torch.dtype | None,
) -> Network:
    own = dict(model.named_parameters())
    trained = [name for name, parameter in own.items() if parameter.requires_grad]
    if not trained:
        raise ModelError("no parameter of the model requires gradients: there is nothing to differentiate in")
    values = {**own, **dict(model.named_buffers()), **_given(own, params or {})}
    dtype = dtype or values[trained[0]].dtype
    if dtype not in (torch.float32, torch.float64):
        raise KernelError(f"dtype: {dtype}: a kernel is computed in torch.float32 or torch.float64")
    cast = {
        name: value.detach().to(dtype) if value.is_floating_point() else value
        for name, value in values.items()
    }
    return Network(model, cast, trained, None if outputs is None else list(outputs))


def _given(own: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    for name, value in params.items():
        if name not in own:
            raise KernelError(f"params: {name}: the model has no such parameter; {suggest(name, own)}")
        if value.shape != own[name].shape:
            raise KernelError(
                f"params: {name}: shape {tuple(value.shape)}; the model's has {tuple(own[name].shape)}"
            )
    return params


def _examples(name: str, x: Tensor, network: Network) -> Tensor:
    """The examples in the kernel's type; raises where there are none."""
    if x.ndim < 2 or len(x) == 0:
        raise KernelError(f"{name}: shape {tuple(x.shape)}; at least one example is needed, as (n, …)")
    value = network.parameters[network.trained[0]]
    if x.device != value.device:
        raise KernelError(f"{name}: is on {x.device}, the model on {value.device}; move one of them")
    if not x.is_floating_point():
        return x.detach()
    return x.detach().to(value.dtype)


def _check_finite(name: str, x: Tensor | None) -> None:
    """Says which example is not finite."""
    if x is not None and not torch.isfinite(x).all():
        wrong = (~torch.isfinite(x.flatten(1)).all(1)).nonzero()[0, 0]
        raise NonFiniteError(f"{name}: example {int(wrong)} holds NaN or infinity")
