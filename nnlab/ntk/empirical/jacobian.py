"""The Jacobian by autograd alone: its rows, products with it, and the kernel from these."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from nnlab.ntk.empirical.blocks import Destination, check_finite, slices
from nnlab.ntk.empirical.factors import Output, make_symmetric, part, public
from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.empirical.layers import Layer

RowMethod = Literal["vmap", "loop"]


def jacobian_rows(
    network: FunctionalModule, names: Sequence[str], x: Tensor, method: RowMethod = "vmap"
) -> Tensor:
    """The rows ∂f_c/∂θ for the named parameters, (n, C, p).

    Args:
        network: the model.
        names: of trained parameters.
        x: (n, …) examples.
        method: torch.func's vmap over jacrev, or a loop over examples and scores, which works for every
            module that has a derivative.
    """
    return _by_vmap(network, names, x) if method == "vmap" else _by_loop(network, names, x)


def _by_vmap(network: FunctionalModule, names: Sequence[str], x: Tensor) -> Tensor:
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


def _by_loop(network: FunctionalModule, names: Sequence[str], x: Tensor) -> Tensor:
    rows: Tensor | None = None
    for number in range(len(x)):
        leaves = network.leaves(names)
        copies = torch.cat([x[number : number + 1]] * network.copies)
        scores = network.scores(network.call(leaves, copies))
        if rows is None:
            size = sum(leaf.numel() for leaf in leaves.values())
            rows = scores.new_empty(len(x), scores.shape[1], size)
        for c, score in enumerate(scores[0]):
            rows[number, c] = _gradient(score, leaves)
    assert rows is not None
    return rows


def _gradient(score: Tensor, leaves: Mapping[str, Tensor]) -> Tensor:
    """The derivative of a number in the leaves, (p,); 0 in those that it does not depend on."""
    if not score.requires_grad:
        return torch.cat([torch.zeros_like(leaf).flatten() for leaf in leaves.values()])
    parts = torch.autograd.grad(score, list(leaves.values()), retain_graph=True, materialize_grads=True)
    return torch.cat([part.to_dense().flatten() if part.is_sparse else part.flatten() for part in parts])


class ForwardProducts:
    """J v for any v, by backward passes alone: u ↦ Jᵀu is linear, and the transposed derivative of it at v is
    J v (the "double backward" form of a forward product)."""

    def __init__(self, scores: Tensor, leaves: Mapping[str, Tensor]) -> None:
        """Prepares the products for scores in a graph of these leaves."""
        self._u = torch.zeros_like(scores, requires_grad=True)
        gradients = torch.autograd.grad(
            scores, list(leaves.values()), self._u, create_graph=True, materialize_grads=True
        )
        self._gradients = dict(zip(leaves, gradients, strict=True))

    def times(self, v: Mapping[str, Tensor], create_graph: bool = False) -> Tensor:
        """J v, in the shape of the scores, over the leaves that v names."""
        pairs = [(self._gradients[name], along) for name, along in v.items()]
        pairs = [(gradient, along) for gradient, along in pairs if gradient.requires_grad]
        if not pairs:
            return torch.zeros_like(self._u)
        outer, directions = zip(*pairs, strict=True)
        (product,) = torch.autograd.grad(
            outer, [self._u], directions, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return product


# --- the kernel by products ----------------------------------------------------------------------


def fill_by_products(
    destination: Destination,
    network: FunctionalModule,
    groups: Sequence[Layer],
    x1: Tensor,
    x2: Tensor | None,
    block: int,
) -> None:
    """Writes the kernel: column (x', c') is J(x) v with v = J(x')ᵀ e_c'.

    Args:
        destination: the kernels.
        network: the model at its parameters.
        groups: the parameters, by layer.
        x1: (n₁, …).
        x2: (n₂, …), or None for x1.
        block: examples of x1 that go through the network together.
    """
    output, kernels, finished = destination.output, destination.kernels, destination.finished
    views = {name: public(kernel, output) for name, kernel in kernels.items()}
    symmetric, others = x2 is None, x1 if x2 is None else x2
    for rows in slices(0, len(x1), block):
        reach = range(rows.start if symmetric else 0, len(others))
        columns = slice(reach.start, reach.stop)
        counts = [(min(j + 1, rows.stop) if symmetric else rows.stop) - rows.start for j in reach]
        if finished.covers(rows, columns):
            destination.report(sum(counts))
            continue
        products = _Products(network, groups, x1[rows])
        for j, count in zip(reach, counts, strict=True):
            for name, column in products.columns(others[j : j + 1], by_group=None not in kernels).items():
                _write(views[name], column, rows, j, output)
                if symmetric and j >= rows.stop:
                    _write_mirrored(views[name], column, rows, j, output)
            destination.report(count)
        for name, kernel in kernels.items():
            check_finite(views[name][rows], rows, slice(0, len(others)))
            if symmetric:
                make_symmetric(part(kernel, output, rows, rows), output)
        finished.add(rows, columns)


class _Products:
    """J(x) v for the examples of a block and any v."""

    def __init__(self, network: FunctionalModule, groups: Sequence[Layer], x: Tensor) -> None:
        self._network, self._groups = network, groups
        self._values = network.leaves(name for layer in groups for name in layer.parameters)
        self._forward = ForwardProducts(self._scores(x), self._values)

    def _scores(self, x: Tensor) -> Tensor:
        return self._network.scores(self._network.call(self._values, x))

    def columns(self, example: Tensor, by_group: bool) -> dict[str | None, Tensor]:
        """(b, C, C'): H between the block and one example, in all or by group."""
        scores = self._scores(torch.cat([example] * self._network.copies))[0]
        columns: dict[str | None, list[Tensor]] = {}
        for score in scores:
            v = torch.autograd.grad(
                score, list(self._values.values()), retain_graph=True, materialize_grads=True
            )
            directions = dict(zip(self._values, v, strict=True))
            names = [layer.name for layer in self._groups] if by_group else [None]
            for name in names:
                columns.setdefault(name, []).append(self._product(directions, name))
        return {name: torch.stack(parts, -1) for name, parts in columns.items()}

    def _product(self, directions: Mapping[str, Tensor], group: str | None) -> Tensor:
        """J v (b, C), over the parameters of one group or of all."""
        names = [
            name
            for layer in self._groups
            if group is None or layer.name == group
            for name in layer.parameters
        ]
        return self._forward.times({name: directions[name] for name in names})


def _write(kernel: Tensor, column: Tensor, rows: slice, j: int, output: Output) -> None:
    """Writes H (b, C, C') between a block and example j."""
    if output == "full":
        kernel[rows, j] = column
    else:
        equal = column.diagonal(dim1=1, dim2=2)  # (b, C)
        kernel[rows, j] = equal.sum(1) if output == "trace" else equal


def _write_mirrored(kernel: Tensor, column: Tensor, rows: slice, j: int, output: Output) -> None:
    kernel[j, rows] = kernel[rows, j].transpose(1, 2) if output == "full" else kernel[rows, j]
