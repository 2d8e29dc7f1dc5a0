r"""The worksheet as a LaTeX document, for a plain TeX installation: `article` with amsmath and longtable."""

import numpy as np
from numpy.typing import NDArray

from nnlab.worksheet.build import Edge, Line, Worksheet
from nnlab.worksheet.notation import Notation, tex_notation

Array = NDArray[np.float64]

_HEAD = r"""\documentclass[11pt]{article}
\usepackage[T1]{fontenc}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{amsmath,longtable}
\setlength{\parindent}{0pt}
\renewcommand{\arraystretch}{1.5}
\begin{document}
\section*{Backpropagation by hand}
"""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
_SPECIAL |= {character: "\\" + character for character in "#$%&_"}

ENTRIES = 16
"""A larger array is told by its norm."""


def latex(sheet: Worksheet, digits: int = 4) -> str:
    """The document: the graph with its values, then the gradients from the result back, node by node."""
    notation = tex_notation(sheet.graph)
    text = "".join(_SPECIAL.get(character, character) for character in sheet.graph.text)
    return "\n".join([
        _HEAD + rf"$f$ = {{\ttfamily {text}}}",
        "",
        r"\subsection*{Forward: the value of each node}",
        *_forward(sheet, notation, digits),
        r"\subsection*{Backward: the gradient of each node}",
        "What a node passes on is its local derivative times the gradient that arrives; "
        "what a node receives from several others is added up.",
        "",
        *_backward(sheet, notation, digits),
        r"\subsection*{The gradient}",
        *_gradients(sheet, notation, digits),
        r"\end{document}",
        "",
    ])  # fmt: skip


def _forward(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    rows = [
        rf"${notation.names[line.index]}$ & ${notation.operation(sheet.graph, line.index)}$ & "
        rf"${array(line.value, digits)}$ \\"
        if sheet.graph.nodes[line.index].arguments
        else rf"${notation.names[line.index]}$ & given & ${array(line.value, digits)}$ \\"
        for line in sheet.lines
    ]
    return [r"\begin{longtable}{lll}", r"node & operation & value \\ \hline", *rows, r"\end{longtable}"]


def _backward(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    rows = []
    for line in reversed(sheet.lines):
        rows += [_rule(sheet, notation, line, edge, digits) for edge in line.edges]
    return [
        r"\begin{longtable}{lll}",
        r"from & local derivative & passed on \\ \hline",
        *rows,
        r"\end{longtable}",
    ]


def _rule(sheet: Worksheet, notation: Notation, line: Line, edge: Edge, digits: int) -> str:
    name, target = notation.names[line.index], notation.names[edge.argument]
    position = sheet.graph.nodes[line.index].arguments.index(edge.argument)
    size = int(np.size(edge.passed))
    local = notation.local(sheet.graph, line.index, position, _partial(name), size)
    sign = r"\mathrel{+}=" if sheet.arrivals[edge.argument] > 1 else "="
    passed = array(edge.passed, digits)
    if edge.derivative is None or line.gradient is None:
        return rf"${name}$ & & ${_partial(target)} {sign} {local} = {passed}$ \\"
    derivative = array(edge.derivative, digits)
    shown = local if local == derivative else f"{local} = {derivative}"
    dot = r"\cdot" if line.gradient.ndim == 0 else r"\circ"
    product = f"{_factor(array(line.gradient, digits))} {dot} {_factor(derivative)}"
    partial = rf"\frac{{\partial {name}}}{{\partial {target}}}"
    received = f"{_partial(target)} {sign} {product} = {passed}"
    return rf"${name}$ & $\displaystyle {partial} = {shown}$ & ${received}$ \\"


def _gradients(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    names = {line.name: notation.names[line.index] for line in sheet.lines}
    rows = [
        rf"\frac{{\partial f}}{{\partial {names[name]}}} &= {array(gradient, digits)} \\"
        for name, gradient in sheet.gradients.items()
        if name in names
    ]
    rows[-1] = rows[-1].removesuffix(r" \\")
    return [r"\begin{align*}", *rows, r"\end{align*}"] if rows else []


def array(value: Array, digits: int = 4) -> str:
    r"""A number, or a matrix in parentheses; a vector stands upright.

    >>> print(array(np.array([1.0, -0.5])))
    \begin{pmatrix} 1 \\ -0.5 \end{pmatrix}
    """
    if value.ndim == 0:
        return number(float(value), digits)
    if value.size > ENTRIES:
        shape = r" \times ".join(str(n) for n in value.shape)
        return rf"({shape}),\ \Vert\cdot\Vert = {number(float(np.linalg.norm(value)), digits)}"
    rows = value if value.ndim == 2 else value[:, None]
    body = r" \\ ".join(" & ".join(number(float(x), digits) for x in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def number(value: float, digits: int = 4) -> str:
    r"""
    >>> print(number(-1.5e-7))
    -1.5 \cdot 10^{-7}
    """
    mantissa, _, exponent = f"{value + 0.0:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _partial(name: str) -> str:
    return rf"\partial f / \partial {name}"


def _factor(text: str) -> str:
    return f"({text})" if text.startswith("-") else text
