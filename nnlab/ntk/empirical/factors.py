"""The contribution of a layer to the tangent kernel, kept as two thin factors instead of a Jacobian.

For z = W h + b, seen through the gradients g = ∂f_c/∂z, the derivative of f_c with respect to W is the outer
product g hᵀ, so the inner product of two examples' derivatives is a product of inner products:

    ⟨g hᵀ, g' h'ᵀ⟩ = (h · h') (g · g'),      with the bias  (h · h' + 1) (g · g').

Over all pairs of examples that is (A Aᵀ + 1) ∘ (G Gᵀ), from the layer's inputs A and gradients G: two matrix
products of inner dimensions d and m in place of one of dimension d·m (Novak, Sohl-Dickstein & Schoenholz
2022, "Fast finite width neural tangent kernel").

A tile of a kernel lies in memory so that each of its products is a plain matrix: trace (n₁, n₂), diagonal
(C, n₁, n₂), full (n₁, C, n₂, C). `public` is its view in the order of the interface.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

Output = Literal["full", "trace", "diagonal"]

PAIR_NUMBERS = 2**20  # of a tile over pairs of positions: it stays in the processor's cache


def tile_shape(output: Output, rows: int, columns: int, outputs: int) -> tuple[int, ...]:
    """The shape of a tile in memory."""
    if output == "trace":
        return rows, columns
    if output == "diagonal":
        return outputs, rows, columns
    return rows, outputs, columns, outputs


def public(tile: Tensor, output: Output) -> Tensor:
    """A view in the order of the interface: (n₁, n₂), (n₁, n₂, C) or (n₁, n₂, C, C)."""
    if output == "trace":
        return tile
    return tile.permute(1, 2, 0) if output == "diagonal" else tile.permute(0, 2, 1, 3)


def from_public(kernel: Tensor, output: Output) -> Tensor:
    """The inverse of `public`, again a view."""
    if output == "trace":
        return kernel
    return kernel.permute(2, 0, 1) if output == "diagonal" else kernel.permute(0, 2, 1, 3)


def part(tile: Tensor, output: Output, rows: slice, columns: slice) -> Tensor:
    """The view of some rows and columns of examples."""
    return tile[rows, :, columns] if output == "full" else tile[..., rows, columns]


def mirrored(tile: Tensor, output: Output) -> Tensor:
    """The view with both examples and both outputs exchanged: H(x', x) from H(x, x')."""
    return tile.permute(2, 3, 0, 1) if output == "full" else tile.transpose(-1, -2)


def make_symmetric(tile: Tensor, output: Output) -> None:
    """Replaces a tile on the diagonal by its mean with its mirror image, which differs by rounding."""
    tile.copy_((tile + mirrored(tile, output)) / 2)


class Workspace:
    """Memory for the temporary matrices of a tile, taken once: a fresh page costs as much as filling it."""

    def __init__(self, numbers: int, like: Tensor) -> None:
        self._matrices = [like.new_empty(numbers, dtype=like.dtype) for _ in range(2)]

    @property
    def device(self) -> torch.device:
        """The device on which tiles are computed."""
        return self._matrices[0].device

    def matrix(self, number: int, rows: int, columns: int) -> Tensor:
        """Matrix 0 or 1, its entries left over from the last use."""
        return self._matrices[number][: rows * columns].view(rows, columns)


@dataclass(frozen=True)
class Factor(ABC):
    """The two factors of a layer for some examples.

    Attributes:
        inputs: A (n, …), or None for the constant alone.
        gradients: G (n, C, …), or None where ∂f/∂z is the identity, as for the last layer.
        scale: the square of the weight's multiplier, 0 where the weight is not trained.
        constant: the square of the bias's multiplier, 0 where there is none.
    """

    inputs: Tensor | None
    gradients: Tensor | None
    scale: float = 1.0
    constant: float = 1.0

    def take(self, examples: slice) -> Self:
        """Returns the same for some of the examples, without a copy."""
        inputs, gradients = (
            None if tensor is None else tensor[examples] for tensor in (self.inputs, self.gradients)
        )
        return replace(self, inputs=inputs, gradients=gradients)

    def room_for(self, examples: int) -> Self:
        """Returns the same for so many examples, not filled in yet."""
        inputs, gradients = (
            None if tensor is None else tensor.new_empty(examples, *tensor.shape[1:])
            for tensor in (self.inputs, self.gradients)
        )
        return replace(self, inputs=inputs, gradients=gradients)

    def copy_(self, other: Self) -> None:
        """Copies the numbers of the other."""
        for mine, theirs in ((self.inputs, other.inputs), (self.gradients, other.gradients)):
            if mine is not None and theirs is not None:
                mine.copy_(theirs)

    @abstractmethod
    def add_to(self, tile: Tensor, other: Self, output: Output, workspace: Workspace) -> None:
        """Adds the contribution of this one's examples and the other's to a tile."""


class VectorFactor(Factor):
    """(scale · A Aᵀ + constant) ∘ (G Gᵀ): a layer that sees one input vector per example.

    A block of a plain Jacobian is one too, G being its rows and the first matrix all ones. A is (n, d) and G
    (n, C, q); for the trace G may be (n, 1, q), the sum over outputs taken already.
    """

    def add_to(self, tile: Tensor, other: Self, output: Output, workspace: Workspace) -> None:
        if self.gradients is None or other.gradients is None:
            self._add_identity(tile, other, output, workspace)
            return
        left, right, pairs = self.gradients, other.gradients, self._pairs(other, workspace)
        if output == "trace":
            _add_hadamard(tile, pairs, left.flatten(1), right.flatten(1), workspace)
        elif output == "diagonal":
            for c in range(left.shape[1]):
                _add_hadamard(tile[c], pairs, left[:, c], right[:, c], workspace)
        else:
            left, right = left.flatten(0, 1), right.flatten(0, 1)
            grams = torch.mm(left, right.T, out=workspace.matrix(1, len(left), len(right)))
            grams = grams.view(tile.shape)  # (n₁, C, n₂, C)
            tile.add_(grams if pairs is None else grams.mul_(pairs[:, None, :, None]))

    def _pairs(self, other: Self, workspace: Workspace) -> Tensor | None:
        """scale · A Aᵀ + constant, (n₁, n₂); None where that is 1 everywhere."""
        if self.inputs is None or other.inputs is None:
            return None
        pairs = workspace.matrix(0, len(self.inputs), len(other.inputs)).fill_(self.constant)
        return pairs.addmm_(self.inputs, other.inputs.T, alpha=self.scale)

    def _add_identity(self, tile: Tensor, other: Self, output: Output, workspace: Workspace) -> None:
        """Adds with G Gᵀ = δ_cc': C of them in the trace, which the scale counts; one on each diagonal."""
        assert self.inputs is not None
        assert other.inputs is not None
        if output == "trace":
            tile.addmm_(self.inputs, other.inputs.T, alpha=self.scale)
            if self.constant:
                tile.add_(self.constant)
            return
        pairs = self._pairs(other, workspace)
        assert pairs is not None
        if output == "full":
            tile.diagonal(dim1=1, dim2=3).add_(pairs[..., None])
        else:
            tile.add_(pairs)


@dataclass(frozen=True)
class PositionFactor(Factor):
    """A layer that uses its weights at T positions of an example, as a convolution does.

    ∂f_c/∂W = Σₜ gₜ hₜᵀ, so a pair of examples contributes Σₜₛ (scale · hₜ·h'ₛ + constant) (gₜ·g'ₛ).

    Attributes:
        inputs: A (n, T, d).
        gradients: G (n, C, T, m).
    """

    inputs: Tensor
    gradients: Tensor

    def add_to(self, tile: Tensor, other: Self, output: Output, workspace: Workspace) -> None:
        positions = self.inputs.shape[1]
        side = max(1, int(PAIR_NUMBERS**0.5) // positions)
        for i in range(0, len(self.inputs), side):
            for j in range(0, len(other.inputs), side):
                rows, columns = slice(i, i + side), slice(j, j + side)
                mine, theirs = self.take(rows), other.take(columns)
                mine._add_small(part(tile, output, rows, columns), theirs, output)

    def _add_small(self, tile: Tensor, other: Self, output: Output) -> None:
        pairs = self._pairs(other)
        left, right = self.gradients, other.gradients
        if output == "trace":
            tile.add_(_summed(pairs, left.transpose(1, 2).flatten(2), right.transpose(1, 2).flatten(2)))
            return
        for c in range(left.shape[1]):
            if output == "diagonal":
                tile[c].add_(_summed(pairs, left[:, c], right[:, c]))
                continue
            for k in range(right.shape[1]):
                tile[:, c, :, k].add_(_summed(pairs, left[:, c], right[:, k]))

    def _pairs(self, other: Self) -> Tensor:
        """scale · hₜ·h'ₛ + constant, (n₁T, n₂T)."""
        return (self.inputs.flatten(0, 1) @ other.inputs.flatten(0, 1).T).mul_(self.scale).add_(self.constant)


class LookupFactor(PositionFactor):
    """A table of which an example looks up rows k(t), at T positions.

    The inputs are one-hot vectors, so that hₜ·h'ₛ is 1 where both looked up the same row. In their place are
    the integers k (n, T).
    """

    def _pairs(self, other: Self) -> Tensor:
        """scale · [k(t) = k'(s)], (n₁T, n₂T)."""
        equal = self.inputs.flatten()[:, None] == other.inputs.flatten()
        return equal.to(self.gradients.dtype).mul_(self.scale)


def _add_hadamard(
    tile: Tensor, pairs: Tensor | None, left: Tensor, right: Tensor, workspace: Workspace
) -> None:
    """tile += pairs ∘ (left rightᵀ), all (n₁, n₂)."""
    if pairs is None:
        tile.addmm_(left, right.T)
    else:
        tile.addcmul_(pairs, torch.mm(left, right.T, out=workspace.matrix(1, len(left), len(right))))


def _summed(pairs: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Σₜₛ pairs (n₁T, n₂T) ∘ (left rightᵀ) with left (n₁, T, m), right (n₂, T, m): (n₁, n₂)."""
    positions = left.shape[1]
    product = (left.flatten(0, 1) @ right.flatten(0, 1).T).mul_(pairs)
    return product.view(len(left), positions, len(right), positions).sum((1, 3))
