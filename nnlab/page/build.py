"""Builds the page. All content of a run folder is text on it: Jinja escapes all of it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from nnlab.errors import ExperimentError, InputError, RunFolderError
from nnlab.files import DISK_FULL
from nnlab.page import data, expressions
from nnlab.page.claims import VERDICTS, WIDTH, Card, cards
from nnlab.page.contents import ChapterPage, Contents, Section
from nnlab.page.curves import Line, curves_widget
from nnlab.page.glossary import GLOSSARY
from nnlab.page.lecture import Glance, expand, glances, is_beyond, is_lecture, left_out
from nnlab.page.numbers import as_text, clean
from nnlab.page.screens import Figure, Names, Screen, Solved, glossed, screens, solved
from nnlab.page.widget import Widget
from nnlab.record import Run, replace_file, schema

TEMPLATES = Path(__file__).parent / "templates"
STYLES = [TEMPLATES / name for name in ("page.css", "widgets.css", "slides.css")]
SCRIPTS = [
    TEMPLATES / f"{name}.js"
    for name in (
        "page",
        "parts",
        "diagram",
        "guess",
        "mistakes",
        "expressions",
        "curves",
        "descent",
        "reading",
    )
]
SPEAKER = 8  # claims in the speaker's notes of a slide
EXERCISES = 6  # on a slide at most
ROWS, COLUMNS = 200, 40  # of a table; the others stay in the run folder


@dataclass(frozen=True)
class Entry:
    """A run, or a group of runs over seeds, on the page.

    Attributes:
        label: its folder's name.
        name: of the run.
        folder: its path.
        status: finished, diverged, …
        seconds: that it took.
        metrics: name -> value, or mean and interval over seeds.
        claims: (seed, claim) as the summaries have them; the seed is empty outside of groups.
        results: rows of the experiment's table.
        curves: see `nnlab.page.data.curves`; of a group those of its members, by seed.
        widgets, pictures, tables: of a group those of its first member.
        config: the text of config.yaml.
        command: that runs it again.
        notes: sentences about what is missing.
    """

    label: str
    name: str
    folder: str
    status: str
    seconds: float | None
    metrics: dict[str, Any]
    claims: list[tuple[str, dict[str, Any]]]
    results: list[dict[str, Any]]
    curves: dict[str, dict[str, list[float]]]
    curves_left_out: int
    widgets: list[Widget]
    pictures: list[data.Picture]
    tables: list[data.Table]
    config: Markup
    command: str
    notes: list[str]

    @property
    def columns(self) -> list[str]:
        """The columns of the table of results."""
        return list(dict.fromkeys(key for row in self.results for key in row))[:COLUMNS]


@dataclass(frozen=True)
class RunGroup:
    """All runs of one experiment, side by side.

    Attributes:
        key: its id on the page.
        title: above it.
        experiment: of its runs.
        entries: its runs.
        cards: their claims.
        figures: theirs, the interactive ones first.
    """

    key: str
    title: str
    experiment: str
    entries: list[Entry]
    cards: list[Card]
    figures: list[Figure]

    @property
    def metric_names(self) -> list[str]:
        """The metrics of all runs."""
        return list(dict.fromkeys(name for entry in self.entries for name in entry.metrics))[:ROWS]

    def without(self, cards: set[str], figures: set[str]) -> "RunGroup":
        """The group without the cards and figures that stand elsewhere."""
        return replace(
            self,
            cards=[card for card in self.cards if card.key not in cards],
            figures=[figure for figure in self.figures if figure.name not in figures],
        )


@dataclass(frozen=True)
class Part:
    """A section of the lecture: its ideas and exercises, and the runs that belong to it."""

    section: Section
    chapters: list[RunGroup]
    screens: list[Screen]
    exercises: list[Solved]


def build_page(runs: Sequence[Run], chapters: Sequence[ChapterPage], *, title: str = "nnlab") -> str:
    """One HTML document of run folders, in the lecture's order, that needs no network.

    A run of the whole lecture is shown as the runs inside it, below a table of the lecture's sentences.

    Args:
        runs: finished or not; a note stands in the place of anything that a folder lacks.
        chapters: their sections, titles and interactive figures.
        title: of the page.

    Raises:
        RunFolderError: a summary is a link that leads out of its run folder.
    """
    from nnlab.theory import CONFIDENCE, LEVEL  # imports SciPy, for which the glossary need not wait

    for run in runs:
        if run.file(schema.SUMMARY, data.FILE_BYTES) is None:
            raise RunFolderError(
                f"{run.folder / schema.SUMMARY}: leads out of the run folder, or is too large"
            )
    contents = Contents(chapters)
    lecture = any(is_lecture(run) for run in runs)
    whole = any(is_lecture(run) and not is_beyond(run) for run in runs)
    names = Names()
    parts = _parts([inner for run in runs for inner in expand(run)], contents, whole, names)
    sentences = [sentence for run in runs for sentence in glances(run)]
    addressed = _addressed(sentences, parts)
    rows = addressed or list(_claims(parts))
    by_address = {f"#{card.key}": card for group in _groups(parts) for card in group.cards}
    random = sum(line.confidence == LEVEL for card in by_address.values() for line in card.lines)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_safe,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["glossed"] = glossed(list(GLOSSARY))
    return environment.get_template("page.html").render(
        title=title,
        whole=whole,
        source=contents.source if lecture else "",
        parts=_with_ideas(parts, contents, addressed, names, whole=whole, lecture=lecture),
        glances=rows,
        notes=[
            *(_state(run) for run in runs if is_lecture(run) and run.status != "finished"),
            *(sentence for run in runs for sentence in left_out(run)),
        ],
        counts=[(verdict, sum(g.verdict == verdict and not g.refuted for g in rows)) for verdict in VERDICTS],
        refuted=sum(g.refuted for g in rows),
        evidence=[(row, by_address[row.address]) for row in addressed if not row.listed and row.address],
        random=random,
        level=LEVEL,
        none_fails=f"{CONFIDENCE**random:.2%}",
        misprints=contents.misprints if whole else {},
        glossary=GLOSSARY,
        style=Markup("".join(file.read_text("utf-8") for file in STYLES)),
        scripts=[Markup(text) for text in scripts(contents.scripts)],
        as_text=as_text,
        width=WIDTH,
        speaker=SPEAKER,
        even=lambda count: -(-count // max(1, -(-count // EXERCISES))),
        rows=ROWS,
        signs=VERDICTS,
    )


def scripts(chapters: Iterable[Path]) -> list[str]:
    """Returns the page's scripts and those of chapters; the tables of expressions follow the frame."""
    frame, *others = (file.read_text("utf-8") for file in (*SCRIPTS, *chapters))
    return [frame, expressions.script(), *others]


def _safe(value: Any) -> Any:
    """Cleans text of a run folder before the page prints it; our own markup is not touched."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """A name of code that a line may end in, behind a dot or an underscore."""
    text = str(escape(clean(name)))
    return Markup(text.replace(".", ".<wbr>").replace("_", "_<wbr>"))


def _groups(parts: Iterable[Part]) -> Iterable[RunGroup]:
    return (group for part in parts for group in part.chapters)


def _parts(runs: Iterable[Run], contents: Contents, whole: bool, names: Names) -> list[Part]:
    """The sections that have runs, or all of them where the `whole` lecture is shown."""
    figures, tables = data.Room(data.FIGURE_BYTES), data.Room(data.TABLE_BYTES)
    entries: dict[Section, dict[str, list[Entry]]] = {section: {} for section in contents.sections if whole}
    for run in runs:
        experiment, whole_entry = str(run.summary.get("experiment")), _entry(run, contents, figures, tables)
        for section, entry in _over_sections(run, contents, whole_entry):
            entries.setdefault(section, {}).setdefault(experiment, []).append(entry)
    parts = []
    for section in sorted(entries, key=lambda s: s.number):
        experiments = sorted(entries[section], key=contents.place)
        chapters = [
            _chapter(f"s{section.number}x{i}", contents, experiment, entries[section][experiment], names)
            for i, experiment in enumerate(experiments)
        ]
        parts.append(Part(section, chapters, [], []))
    return parts


def _with_ideas(
    parts: list[Part],
    contents: Contents,
    sentences: list[Glance],
    names: Names,
    *,
    whole: bool,
    lecture: bool,
) -> list[Part]:
    """The sections with their ideas, whose figures and claims no longer stand with the runs."""
    figures = [figure for group in _groups(parts) for figure in group.figures]
    cards = [card for group in _groups(parts) for card in group.cards]
    refuted = [sentence for sentence in sentences if sentence.holds]
    found = screens(contents.ideas, figures, cards, refuted, names, whole)
    used = {screen.figure.name for screen in found if screen.figure}
    told = {card.key for screen in found for card in screen.cards}
    return [
        replace(
            part,
            chapters=[group.without(told, used) for group in part.chapters],
            screens=[screen for screen in found if contents.numbered(screen.place) == part.section],
            exercises=[
                solved(exercise, cards)
                for exercise in contents.exercises
                if lecture and contents.numbered(exercise.place) == part.section
            ],
        )
        for part in parts
    ]


def _over_sections(run: Run, contents: Contents, entry: Entry) -> Iterable[tuple[Section, Entry]]:
    """Puts a run in its section; one of the slides in all of theirs, each with its own claims."""
    rows = {str(row.get("claim")): row for row in entry.results if "section" in row}
    places = {name: contents.numbered(row["section"]) for name, row in rows.items()}
    if not rows:
        return [(contents.section_of(run), entry)]
    parts = []
    for section in dict.fromkeys(places.values()):
        claims = [pair for pair in entry.claims if places.get(str(pair[1].get("name"))) == section]
        names = {row.get("figure") for name, row in rows.items() if places[name] == section}
        pictures = [picture for picture in entry.pictures if picture.name in names]
        parts.append((section, replace(entry, claims=claims, pictures=pictures, results=[], tables=[])))
    return parts


def _chapter(key: str, contents: Contents, experiment: str, entries: list[Entry], names: Names) -> RunGroup:
    found, figures = [], []
    for i, name in enumerate(dict.fromkeys(entry.name for entry in entries)):
        alike = [entry for entry in entries if entry.name == name]
        several = len(alike) > 1
        measured = [
            (", ".join(filter(None, (entry.label if several else "", seed))), claim)
            for entry in alike
            for seed, claim in entry.claims
        ]
        found += [
            replace(card, faults=contents.faults(name, card.name))
            for card in cards(name, measured, f"{key}n{i}")
        ]
        shown: list[Widget | data.Picture] = _interactive(alike)
        shown += [picture for entry in alike for picture in entry.pictures]
        figures += [names.figure(name, figure) for figure in shown]
    figures.sort(key=lambda figure: figure.widget is None)
    return RunGroup(key, contents.page(experiment).title, experiment, entries, found, figures)


def _interactive(entries: list[Entry]) -> list[Widget | data.Picture]:
    """The interactive figures of runs of one name: those of each, then the curves of all on one axis."""
    several = len(entries) > 1
    widgets: list[Widget | data.Picture] = [
        replace(widget, title=f"{widget.title} ({entry.label})") if several else widget
        for entry in entries
        for widget in entry.widgets
    ]
    lines: dict[str, list[Line]] = {}
    for entry in entries:
        prefix = f"{entry.label}: " if several else ""
        for metric, splits in entry.curves.items():
            lines.setdefault(metric, []).extend((prefix + split, flat) for split, flat in splits.items())
    if lines:
        widgets.append(curves_widget(lines, sum(entry.curves_left_out for entry in entries)))
    return widgets


def _claims(parts: list[Part]) -> Iterable[Glance]:
    for part in parts:
        for chapter in part.chapters:
            for card in chapter.cards:
                for line in card.lines:
                    label = f" ({line.label})" if line.label else ""
                    predicted, measured, interval = map(line.text, ("predicted", "measured", "interval"))
                    yield Glance(
                        str(part.section.number), card.sentence + label,
                        predicted, measured, interval, line.verdict, f"#{card.key}",
                    )  # fmt: skip


def _addressed(sentences: list[Glance], parts: list[Part]) -> list[Glance]:
    """The lecture's sentences, each with the address of the card of its claim."""
    keys: dict[tuple[str, str], str] = {}
    for chapter in (chapter for part in parts for chapter in part.chapters):
        for card in chapter.cards:
            for line in card.lines:
                entries = [entry for entry in chapter.entries if entry.name == card.run]
                labels = [entry.label for entry in entries if line.label in ("", entry.label)]
                keys.update({(label, card.name): f"#{card.key}" for label in labels})
    return [replace(sentence, address=keys.get((sentence.run, sentence.claim), "")) for sentence in sentences]


def _entry(run: Run, contents: Contents, figures: data.Room, tables: data.Room) -> Entry:
    summary, notes = run.summary, list[str]()
    members, faults = run.members()
    metrics = list[data.Metrics | None]()
    first = members[:1]
    curves: dict[str, dict[str, list[float]]] = {}
    for one in members:
        prefix = f"seed {one.summary.get('seed')} " if run.is_group else ""
        read = data.metrics_of(one)
        metrics.append(read)
        if read is None or read.unreadable:
            lines = "metrics.jsonl" if read is None else f"{read.unreadable:,} lines of metrics.jsonl"
            faults.append(f"{one.folder.name}: {lines} cannot be read")
        for metric, splits in (read.curves() if read else {}).items():
            curves.setdefault(metric, {}).update({prefix + split: points for split, points in splits.items()})
    pictures = [picture for one in first for picture in data.pictures(one, figures)]
    if all(picture.note for picture in pictures):
        notes.append("there are no figures")
    if run.status != "finished":
        notes.append(_state(run))
    notes += [*faults, *(f"warning: {text}" for text in summary.get("warnings", []))]
    notes += [text for one in first for text in one.summary.get("notes", [])]
    seconds = summary.get("wall_seconds")
    return Entry(
        label=run.folder.name,
        name=str(summary.get("name")),
        folder=str(run.folder),
        status=run.status,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        metrics=summary["metrics"],
        claims=[
            (f"seed {one.summary.get('seed')}" if run.is_group else "", claim)
            for one in members
            for claim in one.summary.get("claims", [])
        ],
        results=summary.get("results", []),
        curves=curves,
        curves_left_out=sum(len(read.left_out) for read in metrics if read is not None),
        widgets=[widget for one in first for widget in _widgets(one, contents, notes)],
        pictures=pictures,
        tables=[table for one in first for table in data.tables(one, metrics[0], tables)],
        config=_config(run, notes),
        command=f"nnlab train --config {shlex.quote(str(run.folder / schema.CONFIG))}"
        + (f" --seeds {len(summary['seeds'])}" if run.is_group else ""),
        notes=notes,
    )


def _state(run: Run) -> str:
    return f"the run is {run.status}: {run.summary.get('message') or 'this is what there is so far'}"


def _config(run: Run, notes: list[str]) -> Markup:
    try:
        if run.file(schema.CONFIG, data.CONFIG_BYTES) is not None:
            return escape(clean(run.config_text(), data.CONFIG_BYTES))
    except (OSError, UnicodeDecodeError):
        pass
    notes.append("config.yaml cannot be read")
    return Markup()


def _widgets(run: Run, contents: Contents, notes: list[str]) -> list[Widget]:
    """The interactive figures of a run, as far as its numbers have the form that they need."""
    arrays = data.arrays_of(run)
    if arrays is None:
        notes.append("arrays.npz cannot be read")
        return []
    try:
        return contents.widgets_of(run, arrays)
    except Exception as error:  # an older run, or one that was changed by hand: the page shows the rest
        notes.append(f"its interactive figures cannot be drawn: {type(error).__name__}")
        return []


def write_page(
    runs: Sequence[Run], chapters: Sequence[ChapterPage], out: Path, title: str | None = None
) -> None:
    """Writes the page of run folders to a file.

    Raises:
        ExperimentError: the disk is full.
        InputError: the file cannot be written for another reason.
    """
    if title is None and len(runs) == 1 and is_lecture(runs[0]):
        subject = "beyond the lecture" if is_beyond(runs[0]) else "the lecture"
        title = f"Feed-forward networks: {subject}, held against measurements"
    page = build_page(
        runs, chapters, title=title or "nnlab: " + ", ".join(run.folder.name for run in runs[:3])
    )
    try:
        replace_file(out, page.encode("utf-8", "replace"))
    except OSError as error:
        if error.errno in DISK_FULL:
            folders = shlex.join(str(run.folder) for run in runs)
            raise ExperimentError(
                f"{out}: the disk is full; free some space, then write the page: nnlab report {folders}"
            ) from None
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
