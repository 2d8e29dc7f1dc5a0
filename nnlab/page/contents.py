"""What the chapters put on a page: the sections of the lecture, and where in them a run belongs."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import yaml

from nnlab.page.data import CONFIG_BYTES, own_file
from nnlab.page.widget import Arrays, Widget
from nnlab.record import Run

Builder = Callable[[Run, Arrays], Widget]


@dataclass(frozen=True)
class Section:
    """A part of the lecture.

    Attributes:
        number: its place.
        title: its name.
        sentence: what it is about.
        widgets: interactive figures that need no run.
    """

    number: int
    title: str
    sentence: str
    widgets: tuple[Widget, ...] = field(default=(), compare=False)


OTHERS = Section(7, "Further experiments", "")


@dataclass(frozen=True)
class ExperimentPage:
    """How the runs of one experiment stand on a page.

    Attributes:
        title: what stands above them.
        section: the number of their section, or a function that tells it from the section `model` of a run's
            config; experiments of the second kind come last in each section.
        widgets: make interactive figures from a run and its arrays, or raise where the run has no such
            numbers.
    """

    title: str
    section: int | Callable[[Mapping[str, Any]], int]
    widgets: tuple[Builder, ...] = ()


@dataclass(frozen=True)
class ChapterPage:
    """What a chapter puts on a page.

    Attributes:
        sections: of the lecture.
        experiments: in the lecture's order, by their name in a summary.
        scripts: the JavaScript files that draw its widgets.
    """

    sections: tuple[Section, ...] = ()
    experiments: Mapping[str, ExperimentPage] = field(default_factory=dict)
    scripts: tuple[Path, ...] = ()


class Contents:
    """What all chapters put on a page.

    Attributes:
        sections: the lecture's, in its order.
        scripts: of all widgets.
    """

    def __init__(self, chapters: Sequence[ChapterPage]) -> None:
        sections = [section for chapter in chapters for section in chapter.sections]
        self.sections = sorted(sections, key=lambda section: section.number)
        self.scripts = [script for chapter in chapters for script in chapter.scripts]
        self._experiments = {name: page for chapter in chapters for name, page in chapter.experiments.items()}

    def title(self, experiment: str) -> str:
        """What stands above the runs of an experiment."""
        page = self._experiments.get(experiment)
        return page.title if page else experiment

    def place(self, experiment: str) -> tuple[bool, int]:
        """Where it comes in a section; what no chapter knows comes last."""
        order = list(self._experiments)
        if experiment not in order:
            return True, len(order)
        return callable(self._experiments[experiment].section), order.index(experiment)

    def numbered(self, number: object) -> Section:
        """The section of "5.3" or 5."""
        head = str(number).partition(".")[0]
        return next((section for section in self.sections if str(section.number) == head), OTHERS)

    def section_of(self, run: Run) -> Section:
        """Where a run belongs."""
        page = self._experiments.get(str(run.summary.get("experiment")))
        if page is None:
            return OTHERS
        return self.numbered(page.section(_model(run)) if callable(page.section) else page.section)

    def widgets_of(self, run: Run) -> list[Widget]:
        """The interactive figures for which a run holds the numbers in the form that they need."""
        page = self._experiments.get(str(run.summary.get("experiment")))
        if page is None or not page.widgets:
            return []
        try:
            arrays = run.arrays()
        except (OSError, ValueError, EOFError, LookupError, BadZipFile, zlib.error):  # torn, or not numpy's
            return []
        widgets = []
        for build in page.widgets:
            try:
                widget = build(run, arrays)
                json.dumps(widget.data, allow_nan=False)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
                continue  # an older run, or one of another kind, does not hold what this figure shows
            widgets.append(widget)
        return widgets


def _model(run: Run) -> Mapping[str, Any]:
    """The model section of a run's config; empty where that cannot be read."""
    if own_file(run, "config.yaml", CONFIG_BYTES) is None:
        return {}
    try:
        config = yaml.safe_load(run.config_text())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, dict) else {}
