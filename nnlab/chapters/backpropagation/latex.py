r"""The worksheet as a LaTeX document, for a plain TeX installation: `article` with amsmath and longtable."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.build import Edge, Line, Worksheet
from nnlab.chapters.backpropagation.checks import Checks
from nnlab.chapters.backpropagation.examples import Table
from nnlab.chapters.backpropagation.notation import Notation, tex_notation, tex_number
from nnlab.chapters.backpropagation.notes import notes
from nnlab.chapters.backpropagation.numbers import decimal, truth

Array = NDArray[np.float64]

ENTRIES = 16
"""A larger array is told by its norm."""
LETTERS = 80
"""So is one with a longer row."""
WORD = 60
"""Letters without a space that are not broken into lines."""
SOURCE = 100
"""Characters after which a line of the document ends."""

_HEAD = rf"""% for pdflatex
\documentclass[11pt]{{article}}
\usepackage[a4paper,margin=20mm]{{geometry}}
\usepackage{{amsmath,array,graphicx,longtable}}
\setlength{{\parindent}}{{0pt}}
\setlength{{\LTleft}}{{0pt}}
% matrices stand apart, and their columns near each other
\setlength{{\extrarowheight}}{{4pt}}
\setlength{{\lineskiplimit}}{{2pt}}
\setlength{{\lineskip}}{{4pt}}
\setlength{{\arraycolsep}}{{3pt}}
\setcounter{{MaxMatrixCols}}{{{ENTRIES}}}
% a wide matrix is set smaller, so that it fits its column
\newcommand{{\fit}}[1]{{\sbox0{{$#1$}}\ifdim\wd0>\linewidth\resizebox{{\linewidth}}{{!}}{{\usebox0}}\else\usebox0\fi}}
\newcolumntype{{L}}[1]{{>{{\raggedright\arraybackslash}}p{{#1\linewidth}}}}
\begin{{document}}
\section*{{Backpropagation by hand}}
"""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
_SPECIAL |= {character: "\\" + character for character in "#$%&_"}

_MATHEMATICS = {
    "−": "-", "·": r"\cdot", "∘": r"\circ", "×": r"\times", "∂": r"\partial ", "Σ": r"\textstyle\sum",
    "√": r"\sqrt", "ᵀ": r"^{\top}", "²": "^{2}", "δ": r"\delta", "γ": r"\gamma", "β": r"\beta", "μ": r"\mu",
    "ε": r"\varepsilon ", "~": r"\ \allowbreak ",
}  # fmt: skip


def latex(
    sheet: Worksheet, digits: int = 4, *, checks: Checks | None = None, table: Table | None = None
) -> str:
    """The document: the graph with its values, then the gradients from the result back, node by node.

    Args:
        sheet: the worksheet.
        digits: of numbers.
        checks: for the kinks that they found.
        table: of an example.
    """
    notation = tex_notation(sheet.graph, sheet.shapes)
    return document([
        rf"{{\raggedright ${notation.result}$ = {{\ttfamily {_typed(sheet.graph.text)}}}\par}}",
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
        *(_notes(notes(sheet, checks, notation, digits)) if checks else []),
        *(_example(table, digits) if table else []),
    ])  # fmt: skip


def document(lines: Sequence[str]) -> str:
    """The whole file."""
    return "\n".join([_HEAD + lines[0], *lines[1:], r"\end{document}", ""])


def _forward(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    rows = []
    for line in sheet.lines:
        operation = "given" if line.is_given else f"${notation.operation(sheet.graph, line.index)}$"
        value = truth(line.value) if line.is_condition else f"${array(line.value, digits)}$"
        rows.append(rf"${notation.names[line.index]}$ & {operation} & {value}")
    return ruled({"node": 0.15, "operation": 0.27, "value": 0.5}, rows)


def _backward(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    rows = []
    for line in reversed(sheet.lines):
        rows += [_rule(sheet, notation, line, edge, digits) for edge in line.edges]
    return ruled({"from": 0.08, "local derivative": 0.27, "passed on": 0.57}, rows)


def ruled(head: dict[str, float], rows: list[str]) -> list[str]:
    """Over as many pages as it needs, with its head on each; the columns' widths in shares of the line."""
    columns = "".join(f"L{{{width}}}" for width in head.values())
    return [
        rf"\begin{{longtable}}{{{columns}}}",
        rf"{' & '.join(head)} \\ \hline \noalign{{\smallskip}} \endhead",
        *(rf"{row} \\ \noalign{{\smallskip}}" for row in rows),
        r"\end{longtable}",
    ]


def _rule(sheet: Worksheet, notation: Notation, line: Line, edge: Edge, digits: int) -> str:
    """What a node passes on along an edge; of arrays the formula and the result alone."""
    name, target = notation.names[line.index], notation.names[edge.argument]
    local = notation.local(sheet.graph, line.index, edge.position, int(np.size(edge.passed)))
    sign = r"\mathrel{+}=" if sheet.arrivals[edge.argument] > 1 else "="
    received, passed = f"{notation.gradient(target)} {sign}", array(edge.passed, digits)
    if edge.derivative is None or line.gradient is None:
        return rf"${name}$ & & ${received} {local} = {passed}$"
    partial, derivative = notation.partial(name, target), array(edge.derivative, digits)
    if edge.derivative.ndim or line.gradient.ndim:
        dot = r"\circ" if line.gradient.ndim else r"\cdot"
        total = rf"\textstyle\sum_{{\mathrm{{{edge.summed}}}}} " if edge.summed else ""
        product = rf"{total}{notation.gradient(name)} {dot} {partial}"
        return rf"${name}$ & ${partial} = {local}$ & ${received} {product} = {passed}$"
    shown = local if local == derivative else f"{local} = {derivative}"
    product = rf"{_factor(array(line.gradient, digits))} \cdot {_factor(derivative)}"
    return rf"${name}$ & ${partial} = {shown}$ & ${received} {product} = {passed}$"


def _gradients(sheet: Worksheet, notation: Notation, digits: int) -> list[str]:
    """A paragraph for each variable."""
    rows = [
        rf"${notation.gradient(notation.names[line.index])} = {array(sheet.gradients[line.name], digits)}$"
        for line in sheet.lines
        if line.kind == "variable"
    ]
    return ["\n\n".join(rows) or "There is no variable."]


def _notes(sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    return [r"\subsection*{Kinks and jumps}", r"\raggedright", "", "\n\n".join(sentences)]


def _example(table: Table, digits: int) -> list[str]:
    """With its columns equally wide."""
    rows = [
        " & ".join(prose(cell) if isinstance(cell, str) else f"${array(cell, digits)}$" for cell in row)
        for row in table.rows
    ]
    columns = {prose(column): 0.9 / len(table.columns) for column in table.columns}
    title = table.title[0].upper() + table.title[1:]
    return [rf"\subsection*{{{prose(title)}}}", *ruled(columns, rows)]


def prose(text: str) -> str:
    r"""A sentence with signs of formulas in it.

    >>> print(prose("p − y, to 100%"))
    p $-$ y, to 100\%
    """
    return re.sub("[^\x00-\x7f]+", lambda found: f"${formula(found.group())}$", _escaped(text))


def formula(text: str) -> str:
    r"""A formula in plain text, set as mathematics: words stay words, digits behind a letter are its index.

    >>> print(formula("(W2ᵀ δ2) ∘ relu'(a1)"))
    (W_{2}^{\top} \delta_{2}) \circ \mathrm{relu}'(a_{1})
    >>> print(formula("√(s² + ε)"), formula("h1 as maps"))
    \sqrt{s^{2} + \varepsilon } h_{1}\ \allowbreak \mathrm{as}\ \allowbreak \mathrm{maps}
    """
    text = re.sub(r"√\(([^()]*)\)", r"√{\1}", text)
    text = re.sub(r"(?<=[\w,]) (?=[A-Za-z]{2})|(?<=[a-z]{2}) (?=\w)", "~", text)  # a space beside a word
    text = re.sub(
        r"([A-Za-z_]{2,})|([^\W\d])(\d+)",
        lambda found: rf"\mathrm{{{_escaped(found[1])}}}" if found[1] else f"{found[2]}_{{{found[3]}}}",
        text,
    )
    return "".join(_MATHEMATICS.get(sign, sign) for sign in text)


def array(value: Array, digits: int = 4) -> str:
    r"""A number, or a matrix in parentheses; a vector stands upright.

    >>> print(array(np.array([1.0, -0.5])))
    \fit{\begin{pmatrix} 1 \\ -0.5 \end{pmatrix}}
    """
    if value.ndim == 0:
        return number(float(value), digits)
    matrix = value if value.ndim == 2 else value[:, None]
    rows = [" & ".join(number(float(x), digits) for x in row[:ENTRIES]) for row in matrix[:ENTRIES]]
    if value.size > ENTRIES or max(map(len, rows)) > LETTERS:
        shape = r" \times ".join(str(n) for n in value.shape)
        return rf"({shape}),\ \Vert\cdot\Vert = {number(float(np.linalg.norm(value)), digits)}"
    body = r" \\ ".join(rows)
    return rf"\fit{{\begin{{pmatrix}} {body} \end{{pmatrix}}}}"


def number(value: float, digits: int = 4) -> str:
    r"""
    >>> print(number(-1.5e-7))
    -1.5 \cdot 10^{-7}
    """
    return tex_number(decimal(value, digits))


def _factor(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def _typed(text: str) -> str:
    """An expression as it was typed. A line may end at a space, and in a long word also after any sign.

    So do the lines of the document: TeX reads none of 200,000 characters.
    """
    words = text.split()
    pieces = [re.findall(r"\w{1,20}|\W", word) if len(word) > WORD else [word] for word in words]
    joined = " ".join(r"\allowbreak{}".join(map(_escaped, word)) for word in pieces)
    lines = rf"(.{{{SOURCE},}}?)(?: |(\\allowbreak\{{\}}))"
    return re.sub(lines, lambda found: found[1] + (f"{found[2]}%\n" if found[2] else "\n"), joined)


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
