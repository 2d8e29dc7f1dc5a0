"""The worksheet of a network as a LaTeX document: its layers forward, and their gradients back."""

from collections.abc import Sequence

from torch import Tensor

from nnlab.chapters.backpropagation.latex import array, document, formula, number, prose, ruled
from nnlab.chapters.backpropagation.network import Gradient, NetworkSheet

FEW = 6
"""Entries of a vector that are shown; of others the norm is."""


def network_latex(sheet: NetworkSheet, title: str, notes: Sequence[str], digits: int = 4) -> str:
    """The document.

    Args:
        sheet: the worksheet.
        title: what it is of.
        notes: sentences below it.
        digits: of numbers.
    """
    forward = [_row("example", "x", "", sheet.inputs, digits)]
    forward += [_row(step.layer, step.name, step.formula, step.value, digits) for step in sheet.steps]
    backward = []
    for step in reversed(sheet.steps):
        backward.append(_gradient(step.layer, step.gradient_name, step.gradient, digits))
        backward += [_gradient("", f"∂L/∂{name}", g, digits) for name, g in step.parameters.items()]
    backward.append(_gradient("example", "∂L/∂x", sheet.input_gradient, digits))
    return document([
        prose(title),
        r"\subsection*{Forward: the value of each layer}",
        *_table("value", forward),
        r"\subsection*{Backward: the gradient in each value and weight}",
        rf"$L = {number(sheet.loss, digits)}$",
        *_table("gradient", backward),
        "\n\n".join(map(prose, notes)),
    ])  # fmt: skip


def _table(what: str, rows: list[str]) -> list[str]:
    return ruled({"layer": 0.18, what: 0.37, "shape": 0.14, "norm or entries": 0.2}, rows)


def _gradient(layer: str, name: str, found: Gradient, digits: int) -> str:
    return _row(layer, name, found.formula, found.value, digits)


def _row(layer: str, name: str, computed: str, value: Tensor, digits: int) -> str:
    shown = formula(f"{name} = {computed}" if computed and computed != name else name)
    shape = r" \times ".join(map(str, value.shape))
    few = value.ndim == 1 and len(value) <= FEW
    size = (
        array(value.numpy(), digits) if few else rf"\Vert\cdot\Vert = {number(float(value.norm()), digits)}"
    )
    breakable = prose(layer).replace(".", r".\allowbreak{}")
    return rf"{breakable} & ${shown}$ & ${shape}$ & ${size}$"
