"""Which groups of parameters a network has, and what each needs: it is watched with a few examples."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError, ModelError
from nnlab.ntk.network import Network
from nnlab.ntk.uses import (
    PRODUCTS,
    Graph,
    Layout,
    Role,
    Source,
    Use,
    find_uses,
    layouts,
    ordered,
    result_shape,
)

# Examples that a network is watched with. No usual size of a layer is a multiple of it.
SAMPLE = 5

# Calls that a random model would have to answer alike by chance.
REPETITIONS = 20

RANDOM = (
    "the outputs of the model are random: they change from one call to the next; call model.eval(), and look "
    "for dropout or noise that does not ask self.training"
)

MIXES = "the model mixes examples: the scores of one change with what else is in its batch"

# What rounding may change in the scores of an example when others are computed beside it; and in single
# precision, at most.
COMPANY = {torch.float32: 1e-5, torch.float64: 1e-9}
DOUBT = 1e-3

# The nodes that torch's autograd records for functions of one number each.
ELEMENTWISE = {
    f"{name}Backward{version}"
    for name in [
        "Clone", "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Sigmoid", "LogSigmoid",
        "Tanh", "Softplus", "Hardtanh", "Hardsigmoid", "Hardswish", "Erf", "Exp", "Sin", "Cos", "Neg", "Mul",
        "Div", "Add", "Sub", "Pow", "Abs", "Clamp", "Square",
    ]
    for version in (0, 1)
}  # fmt: skip


class UnexpectedGraphError(ModelError):
    """A pass whose graph is not that of the probe: the model chooses what to compute by its examples."""


@dataclass(frozen=True)
class Pass:
    """A forward pass, in a graph.

    Attributes:
        x: the examples.
        raw: what the module returned.
        leaves: the trained parameters in the graph, by name.
        graph: where they are used.
        tracked: whether the examples are a part of the graph.
    """

    x: Tensor
    raw: Tensor
    leaves: Mapping[str, Tensor]
    graph: Graph
    tracked: bool

    def is_of(self, x: Tensor) -> bool:
        """Whether the pass was of these very examples."""
        return x.data_ptr() == self.x.data_ptr() and x.shape == self.x.shape


def forward(network: Network, x: Tensor, probe: "Probe | None" = None) -> Pass:
    """The module's output on x, in a graph, and each use of its parameters.

    Args:
        network: the model.
        x: the examples.
        probe: what an earlier pass has shown, that this one must show again.

    Raises:
        UnexpectedGraphError: it does not.
        ModelError: the module fails.
    """
    leaves = network.leaves(network.trained)
    tracked = x.is_floating_point() and (probe is None or probe.last.tracked)
    try:
        raw, examples = _tracked(network, leaves, x) if tracked else (network.call(leaves, x), None)
    except KernelError:
        raise
    except Exception as error:
        if probe is not None:  # other methods may do
            raise UnexpectedGraphError(str(failed(x, error))) from error
        if not tracked:
            raise failed(x, error) from error
        try:  # some modules take examples that are no part of a graph only
            raw, examples = network.call(leaves, x), None
        except Exception as again:
            raise failed(x, again) from again
    decisions = probe.last.graph.decisions if probe is not None else [] if network.known else None
    graph = find_uses(raw, leaves, examples, len(x), decisions)
    _check_foreign(graph, network)
    if probe is not None and graph.signature != probe.last.graph.signature:
        raise UnexpectedGraphError("the model computes other things for some examples than for others")
    if probe is not None:
        _check_shapes(graph, probe, len(x))
    return Pass(x, raw, leaves, graph, examples is not None)


def _check_foreign(graph: Graph, network: Network) -> None:
    """Raises ModelError where a parameter was to be replaced, and the module uses the one that it had."""
    own = {id(parameter): name for name, parameter in network.module.named_parameters()}
    for tensor in graph.foreign:
        if id(tensor) in own:
            raise ModelError(
                f"parameter {own[id(tensor)]} is used in a place where no other value can be put, such as a "
                "hook or a plain list; call without params= and dtype="
            )


def _tracked(network: Network, leaves: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """With the examples as a leaf of the graph, so that it tells what depends on them."""
    leaf = x.detach().requires_grad_()
    return network.call(leaves, leaf.clone()), leaf


def failed(x: Tensor, error: Exception) -> ModelError:
    """What to say where the module itself fails."""
    reason = " ".join(str(error).split())
    return ModelError(
        f"the model fails on examples of shape {tuple(x.shape)} and type {x.dtype}: "
        f"{type(error).__name__}: {reason[:300]}; a tangent kernel needs one that takes any number of them"
    )


def _check_shapes(graph: Graph, probe: "Probe", n: int) -> None:
    for use, before, layout in zip(graph.uses, probe.last.graph.uses, probe.layouts, strict=True):
        if layout is None:
            continue
        expected = list(before.shape)
        expected[layout.axis] = n * layout.positions
        if list(use.shape) != expected:
            raise UnexpectedGraphError(
                f"the model computes {use.node.name()} of shape {use.shape} in place of {tuple(expected)}"
            )


# --- groups of parameters ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A group of parameters, and the sizes that say what it costs.

    Attributes:
        name: the name of the module that holds them; empty for the model itself.
        parameters: their names, those that are trained.
        kind: `product` of weights with inputs, `lookup` in a table, `rows` by the rules of each use, or
            `opaque`, which autograd has to differentiate.
        uses: numbers of the uses that it is over.
        inputs: d, numbers that a unit sees.
        units: m.
        positions: T, how often an example uses the weights.
        size: number of trained parameters p.
        scale: what A Aᵀ is multiplied by; 0 where the weight is not trained.
        constant: what a bias adds to it.
        is_output: the layer's result is the network's output.
        feeds_output: its result reaches the output layer through a function of one number each.
    """

    name: str
    parameters: tuple[str, ...]
    kind: Literal["product", "lookup", "rows", "opaque"] = "opaque"
    uses: tuple[int, ...] = ()
    inputs: int = 0
    units: int = 0
    positions: int = 1
    size: int = 0
    scale: float = 1.0
    constant: float = 0.0
    is_output: bool = False
    feeds_output: bool = False


@dataclass(frozen=True)
class Probe:
    """What a forward pass of a few examples tells.

    Attributes:
        network: the model.
        last: the pass; it holds the graph.
        layouts: of the result of each use; None where it belongs to no examples.
        layers: the groups of parameters.
        saved: bytes that the pass keeps for the backward pass, per example, parameters apart.
        known: whether all modules are known to treat examples one by one.
    """

    network: Network
    last: Pass
    layouts: list[Layout | None]
    layers: list[Layer]
    saved: int
    known: bool


def sample_of(x: Tensor) -> Tensor:
    """Some examples to watch, repeated where there are too few."""
    return x[torch.arange(SAMPLE, device=x.device) % min(len(x), SAMPLE)]


def probe(network: Network, x: Tensor) -> Probe:
    """Watches a forward pass of the examples x.

    Raises:
        ModelError: the module fails, mixes examples or is random.
    """
    known = network.known
    seen, saved = _first_pass(network, x)
    if not known:
        check_independent(network, x, seen.raw.detach())
    found = _layouts(network, seen, known)
    layers = _find_layers(network, seen, found)
    return Probe(network, seen, found, layers, saved // len(x), known)


def _first_pass(network: Network, x: Tensor) -> tuple[Pass, int]:
    """And the bytes that it keeps."""
    kept = _Kept(network.parameters.values())
    try:
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
            return forward(network, x), kept.bytes
    except ModelError:  # derivatives by torch.func inside a model do without such hooks
        seen = forward(network, x)
        numbers = sum(math.prod(result_shape(node)) for node in ordered(seen.raw.grad_fn))
        return seen, numbers * seen.raw.dtype.itemsize


class _Kept:
    """Bytes of the storages that a graph keeps, each counted once."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._sizes: dict[int, int] = {}

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())


def _layouts(network: Network, seen: Pass, known: bool) -> list[Layout | None]:
    """Where the examples stand at each use: the gradient of one example's scores is 0 elsewhere."""
    uses, n = seen.graph.uses, len(seen.x)
    if known or not uses:
        return [next(iter(layouts(use, n)), None) for use in uses]
    one = n // 2
    weights = torch.randn(network.scores(seen.raw).shape[1], generator=torch.Generator().manual_seed(0))
    score = network.scores(seen.raw)[one] @ weights.to(seen.raw)
    try:
        gradients = torch.autograd.grad(
            score, [use.edge for use in uses], retain_graph=True, materialize_grads=True
        )
    except Exception as error:
        raise ModelError(f"the model cannot be differentiated: {type(error).__name__}: {error}") from error
    return [_layout(use, g, one, n) for use, g in zip(uses, gradients, strict=True)]


def _layout(use: Use, g: Tensor, one: int, n: int) -> Layout | None:
    """The first that leaves no gradient to other examples than the one whose scores were taken."""
    for layout in layouts(use, n):
        front = layout.front(g)
        others = torch.arange(n, device=g.device) != one
        if not bool(front[others].any()):
            return layout
    return None


def check_independent(network: Network, x: Tensor, raw: Tensor) -> None:
    """Raises ModelError where the scores of an example change with the company that it is in, or by chance.

    Args:
        network: the model.
        x: a few examples.
        raw: what the model returned for them.
    """
    with torch.no_grad():
        together = network.scores(raw)
        again = network.scores(_called(network, x))
        if differ(together, again):
            raise ModelError(RANDOM)
        alone = [network.scores(_alone(network, x[i : i + 1], len(x))) for i in range(len(x))]
        if not depends_on_company(network, x, together, alone):
            return
        for number, scores in enumerate(alone * REPETITIONS):  # by chance all calls before were alike
            if differ(scores, network.scores(_called(network, x[number % len(x)][None]))):
                raise ModelError(RANDOM)
    raise ModelError(f"{MIXES}; a tangent kernel is defined between single examples")


def depends_on_company(network: Network, x: Tensor, together: Tensor, alone: Sequence[Tensor]) -> bool:
    """Whether the scores of examples together differ from those of each alone by more than rounding.

    Where single precision leaves a doubt, double precision has the word.
    """
    gap = max(difference(together[i : i + 1], scores) for i, scores in enumerate(alone))
    if gap <= COMPANY[network.dtype]:
        return False
    if network.dtype == torch.float64 or gap > DOUBT:
        return True
    exact, wide = network.cast(torch.float64), x.double() if x.is_floating_point() else x
    try:
        found = exact.scores(exact.call({}, wide))
        each = [exact.scores(exact.call({}, wide[i : i + 1])) for i in range(len(x))]
    except Exception:
        return False  # a model that is bound to single precision: it is rounding, as far as can be told
    return depends_on_company(exact, wide, found, each)


def _called(network: Network, x: Tensor) -> Tensor:
    try:
        return network.call({}, x)
    except KernelError:
        raise
    except Exception as error:
        raise failed(x, error) from error


def _alone(network: Network, example: Tensor, others: int) -> Tensor:
    try:
        return _called(network, example)
    except ModelError as error:
        raise ModelError(
            f"the model mixes examples, or takes no single one: it works for {others} of them, but {error}"
        ) from error


def difference(one: Tensor, two: Tensor) -> float:
    """The largest, in units of the largest number."""
    if one.shape != two.shape:
        return math.inf
    size = float(one.abs().max())
    gap = float(torch.nan_to_num(one - two).abs().max())
    return gap / size if size else gap


def differ(one: Tensor, two: Tensor) -> bool:
    """Whether two calls with the same examples gave other scores: the order of a sum may vary, no more."""
    return difference(one, two) > 16 * torch.finfo(one.dtype).eps


# --- from uses to layers ----------------------------------------------------------------------------

Occurrence = tuple[int, Role, Source]


def _find_layers(network: Network, seen: Pass, found: Sequence[Layout | None]) -> list[Layer]:
    """The layers that are understood, and the other parameters for autograd."""
    occurrences: dict[str, list[Occurrence]] = {name: [] for name in network.trained}
    opaque = set(seen.graph.opaque)
    for number, (use, layout) in enumerate(zip(seen.graph.uses, found, strict=True)):
        for role, source in use.sources.items():
            for name in source.names:
                occurrences[name].append((number, role, source))
            if layout is None:
                opaque.update(source.names)
    opaque = _closed(opaque, occurrences)
    understood = {name: its for name, its in occurrences.items() if its and name not in opaque}
    products, rest = _products(network, seen, found, understood)
    rows = [
        replace(
            layer,
            kind="rows",
            uses=tuple(sorted({use for name in layer.parameters for use, _, _ in understood[name]})),
        )
        for layer in group(network, rest)
    ]
    products = _with_chain(products, seen, network)
    return products + rows + group(network, [name for name in network.trained if name in opaque])


def _uses(layer: Layer, occurrences: Mapping[str, list[Occurrence]]) -> tuple[int, ...]:
    return tuple(sorted({number for name in layer.parameters for number, _, _ in occurrences[name]}))


def _closed(opaque: set[str], occurrences: Mapping[str, list[Occurrence]]) -> set[str]:
    """With all parameters that are made into one tensor with one of these."""
    while True:
        more = {other for name in opaque for _, _, source in occurrences[name] for other in source.names}
        if more <= opaque:
            return opaque
        opaque |= more


def _products(
    network: Network, seen: Pass, found: Sequence[Layout | None], understood: Mapping[str, list[Occurrence]]
) -> tuple[list[Layer], list[str]]:
    """The layers W h + b that need no rows, and the names of the parameters that do."""
    layers: dict[tuple[Any, ...], Layer] = {}
    rest = []
    for name, its in understood.items():
        if _is_product(its, seen):
            uses = tuple(number for number, _, _ in its)
            layers[module_of(name), uses] = _product(network, name, its, seen, found)
        else:
            rest.append(name)
    for name in list(rest):
        its = understood[name]
        key = module_of(name), tuple(number for number, _, _ in its)
        if key in layers and _is_bias(its):
            layer, factor = layers[key], its[0][2].factor
            layers[key] = replace(
                layer, parameters=(*layer.parameters, name), constant=factor**2,
                size=layer.size + network.parameters[name].numel(),
            )  # fmt: skip
            rest.remove(name)
    return list(layers.values()), rest


def module_of(name: str) -> str:
    """The module that holds a parameter."""
    return name.rpartition(".")[0]


def _is_product(its: Sequence[Occurrence], seen: Pass) -> bool:
    """Whether all uses of a parameter are of one kind, as a weight that is only rearranged."""
    rules = {seen.graph.uses[number].rule for number, _, _ in its}
    ways = {(source.way, source.factor, seen.graph.uses[number].turned) for number, _, source in its}
    numbers = [number for number, _, _ in its]
    return (
        len(rules) == len(ways) == 1
        and rules <= {"linear", "convolution", "lookup"}
        and all(role == "weight" and source.way is not None for _, role, source in its)
        and len(set(numbers)) == len(numbers)
        and all(_is_plain(seen.graph.uses[number]) for number in numbers)
    )


def _is_plain(use: Use) -> bool:
    """Not several products at once, nor groups of channels: these have rows of their own."""
    if use.rule == "linear":
        return len(use.shape) == 2 or use.shape[0] == 1
    return use.rule == "lookup" or use.node._saved_groups == 1  # type: ignore[attr-defined]


def _is_bias(its: Sequence[Occurrence]) -> bool:
    ways = {(source.way, source.factor) for _, _, source in its}
    return len(ways) == 1 and all(role == "bias" and source.way is not None for _, role, source in its)


def _product(
    network: Network, name: str, its: Sequence[Occurrence], seen: Pass, found: Sequence[Layout | None]
) -> Layer:
    uses, source = [seen.graph.uses[number] for number, _, _ in its], its[0][2]
    use, layout = uses[0], found[its[0][0]]
    assert layout is not None
    n = len(seen.x)
    if use.rule == "linear":
        units, inputs = source.shape[-2:] if use.turned else source.shape[:-3:-1]
    elif use.rule == "convolution":
        units, inputs = source.shape[0], math.prod(source.shape[1:])
    else:
        inputs, units = source.shape
    positions = sum(math.prod(other.shape) // (n * units) for other in uses)
    plain = len(its) == 1 and use.node is seen.raw.grad_fn and seen.raw.ndim == 2 and layout == Layout()
    return Layer(
        name=module_of(name),
        parameters=(name,),
        kind="lookup" if use.rule == "lookup" else "product",
        uses=tuple(number for number, _, _ in its),
        inputs=inputs,
        units=units,
        positions=positions,
        size=network.parameters[name].numel(),
        scale=source.factor**2,
        is_output=plain and use.rule == "linear" and not use.turned,
    )


def _with_chain(layers: list[Layer], seen: Pass, network: Network) -> list[Layer]:
    """Marks the layers whose result becomes the output layer's input number by number."""
    output = next((layer for layer in layers if layer.is_output), None)
    if output is None:
        return layers
    use = seen.graph.uses[output.uses[0]]
    before = use.node.next_functions[PRODUCTS[use.node.name()][0]][0]
    return [
        replace(layer, feeds_output=True)
        if layer is not output and _feeds(layer, before, seen, len(seen.x), output.inputs)
        else layer
        for layer in layers
    ]


def _feeds(layer: Layer, end: Any, seen: Pass, n: int, inputs: int) -> bool:
    if layer.kind != "product" or layer.positions != 1 or len(layer.uses) != 1 or layer.units != inputs:
        return False
    use = seen.graph.uses[layer.uses[0]]
    return use.shape == (n, inputs) and is_elementwise(end, use.node)


def is_elementwise(end: torch.autograd.graph.Node | None, start: torch.autograd.graph.Node) -> bool:
    """Whether every path of the graph leads from `end` to `start` through functions of one number each.

    The tensors at both ends must have one shape: broadcasting only ever enlarges, so that nothing can have
    been broadcast on the way.
    """
    reached, waiting, seen = False, [end], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node is start:
            reached = True
        elif node.name() in ELEMENTWISE:
            waiting += [following for following, _ in node.next_functions]
        else:
            return False
    return reached


def group(network: Network, names: Sequence[str] | Mapping[str, None]) -> list[Layer]:
    """Parameters by the module that holds them, for autograd to differentiate."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(module_of(name), []).append(name)
    return [
        Layer(module, tuple(held), size=sum(network.parameters[name].numel() for name in held))
        for module, held in by_module.items()
    ]


def merged(layers: Sequence[Layer], kind: Literal["rows", "opaque"] = "opaque") -> Layer:
    """All parameters as one group."""
    names = tuple(name for layer in layers for name in layer.parameters)
    uses = tuple(sorted({use for layer in layers for use in layer.uses}))
    return Layer("", names, kind, uses, size=sum(layer.size for layer in layers))
