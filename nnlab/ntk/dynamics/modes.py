"""The eigenbasis of a kernel, and the shapes of the values that it acts on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.display import displayed
from nnlab.errors import suggest
from nnlab.ntk.errors import KernelError, finite
from nnlab.ntk.spectral.tiles import Inspection, Kernel, Tiles, epsilon

Reduction = Literal["sum", "mean"]
Numbers = float | Sequence[float] | NDArray[np.floating] | Tensor


@displayed
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
    """Computes the modes of a kernel, to be passed as H to other functions.

    Args:
        H: (n, n) or (n, n, C, C); above the diagonal is what counts.
        computed_in: type of the numbers that the kernel was computed in; by default its own.

    Raises:
        KernelError: another shape, no real floating-point numbers, or not symmetric.
        NonFiniteError: NaN or infinity.
    """
    return modes_of(square_matrix(H), epsilon(H, computed_in), examples_of(H, None))


def modes_of(matrix: Tensor, noise: float, examples: int | None) -> Modes:
    """Computes the modes of a checked float64 matrix; `noise` is the ε of the numbers behind it."""
    values, vectors = torch.linalg.eigh(matrix, UPLO="U")
    threshold = len(matrix) * noise * float(values.abs().max())
    values = torch.where((values < 0) & (values >= -threshold), 0.0, values)
    return Modes(values.flip(0), vectors.flip(1), threshold, examples)


def as_modes(H: Kernel | Modes) -> Modes:
    """Computes the modes of a kernel, unless it is their object."""
    return H if isinstance(H, Modes) else decompose(H)


def refuse_indefinite(caller: str, modes: Modes, ridge: float = 0.0) -> None:
    """Raises KernelError where an eigenvalue is negative beyond what rounding and the ridge explain.

    Args:
        caller: what the message begins with.
        modes: of the kernel.
        ridge: that is added to it.
    """
    smallest = float(modes.eigenvalues[-1])
    if smallest + ridge < -modes.threshold:
        raise KernelError(
            f"{caller}: H has the eigenvalue {smallest:.3g}, where rounding explains {-modes.threshold:.3g}; "
            "no network's kernel has a negative one, with which residuals grow and gradient flow has no "
            "limit: make sure that it is J Jᵀ of one set of examples, or pass decompose the type it was "
            "computed in"
        )


def square_matrix(H: Kernel) -> Tensor:
    """Reads a kernel (n, n) or (n, n, C, C) as a matrix (nC, nC) in float64, checked as by `decompose`."""
    tiles = Tiles(H)
    everything = slice(0, tiles.examples)
    matrix = tiles.read(everything, everything)
    inspection = Inspection(tiles)
    inspection.add(everything, everything, matrix)
    inspection.check_symmetry()
    return matrix


def cross_rows(H_xt: Kernel, size: int) -> int:
    """The number of rows n_xC of a kernel (n_x, n) or (n_x, n, C, C) as a matrix of `size` = nC columns.

    Raises:
        KernelError: another shape.
    """
    shape = tuple(H_xt.shape)
    outputs = shape[3] if len(shape) == 4 else 1
    fits = len(shape) in (2, 4) and shape[1] * outputs == size and (len(shape) == 2 or shape[2] == outputs)
    if not fits:
        raise KernelError(
            f"H_xt has the shape {shape}; it must be (n_x, n) or (n_x, n, C, C) with nC = {size}, the new "
            "points first"
        )
    return int(shape[0] * outputs)


def cross_matrix(H_xt: Kernel, like: Tensor) -> Tensor:
    """Reads a kernel (n_x, n) or (n_x, n, C, C) as a matrix (n_xC, nC) in float64.

    Args:
        H_xt: the kernel.
        like: a tensor of nC columns, on the device of the result.

    Raises:
        KernelError: another shape.
        NonFiniteError: NaN or infinity.
    """
    cross_rows(H_xt, like.shape[-1])
    kernel = H_xt.detach() if isinstance(H_xt, Tensor) else torch.from_numpy(np.array(H_xt))
    cross = kernel.to(like.device, torch.float64)
    if cross.ndim == 4:
        cross = cross.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    return finite("H_xt", cross)


def new_points(H_xt: Kernel | None, f0_x: Tensor | None, like: Tensor) -> Tensor | None:
    """Reads the kernel of new points as `cross_matrix` does; None without new points.

    Raises:
        KernelError: only one of the kernel and the values at the start, f₀(x), is there.
    """
    if (H_xt is None) != (f0_x is None):
        raise KernelError("H_xt and f0_x go together: predictions at new points need both")
    return None if H_xt is None else cross_matrix(H_xt, like)


@dataclass(frozen=True)
class Form:
    """The shape of values beside a kernel of `size` rows: flat, or one row of C outputs per example."""

    outputs: int | None  # C of values (n, C); None where they are flat
    # whether the kernel is of one output, and stands for H ⊗ I_C: each of the C columns then moves by itself,
    # and the product with I_C need not be formed
    repeated: bool

    @classmethod
    def of(cls, name: str, values: Tensor, size: int, examples: int | None) -> "Form":
        """Reads the form off the values at the training points.

        Args:
            name: of the values, for the message.
            values: (nC,) or (n, C).
            size: rows of the kernel as a matrix.
            examples: n, where the kernel is (n, n, C, C).

        Raises:
            KernelError: the shape fits no kernel of this size.
        """
        shape = tuple(values.shape)
        if shape == (size,):
            return cls(None, False)
        if examples is None and len(shape) == 2 and shape[0] == size and shape[1] > 0:
            return cls(shape[1], True)
        if examples is not None and shape == (examples, size // examples):
            return cls(shape[1], False)
        rows = (
            f"({size}, C), a column for each of C outputs that have this kernel"
            if examples is None
            else f"({examples}, {size // examples})"
        )
        raise KernelError(
            f"{name} has the shape {shape}; it must be ({size},): of scores (n, C) all in one row, the "
            f"example index outermost, as reshape(-1) gives them; or {rows}"
        )

    def take(self, name: str, values: Tensor, size: int, device: torch.device) -> Tensor:
        """Reshapes values at the points of `size` rows of a kernel to (size,), or (size, C) if `repeated`.

        In float64 on the device, checked.
        """
        shape: tuple[int, ...] = (size,)
        if self.outputs is not None:
            shape = (size, self.outputs) if self.repeated else (size // self.outputs, self.outputs)
        if tuple(values.shape) != shape:
            raise KernelError(f"{name} has the shape {tuple(values.shape)}; it must be {shape}{self._why()}")
        flat = torch.as_tensor(values, dtype=torch.float64).detach()
        flat = flat if self.repeated else flat.reshape(-1)
        return finite(name, flat).to(device)

    def restore(self, flat: Tensor) -> Tensor:
        """Reshapes (…, size) or, if `repeated`, (…, size, C) numbers to the form of the values."""
        if self.outputs is None or self.repeated:
            return flat
        return flat.reshape(*flat.shape[:-1], -1, self.outputs)

    def columns(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Splits a result of `take` into its columns, contiguous."""
        return tuple(flat.T.contiguous()) if self.repeated else (flat,)

    def stack(self, columns: list[Tensor]) -> Tensor:
        """Joins (…, size) results of each column, for `restore`."""
        return torch.stack(columns, -1) if self.repeated else columns[0]

    def _why(self) -> str:
        if self.outputs is None:
            return (
                ": of scores (n, C) all in one row, the example index outermost, as reshape(-1) gives them, "
                "since the values at the training points are flat"
            )
        return f", since the values at the training points are (n, {self.outputs})"


def numbers(name: str, values: Numbers) -> Tensor:
    """Converts one number or (K,) of them to float64, checked."""
    tensor = torch.as_tensor(values, dtype=torch.float64).detach()  # a list of floats is no float32
    if tensor.ndim > 1 or tensor.numel() == 0:
        raise KernelError(
            f"{name} has the shape {tuple(tensor.shape)}; it must be one number or (K,) of them"
        )
    return finite(name, tensor)


def examples_of(H: Kernel | Modes, n: int | None) -> int | None:
    """Returns n unless it is None; then the number of examples of a kernel (n, n, C, C), else None."""
    if n is not None:
        return n
    if isinstance(H, Modes):
        return H.examples
    return H.shape[0] if len(H.shape) == 4 else None


def divisor(reduction: Reduction, n: int | None) -> float:
    """The divisor of the kernel in this reduction of the loss: 1 for the sum, n for the mean.

    Raises:
        KernelError: an unknown reduction, or `mean` without n.
    """
    if reduction == "sum":
        return 1.0
    if reduction != "mean":
        raise KernelError(f"reduction: {reduction} is unknown; {suggest(str(reduction), ['sum', 'mean'])}")
    if n is None or n < 1:
        raise KernelError(
            f"n: {n}; with reduction='mean' it must be the number of training examples, which does not "
            "follow from a matrix (nC, nC)"
        )
    return float(n)
