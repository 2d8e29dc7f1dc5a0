"""Means and variances of every field for single examples, and the blocks of pairs that they are looked up
for."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.angles import Points, augmented
from nnlab.ntk.infinite.dual_tables import Side
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
            return self._of_linear(node)
        if isinstance(node, Nonlinear):
            return node.function.second(self.variance(node.source))
        if isinstance(node, Norm):
            center, deviation = self.center(node)
            total = self.variance(node.source)
            mean = self.mean(node.source)
            if mean is not None:
                total = total - 2 * center * mean + center.square()
            return total / deviation.square()
        if isinstance(node, Pool | Sum):
            return self._alone(self, node)
        raise AssertionError(f"no variance of {node}")

    def _of_linear(self, node: Linear) -> Tensor:
        before = self.variance(node.source)
        if node.windows is None:
            mean = before.mean(dim=1, keepdim=True)
        else:
            fields = before.view(len(before), *node.source.space)
            kernel = 1
            for window in node.windows:
                kernel *= window.kernel
            mean = shifted_sum(fields, node.windows, 1).flatten(1) / kernel
        return mean * node.sigma_w**2 + node.sigma_b**2

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
        if isinstance(node, Norm):
            mean = self.mean(node.source)
            center, deviation = self.center(node)
            return None if mean is None else (mean - center) / deviation
        if isinstance(node, Pool):
            mean = self.mean(node.source)
            if mean is None:
                return None
            weights = [weight.to(mean.device) for weight in node.weights]
            return averaged(mean.view(len(mean), *node.source.space), weights, 1).flatten(1)
        if isinstance(node, Sum):
            means = [(factor, self.mean(term)) for factor, term in node.terms]
            parts = [factor * mean for factor, mean in means if mean is not None]
            return sum(parts[1:], parts[0]) if parts else None
        raise AssertionError(f"no mean of {node}")

    def slope(self, node: Nonlinear) -> Tensor:
        """E[φ'(z)], (n, P)."""
        return node.function.slope(self.variance(node.source))

    def center(self, node: Norm) -> tuple[Tensor, Tensor]:
        """What a norm subtracts and what it divides by, (n, 1) each."""
        mean = self.mean(node.source)
        square = self.variance(node.source).mean(dim=1, keepdim=True)
        center = torch.zeros_like(square) if mean is None else mean.mean(dim=1, keepdim=True)
        return center, (square - center.square() + node.eps).clamp(min=0).sqrt()


class Room(threading.local):
    """Memory that is used again by the same thread: what the system hands out, it has to clear each time."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor of any contents."""
        size = math.prod(shape)
        for k, free in enumerate(self._free):
            if len(free) == size:
                return self._free.pop(k).view(*shape)
        return like.new_empty(*shape)

    def give(self, *tensors: Tensor | None) -> None:
        """Takes tensors back that nobody uses any more."""
        for tensor in tensors:
            if tensor is not None and tensor.is_contiguous():
                whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize
                self._free = [tensor.view(-1), *self._free][:4] if whole else self._free


class Setting:
    """The two sets of examples, and the expectations of pairs that their lengths ask for.

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
            intervals = []
            for node in (one, two):
                lengths = [side.variance(node.source).sqrt() for side in (self.left, self.right)]
                low = min(float(some.min()) for some in lengths)
                high = max(float(some.max()) for some in lengths)
                intervals.append((low, high))
            try:
                self._duals[one, two] = dual_of(one.function, two.function, (intervals[0], intervals[1]))
            except KernelError as error:
                raise KernelError(f"{error} (of {one.name})") from None
        return self._duals[one, two]


@dataclass(frozen=True)
class Block:
    """Pairs of examples that are worked on together, as r × s; or r examples, each with itself.

    What is looked up has a shape that broadcasts to (r, s, P, P'), or to (r, s, P, 1) for equal positions.
    """

    setting: Setting
    rows: slice
    columns: slice | None

    def left(self, values: Tensor) -> Tensor:
        """(n, P) of the first examples, as (r, 1, P, 1)."""
        return values[self.rows][:, None, :, None]

    def right(self, values: Tensor, full: bool) -> Tensor:
        """(n, P) of the second examples, as (1, s, 1, P'), or (1, s, P, 1) unless `full`."""
        if self.columns is None:
            chosen = values[self.rows][:, None]
        else:
            chosen = values[self.columns][None]
        return chosen[:, :, None, :] if full else chosen[..., None]

    def sides(self, one: Nonlinear, two: Nonlinear, full: bool) -> tuple[Side, Side]:
        """The Gaussian numbers that two nodes take values of."""
        found = []
        for node, moments, place in (
            (one, self.setting.left, self.left),
            (two, self.setting.right, lambda values: self.right(values, full)),
        ):
            found.append(Side.of(place(moments.variance(node.source)), place(moments.variance(node))))
        return found[0], found[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(r, s)."""
        r: int = self.rows.stop - self.rows.start
        return r, 1 if self.columns is None else self.columns.stop - self.columns.start
