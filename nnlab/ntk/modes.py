"""The eigenbasis of a kernel, and the checks of what is computed in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.errors import suggest
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.tiles import Inspection, Kernel, Tiles, epsilon

Reduction = Literal["sum", "mean"]
Numbers = float | Sequence[float] | NDArray[np.floating] | Tensor


@dataclass(frozen=True)
class Modes:
    """H = U D Uᵀ, computed once for many times, step sizes and starts.

    Attributes:
        eigenvalues: D (nC,) in float64, in descending order. Negative ones that rounding explains, above
            −threshold, are 0 here: a kernel has none, and they would grow.
        vectors: U (nC, nC), a mode in each column.
        threshold: nC·ε·λmax, with the ε of the numbers that the kernel was computed in: smaller eigenvalues
            may be 0.
        examples: n where the kernel tells it, being (n, n, C, C); else None.
    """

    eigenvalues: Tensor
    vectors: Tensor
    threshold: float
    examples: int | None = None


def decompose(H: Kernel, *, computed_in: torch.dtype | None = None) -> Modes:
    """The modes of a kernel, to be passed as H to the functions of this module.

    Args:
        H: (n, n) or (n, n, C, C); above the diagonal is what counts.
        computed_in: type of the numbers that the kernel was computed in; by default its own.

    Raises:
        KernelError: another shape, no real floating-point numbers, or not symmetric.
        NonFiniteError: NaN or infinity.
    """
    matrix = square_matrix(H)
    values, vectors = torch.linalg.eigh(matrix, UPLO="U")
    noise = epsilon(H) if computed_in is None else float(torch.finfo(computed_in).eps)
    threshold = len(matrix) * noise * float(values.abs().max())
    values = torch.where((values < 0) & (values >= -threshold), 0.0, values)
    examples = H.shape[0] if len(H.shape) == 4 else None
    return Modes(values.flip(0), vectors.flip(1), threshold, examples)


def as_modes(H: Kernel | Modes) -> Modes:
    """The modes of a kernel, or those that were given."""
    return H if isinstance(H, Modes) else decompose(H)


def square_matrix(H: Kernel) -> Tensor:
    """A kernel (n, n) or (n, n, C, C) as a matrix (nC, nC) in float64, checked as `decompose` says."""
    tiles = Tiles(H)
    everything = slice(0, tiles.examples)
    matrix = tiles.read(everything, everything)
    inspection = Inspection(tiles)
    inspection.see(everything, everything, matrix)
    inspection.check_symmetry()
    return matrix


def cross_matrix(H_xt: Kernel, like: Tensor) -> Tensor:
    """A kernel (n_x, n) or (n_x, n, C, C) as a matrix (n_xC, nC) in float64.

    Args:
        H_xt: the kernel.
        like: a tensor of nC columns, on the device that is wanted.

    Raises:
        KernelError: another shape.
        NonFiniteError: NaN or infinity.
    """
    given = H_xt.detach() if isinstance(H_xt, Tensor) else torch.from_numpy(np.array(H_xt))
    cross = given.to(like.device, torch.float64)
    if cross.ndim == 4:
        cross = cross.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    if cross.ndim != 2 or cross.shape[1] != like.shape[-1]:
        raise KernelError(
            f"H_xt has the shape {tuple(H_xt.shape)}; it must be (n_x, n) or (n_x, n, C, C) with "
            f"nC = {like.shape[-1]}, the new points first"
        )
    return finite("H_xt", cross)


def vector(name: str, values: Tensor, size: int, like: Tensor) -> Tensor:
    """(size,) numbers in float64 on the device of `like`, checked."""
    if tuple(values.shape) != (size,):
        raise KernelError(
            f"{name} has the shape {tuple(values.shape)}; it must be ({size},): of scores (n, C) all in one "
            "row, the example index outermost, as reshape(-1) gives them"
        )
    return numbers(name, values).to(like.device)


def numbers(name: str, values: Numbers) -> Tensor:
    """One number or (K,) of them in float64, checked."""
    tensor = torch.as_tensor(values, dtype=torch.float64).detach()  # a list of floats is no float32
    if tensor.ndim > 1 or tensor.numel() == 0:
        raise KernelError(
            f"{name} has the shape {tuple(tensor.shape)}; it must be one number or (K,) of them"
        )
    return finite(name, tensor)


def finite(name: str, tensor: Tensor) -> Tensor:
    """The tensor; raises NonFiniteError where it holds NaN or infinity."""
    if not bool(torch.isfinite(tensor).all()):
        raise NonFiniteError(f"{name} holds NaN or infinity; look for what overflowed")
    return tensor


def examples_of(H: Kernel | Modes, n: int | None) -> int | None:
    """n if it is given; else the number of examples where the kernel tells it, being (n, n, C, C)."""
    if n is not None:
        return n
    if isinstance(H, Modes):
        return H.examples
    return H.shape[0] if len(H.shape) == 4 else None


def divisor(reduction: Reduction, n: int | None) -> float:
    """What the kernel is divided by in this reduction of the loss: 1 for the sum, n for the mean.

    Raises:
        KernelError: an unknown reduction, or `mean` without n.
    """
    if reduction == "sum":
        return 1.0
    if reduction != "mean":
        raise KernelError(f"reduction: {reduction} is unknown; {suggest(str(reduction), ['sum', 'mean'])}")
    if n is None or n < 1:
        raise KernelError(
            f"n: {n}; with reduction='mean' it must be the number of training examples, which a matrix "
            "(nC, nC) does not tell"
        )
    return float(n)
