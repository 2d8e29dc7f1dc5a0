"""Keeps what `nnlab runs list` says of runs that have ended, so that many need not be read again.

It stands in the folder of runs, as a hidden file that may be removed at any time. A run is looked up by its
folder, and only while the size and the time of its summary.json are what they were. Of runs that go on, of
groups and of damaged folders nothing is kept: there more than this one file counts.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from nnlab.errors import RunFolderError
from nnlab.files import replace_file
from nnlab.record import schema
from nnlab.record.reading import read_json

FILE = ".nnlab-index.json"
VERSION = 1
"""The version of the content; to be raised when `nnlab runs list` says something else of a run."""
MANY = 500
"""Runs that were read anew, from which on it is worth a file."""
SETTLED_NS = 2_000_000_000
"""A summary that is younger might change within one tick of the file system's clock."""

Row = tuple[str, ...]


class Index:
    """The rows of runs that have ended.

    Args:
        runs: the folder of runs.
        columns: of each row.
    """

    def __init__(self, runs: Path, columns: int) -> None:
        self._runs, self._columns = runs, columns
        self._before, self._now = self._read(), dict[str, list[Any]]()
        self._new = 0

    def _read(self) -> dict[str, list[Any]]:
        """The content of the file; empty where there is none that can be used."""
        if not (self._runs / FILE).exists():
            return {}
        try:
            content = read_json(self._runs / FILE)
        except RunFolderError:
            return {}
        if not isinstance(content, dict) or content.get("version") != VERSION:
            return {}
        rows = content.get("rows")
        return rows if isinstance(rows, dict) else {}

    def row(self, folder: Path) -> Row | None:
        """The row of a run, if it is known."""
        stamp, entry = self._stamp(folder), self._before.get(self._key(folder))
        if stamp is None or not isinstance(entry, list) or len(entry) != 2 + self._columns:
            return None
        if entry[:2] != stamp or not all(isinstance(text, str) for text in entry[2:]):
            return None
        self._now[self._key(folder)] = entry
        return tuple(entry[2:])

    def keep(self, folder: Path, row: Row) -> None:
        """Keeps the row of a run that has ended."""
        stamp = self._stamp(folder)
        if stamp is not None and stamp[0] < time.time_ns() - SETTLED_NS:
            self._now[self._key(folder)] = [*stamp, *row]
            self._new += 1

    def write(self) -> None:
        """Writes the file, if enough is new; where it cannot be written, the next command reads again."""
        if self._new >= MANY:
            content = json.dumps({"version": VERSION, "rows": self._now}, ensure_ascii=True)
            with contextlib.suppress(OSError):
                replace_file(self._runs / FILE, content.encode())

    @staticmethod
    def _key(folder: Path) -> str:
        return f"{folder.parent.name}/{folder.name}"

    @staticmethod
    def _stamp(folder: Path) -> list[int] | None:
        """Time and size of a summary."""
        try:
            about = os.stat(f"{folder}/{schema.SUMMARY}")
        except OSError:
            return None
        return [about.st_mtime_ns, about.st_size]
