"""Where a function has no derivative because it bends: an operation at its kink, and what is used there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.graph import Graph

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kink:
    """An operation at its kink.

    Attributes:
        index: of its node.
        sentence: what it is and which slope is used.
    """

    index: int
    sentence: str


def kinks(graph: Graph, values: Sequence[Array], names: Sequence[str]) -> list[Kink]:
    """The kinks of a graph at a point, where a variable takes part in them."""
    found = []
    for index, node in enumerate(graph.nodes):
        arguments = [values[i] for i in node.arguments]
        if not graph.varying[index] or not node.arguments:
            continue
        sentence = _sentence(node.operation, arguments, values[index], [names[i] for i in node.arguments])
        if sentence is not None:
            found.append(Kink(index, sentence))
    return found


def _sentence(operation: str, arguments: Sequence[Array], value: Array, names: Sequence[str]) -> str | None:
    first = names[0]
    if operation == "relu" and np.any(arguments[0] == 0):
        return f"relu has a kink at {first} = 0: slope 0 to the left, 1 to the right; 0 is used"
    if operation == "abs" and np.any(arguments[0] == 0):
        return f"abs has a kink at {first} = 0: slope −1 to the left, 1 to the right; 0 is used"
    if operation in ("maximum", "minimum") and np.any(arguments[0] == arguments[1]):
        word = "max" if operation == "maximum" else "min"
        return f"{word} has a kink where {first} = {names[1]}: each gets half"
    if operation in ("largest", "smallest") and np.sum(np.equal(arguments[0], value)) > 1:
        word, count = "max" if operation == "largest" else "min", np.sum(np.equal(arguments[0], value))
        return f"{word} has a kink where {count} entries of {first} are equal: each gets 1/{count}"
    if operation in ("less", "less_equal") and np.any(arguments[0] == arguments[1]):
        return f"where changes branch at {first} = {names[1]}: the slope is that of the branch taken"
    return None
