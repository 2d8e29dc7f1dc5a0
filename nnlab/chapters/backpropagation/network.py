"""Backpropagation through the layers of a network for one example, by the rules and not by autograd.

With aₗ = Wₗhₗ₋₁ + bₗ, hₗ = σ(aₗ), a loss L and δₗ = ∂L/∂aₗ:

    δₗ = (Wₗ₊₁ᵀ δₗ₊₁) ∘ σ'(aₗ),    ∂L/∂Wₗ = δₗ hₗ₋₁ᵀ,    ∂L/∂bₗ = δₗ

A convolution is the same rule for the matrix of patches: aₗ = Wₗ P(hₗ₋₁), where column j of P(h) holds the
pixels under the filters at place j. What arrives at the patches is added up over the pixels that they share.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.chapters.backpropagation.checks import relative_error
from nnlab.chapters.backpropagation.network_worksheet import Gradient, NetworkSheet, Step
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
    rules = _rules(stack)
    leaf = inputs.clone().requires_grad_()
    values = [leaf]
    for layer in rules:
        values.append(layer.module(values[-1]))
    total = loss(values[-1])
    if not torch.isfinite(total):
        raise InputError(f"the loss of this example is {float(total.detach())}: there is no gradient")
    trained = [getattr(layer.module, key) for layer in rules for key in layer.parameter_names]
    theirs = torch.autograd.grad(total, [*values, *trained])
    with torch.no_grad():
        return _backward(rules, [v.detach() for v in values], theirs, float(total), loss_gradient, rule)


def _backward(
    rules: Sequence["_Rule"],
    values: Sequence[Tensor],
    theirs: Sequence[Tensor],
    loss: float,
    loss_gradient: Callable[[Tensor], Tensor],
    loss_rule: str,
) -> NetworkSheet:
    """Goes from the scores down; `theirs` are autograd's gradients of all values, then all parameters."""
    gradient, formula = loss_gradient(values[-1]), loss_rule
    of_parameters = list(theirs[len(values) :])
    steps: list[Step] = []
    for index in reversed(range(len(rules))):
        rule, below, symbol = rules[index], values[index], rules[index].gradient_symbol
        ours, parameters = rule.gradients(below, gradient), {}
        for key, name in reversed(rule.parameter_names.items()):
            how = rule.write(getattr(rule, f"{key}_formula"), symbol)
            parameters[name] = Gradient(how, ours[key], _error(ours[key], of_parameters.pop()))
        steps.append(
            Step(
                rule.layer,
                rule.name,
                rule.write(rule.formula),
                values[index + 1][0],
                f"{symbol} = ∂L/∂s" if symbol[0] == "δ" and rule.name == "s" else symbol,
                Gradient(formula, gradient[0], _error(gradient, theirs[index + 1])),
                dict(reversed(parameters.items())),
            )
        )
        inner = f"({formula})" if rule.letter == "h" and "ᵀ" in formula else symbol
        gradient = rule.pull(below, values[index + 1], gradient)
        formula = rule.write(rule.pull_formula, inner)
    last = Gradient(formula, gradient[0], _error(gradient, theirs[0]))
    return NetworkSheet(values[0][0], loss, tuple(reversed(steps)), last)


def _error(ours: Tensor, theirs: Tensor) -> float:
    return relative_error(float((ours - theirs).abs().max()), float(theirs.abs().max()))


# --- the layers of a model -----------------------------------------------------------------------------


class Scaled(nn.Module):
    """The division s / n of the scores of speed_cnn."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        return x / self.divisor


def layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Returns the layers in order, with their names, but for those that act in training only.

    Raises:
        InputError: a model that is no such stack.
    """
    stack: list[tuple[str, nn.Module]]
    if isinstance(model, MLP):
        stack = [("input", nn.Flatten())]
        activations = zip(model.activations, model.phis, strict=True)
        for number, (layer, (name, phi)) in enumerate(zip(model.hidden, activations, strict=True)):
            phi = phi if isinstance(phi, Maxout) else ActivationLayer(get_activation(name))
            stack += [(f"hidden.{number}", layer), (name, phi)]
        return [*stack, ("output", model.output)]
    if isinstance(model, CNN):
        parts = ("convolutions", "norms", "activations", "pools")
        stack = [
            (f"{name}.{block}", getattr(model, name)[block])
            for block in range(len(model.convolutions))
            for name in parts
            if name != "norms" or model.norms
        ]
        return [*stack, ("flatten", nn.Flatten()), ("output", model.output)]
    if isinstance(model, SpeedCNN):
        stack = [("whitening", model.whitening), ("gelu", model.gelu)]
        for name in ("block1", "block2", "block3"):
            stack += [(f"{name}.{part}", layer) for part, layer in getattr(model, name).named_children()]
        stack += [("pool", model.pool), ("flatten", nn.Flatten()), ("output", model.output)]
        return [*stack, ("scale", Scaled(model.output.in_features))]
    raise InputError(
        f"nnlab backprop writes out the layers of mlp, cnn and speed_cnn; a model of class "
        f"{type(model).__name__} can be any computation, and is not taken apart"
    )


class _Rule:
    """A layer's formulas, forward and back; k is the number of the weight layer that it is or follows.

    There are formulas of its value, and of the gradients of its argument (`pull`), weights and biases. In
    these {x} is the argument, {g} the gradient that arrives, {a} and {c} multiply weights and biases. `layer`
    is its name in the model; `before` and `name` are those of its argument and of its value.
    """

    letter = "m"
    symbols = "W", "b"  # of weight and bias
    layer: str
    before: str
    name: str
    formula: str
    pull_formula: str
    weight_formula: str
    bias_formula: str

    def __init__(self, module: Any, k: int) -> None:
        self.module, self.k = module, k
        self.signs: dict[str, object] = {"k": k, "a": "", "c": ""}

    @property
    def parameter_names(self) -> dict[str, str]:
        """Attributes of the module that are trained, by name: weight -> W1."""
        trained = {key for key, value in self.module.named_parameters(recurse=False) if value.requires_grad}
        names = zip(("weight", "bias"), self.symbols, strict=True)
        return {key: f"{symbol}{self.k}" for key, symbol in names if key in trained}

    @property
    def gradient_symbol(self) -> str:
        """δ1 for the gradient of a1, else ∂L/∂name."""
        return f"δ{self.k}" if self.letter == "a" else f"∂L/∂{self.name}"

    def write(self, formula: str, arrived: str = "") -> str:
        """Returns a formula with the names of the argument and of the gradient that arrives."""
        return formula.format(x=self.before, g=arrived, **self.signs)

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        """Returns the gradient of the argument from that of the value."""
        raise NotImplementedError

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        """Returns those of weight and bias."""
        return {}


class _Linear(_Rule):
    """a·W h + c·b."""

    letter = "a"
    pull_formula = "{a}W{k}ᵀ {g}"
    weight_formula, bias_formula = "{a}{g} {x}ᵀ", "{c}{g}"

    def __init__(self, module: nn.Linear, k: int) -> None:
        super().__init__(module, k)
        self.weight, self.bias = layer_multipliers(module)
        self.signs |= {"a": _scale(self.weight), "c": _scale(self.bias)}
        self.formula = "{a}W{k} {x}" + ("" if module.bias is None else " + {c}b{k}")

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = self.weight * (arrived @ self.module.weight)
        return passed

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        return {"weight": self.weight * (arrived.T @ below), "bias": self.bias * arrived[0]}


class _Convolution(_Rule):
    """W P(h) + b, with a column of P for each place."""

    letter = "a"
    pull_formula = "Pᵀ(W{k}ᵀ {g})"
    weight_formula, bias_formula = "{g} P({x})ᵀ", "Σ {g} over places"

    def __init__(self, module: nn.Conv2d, k: int) -> None:
        super().__init__(module, k)
        names = ("kernel_size", "padding", "stride", "dilation")
        self.windows = {name: getattr(module, name) for name in names}
        self.formula = "W{k} P({x})" + ("" if module.bias is None else " + b{k}")

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        columns = self.module.weight.flatten(1).T @ arrived.flatten(2)
        return F.fold(columns, below.shape[2:], **self.windows)

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        product = arrived.flatten(2)[0] @ F.unfold(below, **self.windows)[0].T
        return {"weight": product.view_as(self.module.weight), "bias": arrived.sum((0, 2, 3))}


class _BatchNorm(_Rule):
    """γ (a − μ)/√(s² + ε) + β, with the running mean and variance."""

    letter = "n"
    symbols = "γ", "β"
    formula = "γ{k} ({x} − μ)/√(s² + ε) + β{k}"
    pull_formula = "{g} · γ{k}/√(s² + ε)"
    weight_formula, bias_formula = "Σ {g} ∘ ({x} − μ)/√(s² + ε)", "Σ {g}"

    def __init__(self, module: nn.BatchNorm2d, k: int) -> None:
        super().__init__(module, k)
        assert module.running_var is not None
        self.spread = (module.running_var + module.eps).sqrt()

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        slope: Tensor = self.module.weight / self.spread
        return arrived * slope[:, None, None]

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        standard = (below - self.module.running_mean[:, None, None]) / self.spread[:, None, None]
        return {"weight": (arrived * standard).sum((0, 2, 3)), "bias": arrived.sum((0, 2, 3))}


class _Activation(_Rule):
    """φ(a)."""

    letter = "h"

    def __init__(self, module: nn.Module, k: int) -> None:
        super().__init__(module, k)
        name = module.name if isinstance(module, ActivationLayer) else type(module).__name__.lower()
        self.derivative = get_activation(name).derivative
        self.formula, self.pull_formula = f"{name}({{x}})", f"{{g}} ∘ {name}'({{x}})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        return arrived * self.derivative(below)


class _Maxout(_Rule):
    """The largest of the k adjacent entries that a unit reads."""

    letter = "h"
    formula = "maxout({x})"

    def __init__(self, module: Maxout, k: int) -> None:
        super().__init__(module, k)
        self.pull_formula = f"[{{g}}, each entry {module.pieces} times] ∘ maxout'({{x}})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = arrived.repeat_interleave(self.module.pieces, 1) * self.module.derivative(below)
        return passed


class _Pool(_Rule):
    """The largest of each window, and nothing else, gets the gradient."""

    formula = "largest of each window of {x}"
    pull_formula = "{g} to the largest of each window"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        pool = copy(self.module)
        pool.return_indices = True
        _, winners = pool(below)
        passed = torch.zeros_like(below).flatten(2)
        return passed.scatter_add(2, winners.flatten(2), arrived.flatten(2)).view_as(below)


class _Flatten(_Rule):
    """A feature map as one vector."""

    letter = "v"
    formula = "{x} as one vector"
    pull_formula = "{g} as maps"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        return arrived.reshape(below.shape)


class _Scaling(_Rule):
    """s / n."""

    def __init__(self, module: Scaled, k: int) -> None:
        super().__init__(module, k)
        self.formula, self.pull_formula = f"{{x}} / {module.divisor}", f"{{g}} / {module.divisor}"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        passed: Tensor = arrived / self.module.divisor
        return passed


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


def _rules(stack: Sequence[tuple[str, nn.Module]]) -> list[_Rule]:
    """Returns the rules of the layers, with their names: x is the example, s the scores."""
    rules: list[_Rule] = []
    number, before = 0, "x"
    for position, (layer, module) in enumerate(stack):
        kind = _RULES[type(module)]
        number += kind.letter == "a"
        name = "s" if position == len(stack) - 1 else f"{kind.letter}{number}"
        if kind is _Flatten and number == 0:
            name = "x"  # an image as one vector
        rules.append(kind(module, number))
        rules[-1].layer, rules[-1].before, rules[-1].name = layer, before, name
        before = name
    return rules


def _scale(multiplier: float) -> str:
    return "" if multiplier == 1 else f"{multiplier:.4g} "
