"""Builds the page. Everything that a run folder says is text here: Jinja escapes all of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from nnlab.errors import RunFolderError
from nnlab.record import Run, open_run
from nnlab.report import data
from nnlab.report.charts import HEIGHT, WIDTH, claim_marks
from nnlab.report.numbers import shown
from nnlab.report.sections import Section, section_of
from nnlab.report.widgets import Widget, standing_widgets, widgets_of

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (TEMPLATES / "page.js", *sorted((TEMPLATES / "widgets").glob("*.js")))
VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE")
ROWS = 200
"""Of a table of results; the others stay in the run folder."""


@dataclass(frozen=True)
class Entry:
    """A run, or a group of runs over seeds, on the page.

    Attributes:
        label: its folder's name, by which it is told from the others.
        folder: where it is.
        status: finished, diverged, …
        seconds: how long it took.
        metrics: name -> value, or mean and interval over seeds.
        claims: as the summary has them; of a group, those of its members, one after the other.
        verdicts: of a group, claim -> verdict -> number of seeds.
        results: rows of the experiment's table.
        curves: see `nnlab.report.data.curves`; of a group those of its members, by seed.
        widgets, pictures, tables: of a group those of its first member.
        config: the text of config.yaml.
        command: that runs it again.
        notes: what is missing, in sentences.
    """

    label: str
    folder: str
    status: str
    seconds: float | None
    metrics: dict[str, Any]
    claims: list[dict[str, Any]]
    verdicts: dict[str, dict[str, int]]
    results: list[dict[str, Any]]
    curves: dict[str, dict[str, list[float]]]
    widgets: list[Widget]
    pictures: list[data.Picture]
    tables: list[data.Table]
    config: str
    command: str
    notes: list[str]


@dataclass(frozen=True)
class Chapter:
    """All runs of one experiment, side by side."""

    key: str
    experiment: str
    entries: list[Entry]

    @property
    def metric_names(self) -> list[str]:
        return list(dict.fromkeys(name for entry in self.entries for name in entry.metrics))

    @property
    def widgets(self) -> list[Widget]:
        """The interactive figures: those of each run, then the curves of all runs on one axis."""
        found = [widget for entry in self.entries for widget in entry.widgets]
        lines: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries:
            prefix = f"{entry.label}: " if len(self.entries) > 1 else ""
            for metric, splits in entry.curves.items():
                for split, points in splits.items():
                    lines.setdefault(metric, []).append({"name": prefix + split, "points": points})
        if lines:
            found.append(Widget("curves", "Over the steps of training", "", lines))
        return found


def build_page(runs: Sequence[Run], *, title: str = "nnlab") -> str:
    """One HTML document of run folders, in the lecture's order, that needs no network.

    Args:
        runs: finished or not; what a folder lacks is said in its place.
        title: of the page.
    """
    figures, tables = data.Room(data.FIGURE_BYTES), data.Room(data.TABLE_BYTES)
    parts: dict[Section, dict[str, list[Entry]]] = {}
    for run in runs:
        chapters = parts.setdefault(section_of(run), {})
        chapters.setdefault(str(run.summary.get("experiment")), []).append(_entry(run, figures, tables))
    contents, number = [], 0
    for section in sorted(parts, key=lambda s: s.number):
        made = []
        for experiment, entries in parts[section].items():
            made.append(Chapter(f"x{number}", experiment, entries))
            number += 1
        contents.append((section, made))
    claims = [
        claim for _, made in contents for chapter in made for e in chapter.entries for claim in e.claims
    ]
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    return environment.get_template("page.html").render(
        title=title,
        contents=contents,
        counts=[(verdict, sum(c.get("verdict") == verdict for c in claims)) for verdict in VERDICTS],
        style=Markup((TEMPLATES / "page.css").read_text("utf-8")),
        scripts=[Markup(file.read_text("utf-8")) for file in SCRIPTS],
        standing=standing_widgets,
        shown=shown,
        marks=claim_marks,
        chart=(WIDTH, HEIGHT),
        rows=ROWS,
        verdicts=VERDICTS,
    )


def _entry(run: Run, figures: data.Room, tables: data.Room) -> Entry:
    summary, notes = run.summary, list[str]()
    members = _members(run, notes)
    claims = [claim for one in members for claim in one.summary.get("claims", []) if isinstance(claim, dict)]
    curves: dict[str, dict[str, list[float]]] = {}
    for one in members:
        prefix = f"seed {one.summary.get('seed')} " if run.is_group else ""
        for metric, splits in data.curves(one).items():
            curves.setdefault(metric, {}).update({prefix + split: points for split, points in splits.items()})
    try:
        config = run.config_text()
    except (OSError, UnicodeDecodeError):
        config = ""
        notes.append("config.yaml cannot be read")
    pictures = data.pictures(members[0], figures) if members else []
    if not pictures:
        notes.append("there are no figures")
    if run.status != "finished":
        notes.append(f"the run is {run.status}: {summary.get('message') or 'this is what there is so far'}")
    verdicts = summary.get("verdicts")
    seconds = summary.get("wall_seconds")
    return Entry(
        label=run.folder.name,
        folder=str(run.folder),
        status=run.status,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        metrics=summary["metrics"],
        claims=claims,
        verdicts=verdicts if isinstance(verdicts, dict) else {},
        results=[row for row in summary.get("results", []) if isinstance(row, dict)],
        curves=curves,
        widgets=widgets_of(members[0]) if members else [],
        pictures=pictures,
        tables=data.tables(members[0], tables) if members else [],
        config=config,
        command=f"nnlab train --config {shlex.quote(str(run.folder / 'config.yaml'))}"
        + (f" --seeds {len(summary['seeds'])}" if run.is_group else ""),
        notes=notes,
    )


def _members(run: Run, notes: list[str]) -> list[Run]:
    """The run itself, or those of a group that can be read."""
    if not run.is_group:
        return [run]
    found = []
    for name in run.summary["members"]:
        if Path(name).name != name:
            notes.append(f"{name}: is no folder of this group")
            continue
        try:
            found.append(open_run(run.folder / name))
        except RunFolderError as error:
            notes.append(str(error))
    return found
