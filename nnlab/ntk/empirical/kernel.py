"""The tangent kernel H = J Jᵀ of a finite network, J being the derivative of its scores in its parameters."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index
from typing import Literal, overload

import torch
from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.memory import default_limit, in_words
from nnlab.ntk.empirical import verify
from nnlab.ntk.empirical.blocks import Blocks, Costs, Destination, Progress, choose_blocks, fill, pairs_of
from nnlab.ntk.empirical.factors import Factor, Output, from_public, public, tile_shape
from nnlab.ntk.empirical.functional import (
    LOW_PRECISION,
    FunctionalModule,
    check_module,
    examples,
    functional_module,
    surroundings,
)
from nnlab.ntk.empirical.graph import UnexpectedGraphError
from nnlab.ntk.empirical.jacobian import RowMethod, fill_by_products, jacobian_rows
from nnlab.ntk.empirical.kernel_file import KernelFile, fingerprint
from nnlab.ntk.empirical.layers import group, merged, probe, sample_of
from nnlab.ntk.empirical.layerwise import LayerPlan, factors, names_of, plan_layer
from nnlab.ntk.errors import (
    KernelError,
    MemoryLimitError,
    ModelError,
    NonFiniteError,
    check_shapes,
    checked_limit,
)

Method = Literal["auto", "layerwise", "jacobian", "products", "loop"]
METHODS: tuple[Method, ...] = ("layerwise", "jacobian", "products", "loop")
OUTPUTS: tuple[Output, ...] = ("full", "trace", "diagonal")

# So few numbers, where memory is ample, go through the network at once, and no second time for the layers.
SMALL = 2**12
ENOUGH = 2**28

# The share of a kernel's operations that the check may take where it draws more than the fewest examples.
CHECKED = 0.02

# How far rows of derivatives by two methods may differ; a unit at its kink may be on in one of them.
SAME_ROWS = {torch.float32: 1e-2, torch.float64: 1e-9}

# How much longer vmap takes for the same operations than one pass over all examples.
VMAP = 2.0

# What torch does for each node of a graph beside arithmetic, as long as so many floating-point operations.
NODE = 2e5

log = logging.getLogger("nnlab.ntk")


def as_matrix(kernel: Tensor) -> Tensor:
    """Reshapes a full kernel (n₁, n₂, C, C) to a matrix (n₁C, n₂C), the example index outermost.

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


@overload
def empirical_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    params: Mapping[str, Tensor] | None = None,
    output: Output = "full",
    method: Method = "auto",
    per_layer: Literal[False] = False,
    outputs: Sequence[int] | None = None,
    memory_limit: int | None = None,
    dtype: torch.dtype | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    verify: bool = True,
) -> Tensor: ...


@overload
def empirical_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    params: Mapping[str, Tensor] | None = None,
    output: Output = "full",
    method: Method = "auto",
    per_layer: Literal[True],
    outputs: Sequence[int] | None = None,
    memory_limit: int | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    verify: bool = True,
) -> dict[str, Tensor]: ...


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
    resume: bool = False,
    progress: Progress | None = None,
    verify: bool = True,
) -> Tensor | dict[str, Tensor]:
    """Computes H(x, x') = J(x) J(x')ᵀ over all parameters that require gradients.

    The module may be anyone's: its graph in autograd shows what it computes, however it is written. It is
    left as it was. Scores of an example must depend on that example alone, the same way in every call.

    Args:
        model: a module that maps (n, …) to (n, C); in evaluation mode where it has batch norm or dropout.
        x1: (n₁, …) examples: real numbers, which are cast to the type of the computation, or integers.
        x2: (n₂, …) examples; None stands for x1, of which one symmetric half is computed.
        params: values to use instead of the model's own, by name.
        output: `full` (n₁, n₂, C, C); `trace` (n₁, n₂), its sum over equal outputs; `diagonal` (n₁, n₂, C).
        method: `layerwise` (see `nnlab.ntk.empirical.graph` and `nnlab.ntk.empirical.factors`), `jacobian`
            (torch.func's vmap over jacrev, contracted), `products` (vector products), `loop` (a backward
            pass for each score of each example) or `auto`, which counts what each costs, takes the cheapest
            that works, and logs its choice as `nnlab.ntk`.
        per_layer: return the contributions, whose sum is H, by the name of the module that holds the
            parameters.
        outputs: indices of the scores to differentiate; all of them if None. C is their number.
        memory_limit: bytes of anonymous memory to hold beside model and inputs, the kernel included unless
            it goes to `out`. A quarter of the free memory if None.
        dtype: of the computation; the widest of the parameters' types if None, and float32 for a model in
            half precision.
        out: a new .npy file for the kernel, which is then a memory map of it: for kernels that are larger
            than the memory limit.
        resume: keep what an interrupted call has written beside `out`, and go on from there if the model,
            the examples and the settings are the same. That holds for a call that was stopped or killed; for
            a machine that lost power it may not.
        progress: called with the numbers of pairs done and in all.
        verify: whether the kernel is held against autograd before it is returned (see
            `nnlab.ntk.empirical.verify` for what that can miss). Where they disagree, `auto` takes the next
            method and says so in the log.

    Returns:
        The kernel, on the device of x1; or with `per_layer` a dict of them.

    Raises:
        KernelError: arguments that do not fit together, or are no module and no tensors.
        ModelError: dropout or batch norm in training mode, outputs that are no (n, C) scores, that are random
            or that depend on other examples; or no method's kernel agrees with autograd.
        MemoryLimitError: the limit does not hold the kernel, or the smallest block.
        NonFiniteError: NaN or infinity in an input, a parameter or the kernel.
    """
    check_module(model)
    for name, choice, allowed in (("output", output, OUTPUTS), ("method", method, ("auto", *METHODS))):
        if choice not in allowed:
            raise KernelError(f"{name}: {choice!r} is unknown; {suggest(str(choice), allowed)}")
    for name, value, fits, kind in (
        ("params", params, isinstance(params, Mapping), "a mapping from names to tensors"),
        ("out", out, isinstance(out, str | os.PathLike), "the path of a file"),
        ("progress", progress, callable(progress), "a function of two numbers"),
    ):
        if value is not None and not fits:
            raise KernelError(f"{name}: {value!r}: must be {kind}")
    with surroundings(model):
        network = functional_module(model, params, _checked_outputs(outputs), dtype)
        x1 = examples("x1", x1, network)
        x2 = None if x2 is None else examples("x2", x2, network)
        if x2 is not None:
            if x1.dtype != x2.dtype:
                raise KernelError(f"x1 is of type {x1.dtype}, x2 of {x2.dtype}; both must be of one type")
            check_shapes(x1, x2)
        limit = checked_limit(memory_limit, x1.device)
        task = _Task(network, x1, x2, output, per_layer, limit)
        half = {p.dtype for p in model.parameters() if p.requires_grad and p.dtype in LOW_PRECISION}
        if half:
            log.info("the parameters are %s; computed in %s", ", ".join(map(str, half)), network.dtype)
        with _destination(task, limit, out, resume) as (destination, spare):
            candidates = _candidates(task, method, spare)
            kernels = _first_right(task, candidates, destination, progress, verify)
    return kernels if per_layer else kernels[None]  # type: ignore[return-value]


def _first_right(
    task: "_Task",
    candidates: Iterable["_Candidate"],
    destination: Destination,
    progress: Progress | None,
    verified: bool,
) -> dict[str | None, Tensor]:
    """The kernel by the first candidate that works and that autograd agrees with."""
    faults: list[str] = []
    raised: list[BaseException] = []

    def report(done: int, total: int) -> None:
        """Calls the caller's progress, whose own errors are no failure of a method."""
        try:
            progress(done, total)  # type: ignore[misc]
        except BaseException as error:
            raised.append(error)
            raise

    destination.progress = None if progress is None else report
    for candidate in candidates:
        log.info("%s, within %s: %s", candidate.method, in_words(task.limit), candidate.description)
        try:
            candidate.fill(task, destination)
            kernels = destination.public()
            fault = task.fault(kernels, candidate) if verified else None
        except NonFiniteError:
            for name, x in (("x1", task.x1), ("x2", task.x2)):
                _check_finite(name, x)
            raise
        except Exception as error:
            if raised or (isinstance(error, KernelError) and not isinstance(error, UnexpectedGraphError)):
                raise
            fault = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if fault is None:
            return kernels
        destination.finished.forget()
        faults.append(f"{candidate.method}: {fault}")
        log.warning("%s is not used: %s", candidate.method, fault)
    if len(faults) == 1:
        raise ModelError(f"method={faults[0]}; choose method='auto', which takes another one")
    raise ModelError(
        f"no method gives a kernel that autograd agrees with: {'; '.join(faults)}. A model whose scores are "
        "no differentiable function of one example each has none"
    )


def feature_map(
    model: nn.Module,
    x: Tensor,
    *,
    params: Mapping[str, Tensor] | None = None,
    memory_limit: int | None = None,
) -> Tensor:
    """Computes φ(x) = ∇_w f(x, w), the features whose inner products are the kernel: H(x, x') = φ(x)·φ(x').

    This is the Jacobian that `empirical_ntk` avoids, for small networks.

    Args:
        model: as for `empirical_ntk`.
        x: (n, …) examples.
        params: values to use instead of the model's own, by name.
        memory_limit: bytes; a quarter of the free memory if None.

    Returns:
        (n, C, p), the parameters that require gradients in the order of the model.

    Raises:
        MemoryLimitError: the limit does not hold it twice.
        KernelError, ModelError, NonFiniteError: as for `empirical_ntk`.
    """
    check_module(model)
    with surroundings(model):
        network = functional_module(model, params)
        x = examples("x", x, network)
        limit = checked_limit(memory_limit, x.device)
        task = _Task(network, x, None, "full", per_layer=False, limit=limit)
        size = 2 * len(x) * task.outputs * merged(task.groups).size * task.itemsize
        if size > limit:
            raise MemoryLimitError(
                f"memory_limit: the features take {in_words(size)}, the limit is {in_words(limit)}; "
                "take fewer examples or a smaller model"
            )
        if _row_method(network, network.trained, x) == "vmap":
            with suppress(Exception):  # some rules for vmap fail with more examples only
                rows = jacobian_rows(network, network.trained, x)
                some = torch.linspace(0, len(x) - 1, min(3, len(x))).long()
                if _agree(rows[some], jacobian_rows(network, network.trained, x[some], "loop")):
                    return rows
        return jacobian_rows(network, network.trained, x, "loop")


def _row_method(network: FunctionalModule, names: Sequence[str], x: Tensor) -> RowMethod:
    """Chooses vmap where it works and is right for two examples."""
    some = x[:2]
    try:
        rows = jacobian_rows(network, names, some)
    except Exception:  # torch has no rule for vmap, or the module looks into its numbers
        return "loop"
    return "vmap" if _agree(rows, jacobian_rows(network, names, some, "loop")) else "loop"


def _agree(one: Tensor, two: Tensor) -> bool:
    """True where rows of derivatives are the same but for rounding."""
    return float((one - two).norm()) <= SAME_ROWS[one.dtype] * float(two.norm())


# --- the kernel, and the methods that compute it ----------------------------------------------------


class _Task:
    """A kernel to compute.

    Attributes:
        names: of its parts: the modules that hold parameters, or None for their sum.
        outputs: C.
    """

    def __init__(
        self,
        network: FunctionalModule,
        x1: Tensor,
        x2: Tensor | None,
        output: Output,
        per_layer: bool,
        limit: int,
    ) -> None:
        self.x1, self.x2, self.output, self.per_layer, self.network = x1, x2, output, per_layer, network
        self.limit = limit
        small = network.known and len(x1) > 1 and x1.numel() <= SMALL and limit >= ENOUGH
        self.probe = probe(network, x1 if small else sample_of(x1))
        raw = self.probe.last.raw
        self.groups = group(network, network.trained)
        self.names: list[str | None] = [layer.name for layer in self.groups] if per_layer else [None]
        self.outputs = network.scores(raw).shape[1]
        self.itemsize = network.dtype.itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the kernel in memory."""
        return tile_shape(self.output, len(self.x1), self.n2, self.outputs)

    @property
    def n2(self) -> int:
        return len(self.x1 if self.x2 is None else self.x2)

    @property
    def pairs(self) -> int:
        return pairs_of(len(self.x1), None if self.x2 is None else len(self.x2))

    @property
    def forward(self) -> float:
        """Floating-point operations of the forward pass of one example."""
        return self.probe.last.operations / len(self.probe.last.x)

    @cached_property
    def row_method(self) -> RowMethod:
        """The method for the rows of the parameters that have no rule."""
        opaque = [name for layer in self.probe.layers if layer.kind == "opaque" for name in layer.parameters]
        return _row_method(self.network, opaque, self.probe.last.x) if opaque else "vmap"

    @cached_property
    def vmap_fails(self) -> bool:
        """True where vmap does not give the Jacobian of all parameters."""
        if self.row_method == "loop":
            return True
        return _row_method(self.network, self.network.trained, self.probe.last.x) == "loop"

    def plans(self, method: Method) -> list[LayerPlan]:
        """The parameters in groups, and the treatment of each."""
        layers, rest = [], self.groups
        autograd: RowMethod = "loop" if method == "loop" else "vmap"
        if method == "layerwise":
            layers = [layer for layer in self.probe.layers if layer.kind != "opaque"]
            rest = [layer for layer in self.probe.layers if layer.kind == "opaque"]
            autograd = self.row_method
        if rest and not self.per_layer:
            rest = [merged(rest)]
        return [
            plan_layer(layer, self.output, self.outputs, len(self.x1), autograd) for layer in layers + rest
        ]

    def fingerprint(self) -> str:
        """Identifies the kernel, for a file whose computation may be resumed."""
        network = self.network
        settings = (type(network.module), self.output, network.outputs, network.dtype, list(network.trained))
        return fingerprint(settings, [*network.parameters.values(), self.x1, self.x2])

    def fault(self, kernels: Mapping[str | None, Tensor], candidate: "_Candidate") -> str | None:
        """Describes the error of a kernel; None without one."""
        passes = 1 if self.output == "full" else self.outputs
        each = (2 + 4 * passes) * self.forward
        room = self.limit // (4 * self.probe.saved + 1)
        count = int(min(verify.MOST, room, CHECKED * candidate.operations / max(each, 1.0)))
        return verify.disagreement(
            self.network, self.x1, self.x2, kernels, self.output,
            max(count, verify.LEAST_KNOWN if self.network.known else verify.LEAST), self.outputs,
            lambda network, x1, x2: self._again(network, x1, x2, candidate.method),
        )  # fmt: skip

    def _again(
        self, network: FunctionalModule, x1: Tensor, x2: Tensor | None, method: Method
    ) -> dict[str | None, Tensor]:
        """The kernel of a few examples by the same method, in several blocks and tiles as that of many is."""
        limit = default_limit(x1.device)
        task = _Task(network, x1, x2, self.output, self.per_layer, limit)
        few = max(1, len(x1) // 3)
        candidate = replace(_candidate(task, method, limit), blocks=Blocks(2 * few, few, few, (few, few)))
        with _destination(task, limit) as (destination, _):
            candidate.fill(task, destination)
        return destination.public()


@dataclass(frozen=True)
class _Candidate:
    """A method with its plans, blocks and floating-point operations."""

    method: Method
    plans: list[LayerPlan]
    blocks: Blocks
    operations: float

    @property
    def description(self) -> str:
        """The reasons for its place among the methods, for the log."""
        treatments = Counter(plan.treatment for plan in self.plans)
        listed = ", ".join(f"{count} by {treatment}" for treatment, count in treatments.items())
        return (
            f"{self.operations:.2g} floating-point operations; parameters in {len(self.plans)} groups "
            f"({listed}); {self.blocks.held} examples held, {self.blocks.pass_} in a pass"
        )

    def fill(self, task: _Task, destination: Destination) -> None:
        """Writes the kernel by this method."""
        x1, x2, blocks = task.x1, task.x2, self.blocks
        destination.begin(task.pairs)
        if self.method == "products":
            groups = [plan.layer for plan in self.plans]
            fill_by_products(destination, task.network, groups, x1, x2, blocks.held)
            return

        def factors_of(x: Tensor) -> list[Factor]:
            return factors(self.plans, task.output, x, blocks.pass_, task.probe, task.per_layer)

        fill(destination, names_of(self.plans, task.per_layer), factors_of, x1, x2, blocks)


def _candidates(task: _Task, method: Method, limit: int) -> Iterator[_Candidate]:
    """Yields the chosen method; for `auto` those that fit, the one with the fewest operations first."""
    if method != "auto":
        yield _candidate(task, method, limit)
        return
    methods = list(METHODS)
    if all(layer.kind != "opaque" for layer in task.probe.layers):  # then no other one is faster
        with suppress(MemoryLimitError):
            yield _candidate(task, "layerwise", limit)
            methods.remove("layerwise")
    candidates, reasons = [], []
    for name in methods:
        try:
            if name != "jacobian" or not task.vmap_fails:
                candidates.append(_candidate(task, name, limit))
        except MemoryLimitError as error:
            reasons.append(f"{name}: {error}")
    if len(reasons) == len(METHODS):
        raise MemoryLimitError("; ".join(reasons))
    yield from sorted(candidates, key=lambda candidate: candidate.operations)


def _candidate(task: _Task, method: Method, limit: int) -> _Candidate:
    plans = task.plans(method)
    if method == "products":
        block = _products_block(task, limit)
        blocks = Blocks(block, 1, block, (block, 1))
    else:
        blocks = choose_blocks(_costs(task, plans), len(task.x1), task.n2, task.x2 is None, limit)
    return _Candidate(method, plans, blocks, _operations(task, method, plans, blocks))


def _costs(task: _Task, plans: Sequence[LayerPlan]) -> Costs:
    """Counts bytes: a pass keeps what autograd saves, and makes gradients and patches of one layer beside."""
    numbers = sum(plan.numbers for plan in plans)
    saved = task.probe.saved
    rows = [plan.layer for plan in plans if plan.treatment == "rows"]
    uses = [plan.layer for plan in plans if plan.treatment == "uses"]
    patches = sum(layer.positions * layer.inputs for layer in rows)
    weights = max((3 * layer.size for layer in rows + uses), default=0)
    gradients = max((3 * plan.layer.positions * plan.layer.units for plan in plans), default=0)
    by_torch = max((plan.numbers for plan in plans if plan.treatment == "vmap"), default=0)
    vectorized = task.outputs * saved if by_torch else 0  # vmap takes all outputs through at once
    pair = task.outputs**2 if task.output == "full" else 1
    return Costs(
        factors=numbers * task.itemsize,
        pass_=2 * saved + 2 * vectorized + (patches + weights + gradients + 2 * by_torch) * task.itemsize,
        pair=3 * pair * task.itemsize,
    )


def _products_block(task: _Task, limit: int) -> int:
    """The examples of one pass: memory holds their graph, and vectors of all parameters."""
    vectors = 3 * sum(layer.size for layer in task.groups) * task.itemsize
    example = 6 * task.probe.saved + task.itemsize * task.outputs
    if vectors + example > limit:
        raise MemoryLimitError(
            f"memory_limit: {in_words(limit)} do not hold three vectors of all parameters, "
            f"{in_words(vectors)}, and the graph of one example, {in_words(example)}; raise the limit"
        )
    return max(1, min(len(task.x1), (limit - vectors) // example))


def _operations(task: _Task, method: Method, plans: Sequence[LayerPlan], blocks: Blocks) -> float:
    """Floating-point operations: a multiplication and an addition are two; backward passes count as two.

    The time that torch takes for each node of a graph counts too: of small passes it is the larger part.
    """
    n1, n2, c, forward = len(task.x1), task.n2, task.outputs, task.forward
    nodes = NODE * task.probe.last.nodes
    if method == "products":
        return n2 * c * (3 * forward + 6 * n1 * forward) + n2 * (1 + 4 * c) * nodes
    seen = n1 + (0 if task.x2 is None else n2)
    if blocks.held < n1:  # the other blocks go through the network again for each block that is held
        seen = n1 + n1 * n2 // blocks.held // (2 if task.x2 is None else 1)
    total = 2.0 * task.pairs * sum(plan.multiplications for plan in plans)
    passes = -(-seen // blocks.pass_)
    if any(not plan.by_autograd for plan in plans):
        total += seen * (1 + 2 * c) * forward + passes * (1 + 2 * c) * nodes
    for plan in plans:
        rows = 4.0 * seen * plan.numbers  # to write them
        if plan.treatment == "vmap":
            total += VMAP * (seen * (1 + 3 * c) * forward + passes * 3 * nodes) + rows
        elif plan.treatment == "loop":
            total += seen * ((1 + 3 * c) * forward + (1 + 2 * c) * nodes) + rows
    return total


@contextmanager
def _destination(
    task: _Task, limit: int, out: str | os.PathLike[str] | None = None, resume: bool = False
) -> Iterator[tuple[Destination, int]]:
    """Opens the kernel's memory, or a memory map of a new file, with the bytes that the limit leaves."""
    dtype, output = task.network.dtype, task.output
    if out is None:
        size = math.prod(task.shape) * task.itemsize * len(task.names)
        if size > limit:
            raise MemoryLimitError(
                f"memory_limit: the kernel itself takes {in_words(size)}, the limit is "
                f"{in_words(limit)}; write it to a file with out=, or ask for output='trace'"
            )
        kernels = {name: torch.empty(task.shape, dtype=dtype, device=task.x1.device) for name in task.names}
        yield Destination(kernels, output), limit - size
        return
    if task.per_layer:
        raise KernelError(f"out: {out}: per_layer=True makes several kernels; call it without out")
    shape = public(torch.empty(task.shape, device="meta"), output).shape
    in_numpy = torch.empty(0, dtype=dtype).numpy().dtype
    with KernelFile(out, tuple(shape), in_numpy, task.fingerprint() if resume else None) as file:
        yield Destination({None: from_public(file.array, output)}, output, file.finished, file.array), limit
        file.finish()


def _checked_outputs(outputs: Sequence[int] | None) -> list[int] | None:
    """The indices of scores as plain integers."""
    if outputs is None:
        return None
    try:
        indices = [index(value) for value in outputs]
    except TypeError as error:
        raise KernelError(f"outputs: {outputs!r}: a list of indices is needed, such as [0, 3]") from error
    if any(isinstance(value, bool) for value in outputs):
        raise KernelError(f"outputs: {outputs!r}: indices are needed, not true and false")
    if not indices or len(set(indices)) != len(indices):
        raise KernelError(f"outputs: {indices}: name at least one, and each once")
    return indices


def _check_finite(name: str, x: Tensor | None) -> None:
    """Raises NonFiniteError with the number of an example that is not finite."""
    if x is not None and not torch.isfinite(x).all():
        wrong = (~torch.isfinite(x.reshape(len(x), -1)).all(1)).nonzero()[0, 0]
        raise NonFiniteError(f"{name}: example {int(wrong)} holds NaN or infinity")
