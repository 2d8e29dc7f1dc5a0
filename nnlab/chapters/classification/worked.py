"""Figures of sections 1 and 2 that need no run: the lecture's small examples, to be changed by hand."""

import numpy as np

from nnlab.page.widget import Widget, numbers

NAMES = ("cat", "car", "frog")
"""The classes of the lecture's picture."""
SCORED = (3.2, 5.1, -1.7)
"""Scores for which the first class has probability 0.13."""


def scores(*, constant: bool) -> Widget:
    """The image whose scores are `SCORED`; with the bias as a `constant` feature's weight, or beside W."""
    return Widget(
        "scores",
        "A constant feature takes the bias" if constant else "An image of four pixels, three scores",
        "The image becomes a column x; each class has a row of W and a bias. Choose any number, or click it, "
        "and change it.",
        {
            "pixels": [0.2, 0.9, 0.4, 0.7],
            "weights": [[1, 2, -1, 1], [-1, 3, 2, 1], [2, -1, 1, -2]],
            "biases": [0.9, 1.1, -0.2],
            "names": NAMES,
            "constant": constant,
        },
    )


SOFTMAX = Widget(
    "softmax",
    "Scores, probabilities, loss",
    "The softmax turns scores into probabilities; the loss of an example is −log of the probability of its "
    "class. In the lecture's example the right class has probability 0.13, so the loss is 2.04.",
    {"scores": SCORED, "names": NAMES, "right": 0},
)

DIVERGENCE = Widget(
    "divergence",
    "Entropy, divergence, cross-entropy",
    "Drag the bars of P and Q; each distribution keeps the sum 1. The cross-entropy is as long as the "
    "entropy of P and the divergence from P to Q together.",
    {"names": NAMES, "p": [0.5, 0.3, 0.2], "q": [0.13, 0.86, 0.01], "label": 0},
)

PENALTY = Widget(
    "penalty",
    "Where a penalty pulls the weights",
    "The ellipses are the loss, the shape around 0 are all weights whose penalty is at most that of the "
    "minimizer. Drag the minimum of the loss, and change λ.",
    {"matrix": [[1.0, 0.5], [0.5, 1.2]], "centre": [1.9, 0.7], "beta": 0.5},
)


def downhill() -> Widget:
    """Gradient descent on the mean squared error of a linear model with two weights."""
    random = np.random.default_rng(0)
    features = random.normal(size=(32, 2)) @ np.array([[1.0, 0.25], [0.0, 0.4]])
    targets = features @ [0.5, -0.5] + 0.5 * random.normal(size=32)
    return Widget(
        "downhill",
        "Gradient descent on a surface",
        "The loss is the mean squared error of 32 examples over two weights. Drag the start; choose the step "
        "size, and how many examples each step takes its gradient from.",
        {"x": numbers(features, 3), "y": numbers(targets, 3), "start": [-1.8, 1.6]},
    )


def layers(*, linear: bool) -> Widget:
    """Networks whose sizes can be chosen; `linear` ones lack the maximum."""
    return Widget(
        "layers",
        "Layers without a maximum" if linear else "Networks of two and three layers",
        "Each line is a weight: blue above 0, dashed and vermillion below. The matrices stand in the order "
        "of the formula, drawn to scale.",
        {"most": {"inputs": 6, "hidden": 12, "outputs": 6}, "linear": linear},
    )


FUNCTIONS = (
    {"key": "sigmoid", "name": "sigmoid", "formula": "1/(1 + e⁻ᶻ)", "slope": "σ′ = σ(1 − σ) ≤ 1/4"},
    {"key": "tanh", "name": "tanh", "formula": "tanh z", "slope": "φ′ = 1 − tanh² z"},
    {"key": "relu", "name": "ReLU", "formula": "max(0, z)", "slope": "φ′ = 1 if z > 0, else 0"},
    {
        "key": "leaky_relu",
        "name": "leaky ReLU",
        "formula": "max(0.01z, z)",
        "slope": "φ′ = 1 if z > 0, else 0.01",
    },
    {
        "key": "maxout",
        "name": "maxout",
        "formula": "max(w₁z + b₁, w₂z + b₂)",
        "slope": "φ′ = w of the larger",
    },
    {"key": "elu", "name": "ELU", "formula": "z if z > 0, else eᶻ − 1", "slope": "φ′ = 1 if z > 0, else eᶻ"},
)
"""The lecture's activations; `maths.js` computes them."""

ACTIVATIONS = Widget(
    "activations",
    "Activation functions and their slopes",
    "All on the same axes, z from −3 to 3. The slope is the share of the gradient that a unit passes on. "
    "Maxout is drawn with two lines: −0.5z − 0.25 and z − 0.5.",
    {"functions": FUNCTIONS},
)

SLOPES = Widget(
    "slopes",
    "What is left of a gradient",
    "Each layer multiplies the gradient that passes it by the slope of its activation. Here all weights are "
    "1 and all layers have the same z.",
    {"functions": [FUNCTIONS[i] for i in (0, 1, 2)], "deepest": 20},
)

MAXOUT = Widget(
    "maxout",
    "A maxout unit is the largest of its lines",
    "With enough lines their maximum is as near to a convex function as one likes. Hold a line at its two "
    "points, or take the best ones.",
    {"pieces": 8},
)
