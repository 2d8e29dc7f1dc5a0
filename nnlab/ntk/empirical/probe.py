"""What a network is made of: it is watched with a few examples."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.empirical.company import check_independent
from nnlab.ntk.empirical.layers import Layer, find_layers
from nnlab.ntk.empirical.network import Network
from nnlab.ntk.empirical.passes import Pass, forward
from nnlab.ntk.empirical.uses import Layout, Use, layouts, ordered, result_shape
from nnlab.ntk.errors import ModelError

# Examples that a network is watched with. No usual size of a layer is a multiple of it.
SAMPLE = 5


@dataclass(frozen=True)
class Probe:
    """What a forward pass of a few examples tells.

    Attributes:
        network: the model.
        last: the pass; it holds the graph.
        layouts: of the result of each use; None where it belongs to no examples.
        layers: the groups of parameters.
        saved: bytes that the pass keeps for the backward pass, per example, parameters apart.
        known: whether all modules are known to treat examples one by one.
    """

    network: Network
    last: Pass
    layouts: list[Layout | None]
    layers: list[Layer]
    saved: int
    known: bool


def sample_of(x: Tensor) -> Tensor:
    """Some examples to watch, repeated where there are too few."""
    return x[torch.arange(SAMPLE, device=x.device) % min(len(x), SAMPLE)]


def probe(network: Network, x: Tensor) -> Probe:
    """Watches a forward pass of the examples x.

    Raises:
        ModelError: the module fails, mixes examples or is random.
    """
    known = network.known
    seen, saved = _first_pass(network, x)
    if {name for name, _ in network.module.named_parameters()} - set(network.parameters):
        raise ModelError(
            "the model makes parameters in its first forward pass; pass some examples through it before"
        )
    check_independent(network, x, seen.raw.detach())
    found = _layouts(network, seen, known)
    layers = find_layers(network, seen, found)
    return Probe(network, seen, found, layers, saved // len(x), known)


def _first_pass(network: Network, x: Tensor) -> tuple[Pass, int]:
    """And the bytes that it keeps."""
    kept = _Kept(network.parameters.values())
    try:
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
            return forward(network, x), kept.bytes
    except ModelError:  # derivatives by torch.func inside a model do without such hooks
        seen = forward(network, x)
        numbers = sum(math.prod(result_shape(node)) for node in ordered(seen.raw.grad_fn))
        return seen, numbers * seen.raw.dtype.itemsize


class _Kept:
    """Bytes of the storages that a graph keeps, each counted once."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._sizes: dict[int, int] = {}

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())


def _layouts(network: Network, seen: Pass, known: bool) -> list[Layout | None]:
    """Where the examples stand at each use: the gradient of one example's scores is 0 elsewhere."""
    uses, n = seen.graph.uses, len(seen.x)
    if known or not uses:
        return [next(iter(layouts(use, n)), None) for use in uses]
    one = n // 2
    weights = torch.randn(network.scores(seen.raw).shape[1], generator=torch.Generator().manual_seed(0))
    score = network.scores(seen.raw)[one] @ weights.to(seen.raw)
    try:
        gradients = torch.autograd.grad(
            score, [use.edge for use in uses], retain_graph=True, materialize_grads=True
        )
    except Exception as error:
        raise ModelError(f"the model cannot be differentiated: {type(error).__name__}: {error}") from error
    return [_layout(use, g, one, n) for use, g in zip(uses, gradients, strict=True)]


def _layout(use: Use, g: Tensor, one: int, n: int) -> Layout | None:
    """The first that leaves no gradient to other examples than the one whose scores were taken."""
    for layout in layouts(use, n):
        front = layout.front(g)
        others = torch.arange(n, device=g.device) != one
        if not bool(front[others].any()):
            return layout
    return None
