"""The run folders that are shown: a list of them, their curves as they grow, how their configs differ.

All of it is read, and nothing written. What a folder holds was written by anyone: it is text and numbers, and
a link is followed nowhere.
"""

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from nnlab.errors import NnlabError, RunFolderError
from nnlab.lab.comparing import claims_that_pass, differing, flat, headline
from nnlab.lab.config import source_of_run
from nnlab.live.tail import Tail
from nnlab.page.data import CONFIG_BYTES
from nnlab.page.numbers import as_text, clean, is_number
from nnlab.record import Run, schema
from nnlab.record.finding import run_folders
from nnlab.record.reading import open_run, row_of

FRESH = 0.5
"""Seconds for which a list holds: many who ask at once are answered by one look at the folders."""
COMPARED = 20
"""Runs that are compared at once."""
READING = 0.25
"""Seconds that one answer reads: of a file that needs longer the next answers show more."""
SEEDS = 40
"""Runs of a group whose curves are drawn."""
TAILS = COMPARED * SEEDS
"""Runs whose curves are held in memory."""
NAME, TEXT = 200, 2_000
"""Characters of a name and of a message."""

PLAIN = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
MEMBER = re.compile(r"s\d+(-\d+)?", re.ASCII)
DAMAGED = "damaged"

Row = dict[str, Any]


class Runs:
    """The runs of a folder of runs; each is known by a key, which is safe in an address.

    Args:
        root: the folder, which may not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._looked = float("-inf")
        self._folders: dict[str, Path] = {}
        self._rows: list[Row] = []
        self._kept: dict[str, tuple[tuple[int, ...], Row]] = {}
        self._tails: OrderedDict[Path, Tail] = OrderedDict()

    def key(self, folder: Path) -> str:
        """The key of a run: its place below the root where that is plain, else a hash of it."""
        place = folder.relative_to(self.root).as_posix()
        return place if PLAIN.fullmatch(place) else f"~{sha256(os.fsencode(place)).hexdigest()[:24]}"

    def folder(self, key: str) -> Path:
        """The folder of a run that is listed; any other key is a KeyError, whatever path it looks like."""
        self.rows()
        folder = self._folders[key]
        if folder.is_symlink() or not folder.is_dir():  # it was another a moment ago
            raise KeyError(key)
        return folder

    def rows(self) -> list[Row]:
        """What a list says of each run, oldest first."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH:
                self._look()
                self._looked = time.monotonic()
            return self._rows

    def _look(self) -> None:
        folders, rows, kept = dict[str, Path](), list[Row](), dict[str, tuple[tuple[int, ...], Row]]()
        for folder in run_folders(self.root, links=False):
            key, stamp = self.key(folder), _stamp(folder / schema.SUMMARY)
            before, row = self._kept.get(key, ((), {}))
            if before != stamp or not stamp:
                row = self._row(key, folder)
            folders[key], kept[key] = folder, (stamp, row)
            rows.append(_as_it_goes(folder, row) if row["status"] == "running" else row)
        self._folders, self._rows, self._kept = folders, rows, kept

    def _row(self, key: str, folder: Path) -> Row:
        """What the summary of a run says; it may be anyone's."""
        names = {"key": key, "folder": clean(folder.name, NAME)}
        try:
            run = opened(folder)
        except RunFolderError as error:
            message = clean(str(error).removeprefix(f"{folder}{os.sep}"), TEXT)
            return names | {"name": names["folder"], "status": DAMAGED, "message": message}
        summary = run.summary
        seconds, metric = summary.get("wall_seconds"), headline(summary)
        passed, claims = claims_that_pass(summary)
        seeds = summary.get("seeds") or [summary["seed"]]
        return names | {
            "name": clean(str(summary["name"]), NAME),
            "experiment": clean(str(summary.get("experiment", "")), NAME),
            "status": summary["status"],
            "started": clean(str(summary.get("started", "")), 40),
            "seconds": seconds if is_number(seconds) else None,
            "seeds": f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0]),
            "metric": "" if metric is None else metric[0],
            "result": "" if metric is None else clean(as_text(metric[1], metric[0]), NAME),
            "value": None if metric is None else _value(metric[1]),
            "passed": passed,
            "claims": claims,
            "message": clean(str(summary.get("message") or ""), TEXT),
            "members": f"{len(summary['members'])} of {len(seeds)} seeds" if run.is_group else "",
        }

    def curves(self, keys: Sequence[str], metric: str | None) -> dict[str, Any]:
        """The curves of several runs, as far as they are read; a run that is not there is left out.

        Args:
            keys: of the runs.
            metric: whose curves; the loss where they have one, if it is left out or none has it.

        Returns:
            `metrics`, all that the runs have; `metric`; `runs`: key -> its lines and how much was read;
            `whole`, False where there is more to read at once.
        """
        with self._reading:
            return self._curves(keys, metric, time.monotonic() + READING)

    def _curves(self, keys: Sequence[str], metric: str | None, deadline: float) -> dict[str, Any]:
        tails: dict[str, list[tuple[str, Tail]]] = {}
        for key in list(dict.fromkeys(keys))[:COMPARED]:
            try:
                tails[key] = self._tails_of(self.folder(key))
            except (KeyError, RunFolderError):
                continue
        whole = True
        for _, tail in (pair for pairs in tails.values() for pair in pairs):
            tail.read(max(deadline - time.monotonic(), 0.0))
            whole &= tail.whole
        metrics = list(dict.fromkeys(m for pairs in tails.values() for _, tail in pairs for m in tail.lines))
        if metric not in metrics:
            metric = "loss" if "loss" in metrics else next(iter(metrics), "")
        return {
            "metrics": metrics,
            "metric": metric,
            "whole": whole,
            "runs": {
                key: {
                    "rows": sum(tail.rows for _, tail in pairs),
                    "unreadable": sum(tail.unreadable for _, tail in pairs),
                    "left_out": any(tail.left_out for _, tail in pairs) or len(pairs) > SEEDS,
                    "lines": [
                        {"seed": seed, "split": split, "points": line.points()}
                        for seed, tail in pairs[:SEEDS]
                        for split, line in tail.lines.get(metric, {}).items()
                    ],
                }
                for key, pairs in tails.items()
            },
        }

    def _tails_of(self, folder: Path) -> list[tuple[str, Tail]]:
        """What reads a run, or the runs of a group, each with its seed."""
        run = opened(folder)
        if not run.is_group:
            return [("", self._tail(folder))]
        seeds = (f"s{seed}" for seed in run.summary["seeds"])
        names = dict.fromkeys([*run.summary["members"], *seeds])  # the one that runs is no member yet
        members = [folder / name for name in names if MEMBER.fullmatch(name)]
        there = [path for path in members if not path.is_symlink() and path.is_dir()]
        return [(path.name.removeprefix("s"), self._tail(path)) for path in there[: SEEDS + 1]]

    def _tail(self, folder: Path) -> Tail:
        tail = self._tails.setdefault(folder, Tail(folder / schema.METRICS))
        self._tails.move_to_end(folder)
        while len(self._tails) > TAILS:
            self._tails.popitem(last=False)
        return tail

    def differences(self, keys: Sequence[str]) -> dict[str, Any]:
        """Where the configs of runs differ, as they were written, and the metrics of each.

        Returns:
            `keys` of the configs; `metrics`, their names; `runs`: key -> the values of both.
        """
        configs: dict[str, Mapping[str, str]] = {}
        summaries: dict[str, Mapping[str, Any]] = {}
        for key in list(dict.fromkeys(keys))[:COMPARED]:
            try:
                run = opened(self.folder(key))
            except (KeyError, RunFolderError):
                continue
            configs[key], summaries[key] = _config(run), run.summary["metrics"]
        different = [key for key in differing(list(configs.values())) if key != "name"][:100]
        metrics = list(dict.fromkeys(name for summary in summaries.values() for name in summary))[:100]
        return {
            "keys": [clean(key, NAME) for key in different],
            "metrics": [clean(name, NAME) for name in metrics],
            "runs": {
                key: {
                    "config": [clean(config.get(name, "–").strip('"'), NAME) for name in different],
                    "metrics": [clean(as_text(summaries[key].get(name), name), NAME) for name in metrics],
                }
                for key, config in configs.items()
            },
        }


def opened(folder: Path) -> Run:
    """Opens the run of a folder below the root.

    Raises:
        RunFolderError: it is damaged, or one of its files is a link.
    """
    for name in (schema.SUMMARY, schema.CONFIG, schema.METRICS):
        if (folder / name).is_symlink():
            raise RunFolderError(f"{folder / name}: is a link, which is not followed")
    return open_run(folder)


def _as_it_goes(folder: Path, row: Row) -> Row:
    """The row of a run that says it is running: whether it is, and how far it came."""
    try:
        status = opened(folder).status
    except RunFolderError:
        return row
    return row | {"status": status, "progress": _progress(folder / schema.METRICS)}


def _progress(metrics: Path) -> str:
    """The last row of a run in a few words."""
    row = _last_row(metrics)
    parts = [f"{key} {as_text(row[key])}" for key in ("epoch", "step") if is_number(row.get(key))]
    parts += [f"loss {as_text(row['loss'])}"] if is_number(row.get("loss")) else []
    return ", ".join(parts)


def _last_row(metrics: Path) -> dict[str, Any]:
    """The last whole row of a file, from its last few kilobytes."""
    try:
        with open(metrics, "rb", opener=_no_link) as file:
            end = os.fstat(file.fileno()).st_size
            file.seek(max(end - 8192, 0))
            lines = file.read(8192).split(b"\n")[:-1]
    except OSError:
        return {}
    return (row_of(lines[-1]) if lines else None) or {}


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _stamp(summary: Path) -> tuple[int, ...]:
    """What changes when a summary is replaced."""
    try:
        about = os.lstat(summary)
    except OSError:
        return ()
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_mode


def _value(metric: Any) -> float | None:
    """The number by which a list sorts a result."""
    mean = metric.get("mean") if isinstance(metric, dict) else metric
    return float(mean) if is_number(mean) else None


def _config(run: Run) -> dict[str, str]:
    """The flat config of a run; empty where it cannot be read."""
    path = run.file(schema.CONFIG, CONFIG_BYTES)
    if path is None:
        return {}
    try:
        return flat(source_of_run(path).values)
    except (NnlabError, TypeError, ValueError, RecursionError):
        return {}
