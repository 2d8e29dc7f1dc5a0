"""The neural tangent kernel: pure functions of models, parameters and inputs."""

from nnlab.ntk.empirical import as_matrix, empirical_ntk
from nnlab.ntk.errors import KernelError, MemoryLimitError, ModelError, NonFiniteError, SingularKernelError

__all__ = [
    "KernelError",
    "MemoryLimitError",
    "ModelError",
    "NonFiniteError",
    "SingularKernelError",
    "as_matrix",
    "empirical_ntk",
]
