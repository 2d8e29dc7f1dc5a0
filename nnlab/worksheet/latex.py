r"""The worksheet as a LaTeX document, for a plain TeX installation: `article` with amsmath and longtable."""

import numpy as np
from numpy.typing import NDArray

from nnlab.worksheet.build import Edge, Line, Worksheet
from nnlab.worksheet.notation import Notation, tex_notation
from nnlab.worksheet.numbers import truth

Array = NDArray[np.float64]

_HEAD = r"""% pdflatex it twice: tables find their widths in the first run
\documentclass[11pt]{article}
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
    rows = []
    for line in sheet.lines:
        operation = "given" if line.is_given else f"${notation.operation(sheet.graph, line.index)}$"
        value = truth(line.value) if line.is_condition else f"${array(line.value, digits)}$"
        rows.append(rf"${notation.names[line.index]}$ & {operation} & {value} \\")
    return _table(["node", "operation", "value"], rows)


def _backward(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    rows = []
    for line in reversed(sheet.lines):
        rows += [_rule(sheet, notation, line, edge, digits) for edge in line.edges]
    return _table(["from", "local derivative", "passed on"], rows)


def _table(head: list[str], rows: list[str]) -> list[str]:
    """Over as many pages as it needs, with its head on each."""
    columns = "l" * len(head)
    return [
        rf"\begin{{longtable}}{{{columns}}}",
        rf"{' & '.join(head)} \\ \hline \endhead",
        *rows,
        r"\end{longtable}",
    ]


def _rule(sheet: Worksheet, notation: Notation, line: Line, edge: Edge, digits: int) -> str:
    """What a node passes on along an edge; of arrays the formula and the result alone."""
    name, target = notation.names[line.index], notation.names[edge.argument]
    local = notation.local(
        sheet.graph, line.index, edge.position, _partial("f", name), int(np.size(edge.passed))
    )
    sign = r"\mathrel{+}=" if sheet.arrivals[edge.argument] > 1 else "="
    received, passed = f"{_partial('f', target)} {sign}", array(edge.passed, digits)
    if edge.derivative is None or line.gradient is None:
        return rf"${name}$ & & ${received} {local} = {passed}$ \\"
    partial, derivative = _partial(name, target), array(edge.derivative, digits)
    if edge.derivative.ndim or line.gradient.ndim:
        dot = r"\circ" if line.gradient.ndim else r"\cdot"
        product = rf"{_partial('f', name)} {dot} {partial}"
        return rf"${name}$ & ${partial} = {local}$ & ${received} {product} = {passed}$ \\"
    shown = local if local == derivative else f"{local} = {derivative}"
    product = rf"{_factor(array(line.gradient, digits))} \cdot {_factor(derivative)}"
    return rf"${name}$ & ${partial} = {shown}$ & ${received} {product} = {passed}$ \\"


def _gradients(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    names = {line.name: notation.names[line.index] for line in sheet.lines}
    rows = [
        rf"{_partial('f', names[name])} &= {array(gradient, digits)} \\"
        for name, gradient in sheet.gradients.items()
        if name in names
    ]
    if not rows:
        return ["There is no variable."]
    rows[-1] = rows[-1].removesuffix(r" \\")
    return [r"\begin{align*}", *rows, r"\end{align*}"]


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


def _partial(name: str, by: str) -> str:
    return rf"\partial {name} / \partial {by}"


def _factor(text: str) -> str:
    return f"({text})" if text.startswith("-") else text
