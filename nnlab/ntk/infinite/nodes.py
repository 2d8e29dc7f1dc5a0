"""The graph of random fields that a network computes in the limit of infinite width.

At a node an example x has values h_c(x, p) at positions p (pixels; one position in a dense network) in
channels c. As the widths grow the channels become independent and identically distributed, given the nodes
before, and a node is one of three kinds of random fields over (x, p):

- fixed: computed from the input alone, without weights;
- Gaussian: the results of linear layers, and linear operations on them;
- otherwise: results of elementwise functions of Gaussian fields, and linear operations on them.

Only an elementwise function of a Gaussian field has expectations that are integrals over two numbers, so that
`nnlab.ntk.infinite.operations` refuses functions of all other fields.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nnlab.ntk.infinite.nonlinearities import Nonlinearity


@dataclass(frozen=True)
class Window:
    """The window of a convolution, or of an average, along one axis.

    Attributes:
        before, after: number of positions of the input and of the output.
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


@dataclass(eq=False)
class Node:
    """A field over examples and positions.

    Attributes:
        index: its place in the order of computation.
        name: of the operation, for messages: qualified name and type.
        space: (H, W), (L,) or (): the positions.
        channels: their number in the finite network.
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
        if isinstance(self, Sum | Pool | Norm):
            return all(source.gaussian for source in sources(self))
        return isinstance(self, Linear)


@dataclass(eq=False)
class Fixed(Node):
    """A function of the input without weights.

    Attributes:
        values: (n, …) examples to (n, C, H, W), (n, C, L) or (n, C).
    """

    values: Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Linear(Node):
    """(σ_w/√fan_in) W h + σ_b b over all channels, and all positions or those of a window.

    Attributes:
        windows: of a convolution, one for each axis of space; None for a layer that sees all positions.
        trains: whether W and b are among the trained parameters.
        sigma_w, sigma_b: σ_w and σ_b, set once the whole model has been read, on which their defaults depend.
    """

    source: Node
    windows: tuple[Window, ...] | None
    trains: tuple[bool, bool]
    sigma_w: float = 1.0
    sigma_b: float = 0.0


@dataclass(eq=False)
class Nonlinear(Node):
    """φ(z) of a Gaussian field z."""

    source: Node
    function: Nonlinearity


@dataclass(eq=False)
class Sum(Node):
    """Σ coefficient · field, each field once."""

    terms: tuple[tuple[float, Node], ...]


@dataclass(eq=False)
class Pool(Node):
    """Averages over positions.

    Attributes:
        weights: for each axis of space (after, before), the weight of each position in each average.
    """

    source: Node
    weights: tuple[Tensor, ...]


@dataclass(eq=False)
class Norm(Node):
    """(h − m)/√(v + eps) with mean m and variance v over all channels and positions of an example.

    Attributes:
        trains: whether scale and shift, one of each for every channel and position, are trained parameters.
    """

    source: Node
    eps: float
    trains: tuple[bool, bool]


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
    """The nodes that a node is computed from."""
    if isinstance(node, Sum):
        return [term for _, term in node.terms]
    return [] if isinstance(node, Fixed) else [node.source]  # type: ignore[attr-defined]
