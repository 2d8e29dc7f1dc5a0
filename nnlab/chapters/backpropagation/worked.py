"""Figures of section 3 that need no run: the graph of any expression, and the chain rule at one node."""

from typing import Any

from nnlab.page.widget import Widget

PRESETS: list[dict[str, Any]] = [
    {"name": "f = (x + y) z", "expression": "(x + y)*z", "values": {"x": -2, "y": 5, "z": -4}},
    {
        "name": "a neuron, taken apart",
        "expression": "1/(1 + exp(-(w0*x0 + w1*x1 + w2)))",
        "values": {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3},
    },
    {
        "name": "a neuron, σ as one node",
        "expression": "sigmoid(w0*x0 + w1*x1 + w2)",
        "values": {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3},
    },
    {
        "name": "the loss of a network with two hidden units",
        "expression": "(v1*relu(w1*x + b1) + v2*relu(w2*x + b2) - y)^2/2",
        "values": {"v1": 2, "w1": 1, "x": 1.5, "b1": -0.5, "v2": -1, "w2": -2, "b2": 4, "y": 3},
    },
]
"""The lecture's two examples, the second also with its sigmoid as one node, and the loss of a network."""

SUM, NEURON, SIGMOID, NETWORK = range(len(PRESETS))


def graph(start: int) -> Widget:
    """Any expression as a graph; one of the presets at the start."""
    return Widget(
        "graph",
        "Backpropagation, node by node",
        "Forward, every node computes its value (green). Then the gradient of the result walks back (red): "
        "what a node passes on is its local derivative times the gradient that arrives. Type your own "
        "expression.",
        {"presets": PRESETS, "first": start},
    )


OPERATIONS = [
    {"name": "product ab", "expression": "a*b", "local": ["b", "a"]},
    {"name": "sum a + b", "expression": "a + b", "local": ["1", "1"]},
    {"name": "maximum of a and b", "expression": "max(a, b)", "local": ["1 if a > b", "1 if b > a"]},
    {"name": "quotient a/b", "expression": "a/b", "local": ["1/b", "−a/b²"]},
    {"name": "1/a", "expression": "1/a", "local": ["−1/a²"]},
    {"name": "exponential eᵃ", "expression": "exp(a)", "local": ["eᵃ"]},
    {"name": "square a²", "expression": "a^2", "local": ["2a"]},
    {"name": "sigmoid σ(a)", "expression": "sigmoid(a)", "local": ["σ(1 − σ)"]},
    {"name": "ReLU max(0, a)", "expression": "relu(a)", "local": ["1 if a > 0"]},
]
CHAIN = Widget(
    "chain",
    "The chain rule at one node",
    "A node knows its inputs and its own derivative. The gradient of the loss L in its value q arrives from "
    "behind; what it passes on to an input is its local derivative times that gradient.",
    {"operations": OPERATIONS},
)
