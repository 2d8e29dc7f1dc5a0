"""Reads run folders, finished or not."""

import contextlib
import html
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnlab import display
from nnlab.errors import RunFolderError
from nnlab.record import schema
from nnlab.record.folders import is_locked


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder, or the folder of a group of runs, as it is on disk.

    >>> run = open_run("runs/classify/20260101-120000-softmax_digits-s0")      # doctest: +SKIP
    >>> run.summary["metrics"]["test/accuracy"]                                # doctest: +SKIP
    0.9667

    Attributes:
        folder: its path.
        summary: the fields of summary.json, see `nnlab.record.schema`.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def is_group(self) -> bool:
        return "members" in self.summary

    @property
    def status(self) -> str:
        """The summary's status; `killed` where it says running but no process holds the folder."""
        status = str(self.summary["status"])
        held = self.folder / (schema.CONFIG if self.is_group else schema.METRICS)
        return "killed" if status == "running" and not is_locked(held) else status

    def metrics(self, split: str | None = None) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl, of one split or all; a torn last line is left out."""
        rows = read_rows(self.folder / schema.METRICS)
        return [row for row in rows if split is None or row.get("split") == split]

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers behind the figures."""
        path = self.folder / schema.ARRAYS
        if not path.exists():
            return {}
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def config_text(self) -> str:
        return (self.folder / schema.CONFIG).read_text("utf-8")

    def _title(self) -> str:
        kind = f"group of {len(self.summary['seeds'])} seeds" if self.is_group else "run"
        return f"{kind} {self.summary['name']!r} ({self.summary.get('experiment')}, {self.status})"

    def __repr__(self) -> str:
        return f"<{self._title()} in {str(self.folder)!r}>"

    def _repr_html_(self) -> str:
        summary = self.summary
        text = f"<p><b>{html.escape(self._title())}</b><br>{html.escape(str(self.folder))}</p>"
        if summary["metrics"]:
            text += display.table(("metric", "value"), summary["metrics"].items())
        columns = ("sentence", "predicted", "measured", "interval", "verdict")
        claims = [claim for claim in summary.get("claims", []) if isinstance(claim, dict)]
        if claims:
            text += display.table(columns, ([claim.get(key) for key in columns] for claim in claims))
        verdicts = summary.get("verdicts")
        if isinstance(verdicts, dict) and verdicts:
            counts = ((name, ", ".join(f"{n} {v}" for v, n in c.items())) for name, c in verdicts.items())
            text += display.table(("claim", "verdicts"), counts)
        return text


def read_rows(path: Path, end: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a metrics file, up to `end` bytes or a torn last line."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file.read(-1 if end is None else end).splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                return
            if isinstance(row, dict):
                yield row


def open_run(path: str | os.PathLike[str]) -> Run:
    """Reads a run folder. Raises RunFolderError where `path` is none."""
    folder = Path(path)
    if folder.name == schema.SUMMARY:
        folder = folder.parent
    file = folder / schema.SUMMARY
    if not os.path.isdir(folder):  # unlike Path.is_dir, it takes a name that is too long
        raise RunFolderError(f"{path}: no such folder; `nnlab runs list` shows the runs")
    if not os.path.isfile(file):
        raise RunFolderError(f"{path}: is not a run folder: it has no summary.json")
    try:
        summary = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{file}: cannot be read: {error}") from None
    if not schema.is_summary(summary):
        raise RunFolderError(f"{file}: is not the summary of a run")
    return Run(folder, summary)


def find_runs(runs: Path) -> list[Run]:
    """Every run and group of runs under `runs`, oldest first; members of groups are not listed apart."""
    opened = []
    for file in sorted(runs.glob(f"*/*/{schema.SUMMARY}"), key=lambda f: (f.parent.name, str(f))):
        with contextlib.suppress(RunFolderError):
            opened.append(open_run(file.parent))
    return opened
