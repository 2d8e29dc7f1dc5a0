"""The errors of kernels, and the checks of arguments that functions of kernels share."""

import math

import torch
from torch import Tensor

from nnlab.errors import InputError
from nnlab.memory import default_limit


class KernelError(InputError):
    """Tensors, shapes or arguments that no kernel can be computed from."""


class ModelError(KernelError):
    """A model whose outputs are no function of one example each, or are no plain scores."""


class MemoryLimitError(KernelError):
    """The memory limit does not hold even the smallest block."""


class NonFiniteError(KernelError):
    """NaN or infinity in a kernel, or in what one would be computed from."""


def checked_limit(memory_limit: int | None, device: torch.device) -> int:
    """Returns the memory limit in bytes; a quarter of the free memory of the device for None.

    Raises:
        KernelError: the limit is no positive number.
    """
    if memory_limit is None:
        return default_limit(device)
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int | float) or not memory_limit >= 1:
        raise KernelError(f"memory_limit: {memory_limit!r}: must be a positive number of bytes")
    return memory_limit


def check_shapes(x1: Tensor, x2: Tensor) -> None:
    """Raises KernelError where the examples of two sets have different shapes."""
    if x1.shape[1:] != x2.shape[1:]:
        raise KernelError(
            f"x1 holds examples of shape {tuple(x1.shape[1:])}, x2 of {tuple(x2.shape[1:])}; "
            "both must be of one shape"
        )


def check_ridge(caller: str, ridge: float) -> None:
    """Raises KernelError, in the name of the caller, for a ridge below 0 or an infinite one."""
    if not (math.isfinite(ridge) and ridge >= 0):
        raise KernelError(f"{caller}: ridge {ridge} is not allowed: it must be at least 0 and finite")


def finite(name: str, tensor: Tensor) -> Tensor:
    """Returns the tensor; raises NonFiniteError where it holds NaN or infinity."""
    if not bool(torch.isfinite(tensor).all()):
        raise NonFiniteError(f"{name} holds NaN or infinity; look for what overflowed")
    return tensor
