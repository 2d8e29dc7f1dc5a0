"""The kernel by vector products: no Jacobian and no layers, one column after the other."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nnlab.ntk.empirical.blocks import Progress, check_finite, pairs_of, slices
from nnlab.ntk.empirical.factors import Output, public
from nnlab.ntk.empirical.jacobian import ForwardProducts
from nnlab.ntk.empirical.kernel_file import Finished
from nnlab.ntk.empirical.layers import Layer
from nnlab.ntk.empirical.network import Network


def fill_by_products(
    kernels: Mapping[str | None, Tensor],
    network: Network,
    groups: Sequence[Layer],
    x1: Tensor,
    x2: Tensor | None,
    output: Output,
    block: int,
    progress: Progress | None,
    finished: Finished,
) -> None:
    """Writes the kernel: column (x', c') is J(x) v with v = J(x')ᵀ e_c'.

    Args:
        kernels: where it goes, as tiles lie in memory: one per group, or one under None for the sum.
        network: the model at its parameters.
        groups: the parameters, by layer.
        x1: (n₁, …).
        x2: (n₂, …), or None for x1.
        output: which kernel.
        block: examples of x1 that go through the network together.
        progress: told pairs done and pairs in all.
        finished: what is there already, and is told what is.
    """
    kernels = {name: public(kernel, output) for name, kernel in kernels.items()}
    symmetric, others = x2 is None, x1 if x2 is None else x2
    done, total = 0, pairs_of(len(x1), None if symmetric else len(x2))  # type: ignore[arg-type]
    for rows in slices(0, len(x1), block):
        reach = slice(rows.start if symmetric else 0, len(others))
        if finished.covers(rows, reach):
            done += sum(
                min(j + 1, rows.stop) - rows.start if symmetric else rows.stop - rows.start
                for j in range(reach.start, reach.stop)
            )
            continue
        products = _Products(network, groups, x1[rows])
        for j in range(reach.start, reach.stop):
            for name, column in products.columns(others[j : j + 1], by_group=None not in kernels).items():
                _write(kernels[name], column, rows, j, output)
                if symmetric and j >= rows.stop:
                    _write_mirrored(kernels[name], column, rows, j, output)
            done += min(j + 1, rows.stop) - rows.start if symmetric else rows.stop - rows.start
            if progress is not None:
                progress(done, total)
        for kernel in kernels.values():
            check_finite(kernel[rows], rows, slice(0, len(others)))
            if symmetric:
                square = kernel[rows, rows]
                square.copy_(
                    (square + (square.permute(1, 0, 3, 2) if output == "full" else square.transpose(0, 1)))
                    / 2
                )
        finished.add(rows, reach)


class _Products:
    """J(x) v for the examples of a block and any v."""

    def __init__(self, network: Network, groups: Sequence[Layer], x: Tensor) -> None:
        self._network, self._groups = network, groups
        self._values = network.leaves(name for layer in groups for name in layer.parameters)
        self._forward = ForwardProducts(self._scores(x), self._values)

    def _scores(self, x: Tensor) -> Tensor:
        return self._network.scores(self._network.call(self._values, x))

    def columns(self, example: Tensor, by_group: bool) -> dict[str | None, Tensor]:
        """(b, C, C'): H between the block and one example, in all or by group."""
        scores = self._scores(torch.cat([example] * self._network.copies))[0]
        found: dict[str | None, list[Tensor]] = {}
        for score in scores:
            v = torch.autograd.grad(
                score, list(self._values.values()), retain_graph=True, materialize_grads=True
            )
            directions = dict(zip(self._values, v, strict=True))
            names = [layer.name for layer in self._groups] if by_group else [None]
            for name in names:
                found.setdefault(name, []).append(self._product(directions, name))
        return {name: torch.stack(columns, -1) for name, columns in found.items()}

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
    """Puts H (b, C, C') between a block and example j where it belongs."""
    if output == "full":
        kernel[rows, j] = column
    else:
        equal = column.diagonal(dim1=1, dim2=2)  # (b, C)
        kernel[rows, j] = equal.sum(1) if output == "trace" else equal


def _write_mirrored(kernel: Tensor, column: Tensor, rows: slice, j: int, output: Output) -> None:
    kernel[j, rows] = kernel[rows, j].transpose(1, 2) if output == "full" else kernel[rows, j]
