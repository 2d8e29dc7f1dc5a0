"""What a network computes, as its limit of infinite width sees it: a graph of a few kinds of nodes.

At a node an example x has values h_c(x, p) at positions p (pixels; one position in a dense network) in
channels c. As the widths grow the channels become independent and alike, given what came before, and a node
is one of three kinds of random fields over (x, p):

- fixed: computed from the input alone, without weights;
- Gaussian: the results of linear layers, and what linear operations make of them;
- otherwise: what elementwise functions make of Gaussian fields.

Only an elementwise function of a Gaussian field has expectations that are integrals over two numbers. So
these are the only ones there are; `nnlab.ntk.infinite.tracing` refuses all others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from nnlab.ntk.infinite.nonlinearities import Nonlinearity


@dataclass(frozen=True)
class Window:
    """What a convolution does along one axis.

    Attributes:
        before, after: positions before and after it.
        kernel, stride, dilation: as in torch.
        padding: zeros in front.
    """

    before: int
    after: int
    kernel: int
    stride: int
    dilation: int
    padding: int

    def start(self, offset: int) -> int:
        """The position that output 0 sees at an offset of the kernel; negative ones are padding."""
        return offset * self.dilation - self.padding

    def valid(self, offset: int) -> range:
        """The outputs that see a position, no padding, at an offset of the kernel."""
        start = self.start(offset)
        first = max(0, -(start // self.stride))
        last = (self.before - 1 - start) // self.stride
        return range(min(first, self.after), max(min(first, self.after), min(last + 1, self.after)))


@dataclass(frozen=True, eq=False)
class Node:
    """A field over examples and positions.

    Attributes:
        index: its place in the order of computation.
        name: of the layer, for messages: qualified name and type.
        space: (H, W), (L,) or (): the positions.
        channels: how many the finite network has.
    """

    index: int
    name: str
    space: tuple[int, ...]
    channels: int

    @property
    def positions(self) -> int:
        return math.prod(self.space)

    @property
    def gaussian(self) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class Fixed(Node):
    """A function of the input without weights.

    Attributes:
        values: (n, …) examples to (n, C, H, W), (n, C, L) or (n, C).
    """

    values: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """(σ_w/√fan_in) W h + σ_b b over all channels, and all positions or those of a window.

    Attributes:
        windows: of a convolution, one for each axis of space; None for a layer that sees all positions.
        trains: whether W and b are among the trained parameters.
    """

    source: Node
    sigma_w: float
    sigma_b: float
    windows: tuple[Window, ...] | None
    trains: tuple[bool, bool]

    @property
    def gaussian(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Nonlinear(Node):
    """φ(z) of a Gaussian field z."""

    source: Node
    function: Nonlinearity


@dataclass(frozen=True, eq=False)
class Sum(Node):
    """Σ coefficient · field, each field once."""

    terms: tuple[tuple[float, Node], ...]

    @property
    def gaussian(self) -> bool:
        return all(node.gaussian for _, node in self.terms)


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """Averages over positions.

    Attributes:
        weights: for each axis of space (after, before), how much of a position goes where.
    """

    source: Node
    weights: tuple[Tensor, ...]

    @property
    def gaussian(self) -> bool:
        return self.source.gaussian


@dataclass(frozen=True, eq=False)
class Norm(Node):
    """(h − m)/√(v + eps) with mean m and variance v over all channels and positions of an example.

    Attributes:
        trains: whether scale and shift, one of each for every channel and position, are trained parameters.
    """

    source: Node
    eps: float
    trains: tuple[bool, bool]

    @property
    def gaussian(self) -> bool:
        return self.source.gaussian


@dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Attributes:
        node: the field that it holds.
        shape: of an example: (C, H, W), (C, L) or (C,), or flattened (C·H·W,).
    """

    node: Node
    shape: tuple[int, ...]


def sources(node: Node) -> list[Node]:
    """The nodes that a node is made of."""
    if isinstance(node, Sum):
        return [term for _, term in node.terms]
    return [] if isinstance(node, Fixed) else [node.source]  # type: ignore[attr-defined]


def windows_of(
    space: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> tuple[Window, ...]:
    """The windows of a convolution; `after` is below 1 where nothing is left."""
    found = []
    for n, k, s, (front, behind), d in zip(space, kernel, stride, padding, dilation, strict=True):
        after = (n + front + behind - d * (k - 1) - 1) // s + 1
        found.append(Window(n, after, k, s, d, front))
    return tuple(found)
