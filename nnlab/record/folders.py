"""Folders of runs: their names, making them, the lock of the process that writes, and what others left."""

import contextlib
import errno
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from nnlab.errors import ExperimentError, RunFolderError
from nnlab.files import (
    DISK_FULL,
    intended_name,
    is_temporary,
    lock,
    remove_temporaries,
    temporary_beside,
)
from nnlab.record import schema

if sys.platform != "win32":
    import fcntl

PATIENCE = 10.0  # seconds to wait for another process that makes a folder: it takes it milliseconds
GLANCE = 0.3  # seconds to wait for a reader that looks whether a folder is locked
WRITTEN = (schema.FIGURES, schema.TENSORBOARD, "checkpoints", "runs")
"""The folders inside a run folder that its run writes; of a group, those of its members, `s0`, `s1`…"""
INNER_RUN = re.compile(r"s\d+(-\d+)?|runs/[^/]+/[^/]+")  # a member of a group, a lesson of a lecture


def now() -> datetime:
    """The time, with the local time zone."""
    return datetime.now().astimezone()


def stamp() -> str:
    """The time as folder names carry it: YYYYmmdd-HHMMSS."""
    return now().strftime("%Y%m%d-%H%M%S")


def slug(name: str) -> str:
    """A run's name as part of a folder name: letters, digits, `_`, `-` and `.`, at most 60 of them."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60] or "run"


# --- making one -----------------------------------------------------------------------------------------


def new_folder(parent: Path, stem: str, fill: Callable[[Path], None] = lambda folder: None) -> Path:
    """Makes a new folder: `stem`, else `stem-2`, `stem-3`… Safe when many processes start at once.

    It appears at once, with everything that `fill` writes into it. A process that is killed before leaves a
    folder of a temporary name, which the next one that makes a folder in `parent` removes.

    Raises:
        RunFolderError: it cannot be made there.
        ExperimentError: the disk is full.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _making_folders_in(parent):
            half = temporary_beside(parent / stem)
            try:
                half.mkdir()
                fill(half)
                return _named(half, parent, stem)
            except BaseException:
                shutil.rmtree(half, ignore_errors=True)
                raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ExperimentError(
                f"{parent}: the disk is full; free some space, and start the run again"
            ) from error
        raise RunFolderError(
            f"{parent}: cannot make a run folder there ({error.strerror}); choose another with --runs DIR"
        ) from None


def _named(half: Path, parent: Path, stem: str) -> Path:
    """Gives a folder the first name that is free."""
    for attempt in range(1, 10_000):
        folder = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
        if os.path.lexists(folder):  # the place of an empty folder would be taken by a rename
            continue
        try:
            return half.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise RunFolderError(f"{parent}: holds 10,000 runs named {stem}; choose another folder with --runs DIR")


@contextlib.contextmanager
def _making_folders_in(parent: Path) -> Iterator[None]:
    """Lets one process at a time make folders in `parent`; what is half made when it begins is nobody's."""
    if sys.platform == "win32":  # a folder cannot be opened there
        yield
        return
    opened = os.open(parent, os.O_RDONLY)
    try:
        with contextlib.suppress(BlockingIOError):  # a process that is stopped in the middle of it
            if _lock_within(PATIENCE, opened):
                for half in _half_made(parent):
                    shutil.rmtree(half, ignore_errors=True)
        yield
    finally:
        os.close(opened)


def _half_made(parent: Path) -> list[str]:
    """The folders in `parent` that have no name yet."""
    with os.scandir(parent) as entries:
        return [e.path for e in entries if is_temporary(e.name) and e.is_dir(follow_symlinks=False)]


def _lock_within(seconds: float, opened: "io.FileIO | int") -> bool:
    """Locks an open file or folder as `lock` does, but waits so long for the process that has it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return lock(opened)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def adopted(folder: Path) -> Path:
    """Returns the folder of a run; one that was killed just before it got its name gets it now."""
    stem = intended_name(folder.name)
    if stem is None or not (folder / schema.SUMMARY).is_file() or sys.platform == "win32":
        return folder
    opened = os.open(folder.parent, os.O_RDONLY)
    try:
        _lock_within(PATIENCE, opened)
        return _named(folder, folder.parent, stem)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be renamed ({error.strerror})") from None
    finally:
        os.close(opened)


def check_writable(folder: Path) -> None:
    """Raises RunFolderError where a run could not make its folder inside `folder`; makes nothing."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise RunFolderError(f"{folder}: {existing} is a file, not a folder; choose another with --runs DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"{folder}: not writable ({existing} denies it); choose another folder with --runs DIR"
        )


# --- holding one ----------------------------------------------------------------------------------------


def open_locked(path: Path, mode: Literal["ab", "rb"]) -> io.FileIO:
    """Opens a file that no other process can open in this way until it is closed.

    Raises:
        RunFolderError: another process has it open, or it cannot be opened.
        OSError: the disk is full.
    """
    try:
        if os.path.lexists(path) and not path.is_file():  # a pipe would wait
            raise RunFolderError(f"{path}: is no ordinary file")
        file = open(path, mode, buffering=0)  # noqa: SIM115 - closed by the caller
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise RunFolderError(f"{path.parent}: not writable ({error.strerror})") from None
    try:
        _lock_within(GLANCE, file)
    except BlockingIOError:
        file.close()
        raise RunFolderError(f"{path.parent}: another process is running this run right now") from None
    return file


def is_locked(path: Path) -> bool:
    """Tells whether a process has the file open by `open_locked`."""
    if sys.platform == "win32" or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def take_over(folder: Path) -> None:
    """Clears a run folder, whose lock the caller has, of what processes that were killed left half written.

    Runs inside it are left to whoever resumes them.

    Raises:
        RunFolderError: a folder that the run would write to is a link that leads out of it.
    """
    whole = folder.resolve()
    for place, names, _ in os.walk(folder):
        inside = Path(place)
        remove_temporaries(inside)
        if _half_made(inside):
            with _making_folders_in(inside):
                pass
        for name in list(names):
            path = inside / name
            inner = path.relative_to(folder).as_posix()
            if path.is_symlink() and (inside != folder or name in WRITTEN or INNER_RUN.fullmatch(inner)):
                _check_inside(path, whole)
            if is_temporary(name) or (path / schema.SUMMARY).exists():
                names.remove(name)
            elif INNER_RUN.fullmatch(inner) and _is_only_begun(path):
                shutil.rmtree(path, ignore_errors=True)
                names.remove(name)


def _check_inside(link: Path, whole: Path) -> None:
    if not link.resolve().is_relative_to(whole):
        raise RunFolderError(
            f"{link}: is a link that leads out of the run folder, which is all that a run writes to; put a "
            "folder in its place, or remove it"
        )


def _is_only_begun(folder: Path) -> bool:
    """Tells whether a folder holds nothing but what a run writes before its first summary."""
    files = {file.name: file.lstat().st_size for file in folder.iterdir()}
    return files.keys() <= {schema.CONFIG, schema.ENVIRONMENT, schema.DATA, schema.METRICS} and not files.get(
        schema.METRICS
    )
