"""The values of an expression's variables: typed as `x=-2,W=[[1,2],[3,4]]`, or from a YAML or NPZ file.

Each number may be an expression such as 1/3.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, Graph, parse
from nnlab.expressions.numbers import number_value
from nnlab.expressions.parser import CONSTANTS, TENSOR_FUNCTIONS
from nnlab.expressions.signs import plain
from nnlab.expressions.tokens import is_name, tokenize

Array = NDArray[np.float64]
Nested: TypeAlias = "float | list[Nested]"
Value: TypeAlias = "Array | Nested"

FORM = "a value is such as -2, 1/3, [1,2] or [[1,2],[3,4]]"
SUFFIXES = (".yaml", ".yml", ".npz")


def read_values(sources: Sequence[str]) -> dict[str, Array]:
    """Returns variable -> value from all values of `--at`: typed text, YAML and NPZ files.

    Raises:
        InputError: something that cannot be read, a name given twice, a value that is not a finite number
            or has more than two axes.
    """
    values: dict[str, Array] = {}
    for source in sources:
        for name, value in _read(source):
            if name in values:
                raise InputError(f"--at gives {name} twice")
            values[name] = value
    return values


def graph_at(text: str, names: Sequence[str]) -> Graph:
    """Returns the graph of an expression whose variables are those that have values.

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
            hint = _meant(name, names, text[: node.span[0]])
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


def _meant(name: str, names: Sequence[str], before: str) -> str:
    """Returns what may be meant by a name without a value behind a text; empty where nothing is near."""
    import difflib

    from nnlab.expressions.hints import as_product, nearest
    from nnlab.expressions.mistakes import grouped

    functions = [*CONSTANTS, *TENSOR_FUNCTIONS]
    product = as_product(name, [*names, *CONSTANTS], TENSOR_FUNCTIONS, called=False)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or nearest(name, functions)
    is_product = len({*product.split("*")}) > 1 or "(" in product
    meant = grouped(before, len(before), product) if is_product else " or ".join(near)
    return f" (did you mean {meant}?)" if meant else ""


def _read(source: str) -> list[tuple[str, Array]]:
    """Returns the names in one value of `--at` with their values."""
    if source.lower().endswith(SUFFIXES):
        from nnlab.chapters.backpropagation.stored_values import (
            stored_values,  # readers that take time to load
        )

        where = f"--at {_short(source)}"
        stored = stored_values(Path(source), where)
        values = [(name, _array(f"{where}: {name}", value)) for name, value in stored]
        for name, _ in values:
            if not is_name(name):
                raise InputError(f"{where}: {name!r} cannot be the name of a variable")
        return values
    if "=" not in source:
        raise InputError(
            f"--at {_short(source) or repr(source)}: must be such as x=-2,y=5, or a .yaml or .npz file with "
            "the values"
        )
    try:
        return [(name, _array(f"--at {name}", value)) for name, value in typed_values(source)]
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


# --- typed ---


def typed_values(text: str) -> list[tuple[str, Nested]]:
    """Returns the names of `x=-2,y=[1,2]` with their values, in order.

    Raises:
        ExpressionError: what cannot be read; it points at the character.
    """
    return _Reader(text).values()


class _Reader:
    """One pass over the text, from one = to the next."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def values(self) -> list[tuple[str, Nested]]:
        values = [(self._name(), self._value())]
        while self._continues("", "a comma or the end"):
            values.append((self._name(), self._value()))
        return values

    def _name(self) -> str:
        """Reads a name and the = behind it."""
        start, word = self.position, re.compile("[^=,]*").match(self.text, self.position)
        assert word is not None
        name, self.position = plain(word.group().strip()), word.end() + 1
        if self.text[word.end() : self.position] != "=":
            before = re.search(r"[0-9]+,$", self.text[:start])
            if before and name.isdigit():
                decimal = f"{before.group()[:-1]}.{name}"
                raise self._error(f"a decimal number has a point: {decimal}", start)
            raise self._error("a name, = and a value are expected here, such as x=-2", start)
        if not is_name(name):
            odd = "".join(f" (U+{ord(c):04X})" for c in name if not c.isascii())
            reason = f"{name!r:.60}{odd:.60} cannot be the name of a variable"
            raise self._error(f"{reason}, which has letters a to z, digits and _, a letter first", start)
        return name

    def _value(self, depth: int = 0) -> Nested:
        """Reads a number, or a list inside `depth` others."""
        self._skip_spaces()
        if self._sign() != "[":
            return self._number()
        if depth == 2:
            raise self._error("a list stands at most in one other: a matrix is the list of its rows")
        self.position += 1
        parts = [self._value(depth + 1)]
        while self._continues("]", "a comma or ]"):
            parts.append(self._value(depth + 1))
        return parts

    def _number(self) -> float:
        """Reads up to the next sign that is no part of it: a comma, a bracket that it does not open."""
        start, depth = self.position, 0
        while self._sign() and (depth or self._sign() not in ",)") and self._sign() not in "[]=":
            depth += (self._sign() == "(") - (self._sign() == ")")
            self.position += 1
        if self._sign() == "=":
            raise self._error("this = stands inside a value: separate variables by commas, such as x=1,y=2")
        try:
            return number_value(self.text[start : self.position], FORM)
        except ExpressionError as error:
            raise self._error(error.reason, start + error.position) from None

    def _continues(self, end: str, expected: str) -> bool:
        """Reads the sign behind a value: True for a comma, False for the end of its list or of the text."""
        self._skip_spaces()
        sign = self._sign()
        if sign not in (",", end):
            raise self._error(f"{sign or 'the end'} stands where {expected} is expected")
        self.position += 1
        return sign == ","

    def _sign(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip_spaces(self) -> None:
        while self._sign().isspace():
            self.position += 1

    def _error(self, reason: str, position: int | None = None) -> ExpressionError:
        return ExpressionError(reason, self.text, self.position if position is None else position)
