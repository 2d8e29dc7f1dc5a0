"""Section 6 on the page."""

from pathlib import Path

from nnlab.chapters.approximation.bins.widget import bins
from nnlab.chapters.approximation.steps.widget import BIN, STEP
from nnlab.page.contents import ChapterPage, ExperimentPage, Section

PAGE = ChapterPage(
    sections=(
        Section(
            6,
            "Universal approximation",
            "A network with one hidden layer approximates a continuous function as closely as required.",
            (STEP, BIN),
        ),
    ),
    experiments={
        "xor": ExperimentPage("XOR", 6),
        "approx": ExperimentPage("Steps, bins and their error", 6, (bins,)),
    },
    scripts=tuple(Path(__file__).parent / name for name in ("bins/bins.js", "steps/step.js")),
)
