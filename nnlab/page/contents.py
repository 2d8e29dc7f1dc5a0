"""The contents that chapters give a page: sections of the lecture, and the place of each run in them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.page.data import arrays_of, config_of
from nnlab.page.widget import Arrays, Widget
from nnlab.record import Run

Builder = Callable[[Run, Arrays], Widget]


@dataclass(frozen=True)
class Section:
    """A part of the lecture.

    Attributes:
        number: its place.
        title: its name.
        sentence: its subject.
    """

    number: int
    title: str
    sentence: str


@dataclass(frozen=True)
class Idea:
    """One idea of the lecture: a screen of the slides, a paragraph of the notes.

    Attributes:
        name: its address on the page, "weights-barely-move"; unique among all chapters.
        place: where the lecture has it, "5.3".
        sentence: what is found, as the title; at most `LONGEST_TITLE` characters.
        figure: an interactive figure that needs no run; or "RUN:NAME", a run of the lecture with the kind of
            one of its interactive figures, or else the name of one of its pictures; empty for none.
        formula: in symbols, one line as on the board, which `nnlab.page.formula` typesets.
        claims: "RUN:PATTERN", the claims that decide it, with * for any letters.
        text: one or two sentences more, for the notes and for the speaker.
    """

    name: str
    place: str
    sentence: str
    figure: Widget | str = ""
    formula: str = ""
    claims: tuple[str, ...] = ()
    text: str = ""


LONGEST_TITLE = 90
"""Characters of an idea's sentence that stand on a slide in two lines."""


@dataclass(frozen=True)
class Exercise:
    """A question at the end of a section, with its solution.

    Attributes:
        place: where the lecture has its subject, "5.3".
        question: to the students.
        solution: in words; each "{RUN:CLAIM}" in it is replaced by the value that the run measured.
    """

    place: str
    question: str
    solution: str


OTHERS = Section(7, "Further experiments", "")
BEYOND = Section(8, "Beyond the lecture", "Statements of research, decided like those of the lecture.")
"""The section of places "B.1" to "B.8"."""


@dataclass(frozen=True)
class ExperimentPage:
    """The place of one experiment's runs on a page.

    Attributes:
        title: above them.
        section: the number of their section, or a function from the section `model` of a run's config to it;
            experiments of the second kind come last in each section.
        widgets: make interactive figures from a run and its arrays, or raise where the run has no such
            numbers.
    """

    title: str
    section: int | Callable[[Mapping[str, Any]], int]
    widgets: tuple[Builder, ...] = ()


@dataclass(frozen=True)
class ChapterPage:
    """The part of a page that a chapter gives.

    Attributes:
        sections: of the lecture.
        experiments: in the lecture's order, by their name in a summary.
        scripts: the JavaScript files that draw its widgets.
        ideas: of its sections, in the lecture's order.
        exercises: of its sections.
        misprints: section of the slides -> what is misprinted there.
        source: the lecture's title, author and place.
        faults: (name of a run, name of a claim) -> the planted faults that the claim catches, in words.
    """

    sections: tuple[Section, ...] = ()
    experiments: Mapping[str, ExperimentPage] = field(default_factory=dict)
    scripts: tuple[Path, ...] = ()
    ideas: tuple[Idea, ...] = ()
    exercises: tuple[Exercise, ...] = ()
    misprints: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    faults: Callable[[str, str], Sequence[str]] | None = None


class Contents:
    """The parts of all chapters, in the order of the lecture.

    Attributes:
        sections: the lecture's, in its order.
        scripts: of all widgets.
        ideas: in the lecture's order.
        exercises: in the lecture's order.
        misprints: of the slides, by section.
        source: the lecture's title, author and place; empty where no chapter says it.
    """

    def __init__(self, chapters: Sequence[ChapterPage]) -> None:
        sections = [section for chapter in chapters for section in chapter.sections]
        self.sections = sorted(sections, key=lambda section: section.number)
        self.ideas = sorted((idea for chapter in chapters for idea in chapter.ideas), key=self._order)
        self.exercises = [exercise for chapter in chapters for exercise in chapter.exercises]
        self.source = next((chapter.source for chapter in chapters if chapter.source), "")
        self.scripts = [script for chapter in chapters for script in chapter.scripts]
        self.misprints = {where: text for chapter in chapters for where, text in chapter.misprints.items()}
        self._faults = [chapter.faults for chapter in chapters if chapter.faults is not None]
        self._experiments = {name: page for chapter in chapters for name, page in chapter.experiments.items()}

    def faults(self, run: str, claim: str) -> list[str]:
        """Returns the planted faults that a claim of a run of this name catches, in words."""
        return [words for faults in self._faults for words in faults(run, claim)]

    def _order(self, idea: Idea) -> tuple[int, int]:
        """The place of an idea: 5.10 after 5.9; those of one place stay in the order of their chapter."""
        return self.numbered(idea.place).number, int(idea.place.partition(".")[2] or 0)

    def page(self, experiment: object) -> ExperimentPage:
        """The place of an experiment's runs; one that no chapter knows comes after the lecture."""
        return self._experiments.get(str(experiment)) or ExperimentPage(str(experiment), OTHERS.number)

    def place(self, experiment: str) -> tuple[bool, int]:
        """A sort key of experiments within a section; one that no chapter knows comes last."""
        order = list(self._experiments)
        if experiment not in order:
            return True, len(order)
        return callable(self._experiments[experiment].section), order.index(experiment)

    def numbered(self, number: object) -> Section:
        """The section of "5.3", "B.1" or 5."""
        head = str(number).partition(".")[0].replace("B", str(BEYOND.number))
        sections = (*self.sections, BEYOND)
        return next((section for section in sections if str(section.number) == head), OTHERS)

    def section_of(self, run: Run) -> Section:
        """The section of a run."""
        section = self.page(run.summary.get("experiment")).section
        return self.numbered(section(_model(run)) if callable(section) else section)

    def widgets_of(self, run: Run, arrays: Arrays | None = None) -> list[Widget]:
        """The interactive figures for which a run holds the numbers in the form that they need.

        Args:
            run: the run.
            arrays: its arrays; read from its folder if left out.
        """
        if arrays is None:
            arrays = arrays_of(run) or {}
        widgets = []
        for build in self.page(run.summary.get("experiment")).widgets:
            try:
                with np.errstate(all="ignore"):  # what is not finite is refused by `numbers`
                    widget = build(run, arrays)
                json.dumps(widget.data, allow_nan=False)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
                continue  # an older run, or one of another kind, does not hold what this figure shows
            widgets.append(widget)
        return widgets


def _model(run: Run) -> Mapping[str, Any]:
    """The model section of a run's config; empty where that cannot be read."""
    try:
        model = config_of(run).get("model")
    except ValueError:
        return {}
    return model if isinstance(model, dict) else {}
