"""The worked slides on the page: each claim stands in its own section."""

from nnlab.page.contents import OTHERS, ChapterPage, ExperimentPage

PAGE = ChapterPage(experiments={"slides": ExperimentPage("Worked on the slides", OTHERS.number)})
