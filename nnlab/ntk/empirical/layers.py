"""Which groups of parameters a network has, and the sizes that say what each needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from nnlab.ntk.empirical.network import Network
from nnlab.ntk.empirical.passes import Pass
from nnlab.ntk.empirical.uses import PRODUCTS, Layout, Role, Source, Use

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


# --- from uses to layers ----------------------------------------------------------------------------

Occurrence = tuple[int, Role, Source]


def find_layers(network: Network, seen: Pass, found: Sequence[Layout | None]) -> list[Layer]:
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
    understood = {
        name: its
        for name, its in occurrences.items()
        if its and name not in opaque and network.parameters[name].numel()
    }
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


def merged(layers: Sequence[Layer]) -> Layer:
    """All parameters as one group, for autograd to differentiate."""
    names = tuple(name for layer in layers for name in layer.parameters)
    return Layer("", names, size=sum(layer.size for layer in layers))
