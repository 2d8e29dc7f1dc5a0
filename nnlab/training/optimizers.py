"""Optimizers and step-size schedules, from plain arguments.

Every optimizer here is used the same way: `step(closure)`, where the closure computes the gradient and
returns the objective. All of them take the trainable parameters of a model.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nnlab.errors import InputError
from nnlab.models import ScaledLinear

Optimizer = torch.optim.Optimizer
Schedule = Callable[[int], float]

LARGEST_EXPONENT = 80
"""The largest exponent of the power of 2 that an objective in float32 may be multiplied with."""


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _scaled_groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    """Groups of trainable parameters by what Adam's step size is multiplied with; mostly one group of 1."""
    scales: dict[Tensor, float] = {}
    for module in model.modules():
        if isinstance(module, ScaledLinear):
            scales[module.weight] = module.adam_scale[0]
            if module.bias is not None:
                scales[module.bias] = module.adam_scale[1]
    groups: dict[float, list[nn.Parameter]] = {}
    for p in _trainable(model):
        groups.setdefault(scales.get(p, 1.0), []).append(p)
    return [{"params": group, "lr": scale * lr, "scale": scale} for scale, group in groups.items()]


def base_lr(optimizer: Optimizer) -> float:
    """The first group's step size at this moment of the schedule, without the factor of its layer."""
    group = optimizer.param_groups[0]
    return float(group["lr"] / group.get("scale", 1.0))


def _fused(model: nn.Module) -> bool:
    """One kernel for all parameters exists on the CPU and on CUDA."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in _trainable(model))


def sgd(model: nn.Module, *, lr: float, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent, with momentum or Nesterov's momentum where asked for."""
    return torch.optim.SGD(
        _trainable(model), lr=lr, momentum=momentum, nesterov=nesterov, fused=_fused(model)
    )


def adam(model: nn.Module, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999) -> Optimizer:
    """Adam (Kingma & Ba 2015), with the step sizes of each layer in the mup parameterization."""
    return torch.optim.Adam(_scaled_groups(model, lr), lr=lr, betas=(beta1, beta2), fused=_fused(model))


def adamw(
    model: nn.Module,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay on the parameters with two or more axes.

    A step takes away the same share lr · weight_decay of each, in the mup parameterization, too.
    """
    groups = []
    for group in _scaled_groups(model, lr):
        decay = weight_decay / group["scale"]
        for decayed, some in ((decay, True), (0.0, False)):
            parameters = [p for p in group["params"] if (p.ndim >= 2) == some]
            if parameters:
                groups.append({**group, "params": parameters, "weight_decay": decayed})
    return torch.optim.AdamW(groups, lr=lr, betas=(beta1, beta2), fused=_fused(model))


class Muon(Optimizer):
    """Muon for weight matrices and filters, SGD with Nesterov momentum for everything else.

    Muon replaces the momentum of a matrix by the nearest semi-orthogonal matrix (K. Jordan et al.,
    "Muon: An optimizer for hidden layers in neural networks", 2024). Filters (maps, channels, height, width)
    count as a matrix with one row a map; it says nothing about vectors.

    Args:
        model: whose parameters are trained.
        lr, momentum, newton_schulz_steps: of Muon.
        unit_filters: before each step, filters are scaled to the norm √maps. With batch norm behind them
            their scale changes nothing but how large a step is beside it.
        other_lr: step size of SGD.
        other_momentum: of SGD; None for the same.
        other_decay: the share of the other parameters that a step of SGD without momentum takes away at the
            full step size; on the way it falls with a schedule, as L2 regularization does.
        head_lr: step size of SGD for the last of several matrices, which then is no longer Muon's.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        newton_schulz_steps: int = 5,
        unit_filters: bool = False,
        other_lr: float = 0.01,
        other_momentum: float | None = None,
        other_decay: float = 0.0,
        head_lr: float | None = None,
    ) -> None:
        parameters = _trainable(model)
        matrices = [p for p in parameters if p.ndim >= 2]
        rest: list[dict[str, Any]] = []
        if head_lr is not None and len(matrices) > 1:
            rest.append({"params": [matrices.pop()], "lr": head_lr})
        rest.append({"params": [p for p in parameters if p.ndim < 2], "lr": other_lr})
        groups = [{"weight_decay": other_decay / group["lr"], **group} for group in rest if group["params"]]
        other = momentum if other_momentum is None else other_momentum
        muon = torch.optim.Muon(
            [as_matrix(p.detach()) for p in matrices],
            lr=lr,
            momentum=momentum,
            weight_decay=0.0,
            ns_steps=newton_schulz_steps,
        )
        self.parts: list[Optimizer] = [muon]
        if groups:
            self.parts.append(torch.optim.SGD(groups, lr=lr, momentum=other, nesterov=other > 0))
        self._unit_filters = unit_filters
        self._matrices: dict[str, Any] = {"params": matrices, "lr": lr}
        self._collect_groups()

    def _collect_groups(self) -> None:
        self.param_groups = [
            self._matrices,
            *(group for sgd in self.parts[1:] for group in sgd.param_groups),
        ]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        (group,) = self.parts[0].param_groups
        group["lr"] = self._matrices["lr"]
        for p, matrix in zip(self._matrices["params"], group["params"], strict=True):
            matrix.grad = None if p.grad is None else as_matrix(p.grad)
            if self._unit_filters and p.ndim > 2:
                p.mul_(len(p) ** 0.5 / p.norm().clamp_min(torch.finfo(p.dtype).tiny))
        for part in self.parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._matrices["lr"] = self.parts[0].param_groups[0]["lr"]
        self._collect_groups()


def as_matrix(weights: Tensor) -> Tensor:
    """(maps, …) as (maps, everything else): a view, whether the channels are stored first or last.

    The order of the columns depends on it, but orthogonalizing commutes with every order of columns.
    """
    inner = sorted(range(1, weights.ndim), key=weights.stride, reverse=True)  # as they lie in memory
    return weights.permute(0, *inner).view(len(weights), -1)


class LBFGS(torch.optim.LBFGS):
    """L-BFGS that learns of the curvature from short steps, too.

    Torch passes over a step s with yᵀs ≤ 1e-10, y the change of the gradient, and near a minimum every step
    is that short. Here the objective is multiplied by a power of 2 that grows as the gradient falls, which
    rounds nothing and leaves every direction as it is.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        scale = self._rescale()

        def scaled() -> Any:
            loss = closure()
            for p in self._params:
                if p.grad is not None:
                    p.grad.mul_(scale)
            return loss * scale

        return super().step(scaled) / scale  # type: ignore[no-untyped-call]

    def _rescale(self) -> float:
        """The factor for the next steps, to which what is known from the last ones is brought."""
        state = self.state[self._params[0]]
        gradient, before = state.get("prev_flat_grad"), state.get("scale", 1.0)
        if gradient is None:
            return 1.0
        largest = float(gradient.abs().max()) / before
        exponent = -2 * math.frexp(largest)[1] if 0 < largest < 1 else 0
        scale = 2.0 ** min(exponent, LARGEST_EXPONENT)
        factor = scale / before
        if factor != 1:
            for y in state["old_dirs"]:
                y.mul_(factor)
            state["ro"] = [value / factor for value in state["ro"]]
            state["H_diag"] = state["H_diag"] / factor
            gradient.mul_(factor)
            state["prev_loss"] = state["prev_loss"] * factor
        state["scale"] = scale
        return scale


def lbfgs(
    model: nn.Module, *, lr: float = 1.0, history: int = 20, iterations: int = 20, short_steps: bool = True
) -> Optimizer:
    """L-BFGS with strong Wolfe line search.

    Args:
        model: is laid out contiguously.
        lr: the first step that the line search tries.
        history: stored curvature pairs.
        iterations: inner steps per call.
        short_steps: whether the curvature is learned from short steps, too, which near a minimum all are.
    """
    model.to(memory_format=torch.contiguous_format)  # it takes gradients as vectors, without a copy
    return (LBFGS if short_steps else torch.optim.LBFGS)(
        _trainable(model),
        lr=lr,
        max_iter=iterations,
        history_size=history,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "muon": Muon,
    "lbfgs": lbfgs,
}


def build_optimizer(name: str, model: nn.Module, **arguments: Any) -> Optimizer:
    """The optimizer of that name, a key of OPTIMIZERS, over every trainable parameter of `model`.

    Raises:
        InputError: one whose steps have no scaling in the mup parameterization of the model.
    """
    is_mup = any(isinstance(m, ScaledLinear) and not m.has_kernel_limit for m in model.modules())
    if is_mup and name not in ("sgd", "adam", "adamw"):
        raise InputError(
            f"optimizer.name: {name} has no step sizes for model.parameterization: mup; "
            "use sgd, adam or adamw, or another parameterization"
        )
    return OPTIMIZERS[name](model, **arguments)


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
