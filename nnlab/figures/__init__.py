"""Figures: numbers in, matplotlib figures out. Nothing here imports torch or knows a run.

Every function takes arrays, plain numbers and strings and returns a `matplotlib.figure.Figure` of its own;
`save` writes it as PNG and SVG. Strings are shown letter by letter, whatever they hold.
"""

from nnlab.figures.activations import activation_functions
from nnlab.figures.circle import circle_harmonics
from nnlab.figures.claims import claims_table
from nnlab.figures.confusion import confusion_matrix
from nnlab.figures.curves import compare_curves, learning_curves
from nnlab.figures.dynamics import loss_prediction, residual_error
from nnlab.figures.exponents import width_scaling
from nnlab.figures.functions import functions_on_line
from nnlab.figures.growth import convergence, separable_growth
from nnlab.figures.images import weight_templates, worst_mistakes
from nnlab.figures.kernels import feature_map, kernel_images
from nnlab.figures.logits import logit_dynamics
from nnlab.figures.modes import mode_trajectories
from nnlab.figures.regions import decision_regions, decision_regions_grid
from nnlab.figures.regression import regression_fit
from nnlab.figures.save import save
from nnlab.figures.spectra import kernel_spectra
from nnlab.figures.stepsizes import flow_gap, step_sizes
from nnlab.figures.sweeps import gradient_noise, regularization_paths, success_rate
from nnlab.figures.widths import training_over_widths

__all__ = [
    "activation_functions",
    "circle_harmonics",
    "claims_table",
    "compare_curves",
    "confusion_matrix",
    "convergence",
    "decision_regions",
    "decision_regions_grid",
    "feature_map",
    "flow_gap",
    "functions_on_line",
    "gradient_noise",
    "kernel_images",
    "kernel_spectra",
    "learning_curves",
    "logit_dynamics",
    "loss_prediction",
    "mode_trajectories",
    "regression_fit",
    "regularization_paths",
    "residual_error",
    "save",
    "separable_growth",
    "step_sizes",
    "success_rate",
    "training_over_widths",
    "weight_templates",
    "width_scaling",
    "worst_mistakes",
]
