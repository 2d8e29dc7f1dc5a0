"""The surroundings of a command as they are: closed or full streams, few files, no current folder."""

import errno
import os
import sys

MANY = (errno.EMFILE, errno.ENFILE)
UNWRITABLE = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EINVAL)


def prepare() -> None:
    """Gives each standard stream that is closed a place, and lets none fail at a letter that it lacks.

    The file that a program opens next would take the place of a closed stream, and all that is meant for the
    stream would be written into it. Writing to a closed stdout fails when it is flushed; a closed stderr
    takes what is written and forgets it.
    """
    if not _has_current_folder():  # without which libraries of torch end the process in their own way
        raise FileNotFoundError(errno.ENOENT, "the current folder has been removed")
    while (place := os.open(os.devnull, os.O_RDONLY)) <= 2:
        if place == 2:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.close(place)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as we live
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # streams of a test have none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def settle() -> OSError | None:
    """Writes out what stdout still holds. Where that fails, it is forgotten, and the error is returned."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def explained(error: Exception) -> tuple[str, int] | None:
    """Returns message and exit code for an error of the surroundings; None for any other."""
    if not _has_current_folder():
        return "the current folder has been removed: change to one that exists (cd)", 2
    text = str(error)
    if getattr(error, "errno", None) in MANY or "Too many open files" in text:
        return "too many files are open at once: allow more of them, as by `ulimit -n 1024`", 1
    if isinstance(error, MemoryError):
        return f"out of memory: {text or 'this needs more than there is'}", 1
    if not isinstance(error, OSError):
        return None
    if error.filename is None:  # files of ours have names
        full = f"standard output cannot be written: {error.strerror}"
        return (full, 1) if error.errno in UNWRITABLE else None
    name = str(error.filename)
    short = name if len(name) <= 300 else f"{name[:100]}… ({len(name):,} letters)"
    return f"{short}: {error.strerror or text}", 2 if error.errno == errno.ENAMETOOLONG else 1


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
