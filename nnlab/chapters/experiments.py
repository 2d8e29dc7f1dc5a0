"""Every experiment by its name: a config class, whose method `run` runs it."""

from collections.abc import Mapping

from nnlab.chapters.approximation import experiment as approx
from nnlab.chapters.approximation.perceptron import xor as xor
from nnlab.chapters.beyond.catapult import experiment as catapult
from nnlab.chapters.beyond.double_descent import experiment as double_descent
from nnlab.chapters.beyond.edge_of_stability import experiment as edge_of_stability
from nnlab.chapters.beyond.ensembles import experiment as ensembles
from nnlab.chapters.beyond.max_margin import experiment as max_margin
from nnlab.chapters.beyond.minimal_norm import experiment as minimal_norm
from nnlab.chapters.beyond.rich import experiment as rich
from nnlab.chapters.beyond.spectral_bias import experiment as spectral_bias
from nnlab.chapters.classification import activations as activations
from nnlab.chapters.classification import classify as classify
from nnlab.chapters.classification import convergence as convergence
from nnlab.chapters.classification import regress as regress
from nnlab.chapters.classification import regularization as regularization
from nnlab.chapters.classification import separable as separable
from nnlab.chapters.classification import sgd_vs_gd as sgd_vs_gd
from nnlab.chapters.convolution import pixel_shuffle as pixel_shuffle
from nnlab.chapters.kernels import experiment as ntk
from nnlab.chapters.kernels import finite_width as finite_width
from nnlab.chapters.lecture import experiment as lecture
from nnlab.chapters.lecture import slides as slides
from nnlab.chapters.widths import experiment as weight_change
from nnlab.lab.sections import Experiment

EXPERIMENTS: Mapping[str, type[Experiment]] = {
    "lecture": lecture.Config,
    "slides": slides.Config,
    "classify": classify.Config,
    "regress": regress.Config,
    "convergence": convergence.Config,
    "activations": activations.Config,
    "sgd_vs_gd": sgd_vs_gd.Config,
    "regularization": regularization.Config,
    "separable": separable.Config,
    "xor": xor.Config,
    "pixel_shuffle": pixel_shuffle.Config,
    "weight_change": weight_change.Config,
    "ntk": ntk.Config,
    "finite_width": finite_width.Config,
    "approx": approx.Config,
    "minimal_norm": minimal_norm.Config,
    "ensembles": ensembles.Config,
    "spectral_bias": spectral_bias.Config,
    "rich": rich.Config,
    "max_margin": max_margin.Config,
    "catapult": catapult.Config,
    "edge_of_stability": edge_of_stability.Config,
    "double_descent": double_descent.Config,
}
"""The config class of each experiment, by the value of the key `experiment`."""
