"""Backpropagation through the layers of a network for one example, by the rules and not by autograd.

With aₗ = Wₗhₗ₋₁ + bₗ, hₗ = σ(aₗ), a loss L and δₗ = ∂L/∂aₗ:

    δₗ = (Wₗ₊₁ᵀ δₗ₊₁) ∘ σ'(aₗ),    ∂L/∂Wₗ = δₗ hₗ₋₁ᵀ,    ∂L/∂bₗ = δₗ

A convolution is the same rule for the matrix of patches: aₗ = Wₗ P(hₗ₋₁), where column j of P(h) holds the
pixels under the filters at place j. What arrives at the patches is added up over the pixels that they share.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError
from nnlab.models import CNN, MLP, ActivationLayer, Maxout, SpeedCNN, get_activation, layer_multipliers
from nnlab.models.activations import gelu_derivative


@dataclass(frozen=True)
class Step:
    """A layer at work.

    Attributes:
        layer: its name in the model.
        name: of its result: a1, h1, …
        formula: the result in terms of what comes in.
        value: the result, without the axis of examples.
        gradient_name: δ1, … for ∂L/∂a1, …; else ∂L/∂name.
        gradient_formula: ∂L/∂value in terms of what comes from above.
        gradient: of the value's shape.
        parameters: name, such as W1, -> formula of the gradient, and the gradient.
        error: largest difference of all these gradients to torch.autograd's, relative to its largest entry.
    """

    layer: str
    name: str
    formula: str
    value: Tensor
    gradient_name: str
    gradient_formula: str
    gradient: Tensor
    parameters: Mapping[str, tuple[str, Tensor]]
    error: float


@dataclass(frozen=True)
class NetworkSheet:
    """A network's forward and backward pass on one example.

    Attributes:
        inputs: the example, as the network gets it.
        loss: L.
        steps: from the first layer to the scores.
        input_gradient: ∂L/∂inputs.
        input_formula: how it comes about.
        error: the largest error of all steps and of the gradient in the inputs.
    """

    inputs: Tensor
    loss: float
    steps: tuple[Step, ...]
    input_gradient: Tensor
    input_formula: str
    error: float


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
        values.append(part.module(values[-1]))
    total = loss(values[-1])
    if not torch.isfinite(total):
        raise InputError(f"the loss of this example is {float(total.detach())}: there is no gradient")
    trained = [(part, key) for part in parts for key in part.parameters]
    wanted = [*values, *(getattr(part.module, key) for part, key in trained)]
    theirs = torch.autograd.grad(total, wanted)
    with torch.no_grad():
        return _backward(parts, [v.detach() for v in values], theirs, float(total), loss_gradient, rule)


def _backward(
    stack: Sequence["_Part"],
    values: Sequence[Tensor],
    theirs: Sequence[Tensor],
    loss: float,
    loss_gradient: Callable[[Tensor], Tensor],
    rule: str,
) -> NetworkSheet:
    """From the scores down; `theirs` are autograd's gradients of all values, then of all parameters."""
    gradient, formula = loss_gradient(values[-1]), rule
    of_parameters = list(theirs[len(values) :])
    steps: list[Step] = []
    for index in reversed(range(len(stack))):
        part, below = stack[index], values[index]
        found = part.gradients(below, gradient)
        compared = [(gradient, theirs[index + 1])]
        compared += [(found[key], of_parameters.pop()) for key in reversed(part.parameters)]
        symbol = part.gradient_symbol
        steps.append(
            Step(
                part.layer,
                part.name,
                part.formula,
                values[index + 1][0],
                f"{symbol} = ∂L/∂s" if symbol[0] == "δ" and part.name == "s" else symbol,
                formula,
                gradient[0],
                {
                    part.parameter_names[key]: (part.gradient_formula(key), found[key])
                    for key in part.parameters
                },
                max(_error(ours, other) for ours, other in compared),
            )
        )
        inner = f"({formula})" if isinstance(part.module, _ACTIVATIONS) and "ᵀ" in formula else symbol
        gradient, formula = part.pull(below, values[index + 1], gradient), part.pull_formula(inner)
    last = _error(gradient, theirs[0])
    error = max([last, *(step.error for step in steps)])
    return NetworkSheet(values[0][0], loss, tuple(reversed(steps)), gradient[0], formula, error)


def _error(ours: Tensor, theirs: Tensor) -> float:
    gap = float((ours - theirs).abs().max())
    return 0.0 if gap == 0 else gap / max(float(theirs.abs().max()), 1e-300)


# --- the layers of a model -----------------------------------------------------------------------------


class Scaled(nn.Module):
    """s / n, which speed_cnn does to its scores."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        return x / self.divisor


_ACTIVATIONS = (ActivationLayer, Maxout, nn.GELU)


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


@dataclass(frozen=True)
class _Part:
    """A layer with the names of what goes in and out, and its rules.

    Attributes:
        layer: its name in the model.
        module: the layer.
        number: of the weight layer that it is, or that it follows.
        before, name: of what goes in and comes out.
        parameters: attributes of the module that are trained.
    """

    layer: str
    module: nn.Module
    number: int
    before: str
    name: str
    parameters: tuple[str, ...] = field(default=())

    @property
    def gradient_symbol(self) -> str:
        """δ1 for that of a1, else ∂L/∂name."""
        return f"δ{self.number}" if _has_weights(self.module) else f"∂L/∂{self.name}"

    @property
    def parameter_names(self) -> dict[str, str]:
        letters = ("γ", "β") if isinstance(self.module, nn.BatchNorm2d) else ("W", "b")
        return {
            key: f"{letter}{self.number}" for key, letter in zip(("weight", "bias"), letters, strict=True)
        }

    @property
    def formula(self) -> str:
        module, x, k = self.module, self.before, self.number
        if isinstance(module, nn.Linear):
            weight, bias = layer_multipliers(module)
            shift = "" if module.bias is None else f" + {_scale(bias)}b{k}"
            return f"{_scale(weight)}W{k} {x}{shift}"
        if isinstance(module, nn.Conv2d):
            return f"W{k} P({x})" + ("" if module.bias is None else f" + b{k}")
        if isinstance(module, nn.BatchNorm2d):
            return f"γ{k} ({x} − μ)/√(s² + ε) + β{k}"
        if isinstance(module, nn.Flatten):
            return f"{x} as one vector"
        if isinstance(module, Scaled):
            return f"{x} / {module.divisor}"
        if isinstance(module, nn.MaxPool2d | nn.AdaptiveMaxPool2d):
            return f"largest of each window of {x}"
        return f"{_phi(module)}({x})"

    def pull_formula(self, arrived: str) -> str:
        """What is passed on below, with `arrived` for what comes from above."""
        module, k = self.module, self.number
        if isinstance(module, nn.Linear):
            return f"{_scale(layer_multipliers(module)[0])}W{k}ᵀ {arrived}"
        if isinstance(module, nn.Conv2d):
            return f"Pᵀ(W{k}ᵀ {arrived})"
        if isinstance(module, nn.BatchNorm2d):
            return f"{arrived} · γ{k}/√(s² + ε)"
        if isinstance(module, nn.Flatten):
            return f"{arrived} as maps"
        if isinstance(module, Scaled):
            return f"{arrived} / {module.divisor}"
        if isinstance(module, nn.MaxPool2d | nn.AdaptiveMaxPool2d):
            return f"{arrived} to the largest of each window"
        return f"{arrived} ∘ {_phi(module)}'({self.before})"

    def pull(self, below: Tensor, value: Tensor, arrived: Tensor) -> Tensor:
        """The gradient in what went in, from that in what came out."""
        module = self.module
        if isinstance(module, nn.Linear):
            return layer_multipliers(module)[0] * (arrived @ module.weight)
        if isinstance(module, nn.Conv2d):
            columns = module.weight.flatten(1).T @ arrived.flatten(2)
            return F.fold(columns, below.shape[2:], **_windows(module))
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            slope = module.weight / (module.running_var + module.eps).sqrt()
            return arrived * slope[:, None, None]
        if isinstance(module, nn.Flatten | Scaled):
            divisor = module.divisor if isinstance(module, Scaled) else 1
            return arrived.reshape(below.shape) / divisor
        if isinstance(module, nn.MaxPool2d | nn.AdaptiveMaxPool2d):
            winners = _winners(module, below)
            passed = torch.zeros_like(below).flatten(2)
            return passed.scatter_add(2, winners.flatten(2), arrived.flatten(2)).view_as(below)
        pieces = below.shape[1] // value.shape[1]
        return arrived.repeat_interleave(pieces, 1) * _derivative(module)(below)

    def gradient_formula(self, key: str) -> str:
        """That of a parameter."""
        arrived, k = self.gradient_symbol, self.number
        if isinstance(self.module, nn.BatchNorm2d):
            return f"Σ {arrived}" + (f" ∘ ({self.before} − μ)/√(s² + ε)" if key == "weight" else "")
        if isinstance(self.module, nn.Linear):
            weight, bias = layer_multipliers(self.module)
            return f"{_scale(weight)}{arrived} {self.before}ᵀ" if key == "weight" else f"{_scale(bias)}δ{k}"
        return f"{arrived} P({self.before})ᵀ" if key == "weight" else f"Σ {arrived} over places"

    def gradients(self, below: Tensor, arrived: Tensor) -> dict[str, Tensor]:
        """Those of the parameters, from what went in and the gradient in what came out."""
        module = self.module
        if isinstance(module, nn.Linear):
            weight, bias = layer_multipliers(module)
            return {"weight": weight * (arrived.T @ below), "bias": bias * arrived[0]}
        if isinstance(module, nn.Conv2d):
            columns = F.unfold(below, **_windows(module))
            product = arrived.flatten(2)[0] @ columns[0].T
            return {"weight": product.view_as(module.weight), "bias": arrived.sum((0, 2, 3))}
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            centred = below - module.running_mean[:, None, None]
            standard = centred / (module.running_var + module.eps).sqrt()[:, None, None]
            return {"weight": (arrived * standard).sum((0, 2, 3)), "bias": arrived.sum((0, 2, 3))}
        return {}


def _named(stack: Sequence[tuple[str, nn.Module]]) -> list[_Part]:
    """Names a1, h1, … for the results; x is the example and s the scores."""
    parts: list[_Part] = []
    number, before = 0, "x"
    for position, (layer, module) in enumerate(stack):
        number += _has_weights(module)
        name = "s" if position == len(stack) - 1 else f"{_letter(module)}{number}"
        trained = tuple(
            key
            for key in ("weight", "bias")
            if isinstance(getattr(module, key, None), nn.Parameter) and getattr(module, key).requires_grad
        )
        if isinstance(module, nn.Flatten) and number == 0:
            name = "x"  # a vector already, or an image as one
        parts.append(_Part(layer, module, number, before, name, trained))
        before = name
    return parts


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _letter(module: nn.Module) -> str:
    if _has_weights(module):
        return "a"
    if isinstance(module, _ACTIVATIONS):
        return "h"
    return {"BatchNorm2d": "n", "Flatten": "v"}.get(type(module).__name__, "m")


def _scale(multiplier: float) -> str:
    return "" if multiplier == 1 else f"{multiplier:.4g} "


def _phi(module: nn.Module) -> str:
    return module.name if isinstance(module, ActivationLayer) else type(module).__name__.lower()


def _derivative(module: nn.Module) -> Callable[[Tensor], Tensor]:
    if isinstance(module, ActivationLayer):
        return get_activation(module.name).derivative
    return module.derivative if isinstance(module, Maxout) else gelu_derivative


def _windows(layer: nn.Conv2d) -> dict[str, tuple[int, ...]]:
    """How a convolution cuts patches."""
    assert not isinstance(layer.padding, str)
    sizes = {"kernel_size": layer.kernel_size, "padding": layer.padding, "stride": layer.stride}
    return {**sizes, "dilation": layer.dilation}


def _winners(pool: nn.MaxPool2d | nn.AdaptiveMaxPool2d, below: Tensor) -> Tensor:
    """Where in its map the largest value of each window stands."""
    pool = copy(pool)
    pool.return_indices = True
    _, winners = pool(below)
    return winners  # type: ignore[no-any-return]
