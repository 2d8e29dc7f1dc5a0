"""The values of an expression's variables from a YAML or NPZ file.

No file is unpacked or unfolded before it is known to be small and to hold numbers.
"""

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.values import FORM, Nested, Value
from nnlab.errors import InputError
from nnlab.expressions import ExpressionError
from nnlab.expressions.numbers import number_value
from nnlab.safe_yaml import TextLoader, load

Array = NDArray[np.float64]

MAX_ENTRIES = 1_000_000
"""Entries that one variable may have."""
MAX_BYTES = 2**28
"""The largest size of a file, and of its content when unpacked."""


def stored_values(path: Path, where: str) -> list[tuple[str, Value]]:
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
        return number_value(str(value), FORM)
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
