"""A run of the whole lecture: the runs inside it, and the sentences that they were held against."""

import contextlib
from dataclasses import dataclass
from typing import Any

from nnlab.errors import RunFolderError
from nnlab.page.data import own_file
from nnlab.record import Run, open_run

RUNS = 200
"""Inside one lecture."""


@dataclass(frozen=True)
class Point:
    """A sentence of the lecture.

    Attributes:
        place: its section, "5.3".
        sentence: a claim, or what was said.
        holds: what holds instead, where careful measurement refutes or limits it.
        hypotheses: under which what was said does hold.
        claim: the name of the run's claim whose measurement it is held against.
        run: the folder's name of the run that measured it.
        predicted, measured, interval: as the summary has them.
        verdict: of the sentence.
        refuted: whether the sentence is listed as one that does not hold as it was said.
    """

    place: str
    sentence: str
    holds: str
    hypotheses: str
    claim: str
    run: str
    predicted: Any
    measured: Any
    interval: Any
    verdict: str
    refuted: bool


def is_lecture(run: Run) -> bool:
    return run.summary.get("experiment") == "lecture"


def expand(run: Run) -> list[Run]:
    """The runs `runs/<experiment>/<folder>` inside a run of the lecture, oldest first; another as it is."""
    if not is_lecture(run):
        return [run]
    found = []
    for file in sorted(run.folder.glob("runs/*/*/summary.json"), key=lambda f: f.parent.name)[:RUNS]:
        if own_file(run, str(file.relative_to(run.folder))) is not None:
            with contextlib.suppress(RunFolderError):
                found.append(open_run(file.parent))
    return found


def points(run: Run) -> list[Point]:
    """The rows of a lecture's table."""
    rows = run.summary.get("results", []) if is_lecture(run) else []
    return [_point(row) for row in rows if isinstance(row, dict)]


def _point(row: dict[str, Any]) -> Point:
    def text(key: str) -> str:
        return "" if row.get(key) is None else str(row[key])

    hypotheses = row.get("hypotheses")
    return Point(
        place=text("section"),
        sentence=text("sentence") or text("claim"),
        holds=text("holds"),
        hypotheses="; ".join(map(str, hypotheses)) if isinstance(hypotheses, list) else "",
        claim=text("against") or text("claim"),
        run=text("run").replace("\\", "/").rstrip("/").rpartition("/")[2],
        predicted=row.get("predicted"),
        measured=row.get("measured"),
        interval=row.get("interval"),
        verdict=text("verdict") or "–",
        refuted=row.get("refuted") is True,
    )
