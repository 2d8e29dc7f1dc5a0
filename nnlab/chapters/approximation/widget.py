"""Section 6 on the page."""

from pathlib import Path

from nnlab.chapters.approximation.bins.widget import bins
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.widget import Widget

STEP = Widget(
    "step",
    "A hidden unit becomes a step",
    "φ(wx + b) stands at s = −b/w. The larger the weight w, the nearer a sigmoid or a tanh is to a step "
    "there. A ReLU never becomes one.",
    {},
)
BIN = Widget(
    "bin",
    "Two opposite steps make a bin",
    "h φ(w(x − s₁)) − h φ(w(x − s₂)): one hidden unit steps up at s₁, the other steps down at s₂, with the "
    "output weights h and −h.",
    {},
)
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
