r"""Both worksheets as LaTeX documents, for a plain TeX installation: `article` with amsmath and longtable."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.checks import Checks
from nnlab.chapters.backpropagation.examples import Table
from nnlab.chapters.backpropagation.network_worksheet import NetworkSheet, is_short
from nnlab.chapters.backpropagation.notation import (
    Notation,
    format_truth,
    notation_of,
    python_number,
    tex_number,
)
from nnlab.chapters.backpropagation.sentences import kink_notes, network_notes
from nnlab.chapters.backpropagation.worksheet import Edge, Line, Worksheet
from nnlab.expressions.signs import FRACTIONS, POWERS, plain

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

ENTRIES = 16
"""Entries of an array that are written out; a larger one is described by its norm."""
LETTERS = 80
"""Letters of a row that are written out; an array with a longer one is described by its norm."""
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

_SPECIAL = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
_SPECIAL |= {character: "\\" + character for character in "#$%&_{}"}

_PASTED = {
    "·": r"\cdot", "×": r"\times", "÷": r"\div", "√": r"\surd", "∛": r"\sqrt[3]{\ }", "π": r"\pi",
    "σ": r"\sigma", "≤": r"\le", "≥": r"\ge",
    "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil",
    **{raised: f"^{{{sign}}}" for raised, sign in POWERS.items()},
    **{sign: rf"\tfrac{{{part}}}".replace("/", "}{") for sign, part in FRACTIONS.items()},
}  # fmt: skip
"""Signs of pasted expressions that plain TeX has in formulas alone."""

_MATHEMATICS = {
    "−": "-", "·": r"\cdot", "∘": r"\circ", "×": r"\times", "∂": r"\partial ", "Σ": r"\textstyle\sum",
    "√": r"\sqrt", "ᵀ": r"^{\top}", "²": "^{2}", "δ": r"\delta", "γ": r"\gamma", "β": r"\beta", "μ": r"\mu",
    "ε": r"\varepsilon ", "~": r"\ \allowbreak ",
}  # fmt: skip


def latex(
    sheet: Worksheet, digits: int = 4, *, checks: Checks | None = None, table: Table | None = None
) -> str:
    """Writes an expression's graph with its values, then the gradients from the result back, node by node.

    The kinks that the checks found and the table of an example follow.
    """
    notation = notation_of(sheet.graph, sheet.shapes, tex=True)
    edges = [(line, edge) for line in reversed(sheet.lines) for edge in line.edges]
    gradients = [
        rf"${notation.gradient(name)} = {tex_array(sheet.gradients[str(node.parameter)], digits)}$"
        for name, node in zip(notation.names, sheet.graph.nodes, strict=True)
        if node.operation == "variable"
    ]
    lines = [
        rf"{{\raggedright ${notation.result}$ = {{\ttfamily {_typed(sheet.graph.text)}}}\par}}",
        "",
        r"\subsection*{Forward: the value of each node}",
        *_table({"node": 0.15, "operation": 0.27, "value": 0.5}, _forward(sheet, notation, digits)),
        r"\subsection*{Backward: the gradient of each node}",
        "What a node passes on is its local derivative times the gradient that arrives; "
        "what a node receives from several others is added up.",
        "",
        *_table(
            {"from": 0.08, "local derivative": 0.27, "passed on": 0.57},
            [_rule(sheet, notation, line, edge, digits) for line, edge in edges],
        ),
        r"\subsection*{The gradient}",
        "\n\n".join(gradients) or "There is no variable.",
    ]
    notes = [] if checks is None else kink_notes(sheet, checks, notation, digits)
    if notes:
        lines += [r"\subsection*{Kinks and jumps}", r"\raggedright", "", "\n\n".join(notes)]
    if table is not None:
        rows = [
            [prose(cell) if isinstance(cell, str) else f"${tex_array(cell, digits)}$" for cell in row]
            for row in table.rows
        ]
        columns = {prose(column): 0.9 / len(table.columns) for column in table.columns}
        title = table.title[0].upper() + table.title[1:]
        lines += [rf"\subsection*{{{prose(title)}}}", *_table(columns, rows)]
    return _document(lines)


def network_latex(sheet: NetworkSheet, title: str, digits: int = 4) -> str:
    """Writes the values of a network's layers, then the gradients from the loss back, below a title."""

    def row(layer: str, name: str, computed: str, value: "Tensor") -> list[str]:
        equation = formula(f"{name} = {computed}" if computed and computed != name else name)
        shape = r" \times ".join(map(str, value.shape))
        norm = rf"\Vert\cdot\Vert = {_tex_decimal(float(value.norm()), digits)}"
        size = tex_array(value.numpy(), digits) if is_short(value) else norm
        return [prose(layer).replace(".", r".\allowbreak{}"), f"${equation}$", f"${shape}$", f"${size}$"]

    def columns(quantity: str) -> dict[str, float]:
        return {"layer": 0.18, quantity: 0.37, "shape": 0.14, "norm or entries": 0.2}

    return _document([
        prose(title),
        r"\subsection*{Forward: the value of each layer}",
        *_table(columns("value"), [row(*line) for line in sheet.values]),
        r"\subsection*{Backward: the gradient of each value and weight}",
        rf"$L = {_tex_decimal(sheet.loss, digits)}$",
        *_table(
            columns("gradient"),
            [row(layer, name, one.formula, one.value) for layer, name, one in sheet.gradients],
        ),
        "\n\n".join(map(prose, network_notes(sheet))),
    ])  # fmt: skip


def _document(lines: Sequence[str]) -> str:
    return "\n".join([_HEAD + lines[0], *lines[1:], r"\end{document}", ""])


def _table(columns: Mapping[str, float], rows: Sequence[Sequence[str]]) -> list[str]:
    """Typesets a table over as many pages as it needs; `columns` has their widths in shares of the line."""
    widths = "".join(f"L{{{width}}}" for width in columns.values())
    return [
        rf"\begin{{longtable}}{{{widths}}}",
        rf"{' & '.join(columns)} \\ \hline \noalign{{\smallskip}} \endhead",
        *(rf"{' & '.join(row)} \\ \noalign{{\smallskip}}" for row in rows),
        r"\end{longtable}",
    ]


def _forward(sheet: Worksheet, notation: Notation, digits: int) -> list[list[str]]:
    return [
        [
            f"${notation.names[line.index]}$",
            "given" if line.is_given else f"${notation.operation(line.index)}$",
            format_truth(line.value) if line.is_condition else f"${tex_array(line.value, digits)}$",
        ]
        for line in sheet.lines
    ]


def _rule(sheet: Worksheet, notation: Notation, line: Line, edge: Edge, digits: int) -> list[str]:
    """Returns the row of an edge: what a node passes on; of arrays the formula and the result alone."""
    name, target = notation.names[line.index], notation.names[edge.argument]
    local = notation.local(line.index, edge.position, int(np.size(edge.passed)))
    sign = r"\mathrel{+}=" if sheet.arrivals[edge.argument] > 1 else "="
    received, passed = f"{notation.gradient(target)} {sign}", tex_array(edge.passed, digits)
    if edge.derivative is None or line.gradient is None:
        return [f"${name}$", "", f"${received} {local} = {passed}$"]
    partial, derivative = notation.partial(name, target), tex_array(edge.derivative, digits)
    if edge.derivative.ndim or line.gradient.ndim:
        dot = r"\circ" if line.gradient.ndim else r"\cdot"
        total = rf"\textstyle\sum_{{\mathrm{{{edge.summed}}}}} " if edge.summed else ""
        product = rf"{total}{notation.gradient(name)} {dot} {partial}"
    else:
        factors = tex_array(line.gradient, digits), derivative
        product = r" \cdot ".join(f"({text})" if text.startswith("-") else text for text in factors)
        local = local if local == derivative else f"{local} = {derivative}"
    return [f"${name}$", f"${partial} = {local}$", f"${received} {product} = {passed}$"]


def prose(text: str) -> str:
    r"""Typesets a sentence with signs of formulas in it.

    >>> print(prose("p − y, to 100%"))
    p $-$ y, to 100\%
    """
    return re.sub("[^\x00-\x7f]+", lambda match: f"${formula(match.group())}$", _escaped(text))


def formula(text: str) -> str:
    r"""Typesets a formula as mathematics: words stay words, digits behind a letter are its index.

    >>> print(formula("(W2ᵀ δ2) ∘ relu'(a1)"))
    (W_{2}^{\top} \delta_{2}) \circ \mathrm{relu}'(a_{1})
    >>> print(formula("√(s² + ε)"), formula("h1 as maps"))
    \sqrt{s^{2} + \varepsilon } h_{1}\ \allowbreak \mathrm{as}\ \allowbreak \mathrm{maps}
    """
    text = re.sub(r"√\(([^()]*)\)", r"√{\1}", text)
    text = re.sub(r"(?<=[\w,]) (?=[A-Za-z]{2})|(?<=[a-z]{2}) (?=\w)", "~", text)  # a space beside a word
    text = re.sub(
        r"([A-Za-z_]{2,})|([^\W\d])(\d+)",
        lambda match: rf"\mathrm{{{_escaped(match[1])}}}" if match[1] else f"{match[2]}_{{{match[3]}}}",
        text,
    )
    return "".join(_MATHEMATICS.get(sign, sign) for sign in text)


def tex_array(value: Array, digits: int = 4) -> str:
    r"""Typesets a number, or a matrix in parentheses; a vector stands upright.

    >>> print(tex_array(np.array([1.0, -0.5])))
    \fit{\begin{pmatrix} 1 \\ -0.5 \end{pmatrix}}
    """
    if value.ndim == 0:
        return _tex_decimal(float(value), digits)
    matrix = value if value.ndim == 2 else value[:, None]
    rows = [" & ".join(_tex_decimal(float(x), digits) for x in row[:ENTRIES]) for row in matrix[:ENTRIES]]
    if value.size > ENTRIES or max(map(len, rows)) > LETTERS:
        shape = r" \times ".join(str(n) for n in value.shape)
        return rf"({shape}),\ \Vert\cdot\Vert = {_tex_decimal(float(np.linalg.norm(value)), digits)}"
    body = r" \\ ".join(rows)
    return rf"\fit{{\begin{{pmatrix}} {body} \end{{pmatrix}}}}"


def _tex_decimal(value: float, digits: int) -> str:
    return tex_number(python_number(value, digits))


def _typed(text: str) -> str:
    """Typesets an expression as typed. A line may end at a space, and in a long word after any sign.

    So do the lines of the document: TeX reads none of 200,000 characters.
    """
    words = text.split()
    pieces = [re.findall(r"\w{1,20}|\W", word) if len(word) > WORD else [word] for word in words]
    joined = " ".join(r"\allowbreak{}".join("".join(map(_sign, part)) for part in word) for word in pieces)
    lines = rf"(.{{{SOURCE},}}?)(?: |(\\allowbreak\{{\}}))"
    return re.sub(lines, lambda match: match[1] + (f"{match[2]}%\n" if match[2] else "\n"), joined)


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _sign(character: str) -> str:
    """Typesets a character of an expression; of one that only looks like another that one."""
    character = plain(character)
    return f"${_PASTED[character]}$" if character in _PASTED else _escaped(character)
