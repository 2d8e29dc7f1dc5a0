"""The factors of every layer: one forward pass, and one backward pass for each output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from nnlab.ntk.empirical.factors import Factor, LookupFactor, Output, PositionFactor
from nnlab.ntk.empirical.jacobian import How, jacobian_rows
from nnlab.ntk.empirical.layers import Layer
from nnlab.ntk.empirical.passes import Pass, forward
from nnlab.ntk.empirical.probe import SAMPLE, Probe
from nnlab.ntk.empirical.uses import (
    PRODUCTS,
    Layout,
    Source,
    Use,
    bias_rows,
    patches_of,
    units_of,
    weight_rows,
)

Treatment = Literal["identity", "chain", "outer", "rows", "pairs", "uses", "vmap", "loop"]
AnyFactor = Factor | PositionFactor | LookupFactor

# Parameters of a group whose rows are joined with those of others: many small products take long.
SMALL_GROUP = 2**14


@dataclass(frozen=True)
class Plan:
    """How one layer's contribution is found.

    | treatment | for | numbers kept per example | multiplications per pair of examples |
    | --- | --- | --- | --- |
    | identity | the output layer: G = I | d | d |
    | chain | trace, layer before it: G_cj = V_cj φ'(z_j), so Σ_c is taken once | d + m | d + m |
    | outer | a linear layer: (A Aᵀ + 1) ∘ (G Gᵀ) | d + Cm | d + cm |
    | rows | used at T positions: Σₜ gₜ hₜᵀ formed for a block of examples | Cdm | cdm |
    | pairs | used at T positions: Σₜₛ (hₜ·h'ₛ) (gₜ·g'ₛ) | T(d + Cm) | T²(d + cm) |
    | uses | whatever has a rule: rows by `nnlab.ntk.empirical.uses`, summed over the uses | Cp | cp |
    | vmap, loop | everything else: rows by autograd | Cp | cp |

    with c = C² for the full kernel and c = C for its trace and diagonal.
    """

    layer: Layer
    treatment: Treatment
    numbers: int
    multiplications: int

    @property
    def by_autograd(self) -> bool:
        """Whether autograd differentiates in the parameters."""
        return self.treatment in ("vmap", "loop")


def plan_layer(layer: Layer, output: Output, outputs: int, examples: int, how: How = "vmap") -> Plan:
    """The cheapest treatment of a layer for a kernel of `examples` examples with themselves."""
    d, m, t, c = layer.inputs, layer.units, layer.positions, outputs
    products = c * c if output == "full" else c
    if layer.kind in ("opaque", "rows"):
        treatment: Treatment = "uses" if layer.kind == "rows" else how
        return Plan(layer, treatment, c * layer.size, products * layer.size)
    if layer.is_output:
        return Plan(layer, "identity", d, d)
    if layer.feeds_output and output == "trace":
        return Plan(layer, "chain", d + m, d + m)
    compared = 1 if layer.kind == "lookup" else d  # of a table the numbers of the rows are compared
    if t == 1 and layer.kind == "product":
        return Plan(layer, "outer", d + c * m, d + products * m)
    rows = Plan(layer, "rows", c * layer.size, products * layer.size)
    pairs = Plan(layer, "pairs", t * (compared + c * m), t * t * (compared + products * m))
    forming = c * t * m * compared  # of the rows, for each example
    return (
        rows
        if forming + examples * rows.multiplications / 2 < examples * pairs.multiplications / 2
        else pairs
    )


def factors(
    plans: Sequence[Plan], output: Output, x: Tensor, chunk: int, probe: Probe, per_layer: bool = False
) -> list[AnyFactor]:
    """The factors of every layer for the examples x, computed `chunk` examples at a time.

    Where the examples are those that the probe has seen, its pass is used. Without `per_layer` small groups
    are joined.
    """
    if len(x) <= chunk:
        return _factors(plans, output, x, probe, per_layer)
    whole: list[AnyFactor] = []
    for start in range(0, len(x), chunk):
        examples = slice(start, min(start + chunk, len(x)))
        block = _factors(plans, output, x[examples], probe, per_layer)
        whole = whole or [factor.room_for(len(x)) for factor in block]
        for place, factor in zip(whole, block, strict=True):
            place.take(examples).copy_(factor)  # type: ignore[arg-type]
    return whole


def names_of(plans: Sequence[Plan], per_layer: bool) -> list[str]:
    """The modules that the factors are of, in their order."""
    kept, joined = _joined(plans, per_layer)
    return [plans[number].layer.name for number in kept] + [""] * bool(joined)


def _joined(plans: Sequence[Plan], per_layer: bool) -> tuple[list[int], list[int]]:
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
    plans: Sequence[Plan], output: Output, x: Tensor, probe: Probe, per_layer: bool
) -> list[AnyFactor]:
    network, n = probe.network, len(x)
    found: list[AnyFactor] = []
    if any(not plan.by_autograd for plan in plans):
        few = not probe.known and n < SAMPLE  # of one example, say, torch may compute in another way
        seen = (
            probe.last
            if probe.last.is_of(x)
            else forward(network, _repeated(x) if few else x, probe.last, probe.layouts)
        )
        with torch.no_grad():  # what the graph has saved is a part of it
            gathered = _Gathered(plans, seen, probe)
    for number, plan in enumerate(plans):
        if plan.treatment == "vmap" or plan.treatment == "loop":
            found.append(Factor(None, jacobian_rows(network, plan.layer.parameters, x, plan.treatment)))
        else:
            with torch.no_grad():
                found.append(gathered.factor(number, output).take(slice(0, n)))
    kept, joined = _joined(plans, per_layer)
    if not joined:
        return found
    rows = torch.cat([found[number].gradients for number in joined], 2)  # type: ignore[misc]
    return [found[number] for number in kept] + [Factor(None, rows)]


def _repeated(x: Tensor) -> Tensor:
    """The examples, and the first one again until there are enough."""
    return torch.cat([x, x[:1].expand(SAMPLE - len(x), *x.shape[1:])])


class _Gathered:
    """What one forward pass and a backward pass for each output give."""

    def __init__(self, plans: Sequence[Plan], seen: Pass, probe: Probe) -> None:
        self._plans, self._seen, self._probe = plans, seen, probe
        self._network = probe.network
        with torch.enable_grad():
            self._scores = self._network.scores(seen.raw)
        self._patches = {
            use: patches_of(self._use(use), self._layout(use))
            for plan in plans
            if plan.treatment in ("outer", "rows", "pairs")
            for use in plan.layer.uses
        }
        self._gradients = self._backward()

    def factor(self, number: int, output: Output) -> AnyFactor:
        """Of one plan."""
        plan = self._plans[number]
        layer = plan.layer
        if plan.treatment == "identity":
            times = self._scores.shape[1] if output == "trace" else 1
            return Factor(self._inputs(layer), None, times * layer.scale, times * layer.constant)
        if plan.treatment == "chain":
            return Factor(self._inputs(layer), self._slopes(layer)[:, None], layer.scale, layer.constant)
        gradients = self._gradients[number]
        if plan.treatment in ("rows", "uses"):
            return Factor(None, gradients)
        patches = torch.cat([self._patches[use] for use in layer.uses], 1)  # (n, T, d)
        if layer.kind == "lookup":
            return LookupFactor(patches, gradients, layer.scale)
        if layer.positions == 1:
            return Factor(patches[:, 0], gradients[:, :, 0], layer.scale, layer.constant)
        return PositionFactor(patches, gradients, layer.scale, layer.constant)

    def _use(self, number: int) -> Use:
        return self._seen.graph.uses[number]

    def _layout(self, number: int) -> Layout:
        layout = self._probe.layouts[number]
        assert layout is not None
        return layout

    def _inputs(self, layer: Layer) -> Tensor:
        """(n, d) of a layer that is used once, at one position."""
        (number,) = layer.uses
        return patches_of(self._use(number), self._layout(number))[:, 0]

    def _slopes(self, layer: Layer) -> Tensor:
        """Before the output layer V: G_cj = V_cj sⱼ, and Σ_c G_cj G'_cj = sⱼ s'ⱼ Σ_c V_cj²; s = φ'(z)."""
        last = next(plan.layer for plan in self._plans if plan.treatment == "identity")
        use = self._use(last.uses[0])
        node: Any = use.node
        v = node._saved_mat2.detach()  # (d, C)
        v = v if self._network.outputs is None else v[:, list(self._network.outputs)]
        root = torch.linalg.vector_norm(v, dim=1)  # √Σ_c V_cj²
        end = GradientEdge(*node.next_functions[PRODUCTS[node.name()][0]])
        start = self._use(layer.uses[0]).edge
        given = root.expand(len(self._scores), -1)
        (slopes,) = torch.autograd.grad([end], [start], [given], retain_graph=True)
        return slopes

    def _backward(self) -> dict[int, Tensor]:
        """∂f_c/∂z (n, C, T, m) of the layers that need it, or ∂f_c/∂θ (n, C, p); by number of plan."""
        wanted = [
            (number, plan)
            for number, plan in enumerate(self._plans)
            if plan.treatment in ("outer", "rows", "pairs", "uses")
        ]
        numbers = sorted({use for _, plan in wanted for use in plan.layer.uses})
        edges = [self._use(number).edge for number in numbers]
        found: dict[int, Tensor] = {}
        if not wanted:
            return found
        by_uses = [plan for _, plan in wanted if plan.treatment == "uses"]
        names = {name for plan in by_uses for name in plan.layer.parameters}
        n, outputs = self._scores.shape
        for c in range(outputs):
            one = torch.zeros_like(self._scores)
            one[:, c] = 1
            taken = torch.autograd.grad(self._scores, edges, one, retain_graph=True, materialize_grads=True)
            g = dict(zip(numbers, taken, strict=True))
            rows: dict[str, Tensor] = {}
            for number in sorted({use for plan in by_uses for use in plan.layer.uses}):
                self._add_rows(rows, number, g[number], names)
            for number, plan in wanted:
                value = self._value(plan, g, rows)
                if number not in found:
                    found[number] = value.new_empty(n, outputs, *value.shape[1:])
                found[number][:, c] = value
        return found

    def _value(self, plan: Plan, g: dict[int, Tensor], rows: dict[str, Tensor]) -> Tensor:
        layer = plan.layer
        if plan.treatment == "uses":
            return torch.cat([rows[name] for name in layer.parameters], 1)
        if plan.treatment == "rows":
            return self._weight_rows(layer, g)
        return torch.cat([units_of(self._use(u), self._layout(u), g[u]) for u in layer.uses], 1)  # (n, T, m)

    def _weight_rows(self, layer: Layer, g: dict[int, Tensor]) -> Tensor:
        """∂f_c/∂(W, b) = Σₜ gₜ hₜᵀ, Σₜ gₜ of every example: (n, p)."""
        parts = []
        if layer.scale:
            found = [weight_rows(self._use(u), self._layout(u), g[u], self._patches[u]) for u in layer.uses]
            parts.append(_total(found, layer.scale**0.5))
        if layer.constant:
            found = [bias_rows(self._use(u), self._layout(u), g[u]) for u in layer.uses]
            parts.append(_total(found, layer.constant**0.5))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _add_rows(self, rows: dict[str, Tensor], number: int, g: Tensor, names: set[str]) -> None:
        """Adds ∂f_c/∂θ (n, p) at one use to the rows of those parameters that are named."""
        use, layout = self._use(number), self._layout(number)
        for role, source in use.sources.items():
            if names.isdisjoint(source.names):
                continue
            found = weight_rows(use, layout, g) if role == "weight" else bias_rows(use, layout, g)
            for name, value in self._pulled_back(source, found):
                rows[name] = rows[name] + value if name in rows else value

    def _pulled_back(self, source: Source, rows: Tensor) -> list[tuple[str, Tensor]]:
        """From derivatives in a tensor made of parameters, (n, …), to those in each of them, (n, p)."""
        if source.way == ():
            return [(source.names[0], rows.reshape(len(rows), -1))]
        leaves = [self._seen.leaves[name] for name in source.names]
        edge = GradientEdge(*source.edge)
        pulled = torch.autograd.grad(
            [edge], leaves, [rows], is_grads_batched=True, retain_graph=True, materialize_grads=True
        )
        return [(name, part.reshape(len(part), -1)) for name, part in zip(source.names, pulled, strict=True)]


def _total(rows: list[Tensor], factor: float) -> Tensor:
    """The sum over the uses of a parameter, (n, p) of (n, …), times a factor."""
    whole = rows[0] if len(rows) == 1 else torch.stack(rows).sum(0)
    whole = whole.flatten(1)
    return whole if factor == 1 else whole * factor
