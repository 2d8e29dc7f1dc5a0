"""The factors of every layer: one forward pass, and one backward pass for each output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from nnlab.ntk.empirical.factors import Factor, LookupFactor, Output, PositionFactor, VectorFactor
from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.empirical.graph import PRODUCTS, Pass, Source, forward
from nnlab.ntk.empirical.jacobian import RowMethod, jacobian_rows
from nnlab.ntk.empirical.layers import SAMPLE, Layer, Probe
from nnlab.ntk.empirical.rules import bias_rows, patches_of, units_of, weight_rows

Treatment = Literal["identity", "chain", "outer", "rows", "pairs", "uses", "vmap", "loop"]

# Parameters of a group whose rows are joined with those of others: many small products take long.
SMALL_GROUP = 2**14


@dataclass(frozen=True)
class LayerPlan:
    """The computation of one layer's contribution.

    | treatment | for | numbers kept per example | multiplications per pair of examples |
    | --- | --- | --- | --- |
    | identity | the output layer: G = I | d | d |
    | chain | trace, layer before it: G_cj = V_cj φ'(z_j), so Σ_c is taken once | d + m | d + m |
    | outer | a linear layer: (A Aᵀ + 1) ∘ (G Gᵀ) | d + Cm | d + cm |
    | rows | used at T positions: Σₜ gₜ hₜᵀ formed for a block of examples | Cdm | cdm |
    | pairs | used at T positions: Σₜₛ (hₜ·h'ₛ) (gₜ·g'ₛ) | T(d + Cm) | T²(d + cm) |
    | uses | whatever has a rule: rows by `nnlab.ntk.empirical.rules`, summed over the uses | Cp | cp |
    | vmap, loop | everything else: rows by autograd | Cp | cp |

    with c = C² for the full kernel and c = C for its trace and diagonal.
    """

    layer: Layer
    treatment: Treatment
    numbers: int
    multiplications: int

    @property
    def by_autograd(self) -> bool:
        """True where autograd differentiates in the parameters."""
        return self.treatment in ("vmap", "loop")


def plan_layer(layer: Layer, output: Output, outputs: int, examples: int, autograd: RowMethod) -> LayerPlan:
    """The cheapest treatment of a layer for a kernel of `examples` examples with themselves."""
    d, m, t, c = layer.inputs, layer.units, layer.positions, outputs
    products = c * c if output == "full" else c
    if layer.kind in ("opaque", "rows"):
        treatment: Treatment = "uses" if layer.kind == "rows" else autograd
        return LayerPlan(layer, treatment, c * layer.size, products * layer.size)
    if layer.is_output:
        return LayerPlan(layer, "identity", d, d)
    if layer.feeds_output and output == "trace":
        return LayerPlan(layer, "chain", d + m, d + m)
    compared = 1 if layer.kind == "lookup" else d  # of a table the numbers of the rows are compared
    if t == 1 and layer.kind == "product":
        return LayerPlan(layer, "outer", d + c * m, d + products * m)
    rows = LayerPlan(layer, "rows", c * layer.size, products * layer.size)
    pairs = LayerPlan(layer, "pairs", t * (compared + c * m), t * t * (compared + products * m))
    forming = c * t * m * compared  # of the rows, for each example
    return (
        rows
        if forming + examples * rows.multiplications / 2 < examples * pairs.multiplications / 2
        else pairs
    )


def factors(
    plans: Sequence[LayerPlan], output: Output, x: Tensor, chunk: int, probe: Probe, per_layer: bool = False
) -> list[Factor]:
    """Computes the factors of every layer for the examples x, `chunk` examples at a time.

    Where the examples are those of the probe, its pass is used. Without `per_layer` small groups
    are joined.
    """
    if len(x) <= chunk:
        return _factors(plans, output, x, probe, per_layer)
    whole: list[Factor] = []
    for start in range(0, len(x), chunk):
        examples = slice(start, min(start + chunk, len(x)))
        block = _factors(plans, output, x[examples], probe, per_layer)
        whole = whole or [factor.room_for(len(x)) for factor in block]
        for place, factor in zip(whole, block, strict=True):
            place.take(examples).copy_(factor)
    return whole


def names_of(plans: Sequence[LayerPlan], per_layer: bool) -> list[str]:
    """The names of the modules of the factors, in their order."""
    kept, joined = _joined(plans, per_layer)
    return [plans[number].layer.name for number in kept] + [""] * bool(joined)


def _joined(plans: Sequence[LayerPlan], per_layer: bool) -> tuple[list[int], list[int]]:
    """Numbers of the plans whose factors stay by themselves, and of those that become one."""
    small = [
        number
        for number, plan in enumerate(plans)
        if not per_layer
        and plan.treatment in ("rows", "uses", "vmap", "loop")
        and plan.layer.size <= SMALL_GROUP
    ]
    small = small if len(small) > 1 else []
    return [number for number in range(len(plans)) if number not in small], small


def _factors(
    plans: Sequence[LayerPlan], output: Output, x: Tensor, probe: Probe, per_layer: bool
) -> list[Factor]:
    network, n = probe.network, len(x)
    separate: list[Factor] = []
    if any(not plan.by_autograd for plan in plans):
        few = not network.known and n < SAMPLE  # of one example, say, torch may compute otherwise
        last = probe.last
        if not last.is_of(x):
            last = forward(network, _repeated(x) if few else x, last)
        with torch.no_grad():  # what the graph has saved is a part of it
            derivatives = _Derivatives(plans, last, network)
    for number, plan in enumerate(plans):
        if plan.treatment == "vmap" or plan.treatment == "loop":
            separate.append(
                VectorFactor(None, jacobian_rows(network, plan.layer.parameters, x, plan.treatment))
            )
        else:
            with torch.no_grad():
                separate.append(derivatives.factor(number, output).take(slice(0, n)))
    kept, joined = _joined(plans, per_layer)
    if not joined:
        return separate
    rows = torch.cat([separate[number].gradients for number in joined], 2)  # type: ignore[misc]
    return [separate[number] for number in kept] + [VectorFactor(None, rows)]


def _repeated(x: Tensor) -> Tensor:
    """The examples, and the first one again until there are enough."""
    return torch.cat([x, x[:1].expand(SAMPLE - len(x), *x.shape[1:])])


class _Derivatives:
    """The factors from one forward pass, and a backward pass for each output."""

    def __init__(self, plans: Sequence[LayerPlan], last: Pass, network: FunctionalModule) -> None:
        self._plans, self._last, self._network = plans, last, network
        with torch.enable_grad():
            self._scores = self._network.scores(last.raw)
        self._patches = {
            use: patches_of(self._last.uses[use])
            for plan in plans
            if plan.treatment in ("outer", "rows", "pairs")
            for use in plan.layer.uses
        }
        self._gradients = self._backward()

    def factor(self, number: int, output: Output) -> Factor:
        """The factor of one plan."""
        plan = self._plans[number]
        layer = plan.layer
        if plan.treatment == "identity":
            times = self._scores.shape[1] if output == "trace" else 1
            return VectorFactor(self._inputs(layer), None, times * layer.scale, times * layer.constant)
        if plan.treatment == "chain":
            return VectorFactor(
                self._inputs(layer), self._slopes(layer)[:, None], layer.scale, layer.constant
            )
        gradients = self._gradients[number]
        if plan.treatment in ("rows", "uses"):
            return VectorFactor(None, gradients)
        patches = torch.cat([self._patches[use] for use in layer.uses], 1)  # (n, T, d)
        if layer.kind == "lookup":
            return LookupFactor(patches, gradients, layer.scale)
        if layer.positions == 1:
            return VectorFactor(patches[:, 0], gradients[:, :, 0], layer.scale, layer.constant)
        return PositionFactor(patches, gradients, layer.scale, layer.constant)

    def _inputs(self, layer: Layer) -> Tensor:
        """(n, d) of a layer that is used once, at one position."""
        (number,) = layer.uses
        return patches_of(self._last.uses[number])[:, 0]

    def _slopes(self, layer: Layer) -> Tensor:
        """sⱼ √Σ_c V_cj² before the output layer V: G_cj = V_cj sⱼ with s = φ'(z), and Σ_c joins the V_cj²."""
        last = next(plan.layer for plan in self._plans if plan.treatment == "identity")
        use = self._last.uses[last.uses[0]]
        node: Any = use.node
        v = node._saved_mat2.detach()  # (d, C)
        v = v if self._network.outputs is None else v[:, list(self._network.outputs)]
        root = torch.linalg.vector_norm(v, dim=1)  # √Σ_c V_cj²
        end = GradientEdge(*node.next_functions[PRODUCTS[node.name()][0]])
        start = self._last.uses[layer.uses[0]].edge
        (slopes,) = torch.autograd.grad(
            [end], [start], [root.expand(len(self._scores), -1)], retain_graph=True
        )
        return slopes

    def _backward(self) -> dict[int, Tensor]:
        """∂f_c/∂z (n, C, T, m) of the layers that need it, or ∂f_c/∂θ (n, C, p); by number of plan."""
        wanted = [
            (number, plan)
            for number, plan in enumerate(self._plans)
            if plan.treatment in ("outer", "rows", "pairs", "uses")
        ]
        numbers = sorted({use for _, plan in wanted for use in plan.layer.uses})
        edges = [self._last.uses[number].edge for number in numbers]
        derivatives: dict[int, Tensor] = {}
        if not wanted:
            return derivatives
        by_uses = [plan for _, plan in wanted if plan.treatment == "uses"]
        names = {name for plan in by_uses for name in plan.layer.parameters}
        n, outputs = self._scores.shape
        for c in range(outputs):
            one = torch.zeros_like(self._scores)
            one[:, c] = 1
            gradients = torch.autograd.grad(
                self._scores, edges, one, retain_graph=True, materialize_grads=True
            )
            g = dict(zip(numbers, gradients, strict=True))
            rows: dict[str, Tensor] = {}
            for number in sorted({use for plan in by_uses for use in plan.layer.uses}):
                self._add_rows(rows, number, g[number], names)
            for number, plan in wanted:
                value = self._value(plan, g, rows)
                if number not in derivatives:
                    derivatives[number] = value.new_empty(n, outputs, *value.shape[1:])
                derivatives[number][:, c] = value
        return derivatives

    def _value(self, plan: LayerPlan, g: dict[int, Tensor], rows: dict[str, Tensor]) -> Tensor:
        layer = plan.layer
        if plan.treatment == "uses":
            return torch.cat([rows[name] for name in layer.parameters], 1)
        if plan.treatment == "rows":
            return self._weight_rows(layer, g)
        return torch.cat([units_of(self._last.uses[u], g[u]) for u in layer.uses], 1)  # (n, T, m)

    def _weight_rows(self, layer: Layer, g: dict[int, Tensor]) -> Tensor:
        """∂f_c/∂(W, b) = Σₜ gₜ hₜᵀ, Σₜ gₜ of every example: (n, p)."""
        parts = []
        if layer.scale:
            weights = [weight_rows(self._last.uses[u], g[u], self._patches[u]) for u in layer.uses]
            parts.append(_total(weights, layer.scale**0.5))
        if layer.constant:
            biases = [bias_rows(self._last.uses[u], g[u]) for u in layer.uses]
            parts.append(_total(biases, layer.constant**0.5))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _add_rows(self, rows: dict[str, Tensor], number: int, g: Tensor, names: set[str]) -> None:
        """Adds ∂f_c/∂θ (n, p) at one use to the rows of those parameters that are named."""
        use = self._last.uses[number]
        for role, source in use.sources.items():
            if names.isdisjoint(source.names):
                continue
            derivatives = weight_rows(use, g) if role == "weight" else bias_rows(use, g)
            for name, value in self._pulled_back(source, derivatives):
                rows[name] = rows[name] + value if name in rows else value

    def _pulled_back(self, source: Source, rows: Tensor) -> list[tuple[str, Tensor]]:
        """Turns derivatives in a tensor made of parameters, (n, …), into those in each of them, (n, p)."""
        if source.path == ():
            return [(source.names[0], rows.reshape(len(rows), -1))]
        leaves = [self._last.leaves[name] for name in source.names]
        edge = GradientEdge(*source.edge)
        pulled = torch.autograd.grad(
            [edge], leaves, [rows], is_grads_batched=True, retain_graph=True, materialize_grads=True
        )
        return [(name, part.reshape(len(part), -1)) for name, part in zip(source.names, pulled, strict=True)]


def _total(rows: list[Tensor], factor: float) -> Tensor:
    """The sum over the uses of a parameter, (n, p) of (n, …), times a factor."""
    whole = (rows[0] if len(rows) == 1 else torch.stack(rows).sum(0)).flatten(1)
    return whole if factor == 1 else whole * factor
