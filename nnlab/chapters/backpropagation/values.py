"""The values of an expression's variables: typed as `x=-2,W=[[1,2],[3,4]]`, or from a YAML or NPZ file.

Each number may be an expression such as 1/3. No file is unpacked or unfolded before it is known to be small
and to hold numbers.
"""

import difflib
import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.worksheet import check_values
from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, Graph, parse
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.parser import CONSTANTS, TENSOR_FUNCTIONS, is_name, tokenize
from nnlab.expressions.passes import forward, needed
from nnlab.safe_yaml import TextLoader, load

Array = NDArray[np.float64]
Nested: TypeAlias = "float | list[Nested]"
Value: TypeAlias = "Array | Nested"

FORM = "a value is such as -2, 1/3, [1,2] or [[1,2],[3,4]]"
SUFFIXES = (".yaml", ".yml", ".npz")
MAX_ENTRIES = 1_000_000
"""Entries that one variable may have."""
MAX_BYTES = 2**28
"""The largest size of a file, and of its content when unpacked."""


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


def _read(source: str) -> list[tuple[str, Array]]:
    """Returns the names in one value of `--at` with their values."""
    if source.lower().endswith(SUFFIXES):
        where = f"--at {_short(source)}"
        values = [(name, _array(f"{where}: {name}", value)) for name, value in _stored(Path(source), where)]
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


def _evaluate(text: str) -> float:
    """Returns the value of an expression without variables.

    Raises:
        ExpressionError: what is none, or has no finite value.
    """
    if not text.strip():
        raise ExpressionError(f"a value is missing here: {FORM}", text, 0)
    if re.fullmatch(r"\s*[-+]*\.?(nan|inf|infinity)\s*", text, re.IGNORECASE):
        raise ExpressionError(f"{text.strip()} is not a finite number", text, 0)
    try:
        graph = parse(text, ())
    except ExpressionError as error:
        raise ExpressionError(f"{error.reason} ({FORM})", text, error.position) from None
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, {})
    check_values(graph, values, needed(graph, FLOATS, values))
    return float(values[-1])


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
        name, self.position = word.group().strip(), word.end() + 1
        if self.text[word.end() : self.position] != "=":
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
            return _evaluate(self.text[start : self.position])
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


# --- stored ---


def _stored(path: Path, where: str) -> list[tuple[str, Value]]:
    """Returns the names in a YAML or NPZ file with their values; messages begin with `where`."""
    if not os.path.isfile(path):  # unlike Path.is_file, it takes a name that is too long
        problem = "is no regular file" if os.path.exists(path) else "there is no such file"
        raise InputError(f"{where}: cannot be read: {problem}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{where}: is {size / 2**20:,.0f} MiB long; at most {MAX_BYTES >> 20} are read")
        return list(_npz_arrays(path, where) if path.suffix.lower() == ".npz" else _yaml(path, where))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _yaml(path: Path, where: str) -> list[tuple[str, Value]]:
    content = load(path.read_text(encoding="utf-8"), where, TextLoader)
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: must hold names with their values, such as x: [1, 2]")
    return [(str(name), _yaml_numbers(f"{where}: {name}", value)) for name, value in content.items()]


def _yaml_numbers(where: str, value: object) -> Nested:
    """Reads numbers as on the command line: `on`, 1:30 and [] are none, 1e5 and 1/3 are."""
    if isinstance(value, list) and value:
        return [_yaml_numbers(where, part) for part in value]
    if not isinstance(value, str | int | float) or value == "":
        raise InputError(f"{where}: {FORM}, not {value!r:.60}")
    try:
        return _evaluate(str(value))
    except ExpressionError as error:
        raise InputError(f"{where}: {error}") from None


def _npz_arrays(path: Path, where: str) -> list[tuple[str, Value]]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > MAX_BYTES:
                size = f"{unpacked / 2**20:,.0f} MiB"
                raise InputError(f"{where}: holds {size} unpacked; at most {MAX_BYTES >> 20} are read")
            return [_npz_array(archive, member, where) for member in members]
    except (InputError, OSError):
        raise
    except Exception as error:  # a damaged file makes zipfile, its decoders and numpy raise a dozen kinds
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        raise InputError(f"{where}: is damaged, or not an NPZ file of numbers: {reason:.200}") from None


def _npz_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> tuple[str, Array]:
    """Reads an array once its header says that it is small and of numbers."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.kind not in "iuf":
        raise InputError(f"{where}: {name} holds {dtype}; must hold whole or floating-point numbers")
    if len(shape) > 2 or not 1 <= math.prod(shape) <= MAX_ENTRIES or min(shape, default=1) < 1:
        raise InputError(
            f"{where}: {name} has the shape {shape}; allowed are numbers, vectors and matrices of 1 to "
            f"{MAX_ENTRIES:,} entries"
        )
    with archive.open(member) as file, np.errstate(over="ignore"):
        array = npy.read_array(file, allow_pickle=False).astype(np.float64)
    if not np.all(np.isfinite(array)):
        entry = "".join(f"[{i}]" for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"{where}: {name}{entry} is {array[~np.isfinite(array)][0]}, which is not a finite number"
        )
    return name, array
