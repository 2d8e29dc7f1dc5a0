"""Section 3 on the page: the lecture's two graphs, with values to change."""

from pathlib import Path
from typing import Any

from nnlab.page.contents import ChapterPage, Section
from nnlab.page.widget import Widget


def _node(op: str, column: float, row: float, *arguments: int, **more: Any) -> dict[str, Any]:
    return {"op": op, "at": [column, row], "of": list(arguments), **more}


def _input(name: str, row: float, value: float, column: float = 0) -> dict[str, Any]:
    return _node("input", column, row, name=name, value=value)


GRAPHS = [
    {
        "name": "f = (x + y) z",
        "expression": "(x + y)*z",
        "nodes": [
            _input("x", 0, -2),
            _input("y", 1.4, 5),
            _input("z", 2.4, -4),
            _node("+", 1, 0.7, 0, 1, name="q"),
            _node("×", 2, 1.4, 3, 2, name="f"),
        ],
    },
    {
        "name": "f = 1/(1 + exp(−(w₀x₀ + w₁x₁ + w₂)))",
        "expression": "1/(1 + exp(-(w0*x0 + w1*x1 + w2)))",
        "nodes": [
            _input("w₀", 0, 2),
            _input("x₀", 1, -1),
            _input("w₁", 2, -3),
            _input("x₁", 3, -2),
            _input("w₂", 4, -3),
            _node("×", 1, 0.5, 0, 1),
            _node("×", 1, 2.5, 2, 3),
            _node("+", 2, 1.5, 5, 6),
            _node("+", 3, 2.2, 7, 4),
            _node("×(−1)", 4, 2.2, 8),
            _node("exp", 5, 2.2, 9),
            _node("+1", 6, 2.2, 10),
            _node("1/x", 7, 2.2, 11),
        ],
    },
]
"""The lecture's two examples as it draws them: nodes after their arguments, at columns and rows."""

GRAPH = Widget(
    "graph",
    "Backpropagation, node by node",
    "Forward, every node computes its value (above its wire). Then the gradient of the result walks back "
    "(below the wire): what a node passes on is its local derivative times the gradient that arrives.",
    {"graphs": GRAPHS},
)

PAGE = ChapterPage(
    sections=(
        Section(
            3,
            "Backpropagation",
            "The chain rule at each node: the gradient passed on is the local derivative times the gradient "
            "that arrives.",
            (GRAPH,),
        ),
    ),
    scripts=(Path(__file__).parent / "graph.js",),
)
