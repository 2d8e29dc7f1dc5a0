"""The graph of a forward pass in autograd, and the nodes where parameters meet examples.

The graph of a forward pass has two sides. What is made of parameters alone (a transposed weight, a
normalized one, a mask times one) is the same for all examples; everything else depends on them. At a node
where an edge leads from one side to the other the parameters are *used*, and its rule says what the gradient
of an example is there: with G = ∂f_c/∂z at the node's result z,

| rule | nodes | ∂f_c/∂θ of an example |
| --- | --- | --- |
| linear | addmm, mm, bmm | Σₜ gₜ hₜᵀ over the rows h of the example, and Σₜ gₜ of a bias |
| convolution | convolution | the same, h being the patches |
| lookup | embedding | Σₜ gₜ in row k(t) of the table |
| scale | mul, div, where, prelu, the norms | Σ G ∘ s, with s = ∂z/∂θ, over the axes that θ does not have |
| shift | add, sub, expand, the norms | Σ ±G, likewise |

So it does not matter how the module is written: with layers or functions, hooks, keywords, in place. What has
no rule is left to autograd.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.errors import KernelError, ModelError

Rule = Literal["linear", "convolution", "lookup", "scale", "shift"]
Role = Literal["weight", "bias"]
Edge = tuple[Node, int]

# Nodes that only move numbers about, so that inner products stay.
REARRANGEMENTS = {
    "TBackward0", "ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0", "TransposeBackward0",
    "TransposeBackward1", "PermuteBackward0", "UnsqueezeBackward0", "UnsqueezeBackward1", "SqueezeBackward0",
    "SqueezeBackward1", "SqueezeBackward2", "CloneBackward0", "AliasBackward0", "MovedimBackward0",
}  # fmt: skip
SETTINGS = ("_saved_dim", "_saved_dims", "_saved_dim0", "_saved_dim1")

# Nodes that pick rows of a table, or repeat one, perhaps once for each example: their shape tells.
PICKS = {"EmbeddingBackward0", "EmbeddingBagBackward0", "IndexBackward0", "IndexSelectBackward0",
         "GatherBackward0", "TakeBackward0"}  # fmt: skip
REPEATS = {"ExpandBackward0", "RepeatBackward0"}

NORMS = {"NativeBatchNormBackward0", "NativeLayerNormBackward0", "NativeGroupNormBackward0"}

CHANNELS = NORMS - {"NativeLayerNormBackward0"} | {"ConvolutionBackward0"}
"""Nodes whose scale and shift stand along the second axis; those of others, along the last ones."""


@dataclass(frozen=True)
class Source:
    """A tensor on the parameters' side."""

    edge: Edge  # where it stands
    shape: tuple[int, ...]  # of the tensor
    names: tuple[str, ...]  # of the trained parameters that it is made of
    # the nodes from it down to its only parameter where they only move numbers about, apart from a factor;
    # None where they do more
    path: tuple[Any, ...] | None
    factor: float  # that factor


@dataclass(frozen=True)
class Layout:
    """The places of the examples in a tensor."""

    axis: int = 0  # along which they do
    positions: int = 1  # T, how many entries of the axis each example has
    inner: bool = False  # whether the examples are the inner part of the axis, as in (T, n) read as one

    def front(self, tensor: Tensor, axis: int | None = None) -> Tensor:
        """(n, …) with T left at the place of the axis; the other one where the tensor has them elsewhere."""
        axis = self.axis if axis is None else axis
        n = tensor.shape[axis] // self.positions
        parts = (self.positions, n) if self.inner else (n, self.positions)
        apart = tensor.reshape(*tensor.shape[:axis], *parts, *tensor.shape[axis + 1 :])
        return apart.movedim(axis + 1 if self.inner else axis, 0)


@dataclass(frozen=True)
class Use:
    """A node where parameters meet examples."""

    node: Node  # the node; gradients are taken at its first result
    rule: Rule  # how an example's gradient follows
    sources: Mapping[Role, Source]  # what it uses, by role
    shape: tuple[int, ...]  # of its result
    slot: int  # which of its inputs the weight is
    layout: Layout | None = None  # of its result; None where it belongs to no examples, or is not known yet

    @property
    def front(self) -> Callable[..., Tensor]:
        """`Layout.front` of its layout."""
        assert self.layout is not None
        return self.layout.front

    @property
    def edge(self) -> GradientEdge:
        """The edge at which its gradient is taken."""
        return GradientEdge(self.node, 0)

    @property
    def turned(self) -> bool:
        """True for a product W h, whose positions are columns, and not h W."""
        return self.rule == "linear" and self.slot == PRODUCTS[self.node.name()][0]

    @property
    def signature(self) -> tuple[Any, ...]:
        """The properties that every pass must share."""
        sources = tuple((role, s.shape, s.names, s.path, s.factor) for role, s in self.sources.items())
        return self.node.name(), self.rule, sources, self.slot


@dataclass
class Pass:
    """A forward pass in a graph, and the uses of the parameters in it."""

    x: Tensor  # the examples
    raw: Tensor  # what the module returned
    leaves: Mapping[str, Tensor]  # the trained parameters in the graph, by name
    examples: Tensor | None  # x as a leaf of the graph; None where it cannot be one, as integers
    # in the order of computation. A parameter may have several, and be opaque beside them
    uses: list[Use] = field(default_factory=list)
    opaque: set[str] = field(default_factory=set)  # parameters that are used where there is no rule
    nodes: int = 0  # number of nodes
    operations: float = 0.0  # floating-point operations of the forward pass, roughly
    foreign: list[Tensor] = field(default_factory=list)  # other tensors that require gradients
    # whether the nodes whose side is not certain are on that of the examples, in order
    decisions: list[bool] = field(default_factory=list)

    def is_of(self, x: Tensor) -> bool:
        """True where the pass was of these very examples."""
        return x.data_ptr() == self.x.data_ptr() and x.shape == self.x.shape and x.stride() == self.x.stride()

    def find_uses(self, decisions: Sequence[bool] | None) -> None:
        """Walks the graph.

        Args:
            decisions: those of an earlier pass; where there are fewer, the parameters' side. None to decide.
        """
        names = {id(leaf): name for name, leaf in self.leaves.items()}
        sides: dict[Node, Side] = {}
        before = iter(decisions or ())
        for node in ordered(self.raw.grad_fn):
            self.nodes += 1
            side = _side(node, sides, names, self.examples)
            if side and _is_uncertain(node):
                decided = _has_examples(node, len(self.x)) if decisions is None else next(before, False)
                self.decisions.append(decided)
                side = None if decided else side
            sides[node] = side
            if side == () and (variable := getattr(node, "variable", None)) is not None:
                self.foreign.append(variable)
            if side is None:
                self.operations += _operations(node)
                self._note_uses(node, sides)
        if self.raw.grad_fn is not None:
            self.opaque.update(sides[self.raw.grad_fn] or ())  # scores that no example seems to enter

    def _note_uses(self, node: Node, sides: Mapping[Node, "Side"]) -> None:
        """Adds the uses at a node of the examples' side, or its parameters to those without a rule."""
        used = {
            slot: _source(edge, sides)  # type: ignore[arg-type]
            for slot, edge in enumerate(node.next_functions)
            if edge[0] is not None and sides[edge[0]]
        }
        if not used:
            return
        shape, ruled = result_shape(node), []
        for rule, slot, sources in _rules(node, used, shape):
            self.uses.append(Use(node, rule, sources, shape, slot))
            ruled += [id(source) for source in sources.values()]
        for source in used.values():
            if id(source) not in ruled:
                self.opaque.update(source.names)


# Names of the trained parameters that a node's result is made of; None on the examples' side.
Side = tuple[str, ...] | None


def ordered(root: Node | None) -> list[Node]:
    """The nodes below a node and itself, each behind those that it was computed from."""
    order: list[Node] = []
    seen: set[Node] = set()
    waiting = [] if root is None else [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting += [(child, False) for child, _ in reversed(node.next_functions) if child is not None]
    return order


def _side(node: Node, sides: Mapping[Node, Side], names: Mapping[int, str], examples: Tensor | None) -> Side:
    variable = getattr(node, "variable", None)
    if variable is not None:
        if variable is examples:
            return None
        return (names[id(variable)],) if id(variable) in names else ()
    below: dict[str, None] = {}
    for child, _ in node.next_functions:
        if child is not None:
            side = sides[child]
            if side is None:
                return None
            below.update(dict.fromkeys(side))
    return tuple(below)


def _is_uncertain(node: Node) -> bool:
    """True where examples may enter without an edge: as integers, masks, or repetitions for each."""
    if node.name() in PICKS | REPEATS | {"WhereBackward0"}:
        return True
    return any(child is None for child, _ in node.next_functions) and _factor_of(node) is None


def _has_examples(node: Node, n: int) -> bool:
    shape = result_shape(node)
    return bool(shape) and (shape[0] % n == 0 or n in shape[:2]) and 0 not in shape


def result_shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's first result."""
    return tuple(node._input_metadata[0].shape)


def _operations(node: Any) -> float:
    """Floating-point operations of one node: those of its matrix product, or a few for each number."""
    terms = 2.0
    match node.name():
        case "ConvolutionBackward0":
            terms = node._saved_weight[0].numel()
        case "AddmmBackward0":
            terms = node._saved_mat1_sym_sizes[1]
        case "MmBackward0":
            terms = node._saved_self_sym_sizes[1]
        case "BmmBackward0" | "BaddbmmBackward0":
            for attribute, axis in (("_saved_self", 2), ("_saved_mat2", 1), ("_saved_batch1", 2)):
                operand = getattr(node, attribute, None)
                if operand is not None:
                    terms = operand.shape[axis]
                    break
    return 2 * float(math.prod(result_shape(node))) * float(terms)


# --- the rules at a node -----------------------------------------------------------------------------


Match = tuple[Rule, int, dict[Role, Source]]


def _rules(node: Node, used: Mapping[int, Source], shape: tuple[int, ...]) -> list[Match]:
    """The rules that apply, each with the slot of its weight; sources without one are left out."""
    name: str = node.name()
    if node._input_metadata[0].dtype.is_complex:
        return []  # with the conjugates of autograd's convention
    if name in PRODUCTS:
        return _product_rules(node, used, shape, PRODUCTS[name])
    if name == "ConvolutionBackward0":
        return _convolution_rules(node, used)
    if name == "EmbeddingBackward0":
        by_frequency = node._saved_scale_grad_by_freq  # type: ignore[attr-defined]
        return [] if by_frequency else [("lookup", 0, {"weight": used[0]})]
    if name in NORMS:
        if getattr(node, "_saved_training", False):  # the statistics are those of the batch
            return []
        rules: dict[int, Rule] = {1: "scale", 2: "shift"}
        return [(rules[slot], slot, {"weight": source}) for slot, source in used.items() if slot in rules]
    if name in SCALES:
        return [("scale", slot, {"weight": source}) for slot, source in used.items() if slot in SCALES[name]]
    if name in SHIFTS:
        return [("shift", slot, {"weight": source}) for slot, source in used.items()]
    return []


def _convolution_rules(node: Node, used: Mapping[int, Source]) -> list[Match]:
    bias: dict[Role, Source] = {"bias": used[2]} if 2 in used else {}
    if 1 in used and 0 not in used and not node._saved_transposed:  # type: ignore[attr-defined]
        return [("convolution", 1, {"weight": used[1], **bias})]
    return [("shift", 2, {"weight": used[2]})] if bias else []


# The slots of both matrices; what stands before them is added.
PRODUCTS = {
    "MmBackward0": (0, 1),
    "BmmBackward0": (0, 1),
    "AddmmBackward0": (1, 2),
    "BaddbmmBackward0": (1, 2),
}
SCALES = {
    "MulBackward0": (0, 1),
    "DivBackward0": (0, 1),
    "PreluKernelBackward0": (1,),
    "WhereBackward0": (0, 1),
}
SHIFTS = {"AddBackward0", "SubBackward0", "ExpandBackward0"}


def _product_rules(
    node: Node, used: Mapping[int, Source], shape: tuple[int, ...], slots: tuple[int, int]
) -> list[Match]:
    if slots[0] == 1 and (node._saved_alpha != 1 or node._saved_beta != 1):  # type: ignore[attr-defined]
        return []
    weights = [slot for slot in slots if slot in used]
    added = used.get(0) if slots[0] == 1 else None
    if len(weights) != 1:
        return [] if weights or added is None else [("shift", 0, {"weight": added})]
    sources: dict[Role, Source] = {"weight": used[weights[0]]}
    if added is None:
        return [("linear", weights[0], sources)]
    if len(shape) == 2 and weights[0] == slots[1] and added.shape in ((shape[1],), (1, shape[1])):
        return [("linear", weights[0], {**sources, "bias": added})]
    return [("linear", weights[0], sources), ("shift", 0, {"weight": added})]


def _source(edge: Edge, sides: Mapping[Node, Side]) -> Source:
    """Describes a tensor on the parameters' side."""
    names = sides[edge[0]]
    assert names
    shape = tuple(edge[0]._input_metadata[edge[1]].shape)
    path: list[Any] = []
    factor, node, number = 1.0, edge[0], edge[1]
    while getattr(node, "variable", None) is None:
        step = _factor_of(node) if number == 0 else None
        if step is None:
            return Source(edge, shape, names, None, 1.0)
        settings = [getattr(node, setting) for setting in SETTINGS if hasattr(node, setting)]
        path.append((node.name(), result_shape(node), *map(str, settings)))
        factor *= step
        node, number = next((child, at) for child, at in node.next_functions if child is not None)
    return Source(edge, shape, names, tuple(path), factor)


def _factor_of(node: Node) -> float | None:
    """The number by which a node multiplies its only tensor, whose entries may move; None of others."""
    name: str = node.name()
    if name in REARRANGEMENTS:
        return 1.0
    if name == "NegBackward0":
        return -1.0
    if name in ("MulBackward0", "DivBackward0") and node.next_functions[1][0] is None:
        other = node._saved_other  # type: ignore[attr-defined]
        if isinstance(other, Tensor) and other.ndim == 0 and not other.is_complex() and bool(other != 0):
            factor = float(other.detach())
            return factor if name == "MulBackward0" else 1 / factor
    return None


# --- which numbers of a result belong to an example -------------------------------------------------


def layouts(use: Use, n: int) -> list[Layout]:
    """The layouts that the result of a use can have for n examples, the likeliest first."""
    possible = []
    for axis in _axes(use):
        positions, rest = divmod(use.shape[axis], n)
        if rest == 0 and positions:
            possible.append(Layout(axis, positions))
            if positions > 1:
                possible.append(Layout(axis, positions, inner=True))
    return possible


def _axes(use: Use) -> list[int]:
    """The axes along which the examples may stand, being those that the rule does not sum or compare."""
    if use.rule == "linear":
        return [len(use.shape) - (1 if use.turned else 2)]
    if use.rule == "convolution":
        return [0]
    if use.rule == "lookup":
        return list(range(len(use.shape) - 1))
    shape = aligned(use)
    return [axis for axis, size in enumerate(shape) if size == 1]


def aligned(use: Use) -> tuple[int, ...]:
    """The shape of the weight of a scale or shift, with as many axes as the result has."""
    shape, axes = use.sources["weight"].shape, len(use.shape)
    if use.node.name() in CHANNELS:
        return (1, *shape, *(1,) * (axes - 2))
    if use.node.name() == "ExpandBackward0" or len(shape) <= axes:
        return (*(1,) * (axes - len(shape)), *shape)
    return ()


# --- a forward pass -------------------------------------------------------------------------------


class UnexpectedGraphError(ModelError):
    """A pass whose graph is not that of the probe: the model chooses what to compute by its examples."""


def forward(network: FunctionalModule, x: Tensor, before: Pass | None = None) -> Pass:
    """Returns the module's result for x, in a graph, and each use of its parameters.

    Args:
        network: the model.
        x: the examples.
        before: an earlier pass, whose graph this one must show again.

    Raises:
        UnexpectedGraphError: it does not.
        ModelError: the module fails.
    """
    leaves = network.leaves(network.trained)
    tracked = x.is_floating_point() and (before is None or before.examples is not None)
    examples = x.detach().requires_grad_() if tracked else None  # a leaf shows what depends on it
    try:
        raw = network.call(leaves, x if examples is None else examples)
    except KernelError:
        raise
    except Exception as error:
        if before is not None:  # other methods may do
            raise UnexpectedGraphError(str(failed(x, error))) from error
        if not tracked:
            raise failed(x, error) from error
        try:  # some modules take examples that are no part of a graph only
            raw, examples = network.call(leaves, x), None
        except Exception as again:
            raise failed(x, again) from again
    this = Pass(x, raw, leaves, examples)
    this.find_uses(before.decisions if before is not None else [] if network.known else None)
    check_replaced(this.foreign, network.names, "; call without params= and dtype=")
    if before is not None:
        if [use.signature for use in this.uses] != [use.signature for use in before.uses]:
            raise UnexpectedGraphError("the model computes other things for some examples than for others")
        _take_layouts(this, before)
    return this


def check_replaced(leaves: Iterable[Tensor], names: Mapping[int, str], remedy: str = "") -> None:
    """Raises ModelError where a parameter was to be replaced, and the module uses the one that it had.

    Args:
        leaves: the tensors of a graph that were not put into it.
        names: of the module's own parameters, by their identity.
        remedy: the end of the message.
    """
    for tensor in leaves:
        if id(tensor) in names:
            raise ModelError(
                f"parameter {names[id(tensor)]} is used in a place where no other value can be put, such as "
                f"a hook or a plain list{remedy}"
            )


def failed(x: Tensor, error: Exception) -> ModelError:
    """The error for a module that fails."""
    reason = " ".join(str(error).split())
    return ModelError(
        f"the model fails on examples of shape {tuple(x.shape)} and type {x.dtype}: "
        f"{type(error).__name__}: {reason[:300]}; a tangent kernel needs one that takes any number of them"
    )


def _take_layouts(this: Pass, before: Pass) -> None:
    """Takes over the layouts of an earlier pass; raises UnexpectedGraphError where a shape does not fit."""
    for use, earlier in zip(this.uses, before.uses, strict=True):
        if earlier.layout is not None:
            expected = list(earlier.shape)
            expected[earlier.layout.axis] = len(this.x) * earlier.layout.positions
            if list(use.shape) != expected:
                raise UnexpectedGraphError(
                    f"the model computes {use.node.name()} of shape {use.shape} in place of {tuple(expected)}"
                )
    this.uses = [
        replace(use, layout=earlier.layout) for use, earlier in zip(this.uses, before.uses, strict=True)
    ]
