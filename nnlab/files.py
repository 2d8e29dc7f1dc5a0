"""Files that are read with a limit, and written as a whole or not at all."""

import contextlib
import errno
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The numbers of the errors of a disk, or of a user's share of it, that is full."""

_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # of file systems that cannot be asked for it
_TEMPORARY = re.compile(r"\.(.*)\.\d+-\d+\.tmp", re.DOTALL)
_LONGEST = 150  # bytes of a name that its temporary name takes over; file systems allow 255


def read_whole(path: Path, limit: int) -> bytes:
    """Returns the content of an ordinary file.

    Raises:
        OSError: it cannot be read, is a pipe or a device, which would keep a reader waiting, or holds more
            than `limit` bytes.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        content = file.read(limit + 1) if about.st_size <= limit else b""
        if about.st_size > limit or len(content) > limit:
            raise OSError(errno.EINVAL, f"its {about.st_size:,} bytes are more than {limit:,}", str(path))
        return content


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file, and a named pipe, without waiting for someone to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def temporary_beside(path: Path) -> Path:
    """Returns the name, in the same folder, of what will be at `path`; of this process and thread alone."""
    start = path.name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    return path.with_name(f".{start}.{os.getpid()}-{threading.get_ident()}.tmp")


def is_temporary(name: str) -> bool:
    """Tells whether a name is one of `temporary_beside`: half a file or folder, never a result."""
    return intended_name(name) is not None


def intended_name(temporary: str) -> str | None:
    """Returns the name that a file or folder of a temporary name was to get; None for other names."""
    match = _TEMPORARY.fullmatch(temporary)
    return match and match[1]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there takes its name at the end.

    After an error inside the block nothing is left of it, and the file of before stays. The content is on
    the disk before it takes the name, so that a power cut leaves no empty file either. While the block runs
    the temporary file is locked: `remove_temporaries` knows by it that somebody still writes.
    """
    temporary = temporary_beside(path)
    try:
        with open(temporary, "wb") as file:
            lock(file)
            yield temporary
            sync(file)
            if sys.platform == "win32":
                file.close()  # an open file keeps its name there
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Writes the bytes to `path` as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sync(file: IO[bytes]) -> None:
    """Waits until what was written to a file is on the disk, where its file system can be asked for it."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def lock(file: "IO[Any] | int") -> bool:
    """Locks an open file, or folder, against other processes until it is closed.

    Returns:
        False where the file system, or Windows, has no locks: nothing guards the file.

    Raises:
        BlockingIOError: another process has it.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def remove_temporaries(folder: Path) -> None:
    """Removes the temporary files of `replacing` in a folder whose processes are gone."""
    for entry in list(os.scandir(folder)):
        if is_temporary(entry.name) and entry.is_file(follow_symlinks=False):
            # Busy, or not ours to write, or on a file system that cannot tell: it stays.
            with contextlib.suppress(OSError), open(entry.path, "r+b") as file:
                if lock(file):
                    os.unlink(entry.path)
