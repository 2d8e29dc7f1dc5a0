"""The worked slides on the page: each claim stands in its own section."""

from nnlab.chapters.lecture.faults import caught_by
from nnlab.chapters.lecture.plan import MISPRINTS
from nnlab.page.contents import OTHERS, ChapterPage, ExperimentPage

SOURCE = (
    "After lecture 12, “Feed-forward Neural Networks and Backpropagation”, of Math 5750/6880 by Bao Wang, "
    "University of Utah, fall 2023."
)
PAGE = ChapterPage(
    source=SOURCE,
    experiments={"slides": ExperimentPage("Worked on the slides", OTHERS.number)},
    misprints=MISPRINTS,
    faults=caught_by,
)
