"""Optimizers and step-size schedules, from plain arguments.

Every optimizer here is used the same way: `step(closure)`, where the closure computes the gradient and
returns the objective.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Optimizer = torch.optim.Optimizer
Schedule = Callable[[int], float]


class MuonWithSGD(Optimizer):
    """Muon for the weight matrices, SGD with Nesterov momentum for everything else.

    Muon replaces the momentum of a matrix by the nearest semi-orthogonal matrix (K. Jordan et al.,
    "Muon: An optimizer for hidden layers in neural networks", 2024); it says nothing about vectors.
    """

    def __init__(
        self, matrices: Iterable[Tensor], rest: Iterable[Tensor], lr: float, other_lr: float, momentum: float
    ) -> None:
        muon = torch.optim.Muon(matrices, lr=lr, momentum=momentum, weight_decay=0.0)
        sgd = torch.optim.SGD(rest, lr=other_lr, momentum=momentum, nesterov=momentum > 0)
        self._parts: tuple[Optimizer, ...] = (muon, sgd)
        self.param_groups = muon.param_groups + sgd.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def build_optimizer(
    name: Literal["sgd", "adam", "adamw", "muon", "lbfgs"],
    model: nn.Module,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    other_lr: float = 0.01,
    history: int = 20,
    iterations: int = 20,
) -> Optimizer:
    """The optimizer of that name over every trainable parameter of `model`.

    Args:
        weight_decay: decoupled decay, adamw only, on parameters with two or more axes.
        other_lr: step size of what is no matrix, muon only.
        history, iterations: stored curvature pairs and inner steps per call, lbfgs only.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, momentum=momentum, nesterov=nesterov, fused=_fusable(parameters)
        )
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2), fused=_fusable(parameters))
    if name == "adamw":
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=lr, betas=(beta1, beta2), fused=_fusable(parameters))
    if name == "muon":
        matrices = [p for p in parameters if p.ndim == 2]
        rest = [p for p in parameters if p.ndim != 2]
        if not rest:
            return torch.optim.Muon(matrices, lr=lr, momentum=momentum, weight_decay=0.0)
        return MuonWithSGD(matrices, rest, lr, other_lr, momentum)
    return torch.optim.LBFGS(
        parameters,
        lr=lr,
        max_iter=iterations,
        history_size=history,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )


def _fusable(parameters: Sequence[Tensor]) -> bool:
    """One kernel for all parameters exists on the CPU and on CUDA."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)


def schedule(
    name: Literal["constant", "cosine", "linear", "step"],
    *,
    total: int,
    warmup: int = 0,
    final: float = 0.0,
    every: int = 1,
    factor: float = 0.1,
) -> Schedule:
    """The step size as a multiple of `lr`: a function of the number of steps done.

    During warm-up it rises linearly, (k + 1)/warmup at step k. Then, with r the part done of the rest:
    constant 1; cosine final + (1 − final)(1 + cos πr)/2; linear 1 − (1 − final) r; step factor^⌊k/every⌋.
    The last step has r = 1, and so the factor `final`.

    Args:
        total: steps of the whole training.
        warmup: steps of the warm-up.
        every: steps between two drops, counted from the start; step only.
    """

    def at(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        r = min(1.0, (step - warmup) / max(1, total - 1 - warmup))
        if name == "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * r)) / 2
        if name == "linear":
            return 1 - (1 - final) * r
        if name == "step":
            return factor ** (step // every)
        return 1.0

    return at
