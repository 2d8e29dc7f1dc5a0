"""A run of the whole lecture: the runs inside it, and the sentences that they were held against."""

from dataclasses import dataclass
from typing import Any

from nnlab.display import spoken
from nnlab.errors import RunFolderError
from nnlab.files import is_temporary
from nnlab.page.data import FILE_BYTES
from nnlab.page.numbers import as_text
from nnlab.record import Run, open_run, schema

RUNS = 200  # inside one lecture


@dataclass(frozen=True)
class Glance:
    """A row of the table at the top of the page: a sentence and its verdict.

    Attributes:
        place: its section, "5.3".
        sentence: a claim, or a sentence of the lecture.
        predicted, measured, interval: as text.
        verdict: PASS, FAIL, INCONCLUSIVE, or the word of an older run.
        address: of its card on the page, "#…"; empty where there is none.
        holds: the statement that holds instead, where careful measurement refutes or limits the sentence.
        hypotheses: under which the sentence does hold.
        said: the section of the lecture where it stands, or "often said".
        listed: True where the sentence is listed as refuted.
        claim: the name of the run's claim whose measurement it is held against.
        run: the folder's name of the run that measured it.
    """

    place: str
    sentence: str
    predicted: str
    measured: str
    interval: str
    verdict: str
    address: str = ""
    holds: str = ""
    hypotheses: str = ""
    said: str = ""
    listed: bool = False
    claim: str = ""
    run: str = ""

    @property
    def source(self) -> str:
        """Returns who says the sentence, as the beginning of one."""
        place = self.said or self.place
        return f"{place} says" if place[-1:].isdigit() else place.capitalize()

    @property
    def refuted(self) -> bool:
        """True where the sentence is listed as refuted, and was."""
        return self.listed and self.verdict == "FAIL"


def is_lecture(run: Run) -> bool:
    return run.summary.get("experiment") == "lecture"


def is_beyond(run: Run) -> bool:
    """Returns whether a run of the lecture is about what is beyond it, in the sections "B.1" to "B.8"."""
    places = [glance.place for glance in glances(run)]
    return bool(places) and all(place.startswith("B.") for place in places)


def expand(run: Run) -> list[Run]:
    """The runs `runs/<experiment>/<folder>` inside a run of the lecture, oldest first; another as it is."""
    return _inside(run)[0] if is_lecture(run) else [run]


def left_out(run: Run) -> list[str]:
    """A sentence on each run inside a run of the lecture that cannot be read."""
    return _inside(run)[1] if is_lecture(run) else []


def _inside(run: Run) -> tuple[list[Run], list[str]]:
    inner, faults = [], []
    for file in sorted(run.folder.glob(f"runs/*/*/{schema.SUMMARY}"), key=lambda f: f.parent.name)[:RUNS]:
        if is_temporary(file.parent.name):
            continue
        if run.file(str(file.relative_to(run.folder)), FILE_BYTES) is None:
            continue  # a link that leads elsewhere is no run of this lecture
        try:
            inner.append(open_run(file.parent))
        except RunFolderError as error:
            faults.append(f"left out: {error}")
    return inner, faults


def glances(run: Run) -> list[Glance]:
    """The rows of a lecture's table."""
    rows = run.summary.get("results", []) if is_lecture(run) else []
    return [_glance(row) for row in rows if isinstance(row, dict)]


def _glance(row: dict[str, Any]) -> Glance:
    def text(key: str) -> str:
        return "" if row.get(key) is None else str(row[key])

    hypotheses = row.get("hypotheses")
    return Glance(
        place=text("section"),
        sentence=spoken(text("sentence") or text("claim")),
        predicted=as_text(row.get("predicted")),
        measured=as_text(row.get("measured")),
        interval=as_text(row.get("interval")),
        verdict=text("verdict") or "–",
        holds=spoken(text("holds")),
        hypotheses=spoken("; ".join(map(str, hypotheses))) if isinstance(hypotheses, list) else "",
        said=text("place"),
        listed=row.get("refuted") is True,
        claim=text("against") or text("claim"),
        run=text("run").replace("\\", "/").rstrip("/").rpartition("/")[2],
    )
