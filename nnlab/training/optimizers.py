"""Optimizers and step-size schedules, from plain arguments.

Every optimizer here is used the same way: `step(closure)`, where the closure computes the gradient and
returns the objective.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Optimizer = torch.optim.Optimizer
Schedule = Callable[[int], float]


class MuonWithSGD(Optimizer):
    """Muon for weight matrices and filters, SGD with Nesterov momentum for everything else.

    Muon replaces the momentum of a matrix by the nearest semi-orthogonal matrix (K. Jordan et al.,
    "Muon: An optimizer for hidden layers in neural networks", 2024). Filters (maps, channels, height, width)
    count as a matrix with one row a map; it says nothing about vectors.

    Args:
        matrices: the parameters for Muon, each with two or more axes.
        rest: groups of the others, with an `lr` each.
        other_momentum: of SGD; None for the same.
        other_decay: the share of the other parameters that a step of SGD without momentum takes away at the
            full step size; on the way it falls with a schedule, as L2 regularization does.
        unit_filters: before each step, filters are scaled to the norm √maps. With batch norm behind them
            their scale changes nothing but how large a step is beside it.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        rest: Sequence[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        newton_schulz_steps: int = 5,
        unit_filters: bool = False,
        other_momentum: float | None = None,
        other_decay: float = 0.0,
    ) -> None:
        self._muon = torch.optim.Muon(
            [as_matrix(p.detach()) for p in matrices],
            lr=lr,
            momentum=momentum,
            weight_decay=0.0,
            ns_steps=newton_schulz_steps,
        )
        self._unit_filters = unit_filters
        self._matrices: dict[str, Any] = {"params": list(matrices), "lr": lr}
        other = momentum if other_momentum is None else other_momentum
        groups = [{"weight_decay": other_decay / group["lr"], **group} for group in rest]
        self._sgd = torch.optim.SGD(groups, lr=lr, momentum=other, nesterov=other > 0) if groups else None
        self.param_groups = [self._matrices, *(self._sgd.param_groups if self._sgd else [])]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        (group,) = self._muon.param_groups
        group["lr"] = self._matrices["lr"]
        for p, matrix in zip(self._matrices["params"], group["params"], strict=True):
            matrix.grad = None if p.grad is None else as_matrix(p.grad)
            if self._unit_filters and p.ndim > 2:
                p.mul_(len(p) ** 0.5 / p.norm().clamp_min(torch.finfo(p.dtype).tiny))
        self._muon.step()  # type: ignore[no-untyped-call]
        if self._sgd is not None:
            self._sgd.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def state_dict(self) -> dict[str, Any]:
        parts = [self._muon, *([self._sgd] if self._sgd else [])]
        return {"parts": [part.state_dict() for part in parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        parts = [self._muon, *([self._sgd] if self._sgd else [])]
        for part, state in zip(parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._matrices["lr"] = self._muon.param_groups[0]["lr"]
        self.param_groups = [self._matrices, *(self._sgd.param_groups if self._sgd else [])]


def as_matrix(weights: Tensor) -> Tensor:
    """(maps, …) as (maps, everything else): a view, whether the channels are stored first or last.

    The order of the columns depends on it, but orthogonalizing commutes with every order of columns.
    """
    inner = sorted(range(1, weights.ndim), key=weights.stride, reverse=True)  # as they lie in memory
    return weights.permute(0, *inner).view(len(weights), -1)


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
    newton_schulz_steps: int = 5,
    unit_filters: bool = False,
    other_lr: float = 0.01,
    other_momentum: float | None = None,
    other_decay: float = 0.0,
    head_lr: float | None = None,
    history: int = 20,
    iterations: int = 20,
) -> Optimizer:
    """The optimizer of that name over every trainable parameter of `model`.

    Args:
        weight_decay: decoupled decay, adamw only, on parameters with two or more axes.
        newton_schulz_steps, unit_filters, other_momentum, other_decay: see MuonWithSGD; muon only.
        other_lr: step size of what is no matrix, muon only.
        head_lr: step size of the last of several matrices, which then is no longer Muon's; muon only.
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
        matrices = [p for p in parameters if p.ndim >= 2]
        rest: list[dict[str, Any]] = []
        if head_lr is not None and len(matrices) > 1:
            rest.append({"params": [matrices.pop()], "lr": head_lr})
        vectors = [p for p in parameters if p.ndim < 2]
        if vectors:
            rest.append({"params": vectors, "lr": other_lr})
        return MuonWithSGD(
            matrices,
            rest,
            lr=lr,
            momentum=momentum,
            newton_schulz_steps=newton_schulz_steps,
            unit_filters=unit_filters,
            other_momentum=other_momentum,
            other_decay=other_decay,
        )
    model.to(memory_format=torch.contiguous_format)  # it takes gradients as vectors, without a copy
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
