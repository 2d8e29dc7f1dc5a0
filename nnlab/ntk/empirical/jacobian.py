"""Derivatives of the scores of every example, as rows of a matrix."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from nnlab.ntk.empirical.network import Network

How = Literal["vmap", "loop"]


def jacobian_rows(network: Network, names: Sequence[str], x: Tensor, how: How = "vmap") -> Tensor:
    """∂f_c/∂θ for the named parameters, (n, C, p).

    Args:
        network: the model.
        names: of trained parameters.
        x: (n, …) examples.
        how: by torch.func's vmap over jacrev, or by a loop over examples and scores, for which every
            module is good that has a derivative.
    """
    return _by_vmap(network, names, x) if how == "vmap" else _by_loop(network, names, x)


def _by_vmap(network: Network, names: Sequence[str], x: Tensor) -> Tensor:
    copies = network.copies

    def scores(values: dict[str, Tensor], example: Tensor) -> Tensor:
        return network.scores(network.call(values, torch.stack([example] * copies)))[0]

    values = {name: network.parameters[name] for name in names}
    with warnings.catch_warnings():
        # torch takes some operations one by one under vmap, and warns that this is slower
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        jacobians = vmap(jacrev(scores), in_dims=(None, 0))(values, x)
    rows = [jacobians[name].detach() for name in names]  # (n, C, *shape) each
    return torch.cat([row.reshape(*row.shape[:2], -1) for row in rows], 2)


def _by_loop(network: Network, names: Sequence[str], x: Tensor) -> Tensor:
    found: Tensor | None = None
    copies = network.copies
    for number in range(len(x)):
        scores, leaves = graph_of(network, names, torch.cat([x[number : number + 1]] * copies))
        if found is None:
            size = sum(leaf.numel() for leaf in leaves.values())
            found = scores.new_empty(len(x), scores.shape[1], size)
        for c, score in enumerate(scores[0]):
            found[number, c] = gradient(score, leaves)
    assert found is not None
    return found


def graph_of(network: Network, names: Sequence[str], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Scores (n, C) in a graph of the named parameters, which are its leaves."""
    leaves = network.leaves(names)
    return network.scores(network.call(leaves, x)), leaves


def gradient(score: Tensor, leaves: Mapping[str, Tensor]) -> Tensor:
    """The derivative of a number in the leaves, (p,); 0 in those that it does not depend on."""
    if not score.requires_grad:
        return torch.cat([torch.zeros_like(leaf).flatten() for leaf in leaves.values()])
    parts = torch.autograd.grad(score, list(leaves.values()), retain_graph=True, materialize_grads=True)
    return torch.cat([part.to_dense().flatten() if part.is_sparse else part.flatten() for part in parts])


class ForwardProducts:
    """J v for any v, by backward passes alone: u ↦ Jᵀu is linear, and the transposed derivative of it at v is
    J v (the "double backward" form of a forward product)."""

    def __init__(self, scores: Tensor, leaves: Mapping[str, Tensor]) -> None:
        """Of scores in a graph of these leaves."""
        self._u = torch.zeros_like(scores, requires_grad=True)
        gradients = torch.autograd.grad(
            scores, list(leaves.values()), self._u, create_graph=True, materialize_grads=True
        )
        self._gradients = dict(zip(leaves, gradients, strict=True))

    def times(self, v: Mapping[str, Tensor], create_graph: bool = False) -> Tensor:
        """J v, in the shape of the scores, over the leaves that v names."""
        pairs = [
            (self._gradients[name], its) for name, its in v.items() if self._gradients[name].requires_grad
        ]
        if not pairs:
            return torch.zeros_like(self._u)
        outer, directions = zip(*pairs, strict=True)
        (product,) = torch.autograd.grad(
            outer, [self._u], directions, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return product
