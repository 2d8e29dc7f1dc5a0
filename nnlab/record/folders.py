"""Folders of runs: their names, making them, and the lock of the process that writes one."""

import contextlib
import io
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Literal

from nnlab.errors import RunFolderError

if sys.platform != "win32":
    import fcntl


def now() -> datetime:
    """The time, with the local time zone."""
    return datetime.now().astimezone()


def stamp() -> str:
    """The time as folder names carry it: YYYYmmdd-HHMMSS."""
    return now().strftime("%Y%m%d-%H%M%S")


def slug(name: str) -> str:
    """A run's name as part of a folder name: letters, digits, `_`, `-` and `.`, at most 60 of them."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60] or "run"


def new_folder(parent: Path, stem: str) -> Path:
    """Makes a new folder: `stem`, else `stem-2`, `stem-3`… Safe when many processes start at once."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 10_000):
            folder = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise RunFolderError(
            f"{parent}: cannot make a run folder there ({error.strerror}); choose another with --runs DIR"
        ) from None
    raise RunFolderError(f"{parent}: holds 10,000 runs named {stem}; choose another folder with --runs DIR")


def check_writable(folder: Path) -> None:
    """Raises RunFolderError where a run could not make its folder inside `folder`; makes nothing."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise RunFolderError(f"{folder}: {existing} is a file, not a folder; choose another with --runs DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"{folder}: not writable ({existing} denies it); choose another folder with --runs DIR"
        )


def open_locked(path: Path, mode: Literal["ab", "rb"]) -> io.FileIO:
    """Opens a file that no other process can open in this way until it is closed.

    Raises:
        RunFolderError: another process has it open, or it cannot be opened.
    """
    try:
        file = open(path, mode, buffering=0)  # noqa: SIM115 - closed by the caller
    except OSError as error:
        raise RunFolderError(f"{path.parent}: not writable ({error.strerror})") from None
    if sys.platform != "win32":  # no flock on Windows: nothing guards the folder
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise RunFolderError(f"{path.parent}: another process is running this run right now") from None
        except OSError:
            pass  # a file system without locks
    return file


def is_locked(path: Path) -> bool:
    """Tells whether a process has the file open by `open_locked`."""
    if sys.platform == "win32" or not path.exists():
        return False
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
