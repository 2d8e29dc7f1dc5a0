"""Means and second moments of every field for single examples, and blocks of pairs that look them up."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.angles import Points, augmented
from nnlab.ntk.infinite.dual_tables import Interval, Side
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool, Sum
from nnlab.ntk.infinite.nonlinearities import Dual, dual_of
from nnlab.ntk.infinite.shifts import averaged, shifted_sum


class Moments:
    """E[h(x, p)] and E[h(x, p)²] of every node for a set of examples x, at all positions p: (n, P),
    cached."""

    def __init__(self, x: Tensor, name: str, alone: "Callable[[Moments, Node], Tensor]") -> None:
        """
        Args:
            x: (n, …) examples in float64.
            name: of the set, for messages.
            alone: E[h(x, p)²] by the pairs of each example with itself, for nodes that need them.
        """
        self.x, self.name = x, name
        self._alone = alone
        self._fixed: dict[Node, Tensor] = {}
        self._points: dict[Node, Points] = {}
        self._variances: dict[Node, Tensor] = {}
        self._means: dict[Node, Tensor | None] = {}

    def fixed(self, node: Fixed) -> Tensor:
        """(n, P, C) values of a field without weights."""
        if node not in self._fixed:
            values = node.values(self.x)
            self._fixed[node] = values.reshape(len(values), node.channels, -1).transpose(1, 2).contiguous()
        return self._fixed[node]

    def points(self, node: Fixed) -> Points:
        """Directions and lengths of the values of a field with one position, over √C."""
        if node not in self._points:
            self._points[node] = augmented(self.fixed(node), self.name, 1.0, 0.0)
        return self._points[node]

    def variance(self, node: Node) -> Tensor:
        """E[h²], (n, P); for a Gaussian field, whose mean is 0, its variance."""
        if node not in self._variances:
            self._variances[node] = self._variance(node)
        return self._variances[node]

    def _variance(self, node: Node) -> Tensor:
        if isinstance(node, Fixed):
            return self.fixed(node).square().mean(dim=2)
        if isinstance(node, Linear):
            before = self.variance(node.source)
            if node.windows is None:
                mean = before.mean(dim=1, keepdim=True)
            else:
                fields = before.view(len(before), *node.source.space)
                numbers = math.prod(window.kernel for window in node.windows)
                mean = shifted_sum(fields, node.windows, 1).flatten(1) / numbers
            return mean * node.sigma_w**2 + node.sigma_b**2
        if isinstance(node, Nonlinear):
            return node.function.second(self.variance(node.source))
        if isinstance(node, Norm):
            center, deviation = self.center(node)
            total, means = self.variance(node.source), self.mean(node.source)
            if means is not None:
                total = total - 2 * center * means + center.square()
            return total / deviation.square()
        return self._alone(self, node)

    def mean(self, node: Node) -> Tensor | None:
        """E[h], (n, P), or None where it is 0."""
        if node not in self._means:
            self._means[node] = self._mean(node)
        return self._means[node]

    def _mean(self, node: Node) -> Tensor | None:
        if node.gaussian or isinstance(node, Fixed):
            return None
        if isinstance(node, Nonlinear):
            return node.function.mean(self.variance(node.source))
        if isinstance(node, Sum):
            means = [(factor, self.mean(term)) for factor, term in node.terms]
            parts = [factor * mean for factor, mean in means if mean is not None]
            return sum(parts[1:], parts[0]) if parts else None
        assert isinstance(node, Norm | Pool)
        mean = self.mean(node.source)
        if mean is None:
            return None
        if isinstance(node, Norm):
            center, deviation = self.center(node)
            return (mean - center) / deviation
        weights = [weight.to(mean.device) for weight in node.weights]
        return averaged(mean.view(len(mean), *node.source.space), weights, 1).flatten(1)

    def center(self, node: Norm) -> tuple[Tensor, Tensor]:
        """The mean that a norm subtracts and the deviation by which it divides, (n, 1) each."""
        mean = self.mean(node.source)
        square = self.variance(node.source).mean(dim=1, keepdim=True)
        center = torch.zeros_like(square) if mean is None else mean.mean(dim=1, keepdim=True)
        return center, (square - center.square() + node.eps).clamp(min=0).sqrt()


class Room(threading.local):
    """Memory that is used again by the same thread: new memory would have to be cleared each time."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Returns a tensor with arbitrary contents."""
        size = math.prod(shape)
        for k, free in enumerate(self._free):
            if len(free) == size:
                return self._free.pop(k).view(*shape)
        return like.new_empty(*shape)

    def give(self, *tensors: Tensor | None) -> None:
        """Takes back tensors that are no longer used."""
        for tensor in tensors:
            if tensor is not None and tensor.is_contiguous():
                whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize
                self._free = [tensor.view(-1), *self._free][:4] if whole else self._free


class Setting:
    """The two sets of examples, and the expectations of pairs over the range of their variances.

    Attributes:
        left, right: moments of the first and the second set.
        room: memory of states that are no longer needed, of each thread.
    """

    def __init__(self, left: Moments, right: Moments) -> None:
        self.left, self.right = left, right
        self.room = Room()
        self._duals: dict[tuple[Node, Node], Dual] = {}

    def dual(self, one: Nonlinear, two: Nonlinear) -> Dual:
        """The expectations of pairs of values of two nodes."""
        if (one, two) not in self._duals:
            intervals = self._lengths(one.source), self._lengths(two.source)
            try:
                self._duals[one, two] = dual_of(one.function, two.function, intervals)
            except KernelError as error:
                raise KernelError(f"{error} (of {one.name})") from None
        return self._duals[one, two]

    def _lengths(self, node: Node) -> Interval:
        """The smallest and the largest standard deviation of a node."""
        lengths = torch.cat([side.variance(node).sqrt().flatten() for side in (self.left, self.right)])
        return float(lengths.min()), float(lengths.max())


@dataclass(frozen=True)
class Block:
    """Pairs of examples that are computed together, as r × s; or r examples, each with itself.

    All moments have shapes that broadcast to (r, s, P, P'), or to (r, s, P, 1) for equal positions.
    """

    setting: Setting
    rows: slice
    columns: slice | None

    def moments(self, left: bool) -> Moments:
        """The moments of the first or the second set of examples."""
        return self.setting.left if left else self.setting.right

    def place(self, values: Tensor, left: bool, full: bool) -> Tensor:
        """Values (n, P) of the first examples as (r, 1, P, 1); of the second as (1, s, 1, P') if `full`, else
        as (1, s, P, 1)."""
        if left:
            return values[self.rows][:, None, :, None]
        chosen = values[self.rows][:, None] if self.columns is None else values[self.columns][None]
        return chosen[:, :, None, :] if full else chosen[..., None]

    def variances(self, one: Node, two: Node, full: bool) -> tuple[Tensor, Tensor]:
        """E[h²] of a node for the first examples and of another for the second ones."""
        left, right = self.setting.left.variance(one), self.setting.right.variance(two)
        return self.place(left, True, full), self.place(right, False, full)

    def sides(self, one: Nonlinear, two: Nonlinear, full: bool) -> tuple[Side, Side]:
        """The Gaussian fields of which two nodes are functions."""
        left, right = zip(
            self.variances(one.source, two.source, full), self.variances(one, two, full), strict=True
        )
        return Side.of(*left), Side.of(*right)

    @property
    def shape(self) -> tuple[int, int]:
        """(r, s)."""
        r: int = self.rows.stop - self.rows.start
        return r, 1 if self.columns is None else self.columns.stop - self.columns.start
