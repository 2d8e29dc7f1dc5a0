"""Full-batch gradient descent of a function of parameters, which need not be a module: every output kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnlab.display import displayed
from nnlab.errors import Interrupted

Function = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@displayed
@dataclass(frozen=True)
class Trajectory:
    """One descent.

    Attributes:
        outputs: (steps + 1, n, C) at every step, the start first; NaN after the step that diverged.
        parameters: w where it ended.
        diverged: the step at which an output or the loss was no longer finite, or None.
    """

    outputs: Tensor
    parameters: dict[str, Tensor]
    diverged: int | None


def follow(
    function: Function,
    start: Mapping[str, Tensor],
    x: Tensor,
    objective: Callable[[Tensor], Tensor],
    *,
    lr: float,
    steps: int,
    observe: Callable[[int, Mapping[str, Tensor]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trajectory:
    """w ← w − η∇L(w) with L(w) = objective(function(w, x)), from `start`, which is left as it is.

    Args:
        function: (w, x) to outputs (n, C), differentiable in w.
        start: w by name.
        x: (n, …) examples.
        objective: from outputs to the loss.
        lr: η.
        steps: how many.
        observe: told the number of the step and w, before each step and at the end.
        stop: asked before every step; True raises Interrupted.

    Raises:
        Interrupted: `stop` said so.
    """
    w = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    kept: list[Tensor] = []
    diverged = None
    for step in range(steps + 1):
        if stop is not None and stop():
            raise Interrupted(f"interrupted at step {step} of {steps}")
        outputs = function(w, x)
        kept.append(outputs.detach().clone())
        loss = objective(outputs)  # may overflow where no output does
        if not (torch.isfinite(loss) and torch.isfinite(outputs).all()):
            diverged = step
            kept += [torch.full_like(kept[0], torch.nan)] * (steps - step)
            break
        if observe is not None:
            observe(step, w)
        if step < steps:
            gradients = torch.autograd.grad(loss, list(w.values()), materialize_grads=True)
            with torch.no_grad():
                for value, gradient in zip(w.values(), gradients, strict=True):
                    value.sub_(gradient, alpha=lr)
    ended = {name: value.detach() for name, value in w.items()}
    return Trajectory(torch.stack(kept), ended, diverged)


def spaced_steps(steps: int, points: int) -> list[int]:
    """0, and up to `points` numbers from 1 to `steps`, evenly spaced in their logarithm."""
    return sorted({0, *np.rint(np.geomspace(1, steps, points)).astype(int).tolist()})
