"""The worksheet of a network on one example: values and gradients, layer by layer, ready to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is shown needs no torch to be imported
    from torch import Tensor


@dataclass(frozen=True)
class Gradient:
    """The gradient ∂L/∂· of a value or of weights.

    Attributes:
        formula: in terms of the gradient that arrives and of values.
        value: of the shape of the value or weights.
        error: its largest difference to torch.autograd's, relative to the largest entry.
    """

    formula: str
    value: "Tensor"
    error: float


@dataclass(frozen=True)
class Step:
    """A layer's forward and backward pass.

    Attributes:
        layer: its name in the model.
        name: of its value: a1, h1, …
        formula: the value in terms of the layer's argument.
        value: without the axis of examples.
        gradient_name: δ1, … for ∂L/∂a1, …; else ∂L/∂name.
        gradient: ∂L/∂value in terms of the gradient of the layer above.
        parameters: name, such as W1, -> its gradient.
    """

    layer: str
    name: str
    formula: str
    value: "Tensor"
    gradient_name: str
    gradient: Gradient
    parameters: Mapping[str, Gradient]

    @property
    def error(self) -> float:
        """The largest error of its gradients."""
        return max(gradient.error for gradient in (self.gradient, *self.parameters.values()))


@dataclass(frozen=True)
class NetworkSheet:
    """A network's forward and backward pass on one example.

    Attributes:
        inputs: the example, as the network gets it.
        loss: L.
        steps: from the first layer to the scores.
        input_gradient: ∂L/∂inputs.
    """

    inputs: "Tensor"
    loss: float
    steps: tuple[Step, ...]
    input_gradient: Gradient

    @property
    def values(self) -> "list[tuple[str, str, str, Tensor]]":
        """Layer, name, formula and value, from the example to the scores."""
        rows = [(step.layer, step.name, step.formula, step.value) for step in self.steps]
        return [("example", "x", "", self.inputs), *rows]

    @property
    def gradients(self) -> list[tuple[str, str, Gradient]]:
        """Layer, name and gradient, from the scores to the example; the layer stands at its first one."""
        rows = []
        for step in reversed(self.steps):
            rows.append((step.layer, step.gradient_name, step.gradient))
            rows += [("", f"∂L/∂{name}", gradient) for name, gradient in step.parameters.items()]
        return [*rows, ("example", "∂L/∂x", self.input_gradient)]

    @property
    def error(self) -> float:
        """The largest error of all gradients."""
        return max(self.input_gradient.error, *(step.error for step in self.steps))

    @property
    def agrees(self) -> bool:
        """True where all gradients are those of torch.autograd, to TOLERANCE."""
        return self.error <= TOLERANCE


TOLERANCE = 1e-10
"""The relative difference allowed between our gradients and autograd's, both in float64."""

FEW = 6
"""Entries of a vector that are written out; of longer ones, and of matrices, the norm is."""


def is_short(value: "Tensor") -> bool:
    """True for a vector whose entries are written out."""
    return value.ndim == 1 and len(value) <= FEW
