"""Folders of data sets and caches on this machine."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for nnlab: `$XDG_CACHE_HOME/nnlab`, else `~/.cache/nnlab`.

    The XDG base directory specification says that a relative `XDG_CACHE_HOME` is to be ignored.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "nnlab"


def data_root(root: str | None) -> Path:
    """The folder that holds the data sets: `root`, else `$NNLAB_DATA`, else `cache_folder()`."""
    chosen = root or os.environ.get("NNLAB_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder()
