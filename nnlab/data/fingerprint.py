"""Fingerprints of a run's data: paths, sizes and digests; `nnlab.data.changes` compares them.

Digests are BLAKE2b.
"""

import csv
import hashlib
import io
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

if TYPE_CHECKING:
    from nnlab.data.dataset import RawData

BLOCKS = 256
"""Digests of rows that a table has at most: up to so many rows, each has its own."""

DETAILED = 2**25
"""Bytes. Of a larger table only the whole is digested, not its columns and rows."""

WHOLE = 2**16
"""Bytes. A larger image file is digested by its start, its middle and its end, each a quarter of this."""

SAMPLED = 50_000
"""Image files of which the content is digested; of more, only a part that their names choose."""

CHUNK = 2**22
"""Numbers of a tensor that are digested at a time."""


class _Mark(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TableMark(_Mark):
    """One table.

    Attributes:
        path: resolved.
        size: in bytes.
        digest: of all bytes.
        rows: below the header.
        columns: digests of the cells below each name of the header, in its order; with `blocks`, empty for
            a large table.
        blocks: digests of equally many rows each.
    """

    path: str
    size: int
    digest: str
    rows: int = 0
    columns: dict[str, str] = {}
    blocks: list[str] = []


class ArrayMark(_Mark):
    """One tensor: its shape, and the digest of its numbers."""

    shape: list[int]
    digest: str


class Fingerprint(_Mark):
    """Tells a run's data from any other.

    Attributes:
        name: of the kind of data, as the config has it.
        path: the resolved path of the file or folder; None where there is none.
        size: bytes of all files, or of the tensors where there are none.
        target: the column of a table that is to be predicted.
        drawn: whether the examples are computed from a seed: their last digits may differ on another
            machine.
        tables: the files of a table, in the order in which they are read.
        images: for each folder below `path`, the names of its files with size and digest of their content.
        tensors: of each split.
        versions: of the packages that the examples come with.
    """

    name: str
    path: str | None = None
    size: int = 0
    target: str | None = None
    drawn: bool = False
    tables: list[TableMark] = []
    images: dict[str, dict[str, str]] = {}
    tensors: dict[str, ArrayMark] = {}
    versions: dict[str, str] = {}


def fingerprint(
    raw: "RawData",
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    tables: Sequence[str | os.PathLike[str]] = (),
    target: str | None = None,
    drawn: bool = False,
    versions: Mapping[str, str] | None = None,
) -> Fingerprint:
    """Returns the fingerprint of examples that were read.

    Args:
        raw: the examples; the images of `raw.files` are digested, too.
        name: of the kind of data.
        root: the folder that the images were read from.
        tables: the files that the examples were read from.
        target: the column of a table that is to be predicted.
        drawn: whether the examples are computed from a seed.
        versions: of the packages that the examples come with.

    Raises:
        OSError: a file cannot be read.
    """
    marks = [table_mark(file) for file in tables]
    images = {} if root is None else _image_marks(root, raw.files)
    tensors = _tensors(raw)
    sizes = [int(mark.split()[0]) for files in images.values() for mark in files.values()]
    return Fingerprint(
        name=name,
        path=marks[0].path if marks else None if root is None else _resolved(root),
        size=sum([mark.size for mark in marks] + sizes) or sum(tensor.nbytes for tensor in tensors.values()),
        target=target,
        drawn=drawn,
        tables=marks,
        images=images,
        tensors={key: array_mark(tensor) for key, tensor in tensors.items()},
        versions=dict(versions or {}),
    )


def of_table(name: str, path: str | os.PathLike[str]) -> Fingerprint:
    """Returns the fingerprint of a table that is read by other means. Raises OSError."""
    mark = table_mark(path)
    return Fingerprint(name=name, path=mark.path, size=mark.size, tables=[mark])


def _tensors(raw: "RawData") -> dict[str, Tensor]:
    splits = {"training": raw.train, "validation": raw.validation, "test": raw.test}
    return {
        f"{name} {part}": tensor
        for name, split in splits.items()
        if split is not None
        for part, tensor in (("inputs", split.inputs), ("targets", split.targets))
    }


def array_mark(tensor: Tensor) -> ArrayMark:
    """Returns shape and digest of a tensor on the CPU.

    Numbers in float64 are rounded to float32, so that a mean whose last digit depends on the processor has
    one digest everywhere.
    """
    digest = hashlib.blake2b(digest_size=16)
    rows = max(1, CHUNK // max(1, math.prod(tensor.shape[1:])))
    for chunk in torch.split(tensor, rows):
        values = chunk.float() if chunk.dtype == torch.float64 else chunk
        digest.update(values.contiguous().numpy().data)
    return ArrayMark(shape=list(tensor.shape), digest=digest.hexdigest())


def table_mark(path: str | os.PathLike[str]) -> TableMark:
    """Returns the mark of a table. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        content = file.read()
    rows = _cells(content) if len(content) <= DETAILED else []
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    size = max(1, math.ceil(len(body) / BLOCKS))
    blocks = [body[start : start + size] for start in range(0, len(body), size)]
    columns = {
        name: _digest((row[k] if k < len(row) else "" for row in body), 8) for k, name in enumerate(header)
    }
    return TableMark(
        path=_resolved(path),
        size=len(content),
        digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
        rows=len(body),
        columns=columns,
        blocks=[_digest((cell for row in block for cell in (*row, "\n")), 4) for block in blocks],
    )


def _digest(cells: Iterable[str], size: int) -> str:
    text = "\0".join(cells).encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=size).hexdigest()


def _cells(content: bytes) -> list[list[str]]:
    """The cells of a table whatever its form; none where it has none that can be told."""
    text = content.decode("utf-8-sig", errors="replace")
    header, _, rest = text.partition("\n")
    if header.lower().startswith("sep="):
        text, header = rest, rest.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    try:
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error:
        return []
    return [row for row in rows if any(row)]


def _image_marks(root: str | os.PathLike[str], files: Sequence[str]) -> dict[str, dict[str, str]]:
    every = math.ceil(len(files) / SAMPLED)
    marks: dict[str, dict[str, str]] = {}
    for file in files:
        below = os.path.relpath(os.path.abspath(file), os.path.abspath(root))
        folder, name = os.path.split(below)
        sampled = every <= 1 or zlib.crc32(os.fsencode(name)) % every == 0
        marks.setdefault(_text(folder), {})[_text(name)] = _image_mark(file, sampled)
    return marks


def _resolved(path: str | os.PathLike[str]) -> str:
    return _text(os.path.realpath(path))


def _text(path: str) -> str:
    """A path as text that any file can hold: bytes of no encoding become escapes."""
    return path.encode("utf-8", errors="backslashreplace").decode()


def _image_mark(path: str, sampled: bool) -> str:
    size = os.stat(path).st_size
    if not sampled:
        return str(size)
    quarter = WHOLE // 4
    starts = [0] if size <= WHOLE else [0, size // 2, size - quarter]
    digest = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        for start in starts:
            file.seek(start)
            digest.update(file.read(WHOLE if len(starts) == 1 else quarter))
    return f"{size} {digest.hexdigest()}"
