"""What goes beyond the lecture, on the page."""

from pathlib import Path

from nnlab.chapters.beyond.ensembles.widget import ensembles
from nnlab.chapters.beyond.minimal_norm.widget import minimal_norm
from nnlab.chapters.beyond.rich.widget import rich
from nnlab.chapters.beyond.spectral_bias.widget import spectral_bias
from nnlab.page.contents import BEYOND, ChapterPage, ExperimentPage

FOLDER = Path(__file__).parent
NUMBER = BEYOND.number

PAGE = ChapterPage(
    experiments={
        "minimal_norm": ExperimentPage("The nearest weights that fit", NUMBER, (minimal_norm,)),
        "ensembles": ExperimentPage("Many networks as a Gaussian process", NUMBER, (ensembles,)),
        "spectral_bias": ExperimentPage("The harmonics that are learned first", NUMBER, (spectral_bias,)),
        "rich": ExperimentPage("Features that move, and features that do not", NUMBER, (rich,)),
    },
    scripts=(
        FOLDER / "minimal_norm" / "minimal_norm.js",
        FOLDER / "ensembles" / "ensembles.js",
        FOLDER / "spectral_bias" / "spectral_bias.js",
        FOLDER / "rich" / "rich.js",
    ),
)
