"""Moments of a training on the line: the kernel, the function, its linearization and some weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels import schema
from nnlab.chapters.kernels.setup import KernelMLP
from nnlab.ntk import NonFiniteError, as_matrix, empirical_ntk
from nnlab.record.arrays import under
from nnlab.training.descent import Function, spaced_steps

MOMENTS = 12
MOST_EXAMPLES = 64  # whose kernels are small enough to be kept at every moment
UNITS = 6  # of each layer, whose weights are kept, the last one among them: as many as a drawing has room for


def moments_of(steps: int) -> list[int]:
    """The steps that are kept: 0 and some later ones, ever more rarely, the last one among them."""
    return spaced_steps(steps, MOMENTS - 1)


@dataclass
class Moments:
    """What one training was at some of its steps; filled by `watch` and `watch_linearization`.

    Attributes:
        network: the module.
        function: the same as a function of its weights and of inputs.
        tangent: its linearization, likewise.
        x: (n, 1) examples.
        grid: (g, 1) inputs at which the function is kept.
        steps: (K,) that are kept.
        memory_limit: of one kernel, in bytes; None for a quarter of the free memory.
        kernels: (n, n) H of every moment.
        functions: (g,) the network's outputs over the grid.
        linearizations: (g,) those of its linearization.
        weights: of every moment, layer by layer, those of the first units and the last: (≤ UNITS, ≤ UNITS).
    """

    network: torch.nn.Module
    function: Function
    tangent: Function
    x: Tensor
    grid: Tensor
    steps: Sequence[int]
    memory_limit: int | None = None
    kernels: list[Tensor] = field(default_factory=list)
    functions: list[Tensor] = field(default_factory=list)
    linearizations: list[Tensor] = field(default_factory=list)
    weights: list[list[Tensor]] = field(default_factory=list)

    def watch(self, step: int, w: Mapping[str, Tensor]) -> None:
        """Keeps a moment of the network's training; for `follow`."""
        if step not in self.steps:
            return
        now = {name: value.detach() for name, value in w.items()}
        try:
            kernel = empirical_ntk(self.network, self.x, params=now, memory_limit=self.memory_limit)
        except NonFiniteError:  # on its way to infinity: outputs that are squared in H
            return
        self.kernels.append(as_matrix(kernel.cpu()).double())
        with torch.no_grad():
            self.functions.append(self.function(now, self.grid)[:, 0].double().cpu())
        matrices = [value for value in now.values() if value.ndim == 2]
        self.weights.append([_of_some_units(value).double().cpu() for value in matrices])

    def watch_linearization(self, step: int, w: Mapping[str, Tensor]) -> None:
        """Keeps a moment of the linearized network's training."""
        if step in self.steps:
            with torch.no_grad():
                now = {name: value.detach() for name, value in w.items()}
                self.linearizations.append(self.tangent(now, self.grid)[:, 0].double().cpu())

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of this width, as `schema.ARRAYS` describes them; empty where training diverged."""
        if len(self.functions) < len(self.steps) or len(self.linearizations) < len(self.steps):
            return {}
        layers = {
            f"{schema.WEIGHTS}/{i}": torch.stack(list(layer)).numpy()
            for i, layer in enumerate(zip(*self.weights, strict=True))
        }
        return {
            schema.KERNEL: torch.stack(self.kernels).numpy(),
            schema.NETWORK: torch.stack(self.functions).numpy(),
            schema.LINEARIZED: torch.stack(self.linearizations).numpy(),
            **layers,
        }


def _of_some_units(weight: Tensor) -> Tensor:
    """The entries between the first units, and the last one, of two layers."""
    rows, columns = ([*range(min(n, UNITS) - 1), n - 1] for n in weight.shape)
    return weight[rows][:, columns]


def are_kept(model: object, examples: int, outputs: int) -> bool:
    """Tells whether moments of such a training are kept: of a small one with one output."""
    return isinstance(model, KernelMLP) and outputs == 1 and examples <= MOST_EXAMPLES


def saved(steps: Sequence[int], by_width: Mapping[int, Moments]) -> dict[str, np.ndarray]:
    """The arrays of all widths that did not diverge, with the steps."""
    rows = {str(width): moments.arrays() for width, moments in by_width.items()}
    rows = {width: arrays for width, arrays in rows.items() if arrays}
    if not rows:
        return {}
    flat = {f"{width}/{name}": array for width, arrays in rows.items() for name, array in arrays.items()}
    return under(schema.MOMENTS, {schema.STEPS: np.array(steps), **flat})
