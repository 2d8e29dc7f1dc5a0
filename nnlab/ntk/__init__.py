"""The neural tangent kernel: pure functions of models, parameters and inputs."""

from nnlab.ntk.dynamics.flow import (
    FlowGap,
    flow_gap,
    gradient_descent,
    gradient_flow,
    half_lives,
    max_step,
)
from nnlab.ntk.dynamics.linearize import Linearization, linearize
from nnlab.ntk.dynamics.logits import LogitFlow, logit_descent, logit_flow
from nnlab.ntk.dynamics.modes import Modes, decompose
from nnlab.ntk.empirical.kernel import as_matrix, empirical_ntk, feature_map
from nnlab.ntk.errors import KernelError, MemoryLimitError, ModelError, NonFiniteError
from nnlab.ntk.finite.kernel import FiniteWidth, finite_width
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.regression.kernel_regression import KernelRegression, kernel_regression
from nnlab.ntk.regression.posterior import Gaussian, Posterior, posterior
from nnlab.ntk.spectral.spectrum import Spectrum, spectrum

__all__ = [
    "FiniteWidth",
    "FlowGap",
    "Gaussian",
    "KernelError",
    "KernelRegression",
    "Linearization",
    "LogitFlow",
    "MemoryLimitError",
    "ModelError",
    "Modes",
    "NonFiniteError",
    "Posterior",
    "Spectrum",
    "as_matrix",
    "decompose",
    "empirical_ntk",
    "feature_map",
    "finite_width",
    "flow_gap",
    "gradient_descent",
    "gradient_flow",
    "half_lives",
    "infinite_ntk",
    "kernel_regression",
    "linearize",
    "logit_descent",
    "logit_flow",
    "max_step",
    "posterior",
    "spectrum",
]
