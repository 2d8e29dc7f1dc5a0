"""What can be wrong with a kernel, a model to take one of, or the memory to do it in."""

from nnlab.errors import InputError


class KernelError(InputError):
    """Tensors, shapes or arguments that no kernel can be computed from."""


class ModelError(KernelError):
    """A model whose outputs are no function of one example each, or are no plain scores."""


class MemoryLimitError(KernelError):
    """The memory limit does not hold even the smallest block."""


class NonFiniteError(KernelError):
    """NaN or infinity in a kernel, or in what one would be computed from."""
