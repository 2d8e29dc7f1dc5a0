"""A new .npy file for an array, which bears its name only when it is whole, and can be resumed."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from nnlab.files import replace_file
from nnlab.memory import in_words
from nnlab.ntk.errors import KernelError


class Finished:
    """The rectangles of a kernel that are computed: rows and columns of examples, none at first."""

    def __init__(self, path: Path | None = None, fingerprint: str = "") -> None:
        """Notes rectangles in the file at the path; nowhere without one."""
        self._path, self._fingerprint = path, fingerprint
        self._done: list[list[int]] = []

    def covers(self, rows: slice, columns: slice) -> bool:
        """True where all of a rectangle lies in one that is computed."""
        return any(
            top <= rows.start and rows.stop <= bottom and left <= columns.start and columns.stop <= right
            for top, bottom, left, right in self._done
        )

    def add(self, rows: slice, columns: slice) -> None:
        """Notes a rectangle, on disk where there is a path."""
        if self._path is None:
            return
        self._done.append([rows.start, rows.stop, columns.start, columns.stop])
        text = json.dumps({"schema_version": 1, "fingerprint": self._fingerprint, "done": self._done})
        replace_file(self._path, text.encode())

    def forget(self) -> None:
        """Drops all rectangles, since another method begins."""
        self._done = []

    def read(self) -> None:
        """Reads the rectangles that an interrupted call has noted.

        Raises:
            KernelError: it noted nothing that can be read, or computed another kernel.
        """
        assert self._path is not None
        try:
            noted = json.loads(self._path.read_text("utf-8"))
            same = noted["fingerprint"] == self._fingerprint
            done = [list(map(int, rectangle)) for rectangle in noted["done"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KernelError(f"out: {self._path}: not readable: {error}; delete it to begin anew") from error
        if not same:
            raise KernelError(
                f"out: {self._path}: belongs to a kernel of another model, other examples or other settings; "
                "choose another name, or delete it to begin anew"
            )
        self._done = done


class KernelFile:
    """A memory map to be filled. Without `finish` nothing is left of it, unless it may be resumed."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, ...],
        dtype: DTypeLike = np.float64,
        fingerprint: str | None = None,
    ) -> None:
        """
        Args:
            path: of the file.
            shape: of the array.
            dtype: of its numbers.
            fingerprint: of the array, for a file that may be resumed; else None.

        Raises:
            KernelError: the file exists, its folder does not, there is no room for it, or what an interrupted
                call has left is of another kernel.
        """
        self._path = Path(path)
        self._partial = self._path.with_name(f"{self._path.name}.partial")
        self._notes = self._path.with_name(f"{self._path.name}.partial.json")
        self._kept = fingerprint is not None
        if self._path.exists():
            raise KernelError(f"out: {self._path}: exists already; choose a new name")
        if not self._path.parent.is_dir():
            raise KernelError(f"out: {self._path}: there is no folder {self._path.parent}")
        self.finished = Finished(self._notes if self._kept else None, fingerprint or "")
        if self._kept and self._partial.exists() and self._notes.exists():
            self.finished.read()
            self.array = self._map("r+", shape, dtype)
        else:
            self._notes.unlink(missing_ok=True)
            self.array = self._map("w+", shape, dtype)

    def _map(self, mode: Any, shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
        try:
            mapped = np.lib.format.open_memmap(self._partial, mode, np.dtype(dtype), shape)
            _reserve(self._partial)
        except (OSError, ValueError) as error:
            if mode == "w+":
                self._partial.unlink(missing_ok=True)
            size = in_words(np.dtype(dtype).itemsize * np.prod(shape, dtype=float))
            raise KernelError(f"out: {self._path}: {size} cannot be written there: {error}") from error
        return torch.from_numpy(mapped)

    def finish(self) -> None:
        """The array is whole: its file gets its name, unless another has it by now. The system writes it to
        disk when it has time."""
        if self._path.exists():
            raise KernelError(f"out: {self._path}: exists by now; choose a new name")
        self._partial.rename(self._path)
        self._notes.unlink(missing_ok=True)

    def __enter__(self) -> "KernelFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            self._partial.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)


def fingerprint(settings: Iterable[object], tensors: Iterable[Tensor | None]) -> str:
    """Returns a hash of settings and of the numbers in tensors."""
    digest = hashlib.sha256(repr(list(settings)).encode())
    for tensor in tensors:
        if tensor is None:
            digest.update(b"none")
            continue
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _reserve(path: Path) -> None:
    """Reserves the disk space now: writing to a memory map on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
