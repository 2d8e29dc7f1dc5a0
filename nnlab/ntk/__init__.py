"""The neural tangent kernel: pure functions of models, parameters and inputs."""

from nnlab.ntk.empirical.kernel import as_matrix, empirical_ntk, feature_map
from nnlab.ntk.errors import KernelError, MemoryLimitError, ModelError, NonFiniteError
from nnlab.ntk.flow.dynamics import (
    FlowGap,
    KernelRegression,
    Modes,
    decompose,
    flow_gap,
    gradient_descent,
    gradient_flow,
    half_lives,
    kernel_regression,
    max_step,
)
from nnlab.ntk.flow.linearize import Linearization, linearize
from nnlab.ntk.flow.logits import LogitFlow, logit_descent, logit_flow
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.regression.posterior import Gaussian, Posterior, posterior
from nnlab.ntk.spectral.spectrum import Spectrum, spectrum

__all__ = [
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
