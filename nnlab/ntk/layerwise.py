"""The factors of every layer: one forward pass, and one backward pass for each output."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from nnlab.ntk.factors import Factor, Output, PositionFactor
from nnlab.ntk.layers import Call, Layer, Network, Probe, forward, gradient_rows, input_rows

Treatment = Literal["identity", "chain", "outer", "rows", "pairs", "jacobian"]
AnyFactor = Factor | PositionFactor


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
    | jacobian | everything else: by torch.func | Cp | cp |

    with c = C² for the full kernel and c = C for its trace and diagonal.
    """

    layer: Layer
    treatment: Treatment
    numbers: int
    multiplications: int


def plan_layer(layer: Layer, output: Output, outputs: int, examples: int) -> Plan:
    """The cheapest treatment of a layer for a kernel of `examples` examples with themselves."""
    d, m, t, c = layer.inputs, layer.units, layer.positions, outputs
    products = c * c if output == "full" else c
    if layer.module is None:
        return Plan(layer, "jacobian", c * layer.size, products * layer.size)
    if layer.is_output:
        return Plan(layer, "identity", d, d)
    if layer.feeds_output and output == "trace":
        return Plan(layer, "chain", d + m, d + m)
    if t == 1:
        return Plan(layer, "outer", d + c * m, d + products * m)
    rows = Plan(layer, "rows", c * layer.size, products * layer.size)
    pairs = Plan(layer, "pairs", t * (d + c * m), t * t * (d + products * m))
    if getattr(layer.module, "groups", 1) > 1:
        return rows
    forming = c * t * m * d  # of the rows, for each example
    return (
        rows
        if forming + examples * rows.multiplications / 2 < examples * pairs.multiplications / 2
        else pairs
    )


def factors(
    network: Network, plans: Sequence[Plan], output: Output, x: Tensor, chunk: int, seen: Probe
) -> list[AnyFactor]:
    """The factors of every layer for the examples x, computed `chunk` examples at a time.

    Where the examples are those that the probe has seen, its pass is used.
    """
    if len(x) <= chunk:
        return _factors(network, plans, output, x, seen)
    whole: list[AnyFactor] = []
    for start in range(0, len(x), chunk):
        examples = slice(start, min(start + chunk, len(x)))
        block = _factors(network, plans, output, x[examples], seen)
        whole = whole or [factor.room_for(len(x)) for factor in block]
        for place, factor in zip(whole, block, strict=True):
            place.take(examples).copy_(factor)  # type: ignore[arg-type]
    return whole


def _factors(
    network: Network, plans: Sequence[Plan], output: Output, x: Tensor, seen: Probe
) -> list[AnyFactor]:
    modules = [plan.layer.module for plan in plans if plan.layer.module is not None]
    calls: dict[nn.Module, list[Call]] = {}
    gradients: dict[int, Tensor] = {}
    if modules:
        raw, calls = (seen.raw, seen.calls) if seen.is_of(x) else forward(network, x, modules)
        gradients = _backward(network.scores(raw), plans, calls)
    found: list[AnyFactor] = []
    for number, plan in enumerate(plans):
        layer = plan.layer
        if layer.module is None:
            found.append(Factor(None, jacobian_rows(network, layer.parameters, x)))
        elif plan.treatment == "identity":
            found.append(_identity(layer, calls[layer.module][0], output, network, x))
        elif plan.treatment == "chain":
            found.append(_chain(layer, plans, calls, network))
        elif plan.treatment == "rows":
            found.append(Factor(None, gradients[number]))
        else:
            found.append(_outer(layer, calls, gradients[number]))
    return found


def _identity(layer: Layer, call: Call, output: Output, network: Network, x: Tensor) -> Factor:
    """The output layer: ∂f/∂z = I, whose trace is C."""
    scores = layer.units if network.outputs is None else len(network.outputs)
    times = scores if output == "trace" else 1
    return Factor(call.inputs.detach(), None, times * layer.scale, times * layer.constant)


def _chain(
    layer: Layer, plans: Sequence[Plan], calls: dict[nn.Module, list[Call]], network: Network
) -> Factor:
    """Before the output layer V: G_cj = V_cj sⱼ, and Σ_c G_cj G'_cj = sⱼ s'ⱼ Σ_c V_cj²; s = φ'(z)."""
    last = next(plan.layer for plan in plans if plan.treatment == "identity")
    assert last.module is not None
    assert layer.module is not None
    call, after = calls[layer.module][0], calls[last.module][0].inputs
    prefix = f"{last.name}." if last.name else ""
    v = network.parameters[f"{prefix}weight"]
    v = v if network.outputs is None else v[list(network.outputs)]
    root = last.multipliers[0] * torch.linalg.vector_norm(v, dim=0)  # √Σ_c V_cj²
    (slopes,) = torch.autograd.grad(after, [call.edge], root.expand_as(after), retain_graph=True)
    return Factor(call.inputs.detach(), slopes[:, None], layer.scale, layer.constant)


def _outer(layer: Layer, calls: dict[nn.Module, list[Call]], gradients: Tensor) -> AnyFactor:
    assert layer.module is not None
    inputs = _all_inputs(layer.module, calls)  # (n, T, d)
    if layer.positions == 1:
        return Factor(inputs[:, 0], gradients[:, :, 0], layer.scale, layer.constant)
    return PositionFactor(inputs, gradients, layer.scale, layer.constant)


def _backward(scores: Tensor, plans: Sequence[Plan], calls: dict[nn.Module, list[Call]]) -> dict[int, Tensor]:
    """∂f_c/∂z of the layers that need it: (n, C, T, m), or for rows ∂f_c/∂θ (n, C, p); by number of plan."""
    wanted = [(i, plan) for i, plan in enumerate(plans) if plan.treatment in ("outer", "rows", "pairs")]
    edges = [call.edge for _, plan in wanted for call in calls[_module(plan)]]
    found: dict[int, Tensor] = {}
    if not wanted:
        return found
    seen = {i: _all_inputs(_module(plan), calls) for i, plan in wanted if plan.treatment == "rows"}
    n, outputs = scores.shape
    for c in range(outputs):
        taken = iter(
            torch.autograd.grad(scores[:, c].sum(), edges, retain_graph=True, materialize_grads=True)
        )
        for i, plan in wanted:
            module, uses = _module(plan), calls[_module(plan)]
            g = torch.cat([gradient_rows(module, next(taken)) for _ in uses], 1)  # (n, T, m)
            value = _weight_rows(plan.layer, seen[i], g) if plan.treatment == "rows" else g
            if i not in found:
                found[i] = value.new_empty(n, outputs, *value.shape[1:])
            found[i][:, c] = value
    return found


def _module(plan: Plan) -> nn.Module:
    assert plan.layer.module is not None
    return plan.layer.module


def _all_inputs(module: nn.Module, calls: dict[nn.Module, list[Call]]) -> Tensor:
    """What the units see, at the positions of all uses: (n, T, groups·d)."""
    return torch.cat([input_rows(module, call.inputs.detach()) for call in calls[module]], 1)


def _weight_rows(layer: Layer, h: Tensor, g: Tensor) -> Tensor:
    """∂f_c/∂(W, b) = Σₜ gₜ hₜᵀ, Σₜ gₜ of every example: (n, p). Channels of a group see their own inputs."""
    rows = []
    if layer.scale:
        groups = h.shape[-1] // layer.inputs
        parts = zip(g.chunk(groups, 2), h.chunk(groups, 2), strict=True)
        weights = [torch.bmm(units.transpose(1, 2), seen) for units, seen in parts]  # (n, m/groups, d) each
        rows.append(torch.cat(weights, 1).flatten(1).mul_(layer.scale**0.5))
    if layer.constant:
        rows.append(g.sum(1).mul_(layer.constant**0.5))
    return torch.cat(rows, 1)


def jacobian_rows(network: Network, names: Sequence[str], x: Tensor) -> Tensor:
    """∂f_c/∂θ for the named parameters, (n, C, p), by torch.func's vmap over jacrev."""

    def scores(values: dict[str, Tensor], example: Tensor) -> Tensor:
        raw = functional_call(network.module, {**network.parameters, **values}, (example[None],))
        return network.scores(raw)[0]

    values = {name: network.parameters[name] for name in names}
    with warnings.catch_warnings():
        # torch takes some operations one by one under vmap, and warns that this is slower
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        jacobians = vmap(jacrev(scores), in_dims=(None, 0))(values, x)
    return torch.cat([jacobians[name].flatten(2) for name in names], 2)
