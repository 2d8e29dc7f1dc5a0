"""Figures: numbers in, matplotlib figures out. Nothing here imports torch or knows a run.

Every function takes arrays, plain numbers and strings and returns a `matplotlib.figure.Figure` of its own;
`save` writes it as PNG and SVG. Strings are shown letter by letter, whatever they hold.
"""

from nnlab.figures.activations import activation_functions
from nnlab.figures.claims import claims_table
from nnlab.figures.confusion import confusion_matrix
from nnlab.figures.curves import compare_curves, learning_curves
from nnlab.figures.growth import convergence, separable_growth
from nnlab.figures.images import weight_templates, worst_mistakes
from nnlab.figures.regions import decision_regions, decision_regions_grid
from nnlab.figures.regression import regression_fit
from nnlab.figures.save import save
from nnlab.figures.sweeps import gradient_noise, regularization_paths, success_rate

__all__ = [
    "activation_functions",
    "claims_table",
    "compare_curves",
    "confusion_matrix",
    "convergence",
    "decision_regions",
    "decision_regions_grid",
    "gradient_noise",
    "learning_curves",
    "regression_fit",
    "regularization_paths",
    "save",
    "separable_growth",
    "success_rate",
    "weight_templates",
    "worst_mistakes",
]
