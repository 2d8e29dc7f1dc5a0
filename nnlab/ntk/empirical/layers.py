"""The layers of a network, as a forward pass of a few examples shows them.

The scores of an example must depend on that example alone, the same way in every call; this is tested first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.empirical.graph import (
    PRODUCTS,
    Layout,
    Pass,
    Role,
    Source,
    Use,
    failed,
    forward,
    layouts,
    ordered,
    result_shape,
)
from nnlab.ntk.errors import KernelError, ModelError

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


# Examples of the first pass. No usual size of a layer is a multiple of it.
SAMPLE = 5


@dataclass(frozen=True)
class Layer:
    """A group of parameters, and the sizes that determine its cost."""

    name: str  # the name of the module that holds them; empty for the model itself
    parameters: tuple[str, ...]  # their names, those that are trained
    # `product` of weights with inputs, `lookup` in a table, `rows` by the rules of each use, or `opaque`,
    # which autograd has to differentiate
    kind: Literal["product", "lookup", "rows", "opaque"] = "opaque"
    uses: tuple[int, ...] = ()  # numbers of the uses that it is over
    inputs: int = 0  # d, numbers that a unit sees
    units: int = 0  # m
    positions: int = 1  # T, how often an example uses the weights
    size: int = 0  # number of trained parameters p
    scale: float = 1.0  # what A Aᵀ is multiplied by; 0 where the weight is not trained
    constant: float = 0.0  # what a bias adds to it
    is_output: bool = False  # the layer's result is the network's output
    feeds_output: bool = False  # its result reaches the output layer through a function of one number each


@dataclass(frozen=True)
class Probe:
    """A network with its layers, as a forward pass of a few examples shows them."""

    network: FunctionalModule  # the model
    last: Pass  # the pass; it holds the graph
    layers: list[Layer]  # the groups of parameters
    saved: int  # bytes that the pass keeps for the backward pass, per example, parameters apart


def sample_of(x: Tensor) -> Tensor:
    """Returns some of the examples, repeated where there are too few."""
    return x[torch.arange(SAMPLE, device=x.device) % min(len(x), SAMPLE)]


def probe(network: FunctionalModule, x: Tensor) -> Probe:
    """Finds the layers of a network by a forward pass of the examples x.

    Raises:
        ModelError: the module fails, mixes examples or is random.
    """
    first, saved = _first_pass(network, x)
    if {name for name, _ in network.module.named_parameters()} - set(network.parameters):
        raise ModelError(
            "the model makes parameters in its first forward pass; pass some examples through it before"
        )
    _check_independent(network, x, first.raw.detach())
    first.uses = [
        replace(use, layout=layout) for use, layout in zip(first.uses, _layouts(network, first), strict=True)
    ]
    return Probe(network, first, _find_layers(network, first), saved // len(x))


def _first_pass(network: FunctionalModule, x: Tensor) -> tuple[Pass, int]:
    """The pass, and the bytes of storage that its graph keeps beside the parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters.values()}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            return forward(network, x), sum(sizes.values())
    except ModelError:  # derivatives by torch.func inside a model do without such hooks
        first = forward(network, x)
        numbers = sum(math.prod(result_shape(node)) for node in ordered(first.raw.grad_fn))
        return first, numbers * first.raw.dtype.itemsize


def _layouts(network: FunctionalModule, first: Pass) -> list[Layout | None]:
    """The layout of each use, from the gradient of one example's scores: it is 0 at all others."""
    uses, n = first.uses, len(first.x)
    if network.known or not uses:
        return [next(iter(layouts(use, n)), None) for use in uses]
    one = n // 2
    scores = network.scores(first.raw)
    weights = torch.randn(scores.shape[1], generator=torch.Generator().manual_seed(0))
    score = scores[one] @ weights.to(scores)
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
        others = torch.arange(n, device=g.device) != one
        if not bool(layout.front(g)[others].any()):
            return layout
    return None


# --- from uses to layers ----------------------------------------------------------------------------

Occurrence = tuple[int, Role, Source]


def _find_layers(network: FunctionalModule, last: Pass) -> list[Layer]:
    """Finds the layers that have rules, and leaves the other parameters to autograd."""
    occurrences: dict[str, list[Occurrence]] = {name: [] for name in network.trained}
    opaque = set(last.opaque)
    for number, use in enumerate(last.uses):
        for role, source in use.sources.items():
            for name in source.names:
                occurrences[name].append((number, role, source))
            if use.layout is None:
                opaque.update(source.names)
    opaque = _closed(opaque, occurrences)
    understood = {
        name: entries
        for name, entries in occurrences.items()
        if entries and name not in opaque and network.parameters[name].numel()
    }
    products, rest = _products(network, last, understood)
    rows = [
        replace(
            layer,
            kind="rows",
            uses=tuple(sorted({use for name in layer.parameters for use, _, _ in understood[name]})),
        )
        for layer in group(network, rest)
    ]
    return (
        _with_chain(products, last)
        + rows
        + group(network, [name for name in network.trained if name in opaque])
    )


def _closed(opaque: set[str], occurrences: Mapping[str, list[Occurrence]]) -> set[str]:
    """Adds all parameters that are made into one tensor with one of these."""
    while True:
        more = {other for name in opaque for _, _, source in occurrences[name] for other in source.names}
        if more <= opaque:
            return opaque
        opaque |= more


def _products(
    network: FunctionalModule, last: Pass, understood: Mapping[str, list[Occurrence]]
) -> tuple[list[Layer], list[str]]:
    """The layers W h + b that need no rows, and the names of the parameters that do."""
    layers: dict[tuple[Any, ...], Layer] = {}
    rest = []
    for name, entries in understood.items():
        if _is_product(entries, last):
            layers[_key(name, entries)] = _product(network, name, entries, last)
        else:
            rest.append(name)
    for name in list(rest):
        entries = understood[name]
        key, (_, _, source) = _key(name, entries), entries[0]
        if key in layers and _is_bias(entries):
            layer = layers[key]
            layers[key] = replace(
                layer, parameters=(*layer.parameters, name), constant=source.factor**2,
                size=layer.size + network.parameters[name].numel(),
            )  # fmt: skip
            rest.remove(name)
    return list(layers.values()), rest


def _key(name: str, entries: Sequence[Occurrence]) -> tuple[Any, ...]:
    """The module and the uses of a parameter, which a weight shares with its bias."""
    return module_of(name), tuple(number for number, _, _ in entries)


def module_of(name: str) -> str:
    """The name of the module that holds a parameter."""
    return name.rpartition(".")[0]


def _is_product(entries: Sequence[Occurrence], last: Pass) -> bool:
    """True where all uses of a parameter are of one kind, as a weight that is only rearranged."""
    uses = [last.uses[number] for number, _, _ in entries]
    rules = {use.rule for use in uses}
    paths = {(entry[2].path, entry[2].factor, use.turned) for entry, use in zip(entries, uses, strict=True)}
    return (
        len(rules) == len(paths) == 1
        and rules <= {"linear", "convolution", "lookup"}
        and all(role == "weight" and source.path is not None for _, role, source in entries)
        and len({number for number, _, _ in entries}) == len(entries)
        and all(_is_plain(use) for use in uses)
    )


def _is_plain(use: Use) -> bool:
    """False for several products at once and groups of channels, which have rows of their own."""
    if use.rule == "linear":
        return len(use.shape) == 2 or use.shape[0] == 1
    return use.rule == "lookup" or use.node._saved_groups == 1  # type: ignore[attr-defined]


def _is_bias(entries: Sequence[Occurrence]) -> bool:
    paths = {(source.path, source.factor) for _, _, source in entries}
    return len(paths) == 1 and all(role == "bias" and source.path is not None for _, role, source in entries)


def _product(network: FunctionalModule, name: str, entries: Sequence[Occurrence], last: Pass) -> Layer:
    uses, source = [last.uses[number] for number, _, _ in entries], entries[0][2]
    use = uses[0]
    if use.rule == "linear":
        units, inputs = source.shape[-2:] if use.turned else source.shape[:-3:-1]
    elif use.rule == "convolution":
        units, inputs = source.shape[0], math.prod(source.shape[1:])
    else:
        inputs, units = source.shape
    alone = len(entries) == 1 and use.node is last.raw.grad_fn and last.raw.ndim == 2
    return Layer(
        name=module_of(name),
        parameters=(name,),
        kind="lookup" if use.rule == "lookup" else "product",
        uses=tuple(number for number, _, _ in entries),
        inputs=inputs,
        units=units,
        positions=sum(math.prod(other.shape) // (len(last.x) * units) for other in uses),
        size=network.parameters[name].numel(),
        scale=source.factor**2,
        is_output=alone and use.rule == "linear" and not use.turned and use.layout == Layout(),
    )


def _with_chain(layers: list[Layer], last: Pass) -> list[Layer]:
    """Marks the layers whose result becomes the output layer's input number by number."""
    output = next((layer for layer in layers if layer.is_output), None)
    if output is None:
        return layers
    node = last.uses[output.uses[0]].node
    before = node.next_functions[PRODUCTS[node.name()][0]][0]
    return [
        replace(layer, feeds_output=layer is not output and _feeds(layer, before, last, output.inputs))
        for layer in layers
    ]


def _feeds(layer: Layer, end: Any, last: Pass, inputs: int) -> bool:
    if layer.kind != "product" or layer.positions != 1 or len(layer.uses) != 1 or layer.units != inputs:
        return False
    use = last.uses[layer.uses[0]]
    return use.shape == (len(last.x), inputs) and is_elementwise(end, use.node)


def is_elementwise(end: torch.autograd.graph.Node | None, start: torch.autograd.graph.Node) -> bool:
    """True where every path of the graph leads from `end` to `start` through functions of one number each.

    The tensors at both ends must have one shape: broadcasting only ever enlarges, so that nothing can have
    been broadcast in between.
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


def group(network: FunctionalModule, names: Sequence[str]) -> list[Layer]:
    """Groups parameters by the module that holds them, for autograd to differentiate."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(module_of(name), []).append(name)
    return [
        Layer(module, tuple(held), size=sum(network.parameters[name].numel() for name in held))
        for module, held in by_module.items()
    ]


def merged(layers: Sequence[Layer]) -> Layer:
    """Joins groups of parameters into one, for autograd to differentiate."""
    names = tuple(name for layer in layers for name in layer.parameters)
    return Layer("", names, size=sum(layer.size for layer in layers))


# --- independence ----------------------------------------------------------------------------------

# Calls that a random model would have to answer alike by chance.
REPETITIONS = 20

RANDOM = (
    "the outputs of the model are random: they change from one call to the next; call model.eval(), and look "
    "for dropout or noise that does not ask self.training"
)

MIXES = "the model mixes examples: the scores of one change with what else is in its batch"

# How much rounding may change the scores of an example when others are computed beside it; and in single
# precision, at most.
INDEPENDENT = {torch.float32: 1e-5, torch.float64: 1e-9}
DOUBT = 1e-3


def _check_independent(network: FunctionalModule, x: Tensor, raw: Tensor) -> None:
    """Raises ModelError where the scores of an example change with the examples beside it, or by chance.

    Args:
        network: the model. Of modules that are all known only the first example is tried alone.
        x: a few examples.
        raw: the result of the model for them.
    """
    with torch.no_grad():
        if network.known:
            alone = [network.scores(_alone(network, x[:1], len(x)))]
            mixed = _are_mixed(network, x, network.scores(raw), alone)
        else:
            together, again = (network.scores(_called(network, x)) for _ in range(2))
            if _differ(together, again):
                raise ModelError(RANDOM)
            alone = [network.scores(_alone(network, x[i : i + 1], len(x))) for i in range(len(x))]
            mixed = _are_mixed(network, x, together, alone)
        if not mixed:
            return
        size = _largest(network.scores(raw))
        for number, scores in enumerate(alone * REPETITIONS):  # by chance all calls before were alike
            if _differ(scores, network.scores(_called(network, x[number % len(alone)][None])), size):
                raise ModelError(RANDOM)
    raise ModelError(f"{MIXES}; a tangent kernel is defined between single examples")


def _are_mixed(network: FunctionalModule, x: Tensor, together: Tensor, alone: Sequence[Tensor]) -> bool:
    """True where the scores of examples together differ from those of each alone by more than rounding.

    Where single precision leaves a doubt, double precision decides.
    """
    size = _largest(together)  # of one example's scores nothing but rounding may be left
    gap = max(_difference(together[i : i + 1], scores, size) for i, scores in enumerate(alone))
    if gap <= INDEPENDENT[network.dtype]:
        return False
    if network.dtype == torch.float64 or gap > DOUBT:
        return True
    try:
        return mixes(network.cast(torch.float64), x.double() if x.is_floating_point() else x)
    except Exception:
        return False  # a model that is bound to single precision: it is rounding, as far as can be told


def mixes(network: FunctionalModule, x: Tensor) -> bool:
    """True where the scores of these examples together are not those of each alone."""
    with torch.no_grad():
        together = network.scores(network.call({}, x))
        alone = [network.scores(network.call({}, x[i : i + 1])) for i in range(len(x))]
        return _are_mixed(network, x, together, alone)


def _called(network: FunctionalModule, x: Tensor) -> Tensor:
    try:
        return network.call({}, x)
    except KernelError:
        raise
    except Exception as error:
        raise failed(x, error) from error


def _alone(network: FunctionalModule, example: Tensor, others: int) -> Tensor:
    try:
        return _called(network, example)
    except ModelError as error:
        raise ModelError(
            f"the model mixes examples, or takes no single one: it works for {others} of them, but {error}"
        ) from error


def _difference(one: Tensor, two: Tensor, size: float | None = None) -> float:
    """The largest difference, in units of a size, or else of the largest number."""
    if one.shape != two.shape:
        return math.inf
    size = _largest(one) if size is None else size
    gap = float(torch.nan_to_num(one - two).abs().max())
    return gap / size if size else gap


def _largest(scores: Tensor) -> float:
    """The largest finite number; NaN and infinity are reported later."""
    return float(torch.nan_to_num(scores, nan=0.0, posinf=0.0, neginf=0.0).abs().max())


def _differ(one: Tensor, two: Tensor, size: float | None = None) -> bool:
    """True where two calls with the same examples differ by more than the order of a sum explains."""
    return _difference(one, two, size) > 16 * torch.finfo(one.dtype).eps
