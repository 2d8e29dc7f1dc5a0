"""Which entries of which values a result is made of: a branch that `where` does not take is not needed."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.expressions.nodes import Graph, Node
from nnlab.expressions.operations import OPERATIONS, Number, TensorAlgebra

Mask: TypeAlias = NDArray[np.bool_] | np.bool_
"""By entry; a single one stands for all entries."""


def needed(graph: Graph, algebra: TensorAlgebra, values: Sequence[Number]) -> list[Mask]:
    """Per node, the entries of its value that the result depends on.

    An operation on entries needs the same entries of its arguments, `where` those of the branch taken, and
    an operation that mixes entries, such as @, all of them.

    Args:
        graph: the expression.
        algebra: that of the values.
        values: of all nodes.
    """
    found: list[Mask] = [np.False_ for _ in graph.nodes]
    found[-1] = np.True_
    for index in reversed(range(len(graph.nodes))):
        node = graph.nodes[index]
        for position, argument in enumerate(node.arguments):
            used = found[index]
            if node.operation == "where" and position > 0:
                decision = values[node.arguments[0]]
                used = used & (decision >= 0 if position == 1 else decision <= 0)
            if np.ndim(used):
                used = np.broadcast_to(used, algebra.shape(values[index]))
            found[argument] = found[argument] | _before(node, used, algebra.shape(values[argument]))
    return found


def _before(node: Node, used: Mask, shape: tuple[int, ...]) -> Mask:
    """The entries of an argument of that shape that go into the entries `used` of a value."""
    if OPERATIONS[node.operation].pulls:
        return np.any(used)
    if np.ndim(used) == 0:
        return used
    ahead = np.ndim(used) - len(shape)
    repeated = (i for i, n in enumerate(shape, ahead) if n == 1)
    return np.asarray(np.any(used, (*range(ahead), *repeated))).reshape(shape)
