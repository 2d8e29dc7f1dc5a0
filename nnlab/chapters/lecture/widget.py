"""The worked slides on the page: each claim stands in its own section."""

from nnlab.chapters.lecture.faults import caught_by
from nnlab.chapters.lecture.plan import MISPRINTS
from nnlab.page.contents import OTHERS, ChapterPage, ExperimentPage

PAGE = ChapterPage(
    experiments={"slides": ExperimentPage("Worked on the slides", OTHERS.number)},
    misprints=MISPRINTS,
    faults=caught_by,
)
