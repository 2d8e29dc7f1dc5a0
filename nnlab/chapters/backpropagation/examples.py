"""Worked examples of the lecture, with the numbers of its slides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.worksheet import build
from nnlab.errors import InputError, suggest
from nnlab.expressions import gradient, parse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """An expression with values.

    Attributes:
        name: its value of `--example`.
        sentence: what it shows.
        expression: the text.
        at: variable -> value.
    """

    name: str
    sentence: str
    expression: str
    at: Mapping[str, Array]


EXAMPLES = {
    name: Example(name, sentence, expression, {k: np.asarray(value, np.float64) for k, value in at.items()})
    for name, sentence, expression, at in (
        ("sum", "A sum and a product.", "(x + y) * z", {"x": -2, "y": 5, "z": -4}),
        (
            "neuron",
            "A neuron with two inputs, taken apart; --fuse takes its sigmoid as one node.",
            "1/(1 + exp(-(w0*x0 + w1*x1 + w2)))",
            {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3},
        ),
        (
            "scores",
            "Linear scores of 3 classes for 4 pixels, softmax and cross-entropy: the gradient in the scores "
            "is p − y.",
            "logsumexp(W @ x + b) - sum(y * (W @ x + b))",
            {
                "W": [[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0.0, 0.25, 0.2, -0.3]],
                "x": [0.56, 2.31, 0.24, 0.02],
                "b": [1.1, 3.2, -1.2],
                "y": [1.0, 0.0, 0.0],
            },
        ),
        (
            "logsumexp",
            "Scores that overflow exp: logsumexp takes the largest one out first.",
            "logsumexp(s) - sum(y * s)",
            {"s": [1000.0, 1001.0, 998.0], "y": [0.0, 1.0, 0.0]},
        ),
    )
}


def example_at(name: str, at: Mapping[str, Array]) -> Example:
    """Returns an example at other values; a variable that is left out keeps its own.

    Raises:
        InputError: there is no example of that name.
    """
    if name not in EXAMPLES:
        raise InputError(f"--example {name}: {suggest(name, EXAMPLES)}")
    return replace(EXAMPLES[name], at={**EXAMPLES[name].at, **at})


@dataclass(frozen=True)
class Table:
    """A table that belongs to an example.

    Attributes:
        title: above it.
        columns: their heads.
        rows: a text or a value for each column.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str | Array, ...]]


def example_table(example: Example) -> Table | None:
    """Returns the table of an example that has one."""
    match example.name:
        case "scores":
            title = "scores, probabilities, and the gradient in the scores"
            return Table(title, ("quantity", "value"), scores_rows(example))
        case "logsumexp":
            columns = ("scores times", "logsumexp(s)", "log(sum(exp(s)))", "its gradient")
            return Table("the stable form against the naive one", columns, stability_rows(example))
    return None


def scores_rows(example: Example) -> list[tuple[str, Array]]:
    """Computes scores, probabilities, loss, and the gradient in the scores beside p − y."""
    at = example.at
    scores = at["W"] @ at["x"] + at["b"]
    sheet = build(parse(example.expression, tuple(at), tensors=True), at)
    arrived = next(line.gradient for line in sheet.lines if line.operation.endswith("+ b"))
    logarithms = scores - scores.max()
    logarithms = logarithms - np.log(np.exp(logarithms).sum())
    probabilities = np.exp(logarithms)
    return [
        ("scores s = W x + b", scores),
        ("probabilities p = softmax(s)", probabilities),
        ("loss −Σ y log p", np.asarray(-np.sum(at["y"] * logarithms))),
        ("gradient in s, from the graph", np.asarray(arrived)),
        ("p − y", probabilities - at["y"]),
    ]


def stability_rows(example: Example) -> list[tuple[str, Array, Array, Array]]:
    """Computes for scores of several sizes the stable form, the naive one, and the latter's gradient."""
    scores = example.at["s"]
    stable, naive = (parse(text, ("s",), tensors=True) for text in ("logsumexp(s)", "log(sum(exp(s)))"))
    rows = []
    for factor in (0.001, 0.1, 0.5, 1.0):
        at = {"s": factor * scores}
        value, slope = gradient(naive, at)
        rows.append((f"{factor:g}", np.asarray(gradient(stable, at)[0]), np.asarray(value), slope["s"]))
    return rows
