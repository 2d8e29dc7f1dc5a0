"""Values for variables, as they are typed or stored: `x=-2,W=[[1,2],[3,4]]`, a YAML file, an NPZ file."""

import difflib
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from nnlab.errors import InputError
from nnlab.graph import ExpressionError, evaluate, parse
from nnlab.graph.parser import CONSTANTS, TENSOR_FUNCTIONS
from nnlab.graph.tokens import Token, tokenize

Array = NDArray[np.float64]

MAX_ENTRIES = 1_000_000
"""Entries that one variable may have."""


def read_values(given: Sequence[str]) -> dict[str, Array]:
    """Variable -> value, from everything that `--at` was given.

    Raises:
        InputError: something that cannot be read, a name given twice, a value that is not a finite number
            or has more than two axes.
    """
    found: dict[str, Array] = {}
    for text in given:
        suffix = Path(text).suffix.lower()
        if "=" not in text or (suffix in (".yaml", ".yml", ".npz") and Path(text).is_file()):
            new = _from_file(Path(text))
        else:
            new = _from_text(text)
        for name, value in new:
            if name in found:
                raise InputError(f"--at gives {name} twice")
            found[name] = _checked(name, value)
    return found


def check_variables(text: str, names: Sequence[str]) -> None:
    """Refuses an expression with a name that has no value, and a value whose name it does not have.

    An unknown function is left to the parser.
    """
    used: dict[str, Token] = {}
    for token, following in pairwise(tokenize(text, matrices=True)):
        if (
            token.kind == "name"
            and following.text != "("
            and (token.text in names or token.text not in CONSTANTS)
        ):
            used.setdefault(token.text, token)
    for name, token in used.items():
        if name not in names and name not in TENSOR_FUNCTIONS:
            near = difflib.get_close_matches(name, [*names, *CONSTANTS, *TENSOR_FUNCTIONS], n=1, cutoff=0.5)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ExpressionError(
                f"{name} has no value{hint}: give one with --at {name}=…", text, token.start
            )
    extra = [name for name in names if name not in used]
    if extra:
        known = ", ".join(used) or "none"
        raise InputError(
            f"--at gives {', '.join(extra)}, which the expression does not have; its variables: {known}"
        )


def _from_text(text: str) -> list[tuple[str, Any]]:
    pairs = []
    for part in _split(text):
        name, sign, value = part.partition("=")
        name = name.strip()
        if not sign or not value.strip():
            raise InputError(f"--at {part.strip()!r}: must be a name, = and a value, such as x=-2")
        if not name.isascii() or not name.isidentifier() or name.startswith("_"):
            raise InputError(f"--at {part.strip()!r}: {name!r} cannot be the name of a variable")
        pairs.append((name, _typed(name, value.strip())))
    return pairs


def _typed(name: str, text: str, depth: int = 0) -> Any:
    """A number, which may be written as an expression such as 1/3, or a list of them in brackets."""
    if text.startswith("[") and text.endswith("]") and depth < 3:
        return [_typed(name, part.strip(), depth + 1) for part in _split(text[1:-1])]
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(text)
    try:
        return float(evaluate(parse(text, ()), {}))
    except ExpressionError as error:
        raise InputError(f"--at {name}={text}: {error}") from None


def _split(text: str) -> list[str]:
    """Parts between the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth < 0:
            raise InputError(f"--at {text!r}: {character} closes no bracket")
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth:
        raise InputError(f"--at {text!r}: a bracket is never closed")
    return [*parts, text[start:]]


def _from_file(path: Path) -> list[tuple[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".npz"):
        raise InputError(f"--at {path}: must be such as x=-2,y=5, or a .yaml or .npz file with the values")
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return list(arrays.items())
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--at {path}: cannot be read: {getattr(error, 'strerror', error)}") from None
    except (
        ValueError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        yaml.YAMLError,
        RecursionError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"--at {path}: is not a {suffix[1:].upper()} file of numbers: {first}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"--at {path}: must have names with their values, such as x: [1, 2]")
    return [(str(name), _numbers(value)) for name, value in content.items()]


def _numbers(value: Any) -> Any:
    """YAML reads 1e-3 as a word: such words are numbers too."""
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _checked(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise ValueError
        array = array.astype(np.float64)
    except (ValueError, TypeError):
        raise InputError(
            f"--at {name}: must be a number, a list of numbers, or rows of equal length, not {value!r:.60}"
        ) from None
    if array.ndim > 2 or array.size == 0 or array.size > MAX_ENTRIES:
        raise InputError(
            f"--at {name}: has the shape {array.shape}; allowed are numbers, vectors and matrices of 1 to "
            f"{MAX_ENTRIES:,} entries"
        )
    if not np.all(np.isfinite(array)):
        raise InputError(f"--at {name}: {array[~np.isfinite(array)].flat[0]} is not a finite number")
    return array
