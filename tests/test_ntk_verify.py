"""Mistakes planted in the tangent kernel's own code: whether the comparison with autograd finds them."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from nnlab.ntk import ModelError, empirical_ntk
from nnlab.ntk.empirical import blocks as in_blocks
from nnlab.ntk.empirical import factors, functional, graph, jacobian, layers, layerwise, rules
from nnlab.ntk.empirical import kernel as empirical
from nnlab.ntk.empirical import verify as verification
from nnlab.ntk.empirical.factors import Output
from nnlab.ntk.empirical.kernel import Method

MODULES: tuple[Any, ...] = (
    empirical, factors, graph, in_blocks, jacobian, layers, layerwise, rules,
)  # fmt: skip
Kernels = dict[str | None, Tensor]


# --- models, each with what of the code it goes through ---------------------------------------------


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def randomized(model: nn.Module, seed: int = 1) -> nn.Module:
    """The model in float64 and evaluation mode, every parameter and running statistic random."""
    model = model.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64) / 2)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.5)
    return model


class Formula(nn.Module):
    """Scores by a function of the examples and of parameters whose shapes are given."""

    def __init__(self, function: Callable[..., Tensor], **shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function, self.names = function, list(shapes)
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, name) for name in self.names))


class Recurrent(nn.Module):
    """A gated recurrent layer, whose weights are used once for each step of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Words(nn.Module):
    """A table of which row 0 stands for padding; with `tied`, words are also scored by it."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.table, self.middle = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 4)
        self.head = None if tied else nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.middle(self.table(x))).mean(1)
        return F.linear(h, self.table.weight) if self.head is None else self.head(h)


@dataclass(frozen=True)
class Case:
    """A model with examples.

    Attributes:
        model: the model.
        x1: its examples.
        x2: other ones.
        options: of `empirical_ntk`.
        settings: of `nnlab.ntk.empirical.blocks`: small numbers make many blocks of few examples.
    """

    model: nn.Module
    x1: Tensor
    x2: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, int] = field(default_factory=dict)

    def kernels(self, method: str, verify: bool) -> Kernels:
        """By module, or under None their sum."""
        compute: Callable[..., Tensor | dict[str, Tensor]] = empirical_ntk
        found = compute(self.model, self.x1, self.x2, method=method, verify=verify, **self.options)
        return dict(found.items()) if isinstance(found, dict) else {None: found}

    def looped(self) -> Kernels:
        """The same from one backward pass for each score of each example."""
        rows = [{} if x is None else gradients(self.model, x) for x in (self.x1, self.x2)]
        left, right = rows[0], rows[1] or rows[0]
        parts: Kernels = {}
        for name in left:
            key = name.rpartition(".")[0] if self.options.get("per_layer") else None
            kernel = torch.einsum("icp,jdp->ijcd", left[name], right[name])
            parts[key] = kernel + parts[key] if key in parts else kernel
        return {key: self._shown(kernel) for key, kernel in parts.items()}

    def _shown(self, full: Tensor) -> Tensor:
        wanted = self.options.get("outputs")
        full = full if wanted is None else full[:, :, wanted][..., wanted]
        output = self.options.get("output", "full")
        diagonal = full.diagonal(dim1=2, dim2=3)
        return {"full": full, "diagonal": diagonal, "trace": diagonal.sum(-1)}[output]


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """∂f_c/∂θ (n, C, p), by name."""
    named = dict(model.named_parameters())
    found: dict[str, list[Tensor]] = {name: [] for name in named}
    for example in x:
        for score in model(example[None])[0]:
            parts = torch.autograd.grad(
                score, list(named.values()), retain_graph=True, materialize_grads=True
            )
            for name, part in zip(named, parts, strict=True):
                found[name].append(part.flatten())
    return {name: torch.stack(parts).view(len(x), -1, parts[0].numel()) for name, parts in found.items()}


def error(found: Kernels, right: Kernels) -> float:
    """The largest of the parts' errors, relative in the Frobenius norm."""
    assert found.keys() == right.keys()
    return max(float((found[key] - right[key]).norm() / right[key].norm()) for key in right)


SMALL_BLOCKS = {"PASS": 4, "TILE_ROWS": 4, "DIAGONAL": 6, "TILE_BYTES": 6 * 4 * 4 * 9 * 8}


def perceptron(**options: Any) -> Case:
    tanh = nn.Tanh()
    model = nn.Sequential(nn.Linear(5, 7), tanh, nn.Linear(7, 6), tanh, nn.Linear(6, 3))
    return Case(randomized(model), random(9, 5), options=options)


def module(model: nn.Module, *shape: int, **options: Any) -> Case:
    return Case(randomized(model), random(*shape), options=options)


def formula(function: Callable[..., Tensor], *x: int, **shapes: tuple[int, ...]) -> Case:
    return Case(randomized(Formula(function, **shapes)), random(*x))


def convolutions(**settings: Any) -> nn.Module:
    """Of images 6 × 6."""
    first = nn.Conv2d(2, 4, (2, 3), **settings)
    with torch.no_grad():
        size = first(torch.zeros(1, 2, 6, 6)).numel()
    return nn.Sequential(first, nn.Tanh(), nn.Flatten(), nn.Linear(size, 2))


def sequences(n: int = 6) -> Tensor:
    """Of words, of which some are padding and some are twice in an example."""
    words = torch.randint(1, 7, (n, 5), generator=torch.Generator().manual_seed(3))
    words[:, 3:] = words[:, :2]
    words[::2, 4] = 0
    return words


def normed() -> nn.Module:
    model = nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 2))
    return randomized(model)


CASES: dict[str, Callable[[], Case]] = {
    "perceptron": perceptron,
    "its trace": lambda: perceptron(output="trace"),
    "its trace over some outputs": lambda: perceptron(output="trace", outputs=[0, 2]),
    "its diagonal": lambda: perceptron(output="diagonal"),
    "its layers": lambda: perceptron(per_layer=True),
    "two sets": lambda: replace(perceptron(), x2=random(9, 5, seed=2)),
    "two sets in blocks": lambda: replace(perceptron(), x2=random(7, 5, seed=2), settings=SMALL_BLOCKS),
    "blocks": lambda: replace(perceptron(), x1=random(12, 5), settings=SMALL_BLOCKS),
    "little memory": lambda: replace(perceptron(memory_limit=52_000), x1=random(24, 5)),
    "many examples": lambda: replace(perceptron(output="trace"), x1=random(90, 5), settings=SMALL_BLOCKS),
    "softmax": lambda: module(
        nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.Softmax(1)), 6, 5
    ),
    "norm in between": lambda: module(
        nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3)), 6, 5, output="trace"
    ),
    "multipliers": lambda: formula(
        lambda x, w, b, v: torch.tanh(F.linear(x, 0.6 * w, 1.7 * b)) @ (v / 3),
        6, 5, w=(4, 5), b=(4,), v=(4, 3),
    ),
    "filter with multipliers": lambda: formula(
        lambda x, w, b, v: torch.tanh(F.conv1d(x, 0.6 * w, 1.7 * b)).flatten(1) @ v,
        6, 2, 9, w=(2, 2, 2), b=(2,), v=(16, 2),
    ),
    "filters": lambda: module(convolutions(padding=(1, 0), stride=(1, 1)), 6, 2, 6, 6),
    "filters, strided": lambda: module(
        nn.Sequential(nn.Conv2d(2, 3, 2, stride=(1, 2)), nn.Tanh(), nn.Flatten(), nn.Linear(45, 2)),
        6, 2, 6, 6,
    ),
    "filters, dilated": lambda: module(
        nn.Sequential(
            nn.Conv2d(2, 3, 2, stride=2, padding=1, dilation=2), nn.Tanh(), nn.Flatten(), nn.Linear(27, 2)
        ), 6, 2, 5, 5,
    ),
    "filters, padded": lambda: module(
        nn.Sequential(nn.Conv2d(2, 3, 3, stride=3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)),
        6, 2, 6, 6,
    ),
    "filters of groups": lambda: module(convolutions(groups=2), 6, 2, 6, 6),
    "filters of space": lambda: module(
        nn.Sequential(nn.Conv3d(4, 4, 2, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2)), 4, 4, 3, 3, 3
    ),
    "few units, many positions": lambda: module(
        nn.Sequential(nn.Conv1d(6, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)), 5, 6, 4, output="trace"
    ),
    "recurrent": lambda: module(Recurrent(), 6, 4, 3),
    "words": lambda: Case(randomized(Words(tied=False)), sequences()),
    "words, scored by their table": lambda: Case(randomized(Words(tied=True)), sequences()),
    "layer norm": lambda: module(
        nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3)), 6, 5
    ),
    "group norm": lambda: module(
        nn.Sequential(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(20, 2)),
        6, 2, 6,
    ),
    "batch norm": lambda: module(
        nn.Sequential(
            nn.Conv1d(2, 4, 2), nn.BatchNorm1d(4, eps=1e-3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 2)
        ), 6, 2, 5,
    ),
    "prelu": lambda: module(nn.Sequential(nn.Linear(5, 4), nn.PReLU(4), nn.Linear(4, 2)), 6, 5),
    "a weight used twice": lambda: formula(
        lambda x, w, v: torch.tanh(torch.tanh(x @ w) @ w) @ v, 6, 4, w=(4, 4), v=(4, 2)
    ),
    "a shift used twice": lambda: formula(
        lambda x, a, v: torch.tanh(torch.sub(x, a, alpha=2.0)) @ v + a.sum(), 6, 4, a=(4,), v=(4, 2)
    ),
    "a sum and its difference": lambda: formula(
        lambda x, a, v: (torch.tanh(x - a) + torch.tanh(x + a)) @ v, 6, 4, a=(4,), v=(4, 2)
    ),
    "products and quotients": lambda: formula(
        lambda x, a, b, v: torch.tanh(x * a / (2 + b**2)) @ v, 6, 4, a=(4,), b=(4,), v=(4, 2)
    ),
    "where": lambda: formula(
        lambda x, b, v: torch.tanh(torch.where(x > 0, x, b)) @ v, 6, 4, b=(4,), v=(4, 2)
    ),
    "columns": lambda: formula(
        lambda x, w, v: torch.tanh(w @ x.mT.flatten(0, 1).T).view(4, -1, 4).transpose(0, 1).flatten(1) @ v,
        6, 4, 4, w=(4, 4), v=(16, 2),
    ),
    "time first": lambda: formula(
        lambda x, w, b, v: torch.tanh(F.linear(x.transpose(0, 1).contiguous(), w, b)).prod(0) @ v,
        6, 3, 4, w=(4, 4), b=(4,), v=(4, 2),
    ),
    "three examples": lambda: formula(
        lambda x, w, b, v: torch.tanh(F.linear(x, w, b)) @ v, 3, 4, w=(4, 4), b=(4,), v=(4, 2)
    ),
    "scaled addmm": lambda: formula(
        lambda x, w, b, v: torch.tanh(torch.addmm(b, x, w, alpha=2.0)) @ v, 6, 4, w=(4, 5), b=(5,), v=(5, 2)
    ),
    "weight norm": lambda: Case(normed(), random(6, 4)),
    "powers": lambda: formula(
        lambda x, w, a, v: (x.abs() ** a + torch.tanh(x @ w)) @ v, 6, 4, w=(4, 4), a=(4,), v=(4, 2)
    ),
    "with and without a rule": lambda: formula(
        lambda x, w, v: torch.atan2(torch.tanh(x @ w), w[0]) @ v, 6, 4, w=(4, 4), v=(4, 2)
    ),
}  # fmt: skip


# --- the mistakes -----------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Attributes:
        plant: makes it.
        case: a case that it spoils.
        method: in which it sits.
    """

    plant: Plant
    case: str
    method: str


FAULTS: dict[str, Fault] = {}


def planted(case: str, method: str = "layerwise") -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        assert plant.__name__ not in FAULTS
        FAULTS[plant.__name__] = Fault(plant, case, method)
        return plant

    return register


def everywhere(patch: pytest.MonkeyPatch, name: str, new: Any) -> None:
    """Puts a function in the place of the package's one of that name, wherever it is imported."""
    holders = [holder for holder in MODULES if hasattr(holder, name)]
    assert holders
    for holder in holders:
        patch.setattr(holder, name, new)


def changed(patch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Changes what a function returns; the change is told the arguments, too."""
    before = getattr(owner, name)

    def after(*arguments: Any, **named: Any) -> Any:
        return change(before(*arguments, **named), *arguments)

    if isinstance(owner, type):
        patch.setattr(owner, name, after)
    else:
        everywhere(patch, name, after)


class Pretending:
    """A node of a graph some of whose attributes are others."""

    def __init__(self, node: Any, **attributes: Any) -> None:
        self.__dict__.update(attributes)
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


def misread(
    patch: pytest.MonkeyPatch, name: str, attributes: Callable[[Any], dict[str, Any]], of_use: bool = False
) -> None:
    """A function of a node takes other attributes from it."""
    before = getattr(rules if hasattr(rules, name) else graph, name)

    def after(first: Any, *rest: Any) -> Any:
        node = first.node if of_use else first
        pretending = Pretending(node, **attributes(node))
        return before(replace(first, node=pretending) if of_use else pretending, *rest)

    everywhere(patch, name, after)


def other_layers(patch: pytest.MonkeyPatch, **changes: Callable[[layers.Layer], float]) -> None:
    """Layers of products with other numbers in them."""

    def change(found: tuple[list[layers.Layer], list[str]], *_: Any) -> tuple[list[layers.Layer], list[str]]:
        return [changed_layer(layer) for layer in found[0]], found[1]

    def changed_layer(layer: layers.Layer) -> layers.Layer:
        numbers: dict[str, Any] = {key: of(layer) for key, of in changes.items()}
        return replace(layer, **numbers)

    changed(patch, layers, "_products", change)


def from_zero(patch: pytest.MonkeyPatch) -> None:
    """What a kernel's memory holds before it is written is left to chance; here it is 0."""

    with_memory(patch, lambda kernel: kernel.zero_())


def with_memory(patch: pytest.MonkeyPatch, change: Callable[[Tensor], object]) -> None:
    """Changes the memory of kernels before they are written."""
    before = empirical._first_right

    def first_right(task: Any, candidates: Any, destination: Any, *rest: Any) -> Any:
        for kernel in destination.kernels.values():
            change(kernel)
        return before(task, candidates, destination, *rest)

    patch.setattr(empirical, "_first_right", first_right)


# Numbers of a layer


@planted("perceptron")
def bias_forgotten(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, constant=lambda layer: 0.0)


@planted("its trace")
def bias_forgotten_in_the_trace(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, constant=lambda layer: 0.0)


@planted("recurrent")
def bias_of_steps_forgotten(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, constant=lambda layer: 0.0 if layer.positions > 1 else layer.constant)


@planted("multipliers")
def bias_without_its_multiplier(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, constant=lambda layer: float(layer.constant > 0))


@planted("multipliers")
def multiplier_of_the_bias_not_squared(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, constant=lambda layer: layer.constant**0.5)


@planted("multipliers")
def multiplier_of_the_weight_not_squared(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, scale=lambda layer: layer.scale**0.5)


@planted("multipliers")
def multiplier_of_the_weight_forgotten(patch: pytest.MonkeyPatch) -> None:
    other_layers(patch, scale=lambda layer: 1.0)


@planted("multipliers")
def quotient_taken_for_a_product(patch: pytest.MonkeyPatch) -> None:
    changed(patch, graph, "_factor_of", lambda f, node: 1 / f if node.name() == "DivBackward0" and f else f)


@planted("filter with multipliers")
def multiplier_of_rows_squared(patch: pytest.MonkeyPatch) -> None:
    before = layerwise._Derivatives._weight_rows
    patch.setattr(
        layerwise._Derivatives,
        "_weight_rows",
        lambda self, layer, g: before(self, replace(layer, scale=layer.scale**2), g),
    )


@planted("filters")
def bias_forgotten_in_rows(patch: pytest.MonkeyPatch) -> None:
    before = layerwise._Derivatives._weight_rows
    patch.setattr(
        layerwise._Derivatives,
        "_weight_rows",
        lambda self, layer, g: before(self, replace(layer, constant=0.0), g),
    )


# Groups of parameters


@planted("perceptron")
def layer_counted_twice(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layers, "_products", lambda found, *_: ([*found[0], found[0][0]], found[1]))


@planted("perceptron")
def layer_lost(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layers, "_products", lambda found, *_: (found[0][1:], found[1]))


@planted("layer norm")
def parameters_without_a_product_lost(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layers, "_products", lambda found, *_: (found[0], []))


@planted("powers")
def parameters_without_a_rule_lost(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch, empirical._Task, "plans",
        lambda plans, _, method: [p for p in plans if method != "layerwise" or not p.by_autograd],
    )  # fmt: skip


@planted("with and without a rule")
def use_without_a_rule_lost(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "_closed", lambda opaque, occurrences: {n for n in opaque if not occurrences[n]})


@planted("a weight used twice")
def only_the_first_use_of_a_weight(patch: pytest.MonkeyPatch) -> None:
    before = layers._product
    everywhere(patch, "_product", lambda network, name, its, *rest: before(network, name, its[:1], *rest))


@planted("words, scored by their table")
def rows_of_a_second_use_replace_the_first(patch: pytest.MonkeyPatch) -> None:
    before = layerwise._Derivatives._add_rows

    def add(self: Any, rows: dict[str, Tensor], *rest: Any) -> None:
        fresh: dict[str, Tensor] = {}
        before(self, fresh, *rest)
        rows.update(fresh)

    patch.setattr(layerwise._Derivatives, "_add_rows", add)


@planted("its layers")
def contributions_under_names_of_others(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layerwise, "names_of", lambda names, *_: names[::-1])


# The output layer and the one before it


@planted("its trace")
def identity_counted_once(patch: pytest.MonkeyPatch) -> None:
    def once(factor: Any, derivatives: Any, number: int, *_: Any) -> Any:
        plan = derivatives._plans[number]
        known = plan.treatment == "identity"
        return replace(factor, scale=plan.layer.scale, constant=plan.layer.constant) if known else factor

    changed(patch, layerwise._Derivatives, "factor", once)


@planted("its trace")
def identity_without_bias(patch: pytest.MonkeyPatch) -> None:
    before = factors.VectorFactor._add_identity
    patch.setattr(
        factors.VectorFactor, "_add_identity", lambda self, *rest: before(replace(self, constant=0.0), *rest)
    )


@planted("perceptron")
def identity_taken_for_ones(patch: pytest.MonkeyPatch) -> None:
    def add(self: Any, tile: Tensor, other: Any, output: str, workspace: Any) -> None:
        tile.add_(self._pairs(other, workspace)[:, None, :, None])

    patch.setattr(factors.VectorFactor, "_add_identity", add)


@planted("softmax")
def layer_before_the_softmax_taken_for_the_output(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layers, "_product", lambda layer, *_: replace(layer, is_output=layer.units == 3))


def _output_weight(derivatives: Any) -> Tensor:
    """V (d, C)."""
    last = next(plan.layer for plan in derivatives._plans if plan.treatment == "identity")
    found: Tensor = derivatives._last.uses[last.uses[0]].node._saved_mat2
    return found.detach()


@planted("its trace")
def sum_of_absolute_values_in_the_chain(patch: pytest.MonkeyPatch) -> None:
    def change(slopes: Tensor, derivatives: Any, layer: Any) -> Tensor:
        v = _output_weight(derivatives)
        return slopes * v.norm(1, dim=1) / v.norm(dim=1)

    changed(patch, layerwise._Derivatives, "_slopes", change)


@planted("its trace over some outputs")
def chain_over_all_outputs(patch: pytest.MonkeyPatch) -> None:
    def change(slopes: Tensor, derivatives: Any, layer: Any) -> Tensor:
        v = _output_weight(derivatives)
        return slopes * v.norm(dim=1) / v[:, [0, 2]].norm(dim=1)

    changed(patch, layerwise._Derivatives, "_slopes", change)


@planted("its diagonal")
def chain_beside_the_trace(patch: pytest.MonkeyPatch) -> None:
    before = layerwise.plan_layer
    everywhere(
        patch,
        "plan_layer",
        lambda layer, output, *rest: before(layer, "trace" if layer.feeds_output else output, *rest),
    )


@planted("norm in between")
def chain_through_a_norm(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "is_elementwise", lambda end, start: True)


# Factors and tiles


@planted("its trace")
def sum_in_place_of_a_product_of_kernels(patch: pytest.MonkeyPatch) -> None:
    def add(tile: Tensor, pairs: Tensor | None, left: Tensor, right: Tensor, workspace: Any) -> None:
        tile.addmm_(left, right.T).add_(0 if pairs is None else pairs)

    everywhere(patch, "_add_hadamard", add)


@planted("few units, many positions")
def positions_and_examples_exchanged(patch: pytest.MonkeyPatch) -> None:
    def summed(pairs: Tensor, left: Tensor, right: Tensor) -> Tensor:
        t = left.shape[1]
        product = (left.flatten(0, 1) @ right.flatten(0, 1).T).mul_(pairs)
        return product.view(t, len(left), t, len(right)).sum((0, 2))

    everywhere(patch, "_summed", summed)


@planted("few units, many positions")
def only_equal_positions(patch: pytest.MonkeyPatch) -> None:
    def change(pairs: Tensor, mine: Any, other: Any) -> Tensor:
        t = mine.inputs.shape[1]
        return pairs * torch.eye(t, dtype=pairs.dtype).repeat(len(mine.inputs), len(other.inputs))

    changed(patch, factors.PositionFactor, "_pairs", change)


@planted("few units, many positions")
def bias_of_positions_forgotten(patch: pytest.MonkeyPatch) -> None:
    before = factors.PositionFactor._pairs
    patch.setattr(
        factors.PositionFactor, "_pairs", lambda self, other: before(replace(self, constant=0.0), other)
    )


@planted("perceptron")
def outputs_exchanged_to_the_caller(patch: pytest.MonkeyPatch) -> None:
    def public(tile: Tensor, output: str) -> Tensor:
        assert output == "full"
        return tile.permute(0, 2, 3, 1)

    everywhere(patch, "public", public)


@planted("blocks")
def mirrored_tile_not_transposed_in_outputs(patch: pytest.MonkeyPatch) -> None:
    before = in_blocks._mirror

    def mirror(kernel: Tensor, output: Output, i: slice, j: slice, on_diagonal: bool) -> None:
        if on_diagonal:
            before(kernel, output, i, j, on_diagonal)
        else:
            kernel[j, :, i] = kernel[i, :, j].permute(2, 1, 0, 3)

    everywhere(patch, "_mirror", mirror)


@planted("blocks")
def tile_on_the_diagonal_averaged_without_outputs(patch: pytest.MonkeyPatch) -> None:
    def mirror(kernel: Tensor, output: Output, i: slice, j: slice, on_diagonal: bool) -> None:
        tile = kernel[i, :, j].clone()
        if on_diagonal:
            kernel[i, :, j] = (tile + tile.permute(2, 1, 0, 3)) / 2
        else:
            kernel[j, :, i] = tile.permute(2, 3, 0, 1)

    everywhere(patch, "_mirror", mirror)


@planted("blocks")
def tile_on_the_diagonal_added_to_its_mirror_image(patch: pytest.MonkeyPatch) -> None:
    before = in_blocks._mirror

    def mirror(kernel: Tensor, output: Output, i: slice, j: slice, on_diagonal: bool) -> None:
        before(kernel, output, i, j, on_diagonal)
        kernel[i, :, j] *= 2 if on_diagonal else 1

    everywhere(patch, "_mirror", mirror)


@planted("many examples")
def mirrored_tiles_forgotten(patch: pytest.MonkeyPatch) -> None:
    from_zero(patch)
    before = in_blocks._mirror
    everywhere(
        patch,
        "_mirror",
        lambda kernel, output, i, j, on_diagonal: before(kernel, output, i, j, True) if on_diagonal else None,
    )


@planted("two sets in blocks")
def tile_written_to_rows_before(patch: pytest.MonkeyPatch) -> None:
    from_zero(patch)
    before = factors.part

    def part(tile: Tensor, output: Output, rows: slice, columns: slice) -> Tensor:
        shift = int(rows.start > 0 and len(tile) == 9)
        return before(tile, output, slice(rows.start - shift, rows.stop - shift), columns)

    patch.setattr(in_blocks, "part", part)


@planted("blocks")
def tiles_off_by_one_example(patch: pytest.MonkeyPatch) -> None:
    def shifted(inside: slice, block: slice) -> slice:
        off = int(inside.start > block.start)
        return slice(inside.start - block.start - off, inside.stop - block.start - off)

    everywhere(patch, "_shifted", shifted)


@planted("little memory")
def last_example_of_a_block_is_that_before(patch: pytest.MonkeyPatch) -> None:
    def repeated(x: Tensor, found: list[Any]) -> list[Any]:
        order = torch.arange(len(x))
        order[-1] = max(len(x) - 2, 0)
        return [factor.take(order) for factor in found] if len(x) < 24 else found

    before = layerwise.factors
    patch.setattr(
        empirical,
        "factors",
        lambda plans, output, x, *rest: repeated(x, before(plans, output, x, *rest)),
    )


@planted("blocks")
def pass_copied_to_the_place_of_another(patch: pytest.MonkeyPatch) -> None:
    before = layerwise.factors

    def mistaken(plans: Any, output: Any, x: Tensor, chunk: int, *rest: Any) -> list[Any]:
        whole: list[Any] = before(plans, output, x, chunk, *rest)
        order = torch.arange(len(x)).view(-1, chunk).flip(0).flatten()
        return [factor.take(order) for factor in whole[:1]] + whole[1:]

    patch.setattr(empirical, "factors", mistaken)


# Gradients and inputs


@planted("perceptron")
def output_index_shifted(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch, layerwise._Derivatives, "_backward",
        lambda found, *_: {number: g.roll(1, 1) for number, g in found.items()},
    )  # fmt: skip


@planted("perceptron")
def examples_of_one_layer_permuted(patch: pytest.MonkeyPatch) -> None:
    changed(patch, layerwise._Derivatives, "_inputs", lambda h, *_: h.roll(1, 0))


@planted("two sets")
def pass_of_other_examples_taken_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(graph.Pass, "is_of", lambda self, x: x.shape == self.x.shape)


@planted("three examples")
def repeated_example_put_in_front(patch: pytest.MonkeyPatch) -> None:
    def repeated(x: Tensor) -> Tensor:
        return torch.cat([x[:1].expand(layers.SAMPLE - len(x), *x.shape[1:]), x])

    everywhere(patch, "_repeated", repeated)


@planted("time first")
def first_layout_always(patch: pytest.MonkeyPatch) -> None:
    def first(network: Any, last: Any) -> list[Any]:
        return [next(iter(graph.layouts(use, len(last.x))), None) for use in last.uses]

    everywhere(patch, "_layouts", first)


@planted("time first")
def inner_part_of_an_axis_taken_for_the_outer(patch: pytest.MonkeyPatch) -> None:
    before = rules.patches_of
    everywhere(patch, "patches_of", lambda use: before(replace(use, layout=replace(use.layout, inner=False))))


@planted("columns")
def rows_taken_for_columns(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "_matrix", lambda use, front: front)


@planted("weight norm")
def weight_transposed(patch: pytest.MonkeyPatch) -> None:
    changed(patch, rules, "weight_rows", lambda rows, *_: rows.mT if rows.mT.shape == rows.shape else rows)


@planted("weight norm")
def normalized_weight_not_pulled_back(patch: pytest.MonkeyPatch) -> None:
    before = layerwise._Derivatives._pulled_back

    def pulled(self: Any, source: Any, rows: Tensor) -> list[tuple[str, Tensor]]:
        if len(source.names) == 1:
            return before(self, source, rows)
        sizes = {name: self._last.leaves[name].numel() for name in source.names}
        return [(name, rows.flatten(1)[:, :size]) for name, size in sizes.items()]

    patch.setattr(layerwise._Derivatives, "_pulled_back", pulled)


@planted("scaled addmm")
def factor_of_addmm_ignored(patch: pytest.MonkeyPatch) -> None:
    misread(
        patch, "_product_rules",
        lambda node: {"_saved_alpha": 1, "_saved_beta": 1} if hasattr(node, "_saved_alpha") else {},
    )  # fmt: skip


# Convolutions


@planted("filters")
def height_and_width_exchanged(patch: pytest.MonkeyPatch) -> None:
    changed(patch, rules, "_pair", lambda pair, *_: pair[::-1])


@planted("filters, strided")
def strides_exchanged(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_patches", lambda node: {"_saved_stride": node._saved_stride[::-1]})


@planted("filters, dilated")
def dilation_ignored(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_patches", lambda node: {"_saved_dilation": (1, 1)})


@planted("filters, padded")
def padding_ignored(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_patches", lambda node: {"_saved_padding": (0, 0)})


@planted("filters")
def units_and_positions_exchanged(patch: pytest.MonkeyPatch) -> None:
    before = rules.units_of

    def units(use: Any, g: Tensor) -> Tensor:
        if use.rule != "convolution":
            return before(use, g)
        return use.front(g.reshape(len(g), -1, g.shape[1])).flatten(1, 2)

    everywhere(patch, "units_of", units)


@planted("filters of groups")
def groups_exchanged(patch: pytest.MonkeyPatch) -> None:
    before = rules.weight_rows

    def rows(use: Any, g: Tensor, seen: Tensor | None = None) -> Tensor:
        if use.rule != "convolution":
            return before(use, g, seen)
        seen = rules.patches_of(use)
        return before(use, g, seen.roll(seen.shape[-1] // 2, -1))

    everywhere(patch, "weight_rows", rows)


@planted("filters of space")
def channels_behind_pixels(patch: pytest.MonkeyPatch) -> None:
    changed(patch, rules, "_patches", lambda h, node: h.unflatten(2, (4, 8)).transpose(2, 3).flatten(2))


# Tables


@planted("words")
def padding_trained(patch: pytest.MonkeyPatch) -> None:
    changed(patch, rules, "_is_looked_up", lambda trained, use: torch.ones_like(trained))


@planted("words, scored by their table")
def words_that_come_twice_counted_once(patch: pytest.MonkeyPatch) -> None:
    def scattered(rows: Tensor, units: Tensor, table: int) -> Tensor:
        found = units.new_zeros(len(rows), table, units.shape[-1])
        return found.scatter_(1, rows[..., None].expand_as(units), units)

    everywhere(patch, "_scattered", scattered)


# Norms and functions of one number


@planted("batch norm")
def epsilon_of_the_norm_forgotten(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_normalized", lambda node: {"_saved_eps": 0.0})


@planted("batch norm")
def running_mean_forgotten(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_normalized", lambda node: {"_saved_running_mean": 0 * node._saved_running_mean})


@planted("batch norm")
def channels_looked_for_along_the_last_axis(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "CHANNELS", set())


@planted("layer norm")
def mean_of_the_layer_forgotten(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_normalized", lambda node: {"_saved_result1": 0 * node._saved_result1})


@planted("group norm")
def statistics_of_another_group(patch: pytest.MonkeyPatch) -> None:
    misread(patch, "_normalized", lambda node: {"_saved_result2": node._saved_result2.flip(1)})


@planted("products and quotients")
def derivative_in_the_other_factor(patch: pytest.MonkeyPatch) -> None:
    before = rules._slope

    def slope(use: Any) -> Tensor:
        return before(replace(use, slot=1 - use.slot) if use.node.name() == "MulBackward0" else use)

    everywhere(patch, "_slope", slope)


@planted("products and quotients")
def square_of_the_divisor_forgotten(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch, rules, "_slope",
        lambda slope, use: slope * use.node._saved_other if use.node.name() == "DivBackward0" else slope,
    )  # fmt: skip


@planted("where")
def condition_not_negated(patch: pytest.MonkeyPatch) -> None:
    before = rules._slope
    everywhere(
        patch, "_slope",
        lambda use: before(replace(use, slot=0) if use.node.name() == "WhereBackward0" else use),
    )  # fmt: skip


@planted("prelu")
def wrong_side_of_the_kink(patch: pytest.MonkeyPatch) -> None:
    changed(patch, rules, "_slope", lambda slope, use: use.node._saved_self.clamp(min=0))


@planted("a sum and its difference")
def sign_of_a_difference_forgotten(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch, rules, "_reduced", lambda rows, use, *_: -rows if use.node.name() == "SubBackward0" else rows
    )


@planted("a shift used twice")
def factor_of_a_difference_ignored(patch: pytest.MonkeyPatch) -> None:
    misread(
        patch, "_reduced",
        lambda node: {"_saved_alpha": 1.0} if node.name() == "SubBackward0" else {}, of_use=True,
    )  # fmt: skip


# Rows by autograd, and vector products


@planted("perceptron", "jacobian")
def last_parameter_left_out(patch: pytest.MonkeyPatch) -> None:
    before = jacobian._by_vmap
    everywhere(patch, "_by_vmap", lambda network, names, x: before(network, names[:-1], x))


@planted("two sets", "jacobian")
def parameters_in_another_order_for_the_second_set(patch: pytest.MonkeyPatch) -> None:
    before, calls = jacobian._by_vmap, []

    def rows(network: Any, names: Sequence[str], x: Tensor) -> Tensor:
        calls.append(x)
        return before(network, names[:: 1 if len(calls) % 2 else -1], x)

    everywhere(patch, "_by_vmap", rows)


@planted("powers", "jacobian")
def outputs_reversed(patch: pytest.MonkeyPatch) -> None:
    changed(patch, jacobian, "_by_vmap", lambda rows, *_: rows.flip(1))


@planted("blocks", "jacobian")
def rows_of_a_pass_rolled(patch: pytest.MonkeyPatch) -> None:
    changed(patch, jacobian, "_by_vmap", lambda rows, *_: rows.roll(1, 0))


@planted("perceptron", "loop")
def gradients_of_scores_accumulated(patch: pytest.MonkeyPatch) -> None:
    changed(patch, jacobian, "_by_loop", lambda rows, *_: rows.cumsum(1))


@planted("two sets", "loop")
def example_before(patch: pytest.MonkeyPatch) -> None:
    changed(patch, jacobian, "_by_loop", lambda rows, *_: rows.roll(1, 0))


@planted("little memory", "products")
def mirrored_column_not_transposed_in_outputs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        jacobian,
        "_write_mirrored",
        lambda kernel, column, rows, j, output: kernel[j, rows].copy_(kernel[rows, j]),
    )


@planted("little memory", "products")
def mirrored_column_forgotten(patch: pytest.MonkeyPatch) -> None:
    from_zero(patch)
    patch.setattr(jacobian, "_write_mirrored", lambda *_: None)


@planted("two sets", "products")
def columns_stacked_along_the_wrong_axis(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch, jacobian._Products, "columns",
        lambda columns, *_: {name: column.transpose(1, 2) for name, column in columns.items()},
    )  # fmt: skip


@planted("its trace", "products")
def trace_over_all_pairs_of_outputs(patch: pytest.MonkeyPatch) -> None:
    def write(kernel: Tensor, column: Tensor, rows: slice, j: int, output: str) -> None:
        kernel[rows, j] = column.sum((1, 2))

    patch.setattr(jacobian, "_write", write)


@planted("its layers", "products")
def product_with_all_parameters_for_each_layer(patch: pytest.MonkeyPatch) -> None:
    before = jacobian._Products._product
    patch.setattr(
        jacobian._Products, "_product", lambda self, directions, name: before(self, directions, None)
    )


# --- that they are found ----------------------------------------------------------------------------


@pytest.fixture
def spoiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Fault, Case, Kernels]:
    """A case with its mistake, and the right kernels."""
    fault = FAULTS[request.param]
    case = CASES[fault.case]()
    right = case.looped()
    for name, value in case.settings.items():
        monkeypatch.setattr(in_blocks, name, value)
    assert error(case.kernels(fault.method, verify=True), right) < 1e-10
    fault.plant(monkeypatch)
    return fault, case, right


every_fault = pytest.mark.parametrize("spoiled", FAULTS, indirect=True)


@every_fault
def test_without_verification_the_kernel_is_wrong(spoiled: tuple[Fault, Case, Kernels]) -> None:
    fault, case, right = spoiled
    assert error(case.kernels(fault.method, verify=False), right) > 1e-6


@every_fault
def test_the_method_is_refused(spoiled: tuple[Fault, Case, Kernels]) -> None:
    fault, case, _ = spoiled
    with pytest.raises(ModelError, match=rf"method={fault.method}: it differs from autograd by .*auto"):
        case.kernels(fault.method, verify=True)


@every_fault
def test_auto_takes_another_method_and_says_so(
    spoiled: tuple[Fault, Case, Kernels], caplog: pytest.LogCaptureFixture
) -> None:
    fault, case, right = spoiled
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        assert error(case.kernels("auto", verify=True), right) < 1e-10
    tried, refused = by_log(caplog)
    assert refused == tried[:-1]
    assert fault.method in refused or fault.method not in tried


def by_log(caplog: pytest.LogCaptureFixture) -> tuple[list[str], list[str]]:
    """The methods that were tried, and those that were left out."""
    texts = [record.getMessage() for record in caplog.records]
    tried = [text.partition(",")[0] for text in texts if ", within " in text]
    return tried, [text.partition(" is not used: ")[0] for text in texts if " is not used: " in text]


# --- float32, where the tolerance is wider ----------------------------------------------------------


def wide(model: nn.Module, x: Tensor, x2: Tensor | None = None, **options: Any) -> Case:
    """The model in float32 as torch initializes it."""
    return Case(model.eval(), x, x2, options)


def single(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed, dtype=torch.float32)


def wide_perceptron(**options: Any) -> Case:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(64, 256), relu, nn.Linear(256, 512), relu, nn.Linear(512, 3))
    return wide(model, single(12, 64), **options)


def wide_filters(groups: int = 1) -> nn.Module:
    """Of images 8 × 8."""
    head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 4 * 4, 3))
    first = nn.Conv2d(4, 64, (3, 1), padding=(1, 0), groups=groups)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), head)


class WideWords(nn.Module):
    """As Words, in the widths of float32."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.middle = nn.Embedding(7, 64, padding_idx=0), nn.Linear(64, 128)
        self.head = nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.middle(self.table(x))).mean(1))


WIDE: dict[str, Callable[[], Case]] = {
    "perceptron": wide_perceptron,
    "its trace": lambda: wide_perceptron(output="trace"),
    "its trace over some outputs": lambda: wide_perceptron(output="trace", outputs=[0, 2]),
    "its diagonal": lambda: wide_perceptron(output="diagonal"),
    "its layers": lambda: wide_perceptron(per_layer=True),
    "two sets": lambda: replace(wide_perceptron(), x2=single(12, 64, seed=2)),
    "filters": lambda: wide(wide_filters(), single(6, 4, 8, 8)),
    "filters of groups": lambda: wide(wide_filters(groups=2), single(6, 4, 8, 8)),
    "layer norm": lambda: wide(
        nn.Sequential(nn.Linear(64, 256), nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 3)), single(12, 64)
    ),
    "words": lambda: wide(WideWords(), sequences()),
    "weight norm": lambda: wide(
        nn.Sequential(weight_norm(nn.Linear(128, 128)), nn.ReLU(), nn.Linear(128, 3)), single(8, 128)
    ),
    "prelu": lambda: wide(
        nn.Sequential(nn.Linear(64, 256), nn.PReLU(256), nn.Linear(256, 3)), single(12, 64)
    ),
}  # fmt: skip

SINGLE = {
    "perceptron": ("bias_forgotten", "layer_lost", "layer_counted_twice", "identity_taken_for_ones",
                   "output_index_shifted", "examples_of_one_layer_permuted"),
    "its trace": ("bias_forgotten_in_the_trace", "identity_counted_once", "identity_without_bias",
                  "sum_of_absolute_values_in_the_chain"),
    "its trace over some outputs": ("chain_over_all_outputs",),
    "its diagonal": ("chain_beside_the_trace",),
    "its layers": ("contributions_under_names_of_others",),
    "two sets": ("pass_of_other_examples_taken_again",),
    "filters": ("bias_forgotten_in_rows",),
    "layer norm": ("parameters_without_a_product_lost",),
    "weight norm": ("normalized_weight_not_pulled_back",),
}  # fmt: skip

# Of parameters whose share of a wide kernel is about the tolerance
SMALL = {
    "layer norm": "mean_of_the_layer_forgotten",
    "words": "padding_trained",
    "prelu": "wrong_side_of_the_kink",
    "filters": "height_and_width_exchanged",
    "filters of groups": "groups_exchanged",
}


@pytest.fixture
def initialized() -> Iterator[None]:
    """The start of every model the same, and torch's own random numbers as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.usefixtures("initialized")
@pytest.mark.parametrize(
    ("case", "fault"), [(case, fault) for case, names in SINGLE.items() for fault in names]
)
def test_mistakes_are_found_in_float32(
    case: str, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    built = WIDE[case]()
    right = built.looped()
    assert error(built.kernels("layerwise", verify=True), right) < 1e-5
    FAULTS[fault].plant(monkeypatch)
    assert error(built.kernels("layerwise", verify=False), right) > 1e-4
    with pytest.raises(ModelError, match="it differs from autograd by"):
        built.kernels("layerwise", verify=True)
    assert error(built.kernels("auto", verify=True), right) < 1e-5
    assert "layerwise is not used: it differs from autograd" in caplog.text


@pytest.mark.usefixtures("initialized")
@pytest.mark.parametrize(("case", "fault"), SMALL.items())
def test_mistakes_that_pass_in_float32_are_below_a_thousandth_of_the_kernel(
    case: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells no more than a sum over all parameters, of which these have a small share."""
    built = WIDE[case]()
    right = built.looped()
    FAULTS[fault].plant(monkeypatch)
    assert error(built.kernels("layerwise", verify=False), right) > 1e-5
    assert error(built.kernels("auto", verify=True), right) < 1e-3


@pytest.mark.usefixtures("initialized")
@pytest.mark.parametrize("output", ["full", "trace", "diagonal"])
@pytest.mark.parametrize("size", [1e-1, 1e-2, 1e-3])
def test_an_error_of_one_layer_is_found_in_float32_down_to_a_thousandth_of_the_kernel(
    output: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = wide_perceptron(output=output)
    right = case.looped()
    share = case.kernels("layerwise", verify=False)  # of the second layer's weight in the kernel
    with monkeypatch.context() as patch:
        other_layers(patch, scale=lambda layer: 0.0 if layer.units == 512 else layer.scale)
        part = error(case.kernels("layerwise", verify=False), share)
    other_layers(monkeypatch, scale=lambda layer: layer.scale * (1 + size / part * (layer.units == 512)))
    assert error(case.kernels("layerwise", verify=False), right) == pytest.approx(size, rel=1e-2)
    with pytest.raises(ModelError, match="it differs from autograd by"):
        case.kernels("layerwise", verify=True)


def random_network(seed: int) -> tuple[nn.Module, Tensor]:
    """Layers and filters with ReLUs and max-pooling, and examples."""
    generator = torch.Generator().manual_seed(seed)

    def some(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    depth, n = some(2, 6), some(4, 64)
    modules: list[nn.Module] = []
    if seed % 2:
        widths = [some(16, 256) for _ in range(depth)]
        for inputs, units in pairwise(widths):
            modules += [nn.Linear(inputs, units), nn.ReLU()]
        modules.append(nn.Linear(widths[-1], some(1, 5)))
        return nn.Sequential(*modules), single(n, widths[0], seed=seed)
    channels, side = 3, 8
    for _ in range(depth - 1):
        units = some(16, 48)
        modules += [nn.Conv2d(channels, units, 3, padding=1), nn.ReLU()]
        channels = units
        if side > 1:
            modules.append(nn.MaxPool2d(2))
            side //= 2
    modules += [nn.Flatten(), nn.Linear(channels * side * side, some(1, 5))]
    return nn.Sequential(*modules), single(n, 3, 8, 8, seed=seed)


@pytest.mark.usefixtures("initialized")
@pytest.mark.parametrize("output", ["full", "trace", "diagonal"])
def test_networks_without_mistakes_raise_no_alarm_in_float32(
    output: Output, caplog: pytest.LogCaptureFixture
) -> None:
    methods: tuple[Method, ...] = ("layerwise", "auto")
    for seed in range(16):
        model, x = random_network(seed)
        for method in methods:
            empirical_ntk(model, x, output=output, method=method, memory_limit=2**30)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# --- what the check leaves as it was ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["layerwise", "jacobian", "products", "loop"])
@pytest.mark.parametrize("case", ["its layers", "two sets in blocks", "filters", "its trace"])
def test_a_call_gives_the_same_bits_again_and_leaves_random_numbers_alone(case: str, method: str) -> None:
    built = CASES[case]()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        state = torch.get_rng_state()
        first = built.kernels(method, verify=True)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(6)
        second, unchecked = built.kernels(method, verify=True), built.kernels(method, verify=False)
    for key in first:
        assert torch.equal(first[key], second[key])
        assert torch.equal(first[key], unchecked[key])


# --- models that autograd is told something else about ----------------------------------------------


class Doubled(torch.autograd.Function):
    """Passes numbers on, and twice their gradients."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return h.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g


class Clipped(Doubled):
    """Passes gradients on up to a size: so they are no linear function of what they are gradients of."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g.clamp(-0.1, 0.1)


def through(function: Any) -> Case:
    return formula(lambda x, w, v: torch.tanh(function.apply(x @ w)) @ v, 6, 4, w=(4, 5), v=(5, 3))


@pytest.mark.parametrize("method", ["layerwise", "products", "loop", "jacobian", "auto"])
def test_a_linear_backward_pass_is_taken_at_its_word(method: str) -> None:
    case = through(Doubled)
    if method == "jacobian":  # torch asks for a rule of the function for it
        with pytest.raises(ModelError, match=r"method=jacobian: .*auto"):
            case.kernels(method, verify=True)
    else:
        assert error(case.kernels(method, verify=True), case.looped()) < 1e-10


def test_a_backward_pass_that_is_not_linear_has_no_kernel(caplog: pytest.LogCaptureFixture) -> None:
    case = through(Clipped)
    with pytest.raises(ModelError, match="no method gives a kernel that autograd agrees with: ") as raised:
        case.kernels("auto", verify=True)
    for method in ("layerwise", "products", "loop"):  # vmap has no rule for it
        assert f"{method}: " in str(raised.value)
        assert f"{method} is not used: " in caplog.text
    with pytest.raises(ModelError, match=r"method=layerwise: it differs from autograd by .*auto"):
        case.kernels("layerwise", verify=True)


# --- what it cannot see -----------------------------------------------------------------------------


@pytest.mark.parametrize("drawn", [True, False])
def test_of_many_examples_a_wrong_pair_is_found_where_both_are_drawn(
    drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 of 2,000 examples are drawn: a wrong pair is found with probability 64·63/(2000·1999) = 1/992, a
    wrong row with 64/2000 = 1/31, whichever examples they are: they are the same ones in every call."""
    model = randomized(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    case = Case(model, random(2000, 3), options={"output": "trace"})
    right = case.kernels("layerwise", verify=False)
    rows = verification.draw(2000, None, 2, "trace", verification.MOST).rows
    others = torch.tensor(sorted(set(range(2000)) - set(rows.tolist())))
    i, j = (rows if drawn else others)[:2].tolist()
    fill = in_blocks.fill

    def spoil(destination: in_blocks.Destination, *rest: Any) -> None:
        fill(destination, *rest)
        destination.kernels[None][i, j] *= 1.5
        destination.kernels[None][j, i] *= 1.5

    monkeypatch.setattr(empirical, "fill", spoil)
    if drawn:
        with pytest.raises(ModelError, match="it differs from autograd"):
            case.kernels("layerwise", verify=True)
    else:
        assert 0 < error(case.kernels("layerwise", verify=True), right) < 1e-2


@pytest.mark.parametrize("shared", ["parameters", "examples"])
def test_what_the_check_takes_from_the_kernel_s_own_code_it_cannot_question(
    shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which parameters are trained and what the examples are: other tests hold these against a loop."""
    case = CASES["perceptron"]()
    right = case.looped()
    network, examples = functional.functional_module, functional.examples
    if shared == "parameters":

        def without_the_last(*arguments: Any) -> Any:
            found = network(*arguments)
            return replace(found, trained=found.trained[:-1])

        monkeypatch.setattr(empirical, "functional_module", without_the_last)
    else:
        monkeypatch.setattr(empirical, "examples", lambda *arguments: examples(*arguments).roll(1, 0))
    assert error(case.kernels("layerwise", verify=True), right) > 1e-2


# Mistakes that pass and should not


def passes(case: Case, method: str, right: Kernels) -> bool:
    """Whether a wrong kernel comes back."""
    try:
        found = case.kernels(method, verify=True)
    except ModelError:
        return False
    return found.keys() != right.keys() or not error(found, right) < 1e-4


def test_numbers_that_nobody_wrote_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What memory holds before may be NaN, and off the diagonal nobody looks for it."""
    case = CASES["many examples"]()
    right = case.looped()
    for name, value in case.settings.items():
        monkeypatch.setattr(in_blocks, name, value)
    mirrored_tiles_forgotten(monkeypatch)
    with_memory(monkeypatch, lambda kernel: kernel.fill_(math.nan))
    assert not passes(case, "layerwise", right)


def test_a_kernel_that_is_not_symmetric_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["many examples"]()
    right = case.looped()
    fill = in_blocks.fill

    def spoil(destination: in_blocks.Destination, *rest: Any) -> None:
        fill(destination, *rest)
        kernel = destination.kernels[None]
        kernel += 0.1 * (kernel.triu(1) - kernel.tril(-1))

    monkeypatch.setattr(empirical, "fill", spoil)
    assert not passes(case, "layerwise", right)


@pytest.mark.usefixtures("initialized")
def test_mistakes_in_tiles_are_no_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    case = wide_perceptron(output="trace")
    case = replace(case, x1=single(300, 64))
    right = case.kernels("layerwise", verify=False)
    monkeypatch.setattr(verification, "LEAST", verification.MOST)
    before = in_blocks._mirror

    def mirror(kernel: Tensor, output: Any, i: slice, j: slice, on_diagonal: bool) -> None:
        kernel[i, j] *= 1 if on_diagonal else 1.03
        before(kernel, output, i, j, on_diagonal)

    everywhere(monkeypatch, "_mirror", mirror)
    assert not passes(case, "layerwise", right)


def test_a_missing_part_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["its layers"]()
    right = case.looped()
    changed(monkeypatch, layers, "group", lambda found, *_: found[:-1])
    assert not passes(case, "jacobian", right)


def test_a_file_in_another_order_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case = CASES["perceptron"]()
    (right,) = case.looped().values()

    def from_public(kernel: Tensor, output: str) -> Tensor:
        return kernel.permute(0, 3, 1, 2)

    everywhere(monkeypatch, "from_public", from_public)
    with suppress(ModelError):
        empirical_ntk(case.model, case.x1, method="layerwise", out=tmp_path / "kernel.npy")
        written = torch.from_numpy(np.load(tmp_path / "kernel.npy"))
        assert error({None: written}, {None: right}) < 1e-10
