"""Where in a graph of autograd the parameters of a network meet its examples.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node
from torch.nn import functional as F

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
    """A tensor on the parameters' side.

    Attributes:
        edge: where it stands.
        shape: of the tensor.
        names: of the trained parameters that it is made of.
        way: the nodes from it down to its only parameter where they only move numbers about, apart from a
            factor; None where they do more.
        factor: that factor.
    """

    edge: Edge
    shape: tuple[int, ...]
    names: tuple[str, ...]
    way: tuple[Any, ...] | None
    factor: float


@dataclass(frozen=True)
class Use:
    """A node where parameters meet examples.

    Attributes:
        node: the node; gradients are taken at its first result.
        rule: how an example's gradient follows.
        sources: what it uses, by role.
        shape: of its result.
        slot: which of its inputs the weight is.
    """

    node: Node
    rule: Rule
    sources: Mapping[Role, Source]
    shape: tuple[int, ...]
    slot: int

    @property
    def edge(self) -> GradientEdge:
        """Where its gradient is taken."""
        return GradientEdge(self.node, 0)

    @property
    def turned(self) -> bool:
        """Whether it is a product W h, the positions being columns, and not h W."""
        return self.rule == "linear" and self.slot == PRODUCTS[self.node.name()][0]

    @property
    def signature(self) -> tuple[Any, ...]:
        """What is the same in every pass."""
        sources = tuple((role, s.shape, s.names, s.way, s.factor) for role, s in self.sources.items())
        return self.node.name(), self.rule, sources, self.slot


@dataclass
class Graph:
    """What a pass shows.

    Attributes:
        uses: in the order of computation.
        opaque: parameters that are used where there is no rule.
        nodes: number of nodes.
        operations: floating-point operations of the forward pass, roughly.
        foreign: other tensors that require gradients.
        decisions: whether the nodes whose side is not certain are on that of the examples, in order.
    """

    uses: list[Use] = field(default_factory=list)
    opaque: set[str] = field(default_factory=set)
    nodes: int = 0
    operations: float = 0.0
    foreign: list[Tensor] = field(default_factory=list)
    decisions: list[bool] = field(default_factory=list)

    @property
    def signature(self) -> tuple[Any, ...]:
        """What is the same in every pass."""
        return tuple(use.signature for use in self.uses)


def find_uses(
    raw: Tensor,
    parameters: Mapping[str, Tensor],
    examples: Tensor | None,
    n: int,
    decisions: Sequence[bool] | None = None,
) -> Graph:
    """Walks the graph of a pass.

    Args:
        raw: what the module returned.
        parameters: the leaves of the graph that are trained, by name.
        examples: the leaf that the module was given; None if it cannot be one, being integers.
        n: number of examples.
        decisions: those of an earlier pass; where there are fewer, the parameters' side.

    Returns:
        The uses. A parameter may have several, and be opaque beside them.
    """
    graph = Graph()
    names = {id(parameter): name for name, parameter in parameters.items()}
    sides: dict[Node, Side] = {}
    before = iter(decisions or ())
    for node in ordered(raw.grad_fn):
        graph.nodes += 1
        side = _side(node, sides, names, examples)
        if side and _is_uncertain(node):
            decided = _has_examples(node, n) if decisions is None else next(before, False)
            graph.decisions.append(decided)
            side = None if decided else side
        sides[node] = side
        if side == () and (variable := getattr(node, "variable", None)) is not None:
            graph.foreign.append(variable)
        if side is None:
            graph.operations += _operations(node)
            _note_uses(graph, node, sides)
    if raw.grad_fn is not None:
        graph.opaque.update(sides[raw.grad_fn] or ())  # scores that no example seems to enter
    return graph


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
    """Whether examples may enter without an edge: as integers, as a mask, or by a repetition for each."""
    if node.name() in PICKS | REPEATS | {"WhereBackward0"}:
        return True
    return any(child is None for child, _ in node.next_functions) and _factor_of(node) is None


def _has_examples(node: Node, n: int) -> bool:
    shape = result_shape(node)
    return bool(shape) and (shape[0] % n == 0 or n in shape[:2]) and 0 not in shape


def result_shape(node: Node) -> tuple[int, ...]:
    """Of a node's first result."""
    return tuple(node._input_metadata[0].shape)


def _operations(node: Any) -> float:
    """Floating-point operations of one node: those of its matrix product, or a few for each number."""
    name = node.name()
    numbers = float(math.prod(result_shape(node)))
    if name == "ConvolutionBackward0":
        return 2 * numbers * float(node._saved_weight[0].numel())
    if name == "AddmmBackward0":
        return 2 * numbers * float(node._saved_mat1_sym_sizes[1])
    if name == "MmBackward0":
        return 2 * numbers * float(node._saved_self_sym_sizes[1])
    if name in ("BmmBackward0", "BaddbmmBackward0"):
        for attribute, axis in (("_saved_self", 2), ("_saved_mat2", 1), ("_saved_batch1", 2)):
            operand = getattr(node, attribute, None)
            if operand is not None:
                return 2 * numbers * float(operand.shape[axis])
    return 4 * numbers


# --- what is used, and by which rule ----------------------------------------------------------------


def _note_uses(graph: Graph, node: Node, sides: Mapping[Node, Side]) -> None:
    """Adds the uses at a node of the examples' side, or its parameters to those without a rule."""
    used = {
        slot: _source(edge, sides)  # type: ignore[arg-type]
        for slot, edge in enumerate(node.next_functions)
        if edge[0] is not None and sides[edge[0]]
    }
    if not used:
        return
    shape = result_shape(node)
    for rule, slot, sources in _rules(node, used, shape):
        graph.uses.append(Use(node, rule, sources, shape, slot))
        for source in sources.values():
            used = {other: its for other, its in used.items() if its is not source}
    for source in used.values():
        graph.opaque.update(source.names)


Found = list[tuple[Rule, int, dict[Role, Source]]]


def _rules(node: Node, used: Mapping[int, Source], shape: tuple[int, ...]) -> Found:
    """The rules that apply, each with the slot of its weight; sources that are left out have none."""
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
        return [(rules[slot], slot, {"weight": its}) for slot, its in used.items() if slot in rules]
    if name in SCALES:
        return [("scale", slot, {"weight": its}) for slot, its in used.items() if slot in SCALES[name]]
    if name in SHIFTS:
        return [("shift", slot, {"weight": its}) for slot, its in used.items()]
    return []


def _convolution_rules(node: Node, used: Mapping[int, Source]) -> Found:
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
) -> Found:
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
    """What is known of a tensor on the parameters' side."""
    names = sides[edge[0]]
    assert names
    shape = tuple(edge[0]._input_metadata[edge[1]].shape)
    way: list[Any] = []
    factor, node, number = 1.0, edge[0], edge[1]
    while getattr(node, "variable", None) is None:
        step = _factor_of(node) if number == 0 else None
        if step is None:
            return Source(edge, shape, names, None, 1.0)
        settings = [getattr(node, setting) for setting in SETTINGS if hasattr(node, setting)]
        way.append((node.name(), result_shape(node), *map(str, settings)))
        factor *= step
        node, number = next((child, at) for child, at in node.next_functions if child is not None)
    return Source(edge, shape, names, tuple(way), factor)


def _factor_of(node: Node) -> float | None:
    """What a node multiplies its only tensor by, its order apart; None where it does something else."""
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


@dataclass(frozen=True)
class Layout:
    """Where the examples stand in a tensor.

    Attributes:
        axis: along which they do.
        positions: T, how many entries of the axis each example has.
        inner: whether the examples are the inner part of the axis, as in (T, n) read as one.
    """

    axis: int = 0
    positions: int = 1
    inner: bool = False

    def front(self, tensor: Tensor, axis: int | None = None) -> Tensor:
        """(n, …) with T left at the place of the axis; the other one where the tensor has them elsewhere."""
        axis = self.axis if axis is None else axis
        n = tensor.shape[axis] // self.positions
        parts = (self.positions, n) if self.inner else (n, self.positions)
        apart = tensor.reshape(*tensor.shape[:axis], *parts, *tensor.shape[axis + 1 :])
        return apart.movedim(axis + 1 if self.inner else axis, 0)

    def length(self, n: int) -> int:
        """Of the axis, for n examples."""
        return n * self.positions


def layouts(use: Use, n: int) -> list[Layout]:
    """How the result of a use can belong to n examples, the likeliest first."""
    found = []
    for axis in _axes(use):
        positions, rest = divmod(use.shape[axis], n)
        if rest == 0 and positions:
            found.append(Layout(axis, positions))
            if positions > 1:
                found.append(Layout(axis, positions, inner=True))
    return found


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


# --- the gradient of an example ---------------------------------------------------------------------


def patches_of(use: Use, layout: Layout) -> Tensor:
    """What the units see at each position: (n, T, d); of a lookup the rows' numbers (n, T)."""
    node: Any = use.node
    if use.rule == "lookup":
        return layout.front(node._saved_indices).flatten(1)
    if use.rule == "convolution":
        return layout.front(_patches(node)).flatten(1, 2)  # (n, T', positions, d)
    return _operand(use, layout)


def units_of(use: Use, layout: Layout, g: Tensor) -> Tensor:
    """The gradient at each position, (n, T, m), from that of the result."""
    if use.rule == "lookup":
        return layout.front(g * _is_looked_up(use)).flatten(1, -2)
    if use.rule == "convolution":
        return layout.front(g.flatten(2).transpose(1, 2)).flatten(1, 2)
    return _matrix(use, layout.front(g))


def _matrix(use: Use, front: Tensor) -> Tensor:
    """(n, …, T, m) of a product's result or operand (n, …), whose positions are rows or columns."""
    if use.turned:
        front = front.transpose(-1, -2)
    return front.squeeze(1) if front.ndim == 4 and front.shape[1] == 1 else front


def _operand(use: Use, layout: Layout) -> Tensor:
    """The matrix that is not the weight: (n, T, d), or (n, b, T, d) of b products."""
    node: Any = use.node
    left, right = {
        "MmBackward0": ("_saved_self", "_saved_mat2"), "BmmBackward0": ("_saved_self", "_saved_mat2"),
        "AddmmBackward0": ("_saved_mat1", "_saved_mat2"),
        "BaddbmmBackward0": ("_saved_batch1", "_saved_batch2"),
    }[node.name()]  # fmt: skip
    operand = getattr(node, right if use.turned else left)
    return _matrix(use, layout.front(operand.detach()))


def _patches(node: Any) -> Tensor:
    """The patches of a convolution: (N, positions, groups · d)."""
    h, kernel = node._saved_input.detach(), node._saved_weight.shape[2:]
    if len(kernel) <= 2:
        wide = h if len(kernel) == 2 else h[:, :, None]  # an image of height 1
        unfolded = F.unfold(
            wide,
            _pair(kernel, 1),
            dilation=_pair(node._saved_dilation, 1),
            padding=_pair(node._saved_padding, 0),
            stride=_pair(node._saved_stride, 1),
        )
        return unfolded.transpose(1, 2)
    h = F.pad(h, [side for width in reversed(node._saved_padding) for side in (width, width)])
    for axis, (size, step, stride) in enumerate(
        zip(kernel, node._saved_dilation, node._saved_stride, strict=True), start=2
    ):
        h = h.unfold(axis, (size - 1) * step + 1, stride)[..., ::step]
    dims = len(kernel)  # (N, C, positions…, kernel…)
    positions = range(2, 2 + dims)
    return h.permute(0, *positions, 1, *range(2 + dims, 2 + 2 * dims)).flatten(1, dims).flatten(2)


def _pair(sizes: Sequence[int], of_height: int) -> tuple[int, int]:
    """(height, width) of a setting; that of one dimension gets the height given."""
    height, width = (int(size) for size in ((of_height, *sizes) if len(sizes) == 1 else sizes))
    return height, width


def weight_rows(use: Use, layout: Layout, g: Tensor, seen: Tensor | None = None) -> Tensor:
    """∂f_c/∂θ of every example, (n, *shape of the weight), from the gradient of the result.

    Args:
        use: the use.
        layout: of its result.
        g: the gradient of the result.
        seen: `patches_of` the use where it is at hand.
    """
    source = use.sources["weight"]
    if use.rule in ("scale", "shift"):
        return _reduced(use, layout, g if use.rule == "shift" else g * _slope(use))
    seen = patches_of(use, layout) if seen is None else seen
    units = units_of(use, layout, g)
    if use.rule == "lookup":
        return _scattered(seen, units, source.shape[0])
    if use.rule == "convolution":
        n, t, _ = units.shape
        groups = seen.shape[-1] // math.prod(source.shape[1:])
        both = (part.reshape(n, t, groups, -1).permute(0, 2, 3, 1) for part in (units, seen))
        of_units, of_inputs = both
        return (of_units @ of_inputs.transpose(-1, -2)).reshape(n, *source.shape)
    if use.turned:
        return (units.transpose(-1, -2) @ seen).reshape(-1, *source.shape)
    return (seen.transpose(-1, -2) @ units).reshape(-1, *source.shape)


def bias_rows(use: Use, layout: Layout, g: Tensor) -> Tensor:
    """The same for the bias of a linear layer or convolution."""
    return units_of(use, layout, g).sum(1).reshape(-1, *use.sources["bias"].shape)


def _is_looked_up(use: Use) -> Tensor:
    """Where a table's row is trained: not where it stands for padding. (…, 1)."""
    node: Any = use.node
    padding = node._saved_padding_idx
    padding = padding if padding < 2**63 else -1  # it is given without its sign
    trained: Tensor = node._saved_indices != padding
    return trained[..., None]


def _scattered(rows: Tensor, units: Tensor, table: int) -> Tensor:
    """(n, table, m): gradients (n, T, m) added up in the rows (n, T) that were looked up."""
    found = units.new_zeros(len(rows), table, units.shape[-1])
    return found.scatter_add_(1, rows[..., None].expand_as(units), units)


def _reduced(use: Use, layout: Layout, g: Tensor) -> Tensor:
    """Summed over the axes that the weight does not have, those of the example apart."""
    sign = 1.0
    node: Any = use.node
    if node.name() == "AddBackward0" and use.slot == 1:
        sign = float(node._saved_alpha)
    elif node.name() == "SubBackward0" and use.slot == 1:
        sign = -float(node._saved_alpha)
    front = layout.front(g)  # the axis of the examples now has their positions
    axes = [axis + 1 for axis, size in enumerate(aligned(use)) if size == 1]
    rows = front.sum(axes, keepdim=True) if axes else front
    found: Tensor = rows.reshape(len(front), *use.sources["weight"].shape)
    return sign * found


def _slope(use: Use) -> Tensor:
    """∂z/∂θ where each number of z depends on one of θ, in a shape that broadcasts to the result's."""
    node: Any = use.node
    match node.name():
        case "MulBackward0":
            slope = node._saved_other if use.slot == 0 else node._saved_self
        case "DivBackward0":
            other = node._saved_other
            slope = 1 / other if use.slot == 0 else -node._saved_self / other**2
        case "WhereBackward0":
            slope = node._saved_condition if use.slot == 0 else ~node._saved_condition
        case "PreluKernelBackward0":
            slope = node._saved_self.clamp(max=0)
        case _:
            return _normalized(node)
    return slope.detach() if isinstance(slope, Tensor) else torch.as_tensor(slope)


def _normalized(node: Any) -> Tensor:
    """What a norm multiplies by its scale: (h − mean)/√(variance + ε)."""
    h: Tensor = node._saved_input.detach()
    apart = h
    if node.name() == "NativeLayerNormBackward0":
        mean, scale = node._saved_result1, node._saved_result2
    elif node.name() == "NativeGroupNormBackward0":
        apart = h.reshape(len(h), node._saved_group, -1)
        mean, scale = node._saved_result1[..., None], node._saved_result2[..., None]
    else:
        channels = (1, -1, *(1,) * (h.ndim - 2))
        mean = node._saved_running_mean.view(channels)
        scale = (node._saved_running_var + node._saved_eps).rsqrt().view(channels)
    normalized: Tensor = ((apart - mean) * scale).reshape(h.shape)
    return normalized
