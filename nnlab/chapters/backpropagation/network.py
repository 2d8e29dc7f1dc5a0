"""Backpropagation through the layers of a network for one example, by the rules and not by autograd.

With aₗ = Wₗhₗ₋₁ + bₗ, hₗ = σ(aₗ), a loss L and δₗ = ∂L/∂aₗ:

    δₗ = (Wₗ₊₁ᵀ δₗ₊₁) ∘ σ'(aₗ),    ∂L/∂Wₗ = δₗ hₗ₋₁ᵀ,    ∂L/∂bₗ = δₗ

A convolution is the same rule for the matrix of patches: aₗ = Wₗ P(hₗ₋₁), where column j of P(h) holds the
pixels under the filters at place j. What arrives at the patches is added up over the pixels that they share.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.chapters.backpropagation.numbers import ratio
from nnlab.errors import InputError
from nnlab.models import (
    CNN,
    MLP,
    ActivationLayer,
    Maxout,
    ScaledLinear,
    SpeedCNN,
    get_activation,
    layer_multipliers,
)


@dataclass(frozen=True)
class Gradient:
    """∂L/∂ of a value or of weights.

    Attributes:
        formula: how it comes about.
        value: of the shape of what it is the gradient in.
        error: its largest difference to torch.autograd's, relative to the largest entry.
    """

    formula: str
    value: Tensor
    error: float


@dataclass(frozen=True)
class Step:
    """A layer at work.

    Attributes:
        layer: its name in the model.
        name: of its result: a1, h1, …
        formula: the result in terms of what comes in.
        value: the result, without the axis of examples.
        gradient_name: δ1, … for ∂L/∂a1, …; else ∂L/∂name.
        gradient: ∂L/∂value in terms of what comes from above.
        parameters: name, such as W1, -> its gradient.
    """

    layer: str
    name: str
    formula: str
    value: Tensor
    gradient_name: str
    gradient: Gradient
    parameters: Mapping[str, Gradient]

    @property
    def error(self) -> float:
        """The largest of its gradients."""
        return max(found.error for found in (self.gradient, *self.parameters.values()))


@dataclass(frozen=True)
class NetworkSheet:
    """A network's forward and backward pass on one example.

    Attributes:
        inputs: the example, as the network gets it.
        loss: L.
        steps: from the first layer to the scores.
        input_gradient: ∂L/∂inputs.
    """

    inputs: Tensor
    loss: float
    steps: tuple[Step, ...]
    input_gradient: Gradient

    @property
    def error(self) -> float:
        """The largest of all gradients."""
        return max(self.input_gradient.error, *(step.error for step in self.steps))

    @property
    def agrees(self) -> bool:
        """Whether all gradients are those of torch.autograd, to TOLERANCE."""
        return self.error <= TOLERANCE


TOLERANCE = 1e-10
"""Up to here our gradients and autograd's, both in float64, count as the same."""

Loss = Callable[[Tensor], Tensor]


def network_sheet(
    model: nn.Module, inputs: Tensor, loss: Loss, loss_gradient: Callable[[Tensor], Tensor], rule: str
) -> NetworkSheet:
    """Goes forward and back through a model in evaluation mode.

    Args:
        model: a stack of layers in float64, of those that `layers` knows.
        inputs: (1, *input_shape) in float64.
        loss: scores (1, C) -> scalar, by torch; for the check.
        loss_gradient: scores (1, C) -> ∂L/∂scores (1, C), by its formula.
        rule: that formula, such as p − y.

    Raises:
        InputError: the model is none of those whose layers are known, or the loss is not finite.
    """
    model.eval()
    stack = layers(model)
    if inputs.ndim == 2 and isinstance(stack[0][1], nn.Flatten):
        stack = stack[1:]
    parts = _named(stack)
    leaf = inputs.clone().requires_grad_()
    values = [leaf]
    for part in parts:
        values.append(part.rule.module(values[-1]))
    total = loss(values[-1])
    if not torch.isfinite(total):
        raise InputError(f"the loss of this example is {float(total.detach())}: there is no gradient")
    trained = [getattr(part.rule.module, key) for part in parts for key in part.rule.parameter_names]
    theirs = torch.autograd.grad(total, [*values, *trained])
    with torch.no_grad():
        return _backward(parts, [v.detach() for v in values], theirs, float(total), loss_gradient, rule)


def _backward(
    stack: Sequence["_Part"],
    values: Sequence[Tensor],
    theirs: Sequence[Tensor],
    loss: float,
    loss_gradient: Callable[[Tensor], Tensor],
    loss_rule: str,
) -> NetworkSheet:
    """From the scores down; `theirs` are autograd's gradients of all values, then of all parameters."""
    gradient, formula = loss_gradient(values[-1]), loss_rule
    of_parameters = list(theirs[len(values) :])
    steps: list[Step] = []
    for index in reversed(range(len(stack))):
        part, below = stack[index], values[index]
        rule, names, symbol = part.rule, part.rule.parameter_names, part.gradient_symbol
        found, formulas = rule.gradients(below, gradient), rule.gradient_formulas(symbol, part.before)
        errors = {key: _error(found[key], of_parameters.pop()) for key in reversed(names)}
        steps.append(
            Step(
                part.layer,
                part.name,
                rule.formula(part.before),
                values[index + 1][0],
                f"{symbol} = ∂L/∂s" if symbol[0] == "δ" and part.name == "s" else symbol,
                Gradient(formula, gradient[0], _error(gradient, theirs[index + 1])),
                {name: Gradient(formulas[key], found[key], errors[key]) for key, name in names.items()},
            )
        )
        inner = f"({formula})" if rule.letter == "h" and "ᵀ" in formula else symbol
        gradient = rule.pull(below, values[index + 1], gradient)
        formula = rule.pull_formula(inner, part.before)
    last = Gradient(formula, gradient[0], _error(gradient, theirs[0]))
    return NetworkSheet(values[0][0], loss, tuple(reversed(steps)), last)


def _error(ours: Tensor, theirs: Tensor) -> float:
    return ratio(float((ours - theirs).abs().max()), float(theirs.abs().max()))


# --- the layers of a model -----------------------------------------------------------------------------


class Scaled(nn.Module):
    """s / n, which speed_cnn does to its scores."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        return x / self.divisor


def layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers one after the other, with their names; without those that do nothing when not training.

    Raises:
        InputError: a model that is no such stack.
    """
    if isinstance(model, MLP):
        found: list[tuple[str, nn.Module]] = [("input", nn.Flatten())]
        phi = (
            model.phi if isinstance(model.phi, Maxout) else ActivationLayer(get_activation(model.activation))
        )
        for number, layer in enumerate(model.hidden):
            found += [(f"hidden.{number}", layer), (model.activation, phi)]
        return [*found, ("output", model.output)]
    if isinstance(model, CNN):
        found = []
        for block, convolution in enumerate(model.convolutions):
            found.append((f"convolutions.{block}", convolution))
            if model.norms:
                found.append((f"norms.{block}", model.norms[block]))
            found += [
                (f"activations.{block}", model.activations[block]),
                (f"pools.{block}", model.pools[block]),
            ]
        return [*found, ("flatten", nn.Flatten()), ("output", model.output)]
    if isinstance(model, SpeedCNN):
        found = [("whitening", model.whitening), ("gelu", model.gelu)]
        for name in ("block1", "block2", "block3"):
            found += [(f"{name}.{part}", layer) for part, layer in getattr(model, name).named_children()]
        found += [("pool", model.pool), ("flatten", nn.Flatten()), ("output", model.output)]
        return [*found, ("scale", Scaled(model.output.in_features))]
    raise InputError(
        f"nnlab backprop writes out the layers of mlp, cnn and speed_cnn; a model of class "
        f"{type(model).__name__} can be any computation, and is not taken apart"
    )


class _Rule:
    """What a layer does, forward and back; k is the number of the weight layer that it is or follows.

    `pull` is what is passed on: the gradient in what went in, from the one that arrives at what came out.
    """

    letter = "m"

    def __init__(self, module: Any, k: int) -> None:
        self.module, self.k = module, k

    @property
    def parameter_names(self) -> dict[str, str]:
        """Attributes of the module that are trained, by name: weight -> W1."""
        found = {"weight": f"W{self.k}", "bias": f"b{self.k}"}
        return {key: name for key, name in found.items() if self._is_trained(key)}

    def _is_trained(self, key: str) -> bool:
        value = getattr(self.module, key, None)
        return isinstance(value, nn.Parameter) and value.requires_grad

    def formula(self, x: str) -> str:
        raise NotImplementedError

    def pull_formula(self, arrived: str, x: str) -> str:
        raise NotImplementedError

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        raise NotImplementedError

    def gradient_formulas(self, arrived: str, x: str) -> dict[str, str]:
        return {}

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        """Those of weight and bias."""
        return {}


class _Linear(_Rule):
    """a·W h + c·b."""

    letter = "a"

    def __init__(self, module: nn.Linear, k: int) -> None:
        super().__init__(module, k)
        self.weight, self.bias = layer_multipliers(module)

    def formula(self, x: str) -> str:
        shift = "" if self.module.bias is None else f" + {_scale(self.bias)}b{self.k}"
        return f"{_scale(self.weight)}W{self.k} {x}{shift}"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"{_scale(self.weight)}W{self.k}ᵀ {arrived}"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = self.weight * (arrived @ self.module.weight)
        return passed

    def gradient_formulas(self, arrived: str, x: str) -> dict[str, str]:
        return {"weight": f"{_scale(self.weight)}{arrived} {x}ᵀ", "bias": f"{_scale(self.bias)}{arrived}"}

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        return {"weight": self.weight * (arrived.T @ below), "bias": self.bias * arrived[0]}


class _Convolution(_Rule):
    """W P(h) + b, with a column of P for each place."""

    letter = "a"

    def __init__(self, module: nn.Conv2d, k: int) -> None:
        super().__init__(module, k)
        names = ("kernel_size", "padding", "stride", "dilation")
        self.windows = {name: getattr(module, name) for name in names}

    def formula(self, x: str) -> str:
        return f"W{self.k} P({x})" + ("" if self.module.bias is None else f" + b{self.k}")

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"Pᵀ(W{self.k}ᵀ {arrived})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        columns = self.module.weight.flatten(1).T @ arrived.flatten(2)
        return F.fold(columns, below.shape[2:], **self.windows)

    def gradient_formulas(self, arrived: str, x: str) -> dict[str, str]:
        return {"weight": f"{arrived} P({x})ᵀ", "bias": f"Σ {arrived} over places"}

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        product = arrived.flatten(2)[0] @ F.unfold(below, **self.windows)[0].T
        return {"weight": product.view_as(self.module.weight), "bias": arrived.sum((0, 2, 3))}


class _BatchNorm(_Rule):
    """γ (a − μ)/√(s² + ε) + β, with the running mean and variance."""

    letter = "n"

    def __init__(self, module: nn.BatchNorm2d, k: int) -> None:
        super().__init__(module, k)
        assert module.running_var is not None
        self.spread = (module.running_var + module.eps).sqrt()

    @property
    def parameter_names(self) -> dict[str, str]:
        return {key: name.translate(_GREEK) for key, name in super().parameter_names.items()}

    def formula(self, x: str) -> str:
        return f"γ{self.k} ({x} − μ)/√(s² + ε) + β{self.k}"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"{arrived} · γ{self.k}/√(s² + ε)"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        slope: Tensor = self.module.weight / self.spread
        return arrived * slope[:, None, None]

    def gradient_formulas(self, arrived: str, x: str) -> dict[str, str]:
        return {"weight": f"Σ {arrived} ∘ ({x} − μ)/√(s² + ε)", "bias": f"Σ {arrived}"}

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        standard = (below - self.module.running_mean[:, None, None]) / self.spread[:, None, None]
        return {"weight": (arrived * standard).sum((0, 2, 3)), "bias": arrived.sum((0, 2, 3))}


class _Activation(_Rule):
    """φ(a)."""

    letter = "h"

    def __init__(self, module: nn.Module, k: int) -> None:
        super().__init__(module, k)
        self.name = module.name if isinstance(module, ActivationLayer) else type(module).__name__.lower()
        self.derivative = get_activation(self.name).derivative

    def formula(self, x: str) -> str:
        return f"{self.name}({x})"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"{arrived} ∘ {self.name}'({x})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        return arrived * self.derivative(below)


class _Maxout(_Rule):
    """The largest of the k entries that a unit reads, which stand next to each other."""

    letter = "h"

    def formula(self, x: str) -> str:
        return f"maxout({x})"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"[{arrived}, each entry {self.module.pieces} times] ∘ maxout'({x})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = arrived.repeat_interleave(self.module.pieces, 1) * self.module.derivative(below)
        return passed


class _Pool(_Rule):
    """The largest of each window, and nothing else, gets the gradient."""

    def formula(self, x: str) -> str:
        return f"largest of each window of {x}"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"{arrived} to the largest of each window"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        pool = copy(self.module)
        pool.return_indices = True
        _, winners = pool(below)
        passed = torch.zeros_like(below).flatten(2)
        return passed.scatter_add(2, winners.flatten(2), arrived.flatten(2)).view_as(below)


class _Flatten(_Rule):
    letter = "v"

    def formula(self, x: str) -> str:
        return f"{x} as one vector"

    def pull_formula(self, arrived: str, x: str) -> str:
        return f"{arrived} as maps"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        return arrived.reshape(below.shape)


class _Scaling(_Rule):
    def formula(self, x: str) -> str:
        return f"{x} / {self.module.divisor}"

    def pull_formula(self, arrived: str, x: str) -> str:
        return self.formula(arrived)

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = arrived / self.module.divisor
        return passed


_GREEK = str.maketrans("Wb", "γβ")

_RULES: Mapping[type[nn.Module], type[_Rule]] = {
    nn.Linear: _Linear,
    ScaledLinear: _Linear,
    nn.Conv2d: _Convolution,
    nn.BatchNorm2d: _BatchNorm,
    ActivationLayer: _Activation,
    Maxout: _Maxout,
    nn.GELU: _Activation,
    nn.MaxPool2d: _Pool,
    nn.AdaptiveMaxPool2d: _Pool,
    nn.Flatten: _Flatten,
    Scaled: _Scaling,
}


@dataclass(frozen=True)
class _Part:
    """A layer at its place in the stack.

    Attributes:
        layer: its name in the model.
        rule: what it does.
        before, name: of what goes in and comes out: x is the example, a1, h1, … results, s the scores.
    """

    layer: str
    rule: _Rule
    before: str
    name: str

    @property
    def gradient_symbol(self) -> str:
        """δ1 for that of a1, else ∂L/∂name."""
        return f"δ{self.rule.k}" if self.rule.letter == "a" else f"∂L/∂{self.name}"


def _named(stack: Sequence[tuple[str, nn.Module]]) -> list[_Part]:
    """The layers with their rules and names."""
    parts: list[_Part] = []
    number, before = 0, "x"
    for position, (layer, module) in enumerate(stack):
        kind = _RULES[type(module)]
        number += kind.letter == "a"
        name = "s" if position == len(stack) - 1 else f"{kind.letter}{number}"
        if kind is _Flatten and number == 0:
            name = "x"  # an image as one vector
        parts.append(_Part(layer, kind(module, number), before, name))
        before = name
    return parts


def _scale(multiplier: float) -> str:
    return "" if multiplier == 1 else f"{multiplier:.4g} "
