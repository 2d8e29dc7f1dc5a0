"""The figures of the lecture that no run is needed for: the page computes them from their formulas."""

from collections.abc import Mapping
from typing import Any

from nnlab.report.widgets.widget import Widget

SOFTMAX = Widget(
    "softmax",
    "Scores, probabilities, loss",
    "The softmax turns scores into probabilities, and the loss of an example is −log of what its class gets. "
    "The lecture's example has 0.13 for the right class, hence the loss 2.04.",
    {"scores": [3.2, 5.1, -1.7], "names": ["cat", "car", "frog"], "right": 0},
)


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

CROSS = [[0, 0, 0, 1, 0, 0, 0]] * 3 + [[1] * 7] + [[0, 0, 0, 1, 0, 0, 0]] * 3
FILTER = Widget(
    "filter",
    "A filter slides over an image",
    "At each place the filter takes the dot product with the pixels under it: one number of its "
    "activation map.",
    {
        "image": [CROSS],
        "stride": 1,
        "padding": 0,
        "filters": [
            {"name": "edge to the right", "weights": [[[-1, 0, 1]] * 3], "bias": 0},
            {"name": "edge below", "weights": [[[-1, -1, -1], [0, 0, 0], [1, 1, 1]]], "bias": 0},
            {"name": "horizontal line", "weights": [[[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]], "bias": 0},
            {"name": "sharpen", "weights": [[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]], "bias": 0},
        ],
    },
)

STEP = Widget(
    "step",
    "A hidden unit becomes a step",
    "φ(wx + b) stands at s = −b/w. The larger the weight w, the nearer a sigmoid or a tanh is to a step "
    "there. A ReLU never becomes one.",
    {},
)
BIN = Widget(
    "bin",
    "Two opposite steps make a bin",
    "h φ(w(x − s₁)) − h φ(w(x − s₂)): one hidden unit steps up at s₁, the other steps down at s₂, with the "
    "output weights h and −h.",
    {},
)

STANDING: Mapping[int, tuple[Widget, ...]] = {1: (SOFTMAX,), 3: (GRAPH,), 4: (FILTER,), 6: (STEP, BIN)}
"""By the number of the section."""
