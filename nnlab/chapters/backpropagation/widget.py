"""Section 3 on the page: the lecture's two graphs, and any other that is typed."""

from pathlib import Path

from nnlab.chapters.backpropagation.ideas import EXERCISES, IDEAS
from nnlab.page.contents import ChapterPage, Section

SCRIPTS = ("layout", "passes", "graph", "chain")

PAGE = ChapterPage(
    sections=(
        Section(
            3,
            "Backpropagation",
            "The chain rule at each node: the gradient passed on is the local derivative times the gradient "
            "that arrives.",
        ),
    ),
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in SCRIPTS),
)
