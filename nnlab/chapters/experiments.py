"""Every experiment by its name: a config class, whose method `run` runs it."""

from collections.abc import Mapping

from nnlab.chapters.approximation import experiment as approx
from nnlab.chapters.approximation.perceptron import xor as xor
from nnlab.chapters.classification import activations as activations
from nnlab.chapters.classification import classify as classify
from nnlab.chapters.classification import convergence as convergence
from nnlab.chapters.classification import regress as regress
from nnlab.chapters.classification import regularization as regularization
from nnlab.chapters.classification import separable as separable
from nnlab.chapters.classification import sgd_vs_gd as sgd_vs_gd
from nnlab.chapters.convolution import pixel_shuffle as pixel_shuffle
from nnlab.chapters.kernels import experiment as ntk
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
    "approx": approx.Config,
}
"""The config class of each experiment, by the value of the key `experiment`."""
