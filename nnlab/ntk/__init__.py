"""The neural tangent kernel: pure functions of models, parameters and inputs."""

from nnlab.ntk.dynamics import (
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
from nnlab.ntk.empirical import as_matrix, empirical_ntk, feature_map
from nnlab.ntk.errors import KernelError, MemoryLimitError, ModelError, NonFiniteError
from nnlab.ntk.infinite import infinite_ntk
from nnlab.ntk.linearize import Linearization, linearize
from nnlab.ntk.logits import LogitFlow, logit_descent, logit_flow
from nnlab.ntk.posterior import Gaussian, Posterior, posterior
from nnlab.ntk.spectrum import Spectrum, spectrum

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
