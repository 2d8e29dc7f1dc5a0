"""Section 6 on the page."""

from pathlib import Path

from nnlab.chapters.approximation.bins.widget import bins, foretell
from nnlab.chapters.approximation.ideas import EXERCISES, IDEAS
from nnlab.page.contents import ChapterPage, ExperimentPage, Section

SCRIPTS = (
    "perceptron/perceptron",
    "steps/step",
    "bins/five_bins",
    "bins/enclose",
    "bins/hand_bins",
    "bins/bins",
    "bins/sigmoid_output",
    "sums/sums",
    "surfaces/surface",
)

PAGE = ChapterPage(
    sections=(
        Section(
            6,
            "Universal approximation",
            "A network with one hidden layer approximates a continuous function as closely as required.",
        ),
    ),
    experiments={
        "xor": ExperimentPage("XOR", 6),
        "approx": ExperimentPage("Steps, bins and their error", 6, (bins, foretell)),
    },
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in SCRIPTS),
)
