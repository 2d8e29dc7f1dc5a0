"""A forward pass of a network in a graph of autograd, and where its parameters are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from nnlab.ntk.empirical.network import Network
from nnlab.ntk.empirical.uses import Graph, Layout, find_uses
from nnlab.ntk.errors import KernelError, ModelError


class UnexpectedGraphError(ModelError):
    """A pass whose graph is not that of the probe: the model chooses what to compute by its examples."""


@dataclass(frozen=True)
class Pass:
    """A forward pass, in a graph.

    Attributes:
        x: the examples.
        raw: what the module returned.
        leaves: the trained parameters in the graph, by name.
        graph: where they are used.
        tracked: whether the examples are a part of the graph.
    """

    x: Tensor
    raw: Tensor
    leaves: Mapping[str, Tensor]
    graph: Graph
    tracked: bool

    def is_of(self, x: Tensor) -> bool:
        """Whether the pass was of these very examples."""
        return x.data_ptr() == self.x.data_ptr() and x.shape == self.x.shape and x.stride() == self.x.stride()


def forward(
    network: Network, x: Tensor, before: Pass | None = None, layouts: Sequence[Layout | None] = ()
) -> Pass:
    """The module's output on x, in a graph, and each use of its parameters.

    Args:
        network: the model.
        x: the examples.
        before: an earlier pass, whose graph this one must show again.
        layouts: where the examples stand in the results of its uses.

    Raises:
        UnexpectedGraphError: it does not.
        ModelError: the module fails.
    """
    leaves = network.leaves(network.trained)
    tracked = x.is_floating_point() and (before is None or before.tracked)
    try:
        raw, examples = _tracked(network, leaves, x) if tracked else (network.call(leaves, x), None)
    except KernelError:
        raise
    except Exception as error:
        if before is not None:  # other methods may do
            raise UnexpectedGraphError(str(failed(x, error))) from error
        if not tracked:
            raise failed(x, error) from error
        try:  # some modules take examples that are no part of a graph only
            raw, examples = network.call(leaves, x), None
        except Exception as again:
            raise failed(x, again) from again
    decisions = before.graph.decisions if before is not None else [] if network.known else None
    graph = find_uses(raw, leaves, examples, len(x), decisions)
    _check_foreign(graph, network)
    if before is not None and graph.signature != before.graph.signature:
        raise UnexpectedGraphError("the model computes other things for some examples than for others")
    if before is not None:
        _check_shapes(graph, before.graph, layouts, len(x))
    return Pass(x, raw, leaves, graph, examples is not None)


def _check_foreign(graph: Graph, network: Network) -> None:
    """Raises ModelError where a parameter was to be replaced, and the module uses the one that it had."""
    for tensor in graph.foreign:
        if id(tensor) in network.names:
            raise ModelError(
                f"parameter {network.names[id(tensor)]} is used in a place where no other value can be put, "
                "such as a hook or a plain list; call without params= and dtype="
            )


def _tracked(network: Network, leaves: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """With the examples as a leaf of the graph, so that it tells what depends on them."""
    leaf = x.detach().requires_grad_()
    return network.call(leaves, leaf), leaf


def failed(x: Tensor, error: Exception) -> ModelError:
    """What to say where the module itself fails."""
    reason = " ".join(str(error).split())
    return ModelError(
        f"the model fails on examples of shape {tuple(x.shape)} and type {x.dtype}: "
        f"{type(error).__name__}: {reason[:300]}; a tangent kernel needs one that takes any number of them"
    )


def _check_shapes(graph: Graph, last: Graph, layouts: Sequence[Layout | None], n: int) -> None:
    for use, before, layout in zip(graph.uses, last.uses, layouts, strict=True):
        if layout is None:
            continue
        expected = list(before.shape)
        expected[layout.axis] = n * layout.positions
        if list(use.shape) != expected:
            raise UnexpectedGraphError(
                f"the model computes {use.node.name()} of shape {use.shape} in place of {tuple(expected)}"
            )
