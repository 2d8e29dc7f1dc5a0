"""Figures: numbers in, matplotlib figures out. Nothing here imports torch or knows a run.

Every function takes arrays, plain numbers and strings and returns a `matplotlib.figure.Figure` of its own;
`save` writes it as PNG and SVG. Strings are shown letter by letter, whatever they hold.
"""

from nnlab.figures.activations import activation_functions
from nnlab.figures.bins import single_bin
from nnlab.figures.certified import error_over_bins
from nnlab.figures.circle import circle_harmonics
from nnlab.figures.claims import claims_table
from nnlab.figures.classes import class_accuracy
from nnlab.figures.confusion import confusion_matrix
from nnlab.figures.curves import compare_curves, learning_curves
from nnlab.figures.dynamics import loss_prediction, residual_error
from nnlab.figures.ends import towers_end_error
from nnlab.figures.errorcurves import error_curves
from nnlab.figures.exponents import width_scaling
from nnlab.figures.filters import filter_images
from nnlab.figures.functions import functions_on_line
from nnlab.figures.graph import computational_graph
from nnlab.figures.growth import convergence, separable_growth
from nnlab.figures.histograms import histogram_fit, histogram_grid
from nnlab.figures.images import weight_templates, worst_mistakes
from nnlab.figures.infinite import infinite_ensemble
from nnlab.figures.kernels import feature_map, kernel_images
from nnlab.figures.logits import logit_dynamics
from nnlab.figures.maps import LayerMaps, activation_maps
from nnlab.figures.mistakes import perceptron_mistakes
from nnlab.figures.modes import mode_trajectories
from nnlab.figures.pooling import pooling_step
from nnlab.figures.probabilities import class_probabilities
from nnlab.figures.probability import loss_of_probability
from nnlab.figures.regions import decision_regions, decision_regions_grid
from nnlab.figures.regression import regression_fit
from nnlab.figures.representation import representation
from nnlab.figures.save import save
from nnlab.figures.separation import separating_lines
from nnlab.figures.shuffled import shuffled_pixels
from nnlab.figures.sigmoidoutput import sigmoid_output
from nnlab.figures.sliding import sliding_filter
from nnlab.figures.spectra import kernel_spectra
from nnlab.figures.stack import Layer, layer_stack
from nnlab.figures.steps import step_distance, steps_over_steepness
from nnlab.figures.stepsizes import flow_gap, step_sizes
from nnlab.figures.sums import constructed_and_trained, terms_scaling
from nnlab.figures.surfaces import surface
from nnlab.figures.sweeps import gradient_noise, regularization_paths, success_rate
from nnlab.figures.widths import training_over_widths

__all__ = [
    "Layer",
    "LayerMaps",
    "activation_functions",
    "activation_maps",
    "circle_harmonics",
    "claims_table",
    "class_accuracy",
    "class_probabilities",
    "compare_curves",
    "computational_graph",
    "confusion_matrix",
    "constructed_and_trained",
    "convergence",
    "decision_regions",
    "decision_regions_grid",
    "error_curves",
    "error_over_bins",
    "feature_map",
    "filter_images",
    "flow_gap",
    "functions_on_line",
    "gradient_noise",
    "histogram_fit",
    "histogram_grid",
    "infinite_ensemble",
    "kernel_images",
    "kernel_spectra",
    "layer_stack",
    "learning_curves",
    "logit_dynamics",
    "loss_of_probability",
    "loss_prediction",
    "mode_trajectories",
    "perceptron_mistakes",
    "pooling_step",
    "regression_fit",
    "regularization_paths",
    "representation",
    "residual_error",
    "save",
    "separable_growth",
    "separating_lines",
    "shuffled_pixels",
    "sigmoid_output",
    "single_bin",
    "sliding_filter",
    "step_distance",
    "step_sizes",
    "steps_over_steepness",
    "success_rate",
    "surface",
    "terms_scaling",
    "towers_end_error",
    "training_over_widths",
    "weight_templates",
    "width_scaling",
    "worst_mistakes",
]
