"""What goes beyond the lecture, on the page."""

from pathlib import Path

from nnlab.chapters.beyond.catapult.widget import catapult
from nnlab.chapters.beyond.double_descent.widget import double_descent
from nnlab.chapters.beyond.edge_of_stability.widget import edge_of_stability
from nnlab.chapters.beyond.ensembles.widget import ensembles
from nnlab.chapters.beyond.ideas import EXERCISES, IDEAS
from nnlab.chapters.beyond.max_margin.widget import max_margin
from nnlab.chapters.beyond.minimal_norm.widget import minimal_norm
from nnlab.chapters.beyond.rich.widget import rich
from nnlab.chapters.beyond.spectral_bias.widget import spectral_bias
from nnlab.page.contents import BEYOND, ChapterPage, ExperimentPage

FOLDER = Path(__file__).parent
NUMBER = BEYOND.number

PAGE = ChapterPage(
    experiments={
        "minimal_norm": ExperimentPage("The nearest weights that fit", NUMBER, (minimal_norm,)),
        "max_margin": ExperimentPage("The largest margin", NUMBER, (max_margin,)),
        "catapult": ExperimentPage("The catapult", NUMBER, (catapult,)),
        "edge_of_stability": ExperimentPage("The edge of stability", NUMBER, (edge_of_stability,)),
        "ensembles": ExperimentPage("Many networks as a Gaussian process", NUMBER, (ensembles,)),
        "spectral_bias": ExperimentPage("The harmonics that are learned first", NUMBER, (spectral_bias,)),
        "double_descent": ExperimentPage("Double descent", NUMBER, (double_descent,)),
        "rich": ExperimentPage("Features that move, and features that do not", NUMBER, (rich,)),
    },
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=(
        FOLDER / "minimal_norm" / "minimal_norm.js",
        FOLDER / "max_margin" / "max_margin.js",
        FOLDER / "catapult" / "catapult.js",
        FOLDER / "edge_of_stability" / "edge_of_stability.js",
        FOLDER / "ensembles" / "ensembles.js",
        FOLDER / "spectral_bias" / "spectral_bias.js",
        FOLDER / "double_descent" / "double_descent.js",
        FOLDER / "rich" / "rich.js",
    ),
)
