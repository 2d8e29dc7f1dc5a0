"""Finds run folders: all of those under a folder of runs, or the one that a few words name."""

import difflib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nnlab.errors import RunFolderError
from nnlab.files import is_temporary
from nnlab.record import schema
from nnlab.record.reading import Run, open_run

LAST = "last"
"""The word for the run that began last."""
LISTED = 10
"""Candidates that a message lists."""


def run_folders(runs: Path, *, links: bool = True) -> list[Path]:
    """Returns the folders under `runs` that hold a summary, by their names, which begin with the time.

    Those are the folders of runs and of groups of runs, in the folder of their experiment or moved to `runs`
    itself; members of groups are not among them.

    Args:
        links: whether a link to a folder counts as one.
    """
    folders: list[tuple[str, str]] = []
    for entry in _folders(os.fspath(runs), links):
        inside = [entry] if _is_run(entry) else filter(_is_run, _folders(entry[1], links))
        folders += inside
    return [Path(folder) for _, folder in sorted(folders)]


def _is_run(entry: tuple[str, str]) -> bool:
    """Tells whether the folder of this name and path holds a summary."""
    return os.path.isfile(f"{entry[1]}/{schema.SUMMARY}")


def _folders(parent: str, links: bool) -> list[tuple[str, str]]:
    """Name and path of the folders in a folder; none where it cannot be read."""
    try:
        with os.scandir(parent) as entries:
            folders = [(e.name, e.path) for e in entries if e.is_dir(follow_symlinks=links)]
        return [(name, path) for name, path in folders if not is_temporary(name)]
    except OSError:
        return []


def find_runs(runs: Path) -> list[Run]:
    """Every run and group of runs under `runs`, oldest first; members of groups are not listed apart."""
    return [run for run in map(opened, run_folders(runs)) if isinstance(run, Run)]


def opened(folder: Path) -> Run | RunFolderError:
    """Returns the run of a folder, or the error that says why it cannot be read."""
    try:
        return open_run(folder)
    except RunFolderError as error:
        return error


def find_run(text: str | os.PathLike[str], runs: Path = Path("runs")) -> Run:
    """Returns the run that a path or a name stands for.

    In this order: a path that exists; a path below `runs`; `last`, the run that began last; the name of a
    folder; the name of a config, of whose runs the last one counts; a part of the folder's name that no
    other has. `NAME/s0` is the member s0 of the group NAME.

    Raises:
        RunFolderError: there is no such run, several could be meant, or it cannot be read.
    """
    name = os.fspath(text)
    for path in (Path(name), runs / name):
        if os.path.isfile(path / schema.SUMMARY):
            return open_run(path)
    if not name or os.path.lexists(name):
        return open_run(name)
    head, slash, member = name.rstrip("/").rpartition("/")
    if slash and not os.path.isabs(name):
        folder = _named(head, run_folders(runs), runs) / member
        if os.path.isdir(folder):
            return open_run(folder)
    if slash:
        return open_run(name)
    return open_run(_named(name, run_folders(runs), runs))


def _named(name: str, folders: Sequence[Path], runs: Path) -> Path:
    """The folder among `folders` that a name stands for. Raises RunFolderError."""
    if name == LAST and folders:
        return max(folders, key=_began)
    exact = [folder for folder in folders if folder.name == name]
    of_config = exact or [folder for folder in folders if _config_name(folder) == name]
    if of_config:
        return max(of_config, key=_began)
    parts = [folder for folder in folders if name and name in folder.name]
    if len(parts) == 1:
        return parts[0]
    if parts:
        listed = "".join(f"\n  {folder}" for folder in parts[-LISTED:])
        some = f", the last {LISTED} of them" if len(parts) > LISTED else ""
        problem = f"{len(parts)} runs have that in their names; write more of it{some}:{listed}"
        raise RunFolderError(f"{name}: {problem}")
    near = difflib.get_close_matches(name, {_config_name(folder) or "" for folder in folders}, n=1)
    hint = f"; did you mean {near[0]}?" if near and near[0] else ""
    raise RunFolderError(
        f"{name}: no such folder, and no run under {runs} has that name{hint} "
        "(`nnlab runs list` shows the runs)"
    )


def _config_name(folder: Path) -> str | None:
    run = opened(folder)
    return str(run.summary["name"]) if isinstance(run, Run) else None


def _began(folder: Path) -> tuple[datetime, int, str]:
    """The time at which a run began, of its summary or its folder's name, and that of its config file."""
    run = opened(folder)
    text = str(run.summary.get("started")) if isinstance(run, Run) else ""
    try:
        began = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        try:
            began = datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").astimezone(UTC)
        except (ValueError, OverflowError):
            began = datetime.fromtimestamp(0, UTC)
    try:
        written = os.stat(folder / schema.CONFIG).st_mtime_ns
    except OSError:
        written = 0
    return began, written, folder.name
