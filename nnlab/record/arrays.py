"""The file `arrays.npz`, and groups in it: the array x of the group g is `g/x`; a group may hold others."""

import math
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from nnlab.errors import RunFolderError

Value = TypeVar("Value")

ARRAY_BYTES = 4 * 2**30
"""The largest size of all arrays of a run, unpacked."""
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: Path, limit: int = ARRAY_BYTES) -> dict[str, np.ndarray]:
    """Returns the arrays of an npz file by name.

    Nothing is unpickled, and an array that says to be larger than what the file holds takes no memory.

    Raises:
        RunFolderError: it is no npz file, torn, larger than `limit` bytes unpacked, or holds objects.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait
            raise ValueError("it is no ordinary file")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > limit:
                raise ValueError(f"its arrays take more than {limit:,} bytes")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for a file that is torn
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        raise RunFolderError(f"{path}: is damaged or no file of arrays ({reason[:200]})") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        _check_header(stream, member.file_size)
    with archive.open(member) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_header(stream: IO[bytes], size: int) -> None:
    """Raises ValueError where a header does not describe the `size` bytes of its array."""
    version: Any = np.lib.format.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"format {version} of an array is unknown")
    shape, _, dtype = HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds objects, which are not loaded")
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"an array of shape {shape} does not fit its file")


def under(name: str, arrays: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the arrays of one group by the names that they have outside it."""
    return {f"{name}/{rest}": array for rest, array in arrays.items()}


def group(arrays: Mapping[str, Value], name: str) -> dict[str, Value]:
    """Returns the arrays of one group by their names in it; empty where there is no such group."""
    start = f"{name}/"
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


def groups(arrays: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Returns every group by its name; arrays that are in none are left out.

    >>> groups({"steps": 40, "fast/loss": 0.1, "slow/loss": 0.5})
    {'fast': {'loss': 0.1}, 'slow': {'loss': 0.5}}
    """
    names = dict.fromkeys(key.partition("/")[0] for key in arrays if "/" in key)
    return {name: group(arrays, name) for name in names}
