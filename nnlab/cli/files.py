"""The files that a command is told to write: all of them or none, and none over another."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from nnlab.errors import InputError
from nnlab.files import replacing

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "--png": (".png",),
    "--svg": (".svg",),
    "--latex": (".tex", ".latex"),
    "--out": (".csv",),
}
"""The suffixes of the files that flags write."""
OTHERS = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".pdf", ".ps", ".eps", ".html", ".json")
"""Suffixes that promise something else. Any other is part of a name."""


def check_places(files: Mapping[str, Path]) -> None:
    """Refuses files that are there already, have no folder or a wrong suffix, or are one under two flags.

    Raises:
        InputError: one of these; the message names its flag.
    """
    kinds = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes} | {*OTHERS}
    flags: dict[str, str] = {}
    for flag, path in files.items():
        if os.path.lexists(path):  # unlike Path.exists, it takes a name that is too long
            raise InputError(f"{flag} {path}: already exists; give another name, or remove it first")
        if not os.path.isdir(path.parent):
            raise InputError(f"{flag} {path}: there is no folder {path.parent}")
        first = flags.setdefault(os.path.realpath(path), flag)
        if first != flag:
            raise InputError(f"{first} and {flag} give the same file {path}; give each its own")
        if path.suffix.lower() in kinds - {*SUFFIXES[flag]}:
            raise InputError(
                f"{flag} {path}: the suffix is that of another format; end its name with {SUFFIXES[flag][0]}"
            )


def write(files: Mapping[str, Path], contents: Mapping[str, bytes]) -> None:
    """Writes the content of each flag into its new file.

    Raises:
        InputError: one of them cannot be written; then none is.
    """
    with ExitStack() as undo:
        for flag, content in contents.items():
            path = files[flag]
            try:
                with replacing(path) as temporary:
                    temporary.write_bytes(content)
                    if os.path.lexists(path):
                        raise InputError(
                            f"{flag} {path}: came into being in the meantime, and is left as it is"
                        )
                undo.callback(path.unlink)
            except OSError as error:
                raise InputError(f"{flag} {path}: cannot be written: {error.strerror or error}") from None
        undo.pop_all()
