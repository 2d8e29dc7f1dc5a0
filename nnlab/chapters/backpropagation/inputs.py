"""What an expression is evaluated at: variables with their values, all of them and no others."""

import difflib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.stored_values import SUFFIXES, Value, stored
from nnlab.chapters.backpropagation.typed_values import assignments
from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, Graph, parse
from nnlab.expressions.parser import CONSTANTS, TENSOR_FUNCTIONS
from nnlab.expressions.tokens import is_name, tokenize

Array = NDArray[np.float64]


def read_values(given: Sequence[str]) -> dict[str, Array]:
    """Variable -> value, from everything that `--at` was given: `x=-2,W=[[1,2],[3,4]]`, YAML and NPZ files.

    Raises:
        InputError: something that cannot be read, a name given twice, a value that is not a finite number
            or has more than two axes.
    """
    found: dict[str, Array] = {}
    for text in given:
        for name, value in _named(text):
            if name in found:
                raise InputError(f"--at gives {name} twice")
            found[name] = value
    return found


def graph_at(text: str, names: Sequence[str]) -> Graph:
    """The graph of an expression whose variables are those that have values.

    Raises:
        ExpressionError: what cannot be read, and then a name without a value.
        InputError: a value whose name the expression does not have.
    """
    known = {*CONSTANTS, *TENSOR_FUNCTIONS}
    free = [
        token.text
        for token, following in pairwise(tokenize(text, matrices=True))
        if token.kind == "name" and following.text != "(" and token.text not in known
    ]
    graph = parse(text, tuple(dict.fromkeys([*names, *free])), tensors=True)
    for node in graph.nodes:
        if node.operation == "variable" and node.parameter not in names:
            name = str(node.parameter)
            near = difflib.get_close_matches(name, [*names, *known], n=1, cutoff=0.5)
            hint = f" (did you mean {near[0]}?)" if near else ""
            reason = f"{name} has no value{hint}: give one with --at {name}=…"
            raise ExpressionError(reason, text, node.span[0])
    used = graph.used()
    extra = [name for name in names if name not in used]
    if extra:
        raise InputError(
            f"--at gives {', '.join(extra)}, which the expression does not have; its variables: "
            f"{', '.join(used) or 'none'}"
        )
    return graph


def _named(text: str) -> list[tuple[str, Array]]:
    """The names with their values in one of what `--at` was given."""
    if text.lower().endswith(SUFFIXES):
        where = f"--at {_short(text)}"
        found = [(name, _array(f"{where}: {name}", value)) for name, value in stored(Path(text), where)]
        for name, _ in found:
            if not is_name(name):
                raise InputError(f"{where}: {name!r} cannot be the name of a variable")
        return found
    if "=" not in text:
        raise InputError(
            f"--at {_short(text) or repr(text)}: must be such as x=-2,y=5, or a .yaml or .npz file with the "
            "values"
        )
    try:
        return [(name, _array(f"--at {name}", value)) for name, value in assignments(text)]
    except ExpressionError as error:
        raise InputError(f"--at: {error}") from None


def _array(where: str, value: Value) -> Array:
    try:
        array = np.asarray(value, np.float64)
    except ValueError:
        array = None
    if array is None or array.ndim > 2:
        raise InputError(f"{where}: must be a number, a list of numbers, or a list of rows of equal length")
    return array


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."
